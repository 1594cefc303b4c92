//! Files of OpenSSL: see `vectors/README.md`.

use starttls_x509::{Certificate, CertificateStatus, GeneralName, OcspFault, OcspResponse, validity};

use crate::ocsp::algorithms;

const CA: &[u8] = include_bytes!("../../vectors/ca.der");
const VERSION_1: &[u8] = include_bytes!("../../vectors/version-1.der");
const NAMES: &[u8] = include_bytes!("../../vectors/names-and-unknown-critical.der");
const OCSP: &[u8] = include_bytes!("../../vectors/ocsp.der");

#[test]
fn certificates_of_openssl_are_described() {
    let [ca, version_1, names] = [CA, VERSION_1, NAMES].map(|der| Certificate::from_der(der).unwrap());
    assert_eq!(ca.subject().to_string(), "O=\"Example, Inc.\", CN=Example CA");
    assert_eq!((version_1.version(), version_1.serial_text()), (1, String::from("12:67")));
    assert_eq!((names.version(), names.serial_text()), (3, String::from("12:68")));
    assert_eq!(version_1.common_names(), ["mail.example.com"]);
    for own in [&version_1, &names] {
        assert_eq!(own.issuer(), ca.subject());
        assert_eq!(own.verify_signed_by(&ca.public_key(), algorithms()), Ok(()));
    }
    let all: Vec<_> = names.subject_alt_names().iter().map(GeneralName::to_string).collect();
    assert_eq!(
        all,
        [
            "mail.example.com",
            "*.example.com",
            "192.0.2.7",
            "email:a@example.com",
            "srv:_imaps.example.com",
            "xmpp:example.com",
            "directory:CN=x",
        ]
    );
    assert!(names.requires_stapling() && names.extended_key_usage().unwrap().allows_servers());
    assert_eq!(names.issuer_urls(), ["http://ca.example/ca.der"]);
    assert_eq!(names.ocsp_urls(), ["http://ocsp.example/"]);
    let unknown: Vec<_> = names.unknown_critical_extensions().map(|it| it.oid.to_string()).collect();
    assert_eq!(unknown, ["1.3.6.1.4.1.99999.1"]);
}

#[test]
fn a_response_of_openssl_is_verified() {
    let [ca, version_1, names] = [CA, VERSION_1, NAMES].map(|der| Certificate::from_der(der).unwrap());
    let response = OcspResponse::from_der(OCSP).unwrap();
    let produced = validity::unix("2026-11-29T15:56:44Z").unwrap();
    assert_eq!(response.verify(&ca, algorithms(), produced), Ok(()));
    let status = |own| response.answer_for(own, Some(&ca)).map(|it| it.status);
    let at = validity::unix("2025-01-01T00:00:00Z").unwrap();
    assert_eq!(status(&names), Ok(CertificateStatus::Good));
    assert_eq!(status(&version_1), Ok(CertificateStatus::Revoked { at, reason: Some(1) }));
    assert_eq!(status(&ca), Err(OcspFault::OtherCertificate));
    // Another CA did not sign it.
    assert_eq!(response.verify(&names, algorithms(), produced), Err(OcspFault::BadSignature));
}
