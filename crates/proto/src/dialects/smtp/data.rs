//! Message data: where it begins and where it ends (RFC 5321 section 4.1.1.4). Its content is not looked at.

use std::collections::VecDeque;

use crate::{ReplyTo, Scan};

/// Longer lines are cut into pieces, since they may be longer than the buffer.
const PIECE: usize = 16 * 1024;

/// As many as a relay lets wait.
const MAX_DUE: usize = 1024;

/// A command that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Recipient,
    Data,
    /// A command that forgets the recipients when it succeeds.
    Reset(ReplyTo),
    /// The end of a message, which is answered so many times.
    Message(usize),
    Other(ReplyTo),
}

/// What a piece of message data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    More,
    End,
    /// Servers disagree about its lines, and so about the end of the message: it holds a bare CR, a bare LF or NUL, or a
    /// long line ends with a dot.
    Ambiguous,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Commands,
    /// DATA was sent; the server's answer decides what follows.
    Asked,
    Flowing(Line),
}

/// The line that message data is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    /// Octets of it so far.
    octets: usize,
    /// The last of them is a dot.
    dot: bool,
}

/// Octets of a text line that every server takes, without CRLF (RFC 5321 section 4.5.3.1.6). A server may cut a longer
/// line anywhere, and take a dot that is left over for the end of the message.
const LONGEST: usize = 998;

#[derive(Debug, Default)]
pub(super) struct Data {
    state: State,
    due: VecDeque<Asked>,
    /// Whom the server takes the next message for.
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

    /// The last command was answered without asking anybody.
    pub(super) fn settled(&mut self) {
        if self.due.pop_back() == Some(Asked::Data) {
            self.state = State::Commands;
        }
    }

    /// The server answered; whether it answers the same once more.
    pub(super) fn answered(&mut self, reply_to: ReplyTo, code: u16) -> bool {
        // What somebody else has answered in the server's place.
        let other = |it: &mut Asked| matches!(it, Asked::Other(to) | Asked::Reset(to) if *to != reply_to);
        while self.due.pop_front_if(other).is_some() {}
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

    /// Whom the message that has ended was for.
    pub(super) fn take_recipients(&mut self) -> usize {
        std::mem::take(&mut self.recipients)
    }

    /// Reads a piece of the data: a line, or a part of a long one.
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

/// The end of a piece: a line feed, or so many octets, and then none of them is a CR that ends a line with what
/// follows.
pub(super) fn piece(buf: &[u8], scan: &mut Scan) -> Option<usize> {
    let here = &buf[..buf.len().min(PIECE)];
    let feed = here[scan.at..].iter().position(|&byte| byte == b'\n').map(|at| scan.at + at + 1);
    scan.at = here.len();
    feed.or_else(|| {
        let cr = here.iter().rposition(|&byte| byte == b'\r').filter(|&at| at > 0);
        (here.len() == PIECE).then(|| cr.unwrap_or(PIECE))
    })
}
