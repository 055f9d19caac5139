//! Google Workspace: the logs of the Reports API, and the alerts of the Alert Center.
//!
//! `client` asks, `auth` proves who asks, `refusal` says what a refusal means, `streams` what there is to ask for, and
//! `normalize` (with `mfa`) what the answer means. See `README.md`.

mod auth;
mod client;
pub mod event_types;
pub mod fields;
mod mfa;
pub mod normalize;
mod params;
mod refusal;
mod streams;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

pub use streams::STREAMS;

use crate::settings;
use async_trait::async_trait;
use auth::{Api, Delegate};
use client::{Logs, Query};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;
use streams::ALERTS;
use tidegate_core::event::Emit;
use tidegate_core::json::Value;
use tidegate_core::quota::Budget;
use tidegate_core::secret::SecretRef;
use tidegate_core::source::{
    Bucket, Connector, Findings, Identity, NormalizeError, Page, Place, PollError, Settings, SettingsError,
    Source, Stream,
};
use url::Url;

const MINUTE: Duration = Duration::from_secs(60);

/// Queries of the Reports API for each user and project (Google's page "Limits and quotas").
const QUERIES: Budget = Budget { limit: 2400, span: MINUTE };

/// Queries among them that name a filter (same page).
const FILTERED: Budget = Budget { limit: 250, span: MINUTE };

/// Google's Workspace keys of a `source` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The credential.
    auth: Option<AuthConfig>,
    /// The organisation's id, such as `C03az79cb`; default: the one of the administrator (`my_customer`).
    customer_id: Option<String>,
    /// Only what this user did: a primary address, or the number of a profile; default: everybody.
    user_key: Option<String>,
    /// Only activities with an event of this name; they come with all their events. After a change:
    /// `tidegate source reset`.
    event_name: Option<String>,
    /// Only what users of this organisational unit did, such as `id:03ph8a2z1enx4lx`.
    org_unit_id: Option<String>,
    /// Records a page, 1 to 1000; default 1000. Pages of alerts have at most 50.
    limit: Option<u32>,
    /// The Reports API's address; default `https://admin.googleapis.com`.
    url: Option<String>,
    /// The Alert Center's address; default `https://alertcenter.googleapis.com`.
    alerts_url: Option<String>,
    /// The token endpoint's address; default: the one that the key file names.
    token_url: Option<String>,
}

/// `{ service_account, subject }`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AuthConfig {
    /// The JSON key file of a service account with domain-wide delegation.
    service_account: Option<SecretRef>,
    /// The primary address of the administrator as whom the account acts.
    subject: Option<String>,
}

const AUTH: &str = "accepted is { service_account = \"file:PATH\", subject = \"admin@example.com\" }";

/// The connector.
#[derive(Clone, Copy, Debug)]
pub struct GoogleWorkspace;

impl Connector for GoogleWorkspace {
    fn name(&self) -> &'static str {
        "google_workspace"
    }

    fn title(&self) -> &'static str {
        "Google Workspace"
    }

    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn tables(&self) -> Vec<&'static tidegate_core::event::Table> {
        STREAMS
            .iter()
            .map(
                |stream| {
                    if stream.name == streams::ALERTS { &fields::ALERT } else { fields::of(stream.name) }
                },
            )
            .collect()
    }

    fn stream(&self, name: &str) -> Option<&'static Stream> {
        streams::find(name)
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        let config = config(&settings.table)?;
        let reports = address("url", config.url.as_deref(), "https://admin.googleapis.com")?;
        let alerts =
            address("alerts_url", config.alerts_url.as_deref(), "https://alertcenter.googleapis.com")?;
        let auth = delegate(&config)?;
        let query = query(config)?;
        Ok(Arc::new(GoogleSource(Logs { reports, alerts, http: settings.http, auth, query })))
    }

    /// The customer, where it is named, else the administrator's domain: the address is the same for everybody.
    fn organisation(&self, table: &Map<String, Json>) -> Result<String, SettingsError> {
        let config = config(table)?;
        let domain = domain(&subject(&config)?);
        let query = query(config)?;
        Ok(query.customer_id.filter(|id| id != MY_CUSTOMER).unwrap_or(domain))
    }

    fn buckets(&self, table: &Map<String, Json>) -> Result<Vec<Bucket>, SettingsError> {
        let config = config(table)?;
        let auth = delegate(&config)?;
        let query = query(config)?;
        // Google counts for each project and user; an account belongs to one project. A file that cannot be read yet names
        // nobody, and is surely another account's.
        let account = auth.email().unwrap_or_else(|| auth.place());
        let scope = format!("{account} as {}", auth.subject);
        let bucket = |name, budget, streams| Bucket {
            name,
            scope: scope.clone(),
            budget,
            organisation: None,
            streams,
        };
        let filtered =
            query.is_filtered().then(|| bucket("filtered queries", FILTERED, |stream| stream != ALERTS));
        let queries = bucket("queries", QUERIES, |stream| stream != ALERTS);
        // No page that we know of names the Alert Center's.
        let alerts = bucket("alerts", Budget::default(), |stream| stream == ALERTS);
        Ok(filtered.into_iter().chain([queries, alerts]).collect())
    }

    fn identity<'r>(&self, stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        if stream.name == ALERTS { normalize::alert_identity(record) } else { normalize::identity(record) }
    }

    fn volatile(&self, stream: &Stream) -> &'static [&'static str] {
        // An entity tag may differ between two reads of the same.
        if stream.name == ALERTS { &["etag", "metadata.etag"] } else { &["etag"] }
    }

    fn normalize<'r>(
        &self,
        stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        if stream.name == ALERTS {
            normalize::alert(record, emit)
        } else {
            normalize::activity(stream.name, record, emit)
        }
    }
}

/// Google's word for the caller's own organisation.
const MY_CUSTOMER: &str = "my_customer";

fn config(table: &Map<String, Json>) -> Result<Config, SettingsError> {
    settings::read_with_auth::<Config, AuthConfig>(table, AUTH)
}

fn address(key: &str, text: Option<&str>, default: &str) -> Result<Url, SettingsError> {
    settings::origin(key, text.or(Some(default)), default)
}

/// The administrator as whom we act.
fn subject(config: &Config) -> Result<String, SettingsError> {
    let Some(auth) = &config.auth else { return Err(SettingsError::new("auth", format!("missing; {AUTH}"))) };
    let subject = auth.subject.as_deref().map(str::trim).unwrap_or_default();
    if !is_address(subject) {
        let message = "the primary address of an administrator is needed, such as \"admin@example.com\"";
        return Err(SettingsError::new("auth.subject", message));
    }
    Ok(subject.to_owned())
}

fn domain(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, domain)| {
        !user.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(char::is_whitespace)
    })
}

fn delegate(config: &Config) -> Result<Delegate, SettingsError> {
    let subject = subject(config)?;
    let key_file = config.auth.as_ref().and_then(|auth| auth.service_account.clone());
    let Some(key_file) = key_file else {
        return Err(SettingsError::new("auth.service_account", format!("missing; {AUTH}")));
    };
    settings::set("auth.service_account", Some(&key_file))?;
    let token_url = config.token_url.as_deref().map(|text| auth::token_url("token_url", text)).transpose()?;
    Ok(Delegate::new(key_file, subject, token_url))
}

fn query(config: Config) -> Result<Query, SettingsError> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let check = |key: &str, value: &Option<String>, good: &dyn Fn(&str) -> bool, accepted: &str| match value {
        Some(value) if !good(value) => Err(SettingsError::new(key, format!("accepted is {accepted}"))),
        _ => Ok(()),
    };
    let Config { customer_id, user_key, event_name, org_unit_id, limit, .. } = config;
    let is_customer = |id: &str| id == MY_CUSTOMER || id.strip_prefix('C').is_some_and(plain);
    check("customer_id", &customer_id, &is_customer, "an id such as \"C03az79cb\", or \"my_customer\"")?;
    let is_user =
        |key: &str| key == ALL || is_address(key) || key.bytes().all(|b| b.is_ascii_digit()) && plain(key);
    check("user_key", &user_key, &is_user, "a primary address, the number of a profile, or \"all\"")?;
    let is_word = |name: &str| !name.trim().is_empty();
    check("event_name", &event_name, &is_word, "one name of an event, such as \"login_success\"")?;
    let is_unit = |id: &str| id.strip_prefix("id:").is_some_and(plain);
    check("org_unit_id", &org_unit_id, &is_unit, "an id such as \"id:03ph8a2z1enx4lx\"")?;
    let limit = limit.unwrap_or(1000);
    if !(1..=1000).contains(&limit) {
        return Err(SettingsError::new("limit", format!("{limit} records a page; accepted are 1 to 1000")));
    }
    Ok(Query { customer_id, user_key: user_key.filter(|key| key != ALL), event_name, org_unit_id, limit })
}

/// Google's word for every user.
const ALL: &str = "all";

impl Query {
    /// Whether Google counts our queries as filtered ones.
    fn is_filtered(&self) -> bool {
        self.user_key.is_some() || self.event_name.is_some() || self.org_unit_id.is_some()
    }
}

/// One organisation.
struct GoogleSource(Logs);

#[async_trait]
impl Source for GoogleSource {
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        self.0.page(stream, place).await
    }

    /// Tries both tokens. Which streams run is not known here, so one that is refused is told, and both refused are a fault;
    /// a stream that needs the refused one is found out by its probe.
    async fn check(&self) -> Findings {
        let Logs { auth, http, .. } = &self.0;
        let mut findings = Findings::default();
        let account = auth.email().unwrap_or_else(|| auth.place());
        let mut granted = false;
        let mut faults = Vec::new();
        for (api, streams) in [(Api::Reports, "all streams but alerts"), (Api::Alerts, "the stream alerts")] {
            findings.lines.push(match auth.bearer(http, api).await {
                Ok(_) => {
                    granted = true;
                    format!("{account} acts as {} with the scope {} ({streams})", auth.subject, api.scope())
                }
                Err(error) => {
                    let line =
                        format!("{streams}: no token for the scope {}: {}", api.scope(), error.cause());
                    faults.push(error.cause().clone());
                    line
                }
            });
        }
        if !granted {
            findings.faults = faults;
        }
        findings
    }

    fn remedy(&self) -> String {
        self.0.auth.remedy()
    }
}
