//! The report of `starttls check --format json`.

use starttls_audit::render::json;
use starttls_hello::{CipherSuite, NamedGroup, Version};

use crate::offer::Offer;

/// Reads a report. What its survey does not list whole is left out: it cannot be compared.
pub(super) fn read(report: &str) -> Option<Offer> {
    let report = json::read(report).ok()?;
    let survey = report.endpoints.first()?.tls.as_ref()?.survey.as_ref()?;
    let mut offer = Offer { versions: Some(Default::default()), ..Offer::default() };
    for surveyed in &survey.versions {
        let version = Version::ALL.iter().copied().find(|known| known.name() == surveyed.name)?;
        // An unknown version would look like one that is not offered.
        if surveyed.offered? {
            offer.versions.get_or_insert_default().insert(version);
        }
    }
    offer.certificates = Some(survey.certificates.iter().map(|it| it.sha256.clone()).collect());
    if survey.size != "full" {
        return Some(offer);
    }
    for surveyed in &survey.versions {
        let version = Version::ALL.iter().copied().find(|known| known.name() == surveyed.name)?;
        let suites = surveyed.suites.iter().filter_map(|suite| CipherSuite::by_name(&suite.code));
        offer.suites.get_or_insert_default().extend(suites.map(|suite| (version, suite)));
    }
    offer.groups = Some(survey.groups.iter().filter_map(|name| NamedGroup::by_name(name)).collect());
    offer.primes = Some(survey.dh.iter().map(|it| it.bits).collect());
    Some(offer)
}
