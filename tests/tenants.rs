//! One tenant's trouble never slows another's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
#[path = "common/duo.rs"]
mod duo;

use common::{Stage, json, text};
use duo::{DuoRig, generated};
use std::sync::Arc;
use std::time::Duration;
use tidegate::cli::run;
use tidegate::serve::metrics;
use tidegate_simulator::duo::DuoConfig;
use tidegate_simulator::{Fault, RandomFaults, SimulateOptions};

fn options(events: usize, seed: u64) -> SimulateOptions {
    SimulateOptions { events, seed, late: 3, org_limit: 60_000, ..SimulateOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sink_a_revoked_token_and_a_burst_change_nothing_for_the_fourth() {
    let stage = Stage::new(options(400, 1)).await;
    let (dead_sink, revoked, burst) = (
        Stage::new(options(200, 2)).await,
        Stage::new(options(200, 3)).await,
        Stage::new(options(20_000, 4)).await,
    );
    dead_sink.simulation.elasticsearch.set_random_faults(Some(RandomFaults {
        seed: 1,
        rate: 1.0,
        kinds: vec![Fault::Unavailable],
        path: String::new(),
    }));
    revoked.simulation.okta.revoke(common::TOKEN);
    let dir = stage.dir.path().display().to_string();
    let tenant = |name: &str, url: &str, elastic: &str| {
        format!(
            "\n[tenant.{name}.source.okta]\nconnector = \"okta\"\nurl = \"{url}\"\nstart = \"30d\"\n\
             auth = {{ token = \"file:{dir}/token\" }}\n[tenant.{name}.sink.elastic]\nurls = [\"{elastic}\"]\n"
        )
    };
    stage.configure(
        &[
            tenant("deadsink", &dead_sink.simulation.okta_url, &dead_sink.simulation.elasticsearch_url),
            tenant("revoked", &revoked.simulation.okta_url, &revoked.simulation.elasticsearch_url),
            tenant("burst", &burst.simulation.okta_url, &burst.simulation.elasticsearch_url),
        ]
        .concat(),
    );
    let output = stage.tidegate(&["sync", "--json", "--max-duration", "25s"]).await;
    let summary = json(&output);
    assert_eq!(stage.books().missing, Vec::<String>::new(), "{}", text(&output));
    assert_eq!((stage.books().doubled, stage.books().conflicts), (0, 0));
    assert_eq!(dead_sink.simulation.elasticsearch.created(), 0);
    assert!(burst.simulation.elasticsearch.created() > 0);
    let failed: Vec<&str> =
        summary["failed"].as_array().unwrap().iter().filter_map(|f| f["source"].as_str()).collect();
    assert!(failed.contains(&"deadsink/elastic") && failed.contains(&"revoked/okta"), "{summary}");
    assert!(!failed.iter().any(|source| source.starts_with("acme")), "{summary}");
    // Nothing was lost for the others either.
    dead_sink.simulation.elasticsearch.set_random_faults(None);
    let output =
        stage.tidegate(&["sync", "--json", "--max-duration", "60s", "--tenant", "deadsink,burst"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(dead_sink.books().missing, Vec::<String>::new());
    assert_eq!(burst.books().missing, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_a_reload_took_away_is_gone_from_the_metrics() {
    let generate = vec![generated("activity", 50, 1)];
    let rig = DuoRig::new(DuoConfig { generate, ..DuoConfig::default() }, "streams = [\"activity\"]");
    let file = rig.dir.path().join("pipeline.toml");
    let one = std::fs::read_to_string(&file).unwrap();
    let (_, source) = one.split_once("[tenant.acme").unwrap();
    std::fs::write(&file, format!("{one}\n[tenant.globex{source}")).unwrap();
    let both = rig.world.load(&file).unwrap();
    std::fs::write(&file, one).unwrap();

    let (world, again) = (rig.world.clone(), rig.world.clone());
    let running =
        tokio::spawn(async move { run::run(&world, Arc::new(both), move || again.load(&file)).await });
    let seen = async || {
        let said = metrics(&rig.world.boards).await;
        ["acme", "globex"].map(|tenant| said.contains(&format!("{{tenant=\"{tenant}\"")))
    };
    let until = async |wanted: [bool; 2]| {
        for _ in 0..600 {
            if seen().await == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it is {:?}", seen().await);
    };
    until([true, true]).await;
    rig.world.reload.notify_one();
    until([true, false]).await;
    running.abort();
}
