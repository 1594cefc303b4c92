//! Signature schemes.

mod rows;

use std::fmt;

use rows::SCHEMES;

use super::Strength;

/// The code of a signature scheme. In TLS 1.2 its octets are a hash and a signature algorithm (RFC 5246 section 7.4.1.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureScheme(pub u16);

/// The properties of a signature scheme in the registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemeInfo {
    /// The code.
    pub code: u16,
    /// The name.
    pub name: &'static str,
    /// The kind of key, such as `RSA`.
    pub key: &'static str,
    /// The hash, such as `SHA-256`.
    pub hash: &'static str,
    /// Whether TLS 1.2 signs handshakes with it.
    pub tls12: bool,
    /// Whether TLS 1.3 signs handshakes with it.
    pub tls13: bool,
    /// The strength class.
    pub class: Strength,
}

impl SignatureScheme {
    /// Returns the known schemes with their codes, in the order of the codes.
    pub fn all() -> impl Iterator<Item = (Self, &'static SchemeInfo)> {
        SCHEMES.iter().map(|info| (Self(info.code), info))
    }

    /// Returns the properties of the scheme, if it is known.
    pub fn info(self) -> Option<&'static SchemeInfo> {
        SCHEMES.get(SCHEMES.binary_search_by_key(&self.0, |info| info.code).ok()?)
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}
