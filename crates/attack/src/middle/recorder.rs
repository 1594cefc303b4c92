//! Writes down what a client says in cleartext, message by message as far as it can be read.

use std::io;

use starttls::proto::{ClientMessage, Dialect, Identity, Protocol, ReplyTo, Scan, Side};

use crate::record::{Layer, RunRecords};
use crate::scenario::is_harmless;

/// Octets that are no message yet.
const LIMIT: usize = 1 << 20;

/// It reads on whatever the server said, since a client that is fooled does so too.
pub(super) struct Recorder<'a> {
    protocol: &'static str,
    records: &'a RunRecords,
    number: usize,
    dialect: Box<dyn Dialect>,
    scan: Scan,
    unread: Vec<u8>,
    /// Whether nothing more can be read.
    lost: bool,
    /// Whether TLS has started, with or without an answer to the request.
    in_tls: bool,
    /// Whether TLS comes next, or has come.
    answered: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(protocol: &Protocol, records: &'a RunRecords, number: usize) -> Self {
        let dialect = (protocol.dialect)(Identity::new(""));
        let (scan, unread) = (Scan::default(), Vec::new());
        Self {
            protocol: protocol.name,
            records,
            number,
            dialect,
            scan,
            unread,
            lost: false,
            in_tls: false,
            answered: false,
        }
    }

    /// The request was answered as the client wants it: TLS comes next.
    pub(super) fn answered(&mut self) {
        self.answered = true;
        self.unread.clear();
    }

    /// Writes down what came.
    ///
    /// # Errors
    /// When it is too much.
    pub(super) fn heard(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unread.extend_from_slice(bytes);
        while !self.unread.is_empty() {
            let goes_on = self.in_tls && is_record(&self.unread);
            if self.answered || goes_on || opens_tls(&self.unread) {
                (self.lost, self.in_tls) = (true, true);
                self.write(Layer::Tls, None, self.unread.len());
                break;
            }
            if self.lost {
                self.write(Layer::Cleartext, None, self.unread.len());
                break;
            }
            match self.dialect.frame(Side::Client, ReplyTo::Other, &self.unread, &mut self.scan) {
                Ok(Some(end)) => {
                    self.scan = Scan::default();
                    let message: Vec<u8> = self.unread[..end].to_vec();
                    let meaning = match self.dialect.read_client(&message).ok() {
                        Some(ClientMessage::Other) if is_harmless(self.protocol, &message) => {
                            Some(ClientMessage::Probe)
                        }
                        meaning => meaning,
                    };
                    // Where nobody answers the request, TLS starts with it; elsewhere the next bytes tell.
                    self.write(Layer::Cleartext, meaning, end);
                }
                Ok(None) => break,
                Err(_) => self.lost = true,
            }
        }
        if self.unread.len() > LIMIT { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }

    fn write(&mut self, layer: Layer, meaning: Option<ClientMessage>, end: usize) {
        let message: Vec<u8> = self.unread.drain(..end).collect();
        let words =
            if layer == Layer::Cleartext { self.dialect.describe(Side::Client, &message) } else { None };
        self.records.with(self.number, |record| {
            record.push(Side::Client, layer, meaning, &message, words);
        });
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if !self.unread.is_empty() {
            let layer = if self.answered { Layer::Tls } else { Layer::Cleartext };
            self.write(layer, None, self.unread.len());
        }
    }
}

/// Returns whether this starts as a TLS record does: its type, and version 3 (RFC 8446 section 5.1).
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

/// Whether this starts as a TLS handshake does (RFC 8446 section 5.1).
fn opens_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, ..])
}
