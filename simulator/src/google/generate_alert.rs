//! Alerts of the Alert Center with their later changes.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::config::ALERTS;
use super::generate::{PEOPLE, Person, address, hash, micros};
use crate::known::{Known, Version};
use crate::rng::{Rng, mix, uuid};

/// A kind of alert.
#[derive(Debug)]
struct AlertKind {
    kind: &'static str,
    source: &'static str,
    /// Empty where the vendor leaves it empty.
    severity: &'static str,
    /// `@type` of its data, without the prefix.
    data: &'static str,
}

const fn kind(
    kind: &'static str,
    source: &'static str,
    severity: &'static str,
    data: &'static str,
) -> AlertKind {
    AlertKind { kind, source, severity, data }
}

const KINDS: [AlertKind; 12] = [
    kind("Suspicious login", "Google identity", "LOW", "AccountWarning"),
    kind("Leaked password", "Google identity", "LOW", "AccountWarning"),
    kind("Suspicious login (less secure app)", "Google identity", "LOW", "AccountWarning"),
    kind("Suspicious programmatic login", "Google identity", "LOW", "AccountWarning"),
    kind("Government attack warning", "Google identity", "HIGH", "StateSponsoredAttack"),
    kind("User suspended (Suspicious activity)", "Google identity", "", "AccountWarning"),
    kind("Device compromised", "Mobile device management", "HIGH", "DeviceCompromised"),
    kind("Suspicious device activity", "Mobile device management", "MEDIUM", "SuspiciousActivity"),
    kind("Primary admin changed", "Sensitive Admin Action", "HIGH", "SensitiveAdminAction"),
    kind("SSO profile added", "Sensitive Admin Action", "HIGH", "SensitiveAdminAction"),
    kind("Super admin password reset", "Sensitive Admin Action", "HIGH", "SensitiveAdminAction"),
    kind("User granted Admin privilege", "User changes", "", "ActivityRule"),
];

/// An alert with its later changes.
pub(crate) fn alert(
    at: DateTime<Utc>,
    visible_at: DateTime<Utc>,
    changes: u64,
    customer: &str,
    rng: &mut Rng,
) -> Known {
    let created = at + TimeDelta::microseconds(rng.below(1_000).cast_signed());
    let (kind, person, id) = (rng.pick(&KINDS), rng.pick(&PEOPLE), uuid(rng.next(), rng.next()));
    let customer = customer.strip_prefix('C').unwrap_or(customer);
    let started = created - TimeDelta::seconds(1 + rng.below(600).cast_signed());
    let ended = rng.below(2) == 0;
    let from = address(rng);
    let mut versions = Vec::new();
    let (mut updated, mut seen) = (created, visible_at);
    for change in 0..=changes {
        if change > 0 {
            let since = if seen == DateTime::<Utc>::MAX_UTC { updated } else { seen };
            updated = since + TimeDelta::seconds(60 + rng.below(2 * 86_400).cast_signed());
            if seen != DateTime::<Utc>::MAX_UTC {
                seen = updated + TimeDelta::seconds(rng.below(90).cast_signed());
            }
        }
        let (status, assignee) = match change {
            0 => ("NOT_STARTED", ""),
            1 => ("IN_PROGRESS", r#","assignee":"admin@example.com""#),
            _ => ("CLOSED", r#","assignee":"admin@example.com""#),
        };
        let severity = match kind.severity {
            "" => String::new(),
            severity => format!(r#","severity":"{severity}""#),
        };
        let end = if ended { format!(r#","endTime":"{}""#, micros(created)) } else { String::new() };
        let etag = format!("{:016x}", mix(hash(&id), change));
        let raw = format!(
            r#"{{"customerId":"{customer}","alertId":"{id}","createTime":"{}","startTime":"{}"{end},"type":"{}","source":"{}","data":{},"securityInvestigationToolLink":"https://admin.example.com/ac/sc/investigation?{id}","updateTime":"{}","metadata":{{"customerId":"{customer}","alertId":"{id}","status":"{status}"{assignee},"updateTime":"{}"{severity},"etag":"{etag}"}},"etag":"{etag}"}}"#,
            micros(created),
            micros(started),
            kind.kind,
            kind.source,
            alert_data(kind.data, person, &from, started),
            micros(updated),
            micros(updated),
        );
        versions.push(Version { visible_at: seen, raw: Bytes::from(raw) });
    }
    Known { stream: ALERTS.to_owned(), id, occurred_at: created, versions }
}

fn alert_data(kind: &str, person: &Person, address: &str, at: DateTime<Utc>) -> String {
    let (email, at) = (person.email, micros(at));
    let rest = match kind {
        "AccountWarning" => {
            format!(r#""email":"{email}","loginDetails":{{"loginTime":"{at}","ipAddress":"{address}"}}"#)
        }
        "DeviceCompromised" | "SuspiciousActivity" => format!(
            r#""email":"{email}","events":[{{"deviceId":"d-7","deviceType":"ANDROID","deviceModel":"Pixel 9","deviceCompromisedState":"COMPROMISED"}}]"#
        ),
        "SensitiveAdminAction" => format!(r#""actorEmail":"{email}","eventTime":"{at}""#),
        "ActivityRule" => format!(
            r#""name":"User granted Admin privilege","triggerSource":"{email}","createTime":"{at}","threshold":"1""#
        ),
        _ => format!(r#""email":"{email}""#),
    };
    format!(r#"{{"@type":"type.googleapis.com/google.apps.alertcenter.type.{kind}",{rest}}}"#)
}
