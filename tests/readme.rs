//! What the README tells a newcomer to type works.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{command, json, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines that stand in fences of the README, without a prompt and without comments behind.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in readme.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            let line = line.trim().trim_start_matches("$ ");
            found.push(line.split("  #").next().unwrap().split(" #").next().unwrap().trim().to_owned());
        }
    }
    assert!(!inside, "a fence of README.md is not closed");
    found
}

fn assert_told(wanted: &str) {
    assert!(commands().iter().any(|line| line == wanted), "README.md does not say {wanted:?}");
}

#[test]
fn the_readme_tells_how_to_run_the_tests() {
    assert_told("cargo test --workspace");
}

#[test]
fn the_demo_of_the_readme_loses_and_doubles_nothing() {
    assert_told("cargo run --release -- demo");
    let dir = TempDir::new().unwrap();
    // The profile is another one, the program and its arguments are the same.
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--json", "--dir"])
        .arg(dir.path().join("demo"))
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let books = json(&output);
    assert_eq!((&books["missing"], &books["doubled"]), (&0.into(), &0.into()), "{books}");
    assert_eq!(books["existed"], books["delivered"], "{books}");
    assert_eq!((&books["existed"], &books["late"]), (&1_200.into(), &3.into()), "{books}");
    let document = std::fs::read(dir.path().join("demo/doc-0001.json")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert!(document["okta"]["uuid"].is_string(), "{document}");
}

#[test]
fn the_demo_tells_a_person_what_happened() {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--events", "400", "--seed", "3"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "(400 events, 3 late)",
        "killed once on purpose at event ",
        "400 existed · 400 delivered · 0 lost · 0 doubled · 3 arrived late",
        "next: tidegate init okta",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn the_pipeline_that_comes_along_is_right_as_it_stands() {
    let dir = TempDir::new().unwrap();
    let output = command(&root().join("pipeline.toml"), &["check"])
        .env("TIDEGATE_DEMO_TOKEN", "demo-token")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(written(dir.path()), Vec::<PathBuf>::new(), "a check writes nothing");
}

fn written(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
