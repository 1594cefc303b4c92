//! `survey` on a simulated Internet: right results, kept budgets, and nothing lost or doubled when it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use starttls_testkit::internet::{Behavior, Internet, expected_result};

use crate::schema::fits_in;
use crate::support::{Run, starttls};

/// The budgets of the tests: high enough to end soon, and low enough to be exceeded by a program without them.
pub(crate) const ADDRESS_RATE: f64 = 10.0;
pub(crate) const SUBNET_RATE: f64 = 40.0;
pub(crate) const NETWORK_RATE: f64 = 80.0;
pub(crate) const SUFFIX_RATE: f64 = 60.0;

pub(crate) struct Simulation {
    pub(crate) internet: Internet,
    folder: tempfile::TempDir,
}

impl Simulation {
    pub(crate) fn new(domains: u32, addresses: u32) -> Self {
        let internet = Internet::start(addresses).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Internet::write_domains(&folder.path().join("domains.txt"), domains).unwrap();
        Self { internet, folder }
    }

    pub(crate) fn out(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the command for a survey into this folder. What `more` does not set has the value of all tests.
    pub(crate) fn command(&self, command: &str, out: &str, more: &[&str]) -> Command {
        let Internet { port, resolver, .. } = &self.internet;
        let mut it = starttls(["survey", command]);
        it.arg(self.out("domains.txt")).arg("--out").arg(self.out(out));
        it.args(["--own-networks", "--allow-special", "127.0.0.0/8", "--no-system-roots"]);
        it.arg("--ca-file").arg(self.internet.ca_file());
        for (option, value) in [
            ("--client-name", CLIENT_NAME),
            ("--port", &port.to_string()),
            ("--resolver", &resolver.to_string()),
            ("--address-rate", &ADDRESS_RATE.to_string()),
            ("--subnet-rate", &SUBNET_RATE.to_string()),
            ("--network-rate", &NETWORK_RATE.to_string()),
            ("--suffix-rate", &SUFFIX_RATE.to_string()),
            ("--retry-after", "1s,1s"),
            // Long enough for a busy machine, and shorter than a silent server waits.
            ("--timeout", "10s"),
            ("--pause", "1s"),
            ("--parallel", "40"),
        ] {
            if !more.contains(&option) {
                it.args([option, value]);
            }
        }
        it.args(more);
        it
    }

    /// Fails if a budget was exceeded, as far as the servers know.
    #[track_caller]
    pub(crate) fn assert_polite(&self) {
        let referee = &self.internet.referee;
        assert_eq!(referee.excess_of_suffixes(SUFFIX_RATE, 50), [], "suffixes");
        for (length, rate, at_once) in [(32, ADDRESS_RATE, 1), (24, SUBNET_RATE, 10), (16, NETWORK_RATE, 50)]
        {
            assert_eq!(referee.excess(length, rate, at_once), [], "/{length}");
        }
    }
}

/// The name of the surveyor.
pub(crate) const CLIENT_NAME: &str = "probe.sim.test";

/// The deadline of one survey, which waits for silent servers, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

/// Runs a survey to its end: every endpoint has a result, also if some stayed throttled.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> i32 {
    finished(spawn(command), DEADLINE)
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a survey.
#[track_caller]
pub(crate) fn finished(mut child: Child, limit: Duration) -> i32 {
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(matches!(status.code(), Some(0 | 7)), "{status}: {error}");
    status.code().unwrap()
}

/// Reads the rows of all files in a folder.
pub(crate) fn rows(folder: &Path) -> Vec<Value> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        assert!(path.to_str().unwrap().ends_with(".jsonl.zst"), "{} is left", path.display());
        found.extend(rows_of(&path));
    }
    found
}

/// Reads the rows of a file.
pub(crate) fn rows_of(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    zstd::stream::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

pub(crate) fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("{name} in {row}"))
}

/// Returns the last row of each endpoint.
pub(crate) fn last_rows(out: &Path) -> BTreeMap<String, Value> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for pass in 1..=3 {
        let folder = out.join(format!("results/probe-{pass}"));
        if !folder.exists() {
            break;
        }
        let mut keys = BTreeSet::new();
        for row in rows(&folder) {
            assert!(keys.insert(text(&row, "key").to_owned()), "a row is doubled: {row}");
            last.insert(text(&row, "key").to_owned(), row);
        }
    }
    last
}

/// Fails unless a row shows what the server does.
#[track_caller]
pub(crate) fn assert_right(row: &Value) {
    let address: IpAddr = text(row, "address").parse().unwrap();
    let (reach, outcome) = (text(row, "reach"), text(row, "outcome"));
    let expected = expected_result(address, text(row, "server_name"), reach);
    assert_eq!((reach, outcome), expected, "{:?}: {row}", Behavior::of(address));
}

#[test]
fn a_survey_has_the_right_row_for_each_endpoint_and_domain() {
    let simulation = Simulation::new(400, 300);
    let code = finish(&mut simulation.command("run", "a", &["--seed", "3"]));
    simulation.assert_polite();

    let out = simulation.out("a");
    let last = last_rows(&out);
    assert!(last.len() > 100, "{} endpoints", last.len());
    for row in last.values() {
        fits_in("survey-endpoint.json", row);
        assert_right(row);
    }
    let referee = &simulation.internet.referee;
    assert_eq!(referee.hellos(), BTreeSet::from([String::from(CLIENT_NAME)]), "the name in EHLO");
    let outcomes: BTreeSet<_> = last.values().map(|row| text(row, "outcome")).collect();
    for outcome in ["sound", "findings", "declined", "inconclusive", "violation", "tls-failed"] {
        assert!(outcomes.contains(outcome), "{outcomes:?}");
    }
    // 160 customers of one provider are probed by three names at each of its 24 addresses.
    let whale = last.keys().filter(|key| key.contains(".whale.test")).count();
    assert!((24..=72).contains(&whale), "{whale} names of the provider");

    let domains = rows(&out.join("results/resolve"));
    assert_eq!(domains.len(), 400);
    let status = |name: &str| domains.iter().filter(|row| text(row, "status") == name).count();
    for (name, count) in [("null-mx", 4), ("implicit-mx", 4), ("no-name", 4), ("failed", 4), ("mx", 384)] {
        assert_eq!(status(name), count, "{name}");
    }
    domains.iter().for_each(|row| fits_in("survey-domain.json", row));
    rows(&out.join("results/addresses")).iter().for_each(|row| fits_in("survey-address.json", row));
    rows(&out.join("evidence/probe-1")).iter().for_each(|row| fits_in("survey-evidence.json", row));

    let joined: Vec<_> = rows(&out.join("joined")).into_iter().collect();
    let (certificates, joined): (Vec<_>, Vec<_>) =
        joined.into_iter().partition(|row| row.get("pem").is_some());
    assert_eq!(joined.len(), 400);
    for row in &joined {
        fits_in("survey-joined.json", row);
        // The names of the provider that were not probed have the result of the others.
        if text(row, "domain")
            .strip_prefix('d')
            .and_then(|it| it.strip_suffix(".test")?.parse::<u32>().ok())
            .unwrap()
            % 100
            < 40
        {
            assert_eq!((text(row, "best"), text(row, "worst")), ("sound", "sound"), "{row}");
            assert_eq!((&row["endpoints"], &row["verified"]), (&Value::from(2), &Value::from(2)), "{row}");
        }
    }
    let hashes: BTreeSet<_> = certificates.iter().map(|row| text(row, "sha256")).collect();
    assert_eq!(hashes.len(), certificates.len(), "each certificate once");
    certificates.iter().for_each(|row| fits_in("survey-certificate.json", row));

    let verified = Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(0);
    assert!(verified.stdout.contains("0 problems"), "{verified:?}");
    let status =
        Run::of(starttls([Path::new("survey"), Path::new("status"), &out]).args(["--format", "json"]))
            .exits(0);
    fits_in("survey-status.json", &status.json());
    assert_eq!(status.json()["is_done"], true);

    // The same command goes on with the run, and has nothing to do.
    let before = simulation.internet.referee.connections();
    let again = finish(&mut simulation.command("run", "a", &["--seed", "3"]));
    assert_eq!((again, simulation.internet.referee.connections()), (code, before));
    Run::of(&mut simulation.command("run", "a", &["--seed", "4"]))
        .exits(2)
        .says("with other settings: the seed");

    // A row that is missing, and a file that is cut off.
    let results = out.join("results/probe-1");
    let path = std::fs::read_dir(results).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(1);
}

#[test]
fn a_plan_connects_to_no_server_and_an_offer_needs_no_tls() {
    let simulation = Simulation::new(100, 60);
    let plan = Run::of(&mut simulation.command("plan", "a", &["--probe", "offer"])).exits(0);
    assert!(plan.stdout.contains("endpoints") && plan.stdout.contains("at least"), "{plan:?}");
    assert_eq!(simulation.internet.referee.connections(), 0);
    Run::of(&mut simulation.command("run", "a", &[])).exits(2).says("with other settings: the probe");
    finish(&mut simulation.command("run", "a", &["--probe", "offer"]));
    for row in last_rows(&simulation.out("a")).values() {
        let Ok(IpAddr::V4(address)) = text(row, "address").parse::<IpAddr>() else { panic!("{row}") };
        assert!(row["tls"].is_null() && row["connections"].as_u64() <= Some(1), "{row}");
        if Behavior::of(address.into()) == Behavior::Sound && text(row, "reach") == "answered" {
            assert_eq!((text(row, "outcome"), &row["offered"]), ("offered", &Value::from(true)), "{row}");
        }
    }
    simulation.assert_polite();
}

#[test]
fn those_that_opted_out_and_those_that_are_blocked_are_not_dialed() {
    let simulation = Simulation::new(200, 100);
    let list = simulation.out("opt-out.txt");
    let opt_out = |words: &[&str]| {
        let mut command = starttls(["survey", "opt-out"]);
        command.args(&words[..1]).arg(&list).args(&words[1..]);
        Run::of(&mut command)
    };
    opt_out(&["add", "whale.test", "127.26.0.0/16", "AS64500"]).exits(0);
    opt_out(&["remove", "AS64501"]).exits(2).says("is not in");
    assert_eq!(opt_out(&["list"]).exits(0).stdout, "127.26.0.0/16\nAS64500\nwhale.test\n");
    let list = list.to_str().unwrap();
    finish(&mut simulation.command("run", "a", &["--opt-out", list, "--block", "127.27.0.0/16"]));
    let mut words = BTreeMap::new();
    for row in last_rows(&simulation.out("a")).values() {
        let address = text(row, "address");
        let expected = match () {
            () if text(row, "server_name").ends_with(".whale.test") || address.starts_with("127.26.") => {
                "opted-out"
            }
            () if address.starts_with("127.27.") || address == "10.0.0.1" => "blocked",
            () => continue,
        };
        assert_eq!((text(row, "reach"), &row["connections"]), (expected, &Value::from(0)), "{row}");
        *words.entry(expected).or_insert(0) += 1;
    }
    assert!(words.len() == 2, "{words:?}");
    for network in ["127.26.", "127.27."] {
        assert!(
            !simulation.internet.referee.addresses().iter().any(|it| it.to_string().starts_with(network))
        );
    }
}

/// Kills the survey with SIGKILL at `kills` moments that depend on the seed alone, and checks that it ends with the rows that the
/// servers' behavior demands: each endpoint once, in each pass that it belongs to.
#[expect(clippy::print_stdout, reason = "the long form reports its figures")]
fn crash((domains, addresses): (u32, u32), kills: u32, longest_ms: u64, limit: Duration) {
    let simulation = Simulation::new(domains, addresses);
    let started = Instant::now();
    let mut moment = 0x2545_f491_4f6c_dd1d_u64;
    let mut killed = 0;
    while killed < kills {
        assert!(started.elapsed() < limit, "{killed} of {kills} kills");
        let mut command = simulation.command("run", "a", &["-q"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(50 + (moment >> 33) % longest_ms));
        if let Some(status) = child.try_wait().unwrap() {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            assert!(matches!(status.code(), Some(0 | 7)), "{status}: {error}");
            // The survey is done before its last kill; the others hit what there was.
            break;
        }
        // std's kill is SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    finished(spawn(&mut simulation.command("run", "a", &["-q"])), limit);
    simulation.assert_polite();
    let out = simulation.out("a");
    Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(0);
    let last = last_rows(&out);
    last.values().for_each(assert_right);
    assert!(last.values().all(|row| text(row, "reach") != "crashed"), "a kill is not the fault of a target");
    assert_eq!(rows(&out.join("results/resolve")).len(), domains as usize);
    println!(
        "{killed} kills, {} endpoints, {} connections, {:.1} s, lag {:?}: 0 lost, 0 doubled, 0 budgets exceeded",
        last.len(),
        simulation.internet.referee.connections(),
        started.elapsed().as_secs_f64(),
        simulation.internet.referee.lag(),
    );
}

#[test]
fn a_survey_that_is_killed_loses_and_doubles_nothing() {
    crash((600, 400), 8, 1500, DEADLINE);
}

#[test]
#[ignore = "takes minutes; cargo xtask simulation runs it"]
fn a_survey_that_is_killed_fifty_times_loses_and_doubles_nothing() {
    crash((60_000, 12_000), 50, 4000, Duration::from_secs(1500));
}

/// The referee must notice what it is there for.
#[test]
fn the_servers_notice_a_survey_that_exceeds_the_budgets() {
    let simulation = Simulation::new(2000, 300);
    // Without TLS, so that the budgets decide and not the machine.
    let command = simulation.command("run", "a", &["--every-name", "--probe", "offer"]);
    let budgets = [ADDRESS_RATE, SUBNET_RATE, NETWORK_RATE, SUFFIX_RATE].map(|it| it.to_string());
    let faster = command
        .get_args()
        .map(|it| it.to_str().unwrap())
        .map(|word| if budgets.iter().any(|it| it == word) { "5000" } else { word });
    finish(&mut starttls(faster));
    let referee = &simulation.internet.referee;
    assert!(!referee.excess(32, ADDRESS_RATE, 1).is_empty(), "{} connections", referee.connections());
    assert!(!referee.excess_of_suffixes(SUFFIX_RATE, 50).is_empty(), "{} connections", referee.connections());
}

#[test]
fn a_survey_without_dns_says_so() {
    let simulation = Simulation::new(10, 40);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = starttls(["survey", "plan"]);
    command.arg(simulation.out("domains.txt")).arg("--out").arg(simulation.out("a"));
    command.args(["--client-name", "probe.sim.test", "--own-networks", "--timeout", "500ms"]);
    command.args(["--resolver", &silent.local_addr().unwrap().to_string()]);
    let run = Run::of(&mut command).exits(7);
    assert!(run.stderr.contains("resolve: done, failed 10"), "{run:?}");
    assert!(run.stderr.contains("warning: no look-up was answered; check the DNS resolver"), "{run:?}");
}
