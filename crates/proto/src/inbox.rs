//! The buffer of a negotiation: what one side sent in cleartext and was not read yet.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::{
    Dialect, Error, ErrorKind, Malformed, MessageReader, Protocol, ProtocolFamily, ReplyTo, Side, Speaker,
};

/// Bounds of one negotiation, for each direction. The bound of one message is [`MAX_MESSAGE`].
mod limit {
    /// Messages until the boundary.
    pub(super) const MESSAGES: u32 = 1024;
    /// Octets until the boundary.
    pub(super) const TOTAL: u64 = 256 * 1024;
}

/// A [`MessageReader`] with the bounds of a negotiation, which tells what arrived before a question was sent.
#[derive(Debug)]
pub(crate) struct Inbox {
    expected: ProtocolFamily,
    reader: MessageReader,
    /// Octets at the front that arrived before the last question was sent.
    early: usize,
    messages: u32,
    taken: u64,
    bounded: bool,
}

impl Inbox {
    pub(crate) fn new(from: Side, protocol: &Protocol) -> Self {
        let (expected, reader) = (protocol.family, MessageReader::new(from));
        Self { expected, reader, early: 0, messages: 0, taken: 0, bounded: true }
    }

    /// Returns an inbox for a session that is not a negotiation: the number of messages has no bound.
    pub(crate) fn endless(from: Side, protocol: &Protocol) -> Self {
        Self { bounded: false, ..Self::new(from, protocol) }
    }

    /// Takes as much of `input` as the bound of a message allows and returns the rest.
    pub(crate) fn push<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let room = MAX_MESSAGE - self.reader.unread().len();
        let (taken, rest) = input.split_at(input.len().min(room));
        self.reader.push(taken);
        rest
    }

    /// Cuts the next message, if it is complete.
    pub(crate) fn next(
        &mut self,
        dialect: &dyn Dialect,
        reply_to: ReplyTo,
    ) -> Result<Option<Message>, Box<Error>> {
        let pending = self.reader.unread();
        if pending.is_empty() {
            return Ok(None);
        }
        // The third octet tells the version of a TLS record from the length of a packet (MySQL). This comes before the
        // dialect, so that the error does not depend on how much has arrived.
        if self.messages == 0 && matches!(pending, [0x15 | 0x16, 0x03, 0x01..=0x04, ..]) {
            return Err(self.malformed(malformed("the negotiation in cleartext"), pending));
        }
        let cut = self.reader.cut(dialect, reply_to);
        let pending = self.reader.unread();
        let range = match cut {
            // More octets may show which protocol this is instead.
            Err(_) if self.messages == 0 && Speaker::is_undecided(pending) => return Ok(None),
            Err(cause) => return Err(self.malformed(cause, pending)),
            Ok(None) if pending.len() >= MAX_MESSAGE => {
                let expected = "a message of at most 64 KiB";
                return Err(Error::new(ErrorKind::TooLong, self.from(), expected, pending));
            }
            Ok(None) => return Ok(None),
            Ok(Some(range)) => range,
        };
        let len = range.len();
        let message = Message { range, early: self.early > 0 };
        self.messages = self.messages.saturating_add(1);
        self.taken += len as u64;
        if self.bounded && (self.messages > limit::MESSAGES || self.taken > limit::TOTAL) {
            let expected = "the upgrade within 1,024 messages and 256 KiB";
            return Err(Error::new(
                ErrorKind::TooLong,
                self.from(),
                expected,
                self.reader.bytes_from(&message.range),
            ));
        }
        self.early = self.early.saturating_sub(len);
        Ok(Some(message))
    }

    /// Returns what has arrived and was not cut yet.
    pub(crate) fn pending(&self) -> &[u8] {
        self.reader.unread()
    }

    /// Takes what has arrived and was not cut yet.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        (self.early, self.messages) = (0, 0);
        self.reader.take_unread()
    }

    /// Returns the number of octets cut so far.
    pub(crate) fn offset(&self) -> u64 {
        self.taken
    }

    /// Returns whether the first octets are a TLS handshake record (RFC 8446 section 5.1); `None` while this is undecided.
    pub(crate) fn starts_with_handshake(&self) -> Option<bool> {
        match self.pending() {
            _ if self.taken > 0 => Some(false),
            [0x16] => None,
            [0x16, 0x03, ..] => Some(true),
            _ => Some(false),
        }
    }

    /// Returns the octets of a message that was just cut.
    pub(crate) fn bytes(&self, message: &Message) -> &[u8] {
        self.reader.bytes(&message.range)
    }

    /// Notes that a question is being sent: what has arrived already cannot be its answer.
    pub(crate) fn question(&mut self) {
        self.early = self.reader.unread().len();
    }

    /// Returns the error for octets that are no message. The wrong port is the most common mistake, so the first
    /// message of a connection is compared with other protocols.
    #[cold]
    pub(crate) fn malformed(&self, cause: Malformed, bytes: &[u8]) -> Box<Error> {
        let kind = match Speaker::other_than(self.expected, bytes).filter(|_| self.messages <= 1) {
            Some(Speaker::Tls) => ErrorKind::TlsNotCleartext,
            Some(_) => ErrorKind::OtherProtocol,
            None => ErrorKind::Malformed,
        };
        Error::new(kind, self.from(), cause.expected, bytes)
    }

    pub(crate) fn from(&self) -> Side {
        self.reader.from()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reader.unread().is_empty()
    }

    /// Returns what has arrived and was not cut, with the input that was not taken.
    pub(crate) fn left_over(&self, rest: &[u8]) -> Vec<u8> {
        [self.reader.unread(), rest].concat()
    }
}

/// Where a message lies in its [`Inbox`]; valid until the next `push`.
#[derive(Debug)]
pub(crate) struct Message {
    range: core::ops::Range<usize>,
    /// Whether its first octet arrived before the last question was sent.
    pub(crate) early: bool,
}
