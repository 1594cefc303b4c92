//! Signals: each command ends with its processes and folders, and the exit code depends on the signal.

use std::ffi::OsStr;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use starttls_processes::Process;
use tempfile::TempDir;

use crate::support::Run;
use crate::support::process::{DEADLINE, Live, starttls_with};

/// The signals that end a command, and the exit code for each.
const SIGNALS: &[(Signal, i32)] = &[(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)];

/// A server that accepts connections and never sends anything.
struct Mute(TcpListener);

impl Mute {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn target(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.0.local_addr().unwrap())
    }

    /// Waits for the next connection.
    fn is_dialled(&self) -> TcpStream {
        self.0.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.0.accept() {
                Ok((connection, _)) => return connection,
                Err(_) => assert!(Instant::now() < deadline, "no connection"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Returns the command with the default handling of signals.
fn starttls<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    starttls_with("--default-signal", arguments)
}

fn end(live: Live, (signal, code): (Signal, i32)) -> Run {
    kill(Pid::from_raw(live.id() as i32), signal).unwrap();
    live.end().exits(code)
}

/// Waits until `count` processes have written their numbers into the folder.
fn processes(folder: &Path, count: usize) -> Vec<Process> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let texts = std::fs::read_dir(folder).unwrap().map(|it| std::fs::read_to_string(it.unwrap().path()));
        let ids: Vec<i32> = texts.filter_map(|text| text.ok()?.strip_suffix('\n')?.parse().ok()).collect();
        let found: Vec<Process> = ids.iter().filter_map(|id| Process::read(Pid::from_raw(*id))).collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{} of {count} processes were started", found.len());
        thread::sleep(Duration::from_millis(10));
    }
}

/// A script that starts a child, a child in a session of its own and an orphan in a session of its own. Each writes
/// its number into this folder. The script never ends.
fn family(folder: &Path) -> String {
    let note = |name: &str| format!("echo $$ >{}/{name}; exec sleep 1000", folder.display());
    format!(
        "sh -c '{}' & setsid sh -c '{}' & (setsid sh -c '{}' &); wait",
        note("child-$$"),
        note("session-$$"),
        note("orphan-$$")
    )
}

fn all_ended(processes: &[Process]) {
    let living: Vec<_> = processes.iter().filter(|it| it.lives()).collect();
    assert!(living.is_empty(), "{living:?}");
}

/// Makes the command create its temporary folders in the returned folder.
fn with_scratch(command: &mut Command) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    command.env("TMPDIR", folder.path());
    folder
}

fn is_empty(folder: &TempDir) {
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn attack_ends_its_clients_and_what_they_have_started() {
    for signal in SIGNALS {
        let notes = tempfile::tempdir().unwrap();
        let mut command = starttls(["attack", "imap", "--timeout", "50s", "--run", &family(notes.path())]);
        let scratch = with_scratch(&mut command);
        let live = Live::start(&mut command);
        let started = processes(notes.path(), 3);
        let run = end(live, *signal);
        all_ended(&started);
        is_empty(&scratch);
        assert!(run.stdout.contains("not sound: a signal ended the run"), "{}", run.stdout);
    }
}

/// The control run succeeds. Under attack the client does not end.
#[test]
fn attack_reports_what_is_finished() {
    let notes = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_starttls");
    let client = format!(
        "printf 'x LOGIN {{user}} {{password}}\\r\\nx LOGOUT\\r\\n' | {program} connect -q --no-system-roots \
         --ca-file {{ca}} imap://{{host}}:{{port}}; ended=$?; [ $ended = 0 ] && exit; \
         mkdir {0}/second && exit $ended; {1}",
        notes.path().display(),
        family(notes.path())
    );
    let only = "cli-refuse-temp,cli-refuse-perm,cli-cert-expired";
    let mut command = starttls(["attack", "imap", "--timeout", "50s", "--jobs", "1", "--only", only]);
    command.args(["--format", "json", "--run", &client]);
    let scratch = with_scratch(&mut command);
    let live = Live::start(&mut command);
    let started = processes(notes.path(), 3);
    let run = end(live, (Signal::SIGTERM, 143));
    all_ended(&started);
    is_empty(&scratch);
    let report = run.json();
    let count = |name: &str| report[name].as_array().unwrap().len();
    assert_eq!((count("scenarios"), count("unfinished")), (1, 2), "{report}");
    assert_eq!(
        (&report["outcome"], &report["control"]["outcome"]),
        (&"inconclusive".into(), &"sound".into())
    );
    assert!(run.stderr.contains("warning: the report is partial: 2 scenarios are missing"), "{}", run.stderr);
}

#[test]
fn attack_ends_what_a_client_leaves_behind_without_a_trace_of_it() {
    let notes = tempfile::tempdir().unwrap();
    let orphan = format!("echo $$ >{}/orphan; exec sleep 1000", notes.path().display());
    // The group, the session, the parent and the environment of the orphan do not lead to the client. The client ends when
    // the test has seen the orphan.
    let seen = notes.path().join("seen");
    let client = format!(
        "(env -i /usr/bin/setsid /bin/sh -c '{orphan}' &); until [ -e {} ]; do sleep 0.05; done; false",
        seen.display()
    );
    let live = Live::start(&mut starttls(["attack", "imap", "--timeout", "50s", "--run", &client]));
    let started = processes(notes.path(), 1);
    std::fs::write(seen, "").unwrap();
    live.end().exits(7);
    all_ended(&started);
}

#[test]
fn check_reports_what_is_finished() {
    let lab = crate::lab();
    for signal in SIGNALS {
        let mute = Mute::new();
        let sound = crate::endpoint(&lab, "smtp").url();
        let mut command = starttls(["check", "--timeout", "50s", "--no-system-roots"]);
        command.arg("--ca-file").arg(lab.ca_file()).args([&sound, &mute.target("imap")]);
        let mut live = Live::start(&mut command);
        let _connection = mute.is_dialled();
        live.is_told("[1/2]");
        let run = end(live, *signal);
        let partial = "interrupted: the report is partial, 1 of 2 targets are missing";
        assert!(run.stdout.contains("1 endpoint: 1 sound; 1 target without an endpoint"), "{}", run.stdout);
        assert!(run.stdout.contains("a signal ended the audit before it was finished"), "{}", run.stdout);
        assert!(run.stderr.contains(partial), "{}", run.stderr);
    }
}

#[test]
fn check_without_a_target_removes_its_folder() {
    let mut command = starttls(["check"]);
    let scratch = with_scratch(&mut command);
    let mut live = Live::start(&mut command);
    live.hears("No target");
    let deadline = Instant::now() + DEADLINE;
    while std::fs::read_dir(scratch.path()).unwrap().next().is_none() {
        assert!(Instant::now() < deadline, "the lab was not started");
        thread::sleep(Duration::from_millis(10));
    }
    end(live, SIGNALS[1]);
    is_empty(&scratch);
}

#[test]
fn connect_ends_before_and_inside_its_session() {
    for signal in SIGNALS {
        let mute = Mute::new();
        let live = Live::start(&mut starttls(["connect", "--timeout", "50s", &mute.target("smtp")]));
        let _connection = mute.is_dialled();
        end(live, *signal);
    }
    let lab = crate::lab();
    let mut command = starttls(["connect", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).arg(crate::endpoint(&lab, "smtp").url());
    let mut live = Live::start(&mut command);
    live.say(b"EHLO me\r\n");
    live.hears("250 ");
    end(live, SIGNALS[1]);
}

#[test]
fn a_command_that_ignores_the_end_of_its_terminal_goes_on() {
    let mute = Mute::new();
    let arguments = ["connect", "--timeout", "50s", &mute.target("smtp")];
    let mut live = Live::start(&mut starttls_with("--ignore-signal=HUP", arguments));
    let mut connection = mute.is_dialled();
    kill(Pid::from_raw(live.id() as i32), Signal::SIGHUP).unwrap();
    connection.set_nonblocking(false).unwrap();
    connection.write_all(b"220 go on\r\n").unwrap();
    live.is_told("220 go on");
    end(live, SIGNALS[1]);
}

#[test]
fn login_and_send_end_during_the_connection() {
    for signal in SIGNALS {
        for arguments in [
            &["login", "--user", "me"][..],
            &["send", "--user", "me", "--to", "you@example.test", "--body", "hello"],
        ] {
            let mute = Mute::new();
            let target = mute.target("submission");
            let mut command = starttls(arguments);
            command.env("STARTTLS_PASSWORD", "secret").args(["--timeout", "50s", &target]);
            let mut live = Live::start(&mut command);
            live.hang_up();
            let _connection = mute.is_dialled();
            end(live, *signal);
        }
    }
}

#[test]
fn a_command_for_the_password_ends_with_what_it_has_started() {
    for arguments in [
        &["login", "smtp://127.0.0.1:9"][..],
        &["send", "--to", "you@example.test", "--body", "hello", "smtp://127.0.0.1:9"],
        &["sasl", "PLAIN"],
    ] {
        let notes = tempfile::tempdir().unwrap();
        let mut command = starttls(arguments);
        command.args(["--user", "me", "--password-command", &family(notes.path())]);
        let live = Live::start(&mut command);
        let started = processes(notes.path(), 3);
        end(live, SIGNALS[1]);
        all_ended(&started);
    }
}

#[test]
fn an_agent_that_the_command_for_the_password_starts_lives_on() {
    let notes = tempfile::tempdir().unwrap();
    let agent = format!(
        "(setsid sh -c 'echo $$ >{}/agent; exec sleep 1000' </dev/null >/dev/null 2>&1 &); echo secret",
        notes.path().display()
    );
    Run::of(&mut starttls(["sasl", "PLAIN", "--user", "me", "--password-command", &agent])).exits(0);
    let started = processes(notes.path(), 1);
    started[0].signal(Signal::SIGKILL);
}

/// A write to a full pipe is blocked and does not notice the first signal.
#[test]
fn a_second_signal_ends_a_blocked_command() {
    let mut command = starttls(["attack", "--list", "--format", "json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    // Fills the pipe.
    let mut filler = writer.try_clone().unwrap();
    let full = thread::spawn(move || {
        let _ = filler.write_all(&vec![0; 1 << 20]);
    });
    let mut child = command.stdout(writer).spawn().unwrap();
    let (id, deadline) = (Pid::from_raw(child.id() as i32), Instant::now() + DEADLINE);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        let _ = kill(id, Signal::SIGTERM);
        thread::sleep(Duration::from_millis(50));
    }
    drop(reader);
    full.join().unwrap();
}
