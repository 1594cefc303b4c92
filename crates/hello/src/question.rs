//! A question to a server: the offer of one ClientHello, and its topic.

use crate::client_hello::ClientHello;
use crate::extension::Extension;
use crate::flight::ServerFlight;
use crate::named::named;
use crate::ssl2::Ssl2ClientHello;
use crate::table::{CipherSuite, KeyExchange, NamedGroup, SignatureScheme};
use crate::version::Version;

/// The base point of P-256 as an uncompressed share: a point on the curve for which no key is needed.
const P256_BASE_POINT: [u8; 65] = [
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
    0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
    0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// The lengths of a handshake message that some servers cannot read (RFC 7685).
const INTOLERABLE: std::ops::Range<usize> = 0x100..0x200;

named! {
    /// The topic of a question: the reason why the walk asks it.
    pub enum Topic {
        /// A hello that a user composed.
        Custom = "custom",
        /// TLS 1.2 with modern suites.
        Good = "good",
        /// TLS 1.3 with an empty key share.
        Modern = "modern",
        /// TLS 1.3 with a key share and without GREASE, after an unclear refusal.
        ModernShare = "modern-share",
        /// TLS 1.3 with post-quantum groups only.
        PostQuantum = "post-quantum",
        /// TLS 1.1 and older.
        Old = "old",
        /// TLS 1.1 and older with finite-field Diffie-Hellman.
        OldDhe = "old-dhe",
        /// SSL 2.0.
        Ssl2 = "ssl2",
        /// Null, anonymous, export, RC4, DES and 64-bit blocks.
        Bad = "bad",
        /// Finite-field Diffie-Hellman.
        Dhe = "dhe",
        /// Static key exchange, CBC and the remaining classes.
        Mid = "mid",
        /// The classes that the best version refused, at the lowest version.
        Lowest = "lowest",
        /// A second DHE exchange, to see whether the server's value is reused.
        Reuse = "reuse",
        /// An old version with TLS_FALLBACK_SCSV.
        Fallback = "fallback",
        /// Weak and unusual curves only.
        WeakCurves = "weak-curves",
        /// The usual curves that no answer used.
        Curves = "curves",
        /// Signatures with SHA-1 and MD5 only.
        LegacyHash = "legacy-hash",
        /// Suites of the key type that no answer used.
        OtherKey = "other-key",
        /// A name that the server does not know.
        UnknownName = "unknown-name",
        /// Another suite of a list that got the same answer in both directions.
        Order = "order",
        /// One class of a list that was refused without a clear alert.
        Split = "split",
        /// The most common suites in a hello of less than 256 octets, after a longer one was not answered.
        Small = "small",
        /// A question that succeeded before, to confirm later refusals.
        Control = "control",
    }
}

/// The name in SNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SniName {
    /// The name of the server.
    Usual,
    /// A name that the server does not know.
    Unknown,
    /// No name.
    None,
}

/// The offer of one hello. [`to_bytes`](Self::to_bytes) writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The topic.
    pub topic: Topic,
    /// The newest version that is offered. TLS 1.3 is offered alone; every other version includes the older ones.
    pub version: Version,
    /// The suites in their order. SSL 2.0 always offers all kinds.
    pub suites: Vec<CipherSuite>,
    /// The groups in their order.
    pub groups: Vec<NamedGroup>,
    /// The signature schemes; sent with TLS 1.2 and 1.3.
    pub schemes: Vec<SignatureScheme>,
    /// The name in SNI.
    pub name: SniName,
    /// Whether DEFLATE is offered.
    pub compression: bool,
    /// Whether reserved values are mixed in (RFC 8701).
    pub grease: bool,
    /// Whether TLS 1.3 sends a key share for P-256. Without it the server answers with a HelloRetryRequest.
    pub share: bool,
}

/// The last message of a client: the warning alert user_canceled, and close_notify (RFC 8446 section 6.1).
pub const GOODBYE: [u8; 14] = [0x15, 3, 1, 0, 2, 1, 90, 0x15, 3, 1, 0, 2, 1, 0];

/// The values that differ between connections.
#[derive(Clone, Copy, Debug)]
pub struct HelloContext<'a> {
    /// The name of the server; `None` or an address sends no SNI.
    pub server_name: Option<&'a str>,
    /// The registered ALPN id of the protocol.
    pub alpn: Option<&'a [u8]>,
    /// The random, from a source of randomness.
    pub random: [u8; 32],
    /// The session id.
    pub session_id: [u8; 32],
}

/// The name that no server should know (RFC 6761 reserves "invalid").
const UNKNOWN_NAME: &str = "unknown.invalid";

impl Question {
    /// Returns a question with the usual groups and schemes.
    pub fn new(topic: Topic, version: Version, suites: Vec<CipherSuite>) -> Self {
        let groups = match version {
            Version::Tls13 => groups(|info| info.tls13 && info.class >= crate::Strength::Weak),
            // Without the groups of RFC 7919 a server uses the prime that it was configured with.
            _ => groups(|info| {
                info.tls12
                    && info.code < 0xff00
                    && !matches!(info.kind, crate::GroupKind::Gost | crate::GroupKind::Ffdhe)
            }),
        };
        Self {
            topic,
            version,
            suites,
            groups,
            schemes: schemes(version),
            name: SniName::Usual,
            compression: false,
            grease: false,
            share: false,
        }
    }

    /// Returns a question with few suites, groups and schemes, whose hello has less than 256 octets if the name of the
    /// server is not long.
    pub(crate) fn small() -> Self {
        const SUITES: [u16; 10] =
            [0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc009, 0xc013, 0x009c, 0x002f, 0x0035, 0x000a];
        const SCHEMES: [u16; 4] = [0x0403, 0x0804, 0x0401, 0x0201];
        Self {
            groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
            schemes: SCHEMES.map(SignatureScheme).to_vec(),
            ..Self::new(Topic::Small, Version::Tls12, SUITES.map(CipherSuite).to_vec())
        }
    }

    /// Returns the octets to send.
    pub fn to_bytes(&self, context: &HelloContext<'_>) -> Vec<u8> {
        if self.version == Version::Ssl2 {
            let challenge = context.random.first_chunk().copied().unwrap_or_default();
            return Ssl2ClientHello::all_kinds(challenge).to_bytes();
        }
        self.client_hello(context).to_bytes()
    }

    /// Returns the ClientHello. SSL 2.0 has another format: [`to_bytes`](Self::to_bytes).
    pub fn client_hello(&self, context: &HelloContext<'_>) -> ClientHello {
        let ssl3 = self.version == Version::Ssl3;
        let mut suites = self.suites.clone();
        if self.grease {
            suites.insert(0, CipherSuite(0x1a1a));
        }
        if ssl3 {
            suites.push(CipherSuite::RENEGOTIATION_SCSV);
        }
        if self.topic == Topic::Fallback {
            suites.push(CipherSuite::FALLBACK_SCSV);
        }
        let mut hello = ClientHello {
            version: self.version.min(Version::Tls12).code(),
            random: context.random,
            session_id: if ssl3 { Vec::new() } else { context.session_id.to_vec() },
            suites,
            compression: if self.compression { vec![1, 0] } else { vec![0] },
            extensions: (!ssl3).then(|| self.extensions(context)),
        };
        let len = hello.message_len();
        if let Some(extensions) = hello.extensions.as_mut().filter(|_| INTOLERABLE.contains(&len)) {
            extensions.push(Extension::padding(INTOLERABLE.end.saturating_sub(len + 4).max(1)));
        }
        hello
    }

    /// Returns whether the server chose only what this question offers. Any other answer proves nothing.
    pub fn offers(&self, flight: &ServerFlight) -> bool {
        let Some(version) = flight.version() else { return false };
        let listed = flight.hello.extension(crate::extension::kind::SUPPORTED_VERSIONS).is_some();
        let version = match self.version {
            Version::Tls13 => version == Version::Tls13,
            Version::Ssl2 => false,
            newest => (Version::Ssl3..=newest).contains(&version) && !listed,
        };
        let group = match (self.version, flight.hello.group()) {
            (Version::Tls13, Some(group)) => self.groups.contains(&group),
            _ => true,
        };
        version && group && self.suites.contains(&flight.suite())
    }

    /// The last extension is never empty, because some old servers fail on an empty one.
    fn extensions(&self, context: &HelloContext<'_>) -> Vec<Extension> {
        use crate::extension::kind;
        let modern = self.version == Version::Tls13;
        let mut list = Vec::new();
        if self.grease {
            list.push(Extension::empty(0x2a2a));
        }
        let name = match self.name {
            SniName::Usual => context.server_name.filter(|name| is_host_name(name)),
            SniName::Unknown => Some(UNKNOWN_NAME),
            SniName::None => None,
        };
        list.extend(name.map(Extension::server_name));
        list.push(Extension::status_request());
        if self.version >= Version::Tls12 {
            list.push(Extension::signature_algorithms(&self.schemes));
        }
        if self.topic == Topic::Good {
            list.extend([Extension::heartbeat(), Extension::empty(kind::SIGNED_CERTIFICATE_TIMESTAMP)]);
        }
        list.extend(context.alpn.map(Extension::alpn));
        if modern {
            let versions = [Some(0x7a7a).filter(|_| self.grease), Some(Version::Tls13.code())];
            list.push(Extension::supported_versions(&versions.into_iter().flatten().collect::<Vec<_>>()));
            list.push(Extension::psk_key_exchange_modes());
            let share = (NamedGroup::SECP256R1, &P256_BASE_POINT[..]);
            list.push(Extension::key_share(if self.share { std::slice::from_ref(&share) } else { &[] }));
        } else {
            let signals = [kind::ENCRYPT_THEN_MAC, kind::EXTENDED_MASTER_SECRET, kind::SESSION_TICKET];
            list.extend(signals.map(Extension::empty));
            list.push(Extension::renegotiation_info());
        }
        if self.needs_groups() {
            if !modern {
                list.push(Extension::ec_point_formats());
            }
            let grease = Some(NamedGroup(0x3a3a)).filter(|_| self.grease);
            let groups: Vec<_> = grease.into_iter().chain(self.groups.iter().copied()).collect();
            list.push(Extension::supported_groups(&groups));
        }
        list
    }

    fn needs_groups(&self) -> bool {
        let ephemeral = |suite: &CipherSuite| {
            let exchange = suite.info().map(|info| info.key_exchange);
            matches!(exchange, None | Some(KeyExchange::Ecdhe | KeyExchange::Ecdh | KeyExchange::Dhe))
        };
        !self.groups.is_empty() && (self.version == Version::Tls13 || self.suites.iter().any(ephemeral))
    }
}

/// Returns whether this can be sent as SNI: a name, not an address (RFC 6066 section 3).
fn is_host_name(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_err() && !name.is_empty() && name.len() < 256
}

/// Returns the groups that pass, the usual ones first: post-quantum hybrids, X25519, P-256, then by code.
pub(crate) fn groups(pass: impl Fn(&crate::GroupInfo) -> bool) -> Vec<NamedGroup> {
    const FIRST: [u16; 7] = [0x11ec, 0x11eb, 0x11ed, 0x001d, 0x0017, 0x0018, 0x0019];
    let place = |group: &NamedGroup| FIRST.iter().position(|code| *code == group.0).unwrap_or(FIRST.len());
    let mut groups: Vec<_> =
        NamedGroup::all().filter(|(_, info)| pass(info)).map(|(group, _)| group).collect();
    groups.sort_by_key(place);
    groups
}

/// Returns the schemes that a hello of this version offers: the strong ones first, SHA-1 and SHA-224 last, so that an
/// old server has something to sign with.
fn schemes(version: Version) -> Vec<SignatureScheme> {
    let usable = |info: &crate::SchemeInfo| match version {
        // TLS 1.3 uses PKCS#1 v1.5 and SHA-1 for certificates only, and old certificates are not refused for it.
        Version::Tls13 => info.tls13 || info.key == "RSA",
        _ => info.tls12,
    };
    let mut list: Vec<_> = SignatureScheme::all()
        .filter(|(_, info)| usable(info) && info.hash != "MD5" && info.key != "GOST")
        .collect();
    list.sort_by_key(|(_, info)| std::cmp::Reverse(info.class));
    list.into_iter().map(|(scheme, _)| scheme).collect()
}
