//! Exit codes and summaries of `sync`, each with the situation that it stands for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{Stage, command, json, text};
use std::time::Duration;
use tidegate_simulator::okta::{Token, TokenState};
use tidegate_simulator::{Fault, RandomFaults, ScriptedFault, SimulateOptions};

async fn stage() -> Stage {
    Stage::new(SimulateOptions { events: 300, late: 2, org_limit: 60_000, ..SimulateOptions::default() })
        .await
}

fn always(kind: Fault) -> Option<RandomFaults> {
    Some(RandomFaults { seed: 1, rate: 1.0, kinds: vec![kind], path: String::new() })
}

async fn sync(stage: &Stage, more: &[&str]) -> std::process::Output {
    let arguments: Vec<&str> = ["sync", "--json"].into_iter().chain(more.iter().copied()).collect();
    stage.tidegate(&arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_is_0_and_the_summary_has_its_shape() {
    let stage = stage().await;
    let report = stage.dir.path().join("report.json");
    let output = sync(&stage, &["--report", report.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let summary = json(&output);
    assert_eq!(summary["result"], "complete");
    assert_eq!(summary["exit"], 0);
    assert_eq!(summary["tenants"], serde_json::json!({ "ok": 1, "failed": 0, "skipped": 0 }));
    assert_eq!(summary["fetched"], 300);
    assert_eq!(summary["delivered"], serde_json::json!({ "elastic": 300 }));
    for key in ["duplicates", "dead", "backlog", "oldest_undelivered_s"] {
        assert_eq!(summary[key], 0, "{key}");
    }
    assert_eq!(summary["failed"], serde_json::json!([]));
    let stream = &summary["streams"][0];
    assert_eq!((&stream["stream"], &stream["fetched"]), (&"acme/okta/system_log".into(), &300.into()));
    assert!(stream["read_to"].is_string() && stream["caught_up"] == true, "{stream}");
    assert!(text(&output).contains("Z  300  new records\ncomplete: 300 new records"), "{}", text(&output));
    assert!(summary["run"].is_string() && summary["seconds"].is_number());
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(written, summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_credential_of_two_sources_is_10_and_of_all_is_21() {
    let stage = stage().await;
    let other = Stage::new(SimulateOptions { events: 10, late: 0, ..SimulateOptions::default() }).await;
    let dir = stage.dir.path().display();
    std::fs::write(stage.dir.path().join("other"), "wrong-token").unwrap();
    stage.configure(&format!(
        "\n[tenant.globex.source.okta]\nconnector = \"okta\"\nurl = \"{}\"\nauth = {{ token = \"file:{dir}/other\" }}\n",
        other.simulation.okta_url
    ));
    let output = sync(&stage, &["--max-duration", "20s"]).await;
    assert_eq!(output.status.code(), Some(10), "{}", text(&output));
    let summary = json(&output);
    let failed = &summary["failed"][0];
    assert_eq!(
        (failed["source"].as_str(), failed["kind"].as_str()),
        (Some("globex/okta"), Some("credential"))
    );
    assert!(failed["since"].is_string() && failed["data_at_risk_from"].is_string(), "{failed}");
    let said = text(&output);
    assert!(said.contains("globex/okta  REFUSED  401 E0000011 (request"), "{said}");
    assert!(said.contains(&format!("{dir}/other")), "the remedy names the file: {said}");
    assert!(!said.contains("wrong-token"), "{said}");
    let only = sync(&stage, &["--tenant", "globex"]).await;
    assert_eq!(only.status.code(), Some(21), "{}", text(&only));
    let forgiven = sync(&stage, &["--tenant", "globex", "--fail-on", "20,50,70"]).await;
    assert_eq!(forgiven.status.code(), Some(0), "{}", text(&forgiven));
    assert_eq!(json(&forgiven)["exit"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_vendor_ends_with_the_budget_and_12() {
    let stage = stage().await;
    stage.simulation.okta.set_random_faults(always(Fault::Unavailable));
    let output = sync(&stage, &["--max-duration", "2s"]).await;
    assert_eq!(output.status.code(), Some(12), "{}", text(&output));
    assert_eq!(json(&output)["result"], "budget");
    stage.simulation.okta.set_random_faults(None);
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_never_answers_cannot_make_sync_hang() {
    let stage = stage().await;
    stage.simulation.okta.push_fault(ScriptedFault {
        path: "logs".to_owned(),
        after: 0,
        times: 0,
        fault: Fault::Delay { ms: 600_000 },
    });
    let began = std::time::Instant::now();
    let output = sync(&stage, &["--max-duration", "1s"]).await;
    assert_eq!(output.status.code(), Some(12), "{}", text(&output));
    assert!(began.elapsed() < Duration::from_secs(60));
    let stream = &json(&output)["streams"][0];
    assert_eq!((&stream["pages"], &stream["read_to"]), (&0.into(), &serde_json::Value::Null), "{stream}");
    let said = text(&output);
    assert!(said.contains("acme/okta/system_log  never read  0  new records  NOTHING CAME"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sinks_down_is_40_and_everything_is_kept() {
    let stage = stage().await;
    stage.simulation.elasticsearch.set_random_faults(always(Fault::Unavailable));
    let output = sync(&stage, &["--max-duration", "3s"]).await;
    assert_eq!(output.status.code(), Some(40), "{}", text(&output));
    let summary = json(&output);
    assert_eq!(
        (summary["fetched"].as_u64(), summary["backlog"].as_u64()),
        (Some(300), Some(300)),
        "{summary}"
    );
    let status = stage.tidegate(&["status"]).await;
    let said = text(&status);
    assert!(
        said.contains("lacks 300 records") && said.contains("\n     FAILING since ") && said.contains("503"),
        "{said}"
    );
    let trouble = json(&stage.tidegate(&["status", "--json"]).await)["acme"]["sinks"][0]["trouble"].clone();
    assert!(trouble["halted"] == false && trouble["since"].is_string(), "{trouble}");
    stage.simulation.elasticsearch.set_random_faults(None);
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(json(&output)["delivered"]["elastic"], 300);
    assert_eq!(stage.books().doubled, 0);
    let status = json(&stage.tidegate(&["status", "--json"]).await);
    assert_eq!(status["acme"]["sinks"][0]["trouble"], serde_json::Value::Null, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_were_to_be_sent_again_and_did_not_go_in_are_10() {
    use tidegate_simulator::elasticsearch::ItemRule;
    let stage = stage().await;
    let elasticsearch = &stage.simulation.elasticsearch;
    let id = stage.simulation.okta.events()[7].id.clone();
    elasticsearch.push_item_rule(ItemRule::ids(&[&id], 400));
    assert_eq!(sync(&stage, &[]).await.status.code(), Some(0), "a new dead letter is a verdict");
    let retry = async || {
        let retry = stage.tidegate(&["dead-letters", "retry", "acme", "--all"]).await;
        assert!(retry.status.success(), "{}", text(&retry));
    };
    let partial = async |what: &str| {
        let output = sync(&stage, &[]).await;
        assert_eq!(output.status.code(), Some(10), "{}", text(&output));
        let message = json(&output)["failed"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(what), "{what} is missing: {message}");
        assert!(text(&output).contains("Fix: "), "{}", text(&output));
    };
    retry().await;
    partial("1 dead letter, sent again, refused once more").await;
    assert_eq!(sync(&stage, &[]).await.status.code(), Some(0), "it has its verdict, and nobody asked again");
    // Barred, it waits, and each run says so.
    elasticsearch.clear_faults();
    elasticsearch.push_item_rule(ItemRule::ids(&[&id], 403));
    retry().await;
    for _ in 0..2 {
        partial("dead letters that are to be sent again: ").await;
    }
    elasticsearch.clear_faults();
    // So does one whose stream, or whose sink, is not in the configuration.
    let whole = std::fs::read_to_string(&stage.file).unwrap();
    let elsewhere = whole.replace("batch_count", "streams = [\"*\", \"!okta\"]\nbatch_count");
    std::fs::write(&stage.file, elsewhere).unwrap();
    partial("1 of a source or stream that does not come here any more").await;
    std::fs::write(&stage.file, whole.replace("[sink.elastic]", "[sink.another]")).unwrap();
    partial("1 dead letter to be sent again, and the sink is not in the configuration").await;
    let said = text(&sync(&stage, &["--log-level", "warn"]).await);
    assert_eq!(said.matches("this sink is not in the configuration").count(), 1, "once a sink: {said}");
    std::fs::write(&stage.file, whole).unwrap();
    assert_eq!(sync(&stage, &[]).await.status.code(), Some(0));
    assert_eq!(stage.books().missing, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_used_up_is_30() {
    let stage = stage().await;
    stage.simulation.okta.push_fault(ScriptedFault {
        path: "logs".to_owned(),
        after: 0,
        times: 0,
        fault: Fault::RateLimited { reset_s: 50, retry_after_s: None, duplicate_reset: false },
    });
    // Long enough for the first answer, however busy the machine is.
    let output = sync(&stage, &["--max-duration", "8s"]).await;
    assert_eq!(output.status.code(), Some(30), "{}", text(&output));
    let since = json(&output)["failed"][0]["since"].as_str().unwrap().to_owned();
    assert!(
        !since.starts_with("1970"),
        "a source that never had a page is not in trouble since the epoch: {since}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_configuration_is_20() {
    let stage = stage().await;
    std::fs::write(&stage.file, "[journal]\ndirr = \"x\"\n").unwrap();
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(20), "{}", text(&output));
    assert!(text(&output).contains("dirr"), "{}", text(&output));
}

/// A file that does not load, and one whose sink does not open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_json_is_one_object_of_a_wrong_configuration_too() {
    let stage = stage().await;
    let whole = std::fs::read_to_string(&stage.file).unwrap();
    for (wrong, named) in [("nosuch", "nosuch"), ("gzip = 11\nnosuch", "nosuch"), ("gzip = 11 #", "gzip")] {
        let wrong = whole.replace("batch_count", &format!("{wrong} = 1\nbatch_count"));
        std::fs::write(&stage.file, wrong).unwrap();
        let output = stage.tidegate(&["check", "--json"]).await;
        assert_eq!(output.status.code(), Some(20), "{}", text(&output));
        let object = json(&output);
        assert_eq!((&object["ok"], &object["exit"]), (&false.into(), &20.into()), "{object}");
        let fault = object["checked"][0]["faults"][0].as_str().unwrap();
        assert!(fault.contains(named) && fault.contains("sink elastic"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_organisation_under_the_same_key_is_refused_with_20_until_it_is_said() {
    let stage = stage().await;
    assert_eq!(sync(&stage, &[]).await.status.code(), Some(0));
    let text_of = std::fs::read_to_string(&stage.file).unwrap();
    std::fs::write(
        &stage.file,
        text_of.replace(&stage.simulation.okta_url, "https://other.okta.example.com"),
    )
    .unwrap();
    let output = sync(&stage, &["--max-duration", "2s"]).await;
    assert_eq!(output.status.code(), Some(20), "{}", text(&output));
    assert!(text(&output).contains("tidegate source reset acme okta"), "{}", text(&output));
    // Said, it is taken: a new chain begins, and what was delivered is not delivered again.
    let moved =
        Stage::new(SimulateOptions { events: 300, late: 2, org_limit: 60_000, ..SimulateOptions::default() })
            .await;
    std::fs::write(&stage.file, text_of.replace(&stage.simulation.okta_url, &moved.simulation.okta_url))
        .unwrap();
    let reset = stage.tidegate(&["source", "reset", "acme", "okta"]).await;
    assert!(reset.status.success(), "{}", text(&reset));
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_a_file_is_50() {
    let stage = stage().await;
    std::fs::write(stage.dir.path().join("journal"), "not a directory").unwrap();
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(50), "{}", text(&output));
    assert_eq!(std::fs::read_to_string(stage.dir.path().join("journal")).unwrap(), "not a directory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_overlapping_runs_one_works_and_the_other_says_who() {
    let stage = stage().await;
    let mut running =
        tokio::process::Command::from(stage.command(&["run"])).kill_on_drop(true).spawn().unwrap();
    wait_for_delivery(&stage, 300).await;
    let second = sync(&stage, &[]).await;
    assert_eq!(second.status.code(), Some(0), "{}", text(&second));
    assert_eq!(json(&second)["tenants"]["skipped"], 1);
    assert!(
        text(&second).contains(&format!("`tidegate run` (pid {})", running.id().unwrap())),
        "{}",
        text(&second)
    );
    let refused = stage.tidegate(&["run"]).await;
    assert_eq!(refused.status.code(), Some(50), "{}", text(&refused));
    terminate(&mut running).await;
}

async fn wait_for_delivery(stage: &Stage, count: u64) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while stage.simulation.elasticsearch.created() < count {
        assert!(std::time::Instant::now() < deadline, "only {}", stage.simulation.elasticsearch.created());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn terminate(child: &mut tokio::process::Child) -> Option<i32> {
    let pid = child.id().unwrap();
    std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(40), child.wait()).await.unwrap().unwrap();
    ended.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_ends_cleanly_on_sigterm_and_the_next_one_goes_on() {
    let stage = stage().await;
    let mut running =
        tokio::process::Command::from(stage.command(&["run"])).kill_on_drop(true).spawn().unwrap();
    wait_for_delivery(&stage, 300).await;
    assert_eq!(terminate(&mut running).await, Some(0));
    let output = sync(&stage, &[]).await;
    assert_eq!(
        (json(&output)["fetched"].as_u64(), stage.books().conflicts),
        (Some(0), 0),
        "{}",
        text(&output)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_commands_beside_a_running_run_take_effect() {
    let stage = Stage::new(SimulateOptions {
        events: 200,
        late: 0,
        spread: chrono::TimeDelta::days(50),
        ..SimulateOptions::default()
    })
    .await;
    let text_of = std::fs::read_to_string(&stage.file).unwrap();
    std::fs::write(&stage.file, text_of.replace("start = \"30d\"", "start = \"5d\"")).unwrap();
    let mut running =
        tokio::process::Command::from(stage.command(&["run"])).kill_on_drop(true).spawn().unwrap();
    wait_for_delivery(&stage, 5).await;
    let began = std::time::Instant::now();
    let asked = stage.tidegate(&["backfill", "acme", "--from", "80d"]).await;
    assert!(asked.status.success(), "{}", text(&asked));
    assert!(text(&asked).contains("tidegate run"), "{}", text(&asked));
    assert!(began.elapsed() < Duration::from_secs(5));
    wait_for_delivery(&stage, 200).await;
    let status = stage.tidegate(&["status", "--json"]).await;
    assert_eq!(json(&status)["acme"]["holder"]["verb"], "run", "{}", text(&status));
    let renamed = stage.tidegate(&["sinks", "rename", "acme", "elastic", "siem"]).await;
    assert_eq!(renamed.status.code(), Some(50), "a held tenant is not renamed: {}", text(&renamed));
    terminate(&mut running).await;
    let renamed = stage.tidegate(&["sinks", "rename", "acme", "elastic", "siem"]).await;
    assert!(renamed.status.success(), "{}", text(&renamed));
    let text_of = std::fs::read_to_string(&stage.file).unwrap();
    std::fs::write(&stage.file, text_of.replace("[sink.elastic]", "[sink.siem]")).unwrap();
    let output = sync(&stage, &[]).await;
    assert_eq!(json(&output)["delivered"]["siem"], 0, "nothing is sent twice: {}", text(&output));
    let coverage = stage.tidegate(&["coverage"]).await;
    assert!(text(&coverage).contains("okta/system_log  chain  100 %"), "{}", text(&coverage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_kept_listed_sent_again_and_dropped() {
    let stage = stage().await;
    let id = stage.simulation.okta.events()[7].id.clone();
    stage
        .simulation
        .elasticsearch
        .push_item_rule(tidegate_simulator::elasticsearch::ItemRule::ids(&[&id], 400));
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(
        (json(&output)["dead"].as_u64(), json(&output)["delivered"]["elastic"].as_u64()),
        (Some(1), Some(299))
    );
    let list = stage.tidegate(&["dead-letters", "list", "acme", "--json"]).await;
    let letter = json(&list);
    assert_eq!((letter["sink"].as_str(), letter["kind"].as_str()), (Some("elastic"), Some("rejected")));
    let of_all = stage.tidegate(&["dead-letters", "list", "--json"]).await;
    assert_eq!((&json(&of_all), letter["tenant"].as_str()), (&letter, Some("acme")), "{}", text(&of_all));
    let number = letter["id"].to_string();
    let show = stage.tidegate(&["dead-letters", "show", "acme", &number]).await;
    assert!(text(&show).contains(&id), "{}", text(&show));
    stage.simulation.elasticsearch.clear_faults();
    let retry = stage.tidegate(&["dead-letters", "retry", "acme", &number]).await;
    assert!(retry.status.success(), "{}", text(&retry));
    let output = sync(&stage, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(stage.books().missing, Vec::<String>::new());
    let list = stage.tidegate(&["dead-letters", "list", "acme"]).await;
    assert!(text(&list).contains("no dead letters"), "{}", text(&list));
    let forget = stage.tidegate(&["sinks", "forget", "acme", "elastic"]).await;
    assert!(forget.status.success(), "{}", text(&forget));
    let none = stage.tidegate(&["sinks", "forget", "acme", "elastic"]).await;
    assert!(text(&none).contains("knows no sink \"elastic\"; it knows none"), "{}", text(&none));
    let nothing = command(&stage.file, &["dead-letters", "drop", "acme"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_dead_letters_is_sent_again_and_one_that_has_no_way_any_more_stays() {
    let stage = stage().await;
    let events = stage.simulation.okta.events();
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let refuse = tidegate_simulator::elasticsearch::ItemRule::ids(&ids, 400);
    stage.simulation.elasticsearch.push_item_rule(refuse);
    let output = sync(&stage, &[]).await;
    assert_eq!(json(&output)["dead"], 300, "{}", text(&output));
    stage.simulation.elasticsearch.clear_faults();
    assert!(stage.tidegate(&["dead-letters", "retry", "acme", "--all"]).await.status.success());
    let whole = std::fs::read_to_string(&stage.file).unwrap();
    let elsewhere = whole.replace("batch_count", "streams = [\"*\", \"!okta\"]\nbatch_count");
    std::fs::write(&stage.file, elsewhere).unwrap();
    assert_eq!(json(&sync(&stage, &[]).await)["delivered"]["elastic"], 0);
    std::fs::write(&stage.file, whole).unwrap();
    let output = sync(&stage, &[]).await;
    assert_eq!(json(&output)["delivered"]["elastic"], 300, "{}", text(&output));
    assert_eq!((stage.books().missing, stage.books().conflicts), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_died_of_disuse_is_explained() {
    let stage = stage().await;
    assert_eq!(sync(&stage, &[]).await.status.code(), Some(0));
    stage.simulation.okta.revoke(common::TOKEN);
    stage.simulation.okta.add_token(Token { state: TokenState::Unused, ..Token::new("older") });
    let output = stage.tidegate(&["sync", "--max-duration", "20s"]).await;
    assert_eq!(output.status.code(), Some(21), "{}", text(&output));
    let said = text(&output);
    for part in ["REFUSED", "E0000011", "Nothing lost yet", "Fix:", "re-read within 60 s"] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_is_one_object_and_names_what_fails_by_its_code() {
    let stage = stage().await;
    stage.configure("\n[tenant.globex.source.okta]\nconnector = \"okta\"\nurl = \"http://127.0.0.1:1\"\noff = \"moved\"\nauth = { token = \"env:PATH\" }\n");
    let output = stage.tidegate(&["check", "--online", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = json(&output);
    assert_eq!((&said["ok"], &said["exit"]), (&true.into(), &0.into()), "{said}");
    let names: Vec<&str> =
        said["checked"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    assert_eq!(names, ["acme/okta", "acme/elastic", "globex/elastic", "globex/okta"]);
    assert_eq!(said["checked"][3]["off"], "moved");
    let lines = said["checked"][0]["lines"].to_string();
    assert!(lines.contains("clock"), "{lines}");
    let stream = &said["checked"][0]["streams"][0];
    assert_eq!((&stream["stream"], &stream["ok"]), (&"system_log".into(), &true.into()), "{said}");
    assert!(said["checked"][0]["quotas"][0]["left"].is_number(), "{said}");

    std::fs::write(stage.dir.path().join("token"), "wrong-token").unwrap();
    let output = stage.tidegate(&["check", "--online"]).await;
    assert_eq!(output.status.code(), Some(21), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("acme/okta  FAILS") && said.matches("Fix: ").count() == 1, "{said}");
    assert!(!said.contains("wrong-token"), "{said}");

    let nowhere = stage.simulation.elasticsearch_url.as_str();
    let file = std::fs::read_to_string(&stage.file).unwrap().replace(nowhere, "http://127.0.0.1:1");
    std::fs::write(&stage.file, file).unwrap();
    let output = stage.tidegate(&["check", "--online"]).await;
    assert_eq!(output.status.code(), Some(21), "a refused credential comes before a sink: {}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_how_much_of_the_quota_is_used_and_by_whom() {
    let stage = stage().await;
    stage.simulation.okta.push_fault(ScriptedFault {
        path: "logs".to_owned(),
        after: 1,
        times: 0,
        fault: Fault::RateLimited { reset_s: 50, retry_after_s: None, duplicate_reset: false },
    });
    stage.configure("limit = 100\n");
    sync(&stage, &["--max-duration", "3s"]).await;
    let said = text(&stage.tidegate(&["status"]).await);
    let waiting = said.split("waiting ").nth(1).unwrap_or_else(|| panic!("{said}"));
    assert!(waiting.contains(" used, 2 ours"), "{said}");
    let status = json(&stage.tidegate(&["status", "--json"]).await);
    assert!(status["acme"]["works"][0]["quota"].as_str().unwrap().starts_with("waiting "), "{status}");
}

#[test]
fn assets_are_printed_without_a_configuration() {
    let output = command(std::path::Path::new("/nowhere.toml"), &["assets", "print", "elasticsearch"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("index_patterns"), "{}", text(&output));
}
