//! Reads X.509 certificates, public keys, OCSP responses and PEM files.
//!
//! This crate describes what it reads and decides nothing: rustls verifies peers. It reads what verifiers reject, too, such
//! as certificates of X.509 version 1 or with unknown critical extensions, so that a report can say what a peer
//! presented. Input may be hostile: reading never panics, never recurses, and needs memory in proportion to the input.
//!
//! ```
//! # fn example(der: &[u8]) -> Result<(), starttls_x509::MalformedDer> {
//! use starttls_x509::{Certificate, hex, validity};
//!
//! let certificate = Certificate::from_der(der)?;
//! println!("{} until {}", certificate.subject(), validity::rfc3339(certificate.not_after()));
//! println!("names: {:?}; SHA-256 {}", certificate.dns_names(), hex(&certificate.sha256()));
//! # Ok(())
//! # }
//! ```
//!
//! # Signatures
//! The functions that verify signatures take their algorithms as arguments, as the trait
//! [`SignatureVerificationAlgorithm`](rustls_pki_types::SignatureVerificationAlgorithm) of `rustls-pki-types`. Every crypto
//! provider of rustls has a list of them (aws-lc-rs, ring and others), and this crate depends on none.
#![forbid(unsafe_code)]

mod bundle;
mod certificate;
mod der;
mod extension;
mod key;
mod name;
mod ocsp;
mod pem;
mod signature;
pub mod validity;

pub use bundle::{Bundle, BundleCertificate, BundleError, certificate_to_pem};
pub use certificate::Certificate;
pub use der::{MalformedDer, Oid};
pub use extension::{CertificateExtension, ExtendedKeyUsage, timestamp_count};
pub use key::{EllipticCurve, KeyAlgorithm, PublicKey};
pub use name::{DistinguishedName, GeneralName, NameAttribute, matches_host};
pub use ocsp::{CertificateStatus, OcspAnswer, OcspFault, OcspResponse, ResponseStatus};
pub use rustls_pki_types as pki_types;
pub use signature::{HashAlgorithm, SignatureAlgorithm, SignatureError};

use sha2::{Digest, Sha256, Sha512};

/// Returns the SHA-256 hash of these octets.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// Returns the SHA-512 hash of these octets.
pub fn sha512(octets: &[u8]) -> [u8; 64] {
    Sha512::digest(octets).into()
}

/// Returns the octets in lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
