//! The man in the middle: one connection of the client's, from the greeting to the end.

mod answer;
mod handshake;
mod inside;
mod prefixed;
mod recorder;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::proto::{EventKind, Outgoing, Protocol, Relay, RelayRule, Side};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Acceptor, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::record::{Layer, RunRecords};
use crate::scenario::{HandshakeAction, SessionAction};
use recorder::Recorder;

/// The server behind the man in the middle.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate is verified for.
    pub server_name: String,
    /// What TLS towards it is made with.
    pub connector: Connector,
}

/// What is done to each connection of a run.
#[derive(Clone)]
pub(crate) struct Middle {
    pub(crate) protocol: &'static Protocol,
    pub(crate) rules: Vec<RelayRule>,
    pub(crate) handshake: HandshakeAction,
    pub(crate) inside: SessionAction,
    pub(crate) pause: Duration,
    /// How long the handshake is held back, so that what the client printed before it is read before it.
    pub(crate) hold: Duration,
    /// How long one connection may take.
    pub(crate) deadline: Duration,
    /// How many messages the client says inside TLS without an attack.
    pub(crate) answered: usize,
    /// TLS towards the client, if that is ours.
    pub(crate) acceptor: Option<Acceptor>,
    /// The same certificate, for TLS that no library speaks any more.
    pub(crate) certificate: Arc<CertifiedKey>,
    pub(crate) upstream: Upstream,
    pub(crate) records: Arc<RunRecords>,
}

const CHUNK: usize = 16 * 1024;
/// For the connection to the server behind.
const DIAL: Duration = Duration::from_secs(10);
/// How long connections may take to end when the client under test has ended.
const LINGER: Duration = Duration::from_secs(5);
/// For a connection that was opened before the client ended, and was not accepted yet.
const SETTLE: Duration = Duration::from_millis(10);

/// How the cleartext part ended.
enum Cleartext {
    Over,
    /// TLS comes next; this much of the client's is here.
    Boundary(Vec<u8>),
}

impl Middle {
    /// Serves what comes here until it is told to stop, and then to its end what is open. What comes to
    /// `elsewhere` has followed a redirect.
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
            // A client that has come and gone was there: whoever waits comes before the end.
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
        // The client may have gone before what it said last was read.
        let _ = timeout(LINGER, async { while connections.join_next().await.is_some() {} }).await;
    }

    /// Serves one connection, and records it. Ends it at the deadline, whatever the client and the server do.
    pub(crate) async fn serve(&self, number: usize, client: TcpStream) {
        // A connection at its end is closed like any other.
        let _ = timeout(self.deadline, self.converse(number, client)).await;
    }

    async fn converse(&self, number: usize, mut client: TcpStream) {
        let trouble = |what: &str, error: &dyn std::fmt::Display| {
            let text = format!("{what}: {error}");
            self.records.with(number, |record| record.trouble = Some(text));
        };
        let server = match timeout(DIAL, TcpStream::connect(self.upstream.address)).await {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => return trouble("the server behind cannot be reached", &error),
            Err(_) => return trouble("the server behind cannot be reached", &"no answer in time"),
        };
        for tcp in [&client, &server] {
            // The messages are small, and cuts between segments matter.
            let _ = tcp.set_nodelay(true);
        }
        let mut server = server;
        match self.negotiate(number, &mut client, &mut server).await {
            // A connection that breaks is one that ends.
            Ok(Cleartext::Over) | Err(_) => {}
            Ok(Cleartext::Boundary(early)) => self.encrypt(number, client, server, early).await,
        }
    }

    /// Passes cleartext in both directions, edited, until TLS is agreed on or one side has enough.
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
                recorder.heard(bytes)?;
            }
            let applied = relay.has_applied();
            self.records.with(number, |record| record.applied |= applied);
            if server_is_open && server.write_all(&out.to_server).await.is_err() {
                server_is_open = false;
            }
            self.tell(number, client, &out).await?;
            if events.iter().any(|event| event.kind == EventKind::Boundary) {
                let unread = self.acceptor.is_none();
                self.records.with(number, |record| {
                    record.answered = true;
                    (record.unread, record.encrypted) = (unread, unread);
                });
                recorder.answered();
                if self.acceptor.is_some() {
                    return Ok(Cleartext::Boundary(relay.into_beyond(Side::Client)));
                }
            }
        }
    }

    /// Says to the client what there is to say, a segment at a time.
    async fn tell(&self, number: usize, client: &mut TcpStream, out: &Outgoing) -> io::Result<()> {
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
