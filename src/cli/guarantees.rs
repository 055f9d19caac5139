//! `tidegate guarantees`: what is promised on each way from a stream to a sink, and why. Nothing of it is written down for a
//! vendor or a product: the collecting side follows from the stream's kind and horizons, the delivering side is the sink's
//! own word ([`tidegate_core::sink::Sink::guarantee`]).

use super::text::{span, table};
use crate::config::{Config, SourceConfig, Tenant};
use crate::world::World;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::collect::StreamPlan;
use tidegate_core::collect::window::LAST_HORIZON;
use tidegate_core::journal::Grade;
use tidegate_core::sink::Guarantee;
use tidegate_core::source::StreamKind;

/// Shows what is promised on the way from each stream to each sink, and why. Nobody is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0; 20 configuration")]
pub struct Args {
    /// Only these tenants
    pub tenant: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How well a stream's time can be proven, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Collected {
    /// The best grade that its time reaches in the coverage ledger.
    grade: &'static str,
    because: String,
    except: Vec<String>,
}

/// From a stream to a sink.
struct Path<'a> {
    source: &'a str,
    connector: &'static str,
    stream: &'static str,
    collected: Collected,
    /// `None`: no sink takes it.
    to: Option<(&'a str, Guarantee)>,
}

/// Runs it; the exit code.
#[must_use]
pub fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::said(lines(world, config, args))
}

/// The exit code, and what goes to standard output.
#[must_use]
pub fn lines(world: &World, config: &Config, args: &Args) -> (u8, Vec<String>) {
    let tenants = match super::chosen(config, &args.tenant) {
        Ok(tenants) => tenants,
        Err(code) => return (code, Vec::new()),
    };
    let (mut code, mut out, mut objects) = (0, Vec::new(), Map::new());
    for (name, tenant) in tenants {
        // As `check`: a sink that cannot keep what `require` asks for is told, and so is one that cannot be opened.
        if let Err(error) = world.sinks(config, name) {
            super::complain(&format!("{name}: {error}"));
            code = 20;
            continue;
        }
        let paths = paths(tenant, &world.promises(config, name));
        if args.json {
            objects
                .insert(name.clone(), json!({ "paths": paths.iter().map(Path::json).collect::<Vec<_>>() }));
        } else {
            out.extend(text(name, &paths));
        }
    }
    if args.json {
        out.push(Value::Object(objects).to_string());
    }
    (code, out)
}

/// Every way of a tenant. What is declared off is collected no more and has none.
fn paths<'a>(tenant: &'a Tenant, promises: &BTreeMap<String, Guarantee>) -> Vec<Path<'a>> {
    let mut out = Vec::new();
    for (source, settings) in tenant.sources.iter().filter(|(_, settings)| settings.off.is_none()) {
        let connector = settings.connector.name();
        for plan in &settings.streams {
            let stream = plan.stream.name;
            let sinks = tenant.sinks.iter().filter(|(_, sink)| sink.streams.takes(connector, stream));
            let to = sinks.filter_map(|(key, _)| Some((key.as_str(), promises.get(key)?.clone())));
            let mut to: Vec<_> = to.map(Some).collect();
            if to.is_empty() {
                to.push(None);
            }
            let collected = collected(settings, plan);
            let path = |to| Path { source, connector, stream, collected: collected.clone(), to };
            out.extend(to.into_iter().map(path));
        }
    }
    out
}

/// What a stream's kind and its settings promise of its time.
fn collected(source: &SourceConfig, plan: &StreamPlan) -> Collected {
    let spans: Vec<String> = plan.settle.iter().map(|horizon| duration(*horizon)).collect();
    let kept = duration(plan.retention);
    let mut except = vec![format!(
        "what the vendor forgets ({kept} after it happened) before it could be read is a hole, named with its cause"
    )];
    let (grade, because) = match (plan.stream.kind, plan.settle.last()) {
        (StreamKind::Feed, _) => {
            let bridge =
                "where the vendor refuses its own cursor, a bridge by time is read and the ledger says so";
            except.push(bridge.to_owned());
            (Grade::Chain, "the vendor keeps the place: its own cursor is followed without a gap".to_owned())
        }
        (StreamKind::Windowed { .. }, Some(last)) if *last <= plan.retention => {
            let latest = duration(LAST_HORIZON.to_std().unwrap_or_default());
            except.push(format!(
                "what becomes visible after the last read is not seen; each finding moves that one out, to {latest} at most"
            ));
            let because = format!(
                "every window is read again {} after it, and is settled when the last of these reads finds nothing new",
                spans.join(", ")
            );
            (Grade::Settled, because)
        }
        (StreamKind::Windowed { .. }, Some(last)) => {
            let because = format!(
                "the vendor keeps records for {kept} only, so that nothing is left to read again after {}",
                duration(*last)
            );
            (Grade::Fetched, because)
        }
        (StreamKind::Windowed { .. }, None) => {
            let behind = duration(plan.visible_after);
            (Grade::Fetched, format!("every window is read once, {behind} behind the vendor's clock"))
        }
    };
    if source.revisions == crate::config::Revisions::First {
        except.push("later versions of a record are stored, not delivered (`revisions`)".to_owned());
    }
    Collected { grade: word(grade), because, except }
}

/// As `tidegate coverage` says it.
const fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Chain => "chain",
        Grade::Settled => "settled",
        Grade::Fetched => "fetched",
        Grade::Received => "received",
        Grade::Bounded => "bounded",
        Grade::Hole => "hole",
    }
}

fn duration(duration: Duration) -> String {
    span(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX))
}

impl Path<'_> {
    fn json(&self) -> Value {
        let Self { source, connector, stream, collected, to } = self;
        let Collected { grade, because, except } = collected;
        let delivered = to.as_ref().map(|(_, promise)| {
            let Guarantee { level, because, except } = promise;
            json!({ "level": level.name(), "because": because, "except": except })
        });
        json!({
            "source": source, "connector": connector, "stream": stream,
            "sink": to.as_ref().map(|(sink, _)| sink),
            "collected": { "grade": grade, "because": because, "except": except },
            "delivered": delivered,
        })
    }
}

/// The ways as a table, then each reason once.
fn text(tenant: &str, paths: &[Path<'_>]) -> Vec<String> {
    let mut out = vec![tenant.to_owned()];
    let cells = |path: &Path<'_>| {
        let (sink, level) = match &path.to {
            Some((sink, promise)) => (*sink, promise.level.name()),
            None => ("no sink", "kept in the journal alone"),
        };
        let from = format!("  {}/{}", path.source, path.stream);
        vec![from, path.collected.grade.to_owned(), format!("→ {sink}"), level.to_owned()]
    };
    out.extend(table(&paths.iter().map(cells).collect::<Vec<_>>(), &[]));
    let mut collected: BTreeMap<&Collected, Vec<String>> = BTreeMap::new();
    let mut delivered: BTreeMap<&str, &Guarantee> = BTreeMap::new();
    for path in paths {
        let streams = collected.entry(&path.collected).or_default();
        let name = format!("{}/{}", path.source, path.stream);
        if !streams.contains(&name) {
            streams.push(name);
        }
        if let Some((sink, promise)) = &path.to {
            delivered.insert(sink, promise);
        }
    }
    for (Collected { grade, because, except }, streams) in collected {
        out.push(format!("  {grade}: {because} ({})", streams.join(", ")));
        out.extend(except.iter().map(|except| format!("    but: {except}")));
    }
    for (sink, Guarantee { level, because, except }) in delivered {
        out.push(format!("  → {sink}, {}: {because}", level.name()));
        out.extend(except.iter().map(|except| format!("    but: {except}")));
    }
    out
}
