//! kill -9 of the binary, fifty times, at seeded requests, with faults on at both ends and late events; and crash images
//! of a tenant's journal at every step of its commits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use bytes::Bytes;
use chrono::Utc;
use common::{Stage, assert_exactly_once, text};
use std::time::Duration;
use tidegate_simulator::{Handler, SimulateOptions};

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn notify(handler: &impl Handler, path: &str, after: u64, when: &str) {
    let order = serde_json::json!({ "path": path, "after_requests": after, "when": when, "hold_ms": 10_000 });
    let request = http::Request::post("/_sim/notify").body(Bytes::from(order.to_string())).unwrap();
    assert_eq!(handler.handle(&request, Utc::now()).status, 200);
}

/// Runs the binary until the armed request, or to its end where that request never comes; then kill -9.
async fn run_until(stage: &Stage, handler: &impl Handler) -> bool {
    let mut child = tokio::process::Command::from(stage.command(&["sync", "--max-duration", "60s"]));
    let mut child = child.kill_on_drop(true).spawn().unwrap();
    let killed = tokio::select! {
        reached = handler.notices().wait(Duration::from_secs(60)) => reached,
        _ = child.wait() => false,
    };
    child.kill().await.unwrap();
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_at_seeded_requests_lose_nothing_and_double_nothing() {
    let mut seed = 20_260_601;
    let (mut killed, mut rounds) = (0_u64, 0_u64);
    while killed < 50 {
        rounds += 1;
        assert!(rounds < 20, "the kills do not come");
        let options = SimulateOptions {
            seed: splitmix(&mut seed),
            events: 2_400,
            late: 40,
            fault_rate: 0.03,
            org_limit: 60_000,
            ..SimulateOptions::default()
        };
        let stage = Stage::with(options, "limit = 100\n").await;
        let mut here = 0;
        for _ in 0..10 {
            let dice = splitmix(&mut seed);
            let after = 1 + dice % 6;
            let when = if dice & 64 == 0 { "received" } else { "before_answer" };
            let reached = if dice & 128 == 0 {
                notify(&stage.simulation.okta, "/api/v1/logs", after, when);
                run_until(&stage, &stage.simulation.okta).await
            } else {
                notify(&stage.simulation.elasticsearch, "_bulk", after, when);
                run_until(&stage, &stage.simulation.elasticsearch).await
            };
            here += u64::from(reached);
        }
        stage.simulation.okta.set_random_faults(None);
        stage.simulation.elasticsearch.set_random_faults(None);
        notify(&stage.simulation.elasticsearch, "nowhere", u64::MAX, "received");
        notify(&stage.simulation.okta, "nowhere", u64::MAX, "received");
        let output = stage.tidegate(&["sync", "--max-duration", "60s"]).await;
        assert!(output.status.success(), "{}", text(&output));
        // The window: two batches of 50 in flight at each kill; a batch for each answer that never came.
        let lost =
            stage.simulation.elasticsearch.requests().iter().filter(|r| r.fault.is_some()).count() as u64;
        let books = stage.books();
        assert_exactly_once(&books, here * 100 + lost * 50);
        killed += here;
        stage.simulation.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_repeat_at_most_the_batch_in_hand() {
    let options =
        SimulateOptions { events: 12_000, late: 10, org_limit: 60_000, ..SimulateOptions::default() };
    let stage = Stage::new(options).await;
    let out = stage.dir.path().join("out");
    stage.configure(&format!(
        "\n[sink.files]\nkind = \"file\"\nschema = \"ecs\"\ndir = \"{}\"\n",
        out.display()
    ));
    let kills = 6;
    for k in 0..kills {
        notify(&stage.simulation.okta, "/api/v1/logs", 2 + k % 3, "received");
        run_until(&stage, &stage.simulation.okta).await;
    }
    notify(&stage.simulation.okta, "nowhere", u64::MAX, "received");
    let output = stage.tidegate(&["sync", "--max-duration", "60s"]).await;
    assert!(output.status.success(), "{}", text(&output));
    let mut ids: Vec<String> = Vec::new();
    for entry in walk(&out) {
        for line in std::fs::read_to_string(&entry).unwrap().lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            ids.push(document["event"]["id"].as_str().unwrap().to_owned());
        }
    }
    let lines = ids.len() as u64;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 12_000);
    // A batch is at most 4 MiB, some 1,000 of these documents, one in flight.
    assert!(lines <= 12_000 + kills * 1_100, "{lines} lines for 12,000 events");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
