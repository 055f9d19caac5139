//! States that earlier versions wrote.

use super::*;

/// What made a state of version 1, as it was.
const VERSION_1: &str = include_str!("version_1.sql");

fn state(dir: &Path) -> std::path::PathBuf {
    dir.join("state.db")
}

fn version(dir: &Path) -> i64 {
    state::Db::read(&state(dir)).unwrap().ask("SELECT version FROM meta")
}

/// What a journal of every kind has a little of; its records' hours are 0, 1 and none.
fn a_bit_of_everything(dir: &Path) {
    let journal = open(dir);
    append(&journal, numbered(0, 600));
    journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(9)).unwrap();
    let key = Key { hour: Key::NO_TIME, id: 9, meaning: 1 };
    journal
        .commit(&[
            // Two ids that are known, one of them with a meaning that is not.
            Change::Page(page(vec![record(3, 3, b"{}"), record(4, 5, b"{}"), record(4, 4, b"{}")])),
            Change::Page(page(vec![NewRecord { key, ..record(0, 0, b"{}") }])),
            Change::Page(NewPage { stream: "other".into(), ..numbered(0, 7) }),
            Change::Work(work("cursor")),
            Change::Cover(interval(0, 10, Grade::Chain, 600)),
            Change::Cover(Interval { cause: Some("quota".into()), ..interval(10, 20, Grade::Hole, 0) }),
            Change::Span(span(Lane::Live, 3, None)),
            Change::Dead(kit::dead_letter("no")),
            Change::Quota(QuotaRow { source: "okta".into(), not_before: Some(at(3)), state: "{}".into() }),
            Change::Fingerprint(Fingerprint {
                source: "okta".into(),
                connector: "okta".into(),
                organisation: "acme.okta.com".into(),
            }),
            Change::Action(Action { at: at(1), what: "start".into(), detail: "by hand".into() }),
        ])
        .unwrap();
    journal.forget("okta", "other", -3).unwrap();
}

/// Puts a state of this older version with the same rows in the place of today's.
fn back_to(dir: &Path, version: i64) {
    let today = dir.join("today.db");
    std::fs::rename(state(dir), &today).unwrap();
    let mut sql = format!("PRAGMA journal_mode = wal; {VERSION_1}; ATTACH '{}' AS today;", today.display());
    let mut tables = vec![
        "meta", "stream", "segment", "page", "gone", "key", "work", "coverage", "delivery", "dead", "quota",
    ];
    tables.extend(["fingerprint", "action", "request"]);
    if version >= 2 {
        sql.push_str(state::TALLY);
        tables.push("tally");
    }
    if version >= 3 {
        sql.push_str(state::RANGES);
        tables.push("given_up");
    }
    for table in tables {
        // What a later version added to a row stands behind what was there.
        let columns = match table {
            "delivery" if version < 3 => "id, sink, lane, next_page, next_record, until, mark",
            "dead" => {
                "id, sink, source, stream, page, record, event, kind, reason, at, copy, revision, occurrence, retry"
            }
            _ => "*",
        };
        sql.push_str(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT {columns} FROM today.{table};"
        ));
    }
    sql.push_str(&format!("UPDATE main.meta SET version = {version};"));
    state::Db::pretend(&state(dir), &sql);
    std::fs::remove_file(today).unwrap();
}

/// All that a reader can tell but for the tally.
fn told(dir: &Path) -> String {
    let mut reader = Reader::open(dir).unwrap();
    let state = reader.load().unwrap();
    assert_eq!((state.works.len(), state.coverage.len(), state.spans.len()), (1, 2, 1));
    let pages = reader.read(ALL, usize::MAX).unwrap();
    assert_eq!(pages.len(), 3);
    let seen = reader.seen("okta", "system_log", 0).unwrap();
    let (dead, actions) = (reader.dead(0, 9, false).unwrap(), reader.actions(9).unwrap());
    format!("{state:?}\n{pages:?}\n{seen:?}\n{dead:?}\n{actions:?}\n{:?}", verify(dir).unwrap())
}

fn old_journal() -> (tempfile::TempDir, String) {
    journal_of(1)
}

fn journal_of(version: i64) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    a_bit_of_everything(dir.path());
    let before = told(dir.path());
    back_to(dir.path(), version);
    (dir, before)
}

/// What version 1 did not count, as far as its keys tell it.
fn check_tally(reader: &dyn Fn(i64, i64) -> Tally) {
    assert_eq!(reader(0, 1), Tally { records: 500, late: 0, revised: 1 });
    assert_eq!(reader(1, 2), Tally { records: 100, late: 0, revised: 0 });
    assert_eq!(reader(Key::NO_TIME, Key::NO_TIME + 1), Tally { records: 1, late: 0, revised: 0 });
}

#[test]
fn version_1_is_read_without_a_tally() {
    let (dir, before) = old_journal();
    assert_eq!(told(dir.path()), before);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.tally("okta", "system_log", i64::MIN, i64::MAX).unwrap(), Tally::default());
    assert_eq!(reader.totals().unwrap(), []);
    assert_eq!(version(dir.path()), 1);
    // Whoever opens it for writing brings it forward, also under the eyes of a reader.
    drop(open(dir.path()));
    check_tally(&|from, to| reader.tally("okta", "system_log", from, to).unwrap());
}

#[test]
fn version_1_is_brought_forward_by_its_holder_and_keeps_everything() {
    let (dir, before) = old_journal();
    // Who only leaves a request does not hold it.
    let request = reader::request(dir.path(), "reload", "{}", at(5)).unwrap();
    assert_eq!(version(dir.path()), 1);
    let journal = open(dir.path());
    assert_eq!(version(dir.path()), state::VERSION);
    assert_eq!(journal.epoch(), 2);
    assert_eq!(journal.heartbeat(at(6)).unwrap().iter().map(|r| r.id).collect::<Vec<_>>(), [request]);
    journal.commit(&[Change::RequestDone(request)]).unwrap();
    check_tally(&|from, to| journal.tally("okta", "system_log", from, to).unwrap());
    drop(journal);
    assert_eq!(told(dir.path()), before);
    let journal = open(dir.path());
    assert_eq!(
        append(&journal, numbered(0, 610)),
        Appended { page: Some(5), new: 10, duplicates: 600, ..Appended::default() }
    );
    assert_eq!(
        journal.totals().unwrap(),
        [
            ("okta".into(), "other".into(), Tally { records: 7, late: 0, revised: 0 }),
            ("okta".into(), "system_log".into(), Tally { records: 611, late: 1, revised: 1 }),
        ]
    );
}

#[test]
fn an_old_state_that_was_brought_forward_is_like_a_new_one() {
    let (old, _) = old_journal();
    drop(open(old.path()));
    let new = tempfile::tempdir().unwrap();
    drop(open(new.path()));
    let [old, new] = [old, new].map(|dir| {
        let db = state::Db::read(&state(dir.path())).unwrap();
        db.ask::<String>("SELECT group_concat(coalesce(sql, ''), ';' ORDER BY name) FROM sqlite_schema")
    });
    assert_eq!(old, new);
}

#[test]
fn version_2_is_read_and_brought_forward_with_its_positions_and_can_then_park_a_stream() {
    let (dir, before) = journal_of(2);
    assert_eq!(told(dir.path()), before);
    assert_eq!(version(dir.path()), 2);
    let journal = open(dir.path());
    assert_eq!(version(dir.path()), state::VERSION);
    drop(journal);
    assert_eq!(told(dir.path()), before);
    let journal = open(dir.path());
    let [followed] = &journal.load().unwrap().spans[..] else { panic!("one position") };
    let key = StreamKey::new("okta", "other");
    let main = Span { except: vec![LeftOut { of: key.clone(), until: Some(9) }], ..followed.clone() };
    let parked = Span {
        purpose: Purpose::Parked,
        only: Some(key),
        since: Some(at(3)),
        reason: Some("no such index\nmake it".into()),
        ..span(Lane::Live, 4, Some(9))
    };
    let done = journal.commit(&[Change::Span(main.clone()), Change::Span(parked.clone())]).unwrap();
    drop(journal);
    let spans = open(dir.path()).load().unwrap().spans;
    assert_eq!(spans, [main, Span { id: kit::row(&done[1]), ..parked }]);
}

#[test]
fn a_closed_span_of_version_2_was_a_replay() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&[Change::Span(span(Lane::Sweep, 3, Some(9)))]).unwrap();
    back_to(dir.path(), 2);
    let purpose = || Reader::open(dir.path()).unwrap().load().unwrap().spans[0].purpose;
    assert_eq!(purpose(), Purpose::Replay);
    drop(open(dir.path()));
    assert_eq!(purpose(), Purpose::Replay);
}

#[test]
fn a_crash_on_the_way_forward_loses_nothing() {
    let (dir, before) = old_journal();
    let images = CrashImages::of(dir.path());
    FileJournal::open(dir.path(), OpenOptions { steps: Some(images.steps()), ..options() }).unwrap();
    let images = images.take();
    assert!(images.iter().any(|image| version(&image.dir) == 1), "taken before");
    assert!(images.iter().any(|image| version(&image.dir) == state::VERSION), "taken after");
    for image in images {
        assert_eq!(told(&image.dir), before, "{}", image.step);
        let journal = open(&image.dir);
        check_tally(&|from, to| journal.tally("okta", "system_log", from, to).unwrap());
    }
}

#[test]
fn a_damaged_old_state_is_left_as_it_was() {
    let (dir, _) = old_journal();
    std::fs::remove_file(segment::path(dir.path(), 2)).unwrap();
    let before = bytes(dir.path());
    assert!(matches!(FileJournal::open(dir.path(), options()), Err(JournalError::Damaged { .. })));
    assert!(bytes(dir.path()) == before);
    assert_eq!(version(dir.path()), 1);
}

#[test]
fn version_3_is_read_and_brought_forward_with_its_dead_letters() {
    let (dir, before) = journal_of(3);
    assert_eq!((told(dir.path()), version(dir.path())), (before.clone(), 3));
    let reader = Reader::open(dir.path()).unwrap();
    let journal = open(dir.path());
    assert_eq!(version(dir.path()), state::VERSION);
    let letter = reader.dead(0, 9, false).unwrap().remove(0);
    assert_eq!(journal.letters("elastic", (1, 1)).unwrap()[0].id, letter.id);
    let marked = DeadLetter { mark: Some("fix".into()), ..letter };
    journal.commit(&[Change::Dead(marked.clone())]).unwrap();
    assert_eq!(reader.dead(0, 9, false).unwrap(), [marked], "also by who had it open before");
}
