//! Entra end to end: the stand-in of Login and Graph, the connector, the engine, a journal, Elasticsearch.
//!
//! What others fell into with these logs, and where it is proven that we do not (`collection_tests` are the connector's):
//!
//! | trap | test |
//! |---|---|
//! | windows up to "now", a look-back of minutes, rows that are late | `limits::records_arrive_within_a_poll…`, `week` |
//! | the wrong time in a filter, quoted dates, `gt` and `lt`, the first run without a filter | `collection_tests::trap_02_06_09…` |
//! | equal times at a window's edge or a page's end | `walks::c39_…` |
//! | an empty page taken for the end | `walks::empty_pages…` |
//! | order that is taken for granted | `walks::c39_equal_times_that_change_their_order…`, `collection_tests::trap_03_04_12…` |
//! | hundreds of thousands of rows without resuming, gateway timeouts | `walks::a_window_of_too_many_rows…`, `walks::c33_killed…` |
//! | v1.0, which has one kind of sign-in | `collection_tests::trap_02_06_09…`, `week` (all four kinds) |
//! | a next link without a token, answers after 300 s | `bad_input::every_bad_answer…` |
//! | skip tokens that are refused | `walks::skip_tokens_that_die_young…` |
//! | a bound older than the log | `outages::a_directory_that_keeps_a_week_only…`, `outages::what_the_vendor_forgot…` |
//! | rows equal to the bound that come back for ever | `revisions::a_detection_at_the_very_edge…` |
//! | licences that are denied now and then, permissions that lack | `access` |
//! | tokens that end inside a long walk | `walks::c33_…`, `walks::tokens_that_live_for_a_tenth…` |
//! | the deprecation link of beta | `walks::the_deprecation_link…` |
//! | several rows for one login | `walks::near_duplicates…` |

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

#[path = "entra/access.rs"]
mod access;
#[path = "entra/bad_input.rs"]
mod bad_input;
#[path = "entra/binary.rs"]
mod binary;
#[path = "entra/limits.rs"]
mod limits;
#[path = "entra/outages.rs"]
mod outages;
#[path = "entra/revisions.rs"]
mod revisions;
#[path = "entra/walks.rs"]
mod walks;
#[path = "entra/week.rs"]
mod week;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Town, answering, assert_all_arrived, base};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::collect::feed;
use tidegate_core::journal::{Change, Grade, Interval};
use tidegate_simulator::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use tidegate_simulator::entra::{
    DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, Entra, EntraConfig, Generate, Quirks,
};
use tidegate_simulator::{Known, Lateness, RequestEntry, Version};

const HOST: &str = "graph.example.com";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Every stream, and whether beta is asked for it.
const STREAMS: [(&str, bool); 8] = [
    ("sign_ins", true),
    ("sign_ins_non_interactive", true),
    ("sign_ins_service_principal", true),
    ("sign_ins_managed_identity", true),
    ("directory_audits", false),
    ("risk_detections", false),
    ("service_principal_risk_detections", false),
    ("provisioning", false),
];

fn ago(seconds: i64) -> DateTime<Utc> {
    base() - TimeDelta::seconds(seconds)
}

/// Records that are there at once and stay as they are.
fn plain(stream: &str, seed: u64, records: usize, start: DateTime<Utc>, spread: TimeDelta) -> Generate {
    Generate {
        lateness: Lateness::none(),
        mutated: 0.0,
        odd: 0.0,
        ..Generate::new(stream, seed, records, start, spread)
    }
}

fn generated(generate: Vec<Generate>) -> EntraConfig {
    EntraConfig { generate, ..EntraConfig::default() }
}

/// A source of this directory and app; `keys` are keys of the source, then other tables.
fn source(tenant: &str, key: &str, directory: &str, app: &str, keys: &str) -> String {
    format!(
        "[tenant.{tenant}.source.{key}]\nconnector = \"entra\"\ndirectory = \"{directory}\"\n\
         url = \"https://{HOST}\"\nlogin_url = \"https://{HOST}\"\n\
         auth = {{ client_id = \"{app}\", client_secret = \"file:DIR/secret\" }}\n{keys}\n"
    )
}

/// The tenant `acme` with one source `entra`. The sink keeps originals.
fn town(entra: &Entra, keys: &str) -> Town {
    town_with(
        entra,
        ElasticsearchConfig::default(),
        &source("acme", "entra", DEFAULT_TENANT, DEFAULT_APP, keys),
    )
}

fn town_with(entra: &Entra, elastic: ElasticsearchConfig, sources: &str) -> Town {
    let hosts = [(HOST, answering(entra))];
    Town::new(&hosts, elastic, &[("secret", DEFAULT_SECRET)], "original = true", sources)
}

/// Stand-in and town, whose token scope is the stand-in's own address.
fn entra(config: EntraConfig) -> Entra {
    Entra::new(EntraConfig { base_url: Some(format!("https://{HOST}")), ..config })
}

/// What there is, as each stream's version of the API sends it.
fn known(entra: &Entra) -> Vec<Known> {
    entra.known().into_iter().map(as_asked).collect()
}

fn as_asked(known: Known) -> Known {
    let beta = STREAMS.iter().any(|(name, beta)| *name == known.stream && *beta);
    if beta { known } else { Entra::in_v1(known) }
}

/// Asserts that the last version of each record that was there by now arrived, all of them once.
fn assert_arrived(entra: &Entra, town: &Town) {
    assert_all_arrived(&known(entra), &town.elastic, town.clock.now());
}

/// The original of each document: the whole document.
fn documents(elastic: &Elasticsearch) -> BTreeMap<String, Value> {
    let stored = elastic.delivered().into_iter().flat_map(|delivered| elastic.documents(&delivered.id));
    stored
        .map(|stored| {
            let document: Value = serde_json::from_slice(&stored.source).unwrap();
            (document["event"]["original"].as_str().unwrap().to_owned(), document)
        })
        .collect()
}

fn time(text: &Value) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap().to_utc()
}

/// The ledger of a stream.
fn ledger(town: &Town, stream: &str) -> Vec<Interval> {
    let mut rows = town.state().coverage;
    rows.retain(|row| row.stream == stream);
    rows.sort_by_key(|row| row.from);
    rows
}

/// Asserts that a stream's ledger has neither a hole nor a gap from `from` to `to`.
fn assert_whole(town: &Town, stream: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
    let rows = ledger(town, stream);
    assert!(rows.iter().all(|row| row.grade != Grade::Hole), "{stream}: {rows:#?}");
    assert_eq!(lacks(&rows, from, to), [], "{stream}: {rows:#?}");
}

/// What these rows lack of `[from, to)`.
fn lacks(rows: &[Interval], from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let (mut at, mut out) = (from, Vec::new());
    for row in rows {
        if row.from > at && at < to {
            out.push((at, row.from.min(to)));
        }
        at = at.max(row.to);
    }
    if at < to {
        out.push((at, to));
    }
    out
}

/// An operator's wish to read older history.
async fn ask_for(town: &Town, stream: &str, from: DateTime<Utc>) {
    let mut tenant = town.start().await;
    let work = feed::backfill("entra", stream, from, None, false);
    tenant.journal.commit(vec![Change::Work(work)]).await.unwrap();
    tenant.stop().await;
}

/// Requests for this resource, oldest first.
fn asked(entra: &Entra, resource: &str) -> Vec<RequestEntry> {
    entra.requests().into_iter().filter(|request| request.path.contains(resource)).collect()
}

/// The bounds of a request's window; none where it follows a link.
fn bounds(request: &RequestEntry) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let url = url::Url::parse(&format!("https://{HOST}{}", request.path)).unwrap();
    let pairs: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    if pairs.contains_key("$skiptoken") {
        return None;
    }
    let words: Vec<&str> = pairs.get("$filter")?.split(' ').collect();
    let after = |operator: &str| {
        let at = words.iter().position(|word| *word == operator).unwrap();
        DateTime::parse_from_rfc3339(words[at + 1]).unwrap().to_utc()
    };
    Some((after("ge"), after("le")))
}

/// Most requests in any stretch of this length.
fn most_within(requests: &[RequestEntry], span: TimeDelta) -> usize {
    let times: Vec<_> = requests.iter().map(|request| request.at).collect();
    (0..times.len())
        .map(|at| times[at..].iter().take_while(|time| **time - times[at] < span).count())
        .max()
        .unwrap_or(0)
}

fn version(visible_at: DateTime<Utc>, record: &Value) -> Version {
    Version { visible_at, raw: record.to_string().into() }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
