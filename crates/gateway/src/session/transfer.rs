//! The last step of a session, which lasts longest: the transfer between two connections that are ready.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::time::Duration;

use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use super::closing::answer_violation;
use super::splice::{Ended, Filter, Splice};
use super::stream::{ParkedSocket, Socket, Stream};
use crate::admission::Admitted;
use crate::config::Listener;
use crate::outcome::SessionOutcome;
use crate::record::SessionRecord;
use crate::span_log::TARGET;

/// A session that has nothing left to negotiate. It holds what the transfer needs, and nothing of the steps before.
pub(crate) struct Transfer<IO = Socket> {
    client: Stream<IO>,
    backend: Stream<IO>,
    splice: Splice<dyn Filter>,
    /// Counts the session for the limits of admission.
    _admitted: Option<Admitted>,
    /// The span of the transfer, once it has begun. A session without a log has none.
    span: Option<Box<Span>>,
}

/// A transfer whose sockets the runtime does not watch.
pub(crate) type ParkedTransfer = Transfer<ParkedSocket>;

/// Why a transfer has returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The session is over.
    Everything,
    /// Neither side has sent anything for a while. The transfer goes on when it runs again.
    Silent,
}

impl Transfer {
    pub(super) fn new(
        client: Stream,
        backend: Stream,
        splice: Splice<dyn Filter>,
        admitted: Option<Admitted>,
    ) -> Self {
        let parks = client.socket().can_park() && backend.socket().can_park();
        let splice = if parks { splice.pausing() } else { splice };
        let [client, backend] = [client, backend].map(Stream::without_exporter);
        Self { client, backend, splice, _admitted: admitted, span: None }
    }

    /// Makes a transfer that keeps its thread awake until each side has sent something.
    pub(super) fn busy_polling(self) -> Self {
        Self { splice: self.splice.busy_polling(), ..self }
    }

    /// Transfers bytes between the client and the backend until the session ends or is silent. At its end, the result is in
    /// `record`.
    pub(crate) async fn run(&mut self, listener: &Listener, record: &mut SessionRecord) -> Moved {
        let span = self.span(listener);
        record.failure = {
            let ended = {
                let running = self.splice.run(&mut self.client, &mut self.backend, &listener.limits.idle);
                pin!(running.instrument(span)).await
            };
            if let Ok(Ended::Silent) = ended {
                return Moved::Silent;
            }
            (record.octets_up, record.octets_down) = self.splice.octets();
            if let Some(span) = self.span.take() {
                let outcome = match &ended {
                    Ok(_) => SessionOutcome::Done,
                    Err(failure) => SessionOutcome::of_failure(failure, true),
                };
                span.record("outcome", outcome.name());
                span.record("sent", record.octets_up).record("received", record.octets_down);
            }
            ended.err().map(Box::new)
        };
        if let Some(failure) = &record.failure {
            answer_violation(failure, &mut self.splice, &mut self.client).await;
        }
        Moved::Everything
    }

    /// Returns the span of the transfer, which begins with its first run.
    fn span(&mut self, listener: &Listener) -> Span {
        if let Some(span) = &self.span {
            return Span::clone(span);
        }
        let span = debug_span!(
            target: TARGET, "relay",
            protocol = listener.protocol.name, outcome = Empty, sent = Empty, received = Empty
        );
        self.span = (!span.is_disabled()).then(|| Box::new(span.clone()));
        span
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
