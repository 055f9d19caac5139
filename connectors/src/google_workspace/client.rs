//! Two lists of Google's, read window by window: URLs, and how Google says "next".
//!
//! - Activities come newest first, and that cannot be chosen. A window is closed, its bounds are the same on every
//!   page, and it is over with the page that names no next one: never earlier, also where a page is empty.
//! - Alerts change, and no documented filter of their list knows the time of the change. So it is walked by
//!   `update_time desc` over alerts made before the window's end, down to the first that was changed before the window:
//!   a change is seen in the window in which it was made.

use super::auth::{Api, Delegate};
use super::refusal::{GoogleError, Refusal};
use super::streams::ALERTS;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::Value as Json;
use std::ops::Range;
use std::time::Duration;
use tidegate_core::event::parse_time;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::{Client, Response, Verdict, cut};
use tidegate_core::source::{Cursor, Page, Place, PollError, Stream};
use url::Url;

/// To quote in a support case. Neither API documents one; it is kept where an answer has it.
pub(super) const REQUEST_ID: &str = "x-goog-request-id";

/// Alerts that are older than this before a window are not asked for: their keys for dedupe last as long as the
/// retention of 180 days, which leaves the sweeps ten days.
const OLDEST_ALERT: TimeDelta = TimeDelta::days(170);

/// Alerts a page. Few are made, and nearly all polls end on the first page: most of a large one would be old alerts.
const ALERTS_A_PAGE: u32 = 50;

/// What the Reports API calls its pages.
const ACTIVITIES: &str = "admin#reports#activities";

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
pub(super) struct Ask<'a> {
    pub(super) stream: &'a Stream,
    pub(super) api: Api,
    pub(super) from: DateTime<Utc>,
    pub(super) token: Option<String>,
    pub(super) url: Url,
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
            let refusal = Refusal { http: &http, auth: &self.auth, ask, response: &response, error: &error };
            return Err(refusal.means(verdict));
        }
    }
}

impl Ask<'_> {
    /// The configuration's key of the address.
    pub(super) fn key(&self) -> &'static str {
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
    let mut records = match envelope.records(list).map_err(broken)? {
        Some(records) => records,
        // Reports leaves an empty list out, but says whose answer it is. Else any JSON would be a window without records.
        None if ask.api == Api::Reports
            && envelope.member::<String>("kind").as_deref() != Some(ACTIVITIES) =>
        {
            return Err(again(FaultKind::Answer, format!("neither `items` nor the kind {ACTIVITIES}")));
        }
        None => Vec::new(),
    };
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

/// Takes out the alerts that were changed last before `from`, and says whether none that follows can be any other: the
/// page is in order, and its last one is such. What people did with an alert (`metadata`) has a time of its own, by which
/// Google does not order.
fn leave_unchanged(from: DateTime<Utc>, body: &[u8], records: &mut Vec<Range<usize>>) -> bool {
    let time = |part: &cut::Envelope<'_>| parse_time(&part.member::<String>("updateTime")?);
    let changed = |span: &Range<usize>| {
        let alert = cut::Envelope::read(body.get(span.clone())?).ok()?;
        Some((time(&alert)?, alert.object("metadata").as_ref().and_then(time)))
    };
    let times: Vec<_> = records.iter().map(changed).collect();
    let order: Vec<_> = times.iter().map(|times| times.map(|(alert, _)| alert)).collect();
    let in_order = order.iter().all(Option::is_some) && order.is_sorted_by(|one, next| one >= next);
    let passed = order.last().copied().flatten().is_some_and(|last| last < from);
    let mut times = times.iter();
    let late =
        |(alert, people): (DateTime<Utc>, Option<DateTime<Utc>>)| people.max(Some(alert)) >= Some(from);
    records.retain(|_| times.next().copied().flatten().is_none_or(late));
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
pub(super) fn log(stream: &Stream) -> String {
    if stream.name == ALERTS {
        "google's alert center".to_owned()
    } else {
        format!("google's log {}", stream.name)
    }
}
