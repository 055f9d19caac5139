//! Field types of one backing index: those its templates declare, and those the documents bring along.
//!
//! The first document that brings a field decides its type, as dynamic mapping does; a later one that does not fit is
//! refused. On Elasticsearch the rules of `ecs@mappings` for addresses, dates and places apply as well.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::DateTime;
use serde_json::Value;

use super::config::ImmenseTerms;

/// Lucene's longest term, in bytes.
const LONGEST_TERM: usize = 32_766;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    kind: String,
    ignore_above: Option<usize>,
    ignore_malformed: bool,
    indexed: bool,
    /// By a template; otherwise by a document.
    declared: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Dynamic {
    #[default]
    Adds,
    Ignores,
    Refuses,
}

/// Why a document does not fit: type and reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    fields: HashMap<String, Field>,
    dynamic: Dynamic,
    ecs: bool,
}

/// How strings are judged that no template declares.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) immense: &'a ImmenseTerms,
    /// What a parsing exception is called here.
    pub(crate) parsing: &'static str,
}

impl Mapping {
    pub(crate) fn new(ecs: bool) -> Self {
        Self { ecs, ..Self::default() }
    }

    /// Adds a `mappings` object; later ones win.
    pub(crate) fn declare(&mut self, mappings: &Value) {
        match mappings.get("dynamic") {
            Some(Value::String(text)) if text == "strict" => self.dynamic = Dynamic::Refuses,
            Some(Value::Bool(false)) => self.dynamic = Dynamic::Ignores,
            Some(Value::String(text)) if text == "false" => self.dynamic = Dynamic::Ignores,
            _ => {}
        }
        if let Some(properties) = mappings.get("properties") {
            self.properties(properties, "");
        }
    }

    fn properties(&mut self, properties: &Value, prefix: &str) {
        for (name, body) in properties.as_object().into_iter().flatten() {
            let path = join(prefix, name);
            // Parents of dotted names are objects.
            for (dot, _) in path.match_indices('.') {
                let parent = path.get(..dot).unwrap_or_default();
                self.fields.entry(parent.to_owned()).or_insert_with(|| field("object", true));
            }
            let kind = body.get("type").and_then(Value::as_str).unwrap_or("object");
            let number =
                |name: &str| body.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let flag = |name: &str| body.get(name).and_then(Value::as_bool);
            self.fields.insert(
                path.clone(),
                Field {
                    kind: kind.to_owned(),
                    ignore_above: number("ignore_above"),
                    ignore_malformed: flag("ignore_malformed").unwrap_or(false),
                    indexed: flag("index").unwrap_or(true) && flag("enabled").unwrap_or(true),
                    declared: true,
                },
            );
            if let Some(inner) = body.get("properties") {
                self.properties(inner, &path);
            }
        }
    }

    /// Checks a document and, when it fits, keeps the fields it brought.
    pub(crate) fn admit(&mut self, document: &Value, judge: Judge<'_>) -> Result<(), Trouble> {
        let mut added = HashMap::new();
        for (name, value) in document.as_object().into_iter().flatten() {
            self.value(value, name, judge, &mut added)?;
        }
        self.fields.extend(added);
        Ok(())
    }

    fn value(
        &self,
        value: &Value,
        path: &str,
        judge: Judge<'_>,
        added: &mut HashMap<String, Field>,
    ) -> Result<(), Trouble> {
        if let Value::Array(elements) = value {
            return elements.iter().try_for_each(|element| self.value(element, path, judge, added));
        }
        if value.is_null() {
            return Ok(());
        }
        // A dotted name stands for its objects.
        for (dot, _) in path.match_indices('.') {
            let parent = path.get(..dot).unwrap_or_default();
            match self.fields.get(parent).or_else(|| added.get(parent)) {
                None => {
                    added.insert(parent.to_owned(), field("object", false));
                }
                Some(known) if matches!(known.kind.as_str(), "object" | "nested") => {}
                Some(known) if is_flat(&known.kind) => return Ok(()),
                Some(known) => return Err(unfit(judge, parent, &known.kind, "an object")),
            }
        }
        let known = self.fields.get(path).or_else(|| added.get(path)).cloned();
        let known = match known {
            Some(known) => known,
            None => match self.dynamic {
                Dynamic::Ignores => return Ok(()),
                Dynamic::Refuses => {
                    return Err(Trouble {
                        kind: "strict_dynamic_mapping_exception",
                        reason: format!(
                            "[1:1] mapping set to strict, dynamic introduction of [{path}] is not allowed"
                        ),
                    });
                }
                Dynamic::Adds => {
                    let new = field(self.kind_of(path, value), false);
                    added.insert(path.to_owned(), new.clone());
                    new
                }
            },
        };
        match value {
            Value::Object(members) if matches!(known.kind.as_str(), "object" | "nested") => {
                if !known.indexed {
                    return Ok(());
                }
                members
                    .iter()
                    .try_for_each(|(name, inner)| self.value(inner, &join(path, name), judge, added))
            }
            Value::Object(_) if is_flat(&known.kind) => flat_terms(value, path, &known, judge),
            _ if known.ignore_malformed || fits(&known.kind, value) => term(value, path, &known, judge),
            _ => Err(unfit(judge, path, &known.kind, &value.to_string())),
        }
    }

    fn kind_of(&self, path: &str, value: &Value) -> &'static str {
        match value {
            Value::Object(_) => "object",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "float",
            Value::Number(_) => "long",
            Value::String(_) if self.ecs => ecs_kind(path),
            _ => "keyword",
        }
    }
}

/// What `ecs@mappings` makes of a string by its name.
fn ecs_kind(path: &str) -> &'static str {
    let name = path.rsplit('.').next().unwrap_or(path);
    let nested = name.len() < path.len();
    let dates = [
        "timestamp",
        "not_after",
        "not_before",
        "accessed",
        "installed",
        "creation_date",
        "ctime",
        "mtime",
        "start",
        "end",
    ];
    if name == "ip" || name.ends_with("_ip") {
        "ip"
    } else if matches!(name, "created" | "ingested")
        || name.ends_with("_timestamp")
        || (nested && dates.contains(&name))
    {
        "date"
    } else {
        "keyword"
    }
}

fn field(kind: &str, declared: bool) -> Field {
    Field { kind: kind.to_owned(), ignore_above: None, ignore_malformed: false, indexed: true, declared }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn is_flat(kind: &str) -> bool {
    matches!(kind, "flattened" | "flat_object")
}

fn unfit(judge: Judge<'_>, path: &str, kind: &str, value: &str) -> Trouble {
    let reason = match kind {
        "object" | "nested" => {
            format!(
                "[1:1] object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            )
        }
        _ => {
            let preview: String = value.chars().take(50).collect();
            format!(
                "[1:1] failed to parse field [{path}] of type [{kind}]. Preview of field's value: '{preview}'"
            )
        }
    };
    Trouble { kind: judge.parsing, reason }
}

fn fits(kind: &str, value: &Value) -> bool {
    let numeric = |text: &str| text.trim().parse::<f64>().is_ok();
    match kind {
        "object" | "nested" | "flattened" | "flat_object" => value.is_object(),
        "ip" => value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "date" | "date_nanos" => is_date(value),
        "boolean" => value.is_boolean() || matches!(value.as_str(), Some("true" | "false" | "")),
        "long" | "integer" | "short" | "byte" | "unsigned_long" | "float" | "double" | "half_float"
        | "scaled_float" => value.is_number() || value.as_str().is_some_and(numeric),
        "geo_point" => {
            value.is_string() || value.is_number() || value.get("lat").is_some() && value.get("lon").is_some()
        }
        _ => !value.is_object(),
    }
}

/// A date as `strict_date_optional_time||epoch_millis` has it.
pub(crate) fn is_date(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::String(text) => {
            DateTime::parse_from_rfc3339(text).is_ok()
                || text.parse::<i64>().is_ok()
                || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
        }
        _ => false,
    }
}

fn term(value: &Value, path: &str, known: &Field, judge: Judge<'_>) -> Result<(), Trouble> {
    let Some(text) = value.as_str().filter(|text| text.len() > LONGEST_TERM) else { return Ok(()) };
    let indexed = if known.declared {
        let terms =
            matches!(known.kind.as_str(), "keyword" | "constant_keyword" | "flattened" | "flat_object");
        terms && known.indexed && known.ignore_above.is_none_or(|most| text.chars().count() <= most)
    } else {
        match judge.immense {
            ImmenseTerms::Accepted => false,
            ImmenseTerms::AnywhereBut { fields, ignore_above } => {
                !fields.iter().any(|field| field == path)
                    && ignore_above.is_none_or(|most| text.chars().count() <= most)
            }
            ImmenseTerms::In(fields) => fields.iter().any(|field| field == path),
        }
    };
    if !indexed {
        return Ok(());
    }
    let reason = format!(
        "Document contains at least one immense term in field=\"{path}\" (whose UTF8 encoding is longer than the max length {LONGEST_TERM}), all of which were skipped."
    );
    Err(Trouble { kind: "illegal_argument_exception", reason })
}

fn flat_terms(value: &Value, path: &str, known: &Field, judge: Judge<'_>) -> Result<(), Trouble> {
    match value {
        Value::Object(members) => {
            members.values().try_for_each(|inner| flat_terms(inner, path, known, judge))
        }
        Value::Array(elements) => elements.iter().try_for_each(|inner| flat_terms(inner, path, known, judge)),
        _ => term(value, path, known, judge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn admit(mapping: &mut Mapping, document: Value) -> Result<(), &'static str> {
        let judge = Judge { immense: &ImmenseTerms::default(), parsing: "document_parsing_exception" };
        mapping.admit(&document, judge).map_err(|trouble| trouble.kind)
    }

    const UNFIT: Result<(), &str> = Err("document_parsing_exception");

    #[test]
    fn declared_types_are_kept() {
        let mut mapping = Mapping::default();
        mapping.declare(&json!({"properties": {
            "source": {"properties": {"ip": {"type": "ip"}}},
            "okta.debug_data.flattened": {"type": "flattened"},
            "event": {"properties": {"original": {"type": "keyword", "index": false}, "created": {"type": "date"}}},
            "n": {"type": "long"}, "b": {"type": "boolean"}, "soft": {"type": "ip", "ignore_malformed": true},
            "name": {"type": "keyword", "ignore_above": 10}, "hard": {"type": "keyword"}
        }}));
        for good in [
            json!({"source": {"ip": ["192.0.2.1", "2001:db8::1", null]}}),
            json!({"source.ip": "192.0.2.1"}),
            json!({"okta": {"debug_data": {"flattened": {"a": {"b": "x"}}}}}),
            json!({"event": {"original": "x".repeat(40_000), "created": "2026-01-15T10:00:00.000Z"}}),
            json!({"n": "5", "b": "true", "soft": "null", "name": "x".repeat(40_000)}),
        ] {
            assert_eq!(
                admit(&mut mapping, good.clone()),
                Ok(()),
                "{}",
                good.to_string().get(..40).unwrap_or_default()
            );
        }
        for bad in [
            json!({"source": {"ip": "null"}}),
            json!({"source": "192.0.2.1"}),
            json!({"source.ip": {"x": 1}}),
            json!({"okta": {"debug_data": {"flattened": "text"}}}),
            json!({"event": {"created": "soon"}}),
            json!({"n": "five"}),
            json!({"b": 1}),
            json!({"name": {"first": "x"}}),
        ] {
            assert_eq!(admit(&mut mapping, bad.clone()), UNFIT, "{bad}");
        }
        assert_eq!(
            admit(&mut mapping, json!({"hard": "x".repeat(40_000)})),
            Err("illegal_argument_exception")
        );
    }

    #[test]
    fn the_first_document_decides_the_type_unless_it_is_refused() {
        let mut mapping = Mapping::new(true);
        assert_eq!(
            admit(&mut mapping, json!({"a": {"b": 1}, "c": "x", "source": {"ip": "192.0.2.1"}})),
            Ok(())
        );
        assert_eq!(admit(&mut mapping, json!({"a": "text"})), UNFIT);
        assert_eq!(admit(&mut mapping, json!({"c": {"d": 1}})), UNFIT);
        assert_eq!(admit(&mut mapping, json!({"a.b": "text"})), UNFIT);
        assert_eq!(
            admit(&mut mapping, json!({"c": [1, true, "x", null]})),
            Ok(()),
            "a keyword takes any value"
        );
        assert_eq!(admit(&mut mapping, json!({"client": {"ip": "null"}})), UNFIT, "ecs@mappings knows *.ip");
        assert_eq!(admit(&mut mapping, json!({"new": 1, "a": "text"})), UNFIT);
        assert_eq!(admit(&mut mapping, json!({"new": "text"})), Ok(()), "a refused document decides nothing");
    }

    #[test]
    fn dynamic_may_be_strict_or_off() {
        let with = |dynamic: Value| {
            let mut mapping = Mapping::default();
            mapping.declare(&json!({"dynamic": dynamic, "properties": {"a": {"type": "long"}}}));
            [
                admit(&mut mapping, json!({"a": 1})),
                admit(&mut mapping, json!({"b": 1})),
                admit(&mut mapping, json!({"b": {}})),
            ]
        };
        assert_eq!(with(json!("strict"))[1], Err("strict_dynamic_mapping_exception"));
        assert_eq!(with(json!(false)), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(with(json!(true))[2], UNFIT);
    }
}
