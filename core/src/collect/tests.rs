//! The engine against an invented vendor of windows, on the paused clock: what it must do whoever the vendor is.

use super::*;
use crate::event::Emit;
use crate::fault::{Fault, FaultKind};
use crate::http::HttpSettings;
use crate::journal::{FileJournal, Interval, OpenOptions, Range};
use crate::json::Value;
use crate::quota::{Buckets, Budget, Quota};
use crate::source::Place;
use crate::source::{Cursor, Findings, Identity, Names, NormalizeError, Settings, SettingsError};
use crate::stop::Signal;
use crate::testkit::script::Script;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tempfile::TempDir;

mod adverse;

const NAMES: Names = Names {
    dataset: "fake.log",
    namespace: "fake",
    vendor: "Fake",
    product: "Fake",
    sourcetype: "fake:log",
    leef: ("Fake", "Log"),
};
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

static LOG: Stream = Stream {
    name: "log",
    kind: StreamKind::Windowed {
        settle: &[Duration::from_secs(900), Duration::from_secs(7200), Duration::from_secs(86_400)],
        visible_after: Duration::from_secs(120),
        unit: Duration::from_secs(1),
        widest: Duration::from_secs(30 * 86_400),
    },
    default: true,
    immutable: false,
    retention: Duration::from_secs(30 * 86_400),
    poll: MINUTE,
    names: &NAMES,
};

/// A record of the vendor.
#[derive(Clone, Debug)]
struct Had {
    id: u64,
    at: DateTime<Utc>,
    visible: DateTime<Utc>,
    state: u64,
}

type Twist = Box<dyn FnMut(&Place, DateTime<Utc>) -> Option<PollError> + Send>;

/// Newest first, a thousand records a page unless told otherwise, inclusive at both ends.
struct Vendor {
    clock: Clock,
    had: Mutex<Vec<Had>>,
    page: Mutex<usize>,
    asked: Mutex<Vec<(DateTime<Utc>, Place)>>,
    twist: Mutex<Option<Twist>>,
    /// Windows that are wider: their second page's token leads back to the first page.
    circle: Option<TimeDelta>,
    /// How long a body is read, one after the other; who waits for a minute gives up.
    body: Duration,
    reading: tokio::sync::Mutex<()>,
    latency: Duration,
    /// Requests that another client sends to the same budget, by time.
    limit: Option<(u32, TimeDelta)>,
    refused: Mutex<u32>,
}

impl Vendor {
    fn add(&self, id: u64, at: DateTime<Utc>, late: TimeDelta) {
        self.had.lock().unwrap().push(Had { id, at, visible: at + late, state: 0 });
    }

    fn twist(&self, twist: impl FnMut(&Place, DateTime<Utc>) -> Option<PollError> + Send + 'static) {
        *self.twist.lock().unwrap() = Some(Box::new(twist));
    }

    fn asked(&self) -> Vec<(DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)> {
        let window = |(at, place): &(DateTime<Utc>, Place)| match place {
            Place::Window { from, to, .. } => (*at, *from, *to),
            Place::Feed { .. } => panic!("a feed"),
        };
        self.asked.lock().unwrap().iter().map(window).collect()
    }
}

#[async_trait]
impl Source for Vendor {
    async fn poll(&self, _stream: &Stream, place: &Place) -> Result<Page, PollError> {
        let now = self.clock.now();
        self.asked.lock().unwrap().push((now, place.clone()));
        tokio::time::sleep(self.latency).await;
        if let Some(error) = self.twist.lock().unwrap().as_mut().and_then(|twist| twist(place, now)) {
            return Err(error);
        }
        if !self.body.is_zero() {
            let Ok(_reading) = tokio::time::timeout(MINUTE, self.reading.lock()).await else {
                let cause = Fault::new(FaultKind::Network, "no page slot was free for 60 s");
                return Err(PollError::Retry { after: None, cause });
            };
            tokio::time::sleep(self.body).await;
        }
        if let Some((limit, span)) = self.limit {
            let asked = self.asked.lock().unwrap();
            let recent = asked.iter().filter(|(at, _)| *at > now - span && *at <= now).count();
            if recent > limit as usize {
                *self.refused.lock().unwrap() += 1;
                let cause = Fault::new(FaultKind::RateLimit, "too many");
                return Err(PollError::Retry { after: Some(MINUTE), cause });
            }
        }
        let Place::Window { from, to, token } = place else { panic!("a feed") };
        assert!(to > from, "no window ends before it begins");
        let mut had: Vec<Had> = self
            .had
            .lock()
            .unwrap()
            .iter()
            .filter(|r| r.visible <= now && r.at >= *from && r.at <= *to)
            .cloned()
            .collect();
        had.sort_by_key(|r| std::cmp::Reverse((r.at, r.id)));
        let skip =
            token.as_ref().map_or(0, |token| String::from_utf8_lossy(&token.0).parse::<usize>().unwrap());
        let size = *self.page.lock().unwrap();
        let (mut body, mut records) = (Vec::new(), Vec::new());
        for r in had.iter().skip(skip).take(size) {
            let start = body.len();
            body.extend_from_slice(
                format!(r#"{{"id":"{}","t":"{}","s":{}}}"#, r.id, r.at.to_rfc3339(), r.state).as_bytes(),
            );
            records.push(start..body.len());
            body.push(b'\n');
        }
        let circles = skip > 0 && self.circle.is_some_and(|circle| *to - *from > circle);
        let follows = if circles { 0 } else { skip + size };
        let next = (had.len() > follows).then(|| Cursor(follows.to_string().into_bytes()));
        let (wait, date) = (Duration::ZERO, DateTime::from_timestamp(now.timestamp(), 0));
        Ok(Page { body: Bytes::from(body), records, next, wait, date, unread: None })
    }

    async fn check(&self) -> Findings {
        Findings::default()
    }

    fn remedy(&self) -> String {
        "mend it".to_owned()
    }
}

struct Fake;

impl Connector for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn title(&self) -> &'static str {
        "Fake"
    }
    fn streams(&self) -> &'static [Stream] {
        std::slice::from_ref(&LOG)
    }
    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn open(&self, _settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        Err(SettingsError::new("", "tests make their own"))
    }
    fn organisation(
        &self,
        _table: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, SettingsError> {
        Ok("fake".to_owned())
    }
    fn identity<'r>(&self, _stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        let text = |name| record.get(name).and_then(|value| value.as_text()).map(|text| text.into_cow());
        let time =
            text("t").and_then(|time| DateTime::parse_from_rfc3339(&time).ok()).map(|time| time.to_utc());
        Identity { id: text("id"), time }
    }
    fn normalize<'r>(
        &self,
        _: &Stream,
        _: Value<'r, 'r>,
        _: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        Ok(())
    }
}

/// A journal, a vendor and a quota; collectors come and go.
struct Bench {
    dir: TempDir,
    script: Script,
    vendor: Arc<Vendor>,
    quota: Quota,
    plan: StreamPlan,
    start: DateTime<Utc>,
    wrong_by: TimeDelta,
}

impl Bench {
    fn new() -> Self {
        Self::with(Budget { limit: 600, span: MINUTE })
    }

    fn with(budget: Budget) -> Self {
        let script = Script::start();
        let quota = Quota::default();
        quota.configure(budget, None);
        let vendor = Vendor {
            clock: script.clock().clone(),
            had: Mutex::default(),
            page: Mutex::new(1000),
            asked: Mutex::default(),
            twist: Mutex::default(),
            circle: None,
            body: Duration::ZERO,
            reading: tokio::sync::Mutex::default(),
            latency: Duration::from_millis(300),
            limit: None,
            refused: Mutex::default(),
        };
        let start = script.clock().now() - TimeDelta::hours(1);
        let (vendor, dir) = (Arc::new(vendor), TempDir::new().unwrap());
        Self { dir, script, vendor, quota, plan: StreamPlan::of(&LOG), start, wrong_by: TimeDelta::zero() }
    }

    fn now(&self) -> DateTime<Utc> {
        self.script.clock().now()
    }

    fn journal(&self) -> Handle {
        Handle::new(Arc::new(
            FileJournal::open(self.dir.path(), OpenOptions::new("test", self.now())).unwrap(),
        ))
    }

    fn collector(&self, journal: &Handle, signal: &Signal) -> (Collector, Board) {
        let board = Board::default();
        let http = self.script.client_with(HttpSettings::default(), self.wrong_by);
        let clock = self.script.clock().wrong_by(self.wrong_by);
        let http = http
            .with_buckets(Buckets::new(vec![("requests", |_| true, self.quota.clone())]))
            .with_clock(clock.clone());
        let collector = Collector {
            tenant: "acme".to_owned(),
            source: "fake".to_owned(),
            connector: &Fake,
            api: Arc::clone(&self.vendor) as Arc<dyn Source>,
            streams: vec![self.plan.clone()],
            http,
            journal: journal.clone(),
            clock,
            board: board.clone(),
            start: self.start,
            stop: signal.watch(),
            full: watch::channel(false).1,
            bell: Arc::new(Notify::new()),
        };
        (collector, board)
    }

    /// Collects for so long, then stops in good order.
    async fn run(&self, time: Duration) -> Board {
        let (journal, signal) = (self.journal(), Signal::default());
        let (collector, board) = self.collector(&journal, &signal);
        let task = tokio::spawn(collector.run());
        tokio::time::sleep(time).await;
        signal.go(Phase::Stop);
        task.await.unwrap().unwrap();
        board
    }

    /// Collects for so long, then is gone from one moment to the next.
    async fn crash(&self, time: Duration) {
        let (journal, signal) = (self.journal(), Signal::default());
        let (collector, _) = self.collector(&journal, &signal);
        let task = tokio::spawn(collector.run());
        tokio::time::sleep(time).await;
        task.abort();
        let _gone = task.await;
        // What the pool has begun is still written; a commit's turn holds the handle, and by it the journal.
        let kept = Arc::downgrade(journal.journal());
        drop(journal);
        while kept.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn state(&self) -> State {
        self.journal().load().await.unwrap()
    }

    /// How often each id came, and when its first meaning was fetched.
    async fn arrived(&self) -> BTreeMap<u64, (usize, DateTime<Utc>)> {
        let journal = self.journal();
        let mut out = BTreeMap::new();
        for lane in Lane::ALL {
            let mut from = 1;
            loop {
                let pages = journal.read(Range { lane, from, to: None }, 1 << 20).await.unwrap();
                let Some(last) = pages.last() else { break };
                from = last.id + 1;
                for page in &pages {
                    for record in &page.records {
                        let value: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
                        let id: u64 = value["id"].as_str().unwrap().parse().unwrap();
                        let entry = out.entry(id).or_insert((0, page.at));
                        entry.0 += 1;
                        entry.1 = entry.1.min(page.at);
                    }
                }
            }
        }
        out
    }

    /// The oldest time of each page of a lane, in the order of commits.
    async fn oldest_of(&self, lane: Lane) -> Vec<String> {
        let pages = self.journal().read(Range { lane, from: 1, to: None }, usize::MAX).await.unwrap();
        let oldest = |page: &crate::journal::StoredPage| {
            page.records
                .iter()
                .map(|record| {
                    let value: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
                    value["t"].as_str().unwrap().to_owned()
                })
                .min()
        };
        pages.iter().filter_map(oldest).collect()
    }

    async fn assert_all_once(&self, settled_by: DateTime<Utc>) {
        let arrived = self.arrived().await;
        let had = self.vendor.had.lock().unwrap().clone();
        for r in had.iter().filter(|r| r.visible < settled_by && r.at >= self.start) {
            let (times, _) = arrived.get(&r.id).unwrap_or_else(|| panic!("{r:?} is missing"));
            assert_eq!(*times, 1, "{r:?}");
        }
    }
}

fn rows(state: &State) -> Vec<(Grade, TimeDelta, Option<String>)> {
    state.coverage.iter().map(|row| (row.grade, row.to - row.from, row.cause.clone())).collect()
}

fn of(state: &State, grade: Grade) -> Vec<&Interval> {
    state.coverage.iter().filter(|row| row.grade == grade).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_that_becomes_visible_late_arrives_by_the_next_horizon_and_everything_settles() {
    let bench = Bench::new();
    let begin = bench.now();
    let lates = [0, 1, 5, 14, 40, 100, 500, 1300];
    for n in 0..3 * 24 * 60 {
        let late = TimeDelta::minutes(lates[usize::try_from(n).unwrap() % lates.len()]);
        bench.vendor.add(n, begin + TimeDelta::minutes(i64::try_from(n).unwrap()), late);
    }
    bench.run(5 * 24 * HOUR).await;
    let arrived = bench.arrived().await;
    for r in bench.vendor.had.lock().unwrap().iter() {
        let (times, at) = arrived.get(&r.id).unwrap_or_else(|| panic!("{r:?} is missing"));
        assert_eq!(*times, 1);
        let (lateness, took) = (r.visible - r.at, *at - r.at);
        // The horizon, the batch of a quarter of it, and a minute for the requests.
        let bound = [(2, 5), (15, 19), (120, 151), (1440, 1801)]
            .into_iter()
            .find(|(horizon, _)| lateness <= TimeDelta::minutes(*horizon));
        assert!(took <= TimeDelta::minutes(bound.unwrap().1 + 1), "{r:?} took {took}");
    }
    let state = bench.state().await;
    // What was found at the last horizon is read again at the doubled one.
    let settled: TimeDelta = of(&state, Grade::Settled).iter().map(|row| row.to - row.from).sum();
    assert!(settled > TimeDelta::hours(60), "{:?}", rows(&state));
    let whole: TimeDelta = state.coverage.iter().map(|row| row.to - row.from).sum();
    assert!(whole > TimeDelta::hours(120), "no time is left out: {:?}", rows(&state));
    assert_eq!(of(&state, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn records_of_one_second_on_a_window_s_edge_come_once_however_pages_cut_them() {
    for page in [1, 3, 7, 1000] {
        let bench = Bench::new();
        *bench.vendor.page.lock().unwrap() = page;
        let edge = bench.now() + TimeDelta::minutes(10);
        for n in 0..20 {
            bench.vendor.add(
                n,
                edge + TimeDelta::seconds(i64::try_from(n).unwrap() % 3 - 1),
                TimeDelta::zero(),
            );
        }
        bench.run(HOUR).await;
        bench.assert_all_once(bench.now()).await;
        assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn collectors_that_die_at_any_moment_lose_and_double_nothing() {
    for seed in 0..6_u64 {
        let bench = Bench::new();
        *bench.vendor.page.lock().unwrap() = 20;
        let begin = bench.now();
        for n in 0..1200 {
            let late = TimeDelta::seconds(i64::try_from(n * (seed + 7) % 9000).unwrap());
            bench.vendor.add(n, begin + TimeDelta::seconds(i64::try_from(n * 6).unwrap()), late);
        }
        let mut dice = crate::http::Backoff::new(&format!("seed {seed}"));
        while bench.now() < begin + TimeDelta::hours(5) {
            bench.crash(dice.wait()).await;
        }
        // The last horizon and its batch.
        bench.run(31 * HOUR).await;
        bench.assert_all_once(bench.now()).await;
        assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_live_resumes_first_and_the_gap_follows_oldest_first() {
    // So few requests that one piece after the other is read.
    let bench = Bench::with(Budget { limit: 60, span: MINUTE });
    *bench.vendor.page.lock().unwrap() = 10_000;
    let begin = bench.now();
    for n in 0..96 * 60 {
        bench.vendor.add(n, begin + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.run(HOUR).await;
    tokio::time::sleep(72 * HOUR).await;
    bench.vendor.asked.lock().unwrap().clear();
    let back = bench.now();
    bench.run(12 * HOUR).await;
    let asked = bench.vendor.asked();
    // The very first request is small: it tells the vendor's clock.
    let (_, first, _) = asked[1];
    assert!(first > back - TimeDelta::minutes(10), "live goes first: {first}");
    let gap = bench.oldest_of(Lane::Backfill).await;
    assert!(gap.len() > 3 && gap.is_sorted(), "{gap:?}");
    bench.assert_all_once(back).await;
    let state = bench.state().await;
    assert_eq!(of(&state, Grade::Hole).len(), 0);
    let whole =
        state.coverage.iter().map(|row| row.to - row.from).fold(TimeDelta::zero(), |sum, one| sum + one);
    assert!(whole > TimeDelta::hours(84), "no time is left out: {:?}", rows(&state));
    assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill), "the backfill is over");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_is_back_just_before_its_retention_ends_loses_nothing_and_after_it_names_the_hole() {
    for (outage, lost) in [(29 * 24 + 22, TimeDelta::zero()), (30 * 24 + 12, TimeDelta::hours(12))] {
        let bench = Bench::new();
        let begin = bench.now();
        for n in 0..24 * 31 {
            bench.vendor.add(n, begin + TimeDelta::hours(i64::try_from(n).unwrap()), TimeDelta::zero());
        }
        bench.run(HOUR).await;
        tokio::time::sleep(outage * HOUR).await;
        bench.run(6 * HOUR).await;
        let state = bench.state().await;
        let holes = of(&state, Grade::Hole);
        let hole = holes.first().map_or(TimeDelta::zero(), |row| row.to - row.from);
        assert!((hole - lost).abs() < TimeDelta::minutes(20), "{hole}");
        assert!(
            holes
                .iter()
                .all(|row| row.cause.as_deref() == Some("retention") && row.repairable_until.is_none())
        );
        let arrived = bench.arrived().await.len();
        let visible = (24 * 31).min(usize::try_from(outage).unwrap() + 7);
        let expected = visible - usize::try_from(lost.num_hours()).unwrap();
        assert!(arrived.abs_diff(expected) <= 1, "{arrived} of {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_waited_for_its_turn_is_not_asked_for_what_the_vendor_forgot_meanwhile() {
    // One request a minute is ours, of which live takes every second one.
    let bench = Bench::with(Budget { limit: 2, span: MINUTE });
    let bench = Bench { plan: StreamPlan { poll: 2 * MINUTE, ..bench.plan.clone() }, ..bench };
    let begin = bench.now();
    for n in 0..24 * 32 {
        bench.vendor.add(n, begin + TimeDelta::hours(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.run(HOUR).await;
    tokio::time::sleep((29 * 24 + 22) * HOUR).await;
    let refused = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&refused);
    bench.vendor.twist(move |place, now| match place {
        Place::Window { from, .. } if *from < now - TimeDelta::days(30) => {
            seen.lock().unwrap().push((now, *from));
            let cause = Fault::new(FaultKind::Configuration, "before the minimum allowed time");
            Some(PollError::TooOld { cause })
        }
        _ => None,
    });
    bench.run(30 * HOUR).await;
    assert!(refused.lock().unwrap().is_empty(), "{:?}", refused.lock().unwrap());
    bench.assert_all_once(bench.now() - TimeDelta::minutes(10)).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_right_names_what_its_backfill_does_not_read_either() {
    let bench = Bench::with(Budget { limit: 2, span: MINUTE });
    let bench = Bench { start: bench.now() - TimeDelta::days(3), ..bench };
    for n in 0..72 {
        bench.vendor.add(n, bench.now() - TimeDelta::hours(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    // Long enough to begin: most of three days is still to be read.
    bench.run(2 * MINUTE).await;
    bench.vendor.twist(|_, _| Some(PollError::Halt { cause: Fault::new(FaultKind::Permission, "no right") }));
    bench.run(2 * HOUR).await;
    let state = bench.state().await;
    let holes = of(&state, Grade::Hole);
    for hole in &holes {
        assert_eq!(hole.cause.as_deref(), Some("permission"));
        assert_eq!(hole.repairable_until, Some(hole.from + TimeDelta::days(30)));
    }
    let whole = state.coverage.iter().map(|row| row.to - row.from).sum::<TimeDelta>();
    assert!(whole > TimeDelta::hours(73), "no time is left out: {:?}", rows(&state));
    assert!(holes.iter().map(|row| row.to - row.from).sum::<TimeDelta>() > TimeDelta::hours(60));
    bench.vendor.twist(|_, _| None);
    bench.run(30 * HOUR).await;
    bench.assert_all_once(bench.now() - TimeDelta::minutes(10)).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0, "{:?}", rows(&bench.state().await));
}

#[tokio::test(start_paused = true)]
async fn what_a_vendor_forgot_before_its_retention_is_found_out_to_the_hour() {
    let bench = Bench { start: DateTime::UNIX_EPOCH, ..Bench::new() };
    let bench = Bench { start: bench.now() - TimeDelta::days(20), ..bench };
    let keeps = bench.now() - TimeDelta::days(7);
    for n in 0..20 * 24 {
        bench.vendor.add(n, bench.now() - TimeDelta::hours(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.vendor.twist(move |place, _| match place {
        Place::Window { from, .. } if *from < keeps => {
            let cause = Fault::new(FaultKind::Configuration, "before the minimum allowed time");
            Some(PollError::TooOld { cause })
        }
        _ => None,
    });
    bench.run(3 * HOUR).await;
    let state = bench.state().await;
    let holes = of(&state, Grade::Hole);
    assert_eq!(holes.len(), 1, "{:?}", rows(&state));
    assert_eq!(holes[0].cause.as_deref(), Some("retention"));
    let off = holes[0].to - keeps;
    assert!(off >= TimeDelta::zero() && off <= TimeDelta::hours(1), "{off}");
    assert!(bench.vendor.asked().len() < 200, "{} requests", bench.vendor.asked().len());
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_much_is_halved_until_the_vendor_can_and_a_refused_token_begins_it_again() {
    let bench = Bench::new();
    *bench.vendor.page.lock().unwrap() = 10;
    let bench = Bench { start: bench.now() - TimeDelta::hours(20), ..bench };
    for n in 0..1200 {
        bench.vendor.add(n, bench.now() - TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    let mut tokens = 0;
    bench.vendor.twist(move |place, _| {
        let Place::Window { from, to, token } = place else { return None };
        let cause = Fault::new(FaultKind::Server, "took too long");
        if *to - *from > TimeDelta::minutes(50) {
            return Some(PollError::Narrow { cause });
        }
        tokens += usize::from(token.is_some());
        (token.is_some() && tokens % 5 == 0).then_some(PollError::Restart { cause })
    });
    bench.run(6 * HOUR).await;
    bench.assert_all_once(bench.now()).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_ours_that_runs_ahead_proves_nothing_of_the_vendor_s_future() {
    let bench = Bench { wrong_by: TimeDelta::hours(3), ..Bench::new() };
    let begin = bench.now();
    for n in 0..600 {
        bench.vendor.add(n, begin + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::seconds(90));
    }
    bench.run(10 * MINUTE).await;
    let state = bench.state().await;
    assert!(state.coverage.iter().all(|row| row.to <= bench.now()), "{:?}", state.coverage);
    bench.run(12 * HOUR).await;
    bench.assert_all_once(bench.now() - TimeDelta::minutes(10)).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_finding_at_the_last_horizon_doubles_it_until_a_reading_finds_nothing() {
    let bench = Bench::new();
    let begin = bench.now();
    for n in 0..60 {
        bench.vendor.add(n, begin + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.vendor.add(999, begin + TimeDelta::minutes(30), TimeDelta::hours(23));
    bench.run(40 * HOUR).await;
    let covers = |state: &State, grade| {
        of(state, grade)
            .iter()
            .any(|row| row.from <= begin + TimeDelta::minutes(30) && begin + TimeDelta::minutes(30) < row.to)
    };
    assert!(bench.arrived().await.contains_key(&999));
    assert!(covers(&bench.state().await, Grade::Fetched), "it is read a second time");
    bench.run(24 * HOUR).await;
    assert!(covers(&bench.state().await, Grade::Settled));
    assert_eq!(bench.arrived().await.values().map(|(times, _)| times).sum::<usize>(), 61);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_half_of_the_limit_in_any_span_and_a_backfill_uses_all_of_it() {
    // The last one's answers take longer than two of our turns, and records are everywhere.
    for (limit, span, latency, days) in
        [(5, 10, 300, 14), (120, 60, 3_000, 14), (2, 60, 300, 14), (5, 10, 13_000, 6)]
    {
        let bench = Bench::with(Budget { limit, span: Duration::from_secs(span) });
        let vendor = Arc::into_inner(bench.vendor).unwrap();
        let vendor =
            Arc::new(Vendor { latency: Duration::from_millis(latency), page: Mutex::new(2), ..vendor });
        let bench = Bench { vendor, start: bench.script.clock().now() - TimeDelta::days(days), ..bench };
        for n in 0..9_000 {
            bench.vendor.add(
                n,
                bench.now() - TimeDelta::minutes(i64::try_from(n).unwrap()),
                TimeDelta::zero(),
            );
        }
        let begin = bench.now();
        bench.run(HOUR).await;
        let times: Vec<DateTime<Utc>> = bench.vendor.asked().into_iter().map(|(at, _, _)| at).collect();
        let share = usize::try_from(limit / 2).unwrap();
        for pair in times.windows(share + 1) {
            let took = pair[share] - pair[0];
            assert!(
                took >= TimeDelta::seconds(i64::try_from(span).unwrap()) - TimeDelta::milliseconds(1),
                "{} requests in {took}",
                share + 1
            );
        }
        let possible = 3600 / span * u64::from(limit / 2);
        let used = times.iter().filter(|at| **at < begin + TimeDelta::hours(1)).count() as u64;
        assert!(used * 100 >= possible * 95, "{used} of {possible} requests at {limit} in {span} s");
    }
}

#[tokio::test(start_paused = true)]
async fn who_drains_waits_for_a_backfill_that_fails_and_is_narrowed() {
    let bench = Bench::new();
    let bench = Bench { start: bench.now() - TimeDelta::days(2), ..bench };
    for n in 0..2_000 {
        bench.vendor.add(n, bench.now() - TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    // What is wider than ten minutes is too much for this vendor, as soon as it is older than an hour.
    let begin = bench.now();
    bench.vendor.twist(move |place, _| {
        let Place::Window { from, to, .. } = place else { panic!("a feed") };
        let narrow = *to - *from <= TimeDelta::minutes(10) || *from > begin - TimeDelta::hours(1);
        let cause = Fault::new(FaultKind::Server, "too much");
        (!narrow).then_some(PollError::Narrow { cause })
    });
    let (journal, signal) = (bench.journal(), Signal::default());
    let (collector, _) = bench.collector(&journal, &signal);
    signal.go(Phase::Drain);
    tokio::time::timeout(24 * HOUR, collector.run()).await.unwrap().unwrap();
    drop(journal);
    bench.assert_all_once(begin - TimeDelta::minutes(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is_read_when_its_batch_is_due_and_not_a_poll_later() {
    // The vendor's clock has no fractions, so that what is due by ours may not be by its.
    let bench = Bench::new();
    let bench = Bench { plan: StreamPlan { poll: 7 * MINUTE, ..bench.plan.clone() }, ..bench };
    let begin = bench.now();
    bench.run(6 * HOUR).await;
    let horizon = TimeDelta::minutes(15);
    let waited: Vec<_> = bench
        .vendor
        .asked()
        .into_iter()
        .filter(|(_, from, _)| *from > begin)
        .map(|(at, _, to)| at - to)
        .filter(|waited| *waited >= horizon && *waited < TimeDelta::hours(1))
        .collect();
    assert!(waited.len() > 60, "{}", waited.len());
    let worst = *waited.iter().max().unwrap();
    assert!(worst <= horizon + TimeDelta::seconds(5), "{worst}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_shorter_than_the_quota_allows_starves_neither_sweeps_nor_backfill() {
    // One request in two seconds is ours.
    let bench = Bench::with(Budget { limit: 60, span: MINUTE });
    let plan = StreamPlan { poll: Duration::from_secs(1), ..bench.plan.clone() };
    let bench = Bench { plan, start: bench.now() - TimeDelta::hours(20), ..bench };
    let begin = bench.now();
    for n in 0..1_300 {
        bench.vendor.add(n, bench.start + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.run(HOUR).await;
    let live = |(at, from, _): &(DateTime<Utc>, _, DateTime<Utc>)| *from > *at - TimeDelta::minutes(5);
    let (all, lives) =
        (bench.vendor.asked().len(), bench.vendor.asked().iter().filter(|asked| live(asked)).count());
    assert!((750..=960).contains(&lives), "live takes half of 1800 requests: {lives} of {all}");
    let state = bench.state().await;
    assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill), "{:?}", rows(&state));
    let sweeps = state.works.iter().filter(|work| work.lane == Lane::Sweep && work.to.is_none());
    let soonest = sweeps.map(|work| work.from).max().unwrap();
    assert!(soonest > begin + TimeDelta::minutes(35), "the first horizon is kept: {soonest}");
    bench.assert_all_once(bench.now() - TimeDelta::minutes(3)).await;
}

#[tokio::test(start_paused = true)]
async fn sweeps_leave_half_of_our_share_to_live_reading_and_a_middle_horizon_goes_first() {
    // One request a minute is ours: live takes one in two minutes, sweeps the others.
    let bench = Bench::with(Budget { limit: 2, span: MINUTE });
    let bench = Bench { plan: StreamPlan { poll: 2 * MINUTE, ..bench.plan.clone() }, ..bench };
    *bench.vendor.page.lock().unwrap() = 40;
    let begin = bench.now();
    // A horizon costs 15 pages an hour, three of them 45: more than the 30 that sweeps may take.
    for n in 0..3 * 24 * 600 {
        bench.vendor.add(n, begin + TimeDelta::seconds(6 * i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.run(2 * 24 * HOUR).await;
    let state = bench.state().await;
    let live = state.works.iter().find(|work| work.lane == Lane::Live).unwrap();
    assert!(live.from > bench.now() - TimeDelta::minutes(15), "live is behind: {}", live.from);
    let settled = of(&state, Grade::Settled);
    assert!(
        settled.iter().map(|row| row.to).max().unwrap() > bench.now() - TimeDelta::hours(40),
        "{:?}",
        rows(&state)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_a_hole_while_it_lasts_and_is_asked_rarely() {
    let bench = Bench::new();
    let begin = bench.now();
    for n in 0..600 {
        bench.vendor.add(n, begin + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    bench.run(HOUR).await;
    bench.vendor.asked.lock().unwrap().clear();
    bench.vendor.twist(|_, _| Some(PollError::Halt { cause: Fault::new(FaultKind::Credential, "refused") }));
    let board = bench.run(HOUR).await;
    assert!(board.sources()["fake"].streams["log"].fault.is_some());
    assert!(bench.vendor.asked().len() <= 12, "{}", bench.vendor.asked().len());
    let state = bench.state().await;
    assert!(
        of(&state, Grade::Hole)
            .iter()
            .any(|row| row.cause.as_deref() == Some("credential") && row.repairable_until.is_some())
    );
    bench.vendor.twist(|_, _| None);
    let board = bench.run(3 * HOUR).await;
    assert!(board.sources()["fake"].streams["log"].fault.is_none());
    bench.assert_all_once(bench.now() - TimeDelta::minutes(10)).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0, "{:?}", rows(&bench.state().await));
}

#[tokio::test(start_paused = true)]
async fn a_changed_record_is_a_revision_and_a_finding_also_a_month_later() {
    let bench = Bench::new();
    let begin = bench.now();
    bench.vendor.add(1, begin, TimeDelta::zero());
    bench.run(HOUR).await;
    bench.vendor.had.lock().unwrap()[0].state = 1;
    bench.run(3 * HOUR).await;
    assert_eq!(bench.arrived().await[&1].0, 2);
    // A vendor whose windows run on the time of the last change shows it there; the id's hour stays the same.
    tokio::time::sleep(29 * 24 * HOUR).await;
    bench.vendor.had.lock().unwrap()[0].state = 2;
    let wish =
        feed::backfill("fake", "log", begin - TimeDelta::hours(1), Some(begin + TimeDelta::hours(1)), true);
    bench.journal().commit(vec![Change::Work(wish)]).await.unwrap();
    bench.run(HOUR).await;
    assert_eq!(bench.arrived().await[&1].0, 3);
    let tally = bench.journal().tally("fake", "log", 0, i64::MAX).await.unwrap();
    assert_eq!((tally.records, tally.revised, tally.late), (1, 2, 0));
    let again =
        bench.journal().read(Range { lane: Lane::Backfill, from: 1, to: None }, 1 << 20).await.unwrap();
    assert!(again.last().unwrap().reread, "it says that it was read again because somebody asked");
}

#[tokio::test(start_paused = true)]
async fn an_operator_s_backfill_reads_only_what_the_ledger_lacks() {
    let bench = Bench::new();
    for n in 0..48 {
        bench.vendor.add(
            n,
            bench.now() - TimeDelta::minutes(60 * i64::try_from(n).unwrap() + 5),
            TimeDelta::zero(),
        );
    }
    bench.run(HOUR).await;
    bench.vendor.asked.lock().unwrap().clear();
    let from = bench.now() - TimeDelta::hours(40);
    let wish = feed::backfill("fake", "log", from, None, false);
    bench.journal().commit(vec![Change::Work(wish)]).await.unwrap();
    bench.run(2 * HOUR).await;
    let oldest = bench
        .vendor
        .asked()
        .into_iter()
        .filter(|(_, from, _)| *from < bench.start - TimeDelta::minutes(1))
        .map(|(_, from, to)| (from, to))
        .collect::<Vec<_>>();
    assert_eq!(oldest.iter().map(|(from, _)| *from).min(), Some(floor_second(from)));
    assert!(oldest.iter().all(|(_, to)| *to <= bench.start), "nothing twice: {oldest:?}");
    bench.assert_all_once(bench.now()).await;
    let state = bench.state().await;
    assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill));
    assert!(state.coverage.iter().any(|row| row.from <= from + TimeDelta::seconds(1)));
}

fn floor_second(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp(), 0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_live_is_read_due_sweeps_are_read_and_backfill_is_over() {
    let bench = Bench::new();
    let begin = bench.now();
    for n in 0..60 {
        bench.vendor.add(n, begin - TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    let (journal, signal) = (bench.journal(), Signal::default());
    let (collector, _) = bench.collector(&journal, &signal);
    signal.go(Phase::Drain);
    tokio::time::timeout(HOUR, collector.run()).await.expect("a drain ends").unwrap();
    drop(journal);
    assert!(bench.now() < begin + TimeDelta::minutes(2), "{}", bench.now() - begin);
    let arrived = bench.arrived().await;
    assert_eq!(arrived.len(), 58, "all but what is not visible yet");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_and_the_list_of_work_stay_small_over_weeks() {
    let bench = Bench::new();
    let begin = bench.now();
    for n in 0..21 * 24 {
        let late = TimeDelta::hours(i64::try_from(n).unwrap() % 30);
        bench.vendor.add(n, begin + TimeDelta::hours(i64::try_from(n).unwrap()), late);
    }
    bench.run(21 * 24 * HOUR).await;
    let state = bench.state().await;
    assert!(state.coverage.len() <= 12, "{:?}", rows(&state));
    assert!(state.works.len() <= 20, "{:?}", state.works.iter().map(|w| &w.name).collect::<Vec<_>>());
    bench.assert_all_once(begin + TimeDelta::days(14)).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_run_knows_of_a_last_request_that_was_not_answered() {
    let mut bench = Bench::new();
    bench.run(MINUTE).await;
    Arc::get_mut(&mut bench.vendor).unwrap().latency = HOUR;
    bench.run(MINUTE).await;
    let row = bench.state().await.quotas.remove(0);
    let next = Quota::default();
    Buckets::new(vec![("requests", |_| true, next.clone())]).restore(&row.state, bench.now());
    assert_eq!(next.counters(), bench.quota.counters());
}
