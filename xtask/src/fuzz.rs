//! Builds the fuzz targets with coverage on the stable toolchain, seeds them with the vectors, and runs them.

use std::ffi::OsString;
use std::fs::{self, DirEntry, File};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::report::{Output, Report};
use crate::{cargo, process, root, seeds};

pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// The targets in the manifest.
pub(crate) const TARGETS: [&str; 13] = [
    "dialects",
    "client",
    "server",
    "relay",
    "front",
    "login",
    "hello",
    "x509",
    "capture",
    "peel",
    "flow",
    "conversation",
    "policy",
];

/// The coverage flags that libFuzzer needs; `cargo fuzz` passes the same.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions --cfg fuzzing";

/// `cargo xtask fuzz [TARGET] [--seconds N]`
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (targets, rest) = match *args {
        [name, ref rest @ ..] if !name.starts_with('-') => {
            let target = TARGETS.into_iter().find(|target| *target == name);
            let known = TARGETS.join(", ");
            (
                vec![target.ok_or_else(|| format!("unknown fuzz target {name}: expected one of {known}"))?],
                rest,
            )
        }
        ref rest => (TARGETS.to_vec(), rest),
    };
    let seconds = match *rest {
        [] => 10,
        ["--seconds", count] => count.parse().map_err(|_| format!("invalid number of seconds {count:?}"))?,
        _ => return Err(format!("expected [TARGET] [--seconds N], found {}", args.join(" "))),
    };
    let mut report = Report::default();
    fuzz(&mut report, &targets, Search::Anew { seconds }, Output::Shown);
    report.finish()
}

/// How a fuzzer chooses its inputs.
#[derive(Clone, Copy)]
enum Search {
    /// Different inputs in each run, for this time.
    Anew { seconds: u64 },
    /// The same inputs in each run of one build, so that a run that passes here passes elsewhere.
    Same { runs: u64 },
}

/// A limit that no run of [`Search::Same`] reaches, even on a slow machine.
const SAME_SECONDS: u64 = 120;

/// Lints the fuzzers and runs each for some seconds, on the same inputs every time, so that the tests are reproducible.
pub(crate) fn smoke(report: &mut Report) {
    match build("clippy") {
        Ok(mut clippy) => {
            report.step("fuzz clippy", 15, Output::Kept, clippy.args(["--", "-D", "warnings"]));
            fuzz(report, &TARGETS, Search::Same { runs: 100_000 }, Output::Kept);
        }
        Err(problem) => {
            report.check("fuzz clippy", || Err(problem));
        }
    }
}

fn fuzz(report: &mut Report, targets: &[&str], search: Search, output: Output) {
    let built = match build("build") {
        Ok(command) => report.step("fuzz build", 15, output, &command),
        Err(problem) => report.check("fuzz build", || Err(problem)),
    };
    if built && report.check("fuzz seeds", || seeds::write(&root())) {
        for target in targets {
            report.logged(&format!("fuzz {target}"), output, |log| fuzz_one(target, search, log));
        }
    }
}

/// Returns a cargo command for the fuzz workspace. Naming the target keeps the coverage flags away from build scripts.
fn build(subcommand: &str) -> Result<Command, String> {
    let host = host()?;
    let mut command = cargo([subcommand, "--manifest-path", MANIFEST, "--release", "--locked"]);
    command.args(["--target", &host, "--target-dir", "fuzz/target"]).env("RUSTFLAGS", COVERAGE);
    Ok(command)
}

/// Runs one target. If an input fails, the error contains the command that reproduces it.
fn fuzz_one(target: &str, search: Search, log: Option<&File>) -> Result<(), String> {
    let binary = format!("fuzz/target/{}/release/{target}", host()?);
    let artifacts = format!("fuzz/artifacts/{target}");
    let (inputs, seconds) = match search {
        Search::Anew { seconds } => (Vec::new(), seconds),
        Search::Same { runs } => (vec![String::from("-seed=1"), format!("-runs={runs}")], SAME_SECONDS),
    };
    let mut command = Command::new(&binary);
    command.current_dir(root()).arg(format!("fuzz/corpus/{target}")).args(inputs).args([
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={artifacts}/"),
        String::from("-timeout=10"),
        String::from("-rss_limit_mb=1024"),
        String::from("-print_final_stats=1"),
    ]);
    let start = SystemTime::now();
    // libFuzzer has its own time limit; this deadline applies if libFuzzer hangs.
    process::run(&command, Duration::from_secs(seconds + 300), log).map_err(|problem| {
        let found = written_since(start, &artifacts);
        match found.is_empty() {
            true => problem,
            false => format!("a failing input was saved; to reproduce:\n    {binary} {}", found.join(" ")),
        }
    })
}

/// Returns the files of a folder that were written since `start`, relative to the root of the repository.
fn written_since(start: SystemTime, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let is_new =
        |entry: &DirEntry| entry.metadata().and_then(|it| it.modified()).is_ok_and(|time| time >= start);
    entries.filter(is_new).map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())).collect()
}

/// Returns the target triple of this machine.
fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let version = Command::new(rustc).arg("-vV").output().map_err(|e| format!("cannot run rustc: {e}"))?;
    let text = String::from_utf8_lossy(&version.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| String::from("rustc -vV does not report its host"))
}
