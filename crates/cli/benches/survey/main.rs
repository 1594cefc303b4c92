//! The speed of a survey on a simulated Internet: endpoints and handshakes per second, processor time and memory, with the servers on
//! the same machine, beside tools that read a list of hosts; and of a survey on a queue with one worker and with two.
//!
//! `cargo xtask bench survey` runs it and writes `docs/benchmarks.md`, which explains the columns. Arguments are numbers of domains;
//! with `share` before them, only one worker and two are compared.
//! `cargo xtask simulation --domains N` runs one survey on a queue and prints its figures.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

mod fleet;
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../measure/usage.rs"]
mod usage;

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use fleet::{Cost as FleetCost, Figures, Options};
use measure::{children, command, venv};
use starttls_testkit::internet::{Behavior, Internet};
use starttls_testkit::process::program;
use usage::Usage;

/// The domains of the runs, without arguments.
const DOMAINS: [u32; 3] = [10_000, 100_000, 1_000_000];

/// The domains of a survey by one worker and by two, without arguments.
const SHARED_DOMAINS: u32 = 100_000;

/// Domains with servers of their own are a tenth, and each has an address of its own.
const ADDRESSES_PER_DOMAIN: f64 = 0.12;

/// The most connections of a worker at the same time. More of them make each slower, until answers come too late.
const PARALLEL_OF_WORKER: u32 = 250;

/// The same when one worker is compared with two: so few that silent servers decide how fast a worker is, and not the two cores that
/// the workers share with everything else.
const PARALLEL_OF_SHARE: u32 = 10;

/// The sound servers that each program connects to. The other tools take seconds for what the survey does in a fraction of one.
const SERVERS: usize = 20_000;
const SERVERS_OF_TOOLS: usize = 200;

/// The tools, in the mode that asks least beyond the certificate.
const TOOLS: [(&str, &str); 2] = [
    (
        "sslscan",
        "sslscan --starttls-smtp --no-colour --show-certificate --no-ciphersuites --no-groups --no-fallback \
         --no-renegotiation --no-compression --no-heartbleed --no-check-certificate --targets={list}",
    ),
    ("sslyze", "{venv}/bin/sslyze --starttls smtp --certinfo --targets_in={list}"),
];

fn main() -> ExitCode {
    // `cargo test --benches` runs no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let has = |word: &str| std::env::args().any(|arg| arg == word);
    let measured = match () {
        () if has("fleet") => simulate(&wanted),
        () if has("share") => wanted.iter().try_for_each(|domains| share_between(*domains)),
        () => measure_all(&wanted),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(wanted: &[u32]) -> Result<(), Box<dyn Error>> {
    let (domains, shared, servers) = match wanted.iter().max() {
        None => (&DOMAINS[..], SHARED_DOMAINS, SERVERS),
        Some(most) => (wanted, *most, SERVERS.min(*most as usize)),
    };
    domains.iter().try_for_each(|domains| grow(*domains))?;
    share_between(shared)?;
    compare(servers)
}

/// Compares one worker with two.
fn share_between(domains: u32) -> Result<(), Box<dyn Error>> {
    [1, 2].into_iter().try_for_each(|workers| share(domains, workers))
}

/// Surveys domains by workers on a queue, and prints the row of the table.
fn share(domains: u32, workers: usize) -> Result<(), Box<dyn Error>> {
    let parallel = PARALLEL_OF_SHARE;
    let options = Options { domains, workers, kills: 0, parallel, timeout: "5s", retry_after: "none" };
    let Figures { names, probes, endpoints, connections, handshakes, costs } = fleet::run(options)?;
    let (of_workers, others) = costs.split_at(workers);
    let cpu = |costs: &[FleetCost]| costs.iter().map(|it| it.cpu.as_secs_f64()).sum::<f64>();
    let memory = |costs: &[FleetCost]| costs.iter().map(|it| it.memory).max().unwrap_or_default();
    println!(
        "share\t{workers}\t{domains}\t{endpoints}\t{handshakes}\t{:.0}\t{:.0}\t{:.1}\t{:.1}\t{}\t{}\t{}",
        f64::from(domains) / names.as_secs_f64(),
        connections as f64 / probes.as_secs_f64(),
        cpu(of_workers),
        cpu(others),
        memory(of_workers),
        memory(&others[..1]),
        memory(&others[1..2]),
    );
    Ok(())
}

/// Runs one survey on a queue, and prints its figures. The arguments are the numbers of domains, workers and kills.
fn simulate(wanted: &[u32]) -> Result<(), Box<dyn Error>> {
    let [domains, workers, kills] = *wanted else {
        return Err("expected the numbers of domains, workers and kills".into());
    };
    let (workers, parallel) = (workers as usize, PARALLEL_OF_WORKER);
    let options = Options { domains, workers, kills, parallel, timeout: "10s", retry_after: "1s,1s" };
    let Figures { names, probes, endpoints, connections, handshakes, costs } = fleet::run(options)?;
    let wall = (names + probes).as_secs_f64();
    println!(
        "{domains} domains, {endpoints} endpoints, {connections} connections, {handshakes} handshakes in {wall:.0} s"
    );
    println!(
        "names: {:.0} s, {:.0} domains/s; probes and join: {:.0} s, {:.0} connections/s",
        names.as_secs_f64(),
        f64::from(domains) / names.as_secs_f64(),
        probes.as_secs_f64(),
        connections as f64 / probes.as_secs_f64(),
    );
    println!("{:<16} {:>8} {:>14} {:>6}", "process", "CPU, s", "resident, MiB", "kills");
    for FleetCost { name, cpu, memory, kills } in costs {
        println!("{name:<16} {:>8.1} {memory:>14} {kills:>6}", cpu.as_secs_f64());
    }
    println!("0 rows lost, 0 doubled, 0 wrong; 0 budgets exceeded, counted at the servers");
    Ok(())
}

/// Surveys this many domains of an Internet in which servers do all kinds of things.
fn grow(domains: u32) -> Result<(), Box<dyn Error>> {
    let internet = Internet::start((f64::from(domains) * ADDRESSES_PER_DOMAIN) as u32)?;
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("domains.txt");
    Internet::write_domains(&list, domains)?;
    let dns = run(&mut survey("plan", &internet, &list, folder.path(), "2s"))?;
    let probes = run(&mut survey("run", &internet, &list, folder.path(), "2s"))?;
    let (endpoints, handshakes) = (internet.referee.connections(), internet.referee.handshakes());
    println!(
        "growth\t{domains}\t{endpoints}\t{handshakes}\t{:.0}\t{:.0}\t{:.0}\t{:.3}\t{:.3}\t{}",
        per_second(domains as usize, &dns),
        per_second(endpoints, &probes),
        per_second(handshakes, &probes),
        millis_each(&dns, domains as usize),
        millis_each(&probes, endpoints),
        dns.memory.max(probes.memory),
    );
    Ok(())
}

/// Asks sound servers for their certificates, with the survey and with other tools.
fn compare(servers: usize) -> Result<(), Box<dyn Error>> {
    program("sslscan", "sslscan")?;
    let venv = venv()?;
    let internet = Internet::start_with(u32::try_from(servers)? * 2, |_| Behavior::Sound)?;
    let folder = tempfile::tempdir()?;
    let hosts = internet.servers(servers);
    for hosts in [&hosts[..], &hosts[..SERVERS_OF_TOOLS.min(hosts.len())]] {
        let list = folder.path().join(format!("{}.txt", hosts.len()));
        let lines: String = hosts.iter().map(|(domain, _)| format!("{domain}\n")).collect();
        fs::write(&list, lines)?;
        let out = folder.path().join(hosts.len().to_string());
        fs::create_dir_all(&out)?;
        run(&mut survey("plan", &internet, &list, &out, "10s"))?;
        let mut survey = survey("run", &internet, &list, &out, "10s");
        row("starttls survey", hosts.len(), &internet, &mut survey)?;
    }
    let hosts = &hosts[..SERVERS_OF_TOOLS.min(hosts.len())];
    let list = folder.path().join("addresses.txt");
    let lines: String = hosts.iter().map(|(_, address)| format!("{address}:{}\n", internet.port)).collect();
    fs::write(&list, lines)?;
    let words = [("{list}", list.display().to_string()), ("{venv}", venv.display().to_string())];
    for (name, line) in TOOLS {
        let mut tool = command(line, &words);
        // Their reports are not compared here; `cargo xtask bench audit` compares what they find.
        tool.stdout(File::create(folder.path().join("report"))?).stderr(Stdio::null());
        row(name, hosts.len(), &internet, &mut tool)?;
    }
    Ok(())
}

/// Measures one program, and fails if it did not complete a handshake with each host.
fn row(name: &str, hosts: usize, internet: &Internet, command: &mut Command) -> Result<(), Box<dyn Error>> {
    internet.referee.reset();
    let cost = run(command)?;
    let (connections, handshakes) = (internet.referee.connections(), internet.referee.handshakes());
    if handshakes < hosts {
        return Err(format!("{name} completed {handshakes} handshakes with {hosts} hosts").into());
    }
    println!(
        "tool\t{name}\t{hosts}\t{:.2}\t{:.0}\t{:.3}\t{:.1}\t{}",
        cost.wall.as_secs_f64(),
        per_second(hosts, &cost),
        millis_each(&cost, hosts),
        connections as f64 / hosts as f64,
        cost.memory,
    );
    Ok(())
}

fn survey(command: &str, internet: &Internet, list: &Path, folder: &Path, timeout: &str) -> Command {
    let mut it = Command::new(env!("CARGO_BIN_EXE_starttls"));
    it.args(["survey", command]).arg(list).arg("--out").arg(folder.join("out"));
    it.args(["--client-name", "probe.sim.test", "--own-networks", "--allow-special", "127.0.0.0/8", "-q"]);
    it.args(["--port", &internet.port.to_string(), "--resolver", &internet.resolver.to_string()]);
    it.arg("--ca-file").arg(internet.ca_file()).args(["--no-system-roots", "--retry-after", "none"]);
    // The machine decides, not the budgets.
    for budget in ["--address-rate", "--subnet-rate", "--network-rate", "--suffix-rate"] {
        it.args([budget, "100000"]);
    }
    // More at once make each of them slower, until answers come too late.
    it.args(["--timeout", timeout, "--parallel", "500", "--pause", "1ms"]).stdout(Stdio::null());
    it
}

struct Cost {
    wall: Duration,
    cpu: Duration,
    /// The most resident memory, in MiB.
    memory: u64,
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Result<Cost, Box<dyn Error>> {
    let (before, started) = (children()?, Instant::now());
    let mut child = command.spawn()?;
    let mut usage = Usage::default();
    let ended = loop {
        usage.look(child.id());
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let wall = started.elapsed();
    match ended.code() {
        // The survey ends with 7 if endpoints stayed throttled.
        Some(0 | 7) => Ok(Cost { wall, cpu: children()? - before, memory: usage.memory() }),
        _ => Err(format!("{} failed: {ended}", command.get_program().display()).into()),
    }
}

fn per_second(count: usize, cost: &Cost) -> f64 {
    count as f64 / cost.wall.as_secs_f64()
}

fn millis_each(cost: &Cost, count: usize) -> f64 {
    cost.cpu.as_secs_f64() * 1e3 / count.max(1) as f64
}
