//! A server that refuses the hello lists no capabilities. TLS is requested nevertheless, and the report mentions it.

use std::net::SocketAddr;

use crate::support::scripted_server::{Step, send, server};
use crate::support::{Run, starttls};

fn smtp(answers: &[(&'static [u8], &str)]) -> SocketAddr {
    let mut steps = vec![send("220 mail.example.test ESMTP\r\n")];
    for (hears, says) in answers {
        steps.extend([Step::Hear(hears), send(says)]);
    }
    server(steps)
}

fn commands(target: &str) -> Vec<Vec<String>> {
    let command = |words: &[&str]| words.iter().copied().chain([target]).map(str::to_owned).collect();
    vec![
        command(&["connect", "--timeout", "30s"]),
        command(&["login", "--timeout", "30s", "--user", "u", "--password-command", "echo p"]),
        command(&["send", "--timeout", "30s", "--to", "a@example.test", "--body", "Hello"]),
    ]
}

const EHLO: &[u8] = b"EHLO [127.0.0.1]\r\n";
const STARTTLS: &[u8] = b"STARTTLS\r\n";

#[test]
fn a_refused_name_has_its_own_words_and_its_own_hint() {
    for answer in
        ["504 5.5.2 fully-qualified hostname, please", "550 5.7.1 no", "450 4.7.1 not now", "501 what"]
    {
        let address = smtp(&[(EHLO, &format!("{answer}\r\n")), (STARTTLS, "503 5.5.1 EHLO first\r\n")]);
        for command in commands(&format!("smtp://{address}")) {
            let run = Run::of(&mut starttls(command)).exits(7);
            let run = run
                .says(&format!("the server refused the client's hello: \"{answer}\""))
                .says("--client-name");
            assert!(!run.stderr.contains("--cleartext"), "{}", run.stderr);
        }
    }
}

#[test]
fn a_server_that_closes_after_it_refused_the_name() {
    let address = smtp(&[(EHLO, "550 5.7.1 no\r\n")]);
    for command in commands(&format!("smtp://{address}")) {
        Run::of(&mut starttls(command))
            .exits(7)
            .says("refused the hello")
            .says("550 5.7.1 no")
            .says("--client-name");
    }
}

#[test]
fn a_server_that_does_not_know_the_hello() {
    let address = smtp(&[(EHLO, "502 what?\r\n"), (STARTTLS, "500 what?\r\n")]);
    for command in commands(&format!("smtp://{address}")) {
        let run = Run::of(&mut starttls(command))
            .exits(4)
            .says("the server does not know the hello: \"502 what?\"");
        assert!(!run.stderr.contains("--client-name"), "{}", run.stderr);
    }
    let address = server([
        send("200 hi\r\n"),
        Step::Hear(b"CAPABILITIES\r\n"),
        send("500 what?\r\n"),
        Step::Hear(STARTTLS),
        send("580 no\r\n"),
    ]);
    let target = format!("nntp://{address}");
    Run::of(&mut starttls(["connect", &target])).exits(4).says("the server does not know the hello");
    let report = Run::of(&mut starttls(["connect", "--format", "json", &target])).exits(4).json();
    assert_eq!(report["negotiation"]["hello_refused"], "500 what?");
    assert!(report["negotiation"]["offered"].is_null());
    crate::schema::fits_in("connect.json", &report);
}

#[test]
fn the_upgrade_works_without_a_list() {
    let address = smtp(&[(EHLO, "504 5.5.2 no\r\n"), (STARTTLS, "220 go\r\n")]);
    // The client starts the handshake, which this server does not support.
    Run::of(&mut starttls(["connect", "--timeout", "30s", &format!("smtp://{address}")]))
        .exits(5)
        .says("handshake");
}
