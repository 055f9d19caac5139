//! The keys of an elasticsearch sink, and what they may be.

use crate::settings::{self, Gzip, Size, Span};
use http::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use std::fmt;
use std::time::Duration;
use tidegate_core::secret::{SecretError, SecretRef};
use tidegate_core::source::SettingsError;
use url::Url;

/// Who renders the documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// We do: ECS documents, past any ingest pipeline of an installed integration.
    #[default]
    Normalized,
    /// Elastic does: raw records for an installed integration's own pipeline.
    RawForIntegration,
}

impl Mode {
    /// The schema of its documents, where the configuration names none.
    pub(super) fn schema(self) -> &'static str {
        match self {
            Self::Normalized => "ecs",
            Self::RawForIntegration => "raw_for_integration",
        }
    }
}

/// Whether requests say `require_data_stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequireDataStream {
    /// Where the server knows it.
    Auto,
    Always,
    Never,
}

impl<'de> serde::Deserialize<'de> for RequireDataStream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = RequireDataStream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RequireDataStream, E> {
                match text {
                    "auto" => Ok(RequireDataStream::Auto),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_bool<E>(self, on: bool) -> Result<RequireDataStream, E> {
                Ok(if on { RequireDataStream::Always } else { RequireDataStream::Never })
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl serde::Serialize for RequireDataStream {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl JsonSchema for RequireDataStream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequireDataStream".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["auto", true, false] })
    }
}

/// The table as it is written.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// Addresses of the cluster; a failed one is left alone for 30 s.
    pub(super) urls: Vec<String>,
    /// API key, in the encoded form that Kibana shows (base64 of `id:key`).
    pub(super) api_key: Option<SecretRef>,
    /// User for Basic authentication; with `password`.
    pub(super) username: Option<String>,
    /// Password for Basic authentication; with `username`.
    pub(super) password: Option<SecretRef>,
    /// Token for Bearer authentication (JWT, service tokens).
    pub(super) bearer: Option<SecretRef>,
    /// The last part of the data streams' names, `logs-<dataset>-<namespace>`.
    pub(super) namespace: String,
    /// Who renders the documents: `normalized` (we do) or `raw_for_integration` (an installed integration does).
    pub(super) mode: Mode,
    /// Compression of requests: a level from 0 to 9, or false.
    pub(super) gzip: Gzip,
    /// Largest request, before compression.
    pub(super) batch_bytes: Size,
    /// Most documents in a request.
    pub(super) batch_count: usize,
    /// Longest time that a document waits for companions.
    pub(super) batch_age: Span,
    /// Requests at the same time; halved while the cluster answers 429.
    pub(super) in_flight: usize,
    /// Ingest pipeline. Without this key: `_none` in `normalized` mode, the stream's own in `raw_for_integration`.
    pub(super) pipeline: Option<String>,
    /// Whether documents carry our ids; false for Amazon OpenSearch Serverless, which refuses them.
    pub(super) ids: bool,
    /// Whether a missing template is an error instead of a plain index: `auto`, true or false.
    pub(super) require_data_stream: RequireDataStream,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            api_key: None,
            username: None,
            password: None,
            bearer: None,
            namespace: "default".to_owned(),
            mode: Mode::Normalized,
            gzip: Gzip(Some(1)),
            batch_bytes: Size(5 << 20),
            batch_count: 1_000,
            batch_age: Span(Duration::from_secs(1)),
            in_flight: 2,
            pipeline: None,
            ids: true,
            require_data_stream: RequireDataStream::Auto,
        }
    }
}

impl Config {
    /// The ingest pipeline that requests name; `None`: the data stream's own. Without `_none` an installed integration's
    /// pipeline would take our documents for raw records.
    pub(super) fn pipeline(&self) -> Option<&str> {
        match (&self.pipeline, self.mode) {
            (Some(name), _) => Some(name),
            (None, Mode::Normalized) => Some("_none"),
            (None, Mode::RawForIntegration) => None,
        }
    }
}

/// How a request says who we are.
#[derive(Clone, Debug)]
pub(super) enum Auth {
    None,
    ApiKey(SecretRef),
    Basic(String, SecretRef),
    Bearer(SecretRef),
}

impl Auth {
    /// The reference to the secret.
    pub(super) fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::None => None,
            Self::ApiKey(secret) | Self::Basic(_, secret) | Self::Bearer(secret) => Some(secret),
        }
    }

    /// The value of `Authorization`.
    pub(super) fn header(&self) -> Result<Option<HeaderValue>, SecretError> {
        Ok(match self {
            Self::None => None,
            Self::ApiKey(secret) => Some(secret.read()?.header_value("ApiKey ")?),
            Self::Basic(user, secret) => Some(secret.read()?.basic_header(user)?),
            Self::Bearer(secret) => Some(secret.read()?.header_value("Bearer ")?),
        })
    }
}

/// The table, checked.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) urls: Vec<Url>,
    pub(super) auth: Auth,
    pub(super) config: Config,
}

impl Options {
    pub(super) fn read(table: &serde_json::Map<String, serde_json::Value>) -> Result<Self, SettingsError> {
        let config: Config = settings::read(table)?;
        if config.urls.is_empty() {
            return Err(SettingsError::new(
                "urls",
                "is missing: the cluster's addresses, such as [\"https://es.example.com:9200\"]",
            ));
        }
        let urls = config
            .urls
            .iter()
            .map(|text| settings::address("urls", text, "`username` and `password`"))
            .collect::<Result<_, _>>()?;
        let auth = auth(&config)?;
        namespace(&config.namespace)?;
        bounds(&config)?;
        Ok(Self { urls, auth, config })
    }
}

fn auth(config: &Config) -> Result<Auth, SettingsError> {
    match (&config.api_key, &config.username, &config.password, &config.bearer) {
        (None, None, None, None) => Ok(Auth::None),
        (Some(key), None, None, None) => Ok(Auth::ApiKey(key.clone())),
        (None, Some(user), Some(password), None) if user.contains(':') || user.is_empty() => {
            let _ = password;
            Err(SettingsError::new(
                "username",
                "is empty or holds a colon, which Basic authentication cannot carry",
            ))
        }
        (None, Some(user), Some(password), None) => Ok(Auth::Basic(user.clone(), password.clone())),
        (None, None, None, Some(token)) => Ok(Auth::Bearer(token.clone())),
        (None, Some(_), None, None) => Err(SettingsError::new("password", "is missing beside `username`")),
        (None, None, Some(_), None) => Err(SettingsError::new("username", "is missing beside `password`")),
        _ => Err(SettingsError::new(
            "api_key",
            "one of `api_key`, `username` with `password`, or `bearer`, not several",
        )),
    }
}

/// Elastic's rule for the parts of a data stream's name.
fn namespace(text: &str) -> Result<(), SettingsError> {
    let wrong = |what: &str| Err(SettingsError::new("namespace", what));
    if text.is_empty() || text.len() > 100 {
        return wrong("must have 1 to 100 bytes");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || r#"-\/*?"<>|,#:"#.contains(c)) {
        return wrong(r#"must hold no blank and none of - \ / * ? " < > | , # :"#);
    }
    if text.chars().any(char::is_uppercase) {
        return wrong("must be in lower case");
    }
    Ok(())
}

fn bounds(config: &Config) -> Result<(), SettingsError> {
    if config.batch_bytes.0 == 0 || config.batch_bytes.0 > 100 << 20 {
        return Err(SettingsError::new(
            "batch_bytes",
            "must be from 1B to 100MiB, the server's own default limit",
        ));
    }
    settings::check_batches(config.batch_count, config.in_flight)?;
    let name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'))
    };
    if config.pipeline.as_deref().is_some_and(|pipeline| !name(pipeline)) {
        return Err(SettingsError::new("pipeline", "must be a pipeline's name: letters, digits, _ - . @"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, SettingsError> {
        Options::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_readme_has_every_key() {
        settings::check_option_table::<Config>(
            include_str!("README.md"),
            &schemars::schema_for!(Config),
            serde_json::json!({ "urls": ["https://es.example.com:9200"] }),
        );
    }

    #[test]
    fn the_least_that_works() {
        let options = read(r#"{"urls":["https://es.example.com:9200","http://192.0.2.1/es"]}"#).unwrap();
        assert_eq!(options.urls[1].as_str(), "http://192.0.2.1/es/");
        assert!(matches!(options.auth, Auth::None));
        assert_eq!(options.config.batch_bytes, Size(5 << 20));
        let options = read(r#"{"urls":["https://es.example.com"],"api_key":"env:KEY","gzip":false,"require_data_stream":true}"#).unwrap();
        assert!(matches!(options.auth, Auth::ApiKey(_)));
        assert_eq!(options.config.gzip, Gzip(None));
        assert_eq!(options.config.require_data_stream, RequireDataStream::Always);
    }

    #[test]
    fn every_error_names_its_key() {
        let at = r#""urls":["https://es.example.com"]"#;
        for (more, key) in [
            (r#""url":"https://es.example.com""#, "url"),
            (r#""batch_bytes":5242880"#, "batch_bytes"),
            (r#""batch_bytes":"0B""#, "batch_bytes"),
            (r#""batch_bytes":"101MiB""#, "batch_bytes"),
            (r#""batch_count":0"#, "batch_count"),
            (r#""batch_age":1"#, "batch_age"),
            (r#""in_flight":0"#, "in_flight"),
            (r#""gzip":10"#, "gzip"),
            (r#""gzip":"on""#, "gzip"),
            (r#""mode":"raw""#, "mode"),
            (r#""require_data_stream":"maybe""#, "require_data_stream"),
            (r#""pipeline":"a b""#, "pipeline"),
            (r#""namespace":"a-b""#, "namespace"),
            (r#""namespace":"A""#, "namespace"),
            (r#""namespace":"""#, "namespace"),
            (r#""namespace":"a b""#, "namespace"),
            (r#""username":"u""#, "password"),
            (r#""password":"env:P""#, "username"),
            (r#""username":"u:v","password":"env:P""#, "username"),
            (r#""api_key":"env:K","bearer":"env:B""#, "api_key"),
            (r#""api_key":"c2VjcmV0LWtleQ==""#, "api_key"),
        ] {
            let error = read(&format!("{{{at},{more}}}")).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
        }
        for urls in [
            "[]",
            r#"["es.example.com:9200"]"#,
            r#"["ftp://es.example.com"]"#,
            r#"["https://user:hunter2@es.example.com"]"#,
            r#"["https://es.example.com?hunter2"]"#,
        ] {
            let error = read(&format!("{{\"urls\":{urls}}}")).unwrap_err();
            assert_eq!(error.key, "urls");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn namespaces_of_a_hundred_bytes_are_the_longest() {
        assert!(namespace(&"a".repeat(100)).is_ok());
        assert!(namespace(&"a".repeat(101)).is_err());
        assert!(namespace(&"é".repeat(51)).is_err());
    }
}
