//! A vendor that is away for days, and one that is back just before it forgets.

use super::*;
use tidegate_core::journal::Lane;
use tidegate_simulator::{Fault, RandomFaults};

fn out() -> Option<RandomFaults> {
    let kinds = vec![Fault::Unavailable, Fault::DropUnprocessed, Fault::BadGateway];
    Some(RandomFaults { seed: 9, rate: 1.0, kinds, path: String::new() })
}

/// The windows asked for after `back`, in order.
fn windows(entra: &Entra, resource: &str, back: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let requests = asked(entra, resource).into_iter();
    requests
        .filter(|request| request.at >= back && request.status == 200)
        .filter_map(|r| bounds(&r))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn after_three_days_without_a_vendor_live_resumes_first_and_nothing_is_lost() {
    let streams = ["sign_ins", "directory_audits", "risk_detections"];
    let generate = streams.map(|stream| Generate {
        mutated: 0.0,
        ..Generate::new(stream, 17, 1_000, ago(7_200), TimeDelta::days(4))
    });
    let entra = entra(generated(generate.to_vec()));
    let keys =
        "streams = [\"sign_ins\", \"directory_audits\", \"risk_detections\"]\nlimit = 20\nstart = \"3h\"";
    let town = town(&entra, keys);
    let mut tenant = town.start().await;
    tokio::time::sleep(HOUR).await;
    let gone = town.clock.now();
    entra.set_random_faults(out());
    tokio::time::sleep(72 * HOUR).await;
    let source = tenant.board.sources()["entra"].clone();
    let (fault, since) = source.fault.expect("the outage stands on the board");
    assert!(since - gone < TimeDelta::minutes(5), "{fault} since {since}");
    let before = asked(&entra, "/").len();
    assert!(before < 72 * 60 * 6, "{before} requests: half of our share is no way to treat a dead vendor");
    entra.set_random_faults(None);
    let back = town.clock.now();
    tokio::time::sleep(30 * HOUR).await;
    assert!(tenant.board.sources()["entra"].fault.is_none());
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    for (stream, resource) in [("sign_ins", "signIns"), ("directory_audits", "directoryAudits")] {
        let windows = windows(&entra, resource, back);
        let fresh = windows.iter().position(|(from, _)| *from > back - TimeDelta::minutes(10)).unwrap();
        let in_gap = |from: &DateTime<Utc>| {
            *from > gone + TimeDelta::minutes(10) && *from < back - TimeDelta::minutes(10)
        };
        let gap: Vec<_> = windows.iter().map(|(from, _)| *from).filter(in_gap).collect();
        let first = windows.iter().position(|(from, _)| in_gap(from)).unwrap();
        assert!(fresh < first, "{stream}: live goes first: {:?}", &windows[..first]);
        assert!(gap[0] < gone + TimeDelta::hours(1), "what expires first is read first: {gap:?}");
        assert_whole(&town, stream, ago(7_200), back);
    }
    assert_whole(&town, "risk_detections", ago(7_200), back);
    assert_eq!(entra.refused(), 0);
    assert!(!town.state().works.iter().any(|work| work.lane == Lane::Backfill), "the backfill is over");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_is_back_just_before_its_retention_ends_loses_nothing() {
    // The first of these is an hour old when Microsoft goes away, and 20 minutes before its end when it is back.
    let generate = ["sign_ins", "directory_audits"]
        .map(|stream| plain(stream, 18, 600, ago(0) + TimeDelta::minutes(30), TimeDelta::days(29)));
    let entra = entra(generated(generate.to_vec()));
    let town = town(&entra, "streams = [\"sign_ins\", \"directory_audits\"]\nstart = \"1h\"\nlimit = 10");
    town.run(20 * MINUTE).await;
    entra.set_random_faults(out());
    // Somebody notices, and stops us for most of the time.
    town.run(6 * HOUR).await;
    tokio::time::sleep((30 * DAY - 6 * HOUR).saturating_sub(10 * MINUTE)).await;
    entra.set_random_faults(None);
    let back = town.clock.now();
    let oldest = entra.known().iter().map(|known| known.occurred_at).min().unwrap();
    assert!(oldest - (back - TimeDelta::days(30)) < TimeDelta::hours(1), "{oldest} is about to be forgotten");
    town.run(2 * HOUR).await;
    let (_, complete) = town.sync(4 * HOUR).await;
    assert!(complete);
    assert_arrived(&entra, &town);
    for stream in ["sign_ins", "directory_audits"] {
        assert_whole(&town, stream, base(), back);
    }
    let windows = windows(&entra, "signIns", back);
    assert!(windows[1].0 > back - TimeDelta::minutes(10), "live goes first: {:?}", &windows[..3]);
    assert_eq!(entra.refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_vendor_forgot_before_it_was_back_is_a_named_hole_and_the_rest_arrives() {
    let generate = plain("directory_audits", 19, 400, base(), TimeDelta::days(34));
    let entra = entra(generated(vec![generate]));
    let town = town(&entra, "streams = [\"directory_audits\"]\nstart = \"1h\"");
    town.run(10 * MINUTE).await;
    tokio::time::sleep(34 * DAY).await;
    town.run(30 * HOUR).await;
    let (holes, read): (Vec<_>, Vec<_>) =
        ledger(&town, "directory_audits").into_iter().partition(|row| row.grade == Grade::Hole);
    assert_eq!(holes.len(), 1, "{holes:#?}");
    assert_eq!((holes[0].cause.as_deref(), holes[0].repairable_until), (Some("retention"), None));
    assert!(holes[0].to - holes[0].from > TimeDelta::days(3));
    assert_eq!(lacks(&read, holes[0].to, base() + TimeDelta::days(34)), []);
    let kept: Vec<_> = known(&entra)
        .into_iter()
        .filter(|known| {
            known.occurred_at < base() + TimeDelta::minutes(5) || known.occurred_at >= holes[0].to
        })
        .collect();
    assert!(kept.len() > 300);
    assert_eq!(documents(&town.elastic).len(), kept.len());
    assert_all_arrived(&kept, &town.elastic, town.clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_keeps_a_week_only_is_read_up_to_its_edge_and_the_rest_is_a_hole() {
    use tidegate_simulator::entra::{Licence, Tenant};
    let tenant = Tenant { licence: Licence::Free, ..Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP) };
    let generate = plain("directory_audits", 20, 600, base() - TimeDelta::days(25), TimeDelta::days(25));
    let entra = entra(EntraConfig { tenants: vec![tenant], ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"directory_audits\"]\nstart = \"2h\"");
    town.run(20 * MINUTE).await;
    ask_for(&town, "directory_audits", base() - TimeDelta::days(20)).await;
    let (_, complete) = town.sync(4 * HOUR).await;
    assert!(complete);
    let rows = ledger(&town, "directory_audits");
    let hole = &rows[0];
    assert_eq!((hole.grade, hole.cause.as_deref()), (Grade::Hole, Some("retention")), "{rows:#?}");
    let edge = base() - TimeDelta::days(7);
    assert!((hole.to - edge).abs() <= TimeDelta::hours(2), "{hole:#?}");
    let kept: Vec<_> = known(&entra).into_iter().filter(|known| known.occurred_at >= hole.to).collect();
    assert_all_arrived(&kept, &town.elastic, town.clock.now());
    assert!(rows[1..].iter().all(|row| row.grade != Grade::Hole), "{rows:#?}");
}
