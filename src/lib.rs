//! Tidegate collects identity and MFA logs, proves that none is missing, and delivers them in the schema that a SIEM
//! already understands. Read [`pipeline`] first: how the two loops, collect and deliver, meet at the journal.
//!
//! A binary with connectors of its own is one line: `tidegate::main(&[&my_crate::CONNECTOR])`.

pub mod cli;
pub mod config;
mod keeper;
pub mod pipeline;
pub mod requests;
pub mod serve;
pub mod world;

use std::process::ExitCode;
use tidegate_core::source::Connector;

/// The whole program: the tree's connectors and sinks, and the caller's connectors beside them.
#[must_use]
pub fn main(extra: &[&'static dyn Connector]) -> ExitCode {
    ExitCode::from(cli::main(extra))
}
