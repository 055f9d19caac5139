//! Conformance suites and stand-ins for tests, in this workspace and in others' crates; not part of the product.

pub mod journal;
pub mod mmdb;
pub mod script;
pub mod sink;
pub mod source;
