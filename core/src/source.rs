//! The door on the vendor's side: connectors, streams, sources, pages, cursors.
//!
//! A [`Connector`] is code for a vendor; a [`Source`] is one tenant's configured connector. A source only turns "where
//! we are" into one request and its answer into a [`Page`]; it keeps no place of its own, does not retry, does not
//! sleep, sees no journal and no disk. [`crate::collect`] owns all of that, once for all connectors.

use crate::event::Emit;
use crate::fault::Fault;
use crate::json::Value;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What schemas must know of a vendor's stream. Exported by the connector as constants.
#[derive(Debug)]
pub struct Names {
    /// Elastic's data stream dataset, such as `okta.system`.
    pub dataset: &'static str,
    /// The namespace of vendor fields in ECS, such as `okta`.
    pub namespace: &'static str,
    /// Vendor as OCSF's `metadata.product.vendor_name` has it.
    pub vendor: &'static str,
    /// Product as OCSF's `metadata.product.name` has it.
    pub product: &'static str,
    /// Sourcetype of the well-known Splunk add-on.
    pub sourcetype: &'static str,
    /// LEEF vendor and product.
    pub leef: (&'static str, &'static str),
}

/// Who keeps the place in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The server does: a cursor of the vendor's own, followed for ever.
    Feed,
    /// We do: closed windows of time, read again at every settling horizon.
    Windowed {
        /// The default horizons, soonest first.
        settle: &'static [Duration],
        /// How far behind the vendor's clock the fast lane stays.
        visible_after: Duration,
        /// The vendor's unit of time; windows are rounded outward to it.
        unit: Duration,
    },
}

/// One of a vendor's logs.
#[derive(Debug)]
pub struct Stream {
    /// Our name for it, `[a-z][a-z0-9_]*`.
    pub name: &'static str,
    /// Who keeps the place.
    pub kind: StreamKind,
    /// Whether a source without a `streams` key runs it.
    pub default: bool,
    /// Whether the vendor never changes a record once it is visible.
    pub immutable: bool,
    /// How long the vendor keeps records.
    pub retention: Duration,
    /// The default of `poll`.
    pub poll: Duration,
    /// What schemas must know.
    pub names: &'static Names,
}

/// The identity of a record: what dedupe and document ids are made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity<'r> {
    /// The vendor's id, unescaped; `None` where the record has none.
    pub id: Option<std::borrow::Cow<'r, str>>,
    /// An *immutable* time of the record; `None` where there is no readable one.
    pub time: Option<DateTime<Utc>>,
}

/// A record could not become an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NormalizeError(pub String);

/// Code for a vendor. One constant a connector, listed in `tidegate_connectors::ALL` or handed to `tidegate::main`.
pub trait Connector: Sync {
    /// The name in `connector = "…"`.
    fn name(&self) -> &'static str;
    /// The vendor's name for people, such as `Okta`.
    fn title(&self) -> &'static str;
    /// All logs that it can collect.
    fn streams(&self) -> &'static [Stream];
    /// JSON Schema of the connector's own keys in a `source` table (without the keys that every source has).
    fn schema(&self) -> schemars::Schema;
    /// Checks the connector's own keys and makes a source. No I/O beyond reading referenced secrets is done.
    ///
    /// # Errors
    /// Names the key, what is wrong with it and the accepted values.
    fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError>;
    /// The vendor organisation of a `source` table (for Okta its origin): the unit of quota, and the fingerprint that
    /// guards against pointing a key at somebody else's data.
    ///
    /// # Errors
    /// As [`Connector::open`].
    fn organisation(
        &self,
        table: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, SettingsError>;
    /// Id and time of a record. Pure.
    fn identity<'r>(&self, stream: &Stream, record: Value<'_, 'r>) -> Identity<'r>;
    /// Paths (dotted, from the root) that do not count when two versions of a record are compared.
    fn volatile(&self, _stream: &Stream) -> &'static [&'static str] {
        &[]
    }
    /// Turns a record into events, in order. Pure.
    ///
    /// # Errors
    /// The record becomes a dead letter with this reason.
    fn normalize<'r>(
        &self,
        stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError>;
}

/// What a connector's `open` gets.
#[derive(Clone)]
pub struct Settings {
    /// The tenant's key.
    pub tenant: String,
    /// The source's key.
    pub source: String,
    /// The connector's own keys, placeholders resolved.
    pub table: serde_json::Map<String, serde_json::Value>,
    /// Everything about outgoing connections, quota and time.
    pub http: crate::http::Client,
}

/// A key of a `source` or `sink` table is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingsError {
    /// Dotted, below the table, such as `auth.token`.
    pub key: String,
    /// What is wrong and which values are accepted.
    pub message: String,
}

impl SettingsError {
    /// An error about this key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// The vendor's own place in a stream. Opaque outside its connector; never derived from records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub Vec<u8>);

/// Where a poll begins.
#[derive(Clone, Debug)]
pub enum Place {
    /// A feed's next page: after this cursor, or from `since` where there is none yet.
    Feed {
        /// The committed cursor.
        cursor: Option<Cursor>,
        /// Where the chain begins; used only without a cursor.
        since: DateTime<Utc>,
    },
    /// A page of a closed window `[from, to)`.
    Window {
        /// First instant.
        from: DateTime<Utc>,
        /// First instant after the window.
        to: DateTime<Utc>,
        /// The vendor's page token inside the window.
        token: Option<Cursor>,
    },
}

/// What one poll brought. Records keep their exact bytes.
#[derive(Clone, Debug)]
pub struct Page {
    /// The answer's body; `records` point into it.
    pub body: Bytes,
    /// Where each record stands in `body`, in the vendor's order.
    pub records: Vec<Range<usize>>,
    /// The vendor's next place; `None` only at a window's last page.
    pub next: Option<Cursor>,
    /// How long to wait before the next poll; zero: more is ready.
    pub wait: Duration,
    /// The vendor's clock (`Date` header), where it said so.
    pub date: Option<DateTime<Utc>>,
}

impl Page {
    /// The exact bytes of each record.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().filter_map(|span| self.body.get(span.clone()))
    }
}

/// Why a poll brought no page. The variant is what happens next; core retries, the connector never does.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PollError {
    /// Ask again: after this long, or after core's own backoff.
    #[error("{cause}")]
    Retry {
        /// What the vendor asked for.
        after: Option<Duration>,
        /// What happened.
        cause: Fault,
    },
    /// The vendor refused the cursor: fall back to time, and write the bridge into the ledger.
    #[error("{cause}")]
    Restart {
        /// What happened.
        cause: Fault,
    },
    /// Nothing but a person can help. Core names it, keeps everything, and tries again slowly.
    #[error("{cause}")]
    Halt {
        /// What happened.
        cause: Fault,
    },
}

impl PollError {
    /// What happened.
    #[must_use]
    pub fn cause(&self) -> &Fault {
        match self {
            Self::Retry { cause, .. } | Self::Restart { cause } | Self::Halt { cause } => cause,
        }
    }
}

/// What `check --online` found out about a source.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Lines for a person, in order.
    pub lines: Vec<String>,
    /// Trouble, if any.
    pub faults: Vec<Fault>,
}

/// A tenant's configured connector.
#[async_trait]
pub trait Source: Send + Sync {
    /// One request for one page. Never waits for quota (core asked [`crate::http::Client::ready`] before), never retries.
    ///
    /// # Errors
    /// See [`PollError`].
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError>;
    /// Tries credentials, scopes and the clock without moving anything.
    async fn check(&self) -> Findings;
    /// What a person should do when the credential is refused, and what the vendor's retention means for the data.
    fn remedy(&self) -> String;
}
