//! Unusual but conforming servers: the audit completes TLS with each of them and reports no failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol, smtp};
use starttls_audit::report::{CheckOutcome, EndpointReport};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::Quirk;
use tokio::sync::Semaphore;

/// Audits only the upgrade if possible, because slow servers need much time for each connection.
async fn upgraded(protocol: &'static Protocol, odd: &Quirk, authority: &Authority) -> EndpointReport {
    let server = odd.start(protocol, authority).unwrap();
    let root = authority.root_pem();
    // Only a complete audit shows how a server reacts to bytes after the request.
    let connections = if odd.is_reaction() { 25 } else { 1 };
    let limits = Limits { connections, reply_timeout: Duration::from_secs(30), ..Limits::default() };
    let builder = || Connector::builder().no_system_roots().roots_pem(root.as_bytes());
    let audit = Audit::new(builder, limits).unwrap();
    audit.endpoint(protocol, protocol.name, server.server_name(), server.address()).await
}

fn problem(name: &str, endpoint: &EndpointReport) -> Option<String> {
    // One of the servers upgrades without offering it, which is a finding.
    let accused =
        endpoint.findings.iter().find(|it| it.outcome == CheckOutcome::Fail && it.id != "srv-offered");
    match (endpoint.tls.is_some(), accused) {
        (true, None) => None,
        (true, Some(finding)) => {
            Some(format!("{}: {name}: accused of {}: {}", endpoint.target, finding.id, finding.summary))
        }
        (false, _) => Some(format!("{}: {name}: {}", endpoint.target, endpoint.summary)),
    }
}

#[test]
fn every_odd_server_is_upgraded_and_none_is_accused() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let problems = runtime.block_on(async {
        let authority = Arc::new(Authority::new().unwrap());
        let slots = Arc::new(Semaphore::new(16));
        let mut tasks = Vec::new();
        for odd in Quirk::ALL {
            for protocol in PROTOCOLS.iter().copied().filter(|protocol| odd.applies_to(protocol)) {
                let (authority, slots) = (authority.clone(), slots.clone());
                tasks.push(tokio::spawn(async move {
                    let _slot = slots.acquire().await.unwrap();
                    problem(odd.name(), &upgraded(protocol, odd, &authority).await)
                }));
            }
        }
        let late = Quirk::delayed(Duration::from_secs(12));
        let mut problems =
            Vec::from_iter(problem("a greeting after 12 s", &upgraded(&smtp::SMTP, &late, &authority).await));
        for task in tasks {
            problems.extend(task.await.unwrap());
        }
        problems
    });
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
