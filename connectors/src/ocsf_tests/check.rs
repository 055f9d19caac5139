//! A small checker of OCSF documents: what the classes and objects that we write require and allow. Written down from the
//! published schemas of 1.8.0 and 1.9.0 (attributes that we never write are left out), so that it runs everywhere.

use serde_json::Value as Json;

/// An attribute: its name, and what it is: `s` string, `i` integer, `f` number, `b` boolean, `a` address, `t` milliseconds,
/// `o` any object, else an object of the table; in brackets a list of these. A star: required.
type Attributes = &'static str;

/// A class or object: its name, its attributes, and of which of them one must be there.
type Rule = (&'static str, Attributes, &'static str);

/// In every class.
const BASE: Attributes = "class_uid:i* class_name:s category_uid:i* category_name:s activity_id:i* activity_name:s \
     type_uid:i* type_name:s severity_id:i* severity:s status_id:i status:s status_code:s status_detail:s message:s time:t* \
     timezone_offset:i metadata:metadata* observables:[observable] unmapped:o raw_data:s raw_data_size:i device:device@host \
     action_id:i@security_control action:s@security_control disposition_id:i@security_control \
     disposition:s@security_control authorizations:[authorization]@security_control is_alert:b@security_control \
     risk_level_id:i@security_control risk_level:s@security_control risk_details:s@security_control";

const IAM: Attributes =
    "actor:actor src_endpoint:network_endpoint http_request:http_request ai_agent:named@ai_operation";

const CLASSES: &[(u64, &str, Attributes, &str)] = &[
    (0, "both", "actor:actor@host", ""),
    (
        2004,
        "both",
        "finding_info:finding_info* evidences:[evidences] resources:[resource] is_alert:b risk_level_id:i risk_level:s \
         risk_details:s device:device",
        "",
    ),
    (3001, "1.8.0", "user:user* user_result:user auth_factors:[auth_factor]", ""),
    (
        3007,
        "1.9.0",
        "user:user* updated_user:user auth_factors:[auth_factor] privileges:[s] iam_roles:[named] resources:[resource]",
        "",
    ),
    (
        3002,
        "both",
        "user:user* service:named dst_endpoint:network_endpoint session:session auth_factors:[auth_factor] is_mfa:b \
         is_remote:b auth_protocol_id:i auth_protocol:s logon_type_id:i logon_type:s account_switch_type_id:i \
         account_switch_type:s",
        "service dst_endpoint",
    ),
    (3003, "1.8.0", "user:user* session:session privileges:[s] group:named", "privileges group"),
    (
        3003,
        "1.9.0",
        "user:user* session:session privileges:[s] groups:[named] iam_roles:[named]",
        "privileges groups iam_roles",
    ),
    (3004, "1.8.0", "entity:entity* entity_result:entity", ""),
    (3004, "1.9.0", "entity:entity* updated_entity:entity", ""),
    (3005, "1.8.0", "user:user* privileges:[s]* resources:[resource]", ""),
    (3006, "1.8.0", "group:named* user:user privileges:[s]", ""),
    (3006, "1.9.0", "group:named* updated_group:named users:[user] privileges:[s] iam_roles:[named]", ""),
    (
        6003,
        "both",
        "actor:actor* api:api* src_endpoint:network_endpoint* http_request:http_request resources:[resource] \
         ai_agent:named@ai_operation",
        "",
    ),
    (
        6006,
        "both",
        "actor:actor* file:file* src_endpoint:network_endpoint* http_request:http_request ai_agent:named@ai_operation",
        "",
    ),
];

const OBJECTS: &[Rule] = &[
    (
        "metadata",
        "version:s* product:product* log_name:s log_provider:s tenant_uid:s uid:s original_event_uid:s event_code:s \
         original_time:s correlation_uid:s logged_time:t processed_time:t modified_time:t profiles:[s] labels:[s] tags:[tag]",
        "",
    ),
    ("product", "name:s vendor_name:s", "name"),
    ("tag", "name:s* value:s", "value"),
    ("observable", "name:s type_id:i* type:s value:s", ""),
    ("user", "uid:s name:s email_addr:s full_name:s domain:s groups:[named] type_id:i type:s", "uid name"),
    ("actor", "user:user session:session app_uid:s app_name:s", "user session app_uid app_name"),
    ("session", "uid:s uid_alt:s issuer:s is_remote:b is_mfa:b", ""),
    ("named", "uid:s name:s", "uid name"),
    (
        "auth_factor",
        "factor_type_id:i* factor_type:s is_hotp:b is_totp:b provider:s device:device phone_number:s",
        "",
    ),
    (
        "network_endpoint",
        "ip:a name:s uid:s port:i domain:s intermediate_ips:[a] location:location autonomous_system:system isp:s type_id:i \
         type:s os:os",
        "ip name uid domain",
    ),
    (
        "location",
        "city:s region:s country:s postal_code:s desc:s lat:f long:f",
        "city country postal_code region",
    ),
    ("system", "number:i name:s", "number name"),
    ("os", "name:s* type_id:i* type:s version:s", ""),
    ("device", "uid:s name:s hostname:s type_id:i* type:s os:os is_managed:b", "uid name hostname"),
    ("http_request", "user_agent:s url:url", ""),
    ("url", "path:s", "path"),
    ("authorization", "policy:named decision:s", ""),
    ("resource", "uid:s name:s type:s role_id:i role:s", "uid name"),
    ("entity", "uid:s name:s type_id:i type:s policy:named group:named user:user data:o", "uid name"),
    ("api", "operation:s* service:named", ""),
    ("file", "uid:s name:s* type_id:i* type:s", "uid name"),
    (
        "finding_info",
        "uid:s* title:s types:[s] analytic:analytic created_time:t first_seen_time:t last_seen_time:t modified_time:t",
        "",
    ),
    ("analytic", "name:s type_id:i* type:s", "name"),
    (
        "evidences",
        "actor:actor src_endpoint:network_endpoint http_request:http_request",
        "actor src_endpoint",
    ),
];

/// What is wrong with a document; nothing: it is right.
pub(crate) fn faults(document: &Json) -> Vec<String> {
    let mut faults = Vec::new();
    let version = document["metadata"]["version"].as_str().unwrap_or_default();
    let uid = document["class_uid"].as_u64();
    let Some((_, _, own, one_of)) =
        CLASSES.iter().find(|(class, of, ..)| Some(*class) == uid && (*of == "both" || *of == version))
    else {
        return vec![format!("{version} has no class {uid:?}")];
    };
    let iam = if uid.is_some_and(|uid| uid / 1000 == 3) { IAM } else { "" };
    let profiles: Vec<&str> =
        document["metadata"]["profiles"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    // The class's own rule stands before the general one.
    let attributes = format!("{own} {iam} {BASE}");
    object(document, &attributes, one_of, &profiles, "", &mut faults);
    let id = |name: &str| document[name].as_u64().unwrap_or(u64::MAX);
    if id("type_uid") != id("class_uid") * 100 + id("activity_id") {
        faults.push("type_uid does not follow from class and activity".to_owned());
    }
    for observable in document["observables"].as_array().into_iter().flatten() {
        let path = observable["name"].as_str().unwrap_or_default();
        if !found(document, path).contains(&&observable["value"]) {
            faults.push(format!("observable {path} is not there"));
        }
    }
    faults
}

/// All values at a path of the document.
fn found<'d>(document: &'d Json, path: &str) -> Vec<&'d Json> {
    path.split('.').fold(vec![document], |here, step| {
        let (name, place) = step.split_once('[').unwrap_or((step, ""));
        let inner = here.into_iter().filter_map(|value| value.get(name));
        match place {
            "" => inner.collect(),
            _ => inner.filter_map(Json::as_array).flatten().collect(),
        }
    })
}

fn object(
    value: &Json,
    attributes: &str,
    one_of: &str,
    profiles: &[&str],
    path: &str,
    faults: &mut Vec<String>,
) {
    let Some(members) = value.as_object() else {
        faults.push(format!("{path} is no object"));
        return;
    };
    let rules: Vec<(&str, &str)> =
        attributes.split_whitespace().filter_map(|attribute| attribute.split_once(':')).collect();
    for (name, member) in members {
        let here = format!("{path}.{name}");
        let Some((_, kind)) = rules.iter().find(|(known, _)| known == name) else {
            faults.push(format!("{here}: no such attribute"));
            continue;
        };
        let (kind, profile) = kind.split_once('@').unwrap_or((kind, ""));
        if !profile.is_empty() && !profiles.contains(&profile) {
            faults.push(format!("{here}: of the profile {profile}, which is not named"));
        }
        let kind = kind.trim_end_matches('*');
        match kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
            Some(kind) => match member.as_array() {
                Some(elements) if !elements.is_empty() => {
                    elements.iter().for_each(|element| one(element, kind, profiles, &here, faults));
                }
                _ => faults.push(format!("{here}: no list, or an empty one")),
            },
            None => one(member, kind, profiles, &here, faults),
        }
    }
    for (name, kind) in rules {
        if kind.ends_with('*') && !members.contains_key(name) {
            faults.push(format!("{path}.{name} is required"));
        }
    }
    if !one_of.is_empty() && !one_of.split(' ').any(|name| members.contains_key(name)) {
        faults.push(format!("{path} has none of {one_of}"));
    }
}

fn one(value: &Json, kind: &str, profiles: &[&str], path: &str, faults: &mut Vec<String>) {
    let fits = match kind {
        "s" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "i" | "t" => value.is_i64() || value.is_u64(),
        "f" => value.is_number(),
        "b" => value.is_boolean(),
        "a" => {
            value.as_str().is_some_and(|text| text.len() <= 40 && text.parse::<std::net::IpAddr>().is_ok())
        }
        "o" => value.is_object(),
        name => {
            let Some((_, attributes, one_of)) = OBJECTS.iter().find(|(object, ..)| *object == name) else {
                faults.push(format!("{path}: the checker does not know {name}"));
                return;
            };
            return object(value, attributes, one_of, profiles, path, faults);
        }
    };
    if !fits {
        faults.push(format!("{path}: {value} is not of kind {kind}"));
    }
}
