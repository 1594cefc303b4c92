//! B6: a server that never gets to its answer does not keep `check` alive, fills no memory, and is not called sound.

use std::fs;
use std::path::Path;
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

use starttls::proto::{PROTOCOLS, Protocol};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Endless, Noise, Stage};

use crate::support::run::Live;
use crate::support::{Run, starttls};

const NOISES: [Noise; 5] = [
    Noise::Trickled(Duration::from_millis(50)),
    Noise::Interim,
    Noise::Dribbled(Duration::from_millis(50)),
    Noise::Unfinished,
    Noise::Repeated,
];

/// Far more than the audit's deadline, for a machine that is busy, and far less than forever.
const IN_TIME: Duration = Duration::from_secs(40);

/// KiB that the program may have used at its peak.
const MOST: u64 = 64 * 1024;

/// The most memory that this process has used so far, in KiB.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Audits one server; returns what came of it, and the peak of its memory.
fn check(protocol: &Protocol, server: &Endless, ca_file: &Path) -> (Run, u64) {
    let port = server.address().port();
    let mut command = starttls(["check", "--timeout", "1s", "--deadline", "4s"]);
    command.arg(format!("{}://localhost:{port}", protocol.name));
    command.args(["--connect", &format!("127.0.0.1:{port}"), "--no-system-roots", "--ca-file"]).arg(ca_file);
    let live = Live::start(&mut command);
    let process = live.id();
    let watching = spawn(move || {
        let mut most = 0;
        while let Some(now) = peak(process) {
            most = now.max(most);
            sleep(Duration::from_millis(5));
        }
        most
    });
    let run = live.end();
    (run, watching.join().unwrap())
}

/// Audits a server of each protocol and stage, with the noises that `chosen` picks.
fn all(chosen: impl Fn(usize) -> Vec<Noise> + Sync) {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    let ca_file = authority.write_to(folder.path()).unwrap();
    let visit = |number: usize, protocol: &'static Protocol| {
        for (at, stage) in Stage::ALL.into_iter().filter(|stage| stage.applies_to(protocol)).enumerate() {
            for noise in chosen(number + at) {
                let server = Endless::start(protocol, stage, noise, &authority).unwrap();
                let began = Instant::now();
                let (run, most) = check(protocol, &server, &ca_file);
                let what = format!("{} {stage:?} {noise:?}", protocol.name);
                let told = &run.stdout[..run.stdout.len().min(2000)];
                assert!(began.elapsed() < IN_TIME, "{what}: {:?}\n{told}", began.elapsed());
                assert!(most < MOST, "{what}: {most} KiB\n{told}");
                // The audit need not ask what is never answered there.
                let sound: &[i32] = if stage == Stage::TlsCommand { &[0] } else { &[] };
                let expected = [&[1, 3, 4, 5, 6, 7], sound].concat();
                assert!(expected.contains(&run.code), "{what}: exit code {}\n{told}", run.code);
            }
        }
    };
    let visit = &visit;
    scope(|threads| {
        let running: Vec<_> = PROTOCOLS
            .iter()
            .enumerate()
            .map(|(number, protocol)| threads.spawn(move || visit(number, protocol)))
            .collect();
        let failed = running.into_iter().filter_map(|thread| thread.join().err()).count();
        assert_eq!(failed, 0, "protocols failed; see above");
    });
}

#[test]
fn b6_check_ends_in_time_and_in_bounds() {
    all(|number| vec![NOISES[number % NOISES.len()]]);
}

#[test]
#[ignore = "every noise at every stage takes minutes"]
fn b6_check_ends_in_time_and_in_bounds_at_every_noise() {
    all(|_| NOISES.to_vec());
}
