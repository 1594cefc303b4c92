//! Groups of the key exchange.

mod rows;

use std::fmt;

use rows::GROUPS;

use super::Strength;
use crate::named::named;

/// The code of a group in `supported_groups` and `key_share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedGroup(pub u16);

/// The properties of a group in the registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// The code.
    pub code: u16,
    /// The IANA name.
    pub name: &'static str,
    /// Other names, separated by commas; may be empty.
    pub aliases: &'static str,
    /// The kind of group.
    pub kind: GroupKind,
    /// The size of the field or prime in bits; for a hybrid, of its classical half.
    pub bits: u16,
    /// The classical strength in bits, rounded.
    pub strength: u16,
    /// Whether TLS 1.2 and older versions define it.
    pub tls12: bool,
    /// Whether it may be offered in a TLS 1.3 ClientHello (RFC 8446 section 4.2.7).
    pub tls13: bool,
    /// Octets of a client's key share; 0 if TLS 1.3 has none.
    pub share: u16,
    /// The strength class.
    pub class: Strength,
}

named! {
    /// The kind of a group.
    pub enum GroupKind {
        /// Prime curves of NIST.
        Nist = "nist",
        /// X25519 and X448 (RFC 7748).
        Montgomery = "x",
        /// Brainpool curves (RFC 5639).
        Brainpool = "brainpool",
        /// Curves over binary fields.
        Binary = "binary",
        /// Koblitz curves over prime fields.
        Koblitz = "koblitz",
        /// Other curves of SEC 2, and explicit curves.
        Other = "old",
        /// Finite fields (RFC 7919).
        Ffdhe = "ffdhe",
        /// ML-KEM with a classical exchange.
        Hybrid = "hybrid",
        /// ML-KEM alone.
        MlKem = "mlkem",
        /// GOST curves.
        Gost = "gost",
        /// The curve of SM2.
        Sm2 = "sm2",
        /// A draft's code.
        Draft = "draft",
    }
}

impl NamedGroup {
    /// X25519.
    pub const X25519: Self = Self(0x001d);
    /// P-256.
    pub const SECP256R1: Self = Self(0x0017);

    /// Returns the known groups with their codes, in the order of the codes.
    pub fn all() -> impl Iterator<Item = (Self, &'static GroupInfo)> {
        GROUPS.iter().map(|info| (Self(info.code), info))
    }

    /// Returns the properties of the group, if it is known.
    pub fn info(self) -> Option<&'static GroupInfo> {
        GROUPS.get(GROUPS.binary_search_by_key(&self.0, |info| info.code).ok()?)
    }

    /// Finds a group by its IANA name or another name, in any letter case, or by its code (`0x001d`).
    pub fn by_name(name: &str) -> Option<Self> {
        let named = |(_, info): &(Self, &GroupInfo)| super::matches(name, info.name, info.aliases);
        super::code(name).map(Self).or_else(|| Self::all().find(named).map(|(group, _)| group))
    }

    /// Returns whether the group resists quantum computers.
    pub fn is_post_quantum(self) -> bool {
        self.info().is_some_and(|info| info.class == Strength::PostQuantum)
    }

    /// Returns whether this is a reserved value that tests for intolerance (RFC 8701).
    pub const fn is_grease(self) -> bool {
        super::is_grease(self.0)
    }
}

impl fmt::Display for NamedGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}
