//! One client for all connectors and sinks: limits on what comes back, the quota, and the other side's clock.
//!
//! - [`transport`]: how bytes get out and back; the one file that names reqwest.
//! - `resolve`: names become addresses, on threads of their own.
//! - [`judge`]: what an answer means; the one table of statuses and headers.
//! - [`backoff`]: how long to wait after a failure. Only the collect and deliver loops wait and retry.
//! - [`link`]: `Link` headers, and which links may be followed.
//! - [`cut`]: an answer's envelope, cut into records.

pub mod backoff;
pub mod cut;
pub mod judge;
pub mod link;
pub mod resolve;
pub mod transport;

pub use backoff::Backoff;
pub use judge::{RateHeaders, Verdict};
pub use transport::{
    Body, ClientCertificate, Reqwest, Transport, TransportError, TransportSettings, TransportSettingsError,
};

use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::quota::{Buckets, Quota};
use crate::sink::DeliverError;
use crate::source::PollError;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Page slots of a process unless configured.
pub const PAGE_SLOTS: usize = 8;

/// Bounds of an exchange.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Bytes of a body after decoding; 64 MiB. The key of this name is what an operator raises.
    pub max_body: usize,
    /// How long headers may take; 60 s, since vendors give up on a query of their own after 30 s and say so with a 500.
    pub headers: Duration,
    /// How long a body may pause; 30 s.
    pub idle: Duration,
    /// How long a whole body may take; 120 s.
    pub total: Duration,
    /// Bytes a second that a body must bring, measured over [`HttpSettings::floor_span`]; 64 KiB. 0: no floor.
    pub floor: usize,
    /// 10 s.
    pub floor_span: Duration,
    /// Slots for bodies in memory, shared by all sources of a process; `None`: not counted (sinks' answers are small).
    /// A slot is taken after the headers and given back when the last clone of the body's bytes is dropped: copy what
    /// must outlive the commit.
    pub slots: Option<Arc<Semaphore>>,
    /// How long to wait for one of these slots before the answer is dropped and asked for again; 60 s.
    pub slot: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_body: 64 << 20,
            headers: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(120),
            floor: 64 << 10,
            floor_span: Duration::from_secs(10),
            slots: None,
            slot: Duration::from_secs(60),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decoded.
    pub body: Bytes,
    /// The other side's clock, where it said so.
    pub date: Option<DateTime<Utc>>,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Nothing came in time.
    #[error("timed out: {0}")]
    Timeout(&'static str),
    /// The body comes too slowly.
    #[error("the body came at under {0} bytes a second and was dropped")]
    Slow(usize),
    /// The body is larger than we are willing to hold.
    #[error("the answer is larger than max_body ({0} bytes)")]
    TooLarge(usize),
    /// All page slots are taken.
    #[error("no page slot was free for {} s", .0.as_secs())]
    NoSlot(Duration),
}

/// What to do about a certificate for whose refusal (`why`, in the words of the TLS library) no list of authorities is to
/// blame: appliances often show one that they made themselves as an authority's. The library has no variant of its own for it.
#[must_use]
pub fn distrusted(why: &str) -> Option<&'static str> {
    why.contains("CaUsedAsEndEntity").then_some(
        "the other side shows an authority's own certificate (self-signed, CA:TRUE), which is not accepted for a server: give \
         it one that this authority has signed, and trust the authority",
    )
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        let message = error.to_string();
        match error {
            HttpError::TooLarge(_) => Self::new(FaultKind::TooLarge, message)
                .remedy("raise max_body, or make the vendor's pages smaller (limit)"),
            HttpError::Transport(TransportError::Tls(_)) => {
                let otherwise = "if a private authority signed the certificate, name its file in ca_file";
                let remedy = distrusted(&message).unwrap_or(otherwise);
                Self::new(FaultKind::Network, message).remedy(remedy)
            }
            HttpError::Transport(TransportError::Connect(_)) => Self::new(FaultKind::Network, message)
                .remedy("see that it listens at this address, and that no firewall is between"),
            HttpError::Transport(TransportError::Decode(_)) => Self::new(FaultKind::Answer, message),
            HttpError::Transport(_) | HttpError::Timeout(_) | HttpError::Slow(_) | HttpError::NoSlot(_) => {
                Self::new(FaultKind::Network, message)
            }
        }
    }
}

impl From<HttpError> for PollError {
    fn from(error: HttpError) -> Self {
        let cause = Fault::from(error);
        match cause.kind {
            FaultKind::TooLarge => Self::Halt { cause },
            _ => Self::Retry { after: None, cause },
        }
    }
}

impl From<HttpError> for DeliverError {
    fn from(error: HttpError) -> Self {
        let cause = Fault::from(error);
        match cause.kind {
            FaultKind::TooLarge => Self::Halt { cause },
            _ => Self::Retry { after: None, cause },
        }
    }
}

/// Everything about outgoing connections of one source or sink: transport, limits, quota, clock. Clones share all.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    clock: Clock,
    settings: Arc<HttpSettings>,
    quota: Option<Quota>,
    buckets: Buckets,
    /// One source reads one body at a time, so that it cannot take all page slots.
    alone: Option<Arc<Semaphore>>,
    skew: Arc<Mutex<Option<TimeDelta>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client without a quota.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, clock: Clock, settings: HttpSettings) -> Self {
        Self {
            transport,
            clock,
            settings: Arc::new(settings),
            quota: None,
            buckets: Buckets::default(),
            alone: None,
            skew: Arc::default(),
        }
    }

    /// The same for one vendor organisation: its own quota, its own measure of the clock.
    #[must_use]
    pub fn with_quota(&self, quota: Quota) -> Self {
        Self { quota: Some(quota), skew: Arc::default(), ..self.clone() }
    }

    /// The same for one source: its vendor's budgets, its own measure of the clock.
    #[must_use]
    pub fn with_buckets(&self, buckets: Buckets) -> Self {
        let alone = self.settings.slots.is_some().then(|| Arc::new(Semaphore::new(1)));
        Self { quota: buckets.first(), buckets, alone, skew: Arc::default(), ..self.clone() }
    }

    /// The same as a stream uses it: what it asks and learns concerns the budgets that this stream spends from.
    #[must_use]
    pub fn of(&self, stream: &str) -> Self {
        Self { quota: self.buckets.of(stream).or_else(|| self.quota.clone()), ..self.clone() }
    }

    /// All budgets of the source.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The same with another clock (tests of wrong clocks).
    #[must_use]
    pub fn with_clock(&self, clock: Clock) -> Self {
        Self { clock, skew: Arc::default(), ..self.clone() }
    }

    /// The same, showing a certificate to servers that ask for one.
    ///
    /// # Errors
    /// The certificate or its key cannot be used.
    pub fn with_certificate(&self, certificate: &ClientCertificate) -> Result<Self, TransportSettingsError> {
        let transport = self.transport.with_certificate(certificate)?;
        Ok(Self { transport: transport.unwrap_or_else(|| Arc::clone(&self.transport)), ..self.clone() })
    }

    /// How long the quota asks to wait before the next request; `None`: go. Takes the slot when it says go.
    #[must_use = "a wait that is not kept is a request too many"]
    pub fn ready(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.quota.as_ref().and_then(|quota| quota.take(now))
    }

    /// The organisation's budget.
    #[must_use]
    pub fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    /// Our clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How far our clock is ahead of the other side's, by its last `Date` header; good to about a second.
    #[must_use]
    pub fn skew(&self) -> Option<TimeDelta> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other side's time, as well as we know it.
    #[must_use]
    pub fn their_now(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        self.skew().and_then(|skew| now.checked_sub_signed(skew)).unwrap_or(now)
    }

    /// Sends one request, once, and reads the whole answer within the limits.
    ///
    /// # Errors
    /// See [`HttpError`]. An answer with a bad status is an answer; [`Client::judge`] says what it means.
    pub async fn send(&self, mut request: http::Request<Bytes>) -> Result<Response, HttpError> {
        request
            .headers_mut()
            .entry(http::header::USER_AGENT)
            .or_insert(http::HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))));
        let answer = timeout(self.settings.headers, self.transport.send(request))
            .await
            .map_err(|_| HttpError::Timeout("no headers came"))??;
        let (head, body) = answer.into_parts();
        let date =
            head.headers.get(http::header::DATE).and_then(|value| judge::http_date(value.to_str().ok()?));
        if let Some(date) = date {
            self.measure(date);
        }
        let limit = self.settings.max_body;
        if length(&head.headers).is_some_and(|length| length > limit) {
            return Err(HttpError::TooLarge(limit));
        }
        let slot = self.slot().await?;
        let expected = length(&head.headers).unwrap_or(0);
        let body = timeout(self.settings.total, self.read(body, expected))
            .await
            .map_err(|_| HttpError::Timeout("the body did not end"))??;
        let body = match slot {
            (None, None) => Bytes::from(body),
            slot => Bytes::from_owner(Held { body, _slot: slot }),
        };
        Ok(Response { status: head.status, headers: head.headers, body, date })
    }

    /// What the answer means, and what the quota learns from it. `rate`: how this vendor words its limit, if it does.
    #[must_use]
    pub fn judge(&self, response: &Response, rate: Option<&RateHeaders>) -> Verdict {
        let verdict = judge::judge(response, rate);
        let Some(quota) = &self.quota else { return verdict };
        let now = self.clock.now();
        if let Some(seen) = rate.and_then(|rate| judge::seen(response, rate)) {
            quota.observe(seen, now);
        }
        match verdict {
            Verdict::Retry { after, kind: kind @ (FaultKind::RateLimit | FaultKind::Concurrency) } => {
                Verdict::Retry { after: quota.refused(kind, after, now), kind }
            }
            other => other,
        }
    }

    /// The date has whole seconds: it was true on average half a second ago.
    fn measure(&self, date: DateTime<Utc>) {
        let skew = self.clock.now().signed_duration_since(date) - TimeDelta::milliseconds(500);
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
    }

    /// Waiting for the source's own place has no end of its own: each body before us has one, and an answer that is dropped
    /// would have to be asked for again, behind the same bodies.
    async fn slot(&self) -> Result<Slot, HttpError> {
        let wait = self.settings.slot;
        let take = async |slots: &Option<Arc<Semaphore>>| match slots {
            None => Ok(None),
            Some(slots) => {
                Arc::clone(slots).acquire_owned().await.map(Some).map_err(|_| HttpError::NoSlot(wait))
            }
        };
        let alone = take(&self.alone).await?;
        let slot = timeout(wait, take(&self.settings.slots)).await.unwrap_or(Err(HttpError::NoSlot(wait)))?;
        Ok((alone, slot))
    }

    /// `expected` is what the other side promised, under `max_body`: room that is not written to costs nothing.
    async fn read(&self, mut body: Body, expected: usize) -> Result<Vec<u8>, HttpError> {
        let HttpSettings { max_body, idle, floor, floor_span, .. } = *self.settings;
        let least = floor.saturating_mul(usize::try_from(floor_span.as_secs()).unwrap_or(usize::MAX));
        let mut bytes = match self.settings.slots {
            Some(_) => crate::spare::take(expected),
            None => Vec::with_capacity(expected),
        };
        let mut span_start = 0;
        let mut span_end = std::pin::pin!(sleep(floor_span));
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = timeout(idle, body.next()) => chunk.map_err(|_| HttpError::Timeout("the body paused"))?,
                () = &mut span_end, if floor > 0 => {
                    if bytes.len() - span_start < least {
                        return Err(HttpError::Slow(floor));
                    }
                    span_start = bytes.len();
                    span_end.set(sleep(floor_span));
                    continue;
                }
            };
            let Some(chunk) = chunk else { return Ok(bytes) };
            let chunk = chunk?;
            if bytes.len().saturating_add(chunk.len()) > max_body {
                return Err(HttpError::TooLarge(max_body));
            }
            bytes.extend_from_slice(&chunk);
        }
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that keeps its page slot.
struct Held {
    body: Vec<u8>,
    _slot: Slot,
}

/// The source's own place and the process's.
type Slot = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

impl Drop for Held {
    fn drop(&mut self) {
        crate::spare::give(std::mem::take(&mut self.body));
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::testkit::script::{Reply, Script};

    fn get() -> http::Request<Bytes> {
        http::Request::get("https://acme.example.com/x?token=hidden").body(Bytes::new()).unwrap()
    }

    fn small() -> HttpSettings {
        HttpSettings { max_body: 1000, floor: 10, ..HttpSettings::default() }
    }

    fn chunks(chunks: &[(u64, usize)]) -> Reply {
        let chunk =
            |(pause, size): &(u64, usize)| (Duration::from_secs(*pause), Bytes::from(vec![b'x'; *size]));
        Reply { chunks: chunks.iter().map(chunk).collect(), ..Reply::json(200, "") }
    }

    #[test]
    fn a_connection_that_cannot_be_made_comes_with_what_to_do_about_it() {
        let remedy = |error| Fault::from(HttpError::from(error)).remedy.unwrap_or_default();
        let tls = |why: &str| remedy(TransportError::Tls(why.to_owned()));
        assert!(tls("invalid peer certificate: UnknownIssuer").contains("ca_file"));
        let own = tls("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
        assert!(own.contains("CA:TRUE") && !own.contains("ca_file"), "{own}");
        assert!(remedy(TransportError::Connect("refused".to_owned())).contains("firewall"));
    }

    #[tokio::test(start_paused = true)]
    async fn measures_how_far_our_clock_is_ahead() {
        let script = Script::start();
        for wrong in [-90, 0, 2, 90] {
            script.push(Reply::json(200, "[]"));
            let client = script.client_with(HttpSettings::default(), TimeDelta::seconds(wrong));
            assert_eq!(client.skew(), None);
            client.send(get()).await.unwrap();
            assert!((client.skew().unwrap() - TimeDelta::seconds(wrong)).abs() <= TimeDelta::seconds(1));
            assert!((client.their_now() - script.clock().now()).abs() <= TimeDelta::seconds(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_above_max_body_is_refused_whether_announced_or_not() {
        let script = Script::start();
        let client = script.client_with(small(), TimeDelta::zero());
        script.push(chunks(&[(0, 600), (0, 400)]));
        assert_eq!(client.send(get()).await.unwrap().body.len(), 1000);
        script.push(chunks(&[(0, 600), (0, 401)]));
        assert_eq!(client.send(get()).await.unwrap_err(), HttpError::TooLarge(1000));
        script.push(chunks(&[]).header("content-length", "1001"));
        let error = client.send(get()).await.unwrap_err();
        let PollError::Halt { cause } = error.into() else { panic!("more of the same cannot help") };
        assert!(cause.message.contains("max_body") && cause.remedy.unwrap().contains("max_body"));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_headers_bodies_and_pauses_only_so_long() {
        let script = Script::start();
        let client = script.client_with(HttpSettings { floor: 0, ..small() }, TimeDelta::zero());
        script.push(Reply { delay: Duration::from_secs(61), ..Reply::json(200, "[]") });
        assert_eq!(client.send(get()).await.unwrap_err(), HttpError::Timeout("no headers came"));
        script.push(chunks(&[(0, 1), (31, 1)]));
        assert_eq!(client.send(get()).await.unwrap_err(), HttpError::Timeout("the body paused"));
        script.push(chunks(&[(25, 1); 5]));
        assert_eq!(client.send(get()).await.unwrap_err(), HttpError::Timeout("the body did not end"));
        script.push(chunks(&[(25, 1); 4]));
        assert_eq!(client.send(get()).await.unwrap().body.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_dropped() {
        let script = Script::start();
        let client = script.client_with(small(), TimeDelta::zero());
        script.push(chunks(&[(1, 9); 20]));
        assert_eq!(client.send(get()).await.unwrap_err(), HttpError::Slow(10));
        script.push(chunks(&[(1, 11); 20]));
        assert_eq!(client.send(get()).await.unwrap().body.len(), 220);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_slot_is_held_as_long_as_the_bytes() {
        let script = Script::start();
        script.answer(|_, _| Ok(Reply::json(200, "[]")));
        let slots = Arc::new(Semaphore::new(1));
        let settings = HttpSettings { slots: Some(Arc::clone(&slots)), ..small() };
        let client = script.client_with(settings, TimeDelta::zero());
        let response = client.send(get()).await.unwrap();
        let record = response.body.slice(..1);
        drop(response);
        let refused = client.send(get()).await.unwrap_err();
        assert_eq!(refused, HttpError::NoSlot(Duration::from_secs(60)));
        assert!(matches!(refused.into(), PollError::Retry { .. }));
        drop(record);
        assert!(client.send(get()).await.is_ok());
        assert_eq!(slots.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_behind_a_slow_body_of_their_own_source_wait_for_it() {
        let script = Script::start();
        let settings = HttpSettings { slots: Some(Arc::new(Semaphore::new(8))), floor: 0, ..small() };
        let client = script.client_with(settings, TimeDelta::zero()).with_buckets(Buckets::default());
        for _ in 0..4 {
            script.push(chunks(&[(25, 1); 4]));
        }
        let one = async || client.send(get()).await.map(|response| response.body.len());
        let begin = tokio::time::Instant::now();
        let all = tokio::join!(one(), one(), one(), one());
        assert_eq!(all, (Ok(4), Ok(4), Ok(4), Ok(4)));
        assert_eq!(begin.elapsed().as_secs(), 400, "one after the other");
    }

    #[tokio::test(start_paused = true)]
    async fn the_quota_learns_from_every_answer() {
        const RATE: RateHeaders =
            RateHeaders { limit: "x-l", remaining: "x-m", reset: "x-r", longest: Duration::from_secs(300) };
        let script = Script::start();
        let client = script.client();
        let reset = script.clock().now().timestamp() + 30;
        let reply = |status, limit: &str, left: &str| {
            Reply::json(status, "[]")
                .header("x-l", limit)
                .header("x-m", left)
                .header("x-r", &reset.to_string())
        };
        script.push(reply(200, "60", "59"));
        let response = client.send(get()).await.unwrap();
        assert_eq!(client.judge(&response, Some(&RATE)), Verdict::Ok);
        assert_eq!(client.ready(client.clock().now()), None);
        assert_eq!(client.ready(client.clock().now()), Some(Duration::from_secs(2)));
        script.push(reply(429, "0", "0"));
        let response = client.send(get()).await.unwrap();
        assert_eq!(
            client.judge(&response, Some(&RATE)),
            Verdict::Retry { after: Some(Duration::from_secs(1)), kind: FaultKind::Concurrency }
        );
        assert_eq!(client.quota().unwrap().status(client.clock().now()).limit, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_hold_no_query() {
        let script = Script::start();
        script.fail(TransportError::Connect("refused".to_owned()));
        script.push(chunks(&[(0, 1)]).broken());
        let client = script.client();
        for _ in 0..2 {
            let error = client.send(get()).await.unwrap_err();
            let fault = Fault::from(error.clone());
            assert!(!format!("{error:?} {error} {fault:?}").contains("hidden"));
            assert_eq!(fault.kind, FaultKind::Network);
        }
    }
}
