//! What the tests of the Entra stand-in share.

#![allow(dead_code, reason = "each test binary uses its part")]

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::Value;
use tidegate_simulator::Answer;
use tidegate_simulator::entra::{DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, Entra, EntraConfig, Limits};

pub(crate) const BASE: &str = "https://graph.example.com";

/// Thursday, 2026-01-15T10:00:00Z.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_471_200, 0).unwrap()
}

pub(crate) fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

/// Limits that are not in the way, one host for all.
pub(crate) fn roomy() -> EntraConfig {
    EntraConfig { base_url: Some(BASE.to_owned()), limits: Limits::none(), ..EntraConfig::default() }
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    pairs.iter().for_each(|(name, value)| {
        form.append_pair(name, value);
    });
    Bytes::from(form.finish())
}

pub(crate) fn post_token(entra: &Entra, tenant: &str, pairs: &[(&str, &str)], now: DateTime<Utc>) -> Answer {
    let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(pairs))
        .unwrap();
    entra.handle(&request, now)
}

pub(crate) const BY_SECRET: [(&str, &str); 4] = [
    ("client_id", DEFAULT_APP),
    ("client_secret", DEFAULT_SECRET),
    ("grant_type", "client_credentials"),
    ("scope", "https://graph.microsoft.com/.default"),
];

pub(crate) fn token(entra: &Entra, now: DateTime<Utc>) -> String {
    token_of(entra, DEFAULT_TENANT, now)
}

pub(crate) fn token_of(entra: &Entra, tenant: &str, now: DateTime<Utc>) -> String {
    let body = json(&post_token(entra, tenant, &BY_SECRET, now));
    body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&answer.body)))
}

/// Asks with a token and the `Prefer` header. `path` may be a whole URL of this stand-in.
pub(crate) fn get(entra: &Entra, token: &str, path: &str, now: DateTime<Utc>) -> Answer {
    let path = path.strip_prefix(BASE).unwrap_or(path);
    let request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("prefer", "include-unknown-enum-members")
        .body(Bytes::new())
        .unwrap();
    entra.handle(&request, now)
}

/// `/beta/auditLogs/signIns?$filter=…`, encoded as a good client does.
pub(crate) fn filtered(path: &str, filter: &str) -> String {
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    format!("{path}?$filter={}", filter.replace('+', "%20"))
}

pub(crate) fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    json(answer)["value"].as_array().expect("a value array").clone()
}

pub(crate) fn ids(answer: &Answer) -> Vec<String> {
    rows(answer).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn next_link(answer: &Answer) -> Option<String> {
    json(answer)["@odata.nextLink"].as_str().map(str::to_owned)
}

/// Follows all next links at one moment.
pub(crate) fn walk(entra: &Entra, token: &str, path: &str, now: DateTime<Utc>) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = get(entra, token, &path, now);
        all.extend(rows(&answer));
        next = next_link(&answer);
    }
    all
}

/// Status, `error.code` and message of a refusal.
pub(crate) fn problem(answer: &Answer) -> (u16, String, String) {
    let body = json(answer);
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("code"), text("message"))
}

/// Status and AADSTS number of a refusal.
pub(crate) fn aadsts(answer: &Answer) -> (u16, u64) {
    (answer.status.as_u16(), json(answer)["error_codes"][0].as_u64().unwrap_or_default())
}
