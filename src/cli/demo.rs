//! `tidegate demo`: the stand-ins and a real pipeline beside each other, killed once on purpose, and the books compared.

use super::text::thousands;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tidegate_simulator::{SimulateOptions, Simulation, run as start};
use tokio::process::{Child, Command};

/// The whole demonstration ends after this long, whatever happens.
const PATIENCE: Duration = Duration::from_secs(120);
/// Documents in one bulk request: small, so that the kill falls into the middle.
const BATCH: usize = 100;
/// The token of the demonstration's own stand-in.
const TOKEN: &str = "demo-token";

/// Shows it all without any account: a local Okta, the pipeline killed once in the middle, a local Elasticsearch.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many events the local Okta has
    #[arg(long, default_value_t = 1_200)]
    events: usize,
    /// The same seed makes the same demonstration
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Where the demonstration writes its pipeline, journal and documents
    #[arg(long, default_value = "demo", value_name = "DIR")]
    dir: PathBuf,
}

struct Books {
    existed: u64,
    delivered: u64,
    missing: u64,
    doubled: u64,
    late: u64,
}

/// Runs it; the exit code.
pub async fn run(args: &Args) -> u8 {
    match tokio::time::timeout(PATIENCE, all(args)).await {
        Ok(Ok(books)) => u8::from(books.missing + books.doubled > 0) * 70,
        Ok(Err(error)) => {
            super::complain(&format!("demo: {error}"));
            70
        }
        Err(_) => {
            super::complain(&format!("demo: not finished within {} s", PATIENCE.as_secs()));
            70
        }
    }
}

async fn all(args: &Args) -> Result<Books, String> {
    let simulation = stand_ins(args).await?;
    let file = prepare(&args.dir, &simulation).map_err(|error| format!("{}: {error}", args.dir.display()))?;
    if !args.json {
        super::print(&format!(
            "fake Okta :{} ({} events, {} late)  →  journal  →  fake Elasticsearch :{}",
            port(&simulation.okta_url),
            thousands(simulation.events as u64),
            thousands(simulation.late as u64),
            port(&simulation.elasticsearch_url),
        ));
    }
    let killed_at = kill_once(args, &simulation, &file).await?;
    if !args.json {
        super::print(&match killed_at {
            Some(at) => format!("killed once on purpose at event {}, restarted", thousands(at)),
            None => "too few events to be killed in the middle".to_owned(),
        });
    }
    let ended = pipeline(&file)?.wait_with_output().await.map_err(|error| error.to_string())?;
    if !ended.status.success() {
        return Err(format!("the pipeline ended badly: {}", String::from_utf8_lossy(&ended.stderr).trim()));
    }
    let books = compare(&simulation);
    let document = write_one(&args.dir, &simulation)?;
    simulation.shutdown().await;
    if args.json {
        super::print(&format!(
            r#"{{"existed":{},"delivered":{},"missing":{},"doubled":{},"late":{}}}"#,
            books.existed, books.delivered, books.missing, books.doubled, books.late
        ));
    } else {
        super::print(&format!(
            "{} existed · {} delivered · {} lost · {} doubled · {} arrived late",
            thousands(books.existed),
            thousands(books.delivered),
            thousands(books.missing),
            thousands(books.doubled),
            thousands(books.late)
        ));
        if let Some(document) = document {
            super::print(&format!("one event: {}    next: tidegate init okta", document.display()));
        }
    }
    Ok(books)
}

/// The usual ports, or free ones where those are taken.
async fn stand_ins(args: &Args) -> Result<Simulation, String> {
    let options = SimulateOptions {
        seed: args.seed,
        events: args.events,
        late: 3.min(args.events),
        token: TOKEN.to_owned(),
        spread: TimeDelta::hours(1),
        ..SimulateOptions::default()
    };
    if let Ok(simulation) = start(options.clone()).await {
        return Ok(simulation);
    }
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    start(SimulateOptions { okta: free, elasticsearch: free, ..options })
        .await
        .map_err(|error| error.to_string())
}

/// A pipeline file and an empty journal. Only what an earlier demonstration made is removed.
fn prepare(dir: &Path, simulation: &Simulation) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    for old in ["journal", "documents"] {
        match std::fs::remove_dir_all(dir.join(old)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let file = dir.join("pipeline.toml");
    let quoted = |path: PathBuf| serde_json::Value::String(path.display().to_string()).to_string();
    let text = format!(
        r#"# The pipeline of `tidegate demo`.
[journal]
dir = {journal}

[tenant.demo.source.okta]
connector = "okta"
url       = "{okta}"
auth      = {{ token = "env:TIDEGATE_DEMO_TOKEN" }}
start     = "30d"

[sink.elastic]
kind        = "elasticsearch"
schema      = "ecs"
urls        = ["{elasticsearch}"]
namespace   = "{{tenant}}"
batch_count = {BATCH}

[sink.documents]
kind   = "file"
schema = "ecs"
dir    = {documents}
"#,
        journal = quoted(dir.join("journal")),
        documents = quoted(dir.join("documents")),
        okta = simulation.okta_url,
        elasticsearch = simulation.elasticsearch_url,
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

fn pipeline(file: &Path) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .arg("--config")
        .arg(file)
        .args(["sync", "--max-duration", "100s", "--json"])
        .env("TIDEGATE_DEMO_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the pipeline did not start: {error}"))
}

/// Starts the pipeline and kills it -9 after a batch was stored and before its answer was sent: the worst moment.
async fn kill_once(args: &Args, simulation: &Simulation, file: &Path) -> Result<Option<u64>, String> {
    let batches = args.events / BATCH;
    if batches < 2 {
        return Ok(None);
    }
    let batch = 1 + usize::try_from(args.seed).unwrap_or(0).wrapping_mul(5) % (batches - 1);
    let order = serde_json::json!({
        "path": "_bulk", "after_requests": batch, "when": "before_answer", "hold_ms": 5_000,
    });
    let control = |method: &str, path: &str, body: String| {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .body(Bytes::from(body))
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(simulation.elasticsearch.handle(&request, Utc::now()).body)
    };
    control("POST", "/_sim/notify", order.to_string())?;
    let mut child = pipeline(file)?;
    loop {
        let answer: serde_json::Value =
            serde_json::from_slice(&control("GET", "/_sim/wait", String::new())?).unwrap_or_default();
        if answer.get("reached") == Some(&serde_json::Value::Bool(true)) {
            break;
        }
        if let Ok(Some(_)) = child.try_wait() {
            let ended = child.wait_with_output().await.map_err(|error| error.to_string())?;
            return Err(format!(
                "the pipeline ended too early: {}",
                String::from_utf8_lossy(&ended.stderr).trim()
            ));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().await.map_err(|error| error.to_string())?;
    Ok(Some(simulation.elasticsearch.created()))
}

fn compare(simulation: &Simulation) -> Books {
    let existed: BTreeSet<String> = simulation.okta.events().into_iter().map(|event| event.id).collect();
    let arrived = simulation.elasticsearch.delivered();
    let delivered: BTreeSet<&String> = arrived.iter().filter(|d| d.created > 0).map(|d| &d.id).collect();
    let strange = delivered.iter().filter(|id| !existed.contains(**id)).count() as u64;
    let twice: u64 = arrived.iter().map(|document| document.created.saturating_sub(1)).sum();
    Books {
        existed: existed.len() as u64,
        delivered: delivered.len() as u64 - strange,
        missing: existed.iter().filter(|id| !delivered.contains(id)).count() as u64,
        doubled: twice + strange,
        late: simulation.late as u64,
    }
}

fn write_one(dir: &Path, simulation: &Simulation) -> Result<Option<PathBuf>, String> {
    let first = simulation.okta.events().into_iter().next();
    let Some(stored) =
        first.and_then(|event| simulation.elasticsearch.documents(&event.id).into_iter().next())
    else {
        return Ok(None);
    };
    let document: serde_json::Value =
        serde_json::from_slice(&stored.source).map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    let path = dir.join("doc-0001.json");
    std::fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(path))
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap_or(url)
}
