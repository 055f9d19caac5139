//! The door on the SIEM's side: kinds of sinks, batches, verdicts.
//!
//! A sink frames documents into one buffer and delivers it; it keeps no queue, does not retry and does not sleep.
//! [`crate::deliver`] owns order, retry, acknowledgement and dead letters, once for all sinks.

use crate::fault::Fault;
use crate::source::{Names, SettingsError};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Code for a destination.
pub trait SinkKind: Sync {
    /// The name in `kind = "…"`.
    fn name(&self) -> &'static str;
    /// JSON Schema of the kind's own keys in a `sink` table (without the keys that every sink has). A property that says
    /// `"x-tidegate": "by_stream"` is a table of connectors, each with a value or a table of streams; names that do not exist
    /// are refused where the configuration is read.
    fn schema(&self) -> schemars::Schema;
    /// What the kind fills in beside or into its own keys, as a file would say it: keys that nobody set, with their
    /// defaults, and values that are used otherwise than they are written (an address gets its port). It may name `schema`,
    /// too. A table that is wrong gets what is known all the same. For `config show`; by default the defaults of
    /// [`SinkKind::schema`].
    fn filled_in(
        &self,
        table: &serde_json::Map<String, serde_json::Value>,
    ) -> serde_json::Map<String, serde_json::Value> {
        schema_defaults(&self.schema(), table)
    }
    /// Checks the kind's own keys and makes a sink for one tenant.
    ///
    /// # Errors
    /// Names the key, what is wrong with it and the accepted values.
    fn open(&self, settings: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError>;
    /// What an operator installs at the destination: `(name, text)`; empty where there is nothing to install.
    fn assets(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The defaults that a kind's schema has for keys that nobody set. An empty list or table is left out: it says nothing.
#[must_use]
pub fn schema_defaults(
    schema: &schemars::Schema,
    table: &serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    use serde_json::Value;
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(table) => !table.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let unset = properties.into_iter().flatten().filter(|(key, _)| !table.contains_key(*key));
    let defaults = unset.filter_map(|(key, property)| Some((key.clone(), property.get("default")?.clone())));
    defaults.filter(|(_, value)| says(value)).collect()
}

/// What a kind's `open` gets.
#[derive(Clone)]
pub struct SinkSettings {
    /// The tenant's key.
    pub tenant: String,
    /// The sink's key.
    pub sink: String,
    /// The keys of the tenant's sources.
    pub sources: Vec<String>,
    /// The kind's own keys, placeholders resolved.
    pub table: serde_json::Map<String, serde_json::Value>,
    /// Everything about outgoing connections and time.
    pub http: crate::http::Client,
}

/// What a document is, for the framing around it.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The deterministic id.
    pub id: String,
    /// The tenant's key.
    pub tenant: Arc<str>,
    /// The source's key.
    pub source: Arc<str>,
    /// The connector's name.
    pub connector: &'static str,
    /// The stream's name.
    pub stream: Arc<str>,
    /// What a SIEM calls the host of the event: the vendor's name for the organisation, such as `acme.okta.com`.
    pub host: Arc<str>,
    /// What schemas know of the stream.
    pub names: &'static Names,
    /// The sourcetype of the document, by its schema and shape ([`crate::schema::Schema::sourcetype`]).
    pub sourcetype: &'static str,
    /// The event's time.
    pub time: DateTime<Utc>,
}

/// Writes one document into a buffer. Fails where the event cannot be rendered.
pub type Render<'a> = dyn FnMut(&mut Vec<u8>) -> Result<(), crate::source::NormalizeError> + 'a;

/// Documents on their way, framed.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// All frames, one behind the other.
    pub body: Bytes,
    /// Where each document's frame stands in `body`, and what it is.
    pub documents: Vec<(Range<usize>, Meta)>,
}

/// Bounds of a batch. Whichever is reached first sends it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes before compression.
    pub bytes: usize,
    /// Documents.
    pub count: usize,
    /// Age of the oldest document in it.
    pub age: Duration,
    /// Batches in flight at the same time.
    pub in_flight: usize,
}

/// One document's trouble: its index in the batch, and why.
pub type Trouble = (usize, Fault);

/// The verdict on every document of a batch. Documents that no list names were delivered.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// How many went in now.
    pub delivered: usize,
    /// How many were there already (their id was known).
    pub duplicates: usize,
    /// Send these again, later.
    pub retry: Vec<Trouble>,
    /// These can never go in: dead letters.
    pub rejected: Vec<Trouble>,
    /// Nothing of this kind can go in until somebody acts: keep, pause, raise the alarm.
    pub fault: Vec<Trouble>,
    /// How long the destination asked to wait before `retry` comes again: not sooner, and not sooner than core's own
    /// backoff.
    pub after: Option<Duration>,
    /// Things worth a warning, such as documents that landed in a failure store.
    pub warnings: Vec<String>,
}

impl Delivery {
    /// The destination asked to wait so long before what is to be sent again; of several such words the longest counts.
    pub fn wait(&mut self, after: Option<Duration>) {
        self.after = self.after.max(after);
    }
}

/// Why there is no verdict on the batch. The variant is what happens next; core retries, the sink never does.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliverError {
    /// Send the batch again: after this long, or after core's own backoff.
    #[error("{cause}")]
    Retry {
        /// What the other side asked for.
        after: Option<Duration>,
        /// What happened.
        cause: Fault,
    },
    /// Too large, or one document poisons it: halve and send the halves. Never returned for one document.
    #[error("{cause}")]
    Split {
        /// What happened.
        cause: Fault,
    },
    /// Nothing but a person can help. Core keeps everything, pauses, and tries again slowly.
    #[error("{cause}")]
    Halt {
        /// What happened.
        cause: Fault,
    },
}

impl DeliverError {
    /// What happened.
    #[must_use]
    pub fn cause(&self) -> &Fault {
        match self {
            Self::Retry { cause, .. } | Self::Split { cause } | Self::Halt { cause } => cause,
        }
    }
}

/// How far the way to a destination can be relied on, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What was handed over may be lost behind the wire, and nobody would tell us.
    BestEffort,
    /// Nothing is lost that the destination has confirmed; what was in flight at a failure may come twice.
    AtLeastOnce,
    /// As [`Level::AtLeastOnce`], and the destination recognises what comes twice.
    ExactlyOnce,
}

impl Level {
    /// As the configuration and tables name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "best_effort",
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// What the way to a destination promises as it is configured, and why: for `tidegate guarantees`, `status` and the key
/// `require`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// How far it can be relied on.
    pub level: Level,
    /// What it rests on: a sentence.
    pub because: String,
    /// What may still happen, a sentence each.
    pub except: Vec<String>,
}

/// One tenant's part of a destination.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The schema that it takes when the configuration names none; `None` where the configuration must.
    fn default_schema(&self) -> Option<&'static str>;
    /// A schema that it insists on (Elastic's own pipeline wants raw records); a configured one beside it is refused.
    fn required_schema(&self) -> Option<&'static str> {
        None
    }
    /// Whether it takes documents that are lines of text (LEEF), and not only JSON.
    fn takes_text(&self) -> bool {
        false
    }
    /// The namespace of the destination's data streams, for schemas that write it into the document.
    fn namespace(&self) -> &str {
        "default"
    }
    /// Whether a second delivery of the same id is recognised by the destination.
    fn deterministic(&self) -> bool;
    /// What is promised of the way to it, by what is known of it now (whether acknowledgements are on may only be known
    /// once it answered).
    fn guarantee(&self) -> Guarantee;
    /// Bounds of a batch.
    fn limits(&self) -> Limits;
    /// Appends one framed document to `buf`. On an error the caller cuts `buf` back to where it was.
    ///
    /// # Errors
    /// Whatever `document` says.
    fn frame(
        &self,
        buf: &mut Vec<u8>,
        meta: &Meta,
        document: &mut Render<'_>,
    ) -> Result<(), crate::source::NormalizeError>;
    /// Sends a batch and reads the verdict on every document. Returns only when what was delivered is durable there.
    ///
    /// # Errors
    /// See [`DeliverError`].
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError>;
    /// Whether the files with certificates and their keys can be read and hold what they must: what `check` tells without
    /// asking anybody. Tokens and passwords are not looked at, nor what variables hold: they may be elsewhere. A sink that
    /// runs reads the files when it needs them, and waits where it cannot, so that they may be mended.
    ///
    /// # Errors
    /// Names the key, the file, and what is wrong with it.
    fn readable(&self) -> Result<(), SettingsError> {
        Ok(())
    }
    /// Tries address, credentials and rights without writing anything.
    async fn check(&self) -> crate::source::Findings;
    /// Installs what the destination should have (templates; with `policies` also lifecycle policies), and says what it
    /// did, a line each.
    ///
    /// # Errors
    /// What the destination said.
    async fn install(&self, _policies: bool) -> Result<Vec<String>, Fault> {
        Ok(vec!["nothing to install".to_owned()])
    }
    /// Finishes what is open (for files: closes and renames). Called once, after the last delivery.
    async fn close(&self) {}
}
