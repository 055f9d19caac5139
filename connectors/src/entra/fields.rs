//! What becomes of each field of a Graph record, and of which envelope.
//!
//! Names under `azure.*` are those of Elastic's integration (its field definitions of mid 2026), because rules, dashboards and
//! mappings ask for exactly them. That integration reads Azure's diagnostic logs: the record is their `properties`, and what
//! stands around it there is made again from the record and the source's directory.

use tidegate_core::event::{Field, Part, RawShape, Shape, Table, TextOf};
use tidegate_core::{field, label};

/// What all logs have in common.
const AZURE: Table = Table {
    client: true,
    place: true,
    // An interrupt is one more failed sign-in there, and rules ask for it as such.
    interrupts_fail: true,
    constants: ",\"cloud\":{\"provider\":\"azure\"}",
    ..Table::EMPTY
};

const TENANT_ID: Part = Part::Organisation { label: label!("tenant_id"), around: ("", "") };
const CORRELATION_ID: Part = Part::Member(field!("correlationId" => "correlation_id", Shape::Keyword));
const RESOURCE: Part = Part::Object(
    label!("resource"),
    &[
        Part::Organisation { label: label!("id"), around: ("/tenants/", "/providers/Microsoft.aadiam") },
        Part::Constant(",\"provider\":\"Microsoft.aadiam\""),
    ],
);
const VERSION: Part = Part::Constant(",\"operation_version\":\"1.0\"");
const RESULT_TYPE: Part = Part::Of(label!("result_type"), CODE);
const PROPERTIES: Part = Part::Object(label!("properties"), &[Part::Record]);

const ACTION: TextOf = |event| &event.kind.action;
const CODE: TextOf = |event| &event.outcome.code;
const REASON: TextOf = |event| &event.outcome.reason;
const WORD: TextOf = |event| &event.outcome.word;
const FULL_NAME: TextOf = |event| &event.actor.account.full_name;
const IP: TextOf = |event| &event.source.ip;
const COUNTRY: TextOf = |event| &event.source.geo.country_code;
const USER_AGENT: TextOf = |event| &event.agent.original;

/// Azure's diagnostic record of this category around Graph's, in the names that it has there: what content for Splunk
/// searches. Graph's time stands in a member of this key; the parts say what the rest is.
macro_rules! diagnostic {
    ($category:literal, $time:literal, $operation:expr $(, $part:expr)* $(,)?) => {
        RawShape::Enveloped { sourcetype: "azure:monitor:aad", parts: &[
            Part::Member(field!($time => "time", Shape::Keyword)),
            Part::Organisation {
                label: label!("resourceId"),
                around: ("/tenants/", "/providers/Microsoft.aadiam"),
            },
            $operation,
            Part::Constant(concat!(
                ",\"operationVersion\":\"1.0\",\"category\":\"", $category, "\",\"durationMs\":0,\"Level\":4"
            )),
            Part::Organisation { label: label!("tenantId"), around: ("", "") },
            Part::Member(field!("correlationId", Shape::Keyword)),
            $($part,)*
            Part::Object(label!("properties"), &[Part::Record]),
        ] }
    };
}

/// A sign-in in the envelope of this category: its label and value.
macro_rules! sign_ins {
    ($category:literal) => {
        Table {
            fields: SIGN_IN,
            layout: Some(&[
                TENANT_ID,
                CORRELATION_ID,
                RESOURCE,
                Part::Object(
                    label!("signinlogs"),
                    &[
                        Part::Constant(concat!(",\"category\":\"", $category, "\"")),
                        Part::Of(label!("identity"), FULL_NAME),
                        Part::Of(label!("operation_name"), ACTION),
                        VERSION,
                        Part::Of(label!("caller_ip_address"), IP),
                        RESULT_TYPE,
                        Part::Outcome(label!("result_signature"), ["SUCCESS", "FAILURE"]),
                        Part::Of(label!("result_description"), REASON),
                        // Diagnostic logs have the directory inside too, and rules ask for it there.
                        Part::Object(label!("properties"), &[TENANT_ID, Part::Record]),
                    ],
                ),
            ]),
            raw: diagnostic!(
                $category,
                "createdDateTime",
                Part::Of(label!("operationName"), ACTION),
                Part::Of(label!("identity"), FULL_NAME),
                Part::Of(label!("resultType"), CODE),
                Part::Outcome(label!("resultSignature"), ["SUCCESS", "FAILURE"]),
                Part::Of(label!("resultDescription"), REASON),
                Part::Of(label!("callerIpAddress"), IP),
                Part::Of(label!("location"), COUNTRY),
            ),
            ..AZURE
        }
    };
}

/// Interactive sign-ins.
pub const SIGN_INS: Table = sign_ins!("SignInLogs");
/// Sign-ins that a client did for a user.
pub const SIGN_INS_NON_INTERACTIVE: Table = sign_ins!("NonInteractiveUserSignInLogs");
/// Sign-ins of service principals.
pub const SIGN_INS_SERVICE_PRINCIPAL: Table = sign_ins!("ServicePrincipalSignInLogs");
/// Sign-ins of managed identities.
pub const SIGN_INS_MANAGED_IDENTITY: Table = sign_ins!("ManagedIdentitySignInLogs");

/// The directory's audit log.
pub const DIRECTORY_AUDITS: Table = Table {
    fields: AUDIT,
    layout: Some(&[
        TENANT_ID,
        CORRELATION_ID,
        RESOURCE,
        Part::Object(
            label!("auditlogs"),
            &[
                Part::Constant(",\"category\":\"AuditLogs\",\"result_signature\":\"None\""),
                Part::Of(label!("identity"), FULL_NAME),
                Part::Of(label!("operation_name"), ACTION),
                VERSION,
                // In camel case there. v1.0 has it only among the details.
                Part::Object(
                    label!("properties"),
                    &[Part::Of(label!("userAgent"), USER_AGENT), Part::Record],
                ),
            ],
        ),
    ]),
    raw: diagnostic!(
        "AuditLogs",
        "activityDateTime",
        Part::Of(label!("operationName"), ACTION),
        Part::Of(label!("identity"), FULL_NAME),
        Part::Constant(",\"resultSignature\":\"None\""),
        Part::Of(label!("resultDescription"), REASON),
        Part::Of(label!("callerIpAddress"), IP),
    ),
    ..AZURE
};

/// A risk detection in the envelope of this category and operation.
macro_rules! risk_detections {
    ($category:literal, $operation:literal) => {
        Table {
            fields: RISK,
            action: Some($operation),
            layout: Some(&[
                TENANT_ID,
                CORRELATION_ID,
                RESOURCE,
                Part::Object(
                    label!("identityprotection"),
                    &[
                        Part::Constant(concat!(
                            ",\"category\":\"",
                            $category,
                            "\",\"operation_name\":\"",
                            $operation,
                            "\""
                        )),
                        VERSION,
                        PROPERTIES,
                    ],
                ),
            ]),
            raw: diagnostic!(
                $category,
                "detectedDateTime",
                Part::Constant(concat!(",\"operationName\":\"", $operation, "\"")),
                Part::Of(label!("identity"), FULL_NAME),
                Part::Of(label!("callerIpAddress"), IP),
            ),
            ..AZURE
        }
    };
}

/// What Identity Protection found, of users.
pub const RISK_DETECTIONS: Table = risk_detections!("UserRiskEvents", "User Risk Detection");
/// The same of workloads. What diagnostic logs call the operation is not documented; no rule asks.
pub const SERVICE_PRINCIPAL_RISK_DETECTIONS: Table =
    risk_detections!("ServicePrincipalRiskEvents", "Service Principal Risk Detection");

/// The provisioning log.
pub const PROVISIONING: Table = Table {
    fields: PROVISIONED,
    action: Some("Provisioning activity"),
    layout: Some(&[
        TENANT_ID,
        CORRELATION_ID,
        RESOURCE,
        Part::Object(
            label!("provisioning"),
            &[
                Part::Constant(
                    ",\"category\":\"ProvisioningLogs\",\"operation_name\":\"Provisioning activity\"",
                ),
                VERSION,
                Part::Of(label!("identity"), FULL_NAME),
                Part::Of(label!("result_type"), WORD),
                Part::Outcome(label!("result_signature"), ["Success", "Failure"]),
                PROPERTIES,
            ],
        ),
    ]),
    raw: diagnostic!(
        "ProvisioningLogs",
        "activityDateTime",
        Part::Constant(",\"operationName\":\"Provisioning activity\""),
        Part::Of(label!("identity"), FULL_NAME),
        Part::Of(label!("resultType"), WORD),
        Part::Outcome(label!("resultSignature"), ["Success", "Failure"]),
    ),
    ..AZURE
};

const SIGN_IN: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("createdDateTime" => "created_at", Shape::Time).event(),
    field!("userDisplayName" => "user_display_name", Shape::Keyword).event(),
    field!("userPrincipalName" => "user_principal_name", Shape::Keyword).event(),
    field!("userId" => "user_id", Shape::Keyword).event(),
    field!("appId" => "app_id", Shape::Keyword).event(),
    field!("appDisplayName" => "app_display_name", Shape::Keyword).event(),
    // `source.ip` and the envelope's `caller_ip_address`, or `source.address`, have it.
    field!("ipAddress", Shape::In).event(),
    field!("ipAddressFromResourceProvider" => "ip_address_from_resource_provider", Shape::Keyword),
    field!("clientAppUsed" => "client_app_used", Shape::Keyword),
    // `user_agent.original` has it.
    field!("userAgent", Shape::In).event(),
    field!("correlationId" => "correlation_id", Shape::Keyword).event(),
    field!("conditionalAccessStatus" => "conditional_access_status", Shape::Keyword),
    field!("originalRequestId" => "original_request_id", Shape::Keyword).event(),
    field!("isInteractive" => "is_interactive", Shape::Boolean),
    field!("tokenIssuerName" => "token_issuer_name", Shape::Keyword).event(),
    field!("tokenIssuerType" => "token_issuer_type", Shape::Keyword),
    field!("clientCredentialType" => "client_credential_type", Shape::Keyword),
    field!("processingTimeInMilliseconds" => "processing_time_ms", Shape::Long),
    field!("riskDetail" => "risk_detail", Shape::Keyword),
    field!("riskLevelAggregated" => "risk_level_aggregated", Shape::Keyword),
    field!("riskLevelDuringSignIn" => "risk_level_during_signin", Shape::Keyword).event(),
    field!("riskState" => "risk_state", Shape::Keyword),
    field!("riskEventTypes" => "risk_event_types", WORDS).event(),
    field!("riskEventTypes_v2" => "risk_event_types_v2", WORDS).event(),
    field!("resourceDisplayName" => "resource_display_name", Shape::Keyword).event(),
    field!("resourceId" => "resource_id", Shape::Keyword).event(),
    field!("resourceTenantId" => "resource_tenant_id", Shape::Keyword),
    field!("homeTenantId" => "home_tenant_id", Shape::Keyword),
    field!("homeTenantName" => "home_tenant_name", Shape::Keyword),
    field!("authenticationMethodsUsed" => "authentication_methods_used", WORDS),
    field!("authenticationRequirement" => "authentication_requirement", Shape::Keyword),
    field!("alternateSignInName" => "alternate_sign_in_name", Shape::Keyword),
    field!("signInIdentifier" => "sign_in_identifier", Shape::Keyword),
    field!("signInIdentifierType" => "sign_in_identifier_type", Shape::Keyword),
    field!("servicePrincipalName" => "service_principal_name", Shape::Keyword).event(),
    field!("signInEventTypes" => "sign_in_event_types", WORDS),
    field!("servicePrincipalId" => "service_principal_id", Shape::Keyword).event(),
    field!("federatedCredentialId" => "federated_credential_id", Shape::Keyword),
    // Diagnostic logs begin it with a capital, and rules ask for that.
    field!("userType" => "user_type", Shape::Words(&[("member", "Member")])),
    field!("flaggedForReview" => "flagged_for_review", Shape::Boolean),
    field!("isTenantRestricted" => "is_tenant_restricted", Shape::Boolean),
    field!("autonomousSystemNumber" => "autonomous_system_number", Shape::Long).event(),
    field!("crossTenantAccessType" => "cross_tenant_access_type", Shape::Keyword),
    field!("servicePrincipalCredentialKeyId" => "service_principal_credential_key_id", Shape::Keyword),
    field!("servicePrincipalCredentialThumbprint" => "service_principal_credential_thumbprint", Shape::Keyword),
    field!("uniqueTokenIdentifier" => "unique_token_identifier", Shape::Keyword),
    field!("incomingTokenType" => "incoming_token_type", Shape::Keyword),
    field!("authenticationProtocol" => "authentication_protocol", Shape::Keyword).event(),
    field!("resourceServicePrincipalId" => "resource_service_principal_id", Shape::Keyword),
    field!("signInTokenProtectionStatus" => "sign_in_token_protection_status", Shape::Keyword),
    field!("appTokenProtectionStatus" => "app_token_protection_status", Shape::Keyword),
    field!("originalTransferMethod" => "original_transfer_method", Shape::Keyword),
    field!("isThroughGlobalSecureAccess" => "is_through_global_secure_access", Shape::Boolean),
    field!("globalSecureAccessIpAddress" => "global_secure_access_ip_address", Shape::Keyword),
    field!("sessionId" => "session_id", Shape::Keyword).event(),
    field!("clientSessionId" => "client_session_id", Shape::Keyword),
    field!("appOwnerTenantId" => "app_owner_tenant_id", Shape::Keyword),
    field!("appServicePrincipalId" => "app_service_principal_id", Shape::Keyword),
    field!("resourceOwnerTenantId" => "resource_owner_tenant_id", Shape::Keyword),
    field!("sourceAppClientId" => "source_app_client_id", Shape::Keyword),
    field!("azureResourceId" => "azure_resource_id", Shape::Keyword),
    field!("redirectUrl" => "redirect_url", Shape::Keyword),
    field!("ssoExtensionVersion" => "sso_extension_version", Shape::Keyword),
    field!("status", Shape::Object(STATUS)),
    field!("deviceDetail" => "device_detail", Shape::Object(DEVICE)),
    field!("location", Shape::Object(LOCATION)),
    field!("mfaDetail" => "mfa_detail", Shape::Object(&[
        field!("authMethod" => "auth_method", Shape::Keyword).event(),
        field!("authDetail" => "auth_detail", Shape::Keyword),
    ])),
    field!("appliedConditionalAccessPolicies" => "applied_conditional_access_policies", Shape::FlatList(POLICY)),
    field!("authenticationContextClassReferences" => "authentication_context_class_references", Shape::FlatList(&[
        field!("id", Shape::Keyword),
        field!("detail", Shape::Keyword),
    ])),
    field!("authenticationProcessingDetails" => "authentication_processing_details", Shape::Keyed),
    field!("networkLocationDetails" => "network_location_details", Shape::FlatList(&[
        field!("networkType" => "network_type", Shape::Keyword),
        field!("networkNames" => "network_names", WORDS),
    ])),
    field!("authenticationDetails" => "authentication_details", Shape::FlatList(STEP)),
    field!("authenticationRequirementPolicies" => "authentication_requirement_policies", Shape::FlatList(&[
        field!("requirementProvider" => "requirement_provider", Shape::Keyword),
        field!("detail", Shape::Keyword),
    ])),
    field!("sessionLifetimePolicies" => "session_lifetime_policies", Shape::FlatList(&[
        field!("expirationRequirement" => "expiration_requirement", Shape::Keyword),
        field!("detail", Shape::Keyword),
    ])),
    field!("privateLinkDetails" => "private_link_details", Shape::Object(&[
        field!("policyId" => "policy_id", Shape::Keyword),
        field!("policyName" => "policy_name", Shape::Keyword),
        field!("policyTenantId" => "policy_tenant_id", Shape::Keyword),
        field!("resourceId" => "resource_id", Shape::Keyword),
    ])),
    field!("appliedEventListeners" => "applied_event_listeners", Shape::Maps),
    field!("authenticationAppDeviceDetails" => "authentication_app_device_details", Shape::Object(&[
        field!("deviceId" => "device_id", Shape::Keyword),
        field!("appVersion" => "app_version", Shape::Keyword),
        field!("clientApp" => "client_app", Shape::Keyword),
        field!("operatingSystem" => "operating_system", Shape::Keyword),
    ])),
    field!(
        "authenticationAppPolicyEvaluationDetails" => "authentication_app_policy_evaluation_details",
        Shape::FlatList(&[
            field!("policyName" => "policy_name", Shape::Keyword),
            field!("status", Shape::Keyword).event(),
            field!("adminConfiguration" => "admin_configuration", Shape::Keyword),
            field!("authenticationEvaluation" => "authentication_evaluation", Shape::Keyword),
        ])
    ),
    field!("managedServiceIdentity" => "managed_service_identity", Shape::Object(&[
        field!("msiType" => "msi_type", Shape::Keyword),
        field!("associatedResourceId" => "associated_resource_id", Shape::Keyword),
        field!("federatedTokenId" => "federated_token_id", Shape::Keyword),
        field!("federatedTokenIssuer" => "federated_token_issuer", Shape::Keyword),
    ])),
    field!("tokenProtectionStatusDetails" => "token_protection_status_details", Shape::Object(&[
        field!("signInSessionStatus" => "sign_in_session_status", Shape::Keyword),
        field!("signInSessionStatusCode" => "sign_in_session_status_code", Shape::Long),
    ])),
    field!("conditionalAccessAudiences" => "conditional_access_audiences", Shape::List(&[
        field!("applicationId" => "application_id", Shape::Keyword),
        field!("audienceReasons" => "audience_reasons", WORDS),
    ])),
    field!(
        "agent",
        Shape::Object(&[
            field!("agentType" => "agent_type", Shape::Keyword).event(),
            field!("agentSubjectType" => "agent_subject_type", Shape::Keyword),
            field!("agentSubjectParentId" => "agent_subject_parent_id", Shape::Keyword),
            field!("parentAppId" => "parent_app_id", Shape::Keyword),
        ])
    ),
    ODATA,
    TENANT,
];

/// One keyword or several.
const WORDS: Shape = Shape::Words(&[]);

const ODATA: Field =
    field!("@odata.type", Shape::Ignore("Graph's name for the kind of record; the data set says it"));

/// Written as `tenant_id`, whether the record has it or the source.
const TENANT: Field = field!("tenantId" => "tenant_id", Shape::In).event();

const STATUS: &[Field] = &[
    field!("errorCode" => "error_code", Shape::Long).event(),
    field!("failureReason" => "failure_reason", Shape::Keyword).event(),
    field!("additionalDetails" => "additional_details", Shape::Keyword).event(),
];

const DEVICE: &[Field] = &[
    field!("deviceId" => "device_id", Shape::Keyword).event(),
    field!("displayName" => "display_name", Shape::Keyword).event(),
    field!("operatingSystem" => "operating_system", Shape::Keyword).event(),
    field!("browser", Shape::Keyword).event(),
    field!("browserId" => "browser_id", Shape::Keyword),
    field!("isCompliant" => "is_compliant", Shape::Boolean),
    field!("isManaged" => "is_managed", Shape::Boolean).event(),
    field!("trustType" => "trust_type", Shape::Keyword).event(),
];

/// `source.geo` and `geo` have it.
const LOCATION: &[Field] = &[
    field!("city", Shape::In).event(),
    field!("state", Shape::In).event(),
    field!("countryOrRegion", Shape::In).event(),
    field!("geoCoordinates" => "geo_coordinates", Shape::Object(&[
        field!("altitude", Shape::Ignore("no schema has a place for it; always null or 0")),
        field!("latitude", Shape::Coordinate).event(),
        field!("longitude", Shape::Coordinate).event(),
    ])),
];

const POLICY: &[Field] = &[
    field!("id", Shape::Keyword),
    field!("displayName" => "display_name", Shape::Keyword),
    // Graph has been seen with small letters where diagnostic logs, and the rules on them, have capitals.
    field!("enforcedGrantControls" => "enforced_grant_controls", Shape::Words(&[("mfa", "Mfa"), ("block", "Block")])),
    field!("enforcedSessionControls" => "enforced_session_controls", WORDS),
    field!("sessionControlsNotSatisfied" => "session_controls_not_satisfied", WORDS),
    field!("result", Shape::Keyword),
    field!("conditionsSatisfied" => "conditions_satisfied", Shape::Keyword),
    field!("conditionsNotSatisfied" => "conditions_not_satisfied", Shape::Keyword),
    field!("includeRulesSatisfied" => "include_rules_satisfied", Shape::Maps),
    field!("excludeRulesSatisfied" => "exclude_rules_satisfied", Shape::Maps),
    field!("authenticationStrength" => "authentication_strength", Shape::Object(&[
        field!("authenticationStrengthId" => "authentication_strength_id", Shape::Keyword),
        field!("displayName" => "display_name", Shape::Keyword),
        field!("authenticationStrengthResult" => "authentication_strength_result", Shape::Keyword),
    ])),
];

const STEP: &[Field] = &[
    field!("authenticationStepDateTime" => "authentication_step_date_time", Shape::Keyword),
    field!("authenticationMethod" => "authentication_method", Shape::Keyword).event(),
    field!("authenticationMethodDetail" => "authentication_method_detail", Shape::Keyword).event(),
    field!("succeeded", Shape::Boolean).event(),
    field!("authenticationStepResultDetail" => "authentication_step_result_detail", Shape::Keyword).event(),
    field!("authenticationStepRequirement" => "authentication_step_requirement", Shape::Keyword).event(),
    field!("RequestSequence" => "request_sequence", Shape::Keyword),
    field!("StatusSequence" => "status_sequence", Shape::Keyword),
];

const AUDIT: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("category", Shape::Keyword).event(),
    field!("correlationId" => "correlation_id", Shape::Keyword).event(),
    field!("result", Shape::Keyword).event(),
    field!("resultReason" => "result_reason", Shape::Keyword).event(),
    field!("activityDisplayName" => "activity_display_name", Shape::Keyword).event(),
    field!("activityDateTime" => "activity_datetime", Shape::Time).event(),
    field!("loggedByService" => "logged_by_service", Shape::Keyword),
    field!("operationType" => "operation_type", Shape::Keyword).event(),
    // Written beside the record, wherever the record has it.
    field!("userAgent", Shape::In).event(),
    field!("initiatedBy" => "initiated_by", Shape::Object(INITIATED_BY)),
    field!("targetResources" => "target_resources", Shape::Positions(TARGET, 10)),
    field!("additionalDetails" => "additional_details", Shape::List(&[
        field!("key", Shape::Keyword),
        field!("value", Shape::Keyword),
    ])),
    field!("performedBy" => "performed_by", Shape::Object(INITIATED_BY)),
    field!("authenticationProtocol" => "authentication_protocol", Shape::Keyword),
    ODATA,
    TENANT,
];

/// The integration keeps these in camel case.
const INITIATED_BY: &[Field] = &[
    field!(
        "user",
        Shape::Object(&[
            field!("id", Shape::Keyword).event(),
            field!("displayName", Shape::Keyword).event(),
            field!("userPrincipalName", Shape::Keyword).event(),
            field!("ipAddress", Shape::Keyword).event(),
            field!("userType", Shape::Keyword),
            field!("homeTenantId", Shape::Keyword),
            field!("homeTenantName", Shape::Keyword),
            field!("roles", WORDS),
        ])
    ),
    field!(
        "app",
        Shape::Object(&[
            field!("appId", Shape::Keyword).event(),
            field!("displayName", Shape::Keyword).event(),
            field!("servicePrincipalId", Shape::Keyword).event(),
            field!("servicePrincipalName", Shape::Keyword).event(),
        ])
    ),
];

const TARGET: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("displayName" => "display_name", Shape::Keyword).event(),
    field!("type", Shape::Keyword).event(),
    field!("userPrincipalName" => "user_principal_name", Shape::Keyword).event(),
    field!("groupType" => "group_type", Shape::Keyword),
    field!("ipAddress" => "ip_address", Shape::Keyword),
    field!("administrativeUnits" => "administrative_units", WORDS),
    field!("modifiedProperties" => "modified_properties", Shape::Positions(MODIFIED, 20)),
];

const MODIFIED: &[Field] = &[
    field!("displayName" => "display_name", Shape::Keyword).event(),
    field!("oldValue" => "old_value", Shape::Keyword).event(),
    field!("newValue" => "new_value", Shape::Keyword).event(),
];

const RISK: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("requestId" => "request_id", Shape::Keyword).event(),
    field!("correlationId" => "correlation_id", Shape::Keyword).event(),
    field!("riskType" => "risk_type", Shape::Keyword),
    field!("riskEventType" => "risk_event_type", Shape::Keyword).event(),
    field!("riskState" => "risk_state", Shape::Keyword).event(),
    field!("riskLevel" => "risk_level", Shape::Keyword).event(),
    field!("riskDetail" => "risk_detail", Shape::Keyword).event(),
    field!("source", Shape::Keyword),
    field!("detectionTimingType" => "detection_timing_type", Shape::Keyword),
    field!("activity", Shape::Keyword),
    field!("tokenIssuerType" => "token_issuer_type", Shape::Keyword),
    field!("ipAddress" => "ip_address", Shape::Ip).event(),
    field!("activityDateTime" => "activity_datetime", Shape::Time),
    field!("detectedDateTime" => "detected_datetime", Shape::Time).event(),
    field!("lastUpdatedDateTime" => "last_updated_datetime", Shape::Time),
    field!("userId" => "user_id", Shape::Keyword).event(),
    field!("userDisplayName" => "user_display_name", Shape::Keyword).event(),
    field!("userPrincipalName" => "user_principal_name", Shape::Keyword).event(),
    field!("appId" => "app_id", Shape::Keyword).event(),
    field!("servicePrincipalId" => "service_principal_id", Shape::Keyword).event(),
    field!("servicePrincipalDisplayName" => "service_principal_display_name", Shape::Keyword).event(),
    field!("keyIds" => "key_ids", WORDS),
    field!("mitreTechniqueId" => "mitre_technique_id", Shape::Keyword),
    // JSON in text; its names are kept as they are.
    field!("additionalInfo" => "additional_info", Shape::Maps).event(),
    field!("location", Shape::Flat).event(),
    field!("userType" => "user_type", Shape::Keyword),
    field!("crossTenantAccessType" => "cross_tenant_access_type", Shape::Keyword),
    field!("homeTenantId" => "home_tenant_id", Shape::Keyword),
    field!("resourceTenantId" => "resource_tenant_id", Shape::Keyword),
    field!("riskLastUpdatedDateTime" => "risk_last_updated_datetime", Shape::Time),
    field!("isProcessing" => "is_processing", Shape::Boolean),
    field!("isDeleted" => "is_deleted", Shape::Boolean),
    field!("isGuest" => "is_guest", Shape::Boolean),
    ODATA,
    TENANT,
];

const PROVISIONED: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("activityDateTime" => "activity_datetime", Shape::Time).event(),
    field!("jobId" => "job_id", Shape::Keyword),
    field!("cycleId" => "cycle_id", Shape::Keyword).event(),
    field!("changeId" => "change_id", Shape::Keyword).event(),
    field!("action", Shape::Keyword).event(),
    field!("provisioningAction" => "provisioning_action", Shape::Keyword).event(),
    field!("durationInMilliseconds" => "duration_ms", Shape::Long),
    field!("initiatedBy" => "initiated_by", Shape::Object(&[
        field!("id", Shape::Keyword).event(),
        field!("displayName" => "name", Shape::Keyword).event(),
        // Both names have been documented.
        field!("initiatorType" => "type", Shape::Keyword).event(),
        field!("initiatingType" => "initiating_type", Shape::Keyword).event(),
    ])),
    field!("sourceSystem" => "source_system", Shape::Object(SYSTEM)),
    field!("targetSystem" => "target_system", Shape::Object(SYSTEM)),
    field!("sourceIdentity" => "source_identity", Shape::Object(IDENTITY)),
    field!("targetIdentity" => "target_identity", Shape::Object(IDENTITY)),
    field!("servicePrincipal" => "service_principal", Shape::Object(&[
        field!("id", Shape::Keyword).event(),
        field!("displayName" => "name", Shape::Keyword).event(),
    ])),
    field!("provisioningStatusInfo" => "provisioning_status_info", Shape::Object(&[
        field!("status", Shape::Keyword).event(),
        field!("errorInformation" => "error_information", Shape::Object(ERROR)),
    ])),
    field!("statusInfo" => "status_info", Shape::Object(&[
        field!("status", Shape::Keyword),
        field!("errorInformation" => "error_information", Shape::Object(ERROR)),
    ])),
    field!("provisioningSteps" => "provisioning_steps", Shape::List(PROVISIONING_STEP)),
    field!("modifiedProperties" => "modified_properties", Shape::FlatList(MODIFIED)),
    ODATA,
    field!("tenantId" => "tenant_id", Shape::Keyword).event(),
];

const SYSTEM: &[Field] = &[
    field!("id", Shape::Keyword),
    field!("displayName" => "name", Shape::Keyword),
    field!(
        "details",
        Shape::Object(&[
            field!("ApplicationId" => "application_id", Shape::Keyword),
            // As the integration spells it.
            field!("ServicePrincipalDisplayName" => "dervice_principal_display_name", Shape::Keyword),
            field!("ServicePrincipalId" => "service_principal_id", Shape::Keyword),
        ])
    ),
];

const IDENTITY: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("displayName" => "name", Shape::Keyword).event(),
    field!("identityType" => "identity_type", Shape::Keyword).event(),
    field!("details", Shape::Flat),
];

const ERROR: &[Field] = &[
    field!("errorCode" => "error_code", Shape::Keyword).event(),
    field!("reason", Shape::Keyword).event(),
    field!("additionalDetails" => "additional_details", Shape::Keyword),
    field!("errorCategory" => "error_category", Shape::Keyword),
    field!("recommendedAction" => "recommended_action", Shape::Keyword),
];

const PROVISIONING_STEP: &[Field] = &[
    field!("name", Shape::Keyword),
    // Diagnostic logs have a number where Graph has a word, and the integration's fields are numbers.
    field!("status" => "status_name", Shape::Keyword),
    field!("provisioningStepType" => "provisioning_step_type_name", Shape::Keyword),
    field!("description", Shape::Keyword),
    field!("details", Shape::Flat),
];
