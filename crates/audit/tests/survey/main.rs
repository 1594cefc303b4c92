//! The TLS survey of `check`: it finds each weakness of a simulated server and no other, reports what real servers are
//! configured with, and draws no conclusion from connections that were turned away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../support/limited.rs"]
mod limited;
mod limits;
mod real;
mod status;
mod weaknesses;

use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls_audit::report::{CheckOutcome, EndpointReport, Finding};
use starttls_audit::{Audit, Limits, Selection, SurveyExtent};

/// The time limit for one audit on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// The parameters of an audit of the checks of one family.
struct Asked<'a> {
    protocol: &'static Protocol,
    address: SocketAddr,
    server_name: &'a str,
    root: &'a str,
    implicit: bool,
    extent: SurveyExtent,
}

/// Audits the TLS of a server.
async fn audited(asked: &Asked<'_>) -> EndpointReport {
    let limits = Limits { connections: 100, ..Limits::default() };
    let builder = || Connector::builder().no_system_roots().roots_pem(asked.root);
    let only = ["tls", "cert-types", "cert-ocsp", "cert-transparency"].map(str::to_owned);
    let selection = Selection::new(&only, &[]).unwrap().with_survey(asked.extent);
    let audit = Audit::new(builder, limits).unwrap().with_selection(selection);
    let audit = audit.with_implicit_tls(asked.implicit);
    let audited = audit.endpoint(asked.protocol, "target", asked.server_name, asked.address);
    tokio::time::timeout(DEADLINE, audited).await.unwrap()
}

fn finding<'a>(report: &'a EndpointReport, id: &str) -> &'a Finding {
    let found = report.findings.iter().find(|it| it.id == id);
    found.unwrap_or_else(|| panic!("{id} is missing: {:?}, {}", report.outcome, report.summary))
}

fn outcome(report: &EndpointReport, id: &str) -> CheckOutcome {
    finding(report, id).outcome
}

/// Returns the ids of the problems, with their summaries.
fn problems(report: &EndpointReport) -> Vec<(&str, &str)> {
    let wrong =
        report.findings.iter().filter(|it| matches!(it.outcome, CheckOutcome::Fail | CheckOutcome::Warning));
    wrong.map(|it| (it.id.as_str(), it.summary.as_str())).collect()
}

/// Returns the text of a finding's evidence: messages in words.
fn evidence(report: &EndpointReport, id: &str) -> String {
    let places = finding(report, id).evidence.iter();
    let entries = places.flat_map(|at| &report.transcripts[at.transcript].entries[at.first..=at.last]);
    entries.map(|it| format!("{}\n", it.decoded.as_deref().unwrap_or(&it.text))).collect()
}
