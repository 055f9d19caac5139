//! What the tests of the Google stand-in share.
#![allow(dead_code)]

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidegate_simulator::Answer;
use tidegate_simulator::google::{ALERTS_SCOPE, Generate, Google, GoogleConfig, REPORTS_SCOPE};

pub(crate) const RSA: &str = include_str!("../keys/example_rsa.pem");
pub(crate) const ACCOUNT: &str = "tidegate@example-project.iam.gserviceaccount.com";

pub(crate) fn start() -> DateTime<Utc> {
    "2026-03-10T10:00:00Z".parse().unwrap()
}

pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A plan of records in the two hours after `start`.
pub(crate) fn plan(stream: &str, records: usize) -> Generate {
    Generate::new(stream, 7, records, start(), TimeDelta::hours(2))
}

/// A customer with these records.
pub(crate) fn customer(generate: Vec<Generate>) -> GoogleConfig {
    GoogleConfig {
        generate,
        base_url: Some("https://google.example.com".to_owned()),
        ..GoogleConfig::default()
    }
}

pub(crate) fn claims(now: DateTime<Utc>) -> Value {
    json!({
        "iss": ACCOUNT,
        "sub": "admin@example.com",
        "scope": format!("{REPORTS_SCOPE} {ALERTS_SCOPE}"),
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now.timestamp(),
        "exp": now.timestamp() + 3_600,
    })
}

pub(crate) fn sign(claims: &Value, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn token_call(google: &Google, assertion: &str, now: DateTime<Utc>) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", assertion)
        .finish();
    google.handle(&Request::post("/token").body(Bytes::from(form)).unwrap(), now)
}

/// A fresh access token for both APIs.
pub(crate) fn access_token(google: &Google, now: DateTime<Utc>) -> String {
    let answer = token_call(google, &sign(&claims(now), Some("example-key")), now);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    body(&answer)["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn get(google: &Google, token: &str, uri: &str, now: DateTime<Utc>) -> Answer {
    let request = Request::get(uri).header("authorization", format!("Bearer {token}"));
    google.handle(&request.body(Bytes::new()).unwrap(), now)
}

pub(crate) fn activities(application: &str, query: &str) -> String {
    format!("/admin/reports/v1/activity/users/all/applications/{application}?{query}")
}

pub(crate) fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&answer.body)))
}

/// The records of a page, and its token.
pub(crate) fn page(answer: &Answer, name: &str) -> (Vec<Value>, Option<String>) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let body = body(answer);
    let records = body.get(name).map(|records| records.as_array().unwrap().clone()).unwrap_or_default();
    (records, body.get("nextPageToken").map(|token| token.as_str().unwrap().to_owned()))
}

/// Follows tokens to the end; all records in order, and how many pages there were.
pub(crate) fn walk(google: &Google, uri: &str, name: &str, now: DateTime<Utc>) -> (Vec<Value>, usize) {
    let token = access_token(google, now);
    let (mut found, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let uri = next.map_or_else(|| uri.to_owned(), |next| format!("{uri}&pageToken={next}"));
        let (records, token) = page(&get(google, &token, &uri, now), name);
        found.extend(records);
        pages += 1;
        match token {
            Some(token) => next = Some(token),
            None => return (found, pages),
        }
    }
}

/// Status, reason, `status` and message of an API's error.
pub(crate) fn refusal(answer: &Answer) -> (u16, String, Option<String>, String) {
    let error = &body(answer)["error"];
    assert_eq!(error["code"].as_u64(), Some(u64::from(answer.status.as_u16())), "{error}");
    assert_eq!(error["errors"][0]["message"], error["message"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (
        answer.status.as_u16(),
        text(&error["errors"][0]["reason"]).unwrap_or_default(),
        text(&error["status"]),
        text(&error["message"]).unwrap_or_default(),
    )
}

/// Status and reason only.
pub(crate) fn code(answer: &Answer) -> (u16, String) {
    let (status, reason, ..) = refusal(answer);
    (status, reason)
}
