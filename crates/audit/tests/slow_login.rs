//! Servers delay the answer to a failed login. The audit waits for it, and without an answer the check does not pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{ClientMessage, Identity, PROTOCOLS, Protocol};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards connections to the server, and delays logins and the messages after them.
async fn slow(protocol: &'static Protocol, server: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.into_split();
                let (mut back, mut there) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut back, &mut to).await;
                });
                let mut chunk = vec![0; 16 * 1024];
                while let Ok(len @ 1..) = from.read(&mut chunk).await {
                    if is_login(protocol, &chunk[..len]) {
                        tokio::time::sleep(delay).await;
                    }
                    if there.write_all(&chunk[..len]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Returns whether these bytes are a login. Only the first octets count, because others are random.
fn is_login(protocol: &Protocol, said: &[u8]) -> bool {
    let mut login = Vec::new();
    protocol.new_dialect(Identity::new("localhost")).write_client(ClientMessage::Credentials, &mut login);
    let words = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_string();
        let known = ["AUTH", "LOGIN", "USER", "PASS", "<auth", "Authorization", "probe"];
        known.iter().position(|it| text.contains(it))
    };
    match words(&login) {
        Some(word) => words(said) == Some(word),
        None => said.first() == login.first() && said.len() == login.len(),
    }
}

async fn audited(
    protocol: &'static Protocol,
    weakness: Weakness,
    authority: &Authority,
    (delay, limits): (Duration, Limits),
) -> EndpointReport {
    let rogue = Rogue::start(protocol, weakness, authority).unwrap();
    let address = slow(protocol, rogue.address(), delay).await;
    let root = authority.root_pem();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.as_str()), limits).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, rogue.server_name(), address);
    let report = tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap();
    assert!(report.connections <= limits.connections, "{}: {}", protocol.name, report.connections);
    report
}

fn found<'a>(report: &'a EndpointReport, id: &str) -> &'a Finding {
    report.findings.iter().find(|it| it.id == id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_answered_late_is_taken_all_the_same() {
    let authority = Arc::new(Authority::new().unwrap());
    let weakness = Weakness::CredentialsBefore;
    let telling = |it: &&&'static Protocol| weakness.applies_to(it) && weakness.hidden(it).is_none();
    let mut audits = JoinSet::new();
    for protocol in PROTOCOLS.iter().filter(telling).copied() {
        for delay in [Duration::from_millis(800), Duration::from_secs(4)] {
            let authority = Arc::clone(&authority);
            audits.spawn(async move {
                let report = audited(protocol, weakness, &authority, (delay, Limits::default())).await;
                (protocol.name, delay, report)
            });
        }
    }
    assert!(audits.len() > 10);
    let mut wrong = Vec::new();
    while let Some(audit) = audits.join_next().await {
        let (name, delay, report) = audit.unwrap();
        let login = found(&report, "srv-auth-before");
        let taken = matches!(login.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
        if !taken {
            wrong.push(format!("{name} after {delay:?}: {}", login.summary));
        }
        // A late answer to the login is not an answer to the next command.
        let command = found(&report, "srv-not-enforced");
        let refused = matches!(command.outcome, CheckOutcome::Pass | CheckOutcome::NotApplicable);
        if !refused {
            wrong.push(format!("{name} after {delay:?}: {}", command.summary));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_not_answered_is_inconclusive() {
    let authority = Authority::new().unwrap();
    let limits = Limits { reply_timeout: Duration::from_secs(6), ..Limits::default() };
    for protocol in [&starttls::proto::smtp::SUBMISSION, &starttls::proto::ldap::LDAP] {
        let late = Duration::from_secs(30);
        let report = audited(protocol, Weakness::Expired, &authority, (late, limits)).await;
        let login = found(&report, "srv-auth-before");
        assert_eq!(login.outcome, CheckOutcome::Inconclusive, "{}: {}", protocol.name, login.summary);
        let command = found(&report, "srv-not-enforced");
        assert_eq!(command.outcome, CheckOutcome::Pass, "{}: {}", protocol.name, command.summary);
        assert_eq!(report.outcome, EndpointVerdict::Findings, "{}: its certificate has ended", protocol.name);
    }
}
