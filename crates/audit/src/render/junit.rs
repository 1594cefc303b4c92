//! JUnit XML for build servers: a test suite for each endpoint, a test case for each check.

use starttls_report::junit::{self, TestCase, TestSuite};

use super::common;
use crate::filter::{is_wrong, severity_word};
use crate::report::{
    AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity, Unaudited,
};

/// Renders the report as JUnit XML. A problem below `fail_on`, or one that the baseline contains, is not a failure. An
/// endpoint that could not be audited is an error, and so is a target without an endpoint.
pub fn render(report: &AuditReport, fail_on: Severity) -> String {
    let endpoints = report.endpoints.iter().map(|endpoint| suite(report, endpoint, fail_on));
    let targets = targets(report);
    junit::render(&report.generator, &endpoints.chain(targets).collect::<Vec<_>>())
}

fn suite(report: &AuditReport, endpoint: &EndpointReport, fail_on: Severity) -> TestSuite {
    let seconds = endpoint.elapsed_ms / 1000.0;
    // The IPv4 and IPv6 addresses of a name are separate servers.
    let name = match &endpoint.address {
        Some(address) => format!("{} ({address})", endpoint.target),
        None => endpoint.target.clone(),
    };
    let audit = TestCase { name: String::from("audit"), seconds, outcome: audit(endpoint) };
    let findings = endpoint.findings.iter().map(|finding| TestCase {
        name: finding.id.clone(),
        seconds: 0.0,
        outcome: outcome(endpoint, finding, fail_on),
    });
    let mut properties = properties(report);
    properties.extend(endpoint.source.iter().map(|source| ("source", source.clone())));
    TestSuite {
        class: name.clone(),
        name,
        started_at: Some(endpoint.started_at.clone()).filter(|time| !time.is_empty()),
        properties,
        seconds,
        cases: std::iter::once(audit).chain(findings).collect(),
    }
}

/// Returns the suite for the targets without endpoints, if there are any.
fn targets(report: &AuditReport) -> Option<TestSuite> {
    let error = |it: &Unaudited| TestCase {
        name: it.asked.clone(),
        seconds: 0.0,
        outcome: junit::TestResult::Error {
            kind: common::verdict_key(it.outcome).to_owned(),
            message: it.reason.clone(),
        },
    };
    let mut cases: Vec<_> = report.unaudited.iter().map(error).collect();
    if report.endpoints.is_empty() && cases.is_empty() {
        let outcome = junit::TestResult::Passed(common::nothing_to_audit(report));
        cases.push(TestCase { name: String::from("lookups"), seconds: 0.0, outcome });
    }
    let name = String::from("targets");
    let started_at = Some(report.started_at.clone()).filter(|time| !time.is_empty());
    let suite = TestSuite {
        class: name.clone(),
        name,
        started_at,
        properties: properties(report),
        seconds: 0.0,
        cases,
    };
    (!suite.cases.is_empty()).then_some(suite)
}

fn properties(report: &AuditReport) -> Vec<(&'static str, String)> {
    vec![("generator", report.generator.clone()), ("options", report.options.join(" "))]
}

/// Returns whether the endpoint could be audited.
fn audit(endpoint: &EndpointReport) -> junit::TestResult {
    let message = endpoint.summary.clone();
    match endpoint.outcome {
        EndpointVerdict::Sound | EndpointVerdict::Findings => junit::TestResult::Passed(message),
        verdict => junit::TestResult::Error { kind: common::verdict_key(verdict).to_owned(), message },
    }
}

fn outcome(endpoint: &EndpointReport, finding: &Finding, fail_on: Severity) -> junit::TestResult {
    let text = common::outcome_text(finding);
    match finding.outcome {
        CheckOutcome::NotApplicable | CheckOutcome::NotRun | CheckOutcome::Inconclusive => {
            junit::TestResult::Skipped(text)
        }
        _ if is_wrong(finding) && !finding.known && finding.severity >= fail_on => {
            junit::TestResult::Failure {
                kind: severity_word(finding.severity).to_owned(),
                message: finding.summary.clone(),
                evidence: body(endpoint, finding),
            }
        }
        _ => junit::TestResult::Passed(text),
    }
}

/// Returns the details, the evidence and the fix, line by line.
fn body(endpoint: &EndpointReport, finding: &Finding) -> Vec<String> {
    let mut lines = finding.details.clone();
    for &at in &finding.evidence {
        let Some((transcript, entries)) = common::excerpt(endpoint, at) else { continue };
        lines.push(format!("connection {}, {}:", at.transcript + 1, transcript.purpose));
        lines.extend(entries.iter().map(|entry| {
            let speaker = common::speaker(entry.kind);
            format!("{:9.1} ms {speaker:>5} {}", entry.at_ms, common::shown(entry))
        }));
    }
    lines.extend(finding.fix.iter().map(|fix| format!("fix: {fix}")));
    lines
}
