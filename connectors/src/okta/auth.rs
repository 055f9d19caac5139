//! How a request proves who sends it: an API token (SSWS), or an access token of a service app (OAuth 2.0, with DPoP
//! where the app demands it).
//!
//! - An assertion lives five minutes by *Okta's* clock and names no `iat`: Okta refuses one that ends an hour or more
//!   ahead of its own clock, and machines are often a second or two fast (okta/okta-sdk-golang#573).
//! - Every try signs a new assertion and a new proof: a refused call has used up their `jti`.
//! - Tokens are kept as long as they may be: each grant is an event in the very log that is collected.
//! - The proof key lives as long as the process: a bound token is worth nothing without it.

use super::client::{self, answer_code, text};
use crate::key::{self, Key, KeyError};
use crate::token::{Bearer, Granted, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::{Client, Response, Verdict, judge};
use tidegate_core::secret::{Secret, SecretRef};
use tidegate_core::source::PollError;
use url::Url;

/// The only scope that we ask for.
pub(super) const SCOPE: &str = "okta.logs.read";

/// How long an assertion lives. Okta takes anything under an hour; short is harmless, since each is used once.
const ASSERTION_LIFE: TimeDelta = TimeDelta::minutes(5);

/// A clock that is off by less is not to blame for a refusal.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// Whether proofs of possession are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dpop {
    /// When Okta asks for them.
    #[default]
    Auto,
    Always,
    Never,
}

/// What the client proves itself with at the token endpoint.
pub(super) enum ClientProof {
    Key { key: SecretRef, id: Option<String> },
    Secret(SecretRef),
}

impl ClientProof {
    fn reference(&self) -> &SecretRef {
        match self {
            Self::Key { key, .. } => key,
            Self::Secret(secret) => secret,
        }
    }
}

/// A source's credential.
pub(super) enum Auth {
    Token(SecretRef),
    App(Box<App>),
}

/// A service app and its present token.
pub(super) struct App {
    pub(super) client_id: String,
    pub(super) proof: ClientProof,
    pub(super) dpop: Dpop,
    pub(super) token_url: Url,
    tokens: Tokens,
    proofs: Mutex<Proofs>,
}

/// What proofs of possession are made of.
#[derive(Default)]
struct Proofs {
    /// Okta has asked for them.
    wanted: bool,
    key: Option<Arc<Key>>,
    /// The last nonces of the token endpoint and of the API.
    token_nonce: Option<String>,
    api_nonce: Option<String>,
}

/// The headers of one request.
pub(super) struct Grant {
    pub(super) authorization: HeaderValue,
    pub(super) proof: Option<HeaderValue>,
    /// The secret in it, to keep it out of quoted words.
    pub(super) secret: Secret,
    /// The access token, where it is one.
    pub(super) token: Option<Bearer>,
}

impl App {
    pub(super) fn new(client_id: String, proof: ClientProof, dpop: Dpop, token_url: Url) -> Self {
        let proofs = Mutex::new(Proofs { wanted: dpop == Dpop::Always, ..Proofs::default() });
        Self { client_id, proof, dpop, token_url, tokens: Tokens::default(), proofs }
    }

    fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// Headers for a `GET` of this URL; asks for an access token where there is none.
    pub(super) async fn authorize(&self, http: &Client, url: &Url) -> Result<Grant, PollError> {
        let app = match self {
            Self::Token(token) => loop {
                let secret = token.read().map_err(|error| self.halt(error.into()))?;
                match secret.header_value("SSWS ") {
                    Ok(authorization) => {
                        return Ok(Grant { authorization, proof: None, secret, token: None });
                    }
                    Err(_) if self.reread(token, &secret, http)? => {}
                    Err(error) => return Err(self.halt(error.into())),
                }
            },
            Self::App(app) => app,
        };
        let token = app.tokens.bearer(http.clock(), async || self.renew(app, http).await).await?;
        let proof = if token.bound {
            let ath = Some(URL_SAFE_NO_PAD.encode(token.secret.sha256()));
            let (key, nonce) = {
                let proofs = app.proofs();
                (proofs.key.clone(), proofs.api_nonce.clone())
            };
            let key = key.ok_or_else(|| retry("the proof key is gone"))?;
            Some(proof(&key, "GET", url, http.their_now(), nonce.as_deref(), ath)?)
        } else {
            None
        };
        let (authorization, secret) = (token.header.clone(), token.secret.clone());
        Ok(Grant { authorization, proof, secret, token: Some(token) })
    }

    /// The API refused the credential. Says whether there is now another one to try with, once.
    pub(super) async fn refused(
        &self,
        http: &Client,
        grant: &Grant,
        response: &Response,
    ) -> Result<bool, PollError> {
        let app = match self {
            Self::Token(token) => return self.reread(token, &grant.secret, http),
            Self::App(app) => app,
        };
        self.learn(response);
        let challenge = challenge(response);
        if challenge.as_deref() == Some("use_dpop_nonce") {
            return Ok(true);
        }
        if challenge.as_deref() == Some("invalid_dpop_proof") && app.dpop != Dpop::Never {
            app.proofs().wanted = true;
        }
        if let Some(token) = &grant.token {
            app.tokens.refused(token).await;
        }
        Ok(true)
    }

    /// Remembers the nonce that an answer of the API carries.
    pub(super) fn learn(&self, response: &Response) {
        if let (Self::App(app), Some(nonce)) = (self, nonce(response)) {
            app.proofs().api_nonce = Some(nonce);
        }
    }

    /// One token, by as many calls as its preconditions take: a proof, a nonce, a corrected clock, a re-read key; each
    /// at most once.
    async fn renew(&self, app: &App, http: &Client) -> Result<Granted, PollError> {
        let (mut clock_tried, mut nonce_tried, mut proof_tried) = (false, false, app.proofs().wanted);
        loop {
            let skew = http.skew();
            let reference = app.proof.reference();
            let used = reference.read().map_err(|error| self.halt(error.into()))?;
            let request = match app.request(&used, http.their_now()) {
                Ok(request) => request,
                Err(_) if self.reread(reference, &used, http)? => continue,
                Err(fault) => return Err(self.halt(fault)),
            };
            let response = http.send(request).await?;
            if let Some(nonce) = nonce(&response) {
                app.proofs().token_nonce = Some(nonce);
            }
            let verdict = judge::judge(&response, Some(&client::RATE));
            match verdict {
                Verdict::Ok => return Granted::read(&response, "okta", client::REQUEST_ID),
                Verdict::Retry { after, kind } => {
                    let code = answer_code(&response.body);
                    let message = format!("okta's token endpoint: {}", client::why(kind));
                    let cause = response.fault(kind, message, code.as_deref(), client::REQUEST_ID);
                    return Err(PollError::Retry { after, cause });
                }
                _ => {}
            }
            let code = answer_code(&response.body);
            match code.as_deref() {
                Some("use_dpop_nonce") if app.dpop != Dpop::Never && !nonce_tried => {
                    (app.proofs().wanted, proof_tried, nonce_tried) = (true, true, true);
                    continue;
                }
                Some("invalid_dpop_proof") if app.dpop != Dpop::Never && !proof_tried => {
                    (app.proofs().wanted, proof_tried) = (true, true);
                    continue;
                }
                _ => {}
            }
            let blamed = matches!(verdict, Verdict::Unauthorized)
                || matches!(code.as_deref(), Some("invalid_client" | "invalid_dpop_proof"));
            if blamed && !clock_tried && corrected(skew, http.skew()) {
                clock_tried = true;
                continue;
            }
            if blamed && self.reread(reference, &used, http)? {
                continue;
            }
            return Err(self.halt(app.refusal(&response, verdict, code.as_deref())));
        }
    }

    /// Whether there is another value than the one that was used and did not do.
    fn reread(&self, place: &SecretRef, used: &Secret, http: &Client) -> Result<bool, PollError> {
        place.refresh(used, http.clock().now()).map_err(|error| self.halt(error.into()))
    }

    fn halt(&self, mut cause: Fault) -> PollError {
        if cause.remedy.is_none() && cause.kind == FaultKind::Credential {
            cause.remedy = Some(self.remedy());
        }
        PollError::Halt { cause }
    }

    /// What a person does about a refused credential.
    pub(super) fn remedy(&self) -> String {
        let (what, reference, why) = match self {
            Self::Token(token) => (
                "new API token",
                token,
                "API tokens die after 30 unused days, and with the account that made them",
            ),
            Self::App(app) => match &app.proof {
                ClientProof::Key { key, .. } => (
                    "private key of a public key that is registered with the app",
                    key,
                    "compare the app's client id and its keys with the configured ones",
                ),
                ClientProof::Secret(secret) => (
                    "the app's present client secret",
                    secret,
                    "compare the app's client id with the configured one",
                ),
            },
        };
        let place = reference.to_string();
        let how = match place.strip_prefix("file:") {
            Some(path) => format!("{what} in {path} (re-read within 60 s; no restart)"),
            None => format!("{what} in {place}, and a restart"),
        };
        format!("{why}\nFix: {how}")
    }
}

fn retry(message: &str) -> PollError {
    PollError::Retry { after: None, cause: Fault::new(FaultKind::Answer, message) }
}

/// Whether the clock was known worse before the answer than after it.
fn corrected(before: Option<TimeDelta>, after: Option<TimeDelta>) -> bool {
    let before = before.unwrap_or_else(TimeDelta::zero);
    after.is_some_and(|after| (after - before).abs() > CLOCK_TOLERANCE)
}

/// The nonce that an answer carries.
fn nonce(response: &Response) -> Option<String> {
    let nonce = response.headers.get("dpop-nonce")?.to_str().ok()?;
    (!nonce.is_empty() && nonce.len() <= 512).then(|| nonce.to_owned())
}

/// `error="…"` of `WWW-Authenticate`.
pub(super) fn challenge(response: &Response) -> Option<String> {
    response.headers.get_all(http::header::WWW_AUTHENTICATE).iter().find_map(|value| {
        let (_, error) = value.to_str().ok()?.split_once("error=\"")?;
        error.split('"').next().map(str::to_owned)
    })
}

/// A proof of possession for one request.
fn proof(
    key: &Key,
    method: &str,
    url: &Url,
    now: DateTime<Utc>,
    nonce: Option<&str>,
    ath: Option<String>,
) -> Result<HeaderValue, PollError> {
    let unsigned = |error: KeyError| PollError::Retry {
        after: None,
        cause: Fault::new(FaultKind::Credential, error.to_string()),
    };
    let header = json!({ "typ": "dpop+jwt", "jwk": key.public_jwk() });
    let mut claims = json!({
        "htm": method,
        "htu": canonical(url),
        "iat": now.timestamp(),
        "jti": key::unique().map_err(unsigned)?,
    });
    if let Some(claims) = claims.as_object_mut() {
        if let Some(nonce) = nonce {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        if let Some(ath) = ath {
            claims.insert("ath".to_owned(), ath.into());
        }
    }
    let token = key.sign(header, &claims).map_err(unsigned)?;
    HeaderValue::from_str(&token).map_err(|_| unsigned(KeyError::Signing))
}

/// The URL as both sides must write it: lower-case scheme and host, no default port, no query, no fragment.
fn canonical(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

impl App {
    /// A request for a token; everything in it that may be used once is new.
    fn request(&self, secret: &Secret, now: DateTime<Utc>) -> Result<http::Request<Bytes>, Fault> {
        let wrong = |error: KeyError| {
            Fault::new(FaultKind::Credential, format!("{}: {error}", self.proof.reference()))
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("scope", SCOPE);
        let mut request = http::Request::post(self.token_url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &self.proof {
            ClientProof::Key { id, .. } => {
                let key = secret.for_signing(Key::read).map_err(wrong)?;
                // Okta has no PSS.
                if key.algorithm == "PS256" {
                    return Err(wrong(KeyError::Algorithm));
                }
                let mut header = json!({ "typ": "JWT" });
                if let (Some(header), Some(id)) = (header.as_object_mut(), id.as_ref().or(key.id.as_ref())) {
                    header.insert("kid".to_owned(), id.as_str().into());
                }
                let claims = json!({
                    "iss": self.client_id,
                    "sub": self.client_id,
                    "aud": self.token_url.as_str(),
                    "exp": (now + ASSERTION_LIFE).timestamp(),
                    "jti": key::unique().map_err(wrong)?,
                });
                form.append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .append_pair("client_assertion", &key.sign(header, &claims).map_err(wrong)?);
            }
            ClientProof::Secret(_) => {
                let header = secret.basic_header(&self.client_id)?;
                request = request.header(http::header::AUTHORIZATION, header);
            }
        }
        let proofs = &mut *self.proofs();
        if proofs.wanted {
            let key = match &proofs.key {
                Some(key) => Arc::clone(key),
                None => Arc::clone(proofs.key.insert(Arc::new(Key::generate().map_err(wrong)?))),
            };
            let proof = proof(&key, "POST", &self.token_url, now, proofs.token_nonce.as_deref(), None)
                .map_err(|error| error.cause().clone())?;
            request = request.header("dpop", proof);
        }
        request
            .body(Bytes::from(form.finish()))
            .map_err(|_| Fault::new(FaultKind::Configuration, "the token request cannot be built"))
    }

    /// The token endpoint's errors (catalogue of August 2026), by status first where a code is missing.
    fn refusal(&self, response: &Response, verdict: Verdict, code: Option<&str>) -> Fault {
        let (kind, message, remedy) = match code {
            Some("invalid_dpop_proof" | "use_dpop_nonce") if self.dpop == Dpop::Never => (
                FaultKind::Configuration,
                "the app demands DPoP".to_owned(),
                Some("set auth.dpop to true or \"auto\"".to_owned()),
            ),
            Some("invalid_dpop_proof" | "use_dpop_nonce") => (
                FaultKind::Credential,
                "okta refused the proof of possession".to_owned(),
                Some("compare this machine's clock and the source's `url` with Okta's own".to_owned()),
            ),
            Some("invalid_scope" | "consent_required" | "insufficient_scope") => (
                FaultKind::Permission,
                format!("the app has not been granted {SCOPE}"),
                Some(format!("grant {SCOPE} on the app's Okta API Scopes tab (as super administrator)")),
            ),
            Some("access_denied") => (
                FaultKind::Permission,
                "okta denied the app access from here".to_owned(),
                Some("add this machine's address to the app's network zone".to_owned()),
            ),
            Some("invalid_request" | "unsupported_grant_type" | "unauthorized_client") => (
                FaultKind::Configuration,
                "the app is not a service app with client credentials".to_owned(),
                Some("create an API Services app in Okta's admin console and use its client id".to_owned()),
            ),
            _ if matches!(verdict, Verdict::NotThere | Verdict::Redirect) => (
                FaultKind::Configuration,
                format!("there is no Okta token endpoint at {}", client::origin(&self.token_url)),
                Some("compare the source's `url`".to_owned()),
            ),
            _ => (
                judge::kind(verdict, response.status),
                format!(
                    "okta refused the app {}{}",
                    self.client_id,
                    text(&response.body, self.proof.reference().read().ok().as_ref())
                ),
                None,
            ),
        };
        let kind = if code == Some("invalid_client") { FaultKind::Credential } else { kind };
        let mut fault = response.fault(kind, message, code, client::REQUEST_ID);
        fault.remedy = remedy;
        fault
    }
}
