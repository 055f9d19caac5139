//! The System Log as its contract has it, played in process under a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::Request;
use serde_json::{Value, json};
use tidegate_simulator::okta::{Generate, Okta, OktaConfig, Token, TokenState};
use tidegate_simulator::{Answer, BodyFault, Exchange, Fault, RandomFaults, ScriptedFault};

fn start() -> DateTime<Utc> {
    "2026-01-15T10:00:00Z".parse().unwrap()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An organisation with 300 events in the hour after `start`, 20 of them late, and limits that are not in the way.
fn roomy() -> OktaConfig {
    OktaConfig {
        generate: Some(Generate { late: 20, ..Generate::new(7, 300, TimeDelta::hours(1)) }),
        org_limit: 100_000,
        principal_limit: 100_000,
        base_url: Some("https://acme.example.com".to_owned()),
        ..OktaConfig::default()
    }
}

fn request(uri: &str) -> Request<Bytes> {
    Request::get(uri).header("authorization", "SSWS simulated-token").body(Bytes::new()).unwrap()
}

fn ask(okta: &Okta, uri: &str, now: DateTime<Utc>) -> Answer {
    okta.handle(&request(uri), now)
}

fn link(answer: &Answer, rel: &str) -> Option<String> {
    let wanted = format!(">; rel=\"{rel}\"");
    answer.headers.get_all("link").iter().map(|value| value.to_str().unwrap()).find_map(|line| {
        let (before, _) = line.split_once(&wanted)?;
        before.rsplit_once('<').map(|(_, url)| url.to_owned())
    })
}

fn records(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

fn ids(answer: &Answer) -> Vec<String> {
    records(answer).iter().map(|record| record["uuid"].as_str().unwrap_or("none").to_owned()).collect()
}

fn code(answer: &Answer) -> (u16, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status.as_u16(), body["errorCode"].as_str().unwrap_or_default().to_owned())
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// Follows next links from a first URL until an empty page (or no link); all ids in order.
fn chain(okta: &Okta, first: &str, now: DateTime<Utc>) -> (Vec<String>, Option<String>) {
    let (mut found, mut url) = (Vec::new(), first.to_owned());
    loop {
        let answer = ask(okta, &url, now);
        let page = ids(&answer);
        let next = link(&answer, "next");
        let last = page.is_empty();
        found.extend(page);
        match next {
            Some(next) if !last => url = next,
            next => return (found, next),
        }
    }
}

#[test]
fn a_polling_chain_delivers_every_event_in_order_of_persistence() {
    let okta = Okta::new(roomy());
    let (found, next) =
        chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=37", start() + TimeDelta::hours(2));
    let expected: Vec<String> = okta.events().into_iter().map(|event| event.id).collect();
    assert_eq!(found, expected);
    assert!(next.is_some(), "an empty page still leads on");
    let published: Vec<_> = okta.events().iter().map(|event| event.published).collect();
    assert!(!published.is_sorted(), "publication goes backwards in it");
}

#[test]
fn the_same_next_link_gives_the_same_page_or_a_longer_one() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::minutes(30);
    let (_, tail) = chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000", now);
    let tail = tail.unwrap();
    assert!(ids(&ask(&okta, &tail, now)).is_empty());
    let later = ids(&ask(&okta, &tail, now + TimeDelta::minutes(10)));
    assert!(!later.is_empty());
    assert_eq!(ids(&ask(&okta, &tail, now + TimeDelta::minutes(10))), later);
    let longer = ids(&ask(&okta, &tail, now + TimeDelta::minutes(20)));
    assert!(longer.len() > later.len() && longer.starts_with(&later));
}

#[test]
fn a_chain_that_is_followed_while_time_goes_on_meets_every_event_once() {
    let okta = Okta::new(roomy());
    let mut url = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=20".to_owned();
    let mut found = Vec::new();
    for minute in 0..90 {
        let answer = ask(&okta, &url, start() + TimeDelta::minutes(minute));
        found.extend(ids(&answer));
        url = link(&answer, "next").unwrap();
    }
    let unique: HashSet<_> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (300, 300));
}

#[test]
fn polling_since_goes_by_persistence_and_bounded_since_by_publication() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    let late: Vec<_> = okta.events().into_iter().filter(|event| event.late).collect();
    assert_eq!(late.len(), 20);
    let (polled, _) = chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000", now);
    assert!(late.iter().all(|event| polled.contains(&event.id)));
    let bounded = ids(&ask(
        &okta,
        "/api/v1/logs?since=2026-01-15T10:00:00.000Z&until=2026-01-15T12:00:00.000Z&limit=1000",
        now,
    ));
    assert!(late.iter().all(|event| !bounded.contains(&event.id)), "published before ten o'clock");
}

#[test]
fn a_bounded_query_misses_what_is_persisted_later() {
    let okta = Okta::new(roomy());
    let uri = "/api/v1/logs?since=2026-01-15T00:00:00.000Z&until=2026-01-15T10:00:00.000Z&limit=1000";
    let early = ids(&ask(&okta, uri, start() + TimeDelta::minutes(5)));
    let afterwards = ids(&ask(&okta, uri, start() + TimeDelta::hours(2)));
    assert!(early.len() < afterwards.len());
    assert!(early.iter().all(|id| afterwards.contains(id)));
}

#[test]
fn a_bounded_chain_is_ordered_by_publication_and_ends_without_a_next_link() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    for (order, descending) in [("ASCENDING", false), ("DESCENDING", true)] {
        let first = format!(
            "/api/v1/logs?since=2026-01-15T00:00:00.000Z&until=2026-01-15T12:00:00.000Z&limit=64&sortOrder={order}"
        );
        let (found, next) = chain(&okta, &first, now);
        assert_eq!(next, None);
        let published: BTreeMap<_, _> =
            okta.events().into_iter().map(|event| (event.id, event.published)).collect();
        let mut times: Vec<_> = found.iter().map(|id| published[id]).collect();
        if descending {
            times.reverse();
        }
        assert_eq!(found.len(), 300);
        assert!(times.is_sorted(), "{order}");
    }
    assert!(
        link(&ask(&okta, "/api/v1/logs?sortOrder=DESCENDING&limit=1000", now), "next").is_none(),
        "not polling"
    );
}

#[test]
fn a_full_last_page_has_a_next_link_only_by_switch() {
    let uri = "/api/v1/logs?since=2026-01-15T00:00:00.000Z&until=2026-01-15T12:00:00.000Z&limit=300";
    let now = start() + TimeDelta::hours(2);
    assert!(link(&ask(&Okta::new(roomy()), uri, now), "next").is_none());
    let okta = Okta::new(OktaConfig { link_after_full_last_page: true, ..roomy() });
    let next = link(&ask(&okta, uri, now), "next").unwrap();
    let last = ask(&okta, &next, now);
    assert!(ids(&last).is_empty() && link(&last, "next").is_none());
}

#[test]
fn links_are_absolute_two_lines_or_one_with_commas_inside() {
    let uri = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10&filter=eventType%20sw%20%22user.%22%20or%20displayMessage%20eq%20%22a,b%22";
    let now = start() + TimeDelta::hours(2);
    let two = ask(&Okta::new(roomy()), uri, now);
    assert_eq!(two.headers.get_all("link").iter().count(), 2);
    let next = link(&two, "next").unwrap();
    assert!(next.starts_with("https://acme.example.com/api/v1/logs?"), "{next}");
    assert!(next.contains("limit=10") && next.contains("filter=eventType"), "{next}");
    assert_eq!(link(&two, "self").as_deref(), Some(format!("https://acme.example.com{uri}").as_str()));
    let one = ask(&Okta::new(OktaConfig { merged_links: true, ..roomy() }), uri, now);
    assert_eq!(one.headers.get_all("link").iter().count(), 1);
    assert_eq!(link(&one, "next"), Some(next));
}

#[test]
fn next_links_are_rewritten_in_more_than_one_style() {
    let okta = Okta::new(roomy());
    let (mut url, now) =
        ("/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=5".to_owned(), start() + TimeDelta::hours(2));
    let (mut epoch_style, mut uuid_style, mut without_since) = (0, 0, 0);
    for _ in 0..50 {
        url = link(&ask(&okta, &url, now), "next").unwrap();
        let query: BTreeMap<String, String> =
            url::Url::parse(&url).unwrap().query_pairs().into_owned().collect();
        if query["after"].contains('_') {
            epoch_style += 1
        } else {
            uuid_style += 1
        }
        without_since += usize::from(!query.contains_key("since"));
        assert_eq!(query["limit"], "5");
    }
    assert!(
        epoch_style > 5 && uuid_style > 5 && without_since > 0,
        "{epoch_style} {uuid_style} {without_since}"
    );
}

#[test]
fn parameters_out_of_range_are_refused_with_their_code() {
    let okta = Okta::new(roomy());
    let long = "x".repeat(41);
    let refused = [
        ("since=yesterday".to_owned(), "E0000001"),
        ("since=2026-01-15%2010:00:00Z".to_owned(), "E0000001"),
        ("until=2026-01-15".to_owned(), "E0000001"),
        ("limit=1001".to_owned(), "E0000001"),
        ("limit=-1".to_owned(), "E0000001"),
        ("limit=ten".to_owned(), "E0000001"),
        ("sortOrder=RANDOM".to_owned(), "E0000001"),
        ("after=1768471200000_1".to_owned(), "E0000001"),
        (format!("q={long}"), "E0000001"),
        ("q=a+b+c+d+e+f+g+h+i+j+k".to_owned(), "E0000001"),
        ("filter=published%20gt%20%222026-01-01T00:00:00.000Z%22".to_owned(), "E0000053"),
        ("filter=nonsense%20eq%20%22x%22".to_owned(), "E0000053"),
        ("filter=debugContext.debugData.url%20co%20%22x%22".to_owned(), "E0000031"),
        ("since=2025-01-01T00:00:00.000Z".to_owned(), "E0000053"),
    ];
    for (query, expected) in refused {
        let answer = ask(&okta, &format!("/api/v1/logs?{query}"), start());
        assert_eq!(code(&answer), (400, expected.to_owned()), "{query}");
    }
    let date = ask(&okta, "/api/v1/logs?since=yesterday", start());
    let body: Value = serde_json::from_slice(&date.body).unwrap();
    assert_eq!(body["errorCauses"].as_array().unwrap().len(), 2);
    let variant = Okta::new(OktaConfig { invalid_date_as_e0000030: true, ..roomy() });
    assert_eq!(code(&ask(&variant, "/api/v1/logs?since=x", start())).1, "E0000030");
}

#[test]
fn limit_is_100_by_default_and_may_be_zero() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    assert_eq!(ids(&ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z", now)).len(), 100);
    let none = ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=0", now);
    assert!(ids(&none).is_empty() && link(&none, "next").is_some());
}

#[test]
fn since_with_an_issued_cursor_is_accepted_and_ignored() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    let next =
        link(&ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10", now), "next").unwrap();
    let cursor = url::Url::parse(&next)
        .unwrap()
        .query_pairs()
        .find(|(name, _)| name == "after")
        .unwrap()
        .1
        .into_owned();
    let both = format!("/api/v1/logs?since=2025-01-01T00:00:00.000Z&limit=10&after={cursor}");
    assert_eq!(ids(&ask(&okta, &both, now)), ids(&ask(&okta, &next, now)));
    let strict = Okta::new(OktaConfig { since_and_after_refused: true, ..roomy() });
    assert_eq!(code(&ask(&strict, &both, now)).0, 400);
}

#[test]
fn a_cursor_expires_where_cursors_have_a_life() {
    let okta = Okta::new(OktaConfig { cursor_ttl: Some(TimeDelta::hours(24)), ..roomy() });
    let now = start() + TimeDelta::hours(2);
    let next =
        link(&ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10", now), "next").unwrap();
    assert_eq!(ids(&ask(&okta, &next, now + TimeDelta::hours(23))).len(), 10);
    assert_eq!(code(&ask(&okta, &next, now + TimeDelta::hours(25))), (400, "E0000001".to_owned()));
}

#[test]
fn generated_events_fall_out_after_ninety_days_and_loaded_ones_do_not() {
    let okta = Okta::new(roomy());
    let raw = r#"{"uuid":"5a1f0000-0000-4000-8000-000000000001","published":"2020-01-01T00:00:00.000Z","eventType":"x"}"#;
    assert_eq!(okta.add_records(&Bytes::from(raw), start()), 1);
    let now = start() + TimeDelta::days(91);
    let uri = format!("/api/v1/logs?since={}&limit=1000", text(start() - TimeDelta::days(1)));
    assert_eq!(ids(&ask(&okta, &uri, now)), ["5a1f0000-0000-4000-8000-000000000001"]);
    assert_eq!(okta.totals(now)["visible"], 1);
}

#[test]
fn loaded_records_are_served_byte_for_byte() {
    let lines = [
        r#"{"uuid":"5a1f0000-0000-4000-8000-000000000002",  "published":"2026-01-15T10:00:00.123Z" ,"eventType":"a","x":"half \ud83d"}"#,
        r#"{"z":1.50e0,"uuid":"5a1f0000-0000-4000-8000-000000000003","published":"2026-01-15T10:00:00.122Z","a":"é\/"}"#,
    ];
    let okta = Okta::new(OktaConfig { records: Some(Bytes::from(lines.join("\n") + "\n\n")), ..roomy() });
    okta.clear_faults();
    let answer = ask(&okta, "/api/v1/logs?since=2026-01-15T09:00:00.000Z", start());
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(body.contains(lines[0]) && body.contains(lines[1]), "{body}");
    assert_eq!(okta.record("5a1f0000-0000-4000-8000-000000000002").as_deref(), Some(lines[0].as_bytes()));
}

#[test]
fn events_that_are_added_never_land_behind_a_reader() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    let (_, tail) = chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000", now);
    okta.add_events(&Generate::new(99, 25, TimeDelta::minutes(10)));
    assert_eq!(ids(&ask(&okta, &tail.unwrap(), now + TimeDelta::seconds(1))).len(), 25);
}

#[test]
fn filters_and_keywords_select_on_the_server() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    let uri = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000&filter=eventType%20eq%20%22policy.evaluate_sign_on%22";
    let found = records(&ask(&okta, uri, now));
    assert!(!found.is_empty() && found.iter().all(|event| event["eventType"] == "policy.evaluate_sign_on"));
    let found = records(&ask(
        &okta,
        "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000&q=JO.PARK@example.com",
        now,
    ));
    assert!(!found.is_empty() && found.iter().all(|event| event.to_string().contains("jo.park@example.com")));
}

#[test]
fn every_answer_carries_rate_headers_a_date_and_a_request_id() {
    let okta = Okta::new(roomy());
    okta.push_fault(ScriptedFault::next("bad", Fault::BadGateway));
    for uri in ["/api/v1/logs", "/api/v1/logs?limit=x", "/api/v1/users", "/bad"] {
        let answer = ask(&okta, uri, start());
        for name in
            ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset", "x-okta-request-id"]
        {
            assert!(!header(&answer, name).is_empty(), "{name} of {uri}");
        }
        assert_eq!(header(&answer, "date"), "Thu, 15 Jan 2026 10:00:00 GMT");
    }
    assert_eq!(code(&ask(&okta, "/api/v1/users", start())), (404, "E0000007".to_owned()));
    let post = Request::post("/api/v1/logs").body(Bytes::new()).unwrap();
    assert_eq!(code(&okta.handle(&post, start())), (405, "E0000022".to_owned()));
}

#[test]
fn a_principal_is_refused_when_its_minute_is_used_up() {
    let okta = Okta::new(OktaConfig { org_limit: 10, principal_limit: 3, ..roomy() });
    for remaining in ["2", "1", "0"] {
        let answer = ask(&okta, "/api/v1/logs", start());
        assert_eq!(
            (header(&answer, "x-rate-limit-limit"), header(&answer, "x-rate-limit-remaining")),
            ("3", remaining)
        );
    }
    let refused = ask(&okta, "/api/v1/logs", start() + TimeDelta::seconds(10));
    assert_eq!(code(&refused), (429, "E0000047".to_owned()));
    assert_eq!(header(&refused, "x-rate-limit-remaining"), "0");
    assert_eq!(header(&refused, "x-rate-limit-reset"), (start().timestamp() + 60).to_string());
    assert_eq!(refused.headers.get("retry-after"), None, "not documented, so not sent");
    assert_eq!(ask(&okta, "/api/v1/logs", start() + TimeDelta::seconds(60)).status, 200);
}

#[test]
fn other_clients_use_up_the_organisations_minute() {
    let okta = Okta::new(OktaConfig { org_limit: 60, principal_limit: 50, foreign_usage: 60, ..roomy() });
    assert_eq!(ask(&okta, "/api/v1/logs", start()).status, 200);
    let late = ask(&okta, "/api/v1/logs", start() + TimeDelta::seconds(59));
    assert_eq!((late.status.as_u16(), header(&late, "x-rate-limit-limit")), (429, "60"));
}

#[test]
fn the_forms_of_a_429() {
    let okta = Okta::new(OktaConfig {
        org_limit: 1,
        principal_limit: 1,
        retry_after: true,
        duplicate_reset: true,
        ..roomy()
    });
    ask(&okta, "/api/v1/logs", start());
    let refused = ask(&okta, "/api/v1/logs", start() + TimeDelta::seconds(20));
    assert_eq!(header(&refused, "retry-after"), "40");
    assert_eq!(refused.headers.get_all("x-rate-limit-reset").iter().count(), 2);
    okta.push_fault(ScriptedFault::next("logs", Fault::Concurrency { reset_s: 180 }));
    let refused = ask(&okta, "/api/v1/logs", start() + TimeDelta::seconds(90));
    assert_eq!(
        (header(&refused, "x-rate-limit-limit"), header(&refused, "x-rate-limit-remaining")),
        ("0", "0")
    );
    let busy = Okta::new(OktaConfig { concurrency_limit: 2, ..roomy() });
    let mut third = request("/api/v1/logs");
    third.extensions_mut().insert(tidegate_simulator::InFlight(3));
    let refused = busy.handle(&third, start());
    assert_eq!((refused.status.as_u16(), header(&refused, "x-rate-limit-limit")), (429, "0"));
}

#[test]
fn an_exchange_script_gives_exact_answers_in_order() {
    let okta = Okta::new(roomy());
    let rate = |limit: &str, remaining: &str, reset: &str| {
        [("X-Rate-Limit-Limit", limit), ("X-Rate-Limit-Remaining", remaining), ("X-Rate-Limit-Reset", reset)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    for exchange in [
        Exchange { status: 200, headers: rate("60", "59", "Date+60"), body: None },
        Exchange {
            status: 429,
            headers: rate("0", "0", "Date+180"),
            body: Some(json!({"errorCode": "E0000047"})),
        },
        Exchange { status: 200, headers: rate("60", "58", "Date+30"), body: None },
    ] {
        okta.push_fault(ScriptedFault::next("logs", Fault::Exchange(exchange)));
    }
    let now = start() + TimeDelta::hours(2);
    let first = ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10", now);
    assert_eq!((ids(&first).len(), header(&first, "x-rate-limit-remaining")), (10, "59"));
    let next = link(&first, "next").unwrap();
    let second = ask(&okta, &next, now);
    assert_eq!(code(&second), (429, "E0000047".to_owned()));
    assert_eq!(header(&second, "x-rate-limit-reset"), (now.timestamp() + 180).to_string());
    let third = ask(&okta, &next, now);
    assert_eq!((ids(&third).len(), header(&third, "x-rate-limit-remaining")), (10, "58"));
}

#[test]
fn credentials_that_do_not_hold_are_refused() {
    let token = |value: &str, state| Token { state, ..Token::new(value) };
    let mut powerless = Token::new("powerless");
    powerless.may_read_logs = false;
    let okta = Okta::new(OktaConfig {
        tokens: vec![
            Token::new("good"),
            token("taken-back", TokenState::Revoked),
            token("asleep", TokenState::Unused),
            powerless,
        ],
        ..roomy()
    });
    let with = |authorization: &str, now| {
        let request =
            Request::get("/api/v1/logs").header("authorization", authorization).body(Bytes::new()).unwrap();
        code(&okta.handle(&request, now))
    };
    let refused = (401, "E0000011".to_owned());
    assert_eq!(with("SSWS good", start()).0, 200);
    assert_eq!(with("SSWSgood", start()).0, 200, "without a blank, too");
    for authorization in ["SSWS taken-back", "SSWS asleep", "SSWS unknown", "Bearer good", "good", "SSWS "] {
        assert_eq!(with(authorization, start()), refused, "{authorization}");
    }
    assert_eq!(with("SSWS powerless", start()), (403, "E0000006".to_owned()));
    assert_eq!(
        code(&okta.handle(&Request::get("/api/v1/logs").body(Bytes::new()).unwrap(), start())),
        refused
    );
    assert_eq!(with("SSWS good", start() + TimeDelta::days(20)).0, 200, "use prolongs a token");
    assert_eq!(with("SSWS good", start() + TimeDelta::days(45)).0, 200);
    assert_eq!(with("SSWS good", start() + TimeDelta::days(76)), refused, "31 days without use");
}

#[test]
fn faults_of_the_wire_come_after_the_request_was_answered() {
    let okta = Okta::new(roomy());
    let uri = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10";
    let now = start() + TimeDelta::hours(2);
    let whole = ask(&okta, uri, now);
    for fault in [
        Fault::CutBody { after: Some(100) },
        Fault::DropBeforeAnswer,
        Fault::Delay { ms: 40_000 },
        Fault::SlowBody { bytes_per_s: 10 },
        Fault::Endless { total: 500_000_000 },
    ] {
        okta.push_fault(ScriptedFault::next("logs", fault));
    }
    let played: Vec<_> = (0..5)
        .map(|_| {
            let answer = ask(&okta, uri, now);
            let fault = answer.fault.unwrap();
            let endless = matches!(fault, BodyFault::Endless { .. });
            assert!(answer.body == whole.body || endless && answer.body.iter().all(|byte| *byte == b' '));
            fault
        })
        .collect();
    assert_eq!(
        played,
        [
            BodyFault::CutAfter(100),
            BodyFault::DropBeforeAnswer,
            BodyFault::Delay(std::time::Duration::from_secs(40)),
            BodyFault::SlowBody { bytes_per_s: 10 },
            BodyFault::Endless { total: 500_000_000 },
        ]
    );
    okta.push_fault(ScriptedFault::next("logs", Fault::TruncatedGzip));
    let truncated = ask(&okta, uri, now);
    assert_eq!(header(&truncated, "content-encoding"), "gzip");
    let mut out = Vec::new();
    assert!(
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&truncated.body[..]), &mut out).is_err()
    );
}

#[test]
fn faults_that_answer_instead() {
    let okta = Okta::new(roomy());
    for (fault, status, expected) in [
        (Fault::ServerError, 500, "E0000009"),
        (Fault::Unavailable, 503, "E0000010"),
        (Fault::BadGateway, 502, ""),
        (Fault::HtmlPage, 200, ""),
        (Fault::Unauthorized, 401, "E0000011"),
        (Fault::Forbidden, 403, "E0000006"),
    ] {
        okta.push_fault(ScriptedFault::next("logs", fault.clone()));
        let answer = ask(&okta, "/api/v1/logs", start());
        assert_eq!(code(&answer), (status, expected.to_owned()));
        assert_eq!(header(&answer, "content-type").contains("html"), expected.is_empty(), "{fault:?}");
    }
}

#[test]
fn links_and_pages_that_mislead() {
    let okta = Okta::new(roomy());
    let uri = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10";
    let now = start() + TimeDelta::hours(2);
    okta.push_fault(ScriptedFault::next(
        "logs",
        Fault::ForeignLink { base: "https://evil.example.com".to_owned() },
    ));
    assert!(
        link(&ask(&okta, uri, now), "next").unwrap().starts_with("https://evil.example.com/api/v1/logs?")
    );
    okta.push_fault(ScriptedFault::next("logs", Fault::LinkLoop));
    let looped = ask(&okta, uri, now);
    assert_eq!(link(&looped, "next"), link(&looped, "self"));
    assert_eq!(ids(&looped).len(), 10);
    okta.push_fault(ScriptedFault::next("logs", Fault::NoNextLink));
    assert_eq!(link(&ask(&okta, uri, now), "next"), None);
    okta.push_fault(ScriptedFault::next("logs", Fault::WithoutUuid { count: 2 }));
    assert_eq!(ids(&ask(&okta, uri, now)).iter().filter(|id| *id == "none").count(), 2);
}

#[test]
fn a_duplicate_page_loses_nothing_for_who_follows_its_link() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    okta.push_fault(ScriptedFault { path: "logs".into(), after: 2, times: 1, fault: Fault::DuplicatePage });
    let (found, _) = chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=50", now);
    assert_eq!(found.len(), 350);
    assert_eq!(found[50..100], found[100..150]);
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 300);
}

#[test]
fn null_events_exist_for_the_record() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::hours(2);
    okta.push_fault(ScriptedFault::next("logs", Fault::Nulls { count: 3 }));
    let (found, _) = chain(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=1000", now);
    assert_eq!(found.len(), 303);
    assert_eq!(okta.events().len(), 303);
}

#[test]
fn a_slow_query_times_out_as_a_500() {
    let okta = Okta::new(OktaConfig { slow_query_events: Some(200), ..roomy() });
    let now = start() + TimeDelta::hours(2);
    let wide = "/api/v1/logs?since=2026-01-15T00:00:00.000Z&until=2026-01-15T12:00:00.000Z";
    assert_eq!(code(&ask(&okta, wide, now)), (500, "E0000009".to_owned()));
    let narrow = "/api/v1/logs?since=2026-01-15T10:00:00.000Z&until=2026-01-15T10:20:00.000Z";
    assert_eq!(ask(&okta, narrow, now).status, 200);
}

#[test]
fn random_faults_end_and_nothing_is_lost_for_who_asks_again() {
    let okta = Okta::new(roomy());
    okta.set_random_faults(Some(RandomFaults {
        seed: 3,
        rate: 0.4,
        kinds: Vec::new(),
        path: "logs".to_owned(),
    }));
    let now = start() + TimeDelta::hours(2);
    let (mut found, mut url) =
        (Vec::new(), "/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit=10".to_owned());
    let mut failed = 0;
    while found.len() < 300 {
        let answer = ask(&okta, &url, now);
        if answer.status != 200 || answer.fault.is_some() || answer.headers.contains_key("content-encoding") {
            failed += 1;
            continue;
        }
        for id in ids(&answer) {
            if !found.contains(&id) {
                found.push(id);
            }
        }
        url = link(&answer, "next").unwrap();
    }
    assert!(failed > 3, "{failed} failed");
}

#[test]
fn answers_are_compressed_for_those_who_accept_it() {
    let okta = Okta::new(roomy());
    let mut zipped = request("/api/v1/logs?since=2026-01-15T10:00:00.000Z");
    zipped.headers_mut().insert("accept-encoding", "br, gzip;q=0.9".parse().unwrap());
    let now = start() + TimeDelta::hours(2);
    let answer = okta.handle(&zipped, now);
    assert_eq!(header(&answer, "content-encoding"), "gzip");
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&answer.body[..]), &mut body).unwrap();
    assert_eq!(body, ask(&okta, "/api/v1/logs?since=2026-01-15T10:00:00.000Z", now).body);
}

#[test]
fn the_servers_clock_may_differ() {
    let okta = Okta::new(OktaConfig { clock_offset: TimeDelta::seconds(-90), ..roomy() });
    assert_eq!(header(&ask(&okta, "/api/v1/logs", start()), "date"), "Thu, 15 Jan 2026 09:58:30 GMT");
    okta.advance(TimeDelta::seconds(90));
    assert_eq!(header(&ask(&okta, "/api/v1/logs", start()), "date"), "Thu, 15 Jan 2026 10:00:00 GMT");
}

#[test]
fn the_control_api_tells_what_existed_and_takes_orders() {
    let okta = Okta::new(roomy());
    let now = start() + TimeDelta::minutes(30);
    let get = |uri: &str| -> Value {
        serde_json::from_slice(&okta.handle(&Request::get(uri).body(Bytes::new()).unwrap(), now).body)
            .unwrap()
    };
    let post = |uri: &str, body: Value| {
        okta.handle(&Request::post(uri).body(Bytes::from(body.to_string())).unwrap(), now).status.as_u16()
    };
    let totals = get("/_sim/totals");
    assert_eq!((totals["events"].as_u64(), totals["late"].as_u64()), (Some(300), Some(20)));
    let listed = get("/_sim/ids")["ids"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 300);
    let visible = listed.iter().filter(|id| id["visible"] == true).count();
    assert!(visible > 50 && visible < 250 && totals["visible"] == visible, "{visible}");
    assert_eq!(
        post(
            "/_sim/faults",
            json!({"script": [{"path": "logs", "fault": {"kind": "rate_limited", "reset_s": 5}}]})
        ),
        200
    );
    assert_eq!(ask(&okta, "/api/v1/logs", now).status, 429);
    assert_eq!(post("/_sim/faults", json!({"script": [{"fault": {"kind": "nonsense"}}]})), 400);
    assert_eq!(
        post("/_sim/tokens", json!({"revoke": ["simulated-token"], "add": [{"value": "second"}]})),
        200
    );
    assert_eq!(ask(&okta, "/api/v1/logs", now).status, 401);
    assert_eq!(post("/_sim/events", json!({"generate": 5})), 200);
    assert_eq!(get("/_sim/totals")["events"], 305);
    let line = Bytes::from_static(
        b"{\"uuid\":\"5a1f0000-0000-4000-8000-000000000009\",\"published\":\"2026-01-15T10:00:00.000Z\"}\n",
    );
    okta.handle(&Request::post("/_sim/events").body(line).unwrap(), now);
    assert_eq!(get("/_sim/totals")["events"], 306);
    assert_eq!(post("/_sim/clock", json!({"advance_s": 3600})), 200);
    assert_eq!(get("/_sim/totals")["visible"], 306);
    let log = get("/_sim/requests")["requests"].clone();
    assert_eq!(
        (log[0]["path"].as_str(), log[0]["status"].as_u64(), log[0]["auth"].as_str()),
        (Some("/api/v1/logs"), Some(429), Some("SSWS"))
    );
    assert!(!log.to_string().contains("simulated-token"), "no secrets in the log");
    assert_eq!(post("/_sim/nothing", json!({})), 404);
}

#[test]
fn links_name_the_host_that_the_client_called() {
    let okta = Okta::new(OktaConfig { base_url: None, ..roomy() });
    let called = |uri: &str, host: &str| {
        let mut request = request(uri);
        request.headers_mut().insert("host", host.parse().unwrap());
        link(&okta.handle(&request, start()), "self").unwrap()
    };
    assert_eq!(called("/api/v1/logs", "localhost:4801"), "http://localhost:4801/api/v1/logs");
    assert_eq!(called("https://acme.example.com/api/v1/logs", "x"), "https://acme.example.com/api/v1/logs");
    tidegate_simulator::Handler::set_base_url(&okta, "https://127.0.0.1:4801");
    assert_eq!(called("/api/v1/logs", "localhost:4801"), "https://localhost:4801/api/v1/logs");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    /// Whatever the seed, the page size and the moments of asking, also when every page is asked twice.
    #[test]
    fn a_chain_misses_nothing_and_repeats_nothing(
        seed in 0_u64..1_000,
        limit in 1_usize..60,
        steps in proptest::collection::vec(0_i64..400, 1..40),
    ) {
        let generate = Generate { late: 10, ..Generate::new(seed, 120, TimeDelta::hours(1)) };
        let okta = Okta::new(OktaConfig { seed, generate: Some(generate), ..roomy() });
        let mut url = format!("/api/v1/logs?since=2026-01-15T10:00:00.000Z&limit={limit}");
        let (mut found, mut now) = (Vec::new(), start());
        for step in steps.iter().chain(std::iter::repeat_n(&7_200, 130)) {
            now += TimeDelta::seconds(*step);
            let first = ids(&ask(&okta, &url, now));
            let answer = ask(&okta, &url, now);
            proptest::prop_assert_eq!(&first, &ids(&answer));
            found.extend(first);
            url = link(&answer, "next").unwrap();
        }
        let expected: Vec<String> = okta.events().into_iter().map(|event| event.id).collect();
        proptest::prop_assert_eq!(found, expected);
    }
}
