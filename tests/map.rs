//! `map` and `rules` as a person uses them, and what they claim.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "common/records.rs"]
mod records;

use records::records;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use tidegate::rules::{self, CORE, Fields, Verdict};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};
use tidegate_core::testkit::sink::context;

/// A push that was denied, from an address that is none.
const DENIED: &str = r#"{"uuid":"5a1f0000-0000-4000-8000-00000000000a","published":"2026-01-15T10:00:00.123Z","eventType":"user.authentication.auth_via_mfa","severity":"INFO","actor":{"id":"00u1","type":"User","alternateId":"jo@example.com"},"client":{"ipAddress":"null"},"outcome":{"result":"FAILURE","reason":"INVALID_CREDENTIALS"},"debugContext":{"debugData":{"factor":"OKTA_VERIFY_PUSH"}}}"#;

/// A document with a file's name, which the stand-in's documents do not have.
const COPIED: &str = r#"{"id":{"time":"2026-01-15T10:00:00.481Z","uniqueQualifier":"1","applicationName":"drive","customerId":"C01example"},"events":[{"type":"access","name":"copy","parameters":[{"name":"doc_id","value":"d1"},{"name":"doc_title","value":"server.pem"}]}]}"#;

fn map(arguments: &[&str]) -> Output {
    mapped(DENIED, &[&["--connector", "okta", "--stream", "system_log"], arguments].concat())
}

fn mapped(record: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("map")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(record.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A line without the blanks that align it.
fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn explain_says_where_each_field_came_from_what_is_absent_and_which_rules_look_at_it() {
    let lines = squeezed(&text(&map(&["--explain"])));
    for line in [
        r#"event.action "user.authentication.auth_via_mfa" ← eventType"#,
        r#"event.outcome "failure" ← outcome.result"#,
        r#"(absent) ← client.ipAddress "null" is not an address"#,
        "mfa: push, denied",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line}: {lines:#?}");
    }
    let last = lines.iter().rev().find(|line| !line.is_empty()).unwrap();
    assert!(
        last.starts_with("kept okta.*: ") && last.contains(" · dropped: 0 · rules able to match: "),
        "{last}"
    );
}

#[test]
fn rules_of_a_document_are_those_that_look_at_its_data_set_and_action() {
    let rules = text(&map(&["--rules"]));
    assert!(rules.contains("Potential Okta MFA Bombing via Push Notifications (high)"), "{rules}");
    assert!(!rules.contains("Attempt to Deactivate an Okta Application"), "{rules}");
}

#[test]
fn two_schemas_are_compared_by_the_records_fields() {
    let difference = text(&map(&["--diff", "ecs", "leef"]));
    let lines = squeezed(&difference);
    let at = lines.iter().position(|line| line == "actor.alternateId").unwrap();
    assert!(lines[at..].iter().any(|line| line == r#"ecs user.name = "jo@example.com""#), "{difference}");
    assert!(lines[at..].iter().any(|line| line == "leef usrName = jo@example.com"), "{difference}");
    assert_eq!(text(&map(&["--diff", "ecs", "ecs"])).trim(), "no difference");
    assert_eq!(map(&["--diff", "ecs", "cef"]).status.code(), Some(20));
}

#[test]
fn leef_is_one_line_an_event() {
    let lines = text(&map(&["--schema", "leef"]));
    assert_eq!(lines.lines().count(), 1);
    assert!(
        lines.starts_with("LEEF:2.0|Okta|System Log|1.0|user.authentication.auth_via_mfa|x09|devTime="),
        "{lines}"
    );
    assert!(!lines.contains("src="), "an address that is none has no key: {lines}");
}

#[test]
fn leefs_event_id_tells_duos_ends_apart() {
    for result in ["success", "denied", "fraud"] {
        let record = format!(
            r#"{{"event_type":"authentication","result":"{result}","txid":"t1","timestamp":1768471200}}"#
        );
        let arguments = ["--connector", "duo", "--stream", "authentication", "--schema", "leef"];
        let line = text(&mapped(&record, &arguments));
        assert!(line.starts_with(&format!("LEEF:2.0|Cisco|Duo|1.0|authentication-{result}|x09|")), "{line}");
    }
}

/// A sign-in as Graph sends it, odd members among them.
const SIGN_IN: &str = r#"{"id":"6b2f0000-0000-4000-8000-000000000001","createdDateTime":"2026-01-15T10:00:00Z","userDisplayName":"Pat Doe","userPrincipalName":"pat.doe@example.com","ipAddress":"198.51.100.20","correlationId":"7c3f0000-0000-4000-8000-000000000001","status":{"errorCode":50126,"failureReason":"Invalid username or password","additionalDetails":null},"location":{"city":"Berlin","countryOrRegion":"DE"},"somethingNew":[1,null]}"#;

#[test]
fn raw_records_of_entra_stand_in_the_envelope_that_published_detections_search() {
    let directory = "11111111-1111-4111-8111-111111111111";
    let arguments =
        ["--connector", "entra", "--stream", "sign_ins", "--schema", "raw", "--organisation", directory];
    let document: serde_json::Value = serde_json::from_str(&text(&mapped(SIGN_IN, &arguments))).unwrap();
    let graph: serde_json::Value = serde_json::from_str(SIGN_IN).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "time": "2026-01-15T10:00:00Z",
            "resourceId": format!("/tenants/{directory}/providers/Microsoft.aadiam"),
            "operationName": "Sign-in activity",
            "operationVersion": "1.0",
            "category": "SignInLogs",
            "durationMs": 0,
            "Level": 4,
            "tenantId": directory,
            "correlationId": "7c3f0000-0000-4000-8000-000000000001",
            "identity": "Pat Doe",
            "resultType": "50126",
            "resultSignature": "FAILURE",
            "resultDescription": "Invalid username or password",
            "callerIpAddress": "198.51.100.20",
            "location": "DE",
            "properties": graph,
        })
    );
    let bare = text(&mapped(SIGN_IN, &[&arguments[..], &["--entra-shape", "graph"]].concat()));
    assert_eq!(bare.trim(), SIGN_IN);
}

#[test]
fn raw_records_of_google_are_one_for_each_event_of_an_activity() {
    let activity = r#"{"kind":"admin#reports#activity","id":{"time":"2026-01-15T10:00:00.481Z","uniqueQualifier":"1","applicationName":"login","customerId":"C01example"},"events":[{"type":"login","name":"login_success"},{"type":"login","name":"login_verification","parameters":[{"name":"is_second_factor","boolValue":true}]}]}"#;
    let arguments = ["--connector", "google_workspace", "--stream", "login", "--schema", "raw"];
    let lines = text(&mapped(activity, &arguments));
    let documents: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole: serde_json::Value = serde_json::from_str(activity).unwrap();
    assert_eq!(documents.len(), 2);
    for (document, event) in documents.iter().zip(whole["events"].as_array().unwrap()) {
        assert_eq!(
            *document,
            serde_json::json!({ "kind": whole["kind"], "id": whole["id"], "event": event })
        );
    }
}

/// The names of all fields of an ECS document, without positions.
fn leaves(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(member, &format!("{path}{dot}{key}"), found);
            }
            // A point is asked for as a whole.
            if members.contains_key("lat") {
                found.insert(path.to_owned());
            }
        }
        serde_json::Value::Array(elements) => {
            elements.iter().for_each(|element| leaves(element, path, found))
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_of_ecs_that_rules_are_promised_is_in_a_document() {
    let ecs = schema::by_name("ecs").unwrap();
    for (integration, promised) in CORE {
        let mut found = BTreeSet::new();
        for connector in tidegate_connectors::ALL {
            for stream in connector.streams() {
                if *integration != "*" && stream.names.namespace != *integration {
                    continue;
                }
                let marks = Marks { late_seconds: Some(1), ..Marks::default() };
                let context = Context { organisation: Some("C01example"), marks, ..context(stream.names) };
                let mut tape = Tape::new();
                let mut all = records(connector.name(), stream.name, 300, true);
                if stream.name == "drive" {
                    all.push(COPIED.as_bytes().to_vec());
                }
                for record in all {
                    let root = tape.cut(&record).unwrap();
                    let mut documents = Vec::new();
                    connector
                        .normalize(stream, root, &mut |event, _| {
                            let mut out = Vec::new();
                            ecs.render(event, &context, &mut out).unwrap();
                            documents.push(out);
                        })
                        .unwrap();
                    for document in documents {
                        leaves(&serde_json::from_slice(&document).unwrap(), "", &mut found);
                    }
                }
            }
        }
        let missing: Vec<_> = promised.iter().filter(|name| !found.contains(**name)).collect();
        assert!(missing.is_empty(), "{integration}: {missing:?} of {found:#?}");
    }
}

#[test]
fn each_rule_that_cannot_match_has_a_reason_and_most_can() {
    let fields = Fields::of(tidegate_connectors::ALL);
    for (integration, of, least) in [("okta", 61, 50), ("azure", 73, 68), ("google_workspace", 29, 28)] {
        let rules: Vec<_> = rules::all().into_iter().filter(|rule| rule.integration == integration).collect();
        assert_eq!(rules.len(), of, "{integration}");
        let verdicts: Vec<_> = rules.iter().map(|rule| (rule, fields.verdict(rule))).collect();
        for (rule, verdict) in &verdicts {
            if let Verdict::Cannot(missing) = verdict {
                assert!(!missing.is_empty() && missing.iter().all(|(_, why)| !why.is_empty()), "{rule:?}");
            }
        }
        let can = verdicts.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Cannot(_))).count();
        assert!(can >= least, "{integration}: {can} of {of}: {verdicts:#?}");
    }
}
