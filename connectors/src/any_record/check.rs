//! What must hold of any bytes that claim to be a record. The property tests and the fuzz target `normalize` ask the same.

use crate::documents::Vendor;
use crate::ocsf_tests::check::faults;
use crate::testing::strict;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use tidegate_core::event::{Event, RawShape, Shape, parse_time};
use tidegate_core::json::{Kind, Tape, Value, meaning};
use tidegate_core::schema::{self, Context, Marks};
use tidegate_core::source::{Connector, Stream};

/// The field lists of the sink's index templates.
const FIELDS: [(&str, &str); 4] = [
    ("okta", include_str!("../../../sinks/src/elasticsearch/fields/okta.txt")),
    ("entra", include_str!("../../../sinks/src/elasticsearch/fields/azure.txt")),
    ("duo", include_str!("../../../sinks/src/elasticsearch/fields/cisco_duo.txt")),
    ("google_workspace", include_str!("../../../sinks/src/elasticsearch/fields/google_workspace.txt")),
];

/// Renders a record of a stream in every schema and asks of each document what its readers need. Panics where one of
/// them would be disappointed; bytes that are no record are none of its business.
pub(crate) fn check(connector: &'static dyn Connector, stream: &'static Stream, record: &[u8]) {
    let mut tape = Tape::new();
    let Ok(root) = tape.cut(record) else { return };
    let identity = connector.identity(stream, root);
    assert_eq!(identity, connector.identity(stream, root));
    let mut events = 0;
    let read = connector.normalize(stream, root, &mut |event| {
        events += 1;
        let _ = event.summary();
        documents(connector, stream, &event);
    });
    match read {
        Ok(()) => assert!(events > 0, "a record became nothing"),
        Err(reason) => assert!(!reason.to_string().is_empty() && events == 0),
    }
}

fn documents(connector: &'static dyn Connector, stream: &'static Stream, event: &Event<'_>) {
    for (original, as_sent) in [(false, false), (true, true)] {
        let at = |text| parse_time(text).unwrap_or_default();
        let context = Context {
            tenant: "acme",
            organisation: original.then_some("00o1example"),
            namespace: "acme",
            names: stream.names,
            fetched: at("2026-01-15T10:00:30Z"),
            ingested: at("2026-01-15T10:00:31Z"),
            id: original.then_some("example-id"),
            original,
            as_sent,
            marks: Marks { late_seconds: original.then_some(7), ..Marks::default() },
        };
        for schema in schema::ALL {
            let mut out = Vec::new();
            let rendered = schema.render(event, &context, &mut out);
            assert!(rendered.is_ok(), "{}: {rendered:?}", schema.name());
            let text = std::str::from_utf8(&out).unwrap_or_else(|error| panic!("{error}"));
            if schema.is_text() {
                line(text);
                continue;
            }
            let document = strict(text);
            match schema.name() {
                "ecs" => ecs(connector, event, document),
                "raw" => raw(event, as_sent, text),
                "ocsf" | "ocsf_1_9" => ocsf(&document),
                _ => assert_eq!(document["message"].as_str(), event.record.map(|record| record.record())),
            }
        }
        if !original {
            explained(event, &context);
        }
    }
}

fn ecs(connector: &'static dyn Connector, event: &Event<'_>, mut document: Json) {
    let fields = FIELDS.iter().find(|(name, _)| *name == connector.name()).map_or("", |(_, fields)| fields);
    if let Some(event) = document.get_mut("event").and_then(Json::as_object_mut) {
        event.remove("original");
    }
    let mut refused = Vendor { connector, fields }.refused(&document);
    // What the table does not know stands beside the others, and the store maps it as it comes; so do parameters that
    // nobody has described.
    let open = event.table.part.iter().any(|field| matches!(field.shape, Shape::Params(_)));
    if event.table.unmapped.is_empty() || open {
        refused.retain(|said| !said.ends_with("not in the list") && !said.ends_with("is no string"));
    }
    assert!(refused.is_empty(), "{refused:#?}\n{document:#}");
}

fn ocsf(document: &Json) {
    let mut found = faults(document);
    crate::documents::flattened(&document["unmapped"], "unmapped", &mut found);
    assert!(found.is_empty(), "{found:#?}\n{document:#}");
}

/// A record that is one document says what it said, and a part of one what the part said.
fn raw(event: &Event<'_>, as_sent: bool, text: &str) {
    let Some(record) = event.record else { return };
    let mut tape = Tape::new();
    let ours = tape.cut(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (ours, theirs) = match (event.table.raw, event.part) {
        (RawShape::Parted { label, .. }, Some(part)) => (ours.get(label.trim_matches([',', ':', '"'])), part),
        (RawShape::Enveloped { .. }, _) if !as_sent => return,
        _ => (Some(ours), record),
    };
    let said = ours.map(|ours| meaning(ours, &[]));
    assert_eq!(said, Some(meaning(theirs, &[])), "{ours:?}\n{theirs:?}");
}

/// As QRadar takes a line apart.
fn line(line: &str) {
    assert!(!line.chars().any(|letter| letter.is_control() && letter != '\t'), "{line:?}");
    let parts: Vec<&str> = line.splitn(7, '|').collect();
    let [leef, vendor, product, version, id, delimiter, attributes] = parts.as_slice() else {
        panic!("not seven parts: {line}");
    };
    assert_eq!((*leef, *delimiter), ("LEEF:2.0", "x09"));
    for part in [vendor, product, version, id] {
        assert!(!part.trim().is_empty() && !part.contains('\t'), "{line}");
    }
    let mut keys = BTreeSet::new();
    for pair in attributes.split('\t') {
        let Some((key, value)) = pair.split_once('=') else { panic!("{pair:?} is no attribute: {line}") };
        assert!(!value.trim().is_empty(), "{key} says nothing: {line}");
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()) && keys.insert(key), "{key}: {line}");
        // What QRadar's own columns hold.
        let most = if matches!(key, "usrName" | "accountName") { 255 } else { 1_400 };
        assert!(value.len() <= most, "{key} is too long: {line}");
    }
}

/// What a person is told of a document agrees with it.
fn explained(event: &Event<'_>, context: &Context<'_>) {
    let Some(record) = event.record else { return };
    for schema in schema::ALL {
        let lines = schema::explain(schema, event, context).unwrap_or_else(|error| panic!("{error}"));
        assert!(!lines.is_empty());
        let _ = schema::absent(event, &lines);
    }
    let mut known = BTreeSet::new();
    paths(record, String::new(), &mut known);
    for (path, kind) in schema::drift(event, context).unwrap_or_else(|error| panic!("{error}")) {
        assert!(known.contains(&(path.clone(), kind)), "no {kind} at {path:?} of {known:?}");
    }
}

/// Every path of a record with the type that stands there, as the report of drift names them.
fn paths(value: Value<'_, '_>, path: String, found: &mut BTreeSet<(String, &'static str)>) {
    for (key, member) in value.members() {
        let dot = if path.is_empty() { "" } else { "." };
        paths(member, format!("{path}{dot}{}", key.decode()), found);
    }
    for element in value.elements() {
        paths(element, format!("{path}[]"), found);
    }
    let kind = match value.kind() {
        Kind::Null => "null",
        Kind::Bool => "boolean",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    };
    found.insert((path, kind));
}

/// The stream that the first byte chooses, and the record after it.
pub(crate) fn chosen<'b>(
    all: &[&'static dyn Connector],
    bytes: &'b [u8],
) -> Option<(&'static dyn Connector, &'static Stream, &'b [u8])> {
    let (first, record) = bytes.split_first()?;
    let streams: Vec<(&'static dyn Connector, &'static Stream)> = all
        .iter()
        .flat_map(|connector| connector.streams().iter().map(move |stream| (*connector, stream)))
        .collect();
    let (connector, stream) = *streams.get(usize::from(*first) % streams.len())?;
    Some((connector, stream, record))
}
