//! Collection from a scripted Graph. Traps are numbered as the contract lists them.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;
use tidegate_core::http::{Client, HttpSettings, TransportError};
use tidegate_core::quota::{Buckets, Quota, Share};
use tidegate_core::source::{Cursor, StreamKind};
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::source::{Vendor, conforms};

const GRAPH: &str = "https://graph.example.com";
const LOGIN: &str = "https://login.example.com";
const DIRECTORY: &str = "1b2c3d4e-0000-4000-8000-00000000000a";
const CLIENT: &str = "9a8b7c6d-0000-4000-8000-00000000000b";

/// Cargo sets it for tests: the one variable that is surely there.
const SECRET_VARIABLE: &str = "env:CARGO_PKG_DESCRIPTION";
const SECRET: &str = env!("CARGO_PKG_DESCRIPTION");

fn stream(name: &str) -> &'static Stream {
    STREAMS.iter().find(|stream| stream.name == name).unwrap()
}

fn file(path: &str) -> String {
    format!("file:{}/src/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn table(value: Json) -> Map<String, Json> {
    value.as_object().unwrap().clone()
}

fn open(http: Client, value: Json) -> Result<Arc<dyn Source>, SettingsError> {
    Entra.open(Settings { tenant: "acme".to_owned(), source: "entra".to_owned(), table: table(value), http })
}

/// A table with these members more, or instead.
fn with(more: Json) -> Json {
    let mut table = json!({
        "directory": DIRECTORY, "url": GRAPH, "login_url": LOGIN,
        "auth": { "client_id": CLIENT, "client_secret": SECRET_VARIABLE },
    });
    table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    table
}

fn certificate(more: Json) -> Json {
    let mut auth = json!({
        "client_id": CLIENT,
        "certificate": file("entra/testkeys/certificate.pem"),
        "private_key": file("okta/testkeys/rsa-pkcs8.pem"),
    });
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with(json!({ "auth": auth }))
}

/// What a token endpoint was sent.
type Forms = Arc<Mutex<Vec<HashMap<String, String>>>>;

fn form(request: &Request<Bytes>) -> HashMap<String, String> {
    url::form_urlencoded::parse(request.body()).into_owned().collect()
}

/// A JWT that says what an app may read; nobody checks its signature but Graph.
fn token(number: usize, roles: &[&str]) -> String {
    let part = |value: Json| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.SIGNATURE{number}", part(json!({ "alg": "none" })), part(json!({ "roles": roles })))
}

/// Grants a token to every request for one; answers nothing else.
fn grants(script: &Script, roles: &'static [&'static str]) -> Forms {
    let forms = Forms::default();
    let seen = Arc::clone(&forms);
    script.aside(move |request, _| {
        if !request.uri().path().ends_with("/token") {
            return None;
        }
        let mut forms = seen.lock().unwrap();
        forms.push(form(request));
        let answer =
            json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token(forms.len(), roles) });
        Some(Reply::json(200, answer.to_string()))
    });
    forms
}

fn start(more: Json) -> (Script, Arc<dyn Source>, Forms) {
    let script = Script::start();
    let forms = grants(&script, &["AuditLog.Read.All"]);
    let source = open(script.client(), with(more)).unwrap();
    (script, source, forms)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn window(from: &str, to: &str) -> Place {
    Place::Window { from: at(from), to: at(to), token: None }
}

fn first() -> Place {
    window("2026-05-28T17:00:00Z", "2026-05-28T18:00:00Z")
}

fn after(link: &str) -> Place {
    let Place::Window { from, to, .. } = first() else { unreachable!() };
    Place::Window { from, to, token: Some(Cursor(link.as_bytes().to_vec())) }
}

fn link(query: &str) -> String {
    format!("{GRAPH}/beta/auditLogs/signIns?{query}")
}

fn page(records: usize, next: Option<&str>) -> Reply {
    let records: Vec<_> = (0..records)
        .map(|n| json!({ "id": format!("00000000-0000-4000-8000-{n:012}"), "createdDateTime": "2026-05-28T17:30:00Z" }))
        .collect();
    let mut body =
        json!({ "@odata.context": format!("{GRAPH}/beta/$metadata#auditLogs/signIns"), "value": records });
    if let Some(next) = next {
        body["@odata.nextLink"] = next.into();
    }
    Reply::json(200, serde_json::to_string_pretty(&body).unwrap())
}

fn refusal(status: u16, code: &str, words: &str) -> Reply {
    let body = json!({ "error": { "code": code, "message": words, "innerError": { "request-id": "r-1" } } });
    Reply::json(status, body.to_string()).header("request-id", "4f6c-req")
}

async fn error_of(script: &Script, source: &Arc<dyn Source>, place: &Place, reply: Reply) -> PollError {
    script.push(reply);
    source.poll(stream("sign_ins"), place).await.unwrap_err()
}

fn halted(error: &PollError) -> &Fault {
    assert!(matches!(error, PollError::Halt { .. }), "{error:?}");
    error.cause()
}

// The suite, once for each shape of record and each budget.

struct Kit(&'static str);

impl Vendor for Kit {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        open(http, with(json!({ "limit": 500 }))).unwrap()
    }
    fn stream(&self) -> &'static Stream {
        stream(self.0)
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), token(1, &[])]
    }
    fn full(&self) -> usize {
        500
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        let path = streams::log(self.0).unwrap().path;
        page(records, Some(&format!("{GRAPH}/beta/{path}?$skiptoken={place}")))
    }
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply> {
        Some(page(1, Some(&request.uri().to_string())))
    }
    fn foreign(&self) -> Option<Reply> {
        Some(page(1, Some("https://evil.example.net/beta/auditLogs/signIns?$skiptoken=1")))
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        refusal(status, "UnknownError", words)
    }
    fn limited(&self, now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        let reply = refusal(429, "TooManyRequests", "slow down");
        match seconds {
            None => reply,
            Some(0) => reply.header("retry-after", &now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            Some(seconds) => reply.header("retry-after", &seconds.to_string()),
        }
    }
    fn crowded(&self, _now: DateTime<Utc>, _seconds: u64) -> Option<Reply> {
        None
    }
    fn prepare(&self, script: &Script) {
        grants(script, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_as_a_log_of_sign_ins() {
    conforms(&Kit("sign_ins_non_interactive")).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_as_the_audit_log() {
    conforms(&Kit("directory_audits")).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_as_a_log_of_risk_detections() {
    conforms(&Kit("risk_detections")).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_as_the_provisioning_log() {
    conforms(&Kit("provisioning")).await;
}

// Requests.

fn filter(time: &str, kind: Option<&str>) -> String {
    let kind =
        kind.map(|kind| format!("%20and%20%28signInEventTypes%2Fany%28t%3A%20t%20eq%20%27{kind}%27%29%29"));
    format!(
        "$filter={time}%20ge%202026-05-28T17%3A00%3A00Z%20and%20{time}%20le%202026-05-28T18%3A00%3A00Z{}",
        kind.unwrap_or_default()
    )
}

/// Traps 2, 6 and 9: each log's own time field, beta and the kind for sign-ins, literals without quotes, `ge` and `le`.
#[tokio::test(start_paused = true)]
async fn trap_02_06_09_each_log_is_asked_for_in_its_own_words() {
    let (script, source, _) = start(json!({}));
    for (name, path, time, kind, top) in [
        ("sign_ins", "beta/auditLogs/signIns", "createdDateTime", Some("interactiveUser"), 1000),
        (
            "sign_ins_non_interactive",
            "beta/auditLogs/signIns",
            "createdDateTime",
            Some("nonInteractiveUser"),
            1000,
        ),
        (
            "sign_ins_service_principal",
            "beta/auditLogs/signIns",
            "createdDateTime",
            Some("servicePrincipal"),
            1000,
        ),
        (
            "sign_ins_managed_identity",
            "beta/auditLogs/signIns",
            "createdDateTime",
            Some("managedIdentity"),
            1000,
        ),
        ("directory_audits", "v1.0/auditLogs/directoryAudits", "activityDateTime", None, 1000),
        ("risk_detections", "v1.0/identityProtection/riskDetections", "lastUpdatedDateTime", None, 500),
        (
            "service_principal_risk_detections",
            "v1.0/identityProtection/servicePrincipalRiskDetections",
            "lastUpdatedDateTime",
            None,
            500,
        ),
        ("provisioning", "v1.0/auditLogs/provisioning", "activityDateTime", None, 1000),
    ] {
        script.push(page(0, None));
        source.poll(stream(name), &first()).await.unwrap();
        let asked = script.asked().pop().unwrap();
        assert_eq!(asked, format!("{GRAPH}/{path}?{}&$top={top}", filter(time, kind)), "{name}");
        for never in ["+", "%20gt%20", "%20lt%20", "$skip=", "$orderby"] {
            assert!(!asked.contains(never), "{asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn v1_gives_plain_sign_ins_and_leaves_the_other_kinds_where_they_are() {
    let (script, source, _) = start(json!({ "api": "v1.0", "limit": 100 }));
    for (name, start, lambda) in [
        ("sign_ins", "/v1.0/", false),
        ("sign_ins_non_interactive", "/beta/", true),
        ("risk_detections", "/v1.0/", false),
    ] {
        script.push(page(0, None));
        source.poll(stream(name), &first()).await.unwrap();
        let asked = script.asked().pop().unwrap();
        assert!(asked.starts_with(&format!("{GRAPH}{start}")) && asked.ends_with("&$top=100"), "{asked}");
        assert_eq!(asked.contains("signInEventTypes"), lambda, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn says_who_asks_and_wants_every_member_of_every_enumeration() {
    let (script, source, _) = start(json!({}));
    let mut ids = HashSet::new();
    for _ in 0..3 {
        script.push(page(0, None));
        source.poll(stream("sign_ins"), &first()).await.unwrap();
        let request = script.requests().pop().unwrap();
        assert_eq!(
            request.headers()["authorization"],
            format!("Bearer {}", token(1, &["AuditLog.Read.All"]))
        );
        assert_eq!(request.headers()["prefer"], "include-unknown-enum-members");
        assert_eq!(request.headers()["accept"], "application/json");
        let id = request.headers()["client-request-id"].to_str().unwrap().to_owned();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn bounds_hold_every_instant_of_the_window_and_never_end_before_they_begin() {
    let (script, source, _) = start(json!({}));
    for (from, to, ge, le) in [
        ("2026-05-28T17:00:00.999Z", "2026-05-28T18:00:00.0000001Z", "17%3A00%3A00Z", "18%3A00%3A01Z"),
        ("2026-05-28T17:00:00Z", "2026-05-28T17:00:01Z", "17%3A00%3A00Z", "17%3A00%3A01Z"),
        ("2026-05-28T17:00:00Z", "2026-05-28T16:00:00Z", "17%3A00%3A00Z", "17%3A00%3A00Z"),
    ] {
        script.push(page(0, None));
        source.poll(stream("directory_audits"), &window(from, to)).await.unwrap();
        let asked = script.asked().pop().unwrap();
        assert!(asked.contains(&format!("ge%202026-05-28T{ge}")), "{asked}");
        assert!(asked.contains(&format!("le%202026-05-28T{le}")), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_window_or_no_log_is_refused() {
    let (_, source, _) = start(json!({}));
    let feed = Place::Feed { cursor: None, since: at("2026-05-28T17:00:00Z") };
    let error = source.poll(stream("sign_ins"), &feed).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Configuration);
}

// Pages.

/// Traps 3, 4 and 12: a page's own link, whole, until there is none; emptiness and `Link` headers say nothing.
#[tokio::test(start_paused = true)]
async fn trap_03_04_12_the_next_link_alone_says_whether_there_is_more() {
    let (script, source, _) = start(json!({}));
    let next = link("$filter=createdDateTime%20ge%202026-05-28T17:00:00Z&$skiptoken=a%2Bb%3D_1&$top=1000");
    script.push(
        page(0, Some(&next)).header("link", "<https://dev.example.net/deprecated>; rel=\"deprecation\""),
    );
    let empty = source.poll(stream("sign_ins"), &first()).await.unwrap();
    assert!(empty.records.is_empty() && empty.wait.is_zero());
    assert_eq!(empty.next.as_ref().unwrap().0, next.as_bytes());
    script.push(page(1000, None).header("link", &format!("<{}>; rel=\"next\"", link("$skiptoken=2"))));
    let last = source.poll(stream("sign_ins"), &after(&next)).await.unwrap();
    assert_eq!((last.records.len(), last.next), (1000, None));
    assert_eq!(script.asked().pop().unwrap(), next, "nothing is added to a link");
}

#[tokio::test(start_paused = true)]
async fn trap_07_a_link_whose_skip_token_is_empty_begins_the_window_again() {
    let (script, source, _) = start(json!({}));
    for broken in [link("$skiptoken="), link("$top=1000&%24skipToken=%20"), GRAPH.to_owned(), String::new()] {
        let error = error_of(&script, &source, &first(), page(1, Some(&broken))).await;
        assert!(matches!(error, PollError::Restart { .. }), "{broken}: {error:?}");
        assert_eq!(error.cause().kind, FaultKind::Cursor);
    }
    let same = link("$skiptoken=7");
    for records in [0, 1] {
        let error = error_of(&script, &source, &after(&same), page(records, Some(&same))).await;
        assert!(matches!(error, PollError::Restart { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_link_that_cannot_be_followed_begins_the_window_again_and_is_not_asked() {
    let (script, source, _) = start(json!({}));
    let (Place::Window { from, to, .. }, own) = (first(), link("$skiptoken=1")) else { unreachable!() };
    for damaged in [
        b"https://evil.example.net/beta/auditLogs/signIns?$skiptoken=1".to_vec(),
        format!("{GRAPH}/v1.0/auditLogs/directoryAudits?$skiptoken=1").into_bytes(),
        format!("{GRAPH}/beta/NotauditLogs/signIns?$skiptoken=1").into_bytes(),
        format!("{GRAPH}/v1.0/users").into_bytes(),
        own.replace('?', "/?").into_bytes(),
        own.replace("/signIns", "%2FsignIns").into_bytes(),
        b"\xff\xfe".to_vec(),
        b"".to_vec(),
    ] {
        let place = Place::Window { from, to, token: Some(Cursor(damaged.clone())) };
        let error = source.poll(stream("sign_ins"), &place).await.unwrap_err();
        assert!(matches!(error, PollError::Restart { .. }), "{}: {error:?}", damaged.escape_ascii());
        assert_eq!(script.requests().len(), 0);
    }
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &after(&own.replace("signIns", "SignIns"))).await.unwrap();
}

/// Traps 7 and 5: what is too much for Graph is asked for in halves.
#[tokio::test(start_paused = true)]
async fn trap_05_07_a_window_that_graph_gives_up_on_is_narrowed() {
    let (script, source, _) = start(json!({}));
    for place in [first(), after(&link("$skiptoken=1"))] {
        let error = error_of(&script, &source, &place, refusal(504, "GatewayTimeout", "x")).await;
        assert!(matches!(error, PollError::Narrow { .. }), "{error:?}");
        let slow = Reply { delay: Duration::from_secs(301), ..page(0, None) };
        let error = error_of(&script, &source, &place, slow).await;
        assert!(matches!(error, PollError::Narrow { .. }), "{error:?}");
    }
    script.fail(TransportError::Connect("no route".to_owned()));
    let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_08_a_refused_skip_token_begins_the_window_again() {
    let (script, source, _) = start(json!({}));
    for (place, words) in [
        (after(&link("$skiptoken=1")), "Skip token is null."),
        (after(&link("$skiptoken=1")), "Invalid Skip Token"),
        (after(&link("$skiptoken=1")), "something that nobody has seen yet"),
        (first(), "Parameter '$skiptoken' is invalid"),
    ] {
        let error = error_of(&script, &source, &place, refusal(400, "BadRequest", words)).await;
        assert!(matches!(error, PollError::Restart { .. }), "{words}: {error:?}");
        assert_eq!(error.cause().code.as_deref(), Some("BadRequest"));
    }
}

#[tokio::test(start_paused = true)]
async fn trap_09_a_bound_that_is_too_old_moves_the_window_and_a_wrong_query_halts() {
    let (script, source, _) = start(json!({}));
    let old = window("2026-04-28T17:00:00Z", "2026-04-28T18:00:00Z");
    let words = "The start date is before the minimum allowed time for this directory";
    let error = error_of(&script, &source, &old, refusal(400, "UnknownError", words)).await;
    assert!(matches!(error, PollError::TooOld { .. }), "{error:?}");
    // No edition keeps less than a week: this was refused for something else.
    let error = error_of(&script, &source, &first(), refusal(400, "UnknownError", words)).await;
    assert_eq!(halted(&error).kind, FaultKind::Configuration);
    for words in ["Invalid filter clause", "Could not find a property named 'x'", ""] {
        let error = error_of(&script, &source, &old, refusal(400, "", words)).await;
        assert_eq!(halted(&error).kind, FaultKind::Configuration, "{words}");
        assert!(halted(&error).remedy.is_some());
    }
}

// Refusals.

#[tokio::test(start_paused = true)]
async fn each_status_is_named_for_what_happens_next() {
    for (status, code, kind, halts) in [
        (403, "Authorization_RequestDenied", FaultKind::Permission, true),
        (403, "Authentication_MSGraphPermissionMissing", FaultKind::Permission, true),
        (403, "Forbidden", FaultKind::Permission, true),
        (404, "ResourceNotFound", FaultKind::Configuration, true),
        (410, "SyncStateNotFound", FaultKind::Configuration, true),
        (409, "Conflict", FaultKind::Configuration, true),
        (413, "TooLarge", FaultKind::Configuration, true),
        (429, "activityLimitReached", FaultKind::RateLimit, false),
        (500, "generalException", FaultKind::Server, false),
        (502, "InternalServerError", FaultKind::Server, false),
        (503, "ServiceUnavailable", FaultKind::Server, false),
    ] {
        let (script, source, _) = start(json!({}));
        let error = error_of(&script, &source, &first(), refusal(status, code, "why")).await;
        let fault = error.cause();
        assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{error:?}");
        assert_eq!((fault.code.as_deref(), fault.request_id.as_deref()), (Some(code), Some("4f6c-req")));
        assert_eq!(matches!(error, PollError::Halt { .. }), halts, "{error:?}");
        assert_eq!(matches!(error, PollError::Retry { .. }), !halts, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_named_as_microsoft_names_it() {
    let (script, source, _) = start(json!({}));
    for (name, permission) in [
        ("sign_ins", "AuditLog.Read.All"),
        ("directory_audits", "AuditLog.Read.All"),
        ("risk_detections", "IdentityRiskEvent.Read.All"),
        ("provisioning", "AuditLog.Read.All"),
    ] {
        script.push(refusal(403, "Authorization_RequestDenied", "Insufficient privileges"));
        let error = source.poll(stream(name), &first()).await.unwrap_err();
        let remedy = halted(&error).remedy.clone().unwrap();
        assert!(remedy.contains(permission) && remedy.contains(CLIENT), "{remedy}");
        assert_eq!(remedy.contains("Directory.Read.All"), name == "sign_ins", "{remedy}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_every_spelling_are_read() {
    let (script, source, _) = start(json!({}));
    for (body, code) in [
        (r#"{"error":{"code":"","message":"m","innererror":{"code":"Inner"}}}"#, Some("Inner")),
        (r#"{"error":{"code":7,"message":["x"],"innerError":"y"}}"#, None),
        (r#"{"error":"plain","error_description":"first\r\nTrace ID: 1"}"#, Some("plain")),
        (r#"{"error":null}"#, None),
        ("<html>", None),
        ("[", None),
    ] {
        let error = error_of(&script, &source, &first(), Reply::json(404, body)).await;
        assert_eq!(halted(&error).code.as_deref(), code, "{body}");
        assert!(!error.to_string().contains("Trace"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_11_an_intermittent_lack_of_licence_is_asked_again_three_times_within_a_run_of_sync() {
    let (script, source, _) = start(json!({}));
    let code = "Authentication_RequestFromNonPremiumTenantOrB2CTenant";
    let denied = || refusal(403, code, "Neither tenant is B2C or tenant doesn't have premium license");
    let mut waited = Duration::ZERO;
    for _ in 0..3 {
        let error = error_of(&script, &source, &first(), denied()).await;
        let PollError::Retry { after: Some(after), cause } = error else { panic!("{error:?}") };
        assert_eq!((cause.kind, cause.code.as_deref()), (FaultKind::Licence, Some(code)));
        assert!(cause.remedy.is_some_and(|remedy| remedy.contains("Entra ID P1 or P2")), "named at once");
        // Another poll of the stream at the same time is no further try.
        tokio::time::sleep(after / 2).await;
        let error = error_of(&script, &source, &first(), denied()).await;
        let PollError::Retry { after: Some(left), .. } = error else { panic!("{error:?}") };
        assert_eq!(left, after / 2);
        tokio::time::sleep(left).await;
        waited += after;
    }
    assert!((Duration::from_secs(60)..=Duration::from_secs(90)).contains(&waited), "{waited:?}");
    let error = error_of(&script, &source, &first(), denied()).await;
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Licence);
    assert!(fault.remedy.as_ref().unwrap().contains("Entra ID P1 or P2"), "{fault:?}");
    // Other logs are not concerned, and one good answer forgets it all.
    script.push(denied());
    let other = source.poll(stream("risk_detections"), &first()).await.unwrap_err();
    assert!(matches!(other, PollError::Retry { .. }), "{other:?}");
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    let error = error_of(&script, &source, &first(), denied()).await;
    assert!(matches!(error, PollError::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn audits_need_no_licence_whatever_a_refusal_says() {
    let (script, source, _) = start(json!({}));
    let code = "Authentication_RequestFromNonPremiumTenantOrB2CTenant";
    script.push(refusal(403, code, "Neither tenant is B2C or tenant doesn't have premium license"));
    let error = source.poll(stream("directory_audits"), &first()).await.unwrap_err();
    let fault = halted(&error);
    assert_eq!(fault.kind, FaultKind::Permission);
    let remedy = fault.remedy.as_ref().unwrap();
    assert!(remedy.contains("AuditLog.Read.All") && !remedy.contains("P1"), "{remedy}");
}

#[tokio::test(start_paused = true)]
async fn china_has_no_risk_detections_and_is_not_asked_for_them() {
    let (script, source, _) = start(json!({ "cloud": "china" }));
    for name in ["risk_detections", "service_principal_risk_detections"] {
        let error = source.poll(stream(name), &first()).await.unwrap_err();
        let fault = halted(&error);
        assert_eq!(fault.kind, FaultKind::Licence);
        assert!(fault.message.contains("china") && fault.remedy.as_ref().unwrap().contains(name));
    }
    assert!(script.requests().is_empty());
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_shape_is_never_a_page_nor_the_end() {
    let (script, source, _) = start(json!({}));
    let cases = [
        "{}",
        "[]",
        "null",
        "7",
        "",
        r#"{"value":null}"#,
        r#"{"value":{}}"#,
        r#"{"value":"x"}"#,
        r#"{"value":[]"#,
        r#"{"value":[{"id":1}"#,
        r#"{"value":[],"@odata.nextLink":7}"#,
        r#"{"value":[],"@odata.nextLink":{}}"#,
        r#"{"value":[],"@odata.nextLink":["https://graph.example.com/x?y"]}"#,
        r#"{"value":[],"@odata.nextLink":tru}"#,
        r#"{"value":[{"id":"1"}],"error":{"code":"generalException"}}"#,
    ];
    for body in cases {
        let error = error_of(&script, &source, &first(), Reply::json(200, body)).await;
        assert!(matches!(error, PollError::Retry { .. }), "{body}: {error:?}");
        assert_eq!(error.cause().kind, FaultKind::Answer, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (body, records) in [
        (r#"{"value":[{"id":"1"},null,7,"x",[]],"@odata.nextLink":null}"#.to_owned(), 5),
        // Of two members of one name the last counts.
        (r#"{"value":[1,2],"@odata.nextLink":"https://evil.example.net","value":[3],"@odata.nextLink":null}"#.to_owned(), 1),
        (format!("{{\"@microsoft.graph.tips\":\"x\",\"value\":[{deep}]}}"), 1),
    ] {
        script.push(Reply::json(200, body));
        let page = source.poll(stream("sign_ins"), &first()).await.unwrap();
        assert_eq!((page.records.len(), page.next), (records, None));
    }
}

// Tokens.

#[tokio::test(start_paused = true)]
async fn a_client_secret_travels_in_the_form_and_nowhere_else() {
    let (script, source, forms) = start(json!({}));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    let forms = forms.lock().unwrap();
    let want: HashMap<String, String> = [
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.example.com/.default"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(forms.as_slice(), [want]);
}

#[tokio::test(start_paused = true)]
async fn each_cloud_has_its_own_addresses_and_scope() {
    for (cloud, graph, login) in [
        (None, "https://graph.microsoft.com", "https://login.microsoftonline.com"),
        (Some("global"), "https://graph.microsoft.com", "https://login.microsoftonline.com"),
        (Some("usgov"), "https://graph.microsoft.us", "https://login.microsoftonline.us"),
        (Some("dod"), "https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
        (Some("china"), "https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
    ] {
        let mut value = json!({ "directory": "Contoso.OnMicrosoft.com", "auth": with(json!({}))["auth"] });
        if let Some(cloud) = cloud {
            value["cloud"] = cloud.into();
        }
        let script = Script::start();
        script.push(Reply::json(200, r#"{"access_token":"t","expires_in":"3599"}"#));
        script.push(page(0, None));
        open(script.client(), value).unwrap().poll(stream("sign_ins"), &first()).await.unwrap();
        let requests = script.requests();
        assert_eq!(
            requests[0].uri().to_string(),
            format!("{login}/contoso.onmicrosoft.com/oauth2/v2.0/token")
        );
        assert_eq!(form(&requests[0])["scope"], format!("{graph}/.default"));
        assert!(requests[1].uri().to_string().starts_with(&format!("{graph}/beta/")));
    }
}

fn part(token: &str, n: usize) -> Json {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

/// Verified by another library than the one that signs.
fn verified(token: &str) -> bool {
    let key =
        std::fs::read(format!("{}/src/okta/testkeys/rsa-public.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(&key).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let algorithm = serde_json::from_value(part(token, 0)["alg"].clone()).unwrap();
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_certificate_signs_an_assertion_that_names_it_and_is_used_once() {
    for (thumbprint, alg, name, value) in [
        (None, "PS256", "x5t#S256", "K4L_oix0EKxXTAISOET1W0Ee6oUQ4tKRF1w3B4y-MZw"),
        (Some("sha256"), "PS256", "x5t#S256", "K4L_oix0EKxXTAISOET1W0Ee6oUQ4tKRF1w3B4y-MZw"),
        (Some("sha1"), "RS256", "x5t", "_mqh0i-OZQlxdpntZ5Du9JOTk4k"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (jwk, pss) = (file("okta/testkeys/rsa.jwk"), dir.path().join("pss.jwk"));
        let text = std::fs::read_to_string(jwk.strip_prefix("file:").unwrap()).unwrap();
        let mut named: Json = serde_json::from_str(&text).unwrap();
        named["alg"] = "PS256".into();
        std::fs::write(&pss, named.to_string()).unwrap();
        let pss = format!("file:{}", pss.display());
        for key in [file("okta/testkeys/rsa-pkcs8.pem"), file("okta/testkeys/rsa-pkcs1.pem"), jwk, pss] {
            let script = Script::start();
            let forms = grants(&script, &[]);
            let mut more = json!({ "private_key": key });
            if let Some(thumbprint) = thumbprint {
                more["thumbprint"] = thumbprint.into();
            }
            let source = open(script.client(), certificate(more)).unwrap();
            for _ in 0..2 {
                source.check().await;
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            let forms = forms.lock().unwrap();
            let jtis: HashSet<_> =
                forms.iter().map(|form| part(&form["client_assertion"], 1)["jti"].to_string()).collect();
            assert_eq!(jtis.len(), 2, "no assertion is sent twice");
            let form = &forms[0];
            assert!(!form.contains_key("client_secret"));
            assert_eq!(
                form["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            let assertion = &form["client_assertion"];
            assert!(verified(assertion), "{alg} {key}");
            let header = part(assertion, 0);
            assert_eq!(header, json!({ "typ": "JWT", "alg": alg, name: value }));
            let claims = part(assertion, 1);
            assert_eq!(claims["aud"], format!("{LOGIN}/{DIRECTORY}/oauth2/v2.0/token"));
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT), &json!(CLIENT)));
            let (begins, ends) = (claims["nbf"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
            assert_eq!((ends - begins, begins), (600, 1_780_000_000 - 60));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_the_certificates_is_found_out_before_microsoft_is_asked() {
    for (more, says) in [
        (json!({ "certificate": file("entra/testkeys/certificate-of-another-key.pem") }), "does not belong"),
        (json!({ "private_key": file("okta/testkeys/ec-pkcs8.pem") }), "does not belong"),
        (json!({ "private_key": file("okta/testkeys/rsa-public.pem") }), "a public key"),
        (json!({ "private_key": file("okta/testkeys/encrypted.pem") }), "encrypted"),
        (json!({ "certificate": file("okta/testkeys/rsa-public.pem") }), "not a certificate"),
        (json!({ "certificate": file("entra/testkeys/none.pem") }), "cannot be read"),
    ] {
        let script = Script::start();
        grants(&script, &[]);
        let source = open(script.client(), certificate(more)).unwrap();
        let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
        let fault = halted(&error);
        assert!(fault.kind == FaultKind::Credential && fault.message.contains(says), "{says}: {fault:?}");
        assert!(fault.remedy.as_ref().unwrap().contains("certificate"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_could_not_be_used_are_read_again_and_collection_goes_on_without_a_restart() {
    let good = |path: &str| std::fs::read(format!("{}/src/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for (name, bad) in [
        ("certificate", b"-----BEGIN CERTIFICATE-----\nMIIC".to_vec()),
        ("certificate", good("entra/testkeys/certificate-of-another-key.pem")),
        ("private_key", good("okta/testkeys/ec-pkcs8.pem")),
        ("private_key", good("okta/testkeys/encrypted.pem")),
        ("private_key", b"\xff".to_vec()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bad).unwrap();
        let script = Script::start();
        grants(&script, &[]);
        let more = json!({ name: format!("file:{}", path.display()) });
        let source = open(script.client(), certificate(more)).unwrap();
        let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
        assert_eq!(halted(&error).kind, FaultKind::Credential, "{name}");
        let mended = if name == "certificate" {
            "entra/testkeys/certificate.pem"
        } else {
            "okta/testkeys/rsa-pkcs8.pem"
        };
        std::fs::write(&path, good(mended)).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        script.push(page(0, None));
        source.poll(stream("sign_ins"), &first()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_federated_assertion_is_read_before_each_request_for_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "outer.1.sig\n").unwrap();
    let script = Script::start();
    let forms = grants(&script, &[]);
    let auth = json!({ "client_id": CLIENT, "assertion": format!("file:{}", path.display()) });
    let source = open(script.client(), with(json!({ "auth": auth }))).unwrap();
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    std::fs::write(&path, "outer.2.sig\n").unwrap();
    script.push(refusal(401, "InvalidAuthenticationToken", "expired"));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    let sent: Vec<_> = forms.lock().unwrap().iter().map(|form| form["client_assertion"].clone()).collect();
    assert_eq!(sent, ["outer.1.sig", "outer.2.sig"]);
    std::fs::remove_file(&path).unwrap();
    script.push(refusal(401, "InvalidAuthenticationToken", "expired"));
    let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
    assert_eq!(halted(&error).kind, FaultKind::Credential);
}

#[tokio::test(start_paused = true)]
async fn trap_12_18_a_token_that_ends_in_mid_walk_repeats_the_same_link() {
    let (script, source, forms) = start(json!({}));
    let client = script.client();
    let counted = open(client.clone(), with(json!({}))).unwrap();
    let next = link("$skiptoken=5");
    for source in [source, counted] {
        script.push(page(1, Some(&next)));
        source.poll(stream("sign_ins"), &first()).await.unwrap();
        let _seen = script.requests();
        script.push(refusal(401, "InvalidAuthenticationToken", "Lifetime validation failed"));
        script.push(page(1, None));
        let last = source.poll(stream("sign_ins"), &after(&next)).await.unwrap();
        assert_eq!(last.next, None);
        let requests = script.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].uri(), requests[1].uri());
        assert_ne!(requests[0].headers()["authorization"], requests[1].headers()["authorization"]);
    }
    assert_eq!(forms.lock().unwrap().len(), 4);
    let quota = client.quota().unwrap();
    assert_eq!(
        quota.status(client.clock().now()).ours,
        1,
        "the second try is counted, the first was asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_claims_challenge_is_answered_with_a_token_that_was_asked_for_with_these_claims() {
    let (script, source, forms) = start(json!({}));
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1780000000"}}}"#;
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    let challenge = |claims: &str| {
        let header = format!("Bearer realm=\"\", error=\"insufficient_claims\", claims=\"{claims}\"");
        refusal(401, "InvalidAuthenticationToken", "CAE").header("www-authenticate", &header)
    };
    script.push(challenge(&STANDARD.encode(claims)));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    // A challenge that cannot be read still costs the token.
    for odd in ["!!", "bm90IGpzb24", ""] {
        script.push(challenge(odd));
        script.push(page(0, None));
        source.poll(stream("sign_ins"), &first()).await.unwrap();
    }
    let forms = forms.lock().unwrap();
    let sent: Vec<_> = forms.iter().map(|form| form.get("claims").map(String::as_str)).collect();
    assert_eq!(sent, [None, Some(claims), None, None, None]);
}

/// Continuous access evaluation wants another claim of each log, and the newest time of all.
#[tokio::test(start_paused = true)]
async fn logs_that_are_challenged_at_once_get_a_token_that_was_asked_for_with_the_claims_of_all() {
    let wants = |path: &str, seconds: &str| {
        let own = if path.contains("signIns") { "xms_rp_ipaddr" } else { "acrs" };
        json!({ "access_token": {
            own: { "value": format!("for {own}") }, "nbf": { "essential": true, "value": seconds },
        }})
    };
    // One, both or none of the answers come while the other's token is being fetched.
    for (sign_ins, audits, token_takes) in [(1, 1, 5), (1, 3, 5), (3, 1, 5), (1, 9, 5), (9, 1, 5), (1, 2, 0)]
    {
        let (script, source, forms) = start(json!({}));
        let granted = Arc::clone(&forms);
        script.aside(move |request, _| {
            if request.method() == "POST" {
                granted.lock().unwrap().push(form(request));
                let number = granted.lock().unwrap().len();
                let body = json!({ "expires_in": 3599, "access_token": token(number, &[]) }).to_string();
                return Some(Reply { delay: Duration::from_secs(token_takes), ..Reply::json(200, body) });
            }
            let bearer = request.headers()["authorization"].to_str().unwrap();
            let number: usize = bearer.rsplit("SIGNATURE").next().unwrap().parse().unwrap();
            let asked: Json = granted.lock().unwrap()[number - 1]
                .get("claims")
                .map_or(Json::Null, |claims| serde_json::from_str(claims).unwrap());
            let path = request.uri().path().to_owned();
            let (delay, seconds) =
                if path.contains("signIns") { (sign_ins, "1780000020") } else { (audits, "1780000003") };
            let challenge = wants(&path, seconds);
            let given =
                |name: &str| asked["access_token"][name]["value"].as_str().unwrap_or_default().to_owned();
            let own = if path.contains("signIns") { "xms_rp_ipaddr" } else { "acrs" };
            let good = given(own) == format!("for {own}") && *given("nbf") >= *seconds;
            let delay = Duration::from_secs(delay);
            Some(if good {
                Reply { delay, ..page(0, None) }
            } else {
                let claims = STANDARD.encode(challenge.to_string());
                let header = format!("Bearer error=\"insufficient_claims\", claims=\"{claims}\"");
                let refused =
                    refusal(401, "InvalidAuthenticationToken", "CAE").header("www-authenticate", &header);
                Reply { delay, ..refused }
            })
        });
        let polls = async || {
            let (a, b) = (first(), first());
            let (one, two) = tokio::join!(
                source.poll(stream("sign_ins"), &a),
                source.poll(stream("directory_audits"), &b)
            );
            one.unwrap();
            two.unwrap();
        };
        polls().await;
        let asked = forms.lock().unwrap().len();
        assert!(asked <= 3, "{asked} tokens");
        polls().await;
        assert_eq!(forms.lock().unwrap().len(), asked, "the last token does for both");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_four_fifths_of_its_life_by_one_poll_for_all() {
    let (script, source, forms) = start(json!({}));
    script.answer(|_, _| Ok(page(0, None)));
    let polls = || async {
        let (a, b) = (first(), first());
        let (one, two) =
            tokio::join!(source.poll(stream("sign_ins"), &a), source.poll(stream("directory_audits"), &b));
        one.unwrap();
        two.unwrap();
    };
    polls().await;
    tokio::time::sleep(Duration::from_secs(2870)).await;
    polls().await;
    assert_eq!(forms.lock().unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    polls().await;
    assert_eq!(forms.lock().unwrap().len(), 2);
}

fn login_error(status: u16, number: i64, words: &str) -> Reply {
    let body = json!({
        "error": "invalid_client", "error_description": format!("{words}\r\nTrace ID: 7"), "error_codes": [number],
        "timestamp": "2026-05-28 17:00:00Z", "trace_id": "7", "correlation_id": "8",
    });
    Reply::json(status, body.to_string()).header("x-ms-request-id", "7-trace")
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_token_endpoint_are_named_for_what_a_person_does() {
    for (status, number, kind, says) in [
        (401, 7_000_215, FaultKind::Credential, "value"),
        (401, 7_000_222, FaultKind::Credential, "new client secret"),
        (400, 700_016, FaultKind::Configuration, "auth.client_id"),
        (400, 90_002, FaultKind::Configuration, "directory"),
        (401, 700_027, FaultKind::Credential, "Certificates & secrets"),
        (401, 700_021, FaultKind::Credential, "issuer"),
        (401, 70_021, FaultKind::Credential, "issuer"),
        (400, 70_011, FaultKind::Configuration, "cloud"),
        (400, 53_003, FaultKind::Permission, "policy"),
        (401, 123_456, FaultKind::Credential, "Certificates & secrets"),
        (404, 0, FaultKind::Configuration, "login_url"),
    ] {
        let script = Script::start();
        let source = open(script.client(), with(json!({}))).unwrap();
        script.push(login_error(status, number, "AADSTS: no"));
        let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
        let fault = halted(&error);
        assert_eq!(fault.kind, kind, "{number}: {fault:?}");
        assert!(fault.remedy.as_ref().unwrap().contains(says), "{number}: {fault:?}");
        assert_eq!(fault.code, Some(format!("AADSTS{number}")));
        assert_eq!(fault.request_id.as_deref(), Some("7-trace"));
        assert_eq!(script.requests().len(), 1, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_at_the_token_endpoint_is_asked_again() {
    for (reply, kind, wait) in [
        (login_error(400, 50_196, "loop"), FaultKind::RateLimit, Some(300)),
        (login_error(400, 90_025, "retry"), FaultKind::Server, None),
        (login_error(400, 90_033, "transient"), FaultKind::Server, None),
        (login_error(503, 0, "x").header("retry-after", "7"), FaultKind::Server, Some(7)),
        (login_error(504, 0, "x"), FaultKind::Server, None),
        (login_error(429, 0, "x"), FaultKind::RateLimit, None),
        (Reply::json(200, "{}"), FaultKind::Answer, None),
        (Reply::json(200, "<html>").replace("content-type", "text/html"), FaultKind::Answer, None),
        (Reply { delay: Duration::from_secs(90), ..Reply::json(200, "{}") }, FaultKind::Network, None),
    ] {
        let script = Script::start();
        let source = open(script.client(), with(json!({}))).unwrap();
        script.push(reply);
        let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
        let PollError::Retry { after, cause } = error else { panic!("{error:?}") };
        assert_eq!((cause.kind, after.map(|after| after.as_secs())), (kind, wait), "{cause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_in_the_file_is_used_within_the_same_poll_and_no_secret_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "old~hunter2").unwrap();
    let auth = json!({ "client_id": CLIENT, "client_secret": format!("file:{}", path.display()) });
    let script = Script::start();
    let source = open(script.client(), with(json!({ "auth": auth }))).unwrap();
    script.push(login_error(401, 1, "old~hunter2 is wrong"));
    let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
    assert!(
        !format!("{error:?}").contains("hunter2") && error.to_string().contains("[redacted]"),
        "{error:?}"
    );
    tokio::time::sleep(Duration::from_secs(61)).await;
    std::fs::write(&path, "new~hunter3").unwrap();
    let _seen = script.requests();
    script.push(login_error(401, 1, "no"));
    script.push(Reply::json(200, r#"{"access_token":"t"}"#));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    let sent: Vec<_> =
        script.requests().iter().take(2).map(|request| form(request)["client_secret"].clone()).collect();
    assert_eq!(sent, ["old~hunter2", "new~hunter3"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_gets_a_token_all_the_same() {
    for (wrong, calls) in [(0, 1), (20, 1), (-900, 2), (7200, 2)] {
        let script = Script::start();
        let seen = Arc::new(Mutex::new(0));
        let count = Arc::clone(&seen);
        script.answer(move |request, now| {
            if request.method() != "POST" {
                return Ok(page(0, None));
            }
            *count.lock().unwrap() += 1;
            let claims = part(&form(request)["client_assertion"], 1);
            let good = claims["nbf"].as_i64().unwrap() <= now.timestamp()
                && claims["exp"].as_i64().unwrap() > now.timestamp();
            Ok(if good {
                Reply::json(200, r#"{"access_token":"t"}"#)
            } else {
                login_error(401, 700_024, "not within its valid time range")
            })
        });
        let client = script.client_with(HttpSettings::default(), TimeDelta::seconds(wrong));
        let source = open(client, certificate(json!({}))).unwrap();
        source.poll(stream("sign_ins"), &first()).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), calls, "{wrong} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_token_endpoint_does_not_stop_a_token_that_is_still_good() {
    let script = Script::start();
    let source = open(script.client(), with(json!({}))).unwrap();
    script.push(Reply::json(200, r#"{"access_token":"t","expires_in":3599}"#));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3000)).await;
    script.push(login_error(503, 0, "x"));
    script.push(page(0, None));
    source.poll(stream("sign_ins"), &first()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_does_not_stop_a_token_that_is_still_good_and_is_tried_a_few_times_only() {
    let script = Script::start();
    let source = open(script.client(), with(json!({}))).unwrap();
    let (asked, refused) = (Arc::new(Mutex::new(0)), login_error(401, 7_000_222, "expired"));
    let count = Arc::clone(&asked);
    script.aside(move |request, _| {
        if request.method() != "POST" {
            return Some(page(0, None));
        }
        *count.lock().unwrap() += 1;
        let first = *count.lock().unwrap() == 1;
        Some(if first {
            Reply::json(200, r#"{"access_token":"t","expires_in":3600}"#)
        } else {
            refused.clone()
        })
    });
    for minute in 0..60 {
        source.poll(stream("sign_ins"), &first()).await.unwrap_or_else(|error| panic!("{minute}: {error:?}"));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert!((3..=7).contains(&*asked.lock().unwrap()), "{asked:?}");
    let error = source.poll(stream("sign_ins"), &first()).await.unwrap_err();
    assert!(halted(&error).message.contains("expired"), "{error:?}");
}

// What an operator sees.

#[tokio::test(start_paused = true)]
async fn check_tells_what_the_token_may_read() {
    for (roles, lines, faults) in [
        (
            &["AuditLog.Read.All", "IdentityRiskEvent.ReadWrite.All", "Policy.Read.All"]
                as &'static [&'static str],
            vec!["AuditLog.Read.All: granted", "IdentityRiskEvent.Read.All: granted"],
            0,
        ),
        (
            &["AuditLog.Read.All"],
            vec![
                "AuditLog.Read.All: granted (reads sign_ins,",
                "IdentityRiskEvent.Read.All: not granted (reads risk_detections, service_principal_risk_detections)",
                "Policy.Read.ConditionalAccess or Policy.Read.All",
            ],
            0,
        ),
        (&[], vec!["AuditLog.Read.All: not granted"], 1),
    ] {
        let script = Script::start();
        grants(&script, roles);
        let findings = open(script.client(), with(json!({}))).unwrap().check().await;
        let said = findings.lines.join("\n");
        assert!(said.contains(&format!("directory {DIRECTORY}: the app {CLIENT} has a token")), "{said}");
        for line in lines {
            assert!(said.contains(line), "{said}");
        }
        assert_eq!(said.contains("Conditional Access"), !roles.contains(&"Policy.Read.All"), "{said}");
        assert_eq!(findings.faults.len(), faults, "{findings:?}");
        assert_eq!(findings.expires, None);
    }
    let script = Script::start();
    script.push(Reply::json(200, r#"{"access_token":"opaque"}"#));
    let findings = open(script.client(), with(json!({}))).unwrap().check().await;
    assert!(findings.lines.concat().contains("does not say") && findings.faults.is_empty(), "{findings:?}");
    script.push(login_error(401, 7_000_222, "expired"));
    let findings = open(script.client(), with(json!({}))).unwrap().check().await;
    assert_eq!(findings.faults[0].kind, FaultKind::Credential);
}

#[tokio::test(start_paused = true)]
async fn check_tells_when_the_certificate_ends() {
    let script = Script::start();
    grants(&script, &["AuditLog.Read.All"]);
    let findings = open(script.client(), certificate(json!({}))).unwrap().check().await;
    assert_eq!(findings.expires, Some(at("2027-03-01T12:00:00Z")));
    assert!(findings.faults.is_empty(), "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn wrong_keys_are_named_with_what_is_accepted() {
    let script = Script::start();
    let auth = |value: Json| with(json!({ "auth": value }));
    let secret = SECRET_VARIABLE;
    let mut nowhere = with(json!({}));
    nowhere.as_object_mut().unwrap().remove("directory");
    let mut nobody = with(json!({}));
    nobody.as_object_mut().unwrap().remove("auth");
    let (cert, key) = (file("entra/testkeys/certificate.pem"), file("okta/testkeys/rsa-pkcs8.pem"));
    for (value, key, says) in [
        (nowhere, "directory", "contoso.onmicrosoft.com"),
        (with(json!({ "directory": "common" })), "directory", "is no directory"),
        (with(json!({ "directory": "Organizations" })), "directory", "is no directory"),
        (with(json!({ "directory": "contoso" })), "directory", "neither a GUID nor a domain"),
        (with(json!({ "directory": "contoso.com/../x" })), "directory", "neither"),
        (with(json!({ "directory": "1b2c3d4e-0000-4000-8000-00000000000g" })), "directory", "neither"),
        (with(json!({ "directory": 7 })), "directory", "string"),
        (with(json!({ "cloud": "gcc" })), "cloud", "usgov"),
        (with(json!({ "url": "http://graph.example.com" })), "url", "unencrypted"),
        (with(json!({ "url": "https://graph.example.com/v1.0" })), "url", "has a path"),
        (with(json!({ "login_url": "https://u:hunter2@login.example.com" })), "login_url", "names a user"),
        (with(json!({ "login_url": "ftp://login.example.com" })), "login_url", "https"),
        (with(json!({ "api": "v2" })), "api", "v1.0"),
        (with(json!({ "limit": 0 })), "limit", "1 to 1000"),
        (with(json!({ "limit": 1001 })), "limit", "1 to 1000"),
        (with(json!({ "limit": "many" })), "limit", "invalid type"),
        (with(json!({ "tenant_id": "x" })), "tenant_id", "expected one of"),
        (nobody, "auth", "certificate"),
        (auth(json!("hunter2")), "auth", "not a table"),
        (auth(json!({})), "auth", "missing"),
        (auth(json!({ "client_id": CLIENT })), "auth", "missing"),
        (auth(json!({ "client_secret": secret })), "auth.client_id", "application"),
        (auth(json!({ "client_id": " ", "client_secret": secret })), "auth.client_id", "empty"),
        (auth(json!({ "client_id": CLIENT, "client_secret": "hunter2" })), "auth.client_secret", "env:NAME"),
        (auth(json!({ "client_id": CLIENT, "client_secret": 12_345 })), "auth.client_secret", "env:NAME"),
        (
            auth(json!({ "client_id": CLIENT, "client_secret": "env:TIDEGATE_NO_SUCH" })),
            "auth.client_secret",
            "not set",
        ),
        (auth(json!({ "client_id": CLIENT, "secret": secret })), "auth.secret", "expected one of"),
        (auth(json!({ "client_id": CLIENT, "certificate": cert })), "auth", "needs private_key"),
        (auth(json!({ "client_id": CLIENT, "private_key": key })), "auth", "needs certificate"),
        (
            auth(json!({ "client_id": CLIENT, "client_secret": secret, "assertion": "file:/x" })),
            "auth",
            "do not go together",
        ),
        (auth(json!({ "client_id": CLIENT, "assertion": secret })), "auth.assertion", "not a file"),
        (
            auth(json!({ "client_id": CLIENT, "client_secret": secret, "thumbprint": "sha1" })),
            "auth.thumbprint",
            "belongs to certificate",
        ),
        (certificate(json!({ "thumbprint": "md5" })), "auth.thumbprint", "sha256"),
    ] {
        let error = open(script.client(), value.clone()).err().unwrap_or_else(|| panic!("accepted: {value}"));
        assert_eq!(error.key, key, "{value}: {error}");
        assert!(error.message.contains(says), "{value}: {error}");
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("12345"), "{error}");
    }
}

#[test]
fn budgets_are_counted_as_microsoft_counts_them() {
    let of = |value: Json| Entra.buckets(&table(value)).unwrap();
    let buckets = of(with(json!({ "directory": DIRECTORY.to_uppercase() })));
    let shown: Vec<_> =
        buckets.iter().map(|b| (b.name, b.scope.as_str(), b.budget.limit, b.budget.span.as_secs())).collect();
    assert_eq!(
        shown,
        [
            ("reports", format!("{DIRECTORY}/{CLIENT}").as_str(), 5, 10),
            ("identity_protection", DIRECTORY, 2, 2),
            ("app", format!("{GRAPH}/{CLIENT}").as_str(), 122, 10),
        ]
    );
    // Half of one a second over all apps is one in two seconds.
    assert_eq!(Share::default().of(buckets[1].budget.limit), 1);
    let named = |stream: &str| -> Vec<&str> {
        buckets.iter().filter(|bucket| (bucket.streams)(stream)).map(|bucket| bucket.name).collect()
    };
    for stream in STREAMS {
        let own = if stream.name.contains("risk") { "identity_protection" } else { "reports" };
        assert_eq!(named(stream.name), [own, "app"], "{}", stream.name);
    }
    // Another app shares the directory's budget for risk and nothing else; another directory the app's.
    let other_app = of(with(json!({ "auth": { "client_id": "other", "client_secret": SECRET_VARIABLE } })));
    let other_directory = of(with(json!({ "directory": "fabrikam.example" })));
    let same = |a: &[Bucket], b: &[Bucket]| -> Vec<bool> {
        a.iter().zip(b).map(|(a, b)| a.scope == b.scope).collect()
    };
    assert_eq!(same(&buckets, &other_app), [false, true, false]);
    assert_eq!(same(&buckets, &other_directory), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_budget_does_not_hold_the_other() {
    for (refused, same, other) in [
        ("sign_ins", "directory_audits", "risk_detections"),
        ("risk_detections", "service_principal_risk_detections", "sign_ins"),
    ] {
        let script = Script::start();
        grants(&script, &[]);
        let buckets = Entra.buckets(&table(with(json!({})))).unwrap();
        let made =
            buckets.into_iter().map(|bucket| (bucket.name, bucket.streams, Quota::default())).collect();
        let client = script.client().with_buckets(Buckets::new(made));
        let source = open(client.clone(), with(json!({}))).unwrap();
        script.push(refusal(429, "TooManyRequests", "x").header("retry-after", "40"));
        source.poll(stream(refused), &first()).await.unwrap_err();
        let now = client.clock().now();
        assert!(client.of(same).ready(now).is_some_and(|wait| wait.as_secs() >= 39), "{same}");
        assert_eq!(client.of(other).ready(now), None, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_no_wait_rests_as_long_as_graph_counts() {
    for name in ["sign_ins", "risk_detections"] {
        let script = Script::start();
        grants(&script, &[]);
        let buckets = Entra.buckets(&table(with(json!({})))).unwrap();
        let made = buckets
            .into_iter()
            .map(|bucket| {
                let quota = Quota::default();
                quota.configure(bucket.budget, bucket.organisation);
                (bucket.name, bucket.streams, quota)
            })
            .collect();
        let client = script.client().with_buckets(Buckets::new(made));
        let source = open(client.clone(), with(json!({}))).unwrap();
        script.push(refusal(429, "UnknownError", "too many requests"));
        let error = source.poll(stream(name), &first()).await.unwrap_err();
        assert!(matches!(error, PollError::Retry { after: None, .. }), "slower each time: {error:?}");
        let wait = client.of(name).ready(client.clock().now()).unwrap();
        assert_eq!(wait, Duration::from_secs(10), "{name}");
        assert_eq!(client.of(name).quota().unwrap().counters().refused_429, 1);
    }
}

#[test]
fn the_organisation_is_the_directory_in_its_cloud() {
    let of = |value: Json| Entra.organisation(&table(value));
    assert_eq!(
        of(json!({ "directory": "Contoso.onmicrosoft.com", "cloud": "usgov" })).unwrap(),
        "https://graph.microsoft.us/contoso.onmicrosoft.com"
    );
    assert!(of(json!({})).is_err());
}

#[test]
fn the_streams_are_what_the_contract_says_of_them() {
    for stream in STREAMS {
        let StreamKind::Windowed { settle, visible_after, unit, widest } = stream.kind else {
            panic!("{} is a feed", stream.name)
        };
        assert_eq!(settle.iter().map(Duration::as_secs).collect::<Vec<_>>(), [900, 7200, 86_400]);
        assert_eq!((visible_after.as_secs(), unit.as_secs()), (120, 1));
        assert!(widest <= Duration::from_secs(7 * 86_400));
        assert_eq!(stream.immutable, stream.name == "directory_audits");
        // A detection that changes within the vendor's 90 days must still be known then.
        let days = if stream.name.contains("risk") { 90 } else { 30 };
        assert_eq!(stream.retention, Duration::from_secs(days * 86_400));
        assert_eq!(stream.names.namespace, "azure");
    }
    let default: Vec<_> = STREAMS.iter().filter(|stream| stream.default).map(|stream| stream.name).collect();
    assert_eq!(default, ["sign_ins", "sign_ins_non_interactive", "directory_audits", "risk_detections"]);
}

#[test]
fn the_readme_lists_every_key_and_every_stream() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/entra/README.md")).unwrap();
    let schema = Entra.schema().to_value();
    let config = schema["properties"].as_object().unwrap().keys().cloned();
    let auth = schema["$defs"]["AuthConfig"]["properties"].as_object().unwrap().keys();
    let auth = auth.map(|key| format!("auth.{key}"));
    for key in config.chain(auth).filter(|key| key != "auth") {
        assert!(readme.contains(&format!("| `{key}` |")), "{key}");
    }
    for stream in STREAMS {
        assert!(readme.contains(&format!("| `{}` |", stream.name)), "{}", stream.name);
    }
}
