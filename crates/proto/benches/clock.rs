//! The processor time of this thread, so that other programs on the machine have little influence.

use nix::time::{ClockId, clock_gettime};

/// Returns the processor time in nanoseconds since the thread started.
pub(crate) fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    now.tv_sec() as f64 * 1e9 + now.tv_nsec() as f64
}

/// Returns the least time of `work` in nanoseconds, over `batches` batches of about a millisecond each.
pub(crate) fn least(batches: usize, mut work: impl FnMut()) -> f64 {
    let mut repeat = 1;
    let mut batch = |repeat: u32| {
        let start = cpu_time();
        (0..repeat).for_each(|_| work());
        (cpu_time() - start) / f64::from(repeat)
    };
    while batch(repeat) * f64::from(repeat) < 1e6 {
        repeat *= 2;
    }
    (0..batches).map(|_| batch(repeat)).fold(f64::INFINITY, f64::min)
}
