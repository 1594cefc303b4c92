//! Data connections: a listener for the client, a connection to the backend, and the transfer between them.

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

use crate::config::BackendTls;
use crate::failure::SessionFailure;
use crate::session::backend;
use crate::session::splice::{Splice, Unfiltered};
use crate::session::stream::{Socket, Stream};

/// How often a transfer updates the totals. They keep the control connection from being idle during a transfer.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// How many transfers may still be finishing when the next one begins.
const FINISHING: usize = 2;

/// The peers of the data connections of a session. All of this comes from its control connection.
#[derive(Debug)]
pub(super) struct DataPeers {
    pub(super) protocol: &'static Protocol,
    /// The gateway's address toward the client; the port is that of the control connection.
    pub(super) local: SocketAddr,
    /// The ports to listen on; `None` lets the system choose.
    pub(super) ports: Option<RangeInclusive<u16>>,
    /// The IPv4 address to send to the client, if it differs from `local`.
    pub(super) advertised: Option<Ipv4Addr>,
    pub(super) client: IpAddr,
    /// The gateway's address toward the backend.
    pub(super) own: IpAddr,
    pub(super) backend: IpAddr,
    /// What TLS with the client needs; `None` in cleartext.
    pub(super) tls: Option<ClientTls>,
    /// What TLS with the backend needs; `None` in cleartext.
    pub(super) backend_tls: Option<BackendTls>,
    /// How long the client may take to connect.
    pub(super) patience: Duration,
}

/// What TLS with the client needs on data connections.
#[derive(Debug)]
pub(super) struct ClientTls {
    pub(super) acceptor: Acceptor,
    /// The client's certificates on the control connection. Data connections have to present the same.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) resumed_only: bool,
}

/// The data connections of one session. A drop closes them.
#[derive(Debug, Default)]
pub(super) struct DataConnections {
    /// The listener for the next connection of the client.
    waiting: Option<Connection>,
    finishing: VecDeque<Connection>,
    totals: Rc<Totals>,
}

/// What all data connections of a session have moved.
#[derive(Debug, Default)]
struct Totals {
    octets: Cell<(u64, u64)>,
    /// See [`Splice::activity`].
    activity: Cell<u64>,
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

impl DataConnections {
    /// Closes a listener that the client has not used; a transfer continues. This happens when the client requests the next
    /// data connection, so that the port is free for it.
    pub(super) fn close_unused(&mut self) {
        self.finishing.retain(|connection| !connection.task.is_finished());
        self.finishing.extend(self.waiting.take().filter(|before| before.taken.get()));
        while self.finishing.len() > FINISHING {
            self.finishing.pop_front();
        }
    }

    /// Opens a listener for one connection, which is forwarded to this port of the backend. Returns the address for the
    /// client.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub(super) fn open(&mut self, peers: &Rc<DataPeers>, port: u16) -> io::Result<SocketAddr> {
        self.close_unused();
        let listener = peers.listen()?;
        listener.set_nonblocking(true)?;
        let (mut address, listener) = (listener.local_addr()?, TcpListener::from_std(listener)?);
        if let (Some(advertised), true) = (peers.advertised, address.is_ipv4()) {
            address.set_ip(advertised.into());
        }
        let taken = Rc::new(Cell::new(false));
        let transfer =
            Transfer { peers: peers.clone(), port, taken: taken.clone(), totals: self.totals.clone() };
        let task = spawn_local(async move {
            // Both peers see how the transfer ended, and the backend reports it on the control connection.
            let _ = transfer.run(listener).await;
        });
        self.waiting = Some(Connection { task, taken });
        Ok(address)
    }

    /// Returns the octets to the backend, and to the client.
    pub(super) fn octets(&self) -> (u64, u64) {
        self.totals.octets.get()
    }

    /// Returns a number that changes when a transfer makes progress.
    pub(super) fn activity(&self) -> u64 {
        self.totals.activity.get()
    }
}

impl DataPeers {
    /// Listens on a random free port, so that an attacker cannot predict it and connect before the client.
    fn listen(&self) -> io::Result<std::net::TcpListener> {
        let bind = |port| std::net::TcpListener::bind(SocketAddr::new(self.local.ip(), port));
        let Some(ports) = &self.ports else { return bind(0) };
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system has no randomness"))?;
        let count = ports.len();
        let start = usize::from(u16::from_ne_bytes(random)) % count.max(1);
        let mut all = ports.clone().cycle().skip(start).take(count);
        // A port that is in use belongs to another client.
        let taken = || io::Error::from(io::ErrorKind::AddrInUse);
        let free =
            |bound: &io::Result<_>| !matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
        all.by_ref().map(bind).find(free).unwrap_or_else(|| Err(taken()))
    }
}

struct Transfer {
    peers: Rc<DataPeers>,
    port: u16,
    taken: Rc<Cell<bool>>,
    totals: Rc<Totals>,
}

impl Transfer {
    async fn run(&self, listener: TcpListener) -> Result<(), SessionFailure> {
        let patience = self.peers.patience;
        let accepting = tokio::time::timeout(patience, self.accept(listener));
        let client = accepting.await.map_err(|_| SessionFailure::Late(patience))?;
        let client = client.map_err(|cause| SessionFailure::io(Side::Client, cause))?;
        // Both at once: the client starts its handshake after the backend has announced the transfer, and the backend
        // announces it after a connection.
        let (mut client, mut backend) = tokio::try_join!(self.client(client), self.backend())?;
        self.transfer(&mut client, &mut backend).await
    }

    /// Accepts the first connection from the address of the control connection.
    async fn accept(&self, listener: TcpListener) -> io::Result<TcpStream> {
        loop {
            let (tcp, peer) = listener.accept().await?;
            if peer.ip().to_canonical() == self.peers.client {
                self.taken.set(true);
                return Ok(tcp);
            }
        }
    }

    async fn client(&self, tcp: TcpStream) -> Result<Stream, SessionFailure> {
        let socket = unfinished(tcp).map_err(|cause| SessionFailure::io(Side::Client, cause))?;
        let Some(tls) = &self.peers.tls else { return Ok(Stream::Clear(socket)) };
        let encrypted = tls.acceptor.accept_implicit(socket).await.map_err(SessionFailure::downstream)?;
        let facts = encrypted.facts();
        if tls.resumed_only && facts.kind != Some(HandshakeKind::Resumed) {
            return Err(rejected("the resumed TLS session of the control connection"));
        }
        if facts.chain != tls.chain {
            return Err(rejected("the client certificate of the control connection"));
        }
        Ok(Stream::Tls(Box::new(encrypted)))
    }

    async fn backend(&self) -> Result<Stream, SessionFailure> {
        let peers = &self.peers;
        let socket = self.dial().await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        match &peers.backend_tls {
            None => Ok(Stream::Clear(socket)),
            Some(tls) => {
                let encrypted = backend::implicit_tls(peers.protocol, tls, socket).await?;
                Ok(Stream::Tls(Box::new(encrypted)))
            }
        }
    }

    /// Connects from and to the addresses of the control connection, not to the address in the backend's reply (FTP bounce).
    async fn dial(&self) -> io::Result<Socket> {
        let socket = if self.peers.own.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(self.peers.own, 0))?;
        let connecting = socket.connect(SocketAddr::new(self.peers.backend, self.port));
        unfinished(tokio::time::timeout(self.peers.patience, connecting).await??)
    }

    async fn transfer(&self, client: &mut Stream, backend: &mut Stream) -> Result<(), SessionFailure> {
        let mut splice = Splice::<Unfiltered>::new(None, Outgoing::default()).one_way();
        let (mut before, mut activity) = ((0, 0), 0);
        loop {
            // The idle limit of the control connection covers its data connections.
            let ended =
                tokio::time::timeout(UPDATE_INTERVAL, splice.run(client, backend, &Duration::MAX)).await;
            let now = splice.octets();
            let (up, down) = self.totals.octets.get();
            self.totals.octets.set((up + now.0 - before.0, down + now.1 - before.1));
            let moved = splice.activity(client, backend);
            self.totals.activity.set(self.totals.activity.get() + moved - activity);
            (before, activity) = (now, moved);
            if let Ok(ended) = ended {
                return ended.map(drop);
            }
        }
    }
}

fn rejected(expected: &'static str) -> SessionFailure {
    SessionFailure::Protocol { side: Side::Client, expected, received: Vec::new() }
}

/// Returns a connection that is reset when it is dropped before the transfer has ended in good order, so that its peer does
/// not take a truncated file for a complete one. This applies inside TLS too: many FTP programs take the end of the
/// connection for the end of the file.
fn unfinished(tcp: TcpStream) -> io::Result<Socket> {
    tcp.set_nodelay(true)?;
    let socket = Socket::from(tcp);
    socket.reset_when_dropped(true)?;
    Ok(socket)
}
