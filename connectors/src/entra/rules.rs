//! What Elastic's prebuilt rules on these logs query and a record of them cannot fill.
//!
//! From the 73 rules of mid 2026 that read `azure.signinlogs`, `azure.auditlogs` or `azure.identity_protection`; every other
//! field that they query is filled where Graph says it.

const ENRICHMENT: &str =
    "Graph gives an address's number of the autonomous system, not whose it is: a database of addresses can";
const OTHER_LOG: &str = "of another log of Azure's, in rules that read several";

/// Field and reason.
pub const NOT_FILLED: &[(&str, &str)] = &[
    ("source.as.organization.name", ENRICHMENT),
    ("azure.activitylogs.identity.claims.appid", OTHER_LOG),
    ("azure.activitylogs.operation_name", OTHER_LOG),
    ("azure.activitylogs.properties.appId", OTHER_LOG),
    ("azure.activitylogs.properties.authentication_protocol", OTHER_LOG),
    ("azure.graphactivitylogs.properties.app_id", OTHER_LOG),
    ("azure.graphactivitylogs.properties.c_sid", OTHER_LOG),
    ("azure.graphactivitylogs.properties.scopes", OTHER_LOG),
    ("azure.graphactivitylogs.properties.user_principal_object_id", OTHER_LOG),
    ("url.original", OTHER_LOG),
    ("url.path", OTHER_LOG),
];
