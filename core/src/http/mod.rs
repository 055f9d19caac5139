//! One client for all connectors and sinks.

use chrono::{DateTime, Utc};
use std::time::Duration;

/// Everything about outgoing connections of one source or sink: transport, time-outs, quota, clock.
#[derive(Clone)]
pub struct Client;

impl Client {
    /// How long the quota asks to wait before the next request; `None`: go. Takes the slot when it says go.
    pub fn ready(&self, _now: DateTime<Utc>) -> Option<Duration> {
        None
    }
}
