//! Data connections (FTP), as a firewall or a translation of addresses in front of the gateway wants them.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::reader::Table;
use super::values::choice;
use crate::setup_error::{SetupError, shown};
use starttls::proto::Protocol;

/// How clients reach the data connections of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataConnections {
    /// Whether they have to resume the TLS session of their control connection. If not, the client's address decides
    /// alone.
    pub resumed_only: bool,
    /// The ports that they go to; any that the system gives, if nothing is said.
    pub ports: Option<RangeInclusive<u16>>,
    /// The address that clients are told, where they do not see the listener's own.
    pub address: Option<Ipv4Addr>,
}

/// What was said of them: the keys that are there, and what they come to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    resumption: Option<bool>,
    ports: Option<RangeInclusive<u16>>,
    address: Option<Ipv4Addr>,
}

impl Draft {
    pub(super) fn parse(table: &mut Table<'_>) -> Result<Self, SetupError> {
        let resumption = &[("optional", false), ("required", true)];
        Ok(Self {
            resumption: table.read("data-resumption", |text| choice(text, resumption))?,
            ports: table.read("data-ports", ports)?,
            address: table.read("data-address", address)?,
        })
    }

    pub(super) fn build(self, protocol: &Protocol, inside_tls: bool) -> Result<DataConnections, SetupError> {
        let Self { resumption, ports, address } = self;
        let has_them = protocol.flow.data_connections;
        if resumption.is_some() && !(has_them && inside_tls) {
            return Err(SetupError::new("\"data-resumption\" is for data connections inside TLS")
                .with_hint("it goes with ftp+starttls:// and ftps://"));
        }
        for (key, given) in [("data-ports", ports.is_some()), ("data-address", address.is_some())] {
            if given && !has_them {
                return Err(SetupError::new(format!(
                    "\"{key}\" is for data connections, and {} has none",
                    protocol.title
                ))
                .with_hint("it goes with FTP"));
            }
        }
        Ok(DataConnections { resumed_only: resumption.unwrap_or_default(), ports, address })
    }
}

/// `50000-50100`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, SetupError> {
    let port = |text: &str| text.trim().parse().ok().filter(|port| *port >= 1024);
    let range = text.split_once('-').and_then(|(first, last)| Some(port(first)?..=port(last)?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| {
        SetupError::new(format!("{} is no range of ports from 1024 on", shown(text)))
            .with_hint("write the first and the last: \"50000-50100\"")
    })
}

/// Of IPv4: the answer to EPSV, which is all that there is for IPv6, names no address (RFC 2428 section 3).
fn address(text: &str) -> Result<Ipv4Addr, SetupError> {
    let address = text.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified());
    address.ok_or_else(|| {
        SetupError::new(format!("{} is no address of IPv4 that clients can connect to", shown(text)))
            .with_hint("write what clients see: \"203.0.113.5\"; for IPv6 no address is told")
    })
}
