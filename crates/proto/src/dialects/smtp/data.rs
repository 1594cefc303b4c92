//! Message data: its start and its end (RFC 5321 section 4.1.1.4). The content is not examined.

use alloc::collections::VecDeque;

use crate::{ReplyTo, Scan};

/// Longer lines are processed in pieces of this size, because a line can be longer than the buffer.
const PIECE: usize = 16 * 1024;

/// The most commands that wait for answers, as in a relay.
const MAX_DUE: usize = 1024;

/// A command that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Recipient,
    Data,
    /// A command that clears the recipients if it succeeds.
    Reset(ReplyTo),
    /// The end of a message, with the number of answers that follow.
    Message(usize),
    Other(ReplyTo),
}

/// The meaning of a piece of message data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    More,
    End,
    /// Servers disagree about the lines, and therefore about the end of the message: the data contains a bare CR, a
    /// bare LF or NUL, or a long line that ends with a dot.
    Ambiguous,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Commands,
    /// DATA was sent. The server's answer decides whether message data follows.
    Asked,
    Flowing(Line),
}

/// The current line of the message data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    /// The number of octets read so far.
    octets: usize,
    /// The last octet is a dot.
    dot: bool,
}

/// The longest text line in octets without CRLF that every server accepts (RFC 5321 section 4.5.3.1.6). A server may
/// split a longer line at any position, and read a remaining dot as the end of the message.
const LONGEST: usize = 998;

#[derive(Debug, Default)]
pub(super) struct Data {
    state: State,
    due: VecDeque<Asked>,
    /// The number of recipients that the server has accepted.
    recipients: usize,
}

impl Data {
    pub(super) fn asked(&mut self, asked: Asked) {
        if asked == Asked::Data {
            self.state = State::Asked;
        }
        if self.due.len() < MAX_DUE {
            self.due.push_back(asked);
        }
    }

    /// Removes the last command, which was answered without the server.
    pub(super) fn settled(&mut self) {
        if self.due.pop_back() == Some(Asked::Data) {
            self.state = State::Commands;
        }
    }

    /// Records an answer of the server. Returns whether the server answers the same command again.
    pub(super) fn answered(&mut self, reply_to: ReplyTo, code: u16) -> bool {
        // The relay answered these in place of the server.
        let other = |it: &Asked| matches!(it, Asked::Other(to) | Asked::Reset(to) if *to != reply_to);
        while self.due.front().is_some_and(other) {
            self.due.pop_front();
        }
        match (self.due.pop_front(), code) {
            (Some(Asked::Message(answers)), _) if answers > 1 => {
                self.due.push_front(Asked::Message(answers - 1));
                return true;
            }
            (Some(Asked::Recipient), 200..=299) => self.recipients += 1,
            (Some(Asked::Reset(_)), 200..=299) => self.recipients = 0,
            (Some(Asked::Data), 354) => self.state = State::Flowing(Line::default()),
            (Some(Asked::Data), _) => self.state = State::Commands,
            _ => {}
        }
        false
    }

    pub(super) fn is_undecided(&self) -> bool {
        self.state == State::Asked
    }

    pub(super) fn is_flowing(&self) -> bool {
        matches!(self.state, State::Flowing(_))
    }

    /// Returns the number of recipients of the message that ended, and clears it.
    pub(super) fn take_recipients(&mut self) -> usize {
        core::mem::take(&mut self.recipients)
    }

    /// Reads a piece of the data: a line, or a part of a long line.
    pub(super) fn read(&mut self, piece: &[u8]) -> Part {
        let State::Flowing(line) = self.state else { return Part::More };
        if line.octets == 0 && piece == b".\r\n" {
            self.state = State::Commands;
            return Part::End;
        }
        let text = piece.strip_suffix(b"\r\n").unwrap_or(piece);
        let octets = line.octets + text.len();
        let dot = text.last().map_or(line.dot, |last| *last == b'.');
        let ends = text.len() < piece.len();
        self.state = State::Flowing(if ends { Line::default() } else { Line { octets, dot } });
        let bare = text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        if bare || (ends && dot && octets > LONGEST) { Part::Ambiguous } else { Part::More }
    }
}

/// Returns the end of a piece: after a line feed, or at the limit. A cut at the limit does not separate a CR from its
/// LF.
pub(super) fn piece(buf: &[u8], scan: &mut Scan) -> Option<usize> {
    let here = &buf[..buf.len().min(PIECE)];
    let feed = here[scan.at..].iter().position(|&byte| byte == b'\n').map(|at| scan.at + at + 1);
    scan.at = here.len();
    feed.or_else(|| {
        let cr = here.iter().rposition(|&byte| byte == b'\r').filter(|&at| at > 0);
        (here.len() == PIECE).then(|| cr.unwrap_or(PIECE))
    })
}
