//! The client's side of the protocols of proxies, without I/O.

mod http_connect;
mod socks5;

use std::fmt;
use std::net::IpAddr;

use starttls_proto::Escaped;

pub use http_connect::HttpConnect;
pub use socks5::Socks5;

use crate::proxy_error::ProxyFault;
use crate::{AddressFamily, Endpoint, Error, Step};

/// The conversation with a proxy, up to the connection to the server.
///
/// The driver reads exactly as many octets as the machine asks for. What follows the proxy's last answer was sent by the server
/// and belongs to the connection.
pub(crate) trait ProxyHandshake: Send {
    /// Takes the octets that the last call asked for, appends what is to be sent, and returns how many octets are needed next;
    /// `None` when the connection to the server is open. The first call takes no octets.
    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, ProxyFault>;

    /// Returns what the proxy is expected to do next.
    fn step(&self) -> Step;
}

/// The server that a proxy shall connect to.
#[derive(Clone, Debug)]
struct Destination {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug)]
enum Host {
    Address(IpAddr),
    /// Printable ASCII without spaces, at most 253 octets.
    Name(String),
}

impl Destination {
    /// Parses the server of an endpoint.
    fn of(to: &Endpoint) -> Result<Self, Error> {
        let (host, port) = to.dialled();
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            // The name is part of a request, so it must not contain anything that ends one.
            Err(_) if is_name(host) => Host::Name(host.to_owned()),
            Err(_) => {
                let shown = Escaped(host.as_bytes()).to_string();
                return Err(Error::config(format!(
                    "invalid host \"{shown}\" for a proxy: expected an address or a name in ASCII, of at most 253 octets"
                )));
            }
        };
        let admits = match (&host, to.address_family()) {
            (_, AddressFamily::Any) => true,
            (Host::Address(address), family) => address.is_ipv4() == (family == AddressFamily::V4),
            (Host::Name(_), _) => {
                return Err(Error::config(
                    "the proxy looks up the name: its address family cannot be chosen here",
                ));
            }
        };
        if !admits {
            return Err(Error::config("the address is not of the family to connect to"));
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => f.write_str(&joined(&address.to_string(), self.port)),
            Host::Name(name) => f.write_str(&joined(name, self.port)),
        }
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn is_name(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain)
}
