//! What a record of each stream costs on its way to a document of each schema: time, throughput, allocations.
//!
//! The yardstick is how fast serde reads Okta's records into one borrowed struct with every member, without writing
//! anything; records of other streams are measured against the time that it would take for as many bytes. All schemas of a
//! stream and the yardstick take turns within one run, so that a busy machine slows all alike.
//! `cargo bench --bench schemas [-- STREAM]`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, Utc};
use records::records;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks, Schema};
use tidegate_core::source::{Connector, Stream};

#[path = "../tests/common/records.rs"]
mod records;
#[path = "../connectors/benches/yardstick.rs"]
mod yardstick;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: usize = 64;
const ROUNDS: usize = 300;

/// One stream's records.
struct Case {
    connector: &'static dyn Connector,
    stream: &'static Stream,
    records: Vec<Vec<u8>>,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

/// Documents of all records; their bytes.
fn render(case: &Case, schema: &dyn Schema, context: &Context<'_>, tape: &mut Tape, out: &mut Vec<u8>) {
    out.clear();
    for record in &case.records {
        let root = tape.cut(black_box(record)).unwrap();
        case.connector
            .normalize(case.stream, root, &mut |event| {
                schema.render(&event, context, out).unwrap();
            })
            .unwrap();
    }
    black_box(&out);
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let yard = records("okta", "system_log", RECORDS);
    let yard_bytes: usize = yard.iter().map(Vec::len).sum();
    println!(
        "{:44} {:>7} {:>9} {:>7} {:>7} {:>8}",
        "stream, schema", "bytes", "ns/event", "MB/s", "ratio", "allocs"
    );
    let mut worst = (0.0_f64, String::new());
    for connector in tidegate_connectors::ALL {
        for stream in connector.streams() {
            let name = format!("{}/{}", connector.name(), stream.name);
            if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            let records = records(connector.name(), stream.name, RECORDS);
            if records.is_empty() {
                continue;
            }
            let case = Case { connector: *connector, stream, records };
            measure(&case, &name, &yard, yard_bytes, &mut worst);
        }
    }
    println!("dearest: {} at {:.2} of what is allowed", worst.1, worst.0);
}

fn measure(case: &Case, name: &str, yard: &[Vec<u8>], yard_bytes: usize, worst: &mut (f64, String)) {
    let now = start();
    let context = Context {
        tenant: "acme",
        organisation: Some("11111111-1111-4111-8111-111111111111"),
        namespace: "acme",
        names: case.stream.names,
        fetched: now,
        ingested: now,
        id: Some("id"),
        original: false,
        as_sent: false,
        marks: Marks::default(),
    };
    let (mut tape, mut out) = (Tape::new(), Vec::with_capacity(4 << 20));
    let schemas = schema::ALL;
    let mut times = vec![Vec::with_capacity(ROUNDS); schemas.len()];
    let mut serde = Vec::with_capacity(ROUNDS);
    let mut allocations = vec![0; schemas.len()];
    for round in 0..ROUNDS + 20 {
        let began = Instant::now();
        yard.iter().for_each(|record| yardstick::read(record));
        let lap = began.elapsed();
        if round >= 20 {
            serde.push(lap);
        }
        for (nth, schema) in schemas.iter().enumerate() {
            let region = Region::new(ALLOCATOR);
            let began = Instant::now();
            render(case, *schema, &context, &mut tape, &mut out);
            let lap = began.elapsed();
            if round >= 20 {
                times[nth].push(lap);
                let change = region.change();
                allocations[nth] = change.allocations + change.reallocations;
            }
        }
    }
    let bytes: usize = case.records.iter().map(Vec::len).sum();
    let count = case.records.len() as f64;
    let yardstick = median(serde) / yard_bytes as f64 * bytes as f64 / count;
    for (nth, schema) in schemas.iter().enumerate() {
        let each = median(std::mem::take(&mut times[nth])) / count;
        println!(
            "{:44} {:>7} {each:>9.0} {:>7.0} {:>7.2} {:>8.2}",
            format!("{name}, {}", schema.name()),
            bytes / case.records.len(),
            bytes as f64 / count / each * 1000.0,
            each / yardstick,
            allocations[nth] as f64 / count,
        );
        // A stream may cost 1.5 times the yardstick, or 2 µs.
        let allowed = each / (yardstick * 1.5).max(2000.0);
        if allowed > worst.0 {
            *worst = (allowed, format!("{name}, {}", schema.name()));
        }
    }
}
