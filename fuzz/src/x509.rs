//! Certificates, OCSP responses, and files of certificates and keys.

use starttls_x509::{Bundle, Certificate, GeneralName, OcspResponse, PublicKey, certificate_to_pem};

/// Reads any octets as everything that the crate reads. Nothing panics, a certificate that was read is read again from
/// PEM, and no text of a description is out of proportion to the input.
pub fn x509(input: &[u8]) {
    let certificate = Certificate::from_der(input);
    if let Ok(certificate) = &certificate {
        describe(certificate);
        let pem = certificate_to_pem(input);
        let bundle = Bundle::read("pem", pem.as_bytes()).expect("written PEM is read");
        let again = bundle.certificates().expect("a certificate is in the PEM");
        assert_eq!(*again[0].der, *input, "a certificate changed on its way through PEM");
    }
    if let Ok(key) = PublicKey::from_der(input) {
        let _ = key.algorithm().to_string();
    }
    if let Ok(response) = OcspResponse::from_der(input) {
        let _ = (response.status().to_string(), response.clone());
        if let Ok(certificate) = &certificate {
            let _ = response.answer_for(certificate, Some(certificate));
            let _ = response.verify(certificate, &[], 0);
        }
    }
    if let Ok(bundle) = Bundle::read("any", input) {
        let _ = (bundle.certificates(), bundle.private_key(), bundle.public_key(), bundle.requested_key());
    }
}

fn describe(certificate: &Certificate<'_>) {
    let names = certificate.subject_alt_names();
    let texts = names.iter().map(GeneralName::to_string);
    let subject = [certificate.subject().to_string(), certificate.issuer().to_string()];
    let length: usize = texts.chain(subject).map(|text| text.len()).sum();
    // An octet of the input is at most a few characters: hexadecimal digits, or a dot and the digits of an identifier.
    assert!(length <= 16 * certificate.der().len(), "{length} octets of text");
    let _ = (certificate.serial_text(), certificate.common_names(), certificate.is_for("mail.example.com"));
    let _ = (certificate.is_ca(), certificate.extended_key_usage(), certificate.requires_stapling());
    let _ = (
        certificate.issuer_urls(),
        certificate.ocsp_urls(),
        certificate.unknown_critical_extensions().count(),
    );
    let _ = (certificate.public_key().algorithm().to_string(), certificate.signature_algorithm().to_string());
    let _ = certificate.verify_signed_by(&certificate.public_key(), &[]);
}
