//! A port with TLS from the first byte next to the upgrade: harmless, a note, or an attack, depending on what they
//! share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use starttls::Connector;
use starttls::proto::{Protocol, each_protocol, http::HTTP, imap::IMAP};
use starttls_audit::report::{CheckOutcome, Finding};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Quirk, Rogue, Weakness};

const ID: &str = "srv-xproto";

/// Returns the finding about this server with this port for implicit TLS.
async fn crossing(rogue: &Rogue, root: &str, implicit_port: Option<u16>) -> Finding {
    let limits = Limits { implicit_port, ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), limits).unwrap();
    let protocol = rogue.protocol();
    let audited = audit.endpoint(protocol, protocol.name, rogue.server_name(), rogue.address());
    let report = tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap();
    assert!(report.connections <= limits.connections, "{}: {}", protocol.name, report.connections);
    report.findings.into_iter().find(|it| it.id == ID).unwrap()
}

each_protocol! {
    async if |it| it.implicit_tls.is_some() =>
    the_same_certificate_joins_the_ports
}

async fn the_same_certificate_joins_the_ports(protocol: &'static Protocol) {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start(protocol, Weakness::Shared, &authority).unwrap();
    let found = crossing(&rogue, &authority.root_pem(), rogue.implicit_port()).await;
    let expected = match protocol.name {
        "http" => CheckOutcome::Warning,
        // Inside TLS, the server sends nothing before a request.
        "ldap" | "xmpp" | "xmpp-server" | "irc" | "postgres" => CheckOutcome::NotApplicable,
        _ => CheckOutcome::Info,
    };
    assert_eq!(found.outcome, expected, "{}: {}", protocol.name, found.summary);
    assert_eq!(found.evidence.is_empty(), expected == CheckOutcome::NotApplicable, "{}", protocol.name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_keeps_them_apart() {
    let authority = Authority::new().unwrap();
    let apart =
        Quirk::ALL.iter().find(|odd| odd.name() == "TLS from the first byte has another name").unwrap();
    for protocol in [&HTTP, &IMAP] {
        let server = apart.start(protocol, &authority).unwrap();
        let found = crossing(&server, &authority.root_pem(), server.implicit_port()).await;
        assert_eq!(found.outcome, CheckOutcome::Pass, "{}: {}", protocol.name, found.summary);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_alpn_id_keeps_them_apart() {
    let authority = Authority::new().unwrap();
    let [web, mail] = [&HTTP, &IMAP].map(|it| Rogue::start(it, Weakness::Shared, &authority).unwrap());
    let found = crossing(&web, &authority.root_pem(), mail.implicit_port()).await;
    assert_eq!(found.outcome, CheckOutcome::Pass, "{}", found.summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_such_a_port_there_is_nothing_to_join() {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start(&HTTP, Weakness::Alert, &authority).unwrap();
    // No server listens on port 1. The rogue's own port answers a ClientHello in cleartext or not at all.
    for port in [None, Some(1), Some(rogue.address().port())] {
        let found = crossing(&rogue, &authority.root_pem(), port).await;
        assert_eq!(found.outcome, CheckOutcome::NotApplicable, "{port:?}: {}", found.summary);
    }
}
