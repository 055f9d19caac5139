//! Good answers become pages: how Duo says "next".
//!
//! v2 and Trust Monitor give a place to go on at. v1 gives none: at most a thousand of the oldest records, and the way on is
//! to ask again from the last second seen.

use super::client::{Ask, Endpoint};
use super::normalize;
use super::units::Seconds;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use std::ops::Range;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::cut::Envelope;
use tidegate_core::json::Tape;
use tidegate_core::source::Cursor;

/// Records of a v1 answer, at most.
pub(super) const V1_FULL: usize = 1000;

/// What an answer says.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Where each record stands.
    pub(super) records: Vec<Range<usize>>,
    /// Duo's place, or the next second to ask from.
    pub(super) next: Option<Cursor>,
    /// See [`tidegate_core::source::Page::unread`].
    pub(super) unread: Option<Range<DateTime<Utc>>>,
}

/// What is wrong with an answer, and what that means.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It cannot be understood: ask again.
    Answer(Fault),
    /// It leads back to where the request began.
    Stuck(Fault),
}

fn answer(message: impl Into<String>) -> Wrong {
    Wrong::Answer(Fault::new(FaultKind::Answer, message))
}

/// Reads the answer to `ask`, whose window is `[from, to)`.
pub(super) fn read(ask: &Ask, from: DateTime<Utc>, to: DateTime<Utc>, body: &[u8]) -> Result<Read, Wrong> {
    let envelope = Envelope::read(body).map_err(Wrong::Answer)?;
    if envelope.member::<String>("stat").as_deref() != Some("OK") {
        return Err(answer("the answer does not say \"stat\": \"OK\""));
    }
    match (ask.endpoint, ask.since) {
        (Endpoint::Range { list, limit, .. }, _) => range(&envelope, list, *limit, ask),
        (Endpoint::Since { .. }, since) => {
            let records = envelope.records("response").map_err(Wrong::Answer)?;
            let records = records.ok_or_else(|| answer("the answer has no \"response\""))?;
            since_page(records, since, from, to, body)
        }
    }
}

fn range(envelope: &Envelope<'_>, list: &str, limit: u32, ask: &Ask) -> Result<Read, Wrong> {
    let response = envelope
        .object("response")
        .ok_or_else(|| answer("the answer's \"response\" is missing or is no object"))?;
    let records = response.records(list).map_err(Wrong::Answer)?;
    // An empty list is an answer, none at all is another shape than the one that we know.
    let records = records.ok_or_else(|| answer(format!("the answer has no \"{list}\"")))?;
    // Duo has it in either place.
    let metadata = response.object("metadata").or_else(|| envelope.object("metadata"));
    let Some(metadata) = metadata else {
        if records.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(answer("a full page without \"metadata\" does not say whether more follows"));
        }
        return Ok(Read { records, ..Read::default() });
    };
    let next = next_offset(&metadata)?;
    match next {
        Some(next) if Some(&next) == ask.token.as_ref() => {
            if records.is_empty() {
                return Ok(Read { records, ..Read::default() });
            }
            let message = "next_offset leads to the page it came with, although records came";
            Err(Wrong::Stuck(Fault::new(FaultKind::Cursor, message)))
        }
        next => Ok(Read { records, next: next.map(|next| Cursor(next.into_bytes())), unread: None }),
    }
}

/// `next_offset` in its one comma-joined form, whatever it came in: text, a number, a list of both. `None` at the end:
/// null, absent or empty.
fn next_offset(metadata: &Envelope<'_>) -> Result<Option<String>, Wrong> {
    let wrong = || answer("next_offset is neither text nor a list of texts");
    let one = |part: &Json| match part {
        Json::String(text) if !text.is_empty() => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        _ => Err(wrong()),
    };
    match metadata.member::<Json>("next_offset") {
        // What is there and cannot be read is no end.
        None => match metadata.records("next_offset") {
            Ok(None) => Ok(None),
            _ => Err(wrong()),
        },
        Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::Array(parts)) if parts.iter().all(Json::is_null) => Ok(None),
        Some(Json::Array(parts)) => {
            let parts: Result<Vec<_>, _> = parts.iter().map(one).collect();
            parts.map(|parts| Some(parts.join(",")))
        }
        Some(part) => one(&part).map(Some),
    }
}

/// A short page, or one that passes `to`, ends the window. A full page of one single second cannot be gone through: the
/// second is stepped over, and reported.
fn since_page(
    records: Vec<Range<usize>>,
    since: Seconds,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    body: &[u8],
) -> Result<Read, Wrong> {
    if records.len() < V1_FULL {
        return Ok(Read { records, ..Read::default() });
    }
    let mut tape = Tape::new();
    let mut seen: Option<(Seconds, Seconds)> = None;
    for span in &records {
        let time = tape.cut(body.get(span.clone()).unwrap_or_default()).ok().and_then(normalize::v1_time);
        if let Some(second) = time.map(Seconds::floor) {
            let (first, last) = seen.unwrap_or((second, second));
            seen = Some((first.min(second), last.max(second)));
        }
    }
    let (first, last) = seen.ok_or_else(|| answer("a full page in which no record has a readable time"))?;
    if last >= Seconds::ceil(to) {
        return Ok(Read { records, ..Read::default() });
    }
    let stuck = first == last || last <= since;
    let (next, unread) = if stuck {
        let next = last.max(since).next();
        let part = last.max(since).start().zip(next.start());
        let part = part.map(|(start, end)| start.max(from)..end.min(to));
        (next, part.filter(|part| part.start < part.end))
    } else {
        (last, None)
    };
    Ok(Read { records, next: Some(Cursor(next.to_string().into_bytes())), unread })
}
