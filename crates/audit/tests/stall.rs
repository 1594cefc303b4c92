//! Whether a server ends a connection in time if the handshake does not start or does not progress.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol};
use starttls_audit::report::CheckOutcome;
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};

/// The lab's rogues limit a handshake to five seconds, unless their weakness is that they do not.
const LIMIT: Duration = Duration::from_secs(15);

async fn judge(
    protocol: &'static Protocol,
    weakness: Weakness,
    authority: &Authority,
) -> (CheckOutcome, String) {
    let rogue = Rogue::start(protocol, weakness, authority).unwrap();
    let limits = Limits { slow: Some(LIMIT), ..Limits::default() };
    let root = authority.root_pem();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.as_str()), limits).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, rogue.server_name(), rogue.address());
    let report = tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap();
    let found = report.findings.into_iter().find(|it| it.id == "srv-stall").unwrap();
    (found.outcome, format!("{}: {weakness:?}: {}", protocol.name, found.summary))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_has_its_time_as_a_whole() {
    let authority = Arc::new(Authority::new().unwrap());
    let mut audits = tokio::task::JoinSet::new();
    // The last weakness is in the certificate; in this check, the server is sound.
    let cases = [
        (Weakness::Stall, CheckOutcome::Fail),
        (Weakness::Drip, CheckOutcome::Warning),
        (Weakness::SoonExpired, CheckOutcome::Pass),
    ];
    for (weakness, expected) in cases {
        for protocol in PROTOCOLS.iter().copied() {
            let authority = Arc::clone(&authority);
            audits.spawn(async move { (expected, judge(protocol, weakness, &authority).await) });
        }
    }
    let mut wrong = Vec::new();
    while let Some(audit) = audits.join_next().await {
        let (expected, (outcome, shown)) = audit.unwrap();
        if outcome != expected {
            wrong.push(format!("{outcome:?}, not {expected:?}: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
