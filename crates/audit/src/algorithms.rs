//! The algorithms of certificates and sessions, with the properties that checks decide on. Reports contain their names.

use std::fmt;

use starttls::TlsFacts;
use starttls_hello::Version;
use x509_parser::prelude::*;
use x509_parser::public_key::PublicKey;

/// The shortest RSA key that is not weak, in bits (RFC 9325 section 4.5).
const MIN_RSA_BITS: usize = 2048;

/// A public key by its algorithm and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// RSA with a modulus of this many bits.
    Rsa(usize),
    EcP256,
    EcP384,
    EcP521,
    /// Another elliptic curve.
    EcOther,
    /// An algorithm of [`SignatureKind`] that keys are named after, such as Ed25519.
    Other(SignatureKind),
}

/// The algorithm of a signature in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureKind {
    Rsa(SignatureHash),
    Ecdsa(SignatureHash),
    Dsa(SignatureHash),
    RsaPss,
    Ed25519,
    Ed448,
    /// An object identifier that this table does not have.
    Unknown(String),
}

/// The hash of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureHash {
    Md2,
    Md4,
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl KeyKind {
    pub(crate) fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        let curve = || {
            let parameters = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
            match parameters.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => Self::EcP256,
                Some("1.3.132.0.34") => Self::EcP384,
                Some("1.3.132.0.35") => Self::EcP521,
                _ => Self::EcOther,
            }
        };
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::Rsa(rsa.key_size()),
            Ok(PublicKey::EC(_)) => curve(),
            _ => Self::Other(SignatureKind::of(&key.algorithm)),
        }
    }

    /// Reads the key of a certificate in DER.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self::of(certificate.public_key()))
    }

    /// Returns the name without the size of an RSA key.
    pub(crate) fn name(&self) -> String {
        if matches!(self, Self::Rsa(_)) { String::from("RSA") } else { self.to_string() }
    }

    /// Returns the names of all kinds that profiles may rate.
    pub(crate) fn names() -> Vec<String> {
        let others = [SignatureKind::Ed25519, SignatureKind::Ed448].map(Self::Other);
        let all = [Self::Rsa(0), Self::EcP256, Self::EcP384, Self::EcP521].into_iter().chain(others);
        all.map(|kind| kind.name()).collect()
    }

    pub(crate) fn is_weak(&self) -> bool {
        matches!(self, Self::Rsa(bits) if *bits < MIN_RSA_BITS)
    }
}

impl SignatureKind {
    pub(crate) fn of(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        Self::of_oid(&algorithm.algorithm.to_id_string())
    }

    fn of_oid(oid: &str) -> Self {
        use SignatureHash::{Md2, Md4, Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
        match oid {
            "1.2.840.10045.4.1" => Self::Ecdsa(Sha1),
            "1.2.840.10045.4.3.1" => Self::Ecdsa(Sha224),
            "1.2.840.10045.4.3.2" => Self::Ecdsa(Sha256),
            "1.2.840.10045.4.3.3" => Self::Ecdsa(Sha384),
            "1.2.840.10045.4.3.4" => Self::Ecdsa(Sha512),
            "1.2.840.10040.4.3" => Self::Dsa(Sha1),
            "2.16.840.1.101.3.4.3.2" => Self::Dsa(Sha256),
            "1.2.840.113549.1.1.2" => Self::Rsa(Md2),
            "1.2.840.113549.1.1.3" => Self::Rsa(Md4),
            "1.2.840.113549.1.1.4" => Self::Rsa(Md5),
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => Self::Rsa(Sha1),
            "1.2.840.113549.1.1.14" => Self::Rsa(Sha224),
            "1.2.840.113549.1.1.11" => Self::Rsa(Sha256),
            "1.2.840.113549.1.1.12" => Self::Rsa(Sha384),
            "1.2.840.113549.1.1.13" => Self::Rsa(Sha512),
            "1.2.840.113549.1.1.10" => Self::RsaPss,
            "1.3.101.112" => Self::Ed25519,
            "1.3.101.113" => Self::Ed448,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Returns the names of all algorithms that profiles may rate.
    pub(crate) fn names() -> Vec<String> {
        use SignatureHash::{Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
        let hashes = [Md5, Sha1, Sha224, Sha256, Sha384, Sha512];
        let hashed = [Self::Rsa, Self::Ecdsa, Self::Dsa].into_iter().flat_map(|kind| hashes.map(kind));
        let all = hashed.chain([Self::RsaPss, Self::Ed25519, Self::Ed448]);
        all.map(|kind| kind.to_string()).collect()
    }

    /// Returns the hash, if the algorithm has one that can be chosen.
    pub(crate) fn hash(&self) -> Option<SignatureHash> {
        match self {
            Self::Rsa(hash) | Self::Ecdsa(hash) | Self::Dsa(hash) => Some(*hash),
            Self::RsaPss | Self::Ed25519 | Self::Ed448 | Self::Unknown(_) => None,
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

impl SignatureHash {
    /// Returns whether signatures with this hash can be forged (RFC 6151 for MD5, RFC 9155 for SHA-1).
    pub(crate) fn is_broken(self) -> bool {
        matches!(self, Self::Md2 | Self::Md4 | Self::Md5 | Self::Sha1)
    }
}

/// Returns the version of a session.
pub(crate) fn version(facts: &TlsFacts) -> Option<Version> {
    facts.version.and_then(|version| Version::from_code(u16::from(version)))
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits} bits"),
            Self::EcP256 => f.write_str("EC P-256"),
            Self::EcP384 => f.write_str("EC P-384"),
            Self::EcP521 => f.write_str("EC P-521"),
            Self::EcOther => f.write_str("EC"),
            Self::Other(algorithm) => algorithm.fmt(f),
        }
    }
}

impl fmt::Display for SignatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(hash) => write!(f, "RSA with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::Dsa(hash) => write!(f, "DSA with {hash}"),
            Self::RsaPss => f.write_str("RSA-PSS"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::Unknown(oid) => f.write_str(oid),
        }
    }
}

impl fmt::Display for SignatureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md2 => "MD2",
            Self::Md4 => "MD4",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_of_signatures_have_names_and_broken_hashes_are_known() {
        for (oid, name, broken) in [
            ("1.2.840.113549.1.1.4", "RSA with MD5", true),
            ("1.2.840.10045.4.1", "ECDSA with SHA-1", true),
            ("1.3.14.3.2.29", "RSA with SHA-1", true),
            ("1.2.840.113549.1.1.11", "RSA with SHA-256", false),
            ("1.2.840.10045.4.3.2", "ECDSA with SHA-256", false),
            ("1.2.840.113549.1.1.10", "RSA-PSS", false),
            ("1.3.101.112", "Ed25519", false),
            ("1.2.3", "1.2.3", false),
        ] {
            let kind = SignatureKind::of_oid(oid);
            assert_eq!(kind.to_string(), name);
            assert_eq!(kind.hash().is_some_and(SignatureHash::is_broken), broken, "{name}");
            assert_eq!(kind.is_known(), name != oid, "{name}");
        }
    }

    #[test]
    fn rsa_keys_below_2048_bits_are_weak() {
        for (key, name, weak) in [
            (KeyKind::Rsa(1024), "RSA 1024 bits", true),
            (KeyKind::Rsa(2047), "RSA 2047 bits", true),
            (KeyKind::Rsa(2048), "RSA 2048 bits", false),
            (KeyKind::EcP256, "EC P-256", false),
            (KeyKind::Other(SignatureKind::Ed25519), "Ed25519", false),
        ] {
            assert_eq!((key.to_string().as_str(), key.is_weak()), (name, weak));
        }
    }
}
