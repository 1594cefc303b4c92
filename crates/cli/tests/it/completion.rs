//! Completions, by the shells themselves.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, starttls};

#[test]
fn bash_completes_ids_protocols_and_options() {
    for (line, expected) in [
        (&["explain", "srv-inject-e"][..], &["srv-inject-eager"][..]),
        (&["explain", "cli-strip"], &["cli-strip-offer"]),
        (&["check", "--skip", "ti"], &["time", "time-steps"]),
        (&["check", "--only", "cert,srv-offered,srv-mx"], &["cert,srv-offered,srv-mx-name"]),
        (&["attack", "ima"], &["imap"]),
        (&["attack", "imap", "--scenario", "cli-cert-s"], &["cli-cert-selfsigned", "cli-cert-sha1"]),
        (&["connect", "submiss"], &["submission://"]),
        (&["gateway", "imap+"], &["imap+starttls://"]),
        (&["sasl", "SCRAM-SHA-256"], &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]),
        (&["hello", "--version", "ss"], &["ssl2", "ssl3"]),
        (&["lab", "--only", "smtp,po"], &["smtp,pop3", "smtp,postgres"]),
        (&["man", "conn"], &["connect"]),
        (&["conn"], &["connect"]),
        (&["check", "--max-conn"], &["--max-connections"]),
        (&["check", "--format", "na"], &["nagios"]),
    ] {
        assert_eq!(by_bash(line), expected, "{line:?}");
    }
}

#[test]
fn bash_completes_every_check_and_every_attack() {
    let completed = by_bash(&["explain", ""]);
    for list in ["check", "attack"] {
        let listed = Run::of(&mut starttls([list, "--list"])).exits(0).stdout;
        let ids = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|it| it.contains('-') && !it.starts_with('-'));
        let missing: Vec<&str> = ids.filter(|id| !completed.iter().any(|it| it == id)).collect();
        assert!(missing.is_empty(), "{missing:?} of {listed}");
    }
    assert!(completed.len() > 80, "{completed:?}");
    for id in &completed {
        Run::of(&mut starttls(["explain", id])).exits(0);
    }
}

#[test]
fn fish_completes_with_descriptions() {
    let script = script("fish");
    let mut fish = shell("fish");
    let line = "complete -C 'starttls explain srv-inject-ea'";
    let run = Run::with_input(fish.arg("--no-config"), format!("{script}\n{line}\n").as_bytes()).exits(0);
    let expected = "srv-inject-eager\tthe server runs commands inside TLS that it received in cleartext\n";
    assert_eq!(run.stdout, expected, "{}", run.stderr);
}

#[test]
fn zsh_completes_at_its_prompt() {
    // The inner zsh has a terminal. It completes the id, and runs the command.
    const DRIVER: &str = r#"
        zmodload zsh/zpty
        zpty inner zsh -f -i
        zpty -w inner "PS1='ready''> '; autoload -U compinit; compinit -u -D; source $SCRIPT"
        zpty -r inner output '*ready> *'
        zpty -w -n inner $'starttls explain srv-inject-ea\t\n'
        zpty -r inner output '*Specification*'
        print -r -- $output
        zpty -d inner
    "#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_starttls");
    std::fs::write(&file, script("zsh")).unwrap();
    let mut zsh = shell("zsh");
    zsh.env("SCRIPT", &file).env("HOME", folder.path()).env("TERM", "dumb");
    let run = Run::of(zsh.args(["-f", "-c", DRIVER])).exits(0);
    assert!(run.stdout.contains("srv-inject-eager: the server runs commands"), "{}", run.stdout);
}

#[test]
fn an_unknown_shell_is_reported() {
    let run = Run::of(starttls(["--", "starttls"]).env("STARTTLS_COMPLETE", "tcsh")).exits(2);
    assert!(run.stderr.contains("unknown shell `tcsh`"), "{}", run.stderr);
    // A variable without a value does not ask for completions.
    Run::of(starttls(["--version"]).env("STARTTLS_COMPLETE", "")).exits(0);
}

/// Returns what bash offers for the last word of a command line, with the variables that its readline sets.
fn by_bash(line: &[&str]) -> Vec<String> {
    const DRIVER: &str = r#"
        eval "$SCRIPT"
        COMP_WORDS=(starttls "$@")
        COMP_CWORD=$#
        COMP_TYPE=9
        complete -p starttls >/dev/null
        _clap_complete_starttls starttls "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = shell("bash");
    bash.args(["--norc", "-c", DRIVER, "bash"]).args(line).env("SCRIPT", script("bash"));
    Run::of(&mut bash).exits(0).stdout.lines().map(String::from).collect()
}

fn script(shell: &str) -> String {
    Run::of(&mut starttls(["completions", shell])).exits(0).stdout
}

/// Returns a shell that finds the program under test first.
fn shell(name: &str) -> Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_starttls")).parent().unwrap();
    let mut path = OsString::from(folder);
    path.push(":/usr/bin:/bin");
    let mut shell = Command::new(name);
    shell.env("PATH", path);
    shell
}
