//! Errors of the two APIs and of the token endpoint, in the vendor's form.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::config::{AdminState, Refusal};
use crate::answer::Answer;
use crate::faults::Fault;

/// Which of the three services answers; they word errors differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Reports,
    Alerts,
    Token,
}

impl Service {
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/v1beta1/") {
            Self::Alerts
        } else if path == super::TOKEN {
            Self::Token
        } else {
            Self::Reports
        }
    }
}

/// A refusal of an API: status, reason code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Comes from the layer in front of the API, which names a `status` as well.
    front: bool,
    /// Comes of a limit, whatever its form.
    limit: bool,
    /// The parameter or header that is to blame.
    location: Option<(&'static str, String)>,
}

impl ApiError {
    pub(crate) fn new(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason: reason.to_owned(),
            message: message.into(),
            front: status == 429,
            limit: false,
            location: None,
        }
    }

    /// 400 for a parameter.
    pub(crate) fn invalid(parameter: &str, message: impl Into<String>) -> Self {
        Self { location: Some(("parameter", parameter.to_owned())), ..Self::new(400, "invalid", message) }
    }

    fn front(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { front: true, ..Self::new(status, reason, message) }
    }

    /// 401 for a request without a credential.
    pub(crate) fn no_credential() -> Self {
        Self {
            location: Some(("header", "Authorization".to_owned())),
            ..Self::front(401, "required", "Request is missing the required authentication credential.")
        }
    }

    /// 401 for an access token that is unknown, expired or revoked; a new one helps.
    pub(crate) fn expired() -> Self {
        Self {
            location: Some(("header", "Authorization".to_owned())),
            ..Self::front(401, "authError", "Request had invalid authentication credentials.")
        }
    }

    /// 403 for a token that lacks the scope.
    pub(crate) fn scope() -> Self {
        Self::front(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
    }

    /// 403 for a caller who is no administrator of this customer.
    pub(crate) fn not_admin() -> Self {
        Self::new(403, "forbidden", "Not Authorized to access this resource/api")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "notFound", "Not Found")
    }

    /// What a user in this state is told.
    pub(crate) fn of_state(state: AdminState) -> Option<Self> {
        match state {
            AdminState::Active | AdminState::Unlicensed => None,
            AdminState::NoPrivilege => Some(Self::new(
                401,
                "authError",
                "Access denied. You are not authorized to read activity records.",
            )),
            AdminState::NotAdmin => Some(Self::not_admin()),
            AdminState::Suspended => Some(Self::expired()),
        }
    }

    /// 403 for an API that the project has not enabled.
    pub(crate) fn not_configured(api: &str, project: &str) -> Self {
        Self::front(
            403,
            "accessNotConfigured",
            format!("{api} has not been used in project {project} before or it is disabled."),
        )
    }

    /// A request over the limit.
    pub(crate) fn limit(refusal: Refusal, metric: &str) -> Self {
        let message = format!(
            "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute per user' of service"
        );
        let error = match refusal {
            Refusal::RateLimitExceeded => Self::new(403, "rateLimitExceeded", message),
            Refusal::UserRateLimitExceeded => Self::new(403, "userRateLimitExceeded", message),
            Refusal::QuotaExceeded => Self::new(403, "quotaExceeded", message),
            Refusal::ResourceExhausted => Self::new(429, "rateLimitExceeded", message),
            Refusal::Unavailable => Self::unavailable(),
        };
        Self { limit: true, ..error }
    }

    pub(crate) fn is_limit(&self) -> bool {
        self.limit
    }

    fn unavailable() -> Self {
        Self::new(503, "backendError", "The service is currently unavailable.")
    }

    pub(crate) fn answer(&self, service: Service) -> Answer {
        let limits = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"];
        let domain = match self.reason.as_str() {
            reason if limits.contains(&reason) || reason == "accessNotConfigured" => "usageLimits",
            _ => "global",
        };
        let text = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        let mut detail = Map::from_iter([
            text("message", &self.message),
            text("domain", domain),
            text("reason", &self.reason),
        ]);
        if let Some((kind, name)) = &self.location {
            detail.extend([text("location", name), text("locationType", kind)]);
        }
        let mut error = Map::from_iter([text("message", &self.message)]);
        error.insert("code".to_owned(), json!(self.status.as_u16()));
        error.insert("errors".to_owned(), json!([detail]));
        if self.front || service == Service::Alerts {
            error.extend([text("status", grpc_status(self.status))]);
        }
        let mut answer = Answer::json(self.status, &json!({"error": error}));
        if self.status == StatusCode::UNAUTHORIZED {
            answer.set("www-authenticate", "Bearer realm=\"https://accounts.google.com/\"");
        }
        answer
    }
}

fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

/// An error of the token endpoint (RFC 6749).
pub(crate) fn token_error(status: u16, error: &str, description: Option<&str>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = match description {
        Some(description) => json!({"error": error, "error_description": description}),
        None => json!({"error": error}),
    };
    Answer::json(status, &body)
}

/// A fault that answers in place of the service.
pub(crate) fn instead(fault: &Fault, service: Service) -> Option<Answer> {
    let api = |error: ApiError, token: (u16, &str)| match service {
        Service::Token => token_error(token.0, token.1, None),
        _ => error.answer(service),
    };
    Some(match fault {
        Fault::Exchange(exchange) => exchange.answer()?,
        Fault::RateLimited { retry_after_s, .. } => {
            let mut answer =
                api(ApiError::limit(Refusal::ResourceExhausted, "Queries"), (429, "rate_limit_exceeded"));
            if let Some(seconds) = retry_after_s {
                answer.set("retry-after", &seconds.to_string());
            }
            answer
        }
        Fault::Refused { status, reason } => {
            api(ApiError::new(*status, reason, format!("Refused: {reason}")), (*status, reason))
        }
        Fault::Html { status } => {
            Answer::html(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY))
        }
        Fault::Unauthorized => api(ApiError::expired(), (401, "unauthorized_client")),
        Fault::Forbidden => api(ApiError::not_admin(), (403, "access_denied")),
        Fault::NotFound => api(ApiError::not_found(), (404, "not_found")),
        Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
        Fault::ServerError => {
            api(ApiError::new(500, "backendError", "Internal error encountered."), (500, "internal_failure"))
        }
        Fault::Unavailable => api(ApiError::unavailable(), (503, "temporarily_unavailable")),
        Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
        Fault::DropUnprocessed => Answer::dropped(),
        Fault::HtmlPage => Answer::html(StatusCode::OK),
        Fault::WrongEnvelope => Answer::json(StatusCode::OK, &json!({"result": [], "next": null})),
        _ => return None,
    })
}
