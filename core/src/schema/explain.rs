//! What a person asks of a document: where each field came from, and what of the record is not in it.

use super::ecs::Ecs;
use super::{Context, Schema, Writer, leef};
use crate::event::{Event, Field, Shape, Share, Table, is_ip};
use crate::json::{Kind, Tape, Value, push_key};
use crate::source::NormalizeError;
use std::collections::{HashMap, HashSet};

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
    let paths = paths(event, &offsets);
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

/// The paths of bytes of an event's record.
fn paths(event: &Event<'_>, offsets: &[usize]) -> HashMap<usize, String> {
    let known = event.part.map(|part| (part.value, part.at));
    event.record.map(|record| record.paths_through(offsets, known)).unwrap_or_default()
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
    let paths = paths(event, &offsets);
    let path = |offset: usize| paths.get(&offset).map(|path| anywhere(path)).unwrap_or_default();
    Ok(offsets.into_iter().map(|offset| (path(offset), kind(offset))).collect())
}

/// `a[3].b` as `a[].b`; a bracket may also be a letter of a name.
fn anywhere(path: &str) -> String {
    let mut pieces = path.split('[');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push('[');
        let after = piece.trim_start_matches(|letter: char| letter.is_ascii_digit());
        out.push_str(if after.starts_with(']') { after } else { piece });
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

/// The record's values that an explained document does not have, and should: other parts of a list have documents of their own. What is only a `null` or an empty text says nothing and is
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
            let key = key.decode();
            let mut below = path.clone();
            push_key(&mut below, &key);
            let keys = keys.iter().cloned().chain([key.into_owned()]).collect();
            todo.push((below, member, keys));
        }
        for (at, element) in value.elements().enumerate() {
            if event.part.is_none_or(|part| !is_of_another(value, element, part)) {
                todo.push((format!("{path}[{at}]"), element, keys.clone()));
            }
        }
        if todo.len() > before {
            todo.get_mut(before..).unwrap_or_default().reverse();
            continue;
        }
        if !says(value) || kept(&path) {
            continue;
        }
        let nothing = value.as_text().is_some() && crate::event::known(value).is_none();
        let why = match field(event.table, &keys) {
            Some(field) => match why(field, value) {
                Why::Elsewhere => continue,
                Why::Because(reason) => Some(reason),
                Why::Lost => None,
            },
            None => None,
        };
        let why = why.or(nothing.then_some("says nothing"));
        out.push(Absent { path, value: value.raw().to_owned(), why });
    }
    out
}

/// Whether an element of a list is in the document of another part of it.
fn is_of_another(list: Value<'_, '_>, element: Value<'_, '_>, part: Share<'_>) -> bool {
    let (list, own) = (list.span(), part.value.span());
    let holds = list.start < own.start && own.end < list.end;
    holds && element.span() != own && !(part.first && element.kind() != Kind::Object)
}

/// Whether there is anything in a value; JSON in a text may have nothing in it.
fn says(value: Value<'_, '_>) -> bool {
    match value.kind() {
        Kind::Null => false,
        Kind::Bool | Kind::Number => true,
        Kind::Object => value.members().any(|(_, member)| says(member)),
        Kind::Array => value.elements().any(says),
        Kind::String => value.as_text().is_some_and(|text| {
            let container = |inner: &Value<'_, '_>| matches!(inner.kind(), Kind::Object | Kind::Array);
            let text = text.decode();
            let mut tape = Tape::new();
            let inner = tape.cut(text.as_bytes()).ok().filter(container);
            !text.trim().is_empty() && inner.is_none_or(says)
        }),
    }
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

#[cfg(test)]
mod tests {
    use super::anywhere;

    #[test]
    fn a_place_in_a_list_is_any_place_and_a_bracket_in_a_name_is_a_letter() {
        for (path, place) in [
            ("a[3].b", "a[].b"),
            ("[0][12]", "[][]"),
            ("a[b.c[1]", "a[b.c[]"),
            ("a[12b]", "a[12b]"),
            ("a[", "a["),
            ("", ""),
        ] {
            assert_eq!(anywhere(path), place);
        }
    }
}
