//! Runs the tests of surveys at their full size on a simulated Internet, among them fifty kills, and prints their figures.

use std::time::Duration;

use crate::{cargo, process};

/// The limit for the build and the tests.
const LIMIT: Duration = Duration::from_secs(60 * 60);

pub(crate) fn run() -> Result<(), String> {
    tests("survey")
}

/// Runs the statements of the guide to surveys with DuckDB and ClickHouse, on the results of a small simulation.
pub(crate) fn recipes() -> Result<(), String> {
    tests("survey_recipes")
}

fn tests(names: &str) -> Result<(), String> {
    let mut test = cargo(["test", "--package", "starttls-cli", "--locked", "--test", "it", "--", names]);
    test.args(["--include-ignored", "--nocapture", "--test-threads=1"]);
    process::run(&test, LIMIT, None)
}
