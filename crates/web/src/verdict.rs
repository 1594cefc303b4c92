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

/// Returns the word for a verdict, and the class of its color.
pub(crate) fn word(verdict: EndpointVerdict) -> (&'static str, &'static str) {
    match verdict {
        EndpointVerdict::Sound => ("sound", "good"),
        EndpointVerdict::Findings => ("not sound", "bad"),
        EndpointVerdict::Declined => ("declined", "bad"),
        EndpointVerdict::Unreachable => ("unreachable", "bad"),
        EndpointVerdict::TlsFailed => ("TLS failed", "bad"),
        EndpointVerdict::Violation => ("protocol violation", "bad"),
        EndpointVerdict::WrongPort => ("wrong port", "bad"),
        EndpointVerdict::Inconclusive => ("inconclusive", "inconclusive"),
    }
}
