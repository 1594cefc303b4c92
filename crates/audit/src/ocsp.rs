//! The OCSP response that a server staples, and its signed certificate timestamps.

use starttls::TlsFacts;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls_x509::{Certificate, CertificateStatus, OcspAnswer, OcspFault, OcspResponse, validity};

use crate::check::id;
use crate::finding::FindingBuilder;
use crate::message::{self, Statement};
use crate::report::{CheckOutcome, Severity};

/// Judges the stapled response: its signature, its age, and the status of the certificate. A certificate may require a
/// response (RFC 7633).
pub(crate) fn stapling(own: &Certificate<'_>, facts: &TlsFacts) -> FindingBuilder {
    let check = id::CERT_OCSP;
    let is_required = own.requires_stapling();
    let Some(der) = &facts.ocsp_response else {
        return match is_required {
            true => FindingBuilder::fail(
                check,
                "the certificate requires a stapled OCSP response, and the server sends none",
            ),
            false => FindingBuilder::new(
                check,
                CheckOutcome::Info,
                "the server staples no OCSP response, and the certificate does not require one",
            ),
        };
    };
    // Clients that require a response refuse an invalid one. Others ignore it, or refuse it too.
    let invalid = |why: Statement| match is_required {
        true => FindingBuilder::fail(check, why).severity(Severity::Error),
        false => FindingBuilder::new(check, CheckOutcome::Warning, why),
    };
    let issuers: Vec<_> = issuers(own, facts).collect();
    match read(der, own, &issuers, validity::now()) {
        Ok(Stapled { answer, is_verified }) => judge(&answer, is_verified, &invalid),
        Err(OcspFault::UnverifiableSignature) => FindingBuilder::new(
            check,
            CheckOutcome::Inconclusive,
            format!("an OCSP response is stapled, but {}", OcspFault::UnverifiableSignature),
        ),
        Err(fault) => invalid(message::STAPLE_INVALID.with(&[("why", &fault)])),
    }
}

/// What a response reports about the certificate.
struct Stapled {
    answer: OcspAnswer,
    /// Whether the CA signed it. Without the CA's certificate, that is unknown.
    is_verified: bool,
}

fn read(
    der: &[u8],
    own: &Certificate<'_>,
    issuers: &[Certificate<'_>],
    now: i64,
) -> Result<Stapled, OcspFault> {
    let response = OcspResponse::from_der(der)?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    // Several certificates may have the name of the issuer, such as one that is cross-signed.
    let verified = issuers.iter().map(|issuer| {
        let answer = response.answer_for(own, Some(issuer))?;
        response.verify(issuer, algorithms, now).map(|()| answer)
    });
    let answer = match verified.reduce(Result::or) {
        None => Stapled { answer: response.answer_for(own, None)?, is_verified: false },
        Some(answer) => Stapled { answer: answer?, is_verified: true },
    };
    answer.answer.check_time(now)?;
    Ok(answer)
}

/// Returns the certificates of the CA that issued the server's certificate.
fn issuers<'f>(own: &Certificate<'_>, facts: &'f TlsFacts) -> impl Iterator<Item = Certificate<'f>> {
    let name = own.issuer().der().to_vec();
    let all = facts.chain.iter().filter_map(|der| Certificate::from_der(der).ok());
    all.filter(move |it| it.subject().der() == name)
}

fn judge(
    answer: &OcspAnswer,
    is_verified: bool,
    invalid: &dyn Fn(Statement) -> FindingBuilder,
) -> FindingBuilder {
    let check = id::CERT_OCSP;
    let until = match answer.next_update {
        Some(end) => format!("valid until {}", validity::rfc3339(end)),
        None => format!("of {}, without an end", validity::rfc3339(answer.this_update)),
    };
    match answer.status {
        CertificateStatus::Revoked { at, .. } => {
            let since = validity::rfc3339(at);
            let why = message::CERTIFICATE_REVOKED.with(&[("date", &since)]);
            FindingBuilder::fail(check, why).severity(Severity::Critical).fix(REVOKED)
        }
        CertificateStatus::Unknown => invalid(Statement::from(
            "the stapled OCSP response reports that the CA does not know the certificate",
        )),
        CertificateStatus::Good if !is_verified => FindingBuilder::new(
            check,
            CheckOutcome::Inconclusive,
            format!(
                "an OCSP response is stapled, {until}, but the server does not send the certificate of the CA that \
                 verifies its signature"
            ),
        ),
        CertificateStatus::Good => FindingBuilder::pass(
            check,
            format!("an OCSP response is stapled: not revoked, signed by the CA, {until}"),
        ),
    }
}

const REVOKED: &str = "Replace the certificate at once: request a new one with a new key, install it, and find out who \
    revoked the old one and why.";

/// Counts the signed certificate timestamps in the certificate and in the stapled response. `in_handshake` is the number in
/// the TLS extension, if that is known.
pub(crate) fn timestamps(
    own: &Certificate<'_>,
    ocsp_response: Option<&[u8]>,
    in_handshake: Option<usize>,
) -> FindingBuilder {
    let check = id::CERT_TRANSPARENCY;
    let response = ocsp_response.and_then(|der| OcspResponse::from_der(der).ok());
    let answer = response.and_then(|response| response.answer_for(own, None).ok());
    let places = [
        (own.timestamps(), "in the certificate"),
        (in_handshake.unwrap_or_default(), "in the handshake"),
        (answer.map_or(0, |answer| answer.timestamps), "in the OCSP response"),
    ];
    let found = places.iter().filter(|(count, _)| *count > 0);
    let found: Vec<_> = found.map(|(count, place)| format!("{count} {place}")).collect();
    match (found.is_empty(), in_handshake) {
        (false, _) => {
            FindingBuilder::pass(check, format!("signed certificate timestamps: {}", found.join(", ")))
        }
        (true, _) if !is_of_public_ca(own) => FindingBuilder::new(
            check,
            CheckOutcome::NotApplicable,
            "no timestamps, and none are needed: the certificate has no policy of a public CA",
        ),
        (true, Some(_)) => FindingBuilder::new(
            check,
            CheckOutcome::Info,
            "no signed certificate timestamps in the certificate, the handshake or an OCSP response",
        ),
        (true, None) => FindingBuilder::new(
            check,
            CheckOutcome::Info,
            "no signed certificate timestamps in the certificate or an OCSP response; the handshake was not asked",
        ),
    }
}

/// Returns whether the certificate has a policy of the CA/Browser Forum, as every certificate of a public CA does (Baseline
/// Requirements section 7.1.6.1).
fn is_of_public_ca(own: &Certificate<'_>) -> bool {
    /// 2.23.140.1, the arc of these policies.
    const FORUM: &[u8] = &[0x67, 0x81, 0x0c, 0x01];
    let policies = own.extensions().iter().filter(|it| it.name() == Some("certificatePolicies"));
    policies.into_iter().any(|it| it.value.windows(FORUM.len()).any(|octets| octets == FORUM))
}
