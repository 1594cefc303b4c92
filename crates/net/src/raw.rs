//! A connection after an agreed upgrade, for probes that send TLS records themselves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use starttls_proto::Upgrade;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tapped_stream::TappedStream;

/// A stream on which both sides expect TLS, for probes that send their own ClientHello.
///
/// Nothing on it is encrypted or authenticated. Only [`Ready::into_raw_tls`](crate::Ready::into_raw_tls) returns it, and
/// consumes the proof that no octet in cleartext was left. The deadline of the negotiation has ended: the caller limits
/// its reads and writes. The observer sees both directions as [`ConnectionPhase::Handshake`](crate::ConnectionPhase::Handshake).
///
/// Its type differs from that of an encrypted stream:
/// ```compile_fail,E0308
/// fn secret(stream: starttls::Encrypted<std::net::TcpStream>) {}
/// fn careless(raw: starttls::RawTls<std::net::TcpStream>) {
///     secret(raw);
/// }
/// ```
#[derive(Debug)]
#[must_use = "the peer now expects TLS"]
pub struct RawTls<IO> {
    pub(crate) tapped: TappedStream<IO>,
}

impl<IO> RawTls<IO> {
    pub(crate) fn new(mut tapped: TappedStream<IO>, upgrade: Upgrade) -> Self {
        tapped.begin_tls(upgrade.into_early_tls());
        tapped.deadline = None;
        Self { tapped }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for RawTls<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tapped).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for RawTls<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tapped).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tapped).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tapped).poll_shutdown(cx)
    }
}
