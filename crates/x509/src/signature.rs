//! Algorithms of signatures in certificates and OCSP responses.

use std::fmt;

use crate::der::{MalformedDer, Oid, Reader, tag};

/// Why a signature was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// No available algorithm is for this key and this kind of signature, so whether the signature is valid is unknown.
    Unsupported,
    /// Another key made the signature, or the content was changed.
    Invalid,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => {
                "the signature cannot be verified here: its algorithm or its key is not supported"
            }
            Self::Invalid => "the signature is invalid",
        })
    }
}

impl std::error::Error for SignatureError {}

/// The algorithm of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// RSA with PKCS #1 v1.5 padding.
    Rsa(HashAlgorithm),
    /// RSA-PSS. The parameters contain the hash; `None` if they cannot be read.
    RsaPss(Option<HashAlgorithm>),
    /// ECDSA.
    Ecdsa(HashAlgorithm),
    /// DSA.
    Dsa(HashAlgorithm),
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Ed448 (RFC 8410).
    Ed448,
    /// ML-DSA with one of its parameter sets, 44, 65 or 87 (RFC 9881).
    MlDsa(u8),
    /// Another algorithm, with its object identifier.
    Unknown(String),
}

/// The hash function of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// MD2.
    Md2,
    /// MD4.
    Md4,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl SignatureAlgorithm {
    /// Returns the algorithm of the content of an AlgorithmIdentifier.
    pub(crate) fn of(algorithm_id: &[u8]) -> Self {
        use HashAlgorithm::{Md2, Md4, Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
        let mut parts = Reader::new(algorithm_id);
        let oid = parts.expect(tag::OID, "algorithm").map(|it| it.content).unwrap_or_default();
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, number] => match number {
                2 => Self::Rsa(Md2),
                3 => Self::Rsa(Md4),
                4 => Self::Rsa(Md5),
                5 => Self::Rsa(Sha1),
                10 => Self::RsaPss(pss_hash(parts).ok().flatten()),
                11 => Self::Rsa(Sha256),
                12 => Self::Rsa(Sha384),
                13 => Self::Rsa(Sha512),
                14 => Self::Rsa(Sha224),
                _ => Self::Unknown(Oid::from_content(oid).to_string()),
            },
            [0x2b, 0x0e, 3, 2, 29] => Self::Rsa(Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => Self::Ecdsa(Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1] => Self::Ecdsa(Sha224),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => Self::Ecdsa(Sha256),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => Self::Ecdsa(Sha384),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => Self::Ecdsa(Sha512),
            [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3] => Self::Dsa(Sha1),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 1] => Self::Dsa(Sha224),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2] => Self::Dsa(Sha256),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17] => Self::MlDsa(44),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18] => Self::MlDsa(65),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19] => Self::MlDsa(87),
            [0x2b, 0x65, 0x70] => Self::Ed25519,
            [0x2b, 0x65, 0x71] => Self::Ed448,
            _ => Self::Unknown(Oid::from_content(oid).to_string()),
        }
    }

    /// Returns the hash function, if the algorithm has one that can be chosen.
    pub fn hash(&self) -> Option<HashAlgorithm> {
        match self {
            Self::Rsa(hash) | Self::Ecdsa(hash) | Self::Dsa(hash) => Some(*hash),
            Self::RsaPss(hash) => *hash,
            Self::Ed25519 | Self::Ed448 | Self::MlDsa(_) | Self::Unknown(_) => None,
        }
    }

    /// Returns whether this crate knows the algorithm.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// Returns the hash function in the parameters of RSA-PSS (RFC 4055 section 3.1): SHA-1 if none is given.
fn pss_hash(mut parts: Reader<'_>) -> Result<Option<HashAlgorithm>, MalformedDer> {
    let mut parameters = parts.expect(tag::SEQUENCE, "RSA-PSS parameters")?.reader();
    let Some(hash) = parameters.optional(tag::constructed(0), "RSA-PSS hash")? else {
        return Ok(Some(HashAlgorithm::Sha1));
    };
    let mut hash = hash.reader().expect(tag::SEQUENCE, "RSA-PSS hash")?.reader();
    Ok(HashAlgorithm::of(hash.expect(tag::OID, "RSA-PSS hash")?.content))
}

impl HashAlgorithm {
    /// Returns the hash function with this object identifier.
    pub(crate) fn of(oid: &[u8]) -> Option<Self> {
        Some(match oid {
            [0x2b, 0x0e, 3, 2, 26] => Self::Sha1,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => Self::Sha256,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => Self::Sha384,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => Self::Sha512,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4] => Self::Sha224,
            _ => return None,
        })
    }

    /// Returns whether signatures with this hash function can be forged (RFC 6151 for MD5, RFC 9155 for SHA-1).
    pub fn is_broken(self) -> bool {
        matches!(self, Self::Md2 | Self::Md4 | Self::Md5 | Self::Sha1)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(hash) => write!(f, "RSA with {hash}"),
            Self::RsaPss(Some(hash)) => write!(f, "RSA-PSS with {hash}"),
            Self::RsaPss(None) => f.write_str("RSA-PSS"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::Dsa(hash) => write!(f, "DSA with {hash}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::MlDsa(set) => write!(f, "ML-DSA-{set}"),
            Self::Unknown(oid) => f.write_str(oid),
        }
    }
}

impl fmt::Display for HashAlgorithm {
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
