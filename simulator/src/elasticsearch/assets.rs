//! Templates and policies as the products judge them when they are put.

use serde_json::{Map, Value};

use super::config::Flavour;

/// Why an asset is refused: status, type, reason.
type Refusal = (u16, &'static str, String);

fn bad(kind: &'static str, reason: impl Into<String>) -> Result<(), Refusal> {
    Err((400, kind, reason.into()))
}

/// Whether an asset of this kind can be put. `has` says which component templates there are.
pub(crate) fn judge(
    flavour: Flavour,
    kind: &str,
    name: &str,
    body: &Value,
    has: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    match kind {
        "_component_template" => template(flavour, body),
        "_index_template" => {
            template(flavour, body)?;
            composed(flavour, name, body, has)
        }
        "_ilm/policy" => ilm(body),
        _ => ism(body),
    }
}

fn known(object: &Value, names: &[&str], what: &str) -> Result<(), Refusal> {
    let members = object.as_object().map(Map::keys).into_iter().flatten();
    match members.into_iter().find(|member| !names.contains(&member.as_str())) {
        Some(member) => bad("x_content_parse_exception", format!("[{what}] unknown field [{member}]")),
        None => Ok(()),
    }
}

/// `30d` and the like.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    ["d", "h", "m", "s", "ms"]
        .iter()
        .any(|unit| text.strip_suffix(unit).is_some_and(|number| number.parse::<u32>().is_ok()))
}

/// `50gb` and the like.
fn is_size(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    ["gb", "mb", "kb", "tb"]
        .iter()
        .any(|unit| text.strip_suffix(unit).is_some_and(|number| number.parse::<u32>().is_ok()))
}

fn template(flavour: Flavour, body: &Value) -> Result<(), Refusal> {
    let Some(template) = body.get("template") else { return Ok(()) };
    if flavour.is_opensearch() {
        known(template, &["settings", "mappings", "aliases"], "template")?;
    } else {
        known(
            template,
            &["settings", "mappings", "aliases", "lifecycle", "data_stream_options"],
            "template",
        )?;
    }
    if let Some(lifecycle) = template.get("lifecycle") {
        known(lifecycle, &["enabled", "data_retention", "downsampling"], "lifecycle")?;
        if lifecycle.get("data_retention").is_some_and(|time| !is_time(time)) {
            return bad("illegal_argument_exception", "failed to parse setting [data_retention]");
        }
    }
    let policy = ["/settings/index/lifecycle/name", "/settings/index.lifecycle.name"];
    let policy = policy.iter().any(|pointer| template.pointer(pointer).is_some());
    match flavour {
        Flavour::Serverless if policy => bad(
            "illegal_argument_exception",
            "Settings [index.lifecycle.name] are not available when running in serverless mode",
        ),
        Flavour::OpenSearch2 | Flavour::OpenSearch3 if policy => bad(
            "illegal_argument_exception",
            "unknown setting [index.lifecycle.name] please check that any required plugins are installed",
        ),
        _ => Ok(()),
    }
}

fn composed(flavour: Flavour, name: &str, body: &Value, has: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let list = |key: &str| -> Vec<&str> {
        body.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    if flavour.is_opensearch() && body.get("ignore_missing_component_templates").is_some() {
        return bad(
            "x_content_parse_exception",
            "[index_template] unknown field [ignore_missing_component_templates]",
        );
    }
    let may_miss = list("ignore_missing_component_templates");
    let theirs = ["logs@mappings", "logs@settings", "ecs@mappings"];
    let missing = list("composed_of").into_iter().find(|part| {
        !has(part) && !may_miss.contains(part) && (flavour.is_opensearch() || !theirs.contains(part))
    });
    match missing {
        Some(part) => bad(
            "invalid_index_template_exception",
            format!(
                "index_template [{name}] invalid, cause [index template [{name}] specifies component templates [{part}] that do not exist]"
            ),
        ),
        None => Ok(()),
    }
}

/// Index lifecycle management: the actions of each phase, and the conditions of a rollover.
fn ilm(body: &Value) -> Result<(), Refusal> {
    known(body, &["policy"], "put_lifecycle_request")?;
    let Some(phases) = body.pointer("/policy/phases").and_then(Value::as_object) else {
        return bad("x_content_parse_exception", "[lifecycle_policy] failed to parse field [phases]");
    };
    known(&body["policy"], &["phases", "_meta", "deprecated"], "lifecycle_policy")?;
    for (name, phase) in phases {
        let actions: &[&str] = match name.as_str() {
            "hot" => &[
                "set_priority",
                "unfollow",
                "rollover",
                "readonly",
                "downsample",
                "shrink",
                "forcemerge",
                "searchable_snapshot",
            ],
            "warm" => &[
                "set_priority",
                "unfollow",
                "readonly",
                "downsample",
                "allocate",
                "migrate",
                "shrink",
                "forcemerge",
            ],
            "cold" => &[
                "set_priority",
                "unfollow",
                "readonly",
                "downsample",
                "searchable_snapshot",
                "allocate",
                "migrate",
            ],
            "frozen" => &["searchable_snapshot"],
            "delete" => &["wait_for_snapshot", "delete"],
            _ => {
                return bad(
                    "illegal_argument_exception",
                    format!("Timeseries lifecycle does not support phase [{name}]"),
                );
            }
        };
        known(phase, &["min_age", "actions"], "phase")?;
        if phase.get("min_age").is_some_and(|age| !is_time(age)) {
            return bad("x_content_parse_exception", "[phase] failed to parse field [min_age]");
        }
        for (action, settings) in phase.get("actions").and_then(Value::as_object).into_iter().flatten() {
            if !actions.contains(&action.as_str()) {
                return bad(
                    "illegal_argument_exception",
                    format!("invalid action [{action}] defined in phase [{name}]"),
                );
            }
            if action == "rollover" {
                let conditions = [
                    "max_age",
                    "max_docs",
                    "max_size",
                    "max_primary_shard_size",
                    "max_primary_shard_docs",
                    "min_age",
                    "min_docs",
                    "min_size",
                    "min_primary_shard_size",
                    "min_primary_shard_docs",
                ];
                known(settings, &conditions, "rollover")?;
                for (condition, value) in settings.as_object().into_iter().flatten() {
                    let right = match condition.as_str() {
                        "max_age" | "min_age" => is_time(value),
                        name if name.ends_with("_docs") => value.is_u64(),
                        _ => is_size(value),
                    };
                    if !right {
                        return bad(
                            "x_content_parse_exception",
                            format!("[rollover] failed to parse field [{condition}]"),
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

/// Index state management: states, what is done in each, and when the next one comes.
fn ism(body: &Value) -> Result<(), Refusal> {
    let Some(policy) = body.get("policy").filter(|policy| policy.is_object()) else {
        return bad("parse_exception", "Policy was null");
    };
    let members =
        ["description", "default_state", "states", "ism_template", "error_notification", "schema_version"];
    known(policy, &members, "policy")?;
    let states = policy.get("states").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |state: &Value| state.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: Vec<String> = states.iter().map(name).collect();
    let default = policy.get("default_state").and_then(Value::as_str).unwrap_or_default();
    if states.is_empty() || !names.iter().any(|name| name == default) {
        return bad(
            "illegal_argument_exception",
            format!("Policy must have a valid default state, not [{default}]"),
        );
    }
    if !policy.get("description").is_some_and(Value::is_string) {
        return bad("illegal_argument_exception", "description is null");
    }
    for state in &states {
        known(state, &["name", "actions", "transitions"], "state")?;
        for action in state.get("actions").and_then(Value::as_array).into_iter().flatten() {
            ism_action(action)?;
        }
        for transition in state.get("transitions").and_then(Value::as_array).into_iter().flatten() {
            known(transition, &["state_name", "conditions"], "transition")?;
            let next = transition.get("state_name").and_then(Value::as_str).unwrap_or_default();
            if !names.iter().any(|name| name == next) {
                return bad(
                    "illegal_argument_exception",
                    format!("Transition state [{next}] does not exist"),
                );
            }
            if let Some(conditions) = transition.get("conditions") {
                let accepted =
                    ["min_index_age", "min_rollover_age", "min_doc_count", "min_size", "cron", "no_alias"];
                known(conditions, &accepted, "conditions")?;
                if conditions.get("min_index_age").is_some_and(|age| !is_time(age)) {
                    return bad("illegal_argument_exception", "failed to parse [min_index_age]");
                }
                if conditions.as_object().is_some_and(|conditions| conditions.len() != 1) {
                    return bad(
                        "illegal_argument_exception",
                        "Cannot provide more than one Transition condition",
                    );
                }
            }
        }
    }
    for template in policy.get("ism_template").and_then(Value::as_array).into_iter().flatten() {
        known(template, &["index_patterns", "priority", "last_updated_time"], "ism_template")?;
        let patterns = template.get("index_patterns").and_then(Value::as_array);
        if patterns.is_none_or(Vec::is_empty) {
            return bad("illegal_argument_exception", "index patterns must not be empty");
        }
    }
    Ok(())
}

fn ism_action(action: &Value) -> Result<(), Refusal> {
    let kinds = [
        "rollover",
        "delete",
        "read_only",
        "read_write",
        "replica_count",
        "force_merge",
        "shrink",
        "close",
        "open",
        "index_priority",
        "snapshot",
        "allocation",
        "alias",
        "notification",
        "rollup",
        "transform",
    ];
    let common = ["timeout", "retry"];
    known(action, &[&kinds[..], &common[..]].concat(), "action")?;
    let Some(rollover) = action.get("rollover") else { return Ok(()) };
    let accepted = [
        "min_index_age",
        "min_size",
        "min_doc_count",
        "min_primary_shard_size",
        "copy_alias",
        "prevent_empty_rollover",
    ];
    known(rollover, &accepted, "rollover")?;
    let age = rollover.get("min_index_age").is_none_or(is_time);
    let sizes = ["min_size", "min_primary_shard_size"];
    if age && sizes.iter().all(|name| rollover.get(*name).is_none_or(is_size)) {
        return Ok(());
    }
    bad("illegal_argument_exception", "failed to parse a condition of [rollover]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(flavour: Flavour, kind: &str, body: &Value) -> Result<(), String> {
        judge(flavour, kind, "x", body, |_| false).map_err(|(_, _, reason)| reason)
    }

    #[test]
    fn each_product_has_its_own_way_of_retention() {
        let ilm = json!({ "template": { "settings": { "index": { "lifecycle": { "name": "p" } } } } });
        let stream = json!({ "template": { "lifecycle": { "data_retention": "7d" } } });
        for (flavour, policies, lifecycles) in [
            (Flavour::Elasticsearch8, true, true),
            (Flavour::Elasticsearch9, true, true),
            (Flavour::Serverless, false, true),
            (Flavour::OpenSearch2, false, false),
            (Flavour::OpenSearch3, false, false),
        ] {
            assert_eq!(judged(flavour, "_component_template", &ilm).is_ok(), policies, "{flavour:?}");
            assert_eq!(judged(flavour, "_component_template", &stream).is_ok(), lifecycles, "{flavour:?}");
        }
    }

    #[test]
    fn a_component_that_is_missing_must_be_allowed_to() {
        let needs = json!({ "index_patterns": ["a-*"], "composed_of": ["logs@mappings", "mine"] });
        let may = json!({ "composed_of": ["mine"], "ignore_missing_component_templates": ["mine"] });
        for (flavour, body, right) in [
            (Flavour::Elasticsearch9, &needs, false),
            (Flavour::Elasticsearch9, &may, true),
            (Flavour::OpenSearch2, &needs, false),
            (Flavour::OpenSearch2, &may, false),
        ] {
            assert_eq!(judged(flavour, "_index_template", body).is_ok(), right, "{flavour:?} {body}");
        }
        assert!(
            judge(Flavour::Elasticsearch9, "_index_template", "x", &needs, |name| name == "mine").is_ok()
        );
    }

    #[test]
    fn policies_with_a_mistake_are_refused() {
        let rollover = |conditions: Value| json!({ "policy": { "phases": { "hot": { "actions": { "rollover": conditions } } } } });
        for (body, right) in [
            (rollover(json!({ "max_age": "30d", "max_primary_shard_size": "50gb" })), true),
            (rollover(json!({ "max_age": "a month" })), false),
            (rollover(json!({ "min_index_age": "30d" })), false),
            (json!({ "policy": { "phases": { "delete": { "actions": { "rollover": {} } } } } }), false),
            (json!({ "policy": { "phases": { "hottest": {} } } }), false),
            (json!({ "phases": {} }), false),
        ] {
            assert_eq!(judged(Flavour::Elasticsearch9, "_ilm/policy", &body).is_ok(), right, "{body}");
        }
        let policy = |action: Value, next: &str| {
            json!({ "policy": { "description": "d", "default_state": "hot", "states": [
                { "name": "hot", "actions": [action],
                  "transitions": [{ "state_name": next, "conditions": { "min_index_age": "9d" } }] },
            ] } })
        };
        for (body, right) in [
            (policy(json!({ "rollover": { "min_index_age": "30d" } }), "hot"), true),
            (policy(json!({ "rollover": { "max_age": "30d" } }), "hot"), false),
            (policy(json!({ "roll_over": {} }), "hot"), false),
            (policy(json!({ "delete": {} }), "cold"), false),
        ] {
            assert_eq!(
                judged(Flavour::OpenSearch3, "_plugins/_ism/policies", &body).is_ok(),
                right,
                "{body}"
            );
        }
    }
}
