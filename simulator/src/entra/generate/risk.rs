//! Risk detections of users and of service principals.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::people::{AGENTS, PLACES, SERVICES, USERS, address};
use super::{Draw, Stamp, delay, raw};
use crate::entra::streams::Resource;
use crate::known::{Known, Version};
use crate::rng::{Rng, uuid};

/// Latest change of state after a detection.
const LATEST_CHANGE: TimeDelta = TimeDelta::days(30);

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detection {
    id: String,
    request_id: Option<String>,
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk_type: Option<&'static str>,
    risk_event_type: &'static str,
    risk_state: &'static str,
    risk_level: &'static str,
    risk_detail: &'static str,
    source: &'static str,
    detection_timing_type: &'static str,
    activity: &'static str,
    token_issuer_type: &'static str,
    ip_address: Option<String>,
    activity_date_time: String,
    detected_date_time: String,
    last_updated_date_time: String,
    #[serde(flatten)]
    who: Who,
    mitre_technique_id: Option<&'static str>,
    additional_info: String,
    location: Value,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Who {
    #[serde(rename_all = "camelCase")]
    User { user_id: &'static str, user_display_name: &'static str, user_principal_name: &'static str },
    #[serde(rename_all = "camelCase")]
    Service {
        app_id: &'static str,
        service_principal_id: &'static str,
        service_principal_display_name: &'static str,
        key_ids: Vec<String>,
    },
}

/// Event type, level, timing, whether it belongs to a sign-in, technique.
type Kind = (&'static str, &'static str, &'static str, bool, Option<&'static str>);

const OF_USERS: &[Kind] = &[
    ("unfamiliarFeatures", "medium", "realtime", true, Some("T1078")),
    ("anonymizedIPAddress", "medium", "realtime", true, Some("T1090.003")),
    ("unlikelyTravel", "low", "offline", true, Some("T1078")),
    ("passwordSpray", "high", "offline", true, Some("T1110.003")),
    ("leakedCredentials", "high", "offline", false, Some("T1589.001")),
    ("mcasSuspiciousInboxManipulationRules", "medium", "offline", false, Some("T1564.008")),
    ("anomalousToken", "high", "nearRealtime", true, None),
    ("attackNobodyListed", "low", "notDefined", true, None),
];

const OF_SERVICES: &[Kind] = &[
    ("leakedCredentials", "high", "offline", false, Some("T1552")),
    ("anomalousServicePrincipalActivity", "medium", "offline", false, None),
    ("suspiciousAPITraffic", "low", "offline", false, None),
];

/// State and detail that an administrator or the user leaves behind. The last two details are newer ones.
const ENDS: &[(&str, &str)] = &[
    ("remediated", "userPassedMFADrivenByRiskBasedPolicy"),
    ("remediated", "userPerformedSecuredPasswordReset"),
    ("dismissed", "adminDismissedAllRiskForUser"),
    ("confirmedCompromised", "adminConfirmedUserCompromised"),
    ("dismissed", "m365DAdminDismissedDetection"),
    ("remediated", "userChangedPasswordOnPremises"),
];

pub(super) fn make(draw: &Draw<'_>, rng: &mut Rng) -> Known {
    let of_service = draw.stream.resource == Resource::ServicePrincipalRiskDetections;
    let (event, level, timing, of_sign_in, technique) =
        *rng.pick(if of_service { OF_SERVICES } else { OF_USERS });
    let visible_at = draw.visible(rng);
    // Offline detections look back.
    let before = if timing == "offline" { rng.below(3 * 86_400) } else { rng.below(60) };
    let activity = draw.time.at - TimeDelta::seconds(i64::try_from(before).unwrap_or(0));
    let (agent, place) = (rng.pick(AGENTS), rng.pick(PLACES));
    let updated = (draw.time.at + delay(TimeDelta::minutes(3), rng)).min(visible_at);
    let detection = Detection {
        id: format!("{:016x}{:016x}{:016x}{:016x}", rng.next(), rng.next(), rng.next(), rng.next()),
        request_id: of_sign_in.then(|| uuid(rng.next(), rng.next())),
        correlation_id: of_sign_in.then(|| uuid(rng.next(), rng.next())),
        risk_type: (!of_service).then_some(event),
        risk_event_type: event,
        risk_state: "atRisk",
        risk_level: level,
        risk_detail: "none",
        source: "IdentityProtection",
        detection_timing_type: timing,
        activity: match (of_service, of_sign_in) {
            (true, _) => "servicePrincipal",
            (false, true) => "signin",
            (false, false) => "user",
        },
        token_issuer_type: rng.pick::<&str>(&["AzureAD", "AzureAD", "AzureAD", "Azure Active Directory"]),
        ip_address: of_sign_in.then(|| address(rng)),
        activity_date_time: Stamp::new(activity, false, rng).text,
        detected_date_time: draw.time.text.clone(),
        last_updated_date_time: after(updated, draw, rng),
        who: if of_service {
            let (id, app, name) = *rng.pick(SERVICES);
            Who::Service {
                app_id: app,
                service_principal_id: id,
                service_principal_display_name: name,
                key_ids: vec![uuid(rng.next(), 4)],
            }
        } else {
            let user = rng.pick(USERS);
            Who::User { user_id: user.id, user_display_name: user.name, user_principal_name: user.upn }
        },
        mitre_technique_id: technique,
        additional_info: json!([
            {"Key": "riskReasons", "Value": ["UnfamiliarASN", "UnfamiliarBrowser"]},
            {"Key": "userAgent", "Value": agent.text},
            {"Key": "alertUrl", "Value": null},
        ])
        .to_string(),
        location: match of_sign_in {
            true => json!({
                "city": place.city,
                "state": place.state,
                "countryOrRegion": place.country,
                "geoCoordinates": {"latitude": place.latitude, "longitude": place.longitude},
            }),
            false => Value::Null,
        },
    };
    let first = if draw.is_odd(rng) { odd(&detection) } else { raw(&detection) };
    let mut versions = vec![Version { visible_at, raw: first }];
    if draw.changes(rng) {
        versions.extend(changes(&detection, draw, visible_at, rng));
    }
    draw.known(detection.id.clone(), versions)
}

/// What becomes of a detection: its state changes once or twice, and its time of update with it.
fn changes(
    detection: &Detection,
    draw: &Draw<'_>,
    first_visible: DateTime<Utc>,
    rng: &mut Rng,
) -> Vec<Version> {
    let latest = draw.time.at + LATEST_CHANGE;
    let mut visible_at = first_visible;
    let mut versions = Vec::new();
    for _ in 0..=rng.below(2) {
        let (state, detail) = *rng.pick(ENDS);
        let updated = visible_at + delay((latest - visible_at).max(TimeDelta::minutes(1)), rng);
        visible_at = updated + delay(TimeDelta::minutes(15), rng);
        let changed = Detection {
            risk_state: state,
            risk_detail: detail,
            last_updated_date_time: after(updated, draw, rng),
            ..detection.clone()
        };
        versions.push(Version { visible_at, raw: raw(&changed) });
    }
    versions
}

/// The time of an update, which is never before the detection however few digits it has.
fn after(updated: DateTime<Utc>, draw: &Draw<'_>, rng: &mut Rng) -> String {
    let stamp = Stamp::new(updated, draw.plan.whole_seconds, rng);
    if stamp.at < draw.time.at { draw.time.text.clone() } else { stamp.text }
}

/// Without what may be missing, with a value of another type.
fn odd(detection: &Detection) -> bytes::Bytes {
    let mut value = serde_json::to_value(detection).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        for name in ["location", "additionalInfo", "correlationId", "requestId", "ipAddress"] {
            members.remove(name);
        }
        members.insert("riskLevel".to_owned(), json!(4));
        members.insert("source".to_owned(), Value::Null);
    }
    raw(&value)
}
