//! TigerVNC: its security types decide what an audit finds. It blocks an address after five connections without a session.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use starttls::Connector;
use starttls::proto::vnc::VNC;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_testkit::real::{Setup, start_tigervnc};

/// Audits a server with these security types.
fn audited(security_types: &str) -> EndpointReport {
    let setup = Setup::new().unwrap();
    let running = start_tigervnc(&setup, security_types).unwrap();
    let endpoint = running.endpoint("vnc").unwrap();
    let root = setup.authority.root_pem();
    let connector = || Connector::builder().no_system_roots().roots_pem(root.clone());
    let audit = Audit::new(connector, Limits::default()).unwrap();
    let audited = audit.endpoint(&VNC, "vnc://server", &endpoint.server_name, endpoint.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap() })
}

/// Returns the checks with this outcome.
fn with(report: &EndpointReport, outcome: CheckOutcome) -> Vec<&str> {
    report.findings.iter().filter(|it| it.outcome == outcome).map(|it| it.id.as_str()).collect()
}

fn summary<'a>(report: &'a EndpointReport, id: &str) -> &'a str {
    report.findings.iter().find(|it| it.id == id).map_or("", |it| &it.summary)
}

#[test]
fn a_server_with_certificates_only_passes_and_never_blocks_the_audit() {
    for security_types in ["X509None", "X509None,X509Vnc"] {
        let report = audited(security_types);
        assert_eq!(with(&report, CheckOutcome::Fail), [""; 0], "{security_types}");
        assert_eq!(with(&report, CheckOutcome::Inconclusive), [""; 0], "{security_types}");
        // The server ignores ALPN, as RFC 7301 allows.
        assert_eq!(with(&report, CheckOutcome::Warning), ["srv-alpn"], "{security_types}");
        let passed = with(&report, CheckOutcome::Pass);
        for id in
            ["srv-upgrade", "srv-not-enforced", "srv-inject-eager", "srv-inject-lazy", "srv-hs-fallback"]
        {
            assert!(passed.contains(&id), "{security_types}: {id}: {}", summary(&report, id));
        }
    }
}

#[test]
fn anonymous_tls_is_no_offer() {
    let report = audited("TLSNone,TLSVnc,TLSPlain");
    assert_eq!(report.outcome, EndpointVerdict::Declined, "{}", report.summary);
    assert_eq!(with(&report, CheckOutcome::Fail), ["srv-offered"]);
    let why = summary(&report, "srv-offered");
    assert!(why.contains("TLSNone (without a certificate)") && !why.contains("X509"), "{why}");
}

#[test]
fn a_server_that_also_serves_cleartext_does_not_enforce_tls() {
    for security_types in ["X509None,None", "X509None,VncAuth"] {
        let report = audited(security_types);
        assert_eq!(with(&report, CheckOutcome::Fail), ["srv-not-enforced"], "{security_types}");
    }
}

/// The audit has no password, so that it sees no session. Whether such a server is sound stays unknown.
#[test]
fn a_server_that_asks_for_a_password_is_not_sound() {
    for security_types in ["X509Vnc", "X509Plain"] {
        let report = audited(security_types);
        assert_eq!(report.outcome, EndpointVerdict::Inconclusive, "{security_types}: {}", report.summary);
        assert_eq!(with(&report, CheckOutcome::Fail), [""; 0], "{security_types}");
        assert!(with(&report, CheckOutcome::Pass).contains(&"cert-name"), "{security_types}");
    }
}
