//! Records of all vendors against OCSF: invented fixtures beside the documents that they become, and properties.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

pub(crate) mod check;

use crate::testing::strict;
use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use tidegate_core::event::parse_time;
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};
use tidegate_core::source::{Connector, Stream};

const SCHEMAS: [&str; 2] = ["ocsf", "ocsf_1_9"];

pub(crate) struct Fixture {
    name: String,
    path: PathBuf,
    pub(crate) connector: &'static dyn Connector,
    pub(crate) stream: &'static Stream,
    pub(crate) record: Json,
}

fn fixture(name: String, path: PathBuf, connector: &str, stream: &str, record: Json) -> Fixture {
    let connector = *crate::ALL.iter().find(|known| known.name() == connector).unwrap();
    let stream = connector.stream(stream).unwrap();
    Fixture { name, path, connector, stream, record }
}

/// Those of this folder.
fn own() -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ocsf_tests/fixtures");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mut told: Json =
                serde_json::from_slice(&std::fs::read(path.join("record.json")).unwrap()).unwrap();
            let word = |key: &str| told[key].as_str().unwrap().to_owned();
            let (connector, stream) = (word("connector"), word("stream"));
            fixture(name, path, &connector, &stream, told["record"].take())
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() >= 35);
    found
}

/// Those and the connectors' own, which lie in `fixtures/NAME` or `fixtures/STREAM/NAME`.
pub(crate) fn all() -> Vec<Fixture> {
    let mut found = own();
    let mut todo: Vec<(&str, String, PathBuf)> = ["okta", "entra"]
        .map(|connector| {
            let folder = format!("src/{connector}/fixtures");
            (connector, "system_log".to_owned(), PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder))
        })
        .into();
    while let Some((connector, stream, folder)) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Ok(record) = std::fs::read(path.join("record.json")) else {
                todo.push((connector, name, path));
                continue;
            };
            // The one with half a surrogate pair is JSON that serde refuses.
            if let Ok(record) = serde_json::from_slice(&record) {
                found.push(fixture(name, path, connector, &stream, record));
            }
        }
    }
    found
}

/// All documents of a record.
fn documents(fixture: &Fixture, record: &str, schema: &str, original: bool, marks: Marks<'_>) -> Vec<Json> {
    let at = |text| parse_time(text).unwrap();
    let context = Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: fixture.stream.names,
        fetched: at("2026-01-15T10:00:30Z").into(),
        ingested: at("2026-01-15T10:00:31Z").into(),
        id: Some("example-id"),
        original,
        as_sent: false,
        marks,
    };
    let mut tape = Tape::new();
    let mut documents = Vec::new();
    fixture
        .connector
        .normalize(fixture.stream, tape.cut(record.as_bytes()).unwrap(), &mut |event, _| {
            let mut out = Vec::new();
            schema::by_name(schema).unwrap().render(event, &context, &mut out).unwrap();
            documents.push(strict(std::str::from_utf8(&out).unwrap()));
        })
        .unwrap();
    documents
}

fn of(name: &str, schema: &str) -> Json {
    let fixture = all().into_iter().find(|fixture| fixture.name == name).unwrap();
    documents(&fixture, &fixture.record.to_string(), schema, false, Marks::default()).remove(0)
}

/// `UPDATE_FIXTURES=1 cargo test -p tidegate-connectors` writes the documents anew; read the difference as you read code.
#[test]
fn fixtures_become_the_documents_beside_them() {
    for fixture in own() {
        for schema in SCHEMAS {
            let found = documents(&fixture, &fixture.record.to_string(), schema, false, Marks::default());
            let golden = fixture.path.join(format!("{schema}.json"));
            if std::env::var_os("UPDATE_FIXTURES").is_some() {
                std::fs::write(&golden, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
            }
            let expected: Vec<Json> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
            assert_eq!(found, expected, "{} {schema}", fixture.name);
        }
    }
}

#[test]
fn every_stream_that_has_a_shape_of_its_own_has_a_fixture() {
    let own = own();
    for connector in crate::ALL.iter().filter(|connector| connector.name() != "google_workspace") {
        for stream in connector.streams() {
            let same = |fixture: &Fixture| {
                fixture.connector.name() == connector.name()
                    && (fixture.stream.name == stream.name
                        || std::ptr::eq(fixture.stream.names, stream.names)
                        || fixture.stream.names.dataset == stream.names.dataset)
            };
            assert!(own.iter().any(same), "{} {}", connector.name(), stream.name);
        }
    }
}

#[test]
fn documents_are_what_the_schema_allows() {
    for fixture in all() {
        for schema in SCHEMAS {
            for document in documents(&fixture, &fixture.record.to_string(), schema, true, Marks::default()) {
                let faults = check::faults(&document);
                assert!(faults.is_empty(), "{} {schema}: {faults:#?}\n{document:#}", fixture.name);
                assert_eq!(document["raw_data"], fixture.record.to_string());
            }
        }
    }
}

/// Words whose meaning a document has although it does not repeat them.
const MEANT: [&str; 13] = [
    "actor.callerType",
    "metadata.severity",
    "metadata.status",
    "result",
    "outcome.result",
    "actor.type",
    "state",
    "provisioningStatusInfo.status",
    "initiatedBy.initiatorType",
    "securityContext.risk.level",
    "riskState",
    "riskLevel",
    "riskLevelDuringSignIn",
];

#[test]
fn no_leaf_is_lost() {
    for fixture in all() {
        let record = fixture.record.to_string();
        let found = documents(&fixture, &record, "ocsf", false, Marks::default());
        let mut texts = Vec::new();
        found.iter().for_each(|document| leaves(document, String::new(), &mut texts));
        let mut wanted = Vec::new();
        leaves(&fixture.record, String::new(), &mut wanted);
        for (path, value) in wanted {
            let meant = MEANT.contains(&path.as_str());
            assert!(
                meant || texts.iter().any(|(_, text)| holds(text, &value)),
                "{}: {path} = {value} is nowhere in {:#}",
                fixture.name,
                found[0]
            );
        }
    }
}

/// Whether a leaf of a document is this one, or holds it as text.
fn holds(text: &Json, value: &Json) -> bool {
    text == value || text.as_str().is_some_and(|text| text.contains(value.to_string().trim_matches('"')))
}

/// Leaves that say something, with their paths.
fn leaves(value: &Json, path: String, found: &mut Vec<(String, Json)>) {
    let dot = if path.is_empty() { "" } else { "." };
    match value {
        Json::Object(members) => {
            members.iter().for_each(|(key, member)| leaves(member, format!("{path}{dot}{key}"), found));
        }
        Json::Array(elements) => {
            elements.iter().for_each(|element| leaves(element, format!("{path}[]"), found));
        }
        Json::Null => {}
        Json::String(text) if text.trim().is_empty() => {}
        leaf => found.push((path, leaf.clone())),
    }
}

#[test]
fn what_is_mapped_is_not_unmapped() {
    let document = of("okta_app_assigned", "ocsf");
    let unmapped = &document["unmapped"];
    for (pointer, value) in [
        ("/uuid", Json::Null),
        ("/published", Json::Null),
        ("/eventType", Json::Null),
        ("/displayMessage", Json::Null),
        ("/actor", Json::Null),
        ("/outcome", Json::Null),
        ("/client/ipAddress", Json::Null),
        ("/securityContext/asNumber", Json::Null),
        ("/legacyEventType", json!("example.legacy")),
        ("/severity", json!("INFO")),
        ("/securityContext/isProxy", json!(false)),
    ] {
        assert_eq!(*unmapped.pointer(pointer).unwrap_or(&Json::Null), value, "{pointer}: {unmapped:#}");
    }
}

#[test]
fn each_of_several_events_keeps_what_is_its_own() {
    let fixture = own().into_iter().find(|fixture| fixture.name == "google_drive_shared_and_read").unwrap();
    let found = documents(&fixture, &fixture.record.to_string(), "ocsf", false, Marks::default());
    assert_eq!(found.len(), 2);
    for (document, mine, other) in
        [(&found[0], "doc-example-1", "doc-example-2"), (&found[1], "doc-example-2", "doc-example-1")]
    {
        assert_eq!(document["file"]["uid"], mine);
        assert!(!document.to_string().contains(other));
    }
}

#[test]
fn what_we_have_to_say_stands_in_the_metadata() {
    let fixture = own().into_iter().find(|fixture| fixture.name == "duo_push_approved").unwrap();
    let marks = Marks { late_seconds: Some(90), revises: Some("id-0"), replay: Some("fix"), reread: true };
    let mut record = fixture.record.clone();
    record["timestamp"] = Json::Null;
    record["isotimestamp"] = "redacted".into();
    let document = documents(&fixture, &record.to_string(), "ocsf", true, marks).remove(0);
    assert!(check::faults(&document).is_empty());
    let metadata = &document["metadata"];
    assert_eq!(
        metadata["labels"],
        json!([
            "time_missing",
            "tidegate_late",
            "tidegate_revision",
            "tidegate_replay",
            "reread",
            "preserve_original_event"
        ])
    );
    assert_eq!(
        metadata["tags"],
        json!([
            { "name": "tidegate_late_seconds", "value": "90" },
            { "name": "tidegate_revises", "value": "id-0" },
            { "name": "tidegate_replay", "value": "fix" },
        ])
    );
    assert_eq!(document["time"], 1_768_471_230_000_u64, "when it was fetched");
}

#[test]
fn a_name_is_cut_or_given_only_to_what_is_written() {
    let fixture = all().into_iter().find(|fixture| fixture.name == "okta_role_granted").unwrap();
    let mut record = fixture.record.clone();
    record["odd"] = json!({ "k".repeat(300): " ", "a\u{0}b": " ", "a_b": 1 });
    let found = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
    assert_eq!(found["unmapped"]["odd"], json!({ "a_b": 1 }));
    assert_eq!(found["metadata"]["labels"], Json::Null, "nothing was cut");
    let within = json!({ "k".repeat(300): " ", "a": 1 });
    record["odd"] = json!({ "k".repeat(300): { "b": [" "] }, "some": [within, within] });
    let found = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
    assert_eq!(found["unmapped"]["odd"], json!({ "some": [{ "a": 1 }, { "a": 1 }] }));
    assert_eq!(found["metadata"]["labels"], Json::Null, "nothing was cut");
    record["odd"]["k".repeat(300)] = json!("x");
    let found = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
    assert_eq!(found["metadata"]["labels"], json!(["tidegate_cut"]));
}

#[test]
fn an_event_that_lacks_what_its_class_requires_becomes_one_of_another() {
    let class = |name: &str, change: &dyn Fn(&mut Json)| {
        let fixture = all().into_iter().find(|fixture| fixture.name == name).unwrap();
        let mut record = fixture.record.clone();
        change(&mut record);
        let document = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
        assert_eq!(check::faults(&document), Vec::<String>::new());
        document["class_uid"].as_u64().unwrap()
    };
    let nothing = |_: &mut Json| {};
    assert_eq!(class("okta_role_granted", &nothing), 3005);
    assert_eq!(class("okta_role_granted", &|record| record["debugContext"] = Json::Null), 3004);
    assert_eq!(
        class("okta_role_granted", &|record| {
            record["debugContext"] = Json::Null;
            record["target"] = json!([{ "id": "00g1example", "type": "UserGroup", "displayName": "Staff" }]);
        }),
        3006
    );
    assert_eq!(class("okta_session_ended_by_an_admin", &nothing), 3002);
    let nobody = |record: &mut Json| {
        record["actor"] = Json::Null;
        record["target"] = Json::Null;
    };
    assert_eq!(class("okta_session_ended_by_an_admin", &nobody), 6003);
    assert_eq!(class("okta_policy_rule_changed", &nobody), 3004);
    assert_eq!(
        class("okta_session_ended_by_an_admin", &|record| {
            nobody(record);
            record["eventType"] = Json::Null;
        }),
        0
    );
    assert_eq!(
        class("google_drive_shared_and_read", &|record| record["events"][0]["parameters"] = Json::Null),
        6003
    );
    assert_eq!(
        class("google_group_member_added", &|record| record["events"][0]["parameters"] = Json::Null),
        6003
    );
}

#[test]
fn neither_a_challenge_nor_an_interrupt_is_a_success_or_a_failure() {
    let challenge = of("policy_challenge", "ocsf");
    assert_eq!((&challenge["status_id"], &challenge["status"]), (&99.into(), &"CHALLENGE".into()));
    assert_eq!(challenge["disposition"], "Challenge");
    let fixture = own().into_iter().find(|fixture| fixture.name == "entra_challenged").unwrap();
    for (code, word) in [(50_074, "Challenge"), (50_140, "Interrupted")] {
        let mut record = fixture.record.clone();
        record["status"]["errorCode"] = code.into();
        let document = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
        assert_eq!((&document["status_id"], &document["status"]), (&99.into(), &word.into()));
        assert_eq!(document["status_code"], code.to_string());
        assert_eq!(document["risk_level_id"], Json::Null, "hidden is no level");
    }
}

#[test]
fn whether_a_second_factor_was_used_has_three_answers() {
    let is_mfa = |name| of(name, "ocsf")["is_mfa"].clone();
    assert_eq!(is_mfa("duo_push_approved"), true);
    assert_eq!(is_mfa("duo_push_reported_as_fraud"), false);
    assert_eq!(is_mfa("duo_remembered_device"), false);
    assert_eq!(is_mfa("entra_sign_in"), true);
    assert_eq!(is_mfa("entra_non_interactive"), Json::Null);
    assert_eq!(is_mfa("google_saml"), Json::Null);
    let factors = of("entra_sign_in", "ocsf")["auth_factors"].clone();
    assert_eq!(
        factors,
        json!([
            { "factor_type_id": 7, "factor_type": "OTP", "is_totp": true },
            { "factor_type_id": 11, "factor_type": "Password" },
        ])
    );
    assert_eq!(of("duo_push_reported_as_fraud", "ocsf")["severity_id"], 4);
}

#[test]
fn a_code_is_of_a_kind_only_where_the_record_says_so() {
    let fixture = own().into_iter().find(|fixture| fixture.name == "duo_push_approved").unwrap();
    let factor = |word: &str| {
        let mut record = fixture.record.clone();
        record["factor"] = word.into();
        let document = documents(&fixture, &record.to_string(), "ocsf", false, Marks::default()).remove(0);
        assert!(check::faults(&document).is_empty());
        let factor = &document["auth_factors"][0];
        (
            factor["factor_type_id"].as_i64().unwrap(),
            factor["factor_type"].as_str().unwrap().to_owned(),
            factor["is_totp"].as_bool(),
            factor["is_hotp"].as_bool(),
        )
    };
    let otp = |totp, hotp| (7, "OTP".to_owned(), totp, hotp);
    assert_eq!(factor("duo_mobile_passcode"), otp(None, None));
    assert_eq!(factor("passcode"), otp(None, None));
    assert_eq!(factor("duo_mobile_passcode_totp"), otp(Some(true), None));
    assert_eq!(factor("duo_mobile_passcode_hotp"), otp(None, Some(true)));
    assert_eq!(factor("u2f_token"), (9, "U2F".to_owned(), None, None));
}

#[test]
fn an_agent_is_one_of_its_own_in_the_newer_version() {
    for (name, uid) in [
        ("okta_ai_agent", "wlp1example0000001"),
        ("entra_agent", "99990000-0000-4000-8000-000000000001"),
        ("google_agent", "agent-1"),
    ] {
        let new = of(name, "ocsf_1_9");
        assert_eq!(new["ai_agent"]["uid"], uid, "{name}");
        assert!(new["metadata"]["profiles"].as_array().unwrap().contains(&"ai_operation".into()));
        assert_eq!(of(name, "ocsf")["ai_agent"], Json::Null);
    }
    let document = of("google_agent", "ocsf");
    assert_eq!(document["actor"]["user"]["email_addr"], "pat.doe@example.com");
    assert_eq!(document["actor"]["app_name"], "Example Assistant");
    assert_eq!(of("entra_sign_in", "ocsf_1_9")["ai_agent"], Json::Null);
}

#[test]
fn numbers_of_activities_are_those_of_the_version() {
    let kind = |name, schema| of(name, schema)["type_uid"].as_u64().unwrap();
    assert_eq!(kind("entra_security_info_deleted", "ocsf"), 300_111);
    assert_eq!(kind("entra_security_info_deleted", "ocsf_1_9"), 300_713);
    assert_eq!(kind("entra_role_given", "ocsf"), 300_501);
    assert_eq!(kind("entra_role_given", "ocsf_1_9"), 300_716);
    assert_eq!(kind("okta_app_assigned", "ocsf_1_9"), 300_714);
}

/// Every place in a value, as a pointer.
fn places(value: &Json, path: String, found: &mut Vec<String>) {
    found.push(path.clone());
    match value {
        Json::Object(members) => members.iter().for_each(|(key, member)| {
            places(member, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Json::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(at, element)| places(element, format!("{path}/{at}"), found)),
        _ => {}
    }
}

fn odd_values() -> Vec<Json> {
    vec![
        Json::Null,
        true.into(),
        0.into(),
        (-1.5).into(),
        u64::MAX.into(),
        "".into(),
        " ".into(),
        "null".into(),
        "<null>".into(),
        "unknown".into(),
        "Other".into(),
        "0.0.0.0".into(),
        "192.0.2.1:443".into(),
        "0000:0000:0000:0000:0000:ffff:192.168.100.228".into(),
        "fe80::1%eth0".into(),
        "a@b".into(),
        "User".into(),
        "UserGroup".into(),
        "text \u{0} \u{7f} \u{2028} \"\\".into(),
        "{\"a\":{\"b\":[1,null,{\"\":2}]},\"a.b\":\"x\"}".into(),
        "😀".repeat(8_192).into(),
        json!([]),
        json!({}),
        json!([null, 1, "x", [], {}, [["y"]], { "drift": 5 }]),
        json!({ "id": 1, "type": [], "name": {}, "value": null, "": 2 }),
        (0..30).fold(Json::from("x"), |inner, _| json!({ "drift": [inner] })),
    ]
}

/// Any small JSON.
fn arbitrary() -> impl Strategy<Value = Json> {
    let leaf = proptest::sample::select(odd_values());
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = proptest::sample::select(vec![
            "id",
            "actor",
            "target",
            "events",
            "name",
            "type",
            "parameters",
            "user",
            "status",
            "eventType",
            "outcome",
            "userId",
            "action",
            "result",
            "initiatedBy",
            "targetResources",
            "data",
            "metadata",
            "ipAddress",
            "client",
        ]);
        let members = proptest::collection::vec((key, inner.clone()), 0..6);
        proptest::prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Json::from),
            members.prop_map(|members| {
                Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_record_that_was_changed_anyhow_becomes_a_document_that_the_schema_allows(
        at in any::<Index>(),
        changes in proptest::collection::vec(
            (any::<Index>(), proptest::option::weighted(0.8, proptest::sample::select(odd_values()))),
            1..6,
        ),
    ) {
        let mut fixture = { let mut all = all(); let at = at.index(all.len()); all.swap_remove(at) };
        for (at, value) in changes {
            let mut found = Vec::new();
            places(&fixture.record, String::new(), &mut found);
            let place = &found[at.index(found.len())];
            let Some((parent, key)) = place.rsplit_once('/') else { continue };
            match (value, fixture.record.pointer_mut(parent).unwrap()) {
                (Some(value), _) => *fixture.record.pointer_mut(place).unwrap() = value,
                (None, Json::Object(members)) => {
                    members.remove(&key.replace("~1", "/").replace("~0", "~"));
                }
                (None, Json::Array(elements)) => {
                    elements.remove(key.parse().unwrap());
                }
                _ => {}
            }
        }
        // Changes put into each other can be deeper than a record may be.
        let record = fixture.record.to_string();
        proptest::prop_assume!(Tape::new().cut(record.as_bytes()).is_ok());
        for schema in SCHEMAS {
            for document in documents(&fixture, &record, schema, true, Marks::default()) {
                let faults = check::faults(&document);
                proptest::prop_assert!(faults.is_empty(), "{} {schema}: {faults:#?}\n{document:#}", fixture.name);
            }
        }
    }

    #[test]
    fn any_object_becomes_a_document_that_the_schema_allows(
        at in any::<Index>(),
        members in proptest::collection::vec((any::<Index>(), arbitrary()), 0..8),
    ) {
        let mut fixture = { let mut all = all(); let at = at.index(all.len()); all.swap_remove(at) };
        let names: Vec<String> = fixture.record.as_object().unwrap().keys().cloned().collect();
        let members = members.into_iter().map(|(at, value)| (names[at.index(names.len())].clone(), value));
        fixture.record = Json::Object(members.collect());
        for schema in SCHEMAS {
            for document in documents(&fixture, &fixture.record.to_string(), schema, false, Marks::default()) {
                let faults = check::faults(&document);
                proptest::prop_assert!(faults.is_empty(), "{} {schema}: {faults:#?}\n{document:#}", fixture.name);
            }
        }
    }
}

/// The 1.8.0 and the 1.9.0 document of an invented record.
fn both(connector: &str, stream: &str, record: Json) -> [Json; 2] {
    let fixture = fixture("invented".to_owned(), PathBuf::new(), connector, stream, record);
    SCHEMAS.map(|schema| {
        let mut found = documents(&fixture, &fixture.record.to_string(), schema, false, Marks::default());
        assert_eq!(found.len(), 1);
        assert_eq!(check::faults(&found[0]), Vec::<String>::new(), "{:#}", found[0]);
        found.remove(0)
    })
}

#[test]
fn what_a_change_made_of_a_user_is_said_where_the_record_says_it() {
    let okta = |result: &str| {
        both(
            "okta",
            "system_log",
            json!({
                "eventType": "user.account.update_profile",
                "outcome": { "result": result },
                "actor": { "id": "00u1admin", "type": "User", "alternateId": "admin@example.com" },
                "target": [{
                    "id": "00u1example",
                    "type": "User",
                    "alternateId": "pat@example.com",
                    "displayName": "Pat Doe",
                    "changeDetails": {
                        "from": { "displayName": "Pat Doe", "department": "A" },
                        "to": { "displayName": "Pat Roe", "department": "B" },
                    },
                }],
            }),
        )
    };
    let now = json!({
        "uid": "00u1example",
        "name": "pat@example.com",
        "email_addr": "pat@example.com",
        "full_name": "Pat Roe",
    });
    let [old, new] = okta("SUCCESS");
    assert_eq!((&old["user_result"], &new["updated_user"]), (&now, &now));
    assert_eq!(old["user"]["full_name"], "Pat Doe");
    // The change as a whole stays among the vendor's.
    assert_eq!(
        old["unmapped"]["target"][0]["changeDetails"]["to"],
        json!({ "displayName": "Pat Roe", "department": "B" })
    );
    let [old, new] = okta("FAILURE");
    assert_eq!(
        (&old["user_result"], &new["updated_user"]),
        (&Json::Null, &Json::Null),
        "nothing was changed"
    );

    let entra = |of: usize| {
        let mut record = json!({
            "activityDisplayName": "Update user",
            "category": "UserManagement",
            "operationType": "Update",
            "result": "success",
            "targetResources": [
                { "id": "aaaa0000-0000-4000-8000-000000000001", "type": "User", "userPrincipalName": "pat@example.com" },
                { "id": "aaaa0000-0000-4000-8000-000000000002", "type": "Other", "displayName": "other" },
            ],
        });
        record["targetResources"][of]["modifiedProperties"] = json!([
            { "displayName": "UserPrincipalName", "oldValue": "[\"pat@example.com\"]", "newValue": "[\"kim@example.com\"]" },
            { "displayName": "Mail", "oldValue": "[]", "newValue": "\"kim@example.com\"" },
        ]);
        both("entra", "directory_audits", record)
    };
    let now = json!({
        "uid": "aaaa0000-0000-4000-8000-000000000001",
        "name": "kim@example.com",
        "email_addr": "kim@example.com",
    });
    let [old, new] = entra(0);
    assert_eq!((&old["user_result"], &new["updated_user"]), (&now, &now));
    let [old, new] = entra(1);
    assert_eq!(
        (&old["user_result"], &new["updated_user"]),
        (&Json::Null, &Json::Null),
        "it is another's change"
    );

    let [old, _] = both(
        "google_workspace",
        "admin",
        json!({
            "id": { "time": "2026-01-15T10:00:00Z", "uniqueQualifier": "1" },
            "events": [{
                "type": "USER_SETTINGS",
                "name": "RENAME_USER",
                "parameters": [
                    { "name": "USER_EMAIL", "value": "pat@example.com" },
                    { "name": "NEW_VALUE", "value": "kim@example.com" },
                ],
            }],
        }),
    );
    assert_eq!(old["user_result"]["email_addr"], "kim@example.com", "{old:#}");
}

#[test]
fn what_a_change_made_of_an_object_or_a_group_is_said_where_the_record_says_it() {
    let [old, new] = both(
        "okta",
        "system_log",
        json!({
            "eventType": "policy.rule.update",
            "outcome": { "result": "SUCCESS" },
            "target": [{
                "id": "0pr1example",
                "type": "PolicyRule",
                "displayName": "Old name",
                "changeDetails": {
                    "from": { "name": "Old name", "priority": 1 },
                    "to": { "name": "New name", "priority": 2, "": "x" },
                },
            }],
        }),
    );
    let now = json!({
        "uid": "0pr1example",
        "name": "New name",
        "type_id": 5,
        "type": "Policy",
        "data": { "name": "New name", "priority": "2" },
    });
    assert_eq!((&old["entity_result"], &new["updated_entity"]), (&now, &now), "{old:#}");
    let [old, new] = both(
        "entra",
        "directory_audits",
        json!({
            "activityDisplayName": "Update group",
            "category": "GroupManagement",
            "operationType": "Update",
            "result": "success",
            "targetResources": [{
                "id": "bbbb0000-0000-4000-8000-000000000001",
                "type": "Group",
                "displayName": "Staff",
                "modifiedProperties": [
                    { "displayName": "DisplayName", "oldValue": "[\"Staff\"]", "newValue": "[\"All staff\"]" },
                ],
            }],
        }),
    );
    let [app, _] = both(
        "entra",
        "directory_audits",
        json!({
            "activityDisplayName": "Update application",
            "category": "ApplicationManagement",
            "operationType": "Update",
            "result": "success",
            "targetResources": [{
                "id": "cccc0000-0000-4000-8000-000000000001",
                "type": "Application",
                "displayName": "Example CRM",
                "modifiedProperties": [
                    { "displayName": "AvailableToOtherTenants", "oldValue": "[false]", "newValue": "[true]" },
                    { "displayName": "Group.ObjectID", "newValue": "\"bbbb0000-0000-4000-8000-000000000001\"" },
                    { "displayName": "Included Updated Properties", "newValue": "\"AvailableToOtherTenants\"" },
                ],
            }],
        }),
    );
    assert_eq!(app["entity_result"]["data"], json!({ "AvailableToOtherTenants": "[true]" }), "only its own");
    assert_eq!(old["group"]["name"], "Staff");
    let now = json!({ "uid": "bbbb0000-0000-4000-8000-000000000001", "name": "All staff" });
    assert_eq!(new["updated_group"], now, "{new:#}");
}
