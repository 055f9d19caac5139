//! Connectors and sinks that exist only as far as configuration looks at them.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::event::Emit;
use tidegate_core::json::Value;
use tidegate_core::quota::Budget;
use tidegate_core::sink::{
    Batch, DeliverError, Delivery, Guarantee, Limits, Meta, Render, Sink, SinkKind, SinkSettings,
};
use tidegate_core::source::{
    Bucket, Connector, Findings, Identity, Names, NormalizeError, Settings, SettingsError, Source, Stream,
    StreamKind,
};

const NAMES: Names = Names {
    dataset: "fake.log",
    namespace: "fake",
    vendor: "Fake",
    product: "Fake",
    sourcetype: "fake",
    leef: ("Fake", "Fake"),
};

const fn stream(name: &'static str, default: bool) -> Stream {
    Stream {
        name,
        kind: StreamKind::Feed,
        default,
        immutable: true,
        retention: Duration::from_secs(90 * 86_400),
        poll: Duration::from_secs(30),
        names: &NAMES,
    }
}

/// Half an hour and a day.
const SETTLE: &[Duration] = &[Duration::from_secs(1_800), Duration::from_secs(86_400)];

const fn windowed(name: &'static str, default: bool) -> Stream {
    let kind = StreamKind::Windowed {
        settle: SETTLE,
        visible_after: Duration::from_secs(120),
        unit: Duration::from_millis(1),
        widest: Duration::from_secs(86_400),
    };
    Stream { kind, poll: Duration::from_secs(60), ..stream(name, default) }
}

/// A connector with this name and these streams; its own keys are `url` and `auth`.
pub(crate) struct Fake {
    name: &'static str,
    streams: &'static [Stream],
    /// Whether it takes any name of letters and underscores.
    any: bool,
}

pub(crate) static OKTA: Fake =
    Fake { name: "okta", streams: &[stream("system_log", true), stream("devices", false)], any: false };
pub(crate) static WORKSPACE: Fake = Fake {
    name: "google_workspace",
    streams: &[
        windowed("login", true),
        windowed("admin", true),
        windowed("drive", false),
        stream("alerts", false),
    ],
    any: true,
};

pub(crate) static CONNECTORS: &[&dyn Connector] = &[&OKTA, &WORKSPACE];
pub(crate) static SINKS: &[&dyn SinkKind] = &[&Elasticsearch, &Files];

impl Connector for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        "Fake"
    }

    fn streams(&self) -> &'static [Stream] {
        self.streams
    }

    fn stream(&self, name: &str) -> Option<&'static Stream> {
        let listed = self.streams.iter().find(|stream| stream.name == name);
        let fits = self.any && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        listed.or_else(|| fits.then(|| &*Box::leak(Box::new(windowed(name.to_owned().leak(), false)))))
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "url": {"type": "string", "description": "The organisation's address."},
                "auth": {"anyOf": [{"$ref": "#/$defs/Token"}, {"$ref": "#/$defs/App"}]},
            },
            "required": ["url", "auth"],
            "additionalProperties": false,
            "$defs": {
                "Token": {
                    "type": "object",
                    "properties": {"token": {"$ref": "#/$defs/Secret"}},
                    "required": ["token"],
                    "additionalProperties": false,
                },
                "App": {
                    "type": "object",
                    "properties": {
                        "client_id": {"type": "string"},
                        "private_key": {"$ref": "#/$defs/Secret"},
                        "signing": {"$ref": "#/$defs/Secret"},
                    },
                    "additionalProperties": false,
                },
                "Secret": {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"},
            },
        })
    }

    fn open(&self, _: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        Err(SettingsError::new("", "a fake is never opened"))
    }

    fn organisation(&self, table: &Map<String, Json>) -> Result<String, SettingsError> {
        match table.get("url").and_then(Json::as_str) {
            Some(url) if url.starts_with("http") => Ok(url.trim_end_matches('/').to_owned()),
            Some(_) => Err(SettingsError::new("url", "accepted: an address with https://")),
            None => {
                Err(SettingsError::new("url", "the key is missing; accepted: the organisation's address"))
            }
        }
    }

    /// Alerts have a limit of their own.
    fn buckets(&self, table: &Map<String, Json>) -> Result<Vec<Bucket>, SettingsError> {
        let scope = self.organisation(table)?;
        let bucket = |name: &'static str, streams: fn(&str) -> bool| Bucket {
            name,
            scope: scope.clone(),
            budget: Budget::default(),
            organisation: None,
            streams,
        };
        Ok(vec![
            bucket("alerts", |stream| stream == "alerts"),
            bucket("requests", |stream| stream != "alerts"),
        ])
    }

    fn identity<'r>(&self, _: &Stream, _: Value<'_, 'r>) -> Identity<'r> {
        Identity { id: None, time: None }
    }

    fn normalize<'r>(
        &self,
        _: &Stream,
        _: Value<'_, 'r>,
        _: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        Ok(())
    }
}

pub(crate) struct Elasticsearch;
pub(crate) struct Files;

impl SinkKind for Elasticsearch {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "urls": {"type": "array", "items": {"type": "string"}},
                "api_key": {"type": "string"},
                "namespace": {"type": "string"},
                "gzip": {"type": "boolean"},
                "indexes": {"type": "object", "additionalProperties": {}, "x-tidegate": "by_stream"},
            },
        })
    }

    fn open(&self, _: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        Err(SettingsError::new("", "a fake is never opened"))
    }
}

impl SinkKind for Files {
    fn name(&self) -> &'static str {
        "file"
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {"dir": {"type": "string"}, "rotate_bytes": {"type": "string", "default": "64MiB"}},
            "additionalProperties": false,
        })
    }

    fn open(&self, _: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        Err(SettingsError::new("", "a fake is never opened"))
    }
}

/// A sink that says only what it thinks of schemas.
pub(crate) struct Opinion {
    pub(crate) default: Option<&'static str>,
    pub(crate) required: Option<&'static str>,
}

#[async_trait::async_trait]
impl Sink for Opinion {
    fn default_schema(&self) -> Option<&'static str> {
        self.default
    }

    fn required_schema(&self) -> Option<&'static str> {
        self.required
    }

    fn deterministic(&self) -> bool {
        true
    }

    fn guarantee(&self) -> Guarantee {
        tidegate_core::testkit::sink::no_guarantee()
    }

    fn limits(&self) -> Limits {
        Limits { bytes: 1, count: 1, age: Duration::ZERO, in_flight: 1 }
    }

    fn frame(&self, _: &mut Vec<u8>, _: &Meta, _: &mut Render<'_>) -> Result<(), NormalizeError> {
        Ok(())
    }

    async fn deliver(&self, _: &Batch) -> Result<Delivery, DeliverError> {
        Ok(Delivery::default())
    }

    async fn check(&self) -> Findings {
        Findings::default()
    }
}
