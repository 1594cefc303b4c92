//! What one side has sent and was not read yet, cut into messages the way real peers do.

use std::ops::Range;

use starttls_proto::{Dialect, Malformed, MessageReader, ReplyTo, Scan, Side};

use crate::moment::Moment;

/// The most bare line feeds that are accepted in one message.
const MAX_BARE: u64 = 256;

/// What one side has sent. A message may end its lines with LF alone: real servers accept that, and this code must
/// understand what they understood.
#[derive(Debug)]
pub(super) struct Lane {
    from: Side,
    bytes: Vec<u8>,
    start: usize,
    scan: Scan,
    reply_to: ReplyTo,
    /// The offset of the first unread octet in the stream.
    offset: u64,
    /// The carriage returns that were added to the first unread message.
    added: u64,
    /// Octets to pass without reading them: a chunk of a message.
    skip: usize,
    /// When the last octets arrived.
    moment: Moment,
}

/// A message in a [`Lane`], until the next input.
#[derive(Debug)]
pub(super) struct Cut {
    at: Range<usize>,
    pub(super) offsets: Range<u64>,
    pub(super) moment: Moment,
}

impl Lane {
    /// Returns a lane whose first octet has this offset in the stream.
    pub(super) fn new(from: Side, offset: u64) -> Self {
        Self {
            from,
            bytes: Vec::new(),
            start: 0,
            scan: Scan::default(),
            reply_to: ReplyTo::Other,
            offset,
            added: 0,
            skip: 0,
            moment: Moment::default(),
        }
    }

    pub(super) fn push(&mut self, input: &[u8], moment: Moment) {
        if self.start > 0 && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.moment = moment;
        let skipped = self.skip.min(input.len());
        self.skip -= skipped;
        self.offset += skipped as u64;
        self.bytes.extend_from_slice(&input[skipped..]);
    }

    /// Passes the next octets without reading them.
    pub(super) fn skip(&mut self, octets: usize) {
        let here = octets.min(self.unread().len());
        self.start += here;
        self.offset += here as u64;
        self.skip = octets - here;
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn moment(&self) -> Moment {
        self.moment
    }

    pub(super) fn is_skipping(&self) -> bool {
        self.skip > 0
    }

    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn bytes(&self, cut: &Cut) -> &[u8] {
        &self.bytes[cut.at.clone()]
    }

    /// Passes everything that was not read. Returns it with its offsets.
    pub(super) fn discard(&mut self) -> (Vec<u8>, Range<u64>) {
        let unread = self.unread().to_vec();
        let offsets = self.offset..self.offset + (unread.len() as u64).saturating_sub(self.added);
        (self.start, self.offset) = (self.bytes.len(), offsets.end);
        (self.added, self.scan) = (0, Scan::default());
        (unread, offsets)
    }

    /// Passes octets that are missing.
    pub(super) fn pass_missing(&mut self, octets: u64) {
        self.offset += octets;
    }

    /// Reads what follows, even if a chunk is not complete.
    pub(super) fn stop_skipping(&mut self) {
        self.skip = 0;
    }

    /// Returns whether the next octets start a message.
    pub(super) fn is_at_start(&self) -> bool {
        self.skip == 0 && self.added == 0
    }

    /// Cuts the next message, if it is complete.
    pub(super) fn next(
        &mut self,
        dialect: &dyn Dialect,
        reply_to: ReplyTo,
    ) -> Result<Option<Cut>, Malformed> {
        loop {
            if self.unread().is_empty() {
                return Ok(None);
            }
            if self.from == Side::Server && self.reply_to != reply_to {
                (self.scan, self.reply_to) = (Scan::default(), reply_to);
            }
            let unread = &self.bytes[self.start..];
            match dialect.frame(self.from, reply_to, unread, &mut self.scan) {
                Ok(Some(len)) => return Ok(Some(self.cut(len))),
                Ok(None) if unread.len() >= MessageReader::MAX_MESSAGE => {
                    return Err(Malformed { expected: "a message of at most 64 KiB" });
                }
                Ok(None) => return Ok(None),
                Err(malformed) => {
                    let bare = self.start + self.scan.at.checked_sub(1).ok_or(malformed)?;
                    let is_bare = self.bytes.get(bare) == Some(&b'\n')
                        && (bare == self.start || self.bytes.get(bare - 1) != Some(&b'\r'));
                    if !is_bare || self.added >= MAX_BARE {
                        return Err(malformed);
                    }
                    self.bytes.insert(bare, b'\r');
                    self.added += 1;
                    self.scan = Scan::default();
                }
            }
        }
    }

    fn cut(&mut self, len: usize) -> Cut {
        let at = self.start..self.start + len;
        let offsets = self.offset..self.offset + (len as u64).saturating_sub(self.added);
        (self.start, self.offset) = (at.end, offsets.end);
        (self.added, self.scan) = (0, Scan::default());
        Cut { at, offsets, moment: self.moment }
    }
}
