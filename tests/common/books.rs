//! A tenant `acme` whose journal was written by hand, of connectors that exist only as far as configuration looks at them.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

#[path = "../config/fakes.rs"]
pub mod fakes;

use chrono::{DateTime, TimeDelta, Utc};
use fakes::{CONNECTORS, SINKS};
use tempfile::TempDir;
use tidegate::config::{Config, load};
use tidegate::world::World;
use tidegate_core::clock::Clock;
use tidegate_core::collect::window::{InHand, Memo};
use tidegate_core::journal::{Change, FileJournal, Grade, Interval, Journal as _, Lane, OpenOptions, Work};

/// A feed, windowed streams (horizons 30 min and a day), a stream and a source that are off.
pub const TENANT: &str = r#"
[tenant.acme.source.okta]
connector = "okta"
url = "https://acme.okta.com"
auth = { token = "env:T" }

[tenant.acme.source.work]
connector = "google_workspace"
url = "https://work.example.com"
auth = { token = "env:T" }
streams = ["*"]
stream.drive.off = "too much of it"

[tenant.acme.source.lab]
connector = "google_workspace"
url = "https://lab.example.com"
auth = { token = "env:T" }
off = "no Workspace licence"

[sink.files]
kind = "file"
dir = "out"
"#;

/// The present of these tests: 2026-06-01T00:00:00Z.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_272_000, 0).unwrap()
}

/// So many hours ago.
pub fn at(hours: i64) -> DateTime<Utc> {
    now() - TimeDelta::hours(hours)
}

/// A configuration and its tenant's journal.
pub struct Books {
    pub dir: TempDir,
    pub world: World,
    pub config: Config,
}

impl Books {
    pub fn new(text: &str, changes: Vec<Change>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        let journal = format!("[journal]\ndir = \"{}/journal\"\n", dir.path().display());
        std::fs::write(&path, format!("{journal}{text}")).unwrap();
        let config = load(&path, std::iter::empty(), CONNECTORS, SINKS).unwrap();
        let mut world = World::new(&[]);
        world.connectors = CONNECTORS.to_vec();
        world.clock = Clock::starting_at(now());
        let books = Self { dir, world, config };
        books.write(changes);
        books
    }

    pub fn write(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let dir = self.dir.path().join("journal/acme");
        let journal = FileJournal::open(&dir, OpenOptions::new("test", now())).unwrap();
        journal.commit(&changes).unwrap();
    }
}

/// A row of the ledger; times are hours before [`now`].
pub fn row(stream: &str, from: i64, to: i64, grade: Grade, count: u64) -> Interval {
    let (source, stream) = stream.split_once('/').unwrap();
    Interval {
        id: 0,
        source: source.to_owned(),
        stream: stream.to_owned(),
        from: at(from),
        to: at(to),
        grade,
        cause: None,
        repairable_until: None,
        count,
        oldest: None,
        newest: None,
        read_at: at(to),
    }
}

pub fn work(
    source: &str,
    stream: &str,
    lane: Lane,
    name: &str,
    from: i64,
    to: Option<i64>,
    memo: &Memo,
) -> Work {
    Work {
        source: source.to_owned(),
        stream: stream.to_owned(),
        lane,
        name: name.to_owned(),
        from: at(from),
        to: to.map(at),
        cursor: None,
        wait_until: None,
        reason: None,
        memo: serde_json::to_string(memo).unwrap(),
    }
}

/// The live row of a windowed stream, heard of at its frontier, and its sweeps: the last horizon (a day) stands at `sweep`.
pub fn rows(source: &str, stream: &str, live: i64, sweep: i64) -> Vec<Change> {
    let heard = Memo { heard: Some(at(live)), ..Memo::default() };
    let settle = |horizon| Memo { horizon, ..Memo::default() };
    vec![
        Change::Work(work(source, stream, Lane::Live, "live", live, None, &heard)),
        Change::Work(work(source, stream, Lane::Sweep, "settle-1800@1", live + 1, None, &settle(1_800))),
        Change::Work(work(source, stream, Lane::Sweep, "settle-86400@1", sweep, None, &settle(86_400))),
    ]
}

/// A part of a backfill that was `whole` hours and began so many hours ago.
pub fn part(
    source: &str,
    stream: &str,
    family: &str,
    (from, to): (i64, i64),
    whole: i64,
    began: Option<i64>,
) -> Change {
    let memo = Memo {
        family: family.to_owned(),
        whole: whole * 3_600_000,
        began: began.map(at),
        window: Some(in_hand(from, to)),
        ..Memo::default()
    };
    let name = format!("{family}@{from}");
    Change::Work(work(source, stream, Lane::Backfill, &name, from, Some(to), &memo))
}

/// A window that is being read.
pub fn in_hand(from: i64, to: i64) -> InHand {
    InHand {
        from: at(from),
        to: at(to),
        read: None,
        pages: 0,
        found: 0,
        count: 0,
        oldest: None,
        newest: None,
        unread: Vec::new(),
    }
}
