//! What a person asks of a document: where each field came from, and what of the record is not in it.

use super::ecs::Ecs;
use super::{Context, Schema, Writer, leef};
use crate::event::{Event, Field, Shape, Table, is_ip};
use crate::json::{Kind, Tape, Value};
use crate::source::NormalizeError;
use std::collections::HashSet;

/// A line of an explained document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Where it stands in the document.
    pub path: String,
    /// Where it comes from in the record; `None`: from the event's meaning or from us.
    pub from: Option<String>,
    /// The value, as JSON; of a line of text as it stands.
    pub value: String,
}

/// Every leaf of an event's document, and where it came from.
///
/// # Errors
/// As [`Schema::render`].
pub fn explain(
    schema: &dyn Schema,
    event: &Event<'_>,
    context: &Context<'_>,
) -> Result<Vec<Explained>, NormalizeError> {
    let mut bytes = Vec::new();
    let mut notes = Vec::new();
    schema.write(event, context, &mut Writer::noting(&mut bytes, &mut notes))?;
    let offsets: Vec<usize> = notes.iter().map(|(_, offset)| *offset).collect();
    let paths = event.record.map(|record| record.paths_of(&offsets)).unwrap_or_default();
    let origin = |at: Option<usize>| at.and_then(|at| paths.get(&at).cloned());
    if schema.is_text() {
        return Ok(leef::attributes(&bytes)
            .map(|(path, value, span)| {
                let noted = first(&notes, span.start).filter(|(at, _)| span.contains(at));
                let noted = noted.map(|(_, offset)| *offset);
                Explained { path, from: origin(noted).filter(|path| !path.is_empty()), value }
            })
            .collect());
    }
    let mut tape = Tape::new();
    let document = tape.cut(&bytes).map_err(|error| NormalizeError(error.to_string()))?;
    let mut lines = Vec::new();
    let mut todo = vec![(String::new(), document, None)];
    while let Some((path, value, above)) = todo.pop() {
        // What was read out of a text comes from that text as a whole.
        let start = value.span().start;
        let noted = first(&notes, start).filter(|(at, _)| *at == start).map(|(_, offset)| *offset);
        let from: Option<usize> = noted.or(above);
        let before = todo.len();
        for (key, member) in value.members() {
            let dot = if path.is_empty() { "" } else { "." };
            todo.push((format!("{path}{dot}{}", key.text()), member, from));
        }
        for (at, element) in value.elements().enumerate() {
            todo.push((format!("{path}[{at}]"), element, from));
        }
        if todo.len() > before {
            // The last one is taken first.
            todo.get_mut(before..).unwrap_or_default().reverse();
            continue;
        }
        lines.push(Explained {
            path,
            from: origin(from).filter(|path| !path.is_empty()),
            value: value.raw().to_owned(),
        });
    }
    Ok(lines)
}

/// The first note from a place of the document on; they are in its order.
fn first(notes: &[(usize, usize)], from: usize) -> Option<&(usize, usize)> {
    notes.get(notes.partition_point(|(at, _)| *at < from))
}

/// The record's values that no table expected, or not of this type: where they stand (`[]` for any place in a list), and
/// their JSON type.
///
/// # Errors
/// As [`Schema::render`].
pub fn drift(
    event: &Event<'_>,
    context: &Context<'_>,
) -> Result<Vec<(String, &'static str)>, NormalizeError> {
    let (mut bytes, mut notes) = (Vec::new(), Vec::new());
    let mut writer = Writer::noting(&mut bytes, &mut notes);
    Ecs.write(event, context, &mut writer)?;
    let offsets = std::mem::take(&mut writer.odd);
    let Some(record) = event.record else { return Ok(Vec::new()) };
    let kind = |offset: usize| match record.record().as_bytes().get(offset) {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        _ => "number",
    };
    let paths = record.paths_of(&offsets);
    let path = |offset: usize| paths.get(&offset).map(|path| anywhere(path)).unwrap_or_default();
    Ok(offsets.into_iter().map(|offset| (path(offset), kind(offset))).collect())
}

/// `a[3].b` as `a[].b`.
fn anywhere(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        inside = (inside && letter != ']') || letter == '[';
        if !inside || letter == '[' {
            out.push(letter);
        }
    }
    out
}

/// A value of the record that stands nowhere in the document, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Where it stands in the record.
    pub path: String,
    /// The value, as JSON.
    pub value: String,
    /// Why it is left out; `None`: there is no reason, and it is lost.
    pub why: Option<&'static str>,
}

/// The record's values that an explained document does not have. What is only a `null` or an empty text says nothing and is
/// not named; what the event has in another form (a time, an outcome) is not missing.
#[must_use]
pub fn absent(event: &Event<'_>, lines: &[Explained]) -> Vec<Absent> {
    let mut out = Vec::new();
    let known: HashSet<&str> = lines.iter().filter_map(|line| line.from.as_deref()).collect();
    // A container is kept as a whole, and a text for what was read out of it.
    let kept = |path: &str| {
        let above = path.match_indices(['.', '[']).map(|(at, _)| path.get(..at).unwrap_or_default());
        known.contains(path) || above.into_iter().any(|above| known.contains(above))
    };
    let mut todo: Vec<(String, Value<'_, '_>, Vec<String>)> =
        event.record.map(|record| (String::new(), record, Vec::new())).into_iter().collect();
    while let Some((path, value, keys)) = todo.pop() {
        let before = todo.len();
        for (key, member) in value.members() {
            let dot = if path.is_empty() { "" } else { "." };
            let key = key.decode();
            let keys = keys.iter().cloned().chain([key.clone().into_owned()]).collect();
            todo.push((format!("{path}{dot}{key}"), member, keys));
        }
        for (at, element) in value.elements().enumerate() {
            todo.push((format!("{path}[{at}]"), element, keys.clone()));
        }
        if todo.len() > before {
            todo.get_mut(before..).unwrap_or_default().reverse();
            continue;
        }
        let says = match value.kind() {
            Kind::Null | Kind::Object | Kind::Array => false,
            Kind::Bool | Kind::Number => true,
            Kind::String => value.as_text().is_some_and(|text| !text.is_blank()),
        };
        if !says || kept(&path) {
            continue;
        }
        let why = match field(event.table, &keys) {
            Some(field) => match why(field, value) {
                Why::Elsewhere => continue,
                Why::Because(reason) => Some(reason),
                Why::Lost => None,
            },
            None => None,
        };
        out.push(Absent { path, value: value.raw().to_owned(), why });
    }
    out
}

enum Why {
    Elsewhere,
    Because(&'static str),
    Lost,
}

fn why(field: &Field, value: Value<'_, '_>) -> Why {
    let text = value.as_text();
    match field.shape {
        Shape::Ignore(reason) => Why::Because(reason),
        Shape::Ip if text.as_ref().is_none_or(|text| !is_ip(text)) => Why::Because("is not an address"),
        Shape::Integer | Shape::Long if value.as_i64().is_none() => Why::Because("is not a whole number"),
        Shape::Boolean if value.as_bool().is_none() => Why::Because("is neither true nor false"),
        Shape::Time if text.is_none() => Why::Because("is not a time"),
        _ if field.event => Why::Elsewhere,
        _ => Why::Lost,
    }
}

/// The row of the table that decides about a value: the deepest that its keys lead to.
fn field(table: &'static Table, keys: &[String]) -> Option<&'static Field> {
    let mut fields = table.fields;
    let mut found = None;
    for key in keys {
        let Some(field) = fields.iter().find(|field| field.key == key) else { return found };
        found = Some(field);
        fields = match field.shape {
            Shape::Object(inner)
            | Shape::List(inner)
            | Shape::FlatList(inner)
            | Shape::Positions(inner, _) => inner,
            Shape::Wrapped(inner) | Shape::Opened(inner) => inner,
            Shape::Debug(rows, _) => rows.fields,
            Shape::Parts => table.part,
            // The name of a named value is the name of its field.
            Shape::Params(_) | Shape::Keyed
                if matches!(keys.last().map(String::as_str), Some("name" | "key")) =>
            {
                const NAME: &Field = &Field::new("name", "", Shape::Gathered).event();
                return Some(NAME);
            }
            _ => return found,
        };
    }
    found
}
