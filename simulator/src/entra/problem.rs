//! Answers that are errors: of Graph, and of the token endpoint.

use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::rng::{mix, uuid};

/// Why Graph does not answer what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// `WWW-Authenticate`, after `Bearer `.
    pub(crate) challenge: Option<String>,
}

/// What an error names its request by.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) client: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, challenge: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The lower bound lies before what is kept.
    pub(crate) fn too_old(field: &str, oldest: DateTime<Utc>) -> Self {
        let oldest = oldest.to_rfc3339_opts(SecondsFormat::Secs, true);
        Self::new(
            StatusCode::BAD_REQUEST,
            "UnknownError",
            format!("The value of '{field}' lies before the minimum allowed time {oldest}."),
        )
    }

    pub(crate) fn skip_token(message: &str) -> Self {
        Self::bad_request(message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", "Resource not found for the segment.")
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self {
            challenge: Some("realm=\"\", client_id=\"00000003-0000-0000-c000-000000000000\"".to_owned()),
            ..Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
        }
    }

    pub(crate) fn unlicensed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        )
    }

    pub(crate) fn throttled(retry_after: Option<u64>) -> Self {
        let (code, message) = match retry_after {
            Some(_) => (
                "TooManyRequests",
                "This request is throttled. Please try again after the value specified in the Retry-After header.",
            ),
            None => ("UnknownError", "Too Many Requests"),
        };
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message) }
    }

    pub(crate) fn answer(&self, ids: &Ids, odd: bool, now: DateTime<Utc>) -> Answer {
        let inner = json!({
            "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": ids.request,
            "client-request-id": ids.client,
        });
        let body = match odd {
            true => json!({"error": {"code": "", "message": self.message, "innererror": inner}}),
            false => json!({"error": {"code": self.code, "message": self.message, "innerError": inner}}),
        };
        let mut answer = Answer::json(self.status, &body);
        if let Some(seconds) = self.retry_after {
            answer.set("retry-after", &seconds.to_string());
        }
        if let Some(challenge) = &self.challenge {
            answer.set("www-authenticate", &format!("Bearer {challenge}"));
        }
        answer
    }
}

/// Why the token endpoint hands out no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    /// AADSTS number.
    pub(crate) number: u32,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn invalid_client(number: u32, message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: "invalid_client", number, message: message.into() }
    }

    pub(crate) fn invalid_request(number: u32, message: impl Into<String>) -> Self {
        Self { error: "invalid_request", ..Self::bad("", number, message) }
    }

    pub(crate) fn bad(error: &'static str, number: u32, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, number, message: message.into() }
    }

    /// A passing fault of the service.
    pub(crate) fn transient(status: StatusCode, number: u32) -> Self {
        let message = "The service is temporarily unavailable. Please retry later.".to_owned();
        Self { status, error: "temporarily_unavailable", number, message }
    }

    /// `seed` makes the trace id.
    pub(crate) fn answer(&self, seed: u64, correlation: &str, now: DateTime<Utc>) -> Answer {
        let trace = uuid(mix(seed, 3), mix(seed, 4));
        let at = now.format("%Y-%m-%d %H:%M:%SZ").to_string();
        let number = self.number;
        Answer::json(
            self.status,
            &json!({
                "error": self.error,
                "error_description": format!(
                    "AADSTS{number}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}",
                    self.message
                ),
                "error_codes": [number],
                "timestamp": at,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
            }),
        )
    }
}
