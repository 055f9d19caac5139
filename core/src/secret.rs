//! Secrets: where they are, and what may be done with them.
//!
//! Configuration holds a [`SecretRef`] (`env:NAME` or `file:PATH`), never a value. A [`Secret`] cannot print itself, is
//! wiped when dropped, and offers only what a request needs: a header, a signature, a digest. This is the only file
//! that reveals one; a test below reads the tree and says so.

use crate::fault::{Fault, FaultKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretBox};
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// A refused secret is read again at most this often.
pub const REREAD: TimeDelta = TimeDelta::seconds(60);

/// No credential is larger; a reference to a disk image by mistake is refused, not read.
const LARGEST: u64 = 64 * 1024;

/// A secret. Cheap to clone; the bytes are wiped with the last clone.
#[derive(Clone)]
pub struct Secret(Arc<SecretBox<[u8]>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Takes over a value that came from outside the configuration, such as an access token.
    #[must_use]
    pub fn new(value: Vec<u8>) -> Self {
        Self(Arc::new(SecretBox::new(value.into_boxed_slice())))
    }

    /// `prefix` and the secret as the value of a header that `http` and its users do not print.
    ///
    /// # Errors
    /// The secret holds bytes that no header can carry (a line break in the middle, usually).
    pub fn header_value(&self, prefix: &str) -> Result<http::HeaderValue, SecretError> {
        let mut text = Zeroizing::new(prefix.as_bytes().to_vec());
        text.extend_from_slice(self.0.expose_secret());
        sensitive(&text)
    }

    /// `Basic` authentication with the secret as password.
    ///
    /// # Errors
    /// Never in practice: base64 fits in a header.
    pub fn basic_header(&self, user: &str) -> Result<http::HeaderValue, SecretError> {
        let mut pair = Zeroizing::new(user.as_bytes().to_vec());
        pair.push(b':');
        pair.extend_from_slice(self.0.expose_secret());
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
        sensitive(text.as_bytes())
    }

    /// Lends the bytes to a signer (a private key, an HMAC key). Keep no copy.
    pub fn for_signing<R>(&self, sign: impl FnOnce(&[u8]) -> R) -> R {
        sign(self.0.expose_secret())
    }

    /// SHA-256 of the secret, as DPoP's `ath` needs it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    /// The text without the secret: for words of the other side that may echo what they were sent.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        match std::str::from_utf8(self.0.expose_secret()) {
            Ok(secret) if !secret.is_empty() => text.replace(secret, "[redacted]"),
            _ => text.to_owned(),
        }
    }

    /// Whether both are the same value.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.sha256() == other.sha256()
    }
}

fn sensitive(text: &[u8]) -> Result<http::HeaderValue, SecretError> {
    let mut value = http::HeaderValue::from_bytes(text).map_err(|_| SecretError::NotAHeader)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Why there is no secret. Never holds one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is not a reference. The text is not repeated: it may be the secret.
    #[error(
        "not a reference to a secret; write \"env:NAME\" or \"file:/PATH\" (a literal secret is refused)"
    )]
    NotAReference,
    /// The environment has no such variable.
    #[error("env:{0} is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("file:{path} cannot be read: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said.
        why: String,
    },
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
    /// The value cannot travel in a header.
    #[error("the secret holds a line break or another byte that no HTTP header can carry")]
    NotAHeader,
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        Self::new(FaultKind::Credential, error.to_string())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Env(String),
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[derive(Default)]
struct Cache {
    value: Option<Secret>,
    refreshed: Option<DateTime<Utc>>,
}

/// A reference to a secret. Clones share one cache.
#[derive(Clone)]
pub struct SecretRef {
    place: Place,
    cache: Arc<Mutex<Cache>>,
}

impl SecretRef {
    /// The secret: from the cache, or read now.
    ///
    /// # Errors
    /// The variable is not set, the file cannot be read, or there is nothing in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &cache.value {
            return Ok(value.clone());
        }
        let value = self.fetch()?;
        cache.value = Some(value.clone());
        Ok(value)
    }

    /// Whether it is a file, and not a variable.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Whether there is another value than the one that was `used` and refused: one that another request brought in
    /// meanwhile, or one read now, at most once every [`REREAD`].
    ///
    /// # Errors
    /// As [`SecretRef::read`]; the old value stays in the cache.
    pub fn refresh(&self, used: &Secret, now: DateTime<Utc>) -> Result<bool, SecretError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.value.as_ref().is_some_and(|value| !value.same_as(used)) {
            return Ok(true);
        }
        // A clock that was set back must not keep a new token out: only an age inside the minute counts.
        let recent = |at: DateTime<Utc>| {
            now.signed_duration_since(at) < REREAD && now.signed_duration_since(at) >= TimeDelta::zero()
        };
        if cache.refreshed.is_some_and(recent) {
            return Ok(false);
        }
        cache.refreshed = Some(now);
        let value = self.fetch()?;
        let other = !value.same_as(used);
        cache.value = Some(value);
        Ok(other)
    }

    fn fetch(&self) -> Result<Secret, SecretError> {
        let mut bytes = match &self.place {
            Place::Env(name) => Zeroizing::new(
                std::env::var(name).map_err(|_| SecretError::NotSet(name.clone()))?.into_bytes(),
            ),
            Place::File(path) => {
                let unreadable =
                    |why: String| SecretError::Unreadable { path: path.display().to_string(), why };
                let size = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
                if size > LARGEST {
                    return Err(unreadable(format!("{size} bytes are too many for a secret")));
                }
                Zeroizing::new(std::fs::read(path).map_err(|e| unreadable(e.to_string()))?)
            }
        };
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(SecretError::Empty(self.place.to_string()));
        }
        Ok(Secret::new(bytes.to_vec()))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({})", self.place)
    }
}

impl PartialEq for SecretRef {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for SecretRef {}

impl std::str::FromStr for SecretRef {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let place = if let Some(name) = text.strip_prefix("env:") {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty() || !name.bytes().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(SecretError::NotAReference);
            }
            Place::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            Place::File(PathBuf::from(path))
        } else {
            return Err(SecretError::NotAReference);
        };
        Ok(Self { place, cache: Arc::default() })
    }
}

impl<'de> serde::Deserialize<'de> for SecretRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message for a wrong type would print the value, which may be a secret.
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Text(String),
            Other(IgnoredAny),
        }
        match Raw::deserialize(deserializer) {
            Ok(Raw::Text(text)) => text.parse().map_err(serde::de::Error::custom),
            Ok(Raw::Other(_)) | Err(_) => Err(serde::de::Error::custom(SecretError::NotAReference)),
        }
    }
}

impl schemars::JsonSchema for SecretRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Where a secret is: env:NAME, or file:PATH (read again when it is refused).",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_literal_is_refused_and_not_repeated() {
        for text in ["00aBcD-literal", "", "env:", "env:not a name", "env:9x", "file:", "ENV:X", "keychain:x"]
        {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert_eq!(error, SecretError::NotAReference);
            assert!(!error.to_string().contains("00aBcD"), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated_either() {
        for json in ["123456789", r#"{"k":"123456789"}"#, "[123456789]", r#""123456789""#, "null", "true"] {
            let error = serde_json::from_str::<SecretRef>(json).unwrap_err().to_string();
            assert!(error.contains("env:NAME") && !error.contains("123456789"), "{error}");
        }
    }

    #[test]
    fn reads_the_environment_and_files_without_the_last_line_break() {
        let name = "env:CARGO_PKG_NAME".parse::<SecretRef>().unwrap();
        assert_eq!(name.read().unwrap().header_value("X ").unwrap(), "X tidegate-core");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc\r\n").unwrap();
        let file = format!("file:{}", path.display()).parse::<SecretRef>().unwrap();
        let header = file.read().unwrap().header_value("SSWS ").unwrap();
        assert_eq!(header, "SSWS abc");
        assert!(header.is_sensitive());
        assert_eq!(file.read().unwrap().basic_header("id").unwrap(), "Basic aWQ6YWJj");
    }

    #[test]
    fn names_what_is_missing() {
        let unset = "env:TIDEGATE_NO_SUCH_VARIABLE".parse::<SecretRef>().unwrap();
        assert_eq!(unset.read().unwrap_err().to_string(), "env:TIDEGATE_NO_SUCH_VARIABLE is not set");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none");
        let file = format!("file:{}", path.display()).parse::<SecretRef>().unwrap();
        assert!(file.read().unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&path, "\n").unwrap();
        assert!(file.read().unwrap_err().to_string().ends_with("is empty"));
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("too many"));
    }

    #[test]
    fn a_refused_secret_is_read_again_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let file = format!("file:{}", path.display()).parse::<SecretRef>().unwrap();
        let old = file.read().unwrap();
        assert_eq!(old.header_value("").unwrap(), "old");
        assert!(!file.refresh(&old, at(0)).unwrap());
        std::fs::write(&path, "new").unwrap();
        assert_eq!(file.read().unwrap().header_value("").unwrap(), "old");
        assert!(!file.refresh(&old, at(59)).unwrap());
        let clone = file.clone();
        assert!(file.refresh(&old, at(60)).unwrap());
        assert_eq!(clone.read().unwrap().header_value("").unwrap(), "new");
    }

    #[test]
    fn whoever_was_refused_with_the_old_value_learns_of_the_new_one_that_another_request_brought_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let file = format!("file:{}", path.display()).parse::<SecretRef>().unwrap();
        let old = file.read().unwrap();
        std::fs::write(&path, "new").unwrap();
        assert!(file.refresh(&old, at(0)).unwrap());
        assert!(file.refresh(&old, at(1)).unwrap(), "the second request in flight has somewhere to go too");
        let new = file.read().unwrap();
        assert!(!file.refresh(&new, at(2)).unwrap(), "the new value has nothing after it");
    }

    #[test]
    fn a_clock_set_back_does_not_keep_a_new_token_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let file = format!("file:{}", path.display()).parse::<SecretRef>().unwrap();
        let old = file.read().unwrap();
        file.refresh(&old, at(10_000)).unwrap();
        std::fs::write(&path, "new").unwrap();
        assert!(file.refresh(&old, at(0)).unwrap());
    }

    #[test]
    fn cannot_be_printed() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(!format!("{:?}", secret.header_value("Bearer ").unwrap()).contains("hunter2"));
        assert_eq!(secret.redact("token hunter2 is bad"), "token [redacted] is bad");
        assert_eq!(Secret::new(b"a\nb".to_vec()).header_value("").unwrap_err(), SecretError::NotAHeader);
    }

    #[test]
    fn this_is_the_only_file_that_reveals() {
        fn walk(dir: &std::path::Path, hits: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, hits);
                } else if path.extension().is_some_and(|e| e == "rs")
                    && std::fs::read_to_string(&path).is_ok_and(|text| text.contains("expose_secret"))
                {
                    hits.push(path.display().to_string());
                }
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut hits = Vec::new();
        for room in ["core/src", "connectors/src", "sinks/src", "src", "simulator/src"] {
            walk(&root.join(room), &mut hits);
        }
        assert_eq!(hits.len(), 1, "{hits:?}");
        assert!(hits.iter().all(|hit| hit.ends_with("core/src/secret.rs")), "{hits:?}");
    }
}
