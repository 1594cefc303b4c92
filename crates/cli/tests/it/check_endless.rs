//! B6: with a server that never completes its answer, `check` ends in time, uses little memory and does not pass it.

use std::path::Path;
use std::time::{Duration, Instant};

use starttls::proto::Protocol;
use starttls_lab::rogue::{Endless, Noise, StallPoint};

use crate::endless::{Case, MOST, NOISES, every_server};
use crate::support::process::Live;
use crate::support::{Run, starttls};

/// Far longer than the deadline of the audit, for a busy machine.
const IN_TIME: Duration = Duration::from_secs(120);

/// Audits one server and returns the result and the peak memory.
fn check(protocol: &Protocol, server: &Endless, ca_file: &Path) -> (Run, u64) {
    let port = server.address().port();
    let mut command = starttls(["check", "--timeout", "1s", "--deadline", "4s"]);
    command.arg(format!("{}://localhost:{port}", protocol.name));
    command.args(["--connect", &format!("127.0.0.1:{port}"), "--no-system-roots", "--ca-file"]).arg(ca_file);
    let live = Live::start(&mut command);
    live.end_measured()
}

/// Audits a server for each protocol and stage, with the noises that `chosen` selects.
fn all(chosen: impl Fn(usize) -> Vec<Noise> + Sync) {
    every_server(chosen, |case| {
        let Case { protocol, stage, server, ca_file, name: what } = case;
        let began = Instant::now();
        let (run, most) = check(protocol, server, ca_file);
        let told = &run.stdout[..run.stdout.len().min(2000)];
        assert!(began.elapsed() < IN_TIME, "{what}: {:?}\n{told}", began.elapsed());
        assert!(most < MOST, "{what}: {most} KiB\n{told}");
        // The audit may not need the command inside TLS that is never answered.
        let sound: &[i32] = if *stage == StallPoint::TlsCommand { &[0] } else { &[] };
        let expected = [&[1, 3, 4, 5, 6, 7], sound].concat();
        assert!(expected.contains(&run.code), "{what}: exit code {}\n{told}", run.code);
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
