//! The binary on real sockets: killed at seeded requests, and over TLS.

use super::*;
use common::{command, json, text};
use std::path::PathBuf;
use tempfile::TempDir;
use tidegate_simulator::entra::Tenant;
use tidegate_simulator::{Handler, RandomFaults, ServerHandle, Tls, serve};

/// Microsoft lets one request through in two seconds for each directory, so there are several.
const DIRECTORIES: usize = 10;
const BATCH: u64 = 50;

struct Sockets {
    entra: Entra,
    elastic: Elasticsearch,
    servers: Vec<ServerHandle>,
    file: PathBuf,
    _dir: TempDir,
}

fn directory(n: usize) -> String {
    format!("55555555-0000-4000-8000-{n:012}")
}

impl Sockets {
    async fn new(records: usize, fault_rate: f64, tls: Option<Tls>) -> Self {
        let faults = |seed| {
            (fault_rate > 0.0).then(|| RandomFaults {
                seed,
                rate: fault_rate,
                kinds: Vec::new(),
                path: String::new(),
            })
        };
        let start = Utc::now() - TimeDelta::minutes(70);
        let plan = |n: usize, stream: &str, records| Generate {
            tenant: Some(directory(n)),
            ..plain(stream, n as u64, records, start, TimeDelta::minutes(60))
        };
        let entra = Entra::new(EntraConfig {
            tenants: (0..DIRECTORIES).map(|n| Tenant::new(&directory(n)).grant(DEFAULT_APP)).collect(),
            random_faults: faults(7),
            generate: (0..DIRECTORIES)
                .flat_map(|n| [plan(n, "sign_ins", records), plan(n, "risk_detections", records / 2)])
                .collect(),
            ..EntraConfig::default()
        });
        let elastic = Elasticsearch::new(ElasticsearchConfig {
            random_faults: faults(8),
            ..ElasticsearchConfig::default()
        });
        let dir = common::in_memory();
        let here = dir.path().display();
        let mut ca_file = String::new();
        if let Some(tls) = &tls {
            ca_file = format!("ca_file = \"{}\"\n", tls.write_ca(dir.path()).unwrap().display());
        }
        let free = "127.0.0.1:0".parse().unwrap();
        let graph = serve(entra.clone(), free, tls).await.unwrap();
        let sink = serve(elastic.clone(), free, None).await.unwrap();
        std::fs::write(dir.path().join("secret"), DEFAULT_SECRET).unwrap();
        let mut config = format!(
            "[journal]\ndir = \"{here}/journal\"\n\n[sink.elastic]\nkind = \"elasticsearch\"\nschema = \"ecs\"\n\
             urls = [\"{}\"]\nnamespace = \"{{tenant}}\"\nbatch_count = {BATCH}\noriginal = true\n",
            sink.url
        );
        for n in 0..DIRECTORIES {
            config.push_str(&format!(
                "\n[tenant.acme.source.entra{n}]\nconnector = \"entra\"\ndirectory = \"{}\"\nurl = \"{url}\"\n\
                 login_url = \"{url}\"\n{ca_file}auth = {{ client_id = \"{DEFAULT_APP}\", client_secret = \"file:{here}/secret\" }}\n\
                 streams = [\"sign_ins\", \"risk_detections\"]\nstart = \"2h\"\nquota = \"100%\"\nlimit = 20\n\
                 poll = \"30s\"\nsettle = [\"1m\"]\n",
                directory(n),
                url = graph.url,
            ));
        }
        let file = dir.path().join("pipeline.toml");
        std::fs::write(&file, config).unwrap();
        Self { entra, elastic, servers: vec![graph, sink], file, _dir: dir }
    }

    /// Runs the binary until the armed request, or to its end where that request never comes; then kill -9.
    async fn run_until(&self, handler: &impl Handler) -> bool {
        let child = command(&self.file, &["sync", "--max-duration", "60s"]);
        let mut child = tokio::process::Command::from(child).kill_on_drop(true).spawn().unwrap();
        let killed = tokio::select! {
            reached = handler.notices().wait(Duration::from_secs(60)) => reached,
            _ = child.wait() => false,
        };
        child.kill().await.unwrap();
        killed
    }

    async fn sync(&self) -> std::process::Output {
        let mut command = command(&self.file, &["sync", "--json", "--max-duration", "90s"]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn shutdown(self) {
        for server in self.servers {
            server.shutdown().await;
        }
    }
}

fn arm(handler: &impl Handler, path: &str, after: u64, when: &str) {
    let order = serde_json::json!({ "path": path, "after_requests": after, "when": when, "hold_ms": 10_000 });
    let request = http::Request::post("/_sim/notify").body(order.to_string().into()).unwrap();
    assert_eq!(handler.handle(&request, Utc::now()).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_at_seeded_requests_lose_nothing_and_double_nothing() {
    let mut seed = 20_260_602;
    let stage = Sockets::new(120, 0.03, None).await;
    let (mut kills, mut rounds) = (0, 0);
    while kills < 20 {
        rounds += 1;
        assert!(rounds < 30, "the kills do not come");
        let dice = splitmix(&mut seed);
        let when = if dice & 64 == 0 { "received" } else { "before_answer" };
        let reached = match dice % 4 {
            0 => {
                arm(&stage.elastic, "_bulk", 1 + dice / 4 % 3, when);
                stage.run_until(&stage.elastic).await
            }
            1 => {
                arm(&stage.entra, "/identityProtection/", 1 + dice / 4 % 9, when);
                stage.run_until(&stage.entra).await
            }
            _ => {
                arm(&stage.entra, "/auditLogs/", 1 + dice / 4 % 12, when);
                stage.run_until(&stage.entra).await
            }
        };
        kills += u64::from(reached);
        arm(&stage.elastic, "nowhere", u64::MAX, "received");
        arm(&stage.entra, "nowhere", u64::MAX, "received");
    }
    stage.entra.set_random_faults(None);
    stage.elastic.set_random_faults(None);
    let output = stage.sync().await;
    assert!(output.status.success(), "{}", text(&output));
    assert_all_arrived(&known(&stage.entra), &stage.elastic, Utc::now());
    let lost = stage.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
    let conflicts = stage.elastic.conflicts();
    assert!(conflicts <= kills * 2 * BATCH + lost * BATCH, "{conflicts} documents were sent again");
    stage.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_an_authority_of_ones_own() {
    let stage = Sockets::new(40, 0.0, Some(Tls::self_made().unwrap())).await;
    let output = stage.sync().await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(json(&output)["failed"], serde_json::json!([]), "{}", text(&output));
    assert_all_arrived(&known(&stage.entra), &stage.elastic, Utc::now());
    assert_eq!(stage.elastic.conflicts(), 0);
    stage.shutdown().await;
}
