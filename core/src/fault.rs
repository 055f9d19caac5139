//! What went wrong, in words that a person can act on.
//!
//! A [`Fault`] travels inside the error types of [`crate::source`] and [`crate::sink`], whose *variants* say what
//! happens next; the fault says what, where, with which code, and what to do. It never holds a secret or a query string.

use std::fmt;

/// The kind of trouble; exit codes, metrics and status pages group by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The credential was refused, or could not be read.
    Credential,
    /// The credential is good, but a permission, scope or role is missing.
    Permission,
    /// The vendor's edition does not include this.
    Licence,
    /// Too many requests in the vendor's span of time.
    RateLimit,
    /// Too many requests at the same time.
    Concurrency,
    /// The other side failed (5xx, HTML error page).
    Server,
    /// No connection, a broken one, a time-out, TLS.
    Network,
    /// The answer could not be understood (cut JSON, wrong shape).
    Answer,
    /// The answer is larger than we are willing to hold.
    TooLarge,
    /// The vendor refused our cursor.
    Cursor,
    /// A link or a redirect that leads away from the configured origin.
    ForeignLink,
    /// The request itself is wrong: configuration.
    Configuration,
    /// The journal.
    Journal,
}

/// One failure, described for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The group it belongs to.
    pub kind: FaultKind,
    /// Lower case, no full stop, names the thing that failed.
    pub message: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The other side's own error code, such as `E0000011`.
    pub code: Option<String>,
    /// The other side's request id, to quote in a support case.
    pub request_id: Option<String>,
    /// What the reader can do, where we know.
    pub remedy: Option<String>,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, code: None, request_id: None, remedy: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(status) = self.status {
            write!(f, " ({status}")?;
            if let Some(code) = &self.code {
                write!(f, " {code}")?;
            }
            if let Some(id) = &self.request_id {
                write!(f, ", request {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
