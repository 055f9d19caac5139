//! A piece of reading in the collector's hands: one work row of the journal.

use super::feed::Chain;
use super::window::{Memo, Window};
use super::{LATE, StreamPlan};
use crate::http::Backoff;
use crate::journal::{Change, Grade, Interval, Lane, NewPage, NewRecord, Work};
use crate::source::{Place, StreamKind};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What kind of place it keeps.
pub(super) enum Part {
    /// The server keeps the place.
    Chain(Chain),
    /// We do.
    Window(Window),
}

/// One work row, and when it goes on.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) plan: Arc<StreamPlan>,
    pub(super) work: Work,
    pub(super) part: Part,
    pub(super) due: Instant,
    pub(super) backoff: Backoff,
    /// Windows that had to be begun again, in a row.
    pub(super) restarts: Backoff,
    /// How many of them could not be narrower.
    pub(super) cornered: u32,
    /// Another row of the stream has had a page since the first of those.
    pub(super) elsewhere: bool,
    /// A request of it is in flight.
    pub(super) busy: bool,
    /// Only a person can help.
    pub(super) halted: bool,
    pub(super) finished: bool,
    /// It has caught up with the moment at which it was taken up.
    pub(super) drained: bool,
}

impl Job {
    /// Takes a work row up.
    pub(super) fn new(id: u64, plan: &Arc<StreamPlan>, work: Work, delay: Duration) -> Self {
        let part = match plan.stream.kind {
            StreamKind::Feed => Part::Chain(Chain::new(&work)),
            StreamKind::Windowed { .. } => Part::Window(Window::new(&work)),
        };
        Self {
            id,
            plan: Arc::clone(plan),
            part,
            due: Instant::now() + delay,
            backoff: Backoff::new(&format!("{}/{}/{}", work.source, work.stream, work.name)),
            restarts: Backoff::new(&format!("{}/{}/{} again", work.source, work.stream, work.name)),
            work,
            cornered: 0,
            elsewhere: false,
            busy: false,
            halted: false,
            finished: false,
            drained: false,
        }
    }

    /// The stream's name.
    pub(super) fn stream(&self) -> &'static str {
        self.plan.stream.name
    }

    /// Where the next poll begins; `None`: there is nothing to ask yet.
    pub(super) fn place(&self) -> Option<Place> {
        match &self.part {
            // A backfill without an end waits until the live chain has seen the vendor's clock.
            Part::Chain(_) if self.work.lane == Lane::Backfill && self.work.to.is_none() => None,
            Part::Chain(_) => Some(Chain::place(&self.work)),
            Part::Window(window) => window.place(&self.work),
        }
    }

    /// The work row as it should be kept.
    pub(super) fn row(&self) -> Change {
        let mut work = self.work.clone();
        work.memo = match &self.part {
            Part::Chain(chain) => serde_json::to_string(&chain.memo),
            Part::Window(window) => serde_json::to_string(&window.memo),
        }
        .unwrap_or_default();
        Change::Work(work)
    }

    /// Since when nothing works.
    pub(super) fn failing_since(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let failing = match &mut self.part {
            Part::Chain(chain) => &mut chain.memo.failing,
            Part::Window(window) => &mut window.memo.failing,
        };
        *failing.get_or_insert(now)
    }

    /// A page came: nothing is wrong any more.
    pub(super) fn answered(&mut self) {
        match &mut self.part {
            Part::Chain(chain) => chain.memo.failing = None,
            Part::Window(window) => window.memo.failing = None,
        }
        self.work.reason = None;
        self.work.wait_until = None;
        self.halted = false;
        self.backoff.reset();
    }

    /// A page of this row on its way into the journal.
    pub(super) fn page(&self, records: Vec<NewRecord>, at: DateTime<Utc>) -> Change {
        let reread = match &self.part {
            Part::Chain(chain) => chain.memo.again,
            Part::Window(window) => window.memo.again,
        };
        Change::Page(NewPage {
            source: self.work.source.clone(),
            stream: self.work.stream.clone(),
            lane: self.work.lane,
            at,
            records,
            immutable: self.plan.stream.immutable,
            reread,
        })
    }

    /// New records with a time before this became visible late: a chain had passed that time long before, a window was
    /// read before, or runs on another time of the record. History tells nothing about lateness. `read` is the vendor's
    /// clock: a record's time is its.
    pub(super) fn late_before(&self, read: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let seen = match (&self.part, self.work.lane) {
            (_, Lane::Backfill) => None,
            (Part::Chain(chain), _) => chain.memo.drained,
            (Part::Window(_), _) => Some(read),
        };
        seen.and_then(|seen| seen.checked_sub_signed(LATE))
    }

    /// A row for the ledger about a time of this stream.
    pub(super) fn interval(
        &self,
        grade: Grade,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        asked: DateTime<Utc>,
    ) -> Interval {
        Interval {
            id: 0,
            source: self.work.source.clone(),
            stream: self.work.stream.clone(),
            from,
            to,
            grade,
            cause: None,
            repairable_until: None,
            count: 0,
            oldest: None,
            newest: None,
            read_at: asked,
        }
    }

    /// What was not read, why, and until when it still can be. A better statement about the same time replaces it.
    pub(super) fn hole(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        cause: &str,
        repairable_until: Option<DateTime<Utc>>,
        asked: DateTime<Utc>,
    ) -> Interval {
        let cause = Some(cause.to_owned());
        Interval { cause, repairable_until, ..self.interval(Grade::Hole, from, to, asked) }
    }

    /// While only a person can help, the ledger says what a row does not read for the first time. Reading goes on from the
    /// same place once it is mended, and its grade then replaces this.
    pub(super) fn unread(&self, cause: &str, asked: DateTime<Utc>) -> Option<Interval> {
        let from = match &self.part {
            Part::Chain(chain) => chain.memo.drained.unwrap_or(self.work.from),
            Part::Window(_) if self.work.lane == Lane::Sweep => return None,
            Part::Window(_) => self.work.from,
        };
        let to = self.work.to.unwrap_or(asked);
        Some(self.hole(from, to, cause, self.forgotten_at(from), asked))
    }

    /// Until when the vendor keeps what is of this time.
    pub(super) fn forgotten_at(&self, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let retention = TimeDelta::from_std(self.plan.retention).unwrap_or(TimeDelta::MAX);
        from.checked_add_signed(retention)
    }

    /// Whether pages of a window are there already.
    pub(super) fn has_begun(&self) -> bool {
        match &self.part {
            Part::Chain(_) => false,
            Part::Window(window) => window.memo.window.as_ref().is_some_and(|window| window.pages > 0),
        }
    }

    /// A window is over: the next one's troubles are its own.
    pub(super) fn over(&mut self) {
        self.restarts.reset();
        self.cornered = 0;
    }

    /// Works on the window in hand; nothing happens to a chain.
    pub(super) fn windowed<R>(&mut self, change: impl FnOnce(&mut Self, &mut Memo) -> R) -> Option<R> {
        let Part::Window(window) = &mut self.part else { return None };
        let mut memo = std::mem::take(&mut window.memo);
        let out = change(self, &mut memo);
        if let Part::Window(window) = &mut self.part {
            window.memo = memo;
        }
        Some(out)
    }

    /// What goes first when several are due: lower is sooner. Live work that is behind, then windows that the vendor will
    /// soon forget, then sweeps, then backfill. A live chain that has caught up takes turns with a backfill chain, so that
    /// one that is asked often cannot starve it.
    pub(super) fn rank(&self, vendor: DateTime<Utc>) -> u8 {
        match (&self.part, self.work.lane) {
            (Part::Chain(chain), Lane::Live) if chain.behind => 0,
            (Part::Window(_), Lane::Live) => 0,
            (Part::Window(_), Lane::Backfill) if self.expires_soon(vendor) => 1,
            (Part::Window(_), Lane::Sweep) => 2,
            _ => 3,
        }
    }
}

/// Whether two changes are about the same row, so that the later one replaces the earlier.
pub(super) fn same_row(a: &Change, b: &Change) -> bool {
    match (a, b) {
        (Change::Work(a), Change::Work(b)) => {
            a.name == b.name && a.lane == b.lane && a.stream == b.stream && a.source == b.source
        }
        (Change::Quota(a), Change::Quota(b)) => a.source == b.source,
        _ => false,
    }
}
