//! The caller's stream with a tap, and with the first octets that were received instead of TLS.

use starttls_proto::Escaped;

use crate::deadline::Deadline;
use crate::observe::{ConnectionPhase, Tap};

pub(crate) struct TappedStream<IO> {
    pub(crate) io: IO,
    pub(crate) tap: Tap,
    pub(crate) phase: ConnectionPhase,
    /// The deadline of each blocking read and write. The asynchronous driver has its own timers.
    pub(crate) deadline: Option<Deadline>,
    /// What only the handshake needs. A session without traffic does not keep it.
    handshake: Option<Box<HandshakeOctets>>,
}

/// The octets of a connection up to the end of its handshake.
#[derive(Debug, Default)]
struct HandshakeOctets {
    /// TLS octets that arrived in one segment with the request (MySQL), the last octet first.
    early: Vec<u8>,
    /// The octets that may precede TLS and are dropped, and the maximum number of them.
    space: (&'static [u8], usize),
    /// The first octets received after TLS began.
    opening: Vec<u8>,
    read: u64,
    written: u64,
}

impl<IO> std::fmt::Debug for TappedStream<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TappedStream")
            .field("phase", &self.phase)
            .field("opening", &format_args!("\"{}\"", Escaped(self.opening())))
            .finish_non_exhaustive()
    }
}

/// The maximum number of white space octets that are dropped before TLS.
const MAX_SPACE: usize = 64;

/// The octets that an error keeps of a message that is not TLS.
const EXCERPT: usize = 200;

impl<IO> TappedStream<IO> {
    pub(crate) fn new(io: IO, tap: Tap) -> Self {
        Self { io, tap, phase: ConnectionPhase::Negotiation, deadline: None, handshake: None }
    }

    /// Replaces the stream.
    pub(crate) fn try_map<T, E>(
        self,
        replace: impl FnOnce(IO) -> Result<T, E>,
    ) -> Result<TappedStream<T>, E> {
        let Self { io, tap, phase, deadline, handshake } = self;
        Ok(TappedStream { io: replace(io)?, tap, phase, deadline, handshake })
    }

    fn opening(&self) -> &[u8] {
        self.handshake.as_ref().map_or(&[], |it| &it.opening)
    }

    /// Drops these octets before TLS begins.
    pub(crate) fn skip_leading_space(&mut self, space: &'static [u8]) {
        let most = if space.is_empty() { 0 } else { MAX_SPACE };
        self.handshake.get_or_insert_default().space = (space, most);
    }

    /// Removes leading white space from what was read, if the protocol permits it before TLS. Returns the number of remaining
    /// octets, which then start at index 0.
    pub(crate) fn strip_leading_space(&mut self, bytes: &mut [u8]) -> usize {
        let Some(handshake) = &mut self.handshake else { return bytes.len() };
        let (space, most) = handshake.space;
        if most == 0 || self.phase != ConnectionPhase::Handshake {
            return bytes.len();
        }
        let dropped = bytes.iter().take(most).take_while(|octet| space.contains(octet)).count();
        let left = bytes.len() - dropped;
        handshake.space.1 = if left == 0 { most - dropped } else { 0 };
        self.tap.received(ConnectionPhase::Negotiation, &bytes[..dropped]);
        bytes.copy_within(dropped.., 0);
        left
    }

    /// Begins TLS. The `early` octets of the peer precede everything that is read later.
    pub(crate) fn begin_tls(&mut self, mut early: Vec<u8>) {
        self.phase = ConnectionPhase::Handshake;
        early.reverse();
        self.handshake.get_or_insert_default().early = early;
    }

    /// Ends the handshake. Returns the numbers of octets that were read and written.
    pub(crate) fn begin_session(&mut self) -> (u64, u64) {
        self.phase = ConnectionPhase::Session;
        self.deadline = None;
        let counts = self.handshake.as_ref().map_or((0, 0), |it| (it.read, it.written));
        if !self.has_early() {
            self.handshake = None;
        }
        counts
    }

    pub(crate) fn has_early(&self) -> bool {
        self.handshake.as_ref().is_some_and(|it| !it.early.is_empty())
    }

    /// Fills `buf` from the early octets.
    pub(crate) fn take_early(&mut self, buf: &mut [u8]) -> usize {
        let Some(HandshakeOctets { early, .. }) = self.handshake.as_deref_mut() else { return 0 };
        let count = early.len().min(buf.len());
        for slot in &mut buf[..count] {
            *slot = early.pop().unwrap_or_default();
        }
        self.received(&buf[..count]);
        count
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        match self.phase {
            ConnectionPhase::Session => return,
            ConnectionPhase::Handshake => {
                let HandshakeOctets { opening, read, .. } = &mut **self.handshake.get_or_insert_default();
                *read += bytes.len() as u64;
                let room = EXCERPT.saturating_sub(opening.len());
                opening.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            ConnectionPhase::Negotiation => {}
        }
        self.tap.received(self.phase, bytes);
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        match self.phase {
            ConnectionPhase::Session => return,
            ConnectionPhase::Handshake => {
                self.handshake.get_or_insert_default().written += bytes.len() as u64;
            }
            ConnectionPhase::Negotiation => {}
        }
        self.tap.sent(self.phase, bytes);
    }

    /// Returns the first octets after the boundary, if they are not a TLS record.
    pub(crate) fn plaintext(&mut self) -> Option<Vec<u8>> {
        let record = match *self.opening() {
            [] => true,
            [kind] => (0x14..=0x18).contains(&kind),
            [kind, version, ..] => (0x14..=0x18).contains(&kind) && version == 3,
        };
        (!record).then(|| self.handshake.take().unwrap_or_default().opening)
    }
}
