//! Bytes that a dialect cannot read.

use core::fmt;

/// The error for bytes that are not a message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected, as a noun phrase ("a reply code").
    pub expected: &'static str,
}

/// Returns the error of a dialect: `Err(malformed("a reply code"))`.
pub(crate) fn malformed(expected: &'static str) -> Malformed {
    Malformed { expected }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl core::error::Error for Malformed {}
