//! The streams of a rogue's sessions: cleartext up to the first TLS record, and TLS after injected bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::behavior::{HANDSHAKE_TIMEOUT, Pace};

/// The most octets of one read.
pub(super) const CHUNK: usize = 8 * 1024;

/// Returns the offset of a TLS handshake record (RFC 8446 section 5.1). An incomplete header and an alert count at the start
/// only.
pub(super) fn record(bytes: &[u8]) -> Option<usize> {
    let starts = |at: &[u8]| matches!(at, [0x16, 0x03, 0x00..=0x04, ..]);
    let first = matches!(bytes, [0x16] | [0x16, 0x03] | [0x15, 0x03, ..]);
    if first { Some(0) } else { (0..bytes.len()).find(|&at| starts(&bytes[at..])) }
}

/// Cleartext in both directions, which ends before the first octet of TLS. The connection itself stays open while it has
/// another owner.
pub(super) struct Clear {
    tcp: Arc<TcpStream>,
    /// Whether TLS records are read too.
    all: bool,
    pace: Pace,
    /// The wait before the next piece.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Clear {
    pub(super) fn new(tcp: Arc<TcpStream>, pace: Pace) -> Self {
        let waiting = (!pace.delay.is_zero()).then(|| Box::pin(sleep(pace.delay)));
        Self { tcp, all: false, pace, waiting }
    }

    /// Returns a stream that also reads TLS records.
    pub(super) fn all(tcp: Arc<TcpStream>) -> Self {
        Self { all: true, ..Self::new(tcp, Pace::AT_ONCE) }
    }
}

impl AsyncRead for Clear {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut seen = [0; CHUNK];
            let mut seen = ReadBuf::new(&mut seen);
            ready!(self.tcp.poll_peek(cx, &mut seen))?;
            let seen = seen.filled();
            let end = record(seen).filter(|_| !self.all).unwrap_or(seen.len()).min(buf.remaining());
            match self.tcp.try_read(&mut buf.initialize_unfilled()[..end]) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Clear {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        let piece = match self.pace.octets {
            0 => buf,
            octets => &buf[..octets.min(buf.len())],
        };
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            match self.tcp.try_write(piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.waiting = (self.pace.octets > 0).then(|| Box::pin(sleep(self.pace.pause)));
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the connection continues with TLS, or is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream on which each octet restarts the timeout.
pub(super) struct Restless<S> {
    stream: S,
    patience: Pin<Box<Sleep>>,
}

impl<S> Restless<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, patience: Box::pin(sleep(HANDSHAKE_TIMEOUT)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Restless<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.patience.as_mut().reset(Instant::now() + HANDSHAKE_TIMEOUT);
            return Poll::Ready(read);
        }
        self.patience.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Restless<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream with injected bytes, which are read as if they had arrived on it.
pub(super) struct Early<S> {
    pub(super) stream: S,
    pub(super) early: Vec<u8>,
    pub(super) how: EarlyReads,
}

/// The order of the injected bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyReads {
    /// Before the stream.
    First,
    /// Before the first bytes of the stream, once those have arrived.
    WithTheNext,
    /// Before the stream; the answers to them are dropped.
    Muted,
    /// Instead of the stream.
    Alone,
}

impl<S: AsyncRead + Unpin> AsyncRead for Early<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.how == EarlyReads::WithTheNext {
            let mut next = [0; CHUNK];
            let mut next = ReadBuf::new(&mut next);
            ready!(Pin::new(&mut me.stream).poll_read(cx, &mut next))?;
            if next.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            me.early.extend_from_slice(next.filled());
            me.how = EarlyReads::First;
        }
        if !me.early.is_empty() {
            let count = me.early.len().min(buf.remaining());
            buf.put_slice(&me.early[..count]);
            me.early.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match me.how {
            EarlyReads::Alone => return Poll::Ready(Ok(())),
            EarlyReads::Muted => me.how = EarlyReads::First,
            EarlyReads::First | EarlyReads::WithTheNext => {}
        }
        Pin::new(&mut me.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Early<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.how == EarlyReads::Muted {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
