//! The binary on real sockets.

use crate::common::{assert_all_arrived, command, text};
use crate::scene::{ADMIN, customer, dice, faults, key_file, prompt};
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::google::{ALERTS, Google, GoogleConfig};
use tidegate_simulator::{Handler, ServerHandle, Tls, serve};

/// Both stand-ins on sockets, and a configuration for the binary.
struct Street {
    google: Google,
    elastic: Elasticsearch,
    servers: [ServerHandle; 2],
    file: PathBuf,
    _dir: TempDir,
}

impl Street {
    async fn new(google: GoogleConfig, elastic: ElasticsearchConfig, tls: Option<Tls>) -> Self {
        let (google, elastic) = (Google::new(google), Elasticsearch::new(elastic));
        let free = "127.0.0.1:0".parse().unwrap();
        let vendor = serve(google.clone(), free, tls.clone()).await.unwrap();
        let sink = serve(elastic.clone(), free, None).await.unwrap();
        let dir = TempDir::new().unwrap();
        let ca =
            tls.map(|tls| format!("ca_file = {:?}", tls.write_ca(dir.path()).unwrap())).unwrap_or_default();
        std::fs::write(dir.path().join("google.json"), key_file()).unwrap();
        let config = format!(
            "[journal]\ndir = \"{dir}/journal\"\n\n[sink.elastic]\nkind = \"elasticsearch\"\nschema = \"ecs\"\n\
             urls = [\"{sink}\"]\nnamespace = \"{{tenant}}\"\nbatch_count = 50\noriginal = true\n\n\
             [tenant.acme.source.google]\nconnector = \"google_workspace\"\nurl = \"{vendor}\"\nalerts_url = \"{vendor}\"\n\
             token_url = \"{vendor}/token\"\nauth = {{ service_account = \"file:{dir}/google.json\", subject = \"{ADMIN}\" }}\n\
             streams = [\"login\", \"admin\", \"{ALERTS}\"]\nstart = \"2h\"\nlimit = 100\npoll = \"1s\"\nsettle = [\"1m\"]\n{ca}\n",
            dir = dir.path().display(),
            sink = sink.url,
            vendor = vendor.url,
        );
        let file = dir.path().join("pipeline.toml");
        std::fs::write(&file, config).unwrap();
        Self { google, elastic, servers: [vendor, sink], file, _dir: dir }
    }

    async fn sync(&self) -> Output {
        let mut command = command(&self.file, &["sync", "--max-duration", "60s"]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs the binary until the armed request, or to its end where that request never comes; then kill -9.
    async fn run_until(&self, handler: &impl Handler) -> bool {
        let mut child =
            tokio::process::Command::from(command(&self.file, &["sync", "--max-duration", "60s"]));
        let mut child = child.kill_on_drop(true).spawn().unwrap();
        let reached = tokio::select! {
            reached = handler.notices().wait(Duration::from_secs(60)) => reached,
            _ = child.wait() => false,
        };
        child.kill().await.unwrap();
        reached
    }

    async fn close(self) {
        for server in self.servers {
            server.shutdown().await;
        }
    }
}

fn notify(handler: &impl Handler, path: &str, after: u64, when: &str) {
    let order = serde_json::json!({ "path": path, "after_requests": after, "when": when, "hold_ms": 10_000 });
    let request = http::Request::post("/_sim/notify").body(Bytes::from(order.to_string())).unwrap();
    assert_eq!(handler.handle(&request, Utc::now()).status, 200);
}

fn records(seed: u64) -> GoogleConfig {
    let (spread, start) = (TimeDelta::minutes(105), Utc::now() - TimeDelta::minutes(110));
    let generate = [("login", 1_200), ("admin", 600), (ALERTS, 80)].map(|(stream, records)| {
        tidegate_simulator::google::Generate { seed, mutated: 0.0, ..prompt(stream, records, start, spread) }
    });
    GoogleConfig { seed, ..customer(generate.to_vec()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_at_seeded_requests_lose_nothing_and_double_nothing() {
    let (mut killed, mut round) = (0, 0);
    while killed < 20 {
        round += 1;
        assert!(round < 8, "the kills do not come");
        let google = GoogleConfig { random_faults: faults(round, 0.05), ..records(round) };
        let elastic =
            ElasticsearchConfig { random_faults: faults(round + 50, 0.03), ..ElasticsearchConfig::default() };
        let street = Street::new(google, elastic, None).await;
        let mut here = 0;
        for n in 0..8 {
            let dice = dice(round, n);
            let (after, when) = (1 + dice % 6, if dice & 64 == 0 { "received" } else { "before_answer" });
            let reached = if dice & 128 == 0 {
                notify(&street.google, if dice & 256 == 0 { "/applications/" } else { "/" }, after, when);
                street.run_until(&street.google).await
            } else {
                notify(&street.elastic, "_bulk", after, when);
                street.run_until(&street.elastic).await
            };
            here += u64::from(reached);
        }
        street.google.set_random_faults(None);
        street.elastic.set_random_faults(None);
        notify(&street.google, "nowhere", u64::MAX, "received");
        notify(&street.elastic, "nowhere", u64::MAX, "received");
        let output = street.sync().await;
        assert!(output.status.success(), "{}", text(&output));
        assert_all_arrived(&street.google.known(), &street.elastic, Utc::now() - TimeDelta::minutes(4));
        // Two batches of 50 in flight at each kill; a batch for each answer that never came.
        let lost = street.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
        let conflicts = street.elastic.conflicts();
        assert!(
            conflicts <= here * 100 + lost * 50,
            "{conflicts} sent again by {here} kills, {lost} lost answers"
        );
        assert_eq!(street.google.refused(), 0);
        killed += here;
        street.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_a_private_authority_everything_arrives_once() {
    let street =
        Street::new(records(3), ElasticsearchConfig::default(), Some(Tls::self_made().unwrap())).await;
    let output = street.sync().await;
    assert!(output.status.success(), "{}", text(&output));
    assert_all_arrived(&street.google.known(), &street.elastic, Utc::now() - TimeDelta::minutes(4));
    assert_eq!(street.elastic.conflicts(), 0);
    assert!(street.servers[0].url.starts_with("https://"));
    street.close().await;
}
