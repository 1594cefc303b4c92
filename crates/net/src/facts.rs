//! What is known of a TLS connection once it stands.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Connection, HandshakeKind, NamedGroup, ProtocolVersion};

/// Everything known of a connection when its handshake had ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The peer's address, where the connection was dialled by this library.
    pub address: Option<SocketAddr>,
    /// How long each step took.
    pub timings: Timings,
    /// The name in SNI: sent by the client, received by the server.
    pub server_name: Option<String>,
    /// The TLS version.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The group of the key exchange; none where a session was resumed without one.
    pub group: Option<NamedGroup>,
    /// The protocol that ALPN agreed on.
    pub alpn: Option<Vec<u8>>,
    /// A full handshake, one with a hello retry, or a resumption.
    pub kind: Option<HandshakeKind>,
    /// Octets of TLS read until the end of the handshake.
    pub handshake_read: u64,
    /// Octets of TLS written until the end of the handshake.
    pub handshake_written: u64,
    /// What the peer presented, its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The part of `chain` that leads to a trusted root, the server's own certificate first and the root left out.
    ///
    /// When a date is all that is wrong, this is the path at a time when it was valid. It is empty where there is no
    /// path. The name is not considered here.
    pub path: Vec<CertificateDer<'static>>,
    /// What came of verifying it.
    pub verdict: CertificateVerdict,
    /// Whether an OCSP response came with it. It is not evaluated.
    pub ocsp_stapled: bool,
}

/// How long each step took, as far as it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// From the name to its addresses.
    pub resolve: Option<Duration>,
    /// Until an address took the connection.
    pub connect: Option<Duration>,
    /// From the connection to the go-ahead.
    pub negotiation: Option<Duration>,
    /// From the go-ahead to the end of the handshake.
    pub handshake: Option<Duration>,
}

/// What came of verifying the peer's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateVerdict {
    /// It leads to a trusted root and is valid now, for the expected name.
    Verified,
    /// It does not, and the connection stands because the caller asked for that.
    Failed {
        /// Why not, in words.
        reason: String,
        /// Whether its chain leads to a trusted root all the same; `None` where what is wrong hides that.
        rooted: Option<bool>,
    },
    /// The peer presented none, as clients may.
    NoCertificate,
}

impl fmt::Display for CertificateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Failed { reason, .. } => write!(f, "not verified: {reason}"),
            Self::NoCertificate => f.write_str("no certificate"),
        }
    }
}

impl TlsFacts {
    pub(crate) fn new(tls: &Connection, server_name: Option<String>, timings: Timings) -> Self {
        Self {
            address: None,
            timings,
            server_name,
            version: tls.protocol_version(),
            cipher_suite: tls.negotiated_cipher_suite().map(|suite| suite.suite()),
            group: tls.negotiated_key_exchange_group().map(|group| group.name()),
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            kind: tls.handshake_kind(),
            handshake_read: 0,
            handshake_written: 0,
            chain: tls.peer_certificates().unwrap_or_default().to_vec(),
            path: Vec::new(),
            verdict: CertificateVerdict::NoCertificate,
            ocsp_stapled: false,
        }
    }

    /// The TLS version as people write it: "TLS 1.3".
    pub fn version_name(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        }
    }

    /// The cipher suite by its registered name: `TLS_AES_256_GCM_SHA384`.
    pub fn cipher_suite_name(&self) -> String {
        let name = self.cipher_suite.map(|suite| format!("{suite:?}")).unwrap_or_default();
        name.replacen("TLS13_", "TLS_", 1)
    }

    /// The group of the key exchange by its registered name: `X25519MLKEM768`.
    pub fn group_name(&self) -> Option<String> {
        self.group.map(|group| format!("{group:?}"))
    }

    /// The kind of handshake in words: "full", "full with hello retry", "resumed".
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Some(HandshakeKind::FullWithHelloRetryRequest) => "full with hello retry",
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "full",
        }
    }
}
