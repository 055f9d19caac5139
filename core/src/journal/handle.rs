//! A tenant's journal for async callers: what waits while a commit runs becomes the next commit.
//!
//! Each commit is one short blocking task, one at a time, and no thread lives longer: a long-lived one would stop a paused
//! test clock. The task does not belong to who asked for it: dropping a waiter neither cancels nor harms a commit.

use super::{
    Change, DeadLetter, Fetched, Journal, JournalError, Keep, LetterOf, Outcome, PageId, Range, Request,
    Span, State, StoredPage, StreamKey, Tally, Trimmed,
};
use chrono::{DateTime, Utc};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Record bytes that one commit may carry before others wait for the next.
const GROUP: usize = 64 << 20;

type Answer = Result<Vec<Outcome>, JournalError>;

/// A tenant's journal, shared by its tasks. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Arc<dyn Journal>,
    queue: Mutex<Queue>,
    appended: watch::Sender<PageId>,
    made: Instant,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiter>,
    busy: bool,
}

/// One commit's turn. It ends also if the runtime goes down before it has begun.
struct Turn {
    inner: Arc<Inner>,
    done: bool,
}

impl Turn {
    fn run(mut self) {
        self.inner.one_commit();
        self.done = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.inner.queue();
        if !self.done {
            queue.waiting.clear();
        }
        queue.busy = !queue.waiting.is_empty();
        let more = queue.busy;
        // Not under the lock: a runtime that goes down drops the next turn at once, which comes here again.
        drop(queue);
        // A task of its own for each commit: tenants take turns in the pool.
        if more {
            Inner::spawn(Arc::clone(&self.inner));
        }
    }
}

struct Waiter {
    changes: Vec<Change>,
    answer: oneshot::Sender<Answer>,
}

impl Handle {
    /// Shares a journal.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        let (queue, appended, made) = (Mutex::default(), watch::Sender::new(0), Instant::now());
        let inner = Inner { journal, queue, appended, made };
        Self { inner: Arc::new(inner) }
    }

    /// The journal itself, for blocking callers.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.inner.journal
    }

    /// See [`Journal::epoch`].
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.journal.epoch()
    }

    /// The last page that was appended since this handle was made (0: none). It also changes hands, without a new
    /// number, when a span or a dead letter to send again was added: there is something to deliver.
    #[must_use]
    pub fn appended(&self) -> watch::Receiver<PageId> {
        self.inner.appended.subscribe()
    }

    /// The next moment at which whatever can wait is written, at most `every` from now. It is the same for everybody who
    /// shares the journal, so that what they put aside becomes one commit.
    #[must_use]
    pub fn together(&self, every: Duration) -> Instant {
        let past = self.inner.made.elapsed().as_nanos() % every.as_nanos().max(1);
        Instant::now() + every.saturating_sub(Duration::from_nanos(u64::try_from(past).unwrap_or(0)))
    }

    /// One commit, together with whatever else waits; all of it or none. Durable when it answers. Dropped while it waits,
    /// the commit happens all the same.
    ///
    /// # Errors
    /// See [`Journal::commit`]; everybody who waited for the same commit gets the same error.
    pub async fn commit(&self, changes: Vec<Change>) -> Answer {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        Inner::ask(&self.inner, Waiter { changes, answer });
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// See [`Journal::load`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn load(&self) -> Result<State, JournalError> {
        self.blocking(|j| j.load()).await
    }

    /// See [`Journal::read`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn read(&self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        self.blocking(move |j| j.read(range, bytes)).await
    }

    /// See [`Journal::read_of`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn read_of(
        &self,
        range: Range,
        of: StreamKey,
        bytes: usize,
    ) -> Result<Vec<StoredPage>, JournalError> {
        self.blocking(move |j| j.read_of(range, &of, bytes)).await
    }

    /// See [`Journal::lacks`]: the records of all streams.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn kept(&self, spans: Vec<Span>) -> Result<u64, JournalError> {
        self.blocking(move |j| {
            let mut sum = 0_u64;
            for span in &spans {
                sum += j.lacks(span)?.iter().map(|lack| lack.records).sum::<u64>();
            }
            Ok(sum)
        })
        .await
    }

    /// See [`Journal::fetched`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        (source, stream): (Option<String>, Option<String>),
    ) -> Result<Fetched, JournalError> {
        self.blocking(move |j| j.fetched(from, to, (source.as_deref(), stream.as_deref()))).await
    }

    /// See [`Journal::dead`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError> {
        self.blocking(move |j| j.dead(after, limit, retry)).await
    }

    /// See [`Journal::letters`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn letters(
        &self,
        sink: String,
        pages: (PageId, PageId),
    ) -> Result<Vec<LetterOf>, JournalError> {
        self.blocking(move |j| j.letters(&sink, pages)).await
    }

    /// See [`Journal::trim`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Trimmed, JournalError> {
        self.blocking(move |j| j.trim(keep, now)).await
    }

    /// See [`Journal::heartbeat`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn heartbeat(&self, now: DateTime<Utc>) -> Result<Vec<Request>, JournalError> {
        // Hundreds of quiet tenants ask several times a second: a blocking task costs more than the look.
        if self.inner.journal.is_quiet(now) {
            return Ok(Vec::new());
        }
        self.blocking(move |j| j.heartbeat(now)).await
    }

    /// See [`Journal::tally`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError> {
        let (source, stream) = (source.to_owned(), stream.to_owned());
        self.blocking(move |j| j.tally(&source, &stream, from, to)).await
    }

    /// See [`Journal::totals`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        self.blocking(|j| j.totals()).await
    }

    /// See [`Journal::forget`].
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError> {
        let (source, stream) = (source.to_owned(), stream.to_owned());
        self.blocking(move |j| j.forget(&source, &stream, before)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&dyn Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.inner.journal);
        tokio::task::spawn_blocking(move || run(&*journal)).await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues, and starts a commit if none runs.
    fn ask(inner: &Arc<Self>, waiter: Waiter) {
        let mut queue = inner.queue();
        queue.waiting.push(waiter);
        let idle = !std::mem::replace(&mut queue.busy, true);
        drop(queue);
        if idle {
            Self::spawn(Arc::clone(inner));
        }
    }

    fn spawn(inner: Arc<Self>) {
        let turn = Turn { inner, done: false };
        tokio::task::spawn_blocking(move || turn.run());
    }

    fn one_commit(&self) {
        let mut changes = Vec::new();
        let mut waiters = Vec::new();
        for waiter in self.group() {
            waiters.push((waiter.changes.len(), waiter.answer));
            changes.extend(waiter.changes);
        }
        let done = catch_unwind(AssertUnwindSafe(|| self.journal.commit(&changes)))
            .unwrap_or_else(|_| Err(stopped()));
        match done {
            Ok(outcomes) => {
                self.wake(&changes, &outcomes);
                let mut outcomes = outcomes.into_iter();
                for (n, answer) in waiters {
                    // Who does not wait any more does not want to know.
                    let _ = answer.send(Ok(outcomes.by_ref().take(n).collect()));
                }
            }
            Err(e) => {
                for (_, answer) in waiters {
                    let _ = answer.send(Err(e.again()));
                }
            }
        }
    }

    /// Tells delivery loops that there is something to deliver.
    fn wake(&self, changes: &[Change], outcomes: &[Outcome]) {
        let last = outcomes.iter().filter_map(|o| match o {
            Outcome::Appended(appended) => appended.page,
            _ => None,
        });
        let again = changes.iter().any(|c| match c {
            Change::Span(span) => span.id == 0,
            Change::Dead(dead) => dead.retry,
            Change::DeadRetry(_) => true,
            _ => false,
        });
        match last.max() {
            Some(page) => drop(self.appended.send_replace(page)),
            None if again => self.appended.send_modify(|_| ()),
            None => {}
        }
    }

    /// Takes those who wait, as far as one commit should carry.
    fn group(&self) -> Vec<Waiter> {
        let mut queue = self.queue();
        let mut bytes = 0usize;
        let fits = queue.waiting.iter().take_while(|w| {
            let before = bytes;
            bytes = bytes.saturating_add(weight(&w.changes));
            before == 0 || bytes <= GROUP
        });
        let n = fits.count().max(1).min(queue.waiting.len());
        queue.waiting.drain(..n).collect()
    }
}

fn weight(changes: &[Change]) -> usize {
    changes
        .iter()
        .map(|c| match c {
            Change::Page(page) => page.records.iter().map(|r| r.bytes.len()).sum(),
            _ => 0,
        })
        .fold(0, usize::saturating_add)
}

/// The commit ended without an answer: it panicked, or the runtime went down.
fn stopped() -> JournalError {
    JournalError::State { path: "journal".to_owned(), source: "the task was stopped".into() }
}
