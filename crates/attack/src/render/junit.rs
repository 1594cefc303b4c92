//! For build servers: a test suite for the client, a test case for each scenario.

use std::fmt::Write;

use super::{Markup, line};
use crate::report::{Outcome, Report, Tested};

/// The report as JUnit XML. A client that was fooled has failed, one that hung or could not be judged is an error,
/// and one that left before the attack was not tested.
pub fn render(report: &Report) -> String {
    let cases: Vec<&Tested> = std::iter::once(&report.control).chain(&report.scenarios).collect();
    let count = |kind: &[Outcome]| cases.iter().filter(|case| kind.contains(&case.outcome)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\"",
        cases.len(),
        count(&[Outcome::Fooled]),
        count(&[Outcome::Hung, Outcome::Inconclusive]),
        count(&[Outcome::Refused]),
        cases.iter().map(|case| case.elapsed_ms).sum::<f64>() / 1000.0,
    );
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "<testsuites name=\"{}\" {counts}>", Markup(&report.generator));
    let class = format!("attack.{}", report.protocol);
    let _ = writeln!(out, "  <testsuite name=\"{}\" {counts}>", Markup(&class));
    for case in cases {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            Markup(&class),
            Markup(&case.id),
            case.elapsed_ms / 1000.0
        );
        let (word, summary) = (case.outcome.word(), Markup(&case.summary));
        let _ = match case.outcome {
            Outcome::Sound => write!(out, "<system-out>{summary}</system-out>"),
            Outcome::Refused => write!(out, "<skipped message=\"{word}: {summary}\"/>"),
            Outcome::Hung | Outcome::Inconclusive => {
                write!(out, "<error type=\"{word}\" message=\"{summary}\"/>")
            }
            Outcome::Fooled => {
                write!(
                    out,
                    "<failure type=\"{word}\" message=\"{summary}\">{}</failure>",
                    Markup(&story(case))
                )
            }
        };
        out.push_str("</testcase>\n");
    }
    out + "  </testsuite>\n</testsuites>\n"
}

/// Evidence, piece by piece.
fn story(case: &Tested) -> String {
    let told = case.evidence.iter().map(|it| match line(case, it) {
        Some(line) => format!("{} ({line})", it.text),
        None => it.text.clone(),
    });
    format!("{}: {}", case.title, told.collect::<Vec<_>>().join("; "))
}
