//! How a Google Workspace customer is set up.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::generate::Generate;
use crate::faults::{RandomFaults, ScriptedFault};

/// Scope of the Reports API.
pub const REPORTS_SCOPE: &str = "https://www.googleapis.com/auth/admin.reports.audit.readonly";
/// Scope of the Alert Center.
pub const ALERTS_SCOPE: &str = "https://www.googleapis.com/auth/apps.alerts";
/// The stream of the Alert Center; every other stream is a Reports application.
pub const ALERTS: &str = "alerts";

/// The applications of the discovery document's revision 20260929. The list grows.
pub const APPLICATIONS: [&str; 42] = [
    "access_evaluation",
    "access_transparency",
    "admin",
    "admin_data_action",
    "assignments",
    "calendar",
    "chat",
    "chrome",
    "chrome_sync",
    "classroom",
    "cloud_search",
    "contacts",
    "context_aware_access",
    "data_migration",
    "data_studio",
    "directory_sync",
    "drive",
    "gcp",
    "gemini_in_workspace_apps",
    "gemini_notebook",
    "gmail",
    "gplus",
    "graduation",
    "groups",
    "groups_enterprise",
    "jamboard",
    "keep",
    "ldap",
    "login",
    "meet",
    "meet_hardware",
    "mobile",
    "profile",
    "rules",
    "saml",
    "takeout",
    "tasks",
    "token",
    "user_accounts",
    "vault",
    "voice",
    "workspace_studio",
];

/// A customer: what its logs hold, who may read them, how the APIs behave. `Default` is a well-behaved one with no
/// records, the service account of [`ServiceAccount::example`] and the administrator `admin@example.com`.
#[derive(Debug, Clone)]
pub struct GoogleConfig {
    /// Seed of access tokens, page tokens, quirks.
    pub seed: u64,
    /// Scheme and host of the token endpoint's own audience; by default as the client calls it.
    pub base_url: Option<String>,
    /// Records made from seeds.
    pub generate: Vec<Generate>,
    /// The customer's id, `C` and more.
    pub customer_id: String,
    /// Number of the project that the service accounts belong to; error messages name it.
    pub project_number: String,
    /// Applications that the Reports API knows; others are refused with 400.
    pub applications: Vec<String>,
    /// Who may ask for access tokens.
    pub service_accounts: Vec<ServiceAccount>,
    /// The users that a service account may name as `sub`.
    pub admins: Vec<Admin>,
    /// Life of an access token; 3,599 s at the vendor.
    pub access_token_life: TimeDelta,
    /// `expires_in` as a JSON string, as some have seen it.
    pub expires_in_as_text: bool,
    /// Whether the project has the Reports API enabled; otherwise 403 accessNotConfigured.
    pub reports_enabled: bool,
    /// Whether the project has the Alert Center API enabled.
    pub alerts_enabled: bool,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// Requests a minute.
    pub limits: Limits,
    /// Share (0 to 1) of each minute's limit that another client of the same user and project uses up, at once as a
    /// minute of the clock begins. 0 by default.
    pub foreign: f64,
    /// Page tokens die this long after they were issued. The vendor says nothing of it: by default never.
    pub page_token_ttl: Option<TimeDelta>,
    /// Share of pages that come empty although a token leads on.
    pub empty_pages: f64,
    /// A page that is exactly full leads on although nothing follows.
    pub token_after_full_last_page: bool,
    /// `endTime` excludes its own instant (not documented; by default it includes it).
    pub end_time_exclusive: bool,
    /// Answers are indented unless `prettyPrint=false`. The vendor does so; off by default, so that records are served
    /// byte for byte as the oracle has them.
    pub pretty_print: bool,
    /// Most alerts in a page, whatever `pageSize` says.
    pub alerts_page: usize,
    /// Compresses for clients that accept it.
    pub gzip: bool,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
}

impl Default for GoogleConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            base_url: None,
            generate: Vec::new(),
            customer_id: "C0example7".to_owned(),
            project_number: "100000000001".to_owned(),
            applications: APPLICATIONS.map(str::to_owned).to_vec(),
            service_accounts: vec![ServiceAccount::example()],
            admins: vec![Admin::new("admin@example.com")],
            access_token_life: TimeDelta::seconds(3_599),
            expires_in_as_text: false,
            reports_enabled: true,
            alerts_enabled: true,
            clock_offset: TimeDelta::zero(),
            limits: Limits::default(),
            foreign: 0.0,
            page_token_ttl: None,
            empty_pages: 0.0,
            token_after_full_last_page: false,
            end_time_exclusive: false,
            pretty_print: false,
            alerts_page: 1_000,
            gzip: true,
            faults: Vec::new(),
            random_faults: None,
        }
    }
}

/// Requests that each user (or `quotaUser`) of the project has in any sixty seconds, and what refusals look like. A
/// refused request does not count.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Reports API, all queries: 2,400 by "Limits and quotas".
    pub per_minute: u32,
    /// Reports API, filtered queries (they count above as well): 250.
    pub filtered_per_minute: u32,
    /// Alert Center: not documented, so the figure of the Reports API.
    pub alerts_per_minute: u32,
    /// The forms of refusals, taken in turn. Empty: all of them.
    pub refusals: Vec<Refusal>,
    /// `Retry-After` on refusals, in seconds; absent by default, as in the documents.
    pub retry_after_s: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_minute: 2_400,
            filtered_per_minute: 250,
            alerts_per_minute: 2_400,
            refusals: vec![Refusal::UserRateLimitExceeded],
            retry_after_s: None,
        }
    }
}

/// A form in which the vendor refuses a request over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 403 rateLimitExceeded.
    RateLimitExceeded,
    /// 403 userRateLimitExceeded.
    UserRateLimitExceeded,
    /// 403 quotaExceeded.
    QuotaExceeded,
    /// 429 rateLimitExceeded, status RESOURCE_EXHAUSTED.
    ResourceExhausted,
    /// 503 backendError.
    Unavailable,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RateLimitExceeded,
        Self::UserRateLimitExceeded,
        Self::QuotaExceeded,
        Self::ResourceExhausted,
        Self::Unavailable,
    ];
}

/// A service account with domain-wide delegation.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceAccount {
    /// `client_email` of its key file: the issuer of assertions.
    pub email: String,
    /// Its keys; a deleted one is simply not here.
    pub keys: Vec<PublicKey>,
    /// Scopes that the customer's administrator has delegated to it. Empty: no delegation.
    #[serde(default = "all_scopes")]
    pub delegated: Vec<String>,
    /// The delegation still propagates until then.
    #[serde(default)]
    pub delegated_from: Option<DateTime<Utc>>,
    /// A policy of the customer denies it: `access_denied`.
    #[serde(default)]
    pub denied: bool,
}

fn all_scopes() -> Vec<String> {
    vec![REPORTS_SCOPE.to_owned(), ALERTS_SCOPE.to_owned()]
}

impl ServiceAccount {
    /// An account with one key, delegated both scopes.
    pub fn new(email: &str, kid: &str, public_key: &str) -> Self {
        Self {
            email: email.to_owned(),
            keys: vec![PublicKey { kid: kid.to_owned(), key: public_key.to_owned() }],
            delegated: all_scopes(),
            delegated_from: None,
            denied: false,
        }
    }

    /// `tidegate@example-project.iam.gserviceaccount.com` with the example key pair of the package's tests (`kid`
    /// `example-key`), whose private half everybody may read: it opens nothing but this stand-in.
    pub fn example() -> Self {
        Self::new(
            "tidegate@example-project.iam.gserviceaccount.com",
            "example-key",
            include_str!("../../tests/keys/example_rsa_public.pem"),
        )
    }
}

/// A registered public key.
#[derive(Debug, Clone, Deserialize)]
pub struct PublicKey {
    /// `private_key_id` of the key file.
    pub kid: String,
    /// PEM (`BEGIN PUBLIC KEY`).
    pub key: String,
}

/// A user of the customer's domain that `sub` may name.
#[derive(Debug, Clone, Deserialize)]
pub struct Admin {
    /// Primary address.
    pub email: String,
    /// What the user may do.
    #[serde(default)]
    pub state: AdminState,
}

impl Admin {
    /// An administrator with all privileges.
    pub fn new(email: &str) -> Self {
        Self { email: email.to_owned(), state: AdminState::Active }
    }
}

/// What a user may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminState {
    /// Holds the privileges.
    #[default]
    Active,
    /// An administrator without the Reports (and Alert Center) privilege: 401 that a new token does not cure.
    NoPrivilege,
    /// No administrator at all: 403.
    NotAdmin,
    /// Has lost the licence: answers are empty.
    Unlicensed,
    /// Suspended: no new tokens, and those it has are refused.
    Suspended,
}
