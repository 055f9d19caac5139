//! Parking: what of a range does not go in waits by itself, and the rest goes on.
//!
//! A stream whose documents are barred is taken out of its range, from the first of them on, and becomes a range of its own.
//! That one is tried with its first record only, so that a destination which takes some of its documents and not others gets
//! each of them as seldom as possible. Once a whole batch goes in, it is closed at a page up to which both have come, and the
//! range that it was taken from has the stream again from that page on.

use super::alarm::kind;
use super::ranges::{Ranges, Reading, leave_out, page_after};
use super::render::Cursor;
use super::send::{HALT_RETRY, Place};
use crate::fault::Fault;
use crate::journal::{LeftOut, PageId, Purpose, Span, StreamKey};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// A range of which nothing goes in.
pub(super) struct Waiting {
    /// When it is tried again.
    pub(super) next: Instant,
    /// It was tried since that was last asked for.
    pub(super) tried: bool,
    /// The trouble that was last met, and told; none: it was told before this process began.
    pub(super) cause: Option<Fault>,
}

impl Waiting {
    /// Found waiting in the journal: it is tried at once.
    pub(super) fn unknown() -> Self {
        Self { next: Instant::now(), tried: false, cause: None }
    }

    #[cfg(test)]
    pub(super) fn tried() -> Self {
        Self { tried: true, ..Self::unknown() }
    }

    fn since(cause: &Fault) -> Self {
        Self { next: Instant::now() + HALT_RETRY, tried: true, cause: Some(cause.clone()) }
    }

    /// It was tried in vain; whether the trouble is another one than was told.
    fn again(&mut self, cause: &Fault) -> bool {
        (self.next, self.tried) = (Instant::now() + HALT_RETRY, true);
        self.cause.replace(cause.clone()).is_none_or(|before| kind(&before) != kind(cause))
    }
}

/// A stream's first barred document of a batch.
pub(super) struct Barred {
    pub(super) of: StreamKey,
    pub(super) from: Cursor,
    pub(super) cause: Fault,
}

/// The first barred document of each stream.
pub(super) fn first_of_each(barred: Vec<(Place, Fault)>) -> Vec<Barred> {
    let mut firsts: BTreeMap<StreamKey, (Cursor, Fault)> = BTreeMap::new();
    for (place, cause) in barred {
        let first = firsts.entry(place.of).or_insert_with(|| (place.cursor, cause.clone()));
        if place.cursor < first.0 {
            *first = (place.cursor, cause);
        }
    }
    firsts.into_iter().map(|(of, (from, cause))| Barred { of, from, cause }).collect()
}

impl Reading {
    /// Takes a stream out of this range, and gives the range in which it waits.
    pub(super) fn park(&mut self, barred: &Barred, now: DateTime<Utc>) -> Span {
        let Barred { of, from, cause } = barred;
        leave_out(&mut self.row, LeftOut { of: of.clone(), until: None });
        self.unmake();
        // A part of a replay is a replay.
        let (purpose, since) = match self.row.purpose {
            Purpose::Replay => (Purpose::Replay, self.row.since),
            _ => (Purpose::Parked, Some(now)),
        };
        Span {
            id: 0,
            next_page: from.page,
            next_record: from.record,
            purpose,
            only: Some(of.clone()),
            except: Vec::new(),
            since,
            reason: Some(super::reason(cause)),
            ..self.row.clone()
        }
    }

    /// The range itself, which is of one stream, waits from here on. Whether that is worth a word.
    pub(super) fn wait(&mut self, barred: &Barred) -> bool {
        self.restart_at(barred.from);
        self.works = false;
        self.row.reason = Some(super::reason(&barred.cause));
        match &mut self.waiting {
            Some(waiting) => waiting.again(&barred.cause),
            None => {
                self.waiting = Some(Waiting::since(&barred.cause));
                true
            }
        }
    }

    /// A batch of a parked range went in.
    pub(super) fn went_in(&mut self, probe: bool, documents: bool) {
        if let Some(waiting) = &mut self.waiting {
            if !documents {
                // Records that are no documents here prove nothing.
                waiting.next = Instant::now();
                return;
            }
            (self.waiting, self.row.reason) = (None, None);
        }
        self.works |= documents && !probe;
    }
}

impl Ranges {
    /// A new parked range begins to wait.
    pub(super) fn parked(&mut self, row: Span, cause: &Fault) {
        let mut reading = Reading::new(row);
        reading.waiting = Some(Waiting::since(cause));
        self.all.push(reading);
    }

    /// The rows of one stream, in whatever lane.
    pub(super) fn of(&self, of: &StreamKey) -> Vec<Span> {
        let rows = self.all.iter().map(|r| &r.row);
        rows.filter(|row| row.only.as_ref() == Some(of)).cloned().collect()
    }

    /// Whether the same trouble of the stream was told already, of another range.
    pub(super) fn told(&self, of: &StreamKey, cause: &Fault, but: u64) -> bool {
        self.all.iter().filter(|r| r.row.id != but && r.row.only.as_ref() == Some(of)).any(|r| {
            let known = r.waiting.as_ref().and_then(|waiting| waiting.cause.as_ref());
            known.is_some_and(|known| kind(known) == kind(cause))
        })
    }

    /// Whether a range of the stream is still apart from its lane.
    pub(super) fn has_open(&self, of: &StreamKey) -> bool {
        self.all.iter().any(|r| r.row.only.as_ref() == Some(of) && r.row.to.is_none())
    }

    /// A parked range that works again and can be closed: it goes up to a page, and its lane's range has the stream from there
    /// on. Its number, and the rows that change. While an earlier one of the same stream is not done it waits, so that there
    /// are never more than two.
    pub(super) fn merge(&mut self) -> Option<(u64, Vec<Span>)> {
        let idle = |r: &Reading| r.exhausted && r.ready.is_empty() && r.outstanding.is_empty();
        let open = |r: &&Reading| {
            let fit =
                r.row.to.is_none() && r.waiting.is_none() && !r.broken && !r.failed && (r.works || idle(r));
            fit && r.row.only.is_some()
        };
        let earlier = |parked: &Reading| {
            self.all.iter().any(|r| {
                r.row.to.is_some()
                    && r.row.purpose == Purpose::Parked
                    && (&r.row.only, r.row.lane, &r.row.mark)
                        == (&parked.row.only, parked.row.lane, &parked.row.mark)
            })
        };
        let parked = self.all.iter().filter(open).find(|parked| !earlier(parked))?;
        let (id, lane, only, own) =
            (parked.row.id, parked.row.lane, parked.row.only.clone()?, page_after(parked.made));
        let follows = |r: &Reading| r.row.lane == lane && r.row.follows();
        let theirs = self.all.iter().filter(|r| follows(r)).map(|r| page_after(r.made)).max().unwrap_or(own);
        let at: PageId = own.max(theirs);
        let mut changed = Vec::new();
        for reading in &mut self.all {
            if reading.row.id == id {
                reading.row.to = Some(at);
                reading.exhausted = false;
                changed.push(reading.row.clone());
            } else if reading.row.lane == lane && reading.row.follows() {
                leave_out(&mut reading.row, LeftOut { of: only.clone(), until: Some(at) });
                // Where it has come that far already, nothing is left out.
                let next = reading.row.next_page;
                reading.row.except.retain(|left| left.until.is_none_or(|until| until > next));
                changed.push(reading.row.clone());
            }
        }
        Some((id, changed))
    }

    /// When a waiting range is to be tried next.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let can = self.all.iter().filter_map(|r| self.to_be_tried(r));
        can.map(|waiting| waiting.next).min()
    }

    fn to_be_tried<'r>(&self, reading: &'r Reading) -> Option<&'r Waiting> {
        let can = reading.outstanding.is_empty() && !reading.broken && !reading.failed;
        reading.waiting.as_ref().filter(|waiting| can && !(self.once && waiting.tried))
    }

    /// Whether a range is to be tried by now.
    pub(super) fn is_due(&self, reading: &Reading, now: Instant) -> bool {
        self.to_be_tried(reading).is_some_and(|waiting| waiting.next <= now)
    }

    /// Tries each waiting range once more, now, and then no more.
    pub(super) fn try_all(&mut self) {
        self.once = true;
        for waiting in self.all.iter_mut().filter_map(|r| r.waiting.as_mut()) {
            (waiting.next, waiting.tried) = (Instant::now(), false);
        }
    }

    /// Whether each waiting range that can be tried was tried since [`Ranges::try_all`].
    pub(super) fn tried_all(&self) -> bool {
        let can = self.all.iter().filter(|r| !r.broken && !r.failed);
        can.filter_map(|r| r.waiting.as_ref()).all(|waiting| waiting.tried)
    }
}
