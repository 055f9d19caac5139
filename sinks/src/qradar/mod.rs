//! IBM QRadar, and other receivers of syslog: LEEF (or JSON) lines over TCP, TLS or UDP.
//!
//! Nothing is acknowledged there. What may not have been read is kept in a replay tail and sent again when the connection
//! breaks (`line`); the position in the journal moves only past what has left the tail. Messages are made by `message`.

mod config;
mod connection;
mod line;
mod message;

use self::config::{Address, Config, Options, Transport};
use self::connection::Refusals;
use self::line::{Job, Order, Way};
use self::message::Format;
use crate::nodes::Nodes;
use crate::settings::{self, ClientKeys};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::sink::{
    Batch, DeliverError, Delivery, Guarantee, Level, Limits, Meta, Render, Sink, SinkKind, SinkSettings,
    schema_defaults,
};
use tidegate_core::source::{Findings, NormalizeError, SettingsError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

/// How long a check waits for the receiver to close in turn, or to say that our certificate is not welcome: with TLS 1.3
/// that comes after the handshake.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What QRadar's own parsers read without a mapping.
const DEFAULT_SCHEMA: &str = "leef";

/// `kind = "qradar"`.
pub struct Kind;

impl SinkKind for Kind {
    fn name(&self) -> &'static str {
        "qradar"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn filled_in(&self, table: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = schema_defaults(&self.schema(), table);
        filled.insert("schema".to_owned(), DEFAULT_SCHEMA.into());
        settings::read::<Config>(table).unwrap_or_default().fill_in(table, &mut filled);
        filled
    }

    fn open(&self, settings: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        let options = Options::read(&settings.tenant, &settings.sources, &settings.table)?;
        Ok(Arc::new(Qradar::new(options, &settings)))
    }
}

/// One tenant's part of a receiver.
struct Qradar {
    tenant: String,
    way: Arc<Way>,
    format: Format,
    identifiers: HashMap<String, String>,
    refusals: Refusals,
    line: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

impl Qradar {
    fn new(options: Options, settings: &SinkSettings) -> Self {
        let Options { addresses, max_message, identifiers, config } = options;
        let framing = (config.transport != Transport::Udp).then_some(config.framing);
        let format = Format { form: config.header, framing, facility: config.facility, max: max_message };
        let way = Way {
            nodes: Nodes::new(addresses),
            config,
            clock: settings.http.clock().clone(),
            name: format!("{}/{}", settings.tenant, settings.sink),
        };
        let line = Mutex::new(None);
        let (tenant, refusals) = (settings.tenant.clone(), Refusals::default());
        Self { tenant, way: Arc::new(way), format, identifiers, refusals, line }
    }

    fn is_datagrams(&self) -> bool {
        self.way.config.transport == Transport::Udp
    }

    /// The connection's task, started when it is needed first.
    fn order(&self, order: Order) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let order = match line.as_ref() {
            None => order,
            Some(line) => match line.send(order) {
                Ok(()) => return,
                Err(unsent) => unsent.0,
            },
        };
        let started = line::start(Arc::clone(&self.way));
        // It has only just begun to listen.
        let _heard = started.send(order);
        *line = Some(started);
    }

    async fn deliver_on_the_line(&self, batch: &Batch) -> Result<(), DeliverError> {
        let (verdict, told) = oneshot::channel();
        // Before the first wait, so that batches are sent in the order in which core hands them over.
        self.order(Order::Send(Job { body: crate::payload(batch), verdict }));
        told.await.unwrap_or_else(|_| {
            let cause =
                Fault::new(FaultKind::Server, "the connection's task ended; this is a defect of tidegate");
            Err(connection::retry(cause))
        })
    }

    /// One datagram a message. What the kernel takes counts as delivered. The refusal of an address (ICMP says that nobody
    /// listens there) is all that can be heard; the next delivery then goes to the next address of the name, and to another
    /// receiver once all addresses refuse.
    async fn deliver_datagrams(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        let (node, address) = self.way.nodes.pick();
        match connection::addresses(address).await {
            Ok(to) => self.deliver_datagrams_to(batch, node, to).await,
            Err(error) => {
                self.way.nodes.failed(node);
                Err(connection::retry(connection::unreachable(address, &error)))
            }
        }
    }

    async fn deliver_datagrams_to(
        &self,
        batch: &Batch,
        node: usize,
        to: Vec<SocketAddr>,
    ) -> Result<Delivery, DeliverError> {
        let Some(address) = self.way.nodes.at(node) else {
            return Err(connection::retry(Fault::new(FaultKind::Configuration, "no address")));
        };
        let opened = connection::datagrams(address, to.clone(), &self.refusals).await;
        let (socket, used) = opened.inspect_err(|_| self.way.nodes.failed(node))?;
        let mut delivery = Delivery::default();
        let mut failure = None;
        for (index, (span, _)) in batch.documents.iter().enumerate() {
            let message = batch.body.get(span.clone()).unwrap_or_default();
            match socket.send(message).await {
                Ok(_) => {}
                Err(error) if is_too_long(&error) => {
                    let cause = Fault::new(FaultKind::TooLarge, format!("{address}: cannot send: {error}"));
                    let remedy = "lower `max_message_bytes`: the network takes no such datagram";
                    delivery.rejected.push((index, cause.remedy(remedy)));
                }
                Err(error) => {
                    failure = Some((index, error));
                    break;
                }
            }
        }
        // A refusal is about datagrams before it. It may have come since the last one was sent.
        let failure = failure.or_else(|| Some((batch.documents.len(), socket.take_error().ok()??)));
        if let Some((index, error)) = failure {
            self.refusals.add(used);
            if self.refusals.has_all(&to) {
                self.way.nodes.failed(node);
            }
            let at =
                if used.to_string() == address.to_string() { String::new() } else { format!(" to {used}") };
            let cause = Fault::new(FaultKind::Network, format!("{address}: cannot send{at}: {error}"));
            // Nobody listens there, so none of the batch is known to have been heard.
            let from = if error.kind() == io::ErrorKind::ConnectionRefused { 0 } else { index };
            let unsent = (from..batch.documents.len())
                .filter(|at| !delivery.rejected.iter().any(|(rejected, _)| rejected == at));
            delivery.retry = unsent.map(|at| (at, cause.clone())).collect();
        }
        delivery.delivered = batch.documents.len() - delivery.retry.len() - delivery.rejected.len();
        Ok(delivery)
    }

    /// Connects, shakes hands, and ends in good order.
    async fn try_receiver(&self, address: &Address) -> Result<(), DeliverError> {
        if self.is_datagrams() {
            let to = connection::addresses(address).await;
            let to = to.map_err(|error| connection::retry(connection::unreachable(address, &error)))?;
            return connection::datagrams(address, to, &self.refusals).await.map(|_| ());
        }
        let now = self.way.clock.now();
        let mut stream = connection::open(&self.way.config, address, now).await?.stream;
        let last = tokio::time::timeout(LAST_WORD, async {
            stream.shutdown().await?;
            let mut said = [0; 512];
            while stream.read(&mut said).await? > 0 {}
            Ok::<_, io::Error>(())
        });
        match last.await {
            // That nothing is said is no fault, nor that the connection ends without a word.
            Err(_) | Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.get_ref().is_none() => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Ok(Err(error)) => Err(connection::broken(&self.way.config, address, &error, now)),
        }
    }
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

#[async_trait]
impl Sink for Qradar {
    fn default_schema(&self) -> Option<&'static str> {
        Some(DEFAULT_SCHEMA)
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn guarantee(&self) -> Guarantee {
        let config = &self.way.config;
        let mut except = vec![
            "what the receiver has read and then loses (a crash with events in its memory, a full queue, an exceeded \
             licence) is not sent again, and nobody says so"
                .to_owned(),
        ];
        if self.is_datagrams() {
            except.push(
                "a datagram that the network or a full buffer drops is lost, and nobody says so".to_owned(),
            );
            return Guarantee {
                level: Level::BestEffort,
                because: "syslog over UDP has no acknowledgement: delivered means handed to the network"
                    .to_owned(),
                except,
            };
        }
        let time = config.tail_time.0.as_secs_f64();
        let bytes = match config.tail_bytes.0 {
            whole if whole % (1 << 20) == 0 => format!("{} MiB", whole >> 20),
            bytes => format!("{} KiB", bytes >> 10),
        };
        except.push(format!(
            "a receiver that stops reading for more than {time} s without a broken connection, and fails then, loses \
             what lies in its buffers"
        ));
        except.push("what is sent again comes twice; eventUid tells it".to_owned());
        Guarantee {
            level: Level::BestEffort,
            because: format!(
                "syslog has no acknowledgement: what was sent stays in a replay tail until {bytes} more were sent or \
                 its connection was well for {time} s; a broken connection, a restart of the receiver that breaks it, \
                 or a crash of tidegate sends the tail again"
            ),
            except,
        }
    }

    fn limits(&self) -> Limits {
        let config = &self.way.config;
        Limits {
            bytes: config.batch_bytes.0,
            count: config.batch_count,
            age: config.batch_age.0,
            in_flight: config.batches_at_once(),
        }
    }

    fn frame(&self, buf: &mut Vec<u8>, meta: &Meta, document: &mut Render<'_>) -> Result<(), NormalizeError> {
        let from = buf.len();
        document(buf)?;
        if let Some(host) = self.identifiers.get(meta.source.as_ref()) {
            return self.format.wrap(buf, from, host, meta);
        }
        // A source that is in the journal and not in the configuration any more.
        let host = self.way.config.identifier(&meta.source, &self.tenant).map_err(NormalizeError)?;
        self.format.wrap(buf, from, &host, meta)
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        if batch.documents.is_empty() {
            return Ok(Delivery::default());
        }
        let mut delivery = if self.is_datagrams() {
            self.deliver_datagrams(batch).await?
        } else {
            self.deliver_on_the_line(batch).await?;
            Delivery { delivered: batch.documents.len(), ..Delivery::default() }
        };
        let frames = batch.documents.iter().filter_map(|(span, _)| batch.body.get(span.clone()));
        let cut = frames.filter(|frame| message::is_truncated(frame)).count();
        if cut > 0 {
            delivery.warnings.push(format!(
                "{cut} of {} messages were longer than max_message_bytes = {} and lost attributes (truncated=true); raise \
                 it here and the payload length in QRadar's System Settings",
                batch.documents.len(),
                self.format.max
            ));
        }
        Ok(delivery)
    }

    fn readable(&self) -> Result<(), SettingsError> {
        let config = &self.way.config;
        config.ca.as_deref().map_or(Ok(()), settings::check_authorities)?;
        config.client.as_ref().map_or(Ok(()), ClientKeys::check)
    }

    async fn check(&self) -> Findings {
        let mut findings = Findings::default();
        for address in self.way.nodes.all() {
            match self.try_receiver(address).await {
                Ok(()) if self.is_datagrams() => {
                    findings.lines.push(format!("{address}: has an address; over UDP nothing answers"));
                }
                Ok(()) => findings.lines.push(format!("{address}: takes connections")),
                Err(error) => findings.faults.push(error.cause().clone()),
            }
        }
        let mut known: Vec<_> = self.identifiers.iter().collect();
        known.sort();
        for (source, name) in known {
            findings.lines.push(format!("log source identifier of {}/{source}: {name}", self.tenant));
        }
        findings
    }

    async fn close(&self) {
        let (done, told) = oneshot::channel();
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(line) = line
            && line.send(Order::Close(done)).is_ok()
        {
            // A receiver that does not read must not hold the program: what it did not read is sent again at the next start.
            let _ended = tokio::time::timeout(line::CLOSE, told).await;
        }
    }
}

#[cfg(test)]
mod tests;
