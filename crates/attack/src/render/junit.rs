//! For build servers: a test suite for the client, a test case for each scenario.

use starttls_report::junit::{self, Case, Suite};

use super::evidence;
use crate::report::{Outcome, Report, Tested};

/// The report as JUnit XML. A client that was fooled has failed, one that hung or could not be judged is an error,
/// and one that left before the attack was not tested.
pub fn render(report: &Report) -> String {
    let runs = || std::iter::once(&report.control).chain(&report.scenarios);
    let name = format!("attack.{}", report.protocol);
    let suite = Suite {
        class: name.clone(),
        name,
        seconds: runs().map(|run| run.elapsed_ms).sum::<f64>() / 1000.0,
        cases: runs().map(case).collect(),
        ..Suite::default()
    };
    junit::render(&report.generator, &[suite])
}

fn case(run: &Tested) -> Case {
    let (kind, message) = (run.outcome.word().to_owned(), run.summary.clone());
    let outcome = match run.outcome {
        Outcome::Sound => junit::Outcome::Passed(message),
        Outcome::Refused => junit::Outcome::Skipped(format!("{kind}: {message}")),
        Outcome::Hung | Outcome::Inconclusive => junit::Outcome::Error { kind, message },
        Outcome::Fooled => {
            let story = std::iter::once(format!("{}:", run.title)).chain(evidence(run)).collect();
            junit::Outcome::Failure { kind, message, story }
        }
    };
    Case { name: run.id.clone(), seconds: run.elapsed_ms / 1000.0, outcome }
}
