//! The sink against the HEC receiver of the OpenTelemetry Collector, which `.ci/real-parts` prepares. It counts its
//! acknowledgements for each channel and forgets those it told, as Splunk does; it sorts keys and reads numbers as doubles, so
//! parsed JSON is compared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use real::hec_receiver::{HecReceiver, TOKEN};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidegate_core::clock::Clock;
use tidegate_core::fault::FaultKind;
use tidegate_core::http::{Client, HttpSettings, Reqwest, TransportSettings};
use tidegate_core::sink::{Batch, DeliverError, Level, Sink, SinkKind as _, SinkSettings};
use tidegate_core::testkit::sink::{self as kit, Invented, NAMES};
use tidegate_sinks::splunk_hec;

#[path = "../../tests/real/mod.rs"]
mod real;

fn parts(test: &str) -> Option<PathBuf> {
    real::part("TIDEGATE_REAL_HEC", test)
}

/// A sink to this address; `more` are further keys.
fn sink(url: &str, ca: Option<&Path>, more: &Value) -> (Arc<dyn Sink>, TempDir) {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("token"), TOKEN).unwrap();
    let mut table =
        json!({ "url": url, "token": format!("file:{}/token", dir.path().display()), "index": "idp" });
    let keys = table.as_object_mut().unwrap();
    keys.extend(more.as_object().unwrap().clone());
    let settings = TransportSettings { ca_file: ca.map(Path::to_owned), ..TransportSettings::default() };
    let http = Client::new(Reqwest::new(&settings).unwrap(), Clock::system(), HttpSettings::default());
    let settings = SinkSettings {
        tenant: "acme".to_owned(),
        sink: "splunk".to_owned(),
        sources: vec!["okta".to_owned()],
        table: keys.clone(),
        http,
    };
    (splunk_hec::Kind.open(settings).unwrap(), dir)
}

/// Documents of their own time each, and with what JSON has.
fn batch(sink: &dyn Sink, from: usize, count: usize) -> (Batch, Vec<Value>) {
    let documents: Vec<Invented> = (from..from + count)
        .map(|n| {
            let document = json!({ "uuid": format!("5a1f-{n}"), "n": n, "text": "é \"quoted\" \\ \u{1}", "null": null, "list": [1.5, true, {}] });
            (format!("5a1f-{n}"), document.to_string())
        })
        .collect();
    let mut batch = kit::batch(sink, &NAMES, &documents);
    let mut body = Vec::new();
    for (n, (span, meta)) in batch.documents.iter_mut().enumerate() {
        meta.time =
            chrono::DateTime::from_timestamp_micros(1_700_000_000_000_000 + n as i64 * 250_000).unwrap();
        let start = body.len();
        let text = &documents[n].1;
        sink.frame(&mut body, meta, &mut |buf: &mut Vec<u8>| {
            buf.extend_from_slice(text.as_bytes());
            Ok(())
        })
        .unwrap();
        *span = start..body.len();
    }
    batch.body = body.into();
    (batch, documents.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect())
}

fn sorted(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by_key(|event| event["n"].as_f64().unwrap() as u64);
    events
}

#[tokio::test]
async fn every_document_arrives_once_and_is_delivered_when_it_is_acknowledged() {
    let Some(parts) = parts("acknowledged") else { return };
    let receiver = HecReceiver::start(&parts, "1200ms", &[]);
    let (sink, _dir) =
        sink(&receiver.url("http"), None, &json!({ "ack": "required", "fields": ["tidegate_id"] }));
    let begin = Instant::now();
    let batches: Vec<_> = (0..6).map(|n| batch(&*sink, n * 40, 40)).collect();
    let deliveries = batches.iter().map(|(batch, _)| sink.deliver(batch));
    for delivery in futures_util::future::join_all(deliveries).await {
        let delivery = delivery.unwrap();
        kit::covers_each_once(&delivery, 40);
        assert_eq!(delivery.delivered, 40);
    }
    assert!(begin.elapsed() >= Duration::from_millis(1_200), "not before it was acknowledged");
    assert_eq!(sink.guarantee().level, Level::AtLeastOnce);
    let events = receiver.events();
    let sent = batches.into_iter().flat_map(|(_, documents)| documents).collect();
    assert_eq!(sorted(events.iter().map(|event| event["event"].clone()).collect()), sorted(sent));
    for event in &events {
        let n = event["event"]["n"].as_f64().unwrap() as u64;
        assert_eq!(
            (&event["host"], &event["source"], &event["sourcetype"], &event["index"], &event["fields"]),
            (
                &json!("acme.okta.example.com"),
                &json!("OktaIM2:log"),
                &json!("OktaIM2:log"),
                &json!("idp"),
                &json!({ "tidegate_id": format!("5a1f-{n}") })
            )
        );
        // The receiver's doubles are good to less than a microsecond.
        let late = event["time"].as_f64().unwrap() - (1_700_000_000.0 + (n % 40) as f64 * 0.25);
        assert!(late.abs() < 1e-6, "{event}");
    }
}

#[tokio::test]
async fn without_acknowledgement_the_question_writes_nothing_and_the_guarantee_is_weaker() {
    let Some(parts) = parts("unacknowledged") else { return };
    let receiver = HecReceiver::start(&parts, "", &["-ack=false"]);
    let (auto, _dir) = sink(&receiver.url("http"), None, &json!({}));
    let findings = auto.check().await;
    assert!(findings.faults.is_empty(), "{findings:?}");
    assert!(findings.lines.iter().any(|line| line.contains("acknowledgement is off")), "{findings:?}");
    assert_eq!(receiver.events(), Vec::<Value>::new(), "checking wrote something");
    let (documents, _) = batch(&*auto, 0, 25);
    assert_eq!(auto.deliver(&documents).await.unwrap().delivered, 25);
    assert_eq!(auto.guarantee().level, Level::BestEffort);
    assert_eq!(receiver.events().len(), 25);
    let (required, _dir) = sink(&receiver.url("http"), None, &json!({ "ack": "required" }));
    let error = required.deliver(&documents).await.unwrap_err();
    assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
    assert_eq!(receiver.events().len(), 25, "nothing was sent that would not be acknowledged");
}

#[tokio::test]
async fn a_receiver_that_fails_at_first_gets_everything_once() {
    let Some(parts) = parts("fails at first") else { return };
    let receiver = HecReceiver::start(&parts, "", &["-fail-first", "3"]);
    let (sink, _dir) = sink(&receiver.url("http"), None, &json!({}));
    let (documents, _) = batch(&*sink, 0, 30);
    let mut failures = 0;
    let delivery = loop {
        match sink.deliver(&documents).await {
            Ok(delivery) => break delivery,
            Err(DeliverError::Retry { cause, .. }) => {
                failures += 1;
                assert!(failures <= 3, "{cause}");
            }
            Err(error) => unreachable!("{error:?}"),
        }
    };
    assert_eq!((failures, delivery.delivered, receiver.events().len()), (3, 30, 30));
}

#[tokio::test]
async fn lines_arrive_one_an_event_with_the_metadata_of_the_address() {
    let Some(parts) = parts("lines") else { return };
    let receiver = HecReceiver::start(&parts, "", &[]);
    let (sink, _dir) = sink(
        &receiver.url("http"),
        None,
        &json!({ "endpoint": "raw", "source": "tidegate", "sourcetype": "a:b" }),
    );
    let (documents, sent) = batch(&*sink, 0, 10);
    assert_eq!(sink.deliver(&documents).await.unwrap().delivered, 10);
    let events = receiver.events();
    let lines: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event["event"].as_str().unwrap()).unwrap()).collect();
    assert_eq!(lines, sent);
    for event in &events {
        assert_eq!(
            (&event["source"], &event["sourcetype"], &event["index"]),
            (&json!("tidegate"), &json!("a:b"), &json!("idp"))
        );
    }
}

#[tokio::test]
async fn a_wrong_token_halts_although_its_refusal_is_plain_text() {
    let Some(parts) = parts("wrong token") else { return };
    let receiver = HecReceiver::start(&parts, "", &[]);
    let (sink, dir) = sink(&receiver.url("http"), None, &json!({}));
    std::fs::write(dir.path().join("token"), "wrong-token").unwrap();
    let (documents, _) = batch(&*sink, 0, 3);
    let error = sink.deliver(&documents).await.unwrap_err();
    assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
    assert_eq!(error.cause().kind, FaultKind::Credential);
    assert!(!format!("{error:?}").contains("wrong-token"));
    assert_eq!(receiver.events(), Vec::<Value>::new());
}

/// An authority, a server's and a client's certificate, as PEM files.
fn certificates(dir: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Tidegate test CA");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    for (name, usage) in
        [("localhost", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_receiver_that_wants_one() {
    let Some(parts) = parts("mutual TLS") else { return };
    let dir = TempDir::new().unwrap();
    certificates(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (certificate, key, ca) = (path("localhost.pem"), path("localhost.key"), path("ca.pem"));
    let flags = ["-cert", &certificate, "-key", &key, "-client-ca", &ca];
    let receiver = HecReceiver::start(&parts, "300ms", &flags);
    let client = json!({ "client": { "certificate": format!("file:{}", path("client.pem")), "private_key": format!("file:{}", path("client.key")) } });
    let (shown, _token) = sink(&receiver.url("https"), Some(Path::new(&ca)), &client);
    let (documents, _) = batch(&*shown, 0, 20);
    assert_eq!(shown.deliver(&documents).await.unwrap().delivered, 20);
    assert_eq!(receiver.events().len(), 20);
    let (bare, _token) = sink(&receiver.url("https"), Some(Path::new(&ca)), &json!({}));
    let error = bare.deliver(&documents).await.unwrap_err();
    assert!(matches!(error, DeliverError::Retry { .. }), "{error:?}");
    assert_eq!(receiver.events().len(), 20, "nothing goes in without a certificate");
    let missing = json!({ "client": { "certificate": format!("file:{}", path("client.pem")), "private_key": format!("file:{}", path("gone.key")) } });
    let (wrong, _token) = sink(&receiver.url("https"), Some(Path::new(&ca)), &missing);
    let error = wrong.deliver(&documents).await.unwrap_err();
    assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
    assert!(error.cause().remedy.as_ref().unwrap().contains("`client`"), "{error:?}");
}
