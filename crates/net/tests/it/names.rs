//! A name that there is no certificate for.

use std::sync::Arc;

use starttls::proto::smtp::SMTP;
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::rustls::{AlertDescription, Error as TlsError};
use starttls::{Acceptor, Error};
use tokio::io::duplex;
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};

#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

fn told(error: Error) {
    let alert = AlertDescription::UnrecognisedName;
    assert!(matches!(error, Error::Tls(TlsError::AlertReceived(it)) if it == alert), "{error:?}");
}

#[tokio::test]
async fn an_unknown_name_is_told_apart_from_other_troubles() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).resolver(Arc::new(Nobody)).build().unwrap();
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(&SMTP, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.expect("neither side hangs");
    told(client.unwrap_err());
    assert!(matches!(server, Err(Error::Tls(TlsError::General(_)))), "{server:?}");
}

/// Some servers end every handshake without a name, by one of several alerts.
#[tokio::test]
async fn an_address_is_no_name_and_a_server_that_needs_one_is_told_apart() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).resolver(Arc::new(Nobody)).build().unwrap();
    for target in ["127.0.0.1", "::1"] {
        let (near, far) = duplex(4096);
        let both = async { tokio::join!(connector.upgrade(&SMTP, target, near), acceptor.accept(far)) };
        let error = timeout(DEADLINE, both).await.expect("neither side hangs").0.unwrap_err();
        assert!(matches!(error, Error::NoServerName(TlsError::AlertReceived(_))), "{error:?}");
        assert!(error.to_string().contains("the ClientHello had no server name"), "{error}");
        assert!(error.hint().unwrap().contains("--server-name NAME"));
    }
}

#[tokio::test]
async fn the_blocking_driver_says_the_same() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).resolver(Arc::new(Nobody)).build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::task::spawn_blocking(move || acceptor.blocking().accept(listener.accept().unwrap().0));
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let client = timeout(DEADLINE, connector.upgrade(&SMTP, NAME, tcp)).await.unwrap();
    told(client.unwrap_err());
    assert!(timeout(DEADLINE, serving).await.unwrap().unwrap().is_err());
}
