//! The journal beside its holder: reading what is there, and leaving requests.
//!
//! A [`Reader`] takes no lock that a writer would notice, and none of its read transactions outlives a call.

use super::segment::Files;
use super::state::{CACHE, Db};
use super::{
    Action, DeadLetter, Fetched, JournalError, Lack, Range, Request, Span, State, StoredPage, Tally, lock,
    store,
};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};

/// One tenant's journal, open for reading while somebody else may be writing.
pub struct Reader {
    dir: PathBuf,
    db: Db,
    files: Files,
}

impl Reader {
    /// Opens a tenant's journal for reading.
    ///
    /// # Errors
    /// `Io`: there is none. `Newer`, `Damaged`: see [`JournalError`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        let dir = dir.as_ref().to_owned();
        let db = Db::read(&state(&dir)?)?;
        let files = Files::new(&dir).map_err(JournalError::io(&dir, "cannot decompress"))?;
        Ok(Self { dir, db, files })
    }

    /// All that is small, as of one moment; `holder` is whoever holds the tenant right now.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn load(&mut self) -> Result<State, JournalError> {
        let mut state = self.db.load()?;
        state.holder = lock::holder(&self.dir);
        Ok(state)
    }

    /// As [`super::Journal::read`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn read(&mut self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        store::read(&self.db, &mut self.files, range, None, bytes)
    }

    /// As [`super::Journal::lacks`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError> {
        self.db.lacks(span)
    }

    /// As [`super::Journal::fetched`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        of: (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError> {
        self.db.fetched(from, to, of)
    }

    /// How many dead letters each sink has that has some.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn dead_counts(&self) -> Result<Vec<(String, u64)>, JournalError> {
        self.db.dead_counts()
    }

    /// As [`super::Journal::dead`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError> {
        self.db.dead(after, limit, retry)
    }

    /// The newest `limit` rows of the action log, oldest first.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn actions(&self, limit: usize) -> Result<Vec<Action>, JournalError> {
        self.db.actions(limit)
    }

    /// The keys `(id, meaning)` of a stream's hour.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn seen(&self, source: &str, stream: &str, hour: i64) -> Result<Vec<(u128, u64)>, JournalError> {
        self.db.seen(source, stream, hour)
    }

    /// As [`super::Journal::tally`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError> {
        self.db.tally(source, stream, from, to)
    }

    /// As [`super::Journal::totals`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        self.db.totals()
    }
}

/// Leaves a request for the process that holds the tenant, and gives its number. It is acted on at the next heartbeat; who
/// wants to know that it was watches [`Reader::load`] until it is gone.
///
/// # Errors
/// `Io`: there is no journal. See [`JournalError`].
pub fn request(
    dir: impl AsRef<Path>,
    verb: &str,
    arguments: &str,
    now: DateTime<Utc>,
) -> Result<u64, JournalError> {
    let db = Db::write(&state(dir.as_ref())?, false, CACHE)?;
    let id =
        db.request(&Request { id: 0, at: now, verb: verb.to_owned(), arguments: arguments.to_owned() })?;
    // Where the lock's file cannot be touched, the request is found with the holder's next sign of life.
    let _ = lock::knock(dir.as_ref());
    Ok(id)
}

fn state(dir: &Path) -> Result<PathBuf, JournalError> {
    let state = dir.join("state.db");
    match std::fs::metadata(&state) {
        Ok(_) => Ok(state),
        Err(e) => Err(JournalError::io(&state, "there is no journal")(e)),
    }
}
