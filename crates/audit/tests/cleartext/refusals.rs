//! The audit distinguishes silence, a refusal, and a server that ends the session.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Act, between};
use starttls::Connector;
use starttls::proto::{
    ClientMessage, Protocol, each_protocol, http::HTTP, imap::IMAP, nut::NUT, smtp::SMTP, smtp::SUBMISSION,
};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn audited(
    protocol: &'static Protocol,
    address: SocketAddr,
    limits: Limits,
    root: &str,
) -> EndpointReport {
    let builder = || match root {
        "" => Connector::builder().no_system_roots().insecure(),
        root => Connector::builder().no_system_roots().roots_pem(root),
    };
    let audit = Audit::new(builder, limits).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, "localhost", address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

/// Starts a server that sends `first`, answers each message with `then`, and may close the connection.
async fn scripted(first: &'static str, then: &'static str, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                client.write_all(first.as_bytes()).await.unwrap();
                let mut heard = [0; 4096];
                while let Ok(1..) = client.read(&mut heard).await {
                    if client.write_all(then.as_bytes()).await.is_err() || closes {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_of_a_message_is_not_silence() {
    let limits = Limits { reply_timeout: Duration::from_secs(4), ..Limits::default() };
    let greeting = scripted("220-mail.example.com\r\n220-Welc", "", false).await;
    let hello = scripted("220 mail.example.com\r\n", "250-mail.example.com\r\n250-STAR", false).await;
    for (address, part) in [(greeting, "220-Welc"), (hello, "250-STAR")] {
        let report = audited(&SMTP, address, limits, "").await;
        assert_eq!(report.outcome, EndpointVerdict::Unreachable, "{}", report.summary);
        assert!(
            report.summary.contains(part) && report.summary.contains("only a part of"),
            "{}",
            report.summary
        );
        assert!(!report.summary.contains("sent nothing"), "{}", report.summary);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_length_may_refuse() {
    for (answer, expected) in [
        ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno", EndpointVerdict::Declined),
        ("HTTP/1.0 200 OK\r\n\r\n<html>", EndpointVerdict::Declined),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\nlater", EndpointVerdict::Inconclusive),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\nlater", EndpointVerdict::Inconclusive),
    ] {
        let report = audited(&HTTP, scripted("", answer, true).await, Limits::default(), "").await;
        let throttled = report.findings.iter().any(|it| it.id == "srv-throttled");
        assert_eq!(report.outcome, expected, "{answer}: {}", report.summary);
        assert_eq!(throttled, expected == EndpointVerdict::Inconclusive, "{answer}: {}", report.summary);
    }
}

each_protocol! {
    async if |it| it.flow.greeting && it.flow.request_is_answered && !it.flow.closes_when_tls_required =>
    a_session_that_ends_for_want_of_tls_is_not_throttled
}

/// In cleartext, this server ends the session after each command that does not belong to the upgrade.
async fn a_session_that_ends_for_want_of_tls_is_not_throttled(protocol: &'static Protocol) {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start(protocol, Weakness::SoonExpired, &authority).unwrap();
    let strict = between(protocol, rogue.address(), |message| {
        let known = [ClientMessage::Hello, ClientMessage::Request, ClientMessage::Quit];
        Act { before: b"", passes: known.contains(&message) }
    });
    let report = audited(protocol, strict.await, Limits::default(), &authority.root_pem()).await;
    let untold = report.findings.iter().filter(|it| it.outcome == CheckOutcome::Inconclusive);
    let untold: Vec<_> = untold.map(|it| format!("{}: {}", it.id, it.summary)).collect();
    assert_eq!(untold, Vec::<String>::new(), "{}", protocol.name);
    for id in ["srv-auth-before", "srv-not-enforced"] {
        let found = report.findings.iter().find(|it| it.id == id).unwrap();
        let kept = matches!(found.outcome, CheckOutcome::Pass | CheckOutcome::NotApplicable);
        assert!(kept, "{}: {id}: {}", protocol.name, found.summary);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_taken_here_may_be_refused_elsewhere() {
    let authority = Authority::new().unwrap();
    let mut found = [0; 2];
    for (at, (weakness, id)) in
        [(Weakness::CredentialsBefore, "srv-auth-before"), (Weakness::NotEnforced, "srv-not-enforced")]
            .into_iter()
            .enumerate()
    {
        for protocol in [&IMAP, &SUBMISSION, &NUT] {
            let rogue = Rogue::start(protocol, weakness, &authority).unwrap();
            let report = audited(protocol, rogue.address(), Limits::default(), &authority.root_pem()).await;
            let finding = report.findings.iter().find(|it| it.id == id).unwrap();
            if finding.outcome == CheckOutcome::Fail {
                assert!(finding.details.iter().any(|it| it.contains("127.0.0.1")), "{:?}", finding.details);
                found[at] += 1;
            }
        }
    }
    assert!(found.iter().all(|it| *it > 0), "{found:?}");
}
