//! The sink against a real OpenSearch 2 and 3: those that `.ci/real-parts` prepares, or running ones whose addresses are in
//! `TIDEGATE_TEST_OPENSEARCH` and `TIDEGATE_TEST_OPENSEARCH3`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, missing_docs, reason = "tests")]

use bytes::Bytes;
use real::opensearch::OpenSearch;
use std::sync::Arc;
use tidegate_core::clock::Clock;
use tidegate_core::http::{Client, HttpSettings, Reqwest, TransportSettings};
use tidegate_core::sink::{Batch, DeliverError, Sink, SinkKind as _, SinkSettings};
use tidegate_core::source::Names;
use tidegate_core::testkit::sink::{self as kit, Invented, NAMES};
use tidegate_sinks::elasticsearch;
use tokio::sync::{Mutex, MutexGuard};

#[path = "../../tests/real/mod.rs"]
mod real;

/// A server for all tests of its version; it ends with this process. One test after the other, since one of them narrows
/// the whole cluster's shard limit for a moment.
struct Version {
    /// As the sink says it.
    name: &'static str,
    /// Where the prepared one is.
    parts: &'static str,
    /// The address of a running one.
    running: &'static str,
    server: Mutex<Option<OpenSearch>>,
}

static TWO: Version = Version {
    name: "OpenSearch 2.19",
    parts: "TIDEGATE_REAL_OPENSEARCH",
    running: "TIDEGATE_TEST_OPENSEARCH",
    server: Mutex::const_new(None),
};
static THREE: Version = Version {
    name: "OpenSearch 3.9",
    parts: "TIDEGATE_REAL_OPENSEARCH3",
    running: "TIDEGATE_TEST_OPENSEARCH3",
    server: Mutex::const_new(None),
};

/// Each of these is a test on both servers.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod opensearch_2 {
            $(#[tokio::test] async fn $test() {
                if let Some(real) = super::Real::find(&super::TWO, stringify!($test)).await {
                    super::$test(real).await;
                }
            })*
        }
        mod opensearch_3 {
            $(#[tokio::test] async fn $test() {
                if let Some(real) = super::Real::find(&super::THREE, stringify!($test)).await {
                    super::$test(real).await;
                }
            })*
        }
    };
}

on_both![
    templates_are_taken_and_documents_go_in_once,
    after_a_rollover_an_id_goes_in_again,
    c46_8192_emoji_sink_no_companion,
    malformed_values_are_kept_and_a_malformed_time_is_one_dead_letter,
    a_document_that_is_no_json_and_a_long_id,
    a_missing_template_is_told,
    c44_out_of_shards,
    without_index_state_management_the_templates_are_there_and_the_policy_is_told,
];

struct Real {
    version: &'static Version,
    url: String,
    http: Client,
    /// Each test has streams of its own.
    namespace: String,
    _turn: MutexGuard<'static, Option<OpenSearch>>,
}

impl Real {
    async fn find(version: &'static Version, test: &str) -> Option<Self> {
        let mut turn = version.server.lock().await;
        let url = match std::env::var(version.running) {
            Ok(url) => url,
            Err(_) => {
                let parts = real::part(version.parts, &format!("{test} on {}", version.name))?;
                turn.get_or_insert_with(|| OpenSearch::start(&parts)).url()
            }
        };
        let transport = Reqwest::new(&TransportSettings::default()).unwrap();
        let http = Client::new(transport, Clock::system(), HttpSettings::default());
        let run = Clock::system().now().timestamp_micros();
        // A namespace has 100 bytes at most.
        let namespace = format!("{}_{run}", test.get(..40).unwrap_or(test));
        Some(Self { version, url, http, namespace, _turn: turn })
    }

    fn settings(&self) -> SinkSettings {
        let table = serde_json::json!({ "urls": [self.url], "namespace": self.namespace });
        SinkSettings {
            tenant: "acme".to_owned(),
            sink: "elastic".to_owned(),
            sources: vec!["okta".to_owned()],
            table: table.as_object().unwrap().clone(),
            http: self.http.clone(),
        }
    }

    fn sink(&self) -> Arc<dyn Sink> {
        elasticsearch::Kind.open(self.settings()).unwrap()
    }

    async fn ask(&self, method: &str, path: &str) -> serde_json::Value {
        let request =
            http::Request::builder().method(method).uri(format!("{}/{path}", self.url)).body(Bytes::new());
        let response = self.http.send(request.unwrap()).await.unwrap();
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    async fn count(&self, query: &str) -> u64 {
        let stream = format!("logs-okta.system-{}", self.namespace);
        self.ask("POST", &format!("{stream}/_refresh")).await;
        self.ask("GET", &format!("{stream}/_count?q={query}")).await["count"].as_u64().unwrap_or(0)
    }

    /// Documents of the shape that schema `ecs` writes.
    fn documents(&self, count: usize, more: &serde_json::Value) -> Vec<Invented> {
        (0..count)
            .map(|n| {
                let mut document = serde_json::json!({
                    "@timestamp": "2026-01-15T10:00:00.123Z",
                    "data_stream": { "type": "logs", "dataset": "okta.system", "namespace": self.namespace },
                    "event": { "id": format!("5a1f-{n}"), "action": "user.session.start", "original": "{}" },
                    "user": { "full_name": "Kim Roe", "email": "kim.roe@example.com" },
                    "source": { "ip": "192.0.2.10", "geo": { "location": { "lat": 47.4, "lon": 8.5 } } },
                    "url": { "original": "https://acme.example.com/login" },
                });
                document["okta"] = more.clone();
                (format!("5a1f-{n}"), document.to_string())
            })
            .collect()
    }
}

fn okta() -> serde_json::Value {
    serde_json::json!({
        "client": { "ip": "192.0.2.10" },
        "target": [{ "id": "00u1", "type": "User" }, { "id": "00g1", "type": "UserGroup" }],
        "request": { "ip_chain": [{ "ip": "192.0.2.10", "version": "V4" }, { "ip": "198.51.100.7" }] },
        "debug_context": { "debug_data": {
            "flattened": { "behaviors": "{New IP=POSITIVE}", "risk": "{level=LOW}", "requestUri": "/api/v1/authn" },
            "risk": { "level": "LOW" },
        } },
    })
}

async fn templates_are_taken_and_documents_go_in_once(real: Real) {
    let sink = real.sink();
    let lines = sink.install(false).await.unwrap();
    assert!(lines.iter().all(|line| line.ends_with(" installed")), "{lines:?}");
    for namespace in ["okta", "azure", "cisco_duo", "google_workspace"] {
        assert!(lines.contains(&format!("_index_template/tidegate-{namespace} installed")), "{lines:?}");
    }
    assert_eq!(sink.check().await.lines, [format!("answers: {}", real.version.name)]);
    let batch = kit::batch(&*sink, &NAMES, &real.documents(50, &okta()));
    let delivery = sink.deliver(&batch).await.unwrap();
    kit::covers_each_once(&delivery, 50);
    assert_eq!((delivery.delivered, delivery.warnings.len()), (50, 0), "{delivery:?}");
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!((delivery.delivered, delivery.duplicates), (0, 50));
    assert_eq!(real.count("*:*").await, 50);
    assert_eq!(real.count("source.ip:%22192.0.2.0/24%22").await, 50);
    assert_eq!(real.count("okta.target.id:00g1").await, 50);
    assert_eq!(
        real.count("okta.debug_context.debug_data.flattened.requestUri:%22/api/v1/authn%22").await,
        50
    );
    assert_eq!(real.count("okta.debug_context.debug_data.risk.level:LOW").await, 50);
    let streams = real.ask("GET", &format!("_data_stream/logs-okta.system-{}", real.namespace)).await;
    assert_eq!(streams["data_streams"][0]["template"], "tidegate-okta");
}

async fn after_a_rollover_an_id_goes_in_again(real: Real) {
    let sink = real.sink();
    sink.install(false).await.unwrap();
    let batch = kit::batch(&*sink, &NAMES, &real.documents(3, &okta()));
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 3);
    real.ask("POST", &format!("logs-okta.system-{}/_rollover", real.namespace)).await;
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 3);
    assert_eq!(real.count("*:*").await, 6);
}

/// thread: elastic/elasticsearch#82086
async fn c46_8192_emoji_sink_no_companion(real: Real) {
    let sink = real.sink();
    sink.install(false).await.unwrap();
    let emoji = "\u{1F600}".repeat(8_192);
    for (place, odd) in [
        ("keyword", serde_json::json!({ "debug_context": { "debug_data": { "example": emoji } } })),
        (
            "flattened",
            serde_json::json!({ "debug_context": { "debug_data": { "flattened": { "x": emoji } } } }),
        ),
        ("unknown", serde_json::json!({ "never_seen": emoji })),
    ] {
        let mut documents = real.documents(20, &okta());
        for (id, _) in &mut documents {
            *id = format!("{place}-{id}");
        }
        documents[7].1 = real.documents(8, &odd)[7].1.clone();
        let delivery = sink.deliver(&kit::batch(&*sink, &NAMES, &documents)).await.unwrap();
        kit::covers_each_once(&delivery, 20);
        eprintln!("{place}: delivered {}, rejected {:?}", delivery.delivered, delivery.rejected);
        assert!(delivery.retry.is_empty() && delivery.fault.is_empty(), "{place}: {delivery:?}");
        assert!(delivery.rejected.iter().all(|(n, _)| *n == 7), "{place}");
        assert!(delivery.delivered >= 19, "{place}");
    }
}

async fn malformed_values_are_kept_and_a_malformed_time_is_one_dead_letter(real: Real) {
    let sink = real.sink();
    sink.install(false).await.unwrap();
    let mut documents = real.documents(3, &okta());
    documents[0].1 =
        real.documents(1, &serde_json::json!({ "client": { "ip": "not an address" } }))[0].1.clone();
    documents[1].1 = documents[1].1.replace("2026-01-15T10:00:00.123Z", "yesterday");
    let delivery = sink.deliver(&kit::batch(&*sink, &NAMES, &documents)).await.unwrap();
    eprintln!("{delivery:?}");
    assert_eq!(delivery.delivered, 2);
    assert_eq!(delivery.rejected.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1]);
}

async fn a_document_that_is_no_json_and_a_long_id(real: Real) {
    let sink = real.sink();
    sink.install(false).await.unwrap();
    let mut documents = real.documents(3, &okta());
    documents[0].0 = "x".repeat(600);
    documents[1].1 = r#"{"@timestamp":"2026-01-15T10:00:00Z","user":{"full_name":"Kim \ud83d"}}"#.to_owned();
    let outcome = sink.deliver(&kit::batch(&*sink, &NAMES, &documents)).await;
    eprintln!("lone surrogate: {outcome:?}");
    documents[1].1 = r#"{"@timestamp":"2026-01-15T10:00:00Z","#.to_owned();
    let outcome = sink.deliver(&kit::batch(&*sink, &NAMES, &documents)).await;
    eprintln!("cut JSON: {outcome:?}");
    for one in [&documents[..1], &documents[2..]] {
        let delivery = sink.deliver(&kit::batch(&*sink, &NAMES, one)).await.unwrap();
        assert_eq!(delivery.delivered + delivery.duplicates, 1);
    }
    match sink.deliver(&kit::batch(&*sink, &NAMES, &documents[1..2])).await {
        Ok(delivery) => assert_eq!(delivery.rejected.len(), 1, "{delivery:?}"),
        Err(error) => unreachable!("{error:?}"),
    }
}

async fn a_missing_template_is_told(real: Real) {
    let sink = real.sink();
    // A data set of no vendor: the other tests install the templates of all of them, perhaps before this one.
    static FOREIGN: Names = Names { dataset: "door_badges.entry", ..NAMES };
    let delivery = sink.deliver(&kit::batch(&*sink, &FOREIGN, &kit::invented(1))).await.unwrap();
    assert_eq!(delivery.delivered, 1);
    assert!(delivery.warnings.iter().any(|w| w.contains("plain index")), "{delivery:?}");
}

/// thread: syslog-ng/syslog-ng#3672
async fn c44_out_of_shards(real: Real) {
    let sink = real.sink();
    sink.install(false).await.unwrap();
    let limit = |shards: &str| {
        let body = format!(r#"{{"persistent":{{"cluster.max_shards_per_node":{shards}}}}}"#);
        let request = http::Request::put(format!("{}/_cluster/settings", real.url))
            .header("content-type", "application/json")
            .body(Bytes::from(body));
        real.http.send(request.unwrap())
    };
    let batch: Batch = kit::batch(&*sink, &NAMES, &real.documents(5, &okta()));
    limit("1").await.unwrap();
    let outcome = sink.deliver(&batch).await;
    limit("null").await.unwrap();
    eprintln!("{outcome:?}");
    match outcome {
        Ok(delivery) => assert_eq!(delivery.fault.len(), 5, "{delivery:?}"),
        Err(error) => assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}"),
    }
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 5);
}

/// The server that is run here has no such plugin; that the policy's body is right is shown on the stand-in.
async fn without_index_state_management_the_templates_are_there_and_the_policy_is_told(real: Real) {
    let fault = real.sink().install(true).await.unwrap_err();
    assert!(fault.message.contains("this OpenSearch has no Index State Management"), "{fault}");
    assert!(fault.remedy.as_deref().is_some_and(|remedy| remedy.contains("opensearch-index-management")));
    let templates = real.ask("GET", "_index_template/tidegate-okta").await;
    assert_eq!(templates["index_templates"][0]["name"], "tidegate-okta", "{templates}");
}
