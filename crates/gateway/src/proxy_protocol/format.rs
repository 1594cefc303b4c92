//! The format of PROXY headers.

use std::fmt;
use std::net::SocketAddr;

use starttls::proto::Escaped;

/// What starts a header of version 2 (section 2.2).
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Section 2.2.
pub(super) mod command {
    pub(in crate::proxy_protocol) const LOCAL: u8 = 0x20;
    pub(in crate::proxy_protocol) const PROXY: u8 = 0x21;
}

/// Address family and transport, section 2.2.
pub(super) mod family {
    pub(in crate::proxy_protocol) const UNSPECIFIED: u8 = 0x00;
    pub(in crate::proxy_protocol) const TCP4: u8 = 0x11;
    pub(in crate::proxy_protocol) const TCP6: u8 = 0x21;
}

/// What a header says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy connects on its own behalf, for a health check, or does not know the client: the
    /// addresses are those of the connection itself.
    Local,
    /// It connects on behalf of a client.
    Proxied {
        /// The client.
        client: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
}

/// Why there is no header.
#[derive(Debug)]
pub enum HeaderError {
    /// The connection broke, or ended early.
    Io(std::io::Error),
    /// Something else came. Whoever sends it is a client, or a proxy that is not told to send headers.
    NoHeader(Vec<u8>),
    /// A header that breaks a rule.
    Malformed(&'static str),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the connection broke before the end of the PROXY header"),
            Self::NoHeader(bytes) => write!(f, "no PROXY header came, but \"{}\"", Escaped(bytes)),
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
