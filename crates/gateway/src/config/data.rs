//! Data connections (FTP): settings for a firewall or NAT in front of the gateway.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::reader::{Table, choice};
use crate::setup_error::{SetupError, shown};
use starttls::proto::Protocol;

/// How clients reach the data connections of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataConnections {
    /// Whether they have to resume the TLS session of their control connection. If not, only the client's address is
    /// checked.
    pub resumed_only: bool,
    /// The ports that the gateway listens on for them; `None` lets the system choose.
    pub ports: Option<RangeInclusive<u16>>,
    /// The address that the gateway sends to clients that cannot use the listener's own.
    pub address: Option<Ipv4Addr>,
}

/// The settings of data connections, before they are checked together.
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
            return Err(SetupError::new("\"data-resumption\" requires data connections inside TLS")
                .with_hint("use it with ftp+starttls:// or ftps://"));
        }
        for (key, given) in [("data-ports", ports.is_some()), ("data-address", address.is_some())] {
            if given && !has_them {
                return Err(SetupError::new(format!(
                    "\"{key}\" is for data connections, which {} does not have",
                    protocol.title
                ))
                .with_hint("use it with FTP"));
            }
        }
        Ok(DataConnections { resumed_only: resumption.unwrap_or_default(), ports, address })
    }
}

/// Parses a range such as `50000-50100`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, SetupError> {
    let port = |text: &str| text.trim().parse().ok().filter(|port| *port >= 1024);
    let range = text.split_once('-').and_then(|(first, last)| Some(port(first)?..=port(last)?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| {
        SetupError::new(format!("invalid port range {}", shown(text)))
            .with_hint("write the first and the last port, 1024 or higher: \"50000-50100\"")
    })
}

/// Parses an IPv4 address. IPv6 clients use EPSV, whose reply contains no address (RFC 2428 section 3).
fn address(text: &str) -> Result<Ipv4Addr, SetupError> {
    let address = text.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified());
    address.ok_or_else(|| {
        SetupError::new(format!("invalid IPv4 address {}", shown(text)))
            .with_hint("write the address that clients connect to: \"203.0.113.5\"; IPv6 needs none")
    })
}
