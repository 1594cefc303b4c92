//! The verdict on all endpoints of a run.

use starttls_audit::report::{AuditReport, EndpointVerdict};

/// Returns the worst verdict: a problem before an inconclusive result, and both before a sound one. A run without endpoints
/// is inconclusive.
pub(crate) fn overall(report: &AuditReport) -> EndpointVerdict {
    let rank = |verdict: &EndpointVerdict| match verdict {
        EndpointVerdict::Findings => 7,
        EndpointVerdict::Violation => 6,
        EndpointVerdict::TlsFailed => 5,
        EndpointVerdict::Declined => 4,
        EndpointVerdict::WrongPort => 3,
        EndpointVerdict::Unreachable => 2,
        EndpointVerdict::Inconclusive => 1,
        EndpointVerdict::Sound => 0,
    };
    let endpoints = report.endpoints.iter().map(|endpoint| endpoint.outcome);
    let verdicts = endpoints.chain(report.unaudited.iter().map(|it| it.outcome));
    verdicts.max_by_key(rank).unwrap_or(EndpointVerdict::Inconclusive)
}

/// Returns the class of the color for a verdict.
pub(crate) fn class(verdict: EndpointVerdict) -> &'static str {
    match verdict {
        EndpointVerdict::Sound => "good",
        EndpointVerdict::Inconclusive => "inconclusive",
        _ => "bad",
    }
}
