//! What an event costs on its whole way: plain HTTP page → journal → document → SIEM, by the program itself: ECS into plain and
//! compressed bulks, LEEF over TCP and over TLS.
//!
//! The stand-ins run in this process, `tidegate sync` in one of its own, and only the latter's CPU (user + system) and
//! memory are counted. In each round the yardstick (reading the same records with serde into one struct with every
//! member, without any output) and the ways take turns, so that a busy machine slows
//! all of them; the ratios of the medians count. The receiver of syslog only counts lines. It acknowledges nothing, so events/s
//! there end with the last line that it has read, and not with the program, which waits for its tail.
//!
//! `cargo bench --bench pipeline -- [--events N] [--rounds N] [--backlog N]`. With `--backlog` the cluster is away while N
//! events pile up in the journal, then a second `sync` delivers them: memory and CPU of both. The journals are made in
//! `$TIDEGATE_BENCH_DIR`, or beside the build: a file system in memory would tell nothing about syncs.
//! `$TIDEGATE_BENCH_PROGRAM` names another program to measure than the one that was built with the bench.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::panic,
    reason = "a bench prints figures, and stops where it cannot go on"
)]
#![allow(missing_docs, reason = "not a library")]

#[path = "../connectors/benches/yardstick/mod.rs"]
mod yardstick;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::okta::{Generate, Okta, OktaConfig, generate};
use tidegate_simulator::syslog::Pki;
use tidegate_simulator::{ServerHandle, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Far more requests a minute than a run makes: the quota's spacing is not what is measured.
const UNLIMITED: u32 = 10_000_000;
/// Whoever needs longer hangs.
const PATIENCE: &str = "10m";

struct Options {
    events: usize,
    rounds: usize,
    backlog: Option<usize>,
}

/// What one `sync` took.
struct Taken {
    cpu: Duration,
    wall: Duration,
    /// KiB.
    resident: u64,
}

/// A vendor, and the records it serves.
struct Vendor {
    records: Vec<Bytes>,
    okta: Okta,
    server: ServerHandle,
}

/// A receiver of syslog that only counts.
struct Receiver {
    address: SocketAddr,
    count: Arc<Mutex<Count>>,
}

struct Count {
    lines: usize,
    bytes: usize,
    last: Instant,
}

/// A configuration and a journal of its own, gone when dropped.
struct Place {
    dir: TempDir,
}

fn main() {
    let options = options();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match options.backlog {
        Some(events) => runtime.block_on(backlog(events)),
        None => runtime.block_on(whole_way(&options)),
    }
}

fn options() -> Options {
    let mut options = Options { events: 50_000, rounds: 5, backlog: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|n| n.replace('_', "").parse::<usize>().ok());
            value.unwrap_or_else(|| panic!("{argument} takes a number"))
        };
        match argument.as_str() {
            "--events" => options.events = number(),
            "--rounds" => options.rounds = number(),
            "--backlog" => options.backlog = Some(number()),
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is unknown; there are --events, --rounds and --backlog"),
        }
    }
    options
}

async fn whole_way(options: &Options) {
    let vendor = Vendor::start(options.events).await;
    let bytes: usize = vendor.records.iter().map(Bytes::len).sum();
    let (mut yard, mut plain, mut packed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tcp, mut tls) = (Vec::new(), Vec::new());
    let (mut written, mut line_bytes) = (0, 0);
    let pki = Pki::new(&[]).unwrap();
    for round in 0..options.rounds {
        yard.push(yardstick(&vendor.records));
        for (gzip, taken) in [("false", &mut plain), ("1", &mut packed)] {
            let (cluster, server) = cluster().await;
            let place = Place::new(&vendor.server.url, &elastic(&server.url, gzip));
            taken.push(place.sync(&[]).await);
            let created = usize::try_from(cluster.created()).unwrap();
            assert_eq!(created, vendor.records.len(), "round {round}: not everything arrived");
            assert_eq!(cluster.conflicts(), 0, "round {round}: documents were sent twice");
            if written == 0 {
                written = document_bytes(&cluster);
            }
            server.shutdown().await;
        }
        for (pki, taken) in [(None, &mut tcp), (Some(&pki), &mut tls)] {
            let receiver = Receiver::start(pki).await;
            let place = Place::new(&vendor.server.url, &receiver.sink(pki.is_some()));
            std::fs::write(place.dir.path().join("ca.pem"), ca(pki)).unwrap();
            let start = Instant::now();
            let sync = place.sync(&[]).await;
            let count = receiver.count.lock().unwrap();
            // Nothing is lost here, and nothing broke that could repeat the tail.
            assert_eq!(count.lines, vendor.records.len(), "round {round}: lines that came");
            taken.push(Taken { wall: count.last - start, ..sync });
            line_bytes = count.bytes / count.lines;
        }
    }
    let n = vendor.records.len();
    println!(
        "{n} records of {} bytes, documents of {written} bytes, lines of LEEF of {line_bytes} bytes, medians of {} rounds (least and most)\n",
        bytes / n,
        options.rounds
    );
    println!("                             CPU an event               × yardstick    resident    events/s");
    let base = line("serde, typed, no output", n, &yard, None);
    line("sync, bulks without gzip", n, &plain, Some(base));
    line("sync, bulks with gzip-1", n, &packed, Some(base));
    line("sync, LEEF over TCP", n, &tcp, Some(base));
    line("sync, LEEF over TLS", n, &tls, Some(base));
}

/// The cluster is away while everything is fetched, then it is back.
async fn backlog(events: usize) {
    let vendor = Vendor::start(events).await;
    let yard = vec![yardstick(&vendor.records)];
    let (cluster, server) = cluster().await;
    // A port that somebody had a moment ago, and nobody listens on.
    let away = std::net::TcpListener::bind(free()).unwrap().local_addr().unwrap();
    let place = Place::new(&vendor.server.url, &elastic(&format!("http://{away}"), "1"));
    // Ended once all is fetched: it would wait for the cluster until its time is over.
    let fetched = place.sync_until(|| served(&vendor.okta) >= events as u64).await;
    assert_eq!(cluster.created(), 0);
    place.configure(&vendor.server.url, &elastic(&server.url, "1"));
    let delivered = place.sync(&[]).await;
    assert_eq!(cluster.created(), events as u64, "not everything arrived");
    println!("{events} events, bulks with gzip-1\n");
    println!("                             CPU an event               × yardstick    resident    events/s");
    let base = line("serde, typed, no output", events, &yard, None);
    line("fetched, cluster away", events, &[fetched], Some(base));
    line("delivered from the backlog", events, &[delivered], Some(base));
}

/// Prints a row; the median CPU of an event in µs.
fn line(name: &str, n: usize, taken: &[Taken], base: Option<f64>) -> f64 {
    let us = |t: &Taken| t.cpu.as_secs_f64() * 1e6 / n as f64;
    let cpu = sorted(taken.iter().map(us));
    let (low, mid, high) = (cpu.first().unwrap(), median(&cpu), cpu.last().unwrap());
    let rate = median(&sorted(taken.iter().map(|t| n as f64 / t.wall.as_secs_f64())));
    let resident = taken.iter().map(|t| t.resident).max().unwrap();
    let resident = if resident == 0 { String::new() } else { format!("{:.1} MiB", resident as f64 / 1024.0) };
    let ratio = mid / base.unwrap_or(mid);
    println!(
        "{name:<28} {mid:>6.2} µs ({low:.2} to {high:.2})   {ratio:>10.2}   {resident:>10}   {rate:>9.0}"
    );
    mid
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap()
}

/// Reads all records, on this thread.
fn yardstick(records: &[Bytes]) -> Taken {
    // Some of these records bend the schema: whether it has a place for all others is the matter of `schemas`.
    let read = yardstick::of("okta", "system_log", &[]);
    let (before, start) = (own_cpu(), Instant::now());
    for record in records {
        read(record);
    }
    Taken { cpu: own_cpu() - before, wall: start.elapsed(), resident: 0 }
}

impl Vendor {
    async fn start(events: usize) -> Self {
        let spread = TimeDelta::hours(1);
        let plan = Generate {
            late: events / 500,
            start: Utc::now() - spread - TimeDelta::minutes(1),
            ..Generate::new(1, events, spread)
        };
        let records = generate(&plan).into_iter().map(|event| event.raw).collect();
        let okta = Okta::new(OktaConfig {
            generate: Some(plan),
            org_limit: UNLIMITED,
            principal_limit: UNLIMITED,
            gzip: false,
            ..OktaConfig::default()
        });
        let server = serve(okta.clone(), free(), None).await.unwrap();
        Self { records, okta, server }
    }
}

async fn cluster() -> (Elasticsearch, ServerHandle) {
    let cluster = Elasticsearch::new(ElasticsearchConfig::default());
    let server = serve(cluster.clone(), free(), None).await.unwrap();
    (cluster, server)
}

/// The keys of a sink into this cluster.
fn elastic(url: &str, gzip: &str) -> String {
    format!("kind = \"elasticsearch\"\nschema = \"ecs\"\nurls = [\"{url}\"]\ngzip = {gzip}\n")
}

fn ca(pki: Option<&Pki>) -> String {
    pki.map(Pki::ca_pem).unwrap_or_default()
}

impl Receiver {
    /// On a free port; with TLS where there are certificates.
    async fn start(pki: Option<&Pki>) -> Self {
        let listener = TcpListener::bind(free()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(Mutex::new(Count { lines: 0, bytes: 0, last: Instant::now() }));
        let acceptor = pki.map(|pki| pki.acceptor(false).unwrap());
        let ours = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, acceptor) = (Arc::clone(&ours), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => read(acceptor.accept(stream).await.unwrap(), &count).await,
                        None => read(stream, &count).await,
                    }
                });
            }
        });
        Self { address, count }
    }

    /// The keys of a sink to it; `ca.pem` stands beside the configuration.
    fn sink(&self, tls: bool) -> String {
        let how = if tls { "transport = \"tls\"\nca = \"DIR/ca.pem\"\n" } else { "" };
        format!("kind = \"qradar\"\naddress = \"{}\"\n{how}", self.address)
    }
}

async fn read(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: &Mutex<Count>) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let lines = buffer.iter().take(length).filter(|byte| **byte == b'\n').count();
        let mut count = count.lock().unwrap();
        count.lines += lines;
        count.bytes += length;
        count.last = Instant::now();
    }
    let _ended = stream.shutdown().await;
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn served(okta: &Okta) -> u64 {
    okta.totals(Utc::now()).get("served").and_then(serde_json::Value::as_u64).unwrap()
}

/// The mean length of some documents.
fn document_bytes(cluster: &Elasticsearch) -> usize {
    let ids: Vec<String> = cluster.delivered().into_iter().take(1_000).map(|d| d.id).collect();
    let bytes: usize =
        ids.iter().flat_map(|id| cluster.documents(id)).map(|stored| stored.source.len()).sum();
    bytes / ids.len()
}

impl Place {
    /// `DIR` in the keys of the sink stands for the place.
    fn new(okta: &str, sink: &str) -> Self {
        let parent = std::env::var_os("TIDEGATE_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let place = Self { dir: tempfile::tempdir_in(parent).unwrap() };
        std::fs::write(place.dir.path().join("token"), "simulated-token").unwrap();
        place.configure(okta, sink);
        place
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("pipeline.toml")
    }

    fn configure(&self, okta: &str, sink: &str) {
        let text = format!(
            "[journal]\ndir = \"DIR/journal\"\n\n[sink.siem]\n{sink}\n[tenant.acme.source.okta]\nconnector = \"okta\"\n\
             url = \"{okta}\"\nauth = {{ token = \"file:DIR/token\" }}\nstart = \"30d\"\n",
        );
        std::fs::write(self.file(), text.replace("DIR", &self.dir.path().display().to_string())).unwrap();
    }

    /// A whole `sync`, which must succeed.
    async fn sync(&self, more: &[&str]) -> Taken {
        let (file, more) = (self.file(), more.iter().map(ToString::to_string).collect());
        tokio::task::spawn_blocking(move || measured(&file, more, None::<fn() -> bool>)).await.unwrap()
    }

    /// A `sync` that is killed a little after `done`.
    async fn sync_until(&self, done: impl Fn() -> bool + Send + Sync) -> Taken {
        let file = self.file();
        tokio::task::block_in_place(|| measured(&file, Vec::new(), Some(done)))
    }
}

fn measured(file: &Path, more: Vec<String>, until: Option<impl Fn() -> bool>) -> Taken {
    let (before, start) = (children_cpu(), Instant::now());
    let program = std::env::var_os("TIDEGATE_BENCH_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_tidegate")), PathBuf::from);
    let mut child = Command::new(program)
        .args(["--config"])
        .arg(file)
        .args(["sync", "--max-duration", PATIENCE])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(if until.is_some() { Stdio::null() } else { Stdio::inherit() })
        .spawn()
        .unwrap();
    let mut resident = 0;
    let mut done_at = None;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        resident = resident.max(peak(child.id()));
        if until.as_ref().is_some_and(|done| done()) {
            let at = *done_at.get_or_insert_with(Instant::now);
            if at.elapsed() > Duration::from_secs(2) {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success() || done_at.is_some(), "{status}");
    let wall = done_at.map_or_else(|| start.elapsed(), |at| at.duration_since(start));
    Taken { cpu: children_cpu() - before, wall, resident }
}

/// The highest resident memory so far, KiB. The kernel keeps it, so looking now and then misses only the last moment.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time of children that have ended, as the kernel counts it: hundredths of a second.
fn children_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = text.rsplit_once(')').unwrap();
    let ticks: u64 = rest.split_whitespace().skip(13).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// CPU time of this thread.
fn own_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
