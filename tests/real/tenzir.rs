//! Tenzir, which reads LEEF, listens as Splunk's HTTP Event Collector does, and takes syslog. Too large for each change:
//! `.ci/nightly` prepares it.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program.
pub const PROGRAM: &str = "TIDEGATE_REAL_TENZIR";

/// What a pipeline prints, one object a line.
pub fn objects(program: &Path, pipeline: &str) -> Vec<Value> {
    let output = Command::new(program).arg(pipeline).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pipeline}: {}: {complaint}", output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
