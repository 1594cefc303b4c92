//! Prefixes of IP addresses, and a map with the longest match.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A prefix of IP addresses: `192.0.2.0/24` or `2001:db8::/32`. The bits after the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    address: IpAddr,
    length: u8,
}

impl IpPrefix {
    /// Returns the prefix of this length that contains the address. A longer length than the address has is that of the
    /// address.
    pub fn containing(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from(u32::from(v4) & mask).into(), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from(u128::from(v6) & mask).into(), length }
            }
        }
    }

    /// Returns the first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of bits.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Returns whether the address begins with this prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Self::containing(address, self.length) == *self
    }
}

impl FromStr for IpPrefix {
    type Err = InvalidPrefix;

    /// Parses an address, or a prefix whose other bits are zero.
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = |reason| InvalidPrefix {
            text: text.chars().take(60).flat_map(char::escape_debug).collect(),
            reason,
        };
        let (address, length) = text.split_once('/').map_or((text, None), |(it, length)| (it, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| invalid("expected an IP address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => {
                length.parse().map_err(|_| invalid("expected a number of bits after the slash"))?
            }
        };
        if length > longest {
            return Err(invalid("the prefix is longer than the address"));
        }
        let prefix = Self::containing(address, length);
        if prefix.address != address {
            return Err(invalid("bits after the prefix are set"));
        }
        Ok(prefix)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A text that is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPrefix {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid prefix \"{}\": {}, such as 192.0.2.0/24 or 2001:db8::/32", self.text, self.reason)
    }
}

impl std::error::Error for InvalidPrefix {}

/// A map from prefixes to values. The longest prefix of an address decides.
#[derive(Clone, Debug)]
pub struct PrefixMap<T> {
    values: HashMap<IpPrefix, T>,
    /// The lengths that occur, longest first, for IPv4 and IPv6.
    lengths: [Vec<u8>; 2],
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), lengths: [Vec::new(), Vec::new()] }
    }
}

impl<T> PrefixMap<T> {
    /// Adds a prefix. A value that it had is replaced.
    pub fn insert(&mut self, prefix: IpPrefix, value: T) {
        let [v4, v6] = &mut self.lengths;
        let lengths = if prefix.address.is_ipv4() { v4 } else { v6 };
        if let Err(at) = lengths.binary_search_by(|it| prefix.length.cmp(it)) {
            lengths.insert(at, prefix.length);
        }
        self.values.insert(prefix, value);
    }

    /// Returns the longest prefix of the address, and its value.
    pub fn get(&self, address: IpAddr) -> Option<(IpPrefix, &T)> {
        let [v4, v6] = &self.lengths;
        let lengths = if address.is_ipv4() { v4 } else { v6 };
        lengths.iter().find_map(|length| {
            let prefix = IpPrefix::containing(address, *length);
            self.values.get(&prefix).map(|value| (prefix, value))
        })
    }

    /// Returns the number of prefixes.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether the map has no prefix.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let mut map = PrefixMap::default();
        for (prefix, value) in [("0.0.0.0/0", 0), ("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("10.1.2.3", 32)] {
            map.insert(prefix.parse().unwrap(), value);
        }
        for (address, expected) in [
            ("192.0.2.1", Some(0)),
            ("10.2.0.1", Some(8)),
            ("10.1.2.4", Some(16)),
            ("10.1.2.3", Some(32)),
            ("::1", None),
        ] {
            assert_eq!(map.get(address.parse().unwrap()).map(|it| *it.1), expected, "{address}");
        }
    }

    #[test]
    fn a_prefix_has_one_form() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "x", "10.0.0.0/", "::1/0", "2001:db8::/129"] {
            assert!(text.parse::<IpPrefix>().is_err(), "{text}");
        }
        let prefix: IpPrefix = "2001:db8::/32".parse().unwrap();
        assert_eq!(prefix.to_string(), "2001:db8::/32");
        assert!(
            prefix.contains("2001:db8:ffff::1".parse().unwrap())
                && !prefix.contains("10.0.0.1".parse().unwrap())
        );
    }
}
