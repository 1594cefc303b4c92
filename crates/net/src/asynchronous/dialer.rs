//! The dialers on tokio.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;

use crate::dialer::{
    ATTEMPT_DELAY, Dialed, Fixed, HttpConnect, Proxy, ProxyError, ProxyFault, ProxyHandshake, Socks5, Tcp,
    TcpRoute, unreachable,
};
use crate::{Deadline, Endpoint, Error, Step};

/// Opens the connections of a [`Connector`](crate::Connector). The module [`dialer`](crate::dialer) lists the dialers.
pub trait Dialer: Send + Sync {
    /// The stream of an open connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Opens a connection to the server before the deadline, and leaves to the protocol what the server sends on it.
    fn dial(
        &self,
        to: &Endpoint,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Dialed<Self::Stream>, Error>> + Send;
}

impl<D: Dialer + ?Sized> Dialer for Arc<D> {
    type Stream = D::Stream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        (**self).dial(to, deadline).await
    }
}

impl Dialer for Tcp {
    type Stream = TcpStream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let began = Instant::now();
        let looking = async { lookup_host(to.dialled()).await.map_err(|cause| to.unresolved(cause)) };
        let found = to.admitted(deadline.bound(Step::Resolve, looking).await?)?;
        let resolve = Some(began.elapsed());
        let addresses = self.reachable(&found);
        if addresses.is_empty() {
            return Err(to.of_other_family());
        }
        let (stream, address) = race(self, addresses, &deadline).await?;
        Ok(Dialed { stream, address: Some(address), resolve })
    }
}

impl Dialer for Fixed {
    type Stream = TcpStream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let addresses = self.tcp.reachable(&to.admitted(self.addresses.iter().copied())?);
        if addresses.is_empty() {
            return Err(to.of_other_family());
        }
        let (stream, address) = race(&self.tcp, addresses, &deadline).await?;
        Ok(Dialed::new(stream).to(address))
    }
}

#[cfg(unix)]
impl Dialer for crate::dialer::Unix {
    type Stream = tokio::net::UnixStream;

    async fn dial(&self, _: &Endpoint, deadline: Deadline) -> Result<Dialed<Self::Stream>, Error> {
        let connecting = async {
            let connected = tokio::net::UnixStream::connect(&self.path).await;
            connected.map_err(|source| Error::Socket { path: self.path.clone(), source })
        };
        deadline.bound(Step::Connect, connecting).await.map(Dialed::new)
    }
}

impl<D: Dialer> Dialer for Socks5<D> {
    type Stream = D::Stream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        through(&self.via, &self.proxy, self.handshake(to)?, deadline).await
    }
}

impl<D: Dialer> Dialer for HttpConnect<D> {
    type Stream = D::Stream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<D::Stream>, Error> {
        through(&self.via, &self.proxy, self.handshake(to)?, deadline).await
    }
}

impl Dialer for TcpRoute {
    type Stream = TcpStream;

    async fn dial(&self, to: &Endpoint, deadline: Deadline) -> Result<Dialed<TcpStream>, Error> {
        let mut dialed = match &self.proxy {
            None => self.tcp.dial(to, deadline).await?,
            Some(Proxy::Socks5(socks)) => socks.clone().via(self.tcp).dial(to, deadline).await?,
            Some(Proxy::HttpConnect(http)) => http.clone().via(self.tcp).dial(to, deadline).await?,
        };
        if let Some(version) = self.header {
            let addresses = self.addresses(dialed.stream.local_addr(), dialed.stream.peer_addr());
            let header = version.header(addresses);
            let sending = async {
                let sent = dialed.stream.write_all(&header).await;
                sent.map_err(|source| Error::Io { step: Step::ProxyHeader, source })
            };
            deadline.bound(Step::ProxyHeader, sending).await?;
        }
        Ok(dialed)
    }
}

/// Lets attempts to the addresses race: each begins when the one before has failed, or has taken [`ATTEMPT_DELAY`].
async fn race(
    tcp: &Tcp,
    addresses: Vec<SocketAddr>,
    deadline: &Deadline,
) -> Result<(TcpStream, SocketAddr), Error> {
    let tried = addresses.len();
    let last = addresses.last().copied();
    let mut waiting = addresses.into_iter();
    // Dropping the set ends the attempts that are left.
    let mut attempts = JoinSet::new();
    let mut failed = None;
    let racing = async {
        loop {
            if let Some(address) = waiting.next() {
                let tcp = *tcp;
                attempts.spawn(async move { (address, connect(tcp, address).await) });
            }
            let ended = match waiting.len() {
                0 => attempts.join_next().await,
                _ => match tokio::time::timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                },
            };
            match ended {
                Some(Ok((address, Ok(stream)))) => return Some((stream, address)),
                Some(Ok((address, Err(cause)))) => failed = Some((address, cause)),
                // An attempt neither panics nor is aborted.
                Some(Err(_)) => {}
                None => return None,
            }
        }
    };
    match deadline.within(racing).await {
        Some(Some(connected)) => Ok(connected),
        Some(None) => Err(match (failed, last) {
            (Some((address, cause)), _) => deadline.unconnected(address, tried, cause),
            (None, _) => deadline.error(Step::Connect),
        }),
        None => Err(deadline.error(Step::Connect)),
    }
}

async fn connect(tcp: Tcp, address: SocketAddr) -> io::Result<TcpStream> {
    let stream = match tcp.source {
        None => TcpStream::connect(address).await?,
        Some(source) => {
            let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.bind(SocketAddr::new(source, 0))?;
            socket.connect(address).await?
        }
    };
    // The messages are small, and each side waits for the other's. Without it the connection is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Connects to the proxy, and through it to the server.
async fn through<D: Dialer>(
    via: &D,
    proxy: &Endpoint,
    mut handshake: impl ProxyHandshake,
    deadline: Deadline,
) -> Result<Dialed<D::Stream>, Error> {
    let reached = via.dial(proxy, deadline).await;
    let mut stream = reached.map_err(|error| unreachable(proxy, error))?.stream;
    let talking = async {
        let (mut input, mut out) = (Vec::new(), Vec::new());
        while let Some(wanted) = handshake.receive(&input, &mut out)? {
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
            input.resize(wanted, 0);
            stream.read_exact(&mut input).await?;
        }
        Ok(())
    };
    let outcome: Option<Result<(), ProxyFault>> = deadline.within(talking).await;
    match outcome {
        Some(Ok(())) => Ok(Dialed::new(stream)),
        Some(Err(fault)) => Err(ProxyError::new(proxy.dialed_address(), handshake.step(), fault).into()),
        None => Err(deadline.error(handshake.step())),
    }
}
