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
            crate::talk::error(&lines.join(" "), Some(&cure(error, rest)));
        }
    }
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}

fn cure(error: &clap::Error, rest: &str) -> String {
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
