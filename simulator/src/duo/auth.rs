//! Who asks: the signature over each request, in the versions that clients use (2, 4 and 5).
//!
//! The secret never travels. Client and server write the request down in one canonical form and compare its keyed hash.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{AUTHORIZATION, DATE, HOST};
use http::{HeaderMap, Request};
use ring::hmac;
use sha2::{Digest as _, Sha512};

use super::config::{Integration, IntegrationKind};
use super::refusal::Refusal;

/// Takes the place of `Date` where a client cannot set that, and is signed as version 5's header block too.
const X_DUO_DATE: &str = "x-duo-date";

/// The key pairs that are known.
#[derive(Debug)]
pub(super) struct Keyring(BTreeMap<String, Integration>);

impl Keyring {
    pub(super) fn new(integrations: Vec<Integration>) -> Self {
        Self(integrations.into_iter().map(|integration| (integration.ikey.clone(), integration)).collect())
    }

    pub(super) fn add(&mut self, integration: Integration) {
        self.0.insert(integration.ikey.clone(), integration);
    }

    /// Whether there was such a key.
    pub(super) fn remove(&mut self, ikey: &str) -> bool {
        self.0.remove(ikey).is_some()
    }

    /// Whether there is such a key.
    pub(super) fn set_read_log(&mut self, ikey: &str, granted: bool) -> bool {
        self.0.get_mut(ikey).map(|integration| integration.read_log = granted).is_some()
    }

    /// Lets a request in whose signature is right, whose date is near and whose key may read logs.
    pub(super) fn admit(
        &self,
        request: &Request<Bytes>,
        base: Option<&str>,
        now: DateTime<Utc>,
        skew: TimeDelta,
    ) -> Result<(), Refusal> {
        let (ikey, signature) = credentials(request.headers()).ok_or_else(Refusal::no_credentials)?;
        let integration = self
            .0
            .get(&ikey)
            .filter(|integration| integration.kind == IntegrationKind::AdminApi)
            .ok_or_else(Refusal::unknown_key)?;
        let headers = request.headers();
        let date = headers.get(X_DUO_DATE).or_else(|| headers.get(DATE)).ok_or_else(Refusal::no_date)?;
        let date = date.to_str().map_err(|_| Refusal::date())?;
        let at = DateTime::parse_from_rfc2822(date).map_err(|_| Refusal::date())?;
        let hosts = hosts(request, base);
        if !hosts.iter().any(|host| Canonical::of(request, host, date).is_signed(integration, &signature)) {
            return Err(Refusal::signature());
        }
        if (now - at.to_utc()).abs() > skew {
            return Err(Refusal::date());
        }
        if integration.read_log { Ok(()) } else { Err(Refusal::forbidden()) }
    }
}

/// Integration key and signature of `Authorization: Basic base64(ikey:signature)`.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (ikey, signature) = text.split_once(':')?;
    Some((ikey.to_owned(), signature.to_owned()))
}

/// The names that may have been signed: the configured one without its port, else the one that was called; and the one
/// that was called with its port, since not every client keeps the two apart.
fn hosts(request: &Request<Bytes>, base: Option<&str>) -> Vec<String> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let called = header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    let configured = base.map(|base| {
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        host.trim_end_matches('/')
    });
    let own = configured.or(called).unwrap_or("localhost").to_lowercase();
    let mut hosts = vec![without_port(&own).to_owned()];
    hosts.extend(called.map(str::to_lowercase));
    hosts
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The canonical forms of one request.
struct Canonical {
    /// Date, method, host, path, parameters: all of version 2, the begin of 4 and 5.
    lines: String,
    /// Hash of the body, version 4's addition.
    body: String,
    /// Hash of the `X-Duo-*` headers, version 5's; absent where they may not be signed (a name twice).
    block: Option<String>,
}

impl Canonical {
    fn of(request: &Request<Bytes>, host: &str, date: &str) -> Self {
        let method = request.method().as_str().to_uppercase();
        let parameters = canonical_parameters(request.uri().query().unwrap_or_default());
        Self {
            lines: [date, &method, host, request.uri().path(), &parameters].join("\n"),
            body: sha512(request.body()),
            block: header_block(request.headers()).map(|block| sha512(&block)),
        }
    }

    /// The digest is told by its length: 40 digits are SHA-1, which only version 2 ever had, 128 are SHA-512.
    fn is_signed(&self, integration: &Integration, signature: &str) -> bool {
        let Some(given) = unhex(signature) else { return false };
        let verifies = |algorithm, text: &str| {
            let key = hmac::Key::new(algorithm, integration.skey.as_bytes());
            hmac::verify(&key, text.as_bytes(), &given).is_ok()
        };
        if given.len() == 20 {
            return verifies(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.lines);
        }
        let v4 = format!("{}\n{}", self.lines, self.body);
        let v5 = self.block.as_ref().map(|block| format!("{v4}\n{block}"));
        [Some(self.lines.as_str()), Some(v4.as_str()), v5.as_deref()]
            .into_iter()
            .flatten()
            .any(|text| verifies(hmac::HMAC_SHA512, text))
    }
}

/// The query decoded (`+` and `%20` are both blanks), then encoded and sorted the one way that is signed.
fn canonical_parameters(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// RFC 3986: only unreserved characters stay.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `X-Duo-*` headers by name, names and values apart by NUL. `None` where a name occurs twice.
fn header_block(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut block: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| name.starts_with("x-duo-"))
        .collect();
    block.sort_unstable();
    let twice = block.iter().zip(block.iter().skip(1)).any(|(one, next)| one.0 == next.0);
    let parts: Vec<&[u8]> = block.into_iter().flat_map(|(name, value)| [name.as_bytes(), value]).collect();
    (!twice).then(|| parts.join(&0))
}

fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case digits only, as they are documented.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if !matches!(text.len(), 40 | 128) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}
