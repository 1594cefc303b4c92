//! One deadline for all steps, for every peer that stalls (rule B6). The two sides never wait for each other.

use std::time::Duration;

use starttls::proto::smtp;
use starttls::{Connector, Endpoint, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::{ask_until_offer, hear, say, serve_until_request};

/// The limit for a peer that stalls at once.
const SHORT: Duration = Duration::from_millis(300);
/// The limit for a peer that stalls later: the steps before must end within it, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(1);

fn impatient(limit: Duration) -> Connector {
    Authority::new().connector().timeout(limit).build().unwrap()
}

fn step<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Timeout { step, limit: SHORT | LIMIT }) => step.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b6_silence() {
    let (near, _far) = duplex(64);
    let outcome = timeout(DEADLINE, impatient(SHORT).upgrade(&smtp::SMTP, NAME, near)).await.unwrap();
    assert_eq!(step(outcome), "the greeting");
}

#[tokio::test]
async fn b6_a_peer_that_sends_slowly() {
    let (near, mut far) = duplex(64);
    let dribble = async {
        while far.write_all(b"2").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let connector = impatient(SHORT);
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), dribble) };
    assert_eq!(step(timeout(DEADLINE, both).await.unwrap().0), "the greeting");
}

#[tokio::test]
async fn b6_a_peer_that_never_reads() {
    let (near, mut far) = duplex(1);
    far.write_all(b"2").await.unwrap();
    let connector = impatient(LIMIT);
    let silent = async {
        for byte in b"20 hi\r\n" {
            far.write_u8(*byte).await.unwrap();
        }
    };
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), silent) };
    assert_eq!(step(timeout(DEADLINE, both).await.unwrap().0), "the answer to the hello");
}

#[tokio::test]
async fn b6_in_the_handshake_of_the_client() {
    let (near, mut far) = duplex(4096);
    let server = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"220 go\r\n").await;
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
    };
    let connector = impatient(LIMIT);
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), server) };
    assert_eq!(step(timeout(DEADLINE, both).await.unwrap().0), "the TLS handshake");
}

#[tokio::test]
async fn b6_in_the_negotiation_and_the_handshake_of_the_server() {
    let acceptor = Authority::new().acceptor().timeout(LIMIT).build().unwrap();
    for (asks, expected) in [(false, "the upgrade request"), (true, "the TLS handshake")] {
        let (mut near, far) = duplex(4096);
        let client = async {
            ask_until_offer(&mut near).await;
            if asks {
                say(&mut near, b"STARTTLS\r\n").await;
                hear(&mut near, "\r\n").await;
            }
            near.read_to_end(&mut Vec::new()).await.unwrap();
        };
        let both = async { tokio::join!(acceptor.accept(far), client) };
        assert_eq!(step(timeout(DEADLINE, both).await.unwrap().0), expected);
    }
}

#[tokio::test]
async fn the_deadline_continues_between_negotiation_and_handshake() {
    let (near, mut far) = duplex(4096);
    let connector = impatient(LIMIT);
    let server = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"220 go\r\n").await;
    };
    let (ready, ()) = tokio::join!(connector.negotiate(&smtp::SMTP, NAME, near), server);
    sleep(LIMIT).await;
    assert_eq!(step(ready.unwrap().handshake().await), "the TLS handshake");
}

#[tokio::test]
async fn a_client_that_writes_before_it_reads_is_served() {
    let acceptor = Authority::new().acceptor().build().unwrap();
    let (mut near, far) = duplex(16);
    let client = async {
        // Neither the commands nor the answers fit into the pipe, so the server must read while it writes.
        near.write_all(&b"NOOP\r\n".repeat(200)).await.unwrap();
        near.write_all(b"QUIT\r\n").await.unwrap();
        hear(&mut near, "221 2.0.0 Bye\r\n").await
    };
    let both = async { tokio::join!(acceptor.accept(far), client) };
    let (outcome, heard) = timeout(DEADLINE, both).await.expect("neither side waits for the other");
    assert!(matches!(outcome, Err(Error::Quit(_))), "{outcome:?}");
    assert_eq!(heard.matches("250 2.0.0 OK\r\n").count(), 200);
}

#[tokio::test]
async fn tries_every_address_and_measures_each_step() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async { acceptor.accept(listener.accept().await.unwrap().0).await.unwrap() };
    // If localhost also has an IPv6 address, no server listens there.
    let to = Endpoint::new(NAME, 1).at("localhost", port);
    let both = async { tokio::join!(connector.connect(&smtp::SMTP, to), server) };
    let (client, _server) = timeout(DEADLINE, both).await.unwrap();
    let client = client.unwrap();
    let facts = client.facts();
    assert_eq!(facts.address, Some(listener.local_addr().unwrap()));
    let timings =
        [facts.timings.resolve, facts.timings.connect, facts.timings.negotiation, facts.timings.handshake];
    assert!(timings.iter().all(Option::is_some), "{timings:?}");
}

#[tokio::test]
async fn no_server_listens() {
    // It is bound, so that no other socket takes the port, and does not listen.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = reserved.local_addr().unwrap().port();
    let connector = Authority::new().connector().build().unwrap();
    let outcome = timeout(DEADLINE, connector.connect(&smtp::SMTP, ("127.0.0.1", port))).await.unwrap();
    assert!(matches!(outcome, Err(Error::Connect { tried: 1, .. })), "{outcome:?}");
}
