//! What the program is made of: the connectors and sinks that it knows, the clock, the way out. Turns a tenant's
//! configuration into sources and sinks; knows none of them by name.

use crate::config::{Config, TenantConfig};
use crate::pipeline::StartError;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::deliver::Start;
use tidegate_core::deliver::render::{Renderer, Route};
use tidegate_core::http::Client;
use tidegate_core::journal::Fingerprint;
use tidegate_core::schema;
use tidegate_core::sink::{Sink, SinkKind, SinkSettings};
use tidegate_core::source::{Connector, Settings, Source, Stream};
use tokio::sync::Notify;

/// Everything that exists once a process.
pub struct World {
    /// All connectors: the tree's own and the caller's.
    pub connectors: Vec<&'static dyn Connector>,
    /// All kinds of sinks.
    pub kinds: &'static [&'static dyn SinkKind],
    /// The time.
    pub clock: Clock,
    /// Rings when an operator asks for the configuration to be read again.
    pub reload: Arc<Notify>,
}

/// A source, ready to be collected.
pub struct OpenSource {
    /// Its key.
    pub key: String,
    /// Its code.
    pub connector: &'static dyn Connector,
    /// The configured connector.
    pub api: Arc<dyn Source>,
    /// The streams that it runs.
    pub streams: Vec<&'static Stream>,
    /// Connections and quota.
    pub http: Client,
    /// Where a new stream begins.
    pub start: DateTime<Utc>,
    /// How often a drained stream is asked again.
    pub poll: Option<Duration>,
    /// Whether later meanings of a record are delivered.
    pub revisions: bool,
    /// What the key stands for.
    pub fingerprint: Fingerprint,
}

/// A sink, ready to be delivered to.
pub struct OpenSink {
    /// Its key.
    pub key: String,
    /// The configured sink.
    pub sink: Arc<dyn Sink>,
    /// How records become documents.
    pub renderer: Renderer,
    /// Where it begins if the journal does not know it.
    pub start: Start,
}
