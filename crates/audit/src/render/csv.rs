//! CSV (RFC 4180) for spreadsheets and databases: one row for each check of each endpoint.

use std::fmt::Write;

use starttls_report::Plain;

use super::common;
use crate::filter::severity_word;
use crate::report::{AuditReport, EndpointReport, Finding, Unaudited};

/// The names of the columns.
const COLUMNS: [&str; 15] = [
    "target",
    "address",
    "protocol",
    "server_name",
    "started_at",
    "source",
    "verdict",
    "check",
    "outcome",
    "severity",
    "known",
    "summary",
    "fix",
    "generator",
    "options",
];

/// Renders the report as CSV with a header line. A target without an endpoint is a row without a check.
pub fn render(report: &AuditReport) -> String {
    let mut out = String::new();
    row(&mut out, COLUMNS);
    let options = report.options.join(" ");
    let run = [report.generator.as_str(), &options];
    for endpoint in &report.endpoints {
        for finding in &endpoint.findings {
            row(&mut out, checked(run, endpoint, finding));
        }
    }
    for it in &report.unaudited {
        row(&mut out, unaudited(run, &report.started_at, it));
    }
    out
}

fn checked<'a>(
    [generator, options]: [&'a str; 2],
    endpoint: &'a EndpointReport,
    finding: &'a Finding,
) -> [&'a str; 15] {
    [
        &endpoint.target,
        endpoint.address.as_deref().unwrap_or_default(),
        &endpoint.protocol,
        &endpoint.server_name,
        &endpoint.started_at,
        endpoint.source.as_deref().unwrap_or_default(),
        common::verdict_key(endpoint.outcome),
        &finding.id,
        common::outcome_key(finding.outcome),
        severity_word(finding.severity),
        if finding.known { "yes" } else { "no" },
        &finding.summary,
        finding.fix.as_deref().unwrap_or_default(),
        generator,
        options,
    ]
}

fn unaudited<'a>(
    [generator, options]: [&'a str; 2],
    started_at: &'a str,
    it: &'a Unaudited,
) -> [&'a str; 15] {
    let verdict = common::verdict_key(it.outcome);
    [&it.asked, "", "", "", started_at, "", verdict, "", "", "", "", &it.reason, "", generator, options]
}

fn row(out: &mut String, fields: [&str; 15]) {
    for (index, field) in fields.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}\"{}\"", inert(field).replace('"', "\"\""));
    }
    out.push_str("\r\n");
}

/// Escapes text so that a spreadsheet does not evaluate it as a formula.
fn inert(field: &str) -> String {
    let plain = Plain(field).to_string();
    if plain.starts_with(['=', '+', '-', '@']) { format!("'{plain}") } else { plain }
}
