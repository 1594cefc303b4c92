//! A wrong port for the mode or the protocol: the error names what was found and the URL to use instead.

use std::net::SocketAddr;

use crate::support::scripted_server::{Step, send, server};
use crate::support::{Run, starttls};
use crate::{connect_as, endpoint, lab, shows};

/// Starts a web server that answers any data with an error.
fn web() -> SocketAddr {
    server([Step::HearAny, send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")])
}

/// Connects with `scheme` to a scripted server and returns the exit code and the error, without the conversation.
fn at(scheme: &str, address: SocketAddr) -> (i32, String) {
    let target = format!("{scheme}://{address}");
    outcome(Run::of(&mut starttls(["connect", "--timeout", "10s", &target])))
}

fn outcome(run: Run) -> (i32, String) {
    let lines = run.stderr.lines().filter(|line| line.starts_with("error: ") || line.starts_with("hint: "));
    // How much was received after the first line depends on timing.
    let lines = lines.map(|line| match line.split_once("\\r\\n") {
        Some((first, _)) => format!("{first}\\r\\n\""),
        None => line.to_owned(),
    });
    (run.code, lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_lab_by_another_scheme_than_its_own() {
    let lab = lab();
    let cases = [
        // STARTTLS to a server with TLS from the first byte: the server waits or sends an alert.
        ("imap", "imaps", 6),
        ("submission", "smtps", 6),
        ("smtp", "smtps", 6),
        ("ldap", "ldaps", 6),
        ("xmpp", "xmpps", 6),
        ("postgres", "ldaps", 6),
        // TLS from the first byte to a server that starts in cleartext.
        ("imaps", "imap", 5),
        ("smtps", "smtp", 5),
        ("smtps", "submission", 5),
        ("xmpps", "xmpp", 5),
        ("ldaps", "ldap", 5),
        ("imaps", "smtp", 5),
        // Another protocol.
        ("imap", "smtp", 6),
        ("smtp", "imap", 6),
        ("pop3", "imap", 6),
        ("sieve", "pop3", 6),
        ("smtp", "nntp", 6),
        ("mysql", "smtp", 6),
    ];
    // The commands mostly wait, so they run in parallel.
    let ended = std::thread::scope(|scope| {
        let dial = |dialled, serves| {
            let mut command = connect_as(&lab, dialled, endpoint(&lab, serves));
            scope.spawn(move || outcome(Run::of(command.args(["--timeout", "20s"]))))
        };
        cases.map(|(dialled, serves, _)| dial(dialled, serves)).map(|it| it.join().unwrap())
    });
    let mut all = String::new();
    for ((dialled, serves, code), (ended, said)) in cases.iter().zip(&ended) {
        all += &format!("{dialled}:// where {serves}:// is served, exit {ended}\n{said}\n\n");
        assert_eq!(ended, code, "{dialled} at {serves}: {said}");
    }
    shows!("wrong-port", all);
}

#[test]
fn a_web_server_where_something_else_belongs() {
    let mut all = String::new();
    for (scheme, code) in [("smtp", 6), ("ldap", 6), ("imaps", 5), ("https", 5), ("xmpp", 6)] {
        let (ended, said) = at(scheme, web());
        all += &format!("{scheme}:// at a web server, exit {ended}\n{said}\n\n");
        assert_eq!(ended, code, "{scheme}: {said}");
    }
    shows!("wrong-port-web", all);
}

#[test]
fn a_port_that_closes_without_a_word_is_asked_what_it_speaks() {
    let silent = server([Step::HearAny, send(b"\x15\x03\x01\x00\x02\x02\x46")]);
    let (code, said) = at("nntp", silent);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("starts TLS at the first byte: use nntps://127.0.0.1:"), "{said}");
}

#[test]
fn a_port_that_has_no_answer_to_a_client_hello_may_start_in_cleartext() {
    for step in [Step::HearAny, Step::Stall] {
        let (code, said) = at("ldaps", server([step]));
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("the TLS handshake"), "{said}");
        assert!(said.contains("starts in cleartext, use ldap://127.0.0.1:"), "{said}");
    }
}

#[test]
fn an_address_of_ipv6_stays_in_brackets() {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::Write;
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"+OK POP3 ready\r\n");
        }
    });
    let run = Run::of(&mut starttls(["connect", &format!("imap://[::1]:{port}")])).exits(6);
    assert!(run.stderr.contains(&format!("use pop3://[::1]:{port}")), "{}", run.stderr);
}

#[test]
fn check_and_connect_say_the_same_by_their_exit_codes() {
    let lab = lab();
    for (dialled, serves) in [("imap", "imaps"), ("ldap", "ldaps"), ("smtp", "imap")] {
        let port = endpoint(&lab, serves).address.port();
        let target = format!("{dialled}://localhost:{port}");
        for command in ["check", "connect"] {
            Run::of(&mut starttls([command, "--timeout", "20s", &target])).exits(6);
        }
    }
}

/// The timeout is longer than the limit of the test: only a diagnosis ends the command in time.
#[test]
fn a_silent_port_is_diagnosed_long_before_the_timeout() {
    let lab = lab();
    let address = endpoint(&lab, "imaps").address;
    let target = format!("imap://{address}");
    for command in [&["check"][..], &["connect"], &["login", "--user", "test"]] {
        let mut run = starttls(command);
        let run =
            Run::of(run.env("STARTTLS_PASSWORD", "secret").args(["--timeout", "10m", &target])).exits(6);
        let said = run.stdout + &run.stderr;
        assert!(said.contains(&format!("use imaps://{address}")), "{command:?}: {said}");
    }
}

/// RFC 6120 section 4.9.3.6: a server that does not serve the requested domain is not faulty.
#[test]
fn a_domain_that_is_not_served_is_declined() {
    let lab = lab();
    let target = format!("xmpp://localhost:{}", endpoint(&lab, "xmpp").address.port());
    for command in ["check", "connect"] {
        let run = Run::of(&mut starttls([command, "--server-name", "other.example", &target])).exits(4);
        let said = run.stdout + &run.stderr;
        assert!(said.contains("host-unknown"), "{said}");
    }
}
