//! The cost of the gateway compared with other TLS proxies on the same machine in the same run.
//!
//! `cargo xtask bench gateway` runs the benchmark and writes `docs/benchmarks.md`, which describes the method. The
//! server under test uses one core, everything else another core. Clients and backend are separate processes, so that
//! their cost is not counted as the server's.
//!
//! `cargo bench --package starttls-gateway --bench gateway -- NAME…` measures only servers whose name contains a NAME.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

mod backend;
mod by_hand;
mod client;
mod cost;
mod load;
mod servers;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use starttls_lab::ca::{Authority, Leaf};
use starttls_testkit::process::Scratch;

use cost::Cost;
use load::{Backend, Load};
use servers::{SERVERS, Server};

/// The number of rounds. The result is the least of each figure, because other work on the machine only adds to it.
const RUNS: usize = 5;
/// The number of sessions for the processor time of one.
const SESSIONS: usize = 2000;
/// The number of sequential sessions for the duration of one.
const PATIENT: usize = 200;
/// The number of octets in each direction.
const BULK: u64 = 1 << 30;
/// The number of held connections.
const HELD: usize = 5000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["client", ref what @ ..] => client::run(what),
        ["backend"] => backend::run(),
        ["by-hand", ref what @ ..] => by_hand::serve(what),
        ["handshake", ref what @ ..] => by_hand::handshake(what),
        ["gateway", file] => servers::gateway(file.as_ref()),
        _ if words.contains(&"--bench") => {
            compare(&words.into_iter().filter(|word| !word.starts_with('-')).collect::<Vec<_>>())
        }
        // `cargo test --benches` runs no measurement.
        _ => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The settings with which all servers start.
struct Setup {
    scratch: Scratch,
    /// The certificate chain; the next two are the key, and both in one file.
    chain: PathBuf,
    key: PathBuf,
    both: PathBuf,
    root: PathBuf,
    backend: SocketAddr,
    /// The HTTP server that nginx asks for the backend of a recipient.
    directory: SocketAddr,
}

fn compare(wanted: &[&str]) -> Outcome<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let held = HELD.min(usize::try_from(most)?.saturating_sub(200) / 2);
    if held < HELD {
        eprintln!("only {held} connections are held: the limit of open files forbids more");
    }
    let backend = Backend::start()?;
    let setup = setup(&backend)?;
    let load = Load { root: setup.root.clone() };
    let servers: Vec<&Server> = SERVERS
        .iter()
        .filter(|it| wanted.is_empty() || wanted.iter().any(|word| it.name.contains(word)))
        .collect();

    let mut table: Vec<Vec<Cost>> = servers.iter().map(|_| Vec::new()).collect();
    let mut idle = Vec::new();
    for server in &servers {
        // Each measurement uses a new process, because allocators keep freed memory.
        let running = server.start(&setup)?;
        let kib = running.held(&load, held)?;
        eprintln!("{}, {}: {kib:.2?} KiB per connection", server.name, server.front.name());
        idle.push(kib);
    }
    let running = servers.iter().map(|it| it.start(&setup)).collect::<Outcome<Vec<_>>>()?;
    for round in 1..=RUNS {
        for (running, costs) in running.iter().zip(&mut table) {
            let cost = running.cost(&load)?;
            eprintln!("{}, {} {round}/{RUNS}: {cost:?}", running.server.name, running.server.front.name());
            costs.push(cost);
        }
    }
    for ((server, costs), idle) in servers.iter().zip(&table).zip(idle) {
        let figure = |of: fn(&Cost) -> Option<f64>| least(costs.iter().map(of).collect());
        let session = figure(|it| it.session);
        let bulk = [figure(|it| it.up), figure(|it| it.down)];
        row(&server.title()?, server.front.name(), session, bulk, idle, figure(|it| Some(it.latency)));
    }
    if wanted.is_empty() {
        let all = (0..RUNS).map(|_| cost::handshake(&setup).map(Some)).collect::<Outcome<_>>()?;
        row("rustls, its half of a handshake in memory", NOTHING, least(all), [None; 2], None, None);
    }
    Ok(())
}

/// The entry of a table cell without a figure.
const NOTHING: &str = "–";

fn least(all: Vec<Option<f64>>) -> Option<f64> {
    all.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().min_by(f64::total_cmp)
}

/// Prints a row of the table.
fn row(
    name: &str,
    front: &str,
    session: Option<f64>,
    bulk: [Option<f64>; 2],
    idle: Option<f64>,
    latency: Option<f64>,
) {
    let cell = |figure: Option<f64>, digits| figure.map_or(NOTHING.into(), |it| format!("{it:.digits$}"));
    let [up, down] = bulk.map(|figure| cell(figure, 2));
    let (session, idle, latency) = (cell(session, 3), cell(idle, 1), cell(latency, 2));
    println!("gateway\t{name}\t{front}\t{session}\t{up}\t{down}\t{idle}\t{latency}");
}

fn setup(backend: &Backend) -> Outcome<Setup> {
    let scratch = Scratch::new()?;
    let authority = Authority::new()?;
    let issued = authority.issue(&Leaf::named("localhost"))?;
    let (chain, key) = issued.write_to(scratch.path(), "front")?;
    let both = scratch.path().join("both.pem");
    std::fs::write(&both, [std::fs::read(&chain)?, std::fs::read(&key)?].concat())?;
    let root = scratch.path().join("root.pem");
    std::fs::write(&root, authority.root_pem())?;
    Ok(Setup { scratch, chain, key, both, root, backend: backend.smtp, directory: backend.directory })
}
