//! Microsoft Graph's logs: URLs, how Graph says "next", and what its refusals mean.
//!
//! - A window is one filter, both of whose ends are included: `gt` and `lt` are ignored by some of these logs, and then
//!   everything there is comes back. Its pages are the whole `@odata.nextLink` each, until there is none; an empty page says
//!   nothing about the end, and a `Link` header is not about pages at all.
//! - No order is asked for: whether the filter on the kind of sign-in allows it is not documented, and a window needs none.
//! - The status decides, then the code, then (only where Microsoft has no code for it) its words.

use super::auth::App;
use super::streams::{Log, Shape, log};
use crate::key::KeyError;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::cut::Envelope;
use tidegate_core::http::judge::{judge, quotable};
use tidegate_core::http::{Client, HttpError, Response, Verdict, link};
use tidegate_core::secret::Secret;
use tidegate_core::source::{Cursor, Page, Place, PollError, Stream};
use url::Url;

/// To quote in a support case.
const REQUEST_ID: &str = "request-id";

/// A licensed directory is now and then told that it has no licence: so often it is asked again, after so long each. In
/// all it is less than a run of `sync` takes; who is refused for longer is asked again slowly, as after any halt.
const LICENCE_RETRIES: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(25), Duration::from_secs(50)];

/// Where a refusal for the limit names no wait (Identity Protection's never does): Graph counts reports over ten seconds, and
/// what is asked before they are over is counted too.
const REST: Duration = Duration::from_secs(10);

/// No edition keeps less than seven days: what is younger was not refused for its age, whatever the words.
const SURELY_KEPT: TimeDelta = TimeDelta::days(6);

/// A directory's logs.
pub(super) struct Graph {
    pub(super) url: Url,
    pub(super) http: Client,
    pub(super) app: App,
    /// Interactive sign-ins come from v1.0, without any detail of MFA.
    pub(super) plain_sign_ins: bool,
    /// The cloud has no Identity Protection.
    pub(super) without_risk: bool,
    /// Records a page, where fewer than the log's own maximum are wanted.
    pub(super) limit: Option<u32>,
    /// Streams that were told that the directory lacks a licence.
    pub(super) unlicensed: Mutex<HashMap<&'static str, Unlicensed>>,
}

/// How often in a row a stream was told that the directory lacks a licence.
pub(super) struct Unlicensed {
    times: usize,
    until: DateTime<Utc>,
}

impl Graph {
    /// One page.
    pub(super) async fn page(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let Some(log) = log(stream.name) else {
            return Err(halt(FaultKind::Configuration, format!("entra has no log {}", stream.name)));
        };
        let Place::Window { from, to, token } = place else {
            return Err(halt(FaultKind::Configuration, "microsoft's logs are read in windows"));
        };
        if self.without_risk && log.shape == Shape::Risk {
            let message = "the cloud \"china\" has no Identity Protection, so there are no risk detections";
            let cause = Fault::new(FaultKind::Licence, message)
                .remedy(format!("leave {} out of the source's `streams`", log.name));
            return Err(PollError::Halt { cause });
        }
        let url = match token {
            None => self.first(log, *from, *to)?,
            Some(link) => self.follow(log, link).map_err(|cause| PollError::Restart { cause })?,
        };
        let response = self.get(log, *from, token.is_some(), &url).await?;
        self.read(&url, response)
    }

    /// A window's first page. Literals stand without quotes, in UTC and whole seconds, rounded outward.
    fn first(&self, log: &Log, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Url, PollError> {
        let plain = self.plain_sign_ins && log.name == "sign_ins";
        let begin = from.trunc_subsecs(0);
        let down = to.trunc_subsecs(0);
        let up = down.checked_add_signed(TimeDelta::seconds(1)).filter(|_| down < to);
        let end = up.unwrap_or(down).max(begin);
        let (time, form) = (log.window_time, "%Y-%m-%dT%H:%M:%SZ");
        let mut filter = format!("{time} ge {} and {time} le {}", begin.format(form), end.format(form));
        if let Some(kind) = log.kind.filter(|_| !plain) {
            filter.push_str(&format!(" and (signInEventTypes/any(t: t eq '{kind}'))"));
        }
        // A form writes a blank as `+`, which some gateways do not read back as a blank.
        let filter =
            url::form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>().replace('+', "%20");
        let version = if log.beta && !plain { "beta" } else { "v1.0" };
        let top = self.limit.unwrap_or(log.top).min(log.top);
        self.url
            .join(&format!("{version}/{}?$filter={filter}&$top={top}", log.path))
            .map_err(|error| halt(FaultKind::Configuration, error.to_string()))
    }

    /// A stored link. It was checked before it was stored; it is checked again before a credential goes there. Without one
    /// that can be followed, the window begins again.
    fn follow(&self, log: &Log, link: &Cursor) -> Result<Url, Fault> {
        let broken = |what: &str| Fault::new(FaultKind::Cursor, format!("the stored link {what}"));
        let text = std::str::from_utf8(&link.0).map_err(|_| broken("is no text"))?;
        let url = link::same_origin(&self.url, text)?;
        let (path, ours) = (url.path().to_ascii_lowercase(), log.path.to_ascii_lowercase());
        if path.strip_suffix(&ours).is_some_and(|before| before.ends_with('/')) {
            Ok(url)
        } else {
            Err(broken(&format!("does not lead to {}", log.title)))
        }
    }

    /// One request; a second one only where the token could be renewed.
    async fn get(
        &self,
        log: &'static Log,
        from: DateTime<Utc>,
        followed: bool,
        url: &Url,
    ) -> Result<Response, PollError> {
        let http = self.http.of(log.name);
        let mut renewed = false;
        loop {
            let bearer = self.app.bearer(&self.http).await?;
            if renewed && let Some(quota) = http.quota() {
                quota.count(http.clock().now());
            }
            let unbuilt = || halt(FaultKind::Configuration, "the request cannot be built");
            let mut request = http::Request::get(url.as_str())
                .header(http::header::ACCEPT, "application/json")
                .header(http::header::AUTHORIZATION, bearer.header.clone())
                // Else members of enumerations that are younger than the API come as `unknownFutureValue`.
                .header("prefer", "include-unknown-enum-members");
            if let Ok(id) = guid() {
                request = request.header("client-request-id", id);
            }
            let request = request.body(Bytes::new()).map_err(|_| unbuilt())?;
            let response = match http.send(request).await {
                Ok(response) => response,
                // Graph thinks for up to 300 s about a query that is too much for it.
                Err(error @ HttpError::Timeout(_)) => return Err(PollError::Narrow { cause: error.into() }),
                Err(error) => return Err(error.into()),
            };
            let verdict = verdict(&http, &response);
            match verdict {
                Verdict::Ok => {
                    self.lock_unlicensed().remove(log.name);
                    return Ok(response);
                }
                Verdict::Unauthorized if !renewed => {
                    self.app.refused(&bearer, &response).await;
                    renewed = true;
                }
                _ => {
                    let error = self.refusal(log, from, followed, &response, verdict, &bearer.secret);
                    if error.cause().kind == FaultKind::Permission {
                        // A token knows the permissions of the moment when it was issued: the next try has a younger one.
                        self.app.refused(&bearer, &response).await;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// What happens next, and what a person can do about it.
    fn refusal(
        &self,
        log: &'static Log,
        from: DateTime<Utc>,
        followed: bool,
        response: &Response,
        verdict: Verdict,
        secret: &Secret,
    ) -> PollError {
        let words = Words::read(&response.body, &self.app.secrets(secret));
        let said = words.quoted();
        let fault = |kind, message: String| response.fault(kind, message, words.code(), REQUEST_ID);
        let title = log.title;
        let cause = match verdict {
            Verdict::Retry { kind, .. } if response.status == http::StatusCode::GATEWAY_TIMEOUT => {
                let cause = fault(kind, format!("{title}: the window is too much for Graph"));
                return PollError::Narrow { cause };
            }
            Verdict::Retry { after, kind } => {
                let why = match kind {
                    FaultKind::RateLimit => "the rate limit is used up",
                    FaultKind::Answer => "an HTML page instead of JSON",
                    _ => "the server failed",
                };
                return PollError::Retry { after, cause: fault(kind, format!("{title}: {why}")) };
            }
            Verdict::BadRequest if words.too_old() && from < self.http.their_now() - SURELY_KEPT => {
                let cause = fault(FaultKind::Configuration, format!("{title} does not reach back so far{said}"));
                return PollError::TooOld { cause };
            }
            Verdict::BadRequest if followed || words.skip_token() => {
                let cause = fault(FaultKind::Cursor, format!("{title}: Graph refused its own next link{said}"));
                return PollError::Restart { cause };
            }
            Verdict::BadRequest => fault(FaultKind::Configuration, format!("{title}: Graph refused the query{said}"))
                .remedy("if the source's `limit` or `api` is set, try without; else report the words above"),
            Verdict::Unauthorized => {
                fault(FaultKind::Credential, format!("{title}: Graph refused a fresh token{said}"))
                    .remedy(self.app.remedy())
            }
            Verdict::Forbidden if let Some(licence) = log.licence.filter(|_| words.licence()) => {
                let cause = fault(FaultKind::Licence, format!("{title} needs a licence{said}")).remedy(format!(
                    "{title} needs {licence} in the directory; leave {} out of the source's `streams` where there is none",
                    log.name
                ));
                return self.unlicensed(log, cause);
            }
            Verdict::Forbidden => {
                fault(FaultKind::Permission, format!("the app may not read {title}{said}")).remedy(self.permission(log))
            }
            Verdict::Redirect => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                fault(FaultKind::ForeignLink, format!("{} redirects to {to}", origin(&self.url)))
                    .remedy("compare the source's `cloud` and `url`")
            }
            Verdict::NotThere => fault(FaultKind::Configuration, format!("{title} is not at {}{said}", origin(&self.url)))
                .remedy(format!(
                    "compare the source's `cloud` and `url`; if this cloud lacks the log, leave {} out of `streams`",
                    log.name
                )),
            Verdict::TooLarge | Verdict::Refused | Verdict::Ok => {
                fault(FaultKind::Configuration, format!("{title}: Graph refused the request{said}"))
            }
        };
        PollError::Halt { cause }
    }

    /// Three times it is asked again; several polls that are refused at the same time count as one.
    fn unlicensed(&self, log: &'static Log, cause: Fault) -> PollError {
        let now = self.http.clock().now();
        let mut unlicensed = self.lock_unlicensed();
        let state = unlicensed.entry(log.name).or_insert(Unlicensed { times: 0, until: now });
        let left = state.until.signed_duration_since(now).to_std().unwrap_or_default();
        if !left.is_zero() {
            return PollError::Retry { after: Some(left.min(LICENCE_RETRIES[2])), cause };
        }
        let Some(after) = LICENCE_RETRIES.get(state.times).copied() else { return PollError::Halt { cause } };
        state.times += 1;
        state.until = now + TimeDelta::from_std(after).unwrap_or_default();
        PollError::Retry { after: Some(after), cause }
    }

    fn lock_unlicensed(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Unlicensed>> {
        self.unlicensed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permission(&self, log: &Log) -> String {
        let more = match log.shape {
            Shape::SignIn => {
                "; if it has that, grant Directory.Read.All too (some directories check the licence with it)"
            }
            Shape::Audit | Shape::Risk | Shape::Provisioning => "",
        };
        format!(
            "grant the app {} the application permission {} of Microsoft Graph, with an administrator's consent{more}",
            self.app.client_id, log.permission
        )
    }

    /// Turns a good answer into a page.
    fn read(&self, asked: &Url, response: Response) -> Result<Page, PollError> {
        let fault = |fault: Fault| {
            let mut cause = response.fault(fault.kind, fault.message, None, REQUEST_ID);
            cause.remedy = fault.remedy;
            cause
        };
        let again = |found: Fault| PollError::Retry { after: None, cause: fault(found) };
        let wrong = |what: &str| again(Fault::new(FaultKind::Answer, format!("graph's answer {what}")));
        let envelope = Envelope::read(&response.body).map_err(again)?;
        // A server that fails while it is writing can no longer change its status.
        if envelope.object("error").is_some() {
            return Err(wrong("ends in an error"));
        }
        let records = envelope.records("value").map_err(again)?.ok_or_else(|| wrong("has no `value`"))?;
        let next = match envelope.records(NEXT) {
            Ok(None) => None,
            Ok(Some(_)) => return Err(wrong("has a next link that is no text")),
            Err(_) => Some(
                envelope.member::<String>(NEXT).ok_or_else(|| wrong("has a next link that is no text"))?,
            ),
        };
        let next = match next {
            None => None,
            Some(next) => {
                let url = link::same_origin(&self.url, &next)
                    .map_err(|found| PollError::Halt { cause: fault(found) })?;
                let broken = |what: &str| {
                    let found = Fault::new(FaultKind::Cursor, format!("graph's next link {what}"));
                    PollError::Restart { cause: fault(found) }
                };
                if url.query().is_none_or(str::is_empty)
                    || url.query_pairs().any(|(name, value)| {
                        name.eq_ignore_ascii_case("$skiptoken") && value.trim().is_empty()
                    })
                {
                    return Err(broken("is empty"));
                }
                if url == *asked {
                    return Err(broken("leads to the page that it came with"));
                }
                Some(Cursor(url.as_str().as_bytes().to_vec()))
            }
        };
        let Response { body, date, .. } = response;
        Ok(Page { body, records, next, wait: Duration::ZERO, date, unread: None })
    }
}

const NEXT: &str = "@odata.nextLink";

/// What the answer means. After a refusal for the limit nobody asks for as long as it says, or for [`REST`]; whoever was
/// refused waits longer each time.
fn verdict(http: &Client, response: &Response) -> Verdict {
    let verdict = judge(response, None);
    if let Verdict::Retry { after, kind: FaultKind::RateLimit } = verdict
        && let Some(quota) = http.quota()
    {
        let _held = quota.refused(FaultKind::RateLimit, after.or(Some(REST)), http.clock().now());
    }
    verdict
}

fn halt(kind: FaultKind, message: impl Into<String>) -> PollError {
    PollError::Halt { cause: Fault::new(kind, message) }
}

/// Scheme, host and port, for messages.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A random GUID.
pub(super) fn guid() -> Result<String, KeyError> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Signing)?;
    // Version 4, variant of RFC 9562.
    let bits = u128::from_be_bytes(bytes) & !(0xF000 << 64) & !(0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{bits:032x}");
    let mut guid = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            guid.push('-');
        }
        guid.push(digit);
    }
    Ok(guid)
}

/// What Microsoft says of a refusal, in either of its two shapes; every member may be missing or of another type.
#[derive(Default)]
pub(super) struct Words {
    code: Option<String>,
    text: Option<String>,
    /// The first AADSTS number.
    pub(super) aadsts: Option<i64>,
}

impl Words {
    /// Reads an answer's body; the secrets are taken out.
    pub(super) fn read(body: &[u8], secrets: &[Secret]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            error: Json,
            error_description: Json,
            error_codes: Json,
        }
        let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Json| {
            let text = value.as_str().filter(|text| !text.trim().is_empty())?;
            Some(secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text)))
        };
        let aadsts = answer.error_codes.get(0).and_then(Json::as_i64);
        if answer.error.is_object() {
            let inner = ["innerError", "innererror"].iter().find_map(|name| answer.error.get(*name));
            let of = |name: &str| answer.error.get(name).and_then(text);
            let code = of("code").or_else(|| inner.and_then(|inner| inner.get("code")).and_then(text));
            return Self { code, text: of("message"), aadsts };
        }
        // Behind the first line stand ids and the time.
        let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let code = aadsts.map(|number| format!("AADSTS{number}")).or_else(|| text(&answer.error));
        Self { code, text: text(&answer.error_description).map(first), aadsts }
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Microsoft's own words, fit to be put behind ours; empty where there are none.
    pub(super) fn quoted(&self) -> String {
        self.text.as_ref().map(|text| format!(": {}", quotable(text))).unwrap_or_default()
    }

    fn says(&self, words: &[&str]) -> bool {
        let text = self.text.as_deref().unwrap_or_default().to_lowercase();
        words.iter().any(|word| text.contains(word))
    }

    /// The window begins before what the log keeps. There is no code for it, and the words differ from log to log.
    fn too_old(&self) -> bool {
        self.says(&[
            "minimum allowed",
            "retention",
            "too old",
            "older than",
            "earlier than",
            "too far",
            "out of range",
            "date range",
            "time range",
            " days",
        ])
    }

    fn skip_token(&self) -> bool {
        self.says(&["skip token", "skiptoken"])
    }

    fn licence(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        code.contains("NonPremiumTenant") || self.says(&["premium", "licens", "licenc"])
    }
}
