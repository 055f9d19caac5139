//! What the files and the environment say, as one tree that remembers where each value came from.
//!
//! Files are cut by `toml` (which knows the lines), put on top of each other by `config` (environment over file), and
//! read back. Two files never set the same key: that is found here, before anything is merged.

use super::error::ConfigError;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Prefix of the environment variables that set keys; `__` separates the levels.
pub(super) const PREFIX: &str = "TIDEGATE__";

/// More levels than any key has. Bounds what a variable's name can make us nest.
const DEEPEST: usize = 16;

/// Where a value came from: `pipeline.toml:12`, `variable TIDEGATE__…`, `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin(Arc<str>);

impl Origin {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) kind: Kind,
}

/// A table, or anything else.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Leaf(Json),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn table(origin: Origin) -> Self {
        Self { origin, kind: Kind::Table(BTreeMap::new()) }
    }

    /// The children of a table; nothing for anything else.
    pub(super) fn children(&self) -> impl Iterator<Item = (&str, &Node)> {
        let table = match &self.kind {
            Kind::Table(table) => Some(table),
            Kind::Leaf(_) => None,
        };
        table.into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Table(table) => table.get(key),
            Kind::Leaf(_) => None,
        }
    }

    /// Where the value at this path came from; where it is missing, the nearest table around it.
    pub(super) fn origin_of(&self, path: &[&str]) -> &Origin {
        let mut node = self;
        for key in path {
            match node.get(key) {
                Some(child) => node = child,
                None => break,
            }
        }
        &node.origin
    }

    /// The child table of this name, or an empty one that stands where this one does.
    pub(super) fn child(&self, key: &str) -> Node {
        match self.get(key) {
            Some(node @ Node { kind: Kind::Table(_), .. }) => node.clone(),
            _ => Node::table(self.origin.clone()),
        }
    }

    pub(super) fn insert(&mut self, key: &str, node: Node) {
        if let Kind::Table(table) = &mut self.kind {
            table.insert(key.to_owned(), node);
        }
    }

    /// Puts `over` on top: tables key by key, anything else replaces.
    pub(super) fn overlay(&mut self, over: Node) {
        let Node { origin, kind } = over;
        self.origin = origin;
        match (&mut self.kind, kind) {
            (Kind::Table(base), Kind::Table(over)) => {
                for (key, node) in over {
                    match base.entry(key) {
                        Entry::Occupied(mut below) => below.get_mut().overlay(node),
                        Entry::Vacant(free) => {
                            free.insert(node);
                        }
                    }
                }
            }
            (base, kind) => *base = kind,
        }
    }

    /// The same values, each origin followed by a remark: `pipeline.toml:30 (template standard)`.
    pub(super) fn remarked(&self, remark: &str) -> Self {
        let kind = match &self.kind {
            Kind::Leaf(value) => Kind::Leaf(value.clone()),
            Kind::Table(table) => {
                Kind::Table(table.iter().map(|(key, node)| (key.clone(), node.remarked(remark))).collect())
            }
        };
        Self { origin: Origin::new(format!("{} ({remark})", self.origin)), kind }
    }

    /// The same values, all from one origin.
    pub(super) fn renamed(&self, origin: &Origin) -> Self {
        let kind = match &self.kind {
            Kind::Leaf(value) => Kind::Leaf(value.clone()),
            Kind::Table(table) => {
                Kind::Table(table.iter().map(|(key, node)| (key.clone(), node.renamed(origin))).collect())
            }
        };
        Self { origin: origin.clone(), kind }
    }

    pub(super) fn json(&self) -> Json {
        match &self.kind {
            Kind::Leaf(value) => value.clone(),
            Kind::Table(table) => {
                Json::Object(table.iter().map(|(key, node)| (key.clone(), node.json())).collect())
            }
        }
    }

    /// Calls `visit` with the path and the node of every value that is not a table.
    pub(super) fn leaves<'n>(&'n self, path: &mut Vec<&'n str>, visit: &mut dyn FnMut(&[&'n str], &'n Node)) {
        match &self.kind {
            Kind::Leaf(_) => visit(path, self),
            Kind::Table(table) => {
                for (key, node) in table {
                    path.push(key);
                    node.leaves(path, visit);
                    path.pop();
                }
            }
        }
    }
}

/// Cuts one file. `name` is how errors and `config show` call it.
pub(super) fn read_toml(name: &str, text: &str) -> Result<Node, Vec<ConfigError>> {
    let table = DeTable::parse(text).map_err(|error| {
        // The parser's own rendering quotes the line, and the line may hold a secret.
        let at =
            error.span().map_or_else(|| name.to_owned(), |span| format!("{name}:{}", line(text, span.start)));
        vec![ConfigError::file(at, format!("this is not TOML: {}", error.message()))]
    })?;
    let mut reader = Reader { name, text, path: Vec::new(), errors: Vec::new() };
    let node = reader.table(Origin::new(name), table.get_ref());
    if reader.errors.is_empty() { Ok(node) } else { Err(reader.errors) }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    path: Vec<String>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn table(&mut self, origin: Origin, table: &DeTable<'_>) -> Node {
        let mut children = BTreeMap::new();
        for (key, value) in table {
            let origin = Origin::new(format!("{}:{}", self.name, line(self.text, key.span().start)));
            let key = key.get_ref().as_ref();
            self.path.push(key.to_owned());
            // Anything else could not be written as a variable, and `config` would read it as a path.
            if key.is_empty()
                || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            {
                self.refuse::<Node>(&origin, "a key has only letters, digits and underscores");
            } else if let Some(node) = self.value(origin, value.get_ref()) {
                children.insert(key.to_owned(), node);
            }
            self.path.pop();
        }
        Node { origin, kind: Kind::Table(children) }
    }

    fn value(&mut self, origin: Origin, value: &DeValue<'_>) -> Option<Node> {
        if let DeValue::Table(table) = value {
            return Some(self.table(origin, table));
        }
        let leaf = self.leaf(&origin, value)?;
        Some(Node { origin, kind: Kind::Leaf(leaf) })
    }

    fn leaf(&mut self, origin: &Origin, value: &DeValue<'_>) -> Option<Json> {
        match value {
            DeValue::String(text) => Some(Json::String(text.as_ref().to_owned())),
            DeValue::Boolean(value) => Some(Json::Bool(*value)),
            DeValue::Datetime(time) => Some(Json::String(time.to_string())),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Some(Json::from(number)),
                Err(_) => self.refuse(origin, "this number is too large"),
            },
            DeValue::Float(number) => {
                match number.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
                    Some(number) => Some(Json::Number(number)),
                    None => self.refuse(origin, "this is not a finite number"),
                }
            }
            DeValue::Array(array) => {
                let mut values = Vec::with_capacity(array.len());
                for value in array.iter() {
                    values.push(self.leaf(origin, value.get_ref())?);
                }
                Some(Json::Array(values))
            }
            DeValue::Table(_) => self.refuse(
                origin,
                "an array holds no tables here, since those can be neither merged nor set by a variable; give each \
                 table a name instead, such as [sink.elastic]",
            ),
        }
    }

    fn refuse<T>(&mut self, origin: &Origin, message: &str) -> Option<T> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.errors.push(ConfigError::at(&path, Some(origin.to_string()), message));
        None
    }
}

/// The keys that the environment sets. `TIDEGATE__TENANT__ACME__SOURCE__OKTA__URL` is `tenant.acme.source.okta.url`.
///
/// A value that is TOML (`true`, `8`, `["a", "b"]`, `"quoted"`) is read as such, anything else as a string.
pub(super) fn read_env(
    variables: impl Iterator<Item = (String, String)>,
    errors: &mut Vec<ConfigError>,
) -> Node {
    let mut root = Node::table(Origin::new("the environment"));
    let mut sorted: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    sorted.sort();
    for (name, value) in sorted {
        let origin = format!("variable {name}");
        let lower = name.trim_start_matches(PREFIX).to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let plain = |key: &&str| {
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if path.len() > DEEPEST || !path.iter().all(plain) {
            let message = "no key has this name; write the levels with two underscores between them, such as \
                           TIDEGATE__TENANT__ACME__SOURCE__OKTA__URL";
            errors.push(ConfigError::file(origin, message));
            continue;
        }
        let place = match read_variable(&origin, &value) {
            Ok(node) => put(&mut root, &path, node),
            Err(error) => {
                errors.push(ConfigError::at(&path, Some(origin), error));
                continue;
            }
        };
        if let Err(other) = place {
            errors.push(ConfigError::at(&path, Some(origin), format!("{other} sets the same key")));
        }
    }
    root
}

fn read_variable(origin: &str, value: &str) -> Result<Node, String> {
    let leaf = |value| Node { origin: Origin::new(origin), kind: Kind::Leaf(value) };
    let Ok(parsed) = DeValue::parse(value.trim()) else {
        return Ok(leaf(Json::String(value.to_owned())));
    };
    if let DeValue::Datetime(_) = parsed.get_ref() {
        return Ok(leaf(Json::String(value.to_owned())));
    }
    let mut reader = Reader { name: origin, text: "", path: Vec::new(), errors: Vec::new() };
    let node = reader.value(Origin::new(origin), parsed.get_ref());
    match (node, reader.errors.into_iter().next()) {
        (_, Some(error)) => Err(error.message),
        (Some(node), None) => Ok(node.renamed(&Origin::new(origin))),
        (None, None) => Ok(leaf(Json::String(value.to_owned()))),
    }
}

/// Sets a node at a path of tables; refuses, naming the other, where something stands there already.
fn put(root: &mut Node, path: &[&str], node: Node) -> Result<(), Origin> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut at = root;
    for key in parents {
        let Kind::Table(table) = &mut at.kind else { return Err(at.origin.clone()) };
        at = table.entry((*key).to_owned()).or_insert_with(|| Node::table(node.origin.clone()));
    }
    let Kind::Table(table) = &mut at.kind else { return Err(at.origin.clone()) };
    match table.entry((*last).to_owned()) {
        Entry::Occupied(other) => Err(other.get().origin.clone()),
        Entry::Vacant(free) => {
            free.insert(node);
            Ok(())
        }
    }
}

/// Finds keys that both files set. A source or sink of a tenant stands in one file as a whole.
pub(super) fn conflicts(first: &Node, second: &Node, errors: &mut Vec<ConfigError>) {
    clash(first, second, &mut Vec::new(), errors);
}

fn clash<'n>(first: &'n Node, second: &'n Node, path: &mut Vec<&'n str>, errors: &mut Vec<ConfigError>) {
    let before = errors.len();
    if let (Kind::Table(ones), Kind::Table(others)) = (&first.kind, &second.kind) {
        for (key, one) in ones {
            if let Some(other) = others.get(key) {
                path.push(key);
                clash(one, other, path, errors);
                path.pop();
            }
        }
        let whole = matches!(path.as_slice(), ["tenant", _, "source" | "sink", _]);
        if !whole || errors.len() > before {
            return;
        }
    }
    let message =
        format!("{} has it too; a key stands in one file only, so remove one of the two", first.origin);
    errors.push(ConfigError::at(path, Some(second.origin.to_string()), message));
}

/// Puts the layers on top of each other, the last one uppermost.
pub(super) fn merge(layers: &[Node]) -> Result<Node, config::ConfigError> {
    let mut origins = BTreeMap::new();
    let mut builder = config::Config::builder();
    for layer in layers {
        table_origins(layer, &mut Vec::new(), &mut origins);
        builder = builder.add_source(Layer(layer.clone()));
    }
    let merged = config::Source::collect(&builder.build()?)?;
    let value = config::Value::new(None, config::ValueKind::Table(merged));
    Ok(from_config(value, &mut Vec::new(), &origins))
}

type TableOrigins = BTreeMap<Vec<String>, Origin>;

/// `config` keeps the origin of values, not of tables.
fn table_origins(node: &Node, path: &mut Vec<String>, origins: &mut TableOrigins) {
    if let Kind::Table(table) = &node.kind {
        origins.entry(path.clone()).or_insert_with(|| node.origin.clone());
        for (key, child) in table {
            path.push(key.clone());
            table_origins(child, path, origins);
            path.pop();
        }
    }
}

#[derive(Clone, Debug)]
struct Layer(Node);

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.children().map(|(key, node)| (key.to_owned(), to_config(node))).collect())
    }
}

fn to_config(node: &Node) -> config::Value {
    let kind = match &node.kind {
        Kind::Table(table) => {
            config::ValueKind::Table(table.iter().map(|(key, node)| (key.clone(), to_config(node))).collect())
        }
        Kind::Leaf(value) => leaf_to_config(value),
    };
    config::Value::new(Some(&node.origin.to_string()), kind)
}

fn leaf_to_config(value: &Json) -> config::ValueKind {
    match value {
        Json::Null | Json::Object(_) => config::ValueKind::Nil,
        Json::Bool(value) => config::ValueKind::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => config::ValueKind::I64(number),
            None => config::ValueKind::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => config::ValueKind::String(text.clone()),
        Json::Array(values) => config::ValueKind::Array(
            values.iter().map(|value| config::Value::new(None, leaf_to_config(value))).collect(),
        ),
    }
}

fn from_config(value: config::Value, path: &mut Vec<String>, origins: &TableOrigins) -> Node {
    let origin = value.origin().map(Origin::new);
    if let config::ValueKind::Table(table) = value.kind {
        let mut children = BTreeMap::new();
        for (key, value) in table {
            path.push(key.clone());
            children.insert(key, from_config(value, path, origins));
            path.pop();
        }
        let origin = origins.get(path).cloned().unwrap_or_else(|| Origin::new("default"));
        return Node { origin, kind: Kind::Table(children) };
    }
    Node {
        origin: origin.unwrap_or_else(|| Origin::new("default")),
        kind: Kind::Leaf(leaf_from_config(value.kind)),
    }
}

fn leaf_from_config(kind: config::ValueKind) -> Json {
    match kind {
        config::ValueKind::Boolean(value) => Json::Bool(value),
        config::ValueKind::I64(number) => Json::from(number),
        config::ValueKind::Float(number) => Json::from(number),
        config::ValueKind::String(text) => Json::String(text),
        config::ValueKind::Array(values) => {
            Json::Array(values.into_iter().map(|value| leaf_from_config(value.kind)).collect())
        }
        // None of the layers has any of these.
        config::ValueKind::Nil
        | config::ValueKind::I128(_)
        | config::ValueKind::U64(_)
        | config::ValueKind::U128(_)
        | config::ValueKind::Table(_) => Json::Null,
    }
}
