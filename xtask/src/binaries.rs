//! Runs the test binaries of the workspace, several at a time.
//!
//! `cargo test` runs them one after the other. Many tests wait for servers, clients and deadlines, so that the processor
//! is idle for most of that time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Output, Report, kept};
use crate::{cargo, process};

/// The arguments of cargo for all tests.
const TESTS: [&str; 3] = ["test", "--workspace", "--locked"];

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
}

/// Builds the tests, runs their binaries, and runs the examples in the documentation.
pub(crate) fn steps(report: &mut Report) {
    if !build(report) {
        return;
    }
    report.check("test", run_all);
    let mut examples = cargo(TESTS);
    report.step("doc tests", 40, Output::Kept, examples.args(["--doc", "--no-fail-fast"]));
}

/// Builds the tests.
pub(crate) fn build(report: &mut Report) -> bool {
    report.step("test build", 40, Output::Kept, cargo(TESTS).arg("--no-run"))
}

/// Runs the binaries of the tests, which are built.
pub(crate) fn run_all() -> Result<(), String> {
    run(list()?)
}

/// Returns the binaries of the tests, which are built.
fn list() -> Result<VecDeque<Binary>, String> {
    let mut list = cargo(TESTS);
    let output = list
        .args(["--no-run", "--message-format=json"])
        .output()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    let mut binaries: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(Binary::read).collect();
    binaries.sort_by_key(Binary::place);
    if binaries.is_empty() { Err(String::from("cargo built no tests")) } else { Ok(binaries.into()) }
}

/// Runs as many binaries at a time as the machine has cores. Each has threads of its own, so more would only make the
/// deadlines of the tests tighter.
fn run(binaries: VecDeque<Binary>) -> Result<(), String> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (queue, failed) = (Mutex::new(binaries), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(binary) = next() {
                    let (name, start) = (binary.name(), Instant::now());
                    let outcome =
                        kept(&format!("test {name}"), |log| process::run(&binary.command(), LIMIT, log));
                    let took = start.elapsed().as_secs_f64();
                    match outcome {
                        Ok(()) => println!("    {name}: ok, {took:.1} s"),
                        Err(problem) => {
                            println!("    {name}: FAILED, {took:.1} s: {problem}");
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", ")) }
}

impl Binary {
    /// Reads a line of cargo's messages. Returns `None` for anything but a test binary.
    fn read(line: &str) -> Option<Self> {
        let profile = line.split_once(r#""profile":{"#)?.1.split('}').next()?;
        let path = field(line, "executable").filter(|_| profile.contains(r#""test":true"#))?;
        Some(Self {
            folder: Path::new(field(line, "manifest_path")?).parent()?.to_owned(),
            target: field(line.split_once(r#""target":"#)?.1, "name")?.to_owned(),
            path: path.into(),
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
        command
    }
}

/// Returns the value of the first field with this name, which is a string without escapes.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    json.split_once(&format!(r#""{name}":""#))?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_test_binary() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/crates/cli#starttls-cli@0.1.0","manifest_path":"/src/crates/cli/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"it","src_path":"/src/crates/cli/tests/it/main.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"0","debuginfo":2,"debug_assertions":true,"overflow_checks":true,"test":true},"features":[],"filenames":["/target/debug/deps/it-1"],"executable":"/target/debug/deps/it-1","fresh":true}"#;
        let binary = Binary::read(line).unwrap();
        assert_eq!(binary.path, Path::new("/target/debug/deps/it-1"));
        assert_eq!((binary.name().as_str(), binary.place()), ("cli it", 0));
        let program =
            line.replace(r#""overflow_checks":true,"test":true"#, r#""overflow_checks":true,"test":false"#);
        let library = line.replace(r#""executable":"/target/debug/deps/it-1""#, r#""executable":null"#);
        for other in [program.as_str(), library.as_str(), "", r#"{"reason":"build-finished","success":true}"#]
        {
            assert_eq!(Binary::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_failed_binary_is_named_and_the_others_run() {
        let folder = std::env::temp_dir();
        let script = |target: &str, path: &str| Binary {
            folder: folder.clone(),
            target: target.to_owned(),
            path: path.into(),
        };
        let result = run([script("good", "true"), script("bad", "false"), script("last", "true")].into());
        let package = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(result, Err(format!("{package} bad")));
    }
}
