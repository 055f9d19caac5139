//! What a request asks for, checked as the vendor checks it.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use super::config::Quirks;
use super::endpoint::Endpoint;
use super::filter::Filter;
use super::refusal::Refusal;
use super::store::{Place, Range};

/// How long records can be read, and how long a range may be.
pub(super) const RETENTION: TimeDelta = TimeDelta::days(180);
/// A client that asks for all of the retention says so a moment before the server reads it.
const GRACE: TimeDelta = TimeDelta::minutes(1);
/// Highest `limit`, and what an endpoint without one gives.
pub(super) const MOST: usize = 1000;
const DEFAULT_LIMIT: usize = 100;
/// Digits of epoch milliseconds since 2001.
const MS_DIGITS: usize = 13;

/// A checked query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) range: Range,
    pub(super) limit: usize,
    pub(super) filter: Filter,
}

/// The parameters as sent, decoded.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    pub(super) fn of(query: &'a str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// All values of a name, in the order in which they were sent.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_ref())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn ms(&self, name: &str, quirks: Quirks) -> Result<i64, Refusal> {
        let value = self.first(name).ok_or_else(|| {
            if quirks.missing_parameter_as_40002 {
                Refusal::parameter(format!("{name} is required"))
            } else {
                Refusal::missing_parameter(name)
            }
        })?;
        ms(value).ok_or_else(|| Refusal::parameter(format!("{name} must be a timestamp in milliseconds")))
    }
}

fn ms(text: &str) -> Option<i64> {
    let digits = text.len() == MS_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

impl Query {
    pub(super) fn parse(
        endpoint: Endpoint,
        parameters: &Parameters<'_>,
        quirks: Quirks,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let kept = (now - RETENTION).timestamp_millis();
        let now_ms = now.timestamp_millis();
        if endpoint.is_v1() {
            let seconds: i64 = match parameters.first("mintime") {
                None => 0,
                Some(text) => text.parse::<u32>().map(i64::from).or_else(|_| {
                    // Milliseconds are seconds of a far future here.
                    ms(text).ok_or_else(|| Refusal::parameter("mintime must be a timestamp in seconds"))
                })?,
            };
            let from = seconds.saturating_mul(1000).max(kept);
            let range = Range { from, to: now_ms, descending: false, after: None };
            return Ok(Self { range, limit: MOST, filter: Filter::default() });
        }
        let (from, to) = (parameters.ms("mintime", quirks)?, parameters.ms("maxtime", quirks)?);
        if from >= to {
            return Err(Refusal::parameter("mintime must be less than maxtime"));
        }
        if from < kept - GRACE.num_milliseconds() {
            return Err(Refusal::parameter("mintime must be within the past 180 days"));
        }
        if to - from > (RETENTION + GRACE).num_milliseconds() {
            return Err(Refusal::parameter("maxtime must be within 180 days of mintime"));
        }
        if quirks.refuse_future_maxtime && to > now_ms {
            return Err(Refusal::parameter("maxtime must not be in the future"));
        }
        let most = if endpoint == Endpoint::TrustMonitor { quirks.trust_monitor_limit } else { MOST };
        let limit = match parameters.first("limit") {
            None => DEFAULT_LIMIT.min(most),
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| Refusal::parameter(format!("limit must be from 1 to {most}")))?,
        };
        let descending = match parameters.first("sort") {
            // The trust monitor knows no order but the ascending one.
            _ if endpoint == Endpoint::TrustMonitor => false,
            None | Some("ts:desc") => true,
            Some("ts:asc") => false,
            Some(_) => return Err(Refusal::parameter("sort must be ts:asc or ts:desc")),
        };
        let after = offset(endpoint, parameters)?;
        let filter = Filter::parse(endpoint, parameters)?;
        let range = Range { from: from.max(kept), to: to.min(now_ms), descending, after };
        Ok(Self { range, limit, filter })
    }
}

/// The place after which to go on: `ms,id` in one value or two, or the trust monitor's number.
fn offset(endpoint: Endpoint, parameters: &Parameters<'_>) -> Result<Option<Place>, Refusal> {
    let name = if endpoint == Endpoint::TrustMonitor { "offset" } else { "next_offset" };
    let values: Vec<&str> = parameters.all(name).collect();
    let place = match (endpoint, values.as_slice()) {
        (_, []) => return Ok(None),
        (Endpoint::TrustMonitor, [number]) => numbered(number),
        (Endpoint::TrustMonitor, _) => None,
        (_, [joined]) => joined.split_once(',').and_then(place),
        (_, [time, id]) => place((time, id)),
        _ => None,
    };
    place.map(Some).ok_or_else(|| Refusal::parameter(format!("{name} is not valid")))
}

fn place((time, id): (&str, &str)) -> Option<Place> {
    let valid = !id.is_empty() && !id.contains(',');
    Some((ms(time).filter(|_| valid)?, id.to_owned()))
}

/// Milliseconds with the number of the record in its millisecond written behind them; bare milliseconds (which clients
/// make from the last record) are after all records of that one.
fn numbered(text: &str) -> Option<Place> {
    let (time, number) = text.split_at_checked(MS_DIGITS)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if number.is_empty() { "~" } else { number };
    Some((ms(time).filter(|_| digits)?, number.to_owned()))
}
