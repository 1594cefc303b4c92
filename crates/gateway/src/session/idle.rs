//! Idle limits. A thread has one tick per second for all of its sessions, instead of a timer for each of them.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

const TICK: Duration = Duration::from_secs(1);

thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::NEW) };
}

/// The ticks of a thread, and the timers that wait for one. It runs only while there are timers.
struct Clock {
    ticks: u64,
    is_running: bool,
    timers: Slab<Waiting>,
    /// The task that is woken by every tick.
    each_tick: Option<Waker>,
}

/// A timer that waits for a tick.
#[derive(Default)]
struct Waiting {
    due: u64,
    waker: Option<Waker>,
}

impl Clock {
    const NEW: Self = Self { ticks: 0, is_running: false, timers: Slab::new(), each_tick: None };

    fn remove(&mut self, at: usize) {
        self.timers.remove(at);
        if self.timers.is_empty() {
            self.timers = Slab::new();
        }
    }

    /// Advances the clock. Returns the tasks to wake: those whose timers are due, and the one that is woken by every tick.
    fn tick(&mut self) -> Vec<Waker> {
        self.ticks += 1;
        let now = self.ticks;
        let due = self.timers.iter_mut().map(|(_, timer)| timer).filter(|timer| timer.due <= now);
        due.filter_map(|timer| timer.waker.take()).chain(self.each_tick.clone()).collect()
    }
}

/// Returns the number of ticks of this thread. It does not grow while nothing keeps the clock running ([`Ticking`]).
pub(crate) fn ticks() -> u64 {
    CLOCK.with_borrow(|clock| clock.ticks)
}

/// Wakes this task at every tick from now on, in place of the one before.
pub(crate) fn wake_at_each_tick(task: &Waker) {
    CLOCK.with_borrow_mut(|clock| clock.each_tick = Some(task.clone()));
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

/// A place in the clock of this thread, which ticks as long as it has one.
pub(crate) struct Ticking(usize);

impl Ticking {
    /// Takes a place, on a thread with a runtime.
    pub(crate) fn start() -> Self {
        let (place, is_running) = CLOCK.with_borrow_mut(|clock| {
            (clock.timers.insert(Waiting::default()), std::mem::replace(&mut clock.is_running, true))
        });
        if !is_running {
            drop(tokio::spawn(run()));
        }
        Self(place)
    }

    /// Returns `Ready` at this tick. Otherwise the task is woken then.
    fn poll(&self, cx: &Context<'_>, due: u64) -> Poll<()> {
        CLOCK.with_borrow_mut(|clock| {
            if clock.ticks >= due {
                return Poll::Ready(());
            }
            if let Some(timer) = clock.timers.get_mut(self.0) {
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

impl Drop for Ticking {
    fn drop(&mut self) {
        let _ = CLOCK.try_with(|clock| clock.borrow_mut().remove(self.0));
    }
}

/// The time without progress. Limits are up to two ticks longer than requested.
pub(super) struct IdleTimer {
    /// `None` while it is paused.
    ticking: Option<Ticking>,
    since: u64,
    /// The progress when the time began.
    progress: u64,
    /// When the session went on after a pause.
    resumed: u64,
}

impl IdleTimer {
    /// Returns a timer that starts now, on a thread with a runtime.
    pub(super) fn start() -> Self {
        let (ticking, now) = (Ticking::start(), ticks());
        Self { ticking: Some(ticking), since: now, progress: 0, resumed: now }
    }

    /// Starts the time again.
    pub(super) fn restart(&mut self) {
        self.since = ticks();
    }

    /// Starts the time again if this number differs from the one before.
    pub(super) fn restart_on_progress(&mut self, progress: u64) {
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.restart();
        }
    }

    /// Returns the tick at which there has been no progress for this time.
    pub(super) fn due(&self, limit: Duration) -> u64 {
        after(self.since, limit)
    }

    /// Wakes no task any more. The time goes on, if something else keeps the clock of the thread running.
    pub(super) fn pause(&mut self) {
        self.ticking = None;
    }

    /// Goes on after a pause.
    pub(super) fn resume(&mut self) {
        self.resumed = ticks();
    }

    /// Returns the tick at which there has been no progress for this time, neither before nor after a pause.
    pub(super) fn silent(&self, limit: Duration) -> u64 {
        after(self.since.max(self.resumed), limit)
    }

    /// Returns `Ready` at this tick. Otherwise the task is woken then.
    pub(super) fn poll(&mut self, cx: &Context<'_>, due: u64) -> Poll<()> {
        self.ticking.get_or_insert_with(Ticking::start).poll(cx, due)
    }
}

/// Returns the first tick by which this time is over for certain.
fn after(since: u64, limit: Duration) -> u64 {
    let whole = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
    // The first tick may follow at once.
    since.saturating_add(whole).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    async fn wait(limit: Duration) -> Duration {
        let (mut timer, began) = (IdleTimer::start(), Instant::now());
        poll_fn(|cx| timer.poll(cx, timer.due(limit))).await;
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
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx, timer.due(limit)))).await.is_pending());
        tokio::time::sleep(Duration::from_secs(4)).await;
        timer.restart();
        poll_fn(|cx| timer.poll(cx, timer.due(limit))).await;
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
