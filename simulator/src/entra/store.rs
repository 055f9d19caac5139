//! The records of a resource, found by any of its times.

use std::cell::OnceCell;
use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::filter::nanos;
use super::streams::{Resource, Stream};
use crate::known::{Known, Version};
use crate::rng::mix;

/// Times of a version in the order of [`Resource::times`]; unused ones are 0.
type Times = [i64; 3];

/// A version of a record, and how a request finds it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Nanoseconds since the epoch, as are `times`.
    visible_at: i64,
    times: Times,
    pub(crate) raw: Bytes,
}

#[derive(Debug)]
struct Item {
    stream: Stream,
    id: String,
    occurred_at: DateTime<Utc>,
    versions: Vec<Seen>,
}

impl Item {
    /// The version that a request at `now` sees, by its place.
    fn at(&self, now: i64) -> Option<(usize, &Seen)> {
        self.versions.iter().enumerate().rev().find(|(_, seen)| seen.visible_at <= now)
    }
}

/// A place in an index: a time, the item, the version that has this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: i64,
    item: u32,
    version: u32,
}

/// All records of one resource in one tenant.
#[derive(Debug)]
pub(crate) struct Store {
    resource: Resource,
    items: Vec<Item>,
    by_id: HashMap<String, u32>,
    /// One for each time of the resource, sorted.
    indexes: Vec<Vec<Entry>>,
}

/// What a filter looks at.
pub(crate) struct Row<'a> {
    pub(crate) times: &'a [i64],
    pub(crate) kind: Option<&'static str>,
    raw: &'a Bytes,
    parsed: OnceCell<Value>,
}

impl Row<'_> {
    /// The record, parsed when it is first looked into.
    pub(crate) fn json(&self) -> &Value {
        self.parsed.get_or_init(|| serde_json::from_slice(self.raw).unwrap_or_default())
    }
}

/// Where a page begins: after the row at this time with this rank among its equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) time: i64,
    pub(crate) rank: u64,
}

/// What is asked of a store.
pub(crate) struct Ask<'a> {
    /// Place of the time in [`Resource::times`].
    pub(crate) field: usize,
    pub(crate) descending: bool,
    /// Both included.
    pub(crate) range: (i64, i64),
    pub(crate) after: Option<Position>,
    /// Decides the order among equal times.
    pub(crate) salt: u64,
    pub(crate) most: usize,
    pub(crate) now: i64,
    pub(crate) matches: &'a dyn Fn(&Row<'_>) -> bool,
}

/// Rows found, and where the next page begins if there are more.
pub(crate) struct Found<'a> {
    pub(crate) rows: Vec<&'a Seen>,
    pub(crate) next: Option<Position>,
}

impl Store {
    pub(crate) fn new(resource: Resource) -> Self {
        Self {
            resource,
            items: Vec::new(),
            by_id: HashMap::new(),
            indexes: resource.times().iter().map(|_| Vec::new()).collect(),
        }
    }

    /// Adds records; those without a version are left out. An id that is there already hides the older record from
    /// `/{id}`, nothing else.
    pub(crate) fn add(&mut self, stream: Stream, records: impl IntoIterator<Item = Known>) {
        for known in records {
            let Ok(at) = u32::try_from(self.items.len()) else { return };
            let versions: Vec<Seen> = known
                .versions
                .into_iter()
                .map(|version| Seen {
                    visible_at: nanos(version.visible_at),
                    times: times(self.resource, &version.raw, known.occurred_at),
                    raw: version.raw,
                })
                .collect();
            for (version, seen) in (0..).zip(&versions) {
                for (index, time) in self.indexes.iter_mut().zip(seen.times) {
                    index.push(Entry { time, item: at, version });
                }
            }
            self.by_id.insert(known.id.to_ascii_lowercase(), at);
            self.items.push(Item { stream, id: known.id, occurred_at: known.occurred_at, versions });
        }
        // Nearly sorted already where records come one by one, which this sort is quick with.
        self.indexes.iter_mut().for_each(|index| index.sort());
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = Known> {
        self.items.iter().map(|item| Known {
            stream: item.stream.name.to_owned(),
            id: item.id.clone(),
            occurred_at: item.occurred_at,
            versions: item
                .versions
                .iter()
                .map(|seen| Version {
                    visible_at: DateTime::from_timestamp_nanos(seen.visible_at),
                    raw: seen.raw.clone(),
                })
                .collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Stream of each record, for counting.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.items.iter().map(|item| (item.stream.name, 1))
    }

    /// How many a request at `now` can see, retention aside.
    pub(crate) fn visible(&self, now: i64) -> usize {
        self.items.iter().filter(|item| item.at(now).is_some()).count()
    }

    /// One record by its id, unless its time lies before `oldest`.
    pub(crate) fn get(&self, id: &str, oldest: i64, now: i64) -> Option<(Stream, &Seen)> {
        let at = usize::try_from(*self.by_id.get(&id.to_ascii_lowercase())?).ok()?;
        let item = self.items.get(at)?;
        let (_, seen) = item.at(now)?;
        (nanos(item.occurred_at) >= oldest).then_some((item.stream, seen))
    }

    /// How many places of an index a range holds: what the service has to look at.
    pub(crate) fn width(&self, field: usize, (from, to): (i64, i64)) -> usize {
        self.slice(field, from, to).len()
    }

    fn slice(&self, field: usize, from: i64, to: i64) -> &[Entry] {
        let index = self.indexes.get(field).map(Vec::as_slice).unwrap_or_default();
        let start = index.partition_point(|entry| entry.time < from);
        let end = index.partition_point(|entry| entry.time <= to);
        index.get(start..end).unwrap_or_default()
    }

    /// One page. Rows of equal time come in an order that the salt decides.
    pub(crate) fn find(&self, ask: &Ask<'_>) -> Found<'_> {
        let (mut from, mut to) = ask.range;
        if let Some(after) = ask.after {
            if ask.descending {
                to = to.min(after.time);
            } else {
                from = from.max(after.time);
            }
        }
        let groups = self.slice(ask.field, from, to).chunk_by(|a, b| a.time == b.time);
        let groups: Box<dyn Iterator<Item = &[Entry]>> =
            if ask.descending { Box::new(groups.rev()) } else { Box::new(groups) };
        let mut found = Found { rows: Vec::new(), next: None };
        let mut last = None;
        for group in groups {
            for (place, seen) in self.ranked(group, ask) {
                if found.rows.len() >= ask.most {
                    found.next = last;
                    return found;
                }
                found.rows.push(seen);
                last = Some(place);
            }
        }
        found
    }

    /// The rows of one time that are seen now, match, and come after the place asked for.
    fn ranked<'a>(&'a self, group: &[Entry], ask: &Ask<'_>) -> Vec<(Position, &'a Seen)> {
        let mut rows: Vec<_> = group
            .iter()
            .filter_map(|entry| {
                let rank = mix(ask.salt, u64::from(entry.item));
                let place = Position { time: entry.time, rank };
                if ask.after.is_some_and(|after| after.time == place.time && rank <= after.rank) {
                    return None;
                }
                let item = self.items.get(usize::try_from(entry.item).ok()?)?;
                let (version, seen) = item.at(ask.now)?;
                if version != usize::try_from(entry.version).ok()? {
                    return None;
                }
                let row = Row {
                    times: &seen.times,
                    kind: item.stream.kind,
                    raw: &seen.raw,
                    parsed: OnceCell::new(),
                };
                (ask.matches)(&row).then_some((place, seen))
            })
            .collect();
        rows.sort_unstable_by_key(|(place, _)| place.rank);
        rows
    }
}

/// The times that a record names. The first is given; others that it does not name are taken to be the same.
fn times(resource: Resource, raw: &Bytes, occurred_at: DateTime<Utc>) -> Times {
    let first = nanos(occurred_at);
    let mut times = [first; 3];
    let others = resource.times().get(1..).unwrap_or_default();
    if !others.is_empty() {
        let record: Value = serde_json::from_slice(raw).unwrap_or_default();
        for (time, name) in times.iter_mut().skip(1).zip(others) {
            let named = record.get(*name).and_then(Value::as_str);
            *time = named
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
                .map_or(first, |at| nanos(at.to_utc()));
        }
    }
    times
}
