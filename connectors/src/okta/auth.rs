//! How a request proves who sends it: an API token (SSWS), or an access token of a service app (OAuth 2.0, with DPoP
//! where the app demands it).
//!
//! - An assertion lives five minutes by *Okta's* clock and names no `iat`: Okta refuses one that ends an hour or more
//!   ahead of its own clock, and machines are often a second or two fast (okta/okta-sdk-golang#573).
//! - Every try signs a new assertion and a new proof: a refused call has used up their `jti`.
//! - One refresh at a time, at 80 % of the token's life; each grant is an event in the very log that is collected.
//! - The proof key lives as long as the process: a bound token is worth nothing without it.

use super::client::{self, answer_code, text};
use crate::key::{self, Key, KeyError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
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
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How many tokens there were; tells a refused token from its successor.
    number: u64,
    /// Okta has asked for proofs.
    bound: bool,
    proof_key: Option<Arc<Key>>,
    /// The last nonces of the token endpoint and of the API.
    token_nonce: Option<String>,
    api_nonce: Option<String>,
}

struct Token {
    value: Secret,
    bound: bool,
    refresh: DateTime<Utc>,
    end: DateTime<Utc>,
    scope: Option<String>,
}

/// The headers of one request.
pub(super) struct Grant {
    pub(super) authorization: HeaderValue,
    pub(super) proof: Option<HeaderValue>,
    /// The secret in it, to keep it out of quoted words.
    pub(super) secret: Secret,
    number: u64,
}

impl App {
    pub(super) fn new(client_id: String, proof: ClientProof, dpop: Dpop, token_url: Url) -> Self {
        let state = State { bound: dpop == Dpop::Always, ..State::default() };
        Self { client_id, proof, dpop, token_url, state: tokio::sync::Mutex::new(state) }
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
                        return Ok(Grant { authorization, proof: None, secret, number: 0 });
                    }
                    Err(_) if self.reread(token, &secret, http)? => {}
                    Err(error) => return Err(self.halt(error.into())),
                }
            },
            Self::App(app) => app,
        };
        let mut state = app.state.lock().await;
        let now = http.clock().now();
        if state.token.as_ref().is_none_or(|token| now >= token.refresh) {
            match self.renew(app, &mut state, http).await {
                Ok(()) => {}
                // The old token is good for a while: a failing token endpoint does not stop the log.
                Err(PollError::Retry { cause, after }) => match &mut state.token {
                    Some(token) if now < token.end => {
                        tracing::warn!(%cause, "okta: keeping the access token, its renewal failed");
                        token.refresh = now + TimeDelta::seconds(60);
                    }
                    _ => return Err(PollError::Retry { cause, after }),
                },
                Err(error) => return Err(error),
            }
        }
        let number = state.number;
        let State { token: Some(token), proof_key, api_nonce, .. } = &mut *state else {
            return Err(retry("okta granted no token"));
        };
        let scheme = if token.bound { "DPoP " } else { "Bearer " };
        let authorization =
            token.value.header_value(scheme).map_err(|_| retry("the access token fits in no header"))?;
        let proof = if token.bound {
            let key = proof_key.clone().ok_or_else(|| retry("the proof key is gone"))?;
            let ath = Some(URL_SAFE_NO_PAD.encode(token.value.sha256()));
            Some(proof(&key, "GET", url, http.their_now(), api_nonce.as_deref(), ath)?)
        } else {
            None
        };
        Ok(Grant { authorization, proof, secret: token.value.clone(), number })
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
        let mut state = app.state.lock().await;
        if let Some(nonce) = nonce(response) {
            state.api_nonce = Some(nonce);
        }
        if challenge(response).as_deref() == Some("use_dpop_nonce") {
            return Ok(true);
        }
        if challenge(response).as_deref() == Some("invalid_dpop_proof") && app.dpop != Dpop::Never {
            state.bound = true;
        }
        // Another poll may have renewed it meanwhile.
        if state.number == grant.number {
            state.token = None;
        }
        Ok(true)
    }

    /// Remembers a nonce that came with a good answer.
    pub(super) async fn learn(&self, response: &Response) {
        if let (Self::App(app), Some(nonce)) = (self, nonce(response)) {
            app.state.lock().await.api_nonce = Some(nonce);
        }
    }

    /// One token, by as many calls as its preconditions take: a proof, a nonce, a corrected clock, a re-read key; each
    /// at most once.
    async fn renew(&self, app: &App, state: &mut State, http: &Client) -> Result<(), PollError> {
        let (mut clock_tried, mut nonce_tried, mut proof_tried) = (false, false, state.bound);
        loop {
            let skew = http.skew();
            let reference = app.proof.reference();
            let used = reference.read().map_err(|error| self.halt(error.into()))?;
            let request = match app.request(state, &used, http.their_now()) {
                Ok(request) => request,
                Err(_) if self.reread(reference, &used, http)? => continue,
                Err(fault) => return Err(self.halt(fault)),
            };
            let response = http.send(request).await?;
            if let Some(nonce) = nonce(&response) {
                state.token_nonce = Some(nonce);
            }
            let verdict = judge::judge(&response, Some(&client::RATE));
            match verdict {
                Verdict::Ok => return app.accept(state, &response, http.clock().now()),
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
                    (state.bound, proof_tried, nonce_tried) = (true, true, true);
                    continue;
                }
                Some("invalid_dpop_proof") if app.dpop != Dpop::Never && !proof_tried => {
                    (state.bound, proof_tried) = (true, true);
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

    /// Scopes of the present token, for `check`.
    pub(super) async fn scopes(&self) -> Option<(bool, Option<String>)> {
        let Self::App(app) = self else { return None };
        let state = app.state.lock().await;
        state.token.as_ref().map(|token| (token.bound, token.scope.clone()))
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
    fn request(
        &self,
        state: &mut State,
        secret: &Secret,
        now: DateTime<Utc>,
    ) -> Result<http::Request<Bytes>, Fault> {
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
        if state.bound {
            let key = match &state.proof_key {
                Some(key) => Arc::clone(key),
                None => Arc::clone(state.proof_key.insert(Arc::new(Key::generate().map_err(wrong)?))),
            };
            let proof = proof(&key, "POST", &self.token_url, now, state.token_nonce.as_deref(), None)
                .map_err(|error| error.cause().clone())?;
            request = request.header("dpop", proof);
        }
        request
            .body(Bytes::from(form.finish()))
            .map_err(|_| Fault::new(FaultKind::Configuration, "the token request cannot be built"))
    }

    fn accept(&self, state: &mut State, response: &Response, now: DateTime<Utc>) -> Result<(), PollError> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            token_type: String,
            expires_in: Option<f64>,
            scope: Option<String>,
        }
        let Ok(granted) = serde_json::from_slice::<Granted>(&response.body) else {
            let message = "okta's token endpoint answered with something that is no token";
            let cause = response.fault(FaultKind::Answer, message, None, client::REQUEST_ID);
            return Err(PollError::Retry { after: None, cause });
        };
        let life = granted.expires_in.filter(|life| life.is_finite()).unwrap_or(3600.0).clamp(10.0, 86_400.0);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to a day")]
        let after = |share: f64| now + TimeDelta::milliseconds((life * share * 1000.0) as i64);
        state.number += 1;
        state.token = Some(Token {
            value: Secret::new(granted.access_token.into_bytes()),
            bound: granted.token_type.eq_ignore_ascii_case("dpop"),
            refresh: after(0.8),
            end: after(1.0),
            scope: granted.scope,
        });
        Ok(())
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
