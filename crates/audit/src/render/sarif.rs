//! SARIF 2.1.0 for code scanning. Problems are results; endpoints that could not be audited are notifications.

use std::fmt::Write;

use starttls_report::sarif::{self, SarifLocation, SarifNotification, SarifResult, SarifRule};
use starttls_x509::validity;

use super::common;
use crate::check::{CHECKS, Check};
use crate::report::{AuditReport, EndpointReport, EndpointVerdict, Finding, Severity, Unaudited};

/// Renders the report as SARIF. `file` is the file of the repository that shows the results. Without it the results refer
/// to the line of the target list, or to a path that is made from the target.
pub fn render(report: &AuditReport, file: Option<&str>) -> String {
    let results = |endpoint| {
        let wrong = common::wrong(endpoint).into_iter();
        wrong.map(move |(_, finding)| result(report, endpoint, finding, file)).collect::<Vec<_>>()
    };
    let of_endpoints = report
        .endpoints
        .iter()
        .filter(|endpoint| !matches!(endpoint.outcome, EndpointVerdict::Sound | EndpointVerdict::Findings))
        .map(|endpoint| notification(report, endpoint, file));
    let of_targets = report.unaudited.iter().map(|it| without_endpoint(report, it, file));
    let notifications: Vec<_> = of_endpoints.chain(of_targets).collect();
    let (name, version) = report.generator.split_once(' ').unwrap_or((&report.generator, ""));
    sarif::render(&sarif::SarifRun {
        tool: if name.is_empty() { "starttls" } else { name },
        version: if version.is_empty() { env!("CARGO_PKG_VERSION") } else { version },
        category: "starttls-check",
        started_at: Some(report.started_at.as_str()).filter(|time| validity::unix(time).is_some()),
        options: &report.options,
        rules: CHECKS.iter().map(rule).collect(),
        successful: notifications.is_empty(),
        notifications,
        results: report.endpoints.iter().flat_map(results).collect(),
    })
}

fn rule(row: &Check) -> SarifRule {
    SarifRule {
        id: row.id.to_owned(),
        title: row.title.to_owned(),
        description: row.why.to_owned(),
        help: format!("{} ({})", row.fix, row.spec),
        severity: severity(row.severity),
        tags: vec![row.family().to_owned()],
    }
}

fn result(
    report: &AuditReport,
    endpoint: &EndpointReport,
    finding: &Finding,
    file: Option<&str>,
) -> SarifResult {
    let address = endpoint.address.clone().unwrap_or_default();
    SarifResult {
        rule: finding.id.clone(),
        severity: severity(finding.severity),
        message: message(endpoint, finding),
        place: place(report, endpoint, file),
        identity: vec![endpoint.target.clone(), address, finding.id.clone()],
        known: report.baseline.is_some().then_some(finding.known),
        evidence: evidence(endpoint, finding),
        facts: vec![
            ("severity", crate::filter::severity_word(finding.severity).to_owned()),
            ("outcome", common::outcome_key(finding.outcome).to_owned()),
            ("startTimeUtc", endpoint.started_at.clone()),
            ("source", endpoint.source.clone().unwrap_or_default()),
        ],
    }
}

fn message(endpoint: &EndpointReport, finding: &Finding) -> String {
    let address = endpoint.address.as_deref().map(|address| format!(" ({address})")).unwrap_or_default();
    let mut text = format!("{}{address}: {}", endpoint.target, finding.summary);
    for detail in &finding.details {
        let _ = write!(text, "; {detail}");
    }
    if let Some(fix) = &finding.fix {
        let _ = write!(text, ". {fix}");
    }
    text
}

/// Returns the notification for a target without an endpoint.
fn without_endpoint(report: &AuditReport, it: &Unaudited, file: Option<&str>) -> SarifNotification {
    let (path, line) = path(report, &it.asked, it.target_line, file);
    let place =
        SarifLocation { path, line, name: it.asked.clone(), full_name: it.asked.clone(), kind: "endpoint" };
    SarifNotification {
        rule: None,
        severity: sarif::SarifSeverity::Error,
        message: format!("{}: {}", it.asked, it.reason),
        place: Some(place),
    }
}

fn notification(report: &AuditReport, endpoint: &EndpointReport, file: Option<&str>) -> SarifNotification {
    let verdict = common::verdict_word(endpoint.outcome);
    let inconclusive = endpoint.outcome == EndpointVerdict::Inconclusive;
    SarifNotification {
        rule: None,
        severity: if inconclusive { sarif::SarifSeverity::Warning } else { sarif::SarifSeverity::Error },
        message: format!("{}: {verdict}: {}", endpoint.target, endpoint.summary),
        place: Some(place(report, endpoint, file)),
    }
}

fn place(report: &AuditReport, endpoint: &EndpointReport, file: Option<&str>) -> SarifLocation {
    let (path, line) = path(report, &endpoint.target, endpoint.target_line, file);
    let full_name = endpoint.address.as_ref().unwrap_or(&endpoint.target).clone();
    SarifLocation { path, line, name: endpoint.server_name.clone(), full_name, kind: "endpoint" }
}

/// Returns the file and the line that represent a target.
fn path(report: &AuditReport, target: &str, line: Option<usize>, file: Option<&str>) -> (String, usize) {
    match (file, &report.target_list, line) {
        (Some(file), ..) => (file.to_owned(), 1),
        (None, Some(list), Some(line)) => (list.clone(), line),
        (None, ..) => match &report.baseline {
            Some(baseline) => (baseline.clone(), 1),
            None => (format!("endpoints/{}", target.replace("://", "/")), 1),
        },
    }
}

fn evidence(endpoint: &EndpointReport, finding: &Finding) -> Vec<String> {
    let excerpts = finding.evidence.iter().filter_map(|&at| common::excerpt(endpoint, at));
    let entries = excerpts.flat_map(|(_, entries)| entries);
    entries
        .map(|entry| {
            format!("{} {}", common::speaker(entry.kind), common::shown(entry)).trim_start().to_owned()
        })
        .collect()
}

fn severity(severity: Severity) -> sarif::SarifSeverity {
    match severity {
        Severity::Info => sarif::SarifSeverity::Note,
        Severity::Warning => sarif::SarifSeverity::Warning,
        Severity::Error => sarif::SarifSeverity::Error,
        Severity::Critical => sarif::SarifSeverity::Critical,
    }
}
