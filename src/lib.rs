//! Tidegate collects identity and MFA logs, proves that none is missing, and delivers them in the schema that a SIEM
//! already understands. Read [`pipeline`] first: how the two loops, collect and deliver, meet at the journal.
//!
//! A binary with connectors of its own is one line: `tidegate::main(&[&my_crate::CONNECTOR])`.

pub mod cli;
pub mod config;
mod keeper;
pub mod pipeline;
pub mod requests;
pub mod rules;
pub mod serve;
pub mod world;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use tidegate_core::source::Connector;

/// The whole program: the tree's connectors and sinks, and the caller's connectors beside them.
#[must_use]
pub fn main(extra: &[&'static dyn Connector]) -> ExitCode {
    one_arena();
    all_files();
    ExitCode::from(cli::main(extra))
}

/// Allows itself as many open files as it may: a tenant has four and its connections, and the usual 1,024 are a limit for
/// programs that still use select(2).
fn all_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails, what there is may do; what does not open says so itself.
    let _refused = setrlimit(Resource::Nofile, limit);
}

/// Starts the same program again, as the same process, with one arena of the C library's allocator, unless the
/// environment says how many. An arena a thread kept 26 MiB that nobody used (`docs/benchmarks.md`), at the same CPU;
/// only the environment can say so without unsafe code.
fn one_arena() {
    const ARENAS: &str = "MALLOC_ARENA_MAX";
    if !cfg!(target_env = "gnu") || std::env::var_os(ARENAS).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) else { return };
    // Returns only where it failed; then all goes on as it is.
    let _failed = Command::new(program).arg0(name).args(arguments).env(ARENAS, "1").exec();
}
