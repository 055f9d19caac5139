//! Telephony, the trust monitor, offline enrolments.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::people::{Person, anybody, key};
use super::{Draft, auth, micros, remove, set};
use crate::rng::uuid;

/// Now and then a call comes twice: the same telephony id with another transaction.
pub(super) fn telephony(draft: Draft<'_>, before: Option<&Value>) -> Value {
    let Draft { rng, at, odd } = draft;
    let again = before.filter(|_| rng.below(40) == 0).and_then(|before| before.get("telephony_id"));
    let id = again.cloned().unwrap_or_else(|| json!(uuid(rng.next(), rng.next())));
    let context =
        *rng.pick(&["authentication", "authentication", "enrollment", "verify", "administrator login"]);
    let phone = rng.below(2) == 0;
    let mut value = json!({
        "context": context,
        "credits": if context == "administrator login" { 0 } else { 1 + rng.below(3) },
        "phone": anybody(rng).phone,
        "telephony_id": id,
        "ts": micros(at),
        "txid": if context == "enrollment" { Value::Null } else { json!(uuid(rng.next(), rng.next())) },
        "type": if phone { "phone" } else { "sms" },
    });
    match odd.map(|turn| turn % 3) {
        Some(0) => set(&mut value, "txid", Value::Null),
        Some(1) => {
            set(&mut value, "type", json!("whatsapp"));
            set(&mut value, "context", json!("password reset"));
            set(&mut value, "phone", json!("+445550199 ext. 7"));
        }
        Some(_) => {
            set(&mut value, "credits", json!("2"));
            remove(&mut value, "txid");
        }
        None => {}
    }
    value
}

pub(super) fn offline_enrollment(draft: Draft<'_>) -> Value {
    let Draft { rng, at, odd } = draft;
    let factor = *rng.pick(&["duo_otp", "security_key"]);
    let description = json!({
        "user_agent": "ExampleLogon/5.1.0 (Windows 11)", "hostname": "LAPTOP-17", "factor": factor,
    });
    let mut value = json!({
        "action": *rng.pick(&[
            "o2fa_user_provisioned", "o2fa_user_provisioned", "o2fa_user_deprovisioned", "o2fa_user_reenrolled",
        ]),
        "description": description.to_string(),
        "isotimestamp": at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        "object": "Microsoft RDP",
        "timestamp": at.timestamp(),
        "username": anybody(rng).name,
    });
    match odd.map(|turn| turn % 2) {
        Some(0) => set(&mut value, "description", Value::Null),
        Some(_) => set(&mut value, "description", json!("hostname=LAPTOP-17")),
        None => {}
    }
    value
}

pub(super) fn trust_monitor(mut draft: Draft<'_>) -> Value {
    let who = anybody(draft.rng);
    let sekey = key("SE", draft.rng);
    let priority = draft.rng.below(5) == 0;
    let surfaced = draft.at.timestamp_millis();
    let reasons = if priority { json!([{"type": "IKEY", "label": "Example VPN"}]) } else { json!([]) };
    let mut value = json!({
        "explanations": [],
        "from_common_netblock": draft.rng.below(2) == 0,
        "from_new_user": draft.rng.below(9) == 0,
        "low_risk_ip": draft.rng.below(3) == 0,
        "priority_event": priority,
        "priority_reasons": reasons,
        "sekey": sekey,
        "state": "new",
        "state_updated_timestamp": null,
        "surfaced_timestamp": surfaced,
        "triage_event_uri": format!("https://admin-simulated.example.com/trust-monitor?sekey={sekey}"),
        "triaged_as_interesting": false,
        "type": "auth",
    });
    match draft.rng.below(5) {
        0 => {
            set(&mut value, "type", json!("bypass_status"));
            set(&mut value, "bypass_status_enabled", json!(surfaced - 900_000));
            set(&mut value, "enabled_by", party(anybody(draft.rng)));
            set(&mut value, "enabled_for", party(who));
        }
        1 => {
            set(&mut value, "type", json!("device_registration"));
            set(
                &mut value,
                "explanations",
                explanation("REGISTER_OS_OUTDATED", who, "registered a device with an old system"),
            );
        }
        kind => {
            let (name, what) = match kind {
                2 => ("NEW_COUNTRY_CODE", "came from a country that is new"),
                3 => ("NEW_NETBLOCK", "came from a network that is new"),
                _ => ("NEW_IKEY", "used an application that is new"),
            };
            set(&mut value, "explanations", explanation(name, who, what));
            // The event is surfaced a while after the authentication that it is about.
            draft.at -= chrono::TimeDelta::minutes(3);
            set(&mut value, "surfaced_auth", auth::surfaced(&mut draft));
        }
    }
    match draft.odd.map(|turn| turn % 3) {
        Some(0) => set(&mut value, "explanations", json!([])),
        Some(1) => set(&mut value, "type", json!("bypass_status_enabled")),
        Some(_) => {
            set(&mut value, "explanations", explanation("IMPOSSIBLE_TRAVEL", who, "was in two places"));
            set(&mut value, "risk", json!({"score": 0.5}));
        }
        None => {}
    }
    value
}

fn party(who: &Person) -> Value {
    json!({"key": who.key, "name": who.name})
}

fn explanation(kind: &str, who: &Person, what: &str) -> Value {
    json!([{"type": kind, "summary": format!("{} {what}.", who.name)}])
}

/// The event as it is after somebody has looked at it.
pub(super) fn looked_through(value: &Value, at: DateTime<Utc>) -> Value {
    let mut value = value.clone();
    set(&mut value, "state", json!("processed"));
    set(&mut value, "state_updated_timestamp", json!(at.timestamp_millis()));
    set(&mut value, "triaged_as_interesting", json!(at.timestamp() % 2 == 0));
    value
}
