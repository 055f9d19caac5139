//! Duo's two units of time. v1 of its logs asks in seconds, v2 and Trust Monitor in milliseconds, and a request in the wrong
//! one is refused at best; as types they cannot be taken for each other.

use chrono::{DateTime, Utc};
use std::fmt;

/// Whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seconds(i64);

/// Whole milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(i64);

impl Seconds {
    /// The second that this instant lies in.
    pub(super) fn floor(time: DateTime<Utc>) -> Self {
        Self(time.timestamp())
    }

    /// The first whole second that is not before this instant.
    pub(super) fn ceil(time: DateTime<Utc>) -> Self {
        Self(time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0))
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?.parse().ok().map(Self)
    }

    /// The next one.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Its first instant.
    pub(super) fn start(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)
    }
}

impl Millis {
    /// The millisecond that this instant lies in.
    pub(super) fn floor(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }

    /// The first whole millisecond that is not before this instant.
    pub(super) fn ceil(time: DateTime<Utc>) -> Self {
        let part = time.timestamp_subsec_nanos() % 1_000_000;
        Self(time.timestamp_millis() + i64::from(part > 0))
    }

    /// The next one.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn rounding_outward_loses_no_instant() {
        let at = |millis: i64, nanos: i64| {
            DateTime::from_timestamp_millis(millis).unwrap() + chrono::TimeDelta::nanoseconds(nanos)
        };
        let time = at(1_772_438_400_123, 456);
        assert_eq!(Millis::floor(time).to_string(), "1772438400123");
        assert_eq!(Millis::ceil(time).to_string(), "1772438400124");
        assert_eq!(Seconds::floor(time).to_string(), "1772438400");
        assert_eq!(Seconds::ceil(time).to_string(), "1772438401");
        let whole = at(1_772_438_400_000, 0);
        assert_eq!(
            (Millis::floor(whole), Seconds::floor(whole)),
            (Millis::ceil(whole), Seconds::ceil(whole))
        );
    }
}
