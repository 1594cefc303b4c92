//! Protocol versions.

use crate::named::named;

named! {
    /// A version of SSL or TLS. Newer versions compare greater.
    pub enum Version {
        /// SSL 2.0 (RFC 6176 forbids it).
        Ssl2 = "SSL 2.0",
        /// SSL 3.0 (RFC 7568 forbids it).
        Ssl3 = "SSL 3.0",
        /// TLS 1.0 (RFC 8996 forbids it).
        Tls10 = "TLS 1.0",
        /// TLS 1.1 (RFC 8996 forbids it).
        Tls11 = "TLS 1.1",
        /// TLS 1.2.
        Tls12 = "TLS 1.2",
        /// TLS 1.3.
        Tls13 = "TLS 1.3",
    }
}

impl Version {
    /// Returns the code on the wire. SSL 2.0 is `0x0002`.
    pub const fn code(self) -> u16 {
        match self {
            Self::Ssl2 => 0x0002,
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    /// Returns the version with this code.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| version.code() == code)
    }

    /// Returns the next older version.
    pub fn below(self) -> Option<Self> {
        Self::ALL.iter().copied().rev().find(|version| *version < self)
    }
}
