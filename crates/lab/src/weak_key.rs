//! An RSA key of 1024 bits, for servers that clients must refuse. The TLS library does not sign with such keys.

use std::sync::Arc;

use num_bigint::BigUint;
use rcgen::{PKCS_RSA_SHA256, PublicKeyData};
use sha2::{Digest, Sha256};
use starttls::rustls::sign::{CertifiedKey, Signer, SigningKey};
use starttls::rustls::{Error, SignatureAlgorithm, SignatureScheme};

use crate::ca::{Authority, Leaf};

/// The modulus of a public test key. The public exponent is 65537.
const MODULUS: &[u8] = b"\
    e9d909e77607f424886edcc89696233809ba80e66957f70409422f0c5f404af0\
    b594c075cd91d2aa61268ce59498974918f18c68bdd18fa5b61f8bd05ecb2f3c\
    13cac0727bce06a317babf14277822d5d0cf91058cb57b0d8262a5826e81fa98\
    2a165b29917cae3e590481de3206dea382d026ebfc6f40b01e69dfcbf157dca5";
const EXPONENT: &[u8] = b"\
    359556f0a39a14f65e10d12461650bb2e67fc6d38525f3e307e01379c945a926\
    58e539e8846f3a8f71ed6c719ac8103a5eadd297998f30542f54312c50dc4bf9\
    0ef0d209ca09d18be07513648c0dd2d88cc678d5392c7536ea0c32ed7d3c24c1\
    092843b766b3befdbe3681510489e7d53369a253f6690e584a8c0fe308f11581";
const OCTETS: usize = 128;

#[derive(Clone, Debug)]
pub(crate) struct WeakKey {
    modulus: BigUint,
    exponent: BigUint,
    /// `RSAPublicKey` (RFC 8017 appendix A.1.1).
    public: Vec<u8>,
}

impl WeakKey {
    /// Issues a certificate for this key.
    pub(crate) fn certified(authority: &Authority, leaf: &Leaf) -> Result<CertifiedKey, crate::error::Error> {
        let key = Self::new();
        let chain = authority.issue_for(leaf, &key)?;
        Ok(CertifiedKey::new(chain, Arc::new(key)))
    }

    fn new() -> Self {
        let number = |digits| BigUint::parse_bytes(digits, 16).unwrap_or_default();
        let (modulus, exponent) = (number(MODULUS), number(EXPONENT));
        let public =
            [&[0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0][..], &modulus.to_bytes_be(), &[0x02, 3, 1, 0, 1]]
                .concat();
        Self { modulus, exponent, public }
    }
}

impl PublicKeyData for WeakKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for WeakKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for WeakKey {
    /// RSASSA-PSS (RFC 8017 section 8.1.1).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = BigUint::from_bytes_be(&encoded(message)).modpow(&self.exponent, &self.modulus);
        let digits = signed.to_bytes_be();
        Ok([vec![0; OCTETS.saturating_sub(digits.len())], digits].concat())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// EMSA-PSS with SHA-256 (RFC 8017 section 9.1.1). The salt is fixed, since the key is public.
fn encoded(message: &[u8]) -> Vec<u8> {
    let salt = [0x5a; 32];
    let hash = Sha256::digest([&[0; 8][..], &Sha256::digest(message), &salt].concat());
    let mut block = [&[0; OCTETS - 32 - 32 - 2][..], &[1], &salt].concat();
    // MGF1 (appendix B.2.1).
    let mask = (0u32..4).flat_map(|counter| Sha256::digest([&hash[..], &counter.to_be_bytes()].concat()));
    block.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    // The number must be below the modulus.
    block[0] &= 0x7f;
    [&block[..], &hash, &[0xbc]].concat()
}
