//! Duo, end to end: its stand-in, the connector, the journal and the delivery. `D1` and so on are the numbers of known
//! traps of this vendor; those that concern a single answer are tested beside the connector.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

#[path = "duo/bad_input.rs"]
mod bad_input;
#[path = "duo/limits.rs"]
mod limits;
#[path = "duo/outages.rs"]
mod outages;
#[path = "duo/rights.rs"]
mod rights;
#[path = "duo/sockets.rs"]
mod sockets;
#[path = "duo/v1.rs"]
mod v1;
#[path = "duo/week.rs"]
mod week;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use common::{Town, answering, assert_all_arrived, base};
use std::collections::HashMap;
use std::time::Duration;
use tidegate_core::journal::{Grade, Interval, Reader};
use tidegate_simulator::duo::{Duo, DuoConfig, Generate};
use tidegate_simulator::elasticsearch::ElasticsearchConfig;
use tidegate_simulator::{Known, RandomFaults, Version};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const HOST: &str = "api-1a2b3c4d.example.com";
const IKEY: &str = "DISIMULATED000000001";
const SKEY: &str = "simulated-secret-key-of-forty-characters";
const ALL: [&str; 6] =
    ["authentication", "activity", "telephony", "trust_monitor", "administrator", "offline_enrollment"];
const ON: [&str; 3] = ["authentication", "activity", "telephony"];

/// A source of the account: `keys` in its table, tables behind.
fn source(keys: &str) -> String {
    format!(
        "[tenant.acme.source.duo]\nconnector = \"duo\"\nurl = \"https://{HOST}\"\n\
         auth = {{ integration_key = \"{IKEY}\", secret_key = \"file:DIR/key\" }}\n{keys}\n"
    )
}

/// A town with this account and the sink that keeps originals.
fn town(duo: &Duo, keys: &str) -> Town {
    with_elastic(duo, ElasticsearchConfig::default(), keys)
}

fn with_elastic(duo: &Duo, elastic: ElasticsearchConfig, keys: &str) -> Town {
    Town::new(&[(HOST, answering(duo))], elastic, &[("key", SKEY)], "original = true", &source(keys))
}

/// The account with so many records of each of these streams, from [`base`] on. None of them changes.
fn account(streams: &[&str], records: usize, spread: TimeDelta) -> DuoConfig {
    from(streams, records, base(), spread)
}

fn from(streams: &[&str], records: usize, start: DateTime<Utc>, spread: TimeDelta) -> DuoConfig {
    let plan = |stream: &&str| Generate { mutated: 0.0, ..Generate::new(stream, 11, records, start, spread) };
    DuoConfig { generate: streams.iter().map(plan).collect(), ..DuoConfig::default() }
}

fn faults(seed: u64, rate: f64) -> Option<RandomFaults> {
    Some(RandomFaults { seed, rate, kinds: Vec::new(), path: String::new() })
}

/// A record that is visible as soon as Duo shows it.
fn record(duo: &Duo, stream: &str, at: DateTime<Utc>, value: &serde_json::Value) {
    let raw = Bytes::from(value.to_string());
    duo.add_record(stream, at, vec![Version { visible_at: at, raw }]);
}

fn everything_arrived(duo: &Duo, town: &Town) {
    all_arrived(duo.known(), town);
}

/// Every record arrived once, or the index refused its types and it is kept once as a dead letter.
fn all_arrived(mut known: Vec<Known>, town: &Town) {
    let dead = dead(town);
    let mut refused: HashMap<String, usize> = HashMap::new();
    for known in &mut known {
        let last = known.versions.last().map(|version| version.raw.clone());
        known.versions.retain(|version| {
            let raw = String::from_utf8(version.raw.to_vec()).unwrap();
            let delivered = !dead.contains_key(&raw);
            *refused.entry(raw).or_default() += usize::from(!delivered);
            delivered
        });
        if known.versions.last().map(|version| version.raw.clone()) != last {
            // Of what came before the refused version nothing need have been seen.
            known.versions.iter_mut().for_each(|version| version.visible_at = DateTime::<Utc>::MAX_UTC);
        }
    }
    known.retain(|known| !known.versions.is_empty());
    for (raw, times) in &dead {
        assert_eq!(refused.get(raw), Some(times), "{raw}");
    }
    assert_all_arrived(&known, &town.elastic, town.clock.now() - TimeDelta::minutes(20));
}

/// How often each record is a dead letter because the index knows one of its fields by another type.
fn dead(town: &Town) -> HashMap<String, usize> {
    let reader = Reader::open(town.journal()).unwrap();
    let (mut out, mut after) = (HashMap::new(), 0);
    loop {
        let letters = reader.dead(after, 1_000, false).unwrap();
        let Some(last) = letters.last() else { return out };
        after = last.id;
        for letter in letters {
            assert_eq!(letter.kind, "rejected", "{letter:?}");
            *out.entry(String::from_utf8(letter.copy.to_vec()).unwrap()).or_default() += 1;
        }
    }
}

/// The ledger's rows of a stream.
fn rows(town: &Town, stream: &str) -> Vec<Interval> {
    town.state().coverage.into_iter().filter(|row| row.source == "duo" && row.stream == stream).collect()
}

fn holes(town: &Town) -> Vec<Interval> {
    town.state().coverage.into_iter().filter(|row| row.grade == Grade::Hole).collect()
}

fn causes(town: &Town) -> Vec<String> {
    holes(town).into_iter().filter_map(|hole| hole.cause).collect()
}

type Span = (DateTime<Utc>, DateTime<Utc>);

/// Every moment of `whole` has a row and none is a hole; every moment of `settled` is settled.
fn assert_covered(town: &Town, stream: &str, whole: Span, settled: Span) {
    let rows = rows(town, stream);
    let (mut at, mut proven) = (whole.0, settled.0);
    for row in &rows {
        assert_ne!(row.grade, Grade::Hole, "{stream}: {row:?}");
        if row.from <= at {
            at = at.max(row.to);
        }
        if row.from <= proven && row.grade == Grade::Settled {
            proven = proven.max(row.to);
        }
    }
    assert!(at >= whole.1, "{stream}: nothing is said of {at}: {rows:#?}");
    assert!(proven >= settled.1, "{stream}: settled up to {proven}, not {}: {rows:#?}", settled.1);
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Requests for a log: when, and what was asked.
fn asked(duo: &Duo, stream: &str) -> Vec<(DateTime<Utc>, String, u16)> {
    let path = match stream {
        "trust_monitor" => "/admin/v1/trust_monitor/events?".to_owned(),
        "administrator" | "offline_enrollment" => format!("/admin/v1/logs/{stream}?"),
        _ => format!("/admin/v2/logs/{stream}?"),
    };
    let ours = duo.requests().into_iter().filter(|request| request.path.starts_with(&path));
    ours.map(|request| (request.at, request.path, request.status)).collect()
}

/// A parameter of a request that is a time in milliseconds.
fn time_of(path: &str, name: &str) -> Option<DateTime<Utc>> {
    let query = path.split_once('?')?.1;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let number: i64 = value.parse().ok()?;
    if value.len() > 12 {
        DateTime::from_timestamp_millis(number)
    } else {
        DateTime::from_timestamp(number, 0)
    }
}

/// What became of each record at the sink: the record, and when it was delivered (event.ingested).
fn deliveries(duo: &Duo, town: &Town) -> Vec<(Known, DateTime<Utc>)> {
    let mut at: HashMap<String, DateTime<Utc>> = HashMap::new();
    for delivered in town.elastic.delivered() {
        for stored in town.elastic.documents(&delivered.id) {
            let document: serde_json::Value = serde_json::from_slice(&stored.source).unwrap();
            let original = document["event"]["original"].as_str().unwrap().to_owned();
            let ingested = document["event"]["ingested"].as_str().unwrap();
            at.insert(original, DateTime::parse_from_rfc3339(ingested).unwrap().to_utc());
        }
    }
    let when = |known: &Known| at.get(std::str::from_utf8(&known.versions[0].raw).unwrap()).copied();
    duo.known().into_iter().filter_map(|known| when(&known).map(|when| (known, when))).collect()
}
