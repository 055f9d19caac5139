//! Everything that Tidegate does once, whatever the vendor and whatever the SIEM.
//!
//! Connectors fill a tenant's [`journal`] with what vendors said ([`collect`]); sinks drain it as documents
//! ([`deliver`]); both sides meet only there. This crate names no vendor and no SIEM product outside [`schema`].

pub mod board;
pub mod clock;
pub mod collect;
pub mod deliver;
pub mod event;
pub mod fault;
pub mod geoip;
pub mod http;
pub mod journal;
pub mod json;
pub mod quota;
pub mod schema;
pub mod secret;
pub mod sink;
pub mod source;
mod spare;
pub mod stop;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod units;
