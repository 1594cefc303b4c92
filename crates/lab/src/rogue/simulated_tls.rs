//! A simulated TLS server: it answers a ClientHello with the first flight that its model describes, and never completes a
//! handshake. Hellos that a real server can serve go to a real one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use num_bigint::BigUint;
use rcgen::{PKCS_RSA_SHA256, PublicKeyData};
use sha2::{Digest, Sha256};
use starttls::rustls::crypto::{SupportedKxGroup, aws_lc_rs::kx_group};
use starttls_hello::{
    Alert, AnyClientHello, Authentication, CertificateRequest, CipherSuite, ClientHello, ClientHelloReader,
    Curve, Extension, FlightEnd, KeyExchange, NamedGroup, ServerFlight, ServerHello, ServerKeyExchange,
    SignatureScheme, Ssl2ClientHello, Ssl2ServerHello, SuiteClass, SuiteFamily, Version, extension_kind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::behavior::HANDSHAKE_TIMEOUT;
use super::tls_model::{TlsModel, is_defined};
use super::wire::{CHUNK, Early, EarlyReads};
use crate::ca::{Authority, Leaf};
use crate::error::Error;
use crate::session::{SessionError, within};

/// The suites of the real server.
const REAL_SUITES: [u16; 10] =
    [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0x00ff];

/// The longest silence.
const SILENCE: Duration = Duration::from_secs(120);

/// A server that never completes a handshake.
pub(super) struct SimulatedTls {
    model: TlsModel,
    /// The chains, with an ECDSA key and with an RSA key.
    ecdsa: Vec<Vec<u8>>,
    rsa: Vec<Vec<u8>>,
    seed: [u8; 32],
    connections: AtomicU64,
}

/// The answer to a hello.
enum Reply {
    Bytes(Vec<u8>),
    Close,
    /// No answer on an open connection.
    Silence,
    /// The real server answers.
    HandOver,
}

impl SimulatedTls {
    /// Returns a server that presents this chain with an ECDSA key, and another one with an RSA key.
    pub(super) fn new(
        model: TlsModel,
        ecdsa: Vec<Vec<u8>>,
        authority: &Authority,
        leaf: &Leaf,
    ) -> Result<Self, Error> {
        let rsa = authority.issue_for(leaf, &RsaPublicKey)?.iter().map(|it| it.to_vec()).collect();
        let seed = Sha256::digest(crate::lab::password()).into();
        Ok(Self { model, ecdsa, rsa, seed, connections: AtomicU64::new(0) })
    }

    /// Reads the client's hello and answers it. Returns the connection for the real server if that must answer.
    pub(super) async fn serve(&self, mut tcp: TcpStream) -> Result<Option<Early<TcpStream>>, SessionError> {
        let mut reader = ClientHelloReader::new();
        let mut early = Vec::new();
        let reply = loop {
            let mut buffer = [0; CHUNK];
            let read = within(HANDSHAKE_TIMEOUT, tcp.read(&mut buffer)).await?;
            early.extend_from_slice(&buffer[..read]);
            match reader.receive(&buffer[..read]) {
                Ok(None) if read > 0 => {}
                Ok(Some(hello)) => break self.answer(&hello, early.len()),
                // The real server knows how to refuse what is not a ClientHello.
                Ok(None) | Err(_) => break Reply::HandOver,
            }
        };
        match reply {
            Reply::HandOver => return Ok(Some(Early { stream: tcp, early, how: EarlyReads::First })),
            Reply::Close => tcp.shutdown().await?,
            // The client gives up first.
            Reply::Silence => {
                let mut rest = [0; CHUNK];
                while let Ok(1..) = within(SILENCE, tcp.read(&mut rest)).await {}
                return Ok(None);
            }
            Reply::Bytes(bytes) => {
                tcp.write_all(&bytes).await?;
                if bytes.first() == Some(&0x15) {
                    tcp.shutdown().await?;
                }
            }
        }
        // A socket that is closed with unread input resets the connection, and the client may lose the answer.
        let mut rest = [0; CHUNK];
        while let Ok(1..) = within(HANDSHAKE_TIMEOUT, tcp.read(&mut rest)).await {}
        Ok(None)
    }

    /// Answers a hello that was sent in so many octets.
    fn answer(&self, hello: &AnyClientHello, length: usize) -> Reply {
        let hello = match hello {
            AnyClientHello::Tls(hello) => hello,
            AnyClientHello::Ssl2(hello) => return self.ssl2(hello),
        };
        if self.model.has_modern_suite() && is_for_a_real_server(hello) {
            return Reply::HandOver;
        }
        if length > self.model.longest_hello {
            return Reply::Silence;
        }
        let connection = Connection::new(self, hello);
        let listed = hello.supported_versions();
        let offered = |version: &Version| match listed.is_empty() {
            true => version.code() <= hello.version && *version < Version::Tls13,
            false => listed.contains(&version.code()),
        };
        let Some(version) = self.model.versions.iter().copied().filter(offered).max() else {
            return self.refuse(Alert::PROTOCOL_VERSION);
        };
        let newest_offered = listed.into_iter().chain([hello.version]).filter_map(Version::from_code).max();
        if self.model.refuses_newer_versions && newest_offered > self.model.newest() {
            return self.refuse(Alert::PROTOCOL_VERSION);
        }
        let is_fallback = hello.suites.contains(&CipherSuite::FALLBACK_SCSV);
        if self.model.fallback_scsv && is_fallback && self.model.newest() > Some(version) {
            return self.refuse(Alert::INAPPROPRIATE_FALLBACK);
        }
        let suite = self.model.suites.iter().copied().find(|suite| connection.can_use(version, *suite));
        let Some(suite) = suite else { return self.refuse(Alert::HANDSHAKE_FAILURE) };
        if self.model.broken == Some(suite.class()) {
            return self.refuse(Alert::INTERNAL_ERROR);
        }
        Reply::Bytes(match version {
            Version::Tls13 => connection.tls13(suite),
            _ => connection.flight(version, suite),
        })
    }

    /// SSL 2.0: the server lists what both sides have.
    fn ssl2(&self, hello: &Ssl2ClientHello) -> Reply {
        let Some(kinds) = self.model.ssl2 else { return self.refuse(Alert::PROTOCOL_VERSION) };
        let kinds = kinds.iter().copied().filter(|kind| hello.kinds.contains(kind)).collect();
        let hello = Ssl2ServerHello {
            version: Version::Ssl2.code(),
            kinds,
            certificate: self.rsa.first().cloned().unwrap_or_default(),
            connection_id: self.random()[..16].to_vec(),
        };
        Reply::Bytes(hello.to_bytes())
    }

    fn refuse(&self, description: u8) -> Reply {
        match self.model.closes {
            true => Reply::Close,
            false => Reply::Bytes(Alert::fatal(description).to_bytes().to_vec()),
        }
    }

    /// Returns octets that differ between calls.
    fn random(&self) -> [u8; 32] {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        Sha256::digest([&self.seed[..], &number.to_be_bytes()].concat()).into()
    }
}

/// Returns whether the real server of the lab knows everything that this hello offers, so that its client may complete the
/// handshake. The hellos of a survey always offer more.
fn is_for_a_real_server(hello: &ClientHello) -> bool {
    const UNKNOWN: [u16; 2] = [extension_kind::ENCRYPT_THEN_MAC, extension_kind::HEARTBEAT];
    hello.version == Version::Tls12.code()
        && hello.compression == [0]
        && hello.suites.iter().all(|suite| suite.is_grease() || REAL_SUITES.contains(&suite.0))
        && UNKNOWN.iter().all(|kind| hello.extension(*kind).is_none())
}

/// One hello, and the server that answers it.
struct Connection<'a> {
    server: &'a SimulatedTls,
    hello: &'a ClientHello,
    random: [u8; 32],
}

impl<'a> Connection<'a> {
    fn new(server: &'a SimulatedTls, hello: &'a ClientHello) -> Self {
        Self { server, hello, random: server.random() }
    }

    fn model(&self) -> &TlsModel {
        &self.server.model
    }

    fn can_use(&self, version: Version, suite: CipherSuite) -> bool {
        let Some(info) = suite.info().filter(|_| self.hello.suites.contains(&suite)) else { return false };
        let needs_curve = info.key_exchange == KeyExchange::Ecdhe || info.family == SuiteFamily::Tls13;
        let curve = !needs_curve || self.group(version).is_some();
        let scheme = version != Version::Tls12 || !is_signed(suite) || self.scheme(suite).is_some();
        is_defined(&suite, version) && curve && scheme
    }

    /// Chooses a group. A client that lists none can do any curve (RFC 8422 section 4).
    fn group(&self, version: Version) -> Option<NamedGroup> {
        let offered = self.hello.groups();
        let silent = self.hello.extension(extension_kind::SUPPORTED_GROUPS).is_none();
        self.model().groups.iter().copied().find(|group| {
            let info = group.info();
            let defined = info.is_some_and(|it| if version == Version::Tls13 { it.tls13 } else { it.tls12 });
            defined && (silent || offered.contains(group))
        })
    }

    fn scheme(&self, suite: CipherSuite) -> Option<SignatureScheme> {
        let schemes: &[u16] = match suite.info().map(|info| info.authentication) {
            Some(Authentication::Rsa) => &[0x0804, 0x0401, 0x0201],
            _ => &[0x0403, 0x0203],
        };
        let offered = self.hello.signature_schemes();
        schemes
            .iter()
            .map(|code| SignatureScheme(*code))
            .find(|scheme| offered.contains(scheme) && (scheme.0 >> 8 != 2 || self.model().signs_with_sha1))
    }

    /// TLS 1.3: ServerHello if the client sent a share for the group, otherwise HelloRetryRequest.
    fn tls13(&self, suite: CipherSuite) -> Vec<u8> {
        let group = self.group(Version::Tls13).unwrap_or(NamedGroup::X25519);
        let is_shared = self.hello.key_shares().iter().any(|(shared, _)| *shared == group);
        let mut share = group.0.to_be_bytes().to_vec();
        if is_shared {
            let point = self.point(group);
            share.extend(u16::try_from(point.len()).unwrap_or_default().to_be_bytes());
            share.extend(point);
        }
        let extensions = vec![
            Extension { kind: extension_kind::SUPPORTED_VERSIONS, data: vec![3, 4] },
            Extension { kind: extension_kind::KEY_SHARE, data: share },
        ];
        let random = if is_shared { self.random } else { ServerHello::RETRY };
        let hello = self.server_hello(Version::Tls12, suite, random, extensions);
        let end = if is_shared { FlightEnd::Encrypted } else { FlightEnd::Retry };
        ServerFlight { end, ..ServerFlight::new(hello) }.to_bytes()
    }

    fn server_hello(
        &self,
        legacy: Version,
        suite: CipherSuite,
        random: [u8; 32],
        extensions: Vec<Extension>,
    ) -> ServerHello {
        ServerHello {
            legacy_version: legacy.code(),
            random,
            session_id: self.hello.session_id.clone(),
            suite,
            compression: 0,
            extensions,
        }
    }

    /// SSL 3.0 to TLS 1.2.
    fn flight(&self, version: Version, suite: CipherSuite) -> Vec<u8> {
        let model = self.model();
        let mut random = self.random;
        if model.downgrade_mark && model.newest() == Some(Version::Tls13) {
            // RFC 8446 section 4.1.3.
            let mark: &[u8; 8] = if version == Version::Tls12 { b"DOWNGRD\x01" } else { b"DOWNGRD\x00" };
            random[24..].copy_from_slice(mark);
        }
        let hello = self.server_hello(version, suite, random, self.extensions(suite));
        let compression = u8::from(model.compression && self.hello.compression.contains(&1));
        let certificates = match suite.info().map(|info| info.authentication) {
            Some(Authentication::Rsa) => self.server.rsa.clone(),
            Some(Authentication::Ecdsa) => self.server.ecdsa.clone(),
            _ => Vec::new(),
        };
        let request = model.client_certificate && !certificates.is_empty();
        let flight = ServerFlight {
            certificates,
            key_exchange: self.key_exchange(version, suite),
            certificate_request: request.then(|| CertificateRequest {
                types: vec![1, 64],
                schemes: vec![SignatureScheme(0x0403), SignatureScheme(0x0804)],
                authorities: vec![common_name("Internal Authority")],
            }),
            end: FlightEnd::Done,
            ..ServerFlight::new(ServerHello { compression, ..hello })
        };
        flight.to_bytes()
    }

    /// Answers the extensions that the client sent.
    fn extensions(&self, suite: CipherSuite) -> Vec<Extension> {
        use extension_kind as kind;
        let sent = |wanted| self.hello.extension(wanted).is_some();
        let signaled = self.hello.suites.contains(&CipherSuite::RENEGOTIATION_SCSV);
        let is_cbc = suite.info().is_some_and(|info| info.mode == "CBC");
        let is_ecdhe = suite.info().is_some_and(|info| info.key_exchange == KeyExchange::Ecdhe);
        let mut extensions = Vec::new();
        let mut answer =
            |condition: bool, extension: Extension| extensions.extend(condition.then_some(extension));
        answer(sent(kind::RENEGOTIATION_INFO) || signaled, Extension::renegotiation_info());
        answer(sent(kind::EC_POINT_FORMATS) && is_ecdhe, Extension::ec_point_formats());
        answer(sent(kind::SESSION_TICKET), Extension::empty(kind::SESSION_TICKET));
        answer(sent(kind::HEARTBEAT) && self.model().heartbeat, Extension::heartbeat());
        answer(sent(kind::ENCRYPT_THEN_MAC) && is_cbc, Extension::empty(kind::ENCRYPT_THEN_MAC));
        let extended = sent(kind::EXTENDED_MASTER_SECRET) && self.model().extended_master_secret;
        answer(extended, Extension::empty(kind::EXTENDED_MASTER_SECRET));
        extensions
    }

    fn key_exchange(&self, version: Version, suite: CipherSuite) -> Option<ServerKeyExchange> {
        let model = self.model();
        let info = suite.info()?;
        let signed = version == Version::Tls12 && is_signed(suite);
        let scheme = signed.then(|| self.scheme(suite)).flatten();
        Some(match info.key_exchange {
            KeyExchange::Ecdhe if model.explicit_curve => ServerKeyExchange::Ecdhe {
                curve: Curve::ExplicitPrime { bits: 256 },
                point: Vec::new(),
                scheme: None,
            },
            KeyExchange::Ecdhe => {
                let group = self.group(version)?;
                ServerKeyExchange::Ecdhe { curve: Curve::Named(group), point: self.point(group), scheme }
            }
            KeyExchange::Dhe => {
                let secret = if model.reuses_dh_value { self.server.seed } else { self.random };
                let prime = BigUint::parse_bytes(model.dh_prime.digits().as_bytes(), 16)?;
                let public = BigUint::from(2u8).modpow(&BigUint::from_bytes_be(&secret), &prime);
                let (prime, public) = (prime.to_bytes_be(), public.to_bytes_be());
                ServerKeyExchange::Dhe { prime, generator: vec![2], public, scheme }
            }
            KeyExchange::Rsa if info.class == SuiteClass::Export => {
                let modulus = BigUint::parse_bytes(EXPORT_MODULUS, 16)?.to_bytes_be();
                ServerKeyExchange::RsaExport { modulus, exponent: vec![1, 0, 1] }
            }
            _ => return None,
        })
    }

    /// Returns a public value. For groups that the TLS library does not have, it has the right length only.
    fn point(&self, group: NamedGroup) -> Vec<u8> {
        let known: Option<&dyn SupportedKxGroup> = match group.0 {
            0x001d => Some(kx_group::X25519),
            0x0017 => Some(kx_group::SECP256R1),
            0x0018 => Some(kx_group::SECP384R1),
            _ => None,
        };
        if let Some(exchange) = known.and_then(|group| group.start().ok()) {
            return exchange.pub_key().to_vec();
        }
        let info = group.info();
        let coordinate = info.map_or(32, |info| usize::from(info.bits).div_ceil(8));
        let length = info.map_or(0, |info| usize::from(info.share)).max(1 + 2 * coordinate);
        let mut point: Vec<u8> = self.random.iter().copied().cycle().take(length).collect();
        if let Some(first) = point.first_mut() {
            *first = 4;
        }
        point
    }
}

fn is_signed(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| {
        matches!(info.key_exchange, KeyExchange::Ecdhe | KeyExchange::Dhe)
            && info.authentication != Authentication::Anonymous
    })
}

/// Returns a name in DER that consists of a common name (RFC 5280 section 4.1.2.4).
fn common_name(text: &str) -> Vec<u8> {
    let wrapped =
        |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap_or_default()], body].concat();
    let attribute = [&[6, 3, 0x55, 4, 3][..], &wrapped(12, text.as_bytes())].concat();
    wrapped(0x30, &wrapped(0x31, &wrapped(0x30, &attribute)))
}

/// The modulus of an RSA key of 512 bits.
const EXPORT_MODULUS: &[u8] = b"\
    b35cc632a69673511bd0dc6511e7f59d8cae7102995f98434a1ec681dbc98a67\
    044526c6117a8c8f9c88e6ab9c3b10698b17a60b46e7040b3802847f1c91107d";

/// An RSA key of 2048 bits for certificates. Its private key was deleted: a simulated server signs nothing.
struct RsaPublicKey;

impl PublicKeyData for RsaPublicKey {
    fn der_bytes(&self) -> &[u8] {
        &RSA_PUBLIC_KEY
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1).
#[rustfmt::skip] // Sixteen octets per line.
const RSA_PUBLIC_KEY: [u8; 270] = [
    0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00, 0xb8, 0x73, 0x11, 0x29, 0xd0, 0x34, 0x7f,
    0xcb, 0x47, 0x6a, 0x69, 0x75, 0x1c, 0x21, 0xc2, 0x0d, 0x8c, 0x12, 0xc1, 0x02, 0x83, 0x83, 0x95,
    0xb9, 0x35, 0x69, 0x93, 0x03, 0x7a, 0x43, 0x43, 0xcf, 0x1d, 0xe2, 0xf2, 0x22, 0x7e, 0x50, 0xe6,
    0xb1, 0xe6, 0x48, 0x44, 0x84, 0x2f, 0xc0, 0x78, 0xf5, 0x3f, 0x91, 0x87, 0xfc, 0xe4, 0x31, 0x07,
    0x6e, 0x84, 0x8c, 0x92, 0xae, 0x0d, 0xa3, 0x7c, 0x28, 0x60, 0x8a, 0x0c, 0x0d, 0x1a, 0xaa, 0xe6,
    0x89, 0x0a, 0xd5, 0x7a, 0xf3, 0xd7, 0x57, 0xf7, 0x30, 0xd8, 0xfa, 0x47, 0x7e, 0xe0, 0x5c, 0xe8,
    0x73, 0xd1, 0xc7, 0x5a, 0x8f, 0x49, 0x3b, 0xa6, 0xf8, 0x96, 0xcb, 0xd2, 0xa6, 0x99, 0x1c, 0x26,
    0x9e, 0x37, 0x37, 0xa9, 0x78, 0x5c, 0x60, 0x5e, 0xb1, 0x9b, 0x6b, 0x93, 0x83, 0x37, 0xfc, 0x54,
    0x47, 0xca, 0x0f, 0xe6, 0x77, 0x47, 0x16, 0x51, 0x3d, 0x33, 0x42, 0x16, 0xa3, 0xe1, 0x90, 0xed,
    0x34, 0xb2, 0x09, 0xa6, 0xba, 0x22, 0xcb, 0x1c, 0xf0, 0x18, 0xeb, 0x2c, 0x4a, 0xe3, 0x66, 0x35,
    0x63, 0x36, 0xb9, 0x7c, 0xd0, 0xff, 0x4e, 0x81, 0x98, 0x84, 0xcf, 0xf4, 0xca, 0xa7, 0x9c, 0xc3,
    0x95, 0x42, 0x83, 0x89, 0x63, 0x85, 0x5e, 0xaf, 0xcf, 0xde, 0xd3, 0xdb, 0x82, 0xcf, 0x57, 0xd7,
    0x18, 0x86, 0x2c, 0xe1, 0xcf, 0x3f, 0xb0, 0x69, 0x91, 0x24, 0x95, 0x43, 0xf6, 0xb8, 0xd8, 0x7c,
    0x71, 0x73, 0xc1, 0x2e, 0x14, 0xde, 0x9d, 0x39, 0x83, 0xdb, 0x26, 0xcd, 0x28, 0x75, 0xc9, 0x41,
    0x29, 0x1d, 0x2b, 0x0e, 0x78, 0xc0, 0xe7, 0xc2, 0x65, 0x68, 0x49, 0xce, 0xae, 0xb2, 0xe8, 0x52,
    0x57, 0x93, 0xde, 0xe2, 0x86, 0xc5, 0xf0, 0xa2, 0xd7, 0x44, 0x6f, 0xc9, 0x5e, 0x00, 0x18, 0xc4,
    0xcb, 0xcb, 0xf2, 0xb8, 0x38, 0x5e, 0xad, 0x9d, 0x63, 0x02, 0x03, 0x01, 0x00, 0x01,
];
