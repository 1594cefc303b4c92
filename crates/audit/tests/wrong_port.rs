//! A port with another service: one finding with the URL to use, without waiting for the timeout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_lab::{Lab, Options};

/// The reply timeout is longer than the limit of the test: only a diagnosis ends the audit in time.
async fn audited(protocol: &'static Protocol, address: SocketAddr) -> EndpointReport {
    let limits = Limits { reply_timeout: Duration::from_secs(600), ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots(), limits).unwrap();
    let target = format!("{}://localhost:{}", protocol.name, address.port());
    let audited = audit.endpoint(protocol, &target, "localhost", address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

#[test]
fn tls_from_the_first_byte_is_one_finding_with_the_url() {
    let lab = Lab::start(Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let implicit: Vec<_> = lab.endpoints().iter().filter(|it| it.implicit).cloned().collect();
    assert!(implicit.len() > 8, "{}", implicit.len());
    let audits = implicit.into_iter().map(|endpoint| async move {
        let report = audited(endpoint.protocol, endpoint.address).await;
        let url = format!("use {}://localhost:{}", endpoint.scheme, endpoint.address.port());
        let wrong: Vec<_> = report.findings.iter().filter(|it| it.outcome != CheckOutcome::Pass).collect();
        let [finding] = wrong.as_slice() else { panic!("{}: {wrong:?}", endpoint.scheme) };
        assert_eq!((finding.id.as_str(), report.outcome), ("srv-plain-tls", EndpointVerdict::WrongPort));
        assert!(finding.summary.contains(&url) && report.summary.contains(&url), "{finding:?}");
        assert!(!finding.evidence.is_empty() && finding.fix.is_some(), "{finding:?}");
    });
    runtime.block_on(async {
        let tasks: Vec<_> = audits.map(|audit| tokio::spawn(audit)).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
