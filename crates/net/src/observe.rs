//! The tap: everything that goes over a connection, for whoever wants to see it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls_proto::Side;

/// Sees every chunk of a connection as it is sent or received.
///
/// It is called from within reading and writing: it must not block for long. What it sees is not
/// escaped and may hold secrets; [`TranscriptWriter`](crate::TranscriptWriter) shows it to people.
pub trait Observer: Send + Sync {
    /// Sees one chunk.
    fn observe(&self, chunk: &Chunk<'_>);
}

impl<F: Fn(&Chunk<'_>) + Send + Sync> Observer for F {
    fn observe(&self, chunk: &Chunk<'_>) {
        self(chunk);
    }
}

/// Bytes that were sent or received at once.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Who sent them.
    pub from: Side,
    /// What they are.
    pub phase: ConnectionPhase,
    /// When, counted from the start of the connection.
    pub at: Duration,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionPhase {
    /// The negotiation in cleartext, as it is on the wire.
    Negotiation,
    /// The TLS handshake, as it is on the wire.
    Handshake,
    /// The application's own bytes, before encryption and after decryption.
    Session,
}

/// The tap of one connection.
#[derive(Clone)]
pub(crate) struct Tap {
    /// Our own side.
    pub(crate) side: Side,
    started: Instant,
    observer: Option<Arc<dyn Observer>>,
}

impl Tap {
    pub(crate) fn new(side: Side, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { side, started: Instant::now(), observer }
    }

    pub(crate) fn sent(&self, phase: ConnectionPhase, bytes: &[u8]) {
        self.show(self.side, phase, bytes);
    }

    pub(crate) fn received(&self, phase: ConnectionPhase, bytes: &[u8]) {
        self.show(self.side.peer(), phase, bytes);
    }

    fn show(&self, from: Side, phase: ConnectionPhase, bytes: &[u8]) {
        if let Some(observer) = self.observer.as_ref().filter(|_| !bytes.is_empty()) {
            observer.observe(&Chunk { from, phase, at: self.started.elapsed(), bytes });
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("side", &self.side).finish_non_exhaustive()
    }
}
