//! The record layer before any key: records in, handshake messages out (RFC 8446 section 5.1).

use std::collections::VecDeque;

use crate::alert::Alert;
use crate::malformed::MalformedTls;

/// The most octets that one flight may have.
pub(crate) const MAX_OCTETS: usize = 256 * 1024;
/// The most records that one flight may have.
pub(crate) const MAX_RECORDS: usize = 64;

/// The longest fragment of a record; TLS 1.2 allows 2048 octets more than a plaintext for expansion.
const MAX_FRAGMENT: usize = (1 << 14) + 2048;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Takes records apart and puts handshake messages together.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Everything that was received, up to one octet more than [`MAX_OCTETS`].
    input: Vec<u8>,
    /// How much of `input` was taken apart.
    read: usize,
    /// The contents of all handshake records.
    messages: Vec<u8>,
    /// How much of `messages` was returned.
    taken: usize,
    /// The contents of alert records that were not returned yet.
    alerts: VecDeque<u8>,
    records: usize,
}

/// What the records contain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordEvent {
    Message {
        kind: u8,
        body: Vec<u8>,
    },
    Alert(Alert),
    /// ChangeCipherSpec or application data: what follows is encrypted.
    Encrypted,
}

impl Records {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // One octet beyond the bound is enough to notice.
        let room = (MAX_OCTETS + 1).saturating_sub(self.input.len());
        self.input.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Returns what was received since the start. It is complete as long as no bound was exceeded.
    pub(crate) fn received(&self) -> &[u8] {
        &self.input
    }

    /// Returns whether a message or record has begun and is not complete.
    pub(crate) fn is_partial(&self) -> bool {
        self.read < self.input.len() || self.taken < self.messages.len() || !self.alerts.is_empty()
    }

    /// Returns the next event, or `None` when more octets are needed.
    pub(crate) fn next(&mut self) -> Result<Option<RecordEvent>, MalformedTls> {
        loop {
            if let Some(message) = self.message() {
                return Ok(Some(message));
            }
            let rest = self.input.get(self.read..).unwrap_or_default();
            let &[kind, major, _, high, low, ..] = rest else { return self.more() };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) || major != 3 {
                return Err(MalformedTls::NotTls);
            }
            if length > MAX_FRAGMENT || (length == 0 && kind != APPLICATION_DATA) {
                return Err(MalformedTls::Length("record"));
            }
            if kind == CHANGE_CIPHER_SPEC || kind == APPLICATION_DATA {
                return Ok(Some(RecordEvent::Encrypted));
            }
            let Some(fragment) = rest.get(5..5 + length) else { return self.more() };
            self.records += 1;
            if self.records > MAX_RECORDS {
                return Err(MalformedTls::TooLong);
            }
            match kind {
                HANDSHAKE if self.alerts.is_empty() => self.messages.extend_from_slice(fragment),
                ALERT if self.taken == self.messages.len() => self.alerts.extend(fragment),
                // Fragments of different kinds must not be interleaved (RFC 8446 section 5.1).
                _ => return Err(MalformedTls::Unexpected("record inside a message")),
            }
            self.read += 5 + length;
        }
    }

    fn message(&mut self) -> Option<RecordEvent> {
        if let (Some(&level), Some(&description)) = (self.alerts.front(), self.alerts.get(1)) {
            self.alerts.drain(..2);
            return Some(RecordEvent::Alert(Alert { level, description }));
        }
        let rest = self.messages.get(self.taken..)?;
        let (&[kind, a, b, c], rest) = rest.split_first_chunk()?;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let body = rest.get(..length)?.to_vec();
        self.taken += 4 + length;
        Some(RecordEvent::Message { kind, body })
    }

    fn more(&self) -> Result<Option<RecordEvent>, MalformedTls> {
        if self.input.len() > MAX_OCTETS { Err(MalformedTls::TooLong) } else { Ok(None) }
    }
}

/// Puts a handshake message into records of this version.
pub(crate) fn put_message(version: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    crate::reader::put_vector::<3>(&mut message, body);
    let mut out = Vec::with_capacity(message.len() + 5);
    for fragment in message.chunks(1 << 14) {
        out.push(HANDSHAKE);
        crate::reader::put_codes(&mut out, [version]);
        crate::reader::put_vector::<2>(&mut out, fragment);
    }
    out
}
