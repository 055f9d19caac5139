//! `tidegate status` and `tidegate coverage`: read beside a running process, from the journals alone.

use super::report::thousands;
use crate::config::{Config, Tenant};
use crate::world::{World, journal_dir};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tidegate_core::journal::{Grade, Handle, Interval, JournalError, Lane, Range, Reader, Span, State};

/// Bytes of records read at a time while counting what is not delivered yet.
const STEP: usize = 4 << 20;

/// Shows what each tenant's sources and sinks are doing, also beside a running process.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only these tenants
    tenant: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows which time of which stream was read, how well that is proven, and which holes there are.
#[derive(Debug, clap::Args)]
pub struct CoverageArgs {
    /// Only these tenants
    tenant: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Records that the slowest sink still lacks, and the age of the oldest in seconds.
///
/// # Errors
/// What the journal says.
pub async fn backlog(journal: &Handle, now: DateTime<Utc>) -> Result<(u64, u64), JournalError> {
    let state = journal.load().await?;
    let mut worst = (0, 0);
    for sink in sinks(&state) {
        let (mut count, mut oldest) = (0_u64, 0_u64);
        for span in state.spans.iter().filter(|span| span.sink == sink) {
            let mut from = span.next_page;
            loop {
                let pages = journal.read(Range { lane: span.lane, from, to: span.to }, STEP).await?;
                let Some(last) = pages.last() else { break };
                from = last.id + 1;
                for page in &pages {
                    count += open_records(span, page.id, page.records.len());
                    oldest = oldest.max(age(page.at, now));
                }
            }
        }
        worst = worst.max((count, oldest));
    }
    Ok(worst)
}

fn sinks(state: &State) -> Vec<String> {
    let mut sinks: Vec<String> = state.spans.iter().map(|span| span.sink.clone()).collect();
    sinks.sort();
    sinks.dedup();
    sinks
}

fn open_records(span: &Span, page: u64, records: usize) -> u64 {
    let skip = if page == span.next_page { u64::from(span.next_record) } else { 0 };
    (records as u64).saturating_sub(skip)
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((now - at).num_seconds()).unwrap_or(0)
}

struct SinkLine {
    sink: String,
    behind: u64,
    oldest: u64,
    dead: u64,
}

fn sink_lines(reader: &mut Reader, state: &State, now: DateTime<Utc>) -> Result<Vec<SinkLine>, JournalError> {
    let mut lines = Vec::new();
    for sink in sinks(state) {
        let mut line = SinkLine { sink, behind: 0, oldest: 0, dead: 0 };
        for span in state.spans.iter().filter(|span| span.sink == line.sink) {
            let mut from = span.next_page;
            loop {
                let pages = reader.read(Range { lane: span.lane, from, to: span.to }, STEP)?;
                let Some(last) = pages.last() else { break };
                from = last.id + 1;
                for page in &pages {
                    line.behind += open_records(span, page.id, page.records.len());
                    line.oldest = line.oldest.max(age(page.at, now));
                }
            }
        }
        let mut after = 0;
        loop {
            let letters = reader.dead(after, 500, false)?;
            let Some(last) = letters.last() else { break };
            after = last.id;
            line.dead += letters.iter().filter(|letter| letter.sink == line.sink).count() as u64;
        }
        lines.push(line);
    }
    Ok(lines)
}

fn chosen<'c>(config: &'c Config, names: &'c [String]) -> Result<Vec<(&'c String, &'c Tenant)>, u8> {
    if names.is_empty() {
        return Ok(config.tenants.iter().collect());
    }
    names.iter().map(|name| Ok((name, super::tenant(config, name)?))).collect()
}

/// `status`; the exit code.
pub fn status(world: &World, config: &Config, args: &StatusArgs) -> u8 {
    let now = world.clock.now();
    let tenants = match chosen(config, &args.tenant) {
        Ok(tenants) => tenants,
        Err(code) => return code,
    };
    let (mut code, mut objects) = (0, serde_json::Map::new());
    for (name, tenant) in tenants {
        let read = || {
            let mut reader = Reader::open(journal_dir(config, name))?;
            let state = reader.load()?;
            let lines = sink_lines(&mut reader, &state, now)?;
            Ok::<_, JournalError>((state, lines))
        };
        match read() {
            Ok((state, lines)) => {
                if args.json {
                    objects.insert(name.clone(), status_json(&state, &lines, now));
                } else {
                    status_text(name, tenant, &state, &lines, now);
                }
            }
            Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                if args.json {
                    objects.insert(name.clone(), json!({ "journal": null }));
                } else {
                    super::print(&format!("{name}  never ran (no journal yet)"));
                }
            }
            Err(error) => {
                code = 50;
                super::complain(&format!("{name}: {error}"));
            }
        }
    }
    if args.json {
        super::print(&Value::Object(objects).to_string());
    }
    code
}

fn status_text(name: &str, tenant: &Tenant, state: &State, lines: &[SinkLine], now: DateTime<Utc>) {
    let holder = match &state.holder {
        Some(holder) => format!(
            "`tidegate {}` (pid {}) since {}, sign of life {} s ago",
            holder.verb,
            holder.pid,
            holder.since.format("%Y-%m-%d %H:%M:%SZ"),
            age(holder.heartbeat, now)
        ),
        None => "nobody works on it now".to_owned(),
    };
    super::print(&format!("{name}  {holder}  journal {:.1} MiB", state.bytes as f64 / f64::from(1 << 20)));
    for work in &state.works {
        let covered = covered_to(state, &work.source, &work.stream);
        let reach = covered.map_or("nothing proven yet".to_owned(), |to| {
            format!("complete up to {} ({} s ago)", to.format("%Y-%m-%d %H:%M:%SZ"), age(to, now))
        });
        let trouble = match (quota_wait(state, &work.source, now), &work.reason, work.wait_until) {
            (Some(waiting), _, _) => format!("  {waiting}"),
            (None, Some(reason), Some(until)) if until > now => {
                format!("  waiting {} s: {reason}", age(now, until))
            }
            (None, Some(reason), _) => format!("  {reason}"),
            _ => String::new(),
        };
        let lane = if work.lane == Lane::Live { String::new() } else { format!(" {}", work.name) };
        super::print(&format!("  {}/{}{lane}  {reach}{trouble}", work.source, work.stream));
    }
    for line in lines {
        let behind = if line.behind == 0 {
            "has everything".to_owned()
        } else {
            format!("lacks {} records, oldest {} s old", thousands(line.behind), line.oldest)
        };
        let dead =
            if line.dead == 0 { String::new() } else { format!("  {} dead letters", thousands(line.dead)) };
        let gone = if tenant.sinks.contains_key(&line.sink) {
            String::new()
        } else {
            format!("  NOT IN THE CONFIGURATION: tidegate sinks rename|forget {name} {}", line.sink)
        };
        super::print(&format!("  → {}  {behind}{dead}{gone}", line.sink));
    }
}

/// Such as `waiting 41 s: 60/60 used, 12 ours`, while the vendor's limit makes the source wait.
fn quota_wait(state: &State, source: &str, now: DateTime<Utc>) -> Option<String> {
    let row = state.quotas.iter().find(|row| row.source == source)?;
    tidegate_core::quota::reason(&row.state, now)
}

fn status_json(state: &State, lines: &[SinkLine], now: DateTime<Utc>) -> Value {
    let works: Vec<Value> = state
        .works
        .iter()
        .map(|w| {
            json!({
                "source": w.source, "stream": w.stream, "lane": w.lane, "name": w.name, "from": w.from, "to": w.to,
                "wait_until": w.wait_until, "reason": w.reason, "quota": quota_wait(state, &w.source, now),
                "covered_to": covered_to(state, &w.source, &w.stream),
            })
        })
        .collect();
    let sinks: Vec<Value> = lines
        .iter()
        .map(|l| json!({ "sink": l.sink, "backlog": l.behind, "oldest_undelivered_s": l.oldest, "dead": l.dead }))
        .collect();
    json!({ "holder": state.holder, "journal_bytes": state.bytes, "works": works, "sinks": sinks })
}

fn covered_to(state: &State, source: &str, stream: &str) -> Option<DateTime<Utc>> {
    state
        .coverage
        .iter()
        .filter(|row| row.source == source && row.stream == stream && row.grade != Grade::Hole)
        .map(|row| row.to)
        .max()
}

/// `coverage`; the exit code.
pub fn coverage(config: &Config, args: &CoverageArgs) -> u8 {
    let tenants = match chosen(config, &args.tenant) {
        Ok(tenants) => tenants,
        Err(code) => return code,
    };
    let (mut code, mut objects) = (0, serde_json::Map::new());
    for (name, tenant) in tenants {
        let state = Reader::open(journal_dir(config, name)).and_then(|mut reader| reader.load());
        let rows = match state {
            Ok(state) => state.coverage,
            Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Vec::new()
            }
            Err(error) => {
                code = 50;
                super::complain(&format!("{name}: {error}"));
                continue;
            }
        };
        if args.json {
            objects.insert(name.clone(), Value::Array(rows.iter().map(interval_json).collect()));
            continue;
        }
        super::print(name);
        if rows.is_empty() {
            super::print("  nothing was read yet");
        }
        for row in &rows {
            super::print(&interval_text(row));
        }
        for (key, source) in &tenant.sources {
            if let Some(reason) = &source.off {
                super::print(&format!("  {key}  declared off: {reason}"));
            }
        }
    }
    if args.json {
        super::print(&Value::Object(objects).to_string());
    }
    code
}

fn interval_json(row: &Interval) -> Value {
    json!({
        "id": row.id, "source": row.source, "stream": row.stream, "from": row.from, "to": row.to,
        "grade": row.grade, "cause": row.cause, "repairable_until": row.repairable_until, "count": row.count,
        "oldest": row.oldest, "newest": row.newest, "read_at": row.read_at,
    })
}

fn interval_text(row: &Interval) -> String {
    let meaning = match row.grade {
        Grade::Chain => "chain: unbroken server cursor",
        Grade::Settled => "settled: read again, nothing new",
        Grade::Fetched => "fetched: not settled yet",
        Grade::Received => "received: pushed to us, nothing can be proven",
        Grade::Bounded => "bounded: a range that the vendor does not vouch for",
        Grade::Hole => "HOLE",
    };
    let cause = row.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let repair = match (row.grade, row.repairable_until) {
        (Grade::Hole, Some(until)) => format!("  repairable until {}", until.format("%Y-%m-%d %H:%MZ")),
        (Grade::Hole, None) => "  beyond repair".to_owned(),
        _ => String::new(),
    };
    let number = if row.grade == Grade::Hole { format!(" {}", row.id) } else { String::new() };
    format!(
        "  {}/{}  {} → {}  {meaning}{number}{cause}  {} records{repair}",
        row.source,
        row.stream,
        row.from.format("%Y-%m-%d %H:%M:%SZ"),
        row.to.format("%Y-%m-%d %H:%M:%SZ"),
        thousands(row.count),
    )
}
