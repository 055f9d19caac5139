//! The buckets: reports by app and tenant, reports by app, identity protection by tenant.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod entra_support;

use chrono::{DateTime, TimeDelta, Utc};
use entra_support::{after, get, post_token, problem, roomy, start, token, token_of};
use tidegate_simulator::Answer;
use tidegate_simulator::entra::{
    App, Credential, DEFAULT_APP, DEFAULT_TENANT, Entra, EntraConfig, Foreign, Limits, Tenant,
};

const SIGN_INS: &str = "/beta/auditLogs/signIns";
const AUDITS: &str = "/v1.0/auditLogs/directoryAudits";
const RISK: &str = "/v1.0/identityProtection/riskDetections";

fn limited() -> EntraConfig {
    EntraConfig { limits: Limits::default(), ..roomy() }
}

fn retry_after(answer: &Answer) -> Option<i64> {
    answer.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap())
}

fn ms(milliseconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::milliseconds(milliseconds)
}

#[test]
fn reports_answer_five_requests_in_any_ten_seconds_for_all_reports_together() {
    let entra = Entra::new(limited());
    let token = token(&entra, start());
    for (number, path) in [SIGN_INS, AUDITS, SIGN_INS, AUDITS, SIGN_INS].iter().enumerate() {
        assert_eq!(get(&entra, &token, path, ms(number as i64 * 1_000)).status, 200);
    }
    let refused = get(&entra, &token, AUDITS, ms(5_000));
    assert_eq!(refused.status, 429);
    assert!(!problem(&refused).1.is_empty());
    let wait = retry_after(&refused).expect("reports say when");
    // 0 and 1 have to leave, for the refused one counts.
    assert_eq!(wait, 6);
    assert_eq!(get(&entra, &token, AUDITS, ms(5_000 + wait * 1_000)).status, 200, "the wait is honest");
    assert_eq!(entra.refused(), 1);
}

#[test]
fn who_keeps_asking_while_refused_stays_refused() {
    let entra = Entra::new(limited());
    let token = token(&entra, start());
    let statuses: Vec<u16> =
        (0..60).map(|second| get(&entra, &token, SIGN_INS, after(second)).status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5);
    assert_eq!(entra.refused(), 55);
}

#[test]
fn a_request_every_four_seconds_is_never_refused_beside_a_competitor() {
    let entra = Entra::new(EntraConfig { foreign: Some(Foreign::default()), ..limited() });
    let token = token(&entra, start());
    for number in 0..200 {
        assert_eq!(get(&entra, &token, SIGN_INS, ms(1_700 + number * 4_000)).status, 200);
    }
    assert_eq!(entra.refused(), 0);
}

#[test]
fn a_competitor_leaves_three_of_five() {
    let entra = Entra::new(EntraConfig { foreign: Some(Foreign::default()), ..limited() });
    let token = token(&entra, start());
    let answered = (0..5).filter(|n| get(&entra, &token, SIGN_INS, ms(n * 100)).status == 200).count();
    assert_eq!(answered, 3);
}

#[test]
fn each_app_and_each_tenant_has_its_own_bucket_and_an_app_one_over_all_tenants() {
    let tenant = |number: u32| format!("33333333-0000-4000-8000-{number:012}");
    let tenants = (0..30).map(|number| Tenant::new(&tenant(number)).grant(DEFAULT_APP)).collect();
    let entra = Entra::new(EntraConfig { tenants, ..limited() });
    let tokens: Vec<String> = (0..30).map(|number| token_of(&entra, &tenant(number), start())).collect();
    let mut answered = 0;
    for token in &tokens {
        for _ in 0..5 {
            answered += u32::from(get(&entra, token, SIGN_INS, start()).status == 200);
        }
    }
    assert_eq!(answered, 122);
    assert_eq!(entra.refused(), 150 - 122);
}

#[test]
fn identity_protection_answers_one_request_a_second_of_all_apps_and_does_not_say_when() {
    let apps = vec![
        App::new(DEFAULT_APP, Credential::secret(tidegate_simulator::entra::DEFAULT_SECRET)),
        App::new("another-app", Credential::secret("another-secret")),
    ];
    let tenants = vec![Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP).grant("another-app")];
    let entra = Entra::new(EntraConfig { apps, tenants, ..limited() });
    let own = token(&entra, start());
    let pairs = [
        ("client_id", "another-app"),
        ("client_secret", "another-secret"),
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let answer = post_token(&entra, DEFAULT_TENANT, &pairs, start());
    let other = entra_support::json(&answer)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&entra, &own, RISK, ms(0)).status, 200);
    let refused = get(&entra, &other, RISK, ms(400));
    assert_eq!((refused.status.as_u16(), retry_after(&refused)), (429, None));
    assert_eq!(get(&entra, &own, RISK, ms(1_000)).status, 429, "the refused one counts");
    assert_eq!(get(&entra, &own, RISK, ms(2_000)).status, 200);
    assert_eq!(get(&entra, &own, SIGN_INS, ms(2_000)).status, 200, "reports are counted apart");
}

#[test]
fn a_competitor_at_identity_protection_can_be_switched_on() {
    let foreign = Foreign { identity_protection_every_s: Some(2), ..Foreign::default() };
    let entra = Entra::new(EntraConfig { foreign: Some(foreign), ..limited() });
    let token = token(&entra, start());
    assert_eq!(get(&entra, &token, RISK, ms(500)).status, 429, "it took the second that begins at 0");
    assert_eq!(get(&entra, &token, RISK, ms(1_600)).status, 200);
}

#[test]
fn a_refused_credential_takes_nothing_from_the_bucket() {
    let entra = Entra::new(limited());
    let token = token(&entra, start());
    for _ in 0..20 {
        assert_eq!(get(&entra, "none", SIGN_INS, start()).status, 401);
    }
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 200);
}
