//! How long to wait after the n-th failure in a row.

use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest wait.
pub const CAP: Duration = Duration::from_secs(300);

const BASE: Duration = Duration::from_secs(1);

/// Nothing is asked again sooner, whatever the dice say.
const LEAST: Duration = Duration::from_millis(100);

/// Exponential with full jitter: the n-th wait lies anywhere between 100 ms and min(5 min, 1 s · 2ⁿ), so that many
/// sources that failed together do not come back together. The same seed gives the same waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    seed: u64,
    drawn: u64,
    failures: u32,
}

impl Backoff {
    /// Seeded with a name that is stable and no other's, such as `tenant/source`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { seed: xxh3_64_with_seed(name.as_bytes(), 0), drawn: 0, failures: 0 }
    }

    /// Counts a failure and says how long to wait.
    #[must_use = "the wait is the point"]
    pub fn wait(&mut self) -> Duration {
        let ceiling = BASE.saturating_mul(2u32.saturating_pow(self.failures)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        self.drawn = self.drawn.wrapping_add(1);
        let dice = xxh3_64_with_seed(&self.drawn.to_le_bytes(), self.seed);
        let spread = ceiling.saturating_sub(LEAST).as_nanos();
        // (dice / 2⁶⁴) of the spread, in whole numbers.
        let part = (u128::from(dice) * spread) >> 64;
        LEAST + Duration::from_nanos(u64::try_from(part).unwrap_or(0))
    }

    /// A success: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stays_between_the_least_and_the_ceiling(name in ".*", failures in 0u32..200) {
            let mut backoff = Backoff::new(&name);
            for n in 0..failures {
                let wait = backoff.wait();
                prop_assert!(wait >= LEAST);
                prop_assert!(wait <= BASE.saturating_mul(2u32.saturating_pow(n)).min(CAP));
            }
            backoff.reset();
            prop_assert_eq!(backoff.failures(), 0);
            prop_assert!(backoff.wait() <= BASE);
        }

        #[test]
        fn the_same_seed_gives_the_same_waits(name in ".*") {
            let (mut a, mut b) = (Backoff::new(&name), Backoff::new(&name));
            for _ in 0..20 {
                prop_assert_eq!(a.wait(), b.wait());
            }
        }
    }

    #[test]
    fn two_sources_do_not_come_back_together() {
        let waits = |name: &str| {
            let mut backoff = Backoff::new(name);
            (0..10).map(|_| backoff.wait()).collect::<Vec<_>>()
        };
        assert_ne!(waits("acme/okta"), waits("northwind/okta"));
    }

    #[test]
    fn the_dice_use_the_whole_range() {
        let mut backoff = Backoff::new("x");
        for _ in 0..10 {
            let _grow = backoff.wait();
        }
        let waits: Vec<_> = (0..1000).map(|_| backoff.wait().as_secs()).collect();
        assert!(waits.iter().any(|s| *s < 30) && waits.iter().any(|s| *s > 270));
    }
}
