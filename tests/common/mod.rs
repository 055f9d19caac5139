//! Both tiers' machinery: the stand-ins in process under a virtual clock ([`Rig`]), and the binary on real sockets
//! ([`Stage`]). One oracle: the Okta stand-in knows what existed, the Elasticsearch stand-in knows what arrived.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tidegate::config::Config;
use tidegate::pipeline::{StartError, Tenant};
use tidegate::world::World;
use tidegate_core::clock::Clock;
use tidegate_core::http::{Body, Transport, TransportError};
use tidegate_core::journal::{JournalError, Reader, State};
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::okta::{Generate, Okta, OktaConfig};
use tidegate_simulator::{Answer, BodyFault, Handler, Known, SimulateOptions, Simulation};

pub const OKTA_HOST: &str = "acme.okta.example.com";
pub const ELASTIC_HOST: &str = "es.example.com";
pub const TOKEN: &str = "simulated-token";

/// The start of every virtual test.
pub fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_272_000, 0).unwrap()
}

/// A stand-in as the world without sockets calls it.
pub type Answering = Arc<dyn Fn(&http::Request<Bytes>, DateTime<Utc>) -> Answer + Send + Sync>;

/// A stand-in behind a host's name.
pub fn answering(handler: &impl Handler) -> Answering {
    let handler = handler.clone();
    Arc::new(move |request, now| handler.handle(request, now))
}

/// Hosts of a world without sockets.
pub struct Inside {
    clock: Clock,
    hosts: BTreeMap<String, Answering>,
}

#[async_trait]
impl Transport for Inside {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let now = self.clock.now();
        let Some(answer) = self.hosts.get(&host) else {
            return Err(TransportError::Connect(format!("no such host {host}")));
        };
        play(answer(&request, now)).await
    }
}

pub async fn play(answer: Answer) -> Result<http::Response<Body>, TransportError> {
    let broken = || TransportError::Broken("connection reset by peer".to_owned());
    let body = answer.body.clone();
    let stream: Body = match answer.fault {
        None => stream::iter([Ok(body)]).boxed(),
        Some(BodyFault::DropBeforeAnswer) => return Err(broken()),
        Some(BodyFault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            stream::iter([Ok(body)]).boxed()
        }
        Some(BodyFault::CutAfter(bytes)) => {
            stream::iter([Ok(body.slice(..bytes.min(body.len()))), Err(broken())]).boxed()
        }
        Some(BodyFault::SlowBody { bytes_per_s }) => {
            let step = usize::try_from(bytes_per_s).unwrap().max(1);
            let chunks: Vec<Bytes> = body.chunks(step).map(Bytes::copy_from_slice).collect();
            stream::iter(chunks)
                .then(|chunk| async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(chunk)
                })
                .boxed()
        }
        Some(BodyFault::Endless { total }) => {
            let blanks = Bytes::from(vec![b' '; 1 << 20]);
            let count = usize::try_from(total >> 20).unwrap();
            stream::iter(std::iter::repeat_n(blanks, count).map(Ok)).boxed()
        }
    };
    let mut response = http::Response::new(stream);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// One tenant `acme` in process: whatever vendors stand behind hosts' names, journal, Elasticsearch, virtual time.
pub struct Town {
    /// Whether our templates are put into the cluster first, as `assets install` does.
    pub templates: bool,
    pub elastic: Elasticsearch,
    pub dir: TempDir,
    pub clock: Clock,
    pub world: World,
    pub config: Config,
    inside: Arc<Inside>,
}

/// A town whose only vendor is Okta.
pub struct Rig {
    pub okta: Okta,
    pub town: Town,
}

impl std::ops::Deref for Rig {
    type Target = Town;

    fn deref(&self) -> &Town {
        &self.town
    }
}

/// How both ends compare.
#[derive(Debug, PartialEq, Eq)]
pub struct Books {
    pub existed: usize,
    pub missing: Vec<String>,
    pub doubled: u64,
    pub conflicts: u64,
}

/// Events of the hour before [`base`], `late` of them late.
pub fn hour(seed: u64, events: usize, late: usize) -> Generate {
    let spread = TimeDelta::hours(1);
    Generate { late, start: base() - spread, ..Generate::new(seed, events, spread) }
}

impl Rig {
    pub fn new(okta: OktaConfig) -> Self {
        Self::with(okta, ElasticsearchConfig::default(), "")
    }

    /// `more` stands behind the source's keys: keys of the source first, then other tables.
    pub fn with(okta: OktaConfig, elastic: ElasticsearchConfig, more: &str) -> Self {
        let okta = Okta::new(okta);
        let source = format!(
            "[tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"https://{OKTA_HOST}\"\n\
             auth = {{ token = \"file:DIR/token\" }}\nstart = \"2d\"\n{more}\n",
        );
        let town = Town::new(&[(OKTA_HOST, answering(&okta))], elastic, &[("token", TOKEN)], "", &source);
        Self { okta, town: Town { templates: false, ..town } }
    }

    pub fn books(&self) -> Books {
        books(&self.okta, &self.elastic)
    }
}

impl Town {
    /// `files` are written beside the journal; `DIR` in `sources` is where. `sink` stands behind the sink's keys.
    pub fn new(
        vendors: &[(&str, Answering)],
        elastic: ElasticsearchConfig,
        files: &[(&str, &str)],
        sink: &str,
        sources: &str,
    ) -> Self {
        let elastic = Elasticsearch::new(elastic);
        let dir = in_memory();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let path = dir.path().display().to_string();
        let text = format!(
            "[journal]\ndir = \"{path}/journal\"\n\n[sink.elastic]\nkind = \"elasticsearch\"\nschema = \"ecs\"\n\
             urls = [\"https://{ELASTIC_HOST}\"]\nnamespace = \"{{tenant}}\"\nbatch_count = 100\n{sink}\n\n{}\n",
            sources.replace("DIR", &path),
        );
        let clock = Clock::starting_at(base());
        let mut hosts: BTreeMap<String, Answering> =
            vendors.iter().map(|(host, answer)| ((*host).to_owned(), Arc::clone(answer))).collect();
        hosts.insert(ELASTIC_HOST.to_owned(), answering(&elastic));
        let inside = Arc::new(Inside { clock: clock.clone(), hosts });
        let world = World::new(&[]).within(inside.clone(), clock.clone());
        // A virtual week must not be mostly signs of life.
        let mut world = world;
        world.keeper = Duration::from_secs(30);
        let path = dir.path().join("pipeline.toml");
        std::fs::write(&path, text).unwrap();
        let config = world.load(&path).unwrap();
        Self { templates: true, elastic, dir, clock, world, config, inside }
    }

    /// Puts our templates into the cluster, however often it fails.
    async fn install(&self) {
        for sink in &self.world.sinks(&self.config, "acme").unwrap() {
            let mut tries = 0;
            while let Err(fault) = sink.sink.install(false).await {
                tries += 1;
                assert!(tries < 50, "{fault}");
            }
        }
    }

    /// The next start is that of a new process: nothing is remembered but what the journal holds.
    pub fn reborn(&mut self) {
        self.world = self.world.clone().within(self.inside.clone(), self.clock.clone());
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.path().join("journal").join("acme")
    }

    /// Opens the tenant; a journal that an aborted task is still letting go of is waited for.
    pub async fn start(&self) -> Tenant {
        if self.templates && !self.journal().exists() {
            self.install().await;
        }
        for _ in 0..1_000 {
            match Tenant::start(&self.world, &self.config, "acme", "test").await {
                Ok(tenant) => return tenant,
                Err(StartError::Journal(JournalError::Held { .. })) => {
                    tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the journal is still held; is an earlier tenant still alive in this test?");
    }

    /// Catches up and delivers; whether it got there within `budget` of virtual time.
    pub async fn sync(&self, budget: Duration) -> (Tenant, bool) {
        let mut tenant = self.start().await;
        let complete = tokio::time::timeout(budget, tenant.drain()).await.is_ok();
        tenant.stop().await;
        if let Some(error) = &tenant.failed {
            panic!("{error}");
        }
        (tenant, complete)
    }

    /// Works for so long, then dies without a word.
    pub async fn run_and_kill(&self, long: Duration) {
        let tenant = self.start().await;
        tokio::time::sleep(long).await;
        drop(tenant);
    }

    /// Works for so long, then stops in good order.
    pub async fn run(&self, long: Duration) -> Tenant {
        let mut tenant = self.start().await;
        tokio::time::sleep(long).await;
        tenant.stop().await;
        if let Some(error) = &tenant.failed {
            panic!("{error}");
        }
        tenant
    }

    /// What the journal knows.
    pub fn state(&self) -> State {
        Reader::open(self.journal()).unwrap().load().unwrap()
    }
}

/// A folder in memory where the machine has one: fsync costs nothing there, and crash images are copies anyway.
pub fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Compares what a stand-in knows with what arrived, by the records' own bytes (the sink must keep `original`).
///
/// Every record whose last version was visible at `by` has arrived in that version; nothing arrived that never was; no
/// document was created twice; a version arrived once for each of its events (`events[]`, where a record has some).
pub fn assert_all_arrived(known: &[Known], elastic: &Elasticsearch, by: DateTime<Utc>) {
    let mut arrived: BTreeMap<String, u64> = BTreeMap::new();
    for delivered in elastic.delivered() {
        assert!(delivered.created <= 1, "{} was created {} times", delivered.id, delivered.created);
        for stored in elastic.documents(&delivered.id) {
            let document: serde_json::Value = serde_json::from_slice(&stored.source).unwrap();
            let original = document["event"]["original"].as_str().expect("the sink keeps originals");
            *arrived.entry(original.to_owned()).or_default() += 1;
        }
    }
    let events = |raw: &[u8]| {
        let record: serde_json::Value = serde_json::from_slice(raw).unwrap();
        record["events"].as_array().map_or(1, |events| events.len().max(1)) as u64
    };
    let mut expected: BTreeMap<String, (u64, bool, String)> = BTreeMap::new();
    for record in known {
        for (n, version) in record.versions.iter().enumerate() {
            let last = n + 1 == record.versions.len();
            let text = String::from_utf8(version.raw.to_vec()).unwrap();
            let entry =
                expected.entry(text).or_insert((0, false, format!("{} {}", record.stream, record.id)));
            entry.0 += events(&version.raw);
            entry.1 |= last && version.visible_at <= by;
        }
    }
    let mut wrong = Vec::new();
    for (raw, (times, must, name)) in &expected {
        let came = arrived.remove(raw).unwrap_or(0);
        if came != *times && (*must || came != 0) {
            wrong.push(format!("{name}: {came} documents instead of {times}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong: {:#?}",
        wrong.len(),
        expected.len(),
        &wrong[..wrong.len().min(8)]
    );
    assert!(
        arrived.is_empty(),
        "{} documents never were at the vendor: {:?}",
        arrived.len(),
        arrived.keys().next()
    );
}

pub fn books(okta: &Okta, elastic: &Elasticsearch) -> Books {
    let existed: BTreeSet<String> = okta.events().into_iter().map(|event| event.id).collect();
    let arrived = elastic.delivered();
    let there: BTreeSet<&String> = arrived.iter().filter(|d| d.created > 0).map(|d| &d.id).collect();
    let strange = there.iter().filter(|id| !existed.contains(**id)).count() as u64;
    Books {
        existed: existed.len(),
        missing: existed.iter().filter(|id| !there.contains(id)).take(5).cloned().collect(),
        doubled: arrived.iter().map(|d| d.created.saturating_sub(1)).sum::<u64>() + strange,
        conflicts: elastic.conflicts(),
    }
}

/// Asserts that everything arrived once, and not by the grace of the destination alone.
pub fn assert_exactly_once(books: &Books, at_most_conflicts: u64) {
    assert_eq!(books.missing, Vec::<String>::new(), "events are missing");
    assert_eq!(books.doubled, 0, "documents are doubled");
    assert!(
        books.conflicts <= at_most_conflicts,
        "{} documents were sent again, at most {at_most_conflicts} may be",
        books.conflicts
    );
}

/// The binary between both stand-ins on real sockets.
pub struct Stage {
    pub simulation: Simulation,
    pub dir: TempDir,
    pub file: PathBuf,
}

impl Stage {
    pub async fn new(options: SimulateOptions) -> Self {
        Self::with(options, "").await
    }

    /// `more` stands behind the source's keys.
    pub async fn with(options: SimulateOptions, more: &str) -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        let options = SimulateOptions { okta: free, elasticsearch: free, ..options };
        let simulation = tidegate_simulator::run(options).await.unwrap();
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("pipeline.toml");
        std::fs::write(dir.path().join("token"), TOKEN).unwrap();
        let stage = Self { simulation, dir, file };
        stage.configure(more);
        stage
    }

    pub fn configure(&self, more: &str) {
        let text = format!(
            "[journal]\ndir = \"{dir}/journal\"\n\n[sink.elastic]\nkind = \"elasticsearch\"\nschema = \"ecs\"\n\
             urls = [\"{elastic}\"]\nnamespace = \"{{tenant}}\"\nbatch_count = 50\n\n\
             [tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"{okta}\"\n\
             auth = {{ token = \"file:{dir}/token\" }}\nstart = \"30d\"\npoll = \"1s\"\n{more}\n",
            dir = self.dir.path().display(),
            elastic = self.simulation.elasticsearch_url,
            okta = self.simulation.okta_url,
        );
        std::fs::write(&self.file, text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        command(&self.file, arguments)
    }

    /// Runs the binary to its end without blocking the stand-ins.
    pub async fn tidegate(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    pub fn books(&self) -> Books {
        books(&self.simulation.okta, &self.simulation.elasticsearch)
    }
}

pub fn command(file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("--config").arg(file).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn text(output: &Output) -> String {
    format!(
        "exit {:?}\n{}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}
