//! Certificates: accepted, refused with the fault, or accepted by `insecure` with a recorded verdict.

use std::sync::Arc;

use starttls::proto::smtp;
use starttls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::{
    Acceptor, AcceptorBuilder, CertificateVerdict, ClientAuth, Connector, ConnectorBuilder, Encrypted, Error,
    TlsVersion,
};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, Leaf, NAME};

type Side = Result<Encrypted<DuplexStream>, Error>;

async fn meet(connector: ConnectorBuilder, acceptor: AcceptorBuilder, name: &str) -> (Side, Side) {
    let (connector, acceptor) = (connector.build().unwrap(), acceptor.build().unwrap());
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, name, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs")
}

fn presenting(leaf: Leaf) -> AcceptorBuilder {
    Acceptor::builder(&smtp::SMTP, NAME).certificate_pem(leaf.chain, leaf.key)
}

fn reason(client: Side) -> String {
    match client {
        Err(Error::Certificate { failure, chain, .. }) => {
            assert_eq!(chain.len(), 1, "the error contains the chain");
            failure.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn c5_a_wrong_name_is_refused() {
    let authority = Authority::new();
    let (client, server) =
        meet(authority.connector(), presenting(authority.issue("other.example")), NAME).await;
    assert_eq!(reason(client), "it is for other.example, not for mail.example.com");
    let error = server.unwrap_err().to_string();
    assert!(error.starts_with("the peer ended the TLS handshake with the alert"), "{error}");
}

#[tokio::test]
async fn c5_a_certificate_without_host_names_is_refused() {
    let authority = Authority::new();
    let leaf = authority.issue_with("x.example", |params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(rcgen::DnType::CommonName, NAME);
    });
    let (client, _) = meet(authority.connector(), presenting(leaf), NAME).await;
    assert_eq!(reason(client), "it contains no host name, expected mail.example.com");
}

#[tokio::test]
async fn c5_an_unknown_root_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (client, _) = meet(authority.connector(), stranger.acceptor(), NAME).await;
    assert!(client.as_ref().unwrap_err().hint().is_some());
    assert_eq!(reason(client), "it does not lead to a trusted root");
}

#[tokio::test]
async fn c5_a_root_of_the_same_name_is_not_the_same_root() {
    let (authority, namesake) = (Authority::called("namesake"), Authority::called("namesake"));
    let (client, _) = meet(authority.connector(), namesake.acceptor(), NAME).await;
    assert_eq!(reason(client), "a signature in its chain was made with another key");
}

#[tokio::test]
async fn c5_an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let (client, _) = meet(authority.connector(), presenting(authority.issue_expired(NAME)), NAME).await;
    let reason = reason(client);
    assert!(reason.starts_with("it expired ") && reason.contains(" days ago, on "), "{reason}");
}

#[tokio::test]
async fn insecure_finishes_and_records_the_verdict() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let alone = Authority::alone(NAME);
    let trusting_it = Connector::builder().no_system_roots().roots_pem(alone.chain.as_str());
    let cases = [
        (authority.connector(), authority.issue_expired(NAME), "it expired", Some(true)),
        (authority.connector(), authority.issue_expired("other.example"), "it expired", Some(true)),
        (authority.connector(), authority.issue("other.example"), "it is for other.example", Some(true)),
        (authority.connector(), authority.issue_for_client(NAME), "it is not meant", None),
        (authority.connector(), stranger.issue(NAME), "it does not lead", Some(false)),
        (authority.connector(), stranger.issue_expired(NAME), "it expired", Some(false)),
        (authority.connector(), Authority::alone(NAME), "it is a CA certificate", None),
        (trusting_it, alone, "it is a CA certificate", Some(true)),
        (Connector::builder().no_system_roots(), authority.issue(NAME), "it does not lead", Some(false)),
    ];
    for (connector, leaf, expected, leads) in cases {
        let (client, _) = meet(connector.insecure(), presenting(leaf), NAME).await;
        let CertificateVerdict::Failed(failure) = client.unwrap().facts().verdict.clone() else {
            panic!("expected a failed verification")
        };
        let reason = failure.to_string();
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(failure.has_trusted_root, leads, "{reason}");
        let names_the_root = reason.ends_with("it does not lead to a trusted root");
        assert_eq!(names_the_root, leads == Some(false), "{reason}");
    }
    let (client, _) = meet(authority.connector().insecure(), authority.acceptor(), NAME).await;
    assert_eq!(client.unwrap().facts().verdict, CertificateVerdict::Verified);
}

/// A resolver that presents the same certificate to every client.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl Always {
    fn new(chain: &str, key: &str, ocsp: Option<Vec<u8>>) -> Arc<Self> {
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
        let mut key = CertifiedKey::new(chain, key);
        key.ocsp = ocsp;
        Arc::new(Self(Arc::new(key)))
    }
}

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn insecure_still_verifies_the_signature_of_the_handshake() {
    let authority = Authority::new();
    let (victim, thief) = (authority.issue(NAME), authority.issue(NAME));
    let resolver = Always::new(&victim.chain, &thief.key, None);
    for only in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let connector = authority.connector().insecure().tls_versions(only, only);
        let acceptor = Acceptor::builder(&smtp::SMTP, NAME).cert_resolver(resolver.clone());
        let (client, _) = meet(connector, acceptor, NAME).await;
        assert_eq!(reason(client), "the server does not hold its key");
    }
}

#[tokio::test]
async fn a_stapled_ocsp_response_is_noticed() {
    let authority = Authority::new();
    let leaf = authority.issue(NAME);
    for ocsp in [None, Some(b"response".to_vec())] {
        let stapled = ocsp.is_some();
        let resolver = Always::new(&leaf.chain, &leaf.key, ocsp);
        let acceptor = Acceptor::builder(&smtp::SMTP, NAME).cert_resolver(resolver);
        let (client, _) = meet(authority.connector(), acceptor, NAME).await;
        assert_eq!(client.unwrap().facts().ocsp_response.is_some(), stapled);
    }
}

#[tokio::test]
async fn an_address_is_verified_and_not_sent_as_sni() {
    let authority = Authority::new();
    for name in ["127.0.0.1", "::1", "[::1]"] {
        let leaf = authority.issue(name.trim_matches(['[', ']']));
        let (client, server) = meet(authority.connector(), presenting(leaf), name).await;
        assert_eq!(client.unwrap().facts().server_name, None);
        assert_eq!(server.unwrap().facts().server_name, None);
    }
}

#[tokio::test]
async fn client_certificates_are_requested_and_verified() {
    let authority = Authority::new();
    let required = || authority.acceptor().client_auth(ClientAuth::Required, authority.pem());
    let leaf = authority.issue_for_client("alice.example");
    let with = authority.connector().client_certificate_pem(leaf.chain, leaf.key);
    let (client, server) = meet(with, required(), NAME).await;
    client.unwrap();
    let server = server.unwrap();
    assert_eq!((server.facts().chain.len(), &server.facts().verdict), (1, &CertificateVerdict::Verified));

    let (client, server) = meet(authority.connector(), required(), NAME).await;
    assert!(matches!(server, Err(Error::Tls(_))), "{server:?}");
    // In TLS 1.3 the first read reports the refusal to the client.
    client.unwrap().read_u8().await.unwrap_err();

    // In TLS 1.2 the handshake reports it.
    let older = authority.connector().tls_versions(TlsVersion::Tls12, TlsVersion::Tls12);
    let (client, _) = meet(older, required(), NAME).await;
    let error = client.unwrap_err();
    assert_eq!(error.to_string(), "the server requires a client certificate, and this client has none");
    assert!(matches!(error, Error::ClientCertificate(_)) && error.hint().is_some(), "{error:?}");

    let stranger = Authority::new().issue_for_client("mallory.example");
    let with = authority.connector().client_certificate_pem(stranger.chain, stranger.key);
    let (_, server) = meet(with, required(), NAME).await;
    assert!(matches!(server, Err(Error::Certificate { .. })), "{server:?}");

    let optional = authority.acceptor().client_auth(ClientAuth::Optional, authority.pem());
    let (client, server) = meet(authority.connector(), optional, NAME).await;
    client.unwrap();
    assert_eq!(server.unwrap().facts().verdict, CertificateVerdict::NoCertificate);
}

#[tokio::test]
async fn no_common_tls_version() {
    let authority = Authority::new();
    let connector = authority.connector().tls_versions(TlsVersion::Tls12, TlsVersion::Tls12);
    let acceptor = authority.acceptor().tls_versions(TlsVersion::Tls13, TlsVersion::Tls13);
    let (client, server) = meet(connector, acceptor, NAME).await;
    assert!(client.unwrap_err().hint().unwrap().contains("no TLS version in common"));
    assert!(matches!(server, Err(Error::Tls(_))), "{server:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_an_error() {
    let authority = Authority::new();
    let nothing_trusted = Connector::builder().no_system_roots().build();
    let no_pem = Connector::builder().roots_pem("nothing").build();
    let no_versions = authority.connector().tls_versions(TlsVersion::Tls13, TlsVersion::Tls12).build();
    let (one, other) = (authority.issue(NAME), authority.issue(NAME));
    let strange_key = presenting(Leaf { chain: one.chain, key: other.key }).build().map(|_| ());
    for outcome in [nothing_trusted.map(|_| ()), no_pem.map(|_| ()), no_versions.map(|_| ()), strange_key] {
        assert!(matches!(outcome, Err(Error::Config { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_key_log_contains_the_secrets_of_a_session() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (client, _) = meet(authority.connector().key_log_file(&path), authority.acceptor(), NAME).await;
    client.unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.contains("CLIENT_HANDSHAKE_TRAFFIC_SECRET ") && log.contains("SERVER_TRAFFIC_SECRET_0 "));
}
