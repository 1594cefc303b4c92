//! The last step of a session, which lasts longest: the transfer between two connections that are ready.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use super::closing::answer_violation;
use super::splice::{Ended, Filter, Splice};
use super::stream::{ParkedSocket, Socket, Stream};
use crate::admission::Admitted;
use crate::config::Listener;
use crate::outcome::SessionOutcome;
use crate::record::SessionRecord;
use crate::span_log::{HeldSpan, TARGET};

/// A session that has nothing left to negotiate. It holds what the transfer needs, and nothing of the steps before.
pub(crate) struct Transfer<IO = Socket> {
    client: Stream<IO>,
    backend: Stream<IO>,
    splice: Splice<dyn Filter>,
    /// Counts the session for the limits of admission.
    _admitted: Option<Admitted>,
    span: HeldSpan,
}

/// A transfer whose sockets the runtime does not watch.
pub(crate) type ParkedTransfer = Transfer<ParkedSocket>;

/// Why a transfer has returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TransferStatus {
    /// The session is over.
    Over,
    /// Neither side has sent anything for a while. The transfer goes on when it runs again.
    Silent,
}

impl Transfer {
    /// Makes the transfer of a session of this listener.
    pub(super) fn new(
        listener: &Listener,
        client: Stream,
        backend: Stream,
        splice: Splice<dyn Filter>,
        admitted: Option<Admitted>,
    ) -> Self {
        let parks = client.socket().can_park() && backend.socket().can_park();
        let splice = if parks { splice.pausing() } else { splice };
        let [client, backend] = [client, backend].map(Stream::without_exporter);
        let span = HeldSpan::new(debug_span!(
            target: TARGET, "relay",
            protocol = listener.protocol.name, outcome = Empty, sent = Empty, received = Empty
        ));
        Self { client, backend, splice, _admitted: admitted, span }
    }

    /// Makes a transfer that keeps its thread awake until each side has sent something.
    pub(super) fn busy_polling(self) -> Self {
        Self { splice: self.splice.busy_polling(), ..self }
    }

    /// Transfers bytes between the client and the backend until the session ends or is silent. At its end, the result is in
    /// `record`.
    pub(crate) async fn run(&mut self, listener: &Listener, record: &mut SessionRecord) -> TransferStatus {
        record.failure = {
            let running = self.splice.run(&mut self.client, &mut self.backend, &listener.limits.idle);
            let ended = running.instrument(self.span.get()).await;
            if let Ok(Ended::Silent) = ended {
                return TransferStatus::Silent;
            }
            (record.octets_up, record.octets_down) = self.splice.octets();
            let outcome = match &ended {
                Ok(_) => SessionOutcome::Done,
                Err(failure) => SessionOutcome::of_failure(failure, true),
            };
            let span = std::mem::take(&mut self.span).get();
            span.record("outcome", outcome.name());
            span.record("sent", record.octets_up).record("received", record.octets_down);
            ended.err().map(Box::new)
        };
        if let Some(failure) = &record.failure {
            answer_violation(failure, &mut self.splice, &mut self.client).await;
        }
        TransferStatus::Over
    }

    /// Makes the runtime stop watching the sockets.
    ///
    /// # Errors
    /// When the system refuses it. The session is over then.
    pub(crate) fn park(self) -> io::Result<ParkedTransfer> {
        self.try_map(Socket::park)
    }
}

impl ParkedTransfer {
    /// Makes the runtime of this thread watch the sockets again.
    ///
    /// # Errors
    /// When the system refuses it. The session is over then.
    pub(crate) fn resume(self) -> io::Result<Transfer> {
        self.try_map(ParkedSocket::resume)
    }

    /// Returns the descriptors of the sockets.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [&self.client, &self.backend].map(|stream| stream.socket().as_raw_fd())
    }

    /// Returns the tick of [`ticks`](super::ticks) at which the session has been silent for the time `idle`.
    pub(crate) fn pause(&mut self, idle: Duration) -> u64 {
        self.splice.pause(idle)
    }
}

impl<IO> Transfer<IO> {
    fn try_map<T>(self, replace: impl Fn(IO) -> io::Result<T>) -> io::Result<Transfer<T>> {
        let Self { client, backend, splice, _admitted, span } = self;
        let (client, backend) = (client.try_map(&replace)?, backend.try_map(&replace)?);
        Ok(Transfer { client, backend, splice, _admitted, span })
    }
}
