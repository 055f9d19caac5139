//! `tidegate guarantees`, the key `require`, and the word in `status`: what is promised is what the code does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use serde_json::Value;
use tempfile::TempDir;
use tidegate::cli::guarantees::{Args, lines};
use tidegate::cli::{check, status};
use tidegate::config::Config;
use tidegate::world::World;
use tidegate_core::journal::{Change, FileJournal, Journal as _, Lane, OpenOptions, Span};
use tidegate_core::source::StreamKind;

const TWO: &str = r#"
[tenant.acme.source.okta]
connector = "okta"
url = "https://acme.okta.com"
auth = { token = "file:DIR/token" }

[tenant.acme.source.work]
connector = "google_workspace"
streams = ["login", "alerts", "drive"]
stream.drive.off = "too much of it"
auth = { service_account = "file:DIR/account.json", subject = "auditor@example.com" }

[sink.elastic]
kind = "elasticsearch"
urls = ["https://es.example.com:9200"]
ELASTIC

[sink.files]
kind = "file"
dir = "DIR/out"
streams = ["okta"]
FILES
"#;

struct Scene {
    world: World,
    config: Config,
    dir: TempDir,
}

impl Scene {
    /// With these further keys of the two sinks.
    fn new(elastic: &str, files: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (world, path) = (World::new(&[]), dir.path().join("pipeline.toml"));
        std::fs::write(dir.path().join("token"), "secret").unwrap();
        let text = format!("[journal]\ndir = \"DIR/journal\"\n{TWO}")
            .replace("ELASTIC", elastic)
            .replace("FILES", files)
            .replace("DIR", &dir.path().display().to_string());
        std::fs::write(&path, text).unwrap();
        let config = world.load(&path).unwrap();
        Self { world, config, dir }
    }

    fn text(&self) -> String {
        let (code, lines) = lines(&self.world, &self.config, &Args { tenant: Vec::new(), json: false });
        assert_eq!(code, 0);
        lines.join("\n")
    }

    fn paths(&self) -> Vec<Value> {
        let (code, lines) = lines(&self.world, &self.config, &Args { tenant: Vec::new(), json: true });
        assert_eq!((code, lines.len()), (0, 1));
        let object: Value = serde_json::from_str(&lines[0]).unwrap();
        object["acme"]["paths"].as_array().unwrap().clone()
    }

    /// What is said when the sinks are opened.
    fn refusal(&self) -> String {
        let error = self.world.sinks(&self.config, "acme").err();
        error.map(|error| error.to_string()).unwrap_or_default()
    }
}

#[test]
fn every_way_from_a_stream_to_a_sink_is_shown_with_its_reasons_once() {
    let text = Scene::new("", "give_up_after = \"3d\"").text();
    insta::assert_snapshot!(text);
}

#[test]
fn the_grade_is_that_of_the_streams_kind_and_the_level_is_the_sinks_own_word() {
    let scene = Scene::new("", "");
    let paths = scene.paths();
    let ways: Vec<String> = paths
        .iter()
        .map(|path| format!("{}/{} {}", path["source"], path["stream"], path["sink"]).replace('"', ""))
        .collect();
    assert_eq!(
        ways,
        ["okta/system_log elastic", "okta/system_log files", "work/alerts elastic", "work/login elastic"]
    );
    let promises = scene.world.promises(&scene.config, "acme");
    for path in &paths {
        let source = &scene.config.tenants["acme"].sources[path["source"].as_str().unwrap()];
        let plan = source.streams.iter().find(|plan| plan.stream.name == path["stream"]).unwrap();
        let grade = match plan.stream.kind {
            StreamKind::Feed => "chain",
            StreamKind::Windowed { .. } => "settled",
        };
        assert_eq!(path["collected"]["grade"], grade, "{path}");
        let promise = &promises[path["sink"].as_str().unwrap()];
        assert_eq!(path["delivered"]["level"], promise.level.name(), "{path}");
        assert_eq!(path["delivered"]["because"], promise.because, "{path}");
    }
}

#[test]
fn a_stream_that_no_sink_takes_is_kept_in_the_journal_alone() {
    let scene = Scene::new("streams = [\"google_workspace\"]", "tenants = [\"!acme\"]");
    let path = &scene.paths()[0];
    assert_eq!((&path["stream"], &path["sink"]), (&"system_log".into(), &Value::Null));
    assert_eq!(path["delivered"], Value::Null);
    assert!(scene.text().contains("→ no sink  kept in the journal alone"), "{}", scene.text());
}

#[test]
fn horizons_that_the_vendor_does_not_keep_records_for_settle_nothing() {
    let text = TWO.replace("stream.drive.off = ", "stream.login.retention = \"1d\"\nstream.drive.off = ");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipeline.toml");
    let text =
        text.replace("ELASTIC", "").replace("FILES", "").replace("DIR", &dir.path().display().to_string());
    std::fs::write(&path, text).unwrap();
    let world = World::new(&[]);
    let scene = Scene { config: world.load(&path).unwrap(), world, dir };
    let login = scene.paths().into_iter().find(|path| path["stream"] == "login").unwrap();
    assert_eq!(login["collected"]["grade"], "fetched", "{login}");
    assert!(
        login["collected"]["because"].as_str().unwrap().contains("keeps records for 1 d only"),
        "{login}"
    );
}

#[test]
fn a_sink_that_cannot_keep_what_is_required_is_refused_with_level_reason_and_what_is_accepted() {
    let refused = Scene::new("ids = false\nrequire = \"exactly_once\"", "").refusal();
    for part in [
        "pipeline.toml:",
        "tenant acme, sink elastic: require: \"exactly_once\" is asked",
        "promises at_least_once: the cluster answers for each document",
        "`ids = false`",
        "change that, or ask for \"at_least_once\" at most",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(!refused.contains("no such key"), "{refused}");
    let hec = "[sink.hec]\nkind = \"splunk_hec\"\nurl = \"https://hec.example.com:8088\"\ntoken = \"env:HEC\"\n\
               require = \"at_least_once\"";
    let refused = Scene::new("", hec).refusal();
    for part in ["sink hec: require: ", "ack = \"required\"", "or take `require` away"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(Scene::new("", &format!("{hec}\nack = \"required\"")).refusal(), "");
    for (elastic, files) in [
        ("require = \"exactly_once\"", "require = \"at_least_once\""),
        ("ids = false\nrequire = \"at_least_once\"", ""),
        ("require = \"at_least_once\"", ""),
    ] {
        assert_eq!(Scene::new(elastic, files).refusal(), "", "{elastic} {files}");
    }
}

#[test]
fn what_may_be_given_up_is_not_delivered_at_least_once() {
    for (keys, part) in [
        ("give_up_after = \"3d\"", "what waits longer than 3d is given up"),
        ("required = false", "take this key or `required = false` away"),
    ] {
        let refused = Scene::new("", &format!("require = \"at_least_once\"\n{keys}")).refusal();
        assert!(refused.contains("sink files: require: ") && refused.contains(part), "{refused}");
        let scene = Scene::new("", keys);
        assert_eq!(scene.refusal(), "", "without `require` it is a promise with an exception");
        assert!(scene.text().contains("is given up, as a named hole"), "{}", scene.text());
    }
}

#[tokio::test]
async fn check_and_guarantees_refuse_it_as_configuration() {
    let scene = Scene::new("ids = false\nrequire = \"exactly_once\"", "");
    let (code, _) = lines(&scene.world, &scene.config, &Args { tenant: Vec::new(), json: false });
    assert_eq!(code, 20);
    let args = check::Args { online: false, json: false };
    assert_eq!(check::lines(&scene.world, &scene.config, &args).await.0, 20);
    let (code, _) =
        lines(&scene.world, &scene.config, &Args { tenant: vec!["amce".to_owned()], json: false });
    assert_eq!(code, 20, "an unknown tenant");
}

#[test]
fn status_says_in_a_word_what_the_way_to_each_sink_promises() {
    let scene = Scene::new("", "");
    let now = scene.world.clock.now();
    let journal = FileJournal::open(scene.dir.path().join("journal/acme"), OpenOptions::new("test", now));
    let span = |sink: &str| Change::Span(Span::follow(sink, Lane::Live, 1));
    journal.unwrap().commit(&["elastic", "files", "gone"].map(span)).unwrap();
    let shown = |json| {
        let args = status::Args { tenant: Vec::new(), json, drift: None };
        status::lines(&scene.world, &scene.config, &args).1.join("\n")
    };
    let text = shown(false);
    assert!(text.contains("→ elastic  exactly_once  has everything"), "{text}");
    assert!(text.contains("→ files  at_least_once  has everything"), "{text}");
    assert!(text.contains("→ gone  has everything"), "{text}");
    let object: Value = serde_json::from_str(&shown(true)).unwrap();
    let words: Vec<&Value> =
        object["acme"]["sinks"].as_array().unwrap().iter().map(|sink| &sink["guarantee"]).collect();
    assert_eq!(words, [&Value::from("exactly_once"), &Value::from("at_least_once"), &Value::Null]);
}
