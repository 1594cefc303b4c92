//! ALPN: offered when there is an id, tolerated when there is no answer, refused when nothing matches.

use starttls::proto::{Protocol, smtp};
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
async fn the_registered_id_is_offered_and_agreed_on() {
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
async fn s7_a_list_with_nothing_of_ours_is_refused() {
    for protocol in [&REGISTERED, &smtp::SMTP] {
        let (client, server) = meet(protocol, Some(vec![b"h2".to_vec(), b"http/1.1".to_vec()])).await;
        let alert = AlertDescription::NoApplicationProtocol;
        assert!(matches!(client, Err(Error::Tls(TlsError::AlertReceived(it))) if it == alert), "{client:?}");
        assert!(matches!(server, Err(Error::Tls(TlsError::NoApplicationProtocol))), "{server:?}");
    }
}

#[tokio::test]
async fn s7_a_protocol_without_an_id_goes_by_its_scheme() {
    let (client, _) = meet(&smtp::SMTP, Some(vec![b"smtp".to_vec()])).await;
    assert_eq!(client.unwrap().facts().alpn.as_deref(), Some(&b"smtp"[..]));
}

#[tokio::test]
async fn a_server_that_knows_no_alpn_is_tolerated() {
    let (client, _) = meet(&REGISTERED, Some(Vec::new())).await;
    assert_eq!(client.unwrap().facts().alpn, None);
}
