//! A server that refuses the audit's connections, or an audit at its limits: neither is evidence about the upgrade.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "support/limited.rs"]
mod limited;

use std::net::SocketAddr;
use std::time::Duration;

use limited::limited;
use starttls::Connector;
use starttls::proto::smtp::SUBMISSION;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits, Requirement};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::task::JoinSet;

/// Audits a server that is sound except for a certificate that expires soon.
async fn audited(connections: u32, at: impl AsyncFnOnce(SocketAddr) -> SocketAddr) -> EndpointReport {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start(&SUBMISSION, Weakness::SoonExpired, &authority).unwrap();
    let address = at(rogue.address()).await;
    let root = authority.root_pem();
    let limits = Limits { connections, ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.as_str()), limits);
    let audit = audit.unwrap();
    let audited = audit.endpoint(&SUBMISSION, "submission", rogue.server_name(), address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

/// Returns the problems apart from those of the certificate.
fn accused(report: &EndpointReport) -> Vec<String> {
    let wrong = report.findings.iter().filter(|it| {
        matches!(it.outcome, CheckOutcome::Fail | CheckOutcome::Warning)
            && !["cert-expiry", "srv-alpn"].contains(&&*it.id)
    });
    wrong.map(|it| format!("{}: {}", it.id, it.summary)).collect()
}

fn throttled(report: &EndpointReport) -> bool {
    report.findings.iter().any(|it| it.id == "srv-throttled")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_are_no_evidence() {
    // An audit waits after each refusal, so the audits run beside each other.
    let mut audits = JoinSet::new();
    for then in [&b"421 4.7.0 Too many connections\r\n"[..], b""] {
        for admitted in 1..12 {
            audits.spawn(async move {
                (admitted, audited(30, async |server| limited(server, admitted, then).await).await)
            });
        }
    }
    while let Some(done) = audits.join_next().await {
        let (admitted, report) = done.unwrap();
        assert_eq!(accused(&report), Vec::<String>::new(), "{admitted} connections");
        assert!(throttled(&report), "{admitted} connections: {}", report.summary);
        // The report mentions the refusal once, not for every check that could not run.
        let away = |it: &&starttls_audit::report::Finding| {
            it.outcome == CheckOutcome::Inconclusive && it.summary.contains("turned")
        };
        let told: Vec<_> = report.findings.iter().filter(away).map(|it| it.id.as_str()).collect();
        assert_eq!(told, ["srv-throttled"], "{admitted} connections");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_ones_own_is_not_the_servers() {
    for connections in [1, 2, 8] {
        let report = audited(connections, async |server| server).await;
        assert_eq!(report.connections, connections);
        assert_eq!(accused(&report), Vec::<String>::new(), "{connections} connections");
        assert!(!throttled(&report), "{connections} connections");
        let untold = report.findings.iter().filter(|it| it.outcome == CheckOutcome::Inconclusive);
        assert!(untold.clone().count() > 3);
        for finding in untold {
            assert_eq!(finding.requirement, Some(Requirement::MoreConnections), "{finding:?}");
        }
        // The finding is about the certificate, which expires soon.
        assert_eq!(report.outcome, EndpointVerdict::Findings);
    }
}
