//! Two lists of Google's, read window by window: URLs, how Google says "next", and what its refusals mean.
//!
//! - Activities come newest first, and that cannot be chosen. A window is closed, its bounds are the same on every page,
//!   and it is over with the page that names no next one: never earlier, also where a page is empty.
//! - Alerts change, and their list cannot be filtered by the time of the change. So it is walked by `update_time desc` over
//!   alerts made before the window's end, down to the first that was changed before the window: a change is seen in
//!   the window in which it was made.

use super::auth::{Api, Delegate};
use super::streams::ALERTS;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::Value as Json;
use std::ops::Range;
use std::time::Duration;
use tidegate_core::event::parse_time;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::{kind, quotable, retry_after};
use tidegate_core::http::{Client, Response, Verdict, cut};
use tidegate_core::secret::Secret;
use tidegate_core::source::{Cursor, Page, Place, PollError, Stream};
use url::Url;

/// To quote in a support case. Neither API documents one; it is kept where an answer has it.
pub(super) const REQUEST_ID: &str = "x-goog-request-id";

/// How long a used-up quota of the day is left alone. It comes back at midnight of the Pacific coast, or when somebody
/// raises it.
const LONG: Duration = Duration::from_secs(30 * 60);

/// Alerts that are older than this before a window are not asked for: their keys for dedupe last as long as the retention
/// of 180 days, which leaves the sweeps ten days.
const OLDEST_ALERT: TimeDelta = TimeDelta::days(170);

/// Alerts a page. Few are made, and nearly all polls end on the first page: a large one would be mostly old alerts.
const ALERTS_A_PAGE: u32 = 50;

/// A window that begins later than this long ago is not refused for its age.
const SURELY_KEPT: TimeDelta = TimeDelta::days(170);

/// What narrows the source, and the size of pages.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) customer_id: Option<String>,
    pub(super) user_key: Option<String>,
    pub(super) event_name: Option<String>,
    pub(super) org_unit_id: Option<String>,
    pub(super) limit: u32,
}

/// One organisation's logs.
pub(super) struct Logs {
    pub(super) reports: Url,
    pub(super) alerts: Url,
    pub(super) http: Client,
    pub(super) auth: Delegate,
    pub(super) query: Query,
}

/// A request for one page.
struct Ask<'a> {
    stream: &'a Stream,
    api: Api,
    from: DateTime<Utc>,
    token: Option<String>,
    url: Url,
}

impl Logs {
    /// One page.
    pub(super) async fn page(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let Place::Window { from, to, token } = place else {
            return Err(halt(FaultKind::Configuration, "google's logs are read by windows and have no feed"));
        };
        let ask = self.ask(stream, *from, *to, token.as_ref())?;
        let response = self.get(&ask).await?;
        read(&ask, response)
    }

    fn ask<'a>(
        &self,
        stream: &'a Stream,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        token: Option<&Cursor>,
    ) -> Result<Ask<'a>, PollError> {
        let token = token.map(|token| String::from_utf8(token.0.clone())).transpose().map_err(|_| {
            let cause = Fault::new(FaultKind::Cursor, "the stored page token is no text");
            PollError::Restart { cause }
        })?;
        let api = if stream.name == ALERTS { Api::Alerts } else { Api::Reports };
        // The end is read as inclusive or not, nobody says; so it is the first instant after the window.
        let start = from.trunc_subsecs(3);
        let end = ceiling(to).max(start + TimeDelta::milliseconds(1));
        let mut pairs: Vec<(&str, String)> = Vec::new();
        let mut also = |name, value: Option<&str>| pairs.extend(value.map(|value| (name, value.to_owned())));
        let mut url;
        match api {
            Api::Reports => {
                url = self.reports.clone();
                if let Ok(mut path) = url.path_segments_mut() {
                    let user = self.query.user_key.as_deref().unwrap_or("all");
                    path.clear().extend([
                        "admin",
                        "reports",
                        "v1",
                        "activity",
                        "users",
                        user,
                        "applications",
                        stream.name,
                    ]);
                }
                also("startTime", Some(&written(start)));
                also("endTime", Some(&written(end)));
                also("maxResults", Some(&self.query.limit.to_string()));
                also("customerId", self.query.customer_id.as_deref());
                also("eventName", self.query.event_name.as_deref());
                also("orgUnitID", self.query.org_unit_id.as_deref());
            }
            Api::Alerts => {
                url = self.alerts.clone();
                url.set_path("v1beta1/alerts");
                let oldest = written(start - OLDEST_ALERT);
                let filter = format!("createTime >= \"{oldest}\" AND createTime < \"{}\"", written(end));
                also("filter", Some(&filter));
                also("orderBy", Some("update_time desc"));
                also("pageSize", Some(&self.query.limit.min(ALERTS_A_PAGE).to_string()));
                // The Alert Center has no word for "mine", and writes the id without its letter.
                also("customerId", self.query.customer_id.as_deref().and_then(|id| id.strip_prefix('C')));
            }
        }
        also("prettyPrint", Some("false"));
        also("pageToken", token.as_deref());
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        // A form writes a blank as `+`, which only forms read back as a blank.
        url.set_query(Some(&query.replace('+', "%20")));
        Ok(Ask { stream, api, from, token, url })
    }

    /// One request; a second one only where the credential could be renewed.
    async fn get(&self, ask: &Ask<'_>) -> Result<Response, PollError> {
        let http = self.http.of(ask.stream.name);
        let mut renewed = false;
        loop {
            let bearer = self.auth.bearer(&http, ask.api).await?;
            if renewed && let Some(quota) = http.quota() {
                quota.count(http.clock().now());
            }
            let request = http::Request::get(ask.url.as_str())
                .header(http::header::ACCEPT, "application/json")
                .header(http::header::AUTHORIZATION, bearer.header.clone())
                .body(bytes::Bytes::new())
                .map_err(|_| halt(FaultKind::Configuration, "the request cannot be built"))?;
            let response = http.send(request).await?;
            let verdict = http.judge(&response, None);
            if verdict == Verdict::Ok {
                return Ok(response);
            }
            let error = GoogleError::read(&response.body, &bearer.secret);
            if verdict == Verdict::Unauthorized && !renewed && !error.is_of_the_administrator() {
                self.auth.refused(ask.api, &bearer).await;
                renewed = true;
                continue;
            }
            return Err(self.refusal(&http, ask, &response, verdict, &error));
        }
    }

    /// What happens next, and what a person can do about it.
    fn refusal(
        &self,
        http: &Client,
        ask: &Ask<'_>,
        response: &Response,
        verdict: Verdict,
        error: &GoogleError,
    ) -> PollError {
        let said = error.said();
        let log = log(ask.stream);
        let fault =
            |kind, message: String| response.fault(kind, message, error.reason.as_deref(), REQUEST_ID);
        let scope = ask.api.scope();
        let cause = match verdict {
            Verdict::Retry { after, kind } => {
                return PollError::Retry { after, cause: fault(kind, format!("{log}: {}", why(kind))) };
            }
            // Google says 403 where others say 429.
            Verdict::Forbidden if error.rate_limit().is_some() => {
                let long = error.rate_limit() == Some(Limit::Long);
                let hint = retry_after(&response.headers, response.date).or(long.then_some(LONG));
                let kind = FaultKind::RateLimit;
                let after = http.quota().map_or(hint, |quota| quota.refused(kind, hint, http.clock().now()));
                return PollError::Retry { after, cause: fault(kind, format!("{log}: {}{said}", why(kind))) };
            }
            Verdict::BadRequest if error.is_of_age(ask.from, http.their_now()) => {
                return PollError::TooOld { cause: fault(FaultKind::Answer, format!("{log} does not reach back so far{said}")) };
            }
            Verdict::BadRequest if ask.token.is_some() => {
                return PollError::Restart { cause: fault(FaultKind::Cursor, format!("{log}: google refused the page token{said}")) };
            }
            Verdict::BadRequest => fault(FaultKind::Configuration, format!("{log}: google refused the query{said}"))
                .remedy(match ask.api {
                    Api::Reports => format!(
                        "compare the stream's name `{}` with the applications of Google's Reports API (such as login, \
                         admin, drive), and user_key, event_name, org_unit_id and customer_id with the organisation's",
                        ask.stream.name
                    ),
                    Api::Alerts => "compare customer_id with the Admin console's (Account > Account settings)".to_owned(),
                }),
            Verdict::Unauthorized if error.is_of_the_administrator() => {
                fault(FaultKind::Permission, format!("{} may not read {log}{said}", self.auth.subject))
                    .remedy(self.permission(ask.api))
            }
            Verdict::Unauthorized => fault(FaultKind::Credential, format!("{log}: google refused the access token{said}"))
                .remedy(self.auth.remedy()),
            Verdict::Forbidden if error.is_of_the_project() => {
                let api = ask.api.title();
                fault(FaultKind::Configuration, format!("{log}: the {api} is not enabled in the service account's project{said}"))
                    .remedy(format!(
                        "in Google Cloud's console, in the project of the service account, enable the {api} (APIs & \
                         Services > Library); it works after some minutes"
                    ))
            }
            Verdict::Forbidden => fault(FaultKind::Permission, format!("google does not let {} read {log}{said}", self.auth.subject))
                .remedy(self.permission(ask.api)),
            Verdict::Redirect => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                fault(FaultKind::ForeignLink, format!("{} redirects to {to}", ask.origin()))
                    .remedy(format!("compare {} with Google's own address", ask.key()))
            }
            Verdict::NotThere => fault(FaultKind::Configuration, format!("{log}: nothing is at {}{said}", ask.origin()))
                .remedy(format!("compare {} with Google's own address, and user_key with a user of the organisation", ask.key())),
            Verdict::TooLarge | Verdict::Refused | Verdict::Ok => {
                fault(kind(verdict, response.status), format!("{log}: google refused the request{said}"))
                    .remedy(format!("see what Google says, and compare the scope {scope}"))
            }
        };
        PollError::Halt { cause }
    }

    fn permission(&self, api: Api) -> String {
        format!(
            "give {} an administrator role with the privilege {} (Google's Admin console, Account > Admin roles), and see \
             that the account is active, licensed, and has no less than the scope {} delegated to it",
            self.auth.subject,
            api.privilege(),
            api.scope()
        )
    }
}

impl Ask<'_> {
    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The configuration's key of the address.
    fn key(&self) -> &'static str {
        match self.api {
            Api::Reports => "url",
            Api::Alerts => "alerts_url",
        }
    }
}

/// Turns a good answer into a page.
fn read(ask: &Ask<'_>, response: Response) -> Result<Page, PollError> {
    let again = |kind, message: String| {
        let cause = response.fault(kind, format!("{}: {message}", log(ask.stream)), None, REQUEST_ID);
        PollError::Retry { after: None, cause }
    };
    let broken = |fault: Fault| again(fault.kind, fault.message);
    let envelope = cut::Envelope::read(&response.body).map_err(broken)?;
    if envelope.member::<Json>("error").is_some_and(|error| !error.is_null()) {
        return Err(again(FaultKind::Answer, "an error with a good status".to_owned()));
    }
    let list = match ask.api {
        Api::Reports => "items",
        Api::Alerts => "alerts",
    };
    let mut records = envelope.records(list).map_err(broken)?.unwrap_or_default();
    let mut next = match envelope.member::<Json>("nextPageToken") {
        None | Some(Json::Null) => None,
        Some(Json::String(token)) => Some(token).filter(|token| !token.is_empty()),
        // An end that is none would be a hole that nobody sees.
        Some(_) => return Err(again(FaultKind::Answer, "a next page token that is no text".to_owned())),
    };
    if next.is_some() && next == ask.token {
        let message = format!("{}: google's next page is the one that it came with", log(ask.stream));
        let cause = response.fault(FaultKind::Cursor, message, None, REQUEST_ID);
        return Err(PollError::Restart { cause });
    }
    if ask.api == Api::Alerts && leave_unchanged(ask.from, &response.body, &mut records) {
        next = None;
    }
    let next = next.map(|token| Cursor(token.into_bytes()));
    Ok(Page { records, next, wait: Duration::ZERO, date: response.date, body: response.body, unread: None })
}

/// Takes out the alerts that were changed last before `from`, and says whether none that follows can be any other: the page
/// is in order, and its last one is such.
fn leave_unchanged(from: DateTime<Utc>, body: &[u8], records: &mut Vec<Range<usize>>) -> bool {
    let changed = |span: &Range<usize>| {
        let alert = cut::Envelope::read(body.get(span.clone())?).ok()?;
        parse_time(&alert.member::<String>("updateTime")?)
    };
    let times: Vec<_> = records.iter().map(changed).collect();
    let in_order = times.iter().all(Option::is_some) && times.is_sorted_by(|one, next| one >= next);
    let passed = times.last().copied().flatten().is_some_and(|last| last < from);
    let mut times = times.iter();
    records.retain(|_| times.next().copied().flatten().is_none_or(|time| time >= from));
    in_order && passed
}

fn halt(kind: FaultKind, message: impl Into<String>) -> PollError {
    PollError::Halt { cause: Fault::new(kind, message) }
}

/// The next whole millisecond, if it is none already.
fn ceiling(time: DateTime<Utc>) -> DateTime<Utc> {
    let floor = time.trunc_subsecs(3);
    if floor == time { floor } else { floor + TimeDelta::milliseconds(1) }
}

fn written(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A stream's name for people.
fn log(stream: &Stream) -> String {
    if stream.name == ALERTS {
        "google's alert center".to_owned()
    } else {
        format!("google's log {}", stream.name)
    }
}

/// Words for a reason to try again.
fn why(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::RateLimit => "the quota is used up",
        FaultKind::Concurrency => "too many requests at the same time",
        FaultKind::Answer => "an HTML page instead of JSON",
        _ => "the server failed",
    }
}

/// How long a limit lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// A minute's.
    Short,
    /// A day's, or one that only a person raises.
    Long,
}

/// What an error of the APIs says, in either of Google's two shapes: `errors[].reason` of the older, `status` and
/// `details[].reason` of the newer.
#[derive(Debug, Default)]
struct GoogleError {
    reason: Option<String>,
    message: String,
}

impl GoogleError {
    /// Without the credential, should the answer repeat it.
    fn read(body: &[u8], secret: &Secret) -> Self {
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error");
        let text = |value: Option<&Json>| value.and_then(Json::as_str).map(|text| secret.redact(text));
        let reason_in = |list: &str| {
            let list = error?.get(list)?.as_array()?;
            list.iter().find_map(|entry| text(entry.get("reason")))
        };
        let member = |name: &str| text(error.and_then(|error| error.get(name)));
        let reason = reason_in("errors").or_else(|| reason_in("details")).or_else(|| member("status"));
        Self { reason, message: member("message").unwrap_or_default() }
    }

    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_lowercase().contains(words)
    }

    /// Google's words, to be quoted behind ours; empty where there are none.
    fn said(&self) -> String {
        if self.message.trim().is_empty() { String::new() } else { format!(": {}", quotable(&self.message)) }
    }

    /// A 401 that no other token would help against. Reason and status are those of an expired one; the words tell.
    fn is_of_the_administrator(&self) -> bool {
        self.says("access denied") || self.says("not authorized")
    }

    fn is_of_the_project(&self) -> bool {
        matches!(self.reason(), "accessNotConfigured" | "SERVICE_DISABLED")
    }

    fn rate_limit(&self) -> Option<Limit> {
        match self.reason() {
            "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED" => {
                Some(Limit::Short)
            }
            "quotaExceeded" | "dailyLimitExceeded" => Some(Limit::Long),
            _ => None,
        }
    }

    /// A 400 because of a start over 180 days ago. It is also worded as a start after the end, which ours never is.
    fn is_of_age(&self, from: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.says("180 days") || (self.says("after end time") && from < now - SURELY_KEPT)
    }
}
