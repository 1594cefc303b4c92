//! Verification of the server's certificate, and a record of what came of it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use starttls_proto::Escaped;

use crate::der::element;
use crate::{CertificateVerdict, Error, certification_path, validity};

/// What every connection of a connector verifies against.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// Nothing where there is no root to trust, which `insecure` allows.
    roots: Option<Arc<WebPkiServerVerifier>>,
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
            return Err(Error::config("there is no root certificate to trust"));
        }
        let anchors = Arc::new(roots);
        let roots = (!anchors.is_empty())
            .then(|| {
                WebPkiServerVerifier::builder_with_provider(anchors.clone(), provider.clone())
                    .build()
                    .map_err(|cause| Error::config_because("the root certificates are not usable", cause))
            })
            .transpose()?;
        Ok(Self { roots, anchors, provider, insecure })
    }

    /// Whether a chain that was refused leads to a trusted root all the same. WebPKI looks at dates and usage first,
    /// and at the name last, so that most errors say nothing of what comes behind them.
    fn is_rooted(
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
            // At a time when it was valid, something else may be wrong, but no longer the date.
            E::ExpiredContext { not_after: valid, .. } | E::NotValidYetContext { not_before: valid, .. } => {
                match verify(*valid) {
                    Ok(_) => Some(true),
                    Err(error) if is_date(&error) => None,
                    Err(error) => self.is_rooted(&error, end_entity, verify),
                }
            }
            E::Other(_) if is_authority(cause) => {
                let mut own = RootCertStore::empty();
                let added = own.add(end_entity.clone().into_owned()).is_ok();
                (added && self.anchors.roots.contains(own.roots.first()?)).then_some(true)
            }
            _ => None,
        }
    }

    /// The path to a trusted root; when a date is all that is wrong, the path at a time when it was valid.
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

    /// Whether the key of a certificate that webpki cannot parse signed this. Only `insecure` connections ask: nothing
    /// else about such a certificate can be verified.
    fn is_signed_all_the_same(
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

    /// The verifier of one connection.
    pub(crate) fn recorder(&self) -> Arc<RecordingVerifier> {
        Arc::new(RecordingVerifier {
            trust: self.clone(),
            seen: Mutex::new(None),
            asked: AtomicBool::new(false),
        })
    }
}

/// Verifies as WebPKI does and remembers the outcome. With `insecure` it accepts whatever the outcome;
/// signatures in the handshake are verified in any case.
#[derive(Debug)]
pub(crate) struct RecordingVerifier {
    trust: Trust,
    seen: Mutex<Option<VerificationRecord>>,
    /// Whether the server asked for a client certificate, where there is none.
    asked: AtomicBool,
}

/// What the server presented and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct VerificationRecord {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The part of the chain that leads to a trusted root.
    pub(crate) path: Vec<CertificateDer<'static>>,
    pub(crate) verdict: CertificateVerdict,
    pub(crate) ocsp_stapled: bool,
    /// Whether the handshake went on; what fails after that is the signature in it.
    pub(crate) accepted: bool,
}

impl RecordingVerifier {
    pub(crate) fn seen(&self) -> Option<VerificationRecord> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server asked for a client certificate and got none.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Of a client without a certificate: it hears the question, and has no answer.
impl ResolvesClientCert for RecordingVerifier {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // Nobody else is asked.
        true
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
        let verify = |now| match &self.trust.roots {
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => ParsedCertificate::try_from(end_entity).and(Err(CertificateError::UnknownIssuer.into())),
        };
        let outcome = verify(now);
        let chain = std::iter::once(end_entity).chain(intermediates).map(|it| it.clone().into_owned());
        let verdict = match &outcome {
            Ok(_) => CertificateVerdict::Verified,
            Err(error) => {
                let rooted = self.trust.is_rooted(error, end_entity, verify);
                let mut reason = unparsable(error, end_entity).unwrap_or_else(|| describe(error));
                if rooted == Some(false) && !is(error, &CertificateError::UnknownIssuer) {
                    reason += ", and it does not lead to a trusted root";
                }
                CertificateVerdict::Failed { reason, rooted }
            }
        };
        let path = self.trust.path(outcome.as_ref().err(), end_entity, intermediates, now);
        let accepted = self.trust.insecure || outcome.is_ok();
        let (chain, ocsp_stapled) = (chain.collect(), !ocsp_response.is_empty());
        let seen = VerificationRecord { chain, path, verdict, ocsp_stapled, accepted };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        if self.trust.insecure { Ok(ServerCertVerified::assertion()) } else { outcome }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        match self.trust.is_signed_all_the_same(message, cert, dss) {
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
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        // RFC 8446 section 4.4.3: not every scheme may sign here.
        let allowed = SUPPORTED_IN_TLS13.contains(&dss.scheme);
        match allowed && self.trust.is_signed_all_the_same(message, cert, dss) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => verify_tls13_signature(message, cert, dss, algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
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

/// Why webpki cannot even parse a certificate, where the reason is known.
fn unparsable(error: &rustls::Error, certificate: &CertificateDer<'_>) -> Option<String> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(cause)) = error else { return None };
    let cause = cause.to_string();
    if cause.contains("UnsupportedCertVersion") {
        let version = certification_path::version(certificate)
            .map_or_else(|| String::from("an old"), |it| format!("{it}"));
        return Some(format!(
            "it is of X.509 version {version}, which cannot carry the names of a host: expected version 3 \
             (RFC 5280 section 4.1.2.1)"
        ));
    }
    let extension = "it has a critical extension that this program does not know, so it must be rejected";
    cause.contains("UnsupportedCriticalExtension").then(|| format!("{extension} (RFC 5280 section 4.2)"))
}

/// Why a certificate is not accepted, for people. Names in it are the peer's, and so escaped.
pub(crate) fn describe(error: &rustls::Error) -> String {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(cause) = error else { return error.to_string() };
    let unix = |time: &UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match cause {
        E::Expired => String::from("it has expired"),
        E::ExpiredContext { time, not_after } => validity::ended(unix(not_after), unix(time)),
        E::NotValidYet => String::from("it is not valid yet"),
        E::NotValidYetContext { time, not_before } => validity::starts(unix(not_before), unix(time)),
        E::UnknownIssuer => String::from("it does not lead to a trusted root"),
        E::Revoked => String::from("it was revoked"),
        E::BadEncoding => String::from("it is not a well-formed certificate"),
        E::BadSignature => String::from("a signature in its chain was made with another key"),
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            String::from("a signature in its chain is of a kind that is not trusted")
        }
        E::UnhandledCriticalExtension => String::from("it has a critical extension that is not known"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => String::from("it is not meant for this use"),
        E::NotValidForName => String::from("it is for another name"),
        E::NotValidForNameContext { expected, presented } => {
            let names: Vec<String> = presented.iter().map(|name| presented_name(name)).collect();
            let names = if names.is_empty() { String::from("no host name at all") } else { names.join(", ") };
            format!("it is for {names}, not for {}", expected.to_str())
        }
        E::Other(_) if is_authority(cause) => {
            String::from("it is an authority's certificate, used as a server's")
        }
        other => {
            without_debug_output(&other.to_string()).unwrap_or_else(|| String::from("it cannot be verified"))
        }
    }
}

/// The library's words, unless they are a value's insides.
fn without_debug_output(text: &str) -> Option<String> {
    (!text.contains(['{', '[', '('])).then(|| text.to_owned())
}

/// Why a signature in the handshake cannot be verified, though the certificate was accepted.
pub(crate) fn signature_failure(chain: &[CertificateDer<'_>]) -> String {
    match chain.first().and_then(rsa_bits) {
        Some(bits) if bits < 2048 => format!("its key is too short to be trusted: RSA with {bits} bits"),
        _ => String::from("whoever presents it does not hold its key"),
    }
}

/// How many bits the modulus of an RSA key has, to whole octets (RFC 3279 section 2.3.1).
fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    /// rsaEncryption.
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let info = parsed.subject_public_key_info();
    let (algorithm, key) = element(element(&info, 0x30)?.0, 0x30)?;
    if element(algorithm, 0x06)?.0 != RSA {
        return None;
    }
    // A bit string without spare bits.
    let key = element(key, 0x03)?.0.strip_prefix(&[0])?;
    let (modulus, _) = element(element(key, 0x30)?.0, 0x02)?;
    Some(modulus.iter().skip_while(|octet| **octet == 0).count() * 8)
}

fn is(error: &rustls::Error, cause: &CertificateError) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(found) if found == cause)
}

fn is_date(error: &rustls::Error) -> bool {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(cause) = error else { return false };
    matches!(cause, E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. })
}

/// An authority's certificate in a server's place has no name of its own among the errors.
pub(crate) fn is_authority(cause: &CertificateError) -> bool {
    matches!(cause, CertificateError::Other(cause) if cause.to_string().contains("CaUsedAsEndEntity"))
}

/// `DnsName("mail.example.com")` without its wrapping.
fn presented_name(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    if let Ok(address) = inner.parse::<IpAddr>() {
        return address.to_string();
    }
    Escaped(inner.trim_matches('"').as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words() {
        let (signature_algorithm_id, supported_algorithms) = (vec![6, 9], Vec::new());
        let cause = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: signature_algorithm_id.clone(),
            supported_algorithms,
        };
        let key = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id: vec![6, 9],
        };
        let presented = vec![rustls::pki_types::CertificateDer::from(vec![1])];
        let other = rustls::OtherError(Arc::new(std::io::Error::other(format!("Kind {{ {presented:?} }}"))));
        for cause in [cause, key, CertificateError::Other(other), CertificateError::BadEncoding] {
            let words = describe(&rustls::Error::InvalidCertificate(cause));
            assert!(!words.contains(['{', '[', '(', '_']) && words.contains(' '), "{words}");
        }
    }

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
