//! A simulated week.

use crate::common::base;
use crate::scene::{
    DAY, DEFAULT_STREAMS, HOUR, Scene, assert_settled, assert_whole, customer, dice, faults, ledger,
};
use chrono::TimeDelta;
use std::time::Duration;
use tidegate_core::journal::Grade;
use tidegate_simulator::elasticsearch::ElasticsearchConfig;
use tidegate_simulator::google::{ALERTS, APPLICATIONS, Generate, GoogleConfig};

/// Records of each stream.
const RECORDS: usize = 2_000;

#[tokio::test(start_paused = true)]
async fn a_week_with_tails_of_72_hours_changes_faults_and_kills_arrives_once_and_is_proven() {
    let week = TimeDelta::days(7);
    let streams: Vec<&str> = DEFAULT_STREAMS.into_iter().chain([ALERTS, "calendar", "gmail"]).collect();
    let generate = streams
        .iter()
        .map(|stream| Generate { never: 0.01, ..Generate::new(stream, 5, RECORDS, base(), week) });
    let mut scene = Scene::with(
        GoogleConfig {
            random_faults: faults(3, 0.03),
            empty_pages: 0.02,
            token_after_full_last_page: true,
            ..customer(generate.collect())
        },
        ElasticsearchConfig { random_faults: faults(4, 0.05), ..ElasticsearchConfig::default() },
        &format!("streams = {streams:?}\nstart = \"1h\"\nlimit = 50\npoll = \"5m\"\n"),
    );
    let (mut lived, mut kills) = (Duration::ZERO, 0);
    while lived < 7 * DAY {
        // From 20 minutes to 10 hours and a half.
        let life = Duration::from_millis(1_200_000 + dice(11, kills) % 36_600_000).min(7 * DAY - lived);
        scene.town.reborn();
        scene.run_and_kill(life).await;
        lived += life;
        kills += 1;
    }
    scene.google.set_random_faults(None);
    scene.elastic.set_random_faults(None);
    // Three days and the last horizon, as a scheduler does it.
    for _ in 0..26 {
        tokio::time::sleep(6 * HOUR).await;
        let (tenant, complete) = scene.sync(HOUR).await;
        assert!(complete, "{:#?}", tenant.board.sources());
    }

    scene.assert_arrived(scene.now() - TimeDelta::hours(12));
    let lost = scene.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
    let conflicts = scene.elastic.conflicts();
    assert!(
        conflicts <= kills * 200 + lost * 100,
        "{conflicts} sent again by {kills} kills, {lost} lost answers"
    );
    let (state, now) = (scene.state(), scene.now());
    for stream in streams {
        assert_whole(&state, stream, base() - TimeDelta::minutes(59), now - TimeDelta::minutes(20));
        // What was found at the last horizon is read again at the double, which is a week at most.
        let sure = now - week - TimeDelta::hours(14);
        assert_settled(&state, stream, base() - TimeDelta::minutes(59), sure);
        let rows = ledger(&state, stream).len();
        assert!(rows <= 60, "{stream}: {rows} rows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_every_stream_that_google_has_and_one_that_our_list_lacks_is_collected() {
    let streams: Vec<&str> = APPLICATIONS.into_iter().chain([ALERTS, "quantum_vault"]).collect();
    let day = TimeDelta::days(1);
    let generate = streams.iter().map(|stream| Generate::new(stream, 9, 40, base(), day)).collect();
    let mut google = customer(generate);
    google.applications.push("quantum_vault".to_owned());
    // Google does not know this one: it halts alone.
    let scene = Scene::new(
        google,
        "streams = [\"*\", \"quantum_vault\", \"quantum_attic\"]\nstart = \"1h\"\npoll = \"5m\"\n",
    );
    let tenant = scene.run(6 * HOUR).await;
    let source = tenant.board.sources()["google"].clone();
    drop(tenant);
    let broken: Vec<_> = source.streams.iter().filter(|(_, state)| state.fault.is_some()).collect();
    assert_eq!(broken.len(), 1, "{broken:#?}");
    let (name, state) = broken[0];
    let fault = state.fault.clone().unwrap().0;
    assert_eq!((name.as_str(), fault.status), ("quantum_attic", Some(400)));
    assert!(fault.remedy.as_deref().unwrap_or_default().contains("quantum_attic"), "{fault:?}");
    for _ in 0..16 {
        tokio::time::sleep(6 * HOUR).await;
        scene.sync(HOUR).await;
    }
    scene.assert_arrived(scene.now() - TimeDelta::hours(12));
    let state = scene.state();
    for stream in &streams {
        assert_whole(&state, stream, base() - TimeDelta::minutes(59), scene.now() - TimeDelta::hours(1));
    }
    assert!(
        ledger(&state, "quantum_attic").iter().all(|row| row.grade == Grade::Hole),
        "nothing is claimed of it"
    );
    let named =
        scene.elastic.delivered().iter().filter(|document| document.index.contains("quantum_vault")).count();
    assert!(named >= 40, "{named} documents in a data stream of that name");
}
