//! `tidegate coverage`: what an auditor reads, of ledgers that are written here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "common/books.rs"]
mod books;

use books::{Books, TENANT, at, row};
use chrono::TimeDelta;
use serde_json::Value;
use tidegate::cli::coverage::{Args, lines};
use tidegate_core::journal::{Change, Grade, Interval, Key, Lane, NewPage, NewRecord};

fn args(from: &str, to: &str) -> Args {
    let time = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Args { tenant: Vec::new(), from: time(from), to: time(to), json: false }
}

fn table(books: &Books, args: &Args) -> String {
    let (code, lines) = lines(&books.world, &books.config, args);
    assert_eq!(code, 0);
    lines.join("\n")
}

fn statements(books: &Books) -> Vec<Value> {
    let (_, lines) = lines(&books.world, &books.config, &Args { json: true, ..args("", "") });
    let object: Value = serde_json::from_str(&lines[0]).unwrap();
    object["acme"].as_array().unwrap().clone()
}

fn hole(stream: &str, from: i64, to: i64, cause: &str, days: Option<i64>) -> Interval {
    let repairable_until = days.map(|days| at(0) + TimeDelta::days(days));
    Interval { cause: Some(cause.to_owned()), repairable_until, ..row(stream, from, to, Grade::Hole, 0) }
}

fn ledger(rows: Vec<Interval>) -> Vec<Change> {
    rows.into_iter().map(Change::Cover).collect()
}

#[test]
fn the_table_says_how_well_each_stream_is_proven_and_what_can_be_done_about_holes() {
    let mut changes = ledger(vec![
        row("okta/system_log", 745, 0, Grade::Chain, 1_204_331),
        row("work/login", 745, 26, Grade::Settled, 3_880_000),
        row("work/login", 26, 0, Grade::Fetched, 112),
        row("work/admin", 745, 485, Grade::Settled, 300),
        hole("work/admin", 485, 484, "quota", Some(100)),
        row("work/admin", 484, 27, Grade::Settled, 402),
        hole("work/admin", 27, 26, "retention", None),
        row("work/admin", 26, 0, Grade::Fetched, 2),
    ]);
    changes.extend(["login", "admin"].into_iter().flat_map(|stream| books::rows("work", stream, 0, 26)));
    let books = Books::new(TENANT, changes);
    insta::assert_snapshot!(table(&books, &args("", "")));
}

/// Twenty records, three of them late, and two later meanings.
#[test]
fn late_and_revised_records_are_counted_where_the_journal_counted_them() {
    let record = |id: u128, meaning: u64, late: bool| NewRecord {
        bytes: "{}".into(),
        key: Key { hour: at(40).timestamp().div_euclid(3600), id, meaning },
        occurrence: 0,
        late,
    };
    let page = |records: Vec<NewRecord>| {
        Change::Page(NewPage {
            source: "work".to_owned(),
            stream: "login".to_owned(),
            lane: Lane::Live,
            at: at(0),
            records,
            immutable: false,
            reread: false,
        })
    };
    let mut changes = ledger(vec![row("work/login", 48, 0, Grade::Fetched, 29)]);
    changes.push(page((0..20).map(|n| record(n, 1, n < 3)).collect()));
    changes.push(page(vec![record(1, 2, false), record(2, 2, false), record(3, 1, true)]));
    let books = Books::new(TENANT, changes);
    let said = table(&books, &args("", ""));
    let line = said.lines().find(|line| line.starts_with("work/login")).unwrap();
    assert!(line.ends_with("100 %    0 %           20        3  0 (2 revised)"), "{said}");
    let said = table(&books, &args("20h", ""));
    let line = said.lines().find(|line| line.starts_with("work/login")).unwrap();
    assert!(line.ends_with(" 0        0  0"), "nothing came of these hours: {said}");
}

#[test]
fn a_stream_is_settled_only_when_all_that_is_old_enough_is() {
    let of = |changes: Vec<Change>| {
        let books = Books::new(TENANT, changes);
        let said = statements(&books);
        let summary =
            said.iter().find(|said| said["stream"] == "login" && said["summary"].is_object()).unwrap();
        summary["summary"]["grade"].as_str().unwrap().to_owned()
    };
    let login = |from, to, grade| row("work/login", from, to, grade, 1);
    let (settled, fetched) = (Grade::Settled, Grade::Fetched);
    let behind = |changes: Vec<Interval>, sweep: i64| {
        ledger(changes).into_iter().chain(books::rows("work", "login", 0, sweep)).collect()
    };
    assert_eq!(of(behind(vec![login(90, 25, settled), login(25, 0, fetched)], 25)), "settled");
    // A finding at the last horizon is swept again: until then that hour is only fetched.
    let finding =
        vec![login(90, 40, settled), login(40, 39, fetched), login(39, 25, settled), login(25, 0, fetched)];
    assert_eq!(of(behind(finding, 25)), "fetched");
    // Two batches of six hours are no delay, more is.
    assert_eq!(of(behind(vec![login(90, 35, settled), login(35, 0, fetched)], 35)), "settled");
    assert_eq!(of(behind(vec![login(90, 37, settled), login(37, 0, fetched)], 37)), "settling behind");
    assert_eq!(of(behind(vec![login(20, 0, fetched)], 20)), "fetched", "nothing is old enough yet");
    // A time that is missing is not settled.
    let gap = vec![login(90, 60, settled), login(50, 25, settled), login(25, 0, fetched)];
    assert_eq!(of(behind(gap, 25)), "fetched");
    assert_eq!(of(ledger(vec![hole("work/login", 9, 0, "permission", Some(9))])), "hole");
}

#[test]
fn what_is_being_read_and_what_nobody_has_asked_for_are_no_holes() {
    let mut changes = ledger(vec![
        row("work/login", 80, 60, Grade::Settled, 10),
        row("work/login", 20, 0, Grade::Fetched, 10),
    ]);
    changes.extend(books::rows("work", "login", 0, 20));
    // Of forty hours ten are left, in two parts.
    changes.push(books::part("work", "login", "gap-1", (60, 56), 40, Some(4)));
    changes.push(books::part("work", "login", "gap-1", (26, 20), 40, Some(4)));
    changes.extend(ledger(vec![row("work/login", 56, 26, Grade::Fetched, 5)]));
    let books = Books::new(TENANT, changes);
    let said = table(&books, &args("96h", ""));
    insta::assert_snapshot!(said);
}

#[test]
fn json_keeps_the_ledgers_rows_and_says_what_is_off() {
    let books = Books::new(TENANT, ledger(vec![row("okta/system_log", 9, 0, Grade::Chain, 7)]));
    let said = statements(&books);
    let interval = &said[0];
    for member in
        ["id", "source", "stream", "from", "to", "grade", "cause", "repairable_until", "count", "read_at"]
    {
        assert!(interval.get(member).is_some(), "{member}: {interval}");
    }
    let off = |source: &str, stream: &str| {
        let of = |said: &&Value| said["source"] == source && said["stream"] == stream;
        said.iter().filter(of).find_map(|said| said["off"].as_str())
    };
    assert_eq!(off("lab", "*"), Some("no Workspace licence"));
    assert_eq!(off("work", "drive"), Some("too much of it"));
    let summary = said.iter().find(|said| said["summary"].is_object()).unwrap();
    assert_eq!((&summary["summary"]["fetched"], &summary["summary"]["settled"]), (&1.0.into(), &Value::Null));
}

/// The fakes' vendor keeps 90 days.
#[test]
fn of_a_hole_it_is_said_which_part_can_be_recovered_until_when_and_why_not() {
    let day = |days: i64| days * 24;
    let books = Books::new(
        TENANT,
        ledger(vec![
            hole("work/login", day(100), day(95), "permission", Some(-10)),
            row("work/login", day(95), day(92), Grade::Settled, 1),
            hole("work/login", day(92), day(88), "permission", Some(-2)),
            row("work/login", day(88), day(50), Grade::Settled, 1),
            hole("work/login", day(50), day(40), "credential", Some(40)),
            row("work/login", day(40), day(30), Grade::Settled, 1),
            hole("work/login", day(30), day(30) - 1, "burst", None),
        ]),
    );
    let said = table(&books, &args("", ""));
    let of = |cause: &str, n: usize| {
        let mut lines = said.lines().skip_while(|line| !line.contains(cause) || !line.starts_with("hole"));
        lines.nth(n).unwrap().trim().to_owned()
    };
    assert!(said.contains("cannot be recovered: the vendor does not show that time any more"), "{said}");
    assert!(
        said.contains(
            "recoverable from 03-03 00:05Z on until 2026-06-03 (what is before it is gone): tidegate"
        ),
        "{said}"
    );
    assert!(
        of("credential", 1).starts_with("recoverable until 2026-07-11, its end until 2026-07-21: "),
        "{said}"
    );
    assert!(of("burst", 1).starts_with("cannot be recovered: one moment held more records"), "{said}");
    let holes: Vec<Value> = statements(&books).into_iter().filter(|said| said["grade"] == "hole").collect();
    assert_eq!(holes.len(), 4);
    assert_eq!(holes[0]["recoverable"], Value::Null);
    assert!(
        holes[1]["recoverable"]["from"].as_str().unwrap().starts_with("2026-03-03T00:05:"),
        "{}",
        holes[1]
    );
}

#[test]
fn a_bridge_over_a_refused_cursor_is_said() {
    let bridge =
        Interval { cause: Some("bridge".to_owned()), ..row("okta/system_log", 40, 39, Grade::Chain, 7) };
    let rows = vec![row("okta/system_log", 48, 40, Grade::Chain, 7), bridge];
    let books = Books::new(TENANT, ledger(rows));
    let said = table(&books, &args("", ""));
    assert!(
        said.contains(
            "okta/system_log  bridge: 05-30 08:00Z→09:00Z, read again by time after the vendor refused"
        ),
        "{said}"
    );
}

/// It was read until it was declared off a day ago.
#[test]
fn the_time_in_which_a_stream_was_off_is_declared_and_not_unread() {
    let rows =
        vec![row("work/drive", 48, 24, Grade::Settled, 7), row("work/login", 48, 0, Grade::Settled, 7)];
    let books = Books::new(TENANT, ledger(rows));
    let said = table(&books, &args("96h", ""));
    for off in ["05-28 00:00Z→05-30 00:00Z", "05-31 00:00Z→06-01 00:00Z"] {
        assert!(said.contains(&format!("work/drive  off: {off}, declared: too much of it")), "{said}");
    }
    assert!(!said.contains("work/drive  not read yet") && !said.contains("work/drive  ends"), "{said}");
    let statements = statements(&books);
    let mut off = statements.iter().filter(|said| said["stream"] == "drive" && said["unread"].is_object());
    assert_eq!(off.next().unwrap()["off"], "too much of it");
}

#[test]
fn the_asked_time_is_what_shares_are_of() {
    let books = Books::new(TENANT, ledger(vec![row("okta/system_log", 48, 0, Grade::Chain, 7)]));
    let said = table(&books, &args("96h", "24h"));
    assert!(said.contains("okta/system_log  chain         33.333 %"), "{said}");
    assert!(said.contains("okta/system_log  not read yet: 05-28 00:00Z→05-30 00:00Z"), "{said}");
    let (code, _) = lines(&books.world, &books.config, &args("2h", "3h"));
    assert_eq!(code, 20);
}

#[test]
fn a_tenant_that_never_ran_has_nothing_and_says_what_is_off() {
    let books = Books::new(TENANT, Vec::new());
    let said = table(&books, &args("", ""));
    assert!(
        said.contains("acme  nothing was read yet\nlab/*  off  declared: no Workspace licence"),
        "{said}"
    );
    assert!(said.ends_with("Not proven: that the vendor logged every act."), "{said}");
}
