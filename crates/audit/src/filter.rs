//! Filters of a report: the selected checks, the threshold, and the baseline.

use starttls_report::{Language, Text};

use crate::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};
use crate::words;

/// Returns whether the finding is a problem, whether the baseline contains it or not.
pub fn is_wrong(finding: &Finding) -> bool {
    matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning)
}

/// Returns whether the finding is a problem that the baseline does not contain.
pub fn is_new(finding: &Finding) -> bool {
    is_wrong(finding) && !finding.known
}

/// Returns the worst severity of the problems of an endpoint that the baseline does not contain.
pub fn worst(endpoint: &EndpointReport) -> Option<Severity> {
    endpoint.findings.iter().filter(|finding| is_new(finding)).map(|finding| finding.severity).max()
}

/// Sets the verdict of an endpoint from its findings: a problem at or above `fail_on` makes it `Findings`, otherwise an
/// inconclusive check makes it `Inconclusive`, otherwise it is `Sound`. Endpoints that could not be audited keep their
/// verdict.
pub fn settle(endpoint: &mut EndpointReport, fail_on: Severity) {
    let has_no_result = endpoint.tls.is_none()
        || endpoint.findings.iter().all(|finding| finding.outcome == CheckOutcome::NotRun);
    if (endpoint.outcome == EndpointVerdict::Inconclusive && has_no_result) || !is_open(endpoint.outcome) {
        return;
    }
    let found = worst(endpoint).is_some_and(|worst| worst >= fail_on);
    let inconclusive = endpoint.findings.iter().any(|finding| finding.outcome == CheckOutcome::Inconclusive);
    endpoint.outcome = match (found, inconclusive) {
        (true, _) => EndpointVerdict::Findings,
        (false, true) => EndpointVerdict::Inconclusive,
        (false, false) => EndpointVerdict::Sound,
    };
    endpoint.summary = summary(endpoint, Language::English);
}

/// Returns whether the findings decide the verdict.
fn is_open(verdict: EndpointVerdict) -> bool {
    matches!(verdict, EndpointVerdict::Sound | EndpointVerdict::Findings | EndpointVerdict::Inconclusive)
}

/// Returns the findings in one line.
pub(crate) fn summary(endpoint: &EndpointReport, language: Language) -> String {
    let count =
        |wanted: fn(&Finding) -> bool| endpoint.findings.iter().filter(|finding| wanted(finding)).count();
    let passed = words::PASSED.filled(language, count(|finding| finding.outcome == CheckOutcome::Pass));
    let inconclusive = count(|finding| finding.outcome == CheckOutcome::Inconclusive);
    let known = count(|finding| is_wrong(finding) && finding.known);
    let fill = |text: Text, values: &[(&str, &dyn std::fmt::Display)]| text.filled(language, values);
    let found = match (worst(endpoint), known) {
        (None, 0) if inconclusive == 0 => fill(words::NO_PROBLEMS, &[("passed", &passed)]),
        (None, 0) => {
            let inconclusive = words::INCONCLUSIVE.filled(language, inconclusive);
            fill(words::INCONCLUSIVE_ONLY, &[("inconclusive", &inconclusive), ("passed", &passed)])
        }
        (None, _) => fill(words::KNOWN_ONLY, &[("known", &known), ("passed", &passed)]),
        (Some(worst), _) => {
            let worst = words::severity(worst).of(language);
            let (text, noun) = match known {
                0 => (words::FOUND, words::FINDINGS),
                _ => (words::FOUND_AND_KNOWN, words::NEW_FINDINGS),
            };
            let findings = noun.filled(language, count(is_new));
            fill(text, &[("findings", &findings), ("worst", &worst), ("known", &known), ("passed", &passed)])
        }
    };
    let is_counted = inconclusive == 0 || (worst(endpoint).is_none() && known == 0);
    let found = match is_counted {
        true => found,
        false => fill(words::AND_INCONCLUSIVE, &[("summary", &found), ("count", &inconclusive)]),
    };
    match endpoint.not_selected {
        0 => found,
        some => format!("{found}; {}", words::NOT_SELECTED.filled(language, some)),
    }
}

/// Returns a count with its noun: "1 finding", "2 findings".
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns the word for a severity.
pub(crate) fn severity_word(severity: Severity) -> &'static str {
    words::severity(severity).of(Language::English)
}

/// Marks the problems that `older` contains with at least the same severity as known, and returns their number.
/// Endpoints with the same target and address are compared; for a new address, all addresses of the target in `older`
/// count. Call [`settle`] afterwards. It does not change verdicts such as `Declined`.
pub fn mark_known(report: &mut AuditReport, older: &AuditReport) -> usize {
    let mut known = 0;
    for endpoint in &mut report.endpoints {
        let same_target = || older.endpoints.iter().filter(|old| old.target == endpoint.target);
        let seen = same_target().any(|old| old.address == endpoint.address);
        let earlier: Vec<_> = same_target()
            .filter(|old| !seen || old.address == endpoint.address)
            .flat_map(|old| old.findings.iter().filter(|finding| is_wrong(finding)))
            .collect();
        for new in endpoint.findings.iter_mut().filter(|finding| is_wrong(finding)) {
            new.known = earlier.iter().any(|old| old.id == new.id && old.severity >= new.severity);
            known += usize::from(new.known);
        }
    }
    known
}
