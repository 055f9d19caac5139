//! What the journal on a disk must do beyond what every journal must.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod version;

use super::*;
use crate::testkit::journal::{
    self as kit, CrashImages, Image, all, at, interval, numbered, page, record, span, work,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn file(dir: &Path, options: OpenOptions) -> Result<Box<dyn Journal>, JournalError> {
    Ok(Box::new(FileJournal::open(dir, options)?))
}

fn options() -> OpenOptions {
    OpenOptions::new("test", at(0))
}

fn open(dir: &Path) -> FileJournal {
    FileJournal::open(dir, options()).unwrap()
}

fn append(journal: &FileJournal, page: NewPage) -> Appended {
    match journal.commit(&[Change::Page(page)]).unwrap()[..] {
        [Outcome::Appended(a)] => a,
        _ => panic!("no answer"),
    }
}

const ALL: Range = Range { lane: Lane::Live, from: 1, to: None };

#[test]
fn conforms() {
    kit::conformance(&file);
}

#[test]
fn conforms_without_any_cache() {
    kit::conformance(&|dir, options| file(dir, OpenOptions { page_cache: 0, key_cache: 0, ..options }));
}

// ---- crashes

/// The n-th commit of the crash test: two pages, some of it seen before, and the cursor that belongs to them.
fn nth(n: u64) -> Vec<Change> {
    let day = at(i64::try_from(n / 2).unwrap() * 1441 * 2);
    vec![
        Change::Page(NewPage { at: day, ..numbered(n * 20, 15) }),
        Change::Page(NewPage { at: day, lane: Lane::Sweep, ..numbered(n * 20 + 10, 10) }),
        Change::Work(work(&n.to_string())),
        Change::Cover(interval(i64::try_from(n).unwrap(), i64::try_from(n + 1).unwrap(), Grade::Chain, 20)),
    ]
}

/// How many commits of [`nth`] a journal holds; panics if it holds half of one.
fn commits(journal: &dyn Journal) -> u64 {
    let state = journal.load().unwrap();
    let n = state
        .works
        .first()
        .map_or(0, |w| String::from_utf8(w.cursor.clone().unwrap()).unwrap().parse::<u64>().unwrap() + 1);
    assert_eq!(state.pages.1, n * 2 + 1, "pages and cursor");
    assert_eq!(state.coverage.first().map_or(0, |c| c.count), n * 20, "pages and ledger");
    let tally = journal.tally("okta", "system_log", i64::MIN, i64::MAX).unwrap();
    // Each commit begins with 15 new records, of which two are late, and goes on with 5, of which none is.
    assert_eq!(tally, Tally { records: n * 20, late: n * 2, revised: 0 }, "pages and tally");
    n
}

fn ids(journal: &dyn Journal) -> Vec<String> {
    let mut ids = Vec::new();
    for lane in Lane::ALL {
        for page in all(journal, lane) {
            ids.extend(page.records.iter().map(|r| String::from_utf8(r.bytes.to_vec()).unwrap()));
        }
    }
    ids
}

/// Opens an image as the next process would, and carries on from it.
fn survives(image: &Image, sure: u64, possible: u64, trimmed: bool) {
    let name = format!("{} {:?}", image.step, image.torn);
    let journal = FileJournal::open(&image.dir, options()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let n = commits(&journal);
    assert!((sure..=possible).contains(&n), "{name}: {n} commits, {sure} were answered");
    verify(&image.dir).unwrap_or_else(|e| panic!("{name}: {e}"));
    // The commit in flight comes again, and others after it.
    for again in sure..sure + 3 {
        let done = journal.commit(&nth(again)).unwrap();
        let Outcome::Appended(a) = done[0] else { panic!() };
        assert_eq!(a.new, if again < n { 0 } else { 15 }, "{name}: commit {again}");
    }
    if !trimmed {
        let got = ids(&journal);
        let distinct: BTreeSet<_> = got.iter().collect();
        assert_eq!(distinct.len(), got.len(), "{name}: doubled");
        assert_eq!(got.len() as u64, (sure + 3) * 20, "{name}: lost");
    }
    drop(journal);
    let journal = open(&image.dir);
    verify(&image.dir).unwrap_or_else(|e| panic!("{name}, later: {e}"));
    let last = all(&journal, Lane::Sweep).pop().unwrap();
    assert_eq!(last.records.len(), 5);
}

#[test]
fn a_crash_at_any_step_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("acme");
    let images = CrashImages::of(&dir);
    let with = || OpenOptions { steps: Some(images.steps()), ..options() };
    let mut seen = BTreeSet::new();
    let mut check = |sure: u64, trimmed: bool| {
        for image in images.take() {
            seen.insert(image.step);
            let possible = match (image.step, image.torn) {
                // Answered or not: its hook is called before the answer.
                ("committed", None) => (sure + 1, sure + 1),
                ("committed", Some(_)) => (sure, sure + 1),
                _ => (sure, sure),
            };
            survives_between(&image, sure, possible, trimmed);
        }
    };
    let journal = FileJournal::open(&dir, with()).unwrap();
    check(0, false);
    for n in 0..6 {
        journal.commit(&nth(n)).unwrap();
        check(n, false);
    }
    drop(journal);
    // A tail without rows, and an opening that cuts it.
    let last = std::fs::read_dir(dir.join("pages")).unwrap().count() as u64;
    let tail = std::fs::File::options().append(true).open(segment::path(&dir, last)).unwrap();
    tail.write_all_at(b"half a page", tail.metadata().unwrap().len()).unwrap();
    let journal = FileJournal::open(&dir, with()).unwrap();
    check(6, false);
    // All is delivered and old.
    let keep = Keep { age: Duration::ZERO, bytes: u64::MAX };
    let trimmed = journal.trim(keep, at(1_000_000)).unwrap();
    assert_eq!(trimmed.pages, 12);
    check(6, true);
    assert_eq!(seen, STEPS.into_iter().collect(), "every step was taken");
}

fn survives_between(image: &Image, sure: u64, (least, most): (u64, u64), trimmed: bool) {
    let probe = image.dir.with_extension("probe");
    kit::copy(&image.dir, &probe);
    let n = commits(&open(&probe));
    assert!((least..=most).contains(&n), "{} {:?}: {n} not in {least}..={most}", image.step, image.torn);
    survives(image, sure, most, trimmed);
}

#[test]
fn a_failure_at_any_step_is_told_and_harms_nothing() {
    for failing in STEPS {
        for nth_time in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            let counting = Arc::clone(&count);
            let steps: Steps = Arc::new(move |step| {
                if step == failing && counting.fetch_add(1, Ordering::Relaxed) == nth_time {
                    return Err(io::Error::from(io::ErrorKind::StorageFull));
                }
                Ok(())
            });
            let with = || OpenOptions { steps: Some(Arc::clone(&steps)), ..options() };
            let mut journal = FileJournal::open(dir.path(), with())
                .or_else(|e| {
                    assert!(e.to_string().contains(dir.path().to_str().unwrap()), "{e}");
                    FileJournal::open(dir.path(), with())
                })
                .unwrap();
            for n in 0..5 {
                if let Err(e) = journal.commit(&nth(n)) {
                    assert!(matches!(e, JournalError::Io { .. }), "{e}");
                    if failing == "appended" {
                        // The sync failed: nothing may be written by this opening any more.
                        assert!(journal.commit(&nth(n)).is_err());
                        drop(journal);
                        journal = FileJournal::open(dir.path(), with()).unwrap();
                    }
                    assert_eq!(commits(&journal), n);
                    journal.commit(&nth(n)).unwrap();
                }
                assert_eq!(commits(&journal), n + 1);
            }
            let _ = journal.trim(Keep { age: Duration::ZERO, bytes: u64::MAX }, at(1441 * 2));
            drop(journal);
            let journal = open(dir.path());
            verify(dir.path()).unwrap();
            let got = ids(&journal);
            assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len());
            assert_eq!(
                segment::list(dir.path()).unwrap().len(),
                2,
                "{failing}: trimmed or not, no file is left over"
            );
        }
    }
}

// ---- against a model

#[derive(Clone, Debug)]
enum Deed {
    Page(Lane, Vec<(u8, u8)>),
    Work(u8, u8),
    WorkDone(u8),
    Span(u8),
    Advance(usize, u8),
    SpanDone(usize),
}

#[derive(Clone, Debug)]
enum Act {
    Commit(Vec<Deed>),
    Fail(Vec<Deed>),
    Reopen,
    Trim,
}

/// Id, meaning, whether it is a revision.
type Kept = Vec<(u8, u8, bool)>;

#[derive(Clone, Default)]
struct Model {
    seen: HashMap<(i64, u8), Vec<u8>>,
    pages: BTreeMap<PageId, (Lane, Kept)>,
    tally: BTreeMap<i64, Tally>,
    next: PageId,
    works: BTreeMap<u8, u8>,
    spans: BTreeMap<u64, PageId>,
    last_span: u64,
}

fn hour(id: u8) -> i64 {
    i64::from(id % 3)
}

fn late(id: u8) -> bool {
    id.is_multiple_of(2)
}

impl Model {
    fn change(&mut self, deed: &Deed) -> (Change, Outcome) {
        let pick =
            |spans: &BTreeMap<u64, PageId>, n: usize| spans.keys().nth(n % spans.len().max(1)).copied();
        match deed {
            Deed::Page(lane, records) => {
                let mut kept = Vec::new();
                let mut done = Appended::default();
                for (id, meaning) in records {
                    let meanings = self.seen.entry((hour(*id), *id)).or_default();
                    if meanings.contains(meaning) {
                        done.duplicates += 1;
                        continue;
                    }
                    let first = meanings.is_empty();
                    let tally = self.tally.entry(hour(*id)).or_default();
                    if first {
                        done.new += 1;
                        tally.records += 1;
                        tally.late += u64::from(late(*id));
                    } else {
                        done.revisions += 1;
                        tally.revised += 1;
                    }
                    meanings.push(*meaning);
                    kept.push((*id, *meaning, !first));
                }
                if !kept.is_empty() {
                    self.next += 1;
                    done.page = Some(self.next);
                    self.pages.insert(self.next, (*lane, kept));
                }
                let records = records
                    .iter()
                    .map(|(id, meaning)| NewRecord {
                        bytes: Bytes::from(format!("{id}.{meaning}")),
                        key: Key { hour: hour(*id), id: u128::from(*id), meaning: u64::from(*meaning) },
                        occurrence: 0,
                        late: late(*id),
                    })
                    .collect();
                // A day of their own, so that each stands in its own segment.
                let at = at(i64::try_from(self.next).unwrap() * 1500);
                (Change::Page(NewPage { lane: *lane, at, ..page(records) }), Outcome::Appended(done))
            }
            Deed::Work(name, cursor) => {
                self.works.insert(*name, *cursor);
                (Change::Work(Work { name: name.to_string(), ..work(&cursor.to_string()) }), Outcome::Done)
            }
            Deed::WorkDone(name) => {
                self.works.remove(name);
                (Change::WorkDone(Work { name: name.to_string(), ..work("") }), Outcome::Done)
            }
            Deed::Span(next) => {
                self.last_span += 1;
                self.spans.insert(self.last_span, u64::from(*next));
                (Change::Span(span(Lane::Live, u64::from(*next), None)), Outcome::Row(self.last_span))
            }
            Deed::Advance(n, by) => {
                let id = pick(&self.spans, *n).unwrap_or(9999);
                let next = self.spans.get(&id).copied().unwrap_or(0) + u64::from(*by);
                if let Some(at) = self.spans.get_mut(&id) {
                    *at = next;
                }
                (Change::Span(Span { id, ..span(Lane::Live, next, None) }), Outcome::Row(id))
            }
            Deed::SpanDone(n) => {
                let id = pick(&self.spans, *n).unwrap_or(9999);
                self.spans.remove(&id);
                (Change::SpanDone(id), Outcome::Done)
            }
        }
    }

    fn check(&self, journal: &dyn Journal) {
        let state = journal.load().unwrap();
        let works: BTreeMap<u8, u8> = state
            .works
            .iter()
            .map(|w| {
                let cursor = String::from_utf8(w.cursor.clone().unwrap()).unwrap();
                (w.name.parse().unwrap(), cursor.parse().unwrap())
            })
            .collect();
        assert_eq!(works, self.works);
        assert_eq!(state.spans.iter().map(|s| (s.id, s.next_page)).collect::<BTreeMap<_, _>>(), self.spans);
        assert_eq!(state.pages.1, self.next + 1);
        let mut found = BTreeMap::new();
        for lane in Lane::ALL {
            for page in all(journal, lane) {
                let records = page
                    .records
                    .iter()
                    .map(|r| {
                        let text = String::from_utf8(r.bytes.to_vec()).unwrap();
                        let (id, meaning) = text.split_once('.').unwrap();
                        let (id, meaning): (u8, u8) = (id.parse().unwrap(), meaning.parse().unwrap());
                        assert!(r.revision.is_none_or(|r| r == u64::from(meaning)));
                        (id, meaning, r.revision.is_some())
                    })
                    .collect::<Vec<_>>();
                found.insert(page.id, (page.lane, records));
            }
        }
        assert_eq!(found, self.pages);
        for hour in 0..3 {
            let tally = journal.tally("okta", "system_log", hour, hour + 1).unwrap();
            assert_eq!(tally, self.tally.get(&hour).copied().unwrap_or_default());
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let lane = prop::sample::select(Lane::ALL.to_vec());
    prop_oneof![
        4 => (lane, prop::collection::vec((0u8..12, 0u8..3), 0..8)).prop_map(|(l, r)| Deed::Page(l, r)),
        1 => (0u8..3, any::<u8>()).prop_map(|(n, c)| Deed::Work(n, c)),
        1 => (0u8..3).prop_map(Deed::WorkDone),
        1 => (0u8..9).prop_map(Deed::Span),
        1 => (0usize..4, 0u8..4).prop_map(|(n, by)| Deed::Advance(n, by)),
        1 => (0usize..4).prop_map(Deed::SpanDone),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(deed(), 1..5).prop_map(Act::Commit),
        1 => prop::collection::vec(deed(), 1..5).prop_map(Act::Fail),
        2 => Just(Act::Reopen),
        1 => Just(Act::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_simple_model(acts in prop::collection::vec(act(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let fail = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&fail);
        let steps: Steps = Arc::new(move |step| match step {
            "rows written" if asked.load(Ordering::Relaxed) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        });
        // Caches that hold next to nothing, so that both ways are walked.
        let with = || OpenOptions { steps: Some(Arc::clone(&steps)), page_cache: 20, key_cache: 2000, ..options() };
        let mut journal = FileJournal::open(dir.path(), with()).unwrap();
        let mut model = Model::default();
        for act in acts {
            match act {
                Act::Commit(deeds) => {
                    let (changes, outcomes): (Vec<_>, Vec<_>) = deeds.iter().map(|d| model.change(d)).unzip();
                    prop_assert_eq!(journal.commit(&changes).unwrap(), outcomes);
                }
                Act::Fail(deeds) => {
                    let mut lost = model.clone();
                    let changes: Vec<_> = deeds.iter().map(|d| lost.change(d).0).collect();
                    fail.store(true, Ordering::Relaxed);
                    prop_assert!(journal.commit(&changes).is_err());
                    fail.store(false, Ordering::Relaxed);
                }
                Act::Reopen => {
                    drop(journal);
                    journal = FileJournal::open(dir.path(), with()).unwrap();
                }
                Act::Trim => {
                    let trimmed = journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(300_000)).unwrap();
                    let awaited = |id: &PageId, lane: Lane| {
                        lane == Lane::Live && model.spans.values().any(|next| id >= next)
                    };
                    let before = model.pages.len() as u64;
                    let left: BTreeSet<_> =
                        Lane::ALL.into_iter().flat_map(|l| all(&journal, l)).map(|p| p.id).collect();
                    prop_assert!(model.pages.iter().all(|(id, (l, _))| !awaited(id, *l) || left.contains(id)));
                    model.pages.retain(|id, _| left.contains(id));
                    prop_assert_eq!(before - trimmed.pages, left.len() as u64);
                }
            }
            model.check(&journal);
        }
        drop(journal);
        let done = verify(dir.path()).unwrap();
        prop_assert_eq!((done.pages, done.pages + done.trimmed), (model.pages.len() as u64, model.next));
        let journal = open(dir.path());
        model.check(&journal);
    }
}

// ---- who may write

#[test]
fn a_process_that_lost_its_tenant_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let old = open(dir.path());
    append(&old, numbered(0, 10));
    // Somebody deletes the lock of a process that still lives.
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    let new = open(dir.path());
    append(&new, numbered(10, 10));
    let before = std::fs::read(segment::path(dir.path(), 1)).unwrap();
    for refused in [old.commit(&[Change::Page(numbered(20, 10))]), old.commit(&[Change::Work(work("old"))])] {
        match refused {
            Err(JournalError::Fenced { ours, theirs, .. }) => assert!(theirs > ours),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        old.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(99)),
        Err(JournalError::Fenced { .. })
    ));
    assert!(matches!(old.forget("okta", "system_log", 9), Err(JournalError::Fenced { .. })));
    assert_eq!(std::fs::read(segment::path(dir.path(), 1)).unwrap(), before);
    append(&new, numbered(20, 10));
    assert_eq!(verify(dir.path()).unwrap().pages, 3);
}

#[test]
fn says_which_path_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "").unwrap();
    let e = FileJournal::open(path.join("acme"), options()).unwrap_err();
    assert!(matches!(e, JournalError::Io { .. }) && e.to_string().contains(path.to_str().unwrap()), "{e}");
    let e = Reader::open(dir.path()).err().unwrap();
    assert!(e.to_string().contains("there is no journal"), "{e}");
    assert!(reader::request(dir.path(), "reload", "", at(0)).is_err());
    assert!(!dir.path().join("state.db").exists(), "asking makes nothing");
}

#[test]
fn refuses_a_newer_format() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path()), numbered(0, 1));
    state::Db::pretend(&dir.path().join("state.db"), "UPDATE meta SET version = 9");
    for e in [
        FileJournal::open(dir.path(), options()).map(drop).unwrap_err(),
        Reader::open(dir.path()).map(drop).unwrap_err(),
        reader::request(dir.path(), "reload", "", at(0)).map(drop).unwrap_err(),
    ] {
        assert!(matches!(e, JournalError::Newer { found: 9, known: state::VERSION, .. }), "{e}");
    }
}

#[test]
#[ignore = "needs a file system of a few MiB in $TIDEGATE_SMALL_DISK"]
fn goes_on_after_a_full_disk() {
    let disk = std::env::var("TIDEGATE_SMALL_DISK").unwrap();
    let dir = tempfile::tempdir_in(disk).unwrap();
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 300 << 10]).unwrap();
    let journal = open(dir.path());
    let mut n = 0;
    let (refused, e) = loop {
        let changes = nth(n);
        match journal.commit(&changes) {
            Ok(_) => n += 1,
            Err(e) => break (changes, e),
        }
    };
    assert!(
        matches!(&e, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull),
        "{e}"
    );
    assert!(e.to_string().contains(dir.path().to_str().unwrap()), "{e}");
    assert_eq!(commits(&journal), n);
    std::fs::remove_file(ballast).unwrap();
    journal.commit(&refused).unwrap();
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(commits(&journal), n + 1);
    verify(dir.path()).unwrap();
    assert_eq!(ids(&journal).iter().collect::<BTreeSet<_>>().len() as u64, (n + 1) * 20);
}

// ---- damage

/// All files of a journal, to see that nothing was changed.
fn bytes(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for sub in [dir.to_owned(), dir.join("pages")] {
        for entry in std::fs::read_dir(sub).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("lock") {
                all.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

#[test]
fn refuses_damage_and_overwrites_nothing() {
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 8] = [
        ("the segment is gone", |d| std::fs::remove_file(segment::path(d, 1)).unwrap()),
        ("the segment is short", |d| cut(&segment::path(d, 2), 20)),
        ("the last page is zeros", |d| {
            let path = segment::path(d, 2);
            let len = std::fs::metadata(&path).unwrap().len();
            cut(&path, 20);
            std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        }),
        ("the state is gone", |d| std::fs::remove_file(d.join("state.db")).unwrap()),
        ("the state is empty", |d| std::fs::write(d.join("state.db"), "").unwrap()),
        ("the state is text", |d| {
            std::fs::write(d.join("state.db"), "hello, this is no database at all").unwrap()
        }),
        ("the state is half", |d| {
            let path = d.join("state.db");
            std::fs::File::options().write(true).open(path).unwrap().set_len(6000).unwrap();
        }),
        ("the state is older than two segments", |d| {
            for seg in [3, 4] {
                std::fs::copy(segment::path(d, 2), segment::path(d, seg)).unwrap();
            }
        }),
    ];
    for (name, spoil) in spoil {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        append(&journal, numbered(0, 100));
        append(&journal, NewPage { at: at(3000), ..numbered(100, 100) });
        drop(journal);
        spoil(dir.path());
        let before = bytes(dir.path());
        match FileJournal::open(dir.path(), options()) {
            Err(e @ JournalError::Damaged { .. }) => assert!(e.to_string().contains("backup"), "{name}: {e}"),
            Err(e) => panic!("{name}: {e}"),
            Ok(_) => panic!("{name}: opened"),
        }
        assert_eq!(bytes(dir.path()), before, "{name}");
    }
}

fn cut(path: &Path, by: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - by).unwrap();
}

#[test]
fn a_changed_byte_is_named_by_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    append(&journal, numbered(0, 100));
    let second = journal.load().unwrap().bytes;
    append(&journal, numbered(100, 100));
    append(&journal, numbered(200, 100));
    drop(journal);
    assert_eq!(verify(dir.path()).unwrap(), Verified { pages: 3, records: 300, trimmed: 0, last: 3 });
    let path = segment::path(dir.path(), 1);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"X", second + 400).unwrap();
    let journal = open(dir.path());
    assert_eq!(journal.read(Range { to: Some(2), ..ALL }, 9).unwrap().len(), 1);
    for e in [journal.read(Range { from: 2, ..ALL }, 9).map(drop), verify(dir.path()).map(drop)] {
        let e = e.unwrap_err().to_string();
        assert!(e.contains("1.zst") && e.contains(&format!("offset {second}, page 2")), "{e}");
    }
    // Reading is refused, writing goes on.
    append(&journal, numbered(300, 1));
}

#[test]
fn a_page_put_in_anothers_place_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    append(&journal, page(vec![record(1, 1, b"one")]));
    let len = usize::try_from(journal.load().unwrap().bytes).unwrap();
    append(&journal, page(vec![record(2, 1, b"two")]));
    append(&journal, page(vec![record(3, 1, b"six")]));
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let first = bytes[..len].to_vec();
    bytes[len..len * 2].copy_from_slice(&first);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(verify(dir.path()), Err(JournalError::Damaged { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), with in any::<[u8; 4]>(), state in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        append(&journal, numbered(0, 40));
        append(&journal, numbered(40, 40));
        journal.commit(&[Change::Work(work("c")), Change::Cover(interval(0, 5, Grade::Chain, 1))]).unwrap();
        drop(journal);
        let path = if state { dir.path().join("state.db") } else { segment::path(dir.path(), 1) };
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&with, at.index(usize::try_from(file.metadata().unwrap().len()).unwrap()) as u64).unwrap();
        let _ = verify(dir.path());
        if let Ok(journal) = FileJournal::open(dir.path(), options()) {
            let _ = journal.load();
            let _ = journal.read(ALL, usize::MAX);
            let _ = journal.commit(&[Change::Page(numbered(60, 40)), Change::Work(work("d"))]);
            let _ = journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, kit::at(999));
        }
    }
}

// ---- beside the holder

#[test]
fn readers_and_requests_beside_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), OpenOptions::new("run", at(3))).unwrap();
    let mut readers = [Reader::open(dir.path()).unwrap(), Reader::open(dir.path()).unwrap()];
    for n in 0..20 {
        append(&journal, numbered(n * 10, 10));
        for reader in &mut readers {
            assert_eq!(reader.read(ALL, usize::MAX).unwrap().len() as u64, n + 1);
            let state = reader.load().unwrap();
            assert_eq!(state.pages, (1, n + 2));
            assert_eq!(state.holder.unwrap().verb, "run");
        }
    }
    let action = Action { at: at(1), what: "start".into(), detail: String::new() };
    journal.commit(&[Change::Action(action.clone()), Change::Dead(kit::dead_letter("no"))]).unwrap();
    assert_eq!(readers[0].actions(5).unwrap(), [action]);
    assert_eq!(readers[0].dead(0, 5, false).unwrap().len(), 1);
    assert_eq!(readers[0].seen("okta", "system_log", 0).unwrap().len(), 200);
    assert!(readers[0].seen("okta", "system_log", 7).unwrap().is_empty());
    let tally = Tally { records: 200, late: 20, revised: 0 };
    assert_eq!(readers[0].tally("okta", "system_log", 0, 1).unwrap(), tally);
    assert_eq!(readers[1].totals().unwrap(), [("okta".into(), "system_log".into(), tally)]);

    let first = reader::request(dir.path(), "backfill", "{\"hole\":14}", at(5)).unwrap();
    let second = reader::request(dir.path(), "reload", "{}", at(6)).unwrap();
    let waiting = journal.heartbeat(at(7)).unwrap();
    assert_eq!(waiting.iter().map(|r| r.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(
        (waiting[0].verb.as_str(), waiting[0].arguments.as_str(), waiting[0].at),
        ("backfill", "{\"hole\":14}", at(5))
    );
    journal.commit(&[Change::RequestDone(first)]).unwrap();
    assert_eq!(readers[1].load().unwrap().requests, waiting[1..]);
    append(&journal, numbered(900, 1));

    drop(journal);
    assert_eq!(readers[1].load().unwrap().holder, None, "nobody holds it any more");
    drop(readers);
    assert_eq!(Reader::open(dir.path()).unwrap().read(ALL, usize::MAX).unwrap().len(), 21);
    verify(dir.path()).unwrap();
}

#[test]
fn a_request_is_found_at_the_next_heartbeat_however_soon_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), OpenOptions::new("run", at(0))).unwrap();
    for n in 0..100 {
        assert_eq!(journal.heartbeat(at(n)).unwrap(), []);
        assert_eq!(journal.heartbeat(at(n)).unwrap(), []);
        let id = reader::request(dir.path(), "reload", "{}", at(n)).unwrap();
        for _ in 0..2 {
            assert_eq!(journal.heartbeat(at(n)).unwrap().iter().map(|r| r.id).collect::<Vec<_>>(), [id]);
        }
        journal.commit(&[Change::RequestDone(id)]).unwrap();
    }
}

#[test]
fn a_request_ends_the_quiet_and_our_own_commits_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), OpenOptions::new("run", at(0))).unwrap();
    assert!(!journal.is_quiet(at(0)), "nobody has looked yet");
    assert_eq!(journal.heartbeat(at(1)).unwrap(), []);
    assert!(journal.is_quiet(at(1)));
    append(&journal, numbered(0, 10));
    assert!(journal.is_quiet(at(1)), "we know what we write");
    let id = reader::request(dir.path(), "reload", "{}", at(1)).unwrap();
    assert!(!journal.is_quiet(at(1)));
    assert_eq!(journal.heartbeat(at(1)).unwrap().len(), 1);
    assert!(!journal.is_quiet(at(1)), "it waits still");
    journal.commit(&[Change::RequestDone(id)]).unwrap();
    assert_eq!(journal.heartbeat(at(1)).unwrap(), []);
    assert!(journal.is_quiet(at(1)));
    assert!(!journal.is_quiet(at(2)), "a sign of life is due");
    assert!(!journal.is_quiet(at(0)), "our clock was set back");
}

#[test]
fn a_reader_survives_a_trim() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    append(&journal, numbered(0, 10));
    let mut reader = Reader::open(dir.path()).unwrap();
    journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(9)).unwrap();
    assert!(reader.read(ALL, usize::MAX).unwrap().is_empty());
    append(&journal, numbered(10, 10));
    assert_eq!(reader.read(ALL, usize::MAX).unwrap()[0].id, 2);
    let done = verify(dir.path()).unwrap();
    assert_eq!((done.pages, done.trimmed), (1, 1));
}

#[test]
fn zstdcat_prints_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    append(&journal, page(vec![record(1, 1, b"{\"a\":1}"), record(2, 1, b"{\"b\":2}")]));
    append(&journal, page(vec![record(1, 1, b"{\"a\":1}"), record(3, 1, b"{\"c\":3}")]));
    let segment = std::fs::File::open(segment::path(dir.path(), 1)).unwrap();
    let text = zstd::stream::decode_all(segment).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
}

#[test]
fn a_commit_without_pages_leaves_segments_alone() {
    let dir = tempfile::tempdir().unwrap();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&steps);
    let hook: Steps = Arc::new(move |step| {
        log.lock().unwrap().push(step);
        Ok(())
    });
    let journal = FileJournal::open(dir.path(), OpenOptions { steps: Some(hook), ..options() }).unwrap();
    append(&journal, numbered(0, 5));
    steps.lock().unwrap().clear();
    journal.commit(&[Change::Work(work("c")), Change::Page(numbered(0, 5))]).unwrap();
    assert_eq!(*steps.lock().unwrap(), ["begun", "rows written", "committed"]);
}

#[test]
fn small_blobs_of_an_hour_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for id in 0..300 {
        append(&journal, page(vec![record(id, 1, b"{}")]));
    }
    drop(journal);
    let db = state::Db::read(&dir.path().join("state.db")).unwrap();
    let blobs: i64 = db.ask("SELECT count(*) FROM key");
    assert!(blobs <= keys::BLOBS as i64, "{blobs} blobs");
    assert_eq!(db.seen("okta", "system_log", 0).unwrap().len(), 300);
}

#[test]
fn the_tally_stays_small_for_years() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let first = at(0).timestamp() / 3600;
    let one = |hour: i64| NewRecord {
        key: Key { hour, id: hour.cast_unsigned().into(), meaning: 1 },
        ..record(0, 0, b"{}")
    };
    let (days, kept) = (400, 90 * 24);
    append(&journal, page((first..first + days * 24).chain([Key::NO_TIME]).map(one).collect()));
    journal.forget("okta", "system_log", first + days * 24 - kept).unwrap();
    let rows: i64 = state::Db::read(&dir.path().join("state.db")).unwrap().ask("SELECT count(*) FROM tally");
    assert_eq!(rows, (days - 90) + kept + 1);
    journal.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(10 * 366 * 24 * 60)).unwrap();
    let whole = journal.tally("okta", "system_log", i64::MIN, i64::MAX).unwrap();
    assert_eq!(whole.records, (days * 24 + 1) as u64, "and outlives pages");
}

// ---- the handle

/// Lets commits begin when the test says so, and counts them.
struct Gate {
    journal: FileJournal,
    open: Mutex<std::sync::mpsc::Receiver<()>>,
    arrived: AtomicBool,
    commits: AtomicUsize,
}

impl Journal for Gate {
    fn epoch(&self) -> u64 {
        self.journal.epoch()
    }
    fn load(&self) -> Result<State, JournalError> {
        self.journal.load()
    }
    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, JournalError> {
        self.arrived.store(true, Ordering::Relaxed);
        self.open.lock().unwrap().recv().unwrap();
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.journal.commit(changes)
    }
    fn read(&self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        self.journal.read(range, bytes)
    }
    fn read_of(&self, range: Range, of: &StreamKey, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        self.journal.read_of(range, of, bytes)
    }
    fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError> {
        self.journal.lacks(span)
    }
    fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        of: (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError> {
        self.journal.fetched(from, to, of)
    }
    fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError> {
        self.journal.dead(after, limit, retry)
    }
    fn letters(&self, sink: &str, pages: (PageId, PageId)) -> Result<Vec<LetterOf>, JournalError> {
        self.journal.letters(sink, pages)
    }
    fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Trimmed, JournalError> {
        self.journal.trim(keep, now)
    }
    fn heartbeat(&self, now: DateTime<Utc>) -> Result<Vec<Request>, JournalError> {
        self.journal.heartbeat(now)
    }
    fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError> {
        self.journal.tally(source, stream, from, to)
    }
    fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        self.journal.totals()
    }
    fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError> {
        self.journal.forget(source, stream, before)
    }
}

fn gate(dir: &Path) -> (Arc<Gate>, std::sync::mpsc::Sender<()>) {
    let (send, open) = std::sync::mpsc::channel();
    let gate = Gate {
        journal: self::open(dir),
        open: Mutex::new(open),
        arrived: AtomicBool::new(false),
        commits: AtomicUsize::new(0),
    };
    (Arc::new(gate), send)
}

#[tokio::test(start_paused = true)]
async fn what_waits_becomes_one_commit_and_each_gets_its_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, go) = gate(dir.path());
    let handle = Handle::new(Arc::clone(&gate) as Arc<dyn Journal>);
    let mut appended = handle.appended();
    let start = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for n in 0..10u64 {
        let handle = handle.clone();
        tasks.push(tokio::spawn(async move {
            let changes = vec![Change::Work(work(&n.to_string())), Change::Page(numbered(n * 5, n + 5))];
            handle.commit(changes).await
        }));
        // The first waits at the gate; all others queue behind it.
        tokio::task::yield_now().await;
        while !gate.arrived.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }
    // One waiter goes away. Its commit does not.
    tasks.remove(4).abort();
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    go.send(()).unwrap();
    let mut ns = (0..10u64).filter(|n| *n != 4);
    for task in tasks {
        let n = ns.next().unwrap();
        let answer = task.await.unwrap().unwrap();
        let Outcome::Appended(a) = answer[1] else { panic!("{answer:?}") };
        assert_eq!(
            (answer.len(), answer[0], a.new + a.duplicates),
            (2, Outcome::Done, usize::try_from(n + 5).unwrap())
        );
    }
    assert_eq!(gate.commits.load(Ordering::Relaxed), 2);
    assert_eq!(start.elapsed(), Duration::ZERO, "a commit takes no time on a paused clock");
    assert_eq!(*appended.borrow_and_update(), 10);
    let pages = handle.read(ALL, usize::MAX).await.unwrap();
    assert_eq!(pages.iter().map(|p| p.records.len()).sum::<usize>(), 9 * 5 + 14);
    assert_eq!(handle.load().await.unwrap().works.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn everybody_in_a_failed_commit_gets_the_error_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&fail);
    let steps: Steps = Arc::new(move |step| match step {
        "begun" if asked.load(Ordering::Relaxed) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        _ => Ok(()),
    });
    let journal = FileJournal::open(dir.path(), OpenOptions { steps: Some(steps), ..options() }).unwrap();
    let handle = Handle::new(Arc::new(journal));
    let (a, b) = tokio::join!(
        handle.commit(vec![Change::Page(numbered(0, 5))]),
        handle.commit(vec![Change::Page(numbered(5, 5))])
    );
    for e in [a.unwrap_err(), b.unwrap_err()] {
        assert!(
            matches!(&e, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull),
            "{e}"
        );
    }
    fail.store(false, Ordering::Relaxed);
    let again = handle.commit(vec![Change::Page(numbered(0, 10))]).await.unwrap();
    assert_eq!(again, [Outcome::Appended(Appended { page: Some(1), new: 10, ..Appended::default() })]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_loop_wakes_for_pages_and_for_replays() {
    let dir = tempfile::tempdir().unwrap();
    let handle = Handle::new(Arc::new(open(dir.path())));
    let mut appended = handle.appended();
    handle.commit(vec![Change::Work(work("c"))]).await.unwrap();
    assert!(!appended.has_changed().unwrap());
    let first = NewPage { at: DateTime::UNIX_EPOCH, ..numbered(0, 5) };
    handle.commit(vec![Change::Page(first)]).await.unwrap();
    assert!(appended.has_changed().unwrap());
    assert_eq!(*appended.borrow_and_update(), 1);
    handle.commit(vec![Change::Page(numbered(0, 5))]).await.unwrap();
    assert!(!appended.has_changed().unwrap(), "nothing new");
    handle.commit(vec![Change::Span(span(Lane::Live, 1, Some(2)))]).await.unwrap();
    appended.changed().await.unwrap();
    assert_eq!(handle.commit(Vec::new()).await.unwrap(), []);
    assert_eq!(handle.heartbeat(at(1)).await.unwrap(), []);
    assert_eq!(handle.dead(0, 1, false).await.unwrap(), []);
    assert_eq!(handle.forget("okta", "system_log", 1).await.unwrap(), 5);
    let tally = Tally { records: 5, late: 1, revised: 0 };
    assert_eq!(handle.tally("okta", "system_log", 0, 1).await.unwrap(), tally);
    assert_eq!(handle.totals().await.unwrap(), [("okta".into(), "system_log".into(), tally)]);
    assert_eq!(handle.trim(Keep { age: Duration::ZERO, bytes: 0 }, at(1)).await.unwrap().pages, 0);
}

#[test]
fn a_handle_outlives_its_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, go) = gate(dir.path());
    let handle = Handle::new(Arc::clone(&gate) as Arc<dyn Journal>);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime();
    for n in 0..3 {
        let asking = handle.clone();
        first.spawn(async move { asking.commit(vec![Change::Page(numbered(n * 5, 5))]).await });
        first.block_on(tokio::task::yield_now());
        while !gate.arrived.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
    // One commit is at the gate, two wait behind it for a turn that this runtime will not give them.
    first.shutdown_background();
    go.send(()).unwrap();
    go.send(()).unwrap();
    let commit = async {
        loop {
            // Whoever asks while the old turn ends goes with those who waited there.
            match handle.commit(vec![Change::Page(numbered(0, 15))]).await {
                Ok(done) => return done,
                Err(e) => assert!(e.to_string().contains("stopped"), "{e}"),
            }
        }
    };
    let done = runtime().block_on(commit);
    let Outcome::Appended(a) = done[0] else { panic!("{done:?}") };
    assert_eq!((a.new, a.duplicates), (10, 5));
}

#[test]
fn a_sink_handed_on_to_a_key_that_is_at_work_already_ends_where_that_one_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let chat = StreamKey::new("okta", "chat");
    let parked = Span {
        purpose: Purpose::Parked,
        only: Some(chat.clone()),
        reason: Some("no index".to_owned()),
        ..Span::follow("old", Lane::Live, 7)
    };
    let live =
        Span { except: vec![LeftOut { of: chat, until: None }], ..Span::follow("old", Lane::Live, 12) };
    let begun = Span { next_record: 3, ..Span::follow("new", Lane::Live, 20) };
    let ahead = Span::follow("old", Lane::Sweep, 40);
    let behind = Span::follow("new", Lane::Sweep, 30);
    let alone = Span::follow("old", Lane::Backfill, 5);
    let rows = [&live, &parked, &begun, &ahead, &behind, &alone];
    journal.commit(&rows.map(|row| Change::Span(row.clone()))).unwrap();
    journal.commit(&[Change::RenameSink("old".into(), "new".into())]).unwrap();
    let spans = journal.load().unwrap().spans;
    assert!(spans.iter().all(|span| span.sink == "new"), "{spans:?}");
    let told: Vec<_> = spans.iter().map(|span| (span.lane, span.purpose, span.next_page, span.to)).collect();
    assert_eq!(
        told,
        [
            (Lane::Live, Purpose::CatchUp, 12, Some(21)),
            (Lane::Live, Purpose::Parked, 7, Some(21)),
            (Lane::Live, Purpose::Follow, 20, None),
            (Lane::Sweep, Purpose::Follow, 30, None),
            (Lane::Backfill, Purpose::Follow, 5, None),
        ]
    );
}

fn left_out(source: &str, until: Option<PageId>) -> Vec<LeftOut> {
    vec![LeftOut { of: StreamKey::new(source, "chat"), until }]
}

fn waits(sink: &str, source: &str, from: PageId, to: Option<PageId>) -> Span {
    Span {
        to,
        purpose: Purpose::Parked,
        only: Some(StreamKey::new(source, "chat")),
        reason: Some("no index".to_owned()),
        ..Span::follow(sink, Lane::Live, from)
    }
}

#[test]
fn a_stream_that_waits_at_both_sinks_waits_once_after_one_is_handed_on_from_where_the_earlier_stood() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let follow =
        |sink: &str, from| Span { except: left_out("okta", None), ..Span::follow(sink, Lane::Live, from) };
    let rows =
        [follow("old", 30), waits("old", "okta", 7, None), follow("new", 20), waits("new", "okta", 12, None)];
    journal.commit(&rows.map(Change::Span)).unwrap();
    journal.commit(&[Change::RenameSink("old".into(), "new".into())]).unwrap();
    let spans = journal.load().unwrap().spans;
    let told: Vec<_> = spans.iter().map(|span| (span.purpose, span.next_page, span.to)).collect();
    assert_eq!(told, [(Purpose::Parked, 7, None), (Purpose::Follow, 20, None)], "{spans:?}");
}

#[test]
fn no_page_is_lost_when_a_source_whose_stream_waits_is_united_with_one_whose_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    // The waiting stream is further on than what follows the lane, which has pages of the other source before it.
    let main = Span { except: left_out("okta", Some(90)), ..Span::follow("siem", Lane::Live, 50) };
    let rows = [main, waits("siem", "okta", 80, Some(90))];
    journal.commit(&rows.map(Change::Span)).unwrap();
    for (n, source) in (0..).zip(["okta", "okta_eu"]) {
        append(&journal, NewPage { source: source.into(), stream: "chat".into(), ..numbered(n * 10, 1) });
    }
    journal.commit(&[Change::RenameSource("okta".into(), "okta_eu".into())]).unwrap();
    let spans = journal.load().unwrap().spans;
    for page in 50..100 {
        let has = |span: &&Span| {
            page >= span.next_page
                && span.to.is_none_or(|to| page < to)
                && !span.leaves_out("okta_eu", "chat", page)
        };
        assert_eq!(spans.iter().filter(has).count(), 1, "page {page}: {spans:?}");
    }
}
