//! Answers and records that are not what Microsoft promises.

use super::*;
use serde_json::json;
use tidegate_core::fault::FaultKind;
use tidegate_simulator::{Exchange, Fault, ScriptedFault};

fn quarter(seed: u64, records: usize) -> Entra {
    entra(generated(vec![plain("sign_ins", seed, records, ago(1_300), TimeDelta::minutes(15))]))
}

fn answer(status: u16, body: Value) -> Fault {
    Fault::Exchange(Exchange { status, body: Some(body), ..Exchange::default() })
}

#[tokio::test(start_paused = true)]
async fn every_bad_answer_in_the_middle_of_a_walk_is_survived_without_losing_a_record() {
    let faults = [
        Fault::CutJson,
        Fault::HtmlPage,
        Fault::WrongEnvelope,
        Fault::OversizePage,
        Fault::SlowBody { bytes_per_s: 1_000 },
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::DropUnprocessed,
        Fault::Delay { ms: 90_000 },
        Fault::Delay { ms: 310_000 },
        Fault::DuplicatePage,
        Fault::EmptyPage,
        Fault::LinkLoop,
        Fault::BrokenLink,
        Fault::CursorRefused,
        Fault::NoNextLink,
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::GatewayTimeout,
        Fault::TooLarge,
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::Unlicensed,
        Fault::NotFound,
        Fault::Concurrency { reset_s: 5 },
        Fault::RateLimited { reset_s: 0, retry_after_s: Some(7), duplicate_reset: false },
        Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false },
        Fault::ForeignLink { base: "https://evil.example.com".to_owned() },
        answer(200, json!({})),
        answer(200, json!({ "value": null })),
        answer(200, json!({ "value": [], "@odata.nextLink": 7 })),
        answer(200, json!([])),
        answer(200, json!({ "value": [], "error": { "code": "", "message": "gave up" } })),
        answer(429, json!({ "error": { "code": "TooManyRequests", "innererror": null } })),
        answer(400, json!("not even an object")),
    ];
    for fault in faults {
        let entra = quarter(21, 120);
        entra.push_fault(ScriptedFault { path: "signIns".into(), after: 1, times: 1, fault: fault.clone() });
        let town = town(&entra, "streams = [\"sign_ins\"]\nlimit = 40\nstart = \"25m\"\nsettle = [\"15m\"]");
        town.run(50 * MINUTE).await;
        assert!(
            asked(&entra, "signIns").iter().any(|request| request.fault.is_some()),
            "{fault:?} never came"
        );
        assert_arrived(&entra, &town);
        assert_whole(&town, "sign_ins", ago(1_300), base() + TimeDelta::minutes(30));
        assert_eq!(town.elastic.conflicts(), 0, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_fault_stands_on_the_board_with_a_remedy_and_ends_without_a_trace() {
    let cases = [
        (Fault::HtmlPage, FaultKind::Answer, "HTML"),
        (Fault::CutJson, FaultKind::Answer, ""),
        (Fault::WrongEnvelope, FaultKind::Answer, "value"),
        (Fault::Endless { total: 500 << 20 }, FaultKind::TooLarge, "max_body"),
        (Fault::NotFound, FaultKind::Configuration, "`cloud` and `url`"),
        (Fault::Forbidden, FaultKind::Permission, "AuditLog.Read.All"),
        (
            Fault::ForeignLink { base: "https://evil.example.com".to_owned() },
            FaultKind::ForeignLink,
            "evil.example.com",
        ),
        (
            answer(400, json!({ "error": { "code": "BadRequest", "message": "odd" } })),
            FaultKind::Configuration,
            "`limit` or `api`",
        ),
    ];
    for (fault, kind, words) in cases {
        let entra = quarter(22, 100);
        entra.push_fault(ScriptedFault { path: "signIns".into(), after: 0, times: 0, fault: fault.clone() });
        let town = town(
            &entra,
            "streams = [\"sign_ins\", \"directory_audits\"]\nlimit = 40\nstart = \"25m\"\nsettle = [\"15m\"]",
        );
        let mut tenant = town.start().await;
        tokio::time::sleep(5 * MINUTE).await;
        let streams = tenant.board.sources()["entra"].streams.clone();
        let (seen, _) = streams["sign_ins"].fault.clone().expect("it stands on the board");
        assert_eq!(seen.kind, kind, "{fault:?}: {seen}");
        let said = format!("{seen} {}", seen.remedy.clone().unwrap_or_default());
        assert!(said.contains(words), "{fault:?}: {said}");
        assert!(!said.contains(DEFAULT_SECRET));
        assert!(streams["directory_audits"].fault.is_none() && streams["directory_audits"].polls > 2);
        entra.clear_faults();
        tokio::time::sleep(50 * MINUTE).await;
        assert!(tenant.board.sources()["entra"].fault.is_none(), "{fault:?}");
        tenant.drain().await;
        tenant.stop().await;
        assert_arrived(&entra, &town);
        assert_whole(&town, "sign_ins", ago(1_300), base() + TimeDelta::minutes(40));
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_and_no_token_goes_to_a_foreign_host() {
    let entra = quarter(23, 100);
    let evil = "https://evil.example.com".to_owned();
    entra.push_fault(ScriptedFault::next("signIns", Fault::ForeignLink { base: evil }));
    // `evil.example.com` is the same stand-in here: it would answer, and keep what it is asked.
    let hosts =
        [(HOST, answering(&entra)), ("evil.example.com", answering(&Entra::new(EntraConfig::default())))];
    let sources = source(
        "acme",
        "entra",
        DEFAULT_TENANT,
        DEFAULT_APP,
        "streams = [\"sign_ins\"]\nlimit = 40\nstart = \"25m\"",
    );
    let town = Town::new(
        &hosts,
        ElasticsearchConfig::default(),
        &[("secret", DEFAULT_SECRET)],
        "original = true",
        &sources,
    );
    town.run(2 * MINUTE).await;
    town.run(HOUR).await;
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn records_with_nulls_odd_types_and_missing_members_all_arrive() {
    let odd = STREAMS.map(|(stream, _)| Generate {
        odd: 1.0,
        ..plain(stream, 24, 60, ago(3_600), TimeDelta::minutes(50))
    });
    let entra = entra(generated(odd.to_vec()));
    let town = town(&entra, "streams = [\"*\"]");
    town.run(3 * HOUR).await;
    assert_eq!(documents(&town.elastic).len(), 480);
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_no_records_are_kept_and_cost_no_other() {
    let entra = quarter(25, 50);
    let huge = "x".repeat(3 << 20);
    let records = [
        json!({ "id": "huge", "createdDateTime": ago(600), "userAgent": huge, "signInEventTypes": ["interactiveUser"] }),
        json!({ "id": 7, "createdDateTime": ago(600), "userPrincipalName": ["a", { "b": null }] }),
        json!({ "id": "no-time", "createdDateTime": null }),
        json!({ "createdDateTime": ago(600), "userDisplayName": "without an id" }),
        json!({ "id": "deep", "createdDateTime": ago(600), "status": { "errorCode": "50074", "additionalDetails": [[[[{}]]]] } }),
    ];
    for record in &records {
        assert!(entra.add_record("sign_ins", ago(600), vec![version(ago(590), record)]));
    }
    let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"25m\"");
    let mut tenant = town.start().await;
    tokio::time::sleep(2 * HOUR).await;
    let (source, sink) = (tenant.board.sources()["entra"].clone(), tenant.board.sinks()["elastic"].clone());
    tenant.drain().await;
    tenant.stop().await;
    assert_eq!(source.fetched, 55);
    assert_eq!((sink.delivered, sink.dead), (55, 0), "{sink:?}");
    assert!(source.fault.is_none() && sink.fault.is_none());
}
