//! What is seen of a running `survey`, and what it sees: metrics, status and the opt-out list.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use starttls_testkit::internet::provider;

use crate::contrib::assert_metrics_exist;
use crate::support::process::Live;
use crate::support::{Run, starttls};
use crate::survey::{DEADLINE, Simulation, finished, rows, spawn, text};

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

/// Reads metrics: each has its help and its type first, and each value once.
#[track_caller]
fn samples(metrics: &str) -> Samples {
    let mut promtool = Command::new("promtool");
    let checked = Run::with_input(promtool.args(["check", "metrics"]), metrics.as_bytes());
    // promtool reports syntax errors by its exit code and style problems in its output.
    assert_eq!((checked.code, checked.stdout + &checked.stderr), (0, String::new()), "{metrics}");
    let (mut found, mut described) = (Samples::new(), BTreeSet::new());
    for line in metrics.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            described.insert(kind.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let of_histogram =
                ["_bucket", "_sum", "_count"].iter().filter_map(|end| family.strip_suffix(end));
            assert!(of_histogram.chain([family]).any(|it| described.contains(it)), "{line}");
            let value = value.parse().unwrap();
            assert_eq!(found.insert(name.to_owned(), value), None, "{line}");
        }
    }
    assert!(found.keys().all(|it| !it.contains("127.") && !it.contains(".test")), "{metrics}");
    found
}

/// Sends a request and returns the status line and the body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_metrics_are_those_of_the_rows() {
    let simulation = Simulation::new(200, 150);
    let more = ["--metrics", "127.0.0.1:0", "--retry-after", "1h"];
    let mut running = Live::start(&mut simulation.command("run", "a", &more));
    running.is_told("metrics: http://").is_told("/metrics\n").is_told("probe-2: begins in");
    let address = running.stderr().split("metrics: http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    assert_eq!(get(&address, "/").0, "HTTP/1.1 404 Not Found");
    let (status, body) = get(&address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let metrics = samples(&body);
    let metric = |name: &str| {
        let name = format!("starttls_survey_{name}");
        *metrics.get(&name).unwrap_or_else(|| panic!("{name} in {body}"))
    };

    let out = simulation.out("a");
    let mut all = 0;
    for (stage, word) in [("resolve", "status"), ("addresses", ""), ("probe-1", "reach")] {
        let rows = rows(&out.join("results").join(stage));
        all += rows.len();
        for name in ["planned_targets", "done_targets"] {
            assert_eq!(metric(&format!("{name}{{stage=\"{stage}\"}}")), rows.len() as f64, "{stage}");
        }
        assert_eq!(metric(&format!("open_lanes{{stage=\"{stage}\"}}")), 0.0);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for row in rows.iter().filter(|_| !word.is_empty()) {
            *counts.entry(text(row, word).to_owned()).or_default() += 1;
        }
        for (reach, count) in &counts {
            let name = format!("targets_total{{stage=\"{stage}\",reach=\"{reach}\"}}");
            assert_eq!(metric(&name), f64::from(*count), "{name}");
        }
        let of_stage = format!("starttls_survey_targets_total{{stage=\"{stage}\"");
        let sum: f64 = metrics.iter().filter(|(it, _)| it.starts_with(&of_stage)).map(|(_, it)| it).sum();
        assert_eq!(sum, rows.len() as f64, "{stage}");
    }
    assert!(metric("targets_total{stage=\"probe-1\",reach=\"throttled\"}") > 0.0);
    assert!(metric("floor_seconds{stage=\"probe-1\"}") > 0.0);
    assert_eq!((metric("inflight"), metric("queue_errors_total{op=\"save\"}")), (0.0, 0.0));
    assert_eq!(metric("target_seconds_count"), all as f64);
    assert_eq!(metric("target_seconds_bucket{le=\"+Inf\"}"), all as f64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 600.0..=now).contains(&metric("last_progress_timestamp_seconds")), "{body}");

    // One question for the exchangers of each domain, and two for the addresses of each exchanger.
    let questions =
        metric("done_targets{stage=\"resolve\"}") + 2.0 * metric("done_targets{stage=\"addresses\"}");
    assert_eq!(metric("dns_seconds_count"), questions);
    let probed = rows(&out.join("results/probe-1"));
    let connected = probed.iter().filter(|row| row["connections"].as_u64() > Some(0)).count() as f64;
    let shook_hands = probed.iter().filter(|row| !row["tls"].is_null()).count() as f64;
    assert!(shook_hands > 10.0 && metric("handshake_seconds_count") >= shook_hands, "{body}");
    assert!(
        metric("connect_seconds_count") > shook_hands && metric("connect_seconds_count") <= connected,
        "{body}"
    );
    assert!(metric("handshake_seconds_sum") > 0.0 && metric("connect_seconds_sum") > 0.0, "{body}");
    assert_metrics_exist("starttls_survey_", &body, true);
    assert!(metric("lane_hold_seconds_count") > 16.0, "each lane of each stage: {body}");

    // The same from the folder alone, while the survey waits and after it was stopped.
    let status = |format: &str| {
        let mut command = starttls(["survey", "status", "--format", format]);
        Run::of(command.arg(&out)).exits(0)
    };
    let of_folder = samples(&status("prometheus").stdout);
    let from_folder = |name: &str| of_folder[&format!("starttls_survey_{name}")];
    for name in ["planned_targets", "open_lanes"] {
        for stage in ["resolve", "addresses", "probe-1"] {
            let name = format!("{name}{{stage=\"{stage}\"}}");
            assert_eq!(from_folder(&name), metric(&name), "{name}");
        }
    }
    assert_eq!(
        from_folder("done_shards{stage=\"probe-1\"}"),
        from_folder("planned_shards{stage=\"probe-1\"}")
    );
    assert!(from_folder("planned_shards{stage=\"probe-2\"}") > 0.0);
    assert_eq!(from_folder("done_shards{stage=\"probe-2\"}"), 0.0);
    assert!((1.0..=3600.0).contains(&from_folder("due_seconds{stage=\"probe-2\"}")));
    assert_eq!((from_folder("is_running"), from_folder("is_done")), (1.0, 0.0));
    assert!(status("text").stdout.contains("probe-2"));

    let pid = Pid::from_raw(running.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(running.end().code, 143);
    assert_eq!(samples(&status("prometheus").stdout)["starttls_survey_is_running"], 0.0);
}

/// The slack of this test for a busy machine, after the five seconds that the guide promises.
const SLACK: Duration = Duration::from_secs(10);

#[test]
fn networks_that_opt_out_are_left_alone_within_seconds() {
    let simulation = Simulation::new(200, 150);
    let list = simulation.out("opt-out.txt");
    std::fs::write(&list, "# empty\n").unwrap();
    // Five seconds between two connections to an address: the large provider would take half a minute.
    let more = ["--opt-out", list.to_str().unwrap(), "--every-name", "--address-rate", "0.2", "-q"];
    let survey =
        spawn(&mut simulation.command("run", "a", &[&more[..], &["--retry-after", "none"]].concat()));
    let referee = &simulation.internet.referee;
    let of_whale = |address| provider(address) == Some("whale.test");
    let started = Instant::now();
    while !referee.addresses().into_iter().any(of_whale) {
        assert!(started.elapsed() < Duration::from_secs(120), "the provider is never connected to");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut add = starttls(["survey", "opt-out", "add"]);
    Run::of(add.arg(&list).arg("whale.test")).exits(0);
    let added = Instant::now();
    finished(survey, DEADLINE);

    let since = added.elapsed().saturating_sub(Duration::from_secs(5) + SLACK);
    let late = referee.recent(since, of_whale);
    assert_eq!(late, 0, "connections to the provider, long after it opted out");
    let mut counts = BTreeMap::new();
    for row in rows(&simulation.out("a").join("results/probe-1")) {
        let Ok(IpAddr::V4(address)) = text(&row, "address").parse() else { panic!("{row}") };
        if of_whale(address) {
            *counts.entry(text(&row, "reach").to_owned()).or_insert(0_usize) += 1;
        } else {
            assert_ne!(text(&row, "reach"), "opted-out", "{row}");
        }
    }
    let before = referee.recent(Duration::MAX, of_whale);
    assert_eq!(counts.get("answered"), Some(&before), "{counts:?}");
    assert!(counts["opted-out"] > 0, "{counts:?}");
}

#[test]
fn an_audit_of_many_connections_ends_when_its_operator_opts_out() {
    let simulation = Simulation::new(100, 80);
    let list = simulation.out("opt-out.txt");
    std::fs::write(&list, "# empty\n").unwrap();
    // Two seconds between two of up to thirty connections to an address.
    let more = ["--opt-out", list.to_str().unwrap(), "--probe", "full", "--address-rate", "0.5", "-q"];
    let survey =
        spawn(&mut simulation.command("run", "a", &[&more[..], &["--retry-after", "none"]].concat()));
    let referee = &simulation.internet.referee;
    let started = Instant::now();
    while referee.connections() < 60 {
        assert!(started.elapsed() < Duration::from_secs(120), "{} connections", referee.connections());
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut add = starttls(["survey", "opt-out", "add"]);
    Run::of(add.arg(&list).arg("127.0.0.0/8")).exits(0);
    let added = Instant::now();
    finished(survey, DEADLINE);
    let since = added.elapsed().saturating_sub(Duration::from_secs(5) + SLACK);
    assert_eq!(referee.recent(since, |_| true), 0, "connections after the opt-out");
    let rows = rows(&simulation.out("a").join("results/probe-1"));
    let ended = rows.iter().filter(|row| text(row, "reach") == "opted-out");
    let connections: Vec<_> = ended.map(|row| row["connections"].as_u64().unwrap()).collect();
    assert!(connections.contains(&0), "endpoints that were not connected to yet: {connections:?}");
    assert!(connections.iter().any(|it| *it > 0), "audits that were ended: {connections:?}");
    let all: u64 = rows.iter().map(|row| row["connections"].as_u64().unwrap()).sum();
    assert_eq!(all, referee.connections() as u64, "each connection is in a row");
}
