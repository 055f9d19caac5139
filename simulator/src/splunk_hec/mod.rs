//! A stand-in for Splunk's HTTP Event Collector: envelopes and lines, the prefix rule, acknowledgement.
//!
//! Objects are looked at one after the other and stored as they come, so those before the first bad one are in. What is
//! stored is not deduplicated, as in life.

mod config;
mod events;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

pub use config::{DEFAULT_TOKEN, HecToken, SplunkHecConfig, TooLarge};

use crate::answer::{Answer, Handler, accepts_gzip, http_date};
use crate::control::{Desk, Notices, done, front_desk, lock, no_such_control, parse};
use crate::faults::Fault;

/// The cookie of the balancer in front of several indexers.
const COOKIE: &str = "AWSALB";

/// A collector. Clones are the same collector.
#[derive(Debug, Clone)]
pub struct SplunkHec {
    shared: Arc<Shared>,
}

front_desk!(SplunkHec);

#[derive(Debug)]
struct Shared {
    config: SplunkHecConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: Vec<HecToken>,
    stored: Vec<Stored>,
    never_acknowledges: bool,
    /// The code of a success instead of 0.
    capacity: Option<u64>,
    /// By token, channel and indexer.
    channels: HashMap<(String, String, usize), Channel>,
    /// Requests without a cookie.
    turn: usize,
    requests: u64,
    refused: u64,
    acks_asked: u64,
    acks_told: u64,
    codes: BTreeMap<u64, u64>,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    /// When each id that was not told yet was given.
    pending: HashMap<u64, DateTime<Utc>>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The index it lies in.
    pub index: String,
    /// Its `host`; empty where nobody said.
    pub host: String,
    /// Its `source`.
    pub source: String,
    /// Its `sourcetype`.
    pub sourcetype: String,
    /// Its `time`, digit for digit; `None`: the time of receipt, or what the line says.
    pub time: Option<String>,
    /// Its indexed fields.
    pub fields: Option<Value>,
    /// The event: JSON text byte for byte, or the line.
    pub event: Bytes,
    /// Which request brought it, from 1.
    pub request: u64,
}

impl Stored {
    fn describe(&self) -> Value {
        let event = serde_json::from_slice(&self.event)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.event).into_owned()));
        json!({
            "index": self.index,
            "host": self.host,
            "source": self.source,
            "sourcetype": self.sourcetype,
            "time": self.time,
            "fields": self.fields,
            "event": event,
            "request": self.request,
        })
    }
}

impl SplunkHec {
    /// Sets a collector up.
    pub fn new(config: SplunkHecConfig) -> Self {
        let desk = Desk::new(config.clock_offset, None);
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let inner = Inner {
            tokens: config.tokens.clone(),
            never_acknowledges: config.never_acknowledges,
            ..Inner::default()
        };
        Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) }
    }

    /// Answers one request. `now` is the true (or virtual) time.
    pub fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let desk = &self.shared.desk;
        let now = desk.now(now);
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            if path == "/_sim/faults" && request.method() == Method::POST {
                return self.post_faults(request, now);
            }
            return desk.control(request, now).unwrap_or_else(|| self.control(request));
        }
        desk.notices.received(path);
        let fault = desk.next_fault(path, &usual_faults());
        let mut answer = match fault.as_ref().and_then(instead) {
            Some(answer) => answer,
            None => self.balance(request, now),
        };
        answer.set("date", &http_date(now));
        if let Some(Fault::Exchange(exchange)) = &fault {
            exchange.set_headers(&mut answer, now);
        }
        if matches!(fault, Some(Fault::CutJson)) {
            Fault::CutJson.on_the_wire(&mut answer);
        }
        let own_body = fault.as_ref().is_some_and(Fault::has_own_body);
        if !own_body && accepts_gzip(request.headers()) && !answer.body.is_empty() {
            answer.gzip();
        }
        if let Some(fault) = fault.as_ref().filter(|fault| **fault != Fault::CutJson) {
            fault.on_the_wire(&mut answer);
        }
        desk.answered(request, &mut answer, fault.as_ref(), now);
        answer
    }

    /// Everything that is stored, in order of arrival; what came twice is there twice.
    pub fn stored(&self) -> Vec<Stored> {
        lock(&self.shared.inner).stored.clone()
    }

    /// Replaces the tokens: rotates, disables, lets write another index.
    pub fn set_tokens(&self, tokens: Vec<HecToken>) {
        lock(&self.shared.inner).tokens = tokens;
    }

    /// Whether anything is acknowledged.
    pub fn set_never_acknowledges(&self, never: bool) {
        lock(&self.shared.inner).never_acknowledges = never;
    }

    /// The code of a success: 24 and 25 say that capacity is near; `None` is 0.
    pub fn set_capacity_code(&self, code: Option<u64>) {
        lock(&self.shared.inner).capacity = code;
    }

    /// The indexers start again: they know no channel and no id any more, and count from the beginning.
    pub fn restart(&self) {
        lock(&self.shared.inner).channels.clear();
    }

    /// Ids that were given and not told to be true yet, over all channels.
    pub fn unacknowledged(&self) -> usize {
        lock(&self.shared.inner).channels.values().map(|channel| channel.pending.len()).sum()
    }

    /// Counts, as `GET /_sim/totals` gives them.
    pub fn totals(&self) -> Value {
        let inner = lock(&self.shared.inner);
        let mut indexes: BTreeMap<&str, u64> = BTreeMap::new();
        for stored in &inner.stored {
            *indexes.entry(&stored.index).or_default() += 1;
        }
        let channels: HashSet<&str> = inner.channels.keys().map(|(_, channel, _)| channel.as_str()).collect();
        json!({
            "server": "splunk_hec",
            "stored": inner.stored.len(),
            "indexes": indexes,
            "posts": inner.requests,
            "refused": inner.refused,
            "codes": inner.codes,
            "channels": channels.len(),
            "acks": {"asked": inner.acks_asked, "told": inner.acks_told},
            "requests": self.shared.desk.totals(),
        })
    }

    /// Chooses the indexer and lets it answer.
    fn balance(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let indexers = self.shared.config.indexers.max(1);
        let cookie = request
            .headers()
            .get_all(http::header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')?.parse::<usize>().ok());
        let indexer = cookie.filter(|indexer| *indexer < indexers).unwrap_or_else(|| {
            let mut inner = lock(&self.shared.inner);
            inner.turn += 1;
            (inner.turn - 1) % indexers
        });
        let mut answer = self.answer(request, indexer, now);
        if indexers > 1 {
            answer.add("set-cookie", &format!("{COOKIE}={indexer}; Path=/"));
        }
        answer
    }

    fn answer(&self, request: &Request<Bytes>, indexer: usize, now: DateTime<Utc>) -> Answer {
        let path = request.uri().path().trim_end_matches("/1.0");
        let Some(endpoint) = path.strip_prefix("/services/collector") else { return self.no_such(path) };
        let wanted = if endpoint == "/health" { Method::GET } else { Method::POST };
        if !["", "/event", "/raw", "/ack", "/health"].contains(&endpoint) {
            return self.no_such(path);
        }
        if request.method() != wanted {
            return self.coded(StatusCode::METHOD_NOT_ALLOWED, 405, "Method Not Allowed");
        }
        if endpoint == "/health" {
            return self.coded(StatusCode::OK, 17, "HEC is healthy");
        }
        let query: HashMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let token = match self.token(request, &query) {
            Ok(token) => token,
            Err(answer) => return *answer,
        };
        let header = request.headers().get("x-splunk-request-channel").and_then(|value| value.to_str().ok());
        let channel = header.map(str::to_owned).or_else(|| query.get("channel").cloned());
        match &channel {
            Some(channel) if !is_guid(channel) => {
                return self.coded(StatusCode::BAD_REQUEST, 11, "Invalid data channel");
            }
            None if token.acknowledges => {
                return self.coded(StatusCode::BAD_REQUEST, 10, "Data channel is missing");
            }
            _ => {}
        }
        let key = (token.value.clone(), channel.unwrap_or_default().to_ascii_uppercase(), indexer);
        if endpoint == "/ack" {
            if !token.acknowledges {
                return self.coded(StatusCode::BAD_REQUEST, 14, "ACK is disabled");
            }
            return self.acks(request, key, now);
        }
        let body = match self.body(request) {
            Ok(body) => body,
            Err(answer) => return *answer,
        };
        if body.iter().all(u8::is_ascii_whitespace) {
            return self.coded(StatusCode::BAD_REQUEST, 5, "No data");
        }
        let config = &self.shared.config;
        let (events, bad) = match endpoint {
            "/raw" => events::lines(&body, &token, &query, config.max_event_bytes),
            _ => events::envelopes(&body, &token, config.max_event_bytes),
        };
        let mut inner = lock(&self.shared.inner);
        inner.requests += 1;
        let number = inner.requests;
        let count = events.len() as u64;
        inner.stored.extend(events.into_iter().map(|event| Stored { request: number, ..event }));
        if let Some(bad) = bad {
            inner.refused += 1;
            drop(inner);
            self.shared.desk.notices.events(request.uri().path(), count);
            let mut answer = json!({"text": bad.text, "code": bad.code});
            if let (true, Some(members)) = (config.names_the_bad, answer.as_object_mut()) {
                members.insert("invalid-event-number".to_owned(), json!(bad.number));
            }
            return self.answered(StatusCode::BAD_REQUEST, bad.code, &answer);
        }
        let code = inner.capacity.unwrap_or(0);
        let mut answer =
            json!({"text": if code == 0 { "Success" } else { "Success, capacity is near" }, "code": code});
        if token.acknowledges {
            let channel = inner
                .channels
                .entry(key)
                .or_insert_with(|| Channel { next: config.first_ack_id, pending: HashMap::new() });
            let id = channel.next;
            channel.next = id.wrapping_add(1);
            channel.pending.insert(id, now);
            if let Some(members) = answer.as_object_mut() {
                members.insert("ackId".to_owned(), json!(id));
            }
        }
        drop(inner);
        self.shared.desk.notices.events(request.uri().path(), count);
        self.answered(StatusCode::OK, code, &answer)
    }

    /// True is told once, by the indexer that took the request, after its time; everything else is false.
    fn acks(&self, request: &Request<Bytes>, key: (String, String, usize), now: DateTime<Utc>) -> Answer {
        #[derive(Deserialize)]
        struct Asked {
            acks: Vec<u64>,
        }
        let Ok(asked) = serde_json::from_slice::<Asked>(request.body()) else {
            return self.coded(StatusCode::BAD_REQUEST, 6, "Invalid data format");
        };
        let delay = self.shared.config.ack_delay;
        let mut inner = lock(&self.shared.inner);
        inner.acks_asked += asked.acks.len() as u64;
        let never = inner.never_acknowledges;
        let mut told = serde_json::Map::new();
        let mut count = 0;
        if let Some(channel) = inner.channels.get_mut(&key) {
            for id in &asked.acks {
                let due = !never && channel.pending.get(id).is_some_and(|given| *given + delay <= now);
                if due {
                    channel.pending.remove(id);
                    count += 1;
                }
                told.insert(id.to_string(), json!(due));
            }
        } else {
            told.extend(asked.acks.iter().map(|id| (id.to_string(), json!(false))));
        }
        inner.acks_told += count;
        Answer::json(StatusCode::OK, &json!({"acks": told}))
    }

    fn token(
        &self,
        request: &Request<Bytes>,
        query: &HashMap<String, String>,
    ) -> Result<HecToken, Box<Answer>> {
        let refuse = |status, code, text| Err(Box::new(self.coded(status, code, text)));
        if query.contains_key("token") {
            return refuse(StatusCode::BAD_REQUEST, 16, "Query string authorization is not enabled");
        }
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(header) = header else { return refuse(StatusCode::UNAUTHORIZED, 2, "Token is required") };
        let value = match header.split_once(' ') {
            Some((scheme, value)) if scheme.eq_ignore_ascii_case("splunk") => value.trim().to_owned(),
            Some((scheme, value)) if scheme.eq_ignore_ascii_case("basic") => {
                let pair = STANDARD.decode(value.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
                pair.and_then(|pair| pair.split_once(':').map(|(_, token)| token.to_owned()))
                    .unwrap_or_default()
            }
            _ => return refuse(StatusCode::UNAUTHORIZED, 3, "Invalid authorization"),
        };
        let found = lock(&self.shared.inner).tokens.iter().find(|token| token.value == value).cloned();
        match found {
            Some(token) if token.enabled => Ok(token),
            Some(_) => refuse(StatusCode::FORBIDDEN, 1, "Token disabled"),
            None => refuse(StatusCode::FORBIDDEN, 4, "Invalid token"),
        }
    }

    fn body(&self, request: &Request<Bytes>) -> Result<Bytes, Box<Answer>> {
        let most = self.shared.config.max_bytes;
        let too_large = || {
            Box::new(match self.shared.config.too_large {
                TooLarge::Page => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
                TooLarge::FirstObject => {
                    let body = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": 0});
                    self.answered(StatusCode::BAD_REQUEST, 6, &body)
                }
            })
        };
        let coding =
            request.headers().get(http::header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let body = match coding {
            None | Some("identity") => request.body().clone(),
            Some("gzip") => {
                let mut body = Vec::new();
                let decoded = flate2::read::MultiGzDecoder::new(request.body().as_ref())
                    .take(most as u64 + 1)
                    .read_to_end(&mut body);
                if decoded.is_err() {
                    return Err(Box::new(self.coded(StatusCode::BAD_REQUEST, 6, "Invalid data format")));
                }
                Bytes::from(body)
            }
            Some(_) => return Err(Box::new(Answer::html(StatusCode::UNSUPPORTED_MEDIA_TYPE))),
        };
        if body.len() > most { Err(too_large()) } else { Ok(body) }
    }

    fn no_such(&self, path: &str) -> Answer {
        let text = format!("The requested URL {path} was not found on this server.");
        self.coded(StatusCode::NOT_FOUND, 404, &text)
    }

    fn coded(&self, status: StatusCode, code: u64, text: &str) -> Answer {
        self.answered(status, code, &json!({"text": text, "code": code}))
    }

    fn answered(&self, status: StatusCode, code: u64, body: &Value) -> Answer {
        *lock(&self.shared.inner).codes.entry(code).or_default() += 1;
        Answer::json(status, body)
    }

    fn control(&self, request: &Request<Bytes>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Answer::json(StatusCode::OK, &self.totals()),
            (&Method::GET, "/_sim/documents") => {
                let mut body = String::new();
                for stored in &lock(&self.shared.inner).stored {
                    body.push_str(&stored.describe().to_string());
                    body.push('\n');
                }
                Answer::with_type(StatusCode::OK, "application/x-ndjson", Bytes::from(body))
            }
            (&Method::POST, "/_sim/tokens") => match parse::<Tokens>(request) {
                Ok(order) => {
                    self.set_tokens(order.tokens);
                    done()
                }
                Err(answer) => *answer,
            },
            (&Method::POST, "/_sim/restart") => {
                self.restart();
                done()
            }
            _ => no_such_control(),
        }
    }

    fn post_faults(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let order = match parse::<Order>(request) {
            Ok(order) => order,
            Err(answer) => return *answer,
        };
        {
            let mut inner = lock(&self.shared.inner);
            if order.clear {
                (inner.never_acknowledges, inner.capacity) = (false, None);
            }
            if let Some(never) = order.never_acknowledges {
                inner.never_acknowledges = never;
            }
            if order.capacity_code.is_some() {
                inner.capacity = order.capacity_code;
            }
        }
        self.shared.desk.control(request, now).unwrap_or_else(no_such_control)
    }
}

impl Handler for SplunkHec {
    fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        Self::handle(self, request, now)
    }

    fn set_base_url(&self, url: &str) {
        self.shared.desk.set_base(url);
    }

    fn notices(&self) -> &Notices {
        &self.shared.desk.notices
    }
}

/// `POST /_sim/tokens`.
#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<HecToken>,
}

/// What `/_sim/faults` knows beyond the common part.
#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    clear: bool,
    #[serde(default)]
    never_acknowledges: Option<bool>,
    #[serde(default)]
    capacity_code: Option<u64>,
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn refusal(status: u16, code: u64, text: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::json(status, &json!({"text": text, "code": code}))
}

fn instead(fault: &Fault) -> Option<Answer> {
    Some(match fault {
        Fault::Exchange(exchange) => exchange.answer()?,
        Fault::RateLimited { retry_after_s, .. } => {
            let mut answer = refusal(429, 26, "Queue at capacity");
            if let Some(seconds) = retry_after_s {
                answer.set("retry-after", &seconds.to_string());
            }
            answer
        }
        Fault::Concurrency { .. } => refusal(429, 27, "ACK channel at capacity"),
        Fault::Unauthorized => refusal(401, 3, "Invalid authorization"),
        Fault::Forbidden => refusal(403, 4, "Invalid token"),
        Fault::NotFound => refusal(404, 404, "Not found"),
        Fault::ServerError => refusal(500, 8, "Internal server error"),
        Fault::Unavailable => refusal(503, 9, "Server is busy"),
        // The reason is the code.
        Fault::Refused { status, reason } => {
            refusal(*status, reason.parse().unwrap_or(6), "refused on purpose")
        }
        Fault::Html { status } => {
            Answer::html(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY))
        }
        Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
        Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
        Fault::DropUnprocessed => Answer::dropped(),
        Fault::HtmlPage => Answer::html(StatusCode::OK),
        _ => return None,
    })
}

fn usual_faults() -> [Fault; 6] {
    [
        Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false },
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::CutBody { after: None },
        Fault::DropBeforeAnswer,
        Fault::HtmlPage,
    ]
}
