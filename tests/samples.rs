//! Events that others recorded, where they are at hand, flow the whole way into files, and every document is valid ECS.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
#[path = "samples/lost.rs"]
mod lost;
#[path = "samples/ocsf.rs"]
mod ocsf;
mod real;

use common::{Stage, json, text};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tidegate_simulator::SimulateOptions;

const TEST: &str = "every_sample_is_mapped_to_valid_ecs";

/// A line of a collection: the record as the API gives it is `raw_api`, or else `raw`.
#[derive(serde::Deserialize)]
struct Sample {
    raw: Box<RawValue>,
    raw_api: Option<Box<RawValue>>,
}

/// The records, byte for byte, in rounds: within one no id stands twice, or it would be taken for the same event.
fn rounds(folder: &Path) -> Vec<Vec<String>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    files.sort();
    let mut rounds: Vec<(BTreeSet<String>, Vec<String>)> = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let sample: Sample = serde_json::from_str(line).unwrap();
            let record = sample.raw_api.unwrap_or(sample.raw).get().to_owned();
            let value: Value = serde_json::from_str(&record).unwrap();
            let id = value["uuid"].as_str().unwrap_or_default().to_owned();
            match rounds.iter_mut().find(|(ids, _)| !ids.contains(&id)) {
                Some((ids, records)) => {
                    ids.insert(id);
                    records.push(record);
                }
                None => rounds.push((BTreeSet::from([id]), vec![record])),
            }
        }
    }
    rounds.into_iter().map(|(_, records)| records).collect()
}

/// From a file of records through the stand-in and the binary to a file of documents.
async fn documents(records: &[String]) -> String {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("records.ndjson");
    std::fs::write(&file, records.join("\n") + "\n").unwrap();
    let stage = Stage::new(SimulateOptions { file: Some(file), ..SimulateOptions::default() }).await;
    let out = dir.path().join("out");
    let pipeline = std::fs::read_to_string(&stage.file).unwrap();
    let (journal, tail) = pipeline.split_once("[sink.elastic]").unwrap();
    let (_, sources) = tail.split_once("[tenant.").unwrap();
    let sink = format!("[sink.files]\nkind = \"file\"\nschema = \"ecs\"\ndir = \"{}\"\n", out.display());
    std::fs::write(&stage.file, format!("{journal}{sink}\n[tenant.{sources}")).unwrap();

    let output = stage.tidegate(&["sync", "--json", "--max-duration", "1m"]).await;
    assert!(output.status.success(), "{}", text(&output));
    let report = json(&output);
    assert_eq!((&report["fetched"], &report["dead"]), (&records.len().into(), &0.into()), "{report}");

    let mut found = String::new();
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "ndjson", "finished: {}", path.display());
        found.push_str(&std::fs::read_to_string(path).unwrap());
    }
    stage.simulation.shutdown().await;
    assert_eq!(found.lines().count(), records.len());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_is_mapped_to_valid_ecs() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (samples, validator) = (shared.join("samples/okta"), shared.join("tools/validate_ecs.py"));
    if !samples.exists() || !validator.exists() {
        real::skipped(TEST, &format!("no samples in {}", shared.display()));
        return;
    }
    let mut all = String::new();
    for records in rounds(&samples) {
        write!(all, "{}", documents(&records).await).unwrap();
    }
    assert!(all.lines().count() >= 40, "{} samples", all.lines().count());
    judge(&validator, &all);
}

fn judge(validator: &Path, documents: &str) {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("documents.ndjson");
    std::fs::write(&file, documents).unwrap();
    let verdict = Command::new("python3").arg(validator).arg("--quiet").arg(&file).output().unwrap();
    assert!(verdict.status.success(), "{}", text(&verdict));
}

/// The same by hand: `tidegate map` with the log that each file is of.
#[test]
fn every_entra_sample_is_mapped_to_valid_ecs() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (samples, validator) = (shared.join("samples/entra"), shared.join("tools/validate_ecs.py"));
    if !samples.exists() || !validator.exists() {
        real::skipped(
            "every_entra_sample_is_mapped_to_valid_ecs",
            &format!("no samples in {}", shared.display()),
        );
        return;
    }
    let mut all = String::new();
    for (name, stream) in [
        ("sign_in", "sign_ins"),
        ("elastic_signinlogs", "sign_ins"),
        ("directory_audit", "directory_audits"),
        ("elastic_auditlogs", "directory_audits"),
        ("risk_detection", "risk_detections"),
        ("risky_user", "risk_detections"),
    ] {
        let lines = std::fs::read_to_string(samples.join(format!("{name}.ndjson"))).unwrap();
        let samples = lines.lines().map(|line| serde_json::from_str::<Sample>(line).unwrap());
        let records: Vec<_> =
            samples.map(|sample| sample.raw_api.unwrap_or(sample.raw).get().to_owned()).collect();
        let mut map = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["map", "--connector", "entra", "--stream", stream, "--organisation", "contoso.example"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = map.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, (records.join("\n") + "\n").as_bytes()).unwrap();
        drop(input);
        let output = map.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output));
        let documents = String::from_utf8(output.stdout).unwrap();
        assert_eq!(documents.lines().count(), records.len());
        // Some records say whose they are; the others' is the organisation that was named.
        assert!(documents.lines().all(|line| line.contains(r#""tenant_id":""#)), "{name}");
        assert!(documents.contains(r#""tenant_id":"contoso.example""#), "{name}");
        all.push_str(&documents);
    }
    judge(&validator, &all);
}
