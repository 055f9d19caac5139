//! One batch on its way to its verdicts: retried, halved, paused, until every document has one or is found barred.

use super::alarm::Alarm;
use super::render::{Cursor, Origin};
use crate::board::Board;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::http::Backoff;
use crate::journal::{DeadLetter, PageId, StreamKey};
use crate::sink::{Batch, DeliverError, Delivery, Sink};
use crate::stop::Stop;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a destination that only a person can mend is tried again.
pub(super) const HALT_RETRY: Duration = Duration::from_secs(30);

/// So often in a row the same documents may be answered "later" before their streams are parked. With [`Backoff`] that is
/// two minutes on average and at most four and a quarter: longer than a node's restart or a shard's move takes.
pub(super) const PATIENCE: u32 = 8;

/// The longest that so many waits of our own come to. A destination may ask for longer ones: those documents then wait as
/// long as it asked, once, and hold up nobody else's any longer.
const LONGEST_PATIENCE: Duration = Duration::from_secs(255);

/// When a sink gives records up instead of waiting for ever. By default never.
#[derive(Clone, Debug, Default)]
pub struct GiveUp {
    /// Records fetched longer ago than this.
    pub after: Option<Duration>,
    /// All records, while this says that the journal is full: the sink is not required.
    pub when_full: Option<watch::Receiver<bool>>,
}

impl GiveUp {
    /// Why records that wait since `at` are given up by `now`, if they are.
    fn due(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<&'static str> {
        let old = self.after.is_some_and(|after| (now - at).to_std().is_ok_and(|age| age > after));
        let full = self.when_full.as_ref().is_some_and(|full| *full.borrow());
        old.then_some("give_up_after").or(full.then_some("journal_full"))
    }
}

/// Where a document came from, without its bytes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) of: StreamKey,
    pub(super) cursor: Cursor,
    pub(super) event: Option<u32>,
    pub(super) at: DateTime<Utc>,
    pub(super) mark: Option<Arc<str>>,
}

impl Place {
    pub(super) fn of(origin: &Origin) -> Self {
        Self {
            of: StreamKey::new(&*origin.source, &*origin.stream),
            cursor: origin.cursor(),
            event: origin.event,
            at: origin.at,
            mark: origin.mark.clone(),
        }
    }

    /// Whether this document is what a dead letter is of: one event, or any of a record whose letter is of the whole.
    pub(super) fn is_of(&self, page: PageId, record: u32, event: Option<u32>) -> bool {
        (self.cursor.page, self.cursor.record) == (page, record) && (event.is_none() || event == self.event)
    }

    pub(super) fn page(&self) -> PageId {
        self.cursor.page
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    /// What can never go in, and why.
    pub(super) refused: Vec<Refused>,
    /// Letters of what was refused, and of what never became documents.
    pub(super) dead: Vec<DeadLetter>,
    /// What was given up, and why.
    pub(super) given_up: Vec<(Place, &'static str)>,
    /// What does not go in although the destination answers for others: it has no verdict, and its stream is parked.
    pub(super) barred: Vec<(Place, Fault)>,
}

/// A document that its destination will never take, by its answer of that time.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) origin: Origin,
    pub(super) cause: Fault,
    pub(super) at: DateTime<Utc>,
}

/// Brings one batch to its verdicts.
pub(super) struct Sender {
    pub(super) key: String,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) alarm: Arc<Alarm>,
    pub(super) stop: Stop,
    pub(super) give_up: GiveUp,
    /// Nothing waits for longer than since then: what an operator wants once more is old by nature.
    pub(super) asked: Option<DateTime<Utc>>,
    /// So often in a row the same documents may be answered "later" before they are barred.
    pub(super) patience: u32,
}

/// A part of the batch that still lacks verdicts.
struct Part {
    batch: Batch,
    origins: Vec<Origin>,
    /// How often in a row all of it was answered "later", document by document.
    stuck: u32,
    /// How long it waited between those answers.
    waited: Duration,
}

impl Sender {
    /// Returns when every document has a verdict or is barred, or `None` when told to stop before.
    pub(super) async fn send(mut self, batch: Batch, origins: Vec<Origin>) -> Option<Sent> {
        let mut sent = Sent::default();
        let mut backoff = Backoff::new(&self.key);
        let mut parts = vec![Part { batch, origins, stuck: 0, waited: Duration::ZERO }];
        while let Some(part) = parts.pop() {
            let part = self.give_up(part, &mut sent);
            if part.batch.documents.is_empty() {
                continue;
            }
            let sink = Arc::clone(&self.sink);
            let mut stop = self.stop.clone();
            // A delivery is not raced with the stop signal at once: its answer may be on the way, and an answer that
            // is read is a document that need not be sent again.
            let answer = tokio::select! {
                biased;
                answer = sink.deliver(&part.batch) => answer,
                () = async {
                    stop.reached(crate::stop::Phase::Stop).await;
                    tokio::time::sleep(super::LAST_VERDICTS / 2).await;
                } => return None,
            };
            match answer {
                Ok(delivery) => {
                    let asked = delivery.after;
                    if let Some(mut rest) = self.verdicts(part, delivery, &mut sent) {
                        // Never sooner than asked, and never sooner than our own turn: patience is counted in answers.
                        let wait = backoff.wait().max(asked.unwrap_or_default());
                        rest.waited += wait;
                        parts.push(rest);
                        self.pause(wait).await?;
                    }
                }
                Err(DeliverError::Split { cause }) => {
                    if part.batch.documents.len() == 1 {
                        // The contract forbids it; a document that cannot be halved can never go in.
                        let now = self.clock.now();
                        let refused = |origin| Refused { origin, cause: cause.clone(), at: now };
                        sent.refused.extend(part.origins.into_iter().map(refused));
                        continue;
                    }
                    let (left, right) = part.halves();
                    parts.push(right);
                    parts.push(left);
                }
                Err(DeliverError::Retry { after, cause }) => {
                    self.alarm.raise(&cause, false).await;
                    let wait = after.unwrap_or_else(|| backoff.wait());
                    parts.push(part);
                    self.pause(wait).await?;
                }
                Err(DeliverError::Halt { cause }) => {
                    self.alarm.raise(&cause, true).await;
                    parts.push(part);
                    self.pause(HALT_RETRY).await?;
                }
            }
        }
        Some(sent)
    }

    /// What is left of a part when what is due was given up.
    fn give_up(&self, part: Part, sent: &mut Sent) -> Part {
        let now = self.clock.now();
        let waits = |at: DateTime<Utc>| self.asked.map_or(at, |asked| at.max(asked));
        let due = |origin: &Origin| self.give_up.due(waits(origin.at), now);
        if !part.origins.iter().any(|origin| due(origin).is_some()) {
            return part;
        }
        let mut rest = Vec::new();
        for (index, origin) in part.origins.iter().enumerate() {
            match due(origin) {
                Some(why) => sent.given_up.push((Place::of(origin), why)),
                None => rest.push(index),
            }
        }
        part.only(&rest)
    }

    /// Books a delivery's verdicts; what of the part is to be sent again.
    fn verdicts(&self, part: Part, delivery: Delivery, sent: &mut Sent) -> Option<Part> {
        sent.delivered += delivery.delivered as u64;
        sent.duplicates += delivery.duplicates as u64;
        for warning in &delivery.warnings {
            tracing::warn!(sink = %self.key, "{warning}");
        }
        let now = self.clock.now();
        let place = |index: &usize| part.origins.get(*index);
        let rejected = delivery.rejected.iter().filter_map(|(index, cause)| Some((place(index)?, cause)));
        let refused = |(origin, cause): (&Origin, &Fault)| Refused {
            origin: origin.clone(),
            cause: cause.clone(),
            at: now,
        };
        sent.refused.extend(rejected.map(refused));
        let bar = |(index, cause): &(usize, Fault)| Some((Place::of(place(index)?), cause.clone()));
        sent.barred.extend(delivery.fault.iter().filter_map(bar));
        let again = delivery.retry.len();
        if again == 0 {
            let body = part.batch.body;
            if body.is_unique() {
                crate::spare::give(body.into());
            }
            return None;
        }
        self.board.sink(&self.key, |state| state.retries += again as u64);
        let (stuck, waited) = match again == part.batch.documents.len() {
            true => (part.stuck + 1, part.waited),
            false => (1, Duration::ZERO),
        };
        if stuck >= self.patience || waited > LONGEST_PATIENCE {
            sent.barred.extend(delivery.retry.iter().filter_map(bar));
            return None;
        }
        let mut indices: Vec<usize> = delivery.retry.iter().map(|(index, _)| *index).collect();
        indices.sort_unstable();
        indices.dedup();
        Some(Part { stuck, waited, ..part.only(&indices) })
    }

    async fn pause(&mut self, wait: Duration) -> Option<()> {
        self.stop.unless_stopped(tokio::time::sleep(wait)).await
    }
}

impl Part {
    /// The part with only these documents, in order.
    fn only(&self, indices: &[usize]) -> Self {
        let mut body = Vec::new();
        let origins = Vec::with_capacity(indices.len());
        let mut rest = Self { batch: Batch::default(), origins, stuck: self.stuck, waited: self.waited };
        for index in indices {
            let (Some((span, meta)), Some(origin)) =
                (self.batch.documents.get(*index), self.origins.get(*index))
            else {
                continue;
            };
            let from = body.len();
            body.extend_from_slice(self.batch.body.get(span.clone()).unwrap_or_default());
            rest.batch.documents.push((from..body.len(), meta.clone()));
            rest.origins.push(origin.clone());
        }
        rest.batch.body = body.into();
        rest
    }

    fn halves(&self) -> (Self, Self) {
        let count = self.batch.documents.len();
        let all: Vec<usize> = (0..count).collect();
        let (left, right) = all.split_at(count / 2);
        (self.only(left), self.only(right))
    }
}
