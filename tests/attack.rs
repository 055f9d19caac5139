//! What an adversary of the delivery loop tries: stops between verdicts, dead letters in numbers, sources that went away.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{Rig, Stage, base};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tidegate_core::board::Board;
use tidegate_core::clock::Clock;
use tidegate_core::deliver::render::{Renderer, Route};
use tidegate_core::deliver::{Deliverer, GiveUp, Start};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::journal::{
    Change, DeadLetter, FileJournal, Handle, Key, Lane, NewPage, NewRecord, OpenOptions,
};
use tidegate_core::schema;
use tidegate_core::sink::{Batch, DeliverError, Delivery, Guarantee, Limits, Meta, Render, Sink};
use tidegate_core::source::{Findings, NormalizeError};
use tidegate_core::stop::{Phase, Signal};
use tidegate_simulator::SimulateOptions;
use tokio::sync::Notify;

const MINUTE: Duration = Duration::from_secs(60);

type Script = dyn Fn(&[String], usize) -> Result<Delivery, DeliverError> + Send + Sync;

/// A destination that remembers the ids it took, and answers the n-th request as its script says.
struct Target {
    limits: Limits,
    pause: Duration,
    asked: Mutex<usize>,
    taken: Mutex<Vec<String>>,
    script: Box<Script>,
}

impl Target {
    fn new(count: usize, in_flight: usize, script: Box<Script>) -> Self {
        let limits = Limits { bytes: 1 << 20, count, age: Duration::from_secs(1), in_flight };
        Self { limits, pause: Duration::ZERO, asked: Mutex::default(), taken: Mutex::default(), script }
    }

    fn taken(&self) -> Vec<String> {
        let mut taken = self.taken.lock().unwrap().clone();
        taken.sort();
        taken
    }
}

fn all(ids: &[String]) -> Result<Delivery, DeliverError> {
    Ok(Delivery { delivered: ids.len(), ..Delivery::default() })
}

#[async_trait]
impl Sink for Target {
    fn default_schema(&self) -> Option<&'static str> {
        Some("ecs")
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn guarantee(&self) -> Guarantee {
        tidegate_core::testkit::sink::no_guarantee()
    }
    fn limits(&self) -> Limits {
        self.limits
    }

    fn frame(
        &self,
        buf: &mut Vec<u8>,
        _meta: &Meta,
        document: &mut Render<'_>,
    ) -> Result<(), NormalizeError> {
        document(buf)
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        tokio::time::sleep(self.pause).await;
        let ids: Vec<String> = batch.documents.iter().map(|(_, meta)| meta.id.clone()).collect();
        let nth = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        let answer = (self.script)(&ids, nth);
        if answer.is_ok() {
            self.taken.lock().unwrap().extend(ids);
        }
        answer
    }

    async fn check(&self) -> Findings {
        Findings::default()
    }
}

fn record(n: usize) -> String {
    format!(
        r#"{{"uuid":"id-{n:05}","published":"2026-05-01T00:00:00.000Z","eventType":"user.session.start"}}"#
    )
}

fn letter(sink: &str, source: &str, n: usize) -> DeadLetter {
    DeadLetter {
        id: 0,
        sink: sink.to_owned(),
        source: source.to_owned(),
        stream: "system_log".to_owned(),
        page: 1,
        record: u32::try_from(n).unwrap(),
        event: None,
        kind: "rejected".to_owned(),
        reason: "a mapping".to_owned(),
        at: base(),
        copy: Bytes::from(record(n)),
        revision: None,
        occurrence: 0,
        retry: true,
        mark: None,
    }
}

/// A journal and one delivery loop on it, without a vendor.
struct Bench {
    _dir: TempDir,
    journal: Handle,
    bell: Arc<Notify>,
    signal: Signal,
}

impl Bench {
    async fn new(records: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let journal = FileJournal::open(dir.path().join("acme"), OpenOptions::new("test", base())).unwrap();
        let journal = Handle::new(Arc::new(journal));
        let records = (0..records)
            .map(|n| NewRecord {
                bytes: Bytes::from(record(n)),
                key: Key { hour: 1, id: n as u128 + 1, meaning: 0 },
                occurrence: 0,
                late: false,
            })
            .collect();
        let page = NewPage {
            source: "okta".to_owned(),
            stream: "system_log".to_owned(),
            lane: Lane::Live,
            at: base(),
            records,
            reread: false,
            immutable: true,
        };
        journal.commit(vec![Change::Page(page)]).await.unwrap();
        Self { _dir: dir, journal, bell: Arc::default(), signal: Signal::default() }
    }

    fn deliverer(&self, sink: &Arc<Target>) -> Deliverer {
        let connector = tidegate_connectors::ALL[0];
        let route = Route {
            connector,
            organisation: None,
            host: "vendor.example.com".into(),
            takes: Box::new(|_| true),
            revisions: true,
        };
        Deliverer {
            key: "siem".to_owned(),
            sink: Arc::clone(sink) as Arc<dyn Sink>,
            renderer: Arc::new(Renderer {
                tenant: "acme".into(),
                schema: schema::by_name("ecs").unwrap(),
                routes: HashMap::from([("okta".to_owned(), route)]),
                original: false,
                as_sent: false,
                namespace: "default".to_owned(),
                geoip: None,
            }),
            journal: self.journal.clone(),
            clock: Clock::starting_at(base()),
            board: Board::default(),
            start: Start::Kept,
            give_up: GiveUp::default(),
            stop: self.signal.watch(),
            bell: Arc::clone(&self.bell),
        }
    }

    async fn drain(&self, sink: &Arc<Target>) {
        let signal = Signal::default();
        signal.go(Phase::Drain);
        let deliverer = Deliverer { stop: signal.watch(), ..self.deliverer(sink) };
        tokio::time::timeout(60 * MINUTE, deliverer.run()).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_one_batch_waits_acknowledges_nothing_behind_it() {
    let bench = Bench::new(4).await;
    let signal = bench.signal.clone();
    // The first batch is asked to come again; when it comes, the program is told to stop. The second was taken meanwhile.
    let script = move |ids: &[String], _nth: usize| {
        if !ids.contains(&"id-00000".to_owned()) {
            return all(ids);
        }
        static SEEN: Mutex<u32> = Mutex::new(0);
        let mut seen = SEEN.lock().unwrap();
        *seen += 1;
        if *seen > 1 {
            signal.go(Phase::Stop);
        }
        let cause = Fault::new(FaultKind::Network, "busy");
        Err(DeliverError::Retry { after: Some(Duration::from_secs(1)), cause })
    };
    let first = Arc::new(Target::new(2, 4, Box::new(script)));
    bench.deliverer(&first).run().await.unwrap();
    assert_eq!(first.taken(), ["id-00002", "id-00003"]);

    let second = Arc::new(Target::new(2, 4, Box::new(|ids, _| all(ids))));
    bench.drain(&second).await;
    let mut taken = [first.taken(), second.taken()].concat();
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 4, "lost at the stop; arrived: {taken:?}");
}

#[tokio::test(start_paused = true)]
async fn all_dead_letters_are_sent_again_however_many_and_whoever_else_has_some() {
    let bench = Bench::new(1).await;
    let others = (0..300).map(|n| Change::Dead(letter("other", "okta", n)));
    let ours = (1_000..1_450).map(|n| Change::Dead(letter("siem", "okta", n)));
    bench.journal.commit(others.chain(ours).collect()).await.unwrap();
    let sink = Arc::new(Target::new(100, 2, Box::new(|ids, _| all(ids))));
    bench.drain(&sink).await;
    assert_eq!(sink.taken().len(), 1 + 450);
    assert_eq!(bench.journal.dead(0, 1_000, false).await.unwrap().len(), 300, "the other sink's stay");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_on_its_way_is_not_sent_a_second_time_when_the_bell_rings() {
    let bench = Bench::new(1).await;
    bench.journal.commit(vec![Change::Dead(letter("siem", "okta", 7))]).await.unwrap();
    let mut sink = Target::new(100, 4, Box::new(|ids, _| all(ids)));
    sink.pause = Duration::from_secs(10);
    let sink = Arc::new(sink);
    let running = tokio::spawn(bench.deliverer(&sink).run());
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        bench.bell.notify_one();
    }
    tokio::time::sleep(MINUTE).await;
    bench.signal.go(Phase::Stop);
    running.await.unwrap().unwrap();
    assert_eq!(sink.taken(), ["id-00000", "id-00007"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_source_that_is_no_longer_configured_is_kept() {
    let bench = Bench::new(1).await;
    bench.journal.commit(vec![Change::Dead(letter("siem", "gone", 7))]).await.unwrap();
    let sink = Arc::new(Target::new(100, 4, Box::new(|ids, _| all(ids))));
    bench.drain(&sink).await;
    assert_eq!(sink.taken(), ["id-00000"]);
    assert_eq!(bench.journal.dead(0, 10, false).await.unwrap().len(), 1, "it was deleted without being sent");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_waits_for_a_refused_live_chain_does_not_keep_a_drain_from_ending() {
    let rig = Rig::new(tidegate_simulator::okta::OktaConfig {
        generate: Some(common::hour(5, 50, 0)),
        ..tidegate_simulator::okta::OktaConfig::default()
    });
    std::fs::write(rig.dir.path().join("token"), "never-was-one").unwrap();
    let work = tidegate_core::collect::feed::backfill(
        "okta",
        "system_log",
        base() - chrono::TimeDelta::days(40),
        None,
        false,
    );
    let tenant = rig.start().await;
    tenant.journal.commit(vec![Change::Work(work)]).await.unwrap();
    let mut tenant = tenant;
    tenant.stop().await;
    drop(tenant);
    let (_, complete) = rig.sync(5 * MINUTE).await;
    assert!(complete, "a refused credential ends a sync at once, a backfill in waiting or not");
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_of_a_source_that_left_the_configuration_is_kept_as_dead_letters() {
    let bench = Bench::new(3).await;
    let sink = Arc::new(Target::new(100, 4, Box::new(|ids, _| all(ids))));
    let without = bench.deliverer(&sink);
    let renderer = Renderer {
        tenant: "acme".into(),
        schema: schema::by_name("ecs").unwrap(),
        routes: HashMap::new(),
        original: false,
        as_sent: false,
        namespace: "default".to_owned(),
        geoip: None,
    };
    let signal = Signal::default();
    signal.go(Phase::Drain);
    Deliverer { renderer: Arc::new(renderer), stop: signal.watch(), ..without }.run().await.unwrap();
    let kept = bench.journal.dead(0, 10, false).await.unwrap();
    assert_eq!(kept.len(), 3, "acknowledged, but neither sent nor kept");
    assert!(kept[0].reason.contains("source okta"), "{}", kept[0].reason);
    let again = kept.into_iter().map(|letter| Change::Dead(DeadLetter { retry: true, ..letter }));
    bench.journal.commit(again.collect()).await.unwrap();
    bench.drain(&sink).await;
    assert_eq!(sink.taken().len(), 3);
}

/// Runs `tidegate run` in the background; its standard error is in the file.
fn daemon(stage: &Stage) -> (std::process::Child, std::path::PathBuf) {
    let said = stage.dir.path().join("said");
    let mut command = stage.command(&["run"]);
    command.stderr(std::fs::File::create(&said).unwrap());
    (command.spawn().unwrap(), said)
}

fn send(child: &std::process::Child, signal: &str) {
    let done = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

async fn end(mut child: std::process::Child) -> Option<i32> {
    send(&child, "-TERM");
    tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..300 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen within 30 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_waits_for_the_batch_in_hand_instead_of_finding_its_own_journal_held() {
    let stage = Stage::new(SimulateOptions { events: 100, ..SimulateOptions::default() }).await;
    let delay = Duration::from_secs(6);
    let slow = tidegate_simulator::Fault::Delay { ms: u64::try_from(delay.as_millis()).unwrap() };
    let elastic = &stage.simulation.elasticsearch;
    elastic.push_fault(tidegate_simulator::ScriptedFault::next("_bulk", slow));
    let (child, said) = daemon(&stage);
    until("the first bulk", || elastic.created() > 0).await;
    stage.configure("quota = \"40%\"");
    send(&child, "-HUP");
    tokio::time::sleep(delay + Duration::from_secs(2)).await;
    let line = Bytes::from(record(7));
    stage.simulation.okta.add_records(&line, chrono::Utc::now());
    until("everything", || stage.books().missing.is_empty()).await;
    assert_eq!(end(child).await, Some(0));
    let said = std::fs::read_to_string(said).unwrap();
    assert!(!said.contains("is held by"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_a_reload_mended_does_not_spoil_the_exit_code() {
    let stage = Stage::new(SimulateOptions { events: 20, ..SimulateOptions::default() }).await;
    stage.tidegate(&["sync"]).await;
    let good = std::fs::read_to_string(&stage.file).unwrap();
    let bad = good.replace(&stage.simulation.okta_url, "http://127.0.0.1:9");
    assert_ne!(good, bad);
    std::fs::write(&stage.file, bad).unwrap();
    let backfill = stage.tidegate(&["backfill", "acme", "--from", "60d"]).await;
    assert_eq!(backfill.status.code(), Some(20), "{}", common::text(&backfill));
    let (child, said) = daemon(&stage);
    let says = |what: &str| std::fs::read_to_string(&said).unwrap().contains(what);
    until("the refusal", || says("not started")).await;
    std::fs::write(&stage.file, good).unwrap();
    send(&child, "-HUP");
    until("the reload", || says("configuration read again")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(end(child).await, Some(0), "{}", std::fs::read_to_string(&said).unwrap());
}

#[test]
fn two_backfills_from_one_time_up_to_different_times_are_two() {
    let to = |days| Some(base() - chrono::TimeDelta::days(days));
    let from = base() - chrono::TimeDelta::days(40);
    let name = |to| tidegate_core::collect::feed::backfill("okta", "system_log", from, to, false).name;
    let names = [name(None), name(to(20)), name(to(10))];
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), 3, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_into_the_future_proves_nothing_of_the_future() {
    let rig = Rig::new(tidegate_simulator::okta::OktaConfig {
        generate: Some(common::hour(5, 50, 0)),
        ..tidegate_simulator::okta::OktaConfig::default()
    });
    let (from, to) = (base() - chrono::TimeDelta::days(40), base() + chrono::TimeDelta::days(900));
    let work = tidegate_core::collect::feed::backfill("okta", "system_log", from, Some(to), false);
    let mut tenant = rig.start().await;
    tenant.journal.commit(vec![Change::Work(work)]).await.unwrap();
    tenant.stop().await;
    drop(tenant);
    let (_, complete) = rig.sync(60 * MINUTE).await;
    assert!(complete);
    let state = tidegate_core::journal::Reader::open(rig.journal()).unwrap().load().unwrap();
    let reach = state.coverage.iter().map(|row| row.to).max().unwrap();
    assert!(reach <= rig.clock.now(), "the ledger claims to be complete up to {reach}");
    assert_eq!(state.coverage.iter().map(|row| row.from).min(), Some(from));
}
