//! The XML report of sslscan.

use starttls_hello::{CipherSuite, NamedGroup, Version};

use super::version;
use crate::offer::Offer;

pub(super) fn read(report: &str) -> Option<Offer> {
    let report = roxmltree::Document::parse(report).ok()?;
    let mut offer = Offer::empty();
    offer.certificates = None;
    for node in report.descendants().filter(roxmltree::Node::is_element) {
        let attribute = |name| node.attribute(name).unwrap_or_default();
        match node.tag_name().name() {
            "protocol" if attribute("enabled") == "1" => {
                let name = [attribute("type"), attribute("version")].concat();
                offer.versions.get_or_insert_default().insert(version(&name)?);
            }
            "cipher" => {
                let version = version(attribute("sslversion"))?;
                let suite = CipherSuite::by_name(attribute("id"))?;
                offer.suites.get_or_insert_default().insert((version, suite));
                let bits = attribute("dhebits").parse::<u32>().ok();
                offer.primes.get_or_insert_default().extend(bits.filter(|_| version < Version::Tls13));
            }
            "group" => {
                offer.groups.get_or_insert_default().insert(NamedGroup::by_name(attribute("id"))?);
            }
            _ => {}
        }
    }
    Some(offer)
}
