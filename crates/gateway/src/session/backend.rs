//! The way to a backend: dial, PROXY header, TLS, greeting.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::{Greeted, Greeting, Heard, Identity, Protocol, Side};
use starttls::{Chunk, Encrypted, Observer, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::stream::{Socket, Stream};
use crate::config::{Backend, Leg as Way, Login, Place, Upstream};
use crate::failure::{Failure, Leg};

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
    /// What did TLS with it, for the other connections of the session.
    pub(crate) upstream: Option<Upstream>,
}

impl Reached {
    fn new(stream: Stream, greeting: Option<Vec<u8>>, unread: Vec<u8>) -> Self {
        Self { stream, greeting, unread, logged_in: false, upstream: None }
    }
}

/// Reaches the backend within `limit`; `header` goes out before anything else.
///
/// # Errors
/// [`Failure`] when it cannot be reached, or is not ready to serve.
pub(crate) async fn reach(backend: &Backend, header: &[u8], limit: Duration) -> Result<Reached, Failure> {
    let reaching = async {
        let mut socket = dial(&backend.place)
            .await
            .map_err(|source| Failure::Unreachable { backend: backend.to_string(), source })?;
        if !header.is_empty() {
            socket.write_all(header).await.map_err(|cause| Failure::io(Leg::Backend, cause))?;
        }
        match &backend.leg {
            Way::Cleartext => listen(backend, Stream::Clear(socket), first(backend.protocol)).await,
            Way::Implicit(upstream) => {
                let upstream = of_one_session(upstream, backend.protocol);
                let encrypted = implicit(backend.protocol, &upstream, socket).await?;
                let reached = match backend.login() {
                    Some(login) => log_in(backend, login, encrypted, limit).await,
                    None => listen(backend, Stream::Tls(Box::new(encrypted)), first(backend.protocol)).await,
                };
                Ok(Reached { upstream: Some(upstream), ..reached? })
            }
            Way::Upgrade(upstream) => {
                let upstream = of_one_session(upstream, backend.protocol);
                let reached = upgrade(backend, &upstream, socket, limit).await?;
                Ok(Reached { upstream: Some(upstream), ..reached })
            }
        }
    };
    let slow = |_| Failure::Slow { backend: backend.to_string(), limit };
    tokio::time::timeout(limit, reaching).await.map_err(slow)?
}

/// TLS from the first byte.
///
/// # Errors
/// [`Failure::Tls`].
pub(super) async fn implicit(
    protocol: &Protocol,
    upstream: &Upstream,
    socket: Socket,
) -> Result<Encrypted<Socket>, Failure> {
    upstream.connector.upgrade_implicit(protocol, &upstream.server_name, socket).await.map_err(failed)
}

/// What the connections of a session have in common, where it has more than one.
fn of_one_session(upstream: &Upstream, protocol: &Protocol) -> Upstream {
    match protocol.flow.data_connections {
        true => Upstream { connector: upstream.connector.of_one_session(), ..upstream.clone() },
        false => upstream.clone(),
    }
}

fn failed(source: starttls::Error) -> Failure {
    Failure::Tls { leg: Leg::Backend, source }
}

async fn dial(place: &Place) -> io::Result<Socket> {
    match place {
        Place::Tcp(host, port) => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            Ok(Socket::Tcp(tcp))
        }
        Place::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
    }
}

/// The greeting of a server that speaks first.
fn first(protocol: &Protocol) -> Option<Greeting> {
    protocol.flow.greeting.then(|| Greeting::new(protocol, Identity::new("")))
}

async fn upgrade(
    backend: &Backend,
    upstream: &Upstream,
    socket: Socket,
    limit: Duration,
) -> Result<Reached, Failure> {
    let protocol = backend.protocol;
    // Where the session inside TLS goes on from the greeting (the challenge of a login), the client needs it.
    let heard = Arc::new(Overheard::default());
    let connector = match protocol.flow.verdict {
        true => upstream.connector.clone(),
        false => upstream.connector.observed_by(heard.clone()),
    };
    let encrypted = connector.upgrade(protocol, &upstream.server_name, socket).await.map_err(failed)?;
    if let Some(login) = backend.login() {
        return log_in(backend, login, encrypted, limit).await;
    }
    let stream = Stream::Tls(Box::new(encrypted));
    match Greeting::behind_upgrade(protocol, Identity::new("")) {
        Some(behind) => listen(backend, stream, Some(behind)).await,
        None => Ok(Reached::new(stream, heard.take(), Vec::new())),
    }
}

/// Logs in on behalf of a client that cannot (rule G5: a login exists toward verified backends only).
async fn log_in(
    backend: &Backend,
    login: &Login,
    mut stream: Encrypted<Socket>,
    limit: Duration,
) -> Result<Reached, Failure> {
    let failed = |reason: String| Failure::Login { backend: backend.to_string(), reason };
    let account = login.account().await.map_err(|cause| failed(cause.to_string()))?;
    let done = account.timeout(limit).log_in(backend.protocol, &mut stream).await;
    let done = done.map_err(|error| failed(error.to_string()))?;
    Ok(Reached { logged_in: true, ..Reached::new(Stream::Tls(Box::new(stream)), None, done.unread) })
}

/// What the server said in cleartext.
#[derive(Default)]
struct Overheard(Mutex<Vec<u8>>);

impl Overheard {
    fn take(&self) -> Option<Vec<u8>> {
        let words = self.0.lock().map(|mut words| std::mem::take(&mut *words)).unwrap_or_default();
        (!words.is_empty()).then_some(words)
    }
}

impl Observer for Overheard {
    fn observe(&self, chunk: &Chunk<'_>) {
        if (chunk.from, chunk.phase) == (Side::Server, Phase::Negotiation)
            && let Ok(mut words) = self.0.lock()
        {
            words.extend_from_slice(chunk.bytes);
        }
    }
}

/// Waits for what the server says first, if it says anything.
async fn listen(
    backend: &Backend,
    mut stream: Stream,
    greeting: Option<Greeting>,
) -> Result<Reached, Failure> {
    let Some(mut greeting) = greeting else {
        return Ok(Reached::new(stream, None, Vec::new()));
    };
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk).await.map_err(|cause| Failure::io(Leg::Backend, cause))?;
        if count == 0 {
            return Err(Failure::protocol(*greeting.closed()));
        }
        match greeting.receive(&chunk[..count]).map_err(|error| Failure::protocol(*error))? {
            Heard::Continue(more) => greeting = more,
            Heard::Greeted(Greeted { message, unread }) => {
                return Ok(Reached::new(stream, Some(message), unread));
            }
            Heard::Bye(words) => return Err(Failure::Refused { backend: backend.to_string(), words }),
        }
    }
}
