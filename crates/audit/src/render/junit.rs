//! For build servers: a test suite for each endpoint, a test case for each check.

use starttls_report::junit::{self, Case, Suite};

use super::story;
use crate::filter::{is_wrong, severity_word};
use crate::report::{Endpoint, Finding, Outcome, Report, Severity, Verdict};

/// The report as JUnit XML. What is wrong below `fail_on` is told, and no failure. An endpoint that could not be
/// audited is an error.
pub fn render(report: &Report, fail_on: Severity) -> String {
    let suites: Vec<_> = report.endpoints.iter().map(|endpoint| suite(endpoint, fail_on)).collect();
    junit::render(&report.generator, &suites)
}

fn suite(endpoint: &Endpoint, fail_on: Severity) -> Suite {
    let seconds = endpoint.elapsed_ms / 1000.0;
    let address = endpoint.address.as_deref().map(|address| format!(" ({address})")).unwrap_or_default();
    let audit = Case { name: String::from("audit"), seconds, outcome: audit(endpoint) };
    let findings = endpoint.findings.iter().map(|finding| Case {
        name: finding.id.clone(),
        seconds: 0.0,
        outcome: outcome(endpoint, finding, fail_on),
    });
    Suite {
        name: format!("{}{address}", endpoint.target),
        class: endpoint.target.clone(),
        seconds,
        cases: std::iter::once(audit).chain(findings).collect(),
    }
}

/// Whether there was an audit.
fn audit(endpoint: &Endpoint) -> junit::Outcome {
    let message = endpoint.summary.clone();
    match endpoint.outcome {
        Verdict::Sound | Verdict::Findings => junit::Outcome::Passed(message),
        verdict => junit::Outcome::Error { kind: story::verdict_key(verdict).to_owned(), message },
    }
}

fn outcome(endpoint: &Endpoint, finding: &Finding, fail_on: Severity) -> junit::Outcome {
    let told = format!("{}: {}", story::outcome_key(finding.outcome), finding.summary);
    match finding.outcome {
        Outcome::NotApplicable | Outcome::Inconclusive => junit::Outcome::Skipped(told),
        _ if is_wrong(finding) && finding.severity >= fail_on => junit::Outcome::Failure {
            kind: severity_word(finding.severity).to_owned(),
            message: finding.summary.clone(),
            story: story(endpoint, finding),
        },
        _ => junit::Outcome::Passed(told),
    }
}

/// Details, evidence and cure, a line each.
fn story(endpoint: &Endpoint, finding: &Finding) -> Vec<String> {
    let mut lines = finding.details.clone();
    for &at in &finding.evidence {
        let Some((transcript, entries)) = story::excerpt(endpoint, at) else { continue };
        lines.push(format!("connection {}, {}:", at.transcript + 1, transcript.purpose));
        lines.extend(entries.iter().map(|entry| {
            let speaker = story::speaker(entry.kind);
            format!("{:9.1} ms {speaker:>5} {}", entry.at_ms, entry.text)
        }));
    }
    lines.extend(finding.fix.iter().map(|fix| format!("cure: {fix}")));
    lines
}
