//! Limits, the competitor, faults, and the control API.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod duo_support;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use duo_support::*;
use http::Request;
use serde_json::{Value, json};
use tidegate_simulator::duo::{Duo, DuoConfig, Integration, Limits};
use tidegate_simulator::{BodyFault, Exchange, Fault, RandomFaults, ScriptedFault, serve};

fn ascending(limit: &str) -> [(&str, &str); 4] {
    [("mintime", "1768471200000"), ("maxtime", "1768478400000"), ("sort", "ts:asc"), ("limit", limit)]
}

fn limited() -> DuoConfig {
    DuoConfig { limits: Limits::default(), ..roomy() }
}

fn at(seconds: i64) -> DateTime<Utc> {
    later() + TimeDelta::seconds(seconds)
}

#[test]
fn more_than_two_requests_a_minute_to_an_endpoint_are_42901_without_advice() {
    let duo = Duo::new(limited());
    for (second, status) in [(0, 200), (30, 200), (31, 429), (59, 429), (60, 200), (61, 429), (90, 200)] {
        let answer = ask(&duo, ADMIN, &[], at(second));
        assert_eq!(answer.status, status, "second {second}");
        if status == 429 {
            let body = json_of(&answer);
            assert_eq!(body, json!({"stat": "FAIL", "code": 42901, "message": "Too Many Requests"}));
            let mut names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["content-type", "date"]);
        }
    }
    assert_eq!(duo.refused(), 3);
    assert_eq!(ask(&duo, OFFLINE, &[], at(90)).status, 200, "each endpoint has its own");
}

#[test]
fn bad_parameters_count_and_bad_signatures_do_not() {
    let duo = Duo::new(limited());
    let stranger = Integration::new("DISIMULATED000000001", "a-wrong-secret-key-of-forty-characters--");
    for _ in 0..5 {
        assert_eq!(code(&duo.handle(&request(&stranger, AUTH, &ascending("5"), at(0)), at(0))).1, 40103);
    }
    assert_eq!(code(&ask(&duo, AUTH, &[], at(0))), (400, 40001));
    assert_eq!(code(&ask(&duo, AUTH, &ascending("5"), at(0))), (200, 0));
    assert_eq!(code(&ask(&duo, AUTH, &ascending("5"), at(0))), (429, 42901));
}

#[test]
fn refused_requests_count_where_that_is_set() {
    let count_refused = |count_refused| {
        let limits = Limits { count_refused, ..Limits::default() };
        let duo = Duo::new(DuoConfig { limits, ..roomy() });
        (0..=60).filter(|second| ask(&duo, ADMIN, &[], at(second * 5)).status == 200).count()
    };
    assert_eq!(count_refused(false), 11);
    assert_eq!(count_refused(true), 2, "whoever goes on asking never gets in again");
}

#[test]
fn an_endpoint_may_have_a_limit_of_its_own_and_a_child_account_a_bucket_of_its_own() {
    let child = "DACHILD0000000000001";
    let limits = Limits { per_endpoint: [("activity".to_owned(), 5)].into(), ..Limits::default() };
    let duo = Duo::new(DuoConfig { limits, children: vec![child.to_owned()], ..roomy() });
    let granted = |path: &str, pairs: &[(&str, &str)]| {
        (0..8).filter(|_| ask(&duo, path, pairs, at(0)).status == 200).count()
    };
    assert_eq!(granted(ACTIVITY, &ascending("5")), 5);
    assert_eq!(granted(AUTH, &ascending("5")), 2);
    assert_eq!(granted(AUTH, &[&ascending("5")[..], &[("account_id", child)]].concat()), 2);
}

#[test]
fn a_competitor_leaves_half_of_each_limit() {
    let config = DuoConfig { foreign: 0.5, ..limited() };
    let good = Duo::new(config.clone());
    for minute in 0..60 {
        assert_eq!(ask(&good, ADMIN, &[], at(minute * 60)).status, 200, "minute {minute}");
    }
    assert_eq!(good.refused(), 0);
    let greedy = Duo::new(config);
    let granted = (0..60).filter(|step| ask(&greedy, ADMIN, &[], at(step * 30)).status == 200).count();
    assert_eq!((granted, greedy.refused()), (30, 30));
    let starved = Duo::new(DuoConfig { foreign: 1.0, ..limited() });
    assert_eq!(code(&ask(&starved, ADMIN, &[], at(0))), (429, 42901));
}

#[test]
fn faults_answer_in_the_vendors_forms() {
    let duo = Duo::new(roomy());
    let play = |fault| {
        duo.push_fault(ScriptedFault::next("activity", fault));
        ask(&duo, ACTIVITY, &ascending("5"), later())
    };
    let slow_down = Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false };
    for (fault, wanted) in [
        (slow_down, (429, 42901)),
        (Fault::Unauthorized, (401, 40103)),
        (Fault::Forbidden, (403, 40301)),
        (Fault::NotFound, (404, 40401)),
        (Fault::CursorRefused, (400, 40002)),
        (Fault::ServerError, (500, 50001)),
    ] {
        assert_eq!(code(&play(fault)), wanted);
    }
    for (fault, status) in [(Fault::BadGateway, 502), (Fault::Unavailable, 503), (Fault::HtmlPage, 200)] {
        let answer = play(fault);
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (status, &"text/html".parse().unwrap())
        );
    }
    assert!(matches!(play(Fault::CutBody { after: Some(9) }).fault, Some(BodyFault::CutAfter(9))));
    assert!(matches!(play(Fault::SlowBody { bytes_per_s: 10 }).fault, Some(BodyFault::SlowBody { .. })));
    let answer = play(Fault::Exchange(Exchange {
        status: 200,
        body: Some(json!({"stat": "FAIL", "code": 50001, "message": "odd"})),
        ..Exchange::default()
    }));
    assert_eq!(code(&answer), (200, 50001));
    assert_eq!(duo.refused(), 0, "faults are no limits");
}

/// A walk with one fault at its third request; the pages as they came.
fn walk_with(path: &str, fault: Fault) -> (Duo, Vec<Vec<Value>>) {
    let duo = Duo::new(roomy());
    duo.push_fault(ScriptedFault { path: path.to_owned(), after: 2, times: 1, fault });
    let pages = walk(&duo, path, &ascending("25"), later());
    (duo, pages)
}

#[test]
fn an_empty_page_may_not_be_the_end() {
    for (path, stream) in
        [(AUTH, "authentication"), (ACTIVITY, "activity"), (TELEPHONY, "telephony"), (TRUST, "trust_monitor")]
    {
        let (duo, pages) = walk_with(path, Fault::EmptyPage);
        assert!(pages[2].is_empty());
        assert_same(&pages.concat(), &visible(&duo, stream, later()));
        let duo = Duo::new(roomy());
        let every = ScriptedFault { path: path.to_owned(), after: 0, times: 1, fault: Fault::EmptyPage };
        duo.push_fault(every);
        let newest_first = [&ascending("25")[..2], &[("limit", "25")]].concat();
        assert_same(&walk(&duo, path, &newest_first, later()).concat(), &visible(&duo, stream, later()));
    }
}

#[test]
fn pages_may_come_twice_or_be_larger_than_asked() {
    for (path, stream) in [(AUTH, "authentication"), (TRUST, "trust_monitor")] {
        let (duo, mut pages) = walk_with(path, Fault::DuplicatePage);
        assert_eq!(pages[2], pages[1]);
        pages.remove(2);
        assert_same(&pages.concat(), &visible(&duo, stream, later()));
        let (duo, pages) = walk_with(path, Fault::OversizePage);
        assert_eq!(pages[2].len(), 50);
        assert_same(&pages.concat(), &visible(&duo, stream, later()));
    }
}

#[test]
fn offsets_may_stand_still_or_be_missing() {
    let duo = Duo::new(roomy());
    let (_, metadata) = page(&ask(&duo, AUTH, &ascending("25"), later()));
    let offset = next(&metadata).unwrap();
    let second = [&ascending("25")[..], &[("next_offset", &offset)]].concat();
    duo.push_fault(ScriptedFault::next("", Fault::LinkLoop));
    let (records, again) = page(&ask(&duo, AUTH, &second, later()));
    assert_eq!((records.len(), next(&again)), (25, Some(offset.clone())));
    duo.push_fault(ScriptedFault::next("", Fault::NoNextLink));
    let (records, none) = page(&ask(&duo, AUTH, &second, later()));
    assert_eq!((records.len(), next(&none)), (25, None));
}

#[test]
fn the_envelope_may_be_wrong_or_oddly_typed() {
    let duo = Duo::new(roomy());
    let play = |path, fault| {
        duo.push_fault(ScriptedFault::next(path, fault));
        json_of(&ask(&duo, path, &ascending("25"), later()))
    };
    assert!(play(AUTH, Fault::WrongEnvelope)["response"].is_array());
    assert!(play(ADMIN, Fault::WrongEnvelope)["response"]["items"].is_array());
    let metadata = |body: Value| body["response"]["metadata"].clone();
    let auth = metadata(play(AUTH, Fault::OddTypes));
    assert_eq!(auth["total_objects"], "400");
    assert!(auth["next_offset"].is_string());
    assert!(metadata(play(ACTIVITY, Fault::OddTypes))["next_offset"].is_array());
    let trust = metadata(play(TRUST, Fault::OddTypes));
    assert!(trust["next_offset"].is_u64());
    let offset = trust["next_offset"].to_string();
    let rest = [&ascending("1000")[..], &[("offset", &offset)]].concat();
    assert_eq!(page(&ask(&duo, TRUST, &rest, later())).0.len(), 375);
}

#[test]
fn seeded_faults_hit_the_same_requests_and_a_client_that_repeats_still_gets_all() {
    let random = RandomFaults { seed: 5, rate: 0.4, kinds: Vec::new(), path: "authentication".to_owned() };
    let run = || {
        let duo = Duo::new(DuoConfig { random_faults: Some(random.clone()), ..roomy() });
        let statuses: Vec<u16> =
            (0..50).map(|_| ask(&duo, AUTH, &ascending("10"), later()).status.as_u16()).collect();
        assert!(duo.requests().iter().any(|entry| entry.fault.is_some()));
        duo.clear_faults();
        assert_same(
            &walk(&duo, AUTH, &ascending("10"), later()).concat(),
            &visible(&duo, "authentication", later()),
        );
        statuses
    };
    assert_eq!(run(), run());
    assert!(run().iter().any(|status| *status != 200));
}

fn control(duo: &Duo, method: &str, path: &str, body: &str) -> Value {
    let request = Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned())).unwrap();
    json_of(&duo.handle(&request, later()))
}

#[test]
fn the_control_api_generates_tells_and_counts() {
    let duo = Duo::new(DuoConfig { generate: Vec::new(), ..limited() });
    let order = r#"{"stream": "activity", "records": 40, "start": "2026-01-15T10:00:00Z", "spread_s": 600}"#;
    assert_eq!(control(&duo, "POST", "/_sim/generate", order), json!({"ok": true, "added": 40}));
    let lines =
        "{\"timestamp\": 1768471201, \"action\": \"x\"}\n\n{\"timestamp\": 1768471201, \"action\": \"x\"}\n";
    assert_eq!(control(&duo, "POST", "/_sim/records?stream=administrator", lines)["added"], 2);
    let known = control(&duo, "GET", "/_sim/known?stream=administrator", "");
    assert_eq!(known["known"].as_array().unwrap().len(), 2);
    assert_eq!(known["known"][0]["occurred_at"], "2026-01-15T10:00:01Z");
    assert_eq!(known["known"][1]["versions"][0]["raw"], r#"{"timestamp": 1768471201, "action": "x"}"#);
    assert_eq!(page(&ask(&duo, ADMIN, &[], later())).0.len(), 2);
    for _ in 0..3 {
        ask(&duo, ACTIVITY, &ascending("1000"), later());
    }
    let totals = control(&duo, "GET", "/_sim/totals", "");
    assert_eq!(
        (&totals["records"], &totals["served"], &totals["refused"]),
        (&json!(42), &json!(82), &json!(1))
    );
    assert_eq!(totals["requests"]["by_status"]["429"], 1);
    assert_eq!(duo.totals(later()), totals);
    let all = control(&duo, "GET", "/_sim/known", "");
    assert_eq!(all["known"].as_array().unwrap().len(), duo.known().len());
}

#[test]
fn the_control_api_changes_keys_faults_and_the_clock() {
    let duo = Duo::new(roomy());
    let ok = json!({"ok": true});
    let order = r#"{"read_log": {"DISIMULATED000000001": false}, "access": {"trust_monitor": "absent"},
        "add": [{"ikey": "DISECOND000000000001", "skey": "a-second-secret-key-of-forty-characters-"}]}"#;
    assert_eq!(control(&duo, "POST", "/_sim/credentials", order), ok);
    assert_eq!(code(&ask(&duo, ADMIN, &[], later())), (403, 40301));
    let second = Integration::new("DISECOND000000000001", "a-second-secret-key-of-forty-characters-");
    let of_second = |path, now| code(&duo.handle(&request(&second, path, &ascending("5"), now), later()));
    assert_eq!(of_second(ACTIVITY, later()), (200, 0));
    assert_eq!(of_second(TRUST, later()), (404, 40401));
    control(&duo, "POST", "/_sim/credentials", r#"{"revoke": ["DISIMULATED000000001"]}"#);
    assert_eq!(code(&ask(&duo, ADMIN, &[], later())), (401, 40102));
    control(
        &duo,
        "POST",
        "/_sim/faults",
        r#"{"script": [{"path": "activity", "fault": {"kind": "empty_page"}}]}"#,
    );
    let empty = duo.handle(&request(&second, ACTIVITY, &ascending("5"), later()), later());
    assert!(page(&empty).0.is_empty());
    control(&duo, "POST", "/_sim/clock", r#"{"advance_s": 3600}"#);
    assert_eq!(of_second(ACTIVITY, later()), (401, 40105));
    assert_eq!(of_second(ACTIVITY, later() + TimeDelta::hours(1)), (200, 0));
    assert!(control(&duo, "GET", "/_sim/nothing", "")["error"].is_string());
}

#[test]
fn a_client_that_follows_for_a_week_meets_every_record_once() {
    let mut generate = plan("authentication", 10_000);
    generate.spread = TimeDelta::days(7);
    let duo = Duo::new(DuoConfig { generate: vec![generate], ..roomy() });
    let (mut found, mut offset) = (0, "1768471199999,0".to_owned());
    for hour in 1..=7 * 24 + 1 {
        let now = start() + TimeDelta::hours(hour);
        let to = ms(now);
        loop {
            let pairs = [
                &ascending("100")[..1],
                &ascending("100")[2..],
                &[("maxtime", &to), ("next_offset", &offset)],
            ];
            let (records, metadata) = page(&ask(&duo, AUTH, &pairs.concat(), now));
            found += records.len();
            // Its own cursor, of the last record: nothing that becomes visible later lies before it.
            if let Some(last) = records.last() {
                let at: DateTime<Utc> = last["isotimestamp"].as_str().unwrap().parse().unwrap();
                offset = format!("{},{}", at.timestamp_millis(), last["txid"].as_str().unwrap());
            }
            if next(&metadata).is_none() {
                break;
            }
        }
    }
    assert_eq!(found, 10_000);
}

#[tokio::test]
async fn it_answers_on_a_socket_under_the_name_that_was_called() {
    let duo = Duo::new(DuoConfig { base_url: None, generate: Vec::new(), ..roomy() });
    let now = Utc::now();
    let plan = tidegate_simulator::duo::Generate::new(
        "administrator",
        3,
        12,
        now - TimeDelta::hours(1),
        TimeDelta::minutes(30),
    );
    duo.add_generated(&plan);
    let server = serve(duo, ([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let date = date(now);
    let response = client
        .get(format!("{}{ADMIN}", server.url))
        .header("authorization", signed(&Integration::simulated(), "127.0.0.1", ADMIN, "", &date))
        .header("date", date)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["response"].as_array().unwrap().len(), 12);
    server.shutdown().await;
}
