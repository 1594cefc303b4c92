//! A server that requires a client certificate: with TLS 1.3 it refuses the client after the client's handshake.

use starttls::proto::{imap::IMAP, nut::NUT, smtp::SMTP};
use starttls::{ClientAuth, TlsVersion};
use starttls_lab::ca::Authority;

use crate::support::scripted_server::{send, smtp_answering, smtp_going_on};
use crate::support::tls_server::{rest, server};
use crate::support::{Run, starttls};

const WANTED: &str = "error: the server requires a client certificate, and this client has none";
const HINT: &str =
    "hint: present a client certificate from a CA that the server trusts (--cert PEM and --key PEM)";

#[test]
fn every_command_exits_with_5_and_the_hint() {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    let ca_file = authority.write_to(folder.path()).unwrap();
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for protocol in [&SMTP, &IMAP, &NUT] {
            let root = authority.root_pem();
            let demanding = |it: starttls::AcceptorBuilder| {
                it.client_auth(ClientAuth::Required, root).tls_versions(version, version)
            };
            let address = server(protocol, &authority, demanding, |stream| drop(rest(stream)));
            let target = format!("{}://localhost:{}", protocol.name, address.port());
            let mut commands =
                vec![vec!["connect"], vec!["login", "--user", "u", "--password-command", "echo p"]];
            if protocol.name == "smtp" {
                commands.push(vec!["send", "--to", "a@example.test", "--body", "Hello"]);
            }
            for command in commands {
                let mut command = starttls(command);
                command.args([&target, "--connect", &address.to_string(), "--no-system-roots", "--ca-file"]);
                Run::of(command.arg(&ca_file)).exits(5).says(WANTED).says(HINT);
            }
        }
    }
}

#[test]
fn a_broken_handshake_is_5_in_every_command() {
    // The server accepts the request and closes the connection.
    let closes = smtp_going_on([send("220 go\r\n")]);
    let stalls = smtp_answering("220 go\r\n");
    std::thread::scope(|scope| {
        for address in [closes, stalls] {
            for command in [
                &["connect", "--timeout", "10s"][..],
                &["login", "--timeout", "10s", "--user", "u", "--password-command", "echo p"],
                &["send", "--timeout", "10s", "--to", "a@example.test", "--body", "Hello"],
            ] {
                let mut command = starttls(command);
                command.arg(format!("smtp://{address}"));
                scope.spawn(move || Run::of(&mut command).exits(5).says("waiting for the TLS handshake"));
            }
        }
    });
}
