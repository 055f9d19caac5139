//! What is said of trouble: once when it begins, when it changes and when it ends, however often it is tried.

use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::journal::{Handle, Span, StreamKey};
use std::sync::{Arc, Mutex, PoisonError};

/// What makes two troubles the same: not their words, in which a number or a request's id may change each time.
type Kind = (FaultKind, Option<u16>, Option<String>);

pub(super) fn kind(cause: &Fault) -> Kind {
    (cause.kind, cause.status, cause.code.clone())
}

/// The alarm of one sink of one tenant.
pub(super) struct Alarm {
    pub(super) tenant: Arc<str>,
    pub(super) sink: String,
    pub(super) journal: Handle,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) said: Mutex<Option<(Kind, bool)>>,
}

impl Alarm {
    /// Nothing goes in. `halted`: until somebody acts.
    pub(super) async fn raise(&self, cause: &Fault, halted: bool) {
        let now = self.clock.now();
        self.board.sink(&self.sink, |state| {
            let since = state.fault.take().map_or(now, |(_, since)| since);
            state.fault = Some((cause.clone(), since));
        });
        let new = Some((kind(cause), halted));
        if std::mem::replace(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner), new.clone())
            == new
        {
            return;
        }
        let kept = self.kept().await;
        let (tenant, remedy) = (&self.tenant, cause.remedy.as_deref().unwrap_or_default());
        if halted {
            tracing::error!(%tenant, sink = %self.sink, remedy,
                "{tenant}: {cause}; only this tenant paused, {kept} kept");
        } else {
            tracing::warn!(%tenant, sink = %self.sink, "{tenant}: {cause}; tried again, {kept} kept");
        }
    }

    /// Something went in.
    pub(super) fn over(&self) {
        self.board.sink(&self.sink, |state| state.fault = None);
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
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
    async fn kept(&self) -> String {
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
