//! Runs every check and test: dependencies first, then the cheapest first.

use crate::report::{Output, Report};
use crate::{binaries, cargo, clients, dist, docs, features, fuzz, msrv, package, public_api, root, setup};

pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    if !report.check("setup", setup::run) {
        return report.finish();
    }
    let kept = Output::Kept;
    report.step("fmt", 2, kept, &cargo(["fmt", "--all", "--check"]));
    report.step("fuzz fmt", 2, kept, &cargo(["fmt", "--manifest-path", fuzz::MANIFEST, "--check"]));
    report.check("docs", || docs::check(&root()));
    report.step("fetch", 15, kept, &cargo(["fetch", "--locked"]));
    report.step("fuzz fetch", 15, kept, &cargo(["fetch", "--locked", "--manifest-path", fuzz::MANIFEST]));
    report.step("deny", 5, kept, &cargo(["deny", "--offline", "check", "bans", "licenses", "sources"]));
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--locked", "--keep-going", "--", "-D", "warnings"];
    report.step("clippy", 20, kept, &cargo(clippy));
    features::steps(&mut report);
    msrv::steps(&mut report);
    report.check("public api", public_api::check);
    package::document(&mut report);
    package::steps(&mut report);
    binaries::steps(&mut report);
    clients::steps(&mut report);
    report.check("packages", || dist::check_packages(&root().join("target/debug/starttls")));
    fuzz::smoke(&mut report);
    report.finish()
}
