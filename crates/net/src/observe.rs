//! The tap of a connection: observers get everything that is sent and received.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls_proto::Side;

/// An observer of a connection, which gets every chunk that is sent or received.
///
/// Reads and writes call it, so it must not block for long. The octets are not escaped and may contain secrets;
/// [`TranscriptWriter`](crate::TranscriptWriter) makes them fit for people.
pub trait Observer: Send + Sync {
    /// Takes one chunk.
    fn observe(&self, chunk: &Chunk<'_>);
}

impl<F: Fn(&Chunk<'_>) + Send + Sync> Observer for F {
    fn observe(&self, chunk: &Chunk<'_>) {
        self(chunk);
    }
}

/// Octets that were sent or received at once.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The sender.
    pub from: Side,
    /// The phase of the connection.
    pub phase: ConnectionPhase,
    /// The time since the start of the connection.
    pub at: Duration,
    /// The octets.
    pub bytes: &'a [u8],
}

/// A phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionPhase {
    /// The negotiation in cleartext, as on the network.
    Negotiation,
    /// The TLS handshake, as on the network.
    Handshake,
    /// The application data inside TLS, before encryption and after decryption.
    Session,
}

/// The tap of one connection.
#[derive(Clone)]
pub(crate) struct Tap {
    /// The side of this library.
    pub(crate) side: Side,
    /// Boxed, because most connections have no observer.
    observed: Option<Box<Observed>>,
}

#[derive(Clone)]
struct Observed {
    started: Instant,
    observer: Arc<dyn Observer>,
}

impl Tap {
    pub(crate) fn new(side: Side, observer: Option<Arc<dyn Observer>>) -> Self {
        let observed = observer.map(|observer| Box::new(Observed { started: Instant::now(), observer }));
        Self { side, observed }
    }

    pub(crate) fn sent(&self, phase: ConnectionPhase, bytes: &[u8]) {
        self.show(self.side, phase, bytes);
    }

    pub(crate) fn received(&self, phase: ConnectionPhase, bytes: &[u8]) {
        self.show(self.side.peer(), phase, bytes);
    }

    fn show(&self, from: Side, phase: ConnectionPhase, bytes: &[u8]) {
        if let Some(Observed { started, observer }) = self.observed.as_deref().filter(|_| !bytes.is_empty()) {
            observer.observe(&Chunk { from, phase, at: started.elapsed(), bytes });
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("side", &self.side).finish_non_exhaustive()
    }
}
