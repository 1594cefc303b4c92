//! Chains with unneeded certificates.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use starttls::proto::smtp::SMTP;
use starttls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Acceptor, Connector, ConnectorBuilder, Encrypted, Error};
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

/// Returns a resolver that presents these certificates, whether the key is theirs or not.
pub(crate) fn presenting(chain: &[&CertificateDer<'static>], key: &KeyPair) -> Arc<dyn ResolvesServerCert> {
    let chain = chain.iter().map(|it| (*it).clone()).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&key).unwrap();
    Arc::new(Presents(Arc::new(CertifiedKey::new(chain, key))))
}

pub(crate) async fn dial(
    connector: ConnectorBuilder,
    chain: &[&CertificateDer<'static>],
    key: &KeyPair,
) -> Result<Encrypted<DuplexStream>, Error> {
    let acceptor = Acceptor::builder(&SMTP, NAME).cert_resolver(presenting(chain, key)).build().unwrap();
    let connector = connector.build().unwrap();
    let (near, far) = duplex(4096);
    let both = async { tokio::join!(connector.upgrade(&SMTP, NAME, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs").0
}

/// Returns a CA certificate with this name, which ended in this year.
pub(crate) fn authority(name: &str, ends: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(ends, 1, 1));
    params
}

pub(crate) fn leaf() -> CertificateParams {
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
