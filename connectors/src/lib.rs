//! One folder a vendor.
//!
//! A connector is a folder here and one line in [`ALL`]; somebody else's crate hands its own to `tidegate::main`.

#[cfg(test)]
mod any_record;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]
mod documents;
pub mod duo;
pub mod entra;
pub mod google_workspace;
mod key;
#[cfg(test)]
mod ocsf_tests;
pub mod okta;
mod settings;
#[cfg(test)]
mod testing;
mod token;

use tidegate_core::source::Connector;

/// All connectors of the tree, by `connector = "…"`.
pub const ALL: &[&dyn Connector] =
    &[&okta::Okta, &entra::Entra, &duo::Duo, &google_workspace::GoogleWorkspace];
