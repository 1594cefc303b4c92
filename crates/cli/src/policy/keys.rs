//! Reads certificates and keys for TLSA records.

use std::path::Path;

use starttls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use starttls::rustls::pki_types::CertificateDer;
use starttls_policy::tlsa::PublicKeyFacts;
use starttls_x509::{Bundle, BundleError, Certificate};

use crate::error::Failed;
use crate::input;

/// Reads the certificates of a file, the server's own first. If it contains none, reads its certificate request, private
/// key or public key.
pub(super) fn read(path: &Path) -> Result<Vec<PublicKeyFacts>, Failed> {
    let content = input::read_or_stdin(path, input::PEM)?;
    let unusable = |error: BundleError| Failed::usage(error.to_string()).hint(error.hint());
    let invalid = |what: &str| Failed::usage(format!("cannot use {}: {what}", path.display()));
    let bundle = Bundle::read(path.display().to_string(), &content).map_err(unusable)?;
    let of_spki = |spki: &[u8]| PublicKeyFacts { certificate: None, spki: spki.to_vec() };
    let without_certificate = match bundle.certificates() {
        Ok(all) => {
            return all
                .iter()
                .map(|it| {
                    let malformed = || invalid(&format!("{}: the certificate is malformed", it.position));
                    of_certificate(&it.der).ok_or_else(malformed)
                })
                .collect();
        }
        Err(error) => error,
    };
    if let Some(key) = bundle.requested_key() {
        return Ok(vec![of_spki(&key)]);
    }
    match bundle.private_key() {
        Ok(key) => {
            let key = any_supported_type(&key).ok().and_then(|key| Some(of_spki(&key.public_key()?)));
            key.map(|key| vec![key]).ok_or_else(|| invalid("the kind of its private key is unknown"))
        }
        Err(error) if error.is_encrypted_key() => Err(unusable(error)),
        Err(_) => match bundle.public_key() {
            Ok(key) => Ok(vec![of_spki(&key)]),
            Err(_) => Err(unusable(without_certificate)),
        },
    }
}

/// Returns what a TLSA record is compared with, for each certificate of a chain. The rest of the chain after a certificate
/// that cannot be parsed is left out.
pub(super) fn of_chain(chain: &[CertificateDer<'_>]) -> Vec<PublicKeyFacts> {
    chain.iter().map_while(|it| of_certificate(it)).collect()
}

fn of_certificate(der: &[u8]) -> Option<PublicKeyFacts> {
    let spki = Certificate::from_der(der).ok()?.spki_der().to_vec();
    Some(PublicKeyFacts { certificate: Some(der.to_vec()), spki })
}
