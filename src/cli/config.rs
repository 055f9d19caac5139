//! `tidegate config`: what the configuration came to be, and its schema.

use crate::config::{Config, ConfigErrors, Shown, json_schema};
use serde_json::{Value as Json, json};
use std::io::{self, Write};
use tidegate_core::sink::SinkKind;
use tidegate_core::source::Connector;

/// Shows what the configuration came to for a tenant, or its JSON Schema for editors.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// `config show` and `config schema`.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Prints a tenant as it was resolved, and where each value came from
    ///
    /// The output is TOML, with the origin of each value (file and line, environment variable, template or default)
    /// behind it. Secrets are shown as the references that they are.
    Show {
        /// The tenant
        tenant: String,
        /// Print one JSON object instead
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of pipeline.toml, for editors
    ///
    /// It covers the keys of every connector and sink that this binary has. `#/$defs/tenant` is the schema of a
    /// tenant's own file.
    Schema,
}

/// Why `config` failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Wrong configuration, or no such tenant: exit code 20.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// `config show`: the tenant's values as TOML with their origins.
///
/// # Errors
/// See [`CommandError`].
pub fn show(config: &Config, tenant: &str, out: &mut dyn Write) -> Result<(), CommandError> {
    let values = config.shown(tenant)?;
    writeln!(out, "# tenant {tenant}, as resolved")?;
    for table in values.chunk_by(|one, other| one.table == other.table) {
        let Some(first) = table.first() else { continue };
        writeln!(out, "\n[{}]", first.table)?;
        let lines: Vec<(String, &Shown)> =
            table.iter().map(|shown| (format!("{} = {}", shown.name, toml(&shown.value)), shown)).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
        for (line, shown) in lines {
            writeln!(out, "{line:width$}  # {}", shown.origin)?;
        }
    }
    Ok(())
}

/// `config show --json`: `{"tenant", "template", "values": [{"key", "value", "origin"}]}`.
///
/// # Errors
/// See [`CommandError`].
pub fn show_json(config: &Config, tenant: &str, out: &mut dyn Write) -> Result<(), CommandError> {
    let values = config.shown(tenant)?;
    let template = &config.tenant(tenant)?.template;
    writeln!(out, "{}", json!({"tenant": tenant, "template": template, "values": values}))?;
    Ok(())
}

/// `config schema`.
///
/// # Errors
/// It could not be written.
pub fn schema(
    connectors: &[&'static dyn Connector],
    sinks: &[&'static dyn SinkKind],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{:#}", json_schema(connectors, sinks))
}

/// A value as TOML has it.
fn toml(value: &Json) -> String {
    match value {
        Json::String(text) => toml::Value::String(text.clone()).to_string(),
        Json::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
