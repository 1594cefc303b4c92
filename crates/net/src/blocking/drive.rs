//! Moving bytes between the stream and the machine, and through the handshake.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use starttls_proto::Progress;

use super::Stream;
use crate::attempt::{Handshake, shake};
use crate::deadline::Deadline;
use crate::machine::{Ended, Machine};
use crate::wire::Wire;
use crate::{Encrypted, Error, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) fn run_blocking(mut self) -> Result<Encrypted<IO>, Error> {
        self.wire.deadline = Some(self.attempt.deadline);
        if let Err(broken) = shake(&mut self.tls, &mut self.wire) {
            // The alert that says why is a courtesy, and waits for nobody.
            self.wire.deadline = Some(self.attempt.deadline.at_most(FAREWELL));
            let _ = match broken.alert() {
                b"" => stream::push(&mut self.tls, &mut self.wire),
                alert => self.wire.write_all(alert),
            };
            return Err(self.fail(broken));
        }
        let mut stream = self.finish()?;
        unbound(&mut stream.wire.io)?;
        Ok(stream)
    }
}

/// Gives the machine what arrives and sends what it says.
///
/// What has arrived by the time a question is to be written is older than the question, and is given to
/// the machine first (rule C3).
pub(super) fn drive<IO: Stream, M: Machine>(
    wire: &mut Wire<IO>,
    mut machine: M,
    out: &mut Vec<u8>,
    deadline: &Deadline,
) -> Result<Ended<M::End>, Error> {
    let mut chunk = vec![0; 4096];
    loop {
        let step = machine.awaits();
        let explain = |cause| deadline.explain(step, cause);
        let count = match wire.read_available(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wire.write_all(out).and_then(|()| wire.flush()).map_err(explain)?;
                out.clear();
                wire.read(&mut chunk).map_err(explain)?
            }
            done => done.map_err(explain)?,
        };
        if count == 0 {
            return Err(machine.closed().into());
        }
        match machine.receive(&chunk[..count], out) {
            Ok(Progress::Continue(next)) => machine = next,
            Ok(Progress::End(end)) => return Ok(Ended::Otherwise(end)),
            Ok(Progress::Upgrade(upgrade)) => {
                wire.write_all(out).and_then(|()| wire.flush()).map_err(explain)?;
                out.clear();
                return Ok(Ended::Upgrade(upgrade));
            }
            Err(error) => {
                if M::SAYS_GOODBYE {
                    farewell(wire, out, *deadline);
                }
                return Err(error.into());
            }
        }
    }
}

/// How long a connection that is over may take to hear the last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sends the last words, without waiting long.
pub(super) fn farewell<IO: Stream>(wire: &mut Wire<IO>, words: &[u8], deadline: Deadline) {
    wire.deadline = Some(deadline.at_most(FAREWELL));
    // It is over whether the peer hears it or not.
    let _ = wire.write_all(words).and_then(|()| wire.flush());
}

/// The deadline is over; the stream blocks again for as long as it takes.
pub(super) fn unbound(io: &mut impl Stream) -> Result<(), Error> {
    io.set_timeout(None).map_err(|source| Error::Io { step: "the application", source })
}
