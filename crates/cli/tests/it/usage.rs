//! Wrong usage: no connection, exit code 2, and a hint.

use crate::shows;
use crate::support::{Run, starttls};

#[test]
fn mistakes_are_reported_with_a_hint() {
    let mistakes: &[&[&str]] = &[
        &["conect"],
        &["connect", "mail.example.com"],
        &["connect", "mail.example.com:4711"],
        &["connect", "gopher://mail.example.com"],
        &["connect", "smpt://mail.example.com"],
        &["connect", "smtp://mail.example.com", "--insecur"],
        &["connect", "smtp://mail.example.com", "--format", "yaml"],
        &["connect", "smtp://mail.example.com", "--timeout", "soon"],
        &["connect", "smtp://mail.example.com", "--cert", "client.pem"],
        &["connect", "smtp://mail.example.com", "-4", "-6"],
        &["connect", "smtp://mail.example.com", "imap://mail.example.com"],
        &["connect", "smtp://mail.example.com", "--ca-file", "/does/not/exist.pem"],
        &["connect", "smtp://mail.example.com", "--ca-file", "/dev/null"],
        &["connect", "smtp://mail.example.com", "--ca-file", "tests/it/der.crt"],
        &["connect", "smtp://mail.example.com", "--no-system-roots"],
        &["connect", "smtp://mail.example.com", "--output", "/does/not/exist"],
        &["connect", "smtp://mail.example.com", "--transcript", "/does/not/exist"],
        &["connect", "smtp://mail.example.com", "--keylog", "/does/not/exist"],
        &["connect", "smtp://mail.example.com", "--server-name", "not a name"],
        &["connect", "smtp://mail.example.com", "--connect", "::1"],
        &["connect", "smtp://mail.example.com:0"],
        &["connect", "smtp://mail\x1b[31m.example.com"],
        &["connect", "smtp://joe:secret@mail.example.com"],
        &["connect", "--cleartext"],
        &["connect", "smtp://mail.example.com", "--cleartext", "--format", "json"],
        &["connect", "--output", "report.txt"],
        &["connect", "mail.example.com:4711", "--upgrade-on", "TLS", "--transcript", "transcript.txt"],
        &["connect", "mail.example.com", "--upgrade-on", "STARTTLS"],
        &["lab", "--only", "gopher"],
        &["man", "gopher"],
        &["completions", "tcl"],
    ];
    let mut all = String::new();
    for mistake in mistakes {
        let run = Run::of(&mut starttls(*mistake)).exits(2);
        assert_eq!(run.stdout, "", "{mistake:?}");
        assert!(
            run.stderr.starts_with("error: ") && !run.stderr.contains('\x1b'),
            "{mistake:?}: {}",
            run.stderr
        );
        all += &format!("$ starttls {}\n{}\n", mistake.join(" ").escape_debug(), run.stderr);
    }
    let protocols = all.replace(&schemes(), "SCHEMES");
    shows!("usage", protocols);
}

/// The snapshots replace the list of schemes, because it grows with every protocol.
fn schemes() -> String {
    starttls::proto::schemes().collect::<Vec<_>>().join(", ")
}

#[test]
fn options_of_other_programs_get_a_hint() {
    for (arguments, hint) in [
        (
            &["connect", "-starttls", "smtp", "-connect", "mail.example.com:25"][..],
            "part of the target: use smtp://HOST",
        ),
        (&["check", "--starttls", "smtp", "mail.example.com"], "part of the target: use smtp://HOST"),
        (&["connect", "smtp://mail.example.com", "--servername", "x"], "--server-name NAME"),
        (&["connect", "smtp://mail.example.com", "-CAfile", "x"], "--ca-file PEM"),
    ] {
        Run::of(&mut starttls(arguments)).exits(2).says("hint: ").says(hint);
    }
}
