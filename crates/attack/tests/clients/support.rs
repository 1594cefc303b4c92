//! The lab's props as a stage, and its clients as subjects.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::Protocol;
use starttls::{Connector, TlsVersion};
use starttls_attack::report::Report;
use starttls_attack::{Backing, Campaign, Ran, Running, Scenario, Stage, Subject, Target, Upstream};
use starttls_lab::Props;
use starttls_lab::weak::{Client, Flaw};

/// How long a client waits for an answer; how long it may take in all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(12);

pub(crate) struct Lab {
    props: Props,
    connector: Connector,
    certificates: Mutex<HashMap<String, (String, String)>>,
}

impl Lab {
    pub(crate) fn new() -> Arc<Self> {
        let props = Props::new().unwrap();
        let connector = Connector::builder().no_system_roots().roots_pem(props.root_pem()).build().unwrap();
        Arc::new(Self { props, connector, certificates: Mutex::default() })
    }
}

impl Stage for Lab {
    fn upstream(&self, protocol: &'static Protocol) -> Result<Backing, String> {
        let server = self.props.server(protocol).map_err(|error| error.to_string())?;
        let (address, server_name) = (server.address(), server.server_name().to_owned());
        let upstream = Upstream { address, server_name, connector: self.connector.clone() };
        let (user, password) = (server.user().to_owned(), server.password().to_owned());
        Ok(Backing { upstream, user, password, keep: Box::new(server) })
    }

    fn certificate(&self, name: &str) -> Option<(String, String)> {
        let mut made = self.certificates.lock().unwrap();
        let make = || self.props.certificate(name).unwrap().map(|it| (it.chain_pem, it.key_pem));
        if !made.contains_key(name) {
            made.insert(name.to_owned(), make()?);
        }
        made.get(name).cloned()
    }

    fn ca_file(&self) -> &Path {
        self.props.ca_file()
    }
}

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
                Some(ended) => Ran { ended: Some(ended.well), output: ended.printed },
                None => Ran { ended: None, output: Vec::new() },
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
    only: &(dyn Fn(&Scenario) -> bool + Sync),
) -> Report {
    let client = Client::new(protocol, flaw, &lab.props.root_pem()).tls(tls).patience(PATIENCE);
    let campaign = Campaign {
        protocol,
        scenarios: Scenario::all().unwrap().into_iter().filter(|it| only(it)).collect(),
        stage: lab.clone(),
        subject: Arc::new(Local { client }),
        timeout: TIMEOUT,
        jobs: 16,
    };
    tokio::time::timeout(Duration::from_secs(180), campaign.run()).await.unwrap().unwrap()
}
