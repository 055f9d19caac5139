//! The HTTP Event Collector as its contract has it, played in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Write as _;

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request};
use serde_json::{Value, json};
use tidegate_simulator::splunk_hec::{DEFAULT_TOKEN, HecToken, SplunkHec, SplunkHecConfig, TooLarge};
use tidegate_simulator::{Answer, BodyFault, Fault, ScriptedFault};

const CHANNEL: &str = "0AEEAC95-AC74-4AA9-B30D-6C4C0ACD7C64";
const PLAIN: &str = "aaaaaaaa-0000-4000-8000-000000000000";

fn now() -> DateTime<Utc> {
    "2026-01-15T10:00:00Z".parse().unwrap()
}

fn with(config: SplunkHecConfig) -> SplunkHec {
    SplunkHec::new(config)
}

/// A collector with a token that acknowledges and one that does not.
fn collector() -> SplunkHec {
    with(SplunkHecConfig {
        tokens: vec![HecToken::new(DEFAULT_TOKEN), HecToken::without_acknowledgement(PLAIN)],
        ..SplunkHecConfig::default()
    })
}

fn request(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

fn post_at(hec: &SplunkHec, path: &str, token: &str, body: impl Into<Bytes>, at: DateTime<Utc>) -> Answer {
    let token = format!("Splunk {token}");
    let headers = [("authorization", token.as_str()), ("x-splunk-request-channel", CHANNEL)];
    hec.handle(&request(path, &headers, body), at)
}

fn post(hec: &SplunkHec, body: impl Into<Bytes>) -> Answer {
    post_at(hec, "/services/collector/event", PLAIN, body, now())
}

/// Status, code, and the named number.
fn said(answer: &Answer) -> (u16, u64, Option<u64>) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.as_u16(), body["code"].as_u64().unwrap(), body["invalid-event-number"].as_u64())
}

fn events(hec: &SplunkHec) -> Vec<String> {
    hec.stored().iter().map(|stored| String::from_utf8(stored.event.to_vec()).unwrap()).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn envelopes_are_taken_concatenated_and_as_an_array_and_kept_byte_for_byte() {
    let odd = r#"{ "n":1.50 ,"a":{} }"#;
    let one = format!(
        r#"{{"time":1768471200.100,"host":"h","source":"s","sourcetype":"t","index":"i","fields":{{"k":["a","b"],"n":1}},"event":{odd}}}"#
    );
    for body in [
        format!("{one}{{\"event\":\"text\"}}"),
        format!("{one}\n{{\"event\":\"text\"}}\n"),
        format!(" [{one} , {{\"event\":\"text\"}} ] "),
    ] {
        let hec = collector();
        assert_eq!(said(&post(&hec, body)), (200, 0, None));
        let stored = hec.stored();
        assert_eq!(events(&hec), [odd, "text"]);
        assert_eq!(stored[0].time.as_deref(), Some("1768471200.100"));
        let (host, source, sourcetype, index) =
            (&stored[0].host, &stored[0].source, &stored[0].sourcetype, &stored[0].index);
        assert_eq!(
            (host.as_str(), source.as_str(), sourcetype.as_str(), index.as_str()),
            ("h", "s", "t", "i")
        );
        assert_eq!(stored[0].fields, Some(json!({"k": ["a", "b"], "n": 1})));
        assert_eq!((stored[1].index.as_str(), &stored[1].time), ("main", &None));
    }
}

#[test]
fn objects_before_the_first_bad_one_are_in_and_nothing_behind_it() {
    for (bad, code) in [
        ("{\"host\":\"h\"}", 12),
        ("{\"event\":\"\"}", 13),
        ("{\"event\":null}", 13),
        ("{\"event\":1,\"fields\":{\"a\":{\"b\":1}}}", 15),
        ("{\"event\":1,\"time\":1.7e9}", 15),
        ("{\"event\":1,\"time\":NaN}", 6),
        ("{\"event\":", 6),
        ("nonsense", 6),
    ] {
        let hec = collector();
        let body = format!("{{\"event\":\"a\"}}{{\"event\":\"b\"}}{bad} {{\"event\":\"c\"}}");
        assert_eq!(said(&post(&hec, body)), (400, code, Some(2)), "{bad}");
        assert_eq!(events(&hec), ["a", "b"], "{bad}");
    }
    let hec = with(SplunkHecConfig {
        tokens: vec![HecToken::without_acknowledgement(PLAIN)],
        names_the_bad: false,
        ..SplunkHecConfig::default()
    });
    assert_eq!(said(&post(&hec, "{\"event\":\"a\"}{}")), (400, 12, None));
}

#[test]
fn a_wrong_index_is_named_by_the_number_behind_it() {
    let token = HecToken {
        indexes: vec!["main".to_owned(), "idp".to_owned()],
        ..HecToken::without_acknowledgement(PLAIN)
    };
    let hec = with(SplunkHecConfig { tokens: vec![token], ..SplunkHecConfig::default() });
    let body = r#"{"event":"a","index":"idp"}{"event":"b","index":"other"}{"event":"c"}"#;
    assert_eq!(said(&post(&hec, body)), (400, 7, Some(2)));
    assert_eq!(events(&hec), ["a"]);
    hec.set_tokens(vec![HecToken::without_acknowledgement(PLAIN)]);
    assert_eq!(said(&post(&hec, r#"{"event":"b","index":"other"}"#)), (200, 0, None));
}

#[test]
fn credentials_channels_paths_and_methods_are_checked() {
    let hec = collector();
    let event = "/services/collector/event";
    let disabled = HecToken { enabled: false, ..HecToken::new("off") };
    hec.set_tokens(vec![HecToken::new(DEFAULT_TOKEN), HecToken::without_acknowledgement(PLAIN), disabled]);
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("x:{PLAIN}")));
    let ours = format!("Splunk {DEFAULT_TOKEN}");
    let plain = format!("Splunk {PLAIN}");
    let header = "x-splunk-request-channel";
    for (path, headers, want) in [
        (event, vec![], (401, 2)),
        (event, vec![("authorization", "Bearer x")], (401, 3)),
        (event, vec![("authorization", "Splunk x")], (403, 4)),
        (event, vec![("authorization", "Splunk off")], (403, 1)),
        (event, vec![("authorization", basic.as_str())], (200, 0)),
        (event, vec![("authorization", ours.as_str())], (400, 10)),
        (event, vec![("authorization", ours.as_str()), (header, "nope")], (400, 11)),
        (event, vec![("authorization", ours.as_str()), (header, CHANNEL)], (200, 0)),
        (event, vec![("authorization", plain.as_str())], (200, 0)),
        ("/services/collector", vec![("authorization", plain.as_str())], (200, 0)),
        ("/services/collector/event/1.0", vec![("authorization", plain.as_str())], (200, 0)),
        ("/services/collector/event?token=x", vec![], (400, 16)),
        ("/services/collector/ack", vec![("authorization", plain.as_str())], (400, 14)),
        ("/services/collector/nope", vec![("authorization", plain.as_str())], (404, 404)),
        ("/elsewhere", vec![("authorization", plain.as_str())], (404, 404)),
    ] {
        let (status, code, _) = said(&hec.handle(&request(path, &headers, "{\"event\":1}"), now()));
        assert_eq!((status, code), want, "{path} {headers:?}");
    }
    assert_eq!(said(&post(&hec, " \n")), (400, 5, None), "no data");
    let mut get = request(event, &[("authorization", &plain)], "");
    *get.method_mut() = Method::GET;
    assert_eq!(hec.handle(&get, now()).status, 405);
    let mut health = request("/services/collector/health/1.0", &[], "");
    *health.method_mut() = Method::GET;
    assert_eq!(said(&hec.handle(&health, now())).1, 17, "without a token");
}

#[test]
fn gzip_is_taken_and_other_codings_and_large_requests_are_answered_with_pages() {
    let small = SplunkHecConfig {
        tokens: vec![HecToken::without_acknowledgement(PLAIN)],
        max_bytes: 100,
        ..SplunkHecConfig::default()
    };
    let hec = with(small.clone());
    let token = format!("Splunk {PLAIN}");
    let send = |coding: &str, body: Vec<u8>| {
        let headers = [("authorization", token.as_str()), ("content-encoding", coding)];
        hec.handle(&request("/services/collector/event", &headers, body), now())
    };
    let large = format!("{{\"event\":\"{}\"}}", "x".repeat(100));
    assert_eq!(said(&send("gzip", gzip("{\"event\":\"a\"}"))), (200, 0, None));
    for (answer, status) in [
        (send("deflate", Vec::new()), 415),
        (send("gzip", gzip(&large)), 413),
        (post(&hec, large.clone()), 413),
    ] {
        assert_eq!(answer.status, status);
        assert!(answer.body.starts_with(b"<html>"), "{status}");
    }
    assert_eq!(said(&send("gzip", b"no gzip".to_vec())), (400, 6, None));
    let hec = with(SplunkHecConfig { too_large: TooLarge::FirstObject, ..small });
    assert_eq!(said(&post(&hec, large)), (400, 6, Some(0)), "as if its first object were bad");
    assert!(hec.stored().is_empty());
}

#[test]
fn lines_take_their_metadata_from_the_query() {
    let hec = collector();
    let path = "/services/collector/raw?host=h&source=s&sourcetype=t&index=i";
    assert_eq!(said(&post_at(&hec, path, PLAIN, "one\n\ntwo\n", now())), (200, 0, None));
    assert_eq!(events(&hec), ["one", "two"]);
    let stored = &hec.stored()[1];
    assert_eq!((stored.host.as_str(), stored.sourcetype.as_str(), stored.index.as_str()), ("h", "t", "i"));
}

fn ack_id(answer: &Answer) -> u64 {
    serde_json::from_slice::<Value>(&answer.body).unwrap()["ackId"].as_u64().unwrap()
}

fn ask(hec: &SplunkHec, ids: &[u64], after: TimeDelta) -> Value {
    let body = json!({"acks": ids}).to_string();
    let answer = post_at(hec, "/services/collector/ack", DEFAULT_TOKEN, body, now() + after);
    serde_json::from_slice::<Value>(&answer.body).unwrap()["acks"].clone()
}

fn send(hec: &SplunkHec) -> Answer {
    post_at(hec, "/services/collector/event", DEFAULT_TOKEN, "{\"event\":1}", now())
}

#[test]
fn true_is_told_once_and_only_after_its_time() {
    let hec = collector();
    assert_eq!((ack_id(&send(&hec)), ack_id(&send(&hec))), (0, 1));
    assert_eq!(ask(&hec, &[0, 1, 99], TimeDelta::zero()), json!({"0": false, "1": false, "99": false}));
    assert_eq!(ask(&hec, &[0], TimeDelta::seconds(1)), json!({"0": true}));
    assert_eq!(
        ask(&hec, &[0, 1], TimeDelta::seconds(2)),
        json!({"0": false, "1": true}),
        "forgotten once told"
    );
    assert_eq!(hec.unacknowledged(), 0);
    hec.set_never_acknowledges(true);
    let id = ack_id(&send(&hec));
    assert_eq!(ask(&hec, &[id], TimeDelta::hours(1))[id.to_string()], false);
    hec.set_never_acknowledges(false);
    hec.restart();
    assert_eq!(ask(&hec, &[id], TimeDelta::hours(1))[id.to_string()], false, "a restart forgets");
    assert_eq!(ack_id(&send(&hec)), 0, "and counts from the beginning");
    let large = with(SplunkHecConfig { first_ack_id: u64::MAX - 1, ..SplunkHecConfig::default() });
    assert_eq!((ack_id(&send(&large)), ack_id(&send(&large))), (u64::MAX - 1, u64::MAX));
}

#[test]
fn without_the_cookie_another_indexer_answers() {
    let hec = with(SplunkHecConfig { indexers: 2, ..SplunkHecConfig::default() });
    let first = send(&hec);
    let cookie = first.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!((ack_id(&first), ack_id(&send(&hec))), (0, 0), "each counts for itself");
    let body = json!({"acks": [0]}).to_string();
    let token = format!("Splunk {DEFAULT_TOKEN}");
    let late = now() + TimeDelta::seconds(5);
    let mut headers = vec![
        ("authorization", token.as_str()),
        ("x-splunk-request-channel", CHANNEL),
        ("cookie", cookie.as_str()),
    ];
    let path = "/services/collector/ack";
    let told = |answer: Answer| serde_json::from_slice::<Value>(&answer.body).unwrap()["acks"]["0"].clone();
    assert_eq!(told(hec.handle(&request(path, &headers, body.clone()), late)), true);
    assert_eq!(told(hec.handle(&request(path, &headers, body.clone()), late)), false, "told already");
    headers.pop();
    hec.handle(&request(path, &headers, body.clone()), late);
    assert_eq!(told(hec.handle(&request(path, &headers, body), late)), true, "by its turn the other one");
}

#[test]
fn codes_come_on_demand_and_a_dropped_connection_has_stored() {
    let hec = collector();
    for (fault, want) in [
        (Fault::Unavailable, (503, 9)),
        (Fault::ServerError, (500, 8)),
        (Fault::RateLimited { reset_s: 0, retry_after_s: Some(7), duplicate_reset: false }, (429, 26)),
        (Fault::Concurrency { reset_s: 0 }, (429, 27)),
        (Fault::Forbidden, (403, 4)),
        (Fault::Refused { status: 503, reason: "23".to_owned() }, (503, 23)),
    ] {
        hec.push_fault(ScriptedFault::next("event", fault));
        let (status, code, _) = said(&post(&hec, "{\"event\":1}"));
        assert_eq!((status, code), want);
    }
    assert!(hec.stored().is_empty(), "refused requests store nothing");
    hec.push_fault(ScriptedFault::next("event", Fault::DropBeforeAnswer));
    assert_eq!(post(&hec, "{\"event\":1}").fault, Some(BodyFault::DropBeforeAnswer));
    assert_eq!(hec.stored().len(), 1);
    hec.set_capacity_code(Some(24));
    assert_eq!(said(&post(&hec, "{\"event\":2}")), (200, 24, None));
    assert_eq!(hec.stored().len(), 2);
}

#[test]
fn what_is_stored_and_counted_is_told_and_no_token_is() {
    let hec = collector();
    post(&hec, "{\"event\":{\"a\":1},\"index\":\"i\"}{\"event\":\"text\"}{}");
    let get = |path: &str| {
        let mut request = request(path, &[], "");
        *request.method_mut() = Method::GET;
        String::from_utf8(hec.handle(&request, now()).body.to_vec()).unwrap()
    };
    let lines: Vec<Value> =
        get("/_sim/documents").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["event"], &lines[0]["index"], &lines[1]["event"]),
        (&json!({"a": 1}), &json!("i"), &json!("text"))
    );
    let totals: Value = serde_json::from_str(&get("/_sim/totals")).unwrap();
    assert_eq!(
        (&totals["stored"], &totals["indexes"]["i"], &totals["refused"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let requests = get("/_sim/requests");
    assert!(requests.contains("\"auth\":\"Splunk\""), "{requests}");
    assert!(!format!("{requests}{totals}{hec:?}").contains(PLAIN));
    let order = json!({"tokens": [{"value": "new"}]}).to_string();
    assert_eq!(hec.handle(&request("/_sim/tokens", &[], order), now()).status, 200);
    assert_eq!(said(&post(&hec, "{\"event\":1}")), (403, 4, None));
    let faults = json!({"never_acknowledges": true, "capacity_code": 25}).to_string();
    assert_eq!(hec.handle(&request("/_sim/faults", &[], faults), now()).status, 200);
    assert_eq!(
        said(&post_at(&hec, "/services/collector/event", "new", "{\"event\":1}", now())),
        (200, 25, None)
    );
}
