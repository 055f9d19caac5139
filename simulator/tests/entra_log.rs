//! The logs: routes, parameters, order, paging, and what a request gets to see.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod entra_support;

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use entra_support::{
    BASE, after, filtered, get, ids, json, next_link, problem, roomy, rows, start, token, walk,
};
use http::Request;
use serde_json::Value;
use tidegate_simulator::entra::{
    AUDIT_LOG_READ, DEFAULT_APP, DEFAULT_TENANT, Entra, EntraConfig, Generate, Licence, Quirks, RISK_READ,
    Tenant,
};
use tidegate_simulator::{Fault, Lateness, ScriptedFault, Version};

const SIGN_INS: &str = "/beta/auditLogs/signIns";
const AUDITS: &str = "/v1.0/auditLogs/directoryAudits";
const RISK: &str = "/v1.0/identityProtection/riskDetections";

/// Records of a stream in the hour before `start`, visible at once.
fn hour(stream: &str, records: usize) -> Generate {
    Generate {
        lateness: Lateness::none(),
        mutated: 0.0,
        ..Generate::new(stream, 5, records, after(-3_600), TimeDelta::hours(1))
    }
}

fn with(generate: Vec<Generate>) -> (Entra, String) {
    let entra = Entra::new(EntraConfig { generate, ..roomy() });
    let token = token(&entra, start());
    (entra, token)
}

fn quirky(quirks: Quirks, generate: Vec<Generate>) -> (Entra, String) {
    let entra = Entra::new(EntraConfig { quirks, generate, ..roomy() });
    let token = token(&entra, start());
    (entra, token)
}

fn times(rows: &[Value], field: &str) -> Vec<DateTime<Utc>> {
    rows.iter().map(|row| row[field].as_str().unwrap().parse().unwrap()).collect()
}

fn add(entra: &Entra, stream: &str, record: &Value, at: DateTime<Utc>) {
    let raw = Bytes::from(record.to_string());
    assert!(entra.add_record(stream, at, vec![Version { visible_at: at, raw }]));
}

#[test]
fn all_routes_answer_in_both_versions_and_paths_are_taken_leniently() {
    let streams = [
        "sign_ins",
        "directory_audits",
        "provisioning",
        "risk_detections",
        "service_principal_risk_detections",
    ];
    let (entra, token) = with(streams.iter().map(|stream| hour(stream, 8)).collect());
    for path in [
        "auditLogs/signIns",
        "auditLogs/directoryAudits",
        "auditLogs/provisioning",
        "identityProtection/riskDetections",
        "identityProtection/servicePrincipalRiskDetections",
    ] {
        for version in ["v1.0", "beta"] {
            let answer = get(&entra, &token, &format!("/{version}/{path}"), start());
            let body = json(&answer);
            assert_eq!(body["value"].as_array().unwrap().len(), 8, "{version}/{path}");
            assert_eq!(body["@odata.context"], format!("{BASE}/{version}/$metadata#{path}"));
            let id = ids(&answer)[0].clone();
            let one = get(&entra, &token, &format!("/{version}/{path}/{id}"), start());
            assert_eq!((one.status.as_u16(), &json(&one)["id"]), (200, &Value::from(id)));
        }
    }
    assert_eq!(get(&entra, &token, "/v1.0//auditLogs/signIns", start()).status, 200, "as the SDK asks");
    assert_eq!(get(&entra, &token, "/BETA/auditlogs/signins", start()).status, 200);
    for path in ["/v1.0/auditLogs", "/v1.0/auditLogs/signUps", "/v1.0/auditLogs/signIns/unheard-of", "/v2/x"]
    {
        assert_eq!(get(&entra, &token, path, start()).status, 404, "{path}");
    }
    let post = Request::post(SIGN_INS).header("authorization", format!("Bearer {token}"));
    assert_eq!(entra.handle(&post.body(Bytes::new()).unwrap(), start()).status, 405);
}

#[test]
fn every_answer_names_its_request_and_beta_sends_a_link_that_is_no_page() {
    let (entra, token) = with(vec![hour("sign_ins", 3)]);
    let request = Request::get(SIGN_INS)
        .header("authorization", format!("Bearer {token}"))
        .header("client-request-id", "11111111-2222-4333-8444-555555555555")
        .body(Bytes::new())
        .unwrap();
    let answer = entra.handle(&request, start());
    assert_eq!(answer.headers["client-request-id"], "11111111-2222-4333-8444-555555555555");
    assert_eq!(answer.headers["request-id"].len(), 36);
    assert_eq!(answer.headers["date"], "Thu, 15 Jan 2026 10:00:00 GMT");
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json;"));
    assert!(answer.headers["link"].to_str().unwrap().contains("rel=\"deprecation\""));
    assert!(!get(&entra, &token, AUDITS, start()).headers.contains_key("link"));
}

#[test]
fn pages_have_the_sizes_of_their_resource() {
    let (entra, token) =
        with(vec![hour("sign_ins", 1_003), hour("risk_detections", 45), hour("directory_audits", 12)]);
    assert_eq!(ids(&get(&entra, &token, SIGN_INS, start())).len(), 1_000);
    assert_eq!(ids(&get(&entra, &token, RISK, start())).len(), 20);
    assert_eq!(ids(&get(&entra, &token, &format!("{RISK}?$top=40"), start())).len(), 40);
    assert_eq!(ids(&get(&entra, &token, &format!("{AUDITS}?$top=5"), start())).len(), 5);
    for bad in ["0", "-1", "1001", "many"] {
        assert_eq!(get(&entra, &token, &format!("{SIGN_INS}?$top={bad}"), start()).status, 400, "{bad}");
    }
    assert_eq!(get(&entra, &token, &format!("{RISK}?$top=501"), start()).status, 400);
    let (clamping, token) =
        quirky(Quirks { clamp_top: true, ..Quirks::default() }, vec![hour("sign_ins", 1_003)]);
    let clamped = get(&clamping, &token, &format!("{SIGN_INS}?$top=5000"), start());
    assert_eq!(ids(&clamped).len(), 1_000);
}

#[test]
fn newest_come_first_unless_asked_otherwise() {
    let (entra, token) = with(vec![hour("sign_ins", 300), hour("directory_audits", 300)]);
    let all = walk(&entra, &token, &format!("{SIGN_INS}?$top=70"), start());
    assert_eq!(all.len(), 300);
    assert!(times(&all, "createdDateTime").is_sorted_by(|a, b| a >= b));
    let path = format!("{AUDITS}?$top=70&$orderby=activityDateTime%20asc");
    let ascending = times(&walk(&entra, &token, &path, start()), "activityDateTime");
    assert_eq!(ascending.len(), 300);
    assert!(ascending.is_sorted());
    for bad in ["id", "createdDateTime%20sideways", "createdDateTime,id"] {
        let answer = get(&entra, &token, &format!("{SIGN_INS}?$orderby={bad}"), start());
        assert_eq!(problem(&answer).1, "BadRequest", "{bad}");
    }
}

#[test]
fn twelve_hundred_rows_of_one_second_are_all_found_over_a_page_cut() {
    let burst = Generate {
        whole_seconds: true,
        ..Generate { spread: TimeDelta::seconds(1), start: after(-60), ..hour("sign_ins", 1_200) }
    };
    let (entra, token) = with(vec![burst]);
    let filter = "createdDateTime ge 2026-01-15T09:59:00Z and createdDateTime le 2026-01-15T09:59:00Z";
    let first = walk(&entra, &token, &filtered(SIGN_INS, filter), start());
    let distinct: HashSet<&str> = first.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((first.len(), distinct.len()), (1_200, 1_200));
    assert!(first.iter().all(|row| row["createdDateTime"] == "2026-01-15T09:59:00Z"));
    let second = walk(&entra, &token, &filtered(SIGN_INS, filter), start());
    assert_ne!(first, second, "the order among equal times is not the same twice");
}

#[test]
fn an_order_that_changes_within_a_walk_loses_rows() {
    let burst = Generate { whole_seconds: true, spread: TimeDelta::seconds(1), ..hour("sign_ins", 200) };
    let (entra, token) = quirky(Quirks { reorder_within_walk: true, ..Quirks::default() }, vec![burst]);
    let all = walk(&entra, &token, &format!("{SIGN_INS}?$top=50"), start());
    let distinct: HashSet<&str> = all.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert!(distinct.len() < 200, "{}", distinct.len());
}

#[test]
fn a_range_holds_both_its_ends() {
    let (entra, token) = with(vec![hour("directory_audits", 200)]);
    let (from, to) = (after(-3_000), after(-1_200));
    let inside = entra.known().iter().filter(|k| (from..=to).contains(&k.occurred_at)).count();
    let filter = "activityDateTime ge 2026-01-15T09:10:00Z and activityDateTime le 2026-01-15T09:40:00Z";
    assert_eq!(walk(&entra, &token, &filtered(AUDITS, filter), start()).len(), inside);
    let edge = &entra.known()[100];
    let text = edge.occurred_at.format("%Y-%m-%dT%H:%M:%S%.9fZ");
    let at_edge = walk(&entra, &token, &filtered(AUDITS, &format!("activityDateTime eq {text}")), start());
    assert!(at_edge.iter().any(|row| row["id"] == edge.id.as_str()));
    assert!(times(&at_edge, "activityDateTime").iter().all(|at| *at == edge.occurred_at));
}

#[test]
fn kinds_of_sign_ins_are_told_apart_by_a_lambda_and_only_in_beta() {
    let kinds = [
        ("sign_ins", "interactiveUser", 11),
        ("sign_ins_non_interactive", "nonInteractiveUser", 13),
        ("sign_ins_service_principal", "servicePrincipal", 17),
        ("sign_ins_managed_identity", "managedIdentity", 19),
    ];
    let (entra, token) = with(kinds.iter().map(|(stream, _, count)| hour(stream, *count)).collect());
    let count = |filter: &str| walk(&entra, &token, &filtered(SIGN_INS, filter), start()).len();
    for (_, kind, expected) in kinds {
        let lambda = format!("(signInEventTypes/any(t: t eq '{kind}'))");
        assert_eq!(count(&lambda), expected, "{kind}");
        let ranged = format!(
            "createdDateTime ge 2026-01-15T09:00:00Z and createdDateTime le 2026-01-15T10:00:00Z and {lambda}"
        );
        assert_eq!(count(&ranged), expected, "{kind}");
    }
    assert_eq!(count("signInEventTypes/any(t:t eq 'servicePrincipal' or t eq 'managedIdentity')"), 36);
    assert_eq!(count("signInEventTypes/any(t: t ne 'interactiveUser')"), 49);
    assert_eq!(
        count("signInEventTypes/any(t: t eq 'servicePrincipal') and startsWith(userPrincipalName,'jo')"),
        0
    );
    assert_eq!(walk(&entra, &token, SIGN_INS, start()).len(), 11, "interactive ones without a kind");
    assert_eq!(walk(&entra, &token, "/v1.0/auditLogs/signIns", start()).len(), 11);
    let v1 = get(
        &entra,
        &token,
        &filtered("/v1.0/auditLogs/signIns", "signInEventTypes/any(t: t eq 'interactiveUser')"),
        start(),
    );
    assert_eq!(v1.status, 400);
    assert!(problem(&v1).2.contains("Could not find a property named 'signInEventTypes'"));
}

#[test]
fn filters_look_into_the_record() {
    let (entra, token) =
        with(vec![Generate { odd: 0.0, ..hour("sign_ins", 300) }, hour("directory_audits", 300)]);
    let sign_ins = |filter: &str| walk(&entra, &token, &filtered(SIGN_INS, filter), start());
    let denied = sign_ins("status/errorCode eq 500121");
    assert!(!denied.is_empty() && denied.iter().all(|row| row["status"]["errorCode"] == 500_121));
    let jo = sign_ins("startsWith(userPrincipalName,'JO.') and not (status/errorCode eq 0)");
    assert!(!jo.is_empty());
    assert!(jo.iter().all(|row| row["userPrincipalName"] == "jo.park@example.com"));
    let quoted = sign_ins("userDisplayName eq 'O''Neil'");
    assert!(quoted.is_empty());
    let either = sign_ins("location/countryOrRegion eq 'NL' or location/countryOrRegion eq 'CH'");
    assert!(!either.is_empty() && either.len() < 300);
    let targeted = walk(
        &entra,
        &token,
        &filtered("/beta/auditLogs/directoryAudits", "targetResources/any(t: t/displayName eq 'VPN Users')"),
        start(),
    );
    assert!(!targeted.is_empty());
    assert!(targeted.iter().all(|row| row["targetResources"].to_string().contains("VPN Users")));
}

#[test]
fn filters_that_the_resource_does_not_take_are_refused() {
    let (entra, token) = with(vec![hour("sign_ins", 3)]);
    let refused = |path: &str, filter: &str| {
        let (status, code, message) = problem(&get(&entra, &token, &filtered(path, filter), start()));
        assert_eq!((status, code.as_str()), (400, "BadRequest"), "{filter}");
        message
    };
    let message = refused(SIGN_INS, "createdDateTime ge '2026-01-15T09:00:00Z'");
    assert!(message.starts_with("Invalid filter clause"), "{message}");
    let message = refused(RISK, "createdDateTime ge 2026-01-15T09:00:00Z");
    assert!(message.contains("Could not find a property named 'createdDateTime'"), "{message}");
    refused(AUDITS, "createdDateTime ge 2026-01-15T09:00:00Z");
    refused(SIGN_INS, "status/errorCode ne 0");
    refused(SIGN_INS, "createdDateTime ne 2026-01-15T09:00:00Z");
    refused(SIGN_INS, "createdDateTime ge yesterday");
    refused(SIGN_INS, "createdDateTime ge 2026-01-15T09:00:00Z and");
    refused(SIGN_INS, "(createdDateTime ge 2026-01-15T09:00:00Z");
    refused(SIGN_INS, "id eq 'x");
    refused(SIGN_INS, "id is 'x'");
    refused(SIGN_INS, "");
    refused(SIGN_INS, &"(".repeat(5_000));
    refused(SIGN_INS, &"not ".repeat(8_000));
    refused(SIGN_INS, &"id eq 'a' and ".repeat(1_500));
    for query in ["$skip=1", "$count=true", "$search=x", "$expand=y"] {
        assert_eq!(get(&entra, &token, &format!("{SIGN_INS}?{query}"), start()).status, 400, "{query}");
    }
    assert_eq!(get(&entra, &token, &format!("{SIGN_INS}?odata.streaming=true"), start()).status, 200);
}

#[test]
fn gt_and_lt_do_what_they_do_at_the_vendor() {
    let (entra, token) = with(vec![hour("sign_ins", 50), hour("risk_detections", 50)]);
    let ignored = filtered(SIGN_INS, "createdDateTime gt 2026-01-15T09:59:59Z");
    assert_eq!(walk(&entra, &token, &ignored, start()).len(), 50, "silently ignored");
    let refusing = Quirks { refuse_gt_lt: true, ..Quirks::default() };
    let (strict, strict_token) = quirky(refusing, vec![hour("sign_ins", 50)]);
    assert_eq!(get(&strict, &strict_token, &ignored, start()).status, 400);

    let known = entra.known();
    let last = known.iter().filter(|k| k.stream == "risk_detections").map(|k| k.occurred_at).max().unwrap();
    let equal = format!("detectedDateTime gt {}", last.format("%Y-%m-%dT%H:%M:%S%.9fZ"));
    assert!(!walk(&entra, &token, &filtered(RISK, &equal), start()).is_empty(), "equal ones come back");
}

#[test]
fn unconfirmed_rules_can_be_switched_on() {
    let quirks =
        Quirks { provisioning_gt_lt_only: true, refuse_orderby_with_kind: true, ..Quirks::default() };
    let (strict, strict_token) = quirky(quirks, Vec::new());
    let (plain, plain_token) = with(Vec::new());
    let ge = filtered("/v1.0/auditLogs/provisioning", "activityDateTime ge 2026-01-15T09:00:00Z");
    let gt = ge.replace("ge", "gt");
    let ordered = format!(
        "{}&$orderby=createdDateTime",
        filtered(SIGN_INS, "signInEventTypes/any(t: t eq 'servicePrincipal')")
    );
    for (path, expected) in [(&ge, 400), (&gt, 200), (&ordered, 400)] {
        assert_eq!(get(&strict, &strict_token, path, start()).status, expected, "{path}");
        assert_eq!(get(&plain, &plain_token, path, start()).status, 200, "{path}");
    }
}

#[test]
fn a_next_link_is_absolute_keeps_the_query_and_is_followed_as_it_is_or_not_at_all() {
    let (entra, token) = with(vec![hour("sign_ins", 30)]);
    let path = format!("{}&$top=10", filtered(SIGN_INS, "userDisplayName ne 'a, b & c'"));
    let next = next_link(&get(&entra, &token, &path, start())).unwrap();
    assert!(next.starts_with(&format!("{BASE}/beta/auditLogs/signIns?$filter=userDisplayName%20ne%20")));
    assert!(next.contains("$top=10&$skiptoken="));
    let once = ids(&get(&entra, &token, &next, start()));
    assert_eq!(once.len(), 10);
    assert_eq!(once, ids(&get(&entra, &token, &next, start())), "asking consumes nothing");
    let changed = next.replace("$top=10", "$top=20");
    assert_eq!(problem(&get(&entra, &token, &changed, start())).2, "Invalid Skip Token.");
    let cut = next.get(..next.len() - 3).unwrap();
    assert_eq!(get(&entra, &token, cut, start()).status, 400);
    let (before, _) = next.split_once("$skiptoken=").unwrap();
    let empty = get(&entra, &token, &format!("{before}$skiptoken="), start());
    assert_eq!(problem(&empty).2, "Skip token is null.");
}

#[test]
fn skip_tokens_die_where_the_switch_says_so() {
    let quirks = Quirks { skiptoken_life: Some(TimeDelta::minutes(5)), ..Quirks::default() };
    let (entra, token) = quirky(quirks, vec![hour("sign_ins", 30)]);
    let next = next_link(&get(&entra, &token, &format!("{SIGN_INS}?$top=10"), start())).unwrap();
    assert_eq!(get(&entra, &token, &next, after(300)).status, 200);
    assert_eq!(get(&entra, &token, &next, after(301)).status, 400);
}

#[test]
fn what_comes_in_behind_the_place_of_a_walk_is_not_in_it_and_nothing_comes_twice() {
    let (entra, token) = with(vec![hour("sign_ins", 40)]);
    let first = get(&entra, &token, &format!("{SIGN_INS}?$top=20"), start());
    let newest = ids(&first)[0].clone();
    let record = |id: &str, at: &str| serde_json::json!({"id": id, "createdDateTime": at, "userId": "u"});
    add(&entra, "sign_ins", &record("behind", "2026-01-15T10:00:00Z"), start());
    add(&entra, "sign_ins", &record("ahead", "2026-01-15T09:00:00Z"), after(-3_600));
    let rest = walk(&entra, &token, &next_link(&first).unwrap(), start());
    let rest: Vec<&str> = rest.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(rest.len(), 21);
    assert!(rest.contains(&"ahead") && !rest.contains(&"behind") && !rest.contains(&newest.as_str()));
}

#[test]
fn a_page_may_be_empty_and_not_the_last() {
    let quirks = Quirks { empty_pages: 0.5, ..Quirks::default() };
    let (entra, token) = quirky(quirks, vec![hour("sign_ins", 100)]);
    let (mut next, mut found, mut empty) = (Some(format!("{SIGN_INS}?$top=10")), HashSet::new(), 0);
    while let Some(path) = next {
        let answer = get(&entra, &token, &path, start());
        empty += usize::from(ids(&answer).is_empty());
        found.extend(ids(&answer));
        next = next_link(&answer);
    }
    assert_eq!(found.len(), 100);
    assert!(empty > 0);
}

#[test]
fn a_lower_bound_before_retention_is_refused_and_older_rows_are_gone() {
    let days = |days: i64| after(-86_400 * days);
    let spread =
        |stream: &str| Generate { start: days(60), spread: TimeDelta::days(60), ..hour(stream, 600) };
    let (entra, token) = with(vec![spread("directory_audits"), spread("risk_detections")]);
    let from = |path: &str, field: &str, at: DateTime<Utc>| {
        let filter = format!("{field} ge {}", at.format("%Y-%m-%dT%H:%M:%SZ"));
        get(&entra, &token, &filtered(path, &filter), start())
    };
    let answer = from(AUDITS, "activityDateTime", days(30) - TimeDelta::seconds(5));
    let (status, code, message) = problem(&answer);
    assert_eq!((status, code.as_str()), (400, "UnknownError"));
    assert!(message.contains("minimum allowed time"), "{message}");
    assert_eq!(from(AUDITS, "activityDateTime", days(30)).status, 200);
    let kept =
        entra.known().iter().filter(|k| k.stream == "directory_audits" && k.occurred_at >= days(30)).count();
    assert_eq!(walk(&entra, &token, AUDITS, start()).len(), kept);
    assert_eq!(from(RISK, "detectedDateTime", days(80)).status, 200);
    assert_eq!(walk(&entra, &token, &format!("{RISK}?$top=500"), start()).len(), 600, "90 days with P2");

    assert!(entra.set_licence(DEFAULT_TENANT, Licence::Free));
    assert_eq!(from(AUDITS, "activityDateTime", days(8)).status, 400);
    assert_eq!(from(AUDITS, "activityDateTime", days(7)).status, 200);

    let retention = [("directory_audits".to_owned(), TimeDelta::days(2))].into();
    let entra = Entra::new(EntraConfig { retention, ..roomy() });
    let token = entra_support::token(&entra, start());
    let filter = filtered(AUDITS, "activityDateTime ge 2026-01-12T10:00:00Z");
    assert_eq!(get(&entra, &token, &filter, start()).status, 400);
}

#[test]
fn v1_drops_what_only_beta_has() {
    let (entra, token) = with(vec![Generate { odd: 0.0, ..hour("sign_ins", 20) }]);
    let beta = rows(&get(&entra, &token, SIGN_INS, start()));
    let v1 = rows(&get(&entra, &token, "/v1.0/auditLogs/signIns", start()));
    assert!(beta[0].get("authenticationDetails").is_some());
    assert!(beta[0]["appliedConditionalAccessPolicies"][0].get("conditionsSatisfied").is_some());
    for row in &v1 {
        assert!(row.get("authenticationDetails").is_none() && row.get("signInEventTypes").is_none());
        assert!(row["status"]["errorCode"].is_number());
        assert!(row["appliedConditionalAccessPolicies"][0].get("conditionsSatisfied").is_none());
    }
}

#[test]
fn newer_enum_members_take_the_prefer_header() {
    let (entra, token) = with(Vec::new());
    let row = serde_json::json!({
        "id": "a", "createdDateTime": "2026-01-15T09:59:00Z", "userId": "u",
        "riskDetail": "userChangedPasswordOnPremises", "authenticationProtocol": "oAuth2,nativeAuth",
        "originalTransferMethod": "authenticationTransfer",
    });
    add(&entra, "sign_ins", &row, after(-60));
    let with_header = rows(&get(&entra, &token, SIGN_INS, start()));
    assert_eq!(with_header[0], row);
    let request =
        Request::get(SIGN_INS).header("authorization", format!("Bearer {token}")).body(Bytes::new()).unwrap();
    let without = rows(&entra.handle(&request, start()));
    assert_eq!(without[0]["riskDetail"], "unknownFutureValue");
    assert_eq!(without[0]["authenticationProtocol"], "unknownFutureValue");
    assert_eq!(without[0]["originalTransferMethod"], "authenticationTransfer", "this one is old");
}

#[test]
fn policies_are_left_out_without_the_permission_to_read_them() {
    let tenants = vec![Tenant::new(DEFAULT_TENANT).grant_roles(DEFAULT_APP, &[AUDIT_LOG_READ])];
    let generate = vec![Generate { odd: 0.0, ..hour("sign_ins", 5) }];
    let entra = Entra::new(EntraConfig { tenants, generate, ..roomy() });
    let before = token(&entra, start());
    for row in rows(&get(&entra, &before, SIGN_INS, start())) {
        assert_eq!(row["appliedConditionalAccessPolicies"], serde_json::json!([]));
    }
    assert_eq!(problem(&get(&entra, &before, RISK, start())).1, "Authorization_RequestDenied");
    entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ, RISK_READ, "Policy.Read.All"]);
    let since = token(&entra, start());
    for row in rows(&get(&entra, &since, SIGN_INS, start())) {
        assert_eq!(row["appliedConditionalAccessPolicies"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_tenant_without_premium_keeps_its_audits_and_loses_the_rest() {
    let tenants = vec![Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP).premium(false)];
    let entra = Entra::new(EntraConfig { tenants, generate: vec![hour("sign_ins", 5)], ..roomy() });
    let token = token(&entra, start());
    for path in [SIGN_INS, "/v1.0/auditLogs/provisioning", RISK] {
        let (status, code, _) = problem(&get(&entra, &token, path, start()));
        let expected = "Authentication_RequestFromNonPremiumTenantOrB2CTenant";
        assert_eq!((status, code.as_str()), (403, expected), "{path}");
    }
    assert_eq!(get(&entra, &token, AUDITS, start()).status, 200);
    entra.set_licence(DEFAULT_TENANT, Licence::P2);
    assert_eq!(ids(&get(&entra, &token, SIGN_INS, start())).len(), 5);
}

#[test]
fn risk_is_hidden_without_p2() {
    let (entra, token) = with(vec![Generate { odd: 0.0, ..hour("risk_detections", 60) }]);
    entra.set_licence(DEFAULT_TENANT, Licence::P1);
    let all = walk(&entra, &token, RISK, start());
    assert!(all.iter().all(|row| row["riskLevel"] == "hidden"));
    assert!(all.iter().any(|row| row["riskEventType"] == "generic"));
    assert!(all.iter().any(|row| row["riskEventType"] == "leakedCredentials"));
}

#[test]
fn select_keeps_what_it_names_and_only_for_risk() {
    let (entra, token) = with(vec![hour("risk_detections", 3), hour("sign_ins", 3)]);
    for row in rows(&get(&entra, &token, &format!("{RISK}?$select=id,riskState"), start())) {
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "riskState"]);
    }
    let sign_ins = rows(&get(&entra, &token, &format!("{SIGN_INS}?$select=id"), start()));
    assert!(sign_ins[0].get("createdDateTime").is_some());
}

#[test]
fn chinas_cloud_has_no_risk_detections() {
    let entra = Entra::new(EntraConfig { without_identity_protection: true, ..roomy() });
    let token = token(&entra, start());
    assert_eq!(problem(&get(&entra, &token, RISK, start())).0, 404);
    assert_eq!(get(&entra, &token, AUDITS, start()).status, 200);
}

#[test]
fn errors_have_the_vendors_form_or_an_odd_one() {
    let bad = format!("{SIGN_INS}?$skip=1");
    let (entra, token) = with(Vec::new());
    let body = json(&get(&entra, &token, &bad, start()));
    assert_eq!(body["error"]["innerError"]["date"], "2026-01-15T10:00:00");
    assert!(body["error"]["innerError"]["request-id"].is_string());
    let (odd, token) = quirky(Quirks { odd_errors: 1.0, ..Quirks::default() }, Vec::new());
    let body = json(&get(&odd, &token, &bad, start()));
    assert_eq!(body["error"]["code"], "");
    assert!(body["error"]["innererror"]["request-id"].is_string());
}

#[test]
fn a_request_over_too_many_rows_times_out() {
    let quirks = Quirks { timeout_rows: Some(100), ..Quirks::default() };
    let (entra, token) = quirky(quirks, vec![hour("sign_ins", 1_000)]);
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 504);
    let narrow = filtered(SIGN_INS, "createdDateTime ge 2026-01-15T09:59:30Z");
    assert_eq!(get(&entra, &token, &narrow, start()).status, 200);
}

#[test]
fn a_licensed_tenant_may_be_refused_now_and_then() {
    let quirks = Quirks { spurious_unlicensed: 0.3, directory_role_needed: true, ..Quirks::default() };
    let (entra, token) = quirky(quirks, Vec::new());
    assert_eq!(problem(&get(&entra, &token, SIGN_INS, start())).1, "Authentication_MSGraphPermissionMissing");
    entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ, "Directory.Read.All"]);
    let token = entra_support::token(&entra, start());
    let refused = (0..100).filter(|_| get(&entra, &token, SIGN_INS, start()).status == 403).count();
    assert!((10..=50).contains(&refused), "{refused}");
    assert_eq!(get(&entra, &token, AUDITS, start()).status, 200);
}

#[test]
fn scripted_faults_mislead_and_the_rows_stay_reachable() {
    let (entra, token) = with(vec![hour("sign_ins", 60)]);
    let first = format!("{SIGN_INS}?$top=20");
    let play = |path: &str, fault: Fault| {
        entra.push_fault(ScriptedFault::next("signIns", fault));
        get(&entra, &token, path, start())
    };
    let page = get(&entra, &token, &first, start());
    let second = next_link(&page).unwrap();
    let repeated = play(&second, Fault::DuplicatePage);
    assert_eq!(ids(&repeated), ids(&page));
    let rest = walk(&entra, &token, &next_link(&repeated).unwrap(), start());
    assert_eq!(rest.len(), 40);

    let empty = play(&second, Fault::EmptyPage);
    assert!(ids(&empty).is_empty());
    assert_eq!(walk(&entra, &token, &next_link(&empty).unwrap(), start()).len(), 40);

    assert_eq!(ids(&play(&first, Fault::OversizePage)).len(), 40);
    let broken = next_link(&play(&first, Fault::BrokenLink)).unwrap();
    assert!(broken.ends_with("$skiptoken="), "{broken}");
    assert_eq!(get(&entra, &token, &broken, start()).status, 400);
    assert_eq!(play(&second, Fault::CursorRefused).status, 400);
    assert_eq!(play(&first, Fault::CursorRefused).status, 200, "there is no token to refuse");
    assert_eq!(next_link(&play(&second, Fault::LinkLoop)).unwrap(), second);
    assert!(next_link(&play(&first, Fault::NoNextLink)).is_none());
    let foreign = Fault::ForeignLink { base: "https://elsewhere.example.com".to_owned() };
    assert!(next_link(&play(&first, foreign)).unwrap().starts_with("https://elsewhere.example.com/beta/"));
    assert!(json(&play(&first, Fault::WrongEnvelope))["value"].is_object());
    let statuses = [
        (Fault::Unauthorized, 401),
        (Fault::Unlicensed, 403),
        (Fault::Forbidden, 403),
        (Fault::NotFound, 404),
        (Fault::RateLimited { reset_s: 0, retry_after_s: Some(9), duplicate_reset: false }, 429),
        (Fault::Concurrency { reset_s: 0 }, 429),
        (Fault::ServerError, 500),
        (Fault::BadGateway, 502),
        (Fault::Unavailable, 503),
        (Fault::GatewayTimeout, 504),
    ];
    for (fault, status) in statuses {
        assert_eq!(play(&first, fault).status, status);
    }
    assert_eq!(entra.refused(), 0, "scripted refusals are not the limits'");
}
