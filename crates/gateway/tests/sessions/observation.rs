//! A listener that is observed: the report agrees with what the client knows of its session.

use std::sync::{Arc, Mutex};

use starttls::proto::{ClientMessage, PROTOCOLS, Protocol, smtp::SMTP};
use starttls_gateway::config::{Arguments, Listener};
use starttls_gateway::{Config, Gateway, SessionObserver, SessionRecord};
use starttls_inspect::{ConnectionReport, Offered, RequestAnswer, Requested, TlsUse, Visibility};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::environment::{Environment, cleartext, say, within, words};

/// Keeps the reports of observed sessions.
#[derive(Default)]
struct Kept(Mutex<Vec<ConnectionReport>>);

impl SessionObserver for Kept {
    fn session(&self, _: &Listener, _: &SessionRecord) {}

    fn observed(&self, _: &Listener, report: &ConnectionReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

impl Kept {
    /// Waits for the report of a session.
    async fn next(&self) -> ConnectionReport {
        within(async {
            loop {
                if let Some(report) = self.0.lock().unwrap().pop() {
                    return report;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

fn gateway(env: &Environment, protocol: &Protocol, observe: bool) -> (Gateway, Arc<Kept>) {
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let arguments = Arguments {
        listen: format!("{}+starttls://127.0.0.1:0", protocol.name),
        forward: vec![backend],
        certificate: Some(env.certificate.clone()),
        ..Arguments::default()
    };
    let mut config = Config::from_arguments(&arguments).unwrap();
    config.listeners[0].observe = observe;
    let kept = Arc::new(Kept::default());
    (Gateway::start(config, kept.clone()).unwrap(), kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_agrees_with_the_session() {
    let env = Environment::new();
    for protocol in PROTOCOLS.iter().filter(|it| env.cleartext.address(it.name).is_some()) {
        let (running, kept) = gateway(&env, protocol, true);
        let address = running.addresses()[0].1.unwrap();
        let stream = within(env.connect(protocol, address, false)).await;
        let session = stream.facts().clone();
        let client = stream.io().local_addr().unwrap();
        say(stream, &words(protocol, &[ClientMessage::Quit])).await;
        let report = kept.next().await;
        let (name, facts) = (protocol.name, &report.facts);
        assert_eq!((report.client, report.server), (client.to_string(), address.to_string()), "{name}");
        assert_eq!(facts.protocol.map(|it| it.family), Some(protocol.family), "{name}: {facts:#?}");
        assert_eq!((facts.requested, facts.tls), (Requested::Yes, TlsUse::Upgrade), "{name}: {facts:#?}");
        assert!(
            matches!(facts.answer, RequestAnswer::Accepted | RequestAnswer::Implied),
            "{name}: {facts:#?}"
        );
        assert_eq!(facts.seen, Visibility::Whole, "{name}");
        let handshake = facts.handshake.as_ref().unwrap();
        assert_eq!(handshake.version.as_deref(), Some(session.version_name()), "{name}");
        assert_eq!(handshake.suite.as_ref().map(|it| &it.name), Some(&session.cipher_suite_name()), "{name}");
        assert_eq!((handshake.established, handshake.ja4.is_some()), (Some(true), true), "{name}");
        let wrong: Vec<_> = report.findings.iter().filter(|it| it.id != "obs-names").collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_after_the_request_are_reported_without_their_content() {
    let env = Environment::new();
    let (running, kept) = gateway(&env, &SMTP, true);
    let mut client = cleartext(&SMTP, running.addresses()[0].1.unwrap()).await;
    client.write_all(b"EHLO a\r\n").await.unwrap();
    assert!(within(client.read(&mut [0; 4096])).await.unwrap() > 0);
    client.write_all(b"STARTTLS\r\nMAIL FROM:<secret@example.com>\r\n").await.unwrap();
    let _ = within(client.read_to_end(&mut Vec::new())).await;
    let report = kept.next().await;
    let facts = &report.facts;
    assert_eq!((facts.offered, facts.requested), (Offered::Yes, Requested::Yes), "{report:#?}");
    assert_ne!(facts.tls, TlsUse::Upgrade);
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("secret"), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_listeners_are_not_observed() {
    let env = Environment::new();
    let (running, kept) = gateway(&env, &SMTP, false);
    let stream = within(env.connect(&SMTP, running.addresses()[0].1.unwrap(), false)).await;
    say(stream, b"QUIT\r\n").await;
    drop(running);
    assert!(kept.0.lock().unwrap().is_empty());
}
