//! Sign-ins of all four kinds, as beta shows them.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use super::people::{AGENTS, APPS, PLACES, RESOURCES, SERVICES, USERS, address};
use super::{Draw, delay, raw};
use crate::known::{Known, Version};
use crate::rng::{Rng, mix, uuid};

/// Latest change of a row after the sign-in.
const LATEST_CHANGE: TimeDelta = TimeDelta::hours(2);
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignIn {
    id: String,
    created_date_time: String,
    user_display_name: String,
    user_principal_name: String,
    user_id: String,
    app_id: String,
    app_display_name: String,
    ip_address: String,
    ip_address_from_resource_provider: Option<String>,
    client_app_used: &'static str,
    user_agent: String,
    correlation_id: String,
    conditional_access_status: &'static str,
    original_request_id: String,
    is_interactive: bool,
    token_issuer_name: &'static str,
    token_issuer_type: &'static str,
    authentication_processing_details: Value,
    network_location_details: Value,
    client_credential_type: &'static str,
    processing_time_in_milliseconds: u64,
    risk_detail: &'static str,
    risk_level_aggregated: &'static str,
    risk_level_during_sign_in: &'static str,
    risk_state: &'static str,
    risk_event_types: Vec<&'static str>,
    #[serde(rename = "riskEventTypes_v2")]
    risk_event_types_v2: Vec<&'static str>,
    resource_display_name: &'static str,
    resource_id: &'static str,
    resource_tenant_id: String,
    home_tenant_id: String,
    authentication_methods_used: Vec<&'static str>,
    authentication_requirement: &'static str,
    sign_in_identifier: String,
    sign_in_event_types: [&'static str; 1],
    service_principal_id: String,
    service_principal_name: Option<&'static str>,
    service_principal_credential_key_id: String,
    user_type: &'static str,
    flagged_for_review: bool,
    is_tenant_restricted: bool,
    autonomous_system_number: u64,
    cross_tenant_access_type: &'static str,
    unique_token_identifier: String,
    session_id: Option<String>,
    incoming_token_type: &'static str,
    authentication_protocol: &'static str,
    resource_service_principal_id: String,
    sign_in_token_protection_status: &'static str,
    original_transfer_method: &'static str,
    mfa_detail: Option<Value>,
    status: Status,
    device_detail: Value,
    location: Value,
    applied_conditional_access_policies: Vec<Value>,
    authentication_details: Vec<Step>,
    authentication_requirement_policies: Value,
    session_lifetime_policies: Value,
    private_link_details: Value,
    managed_service_identity: Value,
    agent: Value,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    error_code: u32,
    failure_reason: &'static str,
    additional_details: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    /// Whole seconds only.
    authentication_step_date_time: String,
    authentication_method: &'static str,
    authentication_method_detail: &'static str,
    succeeded: Option<bool>,
    authentication_step_result_detail: &'static str,
    authentication_step_requirement: &'static str,
}

/// How an interactive sign-in goes.
struct Case {
    weight: u64,
    code: u32,
    reason: &'static str,
    details: Option<&'static str>,
    /// Method, its detail, whether it went well, the result's text. The first is the primary one.
    steps: &'static [(&'static str, &'static str, bool, &'static str)],
    /// Status and policy result of Conditional Access.
    access: (&'static str, &'static str),
    protocol: &'static str,
    client: &'static str,
}

const BROWSER: &str = "Browser";
const PASSWORD: (&str, &str, bool, &str) = ("Password", "Password Hash Sync", true, "Correct password");
const OTHER: &str = "Other.";
const SATISFIED: &str = "MFA requirement satisfied by claim in the token";
const PASSED: (&str, &str) = ("success", "success");
const NONE: (&str, &str) = ("notApplied", "notApplied");
const FAILED: (&str, &str) = ("failure", "failure");
const MFA_FAILED: &str = "Authentication failed during strong authentication request.";

const fn case(
    weight: u64,
    code: u32,
    reason: &'static str,
    details: Option<&'static str>,
    steps: &'static [(&'static str, &'static str, bool, &'static str)],
    access: (&'static str, &'static str),
) -> Case {
    Case { weight, code, reason, details, steps, access, protocol: "none", client: BROWSER }
}

const CASES: &[Case] = &[
    case(14, 0, OTHER, None, &[PASSWORD], NONE),
    case(
        14,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[PASSWORD, ("Mobile app notification", "Pixel 9", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        10,
        0,
        OTHER,
        Some(SATISFIED),
        &[
            ("Previously satisfied", "", true, "First factor requirement satisfied by claim in the token"),
            ("Previously satisfied", "", true, SATISFIED),
        ],
        PASSED,
    ),
    case(
        4,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[PASSWORD, ("Text message", "+XX XXXXXXXX67", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        3,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[("FIDO2 security key", "Blue key", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        3,
        0,
        OTHER,
        Some("MFA requirement satisfied by strong authentication"),
        &[("Windows Hello for Business", "", true, "MFA requirement satisfied by strong authentication")],
        PASSED,
    ),
    case(
        2,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[("Temporary Access Pass", "", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        2,
        0,
        OTHER,
        Some("MFA requirement skipped due to remembered device"),
        &[PASSWORD, ("", "", true, "MFA requirement skipped due to remembered device")],
        PASSED,
    ),
    case(
        6,
        50_074,
        "Strong Authentication is required.",
        Some("MFA required in Azure AD"),
        &[PASSWORD],
        FAILED,
    ),
    case(
        3,
        50_076,
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access the resource.",
        Some("MFA required in Azure AD"),
        &[PASSWORD],
        FAILED,
    ),
    case(
        4,
        500_121,
        MFA_FAILED,
        Some("MFA denied; user declined the authentication"),
        &[
            PASSWORD,
            ("Mobile app notification", "Pixel 9", false, "MFA denied; user declined the authentication"),
        ],
        FAILED,
    ),
    case(
        1,
        500_121,
        MFA_FAILED,
        Some("MFA denied; phone app reported fraud"),
        &[PASSWORD, ("Mobile app notification", "iPhone", false, "MFA denied; phone app reported fraud")],
        FAILED,
    ),
    case(
        2,
        500_121,
        MFA_FAILED,
        Some("MFA denied; user did not respond to mobile app notification"),
        &[
            PASSWORD,
            (
                "Mobile app notification",
                "Pixel 9",
                false,
                "MFA denied; user did not respond to mobile app notification",
            ),
            (
                "Mobile app notification",
                "Pixel 9",
                false,
                "MFA denied; user did not respond to mobile app notification",
            ),
        ],
        FAILED,
    ),
    case(
        2,
        500_121,
        MFA_FAILED,
        Some("MFA denied; invalid verification code"),
        &[PASSWORD, ("OATH verification code", "", false, "MFA denied; invalid verification code")],
        FAILED,
    ),
    case(
        8,
        50_126,
        "Error validating credentials due to invalid username or password.",
        None,
        &[("Password", "Password Hash Sync", false, "Incorrect password")],
        NONE,
    ),
    case(2, 50_126, "Error validating credentials due to invalid username or password.", None, &[], NONE),
    case(
        2,
        50_053,
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
        None,
        &[],
        NONE,
    ),
    case(
        1,
        50_055,
        "The password is expired.",
        None,
        &[("Password", "Cloud only", false, "Password expired")],
        NONE,
    ),
    case(1, 50_057, "The user account is disabled.", None, &[], NONE),
    case(1, 50_034, "The user account does not exist in the directory.", None, &[], NONE),
    case(2, 53_003, "Access has been blocked by Conditional Access policies.", None, &[PASSWORD], FAILED),
    case(
        2,
        50_072,
        "User needs to enroll for second factor authentication (interactive).",
        None,
        &[PASSWORD],
        FAILED,
    ),
    case(
        2,
        50_140,
        "This occurred due to 'Keep me signed in' interrupt when the user was signing-in.",
        None,
        &[PASSWORD],
        NONE,
    ),
    Case {
        protocol: "deviceCode",
        ..case(1, 0, OTHER, Some(SATISFIED), &[("Previously satisfied", "", true, SATISFIED)], PASSED)
    },
    Case {
        protocol: "ropc",
        client: "IMAP4",
        ..case(
            1,
            50_126,
            "Error validating credentials due to invalid username or password.",
            None,
            &[("Password", "Password Hash Sync", false, "Incorrect password")],
            NONE,
        )
    },
    Case {
        protocol: "nativeAuth",
        client: "Mobile Apps and Desktop clients",
        ..case(1, 0, OTHER, None, &[PASSWORD], NONE)
    },
];

/// The record, and with it its near-duplicate if it gets one.
pub(super) fn make(draw: &Draw<'_>, rng: &mut Rng) -> Vec<Known> {
    let row = row(draw, rng);
    let visible_at = draw.visible(rng);
    let mut versions = vec![Version { visible_at, raw: raw(&row) }];
    if draw.changes(rng) {
        versions = changing(&row, draw, visible_at, rng);
    } else if draw.is_odd(rng) {
        versions = vec![Version { visible_at, raw: raw(&odd(&row, rng)) }];
    }
    let mut records = vec![draw.known(row.id.clone(), versions)];
    if rng.unit() < draw.plan.near_duplicates {
        let twin = SignIn {
            id: uuid(rng.next(), rng.next()),
            risk_level_aggregated: "low",
            risk_level_during_sign_in: "low",
            risk_state: "atRisk",
            risk_event_types_v2: vec!["unfamiliarFeatures"],
            ..row
        };
        let visible_at = draw.visible(rng);
        records.push(draw.known(twin.id.clone(), vec![Version { visible_at, raw: raw(&twin) }]));
    }
    records
}

/// The versions of a row that changes: what stands there last, and what stood there before.
fn changing(
    row: &SignIn,
    draw: &Draw<'_>,
    first_visible: chrono::DateTime<chrono::Utc>,
    rng: &mut Rng,
) -> Vec<Version> {
    let mut stages = vec![row.clone()];
    let (first, rest) = match row.authentication_details.split_first() {
        Some((first, rest)) => (Some(first.clone()), rest.len()),
        None => (None, 0),
    };
    if rest > 0 && rng.below(3) > 0 {
        // Steps are merged into the row as they come.
        let mut pending = row.clone();
        pending.status = Status {
            error_code: 50_074,
            failure_reason: "Strong Authentication is required.",
            additional_details: Some("MFA required in Azure AD"),
        };
        pending.conditional_access_status = "failure";
        pending.authentication_details = first.into_iter().collect();
        if rng.below(2) == 0 {
            let mut challenged = row.clone();
            challenged.status = pending.status.clone();
            if let Some(last) = challenged.authentication_details.last_mut() {
                last.succeeded = None;
                last.authentication_step_result_detail = "Authentication in progress";
            }
            stages.insert(0, challenged);
        }
        stages.insert(0, pending);
    } else if rng.below(2) == 0 {
        // The details come after the row.
        stages.insert(0, SignIn { authentication_details: Vec::new(), ..row.clone() });
    }
    if stages.len() == 1 || rng.below(4) == 0 {
        // Risk is evaluated last.
        let newer = rng.below(4) == 0;
        stages.push(SignIn {
            risk_detail: if newer { "adminConfirmedAccountSafe" } else { "none" },
            risk_level_aggregated: if newer { "none" } else { "medium" },
            risk_state: if newer { "confirmedSafe" } else { "atRisk" },
            risk_event_types: vec!["unfamiliarFeatures"],
            risk_event_types_v2: vec!["unfamiliarFeatures"],
            ..row.clone()
        });
    }
    let latest = draw.time.at + LATEST_CHANGE;
    let mut visible_at = first_visible;
    let mut versions: Vec<Version> = Vec::new();
    for stage in stages {
        versions.push(Version { visible_at, raw: raw(&stage) });
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
    let user = rng.pick(USERS);
    let (service_id, service_app, service_name) = *rng.pick(SERVICES);
    let (app, agent, place) = (*rng.pick(APPS), rng.pick(AGENTS), rng.pick(PLACES));
    let resource = *rng.pick(RESOURCES);
    let unknown_user = case.code == 50_034;
    let id = uuid(rng.next(), rng.next());
    let home = if user.guest { uuid(mix(9, 1), mix(9, 2)) } else { draw.tenant.to_owned() };
    let managed = rng.below(3) == 0;
    let mut steps = Vec::new();
    if person {
        let at = draw.time.at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        for (number, (method, detail, succeeded, result)) in case.steps.iter().enumerate() {
            steps.push(Step {
                authentication_step_date_time: at.clone(),
                authentication_method: method,
                authentication_method_detail: detail,
                succeeded: Some(*succeeded),
                authentication_step_result_detail: result,
                authentication_step_requirement: if number == 0 {
                    "Primary authentication"
                } else {
                    "Multifactor authentication"
                },
            });
        }
    }
    let demanded = steps.len() > 1 || matches!(case.code, 50_072..=50_076 | 500_121);
    SignIn {
        created_date_time: draw.time.text.clone(),
        user_display_name: if person { user.name.to_owned() } else { String::new() },
        user_principal_name: match person {
            true if unknown_user => "nobody@example.com".to_owned(),
            true => user.upn.to_owned(),
            false => String::new(),
        },
        user_id: if person && !unknown_user { user.id.to_owned() } else { NOBODY.to_owned() },
        app_id: if person { app.0.to_owned() } else { service_app.to_owned() },
        app_display_name: if person { app.1.to_owned() } else { service_name.to_owned() },
        ip_address: if kind == "managedIdentity" { String::new() } else { address(rng) },
        ip_address_from_resource_provider: (rng.below(20) == 0).then(|| address(rng)),
        client_app_used: if person { case.client } else { "" },
        user_agent: if person { agent.text.to_owned() } else { String::new() },
        correlation_id: uuid(rng.next(), rng.next()),
        conditional_access_status: case.access.0,
        original_request_id: id.clone(),
        is_interactive: kind == "interactiveUser",
        token_issuer_name: "",
        token_issuer_type: "AzureAD",
        authentication_processing_details: json!([
            {"key": "Legacy TLS (TLS 1.0, 1.1, 3DES)", "value": "False"},
            {"key": "Is CAE Token", "value": if rng.below(2) == 0 { "True" } else { "False" }},
        ]),
        network_location_details: match rng.below(4) {
            0 => json!([{"networkType": "trustedNamedLocation", "networkNames": ["Head office"]}]),
            _ => json!([]),
        },
        client_credential_type: match kind {
            "servicePrincipal" => {
                rng.pick::<&str>(&["clientSecret", "certificate", "federatedIdentityCredential"])
            }
            "managedIdentity" => "managedIdentity",
            _ => "none",
        },
        processing_time_in_milliseconds: 40 + rng.below(900),
        risk_detail: "none",
        risk_level_aggregated: "none",
        risk_level_during_sign_in: "none",
        risk_state: "none",
        risk_event_types: Vec::new(),
        risk_event_types_v2: Vec::new(),
        resource_display_name: resource.1,
        resource_id: resource.0,
        resource_tenant_id: draw.tenant.to_owned(),
        home_tenant_id: home,
        authentication_methods_used: Vec::new(),
        authentication_requirement: if demanded {
            "multiFactorAuthentication"
        } else {
            "singleFactorAuthentication"
        },
        sign_in_identifier: if person { user.upn.to_uppercase() } else { String::new() },
        sign_in_event_types: [kind],
        service_principal_id: if person { String::new() } else { service_id.to_owned() },
        service_principal_name: (!person).then_some(service_name),
        service_principal_credential_key_id: if kind == "servicePrincipal" {
            uuid(mix(7, service_id.len() as u64), 7)
        } else {
            String::new()
        },
        user_type: if user.guest { "guest" } else { "member" },
        flagged_for_review: false,
        is_tenant_restricted: false,
        autonomous_system_number: 64_496 + rng.below(16),
        cross_tenant_access_type: if user.guest && person { "b2bCollaboration" } else { "none" },
        unique_token_identifier: format!("{:016x}{:06x}AA", rng.next(), rng.below(0x100_0000)),
        session_id: (person && case.code == 0).then(|| uuid(rng.next(), 11)),
        incoming_token_type: match kind {
            "nonInteractiveUser" => rng.pick::<&str>(&["primaryRefreshToken", "refreshToken"]),
            _ => "none",
        },
        authentication_protocol: case.protocol,
        resource_service_principal_id: uuid(mix(5, resource.0.len() as u64), 5),
        sign_in_token_protection_status: rng.pick::<&str>(&["none", "bound", "unbound"]),
        original_transfer_method: if case.protocol == "deviceCode" { "deviceCodeFlow" } else { "none" },
        mfa_detail: (steps.len() > 1).then(|| json!({"authMethod": null, "authDetail": null})),
        status: Status {
            error_code: case.code,
            failure_reason: case.reason,
            additional_details: case.details,
        },
        device_detail: match (person, managed) {
            (true, true) => json!({
                "deviceId": uuid(mix(3, user.id.len() as u64), user.upn.len() as u64),
                "displayName": format!("LT-{:04}", rng.below(10_000)),
                "operatingSystem": agent.system,
                "browser": agent.browser,
                "isCompliant": true,
                "isManaged": true,
                "trustType": "Azure AD joined",
            }),
            (true, false) => json!({
                "deviceId": "",
                "displayName": "",
                "operatingSystem": agent.system,
                "browser": agent.browser,
                "isCompliant": false,
                "isManaged": false,
                "trustType": "",
            }),
            (false, _) => json!({"deviceId": "", "displayName": null, "operatingSystem": "", "browser": ""}),
        },
        location: json!({
            "city": place.city,
            "state": place.state,
            "countryOrRegion": place.country,
            "geoCoordinates": {"altitude": null, "latitude": place.latitude, "longitude": place.longitude},
        }),
        applied_conditional_access_policies: vec![
            json!({
                "id": "4e5f6a7b-0c1d-4e2f-8a3b-9c0d1e2f3a4b",
                "displayName": "Require MFA for all users",
                "enforcedGrantControls": ["Mfa"],
                "enforcedSessionControls": [],
                "result": case.access.1,
                "conditionsSatisfied": "application,users",
                "conditionsNotSatisfied": "none",
            }),
            json!({
                "id": "5f6a7b8c-1d2e-4f30-9b4c-0d1e2f3a4b5c",
                "displayName": "Report only: compliant device",
                "enforcedGrantControls": ["RequireCompliantDevice"],
                "enforcedSessionControls": ["SignInFrequency"],
                "result": if managed { "reportOnlySuccess" } else { "reportOnlyFailure" },
                "conditionsSatisfied": "application,users,devicePlatform",
                "conditionsNotSatisfied": "none",
            }),
        ],
        authentication_details: steps,
        authentication_requirement_policies: match demanded {
            true => {
                json!([{"requirementProvider": "multiConditionalAccess", "detail": "Conditional Access"}])
            }
            false => json!([]),
        },
        session_lifetime_policies: match rng.below(6) {
            0 => {
                json!([{"expirationRequirement": "signInFrequencyPeriodicReauthentication", "detail": "Sign-in frequency"}])
            }
            _ => json!([]),
        },
        private_link_details: Value::Null,
        managed_service_identity: match kind {
            "managedIdentity" => {
                json!({"msiType": "systemAssigned", "associatedResourceId": "/subscriptions/example/vm-1", "federatedTokenId": "", "federatedTokenIssuer": ""})
            }
            _ => Value::Null,
        },
        agent: json!({"agentType": "notAgentic", "parentAppId": null}),
        id,
    }
}

const RENEWED: Case = case(1, 0, OTHER, None, &[("Previously satisfied", "", true, SATISFIED)], NONE);
const EXPIRED: Case = case(1, 700_082, "The refresh token has expired due to inactivity.", None, &[], NONE);

fn chosen(rng: &mut Rng) -> &'static Case {
    let mut drawn = rng.below(CASES.iter().map(|case| case.weight).sum());
    for case in CASES {
        if drawn < case.weight {
            return case;
        }
        drawn -= case.weight;
    }
    rng.pick(CASES)
}

/// A row that bends the schema.
fn odd(row: &SignIn, rng: &mut Rng) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
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
