//! The speed of a survey on a simulated Internet: endpoints per second, processor time and memory, servers on the same machine.
//!
//! `cargo xtask bench survey` runs it; arguments are numbers of domains.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use starttls_testkit::internet::Internet;

/// The domains of the runs, without arguments.
const DOMAINS: [u32; 3] = [10_000, 100_000, 1_000_000];

/// Domains with servers of their own are a tenth, and each has an address of its own.
const ADDRESSES_PER_DOMAIN: f64 = 0.12;

fn main() -> ExitCode {
    // `cargo test --benches` runs no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let wanted = if wanted.is_empty() { DOMAINS.to_vec() } else { wanted };
    for domains in wanted {
        if let Err(problem) = measure(domains) {
            eprintln!("error: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(domains: u32) -> Result<(), Box<dyn Error>> {
    let internet = Internet::start((f64::from(domains) * ADDRESSES_PER_DOMAIN) as u32)?;
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("domains.txt");
    Internet::write_domains(&list, domains)?;
    let survey = |command: &str| {
        let mut it = Command::new(env!("CARGO_BIN_EXE_starttls"));
        it.args(["survey", command]).arg(&list).arg("--out").arg(folder.path().join("out"));
        it.args([
            "--client-name",
            "probe.sim.test",
            "--own-networks",
            "--allow-special",
            "127.0.0.0/8",
            "-q",
        ]);
        it.args(["--port", &internet.port.to_string(), "--resolver", &internet.resolver.to_string()]);
        it.arg("--ca-file").arg(internet.ca_file()).args(["--no-system-roots", "--retry-after", "none"]);
        // The machine decides, not the budgets.
        for budget in ["--address-rate", "--subnet-rate", "--network-rate", "--suffix-rate"] {
            it.args([budget, "100000"]);
        }
        it.args(["--timeout", "2s", "--parallel", "2000", "--pause", "1ms"]).stdout(Stdio::null());
        it
    };
    let (planned, dns, _) = run(survey("plan"))?;
    let before = internet.referee.connections();
    let (ran, cpu, memory) = run(survey("run"))?;
    let endpoints = (internet.referee.connections() - before) as f64;
    println!(
        "survey\t{domains}\t{endpoints:.0}\t{:.0}\t{:.0}\t{:.3}\t{:.3}\t{memory}",
        f64::from(domains) / planned.as_secs_f64(),
        endpoints / ran.as_secs_f64(),
        dns.as_secs_f64() * 1e3 / f64::from(domains),
        cpu.as_secs_f64() * 1e3 / endpoints,
    );
    Ok(())
}

/// Runs a command, and returns its time, its processor time, and its largest memory in MiB.
fn run(mut command: Command) -> Result<(Duration, Duration, u64), Box<dyn Error>> {
    let (before, started) = (spent()?, Instant::now());
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        memory = peak.unwrap_or(memory);
        std::thread::sleep(Duration::from_millis(100));
    };
    match ended.code() {
        Some(0 | 7) => Ok((started.elapsed(), spent()? - before, memory / 1024)),
        _ => Err(format!("the survey failed: {ended}").into()),
    }
}

/// Returns the processor time of all child processes that have ended.
fn spent() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let spent = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(spent.try_into()?))
}
