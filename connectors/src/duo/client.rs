//! Duo's logs: which request a window and a page token become, and what Duo's refusals mean.

use super::page::{self, Wrong};
use super::sign::{Auth, Query, Signed};
use super::units::{Millis, Seconds};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::cut::Envelope;
use tidegate_core::http::judge::{judge, quotable};
use tidegate_core::http::{Client, Response, Verdict};
use tidegate_core::source::{Cursor, Page, Place, PollError, Stream};
use url::Url;

/// Duo documents no request id; gateways in front of it may send the customary one.
const REQUEST_ID: &str = "x-request-id";

/// Duo says nothing of how long its limit lasts; its own clients and its staff ask for half a minute at least.
const LEAST_PAUSE: Duration = Duration::from_secs(30);

/// A `Date` that was off by more may have been the reason for a refusal (Duo allows some minutes); the answer's own `Date`
/// is good to about a second.
const CLOCK: TimeDelta = TimeDelta::seconds(10);

/// What Duo surely keeps: its 180 days, and a minute for the way.
const KEPT: TimeDelta = TimeDelta::minutes(180 * 24 * 60 - 1);

/// How a log is asked for.
pub(super) enum Endpoint {
    /// v2 and Trust Monitor: between two instants in milliseconds, page by page.
    Range {
        path: &'static str,
        /// The member of `response` that holds the records.
        list: &'static str,
        limit: u32,
        /// v2 answers with the newest first unless it is told otherwise.
        sorted: bool,
        /// The parameter that carries the page token.
        token: &'static str,
    },
    /// v1: the oldest records from a second on.
    Since { path: &'static str },
}

/// The endpoint of each stream. `limit`: 1000 is the most that v2 takes; Trust Monitor's most is not documented, 200 is what
/// other collectors use.
pub(super) fn endpoint(stream: &str) -> Option<&'static Endpoint> {
    const fn v2(path: &'static str, list: &'static str) -> Endpoint {
        Endpoint::Range { path, list, limit: 1000, sorted: true, token: "next_offset" }
    }
    const AUTHENTICATION: &Endpoint = &v2("/admin/v2/logs/authentication", "authlogs");
    const ACTIVITY: &Endpoint = &v2("/admin/v2/logs/activity", "items");
    const TELEPHONY: &Endpoint = &v2("/admin/v2/logs/telephony", "items");
    const TRUST_MONITOR: &Endpoint = &Endpoint::Range {
        path: "/admin/v1/trust_monitor/events",
        list: "events",
        limit: 200,
        sorted: false,
        token: "offset",
    };
    const ADMINISTRATOR: &Endpoint = &Endpoint::Since { path: "/admin/v1/logs/administrator" };
    const OFFLINE_ENROLLMENT: &Endpoint = &Endpoint::Since { path: "/admin/v1/logs/offline_enrollment" };
    match stream.as_bytes() {
        b"authentication" => Some(AUTHENTICATION),
        b"activity" => Some(ACTIVITY),
        b"telephony" => Some(TELEPHONY),
        b"trust_monitor" => Some(TRUST_MONITOR),
        b"administrator" => Some(ADMINISTRATOR),
        b"offline_enrollment" => Some(OFFLINE_ENROLLMENT),
        _ => None,
    }
}

/// One account's logs.
pub(super) struct Logs {
    pub(super) url: Url,
    pub(super) http: Client,
    pub(super) auth: Auth,
    /// An account below the one whose key it is.
    pub(super) account: Option<String>,
}

/// One request, and what is needed to read its answer.
pub(super) struct Ask {
    pub(super) endpoint: &'static Endpoint,
    pub(super) path: &'static str,
    pub(super) query: String,
    /// Duo's page token that it carries.
    pub(super) token: Option<String>,
    /// The second that it begins at.
    pub(super) since: Seconds,
}

/// What a refusal says of itself; every member may be missing, and the body may be anything.
#[derive(Default)]
struct Said {
    failed: bool,
    code: Option<u32>,
    words: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(envelope) = Envelope::read(body) else { return Self::default() };
        let code = match envelope.member::<Json>("code") {
            Some(Json::Number(code)) => code.as_u64().and_then(|code| u32::try_from(code).ok()),
            Some(Json::String(code)) => code.trim().parse().ok(),
            _ => None,
        };
        let words = ["message", "message_detail"].into_iter().filter_map(|name| envelope.member(name));
        Self {
            failed: envelope.member::<String>("stat").as_deref() == Some("FAIL"),
            code,
            words: words.collect::<Vec<String>>().join(", "),
        }
    }
}

impl Logs {
    /// One page.
    pub(super) async fn page(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let Place::Window { from, to, token } = place else {
            return Err(halt("duo's logs have no places of their own, only windows"));
        };
        let ask = self.ask(stream, *from, *to, token.as_ref())?;
        let response = self.get(stream, &ask).await?;
        let read = page::read(&ask, *from, *to, &response.body).map_err(|wrong| {
            let fault = |fault: Fault| {
                let message = format!("duo's {} log: {}", stream.name, fault.message);
                response.fault(fault.kind, message, None, REQUEST_ID)
            };
            match wrong {
                Wrong::Answer(cause) => PollError::Retry { after: None, cause: fault(cause) },
                Wrong::Stuck(cause) => PollError::Restart { cause: fault(cause) },
            }
        })?;
        let page::Read { records, next, unread } = read;
        let Response { body, date, .. } = response;
        Ok(Page { body, records, next, wait: Duration::ZERO, date, unread })
    }

    fn ask(
        &self,
        stream: &Stream,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        token: Option<&Cursor>,
    ) -> Result<Ask, PollError> {
        let endpoint =
            endpoint(stream.name).ok_or_else(|| halt(format!("duo has no log {}", stream.name)))?;
        let restart = || PollError::Restart {
            cause: Fault::new(FaultKind::Cursor, "the stored page token is none of duo's"),
        };
        let mut query = Query::default();
        if let Some(account) = &self.account {
            query = query.with("account_id", account);
        }
        let (mut since, mut own) = (Seconds::floor(from), None);
        let path = match endpoint {
            Endpoint::Range { path, limit, sorted, token: parameter, .. } => {
                // A page token stands in for the start, which time may have made too old for Duo since the first page.
                let kept = self.http.their_now() - KEPT;
                let start = Millis::floor(if token.is_some() { from.max(kept) } else { from });
                // Duo refuses an end that is not above the start.
                let end = Millis::ceil(to).max(start.next());
                query = query.with("limit", limit).with("mintime", start).with("maxtime", end);
                if *sorted {
                    query = query.with("sort", "ts:asc");
                }
                if let Some(Cursor(token)) = token {
                    let token = String::from_utf8(token.clone()).map_err(|_| restart())?;
                    query = query.with(parameter, &token);
                    own = Some(token);
                }
                *path
            }
            Endpoint::Since { path } => {
                if let Some(Cursor(token)) = token {
                    since = Seconds::parse(token).ok_or_else(restart)?;
                }
                query = query.with("mintime", since);
                *path
            }
        };
        Ok(Ask { endpoint, path, query: query.text(), token: own, since })
    }

    /// One request; a second one only where the secret key was read anew or the clock was found wrong.
    async fn get(&self, stream: &Stream, ask: &Ask) -> Result<Response, PollError> {
        let http = self.http.of(stream.name);
        let mut again = false;
        loop {
            if again && let Some(quota) = http.quota() {
                quota.count(http.clock().now());
            }
            let skew = http.skew().unwrap_or_default();
            let host = self.url.host_str().unwrap_or_default();
            let signed = self
                .auth
                .sign(host, ask.path, &ask.query, http.their_now())
                .map_err(|error| self.unreadable(error.into()))?;
            let request = http::Request::get(format!("{}{}?{}", origin(&self.url), ask.path, ask.query))
                .header(http::header::ACCEPT, "application/json")
                .header(http::header::DATE, &signed.date)
                .header(http::header::AUTHORIZATION, signed.authorization.clone())
                .body(Bytes::new())
                .map_err(|_| halt("the request cannot be built"))?;
            let mut response = http.send(request).await?;
            let said = Said::read(&response.body);
            // A failure that came with 200: its code begins with the status that it should have had.
            if response.status.is_success()
                && said.failed
                && let Some(status) = said.code.and_then(|code| u16::try_from(code / 100).ok())
                && let Ok(status) = http::StatusCode::from_u16(status)
            {
                response.status = status;
            }
            let verdict = verdict(&http, &response);
            if verdict == Verdict::Ok {
                return Ok(response);
            }
            if verdict == Verdict::Unauthorized && !again {
                again = match said.code {
                    Some(40105) => (http.skew().unwrap_or_default() - skew).abs() > CLOCK,
                    _ => {
                        let refreshed = self.auth.secret_key.refresh(&signed.key, http.clock().now());
                        refreshed.map_err(|error| self.unreadable(error.into()))?
                    }
                };
                if again {
                    continue;
                }
            }
            return Err(self.refusal(stream, ask, &response, verdict, &said, &signed));
        }
    }

    fn unreadable(&self, fault: Fault) -> PollError {
        PollError::Halt { cause: fault.remedy(self.remedy()) }
    }

    /// What happens next, and what a person can do about it.
    fn refusal(
        &self,
        stream: &Stream,
        ask: &Ask,
        response: &Response,
        verdict: Verdict,
        said: &Said,
        signed: &Signed,
    ) -> PollError {
        let log = stream.name;
        let code = said.code.map(|code| code.to_string());
        let fault = |kind, message: String| response.fault(kind, message, code.as_deref(), REQUEST_ID);
        let words = match quotable(&signed.redact(&said.words)) {
            words if words.is_empty() => words,
            words => format!(": {words}"),
        };
        let cause = match verdict {
            Verdict::Retry { after, kind } => {
                let why = match kind {
                    FaultKind::RateLimit => "too many requests",
                    FaultKind::Answer => "an HTML page instead of JSON",
                    _ => "the server failed",
                };
                return PollError::Retry { after, cause: fault(kind, format!("duo's {log} log: {why}")) };
            }
            Verdict::BadRequest if said.words.to_lowercase().contains("180 day") => {
                let message = format!("duo no longer holds the beginning of this window{words}");
                return PollError::TooOld { cause: fault(FaultKind::Configuration, message) };
            }
            Verdict::BadRequest if ask.token.is_some() => {
                let message = format!("duo refused the stored page token{words}");
                return PollError::Restart { cause: fault(FaultKind::Cursor, message) };
            }
            Verdict::Unauthorized if said.code == Some(40105) => {
                let message = "duo refused the time of the request: this machine's clock differs from duo's";
                fault(FaultKind::Configuration, message.to_owned()).remedy("synchronise the clock (NTP)")
            }
            Verdict::Unauthorized => {
                let message = match said.code {
                    Some(40102) => "duo does not know the integration key",
                    Some(40103) => "duo refused the signature: the secret key is wrong",
                    _ => "duo refused the credential",
                };
                fault(FaultKind::Credential, message.to_owned()).remedy(self.remedy())
            }
            Verdict::Forbidden => fault(
                FaultKind::Permission,
                format!("duo does not let this application read the {log} log{words}"),
            )
            .remedy(
                "tick Grant read log on the Admin API application, add this machine's address to its networks for \
                 API access if it names any, and see whether the account's edition has this log",
            ),
            // Duo itself says so, not something in front of it.
            Verdict::NotThere if response.status == 404 && said.failed => {
                fault(FaultKind::Licence, format!("duo's {log} log is not available to this account{words}"))
                    .remedy(format!(
                        "take {log} out of the source's `streams`, or ask Duo for an edition that has it"
                    ))
            }
            Verdict::NotThere => {
                fault(FaultKind::Configuration, format!("there is no Admin API at {}", origin(&self.url)))
                    .remedy("compare the source's `url` with the API hostname of the Admin API application")
            }
            Verdict::Redirect => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                fault(FaultKind::ForeignLink, format!("{} redirects to {to}", origin(&self.url)))
                    .remedy("make the API hostname of the Admin API application the source's `url`")
            }
            Verdict::BadRequest | Verdict::TooLarge | Verdict::Refused | Verdict::Ok => {
                fault(FaultKind::Configuration, format!("duo refused the request{words}"))
            }
        };
        PollError::Halt { cause }
    }

    /// What to do when the credential is refused.
    pub(super) fn remedy(&self) -> String {
        format!(
            "in the Duo Admin Panel, compare integration_key ({}) and secret_key with the Admin API application at {}, \
             and see that it is active with Grant read log; duo keeps 180 days, so nothing is lost before then",
            self.auth.integration_key,
            origin(&self.url),
        )
    }
}

/// What the answer means. Duo sends no limit headers, so a refusal for the limit holds the budget for [`LEAST_PAUSE`].
fn verdict(http: &Client, response: &Response) -> Verdict {
    let verdict = judge(response, None);
    if let Verdict::Retry { after, kind: FaultKind::RateLimit } = verdict
        && let Some(quota) = http.quota()
    {
        let pause = after.unwrap_or_default().max(LEAST_PAUSE);
        let _held = quota.refused(FaultKind::RateLimit, Some(pause), http.clock().now());
    }
    verdict
}

fn halt(message: impl Into<String>) -> PollError {
    PollError::Halt { cause: Fault::new(FaultKind::Configuration, message) }
}

/// Scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
