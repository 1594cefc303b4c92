//! Logins with the best mechanism and with each other mechanism, and refused logins.

use std::process::Command;

use starttls_lab::ca::{Leaf, Usage};
use starttls_testkit::real::RunningServer;

use super::{Peer, Run, starttls};

/// The mechanism that the client has to select, and others that have to work with `--mechanism`.
const LOGINS: &[(&str, &str, &[&str])] = &[
    ("smtp", "SCRAM-SHA-256", &["PLAIN", "LOGIN", "SCRAM-SHA-1", "CRAM-MD5"]),
    ("submission", "SCRAM-SHA-256", &["PLAIN", "LOGIN", "SCRAM-SHA-1", "CRAM-MD5"]),
    ("imap", "SCRAM-SHA-256", &["PLAIN", "LOGIN", "USER", "SCRAM-SHA-1", "CRAM-MD5"]),
    ("pop3", "SCRAM-SHA-256", &["PLAIN", "LOGIN", "USER", "SCRAM-SHA-1", "CRAM-MD5"]),
    ("sieve", "SCRAM-SHA-256", &["PLAIN", "LOGIN", "SCRAM-SHA-1", "CRAM-MD5"]),
    // INN offers all mechanisms of its SASL library, but its users are not in the database of this library.
    ("nntp", "", &["USER"]),
    ("ldap", "SIMPLE", &[]),
    ("ftp", "USER", &[]),
    ("postgres", "SCRAM-SHA-256-PLUS", &["SCRAM-SHA-256"]),
    ("mysql", "MYSQL_NATIVE_PASSWORD", &[]),
    ("irc", "PASSWORD", &[]),
    ("nut", "USER", &[]),
    ("nats", "SIMPLE", &[]),
    ("xmpp", "SCRAM-SHA-256", &["PLAIN"]),
];

pub(crate) fn all(peer: &Peer, running: &RunningServer) {
    let Some((_, best, others)) = LOGINS.iter().find(|it| it.0 == peer.protocol.name) else { return };
    for mechanism in Some(None).filter(|_| !best.is_empty()).into_iter().chain(others.iter().map(Some)) {
        let run = Run::of(
            login(peer, running, &running.password).args(mechanism.map(|it| format!("--mechanism={it}"))),
        );
        let context = format!("{} {mechanism:?}:\n{}\n{}", peer.protocol.name, run.stdout, run.stderr);
        assert_eq!(run.code, 0, "{context}");
        assert!(run.stdout.contains(&format!("with {}", mechanism.unwrap_or(best))), "{context}");
        assert!(!run.stderr.contains(&running.password), "{context}");
    }
    // These servers accept any password: vsftpd has anonymous users only, upsd checks it later.
    if ["ftp", "nut"].contains(&peer.protocol.name) {
        return;
    }
    let mechanism = others.first().filter(|_| best.is_empty()).map(|it| format!("--mechanism={it}"));
    let run = Run::of(login(peer, running, "wrong").args(mechanism));
    let context = format!("{}:\n{}\n{}", peer.protocol.name, run.stdout, run.stderr);
    assert_eq!(run.code, 8, "{context}");
    assert!(run.stderr.contains("refused the login"), "{context}");
}

fn login(peer: &Peer, running: &RunningServer, password: &str) -> Command {
    let mut command = starttls(["login", "--timeout", "30s", "--no-system-roots", "--ca-file"]);
    command
        .arg(&peer.ca_file)
        .arg(format!("{}://{}", peer.protocol.name, peer.endpoint.address))
        .args(["--server-name", &peer.endpoint.server_name, "--user", &running.user])
        .env("STARTTLS_PASSWORD", password);
    command
}

#[test]
fn a_certificate_is_enough_where_the_server_says_so() {
    super::with_setup(starttls_testkit::real::server("openldap").unwrap(), |peer, running, setup| {
        let leaf = Leaf { usage: Usage::Client, ..Leaf::named("john.example.test") };
        let issued = setup.authority.issue(&leaf).unwrap();
        let (cert, key) = (running.folder().join("john.pem"), running.folder().join("john.key"));
        std::fs::write(&cert, issued.chain_pem).unwrap();
        std::fs::write(&key, issued.key_pem).unwrap();
        let mut command = starttls(["login", "--timeout", "30s", "--no-system-roots", "--ca-file"]);
        command.arg(&peer.ca_file).arg(format!("ldap://{}", peer.endpoint.address));
        command
            .args(["--server-name", &peer.endpoint.server_name])
            .arg("--cert")
            .arg(cert)
            .arg("--key")
            .arg(key);
        let run = Run::of(&mut command).exits(0);
        assert_eq!(run.stdout, "authenticated as dn:cn=john.example.test with EXTERNAL\n");
    });
}
