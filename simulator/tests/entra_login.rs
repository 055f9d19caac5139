//! The login service: what gets a token, and what does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod entra_support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::TimeDelta;
use entra_support::{
    BASE, BY_SECRET, aadsts, after, form, get, ids, json, next_link, post_token, problem, roomy, start, token,
};
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json as object};
use sha2::{Digest as _, Sha256};
use tidegate_simulator::entra::{
    AUDIT_LOG_READ, App, Credential, DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, Entra, EntraConfig,
    Federation, ManagedIdentity, RISK_READ, Tenant,
};
use tidegate_simulator::{Fault, ScriptedFault};

const SIGN_INS: &str = "/beta/auditLogs/signIns";
const KEY: &str = include_str!("keys/example_rsa.pem");
const PUBLIC: &str = include_str!("keys/example_rsa_public.pem");

#[test]
fn a_client_secret_gets_a_token_that_reads_logs() {
    let entra = Entra::new(roomy());
    let answer = post_token(&entra, DEFAULT_TENANT, &BY_SECRET, start());
    let body = json(&answer);
    assert_eq!(answer.status, 200);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3_599);
    assert!(body.get("refresh_token").is_none());
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(get(&entra, token, SIGN_INS, start()).status, 200);
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert!(payload["roles"].as_array().unwrap().contains(&object!(AUDIT_LOG_READ)));
}

#[test]
fn the_secret_may_come_as_basic_and_the_tenant_by_its_domain() {
    let mut tenant = Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP);
    tenant.domain = Some("example.onmicrosoft.com".to_owned());
    let entra = Entra::new(EntraConfig { tenants: vec![tenant], ..roomy() });
    let basic = STANDARD.encode(format!("{DEFAULT_APP}:{DEFAULT_SECRET}"));
    let request = Request::post("/example.onmicrosoft.com/oauth2/v2.0/token")
        .header("authorization", format!("Basic {basic}"))
        .body(form(&BY_SECRET[2..]))
        .unwrap();
    assert_eq!(entra.handle(&request, start()).status, 200);
}

#[test]
fn expires_in_is_text_where_the_switch_says_so() {
    let entra = Entra::new(EntraConfig { expires_in_as_text: true, ..roomy() });
    let body = json(&post_token(&entra, DEFAULT_TENANT, &BY_SECRET, start()));
    assert_eq!(body["expires_in"], "3599");
}

#[test]
fn the_scope_names_graph_by_its_own_host_or_the_one_called() {
    let entra = Entra::new(roomy());
    let with = |scope: &'static str| {
        let mut pairs = BY_SECRET;
        pairs[3].1 = scope;
        aadsts(&post_token(&entra, DEFAULT_TENANT, &pairs, start()))
    };
    assert_eq!(with("https://graph.example.com/.default").0, 200);
    assert_eq!(with("https://graph.microsoft.com/AuditLog.Read.All"), (400, 70_011));
    assert_eq!(with("https://graph.microsoft.us/.default"), (400, 70_011));
    assert_eq!(with(""), (400, 70_011));
}

#[test]
fn each_refusal_has_its_number() {
    let apps = vec![App {
        id: DEFAULT_APP.to_owned(),
        credentials: vec![
            Credential::Secret { value: "old".to_owned(), id: None, expires: Some(after(-60)) },
            Credential::Secret { value: "new".to_owned(), id: Some("id-of-it".to_owned()), expires: None },
        ],
    }];
    let mut blocking = Tenant::new("22222222-0000-4000-8000-000000000002").grant(DEFAULT_APP);
    blocking.blocked = vec![DEFAULT_APP.to_owned()];
    let tenants = vec![
        Tenant::new(DEFAULT_TENANT).grant(DEFAULT_APP),
        Tenant::new("22222222-0000-4000-8000-000000000001"),
        blocking,
    ];
    let entra = Entra::new(EntraConfig { apps, tenants, ..roomy() });
    let ask = |tenant: &str, id: &str, secret: &str, grant: &str| {
        let pairs = [
            ("client_id", id),
            ("client_secret", secret),
            ("grant_type", grant),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        aadsts(&post_token(&entra, tenant, &pairs, start()))
    };
    let grant = "client_credentials";
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "new", grant).0, 200);
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "wrong", grant), (401, 7_000_215));
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "id-of-it", grant), (401, 7_000_215));
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "old", grant), (401, 7_000_222));
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "", grant), (401, 7_000_216));
    assert_eq!(ask(DEFAULT_TENANT, "", "new", grant), (400, 900_144));
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "new", ""), (400, 900_144));
    assert_eq!(ask(DEFAULT_TENANT, DEFAULT_APP, "new", "password"), (400, 70_003));
    assert_eq!(ask(DEFAULT_TENANT, "unheard-of", "new", grant), (400, 700_016));
    assert_eq!(ask("22222222-0000-4000-8000-000000000001", DEFAULT_APP, "new", grant), (400, 700_016));
    assert_eq!(ask("22222222-0000-4000-8000-000000000002", DEFAULT_APP, "new", grant), (400, 53_003));
    assert_eq!(ask("22222222-0000-4000-8000-000000000009", DEFAULT_APP, "new", grant), (400, 90_002));
    assert_eq!(ask("common", DEFAULT_APP, "new", grant), (400, 50_059));
    let request = Request::get(format!("/{DEFAULT_TENANT}/oauth2/v2.0/token")).body(Bytes::new()).unwrap();
    assert_eq!(aadsts(&entra.handle(&request, start())), (400, 900_561));
}

#[test]
fn an_error_of_the_token_endpoint_has_the_vendors_members_and_no_secret() {
    let entra = Entra::new(roomy());
    let mut pairs = BY_SECRET;
    pairs[1].1 = "not-the-secret";
    let request = Request::post(format!("/{DEFAULT_TENANT}/oauth2/v2.0/token"))
        .header("client-request-id", "11111111-2222-4333-8444-555555555555")
        .body(form(&pairs))
        .unwrap();
    let answer = entra.handle(&request, start());
    let body = json(&answer);
    assert_eq!(body["error"], "invalid_client");
    assert_eq!(body["error_codes"], object!([7_000_215]));
    assert_eq!(body["timestamp"], "2026-01-15 10:00:00Z");
    assert_eq!(body["correlation_id"], "11111111-2222-4333-8444-555555555555");
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS7000215: "));
    assert!(body["trace_id"].is_string() && body["error_uri"].is_string());
    assert!(!body.to_string().contains("not-the-secret"));
}

/// A certificate (PEM) of the test key.
fn certificate() -> String {
    let key = rcgen::KeyPair::from_pem_and_sign_algo(KEY, &rcgen::PKCS_RSA_SHA256).unwrap();
    rcgen::CertificateParams::new(vec!["tidegate.example.com".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem()
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn sha256_print(pem: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(der(pem)))
}

fn claims() -> Value {
    object!({
        "aud": format!("{BASE}/{DEFAULT_TENANT}/oauth2/v2.0/token"),
        "iss": DEFAULT_APP,
        "sub": DEFAULT_APP,
        "jti": "assertion-1",
        "nbf": start().timestamp(),
        "iat": start().timestamp(),
        "exp": after(600).timestamp(),
    })
}

fn signed(header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_rsa_pem(KEY.as_bytes()).unwrap()).unwrap()
}

fn post_assertion(entra: &Entra, assertion: &str) -> (u16, u64) {
    let pairs = [
        ("client_id", DEFAULT_APP),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    aadsts(&post_token(entra, DEFAULT_TENANT, &pairs, start()))
}

fn with_credential(credential: Credential) -> Entra {
    Entra::new(EntraConfig { apps: vec![App::new(DEFAULT_APP, credential)], ..roomy() })
}

#[test]
fn an_assertion_signed_with_the_registered_certificate_is_accepted_once() {
    let pem = certificate();
    let entra = with_credential(Credential::Certificate(pem.clone()));
    let header = Header { x5t_s256: Some(sha256_print(&pem)), ..Header::new(Algorithm::PS256) };
    let assertion = signed(&header, &claims());
    assert_eq!(post_assertion(&entra, &assertion).0, 200);
    assert_eq!(post_assertion(&entra, &assertion), (401, 50_013), "its jti is used up");

    // The vendor's client for Python leaves the padding in, and signs it.
    let text = |value: &Value| URL_SAFE.encode(value.to_string());
    let mut padded = claims();
    padded["jti"] = object!("assertion-0");
    let print = format!("{}=", sha256_print(&pem));
    let message =
        format!("{}.{}", text(&object!({"typ": "JWT", "alg": "PS256", "x5t#S256": print})), text(&padded));
    let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::PS256).unwrap();
    assert!(message.contains('='));
    assert_eq!(post_assertion(&entra, &format!("{message}.{signature}==")).0, 200);

    // Older libraries: RS256, and the SHA-1 of the certificate.
    let sha1 = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &der(&pem));
    let header = Header { x5t: Some(URL_SAFE_NO_PAD.encode(sha1)), ..Header::new(Algorithm::RS256) };
    let mut older = claims();
    older["jti"] = object!("assertion-2");
    assert_eq!(post_assertion(&entra, &signed(&header, &older)).0, 200);
}

#[test]
fn every_claim_and_the_signature_of_an_assertion_are_verified() {
    let pem = certificate();
    let print = sha256_print(&pem);
    let header = Header { x5t_s256: Some(print.clone()), ..Header::new(Algorithm::PS256) };
    let refused = |header: &Header, change: &dyn Fn(&mut Value)| {
        let entra = with_credential(Credential::Certificate(pem.clone()));
        let mut claims = claims();
        change(&mut claims);
        post_assertion(&entra, &signed(header, &claims))
    };
    let keep = |_: &mut Value| {};
    assert_eq!(refused(&header, &keep).0, 200, "unchanged it is fine");
    assert_eq!(refused(&header, &|c| c["aud"] = object!("https://login.example.com")), (401, 700_023));
    assert_eq!(refused(&header, &|c| c["sub"] = object!("somebody")), (401, 700_021));
    assert_eq!(refused(&header, &|c| c["iss"] = object!("somebody")), (401, 700_021));
    assert_eq!(refused(&header, &|c| c["exp"] = object!(after(1_801).timestamp())), (401, 700_024));
    assert_eq!(refused(&header, &|c| c["exp"] = object!(after(-301).timestamp())), (401, 700_024));
    assert_eq!(refused(&header, &|c| c["nbf"] = object!(after(301).timestamp())), (401, 700_024));
    assert_eq!(refused(&header, &|c| c["exp"] = object!("soon")), (401, 700_024));
    assert_eq!(refused(&header, &|c| c["jti"] = object!("")), (401, 50_013));
    let unnamed = Header::new(Algorithm::PS256);
    assert_eq!(refused(&unnamed, &keep), (401, 700_027), "no thumbprint");
    let other = Header { x5t_s256: Some("AAAA".to_owned()), ..Header::new(Algorithm::PS256) };
    assert_eq!(refused(&other, &keep), (401, 700_027), "an unknown certificate");
    let weak = Header { x5t_s256: Some(print), ..Header::new(Algorithm::RS384) };
    assert_eq!(refused(&weak, &keep), (401, 700_027), "an algorithm that is not taken");

    let entra = with_credential(Credential::Certificate(pem.clone()));
    let assertion = signed(&header, &claims());
    let mut forged = claims();
    forged["jti"] = object!("another");
    let (head, rest) = assertion.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let forged = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(forged.to_string()));
    assert_eq!(post_assertion(&entra, &forged), (401, 700_027), "a signature of something else");
    assert_eq!(post_assertion(&entra, "no.jwt"), (400, 50_027));
}

#[test]
fn the_token_of_a_registered_issuer_is_accepted_again_and_again() {
    let federation = Federation {
        issuer: "https://tokens.example.com".to_owned(),
        subject: "system:serviceaccount:tidegate:Collector".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        keys: [("k1".to_owned(), PUBLIC.to_owned())].into(),
    };
    let entra = with_credential(Credential::Federated(federation));
    let good = object!({
        "iss": "https://tokens.example.com",
        "sub": "system:serviceaccount:tidegate:Collector",
        "aud": ["api://AzureADTokenExchange"],
        "exp": after(3_600).timestamp(),
    });
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::RS256) };
    let ask = |header: &Header, name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        post_assertion(&entra, &signed(header, &claims))
    };
    for _ in 0..2 {
        assert_eq!(ask(&header, "x", Value::Null).0, 200);
    }
    assert_eq!(ask(&header, "iss", object!("https://other.example.com")), (401, 70_021));
    let lower = object!("system:serviceaccount:tidegate:collector");
    assert_eq!(ask(&header, "sub", lower), (401, 70_021), "case matters");
    assert_eq!(ask(&header, "aud", object!("api://other")), (401, 70_021));
    assert_eq!(ask(&header, "exp", object!(after(-1).timestamp())), (401, 700_024));
    let unknown = Header { kid: Some("k2".to_owned()), ..Header::new(Algorithm::RS256) };
    assert_eq!(ask(&unknown, "x", Value::Null), (401, 700_027));
}

#[test]
fn discovery_leads_to_the_token_endpoint() {
    let entra = Entra::new(roomy());
    let ask = |path: &str| {
        let answer = entra.handle(&Request::get(path).body(Bytes::new()).unwrap(), start());
        (answer.status.as_u16(), json(&answer))
    };
    let (status, document) = ask(&format!("/{DEFAULT_TENANT}/v2.0/.well-known/openid-configuration"));
    assert_eq!(status, 200);
    assert_eq!(document["token_endpoint"], format!("{BASE}/{DEFAULT_TENANT}/oauth2/v2.0/token"));
    assert_eq!(document["issuer"], format!("{BASE}/{DEFAULT_TENANT}/v2.0"));
    let (status, document) = ask("/common/discovery/instance?api-version=1.1&authorization_endpoint=x");
    assert_eq!(status, 200);
    assert!(document["tenant_discovery_endpoint"].as_str().unwrap().starts_with(BASE));
    assert_eq!(document["metadata"][0]["preferred_network"], "graph.example.com");
    assert_eq!(ask("/unheard-of/v2.0/.well-known/openid-configuration").0, 400);
}

#[test]
fn a_managed_identity_is_asked_on_the_machine() {
    let identity = ManagedIdentity {
        tenant: DEFAULT_TENANT.to_owned(),
        client_id: DEFAULT_APP.to_owned(),
        user_assigned: false,
        identity_header: "simulated-header".to_owned(),
    };
    let entra = Entra::new(EntraConfig { managed_identity: Some(identity.clone()), ..roomy() });
    let ask = |entra: &Entra, path: &str, header: (&str, &str)| {
        let request = Request::get(path).header(header.0, header.1).body(Bytes::new()).unwrap();
        entra.handle(&request, start())
    };
    let imds = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com";
    let answer = ask(&entra, imds, ("metadata", "true"));
    let body = json(&answer);
    assert_eq!(body["expires_in"], "3599", "text: {body}");
    assert_eq!(get(&entra, body["access_token"].as_str().unwrap(), SIGN_INS, start()).status, 200);
    assert_eq!(ask(&entra, imds, ("accept", "*/*")).status, 400, "without its header");
    let old = imds.replace("2018-02-01", "2017-09-01");
    assert_eq!(ask(&entra, &old, ("metadata", "true")).status, 400);
    let other = imds.replace("graph", "vault");
    assert_eq!(ask(&entra, &other, ("metadata", "true")).status, 400);

    let service = "/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com";
    let body = json(&ask(&entra, service, ("x-identity-header", "simulated-header")));
    assert_eq!(body["expires_on"], after(3_599).timestamp().to_string());
    assert!(body.get("expires_in").is_none());
    assert_eq!(ask(&entra, service, ("x-identity-header", "guess")).status, 400);

    let assigned = ManagedIdentity { user_assigned: true, ..identity };
    let entra = Entra::new(EntraConfig { managed_identity: Some(assigned), ..roomy() });
    assert_eq!(ask(&entra, imds, ("metadata", "true")).status, 400, "it must be named");
    let named = format!("{imds}&client_id={DEFAULT_APP}");
    assert_eq!(ask(&entra, &named, ("metadata", "true")).status, 200);
}

#[test]
fn a_token_is_needed_and_ends() {
    let entra = Entra::new(roomy());
    let bare = Request::get(SIGN_INS).body(Bytes::new()).unwrap();
    let answer = entra.handle(&bare, start());
    assert_eq!(problem(&answer).1, "InvalidAuthenticationToken");
    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    assert_eq!(get(&entra, "eyJ.made.up", SIGN_INS, start()).status, 401);
    let token = token(&entra, start());
    assert_eq!(get(&entra, &token, SIGN_INS, after(3_598)).status, 200);
    assert_eq!(get(&entra, &token, SIGN_INS, after(3_599)).status, 401);
}

#[test]
fn tokens_can_die_in_the_middle_of_a_walk_and_the_link_lives_on() {
    let config = EntraConfig {
        generate: vec![tidegate_simulator::entra::Generate::new(
            "sign_ins",
            1,
            30,
            after(-7_200),
            TimeDelta::minutes(1),
        )],
        ..roomy()
    };
    let entra = Entra::new(config);
    let first = token(&entra, start());
    let page = get(&entra, &first, &format!("{SIGN_INS}?$top=20"), start());
    let next = next_link(&page).unwrap();
    entra.expire_tokens(start());
    assert_eq!(get(&entra, &first, &next, start()).status, 401);
    let second = token(&entra, start());
    assert_eq!(ids(&page).len() + ids(&get(&entra, &second, &next, start())).len(), 30);
}

#[test]
fn roles_are_those_of_the_moment_the_token_was_issued() {
    let entra = Entra::new(roomy());
    let before = token(&entra, start());
    assert!(entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[RISK_READ]));
    assert_eq!(get(&entra, &before, SIGN_INS, start()).status, 200, "the old token still has it");
    let since = token(&entra, start());
    assert_eq!(problem(&get(&entra, &since, SIGN_INS, start())).1, "Authentication_MSGraphPermissionMissing");
    assert_eq!(get(&entra, &since, "/v1.0/identityProtection/riskDetections", start()).status, 200);
    assert!(entra.remove_app(DEFAULT_TENANT, DEFAULT_APP));
    assert_eq!(aadsts(&post_token(&entra, DEFAULT_TENANT, &BY_SECRET, start())), (400, 700_016));
}

fn token_with_claims(entra: &Entra, claims: &str) -> String {
    let pairs: Vec<(&str, &str)> = BY_SECRET.iter().copied().chain([("claims", claims)]).collect();
    json(&post_token(entra, DEFAULT_TENANT, &pairs, start()))["access_token"].as_str().unwrap().to_owned()
}

/// The `claims` of a challenge, as text.
fn challenge(answer: &tidegate_simulator::Answer) -> String {
    let header = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(header.contains("insufficient_claims"), "{header}");
    let (_, claims) = header.split_once("claims=\"").unwrap();
    String::from_utf8(STANDARD.decode(claims.split('"').next().unwrap()).unwrap()).unwrap()
}

#[test]
fn revoked_sessions_challenge_who_announced_that_he_can_answer() {
    let entra = Entra::new(roomy());
    let capable = object!({"access_token": {"xms_cc": {"values": ["CP1"]}}});
    let announced = token_with_claims(&entra, &capable.to_string());
    let plain = token(&entra, start());
    entra.revoke_sessions(DEFAULT_TENANT, start());
    assert_eq!(get(&entra, &plain, SIGN_INS, start()).status, 200);
    let answer = get(&entra, &announced, SIGN_INS, start());
    assert_eq!(answer.status, 401);
    let asked: Value = serde_json::from_str(&challenge(&answer)).unwrap();
    assert_eq!(asked["access_token"]["nbf"]["value"], start().timestamp().to_string());
    let again = token_with_claims(&entra, &capable.to_string());
    assert_eq!(get(&entra, &again, SIGN_INS, start()).status, 401, "a new token alone is no answer");
    let mut answered = asked;
    answered["access_token"]["xms_cc"] = capable["access_token"]["xms_cc"].clone();
    let renewed = token_with_claims(&entra, &answered.to_string());
    assert_eq!(get(&entra, &renewed, SIGN_INS, start()).status, 200);
}

#[test]
fn a_scripted_challenge_kills_the_token_it_met() {
    let entra = Entra::new(roomy());
    let token = token(&entra, start());
    entra.push_fault(ScriptedFault::next("signIns", Fault::ClaimsChallenge));
    let claims = challenge(&get(&entra, &token, SIGN_INS, start()));
    assert_eq!(get(&entra, &token, SIGN_INS, start()).status, 401);
    let renewed = token_with_claims(&entra, &claims);
    assert_eq!(get(&entra, &renewed, SIGN_INS, start()).status, 200);
}

#[test]
fn faults_of_the_token_endpoint_have_its_own_form() {
    let entra = Entra::new(roomy());
    let token = |fault| {
        entra.push_fault(ScriptedFault::next("token", fault));
        aadsts(&post_token(&entra, DEFAULT_TENANT, &BY_SECRET, start()))
    };
    assert_eq!(token(Fault::Unavailable), (503, 90_033));
    assert_eq!(token(Fault::ServerError), (500, 90_025));
    assert_eq!(token(Fault::Unauthorized), (401, 7_000_215));
    let slow = Fault::RateLimited { reset_s: 0, retry_after_s: Some(7), duplicate_reset: false };
    assert_eq!(token(slow), (429, 90_055));
}

#[test]
fn no_secret_and_no_token_is_in_the_debug_text_or_the_log() {
    let entra = Entra::new(roomy());
    let token = token(&entra, start());
    get(&entra, &token, SIGN_INS, start());
    let text = format!("{entra:?} {:?} {}", entra.requests(), entra.totals(start()));
    assert!(!text.contains(DEFAULT_SECRET) && !text.contains(&token));
}
