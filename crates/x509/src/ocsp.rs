//! OCSP responses (RFC 6960): whether a certificate is revoked.

use std::fmt;

use rustls_pki_types::SignatureVerificationAlgorithm;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};

use crate::certificate::Certificate;
use crate::der::{Element, MalformedDer, Reader, tag};
use crate::extension::{self, CertificateExtension, oids};
use crate::signature::{HashAlgorithm, SignatureError};
use crate::validity;

/// The clock difference that is tolerated, in seconds.
const SKEW: i64 = 300;

/// An OCSP response (RFC 6960 section 4.2.1).
///
/// [`answer_for`](Self::answer_for) returns what it reports about a certificate, and [`verify`](Self::verify) whether the CA
/// signed that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspResponse<'a> {
    status: ResponseStatus,
    basic: Option<BasicResponse<'a>>,
}

/// The result of the request, as the responder reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseStatus {
    /// The response has answers.
    Successful,
    /// The responder did not understand the request.
    MalformedRequest,
    /// The responder failed.
    InternalError,
    /// The responder is busy.
    TryLater,
    /// The responder requires a signed request.
    SignatureRequired,
    /// The responder does not serve this requester or this certificate.
    Unauthorized,
    /// A status that is not registered.
    Other(u8),
}

/// The signed part of a response, its signature, and the certificates of responders.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BasicResponse<'a> {
    signed: &'a [u8],
    produced_at: i64,
    answers: Vec<SingleResponse<'a>>,
    signature_id: &'a [u8],
    signature: &'a [u8],
    /// Certificates of responders that may sign for the CA.
    signers: Vec<Certificate<'a>>,
}

/// A SingleResponse with its CertID.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SingleResponse<'a> {
    hash: Option<HashAlgorithm>,
    issuer_name_hash: &'a [u8],
    issuer_key_hash: &'a [u8],
    serial: &'a [u8],
    answer: OcspAnswer,
}

/// What a response reports about one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OcspAnswer {
    /// Whether the certificate is revoked.
    pub status: CertificateStatus,
    /// When the status was known to be right, in seconds since 1970.
    pub this_update: i64,
    /// When newer information is available. Without it, newer information is available at any time (RFC 6960 section
    /// 4.2.2.1), and the client decides how old a response may be.
    pub next_update: Option<i64>,
    /// When the response was signed.
    pub produced_at: i64,
    /// The number of signed certificate timestamps (RFC 6962 section 3.3).
    pub timestamps: usize,
}

/// The status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since this time, in seconds since 1970.
        at: i64,
        /// The code of the reason (RFC 5280 section 5.3.1), if one is given.
        reason: Option<u8>,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// Why a response does not prove that a certificate is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OcspFault {
    /// The response is not well-formed.
    Malformed(MalformedDer),
    /// The responder returned no answers.
    NotSuccessful(ResponseStatus),
    /// The answers are about other certificates.
    OtherCertificate,
    /// The CA did not sign the response, and authorized no responder that did (RFC 6960 section 4.2.2.2).
    BadSignature,
    /// The algorithm of the signature or the kind of the key is not supported, so whether the CA signed is unknown.
    UnverifiableSignature,
    /// The response is valid from a later time on.
    NotYetValid {
        /// That time, in seconds since 1970.
        this_update: i64,
    },
    /// A newer response is available.
    Outdated {
        /// Since this time, in seconds since 1970.
        next_update: i64,
    },
}

impl<'a> OcspResponse<'a> {
    /// Reads a response in DER.
    ///
    /// # Errors
    /// If it is not well-formed, or octets follow it.
    pub fn from_der(der: &'a [u8]) -> Result<Self, MalformedDer> {
        let mut input = Reader::new(der);
        let mut parts = input.expect(tag::SEQUENCE, "OCSP response")?.reader();
        input.end("OCSP response")?;
        let status = ResponseStatus::of(parts.expect(tag::ENUMERATED, "response status")?.small()?);
        let basic = match parts.optional(tag::constructed(0), "response")? {
            Some(bytes) => Some(BasicResponse::read(&bytes)?),
            None => None,
        };
        Ok(Self { status, basic })
    }

    /// Returns the result of the request.
    pub fn status(&self) -> ResponseStatus {
        self.status
    }

    /// Returns what the response reports about a certificate. The issuer's key is compared if `issuer` is known.
    ///
    /// # Errors
    /// [`OcspFault::NotSuccessful`] or [`OcspFault::OtherCertificate`].
    pub fn answer_for(
        &self,
        certificate: &Certificate<'_>,
        issuer: Option<&Certificate<'_>>,
    ) -> Result<OcspAnswer, OcspFault> {
        let answers = self.basic()?.answers.iter();
        let own = answers.filter(|it| it.is_about(certificate, issuer)).map(|it| it.answer);
        // Of several answers the latest counts.
        own.max_by_key(|it| it.this_update).ok_or(OcspFault::OtherCertificate)
    }

    /// Verifies that the CA signed the response, or a responder that the CA authorized (RFC 6960 section 4.2.2.2). `issuer` is
    /// the certificate of the CA that issued the certificate in question.
    ///
    /// # Errors
    /// [`OcspFault::NotSuccessful`], [`OcspFault::BadSignature`] or [`OcspFault::UnverifiableSignature`].
    pub fn verify(
        &self,
        issuer: &Certificate<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: i64,
    ) -> Result<(), OcspFault> {
        let basic = self.basic()?;
        let authorized =
            basic.signers.iter().filter(|it| it.issuer() == issuer.subject() && it.is_valid_at(now));
        let authorized =
            authorized.filter(|it| it.extended_key_usage().is_some_and(|it| it.allows_ocsp_signing()));
        let mut fault = basic.is_signed_by(issuer, algorithms);
        for signer in authorized {
            if fault.is_ok() {
                break;
            }
            let by_signer = signer
                .verify_signed_by(&issuer.public_key(), algorithms)
                .and_then(|()| basic.is_signed_by(signer, algorithms));
            // If one signature is unverifiable, the response may still be valid.
            if by_signer != Err(SignatureError::Invalid) || fault != Err(SignatureError::Unsupported) {
                fault = by_signer;
            }
        }
        fault.map_err(|error| match error {
            SignatureError::Invalid => OcspFault::BadSignature,
            SignatureError::Unsupported => OcspFault::UnverifiableSignature,
        })
    }

    fn basic(&self) -> Result<&BasicResponse<'a>, OcspFault> {
        let is_successful = self.status == ResponseStatus::Successful;
        self.basic.as_ref().filter(|_| is_successful).ok_or(OcspFault::NotSuccessful(self.status))
    }
}

impl OcspAnswer {
    /// Checks that the answer is valid at this time, in seconds since 1970. Clocks may differ by five minutes.
    ///
    /// # Errors
    /// [`OcspFault::NotYetValid`] or [`OcspFault::Outdated`].
    pub fn check_time(&self, now: i64) -> Result<(), OcspFault> {
        let Self { this_update, next_update, .. } = *self;
        match next_update {
            _ if this_update > now.saturating_add(SKEW) => Err(OcspFault::NotYetValid { this_update }),
            Some(next_update) if next_update <= now => Err(OcspFault::Outdated { next_update }),
            _ => Ok(()),
        }
    }
}

impl<'a> BasicResponse<'a> {
    fn read(bytes: &Element<'a>) -> Result<Self, MalformedDer> {
        /// id-pkix-ocsp-basic.
        const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
        let mut typed = bytes.reader().expect(tag::SEQUENCE, "response")?.reader();
        let kind = typed.expect(tag::OID, "response type")?;
        if kind.content != BASIC {
            return Err(kind.invalid());
        }
        let octets = typed.expect(tag::OCTET_STRING, "response")?;
        let mut parts = octets.reader().expect(tag::SEQUENCE, "basic response")?.reader();
        let signed = parts.expect(tag::SEQUENCE, "response data")?;
        let signature_id = parts.expect(tag::SEQUENCE, "signature algorithm")?.content;
        let signature = parts.expect(tag::BIT_STRING, "signature")?.whole_bits()?;
        let mut signers = Vec::new();
        if let Some(list) = parts.optional(tag::constructed(0), "certificates")? {
            let mut list = list.reader().expect(tag::SEQUENCE, "certificates")?.reader();
            while !list.is_empty() {
                signers.push(Certificate::read(&mut list)?);
            }
        }
        let mut data = signed.reader();
        data.optional(tag::constructed(0), "version")?;
        data.any("responder")?;
        let produced_at = data.expect(tag::GENERALIZED_TIME, "time of the response")?.time()?;
        let mut list = data.expect(tag::SEQUENCE, "answers")?.reader();
        let mut answers = Vec::new();
        while !list.is_empty() {
            let answer = list.expect(tag::SEQUENCE, "answer")?;
            answers.push(SingleResponse::read(&answer, produced_at)?);
        }
        Ok(Self { signed: signed.der, produced_at, answers, signature_id, signature, signers })
    }

    fn is_signed_by(
        &self,
        signer: &Certificate<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), SignatureError> {
        signer.public_key().verify_as(self.signature_id, algorithms, self.signed, self.signature)
    }
}

impl<'a> SingleResponse<'a> {
    fn read(answer: &Element<'a>, produced_at: i64) -> Result<Self, MalformedDer> {
        let mut parts = answer.reader();
        let mut id = parts.expect(tag::SEQUENCE, "certificate id")?.reader();
        let mut hash = id.expect(tag::SEQUENCE, "hash algorithm")?.reader();
        let hash = HashAlgorithm::of(hash.expect(tag::OID, "hash algorithm")?.content);
        let issuer_name_hash = id.expect(tag::OCTET_STRING, "hash of the issuer's name")?.content;
        let issuer_key_hash = id.expect(tag::OCTET_STRING, "hash of the issuer's key")?.content;
        let serial = id.expect(tag::INTEGER, "serial number")?.content;
        let status = CertificateStatus::read(&parts.any("certificate status")?)?;
        let this_update = parts.expect(tag::GENERALIZED_TIME, "time of the answer")?.time()?;
        let next_update = match parts.optional(tag::constructed(0), "time of the next answer")? {
            Some(next) => {
                Some(next.reader().expect(tag::GENERALIZED_TIME, "time of the next answer")?.time()?)
            }
            None => None,
        };
        let timestamps = match parts.optional(tag::constructed(1), "extensions of the answer")? {
            Some(extensions) => {
                let list = extensions.reader().expect(tag::SEQUENCE, "extensions of the answer")?;
                let extensions = CertificateExtension::read_all(&list)?;
                let list = extensions.iter().find(|it| it.oid == oids::OCSP_SCT_LIST);
                list.and_then(|it| extension::timestamps(it.value).ok()).unwrap_or_default()
            }
            None => 0,
        };
        let answer = OcspAnswer { status, this_update, next_update, produced_at, timestamps };
        Ok(Self { hash, issuer_name_hash, issuer_key_hash, serial, answer })
    }

    fn is_about(&self, certificate: &Certificate<'_>, issuer: Option<&Certificate<'_>>) -> bool {
        let is_hash = |of: &[u8], hash: &[u8]| match self.hash {
            Some(HashAlgorithm::Sha1) => Sha1::digest(of).as_slice() == hash,
            Some(HashAlgorithm::Sha256) => Sha256::digest(of).as_slice() == hash,
            Some(HashAlgorithm::Sha384) => Sha384::digest(of).as_slice() == hash,
            Some(HashAlgorithm::Sha512) => Sha512::digest(of).as_slice() == hash,
            _ => false,
        };
        self.serial == certificate.serial()
            && is_hash(certificate.issuer().der(), self.issuer_name_hash)
            && issuer.is_none_or(|issuer| is_hash(issuer.public_key().octets(), self.issuer_key_hash))
    }
}

impl CertificateStatus {
    fn read(status: &Element<'_>) -> Result<Self, MalformedDer> {
        const REVOKED: u8 = tag::constructed(1);
        Ok(match status.tag {
            0x80 => Self::Good,
            REVOKED => {
                let mut parts = status.reader();
                let at = parts.expect(tag::GENERALIZED_TIME, "time of the revocation")?.time()?;
                let reason = match parts.optional(tag::constructed(0), "reason of the revocation")? {
                    Some(reason) => {
                        Some(reason.reader().expect(tag::ENUMERATED, "reason of the revocation")?.small()?)
                    }
                    None => None,
                };
                Self::Revoked { at, reason }
            }
            0x82 => Self::Unknown,
            _ => return Err(status.invalid()),
        })
    }
}

impl ResponseStatus {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Successful,
            1 => Self::MalformedRequest,
            2 => Self::InternalError,
            3 => Self::TryLater,
            5 => Self::SignatureRequired,
            6 => Self::Unauthorized,
            other => Self::Other(other),
        }
    }
}

impl From<MalformedDer> for OcspFault {
    fn from(malformed: MalformedDer) -> Self {
        Self::Malformed(malformed)
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Successful => "successful",
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SignatureRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
            Self::Other(code) => return write!(f, "status {code}"),
        })
    }
}

/// Writes a clause about the response: "it is for another certificate".
impl fmt::Display for OcspFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(cause) => write!(f, "it is not a well-formed OCSP response: {cause}"),
            Self::NotSuccessful(status) => {
                write!(f, "it contains no status: the responder returned {status}")
            }
            Self::OtherCertificate => f.write_str("it is for another certificate"),
            Self::BadSignature => f.write_str("it is not signed by the CA of the certificate"),
            Self::UnverifiableSignature => f.write_str(
                "its signature cannot be verified here: the algorithm or the key is not supported",
            ),
            Self::NotYetValid { this_update } => {
                write!(f, "it is not valid before {}", validity::rfc3339(*this_update))
            }
            Self::Outdated { next_update } => write!(f, "it ended on {}", validity::rfc3339(*next_update)),
        }
    }
}

impl std::error::Error for OcspFault {}
