//! Answers and records that nobody should send.

use super::*;
use serde_json::{Value, json};
use tidegate_core::fault::FaultKind;
use tidegate_simulator::{Exchange, Fault, ScriptedFault};

fn exchange(status: u16, body: Value) -> Fault {
    Fault::Exchange(Exchange { status, body: Some(body), ..Exchange::default() })
}

/// A window of two pages.
fn busy(stream: &str) -> Duo {
    Duo::new(from(&[stream], 1_200, base() - TimeDelta::minutes(26), TimeDelta::minutes(20)))
}

fn only(stream: &str) -> String {
    format!("start = \"27m\"\nstreams = [\"{stream}\"]")
}

/// D18: whatever comes instead of an answer, with whatever body, is asked again.
#[tokio::test(start_paused = true)]
async fn every_hostile_answer_is_survived_once_on_any_page_without_losing_a_record() {
    let refusal = |code: u32, message: &str| json!({ "stat": "FAIL", "code": code, "message": message });
    let faults = [
        Fault::CutBody { after: None },
        Fault::CutBody { after: Some(0) },
        Fault::CutJson,
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::DropUnprocessed,
        Fault::Delay { ms: 90_000 },
        Fault::SlowBody { bytes_per_s: 2_000 },
        Fault::HtmlPage,
        Fault::BadGateway,
        Fault::Unavailable,
        Fault::ServerError,
        Fault::Html { status: 504 },
        Fault::WrongEnvelope,
        Fault::OddTypes,
        Fault::OversizePage,
        Fault::DuplicatePage,
        Fault::EmptyPage,
        Fault::LinkLoop,
        Fault::CursorRefused,
        Fault::RateLimited { reset_s: 1, retry_after_s: None, duplicate_reset: false },
        Fault::RateLimited { reset_s: 1, retry_after_s: Some(90), duplicate_reset: false },
        exchange(200, json!("")),
        exchange(200, json!("null")),
        exchange(200, json!("{\"stat\": \"OK\"")),
        exchange(200, json!([])),
        exchange(200, json!({ "stat": "OK" })),
        exchange(200, json!({ "stat": "OK", "response": null })),
        exchange(200, json!({ "stat": "OK", "response": { "metadata": { "next_offset": {} } } })),
        exchange(200, refusal(42901, "Too Many Requests")),
        exchange(200, refusal(50001, "Unknown internal error")),
        exchange(500, json!("<html>")),
        exchange(503, json!(["code"])),
        exchange(204, json!("")),
    ];
    // v1 has no page tokens, and an envelope of its own.
    for (stream, step) in [("telephony", 1), ("offline_enrollment", 3)] {
        for (n, fault) in faults.iter().enumerate().step_by(step) {
            let duo = busy(stream);
            // The first request, the first page of the window and the second by turns.
            duo.push_fault(ScriptedFault {
                after: (n % 3) as u64,
                ..ScriptedFault::next("logs", fault.clone())
            });
            let town = town(&duo, &only(stream));
            let tenant = town.run(20 * MINUTE).await;
            let source = tenant.board.sources()["duo"].clone();
            assert!(source.fault.is_none(), "{stream}, {fault:?}: {:?}", source.fault);
            everything_arrived(&duo, &town);
            assert_eq!(town.elastic.conflicts(), 0, "{stream}, {fault:?}");
            assert!(holes(&town).is_empty(), "{stream}, {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_wrong_is_a_fault_with_words_on_the_board_and_costs_other_logs_nothing() {
    let cases = [
        (Fault::HtmlPage, FaultKind::Answer, "HTML"),
        (Fault::CutJson, FaultKind::Answer, "telephony"),
        (Fault::WrongEnvelope, FaultKind::Answer, "response"),
        (exchange(200, json!({ "stat": "OK" })), FaultKind::Answer, "response"),
        (Fault::ServerError, FaultKind::Server, "telephony"),
        (Fault::Endless { total: 500 << 20 }, FaultKind::TooLarge, "max_body"),
        (Fault::DropBeforeAnswer, FaultKind::Network, "connection"),
        (
            exchange(400, json!({ "stat": "FAIL", "code": 40002, "message": "Invalid request parameters" })),
            FaultKind::Configuration,
            "Invalid request parameters",
        ),
        (exchange(302, json!("")), FaultKind::ForeignLink, "redirects"),
    ];
    for (fault, kind, words) in cases {
        let duo = Duo::new(account(&ON, 60, TimeDelta::hours(1)));
        duo.push_fault(ScriptedFault { times: 0, ..ScriptedFault::next("telephony", fault.clone()) });
        let town = town(&duo, "start = \"1h\"");
        let tenant = town.run(45 * MINUTE).await;
        let source = tenant.board.sources()["duo"].clone();
        let (told, _) = source.streams["telephony"].fault.clone().unwrap();
        assert_eq!(told.kind, kind, "{fault:?}: {told}");
        assert!(told.to_string().contains(words), "{fault:?}: {told}");
        assert!(source.fault.is_some(), "the source as a whole says so too");
        for other in ["authentication", "activity"] {
            assert!(source.streams[other].fault.is_none() && source.streams[other].fetched > 20, "{fault:?}");
        }
        drop(tenant);
        duo.clear_faults();
        let tenant = town.run(2 * HOUR).await;
        assert!(tenant.board.sources()["duo"].fault.is_none(), "{fault:?}");
        everything_arrived(&duo, &town);
        assert!(holes(&town).is_empty(), "{fault:?}: {:#?}", holes(&town));
    }
}

/// D13, D14: whatever a record holds, its bytes are kept, and its time is its own where it can be read.
#[tokio::test(start_paused = true)]
async fn records_of_any_shape_are_kept_byte_for_byte() {
    let at = base() - TimeDelta::minutes(20);
    let time = at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
    let huge = "x".repeat(3 << 20);
    let deep = (0..300).fold(json!(1), |inner, _| json!({ "in": inner }));
    let activities = [
        json!({ "activity_id": "a1", "ts": time, "action": null, "actor": null, "target": null, "akey": null }),
        json!({ "activity_id": "a2", "ts": time, "actor": "somebody", "target": ["x"], "outcome": 7 }),
        json!({ "activity_id": "a3", "ts": time, "access_device": { "ip": "198.51.100.7:5" } }),
        json!({ "activity_id": 4, "ts": 5 }),
        json!({ "activity_id": null, "ts": null }),
        json!({ "ts": time, "action": { "name": "without_an_id" } }),
        json!({ "activity_id": "a7", "ts": "yesterday" }),
        json!({ "activity_id": "a8", "ts": time, "actor": { "details": huge } }),
        json!({ "activity_id": "a9", "ts": time, "target": { "details": deep } }),
        json!({}),
        json!([]),
        json!("text"),
        json!(17),
        json!(null),
    ];
    let duo = Duo::new(DuoConfig::default());
    for (n, value) in activities.iter().enumerate() {
        record(&duo, "activity", at + TimeDelta::seconds(i64::try_from(n).unwrap()), value);
    }
    let odd = Generate { odd: 1.0, ..Generate::new("authentication", 5, 300, at, TimeDelta::minutes(10)) };
    duo.add_generated(&odd);
    let town = town(&duo, "start = \"27m\"");
    let tenant = town.run(9 * HOUR).await;
    let source = tenant.board.sources()["duo"].clone();
    assert!(source.fault.is_none(), "{:?}", source.fault);
    let mut reader = Reader::open(town.journal()).unwrap();
    let mut kept: Vec<Bytes> = Vec::new();
    for lane in tidegate_core::journal::Lane::ALL {
        let pages =
            reader.read(tidegate_core::journal::Range { lane, from: 1, to: None }, usize::MAX).unwrap();
        kept.extend(pages.into_iter().flat_map(|page| page.records.clone()).map(|record| record.bytes));
    }
    let mut there: Vec<Bytes> =
        duo.known().into_iter().flat_map(|known| known.versions).map(|version| version.raw).collect();
    kept.sort();
    there.sort();
    assert_eq!(kept.len(), there.len());
    assert!(kept == there, "every record once, byte for byte");
    // Each has its verdict: a document or a dead letter.
    let sink = tenant.board.sinks()["elastic"].clone();
    assert_eq!(sink.delivered + sink.dead, there.len() as u64);
    assert!(sink.drained && sink.fault.is_none(), "{:?}", sink.fault);
    assert_eq!(town.elastic.conflicts(), 0);
}

/// D17: neither `total_objects` nor a page that is not full ends a walk, in any form that Duo has.
#[tokio::test(start_paused = true)]
async fn every_form_of_duos_metadata_leads_through_the_whole_log() {
    use tidegate_simulator::duo::Quirks;
    let plain = Quirks::default();
    for quirks in [
        Quirks { total_objects_as_object: true, last_offset_absent: true, ..plain },
        Quirks { trust_monitor_metadata_at_top: true, code_as_text: true, ..plain },
        Quirks {
            refuse_future_maxtime: true,
            missing_parameter_as_40002: true,
            trust_monitor_limit: 200,
            ..plain
        },
    ] {
        let mut config = from(&ALL, 1_100, base() - TimeDelta::minutes(26), TimeDelta::minutes(20));
        config.quirks = quirks;
        let duo = Duo::new(config);
        let town = town(&duo, "start = \"27m\"\nstreams = [\"*\"]");
        town.run(50 * MINUTE).await;
        everything_arrived(&duo, &town);
        assert!(duo.requests().iter().all(|request| request.status == 200));
    }
}
