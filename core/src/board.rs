//! What is going on right now, for status lines, summaries and metrics. Nothing here is needed for correctness.

use crate::fault::Fault;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One source, as it is doing.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// Requests for pages that were answered with one.
    pub polls: u64,
    /// Records that were new (first meanings and revisions).
    pub fetched: u64,
    /// Records that were known.
    pub duplicates: u64,
    /// Later meanings of known ids.
    pub revisions: u64,
    /// Requests refused because there were too many, in the vendor's span or at the same time.
    pub refused: u64,
    /// When a page last came.
    pub last_page: Option<DateTime<Utc>>,
    /// The trouble it is in, and since when.
    pub fault: Option<(Fault, DateTime<Utc>)>,
    /// Until when it waits, and why.
    pub wait: Option<(DateTime<Utc>, String)>,
    /// Live reading has caught up at least once, in all streams.
    pub drained: bool,
    /// How far live reading has come, in the stream that was read last.
    pub covered_to: Option<DateTime<Utc>>,
    /// Its streams, by name.
    pub streams: BTreeMap<String, StreamState>,
}

/// One stream of a source, as it is doing. A quiet stream has pages and no records; a broken one has no pages and a fault.
#[derive(Clone, Debug, Default)]
pub struct StreamState {
    /// Requests that were answered with a page.
    pub polls: u64,
    /// Records that were new (first meanings and revisions).
    pub fetched: u64,
    /// Records that were known.
    pub duplicates: u64,
    /// Later meanings of known ids.
    pub revisions: u64,
    /// Requests refused because there were too many.
    pub refused: u64,
    /// When a page last came.
    pub last_page: Option<DateTime<Utc>>,
    /// When a page last brought something new.
    pub last_record: Option<DateTime<Utc>>,
    /// The trouble it is in, and since when.
    pub fault: Option<(Fault, DateTime<Utc>)>,
    /// Until when it waits, and why.
    pub wait: Option<(DateTime<Utc>, String)>,
    /// Live reading has caught up at least once.
    pub drained: bool,
    /// How far live reading has come.
    pub covered_to: Option<DateTime<Utc>>,
}

/// One sink of one tenant, as it is doing.
#[derive(Clone, Debug, Default)]
pub struct SinkState {
    /// Documents that went in.
    pub delivered: u64,
    /// Documents that were there already.
    pub duplicates: u64,
    /// Documents that became dead letters.
    pub dead: u64,
    /// Documents that were given up (`give_up_after`, `required = false`).
    pub given_up: u64,
    /// Documents that had to be sent again.
    pub retries: u64,
    /// The trouble it is in as a whole, and since when.
    pub fault: Option<(Fault, DateTime<Utc>)>,
    /// Streams whose documents it does not take while others go in, as `source/stream`: why, and since when.
    pub parked: BTreeMap<String, (Fault, DateTime<Utc>)>,
    /// Dead letters that are to be sent again and do not go in: why, and since when.
    pub letters: Option<(Fault, DateTime<Utc>)>,
    /// Dead letters that were sent again and are dead letters once more.
    pub refused_again: u64,
    /// Bytes of documents that are in memory for it: on their way, or made and waiting for their turn.
    pub held: u64,
    /// When a batch last went in.
    pub last_delivery: Option<DateTime<Utc>>,
    /// Everything that the journal holds for it has been acknowledged.
    pub drained: bool,
}

impl SinkState {
    /// The trouble that it is in, as a whole or with one stream.
    #[must_use]
    pub fn trouble(&self) -> Option<&(Fault, DateTime<Utc>)> {
        self.fault.as_ref().or_else(|| self.parked.values().next())
    }
}

#[derive(Debug, Default)]
struct Inner {
    sources: BTreeMap<String, SourceState>,
    sinks: BTreeMap<String, SinkState>,
}

/// One tenant's board. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Inner>>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a source's entry.
    pub fn source(&self, key: &str, change: impl FnOnce(&mut SourceState)) {
        change(self.lock().sources.entry(key.to_owned()).or_default());
    }

    /// Changes a sink's entry.
    pub fn sink(&self, key: &str, change: impl FnOnce(&mut SinkState)) {
        change(self.lock().sinks.entry(key.to_owned()).or_default());
    }

    /// A copy of all sources.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<String, SourceState> {
        self.lock().sources.clone()
    }

    /// A copy of all sinks.
    #[must_use]
    pub fn sinks(&self) -> BTreeMap<String, SinkState> {
        self.lock().sinks.clone()
    }
}
