//! The seam: the only buffer of a negotiation, and the proof that nothing is left in it.

use crate::error::malformed;
use crate::scan::STOPS;
use crate::{
    Dialect, Error, ErrorKind, Lacks, Malformed, Protocol, ProtocolFamily, ReplyTo, Scan, Side, Speaker,
};

/// Bounds of one negotiation, for each direction.
pub(crate) mod limit {
    /// Octets of one message, and so of the buffer.
    pub(crate) const MESSAGE: usize = 64 * 1024;
    /// Messages until the boundary.
    pub(crate) const MESSAGES: u32 = 1024;
    /// Octets until the boundary.
    pub(crate) const TOTAL: u64 = 256 * 1024;
}

/// Octets that tell TLS and other protocols from the one that is expected.
const OPENING: usize = 8;

/// Proof that both sides agreed and that not one byte was left behind the agreement.
///
/// There is one way to get it: the machine that negotiated gives itself up for it, with the only buffer
/// that ever held cleartext, and fails if a single byte is left there, complete message or not. It carries
/// no capability, no name, no state: nothing that was learned in cleartext can cross.
///
/// ```compile_fail,E0451
/// let forged = starttls_proto::Upgrade { early: Vec::new() };
/// ```
#[must_use = "the peer now expects TLS; close the connection if you cannot go on"]
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    early: Vec<u8>,
}

impl Upgrade {
    /// The proof, unless cleartext is left in the buffer or behind it in `rest`.
    pub(crate) fn at_boundary(inbox: Inbox, rest: &[u8]) -> Result<Self, Box<Error>> {
        let early = Vec::new();
        inbox.left_over(rest).map_or(Ok(Self { early }), |left| {
            Err(Error::new(ErrorKind::BeyondBoundary, inbox.from, "nothing but TLS from here on", &left))
        })
    }

    /// Returns the proof for a server. Octets of `space` that the client sent after its request are dropped; any other octet
    /// there is an error.
    pub(crate) fn after_request(inbox: Inbox, rest: &[u8], space: &[u8]) -> Result<Self, Box<Error>> {
        let only_space = inbox.pending().iter().chain(rest).all(|octet| space.contains(octet));
        if only_space { Ok(Self { early: Vec::new() }) } else { Self::at_boundary(inbox, rest) }
    }

    /// The same for a request that nobody answers (MySQL), behind which the client may send its
    /// ClientHello at once: a TLS handshake record may be left, and goes to TLS only.
    pub(crate) fn without_go_ahead(inbox: Inbox, rest: &[u8]) -> Result<Self, Box<Error>> {
        let early = inbox.left_over(rest).unwrap_or_default();
        const RECORD: [u8; 2] = [0x16, 0x03];
        if early.iter().zip(RECORD).all(|(&byte, expected)| byte == expected) {
            return Ok(Self { early });
        }
        Err(Error::new(ErrorKind::BeyondBoundary, inbox.from, "a TLS ClientHello or nothing", &early))
    }

    /// The start of the peer's ClientHello, if it came in one piece with its request.
    ///
    /// Feed it to the TLS engine before anything read from the connection, and to nothing else.
    /// Empty in every protocol that has a go-ahead.
    #[must_use]
    pub fn into_early_tls(self) -> Vec<u8> {
        self.early
    }
}

/// Input of one side that has not been read as messages yet.
#[derive(Debug)]
pub(crate) struct Inbox {
    from: Side,
    expected: ProtocolFamily,
    bytes: Vec<u8>,
    start: usize,
    scan: Scan,
    /// What the dialect said of the bytes that are here, if it was asked already.
    cut: Option<Result<Option<usize>, Malformed>>,
    /// How long the buffer may become with bytes that are absorbed, and which bytes may not.
    until: usize,
    stops: u8,
    /// Octets that must be here before more may be put aside: the first ones of all may be TLS, which ends
    /// no line, and are looked at one by one.
    known: usize,
    /// Octets at the front that arrived before the last question was sent.
    early: usize,
    messages: u32,
    taken: u64,
    bounded: bool,
}

impl Inbox {
    pub(crate) fn new(from: Side, protocol: &Protocol) -> Self {
        let (expected, bytes, scan) = (protocol.family, Vec::new(), Scan::default());
        Self {
            from,
            expected,
            bytes,
            start: 0,
            scan,
            cut: None,
            until: 0,
            stops: 0,
            known: OPENING,
            early: 0,
            messages: 0,
            taken: 0,
            bounded: true,
        }
    }

    /// For what is not a negotiation: messages are bounded, their number is not.
    pub(crate) fn endless(from: Side, protocol: &Protocol) -> Self {
        Self { bounded: false, ..Self::new(from, protocol) }
    }

    /// Takes a single byte that surely does not complete the message: the shortest way.
    #[inline]
    pub(crate) fn absorb(&mut self, input: &[u8]) -> bool {
        match input {
            [byte] if self.bytes.len() < self.until && STOPS[usize::from(*byte)] & self.stops == 0 => {
                self.bytes.push(*byte);
                true
            }
            _ => false,
        }
    }

    /// Takes `input` if the message is still incomplete with it: a short way, for one byte at a time. Returns
    /// what is left to [`push`](Self::push) before [`next`](Self::next) is asked, `None` if there is no need.
    #[inline]
    pub(crate) fn extend<'a>(
        &mut self,
        input: &'a [u8],
        dialect: &dyn Dialect,
        reply_to: ReplyTo,
    ) -> Option<&'a [u8]> {
        let pending = self.bytes.len() - self.start;
        match input {
            [byte] if pending >= self.known && self.bytes.len() + 1 < limit::MESSAGE => {
                // A CR ends nothing; the dialect sees it with what follows.
                let in_line = self.stops == Lacks::LineEnd.stops();
                self.settle();
                self.bytes.push(*byte);
                if in_line && *byte == b'\r' {
                    return None;
                }
            }
            _ => return Some(input),
        }
        match dialect.frame(self.from, reply_to, &self.bytes[self.start..], &mut self.scan) {
            Ok(None) => {
                self.unsettle();
                None
            }
            cut => {
                self.cut = Some(cut);
                Some(&[])
            }
        }
    }

    /// What was absorbed has been examined.
    #[inline]
    fn settle(&mut self) {
        if self.stops != 0 {
            self.scan.at = self.scan.at.max(self.bytes.len() - self.start);
        }
        (self.until, self.stops) = (0, 0);
    }

    /// Finds out what may be absorbed, now that the dialect has seen all that is here.
    #[inline]
    fn unsettle(&mut self) {
        (self.until, self.stops) = match self.scan.lacks {
            Lacks::Unknown => return,
            _ if self.bytes.len() - self.start < self.known => return,
            Lacks::Length(length) => {
                (limit::MESSAGE.min(self.start.saturating_add(length)).saturating_sub(1), 0)
            }
            lacks => (limit::MESSAGE - 1, lacks.stops()),
        };
    }

    /// Takes as much of `input` as the bound allows and returns the rest.
    pub(crate) fn push<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        self.settle();
        if self.start > 0 && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let room = limit::MESSAGE - (self.bytes.len() - self.start);
        let (taken, rest) = input.split_at(input.len().min(room));
        self.bytes.extend_from_slice(taken);
        rest
    }

    /// Cuts the next message, if it is complete.
    pub(crate) fn next(
        &mut self,
        dialect: &dyn Dialect,
        reply_to: ReplyTo,
    ) -> Result<Option<Message>, Box<Error>> {
        let pending = &self.bytes[self.start..];
        if pending.is_empty() {
            return Ok(None);
        }
        // A TLS record's version is told from a packet length (MySQL) by its third octet; asked before the
        // dialect, so that the verdict does not depend on how much has arrived.
        if self.messages == 0 && matches!(pending, [0x15 | 0x16, 0x03, 0x01..=0x04, ..]) {
            return Err(self.malformed(malformed("the negotiation in cleartext"), pending));
        }
        let cut = self.cut.take();
        let cut = cut.unwrap_or_else(|| dialect.frame(self.from, reply_to, pending, &mut self.scan));
        let len = match cut {
            // A byte or two more may tell which protocol this is instead.
            Err(_) if self.messages == 0 && Speaker::is_undecided(pending) => {
                self.scan = Scan::default();
                return Ok(None);
            }
            Err(cause) => return Err(self.malformed(cause, pending)),
            Ok(None) if pending.len() >= limit::MESSAGE => {
                return Err(Error::new(
                    ErrorKind::TooLong,
                    self.from,
                    "a message of at most 64 KiB",
                    pending,
                ));
            }
            Ok(None) => {
                self.unsettle();
                return Ok(None);
            }
            Ok(Some(len)) => len,
        };
        debug_assert!(0 < len && len <= pending.len(), "a dialect cuts what is there");
        let message = Message { start: self.start, end: self.start + len, early: self.early > 0 };
        self.messages = self.messages.saturating_add(1);
        self.known = 1;
        self.taken += len as u64;
        if self.bounded && (self.messages > limit::MESSAGES || self.taken > limit::TOTAL) {
            let expected = "the upgrade within 1,024 messages and 256 KiB";
            return Err(Error::new(ErrorKind::TooLong, self.from, expected, pending));
        }
        self.start += len;
        self.early = self.early.saturating_sub(len);
        self.scan = Scan::default();
        Ok(Some(message))
    }

    /// What is here and not cut yet.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes what is here and not cut yet.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let taken = self.bytes.split_off(self.start);
        self.bytes.clear();
        (self.start, self.scan, self.early, self.messages) = (0, Scan::default(), 0, 0);
        (self.cut, self.until, self.stops, self.known) = (None, 0, 0, OPENING);
        taken
    }

    /// Octets cut so far.
    pub(crate) fn offset(&self) -> u64 {
        self.taken
    }

    /// The octets of a message that was just cut.
    pub(crate) fn bytes(&self, message: &Message) -> &[u8] {
        &self.bytes[message.start..message.end]
    }

    /// A question is being put: whatever is here already cannot be its answer.
    pub(crate) fn question(&mut self) {
        self.early = self.bytes.len() - self.start;
    }

    /// The error for bytes that are no message. Wrong ports are the most common mistake, so the first
    /// message of a connection is looked at twice: it may be a good one of another protocol.
    #[cold]
    pub(crate) fn malformed(&self, cause: Malformed, bytes: &[u8]) -> Box<Error> {
        let kind = match Speaker::other_than(self.expected, bytes).filter(|_| self.messages <= 1) {
            Some(Speaker::Tls) => ErrorKind::TlsNotCleartext,
            Some(_) => ErrorKind::OtherProtocol,
            None => ErrorKind::Malformed,
        };
        Error::new(kind, self.from, cause.expected, bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn left_over(&self, rest: &[u8]) -> Option<Vec<u8>> {
        let left = [&self.bytes[self.start..], rest].concat();
        (!left.is_empty()).then_some(left)
    }
}

/// Where a message lies in its [`Inbox`]; good until the next `push`.
#[derive(Debug)]
pub(crate) struct Message {
    start: usize,
    end: usize,
    /// Whether its first octet arrived before the last question was sent.
    pub(crate) early: bool,
}
