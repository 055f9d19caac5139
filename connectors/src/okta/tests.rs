//! Records against documents: invented fixtures, properties, and (where the folder lies beside the project) real shapes.

use super::fields::NAMES;
use super::normalize::normalize;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use std::path::PathBuf;
use tidegate_core::event::Event;
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks, Rendered};

fn at(text: &str) -> DateTime<Utc> {
    tidegate_core::event::parse_time(text).unwrap()
}

fn context() -> Context<'static> {
    Context {
        tenant: "acme",
        namespace: "acme",
        names: &NAMES,
        fetched: at("2026-01-15T10:00:30Z"),
        ingested: at("2026-01-15T10:00:31Z"),
        id: None,
        original: false,
        marks: Marks::default(),
    }
}

fn with_event<T>(record: &[u8], show: impl FnOnce(&Event<'_>) -> T) -> T {
    let mut tape = Tape::new();
    let root = tape.cut(record).unwrap();
    let mut events = Vec::new();
    normalize(root, &mut |event| events.push(event)).unwrap();
    assert_eq!(events.len(), 1);
    show(&events[0])
}

fn render(record: &[u8], context: &Context<'_>) -> (Rendered, Json) {
    with_event(record, |event| {
        let mut out = b"before".to_vec();
        let rendered = schema::by_name("ecs").unwrap().render(event, context, &mut out).unwrap();
        let text = std::str::from_utf8(&out).unwrap().strip_prefix("before").unwrap();
        (rendered, strict(text))
    })
}

/// Strict JSON: no half surrogate pairs, no key twice in an object.
fn strict(text: &str) -> Json {
    struct Once(Json);
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Json;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("JSON")
                }
                fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_str<E>(self, v: &str) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_unit<E>(self) -> Result<Json, E> {
                    Ok(Json::Null)
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                    let mut list = Vec::new();
                    while let Some(Once(value)) = seq.next_element()? {
                        list.push(value);
                    }
                    Ok(list.into())
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                    let mut object = serde_json::Map::new();
                    while let Some((key, Once(value))) = map.next_entry::<String, Once>()? {
                        assert!(!key.trim().is_empty(), "a blank name");
                        assert!(!object.contains_key(&key), "{key} comes twice");
                        object.insert(key, value);
                    }
                    Ok(object.into())
                }
            }
            from.deserialize_any(Visit).map(Once)
        }
    }
    serde_json::from_str::<Once>(text).unwrap_or_else(|error| panic!("{error}: {text}")).0
}

fn folder(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

fn samples() -> Vec<(String, Json)> {
    let mut found = Vec::new();
    for name in ["elastic_system", "system_log"] {
        let Some(path) = folder(&format!("shared/samples/okta/{name}.ndjson")) else { return Vec::new() };
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let sample: Json = serde_json::from_str(line).unwrap();
            let record = if sample["raw_api"].is_null() { &sample["raw"] } else { &sample["raw_api"] };
            found.push((record.to_string(), sample["expected_ecs"].clone()));
        }
    }
    found
}

#[test]
fn the_published_schema_accepts_every_sample() {
    let Some(validator) = folder("shared/tools/validate_ecs.py") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("documents.ndjson");
    let mut lines = String::new();
    for (record, _) in samples() {
        let context = Context { original: true, ..context() };
        lines.push_str(&format!("{}\n", render(record.as_bytes(), &context).1));
    }
    if let Ok(keep) = std::env::var("KEEP_DOCUMENTS") {
        std::fs::write(keep, &lines).unwrap();
    }
    std::fs::write(&file, lines).unwrap();
    let Ok(run) = std::process::Command::new("python3").arg(validator).arg("--summary").arg(&file).output()
    else {
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert!(run.status.success(), "{said}");
}
