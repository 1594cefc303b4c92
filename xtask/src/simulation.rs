//! Runs the tests of surveys at their full size on a simulated Internet, among them fifty kills, and prints their figures.

use std::time::Duration;

use crate::{cargo, process};

const USAGE: &str = "usage: cargo xtask simulation [NAME]\n       cargo xtask simulation --domains N [--workers N] [--kills N]";

/// The limit for the build and the tests.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Runs all tests of surveys, those whose name contains a word, or one large survey on a queue.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    match *args {
        [] => tests("survey", &["--skip", "survey_recipes"]),
        [name] if !name.starts_with('-') => tests(name, &[]),
        _ => survey(args),
    }
}

/// Runs the statements of the guide to surveys with DuckDB and ClickHouse, on the results of a small simulation.
pub(crate) fn recipes() -> Result<(), String> {
    tests("survey_recipes", &[])
}

fn tests(names: &str, more: &[&str]) -> Result<(), String> {
    let mut test = cargo(["test", "--package", "starttls-cli", "--locked", "--test", "it", "--", names]);
    test.args(more).args(["--include-ignored", "--nocapture", "--test-threads=1"]);
    process::run(&test, LIMIT, None)
}

/// Runs a survey with workers and a NATS server, in the release profile, and checks its rows and its connections.
fn survey(args: &[&str]) -> Result<(), String> {
    let (mut domains, mut workers, mut kills) = (None, 2, 0);
    for pair in args.chunks(2) {
        let [option, value] = *pair else { return Err(String::from(USAGE)) };
        let value: u32 = value.parse().map_err(|_| String::from(USAGE))?;
        match option {
            "--domains" => domains = Some(value),
            "--workers" => workers = value,
            "--kills" => kills = value,
            _ => return Err(String::from(USAGE)),
        }
    }
    let domains = domains.filter(|it| *it > 0 && workers > 0).ok_or_else(|| String::from(USAGE))?;
    let mut bench = cargo(["bench", "--package", "starttls-cli", "--locked", "--bench", "survey", "--"]);
    bench.args([String::from("fleet"), domains.to_string(), workers.to_string(), kills.to_string()]);
    process::run(&bench, LIMIT, None)
}
