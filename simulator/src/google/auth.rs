//! The token endpoint (JWT bearer grant with domain-wide delegation) and the access tokens it gives out.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};

use super::config::{Admin, AdminState, GoogleConfig, ServiceAccount};
use super::error::{ApiError, token_error};
use super::params::last;
use crate::answer::Answer;
use crate::rng::mix;

/// The audience that the official Python client writes whatever endpoint it calls.
const GOOGLE_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Seconds that clocks may differ by.
const SKEW: i64 = 300;
/// Seconds that an assertion may live.
const LONGEST_LIFE: i64 = 3_600;

#[derive(Debug)]
struct AccessToken {
    /// The delegated administrator, or the service account itself.
    user: String,
    scopes: Vec<String>,
    /// Epoch seconds.
    expires: i64,
}

/// Everybody who may ask.
#[derive(Debug)]
pub(crate) struct Auth {
    seed: u64,
    pub(crate) accounts: Vec<ServiceAccount>,
    admins: HashMap<String, AdminState>,
    tokens: HashMap<String, AccessToken>,
    life: i64,
    expires_in_as_text: bool,
    pub(crate) issued: u64,
    pub(crate) calls: u64,
    pub(crate) refused: u64,
}

/// Who asks an API.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    /// Without a licence there is nothing to see.
    pub(crate) licensed: bool,
}

/// An error of the token endpoint: status, code, description.
type Refused = (u16, &'static str, &'static str);

impl Auth {
    pub(crate) fn new(config: &GoogleConfig) -> Self {
        let mut auth = Self {
            seed: config.seed,
            accounts: config.service_accounts.clone(),
            admins: HashMap::new(),
            tokens: HashMap::new(),
            life: config.access_token_life.num_seconds(),
            expires_in_as_text: config.expires_in_as_text,
            issued: 0,
            calls: 0,
            refused: 0,
        };
        config.admins.iter().for_each(|admin| auth.set_admin(admin));
        auth
    }

    pub(crate) fn set_admin(&mut self, admin: &Admin) {
        self.admins.insert(admin.email.to_lowercase(), admin.state);
    }

    /// Adds a service account or replaces the one of that address.
    pub(crate) fn set_account(&mut self, account: ServiceAccount) {
        self.accounts.retain(|known| known.email != account.email);
        self.accounts.push(account);
    }

    pub(crate) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Who asks, if the token holds this scope.
    pub(crate) fn caller(
        &self,
        headers: &HeaderMap,
        query_token: Option<&str>,
        scope: &str,
        now: DateTime<Utc>,
    ) -> Result<Caller, ApiError> {
        let header = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let value = header.or(query_token).ok_or_else(ApiError::no_credential)?;
        let token = self.tokens.get(value).filter(|token| now.timestamp() < token.expires);
        let token = token.ok_or_else(ApiError::expired)?;
        if !token.scopes.iter().any(|held| held == scope) {
            return Err(ApiError::scope());
        }
        let state = self.admins.get(&token.user).copied().unwrap_or(AdminState::NotAdmin);
        match ApiError::of_state(state) {
            Some(error) => Err(error),
            None => Ok(Caller { user: token.user.clone(), licensed: state != AdminState::Unlicensed }),
        }
    }

    /// Answers a token request.
    pub(crate) fn token(&mut self, request: &Request<Bytes>, base: &str, now: DateTime<Utc>) -> Answer {
        self.calls += 1;
        let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        match self.granted(&form, base, now) {
            Ok(body) => Answer::json(StatusCode::OK, &body),
            Err((status, error, description)) => {
                self.refused += 1;
                token_error(status, error, Some(description))
            }
        }
    }

    fn granted(
        &mut self,
        form: &[(String, String)],
        base: &str,
        now: DateTime<Utc>,
    ) -> Result<Value, Refused> {
        match last(form, "grant_type") {
            Some(GRANT_TYPE) => {}
            Some(_) => return Err((400, "unsupported_grant_type", "Invalid grant_type")),
            None => return Err((400, "invalid_request", "Missing required parameter: grant_type")),
        }
        let assertion = last(form, "assertion").ok_or((
            400,
            "invalid_request",
            "Missing required parameter: assertion",
        ))?;
        let (account, claims) = self.verified(assertion, base, now)?;
        if account.denied {
            return Err((403, "access_denied", "Account restricted"));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let scopes: Vec<String> =
            text("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if scopes.is_empty() {
            return Err((400, "invalid_scope", "Empty or missing scope not allowed."));
        }
        let user = match claims.get("sub") {
            // Without delegation the account acts as itself, and is nobody in the customer's domain.
            None => account.email.clone(),
            Some(sub) => {
                let user = self.impersonated(sub.as_str().unwrap_or_default())?;
                let delegated = account.delegated_from.is_none_or(|from| from <= now)
                    && scopes.iter().all(|scope| account.delegated.contains(scope));
                if !delegated {
                    return Err((
                        401,
                        "unauthorized_client",
                        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
                    ));
                }
                user
            }
        };
        self.issued += 1;
        let number = mix(self.seed, self.issued);
        let value = format!("ya29.c.{number:016x}{:016x}", mix(number, 1));
        self.tokens.insert(value.clone(), AccessToken { user, scopes, expires: now.timestamp() + self.life });
        let life = if self.expires_in_as_text { json!(self.life.to_string()) } else { json!(self.life) };
        Ok(json!({"access_token": value, "expires_in": life, "token_type": "Bearer"}))
    }

    /// The user that `sub` names.
    fn impersonated(&self, sub: &str) -> Result<String, Refused> {
        let Some((local, domain)) = sub.split_once('@') else {
            return Err((400, "invalid_request", "Invalid impersonation prn email address."));
        };
        if local.is_empty() || !domain.contains('.') || sub.contains(char::is_whitespace) {
            return Err((400, "invalid_grant", "Not a valid email or user ID."));
        }
        let user = sub.to_lowercase();
        match self.admins.get(&user) {
            None | Some(AdminState::Suspended) => Err((400, "invalid_grant", "Invalid email or User ID")),
            Some(_) => Ok(user),
        }
    }

    /// Checks an assertion in full: issuer, key, signature, audience, times.
    fn verified(
        &self,
        assertion: &str,
        base: &str,
        now: DateTime<Utc>,
    ) -> Result<(ServiceAccount, Map<String, Value>), Refused> {
        let malformed = (400, "invalid_grant", "Invalid JWT: Not a valid token.");
        let header = jsonwebtoken::decode_header(assertion).map_err(|_| malformed)?;
        let issuer = unverified(assertion).and_then(|claims| claims.get("iss")?.as_str().map(str::to_owned));
        let issuer = issuer.ok_or(malformed)?;
        let account = self.accounts.iter().find(|account| account.email == issuer).ok_or((
            400,
            "invalid_grant",
            "Invalid grant: account not found",
        ))?;
        if account.keys.is_empty() {
            return Err((400, "invalid_grant", "No valid verifier found for issuer."));
        }
        // An assertion need not name its key; then any of the account's may have signed it.
        let claims = account
            .keys
            .iter()
            .filter(|key| header.kid.as_ref().is_none_or(|kid| *kid == key.kid))
            .find_map(|key| signed(assertion, &key.key))
            .ok_or((400, "invalid_grant", "Invalid JWT Signature."))?;
        let own = format!("{base}{}", super::TOKEN);
        let fits = |value: &Value| value.as_str().is_some_and(|aud| aud == GOOGLE_TOKEN_URL || aud == own);
        let audience = claims.get("aud").is_some_and(|aud| match aud {
            Value::Array(values) => values.iter().any(fits),
            value => fits(value),
        });
        if !audience {
            return Err((400, "invalid_grant", "Invalid JWT: Failed audience check."));
        }
        let (now, time) = (now.timestamp(), |name: &str| claims.get(name).and_then(Value::as_i64));
        let in_time = time("iat").zip(time("exp")).is_some_and(|(issued, expires)| {
            (0..=LONGEST_LIFE).contains(&(expires - issued)) && issued <= now + SKEW && expires >= now - SKEW
        });
        if !in_time {
            return Err((
                400,
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe: iat and exp do not fit.",
            ));
        }
        Ok((account.clone(), claims))
    }
}

fn unverified(jwt: &str) -> Option<Map<String, Value>> {
    use base64::Engine as _;
    let part = jwt.split('.').nth(1)?;
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The claims, if this key signed them with RS256.
fn signed(jwt: &str, key: &str) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    // Times and audience are judged by the stand-in's own clock and name.
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_rsa_pem(key.as_bytes()).ok()?;
    jsonwebtoken::decode::<Map<String, Value>>(jwt, &key, &validation).ok().map(|decoded| decoded.claims)
}
