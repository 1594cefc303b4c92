//! Busy polling: while a session negotiates, its thread looks for events for a moment before it sleeps.
//!
//! The processor of a thread that sleeps may halt, and waking it costs 30 to 60 µs. A client that is alone on a gateway pays
//! that at each step of its session. Under load a thread does not sleep, so the looking costs nothing there.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// How long a thread looks for events after a step of a session.
const LOOK: Duration = Duration::from_micros(50);

thread_local! {
    /// When the thread stops looking; `None` if it does not look for events.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Completes `step`. If `enabled`, the thread stays awake for a moment each time that the step has to wait.
///
/// The step is boxed, because an `async fn` that pins its argument stores it twice.
pub(super) async fn awake<F: Future>(enabled: bool, mut step: Pin<Box<F>>) -> F::Output {
    poll_fn(|cx| {
        let polled = step.as_mut().poll(cx);
        if enabled && polled.is_pending() {
            stay_awake();
        }
        polled
    })
    .await
}

/// Keeps this thread awake for a moment from now on. The thread must have a runtime.
pub(super) fn stay_awake() {
    if UNTIL.replace(Some(Instant::now() + LOOK)).is_none() {
        drop(tokio::spawn(look(Looking)));
    }
}

/// Exists while a task of this thread looks for events. A runtime may drop that task at any time, also before its start.
struct Looking;

impl Drop for Looking {
    fn drop(&mut self) {
        let _ = UNTIL.try_with(|until| until.set(None));
    }
}

/// Yields until the moment is over. A runtime with a task that yields asks for events without waiting for them.
async fn look(_looking: Looking) {
    while UNTIL.get().is_some_and(|until| Instant::now() < until) {
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn looks() -> bool {
        UNTIL.get().is_some()
    }

    #[tokio::test]
    async fn a_step_that_waits_keeps_the_thread_awake_for_a_moment() {
        let began = Instant::now();
        let mut waiting = pin!(awake(true, Box::pin(std::future::pending::<()>())));
        // One poll without a yield, so that the task that looks has not run yet, however slow the machine is.
        assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await.is_pending());
        assert!(looks());
        while looks() {
            yield_now().await;
        }
        assert!(began.elapsed() >= LOOK, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn each_step_prolongs_the_moment() {
        awake(true, Box::pin(yield_now())).await;
        let first = UNTIL.get();
        stay_awake();
        assert!(UNTIL.get() > first, "{first:?}");
    }

    #[tokio::test]
    async fn a_thread_sleeps_at_once_if_nothing_waits_or_if_it_is_disabled() {
        awake(true, Box::pin(async {})).await;
        awake(false, Box::pin(yield_now())).await;
        assert!(!looks());
    }

    #[test]
    fn a_runtime_that_ends_stops_looking() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { stay_awake() });
        assert!(looks());
        drop(runtime);
        assert!(!looks());
    }
}
