//! A delivery over a stream.

use std::io::{self, ErrorKind};
use std::time::Duration;

use starttls_proto::{OutputBuffer, Protocol};

use super::SubmissionError;
use super::delivery::{Delivered, Delivery};
use super::machine::{Submission, SubmissionProgress};
use crate::deadline::{Budget, Deadline};
use crate::login::{LoggedIn, is_end};
use crate::machine::{Machine, Turn};
use crate::{Encrypted, Step, blocking};

impl Delivery {
    /// Delivers the message in a session that is new, or in which `login` was the last event.
    ///
    /// # Errors
    /// [`SubmissionError`]. The caller closes the connection then. A refused recipient is not an error: see [`Delivered`].
    #[cfg(feature = "tokio")]
    pub async fn send<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, SubmissionError> {
        let mut out = Vec::new();
        match self.start(protocol, stream, login, &mut out)? {
            Turn::Continue(delivery) => crate::asynchronous::drive(stream, delivery, &mut out).await,
            Turn::Done(done) => Ok(done),
        }
    }

    /// Delivers the message as [`send`](Self::send) does, blocking.
    ///
    /// # Errors
    /// As for `send`.
    pub fn send_blocking<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, SubmissionError> {
        let mut out = Vec::new();
        let done = match self.start(protocol, stream, login, &mut out)? {
            Turn::Continue(delivery) => blocking::drive(stream, delivery, &mut out)?,
            Turn::Done(done) => done,
        };
        stream.remove_deadline().map_err(|source| SubmissionError::Io { step: Step::Session, source })?;
        Ok(done)
    }

    fn start<IO>(
        &self,
        protocol: &Protocol,
        stream: &Encrypted<IO>,
        login: Option<&LoggedIn>,
        out: &mut Vec<u8>,
    ) -> Result<Turn<DrivenDelivery<'_>>, SubmissionError> {
        // Without a negotiation TLS started at the first byte, so the greeting comes inside TLS.
        let greeted = login.is_none() && stream.facts().timings.negotiation.is_none();
        let unread = login.map(|login| login.unread.as_slice()).unwrap_or_default();
        let mut script = OutputBuffer::default();
        let machine = Submission::new(protocol, self.clone(), greeted, &mut script);
        let delivery = DrivenDelivery { delivery: self, machine, script, clock: Clock::new(self.timeout) };
        delivery.receive(unread, out)
    }
}

/// The octets that are sent within one [`BLOCK_TIME`] (RFC 5321 section 4.5.3.2.5).
const BLOCK: usize = 64 * 1024;
const BLOCK_TIME: Duration = Duration::from_secs(180);

/// More octets than any delivery receives: a thousand recipients, with a reply of many lines each.
const MAX_RECEIVED: usize = 4 * 1024 * 1024;

/// The time limits of a delivery: for the whole, for each block that is sent, and for each reply.
struct Clock {
    whole: Deadline,
    /// The deadline of the block that is being sent, and the number of octets that remain after it.
    block: Option<(Deadline, usize)>,
    /// The deadline of the reply that is due, and the number of replies before it.
    reply: Option<(Deadline, usize)>,
    budget: Budget,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        let budget = Budget::new(MAX_RECEIVED, "the end of the delivery within 4 MiB");
        Self { whole: Deadline::starting_now(limit), block: None, reply: None, budget }
    }

    /// Returns the deadline of the block to which the first unsent octet belongs.
    fn while_sending(&mut self, unsent: usize) -> Deadline {
        self.reply = None;
        match self.block {
            Some((deadline, after)) if unsent > after => deadline,
            _ => {
                let deadline = self.whole.at_most(BLOCK_TIME);
                self.block = Some((deadline, unsent.saturating_sub(BLOCK)));
                deadline
            }
        }
    }

    /// Returns the deadline of the next reply. It starts after the command was sent or the previous reply was read, and not
    /// again while the server keeps sending octets that are not the reply.
    fn while_waiting(&mut self, replies: usize, limit: Duration) -> Deadline {
        self.block = None;
        match self.reply {
            Some((deadline, before)) if before == replies => deadline,
            _ => {
                let deadline = self.whole.at_most(limit);
                self.reply = Some((deadline, replies));
                deadline
            }
        }
    }
}

/// A delivery with its clock.
struct DrivenDelivery<'a> {
    delivery: &'a Delivery,
    machine: Submission,
    script: OutputBuffer,
    clock: Clock,
}

impl Machine for DrivenDelivery<'_> {
    type Done = Delivered;
    type Error = SubmissionError;
    const READS_AFTER_FAILED_WRITE: bool = true;

    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Turn<Self>, SubmissionError> {
        let Self { delivery, machine, mut script, mut clock } = self;
        clock.budget.spend(input)?;
        let progress = machine.receive(input, &mut script);
        let entries = script.take_entries();
        if let Some(listener) = &delivery.listener {
            entries.iter().for_each(|entry| (listener.0)(entry));
        }
        let progress = progress?;
        let mut bytes = script.take_bytes();
        match out.is_empty() {
            // A message can be large.
            true => *out = bytes,
            false => out.append(&mut bytes),
        }
        Ok(match progress {
            SubmissionProgress::Continue(machine) => {
                Turn::Continue(Self { delivery, machine, script, clock })
            }
            SubmissionProgress::Done(done) => Turn::Done(done),
        })
    }

    fn closed(self) -> SubmissionError {
        self.machine.closed()
    }

    fn broken(self, cause: io::Error, deadline: &Deadline) -> SubmissionError {
        let step = self.machine.awaits();
        match cause.kind() {
            ErrorKind::TimedOut => SubmissionError::Timeout { step, limit: deadline.limit() },
            _ if is_end(&cause) => self.machine.closed(),
            _ => match crate::Error::from_session_io(&cause) {
                Some(error) => SubmissionError::Tls(Box::new(error)),
                None => SubmissionError::Io { step, source: cause },
            },
        }
    }

    fn deadline(&mut self, unsent: usize) -> Deadline {
        match unsent {
            0 => self.clock.while_waiting(self.machine.replies(), self.machine.reply_timeout()),
            unsent => self.clock.while_sending(unsent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_and_each_reply_has_one_deadline() {
        let mut clock = Clock::new(Duration::from_secs(1000));
        let first = clock.while_sending(BLOCK + 10);
        assert_eq!(first.limit(), BLOCK_TIME);
        let started = |clock: &Clock| clock.block.map(|(_, after)| after);
        assert_eq!(started(&clock), Some(10));
        // A byte at a time belongs to the same block.
        clock.while_sending(BLOCK);
        assert_eq!(started(&clock), Some(10));
        clock.while_sending(10);
        assert_eq!(started(&clock), Some(0));
        let reply = |clock: &Clock| clock.reply.map(|(_, replies)| replies);
        clock.while_waiting(0, Duration::from_secs(60));
        let deadline = clock.reply;
        clock.while_waiting(0, Duration::from_secs(60));
        assert_eq!(format!("{deadline:?}"), format!("{:?}", clock.reply));
        clock.while_waiting(1, Duration::from_secs(60));
        assert_eq!(reply(&clock), Some(1));
    }
}
