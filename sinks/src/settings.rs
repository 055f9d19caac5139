//! Reading a sink's own keys: strict, and every error names its key.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::secret::SecretRef;
use tidegate_core::source::SettingsError;
use tidegate_core::units;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

/// Reads a table whose keys all have defaults. Each key is read alone first, so that the error can name it.
pub(crate) fn read<T: DeserializeOwned>(
    table: &serde_json::Map<String, serde_json::Value>,
) -> Result<T, SettingsError> {
    for (key, value) in table {
        let mut one = serde_json::Map::new();
        one.insert(key.clone(), value.clone());
        serde_json::from_value::<T>(serde_json::Value::Object(one))
            .map_err(|e| SettingsError::new(key, e.to_string()))?;
    }
    serde_json::from_value(serde_json::Value::Object(table.clone()))
        .map_err(|e| SettingsError::new("", e.to_string()))
}

/// Who we are, for receivers that ask for a certificate.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientKeys {
    /// PEM of the certificate, with those between it and its authority.
    pub(crate) certificate: SecretRef,
    /// PEM of its private key.
    pub(crate) private_key: SecretRef,
}

impl ClientKeys {
    /// Whether there are others now than those that were used and did not do. Read from one moment to the next, a
    /// certificate and a key may not belong together while they are exchanged.
    pub(crate) fn renewed(&self, now: DateTime<Utc>) -> bool {
        let other =
            |secret: &SecretRef| secret.read().is_ok_and(|used| secret.refresh(&used, now).unwrap_or(false));
        // Both are read again, whichever of them is another.
        other(&self.certificate) | other(&self.private_key)
    }

    /// Certificate and key, read out of their PEM. Errors never quote what was read: it may be the key.
    pub(crate) fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Fault> {
        Ok((chain(&self.certificate)?, key(&self.private_key)?))
    }

    /// Whether those that are files can be read and are what they must be.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let wrong = |fault: Fault| SettingsError::new("client", with_remedy(&fault));
        if self.certificate.is_file() {
            chain(&self.certificate).map_err(wrong)?;
        }
        if self.private_key.is_file() {
            key(&self.private_key).map_err(wrong)?;
        }
        Ok(())
    }
}

fn chain(certificate: &SecretRef) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let read = certificate.read()?.for_signing(|pem| {
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| ())
    });
    match read {
        Err(()) => Err(no_identity("`certificate` is not PEM")),
        Ok(chain) if chain.is_empty() => Err(no_identity("there is no certificate in `certificate`")),
        Ok(chain) => Ok(chain),
    }
}

fn key(private_key: &SecretRef) -> Result<PrivateKeyDer<'static>, Fault> {
    let read = private_key.read()?.for_signing(|pem| PrivateKeyDer::from_pem_slice(pem).map_err(|_| ()));
    read.map_err(|()| no_identity("there is no usable key in `private_key`"))
}

fn no_identity(what: &str) -> Fault {
    Fault::new(FaultKind::Credential, format!("client: {what}"))
        .remedy("both are PEM; keys are PKCS#8, PKCS#1 or SEC1, without a passphrase")
}

/// The authorities in the file that `ca` names.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, Fault> {
    let wrong = |what: String| {
        Fault::new(FaultKind::Configuration, format!("ca: {}: {what}", path.display()))
            .remedy("a file of PEM certificates is expected")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// Whether the file that `ca` names can be read and holds authorities.
pub(crate) fn check_authorities(path: &Path) -> Result<(), SettingsError> {
    authorities(path).map(|_| ()).map_err(|fault| SettingsError::new("ca", with_remedy(&fault)))
}

/// What is wrong and what to do about it; the key stands before it anyway.
fn with_remedy(fault: &Fault) -> String {
    let what = fault.message.split_once(": ").filter(|(key, _)| matches!(*key, "ca" | "client"));
    let what = what.map_or(fault.message.as_str(), |(_, what)| what);
    fault.remedy.as_ref().map_or_else(|| what.to_owned(), |remedy| format!("{what}; {remedy}"))
}

/// Checks how many documents go into a batch and how many batches are out at the same time.
pub(crate) fn check_batches(batch_count: usize, in_flight: usize) -> Result<(), SettingsError> {
    if !(1..=100_000).contains(&batch_count) {
        return Err(SettingsError::new("batch_count", "must be from 1 to 100000"));
    }
    if !(1..=64).contains(&in_flight) {
        return Err(SettingsError::new("in_flight", "must be from 1 to 64"));
    }
    Ok(())
}

/// A size with its unit: `"512B"`, `"64KiB"`, `"5MiB"`, `"2GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        usize::try_from(units::size(text)?).ok().map(Self)
    }
}

/// A span of time with its unit: `"500ms"`, `"1s"`, `"5m"`, `"1h"`, `"30d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    fn parse(text: &str) -> Option<Self> {
        units::duration(text).map(Self)
    }
}

struct Words<T> {
    parse: fn(&str) -> Option<T>,
    expected: &'static str,
}

impl<T> Visitor<'_> for Words<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self.expected))
    }
}

impl<'de> serde::Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Words { parse: Self::parse, expected: units::SIZE })
    }
}

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Words { parse: Self::parse, expected: units::DURATION })
    }
}

impl serde::Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&units::size_text(self.0 as u64))
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&units::duration_text(self.0))
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$" })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$" })
    }
}

/// Compression of requests: a level, or `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gzip(pub(crate) Option<u32>);

impl<'de> serde::Deserialize<'de> for Gzip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Gzip;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level from 0 to 9, or false")
            }

            fn visit_u64<E: serde::de::Error>(self, level: u64) -> Result<Gzip, E> {
                match u32::try_from(level) {
                    Ok(level @ 0..=9) => Ok(Gzip(Some(level))),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Unsigned(level), &self)),
                }
            }

            fn visit_i64<E: serde::de::Error>(self, level: i64) -> Result<Gzip, E> {
                match u64::try_from(level) {
                    Ok(level) => self.visit_u64(level),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(level), &self)),
                }
            }

            fn visit_bool<E>(self, on: bool) -> Result<Gzip, E> {
                Ok(Gzip(on.then_some(1)))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl serde::Serialize for Gzip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(level) => serializer.serialize_u32(level),
            None => serializer.serialize_bool(false),
        }
    }
}

impl JsonSchema for Gzip {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Gzip".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 9 }, { "type": "boolean" }] })
    }
}

/// An address, which ends in `/`. `secrets` are the keys that credentials belong into.
pub(crate) fn address(key: &str, text: &str, secrets: &str) -> Result<Url, SettingsError> {
    // The text is not repeated: it may hold a password.
    let wrong = |what: &str| {
        SettingsError::new(
            key,
            format!("{what}; write \"https://HOST:PORT\", with a path where a proxy wants one"),
        )
    };
    let mut url = Url::parse(text).map_err(|error| wrong(&format!("holds what is no URL ({error})")))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(wrong("holds what is neither https:// nor http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(&format!("holds a user or password: use {secrets}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds a query or a fragment"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Checks the option table of a README against the struct: `| key | default | meaning |`, the meaning word for word
/// from the doc comment, the default one that leaves the settings as they are. `needed` are keys without a default.
#[cfg(test)]
pub(crate) fn check_option_table<T: DeserializeOwned + fmt::Debug>(
    readme: &str,
    schema: &Schema,
    needed: serde_json::Value,
) {
    let keys = schema.get("properties").and_then(serde_json::Value::as_object).unwrap();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let mut table = needed.as_object().unwrap().clone();
    let plain = format!("{:?}", read::<T>(&table).unwrap());
    for row in &rows {
        let key = row[0].trim_matches('`');
        let meaning = keys[key]["description"].as_str().unwrap().replace('\n', " ");
        assert_eq!(row[2], meaning, "the meaning of {key}");
        let default = row[1].trim_matches('`');
        if default != "–" {
            assert!(!table.contains_key(key), "{key} is needed and has no default");
            let default: serde_json::Value = serde_json::from_str(default).unwrap();
            // What editors and `config show` say.
            assert_eq!(keys[key]["default"], default, "the default of {key} in the schema");
            table.insert(key.to_owned(), default);
            assert_eq!(format!("{:?}", read::<T>(&table).unwrap()), plain, "the default of {key}");
        }
    }
    let missing: Vec<_> = keys.keys().filter(|key| !named.contains(&key.as_str())).collect();
    assert!(missing.is_empty() && named.len() == keys.len(), "not in the table: {missing:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Keys {
        size: Size,
        span: Span,
    }

    impl Default for Keys {
        fn default() -> Self {
            Self { size: Size(1), span: Span(Duration::ZERO) }
        }
    }

    fn keys(text: &str) -> Result<Keys, SettingsError> {
        read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn units_are_read() {
        let keys = keys(r#"{"size":"5MiB","span":"90 s"}"#).unwrap();
        assert_eq!((keys.size, keys.span), (Size(5 << 20), Span(Duration::from_secs(90))));
        for (text, bytes) in [("0B", 0), ("3KiB", 3_072), ("2GiB", 2 << 30)] {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "5", "MiB", "5mib", "-1B", "1.5MiB", "99999999999999999999B", "99999999999GiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        for text in ["", "5", "s", "5 minutes", "-1s", "99999999999999999d"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_and_the_error_names_its_key() {
        let error = keys(r#"{"span":"1s","size":5}"#).unwrap_err();
        assert_eq!(error.key, "size");
        assert!(error.message.contains("such as \"64MiB\""), "{error}");
        let error = keys(r#"{"sise":"5MiB"}"#).unwrap_err();
        assert_eq!(error.key, "sise");
        assert!(error.message.contains("`size`"), "{error}");
    }
}
