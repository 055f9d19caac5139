//! Operators' requests: what a command asks, as changes to a journal. The process that holds the tenant carries them
//! out; where nobody holds it, the command itself does, by the same function.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_core::collect::feed;
use tidegate_core::journal::{Action, Change, DeadLetter, Handle, JournalError, Request};

/// What an operator asks of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Ask {
    /// Read older history of a stream.
    Backfill {
        /// The source's key.
        source: String,
        /// The stream's name.
        stream: String,
        /// From.
        from: DateTime<Utc>,
        /// Up to; none: up to where the live chain began.
        to: Option<DateTime<Utc>>,
        /// Read again what the ledger has.
        again: bool,
    },
    /// Send dead letters again; none named: all.
    DeadLettersRetry {
        /// Their numbers.
        ids: Vec<u64>,
    },
    /// Give dead letters up; none named: all.
    DeadLettersDrop {
        /// Their numbers.
        ids: Vec<u64>,
    },
    /// Read the configuration again.
    Reload,
}

/// What carrying out a request takes.
#[derive(Debug, Default)]
pub struct CarriedOut {
    /// To commit.
    pub changes: Vec<Change>,
    /// Whether the process should read its configuration again.
    pub reload: bool,
    /// How many things it touched.
    pub touched: usize,
}

impl Ask {
    /// As a row of the journal's request table.
    #[must_use]
    pub fn row(&self, at: DateTime<Utc>) -> Request {
        let verb = match self {
            Self::Backfill { .. } => "backfill",
            Self::DeadLettersRetry { .. } => "dead_letters_retry",
            Self::DeadLettersDrop { .. } => "dead_letters_drop",
            Self::Reload => "reload",
        };
        Request {
            id: 0,
            at,
            verb: verb.to_owned(),
            arguments: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

/// The changes that carry out a request, its own end included. A request that cannot be read is logged and ended.
///
/// # Errors
/// What the journal says.
pub async fn changes(journal: &Handle, request: &Request) -> Result<CarriedOut, JournalError> {
    let mut done = match serde_json::from_str::<Ask>(&request.arguments) {
        Ok(ask) => carry_out(journal, &ask, request.at).await?,
        Err(error) => {
            let detail = format!("request {} was not understood: {error}", request.verb);
            let action = Action { at: request.at, what: "refused".to_owned(), detail };
            CarriedOut { changes: vec![Change::Action(action)], ..CarriedOut::default() }
        }
    };
    done.changes.push(Change::RequestDone(request.id));
    Ok(done)
}

/// The changes that carry out what an operator asks.
///
/// # Errors
/// What the journal says.
pub async fn carry_out(journal: &Handle, ask: &Ask, at: DateTime<Utc>) -> Result<CarriedOut, JournalError> {
    let mut done = CarriedOut::default();
    let (what, detail) = match ask {
        Ask::Backfill { source, stream, from, to, again } => {
            done.changes.push(Change::Work(feed::backfill(source, stream, *from, *to, *again)));
            done.touched = 1;
            ("backfill", format!("{source}/{stream} from {}", from.format("%Y-%m-%dT%H:%M:%SZ")))
        }
        Ask::DeadLettersRetry { ids } => {
            let letters = chosen(journal, ids).await?;
            done.touched = letters.len();
            done.changes.extend(letters.into_iter().map(|l| Change::Dead(DeadLetter { retry: true, ..l })));
            ("retry", format!("{} dead letters", done.touched))
        }
        Ask::DeadLettersDrop { ids } => {
            let letters = chosen(journal, ids).await?;
            done.touched = letters.len();
            let names: Vec<String> =
                letters.iter().map(|l| format!("{}:{}/{}", l.sink, l.source, l.record)).take(20).collect();
            done.changes.extend(letters.iter().map(|l| Change::DeadDone(l.id)));
            ("drop", format!("{} dead letters ({})", done.touched, names.join(", ")))
        }
        Ask::Reload => {
            done.reload = true;
            ("reload", "configuration".to_owned())
        }
    };
    done.changes.push(Change::Action(Action { at, what: what.to_owned(), detail }));
    Ok(done)
}

async fn chosen(journal: &Handle, ids: &[u64]) -> Result<Vec<DeadLetter>, JournalError> {
    let mut out = Vec::new();
    let mut after = 0;
    loop {
        let letters = journal.dead(after, 500, false).await?;
        let Some(last) = letters.last() else { return Ok(out) };
        after = last.id;
        out.extend(letters.into_iter().filter(|letter| ids.is_empty() || ids.contains(&letter.id)));
    }
}
