//! Errors of proxies, which are not the fault of the server.

use std::{fmt, io};

use starttls_proto::Escaped;

use crate::Step;
use crate::causes::write_with_causes;

/// A failure of a proxy. It shows nothing about the server.
///
/// `Display` writes one line without the cause, which `source` returns. `Debug` writes one line with all causes.
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
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the proxy broke, or the proxy closed it ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)).
    Io(io::Error),
    /// The proxy answered with something else than its protocol.
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// The octets of the answer, as received.
        found: Vec<u8>,
    },
    /// The proxy requires a login, and the caller gave none, or it accepts no method of these.
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
    pub(crate) fn new(proxy: String, step: Step, fault: ProxyFault) -> Self {
        Self { proxy, step, fault }
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

impl fmt::Debug for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_causes(self, f)
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
            // `Display` describes the end of the connection.
            ProxyFault::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Some(error),
            _ => None,
        }
    }
}
