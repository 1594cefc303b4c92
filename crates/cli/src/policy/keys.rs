//! Reads certificates and keys for TLSA records.

use std::path::Path;

use starttls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starttls_policy::tlsa::PublicKeyFacts;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::Failed;
use crate::input;

/// Reads the certificates, the request or the key in a PEM file. The server's own certificate comes first.
pub(super) fn read(path: &Path) -> Result<Vec<PublicKeyFacts>, Failed> {
    let text = input::read_or_stdin(path, input::PEM)?;
    let invalid = |what: &str| Failed::usage(format!("cannot use {}: {what}", path.display()));
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(&text) {
        let block = block.map_err(|error| invalid(&format!("invalid PEM: {error}")))?;
        let label = block.label.as_str();
        let facts = match label {
            "CERTIFICATE" => of_certificate(&block.contents),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => of_request(&block.contents),
            "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => of_key(&block.contents),
            _ => continue,
        };
        found.push(facts.ok_or_else(|| invalid(&format!("the {label} is invalid or of an unknown kind")))?);
    }
    if found.is_empty() {
        let hint = String::from("if it is DER, convert it with openssl x509 -inform der");
        return Err(
            invalid("it contains no certificate, certificate request or private key in PEM").hint(Some(hint))
        );
    }
    Ok(found)
}

/// Returns what a TLSA record is compared with, for each certificate of a chain. The rest of the chain after a certificate
/// that cannot be parsed is left out.
pub(super) fn of_chain(chain: &[CertificateDer<'_>]) -> Vec<PublicKeyFacts> {
    chain.iter().map_while(|it| of_certificate(it)).collect()
}

fn of_certificate(der: &[u8]) -> Option<PublicKeyFacts> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let spki = certificate.public_key().raw.to_vec();
    rest.is_empty().then(|| PublicKeyFacts { certificate: Some(der.to_vec()), spki })
}

fn of_request(der: &[u8]) -> Option<PublicKeyFacts> {
    let (_, request) = X509CertificationRequest::from_der(der).ok()?;
    let spki = request.certification_request_info.subject_pki.raw.to_vec();
    Some(PublicKeyFacts { certificate: None, spki })
}

fn of_key(der: &[u8]) -> Option<PublicKeyFacts> {
    let key = PrivateKeyDer::try_from(der).ok()?;
    let spki = any_supported_type(&key).ok()?.public_key()?.to_vec();
    Some(PublicKeyFacts { certificate: None, spki })
}
