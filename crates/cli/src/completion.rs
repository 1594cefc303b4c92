//! Completes command lines: the script of `starttls completions` makes the shell run this program at each Tab.

use std::io;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;

use crate::args::Cli;

/// The variable with which the script asks for words. It contains the name of the shell.
const VARIABLE: &str = "STARTTLS_COMPLETE";

/// Answers the completion script, if it runs this program. Returns whether it does.
///
/// # Errors
/// If the shell is unknown, or if standard output is closed.
pub(crate) fn answer() -> clap::error::Result<bool> {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(std::env::args_os(), folder.as_deref())
}

/// Returns the completion script for a shell.
pub(crate) fn script(shell: clap_complete::Shell) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let adapter = shells.completer(&name).ok_or_else(|| io::Error::other(format!("no script for {name}")))?;
    let mut script = Vec::new();
    adapter.write_registration(VARIABLE, "starttls", "starttls", "starttls", &mut script)?;
    Ok(script)
}
