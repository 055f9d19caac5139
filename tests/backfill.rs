//! `tidegate backfill` of windows: Duo's logs under virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
#[path = "common/duo.rs"]
mod duo;

use chrono::TimeDelta;
use clap::Parser as _;
use common::base;
use duo::{DuoRig, generated};
use std::time::Duration;
use tidegate::cli::backfill::{Args, lines};
use tidegate::cli::{coverage, status};
use tidegate_core::collect::feed;
use tidegate_core::journal::{
    Change, FileJournal, Grade, Interval, Journal as _, OpenOptions, Reader, State,
};
use tidegate_simulator::duo::{Access, DuoConfig, Limits};

const STREAMS: &str = "streams = [\"authentication\", \"activity\"]\nstart = \"6h\"\nquota = \"100%\"";

fn account() -> DuoConfig {
    let generate = vec![generated("authentication", 600, 96), generated("activity", 300, 96)];
    DuoConfig { generate, limits: Limits::off(), ..DuoConfig::default() }
}

fn args() -> Args {
    Args {
        tenant: "acme".to_owned(),
        source: None,
        from: None,
        to: None,
        stream: None,
        hole: None,
        again: false,
        max_duration: None,
    }
}

fn from(time: &str) -> Args {
    Args { from: Some(time.to_owned()), ..args() }
}

async fn backfill(rig: &DuoRig, args: &Args) -> (u8, String) {
    // Whoever held the journal last may still be letting go of it.
    let held = || Reader::open(rig.journal()).is_ok_and(|mut r| r.load().unwrap().holder.is_some());
    while held() {
        tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
    }
    let (code, lines) = lines(&rig.world, &rig.config, args).await;
    (code, lines.join("\n"))
}

/// Live collection up to now.
async fn sync(rig: &DuoRig) {
    let (_, complete) = rig.sync(Duration::from_secs(600)).await;
    assert!(complete);
}

/// How many hours of a stream before [`base`] were read.
fn read(rig: &DuoRig, stream: &str) -> i64 {
    let state = rig.state();
    let rows = state.coverage.iter().filter(|row| row.stream == stream && row.grade != Grade::Hole);
    let before = rows.map(|row| (row.to.min(base()) - row.from).max(TimeDelta::zero()));
    before.fold(TimeDelta::zero(), |sum, one| sum + one).num_hours()
}

fn records(rig: &DuoRig, stream: &str) -> u64 {
    let reader = Reader::open(rig.journal()).unwrap();
    reader.tally("duo", stream, 0, i64::MAX).unwrap().records
}

#[tokio::test(start_paused = true)]
async fn it_reads_of_every_stream_what_the_ledger_lacks_and_then_nothing_more() {
    let rig = DuoRig::new(account(), STREAMS);
    sync(&rig).await;
    assert!(records(&rig, "activity") < 100);
    let (code, said) = backfill(&rig, &from("97h")).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("backfill finished"), "{said}");
    for (stream, all) in [("authentication", 600), ("activity", 300)] {
        assert!(read(&rig, stream) >= 96, "{stream}: {}", read(&rig, stream));
        assert_eq!(records(&rig, stream), all);
    }
    let asked = rig.duo.requests().len();
    let (code, said) = backfill(&rig, &from("96h")).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "acme: the ledger has all of that already (--again reads it once more)")
    );
    assert_eq!(rig.duo.requests().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn before_anything_was_read_it_reads_up_to_where_collection_begins() {
    let rig = DuoRig::new(account(), STREAMS);
    let (code, said) = backfill(&rig, &from("97h")).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!((records(&rig, "authentication"), records(&rig, "activity")), (600, 300));
}

#[tokio::test(start_paused = true)]
async fn spent_time_is_no_failure_and_the_next_one_goes_on_without_reading_twice() {
    let rig = DuoRig::new(account(), STREAMS);
    sync(&rig).await;
    let short = Args { max_duration: Some(Duration::from_secs(150)), ..from("97h") };
    let (code, said) = backfill(&rig, &short).await;
    assert_eq!(code, 12, "{said}");
    assert!(said.contains(" % of the time range") && said.contains("goes on"), "{said}");
    let hours = read(&rig, "activity");
    assert!((7..90).contains(&hours), "{hours}");
    // Asked for once more, it is not begun a second time.
    let families =
        |state: &State| state.works.iter().filter(|work| work.name.starts_with("backfill")).count();
    let before = families(&rig.state());
    let (code, said) = backfill(&rig, &Args { max_duration: Some(Duration::ZERO), ..from("96h") }).await;
    assert_eq!((code, families(&rig.state())), (12, before), "{said}");
    let (code, said) = backfill(&rig, &args()).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!((records(&rig, "authentication"), records(&rig, "activity")), (600, 300));
    let (code, said) = backfill(&rig, &args()).await;
    assert_eq!(code, 20);
    assert!(said.contains("no backfill was begun: say from when, such as --from 30d"), "{said}");
}

fn hole(from: i64, to: i64, days: Option<i64>) -> Change {
    Change::Cover(Interval {
        id: 0,
        source: "duo".to_owned(),
        stream: "activity".to_owned(),
        from: base() - TimeDelta::hours(from),
        to: base() - TimeDelta::hours(to),
        grade: Grade::Hole,
        cause: Some("quota".to_owned()),
        repairable_until: days.map(|days| base() + TimeDelta::days(days)),
        count: 0,
        oldest: None,
        newest: None,
        read_at: base(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_repaired_by_its_number_and_one_that_cannot_be_says_so() {
    let rig = DuoRig::new(account(), STREAMS);
    sync(&rig).await;
    let journal = rig.journal();
    FileJournal::open(&journal, OpenOptions::new("test", base()))
        .unwrap()
        .commit(&[hole(50, 48, Some(90)), hole(40, 39, None)])
        .unwrap();
    let number = |hours: i64| {
        let rows = rig.state().coverage;
        rows.iter()
            .find(|row| row.from == base() - TimeDelta::hours(hours) && row.grade == Grade::Hole)
            .unwrap()
            .id
    };
    let hours = read(&rig, "activity");
    let (code, said) = backfill(&rig, &Args { hole: Some(number(50)), ..args() }).await;
    assert_eq!(code, 0, "{said}");
    assert!(read(&rig, "activity") >= hours + 2);
    assert_eq!(rig.state().coverage.iter().filter(|row| row.grade == Grade::Hole).count(), 1);
    let (code, said) = backfill(&rig, &Args { hole: Some(number(40)), ..args() }).await;
    assert_eq!(code, 20);
    assert!(said.contains("cannot be recovered") && said.contains("stream.activity.retention"), "{said}");
    let (code, said) = backfill(&rig, &Args { hole: Some(4_711), ..args() }).await;
    assert_eq!((code, said.contains("the ledger has no hole 4711")), (20, true), "{said}");
}

fn holes(rig: &DuoRig) -> Vec<Interval> {
    rig.state().coverage.into_iter().filter(|row| row.grade == Grade::Hole).collect()
}

/// Nothing was allowed for two hours, and the collector wrote that down.
#[tokio::test(start_paused = true)]
async fn a_hole_that_the_collector_wrote_is_repaired_by_its_number_and_read_once() {
    let access = [("activity".to_owned(), Access::Forbidden)].into();
    let rig = DuoRig::new(DuoConfig { access, ..account() }, STREAMS);
    rig.run(Duration::from_secs(2 * 3_600)).await;
    let written = holes(&rig);
    assert_eq!((written.len(), written[0].cause.as_deref()), (1, Some("permission")));
    assert!(records(&rig, "activity") == 0 && written[0].to - written[0].from > TimeDelta::hours(7));
    rig.duo.set_access("activity", Access::Granted);
    let (code, said) = backfill(&rig, &Args { hole: Some(written[0].id), ..args() }).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("backfill finished"), "{said}");
    assert_eq!(holes(&rig), Vec::new());
    let all = rig
        .duo
        .known()
        .iter()
        .filter(|known| known.stream == "activity" && known.occurred_at >= written[0].from)
        .count();
    assert_eq!(records(&rig, "activity"), all as u64);
    let refused = backfill(&rig, &Args { hole: Some(written[0].id), ..args() }).await;
    assert_eq!(refused.0, 20, "it is no hole any more: {}", refused.1);
}

#[tokio::test(start_paused = true)]
async fn of_a_hole_that_the_vendor_half_forgot_the_other_half_is_read() {
    let rig = DuoRig::new(account(), &format!("{STREAMS}\nstream.activity.retention = \"30h\""));
    sync(&rig).await;
    let journal = rig.journal();
    let old = hole(50, 20, Some(-1));
    FileJournal::open(&journal, OpenOptions::new("test", base())).unwrap().commit(&[old]).unwrap();
    let (code, said) = backfill(&rig, &Args { hole: Some(holes(&rig)[0].id), ..args() }).await;
    assert_eq!(code, 10, "some seconds were forgotten while it waited for the vendor's limit: {said}");
    let left = holes(&rig);
    assert_eq!(left[0].from, base() - TimeDelta::hours(50));
    let reached = left.last().unwrap().to - (base() - TimeDelta::hours(30));
    assert!(TimeDelta::zero() <= reached && reached < TimeDelta::minutes(15), "{left:?}");
    let (code, said) = backfill(&rig, &Args { hole: Some(left[0].id), ..args() }).await;
    assert_eq!(code, 20);
    assert!(said.contains("cannot be recovered: the vendor does not show that time any more"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_be_read_fails_with_its_remedy() {
    let access = [("activity".to_owned(), Access::Forbidden)].into();
    let rig = DuoRig::new(DuoConfig { access, ..account() }, STREAMS);
    let (code, said) = backfill(&rig, &from("97h")).await;
    assert_eq!(code, 10, "{said}");
    assert!(
        said.contains("the backfill goes on with the next run or sync") && said.contains("  Fix: "),
        "{said}"
    );
    assert_eq!(records(&rig, "authentication"), 600, "the other stream is read");
}

#[tokio::test(start_paused = true)]
async fn spent_time_goes_before_a_source_that_failed_and_both_are_said() {
    let access = [("activity".to_owned(), Access::Forbidden)].into();
    let rig = DuoRig::new(DuoConfig { access, ..account() }, STREAMS);
    let short = Args { max_duration: Some(Duration::from_secs(150)), ..from("97h") };
    let (code, said) = backfill(&rig, &short).await;
    assert_eq!(code, 12, "{said}");
    assert!(said.contains("acme/duo  NOT ALLOWED") && said.contains("  Fix: "), "{said}");
    assert!(said.contains("acme: ended after "), "{said}");
}

/// The vendor keeps two days.
#[tokio::test(start_paused = true)]
async fn what_the_vendor_has_forgotten_is_not_called_finished() {
    let rig = DuoRig::new(account(), &format!("{STREAMS}\nstream.activity.retention = \"2d\""));
    for again in [false, true] {
        let (code, said) = backfill(&rig, &Args { again, ..from("97h") }).await;
        assert_eq!(code, 10, "{said}");
        assert!(said.contains("Z→05-30 00:05Z could not be read: retention (hole "), "{said}");
        assert!(said.contains("not all of the time could be read") && !said.contains("finished"), "{said}");
        assert!(!said.contains("duo/authentication"), "{said}");
    }
    assert_eq!(records(&rig, "authentication"), 600);
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_of_a_stream_that_nobody_runs_any_more_is_refused_by_name() {
    let rig = DuoRig::new(account(), STREAMS);
    sync(&rig).await;
    let before = base() - TimeDelta::days(9);
    let begun = Change::Work(feed::backfill("duo", "telephony", before, Some(base()), false));
    FileJournal::open(rig.journal(), OpenOptions::new("test", base())).unwrap().commit(&[begun]).unwrap();
    let (code, said) = backfill(&rig, &args()).await;
    assert_eq!(code, 20, "{said}");
    assert!(said.contains("does not run stream telephony, but authentication, activity; add it"), "{said}");
}

#[test]
fn again_is_said_of_a_time_or_a_hole() {
    let parsed = |more: &[&str]| {
        let words = ["tidegate", "backfill", "acme", "--again"].into_iter().chain(more.iter().copied());
        tidegate::cli::Cli::try_parse_from(words).map(drop).map_err(|error| error.to_string())
    };
    assert!(parsed(&[]).unwrap_err().contains("--from <TIME>|--hole <HOLE>"), "{:?}", parsed(&[]));
    assert_eq!((parsed(&["--from", "30d"]), parsed(&["--hole", "7"])), (Ok(()), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_off_is_not_read() {
    let rig = DuoRig::new(account(), "off = \"moved\"");
    let (code, said) = backfill(&rig, &from("97h")).await;
    assert_eq!(code, 20);
    assert!(said.contains("source duo is declared off (moved); remove `off` to read it"), "{said}");
}

/// What the collector really leaves behind is what coverage and status take it for.
#[tokio::test(start_paused = true)]
async fn a_stream_that_runs_becomes_settled_and_stays_so_while_it_goes_on() {
    let rig = DuoRig::new(account(), &STREAMS.replace("6h", "2h"));
    let told = || {
        let asked = coverage::Args { tenant: Vec::new(), from: None, to: None, json: false };
        let (_, lines) = coverage::lines(&rig.world, &rig.config, &asked);
        let (_, doing) = status::lines(
            &rig.world,
            &rig.config,
            &status::Args { tenant: Vec::new(), json: false, drift: None },
        );
        (lines.join("\n"), doing.join("\n"))
    };
    rig.run(Duration::from_secs(1_800)).await;
    assert!(told().0.contains("duo/activity        fetched"), "{}", told().0);
    rig.run(Duration::from_secs(14 * 3_600)).await;
    for minutes in [0, 17, 34, 51] {
        rig.run(Duration::from_secs(minutes * 60 + 1)).await;
        let (coverage, status) = told();
        for stream in ["duo/activity        ", "duo/authentication  "] {
            assert!(coverage.contains(&format!("{stream}settled  100 %")), "{minutes}: {coverage}");
            assert!(status.contains(&format!("{stream}quiet since ")), "{minutes}: {status}");
        }
        assert!(!status.contains("behind") && !status.contains("BROKEN"), "{status}");
    }
    // Nobody works on it for a day: then it is behind, and so is its settling.
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    let (coverage, status) = told();
    assert!(coverage.contains("duo/activity        settling behind"), "{coverage}");
    assert!(status.contains("duo/activity        behind by 1 d · settling behind"), "{status}");
}
