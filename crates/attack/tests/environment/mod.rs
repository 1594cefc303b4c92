//! An environment of the lab's fixtures, which several test crates share.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
use starttls_attack::{Environment, Upstream, UpstreamLease};
use starttls_lab::Fixtures;

pub(crate) struct Lab {
    pub(crate) fixtures: Fixtures,
    connector: Connector,
}

impl Lab {
    pub(crate) fn new() -> Arc<Self> {
        let fixtures = Fixtures::new().unwrap();
        let connector =
            Connector::builder().no_system_roots().roots_pem(fixtures.root_pem()).build().unwrap();
        Arc::new(Self { fixtures, connector })
    }
}

impl Environment for Lab {
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, Box<dyn Error + Send + Sync>> {
        let server = self.fixtures.server(protocol)?;
        let (address, server_name) = (server.address(), server.server_name().to_owned());
        let upstream = Upstream { address, server_name, connector: self.connector.clone() };
        let (user, password) = (server.user().to_owned(), server.password().to_owned());
        Ok(UpstreamLease { upstream, user, password, keep: Box::new(server) })
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.fixtures.certificate(name).unwrap()
    }

    fn ca_file(&self) -> &Path {
        self.fixtures.ca_file()
    }
}
