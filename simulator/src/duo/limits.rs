//! Requests in the last minute, for each endpoint of each account, the competitor's among them.

use std::collections::{HashMap, VecDeque};

use super::config::Limits;
use super::endpoint::Endpoint;

/// Milliseconds of the span that requests are counted over.
const SPAN: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// When each request that counts came, oldest first (epoch milliseconds).
    taken: HashMap<(Endpoint, String), VecDeque<i64>>,
    /// Requests that were refused.
    pub(super) refused: u64,
}

impl Buckets {
    /// Takes one request. `false`: refused.
    ///
    /// A competitor that asks in one burst each minute has exactly one burst in any span, wherever in the minute that
    /// lies: it leaves the rest of the limit, no less and no more.
    pub(super) fn take(
        &mut self,
        endpoint: Endpoint,
        account: &str,
        limits: &Limits,
        foreign: f64,
        now: i64,
    ) -> bool {
        let limit = limits.of(endpoint.name());
        let left = limit - ((f64::from(limit) * foreign) as u32).min(limit);
        let taken = self.taken.entry((endpoint, account.to_owned())).or_default();
        while taken.front().is_some_and(|at| *at + SPAN <= now) {
            taken.pop_front();
        }
        let granted = !limits.enforced || (taken.len() as u64) < u64::from(left);
        if granted || limits.count_refused {
            taken.push_back(now);
        }
        self.refused += u64::from(!granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(buckets: &mut Buckets, foreign: f64, second: i64) -> bool {
        buckets.take(Endpoint::Activity, "", &Limits::default(), foreign, second * 1000)
    }

    #[test]
    fn no_sixty_seconds_hold_more_than_two_requests() {
        let mut buckets = Buckets::default();
        let granted = [0, 50, 59, 60, 61, 109, 110].map(|at| take(&mut buckets, 0.0, at));
        assert_eq!(granted, [true, true, false, true, false, false, true]);
        assert_eq!(buckets.refused, 3);
    }

    #[test]
    fn a_competitor_leaves_the_other_half_or_nothing() {
        let mut buckets = Buckets::default();
        assert_eq!([600, 659, 660, 719].map(|at| take(&mut buckets, 0.5, at)), [true, false, true, false]);
        assert!(!take(&mut buckets, 1.0, 900));
    }
}
