//! Tokens, keys, delegations, privileges, licences: what is refused, what stops, what heals.

use crate::common::base;
use crate::scene::{
    ACCOUNT, ADMIN, DAY, HOUR, MINUTE, Scene, assert_whole, customer, key_file, key_of, ledger, parameter,
    prompt,
};
use chrono::TimeDelta;
use tidegate_core::fault::FaultKind;
use tidegate_core::journal::{Grade, Interval};
use tidegate_simulator::google::{
    ALERTS, ALERTS_SCOPE, AdminState, Api, GoogleConfig, REPORTS_SCOPE, ServiceAccount,
};
use tidegate_simulator::{Fault, ScriptedFault};

fn holes(scene: &Scene, stream: &str) -> Vec<Interval> {
    ledger(&scene.state(), stream).into_iter().filter(|row| row.grade == Grade::Hole).collect()
}

fn account(scopes: &[&str]) -> ServiceAccount {
    ServiceAccount {
        delegated: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..ServiceAccount::example()
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_dies_in_mid_walk_repeats_the_page_in_hand_and_none_before_it() {
    let minutes = TimeDelta::minutes(20);
    let google = customer(vec![prompt("login", 400, base() - minutes, TimeDelta::minutes(15))]);
    let scene = Scene::new(google, "streams = [\"login\"]\nstart = \"20m\"\nlimit = 20\n");
    for after in [3, 4, 2] {
        let fault = ScriptedFault {
            path: "/applications/login".to_owned(),
            after,
            times: 1,
            fault: Fault::TokensExpire,
        };
        scene.google.push_fault(fault);
    }
    let (_, complete) = scene.sync(10 * MINUTE).await;
    assert!(complete);
    let asked = scene.asked("login");
    let refused: Vec<usize> = (0..asked.len()).filter(|n| asked[*n].status == 401).collect();
    assert_eq!(refused.len(), 3);
    for n in refused {
        assert!(parameter(&asked[n], "pageToken").is_some(), "in mid-walk");
        assert_eq!(asked[n].path, asked[n + 1].path, "the page's own address is asked again");
    }
    let mut paged: Vec<&str> =
        asked.iter().filter(|request| request.status == 200).map(|request| request.path.as_str()).collect();
    let all = paged.len();
    paged.sort_unstable();
    paged.dedup();
    assert_eq!(paged.len(), all, "no page twice");
    assert_eq!(scene.token_calls(), 4);
    scene.assert_arrived(base());
    assert_eq!(scene.elastic.conflicts(), 0);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_before_they_end_and_by_one_call_for_all_streams() {
    let google = GoogleConfig { expires_in_as_text: true, ..customer(Vec::new()) };
    let scene = Scene::new(google, "streams = [\"login\", \"admin\", \"drive\"]\nstart = \"1h\"\n");
    scene.run(DAY).await;
    assert!(scene.google.requests().iter().all(|request| request.status == 200));
    // Four fifths of an hour each.
    let calls = scene.token_calls();
    assert!((25..=32).contains(&calls), "{calls} tokens in a day");
}

#[tokio::test(start_paused = true)]
async fn a_missing_delegation_for_alerts_stops_no_report_and_heals_when_it_is_given() {
    let hours = TimeDelta::hours(4);
    let generate = vec![prompt("login", 200, base(), hours), prompt(ALERTS, 60, base(), hours)];
    let google = GoogleConfig { service_accounts: vec![account(&[REPORTS_SCOPE])], ..customer(generate) };
    let scene = Scene::new(google, "streams = [\"login\", \"alerts\"]\nstart = \"1h\"\n");
    let tenant = scene.run(4 * HOUR).await;
    let source = tenant.board.sources()["google"].clone();
    drop(tenant);
    let (fault, _) = source.streams[ALERTS].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::Permission, "{fault}");
    assert!(fault.remedy.as_deref().unwrap().contains(ALERTS_SCOPE), "{fault:?}");
    assert!(source.streams["login"].fault.is_none() && source.streams["login"].fetched > 150);
    assert_eq!(scene.asked(ALERTS).len(), 0);
    let calls = scene.token_calls();
    assert!(calls <= 4 * 6 + 10, "{calls} calls: a refused delegation is asked for rarely");
    let unread = holes(&scene, ALERTS);
    assert!(unread.iter().all(|hole| hole.cause.as_deref() == Some("permission")), "{unread:#?}");
    assert!(unread.iter().all(|hole| hole.repairable_until.unwrap() > base() + TimeDelta::days(170)));
    // From the start on, up to the last try.
    assert_eq!(unread[0].from, base() - TimeDelta::hours(1));
    let whole: TimeDelta = unread.iter().map(|hole| hole.to - hole.from).sum();
    assert!(whole > TimeDelta::minutes(280), "{unread:#?}");
    assert_eq!(holes(&scene, "login").len(), 0);

    scene.google.set_service_account(account(&[REPORTS_SCOPE, ALERTS_SCOPE]));
    let tenant = scene.run(5 * HOUR).await;
    assert!(tenant.board.sources()["google"].fault.is_none());
    drop(tenant);
    scene.assert_arrived(base() + hours);
    for stream in ["login", ALERTS] {
        assert_whole(
            &scene.state(),
            stream,
            base() - TimeDelta::minutes(59),
            scene.now() - TimeDelta::minutes(20),
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_administrator_without_the_privilege_costs_no_more_tokens() {
    for state in [AdminState::NoPrivilege, AdminState::NotAdmin] {
        let hours = TimeDelta::hours(8);
        let scene = Scene::new(
            customer(vec![prompt("login", 200, base(), hours), prompt("admin", 200, base(), hours)]),
            "streams = [\"login\", \"admin\"]\nstart = \"1h\"\n",
        );
        scene.run(2 * HOUR).await;
        scene.google.set_admin(ADMIN, state);
        let before = scene.token_calls();
        let tenant = scene.run(3 * HOUR).await;
        let (fault, _) = tenant.board.sources()["google"].fault.clone().unwrap();
        drop(tenant);
        assert_eq!(fault.kind, FaultKind::Permission, "{state:?}: {fault}");
        assert!(fault.remedy.as_deref().unwrap().contains("privilege"), "{fault:?}");
        assert!(scene.token_calls() - before <= 5, "a refused right is no matter of tokens");
        for stream in ["login", "admin"] {
            assert_eq!(holes(&scene, stream)[0].cause.as_deref(), Some("permission"), "{state:?}");
        }
        scene.google.set_admin(ADMIN, AdminState::Active);
        scene.run(5 * HOUR).await;
        scene.assert_arrived(base() + hours);
        for stream in ["login", "admin"] {
            assert_whole(
                &scene.state(),
                stream,
                base() - TimeDelta::minutes(59),
                base() + TimeDelta::hours(9),
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_switched_off_stops_its_streams_and_says_where_to_switch_it_on() {
    let hours = TimeDelta::hours(3);
    let scene = Scene::new(
        customer(vec![prompt("login", 100, base(), hours), prompt(ALERTS, 30, base(), hours)]),
        "streams = [\"login\", \"alerts\"]\nstart = \"1h\"\n",
    );
    scene.google.enable(Api::Alerts, false);
    let tenant = scene.run(2 * HOUR).await;
    let source = tenant.board.sources()["google"].clone();
    drop(tenant);
    let (fault, _) = source.streams[ALERTS].fault.clone().unwrap();
    assert!(fault.remedy.as_deref().unwrap().contains("Google Workspace Alert Center API"), "{fault:?}");
    assert!(source.streams["login"].fault.is_none());
    scene.google.enable(Api::Alerts, true);
    scene.run(3 * HOUR).await;
    scene.assert_arrived(base() + hours);
    assert_whole(&scene.state(), ALERTS, base() - TimeDelta::minutes(59), base() + TimeDelta::hours(4));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_deleted_is_a_hole_of_all_streams_until_the_file_has_a_new_one() {
    let other = (
        include_str!("../../connectors/src/okta/testkeys/rsa-pkcs8.pem"),
        include_str!("../../connectors/src/okta/testkeys/rsa-public.pem"),
    );
    let hours = TimeDelta::hours(6);
    let scene = Scene::new(
        customer(vec![prompt("login", 200, base(), hours), prompt(ALERTS, 60, base(), hours)]),
        "streams = [\"login\", \"alerts\"]\nstart = \"1h\"\n",
    );
    scene.run(HOUR).await;
    // Somebody rotates the key, and forgets us.
    scene.google.set_service_account(ServiceAccount::new(ACCOUNT, "newer-key", other.1));
    scene.google.expire_tokens();
    let tenant = scene.start().await;
    tokio::time::sleep(2 * HOUR).await;
    let (fault, _) = tenant.board.sources()["google"].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::Credential, "{fault}");
    let remedy = fault.remedy.clone().unwrap();
    assert!(remedy.contains("google.json") && !format!("{fault:?}").contains("PRIVATE"), "{remedy}");
    for stream in ["login", ALERTS] {
        let hole = &holes(&scene, stream)[0];
        assert_eq!(hole.cause.as_deref(), Some("credential"), "{stream}: {hole:#?}");
        assert!(hole.repairable_until.is_some());
    }
    assert!(scene.token_calls() < 40, "{} calls", scene.token_calls());
    std::fs::write(scene.dir.path().join("google.json"), key_of("newer-key", other.0)).unwrap();
    tokio::time::sleep(6 * HOUR).await;
    assert!(tenant.board.sources()["google"].fault.is_none(), "taken up without a restart");
    drop(tenant);
    scene.assert_arrived(base() + hours);
    for stream in ["login", ALERTS] {
        assert_whole(&scene.state(), stream, base() - TimeDelta::minutes(59), base() + TimeDelta::hours(8));
    }
    assert_ne!(key_file(), std::fs::read_to_string(scene.dir.path().join("google.json")).unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_an_administrator_without_a_licence_did_not_see_is_read_later() {
    let hours = TimeDelta::hours(30);
    let scene = Scene::new(
        customer(vec![prompt("login", 600, base(), hours)]),
        "streams = [\"login\"]\nstart = \"1h\"\n",
    );
    scene.run(4 * HOUR).await;
    scene.google.set_admin(ADMIN, AdminState::Unlicensed);
    let tenant = scene.run(20 * HOUR).await;
    let login = tenant.board.sources()["google"].streams["login"].clone();
    drop(tenant);
    // Google says nothing of it; a status page sees pages without records.
    assert!(login.fault.is_none() && login.polls > 100 && login.last_record.is_none(), "{login:#?}");
    scene.google.set_admin(ADMIN, AdminState::Active);
    scene.run(80 * HOUR).await;
    scene.assert_arrived(scene.now() - TimeDelta::hours(6));
}
