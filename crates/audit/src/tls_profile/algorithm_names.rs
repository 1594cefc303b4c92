//! The names by which profiles rate the keys and signatures of certificates. They leave out what profiles rate elsewhere or
//! not at all: the size of an RSA key, and the hash of RSA-PSS.

use starttls_x509::{EllipticCurve, HashAlgorithm, KeyAlgorithm, SignatureAlgorithm};

/// Returns the name of a kind of key; `None` if profiles cannot name it.
pub(super) fn key(key: &KeyAlgorithm) -> Option<String> {
    match key {
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::RsaPss { .. } => Some(String::from("RSA")),
        KeyAlgorithm::Unknown(_) | KeyAlgorithm::Ec(EllipticCurve::Named(_) | EllipticCurve::Explicit) => {
            None
        }
        other => Some(other.to_string()),
    }
}

/// Returns the name of a signature algorithm; `None` if profiles cannot name it.
pub(super) fn signature(signature: &SignatureAlgorithm) -> Option<String> {
    match signature {
        SignatureAlgorithm::RsaPss(_) => Some(String::from("RSA-PSS")),
        other => other.is_known().then(|| other.to_string()),
    }
}

/// Returns the names of the kinds of keys.
pub(super) fn keys() -> Vec<String> {
    let curves = [192, 224, 256, 384, 521].map(EllipticCurve::P).into_iter();
    let brainpool = [160, 192, 224, 256, 320, 384, 512].map(EllipticCurve::Brainpool);
    let curves = curves.chain(brainpool).chain([EllipticCurve::Secp256k1]).map(KeyAlgorithm::Ec);
    let others = [KeyAlgorithm::Ed25519, KeyAlgorithm::Ed448, KeyAlgorithm::Dsa];
    let lattices = [44, 65, 87].map(KeyAlgorithm::MlDsa);
    let all = [KeyAlgorithm::Rsa { bits: 0 }].into_iter().chain(curves).chain(others).chain(lattices);
    all.filter_map(|kind| key(&kind)).collect()
}

/// Returns the names of the signature algorithms.
pub(super) fn signatures() -> Vec<String> {
    use HashAlgorithm::{Md2, Md4, Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
    use SignatureAlgorithm as Signature;
    let hashes = [Md2, Md4, Md5, Sha1, Sha224, Sha256, Sha384, Sha512];
    let hashed =
        [Signature::Rsa, Signature::Ecdsa, Signature::Dsa].into_iter().flat_map(|kind| hashes.map(kind));
    let others = [Signature::RsaPss(None), Signature::Ed25519, Signature::Ed448];
    let all = hashed.chain(others).chain([44, 65, 87].map(Signature::MlDsa));
    all.filter_map(|it| signature(&it)).collect()
}
