//! Collection: one task a source reads all its streams into the journal.
//!
//! *Invariants.* A page is polled, committed and only then followed: poll → commit is never raced. A cursor comes from
//! the vendor, never from records. Retry, waiting and falling back live here, once for all connectors; a connector only
//! says what happens next ([`PollError`]). An empty page is progress, and coverage only ever says what was proven.
//!
//! [`feed`] drives streams whose server keeps the place. Streams whose place we keep come in beside it.

pub mod feed;
mod identity;

use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::http::Client;
use crate::journal::{Change, Grade, Handle, JournalError, Lane, QuotaRow, State, Work};
use crate::source::{Connector, PollError, Source, Stream, StreamKind};
use crate::stop::{Phase, Stop};
use chrono::{DateTime, Utc};
use feed::Chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long a page in hand may still take after the program was told to stop.
const LAST_PAGE: Duration = Duration::from_secs(5);
/// How often a refused credential is read again and tried.
const CREDENTIAL_RETRY: Duration = Duration::from_secs(60);
/// How often anything else that only a person can mend is tried again (a vendor that counts refusals is not to be provoked).
const HALT_RETRY: Duration = Duration::from_secs(15 * 60);

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
    /// Reads until told to stop, or, draining, until live work has caught up with the moment it began.
    ///
    /// # Errors
    /// Only what the journal says; trouble with the vendor is waited out and shown on the board.
    pub async fn run(mut self) -> Result<(), JournalError> {
        let began = self.clock.now();
        let state = self.journal.load().await?;
        self.restore_quota(&state);
        let mut chains = self.chains(&state, began);
        loop {
            if self.stop.phase() == Phase::Stop
                || (self.stop.phase() >= Phase::Drain && self.caught_up(&chains))
            {
                break;
            }
            let Some(next) = next_due(&chains) else { break };
            match self.wait_for(&chains, next).await {
                Woken::Due => {}
                Woken::Added => {
                    let state = self.journal.load().await?;
                    self.adopt(&mut chains, &state);
                    continue;
                }
                Woken::Stopped => break,
                Woken::Changed => continue,
            }
            let Some(chain) = chains.get_mut(next) else { break };
            self.step(chain).await?;
            feed::settle_backfills(&mut chains);
            chains.retain(|chain| !chain.finished);
        }
        for chain in &mut chains {
            if let Some(changes) = chain.pending.take() {
                self.journal.commit(changes.changes).await?;
            }
        }
        Ok(())
    }

    /// Draining is over when every live chain was drained after `began`, or cannot go on, and no backfill is left but
    /// those that wait for a live chain.
    fn caught_up(&self, chains: &[Chain]) -> bool {
        chains.iter().all(|chain| {
            let drained = chain.work.lane == Lane::Live && chain.drained_since_start;
            chain.halted || drained || !chain.ready()
        })
    }

    fn chains(&mut self, state: &State, began: DateTime<Utc>) -> Vec<Chain> {
        let mut chains = Vec::new();
        for plan in &self.streams {
            let stream = plan.stream;
            if stream.kind != StreamKind::Feed {
                let fault = Fault::new(
                    FaultKind::Configuration,
                    format!("stream {} is read by windows, which this version does not do", stream.name),
                );
                self.board.source(&self.source, |s| s.fault = Some((fault, began)));
                continue;
            }
            let live = state.works.iter().find(|work| {
                work.source == self.source && work.stream == stream.name && work.lane == Lane::Live
            });
            let work = live.cloned().unwrap_or_else(|| self.first_contact(stream));
            chains.push(Chain::new(plan, work, spread(&self.source, stream.name)));
        }
        let rows = state.coverage.iter().filter(|row| row.source == self.source && row.grade != Grade::Hole);
        let covered = rows.map(|row| row.to).max();
        self.board.source(&self.source, |s| s.covered_to = covered);
        self.adopt(&mut chains, state);
        chains
    }

    fn first_contact(&self, stream: &Stream) -> Work {
        Work {
            source: self.source.clone(),
            stream: stream.name.to_owned(),
            lane: Lane::Live,
            name: feed::LIVE.to_owned(),
            from: self.start,
            to: None,
            cursor: None,
            wait_until: None,
            reason: None,
            memo: String::new(),
        }
    }

    /// Takes up backfills that the journal knows and we do not.
    fn adopt(&self, chains: &mut Vec<Chain>, state: &State) {
        for work in state.works.iter().filter(|w| w.source == self.source && w.lane == Lane::Backfill) {
            let same = |known: &Work| {
                known.lane == work.lane && known.name == work.name && known.stream == work.stream
            };
            let known = chains.iter().any(|chain| same(&chain.work));
            let plan = self.streams.iter().find(|plan| plan.stream.name == work.stream);
            if let (false, Some(plan)) = (known, plan) {
                chains.push(Chain::new(plan, work.clone(), Duration::ZERO));
            }
        }
        feed::settle_backfills(chains);
    }

    /// Waits until the chain is due, quota lets it go and the journal has room.
    async fn wait_for(&mut self, chains: &[Chain], next: usize) -> Woken {
        let Some(chain) = chains.get(next) else { return Woken::Stopped };
        let mut due = chain.due;
        if *self.full.borrow() {
            let why = "the journal is full of undelivered pages (journal.budget)";
            let (now, cause) = (self.clock.now(), Fault::new(FaultKind::Journal, why));
            self.say_wait(None, why);
            self.board.source(&self.source, |state| {
                state.fault.get_or_insert((cause, now));
            });
            let full = &mut self.full;
            let room = async {
                if full.wait_for(|full| !full).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            return match self.stop.unless_stopped(room).await {
                Some(()) => Woken::Changed,
                None => Woken::Stopped,
            };
        }
        if due <= Instant::now() {
            match self.http.of(chain.stream.name).ready(self.clock.now()) {
                None => {
                    self.board.source(&self.source, |s| s.wait = None);
                    return Woken::Due;
                }
                Some(wait) => {
                    due = Instant::now() + wait;
                    let reason = self
                        .http
                        .of(chain.stream.name)
                        .quota()
                        .and_then(|quota| quota.status(self.clock.now()).reason);
                    let reason = reason
                        .unwrap_or_else(|| "requests are spread evenly over the vendor's span".to_owned());
                    self.say_wait(Some(wait), &reason);
                }
            }
        }
        let draining = self.stop.phase() >= Phase::Drain;
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            // While running, a request to drain is news; while draining, only a request to stop is.
            () = stop.reached(if draining { Phase::Stop } else { Phase::Drain }) => Woken::Changed,
            () = self.bell.notified() => Woken::Added,
            () = tokio::time::sleep_until(due) => Woken::Changed,
        }
    }

    fn say_wait(&self, wait: Option<Duration>, reason: &str) {
        let until = self.clock.now() + wait.unwrap_or(Duration::from_secs(1));
        self.board.source(&self.source, |s| s.wait = Some((until, reason.to_owned())));
    }

    /// One poll and its commit.
    async fn step(&mut self, chain: &mut Chain) -> Result<(), JournalError> {
        let asked = self.clock.now();
        let place = chain.place();
        let api = Arc::clone(&self.api);
        let mut stop = self.stop.clone();
        let answer = tokio::select! {
            biased;
            answer = api.poll(chain.stream, &place) => answer,
            // Dropping a poll loses nothing: nothing of it was committed, and it will be asked again.
            () = async { stop.reached(Phase::Stop).await; tokio::time::sleep(LAST_PAGE).await } => return Ok(()),
        };
        match answer {
            Ok(page) => self.take(chain, page, asked).await,
            Err(error) => self.trouble(chain, error, asked).await,
        }
    }

    /// What happens next after an error: the variant says it.
    async fn trouble(
        &mut self,
        chain: &mut Chain,
        error: PollError,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let cause = error.cause().clone();
        let refused = matches!(cause.kind, FaultKind::RateLimit | FaultKind::Concurrency);
        let since = chain.failing_since(asked);
        let mut told = None;
        let wait = match &error {
            PollError::Retry { after, .. } => after.unwrap_or_else(|| chain.backoff.wait()),
            PollError::Restart { .. } | PollError::Narrow { .. } | PollError::TooOld { .. } => {
                match chain.restart(asked) {
                    Ok(()) => {
                        told = Some(chain.bridge_action(&self.source, asked, &cause));
                        Duration::ZERO
                    }
                    Err(wait) => wait,
                }
            }
            PollError::Halt { cause } => {
                chain.halted = true;
                let why = match cause.kind {
                    FaultKind::Credential => Some("credential"),
                    FaultKind::Permission => Some("permission"),
                    FaultKind::Licence => Some("licence"),
                    _ => None,
                };
                told = why.map(|why| Change::Cover(self.unread(chain, why, asked)));
                if cause.kind == FaultKind::Credential { CREDENTIAL_RETRY } else { HALT_RETRY }
            }
        };
        tracing::warn!(source = %self.source, stream = chain.stream.name, error = %cause, wait_s = wait.as_secs(),
            "poll failed");
        self.board.source(&self.source, |state| {
            if refused {
                state.refused += 1;
                let until = asked + wait;
                state.wait = Some((until, cause.to_string()));
            } else {
                state.fault = Some((cause.clone(), since));
            }
        });
        chain.due = Instant::now() + wait;
        chain.work.reason = Some(cause.to_string());
        chain.work.wait_until = Some(asked + wait);
        let mut changes = chain.pending.take().map(|pending| pending.changes).unwrap_or_default();
        changes.extend(told);
        changes.push(Change::Work(chain.row()));
        changes.extend(self.quota_change());
        self.journal.commit(changes).await?;
        Ok(())
    }

    fn quota_change(&self) -> Option<Change> {
        let now = self.clock.now();
        let buckets = self.http.buckets();
        let (not_before, state) = (buckets.not_before(now), buckets.state(now));
        Some(Change::Quota(QuotaRow { source: self.source.clone(), not_before, state }))
    }

    fn restore_quota(&self, state: &State) {
        if let Some(row) = state.quotas.iter().find(|row| row.source == self.source) {
            self.http.buckets().restore(&row.state, self.clock.now());
        }
    }
}

enum Woken {
    Due,
    Added,
    Changed,
    Stopped,
}

/// Live chains that are behind first; then whoever has been due for longest, so that a live chain that is asked often
/// cannot starve a backfill.
fn next_due(chains: &[Chain]) -> Option<usize> {
    let now = Instant::now();
    let rank = |chain: &Chain| {
        let catching_up = chain.work.lane == Lane::Live && chain.behind;
        (chain.due > now, chain.due <= now && !catching_up, chain.due)
    };
    chains.iter().enumerate().filter(|(_, c)| c.ready()).min_by_key(|(_, c)| rank(c)).map(|(index, _)| index)
}

/// Spreads the first polls of many sources over two seconds, always the same way.
fn spread(source: &str, stream: &str) -> Duration {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(
        source.as_bytes(),
        xxhash_rust::xxh3::xxh3_64(stream.as_bytes()),
    );
    Duration::from_millis(hash % 50)
}
