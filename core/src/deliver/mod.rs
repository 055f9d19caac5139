//! Delivery: one task a sink of a tenant drains the journal: read → normalize → render → deliver → ack.
//!
//! *Invariants.* A position only moves to the longest prefix whose documents all have a verdict: delivered, or kept as
//! a dead letter in the same commit. Nothing is rewound. What has no verdict when the program ends is sent again; a
//! destination with deterministic ids recognises it.
//!
//! [`render`] (pure) makes batches, `send` brings one batch to its verdicts, this file keeps the position.

pub mod render;
mod send;

use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::journal::{
    Action, Change, DeadLetter, Handle, JournalError, Lane, Outcome, PageId, Range, Span, State,
};
use crate::sink::Sink;
use crate::stop::{Phase, Stop};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use render::{Built, Cursor, Renderer};
pub use send::GiveUp;
use send::{Sender, Sent};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Live work goes first; the rest keep one batch in this many.
const REST: u64 = 8;
/// How long a stopped loop may still wait for verdicts of batches in flight.
const LAST_VERDICTS: Duration = Duration::from_secs(25);
/// Dead letters sent again in one go.
const DEAD_AT_ONCE: usize = 200;

/// Where a sink that the journal does not know yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next page.
    Now,
    /// With all that the journal holds.
    Kept,
    /// With pages fetched since then.
    At(chrono::DateTime<chrono::Utc>),
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
    /// Rings when dead letters should be looked at.
    pub bell: Arc<Notify>,
}

type InFlight = FuturesOrdered<Pin<Box<dyn Future<Output = (Ack, Option<Sent>)> + Send>>>;

/// What a batch acknowledges once all its documents have a verdict.
struct Ack {
    span: u64,
    to: Cursor,
    dead: Vec<DeadLetter>,
    again: Vec<DeadLetter>,
}

/// A span in the hands of its loop.
struct Reading {
    row: Span,
    /// Up to where batches were made; the row says up to where they were acknowledged.
    made: Cursor,
    ready: VecDeque<Built>,
    exhausted: bool,
}

impl Deliverer {
    /// Delivers until told to stop, or, draining, until everything that the journal holds has a verdict.
    ///
    /// # Errors
    /// Only what the journal says; trouble with the destination is waited out and shown on the board.
    pub async fn run(self) -> Result<(), JournalError> {
        let mut appended = self.journal.appended();
        let mut readings = self.readings().await?;
        let mut in_flight: InFlight = FuturesOrdered::new();
        let (mut dead_retry, mut dead_in_flight) = (true, false);
        let mut turn: u64 = 0;
        // Spans of which a batch came back without its verdicts: no later batch may move their position past it.
        let mut broken: Vec<u64> = Vec::new();
        let limits = self.sink.limits();
        // When new pages are taken up: they may wait for company, so that many small ones become one batch.
        let mut fill_at: Option<Instant> = None;
        let mut draining = false;
        loop {
            let phase = self.stop.phase();
            if phase == Phase::Stop {
                break;
            }
            if phase == Phase::Drain && !draining {
                // Whenever the word came, also during a commit: nothing waits for company any more.
                (draining, fill_at) = (true, None);
                for reading in &mut readings {
                    reading.exhausted = false;
                }
            }
            // One batch at a time, or letters in flight would be sent twice.
            if dead_retry && !dead_in_flight && in_flight.len() < limits.in_flight.max(1) {
                dead_retry = false;
                dead_in_flight = self.send_dead(&mut in_flight).await?;
            }
            while in_flight.len() < limits.in_flight.max(1) {
                turn += 1;
                let Some((span, built)) = self.next_batch(&mut readings, turn).await? else { break };
                self.launch(span, built, &mut in_flight);
            }
            if in_flight.is_empty() {
                self.board.sink(&self.key, |state| state.drained = true);
                if phase == Phase::Drain {
                    // Pages may have come while we looked; the collector is done before draining begins, so once is enough.
                    break;
                }
            } else {
                self.board.sink(&self.key, |state| state.drained = false);
            }
            let mut stop = self.stop.clone();
            let bell = Arc::clone(&self.bell);
            tokio::select! {
                biased;
                () = stop.reached(if phase == Phase::Run { Phase::Drain } else { Phase::Stop }) => {}
                Some((ack, sent)) = in_flight.next(), if !in_flight.is_empty() => {
                    if !ack.again.is_empty() {
                        // There may be more than went in one go.
                        (dead_retry, dead_in_flight) = (true, false);
                    }
                    self.acknowledge(&mut readings, &mut broken, vec![(ack, sent)]).await?;
                }
                changed = appended.changed() => {
                    if changed.is_err() { break; }
                    let age = if phase == Phase::Run { limits.age } else { Duration::ZERO };
                    fill_at.get_or_insert(Instant::now() + age);
                }
                () = tokio::time::sleep_until(fill_at.unwrap_or_else(Instant::now)), if fill_at.is_some() => {
                    fill_at = None;
                    for reading in &mut readings { reading.exhausted = false; }
                }
                () = bell.notified() => {
                    dead_retry = true;
                    self.adopt(&mut readings).await?;
                }
            }
        }
        // What is in flight may still be answered; what was answered is acknowledged, so that it is not sent again.
        let last = async {
            let mut done = Vec::new();
            while let Some(next) = in_flight.next().await {
                done.push(next);
            }
            done
        };
        if let Ok(done) = tokio::time::timeout(LAST_VERDICTS, last).await {
            self.acknowledge(&mut readings, &mut broken, done).await?;
        }
        self.sink.close().await;
        Ok(())
    }

    async fn readings(&self) -> Result<Vec<Reading>, JournalError> {
        Ok(self.claim().await?.into_iter().map(Reading::new).collect())
    }

    /// The sink's place in the journal, made if the journal does not know it. To be called before the first page comes.
    ///
    /// # Errors
    /// What the journal says.
    pub async fn claim(&self) -> Result<Vec<Span>, JournalError> {
        let state = self.journal.load().await?;
        let mut spans: Vec<Span> = state.spans.iter().filter(|span| span.sink == self.key).cloned().collect();
        let missing: Vec<Lane> = Lane::ALL
            .into_iter()
            .filter(|lane| !spans.iter().any(|s| s.lane == *lane && s.to.is_none()))
            .collect();
        if !missing.is_empty() {
            let from = self.first_page(&state).await?;
            for lane in missing {
                let (sink, mark) = (self.key.clone(), None);
                let span = Span { id: 0, sink, lane, next_page: from, next_record: 0, to: None, mark };
                let outcome = self.journal.commit(vec![Change::Span(span.clone())]).await?;
                let id = outcome.iter().find_map(|o| if let Outcome::Row(id) = o { Some(*id) } else { None });
                spans.push(Span { id: id.unwrap_or_default(), ..span });
            }
        }
        Ok(spans)
    }

    async fn first_page(&self, state: &State) -> Result<PageId, JournalError> {
        let (first, next) = state.pages;
        match self.start {
            Start::Now => Ok(next),
            Start::Kept => Ok(first),
            Start::At(time) => {
                // Pages of all lanes share one numbering in time of fetching: the first young one of any lane will do.
                let mut from = next;
                for lane in Lane::ALL {
                    let mut at = first;
                    loop {
                        let pages = self.journal.read(Range { lane, from: at, to: None }, 1 << 20).await?;
                        let Some(last) = pages.last() else { break };
                        at = last.id + 1;
                        if let Some(page) = pages.iter().find(|page| page.at >= time) {
                            from = from.min(page.id);
                            break;
                        }
                    }
                }
                Ok(from)
            }
        }
    }

    /// Takes up spans that an operator added.
    async fn adopt(&self, readings: &mut Vec<Reading>) -> Result<(), JournalError> {
        for span in self.journal.load().await?.spans {
            if span.sink == self.key && !readings.iter().any(|reading| reading.row.id == span.id) {
                readings.push(Reading::new(span));
            }
        }
        Ok(())
    }

    /// The next batch to send, by turns: live first, the rest one in eight.
    async fn next_batch(
        &self,
        readings: &mut [Reading],
        turn: u64,
    ) -> Result<Option<(u64, Built)>, JournalError> {
        let rest_first = turn.is_multiple_of(REST);
        let mut order: Vec<usize> = (0..readings.len()).collect();
        order.sort_by_key(|index| {
            let live = readings.get(*index).is_some_and(|r| r.row.lane == Lane::Live && r.row.to.is_none());
            live == rest_first
        });
        for index in order {
            let Some(reading) = readings.get_mut(index) else { continue };
            if reading.ready.is_empty() && !reading.exhausted {
                self.fill(reading).await?;
            }
            if let Some(built) = reading.ready.pop_front() {
                return Ok(Some((reading.row.id, built)));
            }
        }
        Ok(None)
    }

    /// Reads on and makes batches until there is something to send or nothing left.
    async fn fill(&self, reading: &mut Reading) -> Result<(), JournalError> {
        while reading.ready.is_empty() {
            let range = Range { lane: reading.row.lane, from: reading.made.page, to: reading.row.to };
            let limits = self.sink.limits();
            let pages = self.journal.read(range, limits.bytes / 2).await?;
            if pages.is_empty() {
                reading.exhausted = true;
                if reading.row.to.is_some() && reading.made == reading.at() {
                    self.journal.commit(vec![Change::SpanDone(reading.row.id)]).await?;
                }
                return Ok(());
            }
            let (renderer, sink, from) = (Arc::clone(&self.renderer), Arc::clone(&self.sink), reading.made);
            let (now, mark, key) = (self.clock.now(), reading.row.mark.clone(), self.key.clone());
            let made = tokio::task::spawn_blocking(move || {
                renderer.batches(&pages, from, sink.as_ref(), &key, mark.as_deref(), now)
            })
            .await;
            let Ok(batches) = made else {
                // Every record is guarded on its own; a panic out here is a defect that a retry will not mend.
                let cause = Fault::new(FaultKind::Answer, "rendering failed; this is a defect of tidegate");
                self.board.sink(&self.key, |state| state.fault = Some((cause, now)));
                reading.exhausted = true;
                return Ok(());
            };
            if let Some(last) = batches.last() {
                reading.made = last.to;
            }
            reading.ready.extend(batches);
        }
        Ok(())
    }

    fn launch(&self, span: u64, built: Built, in_flight: &mut InFlight) {
        let ack = Ack { span, to: built.to, dead: built.dead, again: Vec::new() };
        if built.batch.documents.is_empty() {
            let nothing = Some(Sent::default());
            in_flight.push_back(Box::pin(async move { (ack, nothing) }));
            return;
        }
        let sender = self.sender(built.oldest);
        let (batch, origins) = (built.batch, built.origins);
        in_flight.push_back(Box::pin(async move { (ack, sender.send(batch, origins).await) }));
    }

    fn sender(&self, oldest: Option<DateTime<Utc>>) -> Sender {
        Sender {
            key: self.key.clone(),
            sink: Arc::clone(&self.sink),
            clock: self.clock.clone(),
            board: self.board.clone(),
            stop: self.stop.clone(),
            give_up: self.give_up.clone(),
            oldest,
        }
    }

    /// Dead letters that an operator wants to be sent again: the next ones that are ours, whoever else's come before. One
    /// whose stream does not come here (any more) stays a dead letter. Whether there were any.
    async fn send_dead(&self, in_flight: &mut InFlight) -> Result<bool, JournalError> {
        let (mut letters, mut after): (Vec<DeadLetter>, u64) = (Vec::new(), 0);
        while letters.is_empty() {
            let some = self.journal.dead(after, DEAD_AT_ONCE, true).await?;
            let Some(last) = some.last() else { return Ok(false) };
            after = last.id;
            let ours = |letter: &DeadLetter| letter.sink == self.key && self.renderer.takes(letter);
            letters.extend(some.into_iter().filter(ours));
        }
        let (bytes, mut sum) = (self.sink.limits().bytes, 0);
        let mut fits = |letter: &DeadLetter| {
            sum += letter.copy.len();
            sum <= bytes
        };
        let count = letters.iter().take_while(|letter| fits(letter)).count();
        letters.truncate(count.max(1));
        let (renderer, sink, now) = (Arc::clone(&self.renderer), Arc::clone(&self.sink), self.clock.now());
        let again = letters.clone();
        let made = tokio::task::spawn_blocking(move || renderer.dead(&letters, sink.as_ref(), now)).await;
        let Ok(built) = made else { return Ok(false) };
        let ack = Ack { span: 0, to: built.to, dead: built.dead, again };
        let (sender, batch, origins) = (self.sender(None), built.batch, built.origins);
        in_flight.push_back(Box::pin(async move { (ack, sender.send(batch, origins).await) }));
        Ok(true)
    }

    /// Commits what a batch's verdicts allow. A batch without all verdicts (we were told to stop) allows nothing, and
    /// nothing behind it: its span is `broken` until the end.
    async fn acknowledge(
        &self,
        readings: &mut Vec<Reading>,
        broken: &mut Vec<u64>,
        done: Vec<(Ack, Option<Sent>)>,
    ) -> Result<(), JournalError> {
        let mut changes = Vec::new();
        for (ack, sent) in done {
            let Some(sent) = sent.filter(|_| !broken.contains(&ack.span)) else {
                broken.push(ack.span);
                continue;
            };
            let now = self.clock.now();
            if sent.given_up > 0 {
                let detail = format!(
                    "sink {} gave up {} documents before page {}",
                    self.key, sent.given_up, ack.to.page
                );
                tracing::error!(sink = %self.key, documents = sent.given_up, "given up");
                changes.push(Change::Action(Action { at: now, what: "gave_up".to_owned(), detail }));
            }
            let dead = ack.dead.len() + sent.dead.len();
            for letter in &ack.again {
                changes.push(Change::DeadDone(letter.id));
            }
            changes.extend(ack.dead.into_iter().chain(sent.dead).map(Change::Dead));
            if let Some(reading) = readings.iter_mut().find(|reading| reading.row.id == ack.span) {
                (reading.row.next_page, reading.row.next_record) = (ack.to.page, ack.to.record);
                changes.push(Change::Span(reading.row.clone()));
            }
            self.board.sink(&self.key, |state| {
                state.delivered += sent.delivered;
                state.duplicates += sent.duplicates;
                state.dead += dead as u64;
                state.last_delivery = Some(now);
                state.given_up += sent.given_up;
                if sent.given_up == 0 {
                    state.fault = None;
                }
            });
        }
        if !changes.is_empty() {
            self.journal.commit(changes).await?;
        }
        // A closed span that is acknowledged to its end is over.
        let over: Vec<u64> = readings
            .iter()
            .filter(|r| r.row.to.is_some() && r.exhausted && r.ready.is_empty() && r.made == r.at())
            .map(|r| r.row.id)
            .collect();
        if !over.is_empty() {
            self.journal.commit(over.iter().map(|id| Change::SpanDone(*id)).collect()).await?;
            readings.retain(|reading| !over.contains(&reading.row.id));
        }
        Ok(())
    }
}

impl Reading {
    fn new(row: Span) -> Self {
        let made = Cursor { page: row.next_page, record: row.next_record };
        Self { row, made, ready: VecDeque::new(), exhausted: false }
    }

    fn at(&self) -> Cursor {
        Cursor { page: self.row.next_page, record: self.row.next_record }
    }
}
