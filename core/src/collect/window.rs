//! Windows: we keep the place in a stream, and the vendor answers for closed ranges of its own time.
//!
//! - **Live** reads `[frontier, vendor's now − visible_after)` at every poll. A gap (an outage, the first contact) becomes a
//!   backfill at once, so that live resumes and what expires soonest is read first.
//! - **Sweeps** read every range again at each of the stream's settling horizons. A work row a horizon follows the live
//!   frontier; ranges that came otherwise (a backfill, a finding at the last horizon) have rows of their own.
//! - **Backfill** reads a closed range, in as many pieces side by side as our share of the quota needs.
//!
//! Progress inside a window is committed page by page; the ledger only says what a *whole* window has proven. What this
//! module decides is pure: time goes in, ranges come out.

use super::StreamPlan;
use super::feed::Circle;
use super::job::{Job, Part};
use crate::journal::{Change, Grade, Interval, Lane, State, Work};
use crate::source::{Cursor, Place, StreamKind};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// A live frontier that is further behind becomes a backfill.
const GAP: TimeDelta = TimeDelta::minutes(30);
/// The vendor forgets while we ask: nothing is asked for that is this close to its retention's end.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// A backfill that is this close to the retention's end goes before sweeps.
const EXPIRING: TimeDelta = TimeDelta::days(1);
/// A window of more pages makes the next ones narrower, one of a tenth makes them wider.
const PAGES: u32 = 20;
/// How wide the first window of a backfill or a sweep is; what it brings decides about the next.
const FIRST_SPAN: TimeDelta = TimeDelta::hours(1);
/// A finding doubles the horizon until here. What finds something even then stays `fetched`.
pub const LAST_HORIZON: TimeDelta = TimeDelta::days(7);
/// Ranges are swept in batches of a quarter of their horizon, within these bounds: one request then serves many polls.
const BATCH: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::hours(6));
/// A backfill whose last page is younger is being read.
const READING: TimeDelta = TimeDelta::hours(1);
/// What the vendor has forgotten, although its retention says otherwise, is found out to this precision.
const FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// What a row remembers between two runs, beside its cursor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memo {
    /// The window that is being read.
    pub window: Option<InHand>,
    /// How wide windows are planned, in milliseconds; 0: not known yet.
    pub span: i64,
    /// Of a sweep: its horizon in seconds.
    pub horizon: i64,
    /// When something last came.
    pub heard: Option<DateTime<Utc>>,
    /// The vendor's clock at the last page.
    pub read: Option<DateTime<Utc>>,
    /// Since when nothing works.
    pub failing: Option<DateTime<Utc>>,
    /// Of a sweep: what a window up to here had found before it had to be begun again.
    pub suspect: Option<DateTime<Utc>>,
    /// Of a backfill: reads from the end backwards, because the vendor has forgotten the beginning.
    pub descending: bool,
    /// Of a backfill: reads again what the ledger has already.
    pub again: bool,
    /// Of a backfill: the name of the whole, where it was divided.
    pub family: String,
    /// Of a backfill: how much the whole was, in milliseconds, for an estimate.
    pub whole: i64,
    /// Of a backfill: the vendor's clock when its first window was read, for an estimate.
    pub began: Option<DateTime<Utc>>,
}

/// A window that is being read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InHand {
    /// First instant.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// The vendor's clock at its first page: what became visible later was not seen.
    pub read: Option<DateTime<Utc>>,
    /// Pages so far.
    pub pages: u32,
    /// New records and revisions so far.
    pub found: u64,
    /// Records so far.
    pub count: u64,
    /// Their oldest time.
    pub oldest: Option<DateTime<Utc>>,
    /// Their newest time.
    pub newest: Option<DateTime<Utc>>,
    /// Parts that the vendor could not show.
    #[serde(default)]
    pub unread: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

/// The place that we keep.
pub(super) struct Window {
    pub(super) memo: Memo,
    pub(super) circle: Circle,
}

/// Why a part of a backfill was overtaken by the vendor's retention: we were away, or reading as fast as our share of the
/// quota let us.
pub(super) fn overtaken_by(memo: &Memo, vendor: DateTime<Utc>) -> &'static str {
    let reading = memo.read.is_some_and(|read| back(vendor, READING) < read);
    if reading { "quota" } else { "retention" }
}

/// What a row does next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Read this window.
    Read(DateTime<Utc>, DateTime<Utc>),
    /// Nothing before this instant of the vendor's clock.
    NotBefore(DateTime<Utc>),
    /// Nothing ever again.
    Done,
}

impl Window {
    pub(super) fn new(work: &Work) -> Self {
        let mut memo: Memo = serde_json::from_str(&work.memo).unwrap_or_default();
        if let Some(window) = memo.window.as_mut().filter(|window| window.pages > 0) {
            // What its last page brought was not written down: a sweep that may have found something has.
            window.found = window.found.max(1);
            if work.cursor.is_none() {
                let found = window.found;
                *window = InHand { found, ..InHand::new(window.from, window.to) };
            }
        }
        Self { memo, circle: Circle::default() }
    }

    pub(super) fn place(&self, work: &Work) -> Option<Place> {
        let window = self.memo.window.as_ref()?;
        Some(Place::Window { from: window.from, to: window.to, token: work.cursor.clone().map(Cursor) })
    }
}

/// The vendor's unit of time, and the widest window that it takes.
fn bounds(plan: &StreamPlan) -> (TimeDelta, TimeDelta) {
    match plan.stream.kind {
        StreamKind::Feed => (TimeDelta::milliseconds(1), TimeDelta::MAX),
        StreamKind::Windowed { unit, widest, .. } => (delta(unit), delta(widest)),
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// The last whole unit that is not after `at`.
fn floor(at: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    let unit = unit.num_microseconds().unwrap_or(1).max(1);
    let rest = at.timestamp_micros().rem_euclid(unit);
    DateTime::from_timestamp_micros(at.timestamp_micros().saturating_sub(rest)).unwrap_or(at)
}

/// The first whole unit that is not before `at`.
fn ceil(at: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    let down = floor(at, unit);
    if down == at { at } else { down.checked_add_signed(unit).unwrap_or(at) }
}

fn back(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_sub_signed(by).unwrap_or(DateTime::UNIX_EPOCH)
}

fn forth(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// How much of a range is swept at once.
#[must_use]
pub fn batch(horizon: TimeDelta) -> TimeDelta {
    (horizon / 4).clamp(BATCH.0, BATCH.1)
}

/// How far a stream's last horizon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// Everything older has had its last sweep. What the ledger does not call settled there is a hole, is being read late,
    /// or held a finding and is swept once more.
    pub due: DateTime<Utc>,
    /// The sweep is more than two of its batches behind where it should be. One batch always waits to become whole, and one
    /// may be read right now; what is more is delay.
    pub behind: bool,
}

/// Compares the open sweep row of the last horizon with where it should be: the horizon before `now`, but never past the
/// live frontier. `works`: the stream's rows. `None`: the stream has no horizon, or was never begun.
#[must_use]
pub fn settling(plan: &StreamPlan, works: &[&Work], now: DateTime<Utc>) -> Option<Settling> {
    let horizon = delta(*plan.settle.last()?);
    let live = works.iter().find(|work| work.lane == Lane::Live)?;
    let sweep = works.iter().find(|work| {
        work.lane == Lane::Sweep
            && work.to.is_none()
            && Window::new(work).memo.horizon == horizon.num_seconds()
    })?;
    let (reached, batch) = (back(now, horizon), batch(horizon));
    Some(Settling {
        due: back(reached, batch).min(sweep.from),
        behind: reached.min(live.from) - sweep.from > batch * 2,
    })
}

/// Up to where the fast lane may read.
pub(super) fn edge(plan: &StreamPlan, vendor: DateTime<Utc>) -> DateTime<Utc> {
    floor(back(vendor, delta(plan.visible_after)), bounds(plan).0)
}

/// From when on the vendor still has what a stream held.
#[must_use]
pub fn kept(plan: &StreamPlan, vendor: DateTime<Utc>) -> DateTime<Utc> {
    let (unit, _) = bounds(plan);
    ceil(forth(back(vendor, delta(plan.retention)), MARGIN), unit)
}

/// The live row of a stream.
pub(super) fn live(source: &str, plan: &StreamPlan, from: DateTime<Utc>) -> Work {
    row(
        source,
        plan.stream.name,
        Lane::Live,
        super::feed::LIVE.to_owned(),
        (floor(from, bounds(plan).0), None),
        &Memo::default(),
    )
}

/// The row that sweeps behind the live frontier at a horizon.
pub(super) fn sweep(source: &str, plan: &StreamPlan, horizon: TimeDelta, from: DateTime<Utc>) -> Work {
    let memo = Memo { horizon: horizon.num_seconds(), ..Memo::default() };
    let name = format!("settle-{}@{}", memo.horizon, from.timestamp_millis());
    row(source, plan.stream.name, Lane::Sweep, name, (floor(from, bounds(plan).0), None), &memo)
}

/// A row that sweeps one range.
fn settle(source: &str, stream: &str, horizon: TimeDelta, from: DateTime<Utc>, to: DateTime<Utc>) -> Work {
    let memo = Memo { horizon: horizon.num_seconds(), ..Memo::default() };
    let name = format!("settle-{}-{}-{}", memo.horizon, from.timestamp_millis(), to.timestamp_millis());
    row(source, stream, Lane::Sweep, name, (from, Some(to)), &memo)
}

/// A row that reads a closed range. `name` tells it apart.
pub(super) fn backfill(
    source: &str,
    plan: &StreamPlan,
    name: String,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    again: bool,
) -> Work {
    let (unit, _) = bounds(plan);
    let (from, to) = (floor(from, unit), ceil(to, unit));
    let memo = Memo { family: name.clone(), whole: (to - from).num_milliseconds(), again, ..Memo::default() };
    row(source, plan.stream.name, Lane::Backfill, name, (from, Some(to)), &memo)
}

fn row(
    source: &str,
    stream: &str,
    lane: Lane,
    name: String,
    (from, to): (DateTime<Utc>, Option<DateTime<Utc>>),
    memo: &Memo,
) -> Work {
    Work {
        source: source.to_owned(),
        stream: stream.to_owned(),
        lane,
        name,
        from,
        to,
        cursor: None,
        wait_until: None,
        reason: None,
        memo: serde_json::to_string(memo).unwrap_or_default(),
    }
}

/// A live frontier that is too far behind: the range that becomes a backfill. Live goes on behind it.
pub(super) fn gap(
    plan: &StreamPlan,
    frontier: DateTime<Utc>,
    vendor: DateTime<Utc>,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let edge = edge(plan, vendor);
    let limit = GAP.max(delta(plan.poll.saturating_mul(3)));
    let resume = floor(back(edge, delta(plan.poll)), bounds(plan).0);
    (edge - frontier > limit && resume > frontier).then_some((frontier, resume))
}

impl Job {
    /// Whether the vendor will soon forget where this row stands.
    pub(super) fn expires_soon(&self, vendor: DateTime<Utc>) -> bool {
        back(self.work.from, EXPIRING) < kept(&self.plan, vendor)
    }

    /// Whether the vendor, by its clock, no longer has the beginning of what this row is to read. Live goes on from where it
    /// stands in any case, and a window whose pages came is read to its end.
    pub(super) fn is_forgotten(&self, vendor: DateTime<Utc>) -> bool {
        let end = self.work.to.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let windowed = matches!(self.part, Part::Window(_));
        windowed
            && self.work.lane != Lane::Live
            && !self.has_begun()
            && self.work.from < kept(&self.plan, vendor).min(end)
    }

    /// What this row does next, by the vendor's clock. `frontier` is that of the stream's live row. Until the vendor was
    /// `met`, its clock is only believed to be ours: live then asks for little, but it does ask, since nothing else tells
    /// that ours is behind. So it does where it would have to wait for long: our clock was set back.
    pub(super) fn next(
        &self,
        memo: &Memo,
        vendor: DateTime<Utc>,
        frontier: DateTime<Utc>,
        met: bool,
    ) -> Next {
        let (unit, widest) = bounds(&self.plan);
        let (from, live_edge) = (self.work.from, edge(&self.plan, vendor));
        let span = |usual: TimeDelta| match memo.span {
            0 => usual.min(widest).max(unit),
            ms => TimeDelta::milliseconds(ms).min(widest).max(unit),
        };
        match (self.work.lane, self.work.to) {
            (Lane::Live, _) => {
                if from >= live_edge {
                    let usual = delta(self.plan.poll.saturating_add(self.plan.visible_after));
                    if !met || from - live_edge > usual {
                        return Next::Read(from, forth(from, unit));
                    }
                    return Next::NotBefore(forth(from + unit, delta(self.plan.visible_after)));
                }
                let usual = if met { widest } else { delta(self.plan.poll) };
                Next::Read(from, live_edge.min(forth(from, span(usual))))
            }
            (Lane::Sweep, end) => {
                let horizon = TimeDelta::seconds(memo.horizon);
                let reached = floor(back(vendor, horizon), unit).min(end.unwrap_or(frontier));
                if end.is_some_and(|end| from >= end) {
                    return Next::Done;
                }
                let wanted =
                    end.map_or(forth(from, batch(horizon)), |end| end.min(forth(from, batch(horizon))));
                if reached < wanted {
                    return Next::NotBefore(forth(wanted, horizon));
                }
                Next::Read(from, reached.min(forth(from, span(FIRST_SPAN.max(batch(horizon))))))
            }
            (Lane::Backfill, None) => Next::NotBefore(forth(vendor, GAP)),
            (Lane::Backfill, Some(end)) => {
                if from >= end {
                    return Next::Done;
                }
                let reached = end.min(live_edge);
                if reached <= from {
                    let wanted = end.min(forth(from, delta(self.plan.poll)));
                    return Next::NotBefore(forth(wanted, delta(self.plan.visible_after)));
                }
                let span = span(FIRST_SPAN);
                if memo.descending {
                    Next::Read(floor(back(reached, span), unit).max(from), reached)
                } else {
                    Next::Read(from, reached.min(forth(from, span)))
                }
            }
        }
    }

    /// A middle horizon that is so far behind that the next one reads the same range anyway: where it goes on. The last one
    /// is never skipped.
    pub(super) fn overtaken(
        &self,
        memo: &Memo,
        vendor: DateTime<Utc>,
        frontier: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if self.work.lane != Lane::Sweep || self.work.to.is_some() {
            return None;
        }
        let next = self
            .plan
            .settle
            .iter()
            .map(|horizon| delta(*horizon))
            .find(|h| h.num_seconds() > memo.horizon)?;
        let resume = floor(back(vendor, next), bounds(&self.plan).0).min(frontier);
        (forth(self.work.from, batch(next)) < resume).then_some(resume)
    }

    /// Ends the window in hand: what it has proven, where the row goes on, and which sweeps follow from it.
    ///
    /// The vendor's clock at the window's first page bounds what was seen: planned by a clock of ours that runs ahead, a
    /// window may end in the vendor's future.
    pub(super) fn conclude(&mut self, memo: &mut Memo, window: InHand, asked: DateTime<Utc>) -> Concluded {
        let (unit, widest) = bounds(&self.plan);
        let read = window.read.unwrap_or(asked);
        if self.work.lane == Lane::Backfill {
            memo.began.get_or_insert(read);
        }
        match self.work.lane {
            Lane::Live => memo.widen_again(&window),
            Lane::Sweep | Lane::Backfill => memo.resize(&window, unit, widest),
        }
        let from = window.from;
        let to = match self.work.lane {
            Lane::Sweep => window.to.min(floor(back(read, TimeDelta::seconds(memo.horizon)), unit)),
            Lane::Live | Lane::Backfill => window.to.min(edge(&self.plan, read)),
        };
        let mut out = Concluded { covered: Vec::new(), sweeps: Vec::new() };
        self.work.cursor = None;
        if to <= from || (memo.descending && to < window.to) {
            return out;
        }
        if memo.descending {
            self.work.to = Some(from);
        } else {
            self.work.from = to;
        }
        let last = self.plan.settle.last().map(|horizon| delta(*horizon));
        // Up to here the window was read at its last horizon or later.
        let settled = match self.work.lane {
            Lane::Live => from,
            Lane::Backfill => {
                let old = |horizon: TimeDelta| floor(back(read, horizon), unit).clamp(from, to);
                for horizon in self.plan.settle.iter().map(|horizon| delta(*horizon)) {
                    if old(horizon) < to {
                        out.sweeps.push(self.again(horizon, old(horizon), to));
                    }
                }
                last.map_or(from, old)
            }
            Lane::Sweep => {
                let horizon = TimeDelta::seconds(memo.horizon);
                let at_last = last.is_none_or(|last| horizon >= last);
                let go_on = at_last && window.found > 0 && horizon < LAST_HORIZON;
                if go_on {
                    out.sweeps = vec![self.again((horizon * 2).min(LAST_HORIZON), from, to)];
                }
                // What still finds something where doubling ends is never settled: it stays what live or a backfill said.
                if at_last && window.found == 0 { to } else { from }
            }
        };
        // Of a sweep only the last reading says more than the first one did.
        if self.work.lane == Lane::Sweep && settled == from {
            return out;
        }
        let mut cuts = window.unread;
        cuts.push((settled, settled));
        cuts.sort_unstable();
        let mut at = from;
        for (start, end) in cuts.into_iter().chain([(to, to)]) {
            let (start, end) = (start.clamp(at, to), end.clamp(at, to));
            let grade = if start <= settled { Grade::Settled } else { Grade::Fetched };
            out.covered.push(self.interval(grade, at, start, asked));
            out.covered.push(self.hole(start, end, "burst", None, asked));
            at = end;
        }
        out.covered.retain(|row| row.from < row.to);
        if let Some(row) = out.covered.iter_mut().rev().find(|row| row.grade != Grade::Hole) {
            // The ledger's counts are a rough guide; the tally is exact.
            (row.count, row.oldest, row.newest) = (window.count, window.oldest, window.newest);
        }
        out
    }

    fn again(&self, horizon: TimeDelta, from: DateTime<Utc>, to: DateTime<Utc>) -> Work {
        settle(&self.work.source, &self.work.stream, horizon, from, to)
    }

    /// Divides a backfill: the later half of what is behind the window in hand, as a row of its own.
    pub(super) fn divide(&mut self, memo: &Memo) -> Option<Work> {
        let (unit, _) = bounds(&self.plan);
        if self.work.lane != Lane::Backfill || memo.descending {
            return None;
        }
        let (end, begin) = (self.work.to?, memo.window.as_ref().map_or(self.work.from, |window| window.to));
        let span = TimeDelta::milliseconds(memo.span.max(FIRST_SPAN.num_milliseconds() / 4));
        if end - begin < span * 2 {
            return None;
        }
        let middle = floor(begin + (end - begin) / 2, unit);
        if middle <= begin || middle >= end {
            return None;
        }
        self.work.to = Some(middle);
        // What is said of the whole must not go with the part that ends first.
        let inherited = Memo {
            span: memo.span,
            family: memo.family.clone(),
            again: memo.again,
            whole: memo.whole,
            began: memo.began,
            read: memo.read,
            ..Memo::default()
        };
        let name = format!("{}@{}", memo.family, middle.timestamp_millis());
        Some(row(&self.work.source, &self.work.stream, Lane::Backfill, name, (middle, Some(end)), &inherited))
    }

    /// The window in hand is too much for the vendor, or its page token was refused: half of it. False: it cannot be
    /// narrower.
    pub(super) fn narrow(&mut self, memo: &mut Memo) -> bool {
        let (unit, _) = bounds(&self.plan);
        self.work.cursor = None;
        let Some(window) = memo.window.take() else { return true };
        memo.suspect = (window.found > 0).then_some(window.to).max(memo.suspect);
        let half = floor(DateTime::UNIX_EPOCH + (window.to - window.from) / 2, unit) - DateTime::UNIX_EPOCH;
        let could = half >= unit;
        memo.span = half.max(unit).num_milliseconds().max(1);
        could
    }

    /// Goes on behind a window that the vendor cannot answer, however narrow it is. What is not read then, where it was to be
    /// read for the first time; a sweep leaves its grade as it was.
    pub(super) fn step_over(
        &mut self,
        memo: &Memo,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        if memo.descending {
            self.work.to = Some(from);
        } else {
            self.work.from = to;
        }
        (self.work.lane != Lane::Sweep).then_some((from, to))
    }

    /// The vendor has forgotten the beginning of the window in hand, although its retention says otherwise. A backfill
    /// turns round and reads from its end until it meets what is forgotten; what it has not read then is a hole.
    /// Everything else goes on behind the window.
    pub(super) fn forgotten(&mut self, memo: &mut Memo) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.work.cursor = None;
        let window = memo.window.take()?;
        match self.work.lane {
            Lane::Live => return None,
            Lane::Sweep => {
                self.work.from = window.to;
                return None;
            }
            Lane::Backfill => {}
        }
        if !memo.descending {
            memo.descending = true;
            return None;
        }
        if window.to - window.from > FORGOTTEN {
            memo.span = ((window.to - window.from) / 2).num_milliseconds();
            return None;
        }
        let hole = (self.work.from, window.to);
        self.work.from = window.to;
        self.work.to = Some(window.to);
        Some(hole)
    }
}

/// What a whole window says.
pub(super) struct Concluded {
    /// For the ledger, by time.
    pub(super) covered: Vec<Interval>,
    /// Sweeps that follow from it.
    pub(super) sweeps: Vec<Work>,
}

impl InHand {
    fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let unread = Vec::new();
        Self { from, to, read: None, pages: 0, found: 0, count: 0, oldest: None, newest: None, unread }
    }
}

impl Memo {
    /// Takes a window up.
    pub(super) fn begin(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let found = u64::from(self.suspect.is_some_and(|until| from < until));
        self.suspect = self.suspect.filter(|until| to < *until);
        self.window = Some(InHand { found, ..InHand::new(from, to) });
    }

    /// A window that has not begun yet begins no earlier than this.
    pub(super) fn not_before(&mut self, from: DateTime<Utc>) {
        let window = self.window.take().map(|window| InHand { from: window.from.max(from), ..window });
        self.window = window.filter(|window| window.from < window.to);
    }

    /// A live window that had to be narrowed becomes wider again, until it knows no bound.
    fn widen_again(&mut self, window: &InHand) {
        if window.pages <= PAGES / 10 {
            self.span = self.span.saturating_mul(2);
        }
        if self.span > GAP.num_milliseconds() {
            self.span = 0;
        }
    }

    /// Widens or narrows the next windows by what this one brought.
    fn resize(&mut self, window: &InHand, unit: TimeDelta, widest: TimeDelta) {
        let span = (window.to - window.from).num_milliseconds().max(1);
        let planned = if self.span == 0 { span } else { self.span };
        self.span = if window.pages > PAGES {
            span / 2
        } else if window.pages <= PAGES / 10 && span >= planned {
            planned.saturating_mul(2)
        } else {
            planned
        };
        self.span = self.span.clamp(unit.num_milliseconds().max(1), widest.num_milliseconds().max(1));
    }
}

/// Adds a sweep to the rows that wait: a row of the same horizon that it touches becomes longer, and is returned.
pub(super) fn join(jobs: &mut [Job], sweep: &Work) -> Option<Change> {
    let horizon = Window::new(sweep).memo.horizon;
    let touching = jobs.iter_mut().find(|job| {
        let Part::Window(window) = &job.part else { return false };
        let touches =
            job.work.to == Some(sweep.from) || (job.work.to.is_some() && job.work.from == sweep.from);
        let alike = job.work.lane == Lane::Sweep && job.work.stream == sweep.stream;
        alike
            && touches
            && !job.busy
            && !job.finished
            && window.memo.window.is_none()
            && window.memo.horizon == horizon
    })?;
    touching.work.to = touching.work.to.max(sweep.to);
    touching.due = Instant::now();
    Some(touching.row())
}

/// Whether a backfill row is one of ours, and not yet an operator's wish.
pub(super) fn is_planned(work: &Work) -> bool {
    !Window::new(work).memo.family.is_empty()
}

/// Whether a backfill reads again what the ledger has.
pub(super) fn is_again(work: &Work) -> bool {
    Window::new(work).memo.again
}

/// The ranges that an operator's wish comes to: what the ledger lacks, up to where live collection began or as asked.
pub(super) fn wanted(plan: &StreamPlan, work: &Work, state: &State) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let ours = || state.coverage.iter().filter(|row| row.source == work.source && row.stream == work.stream);
    let live = state
        .works
        .iter()
        .find(|live| live.lane == Lane::Live && live.source == work.source && live.stream == work.stream);
    let to = work.to.or_else(|| live.map(|live| live.from)).unwrap_or(work.from);
    if is_again(work) {
        let unit = bounds(plan).0;
        return if to - work.from >= unit { vec![(work.from, to)] } else { Vec::new() };
    }
    let read = ours().filter(|row| row.grade != Grade::Hole).map(|row| (row.from, row.to));
    missing(read, work.from, to)
}

/// What these ranges, in any order, leave out of `[from, to)`.
pub fn missing(
    ranges: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut covered: Vec<_> = ranges.collect();
    covered.sort_unstable();
    let (mut out, mut at) = (Vec::new(), from);
    for (start, end) in covered {
        if start > at && at < to {
            out.push((at, start.min(to)));
        }
        at = at.max(end);
    }
    if at < to {
        out.push((at, to));
    }
    out
}

/// The rows of a stream that the journal does not know yet, and those that the configuration no longer wants.
///
/// Only what the last horizon has read is settled. Where another horizon is the last one now, it goes on where the one
/// before it was: with its open row, or, where that is further already, with a row for what lies between; and what waits
/// for a reading that is no longer the last has one more to come.
pub(super) fn first_contact(
    source: &str,
    plan: &StreamPlan,
    known: &[&Work],
    start: DateTime<Utc>,
    vendor: DateTime<Utc>,
) -> (Vec<Work>, Vec<Work>) {
    let mut new = Vec::new();
    let frontier = match known.iter().find(|work| work.lane == Lane::Live) {
        Some(live) => live.from,
        None => {
            let start = floor(start.max(kept(plan, vendor)).min(edge(plan, vendor)), bounds(plan).0);
            new.push(live(source, plan, start));
            start
        }
    };
    let horizon = |work: &Work| Window::new(work).memo.horizon;
    let (open, closed): (Vec<&Work>, Vec<&Work>) =
        known.iter().filter(|work| work.lane == Lane::Sweep).partition(|work| work.to.is_none());
    let before = open.iter().max_by_key(|work| horizon(work)).map(|work| work.from);
    let wanted: Vec<i64> = plan.settle.iter().map(|horizon| delta(*horizon).num_seconds()).collect();
    let old: Vec<Work> =
        open.iter().filter(|work| !wanted.contains(&horizon(work))).map(|work| (*work).clone()).collect();
    let replaced = old.iter().map(|work| work.from).min();
    for seconds in &wanted {
        if !open.iter().any(|work| horizon(work) == *seconds) {
            // A horizon that takes another one's place goes on where that one was.
            let from = if wanted.last() == Some(seconds) { before } else { replaced };
            new.push(sweep(source, plan, TimeDelta::seconds(*seconds), from.unwrap_or(frontier)));
        }
    }
    let Some(last) = wanted.last().copied() else { return (new, old) };
    // What the last horizon will read.
    let opened = open
        .iter()
        .copied()
        .chain(&new)
        .find(|work| work.lane == Lane::Sweep && work.to.is_none() && horizon(work) == last);
    let opened = opened.map_or(frontier, |work| work.from);
    let mut read = vec![(opened, DateTime::<Utc>::MAX_UTC)];
    read.extend(
        closed.iter().filter(|work| horizon(work) >= last).filter_map(|work| Some((work.from, work.to?))),
    );
    let unread = before.map(|before| (before, opened));
    let sooner =
        closed.iter().filter(|work| horizon(work) < last).filter_map(|work| Some((work.from, work.to?)));
    for (from, to) in unread.into_iter().chain(sooner) {
        for (from, to) in missing(read.iter().copied(), from, to) {
            new.push(settle(source, plan.stream.name, TimeDelta::seconds(last), from, to));
            read.push((from, to));
        }
    }
    (new, old)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::source::Stream;
    use crate::testkit::sink::NAMES;
    use proptest::prelude::*;
    use std::sync::Arc;

    static LOG: Stream = Stream {
        name: "log",
        kind: StreamKind::Windowed {
            settle: &[Duration::from_secs(900), Duration::from_secs(86_400)],
            visible_after: Duration::from_secs(125),
            unit: Duration::from_secs(1),
            widest: Duration::from_secs(86_400),
        },
        default: true,
        immutable: true,
        retention: Duration::from_secs(30 * 86_400),
        poll: Duration::from_secs(60),
        names: &NAMES,
    };

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_780_000_000_000 + millis).unwrap()
    }

    fn job(work: Work) -> Job {
        Job::new(1, &Arc::new(StreamPlan::of(&LOG)), work, Duration::ZERO)
    }

    /// Plans and concludes once; the window, if there was one.
    fn step(
        job: &mut Job,
        vendor: DateTime<Utc>,
        frontier: DateTime<Utc>,
        pages: u32,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        job.windowed(|job, memo| {
            let Next::Read(from, to) = job.next(memo, vendor, frontier, true) else { return None };
            memo.begin(from, to);
            let mut window = memo.window.take().unwrap();
            (window.read, window.pages) = (Some(vendor), pages);
            job.conclude(memo, window, vendor);
            Some((from, to))
        })
        .unwrap()
    }

    proptest! {
        #[test]
        fn live_windows_and_sweeps_follow_each_other_without_gap_and_never_pass_their_edge(
            steps in proptest::collection::vec((1i64..4_000_000, 0u32..60), 1..80)
        ) {
            let plan = StreamPlan::of(&LOG);
            let mut live = job(live("acme", &plan, at(0)));
            let mut sweep = job(sweep("acme", &plan, TimeDelta::seconds(900), at(0)));
            let (mut now, mut read, mut swept) = (at(0), live.work.from, live.work.from);
            for (passed, pages) in steps {
                now += TimeDelta::milliseconds(passed);
                if let Some((from, to)) = step(&mut live, now, now, pages) {
                    prop_assert_eq!(from, read);
                    prop_assert!(from < to && to <= edge(&plan, now) && to.timestamp_subsec_millis() == 0);
                    read = to;
                }
                if let Some((from, to)) = step(&mut sweep, now, live.work.from, pages) {
                    prop_assert_eq!(from, swept);
                    prop_assert!(from < to && to <= now - TimeDelta::seconds(900) && to <= live.work.from);
                    swept = to;
                }
            }
        }

        #[test]
        fn a_divided_backfill_reads_every_instant_once(
            length in 1i64..400, cuts in proptest::collection::vec(0usize..6, 0..12), pages in 0u32..21
        ) {
            let plan = StreamPlan::of(&LOG);
            let (from, to, now) = (at(0), at(length * 3_600_000 + 1), at(20 * 86_400_000));
            let mut jobs = vec![job(backfill("acme", &plan, "backfill-1".to_owned(), (from, to), false))];
            for cut in cuts {
                let at = cut % jobs.len();
                let job_at = jobs.get_mut(at).unwrap();
                if let Some(Some(work)) = job_at.windowed(|job, memo| job.divide(memo)) {
                    jobs.push(job(work));
                }
            }
            let mut windows = Vec::new();
            for job in &mut jobs {
                while let Some(window) = step(job, now, now, pages) {
                    windows.push(window);
                }
            }
            windows.sort_unstable();
            prop_assert_eq!(windows.first().unwrap().0, floor(from, TimeDelta::seconds(1)));
            prop_assert_eq!(windows.last().unwrap().1, ceil(to, TimeDelta::seconds(1)));
            for pair in windows.windows(2) {
                prop_assert_eq!(pair.first().unwrap().1, pair.last().unwrap().0);
            }
        }
    }

    #[test]
    fn a_part_of_a_backfill_that_is_being_read_is_overtaken_for_want_of_quota() {
        let plan = StreamPlan::of(&LOG);
        let mut job = job(backfill("acme", &plan, "backfill-1".to_owned(), (at(0), at(86_400_000)), false));
        let now = at(29 * 86_400_000);
        step(&mut job, now, now, 1);
        let part = job
            .windowed(|job, memo| {
                memo.read = Some(now);
                job.divide(memo)
            })
            .flatten()
            .unwrap();
        assert_eq!(overtaken_by(&Window::new(&part).memo, now), "quota");
    }
}
