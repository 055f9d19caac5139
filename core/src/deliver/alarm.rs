//! What is said of trouble: once when it begins, when it changes and when it ends, however often it is tried.

use super::Deliverer;
use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::journal::{Handle, Span, StreamKey, Trouble};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What makes two troubles the same: not their words, in which a number or a request's id may change each time.
type Kind = (FaultKind, Option<u16>, Option<String>);

pub(super) fn kind(cause: &Fault) -> Kind {
    (cause.kind, cause.status, cause.code.clone())
}

/// Trouble that may pass stands in the journal from then on: a destination that is busy now and then costs no commits.
const LASTS: TimeDelta = TimeDelta::seconds(10);

/// The alarm of one sink of one tenant.
pub(super) struct Alarm {
    pub(super) tenant: Arc<str>,
    pub(super) sink: String,
    pub(super) journal: Handle,
    pub(super) clock: Clock,
    pub(super) board: Board,
    said: Mutex<Said>,
    /// Rings when the journal is to say something else.
    pub(super) changed: Notify,
}

/// What was said of the sink as a whole.
#[derive(Default)]
struct Said {
    /// The trouble that was told last, and whether somebody must act.
    told: Option<(Kind, bool)>,
    /// The same for the journal, as it was met last.
    latest: Option<Trouble>,
    /// What the journal is to say, and of which trouble that is; none: an earlier process met it.
    kept: Option<(Option<(Kind, bool)>, Trouble)>,
}

impl Said {
    /// The journal is to say what was met last.
    fn keep(&mut self) {
        let Some(latest) = &self.latest else { return };
        if let Some((of, kept)) = &mut self.kept
            && (*of == self.told || (&kept.reason, kept.halted) == (&latest.reason, latest.halted))
        {
            of.clone_from(&self.told);
            return;
        }
        self.kept = Some((self.told.clone(), latest.clone()));
    }
}

impl Alarm {
    /// Of a deliverer's sink. `kept`: what the journal says of it.
    pub(super) fn new(our: &Deliverer, kept: Option<Trouble>) -> Self {
        Self {
            tenant: Arc::clone(&our.renderer.tenant),
            sink: our.key.clone(),
            journal: our.journal.clone(),
            clock: our.clock.clone(),
            board: our.board.clone(),
            said: Mutex::new(Said { kept: kept.map(|kept| (None, kept)), ..Said::default() }),
            changed: Notify::new(),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the journal is to say.
    pub(super) fn kept(&self) -> Option<Trouble> {
        self.said().kept.as_ref().map(|(_, kept)| kept.clone())
    }

    /// Nothing goes in. `halted`: until somebody acts.
    pub(super) async fn raise(&self, cause: &Fault, halted: bool) {
        let now = self.clock.now();
        if !self.note(cause, halted, now) {
            return;
        }
        let records = self.records().await;
        let (tenant, remedy) = (&self.tenant, cause.remedy.as_deref().unwrap_or_default());
        if halted {
            tracing::error!(%tenant, sink = %self.sink, remedy,
                "{tenant}: {cause}; only this tenant paused, {records} kept");
        } else {
            tracing::warn!(%tenant, sink = %self.sink, "{tenant}: {cause}; tried again, {records} kept");
        }
    }

    /// Whether that is news.
    fn note(&self, cause: &Fault, halted: bool, now: DateTime<Utc>) -> bool {
        let mut said = self.said();
        let known = said.latest.as_ref().or(said.kept.as_ref().map(|(_, kept)| kept));
        let since = known.map_or(now, |known| known.since);
        self.board.sink(&self.sink, |state| state.fault = Some((cause.clone(), since)));
        let (sink, told) = (self.sink.clone(), Some((kind(cause), halted)));
        said.latest = Some(Trouble { sink, since, reason: super::reason(cause), halted });
        let new = std::mem::replace(&mut said.told, told.clone()) != told;
        if halted || now - since >= LASTS {
            said.keep();
            self.changed.notify_one();
        }
        new
    }

    /// The process ends: what is wrong now stands in the journal, however young it is.
    pub(super) fn last(&self) {
        self.said().keep();
    }

    /// Something went in.
    pub(super) fn over(&self) {
        self.board.sink(&self.sink, |state| state.fault = None);
        let before = std::mem::take(&mut *self.said());
        if before.told.is_some() || before.kept.is_some() {
            tracing::info!(tenant = %self.tenant, sink = %self.sink, "{}: {} takes documents again", self.tenant, self.sink);
        }
    }

    /// One stream's documents do not go in.
    pub(super) async fn parked(&self, of: &StreamKey, rows: Vec<Span>, cause: &Fault) {
        let kept = self.journal.kept(rows).await.map_or_else(|_| "all".to_owned(), thousands);
        let (tenant, remedy) = (&self.tenant, cause.remedy.as_deref().unwrap_or_default());
        tracing::error!(%tenant, sink = %self.sink, stream = %of, remedy,
            "{tenant}: {cause}; only {of} paused, {kept} kept");
    }

    /// One stream's documents go in again.
    pub(super) async fn unparked(&self, of: &StreamKey, rows: Vec<Span>) {
        let rest = self.journal.kept(rows).await.map_or_else(|_| "the rest".to_owned(), thousands);
        let tenant = &self.tenant;
        tracing::info!(%tenant, sink = %self.sink, stream = %of, "{tenant}: {of} goes in again, {rest} follow");
    }

    /// How many records are kept for the sink.
    async fn records(&self) -> String {
        let spans = async {
            let spans = self.journal.load().await?.spans;
            self.journal.kept(spans.into_iter().filter(|span| span.sink == self.sink).collect()).await
        };
        spans.await.map_or_else(|_| "all".to_owned(), thousands)
    }
}

/// `41,002`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_written_as_people_read_them() {
        assert_eq!([0, 999, 41_002, 1_000_000].map(super::thousands), ["0", "999", "41,002", "1,000,000"]);
    }
}
