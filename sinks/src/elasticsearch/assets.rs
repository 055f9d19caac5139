//! Index templates, component templates and retention policies, made from field lists.
//!
//! An asset's name is `<flavour>/<API path>`: an operator may `PUT` its text there by hand. Elasticsearch brings
//! `logs@mappings`, `logs@settings` and `ecs@mappings` itself; OpenSearch brings nothing, so its variant carries all
//! (`flattened` is `flat_object` there, and what its older versions lack is the nearest type that they have).
//! Retention is a policy of its own (ILM or ISM), or on serverless a lifecycle of the data stream; the component
//! `tidegate@lifecycle`, which every index template asks for and which may be missing, puts it into force.
//! Templates have priority 150: above Elastic's own `logs` (100), below an installed integration (200).

use serde_json::{Map, Value, json};

/// Lucene refuses terms over 32,766 bytes, `ignore_above` counts characters, and a character has up to four bytes.
const MOST_IGNORE_ABOVE: u64 = 8_191;

const PRIORITY: u32 = 150;

/// Which product an asset is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Elasticsearch,
    /// Elastic's serverless offer: as Elasticsearch, but for retention.
    Serverless,
    OpenSearch,
}

impl For {
    fn folder(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::Serverless => "serverless",
            Self::OpenSearch => "opensearch",
        }
    }
}

/// One asset: where it is put below the cluster's address, and its body.
pub(super) struct Asset {
    pub(super) path: String,
    pub(super) body: Value,
    /// Decides about retention: only installed when it is asked for, and never over one that is there.
    pub(super) policy: bool,
}

/// A vendor's fields and data streams.
struct Vendor {
    name: &'static str,
    patterns: &'static [&'static str],
    fields: &'static str,
    /// Maps whose keys are the vendor's customers' own.
    open: &'static [&'static str],
    /// Parts of the namespace in which only what is listed is indexed. What is not can still be read, and can neither contradict an
    /// earlier record nor add to the fields.
    closed: &'static [&'static str],
    /// Where an object that is not in the list is one open map.
    whole: &'static [&'static str],
}

const VENDORS: &[Vendor] = &[
    Vendor {
        name: "okta",
        patterns: &["logs-okta.*-*"],
        fields: include_str!("fields/okta.txt"),
        open: &[
            "okta.debug_context.debug_data.*",
            "okta.target.changeDetails.*",
            "okta.target.detailEntry.*",
        ],
        closed: &[],
        whole: &[],
    },
    Vendor {
        name: "azure",
        patterns: &["logs-azure.*-*"],
        fields: include_str!("fields/azure.txt"),
        open: &[],
        closed: &["azure"],
        whole: &[],
    },
    Vendor {
        name: "cisco_duo",
        patterns: &["logs-cisco_duo.*-*"],
        fields: include_str!("fields/cisco_duo.txt"),
        open: &[],
        closed: &["cisco_duo"],
        whole: &[],
    },
    Vendor {
        name: "google_workspace",
        patterns: &["logs-google_workspace.*-*"],
        fields: include_str!("fields/google_workspace.txt"),
        open: &[],
        // Google adds parameters every month, under names of its own.
        closed: &[
            "google_workspace.access_transparency",
            "google_workspace.admin",
            "google_workspace.alert",
            "google_workspace.context_aware_access",
            "google_workspace.device",
            "google_workspace.drive",
            "google_workspace.gcp",
            "google_workspace.group_enterprise",
            "google_workspace.groups",
            "google_workspace.login",
            "google_workspace.rules",
            "google_workspace.saml",
            "google_workspace.token",
            "google_workspace.user_accounts",
        ],
        // Of an application that was unheard of when this was made.
        whole: &["google_workspace.*"],
    },
];

const ECS: &str = include_str!("fields/ecs.txt");

/// What a document of OCSF keeps of its record is of any shape, and one record must not contradict another.
const OCSF: &str = "unmapped flattened\n";

/// All assets of all products: `(name, text)`. Of serverless only what differs from Elasticsearch.
pub(super) fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for product in [For::Elasticsearch, For::Serverless, For::OpenSearch] {
        for asset in assets(product).into_iter().filter(|asset| product != For::Serverless || asset.policy) {
            all.push((format!("{}/{}", product.folder(), asset.path), format!("{:#}\n", asset.body)));
        }
    }
    all
}

/// The assets of one product, in the order in which they must be put.
pub(super) fn assets(product: For) -> Vec<Asset> {
    let template = |path: String, body: Value| Asset { path, body, policy: false };
    let mut assets = vec![
        template(
            "_component_template/tidegate-ecs@mappings".to_owned(),
            component(
                "ECS fields of identity events",
                mappings(product, &format!("{ECS}{OCSF}"), &[], &[], &[]),
            ),
        ),
        template("_component_template/tidegate@settings".to_owned(), settings()),
    ];
    for vendor in VENDORS {
        assets.push(template(
            format!("_component_template/tidegate-{}@mappings", vendor.name),
            component(
                &format!("fields under {}.*, typed as Elastic's integration types them", vendor.name),
                mappings(product, vendor.fields, vendor.open, vendor.closed, vendor.whole),
            ),
        ));
        assets.push(template(
            format!("_index_template/tidegate-{}", vendor.name),
            index_template(product, vendor),
        ));
    }
    assets.extend(retention(product));
    assets
}

/// Fields of an index: Entra's positions alone are some 1,200, and ECS adds 500. Clusters allow 1,000 by default.
const FIELDS: u32 = 2_500;

/// A component is judged by itself, so each brings the bound that its fields need.
fn component(description: &str, mappings: Value) -> Value {
    let settings = json!({ "index": { "mapping": { "total_fields": { "limit": FIELDS } } } });
    json!({
        "template": { "settings": settings, "mappings": mappings },
        "_meta": { "managed_by": "tidegate", "description": description },
    })
}

fn settings() -> Value {
    let mapping = json!({ "total_fields": { "limit": FIELDS }, "ignore_malformed": true });
    json!({
        "template": { "settings": { "index": { "mapping": mapping } } },
        "_meta": { "managed_by": "tidegate", "description": "a malformed value costs its field, not its document" },
    })
}

fn index_template(product: For, vendor: &Vendor) -> Value {
    let fields = format!("tidegate-{}@mappings", vendor.name);
    // What Elasticsearch brings itself, and what an operator may add; any of it may be missing.
    let (theirs, dynamic, custom) = match product {
        For::Elasticsearch | For::Serverless => (
            &["logs@mappings", "logs@settings"][..],
            &["ecs@mappings"][..],
            // The later one wins: the operator's own.
            &[LIFECYCLE, "logs@custom", "tidegate@custom"][..],
        ),
        For::OpenSearch => (&[][..], &[][..], &[][..]),
    };
    let parts = [theirs, &["tidegate@settings", "tidegate-ecs@mappings", &fields], dynamic, custom].concat();
    let mut body = json!({
        "index_patterns": vendor.patterns,
        "priority": PRIORITY,
        "data_stream": {},
        "composed_of": parts,
        "_meta": { "managed_by": "tidegate", "description": "documents as tidegate renders them (schema ecs)" },
    });
    if product != For::OpenSearch {
        set(&mut body, "ignore_missing_component_templates", [theirs, dynamic, custom].concat().into());
    }
    body
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// The component that puts the retention into force on Elasticsearch.
const LIFECYCLE: &str = "tidegate@lifecycle";

/// 30 days or 50 GB a backing index, as Elastic's own policy for logs has it, a year in all: the numbers are for the operator
/// to change. Rollovers by age stay far longer than retries last, since an id is known within a backing index alone.
fn retention(product: For) -> Vec<Asset> {
    const AGE: &str = "30d";
    const SIZE: &str = "50gb";
    const KEEP: &str = "365d";
    let description = "rolls over at 30 days or 50 GB, deletes after a year";
    let policy = |path: &str, body: Value| Asset { path: path.to_owned(), body, policy: true };
    let component = |template: Value| {
        let body = json!({
            "template": template,
            "_meta": { "managed_by": "tidegate", "description": description },
        });
        policy(&format!("_component_template/{LIFECYCLE}"), body)
    };
    match product {
        For::Elasticsearch => vec![
            policy(
                "_ilm/policy/tidegate-logs",
                json!({ "policy": {
                    "_meta": { "managed_by": "tidegate", "description": description },
                    "phases": {
                        "hot": { "actions": { "rollover": { "max_age": AGE, "max_primary_shard_size": SIZE } } },
                        "delete": { "min_age": KEEP, "actions": { "delete": {} } },
                    },
                } }),
            ),
            component(json!({ "settings": { "index": { "lifecycle": { "name": "tidegate-logs" } } } })),
        ],
        // There are no policies; when it rolls over is the service's own affair.
        For::Serverless => {
            vec![component(json!({ "lifecycle": { "enabled": true, "data_retention": KEEP } }))]
        }
        For::OpenSearch => {
            let patterns: Vec<_> = VENDORS.iter().flat_map(|vendor| vendor.patterns).collect();
            vec![policy(
                "_plugins/_ism/policies/tidegate-logs",
                json!({ "policy": {
                    "description": description,
                    "default_state": "hot",
                    "states": [
                        {
                            "name": "hot",
                            "actions": [{ "rollover": { "min_index_age": AGE, "min_primary_shard_size": SIZE } }],
                            "transitions": [{ "state_name": "delete", "conditions": { "min_index_age": KEEP } }],
                        },
                        { "name": "delete", "actions": [{ "delete": {} }], "transitions": [] },
                    ],
                    "ism_template": [{ "index_patterns": patterns, "priority": PRIORITY }],
                } }),
            )]
        }
    }
}

/// The mappings of a field list: `name type [ignore_above] [text]` a line; `<n>` in a name stands for each number below n.
fn mappings(product: For, fields: &str, open: &[&str], closed: &[&str], whole: &[&str]) -> Value {
    let mut properties = Map::new();
    for line in fields.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(name), Some(kind)) = (words.next(), words.next()) else { continue };
        let (mut ignore_above, mut text) = (None, false);
        for word in words {
            match word.parse::<u64>() {
                Ok(number) => ignore_above = Some(number),
                Err(_) => text = word == "text",
            }
        }
        let mut mapping = field(product, name, kind, ignore_above);
        if text {
            set(&mut mapping, "fields", json!({ "text": { "type": text_type(product) } }));
        }
        for name in numbered(name) {
            put(&mut properties, &name, mapping.clone());
        }
    }
    for path in closed {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| properties.get_mut(name));
        if let Some(object) =
            names.fold(first, |object, name| object.and_then(|object| object["properties"].get_mut(name)))
        {
            set(object, "dynamic", false.into());
        }
    }
    let mut templates: Vec<Value> = open
        .iter()
        .map(|path| {
            let name = path.trim_end_matches(".*").replace('.', "_");
            json!({ name: { "path_match": path, "match_mapping_type": "string", "mapping": keyword(None) } })
        })
        .collect();
    templates.extend(whole.iter().map(|path| {
        let mapping = field(product, path, "flattened", None);
        let name = format!("{}_objects", path.trim_end_matches(".*").replace('.', "_"));
        json!({ name: { "path_match": path, "match_mapping_type": "object", "mapping": mapping } })
    }));
    // Elasticsearch's own ecs@mappings comes later and knows better; the first template that matches wins.
    if product == For::OpenSearch {
        templates.push(json!({ "strings": { "match_mapping_type": "string", "mapping": keyword(None) } }));
    }
    json!({ "date_detection": false, "dynamic_templates": templates, "properties": properties })
}

/// The names that one with `<n>` in it stands for.
fn numbered(name: &str) -> Vec<String> {
    let parts = name.split_once('<').and_then(|(before, rest)| {
        let (most, after) = rest.split_once('>')?;
        Some((before, most.parse::<u32>().ok()?, after))
    });
    match parts {
        Some((before, most, after)) => {
            (0..most).flat_map(|at| numbered(&format!("{before}{at}{after}"))).collect()
        }
        None => vec![name.to_owned()],
    }
}

fn text_type(product: For) -> &'static str {
    match product {
        For::Elasticsearch | For::Serverless => "match_only_text",
        For::OpenSearch => "text",
    }
}

fn keyword(ignore_above: Option<u64>) -> Value {
    json!({ "type": "keyword", "ignore_above": ignore_above.unwrap_or(1_024).min(MOST_IGNORE_ABOVE) })
}

fn field(product: For, name: &str, kind: &str, ignore_above: Option<u64>) -> Value {
    match (kind, product) {
        ("keyword", _) => keyword(ignore_above),
        ("wildcard", For::OpenSearch) => keyword(Some(MOST_IGNORE_ABOVE)),
        ("match_only_text", _) => json!({ "type": text_type(product) }),
        ("unindexed", _) => json!({ "type": "keyword", "index": false, "doc_values": false }),
        ("flattened", For::Elasticsearch | For::Serverless) => {
            json!({ "type": "flattened", "ignore_above": 1_024 })
        }
        ("flattened", For::OpenSearch) => json!({ "type": "flat_object" }),
        // OpenSearch wants the value in the mapping; one template serves all namespaces.
        ("constant_keyword", For::OpenSearch) => keyword(None),
        ("constant_keyword", _) if name == "data_stream.type" => {
            json!({ "type": "constant_keyword", "value": "logs" })
        }
        // The time of a document is what a data stream is ordered by: a malformed one is an error.
        ("date", _) if name == "@timestamp" => json!({ "type": "date", "ignore_malformed": false }),
        (kind, _) => json!({ "type": kind }),
    }
}

/// Puts a mapping at a dotted name, making the objects on the way.
fn put(properties: &mut Map<String, Value>, name: &str, mapping: Value) {
    match name.split_once('.') {
        None => {
            properties.insert(name.to_owned(), mapping);
        }
        Some((first, rest)) => {
            let object = properties.entry(first).or_insert_with(|| json!({ "properties": {} }));
            if let Some(Value::Object(inner)) = object.get_mut("properties") {
                put(inner, rest, mapping);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every object below a value, with the names on the way.
    fn walk(value: &Value, seen: &mut dyn FnMut(&Map<String, Value>)) {
        match value {
            Value::Object(object) => {
                seen(object);
                object.values().for_each(|inner| walk(inner, seen));
            }
            Value::Array(array) => array.iter().for_each(|inner| walk(inner, seen)),
            _ => {}
        }
    }

    fn types(product: For) -> BTreeSet<String> {
        let mut types = BTreeSet::new();
        for asset in assets(product).iter().filter(|asset| !asset.policy) {
            walk(&asset.body, &mut |object| {
                if let Some(Value::String(kind)) = object.get("type") {
                    types.insert(kind.clone());
                }
            });
        }
        types
    }

    /// thread: elastic/elasticsearch#82086
    #[test]
    fn c46_no_ignore_above_is_over_8191() {
        let mut count = 0;
        for (name, text) in all() {
            walk(&serde_json::from_str(&text).unwrap(), &mut |object| {
                if let Some(above) = object.get("ignore_above") {
                    count += 1;
                    assert!(
                        above.as_u64().is_some_and(|above| above <= MOST_IGNORE_ABOVE),
                        "{name}: {above}"
                    );
                }
                let searched = object.get("index") != Some(&json!(false));
                if object.get("type") == Some(&json!("keyword")) && searched {
                    assert!(object.contains_key("ignore_above"), "{name}: a keyword without a bound");
                }
            });
        }
        assert!(count > 500, "{count}");
    }

    #[test]
    fn field_lists_are_sound() {
        for list in VENDORS.iter().map(|vendor| vendor.fields).chain([ECS]) {
            let names: Vec<_> =
                list.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split(' ').next()).collect();
            let unique: BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len());
            for name in &names {
                assert!(
                    !names.iter().any(|other| other.starts_with(&format!("{name}."))),
                    "{name} is two things"
                );
            }
        }
        assert!(ECS.lines().count() < 700, "too near to the limit of total fields");
    }

    #[test]
    fn opensearch_gets_only_types_that_it_has() {
        let opensearch = types(For::OpenSearch);
        for kind in ["flattened", "constant_keyword", "wildcard", "match_only_text"] {
            assert!(!opensearch.contains(kind), "{kind}");
        }
        assert!(opensearch.contains("flat_object"));
        let elasticsearch = types(For::Elasticsearch);
        for kind in ["flattened", "constant_keyword", "wildcard", "match_only_text", "ip", "geo_point"] {
            assert!(elasticsearch.contains(kind), "{kind}");
        }
    }

    #[test]
    fn okta_is_typed_as_in_the_integration() {
        for (product, flattened) in [(For::Elasticsearch, "flattened"), (For::OpenSearch, "flat_object")] {
            let assets = assets(product);
            let okta = assets.iter().find(|a| a.path.ends_with("tidegate-okta@mappings")).unwrap();
            let kind = |path: &str| {
                let pointer = path.replace('.', "/properties/");
                okta.body.pointer(&format!("/template/mappings/properties/{pointer}/type")).cloned()
            };
            assert_eq!(kind("okta.debug_context.debug_data.flattened"), Some(json!(flattened)));
            assert_eq!(kind("okta.client.ip"), Some(json!("ip")));
            assert_eq!(kind("okta.security_context.is_proxy"), Some(json!("boolean")));
            assert_eq!(kind("okta.target.id"), Some(json!("keyword")));
            assert_eq!(kind("okta.debug_context.debug_data.risk"), None);
            let index = assets.iter().find(|a| a.path == "_index_template/tidegate-okta").unwrap();
            assert_eq!(index.body["data_stream"], json!({}));
        }
    }

    #[test]
    fn duo_and_google_are_typed_as_in_their_integrations() {
        for (product, open_map) in [(For::Elasticsearch, "flattened"), (For::OpenSearch, "flat_object")] {
            let assets = assets(product);
            let mapping = |path: &str| {
                let vendor = path.split('.').next().unwrap();
                let ending = format!("tidegate-{vendor}@mappings");
                let asset = assets.iter().find(|asset| asset.path.ends_with(&ending)).unwrap();
                let pointer = path.replace('.', "/properties/");
                let at = format!("/template/mappings/properties/{pointer}/type");
                asset.body.pointer(&at).and_then(Value::as_str).map(str::to_owned)
            };
            for (path, kind) in [
                ("cisco_duo.auth.access_device.ip", "ip"),
                ("cisco_duo.auth.access_device.port", "long"),
                ("cisco_duo.auth.access_device.is_password_set", "keyword"),
                ("cisco_duo.auth.access_device.security_agents", open_map),
                ("cisco_duo.activity.target.details", open_map),
                ("cisco_duo.admin.flattened", open_map),
                ("cisco_duo.telephony_v2.credits", "integer"),
                ("cisco_duo.trust_monitor.priority_event", "boolean"),
                ("cisco_duo.trust_monitor.unmapped", open_map),
                ("google_workspace.login.is_suspicious", "boolean"),
                ("google_workspace.login.timestamp", "long"),
                ("google_workspace.token.scope.data", open_map),
                ("google_workspace.token.scope.value", "keyword"),
                ("google_workspace.group_enterprise.membership_expiry", "date"),
                ("google_workspace.admin.setting.metadata.rule.type", "keyword"),
                ("google_workspace.gmail", open_map),
                ("google_workspace.unmapped", open_map),
            ] {
                assert_eq!(mapping(path).as_deref(), Some(kind), "{path}");
            }
            let google =
                assets.iter().find(|asset| asset.path.ends_with("google_workspace@mappings")).unwrap();
            let templates = google.body["template"]["mappings"]["dynamic_templates"].to_string();
            assert!(templates.contains("\"match_mapping_type\":\"object\""), "{templates}");
        }
    }

    #[test]
    fn azure_is_typed_as_in_the_integration_and_nothing_else_is_indexed() {
        for (product, flattened) in [(For::Elasticsearch, "flattened"), (For::OpenSearch, "flat_object")] {
            let assets = assets(product);
            let azure = assets.iter().find(|a| a.path.ends_with("tidegate-azure@mappings")).unwrap();
            let kind = |path: &str| {
                let pointer = path.replace('.', "/properties/");
                azure.body.pointer(&format!("/template/mappings/properties/{pointer}/type")).cloned()
            };
            let properties = "azure.signinlogs.properties";
            for (path, want) in [
                ("azure.tenant_id", "keyword"),
                ("azure.signinlogs.caller_ip_address", "ip"),
                (&format!("{properties}.status.error_code"), "long"),
                (&format!("{properties}.is_interactive"), "boolean"),
                (&format!("{properties}.created_at"), "date"),
                (&format!("{properties}.authentication_details"), flattened),
                ("azure.identityprotection.properties.additional_info", flattened),
                ("azure.provisioning.properties.duration_ms", "long"),
                ("geo.location", "geo_point"),
            ] {
                assert_eq!(kind(path), Some(json!(want)), "{path}");
            }
            // A mapping cannot grow by what a record brings, and has room for what the integration's users ask.
            assert_eq!(azure.body["template"]["mappings"]["properties"]["azure"]["dynamic"], json!(false));
            let targets = "azure.auditlogs.properties.target_resources";
            for (target, property, there) in [(0, 0, true), (9, 19, true), (10, 0, false), (0, 20, false)] {
                let path = format!("{targets}.{target}.modified_properties.{property}.new_value");
                assert_eq!(kind(&path).is_some(), there, "{path}");
            }
            let mut fields = 0;
            for name in ["tidegate-azure@mappings", "tidegate-ecs@mappings"] {
                let asset = assets.iter().find(|a| a.path.ends_with(name)).unwrap();
                walk(&asset.body, &mut |object| {
                    fields += usize::from(object.contains_key("type") || object.contains_key("properties"));
                });
            }
            assert!(fields < 1_950, "{fields}: too near to the limit of total fields");
        }
    }

    #[test]
    fn retention_is_in_force_once_it_is_installed_and_serverless_has_no_policy() {
        for (product, policies) in [
            (For::Elasticsearch, vec!["_ilm/policy/tidegate-logs", "_component_template/tidegate@lifecycle"]),
            (For::Serverless, vec!["_component_template/tidegate@lifecycle"]),
            (For::OpenSearch, vec!["_plugins/_ism/policies/tidegate-logs"]),
        ] {
            let assets = assets(product);
            let paths: Vec<_> = assets.iter().filter(|a| a.policy).map(|a| a.path.as_str()).collect();
            assert_eq!(paths, policies);
            for index in assets.iter().filter(|asset| asset.path.starts_with("_index_template/")) {
                let parts = index.body["composed_of"].as_array().unwrap();
                let place = |name: &str| parts.iter().position(|part| part == name);
                if product == For::OpenSearch {
                    let patterns =
                        &assets.last().unwrap().body["policy"]["ism_template"][0]["index_patterns"];
                    let ours = index.body["index_patterns"].as_array().unwrap();
                    let all = patterns.as_array().unwrap();
                    assert!(ours.iter().all(|pattern| all.contains(pattern)), "{}", index.path);
                } else {
                    let order = [place("logs@settings"), place(LIFECYCLE), place("logs@custom")];
                    assert!(order.is_sorted() && order[0].is_some(), "over Elastic's, below the operator's");
                }
            }
        }
        let printed: Vec<String> = all().into_iter().map(|(name, _)| name).collect();
        let serverless: Vec<_> = printed.iter().filter(|name| name.starts_with("serverless/")).collect();
        assert_eq!(
            serverless,
            ["serverless/_component_template/tidegate@lifecycle"],
            "the rest is elasticsearch/"
        );
    }

    #[test]
    fn components_come_before_the_templates_that_need_them() {
        for product in [For::Elasticsearch, For::Serverless, For::OpenSearch] {
            let mut there = Vec::new();
            for asset in assets(product) {
                let missing = asset.body["ignore_missing_component_templates"].clone();
                for part in asset.body["composed_of"].as_array().into_iter().flatten() {
                    let known = there.contains(&format!("_component_template/{}", part.as_str().unwrap()));
                    let may_miss = missing.as_array().is_some_and(|missing| missing.contains(part));
                    assert!(known || may_miss, "{part} before {}", asset.path);
                }
                assert!(asset.path.contains("/tidegate"), "{}", asset.path);
                there.push(asset.path);
            }
        }
    }
}
