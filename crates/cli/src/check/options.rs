//! The options of a run, for its report.

use std::collections::HashSet;

use clap::CommandFactory;

use crate::args::Cli;

/// Returns the arguments of this process without the names of the program and the command, and without the targets.
pub(crate) fn of_process(command: &str, targets: &[String]) -> Vec<String> {
    let program = Cli::command();
    let arguments = program.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    let with_value: HashSet<String> = arguments
        .filter(|argument| argument.get_action().takes_values())
        .flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default())
        .map(|name| format!("--{name}"))
        .collect();
    let written = std::env::args_os().skip(2).map(|argument| argument.to_string_lossy().into_owned());
    without_targets(written, targets, &with_value)
}

fn without_targets(
    written: impl Iterator<Item = String>,
    targets: &[String],
    with_value: &HashSet<String>,
) -> Vec<String> {
    let targets: HashSet<&str> = targets.iter().map(String::as_str).collect();
    let mut options: Vec<String> = Vec::new();
    for argument in written {
        let is_value = options.last().is_some_and(|before| with_value.contains(before));
        if is_value || (!targets.contains(argument.as_str()) && argument != "--") {
            let is_proxy = is_value && options.last().is_some_and(|before| before == "--proxy");
            // The URL of a proxy may contain a password, and reports are passed on.
            options.push(match argument.strip_prefix("--proxy=") {
                Some(url) => format!("--proxy={}", without_login(url)),
                None if is_proxy => without_login(&argument),
                None => argument,
            });
        }
    }
    options
}

/// Returns a URL without its user name and password.
fn without_login(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, place)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}…@{place}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_left_out_and_option_values_are_kept() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let written = "-4 example.com --server-name example.com --slow imap://a -- example.com";
        let options = without_targets(
            words(written).into_iter(),
            &words("example.com imap://a example.com"),
            &words("--server-name").into_iter().collect(),
        );
        assert_eq!(options, words("-4 --server-name example.com --slow"));
    }

    #[test]
    fn the_login_of_a_proxy_is_hidden() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let written =
            "--proxy socks5://user:se@cret@host:1 --proxy=http://user:secret@host:2 --proxy http://host:3";
        let options =
            without_targets(words(written).into_iter(), &[], &words("--proxy").into_iter().collect());
        assert_eq!(options, words("--proxy socks5://…@host:1 --proxy=http://…@host:2 --proxy http://host:3"));
    }
}
