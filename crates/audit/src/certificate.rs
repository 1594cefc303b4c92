//! Reads a certificate into a report.

use starttls::proto::Escaped;
use starttls_x509::{hex, sha256, validity};

use crate::report::CertificateReport;

impl CertificateReport {
    /// Reads DER, and counts the remaining days from the current time. The content is trustworthy only if the chain was
    /// verified.
    pub fn read(der: &[u8]) -> Self {
        Self::read_at(der, validity::now())
    }

    /// Reads DER, and counts the remaining days from `now`, in seconds since 1970.
    pub fn read_at(der: &[u8], now: i64) -> Self {
        let read = match starttls_x509::Certificate::from_der(der) {
            Ok(certificate) => Self::parsed(&certificate, now),
            Err(error) => {
                Self { sha256: hex(&sha256(der)), unreadable: Some(error.to_string()), ..Self::default() }
            }
        };
        Self { der: der.to_vec(), ..read }
    }

    /// Returns the lines that identify the certificate: the names and dates, then the numbers.
    pub(crate) fn identification(&self) -> Vec<String> {
        let sha256 = format!("SHA-256 {}", self.sha256);
        if self.unreadable.is_some() {
            return vec![sha256];
        }
        let Self { subject, issuer, not_before, not_after, serial, spki_sha256, .. } = self;
        vec![
            format!("subject {subject}; issuer {issuer}; valid {not_before} to {not_after}"),
            format!("serial {serial}; {sha256}; SPKI SHA-256 {spki_sha256}"),
        ]
    }

    fn parsed(certificate: &starttls_x509::Certificate<'_>, now: i64) -> Self {
        let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
        Self {
            subject: safe(&certificate.subject().to_string()),
            issuer: safe(&certificate.issuer().to_string()),
            names: certificate.subject_alt_names().iter().map(|name| safe(&name.to_string())).collect(),
            serial: certificate.serial_text(),
            not_before: validity::rfc3339(not_before),
            not_after: validity::rfc3339(not_after),
            not_after_unix: not_after,
            days_left: validity::days_left(not_after, now),
            key: certificate.public_key().algorithm().to_string(),
            signature: certificate.signature_algorithm().to_string(),
            sha256: hex(&certificate.sha256()),
            spki_sha256: hex(&certificate.spki_sha256()),
            unreadable: None,
            der: Vec::new(),
        }
    }
}

fn safe(text: &str) -> String {
    if text.chars().all(|c| !c.is_control() && c != '\\') {
        text.to_owned()
    } else {
        Escaped(text.as_bytes()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use starttls_x509::Bundle;

    use super::CertificateReport;

    #[test]
    fn days_are_counted_from_the_given_time() {
        let issued = starttls_lab::ca::Authority::new().unwrap();
        let issued = issued.issue(&starttls_lab::ca::Leaf::named("localhost")).unwrap();
        let issued = Bundle::read("issued", issued.cert_pem.as_bytes()).unwrap().certificates().unwrap();
        let der = &issued[0].der;
        let own = CertificateReport::read_at(der, 0);
        let end = own.not_after_unix;
        assert_eq!(own.not_after, starttls_x509::validity::rfc3339(end));
        for (now, days) in [(end - 86_400, 1), (end - 86_399, 0), (end + 1, -1), (end + 3 * 86_400, -3)] {
            assert_eq!(CertificateReport::read_at(der, now).days_left, days);
        }
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
        assert!(is_hex(&own.sha256) && is_hex(&own.spki_sha256) && own.sha256 != own.spki_sha256, "{own:?}");
        assert!(own.serial.split(':').all(|octet| u8::from_str_radix(octet, 16).is_ok()), "{own:?}");
    }
}
