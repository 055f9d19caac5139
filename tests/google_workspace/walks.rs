//! Walks over pages: newest first, with tokens, cut short by kills.

use crate::common::base;
use crate::scene::{HOUR, MINUTE, Scene, assert_whole, customer, dice, ledger, parameter, prompt};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidegate_core::journal::Grade;
use tidegate_simulator::google::{ALERTS, Generate};
use tidegate_simulator::{Fault, ScriptedFault};

fn slow(scene: &Scene, ms: u64) {
    let fault = Fault::Delay { ms };
    scene.google.push_fault(ScriptedFault { path: "/applications/".to_owned(), after: 0, times: 0, fault });
}

/// Whatever the ledger says was read is in the journal.
fn assert_proven(scene: &Scene) {
    let fetched: BTreeSet<Bytes> =
        scene.pages().into_iter().flat_map(|page| page.records).map(|record| record.bytes).collect();
    for row in ledger(&scene.state(), "login") {
        for known in scene.google.known() {
            let inside = (row.from..row.to).contains(&known.occurred_at) && row.grade != Grade::Hole;
            assert!(
                !inside || fetched.contains(&known.versions[0].raw),
                "{} is claimed by {row:#?}",
                known.id
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn newest_first_pages_with_kills_between_them_never_advance_the_ledger_early() {
    let minutes = TimeDelta::minutes(25);
    let google = customer(vec![prompt("login", 600, base() - minutes, TimeDelta::minutes(20))]);
    let mut scene = Scene::new(google, "streams = [\"login\"]\nstart = \"25m\"\nlimit = 10\n");
    slow(&scene, 2_000);
    let mut kills = 0;
    while !is_covered(&scene) {
        scene.town.reborn();
        scene.run_and_kill(Duration::from_millis(3_000 + dice(17, kills) % 14_000)).await;
        assert_proven(&scene);
        kills += 1;
        assert!(kills < 60, "the walk never ends");
    }
    assert!(kills >= 8, "{kills} kills");
    scene.google.clear_faults();
    let (_, complete) = scene.sync(HOUR).await;
    assert!(complete);
    assert_proven(&scene);
    scene.assert_arrived(base());
    let asked = scene.asked("login");
    assert!(asked.iter().all(|request| request.status == 200), "no token in a chain that is not its own");
    // The walk of 60 pages went on where it was: at each kill the page in flight is lost.
    let mut walks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for request in &asked {
        walks.entry(parameter(request, "startTime")).or_default().push(request);
    }
    let walk = walks.values().max_by_key(|walk| walk.len()).unwrap();
    assert!(walk.len() > 50 && walk.len() as u64 <= 62 + kills, "{} pages, {kills} kills", walk.len());
    assert_eq!(
        walk.iter().filter(|request| parameter(request, "pageToken").is_none()).count(),
        1,
        "begun once"
    );
}

fn is_covered(scene: &Scene) -> bool {
    let to = || ledger(&scene.state(), "login").last().map(|row| row.to);
    scene.journal().exists() && to().is_some_and(|to| to > base() - TimeDelta::minutes(4))
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_on_where_it_was_killed() {
    let days = TimeDelta::days(10);
    let google = customer(vec![prompt("login", 6_000, base() - days, days)]);
    let mut scene = Scene::new(google, "streams = [\"login\"]\nstart = \"10d\"\nlimit = 10\n");
    slow(&scene, 1_000);
    for kill in 0..12 {
        scene.town.reborn();
        scene.run_and_kill(Duration::from_millis(2_000 + dice(19, kill) % 4_000)).await;
        assert_proven(&scene);
    }
    scene.google.clear_faults();
    let (_, complete) = scene.sync(HOUR).await;
    assert!(complete);
    scene.assert_arrived(base());
    assert_whole(
        &scene.state(),
        "login",
        base() - days + TimeDelta::minutes(1),
        base() - TimeDelta::minutes(3),
    );
    // 600 full pages, a last and perhaps an empty one for each window, and what was in flight at each kill.
    let asked = scene.asked("login").len();
    assert!(asked <= 600 * 3 / 2 + 12 * 16, "{asked} requests");
}

#[tokio::test(start_paused = true)]
async fn records_of_one_millisecond_come_once_however_pages_and_windows_cut_them() {
    for limit in [1, 3, 7] {
        let edge = base() + TimeDelta::minutes(10);
        let mut group = prompt("login", 40, edge, TimeDelta::milliseconds(3));
        group.odd = 0.0;
        let scene = Scene::new(
            customer(vec![group]),
            &format!("streams = [\"login\"]\nstart = \"10m\"\nlimit = {limit}\n"),
        );
        scene.run(HOUR).await;
        scene.assert_arrived(scene.now() - TimeDelta::minutes(10));
        assert_eq!(scene.elastic.conflicts(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_that_change_are_revisions_and_each_version_that_lasted_arrives() {
    let hours = TimeDelta::hours(20);
    let plan = Generate { mutated: 0.7, ..Generate::new(ALERTS, 41, 300, base(), hours) };
    let scene = Scene::new(customer(vec![plan]), "streams = [\"alerts\"]\nstart = \"1h\"\n");
    scene.run(20 * HOUR + 5 * 24 * HOUR).await;
    let end = scene.now() - TimeDelta::hours(6);
    scene.assert_arrived(end);
    let arrivals = scene.arrivals();
    let (mut lasted, mut revisions) = (0, 0);
    for known in scene.google.known() {
        let gone =
            |n: usize| known.versions.get(n + 1).map_or(DateTime::<Utc>::MAX_UTC, |next| next.visible_at);
        for (n, version) in
            known.versions.iter().enumerate().filter(|(n, v)| gone(*n) - v.visible_at > TimeDelta::hours(6))
        {
            let arrived = arrivals.contains_key(std::str::from_utf8(&version.raw).unwrap());
            assert!(arrived || version.visible_at > end, "{} version {n}", known.id);
            (lasted, revisions) = (lasted + 1, revisions + usize::from(n > 0));
        }
        // The first version that came has the bare id, later ones say what they revise.
        let documents = scene.documents_of(&known.id);
        assert_eq!(documents.len(), 1, "{}", known.id);
        assert_eq!(documents[0]["labels"]["tidegate_revises"], Value::Null);
    }
    assert!(lasted > 400 && revisions > 150, "{lasted} versions, {revisions} of them revisions");
    let revised = scene
        .elastic
        .delivered()
        .iter()
        .flat_map(|document| scene.documents_of(&document.id))
        .filter(|document| {
            document["tags"].as_array().is_some_and(|tags| tags.contains(&"tidegate_revision".into()))
        })
        .count();
    assert!(revised >= revisions, "{revised} documents are marked");
    assert_whole(&scene.state(), ALERTS, base() - TimeDelta::minutes(59), scene.now() - MINUTE * 20);
}
