//! The targets of a survey.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::budget::{BudgetKey, BudgetKeys};
use crate::network::{NetworkKey, subnet};
use crate::row::Attempt;

/// A name whose records are looked up: a domain or a mail exchanger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTarget {
    /// The name.
    pub name: String,
}

/// An endpoint that is probed: a protocol, an address and a port, with the name that the certificate is verified for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointTarget {
    /// The scheme of the protocol.
    pub protocol: String,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The name in SNI.
    pub server_name: String,
    /// The registrable suffix of the name.
    pub suffix: String,
    /// The network of the address.
    pub network: NetworkKey,
    /// What earlier passes found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

impl EndpointTarget {
    /// Returns the key of the rows about this target.
    pub fn key(&self) -> String {
        format!("{}://{}/{}", self.protocol, self.socket(), self.server_name)
    }

    /// Returns the address and port.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Returns the budgets that a connection uses.
    pub fn budget_keys(&self) -> BudgetKeys {
        vec![
            BudgetKey::Address(self.address),
            BudgetKey::Subnet(subnet(self.address)),
            BudgetKey::Network(self.network),
            BudgetKey::Suffix(self.suffix.as_str().into()),
        ]
    }
}
