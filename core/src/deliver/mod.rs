//! Delivery: one task a sink of a tenant drains the journal: read → normalize → render → deliver → ack.
//!
//! *Invariants.* A range's position only moves to the longest prefix whose documents all have a verdict: delivered, kept as
//! a dead letter, given up as a named hole, or waiting in a parked range of their own, in the same commit. Nothing is
//! rewound. What has no verdict when the program ends is sent again; a destination with deterministic ids recognises it.
//!
//! Read top-down: [`Deliverer::run`] is the loop. `ranges` has what is to be delivered and whose turn it is, [`render`]
//! (pure) makes batches, `send` brings one batch to its verdicts, `refused` makes letters of what will never go in, `acks`
//! makes positions of verdicts, `park` lets what is barred wait by itself, `again` sends dead letters again, `alarm` says
//! what is wrong. Why it is so: `docs/design/0009-delivery.md`.

mod acks;
mod again;
mod alarm;
mod park;
mod ranges;
mod ratio;
mod refused;
pub mod render;
mod send;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vendor;

use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::journal::{
    Change, Handle, JournalError, Lane, Outcome, PageId, Purpose, Range, Span, State, StoredPage, Trouble,
};
use crate::sink::Sink;
use crate::stop::{Phase, Stop};
use acks::Outstanding;
use again::Again;
use alarm::Alarm;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ranges::{May, Ranges, Reading, Split, Turn};
use ratio::Ratio;
use render::{Built, Cursor, Renderer};
pub use send::GiveUp;
use send::{PATIENCE, Place, Sender, Sent};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Live work goes first; the rest, tries among them, keep one turn in this many.
const REST: u64 = 8;
/// How long a stopped loop may still wait for verdicts of batches in flight.
const LAST_VERDICTS: Duration = Duration::from_secs(25);
/// Live is behind if its next page was fetched longer ago than this: scheduled searches look back some minutes, and what comes
/// later than that gains nothing from coming before what is new.
const CATCH_UP_AGE: TimeDelta = TimeDelta::minutes(10);
/// Live is not behind for fewer pages than this: a SIEM takes so many in less time than anybody would notice.
const CATCH_UP_PAGES: PageId = 64;
/// A lane's backlogs, at most: a destination that comes and goes would else make one each time.
const CATCH_UPS: usize = 8;
/// Records that are looked at to find one that becomes a document, when a parked range is tried.
const PROBE: usize = 16;

/// A fault as rows keep it: in words, and behind a line feed the remedy.
pub(crate) fn reason(cause: &Fault) -> String {
    match &cause.remedy {
        Some(remedy) => format!("{cause}\n{remedy}"),
        None => cause.to_string(),
    }
}

/// Where a sink that the journal does not know yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next page.
    Now,
    /// With all that the journal holds.
    Kept,
    /// With pages fetched since then.
    At(DateTime<Utc>),
}

/// One sink's task: what it works with.
pub struct Deliverer {
    /// The sink's key.
    pub key: String,
    /// The configured sink.
    pub sink: Arc<dyn Sink>,
    /// How records become documents.
    pub renderer: Arc<Renderer>,
    /// The tenant's journal.
    pub journal: Handle,
    /// The time.
    pub clock: Clock,
    /// Where it says how it is doing.
    pub board: Board,
    /// Where it begins if the journal does not know it.
    pub start: Start,
    /// When it gives records up.
    pub give_up: GiveUp,
    /// When to end.
    pub stop: Stop,
    /// Rings when dead letters and new ranges should be looked at.
    pub bell: Arc<Notify>,
}

/// Batches on their way, whatever range they are of, by their tickets.
type Sending = FuturesUnordered<Pin<Box<dyn Future<Output = (u64, Option<Sent>)> + Send>>>;

/// All that a loop has in hand.
struct InHand<'a> {
    our: &'a Deliverer,
    /// Batches that may be on their way.
    slots: usize,
    ranges: Ranges,
    sending: Sending,
    /// Those of them that are of a range of one stream, or letters.
    apart: HashSet<u64>,
    again: Again,
    alarm: Arc<Alarm>,
    /// What the journal says of the sink's trouble.
    trouble: Option<Trouble>,
    ratio: Ratio,
    /// The last page that there was when the loop began.
    newest: PageId,
    tickets: u64,
}

impl Deliverer {
    /// Delivers until told to stop, or, draining, until everything that the journal holds has a verdict or waits, tried in
    /// vain, in a parked range.
    ///
    /// # Errors
    /// Only what the journal says; trouble with the destination is waited out and shown on the board.
    pub async fn run(self) -> Result<(), JournalError> {
        let mut appended = self.journal.appended();
        let limits = self.sink.limits();
        let slots = limits.in_flight.max(1);
        let mut hand = InHand::new(&self, slots).await?;
        // When new pages are taken up: they may wait for company, so that many small ones become one batch.
        let mut fill_at: Option<Instant> = None;
        let mut draining = false;
        loop {
            let phase = self.stop.phase();
            if phase == Phase::Stop {
                break;
            }
            if phase == Phase::Drain && !draining {
                // Whenever the word came, also during a commit: nothing waits for company any more, and what is parked is
                // tried once more, and only once, or hundreds of streams would never be through.
                (draining, fill_at) = (true, None);
                hand.ranges.look_again();
                hand.ranges.try_all();
                hand.again.all();
            }
            hand.launch().await?;
            if hand.tend().await? {
                continue;
            }
            let idle = hand.sending.is_empty();
            hand.show(idle);
            // Pages may have come while we looked; the collector is done before draining begins, so once is enough.
            if idle && phase == Phase::Drain && hand.ranges.tried_all() {
                break;
            }
            let later = hand.later();
            let mut stop = self.stop.clone();
            let (bell, alarm) = (Arc::clone(&self.bell), Arc::clone(&hand.alarm));
            tokio::select! {
                biased;
                () = stop.reached(if phase == Phase::Run { Phase::Drain } else { Phase::Stop }) => {}
                Some((ticket, sent)) = hand.sending.next(), if !hand.sending.is_empty() => {
                    hand.answered(ticket, sent).await?;
                }
                changed = appended.changed() => {
                    if changed.is_err() { break; }
                    let age = if phase == Phase::Run { limits.age } else { Duration::ZERO };
                    fill_at.get_or_insert(Instant::now() + age);
                }
                () = tokio::time::sleep_until(fill_at.unwrap_or_else(Instant::now)), if fill_at.is_some() => {
                    fill_at = None;
                    hand.ranges.look_again();
                }
                () = tokio::time::sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {}
                () = alarm.changed.notified() => hand.tell_trouble().await?,
                () = bell.notified() => {
                    hand.again.all();
                    hand.adopt().await?;
                }
            }
        }
        hand.last_verdicts().await?;
        self.sink.close().await;
        Ok(())
    }

    /// The sink's place in the journal, made if the journal does not know it. To be called before the first page comes.
    ///
    /// # Errors
    /// What the journal says.
    pub async fn claim(&self) -> Result<Vec<Span>, JournalError> {
        let state = self.journal.load().await?;
        let ours = state.spans.iter().filter(|span| span.sink == self.key).cloned().collect();
        let (mut spans, gone) = ranges::joined(ours);
        if !gone.is_empty() {
            let changed = spans.iter().filter(|span| !state.spans.contains(span)).cloned().map(Change::Span);
            self.journal.commit(changed.chain(gone.into_iter().map(Change::SpanDone)).collect()).await?;
        }
        let missing: Vec<Lane> = Lane::ALL
            .into_iter()
            .filter(|lane| !spans.iter().any(|s| s.lane == *lane && s.follows()))
            .collect();
        if !missing.is_empty() {
            let from = self.first_page(&state).await?;
            let new: Vec<Span> =
                missing.into_iter().map(|lane| Span::follow(&self.key, lane, from)).collect();
            let outcomes = self.journal.commit(new.iter().cloned().map(Change::Span).collect()).await?;
            spans.extend(new.into_iter().zip(rows(&outcomes)).map(|(span, id)| Span { id, ..span }));
        }
        Ok(spans)
    }

    async fn first_page(&self, state: &State) -> Result<PageId, JournalError> {
        let (first, next) = state.pages;
        match self.start {
            Start::Now => Ok(next),
            Start::Kept => Ok(first),
            Start::At(time) => {
                // Pages of all lanes share one numbering in time of fetching.
                let end = DateTime::<Utc>::MAX_UTC;
                let young = self.journal.fetched(time, end, (None, None)).await?;
                Ok(young.pages.iter().map(|(_, first, _)| *first).min().unwrap_or(next))
            }
        }
    }
}

/// The numbers of rows that changes made.
fn rows(outcomes: &[Outcome]) -> impl Iterator<Item = u64> {
    outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Row(id) => Some(*id),
        _ => None,
    })
}

impl<'a> InHand<'a> {
    async fn new(our: &'a Deliverer, slots: usize) -> Result<Self, JournalError> {
        let spans = our.claim().await?;
        let state = our.journal.load().await?;
        let newest = state.pages.1.saturating_sub(1);
        let trouble = state.troubles.into_iter().find(|trouble| trouble.sink == our.key);
        let alarm = Alarm::new(our, trouble.clone());
        let mut ranges = Ranges::default();
        ranges.all = spans.into_iter().map(Reading::new).collect();
        let (mut again, alarm) = (Again::default(), Arc::new(alarm));
        again.all();
        let (sending, apart, ratio) = (Sending::new(), HashSet::new(), Ratio::default());
        let tickets = 0;
        let hand = Self { our, slots, ranges, sending, apart, again, alarm, trouble, ratio, newest, tickets };
        hand.show_parked();
        Ok(hand)
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// `asked`: when an operator wanted it once more; `patience`: see [`Sender::patience`].
    fn sender(&self, asked: Option<DateTime<Utc>>, patience: u32) -> Sender {
        let our = self.our;
        Sender {
            key: our.key.clone(),
            sink: Arc::clone(&our.sink),
            clock: our.clock.clone(),
            board: our.board.clone(),
            alarm: Arc::clone(&self.alarm),
            stop: our.stop.clone(),
            give_up: our.give_up.clone(),
            asked,
            patience,
        }
    }

    /// Takes up ranges that an operator added.
    async fn adopt(&mut self) -> Result<(), JournalError> {
        for span in self.our.journal.load().await?.spans {
            if span.sink == self.our.key && self.ranges.by_id(span.id).is_none() {
                self.ranges.all.push(Reading::new(span));
            }
        }
        Ok(())
    }

    /// Fills the free slots, by turns.
    async fn launch(&mut self) -> Result<(), JournalError> {
        while self.sending.len() < self.slots && self.turn().await? {}
        Ok(())
    }

    /// Gives the next turn to the first that has something to send. Whether there was any.
    async fn turn(&mut self) -> Result<bool, JournalError> {
        let (limits, mut asked) = (self.our.sink.limits(), HashSet::new());
        loop {
            let may = self.may();
            // Asking may split a range, so that there are more.
            let Some(turn) = self.ranges.order(may).into_iter().find(|turn| !asked.contains(turn)) else {
                return Ok(false);
            };
            asked.insert(turn);
            let sent = match turn {
                Turn::Letters => self.send_again().await?,
                Turn::Try(index) => self.probe(index).await?,
                Turn::Batch(index) => {
                    let wanted =
                        self.ranges.all.get(index).is_some_and(|r| !r.exhausted && r.has_room(&limits));
                    if wanted && self.fill(index, None).await? {
                        // It is another range now, which was not asked yet.
                        asked.remove(&turn);
                        continue;
                    }
                    match self.ranges.all.get_mut(index).and_then(|r| r.ready.pop_front()) {
                        Some(built) => {
                            self.send(index, built, false).await?;
                            true
                        }
                        None => false,
                    }
                }
            };
            if sent {
                self.ranges.served(turn, may);
                return Ok(true);
            }
        }
    }

    /// Who may have a turn now. What is apart may drag: it never has the last slot, unless there is only one.
    fn may(&self) -> May {
        let apart = self.apart.len() < self.slots.saturating_sub(1).max(1);
        May { window: self.slots, apart, letters: apart && self.again.is_due(), now: Instant::now() }
    }

    /// Tries the first record of a parked range; whether there was one.
    async fn probe(&mut self, index: usize) -> Result<bool, JournalError> {
        self.fill(index, Some(PROBE)).await?;
        let Some(reading) = self.ranges.all.get_mut(index) else { return Ok(false) };
        match reading.ready.pop_front() {
            Some(built) => {
                let built = built.first_record();
                reading.sent = built.to;
                reading.unmake();
                self.send(index, built, true).await?;
                return Ok(true);
            }
            // Nothing is left that could wait.
            None if reading.exhausted => (reading.waiting, reading.row.reason) = (None, None),
            None => {}
        }
        Ok(false)
    }

    /// Reads on and makes batches, of `records` records only where that is said, or finds that nothing is left. Whether
    /// live was split instead, and is to be asked anew.
    async fn fill(&mut self, index: usize, records: Option<usize>) -> Result<bool, JournalError> {
        let Some(reading) = self.ranges.all.get_mut(index) else { return Ok(false) };
        let range = Range { lane: reading.row.lane, from: reading.made.page, to: reading.row.to };
        // One page is read at least.
        let bytes = if records.is_some() { 1 } else { self.ratio.records(&self.our.sink.limits()) };
        let mut pages = match reading.row.only.clone() {
            Some(only) => self.our.journal.read_of(range, only, bytes).await?,
            None => self.our.journal.read(range, bytes).await?,
        };
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else {
            reading.exhausted = true;
            return Ok(false);
        };
        let mut end = Cursor { page: last.id.saturating_add(1), record: 0 };
        let behind = self.our.clock.now() - first.at > CATCH_UP_AGE && reading.is_live();
        if behind && self.split(index, range.from).await? {
            return Ok(true);
        }
        let Some(reading) = self.ranges.all.get_mut(index) else { return Ok(false) };
        let read = pages.iter().map(StoredPage::weight).fold(0, usize::saturating_add);
        pages.retain(|page| !reading.row.leaves_out(&page.source, &page.stream, page.id));
        if let (Some(records), Some(page)) = (records, pages.first_mut()) {
            let skip = if page.id == reading.made.page { reading.made.record as usize } else { 0 };
            if skip.saturating_add(records) < page.records.len() {
                page.records.truncate(skip.saturating_add(records));
                end = Cursor { page: page.id, record: u32::try_from(page.records.len()).unwrap_or(u32::MAX) };
            }
            pages.truncate(1);
        }
        // A batch that is not full goes on, or pages that are longer than a batch would leave a small one each.
        let begun = reading.ready.pop_back().unwrap_or_else(|| Built::begin(reading.made));
        let (renderer, sink) = (Arc::clone(&self.our.renderer), Arc::clone(&self.our.sink));
        let before = (begun.bytes(), begun.origins.len());
        let (now, mark, key) = (self.our.clock.now(), reading.row.mark.clone(), self.our.key.clone());
        let made = tokio::task::spawn_blocking(move || {
            renderer.batches(&pages, begun, sink.as_ref(), &key, mark.as_deref(), now)
        });
        let Ok(mut batches) = made.await else {
            // Every record is guarded on its own; a panic out here is a defect that a retry will not mend.
            let cause = Fault::new(FaultKind::Answer, "rendering failed; this is a defect of tidegate");
            self.our.board.sink(&self.our.key, |state| state.fault = Some((cause, now)));
            reading.failed = true;
            return Ok(false);
        };
        if records.is_none() {
            let bytes = batches.iter().map(Built::bytes).fold(0, usize::saturating_add);
            let count = batches.iter().map(|built| built.origins.len()).fold(0, usize::saturating_add);
            self.ratio.learn(read, bytes.saturating_sub(before.0), count.saturating_sub(before.1));
        }
        if let Some(last) = batches.last_mut() {
            // Pages that were left out are passed as well.
            last.to = end;
        }
        reading.made = end;
        reading.ready.extend(batches);
        Ok(false)
    }

    /// Leaves what had piled up to a range of its own, if live is far behind. Whether it was.
    async fn split(&mut self, index: usize, from: PageId) -> Result<bool, JournalError> {
        let newest = self.newest.max(*self.our.journal.appended().borrow());
        if newest.saturating_sub(from) < CATCH_UP_PAGES {
            return Ok(false);
        }
        let split = self.ranges.split(index, newest.saturating_add(1), self.our.clock.now());
        let Some(Split { changed, new }) = split else { return Ok(false) };
        let changes = changed.into_iter().chain(new.clone()).map(Change::Span).collect();
        let outcomes = self.our.journal.commit(changes).await?;
        if let (Some(new), Some(id)) = (new, rows(&outcomes).last()) {
            self.ranges.all.push(Reading::new(Span { id, ..new }));
        }
        tracing::info!(tenant = %self.alarm.tenant, sink = %self.our.key, pages = newest.saturating_sub(from),
            "far behind: live goes first, the backlog follows");
        Ok(true)
    }

    async fn send(&mut self, index: usize, built: Built, probe: bool) -> Result<(), JournalError> {
        let letters = self.letters_of(index, &built).await?;
        let ticket = self.ticket();
        let row = self.ranges.all.get(index).map(|reading| &reading.row);
        let asked = row.filter(|row| row.purpose == Purpose::Replay).and_then(|row| row.since);
        let apart = row.is_some_and(|row| row.only.is_some());
        // A try that is told "later" is over: the next one comes anyway, and live needs the slot. So is a batch that has the
        // only one.
        let sender = self.sender(asked, if probe || apart && self.slots == 1 { 1 } else { PATIENCE });
        if apart {
            self.apart.insert(ticket);
        }
        let Some(reading) = self.ranges.all.get_mut(index) else { return Ok(()) };
        reading.sent = built.to;
        let (documents, bytes) = (built.batch.documents.len(), built.bytes());
        let Built { batch, origins, dead, to } = built;
        reading.outstanding.push_back(Outstanding {
            ticket,
            to,
            dead,
            letters,
            probe,
            documents,
            bytes,
            answer: None,
        });
        self.sending.push(match documents {
            0 => Box::pin(std::future::ready((ticket, Some(Sent::default())))),
            _ => Box::pin(async move { (ticket, sender.send(batch, origins).await) }),
        });
        Ok(())
    }

    /// The dead letters whose documents a replay brings once more: of the same mark, or without one. A marked document
    /// stands for the bare one, and not the other way round.
    async fn letters_of(&mut self, index: usize, built: &Built) -> Result<Vec<(u64, Place)>, JournalError> {
        let row = self.ranges.all.get_mut(index).map(|reading| &reading.row);
        let (Some(row), [first, ..], [.., last]) =
            (row.filter(|row| row.purpose == Purpose::Replay), &built.origins[..], &built.origins[..])
        else {
            return Ok(Vec::new());
        };
        let mut letters = self.our.journal.letters(self.our.key.clone(), (first.page, last.page)).await?;
        letters.retain(|letter| letter.mark.is_none() || letter.mark == row.mark);
        let mut found = Vec::new();
        for letter in letters {
            // Documents are in the order of their records.
            let at = Cursor { page: letter.page, record: letter.record };
            let from = built.origins.partition_point(|origin| origin.cursor() < at);
            let of = built.origins.iter().skip(from).take_while(|origin| origin.cursor() == at);
            let mut of =
                of.map(Place::of).filter(|place| place.is_of(letter.page, letter.record, letter.event));
            found.extend(of.next().map(|place| (letter.id, Place { event: letter.event, ..place })));
        }
        Ok(found)
    }

    /// A batch came back.
    async fn answered(&mut self, ticket: u64, sent: Option<Sent>) -> Result<(), JournalError> {
        self.note(ticket, sent).await?;
        self.settle().await
    }

    async fn note(&mut self, ticket: u64, mut sent: Option<Sent>) -> Result<(), JournalError> {
        self.apart.remove(&ticket);
        if let Some(sent) = &mut sent {
            self.write_letters(ticket, sent).await?;
        }
        let mut answer = Some(sent);
        self.again_answered(ticket, &mut answer).await?;
        for reading in &mut self.ranges.all {
            reading.answered(ticket, &mut answer);
        }
        Ok(())
    }

    /// When something is to be done although nothing happens. What is due waits for an answer where no slot is free.
    fn later(&self) -> Option<Instant> {
        if self.sending.len() >= self.slots || !self.may().apart {
            return None;
        }
        [self.ranges.next_try(), self.again.next_look()].into_iter().flatten().min()
    }

    fn show(&self, idle: bool) {
        let drained = idle && self.ranges.all.iter().all(|reading| reading.waiting.is_none());
        let held = self.ranges.held();
        self.our.board.sink(&self.our.key, |state| (state.drained, state.held) = (drained, held));
    }

    /// What is in flight may still be answered; what was answered is acknowledged, so that it is not sent again.
    async fn last_verdicts(mut self) -> Result<(), JournalError> {
        let end = Instant::now() + LAST_VERDICTS;
        while let Ok(Some((ticket, sent))) = tokio::time::timeout_at(end, self.sending.next()).await {
            self.note(ticket, sent).await?;
        }
        self.settle().await?;
        self.alarm.last();
        self.tell_trouble().await
    }

    /// The change by which the journal says of the sink what the alarm does, if it does not.
    fn trouble_told(&mut self) -> Option<Change> {
        let wanted = self.alarm.kept();
        (wanted != self.trouble).then(|| {
            self.trouble.clone_from(&wanted);
            wanted.map_or_else(|| Change::TroubleOver(self.our.key.clone()), Change::Trouble)
        })
    }

    async fn tell_trouble(&mut self) -> Result<(), JournalError> {
        match self.trouble_told() {
            Some(change) => self.our.journal.commit(vec![change]).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
