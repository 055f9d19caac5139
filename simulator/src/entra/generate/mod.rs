//! Realistic records out of a seed.

mod audit;
mod cases;
mod people;
mod risk;
mod sign_in;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use serde::Serialize;

use super::streams::{Resource, Stream, stream};
use crate::known::{Known, Lateness, Version};
use crate::rng::{Rng, mix};

/// Records to a burst, roughly, and the share of records in bursts.
const RECORDS_A_BURST: usize = 400;
const IN_BURSTS: f64 = 0.15;

/// What is to be generated. The same values give the same records, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// Tenant by id; the first of the configuration where absent.
    pub tenant: Option<String>,
    /// Stream by Tidegate's name, such as `sign_ins`; an unknown one gives no records.
    pub stream: String,
    /// The seed.
    pub seed: u64,
    /// Records, near-duplicates not counted. May be 0.
    pub records: usize,
    /// Begin of the time in which the records happen.
    pub start: DateTime<Utc>,
    /// Its length.
    pub spread: TimeDelta,
    /// How long after its time a record becomes visible.
    pub lateness: Lateness,
    /// Share of records that change later.
    pub mutated: f64,
    /// Share of sign-ins that come a second time with another id, nearly identical, as risk evaluation makes them.
    pub near_duplicates: f64,
    /// Share of records with null or missing members, unknown values and odd types.
    pub odd: f64,
    /// Times without fractions; otherwise 0, 3, 6 or 7 digits. With a spread of a second all records have equal times.
    pub whole_seconds: bool,
}

impl Generate {
    /// Records of a stream, with the lateness and the changes that are usual for it: sign-ins and audits 95 % within 2
    /// minutes, 99 % within 5, all within 2 hours; risk 5 minutes to 2 hours; every seventh interactive sign-in changes
    /// within 2 hours, every third risk detection within a month. A fiftieth is odd.
    #[must_use]
    pub fn new(name: &str, seed: u64, records: usize, start: DateTime<Utc>, spread: TimeDelta) -> Self {
        let resource = stream(name).map(|stream| stream.resource);
        let risk = resource.is_some_and(Resource::is_risk);
        let lateness = if risk {
            vec![(0.0, TimeDelta::minutes(5)), (0.6, TimeDelta::minutes(15)), (0.4, TimeDelta::hours(2))]
        } else {
            vec![(0.95, TimeDelta::minutes(2)), (0.04, TimeDelta::minutes(5)), (0.01, TimeDelta::hours(2))]
        };
        let mutated = match name {
            "sign_ins" => 0.15,
            "sign_ins_non_interactive" => 0.02,
            _ if risk => 0.3,
            _ => 0.0,
        };
        Self {
            tenant: None,
            stream: name.to_owned(),
            seed,
            records,
            start,
            spread,
            lateness: Lateness(lateness),
            mutated,
            near_duplicates: 0.0,
            odd: 0.02,
            whole_seconds: false,
        }
    }
}

/// Makes the records, by time. None for an unknown stream.
pub(crate) fn generate(plan: &Generate, tenant: &str) -> Vec<Known> {
    let Some(stream) = stream(&plan.stream) else { return Vec::new() };
    let kind = plan.stream.bytes().fold(0, |sum, byte| mix(sum, u64::from(byte)));
    let mut rng = Rng::new(mix(plan.seed, kind));
    let mut records = Vec::with_capacity(plan.records);
    for at in times(plan, &mut rng) {
        let time = Stamp::new(at, plan.whole_seconds, &mut rng);
        let draw = Draw { plan, stream, tenant, time };
        match stream.resource {
            Resource::SignIns => records.extend(sign_in::make(&draw, &mut rng)),
            Resource::DirectoryAudits => records.push(audit::directory_audit(&draw, &mut rng)),
            Resource::Provisioning => records.push(audit::provisioning(&draw, &mut rng)),
            Resource::RiskDetections | Resource::ServicePrincipalRiskDetections => {
                records.push(risk::make(&draw, &mut rng));
            }
        }
    }
    records
}

/// One record to be made.
struct Draw<'a> {
    plan: &'a Generate,
    stream: Stream,
    tenant: &'a str,
    time: Stamp,
}

impl Draw<'_> {
    /// When the record first becomes visible.
    fn visible(&self, rng: &mut Rng) -> DateTime<Utc> {
        self.time.at + self.plan.lateness.draw(rng)
    }

    fn is_odd(&self, rng: &mut Rng) -> bool {
        rng.unit() < self.plan.odd
    }

    fn changes(&self, rng: &mut Rng) -> bool {
        rng.unit() < self.plan.mutated
    }

    fn known(&self, id: String, versions: Vec<Version>) -> Known {
        Known { stream: self.stream.name.to_owned(), id, occurred_at: self.time.at, versions }
    }
}

/// A time as a record says it.
#[derive(Debug, Clone)]
struct Stamp {
    /// Exactly what the text says.
    at: DateTime<Utc>,
    text: String,
}

impl Stamp {
    /// With 0, 3, 6 or 7 digits of fractions, 7 most of the time.
    fn new(at: DateTime<Utc>, whole: bool, rng: &mut Rng) -> Self {
        let digits = if whole { 0 } else { *rng.pick(&[0_u32, 0, 3, 6, 7, 7, 7, 7]) };
        let unit = 10_u32.pow(9 - digits);
        let fraction = at.nanosecond().min(999_999_999) / unit;
        let at = at.with_nanosecond(fraction * unit).unwrap_or(at);
        let mut text = at.format("%Y-%m-%dT%H:%M:%S").to_string();
        if digits > 0 {
            let padded = format!(".{fraction:0width$}", width = digits as usize);
            // Some writers drop trailing zeros.
            text.push_str(padded.trim_end_matches('0').trim_end_matches('.'));
        }
        text.push('Z');
        Self { at, text }
    }
}

/// When the records happen: most anywhere, some in bursts of half a second, some at the very time of the one before.
fn times(plan: &Generate, rng: &mut Rng) -> Vec<DateTime<Utc>> {
    let spread = u64::try_from(plan.spread.num_microseconds().unwrap_or(i64::MAX)).unwrap_or(0);
    let bursts: Vec<u64> = (0..=plan.records / RECORDS_A_BURST).map(|_| rng.below(spread)).collect();
    let mut offsets: Vec<u64> = (0..plan.records)
        .map(|_| match rng.unit() < IN_BURSTS {
            true => (rng.pick(&bursts) + rng.below(500_000)).min(spread.saturating_sub(1)),
            false => rng.below(spread),
        })
        .collect();
    offsets.sort_unstable();
    let mut times: Vec<DateTime<Utc>> = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let at = plan.start
            + TimeDelta::microseconds(i64::try_from(offset).unwrap_or(0))
            + TimeDelta::nanoseconds(i64::try_from(rng.below(10) * 100).unwrap_or(0));
        match times.last() {
            Some(last) if rng.below(8) == 0 => times.push(*last),
            _ => times.push(at),
        }
    }
    times
}

/// A JSON string or null; the text holds nothing to be escaped.
fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

/// A row in the vendor's order of members.
fn raw(row: &impl Serialize) -> Bytes {
    // Plain data with text keys always has a JSON form.
    Bytes::from(serde_json::to_vec(row).unwrap_or_default())
}

/// A delay of at least a second and below `most`, short ones more often.
fn delay(most: TimeDelta, rng: &mut Rng) -> TimeDelta {
    let share = rng.unit();
    TimeDelta::seconds(1) + TimeDelta::milliseconds((most.num_milliseconds() as f64 * share * share) as i64)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_768_471_200, 0).expect("in range")
    }

    #[test]
    fn the_text_of_a_time_says_exactly_when_the_record_happened() {
        for stream in super::super::streams::STREAMS {
            let plan = Generate::new(stream.name, 3, 300, start(), TimeDelta::hours(1));
            for known in generate(&plan, "t") {
                for version in &known.versions {
                    let record: Value = serde_json::from_slice(&version.raw).expect("JSON");
                    let text = record[stream.resource.times()[0]].as_str().expect("a time");
                    assert_eq!(DateTime::parse_from_rfc3339(text).expect(text), known.occurred_at);
                    assert_eq!(record["id"], known.id.as_str());
                    assert!(version.visible_at >= known.occurred_at);
                }
                assert!(known.versions.is_sorted_by(|a, b| a.visible_at < b.visible_at), "{known:?}");
            }
        }
    }

    #[test]
    fn members_are_those_the_resource_is_known_by() {
        for stream in super::super::streams::STREAMS {
            let plan =
                Generate { odd: 0.0, ..Generate::new(stream.name, 3, 200, start(), TimeDelta::hours(1)) };
            for known in generate(&plan, "t") {
                let record: Value = serde_json::from_slice(&known.versions[0].raw).expect("JSON");
                for name in record.as_object().expect("an object").keys() {
                    let all = [stream.resource.members(), stream.resource.beta_members()].concat();
                    assert!(all.contains(&name.as_str()), "{} has no {name}", stream.name);
                }
            }
        }
    }
}
