//! The connections of a session: sockets with or without TLS.

use std::cell::Cell;
use std::io;
use std::net;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix;
use std::pin::Pin;
use std::sync::Arc;
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
pub(crate) struct Socket {
    io: Io,
    written: u64,
    /// Whether a drop resets the connection.
    resets: Cell<bool>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// A socket to a client, with what the network sees of the session.
    Observed(Box<(Socket, Observation)>),
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::new(Io::Tcp(tcp))
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self::new(Io::Unix(unix))
    }
}

/// A connection of a session.
#[derive(Debug)]
pub(crate) enum Stream<IO = Socket> {
    Clear(IO),
    Tls(Box<Encrypted<IO>>),
}

impl<IO> Stream<IO> {
    pub(crate) fn socket(&self) -> &IO {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(tls) => tls.io(),
        }
    }

    /// Returns the connection without the secret that only logins need.
    pub(super) fn without_exporter(mut self) -> Self {
        if let Self::Tls(tls) = &mut self {
            tls.erase_exporter();
        }
        self
    }

    /// Replaces the socket.
    pub(super) fn try_map<T>(self, replace: impl FnOnce(IO) -> io::Result<T>) -> io::Result<Stream<T>> {
        match self {
            Self::Clear(socket) => replace(socket).map(Stream::Clear),
            Self::Tls(tls) => tls.try_map_io(replace).map(|tls| Stream::Tls(Box::new(tls))),
        }
    }
}

impl Stream {
    pub(crate) fn facts(&self) -> Option<&TlsFacts> {
        match self {
            Self::Clear(_) => None,
            Self::Tls(tls) => Some(tls.facts()),
        }
    }

    pub(crate) fn shared_facts(&self) -> Option<Arc<TlsFacts>> {
        match self {
            Self::Clear(_) => None,
            Self::Tls(tls) => Some(tls.shared_facts()),
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

    /// Keeps what is written until the shutdown, so that the last octets, `close_notify` and the end of the connection leave in
    /// one segment.
    pub(crate) fn hold_until_shutdown(&self) {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.socket().tcp() {
            // Without it there are more segments.
            let _ = SockRef::from(tcp).set_tcp_cork(true);
        }
    }
}

impl Socket {
    fn new(io: Io) -> Self {
        Self { io, written: 0, resets: Cell::new(false) }
    }

    /// Returns a socket whose session is observed.
    pub(crate) fn observed(self, observation: Observation) -> Self {
        Self::new(Io::Observed(Box::new((self, observation))))
    }

    /// Returns the octets that the system has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Sets whether a drop resets the connection or ends it in good order. A Unix socket cannot be reset.
    ///
    /// # Errors
    /// When the socket is no longer connected.
    pub(crate) fn reset_when_dropped(&self, reset: bool) -> io::Result<()> {
        if self.resets.replace(reset) == reset {
            return Ok(());
        }
        match &self.io {
            Io::Tcp(tcp) => SockRef::from(tcp).set_linger(reset.then_some(Duration::ZERO)),
            Io::Unix(_) => Ok(()),
            Io::Observed(observed) => observed.0.reset_when_dropped(reset),
        }
    }

    /// Returns the TCP connection, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Tcp(tcp) => Some(tcp),
            Io::Unix(_) => None,
            Io::Observed(observed) => observed.0.tcp(),
        }
    }

    /// Returns whether the runtime can stop watching it without a loss.
    pub(super) fn can_park(&self) -> bool {
        !matches!(self.io, Io::Observed(_))
    }

    /// Makes the runtime stop watching the socket.
    ///
    /// # Errors
    /// When the system refuses it, or the socket is observed. The connection is closed then.
    pub(super) fn park(self) -> io::Result<ParkedSocket> {
        let Self { io, written, resets } = self;
        let io = match io {
            Io::Tcp(tcp) => ParkedIo::Tcp(tcp.into_std()?),
            Io::Unix(unix) => ParkedIo::Unix(unix.into_std()?),
            Io::Observed(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(ParkedSocket { io, written, resets })
    }
}

/// A connected socket that the runtime does not watch. Its options stay as they were.
#[derive(Debug)]
pub(crate) struct ParkedSocket {
    io: ParkedIo,
    written: u64,
    resets: Cell<bool>,
}

#[derive(Debug)]
enum ParkedIo {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl ParkedSocket {
    /// Makes the runtime of this thread watch the socket again.
    ///
    /// # Errors
    /// When the system refuses it. The connection is closed then.
    pub(super) fn resume(self) -> io::Result<Socket> {
        let Self { io, written, resets } = self;
        let io = match io {
            ParkedIo::Tcp(tcp) => Io::Tcp(TcpStream::from_std(tcp)?),
            ParkedIo::Unix(unix) => Io::Unix(UnixStream::from_std(unix)?),
        };
        Ok(Socket { io, written, resets })
    }
}

impl AsRawFd for ParkedSocket {
    fn as_raw_fd(&self) -> RawFd {
        match &self.io {
            ParkedIo::Tcp(tcp) => tcp.as_raw_fd(),
            ParkedIo::Unix(unix) => unix.as_raw_fd(),
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
        match &mut self.get_mut().io {
            Io::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_read(cx, buf),
            Io::Observed(observed) => {
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
        let this = self.get_mut();
        let written = match &mut this.io {
            Io::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_write(cx, buf),
            Io::Observed(observed) => {
                let (socket, observation) = observed.as_mut();
                let written = Pin::new(socket).poll_write(cx, buf);
                if let Poll::Ready(Ok(len)) = written {
                    observation.receive(Side::Server, &buf[..len]);
                }
                written
            }
        };
        if let Poll::Ready(Ok(count)) = written {
            this.written += count as u64;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Tcp(io) => Pin::new(io).poll_flush(cx),
            Io::Unix(io) => Pin::new(io).poll_flush(cx),
            Io::Observed(observed) => Pin::new(&mut observed.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Io::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Io::Observed(observed) => Pin::new(&mut observed.0).poll_shutdown(cx),
        }
    }
}
