//! Runs every scenario against real clients. The outcomes must be exactly those that `attack/CLIENT.txt` expects.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../../crates/attack/tests/environment/mod.rs"]
mod environment;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use environment::Lab;
use starttls_attack::report::ScenarioOutcome;
use starttls_attack::{Campaign, Scenario, Shell};
use starttls_conformance::attack::read;

/// The time limit for one run of a client. The clients' own deadlines are much shorter, if they have any: on a busy machine, a
/// client must not look as if it had none.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit for all runs for one protocol, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

macro_rules! clients {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            attack(stringify!($name));
        })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

clients! { curl curl_lenient gnutls lftp mariadb openldap openssl psql python swaks }

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("attack")
}

#[test]
fn every_client_is_tested() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|name| name.to_str()?.strip_suffix(".txt").map(str::to_owned));
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    assert_eq!(names, TESTED);
}

fn attack(name: &str) {
    let client = read(&std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for (scheme, command) in &client.runs {
        let protocol = starttls::proto::protocol(scheme).unwrap();
        let scenarios = Scenario::all().unwrap().into_iter().filter(|it| !client.excludes(scheme, &it.id));
        let campaign = Campaign {
            protocol,
            scenarios: scenarios.collect(),
            environment: Lab::new(),
            subject: Arc::new(Shell(command.clone())),
            timeout: TIMEOUT,
            jobs: 12,
            repeat: 1,
            domain: None,
        };
        let report = runtime.block_on(async { tokio::time::timeout(DEADLINE, campaign.run()).await });
        let report = report.unwrap().unwrap();
        if report.control.outcome != ScenarioOutcome::Sound {
            wrong.push(format!("{scheme}: {}: {}", report.control.summary, report.control.output));
        }
        wrong.extend(client.differences(scheme, &report.scenarios));
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}
