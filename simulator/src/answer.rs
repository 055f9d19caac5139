//! What a stand-in says to a request, and how the transport must play it.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::Value;

use crate::control::Notices;

/// A complete answer: status, headers, body, and what goes wrong on its way.
///
/// There is no `Content-Length`: the transport sets it from `body`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Response headers; names may occur more than once (two `Link` lines).
    pub headers: HeaderMap,
    /// The body as it goes over the wire, already compressed where `Content-Encoding` says so.
    pub body: Bytes,
    /// What the transport does to it; `None` plays it as it is.
    pub fault: Option<BodyFault>,
}

/// How an answer fails on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Announce the whole body, send this many bytes of it, then reset the connection.
    CutAfter(usize),
    /// The connection closes before a single byte of the answer.
    DropBeforeAnswer,
    /// The body trickles.
    SlowBody {
        /// Bytes sent a second.
        bytes_per_s: u64,
    },
    /// The body is sent again and again until this many bytes are out (no length announced), then ends normally.
    Endless {
        /// Bytes sent altogether.
        total: u64,
    },
    /// The whole answer comes this much later.
    Delay(Duration),
}

/// How many requests are being answered at this moment, this one included. The server puts it into the extensions of
/// each request; a request without it counts as the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight(pub usize);

/// A stand-in: pure, so that a test can play it in process under its own clock.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request at this time. `now` is the true (or virtual) time; the stand-in adds its own offset.
    fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer;

    /// Scheme and address that the server has bound; links and audiences take the scheme from it, and the host that the
    /// client called.
    fn set_base_url(&self, url: &str);

    /// Where a test waits for the k-th request.
    fn notices(&self) -> &Notices;
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::with_type(status, "application/json", Bytes::from(body.to_string()))
    }

    /// An answer with an HTML page, as a proxy in between would give it.
    pub fn html(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Page");
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
        );
        Self::with_type(status, "text/html", Bytes::from(body))
    }

    /// An answer with this content type.
    pub fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body, fault: None }
    }

    /// No answer at all.
    pub(crate) fn dropped() -> Self {
        Self { fault: Some(BodyFault::DropBeforeAnswer), ..Self::html(StatusCode::SERVICE_UNAVAILABLE) }
    }

    /// Sets a header, replacing earlier ones of that name. Text that is no header value is left out.
    pub fn set(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            self.headers.insert(name, value);
        }
    }

    /// Adds a header line beside earlier ones of that name.
    pub fn add(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            self.headers.append(name, value);
        }
    }

    /// Compresses the body, once.
    pub(crate) fn gzip(&mut self) {
        if self.headers.contains_key(CONTENT_ENCODING) {
            return;
        }
        self.body = gzip(&self.body);
        self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

pub(crate) fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(body);
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// Blanks, compressed, without ever holding them: whole mebibytes, at least one.
pub(crate) fn gzipped_blanks(total: u64) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..(total >> 20).max(1) {
        // Writing into memory cannot fail.
        let _ = encoder.write_all(&[b' '; 1 << 20]);
    }
    Bytes::from(encoder.finish().unwrap_or_default())
}

pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::ACCEPT_ENCODING).iter().any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && parameters.trim() != "q=0"
        })
    })
}

/// The form of a `Date` header (RFC 9110).
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
