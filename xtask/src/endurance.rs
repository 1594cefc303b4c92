//! The gateway's endurance tests at their full size, with their figures.

use std::time::Duration;

use crate::{cargo, process};

/// For the build and all tests; they run one after the other, so that the figures are each test's own.
const LIMIT: Duration = Duration::from_secs(45 * 60);

pub(crate) fn run() -> Result<(), String> {
    let mut test = cargo(["test", "--package", "starttls-gateway", "--locked", "--test", "endurance"]);
    test.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    process::run(&test, LIMIT, None)
}
