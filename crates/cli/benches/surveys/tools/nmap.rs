//! The XML report of nmap's scripts `ssl-enum-ciphers` and `ssl-cert`.

use roxmltree::ParsingOptions;
use starttls_hello::{CipherSuite, Version};

use super::{sha256, version};
use crate::offer::Offer;

pub(super) fn read(report: &str) -> Option<Offer> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let report = roxmltree::Document::parse_with_options(report, options).ok()?;
    let mut offer = Offer::empty();
    offer.groups = None;
    for table in report.descendants().filter(|node| node.has_tag_name("table")) {
        let Some(version) = table.attribute("key").and_then(version) else { continue };
        offer.versions.get_or_insert_default().insert(version);
        for elem in table.descendants().filter(|node| node.has_tag_name("elem")) {
            let text = elem.text().unwrap_or_default();
            match elem.attribute("key") {
                // It names the suites of TLS 1.3 with AKE as the key exchange.
                Some("name") => {
                    let suite = CipherSuite::by_name(&text.replace("AKE_WITH_", ""))?;
                    offer.suites.get_or_insert_default().insert((version, suite));
                }
                Some("kex_info") if version < Version::Tls13 => {
                    let bits = text.strip_prefix("dh ").and_then(|bits| bits.parse::<u32>().ok());
                    offer.primes.get_or_insert_default().extend(bits);
                }
                _ => {}
            }
        }
    }
    let certificates = report.descendants().filter(|node| node.attribute("key") == Some("pem"));
    offer.certificates =
        Some(certificates.filter_map(|pem| sha256(pem.text().unwrap_or_default())).collect());
    Some(offer)
}
