//! Wrong usage, said in the form that all errors have: one line, then the cure.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit;

/// Says what clap found, and returns the exit code.
pub(crate) fn explain(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Whoever asked for help and left needs none.
            let _ = error.print();
        }
        _ => {
            let text = error.render().to_string();
            let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
            let message = message.strip_prefix("error: ").unwrap_or(message).trim_end();
            let lines: Vec<_> = message.lines().map(str::trim).collect();
            crate::console::error(&lines.join(" "), Some(&cure(error, rest)));
        }
    }
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}

/// What others call it, and what it is here.
const HABITS: &[(&[&str], &str)] = &[
    (&["-starttls", "--starttls"], "the protocol is part of the target: smtp://HOST, imap://HOST:PORT"),
    (&["-connect"], "the target is PROTO://HOST:PORT; --connect ADDR[:PORT] only dials another address"),
    (
        &["-servername", "--servername", "--sni", "--sni-hostname"],
        "the name to send and verify is --server-name NAME",
    ),
    (&["-CAfile", "--CAfile", "--cacert", "--x509cafile"], "roots come from --ca-file PEM"),
    (&["-cert", "-key"], "the client certificate is --cert PEM --key PEM"),
    (&["-showcerts"], "-v shows the certificates, --format json has them in PEM"),
    (&["-k", "-noverify"], "--insecure finishes the handshake whatever the certificate"),
];

/// The cure for an option of another program.
fn habit(mut arguments: impl Iterator<Item = String>) -> Option<&'static str> {
    arguments.find_map(|argument| {
        let name = argument.split('=').next().unwrap_or_default();
        HABITS.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
    })
}

fn cure(error: &clap::Error, rest: &str) -> String {
    // An argument need not be text. An option that this command has is not one of another program.
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(hint) = habit(std::env::args_os().filter_map(|it| it.into_string().ok()))
    {
        return String::from(hint);
    }
    let near = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let near = near.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(name) => Some(name.clone()),
        // The likeliest comes last.
        ContextValue::Strings(names) => names.last().cloned(),
        _ => None,
    });
    match near {
        Some(near) => format!("did you mean {near}?"),
        None => match rest.lines().find_map(|line| line.strip_prefix("Usage: ")) {
            Some(usage) => format!("the usage is {usage}; --help says more"),
            None => String::from("--help says more"),
        },
    }
}
