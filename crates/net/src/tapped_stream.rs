//! The caller's stream with a tap on it, and with memory for the first bytes where TLS belongs.

use starttls_proto::Escaped;

use crate::deadline::Deadline;
use crate::observe::{ConnectionPhase, Tap};

pub(crate) struct TappedStream<IO> {
    pub(crate) io: IO,
    pub(crate) tap: Tap,
    pub(crate) phase: ConnectionPhase,
    /// Bounds each blocking read and write; an asynchronous driver has its own clock.
    pub(crate) deadline: Option<Deadline>,
    /// TLS that came in one piece with the request (MySQL), last byte first.
    early: Vec<u8>,
    /// Octets that are dropped where TLS has yet to begin, and how many of them at most.
    space: (&'static [u8], usize),
    /// The first octets received since TLS began.
    opening: Vec<u8>,
    pub(crate) handshake_read: u64,
    pub(crate) handshake_written: u64,
}

impl<IO> std::fmt::Debug for TappedStream<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("phase", &self.phase)
            .field("opening", &format_args!("\"{}\"", Escaped(&self.opening)))
            .finish_non_exhaustive()
    }
}

/// Octets of white space that are dropped before TLS, at most.
const MAX_SPACE: usize = 64;

/// How much of what is not TLS an error keeps.
const EXCERPT: usize = 200;

impl<IO> TappedStream<IO> {
    pub(crate) fn new(io: IO, tap: Tap) -> Self {
        Self {
            io,
            tap,
            phase: ConnectionPhase::Negotiation,
            deadline: None,
            early: Vec::new(),
            space: (b"", 0),
            opening: Vec::new(),
            handshake_read: 0,
            handshake_written: 0,
        }
    }

    /// Drops these octets until TLS begins.
    pub(crate) fn skip_leading_space(&mut self, space: &'static [u8]) {
        self.space = (space, if space.is_empty() { 0 } else { MAX_SPACE });
    }

    /// Drops white space at the start of what was read, if TLS has not begun and white space may be there. Returns how many
    /// octets are left; they start where the white space did.
    pub(crate) fn strip_leading_space(&mut self, bytes: &mut [u8]) -> usize {
        let (space, most) = self.space;
        if most == 0 || self.phase != ConnectionPhase::Handshake {
            return bytes.len();
        }
        let dropped = bytes.iter().take(most).take_while(|octet| space.contains(octet)).count();
        let left = bytes.len() - dropped;
        self.space.1 = if left == 0 { most - dropped } else { 0 };
        self.tap.received(ConnectionPhase::Negotiation, &bytes[..dropped]);
        bytes.copy_within(dropped.., 0);
        left
    }

    /// TLS begins, with these bytes of the peer's before anything that is still to be read.
    pub(crate) fn begin_tls(&mut self, mut early: Vec<u8>) {
        self.phase = ConnectionPhase::Handshake;
        early.reverse();
        self.early = early;
    }

    /// The handshake is over, and with it what was kept for explaining its failure.
    pub(crate) fn begin_session(&mut self) {
        self.phase = ConnectionPhase::Session;
        self.deadline = None;
        self.opening = Vec::new();
    }

    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Fills `buf` from the early bytes, if there are any.
    pub(crate) fn take_early(&mut self, buf: &mut [u8]) -> usize {
        let count = self.early.len().min(buf.len());
        for slot in &mut buf[..count] {
            *slot = self.early.pop().unwrap_or_default();
        }
        self.received(&buf[..count]);
        count
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        match self.phase {
            ConnectionPhase::Session => return,
            ConnectionPhase::Handshake => {
                self.handshake_read += bytes.len() as u64;
                let room = EXCERPT.saturating_sub(self.opening.len());
                self.opening.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            ConnectionPhase::Negotiation => {}
        }
        self.tap.received(self.phase, bytes);
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        match self.phase {
            ConnectionPhase::Session => return,
            ConnectionPhase::Handshake => self.handshake_written += bytes.len() as u64,
            ConnectionPhase::Negotiation => {}
        }
        self.tap.sent(self.phase, bytes);
    }

    /// The first bytes where TLS belongs, if they are not a TLS record.
    pub(crate) fn plaintext(&mut self) -> Option<Vec<u8>> {
        let record = match *self.opening {
            [] => true,
            [kind] => (0x14..=0x18).contains(&kind),
            [kind, version, ..] => (0x14..=0x18).contains(&kind) && version == 3,
        };
        (!record).then(|| std::mem::take(&mut self.opening))
    }
}
