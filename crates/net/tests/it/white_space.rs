//! White space between a client's request and its ClientHello: only XMPP servers drop it (rule B2).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use starttls::proto::{ErrorKind, Protocol, smtp, xmpp};
use starttls::{Encrypted, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::{hear, say};

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='mail.example.com' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const REQUEST: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const GO_AHEAD: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

type Outcome = Result<Encrypted<DuplexStream>, Error>;

/// Runs a client that sends `behind` in the segment of its request, and `before` before its ClientHello.
async fn meet(protocol: &'static Protocol, behind: &str, before: &str) -> (Outcome, Outcome) {
    let authority = Authority::new();
    let connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(protocol).build().unwrap();
    let (mut near, far) = duplex(4096);
    let client = async {
        let (hello, offer, request, go_ahead) = match protocol.name {
            "xmpp" => (HEADER, "</stream:features>", REQUEST, GO_AHEAD),
            _ => ("EHLO me\r\n", "250 STARTTLS\r\n", "STARTTLS\r\n", "TLS\r\n"),
        };
        say(&mut near, hello.as_bytes()).await;
        hear(&mut near, offer).await;
        say(&mut near, format!("{request}{behind}").as_bytes()).await;
        hear(&mut near, go_ahead).await;
        for octet in before.bytes() {
            say(&mut near, &[octet]).await;
            tokio::task::yield_now().await;
        }
        connector.upgrade_implicit(protocol, NAME, near).await
    };
    timeout(DEADLINE, async { tokio::join!(client, acceptor.accept(far)) }).await.expect("nobody hangs")
}

#[tokio::test]
async fn b2_white_space_of_xmpp_clients_is_dropped() {
    for (behind, before) in [("\n", ""), ("", "\n"), (" \t", " \r\n"), ("", &*" ".repeat(64))] {
        let (client, server) = meet(&xmpp::XMPP, behind, before).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        client.write_all(b"inside").await.unwrap();
        client.flush().await.unwrap();
        let mut heard = [0; 6];
        timeout(DEADLINE, server.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"inside");
    }
}

#[tokio::test]
async fn b2_anything_else_before_tls_ends_the_connection() {
    let long = " ".repeat(65);
    for (protocol, before) in [
        (&xmpp::XMPP, " <"),
        (&xmpp::XMPP, "\u{b}"),
        (&xmpp::XMPP, "\0"),
        (&xmpp::XMPP, &*long),
        (&smtp::SMTP, "\n"),
    ] {
        let (client, server) = meet(protocol, "", before).await;
        assert!(matches!(server, Err(Error::PlaintextNotTls { .. })), "{before:?}: {server:?}");
        assert!(client.is_err(), "{before:?}");
    }
}

/// A server has no reason to send white space, so the client reports it as plaintext.
#[tokio::test]
async fn b2_a_client_drops_no_white_space() {
    let connector = Authority::new().connector().build().unwrap();
    let header = "<stream:stream from='mail.example.com' version='1.0' xmlns='jabber:client' id='1' \
        xmlns:stream='http://etherx.jabber.org/streams'><stream:features><starttls \
        xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
    for apart in [false, true] {
        let (near, mut far) = duplex(4096);
        let server = async {
            hear(&mut far, "streams'>").await;
            say(&mut far, header.as_bytes()).await;
            hear(&mut far, "/>").await;
            if !apart {
                return say(&mut far, format!("{GO_AHEAD}\n").as_bytes()).await;
            }
            say(&mut far, GO_AHEAD.as_bytes()).await;
            assert_eq!(far.read_u8().await.unwrap(), 0x16);
            say(&mut far, b"\n").await;
        };
        let both = async { tokio::join!(connector.upgrade(&xmpp::XMPP, NAME, near), server) };
        match timeout(DEADLINE, both).await.expect("nobody hangs").0 {
            Err(Error::Protocol(error)) if !apart => assert_eq!(error.kind, ErrorKind::BeyondBoundary),
            Err(Error::PlaintextNotTls { .. }) if apart => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn b2_the_blocking_driver_drops_the_same_white_space() {
    let authority = Authority::new();
    let connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(&xmpp::XMPP).build().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    let server = std::thread::spawn(move || acceptor.blocking().accept(far));
    let hear = |io: &mut UnixStream, end: &str| {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            let mut octet = [0];
            io.read_exact(&mut octet).unwrap();
            heard.extend(octet);
        }
    };
    near.write_all(HEADER.as_bytes()).unwrap();
    hear(&mut near, "</stream:features>");
    near.write_all(REQUEST.as_bytes()).unwrap();
    hear(&mut near, GO_AHEAD);
    near.write_all(b" \n").unwrap();
    let mut client = connector.blocking().upgrade_implicit(&xmpp::XMPP, NAME, near).unwrap();
    let mut server = server.join().unwrap().unwrap();
    client.write_all(b"inside").unwrap();
    let mut heard = [0; 6];
    server.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"inside");
}
