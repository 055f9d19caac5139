//! The records of an account's stream, by time.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::known::{Known, Version};

/// Streams whose records bear no finer time.
pub(super) const WHOLE_SECONDS: [&str; 2] = ["administrator", "offline_enrollment"];

/// A place in a stream: milliseconds, then what orders records of the same one. A cursor is the place of the last record
/// that was given.
pub(super) type Place = (i64, String);

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Epoch milliseconds.
    time: i64,
    /// Orders records of the same millisecond: the id that the vendor's cursor names, a number for the trust monitor,
    /// nothing where there is no cursor.
    tie: String,
    id: String,
    occurred_at: DateTime<Utc>,
    versions: Vec<Version>,
}

impl Record {
    pub(super) fn at(&self, now: DateTime<Utc>) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.visible_at <= now)
    }

    pub(super) fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at
    }

    pub(super) fn place(&self) -> (i64, &str) {
        (self.time, &self.tie)
    }

    pub(super) fn known(&self, stream: &str) -> Known {
        Known {
            stream: stream.to_owned(),
            id: self.id.clone(),
            occurred_at: self.occurred_at,
            versions: self.versions.clone(),
        }
    }
}

/// A record on its way into a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct New {
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) names: Names,
    pub(super) versions: Vec<Version>,
}

/// What a record says about which one it is; nothing where it does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Names {
    /// The id that the vendor's cursor names.
    tie: String,
    /// What tells it apart from all others.
    id: String,
}

impl Names {
    pub(super) fn of(stream: &str, value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (tie, more): (_, &[&str]) = match stream {
            "authentication" => ("txid", &["isotimestamp", "event_type"]),
            "activity" => ("activity_id", &[]),
            "telephony" => ("telephony_id", &["txid", "ts"]),
            "trust_monitor" => ("sekey", &[]),
            _ => return Self::default(),
        };
        let id = more.iter().fold(text(tie).to_owned(), |id, name| format!("{id} {}", text(name)));
        Self { tie: text(tie).to_owned(), id }
    }
}

/// A time as exactly as the stream's records bear it.
fn as_recorded(stream: &str, at: DateTime<Utc>) -> DateTime<Utc> {
    let exact = if WHOLE_SECONDS.contains(&stream) {
        DateTime::from_timestamp(at.timestamp(), 0)
    } else if stream == "trust_monitor" {
        DateTime::from_timestamp_millis(at.timestamp_millis())
    } else {
        None
    };
    exact.unwrap_or(at)
}

/// A range of milliseconds, both ends included, and where to go on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) descending: bool,
    /// Only what comes after this place. Ascending it stands in for `from`, as at the vendor.
    pub(super) after: Option<Place>,
}

/// One stream of one account, ordered by place.
#[derive(Debug, Default)]
pub(super) struct Log {
    records: Vec<Record>,
    /// Longest time from a record to its being visible: everything older is.
    longest: TimeDelta,
    /// Trust monitor: how many records a millisecond has.
    in_ms: HashMap<i64, u32>,
    added: u64,
}

impl Log {
    /// Adds records. None becomes visible before `earliest`, nor earlier than `visible_after` its time.
    pub(super) fn add(
        &mut self,
        stream: &str,
        news: Vec<New>,
        visible_after: TimeDelta,
        earliest: DateTime<Utc>,
    ) {
        for new in news {
            let occurred_at = as_recorded(stream, new.occurred_at);
            let mut versions = new.versions;
            let shown = (occurred_at + visible_after).max(earliest);
            for version in &mut versions {
                version.visible_at = version.visible_at.max(shown);
            }
            let Some(first) = versions.first() else { continue };
            self.longest = self.longest.max(first.visible_at - occurred_at);
            self.added += 1;
            let time = occurred_at.timestamp_millis();
            let Names { mut tie, mut id } = new.names;
            if stream == "trust_monitor" {
                let number = self.in_ms.entry(time).or_default();
                *number += 1;
                // The last digit is left for places between two records.
                tie = format!("{number:05}0");
            }
            if id.is_empty() {
                id = format!("{stream}:{}", self.added);
            }
            self.records.push(Record { time, tie, id, occurred_at, versions });
        }
        // Stable: records that compare equal stay in the order in which they came.
        self.records.sort_by(|one, other| one.place().cmp(&other.place()));
    }

    pub(super) fn all(&self) -> &[Record] {
        &self.records
    }

    /// The records of a range that are visible now, in its order.
    pub(super) fn walk<'a>(
        &'a self,
        range: &'a Range,
        now: DateTime<Utc>,
    ) -> Box<dyn Iterator<Item = (&'a Record, &'a Version)> + 'a> {
        let visible = move |record: &'a Record| record.at(now).map(|version| (record, version));
        let after = range.after.as_ref().map(|(time, tie)| (*time, tie.as_str()));
        let end = self.records.partition_point(|record| record.time <= range.to);
        if range.descending {
            let end = match after {
                Some(after) => end.min(self.records.partition_point(|record| record.place() < after)),
                None => end,
            };
            let found = self.records.get(..end).unwrap_or_default();
            let within = found.iter().rev().take_while(|record| record.time >= range.from);
            return Box::new(within.filter_map(visible));
        }
        let start = match after {
            Some(after) => self.records.partition_point(|record| record.place() <= after),
            None => self.records.partition_point(|record| record.time < range.from),
        };
        let found = self.records.get(start..end).unwrap_or_default();
        Box::new(found.iter().filter_map(visible))
    }

    /// How many records from one time to another are visible now. Only the youngest are looked at one by one.
    pub(super) fn count(&self, from: i64, to: i64, now: DateTime<Utc>) -> usize {
        let settled = (now - self.longest).timestamp_millis();
        let at = |time: i64| self.records.partition_point(|record| record.time < time);
        let (start, end) = (at(from), at(to.saturating_add(1)));
        let middle = at(settled).clamp(start, end.max(start));
        let young = self.records.get(middle..end).unwrap_or_default();
        middle - start + young.iter().filter(|record| record.at(now).is_some()).count()
    }
}
