//! What of a report counts: chosen checks, a threshold, and what was known before.

use crate::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};

/// Whether this finding says that something is wrong, known from a baseline or not.
pub fn is_wrong(finding: &Finding) -> bool {
    matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning)
}

/// Whether this finding says that something is wrong that no baseline has.
pub fn is_new(finding: &Finding) -> bool {
    is_wrong(finding) && !finding.known
}

/// Returns the worst severity of an endpoint's problems, apart from those that a baseline has.
pub fn worst(endpoint: &EndpointReport) -> Option<Severity> {
    endpoint.findings.iter().filter(|finding| is_new(finding)).map(|finding| finding.severity).max()
}

/// Decides between sound, findings and inconclusive by the findings that are left: at or above `fail_on` something
/// wrong is a finding, and otherwise what could not be told keeps an endpoint from being sound. Endpoints that could
/// not be audited keep their verdict.
pub fn settle(endpoint: &mut EndpointReport, fail_on: Severity) {
    let untellable = endpoint.tls.is_none() || endpoint.findings.is_empty();
    if (endpoint.outcome == EndpointVerdict::Inconclusive && untellable) || !is_open(endpoint.outcome) {
        return;
    }
    let found = worst(endpoint).is_some_and(|worst| worst >= fail_on);
    let untold = endpoint.findings.iter().any(|finding| finding.outcome == CheckOutcome::Inconclusive);
    endpoint.outcome = match (found, untold) {
        (true, _) => EndpointVerdict::Findings,
        (false, true) => EndpointVerdict::Inconclusive,
        (false, false) => EndpointVerdict::Sound,
    };
    endpoint.summary = summary(endpoint);
}

/// Whether the findings decide the verdict.
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
        (None, _, 0) => format!("nothing new, {known} known; {passed}"),
        (None, ..) => format!("nothing new, {known} known; {passed}, {inconclusive} inconclusive"),
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

/// "1 finding", "2 findings".
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The word for a severity.
pub(crate) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

/// The exit code for a report: that of its most telling endpoint. What was seen to be wrong outranks what could not
/// be looked at.
pub fn exit_code(report: &AuditReport) -> u8 {
    const BY_WEIGHT: &[(EndpointVerdict, u8)] = &[
        (EndpointVerdict::Violation, 6),
        (EndpointVerdict::WrongPort, 6),
        (EndpointVerdict::TlsFailed, 5),
        (EndpointVerdict::Declined, 4),
        (EndpointVerdict::Findings, 1),
        (EndpointVerdict::Unreachable, 3),
        (EndpointVerdict::Inconclusive, 7),
    ];
    let there = |verdict| report.endpoints.iter().any(|endpoint| endpoint.outcome == verdict);
    BY_WEIGHT.iter().find(|(verdict, _)| there(*verdict)).map_or(0, |(_, code)| *code)
}

/// Marks the problems that `older` has too, at least as bad, as known, and returns how many these are. Endpoints with
/// the same target and address are compared; for an address that is new, the target's other addresses count. Call
/// [`settle`] afterwards. The other verdicts do not change: an upgrade that was declined then and is declined now is
/// declined.
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
