//! `starttls policy report`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde::Serialize;
use starttls_policy::tlsrpt::{ReportSummary, advice, parse_report, reports_in};

use crate::args::{Format, PolicyReport};
use crate::console;
use crate::error::Failed;
use crate::output::Sink;
use crate::{exit, input};

/// The largest file, in octets. A mailbox of a year has some MiB.
const MAX_FILE: u64 = 256 << 20;
/// The most files in folders.
const MAX_FILES: usize = 100_000;

/// The sum of the reports, as data. The schema is in `docs/schema/policy-report.json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Increases when a field changes its meaning or is removed.
    schema_version: u32,
    /// The reports that were counted.
    reports: u64,
    /// Reports that occurred before.
    duplicates: u64,
    /// The files or parts that are not valid reports.
    invalid: Vec<String>,
    /// The first day, as YYYY-MM-DD.
    first_day: String,
    /// The last day.
    last_day: String,
    /// The organizations that sent reports.
    organizations: Vec<String>,
    /// The sessions by policy.
    policies: Vec<PolicySessions>,
    /// The exit code of the program.
    exit_code: u8,
}

/// The sessions that one policy governed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PolicySessions {
    /// The domain of the policy; empty if the reporter found no policy and names no domain.
    domain: String,
    /// `tlsa`, `sts` or `no-policy-found`.
    kind: String,
    /// The sessions with a successful upgrade.
    successful: u64,
    /// The sessions that failed.
    failed: u64,
    /// The failures.
    failures: Vec<Failure>,
}

/// Failures of one kind at one exchanger.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Failure {
    /// The result type (RFC 8460 section 4.3).
    result: String,
    /// The name or address of the exchanger.
    receiver: String,
    /// The organization that reported.
    organization: String,
    /// The number of sessions.
    sessions: u64,
    /// The first day.
    first_day: String,
    /// The last day.
    last_day: String,
    /// What the reporter added.
    reason: String,
    /// What to do.
    advice: &'static str,
}

pub(super) fn run(args: &PolicyReport) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    let (mut sum, mut invalid) = (ReportSummary::default(), Vec::new());
    for file in expand(&args.files)? {
        for json in reports_in(&input::read_or_stdin(&file, MAX_FILE)?) {
            match json.and_then(|json| parse_report(&json)) {
                Ok(report) => sum.add(&report),
                Err(reason) => invalid.push(format!("{}: {reason}", file.display())),
            }
        }
    }
    let report = Report::of(&sum, invalid);
    let code = report.exit_code;
    match args.format {
        Format::Json => sink.json(&report)?,
        Format::Text => text(&report, &mut sink)?,
    }
    sink.finish()?;
    Ok(code)
}

/// Replaces folders by their files, in the order of their names.
fn expand(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failed> {
    let (mut files, mut pending) = (Vec::new(), given.iter().cloned().collect::<VecDeque<_>>());
    while let Some(path) = pending.pop_front() {
        if !path.is_dir() {
            files.push(path);
        } else {
            let mut entries = entries(&path).map_err(|error| input::unreadable(&path, &error))?;
            entries.sort();
            entries.into_iter().rev().for_each(|it| pending.push_front(it));
        }
        if files.len() > MAX_FILES {
            return Err(Failed::usage(format!("the folders contain more than {MAX_FILES} files")));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Links could lead in circles.
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

impl Report {
    fn of(sum: &ReportSummary, invalid: Vec<String>) -> Self {
        let exit_code = match (sum.failed(), sum.reports) {
            (1.., _) => exit::FINDINGS,
            (0, 1..) if invalid.is_empty() => exit::DONE,
            _ => exit::INCONCLUSIVE,
        };
        let policies = sum.policies.iter().map(|((domain, kind), policy)| PolicySessions {
            domain: domain.clone(),
            kind: kind.clone(),
            successful: policy.successful,
            failed: policy.failed,
            failures: policy
                .failures
                .iter()
                .map(|(key, failure)| Failure {
                    result: key.result.clone(),
                    receiver: key.receiver.clone(),
                    organization: key.organization.clone(),
                    sessions: failure.sessions,
                    first_day: failure.first_day.clone(),
                    last_day: failure.last_day.clone(),
                    reason: failure.reason.clone(),
                    advice: advice(&key.result),
                })
                .collect(),
        });
        Self {
            schema_version: 1,
            reports: sum.reports,
            duplicates: sum.duplicates,
            first_day: sum.first_day.clone(),
            last_day: sum.last_day.clone(),
            organizations: sum.organizations.iter().cloned().collect(),
            policies: policies.collect(),
            invalid,
            exit_code,
        }
    }
}

fn text(report: &Report, sink: &mut Sink) -> Result<(), Failed> {
    for line in &report.invalid {
        console::warning(line);
    }
    let days = match (report.first_day.as_str(), report.last_day.as_str()) {
        ("", _) => String::new(),
        (first, last) if first == last => format!(", {first}"),
        (first, last) => format!(", {first} to {last}"),
    };
    let count =
        |number: u64, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let organizations = count(report.organizations.len() as u64, "organization", "organizations");
    let reports = count(report.reports, "report", "reports");
    sink.line(&format!("{reports} of {organizations}{days} (not authenticated)"))?;
    for policy in &report.policies {
        let domain = if policy.domain.is_empty() { "(no domain)" } else { &policy.domain };
        let (good, bad) = (policy.successful, policy.failed);
        sink.line(&format!(
            "\n{domain} {}: {} succeeded, {bad} failed",
            policy.kind,
            count(good, "session", "sessions")
        ))?;
        for failure in &policy.failures {
            let receiver =
                if failure.receiver.is_empty() { "an unnamed exchanger" } else { &failure.receiver };
            let days = match (failure.first_day.as_str(), failure.last_day.as_str()) {
                ("", _) => String::new(),
                (first, last) if first == last => format!(", {first}"),
                (first, last) => format!(", {first} to {last}"),
            };
            sink.line(&format!(
                "  {} at {receiver}: {}, reported by {}{days}",
                failure.result,
                count(failure.sessions, "session", "sessions"),
                failure.organization
            ))?;
            if !failure.reason.is_empty() {
                sink.line(&format!("    reason: {}", failure.reason))?;
            }
            sink.line(&format!("    fix: {}", failure.advice))?;
        }
    }
    Ok(())
}
