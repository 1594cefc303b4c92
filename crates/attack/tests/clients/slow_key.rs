//! A certificate key that takes long to create delays only the run that needs it.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::TlsVersion;
use starttls::proto::{Protocol, imap};
use starttls::rustls::sign::CertifiedKey;
use starttls_attack::report::ScenarioOutcome;
use starttls_attack::{Campaign, ClientFuture, Environment, Scenario, Subject, Target, UpstreamLease};
use starttls_testkit::vulnerable_clients::VulnerableClient;

use crate::environment::Lab;
use crate::support::{Local, PATIENT};

/// An environment that returns the key for `cli-hs-old` only after another client has ended.
struct Slow {
    lab: Arc<Lab>,
    ended: Mutex<Receiver<()>>,
}

impl Environment for Slow {
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, Box<dyn Error + Send + Sync>> {
        self.lab.upstream(protocol)
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        if name == "rsa" {
            self.ended.lock().unwrap().recv_timeout(Duration::from_secs(20)).ok()?;
        }
        self.lab.certificate(name)
    }

    fn ca_file(&self) -> &Path {
        self.lab.ca_file()
    }
}

/// A client that notifies the environment when it has ended under an attack.
struct Telling {
    client: Local,
    runs: Mutex<u32>,
    ended: Sender<()>,
}

impl Subject for Telling {
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a> {
        Box::pin(async move {
            let ran = self.client.run(target).await;
            let mut runs = self.runs.lock().unwrap();
            *runs += 1;
            // The first run is the control run without an attack.
            if *runs == 2 {
                self.ended.send(()).unwrap();
            }
            ran
        })
    }

    fn name(&self) -> String {
        self.client.name()
    }
}

/// The test uses one thread, so that a call that blocks would block all runs.
#[tokio::test]
async fn other_runs_go_on_while_a_key_is_made() {
    let (lab, (ended, heard)) = (Lab::new(), channel());
    let client = VulnerableClient::new(&imap::IMAP, None, &lab.fixtures.root_pem()).tls(TlsVersion::Tls13);
    let chosen = |it: &Scenario| ["cli-refuse-perm", "cli-hs-old"].contains(&it.id.as_str());
    let campaign = Campaign {
        protocol: &imap::IMAP,
        scenarios: Scenario::all().unwrap().into_iter().filter(chosen).collect(),
        environment: Arc::new(Slow { lab, ended: Mutex::new(heard) }),
        subject: Arc::new(Telling { client: Local { client }, runs: Mutex::new(0), ended }),
        timeout: PATIENT,
        jobs: 2,
        repeat: 1,
        domain: None,
    };
    let report = tokio::time::timeout(Duration::from_secs(60), campaign.run()).await.unwrap().unwrap();
    assert_eq!(report.scenarios.len(), 2);
    assert_eq!(report.outcome, ScenarioOutcome::Sound, "{report:?}");
}
