//! Verification of the server's certificate, and a record of its result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use crate::der::element;
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

    /// Returns whether the key of a certificate that webpki cannot parse made this signature. For `insecure` connections
    /// only: nothing else about such a certificate can be verified.
    fn is_signed_by_unparsable(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> bool {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.insecure
            && !certification_path::is_parsable(certificate)
            && certification_path::is_signed(certificate, message, dss, algorithms)
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

/// Verifies as WebPKI does and records the result. With `insecure` it accepts every certificate; signatures in the
/// handshake are verified in any case.
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
    pub(crate) ocsp_stapled: bool,
    /// Whether the certificate was accepted. A later failure is that of the signature in the handshake.
    pub(crate) accepted: bool,
}

impl RecordingVerifier {
    pub(crate) fn record(&self) -> Option<VerificationRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    found: Mutex<Option<Option<Arc<CertifiedKey>>>>,
}

impl RecordingResolver {
    pub(crate) fn new(inner: Arc<dyn ResolvesServerCert>) -> Self {
        Self { inner, found: Mutex::default() }
    }

    pub(crate) fn found_none(&self) -> bool {
        matches!(*self.found.lock().unwrap_or_else(PoisonError::into_inner), Some(None))
    }

    /// Returns the certificate that the server presented.
    pub(crate) fn presented(&self) -> Option<Arc<CertifiedKey>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone().flatten()
    }
}

impl ResolvesServerCert for RecordingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.inner.resolve(hello);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
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
        let (chain, ocsp_stapled) = (chain.collect(), !ocsp_response.is_empty());
        let record = VerificationRecord { chain, path, verdict, ocsp_stapled, accepted };
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
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        match self.trust.is_signed_by_unparsable(message, cert, dss) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => verify_tls12_signature(message, cert, dss, algorithms),
        }
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
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        // RFC 8446 section 4.4.3: not every scheme may sign here.
        let allowed = SUPPORTED_IN_TLS13.contains(&dss.scheme);
        match allowed && self.trust.is_signed_by_unparsable(message, cert, dss) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => verify_tls13_signature(message, cert, dss, algorithms),
        }
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

/// The schemes that may sign a handshake of TLS 1.3 (RFC 8446 section 4.2.3).
const SUPPORTED_IN_TLS13: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::ED25519,
];

/// Returns why a signature in the handshake cannot be verified, though the certificate was accepted.
pub(crate) fn signature_fault(chain: &[CertificateDer<'_>]) -> CertificateFault {
    match chain.first().and_then(rsa_bits) {
        Some(bits) if bits < 2048 => CertificateFault::ShortRsaKey { bits },
        _ => CertificateFault::KeyNotHeld,
    }
}

/// Returns the length in bits of the modulus of an RSA key, in whole octets (RFC 3279 section 2.3.1).
fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    /// rsaEncryption.
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let info = parsed.subject_public_key_info();
    let (algorithm, key) = element(element(&info, 0x30)?.0, 0x30)?;
    if element(algorithm, 0x06)?.0 != RSA {
        return None;
    }
    // A bit string without unused bits.
    let key = element(key, 0x03)?.0.strip_prefix(&[0])?;
    let (modulus, _) = element(element(key, 0x30)?.0, 0x02)?;
    Some(modulus.iter().skip_while(|octet| **octet == 0).count() * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_rsa_key_is_read_from_its_certificate() {
        let issued = |key: rcgen::KeyPair| {
            let params = rcgen::CertificateParams::new(vec![String::from("localhost")]).unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        assert_eq!(rsa_bits(&issued(rsa.unwrap())), Some(2048));
        assert_eq!(rsa_bits(&issued(rcgen::KeyPair::generate().unwrap())), None);
    }
}
