//! Chains with unneeded certificates, and certificates that webpki cannot parse.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use starttls::proto::smtp::SMTP;
use starttls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Acceptor, CertificateVerdict, Connector, ConnectorBuilder, Encrypted, Error, TlsVersion};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{DEADLINE, NAME};

/// A resolver that presents these certificates to every client.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

async fn dial(
    connector: ConnectorBuilder,
    chain: &[&CertificateDer<'static>],
    key: &KeyPair,
) -> Result<Encrypted<DuplexStream>, Error> {
    let chain = chain.iter().map(|it| (*it).clone()).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&key).unwrap();
    let resolver = Arc::new(Presents(Arc::new(CertifiedKey::new(chain, key))));
    let acceptor = Acceptor::builder(&SMTP, NAME).cert_resolver(resolver).build().unwrap();
    let connector = connector.build().unwrap();
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(&SMTP, NAME, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs").0
}

/// Returns a CA certificate with this name, which ended in this year.
fn authority(name: &str, ends: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(ends, 1, 1));
    params
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
    params
}

/// The path contains the certificates that verify, and not the others that a server sends.
#[tokio::test]
async fn a_path_contains_only_the_certificates_that_verify() {
    let [root_key, link_key, own_key] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let root = authority("root", 2090);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let root = Issuer::new(root, &root_key);
    let link = authority("intermediate", 2080);
    let twin = authority("intermediate", 2021).signed_by(&link_key, &root).unwrap();
    let link_certificate = link.signed_by(&link_key, &root).unwrap();
    let own = leaf().signed_by(&own_key, &Issuer::new(link, &link_key)).unwrap();
    let old_key = KeyPair::generate().unwrap();
    let old = Issuer::new(authority("old root", 2090), &old_key);
    let cross = authority("root", 2021).signed_by(&root_key, &old).unwrap();
    let stranger = authority("stranger", 2021).self_signed(&KeyPair::generate().unwrap()).unwrap();

    let [own, link, twin] = [&own, &link_certificate, &twin].map(|it| it.der());
    let [cross, stranger] = [&cross, &stranger].map(|it| it.der());
    let trusting = || Connector::builder().no_system_roots().roots_pem(root_certificate.pem());
    for chain in [
        &[own, link][..],
        &[own, link, cross],
        &[own, twin, link],
        &[own, stranger, link],
        &[own, own, root_certificate.der(), link],
    ] {
        let session = dial(trusting(), chain, &own_key).await.unwrap();
        assert_eq!(session.facts().path, [own.clone(), link.clone()]);
        assert_eq!(session.facts().chain.len(), chain.len());
    }
    // In 2021 a path through the twin existed, so the date is the only fault.
    let session = dial(trusting().insecure(), &[own, twin], &own_key).await.unwrap();
    assert_eq!(session.facts().path, [own.clone(), twin.clone()]);
    let session = dial(trusting().insecure(), &[own], &own_key).await.unwrap();
    assert_eq!(session.facts().path, Vec::<CertificateDer<'_>>::new());
}

/// Returns one element of DER.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let head: &[u8] = match (high, low) {
        (0, 0..=0x7f) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, contents].concat()
}

/// Returns the content of the first element, and what follows it.
fn open(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        short => (2, usize::from(short)),
    };
    der[start..].split_at(length)
}

/// Returns the certificate as X.509 version 1: without version and extensions, with a new signature.
fn of_version_1(certificate: &[u8], key: &KeyPair) -> CertificateDer<'static> {
    use rcgen::SigningKey;
    let (body, after) = open(open(certificate).0);
    let algorithm = &after[..after.len() - open(after).1.len()];
    // After the version come the serial number, the algorithm, two names with the validity between them, and the key.
    let kept = open(body).1;
    let mut rest = kept;
    for _ in 0..6 {
        rest = open(rest).1;
    }
    let body = element(0x30, &kept[..kept.len() - rest.len()]);
    let signature = element(0x03, &[&[0], &*key.sign(&body).unwrap()].concat());
    CertificateDer::from(element(0x30, &[&body, algorithm, &signature].concat()))
}

#[tokio::test]
async fn certificates_that_cannot_be_parsed_are_named_and_insecure_goes_on() {
    for key in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(key).unwrap();
        let version_1 = of_version_1(leaf().self_signed(&key).unwrap().der(), &key);
        let mut odd = leaf();
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        odd.custom_extensions.push(extension);
        let odd = odd.self_signed(&key).unwrap().der().clone();
        let other = KeyPair::generate_for(key.algorithm()).unwrap();
        for (certificate, expected) in [
            (version_1, "it is an X.509 certificate of version 1"),
            (odd, "it has an unknown critical extension"),
        ] {
            for tls in [TlsVersion::Tls12, TlsVersion::Tls13] {
                let builder = || Connector::builder().no_system_roots().tls_versions(tls, tls);
                let strict = builder().roots_pem(leaf().self_signed(&other).unwrap().pem());
                let error = dial(strict, &[&certificate], &key).await.unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
                let session = dial(builder().insecure(), &[&certificate], &key).await.unwrap();
                let CertificateVerdict::Failed(failure) = &session.facts().verdict else {
                    panic!("{:?}", session.facts().verdict)
                };
                assert_eq!(failure.has_trusted_root, None);
                let reason = failure.to_string();
                assert!(reason.starts_with(expected), "{reason}");
                // The handshake must be signed with the key of the certificate in any case.
                let error = dial(builder().insecure(), &[&certificate], &other).await.unwrap_err();
                assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
            }
        }
    }
}
