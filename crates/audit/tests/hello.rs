//! An error in reply to the hello does not mean that the upgrade is missing in a list of capabilities.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol, protocol};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};
use starttls_audit::{Audit, Limits, Requirement};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::Quirk;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

async fn audited(protocol: &'static Protocol, name: &str, address: SocketAddr, root: &str) -> EndpointReport {
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), Limits::default()).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, name, address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

fn offered(endpoint: &EndpointReport) -> &Finding {
    let mut about = endpoint.findings.iter().filter(|it| it.id == "srv-offered");
    let finding = about.next().unwrap_or_else(|| panic!("{endpoint:?}"));
    assert_eq!(about.next(), None, "one cause, one finding");
    for text in finding.fix.iter().chain([&finding.summary, &endpoint.summary]) {
        let accused = ["not offered", "does not offer", "enable STARTTLS"].iter().any(|it| text.contains(it));
        assert!(!accused, "{text}");
    }
    finding
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_without_a_list_is_audited() {
    let odd = Quirk::ALL.iter().find(|odd| odd.name() == "there is no list of features").unwrap();
    let protocols: Vec<_> = PROTOCOLS.iter().copied().filter(|it| odd.applies_to(it)).collect();
    assert!(protocols.len() > 5, "{}", protocols.len());
    for protocol in protocols {
        let authority = Authority::new().unwrap();
        let server = odd.start(protocol, &authority).unwrap();
        let endpoint = audited(protocol, server.server_name(), server.address(), &authority.root_pem()).await;
        let finding = offered(&endpoint);
        assert_eq!(
            (finding.outcome, finding.severity),
            (CheckOutcome::Warning, Severity::Info),
            "{finding:?}"
        );
        assert!(finding.summary.contains("is not known here"), "{finding:?}");
        assert_eq!(endpoint.outcome, EndpointVerdict::Sound, "{}: {:?}", protocol.name, endpoint.findings);
    }
}

/// Starts a cleartext server that answers each line by its first word.
async fn scripted(greeting: &'static str, answers: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                let _ = client.write_all(greeting.as_bytes()).await;
                let mut line = String::new();
                while client.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                    let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
                    let found = answers.iter().find(|(verb, _)| *verb == word);
                    let answer = found.map_or("500 what?\r\n", |(_, answer)| *answer);
                    let _ = client.write_all(answer.as_bytes()).await;
                    line.clear();
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_refused_is_inconclusive() {
    let smtp = protocol("smtp").unwrap();
    for refusal in [
        "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname\r\n",
        "501 Syntactically invalid EHLO argument(s)\r\n",
        "550 5.7.1 Helo command rejected\r\n",
        "450 4.7.1 Helo command rejected: Host not found\r\n",
    ] {
        let answers = vec![
            ("EHLO", refusal),
            ("HELO", refusal),
            ("STARTTLS", "503 5.5.1 Error: send HELO/EHLO first\r\n"),
        ];
        let address = scripted("220 mail.example.test ESMTP\r\n", answers.leak()).await;
        let endpoint =
            audited(smtp, "mail.example.test", address, &Authority::new().unwrap().root_pem()).await;
        let finding = offered(&endpoint);
        assert_eq!(
            (endpoint.outcome, finding.outcome),
            (EndpointVerdict::Inconclusive, CheckOutcome::Inconclusive)
        );
        assert_eq!(finding.requirement, Some(Requirement::ClientName), "{finding:?}");
        assert!(finding.summary.contains(refusal.trim_end()), "{finding:?}");
        assert_eq!(endpoint.connections, 1, "the server speaks SMTP, so nothing needs a diagnosis");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_neither_declines() {
    for (scheme, greeting) in [("smtp", "220 old\r\n"), ("nntp", "200 old\r\n"), ("ftp", "220 old\r\n")] {
        let address = scripted(greeting, &[("HELO", "250 old\r\n")]).await;
        let root = Authority::new().unwrap().root_pem();
        let endpoint = audited(protocol(scheme).unwrap(), "mail.example.test", address, &root).await;
        let finding = offered(&endpoint);
        assert_eq!(
            (endpoint.outcome, finding.outcome),
            (EndpointVerdict::Declined, CheckOutcome::Fail),
            "{scheme}"
        );
        assert!(finding.summary.contains("does not list its capabilities (\"500 what?\")"), "{finding:?}");
    }
}

/// RFC 5321 section 4.1.1.1: HELO opens a session too, and the client requests the upgrade after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_refusal_behind_the_older_hello_is_not_a_missing_offer() {
    let answers = &[("HELO", "250 old\r\n"), ("STARTTLS", "454 4.7.0 later\r\n")];
    let address = scripted("220 old\r\n", answers).await;
    let root = Authority::new().unwrap().root_pem();
    let endpoint = audited(protocol("smtp").unwrap(), "mail.example.test", address, &root).await;
    assert!(offered(&endpoint).summary.contains("454 4.7.0 later"), "{endpoint:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_server_may_ignore_the_request() {
    let answer = "HTTP/1.1 200 OK\r\nServer: web/2.4.57\r\nContent-Length: 0\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let mut client = BufReader::new(client);
            let mut line = String::new();
            while client.read_line(&mut line).await.is_ok_and(|length| length > 2) {
                line.clear();
            }
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    let root = Authority::new().unwrap().root_pem();
    let endpoint = audited(protocol("http").unwrap(), "www.example.test", address, &root).await;
    assert_eq!(endpoint.outcome, EndpointVerdict::Declined);
    let wrong = |it: &&Finding| matches!(it.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    assert_eq!(endpoint.findings.iter().find(wrong), None);
    assert!(endpoint.summary.contains("RFC 9110 section 7.8"), "{}", endpoint.summary);
    // The header fields of the answer are in cleartext too.
    let banner = endpoint.findings.iter().find(|it| it.id == "leak-banner").unwrap();
    assert!(banner.summary.contains("web/2.4.57"), "{banner:?}");
}
