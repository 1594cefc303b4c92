//! The rows of `data/groups.tsv`. `tests/tables.rs` compares both.

use super::{GroupInfo, GroupKind as K, Strength as S};

macro_rules! groups {
    ($($code:literal $name:literal $aliases:literal $kind:ident $bits:literal $strength:literal $tls12:literal
       $tls13:literal $share:literal $class:ident;)*) => {
        &[$(GroupInfo {
            code: $code, name: $name, aliases: $aliases, kind: K::$kind, bits: $bits, strength: $strength,
            tls12: $tls12, tls13: $tls13, share: $share, class: S::$class,
        }),*]
    };
}

/// Code, name, other names, kind, bits, strength, TLS 1.2, TLS 1.3, octets of a key share, class.
pub(super) const GROUPS: &[GroupInfo] = groups! {
    0x0001 "sect163k1" "K-163" Binary 163 80 true false 0 Broken;
    0x0002 "sect163r1" "" Binary 163 80 true false 0 Broken;
    0x0003 "sect163r2" "B-163" Binary 163 80 true false 0 Broken;
    0x0004 "sect193r1" "" Binary 193 96 true false 0 Broken;
    0x0005 "sect193r2" "" Binary 193 96 true false 0 Broken;
    0x0006 "sect233k1" "K-233" Binary 233 112 true false 0 Weak;
    0x0007 "sect233r1" "B-233" Binary 233 112 true false 0 Weak;
    0x0008 "sect239k1" "" Binary 239 118 true false 0 Weak;
    0x0009 "sect283k1" "K-283" Binary 283 128 true false 0 Exotic;
    0x000A "sect283r1" "B-283" Binary 283 128 true false 0 Exotic;
    0x000B "sect409k1" "K-409" Binary 409 192 true false 0 Exotic;
    0x000C "sect409r1" "B-409" Binary 409 192 true false 0 Exotic;
    0x000D "sect571k1" "K-571" Binary 571 256 true false 0 Exotic;
    0x000E "sect571r1" "B-571" Binary 571 256 true false 0 Exotic;
    0x000F "secp160k1" "" Koblitz 160 80 true false 0 Broken;
    0x0010 "secp160r1" "" Other 160 80 true false 0 Broken;
    0x0011 "secp160r2" "" Other 160 80 true false 0 Broken;
    0x0012 "secp192k1" "" Koblitz 192 96 true false 0 Broken;
    0x0013 "secp192r1" "P-192,prime192v1" Nist 192 96 true false 0 Broken;
    0x0014 "secp224k1" "" Koblitz 224 112 true false 0 Weak;
    0x0015 "secp224r1" "P-224" Nist 224 112 true false 0 Weak;
    0x0016 "secp256k1" "" Koblitz 256 128 true false 0 Exotic;
    0x0017 "secp256r1" "P-256,prime256v1" Nist 256 128 true true 65 Good;
    0x0018 "secp384r1" "P-384" Nist 384 192 true true 97 Good;
    0x0019 "secp521r1" "P-521" Nist 521 256 true true 133 Good;
    0x001A "brainpoolP256r1" "" Brainpool 256 128 true false 0 Acceptable;
    0x001B "brainpoolP384r1" "" Brainpool 384 192 true false 0 Acceptable;
    0x001C "brainpoolP512r1" "" Brainpool 512 256 true false 0 Acceptable;
    0x001D "x25519" "" Montgomery 255 128 true true 32 Good;
    0x001E "x448" "" Montgomery 448 224 true true 56 Good;
    0x001F "brainpoolP256r1tls13" "" Brainpool 256 128 false true 65 Acceptable;
    0x0020 "brainpoolP384r1tls13" "" Brainpool 384 192 false true 97 Acceptable;
    0x0021 "brainpoolP512r1tls13" "" Brainpool 512 256 false true 129 Acceptable;
    0x0022 "GC256A" "" Gost 256 128 true true 64 Exotic;
    0x0023 "GC256B" "" Gost 256 128 true true 64 Exotic;
    0x0024 "GC256C" "" Gost 256 128 true true 64 Exotic;
    0x0025 "GC256D" "" Gost 256 128 true true 64 Exotic;
    0x0026 "GC512A" "" Gost 512 256 true true 128 Exotic;
    0x0027 "GC512B" "" Gost 512 256 true true 128 Exotic;
    0x0028 "GC512C" "" Gost 512 256 true true 128 Exotic;
    0x0029 "curveSM2" "" Sm2 256 128 false true 65 Exotic;
    0x0100 "ffdhe2048" "" Ffdhe 2048 103 true true 256 Weak;
    0x0101 "ffdhe3072" "" Ffdhe 3072 125 true true 384 Acceptable;
    0x0102 "ffdhe4096" "" Ffdhe 4096 150 true true 512 Acceptable;
    0x0103 "ffdhe6144" "" Ffdhe 6144 175 true true 768 Acceptable;
    0x0104 "ffdhe8192" "" Ffdhe 8192 192 true true 1024 Acceptable;
    0x0200 "MLKEM512" "" MlKem 0 128 false true 800 PostQuantum;
    0x0201 "MLKEM768" "" MlKem 0 192 false true 1184 PostQuantum;
    0x0202 "MLKEM1024" "" MlKem 0 256 false true 1568 PostQuantum;
    0x11EB "SecP256r1MLKEM768" "" Hybrid 256 128 false true 1249 PostQuantum;
    0x11EC "X25519MLKEM768" "" Hybrid 255 128 false true 1216 PostQuantum;
    0x11ED "SecP384r1MLKEM1024" "" Hybrid 384 192 false true 1665 PostQuantum;
    0x11EE "curveSM2MLKEM768" "" Hybrid 256 128 false true 1249 PostQuantum;
    0x6399 "X25519Kyber768Draft00" "" Draft 255 128 false true 1216 Exotic;
    0xFF01 "arbitrary_explicit_prime_curves" "" Other 0 0 true false 0 Broken;
    0xFF02 "arbitrary_explicit_char2_curves" "" Other 0 0 true false 0 Broken;
};
