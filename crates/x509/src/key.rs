//! Public keys.

use std::fmt;

use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::der::{Element, MalformedDer, Oid, Reader, tag};
use crate::signature::{SignatureAlgorithm, SignatureError};

/// The shortest RSA key that is not weak, in bits (RFC 9325 section 4.5).
const MIN_RSA_BITS: usize = 2048;
/// The shortest elliptic curve key that is not weak, in bits.
const MIN_CURVE_BITS: usize = 256;

/// A public key: a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    der: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    algorithm_id: &'a [u8],
    key: &'a [u8],
}

/// The algorithm of a public key, and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA with a modulus of this many bits.
    Rsa {
        /// The size of the modulus.
        bits: usize,
    },
    /// RSA that may only be used for PSS signatures, with a modulus of this many bits.
    RsaPss {
        /// The size of the modulus.
        bits: usize,
    },
    /// A point on an elliptic curve.
    Ec(EllipticCurve),
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Ed448 (RFC 8410).
    Ed448,
    /// DSA.
    Dsa,
    /// ML-DSA with one of its parameter sets, 44, 65 or 87 (RFC 9881).
    MlDsa(u8),
    /// Another algorithm, with its object identifier.
    Unknown(String),
}

/// An elliptic curve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EllipticCurve {
    /// A curve of NIST over a prime field with this many bits.
    P(usize),
    /// A Brainpool curve with this many bits (RFC 5639).
    Brainpool(usize),
    /// The curve secp256k1.
    Secp256k1,
    /// Another named curve, with its object identifier.
    Named(String),
    /// A curve whose parameters are in the key, which TLS does not allow (RFC 8422 section 5.1.1).
    Explicit,
}

impl<'a> PublicKey<'a> {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// If it is not well-formed. An unknown algorithm is not an error.
    pub fn from_der(der: &'a [u8]) -> Result<Self, MalformedDer> {
        let mut outer = Reader::new(der);
        let key = Self::new(&outer.expect(tag::SEQUENCE, "public key")?)?;
        outer.end("public key")?;
        Ok(key)
    }

    pub(crate) fn new(element: &Element<'a>) -> Result<Self, MalformedDer> {
        let mut parts = element.reader();
        let algorithm_id = parts.expect(tag::SEQUENCE, "algorithm of the public key")?;
        algorithm_id.reader().expect(tag::OID, "algorithm of the public key")?;
        let key = parts.expect(tag::BIT_STRING, "public key")?.whole_bits()?;
        Ok(Self { der: element.der, algorithm_id: algorithm_id.content, key })
    }

    /// Returns the encoding of the SubjectPublicKeyInfo, which pins are computed from (RFC 7469 section 2.4, RFC 6698
    /// section 2.1.2).
    pub fn spki_der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns the algorithm and the size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        let mut parts = Reader::new(self.algorithm_id);
        let oid = parts.expect(tag::OID, "algorithm").map(|it| it.content).unwrap_or_default();
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1] => KeyAlgorithm::Rsa { bits: self.modulus_bits() },
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10] => {
                KeyAlgorithm::RsaPss { bits: self.modulus_bits() }
            }
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => KeyAlgorithm::Ec(match parts.any("curve") {
                Ok(curve) if curve.tag == tag::OID => EllipticCurve::of(Oid::from_content(curve.content)),
                _ => EllipticCurve::Explicit,
            }),
            [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1] => KeyAlgorithm::Dsa,
            [0x2b, 0x65, 0x70] => KeyAlgorithm::Ed25519,
            [0x2b, 0x65, 0x71] => KeyAlgorithm::Ed448,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17] => KeyAlgorithm::MlDsa(44),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18] => KeyAlgorithm::MlDsa(65),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19] => KeyAlgorithm::MlDsa(87),
            _ => KeyAlgorithm::Unknown(Oid::from_content(oid).to_string()),
        }
    }

    /// Returns the size of an RSA modulus in bits (RFC 3279 section 2.3.1); 0 if it cannot be read.
    fn modulus_bits(&self) -> usize {
        let modulus = Reader::new(self.key)
            .expect(tag::SEQUENCE, "RSA key")
            .and_then(|key| key.reader().expect(tag::INTEGER, "RSA modulus"))
            .map(|modulus| modulus.content)
            .unwrap_or_default();
        let start = modulus.iter().position(|octet| *octet != 0).unwrap_or(modulus.len());
        match &modulus[start..] {
            [] => 0,
            [first, rest @ ..] => rest.len() * 8 + (8 - first.leading_zeros() as usize),
        }
    }

    /// Verifies a signature with the first of these algorithms that is for this kind of key.
    ///
    /// # Errors
    /// [`SignatureError::Unsupported`] if none is, [`SignatureError::Invalid`] if the key did not make the signature.
    pub fn verify<'v>(
        &self,
        algorithms: impl IntoIterator<Item = &'v dyn SignatureVerificationAlgorithm>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let kind = self.algorithm();
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        let can_make = |it: &&dyn SignatureVerificationAlgorithm| {
            kind.can_make(&SignatureAlgorithm::of(it.signature_alg_id().as_ref()))
        };
        if !algorithms.is_empty() && !algorithms.iter().any(can_make) {
            return Err(SignatureError::Invalid);
        }
        let for_this_key =
            |it: &&dyn SignatureVerificationAlgorithm| it.public_key_alg_id().as_ref() == self.algorithm_id;
        let mut candidates = algorithms.into_iter().filter(for_this_key).peekable();
        // Libraries refuse weak RSA keys, which does not mean that the signature is wrong.
        if candidates.peek().is_none() || kind.is_weak() {
            return Err(SignatureError::Unsupported);
        }
        match candidates.any(|it| it.verify_signature(self.key, message, signature).is_ok()) {
            true => Ok(()),
            false => Err(SignatureError::Invalid),
        }
    }

    /// Verifies a signature with those of these algorithms that have this identifier, the content of an
    /// AlgorithmIdentifier.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub(crate) fn verify_as(
        &self,
        signature_id: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if !self.algorithm().can_make(&SignatureAlgorithm::of(signature_id)) {
            return Err(SignatureError::Invalid);
        }
        let named = algorithms.iter().copied().filter(|it| it.signature_alg_id().as_ref() == signature_id);
        self.verify(named, message, signature)
    }

    /// Returns the octets of the key without the algorithm, from which OCSP computes a hash.
    pub(crate) fn octets(&self) -> &'a [u8] {
        self.key
    }
}

impl KeyAlgorithm {
    /// Returns whether the key is so short that an attacker may compute the private key.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Rsa { bits } | Self::RsaPss { bits } => *bits < MIN_RSA_BITS,
            Self::Ec(EllipticCurve::P(bits) | EllipticCurve::Brainpool(bits)) => *bits < MIN_CURVE_BITS,
            _ => false,
        }
    }
}

impl KeyAlgorithm {
    /// Returns whether a key of this kind can make such a signature. Of unknown algorithms this is unknown.
    fn can_make(&self, signature: &SignatureAlgorithm) -> bool {
        use SignatureAlgorithm as Signature;
        match (self, signature) {
            (Self::Unknown(_), _) | (_, Signature::Unknown(_)) => true,
            (Self::Rsa { .. }, Signature::Rsa(_) | Signature::RsaPss(_)) => true,
            (Self::RsaPss { .. }, Signature::RsaPss(_)) => true,
            (Self::Ec(_), Signature::Ecdsa(_)) | (Self::Dsa, Signature::Dsa(_)) => true,
            (Self::Ed25519, Signature::Ed25519) | (Self::Ed448, Signature::Ed448) => true,
            (Self::MlDsa(own), Signature::MlDsa(other)) => own == other,
            _ => false,
        }
    }
}

impl EllipticCurve {
    fn of(oid: Oid<'_>) -> Self {
        match oid.content() {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1] => Self::P(192),
            [0x2b, 0x81, 4, 0, 33] => Self::P(224),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => Self::P(256),
            [0x2b, 0x81, 4, 0, 34] => Self::P(384),
            [0x2b, 0x81, 4, 0, 35] => Self::P(521),
            [0x2b, 0x81, 4, 0, 10] => Self::Secp256k1,
            // The odd numbers are those of the "r1" curves.
            [0x2b, 0x24, 3, 3, 2, 8, 1, 1, number @ (1 | 3 | 5 | 7 | 9 | 11 | 13)] => {
                Self::Brainpool([160, 192, 224, 256, 320, 384, 512][usize::from(number / 2)])
            }
            _ => Self::Named(oid.to_string()),
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits} bits"),
            Self::RsaPss { bits } => write!(f, "RSA-PSS {bits} bits"),
            Self::Ec(curve) => write!(f, "EC {curve}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::Dsa => f.write_str("DSA"),
            Self::MlDsa(set) => write!(f, "ML-DSA-{set}"),
            Self::Unknown(oid) => f.write_str(oid),
        }
    }
}

impl fmt::Display for EllipticCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P(bits) => write!(f, "P-{bits}"),
            Self::Brainpool(bits) => write!(f, "brainpoolP{bits}r1"),
            Self::Secp256k1 => f.write_str("secp256k1"),
            Self::Named(oid) => f.write_str(oid),
            Self::Explicit => f.write_str("with explicit parameters"),
        }
    }
}
