//! The keys of a splunk_hec sink, and what they may be.

use crate::settings::{self, ClientKeys, Gzip, Size, Span};
use schemars::JsonSchema;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::secret::SecretRef;
use tidegate_core::source::SettingsError;
use url::Url;

/// The endpoint that documents are sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endpoint {
    /// JSON envelopes, each with its own time and metadata.
    #[default]
    Event,
    /// Lines; the server reads the time out of each.
    Raw,
}

/// What is made of indexer acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ack {
    /// Waited for where the token has it.
    #[default]
    Auto,
    /// Nothing is delivered without it.
    Required,
    /// Not asked for.
    Off,
}

/// The index of a connector's documents.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Index {
    /// Of all of them.
    All(String),
    /// Of some streams.
    Streams(BTreeMap<String, String>),
}

/// An indexed field that a document may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// `tidegate_id`, the document's deterministic id.
    TidegateId,
    /// `tenant`, the tenant's key.
    Tenant,
}

/// The table as it is written.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// Address of the collector, without `services/collector`.
    pub(super) url: Option<String>,
    /// Several addresses instead of `url`; a failed one is left alone for 30 s.
    pub(super) urls: Vec<String>,
    /// The token; read again when it is refused.
    pub(super) token: Option<SecretRef>,
    /// Index of all documents; without it the token's own.
    pub(super) index: Option<String>,
    /// Indexes of some documents, over `index`: a table of connectors, each with an index or a table of streams.
    #[schemars(extend("x-tidegate" = "by_stream"))]
    pub(super) indexes: BTreeMap<String, Index>,
    /// The field `source`; without it the sourcetype.
    pub(super) source: Option<String>,
    /// The field `sourcetype`; without it what the schema and the vendor's add-on say.
    pub(super) sourcetype: Option<String>,
    /// `event` (JSON envelopes with our time) or `raw` (lines; the server reads the time out of each).
    pub(super) endpoint: Endpoint,
    /// Indexer acknowledgement: `auto` (waited for where the token has it), `required` (nothing is sent without it), `off`.
    pub(super) ack: Ack,
    /// How long an acknowledgement may take before the documents are sent again.
    pub(super) ack_timeout: Span,
    /// How often acknowledgements are asked for at the slowest; it begins with half a second and doubles.
    pub(super) ack_poll: Span,
    /// Indexed fields that documents carry: `tidegate_id`, `tenant`. They cost disk; not with `endpoint = "raw"`.
    pub(super) fields: Vec<Field>,
    /// Client certificate for mutual TLS: a table of `certificate` and `private_key`, each `"file:PATH"`.
    pub(super) client: Option<ClientKeys>,
    /// Compression of requests: a level from 0 to 9, or false.
    pub(super) gzip: Gzip,
    /// Largest request, before compression.
    pub(super) batch_bytes: Size,
    /// Most documents in a batch.
    pub(super) batch_count: usize,
    /// Longest time that a document waits for companions.
    pub(super) batch_age: Span,
    /// Batches at the same time, those that wait for acknowledgement among them; halved while the receiver is busy.
    pub(super) in_flight: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            urls: Vec::new(),
            token: None,
            index: None,
            indexes: BTreeMap::new(),
            source: None,
            sourcetype: None,
            endpoint: Endpoint::Event,
            ack: Ack::Auto,
            // Splunk's own advice to clients, both.
            ack_timeout: Span(Duration::from_secs(300)),
            ack_poll: Span(Duration::from_secs(10)),
            fields: Vec::new(),
            client: None,
            gzip: Gzip(Some(1)),
            // The limit of old releases, and what Splunk Cloud documents for a request.
            batch_bytes: Size(1_000_000),
            batch_count: 1_000,
            batch_age: Span(Duration::from_secs(1)),
            // An acknowledgement takes 1 to 2 s on an idle receiver: with fewer the wire would be idle, too.
            in_flight: 8,
        }
    }
}

/// The table, checked.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) urls: Vec<Url>,
    pub(super) token: SecretRef,
    pub(super) config: Config,
}

impl Options {
    pub(super) fn read(table: &serde_json::Map<String, serde_json::Value>) -> Result<Self, SettingsError> {
        let config: Config = settings::read(table)?;
        let urls = match (&config.url, config.urls.as_slice()) {
            (None, []) => {
                let message = "is missing: the collector's address, such as \"https://hec.example.com:8088\"";
                return Err(SettingsError::new("url", message));
            }
            (Some(url), []) => vec![address("url", url)?],
            (None, urls) => urls.iter().map(|url| address("urls", url)).collect::<Result<_, _>>()?,
            (Some(_), _) => {
                return Err(SettingsError::new("urls", "stands beside `url`: one of them, not both"));
            }
        };
        let Some(token) = config.token.clone() else {
            let message = "is missing: a reference to the token, \"env:NAME\" or \"file:PATH\"";
            return Err(SettingsError::new("token", message));
        };
        if let Some(name) = &config.index {
            index("index", name)?;
        }
        for of in config.indexes.values() {
            match of {
                Index::All(name) => index("indexes", name)?,
                Index::Streams(streams) => streams.values().try_for_each(|name| index("indexes", name))?,
            }
        }
        for (key, text) in [("source", &config.source), ("sourcetype", &config.sourcetype)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().any(char::is_control))
            {
                return Err(SettingsError::new(key, "must be a word, without control characters"));
            }
        }
        if config.endpoint == Endpoint::Raw && !config.fields.is_empty() {
            let message = "cannot be sent to the raw endpoint; leave them away, or use endpoint = \"event\"";
            return Err(SettingsError::new("fields", message));
        }
        bounds(&config)?;
        Ok(Self { urls, token, config })
    }
}

fn address(key: &str, text: &str) -> Result<Url, SettingsError> {
    let url = settings::address(key, text, "`token`")?;
    if url.path().contains("/services/collector") {
        return Err(SettingsError::new(key, "holds services/collector, which we add: leave it away"));
    }
    Ok(url)
}

/// Splunk's rule for names of indexes.
fn index(key: &str, name: &str) -> Result<(), SettingsError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || !name.bytes().all(legal) || name.starts_with(['_', '-']) {
        return Err(SettingsError::new(
            key,
            format!("{name:?} is no index: small letters, digits, _ and -, and no _ or - at the beginning"),
        ));
    }
    Ok(())
}

fn bounds(config: &Config) -> Result<(), SettingsError> {
    // Receivers take 800 MiB and more, but `in_flight` of these are in memory.
    if !(1..=100 << 20).contains(&config.batch_bytes.0) {
        return Err(SettingsError::new("batch_bytes", "must be from 1B to 100MiB"));
    }
    settings::check_batches(config.batch_count, config.in_flight)?;
    for (key, span) in [("ack_timeout", config.ack_timeout), ("ack_poll", config.ack_poll)] {
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&span.0) {
            return Err(SettingsError::new(key, "must be from 1s to 1h"));
        }
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
            serde_json::json!({ "url": "https://hec.example.com:8088", "token": "env:TOKEN" }),
        );
    }

    #[test]
    fn the_least_that_works() {
        let options = read(r#"{"url":"https://hec.example.com:8088","token":"env:TOKEN"}"#).unwrap();
        assert_eq!(options.urls[0].as_str(), "https://hec.example.com:8088/");
        assert_eq!(options.config.ack, Ack::Auto);
        assert!(options.config.batch_bytes.0 <= 1_000_000);
        let several = r#"{"urls":["https://a.example.com:8088","http://192.0.2.1/hec"],"token":"env:TOKEN",
            "indexes":{"okta":"idp_okta","entra":{"sign_ins":"idp-signins"}}}"#;
        assert_eq!(read(several).unwrap().urls[1].as_str(), "http://192.0.2.1/hec/");
    }

    #[test]
    fn every_error_names_its_key() {
        let at = r#""url":"https://hec.example.com:8088","token":"env:TOKEN""#;
        for (more, key) in [
            (r#""urls":["https://hec.example.com"]"#, "urls"),
            (r#""tokens":"env:A""#, "tokens"),
            (r#""index":"Main""#, "index"),
            (r#""index":"_internal""#, "index"),
            (r#""index":"""#, "index"),
            (r#""indexes":{"okta":"a b"}"#, "indexes"),
            (r#""indexes":{"okta":{"system_log":"A"}}"#, "indexes"),
            (r#""indexes":{"okta":{"system_log":{"x":"a"}}}"#, "indexes"),
            (r#""indexes":["a"]"#, "indexes"),
            (r#""source":" ""#, "source"),
            (r#""sourcetype":"a\nb""#, "sourcetype"),
            (r#""endpoint":"events""#, "endpoint"),
            (r#""ack":"on""#, "ack"),
            (r#""ack":true"#, "ack"),
            (r#""ack_timeout":300"#, "ack_timeout"),
            (r#""ack_timeout":"0s""#, "ack_timeout"),
            (r#""ack_poll":"2h""#, "ack_poll"),
            (r#""fields":["host"]"#, "fields"),
            (r#""fields":["tenant"],"endpoint":"raw""#, "fields"),
            (r#""client":{"certificate":"file:a"}"#, "client"),
            (r#""client":{"certificate":"file:a","private_key":"c2VjcmV0LWtleQ=="}"#, "client"),
            (r#""gzip":10"#, "gzip"),
            (r#""batch_bytes":1000000"#, "batch_bytes"),
            (r#""batch_bytes":"0B""#, "batch_bytes"),
            (r#""batch_count":0"#, "batch_count"),
            (r#""batch_age":1"#, "batch_age"),
            (r#""in_flight":65"#, "in_flight"),
        ] {
            let error = read(&format!("{{{at},{more}}}")).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
        }
        for url in [
            "hec.example.com:8088",
            "ftp://hec.example.com",
            "https://user:hunter2@hec.example.com",
            "https://hec.example.com?token=hunter2",
            "https://hec.example.com/services/collector/event",
        ] {
            let error = read(&format!("{{\"url\":\"{url}\",\"token\":\"env:T\"}}")).unwrap_err();
            assert_eq!(error.key, "url");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!(read(r#"{"url":"https://hec.example.com"}"#).unwrap_err().key, "token");
        assert_eq!(read(r#"{"token":"env:T"}"#).unwrap_err().key, "url");
        let literal = read(r#"{"url":"https://hec.example.com","token":"c2VjcmV0LWtleQ=="}"#).unwrap_err();
        assert_eq!(literal.key, "token");
        assert!(!literal.to_string().contains("c2VjcmV0"), "{literal}");
    }
}
