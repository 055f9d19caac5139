//! The bulk protocol: two lines a document out, one item a document back.

use crate::one_line;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use tidegate_core::sink::Render;
use tidegate_core::source::NormalizeError;

/// Elasticsearch and OpenSearch refuse the whole request for a longer `_id`.
const LONGEST_ID: usize = 512;

/// Only what we look at: a bulk answer would else repeat every id, shard and sequence number.
pub(super) const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,\
                                 items.*.error.caused_by.reason,items.*.failure_store,items.*._index,\
                                 items.*._id";

/// Appends the action line and the document's line.
pub(super) fn frame(
    buf: &mut Vec<u8>,
    index: &str,
    id: Option<&str>,
    document: &mut Render<'_>,
) -> Result<(), NormalizeError> {
    buf.extend_from_slice(br#"{"create":{"_index":"#);
    string(buf, index)?;
    // An empty id is refused; without one the server makes its own.
    if let Some(id) = id.filter(|id| !id.is_empty()) {
        buf.extend_from_slice(br#","_id":"#);
        string(buf, &shorten(id))?;
    }
    buf.extend_from_slice(b"}}\n");
    one_line(buf, document)?;
    buf.push(b'\n');
    Ok(())
}

/// A data stream takes no document without `@timestamp`, and not every schema has it.
pub(super) fn stamp(buf: &mut Vec<u8>, from: usize, time: DateTime<Utc>) {
    const KEY: &[u8] = br#"{"@timestamp":"#;
    let document = buf.get(from..).unwrap_or_default();
    if document.starts_with(KEY)
        || document.first() != Some(&b'{')
        || memchr::memmem::find(document, KEY.get(1..).unwrap_or_default()).is_some()
    {
        return;
    }
    let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let comma = if document.get(1) == Some(&b'}') { "" } else { "," };
    buf.splice(from + 1..from + 1, format!("\"@timestamp\":\"{time}\"{comma}").into_bytes());
}

fn string(buf: &mut Vec<u8>, text: &str) -> Result<(), NormalizeError> {
    serde_json::to_writer(buf, text).map_err(|error| NormalizeError(error.to_string()))
}

/// The id, or its digest where it is too long. Deterministic, so that a second delivery is still recognised.
pub(super) fn shorten(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST_ID {
        return Cow::Borrowed(id);
    }
    let mut text = String::from("sha256-");
    for byte in Sha256::digest(id.as_bytes()) {
        text.extend(
            [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')),
        );
    }
    Cow::Owned(text)
}

/// An answer with a status of 2xx.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) items: Vec<Item<'a>>,
}

/// What became of one document. The member's name (`create`) is not looked at.
#[derive(Debug, Default)]
pub(super) struct Item<'a> {
    pub(super) status: u16,
    pub(super) kind: Cow<'a, str>,
    pub(super) reason: Cow<'a, str>,
    pub(super) failure_store: Cow<'a, str>,
    pub(super) index: Cow<'a, str>,
    /// The id that the document has there; empty where the answer does not say it.
    pub(super) id: Cow<'a, str>,
    /// It has an `error`, whatever its status says.
    pub(super) failed: bool,
}

#[derive(serde::Deserialize)]
struct Inner<'a> {
    status: u16,
    #[serde(default, borrow)]
    error: Option<Reason<'a>>,
    #[serde(default, borrow)]
    failure_store: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "_id")]
    id: Option<Cow<'a, str>>,
}

/// `error` of an item or of a request: an object, or (from proxies and old versions) just a text.
#[derive(Debug, Default)]
pub(super) struct Reason<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) reason: Cow<'a, str>,
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Item<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one action with its outcome")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                let Some((_, inner)) = map.next_entry::<IgnoredAny, Inner<'de>>()? else {
                    return Err(serde::de::Error::custom("an item without an outcome"));
                };
                if map.next_key::<IgnoredAny>()?.is_some() {
                    return Err(serde::de::Error::custom("an item with two outcomes"));
                }
                let failed = inner.error.is_some();
                let error = inner.error.unwrap_or_default();
                Ok(Item {
                    status: inner.status,
                    kind: error.kind,
                    reason: error.reason,
                    failure_store: inner.failure_store.unwrap_or_default(),
                    index: inner.index.unwrap_or_default(),
                    id: inner.id.unwrap_or_default(),
                    failed,
                })
            }
        }
        deserializer.deserialize_map(One)
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Reason<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Cause<'a> {
            #[serde(default, borrow)]
            reason: Option<Cow<'a, str>>,
        }
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Object {
                #[serde(default, borrow, rename = "type")]
                kind: Option<Cow<'a, str>>,
                #[serde(default, borrow)]
                reason: Option<Cow<'a, str>>,
                #[serde(default, borrow)]
                caused_by: Option<Cause<'a>>,
            },
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Object { kind, reason, caused_by } => {
                let mut reason = reason.unwrap_or_default();
                // OpenSearch says only "failed to parse" and puts the field and value into the cause.
                if let Some(cause) = caused_by.and_then(|cause| cause.reason)
                    && !reason.contains(&*cause)
                {
                    reason = Cow::Owned(format!("{reason}: {cause}"));
                }
                Self { kind: kind.unwrap_or_default(), reason }
            }
            Either::Text(reason) => Self { kind: Cow::Borrowed(""), reason },
        })
    }
}

/// The items of a 2xx answer, if it is a receipt for exactly this many documents.
///
/// # Errors
/// Why it is none: a web page, cut JSON, fewer or more items than were sent.
pub(super) fn receipt(body: &[u8], sent: usize) -> Result<Vec<Item<'_>>, String> {
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| format!("no bulk answer ({error})"))?;
    if answer.items.len() != sent {
        return Err(format!("{} documents sent, verdicts on {}", sent, answer.items.len()));
    }
    Ok(answer.items)
}

/// Whether the items are about the documents that were sent, each in its place. What an answer does not name cannot be
/// compared, and the failure store gives ids of its own.
///
/// # Errors
/// The first item that is about another document.
pub(super) fn in_order<'i>(items: &[Item<'_>], sent: impl Iterator<Item = &'i str>) -> Result<(), String> {
    for (place, (item, id)) in items.iter().zip(sent).enumerate() {
        if !item.id.is_empty() && item.failure_store != "used" && item.id != shorten(id) {
            return Err(format!("verdict {} of {} is about another document", place + 1, items.len()));
        }
    }
    Ok(())
}

/// `error` of an answer without items, as far as there is one.
pub(super) fn refusal(body: &[u8]) -> Reason<'_> {
    #[derive(serde::Deserialize)]
    struct Refused<'a> {
        #[serde(borrow)]
        error: Reason<'a>,
    }
    match serde_json::from_slice::<Refused<'_>>(body) {
        Ok(refused) => refused.error,
        Err(_) => Reason {
            kind: Cow::Borrowed(""),
            reason: String::from_utf8_lossy(body.get(..300).unwrap_or(body)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(id: &str, document: &str) -> String {
        let mut buf = Vec::new();
        frame(&mut buf, "logs-okta.system-acme", Some(id), &mut |buf: &mut Vec<u8>| {
            buf.extend_from_slice(document.as_bytes());
            Ok(())
        })
        .unwrap();
        String::from_utf8(buf).unwrap()
    }

    #[test]
    fn a_frame_is_two_lines() {
        assert_eq!(
            framed("a\"b", "{\"x\":\n1}"),
            "{\"create\":{\"_index\":\"logs-okta.system-acme\",\"_id\":\"a\\\"b\"}}\n{\"x\": 1}\n"
        );
        assert_eq!(framed("", "{}"), "{\"create\":{\"_index\":\"logs-okta.system-acme\"}}\n{}\n");
    }

    #[test]
    fn a_document_without_a_time_of_its_own_gets_the_events() {
        let stamped = |document: &str| {
            let mut buf = format!("before{document}").into_bytes();
            stamp(&mut buf, 6, DateTime::UNIX_EPOCH);
            String::from_utf8(buf).unwrap()
        };
        assert_eq!(stamped(r#"{"time":0}"#), r#"before{"@timestamp":"1970-01-01T00:00:00.000Z","time":0}"#);
        assert_eq!(stamped("{}"), r#"before{"@timestamp":"1970-01-01T00:00:00.000Z"}"#);
        for as_it_is in [r#"{"@timestamp":"x"}"#, r#"{"a":1,"@timestamp":"x"}"#, "[]", ""] {
            assert_eq!(stamped(as_it_is), format!("before{as_it_is}"));
        }
    }

    #[test]
    fn a_long_id_is_digested_and_stays_the_same() {
        let id = "é".repeat(257);
        assert_eq!(shorten(&id), shorten(&id));
        assert_eq!(shorten(&id).len(), 7 + 64);
        assert_ne!(shorten(&id), shorten(&format!("{id}x")));
        let id = "é".repeat(256);
        assert_eq!(shorten(&id), id);
    }

    #[test]
    fn items_are_read_in_order_and_counted() {
        let body = r#"{"errors":true,"items":[{"create":{"_index":".ds-x","status":201}},{"create":{"status":400,"error":{"type":"a","reason":"\"b\"","caused_by":{"reason":"c"}},"failure_store":"failed"}},{"index":{"status":429,"error":"busy"}}]}"#;
        let items = receipt(body.as_bytes(), 3).unwrap();
        let read: Vec<_> = items.iter().map(|i| (i.status, i.kind.as_ref(), i.reason.as_ref())).collect();
        assert_eq!(read, [(201, "", ""), (400, "a", "\"b\": c"), (429, "", "busy")]);
        assert_eq!((items[0].index.as_ref(), items[1].failure_store.as_ref()), (".ds-x", "failed"));
        assert!(receipt(body.as_bytes(), 4).unwrap_err().contains("4 documents sent"));
        assert!(receipt(body.as_bytes(), 2).is_err());
    }

    #[test]
    fn what_is_no_receipt() {
        let whole = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;
        for body in [
            "",
            "<html></html>",
            "{}",
            "[]",
            r#"{"errors":false}"#,
            r#"{"items":[{}]}"#,
            r#"{"items":[{"create":{}}]}"#,
            r#"{"items":[{"create":{"status":201},"index":{"status":201}}]}"#,
            r#"{"items":[{"create":{"status":"201"}}]}"#,
            &format!("{whole}x"),
        ] {
            assert!(receipt(body.as_bytes(), 1).is_err(), "{body}");
        }
        for cut in 0..whole.len() {
            assert!(receipt(&whole.as_bytes()[..cut], 1).is_err(), "cut at {cut}");
        }
        assert_eq!(receipt(whole.as_bytes(), 1).unwrap().len(), 1);
    }

    #[test]
    fn verdicts_about_other_documents_are_no_receipt() {
        let answer = |ids: [&str; 2]| {
            let item = |id| serde_json::json!({ "create": { "status": 201, "_id": id } });
            serde_json::json!({ "items": ids.map(item) }).to_string()
        };
        let order =
            |body: &str, sent: [&str; 2]| in_order(&receipt(body.as_bytes(), 2).unwrap(), sent.into_iter());
        let long = "x".repeat(600);
        assert!(order(&answer(["a", "b"]), ["a", "b"]).is_ok());
        assert!(order(&answer(["", "b"]), ["a", "b"]).is_ok(), "what is not named cannot be compared");
        assert!(order(&answer(["a", &shorten(&long)]), ["a", &long]).is_ok());
        for sent in [["b", "a"], ["a", "a"], ["c", "d"]] {
            let error = order(&answer(["a", "b"]), sent).unwrap_err();
            assert!(error.contains(" of 2 is about another document"), "{error}");
        }
        let stored = answer(["a", "b"]).replacen("201", "201,\"failure_store\":\"used\"", 1);
        assert!(order(&stored, ["c", "b"]).is_ok(), "the failure store gives ids of its own: {stored}");
    }

    #[test]
    fn refusals_are_read_in_both_forms() {
        let reason = refusal(br#"{"error":{"root_cause":[],"type":"t","reason":"r"},"status":400}"#);
        assert_eq!((reason.kind.as_ref(), reason.reason.as_ref()), ("t", "r"));
        assert_eq!(refusal(br#"{"error":"no handler"}"#).reason, "no handler");
        assert_eq!(refusal(b"<html>").reason, "<html>");
    }

    proptest! {
        #[test]
        fn any_id_is_one_line_of_json(id in ".{0,600}") {
            let text = framed(&id, "{}");
            let lines: Vec<_> = text.lines().collect();
            prop_assert_eq!(lines.len(), 2);
            let action: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
            match action.pointer("/create/_id") {
                Some(written) => prop_assert_eq!(written.as_str(), Some(&*shorten(&id))),
                None => prop_assert!(id.is_empty()),
            }
        }

        #[test]
        fn any_answer_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = receipt(&body, 1);
            let _reason = refusal(&body);
        }
    }
}
