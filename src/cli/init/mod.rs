//! `tidegate init`: a first pipeline to edit, with the next steps in its comments.

use crate::config::ConfigError;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a first pipeline to edit, with the next steps in its comments.
///
/// The file loads as it is; its comments say what to change, what the vendor needs, and what to run next.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// For which connector
    #[arg(value_enum, value_name = "CONNECTOR", required_unless_present = "connector")]
    pub what: Option<Template>,
    /// The same
    #[arg(long, value_enum, value_name = "CONNECTOR", conflicts_with = "what")]
    pub connector: Option<Template>,
    /// The tenant's name in the configuration: a small letter, then small letters, digits and underscores
    #[arg(long, default_value = "acme")]
    pub tenant: String,
    /// Whose logs: of Okta and Duo the address, of Entra the directory, of Google Workspace the administrator as whom it reads
    #[arg(long, alias = "url")]
    pub organisation: Option<String>,
    /// The file to write; without it, standard output. A file that exists is never overwritten
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The connectors that there is a pipeline for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Template {
    /// Okta's System Log
    Okta,
    /// Sign-ins, audits and risk detections of Microsoft Entra ID
    Entra,
    /// The logs of a Duo account
    Duo,
    /// The audit logs of Google Workspace
    GoogleWorkspace,
}

impl Template {
    /// What it is called, an example of an organisation, and what the connector has to say: steps, an empty line, its table.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Okta => ("Okta's System Log", "https://acme.okta.com", include_str!("okta.toml")),
            Self::Entra => ("Microsoft Entra ID", "contoso.onmicrosoft.com", include_str!("entra.toml")),
            Self::Duo => ("Duo", "https://api-1a2b3c4d.duosecurity.com", include_str!("duo.toml")),
            Self::GoogleWorkspace => {
                ("Google Workspace", "log-reader@example.com", include_str!("google_workspace.toml"))
            }
        }
    }

    /// The organisation as it stands in the file; `None`: it would not load.
    fn organisation(self, text: &str) -> Option<String> {
        let plain = |more: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || more.contains(c);
            !text.is_empty() && text.chars().all(fits)
        };
        match self {
            Self::Okta | Self::Duo => url::Url::parse(text)
                .ok()
                .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
                .filter(|url| url.username().is_empty() && url.password().is_none())
                .map(|url| url.origin().ascii_serialization()),
            Self::Entra => plain("").then(|| text.to_owned()),
            Self::GoogleWorkspace => {
                (plain("@_+") && text.matches('@').count() == 1).then(|| text.to_owned())
            }
        }
    }
}

/// Why `init` failed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// An argument is wrong: exit code 20.
    #[error("{0}")]
    Argument(ConfigError),
    /// The file exists, or cannot be written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why, and what to do.
        why: String,
    },
    /// Standard output could not be written.
    #[error("the output cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Runs it. `out` gets the pipeline, or with `--output` a line that says what was written.
///
/// # Errors
/// See [`InitError`].
pub fn init(args: &InitArgs, out: &mut dyn Write) -> Result<(), InitError> {
    let text = pipeline(args)?;
    let Some(path) = &args.output else {
        out.write_all(text.as_bytes())?;
        return Ok(());
    };
    write_new(path, &text)?;
    writeln!(out, "wrote {path}; next: tidegate check --config {path}", path = path.display())?;
    Ok(())
}

/// The text of the pipeline.
fn pipeline(args: &InitArgs) -> Result<String, InitError> {
    let argument = |key: &str, message: String| {
        let key = key.to_owned();
        InitError::Argument(ConfigError { origin: None, tenant: None, part: None, key, message })
    };
    if !crate::config::is_name(&args.tenant) {
        let message = "accepted: a small letter, then small letters, digits and underscores";
        return Err(argument("--tenant", message.to_owned()));
    }
    let template = args.what.or(args.connector).unwrap_or(Template::Okta);
    let (title, example, own) = template.parts();
    let organisation = template
        .organisation(args.organisation.as_deref().unwrap_or(example))
        .ok_or_else(|| argument("--organisation", format!("accepted: what is like {example}")))?;
    let (steps, source) = own.split_once("\n\n").unwrap_or((own, ""));
    Ok(include_str!("pipeline.toml")
        .replace("@STEPS@", steps)
        .replace("@SOURCE@", source.trim_end())
        .replace("@TITLE@", title)
        .replace("@TENANT@", &args.tenant)
        .replace("@VARIABLE@", &args.tenant.to_ascii_uppercase())
        .replace("@ORGANISATION@", &organisation))
}

fn write_new(path: &Path, text: &str) -> Result<(), InitError> {
    let failed = |why: String| InitError::File { path: path.display().to_string(), why };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            failed("the file exists and is left as it is; choose another name with --output".to_owned())
        } else {
            failed(format!("cannot be made: {error}"))
        }
    })?;
    file.write_all(text.as_bytes()).map_err(|error| failed(format!("cannot be written: {error}")))
}
