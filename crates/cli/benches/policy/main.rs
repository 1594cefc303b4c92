//! `starttls policy serve` beside postfix-mta-sts-resolver: cached answers per second, their delay, memory, and the start.
//!
//! `cargo xtask bench policy` runs the benchmark and writes `docs/benchmarks.md`, which explains the columns.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

mod dns;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The policies that are stored before the start.
const STORED: usize = 10_000;
/// The domains that are asked for memory.
const DOMAINS: usize = 100_000;
/// The answers that are measured one at a time, and pipelined.
const SINGLE: usize = 20_000;
const PIPELINED: usize = 200_000;
/// The requests in one write.
const BATCH: usize = 50;
/// The time limit for each answer.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // `cargo test --benches` runs no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let ours = figures(&ours(folder.path(), dns::serve()?)?, Some(DOMAINS))?;
    println!("policy\t`starttls policy serve`\t{ours}");
    // Its cache in memory has 10,000 entries, and the cache in SQLite is not in memory.
    let theirs = figures(&theirs(folder.path(), &venv()?)?, None)?;
    println!("policy\tpostfix-mta-sts-resolver, SQLite\t{theirs}");
    println!("policy\tthe first divided by the second\t{}", ours.ratios(&theirs));
    Ok(())
}

/// How to start a service.
struct Launch {
    command: Vec<String>,
    address: SocketAddr,
}

impl Launch {
    fn start(&self) -> Result<Service, Box<dyn Error>> {
        let mut command = Command::new(&self.command[0]);
        let child = command.args(&self.command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Service { child, address: self.address })
    }
}

/// A service that runs. It is killed at the end.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Returns the resident memory of the process, in MiB.
    fn memory(&self) -> Result<f64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    fn connect(&self) -> Result<Client, Box<dyn Error>> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(LIMIT))?;
                    return Ok(Client { reader: BufReader::with_capacity(1 << 16, stream) });
                }
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// A connection to a service.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Asks about these domains in one write, and reads the answers, which are not empty.
    fn ask(&mut self, domains: impl Iterator<Item = usize>) -> Result<(), Box<dyn Error>> {
        let (mut text, mut count) = (String::new(), 0);
        for domain in domains {
            let request = format!("postfix d{domain}.test");
            write!(text, "{}:{request},", request.len())?;
            count += 1;
        }
        self.reader.get_mut().write_all(text.as_bytes())?;
        for _ in 0..count {
            let mut length = 0;
            loop {
                let mut octet = [0];
                self.reader.read_exact(&mut octet)?;
                match octet[0] {
                    b':' => break,
                    digit => length = length * 10 + usize::from(digit.wrapping_sub(b'0')),
                }
            }
            let mut reply = vec![0; length + 1];
            self.reader.read_exact(&mut reply)?;
            if !reply.starts_with(b"OK ") && !reply.starts_with(b"NOTFOUND ") {
                return Err(format!("answered {}", String::from_utf8_lossy(&reply).escape_debug()).into());
            }
        }
        Ok(())
    }
}

/// What was measured of a service.
struct Figures {
    /// Answers per second, each asked after the one before.
    single: f64,
    /// The delay of these answers, in microseconds.
    median: f64,
    p99: f64,
    /// Answers per second, [`BATCH`] questions in one write.
    pipelined: f64,
    /// Resident memory, in MiB, after [`STORED`] domains.
    memory: f64,
    /// The same after [`DOMAINS`] domains, if the service can keep so many.
    large: Option<f64>,
    /// From the start of the process to the first answer, in milliseconds.
    start: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { single, median, p99, pipelined, memory, large, start } = self;
        let large = large.map_or_else(|| String::from("-"), |it| format!("{it:.0}"));
        write!(f, "{single:.0}\t{median:.0}\t{p99:.0}\t{pipelined:.0}\t{memory:.0}\t{large}\t{start:.0}")
    }
}

impl Figures {
    fn ratios(&self, other: &Self) -> String {
        let of = |figure: fn(&Self) -> f64| format!("{:.2}", figure(self) / figure(other));
        [
            of(|it| it.single),
            of(|it| it.median),
            of(|it| it.p99),
            of(|it| it.pipelined),
            of(|it| it.memory),
            String::from("-"),
            of(|it| it.start),
        ]
        .join("\t")
    }
}

fn figures(launch: &Launch, domains: Option<usize>) -> Result<Figures, Box<dyn Error>> {
    let started = Instant::now();
    let service = launch.start()?;
    let mut client = service.connect()?;
    client.ask(0..1)?;
    let start = started.elapsed().as_secs_f64() * 1e3;
    // Everything that is measured below is in the cache.
    for first in (0..STORED).step_by(BATCH) {
        client.ask(first..first + BATCH)?;
    }
    let mut delays = Vec::with_capacity(SINGLE);
    let began = Instant::now();
    for nth in 0..SINGLE {
        let asked = Instant::now();
        client.ask(std::iter::once(nth % STORED))?;
        delays.push(asked.elapsed());
    }
    let single = rate(SINGLE, began.elapsed());
    delays.sort_unstable();
    let [median, p99] = [SINGLE / 2, SINGLE * 99 / 100].map(|at| delays[at].as_secs_f64() * 1e6);
    let began = Instant::now();
    for first in (0..PIPELINED).step_by(BATCH) {
        client.ask((first..first + BATCH).map(|it| it % STORED))?;
    }
    let pipelined = rate(PIPELINED, began.elapsed());
    let memory = service.memory()?;
    for first in (STORED..domains.unwrap_or_default()).step_by(BATCH) {
        client.ask(first..first + BATCH)?;
    }
    let large = domains.map(|_| service.memory()).transpose()?;
    Ok(Figures { single, median, p99, pipelined, memory, large, start })
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A policy as a JSON string contains it.
const POLICY: &str = "version: STSv1\\nmode: enforce\\nmax_age: 1209600\\nmx: mx.test";

/// Returns how to start `policy serve` with a file of policies.
fn ours(folder: &Path, resolver: SocketAddr) -> Result<Launch, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut text = String::from("{\"starttls-policies\":1}\n");
    for domain in 0..STORED {
        writeln!(
            text,
            "{{\"domain\":\"d{domain}.test\",\"id\":\"1\",\"fetched\":{now},\"text\":\"{POLICY}\"}}"
        )?;
    }
    let path = folder.join("policies.jsonl");
    std::fs::write(&path, text)?;
    let address = free()?;
    let (at, dns, path) = (address.to_string(), resolver.to_string(), path.display().to_string());
    let command = [
        env!("CARGO_BIN_EXE_starttls"),
        "policy",
        "serve",
        "--listen",
        &at,
        "--resolver",
        &dns,
        "--state",
        &path,
    ];
    Ok(Launch { command: command.map(str::to_owned).to_vec(), address })
}

/// Returns how to start the other service, with the same policies in its cache, which it need not look up again.
fn theirs(folder: &Path, venv: &Path) -> Result<Launch, Box<dyn Error>> {
    let (database, configuration) = (folder.join("cache.db"), folder.join("daemon.yml"));
    let script = format!(
        "import json, sqlite3, time
base = sqlite3.connect('{}')
base.execute('create table sts_policy_cache (domain text, ts integer, pol_id text, pol_body text)')
body = json.dumps({{'version': 'STSv1', 'mode': 'enforce', 'max_age': 1209600, 'mx': ['mx.test']}})
now = int(time.time())
base.executemany('insert into sts_policy_cache values (?, ?, ?, ?)', [('d%d.test' % n, now, '1', body) for n in range({STORED})])
base.execute('create unique index sts_policy_domain on sts_policy_cache (domain)')
base.commit()",
        database.display()
    );
    let made = Command::new(venv.join("bin/python3")).args(["-c", &script]).status()?;
    if !made.success() {
        return Err("the cache of postfix-mta-sts-resolver was not made".into());
    }
    let address = free()?;
    std::fs::write(
        &configuration,
        format!(
            "host: 127.0.0.1\nport: {}\ncache_grace: 86400\ncache:\n  type: sqlite\n  options:\n    filename: \"{}\"\n",
            address.port(),
            database.display()
        ),
    )?;
    let program = venv.join("bin/mta-sts-daemon").display().to_string();
    Ok(Launch { command: vec![program, String::from("-c"), configuration.display().to_string()], address })
}

/// Returns an address with a port that was free a moment ago.
fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Returns the folder of postfix-mta-sts-resolver, which has no Debian package in every release.
fn venv() -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postfix-mta-sts-resolver");
    if !folder.join("bin/mta-sts-daemon").exists() {
        let run = |command: &mut Command| match command.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err("postfix-mta-sts-resolver needs python3-venv (Debian) and PyPI"),
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "postfix-mta-sts-resolver[sqlite,uvloop]"]))?;
    }
    Ok(folder)
}
