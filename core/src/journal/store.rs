//! The journal on a local disk.

use super::keys::{self, Cache, Verdict};
use super::lock::{self, Lock};
use super::segment::{self, Digest, Encoder, Files, Line, Parts, Place};
use super::state::{CACHE, Db, Tx};
use super::{
    Appended, Change, DeadLetter, Fetched, Journal, JournalError, Keep, Key, Lack, Lane, LetterOf, NewPage,
    Outcome, PageId, Range, Request, Span, State, StoredPage, StreamKey, Tally, Trimmed, whole,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Called at every named step (see [`STEPS`]), so that a test can take a crash image there. Where it answers with an
/// error, the operation that would come next fails with that error.
pub type Steps = Arc<dyn Fn(&'static str) -> io::Result<()> + Send + Sync>;

/// The steps of opening, committing and trimming.
pub const STEPS: [&str; 13] = [
    "directory made",
    "state made",
    "epoch raised",
    "tail cut",
    "begun",
    "segment made",
    "directory synced",
    "appended",
    "synced",
    "rows written",
    "committed",
    "trim committed",
    "segment unlinked",
];

/// A segment is closed at this size, …
const SEGMENT: u64 = 64 << 20;
/// … or when its first page is this old, so that `keep` holds for quiet tenants too.
const SEGMENT_AGE: TimeDelta = TimeDelta::days(1);
/// The length of a segment that was trimmed or never was: the next page begins another.
const NONE: u64 = u64::MAX;
/// Room for commits that a tenant keeps.
const BUFFER: usize = 64 << 10;
/// Rows that a reading takes at once.
const ROWS: u32 = 64;

/// How to open a journal.
#[derive(Clone)]
pub struct OpenOptions {
    /// The verb that opens it, for whoever finds it held.
    pub verb: String,
    /// Now.
    pub now: DateTime<Utc>,
    /// The tenant's budget in bytes: segments are sized so that trimming can keep it. Default: none.
    pub budget: Option<u64>,
    /// Bytes of the newest pages that stay in memory. Default: 16 MiB.
    pub page_cache: usize,
    /// Bytes of dedupe keys that stay in memory; a commit's own hours always do. Default: 16 MiB.
    pub key_cache: usize,
    /// Bytes of the state's pages that stay in memory. Default: 2 MiB.
    pub state_cache: usize,
    /// For tests.
    pub steps: Option<Steps>,
}

impl OpenOptions {
    /// The defaults.
    #[must_use]
    pub fn new(verb: impl Into<String>, now: DateTime<Utc>) -> Self {
        Self {
            verb: verb.into(),
            now,
            budget: None,
            page_cache: 16 << 20,
            key_cache: 16 << 20,
            state_cache: CACHE,
            steps: None,
        }
    }
}

/// A tenant's journal in a directory of a local disk.
pub struct FileJournal {
    dir: PathBuf,
    epoch: u64,
    writer: Mutex<Writer>,
    newest: Mutex<Newest>,
    reading: Mutex<Option<(Db, Files)>>,
    /// The time of the lock's file, if no request was waiting after it.
    looked: Mutex<Option<SystemTime>>,
    steps: Option<Steps>,
    // Last: it is given back when everything else is closed.
    lock: Lock,
}

/// All that a commit needs.
struct Writer {
    db: Db,
    keys: Cache,
    buffer: Vec<u8>,
    tail: Tail,
    /// A sync failed: what the kernel calls written may not be.
    spoiled: bool,
}

/// Where the next page goes.
struct Tail {
    dir: PathBuf,
    next: PageId,
    digest: Digest,
    seg: u64,
    /// Or [`NONE`].
    len: u64,
    /// When the segment's first page was fetched.
    since: DateTime<Utc>,
    file: Option<(u64, File)>,
    /// Bytes without rows may stand after `len`.
    dirty: bool,
    roll: u64,
}

/// The newest pages, for sinks that keep up.
struct Newest {
    pages: VecDeque<(usize, StoredPage)>,
    bytes: usize,
    limit: usize,
    /// All pages from this one on are here.
    from: PageId,
    /// The last page of each lane: who has read that far need not look on the disk, which opens a connection more.
    last: HashMap<Lane, PageId>,
}

impl FileJournal {
    /// Opens a tenant's journal for writing, makes it if there is none, and takes it from a holder that died.
    ///
    /// # Errors
    /// `Held`: another process has it. `Unfit`: a network file system. `Newer`, `Damaged`: nothing was changed. `Io`
    /// names the path that cannot be written.
    pub fn open(dir: impl AsRef<Path>, options: OpenOptions) -> Result<Self, JournalError> {
        let dir = dir.as_ref().to_owned();
        let steps = options.steps;
        let pages = dir.join("pages");
        let made = !pages.is_dir();
        std::fs::create_dir_all(&dir).map_err(JournalError::io(&dir, "cannot make the directory"))?;
        lock::fit(&dir)?;
        let lock = Lock::take(&dir, &options.verb, options.now)?;
        if made {
            std::fs::create_dir_all(&pages).map_err(JournalError::io(&pages, "cannot make the directory"))?;
            segment::sync_dir(&dir)?;
            if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
                segment::sync_dir(parent)?;
            }
        }
        step(steps.as_ref(), &dir, "directory made", "cannot make the state")?;

        let state = dir.join("state.db");
        let files = segment::list(&dir)?;
        let empty = std::fs::metadata(&state).map_or(true, |m| m.len() == 0);
        if empty && files.iter().any(|(_, len)| *len > 0) {
            return Err(JournalError::damaged(&state, "it is missing, but pages/ holds segments"));
        }
        // An empty directory gets a state; anything else must have one.
        let mut db = Db::write(&state, files.is_empty() || empty, options.state_cache)?;
        step(steps.as_ref(), &dir, "state made", "cannot raise the epoch")?;
        if files.is_empty() {
            segment::sync_dir(&dir)?;
        }
        Tail::check(&dir, &db, &files, options.budget)?;
        let tx = db.begin()?;
        tx.upgrade()?;
        let epoch = tx.raise_epoch()?;
        tx.commit()?;
        step(steps.as_ref(), &dir, "epoch raised", "cannot cut the tail")?;
        // From here on nobody else writes (somebody may have until now, where a lock file was deleted under its holder),
        // and what stands behind the last row belongs to nobody.
        let (tail, strays) = Tail::check(&dir, &db, &segment::list(&dir)?, options.budget)?;
        tail.cut(&strays)?;
        step(steps.as_ref(), &dir, "tail cut", "cannot open")?;

        let (from, last) = (tail.next, db.last_pages()?);
        Ok(Self {
            dir,
            epoch,
            writer: Mutex::new(Writer {
                db,
                keys: Cache::new(options.key_cache),
                buffer: Vec::new(),
                tail,
                spoiled: false,
            }),
            newest: Mutex::new(Newest {
                pages: VecDeque::new(),
                bytes: 0,
                limit: options.page_cache,
                from,
                last,
            }),
            reading: Mutex::new(None),
            looked: Mutex::new(None),
            steps,
            lock,
        })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn step(&self, name: &'static str, next: &'static str) -> Result<(), JournalError> {
        step(self.steps.as_ref(), &self.dir, name, next)
    }

    /// The writer, unless an earlier failure made it unsafe to write.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, JournalError> {
        match self.writer.lock() {
            Ok(writer) if !writer.spoiled => Ok(writer),
            _ => Err(JournalError::Io {
                path: self.dir.display().to_string(),
                what: "an earlier write failed",
                source: io::Error::other("open the journal again"),
            }),
        }
    }

    /// A transaction of this epoch.
    fn begin<'a>(&self, db: &'a mut Db) -> Result<Tx<'a>, JournalError> {
        let tx = db.begin()?;
        let theirs = tx.epoch()?;
        if theirs != self.epoch {
            let path = self.dir.display().to_string();
            return Err(JournalError::Fenced { path, ours: self.epoch, theirs });
        }
        Ok(tx)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_commit(
        &self,
        writer: &mut Writer,
        changes: &[Change],
    ) -> Result<(Vec<Outcome>, Vec<StoredPage>), JournalError> {
        let Writer { db, keys, buffer, tail, spoiled } = writer;
        let tx = self.begin(db)?;
        self.step("begun", "cannot write")?;
        buffer.clear();
        let mut batch = Batch {
            tx: &tx,
            keys,
            buffer,
            tail,
            next: tail.next,
            digest: tail.digest,
            place: None,
            pages: Vec::new(),
        };
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(batch.apply(change)?);
        }
        let Batch { next, digest, place, pages, .. } = batch;
        if let Some((seg, len)) = place {
            let file = tail.open(seg, len, |name| self.step(name, "cannot make the segment"))?;
            let path = segment::path(&self.dir, seg);
            file.write_all_at(buffer, len).map_err(JournalError::io(&path, "cannot append"))?;
            let synced = self
                .step("appended", "cannot sync")
                .and_then(|()| file.sync_data().map_err(JournalError::io(&path, "cannot sync")));
            if let Err(e) = synced {
                *spoiled = true;
                return Err(e);
            }
            self.step("synced", "cannot commit")?;
        }
        self.step("rows written", "cannot commit")?;
        if let Err(e) = tx.commit() {
            // A full disk leaves everything as it was. After any other failure the engine's sync may be the one that failed.
            *spoiled = !full(&e);
            return Err(e);
        }
        if let Some((seg, len)) = place {
            if seg != tail.seg {
                tail.since = pages.first().map_or(tail.since, |p| p.at);
            }
            tail.len = len.saturating_add(buffer.len() as u64);
            (tail.next, tail.digest, tail.seg, tail.dirty) = (next, digest, seg, false);
        }
        Ok((outcomes, pages))
    }

    fn disk(
        &self,
        range: Range,
        of: Option<&StreamKey>,
        bytes: usize,
    ) -> Result<Vec<StoredPage>, JournalError> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (db, files) = match &mut *reading {
            Some(open) => open,
            none => none.insert((
                Db::read(&self.dir.join("state.db"))?,
                Files::new(&self.dir).map_err(JournalError::io(&self.dir, "cannot decompress"))?,
            )),
        };
        read(db, files, range, of, bytes)
    }
}

/// Pages of a range from disk.
pub(super) fn read(
    db: &Db,
    files: &mut Files,
    mut range: Range,
    of: Option<&StreamKey>,
    bytes: usize,
) -> Result<Vec<StoredPage>, JournalError> {
    let (mut found, mut size) = (Vec::new(), 0usize);
    loop {
        let rows = db.pages(range, of, ROWS)?;
        let more = rows.len() >= ROWS as usize;
        for row in rows {
            range.from = row.place.id.saturating_add(1);
            let page = match files.page(&row.place)? {
                Some(decoded) => decoded.page,
                // Trimmed since its row was read; or else the file is lost.
                None => {
                    match db
                        .pages(Range { from: row.place.id, to: Some(range.from), ..range }, None, 1)?
                        .first()
                    {
                        None => continue,
                        Some(_) => return Err(lost(files.dir(), &row.place)),
                    }
                }
            };
            // The row knows what the source is called today.
            let page = StoredPage { source: row.source.into(), stream: row.stream.into(), ..page };
            size = size.saturating_add(page.weight());
            found.push(page);
            if size >= bytes {
                return Ok(found);
            }
        }
        if !more {
            return Ok(found);
        }
    }
}

/// A segment is not where its rows say.
pub(super) fn lost(dir: &Path, place: &Place) -> JournalError {
    JournalError::damaged(
        &segment::path(dir, place.seg),
        format!("it is missing (offset {}, page {})", place.off, place.id),
    )
}

fn step(
    steps: Option<&Steps>,
    dir: &Path,
    name: &'static str,
    next: &'static str,
) -> Result<(), JournalError> {
    debug_assert!(STEPS.contains(&name), "{name} is not in STEPS");
    match steps {
        None => Ok(()),
        Some(steps) => steps(name).map_err(JournalError::io(dir, next)),
    }
}

fn full(e: &JournalError) -> bool {
    matches!(e, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
}

impl Tail {
    /// Compares segments with their rows; also gives the segments without rows. Changes nothing.
    fn check(
        dir: &Path,
        db: &Db,
        files: &[(u64, u64)],
        budget: Option<u64>,
    ) -> Result<(Self, Vec<u64>), JournalError> {
        let rows = db.segments()?;
        let end = db.end()?;
        for row in &rows {
            let path = segment::path(dir, row.seg);
            match files.iter().find(|(seg, _)| *seg == row.seg) {
                None => return Err(JournalError::damaged(&path, "it is missing")),
                Some((_, len)) if *len < row.bytes => {
                    let what = format!("it ends at {len}, but pages stand in it up to {}", row.bytes);
                    return Err(JournalError::damaged(&path, what));
                }
                Some(_) => {}
            }
        }
        // One commit writes into one segment: at most one file was begun and has no row. More is not a crash.
        if let Some((seg, _)) = files.iter().find(|(seg, _)| *seg > end.seg.saturating_add(1)) {
            return Err(JournalError::damaged(
                &segment::path(dir, *seg),
                "state.db does not know it (is state.db an older copy?)",
            ));
        }
        if let Some(page) = db.last_page()? {
            let mut last = Files::new(dir).map_err(JournalError::io(dir, "cannot decompress"))?;
            if last.page(&page.place)?.is_none() {
                return Err(lost(dir, &page.place));
            }
        }
        let strays = files.iter().map(|f| f.0).filter(|seg| rows.iter().all(|row| row.seg != *seg)).collect();
        let last = rows.last().filter(|row| row.seg == end.seg);
        let tail = Self {
            dir: dir.to_owned(),
            next: end.next,
            digest: end.digest,
            seg: end.seg,
            len: last.map_or(NONE, |row| row.bytes),
            since: last.map_or(DateTime::UNIX_EPOCH, |row| row.oldest),
            file: None,
            dirty: false,
            roll: budget.map_or(SEGMENT, |b| (b / 16).clamp(64 << 10, SEGMENT)),
        };
        Ok((tail, strays))
    }

    /// Takes away what has no rows: the last segment's tail, a segment that was only begun, one whose trim was not finished.
    fn cut(&self, strays: &[u64]) -> Result<(), JournalError> {
        if self.len != NONE {
            let path = segment::path(&self.dir, self.seg);
            let cut = |file: File| {
                if file.metadata()?.len() > self.len {
                    file.set_len(self.len)?;
                    file.sync_data()?;
                }
                Ok(())
            };
            File::options()
                .write(true)
                .open(&path)
                .and_then(cut)
                .map_err(JournalError::io(&path, "cannot cut the tail"))?;
        }
        for seg in strays {
            let path = segment::path(&self.dir, *seg);
            std::fs::remove_file(&path).map_err(JournalError::io(&path, "cannot remove"))?;
        }
        if strays.is_empty() { Ok(()) } else { segment::sync_dir(&self.dir.join("pages")) }
    }

    /// Where the next page goes, if it is the first of a commit.
    fn place(&self, at: DateTime<Utc>) -> (u64, u64) {
        if self.len >= self.roll || at.signed_duration_since(self.since) > SEGMENT_AGE {
            (self.seg.saturating_add(1), 0)
        } else {
            (self.seg, self.len)
        }
    }

    /// The file to append to, free of bytes without rows.
    fn open(
        &mut self,
        seg: u64,
        len: u64,
        step: impl Fn(&'static str) -> Result<(), JournalError>,
    ) -> Result<&File, JournalError> {
        let path = segment::path(&self.dir, seg);
        let file = match self.file.take() {
            Some((open, file)) if open == seg => file,
            _ => {
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path)
                    .map_err(JournalError::io(&path, "cannot make the segment"))?;
                if len == 0 {
                    step("segment made")?;
                    segment::sync_dir(&self.dir.join("pages"))?;
                    step("directory synced")?;
                }
                self.dirty = true;
                file
            }
        };
        if self.dirty {
            file.set_len(len).map_err(JournalError::io(&path, "cannot cut the tail"))?;
        }
        self.dirty = true;
        Ok(&self.file.insert((seg, file)).1)
    }
}

/// A commit in the making.
struct Batch<'a, 'db> {
    tx: &'a Tx<'db>,
    keys: &'a mut Cache,
    buffer: &'a mut Vec<u8>,
    tail: &'a Tail,
    next: PageId,
    digest: Digest,
    /// The segment, and where the buffer will stand in it, once there is anything to append.
    place: Option<(u64, u64)>,
    pages: Vec<StoredPage>,
}

impl Batch<'_, '_> {
    fn apply(&mut self, change: &Change) -> Result<Outcome, JournalError> {
        let tx = self.tx;
        match change {
            Change::Page(page) => return self.page(page).map(Outcome::Appended),
            Change::Span(span) => return tx.put_span(span).map(Outcome::Row),
            Change::Dead(dead) => return tx.put_dead(dead).map(Outcome::Row),
            Change::Work(work) => tx.put_work(work)?,
            Change::WorkDone(work) => tx.end_work(work)?,
            Change::Cover(interval) => tx.cover(interval)?,
            Change::SpanDone(id) => tx.end_span(*id)?,
            Change::DeadDone(id) => tx.end_dead(*id)?,
            Change::DeadRetry(id) => tx.retry_dead(*id)?,
            Change::GaveUp(given_up) => return tx.put_given_up(given_up).map(Outcome::Row),
            Change::Trouble(trouble) => tx.put_trouble(trouble)?,
            Change::TroubleOver(sink) => tx.end_trouble(sink)?,
            Change::Quota(quota) => tx.put_quota(quota)?,
            Change::Action(action) => tx.put_action(action)?,
            Change::RequestDone(id) => tx.end_request(*id)?,
            Change::Fingerprint(fingerprint) => tx.put_fingerprint(fingerprint)?,
            Change::RenameSource(from, to) => {
                tx.rename_source(from, to)?;
                // Streams have other numbers now.
                self.keys.clear();
            }
            Change::ResetSource(source) => tx.reset_source(source)?,
            Change::RenameSink(from, to) => tx.rename_sink(from, to)?,
            Change::ForgetSink(sink, at) => tx.forget_sink(sink, *at)?,
        }
        Ok(Outcome::Done)
    }

    /// Dedupes a page, and appends what is new.
    fn page(&mut self, page: &NewPage) -> Result<Appended, JournalError> {
        let mut done = Appended::default();
        if page.records.is_empty() {
            return Ok(done);
        }
        let stream = self.tx.stream(&page.source, &page.stream)?;
        // Where records change, one whose keys were forgotten may be a later meaning of an id that was delivered long ago:
        // under the bare id a sink would take it for that. Who reads again on purpose means the old ones.
        let forgotten = if page.immutable || page.reread { None } else { self.tx.forgotten(stream)? };
        let mut hours: BTreeMap<i64, (Vec<u8>, Tally)> = BTreeMap::new();
        let mut records = Vec::new();
        for record in &page.records {
            let key = &record.key;
            let hour = self.keys.hour(stream, key.hour, || self.tx.hour(stream, key.hour))?;
            let verdict = hour.add(key.id, key.meaning);
            if verdict == Verdict::Duplicate {
                done.duplicates += 1;
                continue;
            }
            let (blob, tally) = hours.entry(key.hour).or_default();
            keys::pack(blob, key);
            let old = forgotten.is_some_and(|before| key.hour < before && key.hour != Key::NO_TIME);
            let revision = if verdict == Verdict::New && !old {
                done.new += 1;
                tally.records += 1;
                tally.late += u64::from(record.late);
                None
            } else {
                done.revisions += 1;
                done.reused += usize::from(page.immutable);
                tally.revised += 1;
                Some(key.meaning)
            };
            records.push(Line { bytes: &record.bytes, revision, occurrence: record.occurrence });
        }
        if records.is_empty() {
            return Ok(done);
        }

        let at = whole(page.at);
        let (seg, base) = *self.place.get_or_insert_with(|| self.tail.place(at));
        let start = self.buffer.len();
        let parts = Parts {
            id: self.next,
            source: &page.source,
            stream: &page.stream,
            lane: page.lane,
            reread: page.reread,
            at,
            previous: self.digest,
            records: &records,
        };
        let (digest, records) = Encoder::with(|encoder| encoder.encode(&parts, self.buffer))
            .map_err(JournalError::io(&self.tail.dir, "cannot compress a page"))?;
        let place = Place {
            id: self.next,
            seg,
            off: base.saturating_add(start as u64),
            len: self.buffer.len().saturating_sub(start) as u64,
            digest,
        };
        self.tx.add_page(stream, page.lane, at, records.len(), &place)?;
        for (hour, (blob, tally)) in hours {
            self.tx.add_tally(stream, hour, tally)?;
            self.tx.add_keys(stream, hour, self.next, at, &blob)?;
            let set = self.keys.hour(stream, hour, || self.tx.hour(stream, hour))?;
            set.small += usize::from(blob.len() < keys::BIG);
            if set.small > keys::BLOBS {
                set.small = self.tx.merge_keys(stream, hour)?;
            }
        }
        done.page = Some(self.next);
        self.pages.push(StoredPage {
            id: self.next,
            source: page.source.as_str().into(),
            stream: page.stream.as_str().into(),
            lane: page.lane,
            at,
            records,
            reread: page.reread,
        });
        self.next = self.next.saturating_add(1);
        self.digest = digest;
        Ok(done)
    }
}

impl Newest {
    fn push(&mut self, page: StoredPage) {
        let size = page.weight();
        self.bytes = self.bytes.saturating_add(size);
        self.pages.push_back((size, page));
        while self.bytes > self.limit {
            let Some((size, page)) = self.pages.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(size);
            self.from = page.id.saturating_add(1);
        }
    }

    /// The pages of a range, if all that there can be of them are here.
    fn read(&self, range: Range, of: Option<&StreamKey>, bytes: usize) -> Option<Vec<StoredPage>> {
        if self.last.get(&range.lane).is_none_or(|last| *last < range.from) {
            return Some(Vec::new());
        }
        if range.from < self.from {
            return None;
        }
        let (mut found, mut size) = (Vec::new(), 0usize);
        let first = self.pages.partition_point(|(_, p)| p.id < range.from);
        for (weight, page) in self.pages.iter().skip(first) {
            if size >= bytes && !found.is_empty() || range.to.is_some_and(|to| page.id >= to) {
                break;
            }
            if page.lane == range.lane && of.is_none_or(|of| of.is(&page.source, &page.stream)) {
                size = size.saturating_add(*weight);
                found.push(page.clone());
            }
        }
        Some(found)
    }
}

impl std::fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileJournal")
            .field("dir", &self.dir)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Journal for FileJournal {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn load(&self) -> Result<State, JournalError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = writer.db.load()?;
        state.holder = Some(self.lock.holder());
        Ok(state)
    }

    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, JournalError> {
        let mut writer = self.writer()?;
        let (outcomes, pages) = match self.try_commit(&mut writer, changes) {
            Ok(done) => done,
            Err(e) => {
                // Hash sets hold keys that were not committed.
                writer.keys.clear();
                return Err(e);
            }
        };
        writer.keys.shrink();
        // Hundreds of tenants would each keep room for their largest commit for ever.
        writer.buffer.clear();
        writer.buffer.shrink_to(BUFFER);
        let mut newest = self.newest();
        newest.last.extend(pages.iter().map(|page| (page.lane, page.id)));
        if changes.iter().any(|c| matches!(c, Change::RenameSource(..))) {
            newest.pages.clear();
            newest.bytes = 0;
            newest.from = writer.tail.next;
        } else {
            for page in pages {
                newest.push(page);
            }
        }
        drop(newest);
        // It is done: the test's hook cannot undo it any more.
        let _ = self.step("committed", "");
        Ok(outcomes)
    }

    fn read(&self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        if let Some(found) = self.newest().read(range, None, bytes) {
            return Ok(found);
        }
        self.disk(range, None, bytes)
    }

    fn read_of(&self, range: Range, of: &StreamKey, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        if let Some(found) = self.newest().read(range, Some(of), bytes) {
            return Ok(found);
        }
        self.disk(range, Some(of), bytes)
    }

    fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.lacks(span)
    }

    fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        of: (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.fetched(from, to, of)
    }

    fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.dead(after, limit, retry)
    }

    fn letters(&self, sink: &str, pages: (PageId, PageId)) -> Result<Vec<LetterOf>, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.letters(sink, pages)
    }

    fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Trimmed, JournalError> {
        let mut writer = self.writer()?;
        let tx = self.begin(&mut writer.db)?;
        let done = tx.trim(keep, now)?;
        if let Err(e) = tx.commit() {
            writer.spoiled = !full(&e);
            return Err(e);
        }
        let mut newest = self.newest();
        newest.pages.retain(|(_, page)| done.segments.iter().all(|s| !(s.first..=s.last).contains(&page.id)));
        newest.bytes = newest.pages.iter().map(|(size, _)| size).sum();
        drop(newest);
        if done.segments.iter().any(|s| s.seg == writer.tail.seg) {
            (writer.tail.len, writer.tail.file) = (NONE, None);
        }
        self.step("trim committed", "cannot remove segments")?;
        for trimmed in &done.segments {
            let path = segment::path(&self.dir, trimmed.seg);
            match std::fs::remove_file(&path) {
                // What is left over goes at the next opening.
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::io(&path, "cannot remove")(e));
                }
                _ => {}
            }
            self.step("segment unlinked", "cannot remove segments")?;
        }
        Ok(Trimmed { pages: done.pages, bytes: done.bytes, full: done.bytes > keep.bytes })
    }

    /// Nobody knocked since no request was waiting, and the last sign of life is young.
    fn is_quiet(&self, now: DateTime<Utc>) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some() && looked == self.lock.written() && !self.lock.is_due(now)
    }

    fn heartbeat(&self, now: DateTime<Utc>) -> Result<Vec<Request>, JournalError> {
        self.lock.beat(now)?;
        // Before the look: who knocks after it is heard the next time.
        let written = self.lock.written();
        let requests = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.db.requests()?
        };
        let looked = written.filter(|_| requests.is_empty());
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = looked;
        Ok(requests)
    }

    fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.tally(source, stream, from, to)
    }

    fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.db.totals()
    }

    fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError> {
        let mut writer = self.writer()?;
        let tx = self.begin(&mut writer.db)?;
        let forgotten = tx.forget(source, stream, before)?;
        tx.commit()?;
        writer.keys.clear();
        Ok(forgotten)
    }
}
