//! `tidegate backfill`: older history, and holes. Of a feed a second chain that runs until it has met the live one, of windows
//! what the ledger lacks. Resumable: what was begun stands in the journal.

use super::manage::{Done, ask};
use super::standing::{
    Recoverable, backfills, beyond_recovery, estimate, frontier, ledger, recoverable, works,
};
use super::text::{moment, range, span, thousands};
use crate::config::{Config, SourceConfig, Start, Tenant};
use crate::pipeline::{StartError, Tenant as Running};
use crate::requests::Ask;
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_core::board::Board;
use tidegate_core::collect::{StreamPlan, window};
use tidegate_core::fault::FaultKind;
use tidegate_core::journal::{Grade, Interval, Lane, Reader, State};
use tidegate_core::source::StreamKind;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(500);
/// The bar's length in its own steps.
const STEPS: u64 = 1_000;

/// Reads older history: what the ledger lacks, up to where collection began. Goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is read and delivered, or the process that holds the tenant reads it; 10 a source failed; \
                        12 interrupted or --max-duration spent, progress is kept; 20 configuration, or nothing to be read; \
                        50 journal"
)]
pub struct Args {
    /// The tenant
    pub tenant: String,
    /// The source's key; may be left out where the tenant has one
    pub source: Option<String>,
    /// From: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30d; may be left out to go on with what was begun
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Up to; default: up to where live collection began
    #[arg(long, value_name = "TIME", requires = "from")]
    pub to: Option<String>,
    /// Only this stream; default: all that the source runs
    #[arg(long, requires = "from")]
    pub stream: Option<String>,
    /// Repairs this hole of the coverage ledger (by its number in `tidegate coverage`)
    #[arg(long, conflicts_with_all = ["source", "from", "to", "stream"])]
    pub hole: Option<u64>,
    /// Reads again what the ledger has already
    #[arg(long)]
    pub again: bool,
    /// Ends after this long; progress is kept, and the next backfill, run or sync goes on
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub max_duration: Option<Duration>,
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    let (code, lines) = lines(world, config, args).await;
    let say = if matches!(code, 0 | 12) { super::print } else { super::complain };
    lines.iter().for_each(|line| say(line));
    code
}

/// The exit code, and what is said at the end.
pub async fn lines(world: &World, config: &Config, args: &Args) -> (u8, Vec<String>) {
    let name = args.tenant.as_str();
    let said = |code, text: String| (code, vec![format!("{name}: {text}")]);
    let tenant = match config.tenant(name) {
        Ok(tenant) => tenant,
        Err(error) => return (20, vec![error.to_string()]),
    };
    let state = match Reader::open(journal_dir(config, name)).and_then(|mut reader| reader.load()) {
        Ok(state) => state,
        Err(error) if super::no_journal(&error) => State::default(),
        Err(error) => return said(50, error.to_string()),
    };
    let Wanted { asks, begun } = match wanted(&state, tenant, args, world.clock.now()) {
        Ok(wanted) => wanted,
        Err(error) => return said(20, error),
    };
    if asks.is_empty() && !begun {
        return said(0, "the ledger has all of that already (--again reads it once more)".to_owned());
    }
    let mut holder = state.holder.filter(|_| asks.is_empty());
    for wish in &asks {
        match ask(world, config, name, wish).await {
            Ok(Done::Here(_)) => {}
            Ok(Done::There(there)) => holder = Some(there),
            Err(error) => return said(50, error),
        }
    }
    match holder {
        Some(holder) => said(
            0,
            format!(
                "`tidegate {}` (pid {}) reads it now; watch it with: tidegate status {name}",
                holder.verb, holder.pid
            ),
        ),
        None => work(world, config, name, args.max_duration).await,
    }
}

/// What is to be asked for, and whether something of it was begun before.
#[derive(Default)]
struct Wanted {
    asks: Vec<Ask>,
    begun: bool,
}

fn wanted(state: &State, tenant: &Tenant, args: &Args, now: DateTime<Utc>) -> Result<Wanted, String> {
    if let Some(id) = args.hole {
        return hole(state, tenant, id, args.again, now);
    }
    let Some(from) = &args.from else {
        let begun = state.works.iter().any(|work| {
            work.lane == Lane::Backfill && args.source.as_ref().is_none_or(|source| *source == work.source)
        });
        return match begun {
            true => Ok(Wanted { begun, ..Wanted::default() }),
            false => Err("no backfill was begun: say from when, such as --from 30d".to_owned()),
        };
    };
    let from = super::time(from, now)?;
    let to = args.to.as_deref().map(|to| super::time(to, now)).transpose()?;
    if to.is_some_and(|to| to <= from) {
        return Err("--to must be later than --from".to_owned());
    }
    let keys: Vec<&String> = tenant.sources.keys().collect();
    let key = match (&args.source, keys.as_slice()) {
        (Some(key), _) if tenant.sources.contains_key(key) => key,
        (None, [only]) => only,
        (given, _) => {
            let known: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
            let given = given.as_deref().unwrap_or("which source");
            return Err(format!("{given}? The tenant's sources are {}", known.join(", ")));
        }
    };
    let source = running(tenant, key)?;
    let mut plans: Vec<&StreamPlan> = source.streams.iter().collect();
    if let Some(only) = &args.stream {
        plans.retain(|plan| plan.stream.name == only);
        if plans.is_empty() {
            let known: Vec<&str> = source.streams.iter().map(|plan| plan.stream.name).collect();
            return Err(format!("source {key} does not run stream {only:?}; it runs {}", known.join(", ")));
        }
    }
    let mut out = Wanted::default();
    for plan in plans {
        if !args.again {
            remembered(state, key, plan.stream.name, from, now)?;
        }
        out.add(lacks(state, (key, source), plan, (from, to), args.again, now));
    }
    Ok(out)
}

/// The source, if it is read at all.
fn running<'t>(tenant: &'t Tenant, key: &str) -> Result<&'t SourceConfig, String> {
    match tenant.sources.get(key) {
        None => Err(format!("source {key} is not in the configuration: nobody can read it")),
        Some(SourceConfig { off: Some(reason), .. }) => {
            Err(format!("source {key} is declared off ({reason}); remove `off` to read it"))
        }
        Some(source) => Ok(source),
    }
}

/// Whether the ids of that time are still known.
fn remembered(
    state: &State,
    key: &str,
    stream: &str,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), String> {
    let forgotten = state.forgotten.iter().find(|(source, name, hour)| {
        source == key && name == stream && from.timestamp().div_euclid(3600) < *hour
    });
    let Some((_, _, hour)) = forgotten else { return Ok(()) };
    let since = DateTime::from_timestamp(hour.saturating_mul(3600), 0).unwrap_or(now);
    Err(format!(
        "the ids of {stream} before {} are forgotten, so that records of that time would be taken for new and be \
         delivered again; --again does it all the same",
        since.format("%Y-%m-%d %H:%MZ")
    ))
}

fn hole(state: &State, tenant: &Tenant, id: u64, again: bool, now: DateTime<Utc>) -> Result<Wanted, String> {
    let hole = state.coverage.iter().find(|row| row.id == id && row.grade == Grade::Hole);
    let hole = hole.ok_or_else(|| format!("the ledger has no hole {id} (tidegate coverage)"))?;
    let Interval { source, stream, from, to, .. } = hole;
    let configured = running(tenant, source)?;
    let plan = configured.streams.iter().find(|plan| plan.stream.name == stream);
    let plan = plan.ok_or_else(|| {
        format!("source {source} does not run stream {stream}; add it to `streams` to read it")
    })?;
    let Some(Recoverable { from: still, .. }) = recoverable(hole, Some(plan), now) else {
        return Err(format!(
            "hole {id} ({source}/{stream} {}, {}) cannot be recovered: {}. If it does all the same, set \
             stream.{stream}.retention to how long it does, and read it with --from and --to",
            range(*from, *to, now),
            hole.cause.as_deref().unwrap_or("unknown"),
            beyond_recovery(hole),
        ));
    };
    if !again {
        remembered(state, source, stream, still, now)?;
    }
    let works = works(state, source, stream);
    // Where live reading stands before the hole, it goes on through it by itself.
    let live = works.iter().find(|work| work.lane == Lane::Live);
    let on_its_way = live.is_some_and(|live| frontier(plan, live).unwrap_or(live.from) <= still);
    let begun = on_its_way
        || backfills(&works).iter().any(|begun| begun.from <= still && begun.to.is_none_or(|end| *to <= end));
    let ask =
        Ask::Backfill { source: source.clone(), stream: stream.clone(), from: still, to: Some(*to), again };
    Ok(Wanted { asks: if begun { Vec::new() } else { vec![ask] }, begun })
}

impl Wanted {
    fn add(&mut self, more: Self) {
        self.asks.extend(more.asks);
        self.begun |= more.begun;
    }
}

/// What a stream lacks of `[from, to)`; without `to`: up to where live collection began, or will begin.
fn lacks(
    state: &State,
    (key, source): (&str, &SourceConfig),
    plan: &StreamPlan,
    (from, to): (DateTime<Utc>, Option<DateTime<Utc>>),
    again: bool,
    now: DateTime<Utc>,
) -> Wanted {
    let stream = plan.stream.name;
    let works = works(state, key, stream);
    let start = match source.start {
        Start::Ago(age) => {
            now.checked_sub_signed(TimeDelta::from_std(age).unwrap_or_default()).unwrap_or(now)
        }
        Start::At(time) => time,
    };
    let live = works.iter().find(|work| work.lane == Lane::Live).map_or(start, |work| work.from);
    let end = to.unwrap_or(live);
    let ask = |from, to| Ask::Backfill { source: key.to_owned(), stream: stream.to_owned(), from, to, again };
    let ledger = ledger(state, key, stream);
    let read = ledger.iter().filter(|row| row.grade != Grade::Hole).map(|row| (row.from, row.to));
    let begun = works.iter().filter(|work| work.lane == Lane::Backfill);
    let begun = begun.map(|work| (work.from, work.to.unwrap_or(live)));
    let begun: Vec<_> = begun.filter(|(begin, until)| *begin < end && from < *until).collect();
    if again {
        return Wanted { asks: vec![ask(from, Some(end))], begun: false };
    }
    let missing = window::missing(read.chain(begun.iter().copied()), from, end);
    let asks = match plan.stream.kind {
        StreamKind::Windowed { .. } => missing.into_iter().map(|(from, to)| ask(from, Some(to))).collect(),
        // A cursor cannot leave out what is known in between.
        StreamKind::Feed if missing.is_empty() => Vec::new(),
        StreamKind::Feed => vec![ask(from, to)],
    };
    Wanted { begun: !begun.is_empty(), asks }
}

/// How much of all backfills of a tenant is not read yet, as far as that is known.
async fn rest(journal: &Path) -> Option<TimeDelta> {
    let journal = journal.to_owned();
    let read = move || Reader::open(journal).and_then(|mut reader| reader.load());
    let state = tokio::task::spawn_blocking(read).await.ok()?.ok()?;
    let streams: std::collections::BTreeSet<(&str, &str)> =
        state.works.iter().map(|work| (work.source.as_str(), work.stream.as_str())).collect();
    let all = streams.into_iter().flat_map(|(source, stream)| backfills(&works(&state, source, stream)));
    Some(all.fold(TimeDelta::zero(), |sum, backfill| sum + backfill.rest))
}

/// What moves while it reads.
struct Progress {
    bar: ProgressBar,
    whole: TimeDelta,
    rest: TimeDelta,
    began: tokio::time::Instant,
}

impl Progress {
    fn begin(whole: TimeDelta) -> Self {
        let bar = ProgressBar::new(STEPS);
        let style = if whole.is_zero() { "{spinner} {msg}" } else { "{bar:30} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar, whole, rest: whole, began: tokio::time::Instant::now() }
    }

    /// Such as `37 % of the time range, about 2 h left`.
    fn text(&self) -> Option<String> {
        let whole = self.whole.num_milliseconds();
        let done = self.whole - self.rest;
        let percent = (whole > 0).then(|| (done.num_milliseconds() * 100 / whole).clamp(0, 100))?;
        let took = TimeDelta::from_std(self.began.elapsed()).unwrap_or_default();
        let left = estimate(took, done, self.rest).filter(|_| !self.rest.is_zero());
        let left = left.map_or_else(String::new, |left| format!(", about {} left", span(left)));
        Some(format!("{percent} % of the time range{left}"))
    }

    /// Moves until it is dropped. The journal is read beside its holder: nothing that is dropped here keeps it open.
    async fn follow(&mut self, board: Board, journal: PathBuf) {
        loop {
            if let Some(rest) = rest(&journal).await {
                // What is asked for meanwhile, or found to be missing, makes the whole larger.
                self.rest = rest;
                self.whole = self.whole.max(rest);
            }
            let (whole, done) = (self.whole.num_milliseconds(), (self.whole - self.rest).num_milliseconds());
            let steps = i64::try_from(STEPS).unwrap_or_default().saturating_mul(done) / whole.max(1);
            self.bar.set_position(u64::try_from(steps).unwrap_or_default());
            let fetched: u64 = board.sources().values().map(|source| source.fetched).sum();
            let delivered: u64 = board.sinks().values().map(|sink| sink.delivered + sink.duplicates).sum();
            let text = self.text().map_or_else(String::new, |text| format!("{text} · "));
            self.bar.set_message(format!(
                "{text}{} new records, {} documents delivered",
                thousands(fetched),
                thousands(delivered)
            ));
            self.bar.tick();
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Nobody holds the tenant: this command reads and delivers until the backfill is done.
async fn work(world: &World, config: &Config, name: &str, max: Option<Duration>) -> (u8, Vec<String>) {
    let mut running = match Running::start(world, config, name, "backfill").await {
        Ok(running) => running,
        Err(error) => {
            let code = if matches!(error, StartError::Config(_)) { 20 } else { 50 };
            return (code, vec![format!("{name}: {error}")]);
        }
    };
    let journal = journal_dir(config, name);
    let mut progress = Progress::begin(rest(&journal).await.unwrap_or_default());
    let board = running.board.clone();
    let spent = async {
        match max {
            Some(max) => tokio::time::sleep(max).await,
            None => std::future::pending().await,
        }
    };
    let complete = tokio::select! {
        () = running.drain() => true,
        () = super::interrupted() => false,
        () = spent => false,
        () = progress.follow(board, journal.clone()) => false,
    };
    running.stop().await;
    progress.bar.finish_and_clear();
    if let Some(error) = &running.failed {
        return (50, vec![format!("{name}: {error}")]);
    }
    let fetched: u64 = running.board.sources().values().map(|source| source.fetched).sum();
    let fetched = thousands(fetched);
    let mut failed = Vec::new();
    for (key, source) in running.board.sources() {
        let Some((fault, since)) = source.fault else { continue };
        let since = moment(since, world.clock.now());
        failed.push(format!(
            "{name}/{key}: {fault} (since {since}); the backfill goes on with the next run or sync"
        ));
        let rights = matches!(fault.kind, FaultKind::Credential | FaultKind::Permission | FaultKind::Licence);
        let source = running.sources.get(&key).filter(|_| rights).map(|source| source.remedy());
        let remedy = fault.remedy.or(source).unwrap_or_default();
        failed.extend(super::report::remedy(&remedy));
    }
    if !failed.is_empty() {
        return (10, failed);
    }
    if !complete {
        if let Some(rest) = rest(&journal).await {
            progress.rest = rest;
        }
        let read = progress.text().map_or_else(String::new, |text| format!(", {text}"));
        let text = format!(
            "{name}: ended after {fetched} new records{read}; the next run, sync or backfill goes on"
        );
        return (12, vec![text]);
    }
    (0, vec![format!("{name}: backfill finished, {fetched} new records")])
}
