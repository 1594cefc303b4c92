//! What a simulated TLS server offers, as data.

use starttls::proto::Protocol;
use starttls_hello::{CipherSuite, NamedGroup, Ssl2Kind, SuiteClass, SuiteFamily, Version};

/// A description of a TLS server: what it offers, and how it departs from the specifications.
#[derive(Clone, Copy, Debug)]
pub struct TlsModel {
    /// The kinds of SSL 2.0, if it is offered.
    pub ssl2: Option<&'static [Ssl2Kind]>,
    /// The versions from SSL 3.0 on.
    pub versions: &'static [Version],
    /// The suites of all versions in the server's order. A version offers those that are defined for it or an older one.
    pub suites: &'static [CipherSuite],
    /// The groups of all versions in the server's order.
    pub groups: &'static [NamedGroup],
    /// The size of the prime of finite-field Diffie-Hellman.
    pub dh_prime: DhPrime,
    /// Whether all connections get the same Diffie-Hellman value.
    pub reuses_dh_value: bool,
    /// Whether the curve is described by its parameters instead of its name.
    pub explicit_curve: bool,
    /// Whether the server signs with SHA-1 for a client that offers nothing else.
    pub signs_with_sha1: bool,
    /// Whether the server agrees to compression.
    pub compression: bool,
    /// Whether the server supports the extended master secret.
    pub extended_master_secret: bool,
    /// Whether the server agrees to heartbeats.
    pub heartbeat: bool,
    /// Whether the server honors TLS_FALLBACK_SCSV.
    pub fallback_scsv: bool,
    /// Whether a server with TLS 1.3 marks the random of older versions.
    pub downgrade_mark: bool,
    /// Whether the server asks for a client certificate.
    pub client_certificate: bool,
    /// Whether the server closes the connection instead of sending an alert.
    pub closes: bool,
    /// A class of suites that the server chooses and cannot use.
    pub broken: Option<SuiteClass>,
    /// Whether the server refuses a hello with a version newer than its newest one, instead of choosing an older one.
    pub refuses_newer_versions: bool,
    /// The most octets of a ClientHello that the server answers.
    pub longest_hello: usize,
}

/// The size of a prime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhPrime {
    /// 512 bits, as export suites require.
    Bits512,
    /// 1024 bits: the second Oakley group (RFC 2409 section 6.2).
    Bits1024,
    /// 2048 bits: group 14 (RFC 3526 section 3).
    Bits2048,
}

impl DhPrime {
    /// Returns the size in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits512 => 512,
            Self::Bits1024 => 1024,
            Self::Bits2048 => 2048,
        }
    }

    /// Returns the prime in hexadecimal digits.
    pub(super) const fn digits(self) -> &'static str {
        match self {
            Self::Bits512 => {
                "e34c235c0c834e08ba9a0e03cec698d38cacc78825663f558ce51aeba9cfa62c\
                 bc03dc0c87123d4797915c34ab9ad998980284c96d0585abaf6bedd57f6dac63"
            }
            Self::Bits1024 => {
                "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
                 020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
                 4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                 ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff"
            }
            Self::Bits2048 => {
                "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
                 020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
                 4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                 ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
                 98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
                 9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
                 e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
                 3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"
            }
        }
    }
}

impl TlsModel {
    /// A server without a weakness: TLS 1.2 and 1.3 with the suites and groups of a modern library.
    pub const SOUND: Self = Self {
        ssl2: None,
        versions: &[Version::Tls12, Version::Tls13],
        suites: &GOOD,
        groups: &CURVES,
        dh_prime: DhPrime::Bits2048,
        reuses_dh_value: false,
        explicit_curve: false,
        signs_with_sha1: false,
        compression: false,
        extended_master_secret: true,
        heartbeat: false,
        fallback_scsv: true,
        downgrade_mark: true,
        client_certificate: false,
        closes: false,
        broken: None,
        refuses_newer_versions: false,
        longest_hello: usize::MAX,
    };

    /// Returns the newest version.
    pub fn newest(&self) -> Option<Version> {
        self.versions.iter().copied().max()
    }

    /// Returns whether a current TLS library can complete a handshake with the server.
    pub(super) fn has_modern_suite(&self) -> bool {
        self.newest() >= Some(Version::Tls12) && self.suites.iter().any(|suite| GOOD.contains(suite))
    }

    /// Returns the suites that the server can use at a version, in its order.
    pub fn suites(&self, version: Version) -> impl Iterator<Item = CipherSuite> {
        let offers = self.versions.contains(&version);
        self.suites
            .iter()
            .copied()
            .filter(move |suite| offers && is_defined(suite, version) && Some(suite.class()) != self.broken)
    }
}

/// Returns whether the suite can be negotiated at the version. Like common libraries, the server uses the suites of SSL 3.0
/// to TLS 1.1 in each of these versions, and in TLS 1.2.
pub(super) fn is_defined(suite: &CipherSuite, version: Version) -> bool {
    suite.info().is_some_and(|info| match version {
        Version::Tls13 => info.family == SuiteFamily::Tls13,
        Version::Tls12 => info.family != SuiteFamily::Tls13,
        _ => info.min < Version::Tls12,
    })
}

/// The suites of the TLS library of the lab: ECDHE with AES-GCM and ChaCha20, for both kinds of keys.
const GOOD: [CipherSuite; 9] = [
    CipherSuite(0x1302),
    CipherSuite(0x1301),
    CipherSuite(0x1303),
    CipherSuite(0xc02c),
    CipherSuite(0xc02b),
    CipherSuite(0xcca9),
    CipherSuite(0xc030),
    CipherSuite(0xc02f),
    CipherSuite(0xcca8),
];

const X25519_MLKEM768: NamedGroup = NamedGroup(0x11ec);
const SECP384R1: NamedGroup = NamedGroup(0x0018);
const SECP192R1: NamedGroup = NamedGroup(0x0013);
const CURVES: [NamedGroup; 4] = [X25519_MLKEM768, NamedGroup::X25519, NamedGroup::SECP256R1, SECP384R1];
const WEAK_CURVES: [NamedGroup; 5] =
    [X25519_MLKEM768, NamedGroup::X25519, NamedGroup::SECP256R1, SECP384R1, SECP192R1];

/// Returns the good suites with one after them.
const fn good_and(last: CipherSuite) -> [CipherSuite; 10] {
    let mut suites = [last; 10];
    let mut at = 0;
    while at < GOOD.len() {
        suites[at] = GOOD[at];
        at += 1;
    }
    suites
}

const WITH_CBC: [CipherSuite; 10] = good_and(CipherSuite(0xc013));
const WITH_NULL: [CipherSuite; 10] = good_and(CipherSuite(0x003b));
const WITH_ANONYMOUS: [CipherSuite; 10] = good_and(CipherSuite(0xc018));
const WITH_EXPORT: [CipherSuite; 10] = good_and(CipherSuite(0x0003));
const WITH_RC4: [CipherSuite; 10] = good_and(CipherSuite(0xc011));
const WITH_3DES: [CipherSuite; 10] = good_and(CipherSuite(0xc012));
const WITH_STATIC_RSA: [CipherSuite; 10] = good_and(CipherSuite(0x009c));
const WITH_DHE: [CipherSuite; 10] = good_and(CipherSuite(0x009e));

/// Suites of TLS 1.0: AES and 3DES in CBC mode, and RC4, with and without forward secrecy.
const OLD_SUITES: [CipherSuite; 5] =
    [CipherSuite(0xc013), CipherSuite(0x002f), CipherSuite(0x0035), CipherSuite(0x000a), CipherSuite(0x0005)];
const STATIC_SUITES: [CipherSuite; 2] = [CipherSuite(0x009c), CipherSuite(0x002f)];

/// SSL_CK_RC4_128_WITH_MD5 and SSL_CK_DES_192_EDE3_CBC_WITH_MD5.
const SSL2_KINDS: [Ssl2Kind; 2] = [Ssl2Kind([1, 0, 0x80]), Ssl2Kind([7, 0, 0xc0])];

/// A weakness that a TLS server shows in its first flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsWeakness {
    /// SSL 2.0 is offered.
    Ssl2,
    /// SSL 3.0 is offered, with CBC suites.
    Ssl3,
    /// TLS 1.0 and 1.1 are offered.
    DeprecatedTls,
    /// A suite without encryption is offered.
    NullSuite,
    /// A suite without authentication is offered.
    AnonymousSuite,
    /// An export suite is offered, with an RSA key of 512 bits.
    ExportSuite,
    /// A suite with RC4 is offered.
    Rc4Suite,
    /// A suite with 64-bit blocks is offered.
    TripleDesSuite,
    /// A suite without forward secrecy is offered.
    StaticRsaSuite,
    /// Finite-field Diffie-Hellman is offered.
    FiniteField,
    /// The prime of finite-field Diffie-Hellman has 512 bits.
    Prime512,
    /// The prime of finite-field Diffie-Hellman has 1024 bits.
    Prime1024,
    /// The Diffie-Hellman value is the same in all connections.
    ReusedValue,
    /// A suite in CBC mode is offered.
    CbcSuite,
    /// P-192 is accepted.
    WeakCurve,
    /// The curve is described by its parameters.
    ExplicitCurve,
    /// The handshake is signed with SHA-1 if the client permits nothing else.
    Sha1Signature,
    /// Compression is accepted.
    Compression,
    /// The extended master secret is not supported.
    NoExtendedMasterSecret,
    /// TLS_FALLBACK_SCSV is ignored.
    NoFallbackScsv,
    /// A server with TLS 1.3 does not mark the random of older versions.
    NoDowngradeMark,
    /// Heartbeats are accepted.
    Heartbeat,
    /// A client certificate is requested, with the names of authorities.
    ClientCertificate,
    /// A class of suites is chosen, and then fails.
    BrokenClass,
    /// TLS 1.0 is the newest version.
    OnlyTls10,
    /// No suite has forward secrecy.
    OnlyStaticRsa,
    /// A hello with a newer version is refused, although the server has to choose an older one.
    NewerVersionsRefused,
    /// A hello of more than 255 octets is not answered.
    LongHelloIgnored,
}

impl TlsWeakness {
    /// Every weakness.
    pub const ALL: &'static [Self] = &[
        Self::Ssl2,
        Self::Ssl3,
        Self::DeprecatedTls,
        Self::NullSuite,
        Self::AnonymousSuite,
        Self::ExportSuite,
        Self::Rc4Suite,
        Self::TripleDesSuite,
        Self::StaticRsaSuite,
        Self::FiniteField,
        Self::Prime512,
        Self::Prime1024,
        Self::ReusedValue,
        Self::CbcSuite,
        Self::WeakCurve,
        Self::ExplicitCurve,
        Self::Sha1Signature,
        Self::Compression,
        Self::NoExtendedMasterSecret,
        Self::NoFallbackScsv,
        Self::NoDowngradeMark,
        Self::Heartbeat,
        Self::ClientCertificate,
        Self::BrokenClass,
        Self::OnlyTls10,
        Self::OnlyStaticRsa,
        Self::NewerVersionsRefused,
        Self::LongHelloIgnored,
    ];

    /// Returns the check that must report the weakness.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Ssl2 | Self::Ssl3 => "tls-ssl",
            Self::DeprecatedTls => "tls-deprecated",
            Self::NullSuite => "tls-null",
            Self::AnonymousSuite => "tls-anon",
            Self::ExportSuite => "tls-export",
            Self::Rc4Suite => "tls-weak",
            Self::TripleDesSuite => "tls-block",
            Self::StaticRsaSuite => "tls-static",
            Self::FiniteField => "tls-dhe",
            Self::Prime512 | Self::Prime1024 => "tls-dh-size",
            Self::ReusedValue => "tls-dh-reuse",
            Self::CbcSuite => "tls-cbc",
            Self::WeakCurve | Self::ExplicitCurve => "tls-curve",
            Self::Sha1Signature => "tls-hash",
            Self::Compression => "tls-compression",
            Self::NoExtendedMasterSecret => "tls-master",
            Self::NoFallbackScsv | Self::NoDowngradeMark => "tls-fallback",
            Self::Heartbeat => "tls-heartbeat",
            Self::ClientCertificate => "tls-client-auth",
            Self::BrokenClass => "tls-broken",
            Self::OnlyTls10 => "tls-none",
            Self::OnlyStaticRsa => "tls-suite",
            Self::NewerVersionsRefused | Self::LongHelloIgnored => "tls-intolerant",
        }
    }

    /// Returns the other checks that report the weakness, since it implies a problem of theirs.
    pub const fn also(self) -> &'static [&'static str] {
        match self {
            // The server has to offer an old version for the fallback.
            Self::NoFallbackScsv => &["tls-deprecated"],
            Self::OnlyTls10 | Self::NewerVersionsRefused => &[
                "tls-none",
                "tls-old",
                "tls-deprecated",
                "tls-suite",
                "tls-weak",
                "tls-block",
                "tls-static",
                "tls-cbc",
                "tls-fallback",
            ],
            Self::OnlyStaticRsa => &["tls-old", "tls-static"],
            _ => &[],
        }
    }

    /// Returns whether a current TLS library completes a handshake with the server.
    pub fn has_session(self) -> bool {
        self.model().has_modern_suite()
    }

    /// Returns whether a server of this protocol can have the weakness. Before TLS, the octets of an SSL 2.0 hello look like
    /// cleartext unless the client waits for the answer to its request.
    pub fn applies_to(self, protocol: &Protocol) -> bool {
        self != Self::Ssl2 || protocol.flow.request_is_answered
    }

    /// Returns the description of a server with this weakness and no other, as far as it can exist alone.
    pub const fn model(self) -> TlsModel {
        const SOUND: TlsModel = TlsModel::SOUND;
        const OLD: TlsModel = TlsModel {
            versions: &[Version::Tls10, Version::Tls11, Version::Tls12, Version::Tls13],
            suites: &WITH_CBC,
            ..SOUND
        };
        match self {
            Self::Ssl2 => TlsModel { ssl2: Some(&SSL2_KINDS), ..SOUND },
            Self::Ssl3 => TlsModel {
                versions: &[Version::Ssl3, Version::Tls12, Version::Tls13],
                suites: &WITH_CBC,
                ..SOUND
            },
            Self::DeprecatedTls => OLD,
            Self::NullSuite => TlsModel { suites: &WITH_NULL, ..SOUND },
            Self::AnonymousSuite => TlsModel { suites: &WITH_ANONYMOUS, ..SOUND },
            Self::ExportSuite => TlsModel { suites: &WITH_EXPORT, ..SOUND },
            Self::Rc4Suite => TlsModel { suites: &WITH_RC4, ..SOUND },
            Self::TripleDesSuite => TlsModel { suites: &WITH_3DES, ..SOUND },
            Self::StaticRsaSuite => TlsModel { suites: &WITH_STATIC_RSA, ..SOUND },
            Self::FiniteField => TlsModel { suites: &WITH_DHE, ..SOUND },
            Self::Prime512 => TlsModel { suites: &WITH_DHE, dh_prime: DhPrime::Bits512, ..SOUND },
            Self::Prime1024 => TlsModel { suites: &WITH_DHE, dh_prime: DhPrime::Bits1024, ..SOUND },
            Self::ReusedValue => TlsModel { suites: &WITH_DHE, reuses_dh_value: true, ..SOUND },
            Self::CbcSuite => TlsModel { suites: &WITH_CBC, ..SOUND },
            Self::WeakCurve => TlsModel { groups: &WEAK_CURVES, ..SOUND },
            Self::ExplicitCurve => TlsModel { explicit_curve: true, ..SOUND },
            Self::Sha1Signature => TlsModel { signs_with_sha1: true, ..SOUND },
            Self::Compression => TlsModel { compression: true, ..SOUND },
            Self::NoExtendedMasterSecret => TlsModel { extended_master_secret: false, ..SOUND },
            Self::NoFallbackScsv => TlsModel { fallback_scsv: false, ..OLD },
            Self::NoDowngradeMark => TlsModel { downgrade_mark: false, ..SOUND },
            Self::Heartbeat => TlsModel { heartbeat: true, ..SOUND },
            Self::ClientCertificate => TlsModel { client_certificate: true, ..SOUND },
            Self::BrokenClass => {
                TlsModel { suites: &WITH_STATIC_RSA, broken: Some(SuiteClass::Static), ..SOUND }
            }
            Self::OnlyTls10 => TlsModel { versions: &[Version::Tls10], suites: &OLD_SUITES, ..SOUND },
            Self::OnlyStaticRsa => TlsModel { versions: &[Version::Tls12], suites: &STATIC_SUITES, ..SOUND },
            Self::NewerVersionsRefused => TlsModel {
                versions: &[Version::Tls10],
                suites: &OLD_SUITES,
                refuses_newer_versions: true,
                ..SOUND
            },
            Self::LongHelloIgnored => TlsModel { longest_hello: 255, ..SOUND },
        }
    }
}
