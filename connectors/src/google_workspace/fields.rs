//! What becomes of each field of an activity and of an alert. Names under `google_workspace.*` are those of Elastic's
//! integration (its field definitions of mid 2026) where it has one for the same thing.

use super::params;
use std::sync::{Mutex, PoisonError};
use tidegate_core::event::{Field, Params, RawShape, Shape, Table};
use tidegate_core::field;

const UNMAPPED: &str = ",\"unmapped\":";

/// What becomes of an alert's fields.
pub static ALERT: Table = Table { fields: ALERT_RECORD, unmapped: UNMAPPED, ..Table::EMPTY };

const fn table(part: &'static [Field]) -> Table {
    Table {
        fields: RECORD,
        start: true,
        source_user: true,
        anonymous: &["actor", "email"],
        part,
        unmapped: UNMAPPED,
        // The add-on for Splunk sends one for each event of an activity.
        raw: RawShape::Parted { list: "events", label: ",\"event\":" },
        ..Table::EMPTY
    }
}

/// One of an activity's events: its parameters under its application's name.
macro_rules! part {
    ($label:literal, $params:expr) => {
        &[
            field!("type", Shape::Gathered),
            field!("name", Shape::Gathered),
            field!("parameters" => $label, Shape::Params($params)),
            field!("resourceIds", Shape::Gathered),
            field!("status", Shape::Gathered),
            EVENT,
        ]
    };
}

macro_rules! tables {
    ($($name:literal as $label:literal, $params:expr;)+) => {
        /// The table of an application that is known.
        fn known(application: &str) -> Option<&'static Table> {
            Some(match application {
                $($name => {
                    static TABLE: Table = table(part!($label, $params));
                    &TABLE
                })+
                _ => return None,
            })
        }
    };
}

tables! {
    "access_evaluation" as "access_evaluation", &Params::of(&[], "access_evaluation_");
    "access_transparency" as "access_transparency", &params::ACCESS_TRANSPARENCY;
    "admin" as "admin", &params::ADMIN;
    "admin_data_action" as "admin_data_action", &Params::of(&[], "admin_data_action_");
    "assignments" as "assignments", &Params::of(&[], "assignments_");
    "calendar" as "calendar", &Params::of(&[], "calendar_");
    "chat" as "chat", &Params::of(&[], "chat_");
    "chrome" as "chrome", &Params::of(&[], "chrome_");
    "chrome_sync" as "chrome_sync", &Params::of(&[], "chrome_sync_");
    "classroom" as "classroom", &Params::of(&[], "classroom_");
    "cloud_search" as "cloud_search", &Params::of(&[], "cloud_search_");
    "contacts" as "contacts", &Params::of(&[], "contacts_");
    "context_aware_access" as "context_aware_access", &params::CONTEXT_AWARE_ACCESS;
    "data_migration" as "data_migration", &Params::of(&[], "data_migration_");
    "data_studio" as "data_studio", &Params::of(&[], "data_studio_");
    "directory_sync" as "directory_sync", &Params::of(&[], "directory_sync_");
    "drive" as "drive", &params::DRIVE;
    "gcp" as "gcp", &params::GCP;
    "gemini_in_workspace_apps" as "gemini_in_workspace_apps", &Params::of(&[], "gemini_in_workspace_apps_");
    "gemini_notebook" as "gemini_notebook", &Params::of(&[], "gemini_notebook_");
    "gmail" as "gmail", &Params::of(&[], "gmail_");
    "gplus" as "gplus", &Params::of(&[], "gplus_");
    "graduation" as "graduation", &Params::of(&[], "graduation_");
    "groups" as "groups", &params::GROUPS;
    "groups_enterprise" as "group_enterprise", &params::GROUP_ENTERPRISE;
    "jamboard" as "jamboard", &Params::of(&[], "jamboard_");
    "keep" as "keep", &Params::of(&[], "keep_");
    "ldap" as "ldap", &Params::of(&[], "ldap_");
    "login" as "login", &params::LOGIN;
    "meet" as "meet", &Params::of(&[], "meet_");
    "meet_hardware" as "meet_hardware", &Params::of(&[], "meet_hardware_");
    "mobile" as "device", &params::DEVICE;
    "profile" as "profile", &Params::of(&[], "profile_");
    "rules" as "rules", &params::RULES;
    "saml" as "saml", &params::SAML;
    "takeout" as "takeout", &Params::of(&[], "takeout_");
    "tasks" as "tasks", &Params::of(&[], "tasks_");
    "token" as "token", &params::TOKEN;
    "user_accounts" as "user_accounts", &params::USER_ACCOUNTS;
    "vault" as "vault", &Params::of(&[], "vault_");
    "voice" as "voice", &Params::of(&[], "voice_");
    "workspace_studio" as "workspace_studio", &Params::of(&[], "workspace_studio_");
}

/// What becomes of the fields of an application's activities.
pub(super) fn of(application: &str) -> &'static Table {
    known(application).unwrap_or_else(|| named(application))
}

/// Of an application that nobody has heard of: its parameters under its name, each as it is. A table lives as long as the
/// process, so each is made once.
fn named(application: &str) -> &'static Table {
    static NAMED: Mutex<Vec<(&'static str, &'static Table)>> = Mutex::new(Vec::new());
    let kept = |text: String| -> &'static str { text.leak() };
    let mut made = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, table)) = made.iter().find(|(name, _)| *name == application) {
        return table;
    }
    let params: &'static Params = Box::leak(Box::new(Params::of(&[], kept(format!("{application}_")))));
    let parameters = Field::new("parameters", kept(format!(",\"{application}\":")), Shape::Params(params));
    let mut part = part!("", params).to_vec();
    if let Some(place) = part.iter_mut().find(|field| field.key == "parameters") {
        *place = parameters;
    }
    let new: &'static Table = Box::leak(Box::new(table(part.leak())));
    made.push((kept(application.to_owned()), new));
    new
}

const RECORD: &[Field] = &[
    field!("kind", Shape::Keyword),
    field!("id", Shape::Object(ID)),
    field!("etag", Shape::Keyword),
    field!("actor", Shape::Object(ACTOR)),
    // Gathered below.
    field!("ownerDomain", Shape::Gathered),
    field!("ipAddress" => "ip_address", Shape::Ip).event(),
    field!("networkInfo" => "network_info", Shape::Object(NETWORK)),
    field!("events", Shape::Parts),
    field!("userDeviceInfo" => "user_device_info", Shape::Object(DEVICE)),
    field!("isAgenticAction" => "is_agentic_action", Shape::Boolean),
    field!("resourceDetails" => "resource_details", Shape::FlatList(RESOURCE)),
    field!("" => "organization", Shape::Group(&[field!("ownerDomain" => "domain", Shape::Keyword)])),
];

const ID: &[Field] = &[
    field!("time", Shape::Date).event(),
    field!("uniqueQualifier" => "unique_qualifier", Shape::Keyword).event(),
    field!("applicationName" => "application_name", Shape::Keyword),
    field!("customerId", Shape::Gathered),
    // Old records.
    field!("uniqQualifier" => "unique_qualifier", Shape::Keyword).event().again(),
    field!("" => "customer", Shape::Group(&[field!("customerId" => "id", Shape::Keyword)])),
];

const ACTOR: &[Field] = &[
    field!("callerType" => "type", Shape::Keyword).event(),
    field!("email", Shape::Keyword).event(),
    field!("profileId", Shape::Gathered).event(),
    field!("key", Shape::Keyword),
    field!("applicationInfo" => "application_info", Shape::Object(&[
        field!("oauthClientId" => "oauth_client_id", Shape::Keyword),
        field!("applicationName" => "application_name", Shape::Keyword),
        field!("impersonation", Shape::Boolean),
    ])),
    field!("agentAttributionInfo" => "agent_attribution_info", Shape::Flat),
    field!("" => "profile", Shape::Group(&[field!("profileId" => "id", Shape::Keyword)])),
];

const NETWORK: &[Field] = &[
    field!("ipAsn" => "ip_asn", Shape::Text),
    field!("regionCode" => "region_code", Shape::Keyword),
    field!("subdivisionCode" => "subdivision_code", Shape::Keyword),
];

const DEVICE: &[Field] = &[
    field!("deviceId" => "device_id", Shape::Keyword).event(),
    field!("deviceType" => "device_type", Shape::Keyword),
    field!("deviceOsVersion" => "device_os_version", Shape::Keyword),
];

const RESOURCE: &[Field] = &[
    field!("id", Shape::Keyword),
    field!("title", Shape::Keyword),
    field!("type", Shape::Keyword),
    field!("relation", Shape::Keyword),
    field!("appliedLabels" => "applied_labels", Shape::FlatList(&[
        field!("id", Shape::Keyword),
        field!("title", Shape::Keyword),
        field!("reason", Shape::Flat),
    ])),
    field!("ownerDetails" => "owner_details", Shape::Flat),
];

const EVENT: Field = field!("" => "event", Shape::Group(&[
    field!("type", Shape::Keyword),
    field!("name", Shape::Keyword).event(),
    field!("resourceIds" => "resource_ids", Shape::Text),
    field!("status", Shape::Object(STATUS)),
]));

const STATUS: &[Field] = &[
    field!("eventStatus" => "event_status", Shape::Keyword).event(),
    field!("errorCode" => "error_code", Shape::Keyword).event(),
    field!("errorMessage" => "error_message", Shape::Keyword).event(),
    field!("httpStatusCode" => "http_status_code", Shape::Integer),
];

const ALERT_RECORD: &[Field] = &[
    // Gathered below.
    field!("customerId", Shape::Gathered),
    field!("alertId", Shape::Gathered).event(),
    field!("createTime", Shape::Gathered).event(),
    field!("startTime", Shape::Gathered),
    field!("endTime", Shape::Gathered),
    field!("type", Shape::Gathered).event(),
    field!("source", Shape::Gathered),
    field!("data", Shape::Gathered),
    field!("securityInvestigationToolLink", Shape::Gathered),
    field!("deleted", Shape::Gathered),
    field!("updateTime", Shape::Gathered),
    field!("metadata", Shape::Gathered),
    field!("etag", Shape::Gathered),
    field!("" => "alert", Shape::Group(ALERT_FIELDS)),
];

const ALERT_FIELDS: &[Field] = &[
    CUSTOMER,
    field!("alertId" => "id", Shape::Keyword).event(),
    field!("createTime" => "create_time", Shape::Date).event(),
    field!("startTime" => "start_time", Shape::Date),
    field!("endTime" => "end_time", Shape::Date),
    field!("type", Shape::Keyword).event(),
    field!("source", Shape::Keyword),
    field!("data", Shape::Object(DATA)),
    field!("securityInvestigationToolLink" => "security_investigation_tool_link", Shape::Keyword),
    field!("deleted", Shape::Boolean),
    field!("updateTime" => "update_time", Shape::Date),
    field!("metadata", Shape::Object(METADATA)),
    field!("etag", Shape::Keyword),
];

const CUSTOMER: Field =
    field!("" => "customer", Shape::Group(&[field!("customerId" => "id", Shape::Keyword)]));

const METADATA: &[Field] = &[
    field!("customerId", Shape::Gathered),
    field!("alertId", Shape::Gathered),
    field!("status", Shape::Keyword),
    field!("assignee", Shape::Keyword),
    field!("updateTime" => "update_time", Shape::Date),
    field!("severity", Shape::Keyword).event(),
    field!("etag", Shape::Keyword),
    field!("" => "alert", Shape::Group(&[field!("alertId" => "id", Shape::Keyword)])),
    CUSTOMER,
];

/// What alerts are about, each type in members of its own.
const DATA: &[Field] = &[
    field!("@type" => "type", Shape::Keyword),
    field!("actionName", Shape::Gathered),
    field!("actorEmail", Shape::Gathered),
    field!("affectedUserEmails", Shape::Gathered),
    field!("alertDetails" => "alert_details", Shape::Text),
    field!("appealWindow" => "appeal_window", Shape::Keyword),
    field!("attachmentData", Shape::Gathered),
    field!("createTime" => "create_time", Shape::Date),
    field!("dashboardUri", Shape::Gathered),
    field!("description", Shape::Keyword),
    field!("displayName", Shape::Gathered),
    field!("domain", Shape::Keyword),
    field!("domainId" => "domain_id", Shape::Object(&[
        field!("customerPrimaryDomain" => "customer_primary_domain", Shape::Keyword),
    ])),
    field!("email", Shape::Keyword).event(),
    field!("eventTime" => "event_time", Shape::Date),
    field!("events", Shape::List(DEVICE_EVENT)),
    field!("header", Shape::Keyword),
    field!("incidentTrackingId", Shape::Gathered),
    field!("isInternal" => "is_internal", Shape::Boolean),
    field!("loginDetails" => "login_details", Shape::Object(&[
        field!("loginTime" => "login_time", Shape::Date),
        field!("ipAddress" => "ip_address", Shape::Ip).event(),
    ])),
    field!("maliciousEntity" => "malicious_entity", Shape::Object(&[
        field!("displayName" => "display_name", Shape::Keyword),
        field!("fromHeader" => "from_header", Shape::Keyword),
        field!("entity", Shape::Object(&[
            field!("displayName" => "display_name", Shape::Keyword),
            field!("emailAddress" => "email_address", Shape::Keyword),
        ])),
    ])),
    field!("mergeInfo" => "merge_info", Shape::Object(&[
        field!("newAlertId", Shape::Gathered),
        field!("newIncidentTrackingId", Shape::Gathered),
        field!("" => "new_alert", Shape::Group(&[field!("newAlertId" => "id", Shape::Keyword)])),
        field!("" => "new_incident_tracking", Shape::Group(&[
            field!("newIncidentTrackingId" => "id", Shape::Keyword),
        ])),
    ])),
    field!("messages", Shape::List(MAIL)),
    field!("name", Shape::Keyword),
    field!("nextUpdateTime" => "next_update_time", Shape::Date),
    field!("primaryAdminChangedEvent", Shape::Gathered),
    field!("products", Shape::Keyword),
    field!("query", Shape::Keyword),
    field!("requestInfo", Shape::Gathered),
    field!("resolutionTime" => "resolution_time", Shape::Date),
    field!("ruleDescription" => "rule_description", Shape::Keyword),
    field!("ruleViolationInfo", Shape::Gathered),
    field!("sourceIp", Shape::Gathered),
    field!("ssoProfileCreatedEvent", Shape::Gathered),
    field!("ssoProfileDeletedEvent", Shape::Gathered),
    field!("ssoProfileUpdatedEvent", Shape::Gathered),
    field!("state", Shape::Keyword),
    field!("status", Shape::Keyword),
    field!("superAdminPasswordResetEvent" => "super_admin_password_reset_event", Shape::Object(&[
        field!("userEmail", Shape::Gathered),
        field!("" => "user", Shape::Group(&[field!("userEmail" => "email", Shape::Keyword)])),
    ])),
    field!("supersededAlerts" => "superseded_alerts", Shape::Keyword),
    field!("supersedingAlert" => "superseding_alert", Shape::Keyword),
    field!("suspensionDetails" => "suspension_details", Shape::List(&[
        field!("abuseReason" => "abuse_reason", Shape::Keyword),
        field!("productName" => "product_name", Shape::Keyword),
    ])),
    field!("systemActionType" => "system_action_type", Shape::Keyword),
    field!("takeoutRequestId", Shape::Gathered),
    field!("threshold", Shape::Keyword),
    field!("title", Shape::Keyword),
    field!("triggerSource", Shape::Gathered),
    field!("type", Shape::Keyword),
    field!("updateTime" => "update_time", Shape::Date),
    field!("windowSize" => "window_size", Shape::Keyword),
    field!("" => "action", Shape::Group(&[field!("actionName" => "name", Shape::Keyword)])),
    field!("" => "actor", Shape::Group(&[field!("actorEmail" => "email", Shape::Keyword).event()])),
    field!("" => "affected", Shape::Group(&[
        field!("affectedUserEmails" => "user_emails", Shape::Keyword).event(),
    ])),
    field!("" => "attachment", Shape::Group(&[field!("attachmentData" => "data", Shape::Object(&[
        field!("csv", Shape::Object(&[
            field!("headers", Shape::Keyword),
            field!("dataRows" => "data_rows", Shape::List(&[field!("entries", Shape::Keyword)])),
        ])),
    ]))])),
    field!("" => "dashboard", Shape::Group(&[field!("dashboardUri" => "uri", Shape::Keyword)])),
    field!("" => "display", Shape::Group(&[field!("displayName" => "name", Shape::Keyword)])),
    field!("" => "incident_tracking", Shape::Group(&[field!("incidentTrackingId" => "id", Shape::Keyword)])),
    field!("" => "primary", Shape::Group(&[field!("" => "admin", Shape::Group(&[
        field!("primaryAdminChangedEvent" => "changed_event", Shape::Object(&[
            field!("domain", Shape::Keyword),
            field!("previousAdminEmail" => "previous_admin_email", Shape::Keyword),
            field!("updatedAdminEmail" => "updated_admin_email", Shape::Keyword),
        ])),
    ]))])),
    field!("" => "request", Shape::Group(&[field!("requestInfo" => "info", Shape::List(&[
        field!("appDeveloperEmail", Shape::Gathered),
        field!("appKey", Shape::Gathered),
        field!("numberOfRequests" => "number_of_requests", Shape::Keyword),
        field!("" => "app", Shape::Group(&[
            field!("appDeveloperEmail" => "developer_email", Shape::Keyword),
            field!("appKey" => "key", Shape::Keyword),
        ])),
    ]))])),
    field!("" => "rule", Shape::Group(&[field!("ruleViolationInfo" => "violation_info", Shape::Object(VIOLATION))])),
    field!("" => "source", Shape::Group(&[field!("sourceIp" => "ip", Shape::Ip)])),
    field!("" => "sso_profile", Shape::Group(&[
        field!("ssoProfileCreatedEvent" => "created_event", Shape::Object(SSO)),
        field!("ssoProfileDeletedEvent" => "deleted_event", Shape::Object(SSO)),
        field!("ssoProfileUpdatedEvent" => "updated_event", Shape::Object(SSO)),
    ])),
    field!("" => "takeout", Shape::Group(&[
        field!("" => "request", Shape::Group(&[field!("takeoutRequestId" => "id", Shape::Keyword)])),
    ])),
    field!("" => "trigger", Shape::Group(&[field!("triggerSource" => "source", Shape::Keyword)])),
];

const DEVICE_EVENT: &[Field] = &[
    field!("deviceId", Shape::Gathered),
    field!("deviceModel", Shape::Gathered),
    field!("deviceProperty", Shape::Gathered),
    field!("deviceType", Shape::Gathered),
    field!("deviceCompromisedState" => "device_compromised_state", Shape::Keyword),
    field!("iosVendorId", Shape::Gathered),
    field!("newValue" => "new_value", Shape::Keyword),
    field!("oldValue" => "old_value", Shape::Keyword),
    field!("resourceId", Shape::Gathered),
    field!("serialNumber", Shape::Gathered),
    field!("" => "device", Shape::Group(&[
        field!("deviceId" => "id", Shape::Keyword),
        field!("deviceModel" => "model", Shape::Keyword),
        field!("deviceProperty" => "property", Shape::Keyword),
        field!("deviceType" => "type", Shape::Keyword),
    ])),
    field!("" => "ios_vendor", Shape::Group(&[field!("iosVendorId" => "id", Shape::Keyword)])),
    field!("" => "resource", Shape::Group(&[field!("resourceId" => "id", Shape::Keyword)])),
    field!("" => "serial", Shape::Group(&[field!("serialNumber" => "number", Shape::Keyword)])),
];

const MAIL: &[Field] = &[
    field!("attachmentsSha256Hash" => "attachments_sha256_hash", Shape::Keyword),
    field!("date", Shape::Date),
    field!("md5HashMessageBody", Shape::Gathered),
    field!("md5HashSubject", Shape::Gathered),
    field!("messageBodySnippet" => "message_body_snippet", Shape::Keyword),
    field!("messageId" => "id", Shape::Keyword),
    field!("recipient", Shape::Keyword),
    field!("recipientEmail" => "recipient_email", Shape::Keyword),
    field!("subjectText" => "subject_text", Shape::Keyword),
    field!("" => "md5", Shape::Group(&[field!("" => "hash", Shape::Group(&[
        field!("md5HashMessageBody" => "message_body", Shape::Keyword),
        field!("md5HashSubject" => "subject", Shape::Keyword),
    ]))])),
];

const SSO: &[Field] = &[
    field!("inboundSsoProfileChanges", Shape::Gathered),
    field!("inboundSsoProfileName", Shape::Gathered),
    field!("" => "inbound_sso", Shape::Group(&[
        field!("inboundSsoProfileChanges" => "profile_changes", Shape::Keyword),
        field!("inboundSsoProfileName" => "profile_name", Shape::Keyword),
    ])),
];

const VIOLATION: &[Field] = &[
    field!("dataSource", Shape::Gathered),
    field!("matchInfo" => "match_info", Shape::List(&[
        field!("predefinedDetector" => "predefined_detector", Shape::Object(&[
            field!("detectorName" => "name", Shape::Keyword),
        ])),
        field!("userDefinedDetector" => "user_defined_detector", Shape::Object(DEFINED)),
    ])),
    field!("recipients", Shape::Keyword),
    field!("resourceInfo" => "resource_info", Shape::Object(&[
        field!("documentId", Shape::Gathered),
        field!("resourceTitle", Shape::Gathered),
        field!("" => "document", Shape::Group(&[field!("documentId" => "id", Shape::Keyword)])),
        field!("" => "resource", Shape::Group(&[field!("resourceTitle" => "title", Shape::Keyword)])),
    ])),
    field!("ruleInfo" => "rule_info", Shape::Object(DEFINED)),
    field!("suppressedActionTypes", Shape::Gathered),
    field!("trigger", Shape::Gathered),
    field!("triggeredActionTypes", Shape::Gathered),
    field!("triggeringUserEmail", Shape::Gathered),
    field!("" => "data", Shape::Group(&[field!("dataSource" => "source", Shape::Keyword)])),
    field!("" => "suppressed", Shape::Group(&[
        field!("" => "action", Shape::Group(&[field!("suppressedActionTypes" => "types", Shape::Keyword)])),
    ])),
    field!("" => "trigger", Shape::Group(&[
        field!("trigger" => "value", Shape::Keyword),
        field!("" => "user", Shape::Group(&[field!("triggeringUserEmail" => "email", Shape::Keyword)])),
    ])),
    field!("" => "triggered", Shape::Group(&[
        field!("" => "action", Shape::Group(&[field!("triggeredActionTypes" => "types", Shape::Keyword)])),
    ])),
];

const DEFINED: &[Field] = &[
    field!("displayName", Shape::Gathered),
    field!("resourceName", Shape::Gathered),
    field!("" => "display", Shape::Group(&[field!("displayName" => "name", Shape::Keyword)])),
    field!("" => "resource", Shape::Group(&[field!("resourceName" => "name", Shape::Keyword)])),
];
