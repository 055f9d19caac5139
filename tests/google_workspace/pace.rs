//! How soon, how many requests, how fast.

use crate::common::base;
use crate::scene::{
    DAY, DEFAULT_STREAMS, HOUR, MINUTE, Scene, assert_settled, assert_spaced, assert_whole, customer, prompt,
    sign_in, times,
};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use tidegate_core::fault::FaultKind;
use tidegate_simulator::google::{ALERTS, Generate, GoogleConfig, Limits, Refusal};
use tidegate_simulator::{Fault, ScriptedFault};

#[tokio::test(start_paused = true)]
async fn what_is_visible_in_time_arrives_within_a_poll_and_what_shows_up_late_by_the_next_horizon() {
    let streams: Vec<&str> = DEFAULT_STREAMS.into_iter().chain([ALERTS]).collect();
    let generate = streams.iter().map(|stream| Generate {
        mutated: 0.0,
        ..Generate::new(stream, 21, 600, base(), TimeDelta::hours(6))
    });
    let scene =
        Scene::new(customer(generate.collect()), &format!("streams = {streams:?}\nstart = \"10m\"\n"));
    scene.run(6 * HOUR + 79 * HOUR).await;
    let arrivals = scene.arrivals();
    let mut fresh: BTreeMap<&str, Vec<TimeDelta>> = BTreeMap::new();
    for known in scene.google.known() {
        let (version, stream) = (&known.versions[0], known.stream.as_str());
        let arrived = arrivals[std::str::from_utf8(&version.raw).unwrap()];
        let (late, took) = (version.visible_at - known.occurred_at, arrived - known.occurred_at);
        let stream = streams.iter().find(|name| **name == stream).unwrap();
        if late <= TimeDelta::minutes(2) {
            fresh.entry(stream).or_default().push(took - TimeDelta::minutes(2));
        }
        // The fast lane; else the horizon, its batch of a quarter (six hours at most), and a minute for the requests.
        let bound = [(2, 4), (30, 38), (240, 300), (1_440, 1_800), (4_320, 4_680)]
            .into_iter()
            .find(|(horizon, _)| late <= TimeDelta::minutes(*horizon))
            .unwrap()
            .1;
        assert!(took <= TimeDelta::minutes(bound + 1), "{stream} {}: {late} late, took {took}", known.id);
    }
    for (stream, mut took) in fresh {
        took.sort();
        let half = took[took.len() / 2];
        assert!(half <= TimeDelta::seconds(60), "{stream}: half of {} took {half}", took.len());
    }
}

#[tokio::test(start_paused = true)]
async fn seventy_two_hours_late_is_not_too_late_and_a_finding_there_makes_the_next_reading() {
    let scene = Scene::new(customer(Vec::new()), "streams = [\"login\"]\nstart = \"10m\"\n");
    let at = |minutes| base() + TimeDelta::minutes(minutes);
    for minute in 0..120 {
        sign_in(&scene.google, minute, at(minute), TimeDelta::zero());
    }
    // At the very end of the last horizon; one that only the doubled horizon sees; one that nobody promises.
    sign_in(&scene.google, -1, at(30), TimeDelta::hours(72));
    sign_in(&scene.google, -2, at(31), TimeDelta::hours(140));
    sign_in(&scene.google, -3, base() + TimeDelta::hours(20), TimeDelta::hours(120));
    scene.run(79 * HOUR).await;
    assert_eq!(scene.arrivals().len(), 121, "the one of 72 hours");
    scene.run(4 * DAY).await;
    assert_eq!(
        scene.arrivals().len(),
        122,
        "the one of 140 hours, found by reading again what had a finding"
    );
    let state = scene.state();
    assert_whole(&state, "login", base() - TimeDelta::minutes(9), scene.now() - TimeDelta::minutes(20));
    // Nobody saw the last one, and the ledger only says which reading found nothing.
    assert_settled(&state, "login", at(360) + TimeDelta::hours(6), base() + TimeDelta::hours(48));
}

#[tokio::test(start_paused = true)]
async fn steady_state_is_never_refused_and_takes_half_of_any_minute() {
    // Unfiltered: all streams; filtered: those that 125 queries a minute can serve.
    let filtered = "user_key = \"jo.park@example.com\"\n";
    for (keys, share) in [("streams = [\"*\"]\n", 1_200), (filtered, 125)] {
        let generate = DEFAULT_STREAMS
            .iter()
            .map(|stream| Generate::new(stream, 3, 500, base(), TimeDelta::hours(3)))
            .collect();
        let google = GoogleConfig { foreign: 0.5, ..customer(generate) };
        let scene = Scene::new(google, &format!("start = \"2d\"\nlimit = 100\n{keys}"));
        scene.run(4 * HOUR).await;
        let requests = scene.google.requests();
        assert_eq!(scene.google.refused(), 0);
        assert!(requests.iter().all(|request| request.status == 200), "nothing else was refused either");
        let asked: Vec<_> =
            requests.into_iter().filter(|request| !request.path.contains("/v1beta1/")).collect();
        assert_spaced(&times(&asked), share);
        // One query for each application, whatever events there are.
        let names = asked.iter().filter(|request| request.path.contains("eventName")).count();
        assert_eq!(names, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn weeks_of_backfill_use_all_of_our_share_and_no_more() {
    let person = "jo.park@example.com";
    let filtered = format!("user_key = \"{person}\"\nlimit = 1\n");
    for (keys, share, minutes, records) in [("limit = 2\n", 1_200, 3, 16_000), (&filtered, 125, 12, 32_000)] {
        let weeks = TimeDelta::days(21);
        let google = customer(vec![prompt("login", records, base() - weeks, weeks)]);
        let scene = Scene::new(
            GoogleConfig { foreign: 0.5, ..google },
            &format!("streams = [\"login\"]\nstart = \"21d\"\n{keys}"),
        );
        // An answer takes its time.
        let slow = Fault::Delay { ms: 400 };
        scene.google.push_fault(ScriptedFault {
            path: "/applications/".to_owned(),
            after: 0,
            times: 0,
            fault: slow,
        });
        let mut tenant = scene.start().await;
        tokio::time::sleep(minutes * MINUTE).await;
        let asked = scene.asked("login");
        let possible = share * minutes as usize;
        assert!(asked.len() * 100 >= possible * 95, "{} of {possible} requests", asked.len());
        assert_eq!(scene.google.refused(), 0);
        assert_spaced(&times(&asked), share);
        let known = scene.google.known();
        let ours = known.iter().filter(|known| {
            let raw: serde_json::Value = serde_json::from_slice(&known.versions[0].raw).unwrap();
            share == 1_200 || raw["actor"]["email"] == person
        });
        let ours: Vec<_> = ours.cloned().collect();
        tokio::time::timeout(2 * HOUR, tenant.drain()).await.unwrap();
        tenant.stop().await;
        crate::common::assert_all_arrived(&ours, &scene.elastic, scene.now());
        assert_whole(&scene.state(), "login", base() - weeks + TimeDelta::minutes(1), base());
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lower_than_documented_is_waited_out_in_each_form_that_google_has_for_it() {
    for form in Refusal::ALL {
        let limits = Limits { per_minute: 12, refusals: vec![form], ..Limits::default() };
        let generate = ["login", "admin", "token"].iter();
        let generate =
            generate.map(|stream| prompt(stream, 300, base() - TimeDelta::hours(1), TimeDelta::hours(1)));
        let google = GoogleConfig { limits, ..customer(generate.collect()) };
        let scene =
            Scene::new(google, "streams = [\"login\", \"admin\", \"token\"]\nstart = \"2h\"\nlimit = 20\n");
        let tenant = scene.start().await;
        let mut seen = None;
        for _ in 0..60 {
            tokio::time::sleep(MINUTE / 2).await;
            let source = tenant.board.sources()["google"].clone();
            seen = source.fault.map(|(fault, _)| fault.kind).or(source.wait.map(|_| FaultKind::RateLimit));
            if seen.is_some() {
                break;
            }
        }
        let kind = if form == Refusal::Unavailable { FaultKind::Server } else { FaultKind::RateLimit };
        assert_eq!(seen, Some(kind), "{form:?} is on the board");
        // A used-up quota is left alone for half an hour each time.
        tokio::time::sleep(if form == Refusal::QuotaExceeded { 20 * HOUR } else { 5 * HOUR }).await;
        let fault = tenant.board.sources()["google"].fault.clone();
        assert!(fault.is_none_or(|(fault, _)| fault.kind == kind), "{form:?} halts nothing");
        drop(tenant);
        scene.assert_arrived(base());
        // What is refused to one is refused to all, so that only one of them tries again.
        let refused: Vec<_> =
            scene.google.requests().into_iter().filter(|request| request.status != 200).collect();
        assert!(!refused.is_empty());
        let most = if form == Refusal::Unavailable { 60 } else { 5 };
        for request in refused.windows(most + 1) {
            let took = request[most].at - request[0].at;
            assert!(took >= TimeDelta::minutes(1), "{form:?}: {} refused in {took}", most + 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_of_the_day_is_asked_for_every_half_hour_and_costs_nothing_else() {
    let scene = Scene::new(
        customer(vec![prompt("login", 300, base(), TimeDelta::hours(5))]),
        "streams = [\"login\"]\nstart = \"1h\"\n",
    );
    let used_up = Fault::Refused { status: 403, reason: "dailyLimitExceeded".to_owned() };
    scene.google.push_fault(ScriptedFault {
        path: "/applications/".to_owned(),
        after: 3,
        times: 0,
        fault: used_up,
    });
    scene.run(5 * HOUR).await;
    let refused = scene.asked("login").iter().filter(|request| request.status == 403).count();
    assert!((8..=12).contains(&refused), "{refused} requests in five hours");
    scene.google.clear_faults();
    scene.run(3 * HOUR).await;
    scene.assert_arrived(base() + TimeDelta::hours(5));
    assert_whole(&scene.state(), "login", base() - TimeDelta::minutes(59), base() + TimeDelta::hours(7));
}
