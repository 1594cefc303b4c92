//! What the TLS survey finds compared with other tools on the same servers: versions, suites, groups, Diffie-Hellman sizes
//! and certificates as sets. Every difference needs a reason in `reasons.rs`.
//!
//! `cargo xtask bench audit` runs the benchmark and writes `docs/benchmarks.md`, which explains the columns.
//! `cargo xtask bench surveys -- Postfix` runs it for one server and writes nothing.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

#[path = "../measure/counter.rs"]
mod counter;
#[path = "../measure/mod.rs"]
mod measure;
mod offer;
mod reasons;
mod servers;
mod tools;

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use counter::Counter;
use measure::{children, command, venv};
use offer::Offer;
use reasons::Explained;
use servers::{SERVERS, Server};
use starttls_testkit::process::program;
use tools::{TOOLS, Tool};

/// The time limit for one run of a tool on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    // `cargo test --benches` runs no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match compare(wanted.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: a difference has no reason");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Compares the tools on every server, or on the server with this name. Returns whether every difference has a reason.
fn compare(wanted: Option<&str>) -> Result<bool, Box<dyn Error>> {
    let venv = venv()?;
    for (name, package) in [
        ("openssl", "openssl"),
        ("gnutls-serv", "gnutls-bin"),
        ("sslscan", "sslscan"),
        ("testssl", "testssl.sh"),
        ("nmap", "nmap"),
    ] {
        program(name, package)?;
    }
    let mut explained = Explained::default();
    for (name, start) in SERVERS.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name)) {
        let server = start(&venv)?;
        let mut survey = None;
        for tool in &TOOLS {
            let Run { wall, cpu, connections, offer } = measure(name, &server, tool, &venv)?;
            let (wall, cpu) = (wall.as_secs_f64(), cpu.as_secs_f64());
            let counts = offer.counts().join("\t");
            println!("survey\t{name}\t{}\t{wall:.2}\t{cpu:.2}\t{connections}\t{counts}", tool.name);
            let survey = survey.get_or_insert(offer.clone());
            explained.add(name, tool.name, survey.differences(&offer));
        }
    }
    for line in explained.lines() {
        println!("difference\t{line}");
    }
    Ok(explained.is_complete())
}

struct Run {
    wall: Duration,
    cpu: Duration,
    connections: u32,
    offer: Offer,
}

fn measure(name: &str, server: &Server, tool: &Tool, venv: &Path) -> Result<Run, Box<dyn Error>> {
    let counter = Counter::start(server.address)?;
    // The reports stay there, to look up a difference.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("surveys").join(name);
    fs::create_dir_all(&folder)?;
    let (report, output) = (folder.join(tool.name), folder.join(format!("{} output", tool.name)));
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let words = [
        ("{starttls}", env!("CARGO_BIN_EXE_starttls").into()),
        ("{venv}", venv.display().to_string()),
        ("{scheme}", server.scheme.into()),
        ("{ip}", counter.address.ip().to_string()),
        ("{port}", counter.address.port().to_string()),
        ("{report}", report.display().to_string()),
    ];
    let options = if server.scheme == "https" { tool.implicit } else { tool.upgrade };
    let line = tool.command.replace("{options}", options);
    let mut audit = command(&format!("timeout -k5 {} {line}", LIMIT.as_secs()), &words);
    let out = File::create(&output)?;
    audit.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let (cpu, start) = (children()?, Instant::now());
    // The exit status is ignored, because each tool uses it differently for its findings.
    audit.status()?;
    let (wall, cpu) = (start.elapsed(), children()?.saturating_sub(cpu));
    let offer = fs::read_to_string(&report).ok().and_then(|report| (tool.read)(&report));
    // A tool that was stopped by the time limit has not finished its report.
    let offer = offer.filter(|offer| offer.versions.as_ref().is_some_and(|versions| !versions.is_empty()));
    let offer =
        offer.ok_or_else(|| format!("{} has no report of {name}: {}", tool.name, output.display()))?;
    Ok(Run { wall, cpu, connections: counter.total(), offer })
}
