//! The report for code scanning, as SARIF 2.1.0. A flaw of the client is a result; a run without a verdict is a notification.

use starttls_report::sarif::{self, SarifLocation, SarifNotification, SarifResult, SarifRule, SarifSeverity};

use super::evidence;
use crate::Scenario;
use crate::report::{AttackReport, ScenarioOutcome, ScenarioResult};

/// Renders the report as SARIF. Code scanning shows each result at `file`, a path relative to the repository.
pub fn render(report: &AttackReport, file: &str) -> String {
    let all = std::iter::once(&report.control).chain(&report.scenarios);
    let scenarios = Scenario::all().unwrap_or_default();
    let place = SarifLocation {
        path: file.trim_start_matches("./").to_owned(),
        line: 1,
        name: report.protocol.clone(),
        full_name: report.client.clone(),
        kind: "module",
    };
    let finding = |tested: &ScenarioResult| {
        let fix = tested.fix.as_ref().map(|fix| format!(" Fix: {fix}.")).unwrap_or_default();
        SarifResult {
            rule: tested.id.clone(),
            severity: severity(tested.outcome),
            message: format!("{}: {}.{fix}", tested.title, tested.summary),
            place: place.clone(),
            identity: vec![report.protocol.clone(), tested.id.clone()],
            evidence: evidence(tested).collect(),
            facts: vec![("outcome", tested.outcome.word().to_owned())],
            ..SarifResult::default()
        }
    };
    let notification = |id: &str, text: String| SarifNotification {
        rule: Some(id.to_owned()),
        severity: SarifSeverity::Warning,
        message: format!("{id}: {text}"),
        place: Some(place.clone()),
    };
    let undecided = all.clone().filter(|it| it.outcome.is_undecided());
    let undecided =
        undecided.map(|it| notification(&it.id, format!("{}: {}", it.outcome.word(), it.summary)));
    let missing = report.unfinished.iter();
    let missing =
        missing.map(|id| notification(id, String::from("not run: a signal ended the campaign first")));
    sarif::render(&sarif::SarifRun {
        tool: "starttls attack",
        version: env!("CARGO_PKG_VERSION"),
        category: "starttls-attack",
        rules: scenarios.iter().map(rule).collect(),
        successful: report.control.outcome == ScenarioOutcome::Sound && report.unfinished.is_empty(),
        notifications: undecided.chain(missing).collect(),
        results: all.filter(|it| it.outcome.is_flaw()).map(finding).collect(),
        ..sarif::SarifRun::default()
    })
}

fn severity(outcome: ScenarioOutcome) -> SarifSeverity {
    if outcome <= ScenarioOutcome::Crashed { SarifSeverity::Error } else { SarifSeverity::Warning }
}

fn rule(scenario: &Scenario) -> SarifRule {
    SarifRule {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        description: scenario.what.trim().to_owned(),
        help: format!("A sound client: {} Fix: {}. ({})", scenario.sound, scenario.fix, scenario.reference),
        ..SarifRule::default()
    }
}
