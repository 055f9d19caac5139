//! The command line: one file a verb.
pub mod completions;
pub mod config;
pub mod init;
