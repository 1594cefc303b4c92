//! Verification of the server's certificate, and a record of its result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ProtocolVersion, RootCertStore,
    SignatureScheme,
};

use crate::handshake_signature::{self, SignatureFailure};
use crate::{CertificateFailure, CertificateFault, CertificateVerdict, Error, certification_path};

/// The trusted roots and the verifier that all connections of a connector share.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// `None` without any trusted root, which only `insecure` allows, and with the verifier of a caller's TLS configuration.
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// Whether the caller's verifier decides, instead of the roots.
    is_callers: bool,
    anchors: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    insecure: bool,
}

impl Trust {
    pub(crate) fn new(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
        insecure: bool,
    ) -> Result<Self, Error> {
        if roots.is_empty() && !insecure {
            return Err(Error::config("no root certificate is trusted"));
        }
        let anchors = Arc::new(roots);
        let verifier: Option<Arc<dyn ServerCertVerifier>> = if anchors.is_empty() {
            None
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(anchors.clone(), provider.clone())
                .build()
                .map_err(|cause| Error::config_because("the root certificates cannot be used", cause))?;
            Some(verifier)
        };
        Ok(Self { verifier, is_callers: false, anchors, provider, insecure })
    }

    /// Returns a trust that the caller's verifier decides. It is `None` if the verifier is part of a TLS configuration, from
    /// which it cannot be read.
    pub(crate) fn of_caller(
        verifier: Option<Arc<dyn ServerCertVerifier>>,
        provider: Arc<CryptoProvider>,
        insecure: bool,
    ) -> Self {
        Self { verifier, is_callers: true, anchors: Arc::new(RootCertStore::empty()), provider, insecure }
    }

    /// Returns whether the verifier of a caller's TLS configuration stays in place, so that its result is not recorded.
    pub(crate) fn stays_with_config(&self) -> bool {
        self.is_callers && self.verifier.is_none()
    }

    fn callers(&self) -> Option<&dyn ServerCertVerifier> {
        self.verifier.as_deref().filter(|_| self.is_callers)
    }

    /// Returns whether a chain that was not accepted leads to a trusted root in spite of its fault. WebPKI checks dates and
    /// usage first and the name last, so most faults hide what a later check would find.
    fn has_trusted_root(
        &self,
        error: &rustls::Error,
        end_entity: &CertificateDer<'_>,
        verify: impl Fn(UnixTime) -> Result<ServerCertVerified, rustls::Error>,
    ) -> Option<bool> {
        use CertificateError as E;
        let rustls::Error::InvalidCertificate(cause) = error else { return None };
        match cause {
            E::UnknownIssuer => Some(false),
            E::NotValidForName | E::NotValidForNameContext { .. } => Some(true),
            // At a time when it was valid, another check may fail, but not the date.
            E::ExpiredContext { not_after: valid, .. } | E::NotValidYetContext { not_before: valid, .. } => {
                match verify(*valid) {
                    Ok(_) => Some(true),
                    Err(error) if CertificateFault::of(&error, None).is_date() => None,
                    Err(error) => self.has_trusted_root(&error, end_entity, verify),
                }
            }
            E::Other(_) if CertificateFault::of(error, None) == CertificateFault::CaUsedAsServer => {
                let mut own = RootCertStore::empty();
                let added = own.add(end_entity.clone().into_owned()).is_ok();
                (added && self.anchors.roots.contains(own.roots.first()?)).then_some(true)
            }
            _ => None,
        }
    }

    /// Returns the path to a trusted root. If a date is the only fault, it is the path at a time when the date was valid.
    fn path(
        &self,
        error: Option<&rustls::Error>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Vec<CertificateDer<'static>> {
        use CertificateError as E;
        let time = match error {
            Some(rustls::Error::InvalidCertificate(
                E::ExpiredContext { not_after: valid, .. } | E::NotValidYetContext { not_before: valid, .. },
            )) => *valid,
            _ => now,
        };
        let algorithms = &self.provider.signature_verification_algorithms;
        certification_path::verified(&self.anchors, algorithms, end_entity, intermediates, time)
            .unwrap_or_default()
    }

    /// Returns the verifier of one connection.
    pub(crate) fn recording_verifier(&self) -> Arc<RecordingVerifier> {
        Arc::new(RecordingVerifier {
            trust: self.clone(),
            record: Mutex::new(None),
            certificate_requested: AtomicBool::new(false),
        })
    }
}

/// Verifies as WebPKI does and records the result. With `insecure` it accepts every certificate, and also a signature of
/// the handshake that cannot be verified. An invalid signature ends the handshake in any case.
#[derive(Debug)]
pub(crate) struct RecordingVerifier {
    trust: Trust,
    record: Mutex<Option<VerificationRecord>>,
    /// Whether the server requested a client certificate that this client does not have.
    certificate_requested: AtomicBool,
}

/// What the server presented, and the result of the verification.
#[derive(Clone, Debug)]
pub(crate) struct VerificationRecord {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The part of the chain that leads to a trusted root.
    pub(crate) path: Vec<CertificateDer<'static>>,
    pub(crate) verdict: CertificateVerdict,
    /// The stapled OCSP response; empty without one.
    pub(crate) ocsp_response: Vec<u8>,
    /// Whether the certificate was accepted. A later failure is that of the signature in the handshake.
    pub(crate) accepted: bool,
    /// Why the signature of the handshake does not prove that the server holds its key.
    pub(crate) key_fault: Option<CertificateFault>,
}

impl VerificationRecord {
    /// Records that the handshake did not prove that the server holds the key, because of this fault.
    fn without_proof_of_key(&mut self, fault: CertificateFault) {
        let failure = match &self.verdict {
            CertificateVerdict::Failed(failure) => failure.clone(),
            _ => CertificateFailure::new(fault.clone(), Some(true)),
        };
        self.verdict = CertificateVerdict::Failed(CertificateFailure { proves_key: false, ..failure });
        self.key_fault = Some(fault);
    }
}

impl RecordingVerifier {
    pub(crate) fn record(&self) -> Option<VerificationRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies the signature of the handshake, and records why it does not prove that the server holds its key.
    fn verify_signature(
        &self,
        version: ProtocolVersion,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        let Err(failure) = handshake_signature::verify(version, message, certificate, dss, algorithms) else {
            return Ok(HandshakeSignatureValid::assertion());
        };
        let is_accepted = self.trust.insecure && failure.is_unverifiable();
        let SignatureFailure { fault, error } = failure;
        if let Some(record) = &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner) {
            record.without_proof_of_key(fault);
        }
        if is_accepted { Ok(HandshakeSignatureValid::assertion()) } else { Err(error) }
    }

    /// Returns the verdict on a certificate that was accepted.
    pub(crate) fn accepted(&self) -> CertificateVerdict {
        match self.trust.is_callers {
            true => CertificateVerdict::AcceptedByCaller,
            false => CertificateVerdict::Verified,
        }
    }

    /// Returns whether the server requested a client certificate that this client does not have.
    pub(crate) fn certificate_was_requested(&self) -> bool {
        self.certificate_requested.load(Ordering::Relaxed)
    }
}

/// The resolver of a client without a certificate: it records that the server requested one.
impl ResolvesClientCert for RecordingVerifier {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certificate_requested.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // rustls does not call `resolve` otherwise.
        true
    }
}

/// The certificate resolver of one connection of a server. It records the certificate for the client's server name, or
/// that there was none.
#[derive(Debug)]
pub(crate) struct RecordingResolver {
    inner: Arc<dyn ResolvesServerCert>,
    /// `None` until the resolver has been asked.
    asked: Mutex<Option<Asked>>,
}

/// A question to a resolver, and its answer.
#[derive(Debug)]
struct Asked {
    server_name: Option<String>,
    found: Option<Arc<CertifiedKey>>,
}

impl RecordingResolver {
    pub(crate) fn new(inner: Arc<dyn ResolvesServerCert>) -> Self {
        Self { inner, asked: Mutex::default() }
    }

    fn asked<T>(&self, read: impl FnOnce(&Asked) -> T) -> Option<T> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    pub(crate) fn found_none(&self) -> bool {
        self.asked(|asked| asked.found.is_none()).unwrap_or_default()
    }

    /// Returns the certificate that the server presented.
    pub(crate) fn presented(&self) -> Option<Arc<CertifiedKey>> {
        self.asked(|asked| asked.found.clone()).flatten()
    }

    /// Returns the server name in the ClientHello.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.asked(|asked| asked.server_name.clone()).flatten()
    }
}

impl ResolvesServerCert for RecordingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let server_name = hello.server_name().map(str::to_owned);
        let found = self.inner.resolve(hello);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Asked { server_name, found: found.clone() });
        found
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |now| match &self.trust.verifier {
            Some(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => ParsedCertificate::try_from(end_entity).and(Err(CertificateError::UnknownIssuer.into())),
        };
        let outcome = verify(now);
        let chain = std::iter::once(end_entity).chain(intermediates).map(|it| it.clone().into_owned());
        let verdict = match &outcome {
            Ok(_) => self.accepted(),
            Err(error) => CertificateVerdict::Failed(CertificateFailure::new(
                CertificateFault::of(error, Some(end_entity)),
                self.trust.has_trusted_root(error, end_entity, verify),
            )),
        };
        let path = self.trust.path(outcome.as_ref().err(), end_entity, intermediates, now);
        let accepted = self.trust.insecure || outcome.is_ok();
        let (chain, ocsp_response) = (chain.collect(), ocsp_response.to_vec());
        let record = VerificationRecord { chain, path, verdict, ocsp_response, accepted, key_fault: None };
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
        if self.trust.insecure { Ok(ServerCertVerified::assertion()) } else { outcome }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Some(verifier) = self.trust.callers() {
            return verifier.verify_tls12_signature(message, cert, dss);
        }
        self.verify_signature(ProtocolVersion::TLSv1_2, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Some(verifier) = self.trust.callers() {
            return verifier.verify_tls13_signature(message, cert, dss);
        }
        self.verify_signature(ProtocolVersion::TLSv1_3, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self.trust.callers() {
            Some(verifier) => verifier.supported_verify_schemes(),
            None => self.trust.provider.signature_verification_algorithms.supported_schemes(),
        }
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.trust.callers().is_some_and(ServerCertVerifier::requires_raw_public_keys)
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.trust.callers().and_then(ServerCertVerifier::root_hint_subjects)
    }
}
