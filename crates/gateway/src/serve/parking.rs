//! The parked sessions of a thread: those without traffic.
//!
//! While nothing moves, a session needs no task and no place in the runtime. One event queue of the system (epoll or kqueue) has
//! the sockets of all parked sessions, and one task waits for it. A session that has something to read, or that has been silent for
//! its idle limit, gets a task again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::thread::LocalKey;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};
use slab::Slab;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

use super::counts::Counted;
use crate::session::{Ticking, ticks, wake_at_each_tick};

/// How many events one look at the queue returns.
const EVENTS: usize = 256;

/// A session that can be parked.
pub(super) trait Parked: Sized + 'static {
    /// Returns the descriptors of its sockets.
    fn descriptors(&self) -> [RawFd; 2];

    /// Prepares the session for a long wait. Returns the tick at which it has to resume in any case.
    fn pause(&mut self) -> u64;

    /// Gives the session a task again, on this thread.
    fn resume(self);
}

/// Where a thread keeps its parked sessions. `None` before [`start`], and after the end of the task that waits for events.
pub(super) type OfThread<P> = LocalKey<RefCell<Option<Parking<P>>>>;

/// The parked sessions of a thread.
pub(super) struct Parking<P> {
    registry: Registry,
    sessions: Slab<Place<P>>,
    /// Keeps the clock running; `None` while no session is parked.
    ticking: Option<Ticking>,
    /// The number of parked sessions of all threads.
    parked: Arc<AtomicUsize>,
}

struct Place<P> {
    session: P,
    /// The tick at which it resumes in any case.
    due: u64,
    _counted: Counted,
}

/// Lets sessions of this thread, which has a runtime, park. `parked` counts them.
///
/// # Errors
/// When the system refuses an event queue. Then sessions keep their tasks.
pub(super) fn start<P: Parked>(of_thread: &'static OfThread<P>, parked: Arc<AtomicUsize>) -> io::Result<()> {
    let queue = mio::Poll::new()?;
    let registry = queue.registry().try_clone()?;
    of_thread.set(Some(Parking { registry, sessions: Slab::new(), ticking: None, parked }));
    drop(spawn_local(watch(watched(queue)?, Watching(of_thread))));
    Ok(())
}

/// Parks a session. If that is not possible, the session resumes at once.
pub(super) fn park<P: Parked>(of_thread: &'static OfThread<P>, session: P) {
    let refused = of_thread.with_borrow_mut(|parking| match parking {
        Some(parking) => parking.add(session).err(),
        None => Some(session),
    });
    if let Some(session) = refused {
        session.resume();
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; a queue keeps its descriptor open as long as it exists"
)]
fn watched(queue: mio::Poll) -> io::Result<AsyncFd<Queue>> {
    AsyncFd::with_interest(Queue(queue), tokio::io::Interest::READABLE)
}

impl<P: Parked> Parking<P> {
    fn add(&mut self, mut session: P) -> Result<(), P> {
        let place = self.sessions.vacant_entry();
        for descriptor in session.descriptors() {
            let watched =
                self.registry.register(&mut SourceFd(&descriptor), Token(place.key()), Interest::READABLE);
            if watched.is_err() {
                self.forget(session.descriptors());
                return Err(session);
            }
        }
        self.ticking.get_or_insert_with(Ticking::start);
        let due = session.pause();
        place.insert(Place { session, due, _counted: Counted::new(&self.parked) });
        Ok(())
    }

    /// Takes a session out. `None` if the other one of its sockets had an event before.
    fn take(&mut self, key: usize) -> Option<P> {
        let Place { session, .. } = self.sessions.try_remove(key)?;
        self.forget(session.descriptors());
        if self.sessions.is_empty() {
            (self.sessions, self.ticking) = (Slab::new(), None);
        }
        Some(session)
    }

    /// Takes the sessions out whose tick has come.
    fn take_due(&mut self) -> Vec<P> {
        let now = ticks();
        let due = |(key, place): (usize, &Place<P>)| (place.due <= now).then_some(key);
        let keys: Vec<_> = self.sessions.iter().filter_map(due).collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn forget(&self, descriptors: [RawFd; 2]) {
        for descriptor in descriptors {
            // It fails for a socket that was not added.
            let _ = self.registry.deregister(&mut SourceFd(&descriptor));
        }
    }
}

/// The event queue, which is itself readable when it has events.
struct Queue(mio::Poll);

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Drops the parked sessions with the task that waits for them, when the runtime ends.
struct Watching<P: Parked>(&'static OfThread<P>);

impl<P: Parked> Drop for Watching<P> {
    fn drop(&mut self) {
        // The sessions are dropped outside the borrow.
        let _ = self.0.try_with(|parking| parking.take());
    }
}

impl<P: Parked> Watching<P> {
    /// Resumes the sessions that have an event. The task is woken by the next one.
    fn resume_ready(&self, queue: &mut AsyncFd<Queue>, events: &mut Events, cx: &mut Context<'_>) {
        while let Poll::Ready(Ok(mut ready)) = queue.poll_read_ready_mut(cx) {
            // It does not wait. An interrupted call returns no event, and is repeated.
            let looked = ready.get_inner_mut().0.poll(events, Some(Duration::ZERO));
            if looked.is_ok() && events.is_empty() {
                ready.clear_ready();
            }
            self.resume(|parking| events.iter().filter_map(|event| parking.take(event.token().0)).collect());
        }
    }

    fn resume(&self, take: impl FnOnce(&mut Parking<P>) -> Vec<P>) {
        let sessions = self.0.with_borrow_mut(|parking| parking.as_mut().map(take));
        for session in sessions.unwrap_or_default() {
            session.resume();
        }
    }
}

/// Resumes the sessions that have an event, or whose tick has come, until the runtime ends.
async fn watch<P: Parked>(mut queue: AsyncFd<Queue>, watching: Watching<P>) {
    let mut events = Events::with_capacity(EVENTS);
    let mut seen = ticks();
    poll_fn(|cx| {
        wake_at_each_tick(cx.waker());
        if std::mem::replace(&mut seen, ticks()) != seen {
            watching.resume(Parking::take_due);
        }
        watching.resume_ready(&mut queue, &mut events, cx);
        Poll::<()>::Pending
    })
    .await;
}
