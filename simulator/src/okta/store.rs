//! The events of the organisation, with their two clocks: when something happened (`published`) and when the log could
//! first show it (`persisted`).

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::generate::GeneratedEvent;

/// Days after publication that a generated event can be read.
const RETENTION_DAYS: i64 = 90;

/// One event of the log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) id: String,
    /// Epoch milliseconds.
    pub(crate) published: i64,
    /// Epoch milliseconds.
    pub(crate) persisted: i64,
    pub(crate) late: bool,
    /// Falls out of the log after 90 days.
    retained: bool,
    /// Exactly what is served.
    pub(crate) raw: Bytes,
}

impl Record {
    /// Whether a request at this time (epoch milliseconds) can see it.
    pub(crate) fn visible(&self, now: i64) -> bool {
        let kept = !self.retained || self.published >= now - RETENTION_DAYS * 86_400_000;
        self.persisted <= now && kept
    }

    pub(crate) fn describe(&self, now: i64) -> Value {
        json!({
            "id": self.id,
            "published": time(self.published),
            "persisted_at": time(self.persisted),
            "late": self.late,
            "visible": self.visible(now),
        })
    }
}

pub(crate) fn time(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

/// All events, ordered by (persisted, seq).
#[derive(Debug, Default)]
pub(crate) struct Store {
    records: Vec<Record>,
    next_seq: u64,
    /// The latest moment at which a client looked: nothing may be persisted before it afterwards.
    looked: i64,
}

/// What is needed of a raw record; strings are not decoded, so half a surrogate pair elsewhere does no harm.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    uuid: Option<Value>,
    #[serde(default)]
    published: Option<Value>,
}

impl Store {
    pub(crate) fn looked(&mut self, now: DateTime<Utc>) {
        self.looked = self.looked.max(now.timestamp_millis());
    }

    /// Adds generated events. What would have been persisted before a client's last look comes after it: a log that is
    /// read by persistence never grows behind the reader.
    pub(crate) fn add_generated(&mut self, events: Vec<GeneratedEvent>) {
        for event in events {
            let record = Record {
                seq: self.seq(),
                id: event.id,
                published: event.published.timestamp_millis(),
                persisted: event.persisted_at.timestamp_millis().max(self.looked),
                late: event.late,
                retained: true,
                raw: event.raw,
            };
            self.records.push(record);
        }
        self.sort();
    }

    /// Adds raw records, one a line, byte for byte; persisted now, never cut by retention. Returns how many.
    pub(crate) fn add_lines(&mut self, lines: &Bytes, now: DateTime<Utc>) -> usize {
        let persisted = now.timestamp_millis().max(self.looked);
        let before = self.records.len();
        for line in lines.split(|byte| *byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let raw = lines.slice_ref(line);
            let envelope = serde_json::from_slice::<Envelope>(&raw).ok();
            let seq = self.seq();
            let published = envelope
                .as_ref()
                .and_then(|envelope| envelope.published.as_ref()?.as_str())
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
                .map_or(persisted, |at| at.timestamp_millis());
            let id =
                envelope.as_ref().and_then(|envelope| envelope.uuid.as_ref()?.as_str().map(str::to_owned));
            self.records.push(Record {
                seq,
                id: id.unwrap_or_else(|| format!("record:{seq}")),
                published,
                persisted,
                late: false,
                retained: false,
                raw,
            });
        }
        self.sort();
        self.records.len() - before
    }

    fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    fn sort(&mut self) {
        self.records.sort_by_key(|record| (record.persisted, record.seq));
    }

    pub(crate) fn all(&self) -> &[Record] {
        &self.records
    }

    /// Visible events from this place on (inclusive), by persistence.
    pub(crate) fn from(&self, at: (i64, u64), now: i64) -> impl Iterator<Item = &Record> {
        let start = self.records.partition_point(|record| (record.persisted, record.seq) < at);
        let tail = self.records.get(start..).unwrap_or_default();
        tail.iter()
            .take_while(move |record| record.persisted <= now)
            .filter(move |record| record.visible(now))
    }

    /// Events of a range of publication that are visible now, by (published, seq).
    pub(crate) fn published(&self, since: i64, until: i64, now: i64) -> Vec<&Record> {
        let in_range = |record: &&Record| record.published >= since && record.published < until;
        let mut found: Vec<_> =
            self.records.iter().filter(in_range).filter(|record| record.visible(now)).collect();
        found.sort_by_key(|record| (record.published, record.seq));
        found
    }
}

/// Oldest `since` that is answered at all, half a year back.
pub(crate) fn oldest_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(180)
}
