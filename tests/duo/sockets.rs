//! The binary on real sockets and the real clock.

use super::*;
use common::{TOKEN, command, json, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidegate_simulator::duo::{Integration, IntegrationKind, Limits};
use tidegate_simulator::elasticsearch::Elasticsearch;
use tidegate_simulator::okta::{self, Okta, OktaConfig};
use tidegate_simulator::{Handler, ServerHandle, Tls, serve};

struct Served {
    duo: Duo,
    elastic: Elasticsearch,
    dir: TempDir,
    servers: Vec<ServerHandle>,
}

async fn served(config: DuoConfig, elastic: ElasticsearchConfig, tls: bool) -> Served {
    let free = "127.0.0.1:0".parse().unwrap();
    let (duo, elastic, dir) = (Duo::new(config), Elasticsearch::new(elastic), TempDir::new().unwrap());
    std::fs::write(dir.path().join("key"), SKEY).unwrap();
    let tls = tls.then(|| Tls::self_made().unwrap());
    let http = tls.as_ref().map(|tls| {
        let ca = tls.write_ca(dir.path()).unwrap();
        format!("[http]\nca_file = \"{}\"\n\n", ca.display())
    });
    let servers = vec![
        serve(duo.clone(), free, tls.clone()).await.unwrap(),
        serve(elastic.clone(), free, tls).await.unwrap(),
    ];
    let served = Served { duo, elastic, dir, servers };
    std::fs::write(served.file(), http.unwrap_or_default()).unwrap();
    served
}

impl Served {
    fn file(&self) -> PathBuf {
        self.dir.path().join("pipeline.toml")
    }

    /// `keys` in the source's table, tables behind.
    fn configure(&self, keys: &str) {
        let before = std::fs::read_to_string(self.file()).unwrap();
        let path = self.dir.path().display();
        let text = format!(
            "{before}[journal]\ndir = \"{path}/journal\"\n\n[sink.elastic]\nkind = \"elasticsearch\"\n\
             schema = \"ecs\"\nurls = [\"{}\"]\nnamespace = \"{{tenant}}\"\nbatch_count = 50\noriginal = true\n\n{}",
            self.servers[1].url,
            source(keys).replace(&format!("https://{HOST}"), &self.servers[0].url),
        );
        std::fs::write(self.file(), text.replace("DIR", &path.to_string())).unwrap();
    }

    /// Compares as the world without sockets does.
    fn everything_arrived(&self) {
        let reader = Reader::open(self.dir.path().join("journal").join("acme")).unwrap();
        let dead = reader.dead(0, 100_000, false).unwrap();
        let refused = |known: &Known| dead.iter().any(|letter| letter.copy == known.versions[0].raw);
        let mut known = self.duo.known();
        let all = known.len();
        known.retain(|known| !refused(known));
        assert_eq!(all - known.len(), dead.len(), "each has one verdict");
        assert_all_arrived(&known, &self.elastic, Utc::now());
    }
}

async fn sync(file: &Path, more: &[&str]) -> std::process::Output {
    let arguments: Vec<&str> = ["sync", "--json"].into_iter().chain(more.iter().copied()).collect();
    let mut command = command(file, &arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn notify(handler: &impl Handler, path: &str, after: u64, when: &str) {
    let order = serde_json::json!({ "path": path, "after_requests": after, "when": when, "hold_ms": 10_000 });
    let request = http::Request::post("/_sim/notify").body(Bytes::from(order.to_string())).unwrap();
    assert_eq!(handler.handle(&request, Utc::now()).status, 200);
}

/// Runs the binary until the armed request, or to its end where that request never comes; then kill -9.
async fn run_until(file: &Path, handler: &impl Handler) -> bool {
    let child = command(file, &["sync", "--max-duration", "60s"]);
    let mut child = tokio::process::Command::from(child).kill_on_drop(true).spawn().unwrap();
    let killed = tokio::select! {
        reached = handler.notices().wait(MINUTE) => reached,
        _ = child.wait() => false,
    };
    child.kill().await.unwrap();
    killed
}

/// An account whose limit a test can wait for.
const FAST: &str =
    "start = \"30d\"\nrequests_per_minute = 12000\npoll = \"1s\"\nsettle = [\"1m\"]\nstreams = [\"*\"]";

fn fast(seed: u64, records: usize) -> DuoConfig {
    let (spread, start) = (TimeDelta::days(20), Utc::now() - TimeDelta::days(21));
    let plan =
        |stream: &&str| Generate { mutated: 0.0, ..Generate::new(stream, seed, records, start, spread) };
    DuoConfig {
        generate: ALL.iter().map(plan).collect(),
        limits: Limits { per_minute: 12_000, ..Limits::default() },
        random_faults: faults(seed, 0.02),
        ..DuoConfig::default()
    }
}

/// D8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_at_seeded_requests_lose_nothing_and_double_nothing() {
    let (mut seed, mut killed, mut rounds) = (20_260_701, 0_u64, 0_u64);
    while killed < 20 {
        rounds += 1;
        assert!(rounds < 6, "the kills do not come");
        let elastic =
            ElasticsearchConfig { random_faults: faults(rounds, 0.02), ..ElasticsearchConfig::default() };
        let stage = served(fast(splitmix(&mut seed), 600), elastic, rounds == 2).await;
        stage.configure(FAST);
        let (mut here, file) = (0, stage.file());
        for _ in 0..10 {
            let dice = splitmix(&mut seed);
            let when = if dice & 64 == 0 { "received" } else { "before_answer" };
            let reached = if dice & 128 == 0 {
                notify(&stage.duo, "/admin/", 1 + dice % 16, when);
                run_until(&file, &stage.duo).await
            } else {
                notify(&stage.elastic, "_bulk", 1 + dice % 8, when);
                run_until(&file, &stage.elastic).await
            };
            here += u64::from(reached);
        }
        stage.duo.set_random_faults(None);
        stage.elastic.set_random_faults(None);
        notify(&stage.duo, "nowhere", u64::MAX, "received");
        notify(&stage.elastic, "nowhere", u64::MAX, "received");
        let output = sync(&file, &["--max-duration", "60s"]).await;
        assert!(output.status.success(), "{}", text(&output));
        stage.everything_arrived();
        // The window: two batches of 50 in flight at each kill; a batch for each answer that never came.
        let lost = stage.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
        assert!(stage.elastic.conflicts() <= here * 100 + lost * 50, "{}", stage.elastic.conflicts());
        killed += here;
        for server in stage.servers {
            server.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c37_sync_exits_21_where_the_refused_key_is_all_and_10_beside_a_source_that_works() {
    let integration = Integration { kind: IntegrationKind::AuthApi, ..Integration::simulated() };
    let config = DuoConfig { integrations: vec![integration], ..fast(1, 20) };
    let stage =
        served(DuoConfig { random_faults: None, ..config }, ElasticsearchConfig::default(), false).await;
    stage.configure("");
    let alone = sync(&stage.file(), &["--max-duration", "30s"]).await;
    assert_eq!(alone.status.code(), Some(21), "{}", text(&alone));
    let summary: Value = json(&alone);
    let failed = &summary["failed"][0];
    assert_eq!((&failed["source"], &failed["kind"]), (&Value::from("acme/duo"), &Value::from("credential")));
    let said = text(&alone);
    assert!(said.contains("40102") && said.contains("Admin API application"), "{said}");
    assert!(said.contains("Grant read log") && !said.contains(SKEY), "{said}");
    // The first refusal answers for all logs.
    assert_eq!(stage.duo.requests().len(), 1, "{:#?}", stage.duo.requests());

    let start = Utc::now() - TimeDelta::hours(1);
    let generate = okta::Generate { start, ..okta::Generate::new(5, 100, TimeDelta::minutes(50)) };
    let okta = Okta::new(OktaConfig { generate: Some(generate), ..OktaConfig::default() });
    let server = serve(okta.clone(), "127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    std::fs::write(stage.dir.path().join("token"), TOKEN).unwrap();
    let before = std::fs::read_to_string(stage.file()).unwrap();
    let more = format!(
        "\n[tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"{}\"\nauth = {{ token = \"file:{}/token\" }}\n",
        server.url,
        stage.dir.path().display()
    );
    std::fs::write(stage.file(), before + &more).unwrap();
    let both = sync(&stage.file(), &["--max-duration", "30s"]).await;
    assert_eq!(both.status.code(), Some(10), "{}", text(&both));
    assert_eq!(json(&both)["delivered"]["elastic"], 100, "{}", text(&both));
    assert_eq!(stage.duo.requests().len(), 2);
}
