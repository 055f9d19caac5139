//! Requests, pages, windows.

use super::*;
use tidegate_core::testkit::source::{Vendor, conforms};

/// The suite, once for each shape of list.
struct List(Key, &'static str);

impl Vendor for List {
    fn open(&self, http: Client) -> Arc<dyn Source> {
        self.0.open(http, json!({}))
    }
    fn prepare(&self, script: &Script) {
        script.aside(|request, _| {
            let body = r#"{"access_token":"ya29.SECRET","expires_in":3599,"token_type":"Bearer"}"#;
            (request.method() == "POST").then(|| Reply::json(200, body))
        });
    }
    fn stream(&self) -> &'static Stream {
        stream(self.1)
    }
    fn secrets(&self) -> Vec<String> {
        vec!["ya29.SECRET".to_owned()]
    }
    fn full(&self) -> usize {
        if self.1 == ALERTS { 50 } else { 1000 }
    }
    fn page(&self, records: usize, place: &str) -> Reply {
        if self.1 == ALERTS {
            let alerts: Vec<_> =
                (0..records).map(|n| alert(&format!("a{n}"), "2026-05-28T20:00:00Z")).collect();
            return alert_page(&alerts, Some(place));
        }
        activities(&(0..records).map(login).collect::<Vec<_>>(), Some(place))
    }
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply> {
        let query = query_of(&request.uri().to_string());
        Some(self.page(1, &query.iter().find(|(name, _)| name == "pageToken").unwrap().1))
    }
    fn foreign(&self) -> Option<Reply> {
        None
    }
    fn refusal(&self, status: u16, words: &str) -> Reply {
        refusal(status, "x", words)
    }
    fn limited(&self, _now: DateTime<Utc>, seconds: Option<u64>) -> Reply {
        let reply = refusal(403, "userRateLimitExceeded", "Quota exceeded for quota metric 'Queries'");
        match seconds {
            Some(seconds) => reply.header("retry-after", &seconds.to_string()),
            None => reply,
        }
    }
    fn crowded(&self, _now: DateTime<Utc>, _seconds: u64) -> Option<Reply> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_with_an_application() {
    conforms(&List(Key::new(), "login")).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_with_alerts() {
    conforms(&List(Key::new(), ALERTS)).await;
}

/// One poll of this place with this answer; the request's URL and the page.
async fn poll(more: Json, name: &str, place: &Place, reply: Reply) -> (String, Page) {
    let (key, script) = (Key::new(), Script::start());
    let _google = Google::start(&script);
    script.push(reply);
    let page = key.open(script.client(), more).poll(stream(name), place).await.unwrap();
    (script.asked().pop().unwrap(), page)
}

#[tokio::test(start_paused = true)]
async fn each_application_is_one_unfiltered_query() {
    // G7: a query for each event name burns the quota.
    for (name, place, wants) in [
        (
            "login",
            hour(None),
            "https://admin.googleapis.com/admin/reports/v1/activity/users/all/applications/login?startTime=2026-05-28T19%3A00%3A00.000Z&endTime=2026-05-28T20%3A00%3A00.000Z&maxResults=1000&prettyPrint=false",
        ),
        (
            "brand_new_application",
            hour(Some("A:1 /+=")),
            "https://admin.googleapis.com/admin/reports/v1/activity/users/all/applications/brand_new_application?startTime=2026-05-28T19%3A00%3A00.000Z&endTime=2026-05-28T20%3A00%3A00.000Z&maxResults=1000&prettyPrint=false&pageToken=A%3A1%20%2F%2B%3D",
        ),
    ] {
        assert_eq!(poll(json!({}), name, &place, activities(&[], None)).await.0, wants);
    }
}

#[tokio::test(start_paused = true)]
async fn filters_and_the_user_are_percent_encoded() {
    let more = json!({
        "user_key": "pat+o'doe/x@example.com", "event_name": "login_failure & more", "org_unit_id": "id:03ph8a2z1",
        "customer_id": "C0example", "limit": 10, "url": "http://127.0.0.1:9000",
    });
    let (asked, _) = poll(more, "login", &hour(None), activities(&[], None)).await;
    let (path, _) = asked.split_once('?').unwrap();
    assert_eq!(
        path,
        "http://127.0.0.1:9000/admin/reports/v1/activity/users/pat+o'doe%2Fx@example.com/applications/login"
    );
    assert!(
        asked.ends_with("&maxResults=10&customerId=C0example&eventName=login_failure%20%26%20more&orgUnitID=id%3A03ph8a2z1&prettyPrint=false"),
        "{asked}"
    );
}

#[tokio::test(start_paused = true)]
async fn bounds_hold_every_instant_of_the_window_and_are_never_empty() {
    for (from, to, start, end) in [
        ("2026-05-28T19:00:00.1234Z", "2026-05-28T19:30:00.0001Z", "19:00:00.123", "19:30:00.001"),
        ("2026-05-28T19:00:00.5Z", "2026-05-28T19:00:00.5Z", "19:00:00.500", "19:00:00.501"),
    ] {
        let (asked, _) = poll(json!({}), "admin", &window(from, to, None), activities(&[], None)).await;
        let query = query_of(&asked);
        assert_eq!(query[0], ("startTime".to_owned(), format!("2026-05-28T{start}Z")));
        assert_eq!(query[1], ("endTime".to_owned(), format!("2026-05-28T{end}Z")));
    }
}

#[tokio::test(start_paused = true)]
async fn g1_g8_a_window_is_over_with_its_last_page_and_all_else_of_the_query_stays() {
    let (key, script) = (Key::new(), Script::start());
    let _google = Google::start(&script);
    let source = key.open(script.client(), json!({ "limit": 2 }));
    script.push(activities(&[login(5), login(4)], Some("p2")));
    // G10: an empty page goes on where it names a next one.
    script.push(activities(&[], Some("p3")));
    script.push(activities(&[login(1)], None));
    let (mut token, mut records, mut pages) = (None, 0, 0);
    loop {
        let Place::Window { from, to, .. } = hour(None) else { unreachable!() };
        let page = source.poll(stream("login"), &Place::Window { from, to, token }).await.unwrap();
        (records, pages) = (records + page.records.len(), pages + 1);
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((records, pages), (3, 3));
    let asked: Vec<_> = script.asked().iter().map(|uri| query_of(uri)).collect();
    let tokens: Vec<_> = asked
        .iter()
        .map(|query| query.iter().find(|(name, _)| name == "pageToken").map(|(_, token)| token.clone()))
        .collect();
    assert_eq!(tokens, [None, Some("p2".to_owned()), Some("p3".to_owned())]);
    let rest = |query: &Vec<(String, String)>| {
        query.iter().filter(|(name, _)| name != "pageToken").cloned().collect::<Vec<_>>()
    };
    assert!(asked.iter().all(|query| rest(query) == rest(&asked[0])));
    // The next window begins without a token.
    script.push(activities(&[], None));
    source.poll(stream("login"), &hour(None)).await.unwrap();
    assert!(!script.asked()[0].contains("pageToken"));
}

#[tokio::test(start_paused = true)]
async fn g10_no_items_are_an_empty_page() {
    for body in [
        r#"{"kind":"admin#reports#activities","etag":"x"}"#,
        r#"{"kind":"admin#reports#activities","items":null,"nextPageToken":null}"#,
        r#"{"items":[],"nextPageToken":""}"#,
    ] {
        let (_, page) = poll(json!({}), "login", &hour(None), Reply::json(200, body)).await;
        assert!(page.records.is_empty() && page.next.is_none(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_whatever_the_list_holds() {
    let body = r#"{"items":[],"items":[ {"id":null} , 7,"x",null,[{}]],"nextPageToken":"p"}"#;
    let (_, page) = poll(json!({}), "login", &hour(None), Reply::json(200, body)).await;
    let texts: Vec<_> = page.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    assert_eq!(texts, [r#"{"id":null}"#, "7", "\"x\"", "null", "[{}]"]);
    let deep = format!("{{\"items\":[{}1{}]}}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(poll(json!({}), "login", &hour(None), Reply::json(200, deep)).await.1.records.len(), 1);
}

#[test]
fn g2_g4_g5_every_application_is_read_again_at_every_horizon() {
    for stream in STREAMS.iter().chain([stream("brand_new_application")]) {
        let tidegate_core::source::StreamKind::Windowed { settle, visible_after, unit, widest } = stream.kind
        else {
            panic!("{} has no windows", stream.name)
        };
        let minutes: Vec<_> = settle.iter().map(|horizon| horizon.as_secs() / 60).collect();
        assert_eq!(minutes, [30, 240, 1440, 4320], "{}", stream.name);
        // G14: what is read again after a restart is bounded.
        assert_eq!((visible_after.as_secs(), unit.as_millis(), widest.as_secs()), (120, 1, 86_400));
        assert_eq!(stream.retention.as_secs(), 180 * 86_400 - 3600);
        assert_eq!(stream.poll.as_secs(), 60);
        assert_eq!(stream.immutable, stream.name != ALERTS);
    }
}

// Alerts.

pub(super) fn alert(id: &str, updated: &str) -> Json {
    json!({ "alertId": id, "createTime": "2026-05-20T08:00:00.123456Z", "updateTime": updated, "type": "Leaked password" })
}

fn alert_page(alerts: &[Json], next: Option<&str>) -> Reply {
    let mut body = json!({});
    if !alerts.is_empty() {
        body["alerts"] = alerts.into();
    }
    if let Some(next) = next {
        body["nextPageToken"] = next.into();
    }
    Reply::json(200, body.to_string())
}

#[tokio::test(start_paused = true)]
async fn alerts_are_asked_for_by_the_time_of_their_change() {
    let (asked, _) =
        poll(json!({ "customer_id": "C0example" }), ALERTS, &hour(Some("p2")), alert_page(&[], None)).await;
    assert!(
        asked.starts_with(
            "https://alertcenter.googleapis.com/v1beta1/alerts?filter=createTime%20%3E%3D%20%22"
        )
    );
    let query: Vec<_> = query_of(&asked);
    let pairs: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            (
                "filter",
                "createTime >= \"2025-12-09T19:00:00.000Z\" AND createTime < \"2026-05-28T20:00:00.000Z\""
            ),
            ("orderBy", "update_time desc"),
            ("pageSize", "50"),
            ("customerId", "0example"),
            ("prettyPrint", "false"),
            ("pageToken", "p2"),
        ]
    );
    let (asked, _) = poll(
        json!({ "customer_id": "my_customer", "event_name": "x" }),
        ALERTS,
        &hour(None),
        alert_page(&[], None),
    )
    .await;
    assert!(!asked.contains("customerId") && !asked.contains("eventName"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn the_walk_over_alerts_ends_at_the_first_that_was_changed_before_the_window() {
    let ids = |page: &Page| {
        page.iter()
            .map(|record| serde_json::from_slice::<Json>(record).unwrap()["alertId"].to_string())
            .collect::<String>()
    };
    let (later, inside, before) =
        ("2026-05-28T20:00:00.000001Z", "2026-05-28T19:00:00Z", "2026-05-28T18:59:59.999999Z");
    for (times, next, kept) in [
        // All of the page belongs to the window or comes after it.
        (vec![later, inside, inside], true, "\"0\"\"1\"\"2\""),
        (vec![later, inside, before], false, "\"0\"\"1\""),
        (vec![before, before], false, ""),
        // Not the order that was asked for: nothing says what follows.
        (vec![before, inside], true, "\"1\""),
        (vec![inside, before, later, before], true, "\"0\"\"2\""),
        // A time that cannot be read says nothing either.
        (vec!["soon", before], true, "\"0\""),
    ] {
        let alerts: Vec<_> = times.iter().enumerate().map(|(n, time)| alert(&n.to_string(), time)).collect();
        let (_, page) = poll(json!({}), ALERTS, &hour(None), alert_page(&alerts, Some("p2"))).await;
        assert_eq!((page.next.is_some(), ids(&page).as_str()), (next, kept), "{times:?}");
    }
    // What people did has a time of its own: it keeps an alert, and says nothing about the order.
    let mut handled = alert("1", before);
    handled["metadata"] = json!({ "status": "CLOSED", "updateTime": inside });
    let alerts = [alert("0", inside), handled, alert("2", before)];
    let (_, page) = poll(json!({}), ALERTS, &hour(None), alert_page(&alerts, Some("p2"))).await;
    assert_eq!((page.next.is_some(), ids(&page).as_str()), (false, "\"0\"\"1\""));
    let odd = Reply::json(200, r#"{"alerts":[7,null,{"updateTime":7},[]],"nextPageToken":"p2"}"#);
    let (_, page) = poll(json!({}), ALERTS, &hour(None), odd).await;
    assert_eq!((page.records.len(), page.next.is_some()), (4, true));
}
