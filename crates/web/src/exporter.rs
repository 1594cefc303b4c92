//! Metrics for Prometheus: of the service, and of a target on request as blackbox_exporter has them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::HeaderMap;
use starttls_audit::render::prometheus;
use starttls_audit::report::AuditReport;

use crate::service::Service;

/// The longest probe, also for a client that names no limit.
const LIMIT: Duration = Duration::from_secs(120);
/// The part of the client's limit that is for the response. blackbox_exporter has the same one.
const MARGIN: Duration = Duration::from_millis(500);

/// Returns the time limit of a probe, which is below that of the client. `None` if the client's limit is invalid.
pub(crate) fn limit(headers: &HeaderMap) -> Option<Duration> {
    let Some(value) = headers.get("x-prometheus-scrape-timeout-seconds") else { return Some(LIMIT) };
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    let scrape = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())?;
    Some(scrape.saturating_sub(MARGIN).max(scrape / 2).min(LIMIT))
}

/// Returns the metrics of an audit: those of `check --format prometheus`, and whether the time limit ended it. A target
/// without endpoints has failed.
pub(crate) fn probe(report: &AuditReport, is_timed_out: bool) -> String {
    let mut metrics = prometheus::render(report);
    if report.endpoints.is_empty() {
        metrics += &gauge("probe_success", "Whether the upgrade is sound.", 0);
    }
    let help = "Whether the time limit ended the audit.";
    metrics + &gauge("starttls_probe_timed_out", help, u8::from(is_timed_out))
}

fn gauge(name: &str, help: &str, value: u8) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_ends_before_its_client_gives_up() {
        let limit = |value: Option<&'static str>| {
            let header = value.map(|value| {
                ("x-prometheus-scrape-timeout-seconds".parse().unwrap(), value.parse().unwrap())
            });
            limit(&header.into_iter().collect())
        };
        for (value, milliseconds) in [
            (None, 120_000),
            (Some("10"), 9_500),
            (Some("2.000000"), 1_500),
            (Some("0.4"), 200),
            (Some("1e9"), 120_000),
        ] {
            assert_eq!(limit(value), Some(Duration::from_millis(milliseconds)), "{value:?}");
        }
        for value in ["", "0", "-1", "NaN", "inf", "1e99", "10s"] {
            assert_eq!(limit(Some(value)), None, "{value}");
        }
    }
}
