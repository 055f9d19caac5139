//! The qradar sink against a real rsyslog and a real syslog-ng: what arrives is what was sent, byte for byte, and nothing is
//! missing when the receiver is killed in the middle.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
mod real;

use common::{Stage, text};
use real::syslog::{Port, Product, Receiver};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::clock::Clock;
use tidegate_core::http::{Client, HttpSettings, Reqwest, TransportSettings};
use tidegate_core::sink::{Batch, DeliverError, Sink, SinkKind as _, SinkSettings};
use tidegate_core::testkit::sink::{self as kit, NAMES};
use tidegate_simulator::SimulateOptions;
use tidegate_simulator::syslog::{Pki, parse};
use tidegate_sinks::qradar;

const PART: &str = "TIDEGATE_REAL_SYSLOG";
const BOTH: [Product; 2] = [Product::Rsyslog, Product::SyslogNg];

/// A receiver with certificates, and what a client needs: keys of a qradar sink.
struct Scene {
    receiver: Receiver,
    pki: Pki,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(product: Product, test: &str) -> Option<Self> {
        let parts = real::part(PART, test)?;
        let pki = Pki::new(&[]).unwrap();
        let (certificate, key) = pki.server_pem();
        let files = [
            ("ca.pem", pki.ca_pem()),
            ("server.pem", certificate.to_owned()),
            ("server.key", key.to_owned()),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let receiver = Receiver::start(&parts, product, &files);
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pki.client_pem();
        std::fs::write(dir.path().join("ca.pem"), pki.ca_pem()).unwrap();
        std::fs::write(dir.path().join("client.pem"), certificate).unwrap();
        std::fs::write(dir.path().join("client.key"), key).unwrap();
        Some(Self { receiver, pki, dir })
    }

    fn keys(&self, port: Port, more: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let mut keys =
            serde_json::json!({ "address": self.receiver.address(port).to_string(), "tail_time": "500ms" });
        match port {
            Port::Tcp => {}
            Port::Counted => keys["framing"] = "octet".into(),
            Port::Udp => keys["transport"] = "udp".into(),
            Port::Tls => {
                keys["transport"] = "tls".into();
                keys["ca"] = path("ca.pem").into();
                keys["client"] = serde_json::json!({
                    "certificate": format!("file:{}", path("client.pem")),
                    "private_key": format!("file:{}", path("client.key")),
                });
            }
        }
        let mut keys = keys.as_object().unwrap().clone();
        keys.extend(more.as_object().unwrap().clone());
        keys
    }

    fn sink(&self, port: Port, more: &serde_json::Value) -> Arc<dyn Sink> {
        let transport = Reqwest::new(&TransportSettings::default()).unwrap();
        let settings = SinkSettings {
            tenant: "acme".to_owned(),
            sink: "qradar".to_owned(),
            sources: vec!["okta".to_owned()],
            table: self.keys(port, more),
            http: Client::new(transport, Clock::system(), HttpSettings::default()),
        };
        qradar::Kind.open(settings).unwrap()
    }
}

/// Lines of LEEF with letters of every length, one of them near the longest message, and a JSON document.
fn batch(sink: &dyn Sink, from: usize) -> Batch {
    let line = |n: usize, more: &str| {
        let head = "LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1768471200123\tsev=3";
        (format!("e-{n}"), format!("{head}\teventUid=e-{n}\tusrName=kim ä \u{1D15F}\u{1F600}{more}"))
    };
    let long = format!("\trole={}", "ü".repeat(1_000));
    let json = (format!("e-{}", from + 3), format!("{{\"id\":\"e-{}\",\"a\":\"\\u0000\\n ß\"}}", from + 3));
    kit::batch(
        sink,
        &NAMES,
        &[line(from, ""), line(from + 1, &long), line(from + 2, "\treason=a | b = c"), json],
    )
}

/// The messages of a batch without their framing.
fn sent(batch: &Batch, framing: Port) -> Vec<Vec<u8>> {
    let frames = batch.documents.iter().map(|(span, _)| &batch.body[span.clone()]);
    frames
        .map(|frame| match framing {
            Port::Tcp | Port::Tls => frame.strip_suffix(b"\n").unwrap().to_vec(),
            Port::Counted => frame[frame.iter().position(|byte| *byte == b' ').unwrap() + 1..].to_vec(),
            Port::Udp => frame.to_vec(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_is_what_was_sent_byte_for_byte() {
    for product in BOTH {
        for port in [Port::Tcp, Port::Counted, Port::Tls, Port::Udp] {
            let Some(mut scene) = Scene::new(product, "what_arrives_is_what_was_sent_byte_for_byte") else {
                return;
            };
            // syslog-ng's counted listener insists on all of RFC 5424; over UDP a message must fit into 1,000 bytes.
            for header in ["rfc5424", "rfc3164", "rfc5424_full"] {
                if (product, port) == (Product::SyslogNg, Port::Counted) && header != "rfc5424_full" {
                    continue;
                }
                let before = scene.receiver.messages().len();
                let max = if port == Port::Udp { "3000B" } else { "4000B" };
                let sink =
                    scene.sink(port, &serde_json::json!({ "header": header, "max_message_bytes": max }));
                let batches: Vec<_> = (0..3).map(|n| batch(&*sink, n * 4)).collect();
                for batch in &batches {
                    assert_eq!(sink.deliver(batch).await.unwrap().delivered, 4);
                }
                sink.close().await;
                let sent: Vec<_> = batches.iter().flat_map(|batch| sent(batch, port)).collect();
                let what = format!("{product:?} {port:?} {header}: 12 messages");
                let arrived = scene.receiver.until(&what, |messages| messages.len() >= before + 12);
                let show = |messages: &[Vec<u8>]| {
                    messages.iter().map(|m| String::from_utf8_lossy(m).into_owned()).collect::<Vec<_>>()
                };
                assert_eq!(show(&arrived[before..]), show(&sent), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_connection_that_ends_at_once_loses_nothing() {
    for product in BOTH {
        let Some(mut scene) = Scene::new(product, "a_tls_connection_that_ends_at_once_loses_nothing") else {
            return;
        };
        let mut in_order = 0;
        for n in 0..5 {
            // Where the receiver closed its side a moment before it had the end of ours, our kernel cannot say that it had everything:
            // no receipt. The batch is sent again, and may be there twice.
            for _ in 0..5 {
                let sink = scene.sink(Port::Tls, &serde_json::json!({ "tail_time": "1h" }));
                let batch = batch(&*sink, n * 4);
                // In this order: the batch is handed over before the end is asked for.
                let (delivery, ()) = tokio::join!(sink.deliver(&batch), sink.close());
                match delivery {
                    Ok(delivery) => {
                        assert_eq!(delivery.delivered, 4, "that it read all is told by its end");
                        in_order += 1;
                        break;
                    }
                    Err(error) => assert!(matches!(error, DeliverError::Retry { .. }), "{error:?}"),
                }
            }
            let count = 4 * (n + 1);
            scene.receiver.until(&format!("{product:?}: {count} messages"), |messages| {
                messages.iter().collect::<BTreeSet<_>>().len() == count
            });
        }
        assert_eq!(in_order, 5, "{product:?} closes in order sooner or later");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_know_us_is_no_delivery() {
    for product in BOTH {
        let Some(scene) = Scene::new(product, "a_receiver_that_does_not_know_us_is_no_delivery") else {
            return;
        };
        let stranger = Pki::new(&[]).unwrap();
        let (certificate, key) = stranger.client_pem();
        std::fs::write(scene.dir.path().join("client.pem"), certificate).unwrap();
        std::fs::write(scene.dir.path().join("client.key"), key).unwrap();
        let sink = scene.sink(Port::Tls, &serde_json::json!({}));
        let outcome = sink.deliver(&batch(&*sink, 0)).await;
        assert!(
            matches!(outcome, Err(DeliverError::Halt { .. } | DeliverError::Retry { .. })),
            "{outcome:?}"
        );
        assert!(scene.receiver.messages().is_empty());
        assert_ne!(scene.pki.ca_pem(), stranger.ca_pem());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_when_the_receiver_is_killed_in_the_middle_of_a_delivery() {
    for product in BOTH {
        for port in [Port::Tcp, Port::Tls] {
            let test = "nothing_is_missing_when_the_receiver_is_killed_in_the_middle_of_a_delivery";
            let Some(mut scene) = Scene::new(product, test) else { return };
            let options = SimulateOptions {
                events: 3_000,
                late: 5,
                org_limit: 60_000,
                seed: 73,
                ..SimulateOptions::default()
            };
            let stage = Stage::new(options).await;
            // Long enough that nothing leaves the tail before the kill.
            let keys = scene.keys(
                port,
                &serde_json::json!({ "tail_time": "3s", "batch_bytes": "32KiB", "kind": "qradar" }),
            );
            let mut table = String::new();
            for (key, value) in &keys {
                let value = toml::Value::try_from(value).unwrap();
                table.push_str(&format!("{key} = {value}\n"));
            }
            let text_of = format!(
                "[journal]\ndir = \"{dir}/journal\"\n\n[sink.qradar]\n{table}\n[tenant.acme.source.okta]\n\
                 connector = \"okta\"\nurl = \"{okta}\"\nauth = {{ token = \"file:{dir}/token\" }}\nstart = \"30d\"\nlimit = 100\n",
                dir = stage.dir.path().display(),
                okta = stage.simulation.okta_url,
            );
            std::fs::write(&stage.file, text_of).unwrap();
            let child = stage.command(&["sync", "--max-duration", "120s"]).spawn().unwrap();
            for kill in [200, 1_000] {
                scene.receiver.until(&format!("{product:?} {port:?}: {kill} messages"), |messages| {
                    messages.len() >= kill
                });
                scene.receiver.kill_and_start();
            }
            let output =
                tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
            assert!(output.status.success(), "{}", text(&output));
            let existed: BTreeSet<String> =
                stage.simulation.okta.events().into_iter().map(|event| event.id).collect();
            let ids = |messages: &[Vec<u8>]| -> BTreeSet<String> {
                // A process that is killed may leave half a line.
                let whole = messages.iter().filter_map(|message| parse(message).ok()?.leef);
                whole.map(|leef| leef.attributes["eventUid"].clone()).collect()
            };
            let what = format!("{product:?} {port:?}: all of {}", existed.len());
            let arrived = scene.receiver.until(&what, |messages| ids(messages).is_superset(&existed));
            assert!(arrived.len() <= 3 * existed.len() + 2, "{} messages", arrived.len());
            stage.simulation.shutdown().await;
        }
    }
}
