//! `config show`: a tenant as it was resolved, and where each value came from.

use super::resolve::without;
use super::tree::{Kind, Node};
use super::{Config, ConfigErrors};
use serde::Serialize;
use serde_json::Value as Json;

/// One value of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The table, such as `source.okta`.
    #[serde(skip)]
    pub table: String,
    /// The key in the table, dotted, such as `auth.token`.
    #[serde(skip)]
    pub name: String,
    /// Table and name.
    pub key: String,
    /// The value. Secrets are references.
    pub value: Json,
    /// `file:line`, `variable NAME` or `default`, with a remark where a template or `[defaults.source]` gave it.
    pub origin: String,
}

impl Config {
    /// Every value of a tenant, table by table.
    ///
    /// # Errors
    /// There is no such tenant.
    pub fn shown(&self, tenant: &str) -> Result<Vec<Shown>, ConfigErrors> {
        let node = &self.tenant(tenant)?.effective;
        let mut shown = Vec::new();
        for table in ["journal", "http"] {
            collect(table, &node.child(table), &mut shown);
        }
        for (name, node) in node.child("source").children() {
            let table = format!("source.{name}");
            collect(&table, &without(node, &["stream".to_owned()]), &mut shown);
            for (name, node) in node.child("stream").children() {
                collect(&format!("{table}.stream.{name}"), node, &mut shown);
            }
        }
        for (name, node) in node.child("sink").children() {
            collect(&format!("sink.{name}"), node, &mut shown);
        }
        Ok(shown)
    }
}

fn collect(table: &str, node: &Node, shown: &mut Vec<Shown>) {
    node.leaves(&mut Vec::new(), &mut |path, node| {
        if let Kind::Leaf(value) = &node.kind {
            let name = path.join(".");
            shown.push(Shown {
                table: table.to_owned(),
                key: format!("{table}.{name}"),
                name,
                value: value.clone(),
                origin: node.origin.to_string(),
            });
        }
    });
}
