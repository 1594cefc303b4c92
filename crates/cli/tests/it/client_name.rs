//! `--client-name`: the name that the client sends, in each command that connects.

use std::net::SocketAddr;

use crate::support::scripted_server::{Step, send, server};
use crate::support::{Run, starttls};

/// Starts a server that expects this hello and refuses the upgrade.
fn expecting(hello: &'static [u8]) -> SocketAddr {
    server([
        send("220 mail.example.test ESMTP\r\n"),
        Step::Hear(hello),
        send("250-mail.example.test\r\n250 STARTTLS\r\n"),
        Step::Hear(b"STARTTLS\r\n"),
        send("502 no\r\n"),
        Step::Stall,
    ])
}

fn commands(address: SocketAddr) -> Vec<Vec<String>> {
    let target = format!("smtp://{address}");
    let command = |words: &[&str]| words.iter().map(ToString::to_string).chain([target.clone()]).collect();
    vec![
        command(&["connect", "--timeout", "30s"]),
        command(&["login", "--timeout", "30s", "--user", "u", "--password-command", "echo p"]),
        command(&["send", "--timeout", "30s", "--to", "a@example.test", "--body", "Hello"]),
    ]
}

#[test]
fn the_default_is_an_address_literal() {
    for command in commands(expecting(b"EHLO [127.0.0.1]\r\n")) {
        Run::of(&mut starttls(command)).exits(4).says("502 no");
    }
}

#[test]
fn every_command_gives_the_name_that_was_chosen() {
    for (name, hello) in [
        ("client.example.test", &b"EHLO client.example.test\r\n"[..]),
        ("[192.0.2.1]", b"EHLO [192.0.2.1]\r\n"),
        ("m\u{fc}ller.example", b"EHLO xn--mller-kva.example\r\n"),
    ] {
        let address = expecting(hello);
        for command in commands(address) {
            Run::of(starttls(command).args(["--client-name", name])).exits(4).says("502 no");
        }
        let check = ["check", "--format", "json", "--client-name", name, &format!("smtp://{address}")];
        let report = Run::of(&mut starttls(check)).stdout;
        assert!(report.contains(std::str::from_utf8(hello).unwrap().trim_end()), "{report}");
    }
}

#[test]
fn a_line_end_in_the_name_is_refused_before_anything_is_dialled() {
    let address = server([send("220 mail.example.test ESMTP\r\n"), Step::Stall]);
    let check = vec![String::from("check"), format!("smtp://{address}")];
    for command in commands(address).into_iter().chain([check]) {
        for bad in ["a\r\nMAIL FROM:<>", "a\nb", "a b", "", "[::1"] {
            Run::of(starttls(&command).args(["--client-name", bad])).exits(2).says("invalid client name");
        }
    }
}

/// Between servers the name is a domain, because an XMPP address cannot contain an address literal.
#[test]
fn a_server_of_xmpp_gives_a_domain() {
    for (arguments, from) in [
        (&[][..], &b"from='localhost' version='1.0' xml:lang='en' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"[..]),
        (&["--client-name", "a.example"], b"from='a.example' version='1.0' xml:lang='en' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"),
    ] {
        let address = server([Step::Hear(from), send("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' version='1.0' from='127.0.0.1'><stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"), Step::Stall]);
        let target = format!("xmpp-server://{address}");
        Run::of(starttls(["connect", "--timeout", "30s", &target]).args(arguments)).says("undefined-condition");
    }
}
