//! `tidegate backfill`: older history, as a second chain that runs until it has met the live one. Resumable.

use super::manage::{Done, ask};
use crate::config::{Config, Tenant};
use crate::pipeline::{StartError, Tenant as Running};
use crate::requests::Ask;
use crate::world::{World, journal_dir};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tidegate_core::journal::{Grade, JournalError, Lane, Reader, State};

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(200);

/// Reads older history: what the ledger lacks, up to where collection began.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tenant
    tenant: String,
    /// The source's key; may be left out where the tenant has one
    source: Option<String>,
    /// From: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30d
    #[arg(long, required_unless_present = "hole")]
    from: Option<String>,
    /// Up to; default: up to where live collection began
    #[arg(long)]
    to: Option<String>,
    /// Only this stream
    #[arg(long)]
    stream: Option<String>,
    /// Repairs this hole of the coverage ledger (by its number in `tidegate coverage`)
    #[arg(long, conflicts_with_all = ["from", "to"])]
    hole: Option<u64>,
    /// Reads again what the ledger has already
    #[arg(long)]
    again: bool,
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    let name = args.tenant.as_str();
    let tenant = match super::tenant(config, name) {
        Ok(tenant) => tenant,
        Err(code) => return code,
    };
    let asks = match asks(world, config, name, tenant, args) {
        Ok(asks) => asks,
        Err(error) => {
            super::complain(&format!("{name}: {error}"));
            return 20;
        }
    };
    if asks.is_empty() {
        super::print(&format!("{name}: the ledger has all of that already (--again reads it once more)"));
        return 0;
    }
    let mut here = false;
    for wish in &asks {
        match ask(world, config, name, wish).await {
            Ok(Done::Here(_)) => here = true,
            Ok(Done::There(holder)) => super::print(&format!(
                "{name}: `tidegate {}` (pid {}) reads it now; watch it with: tidegate status {name}",
                holder.verb, holder.pid
            )),
            Err(error) => {
                super::complain(&format!("{name}: {error}"));
                return 50;
            }
        }
    }
    if here { work(world, config, name).await } else { 0 }
}

fn asks(
    world: &World,
    config: &Config,
    name: &str,
    tenant: &Tenant,
    args: &Args,
) -> Result<Vec<Ask>, String> {
    let now = world.clock.now();
    let state = match Reader::open(journal_dir(config, name)).and_then(|mut reader| reader.load()) {
        Ok(state) => state,
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            State::default()
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Some(id) = args.hole {
        let hole = state.coverage.iter().find(|row| row.id == id && row.grade == Grade::Hole);
        let hole = hole.ok_or_else(|| format!("the ledger has no hole {id} (tidegate coverage)"))?;
        return Ok(vec![Ask::Backfill {
            source: hole.source.clone(),
            stream: hole.stream.clone(),
            from: hole.from,
            to: Some(hole.to),
            again: true,
        }]);
    }
    let from = super::time(args.from.as_deref().unwrap_or_default(), now)?;
    let to = args.to.as_deref().map(|to| super::time(to, now)).transpose()?;
    if to.is_some_and(|to| to <= from) {
        return Err("--to must be later than --from".to_owned());
    }
    let keys: Vec<&String> = tenant.sources.keys().collect();
    let key = match (&args.source, keys.as_slice()) {
        (Some(key), _) if tenant.sources.contains_key(key) => key,
        (None, [only]) => only,
        (given, _) => {
            let known: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
            let given = given.as_deref().unwrap_or("which source");
            return Err(format!("{given}? The tenant's sources are {}", known.join(", ")));
        }
    };
    let streams: Vec<String> = tenant
        .sources
        .get(key)
        .map(|source| source.streams.iter().map(|plan| plan.stream.name.to_owned()).collect())
        .unwrap_or_default();
    if let Some(stream) = &args.stream
        && !streams.iter().any(|known| known == stream)
    {
        return Err(format!("source {key} does not run stream {stream:?}; it runs {}", streams.join(", ")));
    }
    let forgotten = state.forgotten.iter().find(|(source, stream, hour)| {
        source == key && streams.contains(stream) && from.timestamp().div_euclid(3600) < *hour
    });
    if let (Some((_, stream, hour)), false) = (forgotten, args.again) {
        let since = DateTime::from_timestamp(hour.saturating_mul(3600), 0).unwrap_or(now);
        return Err(format!(
            "the ids of {stream} before {} are forgotten, so that records of that time would be taken for new and be \
             delivered again; --again does it all the same",
            since.format("%Y-%m-%d %H:%MZ")
        ));
    }
    let streams = streams.into_iter().filter(|stream| args.stream.as_ref().is_none_or(|only| only == stream));
    Ok(streams
        .filter(|stream| args.again || !covered(&state, key, stream, from, to, now))
        .map(|stream| Ask::Backfill { source: key.clone(), stream, from, to, again: args.again })
        .collect())
}

/// Whether the ledger has `[from, to)` without a hole; without `to`: up to where live collection began.
fn covered(
    state: &State,
    source: &str,
    stream: &str,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    let live = state.works.iter().find(|w| w.source == source && w.stream == stream && w.lane == Lane::Live);
    let end = to.or(live.map(|work| work.from)).unwrap_or(now);
    let mut rows: Vec<_> = state
        .coverage
        .iter()
        .filter(|row| row.source == source && row.stream == stream && row.grade != Grade::Hole)
        .collect();
    rows.sort_by_key(|row| row.from);
    let mut reached = from;
    for row in rows {
        if row.from <= reached {
            reached = reached.max(row.to);
        }
    }
    reached >= end
}

/// Nobody holds the tenant: this command reads and delivers until the backfill is done.
async fn work(world: &World, config: &Config, name: &str) -> u8 {
    let mut running = match Running::start(world, config, name, "backfill").await {
        Ok(running) => running,
        Err(error) => {
            super::complain(&format!("{name}: {error}"));
            return if matches!(error, StartError::Config(_)) { 20 } else { 50 };
        }
    };
    let bar = indicatif::ProgressBar::new_spinner();
    bar.enable_steady_tick(TICK);
    let board = running.board.clone();
    let progress = async {
        loop {
            let fetched: u64 = board.sources().values().map(|s| s.fetched).sum();
            let known: u64 = board.sources().values().map(|s| s.duplicates).sum();
            let delivered: u64 = board.sinks().values().map(|s| s.delivered + s.duplicates).sum();
            bar.set_message(format!(
                "{fetched} new records, {known} known already, {delivered} documents delivered"
            ));
            tokio::time::sleep(TICK).await;
        }
    };
    let complete = tokio::select! {
        () = running.drain() => true,
        () = super::interrupted() => false,
        () = progress => false,
    };
    running.stop().await;
    bar.finish_and_clear();
    let fetched: u64 = running.board.sources().values().map(|s| s.fetched).sum();
    if let Some(error) = &running.failed {
        super::complain(&format!("{name}: {error}"));
        return 50;
    }
    for (key, source) in running.board.sources() {
        if let Some((fault, _)) = source.fault {
            super::complain(&format!(
                "{name}/{key}: {fault}; the backfill goes on with the next run or sync"
            ));
            return 10;
        }
    }
    if !complete {
        super::print(&format!(
            "{name}: interrupted after {fetched} new records; the next run, sync or backfill goes on"
        ));
        return 12;
    }
    super::print(&format!("{name}: backfill finished, {fetched} new records"));
    0
}
