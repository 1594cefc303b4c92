//! One connection, in cleartext or inside TLS: sends bytes, cuts what the server sends into messages, and records both.
//!
//! Every wait of a probe ends here. A question has one deadline however many messages come meanwhile, the audit has
//! one, and a connection has a budget of octets: a server that keeps sending what is not the answer cannot hold a
//! probe, and cannot fill its memory.

use std::io;
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Correlation, Dialect, Escaped, Protocol, ReplyTo, Scan, ServerMessage, Side,
};
use starttls::rustls::{self, AlertDescription};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::ProbeError;
use crate::record::Record;
use crate::report::EntryKind;

/// The longest message, in octets, that a probe reads to its end.
const MAX_UNREAD: usize = 256 * 1024;

/// Octets that a server may send on one connection.
const MAX_RECEIVED: usize = 1024 * 1024;

/// Octets of messages before an answer that are kept with it.
const MAX_BEFORE: usize = 64 * 1024;

/// Octets that are read at once.
const CHUNK: usize = 8192;

/// Octets of a message that an error shows.
const MAX_SHOWN: usize = 80;

/// The two ends' words on one stream.
pub(crate) struct Channel<S> {
    pub(super) io: S,
    pub(crate) protocol: &'static Protocol,
    pub(super) dialect: Box<dyn Dialect>,
    unread: Vec<u8>,
    /// Octets that the server may still send.
    budget: usize,
    pub(crate) record: Record,
    /// The longest wait for one answer.
    pub(crate) reply_timeout: Duration,
    /// The audit's deadline.
    pub(super) ends: Instant,
    /// The alert that ended the TLS session, if one did.
    alert: Option<AlertDescription>,
    /// What our words and theirs are called in the record.
    kinds: [EntryKind; 2],
}

/// What came next.
enum Next {
    /// A whole message.
    Message(Vec<u8>),
    /// Bytes that are not a message, and what was expected.
    Broken(Vec<u8>, &'static str),
    /// The end of the connection, and what had come before it.
    Closed(Vec<u8>),
    /// Nothing more in time. The part of a message that came is still unread.
    Late,
    /// The server has sent more than it may.
    Flood,
}

/// What a read came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    End,
    Late,
    Flood,
}

/// A question, for its answer: what it asks, and for how long the answer is awaited.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) reply_to: ReplyTo,
    /// The answer's name, for errors.
    pub(crate) what: &'static str,
    pub(crate) within: Duration,
    /// The question's own bytes, where answers are tied to their questions by a tag or an id.
    pub(crate) asked: &'a [u8],
}

/// An answer, and what the server sent before it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) meaning: ServerMessage,
    /// The message that answers.
    pub(crate) own: Vec<u8>,
    /// Messages before it that answer nothing, such as untagged and provisional ones.
    pub(crate) before: Vec<u8>,
}

impl Reply {
    /// Everything the server sent, in order.
    pub(crate) fn all(&self) -> Vec<u8> {
        [self.before.as_slice(), &self.own].concat()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn new(
        io: S,
        protocol: &'static Protocol,
        dialect: Box<dyn Dialect>,
        record: Record,
        (reply_timeout, ends): (Duration, Instant),
        kinds: [EntryKind; 2],
    ) -> Self {
        let (unread, budget, alert) = (Vec::new(), MAX_RECEIVED, None);
        Self { io, protocol, dialect, unread, budget, record, reply_timeout, ends, alert, kinds }
    }

    /// The bytes of a message of ours, not sent yet.
    pub(crate) fn words(&mut self, message: ClientMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dialect.write_client(message, &mut bytes);
        bytes
    }

    /// Sends bytes in one segment, as far as that is ours to decide.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.record.bytes(self.kinds[0], bytes);
        self.put(bytes).await
    }

    /// Sends bytes that are not worth writing down.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        let until = (Instant::now() + self.reply_timeout).min(self.ends);
        let sent = tokio::time::timeout_at(until.into(), async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                self.record.text(EntryKind::Event, "the connection is closed");
                Err(ProbeError::Closed("our own words"))
            }
            Err(_) if self.is_over() => Err(ProbeError::Deadline),
            Err(_) => {
                self.record.text(EntryKind::Event, "the server does not read");
                Err(ProbeError::Unread)
            }
        }
    }

    pub(crate) async fn write(&mut self, message: ClientMessage) -> Result<(), ProbeError> {
        let bytes = self.words(message);
        self.send(&bytes).await
    }

    /// Takes leave, if anybody still listens.
    pub(crate) async fn goodbye(&mut self) {
        let _ = self.write(ClientMessage::Quit).await;
    }

    /// Returns the answer to a question, whatever it means. Messages that answer nothing are recorded and skipped, as
    /// are answers to other questions where a tag or an id tells.
    pub(crate) async fn reply(&mut self, question: Question<'_>) -> Result<Reply, ProbeError> {
        let Question { reply_to, what, within, asked } = question;
        let until = Instant::now() + within;
        let id = self.dialect.correlation(Side::Client, asked);
        let (mut before, mut other) = (Vec::new(), None);
        loop {
            let (own, is_whole) = match self.next(reply_to, until).await {
                Next::Message(bytes) => (bytes, true),
                // What answers a command of ours is judged by what it says, known to the dialect or not.
                Next::Broken(bytes, _) if reply_to == ReplyTo::Other => (bytes, false),
                Next::Broken(_, expected) => return Err(ProbeError::Malformed(expected)),
                Next::Closed(part) => return Err(self.closed(what, &part)),
                Next::Flood => return Err(ProbeError::Endless(what)),
                Next::Late if self.is_over() => return Err(ProbeError::Deadline),
                Next::Late if !self.unread.is_empty() => {
                    return Err(ProbeError::Unfinished(what, shown(&self.unread)));
                }
                Next::Late => {
                    return Err(other.map_or(ProbeError::Silent(what), |last| ProbeError::Others(what, last)));
                }
            };
            let tied = id.is_none() || !is_whole || {
                let of = self.dialect.correlation(Side::Server, &own);
                of.is_none() || of == id
            };
            let meaning = self.dialect.read_server(reply_to, &own);
            match meaning {
                Ok(ServerMessage::Bye) => return Ok(Reply { meaning: ServerMessage::Bye, own, before }),
                Ok(meaning) if meaning != ServerMessage::Interim && tied => {
                    return Ok(Reply { meaning, own, before });
                }
                Err(_) if reply_to == ReplyTo::Other && tied => {
                    return Ok(Reply { meaning: ServerMessage::Other, own, before });
                }
                Err(malformed) if tied => return Err(ProbeError::Malformed(malformed.expected)),
                Ok(_) | Err(_) => {}
            }
            other = Some(shown(own.trim_ascii_end()));
            if tied && before.len() < MAX_BEFORE {
                before.extend(own);
            }
        }
    }

    /// The same for an answer that goes on with the session: a server that turns the client away is an error.
    pub(crate) async fn answer(&mut self, question: Question<'_>) -> Result<Reply, ProbeError> {
        let reply = self.reply(question).await?;
        match reply.meaning {
            ServerMessage::Bye => Err(ProbeError::Bye(self.shown(&reply.own))),
            _ => Ok(reply),
        }
    }

    /// A question that answers are tied to by nothing but their order.
    pub(crate) fn question(&self, reply_to: ReplyTo, what: &'static str) -> Question<'static> {
        Question { reply_to, what, within: self.reply_timeout, asked: b"" }
    }

    /// Why nothing more comes where this belongs.
    fn closed(&self, what: &'static str, part: &[u8]) -> ProbeError {
        match self.alert {
            Some(AlertDescription::CertificateRequired) => ProbeError::CertificateRequired,
            Some(alert) => ProbeError::Alert(format!("{alert:?}")),
            None if part.is_empty() => ProbeError::Closed(what),
            None => ProbeError::Unfinished(what, shown(part)),
        }
    }

    /// The next message.
    async fn next(&mut self, reply_to: ReplyTo, until: Instant) -> Next {
        let mut scan = Scan::default();
        loop {
            if !self.unread.is_empty() {
                match self.dialect.frame(Side::Server, reply_to, &self.unread, &mut scan) {
                    Ok(Some(len)) => {
                        let message: Vec<u8> = self.unread.drain(..len).collect();
                        self.record.bytes(self.kinds[1], &message);
                        return Next::Message(message);
                    }
                    Ok(None) if self.unread.len() < MAX_UNREAD => {}
                    Ok(None) => return Next::Broken(self.unread(), "an answer of reasonable length"),
                    Err(malformed) => return Next::Broken(self.unread(), malformed.expected),
                }
            }
            match self.more(until).await {
                Read::Some => {}
                Read::End => return Next::Closed(self.unread()),
                Read::Flood => return Next::Flood,
                Read::Late => {
                    let after = match self.unread.as_slice() {
                        [] => String::from("silence"),
                        part => format!("silence after \"{}\"", shown(part)),
                    };
                    self.record.text(EntryKind::Event, after);
                    return Next::Late;
                }
            }
        }
    }

    /// Reads what there is, until then or the audit's deadline at the latest.
    async fn more(&mut self, until: Instant) -> Read {
        let until = until.min(self.ends);
        // A read that never has to wait would never notice.
        if Instant::now() >= until {
            return Read::Late;
        }
        if self.budget == 0 {
            let event = format!("the server has sent more than {MAX_RECEIVED} octets; the rest is not read");
            self.record.text(EntryKind::Event, event);
            return Read::Flood;
        }
        let mut buffer = [0; CHUNK];
        match tokio::time::timeout_at(until.into(), self.io.read(&mut buffer)).await {
            Ok(Ok(len)) if len > 0 => {
                self.budget = self.budget.saturating_sub(len);
                self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default());
                Read::Some
            }
            Ok(ended) => {
                self.alert = self.alert.or(ended.err().as_ref().and_then(alert));
                let event = match self.alert {
                    Some(alert) => format!("the server ended the TLS session with the alert {alert:?}"),
                    None => String::from("the server closed the connection"),
                };
                self.record.text(EntryKind::Event, event);
                Read::End
            }
            Err(_) => Read::Late,
        }
    }

    /// What has come and was not read yet, without waiting.
    pub(crate) fn unread(&mut self) -> Vec<u8> {
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            self.record.bytes(self.kinds[1], &unread);
        }
        unread
    }

    /// The same, and whatever comes within `wait`.
    pub(crate) async fn listen(&mut self, wait: Duration) -> Vec<u8> {
        self.hear(wait).await.0
    }

    /// The same, and whether the connection has ended.
    pub(crate) async fn hear(&mut self, wait: Duration) -> (Vec<u8>, bool) {
        let until = Instant::now() + wait;
        let mut read = Read::Some;
        while self.unread.len() < MAX_UNREAD && read == Read::Some {
            read = self.more(until).await;
        }
        (self.unread(), read == Read::End)
    }

    /// Whether the connection ends within `wait`, whatever is said on the way.
    pub(crate) async fn closes(&mut self, wait: Duration) -> Result<bool, ProbeError> {
        let until = Instant::now() + wait;
        loop {
            match self.more(until).await {
                Read::Some => drop(self.unread()),
                Read::End => return Ok(true),
                Read::Flood => return Err(ProbeError::Endless("the end of the connection")),
                Read::Late if self.is_over() => return Err(ProbeError::Deadline),
                Read::Late => return Ok(false),
            }
        }
    }

    /// Whether the server has sent anything at all.
    pub(crate) fn has_heard(&self) -> bool {
        self.budget < MAX_RECEIVED
    }

    /// Whether the audit's deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Whether every answer carries a tag or an id, and this question has one.
    pub(crate) fn is_tagged(&self, asked: &[u8]) -> bool {
        matches!(self.dialect.correlation(Side::Client, asked), Some(Correlation::Id(_)))
    }

    /// The server's message in words, where bytes do not speak for themselves.
    pub(crate) fn describe(&self, message: &[u8]) -> Option<String> {
        self.dialect.describe(Side::Server, message)
    }

    /// Returns the server's message for people: in words where the protocol is binary, escaped otherwise.
    pub(crate) fn shown(&self, message: &[u8]) -> String {
        self.describe(message).unwrap_or_else(|| Escaped(message.trim_ascii_end()).to_string())
    }
}

/// The beginning of some bytes, for people.
fn shown(bytes: &[u8]) -> String {
    Escaped(bytes.get(..MAX_SHOWN).unwrap_or(bytes)).to_string()
}

/// The alert by which a peer ended TLS.
fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
