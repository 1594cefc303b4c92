//! Audits every rogue and every sound server many times, beside threads that keep the processor busy.

use std::time::Duration;

use crate::{cargo, process};

const USAGE: &str = "usage: cargo xtask proof [--runs N]";

/// The number of busy threads; two, so that a machine with two cores has no idle core.
const LOAD: &str = "2";

/// The limits for one run with both versions of TLS, and for the build.
const RUN: Duration = Duration::from_secs(300);
const BUILD: Duration = Duration::from_secs(1200);

pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let runs: u16 = match *args {
        [] => 20,
        ["--runs", number] => number.parse().map_err(|_| String::from(USAGE))?,
        _ => return Err(String::from(USAGE)),
    };
    let mut test = cargo(["test", "--package", "starttls-audit", "--locked", "--test", "proof"]);
    test.args(["--", "--nocapture"]).env("PROOF_RUNS", runs.to_string()).env("PROOF_LOAD", LOAD);
    process::run(&test, BUILD + RUN * runs.into(), None)
}
