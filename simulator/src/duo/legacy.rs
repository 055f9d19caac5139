//! The older endpoints of two streams: the same records in the shapes of version 1, made when asked for.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;

/// A record in the older shape; `None` where the older log has none for it (it is known to omit enrolments).
pub(super) fn record(endpoint: Endpoint, occurred_at: DateTime<Utc>, raw: &Bytes) -> Option<Bytes> {
    let value: Value = serde_json::from_slice(raw).ok()?;
    let mut old = match endpoint {
        Endpoint::AuthenticationV1 => authentication(&value)?,
        Endpoint::TelephonyV1 => pick(&value, &["context", "credits", "phone", "type"]),
        _ => return Some(raw.clone()),
    };
    old.insert("timestamp".to_owned(), json!(occurred_at.timestamp()));
    let text = occurred_at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    old.insert("isotimestamp".to_owned(), json!(text));
    Some(Bytes::from(Value::Object(old).to_string()))
}

fn pick(value: &Value, names: &[&str]) -> Map<String, Value> {
    let member = |name: &&str| ((*name).to_owned(), value.get(*name).cloned().unwrap_or_default());
    names.iter().map(member).collect()
}

fn authentication(value: &Value) -> Option<Map<String, Value>> {
    let at = |pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
    if at("/event_type") != "authentication" {
        return None;
    }
    let mut old = pick(value, &["access_device", "alias", "email", "reason"]);
    let result = at("/result").as_str().unwrap_or_default().to_uppercase();
    let factor = match at("/factor").as_str() {
        Some("duo_push") => json!("Duo Push"),
        Some("phone_call") => json!("Phone Call"),
        Some(other) => json!(other.replace('_', " ")),
        None => json!("n/a"),
    };
    for (name, value) in [
        ("device", at("/auth_device/name")),
        ("factor", factor),
        ("integration", at("/application/name")),
        ("ip", at("/access_device/ip")),
        ("location", at("/access_device/location")),
        ("new_enrollment", json!(false)),
        ("result", json!(result)),
        ("username", at("/user/name")),
    ] {
        old.insert(name.to_owned(), value);
    }
    Some(old)
}
