//! Authentication of a server by DANE (RFC 6698, RFC 7671, RFC 7672): its TLSA records, which DNSSEC proves, name its
//! certificate or key, or a CA of its own choice.
//!
//! [`DaneVerifier`] is for [`ConnectorBuilder::verifier`](crate::ConnectorBuilder::verifier). The caller looks up the records
//! and must use only those that DNSSEC proves.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, ProtocolVersion, RootCertStore, SignatureScheme,
};
use starttls_x509::{Certificate, hex, matches_host, sha256, sha512};

use crate::{CertificateFault, handshake_signature};

/// A TLSA record (RFC 6698 section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsaRecord {
    /// Certificate usage: 3 is the server's own certificate, 2 is a CA. Other usages match nothing: they need a CA that the
    /// client trusts already, which mail clients do not have (RFC 7672 section 3.1.3).
    pub usage: u8,
    /// Selector: 0 is the certificate, 1 is the public key.
    pub selector: u8,
    /// Matching type: 0 is the data itself, 1 is SHA-256, 2 is SHA-512.
    pub matching: u8,
    /// The data.
    pub data: Vec<u8>,
}

impl fmt::Display for TlsaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.usage, self.selector, self.matching, hex(&self.data))
    }
}

impl TlsaRecord {
    /// Returns whether the record is that of this certificate. The usage does not matter here.
    pub fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let parsed = if self.selector == 1 { Certificate::from_der(certificate).ok() } else { None };
        let selected: &[u8] = match (self.selector, &parsed) {
            (0, _) => certificate,
            (1, Some(parsed)) => parsed.spki_der(),
            _ => return false,
        };
        match self.matching {
            0 => self.data == selected,
            1 => self.data == sha256(selected),
            2 => self.data == sha512(selected),
            _ => false,
        }
    }
}

/// A chain that a record authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DaneMatch {
    /// The record.
    pub record: TlsaRecord,
    /// The position in the chain of the certificate that the record matches; `None` if the record contains the CA's
    /// certificate and the server did not send it.
    pub position: Option<usize>,
}

/// Why no record authenticates a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaneFault {
    /// No record matches a certificate. The digests are those of the server's own certificate and of its key, SHA-256.
    NoMatch {
        /// The digest of the certificate.
        certificate: String,
        /// The digest of the key; empty if the certificate cannot be parsed.
        key: String,
    },
    /// A record matches a CA, and the server's certificate contains none of these names.
    WrongName(Vec<String>),
    /// A record matches a CA, and the server's certificate does not lead to it: the reason of the verifier.
    NoPath(String),
}

impl fmt::Display for DaneFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch { certificate, key } => {
                write!(f, "no TLSA record matches: the certificate has SHA-256 {certificate}, its key {key}")
            }
            Self::WrongName(names) => {
                write!(f, "a TLSA record matches a CA, but the certificate is not for {}", names.join(" or "))
            }
            Self::NoPath(reason) => {
                write!(f, "a TLSA record matches a CA, but the certificate does not lead to it: {reason}")
            }
        }
    }
}

impl std::error::Error for DaneFault {}

/// Verifies servers by their TLSA records alone, without any trusted root.
///
/// For usage 3 the record must match the server's certificate; its names, its dates and its issuer do not matter (RFC 7672
/// section 3.1.1). For usage 2 the certificate must lead to a CA that a record matches, be valid now, and contain one of the
/// names (section 3.1.2). The path length that the CA's own certificate permits is not enforced.
#[derive(Clone, Debug)]
pub struct DaneVerifier {
    records: Vec<TlsaRecord>,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl DaneVerifier {
    /// Returns a verifier for these records. `names` are the names of which a certificate needs one for usage 2: the TLSA base
    /// domain, and for mail whose MX records are secure also the domain of the recipient (RFC 7672 section 3.2.2).
    pub fn new(records: Vec<TlsaRecord>, names: Vec<String>, provider: Arc<CryptoProvider>) -> Self {
        Self { records, names, provider }
    }

    /// Returns which record authenticates this chain, the server's own certificate first.
    ///
    /// # Errors
    /// [`DaneFault`] if no record does.
    pub fn authenticate(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<DaneMatch, DaneFault> {
        let Some((own, others)) = chain.split_first() else {
            return Err(DaneFault::NoMatch { certificate: String::new(), key: String::new() });
        };
        if let Some(record) = self.records.iter().find(|it| it.usage == 3 && it.is_of(own)) {
            return Ok(DaneMatch { record: record.clone(), position: Some(0) });
        }
        let mut fault = None;
        for record in self.records.iter().filter(|it| it.usage == 2) {
            let position = others.iter().position(|it| record.is_of(it));
            // A CA certificate in the record itself need not be sent (RFC 7671 section 5.2.2).
            let published = || Some(CertificateDer::from(record.data.clone()));
            let anchor = match position {
                Some(index) => others.get(index).map(|it| it.clone().into_owned()),
                None if (record.selector, record.matching) == (0, 0) => published(),
                None => None,
            };
            let Some(anchor) = anchor else { continue };
            match self.verify_path(own, others, anchor, now) {
                Ok(()) => {
                    return Ok(DaneMatch { record: record.clone(), position: position.map(|it| it + 1) });
                }
                // The record itself may be of another CA.
                Err(_) if position.is_none() => {}
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        Err(fault.unwrap_or_else(|| DaneFault::NoMatch {
            certificate: hex(&sha256(own)),
            key: Certificate::from_der(own).map(|it| hex(&it.spki_sha256())).unwrap_or_default(),
        }))
    }

    /// Verifies that the server holds the key. A record of usage 3 may match a certificate of version 1, which webpki cannot
    /// parse.
    fn verify_signature(
        &self,
        version: ProtocolVersion,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match handshake_signature::verify(version, message, cert, dss, algorithms) {
            Ok(()) => Ok(HandshakeSignatureValid::assertion()),
            Err(failure) => Err(failure.error),
        }
    }

    fn verify_path(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        anchor: CertificateDer<'static>,
        now: UnixTime,
    ) -> Result<(), DaneFault> {
        let no_path =
            |error: rustls::Error| DaneFault::NoPath(CertificateFault::of(&error, Some(own)).to_string());
        let mut roots = RootCertStore::empty();
        roots.add(anchor).map_err(no_path)?;
        let parsed = ParsedCertificate::try_from(own).map_err(no_path)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, algorithms)
            .map_err(no_path)?;
        let is_named =
            Certificate::from_der(own).is_ok_and(|own| self.names.iter().any(|name| is_for(&own, name)));
        if is_named { Ok(()) } else { Err(DaneFault::WrongName(self.names.clone())) }
    }
}

/// Returns whether the certificate is for this host. The common name counts only without alternative names (RFC 7672
/// section 3.2.3).
fn is_for(certificate: &Certificate<'_>, host: &str) -> bool {
    if certificate.dns_names().is_empty() {
        return certificate.common_names().iter().any(|it| matches_host(it, host));
    }
    certificate.is_for(host)
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match self.authenticate(&chain, now) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(fault) => Err(CertificateError::Other(OtherError(Arc::new(fault))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(ProtocolVersion::TLSv1_2, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(ProtocolVersion::TLSv1_3, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
