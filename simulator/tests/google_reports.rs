//! `activities.list` as its contract has it, played in process under a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod google_support;

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use google_support::{
    access_token, activities, body, code, customer, get, page, plan, refusal, start, text, walk,
};
use http::Request;
use serde_json::{Value, json};
use tidegate_simulator::google::{APPLICATIONS, Generate, Google, GoogleConfig, Limits, Refusal};
use tidegate_simulator::{
    Answer, BodyFault, Exchange, Fault, Known, Lateness, RandomFaults, ScriptedFault, Version,
};

/// The two hours of the plans.
fn window(rest: &str) -> String {
    format!("startTime={}&endTime={}&{rest}", text(start()), text(start() + TimeDelta::hours(2)))
}

fn later() -> DateTime<Utc> {
    start() + TimeDelta::days(5)
}

fn at_once(stream: &str, records: usize) -> Generate {
    Generate { lateness: Lateness::none(), odd: 0.0, ..plan(stream, records) }
}

/// As a chain must give them: by time and qualifier, newest first.
fn expected(google: &Google, stream: &str, now: DateTime<Utc>) -> Vec<Value> {
    let qualifier = |known: &Known| known.id.split_once(' ').unwrap().1.parse::<i64>().unwrap();
    let mut known: Vec<Known> = google.known().into_iter().filter(|known| known.stream == stream).collect();
    known.sort_by_key(|known| std::cmp::Reverse((known.occurred_at, qualifier(known))));
    let visible = known.iter().filter_map(|known| known.at(now));
    visible.map(|version| serde_json::from_slice(&version.raw).unwrap()).collect()
}

fn forgiving() -> Limits {
    Limits { per_minute: 1_000_000, filtered_per_minute: 1_000_000, ..Limits::default() }
}

#[test]
fn a_chain_gives_exactly_what_is_visible_newest_first() {
    let google = Google::new(customer(vec![plan("login", 1_000), plan("token", 500)]));
    for (stream, size, now) in [
        ("login", 37, later()),
        ("login", 1_000, later()),
        ("token", 1, later()),
        ("login", 64, start() + TimeDelta::hours(1)),
    ] {
        let uri = activities(stream, &window(&format!("maxResults={size}")));
        let (found, pages) = walk(&google, &uri, "items", now);
        let expected = expected(&google, stream, now);
        assert_eq!(found, expected, "{stream} by {size}");
        assert_eq!(pages, expected.len().div_ceil(size).max(1));
    }
    let times: Vec<_> =
        google.known().iter().map(|known| (known.stream.clone(), known.occurred_at)).collect();
    let unique: HashSet<_> = times.iter().collect();
    assert!(unique.len() < times.len(), "some share an instant, so that cuts fall between them");
}

#[test]
fn records_are_served_byte_for_byte() {
    let google = Google::new(customer(vec![at_once("drive", 50)]));
    let answer = get(&google, &access_token(&google, later()), &activities("drive", &window("")), later());
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for known in google.known() {
        assert!(text.contains(std::str::from_utf8(&known.versions[0].raw).unwrap()));
    }
}

#[test]
fn the_page_token_stands_before_or_after_the_items() {
    let google = Google::new(customer(vec![at_once("login", 100)]));
    let token = access_token(&google, later());
    let first = |size: usize| {
        let uri = activities("login", &window(&format!("maxResults={size}")));
        let answer = get(&google, &token, &uri, later());
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        text.find("\"nextPageToken\"").unwrap() < text.find("\"items\"").unwrap()
    };
    assert_eq!((1..20).map(first).collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn the_envelope_has_no_items_when_nothing_matches() {
    let google = Google::new(customer(vec![]));
    let answer = get(&google, &access_token(&google, start()), &activities("saml", ""), start());
    let body = body(&answer);
    assert_eq!(body["kind"], "admin#reports#activities");
    assert!(body["etag"].as_str().unwrap().starts_with('"'));
    assert!(body.get("items").is_none() && body.get("nextPageToken").is_none(), "{body}");
}

#[test]
fn what_becomes_visible_late_appears_in_positions_that_were_read() {
    let google = Google::new(customer(vec![plan("token", 400)]));
    let uri = activities("token", &window("maxResults=100"));
    let early = start() + TimeDelta::hours(2);
    let (before, _) = walk(&google, &uri, "items", early);
    let (after, _) = walk(&google, &uri, "items", later());
    assert!(before.len() < after.len(), "hours late");
    let new: Vec<usize> = (0..after.len()).filter(|at| !before.contains(&after[*at])).collect();
    assert!(new.iter().any(|at| *at < after.len() / 2), "not only at the end");
    let oldest_late =
        google.known().iter().map(|known| known.versions[0].visible_at - known.occurred_at).max();
    assert!(oldest_late.unwrap() <= TimeDelta::hours(72));
}

#[test]
fn lateness_is_each_applications_own() {
    let median = |stream: &str| {
        let google = Google::new(customer(vec![plan(stream, 1_000)]));
        let mut late: Vec<_> =
            google.known().iter().map(|known| known.versions[0].visible_at - known.occurred_at).collect();
        late.sort();
        (late[500], late[999])
    };
    assert!(median("admin").0 <= TimeDelta::minutes(2));
    assert!((TimeDelta::minutes(5)..TimeDelta::hours(1)).contains(&median("user_accounts").0));
    assert!((TimeDelta::minutes(10)..TimeDelta::hours(4)).contains(&median("token").0));
    for stream in ["login", "token", "drive", "anything"] {
        assert!(median(stream).1 > TimeDelta::hours(24), "{stream} has a tail of days");
    }
}

#[test]
fn records_that_never_show_up_are_known_and_never_served() {
    let google = Google::new(customer(vec![Generate { never: 0.2, ..at_once("admin", 200) }]));
    let (found, _) = walk(&google, &activities("admin", &window("")), "items", later());
    assert!(found.len() < 190 && found.len() > 120, "{}", found.len());
    assert_eq!(google.known().len(), 200);
}

#[test]
fn a_chain_with_an_open_end_does_not_see_what_comes_above_its_place() {
    let google = Google::new(customer(vec![at_once("login", 300)]));
    let uri = activities("login", &format!("startTime={}&maxResults=20", text(start())));
    let (one, two) = (start() + TimeDelta::hours(1), start() + TimeDelta::minutes(65));
    let token = access_token(&google, one);
    let (first, next) = page(&get(&google, &token, &uri, one), "items");
    let (second, _) =
        page(&get(&google, &token, &format!("{uri}&pageToken={}", next.unwrap()), two), "items");
    let time = |record: &Value| record["id"]["time"].as_str().unwrap().to_owned();
    assert!(second.iter().all(|record| time(record) <= time(&first[19])));
    let (fresh, _) = page(&get(&google, &token, &uri, two), "items");
    assert!(time(&fresh[0]) > time(&first[0]));
}

#[test]
fn both_ends_of_a_range_are_inside_unless_the_switch_says_otherwise() {
    let (from, to) = (start(), start() + TimeDelta::seconds(1));
    let record = |at: DateTime<Utc>| {
        let raw = json!({"id": {"time": text(at), "uniqueQualifier": "-1"}}).to_string();
        vec![Version { visible_at: at, raw: Bytes::from(raw) }]
    };
    for (exclusive, count) in [(false, 2), (true, 1)] {
        let google = Google::new(GoogleConfig { end_time_exclusive: exclusive, ..customer(vec![]) });
        google.add_record("admin", from, record(from));
        google.add_record("admin", to, record(to));
        google.add_record("admin", to + TimeDelta::milliseconds(1), record(to));
        let uri = activities("admin", &format!("startTime={}&endTime={}", text(from), text(to)));
        assert_eq!(walk(&google, &uri, "items", later()).0.len(), count);
    }
}

#[test]
fn a_page_token_belongs_to_its_query() {
    let google = Google::new(customer(vec![at_once("login", 300)]));
    let token = access_token(&google, later());
    let query = window("maxResults=20&eventName=login_success");
    let (_, next) = page(&get(&google, &token, &activities("login", &query), later()), "items");
    let next = next.unwrap();
    let with = |application: &str, query: &str| {
        get(&google, &token, &activities(application, &format!("{query}&pageToken={next}")), later())
    };
    assert_eq!(with("login", &query).status, 200);
    assert_eq!(
        with("login", &format!("{query}&prettyPrint=false&quotaUser=x")).status,
        200,
        "not of the query"
    );
    for changed in [
        query.replace("maxResults=20", "maxResults=21"),
        query.replace("login_success", "login_failure"),
        query.replace("&eventName=login_success", ""),
        query.replace("12:00:00.000Z", "12:00:00Z"),
        format!("{query}&customerId=my_customer"),
    ] {
        assert_eq!(code(&with("login", &changed)), (400, "invalid".to_owned()), "{changed}");
    }
    assert_eq!(with("user_accounts", &query).status, 400);
    let other_user = format!(
        "/admin/reports/v1/activity/users/jo.park@example.com/applications/login?{query}&pageToken={next}"
    );
    assert_eq!(get(&google, &token, &other_user, later()).status, 400);
    let garbage = activities("login", &format!("{query}&pageToken=AAAA"));
    assert_eq!(get(&google, &token, &garbage, later()).status, 400);
}

#[test]
fn a_page_token_dies_by_switch() {
    let config = GoogleConfig {
        page_token_ttl: Some(TimeDelta::minutes(10)),
        ..customer(vec![at_once("login", 100)])
    };
    let google = Google::new(config);
    let token = access_token(&google, later());
    let uri = activities("login", &window("maxResults=20"));
    let (_, next) = page(&get(&google, &token, &uri, later()), "items");
    let again = format!("{uri}&pageToken={}", next.unwrap());
    assert_eq!(get(&google, &token, &again, later() + TimeDelta::minutes(10)).status, 200);
    assert_eq!(get(&google, &token, &again, later() + TimeDelta::seconds(601)).status, 400);
}

#[test]
fn parameters_that_do_not_fit_are_refused_by_name() {
    let google = Google::new(customer(vec![]));
    let token = access_token(&google, start());
    let at = |minutes: i64| text(start() + TimeDelta::minutes(minutes));
    let cases = [
        ("maxResults=0".to_owned(), "maxResults"),
        ("maxResults=1001".to_owned(), "maxResults"),
        ("maxResults=many".to_owned(), "maxResults"),
        (format!("startTime={}&endTime={}", at(-5), at(-6)), "startTime"),
        (format!("startTime={}&endTime={}", at(-5), at(-5)), "startTime"),
        (format!("startTime={}", at(0)), "startTime"),
        (format!("startTime={}&endTime={}", at(1), at(2)), "startTime"),
        ("startTime=2026-03-10".to_owned(), "startTime"),
        ("endTime=yesterday".to_owned(), "endTime"),
        ("startTime=2025-09-11T09:59:59Z".to_owned(), "startTime"),
        ("customerId=me".to_owned(), "customerId"),
        ("filters=is_suspicious==true".to_owned(), "filters"),
        ("eventName=login_success&filters=is_suspicious".to_owned(), "filters"),
        ("alt=media".to_owned(), "alt"),
        ("fields=items(".to_owned(), "fields"),
        ("pageToken=".to_owned(), "pageToken"),
        ("orgUnitID=id:abc".to_owned(), "orgUnitID"),
    ];
    for (query, parameter) in cases {
        let answer = get(&google, &token, &activities("login", &query), start());
        assert_eq!(code(&answer), (400, "invalid".to_owned()), "{query}");
        assert_eq!(body(&answer)["error"]["errors"][0]["location"], parameter, "{query}");
    }
    for query in [
        "maxResults=1000&customerId=my_customer".to_owned(),
        "customerId=C0example7".to_owned(),
        "startTime=2025-09-11T10:00:00Z".to_owned(),
        format!("startTime={}&endTime={}", at(-5), at(60)),
        "maxResults=0&maxResults=5".to_owned(),
    ] {
        assert_eq!(get(&google, &token, &activities("login", &query), start()).status, 200, "{query}");
    }
    let other = get(&google, &token, &activities("login", "customerId=C0other"), start());
    assert_eq!(code(&other), (403, "forbidden".to_owned()));
}

#[test]
fn the_last_180_days_can_be_read_and_a_chain_may_outlive_its_start() {
    let first = start() - TimeDelta::days(180);
    let google = Google::new(customer(vec![Generate {
        lateness: Lateness::none(),
        ..Generate::new("admin", 3, 400, first - TimeDelta::days(5), TimeDelta::days(10))
    }]));
    let token = access_token(&google, start());
    let uri = activities("admin", &format!("startTime={}&maxResults=10", text(first)));
    let (_, next) = page(&get(&google, &token, &uri, start()), "items");
    let later = start() + TimeDelta::minutes(1);
    assert_eq!(get(&google, &token, &uri, later).status, 400);
    assert_eq!(get(&google, &token, &format!("{uri}&pageToken={}", next.unwrap()), later).status, 200);
    let (all, _) = walk(&google, &activities("admin", "maxResults=1000"), "items", start());
    let kept = google.known().iter().filter(|known| known.occurred_at >= first).count();
    assert_eq!(all.len(), kept, "without a start: all that is kept");
    assert!(kept < 400);
}

#[test]
fn gmail_needs_both_ends_thirty_days_apart_at_most() {
    let google = Google::new(customer(vec![at_once("gmail", 10)]));
    let token = access_token(&google, later());
    let ask = |query: &str| get(&google, &token, &activities("gmail", query), later()).status.as_u16();
    assert_eq!(ask(""), 400);
    assert_eq!(ask(&format!("startTime={}", text(start()))), 400);
    assert_eq!(ask("startTime=2026-02-01T00:00:00Z&endTime=2026-03-03T00:00:01Z"), 400);
    assert_eq!(ask("startTime=2026-02-01T00:00:00Z&endTime=2026-03-03T00:00:00Z"), 200);
}

#[test]
fn applications_are_those_that_the_configuration_knows() {
    let mut config = customer(vec![at_once("brand_new_app", 5)]);
    config.applications.push("brand_new_app".to_owned());
    let google = Google::new(config);
    let token = access_token(&google, later());
    for application in APPLICATIONS.iter().filter(|name| **name != "gmail") {
        assert_eq!(get(&google, &token, &activities(application, ""), later()).status, 200, "{application}");
    }
    assert_eq!(page(&get(&google, &token, &activities("brand_new_app", ""), later()), "items").0.len(), 5);
    let unknown = get(&google, &token, &activities("logins", ""), later());
    assert_eq!(code(&unknown), (400, "invalid".to_owned()));
    assert_eq!(get(&google, &token, "/admin/reports/v1/usage/dates/x", later()).status, 404);
    let sensitive = |application: &str| {
        get(&google, &token, &activities(application, "includeSensitiveData=true"), later()).status.as_u16()
    };
    assert_eq!((sensitive("rules"), sensitive("login")), (200, 403));
}

#[test]
fn a_get_too_long_for_a_url_comes_as_a_post_with_its_parameters_in_the_body() {
    let google = Google::new(customer(vec![at_once("login", 60)]));
    let token = access_token(&google, later());
    let query = window("maxResults=25&eventName=login_success&alt=json");
    let path = activities("login", "");
    let post = |overridden: bool, body: &str| {
        let mut request = Request::post(path.trim_end_matches('?'))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/x-www-form-urlencoded");
        if overridden {
            request = request.header("x-http-method-override", "GET");
        }
        google.handle(&request.body(Bytes::from(body.to_owned())).unwrap(), later())
    };
    let asked = get(&google, &token, &activities("login", &query), later());
    assert_eq!(post(true, &query).body, asked.body);
    assert_eq!(post(false, &query).status, 404);
    assert_eq!(post(true, "maxResults=0").status, 400);
}

#[test]
fn queries_can_be_narrowed_to_users_addresses_and_events() {
    let google = Google::new(GoogleConfig { limits: forgiving(), ..customer(vec![at_once("admin", 600)]) });
    let all = expected(&google, "admin", later());
    let narrowed = |user: &str, query: &str| {
        let uri = format!("/admin/reports/v1/activity/users/{user}/applications/admin?{}", window(query));
        walk(&google, &uri, "items", later()).0
    };
    let those =
        |keep: &dyn Fn(&Value) -> bool| all.iter().filter(|record| keep(record)).cloned().collect::<Vec<_>>();
    let by_mail = narrowed("dana.novak%40example.com", "");
    assert_eq!(by_mail, those(&|record| record["actor"]["email"] == "Dana.Novak@example.com"));
    assert!(!by_mail.is_empty());
    let by_profile = narrowed("100000000000000000017", "");
    assert_eq!(by_profile, those(&|record| record["actor"]["profileId"] == "100000000000000000017"));
    assert!(narrowed("nobody+x@example.com", "").is_empty());
    let ip = all.iter().find_map(|record| record["ipAddress"].as_str()).unwrap();
    assert_eq!(narrowed("all", &format!("actorIpAddress={ip}")), those(&|record| record["ipAddress"] == ip));
    let has =
        |record: &Value, name: &str| record["events"].as_array().unwrap().iter().any(|e| e["name"] == name);
    let named = narrowed("all", "eventName=SUSPEND_USER");
    assert_eq!(named, those(&|record| has(record, "SUSPEND_USER")));
    assert!(named.iter().any(|record| record["events"].as_array().unwrap().len() > 1), "siblings come along");
}

#[test]
fn filters_look_at_the_parameters_of_the_named_event() {
    let google = Google::new(GoogleConfig { limits: forgiving(), ..customer(vec![at_once("token", 400)]) });
    let bytes = |record: &Value| {
        let events = record["events"].as_array().unwrap();
        let parameters = events[0]["parameters"].as_array().unwrap();
        parameters
            .iter()
            .find(|p| p["name"] == "num_response_bytes")
            .map(|p| p["intValue"].as_str().unwrap().parse::<i64>().unwrap())
    };
    let ask = |filters: &str| {
        let filters: String = url::form_urlencoded::byte_serialize(filters.as_bytes()).collect();
        walk(
            &google,
            &activities("token", &window(&format!("eventName=activity&filters={filters}"))),
            "items",
            later(),
        )
        .0
    };
    let all = ask("");
    let big = ask("num_response_bytes>4500000000");
    let small = ask("num_response_bytes<=4500000000");
    assert!(big.iter().all(|record| bytes(record).unwrap() > 4_500_000_000), "as numbers");
    assert!(!big.is_empty() && !small.is_empty());
    assert_eq!(big.len() + small.len(), all.len());
    let web = ask("client_type==WEB");
    assert_eq!(ask("client_type<>WEB").len() + web.len(), all.len());
    assert_eq!(ask("client_type==IOS,client_type==WEB"), web, "the last one of a name counts");
    assert_eq!(ask("no_such_parameter==1"), all, "unknown to the application: ignored");
    assert!(ask("scope==openid").is_empty(), "another event's parameter: an empty report");
    assert!(ask("api_name==drive,client_type==WEB").len() < web.len());
}

#[test]
fn over_2400_queries_in_a_minute_are_refused() {
    let google = Google::new(customer(vec![]));
    let token = access_token(&google, start());
    let ask =
        |seconds: i64| get(&google, &token, &activities("login", ""), start() + TimeDelta::seconds(seconds));
    for request in 0..2_400 {
        assert_eq!(ask(request / 80).status, 200, "{request}");
    }
    let (status, reason, _, message) = refusal(&ask(59));
    assert_eq!((status, reason.as_str()), (403, "userRateLimitExceeded"));
    assert!(message.starts_with("Quota exceeded for quota metric 'Queries'"), "{message}");
    assert_eq!(ask(60).status, 200, "the first ones are a minute old, and the refused one does not count");
    assert_eq!(google.refused(), 1);
    assert_eq!(get(&google, &token, "/v1beta1/alerts", start() + TimeDelta::seconds(59)).status, 200);
    let other = activities("login", "quotaUser=someone");
    assert_eq!(get(&google, &token, &other, start() + TimeDelta::seconds(59)).status, 200);
}

#[test]
fn filtered_queries_have_250_a_minute() {
    let google = Google::new(customer(vec![]));
    let token = access_token(&google, start());
    let filtered = [
        activities("login", "eventName=logout"),
        activities("login", "actorIpAddress=192.0.2.1"),
        "/admin/reports/v1/activity/users/jo.park@example.com/applications/login".to_owned(),
    ];
    for uri in filtered.iter().cycle().take(250) {
        assert_eq!(get(&google, &token, uri, start()).status, 200);
    }
    for uri in &filtered {
        assert_eq!(code(&get(&google, &token, uri, start())), (403, "userRateLimitExceeded".to_owned()));
    }
    assert_eq!(get(&google, &token, &activities("login", ""), start()).status, 200);
}

#[test]
fn another_client_uses_its_half_and_refusals_come_in_every_form() {
    let limits = Limits {
        per_minute: 10,
        refusals: Refusal::ALL.to_vec(),
        retry_after_s: Some(9),
        ..Limits::default()
    };
    let google = Google::new(GoogleConfig { limits, foreign: 0.5, ..customer(vec![]) });
    let token = access_token(&google, start());
    let ask = || get(&google, &token, &activities("login", ""), start());
    for _ in 0..5 {
        assert_eq!(ask().status, 200);
    }
    let forms: Vec<_> = (0..5).map(|_| ask()).collect();
    assert!(forms.iter().all(|answer| answer.headers["retry-after"] == "9"));
    let forms: Vec<_> = forms.iter().map(code).collect();
    let wanted = [
        (403, "rateLimitExceeded"),
        (403, "userRateLimitExceeded"),
        (403, "quotaExceeded"),
        (429, "rateLimitExceeded"),
        (503, "backendError"),
    ];
    assert_eq!(forms, wanted.map(|(status, reason)| (status, reason.to_owned())));
    assert_eq!(google.refused(), 5);
}

#[test]
fn empty_pages_lead_on_and_nothing_is_lost() {
    let config = GoogleConfig {
        empty_pages: 0.5,
        token_after_full_last_page: true,
        ..customer(vec![at_once("login", 200)])
    };
    let google = Google::new(config);
    let (found, pages) = walk(&google, &activities("login", &window("maxResults=20")), "items", later());
    assert_eq!(found, expected(&google, "login", later()));
    assert!((13..=21).contains(&pages), "{pages} pages, empty ones and one after the full last one");

    let google = Google::new(customer(vec![at_once("login", 200)]));
    google.push_fault(ScriptedFault { path: "activity".into(), after: 2, times: 2, fault: Fault::EmptyPage });
    let (found, pages) = walk(&google, &activities("login", &window("maxResults=50")), "items", later());
    assert_eq!((found.len(), pages), (200, 6));
}

#[test]
fn pages_fail_in_the_forms_that_are_known() {
    let google = Google::new(customer(vec![at_once("login", 200)]));
    let token = access_token(&google, later());
    let uri = activities("login", &window("maxResults=50"));
    let play = |fault: Fault, uri: &str| -> Answer {
        google.push_fault(ScriptedFault::next("activity", fault));
        get(&google, &token, uri, later())
    };
    for (fault, status, reason) in [
        (Fault::Refused { status: 403, reason: "quotaExceeded".into() }, 403, "quotaExceeded"),
        (Fault::Refused { status: 403, reason: "dailyLimitExceeded".into() }, 403, "dailyLimitExceeded"),
        (
            Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false },
            429,
            "rateLimitExceeded",
        ),
        (Fault::ServerError, 500, "backendError"),
        (Fault::Unavailable, 503, "backendError"),
        (Fault::Unauthorized, 401, "authError"),
        (Fault::Forbidden, 403, "forbidden"),
    ] {
        assert_eq!(code(&play(fault, &uri)), (status, reason.to_owned()));
    }
    let html = play(Fault::Html { status: 503 }, &uri);
    assert_eq!((html.status.as_u16(), html.headers["content-type"].to_str().unwrap()), (503, "text/html"));
    assert!(body(&play(Fault::WrongEnvelope, &uri)).get("kind").is_none());
    assert_eq!(page(&play(Fault::OversizePage, &uri), "items").0.len(), 100);
    assert!(matches!(play(Fault::CutBody { after: None }, &uri).fault, Some(BodyFault::CutAfter(_))));
    let exact = Exchange { status: 418, body: Some(json!({"x": 1})), ..Exchange::default() };
    assert_eq!(play(Fault::Exchange(exact), &uri).status, 418);
    let (_, next) = page(&get(&google, &token, &uri, later()), "items");
    let second = format!("{uri}&pageToken={}", next.clone().unwrap());
    assert_eq!(play(Fault::CursorRefused, &uri).status, 200, "there is none to refuse");
    assert_eq!(code(&play(Fault::CursorRefused, &second)), (400, "invalid".to_owned()));
    assert_eq!(page(&play(Fault::LinkLoop, &second), "items").1, next);
    assert_eq!(get(&google, &token, &second, later()).status, 200, "and all is well again");
    assert_eq!(google.refused(), 0, "scripted refusals are no limits");
}

#[test]
fn random_faults_fall_on_the_same_requests_in_every_run() {
    let run = |seed| {
        let google = Google::new(customer(vec![at_once("login", 20)]));
        let token = access_token(&google, later());
        let path = "activity".to_owned();
        google.set_random_faults(Some(RandomFaults { seed, rate: 0.4, kinds: Vec::new(), path }));
        (0..60)
            .map(|_| get(&google, &token, &activities("login", ""), later()).status.as_u16())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
    assert!(run(3).iter().collect::<BTreeSet<_>>().len() > 3, "several kinds");
}

#[test]
fn standard_parameters_shape_the_answer() {
    let google = Google::new(GoogleConfig { pretty_print: true, ..customer(vec![at_once("saml", 30)]) });
    let token = access_token(&google, later());
    let ask = |query: &str| get(&google, &token, &activities("saml", &window(query)), later());
    let (indented, compact) = (ask("maxResults=10"), ask("maxResults=10&prettyPrint=false"));
    assert!(indented.body.starts_with(b"{\n  \"kind\": \"admin#reports#activities\""));
    assert_eq!(body(&indented), body(&compact));
    assert!(!compact.body.contains(&b'\n'));
    let partial = body(&ask("maxResults=10&fields=nextPageToken,items(id/time,events/name)"));
    assert_eq!(partial.as_object().unwrap().keys().collect::<Vec<_>>(), ["items", "nextPageToken"]);
    let item = partial["items"][0].as_object().unwrap();
    assert_eq!(item.keys().collect::<Vec<_>>(), ["events", "id"]);
    assert_eq!(item["id"].as_object().unwrap().keys().collect::<Vec<_>>(), ["time"]);
    let zipped = Request::get(activities("saml", &window("")))
        .header("authorization", format!("Bearer {token}"))
        .header("accept-encoding", "gzip, deflate");
    let zipped = google.handle(&zipped.body(Bytes::new()).unwrap(), later());
    assert_eq!(zipped.headers["content-encoding"], "gzip");
}

#[test]
fn the_same_seed_gives_the_same_records_byte_for_byte() {
    let known = |seed: u64, stream: &str| {
        let generate = Generate { seed, ..plan(stream, 300) };
        Google::new(customer(vec![generate])).known()
    };
    assert_eq!(known(1, "login"), known(1, "login"));
    assert_ne!(known(1, "login"), known(2, "login"));
    let ids = |stream: &str| known(1, stream).into_iter().map(|known| known.id).collect::<HashSet<_>>();
    assert!(ids("login").is_disjoint(&ids("saml")), "streams differ");
}

#[test]
fn generated_records_have_every_form_that_the_contract_names() {
    let plans: Vec<_> = APPLICATIONS.iter().map(|application| plan(application, 400)).collect();
    let google = Google::new(customer(plans));
    let mut seen = BTreeSet::new();
    let mut by_qualifier: HashMap<(String, String), usize> = HashMap::new();
    for known in google.known() {
        let raw: Value = serde_json::from_slice(&known.versions[0].raw)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&known.versions[0].raw)));
        let id = &raw["id"];
        assert_eq!(id["applicationName"].as_str(), Some(known.stream.as_str()));
        if let Some(time) = id["time"].as_str() {
            assert_eq!(time.parse::<DateTime<Utc>>().unwrap(), known.occurred_at);
        }
        let qualifier = id["uniqueQualifier"].as_str().unwrap_or_default();
        *by_qualifier.entry((known.stream.clone(), qualifier.to_owned())).or_default() += 1;
        seen.extend(
            [
                ("no time", id.get("time").is_none()),
                ("negative qualifier", qualifier.starts_with('-')),
                ("number as qualifier", id["uniqueQualifier"].is_i64()),
                ("old qualifier", id.get("uniqQualifier").is_some()),
                ("no address", raw.get("ipAddress").is_none()),
                (
                    "invalid address",
                    raw["ipAddress"].as_str().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err()),
                ),
                ("no actor", raw.get("actor").is_none()),
                ("no email", raw["actor"].is_object() && raw["actor"].get("email").is_none()),
                ("empty email", raw["actor"]["email"] == ""),
                ("system", raw["actor"]["key"] == "SYSTEM"),
                ("agent", raw["isAgenticAction"] == true),
                ("resource", raw["resourceDetails"].is_array()),
                ("network", raw["networkInfo"]["ipAsn"].is_array()),
                ("device", raw["userDeviceInfo"].is_object()),
            ]
            .iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| *name),
        );
        let events = raw["events"].as_array().unwrap();
        if events.len() > 1 {
            seen.insert("several events");
        }
        for event in events {
            if event.get("type").is_none() {
                seen.insert("no type");
            }
            if event["status"]["eventStatus"].is_string() {
                seen.insert("status");
            }
            for parameter in event["parameters"].as_array().into_iter().flatten() {
                for form in
                    ["value", "intValue", "boolValue", "multiValue", "messageValue", "multiMessageValue"]
                {
                    if parameter.get(form).is_some() {
                        seen.insert(form);
                    }
                }
                if parameter.as_object().unwrap().len() == 1 {
                    seen.insert("name only");
                }
            }
        }
    }
    assert!(by_qualifier.values().any(|count| *count == 2), "a qualifier alone is no id");
    for wanted in [
        "no time",
        "negative qualifier",
        "number as qualifier",
        "old qualifier",
        "no address",
        "invalid address",
        "no actor",
        "no email",
        "empty email",
        "system",
        "agent",
        "resource",
        "network",
        "device",
        "several events",
        "no type",
        "status",
        "value",
        "intValue",
        "boolValue",
        "multiValue",
        "messageValue",
        "multiMessageValue",
        "name only",
    ] {
        assert!(seen.contains(wanted), "{wanted}");
    }
}

#[test]
fn the_control_api_adds_records_and_tells_what_is_known() {
    let google = Google::new(customer(vec![]));
    let control = |method: &str, uri: &str, order: Value| {
        let body = if order.is_null() { Bytes::new() } else { Bytes::from(order.to_string()) };
        google.handle(&Request::builder().method(method).uri(uri).body(body).unwrap(), start())
    };
    let order = json!({"stream": "login", "records": 12, "start": start() - TimeDelta::hours(1), "spread_s": 600, "late": false});
    assert_eq!(control("POST", "/_sim/generate", order).status, 200);
    let order = json!({
        "stream": "alerts",
        "occurred_at": start(),
        "versions": [{"visible_at": start() + TimeDelta::hours(1), "record": {"alertId": "a-1", "type": "Übung"}}],
    });
    assert_eq!(control("POST", "/_sim/records", order).status, 200);
    assert_eq!(control("POST", "/_sim/records", json!({"stream": 1})).status, 400);
    let known = body(&control("GET", "/_sim/known", Value::Null));
    let known = known["known"].as_array().unwrap();
    assert_eq!(known.len(), 13);
    assert_eq!(known.iter().filter(|record| record["visible"] == true).count(), 12);
    let totals = google.totals(start());
    assert_eq!(
        (&totals["records"], &totals["visible"], &totals["served"]),
        (&json!(13), &json!(12), &json!(0))
    );
    assert_eq!(control("GET", "/_sim/documents?id=a-1", Value::Null).status, 404, "not yet");
    google.advance(TimeDelta::hours(1));
    assert_eq!(body(&control("GET", "/_sim/documents?id=a-1", Value::Null))["alertId"], "a-1");
    assert!(google.requests().is_empty(), "control requests are not logged");
}
