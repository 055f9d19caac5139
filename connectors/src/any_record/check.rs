//! What must hold of any bytes that claim to be a record. The property tests and the fuzz target `normalize` ask the same.

use crate::documents::Vendor;
use crate::ocsf_tests::check::faults;
use crate::testing::strict;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use tidegate_core::event::{Event, Next, RawShape, Shape, parse_time};
use tidegate_core::json::{Kind, Tape, Text, Value, meaning};
use tidegate_core::schema::{self, Absent, Context, Marks, Rendered, Schema};
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
    let (mut events, mut ends) = (Vec::new(), Vec::new());
    let read = connector.normalize(stream, root, &mut |event, next| {
        events.push(std::mem::take(event));
        ends.push(next == Next::Nothing);
    });
    match read {
        Ok(()) => {
            let said = ends.split_last().is_some_and(|(last, before)| *last && !before.contains(&true));
            assert!(said, "a record became nothing, or not the last of its events was said to be the last");
        }
        Err(reason) => {
            assert!(!reason.to_string().is_empty() && events.is_empty());
            return;
        }
    }
    for event in &events {
        let _ = event.summary();
        documents(connector, stream, event);
    }
    kept(stream, root, &events);
    spelled(connector, stream, root, &events);
}

fn context(stream: &'static Stream, original: bool, as_sent: bool) -> Context<'static> {
    let at = |text| parse_time(text).unwrap_or_default();
    Context {
        tenant: "acme",
        organisation: original.then_some("00o1example"),
        namespace: "acme",
        names: stream.names,
        fetched: at("2026-01-15T10:00:30Z").into(),
        ingested: at("2026-01-15T10:00:31Z").into(),
        id: original.then_some("example-id"),
        original,
        as_sent,
        marks: Marks { late_seconds: original.then_some(7), ..Marks::default() },
    }
}

fn documents(connector: &'static dyn Connector, stream: &'static Stream, event: &Event<'_>) {
    for (original, as_sent) in [(false, false), (true, true)] {
        let context = context(stream, original, as_sent);
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
                _ => integration(event, &document),
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
        (RawShape::Parted { label, .. }, Some(part)) => {
            (ours.get(label.trim_matches([',', ':', '"'])), part.value)
        }
        (RawShape::Enveloped { .. }, _) if !as_sent => return,
        _ => (Some(ours), record),
    };
    let said = ours.map(|ours| meaning(ours, &[]));
    assert_eq!(said, Some(meaning(theirs, &[])), "{ours:?}\n{theirs:?}");
}

/// The record in its own bytes, where it has one event or a list of more than events; of several, the one that the document is of.
fn integration(event: &Event<'_>, document: &Json) {
    let (Some(record), Some(message)) = (event.record, document["message"].as_str()) else {
        panic!("no message: {document:#}");
    };
    let (RawShape::Parted { list, .. }, Some(part)) = (event.table.raw, event.part) else {
        assert_eq!(message, record.record());
        return;
    };
    let other = |all: Value<'_, '_>| all.elements().any(|element| element.kind() != Kind::Object);
    if part.first && record.get(list).is_some_and(other) {
        assert_eq!(message, record.record());
        return;
    }
    let mut tape = Tape::new();
    let ours = tape.cut(message.as_bytes()).unwrap_or_else(|error| panic!("{error}: {message}"));
    assert_eq!(ours.get(list).map(|one| one.raw()), Some(part.value.raw()));
    assert_eq!(meaning(ours, &[list]), meaning(record, &[list]));
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
    // Such a name is taken for a place in a list.
    known = known.into_iter().map(|(path, kind)| (unplaced(&path), kind)).collect();
    for (path, kind) in schema::drift(event, context).unwrap_or_else(|error| panic!("{error}")) {
        assert!(known.contains(&(path.clone(), kind)), "no {kind} at {path:?} of {known:?}");
    }
}

/// Without digits in brackets.
fn unplaced(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        let place = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
        rest = if place.starts_with(']') { place } else { after };
    }
    out + rest
}

/// The documents of a record's events in a schema, as text.
fn rendered(schema: &dyn Schema, stream: &'static Stream, events: &[Event<'_>]) -> (Vec<String>, Rendered) {
    let mut sum = Rendered::default();
    let documents = events
        .iter()
        .map(|event| {
            let mut out = Vec::new();
            let one = schema.render(event, &context(stream, false, false), &mut out).unwrap_or_default();
            sum.drift += one.drift;
            sum.cut += one.cut;
            String::from_utf8(out).unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    (documents, sum)
}

/// Nothing of a record is lost: what a leaf says is said by one of its documents, or there is a reason why not.
fn kept(stream: &'static Stream, root: Value<'_, '_>, events: &[Event<'_>]) {
    let excused: Vec<Absent> = events.iter().flat_map(|event| schema::absent(event, &[])).collect();
    for schema in
        schema::ALL.into_iter().filter(|schema| ["ecs", "ocsf", "ocsf_1_9"].contains(&schema.name()))
    {
        let mut lines = Vec::new();
        for event in events {
            let context = context(stream, false, false);
            let own = schema::explain(schema, event, &context).unwrap_or_else(|error| panic!("{error}"));
            let lost: Vec<_> =
                schema::absent(event, &own).into_iter().filter(|absent| absent.why.is_none()).collect();
            assert!(lost.is_empty(), "{}: {lost:#?}", schema.name());
            lines.extend(own);
        }
        let mut said = String::new();
        let (documents, sum) = rendered(schema, stream, events);
        // What no term of a store can hold is cut, and a document says that it was.
        if sum.cut > 0 {
            continue;
        }
        for document in &documents {
            words(&strict(document), &mut said);
        }
        let noted: BTreeSet<&str> = lines.iter().filter_map(|line| line.from.as_deref()).collect();
        let lower = said.to_lowercase();
        let mut lost = Vec::new();
        leaves(root, String::new(), &mut |path, leaf| {
            let because = excused.iter().find(|absent| absent.path == path);
            let ignored = because.is_some_and(|absent| {
                absent.why.is_some_and(|why| !["is not", "is neither"].iter().any(|no| why.starts_with(no)))
            });
            let meant = because.is_none() && is_meant(path, leaf, &lower);
            if !ignored && !meant && !noted.contains(path) && !says(&said, leaf) {
                lost.push(format!("{path} = {leaf:?}"));
            }
        });
        assert!(lost.is_empty(), "{}: lost {lost:#?}\n{documents:#?}", schema.name());
    }
}

/// Words and times that the event has in another form.
fn is_meant(path: &str, leaf: Value<'_, '_>, said: &str) -> bool {
    const WORDS: [&str; 9] = [
        "actor.callerType",
        "initiatedBy.initiatorType",
        "metadata.severity",
        "metadata.status",
        "outcome.result",
        "provisioningStatusInfo.status",
        "result",
        "riskState",
        "userType",
    ];
    if matches!(leaf.kind(), Kind::String | Kind::Number) && WORDS.contains(&path) {
        return true;
    }
    if path.contains("parameters[") && path.ends_with("].name") {
        return true;
    }
    let Some(text) = leaf.as_text() else { return leaf.as_i64().is_some_and(|number| number > 100_000_000) };
    let text = text.decode();
    parse_time(&text).is_some() || text.parse::<u64>().is_ok() || said.contains(&text.to_lowercase())
}

/// All names and leaves of a document, a line each.
fn words(value: &Json, said: &mut String) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                said.push_str(name);
                said.push('\n');
                words(member, said);
            }
        }
        Json::Array(elements) => elements.iter().for_each(|element| words(element, said)),
        Json::String(text) => {
            said.push_str(text);
            said.push('\n');
        }
        leaf => said.push_str(&format!("{leaf}\n")),
    }
}

fn leaves(value: Value<'_, '_>, path: String, each: &mut impl FnMut(&str, Value<'_, '_>)) {
    let mut leaf = true;
    for (key, member) in value.members() {
        leaf = false;
        leaves(member, below(&path, &key.text()), each);
    }
    for (at, element) in value.elements().enumerate() {
        leaf = false;
        leaves(element, format!("{path}[{at}]"), each);
    }
    if leaf {
        each(&path, value);
    }
}

/// The path of a member, as the product writes them.
fn below(path: &str, key: &Text<'_>) -> String {
    let key = key.decode();
    let key = if key.is_empty() { "\"\"" } else { &*key };
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether what a leaf says is among the words of documents; JSON in a text may be opened.
fn says(said: &str, leaf: Value<'_, '_>) -> bool {
    let Some(text) = leaf.as_text() else {
        return !matches!(leaf.kind(), Kind::Bool | Kind::Number) || said.contains(leaf.raw());
    };
    let text = text.decode();
    // What vendors write where they know nothing.
    let nothing = ["null", "<null>", "unknown", "none", "n/a", "-", ""];
    if nothing.contains(&text.trim().to_lowercase().as_str()) {
        return true;
    }
    // Of what is too long for a store, its beginning is enough.
    let begin =
        text.char_indices().map(|(at, _)| at).take_while(|at| *at <= 20_000).last().unwrap_or_default();
    let begin = if text.len() <= 20_000 { &*text } else { text.get(..begin).unwrap_or_default() };
    // What is deep or stands where a keyword is expected is JSON in a text, as it stood.
    if said.contains(begin) || said.contains(leaf.raw()) {
        return true;
    }
    let mut tape = Tape::new();
    let Ok(inner) = tape.cut(text.as_bytes()) else { return false };
    if !matches!(inner.kind(), Kind::Object | Kind::Array) {
        return false;
    }
    let mut all = true;
    leaves(inner, String::new(), &mut |_, leaf| all &= says(said, leaf));
    all
}

/// Another spelling of the same record, with white space and escapes, becomes the same documents: there is a short way for
/// strings without escapes, for members without white space, for times and addresses of the usual form, and what is read out of texts
/// is remembered.
fn spelled(
    connector: &'static dyn Connector,
    stream: &'static Stream,
    root: Value<'_, '_>,
    events: &[Event<'_>],
) {
    let mut other = String::new();
    respell(root, &mut other);
    let mut tape = Tape::new();
    let again = tape.cut(other.as_bytes()).unwrap_or_else(|error| panic!("{error}: {other}"));
    assert_eq!(meaning(root, &[]), meaning(again, &[]));
    let mut others = Vec::new();
    let read = connector.normalize(stream, again, &mut |event, _| others.push(std::mem::take(event)));
    assert!(read.is_ok() && others.len() == events.len(), "{other}");
    for schema in schema::ALL {
        if schema.name() == "raw_for_integration" {
            continue;
        }
        let (ours, sum) = rendered(schema, stream, events);
        let (theirs, their_sum) = rendered(schema, stream, &others);
        assert_eq!(sum, their_sum, "{} in the other spelling\n{other}", schema.name());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if schema.is_text() {
                continue;
            }
            if let Some(differ) = differ(&plain(strict(ours)), &plain(strict(theirs)), String::new()) {
                panic!("{}: {differ} in the other spelling\n{other}", schema.name());
            }
        }
        assert_eq!(rendered(schema, stream, events).0, ours, "{}", schema.name());
    }
}

/// JSON with all texts that hold JSON opened: how that was spelled does not matter.
fn plain(value: Json) -> Json {
    match value {
        Json::Object(members) => members.into_iter().map(|(name, member)| (name, plain(member))).collect(),
        Json::Array(elements) => elements.into_iter().map(plain).collect(),
        Json::String(text) if text.starts_with(['{', '[']) => {
            let mut tape = Tape::new();
            match tape.cut(text.as_bytes()) {
                Ok(inner) => meaning(inner, &[]).into(),
                // Too deep, or cut.
                Err(_) => Json::Null,
            }
        }
        leaf => leaf,
    }
}

/// Where two documents differ.
fn differ(one: &Json, other: &Json, path: String) -> Option<String> {
    match (one, other) {
        (Json::Object(ours), Json::Object(theirs)) if ours.keys().eq(theirs.keys()) => {
            ours.iter().find_map(|(key, member)| differ(member, &theirs[key], format!("{path}.{key}")))
        }
        (Json::Array(ours), Json::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|(ours, theirs)| differ(ours, theirs, format!("{path}[]")))
        }
        _ => (one != other).then(|| format!("{path}: {one} is {other}")),
    }
}

fn respell(value: Value<'_, '_>, out: &mut String) {
    match value.kind() {
        Kind::Object => {
            out.push('{');
            for (at, (key, member)) in value.members().enumerate() {
                out.push_str(if at > 0 { " , " } else { " " });
                respell_text(&key.text(), out);
                out.push_str(" : ");
                respell(member, out);
            }
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for (at, element) in value.elements().enumerate() {
                out.push_str(if at > 0 { ",\t" } else { "\n" });
                respell(element, out);
            }
            out.push(']');
        }
        Kind::String => value.as_text().iter().for_each(|text| respell_text(text, out)),
        _ => out.push_str(value.raw()),
    }
}

/// As encoders do that want nothing but ASCII, and nothing that looks like the end of a script. A text with escapes stays as it
/// is: no encoder writes a digit or a letter in another way.
fn respell_text(text: &Text<'_>, out: &mut String) {
    let Some(plain) = text.as_plain() else { return out.push_str(text.source().unwrap_or("\"\"")) };
    out.push('"');
    for letter in plain.chars() {
        match letter {
            '"' | '\\' | '/' => out.extend(['\\', letter]),
            '<' | '>' | '&' | '\'' | '+' => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            ' '..='~' => out.push(letter),
            _ => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out.push('"');
}

/// Every path of a record with the type that stands there, as the report of drift names them.
fn paths(value: Value<'_, '_>, path: String, found: &mut BTreeSet<(String, &'static str)>) {
    for (key, member) in value.members() {
        paths(member, below(&path, &key.text()), found);
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
