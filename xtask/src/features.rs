//! Checks the combinations of the libraries' features that programs use.

use crate::cargo;
use crate::report::{Output, Report};

/// The features of `starttls`. Each combination is one that a program has a reason for; together they contain every feature with and without each that
/// it could depend on.
const COMBINATIONS: &[(&str, &str)] = &[
    ("with a crypto provider of its own", ""),
    ("blocking, on ring, with Mozilla's roots", "ring,webpki-roots"),
    ("blocking, traced", "ring,tracing"),
    ("blocking, with login", "aws-lc-rs,native-certs,login"),
    ("blocking, sends mail", "aws-lc-rs,native-certs,submission"),
    ("tokio, on ring", "ring,native-certs,tokio"),
    ("tokio, without login", "aws-lc-rs,native-certs,tokio"),
    ("tokio, probes", "aws-lc-rs,raw-tls"),
    ("everything", "aws-lc-rs,ring,native-certs,webpki-roots,tokio,raw-tls,login,submission,tracing"),
];

/// The features of the command: none, and each alone. The other steps check all of them together.
const COMMAND: &[&str] = &["", "attack", "gateway", "inspect", "lab", "nats", "web"];

/// A target that has no standard library.
pub(crate) const NO_STD_TARGET: &str = "thumbv7em-none-eabi";

/// Checks all combinations.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    steps(&mut report);
    report.finish()
}

/// Adds one step for each combination.
pub(crate) fn steps(report: &mut Report) {
    let no_std =
        ["check", "--locked", "-p", "starttls-proto", "--no-default-features", "--target", NO_STD_TARGET];
    report.step("proto without std", 5, Output::Kept, &cargo(no_std));
    for (at, (use_case, features)) in COMBINATIONS.iter().enumerate() {
        let clippy = [
            "clippy",
            "--locked",
            "-p",
            "starttls",
            "--lib",
            "--no-default-features",
            "--features",
            features,
            "--",
            "-D",
            "warnings",
        ];
        println!("{use_case}: {}", if features.is_empty() { "no features" } else { features });
        report.step(&format!("features {}", at + 1), 10, Output::Kept, &cargo(clippy));
    }
    for features in COMMAND {
        let clippy = [
            "clippy",
            "--locked",
            "-p",
            "starttls-cli",
            "--no-default-features",
            "--features",
            features,
            "--",
            "-D",
            "warnings",
        ];
        let name = if features.is_empty() { "alone" } else { features };
        report.step(&format!("command {name}"), 10, Output::Kept, &cargo(clippy));
    }
}
