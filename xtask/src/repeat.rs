//! The whole test suite again and again: a test that depends on the clock, on the order of threads or on the speed of
//! the machine fails in some runs only.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cargo;
use crate::report::{Output, Report};

const USAGE: &str = "the usage is: cargo xtask repeat [--runs N] [-- ARGS...]";

/// Busy threads of the second half of the runs; a machine with two cores has none to spare then.
const BUSY: usize = 2;

/// The limit for one run, in minutes.
const MINUTES: u64 = 40;

/// Runs the tests on an idle machine, and as often beside busy threads. `ARGS` go to `cargo test` and replace
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

/// Does the work while so many threads keep the processor busy.
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
