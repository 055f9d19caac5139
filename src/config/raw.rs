//! What a file may say: every key that is not a connector's or a sink's own, with what it means.
//!
//! The doc comments are the JSON Schema's descriptions and the option tables of `docs/configuration.md`; the defaults
//! stand in `defaults.toml`.

use super::values::{Count, EntraShape, Given, Percent, Proxy, Revisions, SinkStart, Size, Start, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidegate_core::sink::Level;

/// A table of this module. A key of a wrong type does not keep the others from being read.
pub(super) trait Keys: serde::de::DeserializeOwned + Default + JsonSchema {}

impl<K: serde::de::DeserializeOwned + Default + JsonSchema> Keys for K {}

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct RootKeys {
    /// Files of one tenant each, relative to this file; `*` stands for any part of a file's name, and the name without
    /// `.toml` is the tenant.
    pub(super) include: Given<Vec<String>>,
    /// Address on which `run` serves health and metrics; without it, nowhere.
    pub(super) listen: Given<SocketAddr>,
    /// The journal.
    pub(super) journal: Given<Table>,
    /// Outgoing connections.
    pub(super) http: Given<Table>,
    /// Databases of addresses.
    pub(super) geoip: Given<Table>,
    /// `[defaults.source]`: keys that every source has unless it sets them itself.
    pub(super) defaults: Given<Table>,
    /// `[template.NAME]`: what tenants have in common.
    pub(super) template: Given<Table>,
    /// `[tenant.NAME]`: a tenant. The keys of a file of its own stand there without this prefix.
    pub(super) tenant: Given<Table>,
    /// `[sink.NAME]`: a destination for every tenant.
    pub(super) sink: Given<Table>,
}

/// `[defaults]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct DefaultsKeys {
    /// Keys that every source has unless it sets them itself.
    pub(super) source: Given<Table>,
}

/// `[journal]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct JournalKeys {
    /// Directory; each tenant has one of its own in it. Relative to the working directory; a network file system is
    /// refused.
    pub(super) dir: Given<PathBuf>,
    /// Bytes that a tenant's pages may take. When it is full of undelivered ones, that tenant's polling waits.
    pub(super) budget: Given<Size>,
    /// How long delivered records stay. Undelivered ones are never trimmed.
    pub(super) keep: Given<Duration>,
}

/// `[tenant.NAME.journal]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct TenantJournalKeys {
    /// As `budget` in `[journal]`, for this tenant.
    pub(super) budget: Given<Size>,
    /// As `keep` in `[journal]`, for this tenant.
    pub(super) keep: Given<Duration>,
}

/// `[http]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct HttpKeys {
    /// Proxy of every outgoing connection: a URL without credentials, or `env:NAME` or `file:PATH` that holds a URL
    /// with them.
    pub(super) proxy: Given<Proxy>,
    /// PEM file of authorities that are trusted besides the system's.
    pub(super) ca_file: Given<PathBuf>,
    /// How long a connection may take to open.
    pub(super) connect_timeout: Given<Duration>,
    /// How long the other side may be silent.
    pub(super) read_timeout: Given<Duration>,
    /// How long a request may take in all.
    pub(super) timeout: Given<Duration>,
    /// The largest answer that is read. A stream whose page is larger halts.
    pub(super) max_body: Given<Size>,
    /// How many answers are read at the same time; with `max_body` it bounds memory.
    pub(super) page_slots: Given<Count>,
}

/// `[geoip]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct GeoIpKeys {
    /// A MaxMind database of cities, such as GeoLite2-City.mmdb: fills where an address is, for events whose vendor does
    /// not say it. Read when the configuration is.
    pub(super) city: Given<PathBuf>,
    /// A MaxMind database of autonomous systems, such as GeoLite2-ASN.mmdb.
    pub(super) asn: Given<PathBuf>,
}

/// `[tenant.NAME]`, or a tenant's file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct TenantKeys {
    /// The template below it. The tenant's own keys stand over it.
    pub(super) template: Given<String>,
    /// Values for `{var.NAME}`.
    pub(super) var: Given<Table>,
    /// Which of the sinks that stand outside tenants it delivers to; default: all. Its own ones are always used.
    pub(super) sinks: Given<Vec<String>>,
    /// `budget` and `keep` of this tenant.
    pub(super) journal: Given<Table>,
    /// `[tenant.NAME.source.NAME]`: a connector, configured.
    pub(super) source: Given<Table>,
    /// `[tenant.NAME.sink.NAME]`: a destination of this tenant alone, or keys over the one of that name outside.
    pub(super) sink: Given<Table>,
}

/// The keys that every source has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SourceKeys {
    /// The connector's name. Its own keys stand beside these.
    pub(super) connector: Given<String>,
    /// Streams to collect: names, `"*"` for all that the connector lists, `"!name"` for all but. Default: those that the
    /// connector has on by default.
    pub(super) streams: Given<Vec<String>>,
    /// `[tenant.NAME.source.NAME.stream.NAME]`: keys of one stream.
    pub(super) stream: Given<Table>,
    /// Where a new source begins: this long ago, or at a time. Older history is `tidegate backfill`.
    pub(super) start: Given<Start>,
    /// How often a stream is asked for news, `"1s"` or more. Default: the stream's own.
    pub(super) poll: Given<Duration>,
    /// Our share of what the vendor allows; the rest is left to others.
    pub(super) quota: Given<Percent>,
    /// A reason. The source stays configured but is not collected, and its coverage says why.
    pub(super) off: Given<String>,
    /// Whether later versions of a record are delivered too. All are stored.
    pub(super) revisions: Given<Revisions>,
    /// How long ids are remembered for dedupe; default: a day longer than the vendor keeps records. A sweep that finds
    /// something comes again until 7 d 6 h after a record; with less than that it would be delivered again. A backfill that
    /// touches a time whose ids are forgotten is refused without `--again`.
    pub(super) forget_after: Given<Duration>,
    /// When a window of time is read again, soonest first: one to six times, `"1m"` to `"7d"`. Not for feeds. Default:
    /// the stream's own.
    pub(super) settle: Given<Vec<Duration>>,
    /// As `proxy` in `[http]`, for this source; `"none"`: directly.
    pub(super) proxy: Given<Proxy>,
    /// As `ca_file` in `[http]`, for this source.
    pub(super) ca_file: Given<PathBuf>,
}

/// `[tenant.NAME.source.NAME.stream.NAME]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct StreamKeys {
    /// As `poll` of the source, for this stream.
    pub(super) poll: Given<Duration>,
    /// As `settle` of the source, for this stream.
    pub(super) settle: Given<Vec<Duration>>,
    /// How far behind the vendor's clock it is read for the first time, `"1h"` at most. Not for feeds. Default: the
    /// connector's.
    pub(super) visible_after: Given<Duration>,
    /// How long the vendor keeps its records, `"1d"` or more, where the organisation's licence says otherwise than the
    /// connector.
    pub(super) retention: Given<Duration>,
    /// A reason. The stream is not collected, and its coverage says why.
    pub(super) off: Given<String>,
}

/// The keys that every sink has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkKeys {
    /// The kind's name. Its own keys stand beside these.
    pub(super) kind: Given<String>,
    /// The schema of its documents: ecs, leef, ocsf (1.8.0), ocsf_1_9 (a preview of 1.9.0), raw. Default: the kind's own, where
    /// it has one.
    pub(super) schema: Given<String>,
    /// What it takes: `"*"`, `"connector"` or `"connector/stream"`; with `!` in front: not that. The last that fits
    /// decides.
    pub(super) streams: Given<Vec<String>>,
    /// Of a sink outside tenants: who delivers to it: `"*"` or names of tenants; with `!` in front: not that one. The last
    /// that fits decides. Default: all.
    pub(super) tenants: Given<Vec<String>>,
    /// What the way to it must promise at least (`tidegate guarantees` shows what it does). A sink that cannot is refused.
    pub(super) require: Given<Level>,
    /// Where it begins at a tenant that has a journal already.
    pub(super) start: Given<SinkStart>,
    /// Whether undelivered records wait for it. `false`: they may be trimmed, and its hole is named.
    pub(super) required: Given<bool>,
    /// How long undelivered records wait for it; what it gives up is a named hole. Default: for ever.
    pub(super) give_up_after: Given<Duration>,
    /// Whether each document carries the vendor's record, as `event.original`.
    pub(super) original: Given<bool>,
    /// With `schema = "raw"`, how Entra's records stand: in the envelope of Azure's diagnostic logs, which is what published
    /// detections search, or as Graph sends them.
    pub(super) entra_shape: Given<EntraShape>,
    /// As `proxy` in `[http]`, for this sink; `"none"`: directly.
    pub(super) proxy: Given<Proxy>,
    /// As `ca_file` in `[http]`, for this sink.
    pub(super) ca_file: Given<PathBuf>,
}

/// The names of a table's keys.
pub(super) fn names<K: Keys>() -> Vec<String> {
    let schema = schemars::schema_for!(K);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
}
