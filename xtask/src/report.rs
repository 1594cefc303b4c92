//! Runs steps one after the other, and reports their results.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{process, root};

/// Where a step's output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// To the terminal, immediately.
    Shown,
    /// To a file, which is shown if the step fails.
    Kept,
}

/// The number of lines that are shown of a failed step's output.
const SHOWN: usize = 200;

/// The results of the steps so far.
#[derive(Default)]
pub(crate) struct Report(Vec<(String, Duration, Result<(), String>)>);

impl Report {
    /// Runs a command as a step, with a deadline in minutes.
    pub(crate) fn step(&mut self, name: &str, minutes: u64, output: Output, command: &Command) -> bool {
        let deadline = Duration::from_secs(60 * minutes);
        self.logged(name, output, |log| process::run(command, deadline, log))
    }

    /// Runs a function as a step that writes its output to the file it is given, or to the terminal.
    pub(crate) fn logged(
        &mut self,
        name: &str,
        output: Output,
        work: impl FnOnce(Option<&File>) -> Result<(), String>,
    ) -> bool {
        self.check(name, || match output {
            Output::Shown => work(None),
            Output::Kept => kept(name, work),
        })
    }

    /// Runs a function as a step.
    pub(crate) fn check(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) -> bool {
        println!("==> {name}");
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        match &outcome {
            Ok(()) => println!("    {name}: ok, {:.1} s", took.as_secs_f64()),
            Err(problem) => println!("    {name}: FAILED, {:.1} s: {problem}", took.as_secs_f64()),
        }
        let passed = outcome.is_ok();
        self.0.push((name.to_owned(), took, outcome));
        passed
    }

    /// Prints the summary.
    pub(crate) fn finish(self) -> Result<(), String> {
        println!("\n{:<20} {:>9}  result", "step", "time");
        for (name, took, outcome) in &self.0 {
            let result = if outcome.is_ok() { "ok" } else { "FAILED" };
            println!("{name:<20} {:>7.1} s  {result}", took.as_secs_f64());
        }
        let failed: Vec<&str> =
            self.0.iter().filter(|(.., outcome)| outcome.is_err()).map(|(name, ..)| name.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

/// Runs a function that writes its output to a file, and shows the end of the file if it fails.
pub(crate) fn kept(name: &str, work: impl FnOnce(Option<&File>) -> Result<(), String>) -> Result<(), String> {
    let path = log_file(name);
    let log = fs::create_dir_all(logs()).and_then(|()| File::create(&path));
    let log = log.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    work(Some(&log)).inspect_err(|_| {
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let (skipped, last) = lines.split_at(lines.len().saturating_sub(SHOWN));
        if !skipped.is_empty() {
            println!("({} lines before these are in {})", skipped.len(), path.display());
        }
        println!("{}", last.join("\n"));
    })
}

fn logs() -> PathBuf {
    root().join("target/xtask")
}

/// Returns the file with the output of the step with this name.
pub(crate) fn log_file(name: &str) -> PathBuf {
    logs().join(format!("{}.log", name.replace(' ', "-")))
}
