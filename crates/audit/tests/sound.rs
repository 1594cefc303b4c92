//! The lab's sound servers are sound, run after run, whatever version of TLS the audit has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use starttls::{Connector, ConnectorBuilder, TlsVersion};
use starttls_audit::report::{Outcome, Verdict};
use starttls_audit::{Audit, Limits};
use starttls_lab::{Endpoint, Lab, Options};

/// For one audit, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often the protocols of [`OFTEN`] are audited.
const RUNS: usize = 20;

/// Text with a greeting, text without an answer to everything, and a binary protocol.
const OFTEN: &[&str] = &["smtp", "irc", "postgres"];

async fn audit(lab: &Lab, endpoint: &Endpoint, versions: impl Fn(ConnectorBuilder) -> ConnectorBuilder) {
    let builder = || versions(Connector::builder().no_system_roots().roots_pem(lab.ca_pem()));
    let limits = Limits::default();
    let audit = Audit::new(builder, limits).unwrap();
    let target = endpoint.url();
    let run = audit.endpoint(endpoint.protocol, &target, endpoint.server_name, endpoint.address);
    let report = tokio::time::timeout(DEADLINE, run).await.unwrap();
    let odd = report
        .findings
        .iter()
        .filter(|it| !matches!(it.outcome, Outcome::Pass | Outcome::Info | Outcome::NotApplicable));
    let odd: Vec<_> = odd.map(|it| format!("{} is {:?}: {}", it.id, it.outcome, it.summary)).collect();
    assert_eq!(odd, Vec::<String>::new(), "{}", endpoint.scheme);
    assert_eq!(report.outcome, Verdict::Sound, "{}: {}", endpoint.scheme, report.summary);
    assert!(report.connections <= limits.connections, "{}: {}", endpoint.scheme, report.connections);
}

async fn audit_all(versions: impl Fn(ConnectorBuilder) -> ConnectorBuilder) {
    let lab = Lab::start(Options::default()).unwrap();
    for endpoint in lab.endpoints().iter().filter(|endpoint| !endpoint.implicit) {
        audit(&lab, endpoint, &versions).await;
    }
}

#[tokio::test]
async fn every_sound_server_is_sound() {
    audit_all(|builder| builder).await;
}

#[tokio::test]
async fn every_sound_server_is_sound_by_tls_1_2() {
    audit_all(|builder| builder.tls_versions(TlsVersion::Tls12, TlsVersion::Tls12)).await;
}

#[tokio::test]
async fn every_sound_server_is_sound_by_tls_1_3() {
    audit_all(|builder| builder.tls_versions(TlsVersion::Tls13, TlsVersion::Tls13)).await;
}

#[tokio::test]
async fn sound_servers_stay_sound() {
    let lab = Lab::start(Options::default()).unwrap();
    for scheme in OFTEN {
        for _ in 0..RUNS {
            audit(&lab, lab.endpoint(scheme).unwrap(), |builder| builder).await;
        }
    }
}
