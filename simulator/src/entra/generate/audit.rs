//! Directory audits and provisioning.

use serde::Serialize;
use serde_json::{Value, json};

use super::people::{AGENTS, SERVICES, USERS, address};
use super::{Draw, raw};
use crate::known::{Known, Version};
use crate::rng::{Rng, mix, uuid};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Audit {
    id: String,
    category: &'static str,
    correlation_id: Option<String>,
    result: &'static str,
    result_reason: &'static str,
    activity_display_name: &'static str,
    activity_date_time: String,
    logged_by_service: &'static str,
    operation_type: &'static str,
    user_agent: Option<&'static str>,
    initiated_by: Value,
    target_resources: Vec<Value>,
    additional_details: Value,
}

/// What an activity is.
struct Activity {
    name: &'static str,
    category: &'static str,
    service: &'static str,
    operation: &'static str,
    reason: &'static str,
    result: &'static str,
    target: Target,
    /// Property, old and new value; the values are JSON text.
    changes: &'static [(&'static str, &'static str, &'static str)],
}

#[derive(Clone, Copy)]
enum Target {
    User,
    UserAndGroup,
    Policy,
    App,
}

const CORE: &str = "Core Directory";
const METHODS: &str = "Authentication Methods";

const fn activity(
    name: &'static str,
    category: &'static str,
    service: &'static str,
    operation: &'static str,
    reason: &'static str,
    target: Target,
    changes: &'static [(&'static str, &'static str, &'static str)],
) -> Activity {
    Activity { name, category, service, operation, reason, result: "success", target, changes }
}

const ACTIVITIES: &[Activity] = &[
    activity(
        "User registered security info",
        "UserManagement",
        METHODS,
        "Add",
        "User registered Authenticator App with Notification and Code",
        Target::User,
        &[],
    ),
    activity(
        "User deleted security info",
        "UserManagement",
        METHODS,
        "Delete",
        "User deleted Mobile Phone SMS",
        Target::User,
        &[],
    ),
    activity(
        "User changed default security info",
        "UserManagement",
        METHODS,
        "Update",
        "User changed the default security info to Mobile Phone SMS",
        Target::User,
        &[],
    ),
    activity(
        "Admin deleted security info",
        "UserManagement",
        METHODS,
        "Delete",
        "Admin deleted FIDO2 security key",
        Target::User,
        &[],
    ),
    Activity {
        result: "failure",
        ..activity(
            "User started security info registration",
            "UserManagement",
            METHODS,
            "Add",
            "User cancelled the registration",
            Target::User,
            &[],
        )
    },
    activity(
        "Disable Strong Authentication",
        "UserManagement",
        CORE,
        "Update",
        "",
        Target::User,
        &[
            ("StrongAuthenticationRequirement", r#"[{"RelyingParty":"*","State":1}]"#, "[]"),
            ("Included Updated Properties", "null", r#""StrongAuthenticationRequirement""#),
        ],
    ),
    activity(
        "Update user",
        "UserManagement",
        CORE,
        "Update",
        "",
        Target::User,
        &[
            ("StrongAuthenticationMethod", "[]", r#"[{"MethodType":6,"Default":true}]"#),
            ("Included Updated Properties", "null", r#""StrongAuthenticationMethod""#),
        ],
    ),
    activity("Reset user password", "UserManagement", CORE, "Reset", "", Target::User, &[]),
    activity(
        "Add member to group",
        "GroupManagement",
        CORE,
        "Assign",
        "",
        Target::UserAndGroup,
        &[("Group.DisplayName", "null", r#""VPN Users""#)],
    ),
    activity(
        "Add member to role",
        "RoleManagement",
        "PIM",
        "Assign",
        "",
        Target::User,
        &[("Role.DisplayName", "null", r#""Global Administrator""#)],
    ),
    activity(
        "Update conditional access policy",
        "Policy",
        "Conditional Access",
        "Update",
        "",
        Target::Policy,
        &[("ConditionalAccessPolicy", r#"{"state":"enabled"}"#, r#"{"state":"disabled"}"#)],
    ),
    activity(
        "Consent to application",
        "ApplicationManagement",
        CORE,
        "Assign",
        "",
        Target::App,
        &[("ConsentContext.IsAdminConsent", "null", "True")],
    ),
    activity(
        "Update service principal",
        "ApplicationManagement",
        CORE,
        "Update",
        "",
        Target::App,
        &[("KeyDescription", "[]", r#"["[KeyIdentifier=1,KeyType=Password,KeyUsage=Verify]"]"#)],
    ),
    Activity {
        result: "timeout",
        ..activity(
            "Reset password (self-service)",
            "UserManagement",
            "Self-service Password Management",
            "Reset",
            "User's account has insufficient authentication methods defined",
            Target::User,
            &[],
        )
    },
    Activity {
        result: "failure",
        ..activity(
            "Fraud reported - user is blocked for MFA",
            "UserManagement",
            METHODS,
            "Update",
            "User reported fraud",
            Target::User,
            &[],
        )
    },
];

pub(super) fn directory_audit(draw: &Draw<'_>, rng: &mut Rng) -> Known {
    let activity = rng.pick(ACTIVITIES);
    let (actor, target) = (rng.pick(USERS), rng.pick(USERS));
    let (service_id, service_app, service_name) = *rng.pick(SERVICES);
    let correlation = uuid(rng.next(), rng.next());
    let prefix = match activity.service {
        "PIM" => "PIM",
        "Self-service Password Management" => "SSPR",
        _ => "Directory",
    };
    let id = format!("{prefix}_{correlation}_{:05X}_{:08}", rng.below(0x10_0000), rng.below(100_000_000));
    let user = json!({
        "id": actor.id,
        "displayName": rng.below(2).eq(&0).then_some(actor.name),
        "userPrincipalName": actor.upn,
        "ipAddress": address(rng),
        "userType": null,
        "homeTenantId": null,
        "homeTenantName": null,
    });
    let initiated_by = match rng.below(10) {
        0 | 1 => json!({"user": null, "app": {
            "appId": service_app, "displayName": service_name,
            "servicePrincipalId": service_id, "servicePrincipalName": null,
        }}),
        // The system itself.
        2 => json!({"user": null, "app": null}),
        _ => json!({"user": user, "app": null}),
    };
    let changes: Vec<Value> = activity
        .changes
        .iter()
        .map(|(name, old, new)| {
            let text = |value: &str| if value == "null" { Value::Null } else { json!(value) };
            json!({"displayName": name, "oldValue": text(old), "newValue": text(new)})
        })
        .collect();
    let of_user = |changes: Vec<Value>| {
        json!({
            "id": target.id, "displayName": target.name, "type": "User",
            "userPrincipalName": target.upn, "groupType": null, "modifiedProperties": changes,
        })
    };
    let of = |kind: &str, name: &str, changes: Vec<Value>| {
        json!({
            "id": uuid(mix(2, name.len() as u64), 2), "displayName": name, "type": kind,
            "userPrincipalName": null, "groupType": null, "modifiedProperties": changes,
        })
    };
    let target_resources = match activity.target {
        Target::User => vec![of_user(changes)],
        Target::UserAndGroup => vec![of_user(changes), of("Group", "VPN Users", Vec::new())],
        Target::Policy => vec![of("Policy", "Require MFA for all users", changes)],
        Target::App => vec![of("ServicePrincipal", service_name, changes)],
    };
    let agent = rng.pick(AGENTS).text;
    let audit = Audit {
        category: activity.category,
        correlation_id: (rng.below(20) > 0).then_some(correlation),
        result: activity.result,
        result_reason: activity.reason,
        activity_display_name: activity.name,
        activity_date_time: draw.time.text.clone(),
        logged_by_service: activity.service,
        operation_type: activity.operation,
        user_agent: rng.below(3).eq(&0).then_some(agent),
        initiated_by,
        target_resources,
        additional_details: json!([{"key": "User-Agent", "value": agent}]),
        id,
    };
    let raw = if draw.is_odd(rng) { raw(&odd(&audit)) } else { raw(&audit) };
    let visible_at = draw.visible(rng);
    draw.known(audit.id, vec![Version { visible_at, raw }])
}

/// With null, missing and strange members.
fn odd(audit: &Audit) -> Value {
    let mut row = serde_json::to_value(audit).unwrap_or_default();
    if let Some(members) = row.as_object_mut() {
        members.insert("targetResources".to_owned(), Value::Null);
        members.insert("result".to_owned(), json!("unknownFutureValue"));
        members.insert("additionalDetails".to_owned(), json!([{"key": null, "value": 7}]));
        members.remove("operationType");
    }
    row
}

pub(super) fn provisioning(draw: &Draw<'_>, rng: &mut Rng) -> Known {
    let user = rng.pick(USERS);
    let (service_id, _, service_name) = *rng.pick(SERVICES);
    let failed = rng.below(6) == 0;
    let id = uuid(rng.next(), rng.next());
    let status = if failed { "failure" } else { *rng.pick(&["success", "success", "skipped", "warning"]) };
    let action = *rng.pick(&["create", "update", "update", "disable", "delete", "other"]);
    let error = match failed {
        true => json!({
            "errorCode": "DuplicateTargetEntries",
            "reason": "Several accounts match.",
            "additionalDetails": null,
            "errorCategory": "nonServiceFailure",
            "recommendedAction": "Remove one of them.",
        }),
        false => Value::Null,
    };
    let identity = |kind: &str| json!({"id": user.id, "displayName": user.name, "identityType": kind, "details": {"userPrincipalName": user.upn}});
    let system =
        |name: &str| json!({"id": uuid(mix(6, name.len() as u64), 6), "displayName": name, "details": {}});
    let row = json!({
        "id": id,
        "activityDateTime": draw.time.text,
        "tenantId": draw.tenant,
        "jobId": format!("example.{}.job", service_id.get(..8).unwrap_or_default()),
        "cycleId": uuid(rng.next(), 8),
        "changeId": uuid(rng.next(), 9),
        "durationInMilliseconds": rng.below(5_000),
        "provisioningAction": action,
        "provisioningStatusInfo": {"status": status, "errorInformation": error},
        "provisioningSteps": [
            {"name": "EntryImport", "provisioningStepType": "Import", "status": "success", "description": "Received the user", "details": {}},
            {"name": "EntryExport", "provisioningStepType": "Export", "status": status, "description": "Sent the user", "details": {}},
        ],
        "modifiedProperties": [{"displayName": "active", "oldValue": null, "newValue": "True"}],
        "servicePrincipal": {"id": service_id, "displayName": service_name},
        "sourceIdentity": identity("User"),
        "targetIdentity": identity("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"),
        "sourceSystem": system("Microsoft Entra ID"),
        "targetSystem": system("Example Payroll"),
        "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
    });
    let visible_at = draw.visible(rng);
    draw.known(id, vec![Version { visible_at, raw: raw(&row) }])
}
