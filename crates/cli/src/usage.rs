//! Reports wrong usage in the form of all errors: one line, then the hint.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit;

/// Prints the error that clap found, and returns the exit code.
pub(crate) fn explain(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // The reader may have closed the pipe, as `head` does.
            let _ = error.print();
        }
        _ => {
            let text = error.render().to_string();
            let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
            let message = message.strip_prefix("error: ").unwrap_or(message).trim_end();
            let lines: Vec<_> = message.lines().map(str::trim).collect();
            crate::console::error(&lines.join(" "), Some(&hint(error, rest)));
        }
    }
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}

/// Options of other programs, and their equivalents here.
const FOREIGN_OPTIONS: &[(&[&str], &str)] = &[
    (&["-starttls", "--starttls"], "the protocol is part of the target: use smtp://HOST or imap://HOST:PORT"),
    (
        &["-connect"],
        "the target is PROTO://HOST:PORT; use --connect ADDR[:PORT] only to dial another address",
    ),
    (
        &["-servername", "--servername", "--sni", "--sni-hostname"],
        "use --server-name NAME for the name to send and verify",
    ),
    (&["-CAfile", "--CAfile", "--cacert", "--x509cafile"], "use --ca-file PEM for root certificates"),
    (&["-cert", "-key"], "use --cert PEM --key PEM for the client certificate"),
    (&["-showcerts"], "use -v to show the certificates, or --format json to get them in PEM"),
    (&["-k", "-noverify"], "use --insecure to complete the handshake with an invalid certificate"),
];

/// Returns the hint for an option of another program.
fn foreign_option(mut arguments: impl Iterator<Item = String>) -> Option<&'static str> {
    arguments.find_map(|argument| {
        let name = argument.split('=').next().unwrap_or_default();
        FOREIGN_OPTIONS.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
    })
}

fn hint(error: &clap::Error, rest: &str) -> String {
    // Arguments that are not UTF-8 cannot be such an option. An option that this command knows is never looked up here.
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(hint) = foreign_option(std::env::args_os().filter_map(|it| it.into_string().ok()))
    {
        return String::from(hint);
    }
    let near = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let near = near.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(name) => Some(name.clone()),
        // The most similar name is the last one.
        ContextValue::Strings(names) => names.last().cloned(),
        _ => None,
    });
    match near {
        Some(near) => format!("did you mean {near}?"),
        None => match rest.lines().find_map(|line| line.strip_prefix("Usage: ")) {
            Some(usage) => format!("usage: {usage}; use --help for details"),
            None => String::from("use --help for details"),
        },
    }
}
