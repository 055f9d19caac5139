//! What is small: the one file that names the storage engine.
//!
//! Every method is one thought about the tables; order and durability are the store's affair. Everything that is read is
//! read to its end at once, so no read transaction outlives a call.

use super::keys::{self, Hour};
use super::segment::{Digest, Place};
use super::{
    Action, DeadLetter, Fetched, Fingerprint, GivenUp, Grade, Interval, JournalError, Keep, Key, Lack, Lane,
    LetterOf, PageId, Purpose, QuotaRow, Range, Request, Span, State, StreamKey, Tally, Trouble, Work,
    coverage, handover, whole,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, named_params, params,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The format that this program writes. Older ones can be read, and are brought forward by who holds the tenant.
pub(super) const VERSION: i64 = 4;

/// Bytes of the file's pages in memory where nobody says how many: the engine's own default.
pub(super) const CACHE: usize = 2 << 20;

/// A command of an operator may hold the write lock for an instant.
const BUSY: Duration = Duration::from_secs(10);

/// Version 1: a new state begins here and goes on as an old one does (see `Tx::upgrade`).
const SCHEMA: &str = r#"
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE stream (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, forgotten INTEGER, UNIQUE (source, name)
) STRICT;
-- What stands in a segment, so that opening and trimming need not look at every page.
CREATE TABLE segment (
  seg INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
  oldest INTEGER NOT NULL, newest INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE page (
  id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, lane TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
  seg INTEGER NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE INDEX page_lane ON page (lane, id);
-- Pages that were trimmed: the chain of digests stays.
CREATE TABLE gone (
  id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, lane TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
  seg INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT;
-- 24 bytes a key: 16 of the id's hash, 8 of the meaning's. `at` is the hour of fetching.
CREATE TABLE key (
  stream INTEGER NOT NULL, hour INTEGER NOT NULL, page INTEGER NOT NULL, at INTEGER NOT NULL, keys BLOB NOT NULL,
  PRIMARY KEY (stream, hour, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE work (
  source TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER, cursor BLOB, wait_until INTEGER, reason TEXT, memo TEXT NOT NULL,
  PRIMARY KEY (source, stream, lane, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE coverage (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, stream TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER NOT NULL, grade TEXT NOT NULL, cause TEXT, repairable_until INTEGER, count INTEGER NOT NULL,
  oldest INTEGER, newest INTEGER, read_at INTEGER NOT NULL
) STRICT;
CREATE INDEX coverage_until ON coverage (source, stream, until);
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, lane TEXT NOT NULL, next_page INTEGER NOT NULL,
  next_record INTEGER NOT NULL, until INTEGER, mark TEXT
) STRICT;
CREATE TABLE dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, source TEXT NOT NULL, stream TEXT NOT NULL,
  page INTEGER NOT NULL, record INTEGER NOT NULL, event INTEGER, kind TEXT NOT NULL, reason TEXT NOT NULL,
  at INTEGER NOT NULL, copy BLOB NOT NULL, revision INTEGER, occurrence INTEGER NOT NULL, retry INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_retry ON dead (id) WHERE retry = 1;
CREATE TABLE quota (source TEXT PRIMARY KEY, not_before INTEGER, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE fingerprint (
  source TEXT PRIMARY KEY, connector TEXT NOT NULL, organisation TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE action (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
-- The only table that somebody without the lock writes.
CREATE TABLE request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, verb TEXT NOT NULL, arguments TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 1, 0);
"#;

/// Version 2 adds records by the hour of their own time; by the day (at its first hour) where their keys are forgotten.
pub(super) const TALLY: &str = "CREATE TABLE tally (
  stream INTEGER NOT NULL, hour INTEGER NOT NULL, records INTEGER NOT NULL, late INTEGER NOT NULL,
  revised INTEGER NOT NULL, PRIMARY KEY (stream, hour)
) STRICT, WITHOUT ROWID;";

/// Version 3: a span may be of one stream, or leave streams out (JSON), and says what it is for; and what sinks gave up.
pub(super) const RANGES: &str = "ALTER TABLE delivery ADD COLUMN purpose TEXT NOT NULL DEFAULT 'follow';
ALTER TABLE delivery ADD COLUMN source TEXT;
ALTER TABLE delivery ADD COLUMN stream TEXT;
ALTER TABLE delivery ADD COLUMN except_streams TEXT;
ALTER TABLE delivery ADD COLUMN since INTEGER;
ALTER TABLE delivery ADD COLUMN reason TEXT;
CREATE TABLE given_up (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, source TEXT NOT NULL, stream TEXT NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
  documents INTEGER NOT NULL, at INTEGER NOT NULL, cause TEXT NOT NULL
) STRICT;";

/// Version 4: a dead letter of a replay keeps its mark, and letters are found by their record; and why a sink delivers nothing.
const LETTERS: &str = "ALTER TABLE dead ADD COLUMN mark TEXT;
CREATE INDEX dead_page ON dead (page, record);
CREATE TABLE trouble (
  sink TEXT PRIMARY KEY, since INTEGER NOT NULL, reason TEXT NOT NULL, halted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";

/// Rows that a sink's holes have at most. What gives up for weeks makes one row a stream; a destination that comes and goes
/// makes one each time.
const HOLES: i64 = 200;

/// What happens to a row of the tally that is added to.
const ADD_TALLY: &str =
    "ON CONFLICT DO UPDATE SET records = records + excluded.records, late = late + excluded.late,
    revised = revised + excluded.revised";

/// How long ledger, digests and action log outlive what they tell of.
const YEARS: Duration = Duration::from_secs(7 * 366 * 24 * 3600);

/// A connection.
pub(super) struct Db {
    path: PathBuf,
    db: Connection,
}

/// A page's row.
pub(super) struct PageRow {
    pub(super) place: Place,
    pub(super) source: String,
    pub(super) stream: String,
}

/// The end of the chain of pages.
pub(super) struct End {
    /// The number that the next page will get.
    pub(super) next: PageId,
    /// The last page's digest.
    pub(super) digest: Digest,
    /// The highest segment that ever was.
    pub(super) seg: u64,
}

/// A segment's row.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentRow {
    pub(super) seg: u64,
    pub(super) oldest: DateTime<Utc>,
    pub(super) bytes: u64,
}

/// What a trim took.
pub(super) struct Gone {
    pub(super) segments: Vec<GoneSegment>,
    pub(super) pages: u64,
    /// Bytes that are left.
    pub(super) bytes: u64,
}

/// A trimmed segment, and which pages stood in it.
pub(super) struct GoneSegment {
    pub(super) seg: u64,
    pub(super) first: PageId,
    pub(super) last: PageId,
}

/// A trimmed page's or a kept page's link of the chain.
pub(super) struct Link {
    pub(super) id: PageId,
    pub(super) digest: Digest,
    /// Where it stands, if it is kept; and how many records it has.
    pub(super) kept: Option<(Place, u64)>,
}

impl Db {
    /// Opens for writing. `fresh` says that it may be made; so many bytes of the file's pages are kept in memory.
    pub(super) fn write(path: &Path, fresh: bool, cache: usize) -> Result<Self, JournalError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if fresh {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let mut this = Self::connect(path, flags)?;
        // Before the first page is read: the engine then takes room for all of them.
        this.keep(cache)?;
        this.set_up().map_err(|e| failed(path, e))?;
        this.check(fresh)?;
        Ok(this)
    }

    /// Opens for reading; writers are not disturbed.
    pub(super) fn read(path: &Path) -> Result<Self, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut this = Self::connect(path, flags)?;
        match this.check(false) {
            // Nobody writes and the folder cannot be written to: there is no WAL and none can be made.
            Err(JournalError::Io { .. }) if !wal(path).exists() => {
                let uri = format!("file:{}?immutable=1", escape(path));
                this.db = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
                    .map_err(|e| failed(path, e))?;
                this.check(false)?;
            }
            other => other?,
        }
        Ok(this)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, JournalError> {
        let db = Connection::open_with_flags(path, flags).map_err(|e| failed(path, e))?;
        db.set_prepared_statement_cache_capacity(64);
        db.busy_timeout(BUSY).map_err(|e| failed(path, e))?;
        Ok(Self { path: path.to_owned(), db })
    }

    fn set_up(&mut self) -> rusqlite::Result<()> {
        self.db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        self.db.pragma_update(None, "synchronous", "full")?;
        self.db.pragma_update(None, "trusted_schema", false)?;
        self.db.pragma_update(None, "cell_size_check", true)?;
        // A long reader may let the WAL grow; afterwards it gives the space back.
        self.db.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
    }

    fn keep(&self, bytes: usize) -> Result<(), JournalError> {
        // A negative number counts KiB.
        let kib = i64::try_from(bytes >> 10).unwrap_or(i64::MAX).max(1);
        self.db.pragma_update(None, "cache_size", -kib).map_err(self.fail())
    }

    fn check(&mut self, fresh: bool) -> Result<(), JournalError> {
        let fail = |e| failed(&self.path, e);
        let tables: i64 =
            self.db.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(fail)?;
        if tables == 0 {
            if !fresh {
                return Err(JournalError::damaged(&self.path, "it is empty"));
            }
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
            tx.execute_batch(SCHEMA).map_err(fail)?;
            return tx.commit().map_err(fail);
        }
        let version = version(&self.db).optional().or_else(|e| match e {
            // No table of that name, or no such column: not ours.
            rusqlite::Error::SqliteFailure(f, _) if f.code == ErrorCode::Unknown => Ok(None),
            e => Err(e),
        });
        match version.map_err(fail)? {
            Some(1..=VERSION) => Ok(()),
            Some(found) if found > VERSION => {
                Err(JournalError::Newer { path: self.path.display().to_string(), found, known: VERSION })
            }
            _ => Err(JournalError::damaged(&self.path, "it has no format that tidegate knows")),
        }
    }

    fn fail(&self) -> impl Fn(rusqlite::Error) -> JournalError + '_ {
        |e| failed(&self.path, e)
    }

    /// Begins a transaction that writes. Dropped without `commit`, it never was.
    pub(super) fn begin(&mut self) -> Result<Tx<'_>, JournalError> {
        let Self { path, db } = self;
        match db.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(tx) => Ok(Tx { path, tx }),
            Err(e) => Err(failed(path, e)),
        }
    }

    /// Walks the whole file for damage.
    pub(super) fn quick_check(&self) -> Result<(), JournalError> {
        let said: String =
            self.db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(self.fail())?;
        if said == "ok" { Ok(()) } else { Err(JournalError::damaged(&self.path, said)) }
    }

    /// The end of the chain.
    pub(super) fn end(&self) -> Result<End, JournalError> {
        self.db
            .query_row(
                "SELECT id, digest, (SELECT max(seg) FROM (SELECT max(seg) AS seg FROM segment UNION ALL SELECT max(seg) FROM gone))
                 FROM (SELECT * FROM (SELECT id, digest FROM page ORDER BY id DESC LIMIT 1)
                 UNION ALL SELECT * FROM (SELECT id, digest FROM gone ORDER BY id DESC LIMIT 1)) ORDER BY id DESC LIMIT 1",
                [],
                |r| Ok(End { next: number(r, 0)?.saturating_add(1), digest: r.get(1)?, seg: number(r, 2)? }),
            )
            .optional()
            .map(|found| found.unwrap_or(End { next: 1, digest: [0; 32], seg: 0 }))
            .map_err(self.fail())
    }

    /// Segments that have rows, ascending.
    pub(super) fn segments(&self) -> Result<Vec<SegmentRow>, JournalError> {
        self.all("SELECT seg, oldest, bytes FROM segment ORDER BY seg", [], |r| {
            Ok(SegmentRow { seg: number(r, 0)?, oldest: time(r, 1)?, bytes: number(r, 2)? })
        })
    }

    /// The last page's row.
    pub(super) fn last_page(&self) -> Result<Option<PageRow>, JournalError> {
        let sql = "SELECT p.id, s.source, s.name, p.seg, p.off, p.len, p.digest FROM page p
                   JOIN stream s ON s.id = p.stream ORDER BY p.id DESC LIMIT 1";
        Ok(self.all(sql, [], page)?.pop())
    }

    /// The last page of each lane that has any.
    pub(super) fn last_pages(&self) -> Result<HashMap<Lane, PageId>, JournalError> {
        let rows =
            self.all("SELECT lane, max(id) FROM page GROUP BY lane", [], |r| Ok((r.get(0)?, number(r, 1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// Rows of a range's pages; `of`: of one stream only.
    pub(super) fn pages(
        &self,
        range: Range,
        of: Option<&StreamKey>,
        limit: u32,
    ) -> Result<Vec<PageRow>, JournalError> {
        let to = range.to.map_or(i64::MAX, signed);
        match of {
            None => self.all(
                "SELECT p.id, s.source, s.name, p.seg, p.off, p.len, p.digest FROM page p
                 JOIN stream s ON s.id = p.stream WHERE p.lane = ?1 AND p.id >= ?2 AND p.id < ?3 ORDER BY p.id LIMIT ?4",
                params![range.lane, signed(range.from), to, limit],
                page,
            ),
            Some(of) => self.all(
                "SELECT p.id, s.source, s.name, p.seg, p.off, p.len, p.digest FROM page p
                 JOIN stream s ON s.id = p.stream WHERE p.lane = ?1 AND p.id >= ?2 AND p.id < ?3 AND s.source = ?5
                 AND s.name = ?6 ORDER BY p.id LIMIT ?4",
                params![range.lane, signed(range.from), to, limit, of.source, of.stream],
                page,
            ),
        }
    }

    /// What a span still has to deliver, by stream.
    pub(super) fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError> {
        lacks(&self.db, span).map_err(self.fail())
    }

    /// Which pages were fetched in a time.
    pub(super) fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        (source, stream): (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError> {
        let ours = "JOIN stream s ON s.id = p.stream WHERE (?1 IS NULL OR s.source = ?1) AND (?2 IS NULL OR s.name = ?2)";
        let within = "p.at >= ?3 AND p.at < ?4";
        let time = params![source, stream, from.timestamp_micros(), to.timestamp_micros()];
        let pages = self.all(
            &format!(
                "SELECT p.lane, min(p.id), max(p.id) FROM page p {ours} AND {within} GROUP BY p.lane ORDER BY 2"
            ),
            time,
            |r| Ok((r.get(0)?, number(r, 1)?, number(r, 2)?)),
        )?;
        let gone =
            self.all(&format!("SELECT 1 FROM gone p {ours} AND {within} LIMIT 1"), time, |_| Ok(()))?;
        // A range that waits for one stream keeps pages older than some that are gone.
        let last_gone = format!("SELECT coalesce(max(p.at), ?3) FROM gone p {ours}");
        let oldest = self.all(
            &format!("SELECT min(p.at) FROM page p {ours} AND p.at > ({last_gone})"),
            params![source, stream, i64::MIN],
            |r| maybe_time(r, 0),
        )?;
        Ok(Fetched { pages, trimmed: !gone.is_empty(), kept_since: oldest.into_iter().flatten().next() })
    }

    /// How many dead letters each sink has.
    pub(super) fn dead_counts(&self) -> Result<Vec<(String, u64)>, JournalError> {
        self.all("SELECT sink, count(*) FROM dead GROUP BY sink ORDER BY sink", [], |r| {
            Ok((r.get(0)?, number(r, 1)?))
        })
    }

    /// Links of the chain after `after`, ascending.
    pub(super) fn links(&self, after: PageId, limit: u32) -> Result<Vec<Link>, JournalError> {
        self.all(
            "SELECT id, digest, n, seg, off, len FROM page WHERE id > ?1
             UNION ALL SELECT id, digest, n, NULL, NULL, NULL FROM gone WHERE id > ?1 ORDER BY id LIMIT ?2",
            params![signed(after), limit],
            |r| {
                let (id, digest) = (number(r, 0)?, r.get(1)?);
                let kept = match r.get::<_, Option<i64>>(3)? {
                    None => None,
                    Some(_) => {
                        let (seg, off, len) = (number(r, 3)?, number(r, 4)?, number(r, 5)?);
                        Some((Place { id, seg, off, len, digest }, number(r, 2)?))
                    }
                };
                Ok(Link { id, digest, kept })
            },
        )
    }

    /// Keys of a stream's hour that readers may want to see.
    pub(super) fn seen(
        &self,
        source: &str,
        stream: &str,
        hour: i64,
    ) -> Result<Vec<(u128, u64)>, JournalError> {
        let blobs = self.all(
            "SELECT k.keys FROM key k JOIN stream s ON s.id = k.stream
             WHERE s.source = ?1 AND s.name = ?2 AND k.hour = ?3 ORDER BY k.page",
            params![source, stream, hour],
            |r| r.get::<_, Vec<u8>>(0),
        )?;
        let mut seen = Vec::new();
        for blob in blobs {
            seen.extend(keys::unpack(&blob).ok_or_else(|| broken_keys(&self.path))?);
        }
        Ok(seen)
    }

    /// Whether there is a tally. Asked each time: the holder may bring the state forward while a reader has it open.
    fn counts(&self) -> Result<bool, JournalError> {
        version(&self.db).map(|version| version >= 2).map_err(self.fail())
    }

    /// Counts the records of a stream's hours `from..to`.
    pub(super) fn tally(
        &self,
        source: &str,
        stream: &str,
        from: i64,
        to: i64,
    ) -> Result<Tally, JournalError> {
        if !self.counts()? {
            return Ok(Tally::default());
        }
        self.db
            .prepare_cached(
                "SELECT coalesce(sum(t.records), 0), coalesce(sum(t.late), 0), coalesce(sum(t.revised), 0)
                 FROM tally t JOIN stream s ON s.id = t.stream
                 WHERE s.source = ?1 AND s.name = ?2 AND t.hour >= ?3 AND t.hour < ?4",
            )
            .and_then(|mut s| s.query_row(params![source, stream, from, to], |r| tally(r, 0)))
            .map_err(self.fail())
    }

    /// Counts the records of every stream.
    pub(super) fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        if !self.counts()? {
            return Ok(Vec::new());
        }
        self.all(
            "SELECT s.source, s.name, sum(t.records), sum(t.late), sum(t.revised) FROM tally t
             JOIN stream s ON s.id = t.stream GROUP BY s.id ORDER BY s.source, s.name",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, tally(r, 2)?)),
        )
    }

    /// All that is small, as of one moment.
    pub(super) fn load(&mut self) -> Result<State, JournalError> {
        // One read transaction, dropped at the end of this function.
        let path = self.path.clone();
        let tx = self.db.transaction().map_err(|e| failed(&path, e))?;
        let state = load(&tx).map_err(|e| failed(&path, e))?;
        tx.commit().map_err(|e| failed(&path, e))?;
        Ok(state)
    }

    /// Requests that wait.
    pub(super) fn requests(&self) -> Result<Vec<Request>, JournalError> {
        requests(&self.db).map_err(self.fail())
    }

    /// Adds a request.
    pub(super) fn request(&self, request: &Request) -> Result<u64, JournalError> {
        self.db
            .execute(
                "INSERT INTO request (at, verb, arguments) VALUES (?1, ?2, ?3)",
                params![request.at.timestamp_micros(), request.verb, request.arguments],
            )
            .map_err(self.fail())?;
        Ok(u64::try_from(self.db.last_insert_rowid()).unwrap_or_default())
    }

    /// Dead letters by number.
    pub(super) fn dead(
        &self,
        after: u64,
        limit: usize,
        retry: bool,
    ) -> Result<Vec<DeadLetter>, JournalError> {
        let sql = if retry {
            "SELECT * FROM dead WHERE retry = 1 AND id > ?1 ORDER BY id LIMIT ?2"
        } else {
            "SELECT * FROM dead WHERE id > ?1 ORDER BY id LIMIT ?2"
        };
        // Asked each time, as of the tally.
        let marks = version(&self.db).map_err(self.fail())? >= 4;
        self.all(sql, params![signed(after), i64::try_from(limit).unwrap_or(i64::MAX)], |r| {
            Ok(DeadLetter {
                id: number(r, 0)?,
                sink: r.get(1)?,
                source: r.get(2)?,
                stream: r.get(3)?,
                page: number(r, 4)?,
                record: r.get(5)?,
                event: r.get(6)?,
                kind: r.get(7)?,
                reason: r.get(8)?,
                at: time(r, 9)?,
                copy: Bytes::from(r.get::<_, Vec<u8>>(10)?),
                revision: r.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
                occurrence: r.get(12)?,
                retry: r.get(13)?,
                mark: if marks { r.get(14)? } else { None },
            })
        })
    }

    /// Which documents of these pages have dead letters at a sink.
    pub(super) fn letters(
        &self,
        sink: &str,
        (first, last): (PageId, PageId),
    ) -> Result<Vec<LetterOf>, JournalError> {
        self.all(
            "SELECT id, page, record, event, mark FROM dead WHERE page BETWEEN ?2 AND ?3 AND sink = ?1 ORDER BY id",
            params![sink, signed(first), signed(last)],
            |r| {
                Ok(LetterOf {
                    id: number(r, 0)?,
                    page: number(r, 1)?,
                    record: r.get(2)?,
                    event: r.get(3)?,
                    mark: r.get(4)?,
                })
            },
        )
    }

    /// The newest `limit` actions, oldest first.
    pub(super) fn actions(&self, limit: usize) -> Result<Vec<Action>, JournalError> {
        self.all(
            "SELECT at, what, detail FROM (SELECT * FROM action ORDER BY id DESC LIMIT ?1) ORDER BY id",
            params![i64::try_from(limit).unwrap_or(i64::MAX)],
            |r| Ok(Action { at: time(r, 0)?, what: r.get(1)?, detail: r.get(2)? }),
        )
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        all(&self.db, sql, params, row).map_err(self.fail())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
impl Db {
    /// Does to a file what this program never would.
    pub(super) fn pretend(path: &Path, sql: &str) {
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    pub(super) fn ask<T: FromSql>(&self, sql: &str) -> T {
        self.db.query_row(sql, [], |r| r.get(0)).unwrap()
    }
}

/// A transaction that writes.
pub(super) struct Tx<'a> {
    path: &'a Path,
    tx: rusqlite::Transaction<'a>,
}

impl Tx<'_> {
    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, JournalError> {
        self.tx.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(|e| failed(self.path, e))
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        all(&self.tx, sql, params, row).map_err(|e| failed(self.path, e))
    }

    fn last_id(&self) -> u64 {
        u64::try_from(self.tx.last_insert_rowid()).unwrap_or_default()
    }

    /// Makes it so.
    pub(super) fn commit(self) -> Result<(), JournalError> {
        let path = self.path;
        self.tx.commit().map_err(|e| failed(path, e))
    }

    /// The epoch on disk.
    pub(super) fn epoch(&self) -> Result<u64, JournalError> {
        self.tx
            .prepare_cached("SELECT epoch FROM meta")
            .and_then(|mut s| s.query_row([], |r| number(r, 0)))
            .map_err(|e| failed(self.path, e))
    }

    /// Brings a state of an older version forward.
    pub(super) fn upgrade(&self) -> Result<(), JournalError> {
        let fail = |e| failed(self.path, e);
        if version(&self.tx).map_err(fail)? < 2 {
            self.tx.execute_batch(TALLY).map_err(fail)?;
            // What still has keys is counted from them; which of it was late, nobody noted.
            let hours =
                self.all("SELECT DISTINCT stream, hour FROM key", [], |r| Ok((r.get(0)?, r.get(1)?)))?;
            for (stream, hour) in hours {
                let (records, revised) = self.hour(stream, hour)?.counts();
                self.add_tally(stream, hour, Tally { records, late: 0, revised })?;
            }
        }
        if version(&self.tx).map_err(fail)? < 3 {
            self.tx.execute_batch(RANGES).map_err(fail)?;
            // Only a person could make closed ones, for a replay.
            self.run("UPDATE delivery SET purpose = 'replay' WHERE until IS NOT NULL", [])?;
        }
        if version(&self.tx).map_err(fail)? < 4 {
            self.tx.execute_batch(LETTERS).map_err(fail)?;
        }
        self.run("UPDATE meta SET version = ?1", [VERSION])?;
        Ok(())
    }

    /// A new epoch: whoever held the tenant before must not write any more.
    pub(super) fn raise_epoch(&self) -> Result<u64, JournalError> {
        self.run("UPDATE meta SET epoch = epoch + 1", [])?;
        self.epoch()
    }

    /// A stream's number.
    pub(super) fn stream(&self, source: &str, name: &str) -> Result<i64, JournalError> {
        let find = || {
            self.tx
                .prepare_cached("SELECT id FROM stream WHERE source = ?1 AND name = ?2")
                .and_then(|mut s| s.query_row(params![source, name], |r| r.get(0)).optional())
                .map_err(|e| failed(self.path, e))
        };
        if let Some(id) = find()? {
            return Ok(id);
        }
        self.run("INSERT INTO stream (source, name) VALUES (?1, ?2)", params![source, name])?;
        Ok(self.tx.last_insert_rowid())
    }

    /// Before which hour a stream's keys were forgotten.
    pub(super) fn forgotten(&self, stream: i64) -> Result<Option<i64>, JournalError> {
        self.tx
            .prepare_cached("SELECT forgotten FROM stream WHERE id = ?1")
            .and_then(|mut s| s.query_row([stream], |r| r.get(0)))
            .map_err(|e| failed(self.path, e))
    }

    /// The keys of an hour.
    pub(super) fn hour(&self, stream: i64, hour: i64) -> Result<Hour, JournalError> {
        let run = || {
            let mut set = Hour::default();
            let mut statement = self
                .tx
                .prepare_cached("SELECT keys FROM key WHERE stream = ?1 AND hour = ?2 ORDER BY page")?;
            let mut rows = statement.query(params![stream, hour])?;
            while let Some(row) = rows.next()? {
                if set.add_blob(row.get_ref(0)?.as_blob()?).is_none() {
                    return Ok(None);
                }
            }
            Ok(Some(set))
        };
        run().map_err(|e| failed(self.path, e))?.ok_or_else(|| broken_keys(self.path))
    }

    /// Adds a page's keys of one hour.
    pub(super) fn add_keys(
        &self,
        stream: i64,
        hour: i64,
        page: PageId,
        at: DateTime<Utc>,
        blob: &[u8],
    ) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO key VALUES (?1, ?2, ?3, ?4, ?5)",
            params![stream, hour, signed(page), at.timestamp().div_euclid(3600), blob],
        )?;
        Ok(())
    }

    /// Merges the small blobs of an hour; returns how many small ones are left.
    pub(super) fn merge_keys(&self, stream: i64, hour: i64) -> Result<usize, JournalError> {
        let big = i64::try_from(keys::BIG).unwrap_or(i64::MAX);
        let rows = self.all(
            "SELECT page, at, keys FROM key WHERE stream = ?1 AND hour = ?2 AND length(keys) < ?3 ORDER BY page",
            params![stream, hour, big],
            |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, Vec<u8>>(2)?)),
        )?;
        self.run(
            "DELETE FROM key WHERE stream = ?1 AND hour = ?2 AND length(keys) < ?3",
            params![stream, hour, big],
        )?;
        let mut whole: Vec<u8> = Vec::new();
        let (mut newest, mut small) = (0, 0);
        let last = rows.len().saturating_sub(1);
        for (i, (page, at, blob)) in rows.into_iter().enumerate() {
            whole.extend_from_slice(&blob);
            newest = at.max(newest);
            if whole.len() >= keys::BIG || i == last {
                self.run(
                    "INSERT INTO key VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![stream, hour, page, newest, whole],
                )?;
                small += usize::from(whole.len() < keys::BIG);
                whole.clear();
            }
        }
        Ok(small)
    }

    /// Counts records of a stream's hour.
    pub(super) fn add_tally(&self, stream: i64, hour: i64, tally: Tally) -> Result<(), JournalError> {
        let Tally { records, late, revised } = tally;
        self.run(
            &format!("INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5) {ADD_TALLY}"),
            params![stream, hour, signed(records), signed(late), signed(revised)],
        )?;
        Ok(())
    }

    /// Days take the place of a stream's hours before an hour, but for the day in which that lies: a row before it is a
    /// day's, one after it an hour's.
    fn tally_days(&self, stream: i64, before: i64) -> Result<(), JournalError> {
        // Rounded down, also before 1970; the hour of no time is left alone.
        const DAY: &str = "hour - (hour % 24 + 24) % 24";
        let hours = format!("stream = ?1 AND hour > ?2 AND hour < ?3 AND hour <> {DAY}");
        let params = params![stream, Key::NO_TIME, before.saturating_sub(before.rem_euclid(24))];
        self.run(
            &format!(
                "INSERT INTO tally SELECT stream, {DAY} AS day, sum(records), sum(late), sum(revised)
                 FROM tally WHERE {hours} GROUP BY day {ADD_TALLY}"
            ),
            params,
        )?;
        self.run(&format!("DELETE FROM tally WHERE {hours}"), params)?;
        Ok(())
    }

    /// Forgets keys of a stream and remembers that they were forgotten. What was fetched since is kept: a late record's time
    /// is still swept, and whatever reads it again must know it. The hour of no time is the least, so that the rule is the same.
    pub(super) fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError> {
        let id = self.stream(source, stream)?;
        let filter = "stream = ?1 AND hour < ?2 AND at < ?2";
        let bytes = self.all(
            &format!("SELECT coalesce(sum(length(keys)), 0) FROM key WHERE {filter}"),
            params![id, before],
            |r| number(r, 0),
        )?;
        self.run(&format!("DELETE FROM key WHERE {filter}"), params![id, before])?;
        self.run(
            "UPDATE stream SET forgotten = max(coalesce(forgotten, ?2), ?2) WHERE id = ?1",
            params![id, before],
        )?;
        self.tally_days(id, before)?;
        Ok(bytes.into_iter().sum::<u64>() / keys::WIDTH as u64)
    }

    /// Adds a page.
    pub(super) fn add_page(
        &self,
        stream: i64,
        lane: Lane,
        at: DateTime<Utc>,
        records: usize,
        place: &Place,
    ) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO page VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                signed(place.id),
                stream,
                lane,
                at.timestamp_micros(),
                i64::try_from(records).unwrap_or(i64::MAX),
                signed(place.seg),
                signed(place.off),
                signed(place.len),
                place.digest
            ],
        )?;
        self.run(
            "INSERT INTO segment VALUES (?1, ?2, ?2, ?3, ?3, ?4) ON CONFLICT DO UPDATE SET last = excluded.last,
             oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest), bytes = excluded.bytes",
            params![
                signed(place.seg),
                signed(place.id),
                at.timestamp_micros(),
                signed(place.off.saturating_add(place.len))
            ],
        )?;
        Ok(())
    }

    /// Inserts or replaces a work.
    pub(super) fn put_work(&self, work: &Work) -> Result<(), JournalError> {
        self.run(
            "INSERT OR REPLACE INTO work VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                work.source,
                work.stream,
                work.lane,
                work.name,
                work.from.timestamp_micros(),
                micros(work.to),
                work.cursor,
                micros(work.wait_until),
                work.reason,
                work.memo
            ],
        )?;
        Ok(())
    }

    /// A work is finished.
    pub(super) fn end_work(&self, work: &Work) -> Result<(), JournalError> {
        self.run(
            "DELETE FROM work WHERE source = ?1 AND stream = ?2 AND lane = ?3 AND name = ?4",
            params![work.source, work.stream, work.lane, work.name],
        )?;
        Ok(())
    }

    /// Adds to the ledger.
    pub(super) fn cover(&self, interval: &Interval) -> Result<(), JournalError> {
        // On whole microseconds, as they will be read again: else neighbours would not touch.
        let mut new = interval.clone();
        new.id = 0;
        new.from = whole(new.from);
        new.to = whole(new.to);
        let before = self.all(
            "SELECT * FROM coverage WHERE source = ?1 AND stream = ?2 AND until >= ?3 AND since <= ?4 ORDER BY since",
            params![new.source, new.stream, new.from.timestamp_micros(), new.to.timestamp_micros()],
            interval_row,
        )?;
        let mut after = before.clone();
        coverage::add(&mut after, new);
        for row in &before {
            if !after.iter().any(|a| a.id == row.id) {
                self.run("DELETE FROM coverage WHERE id = ?1", [signed(row.id)])?;
            }
        }
        for row in &after {
            if !before.contains(row) {
                self.run(
                    "INSERT OR REPLACE INTO coverage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                    params![
                        (row.id != 0).then_some(signed(row.id)),
                        row.source,
                        row.stream,
                        row.from.timestamp_micros(),
                        row.to.timestamp_micros(),
                        row.grade,
                        row.cause,
                        micros(row.repairable_until),
                        signed(row.count),
                        micros(row.oldest),
                        micros(row.newest),
                        row.read_at.timestamp_micros()
                    ],
                )?;
            }
        }
        Ok(())
    }

    /// Inserts or replaces a span.
    pub(super) fn put_span(&self, span: &Span) -> Result<u64, JournalError> {
        let except =
            (!span.except.is_empty()).then(|| serde_json::to_string(&span.except).unwrap_or_default());
        let values = named_params! {
            ":id": (span.id != 0).then_some(signed(span.id)),
            ":sink": span.sink,
            ":lane": span.lane,
            ":page": signed(span.next_page),
            ":record": span.next_record,
            ":until": span.to.map(signed),
            ":mark": span.mark,
            ":purpose": span.purpose,
            ":source": span.only.as_ref().map(|only| &only.source),
            ":stream": span.only.as_ref().map(|only| &only.stream),
            ":except": except,
            ":since": micros(span.since),
            ":reason": span.reason,
        };
        if span.id == 0 {
            self.run(
                "INSERT INTO delivery (id, sink, lane, next_page, next_record, until, mark, purpose, source, stream,
                 except_streams, since, reason) VALUES (:id, :sink, :lane, :page, :record, :until, :mark, :purpose,
                 :source, :stream, :except, :since, :reason)",
                values,
            )?;
            return Ok(self.last_id());
        }
        self.run(
            "UPDATE delivery SET sink = :sink, lane = :lane, next_page = :page, next_record = :record,
             until = :until, mark = :mark, purpose = :purpose, source = :source, stream = :stream,
             except_streams = :except, since = :since, reason = :reason WHERE id = :id",
            values,
        )?;
        Ok(span.id)
    }

    /// Adds to what a sink gave up.
    pub(super) fn put_given_up(&self, new: &GivenUp) -> Result<u64, JournalError> {
        let ours = self.all(
            "SELECT * FROM given_up WHERE sink = ?1 AND source = ?2 AND stream = ?3 AND cause = ?4 ORDER BY last DESC",
            params![new.sink, new.of.source, new.of.stream, new.cause],
            given_up_row,
        )?;
        let many =
            self.all("SELECT count(*) FROM given_up WHERE sink = ?1", [&new.sink], |r| r.get::<_, i64>(0))?;
        let full = many.first().is_some_and(|many| *many >= HOLES);
        let mut row = GivenUp {
            fetched: (whole(new.fetched.0), whole(new.fetched.1)),
            at: whole(new.at),
            ..new.clone()
        };
        for (nth, old) in ours.into_iter().enumerate() {
            if self.apart(&old, &row)? && !(full && nth == 0) {
                continue;
            }
            row.pages = (row.pages.0.min(old.pages.0), row.pages.1.max(old.pages.1));
            row.fetched = (row.fetched.0.min(old.fetched.0), row.fetched.1.max(old.fetched.1));
            row.documents = row.documents.saturating_add(old.documents);
            row.at = row.at.min(old.at);
            self.run("DELETE FROM given_up WHERE id = ?1", [signed(old.id)])?;
        }
        self.run(
            "INSERT INTO given_up (sink, source, stream, first, last, since, until, documents, at, cause)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                row.sink,
                row.of.source,
                row.of.stream,
                signed(row.pages.0),
                signed(row.pages.1),
                row.fetched.0.timestamp_micros(),
                row.fetched.1.timestamp_micros(),
                signed(row.documents),
                row.at.timestamp_micros(),
                row.cause
            ],
        )?;
        Ok(self.last_id())
    }

    /// Whether a page of the stream lies between two holes of it.
    fn apart(&self, one: &GivenUp, other: &GivenUp) -> Result<bool, JournalError> {
        let (after, before) = (one.pages.1.min(other.pages.1), one.pages.0.max(other.pages.0));
        let between = self.all(
            "SELECT 1 FROM page p JOIN stream s ON s.id = p.stream WHERE p.id > ?1 AND p.id < ?2 AND s.source = ?3
             AND s.name = ?4 LIMIT 1",
            params![signed(after), signed(before), one.of.source, one.of.stream],
            |_| Ok(()),
        )?;
        Ok(!between.is_empty())
    }

    /// A span is done.
    pub(super) fn end_span(&self, id: u64) -> Result<(), JournalError> {
        self.run("DELETE FROM delivery WHERE id = ?1", [signed(id)])?;
        Ok(())
    }

    /// Keeps or replaces a dead letter.
    pub(super) fn put_dead(&self, dead: &DeadLetter) -> Result<u64, JournalError> {
        let id = if dead.id == 0 { self.letter_of(dead)? } else { dead.id };
        let values = named_params! {
            ":id": (id != 0).then_some(signed(id)),
            ":sink": dead.sink,
            ":source": dead.source,
            ":stream": dead.stream,
            ":page": signed(dead.page),
            ":record": dead.record,
            ":event": dead.event,
            ":kind": dead.kind,
            ":reason": dead.reason,
            ":at": dead.at.timestamp_micros(),
            ":copy": &*dead.copy,
            ":revision": dead.revision.map(u64::cast_signed),
            ":occurrence": dead.occurrence,
            ":retry": dead.retry,
            ":mark": dead.mark,
        };
        if id == 0 {
            self.run(
                "INSERT INTO dead VALUES (:id, :sink, :source, :stream, :page, :record, :event, :kind, :reason, :at,
                 :copy, :revision, :occurrence, :retry, :mark)",
                values,
            )?;
            return Ok(self.last_id());
        }
        self.run(
            "UPDATE dead SET sink = :sink, source = :source, stream = :stream, page = :page, record = :record,
             event = :event, kind = :kind, reason = :reason, at = :at, copy = :copy, revision = :revision,
             occurrence = :occurrence, retry = :retry, mark = :mark WHERE id = :id",
            values,
        )?;
        Ok(id)
    }

    /// The number of the letter that this document has already; 0: it has none.
    fn letter_of(&self, dead: &DeadLetter) -> Result<u64, JournalError> {
        let found = self.all(
            "SELECT id FROM dead WHERE page = ?1 AND record = ?2 AND sink = ?3 AND source = ?4 AND stream = ?5
             AND event IS ?6 AND mark IS ?7",
            params![
                signed(dead.page),
                dead.record,
                dead.sink,
                dead.source,
                dead.stream,
                dead.event,
                dead.mark
            ],
            |r| number(r, 0),
        )?;
        Ok(found.first().copied().unwrap_or(0))
    }

    /// A dead letter is to be sent again.
    pub(super) fn retry_dead(&self, id: u64) -> Result<(), JournalError> {
        self.run("UPDATE dead SET retry = 1 WHERE id = ?1", [signed(id)])?;
        Ok(())
    }

    /// A dead letter is no more.
    pub(super) fn end_dead(&self, id: u64) -> Result<(), JournalError> {
        self.run("DELETE FROM dead WHERE id = ?1", [signed(id)])?;
        Ok(())
    }

    /// A sink delivers nothing.
    pub(super) fn put_trouble(&self, trouble: &Trouble) -> Result<(), JournalError> {
        let Trouble { sink, since, reason, halted } = trouble;
        self.run(
            "INSERT OR REPLACE INTO trouble VALUES (?1, ?2, ?3, ?4)",
            params![sink, since.timestamp_micros(), reason, halted],
        )?;
        Ok(())
    }

    /// A sink delivers again.
    pub(super) fn end_trouble(&self, sink: &str) -> Result<(), JournalError> {
        self.run("DELETE FROM trouble WHERE sink = ?1", [sink])?;
        Ok(())
    }

    /// Keeps a quota.
    pub(super) fn put_quota(&self, quota: &QuotaRow) -> Result<(), JournalError> {
        self.run(
            "INSERT OR REPLACE INTO quota VALUES (?1, ?2, ?3)",
            params![quota.source, micros(quota.not_before), quota.state],
        )?;
        Ok(())
    }

    /// Writes to the action log.
    pub(super) fn put_action(&self, action: &Action) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO action (at, what, detail) VALUES (?1, ?2, ?3)",
            params![action.at.timestamp_micros(), action.what, action.detail],
        )?;
        Ok(())
    }

    /// A request was carried out.
    pub(super) fn end_request(&self, id: u64) -> Result<(), JournalError> {
        self.run("DELETE FROM request WHERE id = ?1", [signed(id)])?;
        Ok(())
    }

    /// What a source's key stands for.
    pub(super) fn put_fingerprint(&self, fingerprint: &Fingerprint) -> Result<(), JournalError> {
        self.run(
            "INSERT OR REPLACE INTO fingerprint VALUES (?1, ?2, ?3)",
            params![fingerprint.source, fingerprint.connector, fingerprint.organisation],
        )?;
        Ok(())
    }

    /// Moves all of a source to another key, and unites it with what that key has.
    pub(super) fn rename_source(&self, from: &str, to: &str) -> Result<(), JournalError> {
        if from == to {
            return Ok(());
        }
        let streams = self.all(
            "SELECT a.id, b.id, a.name FROM stream a JOIN stream b ON b.name = a.name AND b.source = ?2 WHERE a.source = ?1",
            params![from, to],
            |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, String>(2)?)),
        )?;
        let both: Vec<String> = streams.iter().map(|(.., name)| name.clone()).collect();
        for (old, new, _) in streams {
            for table in ["page", "gone", "key"] {
                self.run(&format!("UPDATE {table} SET stream = ?2 WHERE stream = ?1"), [old, new])?;
            }
            self.run(
                &format!(
                    "INSERT INTO tally SELECT ?2, hour, records, late, revised FROM tally WHERE stream = ?1 {ADD_TALLY}"
                ),
                [old, new],
            )?;
            self.run("DELETE FROM tally WHERE stream = ?1", [old])?;
            self.run(
                "UPDATE stream SET forgotten = nullif(max(coalesce(forgotten, ?3),
                 coalesce((SELECT forgotten FROM stream WHERE id = ?1), ?3)), ?3) WHERE id = ?2",
                [old, new, i64::MIN],
            )?;
            self.run("DELETE FROM stream WHERE id = ?1", [old])?;
        }
        let names = params![from, to];
        self.run("UPDATE stream SET source = ?2 WHERE source = ?1", names)?;
        self.run("UPDATE OR REPLACE work SET source = ?2 WHERE source = ?1", names)?;
        self.run("UPDATE OR REPLACE quota SET source = ?2 WHERE source = ?1", names)?;
        self.run("UPDATE OR REPLACE fingerprint SET source = ?2 WHERE source = ?1", names)?;
        self.run("UPDATE dead SET source = ?2 WHERE source = ?1", names)?;
        self.run("UPDATE given_up SET source = ?2 WHERE source = ?1", names)?;
        self.respan(|spans| handover::to_source(spans, from, to, &both))?;
        let united = self.all("SELECT 1 FROM coverage WHERE source = ?1 LIMIT 1", [to], |_| Ok(()))?;
        if united.is_empty() {
            self.run("UPDATE coverage SET source = ?2 WHERE source = ?1", names)?;
            return Ok(());
        }
        let moved =
            self.all("SELECT * FROM coverage WHERE source = ?1 ORDER BY since", [from], interval_row)?;
        self.run("DELETE FROM coverage WHERE source = ?1", [from])?;
        for row in moved {
            self.cover(&Interval { source: to.to_owned(), ..row })?;
        }
        Ok(())
    }

    /// Forgets a source's works.
    pub(super) fn reset_source(&self, source: &str) -> Result<(), JournalError> {
        self.run("DELETE FROM work WHERE source = ?1", [source])?;
        Ok(())
    }

    /// Changes positions as a whole.
    fn respan(&self, change: impl FnOnce(Vec<Span>) -> Vec<Span>) -> Result<(), JournalError> {
        let before = self.all("SELECT * FROM delivery ORDER BY id", [], span_row)?;
        let after = change(before.clone());
        for gone in before.iter().filter(|span| after.iter().all(|kept| kept.id != span.id)) {
            self.end_span(gone.id)?;
        }
        for changed in after.iter().filter(|span| !before.contains(span)) {
            self.put_span(changed)?;
        }
        Ok(())
    }

    /// Hands a sink's rows on.
    pub(super) fn rename_sink(&self, from: &str, to: &str) -> Result<(), JournalError> {
        if from == to {
            return Ok(());
        }
        self.respan(|spans| handover::to_sink(spans, from, to))?;
        // A document has one letter, also where both have refused it.
        self.run(
            "DELETE FROM dead WHERE sink = ?1 AND EXISTS (SELECT 1 FROM dead other WHERE other.page = dead.page
             AND other.record = dead.record AND other.sink = ?2 AND other.source = dead.source
             AND other.stream = dead.stream AND other.event IS dead.event AND other.mark IS dead.mark)",
            [from, to],
        )?;
        // What keeps the other one is told of that one.
        self.run("UPDATE OR IGNORE trouble SET sink = ?2 WHERE sink = ?1", [from, to])?;
        self.end_trouble(from)?;
        for table in ["dead", "given_up"] {
            self.run(&format!("UPDATE {table} SET sink = ?2 WHERE sink = ?1"), [from, to])?;
        }
        Ok(())
    }

    /// Ends a sink's claim; what it lacked is its hole.
    pub(super) fn forget_sink(&self, sink: &str, at: DateTime<Utc>) -> Result<(), JournalError> {
        let spans = self.all("SELECT * FROM delivery WHERE sink = ?1 ORDER BY id", [sink], span_row)?;
        for span in spans.iter().filter(|span| span.purpose != Purpose::Replay) {
            for lack in lacks(&self.tx, span).map_err(|e| failed(self.path, e))? {
                let Lack { of, records, pages, fetched } = lack;
                let (sink, cause) = (sink.to_owned(), "forgotten".to_owned());
                self.put_given_up(&GivenUp {
                    id: 0,
                    sink,
                    of,
                    pages,
                    fetched,
                    documents: records,
                    at,
                    cause,
                })?;
            }
        }
        self.run("DELETE FROM delivery WHERE sink = ?1", [sink])?;
        self.end_trouble(sink)
    }

    /// Takes away the rows of delivered segments as `keep` allows, oldest first.
    pub(super) fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Gone, JournalError> {
        let before = |age: Duration| {
            chrono::TimeDelta::from_std(age)
                .ok()
                .and_then(|age| now.checked_sub_signed(age))
                .map_or(i64::MIN, |t| t.timestamp_micros())
        };
        let segments =
            self.all("SELECT seg, first, last, newest, bytes FROM segment ORDER BY seg", [], |r| {
                Ok((
                    number(r, 0)?,
                    r.get::<_, i64>(1)?,
                    r.get::<_, i64>(2)?,
                    r.get::<_, i64>(3)?,
                    number(r, 4)?,
                ))
            })?;
        // A span of one stream waits for that stream's pages only; where it is gone, for nothing.
        let spans = self.all(
            "SELECT d.lane, d.next_page, d.until, CASE WHEN d.source IS NULL THEN NULL ELSE coalesce(s.id, -1) END
             FROM delivery d LEFT JOIN stream s ON s.source = d.source AND s.name = d.stream",
            [],
            |r| Ok((r.get::<_, Lane>(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )?;
        let mut bytes: u64 = segments.iter().map(|s| s.4).fold(0, u64::saturating_add);
        let (mut gone, mut pages) = (Vec::new(), 0u64);
        for (seg, first, last, newest, size) in segments {
            if newest >= before(keep.age) && bytes <= keep.bytes {
                continue;
            }
            if self.awaited(&spans, first, last)? {
                continue;
            }
            self.run(
                "INSERT INTO gone SELECT id, stream, lane, at, n, seg, digest FROM page WHERE id BETWEEN ?1 AND ?2",
                [first, last],
            )?;
            let count = self.run("DELETE FROM page WHERE id BETWEEN ?1 AND ?2", [first, last])?;
            self.run("DELETE FROM segment WHERE seg = ?1", [signed(seg)])?;
            pages = pages.saturating_add(count as u64);
            bytes = bytes.saturating_sub(size);
            gone.push(GoneSegment { seg, first: first.cast_unsigned(), last: last.cast_unsigned() });
        }
        let old = before(YEARS);
        self.run("DELETE FROM action WHERE at < ?1", [old])?;
        self.run("DELETE FROM coverage WHERE until < ?1", [old])?;
        // The last link stays, whatever its age: numbers and chain go on from it.
        self.run("DELETE FROM gone WHERE at < ?1 AND id < (SELECT max(id) FROM gone)", [old])?;
        Ok(Gone { segments: gone, pages, bytes })
    }

    /// Whether a span still has to pass one of these pages.
    fn awaited(&self, spans: &[Claim], first: i64, last: i64) -> Result<bool, JournalError> {
        for (lane, next, until, stream) in spans {
            let (from, to) = (first.max(*next), last.min(until.map_or(i64::MAX, |u| u.saturating_sub(1))));
            let sql = "SELECT 1 FROM page WHERE lane = ?1 AND id BETWEEN ?2 AND ?3
                       AND (?4 IS NULL OR stream = ?4) LIMIT 1";
            if from <= to && !self.all(sql, params![lane, from, to, stream], |_| Ok(()))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What trimming must know of a span: its lane, from which page up to which, and of which stream.
type Claim = (Lane, i64, Option<i64>, Option<i64>);

fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, row)?.collect()
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT version FROM meta", [], |r| r.get(0))
}

fn load(db: &Connection) -> rusqlite::Result<State> {
    let next: u64 = db.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM page), 0), coalesce((SELECT max(id) FROM gone), 0))",
        [],
        |r| number(r, 0),
    )?;
    let next = next.saturating_add(1);
    let version = version(db)?;
    let ranges = version >= 3;
    let first: Option<i64> = db.query_row("SELECT min(id) FROM page", [], |r| r.get(0))?;
    Ok(State {
        works: all(db, "SELECT * FROM work", [], |r| {
            Ok(Work {
                source: r.get(0)?,
                stream: r.get(1)?,
                lane: r.get(2)?,
                name: r.get(3)?,
                from: time(r, 4)?,
                to: maybe_time(r, 5)?,
                cursor: r.get(6)?,
                wait_until: maybe_time(r, 7)?,
                reason: r.get(8)?,
                memo: r.get(9)?,
            })
        })?,
        coverage: all(db, "SELECT * FROM coverage ORDER BY source, stream, since", [], interval_row)?,
        spans: match ranges {
            true => all(db, "SELECT * FROM delivery ORDER BY id", [], span_row)?,
            false => all(
                db,
                "SELECT *, iif(until IS NULL, 'follow', 'replay'), NULL, NULL, NULL, NULL, NULL FROM delivery ORDER BY id",
                [],
                span_row,
            )?,
        },
        given_up: match ranges {
            true => all(db, "SELECT * FROM given_up ORDER BY sink, source, stream, first", [], given_up_row)?,
            false => Vec::new(),
        },
        troubles: match version >= 4 {
            true => all(db, "SELECT sink, since, reason, halted FROM trouble ORDER BY sink", [], |r| {
                Ok(Trouble { sink: r.get(0)?, since: time(r, 1)?, reason: r.get(2)?, halted: r.get(3)? })
            })?,
            false => Vec::new(),
        },
        quotas: all(db, "SELECT * FROM quota", [], |r| {
            Ok(QuotaRow { source: r.get(0)?, not_before: maybe_time(r, 1)?, state: r.get(2)? })
        })?,
        fingerprints: all(db, "SELECT * FROM fingerprint", [], |r| {
            Ok(Fingerprint { source: r.get(0)?, connector: r.get(1)?, organisation: r.get(2)? })
        })?,
        requests: requests(db)?,
        pages: (first.map_or(next, |f| u64::try_from(f).unwrap_or_default()), next),
        bytes: db.query_row("SELECT coalesce(sum(bytes), 0) FROM segment", [], |r| number(r, 0))?,
        holder: None,
        forgotten: all(
            db,
            "SELECT source, name, forgotten FROM stream WHERE forgotten IS NOT NULL ORDER BY source, name",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
        )?,
    })
}

fn span_row(r: &Row<'_>) -> rusqlite::Result<Span> {
    let only = r.get::<_, Option<String>>(8)?.zip(r.get::<_, Option<String>>(9)?);
    let except: Option<String> = r.get(10)?;
    let except = except.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text));
    Ok(Span {
        id: number(r, 0)?,
        sink: r.get(1)?,
        lane: r.get(2)?,
        next_page: number(r, 3)?,
        next_record: r.get(4)?,
        to: r.get::<_, Option<i64>>(5)?.map(|to| u64::try_from(to).unwrap_or_default()),
        mark: r.get(6)?,
        purpose: r.get(7)?,
        only: only.map(|(source, stream)| StreamKey { source, stream }),
        // What cannot be read must not become "nothing is left out": that would deliver twice without a word.
        except: except.map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(10, rusqlite::types::Type::Text, Box::new(e))
        })?,
        since: maybe_time(r, 11)?,
        reason: r.get(12)?,
    })
}

fn given_up_row(r: &Row<'_>) -> rusqlite::Result<GivenUp> {
    Ok(GivenUp {
        id: number(r, 0)?,
        sink: r.get(1)?,
        of: StreamKey { source: r.get(2)?, stream: r.get(3)? },
        pages: (number(r, 4)?, number(r, 5)?),
        fetched: (time(r, 6)?, time(r, 7)?),
        documents: number(r, 8)?,
        at: time(r, 9)?,
        cause: r.get(10)?,
    })
}

fn lacks(db: &Connection, span: &Span) -> rusqlite::Result<Vec<Lack>> {
    let of = |from: PageId, only: Option<&StreamKey>| {
        all(
            db,
            "SELECT s.source, s.name, sum(p.n), min(p.id), max(p.id), min(p.at), max(p.at) FROM page p
             JOIN stream s ON s.id = p.stream WHERE p.lane = ?1 AND p.id >= ?2 AND p.id < ?3
             AND (?4 IS NULL OR s.source = ?4 AND s.name = ?5) GROUP BY s.id ORDER BY s.source, s.name",
            params![
                span.lane,
                signed(from),
                span.to.map_or(i64::MAX, signed),
                only.map(|only| &only.source),
                only.map(|only| &only.stream)
            ],
            |r| {
                Ok(Lack {
                    of: StreamKey { source: r.get(0)?, stream: r.get(1)? },
                    records: number(r, 2)?,
                    pages: (number(r, 3)?, number(r, 4)?),
                    fetched: (time(r, 5)?, time(r, 6)?),
                })
            },
        )
    };
    let mut found = of(span.next_page, span.only.as_ref())?;
    for left in &span.except {
        found.retain(|lack| lack.of != left.of);
        if let Some(until) = left.until {
            found.extend(of(until.max(span.next_page), Some(&left.of))?);
        }
    }
    // Of the first page a part may be delivered. A page with nothing left is no lack.
    for lack in found.iter_mut().filter(|lack| lack.pages.0 == span.next_page) {
        lack.records = lack.records.saturating_sub(span.next_record.into());
    }
    found.retain(|lack| lack.records > 0);
    Ok(found)
}

fn requests(db: &Connection) -> rusqlite::Result<Vec<Request>> {
    all(db, "SELECT id, at, verb, arguments FROM request ORDER BY id", [], |r| {
        Ok(Request { id: number(r, 0)?, at: time(r, 1)?, verb: r.get(2)?, arguments: r.get(3)? })
    })
}

fn page(r: &Row<'_>) -> rusqlite::Result<PageRow> {
    Ok(PageRow {
        place: Place {
            id: number(r, 0)?,
            seg: number(r, 3)?,
            off: number(r, 4)?,
            len: number(r, 5)?,
            digest: r.get(6)?,
        },
        source: r.get(1)?,
        stream: r.get(2)?,
    })
}

fn tally(r: &Row<'_>, first: usize) -> rusqlite::Result<Tally> {
    Ok(Tally {
        records: number(r, first)?,
        late: number(r, first.saturating_add(1))?,
        revised: number(r, first.saturating_add(2))?,
    })
}

fn interval_row(r: &Row<'_>) -> rusqlite::Result<Interval> {
    Ok(Interval {
        id: number(r, 0)?,
        source: r.get(1)?,
        stream: r.get(2)?,
        from: time(r, 3)?,
        to: time(r, 4)?,
        grade: r.get(5)?,
        cause: r.get(6)?,
        repairable_until: maybe_time(r, 7)?,
        count: number(r, 8)?,
        oldest: maybe_time(r, 9)?,
        newest: maybe_time(r, 10)?,
        read_at: time(r, 11)?,
    })
}

/// SQLite's integers have a sign, ours do not need one.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn number(r: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let n: i64 = r.get(column)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, n))
}

fn time(r: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let n: i64 = r.get(column)?;
    DateTime::from_timestamp_micros(n).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, n))
}

fn maybe_time(r: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    match r.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => time(r, column).map(Some),
    }
}

fn micros(t: Option<DateTime<Utc>>) -> Option<i64> {
    t.map(|t| t.timestamp_micros())
}

/// Names on disk; they never change.
const LANES: [(&str, Lane); 3] = [("live", Lane::Live), ("sweep", Lane::Sweep), ("backfill", Lane::Backfill)];
const PURPOSES: [(&str, Purpose); 4] = [
    ("follow", Purpose::Follow),
    ("catch_up", Purpose::CatchUp),
    ("replay", Purpose::Replay),
    ("parked", Purpose::Parked),
];
const GRADES: [(&str, Grade); 6] = [
    ("chain", Grade::Chain),
    ("settled", Grade::Settled),
    ("fetched", Grade::Fetched),
    ("received", Grade::Received),
    ("bounded", Grade::Bounded),
    ("hole", Grade::Hole),
];

fn name<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> ToSqlOutput<'static> {
    ToSqlOutput::from(table.iter().find(|(_, v)| v == value).map_or("", |(n, _)| n))
}

fn named<T: Copy>(table: &[(&str, T)], value: ValueRef<'_>) -> FromSqlResult<T> {
    let text = value.as_str()?;
    table.iter().find(|(n, _)| *n == text).map(|(_, v)| *v).ok_or(FromSqlError::InvalidType)
}

impl ToSql for Lane {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(name(&LANES, self))
    }
}

impl FromSql for Lane {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(&LANES, value)
    }
}

impl ToSql for Purpose {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(name(&PURPOSES, self))
    }
}

impl FromSql for Purpose {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(&PURPOSES, value)
    }
}

impl ToSql for Grade {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(name(&GRADES, self))
    }
}

impl FromSql for Grade {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(&GRADES, value)
    }
}

fn broken_keys(path: &Path) -> JournalError {
    JournalError::damaged(path, "a row of keys is not whole")
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// A path in a `file:` URI.
fn escape(path: &Path) -> String {
    path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// What the engine's errors mean to our callers.
fn failed(path: &Path, e: rusqlite::Error) -> JournalError {
    use std::io::{Error, ErrorKind};
    let io = |what, kind, e: rusqlite::Error| JournalError::Io {
        path: path.display().to_string(),
        what,
        source: Error::new(kind, e),
    };
    match &e {
        rusqlite::Error::SqliteFailure(f, _) => match f.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                JournalError::damaged(path, e.to_string())
            }
            ErrorCode::DiskFull => io("the disk is full", ErrorKind::StorageFull, e),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                io("it cannot be written to", ErrorKind::PermissionDenied, e)
            }
            ErrorCode::CannotOpen => io("it cannot be opened", ErrorKind::Other, e),
            ErrorCode::SystemIoFailure => io("the disk failed", ErrorKind::Other, e),
            _ => JournalError::State { path: path.display().to_string(), source: Box::new(e) },
        },
        // A value that this program would not have written.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => JournalError::damaged(path, e.to_string()),
        _ => JournalError::State { path: path.display().to_string(), source: Box::new(e) },
    }
}
