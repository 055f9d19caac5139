//! What must hold of any record, for fuzzers: what the property tests of the connectors ask, by their own files.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../connectors/src/any_record"]
mod any_record {
    pub(crate) mod check;
    pub(crate) mod make;
}
#[path = "../../connectors/src/documents.rs"]
mod documents;
#[path = "../../connectors/src/ocsf_tests"]
mod ocsf_tests {
    pub(crate) mod check;
}
#[path = "../../connectors/src/testing.rs"]
mod testing;

use any_record::check::{check, chosen};
use any_record::make::{Maker, spoilt, table};
use tidegate_connectors::ALL;

/// Any bytes as a record of any stream, in every schema: the first byte chooses the stream.
pub fn normalize(bytes: &[u8]) {
    if let Some((connector, stream, record)) = chosen(ALL, bytes) {
        check(connector, stream, record);
    }
}

/// A record by the table of a stream, which the first byte chooses, or such a record spoilt in its text; two bytes are a choice.
/// Of bytes alone, few become a record that a table has a place for.
pub fn made(bytes: &[u8]) {
    let Some((connector, stream, rest)) = chosen(ALL, bytes) else { return };
    let choices: Vec<u16> = rest.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    let (first, rest) = choices.split_at(choices.len().min(600));
    let mut record = Maker::of(first).record(table(connector, stream));
    if !rest.is_empty() {
        record = spoilt(record, Maker::of(rest));
    }
    check(connector, stream, record.as_bytes());
}
