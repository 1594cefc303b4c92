//! The client's side of the protocols of proxies, without I/O.

mod http_connect;
mod socks5;

use std::net::IpAddr;
use std::{fmt, io};

use starttls_proto::Escaped;

pub use http_connect::HttpConnect;
pub use socks5::Socks5;

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

/// A failure of a proxy, which is no failure of the server behind it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProxyError {
    /// The proxy, as `host:port`.
    pub proxy: String,
    /// The step in which it failed.
    pub step: Step,
    /// What it did.
    pub fault: ProxyFault,
}

/// What a proxy did instead of opening a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyFault {
    /// The proxy cannot be reached.
    Unreachable(Box<Error>),
    /// The connection to the proxy broke, or the proxy closed it ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)).
    Io(io::Error),
    /// The proxy answered with something else than its protocol.
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// The octets of the answer, as received.
        found: Vec<u8>,
    },
    /// The proxy requires a login, and there is none, or none that it accepts.
    LoginRequired,
    /// The proxy refused the user name or the password.
    LoginRefused,
    /// The proxy did not connect to the server.
    Refused {
        /// The server, as `host:port`.
        server: String,
        /// The reason that the proxy gave, neither escaped nor authenticated.
        reason: String,
    },
}

impl From<io::Error> for ProxyFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ProxyError {
    pub(crate) fn new(proxy: &Endpoint, step: Step, fault: ProxyFault) -> Self {
        let (host, port) = proxy.dialled();
        Self { proxy: joined(host, port), step, fault }
    }

    /// Returns what the user can do, if a fix is known.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.fault {
            ProxyFault::Unreachable(_) => Some("check the address of the proxy, and that it runs"),
            ProxyFault::Unexpected { .. } => {
                Some("another service may run on this port: check the port and the kind of the proxy")
            }
            ProxyFault::LoginRequired => Some("give the user name and the password for the proxy"),
            ProxyFault::LoginRefused => Some("check the user name and the password for the proxy"),
            ProxyFault::Refused { .. } => Some(
                "the proxy reports that, not the server: check the host name, and what the proxy permits",
            ),
            ProxyFault::Io(_) => None,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxy, step, fault } = self;
        let proxy = format!("the proxy {}", Escaped(proxy.as_bytes()));
        match fault {
            ProxyFault::Unreachable(_) => write!(f, "cannot reach {proxy}"),
            ProxyFault::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                write!(f, "{proxy} closed the connection, expected {step}")
            }
            ProxyFault::Io(_) => write!(f, "the connection to {proxy} broke, waiting for {step}"),
            ProxyFault::Unexpected { expected, found } => {
                write!(f, "{proxy} sent an invalid answer: expected {expected}, found \"{}\"", Escaped(found))
            }
            ProxyFault::LoginRequired => write!(f, "{proxy} requires a login"),
            ProxyFault::LoginRefused => write!(f, "{proxy} refused the login"),
            ProxyFault::Refused { server, reason } => {
                let (server, reason) = (Escaped(server.as_bytes()), Escaped(reason.as_bytes()));
                write!(f, "{proxy} did not connect to {server}: {reason}")
            }
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            ProxyFault::Unreachable(error) => Some(&**error),
            ProxyFault::Io(error) => Some(error),
            _ => None,
        }
    }
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
