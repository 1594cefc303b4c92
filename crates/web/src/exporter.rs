//! Metrics for Prometheus: of the service, and of a target on request as blackbox_exporter has them.

use std::sync::atomic::Ordering;

use starttls_audit::render::prometheus;
use starttls_audit::report::AuditReport;

use crate::service::Service;

/// Returns the metrics of an audit: those of `check --format prometheus`. A target without endpoints has failed.
pub(crate) fn probe(report: &AuditReport) -> String {
    let metrics = prometheus::render(report);
    if !report.endpoints.is_empty() {
        return metrics;
    }
    format!(
        "# HELP probe_success Whether the upgrade is sound.\n# TYPE probe_success gauge\nprobe_success 0\n{metrics}"
    )
}

/// Returns the metrics of the service.
pub(crate) fn metrics(service: &Service, viewers: u32) -> String {
    let numbers = service.numbers();
    let mut text = String::new();
    for (kind, name, help, value) in [
        ("counter", "runs_total", "Runs that were started.", numbers.runs.load(Ordering::Relaxed)),
        (
            "counter",
            "endpoints_total",
            "Endpoints that were audited.",
            numbers.endpoints.load(Ordering::Relaxed),
        ),
        (
            "counter",
            "left_out_total",
            "Endpoints that were not audited: not permitted, not found, or audited too often.",
            numbers.refused.load(Ordering::Relaxed),
        ),
        (
            "counter",
            "store_failures_total",
            "Reports that could not be written.",
            numbers.store_failures.load(Ordering::Relaxed),
        ),
        ("gauge", "runs", "Runs in progress.", service.count() as u64),
        ("gauge", "viewers", "Pages that follow a run in progress.", viewers.into()),
    ] {
        let name = format!("starttls_web_{name}");
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    text
}
