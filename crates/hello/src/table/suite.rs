//! Cipher suites.

mod rows;

use std::fmt;

use rows::{SSL2_KINDS, SUITES};

use crate::Version;
use crate::named::named;

/// The code of a cipher suite of SSL 3.0 to TLS 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CipherSuite(pub u16);

/// The code of a cipher kind of SSL 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssl2Kind(pub [u8; 3]);

/// The properties of a cipher suite in the registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuiteInfo {
    /// The code: two octets, or three for SSL 2.0.
    pub code: u32,
    /// The IANA name, or the customary name of a private code.
    pub name: &'static str,
    pub(super) openssl_name: &'static str,
    /// The kind of keys that it needs.
    pub family: SuiteFamily,
    /// The key exchange.
    pub key_exchange: KeyExchange,
    /// How the server authenticates.
    pub authentication: Authentication,
    /// The cipher, such as `AES`.
    pub cipher: &'static str,
    /// The mode of the cipher, such as `GCM`; may be empty.
    pub mode: &'static str,
    /// The effective key length in bits.
    pub key_bits: u16,
    /// The block length in bits; 0 for a stream cipher.
    pub block_bits: u16,
    /// The MAC, or `AEAD`; may be empty.
    pub mac: &'static str,
    /// The hash of the pseudorandom function or of the MAC; may be empty.
    pub hash: &'static str,
    /// Whether the key exchange is ephemeral.
    pub forward_secrecy: bool,
    /// The worst property of the suite.
    pub class: SuiteClass,
    /// The oldest version that defines it.
    pub min: Version,
    /// The newest version that defines it.
    pub max: Version,
    /// Its status in the IANA registry.
    pub registration: Registration,
}

named! {
    /// The kind of keys that a suite needs.
    pub enum SuiteFamily {
        /// A certificate, or none for anonymous suites.
        Pki = "pki",
        /// A shared key.
        Psk = "psk",
        /// A password, by SRP.
        Srp = "srp",
        /// Kerberos.
        Krb5 = "krb5",
        /// GOST algorithms.
        Gost = "gost",
        /// A password, by Dragonfly (RFC 8492).
        EccPwd = "eccpwd",
        /// Fortezza cards, SSL 3.0 only.
        Fortezza = "fortezza",
        /// A TLS 1.3 suite; the key exchange is negotiated separately.
        Tls13 = "tls13",
        /// A cipher kind of SSL 2.0.
        Ssl2 = "sslv2",
        /// A signal, not a suite.
        Signal = "signal",
    }
}

named! {
    /// The key exchange of a suite.
    #[expect(missing_docs, reason = "the names are the field's own")]
    pub enum KeyExchange {
        None = "-",
        Null = "NULL",
        Any = "any",
        Rsa = "RSA",
        Dh = "DH",
        Dhe = "DHE",
        Ecdh = "ECDH",
        Ecdhe = "ECDHE",
        CecPq1 = "CECPQ1",
        Psk = "PSK",
        DhePsk = "DHE_PSK",
        EcdhePsk = "ECDHE_PSK",
        RsaPsk = "RSA_PSK",
        Srp = "SRP",
        Krb5 = "KRB5",
        EccPwd = "ECCPWD",
        Gost = "GOST",
        Kea = "KEA",
    }
}

named! {
    /// How the server of a suite authenticates.
    #[expect(missing_docs, reason = "the names are the field's own")]
    pub enum Authentication {
        None = "-",
        Null = "NULL",
        Any = "any",
        Anonymous = "anon",
        Rsa = "RSA",
        Dss = "DSS",
        Ecdsa = "ECDSA",
        Psk = "PSK",
        RsaPsk = "RSA+PSK",
        Srp = "SRP",
        Krb5 = "KRB5",
        EccPwd = "ECCPWD",
        Gost = "GOST",
        Kea = "KEA",
    }
}

named! {
    /// The worst property of a suite. A survey asks for suites class by class, the worst class first.
    pub enum SuiteClass {
        /// No encryption.
        Null = "null",
        /// No authentication.
        Anonymous = "anon",
        /// Keys weakened for export: 40 or 56 bits.
        Export = "export",
        /// RC4 (RFC 7465 forbids it).
        Rc4 = "rc4",
        /// Single DES or RC2.
        Des = "des",
        /// 64-bit blocks: 3DES, IDEA (SWEET32).
        Block64 = "block64",
        /// No forward secrecy.
        Static = "static",
        /// Finite-field Diffie-Hellman (RFC 10015).
        Dhe = "dhe",
        /// CBC mode.
        Cbc = "cbc",
        /// A short authentication tag.
        Ccm8 = "ccm8",
        /// Ephemeral and authenticated encryption.
        Aead = "aead",
        /// A TLS 1.3 suite.
        Tls13 = "tls13",
        /// A TLS 1.3 suite with a short tag or without encryption.
        Tls13Weak = "tls13-weak",
        /// A suite that needs keys of another kind.
        Other = "other",
        /// A signal, not a suite.
        Signal = "signal",
    }
}

named! {
    /// The status of a suite in the IANA registry.
    pub enum Registration {
        /// Column "Recommended" is Y.
        Recommended = "Y",
        /// Column "Recommended" is N.
        NotRecommended = "N",
        /// Column "Recommended" is D (RFC 9847, RFC 10015).
        Discouraged = "D",
        /// A private code.
        Unregistered = "-",
    }
}

impl SuiteInfo {
    /// Returns OpenSSL's name, if OpenSSL has one.
    pub const fn openssl_name(&self) -> Option<&'static str> {
        if self.openssl_name.is_empty() { None } else { Some(self.openssl_name) }
    }
}

impl CipherSuite {
    /// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746).
    pub const RENEGOTIATION_SCSV: Self = Self(0x00ff);
    /// TLS_FALLBACK_SCSV (RFC 7507).
    pub const FALLBACK_SCSV: Self = Self(0x5600);

    /// Returns the known suites with their codes, in the order of the codes.
    pub fn all() -> impl Iterator<Item = (Self, &'static SuiteInfo)> {
        SUITES.iter().map(|info| (Self(u16::try_from(info.code).unwrap_or_default()), info))
    }

    /// Returns the properties of the suite, if it is known.
    pub fn info(self) -> Option<&'static SuiteInfo> {
        let at = SUITES.binary_search_by_key(&u32::from(self.0), |info| info.code).ok()?;
        SUITES.get(at)
    }

    /// Finds a suite by its IANA name or OpenSSL's, in any letter case, or by its code (`0xc02f`).
    pub fn by_name(name: &str) -> Option<Self> {
        let named = |(_, info): &(Self, &SuiteInfo)| super::matches(name, info.name, info.openssl_name);
        super::code(name).map(Self).or_else(|| Self::all().find(named).map(|(suite, _)| suite))
    }

    /// Returns the class of the suite. An unknown suite is [`SuiteClass::Other`].
    pub fn class(self) -> SuiteClass {
        self.info().map_or(SuiteClass::Other, |info| info.class)
    }

    /// Returns whether this is a reserved value that tests for intolerance (RFC 8701).
    pub const fn is_grease(self) -> bool {
        super::is_grease(self.0)
    }
}

impl Ssl2Kind {
    /// Returns the known kinds, in the order of their codes.
    pub fn all() -> impl Iterator<Item = (Self, &'static SuiteInfo)> {
        SSL2_KINDS.iter().map(|info| {
            let [_, a, b, c] = info.code.to_be_bytes();
            (Self([a, b, c]), info)
        })
    }

    /// Returns the properties of the kind, if it is known.
    pub fn info(self) -> Option<&'static SuiteInfo> {
        let [a, b, c] = self.0;
        let code = u32::from_be_bytes([0, a, b, c]);
        SSL2_KINDS.get(SSL2_KINDS.binary_search_by_key(&code, |info| info.code).ok()?)
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

impl fmt::Display for Ssl2Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => self.0.iter().try_fold((), |(), octet| write!(f, "{octet:02x}")),
        }
    }
}
