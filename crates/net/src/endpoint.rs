//! The address of a server, and its name.

use std::io;
use std::net::SocketAddr;

use starttls_proto::{Protocol, UrlAuthority};

use crate::Error;

/// A server: the host and port of its URL, the name that its certificate must contain, and the address to connect to.
///
/// ```
/// # use starttls::Endpoint;
/// let plain: Endpoint = ("mail.example.com", 587).into();
/// let elsewhere = Endpoint::new("mail.example.com", 587).at("127.0.0.1", 2525);
/// assert_eq!(plain.server_name(), elsewhere.server_name());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host and the port of the URL.
    url: (String, u16),
    name: String,
    host: String,
    port: u16,
    family: AddressFamily,
}

/// The address family to connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4 and IPv6, in the order of the resolver.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Endpoint {
    /// Returns the server `host`, at the addresses of that name.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { url: (host.clone(), port), name: host.clone(), host, port, family: AddressFamily::Any }
    }

    /// Sends this name in SNI and verifies it. The authority of the URL does not change.
    #[must_use]
    pub fn with_server_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Connects to this host instead. The server name in SNI, the verified name and the authority of the URL do not change.
    #[must_use]
    pub fn at(self, host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, ..self }
    }

    /// Connects only to addresses of this family.
    #[must_use]
    pub fn family(self, family: AddressFamily) -> Self {
        Self { family, ..self }
    }

    /// Returns the name that is sent in SNI and verified.
    pub fn server_name(&self) -> &str {
        &self.name
    }

    /// Returns the authority of the URL whose scheme is this protocol's upgrade: `Host` in HTTP. It is `None` for a host
    /// that no URL can contain.
    pub fn authority(&self, protocol: &Protocol) -> Option<UrlAuthority> {
        let (host, port) = &self.url;
        UrlAuthority::new(host, *port, protocol.port).ok()
    }

    /// Returns the host and the port to connect to, as `host:port`.
    pub fn dialed_address(&self) -> String {
        let (host, port) = self.dialled();
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Returns the host to resolve, without the brackets of an IPv6 address, and the port.
    pub(crate) fn dialled(&self) -> (&str, u16) {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (host.unwrap_or(&self.host), self.port)
    }

    /// Returns the addresses of the right family, at least one.
    pub(crate) fn admitted(&self, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
        let admitted: Vec<_> = found
            .filter(|address| match self.family {
                AddressFamily::Any => true,
                AddressFamily::V4 => address.is_ipv4(),
                AddressFamily::V6 => address.is_ipv6(),
            })
            .collect();
        if admitted.is_empty() {
            return Err(self.unresolved(io::Error::new(io::ErrorKind::NotFound, "no address of this family")));
        }
        Ok(admitted)
    }

    pub(crate) fn address_family(&self) -> AddressFamily {
        self.family
    }

    /// Returns the error for a source address of a family that the host does not have.
    pub(crate) fn of_other_family(&self) -> Error {
        let what = "no address of the source address's family";
        self.unresolved(io::Error::new(io::ErrorKind::AddrNotAvailable, what))
    }

    pub(crate) fn unresolved(&self, source: io::Error) -> Error {
        Error::Resolve { host: self.host.clone(), source }
    }
}

impl From<(&str, u16)> for Endpoint {
    fn from((host, port): (&str, u16)) -> Self {
        Self::new(host, port)
    }
}

impl From<(String, u16)> for Endpoint {
    fn from((host, port): (String, u16)) -> Self {
        Self::new(host, port)
    }
}
