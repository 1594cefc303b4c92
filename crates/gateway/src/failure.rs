//! How sessions fail, by leg.

use std::net::IpAddr;
use std::time::Duration;
use std::{fmt, io};

use starttls::proto::{Escaped, Side};

use crate::admission::Refused;
use crate::config::NotAdmitted;
use crate::proxy_protocol;

/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Between the client and the gateway.
    Front,
    /// Between the gateway and the backend.
    Backend,
}

impl Leg {
    /// The leg on which this side is the peer.
    pub(crate) fn of(side: Side) -> Self {
        match side {
            Side::Client => Self::Front,
            Side::Server => Self::Backend,
        }
    }

    /// "front" or "backend".
    pub fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Backend => "backend",
        }
    }
}

/// Why a session ended before its time.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The negotiation, the handshake or the dialling failed.
    Tls {
        /// On this leg.
        leg: Leg,
        /// In this way.
        source: starttls::Error,
    },
    /// The client's handshake ended well, and there is no way on for it.
    NotAdmitted(NotAdmitted),
    /// The peer's bytes are no messages of the protocol, while messages were still read.
    Protocol {
        /// Who sent them.
        leg: Leg,
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
        leg: Leg,
        /// What the operating system, or TLS, said.
        source: io::Error,
    },
    /// No PROXY header came from an address that has to send one, or not a good one.
    Proxy(proxy_protocol::Error),
    /// There are too many connections, or they come too fast.
    Crowded(Refused),
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

impl Failure {
    pub(crate) fn io(leg: Leg, source: io::Error) -> Self {
        Self::Io { leg, source }
    }

    pub(crate) fn front(source: starttls::Error) -> Self {
        Self::Tls { leg: Leg::Front, source }
    }

    pub(crate) fn protocol(error: starttls::proto::Error) -> Self {
        Self::Protocol { leg: Leg::of(error.by), expected: error.expected, received: error.received }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { leg, source } => write!(f, "{}: {source}", leg.name()),
            Self::NotAdmitted(reason) => reason.fmt(f),
            Self::Protocol { leg, expected, received } => {
                write!(f, "{}: expected {expected}, got \"{}\"", leg.name(), Escaped(received))
            }
            Self::Refused { backend, words } => {
                write!(f, "the backend {backend} will not serve: \"{}\"", Escaped(words))
            }
            Self::Unreachable { backend, .. } => write!(f, "cannot reach the backend {backend}"),
            Self::Slow { backend, limit } => {
                write!(f, "the backend {backend} was not ready within {} s", limit.as_secs_f32())
            }
            Self::Io { leg, .. } => write!(
                f,
                "the connection to the {} broke",
                match leg {
                    Leg::Front => "client",
                    Leg::Backend => "backend",
                }
            ),
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

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls { source, .. } => source.source(),
            Self::Unreachable { source, .. } | Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
