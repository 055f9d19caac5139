//! `tidegate replay`: deliver once more what the journal holds, with today's mapping, while live delivery goes on.

use super::Answer;
use super::manage::{Done, ask};
use super::text::thousands;
use crate::config::Config;
use crate::requests::{Ask, Replay, lane_name, replay_spans};
use crate::world::{World, journal_dir};
use tidegate_core::journal::{JournalError, Reader, Span};

/// The longest label: it becomes a part of ids, which destinations bound at 512 bytes.
const LABEL: usize = 32;

/// Delivers once more to a sink what was fetched in a time, with today's mapping, while live delivery goes on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The time is that of fetching, not that of the events: what a backfill or a sweep brought later counts by when \
                  it came.\n\
                  Without --mark documents keep their ids: a destination that knows ids (Elasticsearch, OpenSearch) takes only \
                  what it lacks; any other gets all of it a second time. With --mark each document has a new id (id-LABEL) and the \
                  tag tidegate_replay.\n\
                  Where a process holds the tenant, it delivers; else the next run or sync does. tidegate status shows what is left.\n\
                  Exit codes: 0 it is taken up; 20 configuration, a wrong time or label, an unknown sink, pages that are trimmed \
                  already, or nothing to replay; 50 journal"
)]
pub struct Args {
    /// The tenant
    #[arg(long)]
    pub tenant: String,
    /// The sink's key
    #[arg(long)]
    pub sink: String,
    /// Fetched since: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30d
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// Fetched before; default: now
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only this source
    #[arg(long)]
    pub source: Option<String>,
    /// Only streams of this name
    #[arg(long)]
    pub stream: Option<String>,
    /// Gives documents new ids with this label: 1 to 32 of a-z, 0-9, _ and -
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub mark: Option<String>,
}

/// # Errors
/// Says what a label may be.
fn label(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if text.is_empty() || text.len() > LABEL || !text.chars().all(fits) {
        return Err("a label is 1 to 32 characters of a-z, 0-9, _ and -".to_owned());
    }
    Ok(text.to_owned())
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    super::tell(lines(world, config, args).await, &[0])
}

/// The exit code, and what is said.
pub async fn lines(world: &World, config: &Config, args: &Args) -> Answer {
    let name = args.tenant.as_str();
    let said = |code, text: String| super::answer(name, code, text);
    let tenant = match config.tenant(name) {
        Ok(tenant) => tenant,
        Err(error) => return (20, vec![error.to_string()]),
    };
    if !tenant.sinks.contains_key(&args.sink) {
        let known: Vec<&str> = tenant.sinks.keys().map(String::as_str).collect();
        return said(
            20,
            format!("there is no sink {:?}; the tenant's sinks are {}", args.sink, known.join(", ")),
        );
    }
    if let Some(source) = args.source.as_ref().filter(|source| !tenant.sources.contains_key(*source)) {
        let known: Vec<&str> = tenant.sources.keys().map(String::as_str).collect();
        return said(
            20,
            format!("there is no source {source:?}; the tenant's sources are {}", known.join(", ")),
        );
    }
    let now = world.clock.now();
    let times = super::time(&args.from, now)
        .and_then(|from| Ok((from, args.to.as_deref().map_or(Ok(now), |to| super::time(to, now))?)));
    let (from, to) = match times {
        Ok((from, to)) if from < to => (from, to),
        Ok(_) => return said(20, "--to must be later than --from".to_owned()),
        Err(error) => return said(20, error),
    };
    let replay = Replay {
        sink: args.sink.clone(),
        from,
        to,
        source: args.source.clone(),
        stream: args.stream.clone(),
        mark: args.mark.clone(),
    };
    // Looked at here first, so that a refusal is heard also where another process holds the tenant.
    let records = match look(config, name, &replay, now) {
        Ok(Ok(records)) => records,
        Ok(Err(why)) => return said(20, why),
        Err(error) if super::no_journal(&error) => {
            return said(20, "never ran (no journal yet): there is nothing to replay".to_owned());
        }
        Err(error) => return said(50, error.to_string()),
    };
    let lanes: Vec<String> = records.iter().map(|(lane, n)| format!("{} {lane}", thousands(*n))).collect();
    let whose = match ask(world, config, name, &Ask::Replay(replay)).await {
        Ok(Done::Here(_)) => "nobody holds the tenant now: the next run or sync delivers them".to_owned(),
        Ok(Done::There(holder)) => format!(
            "`tidegate {}` (pid {}) delivers them now; what is left: tidegate status {name}",
            holder.verb, holder.pid
        ),
        Err(error) => return said(50, error),
    };
    let mut out = said(0, format!("{} records to {}; {whose}", lanes.join(", "), args.sink));
    out.1.extend(doubles(world, config, args));
    out
}

/// What comes twice, where it does.
fn doubles(world: &World, config: &Config, args: &Args) -> Option<String> {
    let sinks = world.sinks(config, &args.tenant).ok()?;
    let sink = sinks.into_iter().find(|sink| sink.key == args.sink)?;
    (args.mark.is_none() && !sink.sink.deterministic()).then(|| {
        format!("{} does not know documents by their ids: what it has of them comes twice", args.sink)
    })
}

/// Records by lane, or why it is refused.
type Looked = Result<Vec<(&'static str, u64)>, String>;

fn look(
    config: &Config,
    name: &str,
    replay: &Replay,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Looked, JournalError> {
    let mut reader = Reader::open(journal_dir(config, name))?;
    let state = reader.load()?;
    let fetched =
        reader.fetched(replay.from, replay.to, (replay.source.as_deref(), replay.stream.as_deref()))?;
    let lacks = |span: &Span| reader.lacks(span);
    let spans = match replay_spans(&state, &fetched, replay, now, lacks)? {
        Ok(spans) => spans,
        Err(why) => return Ok(Err(why)),
    };
    let mut records: Vec<(&'static str, u64)> = Vec::new();
    for span in &spans {
        let count: u64 = reader.lacks(span)?.iter().map(|lack| lack.records).sum();
        match records.iter_mut().find(|(lane, _)| *lane == lane_name(span.lane)) {
            Some((_, sum)) => *sum += count,
            None => records.push((lane_name(span.lane), count)),
        }
    }
    Ok(Ok(records))
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_checked() {
        for good in ["fix", "a", "2026-01_b", &"x".repeat(32)] {
            assert_eq!(super::label(good), Ok(good.to_owned()));
        }
        for bad in ["", "Fix", "a b", "a/b", "ä", &"x".repeat(33)] {
            assert!(super::label(bad).is_err(), "{bad}");
        }
    }
}
