//! Runs the survey's crash matrix at its full size on a simulated Internet, and prints its figures.

use std::time::Duration;

use crate::{cargo, process};

/// The limit for the build and the tests.
const LIMIT: Duration = Duration::from_secs(60 * 60);

pub(crate) fn run() -> Result<(), String> {
    let mut test = cargo(["test", "--package", "starttls-cli", "--locked", "--test", "it", "--", "survey::"]);
    test.args(["--include-ignored", "--nocapture", "--test-threads=1"]);
    process::run(&test, LIMIT, None)
}
