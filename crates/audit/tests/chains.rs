//! Trust and dates are those of the certification path that verifies, the same in every format.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use starttls::Connector;
use starttls::proto::smtp::SUBMISSION;
use starttls_audit::render::{html, nagios, prometheus};
use starttls_audit::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::Quirk;
use starttls_report::Language;

async fn audited(odd: &Quirk) -> EndpointReport {
    let authority = Authority::new().unwrap();
    let server = odd.start(&SUBMISSION, &authority).unwrap();
    let root = authority.root_pem();
    let builder = || Connector::builder().no_system_roots().roots_pem(root.as_bytes());
    let audit = Audit::new(builder, Limits::default()).unwrap();
    let audited = audit.endpoint(&SUBMISSION, "submission", server.server_name(), server.address());
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_no_client_needs_do_not_count() {
    let mut seen = 0;
    for odd in Quirk::ALL.iter().filter(|odd| odd.name().contains("expired")) {
        let endpoint = audited(odd).await;
        assert_eq!(endpoint.outcome, EndpointVerdict::Sound, "{}: {:?}", odd.name(), endpoint.findings);
        let presented = endpoint.certificate.clone().unwrap();
        assert_eq!((presented.chain.len(), presented.path.len(), presented.verified), (3, 2, true));
        let own = &presented.chain[0];
        let expires = presented.expires.unwrap();
        assert_eq!((&expires.subject, &expires.not_after), (&own.subject, &own.not_after), "{}", odd.name());
        let note = endpoint.findings.iter().find(|it| it.id == "cert-chain").unwrap();
        assert_eq!(note.outcome, CheckOutcome::Info, "{note:?}");
        assert!(note.details.iter().any(|line| line.contains("which ended on")), "{note:?}");

        let days = expires.days_left;
        let report = AuditReport {
            endpoints: vec![endpoint],
            ..AuditReport::new(String::from("starttls"), Vec::new())
        };
        let first = nagios::render(&report, nagios::Thresholds::default());
        assert!(
            first.starts_with("STARTTLS OK") && first.contains(&format!("'cert_days'={days};")),
            "{first}"
        );
        let metrics = prometheus::render(&report);
        for family in ["probe_ssl_earliest_cert_expiry", "probe_ssl_last_chain_expiry_timestamp_seconds"] {
            let line = metrics.lines().find(|line| line.starts_with(family)).unwrap();
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(value as i64, expires.not_after_unix, "{line}");
        }
        assert!(html::render(&report, Language::English).contains(&expires.not_after));
        seen += 1;
    }
    assert_eq!(seen, 3);
}
