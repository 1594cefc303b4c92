//! The last step of a session, which lasts longest: the transfer between two connections that are ready.

use std::pin::pin;

use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use super::closing::answer_violation;
use super::splice::{Filter, Splice};
use super::stream::Stream;
use crate::admission::Admitted;
use crate::config::Listener;
use crate::outcome::SessionOutcome;
use crate::record::SessionRecord;
use crate::span_log::TARGET;

/// A session that has nothing left to negotiate. It holds what the transfer needs, and nothing of the steps before.
pub(crate) struct Transfer {
    client: Stream,
    backend: Stream,
    splice: Splice<dyn Filter>,
    /// Counts the session for the limits of admission.
    _admitted: Option<Admitted>,
}

impl Transfer {
    pub(super) fn new(
        client: Stream,
        backend: Stream,
        splice: Splice<dyn Filter>,
        admitted: Option<Admitted>,
    ) -> Self {
        Self { client, backend, splice, _admitted: admitted }
    }

    /// Makes a transfer that keeps its thread awake until each side has sent something.
    pub(super) fn busy_polling(self) -> Self {
        Self { splice: self.splice.busy_polling(), ..self }
    }

    /// Transfers bytes between the client and the backend until the session ends, and writes the result to `record`.
    pub(crate) async fn run(&mut self, listener: &Listener, record: &mut SessionRecord) {
        record.failure = {
            let span = debug_span!(
                target: TARGET, "relay",
                protocol = listener.protocol.name, outcome = Empty, sent = Empty, received = Empty
            );
            let (ended, span) = {
                let running = self.splice.run(&mut self.client, &mut self.backend, &listener.limits.idle);
                let mut running = pin!(running.instrument(span));
                let ended = running.as_mut().await;
                (ended, running.span().clone())
            };
            (record.octets_up, record.octets_down) = self.splice.octets();
            let outcome = match &ended {
                Ok(_) => SessionOutcome::Done,
                Err(failure) => SessionOutcome::of_failure(failure, true),
            };
            span.record("outcome", outcome.name());
            span.record("sent", record.octets_up).record("received", record.octets_down);
            ended.err().map(Box::new)
        };
        if let Some(failure) = &record.failure {
            answer_violation(failure, &mut self.splice, &mut self.client).await;
        }
    }
}
