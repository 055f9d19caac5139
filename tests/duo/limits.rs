//! Duo's two requests a minute for each log, of which one is ours.

use super::*;
use common::Answering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Another client takes one of the two, in one burst a minute.
fn shared(config: DuoConfig) -> Duo {
    Duo::new(DuoConfig { foreign: 0.5, ..config })
}

/// The account behind a network on which requests take up to 0.9 s, each another time.
fn far_away(duo: &Duo) -> Answering {
    let (duo, dice) = (duo.clone(), AtomicU64::new(1));
    Arc::new(move |request, now| {
        let mut state = dice.fetch_add(1, Ordering::Relaxed);
        let late = i64::try_from(splitmix(&mut state) % 900).unwrap();
        duo.handle(request, now + TimeDelta::milliseconds(late))
    })
}

/// No minute holds two of our requests for one log.
fn assert_evenly_spaced(duo: &Duo) {
    for stream in ALL {
        for pair in asked(duo, stream).windows(2) {
            assert!(pair[1].0 - pair[0].0 >= TimeDelta::seconds(60), "{stream}: {pair:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_steady_state_nothing_is_refused_while_another_client_takes_its_half_in_bursts() {
    let duo = shared(account(&ALL, 400, TimeDelta::hours(10)));
    let town = Town::new(
        &[(HOST, far_away(&duo))],
        ElasticsearchConfig::default(),
        &[("key", SKEY)],
        "original = true",
        &source("start = \"1h\"\nstreams = [\"*\"]"),
    );
    town.run(16 * HOUR).await;
    everything_arrived(&duo, &town);
    assert_eq!(duo.refused(), 0);
    assert_evenly_spaced(&duo);
    for stream in ALL {
        assert!(asked(&duo, stream).len() > 300, "{stream} was asked {} times", asked(&duo, stream).len());
    }
}

/// D10. Each run is a process of its own; what the one before has asked for is known from the journal.
#[tokio::test(start_paused = true)]
async fn sync_every_five_minutes_keeps_the_limit_over_all_its_processes() {
    let duo = shared(account(&ALL, 150, TimeDelta::hours(4)));
    let mut town = town(&duo, "start = \"10m\"\nstreams = [\"*\"]");
    let mut complete = 0;
    for _ in 0..72 {
        let began = town.clock.now();
        complete += u32::from(town.sync(4 * MINUTE).await.1);
        town.reborn();
        let took = (town.clock.now() - began).to_std().unwrap();
        tokio::time::sleep((5 * MINUTE).saturating_sub(took)).await;
    }
    assert_eq!(duo.refused(), 0);
    assert_evenly_spaced(&duo);
    assert!(complete >= 70, "{complete} of 72 runs were complete in four minutes");
    everything_arrived(&duo, &town);
    assert!(holes(&town).is_empty(), "{:#?}", holes(&town));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_started_again_and_again_keeps_the_limit() {
    let duo = shared(account(&ON, 300, TimeDelta::hours(3)));
    let mut town = town(&duo, "start = \"1h\"");
    let mut dice = 5;
    for _ in 0..60 {
        town.run(Duration::from_millis(5_000 + splitmix(&mut dice) % 300_000)).await;
        town.reborn();
    }
    town.run(7 * HOUR).await;
    assert_eq!(duo.refused(), 0);
    assert_evenly_spaced(&duo);
    everything_arrived(&duo, &town);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_of_weeks_uses_its_share_and_live_reading_goes_on_beside_it() {
    let (weeks, records) = (TimeDelta::days(21), 20_000);
    let duo = shared(from(&["telephony"], records, base() - weeks, weeks + TimeDelta::hours(2)));
    let town = town(&duo, "start = \"21d\"\nstreams = [\"telephony\"]");
    let tenant = town.run(130 * MINUTE).await;
    assert_eq!(duo.refused(), 0);
    let left = town.state().works.iter().filter(|work| work.name.starts_with("gap-")).count();
    assert_eq!(left, 0, "the backfill is over: {:?}", tenant.board.sources());
    let (mut history, mut live) = (Vec::new(), 0);
    for (at, path, _) in asked(&duo, "telephony") {
        if time_of(&path, "mintime").unwrap() < base() - TimeDelta::minutes(30) {
            history.push(at);
        } else {
            live += usize::from(at < *history.last().unwrap_or(&at) + TimeDelta::minutes(2));
        }
    }
    let (first, last) = (history[0], history[history.len() - 1]);
    let minutes = usize::try_from((last - first).num_minutes()).unwrap();
    let all = asked(&duo, "telephony").iter().filter(|(at, ..)| (first..last).contains(at)).count();
    assert!(history.len() > 22 && live > 10, "{} for history, {live} live", history.len());
    assert!(all * 100 >= minutes * 95, "{all} requests in {minutes} minutes, one a minute is ours");
    // Pages are filled: hardly more requests than a thousand records each need.
    assert!(history.len() <= records / 1_000 + 15, "{} requests for history", history.len());
    everything_arrived(&duo, &town);
}
