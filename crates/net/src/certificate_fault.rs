//! Why a certificate is not accepted, as types.

use std::fmt;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use starttls_proto::Escaped;
use starttls_x509::{Certificate, validity};

/// A failed verification: the first fault that was found, and whether the chain leads to a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFailure {
    /// The first fault that the verification found.
    pub fault: CertificateFault,
    /// Whether the chain leads to a trusted root in spite of the fault; `None` if the fault hides that.
    pub has_trusted_root: Option<bool>,
    /// Whether the handshake proved that the server holds the key of the certificate. It is false if this library cannot verify
    /// signatures of that key, which only [`insecure`](crate::ConnectorBuilder::insecure) accepts.
    pub proves_key: bool,
}

/// Why a certificate is not accepted.
///
/// `Display` writes a clause about the certificate ("it expired 2 days ago, on 2031-04-03T12:00:00Z"). Names that the peer
/// sent are escaped in it. Times are seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The validity of a certificate in the chain has ended.
    Expired {
        /// The time of the verification, and the end of the validity, where they are known.
        at: Option<(i64, i64)>,
    },
    /// The validity of a certificate in the chain has not begun.
    NotYetValid {
        /// The time of the verification, and the start of the validity, where they are known.
        at: Option<(i64, i64)>,
    },
    /// The chain does not lead to a trusted root.
    UntrustedRoot,
    /// The issuer revoked a certificate in the chain.
    Revoked,
    /// A certificate is not well-formed (RFC 5280 section 4.1).
    Malformed,
    /// A signature in the chain was made with another key than the issuer's.
    BadSignature,
    /// A signature in the chain uses an algorithm that is not trusted.
    UntrustedSignatureAlgorithm,
    /// A certificate has an unknown critical extension, so it must be rejected (RFC 5280 section 4.2).
    UnknownCriticalExtension,
    /// The certificate is not meant for TLS servers (RFC 5280 section 4.2.1.12).
    WrongPurpose,
    /// The certificate does not contain the expected name (RFC 9525).
    WrongName {
        /// The expected name, and the names in the certificate; `None` where they are not known.
        names: Option<(String, Vec<String>)>,
    },
    /// A CA certificate is used as a server certificate.
    CaUsedAsServer,
    /// The certificate is older than X.509 version 3, so it cannot contain host names (RFC 5280 section 4.1.2.1).
    OldVersion {
        /// The version, where it can be read.
        version: Option<u8>,
    },
    /// The key of the certificate is too short.
    ShortRsaKey {
        /// The length of the modulus in bits.
        bits: usize,
    },
    /// This library cannot verify signatures of the key, so whether the server holds it is unknown.
    UnsupportedKey {
        /// The algorithm of the key.
        key: String,
    },
    /// The server did not sign the handshake with the key of the certificate.
    KeyNotHeld,
    /// Another fault, in the words of the verifier; empty if they are not fit for people.
    Other(String),
}

impl CertificateFailure {
    /// Returns a failure with this fault, of a certificate whose key the server holds.
    pub fn new(fault: CertificateFault, has_trusted_root: Option<bool>) -> Self {
        Self { fault, has_trusted_root, proves_key: true }
    }
}

impl CertificateFault {
    /// Returns the fault that an error of the verifier stands for.
    pub(crate) fn of(error: &rustls::Error, certificate: Option<&CertificateDer<'_>>) -> Self {
        use CertificateError as E;
        let rustls::Error::InvalidCertificate(cause) = error else { return Self::Other(error.to_string()) };
        match cause {
            E::Expired => Self::Expired { at: None },
            E::ExpiredContext { time, not_after } => {
                Self::Expired { at: Some((unix(*time), unix(*not_after))) }
            }
            E::NotValidYet => Self::NotYetValid { at: None },
            E::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { at: Some((unix(*time), unix(*not_before))) }
            }
            E::UnknownIssuer => Self::UntrustedRoot,
            E::Revoked => Self::Revoked,
            E::BadEncoding => Self::Malformed,
            E::BadSignature => Self::BadSignature,
            E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::UntrustedSignatureAlgorithm,
            E::UnhandledCriticalExtension => Self::UnknownCriticalExtension,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongPurpose,
            E::NotValidForName => Self::WrongName { names: None },
            E::NotValidForNameContext { expected, presented } => {
                let presented = presented.iter().map(|name| unwrapped(name).to_owned()).collect();
                Self::WrongName { names: Some((expected.to_str().into_owned(), presented)) }
            }
            // rustls has no variants of its own for these.
            E::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => Self::CaUsedAsServer,
                Some(webpki::Error::UnsupportedCertVersion) => {
                    let read = certificate.and_then(|der| Certificate::from_der(der).ok());
                    Self::OldVersion { version: read.map(|it| it.version()) }
                }
                Some(webpki::Error::UnsupportedCriticalExtension) => Self::UnknownCriticalExtension,
                // The cause alone: rustls shows it as the debug output of a value.
                _ => Self::other(&other.0.to_string()),
            },
            other => Self::other(&other.to_string()),
        }
    }

    /// Keeps the verifier's text unless it is the debug output of a value.
    fn other(text: &str) -> Self {
        Self::Other(if text.contains(['{', '[', '(']) { String::new() } else { text.to_owned() })
    }

    /// Returns whether a date is the fault.
    pub(crate) fn is_date(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::NotYetValid { .. })
    }
}

fn unix(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the name in `DnsName("mail.example.com")`, as webpki writes the names of a certificate.
fn unwrapped(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    inner.trim_matches('"')
}

impl fmt::Display for CertificateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        match self.has_trusted_root {
            Some(false) if self.fault != CertificateFault::UntrustedRoot => {
                f.write_str(", and it does not lead to a trusted root")?
            }
            _ => {}
        }
        match self.proves_key || self.fault == CertificateFault::KeyNotHeld {
            true => Ok(()),
            false => f.write_str("; whether the server holds its key cannot be verified"),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { at: None } => f.write_str("it has expired"),
            Self::Expired { at: Some((now, end)) } => f.write_str(&validity::ended(*end, *now)),
            Self::NotYetValid { at: None } => f.write_str("it is not valid yet"),
            Self::NotYetValid { at: Some((now, start)) } => f.write_str(&validity::starts(*start, *now)),
            Self::UntrustedRoot => f.write_str("it does not lead to a trusted root"),
            Self::Revoked => f.write_str("its issuer revoked it"),
            Self::Malformed => f.write_str("it is not a well-formed certificate"),
            Self::BadSignature => f.write_str("a signature in its chain was made with another key"),
            Self::UntrustedSignatureAlgorithm => {
                f.write_str("a signature in its chain uses an algorithm that is not trusted")
            }
            Self::UnknownCriticalExtension => f.write_str(
                "it has an unknown critical extension, so it must be rejected (RFC 5280 section 4.2)",
            ),
            Self::WrongPurpose => f.write_str("it is not meant for TLS servers"),
            Self::WrongName { names: None } => f.write_str("it is for another name"),
            Self::WrongName { names: Some((expected, presented)) } => match presented.as_slice() {
                [] => write!(f, "it contains no host name, expected {expected}"),
                presented => {
                    let names: Vec<String> = presented.iter().map(|name| shown(name)).collect();
                    write!(f, "it is for {}, not for {expected}", names.join(", "))
                }
            },
            Self::CaUsedAsServer => f.write_str("it is a CA certificate, used as a server certificate"),
            Self::OldVersion { version } => {
                f.write_str("it is an X.509 certificate of ")?;
                match version {
                    Some(version) => write!(f, "version {version}")?,
                    None => f.write_str("an old version")?,
                }
                f.write_str(
                    ", which cannot contain host names: expected version 3 (RFC 5280 section 4.1.2.1)",
                )
            }
            Self::ShortRsaKey { bits } => {
                write!(f, "its RSA key has {bits} bits, expected at least 2048")
            }
            Self::UnsupportedKey { key } => {
                write!(f, "its key is of a kind that cannot be verified here: {}", Escaped(key.as_bytes()))
            }
            Self::KeyNotHeld => f.write_str("the server does not hold its key"),
            Self::Other(text) if text.is_empty() => f.write_str("the verification failed"),
            Self::Other(text) => Escaped(text.as_bytes()).fmt(f),
        }
    }
}

fn shown(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => Escaped(name.as_bytes()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn faults_are_written_in_words() {
        let (signature_algorithm_id, supported_algorithms) = (vec![6, 9], Vec::new());
        let cause = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: signature_algorithm_id.clone(),
            supported_algorithms,
        };
        let key = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id: vec![6, 9],
        };
        let presented = vec![CertificateDer::from(vec![1])];
        let other = rustls::OtherError(Arc::new(std::io::Error::other(format!("Kind {{ {presented:?} }}"))));
        for cause in [cause, key, CertificateError::Other(other), CertificateError::BadEncoding] {
            let fault = CertificateFault::of(&rustls::Error::InvalidCertificate(cause), None);
            let words = fault.to_string();
            assert!(!words.contains(['{', '[', '(', '_']) && words.contains(' '), "{words}");
        }
    }
}
