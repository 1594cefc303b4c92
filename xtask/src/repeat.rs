//! Repeats the tests: a test that depends on the clock, on the order of threads or on the speed of the machine fails only
//! in some runs.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::UNIX_EPOCH;

use crate::report::{Output, Report};
use crate::{binaries, cargo};

const USAGE: &str = "usage: cargo xtask repeat [--runs N] [--idle | --busy] [-- ARGS...]";

/// The number of busy threads in the second half of the runs; on two cores they leave no core idle.
const BUSY: usize = 2;

/// The limit for one run of `cargo test`, in minutes.
const MINUTES: u64 = 40;

/// Runs the tests on an idle machine, then the same number of times beside busy threads; `--idle` and `--busy` select one of the
/// halves. With `ARGS`, each run is a `cargo test` with these arguments.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (mut options, selection) = match args.iter().position(|arg| *arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[][..]),
    };
    let mut runs: u16 = 10;
    let mut halves = &[("idle", 0), ("busy", BUSY)][..];
    loop {
        options = match *options {
            [] => break,
            ["--runs", number, ref rest @ ..] => {
                runs = number.parse().map_err(|_| String::from(USAGE))?;
                rest
            }
            ["--idle", ref rest @ ..] => {
                halves = &[("idle", 0)];
                rest
            }
            ["--busy", ref rest @ ..] => {
                halves = &[("busy", BUSY)];
                rest
            }
            _ => return Err(String::from(USAGE)),
        };
    }
    let mut report = Report::default();
    if selection.is_empty() && !binaries::build(&mut report) {
        return report.finish();
    }
    // Every run has other cases of the property tests.
    let mut seeds = UNIX_EPOCH.elapsed().map_or(0, |it| it.as_secs())..;
    let mut test = cargo(["test", "--locked", "--no-fail-fast"]);
    test.args(selection);
    for &(name, busy) in halves {
        for run in 1..=runs {
            let name = format!("{name} {run}");
            let seed = seeds.next().unwrap_or_default();
            beside(busy, || match selection {
                [] => report.check(&format!("{name}, seed {seed}"), || binaries::run_all(seed)),
                _ => report.step(&name, MINUTES, Output::Kept, &test),
            });
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
