//! The keys that only a connector or a sink kind knows: checked against its JSON Schema as far as names and secrets
//! go. Types and meanings are its own affair (`open`).

use super::error::{ConfigError, unknown};
use super::streams;
use super::tree::{Kind, Node, Origin};
use super::values::is_reference;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tidegate_core::source::Connector;

/// Names that hold a secret in every product, should a schema forget to say so. Also as the end of a name.
const SECRET_NAMES: &[&str] = &[
    "api_key",
    "authorization",
    "bearer",
    "client_secret",
    "credentials",
    "passphrase",
    "password",
    "private_key",
    "secret",
    "secret_key",
    "token",
];

/// A JSON Schema and the root that its references point into.
#[derive(Clone, Copy)]
struct Rules<'s> {
    root: &'s Json,
}

/// Refuses unknown keys, literal secrets and URLs with credentials. `common` are the keys that belong to every source
/// or sink, for the list of accepted ones.
pub(super) fn check(
    schema: &Json,
    common: &[String],
    path: &[&str],
    own: &Node,
    errors: &mut Vec<ConfigError>,
) {
    let mut path = path.to_vec();
    Rules { root: schema }.table(&[schema], common, &mut path, own, errors);
}

/// Refuses names of connectors and streams that do not exist, in the tables of which the schema says that they are by
/// connector and stream: a slip would send nothing where it was meant to go, without a word.
pub(super) fn check_names(
    schema: &Json,
    connectors: &[&'static dyn Connector],
    path: &[&str],
    own: &Node,
    errors: &mut Vec<ConfigError>,
) {
    let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    let by_stream =
        properties.filter(|(_, property)| property.get("x-tidegate") == Some(&json!("by_stream")));
    for (key, _) in by_stream {
        let mut wrong = |below: &[&str], node: &Node, message: String| {
            let path: Vec<&str> =
                path.iter().copied().chain([key.as_str()]).chain(below.iter().copied()).collect();
            errors.push(ConfigError::at(&path, origin(&node.origin), message));
        };
        for (name, node) in own.child(key).children() {
            let Some(connector) = connectors.iter().find(|connector| connector.name() == name) else {
                let names: Vec<&str> = connectors.iter().map(|connector| connector.name()).collect();
                wrong(&[name], node, unknown("connector", name, &names));
                continue;
            };
            for (stream, node) in node.children() {
                if streams::by_name(*connector, stream).is_none() {
                    wrong(&[name, stream], node, streams::no_stream(*connector, stream));
                }
            }
        }
    }
}

impl<'s> Rules<'s> {
    fn table<'n>(
        self,
        schemas: &[&'s Json],
        common: &[String],
        path: &mut Vec<&'n str>,
        node: &'n Node,
        errors: &mut Vec<ConfigError>,
    ) {
        let mut known: BTreeMap<&str, Vec<&Json>> = BTreeMap::new();
        let mut open = false;
        for schema in schemas {
            self.properties(schema, &mut known, &mut open, 0);
        }
        let closed = !open && !known.is_empty();
        for (key, child) in node.children() {
            path.push(key);
            let below = known.get(key);
            if below.is_none() && closed {
                let mut accepted: Vec<&str> = common.iter().map(String::as_str).collect();
                accepted.extend(known.keys());
                accepted.sort_unstable();
                let message = unknown("key", key, &accepted);
                errors.push(ConfigError::at(path, origin(&child.origin), message));
            }
            let below = below.map(Vec::as_slice).unwrap_or_default();
            match &child.kind {
                Kind::Table(_) => self.table(below, &[], path, child, errors),
                Kind::Leaf(value) => {
                    let secret = is_secret_name(key) || below.iter().any(|schema| self.secret(schema, 0));
                    if let Err(message) = leaf(value, secret) {
                        errors.push(ConfigError::at(path, origin(&child.origin), message));
                    }
                }
            }
            path.pop();
        }
    }

    /// All properties that any branch of the schema knows. `open`: it takes any other name, too.
    fn properties(
        self,
        schema: &'s Json,
        known: &mut BTreeMap<&'s str, Vec<&'s Json>>,
        open: &mut bool,
        depth: usize,
    ) {
        self.each(schema, depth, &mut |schema| {
            for (key, value) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
                known.entry(key).or_default().push(value);
            }
            *open |= matches!(schema.get("additionalProperties"), Some(Json::Object(_) | Json::Bool(true)));
        });
    }

    fn secret(self, schema: &'s Json, depth: usize) -> bool {
        let mut secret = false;
        self.each(schema, depth, &mut |schema| {
            let pattern = schema.get("pattern").and_then(Json::as_str);
            secret |= pattern.is_some_and(|pattern| pattern.starts_with("^(env:"));
            secret |= schema.get("writeOnly") == Some(&Json::Bool(true));
        });
        secret
    }

    /// Visits the schema, what it refers to, and its branches.
    fn each(self, schema: &'s Json, depth: usize, visit: &mut dyn FnMut(&'s Json)) {
        // A schema may refer to itself.
        if depth > 16 {
            return;
        }
        visit(schema);
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|to| to.strip_prefix('#'));
        if let Some(target) = target.and_then(|pointer| self.root.pointer(pointer)) {
            self.each(target, depth + 1, visit);
        }
        for branches in ["allOf", "anyOf", "oneOf"] {
            for branch in schema.get(branches).and_then(Json::as_array).into_iter().flatten() {
                self.each(branch, depth + 1, visit);
            }
        }
    }
}

fn origin(origin: &Origin) -> Option<String> {
    Some(origin.to_string())
}

pub(super) fn is_secret_name(key: &str) -> bool {
    SECRET_NAMES
        .iter()
        .any(|name| key.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('_')))
}

/// What is refused here is never repeated.
fn leaf(value: &Json, secret: bool) -> Result<(), String> {
    match value {
        Json::String(text) if secret && !is_reference(text) => {
            Err("a literal secret is refused; accepted: \"env:NAME\", \"file:PATH\"".to_owned())
        }
        Json::String(text) if has_credentials(text) => {
            Err("a URL with user and password is refused, since they are \
                                                            secrets; use the keys for credentials"
                .to_owned())
        }
        Json::String(_) => Ok(()),
        Json::Array(values) => values.iter().try_for_each(|value| leaf(value, secret)),
        _ if secret => Err("only a reference is accepted here: \"env:NAME\", \"file:PATH\"".to_owned()),
        _ => Ok(()),
    }
}

fn has_credentials(text: &str) -> bool {
    let Some((_, after)) = text.split_once("://") else { return false };
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_whole_words() {
        for name in ["token", "api_key", "es_api_key", "client_secret", "password"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["token_url", "keyspace", "tokens", "namespace", "private_key_id"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn credentials_are_found_only_where_a_url_has_them() {
        assert!(has_credentials("https://elastic:pw@es.example.com:9200/x"));
        for text in ["https://es.example.com/a@b", "user@example.com", "https://es.example.com?x=a@b"] {
            assert!(!has_credentials(text), "{text}");
        }
    }
}
