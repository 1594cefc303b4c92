//! Checks that the libraries build with the oldest Rust that they promise.

use std::process::{Command, Stdio};

use crate::report::{Output, Report};
use crate::{process, root};

/// The oldest Rust that the libraries build with: `rust-version` in their manifests, which a test compares with this.
pub(crate) const VERSION: &str = "1.88";

/// The libraries, each with the features to check it with. Those of `starttls` are all that need no C compiler: the
/// sources of cryptography are crates of their own, and cargo compares their `rust-version` when they are used.
pub(crate) const LIBRARIES: &[(&str, &str)] = &[
    ("starttls-proto", "std"),
    ("starttls-hello", ""),
    ("starttls-x509", ""),
    ("starttls-report", ""),
    ("starttls-processes", ""),
    ("starttls-dns", "stub"),
    ("starttls", "native-certs,webpki-roots,tokio,raw-tls,login,submission,tracing"),
    ("starttls-inspect", ""),
];

/// Checks all libraries.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    steps(&mut report);
    report.finish()
}

/// Adds the step. Without the toolchain it is skipped, with a sentence that says how to install it.
pub(crate) fn steps(report: &mut Report) {
    if !is_installed() {
        println!(
            "msrv: skipped, because the toolchain {VERSION} is not installed; install it with \
             `rustup toolchain install {VERSION} --profile minimal`"
        );
        return;
    }
    report.step("msrv", 20, Output::Kept, &check());
}

/// Returns the check of all libraries by the old toolchain, without their default features.
fn check() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", VERSION, "cargo", "check", "--locked", "--lib", "--no-default-features"]);
    // The build folder is shared: cargo keeps the output of different compilers apart.
    for (library, features) in LIBRARIES {
        command.args(["-p", library]);
        for feature in features.split(',').filter(|feature| !feature.is_empty()) {
            command.args(["--features", &format!("{library}/{feature}")]);
        }
    }
    // cargo and rustup set these for the toolchain that runs this program.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTDOC");
    command.current_dir(root());
    command
}

/// Installs the toolchain. A failure is reported and not an error, because the check is skipped without the toolchain.
pub(crate) fn install() {
    if is_installed() {
        println!("Rust {VERSION} is installed.");
        return;
    }
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", VERSION, "--profile", "minimal"]).current_dir(root());
    println!("Installing Rust {VERSION}: {}", process::words(&install).join(" "));
    if let Err(problem) = process::run(&install, process::HALF_AN_HOUR, None) {
        println!("Rust {VERSION} cannot be installed, so the step msrv is skipped: {problem}");
    }
}

fn is_installed() -> bool {
    let mut query = Command::new("rustup");
    query.args(["run", VERSION, "rustc", "--version"]).env_remove("RUSTUP_TOOLCHAIN");
    let quiet = query.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
