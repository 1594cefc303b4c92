//! Refusals: an error by default, a retry or cleartext on request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::{DeclinedReason, Quit, Refusal, Side, smtp};
use starttls::{Acceptor, Chunk, ConnectionPhase, Error, MaybeEncrypted};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::{ask_until_offer, hear, hear_all, say, serve_until_request};

#[tokio::test]
async fn c1_a_refusal_is_an_error_by_default() {
    let connector = Authority::new().connector().build().unwrap();
    let (near, mut far) = duplex(4096);
    let server = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"454 not now\r\n").await;
        hear_all(&mut far).await
    };
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), server) };
    let (outcome, last) = timeout(DEADLINE, both).await.unwrap();
    let error = outcome.unwrap_err();
    let Error::Declined(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.reason, DeclinedReason::Refused(Refusal::Temporary));
    assert_eq!(refused.offered, Some(true));
    assert_eq!(error.to_string(), r#"the server refuses TLS temporarily: "454 not now\r\n""#);
    assert!(error.hint().is_some());
    assert_eq!(last, b"", "not a byte in cleartext after the refusal");
}

#[tokio::test]
async fn retries_use_the_same_connection() {
    let authority = Authority::new();
    let connector = authority.connector().retries(2, Duration::from_millis(10)).build().unwrap();
    let acceptor = authority.acceptor().build().unwrap();
    let (near, mut far) = duplex(4096);
    let server = async {
        serve_until_request(&mut far).await;
        for _ in 0..2 {
            say(&mut far, b"454 not now\r\n").await;
            hear(&mut far, "STARTTLS\r\n").await;
        }
        say(&mut far, b"220 go\r\n").await;
        acceptor.accept_implicit(far).await.unwrap()
    };
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), server) };
    timeout(DEADLINE, both).await.unwrap().0.unwrap();
}

#[tokio::test]
async fn retries_end() {
    let connector = Authority::new().connector().retries(1, Duration::from_millis(10)).build().unwrap();
    let (near, mut far) = duplex(4096);
    let server = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"454 not now\r\n").await;
        hear(&mut far, "STARTTLS\r\n").await;
        say(&mut far, b"454 still not\r\n").await;
        hear_all(&mut far).await
    };
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), server) };
    let (outcome, last) = timeout(DEADLINE, both).await.unwrap();
    assert!(matches!(outcome, Err(Error::Declined(_))));
    assert_eq!(last, b"");
}

#[tokio::test]
async fn cleartext_only_by_name() {
    let connector = Authority::new().connector().build().unwrap();
    let (near, mut far) = duplex(4096);
    let server = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"502 never\r\n").await;
        assert_eq!(hear(&mut far, "\r\n").await, "NOOP\r\n");
    };
    let client = async {
        let outcome = connector.upgrade_or_cleartext(&smtp::SMTP, NAME, near).await.unwrap();
        let MaybeEncrypted::NotEncrypted(refused) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refused.refused().answer, b"502 never\r\n");
        refused.into_cleartext().write_all(b"NOOP\r\n").await.unwrap();
    };
    timeout(DEADLINE, async { tokio::join!(client, server) }).await.unwrap();
}

#[tokio::test]
async fn cleartext_is_refused_after_a_goodbye_or_with_unread_octets() {
    for last in [&b"421 too busy\r\n"[..], b"502 never\r\n250 surprise\r\n"] {
        let connector = Authority::new().connector().build().unwrap();
        let (near, mut far) = duplex(4096);
        let server = async {
            serve_until_request(&mut far).await;
            say(&mut far, last).await;
        };
        let both = async { tokio::join!(connector.upgrade_or_cleartext(&smtp::SMTP, NAME, near), server) };
        let (outcome, ()) = timeout(DEADLINE, both).await.unwrap();
        assert!(matches!(outcome, Err(Error::Declined(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn s5_a_server_without_a_certificate_refuses_temporarily() {
    let acceptor = Acceptor::builder(&smtp::SMTP, NAME).timeout(DEADLINE).build().unwrap();
    let (mut near, far) = duplex(4096);
    let client = async {
        hear(&mut near, "ESMTP\r\n").await;
        say(&mut near, b"STARTTLS\r\n").await;
        assert!(hear(&mut near, "\r\n").await.starts_with("454 "));
        say(&mut near, b"MAIL FROM:<>\r\n").await;
        assert!(hear(&mut near, "\r\n").await.starts_with("530 "));
        say(&mut near, b"QUIT\r\n").await;
        assert!(hear_all(&mut near).await.starts_with(b"221 "));
    };
    let (outcome, ()) =
        timeout(DEADLINE, async { tokio::join!(acceptor.accept(far), client) }).await.unwrap();
    assert!(matches!(outcome, Err(Error::Quit(Quit::ByClient))), "{outcome:?}");
}

#[tokio::test]
async fn b5_a_failed_handshake_closes_the_connection() {
    let acceptor = Authority::new().acceptor().build().unwrap();
    let (mut near, far) = duplex(4096);
    let client = async {
        ask_until_offer(&mut near).await;
        say(&mut near, b"STARTTLS\r\n").await;
        hear(&mut near, "\r\n").await;
        // The fatal alert handshake_failure.
        say(&mut near, b"\x15\x03\x03\x00\x02\x02\x28").await;
        hear_all(&mut near).await
    };
    let (outcome, last) =
        timeout(DEADLINE, async { tokio::join!(acceptor.accept(far), client) }).await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "the peer ended the TLS handshake with the alert handshake_failure (40)");
    assert!(!last.windows(4).any(|at| at == b"250 "), "no way back to cleartext: {last:?}");
}

#[tokio::test]
async fn observers_see_each_phase_of_both_sides() {
    let authority = Authority::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let observer = move |chunk: &Chunk<'_>| {
        noted.lock().unwrap().push((chunk.from, chunk.phase, chunk.bytes.to_vec()));
    };
    let connector = authority.connector().build().unwrap().observed_by(Arc::new(observer));
    let acceptor = authority.acceptor().build().unwrap();
    let (near, far) = duplex(4096);
    let client = async {
        let mut stream = connector.upgrade(&smtp::SMTP, NAME, near).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
    };
    let server = async {
        let mut stream = acceptor.accept(far).await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        stream.write_all(b"pong").await.unwrap();
        stream
    };
    timeout(DEADLINE, async { tokio::join!(client, server) }).await.unwrap();
    let seen = seen.lock().unwrap();
    let said = |from: Side, phase: ConnectionPhase| -> Vec<u8> {
        seen.iter().filter(|it| (it.0, it.1) == (from, phase)).flat_map(|it| it.2.clone()).collect()
    };
    assert_eq!(said(Side::Client, ConnectionPhase::Negotiation), b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n");
    assert!(said(Side::Server, ConnectionPhase::Negotiation).starts_with(b"220 mail.example.com ESMTP\r\n"));
    for side in [Side::Client, Side::Server] {
        assert!(said(side, ConnectionPhase::Handshake).starts_with(b"\x16\x03"));
    }
    assert_eq!(said(Side::Client, ConnectionPhase::Session), b"ping");
    assert_eq!(said(Side::Server, ConnectionPhase::Session), b"pong");
}
