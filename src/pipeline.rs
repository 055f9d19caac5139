//! Read this first: how the two loops, collect and deliver, meet at a tenant's journal.
//!
//! A tenant is opened once ([`Tenant::start`]): its journal, one [`Collector`] a source, one [`Deliverer`] a sink, and
//! a keeper that gives signs of life, carries out operators' requests and takes away what every sink has. Nothing else
//! connects the two sides. Tenants share nothing but the process: page slots, threads, the configuration's file.

use crate::config::Config;
use crate::keeper::{self, Keeper};
use crate::world::{World, journal_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidegate_core::board::Board;
use tidegate_core::clock::Clock;
use tidegate_core::collect::Collector;
use tidegate_core::deliver::{Deliverer, GiveUp};
use tidegate_core::journal::{Action, Change, FileJournal, Handle, JournalError, Keep, OpenOptions};
use tidegate_core::source::Source;
use tidegate_core::stop::{Phase, Signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Bytes of newest pages that stay in memory for sinks that keep up, in all; two pages are enough for one tenant.
const PAGE_CACHE: usize = 16 << 20;
/// Bytes of dedupe keys that stay in memory, in all. A commit's own hours always do.
const KEY_CACHE: usize = 64 << 20;
/// At most for one tenant.
const TENANT_CACHE: usize = 6 << 20;
/// Bytes of journals' states that stay in memory, in all; at most 2 MiB and at least 32 KiB for one tenant.
const STATE_CACHE: usize = 16 << 20;

/// Why a tenant could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or what it points at.
    #[error("{0}")]
    Config(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A tenant at work.
pub struct Tenant {
    /// Its key.
    pub name: String,
    /// How its sources and sinks are doing.
    pub board: Board,
    /// Its journal.
    pub journal: Handle,
    /// Its sources, for remedies.
    pub sources: BTreeMap<String, Arc<dyn Source>>,
    /// The journal's first failure.
    pub failed: Option<JournalError>,
    clock: Clock,
    verb: String,
    collecting: (Signal, JoinSet<Result<(), JournalError>>),
    delivering: (Signal, JoinSet<Result<(), JournalError>>),
    keeping: (Signal, JoinSet<Result<(), JournalError>>),
}

impl Tenant {
    /// Opens a tenant's journal and starts its tasks.
    ///
    /// # Errors
    /// [`StartError`]: the journal is held, damaged or unfit; a source or sink is configured wrongly, or points at
    /// another organisation than the journal holds.
    pub async fn start(world: &World, config: &Config, tenant: &str, verb: &str) -> Result<Self, StartError> {
        let sources = world.sources(config, tenant)?;
        let sinks = world.sinks(config, tenant)?;
        let (dir, verb) = (journal_dir(config, tenant), verb.to_owned());
        let bounds = config.tenants.get(tenant).map_or(&config.journal, |ours| &ours.journal);
        let now = world.clock.now();
        let options = OpenOptions {
            budget: Some(bounds.budget.0),
            // Of the process, not of each tenant: hundreds of them share these.
            page_cache: (PAGE_CACHE / config.tenants.len().max(1)).min(TENANT_CACHE),
            key_cache: (KEY_CACHE / config.tenants.len().max(1)).min(TENANT_CACHE),
            state_cache: (STATE_CACHE / config.tenants.len().max(1)).clamp(32 << 10, 2 << 20),
            ..OpenOptions::new(verb.clone(), now)
        };
        let opened = tokio::task::spawn_blocking(move || FileJournal::open(&dir, options)).await;
        let opened =
            opened.map_err(|error| StartError::Config(format!("opening the journal failed: {error}")))??;
        let journal = Handle::new(Arc::new(opened));

        let state = journal.load().await?;
        let mut changes =
            vec![Change::Action(Action { at: now, what: "start".to_owned(), detail: verb.clone() })];
        for source in &sources {
            changes.extend(source.claim(tenant, &state.fingerprints)?);
        }
        journal.commit(changes).await?;
        let known: BTreeSet<&str> = state.spans.iter().map(|span| span.sink.as_str()).collect();
        for sink in known.into_iter().filter(|known| !sinks.iter().any(|ours| ours.key == *known)) {
            tracing::warn!(
                tenant,
                sink,
                "this sink is not in the configuration; records are kept for it until `tidegate sinks rename` or `forget`"
            );
        }

        let board = Board::default();
        let full = watch::Sender::new(false);
        let (collect, deliver, keep) = (Signal::default(), Signal::default(), Signal::default());
        let (mut collecting, mut delivering, mut keeping) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let mut bells = Vec::new();
        let mut apis = BTreeMap::new();
        for sink in sinks {
            let bell = Arc::new(Notify::new());
            bells.push(Arc::clone(&bell));
            board.sink(&sink.key, |_| {});
            let deliverer = Deliverer {
                key: sink.key,
                sink: sink.sink,
                renderer: Arc::new(sink.renderer),
                journal: journal.clone(),
                clock: world.clock.clone(),
                board: board.clone(),
                start: sink.start,
                give_up: GiveUp {
                    after: sink.give_up_after,
                    when_full: (!sink.required).then(|| full.subscribe()),
                },
                stop: deliver.watch(),
                bell,
            };
            // Before the first page: a sink that begins "now" must have its place first.
            deliverer.claim().await?;
            delivering.spawn(deliverer.run());
        }
        for source in sources {
            let bell = Arc::new(Notify::new());
            bells.push(Arc::clone(&bell));
            apis.insert(source.key.clone(), Arc::clone(&source.api));
            board.source(&source.key, |_| {});
            let collector = Collector {
                tenant: tenant.to_owned(),
                source: source.key,
                connector: source.connector,
                api: source.api,
                streams: source.streams,
                http: source.http,
                journal: journal.clone(),
                clock: world.clock.clone(),
                board: board.clone(),
                start: source.start,
                stop: collect.watch(),
                full: full.subscribe(),
                bell,
            };
            collecting.spawn(collector.run());
        }
        let keeper = Keeper {
            journal: journal.clone(),
            clock: world.clock.clone(),
            keep: Keep { age: bounds.keep, bytes: bounds.budget.0 },
            full,
            bells,
            reload: Arc::clone(&world.reload),
            forget: keeper::forget(config, tenant),
            every: world.keeper,
            stop: keep.watch(),
        };
        keeping.spawn(keeper.run());
        Ok(Self {
            name: tenant.to_owned(),
            board,
            journal,
            sources: apis,
            failed: None,
            clock: world.clock.clone(),
            verb,
            collecting: (collect, collecting),
            delivering: (deliver, delivering),
            keeping: (keep, keeping),
        })
    }

    /// Catches up: reads until live work has reached the moment of the call, then delivers all that there is.
    pub async fn drain(&mut self) {
        self.collecting.0.go(Phase::Drain);
        self.failed = self.failed.take().or(finish(&mut self.collecting.1).await);
        self.delivering.0.go(Phase::Drain);
        self.failed = self.failed.take().or(finish(&mut self.delivering.1).await);
    }

    /// Ends: no new page, what is in flight gets its verdict (25 s at most), everything proven is acknowledged.
    pub async fn stop(&mut self) {
        self.collecting.0.go(Phase::Stop);
        self.delivering.0.go(Phase::Stop);
        self.failed = self.failed.take().or(finish(&mut self.collecting.1).await);
        self.failed = self.failed.take().or(finish(&mut self.delivering.1).await);
        self.keeping.0.go(Phase::Stop);
        self.failed = self.failed.take().or(finish(&mut self.keeping.1).await);
        if self.failed.is_none() {
            let (at, detail) = (self.clock.now(), self.verb.clone());
            let stopped = Change::Action(Action { at, what: "stop".to_owned(), detail });
            self.failed = self.journal.commit(vec![stopped]).await.err();
        }
    }

    /// Returns when one of the tenant's tasks ended, which while running only a failing journal brings about.
    pub async fn broken(&mut self) {
        let first = tokio::select! {
            first = next(&mut self.collecting.1) => first,
            first = next(&mut self.delivering.1) => first,
            first = next(&mut self.keeping.1) => first,
        };
        self.failed = self.failed.take().or(first);
    }
}

async fn next(tasks: &mut JoinSet<Result<(), JournalError>>) -> Option<JournalError> {
    match tasks.join_next().await {
        None => std::future::pending().await,
        Some(Ok(Ok(()))) => None,
        Some(Ok(Err(error))) => Some(error),
        Some(Err(error)) => Some(JournalError::State { path: "a task".to_owned(), source: error.into() }),
    }
}

async fn finish(tasks: &mut JoinSet<Result<(), JournalError>>) -> Option<JournalError> {
    let mut failed = None;
    while !tasks.is_empty() {
        failed = failed.or(next(tasks).await);
    }
    failed
}
