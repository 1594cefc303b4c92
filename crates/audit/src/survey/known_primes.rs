//! The primes of finite-field Diffie-Hellman that many servers share, by their hash.
//!
//! The primes of RFC 2409, 3526 and 7919 were computed from their formulas, and those of RFC 5114 come from the document. The
//! others were compiled into widely used software; they are public, and scanners such as those of the Logjam study list them.

/// A prime of Diffie-Hellman: its size in bits, the SHA-256 of its octets without leading zeros, and its name.
type KnownPrime = (u32, &'static str, &'static str);

/// Returns the name of a prime by its SHA-256 in hexadecimal digits.
pub(super) fn name(sha256: &str) -> Option<&'static str> {
    KNOWN_PRIMES.iter().find(|(_, known, _)| *known == sha256).map(|(.., name)| *name)
}

#[rustfmt::skip] // One prime per line.
const KNOWN_PRIMES: &[KnownPrime] = &[
    (768, "b52ba6a3026520a6c49d37e4587601801bee500123b3259b6bf03e7cecc3e63d", "group 1 of RFC 2409"),
    (1024, "3f35a3f5f6c4376a744acad409bb22f8d897f949d2311d885adaa890981b67a0", "group 2 of RFC 2409"),
    (1536, "64fcc83ec403930bf18393dbc883ccaa1fbb08ac876f77f7aa99748ca945019b", "group 5 of RFC 3526"),
    (2048, "d66436f79bbd6b2e38c0ffbd079be904d2641415e2e67140e09448be9a60890e", "group 14 of RFC 3526"),
    (3072, "48cf8b092fbce4359d9871abf74f98e25b6163379eaa15cd9087e800c6d1c55c", "group 15 of RFC 3526"),
    (4096, "4ee95187682bcb230ad26a95205f6920e84708f6251b3894329b09ec23919e33", "group 16 of RFC 3526"),
    (6144, "d1bfe6d0925ce7e4da262b62861514a7755e35831e429f343e7b864848657efd", "group 17 of RFC 3526"),
    (8192, "39ab4feab950a3128fb71accb9fc3965d857012e081998a85996e3ea8b3c3bcf", "group 18 of RFC 3526"),
    (2048, "9cd3b7f336872f46c09428d1bbc19877a4d440512cda8d1c1cf0cd6e33698966", "ffdhe2048 of RFC 7919"),
    (3072, "0eaf67db3a839156d5013494a5318a772b5697d270d721f37f092efc69ea5a17", "ffdhe3072 of RFC 7919"),
    (4096, "4648414224ac881b3d0dc59b466f96d06a558278776807797ecf1f66ff397b3e", "ffdhe4096 of RFC 7919"),
    (6144, "227ac9066b3ddd9e193670cda2388fa884f65ba0cf98b742d1fe77a6687c79c7", "ffdhe6144 of RFC 7919"),
    (8192, "770b14efaf6f049929c523113b3fa99a8d11dab1b18af3609590122075d19833", "ffdhe8192 of RFC 7919"),
    (512, "3cdb020b9ef298b2f3f6cf5a872af527337bf7b9f654b2e70c49da16a4d24137", "the prime of Apache mod_ssl 2.0"),
    (1024, "f79d1db3c955a28fdeca462670a0712efee4b588c7858e4943883f903bd1354b", "the prime of Apache mod_ssl 2.0"),
    (512, "db01e702899166da28c9bc7896af62bcdf0c96d0fb341950ba80e68bd51a57ef", "the prime of Apache mod_ssl 2.2"),
    (1024, "bf910d9df4e0b2e76cda7443f592aa118e33ba2c224ebc27fb8978d873c8c2e3", "the prime of Apache mod_ssl 2.2"),
    (1024, "8ae47dca3d24e9b64640062686da234dcabada26b0da6f090c5449c1338d9a11", "the prime of nginx"),
    (512, "73b391ec8da33ee197aed17d7cfce1321b94e04c5b55b3c02c1c7198eb88715b", "the prime of Java"),
    (768, "ee5483fe4b96caa10cb5b863ec409aab2762e6bf43af4a8a0a42817fef4dd7f3", "the prime of Java"),
    (1024, "cc21a33dd1a3edf40bf636b5496e4aede198a437a8548e0cc1a621424e42419b", "the prime of Java"),
    (512, "f26e2403f3f07946654404909f0ff81d9354de17250411b4c04b89af73178425", "the prime of OpenSSL"),
    (1024, "66d0bf38b0bdfacf2fdae33f35102ab6079fd5ff0feff8e436a4063745c72739", "the prime of OpenSSL"),
    (2048, "3166ce19180005327a6059a2e7a4ed22775ad2f0eadaee59a7481ab391fe592f", "the prime of OpenSSL"),
    (2048, "9e348a9471b7d123aa97071e38288379fc12a9992e8e75db2113c1ded5463ac3", "the prime of OpenSSL"),
    (4096, "ce7728db3aed1119a82b9f17b17df9f8e370ddd7639946df09a119f924aa42e8", "the prime of OpenSSL"),
    (1024, "44c55cfee5c075927cf682da5b681bdecbd5c3eb0784c14f5dce7610f0ef133d", "group 22 of RFC 5114"),
    (2048, "bfe545862ca102ad1eeddb5fbfa5bf855ac4995c56a8b408ce3fe099dce93a9d", "group 23 of RFC 5114"),
    (2048, "0b7835722cb619827610c2549fdda5587421686c4409a13865e76225522ddcc9", "group 24 of RFC 5114"),
    (2048, "7b6551ea6ff09bd78c24bede10980a155f70b6c81e48b4dd8bec822ab3bf0e94", "the prime of HAProxy"),
    (1024, "ef627d8cc44144f36a075d8dd8511bbd278cb5cf438f1052bdbdabe715232c1e", "the prime of Postfix"),
    (1024, "bfa876fe4671a9c696c8e256c13d7fadaa05c8991660e0924604ff7b239c6d1a", "the prime of IronPort"),
];

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use starttls_x509::{hex, sha256};

    use super::*;

    /// The groups that OpenSSL knows by name.
    const OPENSSL: &[(&str, u32, &str)] = &[
        ("modp_1536", 1536, "group 5 of RFC 3526"),
        ("modp_2048", 2048, "group 14 of RFC 3526"),
        ("modp_3072", 3072, "group 15 of RFC 3526"),
        ("modp_4096", 4096, "group 16 of RFC 3526"),
        ("modp_6144", 6144, "group 17 of RFC 3526"),
        ("modp_8192", 8192, "group 18 of RFC 3526"),
        ("ffdhe2048", 2048, "ffdhe2048 of RFC 7919"),
        ("ffdhe3072", 3072, "ffdhe3072 of RFC 7919"),
        ("ffdhe4096", 4096, "ffdhe4096 of RFC 7919"),
        ("ffdhe6144", 6144, "ffdhe6144 of RFC 7919"),
        ("ffdhe8192", 8192, "ffdhe8192 of RFC 7919"),
        ("dh_1024_160", 1024, "group 22 of RFC 5114"),
        ("dh_2048_224", 2048, "group 23 of RFC 5114"),
        ("dh_2048_256", 2048, "group 24 of RFC 5114"),
    ];

    /// Runs OpenSSL with this input and returns its output.
    fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Returns the prime of a group: the first INTEGER of its parameters.
    fn prime(group: &str) -> Vec<u8> {
        let group = format!("group:{group}");
        let parameters = openssl(&["genpkey", "-genparam", "-algorithm", "DHX", "-pkeyopt", &group], b"");
        let parsed = String::from_utf8(openssl(&["asn1parse"], &parameters)).unwrap();
        let integer = parsed.lines().find_map(|line| line.split_once("INTEGER")).unwrap();
        let digits = integer.1.trim_start_matches([' ', ':']).trim();
        let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(octet).collect()
    }

    #[test]
    fn openssl_has_the_same_primes() {
        for (group, bits, name) in OPENSSL {
            let prime = prime(group);
            let hash = hex(&sha256(&prime));
            assert!(KNOWN_PRIMES.contains(&(*bits, hash.as_str(), *name)), "{group}: {hash}");
            assert_eq!(prime.len() * 8, usize::try_from(*bits).unwrap(), "{group}");
        }
    }

    #[test]
    fn every_prime_is_listed_once() {
        for (at, (_, hash, name)) in KNOWN_PRIMES.iter().enumerate() {
            assert!(hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit()), "{name}");
            assert!(KNOWN_PRIMES[..at].iter().all(|(_, other, _)| other != hash), "{name}");
        }
    }
}
