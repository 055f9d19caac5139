//! Answers that are empty, odd, broken or hostile.

use crate::common::base;
use crate::scene::{HOUR, MINUTE, Scene, assert_whole, customer, ledger, parameter, prompt, sign_in};
use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tidegate_core::fault::FaultKind;
use tidegate_core::journal::{Grade, Reader};
use tidegate_simulator::{Exchange, Fault, ScriptedFault, Version};

fn exactly(body: Value) -> Fault {
    Fault::Exchange(Exchange { status: 200, body: Some(body), ..Exchange::default() })
}

fn dead_letters(scene: &Scene) -> Vec<Bytes> {
    let letters = Reader::open(scene.journal()).unwrap().dead(0, 1_000, false).unwrap();
    letters.into_iter().map(|letter| letter.copy).collect()
}

const USER_ACCOUNTS: &str = "streams = [\"user_accounts\"]\nstart = \"20m\"\n";

#[tokio::test(start_paused = true)]
async fn c35_an_answer_with_no_items_is_an_empty_page_and_no_event() {
    for body in [
        json!({ "kind": "admin#reports#activities", "etag": "\"nothing\"" }),
        json!({ "kind": "admin#reports#activities", "etag": "\"nothing\"", "items": [] }),
        json!({ "kind": "admin#reports#activities", "items": null, "nextPageToken": null }),
        json!({ "kind": "admin#reports#activities", "nextPageToken": "" }),
    ] {
        let scene = Scene::new(customer(Vec::new()), USER_ACCOUNTS);
        let path = "/applications/user_accounts".to_owned();
        scene.google.push_fault(ScriptedFault { path, after: 0, times: 0, fault: exactly(body.clone()) });
        let (tenant, complete) = scene.sync(10 * MINUTE).await;
        assert!(complete);
        let source = tenant.board.sources()["google"].clone();
        assert!(source.fault.is_none(), "{body}: {:?}", source.fault);
        assert_eq!((source.fetched, tenant.board.sinks()["elastic"].dead), (0, 0), "{body}");
        drop(tenant);
        assert_eq!(scene.elastic.delivered().len(), 0);
        assert_eq!(dead_letters(&scene).len(), 0);
        assert_whole(
            &scene.state(),
            "user_accounts",
            base() - TimeDelta::minutes(20),
            base() - TimeDelta::minutes(3),
        );
        assert!(ledger(&scene.state(), "user_accounts").iter().all(|row| row.count == 0));
        // Progress is kept: the next run does not ask for that time again.
        tokio::time::sleep(5 * MINUTE).await;
        let asked = scene.asked("user_accounts").len();
        scene.sync(10 * MINUTE).await;
        let again = scene.asked("user_accounts").split_off(asked);
        assert!(!again.is_empty());
        for request in again {
            let start = parameter(&request, "startTime").unwrap();
            let start = chrono::DateTime::parse_from_rfc3339(&start).unwrap().to_utc();
            assert!(start >= base() - TimeDelta::minutes(3), "{body}: {}", request.path);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c35_an_answer_with_no_items_and_a_token_leads_on() {
    for empty in 1..=3 {
        let scene = Scene::new(customer(Vec::new()), USER_ACCOUNTS);
        let at = base() - TimeDelta::minutes(10);
        let record = json!({
            "kind": "admin#reports#activity",
            "id": { "time": "2026-05-31T23:50:00.125Z", "uniqueQualifier": "-77", "applicationName": "user_accounts",
                    "customerId": "C0example7" },
            "events": [{ "type": "2sv_change", "name": "2sv_enroll" }],
        });
        let version = Version { visible_at: at, raw: Bytes::from(record.to_string()) };
        scene.google.add_record("user_accounts", at + TimeDelta::milliseconds(125), vec![version]);
        let path = "/applications/user_accounts".to_owned();
        scene.google.push_fault(ScriptedFault { path, after: 0, times: empty, fault: Fault::EmptyPage });
        let (tenant, complete) = scene.sync(10 * MINUTE).await;
        assert!(complete);
        let source = tenant.board.sources()["google"].clone();
        assert!(source.fault.is_none(), "{:?}", source.fault);
        assert_eq!(source.fetched, 1);
        drop(tenant);
        scene.assert_arrived(base());
        let asked = scene.asked("user_accounts");
        let follows = |request| parameter(request, "pageToken").is_some();
        assert!(asked[1..=empty as usize].iter().all(follows), "the token was followed");
        assert_whole(
            &scene.state(),
            "user_accounts",
            base() - TimeDelta::minutes(20),
            base() - TimeDelta::minutes(3),
        );
    }
}

/// What is wrong, what the board says meanwhile, and words of it.
fn broken() -> Vec<(Fault, FaultKind, &'static str)> {
    vec![
        (Fault::CutJson, FaultKind::Answer, "google's log login"),
        (Fault::TruncatedGzip, FaultKind::Answer, ""),
        (Fault::HtmlPage, FaultKind::Answer, "google's log login"),
        (Fault::Html { status: 403 }, FaultKind::Permission, "admin@example.com"),
        (Fault::Html { status: 503 }, FaultKind::Server, "google's log login"),
        (Fault::BadGateway, FaultKind::Server, "google's log login"),
        (Fault::CutBody { after: None }, FaultKind::Network, ""),
        (Fault::DropBeforeAnswer, FaultKind::Network, ""),
        (Fault::Delay { ms: 90_000 }, FaultKind::Network, "timed out"),
        (Fault::SlowBody { bytes_per_s: 1_000 }, FaultKind::Network, "bytes a second"),
        (Fault::Endless { total: 200 << 20 }, FaultKind::TooLarge, "max_body"),
        (exactly(json!([])), FaultKind::Answer, "google's log login"),
        (exactly(json!(null)), FaultKind::Answer, "google's log login"),
        (exactly(json!("items")), FaultKind::Answer, "google's log login"),
        (exactly(json!({})), FaultKind::Answer, "items"),
        (exactly(json!({ "items": {} })), FaultKind::Answer, "items"),
        (exactly(json!({ "items": "none" })), FaultKind::Answer, "items"),
        (exactly(json!({ "items": [], "nextPageToken": 7 })), FaultKind::Answer, "next page token"),
        (
            exactly(json!({ "error": { "code": 500, "message": "Oops" } })),
            FaultKind::Answer,
            "error with a good status",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_broken_answer_is_named_on_the_board_and_nothing_is_lost_by_it() {
    for (fault, kind, words) in broken() {
        let minutes = TimeDelta::minutes(25);
        let google = customer(vec![prompt("login", 300, base() - minutes, TimeDelta::minutes(20))]);
        let scene = Scene::new(google, "streams = [\"login\", \"admin\"]\nstart = \"25m\"\nlimit = 60\n");
        let path = "/applications/login".to_owned();
        scene.google.push_fault(ScriptedFault { path, after: 2, times: 0, fault: fault.clone() });
        let mut tenant = scene.start().await;
        tokio::time::sleep(8 * MINUTE).await;
        let source = tenant.board.sources()["google"].clone();
        let login = source.streams["login"].fault.clone();
        let (told, _) = login.unwrap_or_else(|| panic!("{fault:?} is not on the board"));
        let text = format!("{told} {}", told.remedy.clone().unwrap_or_default());
        assert_eq!(told.kind, kind, "{fault:?}: {text}");
        assert!(text.contains(words), "{fault:?}: {text}");
        assert!(
            source.streams["admin"].fault.is_none() && source.streams["admin"].polls > 4,
            "{fault:?}: the other one goes on"
        );
        assert!(
            scene.asked("login").len() < 80,
            "{fault:?}: {} requests in 8 minutes",
            scene.asked("login").len()
        );
        scene.google.clear_faults();
        tokio::time::sleep(40 * MINUTE).await;
        assert!(tenant.board.sources()["google"].fault.is_none(), "{fault:?} is over");
        tenant.drain().await;
        tenant.stop().await;
        drop(tenant);
        scene.assert_arrived(base());
        assert_eq!(scene.elastic.conflicts(), 0, "{fault:?}");
        assert_whole(&scene.state(), "login", base() - minutes, base() + TimeDelta::minutes(40));
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_size_that_nobody_asked_for_are_pages() {
    let minutes = TimeDelta::minutes(25);
    let google = customer(vec![prompt("login", 500, base() - minutes, TimeDelta::minutes(20))]);
    let scene = Scene::new(google, "streams = [\"login\"]\nstart = \"25m\"\nlimit = 60\n");
    for fault in
        [Fault::OversizePage, Fault::EmptyPage, Fault::OversizePage, Fault::EmptyPage, Fault::EmptyPage]
    {
        scene.google.push_fault(ScriptedFault::next("/applications/login", fault));
    }
    let (_, complete) = scene.sync(10 * MINUTE).await;
    assert!(complete);
    scene.assert_arrived(base());
    assert_eq!(scene.elastic.conflicts(), 0);
}

#[tokio::test(start_paused = true)]
async fn odd_records_are_kept_one_by_one_and_never_stop_the_others() {
    let scene = Scene::new(customer(Vec::new()), "streams = [\"login\"]\nstart = \"1h\"\n");
    let at = |n: i64| base() - TimeDelta::minutes(40) + TimeDelta::seconds(n);
    let huge = "x".repeat(3 << 20);
    let odd = [
        json!(null),
        json!(17),
        json!("text"),
        json!([]),
        json!([1, { "id": {} }]),
        json!({}),
        json!({ "id": null, "events": null, "actor": 5, "ipAddress": {} }),
        json!({ "id": { "time": 5, "uniqueQualifier": [], "applicationName": {} }, "events": { "a": 1 } }),
        json!({ "id": { "time": "yesterday", "uniqueQualifier": "1" }, "events": [null, 1, "x", {}, { "name": 7 }] }),
        json!({ "id": { "uniqueQualifier": "2", "applicationName": "login" }, "events": [{ "name": "login_success", "parameters": { "name": 1 } }] }),
        json!({ "id": { "time": "2026-05-31T23:21:00.000Z", "uniqueQualifier": "3" }, "events": [{ "name": "login_success", "parameters": [null, 1, { "name": null, "value": {} }, { "name": "blob", "value": huge }] }] }),
        json!({ "kind": "admin#reports#activities", "id": { "time": "9999-99-99T00:00:00Z" }, "events": [{ "type": {}, "name": [] }] }),
    ];
    for (n, record) in (0..).zip(&odd) {
        let version = Version { visible_at: at(n), raw: Bytes::from(record.to_string()) };
        scene.google.add_record("login", at(n), vec![version]);
        sign_in(&scene.google, 1_000 + n, at(n), TimeDelta::zero());
    }
    let tenant = scene.run(2 * HOUR).await;
    let (source, sink) = (tenant.board.sources()["google"].clone(), tenant.board.sinks()["elastic"].clone());
    drop(tenant);
    assert!(source.fault.is_none() && sink.fault.is_none(), "{:?} {:?}", source.fault, sink.fault);
    assert_eq!(source.fetched, 2 * odd.len() as u64);
    let (arrived, dead) = (scene.arrivals(), dead_letters(&scene));
    for n in 0..odd.len() as i64 {
        let id = format!("\"uniqueQualifier\":\"{}\"", 1_000 + n);
        assert!(arrived.keys().any(|original| original.contains(&id)), "sign-in {n}");
    }
    for record in &odd {
        let text = record.to_string();
        let (came, died) = (arrived.contains_key(&text), dead.iter().any(|copy| copy == text.as_bytes()));
        assert!(came || died, "{} is nowhere", &text[..text.len().min(200)]);
    }
    let rows = ledger(&scene.state(), "login");
    assert!(rows.iter().all(|row| row.grade != Grade::Hole), "{rows:#?}");
    assert!(rows.iter().map(|row| row.count).sum::<u64>() >= 2 * odd.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_refused_or_lead_to_themselves_for_ever_make_windows_that_need_none() {
    for fault in [Fault::LinkLoop, Fault::CursorRefused] {
        let minutes = TimeDelta::minutes(25);
        let mut google = prompt("login", 300, base() - minutes, TimeDelta::minutes(20));
        google.odd = 0.0;
        let scene =
            Scene::new(customer(vec![google]), "streams = [\"login\"]\nstart = \"25m\"\nlimit = 60\n");
        let path = "/applications/login".to_owned();
        scene.google.push_fault(ScriptedFault { path, after: 2, times: 0, fault: fault.clone() });
        scene.run(HOUR).await;
        assert!(scene.asked("login").len() < 200, "{fault:?}: {} requests", scene.asked("login").len());
        scene.assert_arrived(base());
        assert_eq!(scene.elastic.conflicts(), 0, "{fault:?}");
        assert_whole(&scene.state(), "login", base() - minutes, base() + TimeDelta::minutes(40));
    }
}
