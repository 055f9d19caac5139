//! The stand-ins on real sockets, loopback only.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::okta::{Generate, Okta, OktaConfig};
use tidegate_simulator::{Fault, Known, ScriptedFault, SimulateOptions, Tls, run, serve};

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn organisation() -> Okta {
    Okta::new(OktaConfig {
        generate: Some(Generate::new(1, 50, chrono::TimeDelta::minutes(1))),
        ..OktaConfig::default()
    })
}

fn ask(client: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
    client.get(url).header("authorization", "SSWS simulated-token")
}

const SINCE: &str = "/api/v1/logs?since=2026-01-15T09:00:00.000Z";

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn order(client: &reqwest::Client, url: String, body: &Value) -> reqwest::RequestBuilder {
    client.post(url).body(body.to_string())
}

/// Generated events of January 2026 are older than the retention for a real clock, so these come from now.
fn recent() -> Okta {
    let okta = organisation();
    okta.add_events(&Generate {
        start: chrono::Utc::now() - chrono::TimeDelta::hours(1),
        ..Generate::new(2, 40, chrono::TimeDelta::minutes(10))
    });
    okta
}

fn recent_logs(url: &str) -> String {
    let since = (chrono::Utc::now() - chrono::TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%S.000Z");
    format!("{url}/api/v1/logs?since={since}&limit=100")
}

#[tokio::test]
async fn links_lead_to_the_bound_address_over_http_and_https() {
    let tls = Tls::self_made().unwrap();
    let ca = reqwest::Certificate::from_pem(tls.ca_pem().as_bytes()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
    for (client, tls, scheme) in [(client(), None, "http"), (trusting, Some(tls), "https")] {
        let server = serve(recent(), anywhere(), tls).await.unwrap();
        assert!(server.url.starts_with(&format!("{scheme}://127.0.0.1:")));
        let response = ask(&client, &recent_logs(&server.url)).send().await.unwrap();
        assert_eq!(response.headers().get_all("date").iter().count(), 1);
        let links: Vec<String> =
            response.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
        assert!(links.len() == 2 && links.iter().all(|link| link.contains(&server.url)), "{links:?}");
        assert_eq!(json_of(response).await.as_array().unwrap().len(), 40);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn an_untrusted_authority_is_refused_by_the_client() {
    let server = serve(organisation(), anywhere(), Some(Tls::self_made().unwrap())).await.unwrap();
    assert!(ask(&client(), &format!("{}{SINCE}", server.url)).send().await.is_err());
    server.shutdown().await;
}

#[tokio::test]
async fn faults_play_on_the_wire() {
    let okta = recent();
    let server = serve(okta.clone(), anywhere(), None).await.unwrap();
    let (client, url) = (client(), recent_logs(&server.url));
    okta.push_fault(ScriptedFault::next("logs", Fault::CutBody { after: Some(500) }));
    let plain = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let mut cut = ask(&plain, &url).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    let mut read = 0;
    let end = loop {
        match cut.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            end => break end,
        }
    };
    assert!(end.is_err() && read == 500, "{read} bytes, then {end:?}");

    okta.push_fault(ScriptedFault::next("logs", Fault::DropBeforeAnswer));
    assert!(ask(&client, &url).send().await.is_err());

    okta.push_fault(ScriptedFault::next("logs", Fault::TruncatedGzip));
    let truncated = ask(&client, &url).send().await.unwrap();
    assert_eq!(truncated.status(), 200);
    assert!(truncated.bytes().await.is_err(), "the decoder notices");

    for (fault, total) in [
        (Fault::Endless { total: 20_000_000 }, 20_000_000),
        (Fault::GzipBomb { total: 20_000_000 }, 19 << 20),
    ] {
        okta.push_fault(ScriptedFault::next("logs", fault));
        let mut endless = ask(&client, &url).send().await.unwrap();
        let mut read = 0_u64;
        while let Some(chunk) = endless.chunk().await.unwrap() {
            read += chunk.len() as u64;
        }
        assert_eq!(read, total);
    }

    okta.push_fault(ScriptedFault::next("logs", Fault::Delay { ms: 150 }));
    let before = Instant::now();
    assert_eq!(ask(&client, &url).send().await.unwrap().status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(150));

    okta.push_fault(ScriptedFault::next("logs", Fault::SlowBody { bytes_per_s: 400_000 }));
    let before = Instant::now();
    let slow = json_of(ask(&plain, &url).send().await.unwrap()).await;
    assert_eq!(slow.as_array().unwrap().len(), 40);
    assert!(before.elapsed() >= Duration::from_millis(200));
    server.shutdown().await;
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_with_limit_zero() {
    let okta = Okta::new(OktaConfig { concurrency_limit: 1, ..OktaConfig::default() });
    let server = serve(okta.clone(), anywhere(), None).await.unwrap();
    let (client, url) = (client(), recent_logs(&server.url));
    okta.push_fault(ScriptedFault::next("logs", Fault::Delay { ms: 60_000 }));
    order(&client, format!("{}/_sim/notify", server.url), &json!({"path": "logs", "after_requests": 1}))
        .send()
        .await
        .unwrap();
    let held = tokio::spawn(ask(&client, &url).send());
    let reached = json_of(client.get(format!("{}/_sim/wait", server.url)).send().await.unwrap()).await;
    assert_eq!(reached["reached"], true);
    let refused = ask(&client, &url).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["x-rate-limit-limit"].to_str().unwrap()),
        (429, "0")
    );
    held.abort();
    server.shutdown().await;
}

#[tokio::test]
async fn a_kill_can_be_timed_by_the_kth_bulk_request_after_storing() {
    let cluster = Elasticsearch::new(ElasticsearchConfig::default());
    let server = serve(cluster.clone(), anywhere(), None).await.unwrap();
    let (client, url) = (client(), server.url.clone());
    let notify = json!({"path": "_bulk", "after_requests": 2, "when": "before_answer", "hold_ms": 60_000});
    assert_eq!(order(&client, format!("{url}/_sim/notify"), &notify).send().await.unwrap().status(), 200);
    let bulk = |id: &str| {
        let body = format!(
            "{{\"create\":{{\"_index\":\"logs-a-b\",\"_id\":\"{id}\"}}}}\n{{\"@timestamp\":\"2026-01-15T10:00:00Z\"}}\n"
        );
        client.post(format!("{url}/_bulk")).header("content-type", "application/x-ndjson").body(body).send()
    };
    let waiting = tokio::spawn(client.get(format!("{url}/_sim/wait")).send());
    assert_eq!(bulk("a").await.unwrap().status(), 200, "the first is not held back");
    let second = tokio::spawn(bulk("b"));
    let reached = json_of(waiting.await.unwrap().unwrap()).await;
    assert_eq!(reached["reached"], true);
    assert_eq!(cluster.created(), 2, "stored already");
    assert!(!second.is_finished(), "and not answered");
    second.abort();
    server.shutdown().await;
}

#[tokio::test]
async fn a_kill_can_be_timed_by_the_number_of_events_served() {
    let okta = recent();
    let server = serve(okta, anywhere(), None).await.unwrap();
    let (client, url) = (client(), server.url.clone());
    let notify = json!({"path": "logs", "after_events": 60, "hold_ms": 60_000});
    order(&client, format!("{url}/_sim/notify"), &notify).send().await.unwrap();
    let page = recent_logs(&url);
    assert_eq!(ask(&client, &page).send().await.unwrap().status(), 200, "40 events");
    let second = tokio::spawn(ask(&client, &page).send());
    let reached = json_of(client.get(format!("{url}/_sim/wait")).send().await.unwrap()).await;
    assert_eq!(reached["reached"], true);
    assert!(!second.is_finished());
    second.abort();
    server.shutdown().await;
}

#[tokio::test]
async fn okta_and_the_cluster_run_together() {
    let directory = tempfile::tempdir().unwrap();
    let options = SimulateOptions {
        okta: anywhere(),
        elasticsearch: anywhere(),
        events: 120,
        late: 7,
        tls: Some(directory.path().join("tls")),
        token: "another-token".to_owned(),
        ..SimulateOptions::default()
    };
    let simulation = run(options).await.unwrap();
    assert_eq!((simulation.events, simulation.late), (120, 7));
    let pem = std::fs::read(simulation.ca_file.clone().unwrap()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let page =
        client.get(format!("{}&limit=1000", recent_logs(&simulation.okta_url).replace("&limit=100", "")));
    let events = json_of(page.header("authorization", "SSWS another-token").send().await.unwrap()).await;
    assert_eq!(events.as_array().unwrap().len(), 120);
    let about = json_of(client.get(&simulation.elasticsearch_url).send().await.unwrap()).await;
    assert_eq!(about["version"]["build_flavor"], "default");
    assert_eq!(simulation.elasticsearch.created(), 0);
    simulation.shutdown().await;
}

#[tokio::test]
async fn all_vendors_run_together_and_each_has_what_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let spread = chrono::TimeDelta::minutes(30);
    let options = SimulateOptions {
        okta: anywhere(),
        elasticsearch: anywhere(),
        entra: Some(anywhere()),
        duo: Some(anywhere()),
        google: Some(anywhere()),
        events: 100,
        late: 9,
        spread,
        late_by: spread,
        ..SimulateOptions::default()
    };
    // Entra shortens its times, to a second at most.
    let began = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
    let simulation = run(options.clone()).await.unwrap();
    let vendors = simulation.vendors();
    let names: Vec<&str> = vendors.iter().map(|vendor| vendor.name).collect();
    assert_eq!(names, ["Okta", "Entra ID", "Duo", "Google Workspace"]);
    for (vendor, streams) in vendors.iter().zip([1, 4, 3, 7]) {
        assert_eq!((vendor.records.len(), vendor.late), (100, 9), "{}", vendor.name);
        let of: BTreeSet<&str> = vendor.records.iter().map(|record| record.stream.as_str()).collect();
        assert_eq!(of.len(), streams, "{}", vendor.name);
        let ids: BTreeSet<_> = vendor.records.iter().map(|record| (&record.stream, &record.id)).collect();
        assert_eq!(ids.len(), 100, "{}: late records are others", vendor.name);
        let seen = |record: &&Known| record.at(chrono::Utc::now()).is_some();
        assert_eq!(vendor.records.iter().filter(seen).count(), 100, "{}: all is there", vendor.name);
        let totals = json_of(client().get(format!("{}/_sim/totals", vendor.url)).send().await.unwrap()).await;
        assert_eq!(totals["visible"], 100, "{}: {totals}", vendor.name);
    }

    let keys = simulation.write_keys(&directory.path().join("keys")).unwrap();
    let names: Vec<_> = keys.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["entra_client_secret", "duo_secret_key", "google.json"]);
    let google: Value = serde_json::from_slice(&std::fs::read(&keys[2]).unwrap()).unwrap();
    assert_eq!(google["token_uri"], format!("{}/token", simulation.google_url.clone().unwrap()));
    simulation.shutdown().await;

    let live = run(SimulateOptions { live: true, ..options }).await.unwrap();
    for vendor in live.vendors() {
        let early = vendor.records.iter().filter(|record| record.versions[0].visible_at < began);
        assert_eq!(early.count(), 0, "{}: all is yet to come", vendor.name);
    }
    live.shutdown().await;
}

#[tokio::test]
async fn a_file_of_records_is_served_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records.ndjson");
    let record = r#"{"uuid":"5a1f0000-0000-4000-8000-000000000001",  "published":"2019-01-15T10:00:00.123Z","eventType":"x"}"#;
    std::fs::write(&file, format!("{record}\n")).unwrap();
    let options = SimulateOptions {
        okta: anywhere(),
        elasticsearch: anywhere(),
        file: Some(file.clone()),
        ..SimulateOptions::default()
    };
    let simulation = run(options.clone()).await.unwrap();
    let body =
        ask(&client(), &recent_logs(&simulation.okta_url)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(body, format!("[{record}]"));
    simulation.shutdown().await;
    let missing = SimulateOptions { file: Some(directory.path().join("none")), ..options };
    assert!(run(missing).await.is_err_and(|error| error.to_string().contains("none")));
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let server = serve(organisation(), anywhere(), None).await.unwrap();
    let error = serve(organisation(), server.address, None).await.err().unwrap();
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    server.shutdown().await;
}
