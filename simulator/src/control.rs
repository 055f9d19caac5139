//! What both stand-ins share behind `/_sim/`: the clock, the fault script, the log of requests, and the notice of the
//! k-th request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answer::{Answer, BodyFault};
use crate::faults::{Fault, FaultPlan, RandomFaults, ScriptedFault};

/// Entries the request log keeps; the counts go on.
const LOG_ENTRIES: usize = 100_000;
/// Longest a `/_sim/wait` lasts.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One answered request. Of credentials only the scheme is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestEntry {
    /// Position in the run, from 1.
    pub number: u64,
    /// Server time of the answer.
    pub at: DateTime<Utc>,
    /// HTTP method.
    pub method: String,
    /// Path and query as asked.
    pub path: String,
    /// Status of the answer, also when it was dropped on its way.
    pub status: u16,
    /// First word of `Authorization`.
    pub auth: Option<String>,
    /// Bytes of the request's body on the wire.
    pub bytes: usize,
    /// Name of the fault that was played.
    pub fault: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<RequestEntry>,
    count: u64,
    by_status: BTreeMap<u16, u64>,
}

/// The front desk of a stand-in.
#[derive(Debug)]
pub(crate) struct Desk {
    clock_offset: TimeDelta,
    advanced: Mutex<TimeDelta>,
    plan: Mutex<FaultPlan>,
    log: Mutex<Log>,
    configured: Option<String>,
    bound: Mutex<Option<String>>,
    pub(crate) notices: Notices,
}

/// What a vendor's stand-in can be told beside its requests: every one of them keeps its [`Desk`] as `shared.desk`.
macro_rules! front_desk {
    ($stand_in:ident) => {
        impl $stand_in {
            /// Puts a fault at the end of the script.
            pub fn push_fault(&self, fault: $crate::ScriptedFault) {
                self.shared.desk.plan().push(fault);
            }

            /// Ends all faults, scripted and random.
            pub fn clear_faults(&self) {
                self.shared.desk.plan().clear();
            }

            /// Replaces the random faults.
            pub fn set_random_faults(&self, faults: Option<$crate::RandomFaults>) {
                self.shared.desk.plan().set_random(faults);
            }

            /// Moves the server's clock forward.
            pub fn advance(&self, by: chrono::TimeDelta) {
                self.shared.desk.advance(by);
            }

            /// The requests answered so far (control requests are not among them).
            #[must_use]
            pub fn requests(&self) -> Vec<$crate::RequestEntry> {
                self.shared.desk.requests()
            }
        }
    };
}
pub(crate) use front_desk;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(crate) fn new(clock_offset: TimeDelta, base: Option<String>) -> Self {
        Self {
            clock_offset,
            advanced: Mutex::default(),
            plan: Mutex::default(),
            log: Mutex::default(),
            configured: base.map(|base| base.trim_end_matches('/').to_owned()),
            bound: Mutex::default(),
            notices: Notices::default(),
        }
    }

    /// The stand-in's own time.
    pub(crate) fn now(&self, given: DateTime<Utc>) -> DateTime<Utc> {
        given + self.clock_offset + *lock(&self.advanced)
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        *lock(&self.advanced) += by;
    }

    pub(crate) fn set_base(&self, url: &str) {
        *lock(&self.bound) = Some(url.trim_end_matches('/').to_owned());
    }

    /// Scheme and host of absolute URLs: as configured, else as the client called it.
    pub(crate) fn base(&self, request: &Request<Bytes>) -> String {
        if let Some(base) = &self.configured {
            return base.clone();
        }
        if let (Some(scheme), Some(authority)) = (request.uri().scheme_str(), request.uri().authority()) {
            return format!("{scheme}://{authority}");
        }
        let bound = lock(&self.bound).clone().unwrap_or_else(|| "http://localhost".to_owned());
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        match (host, bound.split_once("://")) {
            (Some(host), Some((scheme, _))) => format!("{scheme}://{host}"),
            _ => bound,
        }
    }

    pub(crate) fn plan(&self) -> MutexGuard<'_, FaultPlan> {
        lock(&self.plan)
    }

    pub(crate) fn next_fault(&self, path: &str, usual: &[Fault]) -> Option<Fault> {
        self.plan().next(path, usual)
    }

    /// Writes the answer into the log and holds it back where a notice asks for that.
    pub(crate) fn answered(
        &self,
        request: &Request<Bytes>,
        answer: &mut Answer,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) {
        if let Some(hold) = self.notices.answering(request.uri().path()) {
            answer.fault.get_or_insert(BodyFault::Delay(hold));
        }
        let mut log = lock(&self.log);
        log.count += 1;
        *log.by_status.entry(answer.status.as_u16()).or_default() += 1;
        let entry = RequestEntry {
            number: log.count,
            at: now,
            method: request.method().to_string(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            status: answer.status.as_u16(),
            auth: auth_scheme(request.headers()),
            bytes: request.body().len(),
            fault: fault.map(name),
        };
        if log.entries.len() >= LOG_ENTRIES {
            log.entries.pop_front();
        }
        log.entries.push_back(entry);
    }

    pub(crate) fn requests(&self) -> Vec<RequestEntry> {
        lock(&self.log).entries.iter().cloned().collect()
    }

    /// Requests, statuses and faults, for `/_sim/totals`.
    pub(crate) fn totals(&self) -> Value {
        let log = lock(&self.log);
        let by_status: BTreeMap<String, u64> =
            log.by_status.iter().map(|(s, n)| (s.to_string(), *n)).collect();
        let plan = self.plan();
        json!({"count": log.count, "by_status": by_status, "faults": plan.happened, "faults_pending": plan.pending()})
    }

    /// The control routes that are the same everywhere. `None`: the stand-in's own, or none at all.
    pub(crate) fn control(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Option<Answer> {
        let route = (request.method(), request.uri().path());
        Some(match route {
            (&Method::GET, "/_sim/requests") => {
                Answer::json(StatusCode::OK, &json!({"requests": self.requests()}))
            }
            (&Method::GET, "/_sim/clock") => Answer::json(StatusCode::OK, &json!({"now": now})),
            (&Method::POST, "/_sim/clock") => match parse::<Advance>(request) {
                Ok(advance) => {
                    self.advance(TimeDelta::milliseconds((advance.advance_s * 1000.0) as i64));
                    done()
                }
                Err(answer) => *answer,
            },
            (&Method::POST, "/_sim/faults") => match parse::<FaultOrder>(request) {
                Ok(order) => {
                    let mut plan = self.plan();
                    if order.clear {
                        plan.clear();
                    }
                    if order.random.is_some() {
                        plan.set_random(order.random);
                    }
                    for fault in order.script {
                        plan.push(fault);
                    }
                    drop(plan);
                    done()
                }
                Err(answer) => *answer,
            },
            (&Method::POST, "/_sim/notify") => match parse::<Order>(request) {
                Ok(order) => {
                    self.notices.arm(order);
                    done()
                }
                Err(answer) => *answer,
            },
            (&Method::GET, "/_sim/wait") => {
                Answer::json(StatusCode::OK, &json!({"reached": self.notices.reached()}))
            }
            _ => return None,
        })
    }
}

/// The first word only: `SSWS token` → `SSWS`; a scheme glued to its token does not leak it.
fn auth_scheme(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let known = ["SSWS", "Bearer", "DPoP", "ApiKey", "Basic", "Splunk"];
    let scheme = known
        .iter()
        .find(|known| value.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)));
    Some(scheme.map_or("other", |scheme| *scheme).to_owned())
}

fn name(fault: &Fault) -> String {
    let value = serde_json::to_value(fault).unwrap_or_default();
    value.get("kind").and_then(Value::as_str).unwrap_or("fault").to_owned()
}

#[derive(Deserialize)]
struct Advance {
    advance_s: f64,
}

/// `POST /_sim/faults`. Members it does not know belong to the stand-in.
#[derive(Deserialize)]
struct FaultOrder {
    #[serde(default)]
    clear: bool,
    #[serde(default)]
    random: Option<RandomFaults>,
    #[serde(default)]
    script: Vec<ScriptedFault>,
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Box<Answer>> {
    serde_json::from_slice(request.body()).map_err(|error| {
        Box::new(Answer::json(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})))
    })
}

pub(crate) fn done() -> Answer {
    Answer::json(StatusCode::OK, &json!({"ok": true}))
}

pub(crate) fn no_such_control() -> Answer {
    Answer::json(StatusCode::NOT_FOUND, &json!({"error": "no such control route"}))
}

/// When a notice fires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    /// The request is here, nothing has been done about it.
    #[default]
    Received,
    /// The request is processed (stored), its answer has not left.
    BeforeAnswer,
}

#[derive(Debug, Clone, Deserialize)]
struct Order {
    #[serde(default)]
    path: String,
    #[serde(default)]
    after_requests: Option<u64>,
    #[serde(default)]
    after_events: Option<u64>,
    #[serde(default)]
    when: When,
    #[serde(default)]
    hold_ms: u64,
}

#[derive(Debug, Default)]
struct Watch {
    order: Option<Order>,
    requests: u64,
    events: u64,
    reached: bool,
    /// The request that fired it is still to be answered.
    hold: Option<Duration>,
}

/// Lets a test wait for the k-th request (or event) instead of for a time, so that a kill falls on the same step in
/// every run. One notice is armed at a time; counting starts when it is armed.
#[derive(Debug)]
pub struct Notices {
    watch: Mutex<Watch>,
    changed: watch::Sender<bool>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { watch: Mutex::default(), changed: watch::channel(false).0 }
    }
}

impl Notices {
    fn arm(&self, order: Order) {
        *lock(&self.watch) = Watch { order: Some(order), ..Watch::default() };
        self.changed.send_replace(false);
    }

    /// Whether the armed notice has fired.
    pub fn reached(&self) -> bool {
        lock(&self.watch).reached
    }

    /// Waits until the armed notice fires; `false` when it has not within `at_most`.
    pub async fn wait(&self, at_most: Duration) -> bool {
        let mut changed = self.changed.subscribe();
        let fired = async {
            loop {
                if self.reached() {
                    return true;
                }
                if changed.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(at_most, fired).await.unwrap_or(false)
    }

    /// A request arrived, before anything is done about it.
    pub(crate) fn received(&self, path: &str) {
        let mut watch = lock(&self.watch);
        if watch.order.as_ref().is_some_and(|order| path.contains(&order.path)) {
            watch.requests += 1;
            self.fire(&mut watch, When::Received);
        }
    }

    /// Events were served or stored.
    pub(crate) fn events(&self, path: &str, count: u64) {
        let mut watch = lock(&self.watch);
        if watch.order.as_ref().is_some_and(|order| path.contains(&order.path)) {
            watch.events += count;
        }
    }

    /// How long the answer to this request is held back.
    fn answering(&self, path: &str) -> Option<Duration> {
        let mut watch = lock(&self.watch);
        if watch.order.as_ref().is_none_or(|order| !path.contains(&order.path)) {
            return None;
        }
        self.fire(&mut watch, When::BeforeAnswer);
        // Events are known only now, whatever `when` says.
        if watch.order.as_ref().is_some_and(|order| order.after_events.is_some()) {
            self.fire(&mut watch, When::Received);
        }
        watch.hold.take()
    }

    fn fire(&self, watch: &mut Watch, when: When) {
        let Some(order) = watch.order.as_ref().filter(|order| order.when == when) else { return };
        let requests = order.after_requests.is_some_and(|k| watch.requests >= k);
        let events = order.after_events.is_some_and(|k| watch.events >= k);
        if watch.reached || !(requests || events) {
            return;
        }
        watch.hold = (order.hold_ms > 0).then(|| Duration::from_millis(order.hold_ms));
        watch.reached = true;
        self.changed.send_replace(true);
    }
}
