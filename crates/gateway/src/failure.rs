//! Why sessions fail.

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

/// Why a session failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionFailure {
    /// The negotiation or the handshake failed.
    Tls {
        /// The peer: `Client`, or `Server` for the backend.
        side: Side,
        /// The error.
        source: starttls::Error,
    },
    /// The client's handshake succeeded, but no route admits the client.
    NotAdmitted(NotAdmitted),
    /// A peer sent something that is not a valid message of the protocol.
    Protocol {
        /// The peer: `Client`, or `Server` for the backend.
        side: Side,
        /// What the protocol allows at this place.
        expected: &'static str,
        /// The start of what was received.
        received: Vec<u8>,
    },
    /// The backend refused to serve.
    Refused {
        /// The backend.
        backend: String,
        /// Its message.
        message: Vec<u8>,
    },
    /// No backend of the route was reachable. The fields describe the last one.
    Unreachable {
        /// The backend.
        backend: String,
        /// The cause.
        source: io::Error,
    },
    /// The backend was not ready within the time limit.
    Slow {
        /// The backend.
        backend: String,
        /// The time limit.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// The peer: `Client`, or `Server` for the backend.
        side: Side,
        /// The error of the operating system or of TLS.
        source: io::Error,
    },
    /// An address that has to send a PROXY header did not send a valid one.
    Proxy(proxy_protocol::HeaderError),
    /// A limit on connections was reached.
    LimitReached(LimitReached),
    /// The client's address is not in a network that may connect.
    NotAllowed(IpAddr),
    /// There was no traffic for this long.
    Idle(Duration),
    /// The client did not complete the negotiation within this time.
    Late(Duration),
    /// The gateway stopped before the session ended.
    Stopped,
    /// The system refused what the session needed to go on.
    System(io::Error),
    /// The gateway could not log in to the backend.
    Login {
        /// The backend.
        backend: String,
        /// The reason. It contains no secrets.
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

    pub(crate) fn upstream(source: starttls::Error) -> Self {
        Self::Tls { side: Side::Server, source }
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
            Self::Refused { backend, message } => {
                write!(f, "the backend {backend} refused to serve: \"{}\"", Escaped(message))
            }
            Self::Unreachable { backend, .. } => write!(f, "cannot reach the backend {backend}"),
            Self::Slow { backend, limit } => {
                write!(f, "the backend {backend} was not ready within {} s", limit.as_secs_f32())
            }
            Self::Io { side, .. } => write!(f, "the connection to the {} broke", peer(*side)),
            Self::Proxy(cause) => cause.fmt(f),
            Self::LimitReached(reason) => reason.fmt(f),
            Self::NotAllowed(address) => write!(f, "{address} is not in a network that may connect"),
            Self::Idle(limit) => write!(f, "no traffic for {} s", limit.as_secs()),
            Self::Late(limit) => {
                write!(f, "the client did not complete the negotiation within {} s", limit.as_secs_f32())
            }
            Self::Stopped => f.write_str("the gateway stopped"),
            Self::System(_) => f.write_str("the system refused to watch the connections"),
            Self::Login { backend, reason } => write!(f, "cannot log in to the backend {backend}: {reason}"),
        }
    }
}

impl std::error::Error for SessionFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls { source, .. } => source.source(),
            Self::Unreachable { source, .. } | Self::Io { source, .. } | Self::System(source) => Some(source),
            _ => None,
        }
    }
}
