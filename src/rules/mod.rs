//! Which published detections can match our ECS documents: every field that they query is one that documents have, or
//! there is a reason why not.
//!
//! `prebuilt.ndjson` is an extract of what Elastic's prebuilt rules of August 2026 query (github.com/elastic/detection-rules),
//! for the logs that we collect: names of fields, and values where they decide which events a rule looks at.

use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_core::schema::paths;
use tidegate_core::source::Connector;

const PREBUILT: &str = include_str!("prebuilt.ndjson");

/// A published detection.
#[derive(Debug, Deserialize)]
pub struct Rule {
    /// Whose: the namespace of its fields.
    pub integration: String,
    /// Its name.
    pub name: String,
    /// How bad what it finds is.
    pub severity: String,
    /// How it works: `query`, `threshold`, `eql`, `esql`, `new_terms`, `machine_learning`.
    pub kind: String,
    /// What it queries; values only where they say which events it looks at.
    pub fields: BTreeMap<String, Vec<String>>,
}

/// What becomes of a rule.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Documents have every field.
    Can,
    /// With databases of addresses: these fields.
    WithGeoIp(Vec<String>),
    /// It cannot, for these reasons: a field and why documents do not have it.
    Cannot(Vec<(String, &'static str)>),
}

/// Fields of ECS itself that rules query and that documents of an integration have. `tests/map.rs` finds each of them in
/// a document.
pub const CORE: &[(&str, &[&str])] = &[
    (
        "*",
        &[
            "@timestamp",
            "data_stream.dataset",
            "data_stream.namespace",
            "event.action",
            "event.category",
            "event.dataset",
            "event.id",
            "event.module",
            "event.outcome",
            "source.ip",
            "tags",
            "user.email",
            "user.id",
            "user.name",
        ],
    ),
    (
        "okta",
        &[
            "client.geo.city_name",
            "client.geo.country_name",
            "client.ip",
            "client.user.name",
            "source.as.number",
            "source.as.organization.name",
            "source.geo.city_name",
            "source.geo.country_name",
            "user_agent.original",
            "user_agent.os.name",
        ],
    ),
    (
        "azure",
        &[
            "message",
            "source.address",
            "source.as.number",
            "source.geo.city_name",
            "source.geo.location",
            "source.geo.region_name",
            "user_agent.name",
            "user_agent.original",
            "user_agent.os.name",
            "user_agent.version",
        ],
    ),
    (
        "google_workspace",
        &[
            "event.provider",
            "file.extension",
            "host.os.version",
            "organization.id",
            "source.as.number",
            "source.user.email",
            "user.domain",
            "user.target.domain",
            "user.target.group.domain",
        ],
    ),
];

/// Why documents do not have a field; the first name that fits decides.
const REASONS: &[(&str, &str)] = &[
    ("azure.activitylogs", "of Azure's activity log, which is no log of identities"),
    ("azure.graphactivitylogs", "of Azure's Graph activity log, which Graph's API does not offer"),
    ("azure.aadgraphactivitylogs", "of Azure's Graph activity log, which Graph's API does not offer"),
    ("azure.platformlogs", "of Azure's platform logs, which are no logs of identities"),
    ("o365", "of Microsoft 365's audit log: the rule joins it with Entra's"),
    ("cloud", "logs of identities have no such thing"),
    ("host", "of another product's events: the rule joins them with these"),
    ("process", "of another product's events: the rule joins them with these"),
    ("url", "of Azure's Graph activity log, which Graph's API does not offer"),
    ("", "the vendor's API does not have it"),
];

/// A rule that Elastic's own jobs decide.
const MACHINE_LEARNING: &str =
    "a machine learning job of Elastic's decides, on what it learns of these and other documents";

/// All of them.
#[must_use]
pub fn all() -> Vec<Rule> {
    // The file is our own, and a test reads it.
    PREBUILT.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What documents of these connectors have.
pub struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    /// By namespace, as the connectors' tables say it.
    #[must_use]
    pub fn of(connectors: &[&'static dyn Connector]) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for connector in connectors {
            let Some(stream) = connector.streams().first() else { continue };
            let namespace = stream.names.namespace;
            let names = fields.entry(namespace.to_owned()).or_default();
            names.extend(connector.tables().into_iter().flat_map(|table| paths::names(table, namespace)));
            let core = CORE.iter().filter(|(of, _)| *of == "*" || *of == namespace);
            names.extend(core.flat_map(|(_, names)| *names).map(|name| (*name).to_owned()));
        }
        Self(fields)
    }

    /// Whether a rule can match documents.
    #[must_use]
    pub fn verdict(&self, rule: &Rule) -> Verdict {
        if rule.fields.is_empty() {
            return Verdict::Cannot(vec![(rule.kind.clone(), MACHINE_LEARNING)]);
        }
        let names = self.0.get(&rule.integration).map(Vec::as_slice).unwrap_or_default();
        let missing: Vec<&String> = rule.fields.keys().filter(|field| !paths::has(names, field)).collect();
        if missing.is_empty() {
            return Verdict::Can;
        }
        let placed = |field: &&String| field.starts_with("source.geo.") || field.starts_with("source.as.");
        if missing.iter().all(placed) {
            return Verdict::WithGeoIp(missing.into_iter().cloned().collect());
        }
        Verdict::Cannot(
            missing
                .into_iter()
                .filter(|field| !placed(field))
                .map(|field| (field.clone(), reason(field)))
                .collect(),
        )
    }
}

fn reason(field: &str) -> &'static str {
    let under = |above: &str| {
        above.is_empty()
            || field.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    REASONS.iter().find(|(above, _)| under(above)).map_or("", |(_, why)| why)
}

impl Rule {
    /// Whether a document of this data set and action is one that the rule looks at.
    #[must_use]
    pub fn looks_at(&self, namespace: &str, dataset: &str, action: &str) -> bool {
        let names = |field: &str, value: &str| {
            self.fields
                .get(field)
                .is_none_or(|values| values.is_empty() || values.iter().any(|wanted| wildcard(wanted, value)))
        };
        self.integration == namespace
            && !self.fields.is_empty()
            && names("data_stream.dataset", dataset)
            && names("event.dataset", dataset)
            && names("event.action", action)
    }
}

/// Equality without case, as Kibana's languages have it in `:`; `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut open = false;
    for piece in pieces {
        open = true;
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
        if piece.is_empty() {
            rest = "";
        }
    }
    rest.is_empty() || (open && pattern.ends_with('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_extract_is_a_rule_of_a_log_that_we_collect() {
        let rules = all();
        assert_eq!(rules.len(), PREBUILT.lines().count());
        for rule in &rules {
            assert!(["okta", "azure", "google_workspace"].contains(&rule.integration.as_str()), "{rule:?}");
        }
    }

    #[test]
    fn a_star_stands_for_anything_and_case_for_nothing() {
        for (pattern, text, fits) in [
            ("user.session.start", "user.session.start", true),
            ("Sign-in activity", "sign-in Activity", true),
            ("policy.*", "policy.rule.update", true),
            ("*consent*", "Consent to application", true),
            ("add*role", "Add member to role", true),
            ("add*role", "Add member to role completed", false),
            ("user", "user.session", false),
            ("", "user", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} {text}");
        }
    }
}
