//! Duo: the logs of an account, by the Admin API.
//!
//! `client` asks, `sign` proves who asks, `page` says how Duo says "next", `normalize` what a record means. See `README.md`.

mod client;
pub mod event_types;
pub mod fields;
pub mod normalize;
mod page;
mod sign;
mod units;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod collection_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod ecs_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use crate::settings;
use async_trait::async_trait;
use client::{Logs, origin};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use sign::{Auth, Signature};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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

const fn names(dataset: &'static str, sourcetype: &'static str) -> Names {
    Names {
        dataset,
        namespace: "cisco_duo",
        vendor: "Cisco",
        product: "Duo",
        sourcetype,
        leef: ("Cisco", "Duo"),
    }
}

/// What schemas must know of `authentication`.
pub const AUTHENTICATION: Names = names("cisco_duo.auth", "cisco:duo:authentication");
/// What schemas must know of `activity`. Published Splunk content reads it and `administrator` under one sourcetype.
pub const ACTIVITY: Names = names("cisco_duo.activity", "cisco:duo:administrator");
/// What schemas must know of `telephony`.
pub const TELEPHONY: Names = names("cisco_duo.telephony_v2", "cisco:duo:telephony");
/// What schemas must know of `trust_monitor`.
pub const TRUST_MONITOR: Names = names("cisco_duo.trust_monitor", "cisco:duo:trust_monitor");
/// What schemas must know of `administrator`.
pub const ADMINISTRATOR: Names = names("cisco_duo.admin", "cisco:duo:administrator");
/// What schemas must know of `offline_enrollment`.
pub const OFFLINE_ENROLLMENT: Names = names("cisco_duo.offline_enrollment", "cisco:duo:offline_enrollment");

/// Duo promises completeness after two minutes and breaks it seldom: read again once soon, and once after whatever trouble
/// it had that day.
const SETTLE: &[Duration] = &[Duration::from_secs(15 * 60), Duration::from_secs(4 * 3600)];

/// Trust Monitor's events change when somebody looks them through, which may be days later.
const SETTLE_LOOKED_THROUGH: &[Duration] = &[
    Duration::from_secs(15 * 60),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(24 * 3600),
    Duration::from_secs(72 * 3600),
];

const fn kind(unit: Duration, settle: &'static [Duration]) -> StreamKind {
    StreamKind::Windowed {
        settle,
        // "The last two minutes are not shown", and 5 s for clocks: an end inside them would be passed by.
        visible_after: Duration::from_secs(125),
        unit,
        // Duo refuses a range of more than 180 days; a day less, since its clock goes on between pages.
        widest: Duration::from_secs(179 * 86_400),
    }
}

const fn stream(name: &'static str, unit: Duration, default: bool, names: &'static Names) -> Stream {
    Stream {
        name,
        kind: kind(unit, SETTLE),
        default,
        immutable: true,
        // An older `mintime` is refused.
        retention: Duration::from_secs(180 * 86_400),
        // Duo asks for no more than one request a minute for each log; half of that leaves room for pages and sweeps.
        poll: Duration::from_secs(120),
        names,
    }
}

/// v2 and Trust Monitor.
const MILLISECOND: Duration = Duration::from_millis(1);
/// v1.
const SECOND: Duration = Duration::from_secs(1);

/// All logs.
pub const STREAMS: &[Stream] = &[
    stream("authentication", MILLISECOND, true, &AUTHENTICATION),
    stream("activity", MILLISECOND, true, &ACTIVITY),
    stream("telephony", MILLISECOND, true, &TELEPHONY),
    // Its records change: `state` and what triage says.
    Stream {
        kind: kind(MILLISECOND, SETTLE_LOOKED_THROUGH),
        immutable: false,
        ..stream("trust_monitor", MILLISECOND, false, &TRUST_MONITOR)
    },
    stream("administrator", SECOND, false, &ADMINISTRATOR),
    stream("offline_enrollment", SECOND, false, &OFFLINE_ENROLLMENT),
];

/// Requests a minute of each log, as Duo's staff has said of the authentication, telephony and administrator logs; the
/// others are taken to be alike. Higher figures are about too.
const REQUESTS_PER_MINUTE: u32 = 2;

/// A minute, and a second because requests do not take the same time to Duo: what leaves us a minute apart may come there
/// within one.
const SPAN: Duration = Duration::from_secs(61);

/// Duo's keys of a `source` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The API hostname of the Admin API application, such as `https://api-1a2b3c4d.duosecurity.com`.
    url: Option<String>,
    /// The credential.
    auth: Option<AuthConfig>,
    /// A child account of the account whose credential it is, `DA…`; default: that account itself.
    account_id: Option<String>,
    /// How many requests a minute Duo takes for each log, from everybody; default: 2. Of these `quota` is ours.
    requests_per_minute: Option<u32>,
}

/// `{ integration_key, secret_key }`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AuthConfig {
    /// The integration key of an Admin API application with Grant read log, `DI…`.
    integration_key: Option<String>,
    /// Its secret key.
    secret_key: Option<SecretRef>,
    /// `"v5"` (HMAC-SHA-512, the default) or `"v2"` (HMAC-SHA-1).
    signature: Option<Signature>,
}

const AUTH: &str = "accepted is { integration_key = \"DI…\", secret_key = \"file:PATH\" }, with signature = \"v5\" or \"v2\"";

const URL: &str = "https://api-1a2b3c4d.duosecurity.com";

/// The connector.
#[derive(Clone, Copy, Debug)]
pub struct Duo;

impl Connector for Duo {
    fn name(&self) -> &'static str {
        "duo"
    }

    fn title(&self) -> &'static str {
        "Duo"
    }

    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn tables(&self) -> Vec<&'static tidegate_core::event::Table> {
        STREAMS.iter().map(|stream| fields::of(stream.name)).collect()
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        let Settings { tenant, source, table, http } = settings;
        let config = config(&table)?;
        let url = address(config.url.as_deref())?;
        let account = config.account_id.as_ref().map(|id| key("account_id", id, "DA")).transpose()?;
        budget(&config)?;
        let auth = auth(config.auth.unwrap_or_default())?;
        let logs = Logs { url, http, auth, account };
        Ok(Arc::new(DuoSource { logs, tenant, source, polled: AtomicU8::new(0) }))
    }

    fn organisation(&self, table: &Map<String, Json>) -> Result<String, SettingsError> {
        let text = |key: &str, example: &str| match table.get(key) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(SettingsError::new(key, format!("not text; write \"{example}\""))),
        };
        let host = origin(&address(text("url", URL)?)?);
        match text("account_id", "DA…")? {
            None => Ok(host),
            Some(account) => key("account_id", account, "DA").map(|account| format!("{host}/{account}")),
        }
    }

    fn buckets(&self, table: &Map<String, Json>) -> Result<Vec<Bucket>, SettingsError> {
        let (scope, budget) = (self.organisation(table)?, budget(&config(table)?)?);
        let bucket = |name: &'static str, streams: fn(&str) -> bool| Bucket {
            name,
            scope: scope.clone(),
            budget,
            organisation: None,
            streams,
        };
        Ok(vec![
            bucket("authentication", |stream| stream == "authentication"),
            bucket("activity", |stream| stream == "activity"),
            bucket("telephony", |stream| stream == "telephony"),
            bucket("trust_monitor", |stream| stream == "trust_monitor"),
            bucket("administrator", |stream| stream == "administrator"),
            bucket("offline_enrollment", |stream| stream == "offline_enrollment"),
        ])
    }

    fn identity<'r>(&self, stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        normalize::identity(stream.name, record)
    }

    fn normalize<'r>(
        &self,
        stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        normalize::normalize(stream.name, record, emit)
    }
}

fn config(table: &Map<String, Json>) -> Result<Config, SettingsError> {
    settings::read_with_auth::<Config, AuthConfig>(table, AUTH).map_err(|mut error| {
        // serde's message would print the value, and below `auth` it may be the secret in the wrong place.
        if matches!(error.key.as_str(), "auth.integration_key" | "auth.signature") {
            AUTH.clone_into(&mut error.message);
        }
        error
    })
}

fn budget(config: &Config) -> Result<Budget, SettingsError> {
    match config.requests_per_minute.unwrap_or(REQUESTS_PER_MINUTE) {
        0 => Err(SettingsError::new("requests_per_minute", "0; leave it out or name Duo's real limit")),
        limit => Ok(Budget { limit, span: SPAN }),
    }
}

/// Where the Admin API is: our signatures go there.
fn address(url: Option<&str>) -> Result<Url, SettingsError> {
    let url = settings::origin("url", url, URL)?;
    let host = url.host_str().unwrap_or_default();
    if let Some(rest) = host.strip_prefix("admin-").filter(|rest| rest.contains(".duo")) {
        return Err(SettingsError::new(
            "url",
            format!("the Admin Panel has no API; write \"https://api-{rest}\""),
        ));
    }
    Ok(url)
}

/// One of Duo's identifiers. It is not repeated: somebody may have put the secret key there.
fn key(name: &str, value: &str, prefix: &str) -> Result<String, SettingsError> {
    let fits = value.starts_with(prefix) && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match fits {
        true => Ok(value.to_owned()),
        false => Err(SettingsError::new(name, format!("not {prefix} followed by letters and digits"))),
    }
}

fn auth(config: AuthConfig) -> Result<Auth, SettingsError> {
    let AuthConfig { integration_key, secret_key, signature } = config;
    let missing = |name: &str| SettingsError::new(name, format!("missing; {AUTH}"));
    let (integration_key, secret_key) = match (integration_key, secret_key) {
        (None, None) => return Err(missing("auth")),
        (None, Some(_)) => return Err(missing("auth.integration_key")),
        (Some(_), None) => return Err(missing("auth.secret_key")),
        (Some(id), Some(secret)) => (key("auth.integration_key", &id, "DI")?, secret),
    };
    settings::set("auth.secret_key", Some(&secret_key))?;
    Ok(Auth { integration_key, secret_key, signature: signature.unwrap_or_default() })
}

/// One account.
struct DuoSource {
    logs: Logs,
    tenant: String,
    source: String,
    /// Streams that were polled, a bit each, in the order of [`STREAMS`].
    polled: AtomicU8,
}

/// A stream's bit.
fn bit(stream: &str) -> u8 {
    STREAMS.iter().position(|known| known.name == stream).map_or(0, |at| 1 << at)
}

/// What somebody should know who runs these streams and, since now, this one too.
fn advice(stream: &str, polled: u8, child: bool) -> Vec<&'static str> {
    let mut advice = Vec::new();
    if polled & bit(stream) != 0 {
        return advice;
    }
    if matches!(stream, "administrator" | "offline_enrollment") {
        advice.push("duo has announced the end of v1 of its logs, which this stream reads");
    }
    let both = bit("administrator") | bit("activity");
    if bit(stream) & both != 0 && (polled | bit(stream)) & both == both {
        advice
            .push("the streams activity and administrator tell of the same actions, which are counted twice");
    }
    if child && matches!(stream, "activity" | "telephony") {
        advice.push(
            "duo does not say that this log can be read for a child account: compare whose records come",
        );
    }
    advice
}

#[async_trait]
impl Source for DuoSource {
    async fn poll(&self, stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let polled = self.polled.fetch_or(bit(stream.name), Ordering::Relaxed);
        for advice in advice(stream.name, polled, self.logs.account.is_some()) {
            tracing::warn!(tenant = %self.tenant, source = %self.source, stream = stream.name, "{advice}");
        }
        self.logs.page(stream, place).await
    }

    /// Duo has no token to be asked for, and a request to a log would take one of two a minute from the probes of the
    /// streams, which try the same credential.
    async fn check(&self) -> Findings {
        let Logs { url, auth, account, .. } = &self.logs;
        let mut findings = Findings::default();
        let account = account.as_ref().map(|id| format!(", child account {id}")).unwrap_or_default();
        findings.lines.push(format!(
            "{}: application {}, signature {}{account}",
            origin(url),
            auth.integration_key,
            match auth.signature {
                Signature::V2 => "v2",
                Signature::V5 => "v5",
            },
        ));
        match auth.secret_key.read() {
            Ok(_) => findings
                .lines
                .push("the secret key can be read; duo judges it with the first stream below".to_owned()),
            Err(error) => {
                let fault: tidegate_core::fault::Fault = error.into();
                findings.faults.push(fault.remedy(self.remedy()));
            }
        }
        findings
    }

    fn remedy(&self) -> String {
        self.logs.remedy()
    }
}
