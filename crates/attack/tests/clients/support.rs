//! The lab's clients as subjects.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use starttls::TlsVersion;
use starttls::proto::Protocol;
use starttls_attack::report::Report;
use starttls_attack::{Campaign, Ended, Output, Ran, Running, Scenario, Subject, Target};
use starttls_lab::weak::{Client, Flaw};

use crate::stage::Lab;

/// How long clients wait for an answer that comes, on a machine that has other things to do.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);
/// The same for one that does not come.
pub(crate) const IMPATIENT: Duration = Duration::from_secs(8);

/// A client of the lab's.
pub(crate) struct Local {
    pub(crate) client: Client,
}

impl Subject for Local {
    fn run<'a>(&'a self, target: &'a Target) -> Running<'a> {
        Box::pin(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
            let run = self.client.run(&target.host, address);
            let ended = tokio::time::timeout(target.timeout, run).await.ok();
            Ok(match ended {
                Some(ended) => Ran {
                    ended: if ended.well { Ended::Success } else { Ended::Failure(1) },
                    output: Output::from(ended.printed),
                },
                None => Ran { ended: Ended::TimedOut, output: Output::default() },
            })
        })
    }

    fn name(&self) -> String {
        format!("{:?}", self.client.flaw())
    }
}

/// All scenarios, or some, against a client of the lab's.
pub(crate) async fn attack(
    lab: &Arc<Lab>,
    protocol: &'static Protocol,
    flaw: Option<Flaw>,
    tls: TlsVersion,
    patience: Duration,
    only: &(dyn Fn(&Scenario) -> bool + Sync),
) -> Report {
    let client = Client::new(protocol, flaw, &lab.props.root_pem()).tls(tls).patience(patience);
    let campaign = Campaign {
        protocol,
        scenarios: Scenario::all().unwrap().into_iter().filter(|it| only(it)).collect(),
        stage: lab.clone(),
        subject: Arc::new(Local { client }),
        timeout: patience * 2,
        jobs: 16,
        repeat: 1,
    };
    tokio::time::timeout(Duration::from_secs(180), campaign.run()).await.unwrap().unwrap()
}
