//! For code scanning: SARIF 2.1.0. What fooled the client is a result; what could not be judged is a notification.

use serde_json::{Value, json};
use starttls_report::sarif;

use super::evidence;
use crate::Scenario;
use crate::report::{Outcome, Report, Tested};

/// The report as SARIF.
pub fn render(report: &Report) -> String {
    let all = std::iter::once(&report.control).chain(&report.scenarios);
    let of = |kind: &'static [Outcome]| all.clone().filter(move |it| kind.contains(&it.outcome));
    let scenarios = Scenario::all().unwrap_or_default();
    let results: Vec<_> = of(&[Outcome::Fooled]).map(|tested| result(report, tested)).collect();
    let undecided: Vec<_> = of(&[Outcome::Hung, Outcome::Inconclusive]).map(notification).collect();
    sarif::render(sarif::Run {
        tool: "starttls attack",
        version: env!("CARGO_PKG_VERSION"),
        rules: scenarios.iter().map(rule).collect(),
        successful: report.control.outcome == Outcome::Sound,
        notifications: undecided,
        results,
    })
}

fn rule(scenario: &Scenario) -> Value {
    json!({
        "id": scenario.id,
        "shortDescription": { "text": scenario.title },
        "fullDescription": { "text": scenario.what.trim() },
        "help": { "text": format!("A sound client: {} ({})", scenario.sound, scenario.reference) },
        "defaultConfiguration": { "level": "error" },
    })
}

fn result(report: &Report, tested: &Tested) -> Value {
    json!({
        "ruleId": tested.id,
        "kind": "fail",
        "level": "error",
        "message": { "text": sarif::message(&format!("{}: {}", tested.title, tested.summary)) },
        "locations": [{ "logicalLocations": [{ "name": report.client, "kind": "module" }] }],
        "partialFingerprints": { "scenario/v1": format!("{} {}", report.protocol, tested.id) },
        "properties": { "evidence": evidence(tested).collect::<Vec<_>>() },
    })
}

fn notification(tested: &Tested) -> Value {
    json!({
        "level": "warning",
        "associatedRule": { "id": tested.id },
        "message": { "text": sarif::message(&format!("{}: {}: {}", tested.id, tested.outcome.word(), tested.summary)) },
    })
}
