//! For code scanning: SARIF 2.1.0. What has to be changed in the client is a result; a run without a verdict is a
//! notification.

use starttls_report::sarif::{self, Finding, Notification, Place, Rule, Severity};

use super::evidence;
use crate::Scenario;
use crate::report::{Outcome, Report, Tested};

/// Renders the report as SARIF. Code scanning shows each result at a file: `file`, relative to the repository.
pub fn render(report: &Report, file: &str) -> String {
    let all = std::iter::once(&report.control).chain(&report.scenarios);
    let scenarios = Scenario::all().unwrap_or_default();
    let place = Place {
        path: file.trim_start_matches("./").to_owned(),
        line: 1,
        name: report.protocol.clone(),
        full_name: report.client.clone(),
        kind: "module",
    };
    let finding = |tested: &Tested| {
        let fix = tested.fix.as_ref().map(|fix| format!(" Fix: {fix}.")).unwrap_or_default();
        Finding {
            rule: tested.id.clone(),
            severity: severity(tested.outcome),
            message: format!("{}: {}.{fix}", tested.title, tested.summary),
            place: place.clone(),
            identity: vec![report.protocol.clone(), tested.id.clone()],
            evidence: evidence(tested).collect(),
            facts: vec![("outcome", tested.outcome.word().to_owned())],
            ..Finding::default()
        }
    };
    let notification = |id: &str, text: String| Notification {
        rule: Some(id.to_owned()),
        severity: Severity::Warning,
        message: format!("{id}: {text}"),
        place: Some(place.clone()),
    };
    let undecided = all.clone().filter(|it| it.outcome.is_undecided());
    let undecided =
        undecided.map(|it| notification(&it.id, format!("{}: {}", it.outcome.word(), it.summary)));
    let missing = report.unfinished.iter();
    let missing =
        missing.map(|id| notification(id, String::from("a signal ended the campaign before it was run")));
    sarif::render(&sarif::Run {
        tool: "starttls attack",
        version: env!("CARGO_PKG_VERSION"),
        category: "starttls-attack",
        rules: scenarios.iter().map(rule).collect(),
        successful: report.control.outcome == Outcome::Sound && report.unfinished.is_empty(),
        notifications: undecided.chain(missing).collect(),
        results: all.filter(|it| it.outcome.is_flaw()).map(finding).collect(),
        ..sarif::Run::default()
    })
}

fn severity(outcome: Outcome) -> Severity {
    if outcome <= Outcome::Crashed { Severity::Error } else { Severity::Warning }
}

fn rule(scenario: &Scenario) -> Rule {
    Rule {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        description: scenario.what.trim().to_owned(),
        help: format!("A sound client: {} Fix: {}. ({})", scenario.sound, scenario.fix, scenario.reference),
        ..Rule::default()
    }
}
