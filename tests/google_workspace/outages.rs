//! A vendor that is away for long.

use crate::common::base;
use crate::scene::{DAY, HOUR, MINUTE, Scene, assert_whole, customer, parameter, prompt};
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_core::journal::Grade;
use tidegate_simulator::google::{ALERTS, Generate};
use tidegate_simulator::{Fault, RequestEntry, ScriptedFault};

fn away(scene: &Scene) {
    let fault = Fault::Html { status: 503 };
    scene.google.push_fault(ScriptedFault { path: String::new(), after: 0, times: 0, fault });
}

fn begin_of(request: &RequestEntry) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&parameter(request, "startTime").unwrap()).unwrap().to_utc()
}

#[tokio::test(start_paused = true)]
async fn after_three_days_live_resumes_first_and_nothing_is_lost() {
    let days = TimeDelta::days(4);
    let generate =
        ["login", "drive", ALERTS].iter().map(|stream| Generate::new(stream, 31, 1_500, base(), days));
    let keys = format!("streams = [\"login\", \"drive\", \"{ALERTS}\"]\nstart = \"1h\"\nlimit = 50\n");
    let scene = Scene::new(customer(generate.collect()), &keys);
    scene.run(6 * HOUR).await;
    away(&scene);
    let tenant = scene.start().await;
    tokio::time::sleep(3 * DAY).await;
    let state = tenant.board.sources()["google"].clone();
    assert!(state.streams["login"].fault.is_some(), "{state:#?}");
    let asked = scene.google.requests().len();
    scene.google.clear_faults();
    let back = scene.now();
    // The first tries after the longest wait.
    tokio::time::sleep(6 * MINUTE).await;
    // Sweeps of what was read before the outage are no matter of this.
    let behind =
        |request: &RequestEntry| request.at >= back && begin_of(request) > base() + TimeDelta::hours(7);
    let first = scene.asked("login").into_iter().find(behind).unwrap();
    assert!(begin_of(&first) > back - TimeDelta::hours(1), "live goes first: {}", first.path);
    assert!(asked < 3 * 24 * 60 * 8, "{asked} requests at a vendor that is away");
    tokio::time::sleep(2 * HOUR).await;
    assert!(tenant.board.sources()["google"].fault.is_none());
    drop(tenant);
    scene.run(5 * DAY).await;
    scene.assert_arrived(scene.now() - TimeDelta::hours(6));
    let state = scene.state();
    for stream in ["login", "drive", ALERTS] {
        assert_whole(&state, stream, base() - TimeDelta::minutes(59), scene.now() - TimeDelta::minutes(20));
    }
}

#[tokio::test(start_paused = true)]
async fn back_just_before_google_forgets_loses_nothing_and_just_after_names_the_hole() {
    // A request reaches back 180 days, less the hour that we stay away from that edge.
    for (hours, lost) in [(180 * 24 - 2, 0), (180 * 24 + 11, 12)] {
        let spread = TimeDelta::days(185);
        let scene = Scene::new(
            customer(vec![prompt("login", 1_000, base(), spread), prompt("admin", 200, base(), spread)]),
            "streams = [\"login\", \"admin\"]\nstart = \"1h\"\n",
        );
        scene.run(10 * MINUTE).await;
        let frontier = scene.now();
        away(&scene);
        // Nobody tries for half a year, then somebody does for some hours.
        tokio::time::sleep((hours - 6) * HOUR).await;
        scene.run(6 * HOUR).await;
        scene.google.clear_faults();
        let back = scene.now();
        scene.run(DAY).await;
        let state = scene.state();
        let holes: Vec<_> =
            state.coverage.iter().filter(|row| row.stream == "login" && row.grade == Grade::Hole).collect();
        let hole = holes.iter().fold(TimeDelta::zero(), |sum, row| sum + (row.to - row.from));
        assert!(
            (hole - TimeDelta::hours(lost)).abs() < TimeDelta::minutes(30),
            "{hole} at {hours} h: {holes:#?}"
        );
        assert!(
            holes
                .iter()
                .all(|row| row.cause.as_deref() == Some("retention") && row.repairable_until.is_none())
        );
        let gone = holes.iter().map(|row| row.to).max().unwrap_or(frontier);
        let kept: Vec<_> = scene
            .google
            .known()
            .into_iter()
            .filter(|known| known.occurred_at >= gone && known.occurred_at < back)
            .collect();
        let arrivals = scene.arrivals();
        let missing = kept
            .iter()
            .filter(|known| !arrivals.contains_key(std::str::from_utf8(&known.versions[0].raw).unwrap()));
        assert_eq!(missing.count(), 0, "of {}", kept.len());
        if lost == 0 {
            assert_whole(
                &state,
                "admin",
                base() - TimeDelta::minutes(59),
                scene.now() - TimeDelta::minutes(20),
            );
        }
        assert_eq!(scene.elastic.conflicts(), 0);
    }
}
