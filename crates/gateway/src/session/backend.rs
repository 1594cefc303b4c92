//! The way to a backend: dial, PROXY header, TLS, greeting.

use std::io;
use std::time::Duration;

use starttls::Encrypted;
use starttls::proto::{
    ClientName, Greeting, GreetingStep, Identity, Progress, Protocol, ReceivedGreeting, ServiceName, Side,
    Upgrade,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::stream::{Socket, Stream};
use crate::config::{Backend, BackendAddress, BackendLogin, BackendTls, TlsStart};
use crate::failure::SessionFailure;

/// A backend that is ready for a session.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: Stream,
    /// What it said first that is of use to a client: nothing where it greeted before its own upgrade.
    pub(crate) greeting: Option<Vec<u8>>,
    /// What it said behind that.
    pub(crate) unread: Vec<u8>,
    /// Whether the session is somebody's already: the gateway has logged in.
    pub(crate) logged_in: bool,
    /// The upgrade that it awaits.
    pub(crate) pending: Option<Pending>,
    /// What did TLS with it, for the other connections of the session.
    pub(crate) upstream: Option<BackendTls>,
}

/// The names of both ends of a stream, as the client sent them.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) service: ServiceName,
    /// `None` if the client sent no name of its own.
    pub(crate) client: Option<ClientName>,
}

/// Returns what the gateway writes in cleartext to this backend: the authority of the backend's URL, and the names that
/// the client sent, if it sent any.
fn identity(backend: &Backend, server_name: &str, asked: Option<&Asked>) -> Identity {
    let service = asked.map(|it| it.service.clone());
    let client = asked.and_then(|it| it.client.as_ref()).unwrap_or(&backend.client_name);
    Identity {
        client_name: client.clone(),
        authority: backend.authority(),
        ..Identity::of(service.unwrap_or_else(|| ServiceName::from_peer(server_name)))
    }
}

/// Reaches the backend within `limit`; `header` goes out before anything else. `asked` is what the client said of
/// both ends, where a backend has to hear the same before TLS.
///
/// # Errors
/// [`SessionFailure`] when it cannot be reached, or is not ready to serve.
pub(crate) async fn reach(
    backend: &Backend,
    header: &[u8],
    asked: Option<&Asked>,
    limit: Duration,
) -> Result<Reached, SessionFailure> {
    let until = Instant::now() + limit;
    let reaching = async {
        let mut socket = dial(backend, until)
            .await
            .map_err(|source| SessionFailure::Unreachable { backend: backend.to_string(), source })?;
        if !header.is_empty() {
            socket.write_all(header).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        }
        match &backend.tls_start {
            TlsStart::Cleartext => listen(backend, Stream::Clear(socket), first(backend.protocol)).await,
            TlsStart::Implicit(upstream) => {
                let upstream = with_session_resumption(upstream, backend.protocol);
                let encrypted = implicit(backend.protocol, &upstream, socket).await?;
                let reached = match backend.login() {
                    Some(login) => log_in(backend, login, encrypted, limit).await,
                    None => listen(backend, Stream::Tls(Box::new(encrypted)), first(backend.protocol)).await,
                };
                Ok(Reached { upstream: Some(upstream), ..reached? })
            }
            TlsStart::Upgrade(upstream) => {
                let upstream = with_session_resumption(upstream, backend.protocol);
                let reached = upgrade(backend, &upstream, asked, socket, limit).await?;
                Ok(Reached { upstream: Some(upstream), ..reached })
            }
        }
    };
    let slow = |_| SessionFailure::Slow { backend: backend.to_string(), limit };
    tokio::time::timeout_at(until, reaching).await.map_err(slow)?
}

/// TLS from the first byte.
///
/// # Errors
/// [`SessionFailure::Tls`].
pub(super) async fn implicit(
    protocol: &Protocol,
    upstream: &BackendTls,
    socket: Socket,
) -> Result<Encrypted<Socket>, SessionFailure> {
    upstream.connector.upgrade_implicit(protocol, &upstream.server_name, socket).await.map_err(failed)
}

/// What the connections of a session have in common, where it has more than one.
fn with_session_resumption(upstream: &BackendTls, protocol: &Protocol) -> BackendTls {
    match protocol.flow.data_connections {
        true => BackendTls { connector: upstream.connector.with_session_resumption(), ..upstream.clone() },
        false => upstream.clone(),
    }
}

fn failed(source: starttls::Error) -> SessionFailure {
    SessionFailure::Tls { side: Side::Server, source }
}

/// Tries all addresses of the backend in turn. Each gets a share of the time that is left, so that an address that does
/// not answer does not keep the gateway from the others.
async fn dial(backend: &Backend, until: Instant) -> io::Result<Socket> {
    let (host, port) = match &backend.place {
        BackendAddress::Tcp(host, port) => (host, *port),
        BackendAddress::Unix(path) => return Ok(Socket::Unix(UnixStream::connect(path).await?)),
    };
    let addresses = backend.lookup.addresses(host, port).await?;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (at, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        let connecting = tokio::time::timeout(share, TcpStream::connect(address)).await;
        match connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(Socket::Tcp(tcp));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The greeting of a server that speaks first.
fn first(protocol: &Protocol) -> Option<Greeting> {
    protocol.flow.greeting.then(|| Greeting::new(protocol, Identity::new("")))
}

async fn upgrade(
    backend: &Backend,
    upstream: &BackendTls,
    asked: Option<&Asked>,
    socket: Socket,
    limit: Duration,
) -> Result<Reached, SessionFailure> {
    let protocol = backend.protocol;
    if !protocol.flow.request_is_answered {
        return listen(backend, Stream::Clear(socket), first(protocol)).await?.agreeing(backend, upstream);
    }
    let (connector, name) = (&upstream.connector, &upstream.server_name);
    let identity = identity(backend, name, asked);
    let encrypted = connector.upgrade_as(protocol, identity, name, socket).await.map_err(failed)?;
    if let Some(login) = backend.login() {
        return log_in(backend, login, encrypted, limit).await;
    }
    let behind = Greeting::after_upgrade(protocol, Identity::new(""));
    listen(backend, Stream::Tls(Box::new(encrypted)), behind).await
}

/// Logs in on behalf of a client that cannot (rule G5: a login exists toward verified backends only).
async fn log_in(
    backend: &Backend,
    login: &BackendLogin,
    mut stream: Encrypted<Socket>,
    limit: Duration,
) -> Result<Reached, SessionFailure> {
    let failed = |reason: String| SessionFailure::Login { backend: backend.to_string(), reason };
    let account = login.account().await.map_err(|cause| failed(cause.to_string()))?;
    let account = account.timeout(limit).client_name(backend.client_name.clone());
    let done = account.log_in(backend.protocol, &mut stream).await;
    let done = done.map_err(|error| failed(error.to_string()))?;
    Ok(Reached { unread: done.unread, logged_in: true, ..Reached::new(Stream::Tls(Box::new(stream))) })
}

/// An upgrade that the server offered in its greeting, and will not answer: the client's own words have to be
/// known before it is asked for, since it is asked with some of them.
#[derive(Debug)]
pub(crate) struct Pending {
    upgrade: Upgrade,
    upstream: BackendTls,
    protocol: &'static Protocol,
}

impl Pending {
    /// Asks for TLS in these words, and does the handshake.
    ///
    /// # Errors
    /// [`SessionFailure`] when the connection breaks or the server cannot prove its name.
    pub(crate) async fn ask(self, stream: Stream, request: &[u8]) -> Result<Stream, SessionFailure> {
        let Self { upgrade, upstream, protocol } = self;
        let Stream::Clear(mut socket) = stream else { return Ok(stream) };
        socket.write_all(request).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        let ready = upstream.connector.from_upgrade(protocol, &upstream.server_name, socket, upgrade);
        let encrypted = ready.map_err(failed)?.handshake().await.map_err(failed)?;
        Ok(Stream::Tls(Box::new(encrypted)))
    }
}

impl Reached {
    /// A backend that has said nothing yet.
    fn new(stream: Stream) -> Self {
        Self { stream, greeting: None, unread: Vec::new(), logged_in: false, pending: None, upstream: None }
    }

    /// Holds the server to the upgrade in its greeting.
    fn agreeing(mut self, backend: &Backend, upstream: &BackendTls) -> Result<Self, SessionFailure> {
        let said = [self.greeting.as_deref().unwrap_or_default(), &self.unread].concat();
        let client = starttls::proto::Client::new(backend.protocol, Identity::new(""), &mut Vec::new());
        let upgrade =
            match client.receive(&said, &mut Vec::new()).map_err(|error| SessionFailure::protocol(*error))? {
                Progress::Upgrade(upgrade) => upgrade,
                Progress::Continue(client) => return Err(SessionFailure::protocol(*client.closed())),
                Progress::End(declined) => {
                    let source = starttls::Error::Declined((&declined).into());
                    return Err(failed(source));
                }
            };
        self.pending = Some(Pending { upgrade, upstream: upstream.clone(), protocol: backend.protocol });
        Ok(self)
    }
}

/// Waits for what the server says first, if it says anything.
async fn listen(
    backend: &Backend,
    mut stream: Stream,
    greeting: Option<Greeting>,
) -> Result<Reached, SessionFailure> {
    let Some(mut greeting) = greeting else {
        return Ok(Reached::new(stream));
    };
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        if count == 0 {
            return Err(SessionFailure::protocol(*greeting.closed()));
        }
        match greeting.receive(&chunk[..count]).map_err(|error| SessionFailure::protocol(*error))? {
            GreetingStep::Continue(more) => greeting = more,
            GreetingStep::Greeted(ReceivedGreeting { message, unread }) => {
                return Ok(Reached { greeting: Some(message), unread, ..Reached::new(stream) });
            }
            GreetingStep::Bye(words) => {
                return Err(SessionFailure::Refused { backend: backend.to_string(), words });
            }
        }
    }
}
