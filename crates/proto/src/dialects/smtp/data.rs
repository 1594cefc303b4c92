//! Message data: where it begins and ends (RFC 5321 section 4.1.1.4). Between the two it is nobody's business.

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
    /// The end of a message, which is answered so many times.
    Message(usize),
    Other(ReplyTo),
}

/// What a piece of message data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    More,
    End,
    /// There are servers that take it for the end (a dot between bare line feeds), and others that do not.
    Ambiguous,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Commands,
    /// DATA was sent; nobody knows what follows before the server has answered it.
    Asked,
    Flowing {
        /// The last line ended, as some see it.
        starts: bool,
        /// It ended with CRLF.
        strictly: bool,
    },
}

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
        while self.due.pop_front_if(|it| matches!(it, Asked::Other(to) if *to != reply_to)).is_some() {}
        match (self.due.pop_front(), code) {
            (Some(Asked::Message(answers)), _) if answers > 1 => {
                self.due.push_front(Asked::Message(answers - 1));
                return true;
            }
            (Some(Asked::Recipient), 200..=299) => self.recipients += 1,
            (Some(Asked::Data), 354) => self.state = State::Flowing { starts: true, strictly: true },
            (Some(Asked::Data), _) => self.state = State::Commands,
            _ => {}
        }
        false
    }

    pub(super) fn is_undecided(&self) -> bool {
        self.state == State::Asked
    }

    pub(super) fn is_flowing(&self) -> bool {
        matches!(self.state, State::Flowing { .. })
    }

    /// Whom the message that has ended was for.
    pub(super) fn take_recipients(&mut self) -> usize {
        std::mem::take(&mut self.recipients)
    }

    /// Reads a piece of the data.
    pub(super) fn read(&mut self, piece: &[u8]) -> Part {
        let State::Flowing { starts, strictly } = self.state else { return Part::More };
        if strictly && piece == b".\r\n" {
            self.state = State::Commands;
            return Part::End;
        }
        let (starts_next, strictly) = (piece.ends_with(b"\n"), piece.ends_with(b"\r\n"));
        self.state = State::Flowing { starts: starts_next, strictly };
        let mut lines = piece.split(|byte| matches!(byte, b'\r' | b'\n'));
        // The last of them goes on in the next piece.
        lines.next_back();
        let dot = |line: &[u8]| line.iter().filter(|byte| **byte != 0).eq(b".");
        let first = lines.next().is_some_and(|line| starts && dot(line));
        if first || lines.any(dot) { Part::Ambiguous } else { Part::More }
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
