//! OCSP responses (RFC 6960): the checks before one is stapled.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use x509_parser::asn1_rs::{Any, BitString, Class, FromDer, Oid, Tag, oid};
use x509_parser::prelude::{ASN1Time, AlgorithmIdentifier, X509Certificate};
use x509_parser::verify::verify_signature;

/// The status of a certificate in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) revoked: bool,
    /// In seconds since 1970.
    this_update: i64,
    /// The end of the validity period. Without it, newer responses are available at any time (section 4.2.2.1), and the
    /// client decides how old a response may be.
    next_update: Option<i64>,
}

/// The clock difference that is tolerated, in seconds.
const SKEW: i64 = 300;

impl Status {
    /// Returns whether the response is within its validity period.
    pub(super) fn is_valid_at(&self, now: i64) -> bool {
        self.this_update <= now + SKEW && self.next_update.is_none_or(|until| now < until)
    }
}

/// Why a response is not usable for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The file is not a well-formed response.
    Malformed,
    /// The responder returned an error.
    NoStatus,
    /// The response is for other certificates.
    OtherCertificate,
    /// The signature is not by the CA or by a responder of the CA (section 3.2).
    BadSignature,
}

/// Returns the status of this certificate. The signature is verified if `issuer`, the CA's certificate, is known; otherwise
/// only clients verify it.
pub(super) fn read(
    response: &[u8],
    certificate: &X509Certificate<'_>,
    issuer: Option<&X509Certificate<'_>>,
) -> Result<Status, Unfit> {
    let basic = Basic::read(response)?;
    let mut answers = basic.answers;
    while !answers.is_empty() {
        let (rest, answer) = element(answers, Tag::Sequence).ok_or(Unfit::Malformed)?;
        let (about, status) = single(answer, certificate).ok_or(Unfit::Malformed)?;
        match issuer {
            Some(issuer) if about && !basic.is_signed_for(issuer) => return Err(Unfit::BadSignature),
            _ if about => return Ok(status),
            _ => answers = rest,
        }
    }
    Err(Unfit::OtherCertificate)
}

/// Returns the bytes after the first element, and its content, if it has this tag.
fn element(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    (any.class() == Class::Universal && any.tag() == tag).then_some((rest, any.data))
}

/// The same for context-specific tags: `[0]`, `[1]`.
fn numbered(der: &[u8], number: u32) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    (any.class() == Class::ContextSpecific && any.tag() == Tag(number)).then_some((rest, any.data))
}

/// A BasicOCSPResponse, section 4.2.1.
struct Basic<'a> {
    /// The signed part.
    data: &'a [u8],
    /// The statuses in the signed part.
    answers: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: BitString<'a>,
    /// Certificates of responders that sign for the CA.
    signers: Vec<X509Certificate<'a>>,
}

const BASIC: Oid<'static> = oid!(1.3.6.1.5.5.7.48.1.1);

impl<'a> Basic<'a> {
    fn read(response: &'a [u8]) -> Result<Self, Unfit> {
        let outer = match element(response, Tag::Sequence) {
            Some(([], outer)) => outer,
            _ => return Err(Unfit::Malformed),
        };
        // 0 is "successful". Other values have no further content.
        match element(outer, Tag::Enumerated).ok_or(Unfit::Malformed)? {
            (bytes, [0]) => Self::inside(bytes).ok_or(Unfit::Malformed),
            _ => Err(Unfit::NoStatus),
        }
    }

    fn inside(bytes: &'a [u8]) -> Option<Self> {
        let (_, bytes) = element(numbered(bytes, 0)?.1, Tag::Sequence)?;
        let (bytes, _) = Oid::from_der(bytes).ok().filter(|(_, kind)| *kind == BASIC)?;
        let (_, response) = element(element(bytes, Tag::OctetString)?.1, Tag::Sequence)?;
        let (rest, content) = element(response, Tag::Sequence)?;
        let data = &response[..response.len() - rest.len()];
        let (rest, algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
        let (rest, signature) = BitString::from_der(rest).ok()?;
        let mut certificates =
            numbered(rest, 0).map_or(Some(&[][..]), |(_, all)| Some(element(all, Tag::Sequence)?.1))?;
        let mut signers = Vec::new();
        while !certificates.is_empty() {
            let (rest, signer) = X509Certificate::from_der(certificates).ok()?;
            signers.push(signer);
            certificates = rest;
        }
        // Skip version, responder id and time.
        let content = numbered(content, 0).map_or(content, |(rest, _)| rest);
        let (content, _) = Any::from_der(content).ok()?;
        let (content, _) = element(content, Tag::GeneralizedTime)?;
        let (_, answers) = element(content, Tag::Sequence)?;
        Some(Self { data, answers, algorithm, signature, signers })
    }

    /// Returns whether the CA signed the response, or a responder that the CA has authorized (section 4.2.2.2).
    fn is_signed_for(&self, issuer: &X509Certificate<'_>) -> bool {
        let by = |signer: &X509Certificate<'_>| {
            verify_signature(signer.public_key(), &self.algorithm, &self.signature, self.data).is_ok()
        };
        let named = |signer: &X509Certificate<'_>| {
            let usage = signer.extended_key_usage().ok().flatten();
            usage.is_some_and(|usage| usage.value.ocsp_signing)
                && signer.issuer() == issuer.subject()
                && signer.validity().is_valid()
                && signer.verify_signature(Some(issuer.public_key())).is_ok()
        };
        by(issuer) || self.signers.iter().any(|signer| named(signer) && by(signer))
    }
}

/// SHA-1 and SHA-256.
const HASHES: [Oid<'static>; 2] = [oid!(1.3.14.3.2.26), oid!(2.16.840.1.101.3.4.2.1)];

/// Returns whether a status is for this certificate, and the status.
fn single(answer: &[u8], certificate: &X509Certificate<'_>) -> Option<(bool, Status)> {
    let (answer, id) = element(answer, Tag::Sequence)?;
    let (id, hash) = AlgorithmIdentifier::from_der(id).ok()?;
    let (id, issuer) = element(id, Tag::OctetString)?;
    let (id, _key) = element(id, Tag::OctetString)?;
    let (_, serial) = element(id, Tag::Integer)?;
    let (answer, state) = Any::from_der(answer).ok()?;
    let (answer, this_update) = time(answer)?;
    let next_update = match numbered(answer, 0) {
        Some((_, next)) => Some(time(next)?.1),
        None => None,
    };
    let name = certificate.issuer().as_raw();
    let same_issuer = match HASHES.iter().position(|known| *known == hash.algorithm) {
        Some(0) => digest(&SHA1_FOR_LEGACY_USE_ONLY, name).as_ref() == issuer,
        Some(_) => digest(&SHA256, name).as_ref() == issuer,
        None => true,
    };
    // 0 is "good", 1 is "revoked". The third value is "unknown".
    let known = state.class() == Class::ContextSpecific && [Tag(0), Tag(1)].contains(&state.tag());
    let about = same_issuer && serial == certificate.raw_serial() && known;
    Some((about, Status { revoked: state.tag() == Tag(1), this_update, next_update }))
}

/// Returns the bytes after a time, and the time in seconds since 1970.
fn time(der: &[u8]) -> Option<(&[u8], i64)> {
    let (rest, time) = ASN1Time::from_der(der).ok()?;
    Some((rest, time.timestamp()))
}
