//! What Google's refusals become.

use super::*;
use std::time::Duration;

struct Bench {
    script: Script,
    google: Arc<Mutex<Google>>,
    http: Client,
    source: Arc<dyn Source>,
    _key: Key,
}

impl Bench {
    fn new() -> Self {
        let (key, script) = (Key::new(), Script::start());
        let google = Google::start(&script);
        let http = script.client();
        let source = key.open(http.clone(), json!({}));
        Self { script, google, http, source, _key: key }
    }

    async fn error(&self, name: &str, place: &Place, reply: Reply) -> PollError {
        self.script.push(reply);
        let error = self.source.poll(stream(name), place).await.expect_err("a refusal is no page");
        assert!(!format!("{error:?}").contains("ya29."), "{error:?}");
        error
    }
}

async fn refused(name: &str, place: &Place, reply: Reply) -> PollError {
    Bench::new().error(name, place, reply).await
}

#[tokio::test(start_paused = true)]
async fn an_unknown_application_halts_its_stream_and_names_it() {
    let error = refused(
        "logins",
        &hour(None),
        refusal(400, "invalid", "Invalid value 'logins'. Values must match the following regular expression"),
    )
    .await;
    let fault = halted(&error);
    assert_eq!(
        (fault.kind, fault.status, fault.code.as_deref()),
        (FaultKind::Configuration, Some(400), Some("invalid"))
    );
    assert!(fault.remedy.as_ref().unwrap().contains("`logins`"), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn g8_a_refused_page_token_begins_the_window_again() {
    for name in ["drive", ALERTS] {
        let error = refused(name, &hour(Some("old")), refusal(400, "invalid", "Invalid pageToken")).await;
        assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
        assert_eq!(error.cause().kind, FaultKind::Cursor);
    }
    let Place::Window { from, to, .. } = hour(None) else { unreachable!() };
    let place = Place::Window { from, to, token: Some(Cursor(vec![0xFF])) };
    let error = Bench::new().source.poll(stream("drive"), &place).await.unwrap_err();
    assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_leads_to_itself_begins_the_window_again_even_when_it_is_empty() {
    let error = refused("drive", &hour(Some("p2")), activities(&[], Some("p2"))).await;
    assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_too_old_is_told_apart_from_a_wrong_query() {
    let old = window("2025-11-20T00:00:00Z", "2025-11-21T00:00:00Z", None);
    for words in ["startTime must be within last 180 days", "Start time is after end time"] {
        let error = refused("login", &old, refusal(400, "invalid", words)).await;
        assert!(matches!(error, PollError::TooOld { .. }), "{error:?}");
    }
    let token = window("2025-11-20T00:00:00Z", "2025-11-21T00:00:00Z", Some("p2"));
    let error = refused("login", &token, refusal(400, "invalid", "not within the last 180 days")).await;
    assert!(
        matches!(error, PollError::TooOld { .. }),
        "a window that grew too old while it was read: {error:?}"
    );
    let error = refused("login", &hour(None), refusal(400, "invalid", "Start time is after end time")).await;
    halted(&error);
}

#[tokio::test(start_paused = true)]
async fn g9_no_new_token_is_asked_for_where_the_administrator_lacks_the_privilege() {
    let bench = Bench::new();
    let error = bench.error("login", &hour(None), refusal(401, "authError", DENIED)).await;
    let fault = halted(&error);
    assert_eq!((fault.kind, fault.status), (FaultKind::Permission, Some(401)));
    let remedy = fault.remedy.as_ref().unwrap();
    assert!(
        remedy.contains(SUBJECT) && remedy.contains("privilege Reports") && remedy.contains(REPORTS),
        "{remedy}"
    );
    assert_eq!((bench.google.lock().unwrap().granted, bench.script.requests().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_in_mid_walk_is_renewed_and_the_page_is_asked_again() {
    let bench = Bench::new();
    bench.script.push(activities(&[login(2)], Some("p2")));
    bench.source.poll(stream("login"), &hour(None)).await.unwrap();
    let quota = bench.http.quota().unwrap().clone();
    let before = quota.counters().requests;
    bench.script.push(refusal(401, "authError", "Invalid Credentials"));
    bench.script.push(activities(&[login(1)], None));
    let page = bench.source.poll(stream("login"), &hour(Some("p2"))).await.unwrap();
    assert_eq!((page.records.len(), page.next), (1, None));
    let requests = bench.script.requests();
    let bearer = |n: usize| requests[n].headers()["authorization"].to_str().unwrap().to_owned();
    assert_eq!((bearer(1), bearer(2)), ("Bearer ya29.1".to_owned(), "Bearer ya29.2".to_owned()));
    assert_eq!(requests[1].uri(), requests[2].uri());
    assert_eq!(quota.counters().requests, before + 1, "the second try is counted");
    bench.script.push(refusal(401, "authError", "Invalid Credentials"));
    let error = bench.error("login", &hour(None), refusal(401, "authError", "Invalid Credentials")).await;
    assert_eq!(halted(&error).kind, FaultKind::Credential);
    assert_eq!(bench.google.lock().unwrap().granted, 3, "no third token in one poll");
}

#[tokio::test(start_paused = true)]
async fn a_403_for_the_rate_is_a_rate_limit() {
    for reply in [
        refusal(
            403,
            "rateLimitExceeded",
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'",
        ),
        refusal(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
        refusal_with_details(403, "PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED", "x"),
        refusal_with_details(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "x"),
        Reply::json(429, "{}"),
    ] {
        let bench = Bench::new();
        let error = bench.error("login", &hour(None), reply).await;
        let PollError::Retry { after, cause } = &error else { panic!("{error:?}") };
        assert_eq!((*after, cause.kind), (None, FaultKind::RateLimit));
        assert_eq!(bench.http.quota().unwrap().counters().refused_429, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_the_day_is_left_alone_for_long() {
    for reason in ["quotaExceeded", "dailyLimitExceeded"] {
        let bench = Bench::new();
        let error = bench.error("login", &hour(None), refusal(403, reason, "Daily Limit Exceeded")).await;
        let PollError::Retry { after, cause } = &error else { panic!("{error:?}") };
        assert_eq!((*after, cause.kind), (Some(Duration::from_secs(1800)), FaultKind::RateLimit));
        assert!(bench.http.ready(bench.script.clock().now()).is_some(), "everybody waits");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_not_enabled_says_where_to_enable_it() {
    let words = "Admin SDK API has not been used in project 123456789 before or it is disabled.";
    for (name, api, reply) in [
        ("login", "Admin SDK API", refusal(403, "accessNotConfigured", words)),
        ("login", "Admin SDK API", refusal_with_details(403, "PERMISSION_DENIED", "SERVICE_DISABLED", words)),
        (
            ALERTS,
            "Google Workspace Alert Center API",
            refusal_with_details(403, "PERMISSION_DENIED", "SERVICE_DISABLED", words),
        ),
    ] {
        let error = refused(name, &hour(None), reply).await;
        let fault = halted(&error);
        assert_eq!(fault.kind, FaultKind::Configuration);
        assert!(fault.message.contains("project 123456789"), "{fault:?}");
        let remedy = fault.remedy.as_ref().unwrap();
        assert!(remedy.contains(api) && remedy.contains("APIs & Services > Library"), "{remedy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_by_the_services_own_names() {
    for (name, privilege, scope) in [("admin", "Reports", REPORTS), (ALERTS, "Alert Center", ALERT_CENTER)] {
        for reply in [
            refusal(403, "forbidden", "Not Authorized to access this resource/api"),
            refusal_with_details(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "x"),
        ] {
            let error = refused(name, &hour(None), reply).await;
            let fault = halted(&error);
            assert_eq!(fault.kind, FaultKind::Permission);
            let remedy = fault.remedy.as_ref().unwrap();
            assert!(remedy.contains(privilege) && remedy.contains(scope), "{remedy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_is_asked_again_whatever_it_sends() {
    for reply in [
        refusal(503, "backendError", "Backend Error"),
        Reply::json(503, "<html>Service Unavailable</html>").replace("content-type", "text/html"),
        refusal_with_details(500, "INTERNAL", "x", "x"),
    ] {
        let error = refused("login", &hour(None), reply).await;
        assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
        assert_eq!(error.cause().kind, FaultKind::Server);
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_another_shape_are_no_pages() {
    for body in [
        "",
        "[]",
        "7",
        "null",
        "<html>",
        "{",
        // Anything might be without items.
        "{}",
        r#"{"items":null,"nextPageToken":null}"#,
        r#"{"kind":"admin#reports#activity"}"#,
        r#"{"kind":7,"nextPageToken":"p2"}"#,
        r#"{"items":[{"#,
        r#"{"items":[]"#,
        r#"{"items":[]}}"#,
        r#"{"items":{}}"#,
        r#"{"items":"none"}"#,
        r#"{"items":7}"#,
        r#"{"items":[1 2]}"#,
        // An end that is none would be a hole that nobody sees.
        r#"{"items":[],"nextPageToken":7}"#,
        r#"{"items":[],"nextPageToken":["p2"]}"#,
        r#"{"items":[],"nextPageToken":{}}"#,
        r#"{"error":{"code":403,"message":"x"}}"#,
        r#"{"items":[],"error":"x"}"#,
    ] {
        let error = refused("login", &hour(None), Reply::json(200, body)).await;
        assert!(matches!(error, PollError::Retry { .. }), "{body}: {error:?}");
        assert_eq!(error.cause().kind, FaultKind::Answer, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_another_shape_are_judged_by_their_status() {
    for body in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"error":"x"}"#,
        r#"{"error":{"errors":{},"message":7}}"#,
        r#"{"error":{"errors":[7,{"reason":7}]}}"#,
        "<html>",
    ] {
        let error = refused("login", &hour(None), Reply::json(403, body)).await;
        assert_eq!(halted(&error).kind, FaultKind::Permission, "{body}");
        let error = refused("login", &hour(None), Reply::json(400, body)).await;
        assert_eq!(halted(&error).kind, FaultKind::Configuration, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_googles_is_named() {
    let moved = Reply::json(302, "").header("location", "https://login.example.net/?continue=x");
    let error = refused("login", &hour(None), moved).await;
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::ForeignLink);
    assert!(fault.message.contains("redirects to https://login.example.net"), "{fault:?}");
    let error = refused(ALERTS, &hour(None), Reply::json(404, "{}")).await;
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Configuration);
    assert!(fault.message.contains("https://alertcenter.googleapis.com"), "{fault:?}");
    assert!(fault.remedy.as_ref().unwrap().contains("alerts_url"), "{fault:?}");
    let error = refused("login", &hour(None), refusal(409, "conflict", "x")).await;
    halted(&error);
}

#[tokio::test(start_paused = true)]
async fn a_place_in_a_feed_is_refused() {
    let place = Place::Feed { cursor: None, since: at("2026-05-28T19:00:00Z") };
    let error = Bench::new().source.poll(stream("login"), &place).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Configuration);
}
