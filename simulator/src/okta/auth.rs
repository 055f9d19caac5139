//! Credentials: API tokens, the token endpoint of the organisation's authorization server with client assertions
//! (RFC 7523) and client secrets, and DPoP proofs (RFC 9449). Everything is verified as the vendor does.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::config::{Client, ClientAuth, Token, TokenState};
use crate::answer::Answer;
use crate::rng::mix;

/// Seconds between two nonces, and how many earlier ones are still taken.
const NONCE_ROTATION: i64 = 86_400;
const NONCE_KEPT: i64 = 3;
/// Seconds by which a proof's `iat` may be off.
const PROOF_WINDOW: i64 = 300;
/// An API token dies of 30 days without use.
const IDLE: i64 = 30 * 86_400;
pub(crate) const LOGS_SCOPE: &str = "okta.logs.read";

#[derive(Debug)]
struct Known {
    principal: String,
    scopes: Vec<String>,
    api_token: bool,
    state: TokenState,
    /// Thumbprint of the key it is bound to.
    bound: Option<String>,
    /// Epoch seconds.
    expires: Option<i64>,
    used: Option<i64>,
}

/// Everybody who may ask.
#[derive(Debug)]
pub(crate) struct Auth {
    seed: u64,
    tokens: HashMap<String, Known>,
    clients: HashMap<String, Client>,
    token_life: i64,
    assertion_ids: HashSet<String>,
    proof_ids: HashSet<String>,
    pub(crate) issued: u64,
    pub(crate) token_calls: u64,
    pub(crate) refused: u64,
}

/// Why a resource request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// 401 E0000011.
    Invalid,
    /// 403 E0000006.
    Scope,
    /// `WWW-Authenticate: DPoP error=…`.
    Proof { status: StatusCode, error: &'static str, description: String },
}

/// An answer of the token endpoint that is no token.
struct Refused {
    status: StatusCode,
    error: &'static str,
    description: String,
}

fn refused(status: StatusCode, error: &'static str, description: impl Into<String>) -> Refused {
    Refused { status, error, description: description.into() }
}

fn invalid_client(description: impl Into<String>) -> Refused {
    refused(StatusCode::UNAUTHORIZED, "invalid_client", description)
}

impl Auth {
    pub(crate) fn new(seed: u64, tokens: Vec<Token>, clients: Vec<Client>, token_life: i64) -> Self {
        let mut auth = Self {
            seed,
            tokens: HashMap::new(),
            clients: clients.into_iter().map(|client| (client.id.clone(), client)).collect(),
            token_life,
            assertion_ids: HashSet::new(),
            proof_ids: HashSet::new(),
            issued: 0,
            token_calls: 0,
            refused: 0,
        };
        for token in tokens {
            auth.add_token(token);
        }
        auth
    }

    pub(crate) fn add_token(&mut self, token: Token) {
        let known = Known {
            principal: format!(
                "token:{:016x}",
                mix(self.seed, token.value.len() as u64 ^ hash(&token.value))
            ),
            scopes: if token.may_read_logs { vec![LOGS_SCOPE.to_owned()] } else { Vec::new() },
            api_token: true,
            state: token.state,
            bound: None,
            expires: None,
            used: None,
        };
        self.tokens.insert(token.value, known);
    }

    pub(crate) fn add_client(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// Whether there was such a token.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        self.tokens.get_mut(token).map(|known| known.state = TokenState::Revoked).is_some()
    }

    /// Revokes the access tokens that the token endpoint has issued, or all there are.
    pub(crate) fn revoke_all(&mut self, api_tokens_too: bool) {
        for known in self.tokens.values_mut().filter(|known| api_tokens_too || !known.api_token) {
            known.state = TokenState::Revoked;
        }
    }

    /// Who asks for logs. The principal's name is what its rate limit goes by.
    pub(crate) fn principal(
        &mut self,
        request: &Request<Bytes>,
        base: &str,
        now: DateTime<Utc>,
    ) -> Result<String, Denied> {
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, value) = header.and_then(split_scheme).ok_or(Denied::Invalid)?;
        let now_s = now.timestamp();
        let known = self.tokens.get_mut(value).ok_or(Denied::Invalid)?;
        let idle = known.api_token && known.used.is_some_and(|used| now_s - used > IDLE);
        let expired = known.expires.is_some_and(|expires| now_s >= expires);
        if known.api_token != (scheme == "SSWS") || known.state != TokenState::Active || idle || expired {
            return Err(Denied::Invalid);
        }
        known.used = Some(now_s);
        let (principal, scopes, bound) = (known.principal.clone(), known.scopes.clone(), known.bound.clone());
        match (&bound, scheme) {
            (None, "DPoP") => return Err(Denied::Invalid),
            (Some(thumbprint), _) => {
                let proof = request.headers().get("dpop");
                if scheme != "DPoP" || proof.is_none() {
                    return Err(Denied::Proof {
                        status: StatusCode::UNAUTHORIZED,
                        error: "invalid_token",
                        description: "The access token is bound to a key: a DPoP proof is needed".to_owned(),
                    });
                }
                let proof = self
                    .proof(
                        request.headers(),
                        request.method().as_str(),
                        &format!("{base}{}", request.uri().path()),
                        now,
                    )
                    .and_then(|proof| match proof.claims.get("ath").and_then(Value::as_str) {
                        Some(ath) if ath == URL_SAFE_NO_PAD.encode(Sha256::digest(value)) => Ok(proof),
                        Some(_) => Err("ath does not match the access token".to_owned()),
                        None => Err("ath is missing".to_owned()),
                    })
                    .and_then(|proof| match proof.thumbprint == *thumbprint {
                        true => Ok(()),
                        false => Err("the proof's key is not the one the token is bound to".to_owned()),
                    });
                if let Err(description) = proof {
                    let status = StatusCode::BAD_REQUEST;
                    return Err(Denied::Proof { status, error: "invalid_dpop_proof", description });
                }
            }
            _ => {}
        }
        if scopes.iter().any(|scope| scope == LOGS_SCOPE) { Ok(principal) } else { Err(Denied::Scope) }
    }

    /// `POST /oauth2/v1/token`.
    pub(crate) fn token(&mut self, request: &Request<Bytes>, base: &str, now: DateTime<Utc>) -> Answer {
        self.token_calls += 1;
        let url = format!("{base}{}", request.uri().path());
        let mut answer = match self.grant(request, &url, now) {
            Ok(body) => Answer::json(StatusCode::OK, &body),
            Err(refused) => {
                self.refused += 1;
                let body = json!({"error": refused.error, "error_description": refused.description});
                let mut answer = Answer::json(refused.status, &body);
                if refused.error == "use_dpop_nonce" {
                    answer.set("dpop-nonce", &self.nonce(now.timestamp() / NONCE_ROTATION));
                }
                answer
            }
        };
        answer.set("cache-control", "no-cache, no-store");
        // As in life, the current nonce also rides on the answers that needed one.
        if answer.status == StatusCode::OK && request.headers().contains_key("dpop") {
            answer.set("dpop-nonce", &self.nonce(now.timestamp() / NONCE_ROTATION));
        }
        answer
    }

    fn grant(&mut self, request: &Request<Bytes>, url: &str, now: DateTime<Utc>) -> Result<Value, Refused> {
        let bad = |description: &str| refused(StatusCode::BAD_REQUEST, "invalid_request", description);
        let content_type = request.headers().get(http::header::CONTENT_TYPE);
        let form_encoded = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if !form_encoded {
            return Err(bad("Accept and/or Content-Type headers do not match supported values."));
        }
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") => {}
            None => return Err(bad("The token request must specify a grant_type.")),
            Some(_) => {
                return Err(refused(
                    StatusCode::BAD_REQUEST,
                    "unsupported_grant_type",
                    "The authorization grant type is not supported by the authorization server.",
                ));
            }
        }
        let client = self.client(request.headers(), &form, url, now)?;
        let bound = self.binding(&client, request.headers(), url, now)?;
        let wanted: Vec<String> = form
            .get("scope")
            .map(String::as_str)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if wanted.is_empty() {
            return Err(refused(StatusCode::BAD_REQUEST, "invalid_scope", "The scope must be given."));
        }
        if let Some(scope) = wanted.iter().find(|scope| !client.scopes.contains(scope)) {
            return Err(refused(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                format!("The scope {scope} is not granted to this client."),
            ));
        }
        self.issued += 1;
        let number = mix(self.seed, self.issued);
        let value = format!("eyJ{:016x}{:016x}", number, mix(number, 1));
        let token_type = if bound.is_some() { "DPoP" } else { "Bearer" };
        let known = Known {
            principal: format!("client:{}", client.id),
            // Without an administrator's role the token is issued and useless.
            scopes: if client.has_role { wanted.clone() } else { Vec::new() },
            api_token: false,
            state: TokenState::Active,
            bound,
            expires: Some(now.timestamp() + self.token_life),
            used: None,
        };
        self.tokens.insert(value.clone(), known);
        Ok(json!({
            "token_type": token_type,
            "expires_in": self.token_life,
            "access_token": value,
            "scope": wanted.join(" "),
        }))
    }

    fn client(
        &mut self,
        headers: &HeaderMap,
        form: &HashMap<String, String>,
        url: &str,
        now: DateTime<Utc>,
    ) -> Result<Client, Refused> {
        if let Some(assertion) = form.get("client_assertion") {
            let kind = form.get("client_assertion_type").map(String::as_str);
            if kind != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
                return Err(invalid_client("The client_assertion_type is not valid."));
            }
            return self.assertion(assertion, url, now);
        }
        let basic = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value.trim()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let (id, secret) = match basic.as_deref().and_then(|text| text.split_once(':')) {
            Some((id, secret)) => (decode(id), decode(secret)),
            None => match (form.get("client_id"), form.get("client_secret")) {
                (Some(id), Some(secret)) => (id.clone(), secret.clone()),
                _ => return Err(invalid_client("No client credentials found.")),
            },
        };
        let client = self
            .clients
            .get(&id)
            .ok_or_else(|| invalid_client("Invalid value for 'client_id' parameter."))?;
        match &client.auth {
            ClientAuth::Secret(expected) if *expected == secret => Ok(client.clone()),
            ClientAuth::Secret(_) => {
                Err(invalid_client("The client secret supplied for a confidential client is invalid."))
            }
            ClientAuth::Keys(_) => Err(invalid_client(
                "Client Credentials requests to the Org Authorization Server must use the private_key_jwt token_endpoint_auth_method.",
            )),
        }
    }

    /// Checks a client assertion. Its `jti` is used up as soon as the signature holds, whatever comes after.
    fn assertion(&mut self, assertion: &str, url: &str, now: DateTime<Utc>) -> Result<Client, Refused> {
        let header = jsonwebtoken::decode_header(assertion)
            .map_err(|_| invalid_client("The client_assertion is malformed."))?;
        let claims =
            unverified(assertion).ok_or_else(|| invalid_client("The client_assertion is malformed."))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let (issuer, subject) = (text("iss"), text("sub"));
        let id = subject.ok_or_else(|| invalid_client("The sub claim is missing."))?;
        if issuer != subject {
            return Err(invalid_client("The iss and sub claims must both be the client_id."));
        }
        let client =
            self.clients.get(id).ok_or_else(|| invalid_client("Invalid value for 'client_id' parameter."))?;
        let ClientAuth::Keys(keys) = &client.auth else {
            return Err(invalid_client("The client is not registered for private_key_jwt."));
        };
        if keys.len() > 1 && header.kid.is_none() {
            return Err(invalid_client("The kid is needed: more than one key is registered."));
        }
        let named = |key: &&super::config::PublicKey| {
            header.kid.is_none() || key.kid.is_none() || key.kid == header.kid
        };
        let key = keys.iter().find(named).ok_or_else(|| invalid_client("The kid is unknown."))?;
        let signed = decoding_key(&key.key, header.alg)
            .is_some_and(|key| verified(assertion, &key, header.alg).is_some());
        if !signed {
            return Err(invalid_client("The client_assertion signature is invalid."));
        }
        let client = client.clone();
        if let Some(id) = text("jti")
            && !self.assertion_ids.insert(format!("{} {id}", client.id))
        {
            return Err(invalid_client("The client_assertion token has already been used: jti."));
        }
        let audience = match claims.get("aud") {
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(url)),
            Some(value) => value.as_str() == Some(url),
            None => false,
        };
        if !audience {
            return Err(invalid_client(format!(
                "The audience claim for client_assertion must be the endpoint invoked: {url}"
            )));
        }
        let now = now.timestamp();
        let expires = claims
            .get("exp")
            .and_then(Value::as_i64)
            .ok_or_else(|| invalid_client("The exp claim must be an integer."))?;
        if expires <= now {
            return Err(invalid_client("The client_assertion token is expired."));
        }
        if expires - now >= 3600 {
            return Err(invalid_client("expiration too far into the future"));
        }
        match claims.get("iat") {
            None => {}
            Some(issued) => match issued.as_i64() {
                Some(issued) if issued <= now => {}
                _ => return Err(invalid_client("The client_assertion token was issued in the future: iat.")),
            },
        }
        Ok(client)
    }

    /// The thumbprint that the token will be bound to, if any.
    fn binding(
        &mut self,
        client: &Client,
        headers: &HeaderMap,
        url: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Refused> {
        let invalid =
            |description: String| refused(StatusCode::BAD_REQUEST, "invalid_dpop_proof", description);
        if !headers.contains_key("dpop") {
            return match client.dpop_required {
                true => Err(invalid("The DPoP proof JWT header is missing.".to_owned())),
                false => Ok(None),
            };
        }
        let proof = self.proof(headers, "POST", url, now).map_err(invalid)?;
        let period = now.timestamp() / NONCE_ROTATION;
        let nonce = proof.claims.get("nonce").and_then(Value::as_str);
        let current =
            nonce.is_some_and(|nonce| (0..=NONCE_KEPT).any(|back| self.nonce(period - back) == nonce));
        if !current {
            return Err(refused(
                StatusCode::BAD_REQUEST,
                "use_dpop_nonce",
                "Authorization server requires nonce in DPoP proof.",
            ));
        }
        Ok(Some(proof.thumbprint))
    }

    fn nonce(&self, period: i64) -> String {
        let number = mix(mix(self.seed, 0xd909), period.cast_unsigned());
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend(mix(number, 1).to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Checks a proof in full except for what differs between token endpoint and resource.
    fn proof(
        &mut self,
        headers: &HeaderMap,
        method: &str,
        url: &str,
        now: DateTime<Utc>,
    ) -> Result<Proof, String> {
        let mut values = headers.get_all("dpop").iter();
        let value = values.next().and_then(|value| value.to_str().ok()).ok_or("the proof is missing")?;
        if values.next().is_some() {
            return Err("more than one DPoP header".to_owned());
        }
        let mut parts = value.split('.');
        let head: Value = parts.next().and_then(json_part).ok_or("the proof is no JWT")?;
        if head.get("typ").and_then(Value::as_str) != Some("dpop+jwt") {
            return Err("typ must be dpop+jwt".to_owned());
        }
        let algorithm = match head.get("alg").and_then(Value::as_str) {
            Some("RS256") => Algorithm::RS256,
            Some("RS384") => Algorithm::RS384,
            Some("RS512") => Algorithm::RS512,
            Some("ES256") => Algorithm::ES256,
            Some("ES384") => Algorithm::ES384,
            _ => return Err("alg must be an asymmetric algorithm".to_owned()),
        };
        let jwk = head.get("jwk").and_then(Value::as_object).ok_or("jwk is missing")?;
        if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return Err("jwk must not hold private members".to_owned());
        }
        let thumbprint = thumbprint(jwk).ok_or("jwk is not a public key")?;
        let key =
            decoding_key(&Value::Object(jwk.clone()).to_string(), algorithm).ok_or("jwk does not fit alg")?;
        let claims = verified(value, &key, algorithm).ok_or("the signature is invalid")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(method) {
            return Err("htm does not match the method".to_owned());
        }
        if text("htu") != Some(url) {
            return Err("htu does not match the URL".to_owned());
        }
        let issued = claims.get("iat").and_then(Value::as_i64).ok_or("iat must be an integer")?;
        if (issued - now.timestamp()).abs() > PROOF_WINDOW {
            return Err("iat is too far off".to_owned());
        }
        let id = text("jti").filter(|id| !id.is_empty()).ok_or("jti is missing")?;
        if !self.proof_ids.insert(id.to_owned()) {
            return Err("jti has been used before".to_owned());
        }
        Ok(Proof { claims, thumbprint })
    }
}

struct Proof {
    claims: Map<String, Value>,
    thumbprint: String,
}

/// `SSWS x`, `SSWSx`, `Bearer x`, `DPoP x`.
fn split_scheme(header: &str) -> Option<(&'static str, &str)> {
    ["SSWS", "Bearer", "DPoP"].into_iter().find_map(|scheme| {
        let (start, rest) = header.split_at_checked(scheme.len())?;
        let separated = rest.starts_with(' ') || scheme == "SSWS";
        (start.eq_ignore_ascii_case(scheme) && separated).then_some((scheme, rest.trim()))
    })
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A form-encoded part of Basic credentials (RFC 6749 §2.3.1).
fn decode(text: &str) -> String {
    let pair = format!("v={text}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn json_part<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn unverified(jwt: &str) -> Option<Map<String, Value>> {
    json_part(jwt.split('.').nth(1)?)
}

fn verified(jwt: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    // The times and the audience are judged by the stand-in's own clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Map<String, Value>>(jwt, key, &validation).ok().map(|decoded| decoded.claims)
}

/// A key in PEM or as a JWK, if it fits the algorithm.
fn decoding_key(key: &str, algorithm: Algorithm) -> Option<DecodingKey> {
    let family = match algorithm {
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => "RSA",
        Algorithm::ES256 | Algorithm::ES384 => "EC",
        _ => return None,
    };
    if key.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(key).ok()?;
        let curve = match algorithm {
            Algorithm::ES256 => Some("P-256"),
            Algorithm::ES384 => Some("P-384"),
            _ => None,
        };
        let fits = value.get("kty").and_then(Value::as_str) == Some(family)
            && (curve.is_none() || value.get("crv").and_then(Value::as_str) == curve);
        if !fits {
            return None;
        }
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        return DecodingKey::from_jwk(&jwk).ok();
    }
    match family {
        "RSA" => DecodingKey::from_rsa_pem(key.as_bytes()).ok(),
        _ => DecodingKey::from_ec_pem(key.as_bytes()).ok(),
    }
}

/// RFC 7638: SHA-256 over the required members in alphabetical order.
pub(crate) fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let members: &[&str] = match jwk.get("kty").and_then(Value::as_str)? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => return None,
    };
    let mut parts = Vec::new();
    for name in members {
        let value = jwk.get(*name).filter(|value| value.is_string())?;
        parts.push(format!("\"{name}\":{value}"));
    }
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", parts.join(",")))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638, section 3.1.
    #[test]
    fn thumbprint_of_the_rfc() {
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        });
        let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(thumbprint(jwk.as_object().expect("an object")).as_deref(), Some(expected));
    }

    #[test]
    fn ssws_is_taken_with_and_without_a_blank() {
        assert_eq!(split_scheme("SSWS abc"), Some(("SSWS", "abc")));
        assert_eq!(split_scheme("SSWSabc"), Some(("SSWS", "abc")));
        assert_eq!(split_scheme("Bearerabc"), None);
        assert_eq!(split_scheme("Basic abc"), None);
    }
}
