//! `tidegate status`: what each tenant's sources and sinks are doing, read beside a running process, from the journals
//! alone.

use super::standing::{self, Standing, standings};
use super::text::{moment, span, table, thousands};
use super::{Shown, drift};
use crate::config::{Config, Tenant};
use crate::requests::lane_name;
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use tidegate_core::journal::{GivenUp, JournalError, Lack, Purpose, Reader, Span, State, Trouble};
use tidegate_core::sink::Level;

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

/// What each sink still lacks; what an operator wants once more is not lacking. `lacks`: what the journal says of a span.
///
/// # Errors
/// What the journal says.
pub fn backlog(
    state: &State,
    mut lacks: impl FnMut(&Span) -> Result<Vec<Lack>, JournalError>,
    now: DateTime<Utc>,
) -> Result<Vec<Backlog>, JournalError> {
    let mut sinks: Vec<&str> = state.spans.iter().map(|span| span.sink.as_str()).collect();
    sinks.sort_unstable();
    sinks.dedup();
    let mut out = Vec::new();
    for sink in sinks {
        let mut backlog = Backlog { sink: sink.to_owned(), ..Backlog::default() };
        for span in state.spans.iter().filter(|span| span.sink == sink && !again(span)) {
            for lack in lacks(span)? {
                backlog.records += lack.records;
                backlog.oldest_s = backlog.oldest_s.max(age(lack.fetched.0, now));
            }
        }
        out.push(backlog);
    }
    Ok(out)
}

/// Whether it is a replay, or the part of one that is parked.
fn again(span: &Span) -> bool {
    span.purpose == Purpose::Replay || span.mark.is_some()
}

/// A range beside those that follow their lanes: what it is, and how much is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Beside {
    span: Span,
    records: u64,
}

impl Beside {
    fn text(&self, now: DateTime<Utc>) -> String {
        let Self { span, records } = self;
        let what = match span.purpose {
            Purpose::Parked if span.reason.is_none() => "catches up",
            Purpose::Parked => "PAUSED",
            Purpose::CatchUp | Purpose::Follow => "backlog",
            Purpose::Replay => "replay",
        };
        let of = span.only.as_ref().map_or_else(String::new, |of| format!(" {of}"));
        let mark = span.mark.as_ref().map_or_else(String::new, |mark| format!(", marked {mark}"));
        let since = span
            .since
            .map_or_else(String::new, |since| format!(" since {}", super::text::moment(since, now)));
        let why =
            span.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", in_words(reason).0));
        let lane = lane_name(span.lane);
        format!("     {what}{of} ({lane}{mark}){since}, {} records left{why}", thousands(*records))
    }

    fn remedy(&self) -> Option<&str> {
        in_words(self.span.reason.as_deref()?).1
    }

    fn json(&self) -> Value {
        let Self { span, records } = self;
        let (reason, remedy) = span.reason.as_deref().map(in_words).unzip();
        json!({
            "id": span.id, "what": span.purpose.name(), "lane": span.lane,
            "source": span.only.as_ref().map(|of| &of.source), "stream": span.only.as_ref().map(|of| &of.stream),
            "mark": span.mark, "since": span.since, "records": records, "reason": reason, "remedy": remedy,
        })
    }
}

/// A hole of a sink, for people.
pub(super) fn hole_text(hole: &GivenUp, tenant: &str, now: DateTime<Utc>) -> String {
    let (from, to) = hole.fetched;
    let format = "%Y-%m-%dT%H:%M:%SZ";
    // Up to the second after the last page.
    let (begin, end) = (from.format(format), (to + TimeDelta::seconds(1)).format(format));
    let mut text = format!(
        "→ {}  HOLE  {}  {} documents fetched {}, given up since {} ({})",
        hole.sink,
        hole.of,
        thousands(hole.documents),
        super::text::range(from, to, now),
        moment(hole.at, now),
        hole.cause,
    );
    // A forgotten sink takes nothing any more.
    if hole.cause != "forgotten" {
        let _ = write!(
            text,
            "; while the pages are kept: tidegate replay --tenant {tenant} --sink {} --source {} --stream {} --from {begin} \
             --to {end}",
            hole.sink, hole.of.source, hole.of.stream,
        );
    }
    text
}

/// A hole of a sink, for machines.
pub(super) fn hole_json(hole: &GivenUp) -> Value {
    json!({
        "id": hole.id, "sink": hole.sink, "source": hole.of.source, "stream": hole.of.stream,
        "from": hole.fetched.0, "to": hole.fetched.1, "first_page": hole.pages.0, "last_page": hole.pages.1,
        "documents": hole.documents, "since": hole.at, "cause": hole.cause,
    })
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((now - at).num_seconds()).unwrap_or(0)
}

/// All that is to be shown of a tenant.
struct Looked {
    state: State,
    streams: Vec<Standing>,
    /// Each with its dead letters and the ranges beside those that follow their lanes.
    sinks: Vec<(Backlog, u64, Vec<Beside>)>,
}

fn look(config: &Config, name: &str, tenant: &Tenant, now: DateTime<Utc>) -> Result<Looked, JournalError> {
    let mut reader = Reader::open(journal_dir(config, name))?;
    let state = reader.load()?;
    let dead = reader.dead_counts()?;
    let mut sinks = Vec::new();
    for lacks in backlog(&state, |span| reader.lacks(span), now)? {
        let mut beside = Vec::new();
        for span in state.spans.iter().filter(|span| span.sink == lacks.sink && !span.follows()) {
            let records = reader.lacks(span)?.iter().map(|lack| lack.records).sum();
            beside.push(Beside { span: span.clone(), records });
        }
        let letters = dead.iter().find(|(sink, _)| *sink == lacks.sink).map_or(0, |(_, count)| *count);
        sinks.push((lacks, letters, beside));
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

/// Whether what a sink lacks has waited for longer than it takes where all is well.
fn state_waits(lacks: &Backlog, held: bool) -> bool {
    lacks.records > 0 && (!held || lacks.oldest_s >= 60)
}

/// A reason as rows keep it: in words, and the remedy.
fn in_words(reason: &str) -> (&str, Option<&str>) {
    reason.split_once('\n').map_or((reason, None), |(why, remedy)| (why, Some(remedy)))
}

impl Looked {
    /// What keeps a sink as a whole.
    fn trouble(&self, sink: &str) -> Option<&Trouble> {
        self.state.troubles.iter().find(|trouble| trouble.sink == sink)
    }

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
        for (lacks, dead, beside) in &self.sinks {
            let behind = if lacks.records == 0 {
                "has everything".to_owned()
            } else {
                let oldest =
                    span(TimeDelta::seconds(i64::try_from(lacks.oldest_s).unwrap_or(i64::MAX / 1_000)));
                format!("lacks {} records, the oldest for {oldest}", thousands(lacks.records))
            };
            let dead =
                if *dead == 0 { String::new() } else { format!("  {}", super::text::dead_letters(*dead)) };
            let gone = if tenant.sinks.contains_key(&lacks.sink) {
                String::new()
            } else {
                format!("  NOT IN THE CONFIGURATION: tidegate sinks rename|forget {name} {}", lacks.sink)
            };
            let promise =
                promises.get(&lacks.sink).map_or_else(String::new, |level| format!("  {}", level.name()));
            out.push(format!("  → {}{promise}  {behind}{dead}{gone}", lacks.sink));
            let trouble = self.trouble(&lacks.sink);
            if let Some(trouble) = trouble {
                let (why, remedy) = in_words(&trouble.reason);
                let what = if trouble.halted { "PAUSED" } else { "FAILING" };
                out.push(format!("     {what} since {}: {why}", moment(trouble.since, now)));
                out.extend(
                    super::report::remedy(remedy.unwrap_or_default()).map(|line| format!("     {line}")),
                );
            }
            // Nobody tried, or not for long enough.
            let waits = state_waits(lacks, self.state.holder.is_some());
            if waits && gone.is_empty() && beside.is_empty() && trouble.is_none() {
                out.push("     what keeps it: tidegate check --online".to_owned());
            }
            for range in beside {
                out.push(range.text(now));
                out.extend(
                    super::report::remedy(range.remedy().unwrap_or_default())
                        .map(|line| format!("     {line}")),
                );
            }
        }
        if !self.state.given_up.is_empty() {
            out.push("  holes of sinks".to_owned());
            out.extend(self.state.given_up.iter().map(|hole| format!("  {}", hole_text(hole, name, now))));
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
            .map(|(lacks, dead, beside)| {
                let ranges: Vec<Value> = beside.iter().map(Beside::json).collect();
                let holes = state.given_up.iter().filter(|hole| hole.sink == lacks.sink);
                let trouble = self.trouble(&lacks.sink).map(|trouble| {
                    let (reason, remedy) = in_words(&trouble.reason);
                    json!({
                        "since": trouble.since, "halted": trouble.halted, "reason": reason, "remedy": remedy,
                    })
                });
                json!({
                    "sink": lacks.sink, "backlog": lacks.records, "oldest_undelivered_s": lacks.oldest_s,
                    "dead": dead, "trouble": trouble, "ranges": ranges, "holes": holes.map(hole_json).collect::<Vec<_>>(),
                    "guarantee": promises.get(&lacks.sink).map(|level| level.name()),
                })
            })
            .collect();
        json!({
            "holder": state.holder, "journal_bytes": state.bytes, "streams": streams, "works": works,
            "sinks": sinks, "sink_holes": state.given_up.iter().map(hole_json).collect::<Vec<_>>(),
        })
    }
}
