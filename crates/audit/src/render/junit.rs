//! For build servers: a test suite for each endpoint, a test case for each check.

use std::fmt::Write;

use super::escape::Markup;
use super::story;
use crate::filter::is_wrong;
use crate::report::{Endpoint, Finding, Outcome, Report, Severity, Verdict};

/// The report as JUnit XML. What is wrong below `fail_on` is told, and no failure. An endpoint that could not be
/// audited is an error.
pub fn render(report: &Report, fail_on: Severity) -> String {
    let suites: Vec<_> = report.endpoints.iter().map(|endpoint| Suite::new(endpoint, fail_on)).collect();
    let sum = |count: fn(&Suite<'_>) -> usize| suites.iter().map(count).sum::<usize>();
    let seconds: f64 = report.endpoints.iter().map(|endpoint| endpoint.elapsed_ms).sum::<f64>() / 1000.0;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        Markup(&report.generator),
        sum(|suite| suite.tests()),
        sum(|suite| suite.failures),
        sum(|suite| usize::from(suite.unaudited)),
        sum(|suite| suite.skipped),
    );
    suites.iter().for_each(|suite| suite.write(&mut out, fail_on));
    out + "</testsuites>\n"
}

struct Suite<'a> {
    endpoint: &'a Endpoint,
    failures: usize,
    skipped: usize,
    unaudited: bool,
}

impl<'a> Suite<'a> {
    fn new(endpoint: &'a Endpoint, fail_on: Severity) -> Self {
        let count =
            |kind| endpoint.findings.iter().filter(|finding| Case::of(finding, fail_on) == kind).count();
        Self {
            endpoint,
            failures: count(Case::Failure),
            skipped: count(Case::Skipped),
            unaudited: !matches!(endpoint.outcome, Verdict::Sound | Verdict::Findings),
        }
    }

    fn tests(&self) -> usize {
        self.endpoint.findings.len() + 1
    }

    fn write(&self, out: &mut String, fail_on: Severity) {
        let endpoint = self.endpoint;
        let seconds = endpoint.elapsed_ms / 1000.0;
        let address = endpoint.address.as_deref().map(|address| format!(" ({address})")).unwrap_or_default();
        let name = format!("{}{address}", endpoint.target);
        let class = Markup(&endpoint.target);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
            Markup(&name),
            self.tests(),
            self.failures,
            usize::from(self.unaudited),
            self.skipped,
        );
        let summary = Markup(&endpoint.summary);
        let _ = write!(out, "    <testcase classname=\"{class}\" name=\"audit\" time=\"{seconds:.3}\">");
        let verdict = story::verdict_key(endpoint.outcome);
        let _ = if self.unaudited {
            write!(out, "<error type=\"{verdict}\" message=\"{summary}\"/>")
        } else {
            write!(out, "<system-out>{summary}</system-out>")
        };
        out.push_str("</testcase>\n");
        for finding in &endpoint.findings {
            let id = Markup(&finding.id);
            let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{id}\" time=\"0\">");
            case(out, endpoint, finding, fail_on);
            out.push_str("</testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Passed,
    Failure,
    Skipped,
}

impl Case {
    fn of(finding: &Finding, fail_on: Severity) -> Self {
        match finding.outcome {
            Outcome::NotApplicable | Outcome::Inconclusive => Self::Skipped,
            _ if is_wrong(finding) && finding.severity >= fail_on => Self::Failure,
            _ => Self::Passed,
        }
    }
}

fn case(out: &mut String, endpoint: &Endpoint, finding: &Finding, fail_on: Severity) {
    let summary = Markup(&finding.summary);
    let outcome = story::outcome_key(finding.outcome);
    let _ = match Case::of(finding, fail_on) {
        Case::Skipped => write!(out, "<skipped message=\"{outcome}: {summary}\"/>"),
        Case::Passed => write!(out, "<system-out>{outcome}: {summary}</system-out>"),
        Case::Failure => {
            let severity = crate::filter::severity_word(finding.severity);
            let story = story(endpoint, finding);
            write!(out, "<failure type=\"{severity}\" message=\"{summary}\">{story}</failure>")
        }
    };
}

/// Details, evidence and cure, a line each.
fn story(endpoint: &Endpoint, finding: &Finding) -> String {
    let mut out = String::new();
    for detail in &finding.details {
        let _ = writeln!(out, "{}", Markup(detail));
    }
    for &at in &finding.evidence {
        let Some((transcript, entries)) = story::excerpt(endpoint, at) else { continue };
        let _ = writeln!(out, "connection {}, {}:", at.transcript + 1, Markup(&transcript.purpose));
        for entry in entries {
            let speaker = story::speaker(entry.kind);
            let _ = writeln!(out, "{:9.1} ms {speaker:>5} {}", entry.at_ms, Markup(&entry.text));
        }
    }
    if let Some(fix) = &finding.fix {
        let _ = writeln!(out, "cure: {}", Markup(fix));
    }
    out
}
