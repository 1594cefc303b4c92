//! Completes command lines. The script of `starttls completions` makes the shell run this program at each Tab, so that the
//! words come from the tables of checks, scenarios and protocols.

use std::io;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use starttls::login::Account;
use starttls::proto::{self, PROTOCOLS};
use starttls_attack::Scenario;
use starttls_audit::check::CHECKS;
use starttls_hello::Version;

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

/// Returns the ids of all checks and attacks.
pub(crate) fn ids() -> Vec<CompletionCandidate> {
    let mut ids = checks();
    ids.extend(scenarios());
    ids
}

/// Returns the ids of the checks.
fn checks() -> Vec<CompletionCandidate> {
    CHECKS.iter().map(|check| word(check.id, check.title)).collect()
}

/// Returns the families of checks, and the ids of the checks.
pub(crate) fn check_selection() -> Vec<CompletionCandidate> {
    let mut families: Vec<_> = CHECKS.iter().map(starttls_audit::check::Check::family).collect();
    families.dedup();
    let mut words: Vec<_> = families.into_iter().map(|it| word(it, "all checks of this family")).collect();
    words.extend(checks());
    words
}

/// Returns the ids of the attacks.
pub(crate) fn scenarios() -> Vec<CompletionCandidate> {
    let scenarios = Scenario::all().unwrap_or_default();
    scenarios.iter().map(|scenario| word(&scenario.id, &scenario.title)).collect()
}

/// Returns the names of the protocols.
pub(crate) fn protocols() -> Vec<CompletionCandidate> {
    PROTOCOLS.iter().map(|protocol| word(protocol.name, protocol.title)).collect()
}

/// Returns the start of a target for every scheme: `smtp://`.
pub(crate) fn targets() -> Vec<CompletionCandidate> {
    proto::schemes()
        .map(|scheme| {
            let title = proto::scheme(scheme).map_or("", |(protocol, _)| protocol.title);
            word(&format!("{scheme}://"), title)
        })
        .collect()
}

/// Returns the start of a listener or a backend of the gateway, for every scheme.
pub(crate) fn gateway_urls() -> Vec<CompletionCandidate> {
    let mut words = targets();
    words.extend(
        PROTOCOLS.iter().map(|protocol| word(&format!("{}+starttls://", protocol.name), protocol.title)),
    );
    words
}

/// Returns the SASL mechanisms.
pub(crate) fn mechanisms() -> Vec<CompletionCandidate> {
    Account::mechanisms().map(CompletionCandidate::new).collect()
}

/// Returns the versions of SSL and TLS in their short form.
pub(crate) fn versions() -> Vec<CompletionCandidate> {
    let short = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"];
    short.iter().zip(Version::ALL).map(|(short, version)| word(short, version.name())).collect()
}

/// Returns the names of the commands.
pub(crate) fn commands() -> Vec<CompletionCandidate> {
    let program = Cli::command();
    program.get_subcommands().map(|it| CompletionCandidate::new(it.get_name())).collect()
}

fn word(value: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(String::from(help).into()))
}
