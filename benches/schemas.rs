//! What an event of each stream costs on its way from its record to a document of each schema: time, throughput, allocations.
//!
//! The yardstick is what serde needs to read the same records into one borrowed struct with every member, without writing
//! anything (`connectors/benches/yardstick`). All schemas of a stream and its yardstick take turns, so that a busy machine slows
//! all alike; ratios count. Records are those of the stand-ins that bend no vendor's schema.
//!
//! A shared machine has slow spells, of a tenth of a second or of several. So the streams take turns too, and a turn in which
//! the yardstick shows such a spell does not count: a limit in nanoseconds is one of the program, not of its neighbours.
//!
//! `cargo bench --bench schemas [-- STREAM]` ends with what is over a limit; with `TIDEGATE_BENCH_STRICT=1` also with 1, if
//! anything is.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use records::records;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Schema};
use tidegate_core::source::{Connector, Stream};
use tidegate_core::testkit;

#[path = "../tests/common/records.rs"]
mod records;
#[path = "../connectors/benches/yardstick/mod.rs"]
mod yardstick;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: usize = 64;
/// How often each stream has its turn.
const TURNS: usize = 20;
/// Rounds in a turn that are counted.
const ROUNDS: usize = 15;
/// Rounds before them that are not: in them caches are filled and reused memory grows to its size.
const WARM: usize = 3;
/// How many times as long as in its best turn the yardstick may take in one that counts. Quiet turns differ by a few
/// hundredths, slow ones take 1.4 to 1.6 times as long.
const QUIET: f64 = 1.15;

/// How many times the yardstick an event may cost: its record's reading, or its share of that.
const MOST: f64 = 1.5;
/// The same of Okta's to ECS.
const MOST_OKTA_ECS: f64 = 1.0;
/// What any event may cost, in ns: of the smallest records the yardstick says little.
const FLOOR: f64 = 2000.0;
/// How many times an ECS document an OCSF document may cost.
const MOST_OCSF: f64 = 1.25;

/// One stream's records.
struct Case {
    connector: &'static dyn Connector,
    stream: &'static Stream,
    records: Vec<Vec<u8>>,
}

/// Documents of all records; how many they are, since a record of Google's may hold several events.
fn render(
    case: &Case,
    schema: &dyn Schema,
    context: &Context<'_>,
    tape: &mut Tape,
    out: &mut Vec<u8>,
) -> usize {
    out.clear();
    let mut events = 0;
    for record in &case.records {
        let root = tape.cut(black_box(record)).unwrap();
        case.connector
            .normalize(case.stream, root, &mut |event, _| {
                events += 1;
                schema.render(event, context, out).unwrap();
            })
            .unwrap();
    }
    black_box(&out);
    events
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!(
        "{:58} {:>5} {:>9} {:>6} {:>6} {:>6} {:>7}",
        "stream, schema", "bytes", "ns/event", "MB/s", "ratio", "/ ecs", "allocs"
    );
    let mut series = Vec::new();
    for connector in tidegate_connectors::ALL {
        for stream in connector.streams() {
            let name = format!("{}/{}", connector.name(), stream.name);
            if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            let records = records(connector.name(), stream.name, RECORDS, false);
            if !records.is_empty() {
                series.push(Series::of(Case { connector: *connector, stream, records }, name));
            }
        }
    }
    let (mut tape, mut out) = (Tape::new(), Vec::with_capacity(4 << 20));
    for _ in 0..TURNS {
        series.iter_mut().for_each(|series| series.turn(&mut tape, &mut out));
    }
    let mut over = Vec::new();
    series.into_iter().for_each(|series| series.report(&mut over));
    println!("over a limit: {}", if over.is_empty() { "nothing" } else { "" });
    over.iter().for_each(|line| println!("  {line}"));
    if !over.is_empty() && std::env::var("TIDEGATE_BENCH_STRICT").is_ok_and(|value| value == "1") {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What was measured of a stream.
struct Series {
    case: Case,
    name: String,
    read: yardstick::Read,
    turns: Vec<Turn>,
}

/// What was measured in a turn.
struct Turn {
    events: usize,
    serde: Vec<Duration>,
    /// Of each schema.
    times: Vec<Vec<Duration>>,
    /// Of each schema, the most in a round.
    allocations: Vec<usize>,
}

impl Turn {
    fn yardstick(&self) -> f64 {
        median(self.serde.clone())
    }
}

impl Series {
    fn of(case: Case, name: String) -> Self {
        let slices: Vec<&[u8]> = case.records.iter().map(Vec::as_slice).collect();
        let read = yardstick::of(case.connector.name(), case.stream.name, &slices);
        Self { case, name, read, turns: Vec::new() }
    }

    fn turn(&mut self, tape: &mut Tape, out: &mut Vec<u8>) {
        let Self { case, name: _, read, turns } = self;
        let organisation = Some("11111111-1111-4111-8111-111111111111");
        let context = Context { organisation, ..testkit::sink::context(case.stream.names) };
        let schemas = schema::ALL;
        let (times, allocations) = (vec![Vec::new(); schemas.len()], vec![0; schemas.len()]);
        let mut turn = Turn { events: 0, serde: Vec::new(), times, allocations };
        for round in 0..WARM + ROUNDS {
            let began = Instant::now();
            case.records.iter().for_each(|record| read(record));
            let lap = began.elapsed();
            if round >= WARM {
                turn.serde.push(lap);
            }
            for (nth, schema) in schemas.iter().enumerate() {
                let region = Region::new(ALLOCATOR);
                let began = Instant::now();
                turn.events = render(case, *schema, &context, tape, out);
                let lap = began.elapsed();
                let change = region.change();
                if round >= WARM {
                    turn.times[nth].push(lap);
                    turn.allocations[nth] =
                        turn.allocations[nth].max(change.allocations + change.reallocations);
                }
            }
        }
        turns.push(turn);
    }

    /// Prints it, and adds what is over a limit.
    fn report(self, over: &mut Vec<String>) {
        let Self { case, name, read: _, turns } = self;
        // In the last turn all memory that is used again has its size.
        let (events, allocations) = turns.last().map(|turn| (turn.events, turn.allocations.clone())).unwrap();
        let best = turns.iter().map(Turn::yardstick).fold(f64::INFINITY, f64::min);
        let quiet: Vec<Turn> = turns.into_iter().filter(|turn| turn.yardstick() <= best * QUIET).collect();
        let bytes: usize = case.records.iter().map(Vec::len).sum();
        let count = events as f64;
        let pooled =
            |of: &dyn Fn(&Turn) -> Vec<Duration>| median(quiet.iter().flat_map(of).collect()) / count;
        let yardstick = pooled(&|turn| turn.serde.clone());
        println!(
            "{:58} {:>5} {yardstick:>9.0} {:>6.0} {:>6.2}   in {} of {TURNS} turns",
            format!("{name}, read with serde"),
            bytes / events,
            bytes as f64 / count / yardstick * 1000.0,
            1.0,
            quiet.len(),
        );
        let schemas = schema::ALL;
        let each: Vec<f64> = (0..schemas.len()).map(|nth| pooled(&|turn| turn.times[nth].clone())).collect();
        let ecs = schemas.iter().position(|schema| schema.name() == "ecs").map(|at| each[at]).unwrap();
        for ((schema, each), allocations) in schemas.iter().zip(&each).zip(&allocations) {
            let (name, allocations) = (format!("{name}, {}", schema.name()), *allocations as f64 / count);
            let ratio = each / yardstick;
            println!(
                "{name:58} {:>5} {each:>9.0} {:>6.0} {ratio:>6.2} {:>6.2} {allocations:>7.2}",
                bytes / events,
                bytes as f64 / count / each * 1000.0,
                each / ecs,
            );
            let (most, floor) =
                if name == "okta/system_log, ecs" { (MOST_OKTA_ECS, 0.0) } else { (MOST, FLOOR) };
            if *each > (yardstick * most).max(floor) {
                over.push(format!("{name}: {ratio:.2} × the yardstick, {each:.0} ns"));
            }
            if schema.name().starts_with("ocsf") && *each > ecs * MOST_OCSF {
                over.push(format!("{name}: {:.2} × ECS", each / ecs));
            }
            if allocations > 0.0 {
                over.push(format!("{name}: {allocations:.2} allocations"));
            }
        }
    }
}
