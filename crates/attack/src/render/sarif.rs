//! For code scanning: SARIF 2.1.0. What fooled the client is a result; what could not be judged is a notification.

use serde_json::{Value, json};

use super::line;
use crate::Scenario;
use crate::report::{Outcome, Report, Tested};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as SARIF.
pub fn render(report: &Report) -> String {
    let all = std::iter::once(&report.control).chain(&report.scenarios);
    let of = |kind: &'static [Outcome]| all.clone().filter(move |it| kind.contains(&it.outcome));
    let scenarios = Scenario::all().unwrap_or_default();
    let results: Vec<_> = of(&[Outcome::Fooled]).map(|tested| result(report, tested)).collect();
    let undecided: Vec<_> = of(&[Outcome::Hung, Outcome::Inconclusive]).map(notification).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "starttls attack",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": scenarios.iter().map(rule).collect::<Vec<_>>(),
            } },
            "invocations": [{
                "executionSuccessful": report.control.outcome == Outcome::Sound,
                "toolExecutionNotifications": undecided,
            }],
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).unwrap_or_default() + "\n"
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
    let evidence: Vec<String> = tested
        .evidence
        .iter()
        .map(|it| line(tested, it).map_or_else(|| it.text.clone(), |line| format!("{} ({line})", it.text)))
        .collect();
    json!({
        "ruleId": tested.id,
        "kind": "fail",
        "level": "error",
        "message": { "text": plain(&format!("{}: {}", tested.title, tested.summary)) },
        "locations": [{ "logicalLocations": [{ "name": report.client, "kind": "module" }] }],
        "partialFingerprints": { "scenario/v1": format!("{} {}", report.protocol, tested.id) },
        "properties": { "evidence": evidence },
    })
}

fn notification(tested: &Tested) -> Value {
    json!({
        "level": "warning",
        "associatedRule": { "id": tested.id },
        "message": { "text": plain(&format!("{}: {}: {}", tested.id, tested.outcome.word(), tested.summary)) },
    })
}

/// Brackets make links in a message (SARIF 2.1.0 section 3.11.6).
fn plain(text: &str) -> String {
    text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}
