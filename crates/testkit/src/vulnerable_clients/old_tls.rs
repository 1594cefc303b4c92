//! Handshakes of careless clients, which no TLS library here supports.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::conversation::ClientStream;

/// What a careless client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// TLS 1.0. It offers TLS_RSA_WITH_AES_128_CBC_SHA (RFC 2246 section 7.4.1.2, RFC 3268).
    Tls10,
    /// An ALPN protocol that it did not offer. It offers TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 in TLS 1.2.
    AnyAlpn,
}

/// Sends a ClientHello, and continues with the key exchange whatever the server's answer contains.
pub(super) async fn handshake(
    mut stream: Box<dyn ClientStream>,
    takes: Takes,
    patience: Duration,
) -> io::Result<()> {
    let (minor, suite) = match takes {
        Takes::Tls10 => (1, [0x00, 0x2f]),
        Takes::AnyAlpn => (3, [0xc0, 0x2b]),
    };
    let start = [0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, minor];
    stream.write_all(&[&start, &[5; 32][..], &[0, 0, 2], &suite, &[1, 0]].concat()).await?;
    let mut heard = [0; 5];
    timeout(patience, stream.read_exact(&mut heard)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    // A server that does not speak this version sends an alert.
    if heard[..3] != [0x16, 3, minor] {
        return Err(io::Error::other("the server does not support this TLS version"));
    }
    // The head of a ClientKeyExchange (RFC 2246 section 7.4.7), and a secret that is too short.
    stream.write_all(&[0x16, 3, minor, 0, 6, 0x10, 0, 0, 2, 0, 0]).await
}

/// Sends a line, so that the server of a redirect sees the client.
pub(super) async fn sign_of_life(stream: &mut (impl AsyncWriteExt + AsyncReadExt + Unpin)) -> io::Result<()> {
    stream.write_all(b"\r\n").await?;
    let _ = timeout(Duration::from_secs(1), stream.read(&mut [0; 64])).await;
    Ok(())
}
