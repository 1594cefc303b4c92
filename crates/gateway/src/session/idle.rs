//! Idle limits. A thread has one tick per second for all of its sessions, instead of a timer for each of them.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const TICK: Duration = Duration::from_secs(1);

thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::NEW) };
}

/// The ticks of a thread, and the timers that wait for one. It runs only while there are timers.
struct Clock {
    ticks: u64,
    is_running: bool,
    timers: Vec<Option<Waiting>>,
    free: Vec<usize>,
}

/// A timer that waits for a tick.
#[derive(Default)]
struct Waiting {
    due: u64,
    waker: Option<Waker>,
}

impl Clock {
    const NEW: Self = Self { ticks: 0, is_running: false, timers: Vec::new(), free: Vec::new() };

    fn add(&mut self) -> usize {
        let at = self.free.pop().unwrap_or(self.timers.len());
        if at == self.timers.len() {
            self.timers.push(None);
        }
        self.timers[at] = Some(Waiting::default());
        at
    }

    fn remove(&mut self, at: usize) {
        self.timers[at] = None;
        self.free.push(at);
        if self.free.len() == self.timers.len() {
            (self.timers, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Advances the clock. Returns the tasks whose timers are due.
    fn tick(&mut self) -> Vec<Waker> {
        self.ticks += 1;
        let now = self.ticks;
        let due = self.timers.iter_mut().flatten().filter(|timer| timer.due <= now);
        due.filter_map(|timer| timer.waker.take()).collect()
    }
}

/// Ticks until there are no timers.
async fn run() {
    // Also when the runtime drops this task.
    struct Stopped;
    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = CLOCK.try_with(|clock| clock.borrow_mut().is_running = false);
        }
    }
    let _stopped = Stopped;
    while CLOCK.with_borrow(|clock| !clock.timers.is_empty()) {
        tokio::time::sleep(TICK).await;
        for task in CLOCK.with_borrow_mut(Clock::tick) {
            task.wake();
        }
    }
}

/// A limit on the time without progress. It is up to two ticks longer than requested.
pub(super) struct IdleTimer {
    at: usize,
    since: u64,
}

impl IdleTimer {
    /// Returns a timer that starts now, on a thread with a runtime.
    pub(super) fn start() -> Self {
        let (timer, is_running) = CLOCK.with_borrow_mut(|clock| {
            let timer = Self { at: clock.add(), since: clock.ticks };
            (timer, std::mem::replace(&mut clock.is_running, true))
        });
        if !is_running {
            drop(tokio::spawn(run()));
        }
        timer
    }

    /// Starts the time again.
    pub(super) fn restart(&mut self) {
        self.since = CLOCK.with_borrow(|clock| clock.ticks);
    }

    /// Returns `Ready` when the time is over. Otherwise the task is woken then.
    pub(super) fn poll(&mut self, cx: &Context<'_>, limit: Duration) -> Poll<()> {
        let whole = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
        // The first tick may follow at once.
        let due = self.since.saturating_add(whole).saturating_add(1);
        CLOCK.with_borrow_mut(|clock| {
            if clock.ticks >= due {
                return Poll::Ready(());
            }
            if let Some(timer) = &mut clock.timers[self.at] {
                timer.due = due;
                match &mut timer.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
            }
            Poll::Pending
        })
    }
}

impl Drop for IdleTimer {
    fn drop(&mut self) {
        let _ = CLOCK.try_with(|clock| clock.borrow_mut().remove(self.at));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    async fn wait(limit: Duration) -> Duration {
        let (mut timer, began) = (IdleTimer::start(), Instant::now());
        poll_fn(|cx| timer.poll(cx, limit)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_ends_after_its_limit_and_within_two_ticks() {
        for limit in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(300)] {
            let (one, other) = tokio::join!(wait(limit), async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                wait(limit).await
            });
            for took in [one, other] {
                assert!(took >= limit && took <= limit + 2 * TICK, "{limit:?}: {took:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_restarts_a_timer() {
        let (mut timer, began) = (IdleTimer::start(), Instant::now());
        let limit = Duration::from_secs(5);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx, limit))).await.is_pending());
        tokio::time::sleep(Duration::from_secs(4)).await;
        timer.restart();
        poll_fn(|cx| timer.poll(cx, limit)).await;
        assert!(began.elapsed() >= Duration::from_secs(8), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_without_timers_does_not_tick() {
        wait(TICK).await;
        tokio::time::sleep(2 * TICK).await;
        let before = CLOCK.with_borrow(|clock| clock.ticks);
        tokio::time::sleep(10 * TICK).await;
        assert_eq!(CLOCK.with_borrow(|clock| (clock.ticks, clock.is_running)), (before, false));
    }
}
