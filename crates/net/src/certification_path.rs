//! Certification paths, and certificates that webpki cannot parse.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity};

use crate::der::element;

/// Returns the certificates that link the end entity to a trusted root at this time: the end entity first, without the
/// root. Returns `None` if no such path exists (RFC 5280 section 6).
///
/// A server may send more certificates than the path needs, such as an expired cross-signed root. They do not affect
/// clients, so they do not affect verdicts either.
pub(crate) fn verified(
    anchors: &RootCertStore,
    algorithms: &WebPkiSupportedAlgorithms,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    time: UnixTime,
) -> Option<Vec<CertificateDer<'static>>> {
    let own = EndEntityCert::try_from(end_entity).ok()?;
    let usage = KeyUsage::server_auth();
    let path =
        own.verify_for_usage(algorithms.all, &anchors.roots, intermediates, time, usage, None, None).ok()?;
    let links = path.intermediate_certificates().map(|link| link.der().into_owned());
    Some(std::iter::once(end_entity.clone().into_owned()).chain(links).collect())
}

/// Returns whether webpki can parse this certificate. It parses only version 3 without unknown critical extensions.
pub(crate) fn is_parsable(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok()
}

/// Verifies a signature of the handshake with the key of a certificate that webpki cannot parse.
///
/// This proves that the peer holds the key, and nothing about whose key it is. It is for connections that were
/// explicitly made without verification.
pub(crate) fn is_signed(
    certificate: &CertificateDer<'_>,
    message: &[u8],
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let Some(key) = Outline::read(certificate).map(|it| SubjectPublicKeyInfoDer::from(it.key)) else {
        return false;
    };
    let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
    let candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
    candidates
        .flat_map(|(_, candidates)| candidates.iter())
        .any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok())
}

/// Returns the X.509 version of a certificate: 1, 2 or 3, where the encoding has 0, 1 or 2 (RFC 5280 section 4.1.2.1).
pub(crate) fn version(certificate: &CertificateDer<'_>) -> Option<u8> {
    Outline::read(certificate).map(|it| it.version)
}

/// The parts of a certificate that can be read without knowing its extensions.
struct Outline<'a> {
    version: u8,
    /// SubjectPublicKeyInfo, with its tag and length.
    key: &'a [u8],
}

impl<'a> Outline<'a> {
    fn read(certificate: &'a [u8]) -> Option<Self> {
        let (mut rest, _) = element(element(certificate, 0x30)?.0, 0x30)?;
        let mut version = 1;
        if let Some((explicit, after)) = element(rest, 0xa0) {
            version = match element(explicit, 0x02)?.0 {
                [number @ 0..=2] => number + 1,
                _ => return None,
            };
            rest = after;
        }
        // The serial number; then the signature algorithm, the issuer, the validity and the subject.
        rest = element(rest, 0x02)?.1;
        for _ in 0..4 {
            rest = element(rest, 0x30)?.1;
        }
        let after = element(rest, 0x30)?.1;
        let key = rest.get(..rest.len() - after.len())?;
        Some(Self { version, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outline_of_a_certificate_contains_its_version_and_its_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![String::from("localhost")]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let outline = Outline::read(certificate.der()).unwrap();
        assert_eq!(
            (outline.version, outline.key),
            (3, &*rcgen::PublicKeyData::subject_public_key_info(&key))
        );
        assert!(is_parsable(certificate.der()));
        for length in 0..certificate.der().len() {
            assert!(Outline::read(&certificate.der()[..length]).is_none(), "{length} octets");
        }
    }
}
