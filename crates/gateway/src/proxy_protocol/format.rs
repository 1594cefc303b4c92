//! The format of PROXY headers.

use std::fmt;
use std::net::SocketAddr;

use starttls::proto::Escaped;

/// The content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy connects for itself, for example for a health check, or does not know the client. The addresses are those of
    /// the connection.
    Local,
    /// The proxy connects on behalf of a client.
    Proxied {
        /// The address of the client.
        client: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// Why no valid header was read.
#[derive(Debug)]
pub enum HeaderError {
    /// The connection broke or ended early.
    Io(std::io::Error),
    /// Something else was received: from a client, or from a proxy that is not configured to send headers.
    NoHeader(Vec<u8>),
    /// The header is malformed.
    Malformed(&'static str),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the connection broke before the end of the PROXY header"),
            Self::NoHeader(bytes) => write!(f, "expected a PROXY header, got \"{}\"", Escaped(bytes)),
            Self::Malformed(what) => write!(f, "the PROXY header is malformed: {what}"),
        }
    }
}

impl std::error::Error for HeaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::NoHeader(_) | Self::Malformed(_) => None,
        }
    }
}

impl From<std::io::Error> for HeaderError {
    fn from(source: std::io::Error) -> Self {
        Self::Io(source)
    }
}
