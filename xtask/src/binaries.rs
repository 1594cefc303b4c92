//! Runs the test binaries of the workspace, several at a time.
//!
//! `cargo test` runs them one after the other. Many tests wait for servers, clients and deadlines, so that the processor
//! is idle for most of that time.
//!
//! A test that fails beside other binaries runs once more, alone. If it passes then, it depends on the load or on the other tests:
//! a defect of the test or of the program, which the summary names, but no reason to reject the change that is being tested.
//! `cargo xtask repeat` finds such tests, and gives them no second run.
//!
//! Property tests take their cases from a fixed seed, so that a change is not rejected for a fault that was there before it. Each
//! run of `cargo xtask repeat` takes other cases.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Output, Report, kept, log_file};
use crate::{cargo, process};

/// The arguments of cargo for all tests.
const TESTS: [&str; 3] = ["test", "--workspace", "--locked"];

/// The seed of property tests in a run that accepts or rejects a change.
const FIXED_SEED: u64 = 1;

/// The variable that limits the threads of a test binary.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// The time limit for one binary on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// The binaries that take longest, by package and target, the longest first. They start first, so that none of them runs
/// alone at the end. A name that does not exist any more does no harm.
const LONGEST: [(&str, &str); 9] = [
    ("cli", "it"),
    ("audit", "proof"),
    ("conformance", "attack"),
    ("attack", "clients"),
    ("gateway", "real_peers"),
    ("gateway", "sessions"),
    ("cli", "real_servers"),
    ("audit", "cleartext"),
    ("gateway", "endurance"),
];

/// A test binary.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    /// The folder of its package, in which cargo runs it.
    folder: PathBuf,
    target: String,
    path: PathBuf,
    /// The seed of its property tests.
    seed: u64,
}

/// Builds the tests, runs their binaries, and runs the examples in the documentation.
pub(crate) fn steps(report: &mut Report) {
    if !build(report) {
        return;
    }
    report
        .check("test", || judge(run(list(FIXED_SEED)?).into_iter().filter(|failed| !failed.passes_alone())));
    let mut examples = cargo(TESTS);
    report.step("doc tests", 40, Output::Kept, examples.args(["--doc", "--no-fail-fast"]));
}

/// Builds the tests.
pub(crate) fn build(report: &mut Report) -> bool {
    report.step("test build", 40, Output::Kept, cargo(TESTS).arg("--no-run"))
}

/// Runs the binaries of the tests, which are built. Each test has to pass beside the others. Property tests take their cases
/// from `seed`.
pub(crate) fn run_all(seed: u64) -> Result<(), String> {
    judge(run(list(seed)?).into_iter())
}

/// Names the binaries that failed.
fn judge(failed: impl Iterator<Item = Binary>) -> Result<(), String> {
    let names: Vec<String> = failed.map(|binary| binary.name()).collect();
    if names.is_empty() { Ok(()) } else { Err(names.join(", ")) }
}

/// Returns the binaries of the tests, which are built.
fn list(seed: u64) -> Result<VecDeque<Binary>, String> {
    let mut list = cargo(TESTS);
    let output = list
        .args(["--no-run", "--message-format=json"])
        .output()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    let mut binaries: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| Binary::read(line, seed)).collect();
    binaries.sort_by_key(Binary::place);
    if binaries.is_empty() { Err(String::from("cargo built no tests")) } else { Ok(binaries.into()) }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs one binary more at a time than the machine has cores, because the slowest ones wait for most of their time. Each has
/// threads of its own, so more would only make the deadlines of the tests tighter. Returns those that failed.
fn run(binaries: VecDeque<Binary>) -> Vec<Binary> {
    let (queue, failed) = (Mutex::new(binaries), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..=cores() {
            scope.spawn(|| {
                while let Some(binary) = next() {
                    let (name, start) = (binary.name(), Instant::now());
                    let outcome = kept(&binary.log(), |log| process::run(&binary.command(), LIMIT, log));
                    let took = start.elapsed().as_secs_f64();
                    match outcome {
                        Ok(()) => {
                            println!("    {name}: ok, {took:.1} s");
                            for line in not_run(&binary.output()) {
                                println!("    {name}: {line}");
                            }
                        }
                        Err(problem) => {
                            println!("    {name}: FAILED, {took:.1} s: {problem}");
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(binary);
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Binary {
    /// Reads a line of cargo's messages. Returns `None` for anything but a test binary.
    fn read(line: &str, seed: u64) -> Option<Self> {
        let profile = line.split_once(r#""profile":{"#)?.1.split('}').next()?;
        let path = field(line, "executable").filter(|_| profile.contains(r#""test":true"#))?;
        Some(Self {
            folder: Path::new(field(line, "manifest_path")?).parent()?.to_owned(),
            target: field(line.split_once(r#""target":"#)?.1, "name")?.to_owned(),
            path: path.into(),
            seed,
        })
    }

    fn package(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    fn name(&self) -> String {
        format!("{} {}", self.package(), self.target)
    }

    /// Returns its place in the order of the start.
    fn place(&self) -> usize {
        let named = |it: &&(&str, &str)| **it == (self.package(), self.target.as_str());
        LONGEST.iter().position(|it| named(&it)).unwrap_or(LONGEST.len())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command.env("PROPTEST_RNG_SEED", self.seed.to_string());
        // The tests of the slowest binaries wait for most of their time, so a thread for each core would leave the cores idle.
        if std::env::var_os(TEST_THREADS).is_none() {
            command.env(TEST_THREADS, (2 * cores()).to_string());
        }
        command
    }

    /// Returns the name of the log of its run beside others.
    fn log(&self) -> String {
        format!("test {}", self.name())
    }

    /// Returns what its run beside others has printed.
    fn output(&self) -> String {
        fs::read(log_file(&self.log()))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// Runs the tests that failed beside others again, one after the other.
    fn passes_alone(&self) -> bool {
        let tests = failures(&self.output());
        if tests.is_empty() {
            return false;
        }
        let mut command = self.command();
        command.args(["--exact", "--test-threads=1"]).args(&tests);
        let outcome = kept(&format!("{} alone", self.log()), |log| process::run(&command, LIMIT, log));
        let (name, tests) = (self.name(), tests.join(", "));
        match &outcome {
            Ok(()) => println!("    {name}: UNSTEADY, failed beside other tests and passed alone: {tests}"),
            Err(_) => println!("    {name}: FAILED again, alone: {tests}"),
        }
        outcome.is_ok()
    }
}

/// Returns the names of the tests that failed, from the output of a binary. Empty if it did not come to its end.
fn failures(output: &str) -> Vec<String> {
    let ended = output.lines().any(|line| line.starts_with("test result: FAILED"));
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    output.lines().filter(|_| ended).filter_map(name).collect()
}

/// Returns the lines in which tests say that this machine cannot run them. The harness counts these tests as passed.
fn not_run(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| line.find("not run: ").map(|at| &line[at..]))
}

/// Returns the value of the first field with this name, which is a string without escapes.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    json.split_once(&format!(r#""{name}":""#))?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use starttls_testkit::process::Scratch;

    use super::*;

    #[test]
    fn a_message_names_a_test_binary() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/crates/cli#starttls-cli@0.1.0","manifest_path":"/src/crates/cli/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"it","src_path":"/src/crates/cli/tests/it/main.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"0","debuginfo":2,"debug_assertions":true,"overflow_checks":true,"test":true},"features":[],"filenames":["/target/debug/deps/it-1"],"executable":"/target/debug/deps/it-1","fresh":true}"#;
        let binary = Binary::read(line, FIXED_SEED).unwrap();
        assert_eq!(binary.path, Path::new("/target/debug/deps/it-1"));
        assert_eq!((binary.name().as_str(), binary.place()), ("cli it", 0));
        let program =
            line.replace(r#""overflow_checks":true,"test":true"#, r#""overflow_checks":true,"test":false"#);
        let library = line.replace(r#""executable":"/target/debug/deps/it-1""#, r#""executable":null"#);
        for other in [program.as_str(), library.as_str(), "", r#"{"reason":"build-finished","success":true}"#]
        {
            assert_eq!(Binary::read(other, FIXED_SEED), None, "{other}");
        }
    }

    #[test]
    fn a_failed_binary_is_named_and_the_others_run() {
        let folder = std::env::temp_dir();
        let script = |target: &str, path: &str| Binary {
            folder: folder.clone(),
            target: target.to_owned(),
            path: path.into(),
            seed: FIXED_SEED,
        };
        let failed = run([script("good", "true"), script("bad", "false"), script("last", "true")].into());
        let package = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(judge(failed.into_iter()), Err(format!("{package} bad")));
    }

    #[test]
    fn a_test_that_fails_only_beside_others_gets_a_second_run() {
        let folder = Scratch::new().unwrap();
        let script = |target: &str, alone: &str| {
            let path = folder.path().join(target);
            let text = format!(
                "#!/bin/sh\nif [ \"$1\" = --exact ]; then [ \"$3\" = late ] && exit {alone}; fi\n\
                 echo 'test early ... ok'\necho 'test late ... FAILED'\necho 'test result: FAILED. 1 passed; 1 failed'\nexit 101\n"
            );
            // Another process writes it: a file that this process has open for writing cannot be run.
            let write = "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"";
            let written = Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(text).status();
            assert!(written.unwrap().success());
            Binary { folder: folder.path().to_owned(), target: target.to_owned(), path, seed: FIXED_SEED }
        };
        for (target, alone, passes) in [("unsteady", "0", true), ("broken", "1", false)] {
            let failed = run([script(target, alone)].into());
            assert_eq!(failed.len(), 1, "{target}");
            assert_eq!(failed[0].passes_alone(), passes, "{target}");
        }
    }

    #[test]
    fn a_test_that_the_machine_does_not_let_run_is_named() {
        let output = "test early ... ok\ntest late ... not run: late: no disk\nok\nnot run: last: no disk\n";
        let named: Vec<_> = not_run(output).collect();
        assert_eq!(named, ["not run: late: no disk", "not run: last: no disk"]);
    }

    #[test]
    fn a_binary_that_did_not_end_gets_no_second_run() {
        let output = "test early ... ok\ntest late ... FAILED\n";
        assert_eq!(failures(output), [""; 0]);
        assert_eq!(failures(&format!("{output}\ntest result: FAILED. 1 passed; 1 failed\n")), ["late"]);
    }
}
