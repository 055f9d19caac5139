//! What Elastic's prebuilt rules for Google Workspace query (github.com/elastic/detection-rules, mid 2026), and what no
//! document can answer.

/// A prebuilt rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Fields that it queries.
    pub fields: &'static [&'static str],
}

/// Fields that rules query and Google's records cannot fill, and why.
pub const MISSING: &[(&str, &str)] = &[
    (
        "source.as.organization.name",
        "Google names the number of the network only; a database of addresses knows its owner",
    ),
    (
        "source.geo.city_name",
        "Google names country and subdivision by code; a database of addresses knows the city",
    ),
    ("source.geo.country_name", "Google names the country by code; a database of addresses knows its name"),
    ("source.geo.location", "Google names no place on earth; a database of addresses does"),
    (
        "source.geo.region_name",
        "Google names the subdivision by code; a database of addresses knows its name",
    ),
];

/// All of them.
pub const RULES: &[Rule] = &[
    Rule {
        name: "Application Added to Google Workspace Domain",
        fields: &["data_stream.dataset", "event.action"],
    },
    Rule {
        name: "Application Removed from Blocklist in Google Workspace",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.admin.application.name",
            "google_workspace.admin.new_value",
            "google_workspace.admin.old_value",
        ],
    },
    Rule {
        name: "Deprecated - MFA Disabled for Google Workspace Organization",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "event.category",
            "event.provider",
            "google_workspace.admin.new_value",
        ],
    },
    Rule {
        name: "Domain Added to Google Workspace Trusted Domains",
        fields: &["data_stream.dataset", "event.action"],
    },
    Rule {
        name: "External User Added to Google Workspace Group",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "event.category",
            "user.target.domain",
            "user.target.group.domain",
        ],
    },
    Rule {
        name: "First Time Seen Google Workspace OAuth Login from Third-Party Application",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.token.client.id",
            "google_workspace.token.scope.value",
        ],
    },
    Rule { name: "Forwarded Google Workspace Security Alert", fields: &["data_stream.dataset"] },
    Rule {
        name: "Google Workspace 2SV Policy Disabled By User",
        fields: &["data_stream.dataset", "event.action"],
    },
    Rule {
        name: "Google Workspace API Access Granted via Domain-Wide Delegation",
        fields: &["data_stream.dataset", "event.action"],
    },
    Rule {
        name: "Google Workspace Admin Role Assigned to a User or Group",
        fields: &["data_stream.dataset", "event.action", "google_workspace.admin.role.name"],
    },
    Rule { name: "Google Workspace Admin Role Deletion", fields: &["data_stream.dataset", "event.action"] },
    Rule {
        name: "Google Workspace Bitlocker Setting Disabled",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.admin.new_value",
            "google_workspace.admin.setting.name",
        ],
    },
    Rule {
        name: "Google Workspace Custom Admin Role Created",
        fields: &["data_stream.dataset", "event.action"],
    },
    Rule {
        name: "Google Workspace Device Registration After OAuth from Suspicious ASN",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "event.category",
            "google_workspace.device.account_state",
            "google_workspace.token.client.id",
            "source.as.number",
            "user.name",
        ],
    },
    Rule {
        name: "Google Workspace Device Registration Burst for Single User",
        fields: &[
            "@timestamp",
            "event.action",
            "event.dataset",
            "event.id",
            "event.provider",
            "google_workspace.actor.type",
            "google_workspace.device.account_state",
            "google_workspace.device.id",
            "google_workspace.device.model",
            "google_workspace.device.resource.id",
            "google_workspace.device.type",
            "google_workspace.event.type",
            "host.os.version",
            "organization.id",
            "user.domain",
            "user.email",
            "user.id",
            "user.name",
        ],
    },
    Rule {
        name: "Google Workspace Drive Data Transfer or Takeout Export Initiated",
        fields: &["data_stream.dataset", "event.action", "google_workspace.admin.application.name"],
    },
    Rule {
        name: "Google Workspace Drive Encryption Key(s) Accessed from Anonymous User",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "event.category",
            "file.extension",
            "google_workspace.drive.visibility",
            "source.user.email",
        ],
    },
    Rule {
        name: "Google Workspace Gmail Routing or Forwarding Rule Created or Modified",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.admin.setting.metadata.rule.type",
            "google_workspace.admin.setting.name",
        ],
    },
    Rule {
        name: "Google Workspace Impossible Travel Login",
        fields: &[
            "@timestamp",
            "event.action",
            "event.dataset",
            "event.outcome",
            "source.as.organization.name",
            "source.geo.city_name",
            "source.geo.country_name",
            "source.geo.location",
            "source.geo.region_name",
            "source.ip",
            "user.email",
        ],
    },
    Rule {
        name: "Google Workspace Login Flagged Suspicious",
        fields: &["data_stream.dataset", "event.provider", "google_workspace.login.is_suspicious"],
    },
    Rule {
        name: "Google Workspace MFA Enforcement Disabled For Organization",
        fields: &["data_stream.dataset", "event.action", "google_workspace.admin.new_value"],
    },
    Rule {
        name: "Google Workspace Object Copied from External Drive with App Consent",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "event.category",
            "google_workspace.drive.copy_type",
            "google_workspace.drive.file.type",
            "google_workspace.drive.owner_is_team_drive",
            "google_workspace.token.client.id",
            "source.user.email",
        ],
    },
    Rule {
        name: "Google Workspace Password Policy Modified",
        fields: &["data_stream.dataset", "event.action", "google_workspace.admin.setting.name"],
    },
    Rule {
        name: "Google Workspace Restrictions for Marketplace Modified to Allow Any App",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.admin.application.name",
            "google_workspace.admin.new_value",
            "google_workspace.admin.setting.name",
            "google_workspace.event.type",
        ],
    },
    Rule {
        name: "Google Workspace Role Modified",
        fields: &["data_stream.dataset", "event.action", "event.category", "event.provider"],
    },
    Rule {
        name: "Google Workspace Suspended User Account Renewed",
        fields: &["data_stream.dataset", "event.action", "google_workspace.event.type"],
    },
    Rule {
        name: "Google Workspace User Login with Unusual ASN",
        fields: &["data_stream.dataset", "event.action", "source.as.number", "user.email"],
    },
    Rule {
        name: "Google Workspace User Organizational Unit Changed",
        fields: &["data_stream.dataset", "event.action", "google_workspace.event.type"],
    },
    Rule {
        name: "Google Workspace User Sign-in from Atypical Device Type",
        fields: &[
            "data_stream.dataset",
            "event.action",
            "google_workspace.device.account_state",
            "google_workspace.device.type",
            "user.email",
        ],
    },
];
