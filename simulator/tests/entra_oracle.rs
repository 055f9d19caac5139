//! What the stand-in knows of its records, and whether its answers say the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod entra_support;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use entra_support::{after, filtered, get, ids, json, next_link, roomy, start, token, token_of, walk};
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, value::RawValue};
use tidegate_simulator::entra::{DEFAULT_APP, DEFAULT_TENANT, Entra, EntraConfig, Generate, Tenant};
use tidegate_simulator::{Known, RandomFaults, Version};

const SIGN_INS: &str = "/beta/auditLogs/signIns";
const RISK: &str = "/beta/identityProtection/riskDetections";

/// Path, and the filter that tells the stream apart.
const STREAMS: [(&str, &str, &str); 8] = [
    ("sign_ins", SIGN_INS, "interactiveUser"),
    ("sign_ins_non_interactive", SIGN_INS, "nonInteractiveUser"),
    ("sign_ins_service_principal", SIGN_INS, "servicePrincipal"),
    ("sign_ins_managed_identity", SIGN_INS, "managedIdentity"),
    ("directory_audits", "/beta/auditLogs/directoryAudits", ""),
    ("provisioning", "/beta/auditLogs/provisioning", ""),
    ("risk_detections", RISK, ""),
    ("service_principal_risk_detections", "/beta/identityProtection/servicePrincipalRiskDetections", ""),
];

fn path(path: &str, kind: &str) -> String {
    if kind.is_empty() {
        return path.to_owned();
    }
    filtered(path, &format!("signInEventTypes/any(t: t eq '{kind}')"))
}

/// All pages, each row byte for byte as it was sent.
fn raw_rows(entra: &Entra, token: &str, path: &str, now: DateTime<Utc>) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Page {
        value: Vec<Box<RawValue>>,
    }
    let (mut next, mut all) = (Some(path.to_owned()), Vec::new());
    while let Some(path) = next {
        let answer = get(entra, token, &path, now);
        let page: Page = serde_json::from_slice(&answer.body).unwrap();
        all.extend(page.value.iter().map(|row| row.get().to_owned()));
        next = next_link(&answer);
    }
    all.sort();
    all
}

fn of(known: &[Known], stream: &str) -> Vec<Known> {
    known.iter().filter(|known| known.stream == stream).cloned().collect()
}

fn all_streams(seed: u64, records: usize) -> EntraConfig {
    let generate = STREAMS
        .iter()
        .map(|(stream, ..)| Generate::new(stream, seed, records, start(), TimeDelta::hours(2)))
        .collect();
    EntraConfig { generate, access_token_life: TimeDelta::days(60), ..roomy() }
}

#[test]
fn every_answer_holds_exactly_the_versions_of_its_moment_byte_for_byte() {
    let entra = Entra::new(all_streams(3, 150));
    let token = token(&entra, start());
    let known = entra.known();
    for (stream, route, kind) in STREAMS {
        for minutes in [0, 17, 61, 125, 300, 60 * 24 * 25] {
            let now = start() + TimeDelta::minutes(minutes);
            let mut expected: Vec<String> = of(&known, stream)
                .iter()
                .filter_map(|known| known.at(now))
                .map(|version| String::from_utf8(version.raw.to_vec()).unwrap())
                .collect();
            expected.sort();
            assert_eq!(raw_rows(&entra, &token, &path(route, kind), now), expected, "{stream} {minutes}");
        }
        let late = of(&known, stream).iter().map(|k| k.versions[0].visible_at - k.occurred_at).max();
        assert!(late.unwrap() <= TimeDelta::hours(2), "{stream}");
    }
}

#[test]
fn records_come_as_late_as_the_vendor_is() {
    let share = |stream: &str, within: TimeDelta| {
        let entra = Entra::new(EntraConfig {
            generate: vec![Generate::new(stream, 9, 4_000, start(), TimeDelta::hours(8))],
            ..roomy()
        });
        let known = entra.known();
        let soon = known.iter().filter(|k| k.versions[0].visible_at - k.occurred_at <= within).count();
        soon as f64 / known.len() as f64
    };
    assert!((0.94..0.96).contains(&share("sign_ins", TimeDelta::minutes(2))));
    assert!((0.985..0.995).contains(&share("directory_audits", TimeDelta::minutes(5))));
    assert!(share("risk_detections", TimeDelta::minutes(5)) < 0.01);
    assert!((share("risk_detections", TimeDelta::hours(2)) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_sign_in_changes_in_place_within_two_hours() {
    let entra = Entra::new(all_streams(4, 400));
    let token = token(&entra, start());
    let changing: Vec<Known> =
        of(&entra.known(), "sign_ins").into_iter().filter(|known| known.versions.len() > 1).collect();
    assert!((20..=120).contains(&changing.len()), "{}", changing.len());
    let mut completed = 0;
    for known in &changing {
        let last = known.versions.last().unwrap();
        assert!(last.visible_at - known.occurred_at <= TimeDelta::hours(2) + TimeDelta::minutes(2));
        for version in &known.versions {
            let answer = get(&entra, &token, &format!("{SIGN_INS}/{}", known.id), version.visible_at);
            let served = json(&answer);
            let expected: Value = serde_json::from_slice(&version.raw).unwrap();
            assert_eq!(served["status"], expected["status"]);
            assert_eq!(served["createdDateTime"], expected["createdDateTime"], "its time stays");
        }
        let code = |version: &Version| {
            let row: Value = serde_json::from_slice(&version.raw).unwrap();
            row["status"]["errorCode"].as_u64().unwrap()
        };
        completed += u32::from(code(&known.versions[0]) == 50_074 && code(last) == 0);
    }
    assert!(completed > 0, "an interrupt becomes a success");
}

#[test]
fn a_detection_that_changes_moves_to_another_window() {
    let generate = Generate {
        mutated: 1.0,
        odd: 0.0,
        ..Generate::new("risk_detections", 4, 50, start(), TimeDelta::hours(1))
    };
    let config = EntraConfig { generate: vec![generate], access_token_life: TimeDelta::days(60), ..roomy() };
    let entra = Entra::new(config);
    let token = token(&entra, start());
    let updated = |version: &Version| -> DateTime<Utc> {
        let row: Value = serde_json::from_slice(&version.raw).unwrap();
        row["lastUpdatedDateTime"].as_str().unwrap().parse().unwrap()
    };
    let mut latest = TimeDelta::zero();
    for known in entra.known() {
        let (first, last) = (&known.versions[0], known.versions.last().unwrap());
        assert!(updated(first) >= known.occurred_at && updated(first) <= first.visible_at);
        assert!(updated(last) > updated(first) && updated(last) <= last.visible_at);
        latest = latest.max(updated(last) - known.occurred_at);
        let finds = |at: DateTime<Utc>, now: DateTime<Utc>| {
            let at = at.format("%Y-%m-%dT%H:%M:%S%.9fZ");
            let filter = format!("lastUpdatedDateTime ge {at} and lastUpdatedDateTime le {at}");
            walk(&entra, &token, &filtered(RISK, &filter), now)
                .iter()
                .any(|row| row["id"] == known.id.as_str())
        };
        assert!(finds(updated(first), first.visible_at));
        assert!(!finds(updated(first), last.visible_at), "it has left its window");
        assert!(finds(updated(last), last.visible_at));
    }
    assert!(latest > TimeDelta::days(7), "{latest}");
}

#[test]
fn a_near_duplicate_has_another_id_and_the_same_correlation() {
    let plan = Generate {
        near_duplicates: 1.0,
        mutated: 0.0,
        odd: 0.0,
        ..Generate::new("sign_ins", 1, 10, start(), TimeDelta::minutes(1))
    };
    let entra = Entra::new(EntraConfig { generate: vec![plan], ..roomy() });
    let mut by_correlation: HashMap<String, Vec<String>> = HashMap::new();
    for known in entra.known() {
        let row: Value = serde_json::from_slice(&known.versions[0].raw).unwrap();
        by_correlation.entry(row["correlationId"].to_string()).or_default().push(known.id);
    }
    assert!(by_correlation.len() == 10 && by_correlation.values().all(|ids| ids[0] != ids[1]));
}

#[test]
fn the_same_seed_gives_the_same_records_and_answers() {
    let run = |seed: u64| {
        let config = EntraConfig {
            random_faults: Some(RandomFaults { seed, rate: 0.3, kinds: Vec::new(), path: "beta".into() }),
            ..all_streams(seed, 60)
        };
        let entra = Entra::new(config);
        let token = token(&entra, start());
        let answers: Vec<(u16, Bytes)> = (0..60)
            .map(|number| get(&entra, &token, &format!("{SIGN_INS}?$top=7"), after(number * 120)))
            .map(|answer| (answer.status.as_u16(), answer.body))
            .collect();
        (entra.known(), answers)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    let statuses: BTreeMap<u16, usize> = run(1).1.iter().fold(BTreeMap::new(), |mut map, (status, _)| {
        *map.entry(*status).or_default() += 1;
        map
    });
    assert!(statuses.len() >= 3, "{statuses:?}");
}

#[test]
fn tenants_are_apart() {
    let other = "44444444-0000-4000-8000-000000000001";
    let plan = |tenant: &str, seed| Generate {
        tenant: Some(tenant.to_owned()),
        ..Generate::new("directory_audits", seed, 20, after(-86_400), TimeDelta::hours(1))
    };
    let entra = Entra::new(EntraConfig {
        tenants: vec![Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP), Tenant::new(other).grant(DEFAULT_APP)],
        generate: vec![plan(DEFAULT_TENANT, 1), plan(other, 2)],
        ..roomy()
    });
    for tenant in [DEFAULT_TENANT, other] {
        let token = token_of(&entra, tenant, start());
        let mut served = ids(&get(&entra, &token, "/v1.0/auditLogs/directoryAudits", start()));
        let mut known: Vec<String> = entra.known_of(tenant).into_iter().map(|known| known.id).collect();
        served.sort();
        known.sort();
        assert_eq!((served.len(), served), (20, known));
    }
    assert_eq!(entra.known().len(), 40);
}

#[test]
fn nothing_is_a_legal_number_of_records_and_an_unknown_stream_has_none() {
    let plan = |stream: &str| Generate::new(stream, 1, 0, start(), TimeDelta::zero());
    let entra = Entra::new(EntraConfig { generate: vec![plan("sign_ins")], ..roomy() });
    assert_eq!(entra.add_generated(&Generate { records: 5, ..plan("directory_audits") }), 5);
    assert_eq!(entra.add_generated(&Generate { records: 5, ..plan("system_log") }), 0);
    assert!(!entra.add_record("system_log", start(), Vec::new()));
    assert_eq!(entra.known().len(), 5);
}

#[test]
fn records_are_varied_and_tell_of_mfa() {
    let entra = Entra::new(EntraConfig {
        generate: vec![Generate::new("sign_ins", 2, 2_000, start(), TimeDelta::hours(1))],
        ..roomy()
    });
    let known = entra.known();
    let last = |known: &Known| String::from_utf8(known.versions.last().unwrap().raw.to_vec()).unwrap();
    for text in [
        "user declined the authentication",
        "reported fraud",
        "did not respond",
        "satisfied by claim in the token",
        "FIDO2 security key",
        "\"errorCode\":50126",
        "\"errorCode\":50072",
        "deviceCode",
        "IMAP4",
        "伊藤 蓮",
        "b2bCollaboration",
        "203.0.113.XXX",
        "agenticAppInstance",
        "\"atRisk\"",
    ] {
        assert!(known.iter().any(|known| last(known).contains(text)), "{text}");
    }
    let equal = known.windows(2).filter(|pair| pair[0].occurred_at == pair[1].occurred_at).count();
    assert!(equal > 100, "{equal} neighbours with equal times");
    let digits: std::collections::BTreeSet<usize> = known
        .iter()
        .map(|known| {
            let row: Value = serde_json::from_slice(&known.versions[0].raw).unwrap();
            row["createdDateTime"].as_str().unwrap().split_once('.').map_or(0, |(_, rest)| rest.len() - 1)
        })
        .collect();
    assert!([0, 3, 6, 7].iter().all(|count| digits.contains(count)), "{digits:?}");
}

#[test]
fn a_week_of_twenty_thousand_rows_is_read_in_windows_of_minutes() {
    let week = TimeDelta::days(7);
    let plan = Generate { mutated: 0.0, ..Generate::new("directory_audits", 6, 20_000, start(), week) };
    let entra =
        Entra::new(EntraConfig { generate: vec![plan], access_token_life: TimeDelta::days(9), ..roomy() });
    let token = token(&entra, start());
    let mut served = HashSet::new();
    let end = start() + week + TimeDelta::hours(3);
    for window in 0..(7 * 24 * 12) {
        let from = start() + TimeDelta::minutes(5 * window);
        let filter = format!(
            "activityDateTime ge {} and activityDateTime le {}",
            from.format("%Y-%m-%dT%H:%M:%SZ"),
            (from + TimeDelta::minutes(5)).format("%Y-%m-%dT%H:%M:%SZ"),
        );
        let answer = get(&entra, &token, &filtered("/beta/auditLogs/directoryAudits", &filter), end);
        served.extend(ids(&answer));
    }
    assert_eq!(served.len(), 20_000);
}

#[test]
fn the_control_api_plays_the_whole_stand_in() {
    let entra = Entra::new(roomy());
    let post = |path: &str, body: &str| {
        let request = Request::post(path).body(Bytes::from(body.to_owned())).unwrap();
        let answer = entra.handle(&request, start());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        json(&answer)
    };
    let ask = |path: &str| entra.handle(&Request::get(path).body(Bytes::new()).unwrap(), start());
    let order = r#"{"stream": "sign_ins", "generate": 20, "start": "2026-01-15T06:00:00Z", "spread_s": 60, "seed": 3}"#;
    assert_eq!(post("/_sim/records", order)["added"], 20);
    let order = r#"{"stream": "directory_audits", "record": {"id": "PIM_1", "activityDateTime": "2026-01-15T10:00:00Z"}}"#;
    assert_eq!(post("/_sim/records", order)["added"], 1);
    let known = json(&ask("/_sim/known?stream=directory_audits"));
    assert_eq!(known["known"][0]["id"], "PIM_1");
    assert_eq!(json(&ask("/_sim/documents?id=PIM_1"))["id"], "PIM_1");
    let totals = json(&ask("/_sim/totals"));
    assert_eq!((&totals["records"], &totals["by_stream"]["sign_ins"]), (&21.into(), &20.into()));

    let token = token(&entra, start());
    post("/_sim/access", r#"{"licence": "free"}"#);
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 403);
    post("/_sim/access", r#"{"licence": "p2", "expire_tokens": true}"#);
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 401);
    post("/_sim/access", &format!(r#"{{"roles": {{"app": "{DEFAULT_APP}", "roles": []}}}}"#));
    let token = entra_support::token(&entra, start());
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 403);
    let app = format!(
        r#"{{"apps": [{{"id": "{DEFAULT_APP}", "credentials": [{{"secret": {{"value": "rotated"}}}}]}}]}}"#
    );
    post("/_sim/access", &app);
    let answer = entra_support::post_token(&entra, DEFAULT_TENANT, &entra_support::BY_SECRET, start());
    assert_eq!(entra_support::aadsts(&answer), (401, 7_000_215));
    post("/_sim/faults", r#"{"script": [{"path": "signIns", "fault": {"kind": "gateway_timeout"}}]}"#);
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 504);
    post("/_sim/clock", r#"{"advance_s": 7200}"#);
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 401);
    assert_eq!(ask("/_sim/nothing").status, 404);
    let log = entra.requests();
    assert!(log.iter().all(|entry| !entry.path.starts_with("/_sim/")));
    assert!(log.iter().any(|entry| entry.auth.as_deref() == Some("Bearer")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in, an answer goes out.
    #[test]
    fn no_query_upsets_the_stand_in(query in ".{0,60}", filter in "[ a-zA-Z()':/0-9.,-]{0,60}") {
        let entra = Entra::new(all_streams(1, 3));
        let token = token(&entra, start());
        for text in [query, filter] {
            let status = get(&entra, &token, &filtered(SIGN_INS, &text), after(60)).status;
            prop_assert!(status == 200 || status == 400);
        }
    }
}
