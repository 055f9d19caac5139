//! Faithful local stand-ins for the services that Tidegate talks to: an Okta organisation, an Entra ID directory, a Duo
//! account, a Google Workspace customer, an Elasticsearch (or OpenSearch) cluster, Splunk's HTTP Event Collector and a
//! receiver of syslog, with seeded faults.
//!
//! The stand-ins are written from the vendors' contracts and share no code with the connectors and sinks: they are the
//! other side. They know what existed and when it became visible, and what arrived and how often, so a test can compare
//! both ends.
//!
//! Each stand-in but [`syslog`] is a pure request handler ([`Handler`]): a request and the time go in, an [`Answer`] comes
//! out. A test calls it in process under a virtual clock; [`serve`] binds the same handler to a socket. [`run`] starts them
//! together, as `tidegate simulate` does. They answer a control API under `/_sim/`, described in the package's README.

mod answer;
mod control;
pub mod duo;
pub mod elasticsearch;
pub mod entra;
mod faults;
pub mod google;
mod known;
pub mod okta;
mod rng;
mod run;
mod server;
pub mod splunk_hec;
pub mod syslog;

pub use answer::{Answer, BodyFault, Handler, InFlight};
pub use control::{Notices, RequestEntry};
pub use faults::{Exchange, Fault, RandomFaults, ScriptedFault};
pub use known::{Known, Lateness, Version};
pub use run::{SimulateOptions, Simulation, Vendor, run};
pub use server::{ServerHandle, SimulatorError, Tls, serve, serve_on};
