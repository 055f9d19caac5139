//! Realistic records out of a seed.

mod admin;
mod auth;
mod other;
mod people;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

pub(super) use people::group_name;

use super::store::{Names, New, WHOLE_SECONDS};
use crate::known::{Lateness, Version};
use crate::rng::{Rng, mix};

/// What is to be generated. The same values give the same records, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// `authentication`, `activity`, `telephony`, `trust_monitor`, `administrator` or `offline_enrollment`; another name
    /// gives nothing.
    pub stream: String,
    /// The child account that they belong to; the account itself by default.
    pub account: Option<String>,
    /// The seed.
    pub seed: u64,
    /// How many.
    pub records: usize,
    /// Begin of the time in which they happen.
    pub start: DateTime<Utc>,
    /// Its length.
    pub spread: TimeDelta,
    /// How long after its time a record becomes visible, but never before
    /// [`visible_after`](super::DuoConfig::visible_after).
    pub lateness: Lateness,
    /// Share of records that change later: events of the trust monitor that are looked through, within three days. Other
    /// records never change.
    pub mutated: f64,
    /// Share of records that repeat the one before in every byte, where records bear no id and whole seconds
    /// (`administrator`, `offline_enrollment`).
    pub equal: f64,
    /// Share of records that bend the schema: nulls, wrong types, values and members that nobody has listed.
    pub odd: f64,
}

impl Generate {
    /// Records that are late by no more than the vendor's two minutes; a tenth of the trust monitor's change, a
    /// fiftieth repeat the one before, a twelfth are odd.
    #[must_use]
    pub fn new(stream: &str, seed: u64, records: usize, start: DateTime<Utc>, spread: TimeDelta) -> Self {
        Self {
            stream: stream.to_owned(),
            account: None,
            seed,
            records,
            start,
            spread,
            lateness: Lateness(vec![(0.9, TimeDelta::seconds(20)), (0.1, TimeDelta::minutes(2))]),
            mutated: if stream == "trust_monitor" { 0.1 } else { 0.0 },
            equal: 0.02,
            odd: 1.0 / 12.0,
        }
    }
}

/// What a record is made with.
struct Draft<'a> {
    rng: &'a mut Rng,
    at: DateTime<Utc>,
    /// Which oddity, by turns, so that each of them comes up; `None` for an ordinary record.
    odd: Option<usize>,
}

/// Makes the records, by time.
pub(super) fn generate(plan: &Generate) -> Vec<New> {
    let mut rng = Rng::new(mix(plan.seed, plan.stream.bytes().fold(0xd00, |sum, b| mix(sum, u64::from(b)))));
    let whole_seconds = WHOLE_SECONDS.contains(&plan.stream.as_str());
    let mut odd_ones = 0;
    let mut news: Vec<New> = Vec::with_capacity(plan.records);
    let mut last: Option<(DateTime<Utc>, Value)> = None;
    for at in times(plan, whole_seconds, &mut rng) {
        if whole_seconds
            && rng.unit() < plan.equal
            && let Some(before) = news.last()
        {
            news.push(before.clone());
            continue;
        }
        let odd = (rng.unit() < plan.odd).then_some(odd_ones);
        odd_ones += usize::from(odd.is_some());
        let before =
            last.as_ref().filter(|(then, _)| at - *then > TimeDelta::seconds(1)).map(|(_, value)| value);
        let draft = Draft { rng: &mut rng, at, odd };
        let value = match plan.stream.as_str() {
            "authentication" => auth::record(draft, before),
            "activity" => admin::activity(draft),
            "telephony" => other::telephony(draft, before),
            "trust_monitor" => other::trust_monitor(draft),
            "administrator" => admin::administrator(draft),
            "offline_enrollment" => other::offline_enrollment(draft),
            _ => return Vec::new(),
        };
        let visible_at = at + plan.lateness.draw(&mut rng);
        let mut versions = vec![Version { visible_at, raw: written(&value, &mut rng) }];
        if plan.stream == "trust_monitor" && rng.unit() < plan.mutated {
            let later = visible_at + TimeDelta::seconds(i64::try_from(rng.below(3 * 86_400)).unwrap_or(0));
            let raw = written(&other::looked_through(&value, later), &mut rng);
            versions.push(Version { visible_at: later, raw });
        }
        news.push(New { occurred_at: at, names: Names::of(&plan.stream, &value), versions });
        last = Some((at, value));
    }
    news
}

/// Times in order: mostly single ones, some of the same millisecond, some in a burst of two seconds, some on a full
/// second.
fn times(plan: &Generate, whole_seconds: bool, rng: &mut Rng) -> Vec<DateTime<Utc>> {
    let spread = u64::try_from(plan.spread.num_milliseconds()).unwrap_or(0);
    let mut times = Vec::with_capacity(plan.records);
    while times.len() < plan.records {
        let at = rng.below(spread);
        let (count, within) = match rng.below(40) {
            0 => (8 + rng.below(30), 2_000),
            1..=4 => (2 + rng.below(3), 1),
            _ => (1, 1),
        };
        for _ in 0..count {
            times.push((at + rng.below(within)).min(spread) * 1000 + rng.below(1000));
        }
    }
    times.truncate(plan.records);
    let on_time = |micros: u64| {
        let at = plan.start + TimeDelta::microseconds(i64::try_from(micros).unwrap_or(0));
        let full = DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
        if whole_seconds || (micros.is_multiple_of(37) && full >= plan.start) { full } else { at }
    };
    let mut times: Vec<_> = times.into_iter().map(on_time).collect();
    times.sort_unstable();
    times
}

/// JSON text; half of it in ASCII, as either is legal.
fn written(value: &Value, rng: &mut Rng) -> Bytes {
    let text = value.to_string();
    if text.is_ascii() || rng.below(2) == 0 {
        return Bytes::from(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for char in text.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            char.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    Bytes::from(out)
}

/// Gives a member (names apart by `/`) another value.
fn set(value: &mut Value, path: &str, new: Value) {
    let (parents, name) = path.rsplit_once('/').map_or(("", path), |(parents, name)| (parents, name));
    let parent =
        parents.split('/').filter(|name| !name.is_empty()).try_fold(value, |value, name| value.get_mut(name));
    if let Some(members) = parent.and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), new);
    }
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().and_then(|members| members.remove(name));
}

/// A time to the microsecond, as Python writes it: without a fraction where that is zero.
fn micros(at: DateTime<Utc>) -> String {
    let format = if at.timestamp_subsec_micros() == 0 {
        "%Y-%m-%dT%H:%M:%S+00:00"
    } else {
        "%Y-%m-%dT%H:%M:%S%.6f+00:00"
    };
    at.format(format).to_string()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const STREAMS: [&str; 6] =
        ["authentication", "activity", "telephony", "trust_monitor", "administrator", "offline_enrollment"];

    fn plan(stream: &str) -> Generate {
        let start = DateTime::from_timestamp(1_768_471_200, 0).expect("in range");
        Generate::new(stream, 3, 3_000, start, TimeDelta::days(2))
    }

    fn text_of(stream: &str) -> String {
        let raw = |new: New| new.versions.into_iter().map(|version| version.raw).collect::<Vec<_>>();
        let bytes: Vec<Bytes> = generate(&plan(stream)).into_iter().flat_map(raw).collect();
        String::from_utf8(bytes.join(&b'\n')).expect("text")
    }

    #[test]
    fn a_seed_gives_the_same_records_byte_for_byte() {
        for stream in STREAMS {
            assert_eq!(text_of(stream), text_of(stream));
            let other = generate(&Generate { seed: 4, ..plan(stream) });
            assert_ne!(other.first(), generate(&plan(stream)).first());
        }
        assert!(generate(&plan("sign_ins")).is_empty(), "not a stream of this vendor");
    }

    #[test]
    fn every_record_is_json_of_its_time_and_many_share_one() {
        for stream in STREAMS {
            let news = generate(&plan(stream));
            assert_eq!(news.len(), 3_000, "{stream}");
            assert!(news.is_sorted_by_key(|new| new.occurred_at), "{stream}");
            let mut in_ms: HashMap<i64, usize> = HashMap::new();
            for new in &news {
                let first = new.versions.first().expect("a version");
                let value: Value = serde_json::from_slice(&first.raw).expect("JSON");
                assert_eq!(new.names, Names::of(stream, &value), "{stream}");
                *in_ms.entry(new.occurred_at.timestamp_millis()).or_default() += 1;
            }
            assert!(in_ms.values().any(|count| *count > 2), "{stream}: ties");
        }
    }

    #[test]
    fn what_the_contract_asks_for_comes_up() {
        for (stream, wanted) in [
            (
                "authentication",
                &[
                    r#""event_type":"enrollment""#,
                    r#""result":"fraud""#,
                    r#""reason":"user_marked_fraud""#,
                    r#""reason":"no_response""#,
                    r#""security_agents":null"#,
                    r#""security_agents":[]"#,
                    r#""security_agents":"unknown""#,
                    r#""security_agent":""#,
                    r#""is_firewall_enabled":"unknown""#,
                    r#""is_firewall_enabled":true"#,
                    r#""ip":"198.51.100.23:51234""#,
                    r#""ip":"0.0.0.0""#,
                    r#""access_device":null"#,
                    r#""factor":null"#,
                    r#""factor":"desktop_passkey""#,
                    r#"(from AD sync \"Example AD\")"#,
                    r#""trust_level":"LOW""#,
                    "+00:00",
                    "\\u00eb",
                    "ë",
                ][..],
            ),
            (
                "activity",
                &[
                    r#""action":"user_update""#,
                    r#""action":{"details":"#,
                    r#""old_target":{"#,
                    r#""outcome":null"#,
                    r#""ip":{"address":"#,
                    "admin_rectivates_duo_push",
                ],
            ),
            ("telephony", &[r#""type":"phone""#, r#""context":"administrator login""#, r#""txid":null"#]),
            (
                "trust_monitor",
                &[
                    r#""type":"bypass_status""#,
                    r#""type":"device_registration""#,
                    r#""surfaced_auth":{"#,
                    r#""state":"processed""#,
                    r#""priority_event":true"#,
                ],
            ),
            (
                "administrator",
                &[
                    r#""description":null"#,
                    r#""description":"[\""#,
                    r#""description":"{\""#,
                    r#""description":"{'"#,
                    r#""username":"API""#,
                    r#""username":"""#,
                    "T10: ",
                ],
            ),
            (
                "offline_enrollment",
                &["o2fa_user_provisioned", "o2fa_user_deprovisioned", "o2fa_user_reenrolled"],
            ),
        ] {
            let text = text_of(stream);
            for part in wanted {
                assert!(text.contains(part), "{stream}: {part}");
            }
        }
    }

    #[test]
    fn a_transaction_has_two_records_now_and_then_and_equal_records_occur_without_an_id() {
        let mut transactions: HashMap<String, usize> = HashMap::new();
        for record in text_of("authentication").lines() {
            let value: Value = serde_json::from_str(record).expect("JSON");
            *transactions.entry(value["txid"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert!(transactions.values().any(|count| *count == 2));
        for stream in WHOLE_SECONDS {
            let news = generate(&plan(stream));
            let twins = news.iter().zip(news.iter().skip(1)).filter(|(one, next)| one == next);
            assert!(twins.count() > 20, "{stream}");
        }
    }
}
