//! (in work)
pub mod cli;
pub mod config;

/// Runs the command line.
pub fn main(_extra: &[u8]) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
