//! What becomes of each field of Duo's logs. Names under `cisco_duo.*` are those of Elastic's integration (its field
//! definitions of mid 2026) where it has one for the same thing.
//!
//! Duo's types are not to be relied on (a boolean may be the text `unknown`, an address may be a name): what does not fit
//! the type that a store has for a field is kept under `unmapped`, by its path in the record.

use tidegate_core::event::{Field, Shape, Table};
use tidegate_core::field;

const fn table(under: &'static str, fields: &'static [Field]) -> Table {
    Table { fields, source_user: true, under, unmapped: ",\"unmapped\":", ..Table::EMPTY }
}

/// The table of a stream.
#[must_use]
pub fn of(stream: &str) -> &'static Table {
    static AUTHENTICATION: Table = Table { ends_in_id: true, ..table(",\"auth\":", AUTH) };
    static ACTIVITY: Table = table(",\"activity\":", ACTIVITY_RECORD);
    static TELEPHONY: Table = table(",\"telephony_v2\":", TELEPHONY_RECORD);
    static TRUST_MONITOR: Table = table(",\"trust_monitor\":", TRUST_MONITOR_RECORD);
    static OFFLINE_ENROLLMENT: Table = table(",\"offline_enrollment\":", OFFLINE);
    static ADMINISTRATOR: Table = table(",\"admin\":", ADMIN);
    match stream {
        "authentication" => &AUTHENTICATION,
        "activity" => &ACTIVITY,
        "telephony" => &TELEPHONY,
        "trust_monitor" => &TRUST_MONITOR,
        "offline_enrollment" => &OFFLINE_ENROLLMENT,
        _ => &ADMINISTRATOR,
    }
}

const AUTH: &[Field] = &[
    field!("access_device", Shape::Object(ACCESS_DEVICE)),
    field!("adaptive_trust_assessments", Shape::Flat),
    field!("alias", Shape::Keyword),
    field!("application", Shape::Object(NAMED)),
    field!("auth_device", Shape::Object(AUTH_DEVICE)),
    field!("email", Shape::Keyword).event(),
    field!("event_type", Shape::Keyword).event(),
    field!("factor", Shape::Keyword).event(),
    field!("isotimestamp", Shape::Keyword).event(),
    field!("ood_software", Shape::Keyword),
    field!("rbfs_triggered_attacks", Shape::Text),
    field!("reason", Shape::Keyword).event(),
    field!("remembered_factor", Shape::Keyword),
    field!("result", Shape::Keyword).event(),
    // `@timestamp` has it.
    field!("timestamp", Shape::Stamp).event(),
    field!("trusted_endpoint_status", Shape::Keyword),
    field!("txid", Shape::Keyword).event(),
    field!("user", Shape::Object(AUTH_USER)),
    // Duo's own client writes these two into each record.
    field!("eventtype", Shape::Keyword),
    field!("host", Shape::Keyword),
];

/// `user.*` and `source.user.*` have them.
const AUTH_USER: &[Field] = &[
    field!("groups", Shape::Several).event(),
    field!("key", Shape::In).event(),
    field!("name", Shape::In).event(),
];

const LOCATION: &[Field] =
    &[field!("city", Shape::Keyword), field!("country", Shape::Keyword), field!("state", Shape::Keyword)];

const NAMED: &[Field] =
    &[field!("key", Shape::Keyword), field!("name", Shape::Keyword), field!("type", Shape::Keyword)];

const ACCESS_DEVICE: &[Field] = &[
    // `user_agent.*` has these two and the two of the operating system.
    field!("browser", Shape::In).event(),
    field!("browser_version", Shape::In).event(),
    field!("epkey", Shape::Keyword).event(),
    field!("flash_version", Shape::Keyword),
    field!("hostname", Shape::Keyword).event(),
    // Text; an object around it in other logs of Duo's.
    field!("ip", Shape::Address).event(),
    // A boolean, or the text `unknown`: rules compare it as text.
    field!("is_encryption_enabled", Shape::Keyword),
    field!("is_firewall_enabled", Shape::Keyword),
    field!("is_password_set", Shape::Keyword),
    field!("java_version", Shape::Keyword),
    field!("location", Shape::Object(LOCATION)),
    field!("management_agents", Shape::FlatList(AGENT)),
    field!("os", Shape::In).event(),
    field!("os_version", Shape::In).event(),
    field!("security_agents", Shape::FlatList(AGENT)),
];

const AGENT: &[Field] = &[
    field!("security_agent", Shape::Keyword),
    field!("management_agent", Shape::Keyword),
    field!("version", Shape::Keyword),
];

const AUTH_DEVICE: &[Field] = &[
    field!("ip", Shape::Address),
    field!("key", Shape::Keyword),
    field!("location", Shape::Object(LOCATION)),
    field!("name", Shape::Keyword),
];

const ACTIVITY_RECORD: &[Field] = &[
    field!("access_device", Shape::Object(ACTIVITY_DEVICE)),
    // Text, or an object with a name.
    field!(
        "action",
        Shape::Wrapped(&[field!("name", Shape::Keyword).event(), field!("details", Shape::Text),])
    ),
    field!("activity_id" => "id", Shape::Keyword).event(),
    field!("actor", Shape::Object(PARTY)),
    field!("akey", Shape::Keyword).event(),
    field!("application", Shape::Object(NAMED)),
    field!("old_target", Shape::Object(PARTY)),
    field!("outcome", Shape::Inner("result")).event(),
    field!("target", Shape::Object(PARTY)),
    // `@timestamp` has it.
    field!("ts", Shape::Stamp).event(),
];

const PARTY: &[Field] = &[
    field!("details", Shape::Details),
    field!("key", Shape::Keyword).event(),
    field!("name", Shape::Keyword).event(),
    field!("type", Shape::Keyword).event(),
];

const ACTIVITY_DEVICE: &[Field] = &[
    field!("browser", Shape::Keyword).event(),
    field!("browser_version", Shape::Keyword).event(),
    field!("epkey", Shape::Keyword).event(),
    field!("hostname", Shape::Keyword).event(),
    field!("ip", Shape::Wrapped(&[field!("address", Shape::Address).event()])),
    field!("location", Shape::Object(LOCATION)),
    field!("os", Shape::Keyword).event(),
    field!("os_version", Shape::Keyword).event(),
];

const TELEPHONY_RECORD: &[Field] = &[
    field!("context" => "event_type", Shape::Keyword).event(),
    field!("credits", Shape::Integer),
    field!("phone" => "phone_number", Shape::Keyword),
    field!("telephony_id" => "id", Shape::Keyword).event(),
    // `@timestamp` has it.
    field!("ts", Shape::Stamp).event(),
    field!("txid", Shape::Keyword).event(),
    field!("type", Shape::Keyword).event(),
];

const TRUST_MONITOR_RECORD: &[Field] = &[
    field!("bypass_status_enabled", Shape::Long),
    field!("enabled_by", Shape::Object(NAMED)),
    field!("enabled_for", Shape::Object(NAMED)),
    field!(
        "explanations",
        Shape::List(&[field!("summary", Shape::Keyword).event(), field!("type", Shape::Keyword).event(),])
    ),
    field!("from_common_netblock", Shape::Boolean),
    field!("from_new_user", Shape::Boolean),
    field!("low_risk_ip", Shape::Boolean),
    field!("priority_event", Shape::Boolean).event(),
    field!(
        "priority_reasons",
        Shape::List(&[field!("label", Shape::Keyword), field!("type", Shape::Keyword),])
    ),
    field!("sekey", Shape::Keyword).event(),
    field!("state", Shape::Keyword),
    field!("state_updated_timestamp", Shape::Long),
    field!("surfaced_auth", Shape::Flat),
    // `@timestamp` has it.
    field!("surfaced_timestamp", Shape::Stamp).event(),
    field!("triage_event_uri", Shape::Keyword),
    field!("triaged_as_interesting", Shape::Boolean),
    field!("type", Shape::Keyword).event(),
];

const ADMIN: &[Field] = &[
    field!("action", Shape::Keyword).event(),
    // An object as JSON text most of the time; other text is the document's message.
    field!("description" => "flattened", Shape::Details),
    // `@timestamp` has both.
    field!("isotimestamp", Shape::Stamp).event(),
    field!("object" => "action_performed_on", Shape::Keyword).event(),
    field!("timestamp", Shape::Stamp).event(),
    field!("username", Shape::Gathered).event(),
    field!("eventtype", Shape::Keyword),
    field!("host", Shape::Keyword),
    field!("" => "user", Shape::Group(&[field!("username" => "name", Shape::Keyword).event()])),
];

const OFFLINE: &[Field] = &[
    field!("action", Shape::Keyword).event(),
    field!(
        "description",
        Shape::Opened(&[
            field!("factor", Shape::Keyword).event(),
            field!("hostname", Shape::Keyword).event(),
            field!("user_agent", Shape::Keyword).event(),
        ])
    ),
    field!("isotimestamp", Shape::Stamp).event(),
    field!("object", Shape::Keyword).event(),
    field!("timestamp", Shape::Stamp).event(),
    field!("username", Shape::Gathered).event(),
    field!("eventtype", Shape::Keyword),
    field!("host", Shape::Keyword),
    field!("" => "user", Shape::Group(&[field!("username" => "name", Shape::Keyword).event()])),
];
