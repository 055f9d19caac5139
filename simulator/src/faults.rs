//! What can go wrong on purpose: scripted (in order, for the next matching request) and seeded.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{Answer, BodyFault, gzipped_blanks, http_date};
use crate::rng::mix;

/// One thing that goes wrong. In JSON: `{"kind": "rate_limited", "reset_s": 30}`.
///
/// Faults that answer in place of the stand-in leave its state as it was; faults of the answer's way (cut, dropped,
/// delayed) come after the request was processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Exactly this answer, see [`Exchange`].
    Exchange(Exchange),
    /// 429 of the minute's bucket: remaining 0, reset in `reset_s` seconds (may be negative).
    RateLimited {
        /// Seconds from the answer's `Date` to `X-Rate-Limit-Reset`.
        #[serde(default = "a_minute")]
        reset_s: i64,
        /// `Retry-After`, absent by default as at the vendor.
        #[serde(default)]
        retry_after_s: Option<u64>,
        /// Sends the reset header twice, the second a minute later.
        #[serde(default)]
        duplicate_reset: bool,
    },
    /// 429 for concurrency: limit 0, remaining 0, reset only a hint.
    Concurrency {
        /// Seconds from the answer's `Date` to `X-Rate-Limit-Reset`.
        #[serde(default = "a_minute")]
        reset_s: i64,
    },
    /// 401 in the vendor's form.
    Unauthorized,
    /// 403 in the vendor's form.
    Forbidden,
    /// 404 in the vendor's form.
    NotFound,
    /// 413 as an HTML page of a proxy.
    TooLarge,
    /// 500 in the vendor's form.
    ServerError,
    /// 503 in the vendor's form.
    Unavailable,
    /// 502 as an HTML page.
    BadGateway,
    /// 200 with an HTML page: a captive portal, a login form.
    HtmlPage,
    /// The body is cut and the connection reset; in the middle unless `after` says where.
    CutBody {
        /// Bytes sent before the cut.
        #[serde(default)]
        after: Option<usize>,
    },
    /// A gzip body that ends in the middle, with a matching length: only the decoder notices.
    TruncatedGzip,
    /// Processed, then closed without an answer: the client cannot know.
    DropBeforeAnswer,
    /// Closed without an answer, and nothing was done.
    DropUnprocessed,
    /// Processed, then answered late.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The body trickles.
    SlowBody {
        /// Bytes a second.
        bytes_per_s: u64,
    },
    /// A body without end, made while it is sent: blanks, which JSON allows before a value.
    Endless {
        /// Bytes sent altogether.
        #[serde(default = "half_a_gigabyte")]
        total: u64,
    },
    /// A small gzip body that unpacks to as many blanks.
    GzipBomb {
        /// Bytes after decompression, in whole mebibytes.
        #[serde(default = "half_a_gigabyte")]
        total: u64,
    },
    /// A refusal of this status and reason code, in the vendor's form.
    Refused {
        /// HTTP status.
        status: u16,
        /// The vendor's code, such as `quotaExceeded`.
        reason: String,
    },
    /// An HTML page with this status, as a proxy gives it.
    Html {
        /// HTTP status.
        status: u16,
    },
    /// 200 with a JSON object that is not the vendor's envelope.
    WrongEnvelope,
    /// Every access token given out so far dies before this request.
    TokensExpire,
    /// A page without records that is not the last one.
    EmptyPage,
    /// A page with twice as many records as were asked for.
    OversizePage,
    /// The cursor or page token is refused in the vendor's form, if the request has one.
    CursorRefused,
    /// Okta: the next link leads to another host.
    ForeignLink {
        /// Scheme and host, such as `https://evil.example.com`.
        #[serde(default = "foreign_base")]
        base: String,
    },
    /// The next link (offset, token) equals the one that was asked, although records came.
    LinkLoop,
    /// No next link (or offset), although there is more.
    NoNextLink,
    /// The page before this one once more; its next link (or offset) leads to the page that should have come.
    DuplicatePage,
    /// Duo: members of the envelope have other types than documented.
    OddTypes,
    /// Okta: this many more records in the page that have no `uuid`.
    WithoutUuid {
        /// Records added.
        #[serde(default = "one")]
        count: usize,
    },
    /// Okta: this many new events whose members are null wherever the schema lets them be.
    Nulls {
        /// Events added.
        #[serde(default = "one")]
        count: usize,
    },
    /// Elasticsearch: everything is stored, but the last items are missing in the answer.
    MissingItems {
        /// Items left out.
        #[serde(default = "one")]
        count: usize,
    },
    /// The answer's JSON text ends in the middle, length and all.
    CutJson,
    /// 504 in the vendor's form: the query is too large.
    GatewayTimeout,
    /// Entra: the next link's token is empty, and any call with it fails.
    BrokenLink,
    /// Entra: 403 as for a tenant without a licence.
    Unlicensed,
    /// Entra: 401 with a claims challenge; other access tokens of this client fail until one answers it.
    ClaimsChallenge,
}

fn a_minute() -> i64 {
    60
}

fn half_a_gigabyte() -> u64 {
    500_000_000
}

fn foreign_base() -> String {
    "https://elsewhere.example.com".to_owned()
}

fn one() -> usize {
    1
}

/// An exact answer. Without a body and with status 200 the stand-in's own answer is given, with these headers in place
/// of its own.
///
/// In header values `Date+N` and `Date-N` become epoch seconds relative to the answer's `Date`, `HttpDate+N` the same
/// as an HTTP date.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// HTTP status, 200 by default.
    #[serde(default = "ok")]
    pub status: u16,
    /// Headers to set.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON, or text as a JSON string.
    #[serde(default)]
    pub body: Option<Value>,
}

fn ok() -> u16 {
    200
}

/// A fault for the next request on a path. Of the entries that match a request only the first is looked at, so a script
/// plays in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptedFault {
    /// Part of the path, such as `logs`, `token`, `_bulk`; empty matches all.
    #[serde(default)]
    pub path: String,
    /// Matching requests that go well before it.
    #[serde(default)]
    pub after: u64,
    /// How often in a row; 0 means until the script is cleared.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens.
    pub fault: Fault,
}

fn once() -> u64 {
    1
}

impl ScriptedFault {
    /// Happens once, at the next request on this path.
    pub fn next(path: &str, fault: Fault) -> Self {
        Self { path: path.to_owned(), after: 0, times: 1, fault }
    }
}

/// Faults drawn from a seed: the n-th request of a run fails the same way in every run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandomFaults {
    /// The seed.
    pub seed: u64,
    /// Share of requests that fail, 0 to 1.
    pub rate: f64,
    /// What is drawn from; the stand-in's usual faults where empty.
    #[serde(default)]
    pub kinds: Vec<Fault>,
    /// Part of the path, as in [`ScriptedFault`].
    #[serde(default)]
    pub path: String,
}

/// The script and the dice of one stand-in.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    script: VecDeque<ScriptedFault>,
    random: Option<RandomFaults>,
    drawn: u64,
    pub(crate) happened: u64,
}

impl FaultPlan {
    pub(crate) fn push(&mut self, fault: ScriptedFault) {
        self.script.push_back(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.script.clear();
        self.random = None;
    }

    pub(crate) fn set_random(&mut self, random: Option<RandomFaults>) {
        self.random = random;
    }

    pub(crate) fn pending(&self) -> usize {
        self.script.len()
    }

    pub(crate) fn next(&mut self, path: &str, usual: &[Fault]) -> Option<Fault> {
        let fault = match self.scripted(path) {
            Some(decision) => decision,
            None => self.random(path, usual),
        };
        self.happened += u64::from(fault.is_some());
        fault
    }

    /// `Some(None)`: an entry matches but its time has not come, so the dice are not thrown either.
    fn scripted(&mut self, path: &str) -> Option<Option<Fault>> {
        let at = self.script.iter().position(|entry| path.contains(&entry.path))?;
        let entry = self.script.get_mut(at)?;
        if entry.after > 0 {
            entry.after -= 1;
            return Some(None);
        }
        let fault = entry.fault.clone();
        if entry.times == 1 {
            self.script.remove(at);
        } else {
            entry.times = entry.times.saturating_sub(1);
        }
        Some(Some(fault))
    }

    fn random(&mut self, path: &str, usual: &[Fault]) -> Option<Fault> {
        let random = self.random.as_ref().filter(|random| path.contains(&random.path))?;
        self.drawn += 1;
        let number = mix(random.seed, self.drawn);
        let share = (number >> 11) as f64 / (1_u64 << 53) as f64;
        if share >= random.rate {
            return None;
        }
        let kinds = if random.kinds.is_empty() { usual } else { &random.kinds };
        let which = usize::try_from(mix(number, 7).checked_rem(kinds.len() as u64)?).ok()?;
        kinds.get(which).cloned()
    }
}

impl Fault {
    /// The body is the fault's own, so it is not compressed.
    pub(crate) fn has_own_body(&self) -> bool {
        matches!(self, Self::Endless { .. } | Self::GzipBomb { .. })
    }

    /// The part of a fault that plays on the wire, put on an answer that is complete otherwise.
    pub(crate) fn on_the_wire(&self, answer: &mut Answer) {
        match *self {
            Self::CutBody { after } => {
                answer.fault = Some(BodyFault::CutAfter(after.unwrap_or(answer.body.len() / 2)));
            }
            Self::TruncatedGzip => {
                answer.gzip();
                answer.body.truncate(answer.body.len() * 2 / 3);
            }
            Self::CutJson => answer.body.truncate(answer.body.len() / 2),
            Self::DropBeforeAnswer => answer.fault = Some(BodyFault::DropBeforeAnswer),
            Self::Delay { ms } => answer.fault = Some(BodyFault::Delay(Duration::from_millis(ms))),
            Self::SlowBody { bytes_per_s } => answer.fault = Some(BodyFault::SlowBody { bytes_per_s }),
            Self::Endless { total } => {
                answer.body = Bytes::from_static(&[b' '; 64 * 1024]);
                answer.fault = Some(BodyFault::Endless { total });
            }
            Self::GzipBomb { total } => {
                answer.body = gzipped_blanks(total);
                answer.set("content-encoding", "gzip");
            }
            _ => {}
        }
    }
}

impl Exchange {
    /// The answer itself; `None` where the stand-in's own body is wanted.
    pub(crate) fn answer(&self) -> Option<Answer> {
        if self.body.is_none() && self.status == 200 {
            return None;
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Some(match &self.body {
            None => Answer { status, headers: http::HeaderMap::new(), body: Bytes::new(), fault: None },
            Some(Value::String(text)) => Answer::with_type(status, "text/plain", Bytes::from(text.clone())),
            Some(body) => Answer::json(status, body),
        })
    }

    pub(crate) fn set_headers(&self, answer: &mut Answer, now: DateTime<Utc>) {
        for (name, value) in &self.headers {
            answer.set(name, &with_dates(value, now));
        }
    }
}

/// `Date+60` → epoch seconds in a minute; `HttpDate-5` → an HTTP date. Anything else stays.
fn with_dates(value: &str, now: DateTime<Utc>) -> String {
    let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i64>().ok() };
    if let Some(seconds) = value.strip_prefix("HttpDate").and_then(offset) {
        return http_date(now + chrono::TimeDelta::seconds(seconds));
    }
    if let Some(seconds) = value.strip_prefix("Date").and_then(offset) {
        return (now.timestamp() + seconds).to_string();
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_plays_in_order_and_only_on_its_path() {
        let mut plan = FaultPlan::default();
        plan.push(ScriptedFault { path: "logs".into(), after: 1, times: 2, fault: Fault::ServerError });
        plan.push(ScriptedFault::next("logs", Fault::BadGateway));
        assert_eq!(plan.next("/oauth2/v1/token", &[]), None);
        assert_eq!(plan.next("/api/v1/logs", &[]), None, "one goes well first");
        assert_eq!(plan.next("/api/v1/logs", &[]), Some(Fault::ServerError));
        assert_eq!(plan.next("/api/v1/logs", &[]), Some(Fault::ServerError));
        assert_eq!(plan.next("/api/v1/logs", &[]), Some(Fault::BadGateway));
        assert_eq!(plan.next("/api/v1/logs", &[]), None);
    }

    #[test]
    fn the_same_seed_fails_the_same_requests() {
        let draw = |seed| {
            let mut plan = FaultPlan::default();
            plan.set_random(Some(RandomFaults {
                seed,
                rate: 0.3,
                kinds: vec![Fault::ServerError],
                path: String::new(),
            }));
            (0..200).map(|_| plan.next("/x", &[]).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draw(4), draw(4));
        assert_ne!(draw(4), draw(5));
        let failed = draw(4).iter().filter(|failed| **failed).count();
        assert!((30..=90).contains(&failed), "{failed} of 200 at a rate of 0.3");
    }

    #[test]
    fn date_placeholders_become_epoch_seconds() {
        let now = DateTime::from_timestamp(1_768_471_200, 0).expect("in range");
        assert_eq!(with_dates("Date+60", now), "1768471260");
        assert_eq!(with_dates("Date-5", now), "1768471195");
        assert_eq!(with_dates("HttpDate+1", now), "Thu, 15 Jan 2026 10:00:01 GMT");
        assert_eq!(with_dates("60", now), "60");
    }
}
