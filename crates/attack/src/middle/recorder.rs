//! Records the cleartext of a client, message by message as far as it is valid.

use std::io;

use starttls::proto::{ClientMessage, Dialect, Identity, MessageReader, Protocol, ReplyTo, Side};

use crate::record::{Layer, RunRecords};
use crate::scenario::is_harmless;

/// The longest message, in octets.
const LIMIT: usize = 1 << 20;

/// Frames and records what the client sends before TLS.
///
/// It continues whatever the server sent, since a client that is fooled continues too.
pub(super) struct Recorder<'a> {
    protocol: &'static str,
    records: &'a RunRecords,
    number: usize,
    dialect: Box<dyn Dialect>,
    reader: MessageReader,
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
        let reader = MessageReader::with_max_message(Side::Client, LIMIT);
        Self {
            protocol: protocol.name,
            records,
            number,
            dialect,
            reader,
            lost: false,
            in_tls: false,
            answered: false,
        }
    }

    /// Records that the request was accepted and TLS follows.
    pub(super) fn start_tls(&mut self) {
        self.answered = true;
        self.reader.take_unread();
    }

    /// Records bytes of the client.
    ///
    /// # Errors
    /// Returns an error if a message is too long.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.push(bytes);
        while !self.reader.unread().is_empty() {
            let pending = self.reader.unread();
            let continues = self.in_tls && is_record(pending);
            if self.answered || continues || opens_tls(pending) {
                (self.lost, self.in_tls) = (true, true);
                self.write_unread(Layer::Tls);
                break;
            }
            if self.lost {
                self.write_unread(Layer::Cleartext);
                break;
            }
            match self.reader.next(&*self.dialect, ReplyTo::Other) {
                Ok(Some(message)) => {
                    let message = message.to_vec();
                    let meaning = match self.dialect.read_client(&message).ok() {
                        Some(ClientMessage::Other) if is_harmless(self.protocol, &message) => {
                            Some(ClientMessage::Probe)
                        }
                        meaning => meaning,
                    };
                    // Where the request has no answer, TLS follows it. Elsewhere the next bytes decide.
                    self.write(Layer::Cleartext, meaning, &message);
                }
                Ok(None) => break,
                Err(_) => {
                    if self.reader.is_too_long() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    self.lost = true;
                }
            }
        }
        Ok(())
    }

    /// Records bytes that are not framed.
    fn write_unread(&mut self, layer: Layer) {
        let bytes = self.reader.take_unread();
        self.write(layer, None, &bytes);
    }

    fn write(&self, layer: Layer, meaning: Option<ClientMessage>, message: &[u8]) {
        let description =
            if layer == Layer::Cleartext { self.dialect.describe(Side::Client, message) } else { None };
        self.records.with(self.number, |record| {
            record.push(Side::Client, layer, meaning, message, description);
        });
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if !self.reader.unread().is_empty() {
            self.write_unread(if self.answered { Layer::Tls } else { Layer::Cleartext });
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
