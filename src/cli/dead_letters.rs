//! `tidegate dead-letters`: what could not be mapped or delivered, with its reason; sent again, or given up.

use super::manage::{Done, ask};
use crate::config::Config;
use crate::requests::Ask;
use crate::world::{World, journal_dir};
use tidegate_core::journal::{DeadLetter, Reader};

/// Lists, sends again or gives up the records that could not be mapped or delivered.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: DeadVerb,
}

#[derive(Debug, clap::Subcommand)]
enum DeadVerb {
    /// Lists them, a line each
    List {
        /// The tenant
        tenant: String,
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
    /// Sends them again: all, or the numbered ones
    Retry {
        /// The tenant
        tenant: String,
        /// Their numbers
        ids: Vec<u64>,
    },
    /// Gives them up: the numbered ones, or all with --all
    Drop {
        /// The tenant
        tenant: String,
        /// Their numbers
        ids: Vec<u64>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// Runs it; the exit code.
pub async fn run(world: &World, config: &Config, args: &Args) -> u8 {
    let name = match &args.verb {
        DeadVerb::List { tenant, .. }
        | DeadVerb::Show { tenant, .. }
        | DeadVerb::Retry { tenant, .. }
        | DeadVerb::Drop { tenant, .. } => tenant,
    };
    if let Err(code) = super::tenant(config, name) {
        return code;
    }
    let (wish, said) = match &args.verb {
        DeadVerb::List { json, .. } => return list(config, name, *json),
        DeadVerb::Show { id, .. } => return show(config, name, *id),
        DeadVerb::Retry { ids, .. } => (Ask::DeadLettersRetry { ids: ids.clone() }, "wait to be sent again"),
        DeadVerb::Drop { ids, all, .. } => {
            if ids.is_empty() && !all {
                super::complain("which ones? Give numbers, or --all");
                return 20;
            }
            (Ask::DeadLettersDrop { ids: ids.clone() }, "given up")
        }
    };
    match ask(world, config, name, &wish).await {
        Ok(Done::Here(touched)) => {
            super::print(&format!("{name}: {touched} dead letters {said}"));
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

fn each(config: &Config, tenant: &str, mut take: impl FnMut(&DeadLetter)) -> u8 {
    let all = || {
        let reader = Reader::open(journal_dir(config, tenant))?;
        let mut after = 0;
        loop {
            let letters = reader.dead(after, 500, false)?;
            let Some(last) = letters.last() else { return Ok::<_, tidegate_core::journal::JournalError>(()) };
            after = last.id;
            letters.iter().for_each(&mut take);
        }
    };
    let mut all = all;
    match all() {
        Ok(()) => 0,
        Err(error) => {
            super::complain(&format!("{tenant}: {error}"));
            50
        }
    }
}

fn json(letter: &DeadLetter) -> serde_json::Value {
    serde_json::json!({
        "id": letter.id, "sink": letter.sink, "source": letter.source, "stream": letter.stream,
        "page": letter.page, "record": letter.record, "event": letter.event, "kind": letter.kind,
        "reason": letter.reason, "at": letter.at, "retry": letter.retry,
    })
}

fn list(config: &Config, tenant: &str, as_json: bool) -> u8 {
    let mut count = 0_u64;
    let code = each(config, tenant, |letter| {
        count += 1;
        if as_json {
            super::print(&json(letter).to_string());
        } else {
            super::print(&format!(
                "{:>6}  {}  {}/{} → {}  {}{}  {}",
                letter.id,
                letter.at.format("%Y-%m-%d %H:%M:%SZ"),
                letter.source,
                letter.stream,
                letter.sink,
                letter.kind,
                if letter.retry { " (waits to be sent again)" } else { "" },
                letter.reason,
            ));
        }
    });
    if code == 0 && count == 0 && !as_json {
        super::print(&format!("{tenant}: no dead letters"));
    }
    code
}

fn show(config: &Config, tenant: &str, id: u64) -> u8 {
    let mut found = false;
    let code = each(config, tenant, |letter| {
        if letter.id == id {
            found = true;
            super::print(&serde_json::to_string_pretty(&json(letter)).unwrap_or_default());
            super::print(&String::from_utf8_lossy(&letter.copy));
        }
    });
    if code == 0 && !found {
        super::complain(&format!("{tenant}: there is no dead letter {id}"));
        return 20;
    }
    code
}
