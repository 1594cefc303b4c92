//! The output of a monitoring plugin (Nagios, Icinga), with performance data and the exit codes of plugins.

use std::fmt::{self, Write};

use starttls_report::Plain;
use starttls_x509::validity;

use super::common;
use crate::filter;
use crate::report::{AuditReport, EndpointReport, EndpointVerdict, Finding, Severity};

/// The limits for the remaining days of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Fewer than this: WARNING.
    pub warning_days: i64,
    /// Fewer than this: CRITICAL.
    pub critical_days: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { warning_days: 14, critical_days: 7 }
    }
}

/// The state of the service, in ascending order for monitoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Sound.
    Ok,
    /// The audit was inconclusive.
    Unknown,
    /// A finding of severity warning, or a certificate that expires soon.
    Warning,
    /// A finding of severity error or critical, or a service that cannot be audited.
    Critical,
}

impl State {
    /// Returns the exit code of the plugin.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Returns the worst state of all endpoints and targets. A domain that announces that it has no service (RFC 7505) is OK.
pub fn state(report: &AuditReport, thresholds: Thresholds) -> State {
    let endpoints = report.endpoints.iter().map(|endpoint| judge(endpoint, thresholds));
    let targets = report.unaudited.iter().map(|it| match it.outcome {
        EndpointVerdict::Unreachable => State::Critical,
        _ => State::Unknown,
    });
    let nothing = if report.lookups.is_empty() { State::Unknown } else { State::Ok };
    endpoints.chain(targets).max().unwrap_or(nothing)
}

/// Renders the output of the plugin: one line with performance data, then one line for each problem.
pub fn render(report: &AuditReport, thresholds: Thresholds) -> String {
    let mut performance = String::new();
    let mut long = String::new();
    for endpoint in &report.endpoints {
        let label = if report.endpoints.len() == 1 { String::new() } else { label(endpoint) };
        // Writing to a String cannot fail, here and below.
        let _ = measure(&mut performance, endpoint, &label, thresholds);
        for finding in counted(endpoint) {
            let severity = filter::severity_word(finding.severity);
            let (target, summary) = (Tame(&endpoint.target), Tame(&finding.summary));
            let _ = writeln!(long, "{target}: {severity}: {summary} [{}]", Tame(&finding.id));
        }
    }
    for it in &report.unaudited {
        let _ = writeln!(long, "{}: {}", Tame(&it.asked), Tame(&it.reason));
    }
    let _ = writeln!(long, "{}", Tame(&common::provenance(report)));
    for endpoint in &report.endpoints {
        let _ = writeln!(long, "{}: {}", Tame(&endpoint.target), Tame(&common::effort(endpoint)));
    }
    let state = state(report, thresholds).word();
    format!("STARTTLS {state}: {} |{performance}\n{long}", headline(report, thresholds))
}

fn headline(report: &AuditReport, thresholds: Thresholds) -> String {
    if report.endpoints.is_empty() && report.unaudited.is_empty() {
        return Tame(&common::nothing_to_audit(report)).to_string();
    }
    let ([endpoint], []) = (report.endpoints.as_slice(), report.unaudited.as_slice()) else {
        return Tame(&common::overview(report)).to_string();
    };
    let worst = counted(endpoint).max_by_key(|finding| finding.severity);
    let of_findings = worst.map(|finding| of_severity(finding.severity));
    let what = match (worst, expiry(endpoint, thresholds)) {
        _ if !audited(endpoint) => Tame(&endpoint.summary).to_string(),
        (_, expiry @ Some(_)) if expiry > of_findings => "the certificate expires soon".to_owned(),
        (Some(finding), _) => Tame(&finding.summary).to_string(),
        (None, _) => match common::known(endpoint).len() {
            0 => "the upgrade is sound".to_owned(),
            known => format!("no new problems, {known} known"),
        },
    };
    let days = days_left(endpoint)
        .map(|left| format!(", certificate: {}", validity::remaining(left)))
        .unwrap_or_default();
    format!("{}: {what}{days}", Tame(&endpoint.target))
}

fn judge(endpoint: &EndpointReport, thresholds: Thresholds) -> State {
    let found = match endpoint.outcome {
        EndpointVerdict::Sound | EndpointVerdict::Findings => {
            counted(endpoint).map(|finding| of_severity(finding.severity)).max()
        }
        EndpointVerdict::Inconclusive => Some(State::Unknown),
        EndpointVerdict::Declined
        | EndpointVerdict::Unreachable
        | EndpointVerdict::TlsFailed
        | EndpointVerdict::Violation
        | EndpointVerdict::WrongPort => Some(State::Critical),
    };
    found.max(expiry(endpoint, thresholds)).unwrap_or(State::Ok)
}

fn of_severity(severity: Severity) -> State {
    match severity {
        Severity::Info => State::Ok,
        Severity::Warning => State::Warning,
        Severity::Error | Severity::Critical => State::Critical,
    }
}

/// Returns the problems. The thresholds decide on a certificate that expires soon.
fn counted(endpoint: &EndpointReport) -> impl Iterator<Item = &Finding> {
    endpoint.findings.iter().filter(|finding| filter::is_new(finding) && finding.id != "cert-expiry")
}

fn audited(endpoint: &EndpointReport) -> bool {
    matches!(endpoint.outcome, EndpointVerdict::Sound | EndpointVerdict::Findings)
}

fn expiry(endpoint: &EndpointReport, thresholds: Thresholds) -> Option<State> {
    let left = days_left(endpoint)?;
    let state = |limit, state| (left < limit).then_some(state);
    state(thresholds.critical_days, State::Critical).or(state(thresholds.warning_days, State::Warning))
}

/// Returns the days until the certification path expires.
fn days_left(endpoint: &EndpointReport) -> Option<i64> {
    Some(endpoint.certificate.as_ref()?.expires.as_ref()?.days_left)
}

fn measure(out: &mut String, endpoint: &EndpointReport, label: &str, thresholds: Thresholds) -> fmt::Result {
    let Thresholds { warning_days, critical_days } = thresholds;
    if let Some(left) = days_left(endpoint) {
        write!(out, " '{label}cert_days'={left};{warning_days}:;{critical_days}:;;")?;
    }
    for step in &endpoint.steps {
        let name: String =
            step.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        write!(out, " '{label}{name}'={:.6}s;;;0;", step.ms / 1000.0)?;
    }
    write!(out, " '{label}findings'={};;;0;", counted(endpoint).count())?;
    write!(out, " '{label}connections'={};;;0;", endpoint.connections)?;
    write!(out, " '{label}time'={:.6}s;;;0;", endpoint.elapsed_ms / 1000.0)
}

/// Returns the prefix of a measure if the report has several endpoints.
fn label(endpoint: &EndpointReport) -> String {
    let name = endpoint.address.as_deref().unwrap_or(&endpoint.target);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "[]:.-/".contains(c) { c } else { '_' })
        .collect();
    format!(
        "{}/{name}/",
        endpoint.protocol.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>()
    )
}

/// Text for the output of a plugin: a bar starts performance data, and the other characters have a meaning in the shells
/// and web pages that receive the output. A quote that is already escaped is not escaped twice.
struct Tame<'a>(&'a str);

impl fmt::Display for Tame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(self.0).to_string().replace("\\\"", "\"").chars().try_for_each(|c| match c {
            '|' | '<' | '>' | '&' | '$' | '`' | '"' | '\'' => write!(f, "\\x{:02x}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}
