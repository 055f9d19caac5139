//! `tidegate demo`: the stand-ins and a real pipeline beside each other, killed once on purpose, and the books compared.

use super::text::thousands;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tidegate_simulator::{SimulateOptions, Simulation, Vendor, run as start};
use tokio::process::{Child, Command};

/// The whole demonstration ends after this long, whatever happens.
const PATIENCE: Duration = Duration::from_secs(120);
/// Documents in one bulk request: small, so that the kill falls into the middle.
const BATCH: usize = 100;
/// The token of the demonstration's own stand-in.
const TOKEN: &str = "demo-token";

/// Everything that exists has arrived within this long after the restart, or it is lost.
const ARRIVAL: Duration = Duration::from_secs(75);
/// The log of the stand-ins is this long, and late events happened as long before they became visible: the oldest is twice
/// as old.
const SPREAD: TimeDelta = TimeDelta::minutes(10);
/// Where the sources begin: before the oldest event, but less than half an hour ago, so that the pipeline reads it all in one
/// piece, instead of as a backfill.
const START: &str = "29m";

/// Shows it all without any account: four local vendors, the pipeline killed once in the middle, a local Elasticsearch.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many events each local vendor has
    #[arg(long, default_value_t = 300)]
    events: usize,
    /// The same seed makes the same demonstration
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Where the demonstration writes its pipeline, keys, journal and documents
    #[arg(long, default_value = "demo", value_name = "DIR")]
    dir: PathBuf,
}

/// What existed at a vendor, and what became of it.
#[derive(Clone, Copy, Default)]
struct Books {
    existed: u64,
    delivered: u64,
    doubled: u64,
    late: u64,
}

impl Books {
    fn missing(&self) -> u64 {
        self.existed - self.delivered
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            existed: self.existed + other.existed,
            delivered: self.delivered + other.delivered,
            doubled: self.doubled + other.doubled,
            late: self.late + other.late,
        }
    }

    fn json(&self) -> Value {
        json!({
            "existed": self.existed, "delivered": self.delivered, "missing": self.missing(), "doubled": self.doubled,
            "late": self.late,
        })
    }
}

/// Runs it; the exit code.
pub async fn run(args: &Args) -> u8 {
    match tokio::time::timeout(PATIENCE, all(args)).await {
        Ok(Ok(books)) => u8::from(books.missing() + books.doubled > 0) * 70,
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
    let vendors = simulation.vendors();
    let file = prepare(&args.dir, &simulation).map_err(|error| format!("{}: {error}", args.dir.display()))?;
    if !args.json {
        for vendor in &vendors {
            super::print(&format!(
                "fake {:16} :{}  {} events, {} late",
                vendor.name,
                port(&vendor.url),
                thousands(vendor.records.len() as u64),
                thousands(vendor.late as u64),
            ));
        }
        super::print(&format!(
            "  →  journal  →  fake Elasticsearch :{}",
            port(&simulation.elasticsearch_url)
        ));
    }
    install(&file).await?;
    let killed_at = kill_once(args, &simulation, &file).await?;
    if !args.json {
        super::print(&match killed_at {
            Some(at) => format!("killed once on purpose at document {}, restarted", thousands(at)),
            None => "too few events to be killed in the middle".to_owned(),
        });
    }
    finish(&simulation, &vendors, &file).await?;
    let (books, stranger) = compare(&simulation, &vendors);
    let mut sum = books.iter().fold(Books::default(), Books::plus);
    sum.doubled += stranger;
    let document = write_one(&args.dir, &simulation)?;
    simulation.shutdown().await;
    if args.json {
        let all = vendors.iter().zip(&books).map(|(vendor, books)| (vendor.name.to_owned(), books.json()));
        let mut object = sum.json();
        if let Some(object) = object.as_object_mut() {
            object.insert("vendors".to_owned(), all.collect());
        }
        super::print(&object.to_string());
        return Ok(sum);
    }
    for (name, books) in vendors.iter().map(|vendor| vendor.name).zip(&books).chain([("all", &sum)]) {
        super::print(&format!(
            "{name:16}  {} existed · {} delivered · {} lost · {} doubled · {} arrived late",
            thousands(books.existed),
            thousands(books.delivered),
            thousands(books.missing()),
            thousands(books.doubled),
            thousands(books.late)
        ));
    }
    if sum.missing() > 0 {
        super::print(&format!(
            "what could not be delivered is kept: tidegate --config {} dead-letters list acme",
            file.display()
        ));
    }
    if let Some(document) = document {
        super::print(&format!("one event: {}    next: tidegate init okta", document.display()));
    }
    Ok(sum)
}

/// The usual ports, or free ones where those are taken.
async fn stand_ins(args: &Args) -> Result<Simulation, String> {
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let options = SimulateOptions {
        entra: Some(here(4803)),
        duo: Some(here(4804)),
        google: Some(here(4805)),
        seed: args.seed,
        events: args.events,
        late: 3.min(args.events),
        token: TOKEN.to_owned(),
        spread: SPREAD,
        late_by: SPREAD,
        ..SimulateOptions::default()
    };
    if let Ok(simulation) = start(options.clone()).await {
        return Ok(simulation);
    }
    let free = here(0);
    start(SimulateOptions {
        okta: free,
        elasticsearch: free,
        entra: Some(free),
        duo: Some(free),
        google: Some(free),
        ..options
    })
    .await
    .map_err(|error| error.to_string())
}

/// A pipeline file and an empty journal. Only what an earlier demonstration made is removed.
fn prepare(dir: &Path, simulation: &Simulation) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let keys = dir.join("keys");
    simulation.write_keys(&keys).map_err(std::io::Error::other)?;
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

[defaults.source]
start = "{START}"
quota = "100%"                            # nobody else asks these vendors
poll  = "1h"                              # and nothing new comes while this runs
{sources}
[sink.elastic]
kind        = "elasticsearch"
schema      = "ecs"
urls        = ["{elasticsearch}"]
namespace   = "{{tenant}}"
original    = true
batch_count = {BATCH}

[sink.documents]
kind   = "file"
schema = "ecs"
dir    = {documents}
"#,
        journal = quoted(dir.join("journal")),
        documents = quoted(dir.join("documents")),
        sources = super::simulate::sources(simulation, &keys),
        elasticsearch = simulation.elasticsearch_url,
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

/// This program with the demonstration's pipeline.
fn ourselves(file: &Path, arguments: &[&str]) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(file)
        .args(arguments)
        .env("TIDEGATE_DEMO_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// Puts the templates into the cluster, as anybody should: without them it guesses types, and refuses a document that
/// contradicts a guess.
async fn install(file: &Path) -> Result<(), String> {
    let output = ourselves(file, &["assets", "install", "elasticsearch"])?.output().await;
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("the templates: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("the templates: {error}")),
    }
}

fn pipeline(file: &Path) -> Result<Child, String> {
    ourselves(file, &["run"])?.spawn().map_err(|error| format!("the pipeline did not start: {error}"))
}

/// Starts the pipeline and kills it -9 after a batch was stored and before its answer was sent: the worst moment.
async fn kill_once(args: &Args, simulation: &Simulation, file: &Path) -> Result<Option<u64>, String> {
    let batches = 4 * args.events / BATCH;
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

/// Runs the pipeline until all that exists has arrived, and ends it as an operator would.
async fn finish(simulation: &Simulation, vendors: &[Vendor], file: &Path) -> Result<(), String> {
    let mut child = pipeline(file)?;
    let complete = async {
        let all = vendors.iter().map(|vendor| vendor.records.len() as u64).sum();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // Counting is cheap, comparing is not.
            if simulation.elasticsearch.created() >= all
                && compare(simulation, vendors).0.iter().all(|books| books.missing() == 0)
            {
                return;
            }
        }
    };
    let ended = tokio::select! {
        // What has not come by then is lost, and the books say so.
        _ = tokio::time::timeout(ARRIVAL, complete) => false,
        _ = child.wait() => true,
    };
    if let Some(id) =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
    {
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().await.map_err(|error| error.to_string())?;
    if ended || !output.status.success() {
        return Err(format!("the pipeline ended badly: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(())
}

/// What arrived of each vendor, and how many documents never were at any of them. A record has arrived when one of its
/// versions has, with all of its events (`events[]`, where it has some).
fn compare(simulation: &Simulation, vendors: &[Vendor]) -> (Vec<Books>, u64) {
    let mut arrived: HashMap<String, u64> = HashMap::new();
    for delivered in simulation.elasticsearch.delivered() {
        for stored in simulation.elasticsearch.documents(&delivered.id) {
            let document: Value = serde_json::from_slice(&stored.source).unwrap_or_default();
            let original = document.pointer("/event/original").and_then(Value::as_str).unwrap_or_default();
            *arrived.entry(identity(original).0).or_default() += delivered.created;
        }
    }
    let mut books = Vec::new();
    for vendor in vendors {
        let mut of =
            Books { existed: vendor.records.len() as u64, late: vendor.late as u64, ..Books::default() };
        for record in &vendor.records {
            // By identity: documents that make it complete, and documents that there may be.
            let mut expected: HashMap<String, (u64, u64)> = HashMap::new();
            for version in &record.versions {
                let (identity, events) = identity(&String::from_utf8_lossy(&version.raw));
                let entry = expected.entry(identity).or_insert((events, 0));
                entry.1 += events;
            }
            let mut complete = false;
            for (identity, (enough, most)) in expected {
                let came = arrived.remove(&identity).unwrap_or(0);
                complete |= came >= enough;
                of.doubled += came.saturating_sub(most);
            }
            of.delivered += u64::from(complete);
        }
        books.push(of);
    }
    (books, arrived.into_values().sum())
}

/// By what a record is told apart here, and how many documents it becomes: Entra's by their id, since v1.0 of Graph leaves out
/// members of what beta says; all others by their own bytes.
fn identity(raw: &str) -> (String, u64) {
    let record: Value = serde_json::from_str(raw).unwrap_or_default();
    let events = record.get("events").and_then(Value::as_array).map_or(1, |events| events.len().max(1));
    let id = record.get("id").and_then(Value::as_str).unwrap_or(raw);
    (id.to_owned(), events as u64)
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
