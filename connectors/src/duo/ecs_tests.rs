//! ECS documents of Duo's records.

use super::tests::{sign_in, with};
use super::{Duo, STREAMS};
use crate::documents::{Vendor, agree, at, leaves, samples, valid};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const VENDOR: Vendor =
    Vendor { connector: &Duo, fields: include_str!("../../../sinks/src/elasticsearch/fields/cisco_duo.txt") };

fn activity() -> Json {
    json!({
        "access_device": {
            "browser": "Firefox", "browser_version": "141.0", "epkey": "EPEXAMPLE00000000001", "ip": { "address": "203.0.113.8" },
            "location": { "city": "Graz", "country": "Austria", "state": "Styria" }, "os": "Linux", "os_version": "6.12"
        },
        "action": { "details": null, "name": "user_update" },
        "activity_id": "0a1b2c3d-0000-4000-8000-0000000000aa", "akey": "DAEXAMPLE00000000001",
        "actor": {
            "details": "{\"status\":\"Active\",\"groups\":[{\"key\":\"DGEXAMPLE00000000001\",\"name\":\"Night shift\"}],\"last_login\":null}",
            "key": "DEEXAMPLE00000000001", "name": "Kim Example", "type": "admin"
        },
        "application": { "key": "DIEXAMPLE0APP0000001", "name": "Payroll", "type": "websdk" },
        "old_target": { "details": "{\"status\":\"Bypass\"}", "key": "DUEXAMPLE00000000001", "name": "robin", "type": "user" },
        "outcome": { "result": "SUCCESS" },
        "target": { "details": "taken off the list, as agreed in request 81", "key": "DUEXAMPLE00000000001", "name": "robin", "type": "user" },
        "ts": "2026-03-02T09:05:07.000001+00:00"
    })
}

fn telephony() -> Json {
    json!({
        "context": "enrollment", "credits": 2, "phone": "+43316000000", "telephony_id": "0a1b2c3d-0000-4000-8000-0000000000bb",
        "ts": "2026-03-02T09:05:07.250000+00:00", "txid": "0a1b2c3d-0000-4000-8000-000000000001", "type": "phone"
    })
}

fn trust_monitor() -> Json {
    json!({
        "bypass_status_enabled": 1_772_442_000_123_i64, "enabled_by": { "key": "DEEXAMPLE00000000001", "name": "Kim Example" },
        "enabled_for": { "key": "DUEXAMPLE00000000001", "name": "robin" },
        "explanations": [{ "summary": "robin has not been in this country", "type": "NEW_COUNTRY_CODE" }],
        "from_common_netblock": true, "from_new_user": false, "low_risk_ip": false, "priority_event": true,
        "priority_reasons": [{ "label": "CN", "type": "country" }], "sekey": "SEEXAMPLE00000000001", "state": "new",
        "state_updated_timestamp": null, "surfaced_auth": sign_in(), "surfaced_timestamp": 1_772_442_400_000_i64,
        "triage_event_uri": "https://admin-1a2b3c4d.example.com/trust-monitor?sekey=SEEXAMPLE00000000001",
        "triaged_as_interesting": false, "type": "auth"
    })
}

fn administrator(action: &str, description: &Json) -> Json {
    let description =
        if description.is_object() { description.to_string().into() } else { description.clone() };
    json!({
        "action": action, "description": description, "isotimestamp": "2026-03-02T09:05:07+00:00", "object": "robin",
        "timestamp": 1_772_442_307, "username": "Kim Example"
    })
}

fn offline() -> Json {
    let description =
        json!({ "user_agent": "DuoCredProv/4.1", "hostname": "laptop-17", "factor": "duo_otp" });
    with(administrator("o2fa_user_provisioned", &description), json!({ "object": "Windows Logon" }))
}

/// A record of each stream.
fn fixtures() -> Vec<(&'static str, Json)> {
    vec![
        ("authentication", sign_in()),
        ("activity", activity()),
        ("telephony", telephony()),
        ("trust_monitor", trust_monitor()),
        (
            "administrator",
            administrator(
                "user_update",
                &json!({ "realname": "Robin Example", "status": "Bypass", "Sync Ref. Code": "41c7" }),
            ),
        ),
        (
            "administrator",
            administrator(
                "admin_login",
                &json!({ "ip_address": "203.0.113.9", "factor": "push", "role": "Owner", "email": "kim@example.com" }),
            ),
        ),
        ("administrator", administrator("activation_begin", &json!("Starting over"))),
        ("offline_enrollment", offline()),
    ]
}

fn said(document: &Json, wants: &[(&str, Json)]) {
    for (path, want) in wants {
        assert_eq!(&at(document, path), want, "{path}: {document}");
    }
}

#[test]
fn every_stream_has_the_names_and_types_of_the_integration() {
    let document = VENDOR.document("authentication", &sign_in());
    said(
        &document,
        &[
            ("data_stream.dataset", json!("cisco_duo.auth")),
            ("event.dataset", json!("cisco_duo.auth")),
            ("event.outcome", json!("success")),
            ("event.reason", json!("user_approved")),
            ("cisco_duo.auth.factor", json!("duo_push")),
            ("cisco_duo.auth.application.name", json!("Payroll")),
            ("cisco_duo.auth.access_device.is_encryption_enabled", json!("unknown")),
            ("cisco_duo.auth.access_device.ip", json!("203.0.113.7")),
            ("cisco_duo.auth.auth_device.name", json!("+43 316 000000")),
            ("cisco_duo.auth.access_device.security_agents", Json::Null),
            ("source.ip", json!("203.0.113.7")),
            ("source.address", json!("laptop-17")),
            ("source.user.email", json!("robin@example.com")),
            ("source.user.group.name", json!(["Staff (from AD sync \"HQ\")"])),
            ("user.id", json!("DUEXAMPLE00000000001")),
            (
                "user_agent",
                json!({ "name": "Firefox", "version": "141.0", "os": { "name": "Linux", "version": "6.12" } }),
            ),
            ("related.ip", json!(["203.0.113.7", "198.51.100.4"])),
            ("related.hosts", json!(["laptop-17"])),
        ],
    );
    said(
        &VENDOR.document("telephony", &telephony()),
        &[
            ("data_stream.dataset", json!("cisco_duo.telephony_v2")),
            (
                "cisco_duo.telephony_v2",
                json!({
                    "credits": 2, "event_type": "enrollment", "id": "0a1b2c3d-0000-4000-8000-0000000000bb", "phone_number": "+43316000000",
                    "txid": "0a1b2c3d-0000-4000-8000-000000000001", "type": "phone"
                }),
            ),
        ],
    );
    said(
        &VENDOR.document("trust_monitor", &trust_monitor()),
        &[
            ("data_stream.dataset", json!("cisco_duo.trust_monitor")),
            ("event.kind", json!("alert")),
            ("cisco_duo.trust_monitor.bypass_status_enabled", json!(1_772_442_000_123_i64)),
            ("cisco_duo.trust_monitor.priority_event", json!(true)),
            (
                "cisco_duo.trust_monitor.explanations",
                json!([{ "summary": "robin has not been in this country", "type": "NEW_COUNTRY_CODE" }]),
            ),
            ("cisco_duo.trust_monitor.surfaced_auth.user.name", json!("robin")),
        ],
    );
    let description = json!({ "status": "Bypass", "realname": "Robin Example", "email": "robin@example.com", "notes": "", "phones": null });
    said(
        &VENDOR.document("administrator", &administrator("user_update", &description)),
        &[
            ("data_stream.dataset", json!("cisco_duo.admin")),
            (
                "cisco_duo.admin",
                json!({
                    "action": "user_update", "action_performed_on": "robin", "user": { "name": "Kim Example" },
                    "flattened": { "status": "Bypass", "realname": "Robin Example", "email": "robin@example.com" }
                }),
            ),
            ("user.name", json!("Kim Example")),
            ("user.target.email", json!("robin@example.com")),
            ("event.type", json!(["user", "change"])),
        ],
    );
    said(
        &VENDOR.document("offline_enrollment", &offline()),
        &[
            ("data_stream.dataset", json!("cisco_duo.offline_enrollment")),
            (
                "cisco_duo.offline_enrollment",
                json!({
                    "action": "o2fa_user_provisioned", "object": "Windows Logon", "user": { "name": "Kim Example" },
                    "description": { "user_agent": "DuoCredProv/4.1", "hostname": "laptop-17", "factor": "duo_otp" }
                }),
            ),
        ],
    );
}

/// thread: elastic/integrations#11744
#[test]
fn c21_details_are_opened_where_they_are_json_and_kept_where_they_are_not() {
    let document = VENDOR.document("activity", &activity());
    said(
        &document,
        &[
            ("event.action", json!("user_update")),
            ("event.outcome", json!("success")),
            ("source.ip", json!("203.0.113.8")),
            ("user.name", json!("Kim Example")),
            ("organization.id", json!("DAEXAMPLE00000000001")),
            ("cisco_duo.activity.id", json!("0a1b2c3d-0000-4000-8000-0000000000aa")),
            ("cisco_duo.activity.outcome", json!("SUCCESS")),
            ("cisco_duo.activity.action", json!({ "name": "user_update" })),
            ("cisco_duo.activity.access_device.ip.address", json!("203.0.113.8")),
            (
                "cisco_duo.activity.actor.details",
                json!({ "status": "Active", "groups": [{ "key": "DGEXAMPLE00000000001", "name": "Night shift" }] }),
            ),
            ("cisco_duo.activity.old_target.details.status", json!("Bypass")),
            ("cisco_duo.activity.target.details", Json::Null),
            (
                "cisco_duo.activity.unmapped",
                json!({ "target.details": "taken off the list, as agreed in request 81" }),
            ),
        ],
    );
    // Whatever stands there, wherever: an object or nothing, and never lost.
    for details in [
        json!("words"),
        json!("{\"half\": "),
        json!("[\"a\", {\"b\": 1}]"),
        json!("7"),
        json!("true"),
        json!("\"text\""),
        json!("{}"),
        json!({ "as": "an object" }),
        json!(["a list"]),
        json!(7),
        json!(true),
        json!("{\"a\":1,\"a\":{\"b\":\"words\"}}"),
        json!("{\"\\ud83d\":\"\\ude00 words\"}"),
    ] {
        for party in ["actor", "target", "old_target"] {
            let mut record = activity();
            record[party]["details"] = details.clone();
            let document = VENDOR.document("activity", &record);
            let shown = at(&document, &format!("cisco_duo.activity.{party}.details"));
            assert!(shown.is_null() || shown.is_object(), "{details}: {shown}");
            assert_eq!(VENDOR.refused(&document), Vec::<String>::new());
            let words = leaves(&document).iter().any(|(_, leaf)| leaf.to_string().contains("words"));
            assert_eq!(words, details.to_string().contains("words"), "{details}: {document}");
        }
    }
    // Action, outcome and address are text or objects.
    let record = with(
        activity(),
        json!({ "action": "user_delete", "outcome": "FAILURE", "access_device": { "ip": "203.0.113.8:4711" } }),
    );
    said(
        &VENDOR.document("activity", &record),
        &[
            ("event.action", json!("user_delete")),
            ("event.outcome", json!("failure")),
            ("cisco_duo.activity.action.name", json!("user_delete")),
            ("cisco_duo.activity.outcome", json!("FAILURE")),
            ("cisco_duo.activity.access_device.ip", json!({ "address": "203.0.113.8", "port": 4711 })),
            ("source.port", json!(4711)),
        ],
    );
}

/// threads: elastic/integrations#3333, elastic/integrations#3328
#[test]
fn c23_only_success_is_success_and_no_word_of_duos_is_an_outcome() {
    for (result, reason, outcome) in [
        ("fraud", "user_marked_fraud", "failure"),
        ("denied", "no_response", "failure"),
        ("denied", "denied_by_policy", "failure"),
        ("success", "user_approved", "success"),
        ("FRAUD", "user_marked_fraud", "unknown"),
        ("reviewed", "x", "unknown"),
    ] {
        let record = with(sign_in(), json!({ "result": result, "reason": reason }));
        let document = VENDOR.document("authentication", &record);
        said(
            &document,
            &[
                ("event.outcome", json!(outcome)),
                ("event.reason", json!(reason)),
                ("event.category", json!(["authentication"])),
                ("cisco_duo.auth.result", json!(result)),
            ],
        );
        valid(&[document]);
    }
    for odd in [json!(null), json!(1), json!(["fraud"]), json!({ "a": "fraud" })] {
        let document = VENDOR.document("authentication", &with(sign_in(), json!({ "result": odd })));
        assert_eq!(at(&document, "event.outcome"), "unknown");
    }
}

#[test]
fn an_address_is_split_from_its_port_and_a_name_is_none() {
    let seen = |ip: &str| {
        let mut record = sign_in();
        record["access_device"]["ip"] = ip.into();
        record["auth_device"]["ip"] = ip.into();
        let document = VENDOR.document("authentication", &record);
        assert_eq!(VENDOR.refused(&document), Vec::<String>::new());
        let device = at(&document, "cisco_duo.auth.auth_device");
        let unmapped = at(&document, "cisco_duo.auth.unmapped");
        (
            at(&document, "source.ip"),
            at(&document, "source.port"),
            device["ip"].clone(),
            device["port"].clone(),
            unmapped["access_device.ip"].clone(),
        )
    };
    for (text, ip, port) in [
        ("192.0.2.9:51000", "192.0.2.9", json!(51000)),
        ("2001:db8::9p443", "2001:db8::9", json!(443)),
        ("[2001:db8::9]:443", "2001:db8::9", json!(443)),
        ("2001:db8::9", "2001:db8::9", Json::Null),
    ] {
        assert_eq!(seen(text), (json!(ip), port.clone(), json!(ip), port, Json::Null), "{text}");
    }
    for text in ["vpn.example.com", "192.0.2.300", "192.0.2.9:70000"] {
        assert_eq!(seen(text), (Json::Null, Json::Null, Json::Null, Json::Null, json!(text)), "{text}");
    }
}

#[test]
fn what_has_no_place_is_kept_by_its_path_and_counted() {
    let mut record = sign_in();
    record["a_new_member"] = json!({ "of": ["a", 1] });
    record["access_device"]["security_agents"] =
        json!([{ "security_agent": "amp", "version": "1" }, "amp 2"]);
    record["access_device"]["location"] = json!("Graz");
    record["user"]["key"] = json!(17);
    let (documents, drift) = VENDOR.documents("authentication", record.to_string().as_bytes(), false);
    said(
        &documents[0],
        &[
            (
                "cisco_duo.auth.access_device.security_agents",
                json!([{ "security_agent": "amp", "version": "1" }]),
            ),
            (
                "cisco_duo.auth.unmapped",
                json!({
                    "a_new_member": { "of": ["a", 1] }, "access_device.location": "Graz", "access_device.security_agents[1]": "amp 2", "user.key": 17
                }),
            ),
        ],
    );
    assert_eq!(drift, 4);
    assert_eq!(VENDOR.documents("activity", activity().to_string().as_bytes(), false).1, 0);
}

/// A leaf that no document shows, and why: the time is `@timestamp`.
fn ignored(path: &str, _: &str) -> bool {
    matches!(path, "timestamp" | "isotimestamp" | "ts" | "surfaced_timestamp")
}

#[test]
fn no_leaf_is_lost() {
    let mut all = fixtures();
    all.push(("authentication", json!({ "user": { "key": 5, "name": ["a"], "groups": ["b", 6] }, "access_device": "c", "email": 7, "result": { "d": 8 } })));
    all.push(("activity", json!({ "ts": "no time", "outcome": { "result": 9, "more": "e" }, "action": ["f"], "access_device": { "ip": { "address": "g", "other": "h" } } })));
    for (stream, record) in all {
        let lost = VENDOR.lost(stream, record.to_string().as_bytes(), |path, whole| {
            ignored(path, whole) && whole != "no time"
        });
        assert_eq!(lost, Vec::<String>::new(), "{stream}: {record}");
    }
    for (stream, record, _) in published() {
        assert_eq!(
            VENDOR.lost(stream, record.as_bytes(), ignored),
            Vec::<String>::new(),
            "{stream}: {record}"
        );
    }
}

/// Records that others published.
fn published() -> Vec<(&'static str, String, Json)> {
    let files = [
        ("authentication", "auth"),
        ("authentication", "elastic_auth"),
        ("administrator", "admin"),
        ("administrator", "elastic_admin"),
        ("activity", "elastic_activity"),
        ("telephony", "telephony"),
        ("trust_monitor", "trust_monitor"),
    ];
    files
        .iter()
        .flat_map(|(stream, file)| {
            samples(&format!("duo/{file}")).into_iter().map(|(record, theirs)| (*stream, record, theirs))
        })
        .collect()
}

#[test]
fn every_document_is_valid_and_taken() {
    let records = fixtures().into_iter().map(|(stream, record)| (stream, record.to_string()));
    let published = published().into_iter().map(|(stream, record, _)| (stream, record));
    let mut documents = Vec::new();
    for (stream, record) in records.chain(published) {
        for document in VENDOR.documents(stream, record.as_bytes(), true).0 {
            assert_eq!(VENDOR.refused(&document), Vec::<String>::new(), "{stream}: {record}");
            documents.push(document);
        }
    }
    valid(&documents);
}

#[test]
fn elastics_own_documents_agree() {
    /// Where ours differ, and why.
    const DIFFERENT: &[(&str, &str)] = &[
        ("ecs.version", "theirs is older"),
        ("@timestamp", "theirs is cut to the second or the millisecond"),
        ("cisco_duo.auth.isotimestamp", "ours is as Duo wrote it"),
        (
            "cisco_duo.admin.unmapped.isotimestamp",
            "kept, since it cannot be read; `@timestamp` is the other time",
        ),
        (
            "cisco_duo.admin.unmapped.description",
            "words where the store has an object; they are the message too",
        ),
        ("data_stream", "theirs are constants of the index"),
        ("event.module", "theirs are constants of the index"),
        ("event.dataset", "theirs are constants of the index"),
        ("event.created", "theirs is left out of tests"),
        ("event.ingested", "theirs is left out of tests"),
        ("user.changes.name", "`realname` is what somebody is called; the login did not change"),
        ("user.id", "theirs has none in one of its logs"),
        ("source.user", "theirs has none in two of its logs"),
        ("organization.id", "ours only: the account whose log it is"),
        ("device.id", "ours only: the key of the machine"),
        ("related.user", "ours has the target's login too"),
        ("event.id", "theirs has none in two of its logs"),
        ("event.action", "theirs has none in one of its logs"),
        ("event.category", "an enrolment is `iam` too; theirs leaves some actions without a category"),
        ("event.type", "ours says what was started or changed too"),
        ("source.address", "an address with its port is neither an address nor a name; ours has both parts"),
        ("related.hosts", "an address with its port is no host"),
        ("source.geo", "theirs comes from a test database of addresses; ours from the record"),
        ("source.as", "theirs comes from a test database of addresses"),
        ("cisco_duo.auth.access_device.as", "theirs comes from a test database of addresses"),
        ("cisco_duo.auth.access_device.geo", "theirs comes from a test database of addresses"),
        ("cisco_duo.auth.auth_device.geo", "theirs comes from a test database of addresses"),
        ("cisco_duo.activity.access_device.as", "theirs comes from a test database of addresses"),
        ("cisco_duo.activity.access_device.geo", "theirs comes from a test database of addresses"),
    ];
    let mut needed = vec![false; DIFFERENT.len()];
    let mut compared = 0;
    for file in ["auth", "admin", "activity"] {
        let stream = match file {
            "auth" => "authentication",
            "admin" => "administrator",
            _ => "activity",
        };
        for (record, theirs) in samples(&format!("duo/elastic_{file}")) {
            let ours = VENDOR.documents(stream, record.as_bytes(), true).0.remove(0);
            compared += agree(&ours, &theirs, DIFFERENT, &mut needed);
        }
    }
    if compared > 0 {
        assert!(compared > 250, "{compared} values");
        let idle: Vec<_> = DIFFERENT.iter().zip(&needed).filter(|(_, needed)| !**needed).collect();
        assert!(idle.is_empty(), "no document needs {idle:?}");
    }
}

fn odd() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        Just(json!(18_446_744_073_709_551_615_u64)),
        ".{0,12}".prop_map(Json::from),
        prop::sample::select(vec![
            json!(""),
            json!("unknown"),
            json!("null"),
            json!("192.0.2.1:1"),
            json!("0.0.0.0"),
            json!("fe80::1%eth0"),
            json!("a.b"),
            json!("{\"a\":{\"\":[1,{}]},\"a.b\":null}"),
            json!("[1,2"),
            json!("[]"),
            json!([]),
            json!({}),
            json!([[{}]]),
            json!(["a", 1, {}]),
            json!({ "": 1, " ": "x", "a.b": 2, "a": { "b": 3 } }),
            json!({ "name": ["x"], "address": {}, "key": 5 }),
            json!("😀".repeat(9_000)),
            (0..60).fold(json!(1), |inner, _| json!({ "a": inner })),
            (0..60).fold(json!("x"), |inner, _| json!([inner])),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn whatever_a_record_holds_becomes_a_document_that_the_store_takes(
        fixture in any::<prop::sample::Index>(),
        stream in any::<prop::sample::Index>(),
        mixed in prop::bool::weighted(0.2),
        changes in prop::collection::vec((any::<prop::sample::Index>(), odd()), 1..5),
        more in prop::collection::vec((".{0,10}", odd()), 0..3),
    ) {
        let all = fixtures();
        let (own, mut record) = all[fixture.index(all.len())].clone();
        let stream = if mixed { STREAMS[stream.index(STREAMS.len())].name } else { own };
        for (place, value) in changes {
            let mut found = Vec::new();
            crate::documents::places(&record, "", &mut found);
            if let Some(found) = record.pointer_mut(&found[1 + place.index(found.len().max(2) - 1)]) {
                *found = value;
            }
        }
        for (name, value) in more {
            record[name] = value;
        }
        let text = record.to_string();
        let documents = VENDOR.documents(stream, text.as_bytes(), false).0;
        prop_assert_eq!(documents.len(), 1);
        let refused = VENDOR.refused(&documents[0]);
        prop_assert!(refused.is_empty(), "{refused:?}: {text}");
    }
}
