//! `tidegate run`: the daemon. Ends cleanly on Ctrl-C and SIGTERM, reads its configuration again on SIGHUP and
//! `tidegate reload`; then only what changed restarts.

use crate::config::Config;
use crate::pipeline::{StartError, Tenant};
use crate::world::{World, journal_dir};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::journal::{Holder, Reader};
use tidegate_core::stop::{Phase, Signal, Stop};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A tenant whose journal failed is opened again after this long.
const REOPEN: Duration = Duration::from_secs(10);

/// Collects and delivers until it is told to stop (Ctrl-C, SIGTERM); SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 stopped as it was told; 20 configuration; 50 journal, or another process holds a tenant; \
                        70 internal"
)]
pub struct Args {}

/// Tenants that start together begin one after the other, so far apart: hundreds at once would need connections,
/// and memory, that they never need again.
const APART: Duration = Duration::from_millis(40);

struct Guarded {
    config: Arc<Config>,
    signal: Signal,
    /// Closes when its task is over and the journal is free.
    over: watch::Receiver<()>,
}

/// Runs it; the exit code. `load` reads the configuration again.
pub async fn run(world: &World, config: Arc<Config>, load: impl Fn() -> Result<Config, String>) -> u8 {
    if let Some((tenant, holder)) = held(&config) {
        super::complain(&format!(
            "{tenant}: held by `tidegate {}` (pid {}) since {}\n  Two runs never work on one tenant: end the other, or \
             give this one another journal.dir.",
            holder.verb,
            holder.pid,
            holder.since.format("%Y-%m-%d %H:%M:%SZ")
        ));
        return 50;
    }
    let mut tasks: JoinSet<(String, u8)> = JoinSet::new();
    let mut tenants: BTreeMap<String, Guarded> = BTreeMap::new();
    let mut code = 0;
    for (turn, tenant) in (0..).zip(config.tenants.keys()) {
        guard(world, &config, (tenant, turn), None, &mut tenants, &mut tasks);
    }
    if let Some(address) = config.listen
        && let Err(error) = crate::serve::serve(address, world.boards.clone()).await
    {
        super::complain(&format!("listen: {address} cannot be bound: {error}"));
        return 20;
    }
    tracing::info!(tenants = tenants.len(), "running");
    let mut hangup = super::Hangup::listen();
    let mut interrupt = Box::pin(super::interrupted());
    loop {
        tokio::select! {
            () = &mut interrupt => break,
            () = hangup.heard(&world.reload) => match load() {
                Ok(new) => {
                    if new.listen != config.listen || new.http.page_slots != config.http.page_slots {
                        tracing::warn!("listen and http.page_slots are taken at the next start of the process");
                    }
                    restart(world, &Arc::new(new), &mut tenants, &mut tasks);
                }
                Err(error) => tracing::error!("the configuration was not taken: {error}"),
            },
            Some(ended) = tasks.join_next() => {
                // While running a tenant only ends because a reload ended it: what it suffered from is in the past.
                match ended {
                    Ok((tenant, ended)) => tracing::info!(tenant, code = ended, "a tenant ended"),
                    Err(error) => {
                        tracing::error!(%error, "a tenant's task failed; this is a defect of tidegate");
                        code = 70;
                    }
                }
                if tasks.is_empty() && tenants.values().all(|t| t.signal.watch().phase() == Phase::Run) {
                    return code;
                }
            }
        }
    }
    tracing::info!("stopping: finishing what is in hand");
    for tenant in tenants.values() {
        tenant.signal.go(Phase::Stop);
    }
    while let Some(ended) = tasks.join_next().await {
        if let Ok((_, ended)) = ended {
            code = worse(code, ended);
        }
    }
    tracing::info!("stopped");
    code
}

/// The code that goes first, by the precedence of exit codes.
fn worse(one: u8, other: u8) -> u8 {
    super::report::PRECEDENCE.into_iter().find(|code| *code == one || *code == other).unwrap_or(0)
}

/// The first tenant that another process holds.
fn held(config: &Config) -> Option<(String, Holder)> {
    config.tenants.keys().find_map(|tenant| {
        let state = Reader::open(journal_dir(config, tenant)).and_then(|mut reader| reader.load()).ok()?;
        Some((tenant.clone(), state.holder?))
    })
}

fn guard(
    world: &World,
    config: &Arc<Config>,
    (tenant, turn): (&str, u32),
    before: Option<watch::Receiver<()>>,
    tenants: &mut BTreeMap<String, Guarded>,
    tasks: &mut JoinSet<(String, u8)>,
) {
    let signal = Signal::default();
    let (working, over) = watch::channel(());
    let (world, ours, name, mut stop) =
        (world.clone(), Arc::clone(config), tenant.to_owned(), signal.watch());
    tasks.spawn(async move {
        if let Some(mut before) = before {
            // What it was before the reload finishes what is in hand, and holds the journal until then.
            while before.changed().await.is_ok() {}
        }
        let code = match stop.unless_stopped(tokio::time::sleep(APART * turn)).await {
            Some(()) => keep_going(&world, &ours, &name, stop).await,
            None => 0,
        };
        world.boards.take_away(&name);
        drop(working);
        (name, code)
    });
    tenants.insert(tenant.to_owned(), Guarded { config: Arc::clone(config), signal, over });
}

/// One tenant for as long as it is wanted. Its trouble stays its own.
async fn keep_going(world: &World, config: &Config, tenant: &str, mut stop: Stop) -> u8 {
    loop {
        match Tenant::start(world, config, tenant, "run").await {
            Ok(mut running) => {
                world.boards.put(tenant, running.board.clone(), journal_dir(config, tenant));
                let stopped = tokio::select! {
                    () = stop.reached(Phase::Stop) => true,
                    () = running.broken() => false,
                };
                running.stop().await;
                if let Some(error) = &running.failed {
                    tracing::error!(tenant, %error, "the journal failed; it will be opened again");
                    if stopped {
                        return 50;
                    }
                }
                if stopped {
                    return 0;
                }
            }
            Err(StartError::Config(error)) => {
                tracing::error!(tenant, %error, "not started; mend the configuration and reload");
                stop.reached(Phase::Stop).await;
                return 20;
            }
            Err(StartError::Journal(error)) => {
                tracing::error!(tenant, %error, "the journal could not be opened; trying again");
            }
        }
        if stop.unless_stopped(tokio::time::sleep(REOPEN)).await.is_none() {
            return 50;
        }
    }
}

/// Whether restarting a tenant would change nothing.
fn same(old: &Config, new: &Config, tenant: &str) -> bool {
    let (Some(was), Some(is)) = (old.tenants.get(tenant), new.tenants.get(tenant)) else { return false };
    was.sources == is.sources && was.sinks == is.sinks && was.journal == is.journal && old.http == new.http
}

/// Stops what is gone or changed, starts what is new or changed.
fn restart(
    world: &World,
    new: &Arc<Config>,
    tenants: &mut BTreeMap<String, Guarded>,
    tasks: &mut JoinSet<(String, u8)>,
) {
    let gone: Vec<String> = tenants
        .iter()
        .filter(|(name, old)| !same(&old.config, new, name))
        .map(|(name, _)| name.clone())
        .collect();
    let mut ending = BTreeMap::new();
    for name in &gone {
        if let Some(old) = tenants.remove(name) {
            old.signal.go(Phase::Stop);
            ending.insert(name.clone(), old.over);
        }
    }
    let mut started = 0;
    for tenant in new.tenants.keys() {
        if !tenants.contains_key(tenant) {
            guard(world, new, (tenant, started), ending.remove(tenant), tenants, tasks);
            started += 1;
        }
    }
    tracing::info!(
        stopped = gone.len(),
        started,
        unchanged = tenants.len() - started as usize,
        "configuration read again"
    );
}
