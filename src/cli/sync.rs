//! `tidegate sync`: catch up to the moment it began, deliver, end. It cannot hang: the time budget ends everything.

use super::report::{Left, Summary};
use crate::config::Config;
use crate::pipeline::{StartError, Tenant};
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::journal::JournalError;
use tokio::task::JoinSet;

/// Dead letters read at a time: each holds a copy of its record.
const LETTERS: usize = 100;
/// A holder whose sign of life is older than this no longer moves.
const ALIVE: TimeDelta = TimeDelta::minutes(5);

/// Catches up to the moment it began, delivers, ends: for schedulers.
#[derive(Debug, clap::Args)]
#[command(after_help = super::report::EXIT_CODES)]
pub struct Args {
    /// Ends after this long, whatever happens; progress is kept and the next run goes on
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = super::duration)]
    pub max_duration: Duration,
    /// Exits with these codes only, such as 20,21,50,70; every other becomes 0
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub fail_on: Option<Vec<u8>>,
    /// Prints the summary as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Also writes the JSON summary to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Only these tenants
    #[arg(long, value_name = "TENANT", value_delimiter = ',')]
    pub tenant: Vec<String>,
}

struct Ended {
    tenant: Result<Tenant, StartError>,
    name: String,
    complete: bool,
    left: Left,
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Arc<Config>, args: &Args) -> u8 {
    let began = std::time::Instant::now();
    let now = world.clock.now();
    let deadline = tokio::time::Instant::now() + args.max_duration;
    let mut summary = Summary::new(now);
    let interrupt = super::interrupted();
    let stop = tokio_stop(deadline, interrupt);
    let chosen: Vec<&String> =
        config.tenants.keys().filter(|name| args.tenant.is_empty() || args.tenant.contains(name)).collect();
    for name in args.tenant.iter().filter(|name| !config.tenants.contains_key(*name)) {
        summary.refused(name, "configuration", "there is no such tenant in the configuration", 20);
    }
    let mut tasks = JoinSet::new();
    for tenant in chosen {
        let (world, config, tenant, stop) = (world.clone(), Arc::clone(config), tenant.clone(), stop.clone());
        tasks.spawn(async move { one(&world, &config, &tenant, stop).await });
    }
    let progress = progress(world);
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(ended) => book(&mut summary, config, ended, world.clock.now()),
            Err(error) => summary.refused("tidegate", "internal", &error.to_string(), 70),
        }
    }
    progress.abort();
    let code = summary.finish(began.elapsed().as_secs_f64(), args.fail_on.as_deref());
    let json = serde_json::to_string(&summary).unwrap_or_default();
    if let Some(path) = &args.report
        && let Err(error) = std::fs::write(path, format!("{json}\n"))
    {
        super::complain(&format!("{}: the report could not be written: {error}", path.display()));
    }
    if args.json {
        super::print(&json);
        for line in summary.text().lines() {
            super::complain(line);
        }
    } else {
        super::print(&summary.text());
    }
    code
}

/// On a terminal a line moves while it works; elsewhere nothing is drawn.
fn progress(world: &World) -> tokio::task::JoinHandle<()> {
    let boards = world.boards.clone();
    tokio::spawn(async move {
        // Drawn to standard error, and only where that is a terminal.
        let line = indicatif::ProgressBar::new_spinner();
        loop {
            let all = boards.all();
            let fetched: u64 = all.values().flat_map(|b| b.sources().into_values()).map(|s| s.fetched).sum();
            let sinks = all.values().flat_map(|b| b.sinks().into_values());
            let delivered: u64 = sinks.map(|s| s.delivered + s.duplicates).sum();
            line.set_message(format!("{fetched} new records, {delivered} documents delivered"));
            line.tick();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

/// A future that is over at the deadline or at Ctrl-C, for any number of waiters.
fn tokio_stop(
    deadline: tokio::time::Instant,
    interrupt: impl Future<Output = ()> + Send + 'static,
) -> tokio::sync::watch::Receiver<bool> {
    let (sender, receiver) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {}
            () = interrupt => {}
        }
        sender.send_replace(true);
        std::future::pending::<()>().await;
    });
    receiver
}

async fn one(
    world: &World,
    config: &Config,
    tenant: &str,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Ended {
    let name = tenant.to_owned();
    let mut running = match Tenant::start(world, config, tenant, "sync").await {
        Ok(running) => running,
        Err(error) => {
            return Ended { tenant: Err(error), name, complete: false, left: Left::default() };
        }
    };
    world.boards.put(tenant, running.board.clone(), journal_dir(config, tenant));
    let complete = tokio::select! {
        () = running.drain() => true,
        _ = stop.wait_for(|stop| *stop) => false,
    };
    running.stop().await;
    let left = left(&mut running, world.clock.now()).await;
    Ended { tenant: Ok(running), name, complete, left }
}

/// What a run leaves behind. Where the journal does not say, the tenant failed.
pub(super) async fn left(tenant: &mut Tenant, now: DateTime<Utc>) -> Left {
    let journal = Arc::clone(tenant.journal.journal());
    let ours: Vec<String> = tenant.board.sinks().into_keys().collect();
    let count = move || {
        let state = journal.load()?;
        let lacks = super::status::backlog(&state, |span| journal.lacks(span), now)?;
        let most = lacks.into_iter().map(|lacks| (lacks.records, lacks.oldest_s)).max();
        let mut left = Left { journal: state, backlog: most.unwrap_or_default(), ..Left::default() };
        let mut after = 0;
        loop {
            let letters = journal.dead(after, LETTERS, true)?;
            let Some(last) = letters.last() else { return Ok::<_, JournalError>(left) };
            after = last.id;
            for letter in letters.into_iter().filter(|letter| !ours.contains(&letter.sink)) {
                *left.letters.entry(letter.sink).or_default() += 1;
            }
        }
    };
    let counted = tokio::task::spawn_blocking(count).await;
    let counted = counted.unwrap_or_else(|error| {
        Err(JournalError::State { path: "journal".to_owned(), source: error.into() })
    });
    counted.unwrap_or_else(|error| {
        tenant.failed.get_or_insert(error);
        Left::default()
    })
}

fn book(summary: &mut Summary, config: &Config, ended: Ended, now: DateTime<Utc>) {
    match ended.tenant {
        Ok(tenant) => {
            let retention = retention(config, &tenant.name);
            summary.tenant(&tenant, &retention, ended.complete, &ended.left);
        }
        Err(StartError::Journal(JournalError::Held { holder, .. })) => {
            let age = now - holder.heartbeat;
            let alive = age < ALIVE;
            let text = format!(
                "by `tidegate {}` (pid {}) since {}, last sign of life {} s ago{}",
                holder.verb,
                holder.pid,
                holder.since.format("%Y-%m-%d %H:%M:%SZ"),
                age.num_seconds().max(0),
                if alive { "; it does the work" } else { "; it no longer moves: end that process" },
            );
            summary.skipped(&ended.name, text, (!alive).then_some(50));
        }
        Err(StartError::Journal(error)) => summary.refused(&ended.name, "journal", &error.to_string(), 50),
        Err(StartError::Config(error)) => summary.refused(&ended.name, "configuration", &error, 20),
    }
}

/// Each source's vendor, and how long it keeps records: the shortest of the source's streams.
pub(super) fn retention(config: &Config, tenant: &str) -> BTreeMap<String, (&'static str, Duration)> {
    let Some(tenant) = config.tenants.get(tenant) else { return BTreeMap::new() };
    let shortest =
        |source: &crate::config::SourceConfig| source.streams.iter().map(|plan| plan.retention).min();
    let known = |(key, source): (&String, &crate::config::SourceConfig)| {
        Some((key.clone(), (source.connector.title(), shortest(source)?)))
    };
    tenant.sources.iter().filter_map(known).collect()
}
