//! Client certificates: which clients a route admits.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use starttls::ClientAuth;
use starttls::proto::Escaped;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls::rustls::pki_types::{CertificateDer, UnixTime};
use starttls::rustls::server::WebPkiClientVerifier;
use starttls::rustls::server::danger::ClientCertVerifier;
use starttls::rustls::{self, RootCertStore};
use starttls_x509::{Bundle, BundleCertificate};

use crate::files;
use crate::setup_error::SetupError;

/// Whether clients need a certificate, and which CAs may issue it.
#[derive(Clone)]
pub struct ClientPolicy {
    /// Whether a client without a certificate is admitted.
    pub auth: ClientAuth,
    pub(super) roots_pem: Arc<[u8]>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for ClientPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPolicy").field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// Why a client whose handshake succeeded is not forwarded.
#[derive(Debug)]
pub enum NotAdmitted {
    /// No route serves the name that the client requests.
    NoRoute(Option<String>),
    /// The route requires a client certificate.
    NoCertificate,
    /// The certificate is not valid for the route. In a resumed session it is the certificate of the first session, which
    /// may have expired since.
    Certificate(rustls::Error),
}

impl ClientPolicy {
    pub(super) fn read(auth: ClientAuth, roots: &Path) -> Result<Self, SetupError> {
        const WHAT: &str = "the CA certificates for clients";
        let pem = files::read(WHAT, roots)?;
        let unusable = || SetupError::new(format!("cannot use {WHAT} in {}", roots.display()));
        let mut store = RootCertStore::empty();
        let bundle = Bundle::read(roots.display().to_string(), &pem).map_err(SetupError::from)?;
        for BundleCertificate { der, position, .. } in bundle.certificates().map_err(SetupError::from)? {
            let unusable = |cause| SetupError::new(format!("cannot use {WHAT}: {position}")).because(cause);
            store.add(der).map_err(unusable)?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(store.into(), Arc::new(default_provider()))
                .build()
                .map_err(|cause| unusable().because(cause))?;
        Ok(Self { auth, roots_pem: pem.into(), verifier })
    }

    /// Returns the part of the policy that the ticket keys depend on (rule S9).
    pub(super) fn fingerprint(&self) -> [&[u8]; 2] {
        let auth: &[u8] = match self.auth {
            ClientAuth::Optional => b"optional",
            ClientAuth::Required => b"required",
        };
        [auth, &self.roots_pem]
    }

    pub(super) fn admits(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), NotAdmitted> {
        match (chain.split_first(), self.auth) {
            (None, ClientAuth::Optional) => Ok(()),
            (None, ClientAuth::Required) => Err(NotAdmitted::NoCertificate),
            (Some((own, others)), _) => self
                .verifier
                .verify_client_cert(own, others, now)
                .map_err(NotAdmitted::Certificate)
                .map(|_| ()),
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute(Some(name)) => write!(f, "no route serves \"{}\"", Escaped(name.as_bytes())),
            Self::NoRoute(None) => {
                f.write_str("the client requests no name, and the listener has no default route")
            }
            Self::NoCertificate => f.write_str("the client presented no certificate"),
            Self::Certificate(cause) => write!(f, "the client's certificate is not valid: {cause}"),
        }
    }
}

impl std::error::Error for NotAdmitted {}
