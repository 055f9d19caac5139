//! The door on the vendor's side: connectors, streams, sources, pages, cursors.
//!
//! A [`Connector`] is code for a vendor; a [`Source`] is one tenant's configured connector. A source only turns "where
//! we are" into one request and its answer into a [`Page`]; it keeps no place of its own, does not retry, does not
//! sleep, sees no journal and no disk. [`crate::collect`] owns all of that, once for all connectors.

use crate::event::Emit;
use crate::fault::Fault;
use crate::json::{Kind, Value};
use crate::quota::Budget;
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
        /// No window is planned wider than this, because the vendor refuses it or because one answer would be too much.
        widest: Duration,
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

/// One of a vendor's budgets of requests, as the vendor counts them.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// For status pages, such as `reports`. Unique within a source.
    pub name: &'static str,
    /// Whose budget it is: an organisation, one log endpoint of it, an app over all its organisations. Sources of a
    /// process whose connector, bucket and scope agree share one, and the smallest share (`quota`) that is configured for
    /// any of them. No secret.
    pub scope: String,
    /// How much it is, until an answer says better.
    pub budget: Budget,
    /// A configured limit of the whole organisation, where the header names only our credential's part.
    pub organisation: Option<u32>,
    /// Which streams (by name) spend from it.
    pub streams: fn(&str) -> bool,
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

impl NormalizeError {
    /// What is no object is no record.
    ///
    /// # Errors
    /// It is none.
    pub fn unless_object(record: Value<'_, '_>) -> Result<(), Self> {
        match record.kind() {
            Kind::Object => Ok(()),
            _ => Err(Self("the record is not a JSON object".to_owned())),
        }
    }
}

/// Code for a vendor. One constant a connector, listed in `tidegate_connectors::ALL` or handed to `tidegate::main`.
pub trait Connector: Sync {
    /// The name in `connector = "…"`.
    fn name(&self) -> &'static str;
    /// The vendor's name for people, such as `Okta`.
    fn title(&self) -> &'static str;
    /// All logs that it can collect.
    fn streams(&self) -> &'static [Stream];
    /// A stream by its name. Where the vendor takes any name of a pattern, also one that [`Connector::streams`] lacks.
    fn stream(&self, name: &str) -> Option<&'static Stream> {
        self.streams().iter().find(|stream| stream.name == name)
    }
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
    /// What becomes of the vendor's own fields, a table a sort of record: which names documents can have is known from
    /// them (`tidegate rules`).
    fn tables(&self) -> Vec<&'static crate::event::Table> {
        Vec::new()
    }
    /// The vendor's own name for that organisation, where the table says it and records do not: documents carry it.
    fn organisation_id(&self, _table: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
        None
    }
    /// The vendor's budgets that the `source` table's streams spend from; a stream's narrowest stands first. Default: one of
    /// the organisation, [`Budget::default`].
    ///
    /// # Errors
    /// As [`Connector::open`].
    fn buckets(
        &self,
        table: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<Bucket>, SettingsError> {
        let (scope, budget) = (self.organisation(table)?, Budget::default());
        Ok(vec![Bucket { name: "requests", scope, budget, organisation: None, streams: |_| true }])
    }
    /// Id and time of a record. Pure.
    fn identity<'r>(&self, stream: &Stream, record: Value<'_, 'r>) -> Identity<'r>;
    /// Paths (dotted, from the root) that do not count when two versions of a record are compared.
    fn volatile(&self, _stream: &Stream) -> &'static [&'static str] {
        &[]
    }
    /// Turns a record into events, in order: one at least, the last and no other with
    /// [`Next::Nothing`](crate::event::Next::Nothing). Pure.
    ///
    /// # Errors
    /// The record becomes a dead letter with this reason, as do those of a connector that does not keep to that.
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
    /// Of a feed: how long to wait before the next poll; zero: more is ready. Windows end where `next` is `None`.
    pub wait: Duration,
    /// The vendor's clock (`Date` header), where it said so.
    pub date: Option<DateTime<Utc>>,
    /// A part `[from, to)` of the window that the vendor cannot show, because one unit of its time holds more records than
    /// one answer and there is no page token. It becomes a hole, cause `burst`.
    pub unread: Option<Range<DateTime<Utc>>>,
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
    /// The vendor refused the cursor, or the page token inside a window. Of a feed: fall back to time, and write the bridge
    /// into the ledger. Of a window: begin it again, narrower.
    #[error("{cause}")]
    Restart {
        /// What happened.
        cause: Fault,
    },
    /// The window is too much for the vendor (it gave up, timed out): ask for half of it.
    #[error("{cause}")]
    Narrow {
        /// What happened.
        cause: Fault,
    },
    /// The window begins before what the vendor keeps, although the stream's `retention` says that it should be there.
    #[error("{cause}")]
    TooOld {
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
            Self::Retry { cause, .. }
            | Self::Restart { cause }
            | Self::Narrow { cause }
            | Self::TooOld { cause }
            | Self::Halt { cause } => cause,
        }
    }
}

/// What `check --online` found out about a source's credential. Whether each stream can be read, the clock and the quota are
/// found out by core, the same way for all connectors.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Lines for a person, in order.
    pub lines: Vec<String>,
    /// Trouble, if any: refused credentials, and scopes or roles that a token names and one of our streams lacks.
    pub faults: Vec<Fault>,
    /// When the credential expires, where that can be read (a certificate).
    pub expires: Option<DateTime<Utc>>,
}

/// A tenant's configured connector.
#[async_trait]
pub trait Source: Send + Sync {
    /// One request for one page. Never waits for quota (core asked [`crate::http::Client::ready`] before), never retries.
    ///
    /// # Errors
    /// See [`PollError`].
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError>;
    /// Tries the credential without moving anything.
    async fn check(&self) -> Findings;
    /// What a person should do when the credential is refused, and what the vendor's retention means for the data.
    fn remedy(&self) -> String;
}
