//! What a run says at its end: a summary for people and machines, and an exit code that means something.

use super::standing::{covered_to, ledger};
use super::text::{moment, table, thousands};
use crate::pipeline::Tenant;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::journal::State;

/// Exit codes. Stable; the order is the precedence where several apply.
pub const PRECEDENCE: [u8; 8] = [70, 50, 20, 21, 40, 30, 12, 10];

/// What each code means, for help texts.
pub const EXIT_CODES: &str = "Exit codes:
  0   complete: what is due is read, and of each record every sink has the documents or keeps a dead letter; or another
      run holds the tenant and is alive (sign of life under 5 minutes old)
  10  partial: some source, sink or tenant failed, or something waits at a sink (a parked stream, dead letters that were
      to be sent again and did not go in); the others are complete
  12  time budget spent; progress is kept, the next run goes on
  20  configuration
  21  all credentials refused
  30  quota: the vendor's limit did not leave enough requests
  40  all sinks down
  50  journal (also: held by a run that no longer moves)
  70  internal";

/// A source or sink that did not complete.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Failed {
    /// `tenant/key`.
    pub source: String,
    /// The group of trouble, or `sink`.
    pub kind: String,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// When the vendor begins to forget what was not read.
    pub data_at_risk_from: Option<DateTime<Utc>>,
}

/// What became of one stream. A sum over streams would hide one that read nothing.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Read {
    /// `tenant/source/stream`.
    pub stream: String,
    /// Up to where it was read without a gap; none: nothing of it was ever read.
    pub read_to: Option<DateTime<Utc>>,
    /// Whether live reading has caught up.
    pub caught_up: bool,
    /// Pages that came.
    pub pages: u64,
    /// New records.
    pub fetched: u64,
    /// Records that were known.
    pub duplicates: u64,
}

impl Read {
    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        let to = match self.read_to {
            Some(to) => format!("read up to {}", moment(to, now)),
            None => "never read".to_owned(),
        };
        let more = match (self.pages, self.caught_up) {
            (0, _) => "  NOTHING CAME",
            (_, false) => "  not caught up",
            (_, true) => "",
        };
        vec![self.stream.clone(), to, thousands(self.fetched), format!("new records{more}")]
    }
}

/// How many tenants ended how.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Tenants {
    /// Complete.
    pub ok: u64,
    /// Something of theirs failed.
    pub failed: u64,
    /// Held by another run.
    pub skipped: u64,
}

/// What a run leaves behind.
#[derive(Debug, Default)]
pub struct Left {
    /// What the journal holds.
    pub journal: State,
    /// The records that the slowest sink still lacks, and the age of the oldest in seconds.
    pub backlog: (u64, u64),
    /// Dead letters that are to be sent again, of sinks that nobody runs.
    pub letters: BTreeMap<String, u64>,
}

/// The summary of a run. `sync --json` prints it as one object.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// A name for this run: when it began.
    pub run: String,
    /// `complete`, `partial`, `budget`, `failed`.
    pub result: String,
    /// The exit code.
    pub exit: u8,
    /// How long it took.
    pub seconds: f64,
    /// Tenants.
    pub tenants: Tenants,
    /// Every stream that was to be read.
    pub streams: Vec<Read>,
    /// New records.
    pub fetched: u64,
    /// Records that were known.
    pub duplicates: u64,
    /// Documents with a verdict of delivered, by sink.
    pub delivered: BTreeMap<String, u64>,
    /// Documents that became dead letters.
    pub dead: u64,
    /// Records that some sink still lacks.
    pub backlog: u64,
    /// Age of the oldest of them.
    pub oldest_undelivered_s: u64,
    /// What did not complete.
    pub failed: Vec<Failed>,
    #[serde(skip)]
    began: DateTime<Utc>,
    #[serde(skip)]
    codes: BTreeSet<u8>,
    #[serde(skip)]
    texts: Vec<String>,
    #[serde(skip)]
    credentials: (u64, u64),
    #[serde(skip)]
    sinks: (u64, u64),
}

impl Summary {
    /// An empty one.
    #[must_use]
    pub fn new(began: DateTime<Utc>) -> Self {
        Self { run: began.format("%Y%m%dT%H%M%S%.3fZ").to_string(), began, ..Self::default() }
    }

    /// Notes that this code applies.
    pub fn code(&mut self, code: u8) {
        self.codes.insert(code);
    }

    /// A text for people, printed before the summary's lines.
    pub fn say(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// What was said so far.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.texts
    }

    /// A tenant that another run holds.
    pub fn skipped(&mut self, tenant: &str, text: String, code: Option<u8>) {
        self.tenants.skipped += 1;
        self.say(format!("{tenant}  HELD  {text}"));
        self.codes.extend(code);
    }

    /// A tenant that could not start.
    pub fn refused(&mut self, tenant: &str, kind: &str, text: &str, code: u8) {
        self.tenants.failed += 1;
        self.say(format!("{tenant}  FAILED  {text}"));
        self.failed.push(Failed {
            source: tenant.to_owned(),
            kind: kind.to_owned(),
            message: text.to_owned(),
            since: None,
            data_at_risk_from: None,
        });
        self.code(code);
    }

    /// A tenant that ran. `retention` by source key: vendor's name and how long it keeps records; `complete`: it ended by
    /// itself, not by the budget.
    pub fn tenant(
        &mut self,
        tenant: &Tenant,
        retention: &BTreeMap<String, (&'static str, Duration)>,
        complete: bool,
        left: &Left,
    ) {
        let mut good = true;
        for (key, state) in tenant.board.sources() {
            self.fetched += state.fetched;
            self.duplicates += state.duplicates;
            self.streams.extend(state.streams.iter().map(|(stream, doing)| Read {
                stream: format!("{}/{key}/{stream}", tenant.name),
                read_to: covered_to(&ledger(&left.journal, &key, stream)),
                caught_up: doing.drained,
                pages: doing.polls,
                fetched: doing.fetched,
                duplicates: doing.duplicates,
            }));
            self.credentials.1 += 1;
            let quota = state.wait.as_ref().filter(|_| !state.drained);
            let Some((fault, since)) = state.fault.clone().or_else(|| {
                let (_, reason) = quota?;
                Some((
                    Fault::new(FaultKind::RateLimit, reason.clone()),
                    state.last_page.unwrap_or(self.began),
                ))
            }) else {
                continue;
            };
            good = false;
            if fault.kind == FaultKind::Credential {
                self.credentials.0 += 1;
            }
            if matches!(fault.kind, FaultKind::RateLimit | FaultKind::Concurrency) {
                self.code(30);
            }
            let (title, keeps) = retention.get(&key).copied().unwrap_or(("the vendor", Duration::ZERO));
            let unread = state.covered_to.unwrap_or(since);
            let risk = TimeDelta::from_std(keeps).ok().and_then(|keeps| unread.checked_add_signed(keeps));
            let remedy = tenant.sources.get(&key).map(|source| source.remedy()).unwrap_or_default();
            let known = Known { title, keeps, covered: state.covered_to, risk, remedy: &remedy };
            self.say(explain(&tenant.name, &key, &fault, known));
            self.failed.push(Failed {
                source: format!("{}/{key}", tenant.name),
                kind: kind_name(fault.kind),
                message: fault.to_string(),
                since: Some(since),
                data_at_risk_from: risk,
            });
        }
        for (key, state) in tenant.board.sinks() {
            *self.delivered.entry(key.clone()).or_default() += state.delivered + state.duplicates;
            self.dead += state.dead;
            self.sinks.1 += 1;
            if let Some((fault, since)) = &state.fault {
                good = false;
                if !state.drained {
                    self.sinks.0 += 1;
                }
                self.undelivered(&format!("{}/{key}", tenant.name), "", fault, *since);
            }
            // The rest of the sink is well.
            if let Some((fault, since)) = &state.letters {
                good = false;
                let only = "dead letters that are to be sent again: ";
                self.undelivered(&format!("{}/{key}", tenant.name), only, fault, *since);
            }
            if state.refused_again > 0 {
                good = false;
                let letters = super::text::dead_letters(state.refused_again);
                self.waits(
                    &format!("{}/{key}", tenant.name),
                    &format!("{letters}, sent again, refused once more"),
                );
            }
            for (stream, (fault, since)) in &state.parked {
                good = false;
                let only = format!("{stream} only: ");
                self.undelivered(&format!("{}/{key}", tenant.name), &only, fault, *since);
            }
        }
        for (sink, count) in &left.letters {
            good = false;
            let letters = super::text::dead_letters(*count);
            let text = format!("{letters} to be sent again, and the sink is not in the configuration");
            self.waits(&format!("{}/{sink}", tenant.name), &text);
        }
        self.backlog += left.backlog.0;
        self.oldest_undelivered_s = self.oldest_undelivered_s.max(left.backlog.1);
        if let Some(error) = &tenant.failed {
            good = false;
            self.code(50);
            self.say(format!("{}  JOURNAL  {error}", tenant.name));
        }
        if !complete {
            self.code(12);
        }
        if good && complete {
            self.tenants.ok += 1;
        } else {
            self.tenants.failed += 1;
        }
    }

    /// What is known of a sink's dead letters, and what to do.
    fn waits(&mut self, sink: &str, message: &str) {
        let tenant = sink.split('/').next().unwrap_or_default();
        self.say(format!("{sink}  NOT DELIVERED  {message}\n  Fix: tidegate dead-letters list {tenant}"));
        self.failed.push(Failed {
            source: sink.to_owned(),
            kind: "sink".to_owned(),
            message: message.to_owned(),
            since: None,
            data_at_risk_from: None,
        });
    }

    /// What a sink did not take.
    fn undelivered(&mut self, sink: &str, only: &str, fault: &Fault, since: DateTime<Utc>) {
        let mut text = format!(
            "{sink}  NOT DELIVERED  {only}{fault}\n  Nothing is lost: the journal keeps it and the next run goes on."
        );
        for line in remedy(fault.remedy.as_deref().unwrap_or_default()) {
            let _ = write!(text, "\n{line}");
        }
        self.say(text);
        self.failed.push(Failed {
            source: sink.to_owned(),
            kind: "sink".to_owned(),
            message: format!("{only}{fault}"),
            since: Some(since),
            data_at_risk_from: None,
        });
    }

    /// Closes the books. `fail_on`: codes that are not listed become 0.
    pub fn finish(&mut self, seconds: f64, fail_on: Option<&[u8]>) -> u8 {
        if !self.failed.is_empty() {
            self.code(10);
        }
        if self.credentials.1 > 0 && self.credentials.0 == self.credentials.1 {
            self.code(21);
        }
        if self.sinks.1 > 0 && self.sinks.0 == self.sinks.1 {
            self.code(40);
        }
        self.streams.sort_by(|a, b| a.stream.cmp(&b.stream));
        self.seconds = (seconds * 1000.0).round() / 1000.0;
        let code = PRECEDENCE.into_iter().find(|code| self.codes.contains(code)).unwrap_or(0);
        self.result = match code {
            0 => "complete",
            10 => "partial",
            12 => "budget",
            _ => "failed",
        }
        .to_owned();
        self.exit = match fail_on {
            Some(listed) if !listed.contains(&code) => 0,
            _ => code,
        };
        self.exit
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for text in &self.texts {
            let _ = writeln!(out, "{text}");
        }
        let cells: Vec<Vec<String>> = self.streams.iter().map(|read| read.cells(self.began)).collect();
        for line in table(&cells, &[2]) {
            let _ = writeln!(out, "{line}");
        }
        let delivered: Vec<String> =
            self.delivered.iter().map(|(sink, n)| format!("{} to {sink}", thousands(*n))).collect();
        let delivered =
            if delivered.is_empty() { "nothing to deliver to".to_owned() } else { delivered.join(" · ") };
        let _ = write!(out, "{}: {} new records", self.result, thousands(self.fetched));
        if self.duplicates > 0 {
            let _ = write!(out, " ({} known already)", thousands(self.duplicates));
        }
        let _ = write!(out, " · {delivered}");
        if self.dead > 0 {
            let _ = write!(out, " · {} (tidegate dead-letters list)", super::text::dead_letters(self.dead));
        }
        if self.backlog > 0 {
            let _ = write!(
                out,
                " · {} still to deliver, oldest {} s old",
                thousands(self.backlog),
                self.oldest_undelivered_s
            );
        }
        let _ = write!(out, " · {:.1} s", self.seconds);
        if self.exit != 0 {
            let _ = write!(out, " · exit {}", self.exit);
        }
        out
    }
}

/// A group of trouble as metrics and summaries name it.
#[must_use]
pub fn kind_name(kind: FaultKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What is known of a failed source beside its fault.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The vendor's name.
    pub title: &'a str,
    /// How long it keeps records.
    pub keeps: Duration,
    /// How far the ledger reaches.
    pub covered: Option<DateTime<Utc>>,
    /// When the vendor begins to forget what was not read.
    pub risk: Option<DateTime<Utc>>,
    /// What a person does, where the fault does not say; its last line is the remedy, lines before it are the cause.
    pub remedy: &'a str,
}

/// A failed source in the house's style: what, since when, what is lost and from when, the remedy.
#[must_use]
pub fn explain(tenant: &str, source: &str, fault: &Fault, known: Known<'_>) -> String {
    let word = match fault.kind {
        FaultKind::Credential => "REFUSED",
        FaultKind::Permission | FaultKind::Licence => "NOT ALLOWED",
        FaultKind::RateLimit | FaultKind::Concurrency => "WAITING",
        _ => "FAILING",
    };
    let mut text = format!("{tenant}/{source}  {word}  ");
    match (fault.status, &fault.code, &fault.request_id) {
        (Some(status), Some(code), Some(id)) if fault.kind == FaultKind::Credential => {
            let _ = write!(text, "{status} {code} (request {id})");
        }
        _ => {
            let _ = write!(text, "{fault}");
        }
    }
    let about_rights =
        matches!(fault.kind, FaultKind::Credential | FaultKind::Permission | FaultKind::Licence);
    let remedy = fault.remedy.as_deref().or(about_rights.then_some(known.remedy)).unwrap_or_default();
    let mut lines: Vec<String> = self::remedy(remedy).collect();
    let fix = lines.pop();
    for line in lines {
        let _ = write!(text, "\n{line}");
        if let (Some(covered), FaultKind::Credential) = (known.covered, fault.kind) {
            let _ = write!(text, "; last accepted {}", covered.format("%Y-%m-%d %H:%MZ"));
        }
    }
    if let Some(risk) = known.risk {
        let days = known.keeps.as_secs() / 86_400;
        let _ = write!(
            text,
            "\n  Nothing lost yet: {} keeps {days} days. From {} events start to go.",
            known.title,
            risk.format("%Y-%m-%d")
        );
    }
    if let Some(fix) = fix {
        let _ = write!(text, "\n{fix}");
    }
    text
}

/// A remedy as it is printed: lines before its last one are the cause.
pub fn remedy(text: &str) -> impl Iterator<Item = String> {
    let last = text.lines().count().saturating_sub(1);
    text.lines().enumerate().map(move |(at, line)| match at == last {
        true => format!("  Fix: {}", line.strip_prefix("Fix: ").unwrap_or(line)),
        false => format!("  {line}"),
    })
}
