//! Destinations: one folder each.
//!
//! A sink frames documents and delivers batches of them; it keeps no queue, does not retry and does not sleep
//! (see [`tidegate_core::sink`]). A destination is a folder here and one line in [`ALL`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests"))]

pub mod elasticsearch;
pub mod file;
mod nodes;
pub mod qradar;
mod settings;
pub mod splunk_hec;

use bytes::Bytes;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::sink::{Batch, DeliverError, Render, SinkKind};
use tidegate_core::source::NormalizeError;

/// All kinds of sinks, by `kind = "…"`.
pub const ALL: &[&dyn SinkKind] = &[&elasticsearch::Kind, &file::Kind, &qradar::Kind, &splunk_hec::Kind];

/// The bytes of a batch's documents, in order.
fn payload(batch: &Batch) -> Bytes {
    let length = batch.documents.iter().map(|(span, _)| span.len()).sum();
    if length == batch.body.len() {
        return batch.body.clone();
    }
    let mut body = Vec::with_capacity(length);
    for (span, _) in &batch.documents {
        body.extend_from_slice(batch.body.get(span.clone()).unwrap_or_default());
    }
    body.into()
}

/// A request's body, compressed at this level, and whether it is.
async fn compressed(body: Bytes, level: Option<u32>) -> Result<(Bytes, bool), DeliverError> {
    let Some(level) = level else { return Ok((body, false)) };
    let packed = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let room = Vec::with_capacity(body.len() / 4);
        let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(level));
        encoder.write_all(&body)?;
        encoder.finish()
    })
    .await;
    match packed {
        Ok(Ok(packed)) => Ok((packed.into(), true)),
        _ => Err(DeliverError::Retry {
            after: None,
            cause: Fault::new(FaultKind::Server, "the request could not be compressed"),
        }),
    }
}

/// Renders a document on one line. Line breaks can only stand between JSON tokens (a raw record may be pretty-printed),
/// where a blank means the same.
fn one_line(buf: &mut Vec<u8>, document: &mut Render<'_>) -> Result<(), NormalizeError> {
    let from = buf.len();
    document(buf)?;
    without_breaks(buf.get_mut(from..).unwrap_or_default());
    Ok(())
}

/// What would end a line or a text for some reader becomes a blank. In JSON such bytes stand between tokens only; LEEF has none.
fn without_breaks(document: &mut [u8]) {
    let mut rest = document;
    // Hardly any document has one, so the search is what counts.
    while let Some((byte, behind)) =
        memchr::memchr3(b'\n', b'\r', 0, rest).and_then(|at| rest.get_mut(at..)?.split_first_mut())
    {
        *byte = b' ';
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_words_and_unique() {
        let mut names: Vec<_> = ALL.iter().map(|kind| kind.name()).collect();
        for name in &names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn schemas_refuse_unknown_keys() {
        for kind in ALL {
            let schema = kind.schema();
            assert_eq!(
                schema.get("additionalProperties"),
                Some(&serde_json::json!(false)),
                "{}",
                kind.name()
            );
        }
    }
}
