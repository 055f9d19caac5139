//! What becomes of each field of an activity and of an alert. Names under `google_workspace.*` are those of Elastic's
//! integration where it has one for the same thing.

use tidegate_core::event::{Field, Shape, Table};
use tidegate_core::field;

/// What becomes of an activity's fields.
pub const ACTIVITY: Table = Table { fields: RECORD, ..Table::EMPTY };

/// What becomes of an alert's fields.
pub const ALERT: Table = Table { fields: ALERT_RECORD, ..Table::EMPTY };

const RECORD: &[Field] = &[
    field!("kind", Shape::Keyword),
    field!("id", Shape::Object(ID)),
    field!("etag", Shape::Keyword),
    field!("actor", Shape::Object(ACTOR)),
    field!("ipAddress" => "ip_address", Shape::Ip).event(),
    field!("networkInfo" => "network_info", Shape::Object(NETWORK)),
    field!("userDeviceInfo" => "user_device_info", Shape::Object(DEVICE)),
    field!("isAgenticAction" => "is_agentic_action", Shape::Boolean),
    field!("resourceDetails" => "resource_details", Shape::FlatList(RESOURCE)),
    field!("events", Shape::List(EVENT)),
    // Gathered below.
    field!("ownerDomain", Shape::In),
    field!("" => "organization", Shape::Group(&[field!("ownerDomain" => "domain", Shape::Keyword)])),
];

const ID: &[Field] = &[
    // `@timestamp` has it.
    field!("time", Shape::In).event(),
    field!("uniqueQualifier" => "unique_qualifier", Shape::Keyword).event(),
    // Old records.
    field!("uniqQualifier" => "unique_qualifier", Shape::Keyword).event(),
    field!("applicationName" => "application_name", Shape::Keyword),
    field!("customerId", Shape::In),
    field!("" => "customer", Shape::Group(&[field!("customerId" => "id", Shape::Keyword)])),
];

const ACTOR: &[Field] = &[
    field!("callerType" => "type", Shape::Keyword).event(),
    field!("key", Shape::Keyword),
    field!("email", Shape::Keyword).event(),
    field!("profileId", Shape::In).event(),
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

const EVENT: &[Field] = &[
    field!("type", Shape::Keyword),
    field!("name", Shape::Keyword).event(),
    field!("resourceIds" => "resource_ids", Shape::Text),
    field!("status", Shape::Object(STATUS)),
    field!("parameters", Shape::FlatList(PARAMETER)),
];

const STATUS: &[Field] = &[
    field!("eventStatus" => "event_status", Shape::Keyword).event(),
    field!("errorCode" => "error_code", Shape::Keyword).event(),
    field!("errorMessage" => "error_message", Shape::Keyword).event(),
    field!("httpStatusCode" => "http_status_code", Shape::Integer),
];

/// A number is text here: it has 64 bits. Lists are one keyword or several, as lists of a store are.
const PARAMETER: &[Field] = &[
    field!("name", Shape::Keyword),
    field!("value", Shape::Keyword),
    field!("intValue" => "int_value", Shape::Keyword),
    field!("boolValue" => "bool_value", Shape::Boolean),
    field!("multiValue" => "multi_value", Shape::Text),
    field!("multiIntValue" => "multi_int_value", Shape::Text),
    field!("messageValue" => "message_value", Shape::Object(MESSAGE)),
    field!("multiMessageValue" => "multi_message_value", Shape::FlatList(MESSAGE)),
];

const MESSAGE: &[Field] = &[field!("parameter", Shape::FlatList(NESTED))];

/// A parameter inside a message; messages inside it keep whatever they hold.
const NESTED: &[Field] = &[
    field!("name", Shape::Keyword),
    field!("value", Shape::Keyword),
    field!("intValue" => "int_value", Shape::Keyword),
    field!("boolValue" => "bool_value", Shape::Boolean),
    field!("multiValue" => "multi_value", Shape::Text),
    field!("multiIntValue" => "multi_int_value", Shape::Text),
    field!("multiBoolValue" => "multi_bool_value", Shape::Text),
];

const ALERT_RECORD: &[Field] = &[
    // Gathered below.
    field!("alertId", Shape::In).event(),
    field!("customerId", Shape::In),
    field!("createTime", Shape::In).event(),
    field!("startTime", Shape::In),
    field!("endTime", Shape::In),
    field!("updateTime", Shape::In),
    field!("type", Shape::In).event(),
    field!("source", Shape::In),
    field!("securityInvestigationToolLink", Shape::In),
    field!("deleted", Shape::In),
    field!("data", Shape::In),
    field!("metadata", Shape::In),
    field!("etag", Shape::In),
    field!("" => "alert", Shape::Group(ALERT_FIELDS)),
];

const ALERT_FIELDS: &[Field] = &[
    field!("alertId" => "id", Shape::Keyword).event(),
    field!("createTime" => "create_time", Shape::Keyword).event(),
    field!("startTime" => "start_time", Shape::Keyword),
    field!("endTime" => "end_time", Shape::Keyword),
    field!("updateTime" => "update_time", Shape::Keyword),
    field!("type", Shape::Keyword).event(),
    field!("source", Shape::Keyword),
    field!("securityInvestigationToolLink" => "security_investigation_tool_link", Shape::Keyword),
    field!("deleted", Shape::Boolean),
    field!("data", Shape::Flat),
    field!("metadata", Shape::Object(METADATA)),
    field!("etag", Shape::Keyword),
    field!("" => "customer", Shape::Group(&[field!("customerId" => "id", Shape::Keyword)])),
];

const METADATA: &[Field] = &[
    field!("alertId", Shape::In),
    field!("customerId", Shape::In),
    field!("status", Shape::Keyword),
    field!("severity", Shape::Keyword).event(),
    field!("assignee", Shape::Keyword),
    field!("updateTime" => "update_time", Shape::Keyword),
    field!("etag", Shape::Keyword),
    field!("" => "alert", Shape::Group(&[field!("alertId" => "id", Shape::Keyword)])),
    field!("" => "customer", Shape::Group(&[field!("customerId" => "id", Shape::Keyword)])),
];
