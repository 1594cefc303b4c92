//! Sessions inside TLS: data stays data, and tags cannot be guessed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    ClientMessage, DialectContext, Identity, Protocol, ServerSession, SessionCommand, imap, nntp, pop3, sieve,
};

fn identity(nonce: u64) -> DialectContext {
    Identity::new("mail.example.com").with_nonce(nonce)
}

/// Returns the messages that reach the application, and the answers of the session.
fn session(protocol: &Protocol, sent: &[&[u8]], chunk: usize) -> (Vec<Vec<u8>>, String) {
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    let mut inside = ServerSession::new(protocol, identity(0), &mut Vec::new());
    for piece in sent.concat().chunks(chunk) {
        assert!(inside.receive(piece).is_empty());
        while let Some(command) = inside.next(&mut said).unwrap() {
            match command {
                SessionCommand::Message(message) => heard.push(message),
                SessionCommand::Answered(_) => {}
                SessionCommand::Quit => heard.push(b"quit".to_vec()),
            }
        }
    }
    (heard, String::from_utf8(said).unwrap())
}

#[test]
fn imap_literals_reach_the_application_whole_and_unread() {
    let sent: [&[u8]; 7] = [
        b"a1 LOGIN {13}\r\n",
        b"a2 STARTTLS\r\n",
        b" {2}\r\n",
        b"\r\n",
        b"\r\n",
        b"a3 APPEND x {13+}\r\na4 STARTTLS\r\n\r\n",
        b"a5 STARTTLS\r\n",
    ];
    for chunk in [1, 7, 4096] {
        let (heard, said) = session(&imap::IMAP, &sent, chunk);
        assert_eq!(heard, sent[..6], "by {chunk}");
        assert_eq!(said, "a5 BAD TLS is active already\r\n");
    }
}

#[test]
fn an_imap_literal_may_be_longer_than_a_message() {
    let message = vec![b'x'; 200_000];
    let (heard, said) = session(&imap::IMAP, &[b"a1 APPEND x {200000}\r\n", &message, b"\r\n"], 1000);
    assert_eq!(heard[1..heard.len() - 1].concat(), message);
    assert_eq!(
        (heard.first(), heard.last()),
        (Some(&b"a1 APPEND x {200000}\r\n".to_vec()), Some(&b"\r\n".to_vec()))
    );
    assert_eq!(said, "");
}

#[test]
fn responses_to_challenges_reach_the_application() {
    for (protocol, sent) in [
        (&imap::IMAP, [b"a1 AUTHENTICATE PLAIN\r\n".as_slice(), b"AGZyZWQAcA==\r\n", b"*\r\n", b"\r\n"]),
        (&pop3::POP3, [b"AUTH PLAIN\r\n", b"AGZyZWQAcA==\r\n", b"*\r\n", b"\r\n"]),
        (
            &sieve::SIEVE,
            [b"AUTHENTICATE \"PLAIN\"\r\n", b"\"AGZyZWQAcA==\"\r\n", b"\"*\"\r\n", b"{2+}\r\nab\r\n"],
        ),
        (&nntp::NNTP, [b"AUTHINFO SASL PLAIN\r\n", b"AGZyZWQAcA==\r\n", b"*\r\n", b"=\r\n"]),
    ] {
        for chunk in [1, 4096] {
            let (heard, said) = session(protocol, &sent, chunk);
            assert_eq!(
                (heard.as_slice(), said.as_str()),
                (sent.map(<[u8]>::to_vec).as_slice(), ""),
                "{protocol:?}"
            );
        }
    }
}

#[test]
fn imap_tags_differ_from_session_to_session_and_from_command_to_command() {
    let tags = |nonce| {
        let mut dialect = imap::IMAP.new_dialect(identity(nonce));
        [(); 2].map(|()| {
            let mut line = Vec::new();
            dialect.write_client(ClientMessage::Request, &mut line);
            String::from_utf8(line).unwrap().trim_end_matches(" STARTTLS\r\n").to_owned()
        })
    };
    assert_eq!(tags(0), ["a1", "a2"]);
    let all = [tags(1), tags(2), tags(3)].concat();
    for (at, tag) in all.iter().enumerate() {
        assert!(tag.len() > 8 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{tag}");
        assert!(!all[..at].contains(tag), "{tag} twice");
    }
}
