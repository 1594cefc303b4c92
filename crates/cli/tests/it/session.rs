//! Standard input and standard output during the session inside TLS.

use std::sync::mpsc::channel;

use starttls::proto::{Protocol, postgres, smtp};
use starttls_lab::ca::Authority;

use crate::support::process::{DEADLINE, Live};
use crate::support::tls_server::{self, Duplex};
use crate::support::{Run, starttls};
use crate::{connect, lab};

#[test]
fn lines_are_sent_with_crlf_and_the_session_ends_with_a_goodbye() {
    let lab = lab();
    let mail = b"EHLO me\nMAIL FROM:<a@example.test>\nRCPT TO:<test@example.test>\nDATA\nSubject: hi\n\nIt works.\n.\n";
    let run = Run::with_input(connect(&lab, "smtp").arg("-q"), mail).exits(0);
    assert!(run.stdout.contains("\r\n354 ") && run.stdout.contains("221 "), "{}", run.stdout);
    let mail = lab.store().mail();
    assert!(mail.last().unwrap().text.ends_with(b"Subject: hi\r\n\r\nIt works.\r\n"));

    let run = Run::with_input(connect(&lab, "imap").arg("-q"), b"a1 CAPABILITY\n").exits(0);
    assert!(run.stdout.contains("a1 OK") && run.stdout.contains("* BYE"), "{}", run.stdout);
}

#[test]
fn on_a_terminal_it_says_how_to_leave() {
    let lab = lab();
    let command = connect(&lab, "smtp");
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.collect::<Vec<_>>().join(std::ffi::OsStr::new(" "));
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command"]).arg(line).arg("/dev/null");
    let mut live = Live::start(&mut script);
    live.hears("Ctrl-D ends the session");
    live.say(b"NOOP\n");
    live.hears("250 2.0.0 OK");
    live.say(b"\x04");
    live.hears("221 2.0.0 Bye");
    live.end().exits(0);
}

/// Returns what a server of this protocol receives inside TLS, up to `end`, if the user types `typed`.
fn heard(protocol: &'static Protocol, typed: &[u8], end: &'static [u8]) -> Vec<u8> {
    let authority = Authority::new().unwrap();
    let (sender, receiver) = channel();
    let inside = move |session: &mut dyn Duplex| sender.send(tls_server::hear(session, end)).unwrap();
    let address = tls_server::server(protocol, &authority, |it| it, inside);
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let target = format!("{}://localhost:{}", protocol.name, address.port());
    Run::with_input(starttls(["connect", &target, "--ca-file"]).arg(ca_file), typed).exits(0);
    receiver.recv_timeout(DEADLINE).unwrap()
}

#[test]
fn binary_protocols_get_bytes_as_they_are() {
    let typed = b"\x00\x00\n\r\n\xff\r\x00";
    assert_eq!(heard(&postgres::POSTGRES, typed, b"the end"), typed);
    assert_eq!(heard(&smtp::SMTP, b"one\ntwo\r\nthree\n", b"QUIT\r\n"), b"one\r\ntwo\r\nthree\r\nQUIT\r\n");
}

#[test]
fn the_goodbye_is_the_protocols_own() {
    for (scheme, goodbye) in [
        ("smtp", &b"QUIT\r\n"[..]),
        ("lmtp", b"QUIT\r\n"),
        ("imap", b" LOGOUT\r\n"),
        ("pop3", b"QUIT\r\n"),
        ("sieve", b"LOGOUT\r\n"),
        ("nntp", b"QUIT\r\n"),
        ("ftp", b"QUIT\r\n"),
        ("irc", b"QUIT\r\n"),
        ("nut", b"LOGOUT\n"),
        // NBD_OPT_ABORT.
        ("nbd", b"IHAVEOPT\0\0\0\x02\0\0\0\0"),
        // Close.
        ("mysqlx", b"\x01\0\0\0\x03"),
        // An MCS Disconnect Provider Ultimatum (T.125 section 7).
        ("rdp", b"\x03\0\0\x09\x02\xf0\x80\x21\x80"),
        // UnbindRequest (RFC 4511 section 4.3).
        ("ldap", b"\x42\x00"),
        ("xmpp", b"</stream:stream>"),
    ] {
        let said = heard(starttls::proto::protocol(scheme).unwrap(), b"", goodbye);
        assert!(
            said.ends_with(goodbye) && said.len() <= goodbye.len() + 20,
            "{scheme}: {}",
            said.escape_ascii()
        );
    }
}

#[test]
fn a_server_that_closes_first_ends_the_program() {
    let authority = Authority::new().unwrap();
    let address = tls_server::server(
        &smtp::SMTP,
        &authority,
        |it| it,
        |session| {
            session.write_all(b"421 Closing\r\n").unwrap();
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let target = format!("smtp://localhost:{}", address.port());
    // The command ends although its standard input stays open.
    let live = Live::start(starttls(["connect", "-q", &target, "--ca-file"]).arg(ca_file));
    assert_eq!(live.end().exits(0).stdout, "421 Closing\r\n");
}

#[test]
fn a_session_goes_back_and_forth() {
    let lab = lab();
    let mut live = Live::start(&mut connect(&lab, "pop3"));
    live.is_told("Visible");
    live.say(format!("USER {}\n", lab.user()).as_bytes());
    live.hears("+OK");
    live.say(format!("PASS {}\n", lab.password()).as_bytes());
    live.say(b"RETR 1\n");
    live.hears("You read this inside TLS.\r\n");
    live.hang_up();
    live.end().exits(0);
}

#[test]
fn a_server_that_never_answers_the_goodbye_is_left() {
    let authority = Authority::new().unwrap();
    let inside = |session: &mut dyn Duplex| drop(tls_server::rest(session));
    let address = tls_server::server(&smtp::SMTP, &authority, |it| it, inside);
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let target = format!("smtp://localhost:{}", address.port());
    for format in ["text", "json"] {
        Run::of(starttls(["connect", "--format", format, &target, "--ca-file"]).arg(&ca_file)).exits(0);
    }
}

#[test]
fn a_session_that_was_cut_off_ends_with_a_note() {
    let authority = Authority::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let issued = authority.issue(&starttls_lab::ca::Leaf::named("localhost")).unwrap();
    let builder = starttls::Acceptor::builder(&smtp::SMTP, "localhost");
    let acceptor = builder.certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    for in_order in [false, true] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = acceptor.clone();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut session = acceptor.blocking().accept(listener.accept().unwrap().0).unwrap();
            session.write_all(b"250 half of wh").and_then(|()| session.flush()).unwrap();
            // Reads the client's goodbye first: closing with unread data would reset the connection.
            let _ = session.read(&mut [0; 64]);
            if in_order {
                session.close().unwrap();
            }
        });
        let target = format!("smtp://localhost:{}", address.port());
        let mut command =
            starttls(["connect", &target, "--connect", &address.to_string(), "--no-system-roots"]);
        let run = Run::of(command.arg("--ca-file").arg(&ca_file)).exits(0);
        server.join().unwrap();
        assert_eq!(run.stderr.contains("without close_notify"), !in_order, "{}", run.stderr);
        assert!(run.stdout.contains("250 half of wh"), "{}", run.stdout);
    }
}

#[test]
fn json_has_the_certificates_in_pem_and_their_pins() {
    let lab = lab();
    let run = Run::of(connect(&lab, "smtp").args(["--format", "json"])).exits(0);
    let report = run.json();
    let certificate = &report["certificate"];
    let pem = certificate["pem"][0].as_str().unwrap();
    assert!(
        pem.starts_with("-----BEGIN CERTIFICATE-----\nMI") && pem.ends_with("-----END CERTIFICATE-----\n")
    );
    assert!(pem.lines().all(|line| line.len() <= 64), "{pem}");
    // 32 octets in Base64.
    assert_eq!(certificate["pins"][0].as_str().unwrap().len(), 44, "{certificate}");
    assert_eq!(certificate["pem"].as_array().unwrap().len(), certificate["chain"].as_array().unwrap().len());
}
