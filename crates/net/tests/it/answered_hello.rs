//! A server's handshake in two halves.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use starttls::rustls::client::Resumption;
use starttls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use starttls::rustls::pki_types::CertificateDer;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::{self, ClientConfig, ClientConnection, HandshakeKind, RootCertStore};
use starttls::{Error, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};

/// A client without a driver: it sends when the test wants it to.
struct Client {
    tls: ClientConnection,
    io: DuplexStream,
}

impl Client {
    /// Sends a ClientHello and nothing more.
    async fn hello(config: &Arc<ClientConfig>, io: DuplexStream) -> Self {
        let tls = ClientConnection::new(config.clone(), NAME.try_into().unwrap()).unwrap();
        let mut client = Self { tls, io };
        client.send().await;
        client
    }

    async fn send(&mut self) {
        let mut octets = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut octets).unwrap();
        }
        self.io.write_all(&octets).await.unwrap();
    }

    async fn receive(&mut self) {
        let mut chunk = [0; 4096];
        let count = timeout(DEADLINE, self.io.read(&mut chunk)).await.unwrap().unwrap();
        assert!(count > 0, "the server closed the connection");
        let mut octets = &chunk[..count];
        while !octets.is_empty() {
            self.tls.read_tls(&mut octets).unwrap();
            self.tls.process_new_packets().unwrap();
        }
    }

    /// Completes the handshake, and waits for an octet of data.
    async fn complete(mut self) -> HandshakeKind {
        let mut octet = [0];
        while std::io::Read::read(&mut self.tls.reader(), &mut octet).is_err() {
            self.receive().await;
            self.send().await;
        }
        self.tls.handshake_kind().unwrap()
    }
}

fn config(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
    provider: Arc<CryptoProvider>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn all_groups() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn provider(groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() })
}

#[tokio::test]
async fn the_first_half_ends_before_the_client_says_more_than_its_hello() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut config = config(&authority, &[version], all_groups());
        config.resumption = Resumption::in_memory_sessions(8);
        let (config, acceptor) = (Arc::new(config), authority.acceptor().build().unwrap());
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (near, far) = duplex(1 << 16);
            let client = Client::hello(&config, near).await;
            let answered = timeout(DEADLINE, acceptor.answer_hello_implicit(far)).await.unwrap().unwrap();
            assert_eq!(answered.server_name().as_deref(), Some(NAME));
            let server = async {
                let mut stream = answered.finish().await.unwrap();
                assert_eq!(stream.facts().server_name.as_deref(), Some(NAME));
                // The tickets go out with it.
                stream.write_all(b"x").await.unwrap();
                stream.flush().await.unwrap();
                stream
            };
            let both = async { tokio::join!(server, client.complete()) };
            let (_stream, met) = timeout(DEADLINE, both).await.unwrap();
            assert_eq!(met, kind, "{version:?}");
        }
    }
}

#[tokio::test]
async fn the_first_half_of_an_upgrade_begins_with_the_greeting() {
    let authority = Authority::new();
    let acceptor = authority.acceptor().build().unwrap();
    let connector = authority.connector().build().unwrap();
    let (near, far) = duplex(1 << 16);
    let server = async { acceptor.answer_hello(far).await.unwrap().finish().await };
    let both = async { tokio::join!(connector.upgrade(acceptor.protocol(), NAME, near), server) };
    let (client, server) = timeout(DEADLINE, both).await.unwrap();
    assert!(client.is_ok() && server.is_ok());
}

#[tokio::test]
async fn a_request_for_another_hello_is_an_answer() {
    let authority = Authority::new();
    let acceptor =
        authority.acceptor().crypto_provider(provider(vec![aws_lc_rs::kx_group::X25519])).build().unwrap();
    let groups = vec![aws_lc_rs::kx_group::SECP384R1, aws_lc_rs::kx_group::X25519];
    let config = config(&authority, rustls::ALL_VERSIONS, provider(groups));
    let (near, far) = duplex(1 << 16);
    let client = Client::hello(&Arc::new(config), near).await;
    let answered = timeout(DEADLINE, acceptor.answer_hello_implicit(far)).await.unwrap().unwrap();
    assert_eq!(answered.server_name().as_deref(), Some(NAME));
    let server = async {
        let mut stream = answered.finish().await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (_stream, kind) = timeout(DEADLINE, async { tokio::join!(server, client.complete()) }).await.unwrap();
    assert_eq!(kind, HandshakeKind::FullWithHelloRetryRequest);
}

#[tokio::test]
async fn each_half_has_its_errors() {
    let authority = Authority::new();
    let acceptor = authority.acceptor().build().unwrap();
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, all_groups()));

    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"EHLO me\r\n").await.unwrap();
    let error = timeout(DEADLINE, acceptor.answer_hello_implicit(far)).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::PlaintextNotTls { .. }), "{error}");

    let (near, far) = duplex(1 << 16);
    let client = Client::hello(&config, near).await;
    let answered = timeout(DEADLINE, acceptor.answer_hello_implicit(far)).await.unwrap().unwrap();
    drop(client);
    let error = timeout(DEADLINE, answered.finish()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Io { step: Step::Handshake, .. }), "{error}");
}

/// The deadline does not start again with the second half.
#[tokio::test]
async fn both_halves_have_one_deadline() {
    let authority = Authority::new();
    // The first half takes milliseconds.
    let limit = Duration::from_secs(3);
    let acceptor = authority.acceptor().timeout(limit).build().unwrap();
    let (near, far) = duplex(1 << 16);
    let _client =
        Client::hello(&Arc::new(config(&authority, rustls::ALL_VERSIONS, all_groups())), near).await;
    let answered = acceptor.answer_hello_implicit(far).await.unwrap();
    tokio::time::sleep(limit).await;
    let mut finishing = pin!(answered.finish());
    let polled = poll_fn(|cx| Poll::Ready(finishing.as_mut().poll(cx))).await;
    assert!(matches!(polled, Poll::Ready(Err(Error::Timeout { step: Step::Handshake, .. }))), "{polled:?}");
}
