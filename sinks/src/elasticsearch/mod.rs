//! Elasticsearch and OpenSearch: the bulk API into data streams, item by item.
//!
//! Documents are created under our deterministic id, so that a second delivery is a 409 and counts as delivered:
//! exactly once within a backing index, at least once across a rollover. Every item has its own verdict
//! (`verdict`); a request without a full receipt counts as not answered. See `README.md` for the keys.

mod assets;
mod bulk;
mod ceiling;
mod config;
mod doubts;
mod flavour;
mod install;
mod rollover;
mod verdict;

use self::ceiling::Ceiling;
use self::config::{Auth, Config, Mode, Options, RequireDataStream};
use self::doubts::Doubts;
use self::flavour::Flavour;
use self::rollover::Rollovers;
use self::verdict::{Verdict, Whole};
use crate::nodes::{Gate, Nodes};
use crate::settings;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::{quotable, retry_after};
use tidegate_core::http::{Client, HttpError, Response};
use tidegate_core::secret::{Secret, SecretRef};
use tidegate_core::sink::{
    Batch, DeliverError, Delivery, Guarantee, Level, Limits, Meta, Render, Sink, SinkKind, SinkSettings,
    schema_defaults,
};
use tidegate_core::source::{Findings, NormalizeError, SettingsError};
use tokio::time::Instant;
use url::Url;

/// An unknown product is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Documents of a batch that are sent alone at once; more of the kind come with the next batch.
const ALONE: usize = 8;

/// `kind = "elasticsearch"`.
pub struct Kind;

impl SinkKind for Kind {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn filled_in(&self, table: &Map<String, Value>) -> Map<String, Value> {
        let config: Config = settings::read(table).unwrap_or_default();
        let mut filled = schema_defaults(&self.schema(), table);
        filled.insert("schema".to_owned(), config.mode.schema().into());
        if let Some(pipeline) = config.pipeline() {
            filled.insert("pipeline".to_owned(), pipeline.into());
        }
        filled
    }

    fn open(&self, settings: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        Ok(Arc::new(Elasticsearch::new(Options::read(&settings.table)?, settings.http)))
    }

    fn assets(&self) -> Vec<(String, String)> {
        assets::all()
    }
}

/// One tenant's part of a cluster.
struct Elasticsearch {
    config: Config,
    auth: Auth,
    http: Client,
    nodes: Nodes<Url>,
    gate: Gate,
    ceiling: Ceiling,
    rollovers: Rollovers,
    flavour: Mutex<Option<(Flavour, Instant)>>,
    doubts: Mutex<Doubts>,
    /// The server turned out not to know the parameter.
    no_require_data_stream: AtomicBool,
    said_plain_index: AtomicBool,
}

/// A request to the cluster, wherever it goes.
struct Ask {
    method: Method,
    /// Path and query, below the address.
    path: String,
    content_type: Option<&'static str>,
    gzip: bool,
    body: Bytes,
}

impl Ask {
    fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            content_type: None,
            gzip: false,
            body: Bytes::new(),
        }
    }
}

/// A document as a batch has it.
type Document = (Range<usize>, Meta);

/// What came of a bulk request that was judged.
enum Sent {
    /// A verdict on each document, how many of them a rollover may have doubled, and how long the cluster, or what stands
    /// before it, asked to wait.
    Items(Vec<Judged>, usize, Option<Duration>),
    /// The request of a single document was refused as a whole.
    Refused(Verdict, Fault),
}

/// One document's outcome.
struct Judged {
    verdict: Verdict,
    /// Why, unless it was delivered.
    fault: Option<Fault>,
    in_failure_store: bool,
    in_plain_index: bool,
}

impl Elasticsearch {
    fn new(options: Options, http: Client) -> Self {
        let Options { urls, auth, config } = options;
        Self {
            gate: Gate::new(config.in_flight),
            ceiling: Ceiling::new(config.batch_bytes.0),
            rollovers: Rollovers::default(),
            nodes: Nodes::new(urls),
            config,
            auth,
            http,
            flavour: Mutex::new(None),
            doubts: Mutex::default(),
            no_require_data_stream: AtomicBool::new(false),
            said_plain_index: AtomicBool::new(false),
        }
    }

    fn stream(&self, meta: &Meta) -> String {
        format!("logs-{}-{}", meta.names.dataset, self.config.namespace)
    }

    /// Words of the other side for a person: short, and without our secret, which a proxy may have echoed.
    fn words(&self, text: &str) -> String {
        let text = match self.auth.secret().map(|secret| secret.read()) {
            Some(Ok(secret)) => secret.redact(text),
            _ => text.to_owned(),
        };
        quotable(&text)
    }

    fn request(&self, url: &url::Url, ask: &Ask) -> Result<Request<Bytes>, DeliverError> {
        let halt = |cause: Fault| DeliverError::Halt { cause };
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(format!("{url}{}", ask.path))
            .header(ACCEPT, "application/json")
            .body(ask.body.clone())
            .map_err(|error| halt(Fault::new(FaultKind::Configuration, format!("no request: {error}"))))?;
        let headers = request.headers_mut();
        if let Some(kind) = ask.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if ask.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(value) = self.auth.header().map_err(|error| halt(error.into()))? {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// One exchange with one address. A refused credential is read again, and tried once more where it changed.
    async fn exchange(&self, ask: &Ask) -> Result<Response, DeliverError> {
        let (node, url) = self.nodes.pick();
        let mut tried = false;
        loop {
            let used = self.auth.secret().and_then(|secret| secret.read().ok());
            let answer = self.http.send(self.request(url, ask)?).await;
            let response = match answer {
                Ok(response) => response,
                Err(error) => {
                    if !matches!(error, HttpError::TooLarge(_)) {
                        self.nodes.failed(node);
                    }
                    let mut cause = Fault::from(error);
                    cause.message =
                        format!("{}: {}", url.origin().ascii_serialization(), self.words(&cause.message));
                    return Err(match cause.kind {
                        FaultKind::TooLarge => DeliverError::Halt { cause },
                        _ => DeliverError::Retry { after: None, cause },
                    });
                }
            };
            let status = response.status.as_u16();
            if matches!(status, 502..=504) {
                self.nodes.failed(node);
            } else {
                self.nodes.well(node);
            }
            if !tried && matches!(status, 401 | 403) && self.secret_changed(used.as_ref()) {
                tried = true;
                continue;
            }
            return Ok(response);
        }
    }

    /// Whether there is another secret than the one that was used and refused.
    fn secret_changed(&self, used: Option<&Secret>) -> bool {
        let now = self.http.clock().now();
        let other = |(secret, used): (&SecretRef, &Secret)| secret.refresh(used, now).unwrap_or(false);
        self.auth.secret().zip(used).is_some_and(other)
    }

    /// The product behind the addresses, asked once. Where it may not be asked it stays unknown for a while.
    async fn flavour(&self) -> Result<Flavour, DeliverError> {
        let known = *self.flavour.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((flavour, asked)) = known
            && (flavour != Flavour::UNKNOWN || asked.elapsed() < ASK_AGAIN)
        {
            return Ok(flavour);
        }
        let response = self.exchange(&Ask::get("")).await?;
        let status = response.status.as_u16();
        if matches!(status, 408 | 429 | 500..=599) {
            return Err(self.whole_error(&response, Whole::Retry(FaultKind::Server)));
        }
        let flavour = Flavour::read(&response.body);
        *self.flavour.lock().unwrap_or_else(PoisonError::into_inner) = Some((flavour, Instant::now()));
        Ok(flavour)
    }

    async fn requires_data_stream(&self) -> Result<bool, DeliverError> {
        Ok(match self.config.require_data_stream {
            RequireDataStream::Always => true,
            RequireDataStream::Never => false,
            RequireDataStream::Auto => {
                !self.no_require_data_stream.load(Ordering::Relaxed)
                    && self.flavour().await?.knows_require_data_stream()
            }
        })
    }

    fn path(&self, require_data_stream: bool) -> String {
        let mut path = format!("_bulk?filter_path={}", bulk::FILTER);
        if require_data_stream {
            path.push_str("&require_data_stream=true");
        }
        if let Some(name) = self.config.pipeline() {
            path.push_str("&pipeline=");
            path.push_str(name);
        }
        path
    }

    /// Whether an item must name the id that we gave: where no pipeline of somebody's may give another.
    fn names_ids(&self) -> bool {
        self.config.ids && self.config.mode == Mode::Normalized && self.config.pipeline.is_none()
    }

    /// Sends these framed documents and judges the answer.
    async fn bulk(&self, body: Bytes, documents: &[Document]) -> Result<Sent, DeliverError> {
        let (count, bytes) = (documents.len(), body.len());
        if count > 1 && self.ceiling.is_hopeless(bytes) {
            let message = "the request is as large as one that the server refused lately";
            return Err(DeliverError::Split { cause: Fault::new(FaultKind::TooLarge, message) });
        }
        let (body, gzip) = crate::compressed(body, self.config.gzip.0).await?;
        let mut require_data_stream = self.requires_data_stream().await?;
        loop {
            let response = self
                .exchange(&Ask {
                    method: Method::POST,
                    path: self.path(require_data_stream),
                    content_type: Some("application/x-ndjson"),
                    gzip,
                    body: body.clone(),
                })
                .await?;
            let refusal = bulk::refusal(if response.status.is_success() { b"" } else { &response.body });
            match verdict::whole(response.status, &refusal.kind, &refusal.reason, is_page(&response)) {
                Whole::Items => {
                    let receipt = bulk::receipt(&response.body, count).and_then(|items| {
                        let ids = documents.iter().map(|(_, meta)| meta.id.as_str());
                        let ids = ids.take(if self.names_ids() { count } else { 0 });
                        bulk::in_order(&items, ids).map(|()| items)
                    });
                    if receipt.is_ok() {
                        self.ceiling.taken(bytes);
                    }
                    return match receipt {
                        Ok(items) => {
                            let twice = self.rollovers.answered(documents, &items);
                            let judged = items.iter().map(|item| self.judged(item)).collect();
                            let after = retry_after(&response.headers, response.date);
                            Ok(Sent::Items(judged, if self.config.ids { twice } else { 0 }, after))
                        }
                        Err(why) => Err(DeliverError::Retry {
                            after: None,
                            cause: response.fault(
                                FaultKind::Answer,
                                format!("no receipt: {}", self.words(&why)),
                                None,
                                REQUEST_ID,
                            ),
                        }),
                    };
                }
                Whole::WithoutRequireDataStream if require_data_stream => {
                    self.no_require_data_stream.store(true, Ordering::Relaxed);
                    require_data_stream = false;
                }
                whole => {
                    if whole == Whole::Split(FaultKind::TooLarge) {
                        self.ceiling.refused(bytes);
                    }
                    return match self.whole_error(&response, whole) {
                        DeliverError::Split { cause } if count == 1 => {
                            let alone = verdict::alone(whole, &refusal.kind, &refusal.reason);
                            Ok(Sent::Refused(alone, cause))
                        }
                        error => Err(error),
                    };
                }
            }
        }
    }

    /// The error for a request that was not answered with items.
    fn whole_error(&self, response: &Response, whole: Whole) -> DeliverError {
        let refusal = bulk::refusal(&response.body);
        let reason = self.words(&refusal.reason);
        let fault = |kind: FaultKind, what: &str| {
            let message = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
            response.fault(kind, message, Some(&refusal.kind), REQUEST_ID)
        };
        match whole {
            Whole::Split(kind @ FaultKind::TooLarge) => {
                DeliverError::Split { cause: fault(kind, "the request is larger than the server takes") }
            }
            Whole::Split(kind) => {
                DeliverError::Split { cause: fault(kind, "the request was refused as a whole") }
            }
            Whole::Retry(kind) => {
                let mut cause = fault(kind, "the cluster could not take the request");
                if verdict::is_block(&refusal.kind) && kind == FaultKind::Server {
                    cause = cause.remedy(verdict::unblock(&refusal.reason));
                }
                DeliverError::Retry { after: retry_after(&response.headers, response.date), cause }
            }
            Whole::Halt(FaultKind::ForeignLink) => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                let cause = response.fault(
                    FaultKind::ForeignLink,
                    format!("redirected to {to}, where no credential is sent"),
                    None,
                    REQUEST_ID,
                );
                DeliverError::Halt {
                    cause: cause.remedy("configure the address that answers itself in `urls`"),
                }
            }
            Whole::Halt(kind) => {
                DeliverError::Halt { cause: with_remedy(fault(kind, what_halts(kind)), kind) }
            }
            // Neither comes here; if one did, asking again is harmless.
            Whole::Items | Whole::WithoutRequireDataStream => DeliverError::Retry {
                after: None,
                cause: fault(FaultKind::Answer, "an answer that makes no sense"),
            },
        }
    }

    fn judged(&self, item: &bulk::Item<'_>) -> Judged {
        let verdict = match verdict::verdict(item.status, &item.kind, &item.reason) {
            // It went in and it failed: that is no verdict.
            Verdict::Delivered if item.failed => Verdict::Retry(FaultKind::Answer),
            verdict => verdict,
        };
        let delivered = verdict == Verdict::Delivered;
        Judged {
            fault: self.item_fault(verdict, item),
            verdict,
            in_failure_store: delivered && item.failure_store == "used",
            // A backing index is never named as its stream.
            in_plain_index: delivered && item.index.starts_with("logs-"),
        }
    }

    fn item_fault(&self, verdict: Verdict, item: &bulk::Item<'_>) -> Option<Fault> {
        let (kind, what) = match verdict {
            Verdict::Delivered | Verdict::Duplicate => return None,
            Verdict::Retry(kind) => (kind, "not taken now"),
            Verdict::Blocked => (FaultKind::Server, "the index takes no writes"),
            Verdict::Rejected | Verdict::Doubtful | Verdict::Alone => {
                (FaultKind::Configuration, "the document was refused")
            }
            Verdict::Fault(kind) => (kind, "nothing is taken"),
        };
        let reason = self.words(&item.reason);
        let message = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
        let mut fault = Fault::new(kind, message);
        if item.failure_store == "failed" {
            fault.message.push_str(" (its failure store could not take it either)");
        }
        fault.status = Some(item.status);
        fault.code = Some(quotable(&item.kind)).filter(|code| !code.is_empty());
        Some(match verdict {
            Verdict::Blocked => fault.remedy(verdict::unblock(&item.reason)),
            Verdict::Fault(kind) => with_remedy(fault, kind),
            _ => fault,
        })
    }

    /// Sends one document of a batch alone and files its verdict.
    async fn alone(&self, batch: &Batch, index: usize, delivery: &mut Delivery, cause: Fault) {
        let span = batch.documents.get(index).map(|(span, _)| span.clone());
        let Some(frame) = span.and_then(|span| batch.body.get(span)) else {
            delivery.retry.push((index, cause));
            return;
        };
        let document = batch.documents.get(index..=index).unwrap_or_default();
        match self.bulk(Bytes::copy_from_slice(frame), document).await {
            Ok(Sent::Refused(verdict, cause)) => self.refused(document, (index, verdict, cause), delivery),
            Ok(Sent::Items(items, _, after)) => match items.into_iter().next() {
                Some(Judged { verdict: Verdict::Delivered, .. }) => delivery.delivered += 1,
                Some(Judged { verdict: Verdict::Duplicate, .. }) => delivery.duplicates += 1,
                Some(Judged { verdict: Verdict::Rejected | Verdict::Alone, fault, .. }) => {
                    delivery.rejected.push((index, fault.unwrap_or(cause)));
                }
                Some(Judged { verdict: Verdict::Fault(_), fault, .. }) => {
                    delivery.fault.push((index, fault.unwrap_or(cause)));
                }
                Some(Judged { fault, .. }) => {
                    delivery.retry.push((index, fault.unwrap_or(cause)));
                    delivery.wait(after);
                }
                None => delivery.retry.push((index, cause)),
            },
            Err(error) => {
                delivery.retry.push((index, error.cause().clone()));
                if let DeliverError::Retry { after, .. } = error {
                    delivery.wait(after);
                }
            }
        }
    }

    /// Files the verdict on a document whose request, of it alone, was refused as a whole.
    fn refused(
        &self,
        document: &[Document],
        (index, verdict, cause): (usize, Verdict, Fault),
        delivery: &mut Delivery,
    ) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.next_answer();
        let condemned = verdict == Verdict::Rejected
            || document.iter().any(|(_, meta)| doubts.condemns(meta.names.dataset, &meta.id));
        if condemned {
            delivery.rejected.push((index, cause));
        } else {
            delivery.fault.push((index, with_remedy(cause, FaultKind::Configuration)));
        }
    }

    /// The fault of a whole data stream, with its name in front.
    fn of_stream(&self, meta: &Meta, mut fault: Fault) -> Fault {
        fault.message = format!("{}: {}", self.stream(meta), fault.message);
        fault
    }

    /// Files every document's verdict. Those to be sent alone are returned.
    fn sort(&self, batch: &Batch, items: Vec<Judged>) -> (Delivery, Vec<(usize, Fault)>) {
        let mut delivery = Delivery::default();
        let mut alone = Vec::new();
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.next_answer();
        let (mut in_failure_store, mut in_plain_index) = (BTreeMap::<String, usize>::new(), false);
        for (item, (_, meta)) in items.iter().zip(&batch.documents) {
            if matches!(item.verdict, Verdict::Delivered | Verdict::Duplicate) {
                doubts.taken(meta.names.dataset, &meta.id);
            }
        }
        for (index, (item, (_, meta))) in items.into_iter().zip(&batch.documents).enumerate() {
            if item.in_failure_store {
                *in_failure_store.entry(self.stream(meta)).or_default() += 1;
            }
            in_plain_index |= item.in_plain_index;
            let fault =
                item.fault.unwrap_or_else(|| Fault::new(FaultKind::Answer, "refused without a reason"));
            match item.verdict {
                Verdict::Delivered => delivery.delivered += 1,
                Verdict::Duplicate => delivery.duplicates += 1,
                Verdict::Retry(_) => delivery.retry.push((index, fault)),
                Verdict::Rejected => delivery.rejected.push((index, fault)),
                Verdict::Doubtful if doubts.condemns(meta.names.dataset, &meta.id) => {
                    delivery.rejected.push((index, fault));
                }
                Verdict::Doubtful => {
                    let fault = self.of_stream(meta, with_remedy(fault, FaultKind::Configuration));
                    delivery.fault.push((index, fault));
                }
                Verdict::Alone => alone.push((index, fault)),
                Verdict::Fault(_) | Verdict::Blocked => {
                    delivery.fault.push((index, self.of_stream(meta, fault)));
                }
            }
        }
        for (stream, count) in in_failure_store {
            delivery.warnings.push(format!(
                "{stream}: {count} documents went into the failure store, since the mapping or a pipeline does not fit \
                 them; read {stream}::failures"
            ));
        }
        if in_plain_index && !self.said_plain_index.swap(true, Ordering::Relaxed) {
            delivery.warnings.push(
                "documents went into a plain index, not a data stream: install the index templates \
                 (tidegate assets install elasticsearch)"
                    .to_owned(),
            );
        }
        (delivery, alone)
    }
}

/// The header with which Elasticsearch names a request.
const REQUEST_ID: &str = "x-opaque-id";

fn is_page(response: &Response) -> bool {
    let html = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    html || response.body.trim_ascii_start().first() == Some(&b'<')
}

fn what_halts(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Credential => "the cluster refused the credential",
        FaultKind::Permission => "the credential may not write here",
        _ => "the cluster does not take this request",
    }
}

fn with_remedy(fault: Fault, kind: FaultKind) -> Fault {
    match kind {
        FaultKind::Credential => fault.remedy("renew the secret that `api_key`, `password` or `bearer` refers to"),
        FaultKind::Permission => {
            fault.remedy("grant create_doc and auto_configure on the data streams logs-*-<namespace>, and monitor")
        }
        FaultKind::Configuration => fault.remedy(
            "look at the reason: address, index template, pipeline, closed index or the cluster's shard limit; \
             everything is kept and goes on by itself",
        ),
        _ => fault,
    }
}

#[async_trait]
impl Sink for Elasticsearch {
    fn default_schema(&self) -> Option<&'static str> {
        Some(self.config.mode.schema())
    }

    fn required_schema(&self) -> Option<&'static str> {
        match self.config.mode {
            Mode::Normalized => None,
            Mode::RawForIntegration => Some(self.config.mode.schema()),
        }
    }

    fn namespace(&self) -> &str {
        &self.config.namespace
    }

    fn deterministic(&self) -> bool {
        self.config.ids
    }

    fn guarantee(&self) -> Guarantee {
        let because = "the cluster answers for each document";
        if self.config.ids {
            Guarantee {
                level: Level::ExactlyOnce,
                because: format!("{because}, and knows a document that comes again by its id"),
                except: vec![
                    "an id is known within one backing index: what was in flight while the data stream rolled over \
                     may be there twice, under the same id"
                        .to_owned(),
                ],
            }
        } else {
            Guarantee {
                level: Level::AtLeastOnce,
                because: because.to_owned(),
                except: vec![
                    "without ids (`ids = false`) what was in flight at a failure comes twice; `event.id` tells it"
                        .to_owned(),
                ],
            }
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            bytes: self.ceiling.now(),
            count: self.config.batch_count,
            age: self.config.batch_age.0,
            in_flight: self.config.in_flight,
        }
    }

    fn frame(&self, buf: &mut Vec<u8>, meta: &Meta, document: &mut Render<'_>) -> Result<(), NormalizeError> {
        let id = self.config.ids.then_some(meta.id.as_str());
        bulk::frame(buf, &self.stream(meta), id, &mut |buf: &mut Vec<u8>| {
            let from = buf.len();
            document(buf)?;
            bulk::stamp(buf, from, meta.time);
            Ok(())
        })
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        let count = batch.documents.len();
        if count == 0 {
            return Ok(Delivery::default());
        }
        let permit = self.gate.enter().await;
        let (items, twice, after) = match self.bulk(crate::payload(batch), &batch.documents).await {
            Ok(Sent::Items(items, twice, after)) => (items, twice, after),
            Ok(Sent::Refused(verdict, cause)) => {
                let mut delivery = Delivery::default();
                self.refused(&batch.documents, (0, verdict, cause), &mut delivery);
                return Ok(delivery);
            }
            Err(error) => {
                match (&error, error.cause().kind) {
                    (_, FaultKind::RateLimit) => self.gate.narrow(permit),
                    (DeliverError::Retry { .. }, _) => self.rollovers.unanswered(&batch.documents),
                    _ => {}
                }
                return Err(error);
            }
        };
        let busy = items.iter().any(|item| item.verdict == Verdict::Retry(FaultKind::RateLimit));
        let (mut delivery, alone) = self.sort(batch, items);
        if !delivery.retry.is_empty() {
            delivery.wait(after);
        }
        if twice > 0 {
            delivery.warnings.push(format!(
                "{twice} documents may be there twice, under the same id: their first answer was lost, and their data \
                 stream has rolled over since"
            ));
        }
        for (n, (index, cause)) in alone.into_iter().enumerate() {
            if n < ALONE {
                self.alone(batch, index, &mut delivery, cause).await;
            } else {
                delivery.retry.push((index, cause));
            }
        }
        if busy {
            self.gate.narrow(permit);
        } else {
            self.gate.widen();
        }
        Ok(delivery)
    }

    async fn check(&self) -> Findings {
        let mut findings = Findings::default();
        let mut flavour = Flavour::UNKNOWN;
        for _ in self.nodes.all() {
            match self.exchange(&Ask::get("")).await {
                Ok(response) => match verdict::whole(response.status, "", "", is_page(&response)) {
                    Whole::Items => {
                        flavour = Flavour::read(&response.body);
                        findings.lines.push(format!("answers: {flavour}"));
                    }
                    // The right to ask for the version is not needed for writing.
                    Whole::Halt(FaultKind::Permission) => {
                        findings.lines.push("answers, but does not tell its version".to_owned());
                    }
                    whole => findings.faults.push(self.whole_error(&response, whole).cause().clone()),
                },
                Err(error) => findings.faults.push(error.cause().clone()),
            }
        }
        if flavour.is_serverless() && !matches!(self.auth, Auth::ApiKey(_)) {
            let fault = Fault::new(FaultKind::Credential, "serverless projects take API keys alone");
            findings.faults.push(fault.remedy("create an API key in the project and set `api_key` instead"));
        }
        if findings.faults.is_empty() {
            self.check_rights(flavour, &mut findings).await;
        }
        findings
    }

    async fn install(&self, policies: bool) -> Result<Vec<String>, Fault> {
        install::install(self, policies).await
    }
}

impl Elasticsearch {
    /// Asks Elasticsearch whether the credential may write; others cannot be asked.
    async fn check_rights(&self, flavour: Flavour, findings: &mut Findings) {
        if !flavour.is_elasticsearch() {
            return;
        }
        let pattern = format!("logs-*-{}", self.config.namespace);
        let body = serde_json::json!({
            "index": [{ "names": [pattern], "privileges": ["auto_configure", "create_doc"] }]
        });
        let ask = Ask {
            method: Method::POST,
            path: "_security/user/_has_privileges".to_owned(),
            content_type: Some("application/json"),
            gzip: false,
            body: body.to_string().into(),
        };
        // A cluster without security, or a proxy that hides this address, says nothing about rights.
        let Ok(response) = self.exchange(&ask).await else { return };
        if !response.status.is_success() {
            return;
        }
        let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match answer.get("has_all_requested").and_then(serde_json::Value::as_bool) {
            Some(true) => findings.lines.push(format!("may write to {pattern}")),
            Some(false) => {
                let fault = Fault::new(
                    FaultKind::Permission,
                    format!("the credential lacks create_doc or auto_configure on {pattern}"),
                );
                findings.faults.push(with_remedy(fault, FaultKind::Permission));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
