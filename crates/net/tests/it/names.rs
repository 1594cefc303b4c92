//! Server names without a certificate, and the names that the client sends.

use std::io::{Read, Write};
use std::sync::Arc;

use starttls::proto::http::HTTP;
use starttls::proto::smtp::SMTP;
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::rustls::{AlertDescription, Error as TlsError};
use starttls::{Acceptor, Endpoint, Error, MaybeEncrypted};
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
async fn an_unknown_name_has_an_alert_of_its_own() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).cert_resolver(Arc::new(Nobody)).build().unwrap();
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(&SMTP, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.expect("neither side hangs");
    told(client.unwrap_err());
    assert!(matches!(server, Err(Error::Tls(TlsError::General(_)))), "{server:?}");
}

/// Some servers end every handshake without a server name, with one of several alerts.
#[tokio::test]
async fn a_server_that_requires_a_server_name_has_an_error_of_its_own() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).cert_resolver(Arc::new(Nobody)).build().unwrap();
    for target in ["127.0.0.1", "::1"] {
        let (near, far) = duplex(4096);
        let both = async { tokio::join!(connector.upgrade(&SMTP, target, near), acceptor.accept(far)) };
        let error = timeout(DEADLINE, both).await.expect("neither side hangs").0.unwrap_err();
        assert!(matches!(error, Error::NoServerName(TlsError::AlertReceived(_))), "{error:?}");
        assert!(error.to_string().contains("the ClientHello had no server name"), "{error}");
        assert!(error.hint().unwrap().contains("set the server name"));
    }
}

#[tokio::test]
async fn the_blocking_driver_returns_the_same_error() {
    let connector = Authority::new().connector().build().unwrap();
    let acceptor = Acceptor::builder(&SMTP, NAME).cert_resolver(Arc::new(Nobody)).build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::task::spawn_blocking(move || acceptor.blocking().accept(listener.accept().unwrap().0));
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let client = timeout(DEADLINE, connector.upgrade(&SMTP, NAME, tcp)).await.unwrap();
    told(client.unwrap_err());
    assert!(timeout(DEADLINE, serving).await.unwrap().unwrap().is_err());
}

/// RFC 9110 section 7.2: neither the address to connect to nor the verified name changes the authority.
#[tokio::test]
async fn the_host_field_is_the_authority_of_the_url_on_both_drivers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, hosts) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let host = head.lines().find_map(|line| line.strip_prefix("Host: "));
            sender.send(host.unwrap_or_default().to_owned()).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let connector = Authority::new().connector().build().unwrap();
    for (host, url_port, expected) in [
        ("mail.example.com", 80, "mail.example.com"),
        ("mail.example.com", 8080, "mail.example.com:8080"),
        ("::1", 8080, "[::1]:8080"),
        ("[::1]", 80, "[::1]"),
    ] {
        let url = Endpoint::new(host, url_port).at("127.0.0.1", port);
        for to in [url.clone(), url.with_server_name("other.example.com")] {
            let error = connector.connect(&HTTP, to.clone()).await.unwrap_err();
            assert!(matches!(error, Error::Declined(_)), "{error:?}");
            let refused = connector.connect_or_cleartext(&HTTP, to.clone()).await.unwrap();
            assert!(matches!(refused, MaybeEncrypted::NotEncrypted(_)));
            let (tcp, identity) =
                (connector.dial(to.clone()).await.unwrap().stream, connector.identity_for(&HTTP, &to));
            let asked = connector.upgrade_as(&HTTP, identity, to.server_name(), tcp).await;
            assert!(matches!(asked, Err(Error::Declined(_))));
            let blocking = connector.clone();
            let both = tokio::task::spawn_blocking(move || {
                let connector = blocking.blocking();
                (
                    connector.connect(&HTTP, to.clone()).is_err(),
                    connector.connect_or_cleartext(&HTTP, to).is_ok(),
                )
            });
            assert_eq!(both.await.unwrap(), (true, true));
            for _ in 0..5 {
                assert_eq!(hosts.recv_timeout(DEADLINE).unwrap(), expected);
            }
        }
    }
}
