//! The connections of a session: sockets with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use starttls::proto::{Phase, Side};
use starttls::{Encrypted, TlsFacts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::observation::Observation;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// A socket to a client, with what the network sees of the session.
    Observed(Box<(Socket, Observation)>),
}

/// A connection of a session.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(Socket),
    Tls(Box<Encrypted<Socket>>),
}

impl Stream {
    pub(crate) fn facts(&self) -> Option<&TlsFacts> {
        match self {
            Self::Clear(_) => None,
            Self::Tls(tls) => Some(tls.facts()),
        }
    }

    /// Returns the phase of the session on this stream.
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Clear(_) => Phase::Cleartext,
            Self::Tls(_) => Phase::InsideTls,
        }
    }

    /// Makes a drop look like a broken connection to the peer: inside TLS by the missing close_notify (RFC 8446 section 6.1),
    /// in cleartext by a reset.
    pub(crate) fn begin(&self) {
        if let Self::Clear(socket) = self {
            // Setting the option fails only on a connection that has ended.
            let _ = socket.reset_when_dropped(true);
        }
    }

    /// Makes a drop look like an orderly end to the peer: what was sent is delivered before the connection is closed.
    pub(crate) fn end(&self) {
        let _ = self.socket().reset_when_dropped(false);
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(tls) => tls.io(),
        }
    }
}

impl Socket {
    /// Sets whether a drop resets the connection or ends it in good order. A Unix socket cannot be reset.
    ///
    /// # Errors
    /// When the socket is no longer connected.
    pub(crate) fn reset_when_dropped(&self, reset: bool) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => SockRef::from(tcp).set_linger(reset.then_some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
            Self::Observed(observed) => observed.0.reset_when_dropped(reset),
        }
    }

    /// Returns the TCP connection, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Unix(_) => None,
            Self::Observed(observed) => observed.0.tcp(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
            Self::Observed(observed) => {
                let (socket, observation) = observed.as_mut();
                let before = buf.filled().len();
                let read = Pin::new(socket).poll_read(cx, buf);
                observation.receive(Side::Client, &buf.filled()[before..]);
                read
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_write(cx, buf),
            Self::Observed(observed) => {
                let (socket, observation) = observed.as_mut();
                let written = Pin::new(socket).poll_write(cx, buf);
                if let Poll::Ready(Ok(len)) = written {
                    observation.receive(Side::Server, &buf[..len]);
                }
                written
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Unix(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Observed(observed) => {
                let (socket, observation) = observed.as_mut();
                let written = Pin::new(socket).poll_write_vectored(cx, bufs);
                if let Poll::Ready(Ok(mut left)) = written {
                    for buf in bufs {
                        let len = buf.len().min(left);
                        observation.receive(Side::Server, &buf[..len]);
                        left -= len;
                    }
                }
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
            Self::Observed(observed) => Pin::new(&mut observed.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Self::Observed(observed) => Pin::new(&mut observed.0).poll_shutdown(cx),
        }
    }
}
