//! What the auditor is expected to find on real servers, and why: one file per server under `check/`.
//!
//! A line names an endpoint's protocol, a check, what is expected, and the reason:
//!
//! ```text
//! # A comment.
//! smtp  srv-alpn  warning  The server takes no part in ALPN, as RFC 7301 allows.
//! ```
//!
//! Where nothing is said a check is expected to pass, to inform or not to apply. `exclude` takes a check out of the
//! run; its id may end in `*`.
//!
//! [`attack`] has the same for clients.
#![forbid(unsafe_code)]

pub mod attack;

use starttls_audit::check::check;
use starttls_audit::report::{CheckOutcome, Finding};

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The protocol of the endpoint.
    pub protocol: String,
    /// The check, or what the ids of the checks begin with.
    pub check: String,
    /// The outcome; `None` when the check is left out.
    pub outcome: Option<CheckOutcome>,
    /// Why.
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

/// Reads a file.
///
/// # Errors
/// A line that says nothing, or something about a check that does not exist; it is quoted.
pub fn read(text: &str) -> Result<Vec<Expectation>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| expectation(line).ok_or_else(|| format!("cannot make sense of \"{line}\""))).collect()
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

/// Where the findings on an endpoint are not what was expected, one line each.
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
    differences.extend(unseen.map(|it| format!("{protocol}: {} was not looked for", it.check)));
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
        }
    }

    #[test]
    fn findings_are_expected_excluded_or_different() -> Result<(), String> {
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
