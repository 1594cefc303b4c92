//! The signature of the handshake, by which a server proves that it holds the key of its certificate.

use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use starttls_x509::{Certificate, KeyAlgorithm, SignatureError};

use crate::CertificateFault;

/// A signature that does not prove that the server holds the key.
#[derive(Debug)]
pub(crate) struct SignatureFailure {
    /// [`CertificateFault::KeyNotHeld`] if another key signed. Any other fault means that the signature cannot be verified,
    /// so whether the server holds the key is unknown.
    pub(crate) fault: CertificateFault,
    pub(crate) error: rustls::Error,
}

impl SignatureFailure {
    /// Returns whether it is unknown if the server holds the key.
    pub(crate) fn is_unverifiable(&self) -> bool {
        self.fault != CertificateFault::KeyNotHeld
    }
}

/// Verifies the signature of a handshake with the key of a certificate of any kind.
///
/// rustls verifies only with certificates that webpki can parse: version 3 without unknown critical extensions. For the
/// others, the key is read from the certificate. That proves the same about the key, and nothing about its owner.
pub(crate) fn verify(
    version: ProtocolVersion,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), SignatureFailure> {
    let is_tls13 = version == ProtocolVersion::TLSv1_3;
    let verified = match is_tls13 {
        true => verify_tls13_signature(message, certificate, dss, algorithms),
        false => verify_tls12_signature(message, certificate, dss, algorithms),
    };
    let Err(error) = verified else { return Ok(()) };
    let fault = match Certificate::from_der(certificate) {
        Err(_) => CertificateFault::Malformed,
        Ok(own) => {
            let key = own.public_key();
            let candidates = candidates(is_tls13, dss.scheme, algorithms).iter().copied();
            match (key.verify(candidates, message, dss.signature()), key.algorithm()) {
                (Ok(()), _) => return Ok(()),
                (Err(SignatureError::Invalid), _) => CertificateFault::KeyNotHeld,
                (Err(SignatureError::Unsupported), KeyAlgorithm::Rsa { bits })
                    if key.algorithm().is_weak() =>
                {
                    CertificateFault::ShortRsaKey { bits }
                }
                (Err(SignatureError::Unsupported), key) => {
                    CertificateFault::UnsupportedKey { key: key.to_string() }
                }
            }
        }
    };
    Err(SignatureFailure { fault, error })
}

/// Returns the algorithms that may verify a signature of this scheme.
fn candidates(
    is_tls13: bool,
    scheme: SignatureScheme,
    algorithms: &WebPkiSupportedAlgorithms,
) -> &'static [&'static dyn rustls::pki_types::SignatureVerificationAlgorithm] {
    /// The schemes that may sign a handshake of TLS 1.3 (RFC 8446 section 4.2.3).
    const TLS13: &[SignatureScheme] = &[
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::ED25519,
    ];
    let own = algorithms.mapping.iter().find(|(own, _)| *own == scheme).map_or(&[][..], |(_, own)| own);
    match is_tls13 {
        false => own,
        // There the scheme also names the curve, which the first algorithm has.
        true if TLS13.contains(&scheme) => own.get(..1).unwrap_or_default(),
        true => &[],
    }
}
