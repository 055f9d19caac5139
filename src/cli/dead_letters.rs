//! `tidegate dead-letters`: what could not be mapped or delivered, with its reason; sent again, or given up.

use super::manage::{Done, ask};
use crate::config::Config;
use crate::requests::{Ask, Choice};
use crate::world::{World, journal_dir};
use chrono::{DateTime, Utc};
use tidegate_core::journal::{DeadLetter, JournalError, Reader};

/// Letters read at a time: each holds a copy of its record.
const AT_ONCE: usize = 100;

/// Lists, sends again or gives up the records that could not be mapped or delivered.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 20 configuration, a number that does not exist, or nothing said of which ones; 50 \
                        journal. What is sent again or given up stands in the action log, with who asked for it."
)]
pub struct Args {
    #[command(subcommand)]
    verb: DeadVerb,
}

#[derive(Debug, clap::Subcommand)]
enum DeadVerb {
    /// Lists them, a line each
    List {
        /// Only these tenants
        tenant: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Shows one, with the vendor's record
    Show {
        /// The tenant
        tenant: String,
        /// Its number
        id: u64,
    },
    /// Sends them again: the numbered ones, those that a filter chooses, or all with --all
    Retry {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        which: Which,
    },
    /// Gives them up: the numbered ones, those that a filter chooses, or all with --all
    Drop {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        which: Which,
    },
}

/// Which letters, by what they are.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only those of this sink
    #[arg(long)]
    sink: Option<String>,
    /// Only those of this source
    #[arg(long)]
    source: Option<String>,
    /// Only those of this kind: rejected (by the destination), normalize, unrouted, internal
    #[arg(long)]
    kind: Option<String>,
    /// Only those made since: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 6h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Their numbers
    #[arg(conflicts_with_all = ["sink", "source", "kind", "since", "all"])]
    ids: Vec<u64>,
    #[command(flatten)]
    filter: Filter,
    /// All of them
    #[arg(long, conflicts_with_all = ["sink", "source", "kind", "since"])]
    all: bool,
}

impl Filter {
    fn choice(&self, now: DateTime<Utc>) -> Result<Choice, String> {
        let Self { sink, source, kind, since } = self;
        let since = since.as_deref().map(|since| super::time(since, now)).transpose()?;
        Ok(Choice { sink: sink.clone(), source: source.clone(), kind: kind.clone(), since })
    }
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    let now = world.clock.now();
    let (name, which, again) = match &args.verb {
        DeadVerb::List { tenant, filter, json } => return list(config, tenant, filter, *json, now),
        DeadVerb::Show { tenant, id } => {
            return match super::tenant(config, tenant) {
                Ok(_) => show(config, tenant, *id),
                Err(code) => code,
            };
        }
        DeadVerb::Retry { tenant, which } => (tenant, which, true),
        DeadVerb::Drop { tenant, which } => (tenant, which, false),
    };
    if let Err(code) = super::tenant(config, name) {
        return code;
    }
    let choice = match which.filter.choice(now) {
        Ok(choice) => choice,
        Err(error) => return wrong(name, &error),
    };
    if which.ids.is_empty() && choice == Choice::default() && !which.all {
        return wrong(
            name,
            "which ones? Give numbers, a filter (--sink, --source, --kind, --since), or --all",
        );
    }
    match missing(config, name, &which.ids) {
        Ok(none) if none.is_empty() => {}
        Ok(none) => return wrong(name, &format!("there is no dead letter {}", none.join(", "))),
        Err(error) => return failed(name, &error),
    }
    let ids = which.ids.clone();
    let (wish, said) = match again {
        true => (Ask::DeadLettersRetry { ids, choice }, "to be sent again"),
        false => (Ask::DeadLettersDrop { ids, choice }, "given up"),
    };
    match ask(world, config, name, &wish).await {
        Ok(Done::Here(touched)) => {
            let when = if again { " (with the next run or sync)" } else { "" };
            super::print(&format!("{name}: {} {said}{when}", super::text::dead_letters(touched as u64)));
            0
        }
        Ok(Done::There(holder)) => {
            super::print(&format!("{name}: done by `tidegate {}` (pid {})", holder.verb, holder.pid));
            0
        }
        Err(error) => {
            super::complain(&format!("{name}: {error}"));
            50
        }
    }
}

fn wrong(tenant: &str, error: &str) -> u8 {
    super::complain(&format!("{tenant}: {error}"));
    20
}

fn failed(tenant: &str, error: &JournalError) -> u8 {
    super::complain(&format!("{tenant}: {error}"));
    50
}

fn one(reader: &Reader, id: u64) -> Result<Option<DeadLetter>, JournalError> {
    let next = reader.dead(id.saturating_sub(1), 1, false)?;
    Ok(next.into_iter().next().filter(|letter| letter.id == id))
}

/// Those of the numbers that do not exist.
fn missing(config: &Config, tenant: &str, ids: &[u64]) -> Result<Vec<String>, JournalError> {
    let mut out = Vec::new();
    if !ids.is_empty() {
        let reader = Reader::open(journal_dir(config, tenant))?;
        for id in ids {
            if one(&reader, *id)?.is_none() {
                out.push(id.to_string());
            }
        }
    }
    Ok(out)
}

fn json(tenant: &str, letter: &DeadLetter) -> serde_json::Value {
    let (reason, remedy) = letter.told();
    serde_json::json!({
        "tenant": tenant, "id": letter.id, "sink": letter.sink, "source": letter.source, "stream": letter.stream,
        "page": letter.page, "record": letter.record, "event": letter.event, "kind": letter.kind,
        "reason": reason, "remedy": remedy, "at": letter.at, "retry": letter.retry, "mark": letter.mark,
    })
}

/// A letter's line; in front of it when and where, for `grep`.
fn line(tenant: &str, letter: &DeadLetter) -> String {
    format!(
        "{}  {}/{} → {}  {}{}{}  {}",
        letter.at.format("%Y-%m-%d %H:%M:%SZ"),
        letter.source,
        letter.stream,
        letter.sink,
        letter.kind,
        letter.mark.as_ref().map_or_else(String::new, |mark| format!(" (marked {mark})")),
        if letter.retry { " (waits to be sent again)" } else { "" },
        letter.line(tenant),
    )
}

fn list(config: &Config, tenants: &[String], filter: &Filter, as_json: bool, now: DateTime<Utc>) -> u8 {
    let choice = match filter.choice(now) {
        Ok(choice) => choice,
        Err(error) => {
            super::complain(&error);
            return 20;
        }
    };
    match super::chosen(config, tenants) {
        Ok(chosen) => {
            chosen.iter().map(|(name, _)| list_of(config, name, &choice, as_json)).max().unwrap_or(0)
        }
        Err(code) => code,
    }
}

fn list_of(config: &Config, tenant: &str, choice: &Choice, as_json: bool) -> u8 {
    let mut count = 0_u64;
    let all = || {
        let reader = Reader::open(journal_dir(config, tenant))?;
        let mut after = 0;
        loop {
            let letters = reader.dead(after, AT_ONCE, false)?;
            let Some(last) = letters.last() else { return Ok::<_, JournalError>(()) };
            after = last.id;
            for letter in letters.iter().filter(|letter| choice.fits(letter)) {
                count += 1;
                super::print(&if as_json { json(tenant, letter).to_string() } else { line(tenant, letter) });
            }
        }
    };
    let mut all = all;
    match all() {
        // It never ran.
        Err(error) if super::no_journal(&error) => {}
        Err(error) => return failed(tenant, &error),
        Ok(()) => {}
    }
    if count == 0 && !as_json {
        let such = if *choice == Choice::default() { "" } else { " of that kind" };
        super::print(&format!("{tenant}: no dead letters{such}"));
    }
    0
}

fn show(config: &Config, tenant: &str, id: u64) -> u8 {
    let found = Reader::open(journal_dir(config, tenant)).and_then(|reader| one(&reader, id));
    match found {
        Ok(Some(letter)) => {
            super::print(&serde_json::to_string_pretty(&json(tenant, &letter)).unwrap_or_default());
            super::print(&String::from_utf8_lossy(&letter.copy));
            0
        }
        Ok(None) => wrong(tenant, &format!("there is no dead letter {id}")),
        Err(error) => failed(tenant, &error),
    }
}
