//! The lab's props as a stage, for tests here and elsewhere.

use std::path::Path;
use std::sync::Arc;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
use starttls_attack::{Backing, Stage, Upstream};
use starttls_lab::Props;

pub(crate) struct Lab {
    pub(crate) props: Props,
    connector: Connector,
}

impl Lab {
    pub(crate) fn new() -> Arc<Self> {
        let props = Props::new().unwrap();
        let connector = Connector::builder().no_system_roots().roots_pem(props.root_pem()).build().unwrap();
        Arc::new(Self { props, connector })
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

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.props.certificate(name).unwrap()
    }

    fn ca_file(&self) -> &Path {
        self.props.ca_file()
    }
}
