//! Lists of networks.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::setup_error::{SetupError, shown};

/// A list of address ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Returns whether an address is in one of the networks. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns a network that is too large for its hosts to be known: larger than 10.0.0.0/8 or fc00::/7.
    pub(crate) fn too_wide(&self) -> Option<&IpNet> {
        self.0.iter().find(|network| match network {
            IpNet::V4(network) => network.prefix_len() < 8,
            IpNet::V6(network) => network.prefix_len() < 7,
        })
    }

    pub(crate) fn add(&mut self, text: &str) -> Result<(), SetupError> {
        let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
        let network = network.map_err(|_| {
            SetupError::new(format!("invalid network {}", shown(text)))
                .with_hint("write an address or a range, such as \"192.0.2.0/24\" or \"2001:db8::/32\"")
        })?;
        if network.addr() != network.network() {
            let right = network.trunc();
            return Err(SetupError::new(format!("invalid network {}: host bits are set", shown(text)))
                .with_hint(format!("write \"{right}\"")));
        }
        self.0.push(network);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_its_network_whatever_the_socket() {
        let mut networks = Networks::default();
        networks.add("192.0.2.0/24").unwrap();
        networks.add("2001:db8::1").unwrap();
        for (address, inside) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }
}
