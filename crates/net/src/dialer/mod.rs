//! How a connection to a server is opened: directly, or through a proxy.
//!
//! A [`Connector`](crate::Connector) opens its connections with a dialer. The default is [`Tcp`];
//! [`Connector::with_dialer`](crate::Connector::with_dialer) sets another one:
//!
//! | dialer | connects |
//! |---|---|
//! | [`Tcp`] | to all addresses of the host, which race each other (RFC 8305) |
//! | [`Fixed`] | to addresses that the program has looked up itself |
//! | [`Unix`] | to a socket in the file system |
//! | [`Socks5`], [`HttpConnect`] | through a proxy, which looks up the host |
//! | [`TcpRoute`] | directly or through a proxy, as a user chose at run time |
//!
//! A program that has another way, such as an SSH channel, implements the trait `Dialer` for it. Each driver has a trait of
//! its own, with the same dialers: `starttls::Dialer` for tokio, and [`blocking::Dialer`](crate::blocking::Dialer).
//!
//! The upgrade, its deadline and the verified name do not depend on the dialer: a proxy sees and can change the cleartext, as
//! every attacker in the network path can.

mod eyeballs;
mod proxy;
mod route;

use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

pub use crate::proxy_error::{ProxyError, ProxyFault};
use crate::{Endpoint, Error, Step};
pub(crate) use eyeballs::{ATTEMPT_DELAY, interleaved};
pub(crate) use proxy::ProxyHandshake;
pub use proxy::{HttpConnect, Socks5};
pub use route::{InvalidProxy, Proxy, TcpRoute};

/// Returns the error for a proxy that cannot be reached.
pub(crate) fn unreachable(proxy: &Endpoint, error: Error) -> Error {
    match error {
        Error::Config { .. } => error,
        error => {
            let fault = ProxyFault::Unreachable(Box::new(error));
            ProxyError::new(proxy.dialed_address(), Step::Connect, fault).into()
        }
    }
}

/// A connection that a dialer opened, on which nothing was sent or received for the protocol.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dialed<S> {
    /// The connection.
    pub stream: S,
    /// The server's address; `None` if the dialer does not know it, for example because a proxy looks up the name.
    pub address: Option<SocketAddr>,
    /// The duration of the lookup, if there was one.
    pub resolve: Option<Duration>,
}

impl<S> Dialed<S> {
    /// Returns a connection to an unknown address.
    pub fn new(stream: S) -> Self {
        Self { stream, address: None, resolve: None }
    }

    /// Returns the same connection with the server's address.
    #[must_use]
    pub fn to(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }
}

/// Connects to the addresses of a host by TCP.
///
/// If a host has several addresses, the first attempts alternate between IPv6 and IPv4. Each next attempt begins 250 ms after
/// the one before, or as soon as that one fails, and the first connection wins (RFC 8305 section 5). The lookup itself is
/// one call of the system's resolver, which asks for both families together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    pub(crate) source: Option<IpAddr>,
}

impl Tcp {
    /// Returns the dialer with its defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects from this local address. Addresses of the other family are left out.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Self {
        Self { source: Some(address) }
    }

    /// Returns the addresses that can be reached from the source address.
    pub(crate) fn reachable(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let fits = |address: &&SocketAddr| self.source.is_none_or(|it| it.is_ipv4() == address.is_ipv4());
        interleaved(addresses.iter().filter(fits).copied())
    }
}

/// Connects to these addresses, whatever the host is, in the way of [`Tcp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) tcp: Tcp,
}

impl Fixed {
    /// Returns a dialer for these addresses, in the order of preference.
    pub fn new(addresses: impl Into<Vec<SocketAddr>>) -> Self {
        Self { addresses: addresses.into(), tcp: Tcp::new() }
    }

    /// Connects in the way of this dialer.
    #[must_use]
    pub fn by(self, tcp: Tcp) -> Self {
        Self { tcp, ..self }
    }
}

/// Connects to a socket in the file system, whatever the host is. The host is still the verified name.
#[cfg(unix)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unix {
    pub(crate) path: PathBuf,
}

#[cfg(unix)]
impl Unix {
    /// Returns a dialer for the socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}
