//! From the Okta stand-in to a real OpenSearch, 2 and 3: the binary is killed again and again, the server once, and every event
//! is read back by query, once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
mod real;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use common::{Stage, json, text};
use real::opensearch::OpenSearch;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Output};
use std::time::Duration;
use tidegate_simulator::SimulateOptions;
use tidegate_simulator::okta::Generate;

const STREAM: &str = "logs-okta.system-acme";
const BATCH: u64 = 50;
const IN_FLIGHT: u64 = 2;

struct Scene {
    stage: Stage,
    server: OpenSearch,
    kills: u64,
    /// What the server refused because it had it, before it was killed itself.
    refused: u64,
}

impl Scene {
    async fn new(server: OpenSearch) -> Self {
        let options = SimulateOptions {
            seed: 29,
            events: 2_000,
            late: 25,
            spread: TimeDelta::hours(2),
            org_limit: 6_000,
            ..SimulateOptions::default()
        };
        let stage = Stage::new(options).await;
        let file = std::fs::read_to_string(&stage.file).unwrap();
        let file = file.replace(&stage.simulation.elasticsearch_url, &server.url());
        std::fs::write(&stage.file, file).unwrap();
        Self { stage, server, kills: 0, refused: 0 }
    }

    fn sync(&self) -> Child {
        self.stage.command(&["sync", "--json", "--max-duration", "4m"]).spawn().unwrap()
    }

    async fn tidegate(&self, arguments: &[&str]) -> Output {
        let output = self.stage.tidegate(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        output
    }

    /// More events from now on, late ones among them; waits until all of them are there.
    async fn more_events(&self, seed: u64, events: usize, late: usize) {
        let spread = TimeDelta::seconds(2);
        let plan = Generate { late, start: Utc::now(), ..Generate::new(seed, events, spread) };
        self.stage.simulation.okta.add_events(&plan);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    /// kill -9 when the k-th page of the log has been made and its answer has not left.
    async fn kill_at_page(&mut self, page: u64) {
        let order =
            json!({ "path": "logs", "after_requests": page, "when": "before_answer", "hold_ms": 5_000 });
        self.okta("POST", "/_sim/notify", &order);
        let mut child = self.sync();
        while self.okta("GET", "/_sim/wait", &Value::Null)["reached"] != json!(true) {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.kill(child);
    }

    /// kill -9 when the server has taken so many documents more; whether there were so many.
    async fn kill_at_documents(&mut self, documents: u64) -> bool {
        let goal = self.server.indexed() + documents;
        let mut child = self.sync();
        while self.server.indexed() < goal {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{}", text(&child.wait_with_output().unwrap()));
                return false;
            }
        }
        self.kill(child);
        true
    }

    fn kill(&mut self, mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += 1;
    }

    /// kill -9 of the server under a `sync` that goes on and gets everything over in the end.
    async fn kill_the_server_at_documents(&mut self, documents: u64) {
        let goal = self.server.indexed() + documents;
        let child = self.sync();
        while self.server.indexed() < goal {
            std::thread::yield_now();
        }
        self.refused += self.server.refused();
        self.server.kill_and_start();
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        assert!(ended.status.success(), "{}", text(&ended));
    }

    fn okta(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = Bytes::from(if body.is_null() { String::new() } else { body.to_string() });
        let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
        let answer = self.stage.simulation.okta.handle(&request, Utc::now());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }
}

fn steps(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |last| {
        Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1)
    .map(|state| 30 + (state >> 33) % 270)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_in_a_real_opensearch_2_once_whatever_is_killed() {
    let test = "every_event_is_in_a_real_opensearch_2_once_whatever_is_killed";
    every_event_is_there_once_whatever_is_killed("TIDEGATE_REAL_OPENSEARCH", test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_in_a_real_opensearch_3_once_whatever_is_killed() {
    let test = "every_event_is_in_a_real_opensearch_3_once_whatever_is_killed";
    every_event_is_there_once_whatever_is_killed("TIDEGATE_REAL_OPENSEARCH3", test).await;
}

async fn every_event_is_there_once_whatever_is_killed(parts: &str, test: &str) {
    let Some(parts) = real::part(parts, test) else { return };
    let mut scene = Scene::new(OpenSearch::start(&parts)).await;
    scene.tidegate(&["assets", "install", "elasticsearch"]).await;

    scene.kill_at_page(1).await;
    scene.kill_at_page(2).await;
    let mut steps = steps(41);
    for _ in 0..3 {
        assert!(scene.kill_at_documents(steps.next().unwrap()).await, "there is more");
    }
    scene.more_events(30, 1_000, 20).await;
    scene.kill_at_page(1).await;
    for _ in 0..3 {
        assert!(scene.kill_at_documents(steps.next().unwrap()).await, "there is more");
    }
    scene.kill_the_server_at_documents(200).await;

    let last = scene.tidegate(&["sync", "--json"]).await;
    let report = json(&last);
    assert_eq!(
        (&report["result"], &report["dead"], &report["backlog"]),
        (&json!("complete"), &json!(0), &json!(0))
    );
    let documents = scene.server.documents(STREAM);
    assert_all_there_once(&scene, &documents);
    documents.iter().take(200).for_each(|(id, _, document)| assert_faithful(&scene, id, document));
    assert_typed(&scene.server, documents.len() as u64);

    // The server's own memory of ids ends at a rollover: what would be sent again now would be there twice.
    scene.server.ask("POST", &format!("/{STREAM}/_rollover"), None);
    scene.tidegate(&["sync", "--json"]).await;
    scene.more_events(31, 100, 5).await;
    scene.tidegate(&["sync", "--json"]).await;
    let documents = scene.server.documents(STREAM);
    assert_all_there_once(&scene, &documents);
    let indices: BTreeSet<&String> = documents.iter().map(|(_, index, _)| index).collect();
    assert_eq!(indices.len(), 2, "{indices:?}");

    let refused = scene.refused + scene.server.refused();
    // At each death of either side: the requests in flight, and one batch that was answered and not yet written down.
    let bound = (scene.kills + 1) * (IN_FLIGHT + 1) * BATCH;
    assert!(refused <= bound, "{refused} documents were sent again, at most {bound} may be");
    scene.stage.simulation.shutdown().await;
}

fn assert_all_there_once(scene: &Scene, documents: &[(String, String, Value)]) {
    let existed: BTreeSet<String> =
        scene.stage.simulation.okta.events().into_iter().map(|event| event.id).collect();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    documents.iter().for_each(|(id, ..)| *times.entry(id).or_default() += 1);
    let missing: Vec<&String> =
        existed.iter().filter(|id| !times.contains_key(id.as_str())).take(5).collect();
    let strange: Vec<&&str> = times.keys().filter(|id| !existed.contains(**id)).take(5).collect();
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).take(5).collect();
    assert!(
        missing.is_empty() && strange.is_empty() && doubled.is_empty(),
        "{missing:?} {strange:?} {doubled:?}"
    );
    assert_eq!(documents.len(), existed.len());
    assert!(documents.iter().all(|(_, index, _)| index.starts_with(&format!(".ds-{STREAM}-"))));
}

/// The document is that of the record, field by field where both have the same.
fn assert_faithful(scene: &Scene, id: &str, document: &Value) {
    let record: Value = serde_json::from_slice(&scene.stage.simulation.okta.record(id).unwrap()).unwrap();
    let time = |text: &Value| DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
    assert_eq!(time(&document["@timestamp"]), time(&record["published"]), "{document}");
    for (place, value) in [
        ("/event/action", &record["eventType"]),
        ("/event/id", &record["uuid"]),
        ("/okta/event_type", &record["eventType"]),
        ("/okta/uuid", &record["uuid"]),
        ("/okta/actor/id", &record["actor"]["id"]),
        ("/okta/outcome/result", &record["outcome"]["result"]),
        ("/okta/transaction/id", &record["transaction"]["id"]),
        ("/data_stream/dataset", &json!("okta.system")),
        ("/data_stream/namespace", &json!("acme")),
    ] {
        assert_eq!(document.pointer(place).unwrap_or(&Value::Null), value, "{place} of {document}");
    }
    assert!(
        document["event"]["category"].is_array() || document["event"].get("category").is_none(),
        "{document}"
    );
    assert!(document["ecs"]["version"].is_string(), "{document}");
}

/// The template is in force: a data stream, dates that are dates, and one field for all that `debugData` may hold.
fn assert_typed(server: &OpenSearch, count: u64) {
    let streams = server.ask("GET", &format!("/_data_stream/{STREAM}"), None);
    assert_eq!(streams["data_streams"][0]["template"], "tidegate-okta", "{streams}");

    let mappings = server.ask("GET", &format!("/{STREAM}/_mapping"), None);
    let (_, index) = mappings.as_object().unwrap().iter().next().unwrap();
    let kind = |field: &str| {
        let path = format!("/mappings/properties/{}/type", field.replace('.', "/properties/"));
        index.pointer(&path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for (field, expected) in [
        ("@timestamp", "date"),
        ("event.ingested", "date"),
        ("event.action", "keyword"),
        ("okta.event_type", "keyword"),
        ("source.ip", "ip"),
        ("source.geo.location", "geo_point"),
        ("okta.debug_context.debug_data.flattened", "flat_object"),
    ] {
        assert_eq!(kind(field), expected, "{field}: {index}");
    }

    let found = |query: Value| {
        let query = json!({ "query": query });
        server.ask("POST", &format!("/{STREAM}/_count"), Some(&query))["count"].as_u64().unwrap()
    };
    assert_eq!(found(json!({ "range": { "@timestamp": { "gte": "now-2d", "lte": "now" } } })), count);
    assert_eq!(found(json!({ "exists": { "field": "event.action" } })), count);
    let by_key = "okta.debug_context.debug_data.flattened.requestUri";
    assert!(
        found(json!({ "prefix": { by_key: "/" } })) > 0,
        "what is in debugData can be searched by its key"
    );
}
