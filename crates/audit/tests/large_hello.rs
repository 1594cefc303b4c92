//! A device that rejects a ClientHello of more than one segment is reported, and the audit continues with a small one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::imap::IMAP;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_lab::{Lab, Options};
use starttls_testkit::hello_limit::{Reaction, in_front_of};

async fn audited(address: SocketAddr, implicit: bool, root: &str) -> EndpointReport {
    // The device does not answer, so the audit waits for this limit.
    let limits = Limits { reply_timeout: Duration::from_secs(6), ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), limits).unwrap();
    let audit = audit.with_implicit_tls(implicit);
    let target = if implicit { "imaps://localhost" } else { "imap://localhost" };
    let audited = audit.endpoint(&IMAP, target, "localhost", address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

#[test]
fn the_cause_is_named_and_everything_else_is_audited() {
    let lab = Lab::start(Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (scheme, implicit) in [("imap", false), ("imaps", true)] {
        let server = lab.endpoints().iter().find(|it| it.scheme == scheme).unwrap().address;
        // A device that does not answer is waited for.
        let audits = Reaction::ALL.map(|reaction| {
            let (device, root) = (in_front_of(server, reaction).unwrap(), lab.ca_pem().to_owned());
            (reaction, runtime.spawn(async move { audited(device, implicit, &root).await }))
        });
        for (reaction, audit) in audits {
            let report = runtime.block_on(audit).unwrap();
            let wrong: Vec<_> = report
                .findings
                .iter()
                .filter(|it| {
                    matches!(
                        it.outcome,
                        CheckOutcome::Fail | CheckOutcome::Warning | CheckOutcome::Inconclusive
                    )
                })
                .collect();
            let [finding] = wrong.as_slice() else { panic!("{scheme}, {reaction:?}: {wrong:?}") };
            assert_eq!((finding.id.as_str(), report.outcome), ("tls-large-hello", EndpointVerdict::Findings));
            assert!(!report.tls.unwrap().post_quantum);
        }
        // The same server without the device in front of it.
        let report = runtime.block_on(audited(server, implicit, lab.ca_pem()));
        assert!(
            report.tls.unwrap().post_quantum && report.findings.iter().all(|it| it.id != "tls-large-hello")
        );
    }
}
