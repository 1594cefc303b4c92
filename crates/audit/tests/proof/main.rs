//! The auditor audited, by each version of TLS: no weakness of the lab's rogues is missed, and nothing else found.
//!
//! `PROOF_RUNS` says how often in a row (once by default) and `PROOF_LOAD` beside how many threads that keep the
//! processor busy (none); `cargo xtask proof` sets both. `ROGUE` takes the weaknesses whose names begin like that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "a proof has figures")]

mod load;
mod rogues;
mod sound;

use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::TlsVersion::{self, Tls12, Tls13};
use starttls::{Connector, proto::Protocol};
use starttls_audit::report::EndpointReport;
use starttls_audit::{Audit, Limits};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// For one audit, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);

/// Audits at once: most of their time is spent waiting.
const AT_ONCE: usize = 16;

/// What is wrong with a verdict.
enum Problem {
    Missed(String),
    FalseAlarm(String),
}

/// What came of all audits of a run.
#[derive(Default)]
struct Tally {
    servers: usize,
    problems: Vec<Problem>,
}

impl Tally {
    /// Waits for the verdicts.
    async fn of(mut audits: JoinSet<Result<(), Problem>>) -> Self {
        let mut tally = Self { servers: audits.len(), ..Self::default() };
        while let Some(verdict) = audits.join_next().await {
            tally.problems.extend(verdict.unwrap().err());
        }
        tally
    }

    fn misses(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().filter_map(|it| match it {
            Problem::Missed(why) => Some(why.as_str()),
            Problem::FalseAlarm(_) => None,
        })
    }

    fn false_alarms(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().filter_map(|it| match it {
            Problem::FalseAlarm(why) => Some(why.as_str()),
            Problem::Missed(_) => None,
        })
    }
}

/// The audit of one server, as its users would have it; `None` when it does not end.
async fn audit(
    protocol: &'static Protocol,
    (name, address): (&str, std::net::SocketAddr),
    root: &str,
    limits: Limits,
) -> Option<EndpointReport> {
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), limits).unwrap();
    tokio::time::timeout(DEADLINE, audit.endpoint(protocol, protocol.name, name, address)).await.ok()
}

#[test]
fn no_weakness_is_missed_and_nothing_else_is_found() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<usize>().unwrap());
    let runs = number("PROOF_RUNS").unwrap_or(1);
    let _load = load::Load::of(number("PROOF_LOAD").unwrap_or(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for run in 1..=runs {
        for tls in [Tls12, Tls13] {
            let started = Instant::now();
            let (rogues, sound) = runtime.block_on(both(tls));
            let count = |of: fn(&Tally) -> usize| of(&rogues) + of(&sound);
            println!(
                "run {run} of {runs}, {tls:?}: {} rogue and {} sound servers, {} misses, {} false alarms, {:.1} s",
                rogues.servers,
                sound.servers,
                count(|it| it.misses().count()),
                count(|it| it.false_alarms().count()),
                started.elapsed().as_secs_f64()
            );
            for tally in [rogues, sound] {
                let all = tally.misses().chain(tally.false_alarms());
                wrong.extend(all.map(|why| format!("run {run}, {tls:?}: {why}")));
            }
            wrong.iter().for_each(|why| println!("{why}"));
        }
    }
    assert!(wrong.is_empty(), "{} problems:\n{}", wrong.len(), wrong.join("\n"));
}

async fn both(tls: TlsVersion) -> (Tally, Tally) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let rogues = rogues::tally(tls, &slots);
    tokio::join!(rogues, sound::tally(tls, &slots))
}
