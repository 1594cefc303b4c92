//! What a program may replace: the verifier, the source of cryptography, the whole TLS configuration, the ALPN ids and the
//! client's name of one connection. And what STARTTLS keeps for itself in a configuration that it takes over.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use starttls::proto::{ChannelBinding, Protocol, smtp};
use starttls::rustls::client::Resumption;
use starttls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use starttls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use starttls::rustls::{
    self, ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme,
};
use starttls::{
    Acceptor, AcceptorBuilder, CertificateVerdict, ClientAuth, Connector, ConnectorBuilder, Encrypted, Error,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, Leaf, NAME};

type Side = Result<Encrypted<DuplexStream>, Error>;

const REGISTERED: Protocol = Protocol { alpn: Some("registered"), ..smtp::SMTP };

async fn meet(connector: &Connector, acceptor: &Acceptor) -> (Side, Side) {
    let (near, far) = duplex(4096);
    let both =
        async { tokio::join!(connector.upgrade(acceptor.protocol(), NAME, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs")
}

fn first(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Accepts one certificate, by its hash.
#[derive(Debug)]
struct Pinned(Vec<u8>, CryptoProvider);

impl Pinned {
    fn to(certificate: &CertificateDer<'_>) -> Arc<Self> {
        Arc::new(Self(Sha256::digest(certificate).to_vec(), aws_lc_rs::default_provider()))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match Sha256::digest(end_entity).to_vec() == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(String::from("it is not the pinned certificate"))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

fn presenting(leaf: &Leaf) -> AcceptorBuilder {
    Acceptor::builder(&smtp::SMTP, NAME).certificate_pem(leaf.chain.clone(), leaf.key.clone())
}

#[tokio::test]
async fn a_verifier_replaces_the_roots() {
    let authority = Authority::new();
    // Neither the name nor the root is one that the default verifier would accept.
    let leaf = authority.issue("other.example");
    let acceptor = presenting(&leaf).build().unwrap();
    let pinned = Connector::builder().verifier(Pinned::to(&first(&leaf.chain))).build().unwrap();
    let (client, server) = meet(&pinned, &acceptor).await;
    let (client, _) = (client.unwrap(), server.unwrap());
    assert_eq!(client.facts().verdict, CertificateVerdict::AcceptedByCaller);
    assert_eq!(client.facts().chain, [first(&leaf.chain)]);
    assert!(client.facts().path.is_empty(), "the library knows no path");
}

#[tokio::test]
async fn an_error_of_the_verifier_is_a_certificate_that_is_not_accepted() {
    let authority = Authority::new();
    let leaf = authority.issue(NAME);
    let acceptor = presenting(&leaf).build().unwrap();
    let verifier = Pinned::to(&first(&authority.issue(NAME).chain));
    let pinned = Connector::builder().verifier(verifier.clone()).build().unwrap();
    let (client, _) = meet(&pinned, &acceptor).await;
    let Err(error @ Error::Certificate { .. }) = client else { panic!("{client:?}") };
    assert!(error.to_string().contains("it is not the pinned certificate"), "{error}");
    let Error::Certificate { chain, .. } = error else { unreachable!() };
    assert_eq!(chain, [first(&leaf.chain)]);

    let insecure = Connector::builder().verifier(verifier).insecure().build().unwrap();
    let (client, _) = meet(&insecure, &acceptor).await;
    let verdict = client.unwrap().facts().verdict.clone();
    assert!(matches!(verdict, CertificateVerdict::Failed(_)), "{verdict}");
}

/// Returns a configuration as a program has it for HTTP: with resumption, early data, and ids of its own.
fn http_config(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(first(&authority.pem())).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[tokio::test]
async fn a_taken_over_config_neither_resumes_nor_offers_another_protocol() {
    let authority = Authority::new();
    let connector = Connector::builder().tls_config(http_config(&authority)).build().unwrap();
    let acceptor = authority.acceptor_for(&REGISTERED).build().unwrap();
    for _ in 0..2 {
        let (client, server) = meet(&connector, &acceptor).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        // The tickets arrive with the first data.
        server.write_all(b"+").await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(timeout(DEADLINE, client.read_u8()).await.unwrap().unwrap(), b'+');
        assert!(client.tickets_received() > 0, "the server offers resumption");
        let facts = client.facts();
        assert_eq!(facts.verdict, CertificateVerdict::AcceptedByCaller);
        assert_eq!(facts.alpn.as_deref(), Some(&b"registered"[..]));
        assert_eq!(facts.kind, Some(HandshakeKind::Full));
    }
    // The configuration's own verifier decides.
    let stranger = Authority::new().acceptor_for(&REGISTERED).build().unwrap();
    let (client, _) = meet(&connector, &stranger).await;
    assert!(matches!(client, Err(Error::Certificate { .. })), "{client:?}");
}

#[tokio::test]
async fn a_verifier_beside_a_config_is_recorded() {
    let authority = Authority::new();
    let leaf = authority.issue("other.example");
    let connector = Connector::builder()
        .tls_config(http_config(&authority))
        .verifier(Pinned::to(&first(&leaf.chain)))
        .build()
        .unwrap();
    let (client, _) = meet(&connector, &presenting(&leaf).build().unwrap()).await;
    assert_eq!(client.unwrap().facts().verdict, CertificateVerdict::AcceptedByCaller);
}

#[test]
fn a_setting_that_a_config_contains_is_refused_beside_it() {
    let authority = Authority::new();
    let with = |change: fn(ConnectorBuilder) -> ConnectorBuilder| {
        change(Connector::builder().tls_config(http_config(&authority))).build().unwrap_err().to_string()
    };
    for (setting, error) in [
        ("roots_pem", with(|builder| builder.roots_pem(""))),
        ("no_system_roots", with(ConnectorBuilder::no_system_roots)),
        ("insecure", with(ConnectorBuilder::insecure)),
        ("small_hello", with(ConnectorBuilder::small_hello)),
        ("crypto_provider", with(|it| it.crypto_provider(Arc::new(aws_lc_rs::default_provider())))),
    ] {
        assert!(error.starts_with(&format!("`{setting}` cannot be combined with `tls_config`")), "{error}");
    }
    let verifier = Pinned::to(&first(&authority.pem()));
    let error = Connector::builder().verifier(verifier).roots_pem(authority.pem()).build().unwrap_err();
    assert!(error.to_string().contains("`verifier`"), "{error}");
    let error = authority.acceptor().server_config(https_config(&authority)).build().unwrap_err();
    assert!(error.to_string().starts_with("`certificate_pem` cannot"), "{error}");
}

/// Returns a configuration as a program has it for HTTPS.
fn https_config(authority: &Authority) -> ServerConfig {
    let leaf = authority.issue(NAME);
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![first(&leaf.chain)],
            PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.max_early_data_size = u32::MAX;
    config
}

#[tokio::test]
async fn a_session_of_another_listener_is_not_resumed() {
    let authority = Authority::new();
    let https = https_config(&authority);
    // One connector that resumes meets two acceptors from the same configuration.
    let connector = authority.connector().build().unwrap().with_session_resumption();
    let acceptors =
        [0, 1].map(|_| Acceptor::builder(&REGISTERED, NAME).server_config(https.clone()).build().unwrap());
    let mut kinds = Vec::new();
    for acceptor in [&acceptors[0], &acceptors[0], &acceptors[1]] {
        let (client, server) = meet(&connector, acceptor).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        server.write_all(b"+").await.unwrap();
        server.flush().await.unwrap();
        timeout(DEADLINE, client.read_u8()).await.unwrap().unwrap();
        assert_eq!(server.facts().alpn.as_deref(), Some(&b"registered"[..]));
        kinds.push(client.facts().kind);
    }
    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed), Some(HandshakeKind::Full)]);
}

#[tokio::test]
async fn a_source_of_cryptography_is_the_callers() {
    let only = |suite| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![suite];
        Arc::new(provider)
    };
    let authority = Authority::new();
    let chacha = only(aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    let connector = authority.connector().crypto_provider(chacha.clone()).build().unwrap();
    let acceptor = authority.acceptor().crypto_provider(chacha).build().unwrap();
    let (client, _) = meet(&connector, &acceptor).await;
    assert_eq!(client.unwrap().facts().cipher_suite_name(), "TLS_CHACHA20_POLY1305_SHA256");
    let aes = only(aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256);
    let connector = authority.connector().crypto_provider(aes).build().unwrap();
    assert!(meet(&connector, &acceptor).await.0.is_err());
}

#[tokio::test]
async fn alpn_and_name_belong_to_one_connection() {
    let authority = Authority::new();
    let shared = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(&REGISTERED).build().unwrap();
    let (client, _) = meet(&shared.with_alpn(Vec::new()), &acceptor).await;
    assert_eq!(client.unwrap().facts().alpn, None);
    let (client, _) = meet(&shared, &acceptor).await;
    assert_eq!(client.unwrap().facts().alpn.as_deref(), Some(&b"registered"[..]));

    for (connector, expected) in [
        (shared.with_client_name("client.example".parse().unwrap()), "EHLO client.example\r\n"),
        (shared.clone(), "EHLO [127.0.0.1]\r\n"),
    ] {
        let (near, mut far) = duplex(4096);
        let client = tokio::spawn(async move { connector.upgrade(&smtp::SMTP, NAME, near).await.map(drop) });
        far.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        let mut hello = vec![0; expected.len()];
        timeout(DEADLINE, far.read_exact(&mut hello)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(hello).unwrap(), expected);
        drop(far);
        assert!(timeout(DEADLINE, client).await.unwrap().unwrap().is_err());
    }
}

#[tokio::test]
async fn both_sides_have_the_same_channel_bindings() {
    let authority = Authority::new();
    let client = authority.issue_for_client("client.example");
    let connector = authority.connector().client_certificate_pem(client.chain, client.key).build().unwrap();
    // With a certificate on both sides, the binding is still that of the server's.
    let leaf = authority.issue(NAME);
    let acceptor = presenting(&leaf).client_auth(ClientAuth::Required, authority.pem()).build().unwrap();
    let (client, server) = meet(&connector, &acceptor).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    for binding in [ChannelBinding::Exporter, ChannelBinding::ServerEndPoint] {
        let data = client.channel_binding(binding).unwrap();
        assert_eq!(server.channel_binding(binding).unwrap(), data);
        assert_eq!(client.channel_bindings().data(binding), Some(&data[..]));
    }
    let hash = Sha256::digest(first(&leaf.chain)).to_vec();
    assert_eq!(client.channel_binding(ChannelBinding::ServerEndPoint), Some(hash));
}
