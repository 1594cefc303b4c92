//! The lab's clients as subjects of an attack.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use starttls::TlsVersion;
use starttls::proto::Protocol;
use starttls_attack::report::AttackReport;
use starttls_attack::{
    Campaign, ClientExit, ClientFuture, ClientOutput, ClientRun, Scenario, Subject, Target,
};
use starttls_testkit::vulnerable_clients::{Flaw, VulnerableClient};

use crate::environment::Lab;

/// The limit of a client for an answer that arrives, on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);
/// The limit of a client for an answer that does not arrive.
pub(crate) const IMPATIENT: Duration = Duration::from_secs(8);

/// A client of the lab.
pub(crate) struct Local {
    pub(crate) client: VulnerableClient,
}

impl Subject for Local {
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a> {
        Box::pin(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
            let run = self.client.run(&target.host, address);
            let ended = tokio::time::timeout(target.timeout, run).await.ok();
            Ok(match ended {
                Some(ended) => ClientRun {
                    exit: if ended.well { ClientExit::Success } else { ClientExit::Failure(1) },
                    output: ClientOutput::from(ended.printed),
                },
                None => ClientRun { exit: ClientExit::TimedOut, output: ClientOutput::default() },
            })
        })
    }

    fn name(&self) -> String {
        format!("{:?}", self.client.flaw())
    }
}

/// Runs all or some scenarios against a client of the lab.
pub(crate) async fn attack(
    lab: &Arc<Lab>,
    protocol: &'static Protocol,
    flaw: Option<Flaw>,
    tls: TlsVersion,
    patience: Duration,
    only: &(dyn Fn(&Scenario) -> bool + Sync),
) -> AttackReport {
    let client = VulnerableClient::new(protocol, flaw, &lab.fixtures.root_pem()).tls(tls).patience(patience);
    let campaign = Campaign {
        protocol,
        scenarios: Scenario::all().unwrap().into_iter().filter(|it| only(it)).collect(),
        environment: lab.clone(),
        subject: Arc::new(Local { client }),
        timeout: patience * 2,
        jobs: 16,
        repeat: 1,
        domain: None,
    };
    tokio::time::timeout(Duration::from_secs(180), campaign.run()).await.unwrap().unwrap()
}
