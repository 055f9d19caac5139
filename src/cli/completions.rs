//! `tidegate completions`: what a shell needs to complete our commands.

use std::io::{self, Write};

/// Writes the script with which a shell completes Tidegate's commands.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Writes the script.
///
/// # Errors
/// It could not be written.
pub fn completions(
    args: &CompletionsArgs,
    command: &mut clap::Command,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = command.get_name().to_owned();
    // `generate` panics when it cannot write; a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, name, &mut script);
    out.write_all(&script)
}
