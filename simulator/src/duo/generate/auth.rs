//! Authentications and enrolments.

use serde_json::{Value, json};

use super::people::{address, anybody, application, groups, key, location, software};
use super::{Draft, micros, remove, set};
use crate::rng::{Rng, uuid};

/// How an authentication ends: result, reason, factor.
struct Ending(&'static str, Option<&'static str>, Option<&'static str>);

/// What happens most.
const USUAL: [Ending; 8] = [
    Ending("success", Some("user_approved"), Some("duo_push")),
    Ending("success", Some("valid_passcode"), Some("duo_mobile_passcode")),
    Ending("success", Some("user_approved"), Some("WebAuthn Security Key")),
    Ending("success", Some("user_approved"), Some("WebAuthn Chrome Touch ID")),
    Ending("success", Some("remembered_device"), Some("remembered_device")),
    Ending("success", Some("user_approved"), Some("phone_call")),
    Ending("success", Some("trusted_network"), Some("trusted_network")),
    Ending("denied", Some("no_response"), Some("duo_push")),
];

/// What happens sometimes.
const SELDOM: [Ending; 26] = [
    Ending("fraud", Some("user_marked_fraud"), Some("duo_push")),
    Ending("denied", Some("user_cancelled"), Some("duo_push")),
    Ending("denied", Some("anomalous_push"), Some("duo_push")),
    Ending("denied", Some("invalid_passcode"), Some("duo_mobile_passcode_totp")),
    Ending("denied", Some("invalid_passcode"), Some("sms_passcode")),
    Ending("denied", Some("invalid_passcode"), Some("hardware_token")),
    Ending("denied", Some("call_timed_out"), Some("phone_call")),
    Ending("denied", Some("no_keys_pressed"), Some("phone_call")),
    Ending("denied", Some("locked_out"), None),
    Ending("denied", Some("user_disabled"), None),
    Ending("denied", Some("deny_unenrolled_user"), None),
    Ending("denied", Some("location_restricted"), None),
    Ending("denied", Some("anonymous_ip"), None),
    Ending("denied", Some("denied_by_policy"), Some("not_available")),
    Ending("denied", Some("out_of_date"), None),
    Ending("denied", Some("endpoint_is_not_trusted"), None),
    Ending("denied", Some("user_not_in_permitted_group"), None),
    Ending("denied", Some("rooted_device"), Some("duo_push")),
    Ending("denied", Some("error"), Some("yubikey_code")),
    Ending("success", Some("valid_passcode"), Some("yubikey_passcode")),
    Ending("success", Some("valid_passcode"), Some("bypass_code")),
    Ending("success", Some("valid_passcode"), Some("digipass_go_7_token")),
    Ending("success", Some("bypass_user"), None),
    Ending("success", Some("allow_unenrolled_user"), None),
    Ending("success", Some("trusted_location"), Some("trusted_network")),
    Ending("success", Some("user_approved"), Some("trusted_mobile_authenticator")),
];

/// A record. Now and then it continues the transaction of the one before: a push that nobody answered, then another way.
pub(super) fn record(mut draft: Draft<'_>, before: Option<&Value>) -> Value {
    let continued = before.filter(|_| draft.rng.below(12) == 0).and_then(|before| before.get("txid"));
    let txid = continued.cloned().unwrap_or_else(|| json!(uuid(draft.rng.next(), draft.rng.next())));
    let mut value = ordinary(&mut draft, txid);
    if let Some(turn) = draft.odd {
        bend(&mut value, turn);
    }
    value
}

fn ordinary(draft: &mut Draft<'_>, txid: Value) -> Value {
    let rng = &mut *draft.rng;
    let who = anybody(rng);
    let (app_key, app_name, _) = application(rng);
    let names: Vec<_> = groups(rng).into_iter().map(|(_, name)| name).collect();
    let enrollment = rng.below(40) == 0;
    let Ending(result, reason, factor) = match (enrollment, rng.below(5)) {
        (true, _) => &Ending("success", None, Some("not_available")),
        (_, 0) => rng.pick(&SELDOM),
        _ => rng.pick(&USUAL),
    };
    let auth_device = match factor {
        None | Some("not_available" | "remembered_device" | "trusted_network") => {
            json!({"ip": null, "key": null, "location": {"city": null, "country": null, "state": null}, "name": null})
        }
        Some(factor) if factor.starts_with("WebAuthn") => {
            json!({"ip": null, "key": key("WA", rng), "location": location(rng), "name": "Security key"})
        }
        _ => json!({"ip": address(rng), "key": key("DP", rng), "location": location(rng), "name": who.phone}),
    };
    let access_device = access_device(rng);
    let mut value = json!({
        "access_device": access_device,
        "alias": *rng.pick(&["", "", "unknown", "ext-user"]),
        "application": {"key": app_key, "name": app_name},
        "auth_device": auth_device,
        "email": if who.name.contains('@') { who.name.to_owned() } else { format!("{}@example.com", who.name) },
        "event_type": if enrollment { "enrollment" } else { "authentication" },
        "factor": factor,
        "isotimestamp": micros(draft.at),
        "ood_software": null,
        "reason": reason,
        "result": result,
        "timestamp": draft.at.timestamp(),
        "trusted_endpoint_status": *rng.pick(&["trusted", "not trusted", "unknown"]),
        "txid": txid,
        "user": {"groups": names, "key": who.key, "name": who.name},
    });
    if rng.below(3) == 0 {
        let low = *result == "fraud" || rng.below(20) == 0;
        set(
            &mut value,
            "adaptive_trust_assessments",
            json!({"more_secure_auth": assessment(low), "remember_me": assessment(false)}),
        );
    }
    if rng.below(10) == 0 {
        set(&mut value, "remembered_factor", json!("duo_push"));
        set(&mut value, "rbfs_triggered_attacks", json!([]));
    }
    value
}

/// Also the body of a trust monitor's `surfaced_auth`.
pub(super) fn surfaced(draft: &mut Draft<'_>) -> Value {
    let txid = json!(uuid(draft.rng.next(), draft.rng.next()));
    ordinary(draft, txid)
}

fn assessment(low: bool) -> Value {
    json!({
        "detected_attack_detectors": if low { json!(["NOVEL_ASN", "USER_MARKED_FRAUD"]) } else { Value::Null },
        "features_version": "3.0",
        "model_version": "2025.11.04.002",
        "policy_enabled": low,
        "preview_mode_enabled": false,
        "reason": if low { "Signs of a known attack pattern" } else { "No sign of an attack" },
        "trust_level": if low { "LOW" } else { "NORMAL" },
    })
}

fn access_device(rng: &mut Rng) -> Value {
    let [browser, browser_version, os, os_version] = software(rng);
    let agents = match rng.below(4) {
        0 => Value::Null,
        1 => json!("unknown"),
        2 => json!([]),
        _ => json!([{"security_agent": "example-agent", "version": "7.2.1"}]),
    };
    let known = rng.below(4) != 0;
    let flag = |on: bool| if known { json!(on) } else { json!("unknown") };
    json!({
        "browser": browser,
        "browser_version": browser_version,
        "epkey": known.then(|| key("EP", rng)),
        "flash_version": "uninstalled",
        "hostname": known.then_some("laptop-17.example.com"),
        "ip": address(rng),
        "is_encryption_enabled": flag(true),
        "is_firewall_enabled": flag(true),
        "is_password_set": flag(rng.below(9) != 0),
        "java_version": "unknown",
        "location": location(rng),
        "management_agents": [],
        "os": os,
        "os_version": os_version,
        "security_agents": agents,
    })
}

fn bend(value: &mut Value, turn: usize) {
    match turn % 8 {
        0 => {
            for name in ["access_device", "alias", "auth_device", "email", "factor", "reason", "ood_software"]
            {
                set(value, name, Value::Null);
            }
            set(value, "trusted_endpoint_status", Value::Null);
            set(value, "user", json!({"groups": [], "key": null, "name": "nobody-we-know"}));
        }
        1 => set(value, "access_device/ip", json!("198.51.100.23:51234")),
        2 => set(value, "access_device/ip", json!("terminal-4.example.com")),
        3 => {
            let place = json!({"city": null, "country": null, "state": null});
            set(
                value,
                "access_device",
                json!({
                    "browser": null, "browser_version": null, "epkey": null, "flash_version": null, "hostname": null,
                    "ip": "0.0.0.0", "is_encryption_enabled": "unknown", "is_firewall_enabled": "unknown",
                    "is_password_set": "unknown", "java_version": null, "location": place, "os": null, "os_version": null,
                }),
            );
            set(value, "auth_device", json!({"ip": "0.0.0.0", "location": place, "name": "202-555-0111"}));
        }
        4 => {
            set(value, "factor", json!("desktop_passkey"));
            set(value, "reason", json!("passkey_not_synced"));
            set(value, "trusted_endpoint_status", json!("partly trusted"));
        }
        5 => {
            set(value, "user/key", json!(""));
            set(value, "user/name", json!("tab\there, quote \" there, \u{1} and \u{2028} between, 🦊"));
            set(value, "email", json!(""));
        }
        6 => {
            set(
                value,
                "posture",
                json!({"score": 0.75, "checks": [{"name": "disk", "ok": true}, null], "big": 1e300}),
            );
            set(value, "ood_software", json!("Chrome"));
        }
        _ => {
            for name in ["email", "alias", "ood_software", "reason", "trusted_endpoint_status"] {
                remove(value, name);
            }
        }
    }
}
