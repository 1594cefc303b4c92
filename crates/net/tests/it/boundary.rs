//! No octet crosses the boundary: injections on both sides, in the same segment and in a later one.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use starttls::proto::{
    CapabilityRewrite, ClientMessage, Dialect, ErrorKind, Flow, Malformed, OfferPlace, Protocol, ReplyTo,
    Scan, ServerMessage, Side, smtp,
};
use starttls::{Encrypted, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::{OFFER, ask_until_offer, hear, hear_all, say, serve_until_request};

/// Runs the library's client against a scripted server, and checks that the connection is closed.
async fn client_against<F: Future<Output = DuplexStream>>(
    made: impl FnOnce(DuplexStream) -> F,
) -> Result<Encrypted<DuplexStream>, Error> {
    let connector = Authority::new().connector().retries(1, Duration::from_millis(200)).build().unwrap();
    let (near, far) = duplex(4096);
    let server = async {
        let mut io = made(far).await;
        hear_all(&mut io).await
    };
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), server) };
    timeout(DEADLINE, both).await.expect("nobody hangs").0
}

/// Runs the library's server against a scripted client. Returns the octets that the client received last.
async fn server_against<F: Future<Output = DuplexStream>>(
    made: impl FnOnce(DuplexStream) -> F,
) -> (Result<Encrypted<DuplexStream>, Error>, Vec<u8>) {
    let acceptor = Authority::new().acceptor().build().unwrap();
    let (near, far) = duplex(4096);
    let client = async {
        let mut io = made(near).await;
        hear_all(&mut io).await
    };
    timeout(DEADLINE, async { tokio::join!(acceptor.accept(far), client) }).await.expect("nobody hangs")
}

fn kind(outcome: Result<Encrypted<DuplexStream>, Error>) -> ErrorKind {
    match outcome {
        Err(Error::Protocol(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

fn plaintext(outcome: Result<Encrypted<DuplexStream>, Error>, from: Side) -> Error {
    match outcome {
        Err(error @ Error::PlaintextNotTls { by, .. }) if by == from => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b2_response_injected_with_the_go_ahead() {
    let outcome = client_against(async |mut io| {
        serve_until_request(&mut io).await;
        say(&mut io, b"220 go\r\n250 AUTH PLAIN\r\n").await;
        io
    });
    assert_eq!(kind(outcome.await), ErrorKind::BeyondBoundary);
}

#[tokio::test]
async fn b2_response_injected_one_segment_later() {
    let outcome = client_against(async |mut io| {
        serve_until_request(&mut io).await;
        say(&mut io, b"220 go\r\n").await;
        io.read_u8().await.unwrap();
        say(&mut io, b"250 AUTH PLAIN\x1b\r\n").await;
        io
    });
    let error = plaintext(outcome.await, Side::Server);
    assert_eq!(error.to_string(), r#"the server sent plaintext where TLS belongs: "250 AUTH PLAIN\x1b\r\n""#);
}

#[tokio::test]
async fn a_half_line_after_the_go_ahead_is_plaintext_too() {
    let outcome = client_against(async |mut io| {
        serve_until_request(&mut io).await;
        say(&mut io, b"220 go\r\n").await;
        io.read_u8().await.unwrap();
        say(&mut io, b"25").await;
        io.shutdown().await.unwrap();
        io
    });
    plaintext(outcome.await, Side::Server);
}

#[tokio::test]
async fn c3_answer_with_the_offer_is_too_early() {
    let outcome = client_against(async |mut io| {
        say(&mut io, b"220 hi\r\n").await;
        hear(&mut io, "EHLO [127.0.0.1]\r\n").await;
        say(&mut io, &[OFFER, b"220 go\r\n"].concat()).await;
        io
    });
    assert_eq!(kind(outcome.await), ErrorKind::EarlyAnswer);
}

#[tokio::test]
async fn c3_answer_that_waits_when_the_question_comes_is_too_early() {
    let outcome = client_against(async |mut io| {
        serve_until_request(&mut io).await;
        say(&mut io, b"454 wait\r\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        say(&mut io, b"220 go\r\n").await;
        io
    });
    assert_eq!(kind(outcome.await), ErrorKind::EarlyAnswer);
}

/// The client speaks first.
const UNGREETED: Protocol = Protocol { flow: Flow { greeting: false, ..smtp::SMTP.flow }, ..smtp::SMTP };

#[tokio::test]
async fn c3_answer_in_the_socket_before_the_first_question_is_too_early() {
    let connector = Authority::new().connector().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = connector.dial(("127.0.0.1", listener.local_addr().unwrap().port())).await.unwrap().stream;
    let mut server = listener.accept().unwrap().0;
    std::io::Write::write_all(&mut server, OFFER).unwrap();
    // Blocking on purpose: the runtime has not polled the socket when the negotiation starts.
    let has_arrived = || socket2::SockRef::from(&tcp).peek(&mut [MaybeUninit::uninit()]).is_ok();
    let began = Instant::now();
    while !has_arrived() {
        assert!(began.elapsed() < DEADLINE, "the offer has not arrived");
        std::thread::sleep(Duration::from_millis(1));
    }
    let outcome = timeout(DEADLINE, connector.upgrade(&UNGREETED, NAME, tcp)).await.unwrap();
    let Err(Error::Protocol(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::EarlyAnswer);
}

#[tokio::test]
async fn b4_command_injected_with_the_request_gets_no_go_ahead() {
    for injected in ["NOOP\r\n", "N"] {
        let (outcome, last) = server_against(async |mut io| {
            ask_until_offer(&mut io).await;
            say(&mut io, format!("STARTTLS\r\n{injected}").as_bytes()).await;
            io
        })
        .await;
        assert_eq!(kind(outcome), ErrorKind::BeyondBoundary);
        assert!(last.starts_with(b"421 "), "{last:?}");
    }
}

#[tokio::test]
async fn b2_command_injected_one_segment_later() {
    let (outcome, last) = server_against(async |mut io| {
        ask_until_offer(&mut io).await;
        say(&mut io, b"STARTTLS\r\n").await;
        hear(&mut io, "\r\n").await;
        say(&mut io, b"MAIL FROM:<>\r\n").await;
        io
    })
    .await;
    let error = plaintext(outcome, Side::Client);
    assert!(error.to_string().contains(r#""MAIL FROM:<>\r\n""#), "{error}");
    assert!(last.first() == Some(&0x15), "an alert and nothing else: {last:?}");
}

#[tokio::test]
async fn cleartext_on_the_port_of_implicit_tls() {
    let connector = Authority::new().connector().build().unwrap();
    let (near, mut far) = duplex(4096);
    say(&mut far, b"220 mail.example.com ESMTP\r\n").await;
    let outcome = timeout(DEADLINE, connector.upgrade_implicit(&smtp::SMTP, NAME, near)).await.unwrap();
    let error = plaintext(outcome, Side::Server);
    assert!(error.to_string().contains("it looks like SMTP or FTP"), "{error}");
    assert!(error.hint().unwrap().contains("starts in cleartext"));
}

#[tokio::test]
async fn implicit_tls_on_the_port_of_the_upgrade() {
    let outcome = client_against(async |mut io| {
        say(&mut io, b"\x15\x03\x01\x00\x02\x02\x46").await;
        io
    });
    let error = outcome.await.unwrap_err();
    assert!(error.hint().unwrap().contains("TLS from the first byte"), "{error}");
}

/// A protocol without an answer to the request, so that the ClientHello may arrive in the same segment.
const UNANSWERED: Protocol = Protocol {
    name: "unanswered",
    flow: Flow { offer: OfferPlace::InGreeting, request_is_answered: false, ..Flow::USUAL },
    dialect: |_| Box::new(Unanswered),
    ..smtp::SMTP
};

struct Unanswered;

impl starttls::proto::sealed::Sealed for Unanswered {}

impl Dialect for Unanswered {
    fn frame(&self, _: Side, _: ReplyTo, buf: &[u8], _: &mut Scan) -> Result<Option<usize>, Malformed> {
        Ok(buf.iter().position(|&byte| byte == b'\n').map(|at| at + 1))
    }

    fn read_client(&mut self, _: &[u8]) -> Result<ClientMessage, Malformed> {
        Ok(ClientMessage::Request)
    }

    fn read_server(&mut self, _: ReplyTo, _: &[u8]) -> Result<ServerMessage, Malformed> {
        Ok(ServerMessage::Offer { starttls: true })
    }

    fn write_client(&mut self, _: ClientMessage, out: &mut Vec<u8>) {
        out.extend_from_slice(b"tls\n");
    }

    fn write_server(&mut self, _: ServerMessage, out: &mut Vec<u8>) {
        out.extend_from_slice(b"hello\n");
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }
}

#[tokio::test]
async fn early_tls_is_passed_to_tls_only() {
    let authority = Authority::new();
    let connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(&UNANSWERED).build().unwrap();
    let (near, mut middle_near) = duplex(4096);
    let (mut middle_far, far) = duplex(4096);
    // Holds the request back until the ClientHello has begun, and sends both in one segment.
    let glue = async {
        let hello = hear(&mut middle_far, "\n").await;
        say(&mut middle_near, hello.as_bytes()).await;
        let mut both = vec![0; 300];
        middle_near.read_exact(&mut both).await.unwrap();
        assert!(both.starts_with(b"tls\n\x16\x03"), "the request and TLS behind it");
        say(&mut middle_far, &both).await;
        // The client has closed the connection before the server's last message.
        let _ = copy_bidirectional(&mut middle_near, &mut middle_far).await;
    };
    let ends = async {
        let client = async {
            let mut stream = connector.upgrade(&UNANSWERED, NAME, near).await.unwrap();
            stream.write_all(b"inside").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let server = async {
            let mut heard = String::new();
            acceptor.accept(far).await.unwrap().read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "inside");
        };
        tokio::join!(client, server);
    };
    timeout(DEADLINE, async { tokio::join!(glue, ends) }).await.expect("nobody hangs");
}

/// A probe with its own ClientHello gets the stream after the boundary, with every octet from there on.
#[cfg(feature = "raw-tls")]
#[tokio::test]
async fn b1_b2_a_raw_stream_starts_at_the_boundary() {
    for (go_ahead, clean) in
        [(&b"220 go\r\n"[..], true), (b"220 go\r\n\x15\x03", false), (b"220 go\r\n2", false)]
    {
        let connector = Authority::new().connector().build().unwrap();
        let (near, mut far) = duplex(4096);
        let server = async {
            serve_until_request(&mut far).await;
            say(&mut far, go_ahead).await;
            if clean {
                assert_eq!(far.read_u8().await.unwrap(), 0x16);
                say(&mut far, b"\x15\x03\x01").await;
            }
        };
        let client = async {
            let ready = connector.negotiate(&smtp::SMTP, NAME, near).await?;
            let mut raw = ready.into_raw_tls();
            raw.write_all(b"\x16").await.unwrap();
            let mut answer = [0; 3];
            raw.read_exact(&mut answer).await.unwrap();
            Ok(answer)
        };
        let both = async { tokio::join!(client, server) };
        match timeout(DEADLINE, both).await.expect("nobody hangs").0 {
            Ok(answer) => assert!(clean && answer == *b"\x15\x03\x01"),
            Err(Error::Protocol(error)) => {
                assert!(!clean && error.kind == ErrorKind::BeyondBoundary, "{error}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}
