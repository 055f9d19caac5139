//! `tidegate backfill`: older history, and holes. Of a feed a second chain that runs until it has met the live one, of windows
//! what the ledger lacks. Resumable: what was begun stands in the journal.

use super::Answer;
use super::manage::{Done, ask};
use super::report::Summary;
use super::standing::{
    Recoverable, backfills, beyond_recovery, estimate, frontier, ledger, recoverable, works,
};
use super::sync::{left, retention};
use super::text::{range, span, thousands};
use crate::config::{Config, SourceConfig, Start, Tenant};
use crate::pipeline::{StartError, Tenant as Running};
use crate::requests::Ask;
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_core::board::Board;
use tidegate_core::clock::Clock;
use tidegate_core::collect::{StreamPlan, window};
use tidegate_core::journal::{Grade, Interval, Lane, Reader, State, Work};
use tidegate_core::source::StreamKind;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(500);
/// The bar's length in its own steps.
const STEPS: u64 = 1_000;
/// A source that waits so long for the vendor's limit says why; shorter waits are how requests are spread.
const WAIT: TimeDelta = TimeDelta::seconds(5);

/// Reads older history: what the ledger lacks, up to where collection began. Goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is read and delivered, or the process that holds the tenant reads it; 10 a source or \
                        sink failed, or a part of the time cannot be read; 12 interrupted or --max-duration spent, progress \
                        is kept; 20 configuration, or nothing to be read; 21 all credentials refused; 30 quota; 40 all \
                        sinks down; 50 journal. Where several apply, the first of 50, 20, 21, 40, 30, 12, 10",
    group = clap::ArgGroup::new("what").args(["from", "hole"])
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
    /// Reads the whole range from the vendor, also what the ledger has already. A record whose id is still known is not
    /// delivered a second time; one whose id was forgotten (`forget_after`) is, tagged `reread`
    #[arg(long, requires = "what")]
    pub again: bool,
    /// Ends after this long; progress is kept, and the next backfill, run or sync goes on
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub max_duration: Option<Duration>,
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::tell(lines(world, config, args).await, &[0, 12])
}

/// The exit code, and what is said at the end.
pub async fn lines(world: &World, config: &Config, args: &Args) -> Answer {
    let name = args.tenant.as_str();
    let said = |code, text: String| super::answer(name, code, text);
    let tenant = match config.tenant(name) {
        Ok(tenant) => tenant,
        Err(error) => return (20, vec![error.to_string()]),
    };
    let state = match Reader::open(journal_dir(config, name)).and_then(|mut reader| reader.load()) {
        Ok(state) => state,
        Err(error) if super::no_journal(&error) => State::default(),
        Err(error) => return said(50, error.to_string()),
    };
    let Wanted { asks, mut parts } = match wanted(&state, tenant, args, world.clock.now()) {
        Ok(wanted) => wanted,
        Err(error) => return said(20, error),
    };
    if asks.is_empty() && parts.is_empty() {
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
        None => {
            parts.extend(asks.into_iter().filter_map(Part::of));
            work(world, config, tenant, args, &parts).await
        }
    }
}

/// A time of a stream that is to be read; without `to`: up to where live collection began.
struct Part {
    source: String,
    stream: String,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
}

impl Part {
    fn of(ask: Ask) -> Option<Self> {
        let Ask::Backfill { source, stream, from, to, again: _ } = ask else { return None };
        Some(Self { source, stream, from, to })
    }
}

/// What is to be asked for, and what is on its way already.
#[derive(Default)]
struct Wanted {
    asks: Vec<Ask>,
    parts: Vec<Part>,
}

fn wanted(state: &State, tenant: &Tenant, args: &Args, now: DateTime<Utc>) -> Result<Wanted, String> {
    if let Some(id) = args.hole {
        return hole(state, tenant, id, args.again, now);
    }
    let Some(from) = &args.from else {
        return begun(state, tenant, args.source.as_deref());
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
    let plans: Vec<&StreamPlan> = match &args.stream {
        Some(only) => vec![run_by(source, key, only)?],
        None => source.streams.iter().collect(),
    };
    let mut out = Wanted::default();
    for plan in plans {
        if !args.again {
            remembered(state, key, plan.stream.name, from, now)?;
        }
        out.add(lacks(state, (key, source), plan, (from, to), args.again, now));
    }
    Ok(out)
}

/// What was begun before and can go on.
fn begun(state: &State, tenant: &Tenant, source: Option<&str>) -> Result<Wanted, String> {
    let works = state.works.iter().filter(|work| work.lane == Lane::Backfill);
    let mut stuck = None;
    let mut parts = Vec::new();
    for work in works.filter(|work| source.is_none_or(|source| *source == work.source)) {
        let Work { source, stream, from, to, .. } = work;
        match running(tenant, source).and_then(|configured| run_by(configured, source, stream)) {
            Ok(_) => {
                parts.push(Part { source: source.clone(), stream: stream.clone(), from: *from, to: *to });
            }
            Err(error) => stuck = Some(error),
        }
    }
    match stuck {
        Some(error) if parts.is_empty() => Err(error),
        None if parts.is_empty() => {
            Err("no backfill was begun: say from when, such as --from 30d".to_owned())
        }
        _ => Ok(Wanted { asks: Vec::new(), parts }),
    }
}

/// The stream as its source runs it.
fn run_by<'c>(configured: &'c SourceConfig, source: &str, stream: &str) -> Result<&'c StreamPlan, String> {
    let plan = configured.streams.iter().find(|plan| plan.stream.name == stream);
    plan.ok_or_else(|| {
        let known: Vec<&str> = configured.streams.iter().map(|plan| plan.stream.name).collect();
        format!(
            "source {source} does not run stream {stream}, but {}; add it to `streams` to read it",
            known.join(", ")
        )
    })
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
    let plan = run_by(configured, source, stream)?;
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
    Ok(match begun {
        true => Wanted { asks: Vec::new(), parts: Part::of(ask).into_iter().collect() },
        false => Wanted { asks: vec![ask], parts: Vec::new() },
    })
}

impl Wanted {
    fn add(&mut self, more: Self) {
        self.asks.extend(more.asks);
        self.parts.extend(more.parts);
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
        return Wanted { asks: vec![ask(from, Some(end))], parts: Vec::new() };
    }
    let missing = window::missing(read.chain(begun.iter().copied()), from, end);
    let asks = match plan.stream.kind {
        StreamKind::Windowed { .. } => missing.into_iter().map(|(from, to)| ask(from, Some(to))).collect(),
        // A cursor cannot leave out what is known in between.
        StreamKind::Feed if missing.is_empty() => Vec::new(),
        StreamKind::Feed => vec![ask(from, to)],
    };
    let part = |(from, to)| Part { source: key.to_owned(), stream: stream.to_owned(), from, to: Some(to) };
    Wanted { asks, parts: begun.into_iter().map(part).collect() }
}

/// What of these parts was not read although it could be by now, for people.
fn unread(tenant: &Tenant, state: &State, parts: &[Part], now: DateTime<Utc>) -> Vec<String> {
    let mut out = Vec::new();
    for Part { source, stream, from, to } in parts {
        let Some(plan) = running(tenant, source).and_then(|s| run_by(s, source, stream)).ok() else {
            continue;
        };
        let works = works(state, source, stream);
        let live = works.iter().find(|work| work.lane == Lane::Live);
        let Some(reached) = live.and_then(|live| frontier(plan, live)) else { continue };
        let ledger = ledger(state, source, stream);
        let read = ledger.iter().filter(|row| row.grade != Grade::Hole).map(|row| (row.from, row.to));
        for (a, b) in window::missing(read, *from, to.map_or(reached, |to| to.min(reached))) {
            let holes = ledger.iter().filter(|row| row.grade == Grade::Hole && row.from < b && a < row.to);
            out.extend(holes.clone().map(|hole| {
                let (when, cause) = (range(hole.from.max(a), hole.to.min(b), now), &hole.cause);
                let cause = cause.as_deref().unwrap_or("unknown");
                format!("{source}/{stream} {when} could not be read: {cause} (hole {})", hole.id)
            }));
            let left = window::missing(holes.map(|hole| (hole.from, hole.to)), a, b);
            let left = left.into_iter().map(|(a, b)| range(a, b, now));
            out.extend(left.map(|when| format!("{source}/{stream} {when} is not read yet")));
        }
    }
    out.sort();
    out.dedup();
    out
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

/// What keeps sources and sinks from going on right now, such as ` · elastic: connection refused`.
fn held_up(board: &Board, now: DateTime<Utc>) -> String {
    let sources = board.sources().into_iter().filter_map(|(key, source)| {
        let waits = |(until, why): (DateTime<Utc>, String)| {
            (until - now >= WAIT).then(|| format!("{why}; next request in {}", span(until - now)))
        };
        let why = source.fault.map(|(fault, _)| fault.to_string()).or(source.wait.and_then(waits))?;
        Some(format!(" · {key}: {why}"))
    });
    let sinks = board.sinks().into_iter();
    let sinks = sinks.filter_map(|(key, sink)| Some(format!(" · {key}: {}", sink.trouble()?.0)));
    sources.chain(sinks).collect()
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
    async fn follow(&mut self, board: Board, clock: &Clock, journal: PathBuf) {
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
                "{text}{} new records, {} documents delivered{}",
                thousands(fetched),
                thousands(delivered),
                held_up(&board, clock.now())
            ));
            self.bar.tick();
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Nobody holds the tenant: this command reads and delivers until the backfill is done.
async fn work(world: &World, config: &Config, tenant: &Tenant, args: &Args, parts: &[Part]) -> Answer {
    let name = args.tenant.as_str();
    let mut running = match Running::start(world, config, name, "backfill").await {
        Ok(running) => running,
        Err(error) => {
            let code = if matches!(error, StartError::Config(_)) { 20 } else { 50 };
            return (code, vec![format!("{name}: {error}")]);
        }
    };
    let journal = journal_dir(config, name);
    let mut summary = Summary::new(world.clock.now());
    let mut progress = Progress::begin(rest(&journal).await.unwrap_or_default());
    let board = running.board.clone();
    let spent = async {
        match args.max_duration {
            Some(max) => tokio::time::sleep(max).await,
            None => std::future::pending().await,
        }
    };
    let complete = tokio::select! {
        () = running.drain() => true,
        () = super::interrupted() => false,
        () = spent => false,
        () = progress.follow(board, &world.clock, journal.clone()) => false,
    };
    running.stop().await;
    progress.bar.finish_and_clear();
    let now = world.clock.now();
    // That requests are spread is no trouble as long as the vendor refused none.
    for key in running.board.sources().into_keys() {
        running.board.source(&key, |source| source.wait = source.wait.take().filter(|_| source.refused > 0));
    }
    let left = left(&mut running, now).await;
    summary.tenant(&running, &retention(config, name), complete, &left);
    let unread = if complete { unread(tenant, &left.journal, parts, now) } else { Vec::new() };
    if !unread.is_empty() {
        summary.code(10);
    }
    let code = summary.finish(progress.began.elapsed().as_secs_f64(), None);
    let mut lines = summary.said().to_vec();
    lines.extend(unread.iter().map(|unread| format!("{name}: {unread}")));
    let fetched = thousands(summary.fetched);
    let goes_on = "the backfill goes on with the next run or sync";
    lines.push(if !complete {
        progress.rest = rest(&journal).await.unwrap_or(progress.rest);
        let read = progress.text().map_or_else(String::new, |text| format!(", {text}"));
        format!("{name}: ended after {fetched} new records{read}; {goes_on}")
    } else if !summary.failed.is_empty() {
        format!("{name}: {fetched} new records; {goes_on}")
    } else if unread.is_empty() {
        format!("{name}: backfill finished, {fetched} new records")
    } else {
        format!("{name}: {fetched} new records; not all of the time could be read")
    });
    (code, lines)
}

#[cfg(test)]
mod tests {
    use super::held_up;
    use chrono::{DateTime, TimeDelta};
    use tidegate_core::board::Board;
    use tidegate_core::fault::{Fault, FaultKind};

    #[test]
    fn while_it_waits_it_says_for_whom_and_why() {
        let now = DateTime::UNIX_EPOCH;
        let board = Board::default();
        let wait = |seconds| {
            board.source("duo", |duo| {
                duo.wait = Some((now + TimeDelta::seconds(seconds), "60/60 used, 12 ours".to_owned()));
            });
        };
        board.sink("elastic", |_| {});
        wait(2);
        assert_eq!(held_up(&board, now), "", "requests are only spread");
        wait(41);
        assert_eq!(held_up(&board, now), " · duo: 60/60 used, 12 ours; next request in 41 s");
        board.sink("elastic", |sink| {
            sink.fault = Some((Fault::new(FaultKind::Network, "connection refused"), now));
        });
        board.source("duo", |duo| duo.fault = Some((Fault::new(FaultKind::Server, "it failed"), now)));
        let said = held_up(&board, now);
        assert!(said.starts_with(" · duo: ") && said.contains("it failed · elastic: "), "{said}");
        assert!(said.contains("connection refused"), "{said}");
    }
}
