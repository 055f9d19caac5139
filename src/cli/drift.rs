//! `tidegate status --drift`: what vendors send that no table expects, found by mapping the kept records again.

use crate::config::{Config, Tenant};
use crate::world::journal_dir;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate_core::journal::{JournalError, Lane, PageId, Range, Reader, StoredPage};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};

use super::text::{moment, table, thousands};

/// Bytes of records read at a time.
const STEP: usize = 4 << 20;
/// Rows that are shown of a stream; what is more is said.
const ROWS: usize = 50;

/// One path of a stream's records.
#[derive(Clone, Debug, Default)]
struct Odd {
    /// Values by JSON type.
    kinds: BTreeMap<&'static str, u64>,
    count: u64,
    last: Option<DateTime<Utc>>,
}

/// What drifted, by stream.
#[derive(Debug, Default)]
pub struct Drift {
    since: Option<DateTime<Utc>>,
    records: u64,
    /// By `source/stream` and path.
    streams: BTreeMap<String, BTreeMap<String, Odd>>,
}

/// Maps a tenant's records again that were fetched since then.
///
/// # Errors
/// What the journal says.
pub fn look(
    config: &Config,
    name: &str,
    tenant: &Tenant,
    since: DateTime<Utc>,
) -> Result<Drift, JournalError> {
    let mut reader = Reader::open(journal_dir(config, name))?;
    let (first, next) = reader.load()?.pages;
    let mut drift = Drift { since: Some(since), ..Drift::default() };
    for lane in Lane::ALL {
        let mut from = first_since(&mut reader, lane, (first, next), since)?;
        loop {
            let pages = reader.read(Range { lane, from, to: None }, STEP)?;
            let Some(last) = pages.last() else { break };
            from = last.id + 1;
            for page in pages.iter().filter(|page| page.at >= since) {
                drift.page(name, tenant, page);
            }
        }
    }
    Ok(drift)
}

/// Pages stand in order of fetching: halves what lies before the first young one.
fn first_since(
    reader: &mut Reader,
    lane: Lane,
    (mut low, mut high): (PageId, PageId),
    since: DateTime<Utc>,
) -> Result<PageId, JournalError> {
    while low < high {
        let middle = low + (high - low) / 2;
        let pages = reader.read(Range { lane, from: middle, to: Some(high) }, 1)?;
        match pages.first() {
            Some(page) if page.at < since => low = page.id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

impl Drift {
    fn page(&mut self, name: &str, tenant: &Tenant, page: &StoredPage) {
        let Some(source) = tenant.sources.get(page.source.as_ref()) else { return };
        let Some(stream) = source.connector.stream(&page.stream) else { return };
        let context = Context {
            tenant: name,
            organisation: None,
            namespace: name,
            names: stream.names,
            fetched: page.at.into(),
            ingested: page.at.into(),
            id: None,
            original: false,
            as_sent: false,
            marks: Marks::default(),
        };
        let mut tape = Tape::default();
        for stored in &page.records {
            self.records += 1;
            let Ok(record) = tape.cut(&stored.bytes) else { continue };
            let mut found = Vec::new();
            // What cannot be mapped is a dead letter, and shown as such.
            let _ = source.connector.normalize(stream, record, &mut |event, _| {
                found.extend(schema::drift(event, &context).unwrap_or_default());
            });
            if found.is_empty() {
                continue;
            }
            let paths = self.streams.entry(format!("{}/{}", page.source, page.stream)).or_default();
            for (path, kind) in found {
                let odd = paths.entry(path).or_default();
                *odd.kinds.entry(kind).or_default() += 1;
                odd.count += 1;
                odd.last = odd.last.max(Some(page.at));
            }
        }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let streams: BTreeMap<&String, Vec<Value>> = self
            .streams
            .iter()
            .map(|(stream, paths)| {
                let rows = paths.iter().map(|(path, odd)| {
                    json!({ "path": path, "count": odd.count, "types": odd.kinds, "last": odd.last })
                });
                (stream, rows.collect())
            })
            .collect();
        json!({ "since": self.since, "records": self.records, "streams": streams })
    }

    /// For a person: a line a path, the most frequent first.
    #[must_use]
    pub fn text(&self, name: &str, now: DateTime<Utc>) -> Vec<String> {
        let since = self.since.map(|since| moment(since, now)).unwrap_or_default();
        let records = thousands(self.records);
        let mut out = vec![format!("{name}  {records} records since {since} mapped again")];
        if self.streams.is_empty() {
            out.push("  nothing in them is unexpected".to_owned());
        }
        for (stream, paths) in &self.streams {
            out.push(format!("  {stream}"));
            let mut rows: Vec<_> = paths.iter().collect();
            rows.sort_by_key(|(_, odd)| std::cmp::Reverse(odd.count));
            let cells: Vec<Vec<String>> = rows
                .iter()
                .take(ROWS)
                .map(|(path, odd)| {
                    let kinds: Vec<&str> = odd.kinds.keys().copied().collect();
                    let last = odd.last.map(|last| moment(last, now)).unwrap_or_default();
                    vec![format!("    {path}"), kinds.join("|"), thousands(odd.count), format!("last {last}")]
                })
                .collect();
            out.extend(table(&cells, &[2]));
            if let Some(more) = rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
                out.push(format!("    {more} paths more: --json has all"));
            }
        }
        out
    }
}

/// How far back, as a time.
#[must_use]
pub fn since(now: DateTime<Utc>, age: std::time::Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age).ok().and_then(|age| now.checked_sub_signed(age)).unwrap_or(DateTime::UNIX_EPOCH)
}
