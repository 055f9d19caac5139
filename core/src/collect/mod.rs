//! Collection: one task a source reads all its streams into the journal.
//!
//! *Invariants.* A page is polled, committed and only then followed: poll → commit is never raced. A cursor comes from
//! the vendor, never from records. Retry, waiting and falling back live here, once for all connectors; a connector only
//! says what happens next ([`PollError`]). An empty page is progress, and coverage only ever says what was proven.
//!
//! Everything that a source reads is a list of jobs, one for each work row of the journal. [`feed`] drives those whose place
//! the server keeps, [`window`] those whose place we keep; this file begins, waits and ends, `launch` asks and `land` commits for both. Live work goes
//! first, then what the vendor will soon forget, then sweeps (with half of our share), then backfill.

pub mod feed;
mod identity;
mod job;
mod land;
mod launch;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;
pub mod window;

use crate::board::{Board, StreamState};
use crate::clock::Clock;
use crate::http::{Backoff, Client};
use crate::journal::{Change, Grade, Handle, JournalError, Lane, State, Work};
use crate::source::{Connector, Page, PollError, Source, Stream, StreamKind};
use crate::stop::{Phase, Stop};
use chrono::{DateTime, TimeDelta, Utc};
use job::{Job, Part};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long pages in hand may still take after the program was told to stop.
const LAST_PAGE: Duration = Duration::from_secs(5);
/// How often a refused credential is read again and tried, at first; it doubles up to [`HALT_RETRY`].
const CREDENTIAL_RETRY: Duration = Duration::from_secs(60);
/// How often anything else that only a person can mend is tried again (a vendor that counts refusals is not to be provoked).
const HALT_RETRY: Duration = Duration::from_secs(15 * 60);
/// The progress of empty polls is written at least this often; losing it costs a poll.
const FLUSH: Duration = Duration::from_secs(30);
/// Requests of one source at the same time. Only the waiting is shared: bodies are read one after the other.
const IN_FLIGHT: usize = 16;
/// A silent stream is asked less often, down to this.
const SLOWEST: Duration = Duration::from_secs(600);
/// It takes this long a silence to double the time between two polls.
const SILENCE: TimeDelta = TimeDelta::minutes(30);
/// A record that became visible longer than this after its time is counted as late.
const LATE: TimeDelta = TimeDelta::hours(1);
/// A row that waits for a time is looked at again by then: our clock, by which it was planned, may have been wrong.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// The vendor's clock and ours have moved against each other: more than answers take.
const CLOCK_MOVED: TimeDelta = TimeDelta::minutes(1);
/// A window of one unit that had to be begun again this often, while the stream's other rows had pages, is stepped over.
const CORNERED: u32 = 8;
/// Further away than anything is planned.
const FAR: Duration = Duration::from_secs(86_400);

/// A stream as a source runs it: the connector's numbers, or the configured ones.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// The stream.
    pub stream: &'static Stream,
    /// How often a stream that has caught up is asked again.
    pub poll: Duration,
    /// How long the vendor keeps records.
    pub retention: Duration,
    /// How far behind the vendor's clock the fast lane stays; zero for a feed.
    pub visible_after: Duration,
    /// The settling horizons, soonest first; none for a feed.
    pub settle: Vec<Duration>,
}

impl PartialEq for StreamPlan {
    fn eq(&self, other: &Self) -> bool {
        let Self { stream, poll, retention, visible_after, settle } = self;
        stream.name == other.stream.name
            && (*poll, *retention, *visible_after) == (other.poll, other.retention, other.visible_after)
            && *settle == other.settle
    }
}

impl StreamPlan {
    /// With the connector's numbers.
    #[must_use]
    pub fn of(stream: &'static Stream) -> Self {
        let (visible_after, settle) = match stream.kind {
            StreamKind::Feed => (Duration::ZERO, Vec::new()),
            StreamKind::Windowed { settle, visible_after, .. } => (visible_after, settle.to_vec()),
        };
        Self { stream, poll: stream.poll, retention: stream.retention, visible_after, settle }
    }
}

/// One source's task: what it works with.
pub struct Collector {
    /// The tenant's key: tenants take turns, also where all name their sources alike.
    pub tenant: String,
    /// The source's key.
    pub source: String,
    /// Its code.
    pub connector: &'static dyn Connector,
    /// The configured connector.
    pub api: Arc<dyn Source>,
    /// The streams that it runs.
    pub streams: Vec<StreamPlan>,
    /// Connections and quota.
    pub http: Client,
    /// The tenant's journal.
    pub journal: Handle,
    /// The time.
    pub clock: Clock,
    /// Where it says how it is doing.
    pub board: Board,
    /// Where a new stream begins.
    pub start: DateTime<Utc>,
    /// When to end.
    pub stop: Stop,
    /// True while the journal has no room: polling pauses, the vendor's retention is the outer buffer.
    pub full: watch::Receiver<bool>,
    /// Rings when works were added by somebody else (an operator's backfill).
    pub bell: Arc<Notify>,
}

impl Collector {
    /// Reads until told to stop, or, draining, until live work has caught up with the moment it began, due sweeps are read
    /// and no backfill is left.
    ///
    /// # Errors
    /// Only what the journal says; trouble with the vendor is waited out and shown on the board.
    pub async fn run(self) -> Result<(), JournalError> {
        let state = self.journal.load().await?;
        let mut reading = Reading::new(self);
        reading.begin(&state).await?;
        reading.run().await
    }
}

/// What came back of a poll.
struct Landed {
    id: u64,
    asked: DateTime<Utc>,
    answer: Result<Page, PollError>,
}

/// A collector at work.
struct Reading {
    c: Collector,
    jobs: Vec<Job>,
    flights: JoinSet<Landed>,
    /// Progress that waits to be written, and since when.
    pending: Vec<Change>,
    flush: Option<Instant>,
    next_id: u64,
    /// By budget: no sweep before. Sweeps take every second request of our share at most.
    sweeps: HashMap<usize, Instant>,
    /// The credential was refused, and is not tried before this: one request at a time finds out whether it is good again.
    refused: Option<Instant>,
    /// Refusals of the credential in a row, whichever rows they met.
    refusals: Backoff,
    /// How far our clock is ahead of the vendor's, by its last page; none: it has not answered yet.
    ahead: Option<TimeDelta>,
}

impl Reading {
    fn new(c: Collector) -> Self {
        Self {
            refusals: Backoff::new(&format!("{}/{} credential", c.tenant, c.source)),
            c,
            jobs: Vec::new(),
            flights: JoinSet::new(),
            pending: Vec::new(),
            flush: None,
            next_id: 0,
            sweeps: HashMap::new(),
            refused: None,
            ahead: None,
        }
    }

    /// Takes up what the journal knows, and begins what it does not.
    async fn begin(&mut self, state: &State) -> Result<(), JournalError> {
        if let Some(row) = state.quotas.iter().find(|row| row.source == self.c.source) {
            self.c.http.buckets().restore(&row.state, self.c.clock.now());
        }
        let vendor = self.vendor();
        let mut changes = Vec::new();
        for plan in self.c.streams.clone() {
            let plan = Arc::new(plan);
            let name = plan.stream.name;
            let known: Vec<&Work> = state
                .works
                .iter()
                .filter(|work| {
                    work.source == self.c.source && work.stream == name && work.lane != Lane::Backfill
                })
                .collect();
            let (mut works, mut new): (Vec<Work>, Vec<Work>) = Default::default();
            match plan.stream.kind {
                StreamKind::Feed => {
                    let live = known.iter().find(|work| work.lane == Lane::Live).map(|work| (*work).clone());
                    works.push(live.unwrap_or_else(|| feed::live(&self.c.source, name, self.c.start)));
                }
                StreamKind::Windowed { .. } => {
                    let (begin, old) =
                        window::first_contact(&self.c.source, &plan, &known, self.c.start, vendor);
                    works.extend(known.iter().filter(|work| !old.contains(work)).map(|work| (*work).clone()));
                    new = begin;
                    changes.extend(old.into_iter().map(Change::WorkDone));
                }
            }
            let delay = self.spread(name);
            for work in works {
                self.push(&plan, work, delay);
            }
            for work in new {
                let work = self.distinct(work);
                changes.push(Change::Work(work.clone()));
                self.push(&plan, work, delay);
            }
            let rows = state.coverage.iter().filter(|row| row.source == self.c.source && row.stream == name);
            let covered = rows.filter(|row| row.grade != Grade::Hole).map(|row| row.to).max();
            self.c.board.source(&self.c.source, |s| {
                s.streams
                    .insert(name.to_owned(), StreamState { covered_to: covered, ..StreamState::default() });
                s.covered_to = s.covered_to.max(covered);
            });
        }
        changes.extend(self.adopt(state));
        // Most of them stay for ever, and hundreds of tenants have dozens each.
        self.jobs.shrink_to_fit();
        self.write(changes, true).await?;
        Ok(())
    }

    /// A number of this tenant's stream, always the same: what many of them do at the same time is spread by it.
    fn hash(&self, stream: &str) -> u64 {
        let name = [&self.c.tenant, &self.c.source, stream].join("/");
        xxhash_rust::xxh3::xxh3_64(name.as_bytes())
    }

    /// Spreads the first polls of many sources.
    fn spread(&self, stream: &str) -> Duration {
        Duration::from_millis(self.hash(stream) % 50)
    }

    /// The vendor's time, as well as we know it.
    fn vendor(&self) -> DateTime<Utc> {
        match (self.c.http.skew(), self.ahead) {
            (None, Some(ahead)) => self.c.clock.now() - ahead,
            _ => self.c.http.their_now(),
        }
    }

    fn push(&mut self, plan: &Arc<StreamPlan>, work: Work, delay: Duration) {
        self.next_id += 1;
        self.jobs.push(Job::new(self.next_id, plan, work, delay));
    }

    /// The row under a name that no other one of its stream has: the journal keeps and ends rows by their names.
    fn distinct(&self, mut work: Work) -> Work {
        let name = work.name.clone();
        let mut nth = 1;
        while self.known(&work) {
            nth += 1;
            work.name = format!("{name}+{nth}");
        }
        work
    }

    /// Whether a row of this name is in hand.
    fn known(&self, work: &Work) -> bool {
        self.jobs.iter().any(|job| {
            job.work.lane == work.lane && job.work.name == work.name && job.work.stream == work.stream
        })
    }

    /// Takes up backfills that the journal knows and we do not. An operator's wish about a windowed stream becomes rows
    /// for what the ledger lacks and no row is reading already.
    fn adopt(&mut self, state: &State) -> Vec<Change> {
        let mut changes = Vec::new();
        let ours = |work: &&Work| work.source == self.c.source && work.lane == Lane::Backfill;
        // What was begun comes first: a wish is measured by it.
        let (wishes, begun): (Vec<Work>, Vec<Work>) =
            state.works.iter().filter(ours).cloned().partition(|work| !window::is_planned(work));
        for work in begun.into_iter().chain(wishes) {
            let Some(plan) = self.c.streams.iter().find(|plan| plan.stream.name == work.stream) else {
                continue;
            };
            if self.known(&work) {
                continue;
            }
            let plan = Arc::new(plan.clone());
            if plan.stream.kind == StreamKind::Feed || window::is_planned(&work) {
                self.push(&plan, work, Duration::ZERO);
                continue;
            }
            let again = window::is_again(&work);
            for range in window::wanted(&plan, &work, state) {
                let reading = self.jobs.iter().filter(|job| {
                    !again && job.work.lane == Lane::Backfill && job.work.stream == work.stream
                });
                let reading = reading.filter_map(|job| Some((job.work.from, job.work.to?)));
                for (from, to) in window::missing(reading, range.0, range.1) {
                    let name = format!("{}@{}", work.name, from.timestamp_millis());
                    let row = window::backfill(&self.c.source, &plan, name, (from, to), again);
                    if !self.known(&row) {
                        changes.push(Change::Work(row.clone()));
                        self.push(&plan, row, Duration::ZERO);
                    }
                }
            }
            changes.push(Change::WorkDone(work));
        }
        feed::settle_backfills(&mut self.jobs);
        changes
    }

    async fn run(mut self) -> Result<(), JournalError> {
        loop {
            let phase = self.c.stop.phase();
            if phase == Phase::Stop {
                break;
            }
            let full = *self.c.full.borrow();
            let wake = if full {
                self.say_full();
                Instant::now() + FAR
            } else {
                self.launch().await?
            };
            if phase >= Phase::Drain && self.flights.is_empty() && self.caught_up() {
                break;
            }
            let wake = self.flush.map_or(wake, |flush| flush.min(wake));
            let (mut stop, mut room) = (self.c.stop.clone(), self.c.full.clone());
            // While running, a request to drain is news; while draining, only a request to stop is.
            let news = if phase >= Phase::Drain { Phase::Stop } else { Phase::Drain };
            tokio::select! {
                biased;
                () = stop.reached(news) => {}
                Some(landed) = self.flights.join_next() => self.land(landed).await?,
                () = self.c.bell.notified() => {
                    // What waits to be written is newer than what would be read.
                    self.write(Vec::new(), true).await?;
                    let state = self.c.journal.load().await?;
                    let changes = self.adopt(&state);
                    self.write(changes, true).await?;
                }
                // An end without a word is as good as no bound.
                () = async {
                    if room.wait_for(|room| *room != full).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                } => {}
                () = tokio::time::sleep_until(wake) => {
                    if self.flush.is_some_and(|flush| flush <= Instant::now()) {
                        self.write(Vec::new(), true).await?;
                    }
                }
            }
        }
        // Dropping a poll loses nothing: nothing of it was committed, and it will be asked again.
        let last = tokio::time::sleep(LAST_PAGE);
        tokio::pin!(last);
        loop {
            tokio::select! {
                landed = self.flights.join_next() => match landed {
                    Some(landed) => self.land(landed).await?,
                    None => break,
                },
                () = &mut last => break,
            }
        }
        // The next run must know of the last request, also where nothing else is left to write.
        let mut last = std::mem::take(&mut self.pending);
        last.extend(self.quota());
        self.c.journal.commit(last).await?;
        Ok(())
    }

    /// Draining is over when every live row has caught up with the moment we began, or cannot go on, no sweep is due, and
    /// no backfill is left but those that wait for a live chain.
    fn caught_up(&self) -> bool {
        let now = Instant::now();
        // Not due, for want of time and not of luck.
        let later = |job: &Job| job.due > now && job.work.reason.is_none();
        self.jobs.iter().all(|job| {
            job.halted
                || match (job.work.lane, &job.part) {
                    (Lane::Live, _) => job.drained,
                    (Lane::Sweep, _) => later(job),
                    (Lane::Backfill, Part::Chain(_)) => job.place().is_none(),
                    (Lane::Backfill, Part::Window(_)) => job.place().is_none() && later(job),
                }
        })
    }
}

fn earlier(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
