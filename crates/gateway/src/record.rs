//! The record of a session, and the trait that receives it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::TlsFacts;
use starttls_inspect::ConnectionReport;

use crate::config::Listener;
use crate::failure::SessionFailure;
use crate::session_id::SessionId;

/// The addresses of a client connection.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddresses {
    /// The client's address. Behind a proxy it is the one in the PROXY header; on a Unix socket, `None`.
    pub address: Option<SocketAddr>,
    /// The address that the client connected to.
    pub local: Option<SocketAddr>,
}

/// What became of a backend that was dialed during a client's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyDialUse {
    /// The client did not complete its handshake in time. The connection was closed without an octet of the client.
    Unused,
    /// The session used the connection, or its failure.
    Used,
}

impl EarlyDialUse {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::Unused, Self::Used];

    /// Returns the name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Used => "used",
        }
    }
}

/// The record of a finished session.
#[derive(Debug)]
pub struct SessionRecord {
    /// The session's id.
    pub id: SessionId,
    /// When the client connected.
    pub began: Instant,
    /// The client.
    pub client: ClientAddresses,
    /// The TLS session with the client, if there was one.
    pub downstream: Option<Arc<TlsFacts>>,
    /// The name that the client requested, by SNI or in its stream.
    pub server_name: Option<String>,
    /// The URL of the backend, if one was ready.
    pub backend: Option<Arc<str>>,
    /// The TLS session with the backend, if there was one.
    pub upstream: Option<Arc<TlsFacts>>,
    /// Octets from the client to the backend, inside TLS.
    pub octets_up: u64,
    /// Octets from the backend to the client, inside TLS.
    pub octets_down: u64,
    /// The time from the connection to the end of the client's handshake.
    pub until_tls: Option<Duration>,
    /// The time that the connection to the backend took until it was ready. It begins then, or during the handshake if the backend
    /// was dialed early.
    pub until_backend: Option<Duration>,
    /// Whether the client used the backend that was dialed during its handshake; `None` if none was.
    pub early_dial: Option<EarlyDialUse>,
    /// The duration of the session.
    pub duration: Duration,
    /// Why the session failed, if it did.
    pub failure: Option<Box<SessionFailure>>,
}

impl SessionRecord {
    /// Returns the record of a session that starts now.
    pub fn new(client: ClientAddresses) -> Self {
        Self {
            id: SessionId::next(),
            began: Instant::now(),
            client,
            downstream: None,
            server_name: None,
            backend: None,
            upstream: None,
            octets_up: 0,
            octets_down: 0,
            until_tls: None,
            until_backend: None,
            early_dial: None,
            duration: Duration::ZERO,
            failure: None,
        }
    }
}

/// Receives the start and the end of every session.
pub trait SessionObserver: Send + Sync {
    /// Called when a client has connected to this listener.
    fn connected(&self, _listener: &Listener) {}

    /// Called when an observed session of this listener has ended, with what the network saw of it.
    fn observed(&self, _listener: &Listener, _report: &ConnectionReport) {}

    /// Called when a session of this listener has ended.
    fn session(&self, listener: &Listener, record: &SessionRecord);
}

impl<F: Fn(&Listener, &SessionRecord) + Send + Sync> SessionObserver for F {
    fn session(&self, listener: &Listener, record: &SessionRecord) {
        self(listener, record);
    }
}
