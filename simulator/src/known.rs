//! What a vendor's stand-in knows: which records existed, and when each became visible.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use crate::rng::Rng;

/// A record of a stand-in, with all that will ever become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The stream, by Tidegate's name, such as `sign_ins`.
    pub stream: String,
    /// What tells the record apart from others of its stream; for a record without an id a number of the stand-in's own.
    pub id: String,
    /// The vendor's time of the record, by which it is asked for.
    pub occurred_at: DateTime<Utc>,
    /// Its versions, the first one first; a later one replaces the one before it. Never empty.
    pub versions: Vec<Version>,
}

/// One version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// From when on a request sees it.
    pub visible_at: DateTime<Utc>,
    /// The record as the stand-in sends it, byte for byte.
    pub raw: Bytes,
}

impl Known {
    /// The version that a request at `now` sees.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.visible_at <= now)
    }
}

/// How long after its time a record becomes visible: steps of `(share of records, at most this long)`, the shares in
/// ascending order of delay and summing up to 1. Within a step delays are spread evenly from the step before.
#[derive(Debug, Clone, PartialEq)]
pub struct Lateness(pub Vec<(f64, TimeDelta)>);

impl Lateness {
    /// All records at once.
    #[must_use]
    pub fn none() -> Self {
        Self(vec![(1.0, TimeDelta::zero())])
    }

    /// A delay drawn from the distribution.
    pub(crate) fn draw(&self, rng: &mut Rng) -> TimeDelta {
        let mut left = rng.unit();
        let mut from = TimeDelta::zero();
        for (share, to) in &self.0 {
            if left < *share {
                let span = (*to - from).num_milliseconds().max(0) as f64;
                return from + TimeDelta::milliseconds((span * (left / share)) as i64);
            }
            left -= share;
            from = *to;
        }
        from
    }
}
