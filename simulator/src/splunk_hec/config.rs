//! How a collector is set up.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::faults::{RandomFaults, ScriptedFault};

/// The token that is accepted unless others are configured.
pub const DEFAULT_TOKEN: &str = "01234567-89ab-4cde-8f01-23456789abcd";

/// A collector. `Default` has one indexer and takes [`DEFAULT_TOKEN`], which acknowledges.
#[derive(Debug, Clone)]
pub struct SplunkHecConfig {
    /// Accepted tokens.
    pub tokens: Vec<HecToken>,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// Largest request, decompressed; 838,860,800 bytes as in current releases.
    pub max_bytes: usize,
    /// How a larger one is answered.
    pub too_large: TooLarge,
    /// Largest event; 5 MiB.
    pub max_event_bytes: usize,
    /// Whether a refusal names the first bad object; old releases and proxies leave it out.
    pub names_the_bad: bool,
    /// Indexers behind the balancer. With several, a request without the balancer's cookie goes to the next in turn, and each
    /// acknowledges only what it took itself.
    pub indexers: usize,
    /// How long after its answer a request is acknowledged; 1 s.
    pub ack_delay: TimeDelta,
    /// The first id of each channel.
    pub first_ack_id: u64,
    /// Nothing is ever acknowledged.
    pub never_acknowledges: bool,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
}

impl Default for SplunkHecConfig {
    fn default() -> Self {
        Self {
            tokens: vec![HecToken::new(DEFAULT_TOKEN)],
            clock_offset: TimeDelta::zero(),
            max_bytes: 838_860_800,
            too_large: TooLarge::default(),
            max_event_bytes: 5 << 20,
            names_the_bad: true,
            indexers: 1,
            ack_delay: TimeDelta::seconds(1),
            first_ack_id: 0,
            never_acknowledges: false,
            faults: Vec::new(),
            random_faults: None,
        }
    }
}

/// A token of the collector.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HecToken {
    /// Its value.
    pub value: String,
    /// `useACK`: its requests are acknowledged, and need a channel.
    #[serde(default = "yes")]
    pub acknowledges: bool,
    /// Indexes that it may write; any where empty.
    #[serde(default)]
    pub indexes: Vec<String>,
    /// Index of events that name none.
    #[serde(default = "main")]
    pub index: String,
    /// Whether it is enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn main() -> String {
    "main".to_owned()
}

impl HecToken {
    /// A token that acknowledges and may write any index.
    pub fn new(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            acknowledges: true,
            indexes: Vec::new(),
            index: main(),
            enabled: true,
        }
    }

    /// One that does not acknowledge.
    pub fn without_acknowledgement(value: &str) -> Self {
        Self { acknowledges: false, ..Self::new(value) }
    }
}

impl std::fmt::Debug for HecToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HecToken")
            .field("acknowledges", &self.acknowledges)
            .field("indexes", &self.indexes)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// How a request that is too large is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLarge {
    /// 413 with an HTML page.
    #[default]
    Page,
    /// 400 with code 6 that names object 0, as a Cloud trial was seen to do.
    FirstObject,
}
