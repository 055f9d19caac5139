//! How an organisation is set up.

use bytes::Bytes;
use chrono::TimeDelta;
use serde::Deserialize;

use super::generate::Generate;
use crate::faults::{RandomFaults, ScriptedFault};

/// An organisation: what it holds, who may read it, how it behaves. `Default` is a well-behaved one with the API token
/// `simulated-token` and no events.
#[derive(Debug, Clone)]
pub struct OktaConfig {
    /// Seed of cursors, nonces, ids.
    pub seed: u64,
    /// Scheme and host of links and audiences; by default as the client calls it.
    pub base_url: Option<String>,
    /// Events made from a seed.
    pub generate: Option<Generate>,
    /// Raw records, one a line, served byte for byte; persisted at the first request.
    pub records: Option<Bytes>,
    /// API tokens.
    pub tokens: Vec<Token>,
    /// OAuth clients.
    pub clients: Vec<Client>,
    /// Life of an access token; an hour at the vendor.
    pub access_token_life: TimeDelta,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// Requests a minute, organisation-wide.
    pub org_limit: u32,
    /// Requests a minute for each token or client; half of the organisation's at the vendor.
    pub principal_limit: u32,
    /// Requests a minute that other clients take.
    pub foreign_usage: u32,
    /// More requests than this at once are refused with limit 0.
    pub concurrency_limit: usize,
    /// Adds `Retry-After` to 429 (not documented at the vendor).
    pub retry_after: bool,
    /// Sends `X-Rate-Limit-Reset` twice with 429.
    pub duplicate_reset: bool,
    /// One comma-joined `Link` line instead of two.
    pub merged_links: bool,
    /// Cursors die this long after they were last issued.
    pub cursor_ttl: Option<TimeDelta>,
    /// A bounded query's last page, when exactly full, still has a next link (to an empty page).
    pub link_after_full_last_page: bool,
    /// Bad dates are E0000030 instead of E0000001.
    pub invalid_date_as_e0000030: bool,
    /// `since` together with `after` is refused.
    pub since_and_after_refused: bool,
    /// `since` over 180 days back is E0000053; otherwise it is answered with what is left.
    pub refuse_since_over_180_days: bool,
    /// Bounded queries over more events than this time out (500 E0000009).
    pub slow_query_events: Option<usize>,
    /// Compresses for clients that accept it.
    pub gzip: bool,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
}

impl Default for OktaConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            base_url: None,
            generate: None,
            records: None,
            tokens: vec![Token::new("simulated-token")],
            clients: Vec::new(),
            access_token_life: TimeDelta::hours(1),
            clock_offset: TimeDelta::zero(),
            org_limit: 120,
            principal_limit: 60,
            foreign_usage: 0,
            concurrency_limit: 75,
            retry_after: false,
            duplicate_reset: false,
            merged_links: false,
            cursor_ttl: None,
            link_after_full_last_page: false,
            invalid_date_as_e0000030: false,
            since_and_after_refused: false,
            refuse_since_over_180_days: true,
            slow_query_events: None,
            gzip: true,
            faults: Vec::new(),
            random_faults: None,
        }
    }
}

/// State of an API token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Works, and is prolonged by each use.
    #[default]
    Active,
    /// Taken back by an administrator.
    Revoked,
    /// Died of 30 days without use.
    Unused,
}

/// An API token (`SSWS`).
#[derive(Clone, Deserialize)]
pub struct Token {
    /// The token.
    pub value: String,
    /// Its state.
    #[serde(default)]
    pub state: TokenState,
    /// Whether its owner's role may read the log.
    #[serde(default = "yes")]
    pub may_read_logs: bool,
}

fn yes() -> bool {
    true
}

impl Token {
    /// An active token that may read logs.
    pub fn new(value: &str) -> Self {
        Self { value: value.to_owned(), state: TokenState::Active, may_read_logs: true }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("state", &self.state)
            .field("may_read_logs", &self.may_read_logs)
            .finish()
    }
}

/// An OAuth client (service app or integration of a service provider).
#[derive(Debug, Clone, Deserialize)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// How it proves who it is.
    pub auth: ClientAuth,
    /// Scopes an administrator has granted.
    #[serde(default = "logs_scope")]
    pub scopes: Vec<String>,
    /// Refuses token calls without a proof.
    #[serde(default)]
    pub dpop_required: bool,
    /// Holds an administrator's role; without one every call is a 403.
    #[serde(default = "yes")]
    pub has_role: bool,
}

fn logs_scope() -> Vec<String> {
    vec![super::auth::LOGS_SCOPE.to_owned()]
}

impl Client {
    /// A service app with one public key (PEM or JWK), granted `okta.logs.read`.
    pub fn with_key(id: &str, public_key: &str) -> Self {
        let key = PublicKey { kid: None, key: public_key.to_owned() };
        Self {
            id: id.to_owned(),
            auth: ClientAuth::Keys(vec![key]),
            scopes: logs_scope(),
            dpop_required: false,
            has_role: true,
        }
    }

    /// An integration with a client secret, granted `okta.logs.read`.
    pub fn with_secret(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            auth: ClientAuth::Secret(secret.to_owned()),
            scopes: logs_scope(),
            dpop_required: false,
            has_role: true,
        }
    }
}

/// How a client proves who it is.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `private_key_jwt` with one of these keys.
    Keys(Vec<PublicKey>),
    /// `client_secret_basic` or `client_secret_post`.
    Secret(String),
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::Secret(_) => "Secret",
        })
    }
}

/// A registered public key.
#[derive(Debug, Clone, Deserialize)]
pub struct PublicKey {
    /// Its name; needed in assertions when there are several.
    #[serde(default)]
    pub kid: Option<String>,
    /// PEM (`BEGIN PUBLIC KEY`) or a JWK as JSON text.
    pub key: String,
}
