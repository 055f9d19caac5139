//! OCSF's own schemas, as JSON Schema.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The interpreter of the environment that has them.
pub const PYTHON: &str = "TIDEGATE_REAL_OCSF";

/// What they say of documents, one a line.
pub fn verdict(python: &Path, version: &str, documents: &str) -> String {
    let mut child = Command::new(python)
        .arg(super::beside("ocsf/check.py"))
        .arg(version)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let documents = documents.to_owned();
    let writer = std::thread::spawn(move || input.write_all(documents.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
