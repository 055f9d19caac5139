//! Requests of the last sixty seconds, by bucket and user.

use std::collections::{HashMap, VecDeque};

/// The span that the limits are counted over.
const SPAN_MS: i64 = 60_000;

/// The buckets of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    Queries,
    FilteredQueries,
    Alerts,
}

impl Bucket {
    /// The quota's name in refusals.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Queries => "Queries",
            Self::FilteredQueries => "Filtered queries",
            Self::Alerts => "Alert queries",
        }
    }
}

/// When each user's requests came, newest last.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    taken: HashMap<(Bucket, String), VecDeque<i64>>,
}

impl Limiter {
    /// Takes a request out of all the buckets (with their limits), or out of none: `Err` is the first that is empty.
    ///
    /// The foreign client takes its share at once when a minute of the clock begins. Any sixty seconds hold exactly one
    /// such moment, so that share is always gone.
    pub(crate) fn take(
        &mut self,
        user: &str,
        buckets: &[(Bucket, u32)],
        foreign: f64,
        now: i64,
    ) -> Result<(), Bucket> {
        for (bucket, limit) in buckets {
            let times = self.taken.entry((*bucket, user.to_owned())).or_default();
            while times.front().is_some_and(|at| *at <= now - SPAN_MS) {
                times.pop_front();
            }
            let ours = f64::from(*limit) * (1.0 - foreign.clamp(0.0, 1.0));
            if times.len() as f64 + 1.0 > ours {
                return Err(*bucket);
            }
        }
        for (bucket, _) in buckets {
            self.taken.entry((*bucket, user.to_owned())).or_default().push_back(now);
        }
        Ok(())
    }
}
