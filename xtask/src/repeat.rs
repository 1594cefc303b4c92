//! Repeats the tests: a test that depends on the clock, on the order of threads or on the speed of the machine fails only
//! in some runs.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cargo;
use crate::report::{Output, Report};

const USAGE: &str = "usage: cargo xtask repeat [--runs N] [-- ARGS...]";

/// The number of busy threads in the second half of the runs; on two cores they leave no core idle.
const BUSY: usize = 2;

/// The limit for one run, in minutes.
const MINUTES: u64 = 40;

/// Runs the tests on an idle machine, then the same number of times beside busy threads. `ARGS` go to `cargo test` and replace
/// `--workspace`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (options, selection) = match args.iter().position(|arg| *arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &["--workspace"][..]),
    };
    let runs: u16 = match *options {
        [] => 10,
        ["--runs", number] => number.parse().map_err(|_| String::from(USAGE))?,
        _ => return Err(String::from(USAGE)),
    };
    let mut test = cargo(["test", "--locked", "--no-fail-fast"]);
    test.args(selection);
    let mut report = Report::default();
    for (name, busy) in [("idle", 0), ("busy", BUSY)] {
        for run in 1..=runs {
            beside(busy, || report.step(&format!("{name} {run}"), MINUTES, Output::Kept, &test));
        }
    }
    report.finish()
}

/// Runs `work` beside this number of busy threads.
fn beside<T>(busy: usize, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    black_box(());
                }
            });
        }
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}
