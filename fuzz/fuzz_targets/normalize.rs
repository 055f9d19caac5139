//! Any bytes as a record of any stream, in every schema: the first byte chooses the stream. What must hold of the documents is
//! what the property tests of the connectors ask.

#![no_main]
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

#[path = "../../connectors/src/any_record/check.rs"]
mod check;
#[path = "../../connectors/src/documents.rs"]
mod documents;
#[path = "../../connectors/src/ocsf_tests"]
mod ocsf_tests {
    pub(crate) mod check;
}
#[path = "../../connectors/src/testing.rs"]
mod testing;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((connector, stream, record)) = check::chosen(tidegate_connectors::ALL, bytes) {
        check::check(connector, stream, record);
    }
});
