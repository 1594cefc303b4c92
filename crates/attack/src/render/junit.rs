//! The report for build servers: a test suite for the client, with a test case for each scenario.

use starttls_report::junit::{self, TestCase, TestSuite};

use super::evidence;
use crate::report::{AttackReport, ScenarioOutcome, ScenarioResult};

/// Renders the report as JUnit XML. An outcome at or above `fail_on` is a failure. A crash, a client that hung and a
/// run without a verdict are errors, and a client that gave up before the attack is skipped. Other flaws pass, with
/// their summary.
pub fn render(report: &AttackReport, fail_on: ScenarioOutcome) -> String {
    let runs = || std::iter::once(&report.control).chain(&report.scenarios);
    let name = format!("attack.{}", report.protocol);
    let suite = TestSuite {
        class: name.clone(),
        name,
        seconds: runs().map(|run| run.elapsed_ms).sum::<f64>() / 1000.0,
        cases: runs().map(|run| case(run, fail_on)).collect(),
        ..TestSuite::default()
    };
    junit::render(&report.generator, &[suite])
}

fn case(run: &ScenarioResult, fail_on: ScenarioOutcome) -> TestCase {
    let (kind, message) = (run.outcome.word().to_owned(), run.summary.clone());
    let outcome = match run.outcome {
        outcome if outcome <= fail_on => {
            let fix = run.fix.iter().map(|fix| format!("fix: {fix}"));
            let story = std::iter::once(format!("{}:", run.title)).chain(evidence(run)).chain(fix).collect();
            junit::TestResult::Failure { kind, message, evidence: story }
        }
        ScenarioOutcome::Sound => junit::TestResult::Passed(message),
        ScenarioOutcome::Refused => junit::TestResult::Skipped(format!("{kind}: {message}")),
        ScenarioOutcome::Crashed | ScenarioOutcome::Hung | ScenarioOutcome::Inconclusive => {
            junit::TestResult::Error { kind, message }
        }
        ScenarioOutcome::Fooled | ScenarioOutcome::Weak | ScenarioOutcome::Silent => {
            junit::TestResult::Passed(format!("{kind}: {message}"))
        }
    };
    TestCase { name: run.id.clone(), seconds: run.elapsed_ms / 1000.0, outcome }
}
