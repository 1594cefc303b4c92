//! A certificate authority for one test, and the two sides that use it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use starttls::proto::{Protocol, smtp};
use starttls::{Acceptor, AcceptorBuilder, Connector, ConnectorBuilder};

pub(crate) const NAME: &str = "mail.example.com";
/// The time limit of every test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        Self::called(&format!("throw-away authority {}", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, name: &str) -> Leaf {
        self.issue_with(name, |_| ())
    }

    pub(crate) fn issue_expired(&self, name: &str) -> Leaf {
        self.issue_with(name, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    pub(crate) fn issue_for_client(&self, name: &str) -> Leaf {
        self.issue_with(name, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// Returns a self-signed CA certificate, as a server certificate.
    pub(crate) fn alone(name: &str) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Leaf { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Leaf { chain: cert.pem(), key: key.serialize_pem() }
    }

    /// Returns a client that trusts only this authority.
    pub(crate) fn connector(&self) -> ConnectorBuilder {
        Connector::builder().no_system_roots().roots_pem(self.pem()).timeout(Duration::from_secs(10))
    }

    /// Returns a server with a certificate for [`NAME`].
    pub(crate) fn acceptor(&self) -> AcceptorBuilder {
        self.acceptor_for(&smtp::SMTP)
    }

    pub(crate) fn acceptor_for(&self, protocol: &'static Protocol) -> AcceptorBuilder {
        let leaf = self.issue(NAME);
        Acceptor::builder(protocol, NAME)
            .certificate_pem(leaf.chain, leaf.key)
            .timeout(Duration::from_secs(10))
    }
}
