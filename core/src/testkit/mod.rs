//! Conformance suites and stand-ins for tests, in this workspace and in others' crates.

pub mod script;
pub mod sink;
pub mod source;
