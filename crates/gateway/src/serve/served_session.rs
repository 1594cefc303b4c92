//! The course of a session on its thread: a task until there is no traffic, then a place among the parked sessions.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::task::spawn_local;
use tracing::{Instrument, debug, debug_span};

use super::counts::Counted;
use super::parking::{self, Parked, Parking};
use super::slot::ListenerSlot;
use crate::config::Listener;
use crate::failure::SessionFailure;
use crate::record::{ClientAddresses, SessionObserver, SessionRecord};
use crate::session::{self, Observation, ParkedTransfer, Socket, Transfer, TransferStatus};
use crate::span_log::{HeldSpan, TARGET};

/// A session whose end is reported to the observer, even if it is cut off.
pub(super) struct ServedSession {
    listener: Arc<Listener>,
    observer: Arc<dyn SessionObserver>,
    record: SessionRecord,
    over: bool,
    span: HeldSpan,
    _counted: Counted,
}

impl ServedSession {
    pub(super) fn new(
        listener: Arc<Listener>,
        observer: Arc<dyn SessionObserver>,
        client: ClientAddresses,
        counted: Counted,
    ) -> Box<Self> {
        observer.connected(&listener);
        let record = SessionRecord::new(client);
        let span = HeldSpan::new(debug_span!(target: TARGET, "session", session = %record.id));
        Box::new(Self { listener, observer, record, over: false, span, _counted: counted })
    }

    /// Serves this connection in a task of its own.
    pub(super) fn start(self: Box<Self>, slot: Arc<ListenerSlot>, socket: Socket) {
        let socket = match self.listener.observe {
            true => socket.observed(Observation::new(&self.listener, &self.observer, self.record.client)),
            false => socket,
        };
        let span = self.span.get();
        spawn_local(self.serve(slot, socket).instrument(span));
    }

    async fn serve(mut self: Box<Self>, slot: Arc<ListenerSlot>, socket: Socket) {
        let (listener, client) = (&self.listener, self.record.client.address);
        debug!(target: TARGET, listener = listener.name, client = client.map(display), "connected");
        match session::prepare(listener, &slot.admission, socket, &mut self.record).await {
            Some(transfer) => relay(self, transfer),
            None => self.over = true,
        }
    }

    /// Ends the session because of an error of the system.
    fn fail(mut self: Box<Self>, error: io::Error) {
        self.record.failure = Some(Box::new(SessionFailure::System(error)));
        self.over = true;
    }
}

impl Drop for ServedSession {
    fn drop(&mut self) {
        if !self.over {
            self.record.failure = Some(Box::new(SessionFailure::Stopped));
        }
        self.record.duration = self.record.began.elapsed();
        self.observer.session(&self.listener, &self.record);
    }
}

/// Runs a transfer in a task of its own until the session ends, or parks the session. The task before, with what the steps before
/// needed, is over.
fn relay(session: Box<ServedSession>, transfer: Transfer) {
    let span = session.span.get();
    drop(spawn_local(relaying(session, transfer).instrument(span)));
}

#[expect(clippy::manual_async_fn, reason = "an `async fn` stores its arguments twice")]
fn relaying(mut session: Box<ServedSession>, mut transfer: Transfer) -> impl Future<Output = ()> {
    async move {
        match transfer.run(&session.listener, &mut session.record).await {
            TransferStatus::Over => session.over = true,
            TransferStatus::Silent => park(session, transfer),
        }
    }
}

fn park(session: Box<ServedSession>, transfer: Transfer) {
    match transfer.park() {
        Ok(transfer) => parking::park(&PARKED, SilentSession { session, transfer: Box::new(transfer) }),
        Err(error) => session.fail(error),
    }
}

/// A session without traffic. It has no task, and the runtime does not watch its sockets.
struct SilentSession {
    session: Box<ServedSession>,
    transfer: Box<ParkedTransfer>,
}

thread_local! {
    static PARKED: RefCell<Option<Parking<SilentSession>>> = const { RefCell::new(None) };
}

/// Lets sessions of this thread, which has a runtime, park. `parked` counts them.
///
/// # Errors
/// When the system refuses it.
pub(super) fn allow_parking(parked: Arc<AtomicUsize>) -> io::Result<()> {
    parking::start(&PARKED, parked)
}

impl Parked for SilentSession {
    fn descriptors(&self) -> [RawFd; 2] {
        self.transfer.descriptors()
    }

    fn pause(&mut self) -> u64 {
        self.transfer.pause(self.session.listener.limits.idle)
    }

    fn resume(self) {
        let Self { session, transfer } = self;
        match transfer.resume() {
            Ok(transfer) => relay(session, transfer),
            Err(error) => session.fail(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the size of the future that a function returns, which is the memory of a session's task.
    fn size_of_future<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_transfer_stays_small() {
        let size = size_of_future(relaying);
        assert!(size <= 512, "{size} octets: a value is stored twice");
    }

    #[test]
    fn a_parked_session_is_smaller_than_its_task() {
        let size = size_of::<ParkedTransfer>();
        assert!(size <= 384, "{size} octets");
    }
}
