//! Whose fault it is, what was expected, and what came.

use std::fmt;

use crate::{Escaped, Side};

/// What kind of rule the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes arrived in cleartext after the request or the go-ahead, where only TLS may follow.
    BeyondBoundary,
    /// An answer arrived before its question had been sent.
    EarlyAnswer,
    /// The session was authenticated before TLS, so that no upgrade is possible.
    PreAuthenticated,
    /// The bytes are no message of this protocol.
    Malformed,
    /// A message, or the negotiation as a whole, exceeds its bound.
    TooLong,
    /// TLS records came where the cleartext negotiation belongs: the port speaks implicit TLS.
    TlsNotCleartext,
    /// Another protocol answers on this port.
    OtherProtocol,
    /// The peer closed the connection in the middle of the negotiation.
    Closed,
}

impl ErrorKind {
    /// The project's rule that was broken, as listed in `docs/rules.md`.
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

/// The fatal TLS alert `unexpected_message` (RFC 8446 section 6.2), in a record of the version that a ClientHello has. A
/// server that starts in cleartext answers a ClientHello with it, because a TLS client cannot read the protocol's words.
pub const UNEXPECTED_MESSAGE_ALERT: [u8; 7] = [21, 3, 1, 0, 2, 2, 10];

/// The peer broke a rule, and the negotiation ended there.
///
/// Nothing is left to go on with: the machine is gone, and the connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// What kind of rule was broken.
    pub kind: ErrorKind,
    /// The side that broke it.
    pub by: Side,
    /// What the rule wanted instead, as a noun phrase.
    pub expected: &'static str,
    /// The first bytes that broke it, at most [`Error::EXCERPT`] of them.
    pub received: Vec<u8>,
}

impl Error {
    /// How many of the offending bytes an error keeps.
    pub const EXCERPT: usize = 200;

    /// Returns an error by the server, for machines outside this crate.
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
    /// The same in words, but for what was received: for logs, since that may be a password.
    pub fn without_content(&self) -> String {
        let (by, what, rule) = (self.by.name(), self.kind.summary(), self.kind.rule());
        format!("the {by} {what} (rule {rule}): expected {}", self.expected)
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

impl std::error::Error for Error {}
