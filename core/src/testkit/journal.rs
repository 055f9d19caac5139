//! What any journal must do, as named checks that every implementation calls; and crash images.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "checks say what is wrong by panicking"
)]

use crate::journal::{
    Action, Appended, Change, DeadLetter, Fingerprint, GivenUp, Grade, Interval, Journal, JournalError, Keep,
    Key, Lane, LeftOut, LetterOf, NewPage, NewRecord, OpenOptions, Outcome, PageId, Purpose, QuotaRow, Range,
    Span, Steps, StoredPage, StreamKey, Tally, Trouble, Work, coverage,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Opens (or makes) the journal that belongs to a directory. All state must be found again at the next opening.
pub type Factory<'a> = &'a dyn Fn(&Path, OpenOptions) -> Result<Box<dyn Journal>, JournalError>;

/// An instant, in minutes after 2026-01-01.
#[must_use]
pub fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + minutes * 60, 0).unwrap()
}

/// A record: id, meaning, bytes; in the hour 0.
#[must_use]
pub fn record(id: u128, meaning: u64, bytes: &'static [u8]) -> NewRecord {
    NewRecord {
        bytes: Bytes::from_static(bytes),
        key: Key { hour: 0, id, meaning },
        occurrence: 0,
        late: false,
    }
}

/// A live page of `okta`'s `system_log`.
#[must_use]
pub fn page(records: Vec<NewRecord>) -> NewPage {
    NewPage {
        source: "okta".to_owned(),
        stream: "system_log".to_owned(),
        lane: Lane::Live,
        at: at(0),
        records,
        reread: false,
        immutable: false,
    }
}

/// A page of `n` records with ids from `first` on, some 100 bytes each, spread over few hours; every tenth is late.
#[must_use]
pub fn numbered(first: u64, n: u64) -> NewPage {
    let records = (first..first + n).map(|id| NewRecord {
        bytes: Bytes::from(format!(
            "{{\"uuid\":\"{id}\",\"eventType\":\"user.session.start\",\"noise\":\"{:016x}\"}}",
            id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        )),
        key: Key { hour: i64::try_from(id / 500).unwrap(), id: u128::from(id), meaning: id },
        occurrence: 0,
        late: id % 10 == 0,
    });
    page(records.collect())
}

/// The same, fetched in the hour 0, in which the first of them happened.
fn numbered_then(first: u64, n: u64) -> NewPage {
    NewPage { at: DateTime::UNIX_EPOCH, ..numbered(first, n) }
}

/// A work of `okta`'s `system_log`, live.
#[must_use]
pub fn work(cursor: &str) -> Work {
    Work {
        source: "okta".to_owned(),
        stream: "system_log".to_owned(),
        lane: Lane::Live,
        name: "live".to_owned(),
        from: at(0),
        to: None,
        cursor: Some(cursor.as_bytes().to_vec()),
        wait_until: None,
        reason: None,
        memo: String::new(),
    }
}

/// An open or closed span of the sink `elastic`.
#[must_use]
pub fn span(lane: Lane, next_page: PageId, to: Option<PageId>) -> Span {
    Span { to, ..Span::follow("elastic", lane, next_page) }
}

/// A dead letter of page 1.
#[must_use]
pub fn dead_letter(reason: &str) -> DeadLetter {
    DeadLetter {
        id: 0,
        sink: "elastic".to_owned(),
        source: "okta".to_owned(),
        stream: "system_log".to_owned(),
        page: 1,
        record: 0,
        event: None,
        kind: "rejected".to_owned(),
        reason: reason.to_owned(),
        at: at(0),
        copy: Bytes::from_static(b"{\"a\":\xff}"),
        revision: Some(u64::MAX),
        occurrence: 3,
        retry: false,
        mark: None,
    }
}

/// A row of `okta`'s `system_log` in the ledger.
#[must_use]
pub fn interval(from: i64, to: i64, grade: Grade, count: u64) -> Interval {
    Interval {
        id: 0,
        source: "okta".to_owned(),
        stream: "system_log".to_owned(),
        from: at(from),
        to: at(to),
        grade,
        cause: None,
        repairable_until: None,
        count,
        oldest: Some(at(from)),
        newest: Some(at(to) - TimeDelta::seconds(1)),
        read_at: at(to),
    }
}

/// All pages of a lane, in order.
///
/// # Panics
/// If the journal cannot be read.
#[must_use]
pub fn all(journal: &dyn Journal, lane: Lane) -> Vec<StoredPage> {
    journal.read(Range { lane, from: 1, to: None }, usize::MAX).unwrap()
}

fn appended(outcome: &Outcome) -> Appended {
    match outcome {
        Outcome::Appended(a) => *a,
        other => panic!("not a page's outcome: {other:?}"),
    }
}

/// The number of the row that a change made or replaced.
#[must_use]
pub fn row(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Row(id) => *id,
        other => panic!("not a row's outcome: {other:?}"),
    }
}

fn append(journal: &dyn Journal, page: NewPage) -> Appended {
    appended(&journal.commit(&[Change::Page(page)]).unwrap()[0])
}

fn open(factory: Factory<'_>, dir: &Path) -> Box<dyn Journal> {
    factory(dir, OpenOptions::new("test", at(0))).unwrap()
}

/// A check.
type Check = fn(Factory<'_>, &Path);

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("records_come_back_byte_for_byte", records_come_back_byte_for_byte),
    ("pages_come_in_order_and_by_lane", pages_come_in_order_and_by_lane),
    ("pages_know_whether_they_were_read_again", pages_know_whether_they_were_read_again),
    ("reading_is_bounded_by_bytes_and_range", reading_is_bounded_by_bytes_and_range),
    ("dedupe_follows_the_table", dedupe_follows_the_table),
    ("dedupe_works_inside_one_commit", dedupe_works_inside_one_commit),
    ("dedupe_outlives_many_pages_of_one_hour", dedupe_outlives_many_pages_of_one_hour),
    ("records_without_time_are_deduped", records_without_time_are_deduped),
    ("streams_do_not_share_ids", streams_do_not_share_ids),
    ("a_page_without_news_commits_the_rest", a_page_without_news_commits_the_rest),
    ("everything_is_there_after_reopening", everything_is_there_after_reopening),
    ("works_are_replaced_and_finished", works_are_replaced_and_finished),
    ("the_ledger_merges", the_ledger_merges),
    ("the_ledger_stays_small", the_ledger_stays_small),
    ("the_tally_counts_what_is_new", the_tally_counts_what_is_new),
    ("the_tally_keeps_forgotten_hours_by_the_day", the_tally_keeps_forgotten_hours_by_the_day),
    ("spans_are_inserted_replaced_and_ended", spans_are_inserted_replaced_and_ended),
    (
        "a_span_of_one_stream_reads_counts_and_keeps_that_stream_alone",
        a_span_of_one_stream_reads_counts_and_keeps_that_stream_alone,
    ),
    ("what_sinks_give_up_is_few_rows", what_sinks_give_up_is_few_rows),
    ("dead_letters_are_kept_until_done", dead_letters_are_kept_until_done),
    ("a_sinks_trouble_is_kept_until_it_delivers", a_sinks_trouble_is_kept_until_it_delivers),
    ("a_document_has_one_dead_letter_at_most", a_document_has_one_dead_letter_at_most),
    ("a_source_is_renamed_with_all_it_has", a_source_is_renamed_with_all_it_has),
    ("a_source_is_reset_but_keeps_what_it_knows", a_source_is_reset_but_keeps_what_it_knows),
    ("a_sink_is_renamed_and_forgotten", a_sink_is_renamed_and_forgotten),
    ("trim_never_takes_what_a_sink_waits_for", trim_never_takes_what_a_sink_waits_for),
    ("trim_keeps_the_budget_and_says_when_it_is_full", trim_keeps_the_budget_and_says_when_it_is_full),
    ("trim_without_sinks_goes_by_age", trim_without_sinks_goes_by_age),
    ("keys_and_numbers_outlive_pages", keys_and_numbers_outlive_pages),
    ("keys_go_only_when_forgotten", keys_go_only_when_forgotten),
    (
        "a_record_of_a_forgotten_hour_is_a_later_meaning_where_records_change",
        a_record_of_a_forgotten_hour_is_a_later_meaning_where_records_change,
    ),
    ("a_second_opener_is_told_who_holds_it", a_second_opener_is_told_who_holds_it),
    ("epochs_rise", epochs_rise),
];

/// Runs all checks, each in a directory of its own.
///
/// # Panics
/// At the first check that fails, with its name.
pub fn conformance(factory: Factory<'_>) {
    for (name, check) in CHECKS {
        let dir = tempfile::tempdir().unwrap();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(factory, dir.path()))).is_err() {
            panic!("the journal fails {name}");
        }
    }
}

fn records_come_back_byte_for_byte(factory: Factory<'_>, dir: &Path) {
    let records: &[&'static [u8]] = &[
        b"{}",
        b"{\n  \"pretty\": \"printed\"\n}\n",
        b"\xff\xfe\x00 not text",
        b"",
        b"\n",
        "{\"ü\":1}".as_bytes(),
    ];
    let sent: Vec<_> = records.iter().enumerate().map(|(i, r)| record(i as u128, 0, r)).collect();
    let journal = open(factory, dir);
    let mut sent_page = page(sent);
    sent_page.records[3].occurrence = 7;
    sent_page.at = at(5) + TimeDelta::microseconds(123_456);
    append(&*journal, sent_page);
    let check = |journal: &dyn Journal| {
        let pages = all(journal, Lane::Live);
        assert_eq!(pages.len(), 1);
        assert_eq!((pages[0].id, &*pages[0].source, &*pages[0].stream), (1, "okta", "system_log"));
        assert_eq!(pages[0].at, at(5) + TimeDelta::microseconds(123_456));
        let got: Vec<&[u8]> = pages[0].records.iter().map(|r| &*r.bytes).collect();
        assert_eq!(got, records);
        let occurrences: Vec<_> = pages[0].records.iter().map(|r| r.occurrence).collect();
        assert_eq!(occurrences, [0, 0, 0, 7, 0, 0]);
        assert!(pages[0].records.iter().all(|r| r.revision.is_none()));
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn pages_come_in_order_and_by_lane(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for i in 0..30u64 {
        let lane = Lane::ALL[usize::try_from(i % 3).unwrap()];
        let done = append(&*journal, NewPage { lane, ..numbered(i * 10, 10) });
        assert_eq!(done.page, Some(i + 1));
    }
    let check = |journal: &dyn Journal| {
        for (n, lane) in Lane::ALL.into_iter().enumerate() {
            let pages = all(journal, lane);
            let ids: Vec<_> = pages.iter().map(|p| p.id).collect();
            assert_eq!(ids, (0..10).map(|i| i * 3 + 1 + n as u64).collect::<Vec<_>>());
            assert!(pages.iter().all(|p| p.lane == lane));
        }
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn pages_know_whether_they_were_read_again(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let lanes = Lane::ALL.into_iter().flat_map(|lane| [(lane, false), (lane, true)]);
    for (n, (lane, reread)) in (0..).zip(lanes.clone()) {
        append(&*journal, NewPage { lane, reread, ..numbered(n * 10, 10) });
    }
    // What is known already stays what it was.
    append(&*journal, NewPage { reread: true, ..numbered(0, 60) });
    let check = |journal: &dyn Journal| {
        let mut pages: Vec<_> = Lane::ALL.into_iter().flat_map(|lane| all(journal, lane)).collect();
        pages.sort_by_key(|p| p.id);
        assert!(pages.iter().map(|p| (p.lane, p.reread)).eq(lanes.clone()), "{pages:?}");
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn reading_is_bounded_by_bytes_and_range(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for i in 0..20 {
        append(&*journal, numbered(i * 100, 100));
    }
    let check = |journal: &dyn Journal| {
        let ids = |from, to, bytes| -> Vec<_> {
            let pages = journal.read(Range { lane: Lane::Live, from, to }, bytes).unwrap();
            pages.into_iter().map(|p| p.id).collect()
        };
        assert_eq!(ids(5, None, 1), [5], "at least one page");
        assert_eq!(ids(5, None, 0), [5]);
        let few = ids(1, None, 20_000);
        assert!(few.len() > 1 && few.len() < 5, "{few:?}");
        assert_eq!(ids(18, None, usize::MAX), [18, 19, 20]);
        assert_eq!(ids(3, Some(5), usize::MAX), [3, 4]);
        assert!(ids(5, Some(5), usize::MAX).is_empty());
        assert!(ids(21, None, usize::MAX).is_empty());
        assert!(ids(u64::MAX, None, usize::MAX).is_empty());
        assert_eq!(ids(0, Some(u64::MAX), usize::MAX).len(), 20);
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn dedupe_follows_the_table(factory: Factory<'_>, dir: &Path) {
    // (id, meaning) → new, duplicates, revisions
    let table: &[(u128, u64, [usize; 3])] = &[
        (1, 10, [1, 0, 0]),
        (1, 10, [0, 1, 0]),
        (1, 11, [0, 0, 1]),
        (1, 10, [0, 1, 0]), // back to what it said before: nothing new
        (1, 11, [0, 1, 0]),
        (1, 12, [0, 0, 1]),
        (2, 10, [1, 0, 0]),
    ];
    let mut journal = open(factory, dir);
    for (n, (id, meaning, [new, duplicates, revisions])) in table.iter().enumerate() {
        let immutable = n % 2 == 0;
        let done = append(&*journal, NewPage { immutable, ..page(vec![record(*id, *meaning, b"{}")]) });
        let reused = if immutable { *revisions } else { 0 };
        assert_eq!(
            (done.new, done.duplicates, done.revisions, done.reused),
            (*new, *duplicates, *revisions, reused),
            "row {n}"
        );
        assert_eq!(done.page.is_some(), *duplicates == 0, "row {n}");
        if n % 3 == 0 {
            drop(journal);
            journal = open(factory, dir);
        }
    }
    let revisions: Vec<_> = all(&*journal, Lane::Live).iter().map(|p| p.records[0].revision).collect();
    assert_eq!(revisions, [None, Some(11), Some(12), None]);
}

fn dedupe_works_inside_one_commit(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let done = journal
        .commit(&[
            Change::Page(page(vec![
                record(1, 1, b"a"),
                record(2, 1, b"b"),
                record(1, 1, b"a"),
                record(2, 2, b"c"),
            ])),
            Change::Page(page(vec![record(1, 1, b"a"), record(3, 1, b"d"), record(2, 1, b"b")])),
            Change::Page(page(vec![record(3, 1, b"d")])),
        ])
        .unwrap();
    let got: Vec<_> = done.iter().map(appended).map(|a| (a.page, a.new, a.duplicates, a.revisions)).collect();
    assert_eq!(got, [(Some(1), 2, 1, 1), (Some(2), 1, 2, 0), (None, 0, 1, 0)]);
    let bytes: Vec<_> =
        all(&*journal, Lane::Live).iter().flat_map(|p| &p.records).map(|r| r.bytes.clone()).collect();
    assert_eq!(bytes, ["a", "b", "c", "d"]);
}

fn dedupe_outlives_many_pages_of_one_hour(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let one = |id: u128| record(id, 5, b"{\"some\":\"record\"}");
    for first in 0..40u128 {
        let pages: Vec<_> = (0..10)
            .map(|n| Change::Page(page(vec![one(first * 20 + n * 2), one(first * 20 + n * 2 + 1)])))
            .collect();
        assert!(journal.commit(&pages).unwrap().iter().all(|o| appended(o).new == 2));
    }
    let check = |journal: &dyn Journal| {
        let done = append(journal, page((0..800).map(one).collect()));
        assert_eq!((done.new, done.duplicates, done.page), (0, 800, None));
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn records_without_time_are_deduped(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let key = Key { hour: Key::NO_TIME, id: 9, meaning: 1 };
    let timeless = || NewRecord { key, ..record(0, 0, b"{}") };
    assert_eq!(append(&*journal, page(vec![timeless(), record(9, 1, b"{}")])).new, 2);
    drop(journal);
    assert_eq!(append(&*open(factory, dir), page(vec![timeless()])).duplicates, 1);
}

fn streams_do_not_share_ids(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for (source, stream) in [("okta", "system_log"), ("okta", "other"), ("duo", "system_log")] {
        let other =
            NewPage { source: source.into(), stream: stream.into(), ..page(vec![record(1, 1, b"{}")]) };
        assert_eq!(append(&*journal, other).new, 1, "{source}/{stream}");
    }
}

fn a_page_without_news_commits_the_rest(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    append(&*journal, numbered(0, 5));
    let done = journal
        .commit(&[Change::Page(numbered(0, 5)), Change::Work(work("next")), Change::Page(page(Vec::new()))])
        .unwrap();
    assert_eq!(appended(&done[0]), Appended { duplicates: 5, ..Appended::default() });
    assert_eq!(done[1], Outcome::Done);
    assert_eq!(appended(&done[2]), Appended::default());
    drop(journal);
    let journal = open(factory, dir);
    let state = journal.load().unwrap();
    assert_eq!(state.works, [work("next")]);
    assert_eq!(state.pages, (1, 2));
    assert_eq!(all(&*journal, Lane::Live).len(), 1);
}

fn everything_is_there_after_reopening(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let quota = QuotaRow { source: "duo".into(), not_before: Some(at(3)), state: "{\"limit\":2}".into() };
    let fingerprint =
        Fingerprint { source: "okta".into(), connector: "okta".into(), organisation: "acme.okta.com".into() };
    let full = Work {
        to: Some(at(9)),
        wait_until: Some(at(2)),
        reason: Some("waits".into()),
        memo: "{\"date\":1}".into(),
        lane: Lane::Sweep,
        name: "w1".into(),
        ..work("\u{0}\u{1}")
    };
    journal
        .commit(&[
            Change::Page(numbered(0, 100)),
            Change::Work(full.clone()),
            Change::Work(work("c")),
            Change::Cover(interval(0, 10, Grade::Chain, 5)),
            Change::Span(span(Lane::Live, 1, None)),
            Change::Dead(dead_letter("no")),
            Change::Quota(quota.clone()),
            Change::Fingerprint(fingerprint.clone()),
            Change::Action(Action { at: at(1), what: "start".into(), detail: "by hand".into() }),
        ])
        .unwrap();
    let before = journal.load().unwrap();
    let pages = all(&*journal, Lane::Live);
    drop(journal);
    let journal = open(factory, dir);
    let after = journal.load().unwrap();
    assert_eq!(after.works.len(), 2);
    assert!(after.works.contains(&full) && after.works.contains(&work("c")));
    assert_eq!(after.works, before.works);
    assert_eq!(after.coverage, [Interval { id: after.coverage[0].id, ..interval(0, 10, Grade::Chain, 5) }]);
    assert_eq!(after.spans, before.spans);
    assert_eq!(after.quotas, [quota]);
    assert_eq!(after.fingerprints, [fingerprint]);
    assert_eq!(after.pages, (1, 2));
    assert_eq!(after.bytes, before.bytes);
    assert!(after.bytes > 0);
    assert_eq!(journal.dead(0, 10, false).unwrap().len(), 1);
    assert_eq!(all(&*journal, Lane::Live), pages);
}

fn works_are_replaced_and_finished(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let sweep = Work { lane: Lane::Sweep, name: "w".into(), to: Some(at(9)), ..work("s") };
    journal.commit(&[Change::Work(work("1")), Change::Work(sweep.clone()), Change::Work(work("2"))]).unwrap();
    assert_eq!(journal.load().unwrap().works, [work("2"), sweep.clone()]);
    journal.commit(&[Change::WorkDone(work("anything"))]).unwrap();
    assert_eq!(journal.load().unwrap().works, [sweep]);
}

fn the_ledger_merges(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for minute in 0..50 {
        journal.commit(&[Change::Cover(interval(minute, minute + 1, Grade::Fetched, 2))]).unwrap();
    }
    let hole = Interval { cause: Some("quota".into()), ..interval(40, 100, Grade::Hole, 0) };
    let elsewhere = Interval { stream: "other".into(), ..interval(0, 5, Grade::Received, 1) };
    journal
        .commit(&[
            Change::Cover(interval(0, 10, Grade::Settled, 21)),
            Change::Cover(hole),
            Change::Cover(elsewhere),
            Change::Cover(interval(60, 70, Grade::Fetched, 3)),
        ])
        .unwrap();
    let rows = journal.load().unwrap().coverage;
    let brief: Vec<_> = rows.iter().map(|r| (r.stream.as_str(), r.from, r.to, r.grade, r.count)).collect();
    assert_eq!(
        brief,
        [
            ("other", at(0), at(5), Grade::Received, 1),
            ("system_log", at(0), at(10), Grade::Settled, 21),
            ("system_log", at(10), at(50), Grade::Fetched, 80),
            ("system_log", at(50), at(60), Grade::Hole, 0),
            ("system_log", at(60), at(70), Grade::Fetched, 3),
            ("system_log", at(70), at(100), Grade::Hole, 0),
        ]
    );
    let mut ids: Vec<_> = rows.iter().map(|r| r.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows.len());
    assert!(!ids.contains(&0));
}

fn the_ledger_stays_small(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let hole = |from, to| Interval { cause: Some("quota".into()), ..interval(from, to, Grade::Hole, 0) };
    // Two days by the minute, and an hour of them not; a day behind, what was read is settled by the hour.
    let mut said = Vec::new();
    for now in 1..=2 * 1440 {
        match now {
            601..=660 => said.push(hole(600, now)),
            _ => said.push(interval(now - 1, now, Grade::Fetched, 2)),
        }
        if now % 60 == 0 && now > 1440 && now != 1440 + 660 {
            said.push(interval(now - 1440 - 60, now - 1440, Grade::Settled, 120));
        }
    }
    // The algebra of the ledger says what its rows must be.
    let mut expected = Vec::new();
    let check = |journal: &dyn Journal, expected: &[Interval], most: usize| {
        let rows = journal.load().unwrap().coverage;
        assert!(rows.len() <= most, "{rows:?}");
        let rows: Vec<_> = rows.into_iter().map(|row| Interval { id: 0, ..row }).collect();
        assert_eq!(rows, expected);
    };
    for some in said.chunks(300) {
        journal.commit(&some.iter().cloned().map(Change::Cover).collect::<Vec<_>>()).unwrap();
        some.iter().for_each(|row| coverage::add(&mut expected, row.clone()));
        check(&*journal, &expected, 5);
    }
    // Read after all, and settled later; and the last day too.
    let mended = [
        interval(590, 670, Grade::Fetched, 100),
        interval(590, 670, Grade::Settled, 100),
        interval(1440, 2880, Grade::Settled, 2880),
    ];
    journal.commit(&mended.clone().map(Change::Cover)).unwrap();
    mended.into_iter().for_each(|row| coverage::add(&mut expected, row));
    check(&*journal, &expected, 1);
    drop(journal);
    check(&*open(factory, dir), &expected, 1);
}

/// All hours of a source's `system_log`, as the range and as the total tell it.
fn whole_tally(journal: &dyn Journal, source: &str) -> Tally {
    let whole = journal.tally(source, "system_log", Key::NO_TIME, i64::MAX).unwrap();
    let totals = journal.totals().unwrap();
    let total = totals.iter().find(|(s, name, _)| s == source && name == "system_log").map(|(_, _, t)| *t);
    assert_eq!(total.unwrap_or_default(), whole);
    whole
}

fn the_tally_counts_what_is_new(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let of =
        |hour, id, meaning, late| NewRecord { key: Key { hour, id, meaning }, late, ..record(0, 0, b"{}") };
    let first = page(vec![of(7, 1, 1, false), of(7, 2, 1, true), of(8, 3, 1, true), of(7, 1, 1, true)]);
    // Known, revised (which is not late again), new; before 1970; without a time.
    let second = page(vec![
        of(7, 2, 1, true),
        of(7, 1, 2, true),
        of(7, 1, 3, false),
        of(8, 4, 1, false),
        of(-5, 5, 1, false),
        of(Key::NO_TIME, 6, 1, true),
    ]);
    let elsewhere = NewPage { stream: "other".into(), ..page(vec![of(7, 1, 1, true)]) };
    journal.commit(&[Change::Page(first.clone()), Change::Page(second), Change::Page(elsewhere)]).unwrap();
    journal.commit(&[Change::Page(first)]).unwrap();
    let check = |journal: &dyn Journal| {
        let tally = |from, to| {
            let Tally { records, late, revised } = journal.tally("okta", "system_log", from, to).unwrap();
            (records, late, revised)
        };
        assert_eq!(tally(7, 8), (2, 1, 2));
        assert_eq!(tally(8, 9), (2, 1, 0));
        assert_eq!(tally(7, 9), (4, 2, 2));
        assert_eq!(tally(9, i64::MAX), (0, 0, 0));
        assert_eq!(tally(8, 7), (0, 0, 0), "hours the wrong way round are none");
        assert_eq!(tally(Key::NO_TIME, Key::NO_TIME + 1), (1, 1, 0));
        assert_eq!(tally(Key::NO_TIME + 1, 0), (1, 0, 0));
        assert_eq!(journal.tally("okta", "nothing", i64::MIN, i64::MAX).unwrap(), Tally::default());
        let total = |stream: &str, records, late, revised| {
            ("okta".to_owned(), stream.to_owned(), Tally { records, late, revised })
        };
        assert_eq!(journal.totals().unwrap(), [total("other", 1, 1, 0), total("system_log", 6, 3, 2)]);
    };
    check(&*journal);
    drop(journal);
    check(&*open(factory, dir));
}

fn the_tally_keeps_forgotten_hours_by_the_day(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let hours = (-30..100).chain([Key::NO_TIME]);
    let records = hours.map(|hour| NewRecord {
        key: Key { hour, id: hour.cast_unsigned().into(), meaning: 1 },
        late: hour % 2 == 0,
        ..record(0, 0, b"{}")
    });
    append(&*journal, NewPage { at: DateTime::UNIX_EPOCH, ..page(records.collect()) });
    append(&*journal, NewPage { stream: "other".into(), ..numbered_then(0, 10) });
    assert_eq!(journal.forget("okta", "system_log", 60).unwrap(), 91);
    let check = |journal: &dyn Journal| {
        let tally = |from, to| {
            let t = journal.tally("okta", "system_log", from, to).unwrap();
            (t.records, t.late)
        };
        assert_eq!(tally(-48, -47), (6, 3), "a day stands at its first hour");
        assert_eq!((tally(-24, -23), tally(0, 1), tally(24, 25)), ((24, 12), (24, 12), (24, 12)));
        assert_eq!((tally(-47, -24), tally(1, 24)), ((0, 0), (0, 0)));
        assert_eq!((tally(48, 49), tally(59, 60)), ((1, 1), (1, 0)), "not all of that day is forgotten");
        assert_eq!(tally(Key::NO_TIME, Key::NO_TIME + 1), (1, 1));
        assert_eq!(whole_tally(journal, "okta"), Tally { records: 131, late: 66, revised: 0 });
        assert_eq!(journal.tally("okta", "other", 0, 1).unwrap().records, 10);
    };
    check(&*journal);
    // Once more, and what comes later into a day that is there already.
    journal.forget("okta", "system_log", 60).unwrap();
    check(&*journal);
    let again = NewRecord { key: Key { hour: 5, id: 999, meaning: 1 }, late: true, ..record(0, 0, b"{}") };
    append(&*journal, NewPage { immutable: true, ..page(vec![again]) });
    journal.forget("okta", "system_log", 96).unwrap();
    drop(journal);
    let journal = open(factory, dir);
    let tally = |from, to| journal.tally("okta", "system_log", from, to).unwrap();
    assert_eq!(tally(0, 1), Tally { records: 25, late: 13, revised: 0 });
    assert_eq!((tally(48, 49).records, tally(72, 73).records, tally(96, 97).records), (24, 24, 1));
    assert_eq!(whole_tally(&*journal, "okta").records, 132);
}

fn spans_are_inserted_replaced_and_ended(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let marked = Span { mark: Some("again".into()), next_record: 4, ..span(Lane::Sweep, 3, Some(9)) };
    let done =
        journal.commit(&[Change::Span(span(Lane::Live, 1, None)), Change::Span(marked.clone())]).unwrap();
    let (first, second) = (row(&done[0]), row(&done[1]));
    assert_eq!(
        journal.load().unwrap().spans,
        [Span { id: first, ..span(Lane::Live, 1, None) }, Span { id: second, ..marked }]
    );
    let moved = Span { id: first, next_record: 7, ..span(Lane::Live, 5, None) };
    let done = journal.commit(&[Change::Span(moved.clone()), Change::SpanDone(second)]).unwrap();
    assert_eq!(done, [Outcome::Row(first), Outcome::Done]);
    assert_eq!(journal.load().unwrap().spans, std::slice::from_ref(&moved));
    // An answer that comes late does not bring a span back.
    journal.commit(&[Change::SpanDone(first), Change::Span(moved)]).unwrap();
    assert!(journal.load().unwrap().spans.is_empty());
    let done = journal.commit(&[Change::Span(span(Lane::Live, 1, None))]).unwrap();
    assert!(row(&done[0]) > second, "numbers are not used twice");
}

fn a_span_of_one_stream_reads_counts_and_keeps_that_stream_alone(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for n in 0..6 {
        let stream = if n % 3 == 2 { "other" } else { "system_log" };
        let day = at(i64::try_from(n).unwrap() * 1441 * 2);
        append(&*journal, NewPage { stream: stream.into(), at: day, ..numbered(n * 10, 10) });
    }
    let other = StreamKey::new("okta", "other");
    let ids = |pages: Vec<StoredPage>| pages.iter().map(|page| page.id).collect::<Vec<_>>();
    let range = |from, to| Range { lane: Lane::Live, from, to };
    assert_eq!(ids(journal.read_of(range(1, None), &other, usize::MAX).unwrap()), [3, 6]);
    assert_eq!(ids(journal.read_of(range(1, Some(6)), &other, usize::MAX).unwrap()), [3]);
    let parked = Span { only: Some(other.clone()), next_record: 4, ..span(Lane::Live, 3, None) };
    let left = LeftOut { of: other.clone(), until: None };
    let main = Span { except: vec![left], next_record: 4, ..span(Lane::Live, 2, None) };
    let told = |span: &Span| {
        let lacks = journal.lacks(span).unwrap();
        lacks.into_iter().map(|lack| (lack.of.stream, lack.records, lack.pages)).collect::<Vec<_>>()
    };
    assert_eq!(told(&parked), [("other".to_owned(), 16, (3, 6))]);
    assert_eq!(told(&main), [("system_log".to_owned(), 26, (2, 5))]);
    let until = LeftOut { of: other.clone(), until: Some(6) };
    assert_eq!(told(&Span { except: vec![until], ..main.clone() })[1], ("other".to_owned(), 10, (6, 6)));
    assert!(told(&span(Lane::Sweep, 1, None)).is_empty());
    let done =
        journal.commit(&[Change::Span(Span { next_page: 7, ..main }), Change::Span(parked.clone())]).unwrap();
    journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(1_000_000)).unwrap();
    assert_eq!(ids(all(&*journal, Lane::Live)), [3, 6], "the others wait for nobody");
    // Under another name the same pages are kept.
    journal.commit(&[Change::RenameSource("okta".into(), "okta_eu".into())]).unwrap();
    let spans = journal.load().unwrap().spans;
    assert_eq!(
        spans[1],
        Span { id: row(&done[1]), only: Some(StreamKey::new("okta_eu", "other")), ..parked }
    );
    assert_eq!(spans[0].except[0].of, StreamKey::new("okta_eu", "other"));
    journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(1_000_000)).unwrap();
    assert_eq!(ids(all(&*journal, Lane::Live)), [3, 6]);
    let fetched = |from, to, stream| journal.fetched(at(from), at(to), (Some("okta_eu"), stream)).unwrap();
    let whole = fetched(0, 1_000_000, Some("other"));
    assert_eq!((whole.pages, whole.trimmed), (vec![(Lane::Live, 3, 6)], false));
    let trimmed = fetched(0, 1_000_000, None);
    assert_eq!(
        (trimmed.trimmed, trimmed.kept_since),
        (true, Some(at(5 * 1441 * 2))),
        "page 3 is kept, 4 and 5 are not"
    );
    assert!(fetched(-9, 0, None).pages.is_empty());
}

fn what_sinks_give_up_is_few_rows(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    for n in 0..12 {
        let stream = if n % 4 == 3 { "other" } else { "system_log" };
        append(&*journal, NewPage { stream: stream.into(), ..numbered(n * 10, 10) });
    }
    let gave_up = |first: PageId, last: PageId, cause: &str| {
        Change::GaveUp(GivenUp {
            id: 0,
            sink: "elastic".into(),
            of: StreamKey::new("okta", "system_log"),
            pages: (first, last),
            fetched: (at(i64::try_from(first).unwrap()), at(i64::try_from(last).unwrap())),
            documents: 5,
            at: at(99),
            cause: cause.into(),
        })
    };
    let told = || {
        let holes = journal.load().unwrap().given_up;
        holes.into_iter().map(|hole| (hole.pages, hole.documents, hole.cause)).collect::<Vec<_>>()
    };
    // Page 4 is another stream's: what lies on both sides of it adjoins.
    journal.commit(&[gave_up(2, 3, "give_up_after"), gave_up(5, 5, "give_up_after")]).unwrap();
    assert_eq!(told(), [((2, 5), 10, "give_up_after".to_owned())]);
    journal.commit(&[gave_up(7, 7, "give_up_after"), gave_up(5, 6, "journal_full")]).unwrap();
    assert_eq!(told().len(), 3, "page 6 was delivered; another cause is another hole: {:?}", told());
    journal.commit(&[gave_up(6, 6, "give_up_after")]).unwrap();
    assert_eq!(told().len(), 2);
    assert_eq!(told()[0], ((2, 7), 20, "give_up_after".to_owned()));
    // What a sink lacked when it was forgotten is its hole too.
    let forget = Change::ForgetSink("elastic".into(), at(100));
    let replay = Span { purpose: Purpose::Replay, ..span(Lane::Live, 1, Some(5)) };
    journal.commit(&[Change::Span(span(Lane::Live, 9, None)), Change::Span(replay), forget]).unwrap();
    let holes = journal.load().unwrap().given_up;
    let forgotten: Vec<_> = holes.iter().filter(|hole| hole.cause == "forgotten").collect();
    assert_eq!(forgotten.iter().map(|hole| hole.documents).sum::<u64>(), 40);
    assert_eq!(
        forgotten.iter().map(|hole| hole.of.stream.as_str()).collect::<Vec<_>>(),
        ["other", "system_log"]
    );
    journal.commit(&[Change::RenameSink("elastic".into(), "siem".into())]).unwrap();
    assert!(journal.load().unwrap().given_up.iter().all(|hole| hole.sink == "siem"));
    // A thousand holes apart from each other are not a thousand rows.
    for n in 12..1_012 {
        append(&*journal, numbered(n * 10, 1));
        if n % 2 == 0 {
            journal.commit(&[gave_up(n + 1, n + 1, "give_up_after")]).unwrap();
        }
    }
    let holes = journal.load().unwrap().given_up;
    let ours: Vec<_> = holes.iter().filter(|hole| hole.sink == "elastic").collect();
    assert!(ours.len() <= 201, "{}", ours.len());
    assert_eq!(ours.iter().map(|hole| hole.documents).sum::<u64>(), 500 * 5, "and none is forgotten");
}

fn a_sinks_trouble_is_kept_until_it_delivers(factory: Factory<'_>, dir: &Path) {
    let trouble = |sink: &str, reason: &str, since| Trouble {
        sink: sink.to_owned(),
        since: at(since),
        reason: reason.to_owned(),
        halted: reason == "token refused",
    };
    let journal = open(factory, dir);
    let first = trouble("elastic", "token refused", 3);
    journal.commit(&[Change::Trouble(first.clone())]).unwrap();
    drop(journal);
    let journal = open(factory, dir);
    assert_eq!(journal.load().unwrap().troubles, [first]);
    let (second, other) = (trouble("elastic", "connection refused", 3), trouble("splunk", "no", 5));
    journal.commit(&[Change::Trouble(other.clone()), Change::Trouble(second.clone())]).unwrap();
    assert_eq!(journal.load().unwrap().troubles, [second.clone(), other]);
    // A sink with another name has the same trouble, unless there is one of that name with its own.
    journal
        .commit(&[
            Change::TroubleOver("splunk".into()),
            Change::TroubleOver("nobody".into()),
            Change::RenameSink("elastic".into(), "siem".into()),
        ])
        .unwrap();
    let renamed = Trouble { sink: "siem".into(), ..second };
    assert_eq!(journal.load().unwrap().troubles, [renamed]);
    let own = trouble("new", "own", 9);
    journal.commit(&[Change::Trouble(own.clone()), Change::RenameSink("siem".into(), "new".into())]).unwrap();
    assert_eq!(journal.load().unwrap().troubles, [own]);
    journal.commit(&[Change::ForgetSink("new".into(), at(0))]).unwrap();
    assert_eq!(journal.load().unwrap().troubles, []);
}

fn dead_letters_are_kept_until_done(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let letter = |n: u32| DeadLetter { record: n, ..dead_letter(&format!("reason {n}")) };
    let letters: Vec<_> = (0..5).map(|n| Change::Dead(letter(n))).collect();
    let ids: Vec<_> = journal.commit(&letters).unwrap().iter().map(row).collect();
    let found = journal.dead(0, 10, false).unwrap();
    assert_eq!(found[1], DeadLetter { id: ids[1], ..letter(1) });
    assert_eq!(journal.dead(ids[1], 2, false).unwrap().iter().map(|d| d.id).collect::<Vec<_>>(), ids[2..4]);
    assert!(journal.dead(0, 10, true).unwrap().is_empty());
    let mark = Some("again".to_owned());
    let again = DeadLetter { id: ids[3], retry: true, event: Some(2), mark, ..dead_letter("again") };
    journal.commit(&[Change::Dead(again.clone()), Change::DeadDone(ids[0])]).unwrap();
    assert_eq!(journal.dead(0, 10, true).unwrap(), [again]);
    assert_eq!(journal.dead(0, 10, false).unwrap().len(), 4);
}

fn a_document_has_one_dead_letter_at_most(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let first = DeadLetter { retry: true, ..dead_letter("no") };
    let mark = Some("fix".to_owned());
    // All of these are of other documents.
    let others = [
        DeadLetter { sink: "splunk".to_owned(), ..first.clone() },
        DeadLetter { stream: "other".to_owned(), ..first.clone() },
        DeadLetter { page: 2, ..first.clone() },
        DeadLetter { record: 1, ..first.clone() },
        DeadLetter { event: Some(0), ..first.clone() },
        DeadLetter { mark: mark.clone(), ..first.clone() },
        DeadLetter { event: Some(0), mark: mark.clone(), ..first.clone() },
    ];
    let all: Vec<_> = std::iter::once(first).chain(others).map(Change::Dead).collect();
    let ids: Vec<_> = journal.commit(&all).unwrap().iter().map(row).collect();
    let again = [dead_letter("still no"), DeadLetter { mark: mark.clone(), ..dead_letter("marked") }];
    let done = journal.commit(&again.clone().map(Change::Dead)).unwrap();
    assert_eq!(done.iter().map(row).collect::<Vec<_>>(), [ids[0], ids[6]]);
    let found = journal.dead(0, 99, false).unwrap();
    assert_eq!(found.len(), all.len());
    assert_eq!(found[0], DeadLetter { id: ids[0], ..again[0].clone() });
    let of = |letter: &LetterOf| (letter.id, letter.page, letter.record, letter.event, letter.mark.clone());
    let told = |sink, pages| journal.letters(sink, pages).unwrap().iter().map(of).collect::<Vec<_>>();
    assert_eq!(told("splunk", (0, 9)), [(ids[1], 1, 0, None, None)]);
    assert_eq!(told("elastic", (2, 2)), [(ids[3], 2, 0, None, None)]);
    assert_eq!(told("elastic", (1, 1)).len(), 6);
    assert_eq!(told("elastic", (1, 1))[5], (ids[7], 1, 0, Some(0), mark));
    assert_eq!(told("elastic", (3, 9)), []);
    // Also where two sinks become one that have both refused it.
    journal.commit(&[Change::RenameSink("splunk".into(), "elastic".into())]).unwrap();
    assert_eq!((told("splunk", (0, 9)).len(), told("elastic", (0, 9)).len()), (0, all.len() - 1));
}

fn a_source_is_renamed_with_all_it_has(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let quota = QuotaRow { source: "okta".into(), not_before: None, state: String::new() };
    journal
        .commit(&[
            Change::Page(numbered(0, 10)),
            Change::Page(NewPage { source: "okta_eu".into(), ..numbered(5, 10) }),
            Change::Work(work("c")),
            Change::Quota(quota),
            Change::Cover(interval(0, 10, Grade::Chain, 10)),
            Change::Cover(Interval { source: "okta_eu".into(), ..interval(5, 20, Grade::Chain, 10) }),
            Change::Dead(dead_letter("no")),
            Change::RenameSource("okta".into(), "okta_eu".into()),
            Change::Page(NewPage { source: "okta_eu".into(), ..numbered(0, 16) }),
        ])
        .unwrap();
    let check = |journal: &dyn Journal| {
        let state = journal.load().unwrap();
        assert!(state.works.iter().all(|w| w.source == "okta_eu"));
        assert!(state.quotas.iter().all(|q| q.source == "okta_eu"));
        let rows: Vec<_> =
            state.coverage.iter().map(|c| (c.source.as_str(), c.from, c.to, c.count)).collect();
        assert_eq!(rows, [("okta_eu", at(0), at(20), 20)]);
        assert!(journal.dead(0, 9, false).unwrap().iter().all(|d| d.source == "okta_eu"));
        let pages = all(journal, Lane::Live);
        assert!(pages.iter().all(|p| &*p.source == "okta_eu"), "{pages:?}");
        let counts: Vec<_> = pages.iter().map(|p| p.records.len()).collect();
        assert_eq!(counts, [10, 10, 1], "both keys' records are known under the new one");
        // As in the ledger, what each of them counted adds up.
        assert_eq!(whole_tally(journal, "okta_eu"), Tally { records: 21, late: 2, revised: 0 });
        assert_eq!(whole_tally(journal, "okta"), Tally::default());
    };
    check(&*journal);
    drop(journal);
    let journal = open(factory, dir);
    check(&*journal);
    assert_eq!(append(&*journal, NewPage { source: "okta_eu".into(), ..numbered(0, 16) }).duplicates, 16);
    assert_eq!(append(&*journal, numbered(0, 1)).new, 1, "the old key begins anew");
}

fn a_source_is_reset_but_keeps_what_it_knows(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    journal
        .commit(&[
            Change::Page(numbered(0, 10)),
            Change::Work(work("c")),
            Change::Cover(interval(0, 10, Grade::Chain, 10)),
            Change::ResetSource("okta".into()),
        ])
        .unwrap();
    let state = journal.load().unwrap();
    assert!(state.works.is_empty());
    assert_eq!(state.coverage.len(), 1);
    assert_eq!(append(&*journal, numbered(0, 10)).duplicates, 10);
    assert_eq!(whole_tally(&*journal, "okta"), Tally { records: 10, late: 1, revised: 0 });
}

fn a_sink_is_renamed_and_forgotten(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    journal
        .commit(&[
            Change::Span(span(Lane::Live, 1, None)),
            Change::Dead(dead_letter("no")),
            Change::RenameSink("elastic".into(), "splunk".into()),
        ])
        .unwrap();
    assert_eq!(journal.load().unwrap().spans[0].sink, "splunk");
    assert_eq!(journal.dead(0, 9, false).unwrap()[0].sink, "splunk");
    journal.commit(&[Change::ForgetSink("splunk".into(), at(0))]).unwrap();
    assert!(journal.load().unwrap().spans.is_empty());
    assert_eq!(journal.dead(0, 9, false).unwrap().len(), 1, "dead letters stay");
}

/// Pages a day apart, so that each may go without the others.
fn days(journal: &dyn Journal, days: std::ops::Range<u64>, n: u64) {
    for day in days {
        let day_at = at(i64::try_from(day).unwrap() * 1441 * 2);
        append(journal, NewPage { at: day_at, ..numbered(day * n, n) });
    }
}

const KEEP: Keep = Keep { age: Duration::from_secs(30 * 24 * 3600), bytes: u64::MAX };

fn trim_never_takes_what_a_sink_waits_for(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    days(&*journal, 0..10, 50);
    let done = journal
        .commit(&[Change::Span(span(Lane::Live, 4, None)), Change::Span(span(Lane::Live, 2, Some(3)))])
        .unwrap();
    let far = at(1_000_000);
    let none = Keep { age: Duration::ZERO, bytes: 0 };
    let trimmed = journal.trim(none, far).unwrap();
    assert!(trimmed.full, "what is left is more than nothing");
    let left: Vec<_> = all(&*journal, Lane::Live).iter().map(|p| p.id).collect();
    assert!(left.contains(&2), "a closed span waits for it");
    assert!((4..=10).all(|id| left.contains(&id)), "the open span waits for them: {left:?}");
    assert_eq!(journal.load().unwrap().bytes, trimmed.bytes);
    // All delivered but the last.
    let open_span = Span { id: row(&done[0]), ..span(Lane::Live, 10, None) };
    journal.commit(&[Change::Span(open_span.clone()), Change::SpanDone(row(&done[1]))]).unwrap();
    journal.trim(none, far).unwrap();
    assert!(all(&*journal, Lane::Live).iter().any(|p| p.id == 10));
    // All delivered; a span of another lane waits for nothing here.
    journal
        .commit(&[
            Change::Span(Span { next_page: 11, ..open_span }),
            Change::Span(span(Lane::Sweep, 1, None)),
        ])
        .unwrap();
    let trimmed = journal.trim(none, far).unwrap();
    assert_eq!((trimmed.bytes, trimmed.full), (0, false));
    assert!(all(&*journal, Lane::Live).is_empty());
    drop(journal);
    let journal = open(factory, dir);
    assert!(all(&*journal, Lane::Live).is_empty());
    assert_eq!(journal.load().unwrap().pages, (11, 11));
    days(&*journal, 20..21, 50);
    assert_eq!(all(&*journal, Lane::Live)[0].id, 11);
}

fn trim_keeps_the_budget_and_says_when_it_is_full(factory: Factory<'_>, dir: &Path) {
    let budget = 2 << 20;
    let journal =
        factory(dir, OpenOptions { budget: Some(budget), ..OpenOptions::new("test", at(0)) }).unwrap();
    let keep = Keep { bytes: budget, ..KEEP };
    let done = journal.commit(&[Change::Span(span(Lane::Live, 1, None))]).unwrap();
    let mut n = 0;
    while journal.load().unwrap().bytes <= budget {
        append(&*journal, numbered(n * 5000, 5000));
        n += 1;
    }
    let trimmed = journal.trim(keep, at(1)).unwrap();
    assert_eq!((trimmed.pages, trimmed.full), (0, true));
    let delivered = Span { id: row(&done[0]), ..span(Lane::Live, n + 1, None) };
    journal.commit(&[Change::Span(delivered)]).unwrap();
    let trimmed = journal.trim(keep, at(1)).unwrap();
    assert!(trimmed.pages > 0 && !trimmed.full && trimmed.bytes <= budget);
    let left: Vec<_> = all(&*journal, Lane::Live).iter().map(|p| p.id).collect();
    assert_eq!(left, (trimmed.pages + 1..=n).collect::<Vec<_>>(), "the oldest go first");
    assert!(trimmed.bytes > budget / 2, "and no more than necessary");
}

fn trim_without_sinks_goes_by_age(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    days(&*journal, 0..10, 50);
    let trimmed = journal.trim(KEEP, at(0)).unwrap();
    assert_eq!((trimmed.pages, trimmed.full), (0, false));
    let now = at(1441 * 2 * 5) + TimeDelta::days(30);
    assert_eq!(journal.trim(KEEP, now).unwrap().pages, 5);
    assert_eq!(all(&*journal, Lane::Live)[0].id, 6);
    assert_eq!(journal.load().unwrap().pages, (6, 11));
}

fn keys_and_numbers_outlive_pages(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    journal
        .commit(&[
            Change::Page(numbered(0, 10)),
            Change::Cover(interval(0, 10, Grade::Chain, 10)),
            Change::Dead(dead_letter("no")),
        ])
        .unwrap();
    assert_eq!(journal.trim(KEEP, at(0) + TimeDelta::days(31)).unwrap().pages, 1);
    let check = |journal: &dyn Journal| {
        assert_eq!(append(journal, numbered(0, 10)).duplicates, 10);
        let state = journal.load().unwrap();
        assert_eq!((state.coverage.len(), state.pages), (1, (2, 2)));
        assert_eq!(journal.dead(0, 9, false).unwrap().len(), 1);
    };
    check(&*journal);
    drop(journal);
    let journal = open(factory, dir);
    check(&*journal);
    assert_eq!(append(&*journal, numbered(10, 10)).page, Some(2));
}

fn a_record_of_a_forgotten_hour_is_a_later_meaning_where_records_change(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    append(&*journal, numbered_then(0, 2000));
    journal.forget("okta", "system_log", 2).unwrap();
    let again = append(&*journal, page(vec![record(0, 0, b"{\"state\":2}")]));
    assert_eq!(
        (again.new, again.revisions),
        (0, 1),
        "its first meaning may have been delivered under the bare id"
    );
    let stored = all(&*journal, Lane::Live).pop().unwrap();
    assert_eq!(stored.records.first().map(|record| record.revision), Some(Some(0)));
    let reread = append(&*journal, NewPage { reread: true, ..page(vec![record(1, 0, b"{}")]) });
    assert_eq!(
        (reread.new, reread.revisions),
        (1, 0),
        "whoever reads again means the records that were there"
    );
    let same = append(&*journal, page(vec![record(0, 0, b"{\"state\":2}")]));
    assert_eq!(same.duplicates, 1);
}

fn keys_go_only_when_forgotten(factory: Factory<'_>, dir: &Path) {
    let journal = open(factory, dir);
    let numbered = |first, n| NewPage { immutable: true, ..numbered_then(first, n) };
    let timeless = || NewRecord { key: Key { hour: Key::NO_TIME, id: 9, meaning: 1 }, ..record(0, 0, b"{}") };
    // Became visible long after it happened: a sweep over its time is still to come.
    let late = || NewPage { immutable: true, ..page(vec![record(5000, 1, b"{}")]) };
    append(&*journal, numbered(0, 2000));
    append(&*journal, page(vec![timeless()]));
    append(&*journal, late());
    assert_eq!(journal.forget("okta", "system_log", 2).unwrap(), 1000, "hours 0 and 1");
    assert_eq!(journal.load().unwrap().forgotten, [("okta".to_owned(), "system_log".to_owned(), 2)]);
    let done = append(&*journal, numbered(0, 2000));
    assert_eq!((done.new, done.duplicates), (1000, 1000));
    assert_eq!(append(&*journal, page(vec![timeless()])).duplicates, 1, "fetched after that hour");
    assert_eq!(append(&*journal, late()).duplicates, 1, "fetched after that hour, too");
    assert_eq!(journal.forget("okta", "system_log", i64::MAX).unwrap(), 2002);
    assert_eq!(append(&*journal, page(vec![timeless()])).new, 1);
    assert_eq!(append(&*journal, late()).new, 1);
}

fn a_second_opener_is_told_who_holds_it(factory: Factory<'_>, dir: &Path) {
    let journal = factory(dir, OpenOptions::new("run", at(0))).unwrap();
    journal.heartbeat(at(7)).unwrap();
    assert_eq!(journal.load().unwrap().holder.unwrap().heartbeat, at(7));
    match factory(dir, OpenOptions::new("sync", at(9))) {
        Err(JournalError::Held { holder, .. }) => {
            assert_eq!(holder.verb, "run");
            assert_eq!(holder.pid, std::process::id());
            assert_eq!((holder.since, holder.heartbeat), (at(0), at(7)));
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("two hold one tenant"),
    }
    append(&*journal, numbered(0, 1));
    drop(journal);
    let journal = factory(dir, OpenOptions::new("sync", at(9))).unwrap();
    assert_eq!(journal.load().unwrap().holder.unwrap().verb, "sync");
}

fn epochs_rise(factory: Factory<'_>, dir: &Path) {
    let first = open(factory, dir).epoch();
    let second = open(factory, dir).epoch();
    assert!(second > first);
}

/// A journal's directory as a crash or a power cut would have left it.
#[derive(Clone, Debug)]
pub struct Image {
    /// The step at which it was taken.
    pub step: &'static str,
    /// What a power cut took besides: bytes that were not synced.
    pub torn: Option<&'static str>,
    /// Where it lies.
    pub dir: PathBuf,
}

/// Takes crash images of a directory at every named step; give [`CrashImages::steps`] to the journal's options.
pub struct CrashImages {
    of: PathBuf,
    into: tempfile::TempDir,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    images: Vec<Image>,
    count: usize,
    /// Lengths that were synced, by file name.
    synced: std::collections::HashMap<PathBuf, u64>,
}

impl CrashImages {
    /// Of this directory, which need not be there yet.
    #[must_use]
    pub fn of(dir: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { of: dir.into(), into: tempfile::tempdir().unwrap(), taken: Mutex::default() })
    }

    /// The hook.
    #[must_use]
    pub fn steps(self: &Arc<Self>) -> Steps {
        let this = Arc::clone(self);
        Arc::new(move |step| {
            this.image(step);
            Ok(())
        })
    }

    /// The images since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Image> {
        std::mem::take(&mut self.taken.lock().unwrap().images)
    }

    fn image(&self, step: &'static str) {
        let mut taken = self.taken.lock().unwrap();
        taken.add(&self.of, self.into.path(), step, None);
        let files = files(&self.of);
        match step {
            // Between here and the sync any part of what was appended may reach the disk.
            "appended" => {
                for (file, len) in &files {
                    let before = taken.synced.get(file).copied().unwrap_or(0);
                    if file.extension().is_some_and(|e| e == "zst") && *len > before {
                        taken.tear(&self.of, self.into.path(), step, file, before, *len);
                    }
                }
            }
            // The transaction's own sync: before it any part of the WAL may be there.
            "committed" | "trim committed" => {
                let wal = PathBuf::from("state.db-wal");
                let before = taken.synced.get(&wal).copied().unwrap_or(0);
                if let Some((_, len)) = files.iter().find(|(file, len)| *file == wal && *len > before) {
                    taken.tear(&self.of, self.into.path(), step, &wal, before, *len);
                }
            }
            _ => {}
        }
        if step != "appended" {
            taken.synced = files.into_iter().collect();
        }
    }
}

impl Taken {
    fn add(&mut self, of: &Path, into: &Path, step: &'static str, torn: Option<&'static str>) -> PathBuf {
        let dir = into.join(format!("{}-{}", self.count, step.replace(' ', "-")));
        self.count += 1;
        copy(of, &dir);
        self.images.push(Image { step, torn, dir: dir.clone() });
        dir
    }

    fn tear(&mut self, of: &Path, into: &Path, step: &'static str, file: &Path, before: u64, len: u64) {
        let cuts = [
            ("to nothing", before),
            ("to a byte", before + 1),
            ("in the middle", before + (len - before) / 2),
            ("to all but a byte", len - 1),
        ];
        for (torn, cut) in cuts {
            let dir = self.add(of, into, step, Some(torn));
            std::fs::File::options().write(true).open(dir.join(file)).unwrap().set_len(cut).unwrap();
        }
        // The length reached the disk and the bytes did not.
        let dir = self.add(of, into, step, Some("to zeros"));
        let torn = std::fs::File::options().write(true).open(dir.join(file)).unwrap();
        torn.set_len(before).unwrap();
        torn.set_len(len).unwrap();
    }
}

/// Names and lengths of the files that a journal keeps.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let list = |sub: &str| -> Vec<(PathBuf, u64)> {
        std::fs::read_dir(dir.join(sub))
            .into_iter()
            .flatten()
            .map(Result::unwrap)
            .filter(|e| e.file_type().unwrap().is_file())
            // The shared index of the WAL is memory, not data; the lock dies with its process.
            .filter(|e| e.file_name() != "state.db-shm" && e.file_name() != "lock")
            .map(|e| (Path::new(sub).join(e.file_name()), e.metadata().unwrap().len()))
            .collect()
    };
    let mut all = list("");
    all.extend(list("pages"));
    all
}

/// Copies a journal's directory as a crash would leave it.
///
/// # Panics
/// If it cannot.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    if from.join("pages").is_dir() {
        std::fs::create_dir_all(to.join("pages")).unwrap();
    }
    for (file, _) in files(from) {
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}
