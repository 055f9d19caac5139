//! What dedupe compares: a page of records becomes records with keys.

use crate::journal::{Key, NewRecord};
use crate::json::{self, Tape};
use crate::source::{Connector, Page, Stream};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// Records with keys, and the extremes of their times.
#[derive(Default)]
pub(super) struct Keyed {
    pub(super) records: Vec<NewRecord>,
    pub(super) oldest: Option<DateTime<Utc>>,
    pub(super) newest: Option<DateTime<Utc>>,
}

/// Gives every record of a page its key; one with a time before `late_before` became visible late. A record that cannot be read keeps its bytes and is known by them.
pub(super) fn keyed(
    connector: &dyn Connector,
    stream: &Stream,
    page: &Page,
    late_before: Option<DateTime<Utc>>,
) -> Keyed {
    let volatile = connector.volatile(stream);
    let mut tape = Tape::default();
    let mut equal: HashMap<u128, u32> = HashMap::new();
    let mut out = Keyed { records: Vec::with_capacity(page.records.len()), oldest: None, newest: None };
    for span in &page.records {
        let bytes = page.body.slice(span.clone());
        let (mut id, mut time, mut meaning) = (None, None, 0);
        if let Ok(record) = tape.cut(&bytes) {
            let identity = connector.identity(stream, record);
            id = identity.id.map(|id| json::id_hash(&id));
            time = identity.time;
            meaning = json::meaning(record, volatile);
        }
        let mut occurrence = 0;
        let id = id.unwrap_or_else(|| {
            // Two equal records of one second are two events: the vendor gave them no id to tell them apart.
            let content = Key::of_content(&bytes);
            let nth = equal.entry(content).or_insert(0);
            occurrence = *nth;
            *nth += 1;
            content.wrapping_add(u128::from(occurrence))
        });
        let hour = time.map_or(Key::NO_TIME, |time| time.timestamp().div_euclid(3600));
        if let Some(time) = time {
            out.oldest = Some(out.oldest.map_or(time, |oldest| oldest.min(time)));
            out.newest = Some(out.newest.map_or(time, |newest| newest.max(time)));
        }
        let late = time.zip(late_before).is_some_and(|(time, before)| time < before);
        out.records.push(NewRecord { bytes, key: Key { hour, id, meaning }, occurrence, late });
    }
    out
}
