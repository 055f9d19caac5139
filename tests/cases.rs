//! Inputs from public bug reports of this field, each with the outcome that is right, through the whole pipeline.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use chrono::TimeDelta;
use common::{Rig, TOKEN, assert_exactly_once, base, hour};
use std::time::Duration;
use tidegate_core::fault::FaultKind;
use tidegate_simulator::elasticsearch::{ElasticsearchConfig, ImmenseTerms, ShardLimit};
use tidegate_simulator::okta::{Client, Generate, OktaConfig};
use tidegate_simulator::{Fault, ScriptedFault};

const MINUTE: Duration = Duration::from_secs(60);

/// A service app with an EC key of its own, registered at the stand-in, and the `auth` line that uses it.
fn app(rig_dir: &std::path::Path, dpop: bool) -> (Client, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(rig_dir.join("app.pem"), key.serialize_pem()).unwrap();
    let mut client = Client::with_key("0oa1exampleclient", &key.public_key_pem());
    client.dpop_required = dpop;
    let auth = format!(
        "auth = {{ client_id = \"0oa1exampleclient\", private_key = \"file:{}/app.pem\" }}",
        rig_dir.display()
    );
    (client, auth)
}

/// A rig whose source signs in as an app; `wrong_by`: how far the client's clock is off.
fn oauth_rig(dpop: bool, wrong_by: TimeDelta) -> Rig {
    // Nothing in the last hour: a server whose clock is behind must see all of it.
    let earlier = Generate { start: base() - TimeDelta::hours(2), ..hour(3, 1_200, 2) };
    let mut rig = Rig::new(OktaConfig { generate: Some(earlier), ..OktaConfig::default() });
    let (client, auth) = app(rig.dir.path(), dpop);
    rig.okta.add_client(client);
    rig.okta.revoke(TOKEN);
    let path = rig.dir.path().join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let old = text.lines().find(|line| line.starts_with("auth")).unwrap().to_owned();
    std::fs::write(&path, text.replace(&old, &auth)).unwrap();
    rig.town.config = rig.world.load(&path).unwrap();
    rig.okta.advance(TimeDelta::zero() - wrong_by);
    rig
}

fn token_calls(rig: &Rig) -> (usize, usize) {
    let calls: Vec<u16> = rig
        .okta
        .requests()
        .iter()
        .filter(|r| r.path.contains("/oauth2/v1/token"))
        .map(|r| r.status)
        .collect();
    (calls.len(), calls.iter().filter(|status| **status == 401).count())
}

#[tokio::test(start_paused = true)]
async fn c29_a_clock_two_seconds_or_ninety_fast_or_slow_still_gets_a_token() {
    for seconds in [0, 2, -90, 90] {
        let rig = oauth_rig(false, TimeDelta::seconds(seconds));
        let (tenant, complete) = rig.sync(10 * MINUTE).await;
        assert!(complete, "{seconds} s: {:?}", tenant.board.sources());
        let (calls, refused) = token_calls(&rig);
        assert!(
            refused <= usize::from(seconds == 90),
            "{seconds} s: {refused} of {calls} token calls were refused"
        );
        assert_exactly_once(&rig.books(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_must_prove_possession_does_so_and_the_nonce_is_kept() {
    let rig = oauth_rig(true, TimeDelta::zero());
    let (tenant, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sources());
    assert_exactly_once(&rig.books(), 0);
    let (calls, _) = token_calls(&rig);
    assert!(calls <= 3, "found out that a proof is wanted, got a nonce, got a token: {calls} calls");
    let pages =
        rig.okta.requests().iter().filter(|r| r.path.contains("/api/v1/logs") && r.status == 200).count();
    assert!(pages >= 2);
}

#[tokio::test(start_paused = true)]
async fn an_access_token_that_dies_in_the_middle_is_renewed_once_and_its_page_is_asked_again() {
    let rig = oauth_rig(false, TimeDelta::zero());
    let mut tenant = rig.start().await;
    tokio::time::sleep(2 * MINUTE).await;
    let (before, _) = token_calls(&rig);
    rig.okta.revoke_access_tokens();
    tokio::time::sleep(3 * MINUTE).await;
    tenant.drain().await;
    tenant.stop().await;
    let (after, _) = token_calls(&rig);
    assert_eq!(after, before + 1, "one token call for the renewal");
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn c31_a_concurrency_refusal_never_becomes_the_quota() {
    for reset_s in [180, -30] {
        let rig = Rig::new(OktaConfig { generate: Some(hour(4, 2_500, 0)), ..OktaConfig::default() });
        let refusal = ScriptedFault {
            path: "logs".to_owned(),
            after: 1,
            times: 1,
            fault: Fault::Concurrency { reset_s },
        };
        rig.okta.push_fault(refusal);
        let (tenant, complete) = rig.sync(10 * MINUTE).await;
        assert!(complete, "{:?}", tenant.board.sources());
        assert_exactly_once(&rig.books(), 0);
        assert_eq!(tenant.board.sources()["okta"].refused, 1);
        let pages: Vec<_> =
            rig.okta.requests().into_iter().filter(|r| r.path.contains("/api/v1/logs")).collect();
        let refused = pages.iter().position(|r| r.status == 429).unwrap();
        let (no, again) = (&pages[refused], &pages[refused + 1]);
        assert_eq!(no.path, again.path, "the same link is asked again");
        let waited = again.at - no.at;
        let bound = TimeDelta::seconds(reset_s.max(0) + 1).max(TimeDelta::seconds(61));
        assert!(waited >= TimeDelta::seconds(1) && waited <= bound, "waited {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn c44_a_cluster_out_of_shards_condemns_nothing() {
    let elastic =
        ElasticsearchConfig { shard_limit: Some(ShardLimit::default()), ..ElasticsearchConfig::default() };
    let rig = Rig::with(OktaConfig { generate: Some(hour(5, 500, 0)), ..OktaConfig::default() }, elastic, "");
    let mut tenant = rig.start().await;
    tokio::time::sleep(10 * MINUTE).await;
    let state = tenant.board.sinks()["elastic"].clone();
    assert_eq!((state.delivered, state.dead), (0, 0), "{state:?}");
    assert!(state.fault.is_none(), "the cluster answers: {state:?}");
    let (fault, _) = &state.parked["okta/system_log"];
    assert!(fault.message.contains("shards"), "{fault}");
    let state = rig.state();
    let parked: Vec<_> = state.spans.iter().filter(|span| span.reason.is_some()).collect();
    assert_eq!(parked.len(), 1, "the stream's part of the sink is paused: {:?}", state.spans);
    rig.elastic.set_shard_limit(None);
    tokio::time::sleep(2 * MINUTE).await;
    assert!(tenant.board.sinks()["elastic"].parked.is_empty());
    tenant.drain().await;
    tenant.stop().await;
    assert_exactly_once(&rig.books(), 0);
    assert_eq!(rig.books().existed, 500);
}

#[tokio::test(start_paused = true)]
async fn c46_a_value_of_too_many_bytes_costs_at_most_its_own_document() {
    let rig = Rig::with(
        OktaConfig { generate: Some(hour(6, 999, 0)), ..OktaConfig::default() },
        ElasticsearchConfig {
            immense_terms: ImmenseTerms::AnywhereBut { fields: Vec::new(), ignore_above: None },
            ..ElasticsearchConfig::default()
        },
        "",
    );
    let emoji = "\u{1f600}".repeat(8_192);
    let record = serde_json::json!({
        "uuid": "5a1f0000-0000-4000-8000-000000000046", "published": "2026-05-31T23:30:00.000Z",
        "eventType": "user.session.start", "version": "0", "severity": "INFO",
        "actor": { "id": "00u1example0000046", "type": "User", "alternateId": "kim.roe@example.com" },
        "client": { "ipAddress": "192.0.2.46", "userAgent": { "rawUserAgent": "x".repeat(500) } },
        "outcome": { "result": "SUCCESS" }, "debugContext": { "debugData": { "example": emoji } },
    });
    rig.okta.add_records(&record.to_string().into(), base());
    let (tenant, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sinks());
    let state = &tenant.board.sinks()["elastic"];
    assert_eq!(state.delivered + state.dead, 1_000);
    assert!(state.dead <= 1, "{state:?}");
    let others = rig.elastic.delivered().iter().filter(|d| d.created == 1).count() as u64;
    assert_eq!(others, state.delivered);
}

#[tokio::test(start_paused = true)]
async fn c09_half_a_surrogate_pair_sinks_no_bulk_body() {
    let rig = Rig::new(OktaConfig { generate: Some(hour(7, 99, 0)), ..OktaConfig::default() });
    let line = concat!(
        r#"{"uuid":"5a1f0000-0000-4000-8000-000000000009","published":"2026-05-31T23:30:00.000Z","#,
        r#""eventType":"user.session.start","severity":"INFO","actor":{"id":"00u1example0000009","type":"User","#,
        r#""alternateId":"kim.roe@example.com","displayName":"Kim \ud83d"},"client":{"ipAddress":"192.0.2.9","#,
        r#""userAgent":{"rawUserAgent":"cut at 500 \udab4"}},"outcome":{"result":"SUCCESS"}}"#
    );
    rig.okta.add_records(&line.as_bytes().to_vec().into(), base());
    let (tenant, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sinks());
    assert_eq!((tenant.board.sinks()["elastic"].delivered, tenant.board.sinks()["elastic"].dead), (100, 0));
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_names_it_and_loses_nothing() {
    let rig = Rig::new(OktaConfig { generate: Some(hour(8, 50, 0)), ..OktaConfig::default() });
    rig.okta.push_fault(ScriptedFault::next("logs", Fault::Forbidden));
    let (tenant, _) = rig.sync(MINUTE).await;
    let (fault, _) = tenant.board.sources()["okta"].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::Permission);
    let said = format!("{fault} {:?} {}", fault.remedy, tenant.sources["okta"].remedy());
    assert!(said.contains("Read-Only Administrator"), "{said}");
    drop(tenant);
    let (_, complete) = rig.sync(10 * MINUTE).await;
    assert!(complete);
    assert_exactly_once(&rig.books(), 0);
}
