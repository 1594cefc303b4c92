//! The expected findings on real servers, with reasons: one file per server in `check/`.
//!
//! A line contains the protocol of an endpoint, a check, the expected outcome, and the reason:
//!
//! ```text
//! # A comment.
//! smtp  srv-alpn  warning  The server takes no part in ALPN, as RFC 7301 allows.
//! ```
//!
//! Without a line, a check is expected to pass, to inform, or not to apply. `exclude` leaves a check out of the comparison;
//! its id may end in `*`.
//!
//! [`attack`] contains the same for clients.
#![forbid(unsafe_code)]

pub mod attack;

use std::fmt;

use starttls_audit::check::check;
use starttls_audit::report::{CheckOutcome, Finding};

/// The expected outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The protocol of the endpoint.
    pub protocol: String,
    /// The id of the check, or the start of several ids and `*`.
    pub check: String,
    /// The outcome; `None` if the check is left out.
    pub outcome: Option<CheckOutcome>,
    /// The reason.
    pub reason: String,
}

impl Expectation {
    fn concerns(&self, protocol: &str, id: &str) -> bool {
        let same = match self.check.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => id == self.check,
        };
        same && self.protocol == protocol
    }
}

/// A line that cannot be parsed, or that names an unknown check or scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLine(pub String);

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid line \"{}\": expected a protocol, a known id, an outcome and a reason", self.0)
    }
}

impl std::error::Error for InvalidLine {}

/// Parses a file.
///
/// # Errors
/// Returns the first invalid line, or a line with an unknown check.
pub fn read(text: &str) -> Result<Vec<Expectation>, InvalidLine> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| expectation(line).ok_or_else(|| InvalidLine(line.to_owned()))).collect()
}

fn expectation(line: &str) -> Option<Expectation> {
    let (protocol, rest) = word(line)?;
    let (id, rest) = word(rest)?;
    let (outcome, reason) = word(rest)?;
    let outcome = match outcome {
        "fail" => Some(CheckOutcome::Fail),
        "warning" => Some(CheckOutcome::Warning),
        "inconclusive" => Some(CheckOutcome::Inconclusive),
        "exclude" => None,
        _ => return None,
    };
    let known = check(id).is_some() || (outcome.is_none() && id.ends_with('*'));
    let expectation =
        Expectation { protocol: protocol.into(), check: id.into(), outcome, reason: reason.into() };
    (known && !reason.is_empty()).then_some(expectation)
}

pub(crate) fn word(text: &str) -> Option<(&str, &str)> {
    text.split_once(char::is_whitespace).map(|(word, rest)| (word, rest.trim_start()))
}

/// Returns a line for each finding that differs from the expected one.
pub fn differences(expected: &[Expectation], protocol: &str, findings: &[Finding]) -> Vec<String> {
    let mut differences = Vec::new();
    for Finding { id, outcome, summary, .. } in findings {
        let own = expected.iter().find(|it| it.concerns(protocol, id));
        let usual = matches!(
            outcome,
            CheckOutcome::Pass | CheckOutcome::Info | CheckOutcome::NotApplicable | CheckOutcome::NotRun
        );
        match own.map(|it| it.outcome) {
            Some(None) => {}
            Some(Some(expected)) if expected == *outcome => {}
            Some(Some(expected)) => differences
                .push(format!("{protocol}: {id} was expected to be {expected:?}, is {outcome:?}: {summary}")),
            None if usual => {}
            None => differences.push(format!("{protocol}: {id} is {outcome:?}: {summary}")),
        }
    }
    let unseen = expected.iter().filter(|it| {
        it.protocol == protocol && it.outcome.is_some() && !findings.iter().any(|found| found.id == it.check)
    });
    differences.extend(unseen.map(|it| format!("{protocol}: {} was not checked", it.check)));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls_audit::report::Severity;

    fn finding(id: &str, outcome: CheckOutcome) -> Finding {
        let (summary, details, evidence) = (String::new(), Vec::new(), Vec::new());
        Finding {
            id: id.into(),
            outcome,
            severity: Severity::Info,
            known: false,
            summary,
            details,
            evidence,
            fix: None,
            requirement: None,
            message: None,
        }
    }

    #[test]
    fn findings_are_expected_excluded_or_different() -> Result<(), InvalidLine> {
        let text = "# why\nimap srv-alpn warning It does not look.\n\nimap srv-inject-* exclude withheld\n";
        let expected = read(text)?;
        let found = [
            finding("srv-alpn", CheckOutcome::Warning),
            finding("srv-inject-lazy", CheckOutcome::Fail),
            finding("leak-banner", CheckOutcome::Info),
        ];
        assert_eq!(differences(&expected, "imap", &found), Vec::<String>::new());
        assert_eq!(differences(&expected, "pop3", &found).len(), 2, "nothing is expected of POP3");
        let better = [finding("srv-alpn", CheckOutcome::Pass)];
        assert_eq!(differences(&expected, "imap", &better).len(), 1, "an expectation that holds no more");
        assert_eq!(differences(&expected, "imap", &[]).len(), 1, "a check that was not run");
        Ok(())
    }

    #[test]
    fn lines_need_a_known_check_and_a_reason() {
        for line in
            ["imap srv-alpn warning", "imap srv-none fail x", "imap srv-* fail x", "imap srv-alpn pass x"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
