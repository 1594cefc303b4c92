//! How sessions fail, by leg.

use std::net::IpAddr;
use std::time::Duration;
use std::{fmt, io};

use starttls::proto::{Escaped, Side};

use crate::admission::LimitReached;
use crate::config::NotAdmitted;
use crate::proxy_protocol;

/// Returns the name of this side's peer in messages: the gateway is the server of its client and the client of its
/// backend.
pub(crate) fn peer(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "backend",
    }
}

/// Why a session ended before its time.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionFailure {
    /// The negotiation, the handshake or the dialling failed.
    Tls {
        /// On this leg.
        side: Side,
        /// In this way.
        source: starttls::Error,
    },
    /// The client's handshake ended well, and there is no way on for it.
    NotAdmitted(NotAdmitted),
    /// The peer's bytes are no messages of the protocol, while messages were still read.
    Protocol {
        /// Who sent them.
        side: Side,
        /// What should have been there.
        expected: &'static str,
        /// What was, the start of it.
        received: Vec<u8>,
    },
    /// The backend will not serve, in its own words.
    Refused {
        /// The backend.
        backend: String,
        /// What it said.
        words: Vec<u8>,
    },
    /// No backend of the route could be reached; this is what became of the last.
    Unreachable {
        /// The backend.
        backend: String,
        /// The cause.
        source: io::Error,
    },
    /// The backend did not get as far as it had to in its time.
    Slow {
        /// The backend.
        backend: String,
        /// The time that it was given.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// On this leg.
        side: Side,
        /// What the operating system, or TLS, said.
        source: io::Error,
    },
    /// No PROXY header came from an address that has to send one, or not a good one.
    Proxy(proxy_protocol::HeaderError),
    /// There are too many connections, or they come too fast.
    Crowded(LimitReached),
    /// The client's own address, which came in the PROXY header, is not allowed here.
    NotAllowed(IpAddr),
    /// Nothing moved for this long.
    Idle(Duration),
    /// The client did not come as far as it had to in this time.
    Late(Duration),
    /// The gateway stopped, and did not wait for the session any longer.
    Stopped,
    /// The gateway could not log in to the backend.
    Login {
        /// The backend.
        backend: String,
        /// Why not, in words without secrets.
        reason: String,
    },
}

impl SessionFailure {
    pub(crate) fn io(side: Side, source: io::Error) -> Self {
        Self::Io { side, source }
    }

    pub(crate) fn downstream(source: starttls::Error) -> Self {
        Self::Tls { side: Side::Client, source }
    }

    pub(crate) fn protocol(error: starttls::proto::Error) -> Self {
        Self::Protocol { side: error.by, expected: error.expected, received: error.received }
    }
}

impl fmt::Display for SessionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { side, source } => write!(f, "{}: {source}", peer(*side)),
            Self::NotAdmitted(reason) => reason.fmt(f),
            Self::Protocol { side, expected, received } => {
                write!(f, "{}: expected {expected}, got \"{}\"", peer(*side), Escaped(received))
            }
            Self::Refused { backend, words } => {
                write!(f, "the backend {backend} will not serve: \"{}\"", Escaped(words))
            }
            Self::Unreachable { backend, .. } => write!(f, "cannot reach the backend {backend}"),
            Self::Slow { backend, limit } => {
                write!(f, "the backend {backend} was not ready within {} s", limit.as_secs_f32())
            }
            Self::Io { side, .. } => write!(f, "the connection to the {} broke", peer(*side)),
            Self::Proxy(cause) => cause.fmt(f),
            Self::Crowded(reason) => reason.fmt(f),
            Self::NotAllowed(address) => write!(f, "clients from {address} are not served here"),
            Self::Idle(limit) => write!(f, "nothing moved for {} s", limit.as_secs()),
            Self::Late(limit) => write!(f, "the client was not ready within {} s", limit.as_secs_f32()),
            Self::Stopped => f.write_str("the gateway stopped"),
            Self::Login { backend, reason } => write!(f, "cannot log in to the backend {backend}: {reason}"),
        }
    }
}

impl std::error::Error for SessionFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls { source, .. } => source.source(),
            Self::Unreachable { source, .. } | Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
