//! How an account is set up.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;

use super::generate::Generate;
use crate::faults::{RandomFaults, ScriptedFault};

/// An account: what it holds, who may read it, how it behaves. `Default` is a well-behaved one without records, with
/// the integration [`Integration::simulated`] and the vendor's limits.
#[derive(Debug, Clone)]
pub struct DuoConfig {
    /// Seed of what the stand-in itself draws.
    pub seed: u64,
    /// Scheme and host of the API, such as `https://api-simulated.example.com`: the host that clients must sign (without
    /// its port). By default the host that the client called.
    pub base_url: Option<String>,
    /// Records made from seeds.
    pub generate: Vec<Generate>,
    /// Key pairs that are known.
    pub integrations: Vec<Integration>,
    /// Account ids of child accounts, which the parameter `account_id` reaches.
    pub children: Vec<String>,
    /// What an endpoint says to a key that may read logs, by the endpoint's name ([`Duo`](super::Duo)); granted where
    /// nothing is said.
    pub access: BTreeMap<String, Access>,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// By how much a signed date may be off, either way. Five minutes is the customary figure; the vendor names none.
    pub skew: TimeDelta,
    /// How long no record is shown after its time: the vendor's two minutes.
    pub visible_after: TimeDelta,
    /// Requests a minute.
    pub limits: Limits,
    /// Share of each of these limits (rounded down) that a competitor takes, all at once at the start of each minute: 0.5
    /// is the other half, none by default. No span of 60 seconds lacks one of its bursts.
    pub foreign: f64,
    /// Compresses for clients that accept it.
    pub gzip: bool,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
    /// What differs between endpoints and times, or is not confirmed.
    pub quirks: Quirks,
}

impl Default for DuoConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            base_url: None,
            generate: Vec::new(),
            integrations: vec![Integration::simulated()],
            children: Vec::new(),
            access: BTreeMap::new(),
            clock_offset: TimeDelta::zero(),
            skew: TimeDelta::minutes(5),
            visible_after: TimeDelta::minutes(2),
            limits: Limits::default(),
            foreign: 0.0,
            gzip: true,
            faults: Vec::new(),
            random_faults: None,
            quirks: Quirks::default(),
        }
    }
}

/// A key pair: the vendor calls it an integration.
#[derive(Clone, Deserialize)]
pub struct Integration {
    /// Integration key, 20 characters that begin with `DI`.
    pub ikey: String,
    /// Secret key, 40 characters.
    pub skey: String,
    /// Which API it is for.
    #[serde(default)]
    pub kind: IntegrationKind,
    /// *Grant read log*.
    #[serde(default = "yes")]
    pub read_log: bool,
}

fn yes() -> bool {
    true
}

impl Integration {
    /// An integration of the Admin API that may read logs.
    #[must_use]
    pub fn new(ikey: &str, skey: &str) -> Self {
        Self { ikey: ikey.to_owned(), skey: skey.to_owned(), kind: IntegrationKind::AdminApi, read_log: true }
    }

    /// The one of the default account: `DISIMULATED000000001` with `simulated-secret-key-of-forty-characters`.
    #[must_use]
    pub fn simulated() -> Self {
        Self::new("DISIMULATED000000001", "simulated-secret-key-of-forty-characters")
    }
}

impl std::fmt::Debug for Integration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Integration")
            .field("ikey", &self.ikey)
            .field("kind", &self.kind)
            .field("read_log", &self.read_log)
            .finish_non_exhaustive()
    }
}

/// Which API an integration is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationKind {
    /// Admin API, the one that has the logs.
    #[default]
    AdminApi,
    /// Auth API: the Admin API does not know its keys.
    AuthApi,
}

/// What an endpoint says to a key that may read logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Answers.
    #[default]
    Granted,
    /// 403/40301: the edition or the list of allowed addresses is against it.
    Forbidden,
    /// 404/40401: the account has no such endpoint.
    Absent,
}

/// Requests in any 60 seconds, for each endpoint of each account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Whether more are refused.
    pub enforced: bool,
    /// How many; 2 at the vendor.
    pub per_minute: u32,
    /// How many, for endpoints (by name) that differ.
    pub per_endpoint: BTreeMap<String, u32>,
    /// Refused requests count too. The official client's back-off (63 seconds in all) would never end then, so not by
    /// default.
    pub count_refused: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { enforced: true, per_minute: 2, per_endpoint: BTreeMap::new(), count_refused: false }
    }
}

impl Limits {
    /// None at all.
    #[must_use]
    pub fn off() -> Self {
        Self { enforced: false, ..Self::default() }
    }

    pub(super) fn of(&self, endpoint: &str) -> u32 {
        self.per_endpoint.get(endpoint).copied().unwrap_or(self.per_minute)
    }
}

/// What differs between endpoints and times at the vendor, or is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// `total_objects` of activity and telephony is `{"relation": "eq", "value": n}` instead of a number.
    pub total_objects_as_object: bool,
    /// At the end of activity and telephony `next_offset` is absent instead of null.
    pub last_offset_absent: bool,
    /// The trust monitor's `metadata` stands beside `response` instead of in it.
    pub trust_monitor_metadata_at_top: bool,
    /// `code` of a failure is text.
    pub code_as_text: bool,
    /// A required parameter that is missing is 40002 instead of 40001.
    pub missing_parameter_as_40002: bool,
    /// A `maxtime` in the future is refused with 40002.
    pub refuse_future_maxtime: bool,
    /// `account_id` on an endpoint that cannot reach children is 40002; otherwise it is ignored there.
    pub refuse_account_id_elsewhere: bool,
    /// Highest `limit` of the trust monitor.
    pub trust_monitor_limit: usize,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            total_objects_as_object: false,
            last_offset_absent: false,
            trust_monitor_metadata_at_top: false,
            code_as_text: false,
            missing_parameter_as_40002: false,
            refuse_future_maxtime: false,
            refuse_account_id_elsewhere: false,
            trust_monitor_limit: 1000,
        }
    }
}
