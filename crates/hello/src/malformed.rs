//! The errors of malformed messages.

use std::fmt;

/// A message that breaks the format of TLS, or a bound of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedTls {
    /// The first octets belong neither to a TLS record nor to an SSL 2.0 message.
    NotTls,
    /// A length inside this message does not fit.
    Length(&'static str),
    /// A message that is not allowed at this point.
    Unexpected(&'static str),
    /// More octets or records than the reader accepts.
    TooLong,
    /// The input ended inside a message.
    Truncated,
}

impl fmt::Display for MalformedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("the first octets are not TLS"),
            Self::Length(message) => write!(f, "a length in the {message} does not fit"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
            Self::TooLong => write!(
                f,
                "expected at most {} octets in {} records",
                crate::records::MAX_OCTETS,
                crate::records::MAX_RECORDS
            ),
            Self::Truncated => f.write_str("the input ends inside a message"),
        }
    }
}

impl std::error::Error for MalformedTls {}
