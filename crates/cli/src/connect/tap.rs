//! A cleartext stream with an observer, like the streams of the library.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use starttls::proto::Side;
use starttls::{Chunk, ConnectionPhase, Observer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) struct Tapped<IO> {
    io: IO,
    observer: Arc<dyn Observer>,
    started: Instant,
}

impl<IO> Tapped<IO> {
    pub(crate) fn new(io: IO, observer: Arc<dyn Observer>) -> Self {
        Self { io, observer, started: Instant::now() }
    }

    /// Returns the stream, and an observer for the bytes that follow. Its clock continues.
    pub(crate) fn into_parts(self) -> (IO, Arc<dyn Observer>) {
        let (observer, spent) = (self.observer, self.started.elapsed());
        let later = move |chunk: &Chunk<'_>| observer.observe(&Chunk { at: spent + chunk.at, ..*chunk });
        (self.io, Arc::new(later))
    }

    fn show(&self, from: Side, bytes: &[u8]) {
        if !bytes.is_empty() {
            let at = self.started.elapsed();
            self.observer.observe(&Chunk { from, phase: ConnectionPhase::Negotiation, at, bytes });
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tapped<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.show(Side::Server, buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Tapped<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.show(Side::Client, bytes.get(..sent).unwrap_or_default());
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
