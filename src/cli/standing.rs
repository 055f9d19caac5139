//! How each stream is doing, as the journal alone tells it: pure. A running process keeps its journal up to date, so the
//! same is true beside it.

use super::text::{moment, span};
use crate::config::{SourceConfig, Tenant};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_core::collect::{StreamPlan, feed, window};
use tidegate_core::journal::{Grade, Interval, Lane, State, Work};
use tidegate_core::source::StreamKind;

/// Nothing new for so long is worth a word; the collector begins to ask less often then. Two polls must have brought
/// nothing, at least.
const QUIET: TimeDelta = TimeDelta::minutes(30);
/// A silent stream is asked at least this often, unless its `poll` is longer.
const SLOWEST: Duration = Duration::from_secs(600);
/// A page is asked for, read and written within this part of the time between two polls, a minute at least: what is later
/// is behind.
const SLACK: u32 = 10;
/// The causes of holes that only a person can end.
const HALTED: [&str; 3] = ["credential", "permission", "licence"];

/// What the rows of both kinds of streams remember alike.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Memo {
    heard: Option<DateTime<Utc>>,
    failing: Option<DateTime<Utc>>,
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn memo<M: Default + for<'de> Deserialize<'de>>(work: &Work) -> M {
    serde_json::from_str(&work.memo).unwrap_or_default()
}

/// Older history that is being read: one chain, or all the parts of a range.
#[derive(Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Where the unread begins.
    pub from: DateTime<Utc>,
    /// Where it ends; `None`: where the live chain will have begun.
    pub to: Option<DateTime<Utc>>,
    /// How much time is unread.
    pub rest: TimeDelta,
    whole: TimeDelta,
    began: Option<DateTime<Utc>>,
    family: String,
}

impl Backfill {
    /// How much of it is read, in percent; `None` as long as nobody knows where it ends.
    #[must_use]
    pub fn done(&self) -> Option<i64> {
        let whole = self.whole.num_milliseconds();
        (whole > 0).then(|| ((whole - self.rest.num_milliseconds()) * 100 / whole).clamp(0, 100))
    }

    /// How long the rest will take, if it goes on as it went so far.
    #[must_use]
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        estimate(now - self.began?, self.whole - self.rest, self.rest)
    }

    /// Such as `backfill 37 %, about 2 h left`.
    fn text(&self, now: DateTime<Utc>) -> String {
        let done = self.done().map_or_else(String::new, |done| format!(" {done} %"));
        let left = self.left(now).map_or_else(String::new, |left| format!(", about {} left", span(left)));
        format!("backfill{done}{left}")
    }
}

/// How long `rest` will take, when `done` took so long; nothing is said of what has hardly begun.
#[must_use]
pub fn estimate(took: TimeDelta, done: TimeDelta, rest: TimeDelta) -> Option<TimeDelta> {
    let (took, done, rest) = (took.num_seconds(), done.num_seconds(), rest.num_seconds());
    let left = i128::from(took) * i128::from(rest) / i128::from(Some(done).filter(|done| *done > 0)?);
    (took > 0).then(|| i64::try_from(left).ok().and_then(TimeDelta::try_seconds)).flatten()
}

/// The rows of a stream.
#[must_use]
pub fn works<'s>(state: &'s State, source: &str, stream: &str) -> Vec<&'s Work> {
    state.works.iter().filter(|work| work.source == source && work.stream == stream).collect()
}

/// What the ledger says of a stream, by time.
#[must_use]
pub fn ledger<'s>(state: &'s State, source: &str, stream: &str) -> Vec<&'s Interval> {
    state.coverage.iter().filter(|row| row.source == source && row.stream == stream).collect()
}

/// The backfills among a stream's rows.
#[must_use]
pub fn backfills(works: &[&Work]) -> Vec<Backfill> {
    let mut out: Vec<Backfill> = Vec::new();
    for work in works.iter().filter(|work| work.lane == Lane::Backfill) {
        let part = part(work);
        match out.iter_mut().find(|known| known.family == part.family) {
            Some(known) => {
                known.from = known.from.min(part.from);
                known.to = known.to.max(part.to);
                known.rest += part.rest;
                known.whole = known.whole.max(part.whole);
                known.began = [known.began, part.began].into_iter().flatten().min();
            }
            None => out.push(part),
        }
    }
    out.sort_by_key(|backfill| backfill.from);
    out
}

fn part(work: &Work) -> Backfill {
    let windows: window::Memo = memo(work);
    if !windows.family.is_empty() {
        let rest = work.to.map_or(TimeDelta::zero(), |to| (to - work.from).max(TimeDelta::zero()));
        let whole = TimeDelta::try_milliseconds(windows.whole).unwrap_or_default();
        let (began, family) = (windows.began, windows.family);
        return Backfill { from: work.from, to: work.to, rest, whole, began, family };
    }
    let chain: feed::Memo = memo(work);
    let reached = chain.newest.map_or(work.from, |newest| newest.max(work.from));
    let until =
        |from: DateTime<Utc>| work.to.map_or(TimeDelta::zero(), |to| (to - from).max(TimeDelta::zero()));
    Backfill {
        from: reached,
        to: work.to,
        rest: until(reached),
        whole: until(work.from),
        began: chain.first,
        family: work.name.clone(),
    }
}

/// Up to where a stream is settled; see [`covered_to`].
#[must_use]
pub fn settled_to(ledger: &[&Interval]) -> Option<DateTime<Utc>> {
    unbroken(ledger, |grade| grade == Grade::Settled)
}

/// Up to where a stream was read without a gap, from the oldest time that was read at all: a hole behind it, or a time of
/// which the ledger says nothing yet, ends what can be relied on.
#[must_use]
pub fn covered_to(ledger: &[&Interval]) -> Option<DateTime<Utc>> {
    unbroken(ledger, |grade| grade != Grade::Hole)
}

/// The end of the first rows in a row that are good enough. `ledger`: by time.
fn unbroken(ledger: &[&Interval], good: impl Fn(Grade) -> bool) -> Option<DateTime<Utc>> {
    let read = ledger.iter().skip_while(|row| row.grade == Grade::Hole);
    let mut end = None;
    for row in read {
        if !good(row.grade) || end.is_some_and(|end| end < row.from) {
            break;
        }
        end = Some(row.to);
    }
    end
}

/// What of a hole can still be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recoverable {
    /// Where it begins: behind the hole's beginning where the vendor has forgotten that already.
    pub from: DateTime<Utc>,
    /// When the vendor begins to forget it.
    pub whole_until: DateTime<Utc>,
    /// When the vendor has forgotten all of it.
    pub until: DateTime<Utc>,
}

/// What of a hole can still be read, if anything. `plan`: the stream as it is configured; without it the ledger's word of
/// the hole's beginning must do.
#[must_use]
pub fn recoverable(hole: &Interval, plan: Option<&StreamPlan>, now: DateTime<Utc>) -> Option<Recoverable> {
    let told = hole.repairable_until? - hole.from;
    let (retention, kept) = match plan {
        Some(plan) => (delta(plan.retention), window::kept(plan, now)),
        None => (told, now.checked_sub_signed(told)?),
    };
    let from = hole.from.max(kept);
    let gone = |at: DateTime<Utc>| at.checked_add_signed(retention).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (from < hole.to).then(|| Recoverable { from, whole_until: gone(from), until: gone(hole.to) })
}

/// Why nothing of a hole can be read any more.
#[must_use]
pub fn beyond_recovery(hole: &Interval) -> &'static str {
    match hole.cause.as_deref() {
        Some("burst") => {
            "one moment held more records than the vendor shows of it, and it has no way to go on"
        }
        _ => "the vendor does not show that time any more",
    }
}

/// What keeps a stream from being read.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Since when.
    pub since: DateTime<Utc>,
    /// What happened.
    pub fault: String,
    /// What a person can do, where we know; may have several lines.
    pub remedy: Option<String>,
    /// When it is tried again.
    pub next: Option<DateTime<Utc>>,
}

/// What live reading does.
#[derive(Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is declared off, with this reason.
    Off(String),
    /// The journal has it, the configuration does not.
    Gone,
    /// It has never been read.
    NotBegun,
    /// It cannot be read.
    Broken(Broken),
    /// It is behind, because the vendor's limit makes us wait.
    Waiting(String),
    /// It is behind.
    Behind(TimeDelta),
    /// Pages come and bring nothing; since when.
    Quiet(DateTime<Utc>),
    /// It has everything that there is.
    CaughtUp,
}

/// One stream of a tenant.
#[derive(Debug)]
pub struct Standing {
    /// The source's key.
    pub source: String,
    /// The stream; `*` where a whole source is off.
    pub stream: String,
    /// What live reading does.
    pub doing: Doing,
    /// What keeps a sweep or a backfill of it from going on, while live reading does well or suffers from something else.
    pub beside: Vec<(Lane, Broken)>,
    /// Up to where it was read without a gap.
    pub covered_to: Option<DateTime<Utc>>,
    /// It was read further than that.
    pub gap: bool,
    /// Up to where it is settled without a gap.
    pub settled_to: Option<DateTime<Utc>>,
    /// A range is being read again.
    pub sweeping: bool,
    /// The last horizon does not keep up.
    pub settling_behind: bool,
    /// Older history that is being read.
    pub backfills: Vec<Backfill>,
}

/// All streams of a tenant that are configured or that the journal is reading.
#[must_use]
pub fn standings(tenant: &Tenant, state: &State, now: DateTime<Utc>) -> Vec<Standing> {
    let mut out: Vec<Standing> = Vec::new();
    for (key, source) in &tenant.sources {
        if let Some(reason) = &source.off {
            out.push(standing(state, key, "*", Doing::Off(reason.clone()), None, now));
            continue;
        }
        for plan in &source.streams {
            let waiting = quota_wait(state, key, Some(source), plan.stream.name, now);
            let doing = doing(key, plan, state, waiting.as_deref(), now);
            let mut line = standing(state, key, plan.stream.name, doing, Some(plan), now);
            line.beside = beside(&line.doing, &works(state, key, plan.stream.name), now);
            out.push(line);
        }
        for (stream, reason) in &source.off_streams {
            out.push(standing(state, key, stream, Doing::Off(reason.clone()), None, now));
        }
    }
    for work in &state.works {
        let known = |line: &Standing| {
            line.source == work.source && (line.stream == work.stream || line.stream == "*")
        };
        if !out.iter().any(known) {
            out.push(standing(state, &work.source, &work.stream, Doing::Gone, None, now));
        }
    }
    out
}

fn standing(
    state: &State,
    source: &str,
    stream: &str,
    doing: Doing,
    plan: Option<&StreamPlan>,
    now: DateTime<Utc>,
) -> Standing {
    let (works, ledger) = (works(state, source, stream), ledger(state, source, stream));
    let settling = plan.and_then(|plan| window::settling(plan, &works, now));
    let in_hand = |work: &&&Work| work.lane == Lane::Sweep && memo::<window::Memo>(work).window.is_some();
    Standing {
        source: source.to_owned(),
        stream: stream.to_owned(),
        beside: Vec::new(),
        covered_to: covered_to(&ledger),
        gap: ledger.iter().rfind(|row| row.grade != Grade::Hole).map(|row| row.to) > covered_to(&ledger),
        settled_to: settled_to(&ledger),
        sweeping: works.iter().any(|work| in_hand(&work)),
        settling_behind: settling.is_some_and(|settling| settling.behind),
        // What nobody runs is not going on.
        backfills: if plan.is_some() { backfills(&works) } else { Vec::new() },
        doing,
    }
}

/// Up to where live reading has come; `None`: it has never caught up.
#[must_use]
pub fn frontier(plan: &StreamPlan, live: &Work) -> Option<DateTime<Utc>> {
    match plan.stream.kind {
        StreamKind::Windowed { .. } => Some(live.from),
        StreamKind::Feed => memo::<feed::Memo>(live).drained,
    }
}

/// `waiting`: what the vendor's limit makes the stream wait for.
fn doing(key: &str, plan: &StreamPlan, state: &State, waiting: Option<&str>, now: DateTime<Utc>) -> Doing {
    let works = works(state, key, plan.stream.name);
    let Some(live) = works.iter().find(|work| work.lane == Lane::Live) else { return Doing::NotBegun };
    let ledger = ledger(state, key, plan.stream.name);
    let halted = ledger.last().filter(|row| {
        row.grade == Grade::Hole && row.cause.as_deref().is_some_and(|why| HALTED.contains(&why))
    });
    if let Some(hole) = halted {
        // A refused credential concerns all streams of a source, and one of them says how it was refused.
        let mut told = works.iter().copied().chain(state.works.iter().filter(|work| work.source == key));
        let told = told.find(|work| work.reason.is_some()).unwrap_or(live);
        return Doing::Broken(broken(told, hole.from, hole.cause.as_deref().unwrap_or_default()));
    }
    let reached = frontier(plan, live);
    let asked = plan.poll.max(SLOWEST);
    let usual = delta(plan.visible_after.saturating_add(asked).saturating_add(asked / SLACK));
    let behind = now - reached.unwrap_or(live.from);
    let late = reached.is_none() || behind > usual;
    if let Some(waiting) = waiting
        && (late || live.reason.is_some())
    {
        return Doing::Waiting(waiting.to_owned());
    }
    let Memo { heard, failing } = memo(live);
    match (live.reason.is_some(), heard) {
        (true, _) => Doing::Broken(broken(live, failing.unwrap_or(now), "")),
        (false, _) if late => Doing::Behind(behind),
        (false, Some(heard)) if now - heard > QUIET.max(delta(plan.poll.saturating_mul(2))) => {
            Doing::Quiet(heard)
        }
        (false, _) => Doing::CaughtUp,
    }
}

/// What rows beside the live one suffer from, each trouble once, as long as it is not what the stream's own line says.
fn beside(doing: &Doing, works: &[&Work], now: DateTime<Utc>) -> Vec<(Lane, Broken)> {
    let live = works.iter().find(|work| work.lane == Lane::Live && work.reason.is_some());
    let said = match doing {
        Doing::Broken(broken) => Some(broken.fault.clone()),
        _ => live.map(|live| broken(live, now, "").fault),
    };
    let mut out: Vec<(Lane, Broken)> = Vec::new();
    for work in works.iter().filter(|work| work.lane != Lane::Live && work.reason.is_some()) {
        let trouble = broken(work, memo::<Memo>(work).failing.unwrap_or(now), "");
        match out.iter_mut().find(|(lane, known)| *lane == work.lane && known.fault == trouble.fault) {
            Some((_, known)) => known.since = known.since.min(trouble.since),
            None if said.as_ref() == Some(&trouble.fault) => {}
            None => out.push((work.lane, trouble)),
        }
    }
    out
}

fn broken(work: &Work, since: DateTime<Utc>, cause: &str) -> Broken {
    let reason = work.reason.as_deref().unwrap_or_default();
    let (fault, remedy) =
        reason.split_once('\n').map_or((reason, None), |(fault, remedy)| (fault, Some(remedy)));
    Broken {
        since,
        fault: if fault.is_empty() { cause } else { fault }.to_owned(),
        remedy: remedy.map(str::to_owned),
        next: work.wait_until,
    }
}

/// Such as `waiting 41 s: 60/60 used, 12 ours`, while one of the vendor's limits that the stream spends from makes it wait.
/// `configured`: its source, where there still is one.
#[must_use]
pub fn quota_wait(
    state: &State,
    source: &str,
    configured: Option<&SourceConfig>,
    stream: &str,
    now: DateTime<Utc>,
) -> Option<String> {
    let row = state.quotas.iter().find(|row| row.source == source)?;
    let buckets = configured.and_then(|source| source.connector.buckets(&source.table).ok());
    let Some(buckets) = buckets else { return tidegate_core::quota::reason(&row.state, now) };
    let others = |name: &str| buckets.iter().any(|bucket| bucket.name == name && !(bucket.streams)(stream));
    let mut limits: serde_json::Map<String, Value> = serde_json::from_str(&row.state).ok()?;
    limits.retain(|name, _| !others(name));
    tidegate_core::quota::reason(&Value::Object(limits).to_string(), now)
}

impl Broken {
    /// Such as `05-31 20:00Z: the server failed (503); next try in 12 min`.
    fn text(&self, now: DateTime<Utc>) -> String {
        let next = self.next.filter(|next| *next > now);
        let next = next.map_or_else(String::new, |next| format!("; next try in {}", span(next - now)));
        format!("{}: {}{next}", moment(self.since, now), self.fault)
    }

    fn json(&self) -> Value {
        let Self { since, fault, remedy, next } = self;
        json!({ "since": since, "fault": fault, "remedy": remedy, "next_try": next })
    }
}

impl Standing {
    /// The stream's line, and what a person can do about it.
    #[must_use]
    pub fn text(&self, now: DateTime<Utc>) -> (String, Option<&str>) {
        let mut remedy = None;
        let mut line = match &self.doing {
            Doing::Off(reason) => format!("off: {reason}"),
            Doing::Gone => "not in the configuration: nobody reads it".to_owned(),
            Doing::NotBegun => "not read yet".to_owned(),
            Doing::Waiting(why) => why.clone(),
            Doing::Behind(by) => format!("behind by {}", span(*by)),
            Doing::Quiet(since) => format!(
                "quiet since {} ({}): pages come, no records",
                moment(*since, now),
                span(now - *since)
            ),
            Doing::CaughtUp => match self.covered_to {
                Some(to) if self.gap => format!("caught up, complete up to {} only", moment(to, now)),
                Some(to) => format!("caught up, complete up to {} ago", span(now - to)),
                None => "caught up".to_owned(),
            },
            Doing::Broken(broken) => {
                remedy = broken.remedy.as_deref();
                format!("BROKEN since {}", broken.text(now))
            }
        };
        for (lane, broken) in &self.beside {
            remedy = remedy.or(broken.remedy.as_deref());
            let what = if *lane == Lane::Sweep { "a sweep" } else { "a backfill" };
            line.push_str(&format!(" · {what} fails since {}", broken.text(now)));
        }
        if self.sweeping {
            line.push_str(" · sweeping");
        }
        if self.settling_behind {
            line.push_str(" · settling behind");
        }
        for backfill in &self.backfills {
            line.push_str(" · ");
            line.push_str(&backfill.text(now));
        }
        (line, remedy)
    }

    /// The same for machines.
    #[must_use]
    pub fn json(&self, now: DateTime<Utc>) -> Value {
        let word = match &self.doing {
            Doing::Off(_) => "off",
            Doing::Gone => "gone",
            Doing::NotBegun => "not_begun",
            Doing::Broken(_) => "broken",
            Doing::Waiting(_) => "waiting",
            Doing::Behind(_) => "behind",
            Doing::Quiet(_) => "quiet",
            Doing::CaughtUp => "caught_up",
        };
        let backfills: Vec<Value> = self
            .backfills
            .iter()
            .map(|b| {
                json!({
                    "from": b.from, "to": b.to, "percent": b.done(), "remaining_s": b.rest.num_seconds(),
                    "left_s": b.left(now).map(|left| left.num_seconds()),
                })
            })
            .collect();
        let beside = self.beside.iter().map(|(lane, broken)| joined(json!({ "lane": lane }), broken.json()));
        let object = json!({
            "source": self.source, "stream": self.stream, "doing": word, "covered_to": self.covered_to,
            "settled_to": self.settled_to, "sweeping": self.sweeping, "settling_behind": self.settling_behind,
            "backfills": backfills, "beside": beside.collect::<Vec<_>>(),
        });
        let more = match &self.doing {
            Doing::Off(reason) => json!({ "off": reason }),
            Doing::Broken(broken) => broken.json(),
            Doing::Waiting(why) => json!({ "waiting": why }),
            Doing::Behind(by) => json!({ "behind_s": by.num_seconds() }),
            Doing::Quiet(since) => json!({ "since": since }),
            Doing::Gone | Doing::NotBegun | Doing::CaughtUp => json!({}),
        };
        joined(object, more)
    }
}

/// An object with the members of another one.
fn joined(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
