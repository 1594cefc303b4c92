//! An environment of the lab's fixtures, which several test crates share.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use starttls::dialer::TcpRoute;
use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
use starttls::{Connector, Endpoint};
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
        let (ip, port) = (server.address().ip().to_string(), server.address().port());
        let endpoint = Endpoint::new(server.server_name(), port).at(ip, port);
        let upstream = Upstream { endpoint, connector: self.connector.with_dialer(TcpRoute::direct()) };
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
