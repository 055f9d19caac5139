//! What `check --online` finds out of every source in the same way: can each stream be read, how much is to be expected and
//! does our share of the vendor's limit suffice for it, do the clocks agree. Nothing that is read is kept.

use crate::world::OpenSource;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use std::time::Duration;
use tidegate_core::collect::{StreamPlan, window};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::json::Tape;
use tidegate_core::source::{Place, PollError, Stream, StreamKind};
use tokio::time::Instant;

/// Waiting for the quota may take so long in all, a source.
const PATIENCE: Duration = Duration::from_secs(60);
/// And for the pages that only make an estimate better, so long.
const ESTIMATE: Duration = Duration::from_secs(5);
/// So many pages of a stream are read.
const PAGES: u64 = 3;
/// What is read of each stream: the last full hour that is visible.
const HOUR: TimeDelta = TimeDelta::hours(1);
/// A clock that is off by more is trouble: proofs fail, and windows are planned wrongly.
const CLOCK: TimeDelta = TimeDelta::seconds(30);
const DAY: Duration = Duration::from_secs(86_400);

/// What became of a stream's probe.
#[derive(Debug)]
pub enum Outcome {
    /// It can be read.
    Read {
        /// Records an hour that are to be expected, where that can be told.
        records: Option<u64>,
        /// Requests a day that are to be expected.
        requests: u64,
    },
    /// It cannot.
    Fails(Fault),
    /// Our share of the vendor's limit, or the vendor, would let the request go only after so long.
    Waits(Duration),
    /// The credential was refused, as is said elsewhere.
    Refused,
}

/// A budget of requests and the streams that spend from it.
#[derive(Debug)]
pub struct Spent {
    /// Its name and its streams.
    pub name: String,
    /// Requests a day that are to be expected of its streams.
    pub expected: u64,
    /// Requests a day that our share allows.
    pub allowed: u64,
    /// Limit, used by others, left: where the vendor says so.
    pub vendor: Option<(u32, u32, u32)>,
}

/// What was found out about a source.
#[derive(Debug, Default)]
pub struct Probed {
    /// Each stream that runs.
    pub streams: Vec<(&'static str, Outcome)>,
    /// The budgets.
    pub spent: Vec<Spent>,
    /// How far our clock is ahead of the vendor's.
    pub skew: Option<TimeDelta>,
}

/// A stream that answered, and what it answered so far. No page is kept: its body holds a slot that others wait for.
struct Reading<'s> {
    plan: &'s StreamPlan,
    /// Where it goes on; `None`: that was all.
    next: Option<Place>,
    pages: u64,
    records: u64,
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
}

impl<'s> Reading<'s> {
    fn new(plan: &'s StreamPlan, place: Place) -> Self {
        Self { plan, next: Some(place), pages: 0, records: 0, oldest: None, newest: None }
    }

    /// Reads one page.
    async fn read(&mut self, source: &OpenSource) -> Result<(), PollError> {
        let Some(place) = self.next.clone() else { return Ok(()) };
        let page = source.api.poll(self.plan.stream, &place).await?;
        let more = match place {
            Place::Feed { .. } => page.wait.is_zero(),
            Place::Window { .. } => true,
        };
        self.next = page.next.clone().filter(|_| more).map(|cursor| match place {
            Place::Feed { since, .. } => Place::Feed { cursor: Some(cursor), since },
            Place::Window { from, to, .. } => Place::Window { from, to, token: Some(cursor) },
        });
        self.pages += 1;
        self.records += page.records.len() as u64;
        let mut tape = Tape::default();
        for record in page.iter() {
            let record = tape.cut(record).ok();
            let time = record.and_then(|record| source.connector.identity(self.plan.stream, record).time);
            self.oldest = [self.oldest, time].into_iter().flatten().min();
            self.newest = self.newest.max(time);
        }
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        let records = if self.next.is_none() { Some(self.records) } else { self.rate() };
        // A stream that fits into one page costs one request a poll, however large pages may be.
        let size = if self.pages > 1 { self.records / self.pages } else { u64::MAX };
        let pages = records.map_or(0, |records| (records * 24).div_ceil(size.max(1)));
        Outcome::Read { records, requests: requests(self.plan, pages) }
    }

    /// Records an hour, by the time that lies between the first and the last of those that were read.
    fn rate(&self) -> Option<u64> {
        let between = self.newest? - self.oldest?;
        let millis = u64::try_from(between.num_milliseconds()).ok().filter(|millis| *millis > 0)?;
        let hour = u64::try_from(HOUR.num_milliseconds()).unwrap_or_default();
        Some(self.records.saturating_mul(hour) / millis)
    }
}

/// Requests a day: a poll each time, or what the records need; and the same again for each horizon, in its batches.
fn requests(plan: &StreamPlan, pages: u64) -> u64 {
    let times =
        |every: Duration| u64::try_from(DAY.as_millis() / every.as_millis().max(1)).unwrap_or(u64::MAX);
    let sweeps = plan.settle.iter().map(|horizon| {
        let batch = window::batch(TimeDelta::from_std(*horizon).unwrap_or(TimeDelta::MAX));
        times(batch.to_std().unwrap_or(DAY)).max(pages)
    });
    times(plan.poll).max(pages) + sweeps.sum::<u64>()
}

/// The last full hour that is visible by the vendor's clock.
fn place(plan: &StreamPlan, vendor: DateTime<Utc>) -> Place {
    match plan.stream.kind {
        StreamKind::Feed => Place::Feed { cursor: None, since: vendor - HOUR },
        StreamKind::Windowed { widest, .. } => {
            let edge = vendor - TimeDelta::from_std(plan.visible_after).unwrap_or_default();
            let to = edge.duration_trunc(HOUR).unwrap_or(edge);
            let long = TimeDelta::from_std(widest).unwrap_or(HOUR).min(HOUR);
            Place::Window { from: to - long, to, token: None }
        }
    }
}

/// Waits until a request of the stream may go; or says how long that would take.
async fn ready(source: &OpenSource, stream: &Stream, until: Instant) -> Result<(), Duration> {
    let http = source.http.of(stream.name);
    while let Some(wait) = http.ready(http.clock().now()) {
        if Instant::now() + wait > until {
            return Err(wait);
        }
        tokio::time::sleep(wait).await;
    }
    Ok(())
}

/// Probes a source. `refused`: its credential was refused already, so that this is not to be said once more.
pub async fn probe(source: &OpenSource, mut refused: bool) -> Probed {
    let until = Instant::now() + PATIENCE;
    let mut out: Vec<(&'static str, Outcome)> = Vec::new();
    let mut readings: Vec<Reading<'_>> = Vec::new();
    for plan in &source.streams {
        let stream = plan.stream;
        if refused {
            out.push((stream.name, Outcome::Refused));
            continue;
        }
        if let Err(wait) = ready(source, stream, until).await {
            out.push((stream.name, Outcome::Waits(wait)));
            continue;
        }
        let mut reading = Reading::new(plan, place(plan, source.http.their_now()));
        match reading.read(source).await {
            Ok(()) => readings.push(reading),
            Err(error) => {
                let mut fault = error.cause().clone();
                if fault.kind == FaultKind::Credential {
                    refused = true;
                    fault.remedy.get_or_insert_with(|| source.api.remedy());
                }
                out.push((stream.name, Outcome::Fails(fault)));
            }
        }
    }
    // Every stream has had its turn: what time is left makes estimates better.
    let until = until.min(Instant::now() + ESTIMATE);
    for reading in &mut readings {
        while reading.next.is_some() && reading.pages < PAGES {
            let ready = ready(source, reading.plan.stream, until).await;
            // Trouble of a later page says nothing new: the stream can be read.
            if ready.is_err() || reading.read(source).await.is_err() {
                break;
            }
        }
        out.push((reading.plan.stream.name, reading.outcome()));
    }
    let place = |name: &str| source.streams.iter().position(|plan| plan.stream.name == name);
    out.sort_by_key(|(name, _)| place(name));
    Probed { spent: spent(source, &out), skew: source.http.skew(), streams: out }
}

fn spent(source: &OpenSource, streams: &[(&'static str, Outcome)]) -> Vec<Spent> {
    let now = source.http.clock().now();
    let mut out = Vec::new();
    for (name, bucket) in source.http.buckets().iter() {
        let ours = streams.iter().filter_map(|(stream, outcome)| {
            let quota = source.http.of(stream).quota()?.clone();
            let Outcome::Read { requests, .. } = outcome else { return None };
            (quota.id() == bucket.id()).then_some((*stream, *requests, quota.period()))
        });
        let ours: Vec<_> = ours.collect();
        let Some(period) = ours.iter().map(|(_, _, period)| *period).max() else { continue };
        let names: Vec<&str> = ours.iter().map(|(stream, _, _)| *stream).collect();
        let status = bucket.status(now);
        let vendor = status.used.filter(|_| status.seen).map(|used| {
            let others = used.saturating_sub(u32::try_from(status.ours).unwrap_or(u32::MAX));
            (status.limit, others, status.limit.saturating_sub(used))
        });
        out.push(Spent {
            name: if names == [name] { name.to_owned() } else { format!("{name} ({})", names.join(", ")) },
            expected: ours.iter().map(|(_, requests, _)| requests).sum(),
            allowed: u64::try_from(DAY.as_nanos() / period.as_nanos().max(1)).unwrap_or(u64::MAX),
            vendor,
        });
    }
    out
}

/// Whether the clocks agree, in words, and the trouble if they do not.
#[must_use]
pub fn clock(skew: TimeDelta, vendor: &str) -> (String, Option<Fault>) {
    let seconds = skew.num_seconds();
    let line = match seconds {
        0 => format!("this machine's clock agrees with {vendor}'s"),
        1.. => format!("this machine's clock is {seconds} s ahead of {vendor}'s"),
        _ => format!("this machine's clock is {} s behind {vendor}'s", -seconds),
    };
    let fault = (skew.abs() > CLOCK).then(|| {
        Fault::new(FaultKind::Configuration, format!("this machine's clock differs from {vendor}'s"))
            .remedy("synchronise the clock (NTP)")
    });
    (line, fault)
}
