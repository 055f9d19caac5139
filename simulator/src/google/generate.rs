//! Realistic activities and alerts out of a seed.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::catalogue::{self, Form, Kind, Parameter};
use super::config::ALERTS;
use super::generate_alert;
use crate::known::{Known, Lateness, Version};
use crate::rng::{Rng, mix};

/// The profile id that stands for an anonymous caller or the system.
const NOBODY: &str = "105250506097979753968";
/// Seconds from the year 1 to 1970.
const YEAR_ONE: i64 = 62_135_596_800;

/// What is to be generated. The same values give the same records, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// A Reports application, or `alerts`.
    pub stream: String,
    /// The seed.
    pub seed: u64,
    /// Records altogether.
    pub records: usize,
    /// Begin of the time in which they happen.
    pub start: DateTime<Utc>,
    /// Its length.
    pub spread: TimeDelta,
    /// How long after its time a record becomes visible.
    pub lateness: Lateness,
    /// Share of alerts that change later, up to three times; activities never do. A quarter by default.
    pub mutated: f64,
    /// Share of activities that bend the schema: no time, wrong types, invalid addresses. A fiftieth by default.
    pub odd: f64,
    /// Share of records that never become visible; 0 by default.
    pub never: f64,
}

impl Generate {
    /// Records of a stream with the lateness that is known of it.
    pub fn new(stream: &str, seed: u64, records: usize, start: DateTime<Utc>, spread: TimeDelta) -> Self {
        Self {
            stream: stream.to_owned(),
            seed,
            records,
            start,
            spread,
            lateness: lateness(stream),
            mutated: 0.25,
            odd: 0.02,
            never: 0.0,
        }
    }
}

/// The lag that the vendor documents for an application (or, where it does not, 2 h), with a tail of 72 h that others
/// have observed.
#[must_use]
pub fn lateness(stream: &str) -> Lateness {
    let steps: &[(f64, i64)] = match stream {
        "admin"
        | "admin_data_action"
        | "access_evaluation"
        | "access_transparency"
        | "assignments"
        | "chat"
        | "chrome"
        | "classroom"
        | "context_aware_access"
        | "data_migration"
        | "mobile"
        | "saml" => &[(0.7, 1), (0.25, 3), (0.04, 30), (0.008, 240), (0.002, 4_320)],
        "login" => &[(0.6, 2), (0.3, 30), (0.08, 180), (0.015, 1_440), (0.005, 4_320)],
        "user_accounts" | "calendar" => &[(0.5, 10), (0.4, 40), (0.08, 120), (0.015, 1_440), (0.005, 4_320)],
        "token" | "cloud_search" => &[(0.3, 10), (0.45, 60), (0.2, 240), (0.04, 1_440), (0.01, 4_320)],
        ALERTS => &[(0.6, 1), (0.35, 10), (0.05, 60)],
        _ => &[(0.4, 10), (0.4, 60), (0.15, 120), (0.04, 1_440), (0.01, 4_320)],
    };
    Lateness(steps.iter().map(|(share, minutes)| (*share, TimeDelta::minutes(*minutes))).collect())
}

/// A record with its unique qualifier (0 for alerts).
pub(crate) fn generate(plan: &Generate, customer: &str) -> Vec<(Known, i64)> {
    let mut rng = Rng::new(mix(plan.seed, hash(&plan.stream)));
    let times = times(plan, &mut rng);
    let mut made = Vec::with_capacity(times.len());
    let mut before = 0;
    for (number, at) in times.into_iter().enumerate() {
        let late = plan.lateness.draw(&mut rng);
        let visible_at = if rng.unit() < plan.never { DateTime::<Utc>::MAX_UTC } else { at + late };
        if plan.stream == ALERTS {
            let changes = if rng.unit() < plan.mutated { 1 + rng.below(3) } else { 0 };
            made.push((generate_alert::alert(at, visible_at, changes, customer, &mut rng), 0));
            continue;
        }
        // Two activities may share a qualifier: only with its time it is an id.
        let again = number > 0
            && rng.below(100) == 0
            && made.last().is_some_and(|(known, _): &(Known, i64)| known.occurred_at != at);
        let qualifier = if again { before } else { rng.next().cast_signed() };
        before = qualifier;
        let odd = rng.unit() < plan.odd;
        let raw = Activity { application: &plan.stream, customer, at, qualifier }.write(odd, &mut rng);
        let known = Known {
            stream: plan.stream.clone(),
            id: activity_id(at, &qualifier.to_string()),
            occurred_at: at,
            versions: vec![Version { visible_at, raw: Bytes::from(raw) }],
        };
        made.push((known, qualifier));
    }
    made
}

/// How an activity is known: its time and its unique qualifier.
pub(crate) fn activity_id(at: DateTime<Utc>, qualifier: &str) -> String {
    format!("{} {qualifier}", millis(at))
}

/// Times in order: most alone, some in groups of the same instant, a tenth in bursts of half a minute.
fn times(plan: &Generate, rng: &mut Rng) -> Vec<DateTime<Utc>> {
    let spread = u64::try_from(plan.spread.num_milliseconds()).unwrap_or(0);
    let mut offsets: Vec<u64> = Vec::with_capacity(plan.records);
    let mut burst = 0;
    while offsets.len() < plan.records {
        if offsets.len().is_multiple_of(200) {
            burst = rng.below(spread);
        }
        let offset = match rng.below(20) {
            0 | 1 => (burst + rng.below(30_000)).min(spread.saturating_sub(1)),
            2 | 3 => offsets.last().copied().unwrap_or(0),
            _ => rng.below(spread),
        };
        offsets.push(offset);
    }
    offsets.sort_unstable();
    offsets.into_iter().map(|offset| plan.start + TimeDelta::milliseconds(offset.cast_signed())).collect()
}

pub(crate) struct Person {
    pub(crate) email: &'static str,
    profile: &'static str,
}

pub(crate) const PEOPLE: [Person; 8] = [
    Person { email: "jo.park@example.com", profile: "100000000000000000017" },
    Person { email: "sam.lindqvist@example.com", profile: "100000000000000000025" },
    Person { email: "kim.roe@example.com", profile: "100000000000000000033" },
    Person { email: "alex.okafor@example.com", profile: "100000000000000000041" },
    Person { email: "zoe.mueller@sub.example.com", profile: "100000000000000000059" },
    Person { email: "ren.ito@example.com", profile: "100000000000000000067" },
    Person { email: "Dana.Novak@example.com", profile: "100000000000000000075" },
    Person { email: "admin@example.com", profile: "100000000000000000083" },
];

const REGIONS: [(&str, &str, u32); 4] =
    [("NL", "NL-ZH", 64_496), ("US", "US-OR", 64_499), ("CH", "CH-ZH", 64_501), ("JP", "JP-27", 64_510)];

pub(crate) fn address(rng: &mut Rng) -> String {
    let host = 1 + rng.below(254);
    match rng.below(8) {
        0 | 1 => format!("2001:db8:{:x}::{:x}", rng.below(0x1_0000), 1 + rng.below(0xfffe)),
        2 | 3 => format!("192.0.2.{host}"),
        4 | 5 => format!("203.0.113.{host}"),
        _ => format!("198.51.100.{host}"),
    }
}

fn millis(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Eight bytes of a text's digest.
pub(crate) fn hash(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

struct Activity<'a> {
    application: &'a str,
    customer: &'a str,
    at: DateTime<Utc>,
    qualifier: i64,
}

impl Activity<'_> {
    fn write(&self, odd: bool, rng: &mut Rng) -> String {
        if odd {
            return self.odd(rng);
        }
        let person = rng.pick(&PEOPLE);
        let mut out = String::with_capacity(1_200);
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            r#"{{"kind":"admin#reports#activity","id":{{"time":"{}","uniqueQualifier":"{}","applicationName":"{}","customerId":"{}"}},"etag":"\"{:016x}/{:016x}\"","#,
            millis(self.at),
            self.qualifier,
            self.application,
            self.customer,
            rng.next(),
            rng.next(),
        );
        let system = rng.below(25) == 0;
        let agent = !system && rng.below(60) == 0;
        match rng.below(12) {
            _ if system => {
                let _ =
                    write!(out, r#""actor":{{"callerType":"KEY","key":"SYSTEM","profileId":"{NOBODY}"}}"#);
            }
            0 => {
                let _ = write!(out, r#""actor":{{"profileId":"{}"}}"#, person.profile);
            }
            1 => {
                let _ = write!(
                    out,
                    r#""actor":{{"callerType":"USER","email":"{}","profileId":"{}","applicationInfo":{{"oauthClientId":"{}.apps.example.com","applicationName":"Example Sync","impersonation":true}}}}"#,
                    person.email,
                    person.profile,
                    rng.below(1 << 40),
                );
            }
            2 => {
                let _ = write!(out, r#""actor":{{"email":"","profileId":"{NOBODY}"}}"#);
            }
            _ => {
                let agent = if agent {
                    r#","agentAttributionInfo":{"agentId":"agent-7","agentName":"Scheduling helper","agentType":"FIRST_PARTY","agentOwner":{"email":"jo.park@example.com"}}"#
                } else {
                    ""
                };
                let _ = write!(
                    out,
                    r#""actor":{{"callerType":"USER","email":"{}","profileId":"{}"{agent}}}"#,
                    person.email, person.profile
                );
            }
        }
        if agent {
            out.push_str(r#","isAgenticAction":true"#);
        }
        if rng.below(6) == 0 {
            out.push_str(r#","ownerDomain":"example.com""#);
        }
        let addressed = !system && !matches!(self.application, "meet" | "chat" | "rules");
        if addressed {
            let _ = write!(out, r#","ipAddress":"{}""#, address(rng));
            if rng.below(3) > 0 {
                let (region, subdivision, asn) = rng.pick(&REGIONS);
                let _ = write!(
                    out,
                    r#","networkInfo":{{"ipAsn":[{asn}],"regionCode":"{region}","subdivisionCode":"{subdivision}"}}"#
                );
            }
        }
        if matches!(self.application, "meet" | "chat" | "drive" | "groups" | "rules" | "saml")
            && rng.below(5) == 0
        {
            let _ = write!(
                out,
                r#","userDeviceInfo":{{"deviceId":"{:012x}","deviceType":"CHROME_OS","deviceOsVersion":"139.0"}}"#,
                rng.next() >> 16
            );
        }
        self.events(&mut out, person, rng);
        out.push('}');
        out
    }

    fn events(&self, out: &mut String, person: &Person, rng: &mut Rng) {
        // Siblings share an activity: a document is viewed and its access changed, one form saves several settings.
        let siblings = match self.application {
            "admin" | "drive" if rng.below(4) == 0 => 1 + rng.below(3),
            _ => 0,
        };
        let resource = matches!(self.application, "drive" | "admin" | "user_accounts") && rng.below(4) == 0;
        out.push_str(r#","events":["#);
        for number in 0..=siblings {
            let kind = kind(catalogue::kinds(self.application), rng);
            if number > 0 {
                out.push(',');
            }
            out.push('{');
            if let Some(event_type) = kind.event_type {
                let _ = write!(out, r#""type":"{event_type}","#);
            }
            let _ = write!(out, r#""name":"{}""#, kind.name);
            if !kind.parameters.is_empty() {
                out.push_str(r#","parameters":"#);
                self.parameters(out, kind.parameters, person, rng);
            }
            if resource {
                out.push_str(r#","resourceIds":["r-1"]"#);
            }
            match rng.below(20) {
                0 => out.push_str(r#","status":{"eventStatus":"SUCCEEDED","httpStatusCode":200}"#),
                1 => out.push_str(r#","status":{"eventStatus":"FAILED","errorCode":"PERMISSION_DENIED","errorMessage":"denied","httpStatusCode":403}"#),
                2 => out.push_str(r#","status":{}"#),
                _ => {}
            }
            out.push('}');
        }
        out.push(']');
        if resource {
            out.push_str(
                r#","resourceDetails":[{"id":"r-1","title":"Überblick","type":"DOCUMENT","ownerDetails":{"ownerType":"USER","ownerIdentity":["jo.park@example.com"]}}]"#,
            );
        }
    }

    fn parameters(&self, out: &mut String, parameters: &[Parameter], person: &Person, rng: &mut Rng) {
        out.push('[');
        for (number, (name, form)) in parameters.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            let _ = write!(out, r#"{{"name":"{name}""#);
            self.value(out, form, person, rng);
            out.push('}');
        }
        out.push(']');
    }

    fn value(&self, out: &mut String, form: &Form, person: &Person, rng: &mut Rng) {
        let texts = |list: &[&str]| list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(",");
        let written = match form {
            Form::Text(choices) => match *rng.pick(choices) {
                "" => String::new(),
                text => format!(r#","value":{}"#, quoted(text)),
            },
            Form::Int(from, to) => {
                let number = from + rng.below((to - from).unsigned_abs() + 1).cast_signed();
                format!(r#","intValue":"{number}""#)
            }
            Form::Bool(share) => match rng.below(100) < *share {
                true => r#","boolValue":true"#.to_owned(),
                false if rng.below(2) == 0 => r#","boolValue":false"#.to_owned(),
                false => String::new(),
            },
            Form::Many(choices) => format!(r#","multiValue":[{}]"#, texts(rng.pick::<&[&str]>(choices))),
            Form::ManyInts(choices) => {
                let numbers: Vec<_> =
                    rng.pick(choices).iter().map(|number| format!("\"{number}\"")).collect();
                format!(r#","multiIntValue":[{}]"#, numbers.join(","))
            }
            Form::User => format!(r#","value":"{}""#, rng.pick(&PEOPLE).email),
            Form::Own => format!(r#","value":"{}""#, person.email),
            Form::Address => format!(r#","value":"{}""#, address(rng)),
            Form::Id(prefix) => format!(r#","value":"{prefix}{:014x}""#, rng.next() >> 8),
            Form::Micros => {
                let at = self.at.timestamp_micros() - rng.below(90_000_000).cast_signed();
                format!(r#","intValue":"{at}""#)
            }
            Form::YearOne => {
                let at = self.at.timestamp() + YEAR_ONE + rng.below(86_400).cast_signed();
                format!(r#","intValue":"{at}""#)
            }
            Form::Message(parameters) => {
                out.push_str(r#","messageValue":{"parameter":"#);
                self.parameters(out, parameters, person, rng);
                "}".to_owned()
            }
            Form::Messages(most, parameters) => {
                out.push_str(r#","multiMessageValue":["#);
                for number in 0..=rng.below(*most) {
                    out.push_str(if number > 0 { r#",{"parameter":"# } else { r#"{"parameter":"# });
                    self.parameters(out, parameters, person, rng);
                    out.push('}');
                }
                "]".to_owned()
            }
        };
        out.push_str(&written);
    }

    /// An activity that bends the schema in ways that have been seen.
    fn odd(&self, rng: &mut Rng) -> String {
        let (at, number, app, customer) = (millis(self.at), self.qualifier, self.application, self.customer);
        match rng.below(6) {
            // No time.
            0 => format!(
                r#"{{"kind":"admin#reports#activity","id":{{"uniqueQualifier":"{number}","applicationName":"{app}","customerId":"{customer}"}},"actor":{{"email":"kim.roe@example.com"}},"ipAddress":"192.0.2.66","events":[{{"name":"something_new"}}]}}"#
            ),
            // The names of old.
            1 => format!(
                r#"{{"kind":"audit#activity","id":{{"time":"{at}","uniqQualifier":"{number}","applicationName":"{app}","customerId":"{customer}"}},"actor":{{"callerType":"USER","email":"sam.lindqvist@example.com","profileId":"100000000000000000025","key":"consumer"}},"ownerDomain":"example.com","ipAddress":"198.51.100.9","events":[{{"type":"login","name":"login_success","parameters":[{{"name":"login_challenge_method","value":"password"}}]}}]}}"#
            ),
            // Numbers as numbers, an address that is none.
            2 => format!(
                r#"{{"kind":"admin#reports#activity","id":{{"time":"{at}","uniqueQualifier":{number},"applicationName":"{app}","customerId":"{customer}"}},"actor":{{"email":"jo.park@example.com","profileId":1}},"ipAddress":"unknown, 10.x","events":[{{"type":"access","name":"view","parameters":[{{"name":"size","intValue":12}},{{"name":"primary_event"}}]}}]}}"#
            ),
            // Nobody, from nowhere; members that nobody has heard of.
            3 => format!(
                r#"{{"kind":"admin#reports#activity","id":{{"time":"{at}","uniqueQualifier":"{number}","applicationName":"{app}","customerId":"{customer}"}},"events":[{{"type":"future_type","name":"future_event","novelty":{{"deep":[1,{{"x":null}}]}},"parameters":[{{"name":"p","futureValue":[true]}},{{"name":"q"}}]}}]}}"#
            ),
            // Nulls.
            4 => format!(
                r#"{{"kind":"admin#reports#activity","id":{{"time":"{at}","uniqueQualifier":"{number}","applicationName":"{app}","customerId":"{customer}"}},"etag":null,"actor":null,"ipAddress":null,"networkInfo":null,"events":[{{"type":null,"name":"login_failure","parameters":null}}]}}"#
            ),
            // No fraction in the time, no events.
            _ => format!(
                r#"{{"kind":"admin#reports#activity","id":{{"time":"{}","uniqueQualifier":"{number}","applicationName":"{app}","customerId":"{customer}"}},"actor":{{"callerType":"USER","email":"ren.ito@example.com"}},"ipAddress":"","events":[]}}"#,
                at.replace(".000Z", "Z")
            ),
        }
    }
}

fn kind<'a>(kinds: &'a [Kind], rng: &mut Rng) -> &'a Kind {
    let mut drawn = rng.below(kinds.iter().map(|kind| kind.weight).sum());
    for kind in kinds {
        if drawn < kind.weight {
            return kind;
        }
        drawn -= kind.weight;
    }
    rng.pick(kinds)
}
