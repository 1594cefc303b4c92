//! Records the cleartext of a client, message by message as far as it is valid.

use std::io;

use starttls::proto::{ClientMessage, Dialect, Identity, Protocol, ReplyTo, Scan, Side};

use crate::record::{Layer, RunRecords};
use crate::scenario::is_harmless;

/// The longest incomplete message, in octets.
const LIMIT: usize = 1 << 20;

/// Frames and records what the client sends before TLS.
///
/// It continues whatever the server sent, since a client that is fooled continues too.
pub(super) struct Recorder<'a> {
    protocol: &'static str,
    records: &'a RunRecords,
    number: usize,
    dialect: Box<dyn Dialect>,
    scan: Scan,
    pending: Vec<u8>,
    /// Whether the client sent bytes that cannot be framed.
    lost: bool,
    /// Whether the client has started TLS, with or without an answer to its request.
    in_tls: bool,
    /// Whether the request was accepted, so that all further bytes are TLS.
    answered: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(protocol: &Protocol, records: &'a RunRecords, number: usize) -> Self {
        let dialect = protocol.new_dialect(Identity::new(""));
        let (scan, pending) = (Scan::default(), Vec::new());
        Self {
            protocol: protocol.name,
            records,
            number,
            dialect,
            scan,
            pending,
            lost: false,
            in_tls: false,
            answered: false,
        }
    }

    /// Records that the request was accepted and TLS follows.
    pub(super) fn start_tls(&mut self) {
        self.answered = true;
        self.pending.clear();
    }

    /// Records bytes of the client.
    ///
    /// # Errors
    /// Returns an error if a message is too long.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        while !self.pending.is_empty() {
            let continues = self.in_tls && is_record(&self.pending);
            if self.answered || continues || opens_tls(&self.pending) {
                (self.lost, self.in_tls) = (true, true);
                self.write(Layer::Tls, None, self.pending.len());
                break;
            }
            if self.lost {
                self.write(Layer::Cleartext, None, self.pending.len());
                break;
            }
            match self.dialect.frame(Side::Client, ReplyTo::Other, &self.pending, &mut self.scan) {
                Ok(Some(end)) => {
                    self.scan = Scan::default();
                    let message: Vec<u8> = self.pending[..end].to_vec();
                    let meaning = match self.dialect.read_client(&message).ok() {
                        Some(ClientMessage::Other) if is_harmless(self.protocol, &message) => {
                            Some(ClientMessage::Probe)
                        }
                        meaning => meaning,
                    };
                    // Where the request has no answer, TLS follows it. Elsewhere the next bytes decide.
                    self.write(Layer::Cleartext, meaning, end);
                }
                Ok(None) => break,
                Err(_) => self.lost = true,
            }
        }
        if self.pending.len() > LIMIT { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }

    fn write(&mut self, layer: Layer, meaning: Option<ClientMessage>, end: usize) {
        let message: Vec<u8> = self.pending.drain(..end).collect();
        let description =
            if layer == Layer::Cleartext { self.dialect.describe(Side::Client, &message) } else { None };
        self.records.with(self.number, |record| {
            record.push(Side::Client, layer, meaning, &message, description);
        });
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            let layer = if self.answered { Layer::Tls } else { Layer::Cleartext };
            self.write(layer, None, self.pending.len());
        }
    }
}

/// Returns whether these bytes start like a TLS record: a record type and version 3 (RFC 8446 section 5.1).
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

/// Returns whether these bytes start like a handshake record (RFC 8446 section 5.1).
fn opens_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, ..])
}
