//! A buffer that cuts what one side sends into messages.

use alloc::vec::Vec;
use core::ops::Range;

use crate::malformed::malformed;
use crate::{Dialect, Malformed, ReplyTo, Scan, Side};

/// The longest message of any protocol, in octets.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// A buffer that cuts what one side sends into whole messages, for code that needs no negotiation.
///
/// [`Client`](crate::Client), [`Server`](crate::Server) and [`Relay`](crate::Relay) do this themselves. Use the reader
/// to look at messages outside of them: in a recording, or in a session that is on its way.
///
/// ```
/// use starttls_proto::{Identity, MessageReader, ReplyTo, Side, smtp::SMTP};
///
/// let dialect = SMTP.new_dialect(Identity::new("mail.example.com"));
/// let mut reader = MessageReader::new(Side::Server);
/// reader.push(b"250-mail.example.com\r\n250 STARTTLS\r\n220 ");
/// assert_eq!(reader.next(&*dialect, ReplyTo::Hello)?, Some(&b"250-mail.example.com\r\n250 STARTTLS\r\n"[..]));
/// assert_eq!(reader.next(&*dialect, ReplyTo::Request)?, None);
/// assert_eq!(reader.unread(), b"220 ");
/// # Ok::<(), starttls_proto::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct MessageReader {
    from: Side,
    bytes: Vec<u8>,
    /// Where the unread rest starts.
    start: usize,
    scan: Scan,
    /// What the incomplete message answers; another question has another answer.
    reply_to: ReplyTo,
    max_message: usize,
}

impl MessageReader {
    /// The longest message that a reader accepts by default, in octets: 64 KiB.
    pub const MAX_MESSAGE: usize = MAX_MESSAGE;

    /// Returns an empty reader for what `from` sends, with messages of at most [`MAX_MESSAGE`](Self::MAX_MESSAGE) octets.
    pub fn new(from: Side) -> Self {
        Self::with_max_message(from, MAX_MESSAGE)
    }

    /// Returns an empty reader for what `from` sends, with messages of at most `max_message` octets.
    pub fn with_max_message(from: Side, max_message: usize) -> Self {
        let (bytes, scan, reply_to) = (Vec::new(), Scan::default(), ReplyTo::Other);
        Self { from, bytes, start: 0, scan, reply_to, max_message }
    }

    /// Appends input. Call [`next`](Self::next) until it returns `None` before more input is read, so that the buffer
    /// holds at most one message and one read.
    pub fn push(&mut self, input: &[u8]) {
        // Moving the rest only when it is the smaller half keeps the work linear in the input.
        if self.start > 0 && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(input);
    }

    /// Returns the next message, with its line ending; `None` while it is incomplete.
    ///
    /// `dialect` must be the same until a message is complete. An incomplete message of a server is examined again if
    /// `reply_to` has changed; otherwise no octet is examined twice.
    ///
    /// # Errors
    /// [`Malformed`] when the unread octets cannot become a message, or when [`is_too_long`](Self::is_too_long). The
    /// octets stay unread.
    pub fn next(&mut self, dialect: &dyn Dialect, reply_to: ReplyTo) -> Result<Option<&[u8]>, Malformed> {
        let start = self.start;
        let cut = self.cut(dialect, reply_to)?;
        let len = cut.as_ref().map_or(self.unread().len() + 1, Range::len);
        if len > self.max_message {
            self.start = start;
            return Err(malformed("a shorter message"));
        }
        Ok(cut.map(|range| &self.bytes[range]))
    }

    /// Returns whether an incomplete message has reached the longest length.
    pub fn is_too_long(&self) -> bool {
        self.unread().len() >= self.max_message
    }

    /// Returns what was pushed and is not part of a message yet.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes what was pushed and is not part of a message yet.
    pub fn take_unread(&mut self) -> Vec<u8> {
        let taken = self.bytes.split_off(self.start);
        self.bytes.clear();
        (self.start, self.scan) = (0, Scan::default());
        taken
    }

    pub(crate) fn from(&self) -> Side {
        self.from
    }

    /// Cuts the next message and returns where it lies until the next `push`.
    #[inline]
    pub(crate) fn cut(
        &mut self,
        dialect: &dyn Dialect,
        reply_to: ReplyTo,
    ) -> Result<Option<Range<usize>>, Malformed> {
        let unread = &self.bytes[self.start..];
        if unread.is_empty() {
            return Ok(None);
        }
        // What a client sends answers nothing.
        if self.from == Side::Server && self.reply_to != reply_to {
            (self.scan, self.reply_to) = (Scan::default(), reply_to);
        }
        let cut = dialect.frame(self.from, reply_to, unread, &mut self.scan).inspect_err(|_| {
            self.scan = Scan::default();
        })?;
        let Some(len) = cut else { return Ok(None) };
        debug_assert!(0 < len && len <= unread.len(), "a dialect cuts what is there");
        let range = self.start..self.start + len;
        self.start = range.end;
        self.scan = Scan::default();
        Ok(Some(range))
    }

    pub(crate) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Returns a message that was just cut, and what follows it.
    pub(crate) fn bytes_from(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.start..]
    }
}
