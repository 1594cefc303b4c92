//! Runs the gateway's endurance tests at their full size and prints their figures.

use std::time::Duration;

use crate::{cargo, process};

/// The limit for the build and all tests. The tests run one after the other, so that each test's figures are its own.
const LIMIT: Duration = Duration::from_secs(45 * 60);

pub(crate) fn run() -> Result<(), String> {
    let mut test = cargo(["test", "--package", "starttls-gateway", "--locked", "--test", "endurance"]);
    test.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    process::run(&test, LIMIT, None)
}
