//! Events that others recorded, and our own, as OCSF: the schemas' authors find nothing wrong with them.

use crate::real;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let shared = root().join("../shared");
    if shared.join("samples").exists() {
        return Some(shared);
    }
    real::skipped(test, &format!("no samples in {}", shared.display()));
    None
}

/// The stream whose records a file of samples holds; `None`: no stream of ours.
fn stream(vendor: &str, file: &str) -> Option<(&'static str, String)> {
    let file = file.trim_start_matches("elastic_").trim_start_matches("panther_");
    Some(match (vendor, file) {
        ("okta", _) => ("okta", "system_log".to_owned()),
        ("duo", "auth") => ("duo", "authentication".to_owned()),
        ("duo", "admin") => ("duo", "administrator".to_owned()),
        ("duo", stream) => ("duo", stream.to_owned()),
        ("entra", "sign_in" | "signinlogs") => ("entra", "sign_ins".to_owned()),
        ("entra", "directory_audit" | "auditlogs") => ("entra", "directory_audits".to_owned()),
        ("entra", "risk_detection") => ("entra", "risk_detections".to_owned()),
        ("google_workspace", application) => ("google_workspace", application.to_owned()),
        _ => return None,
    })
}

pub(crate) struct Sample {
    pub(crate) connector: &'static str,
    pub(crate) stream: String,
    pub(crate) record: Value,
    expected: Option<Value>,
}

pub(crate) fn samples(shared: &Path) -> Vec<Sample> {
    let mut found = Vec::new();
    for vendor in ["okta", "entra", "duo", "google_workspace"] {
        for entry in std::fs::read_dir(shared.join("samples").join(vendor)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let Some((connector, stream)) = stream(vendor, &name) else { continue };
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let mut sample: Value = serde_json::from_str(line).unwrap();
                let key = if sample["raw_api"].is_null() { "raw" } else { "raw_api" };
                let expected = Some(sample["expected_ocsf"].take()).filter(|expected| !expected.is_null());
                let stream = stream.clone();
                found.push(Sample { connector, stream, record: sample[key].take(), expected });
            }
        }
    }
    found
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    output
}

/// Documents of records, one a line, by `tidegate map`.
fn map(connector: &str, stream: &str, schema: &str, records: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["map", "--connector", connector, "--stream", stream, "--schema", schema, "--original"]);
    let output = run(&mut command, records);
    assert!(output.status.success(), "{connector} {stream}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Documents of all samples.
fn all(samples: &[Sample], schema: &str) -> String {
    let mut documents = String::new();
    let mut rest: Vec<&Sample> = samples.iter().collect();
    while let Some(first) = rest.first().copied() {
        let same = |sample: &&Sample| (sample.connector, &sample.stream) == (first.connector, &first.stream);
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(same);
        let records: String = now.iter().map(|sample| format!("{}\n", sample.record)).collect();
        documents.push_str(&map(first.connector, &first.stream, schema, &records));
        rest = later;
    }
    documents
}

#[test]
fn every_sample_is_mapped_to_valid_ocsf() {
    let Some(shared) = shared("every_sample_is_mapped_to_valid_ocsf") else { return };
    let samples = samples(&shared);
    assert!(samples.len() > 200, "{} samples", samples.len());
    for (schema, classes) in [("ocsf", "ocsf_classes.json"), ("ocsf_1_9", "ocsf_classes_1_9_dev.json")] {
        let documents = all(&samples, schema);
        let mut command = Command::new("python3");
        command.arg(shared.join("tools/validate_ocsf.py")).arg("--quiet").arg("--schema");
        let verdict = run(command.arg(shared.join("schemas").join(classes)), &documents);
        assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stdout));
    }
}

#[test]
fn the_published_json_schema_agrees() {
    const TEST: &str = "the_published_json_schema_agrees";
    let Some(python) = real::part(real::ocsf::PYTHON, TEST) else { return };
    let mut documents = String::new();
    for entry in std::fs::read_dir(root().join("connectors/src/ocsf_tests/fixtures")).unwrap() {
        let golden = std::fs::read(entry.unwrap().path().join("ocsf.json")).unwrap();
        for document in serde_json::from_slice::<Vec<Value>>(&golden).unwrap() {
            writeln!(documents, "{document}").unwrap();
        }
    }
    if let Some(shared) = shared(TEST) {
        documents.push_str(&all(&samples(&shared), "ocsf"));
    }
    let count = documents.lines().count();
    assert!(count >= 35, "{count}");
    assert_eq!(real::ocsf::verdict(&python, "1.8.0", &documents), format!("{count} documents\n"));
}

/// Where the documents that others made of the same records differ from ours, and why ours is right.
const DIFFERENT: &[(&str, &str)] = &[
    ("time", "theirs is text or in seconds; the schema says milliseconds"),
    ("time_dt", "the profile datetime says the same again"),
    ("cloud", "where the vendor's service runs is nothing that the record tells"),
    ("metadata.profiles", "cloud and datetime, see there; ours names what is used"),
    ("metadata.version", "theirs is older"),
    ("metadata.log_name", "ours is the same name as in all our schemas"),
    (
        "metadata.product",
        "the way the log was fetched is no feature, and the version of a record none of the product",
    ),
    ("metadata.source", "the directory's own service is kept under unmapped"),
    ("metadata.loggers", "a logger needs a name; the id is original_event_uid"),
    ("message", "ours says who did it"),
    ("end_time", "when a finding was changed is modified_time"),
    ("finding_info.desc", "status_detail and message have it"),
    ("finding_info.title", "ours is the vendor's sentence"),
    ("finding_info.product", "metadata.product has it"),
    ("evidences.data", "what has no place is kept under unmapped"),
    ("evidences.http_request.uid", "no id of a request over HTTP"),
    ("http_request.uid", "no id of a request over HTTP"),
    ("evidences.http_request.url.path", "ours has no query in it"),
    ("evidences.src_endpoint.location.country", "the schema wants two letters"),
    ("src_endpoint.location.country", "the schema wants two letters"),
    ("evidences.src_endpoint.location.isp", "deprecated; the endpoint has it"),
    ("src_endpoint.location.isp", "deprecated; the endpoint has it"),
    ("evidences.src_endpoint.owner", "an owner is a user; the network's is autonomous_system"),
    ("src_endpoint.owner", "an owner is a user; the network's is autonomous_system"),
    ("evidences.src_endpoint.type", "Okta's word Computer is no phone"),
    ("src_endpoint.type", "Okta's word Computer is no phone"),
    ("evidences.src_endpoint.os", "the device has it"),
    ("src_endpoint.os", "the device has it"),
    ("src_endpoint.uid", "the device has it"),
    ("evidences.actor.user.type", "ours is the vendor's own word"),
    ("actor.user.name", "ours is the login, the name for people is full_name"),
    ("actor.user.domain", "part of Okta's login, which is one word there"),
    ("actor.user.type", "a SystemPrincipal is the system, no administrator"),
    ("dst_endpoint.svc_name", "a path is no service, and a resource has a name"),
    ("resources.name", "a path is no resource"),
    ("impact", "nobody told one"),
    ("severity", "Okta's level is known, and a level of nothing else"),
    ("status", "how a policy decided is no state of a finding; action has it"),
    ("status_detail", "`Other.` is what every success has there"),
    ("action", "policies being satisfied is no decision of one"),
    ("disposition", "policies being satisfied is no decision of one"),
    ("auth_factors", "that a method is named does not prove that it was used"),
    ("is_mfa", "that a method is named does not prove that it was used"),
    ("logon_type", "a sign-in of a person comes over the network"),
    ("class", "a role or an application that is granted is access; theirs is the plain entity"),
    ("type", "follows from the class"),
    ("activity", "follows from the class"),
    ("entity", "of another class"),
];

fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            let dot = if path.is_empty() { "" } else { "." };
            members.iter().for_each(|(key, member)| leaves(member, &format!("{path}{dot}{key}"), found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| leaves(element, path, found)),
        Value::Null => {}
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

#[test]
fn others_documents_agree() {
    let Some(shared) = shared("others_documents_agree") else { return };
    let mut compared = 0;
    for sample in samples(&shared) {
        let Some(expected) = &sample.expected else { continue };
        // A risky user is no event of ours.
        let documents = map(sample.connector, &sample.stream, "ocsf", &format!("{}\n", sample.record));
        let ours: Value = serde_json::from_str(documents.lines().next().unwrap()).unwrap();
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        leaves(&ours, "", &mut mine);
        leaves(expected, "", &mut theirs);
        compared += 1;
        for (path, value) in theirs {
            let aside = ["unmapped", "raw_data", "observables", "enrichments"];
            let known = DIFFERENT.iter().any(|(name, _)| {
                path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
            });
            assert!(
                known
                    || aside.iter().any(|name| path.starts_with(name))
                    || mine.contains(&(path.clone(), value.clone())),
                "{} {path}: theirs {value}, ours {:?}",
                sample.stream,
                mine.iter().filter(|(other, _)| *other == path).collect::<Vec<_>>()
            );
        }
    }
    assert!(compared >= 9, "{compared}");
}

fn at<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    path.split(['.', '[']).try_fold(document, |here, step| match step.strip_suffix(']') {
        Some(place) => here.get(place.parse::<usize>().unwrap()),
        None => here.get(step),
    })
}

fn meets(found: Option<&Value>, expected: &Value) -> bool {
    let Some(said) = expected.as_object() else { return found == Some(expected) };
    said.iter().all(|(how, what)| match how.as_str() {
        "absent" => found.is_none(),
        "one_of" => what.as_array().unwrap().iter().any(|one| meets(found, one)),
        "not" => !meets(found, what),
        "contains_text" => {
            found.and_then(Value::as_str).is_some_and(|text| text.contains(what.as_str().unwrap()))
        }
        other => panic!("an expectation of a new kind: {other}"),
    })
}

#[test]
fn public_bug_reports_of_this_field_come_out_right_in_ocsf() {
    let Some(shared) = shared("public_bug_reports_of_this_field_come_out_right_in_ocsf") else { return };
    let mut seen = 0;
    for line in std::fs::read_to_string(shared.join("cases/record.ndjson")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (vendor, log) = case["stream"].as_str().unwrap().split_once('/').unwrap();
        let Some((connector, stream)) = stream(vendor, log) else { panic!("{}", case["stream"]) };
        let input = match &case["input"] {
            Value::Array(records) => records.iter().map(|record| format!("{record}\n")).collect(),
            Value::String(text) => format!("{text}\n"),
            record => format!("{record}\n"),
        };
        let documents = map(connector, &stream, "ocsf", &input);
        let documents: Vec<Value> =
            documents.lines().map(|document| serde_json::from_str(document).unwrap()).collect();
        let expect = &case["expect"];
        let each: Vec<&Value> = match expect["each"].as_array() {
            Some(each) => each.iter().map(|one| &one["ocsf"]).collect(),
            None => vec![&expect["ocsf"]; documents.len()],
        };
        assert_eq!(each.len(), documents.len(), "{}", case["id"]);
        for (document, expected) in documents.iter().zip(each) {
            for (path, expected) in expected.as_object().into_iter().flatten() {
                if expected == "three different values" {
                    let same = documents.iter().filter(|other| at(other, path) == at(document, path));
                    assert_eq!((documents.len(), same.count()), (3, 1), "{}: {path}", case["id"]);
                    continue;
                }
                let found = at(document, path);
                assert!(meets(found, expected), "{}: {path}: {expected}, found {found:?}", case["id"]);
                seen += 1;
            }
        }
    }
    assert!(seen >= 30, "{seen}");
}
