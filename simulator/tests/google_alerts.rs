//! `alerts.list` as its contract has it, played in process under a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod google_support;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use google_support::{access_token, body, customer, get, page, plan, refusal, start, text, walk};
use serde_json::Value;
use tidegate_simulator::google::{Generate, Google, GoogleConfig, Limits};
use tidegate_simulator::{Fault, ScriptedFault};

fn google() -> Google {
    Google::new(customer(vec![Generate { mutated: 0.5, ..plan("alerts", 200) }]))
}

fn later() -> DateTime<Utc> {
    start() + TimeDelta::days(20)
}

fn uri(pairs: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("/v1beta1/alerts?{query}")
}

fn list(google: &Google, pairs: &[(&str, &str)], now: DateTime<Utc>) -> Vec<Value> {
    walk(google, &uri(pairs), "alerts", now).0
}

fn times(alerts: &[Value], name: &str) -> Vec<DateTime<Utc>> {
    alerts.iter().map(|alert| alert[name].as_str().unwrap().parse().unwrap()).collect()
}

fn ids(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert["alertId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn alerts_come_in_the_order_that_is_asked_for() {
    let google = google();
    for size in ["7", "200"] {
        let ascending = list(&google, &[("orderBy", "create_time asc"), ("pageSize", size)], later());
        assert!(times(&ascending, "createTime").is_sorted());
        assert_eq!(ids(&ascending).len(), 200);
        let mut descending = list(&google, &[("orderBy", "create_time desc"), ("pageSize", size)], later());
        descending.reverse();
        assert_eq!(ascending, descending);
        let updated = list(&google, &[("orderBy", "update_time desc"), ("pageSize", size)], later());
        assert!(times(&updated, "updateTime").into_iter().rev().is_sorted());
        assert_eq!((updated.len(), ids(&updated)), (200, ids(&ascending)));
    }
}

#[test]
fn without_an_order_it_is_arbitrary_and_still_complete() {
    let google = google();
    let alerts = list(&google, &[("pageSize", "9")], later());
    assert_eq!((alerts.len(), ids(&alerts).len()), (200, 200));
    let created = times(&alerts, "createTime");
    assert!(!created.is_sorted() && !created.into_iter().rev().is_sorted());
}

#[test]
fn alerts_mutate_and_only_the_present_version_is_seen() {
    let google = google();
    let known = google.known();
    assert!(
        known.iter().any(|known| known.versions.len() == 4)
            && known.iter().any(|known| known.versions.len() == 1)
    );
    for now in [start() + TimeDelta::hours(1), start() + TimeDelta::hours(9), later()] {
        let mut expected: Vec<Value> = known
            .iter()
            .filter_map(|known| Some(serde_json::from_slice(&known.at(now)?.raw).unwrap()))
            .collect();
        let mut found = list(&google, &[("orderBy", "update_time desc")], now);
        let key = |alert: &Value| alert["alertId"].as_str().unwrap().to_owned();
        expected.sort_by_key(key);
        found.sort_by_key(key);
        assert_eq!(found, expected);
    }
    for known in &known {
        assert!(known.versions.is_sorted_by(|a, b| a.visible_at < b.visible_at));
        let versions: Vec<Value> =
            known.versions.iter().map(|version| serde_json::from_slice(&version.raw).unwrap()).collect();
        assert!(times(&versions, "updateTime").is_sorted_by(|a, b| a < b));
        assert!(versions.iter().all(|version| version["createTime"] == versions[0]["createTime"]));
        assert_eq!(times(&versions, "createTime")[0], known.occurred_at);
        assert_eq!(versions[0]["metadata"]["status"], "NOT_STARTED");
    }
}

#[test]
fn a_filter_on_the_update_time_finds_what_changed() {
    let google = google();
    let from = start() + TimeDelta::hours(12);
    let filter = format!("updateTime >= \"{}\"", text(from));
    for order in [None, Some("update_time desc"), Some("create_time asc")] {
        let mut pairs = vec![("filter", filter.as_str()), ("pageSize", "8")];
        pairs.extend(order.map(|order| ("orderBy", order)));
        let changed = list(&google, &pairs, later());
        let all = list(&google, &[], later());
        let expected = all.iter().filter(|alert| times(std::slice::from_ref(alert), "updateTime")[0] >= from);
        assert_eq!(ids(&changed), ids(&expected.cloned().collect::<Vec<_>>()), "{order:?}");
        assert!(changed.len() > 20 && changed.len() < 150, "{}", changed.len());
    }
}

#[test]
fn filters_join_times_and_types() {
    let google = google();
    let (from, to) = (text(start() + TimeDelta::minutes(30)), text(start() + TimeDelta::minutes(60)));
    let range = format!("createTime >= \"{from}\" AND createTime < \"{to}\"");
    let within = list(&google, &[("filter", &range), ("orderBy", "create_time asc")], later());
    let all = list(&google, &[("orderBy", "create_time asc")], later());
    let expected: Vec<Value> = all
        .iter()
        .filter(|alert| {
            let created = times(std::slice::from_ref(alert), "createTime")[0];
            created >= start() + TimeDelta::minutes(30) && created < start() + TimeDelta::minutes(60)
        })
        .cloned()
        .collect();
    assert_eq!(within, expected);
    assert!(!within.is_empty());
    let leaked = list(&google, &[("filter", r#"type = "Leaked password""#)], later());
    assert!(!leaked.is_empty() && leaked.iter().all(|alert| alert["type"] == "Leaked password"));
    let id = leaked[0]["alertId"].as_str().unwrap();
    assert_eq!(list(&google, &[("filter", &format!("alertId=\"{id}\""))], later()).len(), 1);
}

#[test]
fn what_does_not_fit_is_refused_as_an_invalid_argument() {
    let google = google();
    let token = access_token(&google, later());
    for (name, value) in [
        ("orderBy", "createTime asc"),
        ("orderBy", "create_time"),
        ("orderBy", "update_time asc"),
        ("filter", "create_time > \"2026-01-01T00:00:00Z\""),
        ("filter", "createTime > 2026"),
        ("pageSize", "-1"),
        ("pageSize", "all"),
        ("pageToken", "xyz"),
    ] {
        let (status, reason, front, _) = refusal(&get(&google, &token, &uri(&[(name, value)]), later()));
        assert_eq!(
            (status, reason.as_str(), front.as_deref()),
            (400, "invalid", Some("INVALID_ARGUMENT")),
            "{name}={value}"
        );
    }
    let with_c = get(&google, &token, &uri(&[("customerId", "C0example7")]), later());
    assert_eq!(refusal(&with_c).2.as_deref(), Some("PERMISSION_DENIED"), "without the leading C");
    assert_eq!(get(&google, &token, &uri(&[("customerId", "0example7")]), later()).status, 200);
}

#[test]
fn an_empty_list_is_an_empty_object() {
    let google = google();
    let answer = get(&google, &access_token(&google, start()), &uri(&[("filter", "type = \"x\"")]), start());
    assert_eq!(answer.body, "{}");
}

#[test]
fn a_chain_keeps_filter_and_order_but_may_change_its_page_size() {
    let google = Google::new(GoogleConfig { alerts_page: 30, ..customer(vec![plan("alerts", 200)]) });
    let token = access_token(&google, later());
    let ask = |pairs: &[(&str, &str)]| get(&google, &token, &uri(pairs), later());
    let (first, next) = page(&ask(&[("orderBy", "create_time asc"), ("pageSize", "1000")]), "alerts");
    assert_eq!(first.len(), 30, "the server may return fewer");
    let next = next.unwrap();
    let (second, _) =
        page(&ask(&[("orderBy", "create_time asc"), ("pageSize", "5"), ("pageToken", &next)]), "alerts");
    assert_eq!(second.len(), 5);
    assert_eq!(ask(&[("orderBy", "create_time desc"), ("pageToken", &next)]).status, 400);
    assert_eq!(ask(&[("pageToken", &next)]).status, 400);
    assert_eq!(
        ask(&[("orderBy", "create_time asc"), ("filter", "type != \"x\""), ("pageToken", &next)]).status,
        400
    );
}

#[test]
fn the_alert_center_has_limits_and_faults_of_its_own() {
    let limits = Limits { alerts_per_minute: 3, ..Limits::default() };
    let google = Google::new(GoogleConfig { limits, ..customer(vec![plan("alerts", 20)]) });
    let token = access_token(&google, later());
    let ask = || get(&google, &token, "/v1beta1/alerts", later());
    google.push_fault(ScriptedFault::next("alerts", Fault::EmptyPage));
    let (none, next) = page(&ask(), "alerts");
    assert!(none.is_empty() && next.is_some());
    google.push_fault(ScriptedFault::next("alerts", Fault::Unavailable));
    assert_eq!(refusal(&ask()).2.as_deref(), Some("UNAVAILABLE"));
    assert_eq!((ask().status.as_u16(), ask().status.as_u16()), (200, 200));
    assert_eq!(refusal(&ask()).1, "userRateLimitExceeded");
    assert_eq!(google.refused(), 1);
    assert!(
        body(&get(&google, &token, "/v1beta1/alerts", later() + TimeDelta::minutes(1)))["alerts"].is_array()
    );
}
