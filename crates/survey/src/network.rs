//! The networks that addresses belong to: an AS by a table, or a prefix without one.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use starttls_dns::{IpPrefix, PrefixMap};

use crate::error::SurveyError;

/// A network that has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum NetworkKey {
    /// An autonomous system.
    As(u32),
    /// A /16 or, with IPv6, a /32.
    Prefix(IpPrefix),
}

impl fmt::Display for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::As(number) => write!(f, "AS{number}"),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl FromStr for NetworkKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("AS").map(str::parse) {
            Some(Ok(number)) => Ok(Self::As(number)),
            Some(Err(_)) => Err(format!("\"{}\" is not the number of an AS", text.escape_debug())),
            None => {
                text.parse().map(Self::Prefix).map_err(|error: starttls_dns::InvalidPrefix| error.to_string())
            }
        }
    }
}

impl From<NetworkKey> for String {
    fn from(key: NetworkKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for NetworkKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Returns the subnet of an address, a /24 or /48, which has a budget.
pub fn subnet(address: IpAddr) -> IpPrefix {
    IpPrefix::containing(address, if address.is_ipv4() { 24 } else { 48 })
}

/// A table of prefixes and the AS that announces each.
#[derive(Clone, Debug, Default)]
pub struct AsTable(PrefixMap<u32>);

/// The longest line of a table, in octets.
const MAX_LINE: u64 = 256;

impl AsTable {
    /// Reads a table: `PREFIX,NUMBER` a line, `#` for comments.
    ///
    /// # Errors
    /// If the file cannot be read, or a line has another form.
    pub fn read(path: &Path) -> Result<Self, SurveyError> {
        let file = File::open(path).map_err(SurveyError::file(path))?;
        let (mut input, mut table, mut number) = (BufReader::new(file), PrefixMap::default(), 0_u64);
        loop {
            let mut line = String::new();
            if input.by_ref().take(MAX_LINE).read_line(&mut line).map_err(SurveyError::file(path))? == 0 {
                return Ok(Self(table));
            }
            number += 1;
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let row = text.split_once(',').and_then(|(prefix, asn)| {
                Some((
                    prefix.trim().parse::<IpPrefix>().ok()?,
                    asn.trim().trim_start_matches("AS").parse().ok()?,
                ))
            });
            let Some((prefix, asn)) = row else {
                let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
                let why = format!(
                    "line {number}: expected PREFIX,NUMBER such as 192.0.2.0/24,64500, found \"{shown}\""
                );
                return Err(SurveyError::contents(path, why));
            };
            table.insert(prefix, asn);
        }
    }

    /// Returns the network of an address. All addresses of a /24 or /48 have the same one, also if an AS announces only a part of
    /// it: a subnet has one budget, so it must be in one lane.
    pub fn network(&self, address: IpAddr) -> NetworkKey {
        let first = subnet(address).address();
        match self.0.get(first) {
            Some((_, number)) => NetworkKey::As(*number),
            None => {
                NetworkKey::Prefix(IpPrefix::containing(address, if address.is_ipv4() { 16 } else { 32 }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_decides_and_a_prefix_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, "# table\n192.0.0.0/16,64500\n192.0.2.128/25, AS64501\n2001:db8::/32,64502\n")
            .unwrap();
        let table = AsTable::read(&path).unwrap();
        for (address, network) in [
            ("192.0.9.1", "AS64500"),
            ("192.0.2.200", "AS64500"),
            ("2001:db8:1::1", "AS64502"),
            ("198.51.100.7", "198.51.0.0/16"),
            ("2001:db9:1::1", "2001:db9::/32"),
        ] {
            let key = table.network(address.parse().unwrap());
            assert_eq!(key.to_string(), network, "{address}");
            assert_eq!(network.parse(), Ok(key));
        }
        std::fs::write(&path, "192.0.2.0/24;64500\n").unwrap();
        let error = AsTable::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 1: expected PREFIX,NUMBER"), "{error}");
    }
}
