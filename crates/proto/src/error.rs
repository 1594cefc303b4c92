//! Errors of the negotiation: the peer that caused them, what was expected, and what was received.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Escaped, Side};

/// The kind of rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes arrived in cleartext after the request or the go-ahead, where only TLS may follow.
    BeyondBoundary,
    /// An answer arrived before its question was sent.
    EarlyAnswer,
    /// The session was authenticated before TLS, so that no upgrade is possible.
    PreAuthenticated,
    /// The bytes are not a message of this protocol.
    Malformed,
    /// A message, or the whole negotiation, exceeds its limit.
    TooLong,
    /// TLS records arrived in place of the cleartext negotiation: the port uses implicit TLS.
    TlsNotCleartext,
    /// Another protocol answers on this port.
    OtherProtocol,
    /// The peer closed the connection during the negotiation.
    Closed,
}

impl ErrorKind {
    /// Returns the rule that was broken, as listed in `docs/rules.md`.
    pub fn rule(self) -> &'static str {
        match self {
            Self::BeyondBoundary => "B2",
            Self::EarlyAnswer => "C3",
            Self::PreAuthenticated | Self::TlsNotCleartext | Self::OtherProtocol => "C2",
            Self::Malformed => "S2",
            Self::TooLong | Self::Closed => "B6",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::BeyondBoundary => "sent cleartext beyond the boundary",
            Self::EarlyAnswer => "answered before it was asked",
            Self::PreAuthenticated => "authenticated the session before TLS",
            Self::Malformed => "sent a malformed message",
            Self::TooLong => "exceeded a bound of the negotiation",
            Self::TlsNotCleartext => "sent TLS where cleartext belongs",
            Self::OtherProtocol => "speaks another protocol",
            Self::Closed => "closed the connection",
        }
    }
}

/// The fatal TLS alert `unexpected_message` (RFC 8446 section 6.2), in a record with the version of a ClientHello. A
/// server that starts in cleartext answers a ClientHello with it, because a TLS client cannot parse messages of the
/// protocol.
pub const UNEXPECTED_MESSAGE_ALERT: [u8; 7] = [21, 3, 1, 0, 2, 2, 10];

/// The error for a rule that a peer broke, which ended the negotiation.
///
/// The machine is consumed, and the caller must close the connection. `Display` and `Debug` write one line.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The kind of rule that was broken.
    pub kind: ErrorKind,
    /// The side that broke it.
    pub by: Side,
    /// What was expected, as a noun phrase.
    pub expected: &'static str,
    /// The first bytes that broke it, at most [`Error::EXCERPT`].
    pub received: Vec<u8>,
}

impl Error {
    /// The most offending bytes that an error keeps.
    pub const EXCERPT: usize = 200;

    /// Returns an error of the server, for machines outside this crate.
    #[cold]
    pub fn of_server(kind: ErrorKind, expected: &'static str, received: &[u8]) -> Box<Self> {
        Self::new(kind, Side::Server, expected, received)
    }

    #[cold]
    pub(crate) fn new(kind: ErrorKind, by: Side, expected: &'static str, received: &[u8]) -> Box<Self> {
        let received = received[..received.len().min(Self::EXCERPT)].to_vec();
        Box::new(Self { kind, by, expected, received })
    }
}

impl Error {
    /// Returns the error as text without the received bytes, which may contain a password. Use it for logs.
    pub fn without_content(&self) -> String {
        let (by, what, rule) = (self.by.name(), self.kind.summary(), self.kind.rule());
        format!("the {by} {what} (rule {rule}): expected {}", self.expected)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_content())?;
        if self.kind != ErrorKind::Closed || !self.received.is_empty() {
            write!(f, ", received \"{}\"", Escaped(&self.received))?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}
