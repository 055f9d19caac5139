//! `tidegate init`, then `tidegate check`: the first two commands of a newcomer, for every connector.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{command, text};
use std::path::Path;

/// Runs the binary in a directory of its own.
fn tidegate(dir: &Path, file: &str, arguments: &[&str]) -> std::process::Output {
    command(&dir.join(file), arguments).current_dir(dir).env("ACME_OKTA_TOKEN", "a-token").output().unwrap()
}

#[test]
fn check_accepts_what_init_writes_for_every_connector() {
    let dir = tempfile::tempdir().unwrap();
    for connector in tidegate_connectors::ALL {
        let name = connector.name();
        let file = format!("{name}.toml");
        let written = tidegate(dir.path(), "none", &["init", "--connector", name, "--output", &file]);
        assert_eq!(written.status.code(), Some(0), "{name}: {}", text(&written));
        let checked = tidegate(dir.path(), &file, &["check"]);
        assert_eq!(checked.status.code(), Some(0), "{name}: {}", text(&checked));
        let said = text(&checked);
        assert!(said.contains(&format!("  ok  {} of ", connector.title())), "{said}");
        assert!(!said.contains("warning"), "{said}");
        let again = tidegate(dir.path(), "none", &["init", name]);
        assert_eq!(std::fs::read(dir.path().join(&file)).unwrap(), again.stdout, "{name}");
    }
}

/// The lines to choose instead are right as well.
#[test]
fn check_accepts_what_init_offers_in_comments() {
    let dir = tempfile::tempdir().unwrap();
    for connector in tidegate_connectors::ALL {
        let name = connector.name();
        let pipeline = String::from_utf8(tidegate(dir.path(), "none", &["init", name]).stdout).unwrap();
        let offers: Vec<&str> = pipeline
            .lines()
            .filter(|line| line.starts_with("# auth ") || line.starts_with("# streams "))
            .collect();
        assert!(!offers.is_empty(), "{name}");
        for offer in offers {
            let key = offer.split_whitespace().nth(1).unwrap();
            let mut taken: Vec<&str> = pipeline.lines().filter(|line| !line.starts_with(key)).collect();
            let at = taken.iter().position(|line| *line == offer).unwrap();
            taken[at] = offer.strip_prefix("# ").unwrap();
            std::fs::write(dir.path().join("offer.toml"), taken.join("\n")).unwrap();
            let checked = tidegate(dir.path(), "offer.toml", &["check"]);
            assert_eq!(checked.status.code(), Some(0), "{offer}: {}", text(&checked));
        }
    }
}

/// Each SIEM that is offered as a comment loads when its `#` are removed, and every kind of sink is offered.
#[test]
fn check_accepts_every_sink_that_init_offers() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = String::from_utf8(tidegate(dir.path(), "none", &["init", "okta"]).stdout).unwrap();
    let mut kinds = vec!["file".to_owned()];
    // A check reads whom a sink trusts.
    let authority = rcgen::generate_simple_self_signed(vec!["qradar.example.com".to_owned()]).unwrap();
    std::fs::write(dir.path().join("qradar-ca.pem"), authority.cert.pem()).unwrap();
    for offer in pipeline.split("\n\n").filter(|part| part.contains("\n# [sink.")) {
        let lines = offer.lines().skip_while(|line| !line.starts_with("# [sink.")).map(|line| &line[2..]);
        let sink = lines.collect::<Vec<_>>().join("\n").replace("/etc/tidegate/", "");
        std::fs::write(dir.path().join("offer.toml"), format!("{pipeline}\n{sink}\n")).unwrap();
        let checked = tidegate(dir.path(), "offer.toml", &["check"]);
        assert_eq!(checked.status.code(), Some(0), "{sink}: {}", text(&checked));
        let kind = sink.lines().find(|line| line.starts_with("kind ")).unwrap();
        kinds.push(kind.split('"').nth(1).unwrap().to_owned());
    }
    kinds.sort();
    let all: Vec<&str> = tidegate_sinks::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(kinds, all, "{pipeline}");
}

#[test]
fn the_organisation_and_the_tenant_are_taken_and_what_would_not_load_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let written = tidegate(
        dir.path(),
        "none",
        &["init", "google_workspace", "--tenant", "globex", "--organisation", "reader@globex.example.com"],
    );
    let said = text(&written);
    assert!(
        said.contains("[tenant.globex.source.google]") && said.contains("reader@globex.example.com"),
        "{said}"
    );
    let refused = tidegate(dir.path(), "none", &["init", "entra", "--organisation", "a\"b"]);
    assert_eq!(refused.status.code(), Some(20), "{}", text(&refused));
    let unknown = tidegate(dir.path(), "none", &["init", "--connector", "acme"]);
    assert!(text(&unknown).contains("google_workspace"), "{}", text(&unknown));
}

#[test]
fn map_takes_any_stream_that_the_connector_takes() {
    let dir = tempfile::tempdir().unwrap();
    let map = |stream: &str| {
        tidegate(dir.path(), "none", &["map", "--connector", "google_workspace", "--stream", stream])
    };
    let beside = map("brand_new_application");
    assert_eq!(beside.status.code(), Some(0), "{}", text(&beside));
    let wrong = map("No Stream");
    assert_eq!(wrong.status.code(), Some(20), "{}", text(&wrong));
}
