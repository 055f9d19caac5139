//! Records against documents: invented fixtures, properties, and (where the folder lies beside the project) real shapes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

use super::NAMES;
use super::normalize::{identity, normalize};
use crate::testing::strict;
use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use tidegate_core::event::{Deed, Event, Factor};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks, Rendered};

fn at(text: &str) -> DateTime<Utc> {
    tidegate_core::event::parse_time(text).unwrap()
}

fn context() -> Context<'static> {
    Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: &NAMES,
        fetched: at("2026-01-15T10:00:30Z").into(),
        ingested: at("2026-01-15T10:00:31Z").into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

fn with_event<T>(record: &[u8], show: impl FnOnce(&Event<'_>) -> T) -> T {
    let mut tape = Tape::new();
    let root = tape.cut(record).unwrap();
    let mut events = Vec::new();
    normalize(root, &mut |event, _| events.push(std::mem::take(event))).unwrap();
    assert_eq!(events.len(), 1);
    show(&events[0])
}

fn render(record: &[u8], context: &Context<'_>) -> (Rendered, Json) {
    with_event(record, |event| {
        let mut out = b"before".to_vec();
        let rendered = schema::by_name("ecs").unwrap().render(event, context, &mut out).unwrap();
        let text = std::str::from_utf8(&out).unwrap().strip_prefix("before").unwrap();
        (rendered, strict(text))
    })
}

fn folder(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

fn samples() -> Vec<(String, Json)> {
    let mut found = Vec::new();
    for name in ["elastic_system", "system_log"] {
        let Some(path) = folder(&format!("shared/samples/okta/{name}.ndjson")) else { return Vec::new() };
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let sample: Json = serde_json::from_str(line).unwrap();
            let record = if sample["raw_api"].is_null() { &sample["raw"] } else { &sample["raw_api"] };
            found.push((record.to_string(), sample["expected_ecs"].clone()));
        }
    }
    found
}

#[test]
fn the_published_schema_accepts_every_sample() {
    let Some(validator) = folder("shared/tools/validate_ecs.py") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("documents.ndjson");
    let mut lines = String::new();
    for (record, _) in samples() {
        let context = Context { original: true, ..context() };
        lines.push_str(&format!("{}\n", render(record.as_bytes(), &context).1));
    }
    if let Ok(keep) = std::env::var("KEEP_DOCUMENTS") {
        std::fs::write(keep, &lines).unwrap();
    }
    std::fs::write(&file, lines).unwrap();
    let Ok(run) = std::process::Command::new("python3").arg(validator).arg("--summary").arg(&file).output()
    else {
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert!(run.status.success(), "{said}");
}

fn fixtures() -> Vec<(String, Vec<u8>, PathBuf)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/okta/fixtures");
    let mut found: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path.join("record.json")).unwrap(), path)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 15);
    found
}

/// `UPDATE_FIXTURES=1 cargo test -p tidegate-connectors` writes the documents anew; read the difference as you read code.
#[test]
fn fixtures_become_the_documents_beside_them() {
    for (name, record, path) in fixtures() {
        let (_, document) = render(&record, &context());
        let golden = path.join("ecs.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&golden, serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
        }
        let expected: Json = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        assert_eq!(document, expected, "{name}");
    }
}

#[test]
fn the_event_says_what_became_of_the_factor() {
    let said = [
        ("sign_in", None),
        ("push_sent", Some("push, challenge")),
        ("push_approved", Some("push, approved, performed")),
        ("push_denied", Some("push, denied")),
        ("push_denied_without_a_response_type", Some("push, denied")),
        ("push_denied_classic_engine", Some("push, denied")),
        ("push_wrong_number", Some("push, wrong number")),
        ("push_unanswered", Some("push, unanswered")),
        ("code_wrong", Some("totp, failed")),
        ("locked_out", Some("sms, blocked")),
        ("password_step", Some("password, approved")),
        ("fastpass_phishing", Some("device key, declined as phishing")),
        ("passkey", Some("webauthn, approved, performed")),
        ("sms_blocked", Some("sms, challenge, blocked")),
        ("factor_enrolled", Some("push, enrolment")),
        ("factor_suspended", Some("suspension")),
        ("factors_reset_by_an_admin", Some("reset")),
        ("factor_kind_forbidden", Some("sms, turned off for the organisation")),
        ("bypass_attempt", Some("bypass")),
        ("policy_challenge", None),
        ("policy_allowed_with_two_factors", Some("performed")),
        ("threat_detected", None),
    ];
    for (name, record, _) in fixtures() {
        let summary = with_event(&record, |event| event.summary());
        let mfa = summary.iter().find(|(subject, _)| *subject == "mfa").map(|(_, said)| said.as_str());
        if let Some((_, expected)) = said.iter().find(|(case, _)| *case == name) {
            assert_eq!(mfa, *expected, "{name}");
        }
    }
    for (name, _) in said {
        assert!(fixtures().iter().any(|(case, _, _)| case == name), "{name}");
    }
}

#[test]
fn a_factor_that_only_the_reason_names_is_known() {
    let of = |action: &str, reason: &str, debug: Json| {
        let record = json!({ "eventType": action, "debugContext": { "debugData": debug },
            "outcome": { "result": "SUCCESS", "reason": reason }, "target": [{ "type": "User", "id": "00u1" }] });
        with_event(record.to_string().as_bytes(), |event| {
            let word = event.mfa.word.as_ref().map(|word| word.decode().into_owned());
            (event.mfa.deed, event.mfa.factor, word)
        })
    };
    let word = |word: &str| Some(word.to_owned());
    let reset = "user.mfa.factor.deactivate";
    for (action, reason, want) in [
        (
            reset,
            "User reset FIDO_WEBAUTHN factor",
            (Some(Deed::Remove), Some(Factor::WebAuthn), word("FIDO_WEBAUTHN")),
        ),
        (
            "user.mfa.factor.suspend",
            "User suspended SIGNED_NONCE factor",
            (Some(Deed::Suspend), Some(Factor::Device), word("SIGNED_NONCE")),
        ),
        (
            "user.mfa.factor.unsuspend",
            "User unsuspended OKTA_VERIFY_PUSH factor",
            (Some(Deed::Resume), Some(Factor::Push), word("OKTA_VERIFY_PUSH")),
        ),
        (
            "user.mfa.factor.activate",
            "User set up SMS_FACTOR factor",
            (Some(Deed::Enroll), Some(Factor::Sms), word("SMS_FACTOR")),
        ),
        (
            "user.mfa.factor.activate",
            "User set up FIDO_U2F factor",
            (Some(Deed::Enroll), Some(Factor::U2f), word("FIDO_U2F")),
        ),
        (
            "user.mfa.factor.activate",
            "User set up HOTP_FACTOR factor",
            (Some(Deed::Enroll), Some(Factor::Hotp), word("HOTP_FACTOR")),
        ),
        (
            "user.mfa.factor.update",
            "User updated TOMORROWS factor",
            (Some(Deed::Update), Some(Factor::Other), word("TOMORROWS")),
        ),
        (reset, "INVALID_CREDENTIALS", (Some(Deed::Remove), None, None)),
        (reset, "User reset a factor", (Some(Deed::Remove), None, None)),
        ("user.mfa.factor.reset_all", "User reset FIDO_WEBAUTHN factor", (Some(Deed::Reset), None, None)),
    ] {
        assert_eq!(of(action, reason, json!({})), want, "{reason}");
    }
    let told = json!({ "factor": "SMS_FACTOR" });
    assert_eq!(
        of(reset, "User reset FIDO_WEBAUTHN factor", told),
        (Some(Deed::Remove), Some(Factor::Sms), word("SMS_FACTOR"))
    );
}

#[test]
fn a_denied_push_is_a_denied_push_on_both_engines() {
    for name in ["push_denied", "push_denied_without_a_response_type", "push_denied_classic_engine"] {
        let (_, record, _) = fixtures().into_iter().find(|(case, _, _)| case == name).unwrap();
        with_event(&record, |event| {
            assert!(event.mfa.push_denied(), "{name}");
            assert_eq!(event.mfa.performed, Some(false), "{name}");
        });
    }
}

/// Leaves of JSON: path (positions left out) and value.
fn leaves(value: &Json, path: String, found: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(member, format!("{path}{dot}{key}"), found);
            }
        }
        Json::Array(elements) => {
            elements.iter().for_each(|element| leaves(element, format!("{path}[]"), found))
        }
        Json::Null => {}
        Json::String(text) if text.trim().is_empty() => {}
        leaf => found.push((path, leaf.clone())),
    }
}

/// Leaves that no document needs to show, and why.
const NOT_SHOWN: [(&str, &str, &str); 8] = [
    ("behind_a_vpn", "securityContext.domain", "the root domain stands for none; kept under okta.*"),
    ("unexpected_shapes", "authenticationContext.issuer", "text where the store has an object"),
    ("unexpected_shapes", "client.ipAddress", "the text null"),
    ("unexpected_shapes", "client.geographicalContext.geolocation.lat", "no such latitude"),
    ("unexpected_shapes", "client.geographicalContext.geolocation.lon", "no such latitude"),
    ("unexpected_shapes", "securityContext.newObject.", "a name that no store takes"),
    ("unexpected_shapes", "securityContext.newObject. ", "a name that no store takes"),
    ("unexpected_shapes", "actor.detailEntry.", "a name that no store takes"),
];

#[test]
fn no_leaf_is_lost() {
    for (name, record, _) in fixtures() {
        let explained = with_event(&record, |event| {
            schema::explain(schema::by_name("ecs").unwrap(), event, &context()).unwrap()
        });
        let text: String = explained.iter().map(|line| format!("{}\n", line.value)).collect();
        let mut tape = Tape::new();
        let root = tape.cut(&record).unwrap();
        let mut todo = vec![root];
        while let Some(value) = todo.pop() {
            todo.extend(value.members().map(|(_, member)| member));
            todo.extend(value.elements());
            let is_leaf = value.members().next().is_none() && value.elements().next().is_none();
            let blank = value.as_text().is_some_and(|text| text.is_blank());
            if !is_leaf || value.is_null() || blank || matches!(value.raw(), "{}" | "[]") {
                continue;
            }
            let path = root.path_of(value.span().start);
            if NOT_SHOWN.iter().any(|(case, leaf, _)| *case == name && *leaf == path) {
                continue;
            }
            let whole = value.as_text().map_or(value.raw().to_owned(), |text| text.to_string());
            let noted =
                explained.iter().any(|line| line.from.as_ref().is_some_and(|from| path.starts_with(from)));
            let time = path == "published" && text.contains("2026-01-15T10:00:");
            assert!(noted || time || text.contains(&whole), "{name}: {path} = {whole}");
        }
    }
}

#[test]
fn explains_where_a_value_comes_from() {
    let (_, record, _) = fixtures().into_iter().find(|(case, _, _)| case == "push_denied").unwrap();
    let lines = with_event(&record, |event| {
        schema::explain(schema::by_name("ecs").unwrap(), event, &context()).unwrap()
    });
    let from = |path: &str| {
        let line =
            lines.iter().find(|line| line.path == path).unwrap_or_else(|| panic!("{path}: {lines:#?}"));
        (line.from.as_deref(), line.value.as_str())
    };
    assert_eq!(from("user.name"), (Some("actor.alternateId"), "\"pat.doe@example.com\""));
    assert_eq!(from("client.ip"), (Some("client.ipAddress"), "\"192.0.2.10\""));
    assert_eq!(from("source.geo.location.lat"), (Some("client.geographicalContext.geolocation.lat"), "52.5"));
    assert_eq!(from("okta.debug_context.debug_data.factor").0, Some("debugContext.debugData.factor"));
    assert_eq!(
        from("okta.target[0].detailEntry.methodTypeUsed").0,
        Some("target[0].detailEntry.methodTypeUsed")
    );
    assert_eq!(from("event.outcome"), (Some("outcome.result"), "\"failure\""));
}

#[test]
fn elastics_own_documents_agree() {
    /// Where ours differ, and why.
    const DIFFERENT: [(&str, &str); 23] = [
        ("ecs.version", "theirs is older"),
        ("source.geo", "theirs comes from a test database of addresses; ours from the record"),
        ("client.geo.postal_code", "ECS has it; theirs drops it"),
        ("client.as.number", "ours is written with the organisation"),
        ("source.as", "rules ask for it under source; theirs leaves it to a database of addresses"),
        ("data_stream", "theirs are constants of the index"),
        ("event.module", "theirs are constants of the index"),
        ("event.dataset", "theirs are constants of the index"),
        ("event.created", "theirs is left out of tests"),
        ("event.ingested", "theirs is left out of tests"),
        ("message", "ours is okta.display_message too"),
        ("okta.legacy_event_type", "theirs drops it"),
        ("okta.severity", "in their field definitions, dropped by their pipeline"),
        ("okta.version", "in their field definitions, dropped by their pipeline"),
        ("okta.target[].detailEntry", "newer versions of theirs keep it"),
        ("related.hosts", "ECS wants it"),
        ("related.user", "ours has the target's login too"),
        ("transaction.id", "ours only"),
        ("url.path", "ours only"),
        ("device.id", "ours only"),
        ("user.", "ours has id, address, and the target's login"),
        ("user_agent.", "ours reads only what the text says in so many words"),
        ("event.category", "newer tables of theirs know more event types"),
    ];
    let mut compared = 0;
    for (record, expected) in samples() {
        if expected["event"]["module"].is_null() && expected["okta"]["uuid"].is_null() {
            continue;
        }
        let context = Context { original: true, ..context() };
        let (_, document) = render(record.as_bytes(), &context);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        leaves(&document, String::new(), &mut ours);
        leaves(&expected, String::new(), &mut theirs);
        let listed = |path: &str| DIFFERENT.iter().any(|(prefix, _)| path.starts_with(prefix));
        for (path, value) in &theirs {
            if path == "event.original" {
                continue;
            }
            compared += 1;
            let same = ours.iter().any(|(other, found)| other == path && found == value);
            let extra_only = path.starts_with("user.") || path.starts_with("related.user");
            assert!(same || (listed(path) && !extra_only), "{path}: {value} is not in ours");
        }
        for (path, value) in &ours {
            let same = theirs.iter().any(|(other, found)| other == path && found == value);
            let listed = listed(path) || path == "event.original" || path.starts_with("event.type");
            assert!(same || listed, "{path}: {value} is only in ours");
        }
    }
    println!("{compared} values compared");
}

#[test]
fn every_field_that_rules_query_can_be_produced() {
    let Some(path) = folder("shared/schemas/detection_rule_fields.json") else { return };
    /// Fields that rules query and a System Log record cannot fill.
    const NOT_OURS: [(&str, &str); 3] = [
        ("cloud.account.id", "of other integrations, in rules over several"),
        ("host.os.type", "of endpoints, in rules over several"),
        ("host.id", "of endpoints, in rules over several"),
    ];
    let rules: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut produced = std::collections::BTreeSet::new();
    let mut note = |record: &[u8]| {
        let mut found = Vec::new();
        leaves(&render(record, &context()).1, String::new(), &mut found);
        produced.extend(found.into_iter().map(|(path, _)| path.replace("[]", "")));
    };
    fixtures().iter().for_each(|(_, record, _)| note(record));
    note(
        br#"{"authenticationContext":{"issuer":{"id":"Okta","type":"x"}},
            "debugContext":{"debugData":{"privilegeGranted":"Super administrator"}}}"#,
    );
    let rules = rules["integrations"]["okta"].as_array().unwrap();
    assert!(rules.len() >= 61);
    for rule in rules {
        for (field, values) in rule["fields"].as_object().unwrap() {
            assert!(
                produced.contains(field) || NOT_OURS.iter().any(|(name, _)| name == field),
                "no document has {field}, which {} asks for",
                rule["name"]
            );
            if field != "event.action" && field != "okta.event_type" {
                continue;
            }
            for value in values.as_array().unwrap().iter().filter_map(Json::as_str) {
                let known = super::event_types::EVENT_TYPES.iter().any(|(name, _)| *name == value);
                assert!(
                    known || value.contains('*') || value.starts_with('('),
                    "{value} is not in the table"
                );
            }
        }
    }
}

/// A store refuses the whole document for a value of another type in one of these.
fn typed_as_the_store_has_it(document: &Json) {
    let mut found = Vec::new();
    leaves(document, String::new(), &mut found);
    for (path, value) in found {
        let path = path.replace("[]", "");
        let name = path.rsplit('.').next().unwrap();
        let fits = match path.as_str() {
            _ if path.starts_with("okta.request.ip_chain") || path.contains(".flattened") => true,
            "source.ip" | "client.ip" | "okta.client.ip" | "related.ip" => {
                value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok())
            }
            "@timestamp" | "event.created" | "event.ingested" => {
                value.as_str().is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok())
            }
            "source.as.number" | "client.as.number" | "source.port" => value.is_i64(),
            "okta.security_context.as.number" | "okta.authentication_context.authentication_step" => {
                value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            _ if path.ends_with("geo.location.lat") => value.as_f64().is_some_and(|lat| lat.abs() <= 90.0),
            _ if path.ends_with("geo.location.lon") => value.as_f64().is_some_and(|lon| lon.abs() <= 180.0),
            "okta.security_context.is_proxy"
            | "okta.device.managed"
            | "okta.device.registered"
            | "okta.device.jailbreak"
            | "okta.device.secure_hardware_present" => value.is_boolean(),
            "okta.device" => false,
            // Maps that take anything.
            _ if path.starts_with("okta.device.device_integrator.") || path.starts_with("okta.unmapped.") => {
                true
            }
            // New members keep their own types; everything that the integration defines is a keyword.
            _ if ["novelty", "new_number", "new_flag", "unnamed"].iter().any(|new| name.starts_with(new)) => {
                true
            }
            _ => {
                value.is_string()
                    || path.contains("as_number")
                    || path.ends_with("is_anonymous")
                    || path.contains("drift")
            }
        };
        assert!(fits, "{path}: {value}");
        assert!(value.as_str().is_none_or(|text| text.len() <= 32_766), "{path} is too long");
    }
}

/// Every place in a record.
fn places(value: &Json, path: String, found: &mut Vec<String>) {
    found.push(path.clone());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Json::Object(members) => {
            members
                .iter()
                .for_each(|(key, member)| places(member, format!("{path}/{}", escaped(key)), found));
        }
        Json::Array(elements) => {
            elements
                .iter()
                .enumerate()
                .for_each(|(at, element)| places(element, format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

fn odd_values() -> Vec<Json> {
    let deep = (0..120).fold(Json::from(1), |inner, _| serde_json::json!({ "drift": inner }));
    let deep_lists = (0..60).fold(Json::from("x"), |inner, _| serde_json::json!([inner]));
    vec![
        Json::Null,
        true.into(),
        0.into(),
        (-1.5).into(),
        u64::MAX.into(),
        "".into(),
        " ".into(),
        "null".into(),
        "unknown".into(),
        ".".into(),
        "999.1.1.1".into(),
        "fe80::1%eth0".into(),
        "text \u{0} \u{7f} \u{2028} \"\\".into(),
        "{\"a\":{\"b\":[1,null,{\"\":2}]},\"a.b\":\"x\"}".into(),
        "[1,2".into(),
        "{level=HIGH}".into(),
        "{=POSITIVE, a=POSITIVE, a=NEGATIVE, =}".into(),
        "😀".repeat(8_192).into(),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!([null, 1, "x", [], {}, [["y"]], { "drift": 5 }]),
        serde_json::json!({ "": 1, " ": 2, "drift.b": 3, "drift": { "b": 4 }, "drift_one": true, "driftOne": 5, "drift one": "x" }),
        deep.clone(),
        deep.to_string().into(),
        deep_lists,
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_a_record_holds_becomes_a_document_that_the_store_takes(
        fixture in proptest::prelude::any::<proptest::sample::Index>(),
        changes in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), proptest::option::weighted(0.8, proptest::sample::select(odd_values()))),
            1..5,
        ),
        again in proptest::prelude::any::<bool>(),
    ) {
        let fixtures = fixtures();
        let (name, record, _) = &fixtures[fixture.index(fixtures.len())];
        let Ok(mut record) = serde_json::from_slice::<Json>(record) else { return Ok(()) };
        if name == "unexpected_shapes" {
            return Ok(());
        }
        let uuid = record["uuid"].clone();
        for (at, value) in changes {
            let mut all = Vec::new();
            places(&record, String::new(), &mut all);
            let place = &all[at.index(all.len())];
            if place.is_empty() || place == "/uuid" {
                continue;
            }
            match value {
                Some(value) => *record.pointer_mut(place).unwrap() = value,
                None => {
                    let (parent, key) = place.rsplit_once('/').unwrap();
                    match record.pointer_mut(parent).unwrap() {
                        Json::Object(members) => { members.remove(key); }
                        Json::Array(elements) => { elements.remove(key.parse().unwrap()); }
                        _ => {}
                    }
                }
            }
        }
        let mut bytes = record.to_string();
        if serde_json::from_str::<Json>(&bytes).is_err() {
            // Odd values inside odd values: too deep for any reader.
            return Ok(());
        }
        if again {
            // Every top member twice, first as something else.
            let doubled: String =
                record.as_object().unwrap().keys().map(|key| format!("{}:[7],", Json::from(key.as_str()))).collect();
            bytes.insert_str(1, &doubled);
        }
        let context = Context { original: true, ..context() };
        let (rendered, document) = render(bytes.as_bytes(), &context);
        proptest::prop_assert_eq!(&document["event"]["id"], &uuid);
        proptest::prop_assert_eq!(&document["okta"]["uuid"], &uuid);
        proptest::prop_assert_eq!(document["event"]["original"].as_str().unwrap(), &bytes);
        let tags = document["tags"].to_string();
        proptest::prop_assert_eq!(tags.contains("tidegate_cut"), rendered.cut > 0);
        let mut document = document;
        document["event"].as_object_mut().unwrap().remove("original");
        typed_as_the_store_has_it(&document);
        for schema in schema::ALL.into_iter().filter(|schema| !schema.is_text()) {
            let mut out = Vec::new();
            with_event(bytes.as_bytes(), |event| schema.render(event, &context, &mut out)).unwrap();
            strict(std::str::from_utf8(&out).unwrap());
        }
        let mut names = Vec::new();
        places(&document, String::new(), &mut names);
        proptest::prop_assert!(names.iter().skip(1).all(|place| !place.rsplit('/').next().unwrap().trim().is_empty()));
    }
}

#[test]
fn a_record_without_a_time_is_dated_by_its_fetching() {
    let (_, document) = render(br#"{"uuid":"u1","published":"redacted"}"#, &context());
    assert_eq!(document["@timestamp"], "2026-01-15T10:00:30.000Z");
    assert_eq!(document["tags"], serde_json::json!(["time_missing"]));
    let mut tape = Tape::new();
    let found = identity(tape.cut(br#"{"uuid":"u1","published":"2026-01-15T10:00:00Z"}"#).unwrap());
    assert_eq!((found.id.as_deref(), found.time), (Some("u1"), Some(at("2026-01-15T10:00:00Z"))));
    let found = identity(tape.cut(br#"{"uuid":7,"published":null}"#).unwrap());
    assert_eq!((found.id, found.time), (None, None));
}

#[test]
fn says_what_is_to_be_said_of_a_document() {
    let marks = Marks { late_seconds: Some(90), revises: Some("u0"), replay: Some("fix"), reread: true };
    let (_, document) =
        render(br#"{"uuid":"u1","published":"2026-01-15T10:00:00Z"}"#, &Context { marks, ..context() });
    assert_eq!(
        document["labels"],
        serde_json::json!({ "tidegate_late_seconds": "90", "tidegate_revises": "u0", "tidegate_replay": "fix" })
    );
    assert_eq!(
        document["tags"],
        serde_json::json!(["tidegate_late", "tidegate_revision", "tidegate_replay", "reread"])
    );
}

#[test]
fn a_value_too_long_for_an_index_is_cut_at_a_character() {
    let record = format!(
        r#"{{"uuid":"u1","published":"2026-01-15T10:00:00Z","outcome":{{"reason":"{}"}}}}"#,
        "😀".repeat(8_192)
    );
    let (rendered, document) = render(record.as_bytes(), &context());
    let kept = document["okta"]["outcome"]["reason"].as_str().unwrap();
    assert!(kept.len() <= 32_766 && kept.len() > 29_000 && kept.chars().all(|letter| letter == '😀'));
    assert_eq!(document["tags"], serde_json::json!(["tidegate_cut"]));
    assert_eq!(rendered.cut, 2);
}

#[test]
fn counts_what_the_table_does_not_know() {
    let drift = |record: &str| render(record.as_bytes(), &context()).0.drift;
    assert_eq!(drift(r#"{"uuid":"u","actor":{"id":"a"},"target":null}"#), 0);
    assert_eq!(drift(r#"{"uuid":"u","novelty":{"a":{"b":1}}}"#), 1);
    assert_eq!(drift(r#"{"uuid":"u","authenticationContext":{"credentialProvider":["A"]}}"#), 1);
    assert_eq!(drift(r#"{"uuid":"u","client":{"ipAddress":"null"}}"#), 0);
    assert_eq!(drift(r#"{"uuid":"u","client":{"ipAddress":"redacted"}}"#), 1);
}

#[test]
fn what_is_no_object_is_no_event() {
    let mut tape = Tape::new();
    let root = tape.cut(b"[]").unwrap();
    assert!(normalize(root, &mut |_, _| panic!("an event")).is_err());
}

/// The value at a path such as `okta.target[0].type`.
fn at_path<'j>(document: &'j Json, path: &str) -> Option<&'j Json> {
    path.split(['.', '[']).filter(|step| !step.is_empty()).try_fold(document, |here, step| {
        match step.strip_suffix(']') {
            Some(at) => here.get(at.parse::<usize>().ok()?),
            None => here.get(step),
        }
    })
}

fn meets(found: Option<&Json>, expected: &Json) -> bool {
    let Some(said) = expected.as_object() else { return found == Some(expected) };
    said.iter().all(|(how, what)| match how.as_str() {
        "absent" => found.is_none(),
        "one_of" => what.as_array().unwrap().iter().any(|one| meets(found, one)),
        "not" => !meets(found, what),
        "contains" => {
            let list = found.and_then(Json::as_array);
            what.as_array().unwrap().iter().all(|one| list.is_some_and(|list| list.contains(one)))
        }
        "contains_text" => {
            found.and_then(Json::as_str).is_some_and(|text| text.contains(what.as_str().unwrap()))
        }
        "length" => found.and_then(Json::as_array).map(Vec::len) == what.as_u64().map(|n| n as usize),
        "type" => match what.as_str().unwrap() {
            "list" => found.is_some_and(Json::is_array),
            "object" => found.is_some_and(Json::is_object),
            _ => found.is_some(),
        },
        other => panic!("an expectation of a new kind: {other}"),
    })
}

#[test]
fn public_bug_reports_of_this_field_come_out_right() {
    let Some(path) = folder("shared/cases/record.ndjson") else { return };
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        if case["vendor"] != "okta" {
            continue;
        }
        let record = case["input"].as_str().map_or_else(|| case["input"].to_string(), str::to_owned);
        let (_, document) = render(record.as_bytes(), &context());
        for (path, expected) in case["expect"]["ecs"].as_object().unwrap() {
            assert!(meets(at_path(&document, path), expected), "{}: {path}: {expected}", case["id"]);
        }
    }
}
