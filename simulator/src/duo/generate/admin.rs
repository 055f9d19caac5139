//! What administrators (and users with their devices) do: activity, and the older administrator log.

use serde_json::{Value, json};

use super::people::{address, anybody, application, groups, key, location, software};
use super::{Draft, micros, remove, set};
use crate::rng::{Rng, uuid};

/// Action, type of the actor, type of the target.
const ACTIVITIES: [(&str, &str, Option<&str>); 24] = [
    ("admin_login", "admin", None),
    ("admin_login", "admin", None),
    ("admin_activate_duo_push", "admin", Some("admin")),
    ("admin_rectivates_duo_push", "admin", Some("admin")),
    ("admin_reset_password", "admin", Some("admin")),
    ("bypass_create", "admin", Some("user_bypass")),
    ("bypass_view", "admin", Some("user_bypass")),
    ("deregister_devices", "user", Some("user")),
    ("device_change_notification_send", "system", Some("user")),
    ("group_update", "admin", Some("group")),
    ("hardtoken_create", "admin", Some("hardtoken")),
    ("integration_create", "admin", Some("integration")),
    ("integration_skey_view", "admin", Some("integration")),
    ("integration_policy_assign", "admin", Some("integration")),
    ("log_export_complete", "system", None),
    ("management_system_sync_failure", "system", Some("management_system")),
    ("phone_create", "user", Some("phone")),
    ("phone_activation_code_regenerated", "admin", Some("phone")),
    ("policy_update", "admin", Some("policy")),
    ("user_create", "admin", Some("user")),
    ("user_update", "admin", Some("user")),
    ("user_adminapi_lockout", "system", Some("user")),
    ("webauthncredential_create", "user", Some("webauthn_credential")),
    ("webauthncredential_delete", "user", Some("webauthn_credential")),
];

pub(super) fn activity(draft: Draft<'_>) -> Value {
    let Draft { rng, at, odd } = draft;
    let (action, actor, target) = *rng.pick(&ACTIVITIES);
    let details = match rng.below(3) {
        0 => json!(json!({"factor": "duo_push", "primary_auth_method": "password"}).to_string()),
        _ => Value::Null,
    };
    let [browser, browser_version, os, os_version] = software(rng);
    let device = json!({
        "browser": browser,
        "browser_version": browser_version,
        "epkey": key("EP", rng),
        "ip": {"address": address(rng)},
        "location": location(rng),
        "os": os,
        "os_version": os_version,
    });
    let (app_key, app_name, app_type) = application(rng);
    let mut value = json!({
        "access_device": if actor == "system" { Value::Null } else { device },
        "action": if rng.below(4) == 0 { json!(action) } else { json!({"details": details, "name": action}) },
        "activity_id": uuid(rng.next(), rng.next()),
        "actor": party(actor, "Active", rng),
        "akey": "DAEXAMPLE00000000001",
        "application": if actor == "user" {
            json!({"key": app_key, "name": app_name, "type": app_type})
        } else {
            Value::Null
        },
        "old_target": null,
        "outcome": {"result": if rng.below(6) == 0 { "FAILURE" } else { "SUCCESS" }},
        "target": null,
        "ts": micros(at),
    });
    if let Some(target) = target {
        let target = party(target, "Disabled", rng);
        if action.ends_with("_update") {
            let mut old = target.clone();
            set(&mut old, "details", json!(json!({"status": "Active", "notes": ""}).to_string()));
            set(&mut value, "old_target", old);
        }
        set(&mut value, "target", target);
    }
    match odd.map(|turn| turn % 4) {
        Some(0) => {
            for name in ["access_device", "application", "old_target", "outcome", "target"] {
                set(&mut value, name, Value::Null);
            }
            set(&mut value, "action", json!({"details": null, "name": action}));
        }
        Some(1) => {
            set(&mut value, "action", json!("user_update"));
            set(&mut value, "outcome", json!({"result": "PARTIAL"}));
        }
        Some(2) => {
            set(&mut value, "action", json!({"details": "{\"half\": ", "name": "passport_enable"}));
            set(&mut value, "actor/type", json!("ai_agent"));
            set(&mut value, "actor/details", json!("not JSON at all"));
        }
        Some(_) => {
            set(&mut value, "actor/details", Value::Null);
            set(&mut value, "preview", json!({"labels": ["a", "b"], "rank": 3}));
            remove(&mut value, "old_target");
        }
        None => {}
    }
    value
}

/// An actor or a target.
fn party(kind: &str, status: &str, rng: &mut Rng) -> Value {
    let who = anybody(rng);
    let groups: Vec<Value> =
        groups(rng).into_iter().map(|(key, name)| json!({"key": key, "name": name})).collect();
    let (key, name, details) = match kind {
        "user" | "user_bypass" => {
            let details = json!({"status": status, "realname": who.real_name, "groups": groups});
            (who.key.to_owned(), who.name, details)
        }
        "admin" => (key("DE", rng), who.real_name, json!({"role": "Owner", "email": "admin@example.com"})),
        "system" => (key("DA", rng), "System", json!({})),
        "phone" => (key("DP", rng), who.phone, json!({"platform": "Apple iOS", "activated": true})),
        "group" => (key("DG", rng), "Finance", json!({"status": status, "desc": "Übersicht"})),
        "webauthn_credential" => (
            key("WA", rng),
            "Security key",
            json!({"transport_types": "usb", "passwordless_authorized": false}),
        ),
        _ => (key("DI", rng), "Example VPN", json!({"policy": "Global Policy"})),
    };
    json!({"key": key, "name": name, "type": kind, "details": details.to_string()})
}

pub(super) fn administrator(draft: Draft<'_>) -> Value {
    let Draft { rng, at, odd } = draft;
    let who = anybody(rng);
    let admin = *rng.pick(&["Ada Brandt", "Carmen Núñez", "API", "System", "AD Sync: Example AD"]);
    let ip = address(rng);
    let login = json!({
        "device": who.phone, "factor": "push", "ip_address": ip, "primary_auth_method": "Password", "role": "Owner",
        "saml_idp": null,
    });
    let failed = json!({"email": "admin@example.com", "error": "Incorrect password", "ip_address": ip});
    let update = json!({"status": *rng.pick(&["Active", "Bypass", "Disabled"]), "realname": who.real_name});
    let (action, object, description) = match rng.below(14) {
        0..=3 => ("admin_login", None, Some(login.to_string())),
        4 => ("admin_login_error", None, Some(failed.to_string())),
        5 => ("admin_2fa_error", None, Some(failed.to_string())),
        6 => ("user_update", Some(who.name), Some(update.to_string())),
        7 => ("user_create", Some(who.name), Some(update.to_string())),
        8 => ("bypass_create", Some(who.name), Some(r#"{"bypass codes": 1, "valid_secs": 3600}"#.to_owned())),
        9 => ("group_update", Some("Finance"), Some(r#"["name", "desc"]"#.to_owned())),
        10 => ("phone_delete", Some(who.phone), None),
        11 => ("integration_skey_view", Some("Example VPN"), None),
        12 => ("ad_sync_finish", Some("Example AD"), Some("12 users were synchronised, 0 failed".to_owned())),
        _ => (
            "policy_update",
            Some("Global Policy"),
            Some(r#"{"sections": {"remembered_devices": {}}}"#.to_owned()),
        ),
    };
    let mut value = json!({
        "action": action,
        "description": description,
        "isotimestamp": at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        "object": object,
        "timestamp": at.timestamp(),
        "username": admin,
    });
    match odd.map(|turn| turn % 5) {
        Some(0) => {
            set(&mut value, "description", Value::Null);
            set(&mut value, "object", Value::Null);
            set(&mut value, "username", json!(""));
        }
        Some(1) => set(&mut value, "description", json!("{'status': 'Active', u'groups': [None]}")),
        Some(2) => {
            set(&mut value, "isotimestamp", json!(at.format("%Y-%m-%dT%H: %M: %S+00: 00").to_string()))
        }
        Some(3) => {
            set(&mut value, "action", json!("passport_policy_enable"));
            set(&mut value, "eventid", json!(u64::MAX));
        }
        Some(_) => {
            remove(&mut value, "isotimestamp");
            set(&mut value, "username", json!("Azure Sync: Ünïcode \\ \"Verzeichnis\"\n"));
        }
        None => {}
    }
    value
}
