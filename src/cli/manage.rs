//! Operators' deeds on a tenant: `source rename|reset`, `sinks rename|forget`, `reload`; and how a command reaches a
//! journal that another process may hold.

use crate::config::Config;
use crate::requests::{self, Ask};
use crate::world::{World, journal_dir};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::journal::{
    Action, Change, FileJournal, Fingerprint, Handle, Holder, JournalError, OpenOptions, Reader, reader,
};

/// The holder promises to act within a second; after this long it is said that it did not.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries of the action log among which an answer is looked for.
const RECENT: usize = 32;

/// Renames or resets a source in the journal.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    #[command(subcommand)]
    verb: SourceVerb,
}

#[derive(Debug, clap::Subcommand)]
enum SourceVerb {
    /// Moves all that the journal holds of a source to another key; nothing is lost or read twice
    Rename {
        /// The tenant
        tenant: String,
        /// The key that the journal knows
        old: String,
        /// The key that the configuration has now
        new: String,
    },
    /// Begins a source anew, for instance because its organisation moved; what is stored, its ids and its ledger stay
    Reset {
        /// The tenant
        tenant: String,
        /// The source's key
        source: String,
    },
}

/// Renames or forgets a sink in the journal.
#[derive(Debug, clap::Args)]
pub struct SinksArgs {
    #[command(subcommand)]
    verb: SinksVerb,
}

#[derive(Debug, clap::Subcommand)]
enum SinksVerb {
    /// Hands a sink's position and dead letters to another key; nothing is lost or sent twice
    Rename {
        /// The tenant
        tenant: String,
        /// The key that the journal knows
        old: String,
        /// The key that the configuration has now
        new: String,
    },
    /// Ends the claim of a sink that is gone for good, so that its records can be trimmed
    Forget {
        /// The tenant
        tenant: String,
        /// The sink's key
        sink: String,
    },
}

/// Asks a running process to read its configuration again.
#[derive(Debug, clap::Args)]
pub struct ReloadArgs {}

/// What became of a deed.
pub enum Done {
    /// This command did it itself; so many things were touched.
    Here(usize),
    /// The process that holds the tenant did it.
    There(Holder),
}

/// Carries out what an operator asks: by the holder, or here where nobody holds the tenant.
///
/// # Errors
/// Says why not.
pub async fn ask(world: &World, config: &Config, tenant: &str, ask: &Ask) -> Result<Done, String> {
    let dir = journal_dir(config, tenant);
    let now = world.clock.now();
    match open(&dir, "command", now) {
        Ok(journal) => {
            let done = requests::carry_out(&journal, ask, now).await.map_err(|error| error.to_string())?;
            journal.commit(done.changes).await.map_err(|error| error.to_string())?;
            match done.refused {
                Some(why) => Err(why),
                None => Ok(Done::Here(done.touched)),
            }
        }
        Err(JournalError::Held { holder, .. }) => {
            let row = ask.row(now);
            let id =
                reader::request(&dir, &row.verb, &row.arguments, now).map_err(|error| error.to_string())?;
            let began = Instant::now();
            while began.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let mut reader = Reader::open(&dir).map_err(|error| error.to_string())?;
                let state = reader.load().map_err(|error| error.to_string())?;
                if !state.requests.iter().any(|request| request.id == id) {
                    let actions = reader.actions(RECENT).map_err(|error| error.to_string())?;
                    return refused(&actions, now).map_or(Ok(Done::There(holder)), Err);
                }
            }
            Err(format!(
                "`tidegate {}` (pid {}) holds the tenant and did not act within {} s; the request stays and is \
                 carried out as soon as it moves",
                holder.verb,
                holder.pid,
                PATIENCE.as_secs()
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What the holder said of a request of this moment that it did not carry out: it may be of an older version, or what was
/// asked for has become impossible since it was looked at here.
fn refused(actions: &[Action], at: DateTime<Utc>) -> Option<String> {
    let ours =
        |action: &&Action| action.what == "refused" && action.at.timestamp_micros() == at.timestamp_micros();
    actions
        .iter()
        .rev()
        .find(ours)
        .map(|action| format!("refused by who holds the tenant: {}", action.detail))
}

/// A journal, held by this command.
pub(super) fn open(dir: &std::path::Path, verb: &str, now: DateTime<Utc>) -> Result<Handle, JournalError> {
    let journal = FileJournal::open(dir, OpenOptions::new(verb, now))?;
    Ok(Handle::new(Arc::new(journal)))
}

/// `source rename|reset`; the exit code.
pub async fn source(world: &World, config: &Config, args: &SourceArgs) -> u8 {
    let now = world.clock.now();
    let (tenant, key, changes, action) = match &args.verb {
        SourceVerb::Rename { tenant, old, new } => (
            tenant,
            old,
            vec![Change::RenameSource(old.clone(), new.clone())],
            Action { at: now, what: "rename".to_owned(), detail: format!("source {old} is now {new}") },
        ),
        SourceVerb::Reset { tenant, source } => (
            tenant,
            source,
            reset(config, tenant, source),
            Action { at: now, what: "reset".to_owned(), detail: format!("source {source} begins anew") },
        ),
    };
    deed(
        world,
        config,
        tenant,
        changes,
        action,
        |state| {
            state
                .fingerprints
                .iter()
                .map(|f| f.source.clone())
                .chain(state.works.iter().map(|w| w.source.clone()))
                .collect()
        },
        ("source", key),
    )
    .await
}

/// A reset source stands for what the configuration says from now on.
fn reset(config: &Config, tenant: &str, source: &str) -> Vec<Change> {
    let configured = config.tenants.get(tenant).and_then(|ours| ours.sources.get(source));
    let fingerprint = configured.map(|configured| Fingerprint {
        source: source.to_owned(),
        connector: configured.connector.name().to_owned(),
        organisation: configured.organisation.clone(),
    });
    std::iter::once(Change::ResetSource(source.to_owned()))
        .chain(fingerprint.map(Change::Fingerprint))
        .collect()
}

/// `sinks rename|forget`; the exit code.
pub async fn sinks(world: &World, config: &Config, args: &SinksArgs) -> u8 {
    let now = world.clock.now();
    let (tenant, key, changes, action) = match &args.verb {
        SinksVerb::Rename { tenant, old, new } => (
            tenant,
            old,
            vec![Change::RenameSink(old.clone(), new.clone())],
            Action { at: now, what: "rename".to_owned(), detail: format!("sink {old} is now {new}") },
        ),
        SinksVerb::Forget { tenant, sink } => (
            tenant,
            sink,
            vec![Change::ForgetSink(sink.clone(), now)],
            Action {
                at: now,
                what: "forget".to_owned(),
                detail: format!("sink {sink} is gone; what it lacked is its hole"),
            },
        ),
    };
    deed(
        world,
        config,
        tenant,
        changes,
        action,
        |state| state.spans.iter().map(|span| span.sink.clone()).collect(),
        ("sink", key),
    )
    .await
}

/// A deed that only makes sense while nobody holds the tenant: the configuration changes with it.
async fn deed(
    world: &World,
    config: &Config,
    tenant: &str,
    mut changes: Vec<Change>,
    action: Action,
    known: impl Fn(&tidegate_core::journal::State) -> Vec<String>,
    (kind, key): (&str, &str),
) -> u8 {
    if let Err(code) = super::tenant(config, tenant) {
        return code;
    }
    let journal = match open(&journal_dir(config, tenant), "command", world.clock.now()) {
        Ok(journal) => journal,
        Err(JournalError::Held { holder, .. }) => {
            super::complain(&format!(
                "{tenant}: held by `tidegate {}` (pid {}). End it, give this command, change the configuration, start it again.",
                holder.verb, holder.pid
            ));
            return 50;
        }
        Err(error) => {
            super::complain(&format!("{tenant}: {error}"));
            return 50;
        }
    };
    let done = async {
        let state = journal.load().await?;
        let mut keys = known(&state);
        keys.sort();
        keys.dedup();
        if !keys.iter().any(|known| known == key) {
            return Ok(Some(keys));
        }
        let detail = action.detail.clone();
        changes.push(Change::Action(action));
        journal.commit(changes).await?;
        super::print(&format!("{tenant}: {detail}"));
        Ok::<_, JournalError>(None)
    };
    match done.await {
        Ok(None) => 0,
        Ok(Some(keys)) => {
            let keys = if keys.is_empty() { vec!["none".to_owned()] } else { keys };
            super::complain(&format!(
                "{tenant}: the journal knows no {kind} {key:?}; it knows {}",
                keys.join(", ")
            ));
            20
        }
        Err(error) => {
            super::complain(&format!("{tenant}: {error}"));
            50
        }
    }
}

/// `reload`; the exit code.
pub async fn reload(world: &World, config: &Config, _args: &ReloadArgs) -> u8 {
    for tenant in config.tenants.keys() {
        let dir = journal_dir(config, tenant);
        let running =
            Reader::open(&dir).and_then(|mut reader| reader.load()).ok().and_then(|state| state.holder);
        if running.is_none_or(|holder| holder.verb != "run") {
            continue;
        }
        return match ask(world, config, tenant, &Ask::Reload).await {
            Ok(Done::There(holder)) => {
                super::print(&format!("`tidegate run` (pid {}) reads its configuration again", holder.pid));
                0
            }
            Ok(Done::Here(_)) => continue,
            Err(error) => {
                super::complain(&error);
                50
            }
        };
    }
    super::complain(
        "no tenant of this configuration is held by a `tidegate run`: there is nothing to reload",
    );
    50
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_holder_refused_is_not_told_as_done() {
        let at = DateTime::from_timestamp_nanos(1_780_272_000_123_456_789);
        let kept = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap();
        let action =
            |what: &str, detail: &str| Action { at: kept, what: what.to_owned(), detail: detail.to_owned() };
        let actions = [action("start", "run"), action("refused", "request replay was not understood")];
        let told = refused(&actions, at).unwrap();
        assert!(told.ends_with("request replay was not understood"), "{told}");
        assert_eq!(refused(&actions, at + chrono::TimeDelta::seconds(1)), None, "another one's");
        assert_eq!(refused(&actions[..1], at), None);
    }
}
