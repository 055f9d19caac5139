//! Collection from a scripted Duo. `D1` and so on are the numbers of known traps of this vendor.

use super::*;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Client;
use tidegate_core::quota::{Buckets, Quota};
use tidegate_core::source::Cursor;
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::source::{Vendor, conforms};

const HOST: &str = "https://api-1a2b3c4d.example.com";
const IKEY: &str = "DIEXAMPLE00000000001";

/// Cargo sets it for tests: the one variable that is surely there.
const KEY_VARIABLE: &str = "env:CARGO_PKG_DESCRIPTION";
const KEY: &str = env!("CARGO_PKG_DESCRIPTION");

/// 2026-05-28T18:00:00Z, two hours and 27 minutes before the script's clock.
const FROM: i64 = 1_779_991_200;

fn stream(name: &str) -> &'static Stream {
    Duo.stream(name).unwrap()
}

fn table(value: Json) -> Map<String, Json> {
    value.as_object().unwrap().clone()
}

fn open(http: Client, value: Json) -> Result<Arc<dyn Source>, SettingsError> {
    let settings =
        Settings { tenant: "acme".to_owned(), source: "duo".to_owned(), table: table(value), http };
    Duo.open(settings)
}

fn config() -> Json {
    json!({ "url": HOST, "auth": { "integration_key": IKEY, "secret_key": KEY_VARIABLE } })
}

fn opened(http: Client) -> Arc<dyn Source> {
    open(http, config()).unwrap()
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

/// Half an hour from [`FROM`] on, at this page token.
fn window(token: Option<&str>) -> Place {
    let token = token.map(|token| Cursor(token.as_bytes().to_vec()));
    Place::Window { from: at(FROM * 1000), to: at((FROM + 1800) * 1000), token }
}

fn ok(response: Json) -> Reply {
    Reply::json(200, json!({ "stat": "OK", "response": response }).to_string())
}

/// A page of `authentication` with this `next_offset`.
fn auth_page(records: usize, next: Json) -> Reply {
    let records: Vec<_> = (0..records).map(|n| json!({ "txid": n })).collect();
    ok(json!({ "authlogs": records, "metadata": { "next_offset": next, "total_objects": 3 } }))
}

fn v1_page(seconds: impl IntoIterator<Item = i64>) -> Reply {
    ok(seconds.into_iter().map(|at| json!({ "action": "user_update", "timestamp": at })).collect())
}

fn refusal(status: u16, code: u32, message: &str, detail: Option<&str>) -> Reply {
    let mut body = json!({ "stat": "FAIL", "code": code, "message": message });
    if let Some(detail) = detail {
        body["message_detail"] = json!(detail);
    }
    Reply::json(status, body.to_string()).header("x-request-id", "req-0815")
}

async fn poll(reply: Reply, name: &str, place: &Place) -> (Result<Page, PollError>, Vec<String>) {
    let script = Script::start();
    script.push(reply);
    let result = opened(script.client()).poll(stream(name), place).await;
    (result, script.asked())
}

async fn paged(reply: Reply, name: &str, token: Option<&str>) -> Page {
    poll(reply, name, &window(token)).await.0.unwrap()
}

async fn refused(reply: Reply, name: &str, token: Option<&str>) -> PollError {
    poll(reply, name, &window(token)).await.0.unwrap_err()
}

fn halted(error: &PollError) -> &Fault {
    assert!(matches!(error, PollError::Halt { .. }), "{error:?}");
    error.cause()
}

fn token(page: &Page) -> Option<&str> {
    page.next.as_ref().map(|Cursor(token)| std::str::from_utf8(token).unwrap())
}

// The suite, once with each shape of log.

/// A log between two instants, by its list and its page token's parameter.
struct Between(&'static str, &'static str, &'static str);

impl Between {
    fn page_to(&self, records: usize, next: &str) -> Reply {
        let records: Vec<_> = (0..records).map(|n| json!({ "n": n })).collect();
        let mut response = table(json!({ "metadata": { "next_offset": next } }));
        response.insert(self.1.to_owned(), records.into());
        ok(response.into())
    }
}

impl Vendor for Between {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        opened(http)
    }
    fn stream(&self) -> &'static Stream {
        stream(self.0)
    }
    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }
    fn full(&self) -> usize {
        if self.0 == "trust_monitor" { 200 } else { 1000 }
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        self.page_to(records, &format!("1779991200000,{place}"))
    }
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply> {
        let query = request.uri().query().unwrap();
        let (_, value) =
            url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == self.2).unwrap();
        Some(self.page_to(1, &value))
    }
    fn foreign(&self) -> Option<Reply> {
        None
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        refusal(status, u32::from(status) * 100 + 3, words, Some(words))
    }
    fn limited(&self, _now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        let reply = refusal(429, 42901, "Too Many Requests", None);
        match seconds {
            Some(seconds) => reply.header("retry-after", &seconds.to_string()),
            None => reply,
        }
    }
    fn crowded(&self, _now: DateTime<Utc>, _seconds: u64) -> Option<Reply> {
        None
    }
}

/// A v1 log: only a full page has a next place.
struct Since(&'static str);

impl Vendor for Since {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        opened(http)
    }
    fn stream(&self) -> &'static Stream {
        stream(self.0)
    }
    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }
    fn full(&self) -> usize {
        1000
    }
    fn followed(&self) -> usize {
        1000
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        // The script's clock says 1780000000; the suite's window begins two hours before.
        let start = 1_780_000_000 - 7200 + i64::try_from(place.len()).unwrap();
        v1_page((0..records).map(|n| start + i64::try_from(n / 10).unwrap()))
    }
    fn looping(&self, _: &Request<Bytes>) -> Option<Reply> {
        None
    }
    fn foreign(&self) -> Option<Reply> {
        None
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        refusal(status, u32::from(status) * 100 + 3, words, None)
    }
    fn limited(&self, now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        Between("activity", "items", "next_offset").limited(now, seconds)
    }
    fn crowded(&self, _now: DateTime<Utc>, _seconds: u64) -> Option<Reply> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn v2_logs_conform() {
    conforms(&Between("authentication", "authlogs", "next_offset")).await;
    conforms(&Between("activity", "items", "next_offset")).await;
    conforms(&Between("telephony", "items", "next_offset")).await;
}

#[tokio::test(start_paused = true)]
async fn trust_monitor_conforms() {
    conforms(&Between("trust_monitor", "events", "offset")).await;
}

#[tokio::test(start_paused = true)]
async fn v1_logs_conform() {
    conforms(&Since("administrator")).await;
    conforms(&Since("offline_enrollment")).await;
}

// Settings.

#[test]
fn every_wrong_key_is_named_and_no_value_below_auth_is_repeated() {
    let with = |path: &str, value: Json| {
        let mut table = config();
        *table.pointer_mut(path).unwrap_or(&mut Json::Null) = value.clone();
        if table.pointer(path).is_none() {
            let (parent, key) = path.rsplit_once('/').unwrap();
            let parent = if parent.is_empty() { &mut table } else { table.pointer_mut(parent).unwrap() };
            parent[key] = value;
        }
        table
    };
    let cases = [
        (with("/url", json!("http://api-1a2b3c4d.duosecurity.com")), "url", "unencrypted"),
        (with("/url", json!("https://api-1a2b3c4d.duosecurity.com/admin")), "url", "has a path"),
        (
            with("/url", json!("https://admin-1a2b3c4d.duosecurity.com")),
            "url",
            "https://api-1a2b3c4d.duosecurity.com",
        ),
        (with("/url", json!("api-1a2b3c4d.duosecurity.com")), "url", "write"),
        (with("/url", json!(7)), "url", "invalid type"),
        (json!({ "auth": config()["auth"] }), "url", "missing"),
        (json!({ "url": HOST }), "auth", "missing"),
        (with("/auth", json!("hidden-value")), "auth", "not a table"),
        (with("/auth", json!({ "integration_key": IKEY })), "auth.secret_key", "missing"),
        (with("/auth", json!({ "secret_key": KEY_VARIABLE })), "auth.integration_key", "missing"),
        (with("/auth/integration_key", json!("hidden-value")), "auth.integration_key", "DI followed"),
        (with("/auth/integration_key", json!("DIhidden:value")), "auth.integration_key", "DI followed"),
        (with("/auth/integration_key", json!(1234567)), "auth.integration_key", "accepted is"),
        (with("/auth/secret_key", json!("hidden-value")), "auth.secret_key", "env:NAME"),
        (with("/auth/secret_key", json!("env:TIDEGATE_NO_SUCH_VARIABLE")), "auth.secret_key", "not set"),
        (with("/auth/signature", json!("hidden-value")), "auth.signature", "\"v5\" or \"v2\""),
        (with("/auth/skey", json!("env:X")), "auth.skey", "unknown field"),
        (with("/account_id", json!("hidden-value")), "account_id", "DA followed"),
        (with("/limit", json!(10)), "limit", "unknown field"),
        (with("/requests_per_minute", json!(0)), "requests_per_minute", "real limit"),
        (with("/requests_per_minute", json!(-1)), "requests_per_minute", "u32"),
    ];
    for (table, key, says) in cases {
        let error = open(Script::start_now(), table.clone()).err().unwrap_or_else(|| panic!("{table}"));
        assert!(error.key == key && error.message.contains(says), "{table}: {error}");
        for hidden in ["hidden", "1234567"] {
            assert!(!error.to_string().contains(hidden), "{error}");
        }
    }
}

trait Now {
    /// A client of nobody.
    fn start_now() -> Client;
}

impl Now for Script {
    fn start_now() -> Client {
        Script::new(tidegate_core::clock::Clock::system()).client()
    }
}

#[test]
fn both_signatures_and_a_child_account_are_accepted() {
    for signature in ["v5", "v2"] {
        let mut table = config();
        table["auth"]["signature"] = json!(signature);
        table["account_id"] = json!("DAEXAMPLE0CHILD00001");
        assert!(open(Script::start_now(), table).is_ok());
    }
}

#[test]
fn an_organisation_is_a_host_and_an_account() {
    let organisation = |value: Json| Duo.organisation(&table(value));
    assert_eq!(organisation(json!({ "url": "https://API-1A2B3C4D.example.com/" })).unwrap(), HOST);
    let child = json!({ "url": HOST, "account_id": "DAEXAMPLE0CHILD00001" });
    assert_eq!(organisation(child).unwrap(), format!("{HOST}/DAEXAMPLE0CHILD00001"));
    assert_eq!(organisation(json!({ "url": 1 })).unwrap_err().key, "url");
    assert_eq!(organisation(json!({ "url": HOST, "account_id": [] })).unwrap_err().key, "account_id");
}

/// D10
#[test]
fn each_log_of_each_account_has_two_requests_a_minute() {
    let child = Duo.buckets(&table(json!({ "url": HOST, "account_id": "DAEXAMPLE0CHILD00001" }))).unwrap();
    assert!(child.iter().all(|bucket| bucket.scope == format!("{HOST}/DAEXAMPLE0CHILD00001")));
    let buckets = Duo.buckets(&table(config())).unwrap();
    assert_eq!(buckets.len(), STREAMS.len());
    for bucket in &buckets {
        assert_eq!((bucket.budget.limit, bucket.budget.span), (2, Duration::from_secs(61)));
        assert_eq!(bucket.scope, HOST);
        let spends: Vec<_> =
            STREAMS.iter().map(|stream| stream.name).filter(|name| (bucket.streams)(name)).collect();
        assert_eq!(spends, [bucket.name]);
    }
    let more = Duo.buckets(&table(json!({ "url": HOST, "requests_per_minute": 50 }))).unwrap();
    assert!(more.iter().all(|bucket| bucket.budget.limit == 50));
}

#[test]
fn windows_stay_behind_what_duo_shows_and_within_what_it_keeps() {
    for stream in STREAMS {
        let StreamKind::Windowed { settle, visible_after, unit, widest } = stream.kind else {
            panic!("{} is windowed", stream.name)
        };
        // D2: the last two minutes are not shown.
        assert!(visible_after > Duration::from_secs(120));
        let v1 = matches!(stream.name, "administrator" | "offline_enrollment");
        assert_eq!(unit, if v1 { Duration::from_secs(1) } else { Duration::from_millis(1) });
        assert!(widest < stream.retention && stream.retention == Duration::from_secs(180 * 86_400));
        assert!(settle.is_sorted() && !settle.is_empty());
        assert_eq!(stream.default, matches!(stream.name, "authentication" | "activity" | "telephony"));
        assert_eq!(stream.immutable, stream.name != "trust_monitor");
        assert!(endpoint_is_there(stream.name));
    }
}

fn endpoint_is_there(name: &str) -> bool {
    client::endpoint(name).is_some()
}

#[test]
fn advises_once_of_what_is_deprecated_and_of_what_counts_twice() {
    let count = |stream, polled| advice(stream, polled, false).len();
    assert_eq!(count("authentication", 0), 0);
    assert_eq!(count("offline_enrollment", 0), 1);
    assert_eq!(count("administrator", 0), 1);
    assert_eq!(count("administrator", bit("administrator")), 0);
    assert_eq!(count("activity", 0), 0);
    // D15: both are collected, and nobody is left to find out that they overlap.
    assert_eq!(count("activity", bit("administrator")), 1);
    assert_eq!(count("administrator", bit("activity")), 2);
    assert_eq!(advice("telephony", 0, true).len(), 1);
    assert_eq!(advice("authentication", 0, true).len(), 0);
}

// Requests.

/// D1: the order is always named. D5, D16: each log in its own unit.
#[tokio::test(start_paused = true)]
async fn each_log_is_asked_as_its_contract_has_it() {
    let from_to = "maxtime=1779993000000&mintime=1779991200000";
    let cases = [
        ("authentication", format!("/admin/v2/logs/authentication?limit=1000&{from_to}&sort=ts%3Aasc")),
        ("activity", format!("/admin/v2/logs/activity?limit=1000&{from_to}&sort=ts%3Aasc")),
        ("telephony", format!("/admin/v2/logs/telephony?limit=1000&{from_to}&sort=ts%3Aasc")),
        ("trust_monitor", format!("/admin/v1/trust_monitor/events?limit=200&{from_to}")),
        ("administrator", "/admin/v1/logs/administrator?mintime=1779991200".to_owned()),
        ("offline_enrollment", "/admin/v1/logs/offline_enrollment?mintime=1779991200".to_owned()),
    ];
    for (name, path) in cases {
        let (_, asked) = poll(Reply::json(500, ""), name, &window(None)).await;
        assert_eq!(asked, [format!("{HOST}{path}")]);
    }
}

/// D4: one parameter, joined by a comma, under the log's own name.
#[tokio::test(start_paused = true)]
async fn a_page_token_travels_with_the_same_window() {
    let from_to = "maxtime=1779993000000&mintime=1779991200000";
    let cases = [
        (
            "authentication",
            "1779991201234,0a1b2c3d-0000-4000-8000-00000000000f",
            format!(
                "/admin/v2/logs/authentication?limit=1000&{from_to}&next_offset=1779991201234%2C0a1b2c3d-0000-4000-8000-00000000000f&sort=ts%3Aasc"
            ),
        ),
        (
            "trust_monitor",
            "1779991201234",
            format!("/admin/v1/trust_monitor/events?limit=200&{from_to}&offset=1779991201234"),
        ),
        ("administrator", "1779991999", "/admin/v1/logs/administrator?mintime=1779991999".to_owned()),
    ];
    for (name, token, path) in cases {
        let (_, asked) = poll(Reply::json(500, ""), name, &window(Some(token))).await;
        assert_eq!(asked, [format!("{HOST}{path}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_grows_too_old_between_its_pages_is_walked_to_its_end() {
    // Both clocks of the script say 1780000000.
    let kept = at(1_780_000_000_000) - TimeDelta::days(180) + TimeDelta::minutes(1);
    for (from, start) in [
        (kept - TimeDelta::minutes(2), kept),
        (kept - TimeDelta::seconds(1), kept),
        (kept + TimeDelta::hours(1), kept + TimeDelta::hours(1)),
    ] {
        let ask = async |token: Option<&str>| {
            let token = token.map(|token| Cursor(token.as_bytes().to_vec()));
            let place = Place::Window { from, to: from + TimeDelta::hours(2), token };
            poll(Reply::json(500, ""), "activity", &place).await.1.pop().unwrap()
        };
        let asked = ask(Some("1,a")).await;
        assert!(asked.contains(&format!("&mintime={}&next_offset=", start.timestamp_millis())), "{asked}");
        // Without a token the start says what is read: it is never moved.
        let asked = ask(None).await;
        assert!(asked.contains(&format!("&mintime={}&", from.timestamp_millis())), "{asked}");
    }
}

/// D7: an end at or below the start is refused by Duo.
#[tokio::test(start_paused = true)]
async fn an_end_is_always_above_its_start_and_bounds_are_rounded_outward() {
    let ask = async |from: DateTime<Utc>, to: DateTime<Utc>| {
        let place = Place::Window { from, to, token: None };
        poll(Reply::json(500, ""), "activity", &place).await.1.pop().unwrap()
    };
    let start = at(FROM * 1000);
    for to in [start, start - TimeDelta::hours(1)] {
        assert!(ask(start, to).await.contains("maxtime=1779991200001&mintime=1779991200000"));
    }
    let odd = TimeDelta::microseconds(1500);
    assert!(ask(start + odd, start + odd * 3).await.contains("maxtime=1779991200005&mintime=1779991200001"));
    let place = Place::Window { from: start + odd, to: start + odd * 3, token: None };
    let (_, asked) = poll(Reply::json(500, ""), "administrator", &place).await;
    assert!(asked[0].ends_with("mintime=1779991200"));
}

/// D11: what is signed is what is sent, account included.
#[tokio::test(start_paused = true)]
async fn the_signed_text_is_the_sent_one() {
    for signature in ["v5", "v2"] {
        let script = Script::start();
        script.push(auth_page(0, Json::Null));
        let mut config = config();
        config["url"] = json!("https://api-1a2b3c4d.example.com:8443");
        config["auth"]["signature"] = json!(signature);
        config["account_id"] = json!("DAEXAMPLE0CHILD00001");
        let source = open(script.client(), config).unwrap();
        source.poll(stream("authentication"), &window(Some("1,é b"))).await.unwrap();
        let request = script.requests().pop().unwrap();
        let query = request.uri().query().unwrap();
        assert!(query.starts_with("account_id=DAEXAMPLE0CHILD00001&limit=1000&"), "{query}");
        assert!(query.contains("next_offset=1%2C%C3%A9%20b&"), "{query}");
        let date = request.headers()["date"].to_str().unwrap();
        assert_eq!(date, "Thu, 28 May 2026 20:26:40 GMT");
        // The host without its port, as Duo's own clients sign.
        let mut text = format!("{date}\nGET\napi-1a2b3c4d.example.com\n{}\n{query}", request.uri().path());
        let algorithm = if signature == "v5" {
            let nothing = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
            text = format!("{text}\n{nothing}\n{nothing}");
            ring::hmac::HMAC_SHA512
        } else {
            ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
        };
        use base64::Engine as _;
        let sent = request.headers()["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
        let sent = base64::engine::general_purpose::STANDARD.decode(sent).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        let (user, tag) = sent.split_once(':').unwrap();
        assert_eq!(user, IKEY);
        let tag: Vec<u8> =
            (0..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap()).collect();
        let key = ring::hmac::Key::new(algorithm, KEY.as_bytes());
        ring::hmac::verify(&key, text.as_bytes(), &tag).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_none_of_duos_is_not_asked() {
    let feed = Place::Feed { cursor: None, since: at(FROM * 1000) };
    let (result, asked) = poll(Reply::json(500, ""), "activity", &feed).await;
    assert_eq!(halted(&result.unwrap_err()).kind, FaultKind::Configuration);
    assert!(asked.is_empty());
    for token in [&b"\xff\xfe"[..], b"tomorrow"] {
        let Place::Window { from, to, .. } = window(None) else { unreachable!() };
        let place = Place::Window { from, to, token: Some(Cursor(token.to_vec())) };
        let (result, asked) = poll(Reply::json(500, ""), "administrator", &place).await;
        assert!(matches!(result.unwrap_err(), PollError::Restart { .. }));
        assert!(asked.is_empty());
    }
}

// Pages.

/// D4, D17: every form of next_offset that has been seen, and every form of the end.
#[tokio::test(start_paused = true)]
async fn next_offset_is_read_in_every_form() {
    let cases = [
        (json!(["1779991201234", "0a1b-txid"]), Some("1779991201234,0a1b-txid")),
        (json!([1779991201234i64, "0a1b-txid"]), Some("1779991201234,0a1b-txid")),
        (json!("1779991201234,0a1b-id"), Some("1779991201234,0a1b-id")),
        (json!(1779991201234i64), Some("1779991201234")),
        (json!(null), None),
        (json!(""), None),
        (json!([]), None),
        (json!([null, null]), None),
    ];
    for (next, want) in cases {
        let page = paged(auth_page(2, next.clone()), "authentication", None).await;
        assert_eq!((token(&page), page.records.len()), (want, 2), "{next}");
    }
    // Absent, beside any form of total_objects.
    for total in [json!(4000), json!({ "relation": "eq", "value": 4000 }), json!("4000"), json!(null)] {
        let reply = ok(json!({ "items": [{}], "metadata": { "total_objects": total } }));
        assert_eq!(token(&paged(reply, "activity", None).await), None);
    }
    // What cannot be read is no end.
    for next in ["{}", "true", r#"[1,null]"#, r#"["1779991201234",]"#, "nul", r#"{"a" 1}"#] {
        let body =
            format!(r#"{{"stat":"OK","response":{{"authlogs":[],"metadata":{{"next_offset":{next}}}}}}}"#);
        let error = refused(Reply::json(200, body), "authentication", None).await;
        assert!(matches!(error, PollError::Retry { after: None, .. }), "{next}");
        assert_eq!(error.cause().kind, FaultKind::Answer, "{next}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_is_found_in_both_places() {
    let body = json!({
        "stat": "OK", "response": { "events": [{}] }, "metadata": { "next_offset": 1779991201234i64 }
    });
    let page = paged(Reply::json(200, body.to_string()), "trust_monitor", None).await;
    assert_eq!(token(&page), Some("1779991201234"));
    let inside = ok(json!({ "events": [{}], "metadata": { "next_offset": "1779991201235" } }));
    assert_eq!(token(&paged(inside, "trust_monitor", None).await), Some("1779991201235"));
    // No metadata at all ends a short page, and leaves a full one open.
    let bare = |records: usize| ok(json!({ "items": vec![json!({}); records] }));
    assert_eq!(token(&paged(bare(999), "telephony", None).await), None);
    assert_eq!(refused(bare(1000), "telephony", None).await.cause().kind, FaultKind::Answer);
}

/// D17: the same place again.
#[tokio::test(start_paused = true)]
async fn a_place_that_stays_ends_an_empty_page_and_restarts_a_full_one() {
    let page = paged(auth_page(0, json!("1,a")), "authentication", Some("1,a")).await;
    assert_eq!(token(&page), None);
    let error = refused(auth_page(1, json!(["1", "a"])), "authentication", Some("1,a")).await;
    assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
    assert_eq!(error.cause().kind, FaultKind::Cursor);
}

/// D9: a page short of its limit is followed where Duo says that more is there.
#[tokio::test(start_paused = true)]
async fn only_next_offset_ends_a_window() {
    let page = paged(auth_page(1, json!("1,a")), "authentication", None).await;
    assert_eq!((token(&page), page.wait), (Some("1,a"), Duration::ZERO));
    assert_eq!(token(&paged(auth_page(1000, json!(null)), "authentication", None).await), None);
}

/// D6: a thousand records of v1 are not all; their last second is asked again, since it may hold more.
#[tokio::test(start_paused = true)]
async fn a_full_v1_page_goes_on_at_its_last_second() {
    for name in ["administrator", "offline_enrollment"] {
        let reply = v1_page((0..1000).map(|n| FROM + n / 10));
        let page = paged(reply, name, None).await;
        assert_eq!(token(&page), Some("1779991299"));
        assert_eq!(page.unread, None);
        let short = paged(v1_page((0..999).map(|n| FROM + 99 + n / 10)), name, Some("1779991299")).await;
        assert_eq!((token(&short), short.records.len()), (None, 999));
    }
}

/// Reads a window to its end from a Duo that holds these records; what came, and each page token.
async fn walked(
    name: &str,
    mut answer: impl FnMut(&HashMap<String, String>) -> Reply + Send + 'static,
) -> (HashSet<u64>, Vec<String>) {
    let script = Script::start();
    script.answer(move |request, _| {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        Ok(answer(&url::form_urlencoded::parse(query).into_owned().collect()))
    });
    let source = opened(script.client());
    let (mut came, mut tokens) = (HashSet::new(), Vec::new());
    loop {
        let place = window(tokens.last().map(String::as_str));
        let page = source.poll(stream(name), &place).await.unwrap();
        assert_eq!(page.unread, None);
        came.extend(
            page.iter().map(|record| serde_json::from_slice::<Json>(record).unwrap()["n"].as_u64().unwrap()),
        );
        match token(&page) {
            None => return (came, tokens),
            Some(next) => tokens.push(next.to_owned()),
        }
        assert!(tokens.len() < 9, "{tokens:?}");
    }
}

/// One second is cut by the first page's end, the next second by the second page's.
#[tokio::test(start_paused = true)]
async fn seconds_that_two_pages_of_v1_cut_one_after_the_other_come_whole() {
    let times: Vec<i64> = [(0, 600), (6, 700), (7, 900), (8, 50)]
        .into_iter()
        .flat_map(|(second, records)| vec![FROM + second; records])
        .collect();
    let all = times.len() as u64;
    for name in ["administrator", "offline_enrollment"] {
        let times = times.clone();
        let (came, tokens) = walked(name, move |query| {
            let since: i64 = query["mintime"].parse().unwrap();
            let records = times.iter().enumerate().filter(|(_, time)| **time >= since).take(1000);
            ok(records.map(|(n, time)| json!({ "n": n, "timestamp": time })).collect())
        })
        .await;
        assert_eq!(tokens, [(FROM + 6).to_string(), (FROM + 7).to_string()]);
        assert_eq!(came.len() as u64, all);
    }
}

/// One millisecond is cut by two pages: Duo's place names the record too.
#[tokio::test(start_paused = true)]
async fn a_millisecond_that_two_pages_of_v2_cut_comes_whole() {
    let time = FROM * 1000 + 250;
    for (name, list, joined) in
        [("authentication", "authlogs", false), ("activity", "items", true), ("telephony", "items", true)]
    {
        let (came, tokens) = walked(name, move |query| {
            let last = query.get("next_offset").map(|place| place.split_once(",id-").unwrap().1);
            let first = last.map_or(0, |last| last.parse::<usize>().unwrap() + 1);
            let records: Vec<_> = (first..2_500.min(first + 1000)).map(|n| json!({ "n": n })).collect();
            let last = first + records.len() - 1;
            let next = match joined {
                _ if last == 2_499 => Json::Null,
                true => json!(format!("{time},id-{last}")),
                false => json!([time.to_string(), format!("id-{last}")]),
            };
            ok(json!({ list: records, "metadata": { "next_offset": next } }))
        })
        .await;
        assert_eq!(tokens, [format!("{time},id-999"), format!("{time},id-1999")]);
        assert_eq!(came.len(), 2_500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_v1_page_that_passes_the_window_ends_it_and_keeps_what_is_beyond() {
    let page = paged(v1_page((0..1000).map(|n| FROM + 1700 + n)), "administrator", None).await;
    assert_eq!((token(&page), page.records.len()), (None, 1000));
    // The window's end itself is outside: all before it came.
    let page = paged(v1_page((0..1000).map(|n| FROM + 801 + n)), "administrator", None).await;
    assert_eq!(token(&page), None);
    let page = paged(v1_page((0..1000).map(|n| FROM + 800 + n)), "administrator", None).await;
    assert_eq!(token(&page), Some("1779992999"));
}

#[tokio::test(start_paused = true)]
async fn a_second_that_no_v1_page_can_show_is_stepped_over_and_reported() {
    let second = |at: i64| self::at(at * 1000)..self::at((at + 1) * 1000);
    for start in [None, Some("1779991200"), Some("1779991150")] {
        let page = paged(v1_page(vec![FROM; 1000]), "administrator", start).await;
        assert_eq!(token(&page), Some("1779991201"));
        assert_eq!(page.unread, Some(second(FROM)));
    }
    // A later one, after a mixed page: first asked for by itself.
    let page = paged(v1_page(vec![FROM + 7; 1000]), "administrator", Some("1779991207")).await;
    assert_eq!((token(&page), page.unread.clone()), (Some("1779991208"), Some(second(FROM + 7))));
    // Times below what was asked do not lead back.
    let page = paged(v1_page((0..1000).map(|n| FROM - n)), "administrator", Some("1779991300")).await;
    assert_eq!(token(&page), Some("1779991301"));
    // Only what lies inside the window is missing there.
    let (from, to) = (self::at(FROM * 1000 + 250), self::at(FROM * 1000 + 750));
    let (page, _) =
        poll(v1_page(vec![FROM; 1000]), "administrator", &Place::Window { from, to, token: None }).await;
    assert_eq!(page.unwrap().unread, Some(from..to));
    // A second before the window, from a token before it: nothing of the window is missing.
    let page = paged(v1_page(vec![FROM - 50; 1000]), "administrator", Some("1779991150")).await;
    assert_eq!((token(&page), page.unread.clone()), (Some("1779991151"), None));
    // Beyond the window it is none of ours.
    let page = paged(v1_page(vec![FROM + 1800; 1000]), "administrator", None).await;
    assert_eq!((token(&page), page.unread.clone()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn v1_times_are_read_in_any_form_and_one_readable_is_enough() {
    let mut records = vec![json!({ "timestamp": null }); 998];
    records.push(json!({ "timestamp": "1779991205" }));
    records.push(json!({ "timestamp": {}, "isotimestamp": "2026-05-28T18:00:09+00:00" }));
    assert_eq!(token(&paged(ok(records.into()), "administrator", None).await), Some("1779991209"));
    let error = refused(ok(vec![json!({}); 1000].into()), "administrator", None).await;
    assert_eq!(error.cause().kind, FaultKind::Answer);
}

#[tokio::test(start_paused = true)]
async fn answers_of_another_shape_are_never_pages() {
    let bodies = [
        ("authentication", "[]"),
        ("authentication", "null"),
        ("authentication", r#"{"response":{"authlogs":[]}}"#),
        ("authentication", r#"{"stat":null,"response":{"authlogs":[]}}"#),
        ("authentication", r#"{"stat":"FAIL"}"#),
        ("authentication", r#"{"stat":"OK"}"#),
        ("authentication", r#"{"stat":"OK","response":null}"#),
        ("authentication", r#"{"stat":"OK","response":[{}]}"#),
        ("authentication", r#"{"stat":"OK","response":{}}"#),
        ("authentication", r#"{"stat":"OK","response":{"authlogs":null}}"#),
        ("authentication", r#"{"stat":"OK","response":{"authlogs":{"0":{}}}}"#),
        ("authentication", r#"{"stat":"OK","response":{"items":[]}}"#),
        ("authentication", r#"{"stat":"OK","response":{"authlogs":[]}} {}"#),
        ("administrator", r#"{"stat":"OK","response":{"items":[]}}"#),
        ("administrator", r#"{"stat":"OK","response":null}"#),
        ("administrator", r#"{"stat":"OK"}"#),
        ("administrator", r#"{"stat":"OK","response":"[]"}"#),
    ];
    for (name, body) in bodies {
        let error = refused(Reply::json(200, body), name, None).await;
        assert!(matches!(error, PollError::Retry { .. }), "{body}: {error:?}");
        assert_eq!(error.cause().kind, FaultKind::Answer, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_any_inside_stay_records_and_the_last_of_equal_members_counts() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let body = format!(
        "\u{feff}{{\"stat\":\"FAIL\",\"stat\":\"OK\",\"response\":[],\"response\":{{\"authlogs\":[{{\"a\":1}}],\"authlogs\":[ {deep} , {{\"txid\": 1}},\"x\",null],\"metadata\":null}}}}"
    );
    let page = paged(Reply::json(200, body), "authentication", None).await;
    let records: Vec<_> = page.iter().collect();
    assert_eq!(records, [deep.as_bytes(), br#"{"txid": 1}"#, br#""x""#, b"null"]);
}

// Refusals.

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_consequence() {
    let halts = [
        (401, 40101, FaultKind::Credential, "Grant read log"),
        (401, 40102, FaultKind::Credential, "integration_key (DIEXAMPLE00000000001)"),
        (401, 40103, FaultKind::Credential, "secret_key"),
        (401, 40104, FaultKind::Credential, "Admin API application"),
        (403, 40301, FaultKind::Permission, "Grant read log"),
        (404, 40401, FaultKind::Licence, "take authentication out"),
        (405, 40501, FaultKind::Configuration, "API hostname"),
        (400, 40001, FaultKind::Configuration, ""),
        (400, 40002, FaultKind::Configuration, ""),
        (418, 41800, FaultKind::Configuration, ""),
    ];
    for (status, code, kind, remedy) in halts {
        let error = refused(refusal(status, code, "Said so", Some("because")), "authentication", None).await;
        let fault = halted(&error);
        assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{code}");
        assert_eq!(fault.code.as_deref(), Some(code.to_string().as_str()));
        assert_eq!(fault.request_id.as_deref(), Some("req-0815"));
        assert!(fault.remedy.clone().unwrap_or_default().contains(remedy), "{code}: {:?}", fault.remedy);
    }
    let said =
        refused(refusal(400, 40002, "Invalid request parameters", Some("sort")), "activity", None).await;
    assert!(said.to_string().contains("Invalid request parameters, sort"), "{said}");
}

/// D18: any 5xx, with any body, is asked again.
#[tokio::test(start_paused = true)]
async fn failures_of_the_server_are_asked_again() {
    for reply in [
        refusal(500, 50001, "Unknown internal error", None),
        Reply::json(502, "<html><body>Bad Gateway</body></html>").replace("content-type", "text/html"),
        Reply::json(503, "[\"code\"]"),
        Reply::json(504, ""),
    ] {
        let error = refused(reply, "telephony", None).await;
        assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
        assert_eq!(error.cause().kind, FaultKind::Server);
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_that_duo_did_not_write_is_a_wrong_address() {
    let error = refused(Reply::json(404, "<h1>Not Found</h1>"), "activity", None).await;
    assert_eq!(halted(&error).kind, FaultKind::Configuration);
    let error =
        refused(Reply::json(302, "").header("location", "https://login.example.net/x?y"), "activity", None)
            .await;
    assert_eq!(halted(&error).kind, FaultKind::ForeignLink);
    assert!(error.to_string().contains("https://login.example.net") && !error.to_string().contains("x?y"));
}

#[tokio::test(start_paused = true)]
async fn a_window_older_than_what_duo_keeps_moves_its_start() {
    let detail = "mintime must be within past 180 days";
    for token in [None, Some("1,a")] {
        let error =
            refused(refusal(400, 40002, "Invalid request parameters", Some(detail)), "activity", token).await;
        assert!(matches!(error, PollError::TooOld { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_page_token_begins_the_window_again() {
    let reply = || refusal(400, 40002, "Invalid request parameters", Some("next_offset"));
    assert!(matches!(refused(reply(), "telephony", Some("1,a")).await, PollError::Restart { .. }));
    // v1 has no token of Duo's that could be refused.
    halted(&refused(reply(), "administrator", Some("1779991300")).await);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_comes_with_200_is_what_its_code_says() {
    let error = refused(refusal(200, 42901, "Too Many Requests", None), "activity", None).await;
    assert!(matches!(error, PollError::Retry { .. }));
    assert_eq!(error.cause().kind, FaultKind::RateLimit);
    assert_eq!(
        halted(&refused(refusal(200, 40301, "Access forbidden", None), "activity", None).await).kind,
        FaultKind::Permission
    );
    let text = Reply::json(200, r#"{"stat":"FAIL","code":"40401","message":7}"#);
    assert_eq!(halted(&refused(text, "activity", None).await).kind, FaultKind::Licence);
    for code in ["-1", "99999999999", "\"x\"", "null", "{}", "7"] {
        let reply = Reply::json(200, format!(r#"{{"stat":"FAIL","code":{code}}}"#));
        assert_eq!(refused(reply, "activity", None).await.cause().kind, FaultKind::Answer, "{code}");
    }
}

/// D10: later, not never; and no other log waits for it.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_limit_holds_that_log_alone_for_half_a_minute() {
    let script = Script::start();
    let buckets = Duo.buckets(&table(config())).unwrap();
    let quotas = buckets.into_iter().map(|bucket| (bucket.name, bucket.streams, Quota::default())).collect();
    let http = script.client().with_buckets(Buckets::new(quotas));
    let source = opened(http.clone());
    script.push(refusal(429, 42901, "Too Many Requests", None));
    let error = source.poll(stream("telephony"), &window(None)).await.unwrap_err();
    assert!(matches!(error, PollError::Retry { after: None, .. }), "{error:?}");
    let now = http.clock().now();
    let held = http.of("telephony").quota().unwrap().not_before(now).unwrap() - now;
    assert_eq!(held, TimeDelta::seconds(30));
    assert_eq!(http.of("telephony").quota().unwrap().counters().refused_429, 1);
    for other in ["authentication", "activity", "administrator"] {
        assert_eq!(http.of(other).quota().unwrap().not_before(now), None, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_comes_back_in_an_error_is_not_printed() {
    use base64::Engine as _;
    for signature in ["v5", "v2"] {
        let script = Script::start();
        let mut config = config();
        config["auth"]["signature"] = json!(signature);
        let source = open(script.client(), config).unwrap();
        script.answer(|request, _| {
            let sent = request.headers()["authorization"].to_str().unwrap();
            let pair = base64::engine::general_purpose::STANDARD.decode(&sent["Basic ".len()..]).unwrap();
            let said = format!("{sent} {}", String::from_utf8(pair).unwrap());
            Ok(refusal(400, 40002, &said, Some(request.uri().query().unwrap())))
        });
        let error = source.poll(stream("activity"), &window(None)).await.unwrap_err();
        let sent = script.requests().pop().unwrap().headers()["authorization"].clone();
        let sent = sent.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = base64::engine::general_purpose::STANDARD.decode(sent).unwrap();
        let pair = String::from_utf8(pair).unwrap();
        let said = format!("{error:?} {error}");
        assert!(!said.contains(sent) && !said.contains(pair.split_once(':').unwrap().1), "{said}");
    }
}

fn key_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, text).unwrap();
    (dir, file)
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_key_is_read_anew_in_the_middle_of_a_window() {
    let (_dir, file) = key_file("the-first-secret-key-of-forty-characters");
    let script = Script::start();
    let mut config = config();
    config["auth"]["secret_key"] = json!(format!("file:{}", file.display()));
    let http = script.client();
    let source = open(http.clone(), config).unwrap();
    script.push(auth_page(1, json!("1,a")));
    source.poll(stream("authentication"), &window(None)).await.unwrap();
    std::fs::write(&file, "another-secret-key-with-forty-characters").unwrap();
    script.push(refusal(401, 40103, "Invalid signature in request credentials", None));
    script.push(auth_page(1, json!(null)));
    let before = http.quota().unwrap().counters().requests;
    let page = source.poll(stream("authentication"), &window(Some("1,a"))).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(http.quota().unwrap().counters().requests, before + 1, "the second try is counted");
    let sent: Vec<_> =
        script.requests().iter().map(|request| request.headers()["authorization"].clone()).collect();
    assert_eq!(sent.len(), 3);
    assert_ne!(sent[1], sent[2]);
    // Refused again with the same key: a person is needed, and nothing is tried twice.
    script.push(refusal(401, 40103, "Invalid signature in request credentials", None));
    let error = source.poll(stream("authentication"), &window(None)).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_key_that_cannot_be_read_halts_with_a_remedy() {
    let script = Script::start();
    let mut config = config();
    config["auth"]["secret_key"] = json!("file:/nowhere/duo/key");
    let source = open(script.client(), config).unwrap();
    let error = source.poll(stream("activity"), &window(None)).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
    assert!(error.cause().remedy.is_some() && script.requests().is_empty());
    let findings = source.check().await;
    assert_eq!(findings.faults.len(), 1);
    assert!(findings.lines[0].contains(IKEY));
}

/// D12, D2: time is the vendor's, and a wrong clock is found out by the answer itself.
#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_corrected_by_duos_own_and_asked_once_more() {
    for wrong_by in [TimeDelta::hours(3), -TimeDelta::days(2)] {
        let script = Script::start();
        let http = script.client_with(tidegate_core::http::HttpSettings::default(), wrong_by);
        let source = opened(http);
        script.push(refusal(401, 40105, "Bad request timestamp", None));
        script.push(auth_page(1, json!(null)));
        source.poll(stream("authentication"), &window(None)).await.unwrap();
        let dates: Vec<_> = script
            .requests()
            .iter()
            .map(|request| {
                DateTime::parse_from_rfc2822(request.headers()["date"].to_str().unwrap()).unwrap().to_utc()
            })
            .collect();
        assert_eq!(dates.len(), 2);
        assert_eq!(dates[0], script.clock().now() + wrong_by);
        assert!((dates[1] - script.clock().now()).abs() <= TimeDelta::seconds(1), "{dates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_clock_that_is_refused_halts_at_once() {
    let script = Script::start();
    let source = opened(script.client());
    for _ in 0..2 {
        script.push(refusal(401, 40105, "Bad request timestamp", None));
        let error = source.poll(stream("authentication"), &window(None)).await.unwrap_err();
        let fault = halted(&error);
        assert_eq!(fault.kind, FaultKind::Configuration);
        assert!(fault.remedy.as_deref().unwrap_or_default().contains("NTP"));
        assert_eq!(script.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn check_says_who_asks_and_sends_nothing() {
    let script = Script::start();
    let mut config = config();
    config["account_id"] = json!("DAEXAMPLE0CHILD00001");
    let findings = open(script.client(), config).unwrap().check().await;
    assert!(findings.faults.is_empty() && script.requests().is_empty());
    let said = findings.lines.join("\n");
    for word in [HOST, IKEY, "v5", "DAEXAMPLE0CHILD00001"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!said.contains(KEY));
}
