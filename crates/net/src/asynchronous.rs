//! The tokio driver.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use starttls_proto::{Client, Declined, Progress, Protocol, Server, Upgrade};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

use crate::attempt::{Attempt, Broken, HANDSHAKE, Handshake, shake};
use crate::deadline::Deadline;
use crate::machine::Machine;
use crate::stream;
use crate::wire::Wire;
use crate::{Acceptor, Connector, Encrypted, Endpoint, Error, NotEncrypted, Outcome, Ready};

/// What an asynchronous stream has to be.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for IO {}

impl Connector {
    /// Dials, upgrades and verifies.
    ///
    /// # Errors
    /// Every way in which there can be no encrypted stream is an [`Error`], a refused upgrade included.
    pub async fn connect(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<TcpStream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into()).await?;
        self.agree(protocol, to.server_name(), attempt, tcp).await?.required()?.handshake().await
    }

    /// Like [`connect`](Self::connect), but a server that refuses TLS leaves a connection **in cleartext**.
    ///
    /// # Errors
    /// As for `connect`, but for a refusal after which the connection can go on.
    pub async fn connect_or_cleartext(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Outcome<TcpStream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into()).await?;
        self.agree(protocol, to.server_name(), attempt, tcp).await?.or_cleartext().await
    }

    /// Dials and starts TLS at the first byte, without a negotiation (RFC 8314 section 3).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_implicit(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<TcpStream>, Error> {
        let (attempt, tcp, _) = self.begin(protocol, to.into()).await?;
        let wire = Wire::new(tcp, attempt.tap.clone());
        attempt.begin(wire, Vec::new())?.run().await
    }

    /// Upgrades a stream on which nothing was said yet.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn upgrade<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.negotiate(protocol, server_name, io).await?.handshake().await
    }

    /// Like [`upgrade`](Self::upgrade), but a server that refuses TLS leaves the stream **in cleartext**.
    ///
    /// # Errors
    /// As for [`connect_or_cleartext`](Self::connect_or_cleartext).
    pub async fn upgrade_or_cleartext<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Outcome<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        self.agree(protocol, server_name, attempt, io).await?.or_cleartext().await
    }

    /// Starts TLS on a stream at its first byte.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn upgrade_implicit<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        let wire = Wire::new(io, attempt.tap.clone());
        attempt.begin(wire, Vec::new())?.run().await
    }

    /// Negotiates in cleartext and stops before the handshake.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn negotiate<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Ready<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        self.agree(protocol, server_name, attempt, io).await?.required()
    }

    /// Dials and says nothing.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`] or [`Error::Timeout`].
    pub async fn dial(&self, to: impl Into<Endpoint>) -> Result<TcpStream, Error> {
        let deadline = self.deadline();
        let to = to.into();
        let addresses = resolve(&to, &deadline).await?;
        dial(&addresses, &deadline).await
    }

    async fn begin(
        &self,
        protocol: &Protocol,
        to: Endpoint,
    ) -> Result<(Attempt, TcpStream, Endpoint), Error> {
        let mut attempt = self.attempt(protocol, to.server_name(), self.deadline())?;
        let addresses = resolve(&to, &attempt.deadline).await?;
        attempt.timings.resolve = Some(attempt.lap());
        let tcp = dial(&addresses, &attempt.deadline).await?;
        attempt.timings.connect = Some(attempt.lap());
        attempt.address = tcp.peer_addr().ok();
        Ok((attempt, tcp, to))
    }

    async fn agree<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        attempt: Attempt,
        io: IO,
    ) -> Result<Agreement<IO>, Error> {
        let mut wire = Wire::new(io, attempt.tap.clone());
        let mut out = Vec::new();
        let mut client = Client::new(protocol, self.identity(server_name), &mut out);
        let mut retry = self.retry();
        loop {
            let declined = match drive(&mut wire, client, &mut out, &attempt.deadline).await? {
                Ended::Upgrade(upgrade) => return Ok(Agreement::Ready(Ready::new(wire, upgrade, attempt))),
                Ended::Otherwise(declined) if retry.attempts == 0 => {
                    return Ok(Agreement::Declined(declined, wire));
                }
                Ended::Otherwise(declined) => declined,
            };
            client = match declined.retry(&mut out) {
                Ok(client) => client,
                Err(declined) => return Ok(Agreement::Declined(*declined, wire)),
            };
            retry.attempts -= 1;
            attempt.deadline.bound("the pause before asking again", sleep(retry.pause)).await?;
        }
    }
}

async fn sleep(pause: Duration) -> Result<(), Error> {
    tokio::time::sleep(pause).await;
    Ok(())
}

/// What a client's negotiation comes to.
enum Agreement<IO> {
    Ready(Ready<IO>),
    Declined(Declined, Wire<IO>),
}

impl<IO: Stream> Agreement<IO> {
    fn required(self) -> Result<Ready<IO>, Error> {
        match self {
            Self::Ready(ready) => Ok(ready),
            Self::Declined(declined, _) => Err(Error::Declined((&declined).into())),
        }
    }

    async fn or_cleartext(self) -> Result<Outcome<IO>, Error> {
        match self {
            Self::Ready(ready) => ready.handshake().await.map(Outcome::Encrypted),
            Self::Declined(declined, wire) if declined.is_usable_in_cleartext() => {
                Ok(Outcome::NotEncrypted(NotEncrypted::new(wire.io, (&declined).into())))
            }
            Self::Declined(declined, _) => Err(Error::Declined((&declined).into())),
        }
    }
}

impl Acceptor {
    /// Greets, negotiates and finishes the handshake.
    ///
    /// # Errors
    /// Every way in which there can be no encrypted stream is an [`Error`], a client's goodbye included.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<Encrypted<IO>, Error> {
        self.negotiate(io).await?.handshake().await
    }

    /// Starts TLS at the first byte, without a negotiation.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn accept_implicit<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.attempt();
        let wire = Wire::new(io, attempt.tap.clone());
        attempt.begin(wire, Vec::new())?.run().await
    }

    /// Negotiates in cleartext, says the go-ahead and stops before the handshake.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn negotiate<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<Ready<IO>, Error> {
        let attempt = self.attempt();
        let mut wire = Wire::new(io, attempt.tap.clone());
        let mut out = Vec::new();
        let server = Server::new(self.protocol(), self.identity(), self.tls(), &mut out);
        match drive(&mut wire, server, &mut out, &attempt.deadline).await? {
            Ended::Upgrade(upgrade) => Ok(Ready::new(wire, upgrade, attempt)),
            Ended::Otherwise(quit) => {
                farewell(&mut wire, &out, attempt.deadline).await;
                Err(Error::Quit(quit))
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Ready<IO> {
    /// Does the TLS handshake.
    ///
    /// # Errors
    /// The connection is closed then; there is no way back to cleartext (rule B5).
    pub async fn handshake(self) -> Result<Encrypted<IO>, Error> {
        self.begin()?.run().await
    }
}

impl<IO: Stream> Handshake<IO> {
    async fn run(mut self) -> Result<Encrypted<IO>, Error> {
        let Self { tls, wire, attempt } = &mut self;
        let shaking = poll_fn(|cx| match shake(tls, &mut Polled { wire, cx }) {
            Err(Broken::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            done => Poll::Ready(Ok(done)),
        });
        match attempt.deadline.bound(HANDSHAKE, shaking).await? {
            Ok(()) => Ok(self.finish()),
            Err(broken) => {
                // The alert that says why is a courtesy, and waits for nobody.
                let pushed = poll_fn(|cx| waiting(stream::push(tls, &mut Polled { wire, cx })));
                let _ = tokio::time::timeout(FAREWELL.min(attempt.deadline.remaining()), pushed).await;
                farewell(wire, b"", attempt.deadline).await;
                Err(self.fail(broken))
            }
        }
    }
}

/// How a negotiation ends in good order.
enum Ended<E> {
    Upgrade(Upgrade),
    Otherwise(E),
}

/// Gives the machine what arrives and sends what it says, both at once.
///
/// What has arrived by the time a question is to be written is older than the question, and is given to
/// the machine first (rule C3).
async fn drive<IO: Stream, M: Machine>(
    wire: &mut Wire<IO>,
    mut machine: M,
    out: &mut Vec<u8>,
    deadline: &Deadline,
) -> Result<Ended<M::End>, Error> {
    let mut chunk = vec![0; 4096];
    let mut unflushed = false;
    let mut fresh = !out.is_empty();
    loop {
        if std::mem::take(&mut fresh) {
            // Readiness is only known after the runtime has looked.
            tokio::task::yield_now().await;
        }
        let step = machine.awaits();
        let moved = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut chunk);
            if let Poll::Ready(done) = Pin::new(&mut *wire).poll_read(cx, &mut buf) {
                return Poll::Ready(done.map(|()| Some(buf.filled().len())));
            }
            if !out.is_empty() {
                let sent = ready!(Pin::new(&mut *wire).poll_write(cx, out))?;
                out.drain(..sent);
                unflushed = true;
                return Poll::Ready(if sent > 0 { Ok(None) } else { Err(ErrorKind::WriteZero.into()) });
            }
            if unflushed {
                ready!(Pin::new(&mut *wire).poll_flush(cx))?;
                unflushed = false;
            }
            Poll::Pending
        });
        let moved = async { moved.await.map_err(|cause| deadline.explain(step, cause)) };
        let Some(count) = deadline.bound(step, moved).await? else { continue };
        if count == 0 {
            return Err(machine.closed().into());
        }
        let before = out.len();
        match machine.receive(&chunk[..count], out) {
            Ok(Progress::Continue(next)) => machine = next,
            Ok(Progress::End(end)) => return Ok(Ended::Otherwise(end)),
            Ok(Progress::Upgrade(upgrade)) => {
                let writing = async { send(wire, out).await.map_err(|cause| deadline.explain(step, cause)) };
                deadline.bound("the peer to take the last message before TLS", writing).await?;
                out.clear();
                return Ok(Ended::Upgrade(upgrade));
            }
            Err(error) => {
                if M::SAYS_GOODBYE {
                    farewell(wire, out, *deadline).await;
                }
                return Err(error.into());
            }
        }
        fresh = out.len() > before;
    }
}

/// How long a connection that is over may take to hear the last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sends the last words and closes, without waiting long.
async fn farewell<IO: Stream>(wire: &mut Wire<IO>, words: &[u8], deadline: Deadline) {
    let leave = async {
        send(wire, words).await?;
        poll_fn(|cx| Pin::new(&mut wire.io).poll_shutdown(cx)).await
    };
    // It is over whether the peer hears it or not.
    let _ = tokio::time::timeout(FAREWELL.min(deadline.remaining()), leave).await;
}

async fn send<IO: Stream>(wire: &mut Wire<IO>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *wire).poll_write(cx, bytes)).await? {
            0 => return Err(ErrorKind::WriteZero.into()),
            sent => bytes = &bytes[sent..],
        }
    }
    poll_fn(|cx| Pin::new(&mut *wire).poll_flush(cx)).await
}

async fn resolve(to: &Endpoint, deadline: &Deadline) -> Result<Vec<std::net::SocketAddr>, Error> {
    let looking = async { lookup_host(to.dialled()).await.map_err(|cause| to.unresolved(cause)) };
    let found = deadline.bound("the addresses of the host", looking).await?;
    to.admitted(found)
}

/// Tries all addresses in turn, each with its share of the time that is left.
async fn dial(addresses: &[std::net::SocketAddr], deadline: &Deadline) -> Result<TcpStream, Error> {
    let mut last = Err(deadline.error("the connection"));
    for (at, &address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let connecting = tokio::time::timeout(deadline.remaining() / left, TcpStream::connect(address)).await;
        match connecting.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(tcp) => {
                // The messages are small, and somebody waits for each. Slower without, but no less right.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(source) => last = Err(deadline.unconnected(address, addresses.len(), source)),
        }
    }
    last
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
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
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.received(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
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

/// An asynchronous stream for the length of one poll: where it has to wait it says `WouldBlock`.
struct Polled<'a, 'b, IO> {
    wire: &'a mut Wire<IO>,
    cx: &'a mut Context<'b>,
}

impl<IO: AsyncRead + Unpin> Read for Polled<'_, '_, IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        blocking(Pin::new(&mut *self.wire).poll_read(self.cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl<IO: AsyncWrite + Unpin> Write for Polled<'_, '_, IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.wire).poll_write(self.cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        blocking(Pin::new(&mut *self.wire).poll_flush(self.cx))
    }
}

fn blocking<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

fn waiting<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
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
            ready!(waiting(stream::read(&mut this.tls, &mut Polled { wire: &mut this.wire, cx }, into)))?;
        this.seen(&into[..count]);
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count =
            ready!(waiting(stream::write(&mut this.tls, &mut Polled { wire: &mut this.wire, cx }, buf)))?;
        this.shown(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        waiting(stream::flush(&mut this.tls, &mut Polled { wire: &mut this.wire, cx }))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(waiting(stream::close(&mut this.tls, &mut Polled { wire: &mut this.wire, cx })))?;
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}
