//! Fresh records, and no more than half of what Microsoft allows to get them.

use super::*;
use tidegate::pipeline::Tenant as Running;
use tidegate_simulator::entra::{App, Credential, Foreign, Tenant};
use tidegate_simulator::{Fault, RandomFaults};

const REPORTS: &str = "/auditLogs/";
const RISK: &str = "/identityProtection/";
/// Half of five in ten seconds, evenly spaced.
const REPORTS_EVERY: TimeDelta = TimeDelta::seconds(5);
/// Half of one a second.
const RISK_EVERY: TimeDelta = TimeDelta::seconds(2);

/// The time that windows run on.
fn window_time(stream: &str, raw: &[u8]) -> DateTime<Utc> {
    let record: Value = serde_json::from_slice(raw).unwrap();
    match stream {
        "risk_detections" | "service_principal_risk_detections" => time(&record["lastUpdatedDateTime"]),
        "directory_audits" | "provisioning" => time(&record["activityDateTime"]),
        _ => time(&record["createdDateTime"]),
    }
}

/// Asserts that each record that was visible in time arrived within two polls of that, half of them within one, and
/// each later one by the next horizon, its batch and `queue`.
fn assert_fresh(entra: &Entra, town: &Town, streams: &[&str], queue: TimeDelta) {
    let documents = documents(&town.elastic);
    let horizons = [TimeDelta::minutes(15), TimeDelta::hours(2), TimeDelta::days(1)];
    let visible_after = TimeDelta::minutes(2);
    for stream in streams {
        let poll = if stream.contains("risk") { TimeDelta::minutes(2) } else { TimeDelta::minutes(1) };
        let (mut prompt, mut late) = (Vec::new(), 0);
        for record in known(entra).iter().filter(|known| known.stream == *stream) {
            let version = &record.versions[0];
            let at = window_time(stream, &version.raw);
            let arrived = time(&documents[std::str::from_utf8(&version.raw).unwrap()]["event"]["ingested"]);
            assert!(arrived >= version.visible_at);
            if version.visible_at <= at + visible_after {
                prompt.push(arrived - (at + visible_after));
                continue;
            }
            late += 1;
            let horizon = *horizons.iter().find(|horizon| version.visible_at <= at + **horizon).unwrap();
            let bound = at + horizon + horizon / 4 + queue;
            assert!(arrived <= bound, "{stream}: {} late, {} over", version.visible_at - at, arrived - bound);
        }
        prompt.sort_unstable();
        assert!(prompt.len() > 100 && late > 10, "{stream}: {} in time, {late} late", prompt.len());
        let (p50, worst) = (prompt[prompt.len() / 2], prompt[prompt.len() - 1]);
        assert!(p50 <= poll, "{stream}: {p50} at p50");
        assert!(worst <= poll * 2, "{stream}: {worst} at worst");
    }
}

async fn start_all(town: &Town, tenants: &[impl AsRef<str>]) -> Vec<Running> {
    let mut running = Vec::new();
    for tenant in tenants {
        running.push(Running::start(&town.world, &town.config, tenant.as_ref(), "test").await.unwrap());
    }
    running
}

/// Asserts that requests are this far apart, all of them.
fn assert_even(requests: &[RequestEntry], apart: TimeDelta) {
    for pair in requests.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= apart, "{gap} between {} and {}", pair[0].path, pair[1].path);
    }
}

#[tokio::test(start_paused = true)]
async fn records_arrive_within_a_poll_of_their_time_and_late_ones_by_the_next_horizon() {
    // Some are later than anybody promised: only the day finds them.
    let tail = vec![
        (0.90, TimeDelta::minutes(2)),
        (0.04, TimeDelta::minutes(5)),
        (0.04, TimeDelta::hours(2)),
        (0.02, TimeDelta::hours(20)),
    ];
    let streams = ["sign_ins", "sign_ins_non_interactive", "directory_audits", "risk_detections"];
    let generate = streams.map(|stream| Generate {
        lateness: Lateness(tail.clone()),
        mutated: 0.0,
        ..Generate::new(stream, 5, 500, base(), TimeDelta::hours(6))
    });
    let entra = entra(generated(generate.to_vec()));
    // The default streams, as they are by default.
    let town = town(&entra, "");
    town.run(38 * HOUR).await;
    assert_arrived(&entra, &town);
    assert_fresh(&entra, &town, &streams, TimeDelta::minutes(1));
}

#[tokio::test(start_paused = true)]
async fn steady_state_is_never_refused_beside_a_competitor_and_takes_half_evenly_spaced() {
    let streams = STREAMS.map(|(stream, _)| stream);
    let generate = streams.map(|stream| Generate {
        lateness: Lateness(vec![(0.9, TimeDelta::minutes(2)), (0.1, TimeDelta::minutes(10))]),
        mutated: 0.0,
        ..Generate::new(stream, 41, 600, base(), TimeDelta::hours(5))
    });
    let config = EntraConfig { foreign: Some(Foreign::default()), ..generated(generate.to_vec()) };
    let entra = entra(config);
    let town = town(&entra, "streams = [\"*\"]\nlimit = 20");
    town.run(6 * HOUR).await;
    assert_arrived(&entra, &town);
    // Sweeps take one request in ten seconds. Six logs have them due at the same moment, at up to three horizons.
    assert_fresh(&entra, &town, &streams, TimeDelta::minutes(4));

    assert_eq!(entra.refused(), 0);
    let (reports, risk) = (asked(&entra, REPORTS), asked(&entra, RISK));
    assert!(reports.len() > 2_000 && risk.len() > 300, "{} and {}", reports.len(), risk.len());
    assert!(entra.requests().iter().all(|request| request.status == 200));
    assert_even(&reports, REPORTS_EVERY);
    assert_even(&risk, RISK_EVERY);
    assert!(most_within(&reports, TimeDelta::seconds(10)) <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_of_four_weeks_takes_all_of_our_share_and_not_more() {
    let streams = ["sign_ins", "sign_ins_non_interactive", "directory_audits"];
    let generate =
        streams.map(|stream| plain(stream, 51, 3_000, base() - TimeDelta::days(29), TimeDelta::days(28)));
    let entra = entra(EntraConfig { foreign: Some(Foreign::default()), ..generated(generate.to_vec()) });
    // Graph takes its time: one request after the other would be too few.
    let slow =
        RandomFaults { seed: 1, rate: 1.0, kinds: vec![Fault::Delay { ms: 13_000 }], path: REPORTS.into() };
    entra.set_random_faults(Some(slow));
    let keys = "streams = [\"sign_ins\", \"sign_ins_non_interactive\", \"directory_audits\"]\nlimit = 25\nstart = \"10m\"";
    let town = town(&entra, keys);
    town.run(2 * MINUTE).await;
    for stream in streams {
        ask_for(&town, stream, base() - TimeDelta::days(29)).await;
    }
    let from = town.clock.now();
    let mut tenant = town.start().await;
    let mut done = from;
    while town.state().works.iter().any(|work| work.lane == tidegate_core::journal::Lane::Backfill) {
        tokio::time::sleep(SECOND * 10).await;
        done = town.clock.now();
        assert!(done - from < TimeDelta::hours(6), "the backfill does not end");
    }
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    let requests: Vec<_> = asked(&entra, REPORTS)
        .into_iter()
        .filter(|request| request.at >= from && request.at < done)
        .collect();
    let possible = (done - from).num_seconds() / REPORTS_EVERY.num_seconds();
    let (sent, of) = (requests.len(), usize::try_from(possible).unwrap());
    assert!(of > 400, "too short to say anything: {of}");
    assert!(sent * 100 >= of * 95, "{sent} of {of} requests that our share allows");
    assert_eq!(entra.refused(), 0);
    assert_even(&requests, REPORTS_EVERY);
    for stream in streams {
        assert_whole(&town, stream, base() - TimeDelta::days(29), base());
    }
}

#[tokio::test(start_paused = true)]
async fn directories_of_one_app_share_its_bucket_fairly_and_none_is_refused_or_starves() {
    const DIRECTORIES: usize = 40;
    let id = |n: usize| format!("44444444-0000-4000-8000-{n:012}");
    let tenants = (0..DIRECTORIES).map(|n| Tenant::new(&id(n)).grant(DEFAULT_APP)).collect();
    let generate = (0..DIRECTORIES)
        .map(|n| Generate {
            tenant: Some(id(n)),
            ..plain("sign_ins", n as u64, 250, base() - TimeDelta::hours(20), TimeDelta::hours(19))
        })
        .collect();
    let config = EntraConfig { tenants, foreign: Some(Foreign::default()), ..generated(generate) };
    let entra = entra(config);
    let sources: Vec<_> = (0..DIRECTORIES)
        .map(|n| {
            source(&format!("t{n}"), "entra", &id(n), DEFAULT_APP, "streams = [\"sign_ins\"]\nlimit = 5\n")
        })
        .collect();
    let town = town_with(&entra, ElasticsearchConfig::default(), &sources.concat());
    let names: Vec<_> = (0..DIRECTORIES).map(|n| format!("t{n}")).collect();
    let mut running = start_all(&town, &names).await;
    // All of them have more to read than there is room: 40 times two in ten seconds are more than 61.
    tokio::time::sleep(3 * MINUTE).await;
    let first: Vec<_> = asked(&entra, REPORTS);
    let tokens: usize = DIRECTORIES;
    assert_eq!(asked(&entra, "/oauth2/").len(), tokens, "one token each");
    assert_eq!(entra.refused(), 0);
    assert!(most_within(&first, TimeDelta::seconds(10)) <= 61);
    assert!(first.len() * 100 >= 6 * 180 * 95, "{} requests in three minutes", first.len());
    let boards: Vec<_> = running.iter().map(|tenant| tenant.board.sources()["entra"].polls).collect();
    let (least, most) = (boards.iter().min().unwrap(), boards.iter().max().unwrap());
    assert!(most - least <= 2, "{boards:?}");
    for tenant in &mut running {
        tenant.drain().await;
        tenant.stop().await;
    }
    assert_eq!(entra.refused(), 0);
    assert_arrived(&entra, &town);
}

const OTHER: &str = "5f0c2a9e-5b7d-4e61-8a4f-1d2c3b4a5f61";

#[tokio::test(start_paused = true)]
async fn two_apps_of_ours_in_one_directory_are_one_at_identity_protection() {
    let risk = ["risk_detections", "service_principal_risk_detections"];
    let generate =
        risk.map(|stream| plain(stream, 61, 800, base() - TimeDelta::hours(20), TimeDelta::hours(23)));
    let mut config = generated(generate.to_vec());
    config.apps.push(App::new(OTHER, Credential::secret(DEFAULT_SECRET)));
    config.tenants = vec![Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP).grant(OTHER)];
    let entra = entra(config);
    let keys = |stream: &str| format!("streams = [\"{stream}\"]\nlimit = 5");
    let sources = [
        source("users", "entra", DEFAULT_TENANT, DEFAULT_APP, &keys(risk[0])),
        source("workloads", "entra", DEFAULT_TENANT, OTHER, &keys(risk[1])),
    ];
    let town = town_with(&entra, ElasticsearchConfig::default(), &sources.concat());
    let mut running = start_all(&town, &["users", "workloads"]).await;
    tokio::time::sleep(4 * HOUR).await;
    for tenant in &mut running {
        tenant.drain().await;
        tenant.stop().await;
    }
    assert_arrived(&entra, &town);
    let requests = asked(&entra, RISK);
    assert!(requests.len() > 500, "{}", requests.len());
    assert_eq!(entra.refused(), 0);
    assert_even(&requests, RISK_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_app_at_identity_protection_costs_time_and_no_record() {
    let generate = plain("risk_detections", 62, 1_000, base() - TimeDelta::hours(20), TimeDelta::hours(23));
    let foreign = Foreign { identity_protection_every_s: Some(3), ..Foreign::default() };
    let entra = entra(EntraConfig { foreign: Some(foreign), ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"risk_detections\", \"directory_audits\"]\nlimit = 5");
    town.run(4 * HOUR).await;
    assert_arrived(&entra, &town);
    let requests = asked(&entra, RISK);
    let refused = requests.iter().filter(|request| request.status == 429).count();
    assert!(refused > 0, "it never met the other");
    // It takes every third second, so a third of ours meet it; who came back at once would be refused again and again.
    assert!(refused * 2 < requests.len(), "{refused} of {}", requests.len());
    assert_even(&requests, RISK_EVERY);
    // The reports know nothing of it.
    let audits = asked(&entra, "directoryAudits");
    assert!(audits.len() > 50 && audits.iter().all(|request| request.status == 200));
    assert_whole(&town, "risk_detections", base() - TimeDelta::hours(23), base() + TimeDelta::hours(3));
}
