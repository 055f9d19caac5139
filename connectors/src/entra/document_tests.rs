//! Records against ECS documents: invented fixtures, properties, and (where the folder lies beside the project) real shapes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests")]

use super::*;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tidegate_core::event::{Ending, Event};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks, Rendered};

const DIRECTORY: &str = "7d1c0000-0000-4000-8000-0000000000aa";

fn at(text: &str) -> DateTime<Utc> {
    tidegate_core::event::parse_time(text).unwrap()
}

fn context(stream: &str) -> Context<'static> {
    Context {
        tenant: "acme",
        organisation: Some(DIRECTORY),
        namespace: "acme",
        names: Entra.stream(stream).unwrap().names,
        fetched: at("2026-01-15T10:05:00Z").into(),
        ingested: at("2026-01-15T10:05:01Z").into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

fn with_event<T>(stream: &str, record: &[u8], show: impl FnOnce(&Event<'_>) -> T) -> T {
    let mut tape = Tape::new();
    let root = tape.cut(record).unwrap();
    let mut events = Vec::new();
    Entra
        .normalize(Entra.stream(stream).unwrap(), root, &mut |event, _| events.push(std::mem::take(event)))
        .unwrap();
    assert_eq!(events.len(), 1);
    show(&events[0])
}

fn render(stream: &str, record: &[u8], context: &Context<'_>) -> (Rendered, Json) {
    with_event(stream, record, |event| {
        let mut out = Vec::new();
        let rendered = schema::by_name("ecs").unwrap().render(event, context, &mut out).unwrap();
        (rendered, crate::testing::strict(std::str::from_utf8(&out).unwrap()))
    })
}

fn document(stream: &str, record: &Json) -> Json {
    render(stream, record.to_string().as_bytes(), &context(stream)).1
}

fn fixtures() -> Vec<(String, String, Vec<u8>, PathBuf)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/entra/fixtures");
    let mut found = Vec::new();
    for stream in std::fs::read_dir(root).unwrap() {
        let stream = stream.unwrap();
        for case in std::fs::read_dir(stream.path()).unwrap() {
            let (path, stream) = (case.unwrap().path(), stream.file_name().into_string().unwrap());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((stream, name, std::fs::read(path.join("record.json")).unwrap(), path));
        }
    }
    found.sort();
    let streams: BTreeSet<_> = found.iter().map(|(stream, ..)| stream.as_str()).collect();
    assert_eq!(streams, STREAMS.iter().map(|stream| stream.name).collect(), "a fixture of every stream");
    found
}

fn fixture(stream: &str, name: &str) -> Json {
    let (.., record, _) = fixtures().into_iter().find(|(of, case, ..)| of == stream && case == name).unwrap();
    serde_json::from_slice(&record).unwrap()
}

fn folder(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// Records that others have seen: stream, record, and Elastic's document of it.
fn samples() -> Vec<(&'static str, Json, Json)> {
    let mut found = Vec::new();
    for (name, stream) in [
        ("sign_in", "sign_ins"),
        ("directory_audit", "directory_audits"),
        ("risk_detection", "risk_detections"),
        ("risky_user", "risk_detections"),
        ("elastic_signinlogs", "sign_ins"),
        ("elastic_auditlogs", "directory_audits"),
        ("azure_diagnostic_sign_in", "sign_ins"),
        ("azure_diagnostic_audit", "directory_audits"),
    ] {
        let Some(path) = folder(&format!("shared/samples/entra/{name}.ndjson")) else { return Vec::new() };
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let sample: Json = serde_json::from_str(line).unwrap();
            // What Graph would send is inside the envelope.
            let inside = sample["raw"]["properties"].as_object().map(|_| &sample["raw"]["properties"]);
            let record = if sample["raw_api"].is_null() {
                inside.unwrap_or(&sample["raw"])
            } else {
                &sample["raw_api"]
            };
            let stream = match sample["raw"]["category"].as_str() {
                Some("NonInteractiveUserSignInLogs") => "sign_ins_non_interactive",
                Some("ServicePrincipalSignInLogs") => "sign_ins_service_principal",
                Some("ManagedIdentitySignInLogs") => "sign_ins_managed_identity",
                _ => stream,
            };
            let elastic =
                if name.starts_with("elastic") { sample["expected_ecs"].clone() } else { Json::Null };
            found.push((stream, record.clone(), elastic));
        }
    }
    found
}

/// `UPDATE_FIXTURES=1 cargo test -p tidegate-connectors` writes the documents anew; read the difference as you read code.
#[test]
fn fixtures_become_the_documents_beside_them() {
    for (stream, name, record, path) in fixtures() {
        let (_, document) = render(&stream, &record, &context(&stream));
        let golden = path.join("ecs.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&golden, serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
        }
        let expected: Json = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        assert_eq!(document, expected, "{stream}: {name}");
    }
}

#[test]
fn the_published_schema_accepts_every_document() {
    let Some(validator) = folder("shared/tools/validate_ecs.py") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("documents.ndjson");
    let mut lines = String::new();
    let ours = fixtures().into_iter().map(|(stream, _, record, _)| (stream, record));
    let theirs =
        samples().into_iter().map(|(stream, record, _)| (stream.to_owned(), record.to_string().into_bytes()));
    for (stream, record) in ours.chain(theirs) {
        let context = Context { original: true, ..context(&stream) };
        lines.push_str(&format!("{}\n", render(&stream, &record, &context).1));
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

/// Leaves of JSON: path (positions in lists left out) and value.
fn leaves(value: &Json, path: String, found: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(member, format!("{path}{dot}{key}"), found);
            }
        }
        Json::Array(elements) => elements.iter().for_each(|element| leaves(element, path.clone(), found)),
        Json::Null => {}
        Json::String(text) if text.trim().is_empty() => {}
        leaf => found.push((path, leaf.clone())),
    }
}

/// Leaves that no document needs to show, and why.
fn not_shown(path: &str, value: &str) -> bool {
    let said = |text: &str| value == text;
    match path {
        // Graph's name for the kind of record; the data set says it.
        "@odata.type" => true,
        // No schema has a place for it.
        "location.geoCoordinates.altitude" => true,
        // Nothing is there, as Microsoft writes it.
        "ipAddress" => said("<null>") || said("null"),
        // Text where the store has an object, or no such truth: counted as drift.
        "location" | "deviceDetail" | "agent" | "flaggedForReview" | "networkLocationDetails[1]" => true,
        "authenticationDetails" => said("[]"),
        _ => false,
    }
}

fn lost(stream: &str, record: &[u8]) -> Vec<String> {
    let explained = with_event(stream, record, |event| {
        schema::explain(schema::by_name("ecs").unwrap(), event, &context(stream)).unwrap()
    });
    let text: String = explained.iter().map(|line| format!("{} {}\n", line.path, line.value)).collect();
    let mut tape = Tape::new();
    let root = tape.cut(record).unwrap();
    let (mut todo, mut lost) = (vec![root], Vec::new());
    while let Some(value) = todo.pop() {
        todo.extend(value.members().map(|(_, member)| member));
        todo.extend(value.elements());
        let is_leaf = value.members().next().is_none() && value.elements().next().is_none();
        let blank = value.as_text().is_some_and(|text| text.is_blank());
        if !is_leaf || value.is_null() || blank || matches!(value.raw(), "{}" | "[]") {
            continue;
        }
        let path = root.path_of(value.span().start);
        let whole = value.as_text().map_or(value.raw().to_owned(), |text| text.to_string());
        let noted =
            explained.iter().any(|line| line.from.as_ref().is_some_and(|from| path.starts_with(from)));
        let time = tidegate_core::event::parse_time(&whole)
            .is_some_and(|time| text.contains(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)));
        if !noted && !time && !text.contains(&whole) && !not_shown(&path, &whole) {
            lost.push(format!("{path} = {whole}"));
        }
    }
    lost
}

#[test]
fn no_leaf_is_lost() {
    for (stream, name, record, _) in fixtures() {
        assert_eq!(lost(&stream, &record), [""; 0], "{stream}: {name}");
    }
    for (stream, record, _) in samples() {
        assert_eq!(lost(stream, record.to_string().as_bytes()), [""; 0], "{stream}: {record}");
    }
}

#[test]
fn regular_records_are_no_drift() {
    for (stream, name, record, _) in fixtures() {
        let drift = render(&stream, &record, &context(&stream)).0.drift;
        match name.as_str() {
            "unexpected_shapes" => assert_eq!(drift, 11),
            // Text where Microsoft promises JSON, a word for a truth.
            "user_risk_remediated_at_five" => assert_eq!(drift, 1),
            _ => assert_eq!(drift, 0, "{stream}: {name}"),
        }
    }
    let drift = |record: &str| render("sign_ins", record.as_bytes(), &context("sign_ins")).0.drift;
    assert_eq!(drift(r#"{"id":"1","novelty":{"a":{"b":1}}}"#), 1);
    assert_eq!(drift(r#"{"id":"1","status":"x","appId":{"a":1}}"#), 2);
}

#[test]
fn elastics_own_documents_agree() {
    /// Where ours differ, and why.
    const DIFFERENT: &[(&str, &str)] = &[
        ("ecs.version", "theirs is older"),
        ("@timestamp", "ours keeps all digits; their envelope's time is that of the log, not of the event"),
        ("event.duration", "only in the envelope"),
        ("log.level", "only in the envelope"),
        ("event.original", "theirs is the envelope"),
        ("source.geo", "theirs comes from a test database of addresses; ours is Microsoft's own"),
        ("geo.country_name", "their older version writes the state here"),
        ("geo.country_iso_code", "theirs took the envelope's where the two differ"),
        ("geo.region_name", "their older version writes it as the country's name"),
        ("related.entity", "no ECS field; each id is under its own name"),
        ("user_agent", "theirs names a program Other where there is none"),
        ("azure.tenant.id", "a change of theirs under way; rules ask for azure.tenant_id"),
        ("azure.correlation.id", "a change of theirs under way; rules ask for azure.correlation_id"),
        ("azure.resource_provider.namespace", "a change of theirs under way"),
        ("cloud.resource_id", "a change of theirs under way; ours is azure.resource.id"),
        ("cloud.account.id", "only in one of theirs; ours is azure.tenant_id"),
        ("azure.auditlogs.level", "only in the envelope"),
        ("azure.auditlogs.result_description", "only in the envelope"),
        (
            "azure.signinlogs.result_signature",
            "newer envelopes have FAILURE where older ones had None, and rules ask for it",
        ),
        ("source.address", "of an audit it is only in the envelope, and there no address"),
    ];
    /// What ours has beside theirs, and why.
    const MORE: &[(&str, &str)] = &[
        ("data_stream", "theirs are constants of the index"),
        ("event.module", "theirs are constants of the index"),
        ("event.dataset", "theirs are constants of the index"),
        ("event.created", "theirs is left out of tests"),
        ("event.ingested", "theirs is left out of tests"),
        ("event.id", "of audits too"),
        ("event.reason", "of sign-ins too"),
        ("event.category", "of audits too"),
        ("event.type", "of audits too"),
        ("azure.tenant_id", "where theirs is under way to another name"),
        ("azure.correlation_id", "where theirs is under way to another name"),
        ("azure.resource", "where theirs is under way to another name"),
        ("azure.signinlogs.properties.tenant_id", "rules ask for it"),
        ("azure.signinlogs.properties.status.failure_reason", "kept, whatever else is in the message"),
        ("azure.auditlogs.properties.result", "in their field definitions, dropped by their pipeline"),
        ("azure.auditlogs.properties.userAgent", "rules ask for it; v1.0 has it among the details"),
        ("organization.id", "ECS has it"),
        ("client", "as source"),
        ("source", "ours has actor, place and network there"),
        ("user", "ours has address, actor and target of audits"),
        ("user_agent", "ours reads only what the text says in so many words"),
        ("device.id", "ECS has it"),
        ("transaction.id", "one attempt's rows have it in common"),
        ("related", "ECS wants it"),
        ("rule", "a policy that was changed"),
        ("geo.region_name", "the state is a region"),
    ];
    let mut compared = 0;
    for (stream, record, expected) in samples() {
        if expected.is_null() {
            continue;
        }
        let directory = expected["azure"]["tenant_id"]
            .as_str()
            .or(expected["azure"]["tenant"]["id"].as_str())
            .unwrap()
            .to_owned();
        let context = Context { organisation: Some(&directory), original: true, ..context(stream) };
        let (_, document) = render(stream, record.to_string().as_bytes(), &context);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        leaves(&document, String::new(), &mut ours);
        leaves(&expected, String::new(), &mut theirs);
        let listed = |list: &[(&str, &str)], path: &str| {
            list.iter().any(|(prefix, _)| {
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        for (path, value) in &theirs {
            compared += 1;
            let same = ours.iter().any(|(other, found)| other == path && found == value);
            // What only the envelope said, of an audit whose record names nobody.
            let identity = path == "azure.auditlogs.identity" && record["initiatedBy"]["app"].is_null();
            assert!(
                same || identity || listed(DIFFERENT, path),
                "{path}: {value} is not in ours: {document}"
            );
        }
        for (path, value) in &ours {
            let same = theirs.iter().any(|(other, found)| other == path && found == value);
            assert!(same || listed(DIFFERENT, path) || listed(MORE, path), "{path}: {value} is only in ours");
        }
    }
    println!("{compared} values compared");
}

const ENRICHMENT: &str =
    "Graph gives an address's number of the autonomous system, not whose it is: a database of addresses can";
const OTHER_LOG: &str = "of another log of Azure's, in rules that read several";

/// What Elastic's prebuilt rules on these logs query and a record of them cannot fill: field and reason.
const NOT_FILLED: &[(&str, &str)] = &[
    ("source.as.organization.name", ENRICHMENT),
    ("azure.activitylogs.identity.claims.appid", OTHER_LOG),
    ("azure.activitylogs.operation_name", OTHER_LOG),
    ("azure.activitylogs.properties.appId", OTHER_LOG),
    ("azure.activitylogs.properties.authentication_protocol", OTHER_LOG),
    ("azure.graphactivitylogs.properties.app_id", OTHER_LOG),
    ("azure.graphactivitylogs.properties.c_sid", OTHER_LOG),
    ("azure.graphactivitylogs.properties.scopes", OTHER_LOG),
    ("azure.graphactivitylogs.properties.user_principal_object_id", OTHER_LOG),
    ("url.original", OTHER_LOG),
    ("url.path", OTHER_LOG),
];

#[test]
fn every_field_that_rules_query_can_be_produced() {
    let Some(path) = folder("shared/schemas/detection_rule_fields.json") else { return };
    let rules: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut produced: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (stream, _, record, _) in fixtures() {
        let mut found = Vec::new();
        let context = Context { original: true, ..context(&stream) };
        leaves(&render(&stream, &record, &context).1, String::new(), &mut found);
        for (path, value) in found {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            // Content asks for any position, too, and for a whole flattened field.
            let any: Vec<&str> =
                path.split('.').map(|step| if step.parse::<u8>().is_ok() { "*" } else { step }).collect();
            for end in 1..any.len() {
                produced.entry(any[..end].join(".")).or_default();
            }
            produced.entry(any.join(".")).or_default().insert(value.clone());
            produced.entry(path).or_default().insert(value);
        }
    }
    let ours =
        ["azure.signinlogs", "azure.auditlogs", "azure.identityprotection", "azure.identity_protection"];
    let (mut count, mut unused): (usize, BTreeSet<&str>) =
        (0, NOT_FILLED.iter().map(|(name, _)| *name).collect());
    for rule in rules["integrations"]["azure"].as_array().unwrap() {
        let fields = rule["fields"].as_object().unwrap();
        let sets = ["data_stream.dataset", "event.dataset"].iter().filter_map(|name| fields.get(*name));
        let of_ours =
            sets.flat_map(|set| set.as_array().unwrap()).any(|set| ours.contains(&set.as_str().unwrap()))
                || fields.keys().any(|field| ours.iter().any(|name| field.starts_with(&format!("{name}."))));
        if !of_ours {
            continue;
        }
        count += 1;
        for (field, values) in fields {
            if NOT_FILLED.iter().any(|(name, _)| field == name) {
                unused.remove(field.as_str());
                assert!(!produced.contains_key(field), "{field} is produced after all");
                continue;
            }
            let Some(found) = produced.get(field) else {
                panic!("no document has {field}, which {} asks for", rule["name"])
            };
            // Words that we choose must be the words that rules compare.
            let chosen = [
                "azure.signinlogs.category",
                "azure.signinlogs.result_signature",
                "azure.signinlogs.operation_name",
                "azure.signinlogs.properties.user_type",
                "azure.signinlogs.properties.applied_conditional_access_policies.enforced_grant_controls",
            ];
            if chosen.contains(&field.as_str()) {
                for value in
                    values.as_array().unwrap().iter().filter_map(Json::as_str).filter(|value| *value != "*")
                {
                    assert!(
                        found.contains(value),
                        "{field}: no document says {value}, which {} asks for",
                        rule["name"]
                    );
                }
            }
        }
    }
    assert!(count >= 70, "{count}");
    assert!(unused.is_empty(), "no rule asks for {unused:?}");
    assert!(produced["event.action"].contains("User Risk Detection"));
}

/// The fields of the index template: name, with positions as `*`, and type.
fn store() -> BTreeMap<String, String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sinks/src/elasticsearch/fields");
    let mut types = BTreeMap::new();
    for list in ["azure.txt", "ecs.txt"] {
        for line in std::fs::read_to_string(root.join(list)).unwrap().lines() {
            let mut words = line.split(' ');
            if let (Some(name), Some(kind)) = (words.next(), words.next()) {
                types.insert(name.replace("<10>", "*").replace("<20>", "*"), kind.to_owned());
            }
        }
    }
    types
}

/// A store refuses the whole document for a value of another type in one of its fields.
fn typed_as_the_store_has_it(
    types: &BTreeMap<String, String>,
    value: &Json,
    path: &str,
    unlisted: &mut BTreeSet<String>,
) {
    let kind = types.get(path).map(String::as_str);
    match (value, kind) {
        (Json::Array(elements), Some("flattened")) => {
            assert!(elements.iter().all(Json::is_object), "{path}: {value}")
        }
        (Json::Array(elements), _) => {
            elements.iter().for_each(|element| typed_as_the_store_has_it(types, element, path, unlisted));
        }
        (Json::Object(_), Some("flattened" | "geo_point" | "object")) => {}
        (Json::Object(members), None) => {
            for (key, member) in members {
                let step = if path.ends_with("target_resources") || path.ends_with("modified_properties") {
                    "*"
                } else {
                    key
                };
                let dot = if path.is_empty() { "" } else { "." };
                typed_as_the_store_has_it(types, member, &format!("{path}{dot}{step}"), unlisted);
            }
        }
        (_, None) => {
            let above = types.keys().any(|name| name.starts_with(&format!("{path}.")));
            assert!(!above, "{path} is an object, not {value}");
            // In a closed namespace it is not indexed; elsewhere the store makes a keyword of it.
            if path.starts_with("azure.") {
                unlisted.insert(path.to_owned());
            } else {
                assert!(value.is_string(), "{path}: {value}");
            }
        }
        (value, Some(kind)) => {
            let text = value.as_str();
            let fits = match kind {
                "keyword" | "wildcard" | "match_only_text" | "constant_keyword" | "version" => {
                    text.is_some_and(|text| text.len() <= 32_766)
                }
                "long" => value.is_i64(),
                "float" => value.is_number(),
                "boolean" => value.is_boolean(),
                "ip" => text.is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
                "date" => {
                    text.is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok() && text.contains('T'))
                }
                _ => false,
            };
            assert!(fits, "{path}, a {kind}: {value}");
        }
    }
}

#[test]
fn the_index_template_knows_every_field_of_regular_records() {
    let (types, mut unlisted) = (store(), BTreeSet::new());
    for (stream, name, record, _) in fixtures() {
        if name != "unexpected_shapes" {
            typed_as_the_store_has_it(
                &types,
                &render(&stream, &record, &context(&stream)).1,
                "",
                &mut unlisted,
            );
        }
    }
    assert_eq!(unlisted, BTreeSet::new());
    for (stream, record, _) in samples() {
        typed_as_the_store_has_it(&types, &document(stream, &record), "", &mut unlisted);
    }
}

/// Every place in a record.
fn places(value: &Json, path: String, found: &mut Vec<String>) {
    found.push(path.clone());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Json::Object(members) => {
            members.iter().for_each(|(key, member)| places(member, format!("{path}/{}", escaped(key)), found))
        }
        Json::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(at, element)| places(element, format!("{path}/{at}"), found)),
        _ => {}
    }
}

fn odd_values() -> Vec<Json> {
    let deep = (0..120).fold(Json::from(1), |inner, _| json!({ "drift": inner }));
    let pair = |key: &str, value: Json| json!({ "key": key, "value": value });
    vec![
        Json::Null,
        true.into(),
        (-1.5).into(),
        u64::MAX.into(),
        "".into(),
        "null".into(),
        "<null>".into(),
        "999.1.1.1".into(),
        "192.0.2.1:443".into(),
        "2026-01-15 5:00:00".into(),
        "text \u{0} \u{7f} \u{2028} \"\\".into(),
        "{\"a\":{\"b\":[1,null,{\"\":2}]},\"a.b\":\"x\"}".into(),
        "[1,2".into(),
        "[1,[2],{\"a\":{}}]".into(),
        "😀".repeat(8_192).into(),
        json!([]),
        json!({}),
        json!([null, 1, "x", [], {}, [["y"]], { "drift": 5 }]),
        json!({ "": 1, " ": 2, "drift.b": 3, "drift": { "b": 4 }, "driftOne": 5, "drift one": "x", "tenant_id": 7, "TenantId": "x" }),
        json!([pair("a", json!("x")), pair("a", json!({ "b": 1 })), pair("b\u{0}", json!([]))]),
        json!([pair("a", json!("x")), pair("A", json!(1)), pair("a", json!("y"))]),
        Json::Array(vec![
            json!({ "displayName": "x", "newValue": [1], "modifiedProperties": [{ "newValue": true }, 7] });
            30
        ]),
        deep.clone(),
        deep.to_string().into(),
        (0..60).fold(Json::from("x"), |inner, _| json!([inner])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_a_record_holds_becomes_a_document_that_the_store_takes(
        fixture in any::<prop::sample::Index>(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::option::weighted(0.8, prop::sample::select(odd_values()))),
            1..6,
        ),
        again in any::<bool>(),
        half in any::<bool>(),
    ) {
        let fixtures = fixtures();
        let (stream, _, record, _) = &fixtures[fixture.index(fixtures.len())];
        let mut record: Json = serde_json::from_slice(record).unwrap();
        let id = record["id"].clone();
        for (at, value) in changes {
            let mut all = Vec::new();
            places(&record, String::new(), &mut all);
            let place = &all[at.index(all.len())];
            if place.is_empty() || place == "/id" {
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
        if half {
            bytes = bytes.replace("example", "\\ud83dample");
        }
        if again {
            // Every top member twice, first as something else.
            let doubled: String =
                record.as_object().unwrap().keys().map(|key| format!("{}:[7],", Json::from(key.as_str()))).collect();
            bytes.insert_str(1, &doubled);
        }
        let context = Context { original: true, ..context(stream) };
        let mut tape = Tape::new();
        if tape.cut(format!("[{bytes}]").as_bytes()).is_err() {
            // Odd values inside odd values: too deep for any reader, with the diagnostic form around them.
            return Ok(());
        }
        let (rendered, mut document) = render(stream, bytes.as_bytes(), &context);
        prop_assert_eq!(&document["event"]["id"], &id);
        prop_assert_eq!(document["tags"].to_string().contains("tidegate_cut"), rendered.cut > 0);
        document["event"].as_object_mut().unwrap().remove("original");
        typed_as_the_store_has_it(&store(), &document, "", &mut BTreeSet::new());
        for schema in schema::ALL.into_iter().filter(|schema| !schema.is_text()) {
            let mut out = Vec::new();
            with_event(stream, bytes.as_bytes(), |event| schema.render(event, &context, &mut out)).unwrap();
            crate::testing::strict(std::str::from_utf8(&out).unwrap());
        }
        let mut names = Vec::new();
        places(&document, String::new(), &mut names);
        prop_assert!(names.iter().skip(1).all(|place| !place.rsplit('/').next().unwrap().trim().is_empty()));
    }
}

/// thread: Azure/Azure-Sentinel#13176
#[test]
fn c11_a_failure_without_steps_is_a_failure_and_says_nothing_of_mfa() {
    let whole = fixture("sign_ins", "password_wrong_without_steps");
    for (code, reason) in
        [(50_126, "Error validating credentials"), (50_053, "The account is locked"), (50_057, "disabled")]
    {
        for steps in [json!([]), Json::Null, json!({}), json!("")] {
            let mut record = whole.clone();
            record["status"] = json!({ "errorCode": code, "failureReason": reason });
            record["authenticationDetails"] = steps;
            let document = document("sign_ins", &record);
            assert_eq!(document["event"]["outcome"], "failure");
            assert_eq!(document["event"]["reason"], reason);
            assert_eq!(document["azure"]["signinlogs"]["properties"]["status"]["error_code"], code);
            assert_eq!(document["azure"]["signinlogs"]["result_type"], code.to_string());
            assert_eq!(document["azure"]["signinlogs"]["properties"]["authentication_details"], Json::Null);
            with_event("sign_ins", record.to_string().as_bytes(), |event| {
                assert_eq!(event.outcome.result, Ending::Failure);
                assert_eq!((event.mfa.performed, event.mfa.factor, event.mfa.answer), (None, None, None));
            });
        }
    }
    // The step that Microsoft adds later makes another meaning of the same record.
    let mut later = whole.clone();
    later["authenticationDetails"] = json!([{ "authenticationMethod": "Password", "succeeded": false }]);
    let identity = |record: &Json| {
        let text = record.to_string();
        let mut tape = Tape::new();
        let root = tape.cut(text.as_bytes()).unwrap();
        let id = Entra.identity(Entra.stream("sign_ins").unwrap(), root).id.unwrap().into_owned();
        (id, tidegate_core::json::meaning(root, &[]))
    };
    let ((first, meant), (second, means)) = (identity(&whole), identity(&later));
    assert!(first == second && meant != means);
}

/// thread: Azure/Azure-Sentinel#9092
#[test]
fn c13_a_refusal_called_a_duplicate_is_no_wrong_code_and_keeps_both_texts() {
    let whole = fixture("sign_ins", "denial_called_a_duplicate");
    let mut stepped = whole.clone();
    stepped["authenticationDetails"] = json!([
        { "authenticationMethod": "Mobile app notification", "succeeded": false,
          "authenticationStepResultDetail": "MFA denied; duplicate authentication attempt" },
    ]);
    for record in [whole, stepped] {
        let document = document("sign_ins", &record);
        assert_eq!(document["event"]["outcome"], "failure");
        let status = &document["azure"]["signinlogs"]["properties"]["status"];
        assert_eq!(status["additional_details"], "MFA denied; duplicate authentication attempt");
        assert_eq!(document["message"], "MFA denied; duplicate authentication attempt");
        let reason = "Authentication failed during strong authentication request.";
        assert_eq!((&status["error_code"], &status["failure_reason"]), (&json!(500_121), &json!(reason)));
        assert_eq!(document["event"]["reason"], reason);
        assert_eq!(document["azure"]["signinlogs"]["result_description"], reason, "as rules ask");
        with_event("sign_ins", record.to_string().as_bytes(), |event| {
            assert_eq!((event.mfa.performed, event.mfa.answer), (Some(false), None));
        });
    }
}

/// thread: elastic/beats#37249
#[test]
fn c15_the_sign_ins_own_address_is_the_source_and_every_other_keeps_its_name() {
    let record = fixture("sign_ins", "two_addresses");
    let document = document("sign_ins", &record);
    for side in ["source", "client"] {
        assert_eq!(document[side]["ip"], "192.0.2.44");
    }
    assert_eq!(document["related"]["ip"], json!(["192.0.2.44"]));
    let log = &document["azure"]["signinlogs"];
    assert_eq!(log["caller_ip_address"], "192.0.2.44");
    assert_eq!(log["properties"]["ip_address_from_resource_provider"], "2001:db8:0:1::25");
    assert_eq!(log["properties"]["global_secure_access_ip_address"], "203.0.113.99");
    // Whatever stands where the address should be, no other address takes its place.
    for (told, ip, address) in [
        (json!(null), Json::Null, Json::Null),
        (json!("192.0.2.xxx"), Json::Null, json!("192.0.2.xxx")),
        (json!("2001:db8::7"), json!("2001:db8::7"), json!("2001:db8::7")),
    ] {
        let mut record = record.clone();
        record["ipAddress"] = told;
        let document = self::document("sign_ins", &record);
        assert_eq!((&document["source"]["ip"], &document["source"]["address"]), (&ip, &address));
        assert_eq!(document["azure"]["signinlogs"]["caller_ip_address"], ip);
    }
}

/// thread: MicrosoftDocs/azure-docs#19685, microsoft/storage-as-a-service#8
#[test]
fn c17_a_guests_name_is_kept_exact_and_no_home_address_is_guessed() {
    let guest = document("sign_ins", &fixture("sign_ins", "guest"));
    let properties = &guest["azure"]["signinlogs"]["properties"];
    assert_eq!(properties["user_principal_name"], "kim.roe_partner.example#EXT#@contoso.example");
    assert_eq!(properties["user_type"], "guest");
    let user = &guest["user"];
    assert_eq!(
        (&user["name"], &user["domain"]),
        (&json!("kim.roe_partner.example#EXT#"), &json!("contoso.example"))
    );
    assert_eq!(user["email"], Json::Null);
    // The same in audits, as actor and as target; and a name may hold several at-signs.
    let mut audit = fixture("directory_audits", "guest_made_a_member");
    audit["initiatedBy"]["user"]["userPrincipalName"] = json!("a@b#EXT#@contoso.example");
    audit["targetResources"][0]["userPrincipalName"] = json!("kim_roe_partner.example#EXT#@contoso.example");
    let audit = document("directory_audits", &audit);
    assert_eq!(
        (&audit["user"]["name"], &audit["user"]["domain"]),
        (&json!("a@b#EXT#"), &json!("contoso.example"))
    );
    let target = &audit["user"]["target"];
    assert_eq!((&target["name"], &target["email"]), (&json!("kim_roe_partner.example#EXT#"), &Json::Null));
    let said = &audit["azure"]["auditlogs"]["properties"]["target_resources"]["0"]["user_principal_name"];
    assert_eq!(said, "kim_roe_partner.example#EXT#@contoso.example");
}

/// thread: microsoftgraph/microsoft-graph-docs-contrib#9114, #2468
#[test]
fn c19_a_type_that_nobody_lists_a_hidden_level_and_json_in_text() {
    let whole = fixture("risk_detections", "nobody_knows_the_type_or_may_see_the_level");
    for stream in ["risk_detections", "service_principal_risk_detections"] {
        let document = document(stream, &whole);
        assert_eq!(document["event"]["kind"], "alert");
        let properties = &document["azure"]["identityprotection"]["properties"];
        assert_eq!(properties["risk_event_type"], "nationStateIP");
        assert_eq!(properties["risk_level"], "hidden");
        assert_eq!(
            properties["additional_info"],
            json!([{ "Key": "riskReasons", "Value": ["ExampleReason"] }, { "Key": "userAgent" }])
        );
        assert_eq!(document["source"]["ip"], Json::Null);
        assert_eq!(document["user"]["id"], "aaaa0000-0000-4000-8000-000000000002");
        with_event(stream, whole.to_string().as_bytes(), |event| assert_eq!(event.risk.level, None));
    }
    for (info, kept) in [
        (json!("not JSON"), json!({ "value": "not JSON" })),
        (json!("7"), json!({ "value": "7" })),
        (json!("[\"x\"]"), json!([{ "value": "x" }])),
        (json!([{ "Key": "a", "Value": "b" }]), json!([{ "Key": "a", "Value": "b" }])),
        (json!(true), json!({ "value": true })),
        (json!(""), Json::Null),
    ] {
        let mut record = whole.clone();
        record["additionalInfo"] = info;
        let document = document("risk_detections", &record);
        assert_eq!(document["azure"]["identityprotection"]["properties"]["additional_info"], kept);
    }
}

#[test]
fn an_interrupt_is_a_failure_for_rules_and_the_event_says_what_it_was() {
    let record = fixture("sign_ins", "interrupted_for_mfa");
    let document = document("sign_ins", &record);
    assert_eq!(document["event"]["outcome"], "failure");
    assert_eq!(document["azure"]["signinlogs"]["result_signature"], "FAILURE");
    with_event("sign_ins", record.to_string().as_bytes(), |event| {
        assert_eq!(event.outcome.result, Ending::Challenge);
    });
}

#[test]
fn the_directory_is_the_records_or_else_the_sources() {
    let table = json!({ "directory": "7D1C0000-0000-4000-8000-0000000000AA",
                        "auth": { "client_id": "x", "client_secret": "env:X" } });
    assert_eq!(Entra.organisation_id(table.as_object().unwrap()).as_deref(), Some(DIRECTORY));
    assert_eq!(Entra.organisation_id(json!({ "directory": "common" }).as_object().unwrap()), None);
    for stream in STREAMS {
        let document = document(stream.name, &json!({ "id": "1" }));
        assert_eq!(document["azure"]["tenant_id"], DIRECTORY, "{}", stream.name);
        assert_eq!(
            document["azure"]["resource"]["id"],
            format!("/tenants/{DIRECTORY}/providers/Microsoft.aadiam")
        );
        assert_eq!(document["organization"]["id"], DIRECTORY);
        assert_eq!(document["data_stream"]["dataset"], stream.names.dataset);
        let document = self::document(stream.name, &json!({ "id": "1", "tenantId": "another" }));
        assert_eq!(document["azure"]["tenant_id"], "another");
        assert_eq!(
            document["organization"]["id"], "another",
            "not that of the source and the record's beside it"
        );
        let unknown = Context { organisation: None, ..context(stream.name) };
        let (_, document) = render(stream.name, b"{\"id\":\"1\"}", &unknown);
        assert_eq!(document["azure"]["tenant_id"], Json::Null);
        assert_eq!(document["azure"]["resource"], json!({ "provider": "Microsoft.aadiam" }));
    }
}
