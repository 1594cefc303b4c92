//! Time that this thread computed, so that other programs on the machine count little.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on the processor since the thread started.
pub(crate) fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    now.tv_sec() as f64 * 1e9 + now.tv_nsec() as f64
}

/// The least nanoseconds of `work`, of so many batches of about a millisecond.
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
