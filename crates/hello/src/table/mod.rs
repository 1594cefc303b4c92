//! Cipher suites, groups and signature schemes, from the IANA registry "Transport Layer Security (TLS) Parameters".
//!
//! The tables are constants in the order of their codes. A lookup is a binary search and allocates nothing.

mod group;
mod signature;
mod suite;

use crate::named::named;

pub use group::{GroupInfo, GroupKind, NamedGroup};
pub use signature::{SchemeInfo, SignatureScheme};
pub use suite::{
    Authentication, CipherSuite, KeyExchange, Registration, Ssl2Kind, SuiteClass, SuiteFamily, SuiteInfo,
};

named! {
    /// The strength class of a group or signature scheme.
    pub enum Strength {
        /// Can be broken, or uses a broken hash.
        Broken = "broken",
        /// Below what is recommended.
        Weak = "weak",
        /// Strong, but rarely used or outside the recommendations.
        Exotic = "exotic",
        /// Acceptable.
        Acceptable = "ok",
        /// Recommended.
        Good = "good",
        /// Resists quantum computers.
        PostQuantum = "pq",
    }
}

/// Returns whether a code is one of the reserved values `0x?a?a` (RFC 8701).
const fn is_grease(code: u16) -> bool {
    let [high, low] = code.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// Reads a code such as `0xc02f`.
fn code(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    (digits.len() <= 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

/// Returns whether `text` is the name or one of the other names.
fn matches(text: &str, name: &str, others: &str) -> bool {
    !text.is_empty() && std::iter::once(name).chain(others.split(',')).any(|it| it.eq_ignore_ascii_case(text))
}
