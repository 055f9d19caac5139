//! What happens in a customer's applications: the kinds of events with their parameters.

/// A kind of event of an application.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) event_type: Option<&'static str>,
    pub(crate) name: &'static str,
    /// How often it is drawn, against the others of the application.
    pub(crate) weight: u64,
    pub(crate) parameters: &'static [Parameter],
}

/// A parameter's name and where its value comes from.
pub(crate) type Parameter = (&'static str, Form);

/// The form of a parameter's value.
#[derive(Debug)]
pub(crate) enum Form {
    /// `value`, one of these.
    Text(&'static [&'static str]),
    /// `intValue` between these.
    Int(i64, i64),
    /// `boolValue`, true so many times in a hundred; false is left out half of the time.
    Bool(u64),
    /// `multiValue`, one of these lists.
    Many(&'static [&'static [&'static str]]),
    /// `multiIntValue`, one of these lists.
    ManyInts(&'static [&'static [i64]]),
    /// `value`, a user's address.
    User,
    /// `value`, the actor's address.
    Own,
    /// `value`, an address on the network.
    Address,
    /// `value`, an id that begins like this.
    Id(&'static str),
    /// `intValue`, microseconds since 1970, a little before the event.
    Micros,
    /// `intValue`, seconds since the year 1, some hours after the event.
    YearOne,
    /// `messageValue` with these.
    Message(&'static [Parameter]),
    /// `multiMessageValue`, so many messages at most, with these each.
    Messages(u64, &'static [Parameter]),
}

use Form::{Address, Bool, Id, Int, Many, ManyInts, Message, Messages, Micros, Own, Text, User, YearOne};

const fn kind(
    event_type: &'static str,
    name: &'static str,
    weight: u64,
    parameters: &'static [Parameter],
) -> Kind {
    Kind { event_type: Some(event_type), name, weight, parameters }
}

const METHODS: Form = Many(&[
    &["password"],
    &["password", "google_prompt"],
    &["password", "password", "google_authenticator"],
    &["passkey"],
    &["password", "security_key"],
    &["password", "idv_preregistered_phone"],
    &["password", "backup_code"],
    &["none"],
]);
const SECOND: Form = Many(&[
    &["google_prompt"],
    &["google_authenticator"],
    &["security_key"],
    &["idv_any_phone"],
    &["totp"],
    &["login_location"],
]);
const LOGIN_TYPE: Form =
    Text(&["google_password", "google_password", "saml", "exchange", "reauth", "unknown"]);
const STATUS: Form =
    Text(&["Challenge Passed.", "Challenge Failed.", "passed", "incorrect_answer_entered", ""]);
const TITLE: Form = Text(&[
    "Budget 2026",
    "Übersicht – Zugänge",
    "Minutes of \"steering\" C:\\drafts",
    "採用計画",
    "plan\twith a tab\nand a line",
    "🚀 launch",
]);

/// Changes of an account; the user log shows them under two applications.
const ACCOUNT: [Kind; 9] = [
    kind("2sv_change", "2sv_enroll", 8, &[]),
    kind("2sv_change", "2sv_disable", 4, &[]),
    kind("password_change", "password_edit", 8, &[]),
    kind("recovery_info_change", "recovery_email_edit", 3, &[]),
    kind("recovery_info_change", "recovery_phone_edit", 3, &[]),
    kind("recovery_info_change", "recovery_secret_qa_edit", 1, &[]),
    kind("titanium_change", "titanium_enroll", 1, &[]),
    kind("titanium_change", "titanium_unenroll", 1, &[]),
    kind(
        "email_forwarding_change",
        "email_forwarding_out_of_domain",
        2,
        &[("email_forwarding_destination_address", Text(&["drop@example.net", "jo@example.org"]))],
    ),
];

const LOGIN: [Kind; 16] = [
    kind(
        "login",
        "login_success",
        40,
        &[("login_type", LOGIN_TYPE), ("login_challenge_method", METHODS), ("is_suspicious", Bool(4))],
    ),
    kind(
        "login",
        "login_failure",
        14,
        &[
            ("login_type", LOGIN_TYPE),
            ("login_challenge_method", METHODS),
            (
                "login_failure_type",
                Text(&["login_failure_invalid_password", "login_failure_access_code_disallowed"]),
            ),
            ("is_suspicious", Bool(12)),
        ],
    ),
    kind(
        "login",
        "login_challenge",
        10,
        &[("login_type", LOGIN_TYPE), ("login_challenge_method", SECOND), ("login_challenge_status", STATUS)],
    ),
    kind(
        "login",
        "login_verification",
        18,
        &[
            ("is_second_factor", Bool(80)),
            ("login_type", LOGIN_TYPE),
            ("login_challenge_method", SECOND),
            ("login_challenge_status", STATUS),
        ],
    ),
    kind("login", "logout", 10, &[("login_type", LOGIN_TYPE)]),
    kind(
        "login",
        "risky_sensitive_action_blocked",
        1,
        &[
            ("sensitive_action_name", Text(&["CHANGE_PASSWORD", "ADD_RECOVERY_PHONE"])),
            ("login_challenge_method", Text(&["google_prompt"])),
            ("login_challenge_status", STATUS),
            ("login_type", LOGIN_TYPE),
            ("is_suspicious", Bool(60)),
        ],
    ),
    kind(
        "account_warning",
        "suspicious_login",
        2,
        &[("affected_email_address", User), ("login_timestamp", Micros)],
    ),
    kind(
        "account_warning",
        "suspicious_programmatic_login",
        1,
        &[("affected_email_address", User), ("login_timestamp", Micros)],
    ),
    kind("account_warning", "account_disabled_password_leak", 1, &[("affected_email_address", User)]),
    kind(
        "account_warning",
        "account_disabled_hijacked",
        1,
        &[("affected_email_address", User), ("login_timestamp", Micros)],
    ),
    kind("account_warning", "passkey_enrolled", 2, &[]),
    kind("account_warning", "passkey_removed", 1, &[]),
    kind("attack_warning", "gov_attack_warning", 1, &[]),
    kind("2sv_change", "2sv_enroll", 2, &[]),
    kind("2sv_change", "2sv_disable", 1, &[]),
    kind(
        "blocked_sender_change",
        "blocked_sender",
        1,
        &[("affected_email_address", Text(&["noise@example.net"]))],
    ),
];

const UNIT: Parameter = ("ORG_UNIT_NAME", Text(&["Example", "Example / Zürich", "Contractors"]));
const ADMIN: [Kind; 16] = [
    kind("USER_SETTINGS", "CREATE_USER", 6, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "DELETE_USER", 2, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "SUSPEND_USER", 3, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "UNSUSPEND_USER", 2, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "CHANGE_PASSWORD", 8, &[("USER_EMAIL", User)]),
    kind(
        "USER_SETTINGS",
        "CHANGE_PASSWORD_ON_NEXT_LOGIN",
        6,
        &[("USER_EMAIL", User), ("OLD_VALUE", Text(&["false"])), ("NEW_VALUE", Text(&["true"]))],
    ),
    kind("USER_SETTINGS", "TURN_OFF_2_STEP_VERIFICATION", 3, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "GENERATE_2SV_SCRATCH_CODES", 3, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "REVOKE_SECURITY_KEY", 1, &[("USER_EMAIL", User)]),
    kind("USER_SETTINGS", "GRANT_ADMIN_PRIVILEGE", 2, &[("USER_EMAIL", User)]),
    kind(
        "DELEGATED_ADMIN_SETTINGS",
        "ASSIGN_ROLE",
        3,
        &[
            ("ROLE_NAME", Text(&["_SEED_ADMIN_ROLE", "_HELP_DESK_ADMIN_ROLE", "Prüfer"])),
            ("USER_EMAIL", User),
        ],
    ),
    kind(
        "SECURITY_SETTINGS",
        "ENFORCE_STRONG_AUTHENTICATION",
        2,
        &[
            ("OLD_VALUE", Text(&["true", "INHERIT_FROM_PARENT"])),
            ("NEW_VALUE", Text(&["false", "true"])),
            UNIT,
        ],
    ),
    kind(
        "SECURITY_SETTINGS",
        "ALLOW_STRONG_AUTHENTICATION",
        2,
        &[("OLD_VALUE", Text(&["INHERIT_FROM_PARENT"])), ("NEW_VALUE", Text(&["true", "false"])), UNIT],
    ),
    kind(
        "GROUP_SETTINGS",
        "ADD_GROUP_MEMBER",
        5,
        &[("GROUP_EMAIL", Text(&["finance@example.com", "all@example.com"])), ("USER_EMAIL", User)],
    ),
    kind(
        "APPLICATION_SETTINGS",
        "CHANGE_APPLICATION_SETTING",
        4,
        &[
            ("APPLICATION_NAME", Text(&["Gmail", "Drive and Docs"])),
            UNIT,
            ("SETTING_NAME", Text(&["Sharing outside_domain"])),
            ("OLD_VALUE", Text(&["DENIED"])),
            ("NEW_VALUE", Text(&["ALLOWED"])),
            ("SETTING_METADATA", Message(&[("rule_key", Id("r")), ("DESCRIPTION", TITLE)])),
        ],
    ),
    kind(
        "DOMAIN_SETTINGS",
        "AUTHORIZE_API_CLIENT_ACCESS",
        1,
        &[
            ("DOMAIN_NAME", Text(&["example.com"])),
            ("API_CLIENT_NAME", Id("1")),
            ("API_SCOPES", Text(&["https://www.googleapis.com/auth/admin.reports.audit.readonly"])),
        ],
    ),
];

const SCOPE_DATA: Form = Messages(
    3,
    &[
        (
            "scope_name",
            Text(&["https://www.googleapis.com/auth/drive", "openid", "https://mail.google.com/"]),
        ),
        ("product_bucket", Many(&[&["DRIVE"], &["IDENTITY"], &["GMAIL", "OTHER"]])),
    ],
);
const CLIENT_ID: Parameter = ("client_id", Id("7"));
const APP_NAME: Parameter = ("app_name", Text(&["Example Mail Merge", "Kalender-Abgleich", "VPN portal"]));
const CLIENT_TYPE: Parameter =
    ("client_type", Text(&["WEB", "NATIVE_ANDROID", "NATIVE_DESKTOP", "CONNECTED_DEVICE"]));
const TOKEN: [Kind; 4] = [
    Kind {
        event_type: None,
        name: "authorize",
        weight: 8,
        parameters: &[
            CLIENT_ID,
            APP_NAME,
            CLIENT_TYPE,
            ("scope_data", SCOPE_DATA),
            ("scope", Many(&[&["openid", "email"], &["https://mail.google.com/"]])),
        ],
    },
    kind("auth", "revoke", 3, &[CLIENT_ID, APP_NAME, CLIENT_TYPE, ("scope", Many(&[&["openid"]]))]),
    kind("auth", "request", 1, &[CLIENT_ID, APP_NAME, CLIENT_TYPE]),
    kind(
        "auth",
        "activity",
        12,
        &[
            CLIENT_ID,
            APP_NAME,
            CLIENT_TYPE,
            ("api_name", Text(&["drive", "gmail", "calendar"])),
            ("method_name", Text(&["drive.files.list", "gmail.users.messages.get"])),
            ("num_response_bytes", Int(0, 9_000_000_000)),
            ("product_bucket", Text(&["DRIVE", "GMAIL"])),
        ],
    ),
];

const SAML: [Kind; 2] = [
    kind(
        "login",
        "login_success",
        8,
        &[
            ("orgunit_path", Text(&["/", "/staff/zürich"])),
            ("initiated_by", Text(&["sp", "idp"])),
            ("application_name", Text(&["Example CRM", "Example Payroll"])),
            ("saml_status_code", Text(&["SUCCESS_URI"])),
        ],
    ),
    kind(
        "login",
        "login_failure",
        2,
        &[
            ("orgunit_path", Text(&["/staff"])),
            ("initiated_by", Text(&["sp", "idp"])),
            ("application_name", Text(&["Example CRM", "Example Wiki"])),
            (
                "failure_type",
                Text(&["failure_app_not_configured_for_user", "failure_request_denied", "failure_unknown"]),
            ),
            ("saml_status_code", Text(&["REQUESTER_URI", "RESPONDER_URI"])),
            ("saml_second_level_status_code", Text(&["REQUEST_DENIED_URI"])),
        ],
    ),
];

const GROUP: Parameter = ("group_id", Text(&["finance@example.com", "vpn-users@example.com"]));
const GROUPS_ENTERPRISE: [Kind; 4] = [
    kind(
        "moderator_action",
        "add_user",
        5,
        &[
            GROUP,
            ("member_id", User),
            ("member_type", Text(&["user"])),
            ("member_role", Text(&["member", "owner"])),
        ],
    ),
    kind(
        "moderator_action",
        "remove_user",
        3,
        &[GROUP, ("member_id", User), ("member_type", Text(&["user"]))],
    ),
    kind("moderator_action", "create_group", 1, &[GROUP]),
    kind(
        "moderator_action",
        "update_group_settings",
        1,
        &[GROUP, ("info_setting", Text(&["who_can_join"])), ("value", Text(&["ANYONE_CAN_JOIN"]))],
    ),
];

const GROUPS: [Kind; 3] = [
    kind("group_change", "add_user", 4, &[("group_email", Text(&["all@example.com"])), ("user_email", User)]),
    kind("group_change", "join", 2, &[("group_email", Text(&["all@example.com"])), ("user_email", Own)]),
    kind(
        "acl_change",
        "change_acl_permission",
        1,
        &[
            ("group_email", Text(&["all@example.com"])),
            ("acl_permission", Text(&["can_view_topics"])),
            ("old_value", Many(&[&["members"]])),
            ("new_value", Many(&[&["members", "anyone"]])),
        ],
    ),
];

const PRIMARY: Parameter = ("primary_event", Bool(70));
const OWNER: Parameter = ("owner", User);
const DOC_ID: Parameter = ("doc_id", Id("1"));
const DOC_TITLE: Parameter = ("doc_title", TITLE);
const VISIBILITY: Parameter =
    ("visibility", Text(&["private", "people_with_link", "shared_internally", "public_on_the_web"]));
const DOC: [Parameter; 8] = [
    PRIMARY,
    ("billable", Bool(90)),
    ("owner_is_shared_drive", Bool(10)),
    OWNER,
    DOC_ID,
    ("doc_type", Text(&["document", "spreadsheet", "folder", "pdf"])),
    DOC_TITLE,
    VISIBILITY,
];
const DRIVE: [Kind; 5] = [
    kind("access", "view", 20, &DOC),
    kind("access", "edit", 12, &DOC),
    kind("access", "download", 5, &DOC),
    kind(
        "acl_change",
        "change_user_access",
        5,
        &[
            PRIMARY,
            OWNER,
            DOC_ID,
            DOC_TITLE,
            VISIBILITY,
            ("target_user", User),
            ("old_value", Many(&[&["none"]])),
            ("new_value", Many(&[&["can_edit"]])),
        ],
    ),
    kind(
        "acl_change",
        "change_document_visibility",
        3,
        &[
            PRIMARY,
            OWNER,
            DOC_ID,
            DOC_TITLE,
            VISIBILITY,
            ("visibility_change", Text(&["external", "internal"])),
            ("old_visibility", Text(&["private"])),
            ("new_value", Many(&[&["people_with_link"]])),
        ],
    ),
];

const CALENDAR: [Kind; 2] = [
    kind(
        "event_change",
        "create_event",
        4,
        &[
            ("calendar_id", Own),
            ("event_id", Id("e")),
            ("event_title", TITLE),
            ("organizer_calendar_id", Own),
            ("start_time", YearOne),
            ("end_time", YearOne),
            ("api_kind", Text(&["web", "android"])),
        ],
    ),
    kind(
        "event_change",
        "add_event_guest",
        3,
        &[
            ("calendar_id", Own),
            ("event_id", Id("e")),
            ("event_guest", User),
            ("event_response_status", Text(&["needs_action"])),
        ],
    ),
];

const CHAT: [Kind; 3] = [
    kind(
        "user_action",
        "message_posted",
        9,
        &[
            ("room_id", Id("A")),
            ("actor", Own),
            ("message_id", Id("spaces/A/messages/m")),
            ("retention_state", Text(&["PERMANENT", "EPHEMERAL_ONE_DAY"])),
            ("dlp_scan_status", Text(&["DLP_NOT_APPLICABLE"])),
            ("external_room", Text(&["DISABLED"])),
        ],
    ),
    kind(
        "user_action",
        "add_room_member",
        2,
        &[("room_id", Id("A")), ("actor", Own), ("target_users", Many(&[&["jo.park@example.com"]]))],
    ),
    kind(
        "user_action",
        "attachment_upload",
        2,
        &[("room_id", Id("A")), ("actor", Own), ("attachment_name", TITLE), ("attachment_hash", Id("h"))],
    ),
];

const MOBILE: [Kind; 3] = [
    kind(
        "device_updates",
        "DEVICE_SYNC_EVENT",
        8,
        &[
            ("DEVICE_ID", Id("d")),
            ("DEVICE_MODEL", Text(&["Pixel 9", "iPhone 16"])),
            ("DEVICE_TYPE", Text(&["ANDROID", "IOS"])),
            ("SERIAL_NUMBER", Id("S")),
            ("USER_EMAIL", Own),
            ("OS_VERSION", Text(&["15", "18.4"])),
        ],
    ),
    kind(
        "suspicious_activity",
        "FAILED_PASSWORD_ATTEMPTS_EVENT",
        2,
        &[("DEVICE_ID", Id("d")), ("USER_EMAIL", Own), ("FAILED_PASSWD_ATTEMPTS", Int(5, 12))],
    ),
    kind(
        "suspicious_activity",
        "DEVICE_COMPROMISED_EVENT",
        1,
        &[
            ("DEVICE_ID", Id("d")),
            ("USER_EMAIL", Own),
            ("DEVICE_COMPROMISED_STATE", Text(&["COMPROMISED", "NOT_COMPROMISED"])),
        ],
    ),
];

const CONTEXT_AWARE_ACCESS: [Kind; 1] = [kind(
    "CONTEXT_AWARE_ACCESS_USER_EVENT",
    "ACCESS_DENY_EVENT",
    1,
    &[
        ("CAA_APPLICATION", Text(&["GMAIL", "DRIVE"])),
        ("CAA_ACCESS_LEVEL_APPLIED", Many(&[&["Managed device"], &["Managed device", "Office network"]])),
        ("CAA_ACCESS_LEVEL_UNSATISFIED", Many(&[&["Managed device"]])),
        ("CAA_DEVICE_ID", Id("c")),
        ("CAA_DEVICE_STATE", Text(&["No Device Signals", "Normal"])),
    ],
)];

const MEET: [Kind; 2] = [
    kind(
        "call",
        "call_ended",
        8,
        &[
            ("meeting_code", Id("M")),
            ("identifier", Own),
            ("identifier_type", Text(&["email_address"])),
            ("device_type", Text(&["web", "android"])),
            ("ip_address", Address),
            ("duration_seconds", Int(0, 7_200)),
            ("is_external", Bool(10)),
        ],
    ),
    kind("call", "abuse_report_submitted", 1, &[("meeting_code", Id("M")), ("identifier", User)]),
];

const RULES: [Kind; 2] = [
    kind(
        "rule_match_type",
        "rule_match",
        3,
        &[
            ("rule_name", Text(&["DLP: IBAN", "Règle: numéros"])),
            ("severity", Text(&["LOW", "HIGH"])),
            ("resource_title", TITLE),
            (
                "matched_detectors",
                Messages(
                    2,
                    &[
                        ("detector_id", Text(&["IBAN_CODE"])),
                        ("detector_type", Text(&["PREDEFINED_DLP"])),
                        ("match_counts", ManyInts(&[&[1, 2], &[7]])),
                    ],
                ),
            ),
        ],
    ),
    kind(
        "action_complete_type",
        "action_complete",
        2,
        &[
            ("rule_name", Text(&["DLP: IBAN"])),
            ("severity", Text(&["LOW", "MEDIUM"])),
            ("triggered_actions", Messages(2, &[("action_type", Text(&["DRIVE_WARN_ON_EXTERNAL_SHARING"]))])),
        ],
    ),
];

/// For applications that nobody has described here.
const OTHER: [Kind; 2] = [
    kind("user_action", "item_viewed", 3, &[("item_id", Id("i")), ("item_title", TITLE)]),
    kind(
        "user_action",
        "item_changed",
        1,
        &[("item_id", Id("i")), ("changes", Int(1, 40)), ("on_behalf", Bool(20))],
    ),
];

/// The kinds of an application's events.
pub(crate) fn kinds(application: &str) -> &'static [Kind] {
    match application {
        "login" => &LOGIN,
        "user_accounts" => &ACCOUNT,
        "admin" => &ADMIN,
        "token" => &TOKEN,
        "saml" => &SAML,
        "groups_enterprise" => &GROUPS_ENTERPRISE,
        "groups" => &GROUPS,
        "drive" => &DRIVE,
        "calendar" => &CALENDAR,
        "chat" => &CHAT,
        "mobile" => &MOBILE,
        "context_aware_access" => &CONTEXT_AWARE_ACCESS,
        "meet" => &MEET,
        "rules" => &RULES,
        _ => &OTHER,
    }
}
