//! `tidegate run`: the daemon. Ends cleanly on Ctrl-C and SIGTERM, reads its configuration again on SIGHUP and
//! `tidegate reload`; then only what changed restarts.

use crate::config::Config;
use crate::pipeline::{StartError, Tenant};
use crate::world::World;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::journal::JournalError;
use tidegate_core::stop::{Phase, Signal, Stop};
use tokio::task::JoinSet;

/// A tenant whose journal failed is opened again after this long.
const REOPEN: Duration = Duration::from_secs(10);

/// Collects and delivers until it is told to stop.
#[derive(Debug, clap::Args)]
#[command(after_help = super::report::EXIT_CODES)]
pub struct Args {}

struct Guarded {
    config: TenantConfig,
    signal: Signal,
}

/// Runs it; the exit code. `load` reads the configuration again.
pub async fn run(world: &World, config: Config, load: impl Fn() -> Result<Config, String>) -> u8 {
    if let Some((tenant, error)) = held(world, &config).await {
        super::complain(&format!("{tenant}: {error}\n  Two runs never work on one tenant. End the other, or use another journal.dir."));
        return 50;
    }
    let mut tasks: JoinSet<(String, u8)> = JoinSet::new();
    let mut tenants: BTreeMap<String, Guarded> = BTreeMap::new();
    let mut code = 0;
    for tenant in config.tenants.values() {
        guard(world, &config, tenant, &mut tenants, &mut tasks);
    }
    tracing::info!(tenants = tenants.len(), "running");
    let mut interrupt = Box::pin(super::interrupted());
    loop {
        tokio::select! {
            () = &mut interrupt => break,
            () = super::hangup(&world.reload) => match load() {
                Ok(new) => restart(world, &new, &mut tenants, &mut tasks),
                Err(error) => tracing::error!("the configuration was not taken: {error}"),
            },
            Some(ended) = tasks.join_next() => {
                if let Ok((tenant, ended)) = ended && ended != 0 {
                    tracing::error!(tenant, code = ended, "a tenant ended");
                    code = code.max(ended);
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
            code = code.max(ended);
        }
    }
    tracing::info!("stopped");
    code
}

/// The first tenant that another process holds.
async fn held(world: &World, config: &Config) -> Option<(String, JournalError)> {
    for tenant in config.tenants.values() {
        let dir = journal_dir(config, tenant);
        let now = world.clock.now();
        let probe = tokio::task::spawn_blocking(move || tidegate_core::journal::probe(&dir, now)).await;
        if let Ok(Err(error @ JournalError::Held { .. })) = probe {
            return Some((tenant.name.clone(), error));
        }
    }
    None
}

fn guard(
    world: &World,
    config: &Config,
    tenant: &TenantConfig,
    tenants: &mut BTreeMap<String, Guarded>,
    tasks: &mut JoinSet<(String, u8)>,
) {
    let signal = Signal::default();
    let (world, config, ours, stop) = (world.clone(), config.clone(), tenant.clone(), signal.watch());
    tasks.spawn(async move { (ours.name.clone(), keep_going(&world, &config, &ours, stop).await) });
    tenants.insert(tenant.name.clone(), Guarded { config: tenant.clone(), signal });
}

/// One tenant for as long as it is wanted. Its trouble stays its own.
async fn keep_going(world: &World, config: &Config, tenant: &TenantConfig, mut stop: Stop) -> u8 {
    loop {
        match Tenant::start(world, config, tenant, "run").await {
            Ok(mut running) => {
                let stopped = tokio::select! {
                    () = stop.reached(Phase::Stop) => true,
                    () = running.broken() => false,
                };
                running.stop().await;
                if let Some(error) = &running.failed {
                    tracing::error!(tenant = %tenant.name, %error, "the journal failed; it will be opened again");
                    if stopped {
                        return 50;
                    }
                }
                if stopped {
                    return 0;
                }
            }
            Err(StartError::Config(error)) => {
                tracing::error!(tenant = %tenant.name, %error, "not started; mend the configuration and reload");
                stop.reached(Phase::Stop).await;
                return 20;
            }
            Err(StartError::Journal(error)) => {
                tracing::error!(tenant = %tenant.name, %error, "the journal could not be opened; trying again");
            }
        }
        if stop.unless_stopped(tokio::time::sleep(REOPEN)).await.is_none() {
            return 50;
        }
    }
}

/// Stops what is gone or changed, starts what is new or changed.
fn restart(world: &World, new: &Config, tenants: &mut BTreeMap<String, Guarded>, tasks: &mut JoinSet<(String, u8)>) {
    let gone: Vec<String> = tenants
        .iter()
        .filter(|(name, old)| new.tenants.get(*name).is_none_or(|now| *now != old.config))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &gone {
        if let Some(old) = tenants.remove(name) {
            old.signal.go(Phase::Stop);
        }
    }
    let mut started = 0;
    for tenant in new.tenants.values() {
        if !tenants.contains_key(&tenant.name) {
            started += 1;
            guard(world, new, tenant, tenants, tasks);
        }
    }
    tracing::info!(stopped = gone.len(), started, unchanged = tenants.len() - started, "configuration read again");
}
