//! Type-checks the library and the command for systems other than Linux.
//!
//! `cargo check` needs no linker and no SDK. The one C library, AWS-LC, is not compiled: its build script is replaced by its
//! result (`links` overrides in cargo's configuration), and its bindings for these targets are in the crate. So this finds
//! Rust code that does not compile elsewhere. It runs nothing.

use std::fs;
use std::process::Command;

use crate::report::{Output, Report};
use crate::{cargo, root};

/// The targets, and the features of the command that exist there.
const TARGETS: &[(&str, &str)] =
    &[("aarch64-apple-darwin", "inspect,lab"), ("x86_64-pc-windows-gnu", "inspect")];

/// Checks the targets that are installed. Fails if none is.
pub(crate) fn run() -> Result<(), String> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let installed = installed.map_err(|error| format!("cannot run rustup: {error}"))?;
    let installed = String::from_utf8_lossy(&installed.stdout).into_owned();
    let aws_lc = aws_lc_links()?;
    let mut report = Report::default();
    let mut checked = 0;
    for (target, features) in TARGETS {
        if !installed.lines().any(|line| line == *target) {
            println!("{target} is not installed: rustup target add {target}");
            continue;
        }
        checked += 1;
        let library = ["check", "--locked", "-p", "starttls", "--lib", "--target", target];
        report.step(
            &format!("{target} lib"),
            20,
            Output::Kept,
            overridden(&mut cargo(library), target, &aws_lc),
        );
        let command =
            ["check", "--locked", "-p", "starttls-cli", "--no-default-features", "--target", target];
        for (name, features) in [("minimal", ""), ("command", *features)] {
            let mut command = cargo(command);
            command.args(["--features", features]);
            report.step(
                &format!("{target} {name}"),
                20,
                Output::Kept,
                overridden(&mut command, target, &aws_lc),
            );
        }
    }
    if checked == 0 {
        return Err(String::from("none of the targets is installed"));
    }
    report.finish()
}

/// Replaces the build script of AWS-LC by what it prints for this target.
fn overridden<'a>(command: &'a mut Command, target: &str, aws_lc: &str) -> &'a Command {
    let key = format!("target.{target}.{aws_lc}");
    let bindings = target.replace('-', "_");
    command.args(["--config", &format!("{key}.include='/nonexistent'")]);
    command.args(["--config", &format!("{key}.rustc-cfg=['{bindings}']")])
}

/// Returns the name in the `links` key of aws-lc-sys, which contains its version.
fn aws_lc_links() -> Result<String, String> {
    let lock =
        fs::read_to_string(root().join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    let version = lock
        .split_once("name = \"aws-lc-sys\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(version, _)| version)
        .ok_or("Cargo.lock does not contain aws-lc-sys")?;
    Ok(format!("aws_lc_{}", version.replace('.', "_")))
}
