//! Servers without TLS, which record every octet that they receive.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, net::SocketAddr};

use starttls::Acceptor;
use starttls::proto::{
    AfterUpgrade, ClientMessage, Identity, MessageReader, OfferPlace, PROTOCOLS, Protocol, ReplyTo,
    ServerMessage, ServerSession, Side,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::apps::context::World;
use crate::error::Error;
use crate::lab::password;
use crate::profile;
use crate::session::{ConnectionAddresses, Session, SessionError};
use crate::store::Store;

/// The idle timeout.
const IDLE: Duration = Duration::from_secs(60);

/// Servers without TLS, on loopback: one for each protocol in which a session does not depend on the upgrade before it.
///
/// They run until the value is dropped.
pub struct CleartextServers {
    servers: Vec<Server>,
    world: Arc<World>,
    runtime: Option<Runtime>,
}

struct Server {
    protocol: &'static Protocol,
    address: SocketAddr,
    heard: Heard,
}

/// The octets that a server received on all its connections.
type Heard = Arc<Mutex<Vec<u8>>>;

impl fmt::Debug for CleartextServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleartextServers").finish_non_exhaustive()
    }
}

impl CleartextServers {
    /// Starts every server. All of them listen when this returns.
    ///
    /// # Errors
    /// Returns an error if a port or a thread cannot be created.
    pub fn start() -> Result<Self, Error> {
        let world = Arc::new(World {
            store: Store::default(),
            user: String::from("test"),
            password: password(),
            open: false,
            clear: true,
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("starttls-lab-cleartext")
            .enable_all()
            .build()
            .map_err(Error::io("the threads of the servers"))?;
        let guard = runtime.enter();
        let servers: Result<Vec<_>, Error> = PROTOCOLS
            .iter()
            .copied()
            .filter(|protocol| {
                protocol.flow.has_cleartext_sessions && protocol.flow.after != AfterUpgrade::SequenceContinues
            })
            .map(|protocol| {
                let failed = || Error::io(protocol.name);
                let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed())?;
                listener.set_nonblocking(true).map_err(failed())?;
                let address = listener.local_addr().map_err(failed())?;
                let listener = TcpListener::from_std(listener).map_err(failed())?;
                let heard = Heard::default();
                runtime.spawn(listen(listener, protocol, Arc::clone(&world), Arc::clone(&heard)));
                Ok(Server { protocol, address, heard })
            })
            .collect();
        drop(guard);
        Ok(Self { servers: servers?, world, runtime: Some(runtime) })
    }

    /// Returns the protocols and their addresses.
    pub fn servers(&self) -> impl Iterator<Item = (&'static Protocol, SocketAddr)> {
        self.servers.iter().map(|server| (server.protocol, server.address))
    }

    /// Returns the address for a protocol.
    pub fn address(&self, scheme: &str) -> Option<SocketAddr> {
        self.servers().find(|(protocol, _)| protocol.name == scheme).map(|it| it.1)
    }

    /// Returns every octet that the server of this protocol has received.
    pub fn heard(&self, scheme: &str) -> Vec<u8> {
        let server = self.servers.iter().find(|server| server.protocol.name == scheme);
        server
            .map(|server| server.heard.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    /// Returns the user of every server.
    pub fn user(&self) -> &str {
        &self.world.user
    }

    /// Returns the password of the user.
    pub fn password(&self) -> &str {
        &self.world.password
    }

    /// Returns the mail and files of the servers.
    pub fn store(&self) -> &Store {
        &self.world.store
    }
}

impl Drop for CleartextServers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: TcpListener, protocol: &'static Protocol, world: Arc<World>, heard: Heard) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (world, heard) = (Arc::clone(&world), Arc::clone(&heard));
        // A test sees a failed session at its own end.
        tokio::spawn(async move { serve(tcp, protocol, &world, heard).await });
    }
}

async fn serve(
    tcp: TcpStream,
    protocol: &'static Protocol,
    world: &World,
    heard: Heard,
) -> Result<(), SessionError> {
    tcp.set_nodelay(true)?;
    let capabilities = profile::capabilities(protocol).iter().filter_map(|it| it.parse().ok()).collect();
    let identity = Identity { capabilities, ..Identity::new("localhost") };
    let mut greeting = Vec::new();
    let engine = ServerSession::new(protocol, identity.clone(), &mut Vec::new());
    if protocol.flow.greeting {
        let message = match protocol.flow.offer {
            OfferPlace::InGreeting => ServerMessage::Offer { starttls: false },
            OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
        };
        let inside = identity.clone().inside_tls();
        protocol.new_dialect(inside).write_server(message, &mut greeting);
    }
    let ends = ConnectionAddresses::of(&tcp)?;
    let mut stream = Box::new(Recorded { tcp, heard });
    // Inside TLS no preamble comes, so the engine does not expect one.
    let mut preamble = vec![0; protocol.flow.client_preamble.len()];
    if !preamble.is_empty() {
        stream.write_all(&std::mem::take(&mut greeting)).await?;
        stream.read_exact(&mut preamble).await?;
    }
    if preamble != protocol.flow.client_preamble {
        return Err(SessionError::Bad("the preamble of a client"));
    }
    if protocol.flow.hello_rounds > 1 {
        greeting = begin_without_tls(&mut stream, protocol, &identity).await?;
    }
    let mut session = Session::over(stream, ends, protocol, identity, Box::new(engine), greeting, IDLE);
    let acceptor = Acceptor::builder(protocol, "localhost").build()?;
    profile::serve(&mut session, world, &acceptor).await?;
    session.close().await
}

/// Serves a hello of several messages, in which the client chooses a session without TLS. Returns what the server then
/// sends first, as it does inside TLS.
async fn begin_without_tls(
    stream: &mut Recorded,
    protocol: &Protocol,
    identity: &Identity,
) -> Result<Vec<u8>, SessionError> {
    let (mut dialect, mut out) = (protocol.new_dialect(identity.clone()), Vec::new());
    let mut reader = MessageReader::new(Side::Client);
    dialect.write_server(ServerMessage::Greeting, &mut out);
    loop {
        stream.write_all(&std::mem::take(&mut out)).await?;
        let message = loop {
            match reader.next(&*dialect, ReplyTo::Other) {
                Ok(Some(message)) => break message.to_vec(),
                Ok(None) => reader.push(&[stream.read_u8().await?]),
                Err(malformed) => return Err(SessionError::Bad(malformed.expected)),
            }
        };
        match dialect.read_client(&message) {
            Ok(ClientMessage::Hello) => {
                dialect.write_server(ServerMessage::Offer { starttls: false }, &mut out);
            }
            Ok(ClientMessage::Other) => break,
            _ => return Err(SessionError::Bad("the choice of a session without TLS")),
        }
    }
    let mut inside = protocol.new_dialect(identity.clone().inside_tls());
    inside.write_server(ServerMessage::Offer { starttls: false }, &mut out);
    Ok(out)
}

/// A connection that records what it reads.
struct Recorded {
    tcp: TcpStream,
    heard: Heard,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
