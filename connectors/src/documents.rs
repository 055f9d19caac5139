//! What the tests of several connectors ask of ECS documents.

use crate::testing::strict;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tidegate_core::json::{Tape, Value};
use tidegate_core::schema::{self, Context, Explained, Marks};
use tidegate_core::source::{Connector, Stream};

/// A connector and where its documents are checked against.
pub(crate) struct Vendor {
    pub(crate) connector: &'static dyn Connector,
    /// The field list of the sink's index template.
    pub(crate) fields: &'static str,
}

fn context(stream: &Stream, original: bool) -> Context<'static> {
    let at = |text| tidegate_core::event::parse_time(text).unwrap();
    Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: stream.names,
        fetched: at("2026-01-15T10:00:30Z").into(),
        ingested: at("2026-01-15T10:00:31Z").into(),
        id: None,
        original,
        as_sent: false,
        marks: Marks::default(),
    }
}

impl Vendor {
    pub(crate) fn stream(&self, name: &str) -> &'static Stream {
        self.connector.stream(name).unwrap()
    }

    /// The ECS documents of a record, and how much of it was drift.
    pub(crate) fn documents(&self, stream: &str, record: &[u8], original: bool) -> (Vec<Json>, u32) {
        let (mut documents, mut drift) = (Vec::new(), 0);
        let mut tape = Tape::new();
        let Ok(root) = tape.cut(record) else { return (documents, drift) };
        let stream = self.stream(stream);
        let _refused = self.connector.normalize(stream, root, &mut |event, _| {
            let mut out = Vec::new();
            let ecs = schema::by_name("ecs").unwrap();
            drift += ecs.render(event, &context(stream, original), &mut out).unwrap().drift;
            let text = std::str::from_utf8(&out).unwrap();
            documents.push(strict(text));
        });
        (documents, drift)
    }

    pub(crate) fn document(&self, stream: &str, record: &Json) -> Json {
        let mut documents = self.documents(stream, record.to_string().as_bytes(), false).0;
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn explained(&self, stream: &str, root: Value<'_, '_>) -> Vec<Explained> {
        let text = root.record().to_owned();
        let mut tape = Tape::new();
        let root = tape.cut(text.as_bytes()).unwrap();
        let stream = self.stream(stream);
        let mut lines = Vec::new();
        let ecs = schema::by_name("ecs").unwrap();
        self.connector
            .normalize(stream, root, &mut |event, _| {
                lines.extend(schema::explain(ecs, event, &context(stream, false)).unwrap());
            })
            .unwrap();
        lines
    }

    /// The leaves of a record that none of its documents shows, by path. `ignored` says of a path and its text that it
    /// need not be shown.
    pub(crate) fn lost(
        &self,
        stream: &str,
        record: &[u8],
        ignored: impl Fn(&str, &str) -> bool,
    ) -> Vec<String> {
        let mut tape = Tape::new();
        let root = tape.cut(record).unwrap();
        let explained = self.explained(stream, root);
        let text: String = explained.iter().map(|line| format!("{}\n", line.value)).collect();
        let mut lost = Vec::new();
        let mut todo = vec![root];
        while let Some(value) = todo.pop() {
            todo.extend(value.members().map(|(_, member)| member));
            todo.extend(value.elements());
            let is_leaf = value.members().next().is_none() && value.elements().next().is_none();
            let blank = value.as_text().is_some_and(|text| text.is_blank());
            if !is_leaf || value.is_null() || blank || matches!(value.raw(), "{}" | "[]") {
                continue;
            }
            let path = root.path_of(value.span().start);
            let whole = value.as_text().map_or(value.raw().to_owned(), |text| text.to_string());
            let below = |from: &String| {
                path.strip_prefix(from.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let noted = explained.iter().any(|line| line.from.as_ref().is_some_and(below));
            if !noted && !text.contains(&whole) && !ignored(&path, &whole) {
                lost.push(format!("{path} = {whole}"));
            }
        }
        lost
    }

    /// What a store with the sink's index template would refuse in a document, or would have to make a field for.
    pub(crate) fn refused(&self, document: &Json) -> Vec<String> {
        let list: BTreeMap<&str, &str> = include_str!("../../sinks/src/elasticsearch/fields/ecs.txt")
            .lines()
            .chain(self.fields.lines())
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.next()?))
            })
            .collect();
        let mut refused = Vec::new();
        typed(&list, document, "", &mut refused);
        refused
    }
}

fn typed(list: &BTreeMap<&str, &str>, value: &Json, path: &str, refused: &mut Vec<String>) {
    let whole = |number: &Json| number.is_i64();
    let kind = list.get(path).copied();
    match (kind, value) {
        (_, Json::Null) => refused.push(format!("{path}: null")),
        (Some("flattened"), Json::Object(_)) => flattened(value, path, refused),
        (_, Json::Array(elements)) => {
            elements.iter().for_each(|element| typed(list, element, path, refused));
        }
        (Some("geo_point" | "object"), Json::Object(_)) => {}
        (None, Json::Object(members)) => {
            for (name, member) in members {
                if name.trim().is_empty() {
                    refused.push(format!("{path}: a blank name"));
                }
                let dot = if path.is_empty() { "" } else { "." };
                typed(list, member, &format!("{path}{dot}{name}"), refused);
            }
        }
        (kind, value) => {
            let text = value.as_str();
            let fits = match kind {
                None => text.is_some(),
                Some("ip") => text.is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
                Some("date") => text.is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
                Some("long") => whole(value),
                Some("integer") => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                // A number of 32 bits.
                Some("float") => value.as_f64().is_some_and(|number| (number as f32).is_finite()),
                Some("boolean") => value.is_boolean(),
                Some("keyword" | "constant_keyword" | "match_only_text" | "wildcard" | "unindexed") => {
                    text.is_some_and(|text| text.len() <= 32_766 || path == "event.original")
                }
                _ => false,
            };
            if !fits {
                refused.push(format!("{path}: {value} is no {}", kind.unwrap_or("string")));
            }
            if kind.is_none() && path != "labels" {
                refused.push(format!("{path}: not in the list"));
            }
        }
    }
}

/// What a field that takes any shape refuses: more than 20 levels, and terms (path and value together) that are too long.
pub(crate) fn flattened(value: &Json, path: &str, refused: &mut Vec<String>) {
    if deep(value) > 18 {
        refused.push(format!("{path}: too deep"));
    }
    for (name, leaf) in leaves(value) {
        let long = path.len() + name.len() + leaf.as_str().map_or(0, str::len);
        if long > 32_700 {
            let name: String = name.chars().take(80).collect();
            refused.push(format!("{path}.{name}…: a term of {long} bytes"));
        }
    }
}

fn deep(value: &Json) -> usize {
    match value {
        Json::Object(members) => 1 + members.values().map(deep).max().unwrap_or(0),
        Json::Array(elements) => elements.iter().map(deep).max().unwrap_or(0),
        _ => 0,
    }
}

/// The leaves of JSON: path (positions left out) and value.
pub(crate) fn leaves(value: &Json) -> Vec<(String, Json)> {
    fn walk(value: &Json, path: String, found: &mut Vec<(String, Json)>) {
        match value {
            Json::Object(members) => {
                for (key, member) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(member, format!("{path}{dot}{key}"), found);
                }
            }
            Json::Array(elements) => elements.iter().for_each(|element| walk(element, path.clone(), found)),
            Json::Null => {}
            leaf => found.push((path, leaf.clone())),
        }
    }
    let mut found = Vec::new();
    walk(value, String::new(), &mut found);
    found
}

/// A value by its path, names joined by dots.
pub(crate) fn at(document: &Json, path: &str) -> Json {
    let pointer = format!("/{}", path.replace('.', "/"));
    document.pointer(&pointer).cloned().unwrap_or_default()
}

/// What lies beside the project, where it does.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// Records that others published, and what others make of them.
pub(crate) fn samples(file: &str) -> Vec<(String, Json)> {
    let Some(path) = shared(&format!("samples/{file}.ndjson")) else { return Vec::new() };
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let sample: Json = serde_json::from_str(line).unwrap();
            let record = if sample["raw_api"].is_null() { &sample["raw"] } else { &sample["raw_api"] };
            (record.to_string(), sample["expected_ecs"].clone())
        })
        .collect()
}

/// The published checker finds nothing in documents, if it is here.
pub(crate) fn valid(documents: &[Json]) {
    let Some(validator) = shared("tools/validate_ecs.py") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("documents.ndjson");
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    if let Ok(keep) = std::env::var("KEEP_DOCUMENTS") {
        std::fs::write(keep, &lines).unwrap();
    }
    std::fs::write(&file, lines).unwrap();
    let run = std::process::Command::new("python3").arg(validator).arg("--summary").arg(&file).output();
    let Ok(run) = run else {
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert!(run.status.success(), "{said}");
}

/// Ours against a document of theirs: each value of theirs is ours too, each of ours theirs too, or its path begins with one
/// of `different`. How many values were compared; each row of `different` must be needed by some document, so it is noted.
pub(crate) fn agree(ours: &Json, theirs: &Json, different: &[(&str, &str)], needed: &mut [bool]) -> usize {
    let (ours, theirs) = (leaves(ours), leaves(theirs));
    let mut alone = Vec::new();
    let mut check = |those: &[(String, Json)], others: &[(String, Json)], whose: &str| {
        for (path, value) in those {
            if others.iter().any(|(other, found)| other == path && found == value) {
                continue;
            }
            let row = different.iter().position(|(prefix, _)| {
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            match row {
                Some(row) => needed[row] = true,
                None => alone.push(format!("{path}: {value} is only in {whose}")),
            }
        }
    };
    check(&theirs, &ours, "theirs");
    check(&ours, &theirs, "ours");
    assert!(alone.is_empty(), "{alone:#?}");
    theirs.len()
}

/// Every place in a record, as a pointer.
pub(crate) fn places(value: &Json, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Json::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Json::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, one)| places(one, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}
