//! One data connection: a listener for the client, a connection to the backend, bytes between the two.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use starttls::Acceptor;
use starttls::proto::{Outgoing, Protocol, Side};
use starttls::rustls::HandshakeKind;
use starttls::rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, spawn_local};

use super::control::Control;
use crate::config::BackendTls;
use crate::failure::SessionFailure;
use crate::session::backend;
use crate::session::{Socket, Stream};
use crate::splice::Splice;

/// How often what has moved is told to the control connection, which is not idle meanwhile.
const TOLD: Duration = Duration::from_secs(1);

/// Transfers that may be on their last bytes while the next one begins.
const UNDER_WAY: usize = 2;

/// Where the data connections of a session lead. All of it is known from its control connection.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) protocol: &'static Protocol,
    /// The gateway as the client knows it; the port is the control connection's.
    pub(super) local: SocketAddr,
    /// Ports that the client can reach; any, if nothing is said.
    pub(super) ports: Option<RangeInclusive<u16>>,
    /// The gateway's address of IPv4 as the client knows it, where it is not the same.
    pub(super) told: Option<Ipv4Addr>,
    pub(super) client: IpAddr,
    /// The gateway as the backend knows it.
    pub(super) own: IpAddr,
    pub(super) backend: IpAddr,
    /// TLS with the client, if there is any.
    pub(super) tls: Option<Front>,
    /// TLS with the backend, if there is any.
    pub(super) upstream: Option<BackendTls>,
    /// How long the client may take to connect.
    pub(super) patience: Duration,
}

/// TLS on the front's data connections.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) acceptor: Acceptor,
    /// The client's certificate on the control connection, if it presented one: it has to be the same.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) resumed_only: bool,
}

/// The data connections of one session; they end with it.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// The one that the client may connect to.
    waiting: Option<Connection>,
    under_way: VecDeque<Connection>,
    octets: Rc<Cell<(u64, u64)>>,
}

#[derive(Debug)]
struct Connection {
    task: JoinHandle<()>,
    /// Whether the client has connected.
    taken: Rc<Cell<bool>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Data {
    /// Closes the listener to which nobody came; a transfer goes on. Said when the client asks for the next, so that
    /// its port is free when that is to be had.
    pub(super) fn give_up(&mut self) {
        self.under_way.retain(|connection| !connection.task.is_finished());
        self.under_way.extend(self.waiting.take().filter(|before| before.taken.get()));
        while self.under_way.len() > UNDER_WAY {
            self.under_way.pop_front();
        }
    }

    /// Opens a listener for one connection to this port of the backend's, and says where the client finds it.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub(super) fn open(&mut self, ends: &Rc<Ends>, port: u16) -> io::Result<SocketAddr> {
        self.give_up();
        let listener = ends.listen()?;
        listener.set_nonblocking(true)?;
        let (mut address, listener) = (listener.local_addr()?, TcpListener::from_std(listener)?);
        if let (Some(told), true) = (ends.told, address.is_ipv4()) {
            address.set_ip(told.into());
        }
        let taken = Rc::new(Cell::new(false));
        let transfer =
            Transfer { ends: ends.clone(), port, taken: taken.clone(), octets: self.octets.clone() };
        let task = spawn_local(async move {
            // Both peers see how it ended, and the backend says so on the control connection.
            let _ = transfer.run(listener).await;
        });
        self.waiting = Some(Connection { task, taken });
        Ok(address)
    }

    /// Octets to the backend, and to the client.
    pub(super) fn octets(&self) -> (u64, u64) {
        self.octets.get()
    }
}

impl Ends {
    /// On a port that is free, whichever: whoever wants to be there before the client has to guess it.
    fn listen(&self) -> io::Result<std::net::TcpListener> {
        let bind = |port| std::net::TcpListener::bind(SocketAddr::new(self.local.ip(), port));
        let Some(ports) = &self.ports else { return bind(0) };
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("there is no randomness"))?;
        let count = ports.len();
        let start = usize::from(u16::from_ne_bytes(random)) % count.max(1);
        let mut all = ports.clone().cycle().skip(start).take(count);
        // Those that are taken lead other clients somewhere.
        let taken = || io::Error::from(io::ErrorKind::AddrInUse);
        let free =
            |bound: &io::Result<_>| !matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
        all.by_ref().map(bind).find(free).unwrap_or_else(|| Err(taken()))
    }
}

struct Transfer {
    ends: Rc<Ends>,
    port: u16,
    taken: Rc<Cell<bool>>,
    octets: Rc<Cell<(u64, u64)>>,
}

impl Transfer {
    async fn run(&self, listener: TcpListener) -> Result<(), SessionFailure> {
        let patience = self.ends.patience;
        let accepting = tokio::time::timeout(patience, self.accept(listener));
        let client = accepting.await.map_err(|_| SessionFailure::Late(patience))?;
        let client = client.map_err(|cause| SessionFailure::io(Side::Client, cause))?;
        // The client waits with its handshake until the backend says that the transfer begins, and the backend
        // until somebody has connected.
        let (mut front, mut back) = tokio::try_join!(self.front(client), self.back())?;
        self.copy(&mut front, &mut back).await
    }

    /// Takes the first connection that comes from where the control connection comes from.
    async fn accept(&self, listener: TcpListener) -> io::Result<TcpStream> {
        loop {
            let (tcp, peer) = listener.accept().await?;
            if peer.ip().to_canonical() == self.ends.client {
                self.taken.set(true);
                return Ok(tcp);
            }
        }
    }

    async fn front(&self, tcp: TcpStream) -> Result<Stream, SessionFailure> {
        let socket = unfinished(tcp).map_err(|cause| SessionFailure::io(Side::Client, cause))?;
        let Some(tls) = &self.ends.tls else { return Ok(Stream::Clear(socket)) };
        let encrypted = tls.acceptor.accept_implicit(socket).await.map_err(SessionFailure::downstream)?;
        let facts = encrypted.facts();
        if tls.resumed_only && facts.kind != Some(HandshakeKind::Resumed) {
            return Err(refused("a TLS session that is resumed from the control connection's"));
        }
        if facts.chain != tls.chain {
            return Err(refused("the certificate that the client presented on its control connection"));
        }
        Ok(Stream::Tls(Box::new(encrypted)))
    }

    async fn back(&self) -> Result<Stream, SessionFailure> {
        let ends = &self.ends;
        let socket = self.dial().await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        match &ends.upstream {
            None => Ok(Stream::Clear(socket)),
            Some(upstream) => {
                let encrypted = backend::implicit(ends.protocol, upstream, socket).await?;
                Ok(Stream::Tls(Box::new(encrypted)))
            }
        }
    }

    /// From and to the addresses of the control connection, whatever the backend has said (no bounce).
    async fn dial(&self) -> io::Result<Socket> {
        let socket = if self.ends.own.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(self.ends.own, 0))?;
        let dialling = socket.connect(SocketAddr::new(self.ends.backend, self.port));
        unfinished(tokio::time::timeout(self.ends.patience, dialling).await??)
    }

    async fn copy(&self, front: &mut Stream, back: &mut Stream) -> Result<(), SessionFailure> {
        let mut copy = Splice::<Control>::new(None, Outgoing::default()).one_way();
        let mut before = (0, 0);
        loop {
            // Who is idle here and on the control connection is dealt with there.
            let ended = tokio::time::timeout(TOLD, copy.run(front, back, Duration::MAX)).await;
            let now = copy.octets();
            let (up, down) = self.octets.get();
            self.octets.set((up + now.0 - before.0, down + now.1 - before.1));
            before = now;
            if let Ok(ended) = ended {
                return ended.map(drop);
            }
        }
    }
}

fn refused(expected: &'static str) -> SessionFailure {
    SessionFailure::Protocol { side: Side::Client, expected, received: Vec::new() }
}

/// A connection that is reset when it is dropped before the copying has ended in good order, so that its peer does not
/// see the end of a file. This holds inside TLS too: many FTP programs take the end of the connection for that of the file.
fn unfinished(tcp: TcpStream) -> io::Result<Socket> {
    tcp.set_nodelay(true)?;
    let socket = Socket::Tcp(tcp);
    socket.reset_when_dropped(true)?;
    Ok(socket)
}
