//! The configuration: `pipeline.toml`, one file a tenant, and the environment over both.
//!
//! Two levels. What the files say is one tree that remembers where each value came from (`tree`) and is read key by
//! key (`raw`, `values`); what comes out is a [`Config`], whose values cannot be wrong. Everything that is wrong is
//! reported at once ([`ConfigErrors`]), with file and line or variable, tenant, source or sink, key and accepted values.
//!
//! A value of a source, the nearest first (of a stream: first its own table, then the source's): environment · the tenant's file or table · its template ·
//! `[defaults.source]` · built in (`defaults.toml`). Nothing is merged between two files: a key that stands in both is
//! an error. A connector's and a sink's own keys pass through as a table, with placeholders resolved, unknown keys and
//! literal secrets refused; what they mean is checked where they are opened.

mod error;
mod files;
mod own;
mod placeholders;
mod raw;
mod resolve;
mod schema;
mod show;
mod sources;
mod streams;
mod tree;
mod values;

pub use error::{ConfigError, ConfigErrors};
pub use schema::json_schema;
pub use show::Shown;
pub use streams::Filter;

pub use values::{EntraShape, Percent, Revisions, SinkStart, Size, Start, is_name};

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_core::collect::StreamPlan;
use tidegate_core::sink::{Guarantee, Level, Sink, SinkKind};
use tidegate_core::source::{Connector, SettingsError};
use tidegate_core::units::duration_text;

/// Where configuration is looked for when the command line names no file.
pub const DEFAULT_PATH: &str = "pipeline.toml";

/// The schemas that `schema = "…"` accepts.
pub const SCHEMAS: &[&str] = &["ecs", "leef", "ocsf", "ocsf_1_9", "raw"];

/// A configuration that was found right.
#[derive(Debug)]
pub struct Config {
    /// The journal of every tenant that does not say otherwise.
    pub journal: JournalConfig,
    /// Outgoing connections.
    pub http: HttpConfig,
    /// Databases of addresses.
    pub geoip: GeoIpConfig,
    /// Where `run` serves health and metrics; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// By name; at least one.
    pub tenants: BTreeMap<String, Tenant>,
    /// The files that it was read from, the main one first.
    pub files: Vec<PathBuf>,
}

/// Where records are kept and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// The directory that holds one directory a tenant.
    pub dir: PathBuf,
    /// Bytes that a tenant's pages may take.
    pub budget: Size,
    /// How long delivered records stay.
    pub keep: Duration,
}

/// Outgoing connections. Proxy and authorities are resolved for each source and sink ([`Reach`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the other side may be silent.
    pub read_timeout: Duration,
    /// How long a request may take in all.
    pub timeout: Duration,
    /// The largest answer that is read.
    pub max_body: Size,
    /// How many answers are read at the same time.
    pub page_slots: usize,
}

/// Databases of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoIpConfig {
    /// Of cities.
    pub city: Option<PathBuf>,
    /// Of autonomous systems.
    pub asn: Option<PathBuf>,
}

/// How a source or a sink is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// A URL without credentials, or `env:NAME` or `file:PATH` that holds one; `None`: directly.
    pub proxy: Option<String>,
    /// PEM file of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// One tenant, with everything that its template and the defaults give it.
#[derive(Debug)]
pub struct Tenant {
    /// The template below it.
    pub template: Option<String>,
    /// Its journal's bounds; `dir` is its own directory.
    pub journal: JournalConfig,
    /// By name; at least one.
    pub sources: BTreeMap<String, SourceConfig>,
    /// By name: those it delivers to, `{tenant}` and `{var.NAME}` resolved.
    pub sinks: BTreeMap<String, SinkConfig>,
    effective: tree::Node,
}

/// A connector, configured for one tenant.
#[derive(Clone)]
pub struct SourceConfig {
    /// The code.
    pub connector: &'static dyn Connector,
    /// The vendor organisation, as the connector reads it from `table`: the unit of quota.
    pub organisation: String,
    /// What is collected and how, in the connector's order; at least one.
    pub streams: Vec<StreamPlan>,
    /// The streams that are declared off, and why.
    pub off_streams: BTreeMap<String, String>,
    /// Where a new source begins.
    pub start: Start,
    /// Our share of what the vendor allows.
    pub quota: Percent,
    /// The reason why it is not collected.
    pub off: Option<String>,
    /// Which versions of a record are delivered.
    pub revisions: Revisions,
    /// How long ids are remembered; `None`: a day longer than the vendor keeps records.
    pub forget_after: Option<Duration>,
    /// How it is reached.
    pub reach: Reach,
    /// The connector's own keys.
    pub table: Map<String, Value>,
}

/// Two are the same when nothing would change by restarting: the order of streams counts, origins do not.
impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            connector,
            organisation,
            streams,
            off_streams,
            start,
            quota,
            off,
            revisions,
            forget_after,
            reach,
            table,
        } = self;
        connector.name() == other.connector.name()
            && *organisation == other.organisation
            && *streams == other.streams
            && *off_streams == other.off_streams
            && *start == other.start
            && *quota == other.quota
            && *off == other.off
            && *revisions == other.revisions
            && *forget_after == other.forget_after
            && *reach == other.reach
            && *table == other.table
    }
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams: Vec<&str> = self.streams.iter().map(|plan| plan.stream.name).collect();
        f.debug_struct("SourceConfig")
            .field("connector", &self.connector.name())
            .field("streams", &streams)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// A destination, configured for one tenant.
#[derive(Clone)]
pub struct SinkConfig {
    /// The code.
    pub kind: &'static dyn SinkKind,
    /// What `schema` says; what is used is [`SinkConfig::schema_for`].
    pub schema: Option<String>,
    /// What it takes.
    pub streams: Filter,
    /// Where it begins at a tenant that has a journal already.
    pub start: SinkStart,
    /// Whether undelivered records wait for it.
    pub required: bool,
    /// What the way to it must promise at least; `None`: whatever it does.
    pub require: Option<Level>,
    /// How long they wait; `None`: for ever.
    pub give_up_after: Option<Duration>,
    /// Whether each document carries the vendor's record.
    pub original: bool,
    /// How `raw` documents of Entra's records stand.
    pub entra_shape: EntraShape,
    /// How it is reached.
    pub reach: Reach,
    /// The kind's own keys.
    pub table: Map<String, Value>,
}

impl SinkConfig {
    /// The schema of this sink's documents: the configured one, or the one that the sink insists on, or its own.
    ///
    /// # Errors
    /// About the key `schema`: the sink insists on another one, or there is none.
    pub fn schema_for<'s>(&'s self, sink: &dyn Sink) -> Result<&'s str, SettingsError> {
        match (self.schema.as_deref(), sink.required_schema()) {
            (Some(configured), Some(required)) if configured != required => Err(SettingsError::new(
                "schema",
                format!(
                    "{configured:?} cannot stand here, since this sink, as it is configured, takes {required:?} alone; \
                     accepted: {required:?}, or no such key"
                ),
            )),
            (Some(configured), _)
                if tidegate_core::schema::by_name(configured).is_some_and(|schema| schema.is_text())
                    && !sink.takes_text() =>
            {
                Err(SettingsError::new(
                    "schema",
                    format!("{configured:?} is lines of text, and this kind takes JSON documents alone"),
                ))
            }
            (Some(configured), _) => Ok(configured),
            (None, Some(required)) => Ok(required),
            (None, None) => sink.default_schema().ok_or_else(|| {
                let message = format!(
                    "is missing, and this kind has none of its own; accepted: {}",
                    SCHEMAS.join(", ")
                );
                SettingsError::new("schema", message)
            }),
        }
    }
}

impl SinkConfig {
    /// What the way to this sink promises: the sink's own word, and what these keys take from it.
    #[must_use]
    pub fn promise(&self, sink: &dyn Sink) -> Guarantee {
        let mut promise = sink.guarantee();
        promise.except.extend(self.gives_up());
        promise
    }

    /// Whether it promises as much as `require` asks for.
    ///
    /// # Errors
    /// About the key `require`: it does not, and why.
    pub fn suffices(&self, sink: &dyn Sink) -> Result<(), SettingsError> {
        let Some(asked) = self.require else { return Ok(()) };
        let Guarantee { level, because, except } = sink.guarantee();
        if let Some(given_up) = self.gives_up() {
            let key = if self.required { "`give_up_after`" } else { "`required = false`" };
            let message = format!("{:?} is asked, but {given_up}; take this key or {key} away", asked.name());
            return Err(SettingsError::new("require", message));
        }
        if level >= asked {
            return Ok(());
        }
        let why: Vec<String> = std::iter::once(because).chain(except).collect();
        let instead = match level {
            Level::BestEffort => "take `require` away".to_owned(),
            level => format!("ask for {:?} at most", level.name()),
        };
        let message = format!(
            "{:?} is asked, and this sink, as it is configured, promises {}: {}; change that, or {instead}",
            asked.name(),
            level.name(),
            why.join("; ")
        );
        Err(SettingsError::new("require", message))
    }

    fn gives_up(&self) -> Option<String> {
        match (self.required, self.give_up_after) {
            (false, _) => {
                Some("what it lacks when the journal is full is given up, as a named hole".to_owned())
            }
            (true, Some(after)) => {
                Some(format!("what waits longer than {} is given up, as a named hole", duration_text(after)))
            }
            (true, None) => None,
        }
    }
}

/// As for [`SourceConfig`].
impl PartialEq for SinkConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            kind,
            schema,
            streams,
            start,
            required,
            require,
            give_up_after,
            original,
            entra_shape,
            reach,
            table,
        } = self;
        kind.name() == other.kind.name()
            && *schema == other.schema
            && *streams == other.streams
            && *start == other.start
            && *required == other.required
            && *require == other.require
            && *give_up_after == other.give_up_after
            && *original == other.original
            && *entra_shape == other.entra_shape
            && *reach == other.reach
            && *table == other.table
    }
}

impl fmt::Debug for SinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkConfig")
            .field("kind", &self.kind.name())
            .field("schema", &self.schema)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A tenant by name.
    ///
    /// # Errors
    /// Names the tenants that there are.
    pub fn tenant(&self, name: &str) -> Result<&Tenant, ConfigErrors> {
        self.tenants.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.tenants.keys().map(String::as_str).collect();
            ConfigErrors(vec![ConfigError::at(&[], None, error::unknown("tenant", name, &known))])
        })
    }

    /// An error about a key of a source's own table, found when it was opened: where the key stands is added.
    #[must_use]
    pub fn source_error(&self, tenant: &str, source: &str, error: &SettingsError) -> ConfigError {
        self.located(tenant, ["source", source], error)
    }

    /// As [`Config::source_error`], for a sink.
    #[must_use]
    pub fn sink_error(&self, tenant: &str, sink: &str, error: &SettingsError) -> ConfigError {
        self.located(tenant, ["sink", sink], error)
    }

    fn located(&self, tenant: &str, part: [&str; 2], error: &SettingsError) -> ConfigError {
        let mut below = part.to_vec();
        below.extend(error.key.split('.').filter(|key| !key.is_empty()));
        let origin = self.tenants.get(tenant).map(|tenant| tenant.effective.origin_of(&below).to_string());
        let mut path = vec!["tenant", tenant];
        path.extend(below);
        ConfigError::at(&path, origin, error.message.clone())
    }
}

/// The variables of this process that set keys. One that is not UTF-8 is read as far as it is.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    // `std::env::vars` panics over any variable that is not UTF-8, also one that is none of ours.
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(tree::PREFIX))
}

/// Reads a configuration. `env` is the whole environment or what [`environment`] takes of it: what begins with
/// `TIDEGATE__` sets keys.
///
/// # Errors
/// Everything that is wrong.
pub fn load(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
    connectors: &[&'static dyn Connector],
    sinks: &[&'static dyn SinkKind],
) -> Result<Config, ConfigErrors> {
    resolve::load(path, env, connectors, sinks)
}
