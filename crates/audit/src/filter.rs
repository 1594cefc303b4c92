//! What of a report counts: chosen checks, a threshold, and what was known before.

use std::fmt;

use crate::check::{CHECKS, Check};
use crate::report::{Endpoint, Finding, Outcome, Report, Severity, Verdict};

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
    pub fn apply(&self, report: &mut Report) {
        let wanted = |finding: &Finding| crate::check::check(&finding.id).is_none_or(|row| self.wants(row));
        for endpoint in &mut report.endpoints {
            endpoint.findings.retain(wanted);
            if endpoint.findings.is_empty() && is_open(endpoint.outcome) {
                endpoint.outcome = Verdict::Inconclusive;
                endpoint.summary = String::from("no check was done that was asked for (--only, --skip)");
            }
        }
    }
}

fn is_named(row: &Check, name: &str) -> bool {
    row.id == name || row.family() == name
}

/// Whether this finding says that something is wrong.
pub fn is_wrong(finding: &Finding) -> bool {
    matches!(finding.outcome, Outcome::Fail | Outcome::Warning)
}

/// The worst that is wrong with an endpoint.
pub fn worst(endpoint: &Endpoint) -> Option<Severity> {
    endpoint.findings.iter().filter(|finding| is_wrong(finding)).map(|finding| finding.severity).max()
}

/// Decides between sound, findings and inconclusive by the findings that are left: at or above `fail_on` something
/// wrong is a finding, and otherwise what could not be told keeps an endpoint from being sound. Endpoints that could
/// not be audited keep their verdict.
pub fn settle(endpoint: &mut Endpoint, fail_on: Severity) {
    let untellable = endpoint.tls.is_none() || endpoint.findings.is_empty();
    if (endpoint.outcome == Verdict::Inconclusive && untellable) || !is_open(endpoint.outcome) {
        return;
    }
    let found = worst(endpoint).is_some_and(|worst| worst >= fail_on);
    let untold = endpoint.findings.iter().any(|finding| finding.outcome == Outcome::Inconclusive);
    endpoint.outcome = match (found, untold) {
        (true, _) => Verdict::Findings,
        (false, true) => Verdict::Inconclusive,
        (false, false) => Verdict::Sound,
    };
    endpoint.summary = summary(endpoint);
}

/// Whether the findings decide the verdict.
fn is_open(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Sound | Verdict::Findings | Verdict::Inconclusive)
}

/// What was found in one line.
fn summary(endpoint: &Endpoint) -> String {
    let count =
        |wanted: fn(&Finding) -> bool| endpoint.findings.iter().filter(|finding| wanted(finding)).count();
    let passed = plural(count(|finding| finding.outcome == Outcome::Pass), "check passed", "checks passed");
    let unclear = match count(|finding| finding.outcome == Outcome::Inconclusive) {
        0 => String::new(),
        unclear => format!(", {unclear} inconclusive"),
    };
    match worst(endpoint) {
        None => format!("{passed}, nothing found{unclear}"),
        Some(worst) => {
            let found = plural(count(is_wrong), "finding", "findings");
            format!("{found}, the worst {}; {passed}{unclear}", severity_word(worst))
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
pub fn exit_code(report: &Report) -> u8 {
    const BY_WEIGHT: &[(Verdict, u8)] = &[
        (Verdict::Violation, 6),
        (Verdict::WrongPort, 6),
        (Verdict::TlsFailed, 5),
        (Verdict::Declined, 4),
        (Verdict::Findings, 1),
        (Verdict::Unreachable, 3),
        (Verdict::Inconclusive, 7),
    ];
    let there = |verdict| report.endpoints.iter().any(|endpoint| endpoint.outcome == verdict);
    BY_WEIGHT.iter().find(|(verdict, _)| there(*verdict)).map_or(0, |(_, code)| *code)
}

/// Removes what is wrong already in `older` and no worse now, and says how many findings that were. Compared are
/// endpoints with the same target and address; for an address that is new, the target's other addresses count.
/// Call [`settle`] afterwards. Verdicts other than sound and findings are not touched: an upgrade that was declined
/// then and is declined now is declined.
pub fn hide_known(report: &mut Report, older: &Report) -> usize {
    let mut hidden = 0;
    for endpoint in &mut report.endpoints {
        let same_target = || older.endpoints.iter().filter(|old| old.target == endpoint.target);
        let seen = same_target().any(|old| old.address == endpoint.address);
        let known: Vec<_> = same_target()
            .filter(|old| !seen || old.address == endpoint.address)
            .flat_map(|old| old.findings.iter().filter(|finding| is_wrong(finding)))
            .collect();
        let before = endpoint.findings.len();
        endpoint.findings.retain(|new| {
            !is_wrong(new) || !known.iter().any(|old| old.id == new.id && old.severity >= new.severity)
        });
        hidden += before - endpoint.findings.len();
    }
    hidden
}
