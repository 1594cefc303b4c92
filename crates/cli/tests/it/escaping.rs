//! C7: data from a peer never reaches the terminal as a control sequence.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::spawn;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use starttls::Acceptor;
use starttls::proto::smtp;
use starttls_lab::ca::{Authority, Issued};

use crate::support::scripted_server::{Step, send, server, smtp_answering};
use crate::support::tls_server;
use crate::support::{Run, starttls};

/// Sets colors and the window title, moves the cursor, in 7-bit and 8-bit form, and reverses the writing direction.
const NASTY: &str = "\x1b[31m\x1b]0;owned\x07\u{9b}2J\u{202e}\x08";

/// Fails if either stream contains anything but plain text.
#[track_caller]
fn is_clean(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let raw = text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(raw, None, "{text:?}");
    }
}

fn everywhere(target: &str) -> [Run; 2] {
    ["text", "json"].map(|format| {
        let run = Run::of(&mut starttls(["connect", "--timeout", "20s", "--format", format, target]));
        is_clean(&run);
        run
    })
}

#[test]
fn c7_in_a_greeting() {
    let address = server([send(format!("* BYE {NASTY}\r\n")), Step::Stall]);
    for run in everywhere(&format!("imap://{address}")) {
        assert_eq!(run.code, 7);
        assert!((run.stdout + &run.stderr).contains("x1b[31m"), "it is shown, escaped");
    }
}

#[test]
fn c7_in_a_refusal() {
    let address = smtp_answering(format!("502 {NASTY}\r\n"));
    for run in everywhere(&format!("smtp://{address}")) {
        assert_eq!(run.code, 4);
        assert!((run.stdout + &run.stderr).contains("x1b[31m"));
    }
}

#[test]
fn c7_in_what_is_no_message_at_all() {
    for (scheme, code) in [("smtp", 6), ("ldap", 6), ("postgres", 6), ("mysql", 6), ("xmpp", 6), ("smtps", 5)]
    {
        let address = server([send(format!("{NASTY}\r\n{NASTY}")), Step::Stall]);
        for run in everywhere(&format!("{scheme}://{address}")) {
            assert_eq!(run.code, code, "{scheme}: {}", run.stderr);
        }
    }
}

#[test]
fn c7_in_the_words_of_binary_protocols() {
    let text = format!("SFATAL\0C53300\0M{NASTY}\0\0");
    let mut message = b"E".to_vec();
    message.extend((text.len() as u32 + 4).to_be_bytes());
    message.extend(text.as_bytes());
    let address = server([Step::HearAny, send(message), Step::Stall]);
    for run in everywhere(&format!("postgres://{address}")) {
        assert_eq!(run.code, 7, "{}", run.stderr);
        assert!((run.stdout + &run.stderr).contains("x1b[31m"));
    }
}

/// Returns a self-signed certificate with control sequences in every name.
fn nasty_certificate() -> Issued {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, NASTY);
    params.distinguished_name.push(DnType::OrganizationName, NASTY);
    let ascii = "\x1b[31m\x07.example.test";
    params.subject_alt_names = vec![
        SanType::DnsName(ascii.try_into().unwrap()),
        SanType::Rfc822Name(ascii.try_into().unwrap()),
        SanType::URI(ascii.try_into().unwrap()),
    ];
    let cert_pem = params.self_signed(&key).unwrap().pem();
    Issued { chain_pem: cert_pem.clone(), cert_pem, key_pem: key.serialize_pem() }
}

#[test]
fn c7_inside_the_names_of_a_certificate() {
    let issued = nasty_certificate();
    let acceptor =
        Acceptor::builder(&smtp::SMTP, "localhost").certificate_pem(issued.chain_pem, issued.key_pem);
    let acceptor = Arc::new(acceptor.build().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("smtp://{}", listener.local_addr().unwrap());
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            spawn(move || {
                acceptor
                    .blocking()
                    .accept(stream)
                    .map(|mut session| tls_server::hear(&mut session, b"QUIT\r\n"))
            });
        }
    });
    for format in ["text", "json"] {
        let run =
            Run::of(&mut starttls(["connect", "--insecure", "-v", "--format", format, &target])).exits(0);
        is_clean(&run);
        assert!((run.stdout + &run.stderr).contains("x1b[31m"), "it is shown, escaped");
        let run = Run::of(&mut starttls(["connect", "-v", "--format", format, &target])).exits(5);
        is_clean(&run);
    }
}

/// The session is data: a pipe receives it unchanged, a terminal receives it escaped.
#[test]
fn c7_inside_the_session_on_a_terminal() {
    let authority = Authority::new().unwrap();
    let address = tls_server::server(
        &smtp::SMTP,
        &authority,
        |it| it,
        |session| {
            session.write_all(format!("250 {NASTY} end\r\n").as_bytes()).unwrap();
            tls_server::hear(session, b"QUIT\r\n");
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let program = env!("CARGO_BIN_EXE_starttls");
    let line =
        format!("{program} connect -q --ca-file {} smtp://localhost:{}", ca_file.display(), address.port());

    let piped = Run::of(std::process::Command::new("sh").args(["-c", &line])).exits(0);
    assert_eq!(piped.stdout, format!("250 {NASTY} end\r\n"));

    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{line} </dev/null"), "/dev/null"]);
    let shown = Run::of(&mut script).exits(0);
    assert!(shown.stdout.contains("250 \\x1b[31m\\x1b]0;owned\\x07"), "{:?}", shown.stdout);
    let raw = shown.stdout.chars().find(|c| !"\r\n".contains(*c) && !(' '..='~').contains(c));
    assert_eq!(raw, None, "{:?}", shown.stdout);
}
