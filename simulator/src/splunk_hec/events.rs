//! What stands in a request: events up to the first bad one.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{HecToken, Stored};

/// The first object that is not taken.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) code: u64,
    pub(super) text: &'static str,
    /// What the answer calls its number.
    pub(super) number: usize,
}

#[derive(Deserialize)]
struct Envelope<'b> {
    #[serde(borrow, default)]
    time: Option<&'b RawValue>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    sourcetype: Option<String>,
    #[serde(default)]
    index: Option<String>,
    #[serde(default)]
    fields: Option<Value>,
    #[serde(borrow, default, deserialize_with = "given")]
    event: Option<&'b RawValue>,
}

/// A null is an event that was given, and blank.
fn given<'de: 'b, 'b, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'b RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Envelopes one behind the other, or in one array.
pub(super) fn envelopes(body: &[u8], token: &HecToken, longest: usize) -> (Vec<Stored>, Option<Bad>) {
    let mut events = Vec::new();
    let mut rest = body.trim_ascii();
    let array = rest.strip_prefix(b"[");
    let in_array = array.is_some();
    rest = array.unwrap_or(rest).trim_ascii_start();
    loop {
        let number = events.len();
        let malformed = || Some(Bad { code: 6, text: "Invalid data format", number });
        if rest.is_empty() || (in_array && rest.starts_with(b"]")) {
            let whole =
                if in_array { rest.get(1..).is_some_and(|rest| rest.trim_ascii().is_empty()) } else { true };
            return (events, if whole { None } else { malformed() });
        }
        let mut stream = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let Some(Ok(text)) = stream.next() else { return (events, malformed()) };
        let behind = stream.byte_offset();
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text.get()) else {
            return (events, malformed());
        };
        match event(envelope, token, longest) {
            Ok(event) => events.push(event),
            Err((code, text)) => {
                // With a wrong index it is the number of the object behind it.
                let number = if code == 7 { number + 1 } else { number };
                return (events, Some(Bad { code, text, number }));
            }
        }
        rest = rest.get(behind..).unwrap_or_default().trim_ascii_start();
        if in_array {
            rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        }
    }
}

fn event(envelope: Envelope<'_>, token: &HecToken, longest: usize) -> Result<Stored, (u64, &'static str)> {
    let Envelope { time, host, source, sourcetype, index, fields, event } = envelope;
    let event = event.ok_or((12, "Event field is required"))?;
    if ["null", "\"\"", "{}"].contains(&event.get()) {
        return Err((13, "Event field cannot be blank"));
    }
    if event.get().len() > longest {
        return Err((6, "Invalid data format"));
    }
    let in_fields = (15, "Error in handling indexed fields");
    let time = match time.map(|time| time.get().trim_matches('"')) {
        None | Some("null") => None,
        Some(time) if time.contains(['e', 'E']) => return Err(in_fields),
        Some(time) if time.parse::<f64>().is_ok() => Some(time.to_owned()),
        Some(_) => return Err((6, "Invalid data format")),
    };
    let flat = |value: &Value| match value {
        Value::String(_) | Value::Number(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    };
    match &fields {
        None => {}
        Some(Value::Object(members)) if members.values().all(flat) => {}
        Some(_) => return Err(in_fields),
    }
    let index = index.unwrap_or_else(|| token.index.clone());
    if !may_write(token, &index) {
        return Err((7, "Incorrect index"));
    }
    Ok(Stored {
        index,
        host: host.unwrap_or_default(),
        source: source.unwrap_or_else(|| "http:simulator".to_owned()),
        sourcetype: sourcetype.unwrap_or_else(|| "httpevent".to_owned()),
        time,
        fields,
        event: text(event),
        request: 0,
    })
}

/// A string is stored as what it says, everything else as its JSON text.
fn text(event: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(event.get()) {
        Ok(text) => Bytes::from(text),
        Err(_) => Bytes::copy_from_slice(event.get().as_bytes()),
    }
}

fn may_write(token: &HecToken, index: &str) -> bool {
    token.indexes.is_empty() || token.indexes.iter().any(|allowed| allowed == index)
}

/// One event a line.
pub(super) fn lines(
    body: &[u8],
    token: &HecToken,
    query: &HashMap<String, String>,
    longest: usize,
) -> (Vec<Stored>, Option<Bad>) {
    let of = |name: &str| query.get(name).cloned();
    let index = of("index").unwrap_or_else(|| token.index.clone());
    if !may_write(token, &index) {
        return (Vec::new(), Some(Bad { code: 7, text: "Incorrect index", number: 1 }));
    }
    let mut events = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        if line.len() > longest {
            let number = events.len();
            return (events, Some(Bad { code: 6, text: "Invalid data format", number }));
        }
        events.push(Stored {
            index: index.clone(),
            host: of("host").unwrap_or_default(),
            source: of("source").unwrap_or_else(|| "http:simulator".to_owned()),
            sourcetype: of("sourcetype").unwrap_or_else(|| "httpevent".to_owned()),
            time: of("time"),
            fields: None,
            event: Bytes::copy_from_slice(line),
            request: 0,
        });
    }
    (events, None)
}
