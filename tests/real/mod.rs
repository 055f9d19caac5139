//! Servers and clients that nobody here wrote. `.ci/real-parts` puts them below `target/real` and says in
//! `target/real/env` where; a test whose part is absent says `SKIPPED` and passes.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

pub mod clients;
pub mod hec_receiver;
pub mod ocsf;
pub mod opensearch;
pub mod syslog;
pub mod tenzir;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Says that a test ran nothing. Past the test runner's capture, so that it is read and counted.
pub fn skipped(test: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}

/// Where a real part is. One that was promised and is not there is a failure.
pub fn part(variable: &str, test: &str) -> Option<PathBuf> {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        skipped(
            test,
            &format!("{variable} is not set; `.ci/real-parts` prepares it, `. target/real/env` sets it"),
        );
        return None;
    };
    assert!(path.exists(), "{variable}: there is no {}", path.display());
    Some(path)
}

/// A file below `tests/real`, from any package of the workspace.
pub fn beside(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found =
        package.ancestors().map(|folder| folder.join("tests/real").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no {name}"))
}
