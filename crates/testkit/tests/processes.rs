//! Dropping a daemon ends all its processes, even if they try to escape.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls_testkit::Error;
use starttls_testkit::process::{Daemon, Scratch, free_port, own_loopback, program};

const DEADLINE: Duration = Duration::from_secs(15);
const HOLDER: &str = "STARTTLS_LAB_TEST_HOLDER";

#[test]
fn ends_on_drop() {
    let scratch = Scratch::new().unwrap();
    let (daemon, id) = shell(&scratch, "echo $$ >id; exec sleep 600");
    assert!(lives(id));
    drop(daemon);
    assert!(!lives(id));
}

#[test]
fn one_that_ignores_the_signal_is_killed() {
    let scratch = Scratch::new().unwrap();
    let (daemon, id) = shell(&scratch, "trap '' TERM; echo $$ >id; while :; do sleep 1; done");
    drop(daemon);
    assert!(!lives(id));
}

#[test]
fn one_that_left_the_group_ends_too() {
    let scratch = Scratch::new().unwrap();
    let (daemon, id) = shell(&scratch, "setsid sh -c 'echo $$ >id; exec sleep 600'; :");
    drop(daemon);
    assert!(!lives(id));
}

#[test]
fn orphans_in_the_group_end_too() {
    let scratch = Scratch::new().unwrap();
    let (daemon, id) = shell(&scratch, "(sh -c 'echo $$ >id; exec sleep 600' &); exec sleep 600");
    drop(daemon);
    assert!(!lives(id));
}

#[test]
fn ends_when_its_holder_is_killed() {
    if let Some(folder) = std::env::var_os(HOLDER) {
        let command = "echo $$ >id; exec sleep 600";
        let daemon =
            Daemon::spawn(&Scratch::new().unwrap(), "sh", Command::new("sh").arg("-c").arg(command)).unwrap();
        fs::write(Path::new(&folder).join("id"), daemon.id().to_string()).unwrap();
        sleep(DEADLINE);
        return;
    }
    let scratch = Scratch::new().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends_when_its_holder_is_killed"])
        .env(HOLDER, scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = read_id(&scratch);
    assert!(lives(id));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let start = Instant::now();
    while lives(id) {
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn early_end_and_silence_are_reported_with_the_log() {
    let scratch = Scratch::new().unwrap();
    let address = free_port(own_loopback()).unwrap();
    let mut ended =
        Daemon::spawn(&scratch, "sh", Command::new("sh").args(["-c", "echo no such colour; exit 3"]))
            .unwrap();
    let error = ended.wait_listening(address, DEADLINE).unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("no such colour"), "{error}");

    let mut silent = Daemon::spawn(&scratch, "sleep", Command::new("sleep").arg("600")).unwrap();
    let error = silent.wait_listening(address, Duration::from_millis(100)).unwrap_err().to_string();
    assert!(error.contains("not ready in time"), "{error}");
}

#[test]
fn a_missing_program_names_its_package() {
    let error = program("no-such-daemon", "its-package").unwrap_err();
    assert!(matches!(error, Error::Missing { package: "its-package", .. }));
    assert!(error.to_string().contains("its-package"));
}

/// Starts a script that writes the number of the process to check into `id`.
fn shell(scratch: &Scratch, script: &str) -> (Daemon, u32) {
    let daemon = Daemon::spawn(scratch, "sh", Command::new("sh").arg("-c").arg(script)).unwrap();
    (daemon, read_id(scratch))
}

fn read_id(scratch: &Scratch) -> u32 {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(scratch.path().join("id")).unwrap_or_default();
        if let Ok(id) = text.trim().parse() {
            return id;
        }
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(10));
    }
}

/// Returns whether a process runs; a zombie does not.
fn lives(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}
