//! ServerHello and HelloRetryRequest (RFC 8446 sections 4.1.3 and 4.1.4).

use crate::extension::{self, Extension, alpn_list, kind};
use crate::reader::{Reader, put_codes, put_vector};
use crate::records::put_message;
use crate::table::{CipherSuite, NamedGroup};
use crate::version::Version;

/// The random that makes a ServerHello a HelloRetryRequest: SHA-256 of "HelloRetryRequest".
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The end of the random by which a server marks that it knows a newer version (RFC 8446 section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DowngradeMark {
    /// A TLS 1.3 server negotiated TLS 1.2.
    Tls12,
    /// A server negotiated TLS 1.1 or less.
    Tls11,
}

/// A ServerHello or HelloRetryRequest as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The code of `legacy_version`.
    pub legacy_version: u16,
    /// The random.
    pub random: [u8; 32],
    /// The session id.
    pub session_id: Vec<u8>,
    /// The suite.
    pub suite: CipherSuite,
    /// The compression method; 0 is none.
    pub compression: u8,
    /// The extensions in their order.
    pub extensions: Vec<Extension>,
}

impl ServerHello {
    /// The random of a HelloRetryRequest.
    pub const RETRY: [u8; 32] = RETRY_RANDOM;

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let legacy_version = reader.u16()?;
        let random = reader.array()?;
        let session_id = reader.vector8()?.to_vec();
        let suite = CipherSuite(reader.u16()?);
        let compression = reader.u8()?;
        let extensions = match reader.is_empty() {
            true => Vec::new(),
            false => extension::read_all(reader.vector16()?)?,
        };
        (session_id.len() <= 32 && reader.is_empty()).then_some(Self {
            legacy_version,
            random,
            session_id,
            suite,
            compression,
            extensions,
        })
    }

    /// Returns the record of this message: what a server sends.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        put_message(self.legacy_version, 2, &body)
    }

    /// Appends the body of the message.
    pub(crate) fn put(&self, body: &mut Vec<u8>) {
        put_codes(body, [self.legacy_version]);
        body.extend_from_slice(&self.random);
        put_vector::<1>(body, &self.session_id);
        put_codes(body, [self.suite.0]);
        body.push(self.compression);
        if !self.extensions.is_empty() {
            extension::put_all(body, &self.extensions);
        }
    }

    /// Returns whether this is a HelloRetryRequest.
    pub fn is_retry(&self) -> bool {
        self.random == RETRY_RANDOM
    }

    /// Returns the contents of the first extension of this type.
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        extension::find(&self.extensions, kind)
    }

    /// Returns the code of the negotiated version: that of `supported_versions`, otherwise `legacy_version`.
    pub fn version_code(&self) -> u16 {
        let selected = self.extension(kind::SUPPORTED_VERSIONS).and_then(|data| Reader(data).u16());
        selected.unwrap_or(self.legacy_version)
    }

    /// Returns the negotiated version, if it is a known one.
    pub fn version(&self) -> Option<Version> {
        Version::from_code(self.version_code())
    }

    /// Returns the group in `key_share` (TLS 1.3).
    pub fn group(&self) -> Option<NamedGroup> {
        self.extension(kind::KEY_SHARE).and_then(|data| Reader(data).u16()).map(NamedGroup)
    }

    /// Returns the protocol that ALPN agreed on. It is the peer's input: it may hold any octet.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.extension(kind::ALPN).and_then(alpn_list)?.first().copied()
    }

    /// Returns the downgrade mark, if the random ends with one.
    pub fn downgrade_mark(&self) -> Option<DowngradeMark> {
        match self.random.last_chunk()? {
            b"DOWNGRD\x01" => Some(DowngradeMark::Tls12),
            b"DOWNGRD\x00" => Some(DowngradeMark::Tls11),
            _ => None,
        }
    }
}
