//! The token endpoint and DPoP, with real signatures, played in process under a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_simulator::okta::{Client, ClientAuth, Okta, OktaConfig, PublicKey};
use tidegate_simulator::{Answer, Fault, ScriptedFault};

const BASE: &str = "https://acme.example.com";
const RSA: &str = include_str!("keys/example_rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/example_rsa_public.pem");

fn start() -> DateTime<Utc> {
    "2026-01-15T10:00:00Z".parse().unwrap()
}

fn okta(clients: Vec<Client>) -> Okta {
    Okta::new(OktaConfig { clients, base_url: Some(BASE.to_owned()), ..OktaConfig::default() })
}

fn claims(jti: &str) -> Value {
    let now = start().timestamp();
    json!({"iss": "0oa1", "sub": "0oa1", "aud": format!("{BASE}/oauth2/v1/token"), "exp": now + 300, "jti": jti})
}

fn rsa(claims: &Value) -> String {
    sign(Algorithm::RS256, &EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(), claims, None)
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn form(pairs: &[(&str, &str)]) -> Bytes {
    Bytes::from(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn assertion_form(assertion: &str) -> Bytes {
    form(&[
        ("grant_type", "client_credentials"),
        ("scope", "okta.logs.read"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ])
}

fn token_call(okta: &Okta, body: Bytes, headers: &[(&str, &str)], now: DateTime<Utc>) -> Answer {
    let mut request =
        Request::post("/oauth2/v1/token").header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    okta.handle(&request.body(body).unwrap(), now)
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn refusal(answer: &Answer) -> (u16, String, String) {
    let body = body(answer);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("error"), text("error_description"))
}

fn logs(okta: &Okta, headers: &[(&str, &str)], now: DateTime<Utc>) -> Answer {
    let mut request = Request::get("/api/v1/logs?limit=1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    okta.handle(&request.body(Bytes::new()).unwrap(), now)
}

#[test]
fn a_key_gives_a_token_and_the_token_gives_logs_for_an_hour() {
    let okta = okta(vec![Client::with_key("0oa1", RSA_PUBLIC)]);
    let answer = token_call(&okta, assertion_form(&rsa(&claims("a"))), &[], start());
    let token = body(&answer);
    assert_eq!((token["token_type"].as_str(), token["expires_in"].as_i64()), (Some("Bearer"), Some(3600)));
    assert!(answer.headers.contains_key("x-rate-limit-limit"));
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    assert_eq!(logs(&okta, &[("authorization", &bearer)], start()).status, 200);
    assert_eq!(logs(&okta, &[("authorization", &bearer)], start() + TimeDelta::seconds(3599)).status, 200);
    assert_eq!(logs(&okta, &[("authorization", &bearer)], start() + TimeDelta::seconds(3600)).status, 401);
    okta.revoke_access_tokens();
    assert_eq!(logs(&okta, &[("authorization", &bearer)], start()).status, 401);
}

#[test]
fn all_the_algorithms_that_the_vendor_names_verify() {
    let (p256, p384) =
        (KeyPair::generate().unwrap(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap());
    let rsa_key = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let ec = |pair: &KeyPair| EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let cases = [
        (Algorithm::RS256, rsa_key.clone(), RSA_PUBLIC.to_owned()),
        (Algorithm::RS384, rsa_key.clone(), RSA_PUBLIC.to_owned()),
        (Algorithm::RS512, rsa_key.clone(), RSA_PUBLIC.to_owned()),
        (Algorithm::ES256, ec(&p256), p256.public_key_pem()),
        (Algorithm::ES256, ec(&p256), jwk(&p256).to_string()),
        (Algorithm::ES384, ec(&p384), p384.public_key_pem()),
    ];
    for (algorithm, key, public) in cases {
        let good = okta(vec![Client::with_key("0oa1", &public)]);
        let assertion = sign(algorithm, &key, &claims("a"), None);
        assert_eq!(token_call(&good, assertion_form(&assertion), &[], start()).status, 200, "{algorithm:?}");
        let other = okta(vec![Client::with_key("0oa1", &KeyPair::generate().unwrap().public_key_pem())]);
        let refused = refusal(&token_call(&other, assertion_form(&assertion), &[], start()));
        assert_eq!(
            (refused.0, refused.1.as_str()),
            (401, "invalid_client"),
            "{algorithm:?} with another's key"
        );
    }
    let symmetric =
        sign(Algorithm::HS256, &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()), &claims("a"), None);
    let okta = okta(vec![Client::with_key("0oa1", RSA_PUBLIC)]);
    assert_eq!(
        token_call(&okta, assertion_form(&symmetric), &[], start()).status,
        401,
        "the public key is no secret"
    );
}

#[test]
fn an_assertion_must_live_less_than_an_hour_by_the_servers_clock() {
    let okta = okta(vec![Client::with_key("0oa1", RSA_PUBLIC)]);
    let at = |ahead: i64, jti: &str| {
        let mut claims = claims(jti);
        claims["exp"] = json!(start().timestamp() + ahead);
        refusal(&token_call(&okta, assertion_form(&rsa(&claims)), &[], start()))
    };
    assert_eq!(at(3599, "a").0, 200);
    assert_eq!(
        at(3600, "b"),
        (401, "invalid_client".to_owned(), "expiration too far into the future".to_owned())
    );
    assert_eq!(at(3602, "c").0, 401);
    assert_eq!(at(0, "d").0, 401, "expired");
    let fast = Okta::new(OktaConfig {
        clients: vec![Client::with_key("0oa1", RSA_PUBLIC)],
        base_url: Some(BASE.to_owned()),
        clock_offset: TimeDelta::seconds(-90),
        ..OktaConfig::default()
    });
    let mut issued = claims("e");
    issued["iat"] = json!(start().timestamp());
    assert_eq!(
        token_call(&fast, assertion_form(&rsa(&issued)), &[], start()).status,
        401,
        "issued in its future"
    );
}

#[test]
fn an_assertions_id_is_good_for_one_call() {
    let okta = okta(vec![Client::with_key("0oa1", RSA_PUBLIC)]);
    let assertion = rsa(&claims("once"));
    assert_eq!(token_call(&okta, assertion_form(&assertion), &[], start()).status, 200);
    let again = refusal(&token_call(&okta, assertion_form(&assertion), &[], start()));
    assert_eq!((again.0, again.1.as_str()), (401, "invalid_client"));
    assert!(again.2.contains("jti"), "{}", again.2);
}

#[test]
fn claims_that_do_not_fit_are_refused() {
    let okta = okta(vec![Client::with_key("0oa1", RSA_PUBLIC)]);
    let now = start().timestamp();
    for (number, (name, value)) in [
        ("aud", json!(format!("{BASE}/oauth2/v1/token/"))),
        ("aud", json!(BASE)),
        ("iss", json!("someone")),
        ("sub", json!("someone")),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("iat", json!(now + 1)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = claims(&format!("{number}"));
        claims[name] = value.clone();
        let refused = refusal(&token_call(&okta, assertion_form(&rsa(&claims)), &[], start()));
        assert_eq!((refused.0, refused.1.as_str()), (401, "invalid_client"), "{name} = {value}");
    }
    let mut fine = claims("fine");
    fine["iat"] = json!(now);
    assert_eq!(token_call(&okta, assertion_form(&rsa(&fine)), &[], start()).status, 200);
}

#[test]
fn several_keys_need_a_kid() {
    let key = |kid: &str, key: &str| PublicKey { kid: Some(kid.to_owned()), key: key.to_owned() };
    let other = KeyPair::generate().unwrap();
    let mut client = Client::with_key("0oa1", RSA_PUBLIC);
    client.auth = ClientAuth::Keys(vec![key("old", &other.public_key_pem()), key("new", RSA_PUBLIC)]);
    let okta = okta(vec![client]);
    let signed = |kid, jti| {
        sign(Algorithm::RS256, &EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(), &claims(jti), kid)
    };
    assert_eq!(token_call(&okta, assertion_form(&signed(None, "a")), &[], start()).status, 401);
    assert_eq!(token_call(&okta, assertion_form(&signed(Some("old"), "b")), &[], start()).status, 401);
    assert_eq!(token_call(&okta, assertion_form(&signed(Some("new"), "c")), &[], start()).status, 200);
}

#[test]
fn a_client_secret_works_in_both_forms() {
    let okta =
        okta(vec![Client::with_secret("0oa2", "s3cret/example"), Client::with_key("0oa1", RSA_PUBLIC)]);
    let grant = [("grant_type", "client_credentials"), ("scope", "okta.logs.read")];
    let basic = |id: &str, secret: &str| {
        let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        token_call(&okta, form(&grant), &[("authorization", &value)], start()).status.as_u16()
    };
    assert_eq!(basic("0oa2", "s3cret/example"), 200);
    assert_eq!(basic("0oa2", "s3cret%2Fexample"), 200, "form-encoded as the RFC has it");
    assert_eq!(basic("0oa2", "wrong"), 401);
    assert_eq!(basic("0oa1", "s3cret/example"), 401, "a key client has no secret");
    let post = form(&[grant[0], grant[1], ("client_id", "0oa2"), ("client_secret", "s3cret/example")]);
    assert_eq!(token_call(&okta, post, &[], start()).status, 200);
    assert_eq!(token_call(&okta, form(&grant), &[], start()).status, 401);
}

#[test]
fn grants_scopes_and_roles() {
    let mut powerless = Client::with_secret("0oa3", "x");
    powerless.has_role = false;
    let okta = okta(vec![Client::with_secret("0oa2", "x"), powerless]);
    let call = |client: &str, grant: &str, scope: &str| {
        let body =
            form(&[("grant_type", grant), ("scope", scope), ("client_id", client), ("client_secret", "x")]);
        token_call(&okta, body, &[], start())
    };
    let error = |answer: Answer| (refusal(&answer).0, refusal(&answer).1);
    assert_eq!(error(call("0oa2", "password", "okta.logs.read")), (400, "unsupported_grant_type".to_owned()));
    assert_eq!(
        error(call("0oa2", "client_credentials", "okta.users.manage")),
        (400, "invalid_scope".to_owned())
    );
    assert_eq!(error(call("0oa2", "client_credentials", "")), (400, "invalid_scope".to_owned()));
    let token = body(&call("0oa3", "client_credentials", "okta.logs.read"));
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let answer = logs(&okta, &[("authorization", &bearer)], start());
    assert_eq!((answer.status.as_u16(), body(&answer)["errorCode"].as_str()), (403, Some("E0000006")));
    let json = Request::post("/oauth2/v1/token")
        .header("content-type", "application/json")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(okta.handle(&json, start()).status, 400);
}

fn jwk(pair: &KeyPair) -> Value {
    let point = pair.der_bytes();
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])})
}

/// A proof made by hand, so that each part can be wrong.
struct Proof {
    pair: KeyPair,
    head: Value,
    claims: Value,
}

impl Proof {
    fn new(method: &str, path: &str, jti: &str, now: DateTime<Utc>) -> Self {
        let pair = KeyPair::generate().unwrap();
        Self::of(pair, method, path, jti, now)
    }

    fn of(pair: KeyPair, method: &str, path: &str, jti: &str, now: DateTime<Utc>) -> Self {
        let head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(&pair)});
        let claims =
            json!({"htm": method, "htu": format!("{BASE}{path}"), "iat": now.timestamp(), "jti": jti});
        Self { pair, head, claims }
    }

    fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims[claim] = value;
        self
    }

    fn text(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&self.head), part(&self.claims));
        let key = EncodingKey::from_ec_pem(self.pair.serialize_pem().as_bytes()).unwrap();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }
}

fn clone_of(pair: &KeyPair) -> KeyPair {
    KeyPair::from_pem(&pair.serialize_pem()).unwrap()
}

fn dpop_client() -> Client {
    let mut client = Client::with_key("0oa1", RSA_PUBLIC);
    client.dpop_required = true;
    client
}

fn nonce(answer: &Answer) -> String {
    answer.headers["dpop-nonce"].to_str().unwrap().to_owned()
}

/// The whole dance; the bound token.
fn bound_token(okta: &Okta, pair: &KeyPair) -> String {
    let path = "/oauth2/v1/token";
    let proof = Proof::of(clone_of(pair), "POST", path, "p1", start()).text();
    let challenge = token_call(okta, assertion_form(&rsa(&claims("c1"))), &[("dpop", &proof)], start());
    let proof =
        Proof::of(clone_of(pair), "POST", path, "p2", start()).with("nonce", json!(nonce(&challenge))).text();
    let answer = token_call(okta, assertion_form(&rsa(&claims("c2"))), &[("dpop", &proof)], start());
    let token = body(&answer);
    assert_eq!(token["token_type"], "DPoP", "{token}");
    token["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn the_nonce_dance_needs_a_new_assertion_and_a_new_proof() {
    let okta = okta(vec![dpop_client()]);
    let path = "/oauth2/v1/token";
    let bare = refusal(&token_call(&okta, assertion_form(&rsa(&claims("a"))), &[], start()));
    assert_eq!((bare.0, bare.1.as_str()), (400, "invalid_dpop_proof"), "DPoP is required");
    let first = Proof::new("POST", path, "p1", start());
    let challenge =
        token_call(&okta, assertion_form(&rsa(&claims("b"))), &[("dpop", &first.text())], start());
    assert_eq!((refusal(&challenge).0, refusal(&challenge).1.as_str()), (400, "use_dpop_nonce"));
    let given = nonce(&challenge);
    let second = Proof::new("POST", path, "p2", start()).with("nonce", json!(given));
    let reused =
        refusal(&token_call(&okta, assertion_form(&rsa(&claims("b"))), &[("dpop", &second.text())], start()));
    assert_eq!(
        (reused.0, reused.1.as_str()),
        (401, "invalid_client"),
        "the refused call has used the jti up"
    );
    let repeated = first.with("nonce", json!(given));
    let repeated = refusal(&token_call(
        &okta,
        assertion_form(&rsa(&claims("c"))),
        &[("dpop", &repeated.text())],
        start(),
    ));
    assert_eq!((repeated.0, repeated.1.as_str()), (400, "invalid_dpop_proof"), "and the proof's as well");
    let answer = token_call(&okta, assertion_form(&rsa(&claims("d"))), &[("dpop", &second.text())], start());
    assert_eq!(body(&answer)["token_type"], "DPoP");
    assert_eq!(nonce(&answer), given);
}

#[test]
fn a_nonce_rotates_daily_and_is_taken_for_three_days_more() {
    let okta = okta(vec![dpop_client()]);
    let path = "/oauth2/v1/token";
    let call = |jti: &str, nonce: Option<&str>, now: DateTime<Utc>| {
        let proof = Proof::new("POST", path, jti, now);
        let proof = match nonce {
            Some(nonce) => proof.with("nonce", json!(nonce)),
            None => proof,
        };
        let mut claims = claims(jti);
        claims["exp"] = json!(now.timestamp() + 300);
        token_call(&okta, assertion_form(&rsa(&claims)), &[("dpop", &proof.text())], now)
    };
    let first = nonce(&call("a", None, start()));
    let fresh = call("b", Some(&first), start() + TimeDelta::days(3));
    assert_eq!(fresh.status, 200);
    assert_ne!(nonce(&fresh), first, "the answer brings the present one");
    assert_eq!(refusal(&call("c", Some(&first), start() + TimeDelta::days(4))).1, "use_dpop_nonce");
}

#[test]
fn a_bound_token_needs_a_matching_proof_at_the_resource() {
    let okta = okta(vec![dpop_client()]);
    let pair = KeyPair::generate().unwrap();
    let token = bound_token(&okta, &pair);
    let ath = json!(URL_SAFE_NO_PAD.encode(Sha256::digest(&token)));
    let scheme = format!("DPoP {token}");
    let proof =
        |jti: &str| Proof::of(clone_of(&pair), "GET", "/api/v1/logs", jti, start()).with("ath", ath.clone());
    let call = |proof: &Proof| logs(&okta, &[("authorization", &scheme), ("dpop", &proof.text())], start());
    assert_eq!(call(&proof("a")).status, 200);

    let challenge = |answer: &Answer| answer.headers["www-authenticate"].to_str().unwrap().to_owned();
    let replayed = call(&proof("a"));
    assert_eq!(replayed.status, 400);
    assert!(
        challenge(&replayed).starts_with("DPoP ")
            && challenge(&replayed).contains("error=\"invalid_dpop_proof\"")
    );
    let mut private = proof("b");
    private.head["jwk"]["d"] = json!("AAAA");
    let mut untyped = proof("c");
    untyped.head["typ"] = json!("JWT");
    let other_key = Proof::new("GET", "/api/v1/logs", "d", start()).with("ath", ath.clone());
    for (what, wrong) in [
        ("private members", private),
        ("typ", untyped),
        ("another key", other_key),
        ("htm", proof("e").with("htm", json!("POST"))),
        ("htu with a query", proof("f").with("htu", json!(format!("{BASE}/api/v1/logs?limit=1")))),
        ("iat", proof("g").with("iat", json!(start().timestamp() - 301))),
        ("ath", proof("h").with("ath", json!("AAAA"))),
        ("no jti", proof("i").with("jti", Value::Null)),
    ] {
        let answer = call(&wrong);
        assert_eq!(answer.status, 400, "{what}");
        assert!(challenge(&answer).contains("invalid_dpop_proof"), "{what}");
    }
    let mut forged = proof("j").text();
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(logs(&okta, &[("authorization", &scheme), ("dpop", &forged)], start()).status, 400);
    assert_eq!(call(&proof("k").with("iat", json!(start().timestamp() + 299))).status, 200);

    for headers in
        [vec![("authorization", scheme.as_str())], vec![("authorization", scheme.as_str()), ("x", "y")]]
    {
        let bare = logs(&okta, &headers, start());
        assert_eq!(bare.status, 401);
        assert!(challenge(&bare).contains("error=\"invalid_token\""));
    }
    let as_bearer = logs(&okta, &[("authorization", &format!("Bearer {token}"))], start());
    assert_eq!(as_bearer.status, 401);
}

#[test]
fn token_calls_are_counted_and_can_fail_by_script() {
    let okta = okta(vec![Client::with_secret("0oa2", "x")]);
    okta.push_fault(ScriptedFault::next("token", Fault::ServerError));
    let body = form(&[
        ("grant_type", "client_credentials"),
        ("scope", "okta.logs.read"),
        ("client_id", "0oa2"),
        ("client_secret", "x"),
    ]);
    assert_eq!(token_call(&okta, body.clone(), &[], start()).status, 500);
    assert_eq!(token_call(&okta, body, &[], start()).status, 200);
    let totals = okta.totals(start());
    assert_eq!((totals["token_calls"].as_u64(), totals["tokens_issued"].as_u64()), (Some(1), Some(1)));
}
