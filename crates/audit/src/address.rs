//! The address of an audited endpoint.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use starttls::Endpoint;

/// Where the connections of an audit go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// An address.
    Known(SocketAddr),
    /// A host name and a port, which a proxy looks up.
    Named(String, u16),
}

impl EndpointAddress {
    /// Returns the port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Known(address) => address.port(),
            Self::Named(_, port) => *port,
        }
    }

    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address.ip()),
            Self::Named(..) => None,
        }
    }

    /// Returns this port of the same host.
    pub(crate) fn endpoint(&self, port: u16) -> Endpoint {
        match self {
            Self::Known(address) => Endpoint::new(address.ip().to_string(), port),
            Self::Named(host, _) => Endpoint::new(host.as_str(), port),
        }
    }
}

impl From<SocketAddr> for EndpointAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Known(address)
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => address.fmt(f),
            Self::Named(host, port) => write!(f, "{host}:{port}"),
        }
    }
}
