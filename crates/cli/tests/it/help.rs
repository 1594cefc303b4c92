//! Help, manual pages, completions.

use crate::shows;
use crate::support::{Run, starttls};

const COMMANDS: [&str; 16] = [
    "attack",
    "check",
    "connect",
    "explain",
    "gateway",
    "hello",
    "inspect",
    "lab",
    "login",
    "policy",
    "sasl",
    "send",
    "survey",
    "web",
    "completions",
    "man",
];

#[test]
fn help_of_the_program_and_of_each_command() {
    shows!("help", Run::of(&mut starttls(["--help"])).exits(0).stdout);
    for command in COMMANDS {
        let run = Run::of(&mut starttls([command, "--help"])).exits(0);
        shows!(format!("help-{command}"), run.stdout);
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn the_bare_program_prints_its_help() {
    let bare = Run::of(&mut starttls::<&str>([])).exits(2);
    assert_eq!(bare.stderr, Run::of(&mut starttls(["--help"])).stdout);
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    for command in [&["man"][..], &["man", "check"], &["man", "connect"], &["man", "lab"]] {
        let page = Run::of(&mut starttls(command)).exits(0).stdout;
        assert!(page.contains(".TH starttls") && page.contains(".SH SYNOPSIS"), "{page}");
        // Lines with an unknown roff request would be printed as text.
        let bad: Vec<_> =
            page.lines().filter(|line| line.starts_with("..") || line.contains('\x1b')).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
    assert!(Run::of(&mut starttls(["man"])).stdout.contains("the peer broke the rules"), "exit codes");
}
