//! Operators' requests: what a command asks, as changes to a journal. The process that holds the tenant carries them
//! out; where nobody holds it, the command itself does, by the same function.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_core::collect::feed;
use tidegate_core::journal::{
    Action, Change, DeadLetter, Fetched, Handle, JournalError, Lack, Lane, PageId, Purpose, Request, Span,
    State, StreamKey,
};

/// Replays that may wait at a sink, in ranges: each is asked for pages at every turn.
const REPLAYS: usize = 64;
/// Numbers of dead letters that an entry of the action log names.
const NAMED: usize = 20;

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
    /// Deliver once more what was fetched in a time.
    Replay(Replay),
    /// Send dead letters again.
    DeadLettersRetry {
        /// Their numbers; none: all that the choice fits.
        ids: Vec<u64>,
        /// Which ones.
        #[serde(default)]
        choice: Choice,
    },
    /// Give dead letters up.
    DeadLettersDrop {
        /// Their numbers; none: all that the choice fits.
        ids: Vec<u64>,
        /// Which ones.
        #[serde(default)]
        choice: Choice,
    },
    /// Read the configuration again.
    Reload,
}

/// What is to be delivered once more, to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The sink's key.
    pub sink: String,
    /// Pages fetched since then.
    pub from: DateTime<Utc>,
    /// Pages fetched before then.
    pub to: DateTime<Utc>,
    /// Only this source.
    pub source: Option<String>,
    /// Only streams of this name.
    pub stream: Option<String>,
    /// Documents get an id of their own with this label, and say so.
    pub mark: Option<String>,
}

/// Which dead letters; what is not named fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The sink's key.
    pub sink: Option<String>,
    /// The source's key.
    pub source: Option<String>,
    /// `normalize`, `rejected`, `unrouted`, `internal`.
    pub kind: Option<String>,
    /// Made since then.
    pub since: Option<DateTime<Utc>>,
}

impl Choice {
    /// Whether a letter is meant.
    #[must_use]
    pub fn fits(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
        is(&self.sink, &letter.sink)
            && is(&self.source, &letter.source)
            && is(&self.kind, &letter.kind)
            && self.since.is_none_or(|since| letter.at >= since)
    }
}

/// An ask, and who asks.
#[derive(Serialize, Deserialize)]
struct Asked {
    #[serde(flatten)]
    ask: Ask,
    #[serde(default)]
    by: String,
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
    /// Why it cannot be done; the changes only say so.
    pub refused: Option<String>,
}

impl Ask {
    /// As a row of the journal's request table.
    #[must_use]
    pub fn row(&self, at: DateTime<Utc>) -> Request {
        let verb = match self {
            Self::Backfill { .. } => "backfill",
            Self::Replay(_) => "replay",
            Self::DeadLettersRetry { .. } => "dead_letters_retry",
            Self::DeadLettersDrop { .. } => "dead_letters_drop",
            Self::Reload => "reload",
        };
        let arguments = serde_json::to_string(&Asked { ask: self.clone(), by: who() }).unwrap_or_default();
        Request { id: 0, at, verb: verb.to_owned(), arguments }
    }
}

/// Who gives this command, for the action log: the user's name where the environment tells it, and the number.
fn who() -> String {
    use std::os::unix::fs::MetadataExt;
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
    let name = name.filter(|name| !name.is_empty() && name.len() <= 64);
    let number = std::fs::metadata("/proc/self").map(|ours| ours.uid()).ok();
    match (name, number) {
        (Some(name), Some(number)) => format!("{name} (uid {number})"),
        (Some(name), None) => name,
        (None, Some(number)) => format!("uid {number}"),
        (None, None) => String::new(),
    }
}

/// The changes that carry out a request, its own end included. A request that cannot be read is logged and ended.
///
/// # Errors
/// What the journal says.
pub async fn changes(journal: &Handle, request: &Request) -> Result<CarriedOut, JournalError> {
    let mut done = match serde_json::from_str::<Asked>(&request.arguments) {
        Ok(Asked { ask, by }) => done_by(journal, &ask, &by, request.at).await?,
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
    done_by(journal, ask, &who(), at).await
}

async fn done_by(
    journal: &Handle,
    ask: &Ask,
    by: &str,
    at: DateTime<Utc>,
) -> Result<CarriedOut, JournalError> {
    let mut done = CarriedOut::default();
    let (what, detail) = match ask {
        Ask::Backfill { source, stream, from, to, again } => {
            done.changes.push(Change::Work(feed::backfill(source, stream, *from, *to, *again)));
            done.touched = 1;
            ("backfill", format!("{source}/{stream} from {}", from.format("%Y-%m-%dT%H:%M:%SZ")))
        }
        Ask::Replay(replay) => match spans(journal, replay, at).await? {
            Ok(spans) => {
                done.touched = spans.len();
                done.changes.extend(spans.into_iter().map(Change::Span));
                ("replay", replay.to_string())
            }
            Err(why) => {
                let detail = format!("replay {replay}: {why}");
                done.refused = Some(why);
                ("refused", detail)
            }
        },
        Ask::DeadLettersRetry { ids, choice } => {
            let letters = chosen(journal, ids, choice).await?;
            done.touched = letters.len();
            done.changes.extend(letters.iter().map(|letter| Change::DeadRetry(letter.0)));
            ("retry", named(&letters))
        }
        Ask::DeadLettersDrop { ids, choice } => {
            let letters = chosen(journal, ids, choice).await?;
            done.touched = letters.len();
            done.changes.extend(letters.iter().map(|letter| Change::DeadDone(letter.0)));
            ("drop", named(&letters))
        }
        Ask::Reload => {
            done.reload = true;
            ("reload", "configuration".to_owned())
        }
    };
    let detail = if by.is_empty() { detail } else { format!("{detail}; by {by}") };
    done.changes.push(Change::Action(Action { at, what: what.to_owned(), detail }));
    Ok(done)
}

/// A letter's number, and what it is in the action log.
type Chosen = (u64, String);

async fn chosen(journal: &Handle, ids: &[u64], choice: &Choice) -> Result<Vec<Chosen>, JournalError> {
    let mut out = Vec::new();
    let mut after = 0;
    loop {
        let letters = journal.dead(after, 100, false).await?;
        let Some(last) = letters.last() else { return Ok(out) };
        after = last.id;
        let meant =
            |letter: &&DeadLetter| (ids.is_empty() || ids.contains(&letter.id)) && choice.fits(letter);
        // Not the letters: each holds a copy of its record.
        out.extend(letters.iter().filter(meant).map(|l| (l.id, format!("{} {}→{}", l.id, l.source, l.sink))));
    }
}

fn named(letters: &[Chosen]) -> String {
    let names: Vec<&str> = letters.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
    let more = letters.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} dead letters ({}{more})", letters.len(), names.join(", "))
}

impl std::fmt::Display for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |at: &DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        write!(
            f,
            "to sink {} of what was fetched from {} to {}",
            self.sink,
            time(&self.from),
            time(&self.to)
        )?;
        if let Some(source) = &self.source {
            write!(f, ", source {source}")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, ", stream {stream}")?;
        }
        match &self.mark {
            Some(mark) => write!(f, ", marked {mark}"),
            None => Ok(()),
        }
    }
}

async fn spans(
    journal: &Handle,
    replay: &Replay,
    at: DateTime<Utc>,
) -> Result<Result<Vec<Span>, String>, JournalError> {
    let (journal, replay) = (journal.journal().clone(), replay.clone());
    let look = move || {
        let of = (replay.source.as_deref(), replay.stream.as_deref());
        let (state, fetched) = (journal.load()?, journal.fetched(replay.from, replay.to, of)?);
        replay_spans(&state, &fetched, &replay, at, |span| journal.lacks(span))
    };
    tokio::task::spawn_blocking(look)
        .await
        .unwrap_or_else(|error| Err(JournalError::State { path: "journal".to_owned(), source: error.into() }))
}

/// The ranges of a replay, one a lane, or one a lane and stream where only some are wanted; or why there are none.
///
/// # Errors
/// What `lacks` says.
pub fn replay_spans(
    state: &State,
    fetched: &Fetched,
    replay: &Replay,
    at: DateTime<Utc>,
    mut lacks: impl FnMut(&Span) -> Result<Vec<Lack>, JournalError>,
) -> Result<Result<Vec<Span>, String>, JournalError> {
    let ours: Vec<&Span> = state.spans.iter().filter(|span| span.sink == replay.sink).collect();
    if ours.is_empty() {
        return Ok(Err(format!(
            "the journal knows no sink {:?}: nothing was ever delivered to it",
            replay.sink
        )));
    }
    if fetched.trimmed {
        let since = fetched.kept_since.map_or_else(
            || "no younger page is kept".to_owned(),
            |since| format!("it is possible from {} on", since.format("%Y-%m-%dT%H:%M:%SZ")),
        );
        return Ok(Err(format!("pages of that time are trimmed already ([journal] keep, budget); {since}")));
    }
    let mut out = Vec::new();
    for (lane, first, last) in &fetched.pages {
        let place = ours.iter().find(|span| span.lane == *lane && span.follows());
        let mut end = last.saturating_add(1);
        if let (None, Some(place)) = (&replay.mark, place) {
            // What is not delivered yet comes anyway.
            end = end.min(place.next_page.saturating_add(u64::from(place.next_record > 0)));
        }
        if *first >= end {
            continue;
        }
        // What waits in a range beside the one that follows comes anyway, too: where nothing recognises documents, it would
        // come twice.
        let coming = |span: &&&Span| {
            let closer = !span.follows() && span.purpose != Purpose::Replay && span.lane == *lane;
            closer && span.next_page < end && span.to.is_none_or(|to| to > *first)
        };
        let coming: Vec<&Span> = match replay.mark {
            None => ours.iter().filter(coming).copied().collect(),
            Some(_) => Vec::new(),
        };
        let whole = Span {
            to: Some(end),
            mark: replay.mark.clone(),
            purpose: Purpose::Replay,
            since: Some(at),
            ..Span::follow(&replay.sink, *lane, *first)
        };
        if replay.source.is_none() && replay.stream.is_none() && coming.is_empty() {
            out.push(whole);
            continue;
        }
        let wanted = |lack: &Lack| {
            replay.source.as_ref().is_none_or(|source| *source == lack.of.source)
                && replay.stream.as_ref().is_none_or(|stream| *stream == lack.of.stream)
        };
        for lack in lacks(&whole)?.into_iter().filter(wanted) {
            let mut pieces = vec![(lack.pages.0, lack.pages.1.saturating_add(1))];
            for (from, to) in coming.iter().filter_map(|span| brings(span, &lack.of)) {
                let around = |(first, end): (PageId, PageId)| [(first, end.min(from)), (first.max(to), end)];
                pieces = pieces.into_iter().flat_map(around).filter(|(first, end)| first < end).collect();
            }
            for (first, end) in pieces {
                let piece =
                    Span { next_page: first, to: Some(end), only: Some(lack.of.clone()), ..whole.clone() };
                if !lacks(&piece)?.is_empty() {
                    out.push(piece);
                }
            }
        }
    }
    let waiting = ours.iter().filter(|span| span.purpose == Purpose::Replay).count();
    Ok(if out.is_empty() {
        Err("nothing was fetched in that time that this sink has had".to_owned())
    } else if waiting.saturating_add(out.len()) > REPLAYS {
        Err(format!(
            "it would be {} ranges, {waiting} wait at this sink already (tidegate status), and {REPLAYS} may; wait until they \
             are delivered, or replay less",
            out.len()
        ))
    } else {
        Ok(out)
    })
}

/// The pages in which a range still brings records of a stream, if there are any.
fn brings(span: &Span, of: &StreamKey) -> Option<(PageId, PageId)> {
    if span.only.as_ref().is_some_and(|only| only != of) {
        return None;
    }
    // A page of which a part is delivered is replayed as a whole.
    let mut from = span.next_page.saturating_add(u64::from(span.next_record > 0));
    for left in span.except.iter().filter(|left| left.of == *of) {
        from = from.max(left.until?);
    }
    Some((from, span.to.unwrap_or(PageId::MAX))).filter(|(from, to)| from < to)
}

/// The lanes that a replay covers, for people.
#[must_use]
pub fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Live => "live",
        Lane::Sweep => "sweep",
        Lane::Backfill => "backfill",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn who_asked_travels_with_the_request_and_older_requests_are_still_understood() {
        let ask = Ask::DeadLettersDrop { ids: vec![7], choice: Choice::default() };
        let row = ask.row(DateTime::UNIX_EPOCH);
        let asked: Asked = serde_json::from_str(&row.arguments).unwrap();
        assert_eq!((asked.ask, asked.by.contains("uid")), (ask.clone(), true));
        let old: Asked = serde_json::from_str(r#"{"verb":"dead_letters_drop","ids":[7]}"#).unwrap();
        assert_eq!((old.ask, old.by), (ask, String::new()));
    }

    #[test]
    fn an_entry_of_the_action_log_stays_short_however_many_letters_there_were() {
        let letters: Vec<Chosen> = (0..10_000).map(|n| (n, format!("{n} okta→siem"))).collect();
        let text = named(&letters);
        assert!(
            text.starts_with("10000 dead letters (0 okta→siem, ") && text.ends_with(" and 9980 more)"),
            "{text}"
        );
        assert!(text.len() < 500);
    }

    #[test]
    fn a_replay_without_a_mark_leaves_out_what_a_backlog_or_a_parked_range_brings_anyway() {
        let at = DateTime::UNIX_EPOCH;
        let (log, chat) = (StreamKey::new("okta", "log"), StreamKey::new("okta", "chat"));
        let left = |until| tidegate_core::journal::LeftOut { of: chat.clone(), until };
        let backlog = Span {
            to: Some(50),
            purpose: Purpose::CatchUp,
            except: vec![left(None)],
            ..Span::follow("siem", Lane::Live, 20)
        };
        let parked = Span {
            to: Some(50),
            purpose: Purpose::Parked,
            only: Some(chat.clone()),
            ..Span::follow("siem", Lane::Live, 10)
        };
        let state =
            State { spans: vec![Span::follow("siem", Lane::Live, 80), backlog, parked], ..State::default() };
        let fetched = Fetched { pages: vec![(Lane::Live, 1, 99)], trimmed: false, kept_since: None };
        let replay = |mark: Option<&str>| Replay {
            sink: "siem".to_owned(),
            from: at,
            to: at,
            source: None,
            stream: None,
            mark: mark.map(str::to_owned),
        };
        // Each page holds records of one stream: even ones log, odd ones chat.
        let lacks = |span: &Span| {
            let of = |of: &StreamKey, odd: u64| {
                let pages = (span.next_page..span.to.unwrap_or(100)).filter(|page| page % 2 == odd);
                let pages: Vec<u64> =
                    pages.filter(|page| !span.leaves_out("okta", &of.stream, *page)).collect();
                let ends = (*pages.first()?, *pages.last()?);
                Some(Lack { of: of.clone(), records: pages.len() as u64, pages: ends, fetched: (at, at) })
            };
            Ok([of(&log, 0), of(&chat, 1)].into_iter().flatten().collect())
        };
        let told = |mark| {
            let spans = replay_spans(&state, &fetched, &replay(mark), at, lacks).unwrap().unwrap();
            spans.into_iter().map(|s| (s.only.map(|of| of.stream), s.next_page, s.to)).collect::<Vec<_>>()
        };
        let piece = |of: &StreamKey, from, to| (Some(of.stream.clone()), from, Some(to));
        assert_eq!(
            told(None),
            [piece(&log, 2, 20), piece(&log, 50, 79), piece(&chat, 1, 10), piece(&chat, 50, 80)]
        );
        assert_eq!(told(Some("fix")), [(None, 1, Some(100))], "marked documents are new, all of them");
    }
}
