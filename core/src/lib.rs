//! Everything that Tidegate does once, whatever the vendor and whatever the SIEM.
//!
//! Connectors fill a tenant's [`journal`] with what vendors said; sinks drain it as documents;
//! both sides meet only there. This crate names no vendor and no SIEM product outside [`schema`].

pub mod clock;
pub mod event;
pub mod fault;
pub mod http;
pub mod journal;
pub mod json;
pub mod quota;
pub mod schema;
pub mod secret;
pub mod sink;
pub mod source;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
