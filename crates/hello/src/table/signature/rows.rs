//! The rows of `data/signatures.tsv`. `tests/tables.rs` compares both.

use super::{SchemeInfo, Strength as S};

macro_rules! schemes {
    ($($code:literal $name:literal $key:literal $hash:literal $tls12:literal $tls13:literal $class:ident;)*) => {
        &[$(SchemeInfo {
            code: $code, name: $name, key: $key, hash: $hash, tls12: $tls12, tls13: $tls13, class: S::$class,
        }),*]
    };
}

/// Code, name, key, hash, TLS 1.2, TLS 1.3, class.
pub(super) const SCHEMES: &[SchemeInfo] = schemes! {
    0x0101 "rsa_pkcs1_md5" "RSA" "MD5" true false Broken;
    0x0102 "dsa_md5" "DSA" "MD5" true false Broken;
    0x0103 "ecdsa_md5" "EC" "MD5" true false Broken;
    0x0201 "rsa_pkcs1_sha1" "RSA" "SHA-1" true false Broken;
    0x0202 "dsa_sha1" "DSA" "SHA-1" true false Broken;
    0x0203 "ecdsa_sha1" "EC" "SHA-1" true false Broken;
    0x0301 "rsa_pkcs1_sha224" "RSA" "SHA-224" true false Weak;
    0x0302 "dsa_sha224" "DSA" "SHA-224" true false Weak;
    0x0303 "ecdsa_sha224" "EC" "SHA-224" true false Weak;
    0x0401 "rsa_pkcs1_sha256" "RSA" "SHA-256" true false Acceptable;
    0x0402 "dsa_sha256" "DSA" "SHA-256" true false Weak;
    0x0403 "ecdsa_secp256r1_sha256" "EC" "SHA-256" true true Good;
    0x0501 "rsa_pkcs1_sha384" "RSA" "SHA-384" true false Acceptable;
    0x0502 "dsa_sha384" "DSA" "SHA-384" true false Weak;
    0x0503 "ecdsa_secp384r1_sha384" "EC" "SHA-384" true true Good;
    0x0601 "rsa_pkcs1_sha512" "RSA" "SHA-512" true false Acceptable;
    0x0602 "dsa_sha512" "DSA" "SHA-512" true false Weak;
    0x0603 "ecdsa_secp521r1_sha512" "EC" "SHA-512" true true Good;
    0x0708 "sm2sig_sm3" "SM2" "SM3" false true Exotic;
    0x0709 "gostr34102012_256a" "GOST" "Streebog" false true Exotic;
    0x070A "gostr34102012_256b" "GOST" "Streebog" false true Exotic;
    0x070B "gostr34102012_256c" "GOST" "Streebog" false true Exotic;
    0x070C "gostr34102012_256d" "GOST" "Streebog" false true Exotic;
    0x070D "gostr34102012_512a" "GOST" "Streebog" false true Exotic;
    0x070E "gostr34102012_512b" "GOST" "Streebog" false true Exotic;
    0x070F "gostr34102012_512c" "GOST" "Streebog" false true Exotic;
    0x0804 "rsa_pss_rsae_sha256" "RSA" "SHA-256" true true Good;
    0x0805 "rsa_pss_rsae_sha384" "RSA" "SHA-384" true true Good;
    0x0806 "rsa_pss_rsae_sha512" "RSA" "SHA-512" true true Good;
    0x0807 "ed25519" "Ed25519" "intrinsic" true true Good;
    0x0808 "ed448" "Ed448" "intrinsic" true true Good;
    0x0809 "rsa_pss_pss_sha256" "RSA-PSS" "SHA-256" true true Good;
    0x080A "rsa_pss_pss_sha384" "RSA-PSS" "SHA-384" true true Good;
    0x080B "rsa_pss_pss_sha512" "RSA-PSS" "SHA-512" true true Good;
    0x081A "ecdsa_brainpoolP256r1tls13_sha256" "EC" "SHA-256" false true Acceptable;
    0x081B "ecdsa_brainpoolP384r1tls13_sha384" "EC" "SHA-384" false true Acceptable;
    0x081C "ecdsa_brainpoolP512r1tls13_sha512" "EC" "SHA-512" false true Acceptable;
    0x0840 "gostr34102012_256_intrinsic" "GOST" "Streebog" true false Exotic;
    0x0841 "gostr34102012_512_intrinsic" "GOST" "Streebog" true false Exotic;
    0x0904 "mldsa44" "ML-DSA" "intrinsic" false true PostQuantum;
    0x0905 "mldsa65" "ML-DSA" "intrinsic" false true PostQuantum;
    0x0906 "mldsa87" "ML-DSA" "intrinsic" false true PostQuantum;
};
