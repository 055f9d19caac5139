//! Records that change: what is a revision, however late, and what is none.

use super::*;
use serde_json::json;

fn detection(state: &str, updated: DateTime<Utc>) -> Value {
    json!({
        "id": "6f1c0a7b", "riskEventType": "unfamiliarFeatures", "riskState": state, "riskLevel": "medium",
        "riskDetail": "none", "source": "IdentityProtection", "activity": "signin", "ipAddress": "192.0.2.61",
        "detectedDateTime": ago(600), "lastUpdatedDateTime": updated,
        "userId": "5b1e0000-0000-4000-8000-000000000061", "userPrincipalName": "kim.roe@example.com",
    })
}

fn sign_in(failure: &str) -> Value {
    json!({
        "id": "0a51e000-0000-4000-8000-000000000062", "createdDateTime": ago(600),
        "userPrincipalName": "kim.roe@example.com", "userId": "5b1e0000-0000-4000-8000-000000000061",
        "ipAddress": "192.0.2.62", "isInteractive": true, "signInEventTypes": ["interactiveUser"],
        "status": { "errorCode": 50_074, "failureReason": failure },
    })
}

fn revisions(town: &Town) -> Vec<(String, bool)> {
    let mut all: Vec<_> = documents(&town.elastic)
        .into_values()
        .map(|document| {
            let revised =
                document["tags"].as_array().is_some_and(|tags| tags.contains(&"tidegate_revision".into()));
            let record: Value =
                serde_json::from_str(document["event"]["original"].as_str().unwrap()).unwrap();
            (
                record["riskState"]
                    .as_str()
                    .or(record["status"]["failureReason"].as_str())
                    .unwrap()
                    .to_owned(),
                revised,
            )
        })
        .collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn a_detection_that_changes_a_month_later_is_delivered_as_a_revision_of_the_same_record() {
    let entra = entra(EntraConfig::default());
    let changed = base() + TimeDelta::days(31);
    let versions = vec![
        version(ago(300), &detection("atRisk", ago(590))),
        version(changed + TimeDelta::minutes(9), &detection("remediated", changed)),
    ];
    assert!(entra.add_record("risk_detections", ago(600), versions));
    let generate =
        Generate { mutated: 0.5, ..Generate::new("risk_detections", 7, 200, base(), TimeDelta::days(2)) };
    entra.add_generated(&generate);
    let town = town(&entra, "streams = [\"risk_detections\"]\npoll = \"20m\"\nsettle = [\"4h\"]");
    town.run(32 * DAY).await;
    let all = known(&entra);
    let by = town.clock.now() - TimeDelta::hours(6);
    assert!(all.iter().filter(|known| known.versions.len() > 1).count() > 50);
    assert_all_arrived(&all, &town.elastic, by);
    let ours: Vec<_> = documents(&town.elastic)
        .into_values()
        .filter(|document| document["event"]["original"].as_str().unwrap().contains("6f1c0a7b"))
        .collect();
    assert_eq!(ours.len(), 2);
    let [first, second] = ["atRisk", "remediated"].map(|state| {
        let is = |document: &&Value| document["event"]["original"].as_str().unwrap().contains(state);
        ours.iter().find(is).unwrap().clone()
    });
    assert!(!first["tags"].to_string().contains("tidegate_revision"), "{first}");
    assert!(second["tags"].to_string().contains("tidegate_revision"), "{second}");
    assert_eq!(first["event"]["id"], second["event"]["id"], "the id stays");
    assert_eq!(first["@timestamp"], second["@timestamp"], "and so does its time");
    let waited = time(&second["event"]["ingested"]) - changed;
    assert!(waited < TimeDelta::hours(6), "{waited}");
    assert_whole(&town, "risk_detections", base() - TimeDelta::hours(23), by);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_comes_back_is_a_third_version_by_the_vendors_stamp() {
    let entra = entra(EntraConfig::default());
    let at = |minutes| base() + TimeDelta::minutes(minutes);
    let versions = vec![
        version(ago(500), &detection("atRisk", ago(590))),
        version(at(20), &detection("dismissed", at(19))),
        version(at(40), &detection("atRisk", at(39))),
    ];
    assert!(entra.add_record("risk_detections", ago(600), versions));
    let town = town(&entra, "streams = [\"risk_detections\"]");
    town.run(4 * HOUR).await;
    let expected = [("atRisk", false), ("atRisk", true), ("dismissed", true)];
    assert_eq!(revisions(&town), expected.map(|(state, revised)| (state.to_owned(), revised)));
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_comes_back_without_a_stamp_is_what_it_was() {
    let entra = entra(EntraConfig::default());
    let versions = vec![
        version(ago(550), &sign_in("Other.")),
        // Behind the first poll, before the sweep after a quarter of an hour; and before the one after two hours.
        version(base() + TimeDelta::minutes(2), &sign_in("Strong authentication is required.")),
        version(base() + TimeDelta::minutes(60), &sign_in("Other.")),
    ];
    assert!(entra.add_record("sign_ins", ago(600), versions));
    let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"15m\"");
    town.run(31 * HOUR).await;
    let expected = [("Other.", false), ("Strong authentication is required.", true)];
    assert_eq!(revisions(&town), expected.map(|(state, revised)| (state.to_owned(), revised)));
    let asked = asked(&entra, "signIns")
        .iter()
        .filter_map(bounds)
        .filter(|(from, to)| (*from..=*to).contains(&ago(600)))
        .count();
    assert_eq!(asked, 4, "read by the fast lane, and at each of three horizons");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_used_again_in_the_final_log_of_audits_reaches_the_sink() {
    let audit = |activity: &str| {
        json!({
            "id": "Directory_0a51e000_ABCDE_63", "activityDateTime": ago(600), "activityDisplayName": activity,
            "category": "UserManagement", "result": "success", "loggedByService": "Core Directory",
        })
    };
    let entra = entra(EntraConfig::default());
    for activity in ["Update user", "Delete user"] {
        assert!(entra.add_record("directory_audits", ago(600), vec![version(ago(550), &audit(activity))]));
    }
    let town = town(&entra, "streams = [\"directory_audits\"]");
    town.run(3 * HOUR).await;
    assert_eq!(documents(&town.elastic).len(), 2);
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn a_detection_at_the_very_edge_of_a_window_comes_back_and_is_neither_doubled_nor_read_for_ever() {
    let entra = entra(EntraConfig::default());
    // Whole seconds, one after the other: each window's edge falls on one of them.
    for second in 0..600 {
        let at = base() + TimeDelta::seconds(second);
        let mut record = detection("atRisk", at);
        record["id"] = format!("edge-{second}").into();
        assert!(entra.add_record("risk_detections", ago(600), vec![version(at, &record)]));
    }
    let town = town(&entra, "streams = [\"risk_detections\"]\nlimit = 50");
    let mut tenant = town.start().await;
    tokio::time::sleep(31 * HOUR).await;
    let source = tenant.board.sources()["entra"].clone();
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    assert_eq!((source.fetched, source.revisions, town.elastic.conflicts()), (600, 0, 0));
    // Once by the fast lane, once at each of three horizons, and a few on both sides of an edge.
    assert!((1_801..2_000).contains(&source.duplicates), "{}", source.duplicates);
    let rows = ledger(&town, "risk_detections");
    let ours = rows.iter().filter(|row| row.from < base() + TimeDelta::minutes(10) && row.to > base());
    assert!(ours.clone().count() > 0 && ours.clone().all(|row| row.grade == Grade::Settled), "{rows:#?}");
}
