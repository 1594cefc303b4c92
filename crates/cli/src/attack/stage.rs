//! The environment of the attacks: the lab's servers and certificates.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
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
        Ok(UpstreamLease {
            upstream: Upstream {
                address: server.address(),
                server_name: server.server_name().to_owned(),
                connector: self.connector.clone(),
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
