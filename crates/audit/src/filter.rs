//! Filters of a report: the selected checks, the threshold, and the baseline.

use crate::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};

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
    endpoint.summary = match endpoint.not_selected {
        0 => summary(endpoint),
        some => {
            let left_out = plural(some, "check was not selected", "checks were not selected");
            format!("{}; {left_out}", summary(endpoint))
        }
    };
}

/// Returns whether the findings decide the verdict.
fn is_open(verdict: EndpointVerdict) -> bool {
    matches!(verdict, EndpointVerdict::Sound | EndpointVerdict::Findings | EndpointVerdict::Inconclusive)
}

/// Returns the findings in one line.
fn summary(endpoint: &EndpointReport) -> String {
    let count =
        |wanted: fn(&Finding) -> bool| endpoint.findings.iter().filter(|finding| wanted(finding)).count();
    let passed =
        plural(count(|finding| finding.outcome == CheckOutcome::Pass), "check passed", "checks passed");
    let inconclusive = count(|finding| finding.outcome == CheckOutcome::Inconclusive);
    let known = count(|finding| is_wrong(finding) && finding.known);
    match (worst(endpoint), known, inconclusive) {
        (None, 0, 0) => format!("{passed}, no problems found"),
        (None, 0, _) => {
            let inconclusive = plural(inconclusive, "check was inconclusive", "checks were inconclusive");
            format!("{inconclusive}; no problems found; {passed}")
        }
        (None, _, 0) => format!("no new problems, {known} known; {passed}"),
        (None, ..) => format!("no new problems, {known} known; {passed}, {inconclusive} inconclusive"),
        (Some(worst), ..) => {
            let worst = severity_word(worst);
            let found = match known {
                0 => format!("{}, the worst {worst}", plural(count(is_new), "finding", "findings")),
                _ => {
                    let new = plural(count(is_new), "new finding", "new findings");
                    format!("{new}, the worst {worst}; {known} known")
                }
            };
            let inconclusive = match inconclusive {
                0 => String::new(),
                some => format!(", {some} inconclusive"),
            };
            format!("{found}; {passed}{inconclusive}")
        }
    }
}

/// Returns a count with its noun: "1 finding", "2 findings".
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns the word for a severity.
pub(crate) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
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
