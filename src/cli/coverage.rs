//! `tidegate coverage`: which time of which stream was read, how well that is proven, and what is missing. Read beside a
//! running process, from the journals alone.

use super::Shown;
use super::standing::{self, Recoverable, backfills};
use super::text::{moment, percent, range, table, thousands};
use crate::config::{Config, Tenant};
use crate::world::{World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidegate_core::collect::{StreamPlan, window};
use tidegate_core::journal::{GivenUp, Grade, Interval, JournalError, Reader, State, Tally, coverage::rank};

/// Whatever is proven, this is not.
const NOT_PROVEN: &str = "Not proven: that the vendor logged every act.";
/// Ledgers of streams end within this of each other while all of them are read; what ends sooner is said.
const TOGETHER: TimeDelta = TimeDelta::hours(1);
/// The cause of a row that the collector read from a time, and not by the cursor of the row before.
const BRIDGE: &str = "bridge";

/// Shows which time of which stream was read, how well that is proven, and which holes there are.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Grades: chain (an unbroken cursor of the vendor's); settled (read again at the last horizon, which \
                        found nothing new); fetched (not settled yet); settling behind (sweeps do not keep up); received \
                        (pushed to us); bounded (the vendor does not vouch for the range); hole (nothing was read); off"
)]
pub struct Args {
    /// Only these tenants
    pub tenant: Vec<String>,
    /// From: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30d; default: what the ledger holds
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Up to; default: what the ledger holds
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Prints one JSON object: a list of statements a tenant, of which those with an `id` are the ledger's rows
    #[arg(long)]
    pub json: bool,
}

type Asked = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Runs it; the exit code.
pub fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::said(lines(world, config, args))
}

/// The exit code, and what goes to standard output.
pub fn lines(world: &World, config: &Config, args: &Args) -> (u8, Vec<String>) {
    let now = world.clock.now();
    let asked = match asked(args, now) {
        Ok(asked) => asked,
        Err(error) => {
            super::complain(&error);
            return (20, Vec::new());
        }
    };
    let (code, mut out) = super::of_each(config, &args.tenant, args.json, |name, tenant| {
        let report = match Reader::open(journal_dir(config, name)) {
            Ok(mut reader) => {
                let state = reader.load()?;
                report(tenant, Some(&mut reader), &state, asked, now)
            }
            Err(error) if super::no_journal(&error) => report(tenant, None, &State::default(), asked, now),
            Err(error) => Err(error),
        }?;
        Ok(match args.json {
            true => Shown::Json(report.json(asked)),
            false => Shown::Lines(report.text(name, asked, now)),
        })
    });
    if !args.json && code != 20 {
        out.push(NOT_PROVEN.to_owned());
    }
    (code, out)
}

fn asked(args: &Args, now: DateTime<Utc>) -> Result<Asked, String> {
    let time = |text: &Option<String>| text.as_deref().map(|text| super::time(text, now)).transpose();
    match (time(&args.from)?, time(&args.to)?) {
        (Some(from), Some(to)) if from >= to => Err("--to must be later than --from".to_owned()),
        asked => Ok(asked),
    }
}

/// A range of time that no row of the ledger speaks of.
#[derive(Debug)]
struct Unread {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// It is being read, and so much of it is done, in percent.
    reading: Option<Option<i64>>,
}

/// One stream in the asked time.
#[derive(Debug)]
struct Stream {
    source: String,
    stream: String,
    off: Option<String>,
    /// The asked time; `None`: nothing was asked for, and the ledger is empty.
    range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    grade: &'static str,
    fetched: TimeDelta,
    /// `None`: the stream has no settling.
    settled: Option<TimeDelta>,
    records: u64,
    tally: Option<Tally>,
    holes: Vec<(Interval, Option<Recoverable>)>,
    /// What was read again from a time, because the vendor refused the cursor.
    bridges: Vec<Interval>,
    unread: Vec<Unread>,
    /// What was not read because the stream was declared off by then.
    unread_off: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

struct Report {
    streams: Vec<Stream>,
    ledger: Vec<Interval>,
    /// What sinks gave up of it.
    sinks: Vec<GivenUp>,
}

/// What the configuration says of a stream: how it runs, or why it is off.
type Known<'c> = (Option<&'c StreamPlan>, Option<&'c str>);

/// All streams that are configured or that the ledger knows, in that order.
fn streams<'c>(tenant: &'c Tenant, state: &State) -> Vec<(String, String, Known<'c>)> {
    let mut out: Vec<(String, String, Known<'c>)> = Vec::new();
    let in_ledger: BTreeSet<(&str, &str)> =
        state.coverage.iter().map(|row| (row.source.as_str(), row.stream.as_str())).collect();
    for (key, source) in &tenant.sources {
        let reason = source.off.as_deref();
        if reason.is_some() && !in_ledger.iter().any(|(of, _)| of == key) {
            out.push((key.clone(), "*".to_owned(), (None, reason)));
            continue;
        }
        let read = |stream: &str| in_ledger.contains(&(key.as_str(), stream));
        for plan in source.streams.iter().filter(|plan| reason.is_none() || read(plan.stream.name)) {
            out.push((key.clone(), plan.stream.name.to_owned(), (Some(plan), reason)));
        }
        for (stream, why) in &source.off_streams {
            out.push((key.clone(), stream.clone(), (None, Some(why.as_str()))));
        }
    }
    for (source, stream) in in_ledger {
        if !out.iter().any(|(of, name, _)| of == source && name == stream) {
            let off = tenant.sources.get(source).and_then(|source| source.off.as_deref());
            out.push((source.to_owned(), stream.to_owned(), (None, off)));
        }
    }
    out
}

fn report(
    tenant: &Tenant,
    mut reader: Option<&mut Reader>,
    state: &State,
    asked: Asked,
    now: DateTime<Utc>,
) -> Result<Report, JournalError> {
    let mut lines = Vec::new();
    for (source, stream, known) in streams(tenant, state) {
        let mut line = one(state, &source, &stream, known, asked, now);
        if let (Some(reader), Some(range)) = (&mut reader, line.range) {
            (line.records, line.tally) = tally(reader, state, (&source, &stream), range)?;
        }
        lines.push(line);
    }
    Ok(Report { streams: lines, ledger: state.coverage.clone(), sinks: state.given_up.clone() })
}

/// How many records of a stream's `[from, to)` came, by whole hours; and how many of them late or revised, where that was
/// counted.
fn tally(
    reader: &Reader,
    state: &State,
    (source, stream): (&str, &str),
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(u64, Option<Tally>), JournalError> {
    let hour = |at: DateTime<Utc>| at.timestamp().div_euclid(3600);
    let tally = reader.tally(source, stream, hour(from), hour(to - TimeDelta::microseconds(1)) + 1)?;
    let rows = standing::ledger(state, source, stream);
    let seen = rows.iter().filter(|row| row.from < to && from < row.to).map(|row| row.count).sum();
    // A journal from before there was a tally knows only what the ledger has seen.
    let counted = seen == 0 || reader.tally(source, stream, i64::MIN, i64::MAX)? != Tally::default();
    Ok(if counted { (tally.records, Some(tally)) } else { (seen, None) })
}

fn one(
    state: &State,
    source: &str,
    stream: &str,
    (plan, off): Known<'_>,
    (from, to): Asked,
    now: DateTime<Utc>,
) -> Stream {
    let (works, ledger) = (standing::works(state, source, stream), standing::ledger(state, source, stream));
    // What nobody runs is not being read.
    let backfills = if off.is_some() { Vec::new() } else { backfills(&works) };
    let mut line = Stream {
        source: source.to_owned(),
        stream: stream.to_owned(),
        off: off.map(str::to_owned),
        range: None,
        grade: if off.is_some() { "off" } else { "not read yet" },
        fetched: TimeDelta::zero(),
        settled: None,
        records: 0,
        tally: None,
        holes: Vec::new(),
        bridges: Vec::new(),
        unread: Vec::new(),
        unread_off: Vec::new(),
    };
    if off.is_some() && ledger.is_empty() {
        return line;
    }
    // What is being read belongs to what the ledger will hold.
    let begins = ledger.iter().map(|row| row.from).chain(backfills.iter().map(|b| b.from)).min();
    let ends = ledger.iter().map(|row| row.to).chain(backfills.iter().filter_map(|b| b.to)).max();
    // What is off goes on being unread while anything else is read.
    let ends = if off.is_some() { state.coverage.iter().map(|row| row.to).max() } else { ends };
    let Some((from, to)) = from.or(begins).zip(to.or(ends)).filter(|(from, to)| from < to) else {
        return line;
    };
    line.range = Some((from, to));
    let rows: Vec<&Interval> = ledger.into_iter().filter(|row| row.from < to && from < row.to).collect();
    let length = |row: &&Interval| row.to.min(to) - row.from.max(from);
    let share = |grades: &dyn Fn(Grade) -> bool| {
        rows.iter().filter(|row| grades(row.grade)).map(length).fold(TimeDelta::zero(), |sum, one| sum + one)
    };
    line.fetched = share(&|grade| grade != Grade::Hole);
    let windowed = match plan {
        Some(plan) => !plan.settle.is_empty(),
        None => rows.iter().any(|row| row.grade == Grade::Settled),
    };
    line.settled = windowed.then(|| share(&|grade| grade == Grade::Settled));
    let holes = rows.iter().filter(|row| row.grade == Grade::Hole);
    line.holes = holes.map(|row| ((*row).clone(), standing::recoverable(row, plan, now))).collect();
    let bridges = rows.iter().filter(|row| row.grade != Grade::Hole && row.cause.as_deref() == Some(BRIDGE));
    line.bridges = bridges.map(|row| (*row).clone()).collect();
    let unsaid = window::missing(rows.iter().map(|row| (row.from, row.to)), from, to);
    if off.is_some() {
        line.unread_off = unsaid;
        return line;
    }
    let settling = plan.and_then(|plan| window::settling(plan, &works, now));
    line.grade = grade(&rows, &unsaid, settling);
    for backfill in &backfills {
        let end = backfill.to.unwrap_or(to);
        if unsaid.iter().any(|(a, b)| *a < end && backfill.from < *b) {
            line.unread.push(Unread { from: backfill.from, to: end, reading: Some(backfill.done()) });
        }
    }
    for (a, b) in unsaid {
        let read = backfills.iter().map(|backfill| (backfill.from, backfill.to.unwrap_or(to)));
        let left = window::missing(read, a, b).into_iter();
        line.unread.extend(left.map(|(from, to)| Unread { from, to, reading: None }));
    }
    line
}

/// How well a stream is proven in the asked time: as well as its weakest row. `settled` needs only what is old enough for it.
fn grade(
    rows: &[&Interval],
    unsaid: &[(DateTime<Utc>, DateTime<Utc>)],
    settling: Option<window::Settling>,
) -> &'static str {
    let read = rows.iter().filter(|row| row.grade != Grade::Hole);
    let Some(weakest) = read.map(|row| row.grade).min_by_key(|grade| rank(*grade)) else {
        return if rows.is_empty() { "not read yet" } else { "hole" };
    };
    match (weakest, settling) {
        (Grade::Chain, _) => "chain",
        (Grade::Received, _) => "received",
        (Grade::Bounded, _) => "bounded",
        (_, Some(settling)) if settling.behind => "settling behind",
        (Grade::Settled, _) if unsaid.is_empty() => "settled",
        (_, Some(settling)) => {
            let old = |from: DateTime<Utc>| from < settling.due;
            let unsettled = rows.iter().any(|row| row.grade == Grade::Fetched && old(row.from));
            let any = rows.iter().any(|row| row.grade == Grade::Settled);
            if any && !unsettled && !unsaid.iter().any(|(from, _)| old(*from)) {
                "settled"
            } else {
                "fetched"
            }
        }
        (_, None) => "fetched",
    }
}

impl Report {
    fn text(&self, name: &str, (from, to): Asked, now: DateTime<Utc>) -> Vec<String> {
        let ranges = || self.streams.iter().filter_map(|line| line.range);
        let (begins, ends) = (from.or(ranges().map(|r| r.0).min()), to.or(ranges().map(|r| r.1).max()));
        let Some((begins, ends)) = begins.zip(ends).filter(|(begins, ends)| begins < ends) else {
            let off = self.streams.iter().filter_map(|line| {
                Some(format!("{}/{}  off  declared: {}", line.source, line.stream, line.off.as_ref()?))
            });
            return std::iter::once(format!("{name}  nothing was read yet")).chain(off).collect();
        };
        let mut out = vec![format!("{name}  {}", range(begins, ends, now))];
        let head = ["source/stream", "grade", "fetched", "settled", "records", "late>1h", "holes"];
        let mut cells = vec![head.map(str::to_owned).to_vec()];
        cells.extend(self.streams.iter().map(Stream::cells));
        out.extend(table(&cells, &[4, 5]));
        for line in &self.streams {
            out.extend(line.missing(name, now));
            let Some((since, until)) = line.range else { continue };
            let what = format!("{}/{}", line.source, line.stream);
            if since > begins {
                out.push(format!("{what}  begins {}", moment(since, now)));
            }
            if until + TOGETHER < ends {
                out.push(format!("{what}  ends {}", moment(until, now)));
            }
        }
        if !self.sinks.is_empty() {
            out.push("holes of sinks: what was read and then given up".to_owned());
            out.extend(self.sinks.iter().map(|hole| super::status::hole_text(hole, name, now)));
        }
        out
    }

    /// Statements: the ledger's rows (with `id`), then of each stream a summary, what is unread, or why it is off.
    fn json(&self, (from, to): Asked) -> Value {
        let inside =
            |row: &&Interval| from.is_none_or(|from| from < row.to) && to.is_none_or(|to| row.from < to);
        let holes = || self.streams.iter().flat_map(|line| &line.holes);
        let recoverable = |id| holes().find(|(hole, _)| hole.id == id).and_then(|(_, still)| *still);
        let row = |row: &Interval| interval(row, recoverable(row.id));
        let mut out: Vec<Value> = self.ledger.iter().filter(inside).map(row).collect();
        out.extend(self.streams.iter().flat_map(Stream::json));
        out.extend(self.sinks.iter().map(|hole| json!({ "sink_hole": super::status::hole_json(hole) })));
        Value::Array(out)
    }
}

impl Recoverable {
    /// Such as `until 2026-09-09`, or which part until when.
    fn text(&self, hole: &Interval, now: DateTime<Utc>) -> String {
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
        let (whole, until) = (day(self.whole_until), day(self.until));
        if self.from > hole.from {
            format!("from {} on until {until} (what is before it is gone)", moment(self.from, now))
        } else if whole == until {
            format!("until {until}")
        } else {
            format!("until {whole}, its end until {until}")
        }
    }
}

/// `recoverable`: of a hole, what of it can still be read.
fn interval(row: &Interval, recoverable: Option<Recoverable>) -> Value {
    json!({
        "id": row.id, "source": row.source, "stream": row.stream, "from": row.from, "to": row.to,
        "grade": row.grade, "cause": row.cause, "repairable_until": row.repairable_until, "recoverable": recoverable,
        "count": row.count,
        "oldest": row.oldest, "newest": row.newest, "read_at": row.read_at,
    })
}

impl Stream {
    fn cells(&self) -> Vec<String> {
        let name = format!("{}/{}", self.source, self.stream);
        let declared = self.off.as_ref().map(|reason| format!("declared: {reason}"));
        let Some((from, to)) = self.range else {
            return [name, self.grade.to_owned()].into_iter().chain(declared).collect();
        };
        let whole = to - from;
        let settled = self.settled.map_or("–".to_owned(), |settled| percent(settled, whole));
        let (late, revised) =
            self.tally.map_or(("–".to_owned(), 0), |tally| (thousands(tally.late), tally.revised));
        let mut holes = thousands(self.holes.len() as u64);
        if revised > 0 {
            holes = format!("{holes} ({} revised)", thousands(revised));
        }
        if let Some(declared) = declared {
            holes = format!("{holes}  {declared}");
        }
        let records = thousands(self.records);
        vec![name, self.grade.to_owned(), percent(self.fetched, whole), settled, records, late, holes]
    }

    /// Holes with what can be done about them, and what is not read yet.
    fn missing(&self, tenant: &str, now: DateTime<Utc>) -> Vec<String> {
        let name = format!("{}/{}", self.source, self.stream);
        let mut out = Vec::new();
        for row in &self.bridges {
            let when = range(row.from, row.to, now);
            out.push(format!(
                "{name}  bridge: {when}, read again by time after the vendor refused the cursor"
            ));
        }
        for (hole, recoverable) in &self.holes {
            let cause = hole.cause.as_deref().unwrap_or("unknown");
            let number = format!("hole {}", hole.id);
            out.push(format!("{number}  {name}  {}  {cause}", range(hole.from, hole.to, now)));
            let indent = " ".repeat(number.chars().count() + 2);
            out.push(match recoverable {
                Some(recoverable) => format!(
                    "{indent}recoverable {}: tidegate backfill {tenant} --hole {}",
                    recoverable.text(hole, now),
                    hole.id
                ),
                None => format!("{indent}cannot be recovered: {}", standing::beyond_recovery(hole)),
            });
        }
        out.extend(self.unread_off.iter().map(|(from, to)| {
            let reason = self.off.as_deref().unwrap_or_default();
            format!("{name}  off: {}, declared: {reason}", range(*from, *to, now))
        }));
        out.extend(self.unread.iter().map(|unread| {
            let when = range(unread.from, unread.to, now);
            match unread.reading {
                Some(Some(done)) => format!("{name}  being read: {when}, {done} % done"),
                Some(None) => format!("{name}  being read: {when}"),
                None => format!("{name}  not read yet: {when}"),
            }
        }));
        out
    }

    fn json(&self) -> Vec<Value> {
        let mut out = Vec::new();
        if let Some((from, to)) = self.range {
            let whole = (to - from).num_milliseconds().max(1) as f64;
            let share = |part: TimeDelta| part.num_milliseconds() as f64 / whole;
            let (late, revised) = self.tally.map(|tally| (tally.late, tally.revised)).unzip();
            out.push(json!({
                "source": self.source, "stream": self.stream,
                "summary": {
                    "from": from, "to": to, "grade": self.grade, "fetched": share(self.fetched),
                    "settled": self.settled.map(share), "records": self.records, "late": late,
                    "revised": revised, "holes": self.holes.len(),
                },
            }));
        }
        out.extend(self.unread.iter().map(|unread| {
            json!({
                "source": self.source, "stream": self.stream,
                "unread": {
                    "from": unread.from, "to": unread.to, "being_read": unread.reading.is_some(),
                    "percent": unread.reading.flatten(),
                },
            })
        }));
        if let Some(reason) = &self.off {
            out.push(json!({ "source": self.source, "stream": self.stream, "off": reason }));
            out.extend(self.unread_off.iter().map(|(from, to)| {
                json!({
                    "source": self.source, "stream": self.stream, "off": reason,
                    "unread": { "from": from, "to": to, "being_read": false, "percent": null },
                })
            }));
        }
        out
    }
}
