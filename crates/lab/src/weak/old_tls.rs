//! The start of a handshake as a client does it that still speaks TLS 1.0. No library here does.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::session::Stream;

/// A ClientHello of TLS 1.0 that offers TLS_RSA_WITH_AES_128_CBC_SHA (RFC 2246 section 7.4.1.2, RFC 3268).
const CLIENT_HELLO: &[u8] = &[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
const BEHIND_RANDOM: &[u8] = &[0, 0, 2, 0x00, 0x2f, 1, 0];
/// The head of a ClientKeyExchange (section 7.4.7), and too short a secret.
const KEY_EXCHANGE: &[u8] = &[0x16, 3, 1, 0, 6, 0x10, 0, 0, 2, 0, 0];

/// Says hello in TLS 1.0, and goes on if the server does.
pub(super) async fn handshake(mut stream: Box<dyn Stream>, patience: Duration) -> io::Result<()> {
    stream.write_all(&[CLIENT_HELLO, &[5; 32], BEHIND_RANDOM].concat()).await?;
    let mut heard = [0; 5];
    timeout(patience, stream.read_exact(&mut heard)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    // A server that speaks no TLS 1.0 says so in an alert.
    if heard[..3] != [0x16, 3, 1] {
        return Err(io::Error::other("no TLS 1.0"));
    }
    stream.write_all(KEY_EXCHANGE).await
}

/// Whatever it is, somebody has come.
pub(super) async fn sign_of_life(stream: &mut (impl AsyncWriteExt + AsyncReadExt + Unpin)) -> io::Result<()> {
    stream.write_all(b"\r\n").await?;
    let _ = timeout(Duration::from_secs(1), stream.read(&mut [0; 64])).await;
    Ok(())
}
