//! The whole way into each product that the elasticsearch sink speaks to, as the stand-in plays them: what they have, what
//! they refuse, and how each keeps or deletes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{Rig, assert_exactly_once, hour};
use http::Request;
use std::time::Duration;
use tidegate_core::fault::FaultKind;
use tidegate_simulator::elasticsearch::{Credential, ElasticsearchConfig, Flavour, ItemRule};
use tidegate_simulator::okta::OktaConfig;

const MINUTE: Duration = Duration::from_secs(60);
const STREAM: &str = "logs-okta.system-acme";
const ALL: [Flavour; 5] = [
    Flavour::Elasticsearch8,
    Flavour::Elasticsearch9,
    Flavour::Serverless,
    Flavour::OpenSearch2,
    Flavour::OpenSearch3,
];

fn rig(elastic: ElasticsearchConfig) -> Rig {
    Rig::with(OktaConfig { generate: Some(hour(5, 500, 5)), ..OktaConfig::default() }, elastic, "")
}

fn of(flavour: Flavour) -> Rig {
    rig(ElasticsearchConfig { flavour, ..ElasticsearchConfig::default() })
}

/// Puts templates and policies; what is said.
async fn install(rig: &Rig) -> Vec<String> {
    rig.world.sinks(&rig.config, "acme").unwrap()[0].sink.install(true).await.unwrap()
}

/// What the cluster has at this path.
fn kept(rig: &Rig, path: &str) -> serde_json::Value {
    let request = Request::get(path).body(bytes::Bytes::new()).unwrap();
    let answer = rig.elastic.handle(&request, common::base());
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_product_takes_our_templates_and_every_event_once() {
    for flavour in ALL {
        let rig = of(flavour);
        let lines = install(&rig).await;
        assert!(lines.iter().all(|line| line.ends_with(" installed")), "{flavour:?}: {lines:?}");
        let (tenant, complete) = rig.sync(10 * MINUTE).await;
        assert!(complete, "{flavour:?}: {:?}", tenant.board.sinks());
        assert_exactly_once(&rig.books(), 0);
        let totals = rig.elastic.totals();
        assert_eq!(totals["targets"][STREAM]["data_stream"], true, "{flavour:?}: {totals}");
        let asked: Vec<String> = rig.elastic.requests().into_iter().map(|request| request.path).collect();
        let bulks = asked.iter().filter(|path| path.contains("/_bulk?"));
        let with = bulks.clone().filter(|path| path.contains("require_data_stream=true")).count();
        let knows = !flavour.is_opensearch();
        assert_eq!(with, if knows { bulks.count() } else { 0 }, "{flavour:?}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retention_is_installed_only_when_asked_for_and_never_over_one_that_is_there() {
    for (flavour, path, pointer, value) in [
        (
            Flavour::Elasticsearch9,
            "/_ilm/policy/tidegate-logs",
            "/tidegate-logs/policy/phases/delete/min_age",
            "365d",
        ),
        (
            Flavour::Elasticsearch9,
            "/_component_template/tidegate@lifecycle",
            "/component_templates/0/component_template/template/settings/index/lifecycle/name",
            "tidegate-logs",
        ),
        (
            Flavour::Serverless,
            "/_component_template/tidegate@lifecycle",
            "/component_templates/0/component_template/template/lifecycle/data_retention",
            "365d",
        ),
        (
            Flavour::OpenSearch3,
            "/_plugins/_ism/policies/tidegate-logs",
            "/policies/0/policy/states/0/actions/0/rollover/min_index_age",
            "30d",
        ),
    ] {
        let rig = of(flavour);
        let sink = rig.world.sinks(&rig.config, "acme").unwrap().remove(0).sink;
        sink.install(false).await.unwrap();
        assert!(kept(&rig, path).get("error").is_some(), "{flavour:?}: nobody asked for {path}");
        let lines = sink.install(true).await.unwrap();
        assert!(lines.contains(&format!("{} installed", &path[1..])), "{flavour:?}: {lines:?}");
        let body = kept(&rig, path);
        assert_eq!(
            body.pointer(pointer).and_then(|value| value.as_str()),
            Some(value),
            "{flavour:?}: {body}"
        );
        let again = sink.install(true).await.unwrap();
        let left = format!("{} is there already and was left as it is", &path[1..]);
        assert!(again.contains(&left), "{flavour:?}: {again:?}");
        assert_eq!(kept(&rig, path), body);
    }
}

#[tokio::test(start_paused = true)]
async fn serverless_takes_api_keys_alone_and_check_says_so() {
    let key = Credential::ApiKey("a2V5".to_owned());
    let (flavour, credentials) = (Flavour::Serverless, vec![key]);
    let rig = rig(ElasticsearchConfig { flavour, credentials, ..ElasticsearchConfig::default() });
    let (tenant, _) = rig.sync(MINUTE).await;
    let (fault, _) = tenant.board.sinks()["elastic"].fault.clone().unwrap();
    assert_eq!(fault.kind, FaultKind::Credential, "{fault}");
    assert_eq!((tenant.board.sinks()["elastic"].delivered, tenant.board.sinks()["elastic"].dead), (0, 0));

    // A project that asks nobody, as a proxy that signs in for us: the sink without an API key is told.
    let open = of(Flavour::Serverless);
    let findings = open.world.sinks(&open.config, "acme").unwrap()[0].sink.check().await;
    assert_eq!(findings.lines, ["answers: Elasticsearch (serverless)"]);
    assert!(findings.faults[0].message.contains("API keys alone"), "{:?}", findings.faults);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_fits_no_mapping_is_in_the_failure_store_or_a_dead_letter_with_its_reason() {
    for (failure_store, flavour) in
        [(true, Flavour::Elasticsearch9), (true, Flavour::Serverless), (false, Flavour::Elasticsearch9)]
    {
        let rule = ItemRule { times: 1, ..ItemRule::all(400) };
        let failed = ItemRule { failure_store: Some("failed".to_owned()), ..rule };
        let item_rules = if failure_store { Vec::new() } else { vec![failed] };
        let elastic =
            ElasticsearchConfig { flavour, failure_store, item_rules, ..ElasticsearchConfig::default() };
        let rig = rig(elastic);
        let (tenant, complete) = rig.sync(10 * MINUTE).await;
        assert!(complete, "{:?}", tenant.board.sinks());
        let state = &tenant.board.sinks()["elastic"];
        assert_eq!((state.delivered + state.dead, state.dead), (500, u64::from(!failure_store)), "{state:?}");
        let letters = tenant.journal.dead(0, 10, false).await.unwrap();
        for letter in &letters {
            assert!(letter.reason.contains("its failure store could not take it either"), "{letter:?}");
        }
        assert_eq!(letters.len(), usize::from(!failure_store));
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_takes_no_writes_loses_nothing_and_goes_on_when_it_does() {
    let block = ItemRule {
        error_type: Some("cluster_block_exception".to_owned()),
        reason: Some("index [x] blocked by: [FORBIDDEN/5/index read-only (api)];".to_owned()),
        ..ItemRule::all(429)
    };
    let rig = rig(ElasticsearchConfig { item_rules: vec![block], ..ElasticsearchConfig::default() });
    let mut tenant = rig.start().await;
    tokio::time::sleep(30 * MINUTE).await;
    let state = tenant.board.sinks()["elastic"].clone();
    assert_eq!((state.delivered, state.dead), (0, 0), "{state:?}");
    let (fault, since) = state.trouble().cloned().unwrap();
    assert!(fault.message.contains("the index takes no writes"), "{fault}");
    assert!(fault.remedy.as_deref().unwrap().starts_with("roll the data stream over"), "{fault:?}");
    assert!(rig.clock.now() - since > chrono::TimeDelta::minutes(25), "the alarm knows since when: {since}");
    rig.elastic.clear_faults();
    tokio::time::sleep(2 * MINUTE).await;
    tenant.drain().await;
    tenant.stop().await;
    assert_exactly_once(&rig.books(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_small_limit_is_met_a_few_times_and_then_kept_away_from() {
    let rig = rig(ElasticsearchConfig { max_bytes: 100_000, ..ElasticsearchConfig::default() });
    let (tenant, complete) = rig.sync(30 * MINUTE).await;
    assert!(complete, "{:?}", tenant.board.sinks());
    assert_exactly_once(&rig.books(), 0);
    let bulks: Vec<u16> = rig
        .elastic
        .requests()
        .into_iter()
        .filter(|request| request.path.contains("/_bulk?"))
        .map(|request| request.status)
        .collect();
    // Two requests are out at the same time and learn the same.
    let refused = bulks.iter().filter(|status| **status == 413).count();
    assert!(
        (1..=6).contains(&refused) && bulks.len() > 4 * refused,
        "{refused} of {} were too large",
        bulks.len()
    );
}
