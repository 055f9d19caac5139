//! Which streams a source runs and how: patterns, and the tables of single streams.

use super::{ACME, TEMPLATE, files, one};
use std::time::Duration;
use tidegate::config::{Config, SourceConfig};
use tidegate_core::collect::StreamPlan;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A tenant with a source of the windowed connector: `keys` in its table, `tables` behind.
fn text(keys: &str, tables: &str) -> String {
    let keys = format!("connector = \"google_workspace\"\n{keys}");
    let text = ACME.replace("[sink.files]", &format!("{tables}\n[sink.files]"));
    text.replace("connector = \"okta\"", &keys)
}

fn source(keys: &str, tables: &str) -> Result<SourceConfig, String> {
    one(&text(keys, tables)).map(|config| config.tenants["acme"].sources["okta"].clone())
}

fn names(source: &SourceConfig) -> Vec<&str> {
    source.streams.iter().map(|plan| plan.stream.name).collect()
}

fn plan<'s>(source: &'s SourceConfig, name: &str) -> &'s StreamPlan {
    source.streams.iter().find(|plan| plan.stream.name == name).unwrap()
}

/// Values and origins of a source as `config show` has them: the table below the source, then the key.
fn shown(config: &Config) -> Vec<String> {
    let shown = config.shown("acme").unwrap();
    let source = shown.iter().filter(|shown| shown.table.starts_with("source.okta"));
    let place = |origin: &str| origin.rsplit('/').next().unwrap().to_owned();
    source.map(|shown| format!("{} = {}  # {}", shown.key, shown.value, place(&shown.origin))).collect()
}

#[test]
fn streams_are_names_all_or_all_but() {
    let streams = |list: &str| -> Vec<String> {
        let source = source(&format!("streams = {list}"), "").unwrap();
        names(&source).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(streams(r#"["drive"]"#), ["drive"]);
    assert_eq!(streams(r#"["*"]"#), ["login", "admin", "drive", "alerts"]);
    assert_eq!(streams(r#"["*", "!admin"]"#), ["login", "drive", "alerts"]);
    assert_eq!(streams(r#"["!admin"]"#), ["login"], "exceptions alone: from what is on by default");
    assert_eq!(streams(r#"["drive", "login"]"#), ["login", "drive"], "in the connector's order");
}

#[test]
fn a_stream_that_the_connector_takes_but_does_not_list_runs_where_it_is_named() {
    let streams = |list: &str| -> Vec<String> {
        let source = source(&format!("streams = {list}"), "").unwrap();
        names(&source).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(streams(r#"["chat"]"#), ["chat"]);
    assert_eq!(
        streams(r#"["chat", "login", "chat"]"#),
        ["login", "chat"],
        "once, behind those that are listed"
    );
    assert_eq!(streams(r#"["*", "chat"]"#), ["login", "admin", "drive", "alerts", "chat"]);
    assert_eq!(streams(r#"["!chat", "*"]"#), streams(r#"["*"]"#), "\"*\" means those that are listed");
    assert_eq!(streams(r#"["!chat"]"#), ["login", "admin"]);
    assert_eq!(streams(r#"["chat", "!*", "login"]"#), ["login"]);
}

#[test]
fn a_sink_takes_or_leaves_streams_that_the_connector_does_not_list() {
    let takes = |list: &str, stream: &str| {
        let config = one(&format!("{ACME}streams = {list}\n")).unwrap();
        config.tenants["acme"].sinks["files"].streams.takes("google_workspace", stream)
    };
    assert!(takes(r#"["google_workspace/chat"]"#, "chat"));
    assert!(!takes(r#"["google_workspace/chat"]"#, "login"));
    assert!(takes(r#"["*", "!google_workspace/chat"]"#, "login"));
    assert!(!takes(r#"["*", "!google_workspace/chat"]"#, "chat"));
    assert!(takes(r#"["*"]"#, "chat") && takes(r#"["google_workspace"]"#, "chat"));
}

#[test]
fn a_streams_own_table_wins_over_the_sources_keys_and_those_over_the_connectors() {
    let tables = r#"
        [tenant.acme.source.okta.stream.login]
        poll = "10m"
        settle = ["1m", "4h", "7d"]
        visible_after = "1h"
        retention = "30d"
    "#;
    let keys = "streams = [\"*\"]\npoll = \"5m\"\nsettle = [\"15m\", \"2h\"]";
    let source = source(keys, tables).unwrap();
    let login = plan(&source, "login");
    assert_eq!((login.poll, login.visible_after, login.retention), (10 * MINUTE, HOUR, 30 * DAY));
    assert_eq!(login.settle, [MINUTE, 4 * HOUR, 7 * DAY]);
    let admin = plan(&source, "admin");
    assert_eq!((admin.poll, admin.visible_after, admin.retention), (5 * MINUTE, 2 * MINUTE, 90 * DAY));
    assert_eq!(admin.settle, [15 * MINUTE, 2 * HOUR]);
    let alerts = plan(&source, "alerts");
    assert_eq!((alerts.poll, alerts.visible_after), (5 * MINUTE, Duration::ZERO));
    assert!(alerts.settle.is_empty(), "a feed beside windowed streams is not read again");
}

#[test]
fn without_any_key_a_stream_runs_with_the_connectors_numbers() {
    let source = source("", "").unwrap();
    let of: Vec<StreamPlan> = source.streams.iter().map(|plan| StreamPlan::of(plan.stream)).collect();
    assert_eq!(source.streams, of);
    assert_eq!(source.streams[0].settle, [30 * MINUTE, DAY]);
    assert_eq!((source.streams[0].poll, source.streams[0].visible_after), (MINUTE, 2 * MINUTE));
}

#[test]
fn settling_in_the_defaults_of_all_sources_passes_feeds_by() {
    let defaults = "[defaults.source]\nsettle = [\"45m\"]\n";
    let windowed = one(&format!("{defaults}{}", text("", ""))).unwrap();
    assert_eq!(windowed.tenants["acme"].sources["okta"].streams[0].settle, [45 * MINUTE]);
    let feed = one(&format!("{defaults}{ACME}")).unwrap();
    assert!(feed.tenants["acme"].sources["okta"].streams[0].settle.is_empty());
    assert!(!shown(&feed).iter().any(|line| line.contains("settle")), "{:?}", shown(&feed));
}

#[test]
fn a_stream_declared_off_does_not_run_and_keeps_its_reason() {
    let tables = r#"
        [tenant.acme.source.okta.stream.admin]
        off = "collected by another team"
        poll = "5m"
        [tenant.acme.source.okta.stream.drive]
        off = "too much for {tenant}"
    "#;
    let source = source("", tables).unwrap();
    assert_eq!(names(&source), ["login"]);
    let off: Vec<_> = source.off_streams.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    let expected = [("admin", "collected by another team"), ("drive", "too much for acme")];
    assert_eq!(off, expected, "also one that would not run anyhow");
    assert_eq!(source.off, None);
}

#[test]
fn a_template_gives_streams_their_keys_and_a_tenant_or_the_environment_changes_them() {
    let template = TEMPLATE.replace(
        "[template.standard.source.okta]",
        "[template.standard.source.okta]\nstream = { login = { poll = \"2m\", retention = \"30d\" } }",
    );
    let template = template.replace("connector = \"okta\"", "connector = \"google_workspace\"");
    let tenant = "template = \"standard\"\nvar = { okta = \"acme.okta.com\", okta_client = \"0oa1\" }\n\
                  [source.okta.stream.login]\npoll = \"3m\"\n";
    let env = [("TIDEGATE__TENANT__ACME__SOURCE__OKTA__STREAM__LOGIN__VISIBLE_AFTER", "1m")];
    let config = files(&[("pipeline.toml", &template), ("tenants/acme.toml", tenant)], &env).unwrap();
    let login = plan(&config.tenants["acme"].sources["okta"], "login").clone();
    assert_eq!((login.poll, login.retention, login.visible_after), (3 * MINUTE, 30 * DAY, MINUTE));
}

#[test]
fn a_source_is_another_when_a_stream_of_it_runs_otherwise() {
    let plain = source("", "").unwrap();
    for keys in
        ["poll = \"5m\"", "settle = [\"15m\"]", "visible_after = \"1m\"", "retention = \"7d\"", "off = \"x\""]
    {
        let changed = source("", &format!("[tenant.acme.source.okta.stream.login]\n{keys}")).unwrap();
        assert_ne!(plain, changed, "{keys}");
    }
    assert_eq!(plain, source("", "[tenant.acme.source.okta.stream.login]").unwrap());
}

#[test]
fn show_prints_each_stream_with_the_origin_of_each_of_its_values() {
    let tables = r#"
[tenant.acme.source.okta.stream.login]
retention = "30d"
[tenant.acme.source.okta.stream.admin]
off = "collected by another team""#;
    let config = one(&text("poll = \"5m\"", tables)).unwrap();
    let lines = shown(&config);
    let streams: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("source.okta.stream.")).collect();
    assert_eq!(
        streams,
        [
            "admin.off = \"collected by another team\"  # pipeline.toml:12",
            "login.poll = \"5m\"  # pipeline.toml:4",
            "login.retention = \"30d\"  # pipeline.toml:10",
            "login.settle = [\"30m\",\"1d\"]  # default of connector google_workspace",
            "login.visible_after = \"2m\"  # default of connector google_workspace",
        ],
        "{lines:#?}"
    );
    assert!(lines.contains(&"source.okta.poll = \"5m\"  # pipeline.toml:4".to_owned()), "{lines:#?}");
}

/// An operator may keep the printed result as the file.
#[test]
fn what_show_prints_of_a_source_loads_to_the_same_source() {
    let tables = "[tenant.acme.source.okta.stream.login]\nretention = \"30d\"\n[tenant.acme.source.okta.stream.drive]\noff = \"volume\"";
    for first in [text("poll = \"5m\"\nsettle = [\"15m\"]", tables), ACME.to_owned()] {
        let config = one(&first).unwrap();
        let mut out = Vec::new();
        tidegate::cli::config::show(&config, "acme", &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let sources: String = printed
            .split_inclusive("\n\n")
            .filter(|table| table.starts_with("[source."))
            .map(|table| table.replacen("[source.", "[tenant.acme.source.", 1))
            .collect();
        let again = one(&format!("{sources}\n[sink.files]\nkind = \"file\"\ndir = \"var/out\"\n"));
        let again = again.unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(
            again.tenants["acme"].sources["okta"], config.tenants["acme"].sources["okta"],
            "{printed}"
        );
    }
}
