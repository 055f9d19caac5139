//! `tidegate check`: is the configuration right (offline), and do credentials, scopes and addresses work (`--online`)?

use super::probe::{self, Outcome, Probed, Spent};
use super::report::PRECEDENCE;
use super::text::{span, thousands};
use crate::config::{Config, SourceConfig};
use crate::world::{OpenSource, World, journal_dir};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tidegate_core::collect::window::{self, LAST_HORIZON};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::journal::Reader;
use tidegate_core::source::Findings;

/// A credential that expires sooner is worth a warning.
const EXPIRES: TimeDelta = TimeDelta::days(30);

/// Checks the configuration; with --online also credentials, scopes, clocks and destinations.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is right; 10 something failed that may pass; 20 configuration; 21 a vendor refused \
                        a credential or a permission; 30 the vendor's limit is used up; 40 a destination cannot be \
                        written to, or refused ours"
)]
pub struct Args {
    /// Asks vendors and destinations; nothing is moved or written
    #[arg(long)]
    pub online: bool,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::said(lines(world, config, args).await)
}

/// The exit code, and what goes to standard output.
pub async fn lines(world: &World, config: &Config, args: &Args) -> (u8, Vec<String>) {
    let now = world.clock.now();
    let mut said = Said { codes: BTreeSet::new(), lines: Vec::new(), objects: Vec::new() };
    for (name, tenant) in &config.tenants {
        let opened =
            world.sources(config, name).and_then(|sources| Ok((world.sinks(config, name)?, sources)));
        let (sinks, sources) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                super::complain(&format!("{name}: {error}"));
                said.refused(name, &error.to_string());
                continue;
            }
        };
        for source in &sources {
            let key = &source.key;
            let mut found = Found::default();
            if args.online {
                known_quota(config, name, source, now);
                found = online(source).await;
            }
            if let Some(configured) = tenant.sources.get(key) {
                found.warnings.extend(warnings(configured));
            }
            let streams: Vec<&str> = source.streams.iter().map(|plan| plan.stream.name).collect();
            let what = format!(
                "{} of {}: {}",
                source.connector.title(),
                source.fingerprint.organisation,
                streams.join(", ")
            );
            said.say(name, key, &what, &found, of_source);
        }
        for sink in &sinks {
            let what = format!("{} sink, schema {}", sink.kind, sink.schema);
            if let Err(error) = sink.sink.readable() {
                // Who cannot read them need not try to connect.
                let error = config.sink_error(name, &sink.key, &error).to_string();
                let mut found = Found::default();
                found.findings.faults.push(Fault::new(FaultKind::Configuration, error));
                said.say(name, &sink.key, &what, &found, |_| 20);
                continue;
            }
            let findings = if args.online { sink.sink.check().await } else { Findings::default() };
            said.say(name, &sink.key, &what, &Found { findings, ..Found::default() }, |_| 40);
        }
        for (key, source) in &tenant.sources {
            if let Some(reason) = &source.off {
                said.off(name, key, reason);
            }
            for (stream, reason) in &source.off_streams {
                said.off(name, &format!("{key}/{stream}"), reason);
            }
        }
    }
    let code = PRECEDENCE.into_iter().find(|code| said.codes.contains(code)).unwrap_or(0);
    let mut lines = said.lines;
    if args.json {
        lines = vec![object(code, &said.objects)];
    } else if code == 0 && !args.online {
        lines.push(
            "The configuration is right. `tidegate check --online` tries credentials and destinations."
                .to_owned(),
        );
    }
    (code, lines)
}

/// The one object of `--json`.
fn object(code: u8, checked: &[Value]) -> String {
    json!({ "ok": code == 0, "exit": code, "checked": checked }).to_string()
}

/// What `--json` prints of a configuration that does not load: what is wrong stands in the file, so that it has no tenant's
/// name.
pub fn unloaded(path: &Path, errors: &str) -> String {
    let faults: Vec<&str> = errors.lines().collect();
    object(20, &[wrong(&path.display().to_string(), &faults)])
}

fn wrong(name: &str, faults: &[&str]) -> Value {
    json!({ "name": name, "what": "configuration", "ok": false, "faults": faults })
}

/// What a run before, or beside us, has learned of the vendor's limit.
fn known_quota(config: &Config, tenant: &str, source: &OpenSource, now: DateTime<Utc>) {
    let state = Reader::open(journal_dir(config, tenant)).and_then(|mut reader| reader.load());
    let quotas = state.map(|state| state.quotas).unwrap_or_default();
    if let Some(row) = quotas.iter().find(|row| row.source == source.key) {
        source.http.buckets().restore(&row.state, now);
    }
}

/// What was found out about a source or a sink.
#[derive(Default)]
struct Found {
    findings: Findings,
    probed: Probed,
    /// What is no trouble yet.
    warnings: Vec<String>,
}

async fn online(source: &OpenSource) -> Found {
    let mut findings = source.api.check().await;
    let rights = |fault: &&mut Fault| fault.kind == FaultKind::Credential;
    for fault in findings.faults.iter_mut().filter(rights) {
        fault.remedy.get_or_insert_with(|| source.api.remedy());
    }
    let now = source.http.their_now();
    let refused = findings.faults.iter().any(|fault| fault.kind == FaultKind::Credential);
    let mut warnings = Vec::new();
    if let Some(expires) = findings.expires {
        let (day, left) = (expires.format("%Y-%m-%d"), span((expires - now).max(TimeDelta::zero())));
        if expires < now + EXPIRES {
            warnings.push(format!("the credential expires on {day} (in {left}): replace it before then"));
        } else {
            findings.lines.push(format!("the credential is valid until {day}"));
        }
    }
    let probed = probe::probe(source, refused).await;
    for Spent { name, expected, allowed, .. } in
        probed.spent.iter().filter(|spent| spent.expected > spent.allowed)
    {
        warnings.push(format!(
            "{name}: about {} requests a day are needed, our share allows {}: raise `quota` or `poll`, or declare a \
             stream off",
            thousands(*expected),
            thousands(*allowed)
        ));
    }
    if let Some(skew) = probed.skew {
        let (line, fault) = probe::clock(skew, source.connector.title());
        findings.lines.push(line);
        findings.faults.extend(fault);
    }
    Found { findings, probed, warnings }
}

/// What may be meant, and has consequences.
fn warnings(source: &SourceConfig) -> Vec<String> {
    let days = |duration: Duration| span(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX));
    let mut out = Vec::new();
    for plan in &source.streams {
        let name = plan.stream.name;
        // Findings double the last horizon until the very last one, which is swept in batches; what the vendor has forgotten
        // by then, nobody reads again.
        let latest = LAST_HORIZON + window::batch(LAST_HORIZON);
        let needed = latest.to_std().unwrap_or_default().min(plan.retention);
        if plan.settle.is_empty() {
            continue;
        }
        if let Some(after) = source.forget_after.filter(|after| *after < needed) {
            out.push(format!(
                "{name}: ids are forgotten after {}, but sweeps may read a record again until {} after it: it would be \
                 delivered again (`forget_after`)",
                days(after),
                days(needed)
            ));
        }
        for horizon in plan.settle.iter().filter(|horizon| **horizon > plan.retention) {
            out.push(format!(
                "{name}: the horizon {} is longer than the vendor keeps records ({}): nothing is settled (`settle`)",
                days(*horizon),
                days(plan.retention)
            ));
        }
    }
    out
}

/// The exit code of a source's trouble.
fn of_source(kind: FaultKind) -> u8 {
    match kind {
        FaultKind::Credential | FaultKind::Permission | FaultKind::Licence => 21,
        FaultKind::RateLimit | FaultKind::Concurrency => 30,
        FaultKind::Configuration | FaultKind::ForeignLink => 20,
        _ => 10,
    }
}

/// What was said so far, and the codes that apply.
struct Said {
    codes: BTreeSet<u8>,
    lines: Vec<String>,
    objects: Vec<Value>,
}

impl Said {
    fn say(&mut self, tenant: &str, key: &str, what: &str, found: &Found, code: impl Fn(FaultKind) -> u8) {
        let Found { findings, probed, warnings } = found;
        let failed = probed.streams.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Fails(fault) => Some((*name, fault.clone())),
            Outcome::Waits(wait) => Some((*name, waits(*wait))),
            Outcome::Read { .. } | Outcome::Refused => None,
        });
        let failed: Vec<(&str, Fault)> = failed.collect();
        let faults = || findings.faults.iter().chain(failed.iter().map(|(_, fault)| fault));
        self.codes.extend(faults().map(|fault| code(fault.kind)));
        let good = faults().next().is_none();

        let said: Vec<String> = findings.faults.iter().map(ToString::to_string).collect();
        let of_streams = failed.iter().map(|(name, fault)| format!("{name}: {fault}"));
        self.objects.push(json!({
            "name": format!("{tenant}/{key}"), "what": what, "ok": good, "lines": findings.lines,
            "faults": said.into_iter().chain(of_streams).collect::<Vec<_>>(), "warnings": warnings,
            "expires": findings.expires,
            "streams": probed.streams.iter().map(|(name, outcome)| stream_json(name, outcome)).collect::<Vec<_>>(),
            "quotas": probed.spent.iter().map(spent_json).collect::<Vec<_>>(),
        }));

        let out = &mut self.lines;
        out.push(format!("{tenant}/{key}  {}  {what}", if good { "ok" } else { "FAILS" }));
        out.extend(findings.lines.iter().map(|line| format!("  {line}")));
        for fault in &findings.faults {
            out.push(format!("  {fault}"));
            out.extend(super::report::remedy(fault.remedy.as_deref().unwrap_or_default()));
        }
        for (name, outcome) in &probed.streams {
            out.push(format!("  {name}  {}", stream_text(outcome)));
            if let Outcome::Fails(Fault { remedy: Some(remedy), .. }) = outcome {
                out.extend(super::report::remedy(remedy));
            }
        }
        out.extend(probed.spent.iter().map(spent_text));
        out.extend(warnings.iter().map(|warning| format!("  warning: {warning}")));
    }

    /// A tenant whose configuration is wrong.
    fn refused(&mut self, tenant: &str, error: &str) {
        self.codes.insert(20);
        self.objects.push(wrong(tenant, &[error]));
    }

    fn off(&mut self, tenant: &str, key: &str, reason: &str) {
        self.objects.push(json!({ "name": format!("{tenant}/{key}"), "ok": true, "off": reason }));
        self.lines.push(format!("{tenant}/{key}  off: {reason}"));
    }
}

fn waits(wait: Duration) -> Fault {
    let message = format!("not tried: the limit lets the next request go in {} s", wait.as_secs() + 1);
    Fault::new(FaultKind::RateLimit, message)
}

fn stream_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Read { records: Some(records), .. } => {
            format!("ok, about {} records an hour", thousands(*records))
        }
        Outcome::Read { records: None, .. } => "ok".to_owned(),
        Outcome::Fails(fault) => format!("FAILS: {fault}"),
        Outcome::Waits(wait) => waits(*wait).to_string(),
        Outcome::Refused => "not tried: the credential was refused".to_owned(),
    }
}

fn stream_json(name: &str, outcome: &Outcome) -> Value {
    let mut object = json!({ "stream": name, "ok": matches!(outcome, Outcome::Read { .. }) });
    let more = match outcome {
        Outcome::Read { records, requests } => {
            json!({ "records_an_hour": records, "requests_a_day": requests })
        }
        Outcome::Fails(fault) => {
            json!({ "kind": fault.kind, "fault": fault.to_string(), "remedy": fault.remedy })
        }
        Outcome::Waits(wait) => json!({ "wait_s": wait.as_secs() + 1 }),
        Outcome::Refused => json!({}),
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn spent_text(spent: &Spent) -> String {
    let Spent { name, expected, allowed, vendor } = spent;
    let vendor = vendor.map_or_else(String::new, |(limit, others, left)| {
        format!("; the vendor's limit is {limit}: {others} used by others, {left} left")
    });
    format!(
        "  {name}: about {} requests a day, our share allows {}{vendor}",
        thousands(*expected),
        thousands(*allowed)
    )
}

fn spent_json(spent: &Spent) -> Value {
    let Spent { name, expected, allowed, vendor } = spent;
    let (limit, others, left) = vendor.map_or((None, None, None), |(l, o, r)| (Some(l), Some(o), Some(r)));
    json!({
        "name": name, "expected_a_day": expected, "allowed_a_day": allowed, "limit": limit,
        "used_by_others": others, "left": left,
    })
}
