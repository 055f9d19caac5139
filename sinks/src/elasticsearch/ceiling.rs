//! How large a request may be: what is configured, and less for some time after the server refused one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// After so long without a refusal the bound grows by [`STEP`] of itself: a limit that a proxy has for ever is run into
/// three or four times an hour, one that was raised is used again within hours.
const GROWS: Duration = Duration::from_secs(600);
/// One part in so many.
const STEP: usize = 4;
/// The bound is never learned to be less: no server that is meant for bulk requests takes less.
const LEAST: usize = 64 << 10;

/// The bound of a request's bytes before compression.
#[derive(Debug)]
pub(super) struct Ceiling {
    configured: usize,
    learned: Mutex<Option<Learned>>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    bytes: usize,
    /// The smallest request that was refused.
    refused: usize,
    since: Instant,
    /// The largest request that went in since.
    taken: usize,
}

impl Ceiling {
    pub(super) fn new(configured: usize) -> Self {
        Self { configured, learned: Mutex::new(None) }
    }

    /// What may be sent now.
    pub(super) fn now(&self) -> usize {
        self.learned().map_or(self.configured, |known| known.bytes)
    }

    /// Whether a request of so many bytes, or hardly more, was refused lately: batches that were made before it was learned are
    /// as large as ever, and no two are alike. Once the bound has grown to there, it is tried again.
    pub(super) fn is_hopeless(&self, bytes: usize) -> bool {
        self.learned().is_some_and(|known| {
            let between = known.refused.saturating_sub(known.bytes);
            between > 0 && bytes >= known.refused - between / 4
        })
    }

    fn learned(&self) -> Option<Learned> {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let known = learned.as_mut()?;
        while known.since.elapsed() >= GROWS && known.bytes < self.configured {
            known.bytes += (known.bytes / STEP).max(1);
            known.since += GROWS;
        }
        if known.bytes >= self.configured {
            *learned = None;
        }
        *learned
    }

    /// A request of so many bytes was too large.
    pub(super) fn refused(&self, bytes: usize) {
        let least = LEAST.min(self.configured);
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        // What went in lately may go in again; if it was no smaller than this, the limit was lowered since.
        let taken = learned.map_or(0, |known| known.taken);
        let taken = if taken < bytes { taken } else { 0 };
        let half = (bytes / 2).max(taken);
        let refused = match *learned {
            Some(known) if known.bytes < known.refused => known.refused.min(bytes),
            _ => bytes,
        };
        let bytes = learned.map_or(half, |known| known.bytes.min(half)).max(least);
        *learned = Some(Learned { bytes, refused, since: Instant::now(), taken });
    }

    /// A request of so many bytes went in.
    pub(super) fn taken(&self, bytes: usize) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &mut *learned {
            known.taken = known.taken.max(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_and_forgotten_slowly() {
        let ceiling = Ceiling::new(4 << 20);
        assert_eq!(ceiling.now(), 4 << 20);
        ceiling.refused(4 << 20);
        assert_eq!(ceiling.now(), 2 << 20);
        assert!(ceiling.is_hopeless(4 << 20) && ceiling.is_hopeless((4 << 20) - 100));
        assert!(!ceiling.is_hopeless(3 << 20), "far enough below");
        ceiling.refused(2 << 20);
        assert_eq!(ceiling.now(), 1 << 20);
        assert!(ceiling.is_hopeless(4 << 20) && ceiling.is_hopeless(2 << 20));
        assert!(!ceiling.is_hopeless((1 << 20) + 1), "a batch has a document more than its bound");
        tokio::time::advance(GROWS - Duration::from_secs(1)).await;
        assert_eq!(ceiling.now(), 1 << 20, "not before its time");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ceiling.now(), (1 << 20) * 5 / 4);
        tokio::time::advance(GROWS * 3).await;
        assert!(!ceiling.is_hopeless(2 << 20), "tried again: it may have been raised");
        tokio::time::advance(GROWS * 4).await;
        assert_eq!(ceiling.now(), 4 << 20, "never more than is configured");
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_in_lately_is_not_given_up_for_a_little_more() {
        let ceiling = Ceiling::new(4 << 20);
        ceiling.refused(4 << 20);
        ceiling.taken((2 << 20) - 1);
        tokio::time::advance(GROWS).await;
        ceiling.refused(ceiling.now());
        assert_eq!(ceiling.now(), (2 << 20) - 1);
        // A limit that was lowered.
        ceiling.refused((2 << 20) - 1);
        assert_eq!(ceiling.now(), (2 << 20) / 2 - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_never_learned_to_be_next_to_nothing() {
        let ceiling = Ceiling::new(1 << 20);
        for _ in 0..40 {
            ceiling.refused(10);
        }
        assert_eq!(ceiling.now(), LEAST);
        let narrow = Ceiling::new(1_000);
        narrow.refused(900);
        assert_eq!(narrow.now(), 1_000, "what is configured below that stays");
    }
}
