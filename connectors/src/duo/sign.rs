//! Who asks: Duo's request signatures.
//!
//! `Authorization` is Basic with the integration key as user and, as password, the hexadecimal HMAC of a text that the
//! server makes anew from what it received. What is signed as the query is byte for byte what is sent, so that no second
//! encoder can disagree.

use chrono::{DateTime, Utc};
use ring::{digest, hmac};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write as _;
use tidegate_core::secret::{Secret, SecretError, SecretRef};

/// Which text is signed, and with which hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Signature {
    /// HMAC-SHA-1 over date, method, host, path and query: for proxies and stand-ins that know nothing newer.
    V2,
    /// HMAC-SHA-512, with the hashes of body and `X-Duo-*` headers in the text.
    #[default]
    V5,
}

/// A query in the one form that is both sent and signed: RFC 3986, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// The same with a parameter more. Names need no encoding; no name is used twice.
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, encode(&value.to_string())));
        self
    }

    /// `a=1&b=2`
    pub(super) fn text(mut self) -> String {
        self.0.sort_unstable();
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// Letters, digits, `-`, `_`, `.` and `~` stay; all other bytes become `%XX`, blanks too.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// An Admin API application's credential.
pub(super) struct Auth {
    /// `DI…`; no secret.
    pub(super) integration_key: String,
    /// Signs; never travels.
    pub(super) secret_key: SecretRef,
    /// How.
    pub(super) signature: Signature,
}

/// What a signed request carries.
pub(super) struct Signed {
    /// The `Date` header: the very text that was signed.
    pub(super) date: String,
    /// The `Authorization` header.
    pub(super) authorization: http::HeaderValue,
    /// The secret key that signed.
    pub(super) key: Secret,
    signature: Secret,
}

impl Signed {
    /// Words of the other side without anything of the credential.
    pub(super) fn redact(&self, text: &str) -> String {
        self.signature.redact(&self.key.redact(text))
    }
}

impl Auth {
    /// Signs a GET of this path and query at this host (no port, as Duo's own clients sign) at this time.
    ///
    /// # Errors
    /// The secret key cannot be read.
    pub(super) fn sign(
        &self,
        host: &str,
        path: &str,
        query: &str,
        at: DateTime<Utc>,
    ) -> Result<Signed, SecretError> {
        let date = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut text = format!("{date}\nGET\n{host}\n{path}\n{query}");
        let algorithm = match self.signature {
            Signature::V2 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Signature::V5 => {
                // No body and no `X-Duo-*` header: twice the hash of nothing.
                let nothing = hex(digest::digest(&digest::SHA512, b"").as_ref());
                text = format!("{text}\n{nothing}\n{nothing}");
                hmac::HMAC_SHA512
            }
        };
        let key = self.secret_key.read()?;
        let tag = key.for_signing(|key| hmac::sign(&hmac::Key::new(algorithm, key), text.as_bytes()));
        let signature = Secret::new(hex(tag.as_ref()).into_bytes());
        let authorization = signature.basic_header(&self.integration_key)?;
        Ok(Signed { date, authorization, key, signature })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// Made with another implementation of the signature than ours, from the text as it is specified.
    const ACTIVITY: (&str, &str) = (
        "/admin/v2/logs/activity",
        "limit=1000&maxtime=1772442000000&mintime=1772438400000&next_offset=1772438400123%2C0a1b2c3d-0000-4000-8000-00000000000f&sort=ts%3Aasc",
    );
    const ADMINISTRATOR: (&str, &str) =
        ("/admin/v1/logs/administrator", "account_id=DAEXAMPLE0CHILD00001&mintime=1772438400");

    fn signed(signature: Signature, (path, query): (&str, &str)) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "0123456789abcdefghijABCDEFGHIJ0123456789\n").unwrap();
        let auth = Auth {
            integration_key: "DIEXAMPLE00000000001".to_owned(),
            secret_key: format!("file:{}", file.display()).parse().unwrap(),
            signature,
        };
        let at = DateTime::parse_from_rfc3339("2026-03-02T09:05:07.9Z").unwrap().to_utc();
        let signed = auth.sign("api-1a2b3c4d.duosecurity.com", path, query, at).unwrap();
        assert_eq!(signed.date, "Mon, 02 Mar 2026 09:05:07 GMT");
        assert!(signed.authorization.is_sensitive());
        let pair = signed.authorization.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
        let (user, password) = pair.split_once(':').unwrap();
        (user.to_owned(), password.to_owned())
    }

    #[test]
    fn signs_as_other_implementations_do() {
        let user = "DIEXAMPLE00000000001".to_owned();
        let v2 = |hex: &str| (user.clone(), hex.to_owned());
        assert_eq!(signed(Signature::V2, ACTIVITY), v2("0fffecdb509b8b4abcbe6c673b81244a8c11ae17"));
        assert_eq!(signed(Signature::V2, ADMINISTRATOR), v2("f80fe9c09e555cd0dc46dc55b69efe496be80efc"));
        assert_eq!(
            signed(Signature::V5, ACTIVITY).1,
            "f31be852e91253109c1f3e4d04de49705415ce43aa97fe07bf5d5f49494e238b47f1696ac0444d8745b3f4d9678da42277b0b6e6f468a38eb77b0a2e43add50f"
        );
        assert_eq!(
            signed(Signature::V5, ADMINISTRATOR).1,
            "17abea929bbeee9fd7a12b778115894293ae8bea774b6dd4a747262559a9d2c47ab4aa0aae94c9b0b981ba03d2b46641dc9319e9f096e9eeafa694a04bea84e7"
        );
    }

    #[test]
    fn a_query_is_sorted_and_encoded_as_rfc_3986_has_it() {
        let query = Query::default()
            .with("sort", "ts:asc")
            .with("next_offset", "1772438400123,a b~é*/+")
            .with("limit", 1000);
        assert_eq!(
            query.text(),
            "limit=1000&next_offset=1772438400123%2Ca%20b~%C3%A9%2A%2F%2B&sort=ts%3Aasc"
        );
        assert_eq!(Query::default().text(), "");
    }

    #[test]
    fn words_that_repeat_the_credential_are_redacted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "forty-invented-characters-of-a-secretkey").unwrap();
        let secret_key = format!("file:{}", file.display()).parse().unwrap();
        let auth = Auth { integration_key: "DIX".to_owned(), secret_key, signature: Signature::V2 };
        let signed = auth.sign("h", "/", "", DateTime::UNIX_EPOCH).unwrap();
        let pair = STANDARD.decode(&signed.authorization.as_bytes()["Basic ".len()..]).unwrap();
        let pair = String::from_utf8(pair).unwrap();
        let said = signed.redact(&format!("{pair} forty-invented-characters-of-a-secretkey"));
        assert_eq!(said, "DIX:[redacted] [redacted]");
    }
}
