//! Collection: one task a source reads all its streams into the journal.
//!
//! *Invariants.* A page is polled, committed and only then followed: poll → commit is never raced. A cursor comes from
//! the vendor, never from records. Retry, waiting and falling back live here, once for all connectors; a connector only
//! says what happens next ([`PollError`]). An empty page is progress, and coverage only ever says what was proven.
//!
//! Everything that a source reads is a list of jobs, one for each work row of the journal. [`feed`] drives those whose place
//! the server keeps, [`window`] those whose place we keep; this file asks, waits and commits for both. Live work goes
//! first, then what the vendor will soon forget, then sweeps (with half of our share), then backfill.

pub mod feed;
mod identity;
mod job;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;
pub mod window;

use crate::board::{Board, StreamState};
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::http::Client;
use crate::journal::{
    Action, Appended, Change, Grade, Handle, JournalError, Lane, Outcome, QuotaRow, State, Work,
};
use crate::source::{Connector, Page, Place, PollError, Source, Stream, StreamKind};
use crate::stop::{Phase, Stop};
use chrono::{DateTime, TimeDelta, Utc};
use identity::{Keyed, keyed};
use job::{Job, Part, same_row};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use window::Next;

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
        let mut reading = Reading {
            c: self,
            jobs: Vec::new(),
            flights: JoinSet::new(),
            pending: Vec::new(),
            flush: None,
            next_id: 0,
            sweeps: HashMap::new(),
            refused: false,
            ahead: None,
        };
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
    /// The credential was refused: one request at a time finds out whether it is good again.
    refused: bool,
    /// How far our clock is ahead of the vendor's, by its last page; none: it has not answered yet.
    ahead: Option<TimeDelta>,
}

impl Reading {
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
            let mut works: Vec<Work> = Vec::new();
            match plan.stream.kind {
                StreamKind::Feed => {
                    let live = known.iter().find(|work| work.lane == Lane::Live).map(|work| (*work).clone());
                    works.push(live.unwrap_or_else(|| feed::live(&self.c.source, name, self.c.start)));
                }
                StreamKind::Windowed { .. } => {
                    let (new, old) =
                        window::first_contact(&self.c.source, &plan, &known, self.c.start, vendor);
                    works.extend(known.iter().filter(|work| !old.contains(work)).map(|work| (*work).clone()));
                    works.extend(new.iter().cloned());
                    changes.extend(new.into_iter().map(Change::Work));
                    changes.extend(old.into_iter().map(Change::WorkDone));
                }
            }
            for work in works {
                let delay = spread(&self.c.source, name);
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
        self.write(changes, true).await?;
        Ok(())
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

    /// Takes up backfills that the journal knows and we do not. An operator's wish about a windowed stream becomes rows
    /// for what the ledger lacks.
    fn adopt(&mut self, state: &State) -> Vec<Change> {
        let mut changes = Vec::new();
        let ours = |work: &&Work| work.source == self.c.source && work.lane == Lane::Backfill;
        let known = |work: &Work, jobs: &[Job]| {
            jobs.iter().any(|job| {
                job.work.lane == work.lane && job.work.name == work.name && job.work.stream == work.stream
            })
        };
        for work in state.works.iter().filter(ours).cloned().collect::<Vec<_>>() {
            let Some(plan) = self.c.streams.iter().find(|plan| plan.stream.name == work.stream) else {
                continue;
            };
            if known(&work, &self.jobs) {
                continue;
            }
            let plan = Arc::new(plan.clone());
            if plan.stream.kind == StreamKind::Feed || window::is_planned(&work) {
                self.push(&plan, work, Duration::ZERO);
                continue;
            }
            for (from, to) in window::wanted(&plan, &work, state) {
                let name = format!("{}@{}", work.name, from.timestamp_millis());
                let row = window::backfill(&self.c.source, &plan, name, (from, to), window::is_again(&work));
                changes.push(Change::Work(row.clone()));
                self.push(&plan, row, Duration::ZERO);
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
        self.write(Vec::new(), true).await?;
        Ok(())
    }

    /// Draining is over when every live row has caught up with the moment we began, or cannot go on, no sweep is due, and
    /// no backfill is left but those that wait for a live chain.
    fn caught_up(&self) -> bool {
        let now = Instant::now();
        self.jobs.iter().all(|job| {
            job.halted
                || match (job.work.lane, &job.part) {
                    (Lane::Live, _) => job.drained,
                    (Lane::Sweep, _) => job.due > now,
                    (Lane::Backfill, Part::Chain(_)) => job.place().is_none(),
                    (Lane::Backfill, Part::Window(_)) => job.place().is_none() && job.due > now,
                }
        })
    }

    /// Asks for everything that is due and that the quota lets go; when to look again.
    async fn launch(&mut self) -> Result<Instant, JournalError> {
        self.plan().await?;
        let (now, wall) = (Instant::now(), self.c.clock.now());
        let vendor = self.vendor();
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|at| {
            self.jobs.get(*at).map(|job| {
                let begin = if job.rank(vendor) == 3 && matches!(job.part, Part::Window(_)) {
                    Some(job.work.from)
                } else {
                    None
                };
                (job.rank(vendor), begin, job.due)
            })
        });
        let mut wake = now + FAR;
        let mut waiting: HashMap<&'static str, (Duration, String)> = HashMap::new();
        for at in order {
            let Some(job) = self.jobs.get(at) else { continue };
            if job.busy {
                continue;
            }
            let Some(place) = job.place() else {
                // A window that is not due yet; a backfill chain waits for its live chain, not for a time.
                if matches!(job.part, Part::Window(_)) {
                    wake = wake.min(job.due);
                }
                continue;
            };
            if job.due > now {
                wake = wake.min(job.due);
                continue;
            }
            // The first request tells the vendor's clock, by which all others are planned.
            let unmet = self.ahead.is_none();
            let single = self.refused || unmet || matches!(job.part, Part::Chain(_));
            if self.flights.len() >= IN_FLIGHT || (single && !self.flights.is_empty()) {
                break;
            }
            let (id, stream, lane) = (job.id, job.plan.stream, job.work.lane);
            let quota = self.c.http.of(stream.name).quota().cloned();
            if let Some(quota) = &quota {
                let sweep = (lane == Lane::Sweep).then(|| self.sweeps.get(&quota.id()).copied()).flatten();
                if let Some(next) = sweep.filter(|next| *next > now) {
                    wake = wake.min(next);
                    continue;
                }
                if let Some(wait) = quota.take(wall) {
                    wake = wake.min(now + wait);
                    let reason = quota.status(wall).reason;
                    let even = || "requests are spread evenly over the vendor's span".to_owned();
                    waiting.entry(stream.name).or_insert_with(|| (wait, reason.unwrap_or_else(even)));
                    continue;
                }
                if lane == Lane::Sweep {
                    self.sweeps.insert(quota.id(), now + quota.period() * 2);
                }
            }
            self.fly(at, id, stream, place, wall);
        }
        self.divide(wall);
        self.say_waits(&waiting, wall);
        Ok(wake)
    }

    fn fly(&mut self, at: usize, id: u64, stream: &'static Stream, place: Place, asked: DateTime<Utc>) {
        if let Some(job) = self.jobs.get_mut(at) {
            job.busy = true;
        }
        let api = Arc::clone(&self.c.api);
        self.flights.spawn(async move {
            // A panic of a connector is an answer too: nothing else may suffer from it.
            let poll = tokio::spawn(async move { api.poll(stream, &place).await });
            let abort = AbortOnDrop(poll.abort_handle());
            let answer = poll.await.unwrap_or_else(|_| Err(defect()));
            drop(abort);
            Landed { id, asked, answer }
        });
    }

    /// Where our share is not used up although backfills are in flight, one of them is divided.
    fn divide(&mut self, wall: DateTime<Utc>) {
        while self.flights.len() < IN_FLIGHT {
            let idle = |job: &Job| {
                let quota = self.c.http.of(job.stream()).quota().cloned();
                job.work.lane == Lane::Backfill && quota.is_none_or(|quota| quota.idle(wall))
            };
            let busy: Vec<usize> = (0..self.jobs.len())
                .filter(|at| self.jobs.get(*at).is_some_and(|job| job.busy && idle(job)))
                .collect();
            let longest = busy
                .into_iter()
                .max_by_key(|at| self.jobs.get(*at).and_then(|job| job.work.to.map(|to| to - job.work.from)));
            let Some(job) = longest.and_then(|at| self.jobs.get_mut(at)) else { return };
            let plan = Arc::clone(&job.plan);
            let Some(Some(work)) = job.windowed(|job, memo| job.divide(memo)) else { return };
            let row = job.row();
            self.later(vec![row, Change::Work(work.clone())]);
            self.push(&plan, work, Duration::ZERO);
            let Some(at) = self.jobs.len().checked_sub(1) else { return };
            self.look_ahead(at);
            let Some(job) = self.jobs.get(at) else { return };
            let (id, stream, Some(place)) = (job.id, job.plan.stream, job.place()) else { return };
            if self.c.http.of(stream.name).ready(wall).is_some() {
                return;
            }
            self.fly(at, id, stream, place, wall);
        }
    }

    /// Gives every windowed row that is due, and has none, its next window.
    async fn plan(&mut self) -> Result<(), JournalError> {
        let (now, wall) = (Instant::now(), self.c.clock.now());
        let mut changes = Vec::new();
        let mut at = 0;
        while let Some(job) = self.jobs.get(at) {
            if !job.busy && job.due <= now && job.place().is_none() && matches!(job.part, Part::Window(_)) {
                changes.extend(self.gap(at));
                changes.extend(self.kept(at, wall));
                self.look_ahead(at);
            }
            at += 1;
        }
        let finished: Vec<Job> = {
            let (finished, jobs) = std::mem::take(&mut self.jobs).into_iter().partition(|job| job.finished);
            self.jobs = jobs;
            finished
        };
        for job in &finished {
            changes.extend(self.finished(job, wall));
        }
        // Rows of a gap must be there before live goes on behind it.
        let now = !changes.is_empty();
        self.write(changes, now).await?;
        Ok(())
    }

    /// The stream's live frontier.
    fn frontier(&self, stream: &str) -> Option<DateTime<Utc>> {
        let live = |job: &&Job| job.stream() == stream && job.work.lane == Lane::Live;
        self.jobs.iter().find(live).map(|job| job.work.from)
    }

    /// A live row that is too far behind: the range becomes a backfill, live and its sweeps go on behind it.
    fn gap(&mut self, at: usize) -> Vec<Change> {
        let vendor = self.vendor();
        let Some(job) =
            self.jobs.get_mut(at).filter(|job| self.ahead.is_some() && job.work.lane == Lane::Live)
        else {
            return Vec::new();
        };
        let plan = Arc::clone(&job.plan);
        let Some((from, to)) = window::gap(&plan, job.work.from, vendor) else { return Vec::new() };
        job.work.from = to;
        let mut changes = vec![job.row()];
        let name = format!("gap-{}", from.timestamp_millis());
        let mut new = vec![window::backfill(&self.c.source, &plan, name, (from, to), false)];
        let open = |job: &&mut Job| {
            job.stream() == plan.stream.name && job.work.lane == Lane::Sweep && job.work.to.is_none()
        };
        for sweep in self.jobs.iter_mut().filter(open) {
            let horizon = sweep.windowed(|_, memo| memo.horizon).unwrap_or_default();
            new.push(window::sweep(&self.c.source, &plan, TimeDelta::seconds(horizon), to));
            sweep.work.to = Some(from.max(sweep.work.from));
            changes.push(sweep.row());
        }
        for work in new {
            changes.push(Change::Work(work.clone()));
            self.push(&plan, work, Duration::ZERO);
        }
        changes
    }

    /// What the vendor has forgotten before we came is a hole; no sweep goes there either.
    fn kept(&mut self, at: usize, asked: DateTime<Utc>) -> Vec<Change> {
        let vendor = self.vendor();
        let Some(job) = self.jobs.get_mut(at).filter(|job| job.work.lane != Lane::Live) else {
            return Vec::new();
        };
        let from = job.work.from;
        let kept = window::kept(&job.plan, vendor).min(job.work.to.unwrap_or(DateTime::<Utc>::MAX_UTC));
        if from >= kept {
            return Vec::new();
        }
        job.work.from = kept;
        let hole = (job.work.lane == Lane::Backfill)
            .then(|| Change::Cover(job.hole(from, kept, "retention", None, asked)));
        hole.into_iter().chain([job.row()]).collect()
    }

    /// Plans the next window of a row.
    fn look_ahead(&mut self, at: usize) {
        let vendor = self.vendor();
        let Some(stream) = self.jobs.get(at).map(Job::stream) else { return };
        let (frontier, met) = (self.frontier(stream).unwrap_or(vendor), self.ahead.is_some());
        let Some(job) = self.jobs.get_mut(at) else { return };
        job.windowed(|job, memo| {
            if let Some(resume) = job.overtaken(memo, vendor, frontier) {
                tracing::warn!(
                    source = job.work.source,
                    stream,
                    horizon_s = memo.horizon,
                    "settling is behind: this horizon is skipped up to {resume}, the next one reads it"
                );
                job.work.from = resume;
            }
            match job.next(memo, vendor, frontier, met) {
                Next::Read(from, to) => memo.window = Some(window::InHand::new(from, to)),
                Next::NotBefore(instant) => {
                    let wait = (instant - vendor).to_std().unwrap_or(Duration::ZERO);
                    job.due = Instant::now() + wait.clamp(Duration::from_millis(100), FAR);
                    job.drained |= job.work.lane == Lane::Live;
                }
                Next::Done => job.finished = true,
            }
        });
    }

    /// One answer: its page is committed, or its trouble decides what happens next.
    async fn land(&mut self, landed: Result<Landed, tokio::task::JoinError>) -> Result<(), JournalError> {
        let Ok(Landed { id, asked, answer }) = landed else { return Ok(()) };
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else { return Ok(()) };
        let mut job = self.jobs.swap_remove(at);
        job.busy = false;
        let outcome = self.digest(&mut job, asked, answer).await;
        if !job.finished {
            self.jobs.push(job);
        }
        feed::settle_backfills(&mut self.jobs);
        outcome
    }

    async fn digest(
        &mut self,
        job: &mut Job,
        asked: DateTime<Utc>,
        answer: Result<Page, PollError>,
    ) -> Result<(), JournalError> {
        let page = match answer {
            Ok(page) => page,
            Err(error) => return self.trouble(job, error, asked).await,
        };
        self.ahead = Some(page.date.map_or(TimeDelta::zero(), |date| asked - date));
        if std::mem::take(&mut self.refused) {
            for other in &mut self.jobs {
                other.halted = false;
            }
        }
        let keyed = if page.records.is_empty() {
            Keyed::default()
        } else {
            let (connector, stream, page) = (self.c.connector, job.plan.stream, page.clone());
            let late = job.late_before(asked);
            match tokio::task::spawn_blocking(move || keyed(connector, stream, &page, late)).await {
                Ok(keyed) => keyed,
                // Nothing is committed: it will be asked again.
                Err(_) => return self.trouble(job, defect(), asked).await,
            }
        };
        match &job.part {
            Part::Chain(_) => self.follow(job, page, keyed, asked).await,
            Part::Window(_) => self.take(job, page, keyed, asked).await,
        }
    }

    /// Commits a page of a window; with the last one, what the window has proven.
    async fn take(
        &mut self,
        job: &mut Job,
        page: Page,
        keyed: Keyed,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let (stream, lane) = (job.plan.stream, job.work.lane);
        let (count, date) = (page.records.len(), page.date.unwrap_or(asked));
        let first = !job.drained;
        job.answered();
        let (heard, last, certain) = job
            .windowed(|job, memo| {
                if count > 0 || memo.heard.is_none() {
                    memo.heard = Some(asked);
                }
                let stood_still = count > 0
                    && page.next.is_some()
                    && page.next.as_ref().map(|c| &c.0) == job.work.cursor.as_ref();
                let Some(window) = &mut memo.window else { return (memo.heard, false, true) };
                window.read.get_or_insert(date);
                window.pages = window.pages.saturating_add(1);
                window.count += count as u64;
                window.oldest = earlier(window.oldest, keyed.oldest);
                window.newest = window.newest.max(keyed.newest);
                if stood_still {
                    return (memo.heard, false, false);
                }
                job.work.cursor = page.next.map(|cursor| cursor.0);
                (memo.heard, job.work.cursor.is_none(), true)
            })
            .unwrap_or((None, false, true));
        if !certain {
            let message =
                "the vendor's page token leads to the page that it came with, although records came";
            let cause = Fault::new(FaultKind::Cursor, message);
            return self.trouble(job, PollError::Restart { cause }, asked).await;
        }
        let mut changes = Vec::new();
        if count > 0 {
            changes.push(job.page(keyed.records, asked));
        }
        if let Some(unread) = page.unread {
            changes.push(Change::Cover(job.hole(unread.start, unread.end, "burst", None, asked)));
        }
        // What a sweep found decides about its grade, and only the commit knows what was new.
        let mut appended = Appended::default();
        if count > 0 && (lane == Lane::Sweep || !last) {
            changes.push(job.row());
            appended = self.write(std::mem::take(&mut changes), true).await?;
            let found = (appended.new + appended.revisions) as u64;
            job.windowed(|_, memo| {
                if let Some(window) = &mut memo.window {
                    window.found += found;
                }
            });
        }
        let (mut covered, before) = (None, (job.work.from, job.work.to));
        if last {
            let concluded = job.windowed(|job, memo| {
                let window = memo.window.take()?;
                Some(job.conclude(memo, window, asked))
            });
            if let Some(concluded) = concluded.flatten() {
                covered = concluded.covered.as_ref().map(|row| row.to);
                changes.extend(concluded.covered.map(Change::Cover));
                for sweep in concluded.sweeps {
                    match window::join(&mut self.jobs, &sweep) {
                        Some(row) => changes.push(row),
                        None => {
                            changes.push(Change::Work(sweep.clone()));
                            let plan = Arc::clone(&job.plan);
                            self.push(&plan, sweep, Duration::ZERO);
                        }
                    }
                }
            }
        }
        changes.push(job.row());
        let page = changes.iter().any(|change| matches!(change, Change::Page(_)));
        let now = page || (first && lane == Lane::Live);
        let more = self.write(changes, now).await?;
        appended = if appended.page.is_some() || appended.duplicates > 0 { appended } else { more };
        self.note(job, appended, asked, covered);
        job.due = Instant::now();
        if last && before == (job.work.from, job.work.to) {
            // Planned by a clock of ours that is ahead: the vendor's has not come there yet.
            job.due += job.plan.poll;
        }
        if last && lane == Lane::Live {
            let edge = window::edge(&job.plan, self.vendor());
            let behind = covered.is_some()
                && job.work.from < edge - TimeDelta::from_std(job.plan.poll).unwrap_or_default();
            // It began at our clock, which may be wrong: what counts is that this window reached what was visible then.
            job.drained |= !behind;
            if !behind {
                self.c.board.source(&self.c.source, |state| state.drained = true);
                job.due = Instant::now() + self.interval(job, heard, asked, first);
            }
        }
        Ok(())
    }

    /// What happens next after an error: the variant says it.
    async fn trouble(
        &mut self,
        job: &mut Job,
        error: PollError,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let cause = error.cause().clone();
        if cause.kind != FaultKind::Network {
            // An answer, though no page: our client has seen the vendor's clock, if it tells it.
            self.ahead.get_or_insert(TimeDelta::zero());
        }
        let refused = matches!(cause.kind, FaultKind::RateLimit | FaultKind::Concurrency);
        let since = job.failing_since(asked);
        let mut told = Vec::new();
        let wait = match &error {
            PollError::Retry { after, .. } => after.unwrap_or_else(|| job.backoff.wait()),
            PollError::Restart { .. } | PollError::Narrow { .. } | PollError::TooOld { .. } => {
                self.again(job, &error, asked, &mut told)
            }
            PollError::Halt { cause } => self.halt(job, cause, asked, &mut told),
        };
        tracing::warn!(source = %self.c.source, stream = job.stream(), lane = ?job.work.lane, error = %cause,
            wait_s = wait.as_secs(), "poll failed");
        let stream = job.stream();
        self.c.board.source(&self.c.source, |state| {
            let ours = state.streams.entry(stream.to_owned()).or_default();
            if refused {
                ours.refused += 1;
                state.refused += 1;
                let until = asked + wait;
                ours.wait = Some((until, cause.to_string()));
                state.wait = Some((until, cause.to_string()));
            } else {
                ours.fault = Some((cause.clone(), since));
                state.fault = Some((cause.clone(), since));
            }
        });
        job.due = Instant::now() + wait;
        job.work.reason = Some(cause.to_string());
        job.work.wait_until = Some(asked + wait);
        told.push(job.row());
        self.write(told, true).await?;
        Ok(())
    }

    /// The place was refused, or the window is too much or too old.
    fn again(
        &mut self,
        job: &mut Job,
        error: &PollError,
        asked: DateTime<Utc>,
        told: &mut Vec<Change>,
    ) -> Duration {
        if let Part::Chain(chain) = &mut job.part {
            return match chain.restart(&mut job.work, asked) {
                Ok(()) => {
                    told.push(feed::bridge_action(&job.work, asked, error.cause()));
                    Duration::ZERO
                }
                Err(wait) => wait,
            };
        }
        if matches!(error, PollError::TooOld { .. }) {
            if let Some(Some((from, to))) = job.windowed(|job, memo| job.forgotten(memo)) {
                told.push(Change::Cover(job.hole(from, to, "retention", None, asked)));
            }
            // A live row that is far behind becomes a backfill; otherwise the vendor contradicts itself.
            return if job.work.lane == Lane::Live { job.backoff.wait() } else { Duration::ZERO };
        }
        let could = job.windowed(|job, memo| job.narrow(memo)).unwrap_or(false);
        // The first time at once; a vendor that refuses everything is not asked in a circle.
        let wait = job.backoff.wait();
        if could && job.backoff.failures() == 1 { Duration::ZERO } else { wait }
    }

    /// Only a person can help. A refused credential concerns all streams, everything else this one.
    fn halt(
        &mut self,
        job: &mut Job,
        cause: &Fault,
        asked: DateTime<Utc>,
        told: &mut Vec<Change>,
    ) -> Duration {
        let why = match cause.kind {
            FaultKind::Credential => Some("credential"),
            FaultKind::Permission => Some("permission"),
            FaultKind::Licence => Some("licence"),
            _ => None,
        };
        let all = cause.kind == FaultKind::Credential;
        let wait = if all {
            let _counted = job.backoff.wait();
            let doubled =
                CREDENTIAL_RETRY.saturating_mul(2u32.saturating_pow(job.backoff.failures().min(8) - 1));
            doubled.min(HALT_RETRY)
        } else {
            HALT_RETRY
        };
        job.halted = true;
        self.refused |= all;
        let due = Instant::now() + wait;
        told.extend(why.and_then(|why| job.unread(why, asked)).map(Change::Cover));
        for other in self.jobs.iter_mut().filter(|other| all || other.stream() == job.stream()) {
            other.halted = true;
            other.due = other.due.max(due);
            if all {
                told.extend(why.and_then(|why| other.unread(why, asked)).map(Change::Cover));
            }
        }
        wait
    }

    /// The changes that end a row. A backfill that was divided has ended with its last part.
    fn finished(&self, job: &Job, asked: DateTime<Utc>) -> Vec<Change> {
        let Change::Work(row) = job.row() else { return Vec::new() };
        let mut changes = vec![Change::WorkDone(row)];
        let family = |job: &Job| match &job.part {
            Part::Chain(_) => job.work.name.clone(),
            Part::Window(window) => window.memo.family.clone(),
        };
        let (ours, stream) = (family(job), job.stream());
        let part = |other: &Job| {
            other.id != job.id
                && !other.finished
                && other.work.lane == Lane::Backfill
                && other.stream() == stream
                && family(other) == ours
        };
        if job.work.lane == Lane::Backfill && !self.jobs.iter().any(part) {
            let from = match job.part {
                Part::Chain(_) => format!(" from {}", job.work.from.format("%Y-%m-%dT%H:%M:%SZ")),
                Part::Window(_) => String::new(),
            };
            let detail = format!("{}/{stream}: backfill{from} finished ({ours})", self.c.source);
            changes.push(Change::Action(Action { at: asked, what: "backfill".to_owned(), detail }));
        }
        changes
    }

    /// The time until the next poll of a stream that has caught up. A silent one is asked less often. The first is
    /// shortened by a hash, so that many sources that began together do not go on together.
    fn interval(&self, job: &Job, heard: Option<DateTime<Utc>>, now: DateTime<Utc>, first: bool) -> Duration {
        let poll = job.plan.poll;
        let silent = heard.map_or(TimeDelta::zero(), |heard| now - heard);
        let doublings = u32::try_from(silent.num_minutes() / SILENCE.num_minutes()).unwrap_or(0).min(8);
        let wait = poll.saturating_mul(1 << doublings).min(SLOWEST.max(poll));
        if first { wait.mul_f64(phase(&self.c.source, &job.work.stream)) } else { wait }
    }

    /// Puts changes aside for the next commit.
    fn later(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.pending.retain(|old| !same_row(old, &change));
            self.pending.push(change);
        }
        if !self.pending.is_empty() {
            self.flush.get_or_insert_with(|| Instant::now() + FLUSH);
        }
    }

    /// Commits at once; or, where nothing would be lost but the progress of empty polls, with the next commit.
    async fn write(&mut self, changes: Vec<Change>, now: bool) -> Result<Appended, JournalError> {
        self.later(changes);
        let due = self.flush.is_some_and(|flush| flush <= Instant::now());
        if self.pending.is_empty() || !(now || due) {
            return Ok(Appended::default());
        }
        self.flush = None;
        let mut all = std::mem::take(&mut self.pending);
        all.extend(self.quota());
        let outcomes = self.c.journal.commit(all).await?;
        let appended = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Appended(appended) => Some(appended),
            _ => None,
        });
        Ok(appended.unwrap_or_default())
    }

    fn quota(&self) -> Option<Change> {
        let now = self.c.clock.now();
        let buckets = self.c.http.buckets();
        let (not_before, state) = (buckets.not_before(now), buckets.state(now));
        Some(Change::Quota(QuotaRow { source: self.c.source.clone(), not_before, state }))
    }

    fn note(&self, job: &Job, appended: Appended, asked: DateTime<Utc>, covered: Option<DateTime<Utc>>) {
        let new = (appended.new + appended.revisions) as u64;
        let live = job.work.lane == Lane::Live;
        self.c.board.source(&self.c.source, |state| {
            state.polls += 1;
            state.fetched += new;
            state.duplicates += appended.duplicates as u64;
            state.revisions += appended.revisions as u64;
            state.last_page = Some(asked);
            state.wait = None;
            let ours = state.streams.entry(job.work.stream.clone()).or_default();
            ours.polls += 1;
            ours.fetched += new;
            ours.duplicates += appended.duplicates as u64;
            ours.revisions += appended.revisions as u64;
            ours.last_page = Some(asked);
            ours.last_record = if new > 0 { Some(asked) } else { ours.last_record };
            ours.fault = None;
            ours.wait = None;
            if live {
                ours.covered_to = ours.covered_to.max(covered);
                state.covered_to = covered.or(state.covered_to);
            }
            state.fault = state.streams.values().find_map(|stream| stream.fault.clone());
        });
        if appended.reused > 0 {
            tracing::error!(source = %self.c.source, stream = job.stream(), records = appended.reused,
                "id reused: a record that the vendor declares immutable came with other content; both are kept");
        }
    }

    fn say_waits(&self, waiting: &HashMap<&'static str, (Duration, String)>, wall: DateTime<Utc>) {
        self.c.board.source(&self.c.source, |state| {
            let longest = waiting.values().max_by_key(|(wait, _)| *wait);
            if let Some((wait, reason)) = longest {
                state.wait = Some((wall + *wait, reason.clone()));
            }
            for (name, (wait, reason)) in waiting {
                state.streams.entry((*name).to_owned()).or_default().wait =
                    Some((wall + *wait, reason.clone()));
            }
        });
    }

    fn say_full(&self) {
        let why = "the journal is full of undelivered pages (journal.budget)";
        let (now, cause) = (self.c.clock.now(), Fault::new(FaultKind::Journal, why));
        self.c.board.source(&self.c.source, |state| {
            state.wait = Some((now + TimeDelta::seconds(1), why.to_owned()));
            state.fault.get_or_insert((cause, now));
        });
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn defect() -> PollError {
    let cause = Fault::new(FaultKind::Answer, "this page could not be read; this is a defect of tidegate");
    PollError::Retry { after: None, cause }
}

fn earlier(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn hash(source: &str, stream: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(source.as_bytes(), xxhash_rust::xxh3::xxh3_64(stream.as_bytes()))
}

/// Spreads the first polls of many sources, always the same way.
fn spread(source: &str, stream: &str) -> Duration {
    Duration::from_millis(hash(source, stream) % 50)
}

/// A part of the first interval: from a half to the whole.
fn phase(source: &str, stream: &str) -> f64 {
    0.5 + (hash(source, stream) % 1000) as f64 / 2000.0
}
