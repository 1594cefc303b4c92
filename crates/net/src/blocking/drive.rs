//! Moves octets between a stream and a machine, and through the handshake.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::Stream;
use super::io::Channel;
use crate::deadline::Deadline;
use crate::handshake::{Handshake, advance_handshake};
use crate::machine::{Machine, Turn};
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Error, Step, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) fn run_blocking(self) -> Result<Encrypted<IO>, Error> {
        self.span().run_blocking(|| self.complete_blocking())
    }

    fn complete_blocking(mut self) -> Result<Encrypted<IO>, Error> {
        self.tapped.deadline = Some(self.attempt.deadline);
        if let Err(failure) = advance_handshake(&mut self.tls, &mut self.tapped) {
            self.tapped.deadline = Some(self.attempt.deadline.at_most(LAST_MESSAGE_TIMEOUT));
            // The alert names the cause, but the peer does not need it.
            let _ = match self.own_alert() {
                b"" => stream::push(&mut self.tls, &mut self.tapped),
                alert => self.tapped.write_all(alert),
            };
            return Err(self.fail(failure));
        }
        let mut stream = self.finish()?;
        remove_timeout(&mut stream.tapped.io)?;
        Ok(stream)
    }
}

/// The number of octets that are sent at once. Each block has a deadline of its own in a delivery.
const BLOCK: usize = 64 * 1024;

/// Runs a conversation: gives the machine what arrives, and sends its output.
///
/// It reads before it writes. What has arrived before a request is sent is older than the request, and the machine gets it
/// first (rule C3).
pub(crate) fn drive<C: Channel, M: Machine>(
    channel: &mut C,
    mut machine: M,
    out: &mut Vec<u8>,
) -> Result<M::Done, M::Error> {
    let mut chunk = vec![0; 4096];
    loop {
        let mut deadline = machine.deadline(out.len());
        channel.set_deadline(Some(deadline));
        // A stream that always has something to read does not check the deadline by itself.
        let available = if deadline.is_over() {
            Err(ErrorKind::TimedOut.into())
        } else {
            channel.read_available(&mut chunk)
        };
        let read = match available {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let sent = match send(channel, &mut machine, out) {
                    Err(cause) if !M::READS_AFTER_FAILED_WRITE => {
                        return Err(machine.broken(cause, &deadline));
                    }
                    sent => sent,
                };
                out.clear();
                deadline = machine.deadline(0);
                channel.set_deadline(Some(deadline));
                match channel.read(&mut chunk) {
                    Ok(count) if count > 0 => Ok(count),
                    read => sent.and(read),
                }
            }
            done => done,
        };
        match read {
            Ok(0) => return Err(machine.closed()),
            Ok(count) => match machine.receive(&chunk[..count], out)? {
                Turn::Continue(next) => machine = next,
                Turn::Done(done) => return Ok(done),
            },
            Err(cause) if cause.kind() == ErrorKind::TimedOut && deadline.is_over() => {
                if !machine.goes_on_after_deadline(out) {
                    return Err(machine.broken(cause, &deadline));
                }
            }
            Err(cause) => return Err(machine.broken(cause, &deadline)),
        }
    }
}

fn send<C: Channel, M: Machine>(channel: &mut C, machine: &mut M, out: &[u8]) -> io::Result<()> {
    let mut unsent = out.len();
    for block in out.chunks(BLOCK) {
        channel.set_deadline(Some(machine.deadline(unsent)));
        channel.write_all(block)?;
        channel.flush()?;
        unsent -= block.len();
    }
    Ok(())
}

/// Sends the last message in cleartext, which the peer has to receive before TLS begins.
pub(super) fn send_before_tls<IO: Stream>(
    tapped: &mut TappedStream<IO>,
    message: &[u8],
    deadline: &Deadline,
) -> Result<(), Error> {
    let sent = tapped.write_all(message).and_then(|()| tapped.flush());
    sent.map_err(|cause| deadline.explain(Step::LastCleartext, cause))
}

/// How long the last message of a connection may take, whose delivery is not required.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends a last message, within [`LAST_MESSAGE_TIMEOUT`].
pub(super) fn send_last_message<IO: Stream>(
    tapped: &mut TappedStream<IO>,
    message: &[u8],
    deadline: Deadline,
) {
    tapped.deadline = Some(deadline.at_most(LAST_MESSAGE_TIMEOUT));
    // The connection is over whether the peer receives the message or not.
    let _ = tapped.write_all(message).and_then(|()| tapped.flush());
}

/// Removes the time limit of a stream, for the application.
pub(super) fn remove_timeout(io: &mut impl Stream) -> Result<(), Error> {
    io.set_timeout(None).map_err(|source| Error::Io { step: Step::Session, source })
}
