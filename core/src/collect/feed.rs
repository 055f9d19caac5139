//! Feeds: the server keeps the place; we keep its cursor byte for byte.
//!
//! The live chain of a stream begins once, at `start`, and never ends. Backfill is a second chain from an older point,
//! followed until it has met the live one. A refused cursor begins the live chain anew, a little before the last point
//! that is proven (the *bridge*); dedupe takes out what comes twice.

use super::identity::Keyed;
use super::job::{Job, Part};
use super::{HALT_RETRY, Reading, earlier};
use crate::fault::Fault;
use crate::journal::{Action, Change, Grade, Interval, JournalError, Lane, Work};
use crate::source::{Cursor, Page, Place};
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
/// Cursors and page tokens remembered to notice a vendor that leads us in a circle.
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

/// One chain in the hands of its collector.
pub(super) struct Chain {
    pub(super) memo: Memo,
    /// More was ready when it was last asked.
    pub(super) behind: bool,
    circle: Circle,
}

/// The places that a chain or a window was led to of late.
#[derive(Default)]
pub(super) struct Circle(VecDeque<u64>);

impl Chain {
    pub(super) fn new(work: &Work) -> Self {
        let memo = serde_json::from_str(&work.memo).unwrap_or_default();
        Self { memo, behind: true, circle: Circle::default() }
    }

    pub(super) fn place(work: &Work) -> Place {
        Place::Feed { cursor: work.cursor.clone().map(Cursor), since: work.from }
    }

    /// Forgets a refused cursor and goes back to the last proven point; or says how long that must wait.
    pub(super) fn restart(&mut self, work: &mut Work, now: DateTime<Utc>) -> Result<(), Duration> {
        if let Some(reset) = self.memo.reset
            && now - reset < BRIDGE_EVERY
        {
            return Err((reset + BRIDGE_EVERY - now).to_std().unwrap_or(HALT_RETRY));
        }
        if let Some(drained) = self.memo.drained {
            work.from = drained - BRIDGE_OVERLAP;
        }
        work.cursor = None;
        self.memo.reset = Some(now);
        self.memo.bridge = true;
        self.circle.clear();
        Ok(())
    }
}

impl Circle {
    /// Whether the vendor leads us in a circle: records came, but to a place where we were.
    pub(super) fn closes(&mut self, cursor: Option<&[u8]>, next: Option<&Cursor>, records: usize) -> bool {
        let Some(next) = next else { return false };
        if records == 0 {
            return false;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(&next.0);
        let closed = cursor == Some(next.0.as_slice()) || self.0.contains(&hash);
        if !closed {
            self.0.push_back(hash);
            if self.0.len() > CIRCLE {
                self.0.pop_front();
            }
        }
        closed
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The live row of a stream.
pub(super) fn live(source: &str, stream: &str, from: DateTime<Utc>) -> Work {
    let work = backfill(source, stream, from, None, false);
    Work { lane: Lane::Live, name: LIVE.to_owned(), memo: String::new(), ..work }
}

pub(super) fn bridge_action(work: &Work, at: DateTime<Utc>, cause: &Fault) -> Change {
    let detail = format!(
        "{}/{}: the vendor refused our cursor ({cause}); reading again from {}",
        work.source,
        work.stream,
        work.from.format("%Y-%m-%dT%H:%M:%SZ")
    );
    Change::Action(Action { at, what: "bridge".to_owned(), detail })
}

/// Gives backfill chains that wait for it their end: the live chain's first look at the vendor's clock.
pub(super) fn settle_backfills(jobs: &mut [Job]) {
    let firsts: Vec<(&'static str, DateTime<Utc>)> = jobs
        .iter()
        .filter(|job| job.work.lane == Lane::Live)
        .filter_map(|job| match &job.part {
            Part::Chain(chain) => chain.memo.first.map(|first| (job.stream(), first)),
            Part::Window(_) => None,
        })
        .collect();
    let waiting = |job: &&mut Job| {
        job.work.lane == Lane::Backfill && job.work.to.is_none() && matches!(job.part, Part::Chain(_))
    };
    for job in jobs.iter_mut().filter(waiting) {
        let name = job.stream();
        job.work.to = firsts.iter().find(|(stream, _)| *stream == name).map(|(_, first)| *first);
    }
}

/// The work row of an operator's backfill. The collector that takes it up makes of it what the stream's kind needs.
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

impl Reading {
    /// Commits a page of a chain with its cursor and whatever it proves.
    pub(super) async fn follow(
        &mut self,
        job: &mut Job,
        page: Page,
        keyed: Keyed,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let Part::Chain(chain) = &mut job.part else { return Ok(()) };
        let stream = job.plan.stream;
        let (count, date, drained) = (page.records.len(), page.date.unwrap_or(asked), !page.wait.is_zero());
        let circle = chain.circle.closes(job.work.cursor.as_deref(), page.next.as_ref(), count);
        chain.memo.first.get_or_insert(date);
        chain.memo.resumed.get_or_insert(date);
        chain.memo.failing = None;
        chain.memo.count += count as u64;
        chain.memo.oldest = earlier(chain.memo.oldest, keyed.oldest);
        chain.memo.newest = chain.memo.newest.max(keyed.newest);
        if count > 0 || chain.memo.heard.is_none() {
            chain.memo.heard = Some(asked);
        }
        let heard = chain.memo.heard;
        job.answered();
        if !circle {
            job.work.cursor = page.next.map(|cursor| cursor.0);
        }

        let mut changes = Vec::new();
        if count > 0 {
            changes.push(job.page(keyed.records, asked));
        }
        let mut covered = None;
        let first = !job.drained;
        if drained && !circle {
            let (interval, lost) = proven(job, date, asked);
            covered = Some(interval.to);
            changes.extend(lost.map(Change::Cover));
            changes.push(Change::Cover(interval));
        }
        changes.push(job.row());
        let appended = self.write(changes, count > 0 || first).await?;
        self.note(job, appended, asked, covered);

        let nothing_new = appended.new == 0 && appended.revisions == 0;
        if let Part::Chain(chain) = &mut job.part {
            chain.behind = !drained;
        }
        let wait = if circle {
            tracing::warn!(source = %self.c.source, stream = stream.name,
                "the vendor's next link leads back to where we were");
            job.backoff.wait().max(Duration::from_secs(1))
        } else if drained {
            job.drained = true;
            if job.work.lane == Lane::Live {
                self.say_drained(job);
            }
            self.interval(job, heard, asked, first)
        } else {
            Duration::ZERO
        };
        job.due = Instant::now() + wait;
        if job.work.lane == Lane::Backfill && !circle {
            let past = job.work.to.is_some_and(|to| keyed.newest.is_some_and(|newest| newest >= to));
            if drained || (past && nothing_new) {
                self.finish_chain(job, asked).await?;
            }
        }
        Ok(())
    }

    async fn finish_chain(&mut self, job: &mut Job, asked: DateTime<Utc>) -> Result<(), JournalError> {
        let mut changes = Vec::new();
        let Part::Chain(chain) = &job.part else { return Ok(()) };
        if chain.memo.count > 0 || chain.memo.drained.is_none() {
            let (interval, lost) = proven(job, asked, asked);
            changes.extend(lost.map(Change::Cover));
            changes.push(Change::Cover(interval));
        }
        changes.extend(self.finished(job, asked));
        self.write(changes, true).await?;
        job.finished = true;
        Ok(())
    }
}

/// What a drained page proves: everything that the vendor had persisted by its clock. And the hole before it, where
/// we began or went on too late: what the vendor had forgotten by then, no cursor can prove.
fn proven(job: &mut Job, date: DateTime<Utc>, asked: DateTime<Utc>) -> (Interval, Option<Interval>) {
    let retention = TimeDelta::from_std(job.plan.retention).unwrap_or(TimeDelta::MAX);
    let (work_from, work_to, lane) = (job.work.from, job.work.to, job.work.lane);
    let mut interval = job.interval(Grade::Chain, work_from, work_from, asked);
    let Part::Chain(chain) = &mut job.part else { return (interval, None) };
    let memo = &mut chain.memo;
    let wanted = match (memo.bridge, memo.drained) {
        (false, Some(drained)) => drained,
        _ => work_from,
    };
    let to = match work_to {
        // Nobody can have read the future.
        Some(end) if lane == Lane::Backfill => end.min(date).max(wanted),
        _ => date.max(wanted),
    };
    let resumed = memo.resumed.take().unwrap_or(date);
    let from = resumed.checked_sub_signed(retention).map_or(wanted, |kept| kept.clamp(wanted, to));
    interval = Interval {
        from,
        to,
        cause: memo.bridge.then(|| "bridge".to_owned()),
        count: memo.count,
        oldest: memo.oldest,
        newest: memo.newest,
        ..interval
    };
    (memo.drained, memo.bridge, memo.count, memo.oldest, memo.newest) = (Some(to), false, 0, None, None);
    let lost = (from > wanted).then(|| job.hole(wanted, from, "retention", None, asked));
    (interval, lost)
}
