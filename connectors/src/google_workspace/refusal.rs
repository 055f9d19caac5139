//! What a refusal of the two services means: what happens next, and what a person can do about it.

use super::auth::{Api, Delegate};
use super::client::{Ask, REQUEST_ID, log};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::{kind, quotable, retry_after};
use tidegate_core::http::{Client, Response, Verdict};
use tidegate_core::secret::Secret;
use tidegate_core::source::PollError;

/// How long a used-up quota of the day is left alone. It comes back at midnight of the Pacific coast, or when
/// somebody raises it.
const LONG: Duration = Duration::from_secs(30 * 60);

/// A window that begins later than this long ago is not refused for its age.
const SURELY_KEPT: TimeDelta = TimeDelta::days(170);

/// An answer that is no page.
pub(super) struct Refusal<'a> {
    pub(super) http: &'a Client,
    pub(super) auth: &'a Delegate,
    pub(super) ask: &'a Ask<'a>,
    pub(super) response: &'a Response,
    pub(super) error: &'a GoogleError,
}

impl Refusal<'_> {
    fn fault(&self, kind: FaultKind, what: &str) -> Fault {
        let message = format!("{}: {what}{}", log(self.ask.stream), self.error.said());
        self.response.fault(kind, message, self.error.reason.as_deref(), REQUEST_ID)
    }

    /// What happens next.
    pub(super) fn means(&self, verdict: Verdict) -> PollError {
        let Self { http, ask, response, error, .. } = *self;
        match verdict {
            Verdict::Retry { after, kind } => PollError::Retry { after, cause: self.fault(kind, why(kind)) },
            // Google says 403 where others say 429.
            Verdict::Forbidden if let Some(limit) = error.limit() => {
                let long = (limit == Limit::Long).then_some(LONG);
                let hint = retry_after(&response.headers, response.date).or(long);
                let kind = FaultKind::RateLimit;
                let after = http.quota().map_or(hint, |quota| quota.refused(kind, hint, http.clock().now()));
                PollError::Retry { after, cause: self.fault(kind, why(kind)) }
            }
            Verdict::BadRequest if error.is_of_age(ask.from, http.their_now()) => {
                PollError::TooOld { cause: self.fault(FaultKind::Answer, "it does not reach back so far") }
            }
            Verdict::BadRequest if ask.token.is_some() => {
                PollError::Restart { cause: self.fault(FaultKind::Cursor, "google refused the page token") }
            }
            _ => {
                let (kind, what, remedy) = self.halts(verdict);
                PollError::Halt { cause: self.fault(kind, &what).remedy(remedy) }
            }
        }
    }

    /// What stops the stream, and what to do.
    fn halts(&self, verdict: Verdict) -> (FaultKind, String, String) {
        let Self { auth, ask, response, error, .. } = *self;
        let (api, subject) = (ask.api, &auth.subject);
        let compare_address = format!("compare {} with Google's own address", ask.key());
        let origin = ask.url.origin().ascii_serialization();
        match verdict {
            Verdict::BadRequest => {
                let remedy = match api {
                    Api::Reports => format!(
                        "compare the stream's name `{}` with the applications of Google's Reports API (such as \
                         login, admin, drive), and user_key, event_name, org_unit_id and customer_id with the \
                         organisation's",
                        ask.stream.name
                    ),
                    Api::Alerts => {
                        "compare customer_id with the Admin console's (Account > Account settings)".to_owned()
                    }
                };
                (FaultKind::Configuration, "google refused the query".to_owned(), remedy)
            }
            Verdict::Unauthorized if !error.is_of_the_administrator() => {
                (FaultKind::Credential, "google refused the access token".to_owned(), auth.remedy())
            }
            Verdict::Forbidden if error.is_of_the_project() => (
                FaultKind::Configuration,
                format!("the {} is not enabled in the service account's project", api.title()),
                format!(
                    "in Google Cloud's console, in the project of the service account, enable the {} (APIs & \
                     Services > Library); it works after some minutes",
                    api.title()
                ),
            ),
            Verdict::Unauthorized | Verdict::Forbidden => (
                FaultKind::Permission,
                format!("google does not let {subject} read it"),
                format!(
                    "give {subject} an administrator role with the privilege {} (Google's Admin console, Account > \
                     Admin roles), and see that the account is active, licensed, and that the scope {} is delegated",
                    api.privilege(),
                    api.scope()
                ),
            ),
            Verdict::Redirect => {
                let to = response.redirect_origin().unwrap_or_else(|| "elsewhere".to_owned());
                (FaultKind::ForeignLink, format!("{origin} redirects to {to}"), compare_address)
            }
            Verdict::NotThere => (
                FaultKind::Configuration,
                format!("nothing is there at {origin}"),
                format!("{compare_address}, and user_key with a user of the organisation"),
            ),
            Verdict::TooLarge | Verdict::Refused | Verdict::Ok | Verdict::Retry { .. } => {
                (kind(verdict, response.status), "google refused the request".to_owned(), compare_address)
            }
        }
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
pub(super) struct GoogleError {
    reason: Option<String>,
    message: String,
}

impl GoogleError {
    /// Without the credential, should the answer repeat it.
    pub(super) fn read(body: &[u8], secret: &Secret) -> Self {
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
    pub(super) fn is_of_the_administrator(&self) -> bool {
        self.says("access denied") || self.says("not authorized")
    }

    fn is_of_the_project(&self) -> bool {
        matches!(self.reason(), "accessNotConfigured" | "SERVICE_DISABLED")
    }

    fn limit(&self) -> Option<Limit> {
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
