//! What of a report counts: chosen checks, a threshold, and what was known before.

use std::fmt;

use crate::check::{CHECKS, Check};
use crate::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};

/// Which checks were asked for (`--only`, `--skip`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
}

/// A name that is no check's and no family's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCheck(pub String);

impl fmt::Display for UnknownCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no check {:?}", self.0)
    }
}

impl std::error::Error for UnknownCheck {}

impl Selection {
    /// Each name is a check's id or a family of them: `srv-inject-eager`, `cert`. With no `only`, all are meant.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self, UnknownCheck> {
        for name in only.iter().chain(skip) {
            if !CHECKS.iter().any(|row| is_named(row, name)) {
                return Err(UnknownCheck(name.clone()));
            }
        }
        Ok(Self { only: only.to_vec(), skip: skip.to_vec() })
    }

    /// Whether this check is to be done and reported.
    pub fn wants(&self, row: &Check) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is_named(row, name));
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }

    /// Removes the findings of checks that are not wanted. Where none is left, nothing can be told.
    pub fn apply(&self, report: &mut AuditReport) {
        let wanted = |finding: &Finding| crate::check::check(&finding.id).is_none_or(|row| self.wants(row));
        for endpoint in &mut report.endpoints {
            endpoint.findings.retain(wanted);
            if endpoint.findings.is_empty() && is_open(endpoint.outcome) {
                endpoint.outcome = EndpointVerdict::Inconclusive;
                endpoint.summary = String::from("no check was done that was asked for (--only, --skip)");
            }
        }
    }
}

fn is_named(row: &Check, name: &str) -> bool {
    row.id == name || row.family() == name
}

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
