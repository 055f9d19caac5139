//! Key files, assertions, access tokens.

use super::*;
use tidegate_core::http::HttpSettings;
use tidegate_core::testkit::script::Script;

async fn poll(source: &Arc<dyn Source>, script: &Script, name: &str) -> Result<Page, PollError> {
    script.push(activities(&[], None));
    source.poll(stream(name), &hour(None)).await
}

/// What a first poll says when the token endpoint answers so.
async fn refused(reply: Reply) -> PollError {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    google.lock().unwrap().replies.push(reply);
    poll(&key.open(script.client(), json!({})), &script, "login").await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_assertion_says_who_acts_as_whom_and_for_what() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    poll(&key.open(script.client(), json!({})), &script, "login").await.unwrap();
    let google = google.lock().unwrap();
    let iat = script.clock().now().timestamp();
    let wants = json!({
        "iss": ACCOUNT, "sub": SUBJECT, "scope": REPORTS, "aud": "https://oauth2.googleapis.com/token",
        "iat": iat, "exp": iat + 3600, "kid": "k-2026-01",
    });
    assert_eq!(google.asked, [wants]);
    assert_eq!(google.urls, ["https://oauth2.googleapis.com/token"]);
}

#[tokio::test(start_paused = true)]
async fn an_overriding_address_is_asked_and_google_is_still_the_audience() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    let more = json!({ "token_url": "http://127.0.0.1:9000/oauth/token" });
    poll(&key.open(script.client(), more), &script, "login").await.unwrap();
    assert_eq!(google.lock().unwrap().urls, ["http://127.0.0.1:9000/oauth/token"]);
    assert_eq!(google.lock().unwrap().asked[0]["aud"], "https://oauth2.googleapis.com/token");
}

#[tokio::test(start_paused = true)]
async fn the_key_files_own_address_is_https_or_this_machine() {
    for (uri, good) in [
        ("http://127.0.0.1:9000/token", true),
        ("http://oauth2.googleapis.com/token", false),
        ("https://u:hunter2@oauth2.googleapis.com/token", false),
        ("ftp://oauth2.googleapis.com/token", false),
        ("https://oauth2.googleapis.com/token?x=1", false),
        ("token", false),
    ] {
        let (key, script) = (Key::with(json!({ "token_uri": uri })), Script::start());
        let google = Google::start(&script);
        let result = poll(&key.open(script.client(), json!({})), &script, "login").await;
        assert_eq!(google.lock().unwrap().urls.len(), usize::from(good), "{uri}");
        if let Err(error) = result {
            let fault = halted(&error);
            assert_eq!(fault.kind, FaultKind::Configuration, "{uri}");
            assert!(fault.message.contains("token_uri") && !fault.message.contains("hunter2"), "{fault:?}");
        }
    }
    let (key, script) = (Key::with(json!({ "token_uri": null, "private_key_id": null })), Script::start());
    let google = Google::start(&script);
    poll(&key.open(script.client(), json!({})), &script, "login").await.unwrap();
    assert_eq!(google.lock().unwrap().urls, ["https://oauth2.googleapis.com/token"]);
    assert_eq!(google.lock().unwrap().asked[0]["kid"], Json::Null);
}

#[tokio::test(start_paused = true)]
async fn one_token_serves_until_four_fifths_of_its_life_and_many_polls_share_it() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    let source = key.open(script.client(), json!({}));
    for _ in 0..8 {
        script.push(activities(&[], None));
    }
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let source = Arc::clone(&source);
        polls.spawn(async move { source.poll(stream("login"), &hour(None)).await.is_ok() });
    }
    assert!(polls.join_all().await.into_iter().all(|good| good));
    let granted = || google.lock().unwrap().granted;
    assert_eq!(granted(), 1);
    // `expires_in` is text here: "3599".
    tokio::time::advance(std::time::Duration::from_secs(2_878)).await;
    poll(&source, &script, "login").await.unwrap();
    assert_eq!(granted(), 1);
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    poll(&source, &script, "login").await.unwrap();
    assert_eq!(granted(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_token_endpoint_does_not_stop_a_token_that_is_still_good() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    let source = key.open(script.client(), json!({}));
    poll(&source, &script, "login").await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(3_000)).await;
    google.lock().unwrap().replies.push(denied(503, "backend_error", "x"));
    poll(&source, &script, "login").await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(700)).await;
    google.lock().unwrap().replies.push(denied(503, "backend_error", "x"));
    let error = poll(&source, &script, "login").await.unwrap_err();
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_delegation_for_alerts_stops_no_other_log() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    google.lock().unwrap().undelegated.push(ALERT_CENTER);
    let source = key.open(script.client(), json!({}));
    poll(&source, &script, "login").await.unwrap();
    let error = source.poll(stream(ALERTS), &hour(None)).await.unwrap_err();
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Permission);
    let remedy = fault.remedy.as_ref().unwrap();
    assert!(remedy.contains(CLIENT_ID) && remedy.contains(&format!("{REPORTS},{ALERT_CENTER}")), "{remedy}");
    poll(&source, &script, "admin").await.unwrap();
    let asked: Vec<_> = google.lock().unwrap().asked.iter().map(|claims| claims["scope"].clone()).collect();
    assert_eq!(asked, [REPORTS, ALERT_CENTER]);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_token_endpoint_are_named_for_what_happens_next() {
    use FaultKind::{Configuration, Credential, Permission};
    let bad_key = "Invalid JWT Signature.";
    for (status, code, words, kind, remedy) in [
        (
            401,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method",
            Permission,
            CLIENT_ID,
        ),
        (
            401,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method",
            Permission,
            REPORTS,
        ),
        (400, "invalid_scope", "Bad scope", Permission, "Domain-wide delegation"),
        (400, "invalid_grant", "Invalid email or User ID", Configuration, "auth.subject"),
        (400, "invalid_grant", "Not a valid email or user ID.", Configuration, "auth.subject"),
        (400, "invalid_request", "Invalid impersonation prn email address.", Configuration, "auth.subject"),
        (400, "invalid_grant", bad_key, Credential, "a new JSON key in"),
        (400, "invalid_grant", "No valid verifier found for issuer.", Credential, "a new JSON key in"),
        (400, "invalid_grant", "Invalid grant: account not found", Credential, "a new JSON key in"),
        (400, "invalid_grant", "Bad Request", Credential, "a new JSON key in"),
        (401, "invalid_client", "The OAuth client was not found.", Credential, "a new JSON key in"),
        (401, "", "", Credential, "a new JSON key in"),
        (403, "access_denied", "Account restricted", Permission, "API controls"),
        (400, "unsupported_grant_type", "x", Configuration, "a new JSON key in"),
        (404, "", "", Configuration, "token_url"),
    ] {
        let error = refused(denied(status, code, words)).await;
        let fault = halted(&error);
        assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{code} {words}");
        assert!(fault.remedy.as_ref().unwrap().contains(remedy), "{fault:?}");
    }
    for reply in [
        denied(400, "internal_failure", "x"),
        denied(400, "temporarily_unavailable", "x"),
        denied(500, "server_error", "x"),
        denied(408, "", ""),
        denied(429, "", ""),
        Reply::json(503, "<html>"),
        Reply::json(200, "<html>"),
        Reply::json(200, "{}"),
        Reply::json(200, "[]"),
        Reply::json(200, r#"{"access_token":7}"#),
    ] {
        let error = refused(reply).await;
        assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_gets_a_token_all_the_same() {
    for wrong in [-5_000, -400, 0, 200, 400, 100_000] {
        let (key, script) = (Key::new(), Script::start());
        let google = Google::start(&script);
        let http = script.client_with(HttpSettings::default(), TimeDelta::seconds(wrong));
        poll(&key.open(http, json!({})), &script, "login").await.unwrap();
        let calls = google.lock().unwrap().asked.len();
        assert_eq!(calls, if wrong.abs() > 300 { 2 } else { 1 }, "{wrong}");
    }
    // An answer without a date corrects nothing: a person must.
    let words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.";
    let error = refused(denied(400, "invalid_grant", words)).await;
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Configuration);
    assert!(fault.remedy.as_ref().unwrap().contains("NTP"), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_in_the_file_is_used_within_the_same_poll() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    let source = key.open(script.client(), json!({}));
    google.lock().unwrap().replies.push(denied(400, "invalid_grant", "Invalid JWT Signature."));
    let error = poll(&source, &script, "login").await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
    key.write(json!({ "private_key_id": "k-2026-02" }));
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    google.lock().unwrap().replies.push(denied(400, "invalid_grant", "Invalid JWT Signature."));
    poll(&source, &script, "login").await.unwrap();
    let google = google.lock().unwrap();
    let kids: Vec<_> = google.asked.iter().map(|claims| claims["kid"].as_str().unwrap()).collect();
    assert_eq!(kids, ["k-2026-01", "k-2026-01", "k-2026-02"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_google_refuses_of_the_file_a_new_file_is_used_within_the_same_poll() {
    for (uri, reply) in [
        ("http://oauth2.googleapis.com/token", None),
        ("https://oauth2.googleapis.com/v0", Some(Reply::json(404, ""))),
        (
            "https://oauth2.googleapis.com/v0",
            Some(Reply::json(302, "").header("location", "https://a.example.com/")),
        ),
        ("https://oauth2.googleapis.com/token", Some(undelegated())),
        (
            "https://oauth2.googleapis.com/token",
            Some(denied(401, "invalid_client", "The OAuth client was not found.")),
        ),
        ("https://oauth2.googleapis.com/token", Some(denied(403, "access_denied", "Account restricted"))),
    ] {
        let (key, script) = (Key::with(json!({ "token_uri": uri })), Script::start());
        let google = Google::start(&script);
        let source = key.open(script.client(), json!({}));
        key.write(
            json!({ "private_key_id": "k-2026-02", "token_uri": "https://oauth2.googleapis.com/token" }),
        );
        google.lock().unwrap().replies.extend(reply.clone());
        poll(&source, &script, "login").await.unwrap();
        let google = google.lock().unwrap();
        assert_eq!(google.asked.last().unwrap()["kid"], "k-2026-02", "{reply:?}");
        assert_eq!(google.asked.len(), 1 + usize::from(reply.is_some()), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_serves_both_tokens_although_both_were_refused_with_the_old_one() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    let source = key.open(script.client(), json!({}));
    let slow = Duration::from_secs(1);
    for _ in 0..2 {
        let refusal = Reply { delay: slow, ..denied(400, "invalid_grant", "Invalid JWT Signature.") };
        google.lock().unwrap().replies.push(refusal);
        script.push(activities(&[], None));
    }
    let place = hour(None);
    let (reports, alerts) = (source.poll(stream("login"), &place), source.poll(stream(ALERTS), &place));
    let rotated = async { key.write(json!({ "private_key_id": "k-2026-02" })) };
    let (reports, alerts, ()) = tokio::join!(reports, alerts, rotated);
    assert!(reports.is_ok() && alerts.is_ok(), "{reports:?} {alerts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_key_halts_until_it_is_one_and_is_never_printed() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    std::fs::remove_file(key.path()).unwrap();
    let source = key.open(script.client(), json!({}));
    let error = poll(&source, &script, "login").await.unwrap_err();
    assert!(halted(&error).message.contains("cannot be read"), "{error:?}");
    for (text, says) in [
        ("hunter2".to_owned(), "not a service account's key"),
        (
            r#"{"type":"authorized_user","client_email":"x","private_key":"hunter2"}"#.to_owned(),
            "not a service account's key",
        ),
        (
            r#"{"type":"service_account","client_email":"x","private_key":["hunter2"]}"#.to_owned(),
            "not a service account's key",
        ),
        (
            r#"{"type":"service_account","client_email":"x","private_key":"hunter2"}"#.to_owned(),
            "not a private key",
        ),
        (
            json!({ "type": "service_account", "client_email": "x", "private_key": PUBLIC_PEM }).to_string(),
            "a public key",
        ),
    ] {
        std::fs::write(key.path(), text).unwrap();
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        let error = poll(&source, &script, "login").await.unwrap_err();
        let fault = halted(&error);
        assert_eq!(fault.kind, FaultKind::Credential);
        assert!(fault.message.contains(says), "{fault:?}");
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
    key.write(json!({}));
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    poll(&source, &script, "login").await.unwrap();
    assert_eq!(google.lock().unwrap().granted, 1);
}

#[tokio::test(start_paused = true)]
async fn check_says_who_acts_as_whom_and_which_scopes_are_delegated() {
    let (key, script) = (Key::new(), Script::start());
    let google = Google::start(&script);
    google.lock().unwrap().undelegated.push(ALERT_CENTER);
    let findings = key.open(script.client(), json!({})).check().await;
    assert!(
        findings.lines[0].contains(&format!("{ACCOUNT} acts as {SUBJECT} with the scope {REPORTS}")),
        "{findings:?}"
    );
    assert!(
        findings.lines[1].contains(&format!("the stream alerts: no token for the scope {ALERT_CENTER}")),
        "{findings:?}"
    );
    assert!(findings.faults.is_empty(), "alerts may not be wanted");
    google.lock().unwrap().undelegated.push(REPORTS);
    let findings = key.open(script.client(), json!({})).check().await;
    assert_eq!(findings.faults.len(), 2);
    assert!(
        findings.faults.iter().all(|fault| fault.kind == FaultKind::Permission && fault.remedy.is_some())
    );
    assert!(script.requests().is_empty(), "nothing is read of the log");
}
