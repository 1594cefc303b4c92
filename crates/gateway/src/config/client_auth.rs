//! Which clients are let in, and to which route, where client certificates decide.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use starttls::ClientAuth;
use starttls::proto::Escaped;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, UnixTime};
use starttls::rustls::server::WebPkiClientVerifier;
use starttls::rustls::server::danger::ClientCertVerifier;
use starttls::rustls::{self, RootCertStore};

use super::{Listener, Route, values};
use crate::setup_error::SetupError;

/// Who has to present a certificate, and whose word is good for it.
#[derive(Clone)]
pub struct ClientPolicy {
    /// Whether a client without a certificate is let in too.
    pub auth: ClientAuth,
    roots_pem: Arc<[u8]>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for ClientPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPolicy").field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// Why a client whose handshake succeeded has no way on.
#[derive(Debug)]
pub enum NotAdmitted {
    /// The name that it wants has no route.
    NoRoute(Option<String>),
    /// Its route is for clients with a certificate.
    NoCertificate,
    /// Its certificate is not good for its route, or not any more: a resumed session brings along the
    /// one that was good when the session began.
    Certificate(rustls::Error),
}

impl ClientPolicy {
    pub(super) fn read(auth: ClientAuth, roots: &Path) -> Result<Self, SetupError> {
        const WHAT: &str = "the roots for client certificates";
        let pem = values::file(WHAT, roots)?;
        let unusable = || SetupError::new(format!("{WHAT} {} are not usable", roots.display()));
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&pem) {
            let root = root.map_err(|cause| unusable().because(cause))?;
            store.add(root).map_err(|cause| unusable().because(cause))?;
        }
        if store.is_empty() {
            return Err(SetupError::new(format!("there is no certificate in {}", roots.display())));
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(store.into(), Arc::new(default_provider()))
                .build()
                .map_err(|cause| unusable().because(cause))?;
        Ok(Self { auth, roots_pem: pem.into(), verifier })
    }

    /// What the ticket keys depend on (rule S9).
    pub(super) fn fingerprint(&self) -> [&[u8]; 2] {
        let auth: &[u8] = match self.auth {
            ClientAuth::Optional => b"optional",
            ClientAuth::Required => b"required",
        };
        [auth, &self.roots_pem]
    }

    fn admits(&self, chain: &[CertificateDer<'_>]) -> Result<(), NotAdmitted> {
        match (chain.split_first(), self.auth) {
            (None, ClientAuth::Optional) => Ok(()),
            (None, ClientAuth::Required) => Err(NotAdmitted::NoCertificate),
            (Some((own, others)), _) => self
                .verifier
                .verify_client_cert(own, others, UnixTime::now())
                .map_err(NotAdmitted::Certificate)
                .map(|_| ()),
        }
    }
}

/// What the handshake has to ask for, so that each route's policy can be held to afterwards.
pub(super) fn combined(routes: &[Route]) -> Option<(ClientAuth, Vec<u8>)> {
    let policies: Vec<_> = routes.iter().filter_map(|route| route.client_auth.as_ref()).collect();
    let all = policies.len() == routes.len() && policies.iter().all(|it| it.auth == ClientAuth::Required);
    let roots: Vec<_> = policies.iter().map(|policy| &*policy.roots_pem).collect();
    let auth = if all { ClientAuth::Required } else { ClientAuth::Optional };
    (!roots.is_empty()).then(|| (auth, roots.join(&b'\n')))
}

impl Listener {
    /// The way on for a client whose handshake has ended: the name in its SNI chooses the route, and the
    /// route's policy is held to here, for resumed sessions too (rule S8). There is no other way to a
    /// route inside TLS.
    ///
    /// # Errors
    /// [`NotAdmitted`]: the connection is to be closed.
    pub fn admit(
        &self,
        server_name: Option<&str>,
        chain: &[CertificateDer<'_>],
    ) -> Result<&Route, NotAdmitted> {
        let route = self.route(server_name);
        let route = route.ok_or_else(|| NotAdmitted::NoRoute(server_name.map(str::to_owned)))?;
        match &route.client_auth {
            Some(policy) => policy.admits(chain).map(|()| route),
            None => Ok(route),
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute(Some(name)) => write!(f, "there is no route for \"{}\"", Escaped(name.as_bytes())),
            Self::NoRoute(None) => f.write_str("the client names no server, and there is no default route"),
            Self::NoCertificate => f.write_str("the client presents no certificate"),
            Self::Certificate(cause) => write!(f, "the client's certificate is not accepted: {cause}"),
        }
    }
}

impl std::error::Error for NotAdmitted {}
