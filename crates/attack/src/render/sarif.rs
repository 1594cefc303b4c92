//! For code scanning: SARIF 2.1.0. What fooled the client is a result; what could not be judged is a notification.

use starttls_report::sarif::{self, Finding, Notification, Place, Rule, Severity};

use super::evidence;
use crate::Scenario;
use crate::report::{Outcome, Report, Tested};

/// The report as SARIF. `file` is the file of the repository that results are shown at, such as the client's source;
/// without one it is the name of the protocol in a folder `attack`.
pub fn render(report: &Report, file: Option<&str>) -> String {
    let all = std::iter::once(&report.control).chain(&report.scenarios);
    let of = |kind: &'static [Outcome]| all.clone().filter(move |it| kind.contains(&it.outcome));
    let scenarios = Scenario::all().unwrap_or_default();
    let place = Place {
        path: file.map_or_else(|| format!("attack/{}", report.protocol), str::to_owned),
        line: 1,
        name: report.protocol.clone(),
        full_name: report.client.clone(),
        kind: "module",
    };
    let finding = |tested: &Tested| Finding {
        rule: tested.id.clone(),
        message: format!("{}: {}", tested.title, tested.summary),
        place: place.clone(),
        identity: vec![report.protocol.clone(), tested.id.clone()],
        evidence: evidence(tested).collect(),
        ..Finding::default()
    };
    let notification = |tested: &Tested| Notification {
        rule: Some(tested.id.clone()),
        severity: Severity::Warning,
        message: format!("{}: {}: {}", tested.id, tested.outcome.word(), tested.summary),
        place: Some(place.clone()),
    };
    sarif::render(&sarif::Run {
        tool: "starttls attack",
        version: env!("CARGO_PKG_VERSION"),
        category: "starttls-attack",
        rules: scenarios.iter().map(rule).collect(),
        successful: report.control.outcome == Outcome::Sound,
        notifications: of(&[Outcome::Hung, Outcome::Inconclusive]).map(notification).collect(),
        results: of(&[Outcome::Fooled]).map(finding).collect(),
        ..sarif::Run::default()
    })
}

fn rule(scenario: &Scenario) -> Rule {
    Rule {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        description: scenario.what.trim().to_owned(),
        help: format!("A sound client: {} ({})", scenario.sound, scenario.reference),
        ..Rule::default()
    }
}
