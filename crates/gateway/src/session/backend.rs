//! Connecting to a backend: dial, PROXY header, TLS, login and greeting.

use std::io;
use std::time::Duration;

use starttls::dialer::Fixed;
use starttls::proto::{
    ClientMessage, ClientName, Greeting, GreetingStep, Identity, MessageReader, Protocol, ReceivedGreeting,
    ReplyTo, ServerMessage, ServiceName, Side,
};
use starttls::{Deadline, Dialer, Encrypted, Endpoint, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::pending::PendingUpgrade;
use super::stream::{Socket, Stream};
use crate::config::{Backend, BackendAddress, BackendLogin, BackendTls, Route, TlsStart};
use crate::failure::SessionFailure;

/// A connection to a backend that is ready for a session.
#[derive(Debug)]
pub(super) struct ReadyBackend {
    pub(super) stream: Stream,
    /// The backend's first message, if a client can use it: `None` if the backend sent it before its own upgrade.
    pub(super) greeting: Option<Vec<u8>>,
    /// What the backend sent after that message.
    pub(super) unread: Vec<u8>,
    /// Whether the gateway has logged in.
    pub(super) logged_in: bool,
    /// The upgrade that the gateway still has to request.
    pub(super) pending: Option<PendingUpgrade>,
    /// The TLS configuration of the connection, for the session's other connections.
    pub(super) tls: Option<BackendTls>,
}

impl ReadyBackend {
    fn new(stream: Stream) -> Self {
        Self { stream, greeting: None, unread: Vec::new(), logged_in: false, pending: None, tls: None }
    }
}

/// A connection to a backend of this route that was dialed during the client's handshake, or the failure of the dial.
pub(super) struct EarlyBackend<'a> {
    pub(super) route: &'a Route,
    pub(super) connected: Result<ReadyBackend, SessionFailure>,
}

/// The names in the header of a client's stream (XMPP).
#[derive(Clone, Debug)]
pub(super) struct RequestedNames {
    pub(super) service: ServiceName,
    /// `None` if the client sent no name of its own.
    pub(super) client: Option<ClientName>,
}

/// Returns the gateway's identity toward this backend in cleartext: the authority of the backend's URL, and the names that
/// the client sent, if it sent any.
fn identity(backend: &Backend, server_name: &str, requested: Option<&RequestedNames>) -> Identity {
    let service = requested.map(|it| it.service.clone());
    let client = requested.and_then(|it| it.client.as_ref()).unwrap_or(&backend.client_name);
    Identity {
        client_name: client.clone(),
        authority: backend.authority(),
        ..Identity::of(service.unwrap_or_else(|| ServiceName::from_peer(server_name)))
    }
}

/// Connects to the backend within `limit`. `header` is sent first. `requested` are the client's names, for protocols in
/// which the backend needs them before TLS.
///
/// # Errors
/// [`SessionFailure`] when the backend cannot be reached or is not ready to serve.
pub(super) async fn connect(
    backend: &Backend,
    header: &[u8],
    requested: Option<&RequestedNames>,
    limit: Duration,
) -> Result<ReadyBackend, SessionFailure> {
    let until = Instant::now() + limit;
    let connecting = async {
        let mut socket = dial(backend, until)
            .await
            .map_err(|source| SessionFailure::Unreachable { backend: backend.to_string(), source })?;
        if !header.is_empty() {
            socket.write_all(header).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        }
        match &backend.tls_start {
            TlsStart::Cleartext if backend.protocol.flow.hello_rounds > 1 => {
                begin_without_tls(backend, Stream::Clear(socket)).await
            }
            TlsStart::Cleartext => {
                read_greeting(backend, Stream::Clear(socket), greeting(backend.protocol)).await
            }
            TlsStart::Implicit(tls) => {
                let tls = for_one_session(tls, backend.protocol);
                let encrypted = implicit_tls(backend.protocol, &tls, socket).await?;
                let ready = match backend.login() {
                    Some(login) => log_in(backend, login, encrypted, limit).await,
                    None => {
                        let stream = Stream::Tls(Box::new(encrypted));
                        read_greeting(backend, stream, greeting(backend.protocol)).await
                    }
                };
                Ok(ReadyBackend { tls: Some(tls), ..ready? })
            }
            TlsStart::Upgrade(tls) => {
                let tls = for_one_session(tls, backend.protocol);
                let ready = upgrade(backend, &tls, requested, socket, limit).await?;
                Ok(ReadyBackend { tls: Some(tls), ..ready })
            }
        }
    };
    let slow = |_| SessionFailure::Slow { backend: backend.to_string(), limit };
    tokio::time::timeout_at(until, connecting).await.map_err(slow)?
}

/// Does a handshake at the first byte.
///
/// # Errors
/// [`SessionFailure::Tls`].
pub(super) async fn implicit_tls(
    protocol: &Protocol,
    tls: &BackendTls,
    socket: Socket,
) -> Result<Encrypted<Socket>, SessionFailure> {
    let handshake = tls.connector.upgrade_implicit(protocol, &tls.server_name, socket);
    handshake.await.map_err(SessionFailure::upstream)
}

/// Returns the TLS configuration for one session. In protocols with data connections, these resume the TLS session of
/// the control connection.
fn for_one_session(tls: &BackendTls, protocol: &Protocol) -> BackendTls {
    match protocol.flow.data_connections {
        true => BackendTls { connector: tls.connector.with_session_resumption(), ..tls.clone() },
        false => tls.clone(),
    }
}

/// Connects to the backend. Its addresses race each other, so that one that does not answer leaves time for the others.
async fn dial(backend: &Backend, until: Instant) -> io::Result<Socket> {
    let (host, port) = match &backend.place {
        BackendAddress::Tcp(host, port) => (host, *port),
        BackendAddress::Unix(path) => return Ok(UnixStream::connect(path).await?.into()),
    };
    let addresses = backend.lookup.addresses(host, port).await?;
    let deadline = Deadline::starting_now(until.saturating_duration_since(Instant::now()));
    let to = Endpoint::new(host.as_str(), port);
    match Fixed::new(addresses).dial(&to, deadline).await {
        Ok(dialed) => Ok(dialed.stream.into()),
        Err(Error::Connect { source, .. }) => Err(source),
        Err(Error::Timeout { .. }) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Returns the reader of the greeting, if the protocol has a greeting.
fn greeting(protocol: &Protocol) -> Option<Greeting> {
    protocol.flow.greeting.then(|| Greeting::new(protocol, Identity::new("")))
}

/// Starts a session without TLS in a protocol whose hello has several messages: a client chooses such a session in place of
/// the second one. The server's answer is the message that it sends first inside TLS, so that a client inside TLS waits for
/// it.
async fn begin_without_tls(backend: &Backend, mut stream: Stream) -> Result<ReadyBackend, SessionFailure> {
    let protocol = backend.protocol;
    let mut dialect = protocol.new_dialect(Identity::new(""));
    let mut reader = MessageReader::new(Side::Server);
    let (mut question, mut message, mut chunk) = (Vec::new(), Vec::new(), [0; 2048]);
    let malformed = |expected, received: &[u8]| SessionFailure::Protocol {
        side: Side::Server,
        expected,
        received: received.get(..200).unwrap_or(received).to_vec(),
    };
    for (said, reply_to) in [
        (None, ReplyTo::Connect),
        (Some(ClientMessage::Hello), ReplyTo::Hello),
        (Some(ClientMessage::Other), ReplyTo::Other),
    ] {
        if let Some(said) = said {
            dialect.write_client(said, &mut question);
        }
        let sent = stream.write_all(&std::mem::take(&mut question)).await;
        sent.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        message = loop {
            match reader.next(&*dialect, reply_to) {
                Ok(Some(message)) => break message.to_vec(),
                Ok(None) => {}
                Err(cause) => return Err(malformed(cause.expected, reader.unread())),
            }
            let count =
                stream.read(&mut chunk).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
            if count == 0 {
                return Err(SessionFailure::io(Side::Server, io::ErrorKind::UnexpectedEof.into()));
            }
            reader.push(&chunk[..count]);
        };
        match dialect.read_server(reply_to, &message) {
            Ok(ServerMessage::Bye | ServerMessage::TlsRequired) => {
                return Err(SessionFailure::Refused { backend: backend.to_string(), message });
            }
            Ok(_) => {}
            Err(cause) => return Err(malformed(cause.expected, &message)),
        }
    }
    // A client inside TLS has agreed to a session without a login, and would not understand a question for a password.
    let mut inside = protocol.new_dialect(Identity::new("").inside_tls());
    match inside.read_server(ReplyTo::Connect, &message) {
        Ok(ServerMessage::Greeting | ServerMessage::Offer { .. }) => {}
        _ => return Err(malformed("a session without a login", &message)),
    }
    let unread = reader.take_unread();
    Ok(ReadyBackend { greeting: Some(message), unread, ..ReadyBackend::new(stream) })
}

async fn upgrade(
    backend: &Backend,
    tls: &BackendTls,
    requested: Option<&RequestedNames>,
    socket: Socket,
    limit: Duration,
) -> Result<ReadyBackend, SessionFailure> {
    let protocol = backend.protocol;
    if !protocol.flow.request_is_answered {
        let mut ready = read_greeting(backend, Stream::Clear(socket), greeting(protocol)).await?;
        let received = [ready.greeting.as_deref().unwrap_or_default(), &ready.unread].concat();
        ready.pending = Some(PendingUpgrade::new(protocol, tls, &received)?);
        return Ok(ready);
    }
    let identity = identity(backend, &tls.server_name, requested);
    let encrypted = tls.connector.upgrade_as(protocol, identity, &tls.server_name, socket).await;
    let encrypted = encrypted.map_err(SessionFailure::upstream)?;
    if let Some(login) = backend.login() {
        return log_in(backend, login, encrypted, limit).await;
    }
    let second_greeting = Greeting::after_upgrade(protocol, Identity::new(""));
    read_greeting(backend, Stream::Tls(Box::new(encrypted)), second_greeting).await
}

/// Logs in on behalf of a client that cannot. The configuration allows this for verified backends only (rule G5).
async fn log_in(
    backend: &Backend,
    login: &BackendLogin,
    mut stream: Encrypted<Socket>,
    limit: Duration,
) -> Result<ReadyBackend, SessionFailure> {
    let failed = |reason: String| SessionFailure::Login { backend: backend.to_string(), reason };
    let account = login.account().await.map_err(|cause| failed(cause.to_string()))?;
    let account = account.timeout(limit).client_name(backend.client_name.clone());
    let done = account.log_in(backend.protocol, &mut stream).await;
    let done = done.map_err(|error| failed(error.to_string()))?;
    let stream = Stream::Tls(Box::new(stream));
    Ok(ReadyBackend { unread: done.unread, logged_in: true, ..ReadyBackend::new(stream) })
}

/// Reads the server's first message, if the protocol has one.
async fn read_greeting(
    backend: &Backend,
    mut stream: Stream,
    greeting: Option<Greeting>,
) -> Result<ReadyBackend, SessionFailure> {
    let Some(mut greeting) = greeting else {
        return Ok(ReadyBackend::new(stream));
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
                return Ok(ReadyBackend { greeting: Some(message), unread, ..ReadyBackend::new(stream) });
            }
            GreetingStep::Bye(message) => {
                return Err(SessionFailure::Refused { backend: backend.to_string(), message });
            }
        }
    }
}
