//! What we send, read by Tenzir. `.ci/nightly` runs these; `.ci/run` does not, for their time and disk.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use real::tenzir::{PROGRAM, Receiver, objects};
use records::records;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::clock::Clock;
use tidegate_core::http::{Client, HttpSettings, Reqwest, TransportSettings};
use tidegate_core::json::Tape;
use tidegate_core::schema;
use tidegate_core::sink::{DeliverError, Sink, SinkKind, SinkSettings};
use tidegate_core::testkit::sink::{self as kit, NAMES};
use tidegate_simulator::syslog::Pki;
use tidegate_sinks::{qradar, splunk_hec};

mod real;
#[path = "common/records.rs"]
mod records;

/// LEEF lines of a stream's records.
fn lines(connector: &str, stream: &str) -> Vec<String> {
    let connector = *tidegate_connectors::ALL.iter().find(|known| known.name() == connector).unwrap();
    let stream = connector.stream(stream).unwrap();
    let context = kit::context(stream.names);
    let (mut tape, mut out) = (Tape::new(), Vec::new());
    for record in records(connector.name(), stream.name, 200, true) {
        let root = tape.cut(&record).unwrap();
        connector
            .normalize(stream, root, &mut |event, _| {
                schema::by_name("leef").unwrap().render(event, &context, &mut out).unwrap();
                out.push(b'\n');
            })
            .unwrap();
    }
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

/// A value as LEEF has it: text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn agree(line: &str, read: &Value) {
    let mut parts = line.splitn(7, '|');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    assert_eq!(part(), "LEEF:2.0");
    for name in ["vendor", "product_name", "product_version", "event_class_id"] {
        assert_eq!(text(&read[name]), part(), "{name} of {line}");
    }
    assert_eq!(part(), "x09");
    let attributes = part();
    let ours: BTreeMap<&str, &str> = attributes.split('\t').filter_map(|pair| pair.split_once('=')).collect();
    let theirs = read["attributes"].as_object().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{line}\n{read}");
    for (key, value) in ours {
        // What begins with a digit or a sign it may read as a number, a time or a span: 120d8474d00d is so many days to it.
        let said = text(&theirs[key]);
        let guessed = value.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit());
        assert!(said == value || guessed, "{key}: {said:?} is not {value:?}");
    }
}

fn read(program: &Path, lines: &[String]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("leef.log");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let path = file.to_str().unwrap();
    let pipeline = format!("from_file \"{path}\" {{ read_lines }}\nthis = line.parse_leef()\nwrite_ndjson");
    objects(program, &pipeline)
}

#[test]
#[ignore = "nightly"]
fn leef_of_every_stream_is_read_as_it_was_meant() {
    let Some(program) = real::part(PROGRAM, "leef") else { return };
    for connector in tidegate_connectors::ALL {
        for stream in connector.streams() {
            // It takes what stands between two apostrophes for one value, tabs and all, which LEEF knows nothing of.
            let lines: Vec<_> = lines(connector.name(), stream.name)
                .into_iter()
                .filter(|line| !line.contains('\''))
                .collect();
            if lines.is_empty() {
                continue;
            }
            let read = read(&program, &lines);
            assert_eq!(read.len(), lines.len(), "{}/{}", connector.name(), stream.name);
            lines.iter().zip(&read).for_each(|(line, read)| agree(line, read));
        }
    }
}

const TOKEN: &str = "00000000-1111-4222-8333-444444444444";

/// A sink with these keys; files that they refer to stand in `dir`.
fn sink(kind: &dyn SinkKind, keys: &Value) -> Arc<dyn Sink> {
    let transport = Reqwest::new(&TransportSettings::default()).unwrap();
    let settings = SinkSettings {
        tenant: "acme".to_owned(),
        sink: "siem".to_owned(),
        sources: vec!["okta".to_owned()],
        table: keys.as_object().unwrap().clone(),
        http: Client::new(transport, Clock::system(), HttpSettings::default()),
    };
    kind.open(settings).unwrap()
}

/// It wants a channel, counts its acknowledgements by random numbers of 53 bits, and never says that one is true.
#[tokio::test]
#[ignore = "nightly"]
async fn a_receiver_that_never_acknowledges_has_everything_and_is_not_believed() {
    let Some(program) = real::part(PROGRAM, "hec") else { return };
    let listen = format!("accept_splunk \"127.0.0.1:PORT\", hec_token=\"{TOKEN}\", ack=true\nwrite_ndjson");
    let receiver = Receiver::start(&program, &listen, &[]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), TOKEN).unwrap();
    let keys = |more: Value| {
        let mut keys = json!({
            "url": format!("http://127.0.0.1:{}", receiver.port),
            "token": format!("file:{}/token", dir.path().display()),
            "ack_poll": "1s",
        });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        keys
    };
    let doubtful = sink(&splunk_hec::Kind, &keys(json!({ "ack": "required", "ack_timeout": "3s" })));
    let batch = kit::batch(&*doubtful, &NAMES, &kit::invented(30));
    let delivery = doubtful.deliver(&batch).await.unwrap();
    assert_eq!((delivery.delivered, delivery.retry.len()), (0, 30), "{delivery:?}");
    assert!(delivery.retry[0].1.to_string().contains("not acknowledged"), "{delivery:?}");
    let trusting = sink(&splunk_hec::Kind, &keys(json!({ "ack": "off" })));
    let error = trusting.deliver(&batch).await.unwrap_err();
    assert!(matches!(error, DeliverError::Halt { .. }) && error.to_string().contains("channel"), "{error:?}");
    let arrived = receiver.printed(30);
    let ids: Vec<String> = arrived.iter().map(|one| text(&one["event"]["event"]["id"])).collect();
    for (id, _) in kit::invented(30) {
        assert_eq!(ids.iter().filter(|known| **known == id).count(), 1, "{id}");
    }
}

/// LEEF behind a header, over TLS with a client's certificate and counted octets, read by somebody else's reader of all three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nightly"]
async fn leef_by_syslog_over_tls_is_read_as_it_was_meant() {
    let Some(program) = real::part(PROGRAM, "syslog") else { return };
    let pki = Pki::new(&[]).unwrap();
    let (certificate, key) = pki.server_pem();
    let listen = r#"
accept_tcp "127.0.0.1:PORT", tls={certfile: "HOME/server.pem", keyfile: "HOME/server.key", client_ca: "HOME/ca.pem", require_client_cert: true} {
  read_syslog octet_counting=true
}
this = {host: hostname, leef: (message? else content?).parse_leef()}
write_ndjson
"#;
    let files =
        [("ca.pem", pki.ca_pem()), ("server.pem", certificate.to_owned()), ("server.key", key.to_owned())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let receiver = Receiver::start(&program, listen, &files);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let (certificate, key) = pki.client_pem();
    write("ca.pem", &pki.ca_pem());
    write("client.pem", certificate);
    write("client.key", key);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let sink = sink(
        &qradar::Kind,
        &json!({
            "address": format!("127.0.0.1:{}", receiver.port),
            "transport": "tls",
            "ca": path("ca.pem"),
            "client": { "certificate": format!("file:{}", path("client.pem")), "private_key": format!("file:{}", path("client.key")) },
            "header": "rfc5424_full",
            "framing": "octet",
            "tail_time": "500ms",
        }),
    );
    let lines = lines("okta", "system_log");
    let documents: Vec<_> =
        lines.iter().enumerate().map(|(n, line)| (format!("e-{n}"), line.clone())).collect();
    let delivery = sink.deliver(&kit::batch(&*sink, &NAMES, &documents)).await.unwrap();
    assert_eq!(delivery.delivered, lines.len(), "{delivery:?}");
    sink.close().await;
    let arrived = receiver.printed(lines.len());
    for (line, read) in lines.iter().zip(&arrived) {
        assert_eq!(read["host"], "okta-acme");
        agree(line, &read["leef"]);
    }
}
