//! `survey` on several machines: workers, a collector and a NATS server, each of which is killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use starttls_testkit::broker::Broker;
use starttls_testkit::internet::{Behavior, Internet, provider};

use crate::schema::fits_in;
use crate::support::scripted_server::closed;
use crate::support::{Run, starttls};
use crate::survey::{
    ADDRESS_RATE, NETWORK_RATE, SUBNET_RATE, SUFFIX_RATE, Simulation, assert_right, last_rows, rows, rows_of,
    text,
};

/// How long a lane is kept for a worker that gives no sign of life, where workers are killed or stopped:
/// short enough for a test, and long enough for a busy machine.
const LEASE: Duration = Duration::from_secs(4);

/// The same where no worker is killed: it does not end on a busy machine.
const LONG_LEASE: Duration = Duration::from_secs(30);

/// The exit code of a process that cannot reach the queue when it starts.
const UNREACHABLE: i32 = 3;

/// The deadline of a survey.
const DEADLINE: Duration = Duration::from_secs(400);

struct Fleet {
    simulation: Simulation,
    broker: Broker,
    domains: u32,
}

/// A process of the survey, which is killed with the value.
struct Process {
    name: &'static str,
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Returns the exit code, if the process has ended.
    fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().unwrap()?;
        Some(status.code().unwrap_or_else(|| panic!("{} ended with {status}: {}", self.name, self.log())))
    }

    #[track_caller]
    fn end(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(code) = self.ended() {
                return code;
            }
            assert!(started.elapsed() < DEADLINE, "{} does not end: {}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal);
    }
}

impl Process {
    /// Kills the process with SIGKILL, as std does.
    fn kill(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Fleet {
    fn new(domains: u32, addresses: u32) -> Self {
        let broker = Broker::start().unwrap_or_else(|error| panic!("{error}"));
        Self { simulation: Simulation::new(domains, addresses), broker, domains }
    }

    /// Returns "plan" or "run", which make the survey on the queue.
    fn plan(&self, command: &str, out: &str, lease: Duration) -> Command {
        self.plan_with(command, out, &["--lease", &format!("{}s", lease.as_secs())])
    }

    fn plan_with(&self, command: &str, out: &str, more: &[&str]) -> Command {
        let mut it = starttls(["survey", command]);
        it.arg(self.simulation.out("domains.txt")).arg("--out").arg(self.simulation.out(out));
        it.args(["--client-name", "probe.sim.test", "--own-networks", "--seed", "3"]);
        it.args(["--port", &self.simulation.internet.port.to_string()]);
        if !more.contains(&"--address-rate") {
            it.args(["--address-rate", &ADDRESS_RATE.to_string()]);
        }
        it.args(["--subnet-rate", &SUBNET_RATE.to_string()]);
        it.args(["--network-rate", &NETWORK_RATE.to_string(), "--suffix-rate", &SUFFIX_RATE.to_string()]);
        it.args(["--retry-after", "1s,1s", "--timeout", "10s", "--pause", "1s", "-q"]);
        it.args(more);
        self.on_queue(it)
    }

    fn on_queue(&self, mut it: Command) -> Command {
        it.args(["--queue", &self.broker.url(), "--run", "a"]);
        it
    }

    fn work(&self) -> Command {
        let Internet { resolver, .. } = &self.simulation.internet;
        let mut it = starttls(["survey", "work", "--own-networks", "--allow-special", "127.0.0.0/8", "-q"]);
        it.args(["--resolver", &resolver.to_string(), "--parallel", "40"]);
        it.arg("--ca-file").arg(self.simulation.internet.ca_file()).arg("--no-system-roots");
        self.on_queue(it)
    }

    fn collect(&self) -> Command {
        let mut it = starttls(["survey", "collect", "-q", "--out"]);
        it.arg(self.simulation.out("a"));
        self.on_queue(it)
    }

    fn start(&self, name: &'static str, mut command: Command) -> Process {
        let log = self.simulation.out(&format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Process { name, child, log }
    }

    /// Waits until the survey is on the queue.
    fn wait_for_run(&self) {
        let started = Instant::now();
        let is_planned = || {
            let run = Run::of(&mut self.on_queue(starttls(["survey", "status"])));
            run.code == 0
        };
        while !is_planned() {
            assert!(started.elapsed() < DEADLINE, "the survey is not on the queue");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Checks the folder: every target has one row, the right one, and no budget was exceeded.
    fn check(&self) {
        self.simulation.assert_polite();
        let out = self.simulation.out("a");
        Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(0);
        let last = last_rows(&out);
        last.values().for_each(assert_right);
        assert!(
            last.values().all(|row| text(row, "reach") != "crashed"),
            "a kill is not the fault of a target"
        );
        assert_eq!(rows(&out.join("results/resolve")).len(), self.domains as usize);
    }
}

#[test]
fn two_workers_share_a_survey() {
    let fleet = Fleet::new(400, 300);
    Run::of(&mut fleet.work()).exits(2).says("the queue has no run \"a\"");
    let mut plan = fleet.start("plan", fleet.plan("plan", "a", LONG_LEASE));
    fleet.wait_for_run();
    let mut workers = [fleet.start("worker-1", fleet.work()), fleet.start("worker-2", fleet.work())];
    assert_eq!(plan.end(), 0, "{}", plan.log());
    assert_eq!(fleet.simulation.internet.referee.connections(), 0, "a plan connects to no server");
    // The name on the queue belongs to one folder.
    Run::of(&mut fleet.plan("plan", "b", LONG_LEASE)).exits(2).says("does not belong to");

    let mut collect = fleet.start("collect", fleet.collect());
    let code = collect.end();
    assert!(matches!(code, 0 | 7), "{code}: {}", collect.log());
    for worker in &mut workers {
        assert_eq!(worker.end(), 0, "{}", worker.log());
        assert!(!worker.log().contains("trying again"), "{}", worker.log());
    }
    fleet.check();
    let mut status = fleet.on_queue(starttls(["survey", "status", "--format", "json"]));
    let status = Run::of(&mut status).exits(0).json();
    fits_in("survey-status.json", &status);
    assert_eq!((&status["is_done"], &status["is_running"]), (&true.into(), &false.into()), "{status}");
    let folder = starttls([Path::new("survey"), Path::new("status"), &fleet.simulation.out("a")])
        .args(["--format", "json"])
        .output()
        .unwrap();
    let folder: Value = serde_json::from_slice(&folder.stdout).unwrap();
    let of_queue = status["stages"].as_array().unwrap();
    for stage in of_queue {
        assert!(folder["stages"].as_array().unwrap().contains(stage), "{stage}: {folder}");
    }

    // Collecting again finds nothing to do.
    let before = fleet.simulation.internet.referee.connections();
    assert_eq!(fleet.start("collect", fleet.collect()).end(), code);
    assert_eq!(fleet.simulation.internet.referee.connections(), before);
}

/// A coordinator that ends after it has made the streams, and before it has recorded the settings, leaves nothing that a worker
/// could take for a run.
#[test]
fn streams_without_settings_are_no_run() {
    let fleet = Fleet::new(20, 10);
    let folder = fleet.simulation.out("a");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("plan.json"), "{}").unwrap();
    Run::of(&mut fleet.plan("plan", "a", LONG_LEASE)).exits(2).says("plan.json");
    for mut command in [fleet.on_queue(starttls(["survey", "status"])), fleet.work()] {
        Run::of(&mut command).exits(2).says("the queue has no run \"a\"");
    }
}

const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];

/// A survey with a coordinator and workers, each of which is started again if it could not reach the queue when it started.
struct Supervised {
    fleet: Fleet,
    coordinator: Process,
    workers: Vec<Process>,
}

impl Supervised {
    fn start(fleet: Fleet) -> Self {
        let coordinator = fleet.start("coordinator", fleet.plan("run", "a", LEASE));
        fleet.wait_for_run();
        let workers = WORKERS.map(|name| fleet.start(name, fleet.work())).into();
        Self { fleet, coordinator, workers }
    }

    /// Kills a worker with SIGKILL and starts it again.
    fn kill_worker(&mut self, index: usize) {
        self.workers[index].kill();
        self.workers[index] = self.fleet.start(WORKERS[index], self.fleet.work());
    }

    /// Kills the coordinator with SIGKILL and starts it again.
    fn kill_coordinator(&mut self) {
        self.coordinator.kill();
        self.coordinator = self.fleet.start("coordinator", self.fleet.plan("run", "a", LEASE));
    }

    /// Stops a worker for longer than its lease, so that its lanes go to others.
    fn stop_worker(&mut self, index: usize) {
        self.workers[index].signal(Signal::SIGSTOP);
        // Others wait longer for its lanes than the servers need to notice its last connections.
        std::thread::sleep(LEASE / 4);
        self.fleet.simulation.internet.referee.client_was_stopped();
        std::thread::sleep(2 * LEASE);
        self.workers[index].signal(Signal::SIGCONT);
    }

    /// Starts again what could not reach the queue. Returns the exit code of the coordinator, if the survey is done.
    fn look(&mut self) -> Option<i32> {
        for index in 0..self.workers.len() {
            if self.workers[index].ended() == Some(UNREACHABLE) {
                self.kill_worker(index);
            }
        }
        let ended = self.coordinator.ended();
        if ended == Some(UNREACHABLE) {
            self.kill_coordinator();
            return None;
        }
        ended
    }

    /// Waits for the end of the survey.
    #[track_caller]
    fn end(&mut self) {
        let started = Instant::now();
        let code = loop {
            if let Some(code) = self.look() {
                break code;
            }
            assert!(started.elapsed() < DEADLINE, "the survey does not end: {}", self.coordinator.log());
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(matches!(code, 0 | 7), "{code}: {}", self.coordinator.log());
        for worker in &mut self.workers {
            // It is 7 if the few look-ups that were left after a kill all failed.
            assert!(matches!(worker.end(), 0 | 7), "{}", worker.log());
        }
    }
}

/// Kills workers, the collector and the server with SIGKILL, and stops workers for longer than their lease, at moments that depend on the
/// seed alone. Returns how often, because the survey may be done before.
#[expect(clippy::print_stdout, reason = "the long form reports its figures")]
fn crash((domains, addresses): (u32, u32), kills: u32, longest_ms: u64) -> u32 {
    let started = Instant::now();
    let mut survey = Supervised::start(Fleet::new(domains, addresses));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut counts = [0_u32; 4];
    while counts.iter().sum::<u32>() < kills {
        std::thread::sleep(Duration::from_millis(100 + next(longest_ms)));
        if survey.look().is_some() {
            break;
        }
        let worker = next(3) as usize;
        let action = (counts.iter().sum::<u32>() % 4) as usize;
        counts[action] += 1;
        match action {
            0 => survey.kill_worker(worker),
            1 => survey.kill_coordinator(),
            2 => {
                survey.fleet.broker.kill();
                std::thread::sleep(Duration::from_millis(next(1500)));
                survey.fleet.broker.go_on().unwrap_or_else(|error| panic!("{error}"));
            }
            _ => survey.stop_worker(worker),
        }
    }
    survey.end();
    let fleet = &survey.fleet;
    fleet.check();
    println!(
        "{} kills of workers, {} of the collector, {} of the server, {} stops; {} endpoints, {} connections, {:.1} s: 0 lost, 0 doubled, \
         0 budgets exceeded",
        counts[0],
        counts[1],
        counts[2],
        counts[3],
        last_rows(&fleet.simulation.out("a")).len(),
        fleet.simulation.internet.referee.connections(),
        started.elapsed().as_secs_f64(),
    );
    counts.iter().sum()
}

#[test]
fn workers_a_collector_and_a_server_that_are_killed_lose_and_double_nothing() {
    crash((600, 400), 8, 1500);
}

#[test]
#[ignore = "takes minutes; cargo xtask simulation runs it"]
fn fifty_kills_on_a_queue_lose_and_double_nothing() {
    assert_eq!(crash((60_000, 12_000), 50, 4000), 50, "the survey was done before its last kill");
}

#[test]
fn an_interrupted_worker_gives_its_lanes_back() {
    let fleet = Fleet::new(300, 200);
    let mut coordinator = fleet.start("coordinator", fleet.plan("run", "a", LONG_LEASE));
    fleet.wait_for_run();
    let mut first = fleet.start("worker-1", fleet.work());
    let started = Instant::now();
    while fleet.simulation.internet.referee.connections() == 0 {
        assert!(started.elapsed() < DEADLINE, "{}", first.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end(), 143, "{}", first.log());
    let status = fleet.on_queue(starttls(["survey", "status", "--format", "json"])).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["is_running"], &status["is_done"]), (&false.into(), &false.into()), "{status}");
    let mut second = fleet.start("worker-2", fleet.work());
    assert!(matches!(coordinator.end(), 0 | 7), "{}", coordinator.log());
    assert_eq!(second.end(), 0, "{}", second.log());
    fleet.check();
}

/// The time that the guide promises, with slack for a busy machine.
const OPT_OUT_AFTER: Duration = Duration::from_secs(15);

#[test]
fn an_opt_out_reaches_the_workers_of_a_queue() {
    let fleet = Fleet::new(200, 150);
    // Five seconds between two connections to an address: the large provider would take half a minute.
    let lease = format!("{}s", LONG_LEASE.as_secs());
    let more = ["--lease", &lease, "--every-name", "--address-rate", "0.2"];
    let mut coordinator = fleet.start("coordinator", fleet.plan_with("run", "a", &more));
    fleet.wait_for_run();
    let list = fleet.simulation.out("opt-out.txt");
    let change = |words: &[&str]| {
        let mut it = starttls(["survey", "opt-out"]);
        it.arg(words[0]).arg(&list).args(&words[1..]);
        Run::of(&mut fleet.on_queue(it)).exits(0);
    };
    let on_queue = || Run::of(&mut fleet.on_queue(starttls(["survey", "opt-out", "list"]))).exits(0).stdout;
    // Before the first worker, and by an operator with another file.
    std::fs::write(&list, "five.test\n").unwrap();
    change(&["add", "AS64500", "mistake.test"]);
    std::fs::remove_file(&list).unwrap();

    let mut worker = fleet.start("worker-1", fleet.work());
    let referee = &fleet.simulation.internet.referee;
    let of_whale = |address| provider(address) == Some("whale.test");
    let started = Instant::now();
    while !referee.addresses().into_iter().any(of_whale) {
        assert!(started.elapsed() < DEADLINE, "the provider is never connected to: {}", worker.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    change(&["add", "whale.test"]);
    let added = Instant::now();
    change(&["remove", "mistake.test"]);
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "whale.test\n");
    assert_eq!(on_queue(), "AS64500\nfive.test\nwhale.test\n");
    assert!(matches!(coordinator.end(), 0 | 7), "{}", coordinator.log());
    assert_eq!(worker.end(), 0, "{}", worker.log());

    let late = referee.recent(added.elapsed().saturating_sub(OPT_OUT_AFTER), of_whale);
    assert_eq!(late, 0, "connections to the provider, long after it opted out");
    let of_five = |address| provider(address) == Some("five.test");
    assert_eq!(referee.recent(Duration::MAX, of_five), 0, "it opted out before the first worker was started");
    let mut opted_out = 0;
    for row in rows(&fleet.simulation.out("a/results/probe-1")) {
        let listed = provider(text(&row, "address").parse().unwrap()).is_some();
        let is_opted_out = text(&row, "reach") == "opted-out";
        assert!(listed || !is_opted_out, "{row}");
        opted_out += u32::from(is_opted_out);
    }
    assert!(opted_out > 5, "{opted_out} endpoints");
}

/// The server sends SIGKILL to each worker that connects to it.
#[test]
#[ignore = "takes minutes; cargo xtask simulation runs it"]
fn a_target_that_ends_workers_is_found_on_a_queue() {
    let fleet = Fleet::new(100, 80);
    let more = ["--lanes", "3", "--lease", "2s"];
    let mut plan = fleet.start("plan", fleet.plan_with("plan", "a", &more));
    fleet.wait_for_run();
    let resolves = fleet.start("worker", fleet.work());
    assert_eq!(plan.end(), 0, "{}", plan.log());
    drop(resolves);
    // The first shards of all lanes, so that there is a server that behaves well and has one name.
    let shard = |lane| fleet.simulation.out(&format!("a/shards/probe-1/{lane:04}-000000.jsonl.zst"));
    let planned: Vec<_> = (0..3).map(shard).filter(|it| it.exists()).flat_map(|it| rows_of(&it)).collect();
    let at = |row: &Value| text(row, "address").parse::<Ipv4Addr>().unwrap();
    let is_suited = |it: &Ipv4Addr| {
        let is_sound = provider(*it).is_none() && Behavior::of((*it).into()) == Behavior::Sound;
        is_sound && it.is_loopback() && planned.iter().filter(|row| at(row) == *it).count() == 1
    };
    let poison = planned.iter().map(at).find(is_suited).unwrap_or_else(|| panic!("{planned:?}"));

    // The child is killed by its handle, which knows whether it has ended.
    let victim: Arc<Mutex<Option<Process>>> = Arc::default();
    let of_server = Arc::clone(&victim);
    fleet.simulation.internet.referee.watch(move |address| {
        if address == poison
            && let Some(process) = of_server.lock().unwrap().as_mut()
        {
            let _ = process.child.kill();
        }
    });
    let mut collect = fleet.start("collect", fleet.collect());
    let mut kills = 0;
    while collect.ended().is_none() {
        let has_ended = match victim.lock().unwrap().as_mut() {
            Some(process) => process.child.try_wait().unwrap().is_some(),
            None => true,
        };
        if has_ended {
            kills += u32::from(victim.lock().unwrap().is_some());
            assert!(kills < 100, "the target is never given up");
            *victim.lock().unwrap() = Some(fleet.start("worker", fleet.work()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(matches!(collect.end(), 0 | 7), "{}", collect.log());
    *victim.lock().unwrap() = None;
    assert!(kills >= 14, "{kills} kills");
    fleet.simulation.assert_polite();
    let out = fleet.simulation.out("a");
    Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(0);
    for row in last_rows(&out).values() {
        if at(row) == poison {
            assert_eq!((text(row, "reach"), text(row, "outcome")), ("crashed", "inconclusive"), "{row}");
        } else {
            assert_right(row);
        }
    }
}

/// A server that says so is not used, before anything is stored on it.
#[test]
fn a_server_that_is_too_old_or_has_no_jetstream_is_refused() {
    for (version, has_jetstream, expected) in [
        ("2.9.10", true, "has the version \"2.9.10\": expected 2.10 or newer"),
        ("1.4.1", true, "has the version \"1.4.1\""),
        ("\\u001b[31m2", true, "has the version \"\\u{1b}[31m2\""),
        ("2.10.0", false, "has no JetStream"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let info = format!(
            "INFO {{\"server_id\":\"A\",\"version\":\"{version}\",\"go\":\"go1\",\"host\":\"127.0.0.1\",\"port\":{},\
             \"headers\":true,\"jetstream\":{has_jetstream},\"max_payload\":1048576,\"proto\":1}}\r\n",
            address.port()
        );
        // The thread ends with the client.
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(info.as_bytes()).unwrap();
            let mut commands = Vec::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                if line == "PING" {
                    let _ = stream.write_all(b"PONG\r\n");
                }
                commands.push(line.split(' ').next().unwrap_or_default().to_owned());
            }
            commands
        });
        let url = format!("nats://{address}");
        let run = Run::of(&mut starttls(["survey", "work", "--queue", &url, "--run", "a"])).exits(2);
        assert!(
            run.stderr.contains(expected) && run.stderr.contains("hint: use nats-server 2.10 or newer"),
            "{run:?}"
        );
        let commands = server.join().unwrap();
        assert!(!commands.iter().any(|it| it == "PUB" || it == "HPUB"), "{commands:?}");
    }
    let (_reserved, closed) = closed();
    let url = format!("nats://{closed}");
    Run::of(&mut starttls(["survey", "status", "--queue", &url, "--run", "a"]))
        .exits(3)
        .says("cannot connect to the queue");
}

#[test]
fn wrong_usage_of_a_queue_is_explained() {
    for (arguments, expected) in [
        (&["status", "--queue", "http://a.test", "--run", "a"][..], "expected the address of a NATS server"),
        (&["status", "--queue", "nats://me:secret@a.test", "--run", "a"], "put it into a file"),
        (&["status", "--queue", "nats://a.test", "--run", "a.b"], "letters, digits"),
        (&["status", "--queue", "nats://a.test"], "--run <NAME>"),
        (&["work"], "--queue <URL>"),
        (&["opt-out", "list"], "arguments were not provided: <FILE>"),
        (&["opt-out", "list", "a", "--queue", "nats://a.test", "--run", "a"], "cannot be used with"),
        (
            &["collect", "--queue", "nats://a.test", "--run", "a", "--out", "/nonexistent"],
            "contains no survey",
        ),
        (
            &[
                "plan",
                "-",
                "--out",
                "a",
                "--client-name",
                "a.test",
                "--own-networks",
                "--run",
                "a",
                "--queue",
                "nats://a.test",
                "--source",
                "::1",
            ],
            "cannot be used with",
        ),
    ] {
        let run = Run::of(starttls(["survey"]).args(arguments)).exits(2);
        assert!(run.stderr.contains(expected), "{run:?}");
    }
}
