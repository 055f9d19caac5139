//! The ranges of a sink: what it still has to deliver, whose turn it is, and how far each has come.
//!
//! A sink has one range a lane that follows it, and closed ones beside them: what had piled up, what an operator wants once
//! more, what is parked. Each is read, rendered and acknowledged by itself, so that none waits for another's verdicts.

use super::acks::Outstanding;
use super::park::Waiting;
use super::render::{Built, Cursor};
use super::{CATCH_UPS, REST};
use crate::journal::{Lane, LeftOut, PageId, Purpose, Span};
use crate::sink::Limits;
use std::collections::VecDeque;
use tokio::time::Instant;

/// A range in the hands of its loop.
pub(super) struct Reading {
    /// As the journal has it: up to where it was acknowledged.
    pub(super) row: Span,
    /// Up to where batches were made; …
    pub(super) made: Cursor,
    /// … and up to where they were given to a sender.
    pub(super) sent: Cursor,
    /// Batches that wait for their turn.
    pub(super) ready: VecDeque<Built>,
    /// There was nothing behind `made` when it was last looked at.
    pub(super) exhausted: bool,
    /// Batches that a sender has, or had, and that are not acknowledged: oldest first.
    pub(super) outstanding: VecDeque<Outstanding>,
    /// A batch came back without verdicts because the program ends: nothing behind it may be acknowledged.
    pub(super) broken: bool,
    /// Its next pages cannot be made batches of, which is a defect: it stays where it is.
    pub(super) failed: bool,
    /// Nothing of it goes in.
    pub(super) waiting: Option<Waiting>,
    /// It is parked, and a whole batch went in since it last had to wait.
    pub(super) works: bool,
    /// When it last had a turn.
    pub(super) served: u64,
}

impl Reading {
    pub(super) fn new(row: Span) -> Self {
        let made = Cursor { page: row.next_page, record: row.next_record };
        let waiting = row.reason.is_some().then(Waiting::unknown);
        Self {
            row,
            made,
            sent: made,
            ready: VecDeque::new(),
            exhausted: false,
            outstanding: VecDeque::new(),
            broken: false,
            failed: false,
            waiting,
            works: false,
            served: 0,
        }
    }

    /// Up to where it was acknowledged.
    pub(super) fn at(&self) -> Cursor {
        Cursor { page: self.row.next_page, record: self.row.next_record }
    }

    /// Whether it has what comes in right now.
    pub(super) fn is_live(&self) -> bool {
        self.row.lane == Lane::Live && self.row.follows()
    }

    /// Whether all of it is delivered, and it will not go on.
    pub(super) fn is_over(&self) -> bool {
        self.row.to.is_some()
            && self.exhausted
            && self.ready.is_empty()
            && self.outstanding.is_empty()
            && self.waiting.is_none()
            && !self.failed
            && self.made == self.at()
    }

    /// Whether more is to be made before its next batch is sent: nothing is ready, or one that is not full.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.ready.front().is_none_or(|first| self.ready.len() == 1 && !first.is_full(limits))
    }

    /// Makes again what was made and not sent: what belongs into it has changed.
    pub(super) fn unmake(&mut self) {
        self.ready.clear();
        self.made = self.sent;
        self.exhausted = false;
    }

    /// Goes on from here; verdicts that are still to come are of no use.
    pub(super) fn restart_at(&mut self, place: Cursor) {
        (self.row.next_page, self.row.next_record) = (place.page, place.record);
        self.sent = place;
        self.outstanding.clear();
        self.unmake();
    }

    /// Moves on to an acknowledged place; what was left out before it is no longer of interest.
    pub(super) fn acknowledge(&mut self, place: Cursor) {
        (self.row.next_page, self.row.next_record) = (place.page, place.record);
        self.row.except.retain(|left| left.until.is_none_or(|until| until > place.page));
    }

    /// Whether it may have a turn: `window` batches of one range may lack their acknowledgement, or a crash would repeat more
    /// than what is in flight.
    fn may(&self, window: usize) -> bool {
        !self.broken && !self.failed && self.waiting.is_none() && self.outstanding.len() < window
    }

    fn may_have_some(&self) -> bool {
        !self.ready.is_empty() || !self.exhausted
    }
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Turn {
    /// A batch of a range.
    Batch(usize),
    /// The first record of a range that waits.
    Try(usize),
    /// Dead letters that are sent again.
    Letters,
}

/// Who may have a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct May {
    /// Batches of one range that may lack their acknowledgement.
    pub(super) window: usize,
    /// A slot is free for what is apart: ranges of one stream, and letters.
    pub(super) apart: bool,
    /// There may be letters to be sent again.
    pub(super) letters: bool,
    /// Ranges that wait are due by then.
    pub(super) now: Instant,
}

/// All ranges of a sink.
#[derive(Default)]
pub(super) struct Ranges {
    pub(super) all: Vec<Reading>,
    /// What waits was asked to be tried once more, and only once.
    pub(super) once: bool,
    turns: u64,
    /// How often in a row live went first although others had something.
    passed_over: u64,
    /// The last turn that was not live's was a try.
    tried: bool,
    /// When letters last had a turn.
    letters: u64,
}

impl Ranges {
    /// Whose turn it may be, in the order in which they are asked: live first, unless the others were passed over often
    /// enough. Among the others batches and tries take turns, of each of the two who waited longest: hundreds of streams
    /// that are tried would else leave nothing to a backlog.
    pub(super) fn order(&self, may: May) -> Vec<Turn> {
        let rest_first = self.passed_over + 1 >= REST;
        let mut order: Vec<(bool, bool, u64, Turn)> = (self.turns(may))
            .map(|turn| {
                let (live, is_try) = (self.is_live(turn), !matches!(turn, Turn::Batch(_)));
                (live == rest_first, !live && is_try == self.tried, self.last(turn), turn)
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(.., turn)| turn).collect()
    }

    fn turns(&self, may: May) -> impl Iterator<Item = Turn> + '_ {
        let free = move |r: &Reading| may.apart || r.row.only.is_none();
        let of = move |(index, reading): (usize, &Reading)| {
            let batch = (free(reading) && reading.may(may.window)).then_some(Turn::Batch(index));
            let due = free(reading) && self.is_due(reading, may.now);
            batch.or(due.then_some(Turn::Try(index)))
        };
        self.all.iter().enumerate().filter_map(of).chain(may.letters.then_some(Turn::Letters))
    }

    fn is_live(&self, turn: Turn) -> bool {
        matches!(turn, Turn::Batch(index) if self.all.get(index).is_some_and(Reading::is_live))
    }

    /// When it last had a turn.
    fn last(&self, turn: Turn) -> u64 {
        match turn {
            Turn::Batch(index) | Turn::Try(index) => self.all.get(index).map_or(0, |reading| reading.served),
            Turn::Letters => self.letters,
        }
    }

    /// Somebody had a turn.
    pub(super) fn served(&mut self, turn: Turn, may: May) {
        self.turns += 1;
        let live = self.is_live(turn);
        let has = |turn: Turn| match turn {
            Turn::Batch(index) => self.all.get(index).is_some_and(Reading::may_have_some),
            Turn::Try(_) | Turn::Letters => true,
        };
        let others = self.turns(may).any(|turn| !self.is_live(turn) && has(turn));
        self.passed_over = if live && others { self.passed_over + 1 } else { 0 };
        if !live {
            self.tried = !matches!(turn, Turn::Batch(_));
        }
        let turns = self.turns;
        match turn {
            Turn::Batch(index) | Turn::Try(index) => {
                if let Some(reading) = self.all.get_mut(index) {
                    reading.served = turns;
                }
            }
            Turn::Letters => self.letters = turns,
        }
    }

    pub(super) fn look_again(&mut self) {
        self.all.iter_mut().for_each(|reading| reading.exhausted = false);
    }

    pub(super) fn by_id(&mut self, id: u64) -> Option<&mut Reading> {
        self.all.iter_mut().find(|reading| reading.row.id == id)
    }

    /// Bytes of documents that are in memory.
    pub(super) fn held(&self) -> u64 {
        let ready = self.all.iter().flat_map(|r| &r.ready).map(Built::bytes);
        let sent = self.all.iter().flat_map(|r| &r.outstanding).map(Outstanding::bytes);
        ready.chain(sent).map(|bytes| bytes as u64).sum()
    }

    /// The rows after live fell behind: what is between its place and `end` is a range of its own, and live begins at `end`.
    /// `None` where that would be one too many. A range that live has not moved on from since is made longer instead.
    pub(super) fn split(
        &mut self,
        live: usize,
        end: PageId,
        since: chrono::DateTime<chrono::Utc>,
    ) -> Option<Split> {
        let reading = self.all.get(live)?;
        let row = reading.row.clone();
        let catches =
            |r: &Reading| r.row.purpose == Purpose::CatchUp && r.row.lane == row.lane && r.row.only.is_none();
        let behind_it =
            |r: &Reading| catches(r) && r.row.to == Some(row.next_page) && r.row.except == row.except;
        let untouched =
            row.next_record == 0 && reading.outstanding.is_empty() && reading.sent == reading.at();
        if let Some(before) = self.all.iter_mut().find(|r| untouched && behind_it(r)) {
            before.row.to = Some(end);
            before.exhausted = false;
            let longer = before.row.clone();
            let live = self.all.get_mut(live)?;
            live.restart_at(Cursor { page: end, record: 0 });
            return Some(Split { changed: vec![longer, live.row.clone()], new: None });
        }
        if self.all.iter().filter(|r| catches(r)).count() >= CATCH_UPS {
            return None;
        }
        let reading = self.all.get_mut(live)?;
        // What is under way stays in the hands of the range that it was made for.
        (reading.row.to, reading.row.purpose, reading.row.since) = (Some(end), Purpose::CatchUp, Some(since));
        let mut next = Span::follow(&row.sink, row.lane, end);
        next.except =
            row.except.iter().filter(|left| left.until.is_none_or(|until| until > end)).cloned().collect();
        Some(Split { changed: vec![reading.row.clone()], new: Some(next) })
    }
}

/// What a split changes.
pub(super) struct Split {
    pub(super) changed: Vec<Span>,
    pub(super) new: Option<Span>,
}

/// Closed ranges that adjoin and are alike become one: what is to be kept of them, changed, and the numbers of those that end.
pub(super) fn joined(mut spans: Vec<Span>) -> (Vec<Span>, Vec<u64>) {
    spans.sort_by_key(|span| (span.next_page, span.next_record, span.id));
    let (mut kept, mut gone): (Vec<Span>, Vec<u64>) = (Vec::new(), Vec::new());
    for span in spans {
        let alike = |before: &&mut Span| {
            before.to == Some(span.next_page)
                && span.next_record == 0
                && span.to.is_some()
                && before.purpose != Purpose::Parked
                && (before.lane, before.purpose) == (span.lane, span.purpose)
                && (&before.mark, &before.only, &before.except) == (&span.mark, &span.only, &span.except)
                && before.reason.is_none()
                && span.reason.is_none()
        };
        match kept.iter_mut().find(alike) {
            Some(before) => {
                before.to = span.to;
                gone.push(span.id);
            }
            None => kept.push(span),
        }
    }
    (kept, gone)
}

/// Leaves a stream out from here on.
pub(super) fn leave_out(row: &mut Span, left: LeftOut) {
    row.except.retain(|known| known.of != left.of);
    row.except.push(left);
}

/// The first page that is wholly behind a place.
pub(super) fn page_after(place: Cursor) -> PageId {
    if place.record == 0 { place.page } else { place.page.saturating_add(1) }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn closed(id: u64, from: PageId, to: PageId) -> Span {
        let follow = Span::follow("siem", Lane::Live, from);
        Span { id, to: Some(to), purpose: Purpose::CatchUp, ..follow }
    }

    fn ranges(spans: Vec<Span>) -> Ranges {
        let all = spans.into_iter().map(Reading::new).collect();
        Ranges { all, ..Ranges::default() }
    }

    fn lane(id: u64, lane: Lane) -> Span {
        Span { id, ..Span::follow("siem", lane, 1) }
    }

    fn parked(id: u64, stream: &str) -> Span {
        let only = Some(crate::journal::StreamKey::new("okta", stream));
        Span {
            only,
            purpose: Purpose::Parked,
            reason: Some("no such index".to_owned()),
            ..lane(id, Lane::Live)
        }
    }

    fn may(window: usize) -> May {
        May { window, apart: true, letters: false, now: Instant::now() }
    }

    fn next(ranges: &mut Ranges, may: May) -> Turn {
        let first = ranges.order(may)[0];
        ranges.served(first, may);
        first
    }

    #[test]
    fn live_goes_first_and_the_rest_has_one_turn_in_eight_by_turns() {
        let mut ranges = ranges(vec![lane(1, Lane::Live), lane(2, Lane::Sweep), lane(3, Lane::Backfill)]);
        let turns: Vec<Turn> = (0..24).map(|_| next(&mut ranges, may(4))).collect();
        let rest: Vec<Turn> = turns.iter().copied().filter(|turn| *turn != Turn::Batch(0)).collect();
        assert_eq!(rest, [1, 2, 1].map(Turn::Batch), "{turns:?}");
        assert_eq!(turns[..8], [0, 0, 0, 0, 0, 0, 0, 1].map(Turn::Batch));
    }

    #[test]
    fn tries_are_a_part_of_the_rest_and_every_second_turn_of_it_at_most() {
        let rows = vec![lane(1, Lane::Live), lane(2, Lane::Backfill), parked(3, "log"), parked(4, "chat")];
        let mut ranges = ranges(rows);
        let may = May { letters: true, ..may(4) };
        let turns: Vec<Turn> = (0..64).map(|_| next(&mut ranges, may)).collect();
        let rest: Vec<Turn> = turns.iter().copied().filter(|turn| *turn != Turn::Batch(0)).collect();
        let backfill = Turn::Batch(1);
        assert_eq!(
            rest,
            [Turn::Try(2), backfill, Turn::Try(3), backfill, Turn::Letters, backfill, Turn::Try(2), backfill]
        );
        // Whatever is apart has no turn where it has its slots already.
        let none = May { apart: false, letters: false, ..may };
        assert_eq!(ranges.order(none), [Turn::Batch(0), backfill]);
    }

    #[test]
    fn after_a_batch_of_the_rest_live_is_next() {
        let mut ranges = ranges(vec![lane(1, Lane::Live), lane(2, Lane::Backfill)]);
        for _ in 0..50 {
            // Live had nothing, however long.
            ranges.served(Turn::Batch(1), may(4));
        }
        assert_eq!(ranges.order(may(4)), [0, 1].map(Turn::Batch));
    }

    #[test]
    fn the_rest_that_has_nothing_does_not_pass_for_waiting() {
        let mut ranges = ranges(vec![lane(1, Lane::Live), lane(2, Lane::Sweep)]);
        ranges.all[1].exhausted = true;
        for _ in 0..20 {
            ranges.served(Turn::Batch(0), may(4));
        }
        ranges.look_again();
        assert_eq!(ranges.order(may(4)), [0, 1].map(Turn::Batch));
    }

    #[test]
    fn a_range_that_waits_or_lacks_its_window_of_acknowledgements_has_no_turn() {
        let mut ranges = ranges(vec![lane(1, Lane::Live), parked(2, "log")]);
        (ranges.once, ranges.all[1].waiting) = (true, Some(Waiting::tried()));
        assert_eq!(ranges.order(may(2)), [Turn::Batch(0)]);
        for ticket in 0..2 {
            ranges.all[0].outstanding.push_back(Outstanding::for_tests(ticket));
        }
        assert!(ranges.order(may(2)).is_empty());
        assert_eq!(ranges.order(may(3)), [Turn::Batch(0)]);
    }

    #[test]
    fn live_that_fell_behind_leaves_its_backlog_to_a_range_of_its_own() {
        let left = LeftOut { of: crate::journal::StreamKey::new("okta", "system_log"), until: Some(50) };
        let live = Span { except: vec![left.clone()], next_page: 10, next_record: 3, ..lane(1, Lane::Live) };
        let mut ranges = ranges(vec![live]);
        let split = ranges.split(0, 500, chrono::DateTime::UNIX_EPOCH).expect("a split");
        assert_eq!((split.changed[0].id, split.changed[0].to), (1, Some(500)));
        assert_eq!(split.changed[0].except, [left]);
        let new = split.new.expect("live goes on");
        assert_eq!((new.next_page, new.next_record, new.to, new.except), (500, 0, None, vec![]));
    }

    #[test]
    fn live_that_has_not_moved_makes_its_backlog_longer() {
        let live = Span { next_page: 500, ..lane(2, Lane::Live) };
        let mut ranges = ranges(vec![closed(1, 10, 500), live]);
        let split = ranges.split(1, 900, chrono::DateTime::UNIX_EPOCH).expect("a split");
        assert!(split.new.is_none());
        assert_eq!(ranges.all[0].row.to, Some(900));
        assert_eq!(ranges.all[1].at(), Cursor { page: 900, record: 0 });
        assert_eq!(ranges.all[1].made, ranges.all[1].at());
    }

    #[test]
    fn there_are_never_many_backlogs() {
        let mut spans: Vec<Span> =
            (0..CATCH_UPS as u64).map(|n| closed(n + 1, n * 100 + 1, n * 100 + 50)).collect();
        spans.push(Span { next_page: 5_000, ..lane(99, Lane::Live) });
        let mut ranges = ranges(spans);
        assert!(ranges.split(CATCH_UPS, 9_000, chrono::DateTime::UNIX_EPOCH).is_none());
    }

    #[test]
    fn closed_ranges_that_adjoin_and_are_alike_become_one() {
        let marked = Span { mark: Some("fix".to_owned()), ..closed(4, 30, 40) };
        let (kept, gone) =
            joined(vec![closed(2, 20, 30), closed(1, 10, 20), marked.clone(), closed(3, 31, 40)]);
        assert_eq!(gone, [2]);
        assert_eq!(kept, [closed(1, 10, 30), marked, closed(3, 31, 40)]);
        let begun = Span { next_record: 4, ..closed(2, 20, 30) };
        assert!(
            joined(vec![closed(1, 10, 20), begun]).1.is_empty(),
            "records in between are delivered already"
        );
    }
}
