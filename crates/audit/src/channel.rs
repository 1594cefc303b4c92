//! One connection, in cleartext or inside TLS: sends bytes, splits what the server sends into messages, and records
//! both.
//!
//! Every wait of a probe is limited here. Each question has one deadline however many messages arrive meanwhile, the
//! audit has one, and each connection has a budget of octets. A server that keeps sending other messages than the answer
//! can neither hold a probe nor fill its memory.

use std::io;
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Correlation, Dialect, Escaped, MessageReader, Protocol, ReplyTo, ServerMessage, Side,
};
use starttls::rustls;
use starttls_hello::Alert;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::ProbeError;
use crate::record::Record;
use crate::report::EntryKind;

/// The longest message, in octets, that a probe reads.
const MAX_UNREAD: usize = 256 * 1024;

/// The most octets that a probe reads from one connection.
const MAX_RECEIVED: usize = 1024 * 1024;

/// The most octets of earlier messages that are kept with an answer.
const MAX_BEFORE: usize = 64 * 1024;

/// The most octets of one read.
const CHUNK: usize = 8192;

/// The most octets of a message that an error shows.
const MAX_SHOWN: usize = 80;

/// A recorded connection that sends and reads messages of the protocol.
pub(crate) struct Channel<S> {
    pub(super) io: S,
    pub(crate) protocol: &'static Protocol,
    pub(super) dialect: Box<dyn Dialect>,
    unread: MessageReader,
    /// Octets that the server may still send.
    budget: usize,
    pub(crate) record: Record,
    /// The longest wait for one answer.
    pub(crate) reply_timeout: Duration,
    /// The audit's deadline.
    pub(super) deadline: Instant,
    /// The alert that ended the TLS session, if one did.
    alert: Option<Alert>,
    /// The kinds of record entries for sent and received bytes.
    kinds: [EntryKind; 2],
}

/// The next message, or the reason why it is missing.
enum Next {
    /// A whole message.
    Message(Vec<u8>),
    /// Bytes that are not a message, and what was expected.
    Broken(Vec<u8>, &'static str),
    /// The end of the connection, and the part of a message that arrived before it.
    Closed(Vec<u8>),
    /// The deadline passed. The part of a message that arrived is still unread.
    Late,
    /// The server has sent more than [`MAX_RECEIVED`] octets.
    Flood,
}

/// The next bytes of a connection, or why there are none.
pub(crate) enum Chunk {
    Bytes(Vec<u8>),
    Closed,
    /// The deadline passed.
    Late,
}

/// The result of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    End,
    Late,
    Flood,
}

/// How to recognize the answer to a question, and how long to wait for it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) reply_to: ReplyTo,
    /// The name of the answer in errors.
    pub(crate) what: &'static str,
    pub(crate) within: Duration,
    /// The bytes of the question, if a tag or an id ties answers to questions.
    pub(crate) asked: &'a [u8],
}

/// An answer, and the messages that the server sent before it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) meaning: ServerMessage,
    /// The message that answers.
    pub(crate) own: Vec<u8>,
    /// Messages before it that do not answer the question, such as untagged and provisional ones.
    pub(crate) before: Vec<u8>,
}

impl Reply {
    /// Returns everything that the server sent, in order.
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
        (reply_timeout, deadline): (Duration, Instant),
        kinds: [EntryKind; 2],
    ) -> Self {
        let unread = MessageReader::with_max_message(Side::Server, MAX_UNREAD);
        let (budget, alert) = (MAX_RECEIVED, None);
        Self { io, protocol, dialect, unread, budget, record, reply_timeout, deadline, alert, kinds }
    }

    /// Returns the bytes of a client message without sending it.
    pub(crate) fn encode(&mut self, message: ClientMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dialect.write_client(message, &mut bytes);
        bytes
    }

    /// Sends bytes with one write, which usually makes one segment.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.record.bytes(self.kinds[0], bytes);
        self.send_unrecorded(bytes).await
    }

    /// Sends bytes without recording them.
    pub(crate) async fn send_unrecorded(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        let until = (Instant::now() + self.reply_timeout).min(self.deadline);
        let sent = tokio::time::timeout_at(until.into(), async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                self.record.text(EntryKind::Event, "the connection is closed");
                Err(ProbeError::Closed("a message of the client"))
            }
            Err(_) if self.is_over() => Err(ProbeError::Deadline),
            Err(_) => {
                self.record.text(EntryKind::Event, "the server does not read");
                Err(ProbeError::Unread)
            }
        }
    }

    pub(crate) async fn write(&mut self, message: ClientMessage) -> Result<(), ProbeError> {
        let bytes = self.encode(message);
        self.send(&bytes).await
    }

    /// Sends the message that ends the session. A connection that is closed already is not an error.
    pub(crate) async fn quit(&mut self) {
        let _ = self.write(ClientMessage::Quit).await;
    }

    /// Returns the answer to a question, whatever it means. Messages that do not answer a question are recorded and
    /// skipped, and so are answers whose tag or id is that of another question.
    pub(crate) async fn reply(&mut self, question: Question<'_>) -> Result<Reply, ProbeError> {
        let Question { reply_to, what, within, asked } = question;
        let until = Instant::now() + within;
        let id = self.dialect.correlation(Side::Client, asked);
        let (mut before, mut other) = (Vec::new(), None);
        loop {
            let (own, is_whole) = match self.next(reply_to, until).await {
                Next::Message(bytes) => (bytes, true),
                // The probe judges the text of such an answer, whether or not the dialect knows it.
                Next::Broken(bytes, _) if reply_to == ReplyTo::Other => (bytes, false),
                Next::Broken(_, expected) => return Err(ProbeError::Malformed(expected)),
                Next::Closed(part) => return Err(self.closed(what, &part)),
                Next::Flood => return Err(ProbeError::Endless(what)),
                Next::Late if self.is_over() => return Err(ProbeError::Deadline),
                Next::Late if !self.unread.unread().is_empty() => {
                    return Err(ProbeError::Unfinished(what, shown(self.unread.unread())));
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

    /// Like [`reply`](Self::reply), but a message that turns the client away is an error.
    pub(crate) async fn answer(&mut self, question: Question<'_>) -> Result<Reply, ProbeError> {
        let reply = self.reply(question).await?;
        match reply.meaning {
            ServerMessage::Bye => Err(ProbeError::Bye(self.shown(&reply.own))),
            _ => Ok(reply),
        }
    }

    /// Returns the answer to the last message of the client.
    pub(crate) async fn answer_to(
        &mut self,
        reply_to: ReplyTo,
        what: &'static str,
    ) -> Result<Reply, ProbeError> {
        self.answer(self.question(reply_to, what)).await
    }

    /// Returns a question whose answer is known by its order only.
    pub(crate) fn question(&self, reply_to: ReplyTo, what: &'static str) -> Question<'static> {
        Question { reply_to, what, within: self.reply_timeout, asked: b"" }
    }

    /// Returns why the connection ended where `what` was expected.
    fn closed(&self, what: &'static str, part: &[u8]) -> ProbeError {
        match self.alert {
            Some(alert) if alert.description == Alert::CERTIFICATE_REQUIRED => {
                ProbeError::CertificateRequired
            }
            Some(alert) => ProbeError::Alert(alert),
            None if part.is_empty() => ProbeError::Closed(what),
            None => ProbeError::Unfinished(what, shown(part)),
        }
    }

    /// Reads the next message.
    async fn next(&mut self, reply_to: ReplyTo, until: Instant) -> Next {
        loop {
            let cut = self.unread.next(&*self.dialect, reply_to).map(|it| it.map(<[u8]>::to_vec));
            match cut {
                Ok(Some(message)) => {
                    self.record.bytes(self.kinds[1], &message);
                    return Next::Message(message);
                }
                Ok(None) => {}
                Err(_) if self.unread.is_too_long() => {
                    return Next::Broken(self.unread(), "an answer of reasonable length");
                }
                Err(malformed) => return Next::Broken(self.unread(), malformed.expected),
            }
            match self.more(until).await {
                Read::Some => {}
                Read::End => return Next::Closed(self.unread()),
                Read::Flood => return Next::Flood,
                Read::Late => {
                    let after = match self.unread.unread() {
                        [] => String::from("silence"),
                        part => format!("silence after \"{}\"", shown(part)),
                    };
                    self.record.text(EntryKind::Event, after);
                    return Next::Late;
                }
            }
        }
    }

    /// Reads once, until this time or the audit's deadline.
    async fn more(&mut self, until: Instant) -> Read {
        let until = until.min(self.deadline);
        // A server that sends without end never lets the read wait, so the timeout below would not fire.
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
                self.unread.push(buffer.get(..len).unwrap_or_default());
                Read::Some
            }
            Ok(ended) => {
                self.alert = self.alert.or(ended.err().as_ref().and_then(alert));
                let event = match self.alert {
                    Some(alert) => format!("the server ended the TLS session with the alert {alert}"),
                    None => String::from("the server closed the connection"),
                };
                self.record.text(EntryKind::Event, event);
                Read::End
            }
            Err(_) => Read::Late,
        }
    }

    /// Returns the bytes that have arrived and were not read yet, without waiting.
    pub(crate) fn unread(&mut self) -> Vec<u8> {
        let unread = self.unread.take_unread();
        if !unread.is_empty() {
            self.record.bytes(self.kinds[1], &unread);
        }
        unread
    }

    /// Returns the unread bytes and what arrives within `wait`.
    pub(crate) async fn listen(&mut self, wait: Duration) -> Vec<u8> {
        self.receive(wait).await.0
    }

    /// Returns the unread bytes and what arrives within `wait`, and whether the connection has ended.
    pub(crate) async fn receive(&mut self, wait: Duration) -> (Vec<u8>, bool) {
        let until = Instant::now() + wait;
        let mut read = Read::Some;
        while self.unread.unread().len() < MAX_UNREAD && read == Read::Some {
            read = self.more(until).await;
        }
        (self.unread(), read == Read::End)
    }

    /// Returns the unread bytes, or the next bytes that arrive until this time, without recording them.
    pub(crate) async fn chunk(&mut self, until: Instant) -> Chunk {
        let read = if self.unread.unread().is_empty() { self.more(until).await } else { Read::Some };
        match read {
            Read::Some => Chunk::Bytes(self.unread.take_unread()),
            Read::End | Read::Flood => Chunk::Closed,
            Read::Late => Chunk::Late,
        }
    }

    /// Returns whether the connection ends within `wait`, whatever the server sends meanwhile.
    pub(crate) async fn closes_within(&mut self, wait: Duration) -> Result<bool, ProbeError> {
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

    /// Returns whether the server has sent anything.
    pub(crate) fn has_received(&self) -> bool {
        self.budget < MAX_RECEIVED
    }

    /// Returns whether the audit's deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns whether this question carries an id that its answer has to repeat.
    pub(crate) fn is_tagged(&self, asked: &[u8]) -> bool {
        matches!(self.dialect.correlation(Side::Client, asked), Some(Correlation::Id(_)))
    }

    /// Describes a server message of a binary protocol in words.
    pub(crate) fn describe(&self, message: &[u8]) -> Option<String> {
        self.dialect.describe(Side::Server, message)
    }

    /// Returns a server message for a report: in words if the protocol is binary, escaped otherwise.
    pub(crate) fn shown(&self, message: &[u8]) -> String {
        self.describe(message).unwrap_or_else(|| Escaped(message.trim_ascii_end()).to_string())
    }
}

/// Returns the beginning of some bytes, escaped.
fn shown(bytes: &[u8]) -> String {
    Escaped(bytes.get(..MAX_SHOWN).unwrap_or(bytes)).to_string()
}

/// Returns the alert with which the peer ended TLS.
fn alert(error: &io::Error) -> Option<Alert> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(Alert::fatal(u8::from(*alert))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use starttls::rustls::{AlertDescription, Error as TlsError};
    use starttls_hello::Alert;

    /// A report has alerts from complete handshakes and from the survey.
    #[test]
    fn an_alert_has_one_name_in_a_report() {
        let mut names = 0;
        for code in 0..=u8::MAX {
            let description = AlertDescription::from(code);
            if matches!(description, AlertDescription::Unknown(_)) {
                continue;
            }
            names += 1;
            let error = starttls::Error::Tls(TlsError::AlertReceived(description)).to_string();
            let expected = format!("with the alert {}", Alert::fatal(code));
            assert!(error.ends_with(&expected), "{error}, not {expected}");
        }
        assert!(names > 30, "{names}");
    }
}
