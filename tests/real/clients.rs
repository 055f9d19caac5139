//! The vendors' own clients: Python programs that read a stand-in to its end and print what they saw.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter of the environment that has them all.
pub const PYTHON: &str = "TIDEGATE_REAL_CLIENTS";

/// Runs a script of `tests/real/clients`; what it printed. The clients trust the authority `ca`, each by its own variable.
pub async fn run(python: &Path, script: &str, arguments: &[&str], ca: &Path) -> Vec<u8> {
    let mut command = Command::new(python);
    command.arg(super::beside(&format!("clients/{script}"))).args(arguments).stdin(Stdio::null());
    // Leaves no compiled files among the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    for variable in ["SSL_CERT_FILE", "HTTPLIB2_CA_CERTS"] {
        command.env(variable, ca);
    }
    for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(variable);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}: {complaint}", output.status);
    output.stdout
}

/// As [`run`], what it printed being JSON.
pub async fn json(python: PathBuf, script: &str, arguments: &[&str], ca: &Path) -> Value {
    serde_json::from_slice(&run(&python, script, arguments, ca).await).unwrap()
}
