//! Okta's System Log.

pub mod event_types;
pub mod fields;
pub mod normalize;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may"
)]
mod tests;
