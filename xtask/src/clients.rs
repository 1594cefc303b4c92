//! Runs client libraries of other projects over streams of ours, against the lab.

use crate::cargo;
use crate::report::{Output, Report};

const MANIFEST: &str = "examples/clients/Cargo.toml";

/// Runs all steps.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    steps(&mut report);
    report.finish()
}

/// Checks the format and the lints of the examples, and runs them.
pub(crate) fn steps(report: &mut Report) {
    report.step("clients fmt", 2, Output::Kept, &cargo(["fmt", "--manifest-path", MANIFEST, "--check"]));
    // The build shares the files of dependencies with the main workspace.
    let with = |command| cargo([command, "--locked", "--manifest-path", MANIFEST, "--target-dir", "target"]);
    report.step(
        "clients clippy",
        20,
        Output::Kept,
        with("clippy").args(["--all-targets", "--", "-D", "warnings"]),
    );
    report.step("clients test", 30, Output::Kept, &with("test"));
}
