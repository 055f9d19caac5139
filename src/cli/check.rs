//! `tidegate check`: is the configuration right (offline), and do credentials, scopes and addresses work (`--online`)?

use super::report::PRECEDENCE;
use crate::config::Config;
use crate::world::World;
use std::collections::BTreeSet;
use tidegate_core::fault::FaultKind;
use tidegate_core::source::Findings;

/// Checks the configuration; with --online also credentials, scopes, clocks and destinations.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is right; 10 something failed that may pass; 20 configuration; 21 a credential or a \
                        permission was refused; 30 the vendor's limit is used up; 40 a destination cannot be written to"
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
    let mut said = Said { json: args.json, codes: BTreeSet::new(), objects: Vec::new() };
    for (name, tenant) in &config.tenants {
        let opened =
            world.sources(config, name).and_then(|sources| Ok((world.sinks(config, name)?, sources)));
        let (sinks, sources) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                super::complain(&format!("{name}: {error}"));
                said.codes.insert(20);
                continue;
            }
        };
        for source in &sources {
            let found = if args.online { source.api.check().await } else { Findings::default() };
            let streams: Vec<&str> = source.streams.iter().map(|plan| plan.stream.name).collect();
            let what = format!(
                "{} of {}: {}",
                source.connector.title(),
                source.fingerprint.organisation,
                streams.join(", ")
            );
            said.say(name, &source.key, &what, &found, of_source);
        }
        for sink in &sinks {
            let found = if args.online { sink.sink.check().await } else { Findings::default() };
            let what = format!("{} sink, schema {}", sink.kind, sink.schema);
            said.say(name, &sink.key, &what, &found, |_| 40);
        }
        for (key, source) in &tenant.sources {
            if let Some(reason) = &source.off {
                said.off(name, key, reason);
            }
        }
    }
    let code = PRECEDENCE.into_iter().find(|code| said.codes.contains(code)).unwrap_or(0);
    if args.json {
        let object = serde_json::json!({ "ok": code == 0, "exit": code, "checked": said.objects });
        super::print(&object.to_string());
    } else if code == 0 && !args.online {
        super::print(
            "The configuration is right. `tidegate check --online` tries credentials and destinations.",
        );
    }
    code
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
    json: bool,
    codes: BTreeSet<u8>,
    objects: Vec<serde_json::Value>,
}

impl Said {
    fn say(&mut self, tenant: &str, key: &str, what: &str, found: &Findings, code: impl Fn(FaultKind) -> u8) {
        let good = found.faults.is_empty();
        self.codes.extend(found.faults.iter().map(|fault| code(fault.kind)));
        if self.json {
            let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
            self.objects.push(serde_json::json!({
                "name": format!("{tenant}/{key}"), "what": what, "ok": good, "lines": found.lines, "faults": faults,
            }));
            return;
        }
        super::print(&format!("{tenant}/{key}  {}  {what}", if good { "ok" } else { "FAILS" }));
        for line in &found.lines {
            super::print(&format!("  {line}"));
        }
        for fault in &found.faults {
            super::print(&format!("  {fault}"));
            let mut lines: Vec<&str> = fault.remedy.iter().flat_map(|remedy| remedy.lines()).collect();
            let fix = lines.pop();
            for line in lines {
                super::print(&format!("  {line}"));
            }
            if let Some(fix) = fix {
                super::print(&format!("  Fix: {}", fix.strip_prefix("Fix: ").unwrap_or(fix)));
            }
        }
    }

    fn off(&mut self, tenant: &str, key: &str, reason: &str) {
        if self.json {
            self.objects
                .push(serde_json::json!({ "name": format!("{tenant}/{key}"), "ok": true, "off": reason }));
        } else {
            super::print(&format!("{tenant}/{key}  off: {reason}"));
        }
    }
}
