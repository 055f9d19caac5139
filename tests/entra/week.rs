//! A simulated week with everything that can go wrong.

use super::*;
use tidegate_core::journal::{Lane, Work};
use tidegate_simulator::RandomFaults;

/// Of each stream: records in the week.
const RECORDS: [usize; 8] = [1_500, 2_000, 1_000, 700, 1_200, 400, 200, 700];

fn open_sweeps(works: &[Work], stream: &str) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let sweep = |work: &&Work| work.lane == Lane::Sweep && work.stream == stream;
    works.iter().filter(sweep).filter_map(|work| Some((work.from, work.to?))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_week_of_all_streams_with_kills_and_faults_at_both_ends_loses_and_doubles_nothing() {
    let (start, week) = (base() - TimeDelta::hours(20), TimeDelta::days(7));
    let generate = STREAMS
        .iter()
        .zip(RECORDS)
        .map(|((stream, _), records)| Generate {
            near_duplicates: 0.05,
            ..Generate::new(stream, 71, records, start, week + TimeDelta::hours(20))
        })
        .collect();
    let faults = |seed| Some(RandomFaults { seed, rate: 0.05, kinds: Vec::new(), path: String::new() });
    let quirks = Quirks {
        empty_pages: 0.03,
        spurious_unlicensed: 0.005,
        odd_errors: 0.3,
        skiptoken_life: Some(TimeDelta::minutes(5)),
        ..Quirks::default()
    };
    let entra = entra(EntraConfig { random_faults: faults(3), quirks, ..generated(generate) });
    let elastic = ElasticsearchConfig { random_faults: faults(4), ..ElasticsearchConfig::default() };
    let keys = "streams = [\"*\"]\nlimit = 30\npoll = \"5m\"";
    let town = town_with(&entra, elastic, &source("acme", "entra", DEFAULT_TENANT, DEFAULT_APP, keys));

    let (mut seed, mut lived, mut kills) = (20_260_601, Duration::ZERO, 0);
    while lived < 7 * DAY {
        // From ten minutes to twelve hours, always another step of the loop.
        let life = Duration::from_millis(600_000 + splitmix(&mut seed) % 42_600_000).min(7 * DAY - lived);
        town.run_and_kill(life).await;
        (lived, kills) = (lived + life, kills + 1);
    }
    let end = town.clock.now();
    entra.set_random_faults(None);
    town.elastic.set_random_faults(None);
    // The last horizon, its batch, and what waits in the queue.
    town.run(31 * HOUR).await;
    let (tenant, complete) = town.sync(HOUR).await;
    assert!(complete, "{:?} {:?}", tenant.board.sources(), tenant.board.sinks());

    assert!(kills >= 20, "{kills} kills");
    assert_all_arrived(&known(&entra), &town.elastic, end);
    // At each kill two batches of 100 may be in flight; at each lost answer one batch.
    let lost = town.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
    let conflicts = town.elastic.conflicts();
    assert!(conflicts <= kills * 200 + lost * 100, "{conflicts} documents were sent again");
    let state = town.state();
    for (stream, _) in STREAMS {
        assert_whole(&town, stream, start, end);
        let settled: Vec<_> =
            ledger(&town, stream).into_iter().filter(|row| row.grade == Grade::Settled).collect();
        let waiting = open_sweeps(&state.works, stream);
        for (from, to) in lacks(&settled, start, end) {
            assert!(
                waiting.iter().any(|(begin, stop)| *begin <= from && to <= *stop),
                "{stream}: {from} to {to} is not settled, and nothing will settle it: {waiting:?}"
            );
        }
        // A finding at the last horizon doubles it. That is the exception.
        let open: TimeDelta = lacks(&settled, start, end).iter().map(|(from, to)| *to - *from).sum();
        assert!(open < TimeDelta::days(2), "{stream}: {open} are not settled");
    }
}
