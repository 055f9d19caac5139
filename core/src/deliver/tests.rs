//! The whole loop between a real journal and a played destination, on the paused clock.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod backlog;
mod letters;
mod model;
mod parking;
mod trouble;

use super::{Deliverer, GiveUp, Renderer, Start, vendor};
use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::journal::{
    Change, FileJournal, Handle, Key, Lane, NewPage, NewRecord, OpenOptions, Outcome, PageId, Span, State,
};
use crate::sink::{Batch, DeliverError, Delivery, Guarantee, Limits, Meta, Render, Sink};
use crate::source::{Findings, NormalizeError};
use crate::stop::{Phase, Signal};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

const MINUTE: Duration = Duration::from_secs(60);

/// Sources beside the one that most tests use.
const SOURCES: usize = 200;

fn source(n: usize) -> String {
    format!("acme_{n}")
}

/// When every test begins.
fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_272_000, 0).unwrap()
}

/// What the destination says to documents, by id and how often it was asked before.
type Says = dyn Fn(&[String]) -> Result<Delivery, DeliverError> + Send + Sync;

/// A destination that remembers what it took and when, in the order of its answers. It does not recognise repeats.
struct Target {
    limits: Limits,
    pause: Duration,
    clock: Clock,
    says: Mutex<Arc<Says>>,
    taken: Mutex<Vec<(String, DateTime<Utc>)>>,
    /// What becomes of a document in its frame.
    shape: fn(&mut Vec<u8>, usize),
    /// Every request's ids.
    asked: Mutex<Vec<Vec<String>>>,
    /// Answers come in another order than requests.
    uneven: bool,
    /// Every request's bytes.
    bytes: Mutex<Vec<usize>>,
    /// Documents that it holds right now, and the most that it ever held.
    held: Mutex<(usize, usize)>,
}

impl Target {
    /// Takes batches of `count`, so many at a time.
    fn new(clock: &Clock, count: usize, in_flight: usize) -> Self {
        Self {
            limits: Limits { bytes: 1 << 20, count, age: Duration::ZERO, in_flight },
            pause: Duration::from_millis(10),
            clock: clock.clone(),
            says: Mutex::new(Arc::new(|_: &[String]| Ok(Delivery::default()))),
            taken: Mutex::default(),
            shape: |_, _| {},
            asked: Mutex::default(),
            uneven: false,
            bytes: Mutex::default(),
            held: Mutex::default(),
        }
    }

    fn say(&self, says: impl Fn(&[String]) -> Result<Delivery, DeliverError> + Send + Sync + 'static) {
        *self.says.lock().unwrap() = Arc::new(says);
    }

    /// Takes everything.
    fn mend(&self) {
        self.say(|_| Ok(Delivery::default()));
    }

    /// Faults documents whose id begins so; the rest goes in.
    fn bar(&self, prefix: &'static str) {
        self.say(move |ids| {
            let barred = ids.iter().enumerate().filter(|(_, id)| id.starts_with(prefix));
            Ok(Delivery {
                fault: barred.map(|(n, _)| (n, no_index(prefix))).collect(),
                ..Delivery::default()
            })
        });
    }

    fn ids(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// How often each document came.
    fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for id in self.ids() {
            *times.entry(id).or_default() += 1;
        }
        times
    }

    fn when(&self, id: &str) -> DateTime<Utc> {
        let taken = self.taken.lock().unwrap();
        taken.iter().find(|(taken, _)| taken == id).unwrap_or_else(|| panic!("{id} did not come")).1
    }

    fn count(&self, prefix: &str) -> usize {
        self.ids().iter().filter(|id| id.starts_with(prefix)).count()
    }
}

fn no_index(what: &str) -> Fault {
    Fault::new(FaultKind::Configuration, format!("no index for {what}")).remedy("make the index")
}

#[async_trait::async_trait]
impl Sink for Target {
    fn default_schema(&self) -> Option<&'static str> {
        None
    }
    fn deterministic(&self) -> bool {
        false
    }
    fn guarantee(&self) -> Guarantee {
        crate::testkit::sink::no_guarantee()
    }
    fn limits(&self) -> Limits {
        self.limits
    }
    fn frame(&self, buf: &mut Vec<u8>, _: &Meta, document: &mut Render<'_>) -> Result<(), NormalizeError> {
        let from = buf.len();
        document(buf)?;
        (self.shape)(buf, from);
        Ok(())
    }
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        let ids: Vec<String> = batch.documents.iter().map(|(_, meta)| meta.id.clone()).collect();
        {
            let mut held = self.held.lock().unwrap();
            held.0 += ids.len();
            held.1 = held.1.max(held.0);
        }
        self.asked.lock().unwrap().push(ids.clone());
        self.bytes.lock().unwrap().push(batch.body.len());
        let last = ids.last().and_then(|id| id.bytes().last()).filter(|_| self.uneven);
        tokio::time::sleep(self.pause * (1 + last.map_or(0, |byte| u32::from(byte % 5)))).await;
        self.held.lock().unwrap().0 -= ids.len();
        let says = Arc::clone(&self.says.lock().unwrap());
        let mut answer = says(&ids)?;
        let named = |n: &usize| {
            [&answer.retry, &answer.rejected, &answer.fault]
                .iter()
                .any(|list| list.iter().any(|(at, _)| at == n))
        };
        let now = self.clock.now();
        let taken: Vec<(String, DateTime<Utc>)> =
            (0..ids.len()).filter(|n| !named(n)).map(|n| (ids[n].clone(), now)).collect();
        answer.delivered = taken.len();
        self.taken.lock().unwrap().extend(taken);
        Ok(answer)
    }
    async fn check(&self) -> Findings {
        Findings::default()
    }
}

/// One tenant's journal, and loops on it.
struct Bench {
    dir: TempDir,
    journal: Handle,
    clock: Clock,
    board: Board,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let clock = Clock::starting_at(base());
        let journal = open(dir.path(), OpenOptions::new("test", base()));
        Self { journal, dir, clock, board: Board::default() }
    }

    fn target(&self, count: usize, in_flight: usize) -> Target {
        Target::new(&self.clock, count, in_flight)
    }

    /// A page of a stream; its records are named by the stream and numbers.
    fn page(&self, lane: Lane, stream: &str, numbers: std::ops::Range<usize>) -> Change {
        self.page_of("acme", lane, stream, numbers)
    }

    /// The same of another source; its records are still named by the stream and numbers.
    fn page_of(&self, source: &str, lane: Lane, stream: &str, numbers: std::ops::Range<usize>) -> Change {
        let records = numbers.map(|n| {
            let id = format!("{stream}-{n:05}");
            let key = Key { hour: 0, id: Key::of_content(id.as_bytes()), meaning: 1 };
            NewRecord { bytes: Bytes::from(format!("\"{id}\"")), key, occurrence: 0, late: false }
        });
        Change::Page(NewPage {
            source: source.to_owned(),
            stream: stream.to_owned(),
            lane,
            at: self.clock.now(),
            records: records.collect(),
            reread: false,
            immutable: true,
        })
    }

    async fn append(&self, lane: Lane, stream: &str, numbers: std::ops::Range<usize>) -> PageId {
        let page = self.page(lane, stream, numbers);
        match self.journal.commit(vec![page]).await.unwrap()[..] {
            [Outcome::Appended(appended)] => appended.page.unwrap(),
            _ => panic!("a page"),
        }
    }

    fn deliverer(&self, key: &str, sink: &Arc<Target>, signal: &Signal) -> Deliverer {
        let sources = std::iter::once("acme".to_owned()).chain((0..SOURCES).map(source));
        Deliverer {
            key: key.to_owned(),
            sink: Arc::clone(sink) as Arc<dyn Sink>,
            renderer: Arc::new(Renderer {
                tenant: "northwind".into(),
                schema: crate::schema::by_name("raw").unwrap(),
                routes: sources.map(|source| (source, vendor::route(|_| true))).collect(),
                original: false,
                as_sent: true,
                namespace: "default".to_owned(),
                geoip: None,
            }),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            board: self.board.clone(),
            start: Start::Kept,
            give_up: GiveUp::default(),
            stop: signal.watch(),
            bell: Arc::default(),
        }
    }

    /// Delivers until told otherwise.
    fn run(&self, key: &str, sink: &Arc<Target>) -> (Signal, JoinHandle<()>) {
        let signal = Signal::default();
        let deliverer = self.deliverer(key, sink, &signal);
        (signal, tokio::spawn(async move { deliverer.run().await.unwrap() }))
    }

    /// Delivers all that there is.
    async fn drain(&self, sink: &Arc<Target>) {
        let (signal, running) = self.run("siem", sink);
        signal.go(Phase::Drain);
        tokio::time::timeout(60 * MINUTE, running).await.expect("it ends").unwrap();
    }

    async fn state(&self) -> State {
        self.journal.load().await.unwrap()
    }

    /// The sink's ranges that are not those that follow a lane and leave nothing out.
    async fn odd(&self) -> Vec<Span> {
        let spans = self.state().await.spans;
        spans.into_iter().filter(|span| !span.follows() || !span.except.is_empty()).collect()
    }

    async fn lacks(&self) -> u64 {
        self.journal.kept(self.state().await.spans).await.unwrap()
    }
}

fn open(dir: &std::path::Path, options: OpenOptions) -> Handle {
    Handle::new(Arc::new(FileJournal::open(dir.join("northwind"), options).unwrap()))
}

async fn end((signal, running): (Signal, JoinHandle<()>)) {
    signal.go(Phase::Stop);
    running.await.unwrap();
}
