//! `tidegate status`: what each tenant's sources and sinks are doing, read beside a running process, from the journals
//! alone.

use super::standing::{self, Standing, standings};
use super::text::{moment, span, table, thousands};
use super::{Shown, drift};
use crate::config::{Config, Tenant};
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::journal::{JournalError, Range, Reader, Span, State, StoredPage};
use tidegate_core::sink::Level;

/// Bytes of records read at a time while counting what is not delivered yet.
const STEP: usize = 4 << 20;

/// Shows what each tenant's streams and sinks are doing, also beside a running process.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these tenants
    pub tenant: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
    /// Shows what vendors send that no table expects, by its path in the record: maps the records again that were fetched in
    /// this time
    #[arg(long, value_name = "AGE", num_args = 0..=1, default_missing_value = "24h", value_parser = super::duration)]
    pub drift: Option<Duration>,
}

/// What a sink still lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The sink's key.
    pub sink: String,
    /// How many records.
    pub records: u64,
    /// The age of the oldest in seconds.
    pub oldest_s: u64,
}

/// What each sink still lacks. `read` reads the journal's pages.
///
/// # Errors
/// What the journal says.
pub fn backlog(
    state: &State,
    mut read: impl FnMut(Range, usize) -> Result<Vec<StoredPage>, JournalError>,
    now: DateTime<Utc>,
) -> Result<Vec<Backlog>, JournalError> {
    let mut sinks: Vec<&str> = state.spans.iter().map(|span| span.sink.as_str()).collect();
    sinks.sort_unstable();
    sinks.dedup();
    let mut out = Vec::new();
    for sink in sinks {
        let mut lacks = Backlog { sink: sink.to_owned(), ..Backlog::default() };
        for span in state.spans.iter().filter(|span| span.sink == sink) {
            let mut from = span.next_page;
            loop {
                let pages = read(Range { lane: span.lane, from, to: span.to }, STEP)?;
                let Some(last) = pages.last() else { break };
                from = last.id + 1;
                for page in &pages {
                    lacks.records += open_records(span, page.id, page.records.len());
                    lacks.oldest_s = lacks.oldest_s.max(age(page.at, now));
                }
            }
        }
        out.push(lacks);
    }
    Ok(out)
}

fn open_records(span: &Span, page: u64, records: usize) -> u64 {
    let skip = if page == span.next_page { u64::from(span.next_record) } else { 0 };
    (records as u64).saturating_sub(skip)
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((now - at).num_seconds()).unwrap_or(0)
}

/// All that is to be shown of a tenant.
struct Looked {
    state: State,
    streams: Vec<Standing>,
    /// Each with its dead letters.
    sinks: Vec<(Backlog, u64)>,
}

fn look(config: &Config, name: &str, tenant: &Tenant, now: DateTime<Utc>) -> Result<Looked, JournalError> {
    let mut reader = Reader::open(journal_dir(config, name))?;
    let state = reader.load()?;
    let lacks = backlog(&state, |range, bytes| reader.read(range, bytes), now)?;
    let mut sinks: Vec<(Backlog, u64)> = lacks.into_iter().map(|lacks| (lacks, 0)).collect();
    let mut after = 0;
    loop {
        let letters = reader.dead(after, 500, false)?;
        let Some(last) = letters.last() else { break };
        after = last.id;
        for letter in &letters {
            if let Some((_, dead)) = sinks.iter_mut().find(|(lacks, _)| lacks.sink == letter.sink) {
                *dead += 1;
            }
        }
    }
    Ok(Looked { streams: standings(tenant, &state, now), state, sinks })
}

/// Runs it; the exit code.
pub fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::said(lines(world, config, args))
}

/// The exit code, and what goes to standard output.
pub fn lines(world: &World, config: &Config, args: &Args) -> (u8, Vec<String>) {
    let now = world.clock.now();
    if let Some(age) = args.drift {
        let since = drift::since(now, age);
        return super::of_each(config, &args.tenant, args.json, |name, tenant| {
            let looked = match drift::look(config, name, tenant, since) {
                Err(error) if super::no_journal(&error) => drift::Drift::default(),
                looked => looked?,
            };
            Ok(if args.json { Shown::Json(looked.json()) } else { Shown::Lines(looked.text(name, now)) })
        });
    }
    super::of_each(config, &args.tenant, args.json, |name, tenant| {
        let looked = match look(config, name, tenant, now) {
            Err(error) if super::no_journal(&error) => None,
            looked => Some(looked?),
        };
        Ok(match (looked, args.json) {
            (Some(looked), true) => Shown::Json(looked.json(tenant, &promises(world, config, name), now)),
            (Some(looked), false) => {
                Shown::Lines(looked.text(name, tenant, &promises(world, config, name), now))
            }
            (None, true) => Shown::Json(json!({ "journal": null })),
            (None, false) => Shown::Lines(vec![format!("{name}  never ran (no journal yet)")]),
        })
    })
}

/// What the way to each sink promises, in a word; `tidegate guarantees` says why.
type Promises = BTreeMap<String, Level>;

fn promises(world: &World, config: &Config, tenant: &str) -> Promises {
    let promises = world.promises(config, tenant).into_iter();
    promises.map(|(sink, promise)| (sink, promise.level)).collect()
}

impl Looked {
    fn text(&self, name: &str, tenant: &Tenant, promises: &Promises, now: DateTime<Utc>) -> Vec<String> {
        let holder = match &self.state.holder {
            Some(holder) => format!(
                "`tidegate {}` (pid {}) since {}, sign of life {} ago",
                holder.verb,
                holder.pid,
                moment(holder.since, now),
                span(now - holder.heartbeat)
            ),
            None => "nobody works on it now".to_owned(),
        };
        let size = self.state.bytes as f64 / f64::from(1 << 20);
        let mut out = vec![format!("{name}  {holder}  journal {size:.1} MiB")];
        let told: Vec<(String, Option<&str>)> = self.streams.iter().map(|stream| stream.text(now)).collect();
        let names = self.streams.iter().map(|stream| format!("  {}/{}", stream.source, stream.stream));
        let cells: Vec<Vec<String>> =
            names.zip(&told).map(|(name, (text, _))| vec![name, text.clone()]).collect();
        for (line, (_, remedy)) in table(&cells, &[]).into_iter().zip(told) {
            out.push(line);
            out.extend(super::report::remedy(remedy.unwrap_or_default()).map(|line| format!("  {line}")));
        }
        for (lacks, dead) in &self.sinks {
            let behind = if lacks.records == 0 {
                "has everything".to_owned()
            } else {
                let oldest =
                    span(TimeDelta::seconds(i64::try_from(lacks.oldest_s).unwrap_or(i64::MAX / 1_000)));
                format!("lacks {} records, the oldest for {oldest}", thousands(lacks.records))
            };
            let dead =
                if *dead == 0 { String::new() } else { format!("  {} dead letters", thousands(*dead)) };
            let gone = if tenant.sinks.contains_key(&lacks.sink) {
                String::new()
            } else {
                format!("  NOT IN THE CONFIGURATION: tidegate sinks rename|forget {name} {}", lacks.sink)
            };
            let promise =
                promises.get(&lacks.sink).map_or_else(String::new, |level| format!("  {}", level.name()));
            out.push(format!("  → {}{promise}  {behind}{dead}{gone}", lacks.sink));
        }
        out
    }

    fn json(&self, tenant: &Tenant, promises: &Promises, now: DateTime<Utc>) -> Value {
        let state = &self.state;
        let covered =
            |source: &str, stream: &str| standing::covered_to(&standing::ledger(state, source, stream));
        let works: Vec<Value> = state
            .works
            .iter()
            .map(|w| {
                json!({
                    "source": w.source, "stream": w.stream, "lane": w.lane, "name": w.name, "from": w.from,
                    "to": w.to, "wait_until": w.wait_until, "reason": w.reason,
                    "quota": standing::quota_wait(state, &w.source, tenant.sources.get(&w.source), &w.stream, now),
                    "covered_to": covered(&w.source, &w.stream),
                })
            })
            .collect();
        let streams: Vec<Value> = self.streams.iter().map(|stream| stream.json(now)).collect();
        let sinks: Vec<Value> = self
            .sinks
            .iter()
            .map(|(lacks, dead)| {
                json!({
                    "sink": lacks.sink, "backlog": lacks.records, "oldest_undelivered_s": lacks.oldest_s,
                    "dead": dead, "guarantee": promises.get(&lacks.sink).map(|level| level.name()),
                })
            })
            .collect();
        json!({
            "holder": state.holder, "journal_bytes": state.bytes, "streams": streams, "works": works,
            "sinks": sinks,
        })
    }
}
