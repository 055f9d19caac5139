//! Acknowledgement: verdicts become positions, dead letters, holes and parked ranges, in one commit.
//!
//! Batches of one range are acknowledged in their order, whatever order their answers come in; ranges do not wait for each
//! other.

use super::InHand;
use super::park::{Barred, first_of_each};
use super::ranges::Reading;
use super::render::Cursor;
use super::send::{Place, Sent};
use crate::fault::{Fault, FaultKind};
use crate::journal::{
    Action, Change, DeadLetter, GivenUp, JournalError, Outcome, PageId, Purpose, Span, StreamKey,
};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// So many dead letters of one commit are logged one by one.
const LOGGED: usize = 20;

/// A batch that a sender has, or had.
pub(super) struct Outstanding {
    pub(super) ticket: u64,
    /// Everything before this place is acknowledged with it.
    pub(super) to: Cursor,
    /// Records that never became documents.
    pub(super) dead: Vec<DeadLetter>,
    /// Dead letters of its documents, where a replay brings these once more: number and document.
    pub(super) letters: Vec<(u64, Place)>,
    /// Only the first record, to see whether it goes in.
    pub(super) probe: bool,
    pub(super) documents: usize,
    pub(super) bytes: usize,
    /// The answer; `None` in it: told to stop before there were verdicts.
    pub(super) answer: Option<Option<Sent>>,
}

impl Outstanding {
    /// Bytes of it that are in memory.
    pub(super) fn bytes(&self) -> usize {
        if self.answer.is_none() { self.bytes } else { 0 }
    }

    #[cfg(test)]
    pub(super) fn for_tests(ticket: u64) -> Self {
        Self {
            ticket,
            to: Cursor::default(),
            dead: Vec::new(),
            letters: Vec::new(),
            probe: false,
            documents: 1,
            bytes: 1,
            answer: None,
        }
    }
}

/// What is to be said and done once a commit stands.
#[derive(Default)]
struct After {
    /// Dead letters, by the place of their change.
    dead: Vec<(usize, DeadLetter)>,
    /// New parked ranges, by the place of their change.
    parked: Vec<(usize, Span, Barred)>,
    /// Ranges of one stream that wait, newly or for another reason.
    waits: Vec<(Span, StreamKey, Fault)>,
    /// Something went in.
    went_in: bool,
    given_up: u64,
}

impl Reading {
    /// Whether a sender has this batch of it.
    pub(super) fn has(&self, ticket: u64) -> bool {
        self.outstanding.iter().any(|outstanding| outstanding.ticket == ticket)
    }

    /// An answer came.
    pub(super) fn answered(&mut self, ticket: u64, answer: &mut Option<Option<Sent>>) {
        if let Some(outstanding) = self.outstanding.iter_mut().find(|o| o.ticket == ticket) {
            outstanding.answer = answer.take();
        }
    }

    /// The oldest batch, if its verdicts are there.
    fn next_answer(&mut self) -> Option<(Outstanding, Sent)> {
        if self.broken {
            return None;
        }
        self.outstanding.front()?.answer.as_ref()?;
        let mut first = self.outstanding.pop_front()?;
        match first.answer.take().flatten() {
            Some(sent) => Some((first, sent)),
            None => {
                self.broken = true;
                None
            }
        }
    }

    fn leaves_out(&self, of: &StreamKey, page: PageId) -> bool {
        self.row.leaves_out(&of.source, &of.stream, page)
    }

    /// Takes away the verdicts on what another range will deliver: its stream was parked while this was on its way.
    fn void(&self, dead: &mut Vec<DeadLetter>, sent: &mut Sent) {
        let theirs = |of: &StreamKey, page| self.leaves_out(of, page);
        let letter = |letter: &DeadLetter| self.row.leaves_out(&letter.source, &letter.stream, letter.page);
        dead.retain(|dead| !letter(dead));
        sent.dead.retain(|dead| !letter(dead));
        sent.given_up.retain(|(place, _)| !theirs(&place.of, place.page()));
        sent.barred.retain(|(place, _)| !theirs(&place.of, place.page()));
    }
}

impl InHand<'_> {
    /// Commits what the verdicts that came allow.
    pub(super) async fn settle(&mut self) -> Result<(), JournalError> {
        let now = self.our.clock.now();
        let (mut changes, mut after) = (Vec::new(), After::default());
        let key = &self.our.key;
        for reading in &mut self.ranges.all {
            let mut moved = false;
            while let Some((first, mut sent)) = reading.next_answer() {
                moved = true;
                let (to, probe, documents) = (first.to, first.probe, first.documents > 0);
                let mut dead = first.dead;
                reading.void(&mut dead, &mut sent);
                let barred = first_of_each(std::mem::take(&mut sent.barred));
                // What lies behind a stream's first barred document will be sent again, whatever became of it.
                let again =
                    |of: &StreamKey, place: Cursor| barred.iter().any(|b| b.of == *of && place >= b.from);
                dead.append(&mut sent.dead);
                dead.retain(|letter| {
                    let place = Cursor { page: letter.page, record: letter.record };
                    !again(&StreamKey::new(&*letter.source, &*letter.stream), place)
                });
                sent.given_up.retain(|(place, _)| !again(&place.of, place.cursor));
                let delivered = first.letters.into_iter().filter(|(_, place)| {
                    let open = reading.leaves_out(&place.of, place.page()) || again(&place.of, place.cursor);
                    let same =
                        |other: &Place| other.is_of(place.cursor.page, place.cursor.record, place.event);
                    let given_up = sent.given_up.iter().any(|(other, _)| same(other));
                    !open && !given_up && !dead.iter().any(|letter| is_letter_of(letter, place))
                });
                let delivered: Vec<u64> = delivered.map(|(id, _)| id).collect();
                if !delivered.is_empty() {
                    changes.push(Change::Action(by_replay(
                        key,
                        &delivered,
                        reading.row.mark.as_deref(),
                        now,
                    )));
                    changes.extend(delivered.into_iter().map(Change::DeadDone));
                }
                let took = sent.delivered + sent.duplicates + dead.len() as u64;
                after.went_in |= took > 0;
                after.given_up += sent.given_up.len() as u64;
                self.our.board.sink(key, |state| {
                    state.delivered += sent.delivered;
                    state.duplicates += sent.duplicates;
                    state.dead += dead.len() as u64;
                    state.given_up += sent.given_up.len() as u64;
                    if took > 0 {
                        state.last_delivery = Some(now);
                    }
                });
                for letter in dead {
                    after.dead.push((changes.len(), letter.clone()));
                    changes.push(Change::Dead(letter));
                }
                changes.extend(holes(key, sent.given_up, now).map(Change::GaveUp));
                if reading.row.only.is_some() {
                    if let Some(barred) = barred.into_iter().next() {
                        reading.acknowledge(barred.from);
                        if reading.wait(&barred) {
                            after.waits.push((reading.row.clone(), barred.of, barred.cause));
                        }
                    } else {
                        reading.went_in(probe, documents);
                        reading.acknowledge(to);
                    }
                    continue;
                }
                reading.acknowledge(to);
                for barred in barred {
                    let row = reading.park(&barred, now);
                    changes.push(Change::Span(row.clone()));
                    after.parked.push((changes.len() - 1, row, barred));
                }
            }
            if moved {
                changes.push(Change::Span(reading.row.clone()));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        if after.went_in {
            self.alarm.over();
        }
        changes.extend(self.trouble_told());
        let outcomes = self.our.journal.commit(changes).await?;
        self.say(after, &outcomes).await;
        Ok(())
    }

    async fn say(&mut self, after: After, outcomes: &[Outcome]) {
        let number = |at: usize| match outcomes.get(at) {
            Some(Outcome::Row(id)) => *id,
            _ => 0,
        };
        let letters = after.dead.into_iter().map(|(at, letter)| (number(at), letter));
        log_dead(&self.alarm.tenant, &self.our.key, letters.collect());
        if after.given_up > 0 {
            tracing::error!(tenant = %self.alarm.tenant, sink = %self.our.key, documents = after.given_up,
                "given up; see the holes of sinks in tidegate status");
        }
        for (at, row, barred) in after.parked {
            let row = Span { id: number(at), ..row };
            let told = self.ranges.told(&barred.of, &barred.cause, row.id);
            self.ranges.parked(row, &barred.cause);
            if !told {
                self.alarm.parked(&barred.of, self.ranges.of(&barred.of), &barred.cause).await;
            }
        }
        for (row, of, cause) in after.waits {
            if !self.ranges.told(&of, &cause, row.id) {
                self.alarm.parked(&of, self.ranges.of(&of), &cause).await;
            }
        }
        self.show_parked();
    }

    /// The board says which streams wait, and why.
    pub(super) fn show_parked(&self) {
        let now = self.our.clock.now();
        let waiting = self.ranges.all.iter().filter_map(|r| {
            let met = r.waiting.as_ref()?.cause.clone();
            // Of one that waited before this process began only the words are known.
            let known = || {
                let reason = r.row.reason.as_deref()?;
                let (message, remedy) = reason.split_once('\n').map_or((reason, None), |(m, r)| (m, Some(r)));
                let mut cause = Fault::new(FaultKind::Configuration, message);
                cause.remedy = remedy.map(str::to_owned);
                Some(cause)
            };
            Some((r.row.only.as_ref()?.to_string(), (met.or_else(known)?, r.row.since.unwrap_or(now))))
        });
        let waiting: BTreeMap<_, _> = waiting.collect();
        self.our.board.sink(&self.our.key, |state| state.parked = waiting);
    }

    /// Ends ranges that are delivered to their end, and gives parked streams back to their lane. Whether there was any.
    pub(super) async fn tend(&mut self) -> Result<bool, JournalError> {
        let mut tended = false;
        let over: Vec<Span> = self.ranges.all.iter().filter(|r| r.is_over()).map(|r| r.row.clone()).collect();
        if !over.is_empty() {
            let mut changes: Vec<Change> = over.iter().map(|row| Change::SpanDone(row.id)).collect();
            let replays = over.iter().filter(|row| row.purpose == Purpose::Replay);
            changes.extend(replays.map(|row| {
                let lane = format!("{:?}", row.lane).to_lowercase();
                let detail = format!("sink {}: replay of the lane {lane} is delivered", self.our.key);
                Change::Action(Action { at: self.our.clock.now(), what: "replayed".to_owned(), detail })
            }));
            self.our.journal.commit(changes).await?;
            self.ranges.all.retain(|reading| !over.iter().any(|row| row.id == reading.row.id));
            tended = true;
        }
        while let Some((id, changed)) = self.ranges.merge() {
            self.our.journal.commit(changed.into_iter().map(Change::Span).collect()).await?;
            let row = self.ranges.by_id(id).map(|reading| reading.row.clone());
            // Other lanes may have the stream parked too: the last one speaks for all.
            if let Some(of) = row.and_then(|row| row.only).filter(|of| !self.ranges.has_open(of)) {
                self.alarm.unparked(&of, self.ranges.of(&of)).await;
            }
            tended = true;
        }
        if tended {
            self.show_parked();
        }
        Ok(tended)
    }
}

/// Whether a new letter is of this document, or of the same record as a whole. Of a record that did not become documents
/// before and now did, those that are refused have letters of their own.
fn is_letter_of(letter: &DeadLetter, place: &Place) -> bool {
    (letter.page, letter.record) == (place.cursor.page, place.cursor.record)
        && (letter.event == place.event || letter.event.is_none())
}

/// Letters leave the list because a replay delivered their documents.
fn by_replay(sink: &str, letters: &[u64], mark: Option<&str>, at: DateTime<Utc>) -> Action {
    let names: Vec<String> = letters.iter().take(LOGGED).map(u64::to_string).collect();
    let more = letters.len().saturating_sub(LOGGED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (s, mark) = (if letters.len() == 1 { "" } else { "s" }, mark.map(|mark| format!(", marked {mark}")));
    let detail = format!(
        "sink {sink}: a replay delivered dead letter{s} {}{more}{}",
        names.join(", "),
        mark.unwrap_or_default()
    );
    Action { at, what: "delivered".to_owned(), detail }
}

/// What was given up of a batch, by stream and cause.
pub(super) fn holes(
    sink: &str,
    given_up: Vec<(Place, &'static str)>,
    now: DateTime<Utc>,
) -> impl Iterator<Item = GivenUp> {
    let mut rows: BTreeMap<(StreamKey, &'static str), GivenUp> = BTreeMap::new();
    for (place, cause) in given_up {
        let page = place.page();
        let row = rows.entry((place.of.clone(), cause)).or_insert_with(|| GivenUp {
            id: 0,
            sink: sink.to_owned(),
            of: place.of,
            pages: (page, page),
            fetched: (place.at, place.at),
            documents: 0,
            at: now,
            cause: cause.to_owned(),
        });
        row.pages = (row.pages.0.min(page), row.pages.1.max(page));
        row.fetched = (row.fetched.0.min(place.at), row.fetched.1.max(place.at));
        row.documents += 1;
    }
    rows.into_values()
}

/// A line for each, up to a bound. Letters have their numbers now.
pub(super) fn log_dead(tenant: &str, sink: &str, letters: Vec<(u64, DeadLetter)>) {
    let more = letters.len().saturating_sub(LOGGED);
    for (id, letter) in letters.into_iter().take(LOGGED) {
        tracing::warn!(%tenant, %sink, page = letter.page, record = letter.record, "{}", DeadLetter { id, ..letter }.line(tenant));
    }
    if more > 0 {
        tracing::warn!(%tenant, %sink, "{more} more dead letters: tidegate dead-letters list {tenant}");
    }
}
