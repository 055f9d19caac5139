//! Feeds: the server keeps the place; we keep its cursor byte for byte.
//!
//! The live chain of a stream begins once, at `start`, and never ends. Backfill is a second chain from an older point,
//! followed until it has met the live one. A refused cursor begins the live chain anew, a little before the last point
//! that is proven (the *bridge*); dedupe takes out what comes twice.

use super::identity::keyed;
use super::{Collector, HALT_RETRY};
use crate::fault::Fault;
use crate::http::Backoff;
use crate::journal::{
    Action, Appended, Change, Grade, Interval, JournalError, Lane, NewPage, NewRecord, Outcome, Work,
};
use crate::source::{Cursor, Page, Place, Stream};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The name of a stream's live chain.
pub const LIVE: &str = "live";
/// A bridge begins this long before the vendor's clock at the last drained page: persistence may lag publication.
const BRIDGE_OVERLAP: TimeDelta = TimeDelta::minutes(10);
/// A vendor that refuses every cursor must not make us read the same day for ever.
const BRIDGE_EVERY: TimeDelta = TimeDelta::hours(1);
/// The progress of empty polls is written at least this often; losing it costs a poll.
const FLUSH: Duration = Duration::from_secs(30);
/// A silent stream is asked less often, down to this.
const SLOWEST: Duration = Duration::from_secs(600);
/// It takes this long a silence to double the time between two polls.
const SILENCE: TimeDelta = TimeDelta::minutes(30);
/// Cursors remembered to notice a vendor that leads us in a circle.
const CIRCLE: usize = 64;

/// What a chain remembers between two runs, beside its cursor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memo {
    /// The vendor's clock at the first page of the chain.
    pub first: Option<DateTime<Utc>>,
    /// The vendor's clock at the last drained page: up to here the chain is proven.
    pub drained: Option<DateTime<Utc>>,
    /// The vendor's clock at the first page after that: what it no longer kept then was never shown to us.
    pub resumed: Option<DateTime<Utc>>,
    /// Records since then.
    pub count: u64,
    /// Their oldest time.
    pub oldest: Option<DateTime<Utc>>,
    /// Their newest time.
    pub newest: Option<DateTime<Utc>>,
    /// The present interval began after a refused cursor.
    pub bridge: bool,
    /// When a cursor was last refused.
    pub reset: Option<DateTime<Utc>>,
    /// Since when nothing works.
    pub failing: Option<DateTime<Utc>>,
    /// When something last came.
    pub heard: Option<DateTime<Utc>>,
    /// Re-reads what the ledger has already.
    pub again: bool,
}

/// Progress that waits to be written.
pub(super) struct Pending {
    pub(super) changes: Vec<Change>,
    since: Instant,
}

/// One chain in the hands of its collector.
pub(super) struct Chain {
    pub(super) stream: &'static Stream,
    pub(super) work: Work,
    pub(super) memo: Memo,
    pub(super) due: Instant,
    pub(super) backoff: Backoff,
    pub(super) pending: Option<Pending>,
    pub(super) finished: bool,
    pub(super) halted: bool,
    pub(super) drained_since_start: bool,
    /// More was ready when it was last asked.
    pub(super) behind: bool,
    recent: VecDeque<u64>,
}

impl Chain {
    pub(super) fn new(stream: &'static Stream, work: Work, delay: Duration) -> Self {
        let memo = serde_json::from_str(&work.memo).unwrap_or_default();
        Self {
            stream,
            memo,
            due: Instant::now() + delay,
            backoff: Backoff::new(&format!("{}/{}", work.source, work.stream)),
            work,
            pending: None,
            finished: false,
            halted: false,
            drained_since_start: false,
            behind: true,
            recent: VecDeque::new(),
        }
    }

    /// A backfill without an end waits until the live chain has seen the vendor's clock.
    pub(super) fn ready(&self) -> bool {
        self.work.lane == Lane::Live || self.work.to.is_some()
    }

    pub(super) fn place(&self) -> Place {
        Place::Feed { cursor: self.work.cursor.clone().map(Cursor), since: self.work.from }
    }

    /// The work row as it should be kept.
    pub(super) fn row(&self) -> Work {
        let mut work = self.work.clone();
        work.memo = serde_json::to_string(&self.memo).unwrap_or_default();
        work
    }

    /// A page of this chain on its way into the journal.
    fn page(&self, records: Vec<NewRecord>, at: DateTime<Utc>) -> NewPage {
        NewPage {
            source: self.work.source.clone(),
            stream: self.stream.name.to_owned(),
            lane: self.work.lane,
            at,
            records,
            reread: self.memo.again,
            immutable: self.stream.immutable,
        }
    }

    pub(super) fn failing_since(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        *self.memo.failing.get_or_insert(now)
    }

    /// Forgets a refused cursor and goes back to the last proven point; or says how long that must wait.
    pub(super) fn restart(&mut self, now: DateTime<Utc>) -> Result<(), Duration> {
        if let Some(reset) = self.memo.reset
            && now - reset < BRIDGE_EVERY
        {
            return Err((reset + BRIDGE_EVERY - now).to_std().unwrap_or(HALT_RETRY));
        }
        if let Some(drained) = self.memo.drained {
            self.work.from = drained - BRIDGE_OVERLAP;
        }
        self.work.cursor = None;
        self.memo.reset = Some(now);
        self.memo.bridge = true;
        self.recent.clear();
        Ok(())
    }

    pub(super) fn bridge_action(&self, source: &str, at: DateTime<Utc>, cause: &Fault) -> Change {
        let detail = format!(
            "{source}/{}: the vendor refused our cursor ({cause}); reading again from {}",
            self.stream.name,
            self.work.from.format("%Y-%m-%dT%H:%M:%SZ")
        );
        Change::Action(Action { at, what: "bridge".to_owned(), detail })
    }

    /// Whether the vendor leads us in a circle: records came, but to a place where we were.
    fn circles(&mut self, next: Option<&Cursor>, records: usize) -> bool {
        let Some(next) = next else { return false };
        if records == 0 {
            return false;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(&next.0);
        let stood_still = self.work.cursor.as_deref() == Some(next.0.as_slice());
        let circle = stood_still || self.recent.contains(&hash);
        if !circle {
            self.recent.push_back(hash);
            if self.recent.len() > CIRCLE {
                self.recent.pop_front();
            }
        }
        circle
    }

    /// The time until the next poll of a drained chain.
    fn interval(&self, poll: Duration, now: DateTime<Utc>) -> Duration {
        let silent = self.memo.heard.map_or(TimeDelta::zero(), |heard| now - heard);
        let doublings = u32::try_from(silent.num_minutes() / SILENCE.num_minutes()).unwrap_or(0).min(8);
        poll.saturating_mul(1 << doublings).min(SLOWEST.max(poll))
    }
}

/// Gives backfills that wait for it their end: the live chain's first look at the vendor's clock.
pub(super) fn settle_backfills(chains: &mut [Chain]) {
    let firsts: Vec<(&'static str, DateTime<Utc>)> = chains
        .iter()
        .filter(|chain| chain.work.lane == Lane::Live)
        .filter_map(|chain| chain.memo.first.map(|first| (chain.stream.name, first)))
        .collect();
    for chain in
        chains.iter_mut().filter(|chain| chain.work.lane == Lane::Backfill && chain.work.to.is_none())
    {
        chain.work.to =
            firsts.iter().find(|(stream, _)| *stream == chain.stream.name).map(|(_, first)| *first);
    }
}

/// The work row of an operator's backfill.
#[must_use]
pub fn backfill(
    source: &str,
    stream: &str,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
    again: bool,
) -> Work {
    Work {
        source: source.to_owned(),
        stream: stream.to_owned(),
        lane: Lane::Backfill,
        name: match to {
            None => format!("backfill-{}", from.format("%Y%m%dT%H%M%SZ")),
            Some(to) => format!("backfill-{}-{}", from.format("%Y%m%dT%H%M%SZ"), to.format("%Y%m%dT%H%M%SZ")),
        },
        from,
        to,
        cursor: None,
        wait_until: None,
        reason: None,
        memo: serde_json::to_string(&Memo { again, ..Memo::default() }).unwrap_or_default(),
    }
}

impl Collector {
    /// Commits a page with its cursor and whatever it proves.
    pub(super) async fn take(
        &mut self,
        chain: &mut Chain,
        page: Page,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let count = page.records.len();
        let date = page.date.unwrap_or(asked);
        let drained = !page.wait.is_zero();
        let circle = chain.circles(page.next.as_ref(), count);
        let (connector, stream) = (self.connector, chain.stream);
        let next = page.next.clone();
        let keyed = tokio::task::spawn_blocking(move || keyed(connector, stream, &page)).await;
        let Ok(keyed) = keyed else {
            return self.broken_page(chain, asked).await;
        };

        chain.memo.first.get_or_insert(date);
        chain.memo.resumed.get_or_insert(date);
        chain.memo.failing = None;
        chain.memo.count += count as u64;
        chain.memo.oldest = min(chain.memo.oldest, keyed.oldest);
        chain.memo.newest = chain.memo.newest.max(keyed.newest);
        if count > 0 || chain.memo.heard.is_none() {
            chain.memo.heard = Some(asked);
        }
        chain.work.reason = None;
        chain.work.wait_until = None;
        chain.backoff.reset();
        if !circle {
            chain.work.cursor = next.map(|cursor| cursor.0);
        }

        let mut changes = Vec::new();
        if count > 0 {
            changes.push(Change::Page(chain.page(keyed.records, asked)));
        }
        let mut covered = None;
        if drained && !circle {
            let (interval, lost) = self.proven(chain, date, asked);
            covered = Some(interval.to);
            changes.extend(lost.map(Change::Cover));
            changes.push(Change::Cover(interval));
        }
        changes.push(Change::Work(chain.row()));
        let appended = self.write(chain, changes, count > 0).await?;
        self.note(appended, asked, covered);
        if appended.reused > 0 {
            tracing::error!(source = %self.source, stream = stream.name, records = appended.reused,
                "id reused: a record that the vendor declares immutable came with other content; both are kept");
        }

        chain.halted = false;
        chain.behind = !drained;
        let poll = self.poll.unwrap_or(stream.poll);
        let nothing_new = appended.new == 0 && appended.revisions == 0;
        let wait = if circle {
            tracing::warn!(source = %self.source, stream = stream.name, "the vendor's next link leads back to where we were");
            chain.backoff.wait().max(Duration::from_secs(1))
        } else if drained {
            chain.drained_since_start = true;
            if chain.work.lane == Lane::Live {
                self.board.source(&self.source, |state| state.drained = true);
            }
            chain.interval(poll, asked)
        } else {
            Duration::ZERO
        };
        chain.due = Instant::now() + wait;
        if chain.work.lane == Lane::Backfill && !circle {
            let past = chain.work.to.is_some_and(|to| keyed.newest.is_some_and(|newest| newest >= to));
            if drained || (past && nothing_new) {
                self.finish_backfill(chain, asked).await?;
            }
        }
        Ok(())
    }

    /// What a drained page proves: everything that the vendor had persisted by its clock. And the hole before it, where
    /// we began or went on too late: what the vendor had forgotten by then, no cursor can prove.
    fn proven(
        &self,
        chain: &mut Chain,
        date: DateTime<Utc>,
        asked: DateTime<Utc>,
    ) -> (Interval, Option<Interval>) {
        let wanted = match (chain.memo.bridge, chain.memo.drained) {
            (false, Some(drained)) => drained,
            _ => chain.work.from,
        };
        let to = match chain.work.to {
            // Nobody can have read the future.
            Some(end) if chain.work.lane == Lane::Backfill => end.min(date).max(wanted),
            _ => date.max(wanted),
        };
        let retention = TimeDelta::from_std(chain.stream.retention).unwrap_or(TimeDelta::MAX);
        let resumed = chain.memo.resumed.take().unwrap_or(date);
        let from = resumed.checked_sub_signed(retention).map_or(wanted, |kept| kept.clamp(wanted, to));
        let lost = (from > wanted).then(|| self.hole(chain, wanted, from, "retention", None, asked));
        let interval = Interval {
            id: 0,
            source: self.source.clone(),
            stream: chain.stream.name.to_owned(),
            from,
            to,
            grade: Grade::Chain,
            cause: chain.memo.bridge.then(|| "bridge".to_owned()),
            repairable_until: None,
            count: chain.memo.count,
            oldest: chain.memo.oldest,
            newest: chain.memo.newest,
            read_at: asked,
        };
        let memo = &mut chain.memo;
        (memo.drained, memo.bridge, memo.count, memo.oldest, memo.newest) = (Some(to), false, 0, None, None);
        (interval, lost)
    }

    /// What was not read, why, and until when it still can be. A better statement about the same time replaces it.
    fn hole(
        &self,
        chain: &Chain,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        cause: &str,
        repairable_until: Option<DateTime<Utc>>,
        asked: DateTime<Utc>,
    ) -> Interval {
        Interval {
            id: 0,
            source: self.source.clone(),
            stream: chain.stream.name.to_owned(),
            from,
            to,
            grade: Grade::Hole,
            cause: Some(cause.to_owned()),
            repairable_until,
            count: 0,
            oldest: None,
            newest: None,
            read_at: asked,
        }
    }

    /// While only a person can help, the ledger says what is missing. Reading goes on from the same cursor once it is
    /// mended, and its grade then replaces this.
    pub(super) fn unread(&self, chain: &Chain, cause: &str, asked: DateTime<Utc>) -> Interval {
        let from = chain.memo.drained.unwrap_or(chain.work.from);
        let retention = TimeDelta::from_std(chain.stream.retention).unwrap_or(TimeDelta::MAX);
        let to = chain.work.to.unwrap_or(asked);
        self.hole(chain, from, to, cause, from.checked_add_signed(retention), asked)
    }

    /// Commits at once when records came; the progress of empty polls may wait a little.
    async fn write(
        &self,
        chain: &mut Chain,
        changes: Vec<Change>,
        now: bool,
    ) -> Result<Appended, JournalError> {
        let mut all = chain.pending.take().unwrap_or(Pending { changes: Vec::new(), since: Instant::now() });
        all.changes.retain(|change| !matches!(change, Change::Work(_)));
        all.changes.extend(changes);
        all.changes.extend(self.quota_change());
        let first = chain.memo.drained.is_none() || !chain.drained_since_start;
        if !now && !first && all.since.elapsed() < FLUSH {
            chain.pending = Some(all);
            return Ok(Appended::default());
        }
        let outcomes = self.journal.commit(all.changes).await?;
        let appended = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Appended(appended) => Some(appended),
            _ => None,
        });
        Ok(appended.unwrap_or_default())
    }

    fn note(&self, appended: Appended, asked: DateTime<Utc>, covered: Option<DateTime<Utc>>) {
        self.board.source(&self.source, |state| {
            state.polls += 1;
            state.fetched += (appended.new + appended.revisions) as u64;
            state.duplicates += appended.duplicates as u64;
            state.revisions += appended.revisions as u64;
            state.last_page = Some(asked);
            state.fault = None;
            state.wait = None;
            state.covered_to = covered.or(state.covered_to);
        });
    }

    async fn finish_backfill(&mut self, chain: &mut Chain, asked: DateTime<Utc>) -> Result<(), JournalError> {
        let mut changes = chain.pending.take().map(|pending| pending.changes).unwrap_or_default();
        if chain.memo.count > 0 || chain.memo.drained.is_none() {
            let (interval, lost) = self.proven(chain, asked, asked);
            changes.extend(lost.map(Change::Cover));
            changes.push(Change::Cover(interval));
        }
        changes.push(Change::WorkDone(chain.row()));
        let detail = format!(
            "{}/{}: backfill from {} finished",
            self.source,
            chain.stream.name,
            chain.work.from.format("%Y-%m-%dT%H:%M:%SZ")
        );
        changes.push(Change::Action(Action { at: asked, what: "backfill".to_owned(), detail }));
        self.journal.commit(changes).await?;
        chain.finished = true;
        Ok(())
    }

    /// Reading the page's identities failed inside our own code: nothing is committed, it will be asked again.
    async fn broken_page(&mut self, chain: &mut Chain, asked: DateTime<Utc>) -> Result<(), JournalError> {
        let cause = Fault::new(
            crate::fault::FaultKind::Answer,
            "this page could not be read; this is a defect of tidegate",
        );
        self.trouble(chain, crate::source::PollError::Retry { after: None, cause }, asked).await
    }
}

fn min(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::StreamKind;
    use crate::testkit::sink::NAMES;

    static LOG: Stream = Stream {
        name: "log",
        kind: StreamKind::Feed,
        default: true,
        immutable: true,
        retention: Duration::from_secs(90 * 24 * 3600),
        poll: Duration::from_secs(60),
        names: &NAMES,
    };

    #[test]
    fn only_a_backfill_that_was_asked_to_read_again_says_so_of_its_pages() {
        let (from, to) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::days(1));
        let page = |work| Chain::new(&LOG, work, Duration::ZERO).page(Vec::new(), to);
        let [once, again] = [false, true].map(|again| page(backfill("acme", "log", from, Some(to), again)));
        assert_eq!((once.lane, once.reread), (Lane::Backfill, false));
        assert_eq!((again.lane, again.reread), (Lane::Backfill, true));
        assert_eq!((again.source.as_str(), again.stream.as_str(), again.at), ("acme", "log", to));
    }
}
