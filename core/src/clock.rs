//! The one place that reads the clock.
//!
//! Under a paused tokio clock wall time follows virtual time, so that a test can live through a week in milliseconds.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time of day. Cheap to clone; clones share corrections.
#[derive(Clone, Debug)]
pub struct Clock {
    base: Option<(DateTime<Utc>, tokio::time::Instant)>,
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self { base: None, offset_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// A clock that says `now` at this moment and moves with tokio's (paused or running) clock.
    #[must_use]
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        Self { base: Some((now, tokio::time::Instant::now())), offset_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// This clock, wrong by `offset`: what a machine without time synchronisation would say.
    #[must_use]
    pub fn wrong_by(&self, offset: TimeDelta) -> Self {
        Self { base: self.base, offset_ms: Arc::new(AtomicI64::new(offset.num_milliseconds())) }
    }

    /// Sets this clock and its clones, as an administrator may set a machine's: from here on it is wrong by `offset`.
    #[cfg(test)]
    pub(crate) fn set(&self, offset: TimeDelta) {
        self.offset_ms.store(offset.num_milliseconds(), Ordering::Relaxed);
    }

    /// Now, in UTC.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self.base {
            None => Utc::now(),
            Some((at, since)) => at + TimeDelta::from_std(since.elapsed()).unwrap_or(TimeDelta::zero()),
        };
        now + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed))
    }
}
