//! How the tenants, their apps and the service are set up.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::generate::Generate;
use crate::faults::{RandomFaults, ScriptedFault};

/// The tenant of the default configuration.
pub const DEFAULT_TENANT: &str = "7d1f6c52-0a8e-4f0b-9c6d-2b1e5a3f4c10";
/// The app of the default configuration.
pub const DEFAULT_APP: &str = "3f0c2a9e-5b7d-4e61-8a4f-1d2c3b4a5f60";
/// The client secret of the default configuration.
pub const DEFAULT_SECRET: &str = "simulated-secret";

/// Lets an app read sign-ins, directory audits and provisioning.
pub const AUDIT_LOG_READ: &str = "AuditLog.Read.All";
/// Lets an app read risk detections.
pub const RISK_READ: &str = "IdentityRiskEvent.Read.All";
/// Lets an app see the Conditional Access policies of a sign-in.
pub const POLICY_READ: &str = "Policy.Read.ConditionalAccess";

/// Login and Graph for one or more tenants: what they hold, who may read it, how the service behaves. `Default` is a
/// well-behaved one with [`DEFAULT_TENANT`] (P2), [`DEFAULT_APP`] with [`DEFAULT_SECRET`] and all three roles, the
/// vendor's limits, and no records.
#[derive(Debug, Clone)]
pub struct EntraConfig {
    /// Seed of tokens, ids, the order among equal times.
    pub seed: u64,
    /// Scheme and host of links and of the token endpoint; by default as the client calls them.
    pub base_url: Option<String>,
    /// The Graph host that scopes name, without a trailing slash; the base URL is taken as well.
    pub graph_resource: String,
    /// Tenants. Where a call names none, the first is meant.
    pub tenants: Vec<Tenant>,
    /// App registrations. What an app may do in a tenant stands in [`Tenant::grants`].
    pub apps: Vec<App>,
    /// Whom the machine's managed identity endpoints speak for.
    pub managed_identity: Option<ManagedIdentity>,
    /// Records made from a seed.
    pub generate: Vec<Generate>,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// Life of an access token; the vendor says 3,599 seconds.
    pub access_token_life: TimeDelta,
    /// `expires_in` as text, as the managed identity endpoints and old token endpoints send it.
    pub expires_in_as_text: bool,
    /// How many requests are answered.
    pub limits: Limits,
    /// Another client that lives off the same limits.
    pub foreign: Option<Foreign>,
    /// Retention by stream, instead of what the licence gives.
    pub retention: BTreeMap<String, TimeDelta>,
    /// China's cloud: there are no risk detections (404).
    pub without_identity_protection: bool,
    /// What is unconfirmed at the vendor, or happens now and then.
    pub quirks: Quirks,
    /// Compresses for clients that accept it.
    pub gzip: bool,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
}

impl Default for EntraConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            base_url: None,
            graph_resource: "https://graph.microsoft.com".to_owned(),
            tenants: vec![Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP)],
            apps: vec![App::new(DEFAULT_APP, Credential::secret(DEFAULT_SECRET))],
            managed_identity: None,
            generate: Vec::new(),
            clock_offset: TimeDelta::zero(),
            access_token_life: TimeDelta::seconds(3_599),
            expires_in_as_text: false,
            limits: Limits::default(),
            foreign: None,
            retention: BTreeMap::new(),
            without_identity_protection: false,
            quirks: Quirks::default(),
            gzip: true,
            faults: Vec::new(),
            random_faults: None,
        }
    }
}

/// What a tenant has paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// No sign-ins, provisioning or risk (403); 7 days of audit.
    Free,
    /// 30 days; risk levels read `hidden`, premium detections `generic`.
    P1,
    /// 30 days (risk 90), everything in clear.
    #[default]
    P2,
}

/// A tenant.
#[derive(Debug, Clone, Deserialize)]
pub struct Tenant {
    /// Its id, a GUID.
    pub id: String,
    /// A verified domain, by which the token endpoint can be called too.
    #[serde(default)]
    pub domain: Option<String>,
    /// Its licence.
    #[serde(default)]
    pub licence: Licence,
    /// Holds Workload ID Premium, which service principal risk needs.
    #[serde(default = "yes")]
    pub workload_premium: bool,
    /// App roles that an administrator has consented to, by app. An app that is not named is not in the tenant.
    #[serde(default)]
    pub grants: BTreeMap<String, Vec<String>>,
    /// Apps that a Conditional Access policy for workload identities blocks (AADSTS53003).
    #[serde(default)]
    pub blocked: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Tenant {
    /// A tenant with P2 and no app.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            domain: None,
            licence: Licence::P2,
            workload_premium: true,
            grants: BTreeMap::new(),
            blocked: Vec::new(),
        }
    }

    /// Puts an app into the tenant, with all roles that reading logs takes.
    #[must_use]
    pub fn grant(self, app: &str) -> Self {
        self.grant_roles(app, &[AUDIT_LOG_READ, RISK_READ, POLICY_READ])
    }

    /// Puts an app into the tenant, with these roles.
    #[must_use]
    pub fn grant_roles(mut self, app: &str, roles: &[&str]) -> Self {
        self.grants.insert(app.to_owned(), roles.iter().map(|role| (*role).to_owned()).collect());
        self
    }

    /// `premium(false)`: the tenant has no licence at all.
    #[must_use]
    pub fn premium(mut self, premium: bool) -> Self {
        self.licence = if premium { Licence::P2 } else { Licence::Free };
        self
    }
}

/// An app registration.
#[derive(Debug, Clone, Deserialize)]
pub struct App {
    /// Its application (client) id.
    pub id: String,
    /// How it can prove who it is; any of them will do.
    pub credentials: Vec<Credential>,
}

impl App {
    /// An app with one credential.
    #[must_use]
    pub fn new(id: &str, credential: Credential) -> Self {
        Self { id: id.to_owned(), credentials: vec![credential] }
    }
}

/// How an app proves who it is.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A client secret.
    Secret {
        /// The secret itself.
        value: String,
        /// The id that stands beside it in the portal, and is often taken for it.
        #[serde(default)]
        id: Option<String>,
        /// When it stops working.
        #[serde(default)]
        expires: Option<DateTime<Utc>>,
    },
    /// An X.509 certificate (PEM) with an RSA key, for client assertions.
    Certificate(String),
    /// The token of an external issuer is accepted as assertion.
    Federated(Federation),
}

impl Credential {
    /// A client secret that does not expire.
    #[must_use]
    pub fn secret(value: &str) -> Self {
        Self::Secret { value: value.to_owned(), id: None, expires: None }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret { .. } => "Secret",
            Self::Certificate(_) => "Certificate",
            Self::Federated(_) => "Federated",
        })
    }
}

/// A federated identity credential.
#[derive(Debug, Clone, Deserialize)]
pub struct Federation {
    /// `iss` of accepted tokens.
    pub issuer: String,
    /// `sub` of accepted tokens, exactly.
    pub subject: String,
    /// `aud` of accepted tokens; `api://AzureADTokenExchange` is what the vendor recommends.
    pub audience: String,
    /// Public keys of the issuer (PEM, `BEGIN PUBLIC KEY` or certificate), by `kid`; an empty `kid` fits all tokens.
    pub keys: BTreeMap<String, String>,
}

/// Whom IMDS and App Service hand tokens out for.
#[derive(Clone)]
pub struct ManagedIdentity {
    /// Tenant of the identity.
    pub tenant: String,
    /// Its client id; what it may do stands in the tenant's grants.
    pub client_id: String,
    /// User-assigned: requests must name it, by `client_id`.
    pub user_assigned: bool,
    /// `X-IDENTITY-HEADER` of App Service.
    pub identity_header: String,
}

impl std::fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagedIdentity")
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .field("user_assigned", &self.user_assigned)
            .finish_non_exhaustive()
    }
}

/// Requests that are answered, over any stretch of the span. Refused ones count too. `u32::MAX` switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Reports, for each app in each tenant, in ten seconds: 5.
    pub reports: u32,
    /// Reports, for each app over all tenants, in ten seconds: 122.
    pub reports_of_app: u32,
    /// Identity protection, for each tenant whatever the app, in a second: 1.
    pub identity_protection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reports: 5, reports_of_app: 122, identity_protection: 1 }
    }
}

impl Limits {
    /// Everything is answered.
    #[must_use]
    pub fn none() -> Self {
        Self { reports: u32::MAX, reports_of_app: u32::MAX, identity_protection: u32::MAX }
    }
}

/// A competitor that takes its whole share at once, at the start of each span (by the clock: at :00, :10, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Out of each app's bucket in each tenant, every ten seconds: 2, the half of 5 in whole requests.
    pub reports: u32,
    /// Out of each app's bucket over all tenants, every ten seconds: 61.
    pub reports_of_app: u32,
    /// One identity protection request every so many seconds. Off by default: a bucket of one request a second cannot
    /// be shared without refusals, whoever is how careful.
    pub identity_protection_every_s: Option<u32>,
}

impl Default for Foreign {
    fn default() -> Self {
        Self { reports: 2, reports_of_app: 61, identity_protection_every_s: None }
    }
}

/// Behaviour that the vendor's documents leave open, or that happens now and then. Shares are 0 to 1.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// `$top` over the maximum is cut down instead of refused (400).
    pub clamp_top: bool,
    /// `gt` and `lt` on `createdDateTime` are refused (400) instead of being ignored.
    pub refuse_gt_lt: bool,
    /// `ge` and `le` on provisioning are refused; its documents list only `eq`, `gt`, `lt`.
    pub provisioning_gt_lt_only: bool,
    /// `$orderby` together with a predicate on `signInEventTypes` is refused.
    pub refuse_orderby_with_kind: bool,
    /// Sign-ins also need `Directory.Read.All`, as they did for years.
    pub directory_role_needed: bool,
    /// Share of pages that are empty and yet have a next link.
    pub empty_pages: f64,
    /// Next links die this long after they were issued.
    pub skiptoken_life: Option<TimeDelta>,
    /// The order among equal times differs from page to page, not only from walk to walk: a page cut between them
    /// loses some and doubles others.
    pub reorder_within_walk: bool,
    /// Requests over more rows than this time out (504).
    pub timeout_rows: Option<usize>,
    /// Share of sign-in requests refused as if the tenant had no licence.
    pub spurious_unlicensed: f64,
    /// Share of errors with an empty `code` and `innererror` in lower case.
    pub odd_errors: f64,
    /// Beta answers carry `Link: …; rel="deprecation"`.
    pub deprecation_links: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            clamp_top: false,
            refuse_gt_lt: false,
            provisioning_gt_lt_only: false,
            refuse_orderby_with_kind: false,
            directory_role_needed: false,
            empty_pages: 0.0,
            skiptoken_life: None,
            reorder_within_walk: false,
            timeout_rows: None,
            spurious_unlicensed: 0.0,
            odd_errors: 0.0,
            deprecation_links: true,
        }
    }
}
