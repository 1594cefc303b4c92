//! The flat JSON report of testssl.sh.

use serde_json::Value;
use starttls_hello::{CipherSuite, NamedGroup, Version};

use super::version;
use crate::offer::Offer;

pub(super) fn read(report: &str) -> Option<Offer> {
    let report: Value = serde_json::from_str(report).ok()?;
    let mut offer = Offer::empty();
    for row in report.as_array()? {
        let (id, finding) = (row["id"].as_str()?, row["finding"].as_str().unwrap_or_default());
        if let Some(version) = version(id).filter(|_| finding.starts_with("offered")) {
            offer.versions.get_or_insert_default().insert(version);
        }
        if let Some((name, code)) = id.strip_prefix("cipher-").and_then(|rest| rest.rsplit_once("_x")) {
            let version = version(name)?;
            // SSL 2.0 has no suites.
            let Some(suite) = suite(code).filter(|_| version != Version::Ssl2) else { continue };
            offer.suites.get_or_insert_default().insert((version, suite));
            let mut words = finding.split_whitespace().skip_while(|word| *word != "DH").skip(1);
            let bits = words.next().and_then(|bits| bits.parse::<u32>().ok());
            offer.primes.get_or_insert_default().extend(bits.filter(|_| version < Version::Tls13));
        }
        if matches!(id, "PFS_ECDHE_curves" | "FS_ECDHE_curves" | "DH_groups") {
            let groups = finding.split_whitespace().filter_map(NamedGroup::by_name);
            offer.groups.get_or_insert_default().extend(groups);
        }
        if id.starts_with("cert_fingerprintSHA256") {
            offer.certificates.get_or_insert_default().insert(finding.to_ascii_lowercase());
        }
    }
    Some(offer)
}

/// Reads a code without its first zeros: `2f` or `c02f`.
fn suite(code: &str) -> Option<CipherSuite> {
    CipherSuite::by_name(&format!("0x{code}"))
}
