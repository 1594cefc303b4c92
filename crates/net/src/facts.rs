//! The facts of a TLS connection after its handshake.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

use crate::{CertificateFailure, tls};

/// The facts of a connection at the end of its handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The peer's address, if a dialer of this library opened the connection and knows it. A proxy does not report it.
    pub address: Option<SocketAddr>,
    /// The duration of each step.
    pub timings: Timings,
    /// The server name in SNI (RFC 6066 section 3).
    pub server_name: Option<String>,
    /// The TLS version.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The group of the key exchange; `None` if a session was resumed without a key exchange.
    pub group: Option<NamedGroup>,
    /// The protocol id that ALPN selected (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// The kind of handshake: full, full with a HelloRetryRequest, or resumed.
    pub kind: Option<HandshakeKind>,
    /// The octets of TLS that were read up to the end of the handshake.
    pub handshake_read: u64,
    /// The octets of TLS that were written up to the end of the handshake.
    pub handshake_written: u64,
    /// The certificates that the peer presented, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The part of `chain` that leads to a trusted root, the server's own certificate first, without the root.
    ///
    /// If a date is the only fault, this is the path at a time when the date was valid. It is empty if no path exists. The
    /// name in the certificate does not matter here.
    pub path: Vec<CertificateDer<'static>>,
    /// The result of the verification of the certificate.
    pub verdict: CertificateVerdict,
    /// The OCSP response that the server stapled, in DER; `None` without one. It is not evaluated:
    /// [`OcspResponse`](crate::x509::OcspResponse) reads it and verifies its signature.
    pub ocsp_response: Option<Vec<u8>>,
}

/// The duration of each step; `None` for a step that the connection did not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// The lookup of the addresses.
    pub resolve: Option<Duration>,
    /// The connection to one of the addresses.
    pub connect: Option<Duration>,
    /// From the connection to the go-ahead for TLS.
    pub negotiation: Option<Duration>,
    /// From the go-ahead for TLS to the end of the handshake.
    pub handshake: Option<Duration>,
}

/// The result of the verification of the peer's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateVerdict {
    /// The certificate leads to a trusted root and is valid now, for the expected name.
    Verified,
    /// A verifier of the caller accepted the certificate
    /// ([`verifier`](crate::ConnectorBuilder::verifier), [`tls_config`](crate::ConnectorBuilder::tls_config)). This library
    /// does not know what that verifier checked.
    AcceptedByCaller,
    /// The verification failed. The connection exists because the caller requested that
    /// ([`insecure`](crate::ConnectorBuilder::insecure)).
    Failed(CertificateFailure),
    /// The peer presented no certificate, as clients may.
    NoCertificate,
}

impl fmt::Display for CertificateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::AcceptedByCaller => f.write_str("accepted by the program's own verifier"),
            Self::Failed(failure) => write!(f, "not verified: {failure}"),
            Self::NoCertificate => f.write_str("no certificate"),
        }
    }
}

impl TlsFacts {
    pub(crate) fn new(tls: &CommonState, server_name: Option<String>, timings: Timings) -> Self {
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
            ocsp_response: None,
        }
    }

    /// Returns the name of the TLS version: "TLS 1.3".
    pub fn version_name(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        }
    }

    /// Returns the registered name of the cipher suite: `TLS_AES_256_GCM_SHA384`.
    pub fn cipher_suite_name(&self) -> String {
        let name = self.cipher_suite.map(|suite| format!("{suite:?}")).unwrap_or_default();
        name.replacen("TLS13_", "TLS_", 1)
    }

    /// Returns the registered name of the group of the key exchange: `X25519MLKEM768`.
    pub fn group_name(&self) -> Option<String> {
        self.group.map(|group| format!("{group:?}"))
    }

    /// Returns whether the key exchange resists quantum computers.
    pub fn is_post_quantum(&self) -> bool {
        self.group.is_some_and(tls::is_post_quantum)
    }

    /// Returns the kind of handshake: "full", "full with hello retry" or "resumed".
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Some(HandshakeKind::FullWithHelloRetryRequest) => "full with hello retry",
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "full",
        }
    }
}
