//! A delivery without I/O (RFC 5321 section 4.1, RFC 2033, and the extensions).

use std::fmt;
use std::time::Duration;

use starttls_proto::{
    Dialect, Error as ProtocolError, ErrorKind, Identity, MessageReader, OutputBuffer, Protocol, ReplyTo,
    Side,
};

use super::delivery::{Delivered, Delivery, Recipient, Until};
use super::{Extensions, Reply, SubmissionError};
use crate::Step;

/// A delivery inside TLS, without I/O.
///
/// The caller sends what it appends to the buffer, and passes on what the server sends.
#[must_use = "a delivery does nothing until it is driven"]
pub struct Submission {
    delivery: Delivery,
    dialect: Box<dyn Dialect>,
    /// Whether the server replies to the message once for each recipient (RFC 2033 section 4.2).
    reply_per_recipient: bool,
    hello: Vec<u8>,
    inbox: MessageReader,
    awaiting: Awaiting,
    /// The number of recipients that the client sent, and that the server answered.
    named: usize,
    answered: usize,
    /// The number of replies that were read.
    replies: usize,
    done: Delivered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    Greeting,
    Hello,
    Mail,
    Recipients,
    GoAhead,
    /// The reply to the message, or the reply for the recipient with this index.
    Verdict(usize),
}

/// How a delivery continues.
#[must_use = "it contains the delivery, or its result"]
#[expect(clippy::large_enum_variant, reason = "it is moved once for each piece that is read")]
#[derive(Debug)]
pub enum SubmissionProgress {
    /// Send the output, read, and call [`receive`](Submission::receive) again.
    Continue(Submission),
    /// The delivery reached its last step.
    Done(Delivered),
}

impl Submission {
    /// Starts a delivery. `greeted` is whether the server will send its greeting.
    pub fn new(protocol: &Protocol, delivery: Delivery, greeted: bool, out: &mut OutputBuffer) -> Self {
        let identity = Identity { client_name: delivery.client_name.clone(), ..Identity::new("") };
        let mut dialect = protocol.new_dialect(identity.inside_tls());
        let mut hello = Vec::new();
        dialect.write_client(starttls_proto::ClientMessage::Hello, &mut hello);
        let recipients =
            delivery.to.iter().map(|to| Recipient { address: to.clone(), reply: None }).collect();
        let done = Delivered { extensions: Extensions::default(), used: Vec::new(), recipients, reply: None };
        let mut submission = Self {
            reply_per_recipient: hello.starts_with(b"LHLO"),
            hello,
            delivery,
            dialect,
            inbox: MessageReader::new(Side::Server),
            awaiting: Awaiting::Greeting,
            named: 0,
            answered: 0,
            replies: 0,
            done,
        };
        if !greeted {
            submission.ask(out);
        }
        submission
    }

    /// Returns what the delivery is waiting for.
    pub fn awaits(&self) -> Step {
        match self.awaiting {
            Awaiting::Greeting => Step::Greeting,
            Awaiting::Hello => Step::Extensions,
            Awaiting::Mail => Step::Mail,
            Awaiting::Recipients => Step::Recipient,
            Awaiting::GoAhead => Step::Data,
            Awaiting::Verdict(_) => Step::Message,
        }
    }

    /// Returns how long the server may take for its next reply.
    pub(super) fn reply_timeout(&self) -> Duration {
        // RFC 5321 section 4.5.3.2: its subsections 4 and 6, and five minutes for every other reply.
        Duration::from_secs(60)
            * match self.awaiting {
                Awaiting::GoAhead => 2,
                Awaiting::Verdict(_) => 10,
                Awaiting::Greeting | Awaiting::Hello | Awaiting::Mail | Awaiting::Recipients => 5,
            }
    }

    /// Returns the number of replies that were read. Each next one has its own deadline.
    pub(super) fn replies(&self) -> usize {
        self.replies
    }

    /// Returns the error for a server that closed the connection.
    pub fn closed(self) -> SubmissionError {
        self.broken(ErrorKind::Closed, b"")
    }

    /// Takes what the server sent, and appends the next output.
    ///
    /// # Errors
    /// [`SubmissionError`]. The caller closes the connection then.
    pub fn receive(
        mut self,
        input: &[u8],
        out: &mut OutputBuffer,
    ) -> Result<SubmissionProgress, SubmissionError> {
        self.inbox.push(input);
        loop {
            let cut = self.inbox.next(&*self.dialect, ReplyTo::Other).map(|it| it.map(<[u8]>::to_vec));
            let message = match cut {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(SubmissionProgress::Continue(self)),
                Err(_) if self.inbox.is_too_long() => {
                    return Err(self.broken(ErrorKind::TooLong, self.inbox.unread()));
                }
                Err(_) => return Err(self.broken(ErrorKind::Malformed, self.inbox.unread())),
            };
            self.replies += 1;
            out.record_received(&message);
            if self.take(Reply::read(&message), out)? {
                return Ok(SubmissionProgress::Done(self.done));
            }
        }
    }

    /// Takes one reply. Returns whether the delivery is done.
    fn take(&mut self, reply: Reply, out: &mut OutputBuffer) -> Result<bool, SubmissionError> {
        match self.awaiting {
            Awaiting::Greeting => {
                positive("the connection", reply)?;
                self.ask(out);
            }
            Awaiting::Hello => {
                let reply = positive("EHLO", reply)?;
                self.done.extensions = Extensions::read(&reply);
                if self.delivery.until == Until::Hello {
                    return Ok(true);
                }
                self.mail(out)?;
            }
            Awaiting::Mail => {
                positive("MAIL", reply)?;
                self.awaiting = Awaiting::Recipients;
                if self.named == 0 {
                    self.recipient(out);
                }
            }
            Awaiting::Recipients => {
                if let Some(recipient) = self.done.recipients.get_mut(self.answered) {
                    recipient.reply = Some(reply);
                }
                self.answered += 1;
                match self.named < self.done.recipients.len() {
                    true => self.recipient(out),
                    false if self.answered == self.named => return self.message(out),
                    false => {}
                }
            }
            Awaiting::GoAhead if reply.code == 354 => {
                if self.delivery.until == Until::Data {
                    self.done.reply = Some(reply);
                    return Ok(true);
                }
                let octets = self.delivery.message.as_bytes().len();
                out.push_described(
                    self.delivery.message.dot_stuffed(),
                    &format!("<{octets} octets of message>"),
                );
                out.end_message();
                self.awaiting = self.verdict_from(0);
            }
            Awaiting::GoAhead => return Err(SubmissionError::Rejected { command: "DATA", reply }),
            Awaiting::Verdict(at) if self.reply_per_recipient => {
                if let Some(recipient) = self.done.recipients.get_mut(at) {
                    recipient.reply = Some(reply);
                }
                self.awaiting = self.verdict_from(at + 1);
                return Ok(self.awaiting == Awaiting::Verdict(self.done.recipients.len()));
            }
            Awaiting::Verdict(_) => {
                self.done.reply = Some(positive("the message", reply)?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ask(&mut self, out: &mut OutputBuffer) {
        out.push_public(&self.hello);
        out.end_message();
        self.awaiting = Awaiting::Hello;
    }

    /// Sends MAIL, and every RCPT with it if the server supports PIPELINING (RFC 2920).
    fn mail(&mut self, out: &mut OutputBuffer) -> Result<(), SubmissionError> {
        let parameters = self.parameters()?;
        out.push_public(format!("MAIL FROM:<{}>{parameters}\r\n", self.delivery.from));
        out.end_message();
        self.awaiting = Awaiting::Mail;
        if self.done.extensions.has("PIPELINING") {
            self.done.used.push("PIPELINING");
            while self.named < self.done.recipients.len() {
                self.recipient(out);
            }
        }
        Ok(())
    }

    fn parameters(&mut self) -> Result<String, SubmissionError> {
        let (delivery, extensions) = (&self.delivery, &self.done.extensions);
        let octets = delivery.message.as_bytes().len();
        let mut parameters = String::new();
        let mut using = |keyword: &'static str, parameter: &str| {
            self.done.used.push(keyword);
            if !parameter.is_empty() {
                parameters.push(' ');
                parameters.push_str(parameter);
            }
        };
        let needs = |extension, why| match extensions.has(extension) {
            true => Ok(()),
            false => Err(SubmissionError::Lacks { extension, why }),
        };
        if let Some(limit) = extensions.parameters("SIZE").filter(|_| octets > 0) {
            let limit = limit.trim().parse().unwrap_or(0);
            if limit != 0 && octets > limit {
                return Err(SubmissionError::TooLarge { octets, limit });
            }
            using("SIZE", &format!("SIZE={octets}"));
        }
        if delivery.message.is_8bit() {
            needs("8BITMIME", "the message contains non-ASCII octets")?;
            using("8BITMIME", "BODY=8BITMIME");
        }
        let addresses = delivery.to.iter().chain([&delivery.from]).all(|it| it.is_ascii());
        if !addresses || delivery.message.has_utf8_header() {
            let why = if addresses {
                "the message header contains non-ASCII text"
            } else {
                "an address contains non-ASCII text"
            };
            needs("SMTPUTF8", why)?;
            using("SMTPUTF8", "SMTPUTF8");
        }
        if delivery.require_tls {
            needs("REQUIRETLS", "the delivery requires verified TLS at every server")?;
            using("REQUIRETLS", "REQUIRETLS");
        }
        if delivery.notify.is_some() {
            needs("DSN", "the delivery requests reports")?;
            using("DSN", "");
        }
        Ok(parameters)
    }

    fn recipient(&mut self, out: &mut OutputBuffer) {
        let Some(recipient) = self.done.recipients.get(self.named) else { return };
        let notify = self.delivery.notify.as_ref().map(|when| format!(" NOTIFY={when}")).unwrap_or_default();
        out.push_public(format!("RCPT TO:<{}>{notify}\r\n", recipient.address));
        out.end_message();
        self.named += 1;
    }

    /// Sends the message by BDAT, or sends DATA. Returns whether the delivery ends before.
    fn message(&mut self, out: &mut OutputBuffer) -> Result<bool, SubmissionError> {
        let accepted = self.done.recipients.iter().any(Recipient::is_accepted);
        if !accepted || self.delivery.until == Until::Recipients {
            return Ok(true);
        }
        let chunking = self.delivery.chunking && self.delivery.until == Until::End;
        if chunking && self.done.extensions.has("CHUNKING") {
            self.done.used.push("CHUNKING");
            let bytes = self.delivery.message.as_bytes();
            let octets = bytes.len();
            out.push_public(format!("BDAT {octets} LAST\r\n"));
            out.push_described(bytes, &format!("<{octets} octets of message>"));
            self.awaiting = self.verdict_from(0);
        } else {
            out.push_public("DATA\r\n");
            self.awaiting = Awaiting::GoAhead;
        }
        out.end_message();
        Ok(false)
    }

    /// Returns the state in which the server replies to the next accepted recipient.
    fn verdict_from(&self, at: usize) -> Awaiting {
        let next = self.done.recipients.iter().skip(at).position(Recipient::is_accepted);
        Awaiting::Verdict(next.map_or(self.done.recipients.len(), |next| at + next))
    }

    fn broken(&self, kind: ErrorKind, bytes: &[u8]) -> SubmissionError {
        SubmissionError::Protocol(ProtocolError::of_server(kind, self.awaits().as_str(), bytes))
    }
}

fn positive(command: &'static str, reply: Reply) -> Result<Reply, SubmissionError> {
    if reply.is_positive() { Ok(reply) } else { Err(SubmissionError::Rejected { command, reply }) }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("awaits", &self.awaits()).finish_non_exhaustive()
    }
}
