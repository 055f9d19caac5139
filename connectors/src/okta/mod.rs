//! Okta's System Log.

pub mod event_types;
pub mod fields;
pub mod normalize;

#[cfg(test)]
mod tests;
