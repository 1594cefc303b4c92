//! Extensions of ClientHello and ServerHello.

use crate::reader::{Reader, put_codes, put_vector};
use crate::table::{NamedGroup, SignatureScheme};

/// An extension: its type, and its contents as they are on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The type; [`extension_name`] returns its name.
    pub kind: u16,
    /// The contents.
    pub data: Vec<u8>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $ident:ident $code:literal $name:literal;)*) => {
        /// Extension types (IANA registry "TLS ExtensionType Values").
        pub mod kind {
            $($(#[$doc])* pub const $ident: u16 = $code;)*
        }

        /// Returns the registered name of an extension type.
        pub const fn extension_name(kind: u16) -> Option<&'static str> {
            match kind { $($code => Some($name),)* _ => None }
        }
    };
}

kinds! {
    /// The name of the server (RFC 6066).
    SERVER_NAME 0 "server_name";
    /// Shorter records (RFC 6066).
    MAX_FRAGMENT_LENGTH 1 "max_fragment_length";
    /// Shorter MACs (RFC 6066).
    TRUNCATED_HMAC 4 "truncated_hmac";
    /// A stapled OCSP response (RFC 6066).
    STATUS_REQUEST 5 "status_request";
    /// Groups (RFC 8422, RFC 7919, RFC 8446).
    SUPPORTED_GROUPS 10 "supported_groups";
    /// Point formats (RFC 8422).
    EC_POINT_FORMATS 11 "ec_point_formats";
    /// Signature schemes (RFC 8446).
    SIGNATURE_ALGORITHMS 13 "signature_algorithms";
    /// Heartbeat (RFC 6520).
    HEARTBEAT 15 "heartbeat";
    /// Application protocols (RFC 7301).
    ALPN 16 "application_layer_protocol_negotiation";
    /// Certificate transparency (RFC 6962).
    SIGNED_CERTIFICATE_TIMESTAMP 18 "signed_certificate_timestamp";
    /// Padding (RFC 7685).
    PADDING 21 "padding";
    /// Encrypt-then-MAC (RFC 7366).
    ENCRYPT_THEN_MAC 22 "encrypt_then_mac";
    /// Extended master secret (RFC 7627).
    EXTENDED_MASTER_SECRET 23 "extended_master_secret";
    /// Record size limit (RFC 8449).
    RECORD_SIZE_LIMIT 28 "record_size_limit";
    /// Session ticket (RFC 5077).
    SESSION_TICKET 35 "session_ticket";
    /// A shared key (RFC 8446).
    PRE_SHARED_KEY 41 "pre_shared_key";
    /// 0-RTT data (RFC 8446).
    EARLY_DATA 42 "early_data";
    /// Versions (RFC 8446).
    SUPPORTED_VERSIONS 43 "supported_versions";
    /// A cookie of HelloRetryRequest (RFC 8446).
    COOKIE 44 "cookie";
    /// Modes of shared keys (RFC 8446).
    PSK_KEY_EXCHANGE_MODES 45 "psk_key_exchange_modes";
    /// Key shares (RFC 8446).
    KEY_SHARE 51 "key_share";
    /// Secure renegotiation (RFC 5746).
    RENEGOTIATION_INFO 0xff01 "renegotiation_info";
}

impl Extension {
    /// An extension without contents.
    pub const fn empty(kind: u16) -> Self {
        Self { kind, data: Vec::new() }
    }

    fn built(kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut data = Vec::new();
        write(&mut data);
        Self { kind, data }
    }

    /// The name of the server: a host name, never an address (RFC 6066 section 3).
    pub fn server_name(name: &str) -> Self {
        Self::built(kind::SERVER_NAME, |data| {
            let mut entry = vec![0];
            put_vector::<2>(&mut entry, name.as_bytes());
            put_vector::<2>(data, &entry);
        })
    }

    /// Asks for a stapled OCSP response.
    pub fn status_request() -> Self {
        Self { kind: kind::STATUS_REQUEST, data: vec![1, 0, 0, 0, 0] }
    }

    /// The groups, the preferred one first.
    pub fn supported_groups(groups: &[NamedGroup]) -> Self {
        Self::codes(kind::SUPPORTED_GROUPS, groups.iter().map(|group| group.0))
    }

    /// Uncompressed points only.
    pub fn ec_point_formats() -> Self {
        Self { kind: kind::EC_POINT_FORMATS, data: vec![1, 0] }
    }

    /// The signature schemes, the preferred one first.
    pub fn signature_algorithms(schemes: &[SignatureScheme]) -> Self {
        Self::codes(kind::SIGNATURE_ALGORITHMS, schemes.iter().map(|scheme| scheme.0))
    }

    fn codes(kind: u16, codes: impl Iterator<Item = u16>) -> Self {
        Self::built(kind, |data| {
            let mut list = Vec::new();
            put_codes(&mut list, codes);
            put_vector::<2>(data, &list);
        })
    }

    /// Heartbeats may be sent to the client.
    pub fn heartbeat() -> Self {
        Self { kind: kind::HEARTBEAT, data: vec![1] }
    }

    /// The application protocol.
    pub fn alpn(protocol: &[u8]) -> Self {
        Self::built(kind::ALPN, |data| {
            let mut list = Vec::new();
            put_vector::<1>(&mut list, protocol);
            put_vector::<2>(data, &list);
        })
    }

    /// The versions by their codes, the preferred one first.
    pub fn supported_versions(codes: &[u16]) -> Self {
        Self::built(kind::SUPPORTED_VERSIONS, |data| {
            let mut list = Vec::new();
            put_codes(&mut list, codes.iter().copied());
            put_vector::<1>(data, &list);
        })
    }

    /// Shared keys with an ephemeral exchange only.
    pub fn psk_key_exchange_modes() -> Self {
        Self { kind: kind::PSK_KEY_EXCHANGE_MODES, data: vec![1, 1] }
    }

    /// Key shares. An empty list asks for a HelloRetryRequest (RFC 8446 section 4.2.8).
    pub fn key_share(shares: &[(NamedGroup, &[u8])]) -> Self {
        Self::built(kind::KEY_SHARE, |data| {
            let mut list = Vec::new();
            for (group, share) in shares {
                put_codes(&mut list, [group.0]);
                put_vector::<2>(&mut list, share);
            }
            put_vector::<2>(data, &list);
        })
    }

    /// A first handshake with secure renegotiation.
    pub fn renegotiation_info() -> Self {
        Self { kind: kind::RENEGOTIATION_INFO, data: vec![0] }
    }

    /// Zeros: this many octets.
    pub fn padding(octets: usize) -> Self {
        Self { kind: kind::PADDING, data: vec![0; octets] }
    }

    /// Returns the registered name of the type.
    pub const fn name(&self) -> Option<&'static str> {
        extension_name(self.kind)
    }
}

/// Reads a block of extensions that fills `bytes`.
pub(crate) fn read_all(bytes: &[u8]) -> Option<Vec<Extension>> {
    let mut reader = Reader(bytes);
    let mut extensions = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u16()?;
        extensions.push(Extension { kind, data: reader.vector16()?.to_vec() });
    }
    Some(extensions)
}

/// Appends the common length of the extensions, and the extensions.
pub(crate) fn put_all(out: &mut Vec<u8>, extensions: &[Extension]) {
    let mut block = Vec::new();
    for extension in extensions {
        put_codes(&mut block, [extension.kind]);
        put_vector::<2>(&mut block, &extension.data);
    }
    put_vector::<2>(out, &block);
}

/// Finds the contents of the first extension of this type.
pub(crate) fn find(extensions: &[Extension], kind: u16) -> Option<&[u8]> {
    extensions.iter().find(|extension| extension.kind == kind).map(|extension| extension.data.as_slice())
}

/// Reads an ALPN list and returns its protocols.
pub(crate) fn alpn_list(data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut list = Reader(Reader(data).vector16()?);
    let mut protocols = Vec::new();
    while !list.is_empty() {
        protocols.push(list.vector8()?);
    }
    Some(protocols)
}
