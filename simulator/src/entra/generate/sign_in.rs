//! Sign-ins of all four kinds, as beta shows them. They are the bulk of the records, so they are written as text: of the
//! tables' texts only names can hold a quote.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::cases::{Case, EXPIRED, RENEWED, chosen};
use super::people::{AGENTS, APPS, PLACES, RESOURCES, SERVICES, USERS, address};
use super::{Draw, delay, quoted, raw};
use crate::known::{Known, Version};
use crate::rng::{Rng, mix, uuid};

/// Latest change of a row after the sign-in.
const LATEST_CHANGE: TimeDelta = TimeDelta::hours(2);
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// A row: what never changes, and what may.
#[derive(Debug, Clone)]
struct SignIn {
    id: String,
    /// Members that never change, without braces.
    fixed: String,
    code: u32,
    reason: &'static str,
    details: Option<&'static str>,
    access: &'static str,
    /// Whole seconds only.
    step_time: String,
    steps: Vec<Step>,
    risk: Risk,
}

#[derive(Debug, Clone)]
struct Step {
    method: &'static str,
    detail: &'static str,
    /// JSON text.
    succeeded: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Risk {
    detail: &'static str,
    aggregated: &'static str,
    during: &'static str,
    state: &'static str,
    /// An event type, or nothing.
    event: &'static str,
}

const NO_RISK: Risk = Risk { detail: "none", aggregated: "none", during: "none", state: "none", event: "" };

impl SignIn {
    fn raw(&self) -> Bytes {
        let mut out = String::with_capacity(self.fixed.len() + 1_500);
        // Writing into a String cannot fail.
        let _ = write!(out, r#"{{"id":"{}",{},"status":{{"errorCode":{},"#, self.id, self.fixed, self.code);
        let _ = write!(
            out,
            r#""failureReason":"{}","additionalDetails":{}}},"conditionalAccessStatus":"{}","#,
            self.reason,
            quoted(self.details),
            self.access
        );
        let Risk { detail, aggregated, during, state, event } = self.risk;
        let event = if event.is_empty() { String::new() } else { format!("\"{event}\"") };
        let _ = write!(
            out,
            r#""riskDetail":"{detail}","riskLevelAggregated":"{aggregated}","riskLevelDuringSignIn":"{during}","riskState":"{state}","riskEventTypes":[{event}],"riskEventTypes_v2":[{event}],"authenticationDetails":["#
        );
        for (number, step) in self.steps.iter().enumerate() {
            let (separator, requirement) = match number {
                0 => ("", "Primary authentication"),
                _ => (",", "Multifactor authentication"),
            };
            let _ = write!(
                out,
                r#"{separator}{{"authenticationStepDateTime":"{}","authenticationMethod":"{}","authenticationMethodDetail":"{}","succeeded":{},"authenticationStepResultDetail":"{}","authenticationStepRequirement":"{requirement}"}}"#,
                self.step_time, step.method, step.detail, step.succeeded, step.result
            );
        }
        out.push_str("]}");
        Bytes::from(out)
    }
}

/// The record, and with it its near-duplicate if it gets one.
pub(super) fn make(draw: &Draw<'_>, rng: &mut Rng) -> Vec<Known> {
    let row = row(draw, rng);
    let visible_at = draw.visible(rng);
    let versions = if draw.changes(rng) {
        changing(&row, draw, visible_at, rng)
    } else {
        let raw = if draw.is_odd(rng) { raw(&odd(&row.raw(), rng)) } else { row.raw() };
        vec![Version { visible_at, raw }]
    };
    let mut records = vec![draw.known(row.id.clone(), versions)];
    if rng.unit() < draw.plan.near_duplicates {
        let risk = Risk {
            aggregated: "low",
            during: "low",
            state: "atRisk",
            event: "unfamiliarFeatures",
            ..NO_RISK
        };
        let twin = SignIn { id: uuid(rng.next(), rng.next()), risk, ..row };
        let visible_at = draw.visible(rng);
        records.push(draw.known(twin.id.clone(), vec![Version { visible_at, raw: twin.raw() }]));
    }
    records
}

/// The versions of a row that changes: what stands there last, and what stood there before.
fn changing(row: &SignIn, draw: &Draw<'_>, first_visible: DateTime<Utc>, rng: &mut Rng) -> Vec<Version> {
    let mut stages = vec![row.clone()];
    if row.steps.len() > 1 && rng.below(3) > 0 {
        // Steps are merged into the row as they come.
        let mut pending = SignIn {
            code: 50_074,
            reason: "Strong Authentication is required.",
            details: Some("MFA required in Azure AD"),
            access: "failure",
            ..row.clone()
        };
        if rng.below(2) == 0 {
            let mut challenged = pending.clone();
            if let Some(last) = challenged.steps.last_mut() {
                last.succeeded = "null";
                last.result = "Authentication in progress";
            }
            stages.insert(0, challenged);
        }
        pending.steps.truncate(1);
        stages.insert(0, pending);
    } else if !row.steps.is_empty() && rng.below(2) == 0 {
        // The details come after the row.
        stages.insert(0, SignIn { steps: Vec::new(), ..row.clone() });
    }
    if stages.len() == 1 || rng.below(4) == 0 {
        // Risk is evaluated last.
        let event = "unfamiliarFeatures";
        let risk = match rng.below(4) {
            0 => Risk { detail: "adminConfirmedAccountSafe", state: "confirmedSafe", event, ..NO_RISK },
            _ => Risk { aggregated: "medium", state: "atRisk", event, ..NO_RISK },
        };
        stages.push(SignIn { risk, ..row.clone() });
    }
    let latest = draw.time.at + LATEST_CHANGE;
    let mut visible_at = first_visible;
    let mut versions: Vec<Version> = Vec::new();
    for stage in stages {
        versions.push(Version { visible_at, raw: stage.raw() });
        visible_at += delay((latest - visible_at).max(TimeDelta::minutes(1)), rng);
    }
    versions
}

fn row(draw: &Draw<'_>, rng: &mut Rng) -> SignIn {
    let kind = draw.stream.kind.unwrap_or_default();
    let person = matches!(kind, "interactiveUser" | "nonInteractiveUser");
    let case = match kind {
        "interactiveUser" => chosen(rng),
        // Nobody sits at the keyboard.
        _ if rng.below(12) == 0 => &EXPIRED,
        _ => &RENEWED,
    };
    let id = uuid(rng.next(), rng.next());
    let steps = case.steps.iter().filter(|_| person).map(|(method, detail, succeeded, result)| Step {
        method,
        detail,
        succeeded: if *succeeded { "true" } else { "false" },
        result,
    });
    SignIn {
        fixed: fixed(&id, draw, case, rng),
        code: case.code,
        reason: case.reason,
        details: case.details,
        access: case.access.0,
        step_time: draw.time.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        steps: steps.collect(),
        risk: NO_RISK,
        id,
    }
}

/// The members that never change.
fn fixed(id: &str, draw: &Draw<'_>, case: &Case, rng: &mut Rng) -> String {
    let kind = draw.stream.kind.unwrap_or_default();
    let person = matches!(kind, "interactiveUser" | "nonInteractiveUser");
    let user = rng.pick(USERS);
    let (service_id, service_app, service_name) = *rng.pick(SERVICES);
    let (app, agent, place) = (*rng.pick(APPS), rng.pick(AGENTS), rng.pick(PLACES));
    let (resource_id, resource_name) = *rng.pick(RESOURCES);
    let unknown_user = case.code == 50_034;
    let (managed, tenant) = (rng.below(3) == 0, draw.tenant);
    let demanded = case.steps.len() > 1 || matches!(case.code, 50_072..=50_076 | 500_121);
    let text = |text: &'static str| if person { text } else { "" };
    let mut out = String::with_capacity(4_000);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        r#""createdDateTime":"{}","userDisplayName":"{}","userPrincipalName":"{}","userId":"{}","appId":"{}","appDisplayName":"{}","#,
        draw.time.text,
        text(user.name).replace('"', "\\\""),
        if unknown_user { "nobody@example.com" } else { text(user.upn) },
        if person && !unknown_user { user.id } else { NOBODY },
        if person { app.0 } else { service_app },
        if person { app.1 } else { service_name },
    );
    let _ = write!(
        out,
        r#""ipAddress":"{}","ipAddressFromResourceProvider":{},"clientAppUsed":"{}","userAgent":"{}","correlationId":"{}","originalRequestId":"{id}","isInteractive":{},"#,
        if kind == "managedIdentity" { String::new() } else { address(rng) },
        quoted((rng.below(20) == 0).then(|| address(rng)).as_deref()),
        text(case.client),
        text(agent.text),
        uuid(rng.next(), rng.next()),
        kind == "interactiveUser",
    );
    let _ = write!(
        out,
        r#""tokenIssuerName":"","tokenIssuerType":"AzureAD","authenticationProcessingDetails":[{{"key":"Legacy TLS (TLS 1.0, 1.1, 3DES)","value":"False"}},{{"key":"Is CAE Token","value":"{}"}}],"networkLocationDetails":{},"clientCredentialType":"{}","processingTimeInMilliseconds":{},"#,
        if rng.below(2) == 0 { "True" } else { "False" },
        match rng.below(4) {
            0 => r#"[{"networkType":"trustedNamedLocation","networkNames":["Head office"]}]"#,
            _ => "[]",
        },
        match kind {
            "servicePrincipal" => {
                rng.pick::<&str>(&["clientSecret", "certificate", "federatedIdentityCredential"])
            }
            "managedIdentity" => "managedIdentity",
            _ => "none",
        },
        40 + rng.below(900),
    );
    let _ = write!(
        out,
        r#""resourceDisplayName":"{resource_name}","resourceId":"{resource_id}","resourceTenantId":"{tenant}","homeTenantId":"{}","authenticationMethodsUsed":[],"authenticationRequirement":"{}","signInIdentifier":"{}","signInEventTypes":["{kind}"],"#,
        if user.guest { uuid(mix(9, 1), mix(9, 2)) } else { tenant.to_owned() },
        if demanded { "multiFactorAuthentication" } else { "singleFactorAuthentication" },
        text(user.upn),
    );
    let _ = write!(
        out,
        r#""servicePrincipalId":"{}","servicePrincipalName":{},"servicePrincipalCredentialKeyId":"{}","userType":"{}","flaggedForReview":false,"isTenantRestricted":false,"autonomousSystemNumber":{},"crossTenantAccessType":"{}","uniqueTokenIdentifier":"{:016x}{:06x}AA","sessionId":{},"#,
        if person { "" } else { service_id },
        quoted((!person).then_some(service_name)),
        if kind == "servicePrincipal" { uuid(mix(7, service_id.len() as u64), 7) } else { String::new() },
        if user.guest { "guest" } else { "member" },
        64_496 + rng.below(16),
        if user.guest && person { "b2bCollaboration" } else { "none" },
        rng.next(),
        rng.below(0x100_0000),
        quoted((person && case.code == 0).then(|| uuid(rng.next(), 11)).as_deref()),
    );
    let _ = write!(
        out,
        r#""incomingTokenType":"{}","authenticationProtocol":"{}","resourceServicePrincipalId":"{}","signInTokenProtectionStatus":"{}","originalTransferMethod":"{}","mfaDetail":{},"#,
        match kind {
            "nonInteractiveUser" => rng.pick::<&str>(&["primaryRefreshToken", "refreshToken"]),
            _ => "none",
        },
        case.protocol,
        uuid(mix(5, resource_id.len() as u64), 5),
        rng.pick(&["none", "bound", "unbound"]),
        if case.protocol == "deviceCode" { "deviceCodeFlow" } else { "none" },
        if demanded { r#"{"authMethod":null,"authDetail":null}"# } else { "null" },
    );
    let (device, name, trust) = match person && managed {
        true => (
            uuid(mix(3, user.name.len() as u64), user.upn.len() as u64),
            format!("LT-{:04}", rng.below(10_000)),
            "Azure AD joined",
        ),
        false => (String::new(), String::new(), ""),
    };
    let _ = write!(
        out,
        r#""deviceDetail":{{"deviceId":"{device}","displayName":"{name}","operatingSystem":"{}","browser":"{}","isCompliant":{},"isManaged":{},"trustType":"{trust}"}},"location":{{"city":"{}","state":"{}","countryOrRegion":"{}","geoCoordinates":{{"altitude":null,"latitude":{},"longitude":{}}}}},"#,
        text(agent.system),
        text(agent.browser),
        person && managed,
        person && managed,
        place.city,
        place.state,
        place.country,
        place.latitude,
        place.longitude,
    );
    let _ = write!(
        out,
        r#""appliedConditionalAccessPolicies":[{{"id":"4e5f6a7b-0c1d-4e2f-8a3b-9c0d1e2f3a4b","displayName":"Require MFA for all users","enforcedGrantControls":["Mfa"],"enforcedSessionControls":[],"result":"{}","conditionsSatisfied":"application,users","conditionsNotSatisfied":"none"}},{{"id":"5f6a7b8c-1d2e-4f30-9b4c-0d1e2f3a4b5c","displayName":"Report only: compliant device","enforcedGrantControls":["RequireCompliantDevice"],"enforcedSessionControls":["SignInFrequency"],"result":"{}","conditionsSatisfied":"application,users,devicePlatform","conditionsNotSatisfied":"none"}}],"#,
        case.access.1,
        if managed { "reportOnlySuccess" } else { "reportOnlyFailure" },
    );
    let _ = write!(
        out,
        r#""authenticationRequirementPolicies":[{}],"sessionLifetimePolicies":[{}],"privateLinkDetails":null,"managedServiceIdentity":{},"agent":{{"agentType":"notAgentic","parentAppId":null}}"#,
        match demanded {
            true => r#"{"requirementProvider":"multiConditionalAccess","detail":"Conditional Access"}"#,
            false => "",
        },
        match rng.below(6) {
            0 => {
                r#"{"expirationRequirement":"signInFrequencyPeriodicReauthentication","detail":"Sign-in frequency"}"#
            }
            _ => "",
        },
        match kind {
            "managedIdentity" => {
                r#"{"msiType":"systemAssigned","associatedResourceId":"/subscriptions/example/vm-1","federatedTokenId":"","federatedTokenIssuer":""}"#
            }
            _ => "null",
        },
    );
    out
}

/// A row that bends the schema.
fn odd(row: &Bytes, rng: &mut Rng) -> Value {
    let mut value: Value = serde_json::from_slice(row).unwrap_or_default();
    let Some(members) = value.as_object_mut() else { return value };
    match rng.below(5) {
        0 => {
            // Null wherever that is allowed.
            for (name, member) in members.iter_mut() {
                if !matches!(name.as_str(), "id" | "createdDateTime" | "userId" | "signInEventTypes") {
                    *member = Value::Null;
                }
            }
        }
        1 => members.retain(|name, _| {
            matches!(name.as_str(), "id" | "createdDateTime" | "userId" | "status" | "signInEventTypes")
        }),
        2 => {
            members.insert("ipAddress".to_owned(), json!("203.0.113.XXX"));
            members.insert("userPrincipalName".to_owned(), json!("PII Removed"));
            members.insert("location".to_owned(), json!({"geoCoordinates": {}}));
        }
        3 => {
            members.insert("riskState".to_owned(), json!("somethingNew"));
            members.insert("status".to_owned(), json!({"errorCode": "50126", "failureReason": 7}));
            members.insert("deviceDetail".to_owned(), json!([]));
        }
        _ => {
            members.insert("tenantDefined".to_owned(), json!({"deep": [1, 2, {"x": null}]}));
            members.insert(
                "agent".to_owned(),
                json!({"agentType": "agenticAppInstance", "parentAppId": uuid(1, 2)}),
            );
        }
    }
    value
}
