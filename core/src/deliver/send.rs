//! One batch on its way to its verdicts: retried, halved, paused, until every document has one.

use super::render::Origin;
use crate::board::Board;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::http::Backoff;
use crate::journal::DeadLetter;
use crate::sink::{Batch, DeliverError, Delivery, Sink};
use crate::stop::Stop;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a destination that only a person can mend is tried again.
const HALT_RETRY: Duration = Duration::from_secs(30);

/// When a sink gives records up instead of waiting for ever. By default never.
#[derive(Clone, Debug, Default)]
pub struct GiveUp {
    /// Records fetched longer ago than this.
    pub after: Option<Duration>,
    /// All records, while this says that the journal is full: the sink is not required.
    pub when_full: Option<watch::Receiver<bool>>,
}

impl GiveUp {
    /// Whether records fetched at `at` are given up by `now`.
    pub(super) fn is_due(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let old = self.after.is_some_and(|after| (now - at).to_std().is_ok_and(|age| age > after));
        old || self.when_full.as_ref().is_some_and(|full| *full.borrow())
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) given_up: u64,
}

/// Brings one batch to its verdicts.
pub(super) struct Sender {
    pub(super) key: String,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) stop: Stop,
    pub(super) give_up: GiveUp,
    /// When the oldest of the batch's records was fetched.
    pub(super) oldest: Option<DateTime<Utc>>,
}

/// A part of the batch that still lacks verdicts.
struct Part {
    batch: Batch,
    origins: Vec<Origin>,
}

impl Sender {
    /// Returns when every document has a verdict, or `None` when told to stop before.
    pub(super) async fn send(mut self, batch: Batch, origins: Vec<Origin>) -> Option<Sent> {
        let mut sent = Sent::default();
        let mut backoff = Backoff::new(&self.key);
        let mut parts = vec![Part { batch, origins }];
        while let Some(part) = parts.pop() {
            if part.batch.documents.is_empty() {
                continue;
            }
            if self.oldest.is_some_and(|oldest| self.give_up.is_due(oldest, self.clock.now())) {
                sent.given_up += part.batch.documents.len() as u64;
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
                    let (rest, wait) = self.verdicts(part, delivery, &mut sent, &mut backoff);
                    if let Some(rest) = rest {
                        parts.push(rest);
                        self.pause(wait).await?;
                    }
                }
                Err(DeliverError::Split { cause }) => {
                    if part.batch.documents.len() == 1 {
                        // The contract forbids it; a document that cannot be halved can never go in.
                        sent.dead.extend(
                            part.origins
                                .into_iter()
                                .map(|o| o.dead(&self.key, "rejected", &cause, self.clock.now())),
                        );
                        continue;
                    }
                    let (left, right) = part.halves();
                    parts.push(right);
                    parts.push(left);
                }
                Err(DeliverError::Retry { after, cause }) => {
                    self.say(&cause);
                    let wait = after.unwrap_or_else(|| backoff.wait());
                    parts.push(part);
                    self.pause(wait).await?;
                }
                Err(DeliverError::Halt { cause }) => {
                    self.say(&cause);
                    parts.push(part);
                    self.pause(HALT_RETRY).await?;
                }
            }
        }
        Some(sent)
    }

    /// Books a delivery's verdicts; what is left of the part, and how long to wait before sending it.
    fn verdicts(
        &self,
        part: Part,
        delivery: Delivery,
        sent: &mut Sent,
        backoff: &mut Backoff,
    ) -> (Option<Part>, Duration) {
        sent.delivered += delivery.delivered as u64;
        sent.duplicates += delivery.duplicates as u64;
        for warning in &delivery.warnings {
            tracing::warn!(sink = %self.key, "{warning}");
        }
        let now = self.clock.now();
        for (index, cause) in &delivery.rejected {
            if let Some(origin) = part.origins.get(*index) {
                tracing::warn!(sink = %self.key, page = origin.page, record = origin.record, reason = %cause, "dead letter");
                sent.dead.push(origin.dead(&self.key, "rejected", cause, now));
            }
        }
        let mut again: Vec<usize> =
            delivery.retry.iter().chain(&delivery.fault).map(|(index, _)| *index).collect();
        if again.is_empty() {
            let body = part.batch.body;
            if body.is_unique() {
                crate::spare::give(body.into());
            }
            return (None, Duration::ZERO);
        }
        again.sort_unstable();
        again.dedup();
        self.board.sink(&self.key, |state| state.retries += again.len() as u64);
        if let Some((_, cause)) = delivery.fault.first().or(delivery.retry.first()) {
            self.say(cause);
        }
        let wait = if delivery.fault.is_empty() { backoff.wait() } else { HALT_RETRY };
        (Some(part.only(&again)), wait)
    }

    fn say(&self, cause: &Fault) {
        let now = self.clock.now();
        tracing::warn!(sink = %self.key, error = %cause, "not delivered yet");
        self.board.sink(&self.key, |state| {
            let since = state.fault.take().map_or(now, |(_, since)| since);
            state.fault = Some((cause.clone(), since));
        });
    }

    async fn pause(&mut self, wait: Duration) -> Option<()> {
        self.stop.unless_stopped(tokio::time::sleep(wait)).await
    }
}

impl Part {
    /// The part with only these documents, in order.
    fn only(&self, indices: &[usize]) -> Self {
        let mut body = Vec::new();
        let mut rest = Self { batch: Batch::default(), origins: Vec::with_capacity(indices.len()) };
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
