//! How the app proves who it is: a client secret, a certificate, or the token of another issuer (federation).
//!
//! - An assertion lives ten minutes by *Microsoft's* clock, and begins a minute early for clocks that differ a little.
//! - Every token request signs a new assertion. A federated one is read from its file each time: its issuer replaces it
//!   every few minutes or hours.
//! - A claims challenge (continuous access evaluation) is answered with a token that was asked for with these claims.

use super::certificate::Certificate;
use super::claims::{Claims, LENIENT};
use super::client::{Words, guid};
use crate::key::{Key, KeyError};
use crate::token::{Bearer, Granted, Tokens};
use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::{Client, Response, Verdict, judge};
use tidegate_core::secret::{Secret, SecretError, SecretRef};
use tidegate_core::source::PollError;
use url::Url;

/// How long an assertion lives: Microsoft asks for five to ten minutes.
const ASSERTION_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How far an assertion begins in the past.
const ASSERTION_EARLY: TimeDelta = TimeDelta::minutes(1);
/// A clock that is off by less is not to blame for a refusal.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(30);
/// After "you are asking in a loop" (AADSTS50196) Microsoft wants to be left alone for minutes.
const LOOP_WAIT: Duration = Duration::from_secs(300);

/// To quote in a support case.
const REQUEST_ID: &str = "x-ms-request-id";

/// Which thumbprint an assertion names its certificate by, and how it is signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Thumbprint {
    /// `x5t#S256`, signed PS256.
    #[default]
    Sha256,
    /// `x5t`, signed RS256: as older libraries do it.
    Sha1,
}

/// What the app proves itself with at the token endpoint.
pub(super) enum Proof {
    Secret(SecretRef),
    Certificate { certificate: SecretRef, key: SecretRef, thumbprint: Thumbprint },
    Federated(SecretRef),
}

/// An app in a directory, and its present token.
pub(super) struct App {
    pub(super) client_id: String,
    pub(super) directory: String,
    pub(super) proof: Proof,
    pub(super) token_url: Url,
    /// The Graph host's `.default`.
    pub(super) scope: String,
    pub(super) tokens: Tokens,
    /// What challenges ask of tokens.
    pub(super) claims: Mutex<Claims>,
}

/// What a token says of itself. Microsoft calls Graph's tokens opaque, so this is only ever told, never relied on.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Told {
    /// Application permissions.
    pub(super) roles: Vec<String>,
}

impl App {
    /// The present token.
    pub(super) async fn bearer(&self, http: &Client) -> Result<Bearer, PollError> {
        self.tokens.bearer(http.clock(), async || self.renew(http).await).await
    }

    /// Graph refused this token. What a challenge asks for goes into the request for the next one, also where another
    /// stream has fetched one meanwhile that lacks it.
    pub(super) async fn refused(&self, bearer: &Bearer, response: &Response) {
        self.tokens.refused_unless(bearer, || self.claims().challenged(response)).await;
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One token; a second request only where the clock or a file turned out to be newer than what was used.
    async fn renew(&self, http: &Client) -> Result<Granted, PollError> {
        let claims = self.claims().asked();
        let mut again = false;
        loop {
            let skew = http.skew();
            let used = self.proof.kept().map_err(|error| self.halt(error.into()))?;
            let (request, secret) = match self.request(http.their_now(), claims.as_deref()) {
                Ok(request) => request,
                Err(_) if self.reread(&used, http)? => continue,
                Err(fault) => return Err(self.halt(fault)),
            };
            let response = http.send(request).await?;
            let verdict = judge::judge(&response, None);
            let words = Words::read(&response.body, &[secret]);
            let retry = |after, kind, what: &str| {
                let message = format!("microsoft's token endpoint: {what}{}", words.quoted());
                let cause = response.fault(kind, message, words.code(), REQUEST_ID);
                Err(PollError::Retry { after, cause })
            };
            match verdict {
                Verdict::Ok => {
                    let granted = Granted::read(&response, "microsoft", REQUEST_ID)?;
                    self.claims().granted();
                    return Ok(granted);
                }
                Verdict::Retry { after, kind } => return retry(after, kind, "not now"),
                _ => {}
            }
            match words.aadsts {
                Some(50_196) => return retry(Some(LOOP_WAIT), FaultKind::RateLimit, "too many requests"),
                Some(90_025 | 90_033) => return retry(None, FaultKind::Server, "the server failed"),
                _ => {}
            }
            if !again && (clock_corrected(skew, http.skew()) || self.reread(&used, http)?) {
                again = true;
                continue;
            }
            return Err(self.halt(self.refusal(&response, verdict, &words)));
        }
    }

    /// Reads files again because what they held did not do. Says whether one holds something else.
    fn reread(&self, used: &[(&SecretRef, Secret)], http: &Client) -> Result<bool, PollError> {
        let mut other = false;
        for (place, used) in used {
            other |= place.refresh(used, http.clock().now()).map_err(|error| self.halt(error.into()))?;
        }
        Ok(other)
    }

    /// A request for a token, and the secret in it that must not be quoted.
    fn request(
        &self,
        now: DateTime<Utc>,
        claims: Option<&str>,
    ) -> Result<(http::Request<Bytes>, Secret), Fault> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.client_id)
            .append_pair("scope", &self.scope)
            .append_pair("grant_type", "client_credentials");
        let (key, secret) = match &self.proof {
            Proof::Secret(secret) => ("client_secret", secret.read()?),
            Proof::Certificate { .. } => ("client_assertion", Secret::new(self.assertion(now)?.into_bytes())),
            // A reference of its own has no cache.
            Proof::Federated(file) => ("client_assertion", file.to_string().parse::<SecretRef>()?.read()?),
        };
        secret.for_signing(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => {
                form.append_pair(key, text);
                Ok(())
            }
            Err(_) => Err(Fault::new(FaultKind::Credential, format!("{} is not text", self.proof.place()))),
        })?;
        if key == "client_assertion" {
            form.append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            );
        }
        if let Some(claims) = claims {
            form.append_pair("claims", claims);
        }
        let request = http::Request::post(self.token_url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form.finish()))
            .map_err(|_| Fault::new(FaultKind::Configuration, "the token request cannot be built"))?;
        Ok((request, secret))
    }

    /// A signed statement that we hold the certificate's key.
    fn assertion(&self, now: DateTime<Utc>) -> Result<String, Fault> {
        let Proof::Certificate { certificate: _, key: place, thumbprint } = &self.proof else {
            return Err(Fault::new(FaultKind::Credential, "there is no certificate"));
        };
        let wrong =
            |error: KeyError| Fault::new(FaultKind::Credential, format!("private_key {place}: {error}"));
        let certificate = self.certificate()?;
        let key = place.read()?.for_signing(Key::read).map_err(wrong)?;
        if !certificate.is_of(key.public_bytes()) {
            let message = format!("the private key {place} does not belong to the certificate");
            return Err(Fault::new(FaultKind::Credential, message));
        }
        let (key, header) = match thumbprint {
            Thumbprint::Sha256 => (key.ps256(), json!({ "typ": "JWT", "x5t#S256": certificate.sha256() })),
            Thumbprint::Sha1 => (key.rs256(), json!({ "typ": "JWT", "x5t": certificate.sha1() })),
        };
        let begins = now - ASSERTION_EARLY;
        let claims = json!({
            "aud": self.token_url.as_str(),
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": guid().map_err(wrong)?,
            "nbf": begins.timestamp(),
            "iat": begins.timestamp(),
            "exp": (begins + ASSERTION_LIFE).timestamp(),
        });
        key.and_then(|key| key.sign(header, &claims)).map_err(wrong)
    }

    fn certificate(&self) -> Result<Certificate, Fault> {
        let Proof::Certificate { certificate, .. } = &self.proof else {
            return Err(Fault::new(FaultKind::Credential, "there is no certificate"));
        };
        certificate.read()?.for_signing(Certificate::read).ok_or_else(|| {
            let message = format!("certificate {certificate}: not a certificate in PEM");
            Fault::new(FaultKind::Credential, message)
        })
    }

    /// What must not be quoted of an answer to a request with this token.
    pub(super) fn secrets(&self, token: &Secret) -> Vec<Secret> {
        let configured = match &self.proof {
            Proof::Secret(secret) => secret.read().ok(),
            Proof::Certificate { .. } | Proof::Federated(_) => None,
        };
        std::iter::once(token.clone()).chain(configured).collect()
    }

    /// When the credential ends, where it says so.
    pub(super) fn expires(&self) -> Option<DateTime<Utc>> {
        match self.proof {
            Proof::Certificate { .. } => self.certificate().ok().map(|certificate| certificate.expires),
            Proof::Secret(_) | Proof::Federated(_) => None,
        }
    }

    /// What a token endpoint's refusal means, by its AADSTS number; Microsoft may change them, so the rest goes by kind.
    fn refusal(&self, response: &Response, verdict: Verdict, words: &Words) -> Fault {
        let Self { client_id, directory, .. } = self;
        let said = words.quoted();
        let (kind, message, remedy) = match words.aadsts {
            Some(7_000_215) => (
                FaultKind::Credential,
                "the client secret is wrong".to_owned(),
                Some("use the secret's *value*; the portal also shows a secret *id*, which is no secret".to_owned()),
            ),
            Some(7_000_222) => (FaultKind::Credential, "the client secret has expired".to_owned(), None),
            Some(700_027) => (
                FaultKind::Credential,
                format!("the app {client_id} does not know the certificate, or it has expired"),
                None,
            ),
            Some(700_021 | 70_021) => (
                FaultKind::Credential,
                format!("the app {client_id} has no federated credential for this token"),
                Some("compare issuer, subject (also its capitals) and audience of the federated credential with the token's".to_owned()),
            ),
            Some(700_016) => (
                FaultKind::Configuration,
                format!("there is no app {client_id} in the directory {directory}"),
                Some("compare auth.client_id (the *application* id) and directory; an app of another directory needs an administrator's consent here".to_owned()),
            ),
            Some(90_002) => (
                FaultKind::Configuration,
                format!("there is no directory {directory}"),
                Some("compare directory, and cloud if the directory is not in the global one".to_owned()),
            ),
            Some(70_011) => (
                FaultKind::Configuration,
                format!("microsoft does not know the scope {}", self.scope),
                Some("compare cloud and url: the scope is Graph's address in the directory's cloud".to_owned()),
            ),
            Some(53_003) => (
                FaultKind::Permission,
                format!("a Conditional Access policy for workload identities blocks the app {client_id} from here"),
                Some("let the policy allow this app from this machine's address".to_owned()),
            ),
            _ if matches!(verdict, Verdict::NotThere | Verdict::Redirect) => (
                FaultKind::Configuration,
                format!("there is no token endpoint at {}", self.token_url.origin().ascii_serialization()),
                Some("compare cloud and login_url".to_owned()),
            ),
            _ => (FaultKind::Credential, format!("microsoft refused the app {client_id}{said}"), None),
        };
        let mut fault = response.fault(kind, message, words.code(), REQUEST_ID);
        fault.remedy = remedy;
        fault
    }

    fn halt(&self, mut cause: Fault) -> PollError {
        if cause.remedy.is_none() && cause.kind == FaultKind::Credential {
            cause.remedy = Some(self.remedy());
        }
        PollError::Halt { cause }
    }

    /// What a person does about a refused credential.
    pub(super) fn remedy(&self) -> String {
        let client_id = &self.client_id;
        let what = match &self.proof {
            Proof::Secret(_) => "a new client secret of the app (its value) in",
            Proof::Certificate { .. } => "a certificate that is uploaded to the app, and its private key, in",
            Proof::Federated(_) => {
                "a fresh token of an issuer that the app has a federated credential for in"
            }
        };
        let place = self.proof.place();
        let how = if place.contains("env:") { "and a restart" } else { "read again by itself; no restart" };
        format!(
            "compare the app {client_id} in the Entra admin center (App registrations, Certificates & secrets)\n\
             Fix: {what} {place} ({how})"
        )
    }
}

impl Proof {
    /// The places whose values are kept, and what they hold now.
    fn kept(&self) -> Result<Vec<(&SecretRef, Secret)>, SecretError> {
        let places = match self {
            Self::Secret(secret) => vec![secret],
            Self::Certificate { certificate, key, .. } => vec![certificate, key],
            Self::Federated(_) => Vec::new(),
        };
        places.into_iter().map(|place| Ok((place, place.read()?))).collect()
    }

    /// Where it is.
    fn place(&self) -> String {
        match self {
            Self::Secret(secret) | Self::Federated(secret) => secret.to_string(),
            Self::Certificate { certificate, key, .. } => format!("{certificate} and {key}"),
        }
    }
}

/// What a token tells of itself; nothing where it cannot be read.
pub(super) fn told(bearer: &Bearer) -> Option<Told> {
    bearer.secret.for_signing(|bytes| {
        let claims = std::str::from_utf8(bytes).ok()?.split('.').nth(1)?;
        serde_json::from_slice(&LENIENT.decode(claims).ok()?).ok()
    })
}

/// Whether the answer showed that our clock was wrong by more than an assertion forgives.
fn clock_corrected(before: Option<TimeDelta>, after: Option<TimeDelta>) -> bool {
    let before = before.unwrap_or_else(TimeDelta::zero);
    after.is_some_and(|after| (after - before).abs() > CLOCK_TOLERANCE)
}
