//! `tidegate init`: a first pipeline to edit, with the next steps in its comments.

use crate::config::ConfigError;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a first pipeline to edit, with the next steps in its comments.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// For which connector.
    #[command(subcommand)]
    pub connector: InitConnector,
}

/// The connectors that `init` has a pipeline for.
#[derive(Debug, clap::Subcommand)]
pub enum InitConnector {
    /// Writes a pipeline for Okta's System Log
    ///
    /// The file loads as it is; its comments say what to change, how to make a token, and what to run next.
    Okta(InitOkta),
}

/// Arguments of `init okta`.
#[derive(Debug, clap::Args)]
pub struct InitOkta {
    /// The tenant's name in the configuration: a small letter, then small letters, digits and underscores
    #[arg(long, default_value = "acme")]
    pub tenant: String,
    /// The organisation's address
    #[arg(long, default_value = "https://acme.okta.com")]
    pub url: String,
    /// The file to write; without it, standard output. A file that exists is never overwritten
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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

/// `init okta`. `out` gets the pipeline, or with `--output` a line that says what was written.
///
/// # Errors
/// See [`InitError`].
pub fn okta(args: &InitOkta, out: &mut dyn Write) -> Result<(), InitError> {
    let text = okta_pipeline(&args.tenant, &args.url)?;
    let Some(path) = &args.output else {
        out.write_all(text.as_bytes())?;
        return Ok(());
    };
    write_new(path, &text)?;
    writeln!(out, "wrote {path}; next: tidegate check --config {path}", path = path.display())?;
    Ok(())
}

/// The text of `init okta`.
fn okta_pipeline(tenant: &str, url: &str) -> Result<String, InitError> {
    let argument = |key: &str, message: &str| {
        let key = key.to_owned();
        InitError::Argument(ConfigError {
            origin: None,
            tenant: None,
            part: None,
            key,
            message: message.to_owned(),
        })
    };
    if !crate::config::is_name(tenant) {
        let message = "accepted: a small letter, then small letters, digits and underscores";
        return Err(argument("--tenant", message));
    }
    let origin = url::Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
        .filter(|url| url.username().is_empty() && url.password().is_none());
    let Some(origin) = origin else {
        return Err(argument("--url", "accepted: the organisation's address, such as https://acme.okta.com"));
    };
    Ok(include_str!("init_okta.toml")
        .replace("@TENANT@", tenant)
        .replace("@VARIABLE@", &tenant.to_ascii_uppercase())
        .replace("@URL@", &origin.origin().ascii_serialization()))
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
