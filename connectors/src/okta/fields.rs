//! What becomes of each field of a System Log record. Names under `okta.*` are those of Elastic's integration (its field
//! definitions of mid 2026), because rules, dashboards and mappings ask for exactly them.

use tidegate_core::event::{Field, Rows, Shape, Table};
use tidegate_core::field;

/// What becomes of each field.
pub const TABLE: Table = Table { fields: RECORD, client: true, ..Table::EMPTY };

const RECORD: &[Field] = &[
    field!("actor", Shape::Object(ACTOR)),
    field!("client", Shape::Object(CLIENT)),
    field!("device", Shape::Object(DEVICE)),
    field!("authenticationContext" => "authentication_context", Shape::Object(AUTHENTICATION)),
    field!("displayMessage" => "display_message", Shape::Keyword).event(),
    field!("eventType" => "event_type", Shape::Keyword).event(),
    field!("outcome", Shape::Object(OUTCOME)),
    // `@timestamp` has it.
    field!("published", Shape::Stamp).event(),
    field!("securityContext" => "security_context", Shape::Object(SECURITY)),
    field!("severity", Shape::Keyword).event(),
    field!("debugContext" => "debug_context", Shape::Object(DEBUG)).always(),
    field!("legacyEventType" => "legacy_event_type", Shape::Keyword),
    field!("transaction", Shape::Object(TRANSACTION)),
    field!("uuid", Shape::Keyword).event(),
    field!("version", Shape::Keyword),
    field!("request", Shape::Object(REQUEST)),
    field!("target", Shape::List(TARGET)),
];

const ACTOR: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("type", Shape::Keyword).event(),
    field!("alternateId" => "alternate_id", Shape::Keyword).event(),
    field!("displayName" => "display_name", Shape::Keyword).event(),
    field!("detailEntry", Shape::Map),
];

const CLIENT: &[Field] = &[
    field!("userAgent" => "user_agent", Shape::Object(USER_AGENT)),
    field!("zone", Shape::Keyword),
    field!("device", Shape::Keyword),
    field!("id", Shape::Keyword),
    field!("ipAddress" => "ip", Shape::Ip).event(),
    // `client.geo` and `source.geo` have it.
    field!("geographicalContext", Shape::Place).event(),
];

const USER_AGENT: &[Field] = &[
    field!("rawUserAgent" => "raw_user_agent", Shape::Keyword).event(),
    field!("os", Shape::Keyword).event(),
    field!("browser", Shape::Keyword).event(),
];

const DEVICE: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("name", Shape::Keyword).event(),
    field!("os_platform", Shape::Keyword).event(),
    field!("os_version", Shape::Keyword).event(),
    field!("managed", Shape::Boolean).event(),
    field!("registered", Shape::Boolean),
    field!("device_integrator", Shape::Flat),
    field!("disk_encryption_type", Shape::Keyword),
    field!("screen_lock_type", Shape::Keyword),
    field!("jailbreak", Shape::Boolean),
    field!("secure_hardware_present", Shape::Boolean),
];

const AUTHENTICATION: &[Field] = &[
    field!("authenticationProvider" => "authentication_provider", Shape::Keyword),
    field!("credentialProvider" => "credential_provider", Shape::Keyword),
    field!("credentialType" => "credential_type", Shape::Keyword),
    field!("issuer", Shape::Object(ISSUER)),
    field!("interface", Shape::Keyword),
    field!("authenticationStep" => "authentication_step", Shape::Integer),
    field!("rootSessionId" => "root_session_id", Shape::Keyword).event(),
    field!("externalSessionId" => "external_session_id", Shape::Keyword).event(),
];

const ISSUER: &[Field] = &[field!("id", Shape::Keyword).event(), field!("type", Shape::Keyword)];

const OUTCOME: &[Field] =
    &[field!("result", Shape::Keyword).event(), field!("reason", Shape::Keyword).event()];

const SECURITY: &[Field] = &[
    // Gathered below.
    field!("asNumber", Shape::Gathered).event(),
    field!("asOrg", Shape::Gathered).event(),
    field!("isp", Shape::Keyword).event(),
    field!("domain", Shape::Keyword).event(),
    field!("isProxy" => "is_proxy", Shape::Boolean).event(),
    field!("ipDetails" => "ip_details", Shape::Object(IP_DETAILS)),
    field!("risk", Shape::Object(RISK)),
    field!("userBehaviors" => "user_behaviors", Shape::List(BEHAVIOR)),
    field!("botProtection" => "bot_protection", Shape::Object(&[field!("level", Shape::Keyword)])),
    field!("" => "as", Shape::Group(AS)),
];

const AS: &[Field] = &[
    field!("asNumber" => "number", Shape::Integer).event(),
    field!("" => "organization", Shape::Group(&[field!("asOrg" => "name", Shape::Keyword).event()])),
];

const IP_DETAILS: &[Field] = &[
    field!("asNumber" => "as_number", Shape::Integer),
    field!("asOrg" => "as_org", Shape::Keyword),
    field!("domain", Shape::Keyword),
    field!("isp", Shape::Keyword),
    field!("ipServiceCategories" => "ip_service_categories", Shape::List(&[
        field!("isAnonymous" => "is_anonymous", Shape::Boolean),
        field!("operator", Shape::Keyword),
        field!("type", Shape::Keyword),
    ])),
];

const RISK: &[Field] = &[
    field!("level", Shape::Keyword).event(),
    field!("previousLevel" => "previous_level", Shape::Keyword),
    field!("reasons", Shape::Keyword).event(),
    field!("detectionName" => "detection_name", Shape::Keyword),
    field!("issuer", Shape::Keyword),
];

const BEHAVIOR: &[Field] =
    &[field!("id", Shape::Keyword), field!("name", Shape::Keyword), field!("result", Shape::Keyword)];

const DEBUG: &[Field] = &[field!("debugData" => "debug_data", Shape::Debug(NAMED, OPENED)).always()];

/// Members of `debugData` that have a field of their own beside `flattened`. `behaviors` and `risk` are text here: one index
/// can hold them as text or as objects, not both, and the objects are under `flattened`.
const NAMED: &Rows = &Rows::of(&[
    field!("authnRequestId", Shape::Text),
    field!("behaviors", Shape::Text),
    field!("clientSecret" => "client_secret", Shape::Text),
    field!("deviceFingerprint" => "device_fingerprint", Shape::Text),
    field!("dtHash" => "dt_hash", Shape::Text),
    field!("factor", Shape::Text).event(),
    field!("grantType" => "grant_type", Shape::Text),
    field!("grantedScopes" => "granted_scopes", Shape::Text),
    field!("promptingPolicyTypes", Shape::Text),
    field!("requestId" => "request_id", Shape::Text),
    field!("requestUri" => "request_uri", Shape::Text).event(),
    field!("requestedScopes" => "requested_scopes", Shape::Text),
    field!("risk", Shape::Text),
    // A string: rules compare it with "true".
    field!("threatSuspected" => "threat_suspected", Shape::Text).event(),
    field!("url", Shape::Text),
]);

/// Members of `debugData` that are objects in a spelling other than JSON.
const OPENED: &Rows = &Rows::of(&[field!("behaviors", Shape::Pairs), field!("risk", Shape::Pairs)]);

const TRANSACTION: &[Field] = &[
    field!("type", Shape::Keyword).event(),
    field!("id", Shape::Keyword).event(),
    field!("detail", Shape::Object(&[field!("requestApiTokenId" => "request_api_token_id", Shape::Keyword)])),
];

const REQUEST: &[Field] = &[field!("ipChain" => "ip_chain", Shape::FlatList(IP_CHAIN))];

const IP_CHAIN: &[Field] = &[
    field!("ip", Shape::Keyword),
    field!("geographicalContext" => "geographical_context", Shape::Object(GEOGRAPHICAL)),
    field!("version", Shape::Keyword),
    field!("source", Shape::Keyword),
    field!("ipDetails" => "ip_details", Shape::Object(IP_DETAILS)),
];

const GEOGRAPHICAL: &[Field] = &[
    field!("city", Shape::Keyword),
    field!("state", Shape::Keyword),
    field!("country", Shape::Keyword),
    field!("postalCode" => "postal_code", Shape::Keyword),
    field!("geolocation", Shape::Flat),
];

const TARGET: &[Field] = &[
    field!("id", Shape::Keyword).event(),
    field!("type", Shape::Keyword).event(),
    field!("alternateId" => "alternate_id", Shape::Keyword).event(),
    field!("displayName" => "display_name", Shape::Keyword).event(),
    // The integration keeps these two in camel case.
    field!("detailEntry", Shape::Map),
    field!("changeDetails", Shape::Object(&[field!("from", Shape::Map), field!("to", Shape::Map)])),
];
