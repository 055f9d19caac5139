//! Collection from a scripted Okta. The stand-in at the end verifies assertions and proofs with another library.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::{Client, HttpSettings};
use tidegate_core::source::Cursor;
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::source::{Vendor, conforms};

const ORG: &str = "https://acme.example.com";

/// Cargo sets it for tests: the one variable that is surely there.
const TOKEN_VARIABLE: &str = "env:CARGO_PKG_DESCRIPTION";
const TOKEN: &str = env!("CARGO_PKG_DESCRIPTION");

fn system_log() -> &'static Stream {
    STREAMS.first().unwrap()
}

fn key_file(name: &str) -> String {
    format!("file:{}/src/okta/testkeys/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn table(value: Json) -> Map<String, Json> {
    value.as_object().unwrap().clone()
}

fn open(http: Client, value: Json) -> Result<Arc<dyn Source>, SettingsError> {
    let settings =
        Settings { tenant: "acme".to_owned(), source: "okta".to_owned(), table: table(value), http };
    Okta.open(settings)
}

fn with_token(http: Client) -> Arc<dyn Source> {
    open(http, json!({ "url": ORG, "auth": { "token": TOKEN_VARIABLE } })).unwrap()
}

fn from_start() -> Place {
    Place::Feed { cursor: None, since: DateTime::from_timestamp_millis(1_779_990_000_120).unwrap() }
}

fn after(link: &str) -> Place {
    let Place::Feed { since, .. } = from_start() else { unreachable!() };
    Place::Feed { cursor: Some(Cursor(link.as_bytes().to_vec())), since }
}

fn link(query: &str) -> String {
    format!("{ORG}/api/v1/logs?{query}")
}

fn page(records: usize, next: &str) -> Reply {
    let records: Vec<_> =
        (0..records).map(|n| json!({ "uuid": format!("00000000-0000-4000-8000-{n:012}") })).collect();
    Reply::json(200, serde_json::to_string_pretty(&records).unwrap())
        .header("link", &format!("<{}>; rel=\"self\"", link("self=1")))
        .header("link", &format!("<{next}>; rel=\"next\""))
}

fn refusal(status: u16, code: &str, words: &str) -> Reply {
    let body = json!({ "errorCode": code, "errorSummary": words, "errorId": "oae1", "errorCauses": [{ "errorSummary": words }] });
    Reply::json(status, body.to_string()).header("x-okta-request-id", "Zq3-req_1")
}

fn limits(reply: Reply, limit: u32, remaining: u32, reset: i64) -> Reply {
    reply
        .header("x-rate-limit-limit", &limit.to_string())
        .header("x-rate-limit-remaining", &remaining.to_string())
        .header("x-rate-limit-reset", &reset.to_string())
}

fn halted(error: &PollError) -> &Fault {
    assert!(matches!(error, PollError::Halt { .. }), "{error:?}");
    error.cause()
}

// The suite, once with each kind of credential.

struct WithToken;

impl Vendor for WithToken {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        with_token(http)
    }
    fn stream(&self) -> &'static Stream {
        system_log()
    }
    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
    fn full(&self) -> usize {
        1000
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        page(records, &link(&format!("after={place}&limit=1000")))
    }
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply> {
        Some(page(1, &request.uri().to_string()))
    }
    fn foreign(&self) -> Option<Reply> {
        Some(page(1, "https://evil.example.net/api/v1/logs?after=1"))
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        refusal(status, "E0000001", words)
    }
    fn limited(&self, now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        let reply = refusal(429, "E0000047", "limit");
        match seconds {
            Some(seconds) => limits(reply, 60, 0, now.timestamp() + i64::try_from(seconds).unwrap()),
            None => reply,
        }
    }
    fn crowded(&self, now: DateTime<Utc>, seconds: u64) -> Option<Reply> {
        let reply = refusal(429, "E0000047", "limit");
        Some(limits(reply, 0, 0, now.timestamp() + i64::try_from(seconds).unwrap()))
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_with_an_api_token() {
    conforms(&WithToken).await;
}

struct WithApp;

impl Vendor for WithApp {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        open(http, app(json!({}))).unwrap()
    }
    fn prepare(&self, script: &Script) {
        script.aside(|request, _| {
            let body = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"tok.SECRET","scope":"okta.logs.read"}"#;
            request.uri().path().ends_with("/token").then(|| Reply::json(200, body))
        });
    }
    fn secrets(&self) -> Vec<String> {
        vec!["tok.SECRET".to_owned()]
    }
    fn stream(&self) -> &'static Stream {
        WithToken.stream()
    }
    fn full(&self) -> usize {
        WithToken.full()
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        WithToken.page(records, place)
    }
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply> {
        WithToken.looping(request)
    }
    fn foreign(&self) -> Option<Reply> {
        WithToken.foreign()
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        WithToken.refusal(status, words)
    }
    fn limited(&self, now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        WithToken.limited(now, seconds)
    }
    fn crowded(&self, now: DateTime<Utc>, seconds: u64) -> Option<Reply> {
        WithToken.crowded(now, seconds)
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_with_a_service_app() {
    conforms(&WithApp).await;
}

// Requests and links.

#[tokio::test(start_paused = true)]
async fn begins_a_polling_chain_and_follows_its_links_byte_for_byte() {
    let script = Script::start();
    let source = open(
        script.client(),
        json!({ "url": ORG, "auth": { "token": TOKEN_VARIABLE }, "filter": "eventType eq \"user.session.start\"" }),
    )
    .unwrap();
    let odd = link("after=1779,%2C;x&limit=1000&filter=eventType%20eq%20%22a%22");
    script.push(page(1, &odd));
    let first = source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(first.next.as_ref().unwrap().0, odd.as_bytes());
    script.push(page(0, &link("after=2")));
    source.poll(system_log(), &after(&odd)).await.unwrap();
    assert_eq!(
        script.asked(),
        [
            link(
                "since=2026-05-28T17%3A40%3A00.120Z&sortOrder=ASCENDING&limit=1000&\
             filter=eventType%20eq%20%22user.session.start%22"
            ),
            odd
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn sends_the_token_and_says_who_asks() {
    let script = Script::start();
    script.push(page(0, &link("after=1")));
    with_token(script.client()).poll(system_log(), &from_start()).await.unwrap();
    let request = script.requests().pop().unwrap();
    assert_eq!(request.headers()["authorization"], format!("SSWS {TOKEN}"));
    assert_eq!(request.headers()["accept"], "application/json");
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("tidegate/"));
}

#[tokio::test(start_paused = true)]
async fn since_is_never_older_than_okta_accepts() {
    let script = Script::start();
    script.push(page(0, &link("after=1")));
    let place = Place::Feed { cursor: None, since: DateTime::from_timestamp(0, 0).unwrap() };
    with_token(script.client()).poll(system_log(), &place).await.unwrap();
    let oldest = (script.clock().now() - TimeDelta::days(179)).format("since=%Y-%m-%dT").to_string();
    assert!(script.asked().pop().unwrap().contains(&oldest));
}

#[tokio::test(start_paused = true)]
async fn a_refused_link_restarts_and_a_refused_query_halts() {
    let script = Script::start();
    let source = with_token(script.client());
    for code in ["E0000001", "E0000053", "E0000030"] {
        script.push(refusal(400, code, "bad"));
        let error = source.poll(system_log(), &after(&link("after=9"))).await.unwrap_err();
        assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
        assert_eq!(
            error.cause().to_string(),
            format!("okta refused the stored link: bad; bad (400 {code}, request Zq3-req_1)")
        );
        script.push(refusal(400, code, "bad"));
        let error = source.poll(system_log(), &from_start()).await.unwrap_err();
        assert_eq!(halted(&error).kind, FaultKind::Configuration);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_next_link_is_no_silent_end() {
    let script = Script::start();
    script.push(page(1, "x").without("link"));
    let error = with_token(script.client()).poll(system_log(), &from_start()).await.unwrap_err();
    assert!(
        matches!(error, PollError::Retry { .. }) && error.to_string().contains("rel=\"next\""),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn fullness_is_measured_by_the_links_own_limit() {
    let script = Script::start();
    let source = with_token(script.client());
    for (asked, records, more) in
        [("limit=100", 100, true), ("limit=100", 99, false), ("after=1", 100, true), ("limit=0", 0, false)]
    {
        script.push(page(records, &link("after=2")));
        let page = source.poll(system_log(), &after(&link(asked))).await.unwrap();
        assert_eq!(page.wait.is_zero(), more, "{asked} {records}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_token_in_the_file_is_used_within_the_same_poll() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "old\n").unwrap();
    let script = Script::start();
    let auth = json!({ "token": format!("file:{}", path.display()) });
    let source = open(script.client(), json!({ "url": ORG, "auth": auth })).unwrap();
    script.push(page(0, &link("after=1")));
    source.poll(system_log(), &from_start()).await.unwrap();
    std::fs::write(&path, "new\n").unwrap();
    script.push(refusal(401, "E0000011", "Invalid token provided"));
    script.push(page(0, &link("after=1")));
    source.poll(system_log(), &from_start()).await.unwrap();
    let used: Vec<_> = script.requests().iter().map(|r| r.headers()["authorization"].clone()).collect();
    assert_eq!(used, ["SSWS old", "SSWS old", "SSWS new"]);
    script.push(refusal(401, "E0000011", "Invalid token provided"));
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    let fault = halted(&error);
    assert_eq!(fault.to_string(), "okta refused the credential (401 E0000011, request Zq3-req_1)");
    let remedy = fault.remedy.clone().unwrap();
    assert!(
        remedy.contains(&format!("Fix: new API token in {}", path.display()))
            && remedy.contains("no restart"),
        "{remedy}"
    );
    assert!(remedy.contains("30 unused days"), "{remedy}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_halts_until_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let script = Script::start();
    let auth = json!({ "token": format!("file:{}", path.display()) });
    let source = open(script.client(), json!({ "url": ORG, "auth": auth })).unwrap();
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
    std::fs::write(&path, "here").unwrap();
    script.push(page(0, &link("after=1")));
    source.poll(system_log(), &from_start()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_could_not_be_used_is_read_again_and_collection_goes_on_without_a_restart() {
    let good = |name: &str| {
        std::fs::read(format!("{}/src/okta/testkeys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let pss = String::from_utf8(good("rsa.jwk")).unwrap().replace("RS256", "PS256");
    let grant = || {
        let body = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 3600 });
        Reply::json(200, body.to_string())
    };
    for (name, more, bad, mended) in [
        ("token", json!({}), b"two\nlines".to_vec(), b"00new".to_vec()),
        ("private_key", json!({ "client_id": "0oa1" }), good("encrypted.pem"), good("rsa-pkcs8.pem")),
        ("private_key", json!({ "client_id": "0oa1" }), b"no key".to_vec(), good("ec-pkcs8.pem")),
        ("private_key", json!({ "client_id": "0oa1" }), pss.into_bytes(), good("rsa.jwk")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bad).unwrap();
        let mut auth = more;
        auth[name] = format!("file:{}", path.display()).into();
        let script = Script::start();
        script.aside(move |request, _| (request.method() == "POST").then(grant));
        let source = open(script.client(), json!({ "url": ORG, "auth": auth })).unwrap();
        let error = source.poll(system_log(), &from_start()).await.unwrap_err();
        assert_eq!(halted(&error).kind, FaultKind::Credential, "{name}");
        std::fs::write(&path, mended).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        script.push(page(0, &link("after=1")));
        source.poll(system_log(), &from_start()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_named_and_not_followed() {
    let script = Script::start();
    script.push(Reply::json(302, "").header("location", "https://acme.okta.example.net/login?x=1"));
    let error = with_token(script.client()).poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(
        halted(&error).to_string(),
        "https://acme.example.com redirects to https://acme.okta.example.net (302)"
    );
}

#[tokio::test(start_paused = true)]
async fn check_says_what_works() {
    let script = Script::start();
    let findings = with_token(script.client()).check().await;
    assert_eq!(
        findings.lines,
        ["https://acme.example.com: the API token can be read; okta judges it with the stream below"]
    );
    assert!(findings.faults.is_empty() && script.requests().is_empty(), "no endpoint tells of a token alone");

    let missing = json!({ "url": ORG, "auth": { "token": "file:/nowhere/token" } });
    let findings = open(script.client(), missing).unwrap().check().await;
    let fault = findings.faults.first().unwrap();
    assert!(fault.kind == FaultKind::Credential && fault.remedy.is_some(), "{fault:?}");
}

// Traps that others fell into.

#[tokio::test(start_paused = true)]
async fn trap_01_links_are_parsed_by_the_standard_and_pages_are_large() {
    let script = Script::start();
    let next = link("after=1,2&filter=a%20eq%20%22b,c%22");
    let merged = format!("<{}>; rel=\"self\", <{next}>; rel=\"next\"", link("x=1,2"));
    script.push(page(0, "x").without("link").header("link", &merged));
    let page = with_token(script.client()).poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(page.next.unwrap().0, next.as_bytes());
    assert!(script.asked().pop().unwrap().contains("limit=1000"));
}

#[tokio::test(start_paused = true)]
async fn trap_02_the_wait_is_reset_minus_date_whatever_our_clock_says() {
    let script = Script::start();
    for wrong in [-7200, 0, 7200] {
        let source = with_token(script.client_with(HttpSettings::default(), TimeDelta::seconds(wrong)));
        let reset = script.clock().now().timestamp() + 30;
        script.push(limits(refusal(429, "E0000047", "x"), 60, 0, reset));
        let error = source.poll(system_log(), &from_start()).await.unwrap_err();
        let PollError::Retry { after, .. } = error else { panic!("{error:?}") };
        assert_eq!(after, Some(Duration::from_secs(31)));
    }
}

#[tokio::test(start_paused = true)]
async fn trap_03_remaining_is_honoured_before_the_refusal() {
    let script = Script::start();
    let client = script.client();
    let reset = script.clock().now().timestamp() + 30;
    script.push(limits(page(1000, &link("after=1")), 60, 5, reset));
    with_token(client.clone()).poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(client.ready(client.clock().now()), Some(Duration::from_secs(31)));
}

#[tokio::test(start_paused = true)]
async fn trap_04_a_missing_limit_header_stops_nothing() {
    let script = Script::start();
    let client = script.client();
    let source = with_token(client.clone());
    for name in ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"] {
        script.push(limits(page(1, &link("after=1")), 60, 59, 0).without(name));
        source.poll(system_log(), &from_start()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn trap_05_there_is_no_window_that_a_burst_could_trap() {
    let script = Script::start();
    let source = with_token(script.client());
    let mut place = from_start();
    for n in 0..20 {
        script.push(page(1000, &link(&format!("after={n}&limit=1000"))));
        let page = source.poll(system_log(), &place).await.unwrap();
        assert!(page.wait.is_zero());
        place = Place::Feed { cursor: page.next, since: DateTime::from_timestamp(0, 0).unwrap() };
    }
    assert!(script.asked().iter().all(|asked| !asked.contains("until")));
}

#[tokio::test(start_paused = true)]
async fn trap_06_bursts_are_spread_over_the_minute() {
    let script = Script::start();
    let client = script.client();
    let source = with_token(client.clone());
    let start = script.clock().now();
    for n in 0..31 {
        while let Some(wait) = client.ready(client.clock().now()) {
            tokio::time::sleep(wait).await;
        }
        script.push(limits(
            page(1000, &link(&format!("after={n}&limit=1000"))),
            60,
            50,
            start.timestamp() + 60,
        ));
        source.poll(system_log(), &from_start()).await.unwrap();
    }
    assert!(script.clock().now() - start >= TimeDelta::seconds(60), "30 requests a minute, not 31");
}

#[tokio::test(start_paused = true)]
async fn trap_09_next_never_disappears_and_the_drain_still_ends() {
    let script = Script::start();
    let source = with_token(script.client());
    let mut place = from_start();
    for (polls, records) in [1000, 1000, 7].into_iter().enumerate() {
        script.push(page(records, &link(&format!("after={polls}&limit=1000"))));
        let page = source.poll(system_log(), &place).await.unwrap();
        assert_eq!(page.wait.is_zero(), records == 1000);
        place = Place::Feed { cursor: page.next, since: DateTime::from_timestamp(0, 0).unwrap() };
    }
    // An empty page may come with the very link that it was asked by.
    let same = link("after=2&limit=1000");
    script.push(page(0, &same));
    let quiet = source.poll(system_log(), &after(&same)).await.unwrap();
    assert_eq!((quiet.next.unwrap().0, quiet.wait), (same.clone().into_bytes(), system_log().poll));
    script.push(page(1, &same));
    let error = source.poll(system_log(), &after(&same)).await.unwrap_err();
    // An error, and one that may pass: the same place is asked again, more and more slowly.
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
    assert_eq!(error.cause().kind, FaultKind::Cursor);
}

#[tokio::test(start_paused = true)]
async fn trap_11_the_status_decides_and_not_the_code() {
    let script = Script::start();
    let source = with_token(script.client());
    script.push(refusal(500, "E0000053", "internal"));
    let error = source.poll(system_log(), &after(&link("after=1"))).await.unwrap_err();
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
    script.push(refusal(500, "E0000009", "query time-out"));
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_15_a_refusal_in_the_middle_of_a_drain_costs_one_page_and_not_the_drain() {
    let script = Script::start();
    let source = with_token(script.client());
    let middle = after(&link("after=7&limit=1000"));
    script.push(limits(refusal(429, "E0000047", "x"), 60, 0, script.clock().now().timestamp() + 20));
    let error = source.poll(system_log(), &middle).await.unwrap_err();
    let PollError::Retry { after: Some(wait), .. } = error else { panic!("{error:?}") };
    tokio::time::sleep(wait).await;
    script.push(page(1, &link("after=8&limit=1000")));
    source.poll(system_log(), &middle).await.unwrap();
    let asked = script.asked();
    assert_eq!((asked.len(), asked.first()), (2, asked.last()));
}

#[tokio::test(start_paused = true)]
async fn trap_17_times_carry_milliseconds_and_z() {
    let script = Script::start();
    script.push(page(0, &link("after=1")));
    let place = Place::Feed { cursor: None, since: DateTime::from_timestamp(1_779_990_000, 0).unwrap() };
    with_token(script.client()).poll(system_log(), &place).await.unwrap();
    assert!(script.asked().pop().unwrap().contains("since=2026-05-28T17%3A40%3A00.000Z&"));
}

#[tokio::test(start_paused = true)]
async fn c31_a_concurrency_refusal_is_asked_again_soon_and_changes_no_budget() {
    for reset in [180, -180] {
        let script = Script::start();
        let client = script.client();
        let source = with_token(client.clone());
        let now = script.clock().now().timestamp();
        script.push(limits(page(1000, &link("after=1&limit=1000")), 60, 59, now + 60));
        assert_eq!(client.ready(client.clock().now()), None);
        source.poll(system_log(), &from_start()).await.unwrap();
        tokio::time::sleep(client.ready(client.clock().now()).unwrap()).await;
        assert_eq!(client.ready(client.clock().now()), None);
        script.push(limits(refusal(429, "E0000047", "x"), 0, 0, now + reset));
        let refused = client.clock().now();
        let error = source.poll(system_log(), &after(&link("after=1&limit=1000"))).await.unwrap_err();
        let PollError::Retry { after: Some(wait), cause } = error else { panic!("{error:?}") };
        assert_eq!((wait, cause.kind), (Duration::from_secs(1), FaultKind::Concurrency));
        tokio::time::sleep(wait).await;
        while let Some(wait) = client.ready(client.clock().now()) {
            tokio::time::sleep(wait).await;
        }
        let waited = (client.clock().now() - refused).num_milliseconds();
        assert!((1000..=2100).contains(&waited), "{waited}");
        script.push(limits(page(1, &link("after=2&limit=1000")), 60, 58, now + 30));
        source.poll(system_log(), &after(&link("after=1&limit=1000"))).await.unwrap();
        let asked = script.asked();
        assert_eq!(asked.get(1), asked.get(2));
        let status = client.quota().unwrap().status(client.clock().now());
        assert_eq!(
            (status.limit, status.counters.concurrency_refusals, status.counters.refused_429),
            (60, 1, 0)
        );
    }
}

// Service apps, against a stand-in that verifies.

fn app(more: Json) -> Json {
    let mut auth = json!({ "client_id": "0oaCLIENT", "private_key": key_file("rsa-pkcs8.pem") });
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "url": ORG, "auth": auth })
}

/// An organisation with one service app. It checks everything that Okta checks, and in Okta's order.
#[derive(Default)]
struct Org {
    demands_dpop: bool,
    nonce: Option<&'static str>,
    public_key: &'static str,
    seen: HashSet<String>,
    tokens: HashMap<String, Option<String>>,
    /// What became of each token call, such as `200` or `use_dpop_nonce`.
    calls: Vec<String>,
    kids: Vec<Option<String>>,
    granted: usize,
    fail_token_calls: bool,
}

fn part(token: &str, n: usize) -> Json {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

fn verified(token: &str, key: &jsonwebtoken::DecodingKey) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let algorithm = serde_json::from_value(part(token, 0)["alg"].clone()).unwrap();
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap()
}

impl Org {
    fn start(script: &Script, org: Self) -> Arc<Mutex<Self>> {
        let org = Arc::new(Mutex::new(org));
        let shared = Arc::clone(&org);
        script.answer(move |request, now| {
            let mut org = shared.lock().unwrap();
            Ok(if request.method() == "POST" {
                let reply = org.token(request, now.timestamp());
                let error = serde_json::from_slice::<Json>(&reply.chunks[0].1).unwrap()["error"].clone();
                let outcome = error.as_str().map_or_else(|| reply.status.as_str().to_owned(), str::to_owned);
                org.calls.push(outcome);
                reply
            } else {
                org.logs(request, now.timestamp())
            })
        });
        org
    }

    /// The key's thumbprint, or what is wrong with the proof.
    fn proof(
        &mut self,
        request: &Request<Bytes>,
        now: i64,
        ath: Option<&str>,
    ) -> Result<String, &'static str> {
        let proof = request.headers().get("dpop").ok_or("invalid_dpop_proof")?.to_str().unwrap();
        let (header, claims) = (part(proof, 0), part(proof, 1));
        let jwk = &header["jwk"];
        assert!(jwk["d"].is_null(), "the private key travels");
        let key = jsonwebtoken::DecodingKey::from_ec_components(
            jwk["x"].as_str().unwrap(),
            jwk["y"].as_str().unwrap(),
        )
        .unwrap();
        let htu = request.uri().to_string();
        let htu = htu.split('?').next().unwrap();
        let good = header["typ"] == "dpop+jwt"
            && verified(proof, &key)
            && claims["htm"] == request.method().as_str()
            && claims["htu"] == htu
            && (claims["iat"].as_i64().unwrap() - now).abs() <= 300
            && self.seen.insert(claims["jti"].as_str().unwrap().to_owned())
            && claims["ath"].as_str() == ath;
        if !good {
            return Err("invalid_dpop_proof");
        }
        if request.method() == "POST" && claims["nonce"].as_str() != self.nonce {
            return Err("use_dpop_nonce");
        }
        Ok(jwk.to_string())
    }

    fn token(&mut self, request: &Request<Bytes>, now: i64) -> Reply {
        let deny = |status, error: &str| Reply::json(status, json!({ "error": error }).to_string());
        if self.fail_token_calls {
            return deny(500, "server_error");
        }
        let form: HashMap<_, _> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        assert_eq!(
            (form["grant_type"].as_str(), form["scope"].as_str()),
            ("client_credentials", "okta.logs.read")
        );
        if let Some(assertion) = form.get("client_assertion") {
            let pem = std::fs::read(key_file(self.public_key).strip_prefix("file:").unwrap()).unwrap();
            let key = if self.public_key.starts_with("rsa") {
                jsonwebtoken::DecodingKey::from_rsa_pem(&pem).unwrap()
            } else {
                jsonwebtoken::DecodingKey::from_ec_pem(&pem).unwrap()
            };
            let claims = part(assertion, 1);
            self.kids.push(part(assertion, 0)["kid"].as_str().map(str::to_owned));
            let exp = claims["exp"].as_i64().unwrap();
            let good = verified(assertion, &key)
                && claims["iss"] == "0oaCLIENT"
                && claims["sub"] == "0oaCLIENT"
                && claims["aud"] == format!("{ORG}/oauth2/v1/token")
                && exp > now
                && exp - now < 3600
                && claims["iat"].as_i64().is_none_or(|iat| iat <= now)
                && self.seen.insert(claims["jti"].as_str().unwrap().to_owned());
            if !good {
                return deny(401, "invalid_client");
            }
        } else if request
            .headers()
            .get("authorization")
            .is_none_or(|value| value != "Basic MG9hQ0xJRU5UOlRpZGVnYXRlOiBvbmUgZm9sZGVyIGEgdmVuZG9y")
        {
            return deny(401, "invalid_client");
        }
        let mut bound = None;
        if self.demands_dpop || request.headers().contains_key("dpop") {
            match self.proof(request, now, None) {
                Ok(thumbprint) => bound = Some(thumbprint),
                Err("use_dpop_nonce") => {
                    return deny(400, "use_dpop_nonce").header("dpop-nonce", self.nonce.unwrap_or("none"));
                }
                Err(error) => return deny(400, error),
            }
        }
        self.granted += 1;
        let token = format!("access-{}", self.granted);
        let kind = if bound.is_some() { "DPoP" } else { "Bearer" };
        self.tokens.insert(token.clone(), bound);
        Reply::json(
            200,
            json!({ "access_token": token, "token_type": kind, "expires_in": 3600, "scope": "okta.logs.read" }).to_string(),
        )
    }

    fn logs(&mut self, request: &Request<Bytes>, now: i64) -> Reply {
        let denied = refusal(401, "E0000011", "Invalid token provided");
        let header = request.headers()["authorization"].to_str().unwrap().to_owned();
        let (scheme, token) = header.split_once(' ').unwrap();
        let Some(bound) = self.tokens.get(token).cloned() else { return denied };
        match bound {
            None if scheme == "Bearer" => {}
            Some(thumbprint) if scheme == "DPoP" => {
                use sha2::Digest as _;
                let ath = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(token));
                if self.proof(request, now, Some(&ath)).as_deref() != Ok(thumbprint.as_str()) {
                    return denied.header("www-authenticate", "DPoP error=\"invalid_dpop_proof\"");
                }
            }
            _ => return denied,
        }
        page(0, &link("after=1"))
    }
}

async fn polls(script: &Script, client: Client, auth: Json, times: usize) -> Arc<dyn Source> {
    let source = open(client, app(auth)).unwrap();
    for _ in 0..times {
        source.poll(system_log(), &from_start()).await.unwrap();
    }
    let _seen = script.requests();
    source
}

fn rsa() -> Org {
    Org { public_key: "rsa-public.pem", ..Org::default() }
}

#[tokio::test(start_paused = true)]
async fn every_form_of_key_signs_what_another_library_verifies() {
    for (private, public, kid) in [
        ("rsa-pkcs8.pem", "rsa-public.pem", None),
        ("rsa-pkcs1.pem", "rsa-public.pem", None),
        ("rsa.jwk", "rsa-public.pem", Some("jwk-rsa")),
        ("ec-pkcs8.pem", "ec-public.pem", None),
        ("ec-sec1.pem", "ec-public.pem", None),
        ("ec.jwk", "ec-public.pem", Some("jwk-ec")),
        ("ec384-sec1.pem", "ec384-public.pem", None),
    ] {
        let script = Script::start();
        let org = Org::start(&script, Org { public_key: public, ..Org::default() });
        polls(&script, script.client(), json!({ "private_key": key_file(private) }), 2).await;
        let org = org.lock().unwrap();
        assert_eq!(org.calls, ["200"], "{private}");
        assert_eq!(org.kids, [kid.map(str::to_owned)]);
    }
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    use crate::key::{Key, KeyError};
    let read = |name: &str| {
        let path = key_file(name);
        Key::read(&std::fs::read(path.strip_prefix("file:").unwrap()).unwrap()).unwrap_err()
    };
    assert_eq!(read("rsa-public.pem"), KeyError::Public);
    assert_eq!(read("encrypted.pem"), KeyError::Encrypted);
    assert_eq!(read("ec-sec1-bare.pem"), KeyError::NoPublicPart);
    assert_eq!(read("ec-pkcs8-bare.pem"), KeyError::NoPublicPart);
    assert_eq!(read("ec521-sec1.pem"), KeyError::Unusable);
    assert_eq!(read("ed25519.pem"), KeyError::Unusable);
    for (text, error) in [
        ("", KeyError::NotAKey),
        ("hunter2", KeyError::NotAKey),
        ("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----", KeyError::NotAKey),
        ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", KeyError::NotAKey),
        ("{}", KeyError::NotAKey),
        (r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#, KeyError::Public),
        (r#"{"kty":"RSA","d":"AQ"}"#, KeyError::NoPublicPart),
        (r#"{"kty":"RSA","alg":"PS384","d":"AQ"}"#, KeyError::Algorithm),
        (r#"{"kty":"OKP","crv":"Ed25519","d":"AQ"}"#, KeyError::Unusable),
    ] {
        assert_eq!(Key::read(text.as_bytes()).unwrap_err(), error, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_18_one_token_serves_until_four_fifths_of_its_life() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let source = polls(&script, script.client(), json!({}), 5).await;
    assert_eq!(org.lock().unwrap().calls, ["200"]);
    tokio::time::sleep(Duration::from_secs(2870)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().granted, 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().granted, 2);
}

#[tokio::test(start_paused = true)]
async fn many_polls_at_once_ask_for_one_token() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let source = open(script.client(), app(json!({}))).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let source = Arc::clone(&source);
        tasks.spawn(async move { source.poll(system_log(), &from_start()).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.len(), 8);
    assert_eq!(org.lock().unwrap().granted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let source = polls(&script, script.client(), json!({}), 1).await;
    org.lock().unwrap().tokens.clear();
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().granted, 2);
    for _ in 0..2 {
        script.push(refusal(401, "E0000011", "x"));
    }
    // The queue answers the first API call, the token call, and so on: a 401 of the token endpoint is final.
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
}

#[tokio::test(start_paused = true)]
async fn a_failing_token_endpoint_does_not_stop_a_token_that_is_still_good() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let source = polls(&script, script.client(), json!({}), 1).await;
    org.lock().unwrap().fail_token_calls = true;
    tokio::time::sleep(Duration::from_secs(3000)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().calls, ["200", "server_error"]);
    tokio::time::sleep(Duration::from_secs(700)).await;
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_does_not_stop_a_token_that_is_still_good() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let source = polls(&script, script.client(), json!({}), 1).await;
    org.lock().unwrap().public_key = "ec-public.pem";
    tokio::time::advance(Duration::from_secs(3_000)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().calls, ["200", "invalid_client"]);
    tokio::time::advance(Duration::from_secs(601)).await;
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
}

#[tokio::test(start_paused = true)]
async fn trap_12_dpop_is_found_out_when_the_app_demands_it_and_the_nonce_is_kept() {
    let script = Script::start();
    let org = Org::start(&script, Org { demands_dpop: true, nonce: Some("n-1"), ..rsa() });
    let source = polls(&script, script.client(), json!({}), 3).await;
    assert_eq!(org.lock().unwrap().calls, ["invalid_dpop_proof", "use_dpop_nonce", "200"]);
    tokio::time::sleep(Duration::from_secs(3000)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().calls.get(3..).unwrap(), ["200"], "what was learned is kept");
    org.lock().unwrap().nonce = Some("n-2");
    tokio::time::sleep(Duration::from_secs(3000)).await;
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(
        org.lock().unwrap().calls.get(4..).unwrap(),
        ["use_dpop_nonce", "200"],
        "a nonce that rotated"
    );
}

#[tokio::test(start_paused = true)]
async fn trap_12_configured_dpop_saves_the_refused_call() {
    let script = Script::start();
    let org = Org::start(&script, Org { demands_dpop: true, nonce: Some("n-1"), ..rsa() });
    polls(&script, script.client(), json!({ "dpop": true }), 1).await;
    assert_eq!(org.lock().unwrap().calls, ["use_dpop_nonce", "200"]);
    let script = Script::start();
    Org::start(&script, Org { demands_dpop: true, ..rsa() });
    let source = open(script.client(), app(json!({ "dpop": false }))).unwrap();
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Configuration);
    assert!(fault.remedy.as_ref().unwrap().contains("auth.dpop"));
}

#[tokio::test(start_paused = true)]
async fn trap_13_request_and_proof_name_the_same_canonical_url() {
    for url in ["https://acme.example.com", "https://acme.example.com/", "https://ACME.example.com:443"] {
        let script = Script::start();
        let org = Org::start(&script, Org { demands_dpop: true, nonce: Some("n"), ..rsa() });
        let mut table = app(json!({ "dpop": true }));
        table["url"] = url.into();
        let source = open(script.client(), table).unwrap();
        source.poll(system_log(), &from_start()).await.unwrap();
        source.poll(system_log(), &after("https://ACME.example.com:443/api/v1/logs?after=1")).await.unwrap();
        source.poll(system_log(), &after(&link("after=1&x=%2F"))).await.unwrap();
        assert!(org.lock().unwrap().granted >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_14_no_assertion_and_no_proof_is_sent_twice() {
    // The stand-in counts a jti as used even when it refuses the call, so every 200 above proves it; here in words.
    let script = Script::start();
    let org = Org::start(&script, Org { demands_dpop: true, nonce: Some("n-1"), ..rsa() });
    polls(&script, script.client(), json!({}), 3).await;
    let org = org.lock().unwrap();
    // Three assertions, two proofs for tokens, three for pages.
    assert_eq!(org.seen.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn c29_a_clock_that_is_wrong_gets_a_token_all_the_same() {
    for (wrong, dpop, most) in
        [(2, false, 1), (-90, false, 1), (90, false, 1), (-900, false, 2), (7200, false, 2), (900, true, 4)]
    {
        let script = Script::start();
        let org = Org::start(&script, Org { demands_dpop: dpop, nonce: dpop.then_some("n"), ..rsa() });
        let client = script.client_with(HttpSettings::default(), TimeDelta::seconds(wrong));
        let source = polls(&script, client.clone(), json!({}), 3).await;
        tokio::time::sleep(Duration::from_secs(3000)).await;
        source.poll(system_log(), &from_start()).await.unwrap();
        let org = org.lock().unwrap();
        assert_eq!(org.granted, 2, "{wrong} s");
        assert!(org.calls.len() <= most + 1, "{wrong} s: {:?}", org.calls);
        assert!(
            org.calls.iter().filter(|call| *call == "invalid_client").count() <= 1,
            "{wrong} s: {:?}",
            org.calls
        );
        assert!((client.skew().unwrap().num_seconds() - wrong).abs() <= 1, "the skew is reported");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_works_and_a_wrong_client_is_the_credentials_fault() {
    let script = Script::start();
    let org = Org::start(&script, rsa());
    let auth = json!({ "client_id": "0oaCLIENT", "client_secret": TOKEN_VARIABLE });
    let source = open(script.client(), json!({ "url": ORG, "auth": auth })).unwrap();
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().calls, ["200"]);
    let script = Script::start();
    let org = Org::start(&script, Org { public_key: "ec-public.pem", ..rsa() });
    let source = open(script.client(), app(json!({ "private_key": key_file("ec384-sec1.pem") })));
    org.lock().unwrap().public_key = "ec384-public.pem";
    source.unwrap().poll(system_log(), &from_start()).await.unwrap();
    let wrong =
        json!({ "url": ORG, "auth": { "client_id": "0oaOTHER", "private_key": key_file("ec384-sec1.pem") } });
    let error = open(script.client(), wrong).unwrap().poll(system_log(), &from_start()).await.unwrap_err();
    let fault = halted(&error);
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Credential, Some("invalid_client")));
    assert!(fault.remedy.as_ref().unwrap().contains("compare the app's client id"));
}

#[tokio::test(start_paused = true)]
async fn token_errors_are_named_for_what_happens_next() {
    for (status, error, kind) in [
        (400, "invalid_scope", FaultKind::Permission),
        (400, "consent_required", FaultKind::Permission),
        (403, "insufficient_scope", FaultKind::Permission),
        (403, "access_denied", FaultKind::Permission),
        (400, "invalid_request", FaultKind::Configuration),
        (400, "unsupported_grant_type", FaultKind::Configuration),
        (401, "invalid_client", FaultKind::Credential),
        (401, "invalid_token", FaultKind::Credential),
        (404, "E0000007", FaultKind::Configuration),
        (429, "user_rate_limited", FaultKind::RateLimit),
        (500, "server_error", FaultKind::Server),
    ] {
        let script = Script::start();
        let source = open(script.client(), app(json!({}))).unwrap();
        script.answer(move |_, _| {
            Ok(Reply::json(status, json!({ "error": error, "error_description": "why" }).to_string()))
        });
        let error = source.poll(system_log(), &from_start()).await.unwrap_err();
        assert_eq!(error.cause().kind, kind, "{status} {error:?}");
        assert_eq!(matches!(error, PollError::Retry { .. }), status >= 429);
        assert_eq!(script.requests().len(), 1, "{status} {error:?}");
        assert!(status >= 429 || error.cause().remedy.is_some(), "{error:?}");
    }
    let script = Script::start();
    script.push(Reply::json(200, "{}"));
    let error =
        open(script.client(), app(json!({}))).unwrap().poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(error.cause().kind, FaultKind::Answer);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_the_api_asks_for_is_used_without_a_new_token() {
    let script = Script::start();
    let org = Org::start(&script, Org { demands_dpop: true, nonce: Some("n"), ..rsa() });
    let source = polls(&script, script.client(), json!({ "dpop": true }), 1).await;
    let challenge = "DPoP error=\"use_dpop_nonce\"";
    script.push(
        refusal(401, "E0000011", "x").header("www-authenticate", challenge).header("dpop-nonce", "api-1"),
    );
    source.poll(system_log(), &from_start()).await.unwrap();
    assert_eq!(org.lock().unwrap().granted, 1);
    let proof = script.requests().pop().unwrap().headers()["dpop"].to_str().unwrap().to_owned();
    assert_eq!(part(&proof, 1)["nonce"], "api-1");
    // A wrong proof answered with 400 says nothing about the cursor.
    script
        .push(refusal(400, "E0000001", "x").header("www-authenticate", "DPoP error=\"invalid_dpop_proof\""));
    source.poll(system_log(), &after(&link("after=1"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_code_that_repeats_the_credential_is_dropped() {
    let script = Script::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "00hunter2").unwrap();
    let auth = json!({ "token": format!("file:{}", path.display()) });
    let source = open(script.client(), json!({ "url": ORG, "auth": auth })).unwrap();
    script.push(refusal(400, "00hunter2", "bad 00hunter2"));
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let app = json!({ "client_id": "0oaCLIENT", "client_secret": format!("file:{}", path.display()) });
    let source = open(script.client(), json!({ "url": ORG, "auth": app })).unwrap();
    let body = json!({ "error": "invalid_client", "error_description": "00hunter2 is wrong" });
    script.push(Reply::json(401, body.to_string()));
    let error = source.poll(system_log(), &from_start()).await.unwrap_err();
    assert_eq!(error.to_string(), "okta refused the app 0oaCLIENT: [redacted] is wrong (401 invalid_client)");
}

// Configuration.

#[tokio::test(start_paused = true)]
async fn wrong_keys_are_named_with_what_is_accepted() {
    let script = Script::start();
    let token = json!({ "token": TOKEN_VARIABLE });
    for (value, key, says) in [
        (json!({ "auth": token }), "url", "https://acme.okta.com"),
        (
            json!({ "url": "https://acme-admin.okta.com", "auth": token }),
            "url",
            "write \"https://acme.okta.com\"",
        ),
        (
            json!({ "url": "https://acme-admin.oktapreview.com", "auth": token }),
            "url",
            "https://acme.oktapreview.com",
        ),
        (json!({ "url": "http://acme.okta.com", "auth": token }), "url", "unencrypted"),
        (json!({ "url": "ftp://acme.okta.com", "auth": token }), "url", "https"),
        (json!({ "url": "https://u:hunter2@acme.okta.com", "auth": token }), "url", "names a user"),
        (json!({ "url": "https://acme.okta.com/api/v1", "auth": token }), "url", "has a path"),
        (json!({ "url": "acme.okta.com", "auth": token }), "url", "https://acme.okta.com"),
        (json!({ "url": 7, "auth": token }), "url", "string"),
        (json!({ "url": ORG }), "auth", "private_key"),
        (json!({ "url": ORG, "auth": "hunter2" }), "auth", "not a table"),
        (json!({ "url": ORG, "auth": { "token": "hunter2" } }), "auth.token", "env:NAME"),
        (json!({ "url": ORG, "auth": { "token": 12_345 } }), "auth.token", "env:NAME"),
        (json!({ "url": ORG, "auth": { "token": "env:TIDEGATE_NO_SUCH" } }), "auth.token", "not set"),
        (json!({ "url": ORG, "auth": { "tokn": TOKEN_VARIABLE } }), "auth.tokn", "expected one of"),
        (json!({ "url": ORG, "auth": { "client_id": "x" } }), "auth", "private_key or client_secret"),
        (
            json!({ "url": ORG, "auth": { "client_id": "x", "token": TOKEN_VARIABLE } }),
            "auth",
            "do not go together",
        ),
        (
            json!({ "url": ORG, "auth": { "client_id": " ", "client_secret": TOKEN_VARIABLE } }),
            "auth.client_id",
            "empty",
        ),
        (json!({ "url": ORG, "auth": { "token": TOKEN_VARIABLE, "dpop": true } }), "auth", "client_id"),
        (app(json!({ "dpop": "maybe" })), "auth.dpop", "auto"),
        (json!({ "url": ORG, "auth": token, "limit": 0 }), "limit", "1 to 1000"),
        (json!({ "url": ORG, "auth": token, "limit": 1001 }), "limit", "1 to 1000"),
        (json!({ "url": ORG, "auth": token, "limit": "many" }), "limit", "invalid type"),
        (json!({ "url": ORG, "auth": token, "org_limit": 0 }), "org_limit", "0 requests"),
        (json!({ "url": ORG, "auth": token, "filter": " " }), "filter", "empty"),
        (json!({ "url": ORG, "auth": token, "fliter": "x" }), "fliter", "expected one of"),
    ] {
        let error = open(script.client(), value.clone()).err().unwrap_or_else(|| panic!("accepted: {value}"));
        assert_eq!(error.key, key, "{value}: {error}");
        assert!(error.message.contains(says), "{value}: {error}");
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("12345"), "{error}");
    }
}

#[test]
fn the_organisation_is_the_origin() {
    let organisation = |url: &str| Okta.organisation(&table(json!({ "url": url })));
    assert_eq!(organisation("https://ACME.okta.com/").unwrap(), "https://acme.okta.com");
    assert_eq!(organisation("https://login.example.com:8443").unwrap(), "https://login.example.com:8443");
    assert_eq!(organisation("http://127.0.0.1:9000").unwrap(), "http://127.0.0.1:9000");
    assert_eq!(organisation("http://[::1]:9000").unwrap(), "http://[::1]:9000");
    assert!(organisation("http://192.0.2.1").is_err());
    // Only Okta's own domains have admin hosts.
    assert!(organisation("https://sso-admin.example.com").is_ok());
    assert!(Okta.organisation(&table(json!({}))).is_err());
}

#[test]
fn the_readme_lists_every_key() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/okta/README.md")).unwrap();
    let schema = Okta.schema().to_value();
    let config = schema["properties"].as_object().unwrap().keys();
    let auth = schema["$defs"]["AuthConfig"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(|key| format!("auth.{key}"));
    for key in config.cloned().chain(auth).filter(|key| key != "auth") {
        assert!(readme.contains(&format!("| `{key}` |")), "{key}");
    }
}
