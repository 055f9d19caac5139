//! What we send, read by Tenzir. `.ci/nightly` runs these; `.ci/run` does not, for their time and disk.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use chrono::DateTime;
use records::records;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};

mod real;
#[path = "common/records.rs"]
mod records;

/// LEEF lines of a stream's records.
fn lines(connector: &str, stream: &str) -> Vec<String> {
    let connector = *tidegate_connectors::ALL.iter().find(|known| known.name() == connector).unwrap();
    let stream = connector.stream(stream).unwrap();
    let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    let context = Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: stream.names,
        fetched: now,
        ingested: now,
        id: Some("id"),
        original: false,
        as_sent: false,
        marks: Marks::default(),
    };
    let (mut tape, mut out) = (Tape::new(), Vec::new());
    for record in records(connector.name(), stream.name, 200) {
        let root = tape.cut(&record).unwrap();
        let write = &mut |event| {
            schema::by_name("leef").unwrap().render(&event, &context, &mut out).unwrap();
            out.push(b'\n');
        };
        connector.normalize(stream, root, write).unwrap();
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
        // What looks like a number or an address is read as one; its text is the same but for leading zeros and signs.
        let said = text(&theirs[key]);
        let same = said == value
            || said.parse::<f64>().ok().zip(value.parse::<f64>().ok()).is_some_and(|(a, b)| a == b);
        assert!(same, "{key}: {said:?} is not {value:?}");
    }
}

fn read(program: &Path, lines: &[String]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("leef.log");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let path = file.to_str().unwrap();
    let pipeline = format!("from_file \"{path}\" {{ read_lines }}\nthis = line.parse_leef()\nwrite_ndjson");
    real::tenzir::objects(program, &pipeline)
}

#[test]
#[ignore = "nightly"]
fn leef_of_every_stream_is_read_as_it_was_meant() {
    let Some(program) = real::part(real::tenzir::PROGRAM, "leef") else { return };
    for connector in tidegate_connectors::ALL {
        for stream in connector.streams() {
            let lines = lines(connector.name(), stream.name);
            if lines.is_empty() {
                continue;
            }
            let read = read(&program, &lines);
            assert_eq!(read.len(), lines.len(), "{}/{}", connector.name(), stream.name);
            lines.iter().zip(&read).for_each(|(line, read)| agree(line, read));
        }
    }
}
