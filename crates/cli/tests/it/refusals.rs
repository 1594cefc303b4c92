//! Servers that refuse the upgrade: exit code 4, and retries.

use crate::schema::fits;
use crate::shows;
use crate::support::scripted_server::{Step, send, server, smtp_answering, smtp_going_on};
use crate::support::{Run, starttls};

#[test]
fn c1_a_refusal_ends_the_command_with_a_hint() {
    let mut all = String::new();
    for (answer, code) in [
        ("454 4.7.0 TLS not available\r\n", 4),
        ("502 5.5.1 Not implemented\r\n", 4),
        ("421 4.3.2 Closing down\r\n", 7),
        ("250 OK\r\n", 6),
        ("220 Go ahead\r\n250 injected\r\n", 6),
    ] {
        let run =
            Run::of(&mut starttls(["connect", &format!("smtp://{}", smtp_answering(answer))])).exits(code);
        all += &run.stderr;
        all.push('\n');
    }
    shows!("refusals", all);
}

#[test]
fn c2_what_is_not_offered_is_asked_for_nevertheless() {
    let address = server([
        send("220 mail.example.test ESMTP\r\n"),
        Step::Hear(b"EHLO [127.0.0.1]\r\n"),
        send("250 mail.example.test\r\n"),
        Step::Hear(b"STARTTLS\r\n"),
        send("500 5.5.1 What?\r\n"),
        Step::Stall,
    ]);
    let run = Run::of(&mut starttls(["connect", "--format", "json", &format!("smtp://{address}")])).exits(4);
    let report = run.json();
    fits(&report);
    assert_eq!(report["outcome"], "declined");
    assert_eq!(report["negotiation"]["offered"], false);
    assert_eq!(report["negotiation"]["requested"], true);
    let hint = report["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("starttls connect smtp://{address} --cleartext")), "{hint}");
}

#[test]
fn retry_asks_again_on_the_same_connection() {
    let script = [
        send("454 4.7.0 Not yet\r\n"),
        Step::Hear(b"STARTTLS\r\n"),
        send("220 Now\r\n"),
        Step::HearAny,
        send(b"\x15\x03\x01\x00\x02\x02\x28"),
    ];
    let target = format!("smtp://{}", smtp_going_on(script));
    let run = Run::of(&mut starttls(["connect", &target])).exits(4);
    assert!(run.stderr.contains("hint: the server may be ready later: --retry 5"), "{}", run.stderr);
    // The server accepts the second request, and the handshake fails later.
    let run = Run::of(&mut starttls(["connect", &target, "--retry", "1"])).exits(5);
    assert_eq!(run.stderr.matches("C: STARTTLS").count(), 2, "{}", run.stderr);
    assert!(
        run.stderr.contains("S: 220 Now") && run.stderr.contains("alert handshake_failure (40)"),
        "{}",
        run.stderr
    );
}
