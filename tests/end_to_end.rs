//! The whole, in process: virtual time, seeded stand-ins, a real journal on disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use chrono::TimeDelta;
use common::{Rig, TOKEN, assert_exactly_once, base, hour};
use std::time::Duration;
use tidegate_core::fault::FaultKind;
use tidegate_core::journal::{Grade, Lane, Reader};
use tidegate_simulator::elasticsearch::ElasticsearchConfig;
use tidegate_simulator::okta::{Generate, OktaConfig};
use tidegate_simulator::{Fault, RandomFaults, ScriptedFault};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn okta(generate: Generate) -> OktaConfig {
    OktaConfig { generate: Some(generate), ..OktaConfig::default() }
}

fn scripted(fault: Fault) -> ScriptedFault {
    ScriptedFault::next("logs", fault)
}

#[tokio::test(start_paused = true)]
async fn every_event_arrives_once_late_and_out_of_order_ones_too() {
    let rig = Rig::new(okta(hour(7, 3_500, 40)));
    let (tenant, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete, "{:?} {:?}", tenant.board.sources(), tenant.board.sinks());
    let books = rig.books();
    assert_eq!(books.existed, 3_500);
    assert_exactly_once(&books, 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_sync_fetches_nothing_again_and_sends_nothing_again() {
    let rig = Rig::new(okta(hour(8, 1_500, 0)));
    rig.sync(10 * MINUTE).await;
    let requests = rig.okta.requests().len();
    let (tenant, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete);
    assert_eq!(tenant.board.sources()["okta"].fetched, 0);
    assert_eq!(rig.okta.requests().len(), requests + 1, "one empty page is enough");
    let actions = Reader::open(rig.journal()).unwrap().actions(100).unwrap();
    let mut deeds: Vec<(String, String)> = actions.into_iter().map(|a| (a.what, a.detail)).collect();
    deeds.sort();
    let twice = |what: &str| vec![(what.to_owned(), "test".to_owned()); 2];
    assert_eq!(
        deeds,
        [twice("start"), twice("stop")].concat(),
        "a death without a word shows as a missing stop"
    );
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_virtual_days_with_kills_and_faults_at_both_ends_lose_and_double_nothing() {
    let spread = TimeDelta::days(2);
    let generate = Generate { late: 50, start: base(), ..Generate::new(11, 4_000, spread) };
    let faults = |seed| Some(RandomFaults { seed, rate: 0.1, kinds: Vec::new(), path: String::new() });
    let rig = Rig::with(
        OktaConfig { random_faults: faults(3), ..okta(generate) },
        ElasticsearchConfig { random_faults: faults(4), ..ElasticsearchConfig::default() },
        "",
    );
    let mut lived = Duration::ZERO;
    for kill in 0..24_u64 {
        // From 20 minutes to 3 hours and a half, always another step of the loop.
        let life = Duration::from_millis(1_200_000 + kill.wrapping_mul(2_654_435_761) % 11_400_000);
        rig.run_and_kill(life).await;
        lived += life;
    }
    tokio::time::sleep((2 * DAY).saturating_sub(lived)).await;
    rig.okta.set_random_faults(None);
    rig.elastic.set_random_faults(None);
    let (_, complete) = rig.sync(120 * MINUTE).await;
    assert!(complete);
    // At each kill two batches of 100 may be in flight; at each lost answer one batch.
    let lost_answers = rig.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
    assert_exactly_once(&rig.books(), 24 * 200 + lost_answers * 100);
}

#[tokio::test(start_paused = true)]
async fn a_refused_cursor_is_bridged_and_the_ledger_says_so() {
    let spread = TimeDelta::hours(6);
    let generate = Generate { late: 10, start: base(), ..Generate::new(5, 2_000, spread) };
    let rig = Rig::new(OktaConfig { cursor_ttl: Some(TimeDelta::minutes(30)), ..okta(generate) });
    rig.sync(10 * MINUTE).await;
    tokio::time::sleep(60 * MINUTE).await;
    rig.sync(10 * MINUTE).await;
    tokio::time::sleep(400 * MINUTE).await;
    let (_, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete);
    assert_exactly_once(&rig.books(), 0);
    let mut reader = Reader::open(rig.journal()).unwrap();
    let coverage = reader.load().unwrap().coverage;
    assert!(coverage.iter().any(|row| row.cause.as_deref() == Some("bridge")), "{coverage:#?}");
    assert!(coverage.iter().all(|row| row.grade == Grade::Chain));
    assert!(reader.actions(100).unwrap().iter().any(|action| action.what == "bridge"));
}

#[tokio::test(start_paused = true)]
async fn a_start_before_the_vendors_retention_is_a_named_hole_and_not_proven() {
    let rig = Rig::with(okta(hour(5, 300, 0)), ElasticsearchConfig::default(), "");
    let text = std::fs::read_to_string(rig.dir.path().join("pipeline.toml")).unwrap();
    let path = rig.dir.path().join("older.toml");
    std::fs::write(&path, text.replace("start = \"2d\"", "start = \"120d\"")).unwrap();
    let mut rig = rig;
    rig.town.config = rig.world.load(&path).unwrap();
    let (_, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete);
    assert_exactly_once(&rig.books(), 0);
    let coverage = Reader::open(rig.journal()).unwrap().load().unwrap().coverage;
    assert_eq!(coverage.len(), 2, "{coverage:#?}");
    let (hole, chain) = (&coverage[0], &coverage[1]);
    assert_eq!((hole.grade, hole.cause.as_deref()), (Grade::Hole, Some("retention")));
    assert_eq!(hole.repairable_until, None, "what the vendor has forgotten cannot be repaired");
    assert_eq!((chain.grade, chain.count, chain.from), (Grade::Chain, 300, hole.to));
    assert!((chain.from - (base() - TimeDelta::days(90))).abs() < TimeDelta::minutes(1), "{coverage:#?}");
}

#[tokio::test(start_paused = true)]
async fn while_a_credential_is_refused_the_ledger_has_a_hole_that_heals() {
    let rig = Rig::new(okta(hour(5, 300, 0)));
    rig.sync(10 * MINUTE).await;
    tokio::time::sleep(60 * MINUTE).await;
    std::fs::write(rig.dir.path().join("token"), "revoked").unwrap();
    rig.sync(10 * MINUTE).await;
    let ledger = || Reader::open(rig.journal()).unwrap().load().unwrap().coverage;
    let hole = ledger().into_iter().find(|row| row.grade == Grade::Hole).unwrap();
    assert_eq!(hole.cause.as_deref(), Some("credential"));
    assert_eq!(hole.repairable_until, Some(hole.from + TimeDelta::days(90)));
    assert!(hole.to - hole.from >= TimeDelta::minutes(60), "{hole:#?}");
    std::fs::write(rig.dir.path().join("token"), TOKEN).unwrap();
    rig.sync(10 * MINUTE).await;
    assert!(ledger().iter().all(|row| row.grade == Grade::Chain), "{:#?}", ledger());
}

#[tokio::test(start_paused = true)]
async fn every_hostile_answer_is_survived_without_losing_an_event() {
    for fault in [
        Fault::RateLimited { reset_s: 30, retry_after_s: None, duplicate_reset: true },
        Fault::RateLimited { reset_s: -30, retry_after_s: Some(3), duplicate_reset: false },
        Fault::Concurrency { reset_s: 120 },
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::HtmlPage,
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::Delay { ms: 90_000 },
        Fault::SlowBody { bytes_per_s: 1_000 },
        Fault::LinkLoop,
        Fault::NoNextLink,
        Fault::DuplicatePage,
        Fault::Nulls { count: 5 },
    ] {
        let rig = Rig::new(okta(hour(21, 2_500, 5)));
        rig.okta.push_fault(scripted(fault.clone()));
        let (tenant, complete) = rig.sync(30 * MINUTE).await;
        assert!(complete, "{fault:?}: {:?}", tenant.board.sources());
        let books = rig.books();
        assert_eq!((&books.missing, books.doubled), (&Vec::new(), 0), "{fault:?}");
        assert_eq!(books.conflicts, 0, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_next_link_gets_no_request_and_no_credential() {
    let rig = Rig::new(okta(hour(22, 1_500, 0)));
    rig.okta.push_fault(scripted(Fault::ForeignLink { base: "https://evil.example.com".to_owned() }));
    let (tenant, _) = rig.sync(30 * MINUTE).await;
    let state = &tenant.board.sources()["okta"];
    let (fault, _) = state.fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::ForeignLink, "{fault}");
    assert!(!fault.to_string().contains(TOKEN));
    drop(tenant);
    // Nothing was moved by it: the same place is asked again, and the honest link is followed.
    let (_, complete) = rig.sync(30 * MINUTE).await;
    assert!(complete);
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_halts_the_stream_and_names_the_key() {
    let rig = Rig::new(okta(hour(23, 100, 0)));
    rig.okta.push_fault(scripted(Fault::Endless { total: 500 << 20 }));
    let (tenant, _) = rig.sync(5 * MINUTE).await;
    let (fault, _) = tenant.board.sources()["okta"].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::TooLarge);
    assert!(fault.to_string().contains("max_body"), "{fault}");
    drop(tenant);
    rig.sync(5 * MINUTE).await;
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn records_without_an_id_are_kept_and_equal_ones_are_two() {
    let rig = Rig::new(okta(hour(24, 300, 0)));
    rig.okta.push_fault(scripted(Fault::WithoutUuid { count: 3 }));
    let (tenant, complete) = rig.sync(5 * MINUTE).await;
    assert!(complete);
    assert_eq!(tenant.board.sources()["okta"].fetched, 303);
    let sinks = tenant.board.sinks();
    assert_eq!(sinks["elastic"].delivered + sinks["elastic"].dead, 303);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_stops_nothing_but_reading_and_a_new_one_is_taken_up_without_a_restart() {
    let spread = TimeDelta::hours(2);
    let generate = Generate { start: base(), ..Generate::new(31, 500, spread) };
    let rig = Rig::new(okta(generate));
    let mut tenant = rig.start().await;
    tokio::time::sleep(20 * MINUTE).await;
    rig.okta.revoke(TOKEN);
    tokio::time::sleep(10 * MINUTE).await;
    let (fault, _) = tenant.board.sources()["okta"].fault.clone().unwrap();
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Credential, Some("E0000011")));
    rig.okta.add_token(tidegate_simulator::okta::Token::new("a-new-token"));
    std::fs::write(rig.dir.path().join("token"), "a-new-token\n").unwrap();
    tokio::time::sleep(150 * MINUTE).await;
    assert!(tenant.board.sources()["okta"].fault.is_none());
    tenant.drain().await;
    tenant.stop().await;
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn steady_state_is_never_answered_429() {
    let spread = TimeDelta::hours(6);
    let generate = Generate { start: base(), ..Generate::new(41, 8_000, spread) };
    let rig = Rig::new(OktaConfig { foreign_usage: 30, ..okta(generate) });
    let mut tenant = rig.start().await;
    tokio::time::sleep(390 * MINUTE).await;
    tenant.drain().await;
    tenant.stop().await;
    assert_eq!(rig.okta.requests().iter().filter(|request| request.status == 429).count(), 0);
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_meets_the_live_chain_and_doubles_nothing() {
    let spread = TimeDelta::days(30);
    let generate = Generate { late: 20, start: base() - spread, ..Generate::new(51, 6_000, spread) };
    let rig = Rig::new(okta(generate));
    rig.sync(10 * MINUTE).await;
    let first = rig.elastic.created();
    assert!(first < 1_000, "the live chain begins two days back");
    let work = tidegate_core::collect::feed::backfill(
        "okta",
        "system_log",
        base() - TimeDelta::days(40),
        None,
        false,
    );
    let mut tenant = rig.start().await;
    tenant.journal.commit(vec![tidegate_core::journal::Change::Work(work)]).await.unwrap();
    tenant.stop().await;
    drop(tenant);
    let (_, complete) = rig.sync(60 * MINUTE).await;
    assert!(complete);
    assert_exactly_once(&rig.books(), 0);
    let mut reader = Reader::open(rig.journal()).unwrap();
    let state = reader.load().unwrap();
    assert!(state.works.iter().all(|work| work.lane == Lane::Live), "the backfill is over");
    assert_eq!(state.coverage.iter().map(|row| row.from).min(), Some(base() - TimeDelta::days(40)));
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_pauses_polling_and_nothing_undelivered_goes() {
    let spread = TimeDelta::hours(3);
    let generate = Generate { start: base() - spread, ..Generate::new(61, 9_000, spread) };
    let rig = Rig::with(
        okta(generate),
        ElasticsearchConfig::default(),
        "\n[tenant.acme.journal]\nbudget = \"1MiB\"\n",
    );
    rig.elastic.set_random_faults(Some(RandomFaults {
        seed: 1,
        rate: 1.0,
        kinds: vec![Fault::Unavailable],
        path: String::new(),
    }));
    let mut tenant = rig.start().await;
    tokio::time::sleep(30 * MINUTE).await;
    let source = tenant.board.sources()["okta"].clone();
    rig.elastic.set_random_faults(None);
    tokio::time::sleep(60 * MINUTE).await;
    tenant.drain().await;
    tenant.stop().await;
    let (_, reason) = source.wait.unwrap();
    assert!(reason.contains("journal.budget"), "{reason}");
    assert_eq!(source.fault.unwrap().0.kind, FaultKind::Journal, "not the vendor's quota");
    assert!(tenant.board.sources()["okta"].fault.is_none());
    assert_exactly_once(&rig.books(), 0);
}
