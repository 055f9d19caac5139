//! What the README tells a newcomer to type works.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{command, json, text};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const VENDORS: [&str; 4] = ["Okta", "Entra ID", "Duo", "Google Workspace"];

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
    assert_eq!((&books["existed"], &books["late"]), (&1_200.into(), &12.into()), "{books}");
    for vendor in VENDORS {
        let books = &books["vendors"][vendor];
        assert_eq!((&books["existed"], &books["delivered"]), (&300.into(), &300.into()), "{vendor}: {books}");
    }
    let document = std::fs::read(dir.path().join("demo/doc-0001.json")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert!(document["okta"]["uuid"].is_string(), "{document}");
}

#[test]
fn the_demo_tells_a_person_what_happened() {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--events", "100", "--seed", "3"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let parts = [
        "100 events, 3 late",
        "killed once on purpose at document ",
        "400 existed · 400 delivered · 0 lost · 0 doubled · 12 arrived late",
        "next: tidegate init okta",
    ];
    for part in VENDORS.into_iter().chain(parts) {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let each = "100 existed · 100 delivered · 0 lost · 0 doubled · 3 arrived late";
    assert_eq!(said.matches(each).count(), VENDORS.len(), "{said}");
}

/// `tidegate simulate`, which ends with it.
struct Simulated {
    child: Child,
    /// What it said, to its last line.
    said: String,
}

impl Simulated {
    /// On free ports, with its keys where the README's commands find them.
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("simulate");
        for server in ["--okta", "--elasticsearch", "--entra", "--duo", "--google", "--splunk"] {
            command.args([server, "127.0.0.1:0"]);
        }
        command.current_dir(dir).env_remove("TIDEGATE_DEMO_TOKEN");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            said += &line;
            said.push('\n');
            if line.starts_with("Next: ") {
                break;
            }
        }
        Self { child, said }
    }

    /// The text with the usual addresses, with those that were free instead.
    fn at(&self, text: &str) -> String {
        let names = ["Okta ", "Elasticsearch ", "Entra ID ", "Duo ", "Google Workspace "];
        names.into_iter().zip(4801..).fold(text.to_owned(), |text, (name, port)| {
            let line = self.said.lines().find(|line| line.starts_with(name));
            let url = line.and_then(|line| line[name.len()..].split_whitespace().next());
            let url = url.unwrap_or_else(|| panic!("no {name} in\n{}", self.said));
            let usual = format!("http://127.0.0.1:{port}");
            assert!(text.contains(&usual), "no {usual} in\n{text}");
            text.replace(&usual, url)
        })
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_pipeline_that_comes_along_is_right_as_it_stands() {
    let dir = TempDir::new().unwrap();
    let _simulated = Simulated::start(dir.path());
    let output = command(&root().join("pipeline.toml"), &["check"])
        .env("TIDEGATE_DEMO_TOKEN", "simulated-token")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(written(dir.path()), ["var"], "a check writes nothing");
    assert_eq!(written(&dir.path().join("var")), ["simulated"], "a check writes nothing");
}

#[test]
fn the_pipeline_that_comes_along_is_let_in_by_all_stand_ins() {
    let dir = TempDir::new().unwrap();
    let simulated = Simulated::start(dir.path());
    let pipeline = simulated.at(&std::fs::read_to_string(root().join("pipeline.toml")).unwrap());
    let file = dir.path().join("pipeline.toml");
    std::fs::write(&file, &pipeline).unwrap();
    let output = command(&file, &["check", "--online", "--json"])
        .env("TIDEGATE_DEMO_TOKEN", "simulated-token")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let checked = json(&output);
    for source in ["okta", "entra", "duo", "google"] {
        let of = |object: &&serde_json::Value| object["name"] == format!("acme/{source}");
        let object = checked["checked"].as_array().unwrap().iter().find(of);
        assert_eq!(object.unwrap_or_else(|| panic!("no {source}: {checked}"))["ok"], true, "{checked}");
    }
    // What `simulate` tells to write into a pipeline is what that one says.
    let (_, sources) = simulated.said.split_once("[tenant").unwrap();
    let (sources, _) = sources.split_once("\n\nNext").unwrap();
    assert!(pipeline.contains(sources), "{}\nis not in\n{pipeline}", simulated.said);
    assert!(!simulated.said.contains("PRIVATE KEY") && !simulated.said.contains("simulated-secret"));
}

fn written(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}
