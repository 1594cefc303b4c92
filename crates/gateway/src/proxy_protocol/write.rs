//! Writes a header. In version 2 every value is preceded by its length, so a value cannot imitate another.

use std::net::SocketAddr;

use starttls::rustls::pki_types::CertificateDer;
use starttls::rustls::{HandshakeKind, ProtocolVersion};
use starttls::{TlsFacts, proxy_header};
use starttls_x509::Certificate;

/// Types of values (section 2.2).
mod kind {
    pub(super) const ALPN: u8 = 0x01;
    pub(super) const AUTHORITY: u8 = 0x02;
    pub(super) const SSL: u8 = 0x20;
    pub(super) const SSL_VERSION: u8 = 0x21;
    pub(super) const SSL_CN: u8 = 0x22;
    pub(super) const SSL_CIPHER: u8 = 0x23;
}

/// Bits of the client field (section 2.2.6).
mod client {
    pub(super) const SSL: u8 = 1;
    pub(super) const CERTIFICATE_NOW: u8 = 2;
    pub(super) const CERTIFICATE_IN_SESSION: u8 = 4;
}

/// A longer value is omitted, because a truncated value would be a different one.
const LONGEST: usize = 1024;

/// What a header reports about the client.
#[derive(Clone, Copy, Debug)]
pub struct ProxiedClient<'a> {
    /// The addresses of the client and of the listener; `None` on a Unix socket.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The client's TLS session. TLS is reported only if there is TLS (rule G4).
    pub tls: Option<&'a TlsFacts>,
    /// Whether the route of this backend requested the client's certificate. Other backends do not get it, because it was
    /// verified for another route (rule S8).
    pub certificate: bool,
}

impl ProxiedClient<'_> {
    /// Returns the common name in the client's certificate, if there is exactly one and it contains no control characters.
    pub fn client_name(&self) -> Option<String> {
        let names = Certificate::from_der(self.own()?).ok()?.common_names();
        let [name] = names.as_slice() else { return None };
        let plain = !name.is_empty() && name.len() <= LONGEST && !name.contains(char::is_control);
        plain.then(|| name.to_string())
    }

    fn own(&self) -> Option<&CertificateDer<'static>> {
        self.tls.filter(|_| self.certificate)?.chain.first()
    }
}

/// Writes a line of version 1 (section 2.1), which contains addresses only.
pub fn v1(identity: &ProxiedClient<'_>) -> Vec<u8> {
    proxy_header::v1(identity.addresses)
}

/// Writes a header of version 2 (section 2.2), with the facts of the client's TLS session.
pub fn v2(identity: &ProxiedClient<'_>) -> Vec<u8> {
    let mut values = Vec::new();
    if let Some(tls) = identity.tls {
        if let Some(alpn) = &tls.alpn {
            put(&mut values, kind::ALPN, alpn);
        }
        if let Some(name) = &tls.server_name {
            put(&mut values, kind::AUTHORITY, name.as_bytes());
        }
        put(&mut values, kind::SSL, &ssl(identity, tls));
    }
    // Five values of at most `LONGEST` octets fit into the header.
    proxy_header::v2(identity.addresses, &values)
}

/// Writes the TLS value (section 2.2.6): the client field, the result of the verification (0 is valid), and more values.
fn ssl(identity: &ProxiedClient<'_>, tls: &TlsFacts) -> Vec<u8> {
    let resumed = tls.kind == Some(HandshakeKind::Resumed);
    let own = identity.own();
    let mut did = client::SSL;
    if own.is_some() {
        did |= client::CERTIFICATE_IN_SESSION | if resumed { 0 } else { client::CERTIFICATE_NOW };
    }
    // The handshake fails with an invalid certificate.
    let verified = u32::from(own.is_none());
    let mut value = vec![did];
    value.extend(verified.to_be_bytes());
    let version = match tls.version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    put(&mut value, kind::SSL_VERSION, version.as_bytes());
    put(&mut value, kind::SSL_CIPHER, tls.cipher_suite_name().as_bytes());
    if let Some(name) = identity.client_name() {
        put(&mut value, kind::SSL_CN, name.as_bytes());
    }
    value
}

fn put(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if let (true, Ok(length)) = (value.len() <= LONGEST, u16::try_from(value.len())) {
        to.push(kind);
        to.extend(length.to_be_bytes());
        to.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Header;
    use super::super::read::read;
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_what_is_read() {
        for (client, destination, as_read) in [
            ("192.0.2.1:50000", "198.51.100.2:25", "192.0.2.1:50000"),
            ("[2001:db8::1]:50000", "[2001:db8::2]:25", "[2001:db8::1]:50000"),
            ("[::ffff:192.0.2.1]:50000", "198.51.100.2:25", "192.0.2.1:50000"),
            ("192.0.2.1:50000", "[2001:db8::2]:25", "[::ffff:192.0.2.1]:50000"),
        ] {
            let addresses = Some((client.parse().unwrap(), destination.parse().unwrap()));
            let identity = ProxiedClient { addresses, tls: None, certificate: false };
            for header in [v1(&identity), v2(&identity)] {
                let mut left = header.as_slice();
                let Header::Proxied { client, .. } = read(&mut left).await.unwrap() else {
                    panic!("{header:?}")
                };
                assert_eq!((client, left), (as_read.parse().unwrap(), &b""[..]));
            }
        }
        let unknown = ProxiedClient { addresses: None, tls: None, certificate: false };
        for header in [v1(&unknown), v2(&unknown)] {
            assert_eq!(read(&mut header.as_slice()).await.unwrap(), Header::Local);
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_left_out_whole() {
        let mut out = Vec::new();
        put(&mut out, kind::ALPN, &[b'x'; LONGEST + 1]);
        assert!(out.is_empty());
        put(&mut out, kind::ALPN, b"imap");
        assert_eq!(out, b"\x01\0\x04imap");
    }
}
