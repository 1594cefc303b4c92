//! The man in the middle: it relays one connection of the client, edits it, and records it.

mod answer;
mod handshake;
mod inside;
mod prefixed;
mod recorder;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::dialer::TcpRoute;
use starttls::proto::{EventKind, Outgoing, Protocol, Relay, RelayRule, Side};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Acceptor, Connector, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::record::{Layer, RunRecords};
use crate::scenario::{HandshakeAction, SessionAction};
use recorder::Recorder;

/// The upstream server, to which the man in the middle relays.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The server, and the name in its certificate.
    pub endpoint: Endpoint,
    /// The TLS configuration toward the server, and the way to it.
    pub connector: Connector<TcpRoute>,
}

/// The configuration for all connections of a run.
#[derive(Clone)]
pub(crate) struct Middle {
    pub(crate) protocol: &'static Protocol,
    pub(crate) rules: Vec<RelayRule>,
    pub(crate) handshake: HandshakeAction,
    pub(crate) inside: SessionAction,
    pub(crate) pause: Duration,
    /// How long the handshake is delayed, so that output from before the handshake is read before it starts.
    pub(crate) hold: Duration,
    /// The time limit for one connection.
    pub(crate) deadline: Duration,
    /// The number of messages that the client sends inside TLS without an attack.
    pub(crate) answered: usize,
    /// Terminates TLS toward the client; `None` to relay TLS without decryption.
    pub(crate) acceptor: Option<Acceptor>,
    /// The same certificate, for handshakes that the TLS library does not support.
    pub(crate) certificate: Arc<CertifiedKey>,
    pub(crate) upstream: Upstream,
    pub(crate) records: Arc<RunRecords>,
}

const CHUNK: usize = 16 * 1024;
/// The time limit for connecting to the upstream server, and for its handshake.
const DIAL: Duration = Duration::from_secs(10);
/// How long connections may take to end after the client has ended.
const LINGER: Duration = Duration::from_secs(5);
/// How long to wait for a connection that the client opened before its end and that is not accepted yet.
const SETTLE: Duration = Duration::from_millis(10);

/// The end of the cleartext phase.
enum Cleartext {
    Over,
    /// TLS follows. The client sent these bytes of it already.
    Boundary(Vec<u8>),
}

impl Middle {
    /// Serves connections until `stop`, then waits for the open ones. Clients reach `elsewhere` only through a redirect.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        elsewhere: Option<TcpListener>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut connections = JoinSet::new();
        let aside = Self {
            rules: Vec::new(),
            handshake: HandshakeAction::Done,
            inside: SessionAction::Pass,
            ..self.clone()
        };
        let mut over: Option<Instant> = None;
        while over.is_none_or(|over| over.elapsed() < LINGER) {
            // A client may connect and end at once, so pending connections are accepted before `stop` is read.
            let (accepted, redirected) = tokio::select! {
                biased;
                accepted = listener.accept() => (accepted, false),
                accepted = accept(elsewhere.as_ref()) => (accepted, true),
                _ = &mut stop, if over.is_none() => {
                    over = Some(Instant::now());
                    continue;
                }
                () = sleep(SETTLE), if over.is_some() => break,
            };
            let Ok((tcp, _)) = accepted else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let middle = if redirected { aside.clone() } else { self.clone() };
            let Some(number) = middle.records.open() else { continue };
            middle.records.with(number, |record| record.redirected = redirected);
            connections.spawn(async move { middle.serve(number, tcp).await });
        }
        // The last bytes of an ended client may not be read yet.
        let _ = timeout(LINGER, async { while connections.join_next().await.is_some() {} }).await;
    }

    /// Serves and records one connection, up to the deadline.
    pub(crate) async fn serve(&self, number: usize, client: TcpStream) {
        // A connection at its deadline is closed like any other.
        let _ = timeout(self.deadline, self.converse(number, client)).await;
    }

    async fn converse(&self, number: usize, mut client: TcpStream) {
        let trouble = |what: &str, error: &dyn std::fmt::Display| {
            let text = format!("{what}: {error}");
            self.records.with(number, |record| record.trouble = Some(text));
        };
        let Upstream { endpoint, connector } = &self.upstream;
        let server = match timeout(DIAL, connector.dial(endpoint.clone())).await {
            Ok(Ok(dialed)) => dialed.stream,
            Ok(Err(error)) => return trouble("cannot reach the upstream server", &format!("{error:?}")),
            Err(_) => return trouble("cannot reach the upstream server", &"no answer in time"),
        };
        for tcp in [&client, &server] {
            // Scenarios split messages into segments, which must not be coalesced.
            let _ = tcp.set_nodelay(true);
        }
        let mut server = server;
        match self.negotiate(number, &mut client, &mut server).await {
            // A broken connection counts as one that ended.
            Ok(Cleartext::Over) | Err(_) => {}
            Ok(Cleartext::Boundary(early)) => self.encrypt(number, client, server, early).await,
        }
    }

    /// Relays and edits cleartext in both directions until the request is accepted or one side closes.
    async fn negotiate(
        &self,
        number: usize,
        client: &mut TcpStream,
        server: &mut TcpStream,
    ) -> io::Result<Cleartext> {
        let relay = Relay::new(self.protocol, self.rules.clone());
        let mut relay = if self.acceptor.is_some() { relay.until_boundary() } else { relay };
        let mut recorder = Recorder::new(self.protocol, &self.records, number);
        let (mut from_client, mut from_server) = ([0; CHUNK], [0; CHUNK]);
        let mut server_is_open = true;
        loop {
            let (side, bytes) = tokio::select! {
                read = client.read(&mut from_client) => (Side::Client, &from_client[..read?]),
                read = server.read(&mut from_server), if server_is_open => {
                    (Side::Server, &from_server[..read.unwrap_or(0)])
                }
            };
            self.records.count(number, bytes.len())?;
            match (side, bytes) {
                (Side::Client, []) => return Ok(Cleartext::Over),
                (Side::Server, []) => {
                    server_is_open = false;
                    client.shutdown().await?;
                    continue;
                }
                _ => {}
            }
            let (mut out, mut events) = (Outgoing::default(), Vec::new());
            relay.receive(side, bytes, &mut out, &mut events);
            if side == Side::Client {
                recorder.receive(bytes)?;
            }
            let applied = relay.has_applied();
            self.records.with(number, |record| record.applied |= applied);
            if server_is_open && server.write_all(&out.to_server).await.is_err() {
                server_is_open = false;
            }
            self.send(number, client, &out).await?;
            if events.iter().any(|event| event.kind == EventKind::Boundary) {
                let unread = self.acceptor.is_none();
                self.records.with(number, |record| {
                    record.answered = true;
                    (record.unread, record.encrypted) = (unread, unread);
                });
                recorder.start_tls();
                if self.acceptor.is_some() {
                    return Ok(Cleartext::Boundary(relay.into_beyond(Side::Client)));
                }
            }
        }
    }

    /// Sends the pending bytes to the client, one segment at a time.
    async fn send(&self, number: usize, client: &mut TcpStream, out: &Outgoing) -> io::Result<()> {
        let mut start = 0;
        let ends = out.cuts.iter().copied().chain([out.to_client.len()]);
        for (at, end) in ends.enumerate() {
            let segment = out.to_client.get(start..end).unwrap_or_default();
            start = end;
            if segment.is_empty() {
                continue;
            }
            if at > 0 {
                sleep(self.pause).await;
            }
            self.records.with(number, |record| {
                let layer = if record.unread { Layer::Tls } else { Layer::Cleartext };
                record.push(Side::Server, layer, None, segment, None);
            });
            client.write_all(segment).await?;
        }
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
