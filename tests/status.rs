//! `tidegate status`: what an operator reads beside a running process, of journals that are written here; and the same as
//! metrics.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "common/books.rs"]
mod books;

use books::{Books, TENANT, at, now, part, rows};
use chrono::TimeDelta;
use serde_json::Value;
use std::time::Duration;
use tidegate::cli::status::{Args, lines};
use tidegate::serve::{Boards, metrics};
use tidegate::world::World;
use tidegate_core::board::Board;
use tidegate_core::clock::Clock;
use tidegate_core::collect::feed;
use tidegate_core::collect::window::Memo;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::journal::{
    Change, FileJournal, GivenUp, Grade, Interval, Journal as _, Key, Lane, LeftOut, NewPage, NewRecord,
    OpenOptions, Purpose, QuotaRow, Span, StreamKey, Work,
};

fn status(changes: Vec<Change>) -> (String, Value) {
    status_of(TENANT, changes)
}

fn status_of(tenant: &str, changes: Vec<Change>) -> (String, Value) {
    let books = Books::new(tenant, changes);
    let shown = |json| {
        let (code, lines) =
            lines(&books.world, &books.config, &Args { tenant: Vec::new(), json, drift: None });
        assert_eq!(code, 0);
        lines.join("\n")
    };
    let object: Value = serde_json::from_str(&shown(true)).unwrap();
    // The size of a journal is none of these tests' business.
    let text = shown(false);
    let (head, rest) = text.split_once('\n').unwrap();
    let head = head.split_once("  journal").unwrap().0;
    (format!("{head}\n{rest}"), object["acme"].clone())
}

fn line<'t>(text: &'t str, stream: &str) -> &'t str {
    text.lines().find(|line| line.trim_start().starts_with(stream)).unwrap_or_else(|| panic!("{text}"))
}

fn of<'v>(status: &'v Value, stream: &str) -> &'v Value {
    let find = |line: &&Value| line["stream"] == stream;
    status["streams"].as_array().unwrap().iter().find(find).unwrap()
}

/// Okta's live chain, whose last page is so many minutes old and whose last record so many.
fn chain(page: i64, record: i64) -> Work {
    let memo = feed::Memo {
        drained: Some(now() - TimeDelta::minutes(page)),
        heard: Some(now() - TimeDelta::minutes(record)),
        ..feed::Memo::default()
    };
    let memo = serde_json::to_string(&memo).unwrap();
    Work { memo, ..books::work("okta", "system_log", Lane::Live, "live", 99, None, &Memo::default()) }
}

fn cover(source: &str, stream: &str, (from, to): (i64, i64), grade: Grade, cause: Option<&str>) -> Change {
    let row = books::row(&format!("{source}/{stream}"), from, to, grade, 0);
    Change::Cover(Interval { cause: cause.map(str::to_owned), ..row })
}

#[test]
fn every_stream_has_one_line_and_what_is_off_its_reason() {
    let mut changes =
        vec![Change::Work(chain(1, 2)), cover("okta", "system_log", (99, 0), Grade::Chain, None)];
    changes.extend(rows("work", "login", 0, 25));
    changes.push(cover("work", "login", (99, 25), Grade::Settled, None));
    changes.push(cover("work", "login", (25, 0), Grade::Fetched, None));
    // Of forty hours ten are left, after three hours.
    changes.push(part("work", "login", "gap-1", (150, 144), 40, Some(3)));
    changes.push(part("work", "login", "gap-1", (130, 126), 40, Some(3)));
    changes.extend(rows("work", "admin", 3, 40));
    let (text, object) = status(changes);
    insta::assert_snapshot!(text);
    let login = of(&object, "login");
    assert_eq!(
        (&login["doing"], &login["settled_to"]),
        (&"caught_up".into(), &"2026-05-30T23:00:00Z".into())
    );
    assert_eq!(
        (&login["backfills"][0]["percent"], &login["backfills"][0]["left_s"]),
        (&75.into(), &3600.into())
    );
    assert_eq!(
        (&of(&object, "admin")["doing"], &of(&object, "alerts")["doing"]),
        (&"behind".into(), &"not_begun".into())
    );
    assert_eq!(of(&object, "drive")["off"], "too much of it");
    assert!(object["works"][0]["lane"].is_string(), "{object}");
}

#[test]
fn quiet_and_broken_look_different() {
    let (text, object) = status(vec![Change::Work(chain(1, 240))]);
    assert!(
        line(&text, "okta/system_log").contains("quiet since 05-31 20:00Z (4 h): pages come, no records"),
        "{text}"
    );
    assert_eq!(of(&object, "system_log")["doing"], "quiet");

    let mut broken = chain(240, 240);
    let mut memo: feed::Memo = serde_json::from_str(&broken.memo).unwrap();
    memo.failing = Some(at(4));
    broken.memo = serde_json::to_string(&memo).unwrap();
    broken.reason = Some("okta: the server failed (503)\nask Okta's status page".to_owned());
    broken.wait_until = Some(now() + TimeDelta::seconds(725));
    let (text, object) = status(vec![Change::Work(broken)]);
    let said = line(&text, "okta/system_log");
    assert!(
        said.contains("BROKEN since 05-31 20:00Z: okta: the server failed (503); next try in 12 min"),
        "{text}"
    );
    assert!(text.contains("Fix: ask Okta's status page"), "{text}");
    let object = of(&object, "system_log");
    assert_eq!(
        (&object["doing"], &object["fault"]),
        (&"broken".into(), &"okta: the server failed (503)".into())
    );
    assert_eq!(
        (&object["remedy"], &object["since"]),
        (&"ask Okta's status page".into(), &"2026-05-31T20:00:00Z".into())
    );
}

#[test]
fn a_refused_credential_breaks_every_stream_of_its_source_although_one_of_them_was_refused() {
    let mut changes = rows("work", "login", 5, 29);
    changes.extend(rows("work", "admin", 5, 29));
    if let Change::Work(live) = &mut changes[0] {
        live.reason = Some("the credential was refused (401)\nmake a new key".to_owned());
    }
    changes.push(cover("work", "login", (5, 0), Grade::Hole, Some("credential")));
    changes.push(cover("work", "admin", (5, 0), Grade::Hole, Some("credential")));
    let (text, _) = status(changes);
    for stream in ["work/login", "work/admin"] {
        let said = line(&text, stream);
        assert!(said.contains("BROKEN since 05-31 19:00Z: the credential was refused (401)"), "{text}");
    }
}

#[test]
fn a_source_that_is_behind_because_of_the_vendors_limit_waits_and_is_not_broken() {
    let until = (now() + TimeDelta::seconds(41)).to_rfc3339();
    let state = format!(
        "{{\"requests\": {{\"limit\": 60, \"remaining\": 0, \"ours\": 12, \"not_before\": \"{until}\", \
         \"counters\": {{\"requests\": 1, \"refused_429\": 1, \"concurrency_refusals\": 0}}}}}}"
    );
    let quota = Change::Quota(QuotaRow { source: "okta".to_owned(), not_before: None, state });
    let mut behind = chain(90, 90);
    behind.reason = Some("the rate limit is used up (429)".to_owned());
    let (text, object) = status(vec![Change::Work(behind), quota.clone()]);
    assert!(line(&text, "okta/system_log").ends_with("waiting 41 s: 60/60 used, 12 ours"), "{text}");
    assert_eq!(of(&object, "system_log")["doing"], "waiting");
    let (text, _) = status(vec![Change::Work(chain(1, 1)), quota]);
    assert!(
        line(&text, "okta/system_log").contains("caught up"),
        "who has everything waits for nothing: {text}"
    );
}

/// The vendor makes us wait 41 s in one of its limits, and an hour in the other.
#[test]
fn a_stream_waits_for_the_limit_that_it_spends_from() {
    let until = |seconds: i64| (now() + TimeDelta::seconds(seconds)).to_rfc3339();
    let state = format!(
        "{{\"alerts\": {{\"not_before\": \"{}\"}}, \"requests\": {{\"not_before\": \"{}\"}}}}",
        until(3_600),
        until(41)
    );
    let mut changes = rows("work", "login", 5, 29);
    changes.extend(rows("work", "alerts", 5, 29));
    changes.push(Change::Quota(QuotaRow { source: "work".to_owned(), not_before: None, state }));
    let (text, object) = status(changes);
    assert!(line(&text, "work/login").contains("waiting 41 s"), "{text}");
    assert!(line(&text, "work/alerts").contains("waiting 3600 s"), "{text}");
    let of = |stream: &str| {
        let works = object["works"].as_array().unwrap();
        works.iter().find(|work| work["stream"] == stream).unwrap()["quota"].as_str().unwrap().to_owned()
    };
    assert!(
        of("login").starts_with("waiting 41 s") && of("alerts").starts_with("waiting 3600 s"),
        "{object}"
    );
}

#[test]
fn a_sweep_or_backfill_that_fails_is_said_beside_what_live_reading_does() {
    let mut changes = rows("work", "login", 0, 26);
    let fail = |change: &mut Change, since: i64| {
        let Change::Work(work) = change else { panic!() };
        let memo: Memo = serde_json::from_str(&work.memo).unwrap();
        work.memo = serde_json::to_string(&Memo { failing: Some(at(since)), ..memo }).unwrap();
        work.reason = Some("the server failed (503)\nask the vendor's status page".to_owned());
        work.wait_until = Some(now() + TimeDelta::seconds(90));
    };
    changes.extend([part("work", "login", "gap-1", (150, 144), 40, None)]);
    changes.extend([part("work", "login", "gap-1", (130, 126), 40, None)]);
    fail(&mut changes[3], 2);
    fail(&mut changes[4], 3);
    let (text, object) = status(changes.clone());
    let said = line(&text, "work/login");
    let beside = "caught up · a backfill fails since 05-31 21:00Z: the server failed (503); next try in 1 min · backfill 75 %";
    assert!(said.contains(beside), "{text}");
    assert!(text.contains("Fix: ask the vendor's status page"), "{text}");
    let login = of(&object, "login");
    assert_eq!(login["doing"], "caught_up");
    assert_eq!(
        (&login["beside"][0]["lane"], &login["beside"][0]["fault"]),
        (&"backfill".into(), &"the server failed (503)".into())
    );
    // What live reading suffers from too is said once.
    fail(&mut changes[0], 1);
    let (text, object) = status(changes);
    assert_eq!(text.matches("the server failed (503)").count(), 1, "{text}");
    assert_eq!(of(&object, "login")["doing"], "broken");
}

#[test]
fn a_stream_that_is_asked_seldom_is_behind_or_quiet_by_its_own_measure() {
    let hourly = TENANT.replace("[tenant.acme.source.work]", "poll = \"1h\"\n\n[tenant.acme.source.work]");
    let of = |page: i64, record: i64| {
        let (text, _) = status_of(&hourly, vec![Change::Work(chain(page, record))]);
        line(&text, "okta/system_log").trim_start_matches("  okta/system_log").trim().to_owned()
    };
    assert_eq!(of(64, 64), "caught up");
    assert_eq!(of(67, 67), "behind by 1 h 7 min");
    assert_eq!(of(59, 119), "caught up", "one poll that brings nothing is no silence");
    assert!(of(10, 130).starts_with("quiet since 05-31 21:50Z"));
}

/// Of five days the second is missing, and the fourth is not settled.
#[test]
fn read_and_settled_up_to_end_where_something_is_missing() {
    let cover = |from, to, grade| cover("work", "login", (from, to), grade, None);
    let mut changes = vec![
        cover(120, 96, Grade::Settled),
        cover(72, 48, Grade::Settled),
        cover(48, 24, Grade::Fetched),
        cover(24, 0, Grade::Settled),
    ];
    changes.extend(rows("work", "login", 0, 0));
    let up_to = |changes: &[Change]| {
        let (text, object) = status(changes.to_vec());
        let login = of(&object, "login");
        let time = |member: &str| login[member].as_str().unwrap().to_owned();
        (line(&text, "work/login").contains(" only"), time("covered_to"), time("settled_to"))
    };
    let missing = "2026-05-28T00:00:00Z";
    assert_eq!(up_to(&changes), (true, missing.to_owned(), missing.to_owned()));
    changes.push(cover(96, 72, Grade::Hole));
    assert_eq!(up_to(&changes), (true, missing.to_owned(), missing.to_owned()));
    changes.push(cover(96, 72, Grade::Fetched));
    assert_eq!(up_to(&changes), (false, "2026-06-01T00:00:00Z".to_owned(), missing.to_owned()));
    changes.push(cover(96, 72, Grade::Settled));
    // What was lost before the oldest time that was read takes nothing from it.
    changes.push(cover(150, 120, Grade::Hole));
    let settled = "2026-05-30T00:00:00Z".to_owned();
    assert_eq!(up_to(&changes), (false, "2026-06-01T00:00:00Z".to_owned(), settled));
}

#[test]
fn sweeps_are_seen_and_so_is_that_they_do_not_keep_up() {
    let mut changes = rows("work", "login", 0, 60);
    if let Change::Work(sweep) = &mut changes[1] {
        let window = books::in_hand(2, 1);
        let memo = Memo { horizon: 1_800, window: Some(window), ..Memo::default() };
        sweep.memo = serde_json::to_string(&memo).unwrap();
    }
    let (text, object) = status(changes);
    assert!(line(&text, "work/login").ends_with("caught up · sweeping · settling behind"), "{text}");
    assert_eq!(
        (&of(&object, "login")["sweeping"], &of(&object, "login")["settling_behind"]),
        (&true.into(), &true.into())
    );
}

#[tokio::test]
async fn metrics_tell_a_quiet_stream_from_a_broken_one() {
    let mut changes = vec![cover("work", "login", (99, 25), Grade::Settled, None)];
    changes.push(part("work", "login", "gap-1", (30, 20), 40, None));
    let books = Books::new(TENANT, changes);
    let board = Board::default();
    board.source("work", |source| {
        let login = source.streams.entry("login".to_owned()).or_default();
        (login.last_page, login.last_record, login.covered_to) = (Some(now()), Some(at(4)), Some(at(1)));
        let admin = source.streams.entry("admin".to_owned()).or_default();
        admin.last_page = Some(at(4));
        admin.fault = Some((Fault::new(FaultKind::Permission, "no"), at(4)));
    });
    let boards = Boards::default();
    boards.put("acme", board, books.dir.path().join("journal/acme"));
    let said = metrics(&boards).await;
    let value = |name: &str, stream: &str| {
        let labels = format!("tidegate_stream_{name}{{tenant=\"acme\",source=\"work\",stream=\"{stream}\"");
        let line = said.lines().find(|line| line.starts_with(&labels));
        line.map(|line| line.split_once('}').unwrap().1.trim().parse::<i64>().unwrap())
    };
    assert_eq!(value("last_page_seconds", "login"), Some(now().timestamp()), "{said}");
    assert_eq!(value("last_record_seconds", "login"), Some(at(4).timestamp()));
    assert_eq!(value("covered_to_seconds", "login"), Some(at(1).timestamp()));
    assert_eq!(value("settled_to_seconds", "login"), Some(at(25).timestamp()));
    assert_eq!(value("backfill_remaining_seconds", "login"), Some(36_000));
    assert_eq!((value("fault", "login"), value("fault", "admin")), (None, Some(1)), "{said}");
    assert!(said.contains("stream=\"admin\",kind=\"permission\"} 1"), "{said}");
    assert!(said.contains("# TYPE tidegate_stream_last_page_seconds gauge"), "{said}");
}

/// What the vendor sends beyond our tables is found by mapping again what is kept.
#[test]
fn drift_names_what_no_table_expects_by_its_path_and_how_often_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipeline.toml");
    let text = format!(
        "[journal]\ndir = \"{0}/journal\"\n[tenant.acme.source.okta]\nconnector = \"okta\"\n\
         url = \"https://acme.okta.com\"\nauth = {{ token = \"env:T\" }}\n[sink.files]\nkind = \"file\"\ndir = \"{0}/out\"\n",
        dir.path().display()
    );
    std::fs::write(&path, text).unwrap();
    let mut world = World::new(&[]);
    world.clock = Clock::starting_at(now());
    let config =
        tidegate::config::load(&path, std::iter::empty(), tidegate_connectors::ALL, tidegate_sinks::ALL)
            .unwrap();
    let page = |hours: i64, id: u128, bytes: &'static str| {
        let key = Key { hour: at(hours).timestamp().div_euclid(3600), id, meaning: 1 };
        Change::Page(NewPage {
            source: "okta".to_owned(),
            stream: "system_log".to_owned(),
            lane: Lane::Live,
            at: at(hours),
            records: vec![NewRecord { bytes: bytes.into(), key, occurrence: 0, late: false }],
            immutable: true,
            reread: false,
        })
    };
    let known = r#"{"uuid":"a","published":"2026-05-31T10:00:00.123Z","eventType":"user.session.start"}"#;
    let odd = r#"{"uuid":"b","published":"2026-05-31T10:00:00.123Z","novelty":{"a":1},"target":[{"id":"x","novel":"y"},{"id":"z","novel":2}],"securityContext":{"isProxy":"perhaps"}}"#;
    let journal =
        FileJournal::open(dir.path().join("journal/acme"), OpenOptions::new("test", now())).unwrap();
    journal.commit(&[page(50, 1, odd), page(5, 2, known), page(4, 3, odd), page(3, 4, odd)]).unwrap();
    drop(journal);
    let shown = |hours: u64, json| {
        let drift = Some(Duration::from_secs(hours * 3600));
        let (code, lines) = lines(&world, &config, &Args { tenant: Vec::new(), json, drift });
        assert_eq!(code, 0);
        lines.join("\n")
    };
    let told: Value = serde_json::from_str(&shown(24, true)).unwrap();
    assert_eq!(told["acme"]["records"], 3);
    let rows: Vec<String> = told["acme"]["streams"]["okta/system_log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {} {}", row["path"].as_str().unwrap(), row["count"], row["types"]))
        .collect();
    assert_eq!(
        rows,
        [
            r#"novelty 2 {"object":2}"#,
            r#"securityContext.isProxy 2 {"string":2}"#,
            r#"target[].novel 4 {"number":2,"string":2}"#,
        ]
    );
    assert!(shown(72, false).contains("4 records since"), "{}", shown(72, false));
    let text = shown(24, false);
    assert!(text.contains("target[].novel           number|string  4  last 05-31 21:00Z"), "{text}");
    assert!(shown(1, false).ends_with("nothing in them is unexpected"), "{}", shown(1, false));
}

#[test]
fn ranges_beside_the_lanes_and_what_sinks_gave_up_are_shown_with_their_remedies() {
    let page = |n: u128, stream: &str| {
        let record = |id| NewRecord {
            bytes: "{}".into(),
            key: Key { hour: 1, id, meaning: 1 },
            occurrence: 0,
            late: false,
        };
        Change::Page(NewPage {
            source: "okta".to_owned(),
            stream: stream.to_owned(),
            lane: Lane::Live,
            at: at(10 - i64::try_from(n).unwrap()),
            records: (n * 10..n * 10 + 4).map(record).collect(),
            immutable: true,
            reread: false,
        })
    };
    let barred = StreamKey::new("okta", "barred");
    let left = LeftOut { of: barred.clone(), until: None };
    let live = Span { except: vec![left], ..Span::follow("files", Lane::Live, 3) };
    let parked = Span {
        purpose: Purpose::Parked,
        only: Some(barred.clone()),
        next_record: 1,
        since: Some(at(8)),
        reason: Some("token may not write index idp_northwind\nallow it".to_owned()),
        ..Span::follow("files", Lane::Live, 2)
    };
    let replay = Span {
        purpose: Purpose::Replay,
        to: Some(2),
        mark: Some("fix".to_owned()),
        since: Some(at(1)),
        ..Span::follow("files", Lane::Live, 1)
    };
    let hole = GivenUp {
        id: 0,
        sink: "files".to_owned(),
        of: barred,
        pages: (1, 1),
        fetched: (at(20), at(19)),
        documents: 1_234,
        at: at(5),
        cause: "give_up_after".to_owned(),
    };
    let pages = [page(0, "system_log"), page(1, "barred"), page(2, "barred"), page(3, "system_log")];
    let rows = [Change::Span(live), Change::Span(parked), Change::Span(replay), Change::GaveUp(hole)];
    let (text, object) = status(pages.into_iter().chain(rows).collect());
    // 4 of live, 7 parked; what is only wanted once more is not lacking.
    assert!(text.contains("lacks 11 records, the oldest for 9 h"), "{text}");
    assert!(text.contains("PAUSED okta/barred (live) since "), "{text}");
    assert!(text.contains(", 7 records left: token may not write index idp_northwind\n"), "{text}");
    assert!(text.contains("Fix: allow it"), "{text}");
    assert!(text.contains("replay (live, marked fix) since ") && text.contains(", 4 records left"), "{text}");
    let hole = text.lines().find(|line| line.contains("HOLE")).unwrap();
    assert!(hole.contains("okta/barred  1,234 documents") && hole.contains("(give_up_after)"), "{hole}");
    assert!(
        hole.contains("tidegate replay --tenant acme --sink files --source okta --stream barred --from "),
        "{hole}"
    );
    let sink = &object["sinks"][0];
    assert_eq!(sink["backlog"], 11);
    let ranges: Vec<_> =
        sink["ranges"].as_array().unwrap().iter().map(|r| (&r["what"], &r["records"])).collect();
    assert_eq!(
        ranges,
        [(&Value::from("parked"), &Value::from(7)), (&Value::from("replay"), &Value::from(4))]
    );
    assert_eq!(sink["ranges"][0]["remedy"], "allow it");
    assert_eq!(
        (&sink["holes"][0]["documents"], &object["sink_holes"][0]["cause"]),
        (&1_234.into(), &"give_up_after".into())
    );
}
