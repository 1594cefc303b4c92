//! Reads a certificate into a report.

use sha2::{Digest, Sha256};
use starttls::proto::Escaped;
use starttls::validity;
use x509_parser::prelude::*;

use crate::algorithms::{KeyKind, SignatureKind};
use crate::report::Certificate;

impl Certificate {
    /// Reads DER, and counts the remaining days from the current time. The content is trustworthy only if the chain was
    /// verified.
    pub fn read(der: &[u8]) -> Self {
        Self::read_at(der, validity::now())
    }

    /// Reads DER, and counts the remaining days from `now`, in seconds since 1970.
    pub fn read_at(der: &[u8], now: i64) -> Self {
        let sha256 = hex(&Sha256::digest(der));
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Self { sha256, ..Self::parsed(&certificate, now) },
            Err(error) => Self { sha256, unreadable: Some(safe(&error.to_string())), ..Self::default() },
        }
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

    fn parsed(certificate: &X509Certificate<'_>, now: i64) -> Self {
        let names = certificate.subject_alternative_name().ok().flatten();
        let names =
            names.map(|names| names.value.general_names.iter().map(name).collect()).unwrap_or_default();
        let (not_before, not_after) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        Self {
            subject: safe(&certificate.subject().to_string()),
            issuer: safe(&certificate.issuer().to_string()),
            names,
            serial: certificate.raw_serial_as_string(),
            not_before: validity::rfc3339(not_before),
            not_after: validity::rfc3339(not_after),
            not_after_unix: not_after,
            days_left: validity::days_left(not_after, now),
            key: KeyKind::of(certificate.public_key()).to_string(),
            signature: SignatureKind::of(&certificate.signature_algorithm).to_string(),
            spki_sha256: hex(&Sha256::digest(certificate.public_key().raw)),
            ..Self::default()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn safe(text: &str) -> String {
    if text.chars().all(|c| !c.is_control() && c != '\\') {
        text.to_owned()
    } else {
        Escaped(text.as_bytes()).to_string()
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => safe(name),
        GeneralName::IPAddress(octets) => match *octets {
            &[a, b, c, d] => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
            octets => <[u8; 16]>::try_from(octets).map_or_else(
                |_| String::from("an invalid address"),
                |it| std::net::Ipv6Addr::from(it).to_string(),
            ),
        },
        GeneralName::RFC822Name(name) => format!("email:{}", safe(name)),
        GeneralName::URI(uri) => format!("uri:{}", safe(uri)),
        GeneralName::OtherName(oid, _) => format!("other:{oid}"),
        other => safe(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::pem;

    use super::Certificate;

    #[test]
    fn days_are_counted_from_the_given_time() {
        let issued = starttls_lab::ca::Authority::new().unwrap();
        let issued = issued.issue(&starttls_lab::ca::Leaf::named("localhost")).unwrap();
        let der = pem::parse_x509_pem(issued.cert_pem.as_bytes()).unwrap().1.contents;
        let der = der.as_slice();
        let own = Certificate::read_at(der, 0);
        let end = own.not_after_unix;
        assert_eq!(own.not_after, starttls::validity::rfc3339(end));
        for (now, days) in [(end - 86_400, 1), (end - 86_399, 0), (end + 1, -1), (end + 3 * 86_400, -3)] {
            assert_eq!(Certificate::read_at(der, now).days_left, days);
        }
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
        assert!(is_hex(&own.sha256) && is_hex(&own.spki_sha256) && own.sha256 != own.spki_sha256, "{own:?}");
        assert!(own.serial.split(':').all(|octet| u8::from_str_radix(octet, 16).is_ok()), "{own:?}");
    }
}
