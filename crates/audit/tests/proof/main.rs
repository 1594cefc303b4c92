//! The audit of all the lab's rogues with each version of TLS: it misses no weakness and reports nothing else.
//!
//! `PROOF_RUNS` is the number of runs (default 1), and `PROOF_LOAD` the number of threads that keep the processor busy
//! meanwhile (default 0); `cargo xtask proof` sets both. `ROGUE` selects weaknesses by the start of their names.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "a proof has figures")]

mod load;
mod rogues;
mod sound;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::TlsVersion::{self, Tls12, Tls13};
use starttls::{Connector, proto::Protocol};
use starttls_audit::report::EndpointReport;
use starttls_audit::{Audit, Limits};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The time limit for one audit on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// The number of parallel audits, which mostly wait.
const AT_ONCE: usize = 16;

/// A wrong verdict.
enum Problem {
    Missed(String),
    FalseAlarm(String),
}

/// The results of all audits of a run.
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

/// Returns whether the servers of this protocol are audited. `PROTOCOL` limits a run to one.
fn is_wanted(protocol: &Protocol) -> bool {
    std::env::var("PROTOCOL").map_or(true, |it| it == protocol.name)
}

/// Audits one server with the default limits; returns `None` if the audit does not end in time.
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
            let (mut rogues, sound) = runtime.block_on(both(tls));
            // The weaknesses of TLS itself come with their own versions.
            if tls == Tls13 {
                let more = runtime.block_on(tls::tally(&Arc::new(Semaphore::new(AT_ONCE))));
                rogues.servers += more.servers;
                rogues.problems.extend(more.problems);
            }
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
