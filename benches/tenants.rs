//! What hundreds of quiet tenants cost: memory, CPU a poll, commits, wake-ups of the real `tidegate run`.
//!
//! Each tenant has the default streams of all four connectors, and no vendor has a record. The stand-ins run in this
//! process, over TLS; only the program's own process is measured, by what the kernel counts for it. Okta and Duo have an
//! address for each tenant (a port here), Graph, Google and the cluster one for all of them, as in the world outside. A
//! poll is a request to a log that was answered with a page; requests for tokens are not counted, what they cost is.
//!
//! `cargo bench --bench tenants -- [--tenants N[,N…]] [--seconds N]`, by default 50 and then 500 tenants, 150 s each: some
//! seven minutes. With `TIDEGATE_BENCH_STRICT=1` it ends with 1 where the largest number of tenants is over a limit.
//! Journals are made in `$TIDEGATE_BENCH_DIR`, or beside the build: a file system in memory would tell nothing about syncs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::panic,
    reason = "a bench prints figures, and stops where it cannot go on"
)]
#![allow(missing_docs, reason = "not a library")]

use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidegate_simulator::duo::{self, Duo, DuoConfig, Integration};
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::entra::{self, App, Credential, Entra, EntraConfig, Tenant};
use tidegate_simulator::google::{self, Admin, Google, GoogleConfig, ServiceAccount};
use tidegate_simulator::okta::{Okta, OktaConfig};
use tidegate_simulator::{Answer, Handler, Notices, ServerHandle, Tls, serve};

/// Resident memory of 500 tenants, KiB.
const MEMORY: u64 = 300 * 1024;
/// CPU a poll, with its share of commits and of everything else, in microseconds.
const CPU: f64 = 500.0;
/// The limits are those of this many tenants.
const TENANTS: usize = 500;

/// Streams of each connector that are on by default.
const STREAMS: [(&str, u64); 4] = [("okta", 1), ("entra", 4), ("duo", 3), ("google", 7)];
/// How often each stream is asked.
const POLL: Duration = Duration::from_secs(60);
/// After this long not every stream has been read: something hangs.
const PATIENCE: Duration = Duration::from_secs(150);
/// A tenth of a second is enough to see a peak.
const LOOK: Duration = Duration::from_millis(100);

const SECRET: &str = "simulated-secret-key-of-forty-characters";
const SERVICE_ACCOUNT_KEY: &str = include_str!("../simulator/tests/keys/example_rsa.pem");

struct Options {
    tenants: Vec<usize>,
    span: Duration,
}

/// What the stand-ins answered.
#[derive(Default)]
struct Asked {
    polls: AtomicU64,
    tokens: AtomicU64,
    /// Anything but a page or a token: there must be none.
    odd: AtomicU64,
}

/// A stand-in whose answers are counted.
#[derive(Clone)]
struct Counted<H> {
    inner: H,
    asked: Arc<Asked>,
}

impl<H: Handler> Handler for Counted<H> {
    fn handle(&self, request: &http::Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let answer = self.inner.handle(request, now);
        let counter = match answer.status.is_success() {
            false => &self.asked.odd,
            // Google has a log of this name too.
            true if matches!(request.uri().path(), "/token")
                || request.uri().path().ends_with("/v2.0/token") =>
            {
                &self.asked.tokens
            }
            true => &self.asked.polls,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    fn set_base_url(&self, url: &str) {
        self.inner.set_base_url(url);
    }

    fn notices(&self) -> &Notices {
        self.inner.notices()
    }
}

/// What stands still or only grows, read at one moment.
#[derive(Clone, Copy, Default)]
struct Reading {
    cpu: Duration,
    polls: u64,
    tokens: u64,
    odd: u64,
    commits: u64,
    switches: u64,
}

/// What a number of tenants took.
struct Taken {
    tenants: usize,
    seconds: f64,
    /// Between two moments.
    spent: Reading,
    /// KiB: the most that was seen meanwhile, the most ever.
    resident: u64,
    peak: u64,
    threads: usize,
    files: usize,
    sockets: usize,
}

fn main() -> ExitCode {
    let options = options();
    let most = options.tenants.iter().copied().max().unwrap_or_default();
    files_for(most);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let taken: Vec<Taken> =
        options.tenants.iter().map(|tenants| runtime.block_on(run(*tenants, options.span))).collect();
    table(&taken);
    let over = taken.iter().filter(|t| t.tenants == TENANTS).any(Taken::is_over);
    if over && std::env::var("TIDEGATE_BENCH_STRICT").is_ok_and(|value| value == "1") {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn options() -> Options {
    let mut options = Options { tenants: vec![TENANTS / 10, TENANTS], span: Duration::from_secs(150) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut numbers = || -> Vec<usize> {
            let text = arguments.next().unwrap_or_default();
            let numbers: Result<_, _> = text.split(',').map(str::parse).collect();
            numbers.unwrap_or_else(|_| panic!("{argument} takes a number"))
        };
        match argument.as_str() {
            "--tenants" => options.tenants = numbers(),
            "--seconds" => options.span = Duration::from_secs(numbers()[..].first().copied().unwrap() as u64),
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is unknown; there are --tenants and --seconds"),
        }
    }
    options
}

/// This process has a listener for each address of a tenant, and the other end of every connection: where it may not open
/// that many files, it starts itself again with all that it may.
fn files_for(tenants: usize) {
    let (soft, hard) = file_limits("self");
    let needed = 1_000 + 16 * tenants as u64;
    if soft >= needed || std::env::var_os("TIDEGATE_BENCH_FILES").is_some() {
        return;
    }
    println!("open files: {soft} allowed, {hard} at most; raised for this process");
    let me = std::env::current_exe().unwrap();
    let error = Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""])
        .arg(me)
        .args(std::env::args_os().skip(1))
        .env("TIDEGATE_BENCH_FILES", soft.to_string())
        .exec();
    panic!("{error}");
}

/// Allowed, and allowed at most.
fn file_limits(process: &str) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|n| n.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Starts everything, waits until every stream has been read, measures.
async fn run(tenants: usize, span: Duration) -> Taken {
    let world = World::start(tenants).await;
    let mut program = Program::start(&world);
    let begun = Instant::now();
    while !world.all_read() {
        assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} not every stream has been read");
        program.alive();
        tokio::time::sleep(LOOK).await;
    }
    println!("{tenants} tenants: every stream read after {:.0} s", begun.elapsed().as_secs_f64());
    // The first interval of each stream is shortened by a hash, so that they spread: the next is a usual one.
    tokio::time::sleep(POLL).await;
    let (start, before) = (Instant::now(), world.read(&program));
    let mut resident = 0;
    while start.elapsed() < span {
        resident = resident.max(program.status("VmRSS:"));
        program.alive();
        tokio::time::sleep(LOOK).await;
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), world.read(&program));
    world.assert_well();
    let sockets = program.entries("fd").filter(|link| is_socket(link)).count();
    let taken = Taken {
        tenants,
        seconds,
        spent: after - before,
        resident,
        peak: program.status("VmHWM:"),
        threads: program.entries("task").count(),
        files: program.entries("fd").count(),
        sockets,
    };
    println!("{tenants} tenants: measured for {seconds:.0} s");
    taken
}

fn is_socket(link: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
}

/// The other side, the configuration, the journals.
struct World {
    dir: TempDir,
    listen: SocketAddr,
    tenants: usize,
    asked: Arc<Asked>,
    _servers: Vec<ServerHandle>,
}

impl World {
    async fn start(tenants: usize) -> Self {
        let parent = std::env::var_os("TIDEGATE_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let dir = tempfile::tempdir_in(parent).unwrap();
        let asked = Arc::new(Asked::default());
        // One authority for all: a bundle of many would be memory of its own.
        let tls = Tls::self_made().unwrap();
        std::fs::write(dir.path().join("ca.pem"), tls.ca_pem()).unwrap();
        let mut servers = Vec::new();
        let mut put = async |n: usize, handler: Standin| {
            let mut urls = Vec::new();
            for _ in 0..n {
                let server = handler.serve(&asked, tls.clone()).await;
                urls.push(server.url.clone());
                servers.push(server);
            }
            urls
        };
        let okta = put(tenants, Standin::Okta(okta())).await;
        let duo = put(tenants, Standin::Duo(duo(tenants))).await;
        let entra = put(1, Standin::Entra(entra(tenants))).await.remove(0);
        let google = put(1, Standin::Google(google(tenants))).await.remove(0);
        let cluster =
            put(1, Standin::Cluster(Elasticsearch::new(ElasticsearchConfig::default()))).await.remove(0);
        // A port that somebody had a moment ago.
        let listen = TcpListener::bind(free()).unwrap().local_addr().unwrap();
        let world = Self { dir, listen, tenants, asked, _servers: servers };
        world.configure(&okta, &duo, &entra, &google, &cluster);
        world
    }

    fn configure(&self, okta: &[String], duo: &[String], entra: &str, google: &str, cluster: &str) {
        let dir = self.dir.path().display();
        let write = |name: &str, text: &str| std::fs::write(self.dir.path().join(name), text).unwrap();
        write("token", "simulated-token");
        write("secret", SECRET);
        let key = serde_json::json!({
            "type": "service_account",
            "client_email": ServiceAccount::example().email,
            "private_key_id": "example-key",
            "private_key": SERVICE_ACCOUNT_KEY,
            "token_uri": format!("{google}/token"),
        });
        write("google.json", &key.to_string());
        let mut text = format!(
            "listen = \"{}\"\n[journal]\ndir = \"{dir}/journal\"\n[http]\nca_file = \"{dir}/ca.pem\"\n\
             [defaults.source]\nstart = \"10m\"\npoll = \"{}s\"\n\
             [sink.elastic]\nkind = \"elasticsearch\"\nschema = \"ecs\"\nurls = [\"{cluster}\"]\nnamespace = \"{{tenant}}\"\n",
            self.listen,
            POLL.as_secs(),
        );
        for (n, (okta, duo)) in okta.iter().zip(duo).enumerate() {
            let source = |key: &str, connector: &str| {
                format!("[tenant.t{n}.source.{key}]\nconnector = \"{connector}\"\n")
            };
            let (okta_head, entra_head) = (source("okta", "okta"), source("entra", "entra"));
            let (duo_head, google_head) = (source("duo", "duo"), source("google", "google_workspace"));
            write!(
                text,
                "{okta_head}url = \"{okta}\"\nauth = {{ token = \"file:{dir}/token\" }}\n\
                 {entra_head}url = \"{entra}\"\nlogin_url = \"{entra}\"\ndirectory = \"{directory}\"\n\
                 auth = {{ client_id = \"{app}\", client_secret = \"file:{dir}/secret\" }}\n\
                 {duo_head}url = \"{duo}\"\nauth = {{ integration_key = \"{ikey}\", secret_key = \"file:{dir}/secret\" }}\n\
                 {google_head}url = \"{google}\"\nalerts_url = \"{google}\"\n\
                 auth = {{ service_account = \"file:{dir}/google.json\", subject = \"{admin}\" }}\n",
                directory = directory(n),
                app = app(n),
                ikey = integration(n),
                admin = admin(n),
            )
            .unwrap();
        }
        write("pipeline.toml", &text);
    }

    /// The program's own metrics.
    fn metrics(&self) -> String {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.listen) {
            let request = "GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut text));
        }
        text
    }

    /// The values of a metric, with the source that each is of (and its stream, as it stands there).
    fn metric<'t>(text: &'t str, name: &str) -> Vec<(&'t str, f64)> {
        let line = |line: &'t str| {
            let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
            let source = labels.split("source=\"").nth(1)?.trim_end_matches('"');
            Some((source, value.trim().parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// Whether every source has had as many pages as it has streams.
    fn all_read(&self) -> bool {
        let streams: u64 = STREAMS.iter().map(|(_, streams)| streams).sum();
        if self.asked.polls.load(Ordering::Relaxed) < streams * self.tenants as u64 {
            return false;
        }
        let text = self.metrics();
        let pages = Self::metric(&text, "tidegate_source_pages_total");
        let enough = |(key, pages): &(&str, f64)| {
            STREAMS.iter().any(|(source, streams)| source == key && *pages >= *streams as f64)
        };
        pages.len() == STREAMS.len() * self.tenants && pages.iter().all(enough)
    }

    /// A program that does not collect costs little: every source has read up to now, and none is in trouble.
    fn assert_well(&self) {
        let text = self.metrics();
        let failing = Self::metric(&text, "tidegate_source_failing");
        assert!(failing.iter().all(|(_, failing)| *failing == 0.0), "sources are failing");
        let covered = Self::metric(&text, "tidegate_source_covered_to_seconds");
        assert_eq!(covered.len(), STREAMS.len() * self.tenants, "not every source says how far it has read");
        // Two minutes behind the vendor's clock, and a poll.
        let least = Utc::now().timestamp() as f64 - 125.0 - 2.0 * POLL.as_secs_f64();
        assert!(covered.iter().all(|(_, to)| *to >= least), "sources are behind");
        // A source says how far the stream has come that it read last: the others are looked at one by one.
        let streams: u64 = STREAMS.iter().map(|(_, streams)| streams).sum();
        let covered = Self::metric(&text, "tidegate_stream_covered_to_seconds");
        assert_eq!(covered.len() as u64, streams * self.tenants as u64, "not every stream was read");
        // Duo's limit lets a log be asked every second poll.
        let least = least - POLL.as_secs_f64();
        assert!(covered.iter().all(|(_, to)| *to >= least), "streams are behind");
        assert_eq!(Self::metric(&text, "tidegate_stream_fault").len(), 0, "streams are failing");
        let odd = self.asked.odd.load(Ordering::Relaxed);
        assert_eq!(odd, 0, "answers were neither a page nor a token");
    }

    fn read(&self, program: &Program) -> Reading {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            cpu: program.cpu(),
            polls: of(&self.asked.polls),
            tokens: of(&self.asked.tokens),
            odd: of(&self.asked.odd),
            commits: (0..self.tenants).map(|n| self.commits(n)).sum(),
            switches: program.switches(),
        }
    }

    /// Transactions of a tenant's journal: SQLite counts them in the header of its index of the write-ahead log
    /// (`iChange`, sqlite.org/walformat.html).
    fn commits(&self, tenant: usize) -> u64 {
        let path = self.dir.path().join(format!("journal/t{tenant}/state.db-shm"));
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.get(8..12).map_or(0, |n| u64::from(u32::from_ne_bytes(n.try_into().unwrap())))
    }
}

/// What is served.
enum Standin {
    Okta(Okta),
    Duo(Duo),
    Entra(Entra),
    Google(Google),
    Cluster(Elasticsearch),
}

impl Standin {
    async fn serve(&self, asked: &Arc<Asked>, tls: Tls) -> ServerHandle {
        async fn counted<H: Handler>(inner: &H, asked: &Arc<Asked>, tls: Tls) -> ServerHandle {
            let counted = Counted { inner: inner.clone(), asked: Arc::clone(asked) };
            serve(counted, free(), Some(tls)).await.unwrap()
        }
        match self {
            Self::Okta(okta) => counted(okta, asked, tls).await,
            Self::Duo(duo) => counted(duo, asked, tls).await,
            Self::Entra(entra) => counted(entra, asked, tls).await,
            Self::Google(google) => counted(google, asked, tls).await,
            Self::Cluster(cluster) => serve(cluster.clone(), free(), Some(tls)).await.unwrap(),
        }
    }
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Far more than is asked: it plays all organisations, and their limits are not what is measured.
const UNLIMITED: u32 = 10_000_000;

fn okta() -> Okta {
    Okta::new(OktaConfig {
        org_limit: UNLIMITED,
        principal_limit: UNLIMITED,
        concurrency_limit: usize::MAX,
        ..OktaConfig::default()
    })
}

fn integration(tenant: usize) -> String {
    format!("DISIMULATED{tenant:09}")
}

fn duo(tenants: usize) -> Duo {
    Duo::new(DuoConfig {
        integrations: (0..tenants).map(|n| Integration::new(&integration(n), SECRET)).collect(),
        limits: duo::Limits::off(),
        ..DuoConfig::default()
    })
}

fn directory(tenant: usize) -> String {
    format!("7d1f6c52-0a8e-4f0b-9c6d-{tenant:012x}")
}

/// An app for each directory: one for all would have to stay under 122 requests in 10 s.
fn app(tenant: usize) -> String {
    format!("3f0c2a9e-5b7d-4e61-8a4f-{tenant:012x}")
}

fn entra(tenants: usize) -> Entra {
    Entra::new(EntraConfig {
        tenants: (0..tenants).map(|n| Tenant::new(&directory(n)).grant(&app(n))).collect(),
        apps: (0..tenants).map(|n| App::new(&app(n), Credential::secret(SECRET))).collect(),
        limits: entra::Limits::none(),
        ..EntraConfig::default()
    })
}

fn admin(tenant: usize) -> String {
    format!("admin@t{tenant}.example.com")
}

fn google(tenants: usize) -> Google {
    let limits = google::Limits { per_minute: UNLIMITED, alerts_per_minute: UNLIMITED, ..Default::default() };
    Google::new(GoogleConfig {
        admins: (0..tenants).map(|n| Admin::new(&admin(n))).collect(),
        limits,
        ..GoogleConfig::default()
    })
}

/// `tidegate run`.
struct Program(Child);

impl Program {
    fn start(world: &World) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("--config")
            .arg(world.dir.path().join("pipeline.toml"))
            .args(["--log-level", "warn", "run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn alive(&mut self) {
        if let Some(status) = self.0.try_wait().unwrap() {
            panic!("the program ended: {status}");
        }
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.id()))
    }

    fn entries(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        std::fs::read_dir(self.proc(name)).unwrap().flatten().map(|entry| entry.path())
    }

    /// User and system time, as the kernel counts it: hundredths of a second.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(self.proc("stat")).unwrap();
        let (_, rest) = text.rsplit_once(')').unwrap();
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// A number of a status file, such as KiB.
    fn number(path: &Path, name: &str) -> u64 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    fn status(&self, name: &str) -> u64 {
        Self::number(&self.proc("status"), name)
    }

    /// How often its threads have gone to sleep. The runtime's stay; blocking ones may end, which is seldom here.
    fn switches(&self) -> u64 {
        self.entries("task").map(|task| Self::number(&task.join("status"), "voluntary_ctxt_switches:")).sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl std::ops::Sub for Reading {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            polls: self.polls - earlier.polls,
            tokens: self.tokens - earlier.tokens,
            odd: self.odd - earlier.odd,
            commits: self.commits.saturating_sub(earlier.commits),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

impl Taken {
    /// Microseconds.
    fn cpu_a_poll(&self) -> f64 {
        self.spent.cpu.as_secs_f64() * 1e6 / self.spent.polls.max(1) as f64
    }

    fn is_over(&self) -> bool {
        self.resident > MEMORY || self.cpu_a_poll() > CPU
    }
}

/// A row for each figure, a column for each number of tenants.
fn table(taken: &[Taken]) {
    let row = |name: &str, figure: &dyn Fn(&Taken) -> String| {
        let cells: String = taken.iter().map(|t| format!("{:>12}", figure(t))).collect();
        println!("{name:<44}{cells}");
    };
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    let a_poll = |n: u64, t: &Taken| format!("{:.2}", n as f64 / t.spent.polls.max(1) as f64);
    println!();
    row("tenants", &|t| t.tenants.to_string());
    row("streams", &|t| (t.tenants as u64 * STREAMS.iter().map(|(_, n)| n).sum::<u64>()).to_string());
    row("polls a second", &|t| format!("{:.1}", t.spent.polls as f64 / t.seconds));
    row("CPU a poll, commits and all", &|t| format!("{:.3} ms", t.cpu_a_poll() / 1e3));
    row("share of one core", &|t| format!("{:.1} %", t.spent.cpu.as_secs_f64() * 100.0 / t.seconds));
    row("resident, the most while measured", &|t| mib(t.resident));
    row("resident, the most ever (start included)", &|t| mib(t.peak));
    row("resident a tenant", &|t| format!("{:.0} KiB", t.resident as f64 / t.tenants as f64));
    row("journal commits a poll", &|t| a_poll(t.spent.commits, t));
    row("wake-ups of threads a poll", &|t| a_poll(t.spent.switches, t));
    row("requests for tokens", &|t| t.spent.tokens.to_string());
    row("other answers", &|t| t.spent.odd.to_string());
    row("threads", &|t| t.threads.to_string());
    row("open files", &|t| t.files.to_string());
    row("of them sockets", &|t| t.sockets.to_string());
    println!();
    for t in taken.iter().filter(|t| t.tenants == TENANTS) {
        let verdict = |met: bool| if met { "met" } else { "OVER" };
        println!("resident: at most {}: {}", mib(MEMORY), verdict(t.resident <= MEMORY));
        println!("CPU a poll: at most {:.1} ms: {}", CPU / 1e3, verdict(t.cpu_a_poll() <= CPU));
    }
}
