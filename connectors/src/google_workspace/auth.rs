//! A service account that acts as an administrator (domain-wide delegation): its key file, the assertion that the key
//! signs, and the access token that Google gives for it.
//!
//! - One token for each scope. A delegation that lacks a scope refuses the whole token: reports and alerts in one would
//!   fail together.
//! - A token is bought with a signature alone; there is no refresh token.
//! - The key file is read again when Google refuses what it names: key, account, client or address.

use super::client::REQUEST_ID;
use crate::key::{Key, KeyError};
use crate::settings;
use crate::token::{Bearer, Granted, Tokens};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::judge::{judge, kind, quotable};
use tidegate_core::http::{Client, Response, Verdict};
use tidegate_core::secret::{Secret, SecretRef};
use tidegate_core::source::{PollError, SettingsError};
use url::Url;
use zeroize::Zeroizing;

/// Where tokens are, unless the key file says otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The longest that Google accepts. Each assertion is used once and at once; a slow clock is the likelier trouble.
const ASSERTION_LIFE: TimeDelta = TimeDelta::hours(1);

/// A clock that is off by less is not to blame for a refusal.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// Which of the two services a request goes to: each has its own scope, and its own right to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// `activities.list` of the Admin SDK's Reports API.
    Reports,
    /// `alerts.list` of the Alert Center API.
    Alerts,
}

impl Api {
    /// The only scope that a token for it names.
    pub(super) const fn scope(self) -> &'static str {
        match self {
            Self::Reports => "https://www.googleapis.com/auth/admin.reports.audit.readonly",
            Self::Alerts => "https://www.googleapis.com/auth/apps.alerts",
        }
    }

    /// Its name in the library of Google Cloud's console.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Reports => "Admin SDK API",
            Self::Alerts => "Google Workspace Alert Center API",
        }
    }

    /// The privilege of an administrator's role that it asks for.
    pub(super) const fn privilege(self) -> &'static str {
        match self {
            Self::Reports => "Reports",
            Self::Alerts => "Alert Center (view access)",
        }
    }

    /// What is to be delegated so that this works and the rest goes on: the console takes the whole list at once.
    fn delegated(self) -> String {
        match self {
            Self::Reports => self.scope().to_owned(),
            Self::Alerts => format!("{},{}", Self::Reports.scope(), self.scope()),
        }
    }
}

/// What the key file holds of use.
struct KeyFile {
    email: String,
    /// The number under which the delegation is made.
    client_id: Option<String>,
    key_id: Option<String>,
    token_uri: String,
    key: Key,
}

/// What is wrong with a key file. Holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum KeyFileError {
    #[error(
        "not a service account's key; make one of type JSON in Google Cloud's console (IAM & Admin > Service \
         Accounts > Keys)"
    )]
    NotAKeyFile,
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A text that is wiped.
struct Wiped(Zeroizing<String>);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl KeyFile {
    fn read(text: &[u8]) -> Result<Self, KeyFileError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(rename = "type")]
            kind: String,
            client_email: String,
            client_id: Option<String>,
            private_key_id: Option<String>,
            private_key: Wiped,
            token_uri: Option<String>,
        }
        // serde's message may print what it read.
        let file: File = serde_json::from_slice(text).map_err(|_| KeyFileError::NotAKeyFile)?;
        if file.kind != "service_account" {
            return Err(KeyFileError::NotAKeyFile);
        }
        Ok(Self {
            email: file.client_email,
            client_id: file.client_id,
            key_id: file.private_key_id,
            token_uri: file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned()),
            key: Key::read(file.private_key.0.as_bytes())?,
        })
    }
}

/// An address of a token endpoint, checked: a signature goes there, and a token comes from there.
pub(super) fn token_url(key: &str, text: &str) -> Result<Url, SettingsError> {
    let wrong = |message: String| SettingsError::new(key, message);
    let url = Url::parse(text).map_err(|error| wrong(format!("{error}; write \"{TOKEN_URI}\"")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("names a user; write only https://, the host and the path".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(format!("has a query; write \"{TOKEN_URI}\"")));
    }
    let scheme = url.scheme();
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    settings::origin(key, Some(&format!("{scheme}://{host}{port}")), TOKEN_URI)?;
    Ok(url)
}

/// A source's credential: the account, the administrator as whom it acts, and the present tokens.
pub(super) struct Delegate {
    key_file: SecretRef,
    pub(super) subject: String,
    token_url: Option<Url>,
    reports: Tokens,
    alerts: Tokens,
}

impl Delegate {
    pub(super) fn new(key_file: SecretRef, subject: String, token_url: Option<Url>) -> Self {
        Self { key_file, subject, token_url, reports: Tokens::default(), alerts: Tokens::default() }
    }

    fn tokens(&self, api: Api) -> &Tokens {
        match api {
            Api::Reports => &self.reports,
            Api::Alerts => &self.alerts,
        }
    }

    /// The present token for this service, or a new one.
    pub(super) async fn bearer(&self, http: &Client, api: Api) -> Result<Bearer, PollError> {
        self.tokens(api).bearer(http.clock(), async || self.renew(http, api).await).await
    }

    /// The service refused this token.
    pub(super) async fn refused(&self, api: Api, bearer: &Bearer) {
        self.tokens(api).refused(bearer).await;
    }

    /// The account's address, where the file can be read now.
    pub(super) fn email(&self) -> Option<String> {
        self.parse(&self.key_file.read().ok()?).ok().map(|file| file.email)
    }

    /// Where the key file is.
    pub(super) fn place(&self) -> String {
        self.key_file.to_string()
    }

    fn parse(&self, text: &Secret) -> Result<KeyFile, Fault> {
        text.for_signing(KeyFile::read)
            .map_err(|error| Fault::new(FaultKind::Credential, format!("{}: {error}", self.key_file)))
    }

    /// One token, by as many calls as its preconditions take: a corrected clock, a key file read again; each once.
    async fn renew(&self, http: &Client, api: Api) -> Result<Granted, PollError> {
        let mut clock_tried = false;
        loop {
            let used = self.key_file.read().map_err(|error| self.halt(error.into()))?;
            let read_again =
                || self.key_file.refresh(&used, http.clock().now()).map_err(|error| self.halt(error.into()));
            let file = match self.parse(&used) {
                Ok(file) => file,
                Err(_) if read_again()? => continue,
                Err(fault) => return Err(self.halt(fault)),
            };
            let skew = http.skew();
            let request = match self.request(&file, api, http.their_now()) {
                Ok(request) => request,
                Err(_) if read_again()? => continue,
                Err(error) => return Err(error),
            };
            let response = http.send(request).await?;
            let verdict = judge(&response, None);
            if verdict == Verdict::Ok {
                return Granted::read(&response, "google", REQUEST_ID);
            }
            let error = TokenError::read(&response.body);
            let why = error.why(verdict);
            if why == Why::Clock && !clock_tried && corrected(skew, http.skew()) {
                clock_tried = true;
                continue;
            }
            if why.is_of_the_file() && read_again()? {
                continue;
            }
            return Err(self.refusal(&file, api, &response, verdict, &error, why));
        }
    }

    fn request(
        &self,
        file: &KeyFile,
        api: Api,
        now: DateTime<Utc>,
    ) -> Result<http::Request<Bytes>, PollError> {
        let wrong = |fault: Fault| self.halt(fault);
        let url = match &self.token_url {
            Some(url) => url.clone(),
            None => token_url("token_uri", &file.token_uri).map_err(|error| {
                wrong(
                    Fault::new(FaultKind::Configuration, format!("{}: {error}", self.key_file))
                        .remedy("fetch the key file again from Google Cloud's console, or set token_url"),
                )
            })?,
        };
        let mut header = json!({ "typ": "JWT" });
        if let (Some(header), Some(id)) = (header.as_object_mut(), &file.key_id) {
            header.insert("kid".to_owned(), id.as_str().into());
        }
        let claims = json!({
            "iss": file.email,
            "sub": self.subject,
            "scope": api.scope(),
            // What Google calls itself, also where a proxy stands between.
            "aud": file.token_uri,
            "iat": now.timestamp(),
            "exp": (now + ASSERTION_LIFE).timestamp(),
        });
        let assertion = file.key.sign(header, &claims).map_err(|error| {
            wrong(Fault::new(FaultKind::Credential, format!("{}: {error}", self.key_file)))
        })?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        http::Request::post(url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .map_err(|_| wrong(Fault::new(FaultKind::Configuration, "the token request cannot be built")))
    }

    /// What a refusal of the token endpoint means.
    fn refusal(
        &self,
        file: &KeyFile,
        api: Api,
        response: &Response,
        verdict: Verdict,
        error: &TokenError,
        why: Why,
    ) -> PollError {
        let said = error.said();
        let fault = |kind, message: String| response.fault(kind, message, Some(&error.error), REQUEST_ID);
        let cause = match why {
            Why::Transient(after, kind) => {
                let cause = fault(kind, format!("google's token endpoint failed{said}"));
                return PollError::Retry { after, cause };
            }
            Why::Delegation => {
                let client = file.client_id.as_deref().unwrap_or(&file.email);
                fault(
                    FaultKind::Permission,
                    format!("client id {client} has no domain-wide delegation for the scope {}{said}", api.scope()),
                )
                .remedy(format!(
                    "in Google's Admin console, Security > Access and data control > API controls > Domain-wide \
                     delegation, give client id {client} exactly these scopes: {} (a change usually works within \
                     minutes, and may take 24 hours)",
                    api.delegated()
                ))
            }
            Why::Policy => fault(
                FaultKind::Permission,
                format!("a policy of the organisation keeps {} out{said}", file.email),
            )
            .remedy("allow the service account in the Admin console's API controls, and in Google Cloud's policies"),
            Why::Subject => {
                fault(FaultKind::Configuration, format!("google does not let anybody act as {}{said}", self.subject))
                    .remedy("set auth.subject to the primary address of an active administrator of the organisation")
            }
            Why::Clock => fault(FaultKind::Configuration, format!("google finds the assertion's times wrong{said}"))
                .remedy("synchronise this machine's clock (NTP)"),
            Why::Key => fault(FaultKind::Credential, format!("google refused the key of {}{said}", file.email)),
            Why::Other if matches!(verdict, Verdict::NotThere | Verdict::Redirect) => {
                fault(FaultKind::Configuration, "there is no google token endpoint at this address".to_owned())
                    .remedy("compare token_url, or the key file's token_uri, with https://oauth2.googleapis.com/token")
            }
            Why::Other => {
                fault(kind(verdict, response.status), format!("google's token endpoint refused the request{said}"))
            }
        };
        self.halt(cause)
    }

    fn halt(&self, mut cause: Fault) -> PollError {
        if cause.remedy.is_none() {
            cause.remedy = Some(self.remedy());
        }
        PollError::Halt { cause }
    }

    /// What a person does about a refused credential.
    pub(super) fn remedy(&self) -> String {
        let place = self.place();
        let how = match place.strip_prefix("file:") {
            Some(path) => format!("a new JSON key in {path} (re-read within 60 s; no restart)"),
            None => format!("a new JSON key in {place}, and a restart"),
        };
        format!(
            "compare the service account and its keys in Google Cloud's console (IAM & Admin > Service Accounts) with the \
             configured file; {} must be an active administrator\nFix: {how}; Google keeps 180 days of its logs, so a \
             repair before then loses nothing",
            self.subject
        )
    }
}

/// Whether the clock was known worse before the answer than after it.
fn corrected(before: Option<TimeDelta>, after: Option<TimeDelta>) -> bool {
    let before = before.unwrap_or_else(TimeDelta::zero);
    after.is_some_and(|after| (after - before).abs() > CLOCK_TOLERANCE)
}

/// What a token endpoint says when it refuses; every member may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenError {
    error: String,
    #[serde(rename = "error_description")]
    description: String,
}

/// What is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Transient(Option<std::time::Duration>, FaultKind),
    Delegation,
    Policy,
    Subject,
    Clock,
    Key,
    Other,
}

impl Why {
    /// Whether another key file may be the remedy: it names the key, the account, its client id and the address.
    const fn is_of_the_file(self) -> bool {
        matches!(self, Self::Key | Self::Delegation | Self::Policy | Self::Other)
    }
}

impl TokenError {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Google's words, to be quoted behind ours; empty where there are none.
    fn said(&self) -> String {
        if self.description.is_empty() { String::new() } else { format!(": {}", quotable(&self.description)) }
    }

    /// One code, `invalid_grant`, is used for a wrong clock, a deleted key and a misspelt administrator: the words tell.
    fn why(&self, verdict: Verdict) -> Why {
        if let Verdict::Retry { after, kind } = verdict {
            return Why::Transient(after, kind);
        }
        let words = self.description.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|one| words.contains(one));
        match self.error.as_str() {
            "internal_failure" | "server_error" | "temporarily_unavailable" => {
                Why::Transient(None, FaultKind::Server)
            }
            "unauthorized_client" | "invalid_scope" => Why::Delegation,
            "access_denied" | "admin_policy_enforced" => Why::Policy,
            "invalid_request" if says(&["impersonation", "email"]) => Why::Subject,
            "invalid_grant" if says(&["short-lived", "timeframe"]) => Why::Clock,
            "invalid_grant" if says(&["signature", "verifier", "account not found"]) => Why::Key,
            "invalid_grant" if says(&["email", "user id"]) => Why::Subject,
            "invalid_grant" | "invalid_client" | "disabled_client" => Why::Key,
            _ if verdict == Verdict::Unauthorized => Why::Key,
            _ => Why::Other,
        }
    }
}
