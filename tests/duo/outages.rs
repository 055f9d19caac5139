//! A vendor that is away, and a process that was.

use super::*;
use tidegate_simulator::Fault;

fn assert_whole(duo: &Duo, town: &Town, settled_from: DateTime<Utc>) {
    everything_arrived(duo, town);
    let (from, now) = (base() - TimeDelta::minutes(59), town.clock.now());
    for stream in ON {
        let settled = (settled_from, now - TimeDelta::hours(6));
        assert_covered(town, stream, (from, now - TimeDelta::minutes(15)), settled);
    }
    assert!(!town.state().works.iter().any(|work| work.name.starts_with("gap-")), "the gap is read");
}

/// The first requests for a log from a time on: the first is small, since it tells the vendor's clock.
fn first_starts(duo: &Duo, stream: &str, since: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let later = asked(duo, stream).into_iter().filter(|(at, _, status)| *at >= since && *status == 200);
    later.filter_map(|(_, path, _)| time_of(&path, "mintime")).take(3).collect()
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_was_away_for_three_days_is_read_live_first_and_then_whole() {
    let duo = Duo::new(account(&ON, 1_200, TimeDelta::days(4)));
    let town = town(&duo, "start = \"1h\"");
    town.run(12 * HOUR).await;
    duo.set_random_faults(Some(RandomFaults {
        seed: 1,
        rate: 1.0,
        kinds: vec![Fault::Unavailable, Fault::DropUnprocessed, Fault::BadGateway],
        path: String::new(),
    }));
    let before = duo.requests().len();
    let tenant = town.run(3 * DAY).await;
    let (fault, since) = tenant.board.sources()["duo"].fault.clone().unwrap();
    assert!(town.clock.now() - since > TimeDelta::hours(71), "{fault} since {since}");
    // A vendor that is down is asked no more than one that is not.
    assert!(duo.requests().len() - before <= 3 * 72 * 60, "{} requests", duo.requests().len() - before);
    drop(tenant);
    duo.set_random_faults(None);
    let back = town.clock.now();
    town.run(24 * HOUR).await;
    for stream in ON {
        let starts = first_starts(&duo, stream, back);
        assert!(
            starts[..2].iter().any(|start| back - *start < TimeDelta::minutes(20)),
            "{stream}: {starts:?}"
        );
    }
    assert_whole(&duo, &town, base() - TimeDelta::minutes(59));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_back_just_before_the_retention_ends_loses_nothing() {
    let duo = Duo::new(account(&ON, 500, TimeDelta::days(180)));
    let mut town = town(&duo, "start = \"1h\"");
    town.run(HOUR).await;
    town.reborn();
    tokio::time::sleep(179 * DAY + 22 * HOUR).await;
    let back = town.clock.now();
    town.run(24 * HOUR).await;
    for stream in ON {
        let starts = first_starts(&duo, stream, back);
        assert!(
            starts[..2].iter().any(|start| back - *start < TimeDelta::minutes(20)),
            "{stream}: {starts:?}"
        );
    }
    let refused: Vec<_> = duo.requests().into_iter().filter(|request| request.status != 200).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    // What Duo forgot before it could be read a second time was read once.
    assert_whole(&duo, &town, base() + TimeDelta::hours(1));
}

#[tokio::test(start_paused = true)]
async fn after_the_retention_has_ended_what_is_gone_is_a_named_hole_and_all_else_arrives() {
    let duo = Duo::new(account(&ON, 500, TimeDelta::days(185)));
    let mut town = town(&duo, "start = \"1h\"");
    town.run(HOUR).await;
    town.reborn();
    tokio::time::sleep(183 * DAY).await;
    town.run(3 * DAY).await;
    // The first request of all may not know Duo's time yet.
    assert!(duo.requests().iter().filter(|request| request.status != 200).count() <= 1);
    let gone = base() + TimeDelta::days(3) + TimeDelta::hours(1);
    for stream in ON {
        let rows = rows(&town, stream);
        let holes: Vec<_> = rows.iter().filter(|row| row.grade == Grade::Hole).collect();
        assert_eq!(holes.len(), 1, "{rows:#?}");
        assert_eq!((holes[0].cause.as_deref(), holes[0].repairable_until), (Some("retention"), None));
        assert!((holes[0].to - gone).abs() < TimeDelta::minutes(20), "{:?}", holes[0]);
    }
    let end = holes(&town).iter().map(|hole| hole.to).max().unwrap();
    let mut known = duo.known();
    known.retain(|known| known.occurred_at >= end || known.occurred_at < base() + TimeDelta::minutes(50));
    let there = u64::try_from(known.len()).unwrap();
    let dead: usize = dead(&town).values().sum();
    assert_eq!(town.elastic.created() + dead as u64, there);
}

/// D2, D12: windows are planned in Duo's time, whatever ours is.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_by_hours_loses_nothing() {
    for wrong in [-3, 3] {
        let offset = TimeDelta::hours(wrong);
        let config = from(&ON, 400, base() + offset, TimeDelta::hours(10));
        let duo = Duo::new(DuoConfig { clock_offset: offset, ..config });
        let town = town(&duo, "start = \"6h\"");
        town.run(16 * HOUR).await;
        let until = base() + offset + TimeDelta::hours(11);
        all_arrived(duo.known(), &town);
        for stream in ON {
            assert_covered(&town, stream, (base() + offset, until), (until, until));
            // Nothing is said of Duo's future.
            let end = rows(&town, stream).iter().map(|row| row.to).max().unwrap();
            assert!(end <= town.clock.now() + offset - TimeDelta::seconds(125), "{stream}: {end}");
        }
    }
}

/// D9: a runner with little time goes on where the one before has stopped, page by page.
#[tokio::test(start_paused = true)]
async fn runs_that_are_too_short_for_a_window_finish_it_together() {
    let config = from(&["telephony"], 9_500, base() - TimeDelta::minutes(50), TimeDelta::minutes(40));
    let duo = Duo::new(config);
    let mut town = town(&duo, "start = \"1h\"\nstreams = [\"telephony\"]");
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs < 30, "it never ends: {:#?}", asked(&duo, "telephony"));
        let (_, complete) = town.sync(4 * MINUTE).await;
        town.reborn();
        if complete {
            break;
        }
    }
    assert!(runs > 3, "{runs}");
    let mut pages: Vec<String> = asked(&duo, "telephony").into_iter().map(|(_, path, _)| path).collect();
    pages.retain(|path| path.contains("next_offset"));
    let asked = pages.len();
    pages.sort();
    pages.dedup();
    assert!(
        asked >= 5 && asked == pages.len(),
        "no page twice: {asked} {pages:#?} {:#?}",
        super::asked(&duo, "telephony")
    );
    everything_arrived(&duo, &town);
}
