//! The journal: where what vendors said is kept until every sink has it, and what is known about it for years.
//!
//! *Invariants.* Everything that must be true together is one [`Journal::commit`]. A page exists if its row exists.
//! Only `commit` dedupes, in order. Nothing is acknowledged to anybody before its commit has returned.
//!
//! # On disk
//!
//! One directory a tenant, written by the one process that holds its `lock` (an flock; the file says who, since when,
//! and its last sign of life):
//!
//! - `pages/N.zst`, *segments*: plain zstd files that `zstdcat` prints. A page in them is a skippable frame (magic
//!   `0x184D2A5D`), which says what follows, and a checksummed zstd-1 frame of its new records, one a line. A segment is
//!   closed at 64 MiB (less under a small budget) or after a day, and goes as a whole.
//! - `state.db`: SQLite in WAL mode, `synchronous = FULL`; everything that is small. Times are microseconds since 1970
//!   (finer parts are cut off), hours are hours since 1970. Its format is version 4; version 1, which had no tally,
//!   version 2, whose spans took all streams of a lane, and version 3, whose dead letters had no mark and whose sinks no
//!   trouble, are brought forward by the opening that raises the epoch, in the same transaction. Until then they can be read, their tally being empty. A newer one is refused.
//!
//! The skippable frame, little-endian; the lengths make records exact although vendors pretty-print:
//!
//! ```text
//! "tdg1" · digest 32 · previous digest 32 · page id u64 · at i64 (µs) · lane u8 (0 live, 1 sweep, 2 backfill;
//! + 0x80: reread)
//! · length of the zstd frame u32 · source u16+bytes · stream u16+bytes · count u32
//! · count × (length u32 · flags u8 [· revision u64, flag 1] [· occurrence u32, flag 2])
//! ```
//!
//! `digest` is the SHA-256 of all that follows it in the skippable frame and of the zstd frame. It contains the digest
//! of the page before, so pages form a chain from the first one on; digests outlive the pages (table `gone`).
//!
//! # A commit
//!
//! Take SQLite's write lock, compare the epoch → dedupe, compress → append → fdatasync → rows → commit → reply. The epoch is
//! compared under the lock and before the first byte, so a process that lost its tenant cannot write into a segment
//! of its successor. What was appended without rows is cut off at the next opening. A failed fdatasync may have dropped
//! data that the kernel calls clean: nothing is written after it until the journal is opened again.
//!
//! # Dedupe
//!
//! Keys lie packed, 16 bytes of id and 8 of meaning, in one blob for each (stream, hour, page): inserting costs the same
//! at 10⁵ and 10⁷ keys, because a page touches few hours and an hour is loaded once. Many small blobs of an hour are
//! merged in the commit that makes them too many.
//!
//! # Tally
//!
//! The commit that dedupes a page also counts what it found: the table `tally` has a row for each (stream, hour of the
//! records' own time), as exact as the keys. Hours whose keys are forgotten become days, so it stays small for years.

pub mod coverage;
mod handle;
mod handover;
mod keys;
mod lock;
pub mod reader;
mod segment;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use handle::Handle;
pub use reader::Reader;
pub use store::{FileJournal, OpenOptions, STEPS, Steps};
pub use verify::{Verified, verify};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A page's number, ours, ascending in commit order within a tenant. The first is 1.
pub type PageId = u64;

/// What kind of reading brought a page. Bridges are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// The fast lane, and bridges.
    Live,
    /// A settling sweep.
    Sweep,
    /// Older history.
    Backfill,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::Live, Self::Sweep, Self::Backfill];
}

/// What dedupe compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Hours since the epoch of an immutable time of the record; [`Key::NO_TIME`] where it has none.
    pub hour: i64,
    /// Hash of the record's id.
    pub id: u128,
    /// Hash of what the record says, without volatile members.
    pub meaning: u64,
}

impl Key {
    /// The hour of records without a readable time.
    pub const NO_TIME: i64 = i64::MIN;

    /// Stands for the id of a record that has none.
    #[must_use]
    pub fn of_content(record: &[u8]) -> u128 {
        xxhash_rust::xxh3::xxh3_128(record)
    }
}

/// A record on its way in.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Exact bytes, as the vendor sent them.
    pub bytes: Bytes,
    /// Its identity.
    pub key: Key,
    /// For a record without an id: which of the equal ones within its second it is. 0 otherwise.
    pub occurrence: u32,
    /// If it is new, it became visible more than an hour after its time. Says nothing of a record that is known.
    pub late: bool,
}

/// A page on its way in.
#[derive(Clone, Debug)]
pub struct NewPage {
    /// The source's key.
    pub source: String,
    /// The stream's name.
    pub stream: String,
    /// What kind of reading brought it.
    pub lane: Lane,
    /// When it was fetched.
    pub at: DateTime<Utc>,
    /// All records of the page, duplicates included.
    pub records: Vec<NewRecord>,
    /// An operator asked to read again what was read before (`backfill --again`).
    pub reread: bool,
    /// Whether the stream declares its records immutable (a revision is then also counted in `reused`). Where it does not, a
    /// record of an hour whose keys were forgotten is kept as a later meaning, because it may be one.
    pub immutable: bool,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The page, if it held anything new.
    pub page: Option<PageId>,
    /// Records with an id not seen before.
    pub new: usize,
    /// Records whose id and meaning were known.
    pub duplicates: usize,
    /// Records whose id was known with other meanings.
    pub revisions: usize,
    /// Revisions on a stream that declares its records immutable: an alarm.
    pub reused: usize,
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Exact bytes.
    pub bytes: Bytes,
    /// The meaning hash, if this is a later meaning of its id; `None` for the first.
    pub revision: Option<u64>,
    /// See [`NewRecord::occurrence`].
    pub occurrence: u32,
}

/// A page as it is kept: its new records only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPage {
    /// Its number.
    pub id: PageId,
    /// The source's key.
    pub source: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// What kind of reading brought it.
    pub lane: Lane,
    /// When it was fetched.
    pub at: DateTime<Utc>,
    /// Its records, in the vendor's order.
    pub records: Vec<StoredRecord>,
    /// See [`NewPage::reread`].
    pub reread: bool,
}

impl StoredPage {
    /// Bytes of its records.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).fold(0, usize::saturating_add)
    }
}

/// A piece of unfinished reading: a chain (feed) or a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The source's key.
    pub source: String,
    /// The stream's name.
    pub stream: String,
    /// What kind of reading.
    pub lane: Lane,
    /// Tells works of one lane apart; the live chain of a feed is `"live"`.
    pub name: String,
    /// Where it begins.
    pub from: DateTime<Utc>,
    /// Where it ends; `None` for an endless chain.
    pub to: Option<DateTime<Utc>>,
    /// The committed cursor.
    pub cursor: Option<Vec<u8>>,
    /// Not before.
    pub wait_until: Option<DateTime<Utc>>,
    /// Why it waits, or which phase it is in, for `status`.
    pub reason: Option<String>,
    /// Connector-independent memory of the collector (JSON), such as the vendor's `Date` of the last drained page.
    pub memo: String,
}

/// How well an interval of a stream is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Read by an unbroken server cursor.
    Chain,
    /// Read again at the last horizon, and nothing new was found.
    Settled,
    /// Read, not settled yet.
    Fetched,
    /// Pushed to us; nothing can be proven.
    Received,
    /// Read by a range that the vendor does not vouch for.
    Bounded,
    /// Not read.
    Hole,
}

/// A row of the coverage ledger: `[from, to)` of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The row's number; 0 in a change that adds one.
    pub id: u64,
    /// The source's key.
    pub source: String,
    /// The stream's name.
    pub stream: String,
    /// First instant.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// How well it is proven.
    pub grade: Grade,
    /// Why, for holes and bridges: `retention`, `permission`, `bridge`, …
    pub cause: Option<String>,
    /// Until when a hole can still be repaired.
    pub repairable_until: Option<DateTime<Utc>>,
    /// Records seen in it.
    pub count: u64,
    /// Time of the oldest record seen.
    pub oldest: Option<DateTime<Utc>>,
    /// Time of the newest record seen.
    pub newest: Option<DateTime<Utc>>,
    /// When it was last read.
    pub read_at: DateTime<Utc>,
}

/// How many records of a stream there were, whatever became of their pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records, each id once.
    pub records: u64,
    /// Of these: became visible more than an hour after their time.
    pub late: u64,
    /// Later revisions of them.
    pub revised: u64,
}

/// One of a source's logs, as rows name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    /// The source's key.
    pub source: String,
    /// The stream's name.
    pub stream: String,
}

impl StreamKey {
    /// The stream of this source.
    pub fn new(source: impl Into<String>, stream: impl Into<String>) -> Self {
        Self { source: source.into(), stream: stream.into() }
    }

    /// Whether a page is of this stream.
    #[must_use]
    pub fn is(&self, source: &str, stream: &str) -> bool {
        self.source == source && self.stream == stream
    }
}

impl std::fmt::Display for StreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.source, self.stream)
    }
}

/// A stream that a span does not deliver, because another span does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which one.
    #[serde(flatten)]
    pub of: StreamKey,
    /// Up to, without, this page; `None`: to the span's end.
    pub until: Option<PageId>,
}

/// What a span is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Delivers a lane as its pages come.
    Follow,
    /// Delivers what had piled up, while live documents go first.
    CatchUp,
    /// Delivers once more what an operator asked for.
    Replay,
    /// Keeps the documents of one stream that the destination does not take, while the others go on.
    Parked,
}

impl Purpose {
    /// As tables and JSON name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Follow => "follow",
            Self::CatchUp => "catch_up",
            Self::Replay => "replay",
            Self::Parked => "parked",
        }
    }
}

/// A piece of a sink's position: a range of a lane's pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The row's number; 0 in a change that adds one.
    pub id: u64,
    /// The sink's key.
    pub sink: String,
    /// Which pages.
    pub lane: Lane,
    /// The first page that is not yet delivered.
    pub next_page: PageId,
    /// The first record of that page that is not yet delivered.
    pub next_record: u32,
    /// The first page after it; `None`: open, follows the lane.
    pub to: Option<PageId>,
    /// Replay label: documents get an id of their own.
    pub mark: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// Only this stream's pages; `None`: all that are not left out.
    pub only: Option<StreamKey>,
    /// Streams that other spans deliver.
    pub except: Vec<LeftOut>,
    /// When it was made.
    pub since: Option<DateTime<Utc>>,
    /// Why nothing of it goes in, and (behind a line feed) the remedy, as long as that is so.
    pub reason: Option<String>,
}

impl Span {
    /// A new one that follows a lane from this page on.
    #[must_use]
    pub fn follow(sink: &str, lane: Lane, from: PageId) -> Self {
        Self {
            id: 0,
            sink: sink.to_owned(),
            lane,
            next_page: from,
            next_record: 0,
            to: None,
            mark: None,
            purpose: Purpose::Follow,
            only: None,
            except: Vec::new(),
            since: None,
            reason: None,
        }
    }

    /// Whether it follows its lane for all streams: each sink has one a lane.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.to.is_none() && self.only.is_none()
    }

    /// Whether another span delivers this page's records.
    #[must_use]
    pub fn leaves_out(&self, source: &str, stream: &str, page: PageId) -> bool {
        self.only.as_ref().is_some_and(|only| !only.is(source, stream))
            || self
                .except
                .iter()
                .any(|left| left.of.is(source, stream) && left.until.is_none_or(|until| page < until))
    }
}

/// What a span still has to deliver of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The stream.
    pub of: StreamKey,
    /// Its records that the span has not passed.
    pub records: u64,
    /// The first and the last page of them.
    pub pages: (PageId, PageId),
    /// When the first and the last of these pages was fetched.
    pub fetched: (DateTime<Utc>, DateTime<Utc>),
}

/// Documents of one stream that a sink gave up: its hole. What the pages still hold can be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The row's number; 0 in a change that adds one.
    pub id: u64,
    /// The sink's key.
    pub sink: String,
    /// The stream.
    pub of: StreamKey,
    /// The first and the last page with documents that were given up.
    pub pages: (PageId, PageId),
    /// When the first and the last of these pages was fetched.
    pub fetched: (DateTime<Utc>, DateTime<Utc>),
    /// How many documents; records, where they never became documents.
    pub documents: u64,
    /// When the first of them was given up.
    pub at: DateTime<Utc>,
    /// Why: `give_up_after`, `journal_full`, `forgotten`.
    pub cause: String,
}

/// What keeps a sink as a whole from delivering, so that whoever looks beside the running process can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The sink's key.
    pub sink: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// In words; behind a line feed the remedy, where there is one.
    pub reason: String,
    /// Until somebody acts; else it is something that may pass.
    pub halted: bool,
}

/// Which pages were fetched in a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The first and the last page of each lane that has any.
    pub pages: Vec<(Lane, PageId, PageId)>,
    /// Some were trimmed already.
    pub trimmed: bool,
    /// When the oldest kept page was fetched that is younger than all that were trimmed.
    pub kept_since: Option<DateTime<Utc>>,
}

/// Something that can never go in, kept with its reason and a copy of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The row's number; 0 in a change that adds one.
    pub id: u64,
    /// The sink's key.
    pub sink: String,
    /// The source's key.
    pub source: String,
    /// The stream's name.
    pub stream: String,
    /// Where the record stands.
    pub page: PageId,
    /// Its place in the page.
    pub record: u32,
    /// Which of its events; `None`: the record as a whole.
    pub event: Option<u32>,
    /// `normalize`, `rejected`, `internal`, `too_large`.
    pub kind: String,
    /// In words; behind a line feed the remedy, where the fault named one.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The record's bytes.
    pub copy: Bytes,
    /// See [`StoredRecord::revision`].
    pub revision: Option<u64>,
    /// See [`StoredRecord::occurrence`].
    pub occurrence: u32,
    /// An operator asked to send it again; a sink's loop takes it up.
    pub retry: bool,
    /// The label of the replay that it is from: its document has an id of its own.
    pub mark: Option<String>,
}

/// Which document a dead letter is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterOf {
    /// The letter's number.
    pub id: u64,
    /// See [`DeadLetter::page`].
    pub page: PageId,
    /// See [`DeadLetter::record`].
    pub record: u32,
    /// See [`DeadLetter::event`].
    pub event: Option<u32>,
    /// See [`DeadLetter::mark`].
    pub mark: Option<String>,
}

impl DeadLetter {
    /// Why, and what helps: the fault's own words, or what usually does.
    #[must_use]
    pub fn told(&self) -> (&str, &str) {
        let usual = match self.kind.as_str() {
            "unrouted" => "put the source and its stream back into the configuration",
            "internal" => "update tidegate",
            "normalize" => "look at the record",
            _ => "fix the cause at the destination",
        };
        match self.reason.split_once('\n') {
            Some((cause, remedy)) => (cause, remedy.lines().last().unwrap_or(usual)),
            None => (&self.reason, usual),
        }
    }

    /// One line for people: `dead letter 8812 acme/okta: index says ip, got "x"; fix the template, then tidegate dead-letters
    /// retry acme 8812`. Where it has no number yet, it says how to find it.
    #[must_use]
    pub fn line(&self, tenant: &str) -> String {
        let (cause, remedy) = self.told();
        match self.id {
            0 => format!(
                "dead letter of {tenant}/{}: {cause}; {remedy}; tidegate dead-letters list {tenant}",
                self.source
            ),
            id => format!(
                "dead letter {id} {tenant}/{}: {cause}; {remedy}, then tidegate dead-letters retry {tenant} {id}",
                self.source
            ),
        }
    }
}

/// An operator's or the program's deed, kept for years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: DateTime<Utc>,
    /// `start`, `stop`, `rename`, `reset`, `drop`, `bridge`, …
    pub what: String,
    /// In words.
    pub detail: String,
}

/// What an operator's command asks of the process that holds the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The row's number; 0 in a new one.
    pub id: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The verb: `backfill`, `replay`, `dead_letters_retry`, `dead_letters_drop`, `reload`.
    pub verb: String,
    /// Its arguments (JSON).
    pub arguments: String,
}

/// What a vendor organisation's quota must not forget between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRow {
    /// The source's key.
    pub source: String,
    /// No request before this instant.
    pub not_before: Option<DateTime<Utc>>,
    /// JSON of [`crate::http`]'s quota: what the headers said last.
    pub state: String,
}

/// What a source's key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The source's key.
    pub source: String,
    /// The connector's name.
    pub connector: String,
    /// The vendor organisation.
    pub organisation: String,
}

/// One member of a commit. Members take effect in order, all or none.
#[derive(Clone, Debug)]
pub enum Change {
    /// Dedupe a page and append what is new.
    Page(NewPage),
    /// Insert or replace a work row, by (source, stream, lane, name).
    Work(Work),
    /// A work row is finished.
    WorkDone(Work),
    /// Add to the ledger. Rows of the same stream, grade and cause that touch or overlap become one (counts add up,
    /// extremes combine); a better grade replaces the part of a worse one that it covers; holes shrink.
    Cover(Interval),
    /// Insert (`id` 0) or replace a piece of a sink's position. Replacing one that is gone (done, its sink forgotten)
    /// does nothing.
    Span(Span),
    /// A closed span is delivered to its end, or given up.
    SpanDone(u64),
    /// Keep a dead letter (`id` 0), or replace it; replacing one that is gone does nothing. A document has one letter at most:
    /// where it has one (of the same sink, record, event and mark) that one is replaced and keeps its number.
    Dead(DeadLetter),
    /// A dead letter was delivered or dropped.
    DeadDone(u64),
    /// A dead letter is to be sent again; one that is gone stays gone.
    DeadRetry(u64),
    /// A sink gave documents up (`id` 0). Rows of the same sink, stream and cause without a page of the stream between them
    /// become one; a sink has at most 200, beyond which the next one is added to its stream's last.
    GaveUp(GivenUp),
    /// A sink delivers nothing; replaces what was said of it before.
    Trouble(Trouble),
    /// A sink delivers again.
    TroubleOver(String),
    /// Keep a quota.
    Quota(QuotaRow),
    /// Write to the action log.
    Action(Action),
    /// A request was carried out.
    RequestDone(u64),
    /// What a source's key stands for; replaces.
    Fingerprint(Fingerprint),
    /// Move all that belongs to a source's key to another key, and unite it with what that key has. Where one of two streams
    /// of the same name waits at a sink (is parked), both wait there, and what was delivered of them may come once more.
    RenameSource(String, String),
    /// Forget a source's works (keys, ledger and tally stay).
    ResetSource(String),
    /// Hand a sink's position and dead letters to another key. Where that one has a position already, what is handed on
    /// ends there; a stream that waits (is parked) at both waits once, from where the earlier one stands.
    RenameSink(String, String),
    /// End a sink's claim: what its spans lacked becomes its hole, its dead letters stay until they are dropped.
    ForgetSink(String, DateTime<Utc>),
}

/// What became of one change: pages answer, the rest does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Change::Page`].
    Appended(Appended),
    /// Of [`Change::Span`] and [`Change::Dead`]: the row's number.
    Row(u64),
    /// Of all others.
    Done,
}

/// All that is small, read at once.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Unfinished reading.
    pub works: Vec<Work>,
    /// The coverage ledger, by source, stream, time.
    pub coverage: Vec<Interval>,
    /// Positions of all sinks.
    pub spans: Vec<Span>,
    /// What sinks gave up.
    pub given_up: Vec<GivenUp>,
    /// Sinks that deliver nothing.
    pub troubles: Vec<Trouble>,
    /// Quotas.
    pub quotas: Vec<QuotaRow>,
    /// What source keys stand for.
    pub fingerprints: Vec<Fingerprint>,
    /// Requests that wait.
    pub requests: Vec<Request>,
    /// The first page still kept, and the number that the next one will get.
    pub pages: (PageId, PageId),
    /// Bytes of all segments.
    pub bytes: u64,
    /// Who holds the tenant.
    pub holder: Option<Holder>,
    /// Streams whose keys were forgotten, and before which hour: `(source, stream, hour)`.
    pub forgotten: Vec<(String, String, i64)>,
}

/// Who holds a tenant's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The verb: `run`, `sync`, …
    pub verb: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Last sign of life.
    pub heartbeat: DateTime<Utc>,
}

/// Pages to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Only this lane.
    pub lane: Lane,
    /// From this page on.
    pub from: PageId,
    /// Up to, without, this page; `None`: to the end.
    pub to: Option<PageId>,
}

/// What a trim may take away.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Delivered pages older than this go.
    pub age: Duration,
    /// Above this many bytes delivered pages go, oldest first.
    pub bytes: u64,
}

/// What a trim did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Pages that went.
    pub pages: u64,
    /// Bytes in segments afterwards.
    pub bytes: u64,
    /// Undelivered pages alone fill the budget: polling must pause.
    pub full: bool,
}

/// Why the journal refused.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else holds the tenant.
    #[error("{path} is held by `tidegate {}` (pid {}) since {}", holder.verb, holder.pid, holder.since.format("%Y-%m-%d %H:%M:%SZ"))]
    Held {
        /// The directory.
        path: String,
        /// Who.
        holder: Holder,
    },
    /// Another process took the tenant over; this one must stop writing.
    #[error("{path} was taken over by another process (epoch {theirs}, ours {ours})")]
    Fenced {
        /// The directory.
        path: String,
        /// Our epoch.
        ours: u64,
        /// The epoch on disk.
        theirs: u64,
    },
    /// What is on disk is not what was written. Nothing is overwritten.
    #[error("{path} is damaged: {what}; {remedy}")]
    Damaged {
        /// The file.
        path: String,
        /// What was found.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Written by a newer version.
    #[error("{path} has format {found}, this program knows up to {known}: use a newer tidegate")]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A place that cannot keep promises, such as a network file system.
    #[error("{path} {why}")]
    Unfit {
        /// The directory.
        path: String,
        /// Why.
        why: String,
    },
    /// The disk or the system said no. After a failed sync nothing is written until the journal is opened again; after
    /// a full disk the same commit may be tried again.
    #[error("{path}: {what}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The small state.
    #[error("{path}: {source}")]
    State {
        /// The file.
        path: String,
        /// What the engine said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JournalError {
    /// The same error once more, for everybody who waited for the same commit.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Held { path, holder } => Self::Held { path: path.clone(), holder: holder.clone() },
            Self::Fenced { path, ours, theirs } => {
                Self::Fenced { path: path.clone(), ours: *ours, theirs: *theirs }
            }
            Self::Damaged { path, what, remedy } => {
                Self::Damaged { path: path.clone(), what: what.clone(), remedy: remedy.clone() }
            }
            Self::Newer { path, found, known } => {
                Self::Newer { path: path.clone(), found: *found, known: *known }
            }
            Self::Unfit { path, why } => Self::Unfit { path: path.clone(), why: why.clone() },
            Self::Io { path, what, source } => Self::Io {
                path: path.clone(),
                what,
                source: match source.raw_os_error() {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::new(source.kind(), source.to_string()),
                },
            },
            Self::State { path, source } => {
                Self::State { path: path.clone(), source: source.to_string().into() }
            }
        }
    }

    fn io(path: &std::path::Path, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.display().to_string(), what, source }
    }

    fn damaged(path: &std::path::Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.display().to_string(),
            what: what.into(),
            remedy:
                "restore the tenant's directory from a backup, or move it aside: collection then begins anew"
                    .to_owned(),
        }
    }
}

/// Times are kept to the microsecond.
fn whole(t: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(t.timestamp_micros()).unwrap_or(t)
}

/// One tenant's journal, open for writing. Blocking; call it from blocking tasks (see [`Handle`]).
pub trait Journal: Send + Sync {
    /// The epoch of this opening: higher than any before.
    fn epoch(&self) -> u64;
    /// All that is small.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn load(&self) -> Result<State, JournalError>;
    /// One commit: all changes, in order, or none. Durable when it returns.
    ///
    /// # Errors
    /// See [`JournalError`]; nothing took effect, or (after a power cut) it did: load and look.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, JournalError>;
    /// Pages of a range, in order, up to about `bytes` of record bytes (at least one page if there is one).
    ///
    /// # Errors
    /// See [`JournalError`].
    fn read(&self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError>;
    /// As [`Journal::read`], pages of one stream only.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn read_of(&self, range: Range, of: &StreamKey, bytes: usize) -> Result<Vec<StoredPage>, JournalError>;
    /// What a span still has to deliver, by stream. No page is read for it.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError>;
    /// Which pages were fetched in `[from, to)`; `of`: of one source, or of one of its streams, only.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        of: (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError>;
    /// Dead letters by number, from `after` on, `limit` at most; `retry` only those that wait to be sent again.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError>;
    /// Which dead letters a sink has of records of these pages, the last one included, by number.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn letters(&self, sink: &str, pages: (PageId, PageId)) -> Result<Vec<LetterOf>, JournalError>;
    /// Takes away what every sink has and `keep` allows, oldest first. A page waits for a sink while one of its spans
    /// still has to pass it; where no sink has a span on it (there is no sink yet), nobody waits and age and budget
    /// alone decide. Keys, ledger, tally, digests and the action log stay.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Trimmed, JournalError>;
    /// Whether a heartbeat at this moment would do nothing and bring nothing. Must not wait for a disk.
    fn is_quiet(&self, _now: DateTime<Utc>) -> bool {
        false
    }
    /// A sign of life; also brings requests of other processes.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn heartbeat(&self, now: DateTime<Utc>) -> Result<Vec<Request>, JournalError>;
    /// Counts a stream's records whose own time lies in the hours `from..to` (since 1970; [`Key::NO_TIME`] is the hour of
    /// those without one, and the first there is). Days whose keys were forgotten are counted at their first hour.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError>;
    /// The tally of all hours, of every stream that has one: `(source, stream, tally)`, in that order.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError>;
    /// Forgets the keys of a stream's hours before `before` (hours since 1970) of pages that were fetched before it too,
    /// and says how many. The only way that keys go. Their tally stays, by the day.
    ///
    /// # Errors
    /// See [`JournalError`].
    fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError>;
}
