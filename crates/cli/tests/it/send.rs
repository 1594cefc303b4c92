//! `send`: the message, its route, and where it stops.

use std::process::Command;

use starttls_lab::Lab;

use crate::support::{Run, dns_server, starttls};
use crate::{endpoint, lab, schema, shows};

/// Returns `send` to this server of the lab, which trusts the lab's root.
fn send(lab: &Lab, scheme: &str) -> Command {
    let mut command = starttls(["send", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).arg(format!("{scheme}://localhost:{}", endpoint(lab, scheme).address.port()));
    command.env("STARTTLS_PASSWORD", lab.password());
    command.args(["--from", "john@example.test", "--to", "jane@example.test"]);
    command
}

fn delivered(lab: &Lab) -> String {
    String::from_utf8(lab.store().mail().last().unwrap().text.to_vec()).unwrap()
}

#[test]
fn a_message_is_built_and_handed_in() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "attached").unwrap();
    let mut command = send(&lab, "submission");
    command.args(["--user", "test", "--subject", "Gr\u{fc}\u{df}e", "--body", ".\nSesame", "--tls-optional"]);
    command.args(["--header", "X-Note: \u{e4} note", "--attach"]).arg(&file);
    let run = Run::of(&mut command).exits(0);
    assert!(run.stdout.starts_with("jane@example.test accepted: 250 2.0.0 Delivered as "), "{}", run.stdout);
    let message = delivered(&lab);
    for part in [
        "From: <john@example.test>",
        "To: <jane@example.test>",
        "Subject: =?utf-8?",
        "Date: ",
        "Message-ID: <",
    ] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    for part in ["TLS-Required: No\r\n", "X-Note: =?utf-8?", "filename=\"notes.txt\"", "Sesame"] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    assert!(!run.stderr.contains("Sesame") && !run.stderr.contains(lab.password()), "{}", run.stderr);
}

#[test]
fn a_ready_message_is_passed_on() {
    let lab = lab();
    for nothing in ["", "\n \r\n"] {
        Run::with_input(&mut send(&lab, "smtp"), nothing.as_bytes())
            .exits(2)
            .says("the message on standard input is empty");
    }
    let ready = "Subject: x\n\n.\n..dots\nno end";
    Run::with_input(&mut send(&lab, "smtp"), ready.as_bytes()).exits(0).says("S: 220");
    assert_eq!(delivered(&lab), ready.replace('\n', "\r\n") + "\r\n");
    Run::with_input(send(&lab, "lmtp").arg("--tls-optional"), b"Subject: y\r\n\r\nz\r\n").exits(0);
    assert_eq!(delivered(&lab), "TLS-Required: No\r\nSubject: y\r\n\r\nz\r\n");
    for smuggled in ["Subject: x\r\n\r\na\n.\r\nMAIL FROM:<b>\r\n", "a\r.\r", "a\r\n.\nb\r\n"] {
        let run =
            Run::with_input(&mut send(&lab, "smtp"), smuggled.as_bytes()).exits(2).says("contains a bare");
        assert!(!run.stderr.contains("S: 220"), "nothing is dialled");
    }
}

#[test]
fn it_stops_where_the_option_says() {
    let lab = lab();
    let before = lab.store().mail().len();
    for (step, last) in [
        ("ehlo", "C: QUIT"),
        ("starttls", "S: 250 SIZE 1048576"),
        ("auth", "S: 235 2.7.0 Welcome"),
        ("rcpt", "S: 250 2.1.5 OK"),
        ("data", "S: 354 End with a line of one dot"),
    ] {
        let mut command = send(&lab, "submission");
        command.args(["--user", "test", "--until", step]);
        let run = Run::with_input(&mut command, b"Subject: x\n\n").exits(0);
        assert_eq!(run.stderr.trim_end().lines().last(), Some(last), "{step}: {}", run.stderr);
        let expected = match step {
            "rcpt" | "data" => "jane@example.test would be accepted: 250 2.1.5 OK\n",
            _ => "",
        };
        assert_eq!(run.stdout, expected, "{step}");
        let report = Run::with_input(command.args(["--format", "json"]), b"Subject: x\n\n").exits(0).json();
        schema::fits_in("send.json", &report);
        assert_eq!(report["outcome"], "stopped", "{report}");
    }
    assert_eq!(lab.store().mail().len(), before);
}

#[test]
fn for_programs_it_is_one_object_that_fits_the_schema() {
    let lab = lab();
    let run =
        Run::of(send(&lab, "lmtp").args(["--to", "joe@example.test", "--body", "x", "--format", "json"]));
    let report = run.exits(0).json();
    schema::fits_in("send.json", &report);
    assert_eq!(report["outcome"], "accepted");
    assert_eq!(report["recipients"][1]["address"], "joe@example.test");
    assert_eq!(report["attempts"][0]["used"], serde_json::json!(["SIZE", "PIPELINING"]));
    let run = Run::of(send(&lab, "submission").args(["--body", "x", "--format", "json"])).exits(1);
    let report = run.json();
    schema::fits_in("send.json", &report);
    assert_eq!((report["outcome"].as_str(), report["error"]["hint"].is_string()), (Some("refused"), true));
    let wrong = Run::of(send(&lab, "submission").args(["--user", "who", "--body", "x", "--format", "json"]));
    let report = wrong.exits(8).json();
    schema::fits_in("send.json", &report);
    assert_eq!(report["outcome"], "not-sent");
}

/// Runs `send --mx` to a domain in this zone.
fn to_domain(lab: &Lab, zone: &str, arguments: &[&str]) -> Run {
    let mut command = starttls(["send", "--mx", "--timeout", "30s", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).args(["--resolver", &dns_server::server(zone).to_string()]);
    command.args(["--to", "jane@example.test", "--body", "x"]).args(arguments);
    Run::of(&mut command)
}

#[test]
fn exchangers_are_tried_in_order_of_preference() {
    let lab = lab();
    // No server listens on these addresses, so the errors name each attempt.
    let zone = "example.test MX 20 mx2.example.test
        example.test MX 10 mx1.example.test
        mx1.example.test A 127.0.0.250
        mx2.example.test A 127.0.0.251";
    let run = to_domain(&lab, zone, &[]).exits(3);
    let (first, second) =
        (run.stderr.find("smtp://mx1.example.test"), run.stderr.find("smtp://mx2.example.test"));
    assert!(first.unwrap() < second.unwrap() && run.stderr.contains("127.0.0.251:25"), "{}", run.stderr);
    // The first exchanger that answers receives the message, and later ones are not contacted.
    let at = endpoint(&lab, "smtp").address.to_string();
    let run = to_domain(&lab, zone, &["--connect", &at, "--server-name", "localhost"]).exits(0);
    assert!(run.stdout.contains("accepted") && !run.stderr.contains("mx2"), "{}", run.stderr);
    assert!(delivered(&lab).contains("To: <jane@example.test>"));
    // The certificate has to be valid for the name of the exchanger.
    to_domain(&lab, zone, &["--connect", &at]).exits(5).says("not for mx2.example.test");
}

#[test]
fn five_addresses_are_tried_and_the_others_are_named() {
    let lab = lab();
    let mut zone = String::from("example.test MX 10 mx1.example.test\nexample.test MX 20 mx2.example.test\n");
    for number in 1..=6 {
        // No server listens on these addresses.
        zone += &format!("mx1.example.test A 127.0.9.{number}\n");
    }
    let run = to_domain(&lab, &zone, &[]).exits(3);
    assert_eq!(run.stderr.matches("smtp://mx1.example.test\n").count(), 5, "{}", run.stderr);
    assert!(
        run.stderr.contains("not tried, because at most 5 addresses are tried: mx1.example.test (127.0.9.")
    );
    assert!(run.stderr.contains("), mx2.example.test\n"), "{}", run.stderr);
    let report = to_domain(&lab, &zone, &["--format", "json"]).exits(3).json();
    schema::fits_in("send.json", &report);
    assert_eq!(report["not_tried"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn a_domain_without_exchangers() {
    let lab = lab();
    let mut all = String::new();
    for (zone, arguments, code) in [
        ("example.test MX 0 .", &[][..], 1),
        ("example.test A 127.0.0.250", &[], 3),
        ("other.test A 127.0.0.1", &[], 3),
        ("example.test SERVFAIL", &[], 7),
        ("example.test MX 5 mx.example.test", &[], 3),
        ("", &["--to", "joe@example.org"], 2),
        ("", &["--to", "joe"], 2),
    ] {
        let run = to_domain(&lab, zone, arguments).exits(code);
        all += &format!("{zone} {arguments:?}\n{}\n", run.stderr);
    }
    shows!("send-mx", all);
}

#[test]
fn mistakes_are_named_before_anything_is_dialled() {
    let mut all = String::new();
    for arguments in [
        &["--to", "a@b"][..],
        &["smtp://mail.example.com"],
        &["imap://mail.example.com", "--to", "a@b", "--body", "x"],
        &["smtp://mail.example.com", "--to", "a b@c", "--body", "x"],
        &["smtp://mail.example.com", "--to", "a>@b", "--body", "x"],
        &["smtp://mail.example.com", "--to", "a@b", "--header", "no colon"],
        &["smtp://mail.example.com", "--to", "a@b", "--subject", "two\r\nBcc: lines"],
        &["smtp://mail.example.com", "--to", "a@b", "--attach", "/does/not/exist"],
        &["smtp://mail.example.com", "--to", "a@b", "--require-tls", "--tls-optional"],
    ] {
        let run = Run::of(starttls(["send"]).args(arguments)).exits(2);
        all += &format!("$ starttls send {}\n{}\n", arguments.join(" ").escape_debug(), run.stderr);
    }
    shows!("send-usage", all);
}
