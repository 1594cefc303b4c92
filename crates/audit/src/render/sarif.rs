//! For code scanning: SARIF 2.1.0. What is wrong is a result; endpoints that could not be audited are notifications.

use std::fmt::Write;

use serde_json::{Value, json};
use starttls_report::{Plain, sarif};

use super::story;
use crate::check::{CHECKS, Check};
use crate::filter::severity_word;
use crate::report::{Endpoint, Finding, Report, Severity, Verdict};

/// The report as SARIF.
pub fn render(report: &Report) -> String {
    let results: Vec<_> = report
        .endpoints
        .iter()
        .flat_map(|endpoint| story::wrong(endpoint).into_iter().map(|(_, finding)| result(endpoint, finding)))
        .collect();
    let unaudited: Vec<_> = report
        .endpoints
        .iter()
        .filter(|endpoint| !matches!(endpoint.outcome, Verdict::Sound | Verdict::Findings))
        .map(notification)
        .collect();
    let (name, version) = report.generator.split_once(' ').unwrap_or((&report.generator, ""));
    sarif::render(sarif::Run {
        tool: if name.is_empty() { "starttls" } else { name },
        version: if version.is_empty() { env!("CARGO_PKG_VERSION") } else { version },
        rules: CHECKS.iter().map(rule).collect(),
        successful: unaudited.is_empty(),
        notifications: unaudited,
        results,
    })
}

fn rule(row: &Check) -> Value {
    json!({
        "id": row.id,
        "shortDescription": { "text": row.title },
        "fullDescription": { "text": row.why },
        "help": { "text": format!("{} {} ({})", row.why, row.fix, row.spec) },
        "defaultConfiguration": { "level": level(row.severity) },
        "properties": { "tags": [row.family()], "security-severity": score(row.severity) },
    })
}

fn result(endpoint: &Endpoint, finding: &Finding) -> Value {
    let mut result = json!({
        "ruleId": plain(&finding.id),
        "kind": "fail",
        "level": level(finding.severity),
        "message": { "text": message(endpoint, finding) },
        "locations": [location(endpoint)],
        "partialFingerprints": {
            "endpointAndCheck/v1": plain(&format!("{} {}", endpoint.target, finding.id)),
        },
        "properties": {
            "severity": severity_word(finding.severity),
            "outcome": story::outcome_key(finding.outcome),
            "evidence": evidence(endpoint, finding),
        },
    });
    if let Some(index) = CHECKS.iter().position(|row| row.id == finding.id) {
        result["ruleIndex"] = index.into();
    }
    result
}

fn message(endpoint: &Endpoint, finding: &Finding) -> String {
    let mut text = format!("{}: {}", endpoint.target, finding.summary);
    for detail in &finding.details {
        let _ = write!(text, "; {detail}");
    }
    if let Some(fix) = &finding.fix {
        let _ = write!(text, ". {fix}");
    }
    sarif::message(&text)
}

fn notification(endpoint: &Endpoint) -> Value {
    let verdict = story::verdict_word(endpoint.outcome);
    json!({
        "level": if endpoint.outcome == Verdict::Inconclusive { "warning" } else { "error" },
        "message": { "text": sarif::message(&format!("{}: {verdict}: {}", endpoint.target, endpoint.summary)) },
        "locations": [location(endpoint)],
    })
}

fn location(endpoint: &Endpoint) -> Value {
    json!({
        "physicalLocation": { "artifactLocation": { "uri": uri(&endpoint.target) } },
        "logicalLocations": [{
            "name": plain(&endpoint.server_name),
            "fullyQualifiedName": plain(endpoint.address.as_deref().unwrap_or(&endpoint.target)),
            "kind": "endpoint",
        }],
    })
}

fn evidence(endpoint: &Endpoint, finding: &Finding) -> Vec<String> {
    let excerpts = finding.evidence.iter().filter_map(|&at| story::excerpt(endpoint, at));
    let entries = excerpts.flat_map(|(_, entries)| entries);
    entries
        .map(|entry| plain(format!("{} {}", story::speaker(entry.kind), entry.text).trim_start()))
        .collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error | Severity::Critical => "error",
    }
}

/// The scale that code scanning sorts by.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "0.0",
        Severity::Warning => "4.0",
        Severity::Error => "7.0",
        Severity::Critical => "9.0",
    }
}

fn plain(text: &str) -> String {
    Plain(text).to_string()
}

/// A target as a URI: what RFC 3986 does not allow in one is percent-encoded.
fn uri(target: &str) -> String {
    let mut out = String::new();
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b':' | b'/' | b'.' | b'-' | b'_' | b'+' | b'[' | b']' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
