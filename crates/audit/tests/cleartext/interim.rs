//! Messages that do not answer a command may arrive before its answer. Only the answer counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Act, between};
use starttls::Connector;
use starttls::proto::{ClientMessage, PROTOCOLS, Protocol};
use starttls_audit::report::{CheckOutcome, EndpointReport};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What a server of this protocol may send before an answer: to a login, and to any other command.
fn interim(protocol: &Protocol) -> Option<[&'static [u8]; 2]> {
    let untagged = b"* OK [ALERT] Your mailbox is 90% full\r\n* CAPABILITY IMAP4rev1 UIDPLUS\r\n";
    let preliminary = b"150 It takes a while\r\n";
    // The end of a search with another id, and an intermediate response to the same (RFC 4511 section 4.13).
    let others = b"\x30\x0f\x02\x04\x7f\xff\xff\xf0\x65\x07\x0a\x01\x00\x04\x00\x04\x00\x30\x08\x02\x04\x7f\xff\xff\xf0\x79\x00";
    let stanza = b"<message type='headline'><body>Maintenance at ten</body></message>";
    let notices = b":localhost NOTICE * :Checking ident\r\n:localhost 020 * :Please wait\r\n";
    // A parameter, a notice, and the version negotiation of an older server.
    let negotiated = b"S\0\0\0\x0aa\0b\0\0\0N\0\0\0\x05\0v\0\0\0\x0c\0\0\0\0\0\0\0\0";
    Some(match protocol.name {
        "imap" => [untagged, b"* OK Still at it\r\n* 3 EXISTS\r\n"],
        "ftp" => [preliminary, preliminary],
        "ldap" => [others, others],
        "xmpp" => [stanza, stanza],
        // A string before the answer to a login would be a challenge.
        "sieve" => [b"", b"\"main\" ACTIVE\r\n\"other\"\r\n"],
        "irc" => [notices, notices],
        "http" => [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
        "postgres" => [negotiated, negotiated],
        _ => return None,
    })
}

async fn audited(rogue: &Rogue, address: SocketAddr, root: &str) -> EndpointReport {
    let protocol = rogue.protocol();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), Limits::default()).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, rogue.server_name(), address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

fn outcomes(report: &EndpointReport) -> Vec<(&str, CheckOutcome)> {
    let judged =
        report.findings.iter().filter(|it| ["srv-auth-before", "srv-not-enforced"].contains(&&*it.id));
    judged.map(|it| (it.id.as_str(), it.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_judged_by_itself() {
    let authority = Arc::new(Authority::new().unwrap());
    let slots = Arc::new(Semaphore::new(8));
    let mut audits = JoinSet::new();
    // Servers that refuse, accept and serve in cleartext. The first is sound except for its certificate.
    for weakness in [Weakness::SoonExpired, Weakness::CredentialsBefore, Weakness::NotEnforced] {
        let talks = |it: &&&'static Protocol| interim(it).is_some() && weakness.applies_to(it);
        for protocol in PROTOCOLS.iter().filter(talks).copied() {
            let (authority, slots) = (Arc::clone(&authority), Arc::clone(&slots));
            audits.spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let rogue = Rogue::start(protocol, weakness, &authority).unwrap();
                let root = authority.root_pem();
                let usual = audited(&rogue, rogue.address(), &root).await;
                let [to_login, to_command] = interim(protocol).unwrap();
                let talkative = between(protocol, rogue.address(), move |message| {
                    let before = match message {
                        ClientMessage::Credentials => to_login,
                        ClientMessage::Other => to_command,
                        _ => b"",
                    };
                    Act { before, passes: true }
                });
                let talkative = audited(&rogue, talkative.await, &root).await;
                let told = talkative.findings.iter().map(|it| format!("{}: {}", it.id, it.summary));
                let told: Vec<_> =
                    told.filter(|it| it.contains("srv-auth") || it.contains("srv-not")).collect();
                let (found, expected) = (outcomes(&talkative), outcomes(&usual));
                let is_accused = expected.iter().any(|it| it.1 == CheckOutcome::Fail);
                let what =
                    || format!("{} {weakness:?}: {found:?}, not {expected:?}: {told:#?}", protocol.name);
                if found == expected { Ok(is_accused) } else { Err(what()) }
            });
        }
    }
    assert!(audits.len() > 18, "{}", audits.len());
    let (mut failed, mut wrong) = (0, Vec::new());
    while let Some(audit) = audits.join_next().await {
        match audit.unwrap() {
            Ok(is_accused) => failed += usize::from(is_accused),
            Err(why) => wrong.push(why),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(failed > 8, "{failed} servers take a login or serve");
}
