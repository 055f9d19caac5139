//! Keys, rights and accounts.

use super::*;
use common::{OKTA_HOST, TOKEN};
use tidegate_core::fault::FaultKind;
use tidegate_simulator::duo::{Access, Integration, IntegrationKind};
use tidegate_simulator::okta::{self, Okta, OktaConfig};

const NEW: &str = "another-secret-key-with-forty-characters";

fn okta_source() -> String {
    format!(
        "[tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"https://{OKTA_HOST}\"\n\
         auth = {{ token = \"file:DIR/token\" }}\nstart = \"1h\"\n"
    )
}

fn healthy_okta() -> Okta {
    let generate = okta::Generate { start: base(), ..okta::Generate::new(5, 500, TimeDelta::hours(2)) };
    Okta::new(OktaConfig { generate: Some(generate), ..OktaConfig::default() })
}

/// The keys of an Auth API application: Duo's Admin API does not know them.
fn auth_api_keys() -> DuoConfig {
    let integration = Integration { kind: IntegrationKind::AuthApi, ..Integration::simulated() };
    DuoConfig { integrations: vec![integration], ..account(&ON, 200, TimeDelta::hours(2)) }
}

#[tokio::test(start_paused = true)]
async fn c37_keys_of_another_application_are_asked_with_rarely_and_cost_other_sources_nothing() {
    let (duo, okta) = (Duo::new(auth_api_keys()), healthy_okta());
    let town = Town::new(
        &[(HOST, answering(&duo)), (OKTA_HOST, answering(&okta))],
        ElasticsearchConfig::default(),
        &[("key", SKEY), ("token", TOKEN)],
        "original = true",
        &format!("{}\n{}", source("start = \"1h\""), okta_source()),
    );
    let tenant = town.run(10 * MINUTE).await;
    let sources = tenant.board.sources();
    let (fault, _) = sources["duo"].fault.clone().unwrap();
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Credential, Some("40102")));
    let said = fault.remedy.clone().unwrap();
    assert!(said.contains("Admin API application") && said.contains("Grant read log"), "{said}");
    assert!(!format!("{fault:?} {fault}").contains(SKEY));
    assert!(sources["okta"].fault.is_none() && sources["okta"].drained);
    assert!(sources["okta"].fetched > 20, "{}", sources["okta"].fetched);
    assert_eq!(duo.requests().iter().filter(|request| request.status != 401).count(), 0);
    for stream in ON {
        let asked = asked(&duo, stream);
        assert!(asked.len() <= 4, "{stream}: {asked:?}");
        for pair in asked.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= TimeDelta::minutes(2), "{stream}: {pair:?}");
        }
    }
    let causes = causes(&town);
    assert!(!causes.is_empty() && causes.iter().all(|cause| cause == "credential"), "{causes:?}");
    drop(tenant);
    // The right keys, in the Admin Panel: nothing was missed.
    duo.add_integration(Integration::simulated());
    town.run(8 * HOUR).await;
    assert!(holes(&town).is_empty(), "{:#?}", holes(&town));
    let mut known = duo.known();
    known.extend(okta.events().into_iter().map(|event| {
        let raw = okta.record(&event.id).unwrap();
        let versions = vec![Version { visible_at: event.persisted_at, raw }];
        Known { stream: "system_log".to_owned(), id: event.id, occurred_at: event.published, versions }
    }));
    all_arrived(known, &town);
}

#[tokio::test(start_paused = true)]
async fn a_secret_key_that_changes_in_the_middle_of_a_window_costs_no_page() {
    let config = from(&["authentication"], 5_500, base() - TimeDelta::minutes(25), TimeDelta::minutes(20));
    let duo = Duo::new(config);
    let town = town(&duo, "start = \"26m\"\nstreams = [\"authentication\"]");
    // The first request is small, the second begins the window, two pages follow.
    let tenant = town.start().await;
    while asked(&duo, "authentication").len() < 4 {
        tokio::time::sleep(MINUTE).await;
    }
    duo.add_integration(Integration::new(IKEY, NEW));
    std::fs::write(town.dir.path().join("key"), NEW).unwrap();
    tokio::time::sleep(15 * MINUTE).await;
    assert!(tenant.board.sources()["duo"].fault.is_none());
    drop(tenant);
    let requests = asked(&duo, "authentication");
    let refused = requests.iter().position(|(_, _, status)| *status == 401).unwrap();
    assert!(requests[refused].1.contains("next_offset"), "in mid-walk: {requests:#?}");
    assert_eq!(requests[refused + 1].1, requests[refused].1, "the page's own place is asked again");
    assert_eq!(requests.iter().filter(|(_, _, status)| *status == 401).count(), 1);
    let mut paths: Vec<&String> = requests
        .iter()
        .filter(|(_, path, status)| *status == 200 && path.contains("next_offset"))
        .map(|r| &r.1)
        .collect();
    let pages = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(pages, paths.len(), "no page twice");
    town.run(6 * HOUR).await;
    everything_arrived(&duo, &town);
}

#[tokio::test(start_paused = true)]
async fn a_log_without_right_or_edition_stops_alone_is_named_and_heals() {
    for (access, cause, kind) in [
        (Access::Forbidden, "permission", FaultKind::Permission),
        (Access::Absent, "licence", FaultKind::Licence),
    ] {
        let duo = Duo::new(account(&ON, 300, TimeDelta::hours(8)));
        duo.set_access("telephony", access);
        let town = town(&duo, "start = \"1h\"");
        let tenant = town.run(3 * HOUR).await;
        let streams = tenant.board.sources()["duo"].streams.clone();
        let (fault, _) = streams["telephony"].fault.clone().unwrap();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.remedy.is_some() && streams["authentication"].fault.is_none());
        assert!(streams["authentication"].fetched > 60 && streams["activity"].fetched > 60);
        assert!(asked(&duo, "telephony").len() <= 13, "{}", asked(&duo, "telephony").len());
        let holes = holes(&town);
        assert_eq!(holes.len(), 1, "{holes:#?}");
        let hole = &holes[0];
        assert_eq!((hole.stream.as_str(), hole.cause.as_deref()), ("telephony", Some(cause)));
        assert_eq!(hole.repairable_until, Some(hole.from + TimeDelta::days(180)));
        assert!(hole.to - hole.from > TimeDelta::hours(3), "{hole:?}");
        assert!(town.clock.now() - hole.to < TimeDelta::minutes(20), "{hole:?}");
        drop(tenant);
        duo.set_access("telephony", Access::Granted);
        let tenant = town.run(13 * HOUR).await;
        assert!(tenant.board.sources()["duo"].fault.is_none());
        everything_arrived(&duo, &town);
        let now = town.clock.now();
        for stream in ON {
            let from = base() - TimeDelta::minutes(59);
            let (whole, settled) = ((from, now - TimeDelta::minutes(15)), (from, now - TimeDelta::hours(6)));
            assert_covered(&town, stream, whole, settled);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn grant_read_log_that_is_taken_away_stops_each_log_and_is_found_when_it_is_back() {
    let duo = Duo::new(account(&ON, 300, TimeDelta::hours(8)));
    let town = town(&duo, "start = \"1h\"");
    town.run(2 * HOUR).await;
    assert!(duo.set_read_log(IKEY, false));
    let tenant = town.run(3 * HOUR).await;
    let (fault, _) = tenant.board.sources()["duo"].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::Permission);
    assert!(fault.remedy.clone().unwrap().contains("Grant read log"), "{fault}");
    drop(tenant);
    assert!(causes(&town).iter().all(|cause| cause == "permission"));
    assert_eq!(holes(&town).len(), 3, "{:#?}", holes(&town));
    duo.set_read_log(IKEY, true);
    town.run(12 * HOUR).await;
    everything_arrived(&duo, &town);
    assert!(holes(&town).is_empty(), "{:#?}", holes(&town));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_and_mended_without_a_restart_loses_nothing() {
    let duo = Duo::new(account(&ON, 300, TimeDelta::hours(8)));
    let town = town(&duo, "start = \"1h\"");
    let tenant = town.start().await;
    tokio::time::sleep(2 * HOUR).await;
    duo.add_integration(Integration::new(IKEY, NEW));
    tokio::time::sleep(2 * HOUR).await;
    let (fault, _) = tenant.board.sources()["duo"].fault.clone().unwrap();
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Credential, Some("40103")));
    assert!(causes(&town).iter().all(|cause| cause == "credential") && !causes(&town).is_empty());
    let refused = duo.requests().iter().filter(|request| request.status == 401).count();
    assert!(refused < 25, "{refused} refusals in two hours");
    std::fs::write(town.dir.path().join("key"), NEW).unwrap();
    tokio::time::sleep(12 * HOUR).await;
    assert!(tenant.board.sources()["duo"].fault.is_none());
    everything_arrived(&duo, &town);
    assert!(holes(&town).is_empty(), "{:#?}", holes(&town));
}

#[tokio::test(start_paused = true)]
async fn child_accounts_are_read_beside_their_parent_each_with_a_limit_of_its_own() {
    const CHILDREN: [&str; 2] = ["DAEXAMPLE0CHILD00001", "DAEXAMPLE0CHILD00002"];
    const STREAMS: [&str; 2] = ["authentication", "trust_monitor"];
    let mut config = account(&ON, 200, TimeDelta::hours(6));
    for (n, child) in CHILDREN.iter().enumerate() {
        for stream in STREAMS {
            let plan = Generate::new(stream, 50 + n as u64, 200, base(), TimeDelta::hours(6));
            config.generate.push(Generate { account: Some((*child).to_owned()), mutated: 0.0, ..plan });
        }
    }
    let children = CHILDREN.iter().map(|child| (*child).to_owned()).collect();
    let duo = Duo::new(DuoConfig { children, foreign: 0.5, ..config });
    let mut sources = source("start = \"1h\"");
    for (n, child) in CHILDREN.iter().enumerate() {
        let keys = format!("account_id = \"{child}\"\nstart = \"1h\"\nstreams = {STREAMS:?}\n");
        sources.push_str(&source(&keys).replace("source.duo]", &format!("source.child_{n}]")));
    }
    let town = Town::new(
        &[(HOST, answering(&duo))],
        ElasticsearchConfig::default(),
        &[("key", SKEY)],
        "original = true",
        &sources,
    );
    town.run(12 * HOUR).await;
    assert_eq!(duo.refused(), 0);
    let mut known = duo.known();
    for child in CHILDREN {
        known.extend(duo.known_of(child));
    }
    assert_eq!(known.len(), 3 * 200 + 2 * 2 * 200);
    all_arrived(known, &town);
    // Each in its own source, none in another.
    let state = town.state();
    for (key, count) in [("duo", 600), ("child_0", 400), ("child_1", 400)] {
        let mut reader = Reader::open(town.journal()).unwrap();
        let mut records = 0;
        for lane in tidegate_core::journal::Lane::ALL {
            let range = tidegate_core::journal::Range { lane, from: 1, to: None };
            let pages = reader.read(range, usize::MAX).unwrap();
            records += pages
                .iter()
                .filter(|page| *page.source == *key)
                .map(|page| page.records.len())
                .sum::<usize>();
        }
        assert_eq!(records, count, "{key}");
        assert!(state.coverage.iter().any(|row| row.source == key && row.grade == Grade::Settled));
    }
    assert!(holes(&town).is_empty());
}
