//! Manual use: cleartext without an upgrade, and the upgrade of an unknown protocol.

use crate::support::process::Live;
use crate::support::scripted_server::{Step, send, server};
use crate::support::{Run, starttls};
use crate::{connect, endpoint, lab};

#[test]
fn cleartext_is_available_on_request() {
    let lab = lab();
    let run = Run::with_input(connect(&lab, "smtp").arg("--cleartext"), b"EHLO me\n").exits(0);
    assert!(run.stdout.starts_with("220 localhost"), "{}", run.stdout);
    assert!(run.stdout.contains("STARTTLS\r\n") && run.stdout.contains("221 "), "{}", run.stdout);
    assert!(run.stderr.contains("not encrypted"), "{}", run.stderr);
}

#[test]
fn the_line_that_asks_for_tls_may_come_from_a_pipe() {
    let lab = lab();
    let mut command = connect(&lab, "smtp");
    let run = Run::with_input(command.args(["--upgrade-on", "STARTTLS"]), b"EHLO me\nSTARTTLS\nNOOP\nQUIT\n")
        .exits(0);
    assert!(run.stderr.contains("--- TLS starts here") && run.stderr.contains("verified"), "{}", run.stderr);
    assert!(run.stdout.contains("220 2.0.0") && run.stdout.contains("250 2.0.0 OK"), "{}", run.stdout);
}

#[test]
fn the_line_that_asks_for_tls_may_be_typed() {
    let lab = lab();
    let mut command = starttls(["connect", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).arg(format!("localhost:{}", endpoint(&lab, "pop3").address.port()));
    let mut live = Live::start(command.args(["--upgrade-on", "STLS"]));
    live.hears("+OK localhost");
    live.say(b"CAPA\n");
    live.hears("STLS\r\n.\r\n");
    live.say(b"STLS\n");
    live.is_told("Visible");
    live.say(b"CAPA\n");
    live.hears("SASL PLAIN");
    live.say(b"QUIT\n");
    live.end().exits(0);
}

#[test]
fn b2_bytes_behind_the_answer_are_refused_here_too() {
    let address = server([Step::Hear(b"TLS\r\n"), send("OK\r\ninjected\r\n"), Step::Stall]);
    let mut command = starttls(["connect", &address.to_string(), "--upgrade-on", "TLS"]);
    let run = Run::with_input(&mut command, b"TLS\n").exits(6);
    assert!(
        run.stderr.contains("after the boundary (rule B2)") && run.stderr.contains("injected"),
        "{}",
        run.stderr
    );
}

#[test]
fn b6_an_answer_that_never_comes_is_not_waited_for() {
    let address = server([Step::Stall]);
    let mut command = starttls(["connect", &address.to_string(), "--upgrade-on", "TLS", "--timeout", "5s"]);
    let run = Run::with_input(&mut command, b"TLS\n").exits(3);
    assert!(
        run.stderr.contains("timed out after 5 s, waiting for the answer to the upgrade request"),
        "{}",
        run.stderr
    );
}

#[test]
fn input_that_ends_before_the_line_is_reported() {
    let address = server([Step::Stall]);
    let mut command = starttls(["connect", &address.to_string(), "--upgrade-on", "TLS"]);
    let run = Run::with_input(&mut command, b"HELO\n").exits(4);
    assert!(run.stderr.contains("ended before \"TLS\" was sent"), "{}", run.stderr);
}
