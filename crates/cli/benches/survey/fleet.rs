//! A survey with a coordinator, workers and a NATS server as processes of their own, which can be killed meanwhile. Its rows are
//! compared with the list of domains and with what the servers do, and its connections with the budgets.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use starttls_testkit::broker::Broker;
use starttls_testkit::internet::{Internet, expected_result};

use crate::ADDRESSES_PER_DOMAIN;
use crate::usage::{Usage, own_time};

/// The budgets: low enough to be exceeded by a program without them, and high enough that they need seconds for the whole survey.
const ADDRESS_RATE: f64 = 10.0;
const SUBNET_RATE: f64 = 40.0;
const NETWORK_RATE: f64 = 80.0;
const SUFFIX_RATE: f64 = 60.0;

/// The connections at once to an address, a /24, and a /16 or a suffix, which have no options.
const AT_ONCE: [usize; 3] = [1, 10, 50];

/// The pass with the highest number.
const PASSES: u8 = 3;

/// A lane is kept for a worker that was killed for this time, in seconds.
const LEASE: &str = "10s";

/// The time between two kills: a random one up to twice this.
const KILL_EVERY: Duration = Duration::from_secs(8);

/// How often the processes are looked at.
const TICK: Duration = Duration::from_millis(50);

/// The exit code of a process that cannot reach the queue when it starts.
const UNREACHABLE: i32 = 3;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) domains: u32,
    pub(crate) workers: usize,
    pub(crate) kills: u32,
    /// The most connections of a worker at the same time.
    pub(crate) parallel: u32,
    /// The limit for each answer.
    pub(crate) timeout: &'static str,
    /// The waits before the further passes.
    pub(crate) retry_after: &'static str,
}

/// The costs of a process, over all of its starts.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) name: String,
    pub(crate) cpu: Duration,
    /// The most resident memory, in MiB.
    pub(crate) memory: u64,
    pub(crate) kills: u32,
}

/// The figures of a survey without an error.
#[derive(Debug)]
pub(crate) struct Figures {
    /// The time until all names were looked up and all endpoints were planned.
    pub(crate) names: Duration,
    /// The time from then on, until the results were joined.
    pub(crate) probes: Duration,
    pub(crate) endpoints: usize,
    pub(crate) connections: usize,
    pub(crate) handshakes: usize,
    /// The workers, the coordinator, the server of the queue, and the servers of the Internet.
    pub(crate) costs: Vec<Cost>,
}

/// Runs a survey and checks it.
pub(crate) fn run(options: Options) -> Result<Figures, Box<dyn Error>> {
    let internet = Internet::start((f64::from(options.domains) * ADDRESSES_PER_DOMAIN) as u32)?;
    let folder = tempfile::tempdir()?;
    Internet::write_domains(&folder.path().join("domains.txt"), options.domains)?;
    let started = Instant::now();
    let mut fleet = Fleet::new(options, &internet, folder.path())?;
    fleet.wait(false)?;
    let names = started.elapsed();
    let collect = fleet.collect();
    fleet.parts[0].restart_as(collect)?;
    fleet.wait(true)?;
    let probes = started.elapsed() - names;
    let costs = fleet.end()?;

    let out = folder.path().join("a");
    let endpoints = check_rows(&out, options.domains)?;
    check_budgets(&internet)?;
    let verified = starttls("verify").arg(&out).stdout(Stdio::null()).status()?;
    if !verified.success() {
        return Err(format!("survey verify found problems: {verified}").into());
    }
    let (connections, handshakes) = (internet.referee.connections(), internet.referee.handshakes());
    Ok(Figures { names, probes, endpoints, connections, handshakes, costs })
}

/// A program that is started again when it was killed, or when it could not reach the queue.
struct Part {
    name: String,
    command: Command,
    child: Child,
    log: PathBuf,
    usage: Usage,
    kills: u32,
}

impl Part {
    fn start(name: &str, folder: &Path, mut command: Command) -> Result<Self, Box<dyn Error>> {
        let log = folder.join(format!("{name}.log"));
        let child = spawn(&mut command, &log)?;
        Ok(Self { name: name.to_owned(), command, child, log, usage: Usage::default(), kills: 0 })
    }

    /// Measures the process. Returns the exit code if it has ended.
    fn look(&mut self) -> Result<Option<i32>, Box<dyn Error>> {
        self.usage.look(self.child.id());
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        match status.code() {
            Some(UNREACHABLE) => self.restart()?,
            Some(code) => return Ok(Some(code)),
            None => return Err(self.failed(&status.to_string())),
        }
        Ok(None)
    }

    fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        self.kills += 1;
        // std's kill is SIGKILL.
        self.child.kill()?;
        self.child.wait()?;
        self.restart()
    }

    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        self.usage.ended();
        self.child = spawn(&mut self.command, &self.log)?;
        Ok(())
    }

    fn restart_as(&mut self, command: Command) -> Result<(), Box<dyn Error>> {
        self.command = command;
        self.restart()
    }

    fn failed(&self, how: &str) -> Box<dyn Error> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("{} ended with {how}: {log}", self.name).into()
    }

    fn cost(&self) -> Cost {
        Cost {
            name: self.name.clone(),
            cpu: self.usage.cpu(),
            memory: self.usage.memory(),
            kills: self.kills,
        }
    }
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child, Box<dyn Error>> {
    let file = File::options().create(true).append(true).open(log)?;
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn()?)
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Fleet<'a> {
    folder: &'a Path,
    broker: Broker,
    broker_usage: Usage,
    broker_kills: u32,
    servers: Duration,
    /// The coordinator, and the workers.
    parts: Vec<Part>,
    kills: u32,
    next_kill: Instant,
    random: u64,
}

impl<'a> Fleet<'a> {
    fn new(options: Options, internet: &Internet, folder: &'a Path) -> Result<Self, Box<dyn Error>> {
        let broker = Broker::start()?;
        let servers = own_time()?;
        let mut fleet = Self {
            folder,
            broker,
            broker_usage: Usage::default(),
            broker_kills: 0,
            servers,
            parts: Vec::new(),
            kills: options.kills,
            next_kill: Instant::now() + KILL_EVERY,
            random: 0x2545_f491_4f6c_dd1d,
        };
        fleet.parts.push(Part::start("coordinator", folder, fleet.plan(internet, options))?);
        fleet.wait_for_run()?;
        for number in 1..=options.workers {
            let name = format!("worker-{number}");
            fleet.parts.push(Part::start(&name, folder, fleet.work(internet, options.parallel))?);
        }
        Ok(fleet)
    }

    fn on_queue(&self, mut it: Command) -> Command {
        it.args(["--queue", &self.broker.url(), "--run", "a"]);
        it
    }

    fn plan(&self, internet: &Internet, options: Options) -> Command {
        let mut it = starttls("plan");
        it.arg(self.folder.join("domains.txt")).arg("--out").arg(self.folder.join("a"));
        it.args(["--client-name", "probe.sim.test", "--own-networks", "--lease", LEASE]);
        it.args(["--port", &internet.port.to_string()]);
        for (budget, rate) in [
            ("--address-rate", ADDRESS_RATE),
            ("--subnet-rate", SUBNET_RATE),
            ("--network-rate", NETWORK_RATE),
            ("--suffix-rate", SUFFIX_RATE),
        ] {
            it.args([budget, &rate.to_string()]);
        }
        it.args(["--retry-after", options.retry_after, "--timeout", options.timeout, "--pause", "1s"]);
        self.on_queue(it)
    }

    fn work(&self, internet: &Internet, parallel: u32) -> Command {
        let mut it = starttls("work");
        it.args(["--own-networks", "--allow-special", "127.0.0.0/8", "--no-system-roots"]);
        it.args(["--resolver", &internet.resolver.to_string(), "--parallel", &parallel.to_string()]);
        it.arg("--ca-file").arg(internet.ca_file());
        self.on_queue(it)
    }

    fn collect(&self) -> Command {
        let mut it = starttls("collect");
        it.arg("--out").arg(self.folder.join("a"));
        self.on_queue(it)
    }

    /// Waits until the survey is on the queue, so that a worker finds it.
    fn wait_for_run(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let mut status = self.on_queue(starttls("status"));
            if status.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
                return Ok(());
            }
            if let Some(code) = self.parts[0].look()?
                && code != 0
            {
                return Err(self.parts[0].failed(&code.to_string()));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Waits until the coordinator ends. In the last phase the workers may notice the end first.
    fn wait(&mut self, is_last: bool) -> Result<(), Box<dyn Error>> {
        loop {
            for index in 0..self.parts.len() {
                match (index, self.parts[index].look()?) {
                    (_, None) => {}
                    (0, Some(code)) if is_end(code) => return Ok(()),
                    (1.., Some(code)) if is_last && is_end(code) => {}
                    (index, Some(code)) => return Err(self.parts[index].failed(&code.to_string())),
                }
            }
            self.look_at_broker();
            if self.kills > 0 && Instant::now() >= self.next_kill {
                self.kills -= 1;
                self.kill()?;
                self.next_kill = Instant::now() + KILL_EVERY.mul_f64(self.random(2000) as f64 / 1000.0);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Kills a process with SIGKILL, and starts it again.
    fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        let index = self.random(self.parts.len() as u64 + 1) as usize;
        if let Some(part) = self.parts.get_mut(index) {
            return part.kill();
        }
        self.broker.kill();
        self.broker_usage.ended();
        self.broker_kills += 1;
        std::thread::sleep(Duration::from_millis(self.random(1500)));
        Ok(self.broker.go_on()?)
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn look_at_broker(&mut self) {
        if let Some(id) = self.broker.id() {
            self.broker_usage.look(id);
        }
    }

    /// Waits for the end of the workers, and returns the costs.
    fn end(mut self) -> Result<Vec<Cost>, Box<dyn Error>> {
        let mut costs = Vec::new();
        for part in self.parts.iter_mut().skip(1) {
            let code = loop {
                if let Some(code) = part.look()? {
                    break code;
                }
                std::thread::sleep(TICK);
            };
            if !is_end(code) {
                return Err(part.failed(&code.to_string()));
            }
            costs.push(part.cost());
        }
        self.look_at_broker();
        costs.push(self.parts[0].cost());
        let (cpu, memory) = (self.broker_usage.cpu(), self.broker_usage.memory());
        costs.push(Cost { name: String::from("NATS server"), cpu, memory, kills: self.broker_kills });
        let mut own = Usage::default();
        own.look(std::process::id());
        let cpu = own_time()?.saturating_sub(self.servers);
        costs.push(Cost { name: String::from("servers and DNS"), cpu, memory: own.memory(), kills: 0 });
        Ok(costs)
    }
}

/// Returns whether a survey ends with this code. It is 7 if endpoints stayed throttled, or if the few look-ups that were left after a
/// kill all failed.
fn is_end(code: i32) -> bool {
    matches!(code, 0 | 7)
}

fn starttls(command: &str) -> Command {
    let mut it = Command::new(env!("CARGO_BIN_EXE_starttls"));
    it.args(["survey", command]);
    it
}

#[derive(Deserialize)]
struct DomainLine {
    domain: String,
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct EndpointLine {
    address: IpAddr,
    server_name: String,
}

#[derive(Deserialize)]
struct ResultLine {
    #[serde(flatten)]
    endpoint: EndpointLine,
    reach: String,
    outcome: String,
}

/// Fails unless every domain and every planned endpoint has one row, and the last row of each endpoint shows what its server does.
/// Returns the number of endpoints.
fn check_rows(out: &Path, domains: u32) -> Result<usize, Box<dyn Error>> {
    for (what, files) in [
        ("looked up", files(&out.join("results/resolve"))?),
        ("joined", vec![out.join("joined/domains.jsonl.zst")]),
    ] {
        let mut seen = vec![false; domains as usize];
        each_line(&files, |row: DomainLine| {
            let number = row.domain.strip_prefix('d').and_then(|it| it.strip_suffix(".test"));
            let number: usize = number.ok_or_else(|| row.domain.clone())?.parse()?;
            if first_time(seen.get_mut(number)) {
                Ok(())
            } else {
                Err(format!("{} is {what} twice", row.domain).into())
            }
        })?;
        let missing = seen.iter().filter(|seen| !**seen).count();
        if missing > 0 {
            return Err(format!("{missing} of {domains} domains are not {what}").into());
        }
    }
    let mut last: HashMap<EndpointLine, (String, String)> = HashMap::new();
    for pass in 1..=PASSES {
        let mut planned = HashMap::new();
        each_line(&files(&out.join(format!("shards/probe-{pass}")))?, |target: EndpointLine| {
            planned.insert(target, false);
            Ok(())
        })?;
        each_line(&files(&out.join(format!("results/probe-{pass}")))?, |row: ResultLine| {
            if !first_time(planned.get_mut(&row.endpoint)) {
                let EndpointLine { address, server_name } = &row.endpoint;
                return Err(format!("a row of {server_name} at {address} is doubled or not planned").into());
            }
            last.insert(row.endpoint, (row.reach, row.outcome));
            Ok(())
        })?;
        let missing = planned.values().filter(|seen| !**seen).count();
        if missing > 0 {
            return Err(format!("{missing} of {} endpoints have no row in pass {pass}", planned.len()).into());
        }
    }
    for (EndpointLine { address, server_name }, (reach, outcome)) in &last {
        let expected = expected_result(*address, server_name, reach);
        if (reach.as_str(), outcome.as_str()) != expected {
            let found = format!("{reach}, {outcome}; expected {}, {}", expected.0, expected.1);
            return Err(format!("the row of {server_name} at {address} is wrong: {found}").into());
        }
    }
    Ok(last.len())
}

/// Marks something planned as seen, and returns whether it is planned and was not seen before.
fn first_time(seen: Option<&mut bool>) -> bool {
    seen.is_some_and(|seen| !std::mem::replace(seen, true))
}

/// Returns the compressed files in a folder; none if it does not exist.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let paths: Result<Vec<_>, _> = fs::read_dir(folder)?.map(|it| it.map(|it| it.path())).collect();
    Ok(paths?.into_iter().filter(|it| it.to_string_lossy().ends_with(".jsonl.zst")).collect())
}

fn each_line<T: DeserializeOwned>(
    files: &[PathBuf],
    mut each: impl FnMut(T) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for path in files {
        let decoder = zstd::stream::Decoder::new(File::open(path)?)?;
        for line in BufReader::new(decoder).lines() {
            each(serde_json::from_str(&line?)?)?;
        }
    }
    Ok(())
}

/// Fails if a budget was exceeded, as far as the servers know.
fn check_budgets(internet: &Internet) -> Result<(), Box<dyn Error>> {
    let referee = &internet.referee;
    let mut found = referee.excess_of_suffixes(SUFFIX_RATE, AT_ONCE[2]);
    for (length, rate, at_once) in
        [(32, ADDRESS_RATE, AT_ONCE[0]), (24, SUBNET_RATE, AT_ONCE[1]), (16, NETWORK_RATE, AT_ONCE[2])]
    {
        found.extend(referee.excess(length, rate, at_once));
    }
    match found.first() {
        None => Ok(()),
        Some(first) => {
            Err(format!("{} budgets were exceeded; {}: {}", found.len(), first.network, first.why).into())
        }
    }
}
