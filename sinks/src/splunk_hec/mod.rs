//! Splunk's HTTP Event Collector: JSON envelopes or lines, verdicts by code, indexer acknowledgement.
//!
//! A 200 says that a request was parsed. What is acknowledged is waited for (`channel`);
//! what cannot be is delivered with a weaker guarantee, and [`Sink::guarantee`] says so. Every answer is judged by status
//! and code (`answer`); of a batch with a bad document only what was not looked at is sent again. See `README.md`.

mod answer;
mod channel;
mod config;
mod envelope;

use self::answer::{AckId, Acks, Cause, Verdict};
use self::channel::{Channel, Channels, Waiting};
use self::config::{Ack, Config, Endpoint, Options};
use crate::nodes::{Gate, Nodes};
use crate::settings::ClientKeys;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::{quotable, retry_after};
use tidegate_core::http::{
    Client, ClientCertificate, HttpError, Response, TransportError, TransportSettingsError,
};
use tidegate_core::secret::{Secret, SecretRef};
use tidegate_core::sink::{
    Batch, DeliverError, Delivery, Guarantee, Level, Limits, Meta, Render, Sink, SinkKind, SinkSettings,
    Trouble, schema_defaults,
};
use tidegate_core::source::{Findings, NormalizeError, SettingsError};
use tokio::time::{Instant, sleep_until};
use url::Url;

/// What the add-ons that know a vendor's records expect.
const DEFAULT_SCHEMA: &str = "raw";

/// Acknowledgements are first asked for after this long: an idle receiver was measured to take 1 to 2 s.
const FIRST_POLL: Duration = Duration::from_millis(500);

/// A question for acknowledgements that is refused this often in a row will not be answered.
const REFUSALS: u32 = 5;

/// A request of more than this may have been refused for its size, though the answer names its first document (Splunk Cloud
/// does so above some 5 MiB). No receiver is known with a lower limit.
const SUSPICIOUS: usize = 64 << 10;

/// The last document of a batch goes beyond the limit; this much room keeps it within one request.
const ROOM: usize = 32 << 10;

/// That the queue is nearly full is said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(3_600);

/// A receiver that promised acknowledgements and gave none is not tried again for so long, with ack = "required": each try
/// leaves its documents there once more.
const DISBELIEF: Duration = Duration::from_secs(3_600);

/// Said when the guarantee becomes weaker than it was.
const UNACKNOWLEDGED: &str = "the token acknowledged before and does not any more: what it takes now is best effort; look at \
     useACK, or set ack = \"required\" to send nothing without it";

/// HEC names no request.
const REQUEST_ID: &str = "x-request-id";

/// `kind = "splunk_hec"`.
pub struct Kind;

impl SinkKind for Kind {
    fn name(&self) -> &'static str {
        "splunk_hec"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn filled_in(&self, table: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = schema_defaults(&self.schema(), table);
        filled.insert("schema".to_owned(), DEFAULT_SCHEMA.into());
        filled
    }

    fn open(&self, settings: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        Ok(Arc::new(SplunkHec::new(Options::read(&settings.table)?, settings.http)))
    }
}

/// What is known of the token's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    NotYet,
    On,
    Off,
    /// The receiver answers questions for acknowledgements, and took documents without giving one, with ack =
    /// "required". What it says of itself is not believed for [`DISBELIEF`].
    Unkept(Instant),
}

impl Known {
    fn is_unkept(self) -> bool {
        matches!(self, Self::Unkept(since) if since.elapsed() < DISBELIEF)
    }
}

/// One tenant's part of a receiver.
struct SplunkHec {
    config: Config,
    token: SecretRef,
    plain: Client,
    /// The client with the certificate, once it was read.
    certified: Mutex<Option<Client>>,
    nodes: Nodes<Url>,
    gate: Gate,
    channels: Channels,
    known: Mutex<Known>,
    said_slow: Mutex<Option<Instant>>,
}

/// A request to the collector.
struct Ask {
    /// Path and query, below the address.
    path: String,
    content_type: &'static str,
    gzip: bool,
    /// Whether it names its channel.
    channel: bool,
    body: Bytes,
}

/// What one delivery has come to so far.
#[derive(Default)]
struct Round {
    delivery: Delivery,
    waiting: Vec<Waiting>,
    busy: bool,
    /// Until when the receiver asked to be left alone.
    until: Option<Instant>,
}

impl Round {
    /// Whether any document has a verdict, or will have one.
    fn decided(&self) -> bool {
        let Delivery { delivered, duplicates, retry, rejected, fault, after: _, warnings: _ } =
            &self.delivery;
        *delivered + *duplicates > 0
            || !(retry.is_empty() && rejected.is_empty() && fault.is_empty() && self.waiting.is_empty())
    }
}

/// What ended a round before all documents were sent, and those that were not.
type Unsent = Option<(DeliverError, Vec<usize>)>;

impl SplunkHec {
    fn new(options: Options, http: Client) -> Self {
        let Options { urls, token, config } = options;
        Self {
            gate: Gate::new(config.in_flight),
            nodes: Nodes::new(urls),
            channels: Channels::default(),
            known: Mutex::new(Known::NotYet),
            said_slow: Mutex::new(None),
            certified: Mutex::new(None),
            plain: http,
            token,
            config,
        }
    }

    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, known: Known) {
        let mut before = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Of several receivers behind the addresses one may keep the promise, and another one not.
        if !before.is_unkept() {
            *before = known;
        }
    }

    /// Words of the other side for a person: short, and without our secret, which a proxy may have echoed.
    fn words(&self, text: &str) -> String {
        let text = match self.token.read() {
            Ok(token) => token.redact(text),
            Err(_) => text.to_owned(),
        };
        quotable(&text)
    }

    /// The client, with the certificate where there is one to show.
    fn client(&self) -> Result<Client, DeliverError> {
        let Some(keys) = &self.config.client else { return Ok(self.plain.clone()) };
        let mut certified = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*certified {
            return Ok(client.clone());
        }
        let client = match self.with_certificate(keys) {
            Err(_) if keys.renewed(self.plain.clock().now()) => self.with_certificate(keys),
            made => made,
        };
        let client = client.map_err(|cause| DeliverError::Halt {
            cause: cause
                .remedy("look at the files that `client` names: a certificate and its private key, in PEM"),
        })?;
        *certified = Some(client.clone());
        Ok(client)
    }

    fn with_certificate(&self, keys: &ClientKeys) -> Result<Client, Fault> {
        let ClientKeys { certificate, private_key } = keys;
        let certificate =
            ClientCertificate { certificate: certificate.read()?, private_key: private_key.read()? };
        let wrong = |error: TransportSettingsError| Fault::new(FaultKind::Credential, error.to_string());
        self.plain.with_certificate(&certificate).map_err(wrong)
    }

    fn request(&self, channel: &Channel, ask: &Ask) -> Result<Request<Bytes>, DeliverError> {
        let halt = |cause: Fault| DeliverError::Halt { cause };
        let Some(url) = self.nodes.at(channel.node) else {
            return Err(halt(Fault::new(FaultKind::Configuration, "no address")));
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{url}services/collector{}", ask.path))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, ask.content_type)
            .body(ask.body.clone())
            .map_err(|error| halt(Fault::new(FaultKind::Configuration, format!("no request: {error}"))))?;
        let token = self.token.read().and_then(|token| token.header_value("Splunk "));
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, token.map_err(|error| halt(error.into()))?);
        if ask.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        channel.sign(headers, ask.channel);
        Ok(request)
    }

    /// One exchange. A refused token is read again, and tried once more where it changed.
    async fn exchange(&self, channel: &mut Channel, ask: &Ask) -> Result<Response, DeliverError> {
        let client = self.client()?;
        let mut tried = false;
        loop {
            let used = self.token.read().ok();
            let response = match client.send(self.request(channel, ask)?).await {
                Ok(response) => response,
                Err(error) => return Err(self.unanswered(channel, error)),
            };
            channel.learn(&response.headers);
            let status = response.status.as_u16();
            if matches!(status, 502..=504) {
                self.nodes.failed(channel.node);
            } else {
                self.nodes.well(channel.node);
            }
            // Not every refusal of a token is a 401 or a 403: some codes come with a 400.
            let refused = || answer::judge(status, &response.body).0 == Verdict::Halt(Cause::Token);
            if !tried && refused() && self.token_changed(used.as_ref()) {
                tried = true;
                continue;
            }
            return Ok(response);
        }
    }

    /// The next connection may lead to another indexer, so the channel is over.
    fn unanswered(&self, channel: &mut Channel, error: HttpError) -> DeliverError {
        channel.over = true;
        // It may be our certificate that was not welcome, and it may have been renewed on the disk since it was read.
        if let (HttpError::Transport(_), Some(keys)) = (&error, &self.config.client)
            && keys.renewed(self.plain.clock().now())
        {
            *self.certified.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        // A busy receiver closes connections that wait 12 s for their next request: asked again, at once, once.
        let at_once = channel.used && matches!(error, HttpError::Transport(TransportError::Broken(_)));
        if !at_once && !matches!(error, HttpError::TooLarge(_)) {
            self.nodes.failed(channel.node);
        }
        let mut cause = Fault::from(error);
        let origin = self.nodes.at(channel.node).map(|url| url.origin().ascii_serialization());
        cause.message = format!("{}: {}", origin.unwrap_or_default(), self.words(&cause.message));
        match cause.kind {
            FaultKind::TooLarge => DeliverError::Halt { cause },
            _ => DeliverError::Retry { after: at_once.then_some(Duration::ZERO), cause },
        }
    }

    /// Whether there is another token than the one that was used and refused.
    fn token_changed(&self, used: Option<&Secret>) -> bool {
        let now = self.plain.clock().now();
        used.is_some_and(|used| self.token.refresh(used, now).unwrap_or(false))
    }

    fn fault(&self, response: &Response, kind: FaultKind, what: &str, said: &answer::Said) -> Fault {
        let text = self.words(&said.text);
        let message = if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") };
        let code = said.code.map(|code| format!("code {code}"));
        let mut fault = response.fault(kind, message, None, REQUEST_ID);
        fault.code = code;
        fault
    }

    fn halt(&self, response: &Response, cause: Cause, said: &answer::Said) -> DeliverError {
        let (what, remedy) = cause.words();
        let what = match response.redirect_origin() {
            Some(to) if cause == Cause::Redirect => format!("{what} (to {to})"),
            _ => what.to_owned(),
        };
        DeliverError::Halt { cause: self.fault(response, cause.kind(), &what, said).remedy(remedy) }
    }

    /// Finds out whether the token acknowledges, by a question for an id that was never given: it writes nothing.
    async fn probe(&self, channel: &mut Channel) -> Result<Known, DeliverError> {
        let response = self.ask_for(channel, std::iter::once("0")).await?;
        let known = match answer::acks(response.status.as_u16(), &response.body) {
            Acks::Told(_) => Known::On,
            Acks::Disabled | Acks::NoSuchEndpoint => Known::Off,
            Acks::Refused(cause @ (Cause::Token | Cause::Redirect | Cause::QueryString)) => {
                let said = answer::judge(response.status.as_u16(), &response.body).1;
                return Err(self.halt(&response, cause, &said));
            }
            Acks::Refused(_) | Acks::Unknown => Known::NotYet,
        };
        if known != Known::NotYet {
            self.learn(known);
        }
        Ok(known)
    }

    /// With `ack = "required"` nothing is sent before it is known that it will be acknowledged.
    async fn ready(&self, channel: &mut Channel) -> Result<(), DeliverError> {
        match (self.config.ack, self.known()) {
            (Ack::Off, _) | (_, Known::On) | (Ack::Auto, Known::Off) => return Ok(()),
            (Ack::Required, known) if known.is_unkept() => {
                return Err(DeliverError::Halt { cause: unacknowledged() });
            }
            (Ack::Required | Ack::Auto, Known::Off | Known::NotYet | Known::Unkept(_)) => {}
        }
        match (self.probe(channel).await?, self.config.ack) {
            (Known::On, _) | (_, Ack::Auto | Ack::Off) => Ok(()),
            (Known::Off | Known::Unkept(_), Ack::Required) => {
                Err(DeliverError::Halt { cause: unacknowledged() })
            }
            (Known::NotYet, Ack::Required) => Err(DeliverError::Retry {
                after: None,
                cause: Fault::new(
                    FaultKind::Answer,
                    "the receiver does not say whether it acknowledges, and ack = \"required\"",
                ),
            }),
        }
    }

    async fn ask_for(
        &self,
        channel: &mut Channel,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Response, DeliverError> {
        let body = format!("{{\"acks\":[{}]}}", ids.collect::<Vec<_>>().join(","));
        let ask = Ask {
            path: "/ack".to_owned(),
            content_type: "application/json",
            gzip: false,
            channel: true,
            body: body.into(),
        };
        self.exchange(channel, &ask).await
    }

    /// The documents, by what goes into one request, none of them larger than configured unless it is one document.
    fn requests(&self, batch: &Batch) -> Vec<Vec<usize>> {
        let mut groups: Vec<(envelope::Target<'_>, usize, Vec<usize>)> = Vec::new();
        let mut out = Vec::new();
        for (index, (span, meta)) in batch.documents.iter().enumerate() {
            let target = envelope::target(&self.config, meta);
            match groups.iter_mut().find(|(of, _, _)| *of == target) {
                Some((_, bytes, documents)) => {
                    if *bytes + span.len() > self.config.batch_bytes.0 {
                        out.push(std::mem::take(documents));
                        *bytes = 0;
                    }
                    *bytes += span.len();
                    documents.push(index);
                }
                None => groups.push((target, span.len(), vec![index])),
            }
        }
        out.extend(groups.into_iter().map(|(_, _, documents)| documents));
        out
    }

    async fn post(
        &self,
        channel: &mut Channel,
        batch: &Batch,
        part: &[usize],
    ) -> Result<(Response, usize), DeliverError> {
        let meta = part.first().and_then(|index| batch.documents.get(*index)).map(|(_, meta)| meta);
        let target = meta.map(|meta| envelope::target(&self.config, meta));
        let path = match self.config.endpoint {
            Endpoint::Event => "/event".to_owned(),
            Endpoint::Raw => format!("/raw?{}", target.map(|target| target.query()).unwrap_or_default()),
        };
        let body = if part.len() == batch.documents.len() {
            crate::payload(batch)
        } else {
            let spans = part.iter().filter_map(|index| batch.documents.get(*index)).map(|(span, _)| span);
            let frames = spans.filter_map(|span| batch.body.get(span.clone()));
            Bytes::from(frames.collect::<Vec<_>>().concat())
        };
        let bytes = body.len();
        let (body, gzip) = crate::compressed(body, self.config.gzip.0).await?;
        let content_type = match self.config.endpoint {
            Endpoint::Event => "application/json",
            Endpoint::Raw => "text/plain; charset=utf-8",
        };
        let ask = Ask { path, content_type, gzip, channel: self.config.ack != Ack::Off, body };
        Ok((self.exchange(channel, &ask).await?, bytes))
    }

    /// Sends all documents, and files every verdict that an answer brings.
    async fn send(&self, channel: &mut Channel, batch: &Batch, round: &mut Round) -> Unsent {
        let mut todo = self.requests(batch);
        todo.reverse();
        while let Some(part) = todo.pop() {
            let rest = |part: Vec<usize>, todo: Vec<Vec<usize>>| {
                part.into_iter().chain(todo.into_iter().rev().flatten()).collect()
            };
            let (response, bytes) = match self.post(channel, batch, &part).await {
                Ok(answered) => answered,
                Err(error) => return Some((error, rest(part, todo))),
            };
            let (verdict, said) = answer::judge(response.status.as_u16(), &response.body);
            let delivery = &mut round.delivery;
            match verdict {
                Verdict::Taken { ack, slow } => {
                    if slow {
                        round.busy = true;
                        delivery.warnings.extend(self.slow(&said));
                    }
                    match (ack, self.config.ack) {
                        (Some(id), Ack::Auto | Ack::Required) => {
                            self.learn(Known::On);
                            let until = Instant::now() + self.config.ack_timeout.0;
                            round.waiting.push(Waiting { id, documents: part, until });
                        }
                        (_, Ack::Off) => delivery.delivered += part.len(),
                        (None, Ack::Auto) => {
                            if self.known() == Known::On {
                                delivery.warnings.push(UNACKNOWLEDGED.to_owned());
                            }
                            self.learn(Known::Off);
                            delivery.delivered += part.len();
                        }
                        (None, Ack::Required) => {
                            self.learn(Known::Unkept(Instant::now()));
                            return Some((DeliverError::Halt { cause: unacknowledged() }, rest(part, todo)));
                        }
                    }
                }
                Verdict::Bad { first: Some(at), maybe_size }
                    if self.config.endpoint == Endpoint::Event
                        && at < part.len()
                        && !(maybe_size && at == 0 && part.len() > 1 && bytes > SUSPICIOUS) =>
                {
                    let fault =
                        self.fault(&response, FaultKind::Configuration, "the document was refused", &said);
                    let (before, from) = part.split_at(at);
                    delivery.delivered += before.len();
                    if let Some((bad, behind)) = from.split_first() {
                        delivery.rejected.push((*bad, fault));
                        if !behind.is_empty() {
                            todo.push(behind.to_vec());
                        }
                    }
                }
                Verdict::Bad { .. } | Verdict::TooLarge => {
                    let (kind, what) = match verdict {
                        Verdict::TooLarge => (FaultKind::TooLarge, "larger than the receiver takes"),
                        // The raw endpoint breaks lines by the sourcetype's rules, which may be others than ours: what it
                        // counts is not known to be our documents, neither the bad one nor those before it.
                        _ if self.config.endpoint == Endpoint::Raw => (FaultKind::Configuration, "refused"),
                        _ => (FaultKind::Configuration, "refused, without a word which document is meant"),
                    };
                    let fault = self.fault(&response, kind, what, &said);
                    if let [only] = part.as_slice() {
                        delivery.rejected.push((*only, fault));
                    } else if part.len() == batch.documents.len() {
                        return Some((DeliverError::Split { cause: fault }, part));
                    } else {
                        let (left, right) = part.split_at(part.len() / 2);
                        todo.extend([right.to_vec(), left.to_vec()]);
                    }
                }
                Verdict::Index => {
                    let meta =
                        part.first().and_then(|index| batch.documents.get(*index)).map(|(_, meta)| meta);
                    let fault = self.fault(&response, FaultKind::Permission, &self.barred(meta), &said).remedy(
                        "allow the index in the token's settings and see that it exists, or correct `index` or `indexes`",
                    );
                    delivery.fault.extend(part.into_iter().map(|index| (index, fault.clone())));
                }
                Verdict::Retry(kind) => {
                    round.busy |= kind == FaultKind::RateLimit;
                    // Somewhere it may have been taken, under an id that a later request is given by another indexer.
                    channel.over |= kind != FaultKind::RateLimit;
                    let what = match kind {
                        FaultKind::Answer => "no receipt",
                        _ => "the receiver could not take the request",
                    };
                    let cause = self.fault(&response, kind, what, &said);
                    let after = retry_after(&response.headers, response.date);
                    round.until = after.map(|after| Instant::now() + after);
                    return Some((DeliverError::Retry { after, cause }, rest(part, todo)));
                }
                Verdict::Halt(cause) => {
                    return Some((self.halt(&response, cause, &said), rest(part, todo)));
                }
            }
        }
        None
    }

    fn barred(&self, meta: Option<&Meta>) -> String {
        match meta.and_then(|meta| envelope::index(&self.config, meta)) {
            Some(index) => format!("token may not write index {index}"),
            None => "token may not write its default index".to_owned(),
        }
    }

    /// What is said of a queue that is nearly full, once in a while.
    fn slow(&self, said: &answer::Said) -> Option<String> {
        let mut last = self.said_slow.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < SAY_AGAIN) {
            return None;
        }
        *last = Some(Instant::now());
        let what = if said.code == Some(25) { "acknowledgements" } else { "queue" };
        Some(format!("the receiver's {what} come near their capacity (code {}): sending slower", said.code?))
    }

    /// Waits until what was taken is safe. This asks on a schedule and so sleeps: there is no other way to hear of it, and
    /// nothing is sent again here. An id that is not told to be true in time is not delivered.
    async fn acknowledged(&self, channel: &mut Channel, round: &mut Round) {
        let waiting = &mut round.waiting;
        let delivery = &mut round.delivery;
        let mut ids = HashSet::new();
        let again: HashSet<AckId> =
            waiting.iter().filter(|one| !ids.insert(one.id.clone())).map(|one| one.id.clone()).collect();
        if !again.is_empty() {
            // One "true" could not tell whose it is.
            channel.over = true;
            let cause = Fault::new(
                FaultKind::Answer,
                "an acknowledgement's id came twice on one channel; sent again, may be there twice",
            )
            .remedy("several indexers answer, or one was restarted: make the load balancer sticky");
            give_up(waiting, &mut delivery.retry, &cause, |one| again.contains(&one.id));
        }
        let slowest = self.config.ack_poll.0;
        let (mut pause, mut refusals) = (FIRST_POLL.min(slowest), 0);
        while let Some(soonest) = waiting.iter().map(|one| one.until).min() {
            sleep_until(soonest.min(Instant::now() + pause)).await;
            let ids: Vec<AckId> = waiting.iter().map(|one| one.id.clone()).collect();
            let answered = self.ask_for(channel, ids.iter().map(|id| id.0.as_str())).await;
            let told = match &answered {
                Ok(response) => answer::acks(response.status.as_u16(), &response.body),
                Err(_) => Acks::Unknown,
            };
            pause = (pause * 2).min(slowest);
            match told {
                Acks::Told(told) => {
                    refusals = 0;
                    let told: HashSet<AckId> = told.into_iter().collect();
                    waiting.retain(|one| {
                        let safe = told.contains(&one.id);
                        if safe {
                            delivery.delivered += one.documents.len();
                            pause = FIRST_POLL.min(slowest);
                        }
                        !safe
                    });
                }
                Acks::Unknown => {}
                refused => {
                    refusals += 1;
                    if refused == Acks::Disabled || refusals >= REFUSALS {
                        let cause = match (refused, &answered) {
                            (Acks::Refused(cause), Ok(response)) => {
                                let said = answer::judge(response.status.as_u16(), &response.body).1;
                                self.halt(response, cause, &said).cause().clone()
                            }
                            (Acks::NoSuchEndpoint, Ok(response)) => {
                                self.learn(Known::NotYet);
                                let said = answer::judge(response.status.as_u16(), &response.body).1;
                                let what =
                                    "documents are taken, and nobody answers for their acknowledgement";
                                self.fault(response, FaultKind::Configuration, what, &said).remedy(
                                    "let services/collector/ack lead to the same receiver as services/collector/event",
                                )
                            }
                            _ => {
                                self.learn(Known::NotYet);
                                let (what, remedy) = Cause::AckDisabled.words();
                                Fault::new(FaultKind::Configuration, what).remedy(remedy)
                            }
                        };
                        channel.over = true;
                        give_up(waiting, &mut delivery.fault, &cause, |_| true);
                    }
                }
            }
            let now = Instant::now();
            if waiting.iter().any(|one| one.until <= now) {
                channel.over = true;
                let cause = Fault::new(
                    FaultKind::Server,
                    format!(
                        "not acknowledged for {} s; sent again, may be there twice",
                        self.config.ack_timeout.0.as_secs()
                    ),
                );
                give_up(waiting, &mut delivery.retry, &cause, |one| one.until <= now);
            }
        }
    }
}

/// Files the documents that are waited for no more.
fn give_up(
    waiting: &mut Vec<Waiting>,
    to: &mut Vec<Trouble>,
    cause: &Fault,
    which: impl Fn(&Waiting) -> bool,
) {
    for one in waiting.extract_if(.., |one| which(one)) {
        to.extend(one.documents.into_iter().map(|index| (index, cause.clone())));
    }
}

fn unacknowledged() -> Fault {
    Fault::new(FaultKind::Configuration, "the token does not acknowledge, and ack = \"required\"")
        .remedy(
            "see that `url` leads to the collector, and switch indexer acknowledgement on for the token (useACK); or set \
             ack = \"auto\"",
        )
}

#[async_trait]
impl Sink for SplunkHec {
    fn default_schema(&self) -> Option<&'static str> {
        Some(DEFAULT_SCHEMA)
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn guarantee(&self) -> Guarantee {
        let twice =
            "what was in flight at a failure may come twice, since the receiver does not recognise it; the \
                     vendor's id in the document tells"
                .to_owned();
        let lost = "what the receiver had queued when it failed is lost, and nobody tells us".to_owned();
        let (level, because, except) = match (self.config.ack, self.known()) {
            (Ack::Required, _) | (Ack::Auto, Known::On) => (
                Level::AtLeastOnce,
                "indexer acknowledgement: a document is delivered when the indexer says that it is replicated",
                vec![
                    twice,
                    "documents before a refused one in the same request are in by the word of its code, without an \
                     acknowledgement of their own"
                        .to_owned(),
                ],
            ),
            (Ack::Auto, Known::NotYet) => (
                Level::BestEffort,
                "whether the token acknowledges is not known before the receiver was asked (tidegate check --online); \
                 ack = \"required\" sends nothing without it",
                vec![twice, lost],
            ),
            (Ack::Auto, Known::Off | Known::Unkept(_)) => (
                Level::BestEffort,
                "the token has no indexer acknowledgement (useACK): an answer says that a request was parsed",
                vec![twice, lost],
            ),
            (Ack::Off, _) => (
                Level::BestEffort,
                "acknowledgement is off (ack = \"off\"): an answer says that a request was parsed",
                vec![twice, lost],
            ),
        };
        Guarantee { level, because: because.to_owned(), except }
    }

    fn limits(&self) -> Limits {
        let bytes = self.config.batch_bytes.0;
        Limits {
            bytes: bytes.saturating_sub(ROOM).max(bytes / 2).max(1),
            count: self.config.batch_count,
            age: self.config.batch_age.0,
            in_flight: self.config.in_flight,
        }
    }

    fn frame(&self, buf: &mut Vec<u8>, meta: &Meta, document: &mut Render<'_>) -> Result<(), NormalizeError> {
        envelope::frame(&self.config, buf, meta, document)
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        if batch.documents.is_empty() {
            return Ok(Delivery::default());
        }
        let permit = self.gate.enter().await;
        let halt = |cause| DeliverError::Halt { cause };
        let mut channel = self.channels.take(&self.nodes).map_err(halt)?;
        let mut round = Round::default();
        let unsent = match self.ready(&mut channel).await {
            Ok(()) => self.send(&mut channel, batch, &mut round).await,
            Err(error) => Some((error, (0..batch.documents.len()).collect())),
        };
        let decided = round.decided();
        self.acknowledged(&mut channel, &mut round).await;
        self.channels.give(channel);
        let Round { mut delivery, busy, until, .. } = round;
        if busy {
            self.gate.narrow(permit);
        } else if unsent.is_none() {
            self.gate.widen();
        }
        match unsent {
            None => Ok(delivery),
            Some((error, _)) if !decided => Err(error),
            Some((error, rest)) => {
                let to = match &error {
                    DeliverError::Halt { .. } => &mut delivery.fault,
                    DeliverError::Retry { .. } | DeliverError::Split { .. } => &mut delivery.retry,
                };
                to.extend(rest.into_iter().map(|index| (index, error.cause().clone())));
                // Acknowledgements may have been waited for since.
                delivery.wait(until.map(|until| until.saturating_duration_since(Instant::now())));
                Ok(delivery)
            }
        }
    }

    fn readable(&self) -> Result<(), SettingsError> {
        self.config.client.as_ref().map_or(Ok(()), ClientKeys::check)
    }

    async fn check(&self) -> Findings {
        let mut findings = Findings::default();
        for node in 0..self.nodes.all().len() {
            if let Err(error) = self.check_node(node, &mut findings).await {
                findings.faults.push(error.cause().clone());
            }
        }
        if findings.faults.is_empty() {
            findings.lines.push(
                "whether the token may write its indexes shows with the first documents: asking would write"
                    .to_owned(),
            );
        }
        findings
    }
}

impl SplunkHec {
    async fn check_node(&self, node: usize, findings: &mut Findings) -> Result<(), DeliverError> {
        let mut channel = Channel::new(node).map_err(|cause| DeliverError::Halt { cause })?;
        // Nothing to store. Health would answer without a token and so prove nothing.
        let ask = Ask {
            path: "/event".to_owned(),
            content_type: "application/json",
            gzip: false,
            channel: self.config.ack != Ack::Off,
            body: Bytes::new(),
        };
        let response = self.exchange(&mut channel, &ask).await?;
        let (verdict, said) = answer::judge(response.status.as_u16(), &response.body);
        match (verdict, said.code) {
            // No data, or no event in it: the token was looked at before.
            (_, Some(5 | 6 | 12 | 13)) => findings.lines.push("answers, and takes the token".to_owned()),
            (Verdict::Halt(cause), _) => return Err(self.halt(&response, cause, &said)),
            (Verdict::Taken { .. }, _) => findings.lines.push("answers, also to an empty request".to_owned()),
            (Verdict::Retry(kind), _) => {
                let cause = self.fault(&response, kind, "the receiver could not answer", &said);
                return Err(DeliverError::Retry { after: None, cause });
            }
            _ => findings.lines.push("answers".to_owned()),
        }
        if self.config.ack == Ack::Off {
            findings.lines.push("acknowledgement is not asked for (ack = \"off\")".to_owned());
            return Ok(());
        }
        findings.lines.push(match (self.probe(&mut channel).await?, self.config.ack) {
            (Known::On, _) => "acknowledgement is on: at least once".to_owned(),
            (Known::Off | Known::Unkept(_), Ack::Required) => {
                return Err(DeliverError::Halt { cause: unacknowledged() });
            }
            (Known::Off | Known::Unkept(_), _) => {
                "acknowledgement is off for the token: best effort".to_owned()
            }
            (Known::NotYet, _) => "does not say whether it acknowledges".to_owned(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
