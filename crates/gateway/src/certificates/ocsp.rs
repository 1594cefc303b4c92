//! The checks of an OCSP response before it is stapled.

use starttls::rustls::crypto::aws_lc_rs;
use starttls_x509::{Certificate, CertificateStatus, OcspAnswer, OcspFault, OcspResponse};

/// Returns what a response reports about this certificate. The signature is verified if `issuer`, the CA's certificate, is
/// known; otherwise only clients verify it.
pub(super) fn read(
    response: &[u8],
    certificate: &Certificate<'_>,
    issuer: Option<&Certificate<'_>>,
    now: i64,
) -> Result<OcspAnswer, OcspFault> {
    let response = OcspResponse::from_der(response)?;
    let answer = response.answer_for(certificate, issuer)?;
    if let Some(issuer) = issuer {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        response.verify(issuer, algorithms, now)?;
    }
    Ok(answer)
}

/// Returns what is wrong with a response that is not stapled, as a clause about it.
pub(super) fn reason(fault: &OcspFault) -> &'static str {
    match fault {
        OcspFault::OtherCertificate => "is for another certificate and is not stapled",
        OcspFault::BadSignature => "is not signed by its CA and is not stapled",
        OcspFault::UnverifiableSignature => "has a signature that cannot be verified here and is not stapled",
        _ => "contains no status and is not stapled",
    }
}

/// Returns whether a response with this answer is stapled now.
pub(super) fn is_current(answer: &OcspAnswer, now: i64) -> bool {
    answer.status != CertificateStatus::Unknown && answer.check_time(now).is_ok()
}
