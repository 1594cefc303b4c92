//! Lists of networks.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::setup_error::{SetupError, shown};

/// Networks, as a list of address ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them. An IPv4 address that came in through an IPv6 socket is itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// A network that is too wide for anybody to know who is in it: wider than 10.0.0.0/8 and fc00::/7.
    pub(crate) fn strangers(&self) -> Option<&IpNet> {
        self.0.iter().find(|network| match network {
            IpNet::V4(network) => network.prefix_len() < 8,
            IpNet::V6(network) => network.prefix_len() < 7,
        })
    }

    pub(crate) fn add(&mut self, text: &str) -> Result<(), SetupError> {
        let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
        let network = network.map_err(|_| {
            SetupError::new(format!("{} is no network", shown(text)))
                .with_hint("write an address, or a range as in \"192.0.2.0/24\" or \"2001:db8::/32\"")
        })?;
        if network.addr() != network.network() {
            let right = network.trunc();
            return Err(SetupError::new(format!("{} is an address in a network", shown(text)))
                .with_hint(format!("the network is \"{right}\"")));
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
