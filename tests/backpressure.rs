//! A part of a destination that does not take its documents holds back nothing else: the real sink, the stand-in cluster, on
//! the paused clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

#[path = "common/duo.rs"]
mod rig;

use chrono::TimeDelta;
use rig::{DuoRig, generated};
use std::time::Duration;
use tidegate_core::journal::Purpose;
use tidegate_simulator::duo::DuoConfig;
use tidegate_simulator::elasticsearch::ItemRule;

const MINUTE: Duration = Duration::from_secs(60);

fn two_streams() -> DuoRig {
    let generate = ["authentication", "activity"].map(|stream| generated(stream, 250, 1));
    let duo = DuoConfig { generate: generate.to_vec(), ..DuoConfig::default() };
    DuoRig::new(duo, "start = \"2h\"\nstreams = [\"authentication\", \"activity\"]")
}

/// How many documents of this data set arrived, and whether one came twice.
fn arrived(rig: &DuoRig, dataset: &str) -> (usize, bool) {
    let delivered = rig.elastic.delivered();
    let ours: Vec<_> = delivered
        .iter()
        .filter(|d| rig.elastic.documents(&d.id).iter().any(|stored| stored.target.contains(dataset)))
        .collect();
    (ours.len(), ours.iter().any(|d| d.created > 1))
}

async fn one_part_is_refused(rule: ItemRule, says: &str) {
    let rig = two_streams();
    rig.elastic.push_item_rule(ItemRule { index: "cisco_duo.auth".to_owned(), ..rule });
    let mut tenant = rig.start().await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(arrived(&rig, "cisco_duo.auth"), (0, false));
    assert_eq!(arrived(&rig, "cisco_duo.activity"), (250, false), "existing streams go on");
    let state = tenant.board.sinks()["elastic"].clone();
    assert_eq!(state.dead, 0, "{state:?}");
    assert!(state.fault.is_none(), "{state:?}");
    let (fault, _) = &state.parked["duo/authentication"];
    assert!(fault.message.contains(says), "{fault}");
    let spans = rig.state().spans;
    assert!(spans.iter().any(|span| span.purpose == Purpose::Parked && span.reason.is_some()), "{spans:?}");
    rig.elastic.clear_faults();
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(arrived(&rig, "cisco_duo.auth"), (250, false), "after the repair all are delivered, once");
    tenant.drain().await;
    tenant.stop().await;
    assert_eq!((rig.elastic.created(), rig.elastic.conflicts()), (500, 0));
    assert!(tenant.board.sinks()["elastic"].parked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn c44_while_the_cluster_is_out_of_shards_for_a_new_stream_items_of_existing_ones_go_on() {
    let shards = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [3000]/[3000] \
                  maximum normal shards open;";
    let rule = ItemRule {
        error_type: Some("validation_exception".to_owned()),
        reason: Some(shards.to_owned()),
        ..ItemRule::all(400)
    };
    one_part_is_refused(rule, "shards").await;
}

#[tokio::test(start_paused = true)]
async fn an_index_that_answers_too_many_requests_for_ever_does_not_stall_the_others() {
    let rule = ItemRule {
        error_type: Some("es_rejected_execution_exception".to_owned()),
        reason: Some("rejected execution of coordinating operation".to_owned()),
        ..ItemRule::all(429)
    };
    one_part_is_refused(rule, "rejected").await;
}

#[tokio::test(start_paused = true)]
async fn a_sync_ends_as_partial_without_spending_its_time_on_what_is_parked() {
    let rig = two_streams();
    let closed = ItemRule {
        index: "cisco_duo.auth".to_owned(),
        error_type: Some("index_closed_exception".to_owned()),
        reason: Some("closed".to_owned()),
        ..ItemRule::all(400)
    };
    rig.elastic.push_item_rule(closed);
    let began = rig.clock.now();
    let (tenant, complete) = rig.sync(60 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sinks());
    assert!(rig.clock.now() - began < TimeDelta::minutes(30));
    assert_eq!(tenant.board.sinks()["elastic"].parked.len(), 1);
    drop(tenant);
    rig.elastic.clear_faults();
    let (tenant, complete) = rig.sync(60 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sinks());
    assert_eq!(rig.elastic.created(), 500);
}
