//! An observer sees an audit while it runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::Connector;
use starttls::proto::smtp::SMTP;
use starttls_audit::report::Entry;
use starttls_audit::{Audit, AuditEvent, AuditObserver, Limits};
use starttls_lab::{Lab, Options};

#[derive(Debug, Default)]
struct Seen {
    /// The number of connections.
    connections: Mutex<u32>,
    /// The entries, with the numbers of their connections.
    entries: Mutex<Vec<(u32, Entry)>>,
}

impl AuditObserver for Seen {
    fn observe(&self, event: &AuditEvent<'_>) {
        match event {
            AuditEvent::Connection { number, purpose } => {
                let mut connections = self.connections.lock().unwrap();
                *connections += 1;
                assert_eq!((*connections, purpose.is_empty()), (*number, false));
            }
            AuditEvent::Entry { number, entry } => {
                self.entries.lock().unwrap().push((*number, (*entry).clone()));
            }
            _ => {}
        }
    }
}

#[test]
fn an_observer_sees_every_connection_and_every_entry() {
    let lab = Lab::start(Options::default()).unwrap();
    let address = lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap().address;
    // One connection at a time, so that their numbers are in order.
    let limits = Limits { reply_timeout: Duration::from_secs(60), concurrency: 1, ..Limits::default() };
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(lab.ca_pem()), limits).unwrap();
    let seen = Arc::new(Seen::default());
    let audit = audit.observed_by(seen.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let audited = audit.endpoint(&SMTP, "smtp://localhost", "localhost", address);
        tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
    });
    assert_eq!(*seen.connections.lock().unwrap(), report.connections);
    let seen = seen.entries.lock().unwrap();
    let entries = report.transcripts.iter().flat_map(|transcript| &transcript.entries);
    for entry in entries.clone() {
        assert!(seen.iter().any(|(_, it)| it == entry), "{entry:?}");
    }
    assert!(seen.len() >= entries.count());
    assert!(seen.iter().all(|(number, _)| (1..=report.connections).contains(number)));
}
