//! Okta's System Log in polling mode: URLs, how Okta says "next", and what its refusals mean.
//!
//! - The first request names `since` and no `until`: order is that of persistence, nothing that is persisted late is
//!   missed. After that only `rel="next"` links are followed, byte for byte.
//! - Okta sends `rel="next"` even after the last page, so a link is no sign of more; a full page is.
//! - The status decides. Okta uses one error code (E0000053) for a wrong filter and for a broken server.

use super::auth::{self, Auth};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::quotable;
use tidegate_core::http::{Client, RateHeaders, Response, Verdict, cut, link};
use tidegate_core::secret::Secret;
use tidegate_core::source::{Cursor, Page, Place, PollError, Stream};
use url::Url;

/// Okta's limit headers. A bucket is a minute, not aligned to the clock's; more than five is a broken header.
pub(super) const RATE: RateHeaders = RateHeaders {
    limit: "x-rate-limit-limit",
    remaining: "x-rate-limit-remaining",
    reset: "x-rate-limit-reset",
    longest: Duration::from_secs(300),
};

/// To quote in a support case.
pub(super) const REQUEST_ID: &str = "x-okta-request-id";

const PATH: &str = "api/v1/logs";

/// A `since` over 180 days back is refused with E0000053; the log holds 90 days, so nothing is lost by asking for less.
const OLDEST: TimeDelta = TimeDelta::days(179);

/// What Okta takes for `limit` where a link names none.
const DEFAULT_LIMIT: usize = 100;

/// One organisation's System Log.
pub(super) struct Log {
    pub(super) url: Url,
    pub(super) http: Client,
    pub(super) auth: Auth,
    pub(super) filter: Option<String>,
    pub(super) limit: u32,
}

/// Where a request goes: the bytes as they were linked, and what they mean.
struct Target {
    uri: http::Uri,
    url: Url,
    followed: bool,
}

impl Log {
    /// One page.
    pub(super) async fn page(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let target = match place {
            Place::Feed { cursor: Some(cursor), .. } => self.follow(cursor)?,
            Place::Feed { cursor: None, since } => self.first(*since)?,
            Place::Window { .. } => {
                let cause =
                    Fault::new(FaultKind::Configuration, "okta's system log is a feed and has no windows");
                return Err(PollError::Halt { cause });
            }
        };
        let response = self.get(&target).await?;
        self.read(stream, &target, response)
    }

    /// The first page of a chain. Milliseconds and `Z` always: without them Okta has leaked events outside the range.
    fn first(&self, since: DateTime<Utc>) -> Result<Target, PollError> {
        let since = since.max(self.http.their_now() - OLDEST);
        let mut url =
            self.url.join(PATH).map_err(|error| halt(FaultKind::Configuration, error.to_string()))?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("since", &since.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
            .append_pair("sortOrder", "ASCENDING")
            .append_pair("limit", &self.limit.to_string());
        if let Some(filter) = &self.filter {
            query.append_pair("filter", filter);
        }
        // A form writes a blank as `+`, which only forms read back as a blank.
        url.set_query(Some(&query.finish().replace('+', "%20")));
        let uri =
            uri(url.as_str()).ok_or_else(|| halt(FaultKind::Configuration, "the url cannot be asked"))?;
        Ok(Target { uri, url, followed: false })
    }

    /// A stored link. It was checked before it was stored; it is checked again before a credential goes there.
    fn follow(&self, cursor: &Cursor) -> Result<Target, PollError> {
        let refused = |cause| PollError::Halt { cause };
        let text = std::str::from_utf8(&cursor.0)
            .map_err(|_| refused(Fault::new(FaultKind::Cursor, "the stored link is no text")))?;
        let url = link::same_origin(&self.url, text).map_err(refused)?;
        // A proof names the URL in its canonical form; a link that writes the host otherwise is asked in that form too.
        let verbatim = uri(text)
            .filter(|uri| uri.authority().is_some_and(|authority| authority.as_str() == url.authority()));
        let uri = verbatim
            .or_else(|| uri(url.as_str()))
            .ok_or_else(|| refused(Fault::new(FaultKind::Cursor, "the stored link cannot be asked")))?;
        Ok(Target { uri, url, followed: true })
    }

    /// One request; a second one only where the credential could be renewed.
    async fn get(&self, target: &Target) -> Result<Response, PollError> {
        let mut renewed = false;
        loop {
            let grant = self.auth.authorize(&self.http, &target.url).await?;
            if renewed && let Some(quota) = self.http.quota() {
                quota.count(self.http.clock().now());
            }
            let mut request = http::Request::get(target.uri.clone())
                .header(http::header::ACCEPT, "application/json")
                .header(http::header::AUTHORIZATION, grant.authorization.clone());
            if let Some(proof) = &grant.proof {
                request = request.header("dpop", proof.clone());
            }
            let request = request
                .body(Bytes::new())
                .map_err(|_| halt(FaultKind::Configuration, "the request cannot be built"))?;
            let response = self.http.send(request).await?;
            let verdict = match self.http.judge(&response, Some(&RATE)) {
                Verdict::Ok => {
                    self.auth.learn(&response);
                    return Ok(response);
                }
                // A wrong proof may be a 400; it says nothing about the cursor.
                Verdict::BadRequest if auth::challenge(&response).is_some() => Verdict::Unauthorized,
                other => other,
            };
            if verdict == Verdict::Unauthorized
                && !renewed
                && self.auth.refused(&self.http, &grant, &response).await?
            {
                renewed = true;
                continue;
            }
            return Err(self.refusal(target, &response, verdict, &grant.secret));
        }
    }

    /// What happens next, and what a person can do about it.
    fn refusal(&self, target: &Target, response: &Response, verdict: Verdict, secret: &Secret) -> PollError {
        // A code that repeats the credential is no code; what is redacted is dropped.
        let code = answer_code(&response.body).map(|code| secret.redact(&code));
        let fault = |kind, message: String| response.fault(kind, message, code.as_deref(), REQUEST_ID);
        let said = text(&response.body, Some(secret));
        let cause = match verdict {
            Verdict::Retry { after, kind } => {
                return PollError::Retry {
                    after,
                    cause: fault(kind, format!("okta's system log: {}", why(kind))),
                };
            }
            Verdict::BadRequest if target.followed => {
                let message = format!("okta refused the stored link{said}");
                return PollError::Restart { cause: fault(FaultKind::Cursor, message) };
            }
            Verdict::BadRequest => fault(FaultKind::Configuration, format!("okta refused the query{said}"))
                .remedy("correct `filter`; see Okta's System Log filter syntax"),
            Verdict::Unauthorized => fault(FaultKind::Credential, "okta refused the credential".to_owned())
                .remedy(self.auth.remedy()),
            Verdict::Forbidden => fault(
                FaultKind::Permission,
                "okta does not let this credential read the system log".to_owned(),
            )
            .remedy(self.permission()),
            Verdict::Redirect => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                fault(FaultKind::ForeignLink, format!("{} redirects to {to}", origin(&self.url)))
                    .remedy("make the organisation's own address the source's `url`")
            }
            Verdict::NotThere => {
                fault(FaultKind::Configuration, format!("there is no system log at {}", origin(&self.url)))
                    .remedy("compare the source's `url` with the organisation's own address")
            }
            Verdict::TooLarge | Verdict::Refused | Verdict::Ok => {
                fault(FaultKind::Configuration, format!("okta refused the request{said}"))
            }
        };
        PollError::Halt { cause }
    }

    fn permission(&self) -> String {
        match &self.auth {
            Auth::Token(_) => {
                "give the account that made the API token the role Read-Only Administrator, and allow \
                               this machine's network zone"
                    .to_owned()
            }
            Auth::App(_) => format!(
                "grant {} on the app's Okta API Scopes tab, and give the app the role Read-Only Administrator",
                auth::SCOPE
            ),
        }
    }

    /// Turns a good answer into a page.
    fn read(&self, stream: &Stream, target: &Target, response: Response) -> Result<Page, PollError> {
        let again = |fault: Fault| {
            let cause = response.fault(fault.kind, fault.message, None, REQUEST_ID);
            PollError::Retry { after: None, cause }
        };
        let records = cut::array(&response.body).map_err(again)?;
        // In polling mode there is always one; without it we would end in silence (Okta promises it, RFC 8288 does not).
        let next = link::find(&response.headers, "next")
            .ok_or_else(|| again(Fault::new(FaultKind::Answer, "okta's answer has no rel=\"next\" link")))?;
        let url = link::same_origin(&self.url, &next).map_err(|fault| {
            let remedy = fault.remedy;
            let mut cause = response.fault(fault.kind, fault.message, None, REQUEST_ID);
            cause.remedy = remedy;
            PollError::Halt { cause }
        })?;
        if !records.is_empty() && url == target.url {
            let message = "okta's next link leads to the page it came with, although records came";
            return Err(again(Fault::new(FaultKind::Cursor, message)));
        }
        let full = limit_of(&target.url).unwrap_or(DEFAULT_LIMIT).max(1);
        let wait = if records.len() >= full { Duration::ZERO } else { stream.poll };
        let Response { body, date, .. } = response;
        Ok(Page { body, records, next: Some(Cursor(next.into_bytes())), wait, date, unread: None })
    }
}

fn halt(kind: FaultKind, message: impl Into<String>) -> PollError {
    PollError::Halt { cause: Fault::new(kind, message) }
}

/// What can be asked as it stands: absolute, and free of what an HTTP request line cannot hold.
fn uri(text: &str) -> Option<http::Uri> {
    text.parse().ok().filter(|uri: &http::Uri| uri.scheme().is_some())
}

/// The page size that a link asks for; ours may have changed since it was made.
fn limit_of(url: &Url) -> Option<usize> {
    url.query_pairs().find(|(name, _)| name == "limit").and_then(|(_, value)| value.parse().ok())
}

/// Scheme, host and port, for messages.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Words for a reason to try again.
pub(super) fn why(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::RateLimit => "the rate limit is used up",
        FaultKind::Concurrency => "too many requests at the same time in the organisation",
        FaultKind::Answer => "an HTML page instead of JSON",
        _ => "the server failed",
    }
}

/// Both shapes of Okta's errors; every member may be missing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OktaError {
    error_code: Option<String>,
    error_summary: Option<String>,
    error_causes: Vec<ErrorCause>,
    error: Option<String>,
    #[serde(rename = "error_description")]
    description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorCause {
    error_summary: Option<String>,
}

fn error(body: &[u8]) -> OktaError {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The error code of either shape.
pub(super) fn answer_code(body: &[u8]) -> Option<String> {
    let error = error(body);
    error.error.or(error.error_code)
}

/// Okta's own words, fit to be quoted behind ours; empty where there are none.
pub(super) fn text(body: &[u8], secret: Option<&Secret>) -> String {
    let error = error(body);
    let words = error.error_causes.into_iter().filter_map(|cause| cause.error_summary);
    let words: Vec<_> = error.error_summary.or(error.description).into_iter().chain(words).collect();
    if words.is_empty() {
        return String::new();
    }
    let words = words.join("; ");
    let words = secret.map_or_else(|| words.clone(), |secret| secret.redact(&words));
    format!(": {}", quotable(&words))
}
