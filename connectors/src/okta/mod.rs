//! Okta: the System Log of an organisation.
//!
//! `client` asks, `auth` proves who asks, `normalize` says what the answer means. See `README.md`.

mod auth;
mod client;
pub mod event_types;
pub mod fields;
pub mod normalize;
#[cfg(test)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod collection_tests;

use crate::settings;
use async_trait::async_trait;
use auth::{App, Auth, ClientProof, Dpop};
use client::Log;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::event::Emit;
use tidegate_core::json::Value;
use tidegate_core::quota::Budget;
use tidegate_core::secret::SecretRef;
use tidegate_core::source::{
    Bucket, Connector, Findings, Identity, Names, NormalizeError, Page, Place, PollError, Settings,
    SettingsError, Source, Stream, StreamKind,
};
use url::Url;

/// What schemas must know of the System Log.
pub const NAMES: Names = Names {
    dataset: "okta.system",
    namespace: "okta",
    vendor: "Okta",
    product: "Okta",
    sourcetype: "OktaIM2:log",
    leef: ("Okta", "System Log"),
};

/// The only stream.
pub const STREAMS: &[Stream] = &[Stream {
    name: "system_log",
    kind: StreamKind::Feed,
    default: true,
    immutable: true,
    retention: Duration::from_secs(90 * 86_400),
    poll: Duration::from_secs(60),
    names: &NAMES,
}];

/// Requests a minute that the smallest organisation has (developer edition, August 2026); every answer says better.
const BUDGET: Budget = Budget { limit: 20, span: Duration::from_secs(60) };

/// Okta's keys of a `source` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The organisation's address, such as `https://acme.okta.com` or its custom domain; never the `-admin` host.
    url: Option<String>,
    /// The credential.
    auth: Option<AuthConfig>,
    /// A System Log filter (SCIM expression) that Okta applies; default: everything. After a change:
    /// `tidegate source reset`.
    filter: Option<String>,
    /// Records a page, 1 to 1000; default 1000.
    limit: Option<u32>,
    /// Requests a minute that the whole organisation has. Set it where a credential may use all that it is told:
    /// Okta's header names the credential's own part (half of the organisation's, by default), of which we use half.
    org_limit: Option<u32>,
}

/// `{ token }`, or `{ client_id, private_key }`, or `{ client_id, client_secret }`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AuthConfig {
    /// An API token (SSWS).
    token: Option<SecretRef>,
    /// A service app's client id.
    client_id: Option<String>,
    /// The app's private key: PEM (PKCS#8, PKCS#1, SEC 1) or JWK; RSA, P-256 or P-384.
    private_key: Option<SecretRef>,
    /// The `kid` of the key, where the app has several; default: the JWK's own.
    key_id: Option<String>,
    /// The app's client secret (apps of Okta's integration network).
    client_secret: Option<SecretRef>,
    /// Proof of possession: `true`, `false` or `"auto"` (the default: when Okta asks). `true` saves a refused call, and
    /// its entry in the log, at every start.
    dpop: Option<DpopConfig>,
}

/// `true`, `false` or `"auto"`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum DpopConfig {
    /// Always or never.
    Fixed(bool),
    /// When Okta asks.
    Word(DpopWord),
}

/// The only word.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum DpopWord {
    /// When Okta asks.
    Auto,
}

/// The connector.
#[derive(Clone, Copy, Debug)]
pub struct Okta;

impl Connector for Okta {
    fn name(&self) -> &'static str {
        "okta"
    }

    fn title(&self) -> &'static str {
        "Okta"
    }

    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn tables(&self) -> Vec<&'static tidegate_core::event::Table> {
        vec![&fields::TABLE]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        let config = config(&settings.table)?;
        let url = organisation(config.url.as_deref())?;
        let limit = config.limit.unwrap_or(1000);
        if !(1..=1000).contains(&limit) {
            return Err(SettingsError::new(
                "limit",
                format!("{limit} records a page; accepted are 1 to 1000"),
            ));
        }
        if config.org_limit == Some(0) {
            return Err(SettingsError::new(
                "org_limit",
                "0 requests a minute; leave it out or name the real limit",
            ));
        }
        if config.filter.as_deref().is_some_and(|filter| filter.trim().is_empty()) {
            return Err(SettingsError::new("filter", "empty; leave it out to collect everything"));
        }
        let auth = auth(config.auth.unwrap_or_default(), &url)?;
        Ok(Arc::new(OktaSource(Log { url, http: settings.http, auth, filter: config.filter, limit })))
    }

    fn organisation(&self, table: &Map<String, Json>) -> Result<String, SettingsError> {
        let url = match table.get("url") {
            None => None,
            Some(Json::String(url)) => Some(url.as_str()),
            Some(_) => return Err(SettingsError::new("url", "not text; write \"https://acme.okta.com\"")),
        };
        organisation(url).map(|url| client::origin(&url))
    }

    fn buckets(&self, table: &Map<String, Json>) -> Result<Vec<Bucket>, SettingsError> {
        let (scope, organisation) = (self.organisation(table)?, config(table)?.org_limit);
        Ok(vec![Bucket { name: "requests", scope, budget: BUDGET, organisation, streams: |_| true }])
    }

    fn identity<'r>(&self, _stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        normalize::identity(record)
    }

    fn normalize<'r>(
        &self,
        _stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        normalize::normalize(record, emit)
    }
}

fn config(table: &Map<String, Json>) -> Result<Config, SettingsError> {
    settings::read_with_auth::<Config, AuthConfig>(table, AUTH).map_err(|mut error| {
        if error.key == "auth.dpop" {
            DPOP.clone_into(&mut error.message);
        }
        error
    })
}

const DPOP: &str = "accepted are true, false and \"auto\"";

const AUTH: &str = "accepted are { token = \"env:NAME\" }, { client_id = \"…\", private_key = \"file:PATH\" } and \
                    { client_id = \"…\", client_secret = \"env:NAME\" }";

/// The organisation's address, checked: our credentials go there.
fn organisation(url: Option<&str>) -> Result<Url, SettingsError> {
    let url = settings::origin("url", url, "https://acme.okta.com")?;
    if let Some((name, domain)) = url.host_str().unwrap_or_default().split_once("-admin.okta") {
        let message = format!("the admin console has no log; write \"https://{name}.okta{domain}\"");
        return Err(SettingsError::new("url", message));
    }
    Ok(url)
}

fn auth(config: AuthConfig, url: &Url) -> Result<Auth, SettingsError> {
    let wrong = |key: &str, message: &str| SettingsError::new(key, message);
    let AuthConfig { token, client_id, private_key, key_id, client_secret, dpop } = config;
    for (key, secret) in
        [("auth.token", &token), ("auth.private_key", &private_key), ("auth.client_secret", &client_secret)]
    {
        settings::set(key, secret.as_ref())?;
    }
    let dpop_mode = match dpop {
        None | Some(DpopConfig::Word(DpopWord::Auto)) => Dpop::Auto,
        Some(DpopConfig::Fixed(true)) => Dpop::Always,
        Some(DpopConfig::Fixed(false)) => Dpop::Never,
    };
    let app = |id: String, proof| -> Result<Auth, SettingsError> {
        if id.trim().is_empty() {
            return Err(wrong("auth.client_id", "empty"));
        }
        let token_url =
            url.join("oauth2/v1/token").map_err(|error| SettingsError::new("url", error.to_string()))?;
        Ok(Auth::App(Box::new(App::new(id, proof, dpop_mode, token_url))))
    };
    match (token, client_id, private_key, client_secret) {
        (Some(token), None, None, None) => {
            if dpop.is_some() || key_id.is_some() {
                return Err(wrong("auth", "dpop and key_id belong to client_id, not to token"));
            }
            Ok(Auth::Token(token))
        }
        (None, Some(id), Some(key), None) => app(id, ClientProof::Key { key, id: key_id }),
        (None, Some(id), None, Some(secret)) => {
            if key_id.is_some() {
                return Err(wrong("auth.key_id", "belongs to private_key, not to client_secret"));
            }
            app(id, ClientProof::Secret(secret))
        }
        (None, Some(_), None, None) => Err(wrong("auth", "client_id needs private_key or client_secret")),
        (None, None, None, None) => Err(SettingsError::new("auth", format!("missing; {AUTH}"))),
        _ => Err(SettingsError::new("auth", format!("these keys do not go together; {AUTH}"))),
    }
}

/// One organisation.
struct OktaSource(Log);

#[async_trait]
impl Source for OktaSource {
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        self.0.page(stream, place).await
    }

    async fn check(&self) -> Findings {
        let Log { url, auth, http, .. } = &self.0;
        let mut findings = Findings::default();
        match auth.authorize(http, url).await {
            Ok(grant) => findings.lines.push(match grant.token {
                None => format!(
                    "{}: the API token can be read; okta judges it with the stream below",
                    client::origin(url)
                ),
                Some(token) => format!(
                    "{}: the app has a token ({}), scope {}",
                    client::origin(url),
                    if token.bound { "DPoP" } else { "bearer" },
                    token.scope.as_deref().unwrap_or(auth::SCOPE),
                ),
            }),
            Err(error) => findings.faults.push(error.cause().clone()),
        }
        findings
    }

    fn remedy(&self) -> String {
        self.0.auth.remedy()
    }
}
