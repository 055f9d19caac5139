//! Configuration as an operator meets it: files and environment in, a [`Config`] or a list of mistakes out.
//!
//! `tests/config/bad/NAME.toml` is a way of being wrong each; the lines that begin with `# says:` are the whole message,
//! to the letter, and those with `# env:` are the environment. Files that it includes are in `bad/NAME/`.
//! `TIDEGATE_BLESS=1` writes the messages and the option tables of `docs/configuration.md` anew; read the diff.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "config/fakes.rs"]
mod fakes;
#[path = "config/streams.rs"]
mod streams;

use fakes::{CONNECTORS, Opinion, SINKS};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate::cli::config as command;
use tidegate::config::{Config, ConfigErrors, Revisions, SinkStart, Size, Start, json_schema, load};
use tidegate_core::collect::StreamPlan;
use tidegate_core::sink::Level;
use tidegate_core::source::{Connector as _, SettingsError};

type Env<'e> = &'e [(&'e str, &'e str)];

fn read(path: &Path, env: Env<'_>) -> Result<Config, ConfigErrors> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(path, env, CONNECTORS, SINKS)
}

/// Loads the first file of these, all written into an empty directory.
fn files(files: &[(&str, &str)], env: Env<'_>) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let prefix = format!("{}/", dir.path().display());
    read(&dir.path().join(files[0].0), env).map_err(|errors| errors.to_string().replace(&prefix, ""))
}

fn one(text: &str) -> Result<Config, String> {
    files(&[("pipeline.toml", text)], &[])
}

const ACME: &str = r#"
[tenant.acme.source.okta]
connector = "okta"
url = "https://acme.okta.com"
auth = { token = "env:ACME_OKTA_TOKEN" }

[sink.files]
kind = "file"
dir = "var/out"
"#;

const TEMPLATE: &str = r#"
include = ["tenants/*.toml"]

[defaults.source]
poll = "5m"
start = "7d"

[template.standard.source.okta]
connector = "okta"
url = "https://{var.okta}"
auth = { client_id = "{var.okta_client}", private_key = "file:/run/secrets/{tenant}/okta.pem" }
start = "3d"

[sink.elastic]
kind = "elasticsearch"
urls = ["https://es.example.com:9200"]
api_key = "file:/run/secrets/es_api_key"
namespace = "{tenant}"
streams = ["*", "!google_workspace/drive"]

[sink.files]
kind = "file"
dir = "var/{tenant}"
"#;

const NORTHWIND: &str = r#"
template = "standard"

[var]
okta = "northwind.okta.com"
okta_client = "0oa1"

[source.okta]
quota = "25%"
"#;

fn bad_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/config/bad")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn each_way_of_being_wrong_has_its_message() {
    let mut wrong = Vec::new();
    for path in bad_files() {
        let text = fs::read_to_string(&path).unwrap();
        let marked = |mark: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
        };
        let variables = marked("# env: ");
        let env: Vec<(&str, &str)> =
            variables.iter().map(|variable| variable.split_once('=').unwrap()).collect();
        let told = match read(&path, &env) {
            Ok(_) => vec!["(nothing)".to_owned()],
            Err(errors) => {
                errors.to_string().replace("tests/config/bad/", "").lines().map(str::to_owned).collect()
            }
        };
        let expected = marked("# says: ");
        if told != expected && std::env::var_os("TIDEGATE_BLESS").is_some() {
            bless(&path, &text, &env);
            continue;
        }
        if told != expected {
            wrong.push(format!("{}\n  said: {told:#?}\n  expected: {expected:#?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes what is said now behind the file's last line, where it moves no other.
fn bless(path: &Path, text: &str, env: Env<'_>) {
    let kept: String =
        text.lines().filter(|line| !line.starts_with("# says: ")).map(|line| format!("{line}\n")).collect();
    fs::write(path, &kept).unwrap();
    let errors = read(path, env).unwrap_err().to_string().replace("tests/config/bad/", "");
    let says: String = errors.lines().map(|line| format!("# says: {line}\n")).collect();
    fs::write(path, kept + &says).unwrap();
}

#[test]
fn no_message_repeats_what_may_be_a_secret() {
    for path in bad_files() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.starts_with("# says: ")) {
            assert!(!line.contains("hunter2") && !line.contains("123456"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_message_names_its_place_and_what_is_accepted() {
    for path in bad_files() {
        let text = fs::read_to_string(&path).unwrap();
        let says: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# says: ")).collect();
        assert!(!says.is_empty(), "{} says nothing", path.display());
        for line in says {
            let place = line.split(": ").next().unwrap();
            assert!(place.contains(".toml") || place.starts_with("variable "), "{}: {line}", path.display());
        }
    }
}

#[test]
fn a_missing_file_is_told_with_what_to_do() {
    let told = read(Path::new("tests/nowhere.toml"), &[]).unwrap_err().to_string();
    assert_eq!(
        told,
        "tests/nowhere.toml: the file cannot be read: No such file or directory (os error 2); name another with \
         --config, or write one: tidegate init okta --output FILE"
    );
    let told = read(Path::new("tests"), &[]).unwrap_err().to_string();
    assert!(told.starts_with("tests: the file cannot be read: "), "{told}");
}

#[test]
fn a_file_that_is_not_text_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipeline.toml");
    fs::write(&path, b"\xff\xfe[journal]").unwrap();
    assert!(read(&path, &[]).unwrap_err().to_string().ends_with("pipeline.toml: the file is not UTF-8 text"));
}

#[test]
fn a_file_that_two_patterns_name_is_read_once() {
    let text =
        "include = [\"tenants/*.toml\", \"tenants/acme.toml\"]\n[sink.files]\nkind = \"file\"\ndir = \"x\"\n";
    let acme = "[source.okta]\nconnector = \"okta\"\nurl = \"https://acme.okta.com\"\nauth = { token = \"env:T\" }\n";
    let config = files(&[("pipeline.toml", text), ("tenants/acme.toml", acme)], &[]).unwrap();
    assert_eq!((config.tenants.len(), config.files.len()), (1, 2));
}

#[test]
fn a_small_file_gets_every_default() {
    let config = one(ACME).unwrap();
    assert_eq!(config.journal.dir, Path::new("var/journal"));
    assert_eq!(config.journal.budget, Size(2 << 30));
    assert_eq!(config.journal.keep, Duration::from_secs(30 * 86_400));
    assert_eq!(config.http.max_body, Size(64 << 20));
    assert_eq!(config.http.page_slots, 8);
    assert_eq!(config.listen, None);
    let tenant = &config.tenants["acme"];
    assert_eq!(tenant.journal.dir, Path::new("var/journal/acme"));
    let source = &tenant.sources["okta"];
    assert_eq!(source.organisation, "https://acme.okta.com");
    assert_eq!(source.streams, [StreamPlan::of(&fakes::OKTA.streams()[0])], "with the connector's numbers");
    assert_eq!(source.start, Start::Ago(Duration::from_secs(86_400)));
    assert_eq!(source.quota.value(), 50);
    assert_eq!(source.revisions, Revisions::All);
    assert_eq!((&source.off, source.forget_after), (&None, None));
    assert!(source.off_streams.is_empty());
    let own: Vec<&str> = source.table.keys().map(String::as_str).collect();
    assert_eq!(own, ["auth", "url"], "the common keys are not the connector's");
    let sink = &tenant.sinks["files"];
    assert_eq!(sink.start, SinkStart::Now);
    assert!(sink.required && !sink.original && sink.give_up_after.is_none() && sink.schema.is_none());
    assert!(sink.streams.takes("okta", "system_log"));
}

#[test]
fn every_common_key_arrives() {
    let text = r#"
        listen = "127.0.0.1:9464"
        [journal]
        dir = "/data"
        budget = "10GiB"
        keep = "7d"
        [http]
        proxy = "http://proxy.example.com:3128"
        ca_file = "/etc/ca.pem"
        connect_timeout = "1s"
        read_timeout = "2s"
        timeout = "3m"
        max_body = "8MiB"
        page_slots = 2
        [tenant.acme.journal]
        budget = "1GiB"
        [tenant.acme.source.okta]
        connector = "okta"
        url = "https://acme.okta.com"
        auth = { token = "env:T" }
        streams = ["*"]
        start = 2026-10-01
        poll = "90s"
        quota = "80%"
        off = "contract ended"
        revisions = "first"
        forget_after = "14d"
        proxy = "none"
        [tenant.acme.sink.elastic]
        kind = "elasticsearch"
        schema = "ecs"
        streams = ["okta"]
        start = "2026-10-01T12:00:00Z"
        required = false
        require = "at_least_once"
        give_up_after = "3d"
        original = true
        ca_file = "/etc/es.pem"
        urls = ["https://es.example.com:9200"]
        gzip = true
    "#;
    let config = one(text).unwrap();
    assert_eq!(config.listen, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(config.http.connect_timeout, Duration::from_secs(1));
    assert_eq!(config.http.read_timeout, Duration::from_secs(2));
    assert_eq!(config.http.timeout, Duration::from_secs(180));
    assert_eq!((config.http.max_body, config.http.page_slots), (Size(8 << 20), 2));
    let tenant = &config.tenants["acme"];
    assert_eq!(tenant.journal.dir, Path::new("/data/acme"));
    assert_eq!(
        (tenant.journal.budget, tenant.journal.keep),
        (Size(1 << 30), Duration::from_secs(7 * 86_400))
    );
    let source = &tenant.sources["okta"];
    assert_eq!(source.streams.len(), 2);
    assert_eq!(source.start, Start::At("2026-10-01T00:00:00Z".parse().unwrap()));
    assert_eq!(source.streams[0].poll, Duration::from_secs(90));
    assert_eq!(source.quota.value(), 80);
    assert_eq!(source.off.as_deref(), Some("contract ended"));
    assert_eq!(source.revisions, Revisions::First);
    assert_eq!(source.forget_after, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(source.reach.proxy, None);
    assert_eq!(source.reach.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
    let sink = &tenant.sinks["elastic"];
    assert_eq!(sink.schema.as_deref(), Some("ecs"));
    assert_eq!(sink.start, SinkStart::At("2026-10-01T12:00:00Z".parse().unwrap()));
    assert!(!sink.required && sink.original);
    assert_eq!(sink.require, Some(Level::AtLeastOnce));
    assert_eq!(sink.give_up_after, Some(Duration::from_secs(3 * 86_400)));
    assert_eq!(sink.reach.proxy.as_deref(), Some("http://proxy.example.com:3128"));
    assert_eq!(sink.reach.ca_file.as_deref(), Some(Path::new("/etc/es.pem")));
    assert_eq!(sink.table["gzip"], true);
    assert!(sink.table.get("ca_file").is_none());
}

#[test]
fn the_nearest_value_wins() {
    let name = "TIDEGATE__TENANT__NORTHWIND__SOURCE__OKTA__QUOTA";
    let both = [("pipeline.toml", TEMPLATE), ("tenants/northwind.toml", NORTHWIND)];
    let config = files(&both, &[]).unwrap();
    let source = &config.tenants["northwind"].sources["okta"];
    assert_eq!(source.quota.value(), 25, "the tenant's file over what is built in");
    assert_eq!(source.start, Start::Ago(Duration::from_secs(3 * 86_400)), "the template over the defaults");
    assert_eq!(source.streams[0].poll, Duration::from_secs(300), "the defaults over the stream's own");
    let config = files(&both, &[(name, "75%")]).unwrap();
    assert_eq!(config.tenants["northwind"].sources["okta"].quota.value(), 75, "the environment over all");
}

#[test]
fn a_template_is_filled_with_the_tenants_values() {
    let globex = "template = \"standard\"\nvar = { okta = \"globex.okta.com\", okta_client = \"0oa2\" }\n";
    let config = files(
        &[
            ("pipeline.toml", TEMPLATE),
            ("tenants/northwind.toml", NORTHWIND),
            ("tenants/globex.toml", globex),
            ("tenants/.globex.toml.swp.toml", "an editor's"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(config.tenants.keys().collect::<Vec<_>>(), ["globex", "northwind"]);
    let northwind = &config.tenants["northwind"];
    assert_eq!(northwind.template.as_deref(), Some("standard"));
    assert_eq!(northwind.sources["okta"].table["url"], "https://northwind.okta.com");
    assert_eq!(
        northwind.sources["okta"].table["auth"]["private_key"],
        "file:/run/secrets/northwind/okta.pem"
    );
    assert_eq!(northwind.sinks["elastic"].table["namespace"], "northwind");
    assert_eq!(config.tenants["globex"].sources["okta"].organisation, "https://globex.okta.com");
    assert_eq!(config.tenants["globex"].sinks["files"].table["dir"], "var/globex");
    assert_eq!(config.files.len(), 3);
}

#[test]
fn a_tenant_chooses_among_the_sinks_and_adds_to_them() {
    let acme = r#"
        sinks = ["elastic"]
        [source.okta]
        connector = "okta"
        url = "https://acme.okta.com"
        auth = { token = "env:T" }
        [sink.elastic]
        namespace = "special"
        [sink.own]
        kind = "file"
        dir = "var/own"
    "#;
    let config = files(&[("pipeline.toml", TEMPLATE), ("tenants/acme.toml", acme)], &[]).unwrap();
    let sinks = &config.tenants["acme"].sinks;
    assert_eq!(sinks.keys().collect::<Vec<_>>(), ["elastic", "own"]);
    assert_eq!(sinks["elastic"].table["namespace"], "special");
    assert_eq!(sinks["elastic"].table["api_key"], "file:/run/secrets/es_api_key");
}

/// Which sinks each of three tenants has, when `[sink.files]` says this of them.
fn takers(tenants: &str) -> Vec<(String, Vec<String>)> {
    let mut text = String::from("[sink.own]\nkind = \"file\"\ndir = \"own\"\n");
    text.push_str(&format!("[sink.files]\nkind = \"file\"\ndir = \"out\"\n{tenants}\n"));
    for tenant in ["acme", "globex", "northwind"] {
        text.push_str(&format!(
            "[tenant.{tenant}.source.okta]\nconnector = \"okta\"\nurl = \"https://{tenant}.okta.com\"\n\
             auth = {{ token = \"env:T\" }}\n"
        ));
    }
    let config = one(&text).unwrap();
    let sinks = |(name, tenant): (&String, &tidegate::config::Tenant)| {
        (name.clone(), tenant.sinks.keys().filter(|sink| *sink == "files").cloned().collect())
    };
    config.tenants.iter().map(sinks).collect()
}

#[test]
fn a_sink_chooses_its_tenants_and_the_last_pattern_that_fits_decides() {
    for (tenants, wanted) in [
        ("", "acme globex northwind"),
        (r#"tenants = ["*"]"#, "acme globex northwind"),
        (r#"tenants = ["*", "!northwind"]"#, "acme globex"),
        (r#"tenants = ["!northwind"]"#, "acme globex"),
        (r#"tenants = ["acme"]"#, "acme"),
        (r#"tenants = ["!*", "globex"]"#, "globex"),
        (r#"tenants = ["!acme", "*"]"#, "acme globex northwind"),
    ] {
        let takers = takers(tenants);
        let names: Vec<&str> =
            takers.iter().filter(|(_, sinks)| !sinks.is_empty()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.join(" "), wanted, "{tenants}");
    }
}

#[test]
fn a_tenant_brings_address_and_token_of_its_own_and_nobody_elses_change() {
    let tenant = |more: &str| {
        format!(
            "[source.okta]\nconnector = \"okta\"\nurl = \"https://a.okta.com\"\nauth = {{ token = \"env:T\" }}\n{more}"
        )
    };
    let own =
        "[sink.elastic]\nurls = [\"https://es.acme.example.com\"]\napi_key = \"file:/run/secrets/acme\"\n";
    let both = [
        ("pipeline.toml", TEMPLATE),
        ("tenants/acme.toml", &*tenant(own)),
        ("tenants/globex.toml", &*tenant("")),
    ];
    let config = files(&both, &[]).unwrap();
    let of = |tenant: &str| {
        let table = &config.tenants[tenant].sinks["elastic"].table;
        (table["urls"][0].as_str().unwrap().to_owned(), table["api_key"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("acme"), ("https://es.acme.example.com".to_owned(), "file:/run/secrets/acme".to_owned()));
    assert_eq!(
        of("globex"),
        ("https://es.example.com:9200".to_owned(), "file:/run/secrets/es_api_key".to_owned())
    );
    // A reference that carries the tenant is the tenant's own already, wherever it goes.
    let each = TEMPLATE.replace("file:/run/secrets/es_api_key", "file:/run/secrets/{tenant}/es_api_key");
    let address = tenant("[sink.elastic]\nurls = [\"https://es.acme.example.com\"]\n");
    let config = files(&[("pipeline.toml", &each), ("tenants/acme.toml", &address)], &[]).unwrap();
    let table = &config.tenants["acme"].sinks["elastic"].table;
    assert_eq!(table["api_key"], "file:/run/secrets/acme/es_api_key");
}

#[test]
fn records_may_be_kept_without_any_sink() {
    let config = one(&ACME.replace("[sink.files]", "[tenant.acme]\nsinks = []\n[sink.files]")).unwrap();
    assert!(config.tenants["acme"].sinks.is_empty());
}

#[test]
fn the_environment_sets_any_key_and_alone_makes_a_tenant() {
    let env = [
        ("TIDEGATE__TENANT__ACME__SOURCE__OKTA__URL", "https://other.okta.com"),
        ("TIDEGATE__TENANT__ACME__SOURCE__OKTA__STREAMS", r#"["system_log", "devices"]"#),
        ("TIDEGATE__HTTP__PAGE_SLOTS", "3"),
        ("TIDEGATE__TENANT__GLOBEX__SOURCE__OKTA__CONNECTOR", "okta"),
        ("TIDEGATE__TENANT__GLOBEX__SOURCE__OKTA__URL", "https://globex.okta.com"),
        ("TIDEGATE__TENANT__GLOBEX__SOURCE__OKTA__AUTH__TOKEN", "env:G"),
        ("TIDEGATE__TENANT__GLOBEX__SOURCE__OKTA__START", "2026-10-01T00:00:00Z"),
        ("TIDEGATE_DEMO_TOKEN", "not a key"),
        ("PATH", "/bin"),
    ];
    let config = files(&[("pipeline.toml", ACME)], &env).unwrap();
    let acme = &config.tenants["acme"].sources["okta"];
    assert_eq!(acme.organisation, "https://other.okta.com");
    assert_eq!(acme.streams.len(), 2);
    assert_eq!(config.http.page_slots, 3);
    let globex = &config.tenants["globex"].sources["okta"];
    assert_eq!(globex.table["auth"]["token"], "env:G");
    assert_eq!(globex.start, Start::At("2026-10-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_sink_takes_what_the_last_fitting_pattern_says() {
    let takes = |list: &str, connector: &str, stream: &str| {
        let config = one(&format!("{ACME}streams = {list}\n")).unwrap();
        config.tenants["acme"].sinks["files"].streams.takes(connector, stream)
    };
    let but_drive = r#"["*", "!google_workspace/drive"]"#;
    assert!(takes(but_drive, "okta", "system_log") && takes(but_drive, "google_workspace", "admin"));
    assert!(!takes(but_drive, "google_workspace", "drive"));
    assert!(takes(r#"["!google_workspace"]"#, "okta", "system_log"), "exceptions alone: from everything");
    assert!(!takes(r#"["!google_workspace/*"]"#, "google_workspace", "admin"));
    assert!(!takes(r#"["okta/devices"]"#, "okta", "system_log"));
    assert!(takes(r#"["!okta", "okta/devices"]"#, "okta", "devices"));
}

#[test]
fn two_sources_may_share_an_address_but_not_a_connector() {
    let again = ACME.replace("[sink.files]", "[tenant.acme.source.other]\nconnector = \"google_workspace\"\nurl = \"https://acme.okta.com\"\nauth = { token = \"env:T\" }\n[sink.files]");
    assert_eq!(one(&again).unwrap().tenants["acme"].sources.len(), 2);
    let refused = one(&again.replace("google_workspace", "okta")).unwrap_err();
    assert!(
        refused
            .contains("source other: url: source okta (pipeline.toml:2) collects from https://acme.okta.com"),
        "{refused}"
    );
}

#[test]
fn a_schema_beside_a_sink_that_insists_on_another_is_an_error() {
    let raw = Opinion { default: Some("raw"), required: Some("raw") };
    let any = Opinion { default: Some("ecs"), required: None };
    let none = Opinion { default: None, required: None };
    let without = one(ACME).unwrap();
    let lines = one(&ACME.replace("kind = \"file\"", "kind = \"file\"\nschema = \"leef\"")).unwrap();
    let error = lines.tenants["acme"].sinks["files"].schema_for(&any).unwrap_err();
    assert!(error.message.contains("takes JSON documents alone"), "{error}");
    let sink = &without.tenants["acme"].sinks["files"];
    assert_eq!(sink.schema_for(&raw).unwrap(), "raw");
    assert_eq!(sink.schema_for(&any).unwrap(), "ecs");
    let error = sink.schema_for(&none).unwrap_err();
    assert_eq!(
        (error.key.as_str(), error.message.contains("accepted: ecs, leef, ocsf, ocsf_1_9, raw")),
        ("schema", true),
        "{error}"
    );
    let with = one(&format!("{ACME}schema = \"ecs\"\n")).unwrap();
    let sink = &with.tenants["acme"].sinks["files"];
    assert_eq!(sink.schema_for(&none).unwrap(), "ecs");
    let error = sink.schema_for(&raw).unwrap_err();
    assert!(error.message.contains("takes \"raw\" alone"), "{error}");
}

#[test]
fn an_error_at_opening_is_told_with_its_place() {
    let config = one(ACME).unwrap();
    let error = config.source_error("acme", "okta", &SettingsError::new("auth.token", "env:T is not set"));
    let told = error.to_string();
    assert!(
        told.ends_with("pipeline.toml:5: tenant acme, source okta: auth.token: env:T is not set"),
        "{told}"
    );
    let told = config.sink_error("acme", "files", &SettingsError::new("rotate_age", "too short")).to_string();
    assert!(told.ends_with("pipeline.toml:7: tenant acme, sink files: rotate_age: too short"), "{told}");
}

#[test]
fn a_source_is_the_same_until_a_value_changes() {
    let source = |text: &str| one(text).unwrap().tenants["acme"].sources["okta"].clone();
    let moved = format!("# one line more\n{ACME}");
    assert_eq!(source(ACME), source(&moved));
    assert_ne!(source(ACME), source(&ACME.replace("connector", "poll = \"61s\"\nconnector")));
    assert_ne!(source(ACME), source(&ACME.replace("env:ACME_OKTA_TOKEN", "env:OTHER")));
}

#[test]
fn show_prints_every_value_with_its_origin() {
    let env = [("TIDEGATE__TENANT__NORTHWIND__SOURCE__OKTA__REVISIONS", "first")];
    let both = [("pipeline.toml", TEMPLATE), ("tenants/northwind.toml", NORTHWIND)];
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tenants")).unwrap();
    for (name, text) in both {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let config = read(&dir.path().join("pipeline.toml"), &env).unwrap();
    let mut out = Vec::new();
    command::show(&config, "northwind", &mut out).unwrap();
    let text = String::from_utf8(out).unwrap().replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(text);
    let parsed: toml::Table = text.parse().unwrap();
    assert_eq!(parsed["source"]["okta"]["auth"]["client_id"].as_str(), Some("0oa1"));

    let mut out = Vec::new();
    command::show_json(&config, "northwind", &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let values = json["values"].as_array().unwrap();
    let quota = values.iter().find(|value| value["key"] == "source.okta.quota").unwrap();
    assert_eq!(quota["value"], "25%");
    assert!(quota["origin"].as_str().unwrap().ends_with("tenants/northwind.toml:9"), "{quota}");
}

/// What `config show` says of the sink `siem`, without origins.
fn shown_of_the_sink(keys: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipeline.toml");
    fs::write(&path, format!("{ACME}\n[sink.siem]\n{keys}")).unwrap();
    let world = tidegate::world::World::new(&[]);
    let config = load(&path, std::iter::empty(), &world.connectors, world.kinds).unwrap();
    let shown = config.shown("acme").unwrap().into_iter().filter(|shown| shown.table == "sink.siem");
    shown
        .map(|shown| {
            format!("{} = {}  # {}", shown.name, shown.value, shown.origin.rsplit('/').next().unwrap())
        })
        .collect()
}

#[test]
fn show_prints_what_the_kind_of_a_sink_fills_in() {
    for (keys, kind, expected, missing) in [
        (
            "kind = \"elasticsearch\"\nurls = [\"https://es.example.com\"]\nbatch_count = 7",
            "elasticsearch",
            &[
                "batch_bytes = \"5MiB\"",
                "in_flight = 2",
                "gzip = 1",
                "schema = \"ecs\"",
                "pipeline = \"_none\"",
                "ids = true",
                "require_data_stream = \"auto\"",
                "mode = \"normalized\"",
            ][..],
            &["api_key"][..],
        ),
        (
            "kind = \"elasticsearch\"\nurls = [\"https://es.example.com\"]\nmode = \"raw_for_integration\"",
            "elasticsearch",
            &["schema = \"raw_for_integration\""],
            &["pipeline"],
        ),
        (
            "kind = \"splunk_hec\"\nurl = \"https://hec.example.com\"\ntoken = \"env:TOKEN\"",
            "splunk_hec",
            &[
                "ack = \"auto\"",
                "ack_timeout = \"5m\"",
                "ack_poll = \"10s\"",
                "batch_bytes = \"1000000B\"",
                "endpoint = \"event\"",
                "schema = \"raw\"",
            ],
            &["index", "fields", "indexes"],
        ),
        (
            "kind = \"qradar\"\naddress = \"qradar.example.com:1514\"",
            "qradar",
            &[
                "framing = \"newline\"",
                "header = \"rfc5424\"",
                "transport = \"tcp\"",
                "max_message_bytes = \"4000B\"",
                "facility = 13",
                "schema = \"leef\"",
                "stall = \"2m\"",
            ],
            &["ca"],
        ),
        (
            "kind = \"qradar\"\naddress = \"qradar.example.com:514\"\ntransport = \"udp\"",
            "qradar",
            &["max_message_bytes = \"1000B\"", "in_flight = 1"],
            &["framing", "tail_bytes", "tail_time", "keepalive", "stall"],
        ),
        (
            "kind = \"file\"\ndir = \"out\"",
            "file",
            &["rotate_bytes = \"64MiB\"", "rotate_age = \"1h\"", "schema = \"ecs\""],
            &[],
        ),
    ] {
        let lines = shown_of_the_sink(keys);
        for line in expected {
            let line = format!("{line}  # default of sink kind {kind}");
            assert!(lines.contains(&line), "{line} is not among {lines:#?}");
        }
        for key in missing {
            assert!(!lines.iter().any(|line| line.starts_with(&format!("{key} "))), "{key}: {lines:#?}");
        }
    }
    let lines = shown_of_the_sink(
        "kind = \"qradar\"\naddresses = [\"a.example.com\", \"b.example.com:99\"]\ntransport = \"tls\"\nbatch_bytes = \"64KiB\"\nschema = \"ecs\"",
    );
    for line in [
        "addresses = [\"a.example.com:6514\",\"b.example.com:99\"]  # pipeline.toml:13 (completed)",
        "batch_bytes = \"64KiB\"  # pipeline.toml:15",
        "schema = \"ecs\"  # pipeline.toml:16",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line} is not among {lines:#?}");
    }
}

#[test]
fn show_of_an_unknown_tenant_names_the_known_ones() {
    let mut out = Vec::new();
    let error = command::show(&one(ACME).unwrap(), "amce", &mut out).unwrap_err();
    assert_eq!(error.to_string(), "unknown tenant \"amce\"; did you mean \"acme\"? accepted: acme");
    assert!(out.is_empty());
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let schema = json_schema(CONNECTORS, SINKS);
    let mut text = String::from(ACME);
    for (table, pointer, append) in [
        ("[journal]", "/properties/journal/properties", false),
        ("[http]", "/properties/http/properties", false),
        ("[tenant.acme.source.okta]", "/$defs/source/anyOf/0/properties", true),
        ("[sink.files]", "/$defs/sink/anyOf/0/properties", true),
    ] {
        let mut lines = format!("{table}\n");
        for (key, property) in schema.pointer(pointer).unwrap().as_object().unwrap() {
            if let Some(default) = property.get("default") {
                lines.push_str(&format!("{key} = {default}\n"));
            }
        }
        text = if append { text.replace(&format!("{table}\n"), &lines) } else { format!("{text}\n{lines}") };
    }
    assert!(text.contains("keep = \"30d\"") && text.contains("start = \"24h\""), "{text}");
    let (spelled, silent) = (one(&text).unwrap(), one(ACME).unwrap());
    assert_eq!((&spelled.journal, &spelled.http), (&silent.journal, &silent.http));
    assert_eq!(spelled.tenants["acme"].sources["okta"], silent.tenants["acme"].sources["okta"]);
    assert_eq!(spelled.tenants["acme"].sinks["files"], silent.tenants["acme"].sinks["files"]);
}

/// A wrong value at any key is told at that key: no key is read and then forgotten.
#[test]
fn every_key_of_the_schema_is_checked() {
    let schema = json_schema(CONNECTORS, SINKS);
    let mut checked = 0;
    let stream = "/$defs/source/anyOf/0/properties/stream/additionalProperties/properties";
    for (table, pointer) in [
        ("", "/properties"),
        ("journal", "/properties/journal/properties"),
        ("http", "/properties/http/properties"),
        ("tenant.acme", "/$defs/tenant/properties"),
        ("tenant.acme.journal", "/$defs/tenant/properties/journal/properties"),
        ("tenant.acme.source.okta", "/$defs/source/anyOf/0/properties"),
        ("tenant.acme.source.okta.stream.system_log", stream),
        ("sink.files", "/$defs/sink/anyOf/0/properties"),
    ] {
        for key in schema.pointer(pointer).unwrap().as_object().unwrap().keys() {
            let mut tree: toml::Table = ACME.parse().unwrap();
            let mut at = &mut tree;
            for name in table.split('.').filter(|name| !name.is_empty()) {
                at = at.entry(name).or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
            }
            // A float is accepted nowhere.
            at.insert(key.clone(), toml::Value::Float(0.5));
            let error = one(&tree.to_string()).unwrap_err();
            let named = error.lines().any(|line| line.contains(&format!("{key}: ")));
            assert!(named, "[{table}] {key}: {error}");
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn the_json_schema_knows_the_keys_of_connectors_and_sinks() {
    let schema = json_schema(CONNECTORS, SINKS);
    assert_eq!(
        schema.pointer("/$defs/source_okta/properties/auth/anyOf/0/$ref").unwrap(),
        "#/$defs/source_okta_Token"
    );
    let mut references = Vec::new();
    collect_references(&schema, &mut references);
    for reference in references {
        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference} points nowhere");
    }
    for connector in schema.pointer("/$defs/source/anyOf").unwrap().as_array().unwrap() {
        assert!(connector.pointer("/properties/poll/description").is_some());
    }
}

fn collect_references(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(table) => {
            for (key, value) in table {
                match value.as_str() {
                    Some(to) if key == "$ref" => found.push(to.to_owned()),
                    _ => collect_references(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[test]
fn the_pipeline_in_the_repository_loads() {
    let config = tidegate::world::World::new(&[]).load(Path::new("pipeline.toml")).unwrap();
    let tenant = &config.tenants["acme"];
    assert_eq!(tenant.sources["okta"].organisation, "http://127.0.0.1:4801");
    assert_eq!(tenant.sources.keys().collect::<Vec<_>>(), ["duo", "entra", "google", "okta"]);
    assert_eq!(tenant.sinks.keys().collect::<Vec<_>>(), ["elastic", "files"]);
    assert_eq!(tenant.sinks["elastic"].table["namespace"], "acme");
}

mod init {
    use super::{one, read};
    use std::fs;
    use tidegate::cli::init::{InitArgs, Template, init};

    fn args() -> InitArgs {
        InitArgs {
            what: Some(Template::Okta),
            connector: None,
            tenant: "globex".to_owned(),
            organisation: Some("https://globex.okta.com/admin".to_owned()),
            output: None,
        }
    }

    #[test]
    fn what_it_writes_loads_as_it_is() {
        let mut out = Vec::new();
        init(&args(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let config = one(&text).unwrap();
        let source = &config.tenants["globex"].sources["okta"];
        assert_eq!(source.organisation, "https://globex.okta.com");
        assert_eq!(source.table["auth"]["token"], "env:GLOBEX_OKTA_TOKEN");
        assert!(!text.contains('@'), "{text}");
    }

    /// The lines to choose instead are right as well.
    #[test]
    fn what_it_offers_in_comments_loads_too() {
        let mut out = Vec::new();
        init(&args(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut offered = String::new();
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[')
                        || rest.starts_with("token ")
                        || (rest.contains(" = ") && !rest.contains("token")) =>
                {
                    offered.push_str(rest);
                }
                _ if line.starts_with("auth ") => {}
                _ => offered.push_str(line),
            }
            offered.push('\n');
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        fs::write(&path, &offered).unwrap();
        let config = tidegate::world::World::new(&[]).load(&path).unwrap();
        let tenant = &config.tenants["globex"];
        assert_eq!(tenant.sources["okta"].table["auth"]["private_key"], "file:/run/secrets/globex/okta.pem");
        assert_eq!(tenant.sinks.keys().collect::<Vec<_>>(), ["elastic", "files", "qradar", "splunk"]);
    }

    #[test]
    fn a_file_that_exists_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        let args = InitArgs { output: Some(path.clone()), ..args() };
        let mut out = Vec::new();
        init(&args, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("next: tidegate check --config"));
        assert!(read(&path, &[]).is_ok());
        fs::write(&path, "mine").unwrap();
        let error = init(&args, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("the file exists and is left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn arguments_that_would_not_load_are_refused() {
        let (okta, entra, google) = (Template::Okta, Template::Entra, Template::GoogleWorkspace);
        for (what, tenant, organisation) in [
            (okta, "Globex Inc", "https://globex.okta.com"),
            (okta, "globex", "globex"),
            (okta, "globex", "https://u:p@globex.okta.com"),
            (okta, "globex", "file:///etc"),
            (entra, "globex", "globex.example.com\"\nx = 1"),
            (google, "globex", "example.com"),
        ] {
            let (what, tenant, organisation) = (Some(what), tenant.to_owned(), Some(organisation.to_owned()));
            let args = InitArgs { what, tenant, organisation, ..args() };
            let mut out = Vec::new();
            let error = init(&args, &mut out).unwrap_err().to_string();
            assert!(error.starts_with("--") && error.contains("accepted: "), "{error}");
            assert!(out.is_empty());
        }
    }
}

#[test]
fn completions_are_written_for_each_shell() {
    use clap::ValueEnum as _;
    let mut command = clap::Command::new("tidegate").subcommand(clap::Command::new("coverage"));
    for shell in clap_complete::Shell::value_variants() {
        let args = tidegate::cli::completions::CompletionsArgs { shell: *shell };
        let mut out = Vec::new();
        tidegate::cli::completions::completions(&args, &mut command, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("coverage"), "{shell}");
    }
}

mod documentation {
    use super::{CONNECTORS, SINKS, json_schema};
    use std::fmt::Write as _;
    use std::fs;

    const PATH: &str = "docs/configuration.md";

    fn table(schema: &serde_json::Value, pointer: &str) -> String {
        let mut table = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
        for (key, property) in schema.pointer(pointer).unwrap().as_object().unwrap() {
            let value = property["x-value"].as_str().unwrap();
            let default = property.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
            let meaning = property["description"].as_str().unwrap();
            writeln!(table, "| `{key}` | {value} | {default} | {meaning} |").unwrap();
        }
        table
    }

    #[test]
    fn the_option_tables_are_those_of_the_code() {
        let schema = json_schema(CONNECTORS, SINKS);
        let text = fs::read_to_string(PATH).unwrap();
        let mut fresh = text.clone();
        for (name, pointer) in [
            ("root", "/properties"),
            ("journal", "/properties/journal/properties"),
            ("http", "/properties/http/properties"),
            ("geoip", "/properties/geoip/properties"),
            ("tenant", "/$defs/tenant/properties"),
            ("source", "/$defs/source/anyOf/0/properties"),
            ("stream", "/$defs/source/anyOf/0/properties/stream/additionalProperties/properties"),
            ("sink", "/$defs/sink/anyOf/0/properties"),
        ] {
            let (begin, end) = (format!("<!-- options: {name} -->\n"), "<!-- end -->");
            let at = fresh.find(&begin).unwrap_or_else(|| panic!("{PATH} has no {begin}")) + begin.len();
            let until = at + fresh[at..].find(end).unwrap();
            fresh.replace_range(at..until, &table(&schema, pointer));
        }
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            fs::write(PATH, &fresh).unwrap();
        }
        assert_eq!(fs::read_to_string(PATH).unwrap(), fresh, "TIDEGATE_BLESS=1 writes the tables anew");
    }

    /// Each block of TOML in the page that is a whole file.
    #[test]
    fn the_examples_load() {
        let text = fs::read_to_string(PATH).unwrap();
        let blocks: Vec<&str> =
            text.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
        let [pipeline, tenant] = blocks.as_slice() else { panic!("{} examples", blocks.len()) };
        let config =
            super::files(&[("pipeline.toml", pipeline), ("tenants/northwind.toml", tenant)], &[]).unwrap();
        assert_eq!(config.tenants.len(), 2);
    }
}

mod anything {
    use super::{ACME, Env, files};
    use proptest::prelude::*;

    /// Keys and values that mean something, in places where they do not.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?[0-9]{1,22}",
            "[0-9]{1,3}(ms|s|d|%|GiB|TiB)".prop_map(|text| format!("{text:?}")),
            "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
            prop_oneof!["\\{tenant\\}", "\\{var.[a-z]{0,3}\\}", "\\{[ -~]{0,6}\\}?"]
                .prop_map(|text| format!("{text:?}")),
            prop_oneof![
                Just("true"),
                Just("inf"),
                Just("nan"),
                Just("2026-10-01"),
                Just("0x7f"),
                Just("1e999")
            ]
            .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec((key(), inner), 0..3).prop_map(|items| {
                    let items: Vec<String> =
                        items.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
                    format!("{{ {} }}", items.join(", "))
                }),
            ]
        })
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "include",
                "journal",
                "http",
                "defaults",
                "template",
                "tenant",
                "sink",
                "source",
                "acme",
                "okta",
                "files",
                "var",
                "sinks",
                "connector",
                "kind",
                "streams",
                "stream",
                "system_log",
                "start",
                "poll",
                "quota",
                "off",
                "auth",
                "url",
                "token",
                "settle",
                "proxy",
                "dir",
                "schema",
                "budget",
            ])
            .prop_map(str::to_owned),
            "[a-z_-]{1,4}",
            "\"[ -!#-\\[\\]-~]{0,6}\"",
        ]
    }

    fn line() -> impl Strategy<Value = String> {
        let path = || prop::collection::vec(key(), 1..5).prop_map(|keys| keys.join("."));
        prop_oneof![
            path().prop_map(|path| format!("[{path}]")),
            path().prop_map(|path| format!("[[{path}]]")),
            (path(), value()).prop_map(|(path, value)| format!("{path} = {value}")),
        ]
    }

    fn load(main: &str, tenant: &str, env: Env<'_>) {
        let main = format!("include = [\"tenants/*.toml\"]\n{main}");
        if let Err(errors) = files(&[("pipeline.toml", &main), ("tenants/acme.toml", tenant)], env) {
            assert!(!errors.is_empty());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(text in "\\PC{0,80}", tenant in "\\PC{0,40}") {
            load(&text, &tenant, &[]);
        }

        #[test]
        fn no_toml_panics(lines in prop::collection::vec(line(), 0..8), tenant in prop::collection::vec(line(), 0..4)) {
            load(&lines.join("\n"), &tenant.join("\n"), &[]);
            load(&format!("{ACME}{}", lines.join("\n")), "", &[]);
        }

        #[test]
        fn no_environment_panics(name in "[A-Za-z_.\\[\\]0-9-]{0,24}", text in "\\PC{0,24}", value in value()) {
            let name = format!("TIDEGATE__{name}");
            load(ACME, "", &[(&name, &text)]);
            load(ACME, "", &[(&name, &value)]);
        }
    }

    #[test]
    fn no_depth_overflows_the_stack() {
        let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(files(&[("pipeline.toml", &deep)], &[]).unwrap_err().contains("this is not TOML"));
        let dotted = format!("{}a = 1", "a.".repeat(100_000));
        assert!(files(&[("pipeline.toml", &dotted)], &[]).is_err());
        let name = format!("TIDEGATE__{}A", "A__".repeat(100_000));
        let told = files(&[("pipeline.toml", ACME)], &[(&name, "x")]).unwrap_err();
        assert!(told.contains("no key has this name"), "{}", told.len());
    }
}
