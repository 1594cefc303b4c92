//! The cost of an audit compared with other tools on the same server: time, processor time and connections.
//!
//! `cargo xtask bench audit` runs the benchmark for SMTP and writes `docs/benchmarks.md`, which explains the columns.
//! `cargo xtask bench tools imap` runs it for another protocol and writes nothing.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a benchmark is what it prints")]

#[path = "measure/counter.rs"]
mod counter;
mod measure;

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use counter::Counter;
use measure::{children, command, venv};
use starttls::proto::Escaped;
use starttls_audit::render::json;
use starttls_audit::report::CheckOutcome;
use starttls_testkit::process::{program, run};
use starttls_testkit::real::{SERVERS, Setup};

/// The number of runs; the result is their median. A tool that takes longer than `ONCE` runs once.
const RUNS: usize = 3;
const ONCE: Duration = Duration::from_secs(60);

/// The time limit for one run of a tool on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    // `cargo test --benches` runs no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match compare(wanted.as_deref().unwrap_or("smtp")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn compare(protocol: &str) -> Result<(), Box<dyn Error>> {
    let venv = venv()?;
    let packages = [("openssl", "openssl"), ("sslscan", "sslscan"), ("testssl", "testssl.sh")];
    packages.iter().try_for_each(|(name, package)| program(name, package).map(drop))?;
    let server = SERVERS.iter().find(|server| server.protocols.contains(&protocol));
    let server = server.ok_or_else(|| format!("no real server speaks {protocol}"))?;
    let setup = Setup::new()?;
    let running = (server.start)(&setup)?;
    let endpoint = running.endpoint(protocol).ok_or("the server lacks an endpoint")?;
    let folder = tempfile::tempdir()?;
    let roots = folder.path().join("root.pem");
    fs::write(&roots, setup.authority.root_pem())?;
    let counter = Counter::start(endpoint.address)?;
    let report = folder.path().join("report");
    let words = [
        ("{starttls}", env!("CARGO_BIN_EXE_starttls").into()),
        ("{venv}", venv.display().to_string()),
        ("{protocol}", protocol.into()),
        ("{name}", endpoint.server_name.clone()),
        ("{ip}", counter.address.ip().to_string()),
        ("{port}", counter.address.port().to_string()),
        ("{roots}", roots.display().to_string()),
        ("{report}", report.display().to_string()),
    ];

    let mut costs = TOOLS.map(|_| Vec::new());
    for round in 1..=RUNS {
        for (tool, costs) in TOOLS.iter().zip(&mut costs) {
            if costs.iter().any(|it: &Cost| it.wall > ONCE) {
                continue;
            }
            let cost = measure(tool, &words, &report, &counter)?;
            eprintln!("{} {round}/{RUNS}: {cost:?}", tool.name);
            costs.push(cost);
        }
    }
    for (tool, costs) in TOOLS.iter().zip(&costs) {
        let said = run(&mut command(tool.version, &words)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        let version = said.split_whitespace().find(is_number).unwrap_or("?");
        let wall = median(costs.iter().map(|it| it.wall)).as_secs_f64();
        let cpu = median(costs.iter().map(|it| it.cpu)).as_secs_f64();
        let connections = median(costs.iter().map(|it| it.connections));
        let (upgrade, tls) = median(costs.iter().map(|it| it.found));
        let Tool { name, looks, .. } = tool;
        println!("tool\t{name} {version}\t{wall:.2}\t{cpu:.2}\t{connections}\t{upgrade} / {tls}\t{looks}");
    }
    Ok(())
}

fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

struct Tool {
    name: &'static str,
    version: &'static str,
    /// The command; each `{…}` stands for a value of the run.
    audit: &'static str,
    /// Returns the number of findings about the upgrade and about TLS.
    found: fn(&str) -> (u32, u32),
    looks: &'static str,
}

const TOOLS: [Tool; 5] = [
    Tool {
        name: "starttls check",
        version: "{starttls} --version",
        audit: "{starttls} check --no-system-roots --ca-file {roots} --format json --output {report} \
                --connect {ip}:{port} {protocol}://{name}",
        found: |report| {
            let report = json::read(report).ok();
            let findings = report.iter().flat_map(|it| &it.endpoints).flat_map(|it| &it.findings);
            let told = findings.filter(|it| {
                !matches!(
                    it.outcome,
                    CheckOutcome::NotApplicable | CheckOutcome::NotRun | CheckOutcome::Inconclusive
                )
            });
            let (tls, upgrade): (Vec<_>, Vec<_>) =
                told.partition(|it| it.id.starts_with("cert-") || it.id.starts_with("tls-"));
            (upgrade.len() as u32, tls.len() as u32)
        },
        looks: "the upgrade: offer, injection, fixation, enforcement, fallback, leaks; the certificate; versions",
    },
    Tool {
        name: "openssl s_client",
        version: "openssl version",
        audit: "openssl s_client -starttls {protocol} -connect {ip}:{port} -servername {name} -verify_hostname {name} \
                -CAfile {roots}",
        found: |output| {
            let told = "Peer signing digest|Peer signature type|Server Temp Key|Verification:|New, |Early data \
                        |Server public key|Secure Renegotiation|Compression:|No ALPN";
            (1, lines(output, told))
        },
        looks: "one handshake and its certificate",
    },
    Tool {
        name: "sslscan",
        version: "sslscan --no-colour --version",
        audit: "sslscan --no-colour --starttls-{protocol} --sni-name={name} --xml={report} {ip}:{port}",
        found: |report| {
            let told = "<protocol|<renegotiation|<compression|<fallback|<heartbleed|<cipher|<group|<pk|<subject\
                        |<signature-algorithm|<altnames|<issuer|<self-signed|<not-valid|<expired";
            (1, lines(report, told))
        },
        looks: "versions, suites, groups; known weaknesses; the certificate's main fields",
    },
    Tool {
        name: "sslyze",
        version: "{venv}/bin/pip show sslyze",
        audit: "{venv}/bin/sslyze --quiet --starttls={protocol} --certinfo_ca_file={roots} --json_out={report} \
                {name}:{port}{{ip}}",
        found: |report| (1, lines(report, "\"status\": \"COMPLETED\"")),
        looks: "versions, suites, groups; known weaknesses; the certificate and its chain",
    },
    Tool {
        name: "testssl.sh",
        version: "testssl --version",
        audit: "testssl --warnings off --color 0 --nodns none --jsonfile {report} --add-ca {roots} --ip {ip} \
                --starttls {protocol} {name}:{port}",
        found: |report| {
            let report: serde_json::Value = serde_json::from_str(report).unwrap_or_default();
            let ids = report.as_array().into_iter().flatten().filter_map(|it| it["id"].as_str());
            // `service` is only the result that the upgrade works; the other two ids are about testssl.sh itself.
            (1, ids.filter(|id| !["service", "scanTime", "engine_problem"].contains(id)).count() as u32)
        },
        looks: "versions, suites, groups, preferences; known weaknesses; the certificate; simulated clients",
    },
];

/// Returns the number of lines that start with one of these prefixes, which `|` separates.
fn lines(text: &str, told: &str) -> u32 {
    text.lines().filter(|line| told.split('|').any(|begin| line.trim_start().starts_with(begin))).count()
        as u32
}

#[derive(Debug)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    connections: u32,
    found: (u32, u32),
}

fn measure(
    tool: &Tool,
    words: &[(&str, String)],
    report: &Path,
    counter: &Counter,
) -> Result<Cost, Box<dyn Error>> {
    let output = report.with_extension("out");
    if report.exists() {
        fs::remove_file(report)?;
    }
    // The exit status is ignored, because each tool uses it differently for its findings.
    let mut audit = command(&format!("timeout -k5 {} {}", LIMIT.as_secs(), tool.audit), words);
    let out = File::create(&output)?;
    audit.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let (connections, cpu) = (counter.total(), children()?);
    let start = Instant::now();
    let status = audit.status()?;
    let (wall, cpu) = (start.elapsed(), children()?.saturating_sub(cpu));
    let connections = counter.total() - connections;
    let said = fs::read(report).or_else(|_| fs::read(&output))?;
    let found = (tool.found)(&String::from_utf8_lossy(&said));
    // `timeout` exits with 124 after the time limit.
    if found.1 == 0 || status.code() == Some(124) {
        return Err(format!("{} has not done its work: {}", tool.name, Escaped(&fs::read(&output)?)).into());
    }
    Ok(Cost { wall, cpu, connections, found })
}
