//! A client of the stand-in, as a vendor's own would be: it signs what it sends.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use ring::{digest, hmac};
use serde_json::Value;
use tidegate_simulator::Answer;
use tidegate_simulator::duo::{Duo, DuoConfig, Generate, Integration, Limits};

pub(crate) const HOST: &str = "api-simulated.example.com";
pub(crate) const AUTH: &str = "/admin/v2/logs/authentication";
pub(crate) const ACTIVITY: &str = "/admin/v2/logs/activity";
pub(crate) const TELEPHONY: &str = "/admin/v2/logs/telephony";
pub(crate) const TRUST: &str = "/admin/v1/trust_monitor/events";
pub(crate) const ADMIN: &str = "/admin/v1/logs/administrator";
pub(crate) const OFFLINE: &str = "/admin/v1/logs/offline_enrollment";

pub(crate) fn start() -> DateTime<Utc> {
    "2026-01-15T10:00:00Z".parse().unwrap()
}

/// Three hours later, when all of the first two can be seen.
pub(crate) fn later() -> DateTime<Utc> {
    start() + TimeDelta::hours(3)
}

pub(crate) fn plan(stream: &str, records: usize) -> Generate {
    Generate::new(stream, 11, records, start(), TimeDelta::hours(2))
}

/// An account without limits, with 400 records of each stream.
pub(crate) fn roomy() -> DuoConfig {
    let streams =
        ["authentication", "activity", "telephony", "trust_monitor", "administrator", "offline_enrollment"];
    DuoConfig {
        base_url: Some(format!("https://{HOST}")),
        generate: streams.iter().map(|stream| plan(stream, 400)).collect(),
        limits: Limits::off(),
        ..DuoConfig::default()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn percent(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A query in the order that is signed.
pub(crate) fn canonical(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (percent(name), percent(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

pub(crate) fn basic(ikey: &str, signature: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{ikey}:{signature}")))
}

/// `Authorization` in version 5 for a GET without `X-Duo-*` headers.
pub(crate) fn signed(key: &Integration, host: &str, path: &str, query: &str, date: &str) -> String {
    let nothing = hex(digest::digest(&digest::SHA512, b"").as_ref());
    let text = [date, "GET", host, path, query, &nothing, &nothing].join("\n");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key.skey.as_bytes()), text.as_bytes());
    basic(&key.ikey, &hex(tag.as_ref()))
}

pub(crate) fn date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S -0000").to_string()
}

pub(crate) fn request(
    key: &Integration,
    path: &str,
    pairs: &[(&str, &str)],
    at: DateTime<Utc>,
) -> Request<Bytes> {
    let (query, date) = (canonical(pairs), date(at));
    Request::get(format!("{path}?{query}"))
        .header("host", HOST)
        .header("authorization", signed(key, HOST, path, &query, &date))
        .header("date", date)
        .body(Bytes::new())
        .unwrap()
}

pub(crate) fn ask(duo: &Duo, path: &str, pairs: &[(&str, &str)], now: DateTime<Utc>) -> Answer {
    duo.handle(&request(&Integration::simulated(), path, pairs, now), now)
}

pub(crate) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Status, code and detail of a refusal.
pub(crate) fn refusal(answer: &Answer) -> (u16, i64, String) {
    let body = json_of(answer);
    let detail = body["message_detail"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), body["code"].as_i64().unwrap_or_default(), detail)
}

pub(crate) fn code(answer: &Answer) -> (u16, i64) {
    let (status, code, _) = refusal(answer);
    (status, code)
}

pub(crate) fn ms(at: DateTime<Utc>) -> String {
    at.timestamp_millis().to_string()
}

/// Records and metadata of a page.
pub(crate) fn page(answer: &Answer) -> (Vec<Value>, Value) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let body = json_of(answer);
    assert_eq!(body["stat"], "OK");
    if let Some(list) = body["response"].as_array() {
        return (list.clone(), Value::Null);
    }
    let list = ["authlogs", "items", "events"].iter().find_map(|name| body["response"][name].as_array());
    let metadata = if body["metadata"].is_null() { &body["response"] } else { &body };
    (list.unwrap().clone(), metadata["metadata"].clone())
}

/// The offset of a page as the next request's one parameter.
pub(crate) fn next(metadata: &Value) -> Option<String> {
    match &metadata["next_offset"] {
        Value::Array(parts) => {
            Some(parts.iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(","))
        }
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Pages from a first request until no offset is given.
pub(crate) fn walk(duo: &Duo, path: &str, pairs: &[(&str, &str)], now: DateTime<Utc>) -> Vec<Vec<Value>> {
    let name = if path == TRUST { "offset" } else { "next_offset" };
    let (mut pages, mut offset) = (Vec::new(), None::<String>);
    loop {
        let mut pairs = pairs.to_vec();
        if let Some(offset) = &offset {
            pairs.push((name, offset));
        }
        let (records, metadata) = page(&ask(duo, path, &pairs, now));
        pages.push(records);
        assert!(pages.len() < 5_000, "a walk without end");
        match next(&metadata) {
            Some(next) => offset = Some(next),
            None => return pages,
        }
    }
}

/// The records of a stream that a request at this time sees, read, by time.
pub(crate) fn visible(duo: &Duo, stream: &str, now: DateTime<Utc>) -> Vec<Value> {
    let known = duo.known().into_iter().filter(|known| known.stream == stream);
    known
        .filter_map(|known| known.at(now).map(|version| serde_json::from_slice(&version.raw).unwrap()))
        .collect()
}

/// The same records, whatever their order.
pub(crate) fn assert_same(found: &[Value], expected: &[Value]) {
    let sorted = |values: &[Value]| {
        let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    assert_eq!(found.len(), expected.len());
    assert_eq!(sorted(found), sorted(expected));
}
