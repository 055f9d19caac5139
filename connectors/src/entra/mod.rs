//! Microsoft Entra ID: sign-ins, audits, risk detections and provisioning of a directory, by Microsoft Graph.
//!
//! `streams` lists the logs, `client` asks, `auth` proves who asks, `normalize` says what the answer means. See `README.md`.

mod auth;
mod certificate;
mod claims;
mod client;
pub mod codes;
pub mod event_types;
pub mod fields;
pub mod normalize;
pub mod streams;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod collection_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod document_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

pub use streams::STREAMS;

use crate::settings;
use async_trait::async_trait;
use auth::{App, Proof, Thumbprint, Told};
use client::{Graph, origin};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_core::event::Emit;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::json::Value;
use tidegate_core::quota::Budget;
use tidegate_core::secret::SecretRef;
use tidegate_core::source::{
    Bucket, Connector, Findings, Identity, NormalizeError, Page, Place, PollError, Settings, SettingsError,
    Source, Stream,
};
use url::Url;

/// Graph's service-specific limits (August 2026): reports, per app and directory.
const REPORTS: Budget = Budget { limit: 5, span: Duration::from_secs(10) };
/// Identity Protection: one a second per directory, over all apps of everybody. In two seconds, so that half of it is one.
const IDENTITY_PROTECTION: Budget = Budget { limit: 2, span: Duration::from_secs(2) };
/// Reports, per app over all directories.
const APP: Budget = Budget { limit: 122, span: Duration::from_secs(10) };

/// Entra's keys of a `source` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The directory (tenant): its id, or one of its domains such as `contoso.onmicrosoft.com`.
    directory: Option<String>,
    /// Which of Microsoft's clouds the directory is in; default `global` (also GCC).
    cloud: Option<Cloud>,
    /// Microsoft Graph's address; default: the cloud's.
    url: Option<String>,
    /// The sign-in service's address; default: the cloud's.
    login_url: Option<String>,
    /// The credential.
    auth: Option<AuthConfig>,
    /// Where interactive sign-ins come from: `beta` (the default), or `v1.0`, which tells nothing about MFA.
    api: Option<Api>,
    /// Records a page at most, 1 to 1000; default: the most that each log gives.
    limit: Option<u32>,
}

/// Microsoft's clouds.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Cloud {
    /// The worldwide one, and GCC.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5.
    Dod,
    /// Operated by 21Vianet.
    China,
}

impl Cloud {
    /// Graph's address and that of the sign-in service.
    const fn urls(self) -> (&'static str, &'static str) {
        match self {
            Self::Global => ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
            Self::UsGov => ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
            Self::Dod => ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
            Self::China => ("https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
        }
    }
}

/// Graph's versions.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
enum Api {
    /// With authentication details.
    #[default]
    #[serde(rename = "beta")]
    Beta,
    /// Without.
    #[serde(rename = "v1.0")]
    V1,
}

/// `{ client_id, client_secret }`, `{ client_id, certificate, private_key }` or `{ client_id, assertion }`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AuthConfig {
    /// The app's application (client) id.
    client_id: Option<String>,
    /// The value of a client secret.
    client_secret: Option<SecretRef>,
    /// The app's certificate, PEM.
    certificate: Option<SecretRef>,
    /// The certificate's RSA key: PEM (PKCS#8, PKCS#1) or JWK.
    private_key: Option<SecretRef>,
    /// How an assertion names the certificate: `sha256` (the default; signed PS256) or `sha1` (signed RS256).
    thumbprint: Option<Thumbprint>,
    /// The token of another issuer that the app has a federated credential for; a file, read before each use.
    assertion: Option<SecretRef>,
}

/// The connector.
#[derive(Clone, Copy, Debug)]
pub struct Entra;

impl Connector for Entra {
    fn name(&self) -> &'static str {
        "entra"
    }

    fn title(&self) -> &'static str {
        "Microsoft Entra ID"
    }

    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn tables(&self) -> Vec<&'static tidegate_core::event::Table> {
        streams::LOGS.iter().map(|log| log.table).collect()
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        let config = config(&settings.table)?;
        let directory = directory(&config)?;
        let (url, login) = urls(&config)?;
        if let Some(limit) = config.limit
            && !(1..=1000).contains(&limit)
        {
            let message = format!("{limit} records a page; accepted are 1 to 1000");
            return Err(SettingsError::new("limit", message));
        }
        let (client_id, proof) = auth(config.auth.unwrap_or_default())?;
        let token_url = login
            .join(&format!("{directory}/oauth2/v2.0/token"))
            .map_err(|error| SettingsError::new("login_url", error.to_string()))?;
        let scope = format!("{}/.default", origin(&url));
        let app = App {
            client_id,
            directory,
            proof,
            token_url,
            scope,
            tokens: Default::default(),
            claims: Mutex::default(),
        };
        Ok(Arc::new(EntraSource(Graph {
            url,
            http: settings.http,
            app,
            plain_sign_ins: config.api.unwrap_or_default() == Api::V1,
            without_risk: config.cloud.unwrap_or_default() == Cloud::China,
            limit: config.limit,
            unlicensed: Mutex::new(HashMap::new()),
        })))
    }

    fn organisation(&self, table: &Map<String, Json>) -> Result<String, SettingsError> {
        let config = config(table)?;
        Ok(format!("{}/{}", origin(&urls(&config)?.0), directory(&config)?))
    }

    fn organisation_id(&self, table: &Map<String, Json>) -> Option<String> {
        directory(&config(table).ok()?).ok()
    }

    fn buckets(&self, table: &Map<String, Json>) -> Result<Vec<Bucket>, SettingsError> {
        let config = config(table)?;
        let directory = directory(&config)?;
        let graph = origin(&urls(&config)?.0);
        let (client_id, _) = auth(config.auth.unwrap_or_default())?;
        let bucket =
            |name, scope, budget, streams| Bucket { name, scope, budget, organisation: None, streams };
        Ok(vec![
            bucket("reports", format!("{directory}/{client_id}"), REPORTS, |stream| !is_risk(stream)),
            bucket("identity_protection", directory, IDENTITY_PROTECTION, is_risk),
            bucket("app", format!("{graph}/{client_id}"), APP, |_| true),
        ])
    }

    fn identity<'r>(&self, stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        normalize::identity(stream, record)
    }

    fn normalize<'r>(
        &self,
        stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        normalize::normalize(stream, record, emit)
    }
}

fn is_risk(stream: &str) -> bool {
    streams::log(stream).is_some_and(|log| log.shape == streams::Shape::Risk)
}

fn config(table: &Map<String, Json>) -> Result<Config, SettingsError> {
    settings::read_with_auth::<Config, AuthConfig>(table, AUTH)
}

const AUTH: &str = "accepted are { client_id = \"…\", client_secret = \"env:NAME\" }, { client_id = \"…\", certificate = \
                    \"file:PATH\", private_key = \"file:PATH\" } and { client_id = \"…\", assertion = \"file:PATH\" }";

/// The directory in lower case, checked: it becomes part of an address.
fn directory(config: &Config) -> Result<String, SettingsError> {
    let wrong = |message: &str| Err(SettingsError::new("directory", message));
    let example =
        "write the directory's id (a GUID) or one of its domains, such as \"contoso.onmicrosoft.com\"";
    let Some(directory) = &config.directory else { return wrong(&format!("missing; {example}")) };
    let directory = directory.to_ascii_lowercase();
    if matches!(directory.as_str(), "common" | "organizations" | "consumers") {
        return wrong(&format!("\"{directory}\" is no directory; {example}"));
    }
    let guid = directory.len() == 36
        && directory.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && directory.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let domain = directory.contains('.')
        && directory.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    if guid || domain { Ok(directory) } else { wrong(&format!("neither a GUID nor a domain; {example}")) }
}

/// Graph's address and the sign-in service's.
fn urls(config: &Config) -> Result<(Url, Url), SettingsError> {
    let (graph, login) = config.cloud.unwrap_or_default().urls();
    let url = settings::origin("url", Some(config.url.as_deref().unwrap_or(graph)), graph)?;
    let login_url = settings::origin("login_url", Some(config.login_url.as_deref().unwrap_or(login)), login)?;
    Ok((url, login_url))
}

fn auth(config: AuthConfig) -> Result<(String, Proof), SettingsError> {
    let wrong = |key: &str, message: &str| Err(SettingsError::new(key, message));
    let AuthConfig { client_id, client_secret, certificate, private_key, thumbprint, assertion } = config;
    for (key, secret) in [
        ("auth.client_secret", &client_secret),
        ("auth.certificate", &certificate),
        ("auth.private_key", &private_key),
        ("auth.assertion", &assertion),
    ] {
        settings::set(key, secret.as_ref())?;
    }
    if thumbprint.is_some() && certificate.is_none() {
        return wrong("auth.thumbprint", "belongs to certificate");
    }
    let proof = match (client_secret, certificate, private_key, assertion) {
        (None, None, None, None) => return wrong("auth", &format!("missing; {AUTH}")),
        (Some(secret), None, None, None) => Proof::Secret(secret),
        (None, Some(certificate), Some(key), None) => {
            Proof::Certificate { certificate, key, thumbprint: thumbprint.unwrap_or_default() }
        }
        (None, Some(_), None, None) => return wrong("auth", "certificate needs private_key"),
        (None, None, Some(_), None) => return wrong("auth", "private_key needs certificate"),
        (None, None, None, Some(assertion)) => {
            if !assertion.to_string().starts_with("file:") {
                let message =
                    "not a file: such a token lives for minutes or hours, and a variable keeps the first one";
                return wrong("auth.assertion", message);
            }
            Proof::Federated(assertion)
        }
        _ => return wrong("auth", &format!("these keys do not go together; {AUTH}")),
    };
    match client_id.map(|id| id.trim().to_ascii_lowercase()) {
        None => wrong("auth.client_id", "missing; write the app's application (client) id"),
        Some(id) if id.is_empty() => wrong("auth.client_id", "empty"),
        Some(id) => Ok((id, proof)),
    }
}

/// One directory.
struct EntraSource(Graph);

/// What lets an app see which Conditional Access policies applied; one is enough.
const POLICIES: [&str; 3] =
    ["Policy.Read.ConditionalAccess", "Policy.Read.All", "Policy.ReadWrite.ConditionalAccess"];

impl EntraSource {
    /// What the token says that the app may read.
    fn permissions(&self, told: &Told, findings: &mut Findings) {
        let has = |permission: &str| {
            let write = permission.replace(".Read.", ".ReadWrite.");
            told.roles.iter().any(|role| role == permission || *role == write)
        };
        let mut needed: Vec<&str> = streams::LOGS.iter().map(|log| log.permission).collect();
        needed.dedup();
        needed.sort_unstable();
        needed.dedup();
        for permission in &needed {
            let logs: Vec<_> = streams::LOGS
                .iter()
                .filter(|log| log.permission == *permission)
                .map(|log| log.name)
                .collect();
            let word = if has(permission) { "granted" } else { "not granted" };
            findings.lines.push(format!("{permission}: {word} (reads {})", logs.join(", ")));
        }
        if !POLICIES.iter().any(|policy| has(policy)) {
            findings.lines.push(format!(
                "{}: not granted, so sign-ins do not show which Conditional Access policies applied",
                POLICIES.join(" or ")
            ));
        }
        if !needed.iter().any(|permission| has(permission)) {
            let message = format!("the app {} may read none of the logs", self.0.app.client_id);
            findings.faults.push(Fault::new(FaultKind::Permission, message).remedy(format!(
                "grant it the application permissions {} of Microsoft Graph, with an administrator's consent",
                needed.join(" and ")
            )));
        }
    }
}

#[async_trait]
impl Source for EntraSource {
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        self.0.page(stream, place).await
    }

    async fn check(&self) -> Findings {
        let Graph { http, app, .. } = &self.0;
        let mut findings = Findings { expires: app.expires(), ..Findings::default() };
        match app.bearer(http).await {
            Ok(bearer) => {
                findings.lines.push(format!(
                    "directory {}: the app {} has a token for {}",
                    app.directory, app.client_id, app.scope
                ));
                match auth::told(&bearer) {
                    Some(told) => self.permissions(&told, &mut findings),
                    None => findings.lines.push("the token does not say what the app may read".to_owned()),
                }
            }
            Err(error) => findings.faults.push(error.cause().clone()),
        }
        findings
    }

    fn remedy(&self) -> String {
        self.0.app.remedy()
    }
}
