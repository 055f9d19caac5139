//! One page of a log, and the envelope around it.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::config::Quirks;
use super::endpoint::Endpoint;
use super::legacy;
use super::params::Query;
use super::store::{Log, Place, Record};
use crate::answer::Answer;
use crate::faults::Fault;

/// What is answered.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) records: Vec<Bytes>,
    /// Where the next one begins; `None` when nothing more is visible at this moment.
    pub(super) next: Option<Place>,
    total: usize,
}

impl Page {
    /// The page that is due, with what a fault makes of it.
    pub(super) fn of(
        endpoint: Endpoint,
        log: &Log,
        query: &Query,
        now: DateTime<Utc>,
        fault: Option<&Fault>,
        before: &[Bytes],
    ) -> Self {
        let more = if matches!(fault, Some(Fault::OversizePage)) { query.limit } else { 0 };
        let range = &query.range;
        let mut found = log
            .walk(range, now)
            .filter_map(|(record, version)| {
                let raw = match endpoint {
                    Endpoint::AuthenticationV1 | Endpoint::TelephonyV1 => {
                        legacy::record(endpoint, record.occurred_at(), &version.raw)?
                    }
                    _ => version.raw.clone(),
                };
                Some((record, raw))
            })
            .filter(|(_, raw)| query.filter.matches(raw))
            .peekable();
        let first = found.peek().map(|(record, _)| Record::place(record));
        let taken: Vec<_> = found.by_ref().take(query.limit.saturating_add(more)).collect();
        let last = taken.last().map(|(record, _)| record.place());
        let next = last.filter(|_| !endpoint.is_v1() && found.peek().is_some());
        let records = taken.into_iter().map(|(_, raw)| raw).collect();
        let total = if endpoint.is_v1() {
            0
        } else if query.filter.is_empty() {
            log.count(range.from, range.to, now)
        } else {
            let whole = super::store::Range { after: None, ..range.clone() };
            log.walk(&whole, now).filter(|(_, version)| query.filter.matches(&version.raw)).count()
        };
        let mut page = Self { records, next: next.map(owned), total };
        if endpoint.is_v1() {
            return page;
        }
        // A place that leads to where the request began, but does not equal what was asked.
        let same = || match (&range.after, first) {
            (Some(place), _) => Some(nudged(endpoint, place, range.descending)),
            (None, Some((time, _))) => Some((time, edge(endpoint, range.descending).to_owned())),
            (None, None) => None,
        };
        match fault {
            Some(Fault::EmptyPage) if first.is_some() => {
                page = Self { records: Vec::new(), next: same(), ..page }
            }
            Some(Fault::DuplicatePage) if range.after.is_some() && !before.is_empty() => {
                page = Self { records: before.to_vec(), next: same(), ..page };
            }
            Some(Fault::LinkLoop) if range.after.is_some() => page.next.clone_from(&range.after),
            Some(Fault::NoNextLink) => page.next = None,
            _ => {}
        }
        page
    }

    pub(super) fn answer(&self, endpoint: Endpoint, quirks: Quirks, fault: Option<&Fault>) -> Answer {
        let metadata = self.metadata(endpoint, quirks, matches!(fault, Some(Fault::OddTypes)));
        let wrong = matches!(fault, Some(Fault::WrongEnvelope));
        let (open, close) = match (endpoint.is_v1(), wrong) {
            (true, false) => (r#"{"stat": "OK", "response": ["#.to_owned(), "]}".to_owned()),
            // The bare list where an object is due, an object where the list is.
            (false, true) => {
                (r#"{"stat": "OK", "response": ["#.to_owned(), format!(r#"], "metadata": {metadata}}}"#))
            }
            (true, true) => (r#"{"stat": "OK", "response": {"items": ["#.to_owned(), "]}}".to_owned()),
            (false, false) => {
                let at_top = endpoint == Endpoint::TrustMonitor && quirks.trust_monitor_metadata_at_top;
                let end = if at_top { "]}, " } else { "], " };
                let close = format!(r#"{end}"metadata": {metadata}{}"#, if at_top { "}" } else { "}}" });
                (format!(r#"{{"stat": "OK", "response": {{"{}": ["#, endpoint.list()), close)
            }
        };
        let size = self.records.iter().map(|record| record.len() + 2).sum::<usize>();
        let mut body = BytesMut::with_capacity(open.len() + close.len() + size);
        body.extend_from_slice(open.as_bytes());
        for (number, record) in self.records.iter().enumerate() {
            if number > 0 {
                body.extend_from_slice(b", ");
            }
            body.extend_from_slice(record);
        }
        body.extend_from_slice(close.as_bytes());
        Answer::with_type(StatusCode::OK, "application/json", body.freeze())
    }

    /// `odd`: the other form of the offset, and a total in text.
    fn metadata(&self, endpoint: Endpoint, quirks: Quirks, odd: bool) -> Value {
        let next = self.next.as_ref().map(|(time, tie)| match (endpoint, odd) {
            (Endpoint::TrustMonitor, false) => json!(format!("{time}{tie}")),
            (Endpoint::TrustMonitor, true) => {
                json!(format!("{time}{tie}").parse::<u64>().unwrap_or_default())
            }
            (Endpoint::Authentication, false) | (Endpoint::Activity | Endpoint::Telephony, true) => {
                json!([time.to_string(), tie])
            }
            _ => json!(format!("{time},{tie}")),
        });
        let listed = matches!(endpoint, Endpoint::Activity | Endpoint::Telephony);
        let total = match (odd, listed && quirks.total_objects_as_object) {
            (true, _) => json!(self.total.to_string()),
            (_, true) => json!({"relation": "eq", "value": self.total}),
            _ => json!(self.total),
        };
        if next.is_none() && listed && quirks.last_offset_absent {
            return json!({"total_objects": total});
        }
        json!({"next_offset": next, "total_objects": total})
    }
}

fn owned((time, tie): (i64, &str)) -> Place {
    (time, tie.to_owned())
}

/// Sorts before (descending: after) every id of a millisecond.
fn edge(endpoint: Endpoint, descending: bool) -> &'static str {
    match (endpoint, descending) {
        (Endpoint::TrustMonitor, _) => "000000",
        (_, false) => "0",
        (_, true) => "~~~~~~~~",
    }
}

/// Another place between the same two records.
fn nudged(endpoint: Endpoint, (time, tie): &Place, descending: bool) -> Place {
    let mut tie = tie.clone();
    if endpoint == Endpoint::TrustMonitor {
        let last = tie.pop().and_then(|digit| digit.to_digit(10)).unwrap_or(0);
        tie.push(char::from_digit((last + 1).min(9), 10).unwrap_or('9'));
    } else if descending {
        tie.pop();
    } else {
        tie.push('-');
    }
    (*time, tie)
}
