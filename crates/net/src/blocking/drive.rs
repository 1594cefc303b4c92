//! Moving bytes between the stream and the machine, and through the handshake.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use starttls_proto::Progress;

use super::Stream;
use crate::deadline::Deadline;
use crate::handshake::{Handshake, advance_handshake};
use crate::machine::{Machine, NegotiationEnd};
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Error, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) fn run_blocking(mut self) -> Result<Encrypted<IO>, Error> {
        self.tapped.deadline = Some(self.attempt.deadline);
        if let Err(broken) = advance_handshake(&mut self.tls, &mut self.tapped) {
            // The alert that says why is a courtesy, and waits for nobody.
            self.tapped.deadline = Some(self.attempt.deadline.at_most(LAST_MESSAGE_TIMEOUT));
            let _ = match broken.alert() {
                b"" => stream::push(&mut self.tls, &mut self.tapped),
                alert => self.tapped.write_all(alert),
            };
            return Err(self.fail(broken));
        }
        let mut stream = self.finish()?;
        unbound(&mut stream.tapped.io)?;
        Ok(stream)
    }
}

/// Gives the machine what arrives and sends what it says.
///
/// What has arrived by the time a question is to be written is older than the question, and is given to
/// the machine first (rule C3).
pub(super) fn drive<IO: Stream, M: Machine>(
    tapped: &mut TappedStream<IO>,
    mut machine: M,
    out: &mut Vec<u8>,
    deadline: &Deadline,
) -> Result<NegotiationEnd<M::End>, Error> {
    let mut chunk = vec![0; 4096];
    loop {
        let step = machine.awaits();
        let explain = |cause| deadline.explain(step, cause);
        let count = match tapped.read_available(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tapped.write_all(out).and_then(|()| tapped.flush()).map_err(explain)?;
                out.clear();
                tapped.read(&mut chunk).map_err(explain)?
            }
            done => done.map_err(explain)?,
        };
        if count == 0 {
            return Err(machine.closed().into());
        }
        match machine.receive(&chunk[..count], out) {
            Ok(Progress::Continue(next)) => machine = next,
            Ok(Progress::End(end)) => return Ok(NegotiationEnd::Otherwise(end)),
            Ok(Progress::Upgrade(upgrade)) => {
                tapped.write_all(out).and_then(|()| tapped.flush()).map_err(explain)?;
                out.clear();
                return Ok(NegotiationEnd::Upgrade(upgrade));
            }
            Err(error) => {
                if M::SAYS_GOODBYE {
                    send_last_message(tapped, out, *deadline);
                }
                return Err(error.into());
            }
        }
    }
}

/// How long a connection that is over may take to hear the last words.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the last words, without waiting long.
pub(super) fn send_last_message<IO: Stream>(tapped: &mut TappedStream<IO>, words: &[u8], deadline: Deadline) {
    tapped.deadline = Some(deadline.at_most(LAST_MESSAGE_TIMEOUT));
    // It is over whether the peer hears it or not.
    let _ = tapped.write_all(words).and_then(|()| tapped.flush());
}

/// The deadline is over; the stream blocks again for as long as it takes.
pub(super) fn unbound(io: &mut impl Stream) -> Result<(), Error> {
    io.set_timeout(None).map_err(|source| Error::Io { step: "the application", source })
}
