//! The streams as tokio sees them.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tapped_stream::TappedStream;
use crate::{Encrypted, stream};

impl<IO: AsyncRead + Unpin> AsyncRead for TappedStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_early() {
            let count = self.take_early(buf.initialize_unfilled());
            buf.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let read = buf.filled().len() - before;
            let left = self.strip_leading_space(&mut buf.filled_mut()[before..]);
            buf.set_filled(before + left);
            if left > 0 || read == 0 {
                break;
            }
        }
        self.received(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for TappedStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.sent(&buf[..sent]);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// An asynchronous stream during one poll: instead of waiting it returns `WouldBlock`.
pub(super) struct Polled<'a, 'b, IO> {
    pub(super) tapped: &'a mut TappedStream<IO>,
    pub(super) cx: &'a mut Context<'b>,
}

impl<IO: AsyncRead + Unpin> Read for Polled<'_, '_, IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        blocking(Pin::new(&mut *self.tapped).poll_read(self.cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl<IO: AsyncWrite + Unpin> Write for Polled<'_, '_, IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.tapped).poll_write(self.cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        blocking(Pin::new(&mut *self.tapped).poll_flush(self.cx))
    }
}

fn blocking<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

pub(super) fn waiting<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let into = buf.initialize_unfilled();
        let count =
            ready!(waiting(stream::read(&mut this.tls, &mut Polled { tapped: &mut this.tapped, cx }, into)))?;
        this.seen(&into[..count]);
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count =
            ready!(waiting(stream::write(&mut this.tls, &mut Polled { tapped: &mut this.tapped, cx }, buf)))?;
        this.shown(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        waiting(stream::flush(&mut this.tls, &mut Polled { tapped: &mut this.tapped, cx }))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(waiting(stream::close(&mut this.tls, &mut Polled { tapped: &mut this.tapped, cx })))?;
        Pin::new(&mut this.tapped).poll_shutdown(cx)
    }
}
