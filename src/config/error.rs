//! What is wrong with a configuration, said so that it can be mended without reading code.
//!
//! An error names the file and line (or the environment variable), the tenant, the source or sink, the key, and the
//! accepted values. It never repeats a value that stands where a secret belongs.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigError {
    /// `file:line`, `file`, or `variable NAME`; `None` where the key is missing everywhere.
    pub origin: Option<String>,
    /// The tenant's key.
    pub tenant: Option<String>,
    /// `source NAME`, `sink NAME` or `template NAME`.
    pub part: Option<String>,
    /// Dotted, below tenant and part; empty where the whole file or table is meant.
    pub key: String,
    /// What is wrong and which values are accepted.
    pub message: String,
}

impl ConfigError {
    /// An error about the value at this place of the whole tree, such as `tenant.acme.source.okta.url`.
    pub(super) fn at(path: &[&str], origin: Option<String>, message: impl Into<String>) -> Self {
        let (tenant, rest) = match path {
            ["tenant", tenant, rest @ ..] => (Some((*tenant).to_owned()), rest),
            _ => (None, path),
        };
        let (part, rest) = match rest {
            ["template", name, kind @ ("source" | "sink"), part, rest @ ..] => {
                (Some(format!("template {name}, {kind} {part}")), rest)
            }
            [kind @ ("source" | "sink" | "template"), name, rest @ ..] => {
                (Some(format!("{kind} {name}")), rest)
            }
            _ => (None, rest),
        };
        Self { origin, tenant, part, key: rest.join("."), message: message.into() }
    }

    /// An error about a file as a whole, or a place in it.
    pub(super) fn file(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self::at(&[], Some(origin.into()), message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        match (&self.tenant, &self.part) {
            (Some(tenant), Some(part)) => write!(f, "tenant {tenant}, {part}: ")?,
            (Some(tenant), None) => write!(f, "tenant {tenant}: ")?,
            (None, Some(part)) => write!(f, "{part}: ")?,
            (None, None) => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong; never empty. One line an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// `unknown key "pol"; did you mean "poll"? accepted: …`
pub(super) fn unknown(what: &str, name: &str, accepted: &[&str]) -> String {
    let near = accepted
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    let hint = near.map(|(_, known)| format!("; did you mean {known:?}?")).unwrap_or_else(|| ";".to_owned());
    match accepted {
        [] => format!("unknown {what} {name:?}; nothing is accepted here"),
        _ => format!("unknown {what} {name:?}{hint} accepted: {}", accepted.join(", ")),
    }
}
