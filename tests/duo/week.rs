//! A week of all streams with faults and deaths, and how soon records arrive.

use super::*;
use tidegate_simulator::Lateness;

/// Duo's two minutes, and a tail up to the last horizon of most streams.
fn tailed() -> Lateness {
    Lateness(vec![
        (0.85, TimeDelta::seconds(30)),
        (0.11, TimeDelta::minutes(2)),
        (0.02, TimeDelta::minutes(40)),
        (0.02, TimeDelta::hours(4)),
    ])
}

/// D8: nothing that was fetched is lost by a death, whatever the moment.
#[tokio::test(start_paused = true)]
async fn a_week_with_faults_deaths_and_late_records_loses_and_doubles_nothing() {
    let mut config = account(&ALL, 1_500, TimeDelta::days(7));
    for plan in &mut config.generate {
        plan.lateness = tailed();
        plan.mutated = if plan.stream == "trust_monitor" { 0.1 } else { 0.0 };
    }
    let duo = Duo::new(DuoConfig { random_faults: faults(3, 0.05), ..config });
    let elastic = ElasticsearchConfig { random_faults: faults(4, 0.05), ..ElasticsearchConfig::default() };
    let mut town = with_elastic(&duo, elastic, "start = \"1h\"\nstreams = [\"*\"]");
    let (mut dice, mut kills) = (7, 0);
    while town.clock.now() < base() + TimeDelta::days(7) {
        // From three minutes to nine hours.
        town.run_and_kill(Duration::from_millis(180_000 + splitmix(&mut dice) % 32_000_000)).await;
        town.reborn();
        kills += 1;
    }
    assert!(kills > 20, "{kills}");
    duo.set_random_faults(None);
    town.elastic.set_random_faults(None);
    // The last horizon of trust_monitor and its batch.
    town.run(3 * DAY + 7 * HOUR).await;
    let (_, complete) = town.sync(HOUR).await;
    assert!(complete);
    everything_arrived(&duo, &town);
    // At each kill two batches of 100 may be in flight; at each lost answer one batch.
    let lost = town.elastic.requests().iter().filter(|request| request.fault.is_some()).count() as u64;
    assert!(town.elastic.conflicts() <= kills * 200 + lost * 100, "{}", town.elastic.conflicts());
    let now = town.clock.now();
    for stream in ALL {
        let from = base() - TimeDelta::minutes(59);
        // What has changed until its last horizon is read again at the doubled one.
        let settled =
            if stream == "trust_monitor" { now - TimeDelta::days(7) } else { base() + TimeDelta::days(7) };
        assert_covered(&town, stream, (from, now - TimeDelta::minutes(15)), (from, settled));
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_records_arrive_within_a_poll_and_late_ones_by_the_next_horizon() {
    let mut config = account(&ON, 1_500, TimeDelta::hours(12));
    for plan in &mut config.generate {
        plan.lateness = tailed();
    }
    let duo = Duo::new(config);
    let town = town(&duo, "start = \"1h\"");
    town.run(18 * HOUR).await;
    everything_arrived(&duo, &town);
    let second = TimeDelta::seconds;
    let mut prompt = Vec::new();
    for (known, delivered) in deliveries(&duo, &town) {
        let late = known.versions[0].visible_at - known.occurred_at;
        let took = delivered - known.occurred_at;
        let bound = if late <= second(125) {
            prompt.push(took - second(125));
            second(125 + 2 * 120)
        } else if late <= TimeDelta::minutes(15) {
            TimeDelta::minutes(15 + 4)
        } else {
            TimeDelta::minutes(240 + 60)
        };
        // A log has one request of ours a minute: a reading may have to wait for two others.
        let wait = second(183);
        assert!(took <= bound + wait, "late by {late}, took {took}");
    }
    prompt.sort();
    let (median, last) = (prompt[prompt.len() / 2], prompt[prompt.len() - 1]);
    assert!(prompt.len() > 3_000 && median <= second(120), "{median} at p50, {last} at most");
}
