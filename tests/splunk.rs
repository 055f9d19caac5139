//! From the Okta stand-in to Splunk's HTTP Event Collector, played: every event arrives, and twice only what was doubtful.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use common::{OKTA_HOST, Stage, TOKEN, Town, answering, hour, text};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_simulator::elasticsearch::ElasticsearchConfig;
use tidegate_simulator::okta::{Okta, OktaConfig};
use tidegate_simulator::splunk_hec::{DEFAULT_TOKEN, HecToken, SplunkHec, SplunkHecConfig};
use tidegate_simulator::{Fault, Handler as _, RandomFaults, SimulateOptions};

const MINUTE: Duration = Duration::from_secs(60);
const BATCH: u64 = 50;
const IN_FLIGHT: u64 = 4;

struct Scene {
    okta: Okta,
    hec: SplunkHec,
    town: Town,
}

impl Scene {
    /// `more` are further keys of the sink.
    fn new(config: SplunkHecConfig, more: &str) -> Self {
        let okta = Okta::new(OktaConfig { generate: Some(hour(31, 600, 5)), ..OktaConfig::default() });
        let hec = SplunkHec::new(config);
        let hosts = [(OKTA_HOST, answering(&okta)), ("hec.example.com", answering(&hec))];
        let sources = format!(
            "[sink.splunk]\nkind = \"splunk_hec\"\nurl = \"https://hec.example.com:8088\"\ntoken = \"file:DIR/hec\"\n\
             batch_count = {BATCH}\nin_flight = {IN_FLIGHT}\n{more}\n\
             [tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"https://{OKTA_HOST}\"\n\
             auth = {{ token = \"file:DIR/token\" }}\nstart = \"2d\"\n"
        );
        let files = [("token", TOKEN), ("hec", DEFAULT_TOKEN)];
        let mut town = Town::new(&hosts, ElasticsearchConfig::default(), &files, "", &sources);
        town.templates = false;
        Self { okta, hec, town }
    }

    async fn sync(&self, budget: Duration) -> bool {
        self.town.sync(budget).await.1
    }

    fn arrived(&self) -> BTreeMap<String, u64> {
        arrived(&self.hec)
    }

    /// All that existed arrived, nothing else, and this many documents more than that.
    fn assert_all(&self) -> u64 {
        let arrived = self.arrived();
        let existed: Vec<String> = self.okta.events().into_iter().map(|event| event.id).collect();
        let missing = existed.iter().filter(|id| !arrived.contains_key(*id)).count();
        assert_eq!((missing, arrived.len()), (0, existed.len()), "of {}", existed.len());
        arrived.values().sum::<u64>() - existed.len() as u64
    }
}

/// How often each event is stored.
fn arrived(hec: &SplunkHec) -> BTreeMap<String, u64> {
    let mut arrived = BTreeMap::new();
    for stored in hec.stored() {
        let event: serde_json::Value = serde_json::from_slice(&stored.event).unwrap();
        *arrived.entry(event["uuid"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    arrived
}

#[tokio::test(start_paused = true)]
async fn every_event_arrives_once_as_the_add_on_expects_it_and_is_acknowledged() {
    let scene = Scene::new(SplunkHecConfig::default(), "index = \"idp_{tenant}\"");
    assert!(scene.sync(10 * MINUTE).await);
    assert_eq!(scene.assert_all(), 0);
    assert_eq!(scene.hec.unacknowledged(), 0, "delivered is what was acknowledged");
    for stored in scene.hec.stored() {
        let event: serde_json::Value = serde_json::from_slice(&stored.event).unwrap();
        let id = event["uuid"].as_str().unwrap();
        assert_eq!(stored.event, scene.okta.record(id).unwrap(), "the vendor's record, byte for byte");
        assert_eq!((stored.sourcetype.as_str(), stored.index.as_str()), ("OktaIM2:log", "idp_acme"));
        let published: chrono::DateTime<Utc> = event["published"].as_str().unwrap().parse().unwrap();
        let (seconds, part) = (published.timestamp(), published.timestamp_subsec_millis());
        let time = if part == 0 { seconds.to_string() } else { format!("{seconds}.{part:03}") };
        assert_eq!(stored.time, Some(time));
    }
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgement_every_event_arrives_once_too() {
    let tokens = vec![HecToken::without_acknowledgement(DEFAULT_TOKEN)];
    let scene = Scene::new(SplunkHecConfig { tokens, ..SplunkHecConfig::default() }, "endpoint = \"raw\"");
    assert!(scene.sync(10 * MINUTE).await);
    assert_eq!(scene.assert_all(), 0);
}

#[tokio::test(start_paused = true)]
async fn connections_dropped_after_storing_double_at_most_what_was_in_them() {
    let kinds = vec![
        Fault::DropBeforeAnswer,
        Fault::DropUnprocessed,
        Fault::Unavailable,
        Fault::CutBody { after: None },
        Fault::HtmlPage,
    ];
    let faults = RandomFaults { seed: 7, rate: 0.4, kinds, path: "event".to_owned() };
    let scene = Scene::new(SplunkHecConfig { random_faults: Some(faults), ..SplunkHecConfig::default() }, "");
    assert!(scene.sync(60 * MINUTE).await);
    let doubled = scene.assert_all();
    let log = scene.hec.requests();
    let doubtful =
        |fault: &Option<String>| matches!(fault.as_deref(), Some("drop_before_answer" | "cut_body"));
    let doubtful = log.iter().filter(|request| doubtful(&request.fault)).count() as u64;
    assert!(doubtful > 0, "the dice were kind");
    assert!(doubled <= doubtful * BATCH, "{doubled} doubled, by {doubtful} requests");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_index_waits_and_after_its_repair_everything_arrives_once() {
    let only =
        |index: &str| vec![HecToken { indexes: vec![index.to_owned()], ..HecToken::new(DEFAULT_TOKEN) }];
    let config = SplunkHecConfig { tokens: only("main"), ..SplunkHecConfig::default() };
    let scene = Scene::new(config, "index = \"idp_{tenant}\"");
    let (tenant, complete) = scene.town.sync(60 * MINUTE).await;
    assert!(complete, "what only a person can mend is not waited for");
    let state = tenant.board.sinks()["splunk"].clone();
    let (fault, _) = &state.parked["okta/system_log"];
    assert!(fault.message.starts_with("token may not write index idp_acme"), "{fault}");
    assert_eq!((state.delivered, state.dead), (0, 0), "nothing is condemned for it");
    drop(tenant);
    assert!(scene.hec.stored().is_empty());
    assert_eq!(scene.town.elastic.created(), 600, "the other sink is not held up");
    scene.hec.set_tokens(only("idp_acme"));
    assert!(scene.sync(10 * MINUTE).await);
    assert_eq!(scene.assert_all(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_acknowledged_is_sent_again_and_nothing_is_lost() {
    let config = SplunkHecConfig { never_acknowledges: true, ..SplunkHecConfig::default() };
    let scene = Scene::new(config, "ack_timeout = \"2m\"");
    assert!(!scene.sync(5 * MINUTE).await, "nothing is delivered");
    scene.hec.set_never_acknowledges(false);
    assert!(scene.sync(10 * MINUTE).await);
    let doubled = scene.assert_all();
    assert!(doubled > 0, "it was sent again");
    assert!(doubled <= 4 * IN_FLIGHT * BATCH, "only what was in flight is sent again: {doubled}");
}

#[tokio::test(start_paused = true)]
async fn behind_a_sticky_balancer_each_batch_keeps_its_indexer() {
    let config =
        SplunkHecConfig { indexers: 3, ack_delay: TimeDelta::seconds(3), ..SplunkHecConfig::default() };
    let scene = Scene::new(config, "ack = \"required\"");
    assert!(scene.sync(10 * MINUTE).await);
    assert_eq!(scene.assert_all(), 0);
    assert_eq!(scene.hec.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn indexers_that_forget_their_ids_are_sent_everything_again() {
    let config = SplunkHecConfig { ack_delay: TimeDelta::seconds(40), ..SplunkHecConfig::default() };
    let scene = Scene::new(config, "ack_timeout = \"1m\"");
    let hec = scene.hec.clone();
    let restart = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(hec.unacknowledged() > 0);
        hec.restart();
    };
    let (complete, ()) = tokio::join!(scene.sync(30 * MINUTE), restart);
    assert!(complete);
    assert!(scene.assert_all() <= IN_FLIGHT * BATCH);
}

fn notify(hec: &SplunkHec, after: u64) {
    let order = serde_json::json!({ "path": "event", "after_requests": after, "when": "before_answer", "hold_ms": 10_000 });
    let request = http::Request::post("/_sim/notify").body(Bytes::from(order.to_string())).unwrap();
    assert_eq!(hec.handle(&request, Utc::now()).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_binary_lose_nothing_and_double_at_most_what_was_in_flight() {
    let options = SimulateOptions {
        seed: 12,
        events: 1_500,
        org_limit: 60_000,
        splunk: Some("127.0.0.1:0".parse().unwrap()),
        ..SimulateOptions::default()
    };
    let stage = Stage::with(options, "limit = 100\n").await;
    std::fs::write(stage.dir.path().join("hec"), DEFAULT_TOKEN).unwrap();
    stage.configure(&format!(
        "limit = 100\n[sink.splunk]\nkind = \"splunk_hec\"\nurl = \"{}\"\ntoken = \"file:{}/hec\"\n\
         batch_count = {BATCH}\nin_flight = {IN_FLIGHT}\n",
        stage.simulation.splunk_url.as_deref().unwrap(),
        stage.dir.path().display(),
    ));
    let hec = &stage.simulation.splunk;
    let mut kills = 0;
    for after in [2, 5, 3] {
        notify(hec, after);
        let mut child = tokio::process::Command::from(stage.command(&["sync", "--max-duration", "60s"]));
        let mut child = child.kill_on_drop(true).spawn().unwrap();
        let killed = tokio::select! {
            reached = hec.notices().wait(Duration::from_secs(60)) => reached,
            _ = child.wait() => false,
        };
        child.kill().await.unwrap();
        kills += u64::from(killed);
    }
    assert!(kills > 0);
    notify(hec, u64::MAX);
    let output = stage.tidegate(&["sync", "--max-duration", "60s"]).await;
    assert!(output.status.success(), "{}", text(&output));
    let arrived = arrived(hec);
    assert_eq!(arrived.len(), 1_500);
    let doubled = arrived.values().sum::<u64>() - 1_500;
    assert!(doubled <= kills * IN_FLIGHT * BATCH, "{doubled} doubled by {kills} kills");
    stage.simulation.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn entra_records_have_the_sourcetype_of_the_shape_in_which_they_stand() {
    use tidegate_simulator::Lateness;
    use tidegate_simulator::entra::{
        DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, Entra, EntraConfig, Generate,
    };
    let (begin, spread) = (common::base() - TimeDelta::hours(2), TimeDelta::hours(1));
    let plain = |stream: &str| Generate {
        lateness: Lateness::none(),
        mutated: 0.0,
        odd: 0.0,
        ..Generate::new(stream, 3, 40, begin, spread)
    };
    let entra = Entra::new(EntraConfig {
        base_url: Some("https://graph.example.com".to_owned()),
        generate: vec![plain("sign_ins"), plain("directory_audits")],
        ..EntraConfig::default()
    });
    let of = || SplunkHec::new(SplunkHecConfig::default());
    let (diagnostic, graph, ecs) = (of(), of(), of());
    let hosts = [
        ("graph.example.com", answering(&entra)),
        ("diagnostic.example.com", answering(&diagnostic)),
        ("as-sent.example.com", answering(&graph)),
        ("ecs.example.com", answering(&ecs)),
    ];
    let sink = |key: &str, host: &str, more: &str| {
        format!(
            "[sink.{key}]\nkind = \"splunk_hec\"\nurl = \"https://{host}.example.com\"\ntoken = \"file:DIR/hec\"\n{more}\n"
        )
    };
    let sources = [
        sink("diagnostic", "diagnostic", ""),
        sink(
            "graph",
            "as-sent",
            "entra_shape = \"graph\"\n[sink.graph.indexes]\nentra = { sign_ins = \"signins\" }",
        ),
        sink("ecs_in_splunk", "ecs", "schema = \"ecs\""),
        format!(
            "[tenant.acme.source.entra]\nconnector = \"entra\"\ndirectory = \"{DEFAULT_TENANT}\"\n\
             url = \"https://graph.example.com\"\nlogin_url = \"https://graph.example.com\"\n\
             auth = {{ client_id = \"{DEFAULT_APP}\", client_secret = \"file:DIR/secret\" }}\n\
             streams = [\"sign_ins\", \"directory_audits\"]\nstart = \"1d\"\n"
        ),
    ];
    let files = [("secret", DEFAULT_SECRET), ("hec", DEFAULT_TOKEN)];
    let mut town = Town::new(&hosts, ElasticsearchConfig::default(), &files, "", &sources.concat());
    town.templates = false;
    assert!(town.sync(60 * MINUTE).await.1);
    let kinds = |hec: &SplunkHec| {
        let mut kinds: BTreeMap<(String, String, bool), usize> = BTreeMap::new();
        for stored in hec.stored() {
            let event: serde_json::Value = serde_json::from_slice(&stored.event).unwrap();
            let enveloped = event.get("properties").is_some();
            *kinds.entry((stored.sourcetype, stored.index, enveloped)).or_default() += 1;
        }
        kinds
            .into_iter()
            .map(|((sourcetype, index, enveloped), n)| format!("{sourcetype} {index} {enveloped} {n}"))
            .collect::<Vec<_>>()
    };
    let count = |stream: &str| entra.known().iter().filter(|known| known.stream == stream).count();
    let (sign_ins, audits) = (count("sign_ins"), count("directory_audits"));
    assert_eq!(kinds(&diagnostic), [format!("azure:monitor:aad main true {}", sign_ins + audits)]);
    assert_eq!(
        kinds(&graph),
        [
            format!("azure:aad:audit main false {audits}"),
            format!("azure:aad:signin signins false {sign_ins}")
        ]
    );
    assert_eq!(kinds(&ecs), [format!("tidegate:ecs main false {}", sign_ins + audits)]);
}
