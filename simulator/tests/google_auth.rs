//! The token endpoint with real signatures, and what the APIs make of its tokens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod google_support;

use bytes::Bytes;
use chrono::TimeDelta;
use google_support::{
    ACCOUNT, RSA, access_token, activities, body, claims, code, customer, get, page, plan, refusal, sign,
    start, text, token_call,
};
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidegate_simulator::google::{
    ALERTS_SCOPE, AdminState, Api, Google, GoogleConfig, REPORTS_SCOPE, ServiceAccount,
};
use tidegate_simulator::{Answer, Fault, ScriptedFault};

fn google() -> Google {
    Google::new(customer(vec![plan("login", 300)]))
}

/// Status, error and description of the token endpoint.
fn refused(answer: &Answer) -> (u16, String, String) {
    let body = body(answer);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("error"), text("error_description"))
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims(start());
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn ask(google: &Google, claims: &Value) -> (u16, String, String) {
    refused(&token_call(google, &sign(claims, Some("example-key")), start()))
}

#[test]
fn a_signed_assertion_gives_a_token_that_reads_both_apis_until_it_expires() {
    let google = google();
    let answer = token_call(&google, &sign(&claims(start()), Some("example-key")), start());
    let given = body(&answer);
    assert_eq!((given["token_type"].as_str(), given["expires_in"].as_i64()), (Some("Bearer"), Some(3_599)));
    assert!(given.get("refresh_token").is_none());
    let token = given["access_token"].as_str().unwrap();
    let until = start() + TimeDelta::seconds(3_599);
    for uri in [activities("login", "maxResults=1"), "/v1beta1/alerts".to_owned()] {
        assert_eq!(get(&google, token, &uri, until - TimeDelta::seconds(1)).status, 200);
        let (status, reason, front, _) = refusal(&get(&google, token, &uri, until));
        assert_eq!((status, reason.as_str(), front.as_deref()), (401, "authError", Some("UNAUTHENTICATED")));
    }
    assert_eq!(get(&google, "made-up", &activities("login", ""), start()).status, 401);
    let nothing = Request::get(activities("login", "")).body(Bytes::new()).unwrap();
    assert_eq!(code(&google.handle(&nothing, start())), (401, "required".to_owned()));
}

#[test]
fn expires_in_is_text_by_switch() {
    let google = Google::new(GoogleConfig { expires_in_as_text: true, ..customer(vec![]) });
    let given = body(&token_call(&google, &sign(&claims(start()), Some("example-key")), start()));
    assert_eq!(given["expires_in"].as_str(), Some("3599"));
}

#[test]
fn the_audience_is_googles_own_address_or_the_endpoint_that_was_called() {
    for (audience, accepted) in [
        ("https://oauth2.googleapis.com/token", true),
        ("https://google.example.com/token", true),
        ("https://google.example.com/token/", false),
        ("https://google.example.com", false),
        ("https://other.example.com/token", false),
    ] {
        let (status, error, why) = ask(&google(), &with("aud", json!(audience)));
        if accepted {
            assert_eq!(status, 200, "{audience}");
        } else {
            assert_eq!((status, error.as_str()), (400, "invalid_grant"), "{audience}");
            assert!(why.contains("audience"), "{why}");
        }
    }
}

#[test]
fn claims_that_do_not_fit_are_refused_each_in_its_own_words() {
    let now = start().timestamp();
    let cases = [
        (
            "iss",
            json!("other@example-project.iam.gserviceaccount.com"),
            400,
            "invalid_grant",
            "account not found",
        ),
        ("iss", Value::Null, 400, "invalid_grant", "Invalid JWT"),
        ("aud", Value::Null, 400, "invalid_grant", "audience"),
        ("scope", Value::Null, 400, "invalid_scope", "scope"),
        ("scope", json!(" "), 400, "invalid_scope", "scope"),
        (
            "scope",
            json!("https://www.googleapis.com/auth/drive"),
            401,
            "unauthorized_client",
            "not authorized for any",
        ),
        ("sub", json!("admin"), 400, "invalid_request", "Invalid impersonation prn email address"),
        ("sub", json!(""), 400, "invalid_request", "Invalid impersonation prn email address"),
        ("sub", json!("admin@example"), 400, "invalid_grant", "Not a valid email"),
        ("sub", json!("nobody@example.com"), 400, "invalid_grant", "Invalid email or User ID"),
        ("exp", json!(now + 3_601), 400, "invalid_grant", "short-lived token"),
        ("exp", json!("soon"), 400, "invalid_grant", "short-lived token"),
        ("exp", Value::Null, 400, "invalid_grant", "short-lived token"),
        ("iat", Value::Null, 400, "invalid_grant", "short-lived token"),
    ];
    for (name, value, status, error, words) in cases {
        let answer = ask(&google(), &with(name, value.clone()));
        assert_eq!((answer.0, answer.1.as_str()), (status, error), "{name} = {value}");
        assert!(answer.2.contains(words), "{name} = {value}: {}", answer.2);
    }
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let google = google();
    for (issued, life, accepted) in [
        (0, 3_600, true),
        (300, 3_600, true),
        (301, 3_600, false),
        (-3_900, 3_600, true),
        (-3_901, 3_600, false),
        (0, -1, false),
    ] {
        let mut claims = claims(start());
        let issued = start().timestamp() + issued;
        claims["iat"] = json!(issued);
        claims["exp"] = json!(issued + life);
        assert_eq!(ask(&google, &claims).0 == 200, accepted, "{claims}");
    }
    let ahead = Google::new(GoogleConfig { clock_offset: TimeDelta::hours(2), ..customer(vec![]) });
    assert!(ask(&ahead, &claims(start())).2.contains("short-lived"), "judged by the server's clock");
}

#[test]
fn the_signature_must_come_from_the_key_that_is_named() {
    let google = google();
    let call = |jwt: &str| refused(&token_call(&google, jwt, start()));
    assert_eq!(call(&sign(&claims(start()), None)).0, 200, "an assertion need not name its key");
    let unknown = call(&sign(&claims(start()), Some("deleted-key")));
    assert_eq!((unknown.0, unknown.1.as_str()), (400, "invalid_grant"));
    assert!(unknown.2.contains("Invalid JWT Signature"));
    let good = sign(&claims(start()), Some("example-key"));
    let forged = sign(&with("sub", json!("root@example.com")), Some("example-key"));
    let mixed = format!("{}.{}", forged.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
    assert!(call(&mixed).2.contains("Invalid JWT Signature"));
    let key = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let longer = jsonwebtoken::encode(&Header::new(Algorithm::RS512), &claims(start()), &key).unwrap();
    assert!(call(&longer).2.contains("Invalid JWT Signature"), "RS256 only");
    let symmetric = EncodingKey::from_secret(include_bytes!("keys/example_rsa_public.pem"));
    let symmetric =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(start()), &symmetric).unwrap();
    assert_eq!(call(&symmetric).0, 400, "the public key is no secret");
    assert_eq!(call("not.a.token").1, "invalid_grant");
}

#[test]
fn a_deleted_key_and_a_deleted_account_are_told_apart() {
    let google = google();
    google.set_service_account(ServiceAccount { keys: Vec::new(), ..ServiceAccount::example() });
    assert!(ask(&google, &claims(start())).2.contains("No valid verifier found for issuer"));
    google.delete_service_account(ACCOUNT);
    assert!(ask(&google, &claims(start())).2.contains("account not found"));
}

#[test]
fn delegation_is_by_scope_and_takes_time_to_propagate() {
    let google = google();
    let only = |scope: &str| with("scope", json!(scope));
    google.set_service_account(ServiceAccount {
        delegated: vec![REPORTS_SCOPE.to_owned()],
        delegated_from: Some(start() + TimeDelta::hours(1)),
        ..ServiceAccount::example()
    });
    let early = ask(&google, &only(REPORTS_SCOPE));
    assert_eq!((early.0, early.1.as_str()), (401, "unauthorized_client"));
    google.advance(TimeDelta::hours(1));
    let later = |scope: &str| {
        let mut claims = only(scope);
        claims["iat"] = json!(start().timestamp() + 3_600);
        claims["exp"] = json!(start().timestamp() + 7_200);
        ask(&google, &claims).0
    };
    assert_eq!(later(REPORTS_SCOPE), 200);
    assert_eq!(later(ALERTS_SCOPE), 401);
    assert_eq!(later(&format!("{REPORTS_SCOPE} {ALERTS_SCOPE}")), 401, "one missing scope spoils all");
    google.set_service_account(ServiceAccount { denied: true, ..ServiceAccount::example() });
    let mut claims = only(REPORTS_SCOPE);
    claims["exp"] = json!(start().timestamp() + 3_600);
    assert_eq!(ask(&google, &claims).1, "access_denied");
}

#[test]
fn a_missing_privilege_is_a_401_that_a_new_token_does_not_cure() {
    let google = google();
    let uri = activities("login", "");
    let old = access_token(&google, start());
    google.set_admin("Admin@example.com", AdminState::NoPrivilege);
    for token in [old, access_token(&google, start())] {
        let (status, reason, front, message) = refusal(&get(&google, &token, &uri, start()));
        assert_eq!((status, reason.as_str(), front), (401, "authError", None), "no UNAUTHENTICATED");
        assert!(message.starts_with("Access denied. You are not authorized to read activity records"));
    }
    google.set_admin("admin@example.com", AdminState::NotAdmin);
    let token = access_token(&google, start());
    let (status, reason, _, message) = refusal(&get(&google, &token, &uri, start()));
    assert_eq!((status, reason.as_str()), (403, "forbidden"));
    assert_eq!(message, "Not Authorized to access this resource/api");
    google.set_admin("admin@example.com", AdminState::Suspended);
    assert_eq!(get(&google, &token, &uri, start()).status, 401);
    assert!(ask(&google, &claims(start())).2.contains("Invalid email or User ID"));
}

#[test]
fn without_a_licence_answers_are_empty_and_nothing_says_why() {
    let google = google();
    let now = start() + TimeDelta::hours(3);
    let token = access_token(&google, now);
    let uri = activities("login", &format!("startTime={}", text(start())));
    assert!(!page(&get(&google, &token, &uri, now), "items").0.is_empty());
    google.set_admin("admin@example.com", AdminState::Unlicensed);
    assert_eq!(page(&get(&google, &token, &uri, now), "items"), (Vec::new(), None));
}

#[test]
fn an_account_that_impersonates_nobody_is_nobody() {
    let google = google();
    let answer = token_call(&google, &sign(&with("sub", Value::Null), Some("example-key")), start());
    let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(code(&get(&google, &token, &activities("login", ""), start())), (403, "forbidden".to_owned()));
}

#[test]
fn a_token_is_good_for_its_scopes_only() {
    let google = google();
    let answer =
        token_call(&google, &sign(&with("scope", json!(ALERTS_SCOPE)), Some("example-key")), start());
    let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&google, &token, "/v1beta1/alerts", start()).status, 200);
    let refused = code(&get(&google, &token, &activities("login", ""), start()));
    assert_eq!(refused, (403, "insufficientPermissions".to_owned()));
}

#[test]
fn a_token_that_dies_in_mid_walk_leaves_the_page_token_good() {
    let google = google();
    let now = start() + TimeDelta::hours(3);
    let first = access_token(&google, now);
    let uri = activities("login", &format!("startTime={}&maxResults=50", text(start())));
    let (_, next) = page(&get(&google, &first, &uri, now), "items");
    let second = format!("{uri}&pageToken={}", next.unwrap());
    google.push_fault(ScriptedFault::next("activity", Fault::TokensExpire));
    assert_eq!(code(&get(&google, &first, &second, now)), (401, "authError".to_owned()));
    assert_eq!(get(&google, &first, &second, now).status, 401, "it stays dead");
    let renewed = access_token(&google, now);
    assert_eq!(page(&get(&google, &renewed, &second, now), "items").0.len(), 50);
}

#[test]
fn an_api_that_is_not_enabled_names_the_project() {
    let google = google();
    let token = access_token(&google, start());
    google.enable(Api::Reports, false);
    let (status, reason, _, message) = refusal(&get(&google, &token, &activities("login", ""), start()));
    assert_eq!((status, reason.as_str()), (403, "accessNotConfigured"));
    assert!(message.contains("100000000001"), "{message}");
    assert_eq!(get(&google, &token, "/v1beta1/alerts", start()).status, 200, "the other one is enabled");
    google.enable(Api::Reports, true);
    google.enable(Api::Alerts, false);
    assert_eq!(get(&google, &token, &activities("login", ""), start()).status, 200);
    assert_eq!(code(&get(&google, &token, "/v1beta1/alerts", start())).1, "accessNotConfigured");
}

#[test]
fn the_token_endpoint_fails_in_its_own_form() {
    let google = google();
    for (fault, status, error) in [
        (Fault::ServerError, 500, "internal_failure"),
        (Fault::Unavailable, 503, "temporarily_unavailable"),
        (Fault::Refused { status: 500, reason: "server_error".to_owned() }, 500, "server_error"),
        (
            Fault::RateLimited { reset_s: 0, retry_after_s: Some(7), duplicate_reset: false },
            429,
            "rate_limit_exceeded",
        ),
    ] {
        google.push_fault(ScriptedFault::next("token", fault));
        let answer = ask(&google, &claims(start()));
        assert_eq!((answer.0, answer.1.as_str()), (status, error));
    }
    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer", "invalid_request"),
    ] {
        let request = Request::post("/token").body(Bytes::from(form)).unwrap();
        assert_eq!(refused(&google.handle(&request, start())).1, error, "{form}");
    }
    assert_eq!(google.handle(&Request::get("/token").body(Bytes::new()).unwrap(), start()).status, 405);
}

#[test]
fn credentials_change_over_the_control_api_and_never_show_in_the_log() {
    let google = google();
    let token = access_token(&google, start());
    let order = json!({
        "admins": [{"email": "second@example.com", "state": "no_privilege"}],
        "expire_tokens": true,
        "alerts_enabled": false,
    });
    let request = Request::post("/_sim/credentials").body(Bytes::from(order.to_string())).unwrap();
    assert_eq!(google.handle(&request, start()).status, 200);
    assert_eq!(get(&google, &token, &activities("login", ""), start()).status, 401);
    let answer =
        token_call(&google, &sign(&with("sub", json!("second@example.com")), Some("example-key")), start());
    let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(code(&get(&google, &token, &activities("login", ""), start())).1, "authError");
    let log = format!("{:?}", google.requests());
    assert!(!log.contains(&token) && log.contains("Bearer"), "{log}");
    assert_eq!(google.totals(start())["tokens_issued"], json!(2));
}
