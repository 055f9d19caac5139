//! `tidegate replay` with the binary: gaps are filled, marked documents are new, what cannot be is refused with its reason.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{Stage, json, text};
use tidegate_simulator::SimulateOptions;

async fn delivered() -> Stage {
    let stage = Stage::new(SimulateOptions { events: 300, ..SimulateOptions::default() }).await;
    let output = stage.tidegate(&["sync", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    stage
}

async fn replay(stage: &Stage, more: &[&str]) -> std::process::Output {
    let mut arguments = vec!["replay", "--tenant", "acme", "--sink", "elastic"];
    arguments.extend(more);
    stage.tidegate(&arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mark_only_gaps_are_filled_and_with_one_every_document_is_new() {
    let stage = delivered().await;
    let elastic = &stage.simulation.elasticsearch;
    assert_eq!((elastic.created(), elastic.conflicts()), (300, 0));
    let output = replay(&stage, &["--from", "1h"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("300 live records to elastic; nobody holds the tenant now"),
        "{}",
        text(&output)
    );
    let status = json(&stage.tidegate(&["status", "--json"]).await);
    let sink = &status["acme"]["sinks"][0];
    assert_eq!((sink["backlog"].as_u64(), sink["ranges"][0]["what"].as_str()), (Some(0), Some("replay")));
    assert_eq!(sink["ranges"][0]["records"], 300);
    let shown = text(&stage.tidegate(&["status"]).await);
    assert!(shown.contains("replay (live) since ") && shown.contains("300 records left"), "{shown}");
    assert!(stage.tidegate(&["sync"]).await.status.success());
    assert_eq!((elastic.created(), elastic.conflicts()), (300, 300), "all were known");

    let output = replay(&stage, &["--from", "1h", "--mark", "fix-1", "--source", "okta"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(stage.tidegate(&["sync"]).await.status.success());
    assert_eq!(elastic.created(), 600);
    let marked: Vec<_> = elastic.delivered().into_iter().filter(|d| d.id.ends_with("-fix-1")).collect();
    assert_eq!(marked.len(), 300);
    let source = elastic.documents(&marked[0].id)[0].source.clone();
    assert!(String::from_utf8_lossy(&source).contains("tidegate_replay"));
    let status = json(&stage.tidegate(&["status", "--json"]).await);
    assert_eq!(status["acme"]["sinks"][0]["ranges"], serde_json::json!([]), "it is over");
    let journal = stage.dir.path().join("journal/acme");
    let actions = tidegate_core::journal::Reader::open(journal).unwrap().actions(50).unwrap();
    let said: Vec<_> = actions.iter().filter(|action| action.what == "replay").collect();
    assert_eq!(said.len(), 2, "{actions:?}");
    assert!(
        said[1].detail.contains("marked fix-1") && said[1].detail.contains("; by "),
        "{}",
        said[1].detail
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_replayed_is_refused_with_its_reason() {
    let stage = delivered().await;
    for (more, reason) in [
        (vec!["--from", "1h", "--mark", "No!"], "1 to 32 characters"),
        (vec!["--from", "9d", "--to", "8d"], "nothing was fetched in that time"),
        (vec!["--from", "1h", "--to", "2h"], "--to must be later"),
        (vec!["--from", "yesterday"], "is no time"),
        (vec!["--from", "1h", "--source", "duo"], "the tenant's sources are okta"),
        (vec!["--from", "1h", "--stream", "chat"], "nothing was fetched in that time"),
    ] {
        let output = replay(&stage, &more).await;
        assert_eq!(output.status.code(), Some(20), "{more:?}: {}", text(&output));
        assert!(text(&output).contains(reason), "{more:?}: {}", text(&output));
    }
    let unknown = stage.tidegate(&["replay", "--tenant", "acme", "--sink", "siem", "--from", "1h"]).await;
    assert_eq!(unknown.status.code(), Some(20));
    assert!(
        text(&unknown).contains("there is no sink \"siem\"; the tenant's sinks are elastic"),
        "{}",
        text(&unknown)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_process_delivers_a_replay_while_it_goes_on() {
    let stage = delivered().await;
    let mut running = stage.command(&["run"]).spawn().unwrap();
    let journal = stage.dir.path().join("journal/acme");
    // Asked before, the command would hold the tenant itself for a moment, and the process might find it held.
    for _ in 0..600 {
        let holder = tidegate_core::journal::Reader::open(&journal).unwrap().load().unwrap().holder;
        if holder.is_some_and(|holder| holder.verb == "run") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let output = replay(&stage, &["--from", "1h", "--mark", "now"]).await;
    assert!(text(&output).contains("delivers them now"), "{}", text(&output));
    let mut marked = 0;
    for _ in 0..300 {
        let delivered = stage.simulation.elasticsearch.delivered();
        marked = delivered.iter().filter(|d| d.id.ends_with("-now")).count();
        if marked >= 300 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let ended =
        std::process::Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
    assert!(ended.success());
    tokio::task::spawn_blocking(move || running.wait().unwrap()).await.unwrap();
    assert_eq!(marked, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_chosen_by_what_they_are_and_numbers_that_do_not_exist_are_named() {
    let stage = Stage::new(SimulateOptions { events: 300, ..SimulateOptions::default() }).await;
    let events = stage.simulation.okta.events();
    let ids: Vec<&str> = events.iter().take(40).map(|event| event.id.as_str()).collect();
    let elastic = &stage.simulation.elasticsearch;
    elastic.push_item_rule(tidegate_simulator::elasticsearch::ItemRule::ids(&ids, 400));
    assert!(stage.tidegate(&["sync"]).await.status.success());
    let list = |more: &'static [&'static str]| {
        let stage = &stage;
        async move {
            let mut arguments = vec!["dead-letters", "list", "acme"];
            arguments.extend(more);
            text(&stage.tidegate(&arguments).await)
        }
    };
    let all = list(&[]).await;
    assert_eq!(all.lines().filter(|line| line.contains("  dead letter ")).count(), 40, "{all}");
    assert!(all.contains("then tidegate dead-letters retry acme "), "{all}");
    assert!(list(&["--kind", "normalize"]).await.contains("no dead letters of that kind"));
    assert!(list(&["--since", "2100-01-01"]).await.contains("no dead letters of that kind"));
    assert_eq!(list(&["--sink", "elastic", "--source", "okta"]).await, all);

    for arguments in [vec!["retry", "acme"], vec!["drop", "acme"]] {
        let arguments = [vec!["dead-letters"], arguments].concat();
        let output = stage.tidegate(&arguments).await;
        assert_eq!(output.status.code(), Some(20), "{}", text(&output));
        assert!(text(&output).contains("which ones?"), "{}", text(&output));
    }
    let output = stage.tidegate(&["dead-letters", "retry", "acme", "1", "8812", "8813"]).await;
    assert_eq!(output.status.code(), Some(20));
    assert!(text(&output).contains("there is no dead letter 8812, 8813"), "{}", text(&output));
    let output = stage.tidegate(&["dead-letters", "show", "acme", "8812"]).await;
    assert_eq!(output.status.code(), Some(20));
    let output = stage.tidegate(&["dead-letters", "drop", "acme", "1", "2"]).await;
    assert!(text(&output).contains("2 dead letters given up"), "{}", text(&output));
    elastic.clear_faults();
    let output = stage.tidegate(&["dead-letters", "retry", "acme", "--source", "okta"]).await;
    assert!(text(&output).contains("38 dead letters to be sent again"), "{}", text(&output));
    assert!(stage.tidegate(&["sync"]).await.status.success());
    assert_eq!(elastic.created(), 298);
    let actions = tidegate_core::journal::Reader::open(stage.dir.path().join("journal/acme")).unwrap();
    let actions = actions.actions(50).unwrap();
    let detail = |what: &str| &actions.iter().find(|action| action.what == what).unwrap().detail;
    assert!(
        detail("drop").starts_with("2 dead letters (1 okta→elastic, 2 okta→elastic); by "),
        "{}",
        detail("drop")
    );
    assert!(detail("retry").starts_with("38 dead letters (3 okta→elastic, "), "{}", detail("retry"));
}
