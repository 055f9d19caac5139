//! Access tokens that were issued, and who may still use them.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::problem::Problem;
use crate::rng::{mix, uuid};

/// What an access token says. Roles are those of the moment it was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) tenant: String,
    pub(crate) app: String,
    pub(crate) roles: Vec<String>,
    expires: DateTime<Utc>,
    /// The client can answer a claims challenge.
    challengeable: bool,
    /// `nbf` of the challenge it was asked for with.
    answers_challenge_of: Option<i64>,
}

impl Access {
    pub(crate) fn may(&self, role: &str) -> bool {
        // Who may write may read, and who may read all policies may read those of Conditional Access.
        let wider = role.replace(".Read.", ".ReadWrite.");
        self.roles.iter().any(|own| {
            *own == role
                || *own == wider
                || (role == super::config::POLICY_READ
                    && matches!(own.as_str(), "Policy.Read.All" | "Policy.ReadWrite.ConditionalAccess"))
        })
    }
}

/// What is wanted of a token.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) app: &'a str,
    pub(crate) roles: Vec<String>,
    pub(crate) audience: &'a str,
    /// The `claims` parameter.
    pub(crate) claims: Option<&'a str>,
    pub(crate) life: TimeDelta,
}

/// All tokens that have not expired.
#[derive(Default)]
pub(crate) struct Tokens {
    seed: u64,
    issued: HashMap<String, Access>,
    /// When the sessions of a tenant were last revoked, seconds since the epoch.
    challenged: BTreeMap<String, i64>,
    pub(crate) count: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A new token: it has the form of a JWT, its signature means nothing.
    pub(crate) fn issue(&mut self, wanted: Wanted<'_>, now: DateTime<Utc>) -> String {
        self.issued.retain(|_, access| access.expires > now);
        self.count += 1;
        let number = mix(self.seed, self.count);
        let expires = now + wanted.life;
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"typ": "JWT", "alg": "RS256", "kid": "simulated"}));
        let payload = part(json!({
            "aud": wanted.audience,
            "iss": format!("https://sts.windows.net/{}/", wanted.tenant),
            "iat": now.timestamp(),
            "nbf": now.timestamp(),
            "exp": expires.timestamp(),
            "appid": wanted.app,
            "idtyp": "app",
            "roles": wanted.roles,
            "tid": wanted.tenant,
            "uti": uuid(number, mix(number, 3)),
            "ver": "1.0",
        }));
        let signature = URL_SAFE_NO_PAD
            .encode((0..4).flat_map(|word| mix(number, 10 + word).to_be_bytes()).collect::<Vec<u8>>());
        let token = format!("{header}.{payload}.{signature}");
        let claims: Value =
            wanted.claims.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let capabilities = claims.pointer("/access_token/xms_cc/values").and_then(Value::as_array);
        let announced = capabilities.is_some_and(|values| {
            values.iter().any(|value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case("cp1")))
        });
        let answers = claims.pointer("/access_token/nbf/value").and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        });
        self.issued.insert(
            token.clone(),
            Access {
                tenant: wanted.tenant.to_owned(),
                app: wanted.app.to_owned(),
                roles: wanted.roles,
                expires,
                challengeable: announced,
                answers_challenge_of: answers,
            },
        );
        token
    }

    /// Who asks.
    pub(crate) fn access(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Access, Problem> {
        let token = bearer(headers).ok_or_else(|| Problem::unauthorized("Access token is empty."))?;
        let access = self
            .issued
            .get(token)
            .ok_or_else(|| Problem::unauthorized("Access token validation failure. Invalid signature."))?;
        if access.expires <= now {
            return Err(Problem::unauthorized("Lifetime validation failed, the token is expired."));
        }
        let challenged = self.challenged.get(&access.tenant).filter(|_| access.challengeable);
        match challenged {
            Some(at) if access.answers_challenge_of.is_none_or(|answered| answered < *at) => {
                Err(challenge(*at))
            }
            _ => Ok(access.clone()),
        }
    }

    /// All tokens die at once.
    pub(crate) fn expire_all(&mut self, now: DateTime<Utc>) {
        self.issued.values_mut().for_each(|access| access.expires = access.expires.min(now));
    }

    /// Sessions are revoked: clients that announced `cp1` are challenged until they ask with the claims given.
    pub(crate) fn revoke_sessions(&mut self, tenant: &str, now: DateTime<Utc>) {
        self.challenged.insert(tenant.to_owned(), now.timestamp());
    }

    /// Challenges the bearer of a token whatever it announced. `None`: the token is none of ours.
    pub(crate) fn challenge_bearer(&mut self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Problem> {
        let access = self.issued.get_mut(bearer(headers)?)?;
        access.challengeable = true;
        let tenant = access.tenant.clone();
        self.revoke_sessions(&tenant, now);
        Some(challenge(now.timestamp()))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn challenge(at: i64) -> Problem {
    let claims = json!({"access_token": {"nbf": {"essential": true, "value": at.to_string()}}});
    let claims = STANDARD.encode(claims.to_string());
    Problem {
        challenge: Some(format!(
            "realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"insufficient_claims\", claims=\"{claims}\""
        )),
        ..Problem::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp",
        )
    }
}
