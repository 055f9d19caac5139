//! `tidegate check`: is the configuration right (offline), and do credentials, scopes and addresses work (`--online`)?

use crate::config::Config;
use crate::world::World;
use tidegate_core::source::Findings;

/// Checks the configuration; with --online also credentials, scopes, clocks and destinations.
#[derive(Debug, clap::Args)]
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
    let mut code = 0;
    let mut objects = Vec::new();
    for (name, tenant) in &config.tenants {
        let opened =
            world.sources(config, name).and_then(|sources| Ok((world.sinks(config, name)?, sources)));
        let (sinks, sources) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                super::complain(&format!("{name}: {error}"));
                code = 20;
                continue;
            }
        };
        for source in &sources {
            let found = if args.online { source.api.check().await } else { Findings::default() };
            let streams: Vec<&str> = source.streams.iter().map(|stream| stream.name).collect();
            let what = format!(
                "{} of {}: {}",
                source.connector.title(),
                source.fingerprint.organisation,
                streams.join(", ")
            );
            code = code.max(say(args, name, &source.key, &what, &found, 21, &mut objects));
        }
        for sink in &sinks {
            let found = if args.online { sink.sink.check().await } else { Findings::default() };
            let what = format!("sink, schema {}", sink.schema);
            code = code.max(say(args, name, &sink.key, &what, &found, 40, &mut objects));
        }
        for (key, source) in &tenant.sources {
            if let Some(reason) = &source.off {
                super::print(&format!("{name}/{key}  off: {reason}"));
            }
        }
    }
    if args.json {
        super::print(&serde_json::Value::Array(objects).to_string());
    } else if code == 0 && !args.online {
        super::print(
            "The configuration is right. `tidegate check --online` tries credentials and destinations.",
        );
    }
    code
}

fn say(
    args: &Args,
    tenant: &str,
    key: &str,
    what: &str,
    found: &Findings,
    bad: u8,
    objects: &mut Vec<serde_json::Value>,
) -> u8 {
    let good = found.faults.is_empty();
    if args.json {
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        objects.push(serde_json::json!({ "name": format!("{tenant}/{key}"), "ok": good, "lines": found.lines, "faults": faults }));
    } else {
        super::print(&format!("{tenant}/{key}  {}  {what}", if good { "ok" } else { "FAILS" }));
        for line in &found.lines {
            super::print(&format!("  {line}"));
        }
        for fault in &found.faults {
            super::print(&format!("  {fault}"));
            for line in fault.remedy.iter().flat_map(|remedy| remedy.lines()) {
                super::print(&format!("  Fix: {line}"));
            }
        }
    }
    if good { 0 } else { bad }
}
