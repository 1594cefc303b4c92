//! The output: its streams and its format on each.

use std::process::Command;

use crate::support::Run;
use crate::{connect, lab};

#[test]
fn color_is_for_terminals_and_on_request() {
    let lab = lab();
    assert!(!Run::of(&mut connect(&lab, "smtp")).exits(0).stderr.contains('\x1b'));
    assert!(Run::of(connect(&lab, "smtp").args(["--color", "always"])).exits(0).stderr.contains("\x1b[32m"));
    assert!(
        Run::of(connect(&lab, "smtp").args(["--color", "always"]).env("NO_COLOR", "1"))
            .stderr
            .contains('\x1b')
    );

    let on_a_terminal = |options: &[&str], environment: (&str, &str)| {
        let mut command = connect(&lab, "smtp");
        let words = std::iter::once(command.args(options).get_program().to_owned());
        let line = words.chain(command.get_args().map(ToOwned::to_owned)).collect::<Vec<_>>();
        let line = line.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &format!("{line} </dev/null"), "/dev/null"]);
        script.env_remove("NO_COLOR").env("TERM", "xterm").env(environment.0, environment.1);
        Run::of(&mut script).exits(0).stdout
    };
    assert!(on_a_terminal(&[], ("NO_COLOR", "")).contains("\x1b[32m"));
    assert!(!on_a_terminal(&[], ("NO_COLOR", "1")).contains('\x1b'));
    assert!(!on_a_terminal(&[], ("TERM", "dumb")).contains('\x1b'));
    assert!(!on_a_terminal(&["--color", "never"], ("NO_COLOR", "")).contains('\x1b'));
}

#[test]
fn quiet_leaves_only_the_session() {
    let lab = lab();
    let run = Run::with_input(connect(&lab, "smtp").arg("-q"), b"NOOP\n").exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout, "250 2.0.0 OK\r\n221 2.0.0 Bye\r\n");
}

#[test]
fn a_file_takes_what_standard_output_would() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let mut command = connect(&lab, "smtp");
    let run = Run::with_input(command.arg("--output").arg(&file), b"NOOP\n").exits(0);
    assert_eq!(run.stdout, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "250 2.0.0 OK\r\n221 2.0.0 Bye\r\n");

    let mut command = connect(&lab, "smtp");
    let run = Run::of(command.args(["--format", "json", "--output"]).arg(&file)).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("{\"schema_version\":1,"));
}

/// A full disk is an error, unlike a reader that closes the pipe.
#[test]
fn a_full_disk_is_no_broken_connection() {
    let program = env!("CARGO_BIN_EXE_starttls");
    for command in ["man", "completions zsh", "explain srv-reachable", "sasl EXTERNAL", "lab --only smtp"] {
        let line = format!("{program} {command} </dev/null >/dev/full");
        Run::of(Command::new("bash").args(["-c", &line])).exits(2).says("cannot write the output: ");
    }
}

/// The start of a list of commands in bash that waits until no process reads its standard output.
const CLOSED: &str = "{ (trap '' PIPE; while echo; do sleep 0.01; done) 2>/dev/null; ";

#[test]
fn a_broken_pipe_is_success_and_silent() {
    let program = env!("CARGO_BIN_EXE_starttls");
    let lab = lab();
    let port = lab.endpoint("pop3").unwrap().address.port();
    let connect =
        format!("{program} connect -q --ca-file {} pop3://localhost:{port}", lab.ca_file().display());
    for (command, lines) in [
        (connect.clone(), 1),
        (format!("{connect} --format json"), 0),
        (format!("{program} connect"), 1),
        (format!("{program} --help"), 0),
        (format!("{program} completions zsh"), 0),
        (format!("{program} man connect"), 0),
        (format!("{program} lab --format json --only smtp"), 0),
    ] {
        // Commands with little output notice only a reader that has already closed the pipe.
        let reader = if lines == 0 { "true" } else { "head -n 1" };
        let input = if command.contains(" -q ") { "yes CAPA | head -n 20000 |" } else { "" };
        let line = format!("{input} {{ {command} </dev/stdin; echo \"exit $?\" >&2; }} | {reader}");
        let line = if lines == 0 { line.replacen("{ ", CLOSED, 1) } else { line };
        let run = Run::of(Command::new("bash").args(["-c", &line])).exits(0);
        assert_eq!(run.stderr, "exit 0\n", "{command}: {}", run.stdout);
    }
}
