//! Certificates with SHA-1 signatures (RFC 9155), which the libraries here no longer create.

use num_bigint::BigUint;
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SignatureAlgorithm, SigningKey};
use sha1::{Digest, Sha1};

use crate::error::Error;

/// The object identifiers sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017 appendix C): equally long.
const SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
const SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
/// The start of a DigestInfo with SHA-1 (RFC 8017 section 9.2, note 1).
const DIGEST_INFO: &[u8] = &[0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14];
const OCTETS: usize = 256;

/// An RSA key that signs with SHA-1, but reports SHA-256 to the library. [`corrected`] replaces the algorithm in the
/// certificate.
pub(crate) struct Sha1Key {
    key: KeyPair,
    modulus: BigUint,
    exponent: BigUint,
}

impl Sha1Key {
    /// Creates a key.
    pub(crate) fn new() -> Result<Self, Error> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let (modulus, exponent) = numbers(&key.serialize_der()).ok_or_else(|| Error::Io {
            what: String::from("an RSA key"),
            source: std::io::ErrorKind::InvalidData.into(),
        })?;
        Ok(Self { key, modulus, exponent })
    }
}

/// Returns the certificate with the real signature algorithm, in the signed part and after it.
pub(crate) fn corrected(certificate: &[u8]) -> Vec<u8> {
    let mut corrected = certificate.to_vec();
    let places = certificate.windows(SHA256.len()).enumerate().filter(|(_, it)| *it == SHA256);
    for (at, _) in places {
        corrected[at..at + SHA1.len()].copy_from_slice(SHA1);
    }
    corrected
}

impl PublicKeyData for Sha1Key {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Sha1Key {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.1).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let digest = [DIGEST_INFO, &Sha1::digest(corrected(message))].concat();
        let padding = vec![0xff; OCTETS - 3 - digest.len()];
        let block = [&[0, 1][..], &padding, &[0], &digest].concat();
        let signed = BigUint::from_bytes_be(&block).modpow(&self.exponent, &self.modulus).to_bytes_be();
        Ok([vec![0; OCTETS.saturating_sub(signed.len())], signed].concat())
    }
}

/// Returns the modulus and the private exponent of a PKCS #8 key (RFC 5208 section 5, RFC 8017 appendix A.1.2).
fn numbers(pkcs8: &[u8]) -> Option<(BigUint, BigUint)> {
    let (info, _) = value(pkcs8)?;
    let (_version, rest) = value(info)?;
    let (_algorithm, rest) = value(rest)?;
    let (key, _) = value(rest)?;
    let (key, _) = value(key)?;
    let (_version, rest) = value(key)?;
    let (modulus, rest) = value(rest)?;
    let (_public, rest) = value(rest)?;
    let (exponent, _) = value(rest)?;
    Some((BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent)))
}

/// Returns the content of the first DER value, and the bytes after it.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_tag, length, rest @ ..] = der else { return None };
    let more = usize::from(length & 0x7f);
    let (length, rest) = match length & 0x80 {
        0 => (more, rest),
        _ => {
            (rest.get(..more)?.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest.get(more..)?)
        }
    };
    rest.split_at_checked(length)
}
