//! ALPN: the client offers the protocol's id, accepts a server without ALPN, and a server refuses ids of other
//! protocols.

use starttls::proto::{Protocol, postgres::POSTGRES, smtp};
use starttls::rustls::{AlertDescription, Error as TlsError};
use starttls::{Encrypted, Error};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};

const REGISTERED: Protocol = Protocol { alpn: Some("registered"), ..smtp::SMTP };

type Side = Result<Encrypted<DuplexStream>, Error>;

async fn meet(protocol: &'static Protocol, instead: Option<Vec<Vec<u8>>>) -> (Side, Side) {
    let authority = Authority::new();
    let connector = authority.connector();
    let connector = if let Some(ids) = instead { connector.alpn(ids) } else { connector };
    let connector = connector.build().unwrap();
    let acceptor = authority.acceptor_for(protocol).build().unwrap();
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(protocol, NAME, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs")
}

#[tokio::test]
async fn the_registered_id_is_offered_and_selected() {
    let (client, server) = meet(&REGISTERED, None).await;
    for side in [client, server] {
        assert_eq!(side.unwrap().facts().alpn.as_deref(), Some(&b"registered"[..]));
    }
}

#[tokio::test]
async fn without_an_id_nothing_is_offered() {
    let (client, server) = meet(&smtp::SMTP, None).await;
    for side in [client, server] {
        assert_eq!(side.unwrap().facts().alpn, None);
    }
}

#[tokio::test]
async fn s7_a_list_without_the_protocols_id_is_refused() {
    for protocol in [&REGISTERED, &smtp::SMTP] {
        let (client, server) = meet(protocol, Some(vec![b"h2".to_vec(), b"http/1.1".to_vec()])).await;
        let alert = AlertDescription::NoApplicationProtocol;
        assert!(matches!(client, Err(Error::Tls(TlsError::AlertReceived(it))) if it == alert), "{client:?}");
        assert!(matches!(server, Err(Error::Tls(TlsError::NoApplicationProtocol))), "{server:?}");
    }
}

#[tokio::test]
async fn s7_the_scheme_is_the_id_of_a_protocol_without_one() {
    let (client, _) = meet(&smtp::SMTP, Some(vec![b"smtp".to_vec()])).await;
    assert_eq!(client.unwrap().facts().alpn.as_deref(), Some(&b"smtp"[..]));
}

#[tokio::test]
async fn a_server_without_alpn_is_accepted() {
    let (client, _) = meet(&REGISTERED, Some(Vec::new())).await;
    assert_eq!(client.unwrap().facts().alpn, None);
}

/// Runs TLS from the first byte with these ids on the client, and with or without ALPN on the server.
async fn meet_at_the_first_byte(
    protocol: &'static Protocol,
    offered: Option<Vec<Vec<u8>>>,
    server_has_alpn: bool,
) -> (Side, Side) {
    let authority = Authority::new();
    let connector = authority.connector();
    let connector = if let Some(ids) = offered { connector.alpn(ids) } else { connector };
    let connector = connector.build().unwrap();
    let acceptor = authority.acceptor_for(protocol);
    let acceptor = if server_has_alpn { acceptor } else { acceptor.without_alpn() };
    let acceptor = acceptor.build().unwrap();
    let (near, far) = duplex(4096);
    let both = async {
        tokio::join!(connector.upgrade_implicit(protocol, NAME, near), acceptor.accept_implicit(far))
    };
    timeout(DEADLINE, both).await.expect("neither side hangs")
}

#[tokio::test]
async fn postgresql_negotiates_its_id_at_the_first_byte() {
    let (client, server) = meet_at_the_first_byte(&POSTGRES, None, true).await;
    for side in [client, server] {
        assert_eq!(side.unwrap().facts().alpn.as_deref(), Some(&b"postgresql"[..]));
    }
}

#[tokio::test]
async fn postgresql_at_the_first_byte_is_refused_without_alpn() {
    let (client, _) = meet_at_the_first_byte(&POSTGRES, None, false).await;
    let error = client.unwrap_err();
    assert!(
        error.to_string().contains("the server did not select the ALPN protocol \"postgresql\""),
        "{error}"
    );
    assert!(error.is_in_handshake() && error.hint().is_some_and(|hint| hint.contains("ALPN")), "{error}");
    let (_, server) = meet_at_the_first_byte(&POSTGRES, Some(Vec::new()), true).await;
    let error = server.unwrap_err();
    assert!(
        error.to_string().contains("the client did not offer the ALPN protocol \"postgresql\""),
        "{error}"
    );
    // The other protocols do not require it.
    let (client, server) = meet_at_the_first_byte(&smtp::SMTP, None, false).await;
    assert!(client.is_ok() && server.is_ok());
}

#[test]
fn postgresql_at_the_first_byte_is_refused_without_alpn_blocking() {
    let authority = Authority::new();
    let connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(&POSTGRES).without_alpn().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        std::thread::spawn(move || acceptor.blocking().accept_implicit(listener.accept().unwrap().0));
    let client = std::net::TcpStream::connect(address).unwrap();
    let client = connector.blocking().upgrade_implicit(&POSTGRES, NAME, client);
    assert!(matches!(client, Err(Error::NoAlpn { id: "postgresql", .. })), "{client:?}");
    assert!(server.join().unwrap().is_ok());
}

#[tokio::test]
async fn postgresql_after_an_ssl_request_does_without_alpn() {
    let (client, _) = meet(&POSTGRES, Some(Vec::new())).await;
    assert_eq!(client.unwrap().facts().alpn, None);
}
