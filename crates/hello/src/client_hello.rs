//! ClientHello of SSL 3.0 to TLS 1.3 (RFC 8446 section 4.1.2), written and read.

use crate::extension::{self, Extension, alpn_list, kind};
use crate::malformed::MalformedTls;
use crate::reader::{Reader, codes, put_codes, put_vector};
use crate::records::{RecordEvent, Records, put_message};
use crate::ssl2::Ssl2ClientHello;
use crate::table::{CipherSuite, NamedGroup, SignatureScheme};
use crate::version::Version;

/// The type of the handshake message.
const CLIENT_HELLO: u8 = 1;

/// A ClientHello as it is on the wire. Nothing is checked beyond its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The code of `legacy_version`: the newest version up to TLS 1.2.
    pub version: u16,
    /// The random.
    pub random: [u8; 32],
    /// The session id, at most 32 octets.
    pub session_id: Vec<u8>,
    /// The suites, the preferred one first.
    pub suites: Vec<CipherSuite>,
    /// The compression methods; 0 is none, 1 is DEFLATE.
    pub compression: Vec<u8>,
    /// The extensions in their order. `None` leaves out even their length, as SSL 3.0 does.
    pub extensions: Option<Vec<Extension>>,
}

impl ClientHello {
    /// Returns the records to send. Their version is SSL 3.0 for an SSL 3.0 hello, otherwise TLS 1.0
    /// (RFC 8446 section 5.1).
    pub fn to_bytes(&self) -> Vec<u8> {
        // A version below SSL 3.0 has no records of its own.
        let record = self.version.clamp(Version::Ssl3.code(), Version::Tls10.code());
        put_message(record, CLIENT_HELLO, &self.body())
    }

    /// Returns the length of the handshake message with its header.
    pub fn message_len(&self) -> usize {
        self.body().len() + 4
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_codes(&mut out, [self.version]);
        out.extend_from_slice(&self.random);
        put_vector::<1>(&mut out, &self.session_id);
        let mut suites = Vec::new();
        put_codes(&mut suites, self.suites.iter().map(|suite| suite.0));
        put_vector::<2>(&mut out, &suites);
        put_vector::<1>(&mut out, &self.compression);
        if let Some(extensions) = &self.extensions {
            extension::put_all(&mut out, extensions);
        }
        out
    }

    /// Reads the body of the handshake message.
    ///
    /// # Errors
    /// [`MalformedTls::Length`] if a vector does not fit, or octets are left over.
    pub fn read(body: &[u8]) -> Result<Self, MalformedTls> {
        Self::parse(body).ok_or(MalformedTls::Length("ClientHello"))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let version = reader.u16()?;
        let random = reader.array()?;
        let session_id = reader.vector8()?.to_vec();
        let suites = codes(reader.vector16()?)?.into_iter().map(CipherSuite).collect();
        let compression = reader.vector8()?.to_vec();
        let extensions = match reader.is_empty() {
            true => None,
            false => Some(extension::read_all(reader.vector16()?)?),
        };
        (session_id.len() <= 32 && reader.is_empty()).then_some(Self {
            version,
            random,
            session_id,
            suites,
            compression,
            extensions,
        })
    }

    /// Returns the contents of the first extension of this type.
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        extension::find(self.extensions.as_deref()?, kind)
    }

    /// Returns the codes in `supported_versions`; empty if the extension is missing or malformed.
    pub fn supported_versions(&self) -> Vec<u16> {
        let list = self.extension(kind::SUPPORTED_VERSIONS).and_then(|data| Reader(data).vector8());
        list.and_then(codes).unwrap_or_default()
    }

    /// Returns the codes in `supported_groups`; empty if the extension is missing or malformed.
    pub fn groups(&self) -> Vec<NamedGroup> {
        self.code_list(kind::SUPPORTED_GROUPS).into_iter().map(NamedGroup).collect()
    }

    /// Returns the codes in `signature_algorithms`; empty if the extension is missing or malformed.
    pub fn signature_schemes(&self) -> Vec<SignatureScheme> {
        self.code_list(kind::SIGNATURE_ALGORITHMS).into_iter().map(SignatureScheme).collect()
    }

    fn code_list(&self, kind: u16) -> Vec<u16> {
        let list = self.extension(kind).and_then(|data| Reader(data).vector16());
        list.and_then(codes).unwrap_or_default()
    }

    /// Returns the host name in `server_name`. It is the peer's input: it may hold any octet.
    pub fn server_name(&self) -> Option<&[u8]> {
        let mut list = Reader(Reader(self.extension(kind::SERVER_NAME)?).vector16()?);
        while !list.is_empty() {
            let (kind, name) = (list.u8()?, list.vector16()?);
            if kind == 0 {
                return Some(name);
            }
        }
        None
    }

    /// Returns the protocols in ALPN; empty if the extension is missing or malformed.
    pub fn alpn(&self) -> Vec<&[u8]> {
        self.extension(kind::ALPN).and_then(alpn_list).unwrap_or_default()
    }

    /// Returns the groups with a key share and the length of each share.
    pub fn key_shares(&self) -> Vec<(NamedGroup, usize)> {
        let Some(list) = self.extension(kind::KEY_SHARE).and_then(|data| Reader(data).vector16()) else {
            return Vec::new();
        };
        let mut list = Reader(list);
        std::iter::from_fn(|| Some((NamedGroup(list.u16()?), list.vector16()?.len()))).collect()
    }

    /// Returns the newest version that the hello offers, if it is a known one.
    pub fn newest_version(&self) -> Option<Version> {
        let listed = self.supported_versions().into_iter().filter_map(Version::from_code).max();
        listed.or_else(|| Version::from_code(self.version))
    }
}

/// A ClientHello in one of its two formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyClientHello {
    /// The format of SSL 3.0 and later.
    Tls(ClientHello),
    /// The format of SSL 2.0, which also offers later versions (RFC 5246 appendix E.2).
    Ssl2(Ssl2ClientHello),
}

/// Reads the first message of a client from a stream, at any cut.
#[derive(Debug, Default)]
pub struct ClientHelloReader {
    records: Records,
}

impl ClientHelloReader {
    /// Returns a reader without input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads more octets. Returns the hello when it is complete, and `None` when more octets are needed.
    ///
    /// # Errors
    /// [`MalformedTls`] when the octets cannot become a ClientHello. The reader must not be used again.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<AnyClientHello>, MalformedTls> {
        self.records.push(bytes);
        let received = self.records.received();
        if received.first().is_some_and(|octet| octet & 0x80 != 0) {
            return Ok(Ssl2ClientHello::read_first(received)?.map(AnyClientHello::Ssl2));
        }
        match self.records.next()? {
            None => Ok(None),
            Some(RecordEvent::Message { kind: CLIENT_HELLO, body }) => {
                ClientHello::read(&body).map(|hello| Some(AnyClientHello::Tls(hello)))
            }
            Some(RecordEvent::Message { .. }) => Err(MalformedTls::Unexpected("handshake message")),
            Some(RecordEvent::Alert(_)) => Err(MalformedTls::Unexpected("alert")),
            Some(RecordEvent::Encrypted) => Err(MalformedTls::Unexpected("encrypted record")),
        }
    }
}
