//! The published JSON Schema: the common keys, and beside them each connector's and each sink kind's own.

use super::raw::{
    DefaultsKeys, GeoIpKeys, HttpKeys, JournalKeys, Keys, RootKeys, SinkKeys, SourceKeys, StreamKeys,
    TenantJournalKeys, TenantKeys,
};
use super::resolve::{SOURCE_DEFAULTS, built_in};
use super::{SCHEMAS, raw};
use serde_json::{Map, Value as Json, json};
use tidegate_core::sink::SinkKind;
use tidegate_core::source::Connector;

const NAMES: &str = "^[a-z][a-z0-9_]*$";

/// JSON Schema (2020-12) of `pipeline.toml`; `#/$defs/tenant` is that of a tenant's file.
#[must_use]
pub fn json_schema(connectors: &[&'static dyn Connector], sinks: &[&'static dyn SinkKind]) -> Json {
    let built_in = built_in();
    let defaults = |table: &str| built_in.child(table).json();
    let mut defs = Map::new();
    let mut source = keys::<SourceKeys>(&defaults("source"));
    let names: Vec<&str> = connectors.iter().map(|connector| connector.name()).collect();
    set(&mut source, "connector", json!({"enum": names}));
    set(&mut source, "stream", named(closed(keys::<StreamKeys>(&json!({})))));
    let mut sink = keys::<SinkKeys>(&defaults("sink"));
    let kinds: Vec<&str> = sinks.iter().map(|kind| kind.name()).collect();
    set(&mut sink, "kind", json!({"enum": kinds}));
    set(&mut sink, "schema", json!({"enum": SCHEMAS}));

    let mut of_source = vec![bare(&source, "connector")];
    for connector in connectors {
        let name = format!("source_{}", connector.name());
        of_source.push(chosen(&source, "connector", connector.name(), &name));
        own(&name, connector.schema().to_value(), &mut defs);
    }
    let mut of_sink = vec![bare(&sink, "kind")];
    for kind in sinks {
        let name = format!("sink_{}", kind.name());
        of_sink.push(chosen(&sink, "kind", kind.name(), &name));
        own(&name, kind.schema().to_value(), &mut defs);
    }
    defs.insert("source".to_owned(), json!({"anyOf": of_source}));
    defs.insert("sink".to_owned(), json!({"anyOf": of_sink}));

    let mut tenant = closed(keys::<TenantKeys>(&json!({})));
    set(&mut tenant, "var", named(json!({"type": "string"})));
    set(&mut tenant, "journal", closed(keys::<TenantJournalKeys>(&json!({}))));
    set(&mut tenant, "source", named(json!({"$ref": "#/$defs/source"})));
    set(&mut tenant, "sink", named(json!({"$ref": "#/$defs/sink"})));
    let mut template = tenant.clone();
    if let Some(properties) = template.get_mut("properties").and_then(Json::as_object_mut) {
        properties.remove("template");
    }
    defs.insert("tenant".to_owned(), tenant);
    defs.insert("template".to_owned(), template);

    let mut default_source = closed(source);
    if let Some(properties) = default_source.get_mut("properties").and_then(Json::as_object_mut) {
        properties.retain(|key, _| SOURCE_DEFAULTS.contains(&key.as_str()));
    }
    let mut for_all = closed(keys::<DefaultsKeys>(&json!({})));
    set(&mut for_all, "source", default_source);

    let mut root = closed(keys::<RootKeys>(&json!({})));
    set(&mut root, "journal", closed(keys::<JournalKeys>(&defaults("journal"))));
    set(&mut root, "http", closed(keys::<HttpKeys>(&defaults("http"))));
    set(&mut root, "geoip", closed(keys::<GeoIpKeys>(&json!({}))));
    set(&mut root, "defaults", for_all);
    set(&mut root, "template", named(json!({"$ref": "#/$defs/template"})));
    set(&mut root, "tenant", named(json!({"$ref": "#/$defs/tenant"})));
    set(&mut root, "sink", named(json!({"$ref": "#/$defs/sink"})));
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Tidegate pipeline"));
        root.insert("$defs".to_owned(), Json::Object(defs));
    }
    root
}

/// The schema of a table of `raw`, with the defaults that are built in. Doc comments are wrapped for the code, so their
/// line ends are not kept.
fn keys<K: Keys>(defaults: &Json) -> Json {
    let schema = schemars::schema_for!(K);
    let mut properties = Map::new();
    for name in raw::names::<K>() {
        let mut property =
            schema.pointer(&format!("/properties/{name}")).cloned().unwrap_or_else(|| json!({}));
        if let Some(property) = property.as_object_mut() {
            property.remove("default");
            if let Some(default) = defaults.get(&name) {
                property.insert("default".to_owned(), default.clone());
            }
            if let Some(Json::String(text)) = property.get_mut("description") {
                *text = text.replace('\n', " ");
            }
        }
        properties.insert(name, property);
    }
    json!({"type": "object", "properties": properties})
}

/// Adds to a property; what stands there stays, unless it is named again.
fn set(table: &mut Json, key: &str, more: Json) {
    let place = table.pointer_mut(&format!("/properties/{key}")).and_then(Json::as_object_mut);
    if let (Some(place), Json::Object(more)) = (place, more) {
        place.extend(more);
    }
}

fn closed(mut table: Json) -> Json {
    if let Some(table) = table.as_object_mut() {
        table.insert("additionalProperties".to_owned(), json!(false));
    }
    table
}

/// A table of named things.
fn named(of: Json) -> Json {
    json!({"type": "object", "propertyNames": {"pattern": NAMES}, "additionalProperties": of})
}

/// A source or sink that does not say what it is, since a template or the sink of that name outside does.
fn bare(common: &Json, key: &str) -> Json {
    let mut table = common.clone();
    if let Some(table) = table.as_object_mut() {
        table.insert("not".to_owned(), json!({"required": [key]}));
    }
    table
}

/// A source or sink that says what it is, and so has that one's own keys too.
fn chosen(common: &Json, key: &str, value: &str, own: &str) -> Json {
    let mut table = common.clone();
    set(&mut table, key, json!({"const": value}));
    if let Some(table) = table.as_object_mut() {
        table.insert("required".to_owned(), json!([key]));
        table.insert("allOf".to_owned(), json!([{"$ref": format!("#/$defs/{own}")}]));
        table.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    table
}

/// Puts a connector's or kind's schema among the definitions, its own definitions beside it under longer names.
fn own(name: &str, mut schema: Json, defs: &mut Map<String, Json>) {
    rename_references(&mut schema, name);
    if let Some(table) = schema.as_object_mut() {
        // It stands beside the common keys now. That a key is missing is for `open` to say: a template may have it.
        for key in ["$schema", "additionalProperties", "required"] {
            table.remove(key);
        }
        if let Some(Json::Object(inner)) = table.remove("$defs") {
            defs.extend(inner.into_iter().map(|(key, value)| (format!("{name}_{key}"), value)));
        }
    }
    defs.insert(name.to_owned(), schema);
}

fn rename_references(schema: &mut Json, name: &str) {
    match schema {
        Json::Object(table) => {
            for (key, value) in table {
                match value {
                    Json::String(to) if key == "$ref" => {
                        if let Some(rest) = to.strip_prefix("#/$defs/") {
                            *to = format!("#/$defs/{name}_{rest}");
                        }
                    }
                    value => rename_references(value, name),
                }
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| rename_references(value, name)),
        _ => {}
    }
}
