//! The environment of the attacks: the lab's servers and certificates.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use starttls::dialer::TcpRoute;
use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
use starttls::{Connector, Endpoint};
use starttls_attack::{Environment, Upstream, UpstreamLease};
use starttls_lab::Fixtures;

use crate::error::Failed;
use crate::exit;

/// Provides a server of the lab for each run, and certificates.
pub(super) struct LabStage {
    fixtures: Fixtures,
    connector: Connector,
}

impl LabStage {
    pub(super) fn new() -> Result<Self, Failed> {
        let fixtures = Fixtures::new().map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
        let connector = Connector::builder().no_system_roots().roots_pem(fixtures.root_pem()).build()?;
        Ok(Self { fixtures, connector })
    }
}

impl Environment for LabStage {
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, Box<dyn Error + Send + Sync>> {
        let server = self.fixtures.server(protocol)?;
        let (ip, port) = (server.address().ip().to_string(), server.address().port());
        Ok(UpstreamLease {
            upstream: Upstream {
                endpoint: Endpoint::new(server.server_name(), port).at(ip, port),
                connector: self.connector.with_dialer(TcpRoute::direct()),
            },
            user: server.user().to_owned(),
            password: server.password().to_owned(),
            keep: Box::new(server),
        })
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.fixtures.certificate(name).ok()?
    }

    fn ca_file(&self) -> &Path {
        self.fixtures.ca_file()
    }
}
