//! Records become events.

use super::*;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;
use tidegate_core::event::{
    Activity, ActorKind, Answer, Class, Deed, Ending, Event, Factor, RiskLevel, TargetKind, parse_time,
};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};

fn stream(name: &str) -> &'static Stream {
    Duo.stream(name).unwrap()
}

fn event<T>(name: &str, record: &Json, show: impl FnOnce(&Event<'_>) -> T) -> T {
    let text = record.to_string();
    let mut tape = Tape::new();
    let root = tape.cut(text.as_bytes()).unwrap();
    let mut events = Vec::new();
    Duo.normalize(stream(name), root, &mut |event, _| events.push(std::mem::take(event))).unwrap();
    assert_eq!(events.len(), 1);
    show(&events[0])
}

fn identity(name: &str, record: &Json) -> (Option<String>, Option<DateTime<Utc>>) {
    let text = record.to_string();
    let mut tape = Tape::new();
    let identity = Duo.identity(stream(name), tape.cut(text.as_bytes()).unwrap());
    (identity.id.map(|id| id.into_owned()), identity.time)
}

fn at(text: &str) -> Option<DateTime<Utc>> {
    Some(parse_time(text).unwrap())
}

fn plain(text: Option<&tidegate_core::json::Text<'_>>) -> Option<String> {
    text.map(|text| text.decode().into_owned())
}

/// A sign-in with a push, approved.
pub(super) fn sign_in() -> Json {
    json!({
        "access_device": {
            "browser": "Firefox", "browser_version": "141.0", "epkey": "EPEXAMPLE00000000001",
            "flash_version": "uninstalled", "hostname": "laptop-17", "ip": "203.0.113.7",
            "is_encryption_enabled": "unknown", "location": { "city": "Graz", "country": "Austria", "state": "Styria" },
            "os": "Linux", "os_version": "6.12", "security_agents": "unknown"
        },
        "alias": "", "application": { "key": "DIEXAMPLE0APP0000001", "name": "Payroll" },
        "auth_device": { "ip": "198.51.100.4", "key": "DPEXAMPLE00000000001", "location": { "city": null }, "name": "+43 316 000000" },
        "email": "robin@example.com", "event_type": "authentication", "factor": "duo_push",
        "isotimestamp": "2026-03-02T09:05:07.123456+00:00", "ood_software": null, "reason": "user_approved",
        "result": "success", "timestamp": 1_772_442_307, "trusted_endpoint_status": "unknown",
        "txid": "0a1b2c3d-0000-4000-8000-000000000001",
        "user": { "groups": ["Staff (from AD sync \"HQ\")"], "key": "DUEXAMPLE00000000001", "name": "robin" }
    })
}

/// The same with some members replaced.
pub(super) fn with(mut record: Json, members: Json) -> Json {
    for (name, value) in members.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

// Identity.

#[test]
fn an_authentication_is_its_transaction_its_time_and_its_type() {
    let (id, time) = identity("authentication", &sign_in());
    assert_eq!(
        id.as_deref(),
        Some("0a1b2c3d-0000-4000-8000-000000000001|2026-03-02T09:05:07.123456+00:00|authentication")
    );
    assert_eq!(time, at("2026-03-02T09:05:07.123456Z"));
    for other in [
        json!({ "isotimestamp": "2026-03-02T09:05:31.000001+00:00" }),
        json!({ "event_type": "enrollment" }),
        json!({ "txid": "0a1b2c3d-0000-4000-8000-000000000002" }),
    ] {
        assert_ne!(identity("authentication", &with(sign_in(), other)).0, id);
    }
    // The user's name may change later; the record stays the same one.
    assert_eq!(identity("authentication", &with(sign_in(), json!({ "user": null, "email": "x" }))).0, id);
    assert_eq!(identity("authentication", &with(sign_in(), json!({ "txid": null }))).0, None);
}

/// D14: the record's own time; D12: always with its zone.
#[test]
fn times_are_the_records_own() {
    let iso = |text: Json| identity("authentication", &with(sign_in(), json!({ "isotimestamp": text }))).1;
    assert_eq!(iso(json!("2026-03-02T10:05:07+01:00")), at("2026-03-02T09:05:07Z"));
    assert_eq!(iso(json!(null)), at("2026-03-02T09:05:07Z"));
    assert_eq!(iso(json!(["x"])), at("2026-03-02T09:05:07Z"));
    assert_eq!(identity("authentication", &json!({ "txid": "a" })).1, None);
    let activity = json!({ "activity_id": "a", "ts": "2026-03-02T09:05:07.000001+00:00" });
    assert_eq!(identity("activity", &activity), (Some("a".to_owned()), at("2026-03-02T09:05:07.000001Z")));
    let trust =
        json!({ "sekey": "SE1", "surfaced_timestamp": 1_772_442_307_059i64, "state_updated_timestamp": 1 });
    assert_eq!(identity("trust_monitor", &trust), (Some("SE1".to_owned()), at("2026-03-02T09:05:07.059Z")));
}

#[test]
fn a_message_under_two_transactions_is_two_records() {
    let message =
        |txid: Json| json!({ "telephony_id": "t", "txid": txid, "ts": "2026-03-02T09:05:07+00:00" });
    let first = identity("telephony", &message(json!("a"))).0;
    assert_eq!(first.as_deref(), Some("t|a|2026-03-02T09:05:07+00:00"));
    assert_ne!(identity("telephony", &message(json!("b"))).0, first);
    assert_eq!(
        identity("telephony", &message(json!(null))).0.as_deref(),
        Some("t||2026-03-02T09:05:07+00:00")
    );
}

#[test]
fn v1_records_have_a_time_and_no_id() {
    for name in ["administrator", "offline_enrollment"] {
        let record = json!({ "action": "x", "timestamp": 1_772_442_307, "isotimestamp": "2026-03-02T09: 05: 07+00: 00" });
        assert_eq!(identity(name, &record), (None, at("2026-03-02T09:05:07Z")));
        assert_eq!(
            identity(name, &json!({ "isotimestamp": "2026-03-02T09:05:07+00:00" })).1,
            at("2026-03-02T09:05:07Z")
        );
    }
    assert!(STREAMS.iter().all(|stream| Duo.volatile(stream).is_empty()));
}

#[test]
fn a_v1_record_keeps_its_time_however_the_name_of_that_is_spelled() {
    for (record, time, written) in [
        (r#"{"action":"x","\u0074imestamp":1772442307}"#, "2026-03-02T09:05:07Z", "1772442307"),
        (
            r#"{"action":"x","isotime\u0073tamp":"2026-03-02T01:05:07-08:00"}"#,
            "2026-03-02T09:05:07Z",
            "2026-03-02T01:05:07-08:00",
        ),
        // Equal names: the last counts.
        (r#"{"action":"x","timestamp":1,"\u0074imestamp":1772442307}"#, "2026-03-02T09:05:07Z", "1772442307"),
        (
            r#"{"timestamp":1772442307,"i\u0073otimestamp":"2026-03-02T09:05:07+00:00"}"#,
            "2026-03-02T09:05:07Z",
            "2026-03-02T09:05:07+00:00",
        ),
    ] {
        let mut tape = Tape::new();
        let root = tape.cut(record.as_bytes()).unwrap();
        for name in ["administrator", "offline_enrollment"] {
            let mut said = None;
            Duo.normalize(stream(name), root, &mut |event, _| {
                said =
                    Some((event.time, event.written.as_ref().map(|written| written.decode().into_owned())));
            })
            .unwrap();
            assert_eq!(said, Some((at(time), Some(written.to_owned()))), "{record}");
            assert_eq!(Duo.identity(stream(name), root).time, at(time), "{record}");
        }
    }
}

// Authentication.

#[test]
fn a_sign_in_says_who_from_where_into_what_and_with_what() {
    event("authentication", &sign_in(), |event| {
        assert_eq!(plain(event.id.as_ref()).unwrap(), "0a1b2c3d-0000-4000-8000-000000000001");
        assert_eq!(event.time, at("2026-03-02T09:05:07.123456Z"));
        assert_eq!((event.kind.class, event.kind.activity), (Class::Authentication, Activity::Logon));
        assert_eq!(plain(event.kind.action.as_ref()).unwrap(), "authentication");
        assert_eq!(event.outcome.result, Ending::Success);
        assert_eq!(plain(event.outcome.reason.as_ref()).unwrap(), "user_approved");
        assert_eq!(event.actor.kind, ActorKind::User);
        assert_eq!(plain(event.actor.account.name.as_ref()).unwrap(), "robin");
        assert_eq!(plain(event.actor.account.id.as_ref()).unwrap(), "DUEXAMPLE00000000001");
        assert_eq!(plain(event.actor.account.email.as_ref()).unwrap(), "robin@example.com");
        assert_eq!(plain(event.source.ip.as_ref()).unwrap(), "203.0.113.7");
        assert_eq!(plain(event.source.geo.region.as_ref()).unwrap(), "Styria");
        assert_eq!(plain(event.app.name.as_ref()).unwrap(), "Payroll");
        assert_eq!(plain(event.device.name.as_ref()).unwrap(), "laptop-17");
        assert_eq!(plain(event.agent.browser.as_ref()).unwrap(), "Firefox");
        assert_eq!(event.mfa.summary().as_deref(), Some("push, approved, performed"));
    });
}

#[test]
fn each_factor_result_and_reason_says_what_became_of_the_second_factor() {
    let said = |factor: Json, result: &str, reason: Json| {
        let record = with(sign_in(), json!({ "factor": factor, "result": result, "reason": reason }));
        event("authentication", &record, |event| {
            (event.mfa.summary(), event.mfa.performed, event.outcome.result)
        })
    };
    let cases = [
        ("duo_push", "denied", "user_cancelled", "push, denied", Some(false), Ending::Failure),
        ("duo_push", "fraud", "user_marked_fraud", "push, denied as fraud", Some(false), Ending::Failure),
        ("duo_push", "denied", "no_response", "push, unanswered", Some(false), Ending::Failure),
        ("duo_push", "denied", "anomalous_push", "push, blocked, fatigue", Some(false), Ending::Denied),
        ("phone_call", "denied", "call_timed_out", "call, unanswered", Some(false), Ending::Failure),
        ("phone_call", "success", "user_approved", "call, approved, performed", Some(true), Ending::Success),
        (
            "sms_passcode",
            "success",
            "valid_passcode",
            "sms, approved, performed",
            Some(true),
            Ending::Success,
        ),
        ("sms_refresh", "success", "user_approved", "sms, challenge", None, Ending::Success),
        (
            "duo_mobile_passcode_totp",
            "denied",
            "invalid_passcode",
            "totp, failed",
            Some(false),
            Ending::Failure,
        ),
        ("passcode", "denied", "invalid_passcode", "otp, failed", Some(false), Ending::Failure),
        ("duo_mobile_passcode", "denied", "invalid_passcode", "otp, failed", Some(false), Ending::Failure),
        (
            "duo_mobile_passcode_hotp",
            "denied",
            "invalid_passcode",
            "hotp, failed",
            Some(false),
            Ending::Failure,
        ),
        ("u2f_token", "success", "user_approved", "u2f, approved, performed", Some(true), Ending::Success),
        (
            "hardware_token",
            "success",
            "valid_passcode",
            "hardware token, approved, performed",
            Some(true),
            Ending::Success,
        ),
        (
            "WebAuthn Chrome Touch ID",
            "success",
            "user_approved",
            "webauthn, approved, performed",
            Some(true),
            Ending::Success,
        ),
        (
            "bypass_code",
            "success",
            "valid_passcode",
            "recovery code, approved, performed",
            Some(true),
            Ending::Success,
        ),
        (
            "remembered_device",
            "success",
            "remembered_device",
            "remembered device, not performed",
            Some(false),
            Ending::Success,
        ),
        (
            "trusted_network",
            "success",
            "trusted_network",
            "bypass, not performed",
            Some(false),
            Ending::Success,
        ),
        ("not_available", "success", "bypass_user", "bypass, not performed", Some(false), Ending::Success),
        ("not_available", "denied", "locked_out", "blocked", None, Ending::Denied),
        ("duo_push", "denied", "location_restricted", "push, blocked", Some(false), Ending::Denied),
        ("telepathy", "success", "user_approved", "other, approved, performed", Some(true), Ending::Success),
    ];
    for (factor, result, reason, summary, performed, ending) in cases {
        assert_eq!(
            said(json!(factor), result, json!(reason)),
            (Some(summary.to_owned()), performed, ending),
            "{factor} {result} {reason}"
        );
    }
    assert_eq!(said(json!(null), "denied", json!(null)), (None, None, Ending::Failure));
    assert_eq!(said(json!("duo_push"), "reviewed", json!(null)).2, Ending::Unknown);
    assert_eq!(said(json!("duo_push"), "denied", json!("error")).1, Some(false));
}

#[test]
fn an_enrolment_adds_a_factor_and_proves_nothing() {
    let record = with(sign_in(), json!({ "event_type": "enrollment", "reason": null }));
    event("authentication", &record, |event| {
        assert_eq!((event.kind.class, event.kind.activity), (Class::Account, Activity::FactorEnable));
        assert_eq!((event.mfa.deed, event.mfa.performed), (Some(Deed::Enroll), None));
    });
}

/// D13
#[test]
fn an_address_may_carry_a_port_or_be_none_at_all() {
    let source = |ip: Json| {
        let record = with(sign_in(), json!({ "access_device": { "ip": ip } }));
        event("authentication", &record, |event| {
            let source = &event.source;
            (plain(source.ip.as_ref()), source.port, plain(source.address.as_ref()))
        })
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(source(json!("192.0.2.9:51000")), (text("192.0.2.9"), Some(51000), None));
    assert_eq!(source(json!("[2001:db8::9]:443")), (text("2001:db8::9"), Some(443), None));
    assert_eq!(source(json!("2001:db8::9")), (text("2001:db8::9"), None, None));
    assert_eq!(source(json!("0.0.0.0")), (None, None, None));
    assert_eq!(source(json!("vpn.example.com")), (None, None, text("vpn.example.com")));
    assert_eq!(source(json!("192.0.2.9:port")), (None, None, text("192.0.2.9:port")));
    for nothing in [json!(null), json!(""), json!(7), json!(["192.0.2.9"]), json!("unknown")] {
        assert_eq!(source(nothing), (None, None, None));
    }
}

#[test]
fn low_trust_is_risk_and_not_the_word_low() {
    let record = with(
        sign_in(),
        json!({ "adaptive_trust_assessments": {
            "more_secure_auth": { "trust_level": "LOW", "detected_attack_detectors": ["NOVEL_ASN", "USER_MARKED_FRAUD"] },
            "remember_me": { "trust_level": "NORMAL", "detected_attack_detectors": null }
        } }),
    );
    event("authentication", &record, |event| {
        assert_eq!((event.risk.level, event.risk.threat), (Some(RiskLevel::Medium), Some(true)));
        assert!(event.risk.word.is_none());
        assert_eq!(event.risk.reasons.len(), 2);
    });
}

#[test]
fn a_user_who_is_worn_down_with_requests_is_said_to_be() {
    let fatigue = |more: Json| event("authentication", &with(sign_in(), more), |event| event.mfa.fatigue);
    let attacks = |words: Json| json!({ "adaptive_trust_assessments": { "more_secure_auth": { "detected_attack_detectors": words } } });
    assert!(fatigue(json!({ "result": "denied", "reason": "anomalous_push" })));
    assert!(fatigue(attacks(json!(["NOVEL_ASN", "PUSH_HARASSMENT"]))));
    assert!(fatigue(json!({ "rbfs_triggered_attacks": ["push_harassment"] })));
    for other in [
        json!({}),
        attacks(json!(["NOVEL_ASN"])),
        attacks(json!(null)),
        json!({ "rbfs_triggered_attacks": 7 }),
    ] {
        assert!(!fatigue(other));
    }
    let record = with(sign_in(), json!({ "rbfs_triggered_attacks": ["COUNTRY_CODE_MISMATCH"] }));
    event("authentication", &record, |event| {
        assert_eq!(event.risk.threat, Some(true));
        assert_eq!(*event.risk.reasons, ["COUNTRY_CODE_MISMATCH"]);
    });
}

// The other logs.

#[test]
fn an_activity_says_who_did_what_to_whom() {
    let record = json!({
        "access_device": { "browser": "Chrome", "ip": { "address": "203.0.113.8" }, "location": { "city": "Graz" } },
        "action": { "details": null, "name": "webauthncredential_create" },
        "activity_id": "0a1b2c3d-0000-4000-8000-0000000000aa", "akey": "DAEXAMPLE00000000001",
        "actor": { "details": "{\"status\":\"Active\"}", "key": "DUEXAMPLE00000000001", "name": "robin", "type": "user" },
        "application": { "key": "DIEXAMPLE0APP0000001", "name": "Payroll", "type": "websdk" },
        "old_target": null, "outcome": { "result": "SUCCESS" },
        "target": { "details": null, "key": "WAEXAMPLE00000000001", "name": "Key", "type": "webauthn_credential" },
        "ts": "2026-03-02T09:05:07.000001+00:00"
    });
    event("activity", &record, |event| {
        assert_eq!((event.kind.class, event.kind.activity), (Class::Account, Activity::FactorEnable));
        assert_eq!(event.outcome.result, Ending::Success);
        assert_eq!(event.actor.kind, ActorKind::User);
        assert_eq!(plain(event.source.ip.as_ref()).unwrap(), "203.0.113.8");
        assert_eq!(event.targets[0].kind, TargetKind::Factor);
        assert_eq!(plain(event.targets[0].account.full_name.as_ref()).unwrap(), "Key");
        assert_eq!((event.mfa.deed, event.mfa.factor), (Some(Deed::Enroll), Some(Factor::WebAuthn)));
    });
    // The action may be text, and everything else null.
    let record = json!({ "action": "admin_login_error", "actor": null, "target": null, "outcome": null, "access_device": null });
    event("activity", &record, |event| {
        assert_eq!(plain(event.kind.action.as_ref()).unwrap(), "admin_login_error");
        assert_eq!((event.kind.class, event.outcome.result), (Class::Authentication, Ending::Failure));
        assert!(event.targets.is_empty() && event.time.is_none());
    });
}

#[test]
fn a_message_is_a_challenge() {
    let record = json!({
        "context": "authentication", "credits": 2, "phone": "+4331600000", "telephony_id": "t", "txid": "a",
        "ts": "2026-03-02T09:05:07.5+00:00", "type": "phone"
    });
    event("telephony", &record, |event| {
        assert_eq!(event.mfa.summary().as_deref(), Some("call, challenge"));
        assert_eq!(plain(event.mfa.intent.as_ref()).unwrap(), "authentication");
        assert_eq!(event.outcome.result, Ending::Unknown);
    });
}

#[test]
fn trust_monitor_is_a_verdict_about_the_sign_in_inside_it() {
    let record = json!({
        "sekey": "SE1", "type": "auth", "state": "new", "surfaced_timestamp": 1_772_442_400_000i64, "priority_event": true,
        "explanations": [{ "type": "NEW_COUNTRY_CODE", "summary": "robin has not been in this country" }],
        "surfaced_auth": with(sign_in(), json!({ "event_type": null }))
    });
    event("trust_monitor", &record, |event| {
        assert!(event.kind.alert);
        assert_eq!((event.kind.class, plain(event.id.as_ref()).unwrap().as_str()), (Class::Detection, "SE1"));
        assert_eq!(event.time, at("2026-03-02T09:06:40Z"));
        assert_eq!(plain(event.actor.account.name.as_ref()).unwrap(), "robin");
        assert_eq!(plain(event.source.ip.as_ref()).unwrap(), "203.0.113.7");
        assert_eq!(event.risk.level, Some(RiskLevel::High));
        assert_eq!(plain(event.message.as_ref()).unwrap(), "robin has not been in this country");
    });
    let bypass = json!({
        "sekey": "SE2", "type": "bypass_status", "enabled_by": { "key": "DEEXAMPLE1", "name": "Kim" },
        "enabled_for": { "key": "DUEXAMPLE1", "name": "robin" }, "surfaced_auth": null
    });
    event("trust_monitor", &bypass, |event| {
        assert_eq!(plain(event.actor.account.name.as_ref()).unwrap(), "Kim");
        assert_eq!(event.targets[0].kind, TargetKind::User);
        assert_eq!(event.mfa.deed, Some(Deed::Bypass));
    });
}

#[test]
fn a_verdict_of_trust_monitor_has_a_state_and_a_level_of_its_own() {
    let denied = json!({ "event_type": null, "result": "denied", "reason": "user_mistake" });
    let record = |more: Json| {
        let base = json!({ "sekey": "SE1", "type": "auth", "state": "new", "priority_event": false,
            "surfaced_timestamp": 1_772_442_400_000i64, "surfaced_auth": with(sign_in(), denied.clone()) });
        with(base, more)
    };
    event("trust_monitor", &record(json!({})), |event| {
        assert_eq!(event.kind.activity, Activity::Create);
        assert_eq!(plain(event.outcome.word.as_ref()).unwrap(), "new");
        // How the sign-in ended is not how the verdict did.
        assert_eq!((event.outcome.result, event.outcome.reason.is_none()), (Ending::Unknown, true));
        assert_eq!(event.mfa.answer, Some(Answer::Denied));
        assert_eq!(event.risk.level, Some(RiskLevel::Medium));
    });
    event("trust_monitor", &record(json!({ "state": "processed" })), |event| {
        assert_eq!(event.kind.activity, Activity::Close);
        assert_eq!(plain(event.outcome.word.as_ref()).unwrap(), "processed");
    });
    event("trust_monitor", &record(json!({ "priority_event": true, "state": 7 })), |event| {
        assert_eq!(event.risk.level, Some(RiskLevel::High));
        assert!(event.outcome.word.is_none());
    });
}

#[test]
fn an_administrators_action_is_read_from_a_description_of_any_kind() {
    let record = |action: &str, description: Json| json!({ "action": action, "username": "Kim Example", "object": "robin", "timestamp": 1_772_442_307, "description": description });
    let login = json!({ "ip_address": "203.0.113.9", "factor": "push", "role": "Owner" }).to_string();
    event("administrator", &record("admin_login", json!(login)), |event| {
        assert_eq!(plain(event.source.ip.as_ref()).unwrap(), "203.0.113.9");
        assert_eq!((event.kind.class, event.outcome.result), (Class::Authentication, Ending::Success));
        assert_eq!(event.mfa.summary().as_deref(), Some("push, approved, performed"));
    });
    let error =
        json!({ "error": "wrong password", "email": "kim@example.com", "ip_address": "nowhere" }).to_string();
    event("administrator", &record("admin_login_error", json!(error)), |event| {
        assert_eq!(event.outcome.result, Ending::Failure);
        assert_eq!(plain(event.outcome.reason.as_ref()).unwrap(), "wrong password");
        assert_eq!(plain(event.source.address.as_ref()).unwrap(), "nowhere");
    });
    let status = |status: &str| {
        let description = json!({ "status": status }).to_string();
        event("administrator", &record("user_update", json!(description)), |event| {
            (event.kind.activity, event.mfa.deed)
        })
    };
    assert_eq!(status("Disabled"), (Activity::Disable, None));
    assert_eq!(status("Active"), (Activity::Enable, None));
    assert_eq!(status("Bypass"), (Activity::FactorDisable, Some(Deed::Bypass)));
    for odd in [
        json!(null),
        json!("Starting"),
        json!("[1]"),
        json!("{'a': 1}"),
        json!("{\"a\""),
        json!({ "status": 1 }),
        json!(5),
    ] {
        event("administrator", &record("user_update", odd), |event| {
            assert_eq!(event.kind.activity, Activity::Update);
            assert_eq!(plain(event.targets[0].account.name.as_ref()).unwrap(), "robin");
        });
    }
    for (name, kind) in
        [("API", ActorKind::Service), ("AD Sync: HQ", ActorKind::System), ("", ActorKind::Unknown)]
    {
        let record = json!({ "action": "user_create", "username": name });
        event("administrator", &record, |event| assert_eq!(event.actor.kind, kind, "{name}"));
    }
}

#[test]
fn offline_access_is_enrolled_and_removed() {
    let description =
        json!({ "user_agent": "DuoCredProv/4.1", "hostname": "laptop-17", "factor": "duo_otp" }).to_string();
    let record = |action: &str| json!({ "action": action, "username": "robin", "object": "Windows Logon", "timestamp": 1_772_442_307, "description": description });
    event("offline_enrollment", &record("o2fa_user_provisioned"), |event| {
        assert_eq!((event.mfa.deed, event.mfa.factor), (Some(Deed::Enroll), Some(Factor::Otp)));
        assert_eq!(plain(event.device.name.as_ref()).unwrap(), "laptop-17");
        assert_eq!(plain(event.app.name.as_ref()).unwrap(), "Windows Logon");
        assert_eq!(event.mfa.answer, None::<Answer>);
    });
    event("offline_enrollment", &record("o2fa_user_deprovisioned"), |event| {
        assert_eq!(event.mfa.deed, Some(Deed::Remove));
    });
}

// Any record.

fn context(stream: &Stream) -> Context<'static> {
    let names = STREAMS.iter().find(|known| known.name == stream.name).unwrap().names;
    Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names,
        fetched: at("2026-03-02T10:00:30Z").unwrap().into(),
        ingested: at("2026-03-02T10:00:31Z").unwrap().into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

/// Normalizes and renders in every stream; what is no object is refused with a reason.
fn survives(record: &[u8]) {
    let mut tape = Tape::new();
    let Ok(root) = tape.cut(record) else { return };
    for stream in STREAMS {
        let identity = Duo.identity(stream, root);
        let mut events = Vec::new();
        match Duo.normalize(stream, root, &mut |event, _| events.push(std::mem::take(event))) {
            Ok(()) => assert_eq!(events.len(), 1),
            Err(error) => assert!(!error.0.is_empty() && !record.trim_ascii_start().starts_with(b"{")),
        }
        for event in &events {
            assert_eq!(event.time, identity.time, "{}: {}", stream.name, String::from_utf8_lossy(record));
            for schema in schema::ALL.into_iter().filter(|schema| !schema.is_text()) {
                let mut out = Vec::new();
                if schema.render(event, &context(stream), &mut out).is_ok() {
                    assert!(serde_json::from_slice::<Json>(&out).is_ok());
                }
            }
        }
    }
}

#[test]
fn every_type_in_every_place_is_survived() {
    let records = [
        sign_in(),
        json!({ "action": { "name": "user_update" }, "actor": { "type": "user" }, "target": {}, "access_device": { "ip": { "address": "x" } }, "outcome": { "result": "SUCCESS" } }),
        json!({ "action": "user_update", "description": "{\"status\":\"Bypass\"}", "username": "a", "object": "b", "timestamp": 1 }),
        json!({ "sekey": "a", "surfaced_auth": sign_in(), "explanations": [{ "type": "X" }], "enabled_for": {}, "enabled_by": {} }),
    ];
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(i64::MAX),
        json!(""),
        json!("\u{0}\"\\é"),
        json!([]),
        json!([[{}]]),
        json!({}),
        json!({ "name": [1], "key": {}, "address": 5 }),
    ];
    for record in records {
        for name in record.as_object().unwrap().keys() {
            for value in &odd {
                survives(with(record.clone(), json!({ name.as_str(): value })).to_string().as_bytes());
            }
        }
    }
    for text in [r#"{"txid":"\ud800","txid":"b"}"#, "null", "[]", "\"x\"", "7", r#"{"":{"":""}}"#] {
        survives(text.as_bytes());
    }
}

/// JSON whose keys are Duo's, so that it gets somewhere.
fn arbitrary() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,20}".prop_map(Json::from),
        prop::sample::select(vec![
            "success",
            "duo_push",
            "admin_login",
            "LOW",
            "192.0.2.1:1",
            "{\"status\":\"Bypass\"}",
            "sms"
        ])
        .prop_map(Json::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "txid",
            "timestamp",
            "isotimestamp",
            "event_type",
            "result",
            "reason",
            "factor",
            "user",
            "key",
            "name",
            "access_device",
            "ip",
            "address",
            "location",
            "adaptive_trust_assessments",
            "a",
            "trust_level",
            "detected_attack_detectors",
            "action",
            "actor",
            "target",
            "type",
            "outcome",
            "description",
            "username",
            "object",
            "surfaced_auth",
            "explanations",
            "surfaced_timestamp",
            "ts",
            "telephony_id",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_survived(record in arbitrary()) {
        survives(record.to_string().as_bytes());
    }

    #[test]
    fn any_answer_is_read_without_a_panic(response in arbitrary(), metadata in arbitrary()) {
        let body = json!({ "stat": "OK", "response": response, "metadata": metadata }).to_string();
        let from = at("2026-03-02T09:00:00Z").unwrap();
        for endpoint in STREAMS.iter().filter_map(|stream| client::endpoint(stream.name)) {
            let since = units::Seconds::floor(from);
            let ask = client::Ask { endpoint, path: "/", query: String::new(), token: None, since };
            let _read = page::read(&ask, from, from + chrono::TimeDelta::hours(1), body.as_bytes());
        }
    }
}
