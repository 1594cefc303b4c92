//! The dialers on blocking sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::Stream;
use crate::dialer::{
    ATTEMPT_DELAY, Dialed, Fixed, HttpConnect, Proxy, ProxyError, ProxyFault, ProxyHandshake, Socks5, Tcp,
    TcpRoute, unreachable,
};
use crate::{Deadline, Endpoint, Error, Step};

/// Opens the connections of a blocking [`Connector`](super::Connector). The module [`dialer`](crate::dialer) lists the
/// dialers.
pub trait Dialer {
    /// The stream of an open connection.
    type Stream: Stream;

    /// Opens a connection to the server before the deadline, and leaves to the protocol what the server sends on it.
    ///
    /// # Errors
    /// [`Error`].
    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<Self::Stream>, Error>;
}

impl<D: Dialer + ?Sized> Dialer for Arc<D> {
    type Stream = D::Stream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        (**self).dial(to, deadline)
    }
}

impl Dialer for Tcp {
    type Stream = TcpStream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let began = Instant::now();
        let found = resolve(to, &deadline)?;
        let resolve = Some(began.elapsed());
        let addresses = self.reachable(&found);
        if addresses.is_empty() {
            return Err(to.of_other_family());
        }
        let (stream, address) = race(*self, addresses, &deadline)?;
        Ok(Dialed { stream, address: Some(address), resolve })
    }
}

impl Dialer for Fixed {
    type Stream = TcpStream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let addresses = self.tcp.reachable(&to.admitted(self.addresses.iter().copied())?);
        if addresses.is_empty() {
            return Err(to.of_other_family());
        }
        let (stream, address) = race(self.tcp, addresses, &deadline)?;
        Ok(Dialed::new(stream).to(address))
    }
}

#[cfg(unix)]
impl Dialer for crate::dialer::Unix {
    type Stream = std::os::unix::net::UnixStream;

    fn dial(&self, _: &Endpoint, _: Deadline) -> Result<Dialed<Self::Stream>, Error> {
        let connected = Self::Stream::connect(&self.path);
        connected.map(Dialed::new).map_err(|source| Error::Socket { path: self.path.clone(), source })
    }
}

impl<D: Dialer> Dialer for Socks5<D> {
    type Stream = D::Stream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        through(&self.via, &self.proxy, self.handshake(to)?, deadline)
    }
}

impl<D: Dialer> Dialer for HttpConnect<D> {
    type Stream = D::Stream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        through(&self.via, &self.proxy, self.handshake(to)?, deadline)
    }
}

impl Dialer for TcpRoute {
    type Stream = TcpStream;

    fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let mut dialed = match &self.proxy {
            None => self.tcp.dial(to, deadline)?,
            Some(Proxy::Socks5(socks)) => socks.clone().via(self.tcp).dial(to, deadline)?,
            Some(Proxy::HttpConnect(http)) => http.clone().via(self.tcp).dial(to, deadline)?,
        };
        if let Some(version) = self.header {
            let addresses = self.addresses(dialed.stream.local_addr(), dialed.stream.peer_addr());
            let sent = Timed { stream: &mut dialed.stream, deadline }.write_all(&version.header(addresses));
            sent.map_err(|source| deadline.explain(Step::ProxyHeader, source))?;
        }
        Ok(dialed)
    }
}

/// Resolves the host on a thread of its own, because the system's resolver has no deadline.
fn resolve(to: &Endpoint, deadline: &Deadline) -> Result<Vec<SocketAddr>, Error> {
    let (found, answer) = mpsc::sync_channel(1);
    let (host, port) = (to.dialled().0.to_owned(), to.dialled().1);
    std::thread::spawn(move || {
        // After the deadline nothing receives the result.
        let _ = found.send((host.as_str(), port).to_socket_addrs());
    });
    let answer = answer.recv_timeout(deadline.remaining()).map_err(|_| deadline.error(Step::Resolve))?;
    to.admitted(answer.map_err(|cause| to.unresolved(cause))?)
}

/// Lets attempts to the addresses race: each begins when the one before has failed, or has taken [`ATTEMPT_DELAY`].
///
/// A thread makes each attempt, if there are several. Those that lose end by the deadline, and close what they opened.
fn race(tcp: Tcp, addresses: Vec<SocketAddr>, deadline: &Deadline) -> Result<(TcpStream, SocketAddr), Error> {
    let tried = addresses.len();
    let limit = deadline.remaining();
    if let [address] = addresses[..] {
        let connected = connect(tcp, address, limit);
        return connected
            .map(|it| (it, address))
            .map_err(|cause| deadline.unconnected(address, tried, cause));
    }
    let (sender, ended) = mpsc::channel();
    let mut waiting = addresses.into_iter();
    let (mut running, mut failed) = (0_usize, None);
    loop {
        if let Some(address) = waiting.next() {
            let (sender, left) = (sender.clone(), deadline.remaining());
            running += 1;
            std::thread::spawn(move || {
                // Without a receiver another attempt has won.
                let _ = sender.send((address, connect(tcp, address, left)));
            });
        }
        let left = deadline.remaining();
        let pause = if waiting.len() == 0 { left } else { left.min(ATTEMPT_DELAY) };
        match ended.recv_timeout(pause) {
            Ok((address, Ok(stream))) => return Ok((stream, address)),
            Ok((address, Err(cause))) => {
                running -= 1;
                failed = Some((address, cause));
            }
            Err(RecvTimeoutError::Timeout) if deadline.is_over() => return Err(deadline.error(Step::Connect)),
            Err(_) => {}
        }
        if running == 0 && waiting.len() == 0 {
            return Err(match failed {
                Some((address, cause)) => deadline.unconnected(address, tried, cause),
                None => deadline.error(Step::Connect),
            });
        }
    }
}

fn connect(tcp: Tcp, address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    if limit.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    let stream = match tcp.source {
        None => TcpStream::connect_timeout(&address, limit)?,
        Some(source) => {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&address.into(), limit)?;
            socket.into()
        }
    };
    // The messages are small, and each side waits for the other's. Without it the connection is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Connects to the proxy, and through it to the server.
fn through<D: Dialer>(
    via: &D,
    proxy: &Endpoint,
    mut handshake: impl ProxyHandshake,
    deadline: Deadline,
) -> Result<Dialed<D::Stream>, Error> {
    let reached = via.dial(proxy, deadline);
    let mut stream = reached.map_err(|error| unreachable(proxy, error))?.stream;
    match talk(&mut handshake, Timed { stream: &mut stream, deadline }) {
        Ok(()) => Ok(Dialed::new(stream)),
        Err(ProxyFault::Io(cause)) if cause.kind() == ErrorKind::TimedOut && deadline.is_over() => {
            Err(deadline.error(handshake.step()))
        }
        Err(fault) => Err(ProxyError::new(proxy.dialed_address(), handshake.step(), fault).into()),
    }
}

fn talk(handshake: &mut impl ProxyHandshake, mut io: impl Read + Write) -> Result<(), ProxyFault> {
    let (mut input, mut out) = (Vec::new(), Vec::new());
    while let Some(wanted) = handshake.receive(&input, &mut out)? {
        io.write_all(&out)?;
        io.flush()?;
        out.clear();
        input.resize(wanted, 0);
        io.read_exact(&mut input)?;
    }
    Ok(())
}

/// A stream whose reads and writes end by a deadline.
struct Timed<'a, S> {
    stream: &'a mut S,
    deadline: Deadline,
}

impl<S: Stream> Timed<'_, S> {
    fn within<T>(&mut self, mut run: impl FnMut(&mut S) -> io::Result<T>) -> io::Result<T> {
        loop {
            let left = self.deadline.remaining();
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_timeout(Some(left))?;
            match run(self.stream) {
                // The operating systems report the end of a socket's time limit in two ways, and may do so a little before
                // the deadline.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                done => return done,
            }
        }
    }
}

impl<S: Stream> Read for Timed<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.within(|stream| stream.read(buf))
    }
}

impl<S: Stream> Write for Timed<'_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.within(|stream| stream.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
