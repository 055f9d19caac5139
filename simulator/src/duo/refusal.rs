//! The vendor's failures: status, code, message.

use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;

/// A request that is not answered with records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) code: u32,
    message: &'static str,
    detail: Option<String>,
}

impl Refusal {
    /// The status is in the code: 40103 is a 401.
    fn new(code: u32, message: &'static str) -> Self {
        let status = u16::try_from(code / 100).ok().and_then(|status| StatusCode::from_u16(status).ok());
        Self { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, message, detail: None }
    }

    fn with(code: u32, message: &'static str, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code, message) }
    }

    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::with(40001, "Missing required request parameters", name)
    }

    pub(super) fn parameter(detail: impl Into<String>) -> Self {
        Self::with(40002, "Invalid request parameters", detail)
    }

    pub(super) fn no_credentials() -> Self {
        Self::new(40101, "Missing request credentials")
    }

    pub(super) fn unknown_key() -> Self {
        Self::new(40102, "Invalid integration key in request credentials")
    }

    pub(super) fn signature() -> Self {
        Self::new(40103, "Invalid signature in request credentials")
    }

    pub(super) fn no_date() -> Self {
        Self::new(40104, "Missing request timestamp")
    }

    pub(super) fn date() -> Self {
        Self::new(40105, "Bad request timestamp")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(40301, "Access forbidden")
    }

    pub(super) fn not_found() -> Self {
        Self::new(40401, "Resource not found")
    }

    pub(super) fn method() -> Self {
        Self::new(40501, "Method not allowed")
    }

    pub(super) fn too_many() -> Self {
        Self::new(42901, "Too Many Requests")
    }

    pub(super) fn internal() -> Self {
        Self::new(50001, "Unknown internal error")
    }

    pub(super) fn answer(&self, code_as_text: bool) -> Answer {
        let mut body = json!({"stat": "FAIL", "code": self.code, "message": self.message});
        if let Some(members) = body.as_object_mut() {
            if code_as_text {
                members.insert("code".to_owned(), json!(self.code.to_string()));
            }
            if let Some(detail) = &self.detail {
                members.insert("message_detail".to_owned(), json!(detail));
            }
        }
        Answer::json(self.status, &body)
    }
}
