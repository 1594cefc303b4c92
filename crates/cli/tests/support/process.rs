//! Runs the command with a deadline.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// The deadline of one run and of one step of a session, long enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Returns the command in an environment that does not affect it.
pub(crate) fn starttls<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starttls"));
    command.args(arguments);
    for variable in ["NO_COLOR", "SSLKEYLOGFILE", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm").env("COLUMNS", "100");
    command
}

/// The same with this signal option of `env`, independent of the signals that the tests ignore.
pub(crate) fn starttls_with<A: AsRef<OsStr>>(
    signals: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let plain = starttls(arguments);
    let mut command = Command::new("env");
    command.arg(signals).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The result of a program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs the command without input.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::with_input(command, b"")
    }

    /// Runs the command with this standard input.
    pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let mut live = Live::start(command);
        live.say(input);
        live.hang_up();
        live.end()
    }

    /// Fails unless the program ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard error contains this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "nothing of {part:?} in:\n{}", self.stderr);
        self
    }

    /// Returns the single JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let read = serde_json::from_str(&self.stdout);
        read.unwrap_or_else(|error| panic!("{error}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// A running program with which a test interacts.
pub(crate) struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Receiver<Heard>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    deadline: Instant,
}

enum Heard {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

impl Live {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, output) = channel();
        let mut stdout = child.stdout.take().unwrap();
        let to = sender.clone();
        spawn(move || copy(&mut stdout, |bytes| drop(to.send(Heard::Stdout(bytes)))));
        let mut stderr = child.stderr.take().unwrap();
        spawn(move || copy(&mut stderr, |bytes| drop(sender.send(Heard::Stderr(bytes)))));
        let (stdin, deadline) = (child.stdin.take(), Instant::now() + DEADLINE);
        Self { child, stdin, output, stdout: Vec::new(), stderr: Vec::new(), deadline }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the standard output up to now.
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Returns the standard error up to now.
    pub(crate) fn stderr(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }

    /// Writes to standard input. A closed input is not an error.
    pub(crate) fn say(&mut self, input: &[u8]) {
        let _ = self.stdin.as_mut().unwrap().write_all(input);
    }

    /// Closes standard input.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits until standard output contains this.
    #[track_caller]
    pub(crate) fn hears(&mut self, part: &str) -> &mut Self {
        self.begin_step();
        while !text(&self.stdout).contains(part) {
            assert!(self.listen(), "nothing of {part:?} in:\n{}\n{}", text(&self.stdout), text(&self.stderr));
        }
        self
    }

    /// Waits until standard error contains this.
    #[track_caller]
    pub(crate) fn is_told(&mut self, part: &str) -> &mut Self {
        self.begin_step();
        while !text(&self.stderr).contains(part) {
            assert!(self.listen(), "nothing of {part:?} in:\n{}\n{}", text(&self.stdout), text(&self.stderr));
        }
        self
    }

    /// Waits for the end of the program and returns its result and its peak memory in KiB.
    #[track_caller]
    pub(crate) fn end_measured(self) -> (Run, u64) {
        let id = self.id();
        let watch = spawn(move || {
            let mut most = 0;
            while let Some(now) = peak(id) {
                most = most.max(now);
                sleep(Duration::from_millis(5));
            }
            most
        });
        (self.end(), watch.join().unwrap())
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub(crate) fn end(mut self) -> Run {
        self.begin_step();
        while self.listen() {}
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code().unwrap_or(-1),
                None => assert!(Instant::now() < self.deadline, "it never ended: {:?}", text(&self.stderr)),
            }
            sleep(Duration::from_millis(2));
        };
        Run { code, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }

    /// Gives the program the whole deadline again: what a test did before may have taken long on a busy machine.
    fn begin_step(&mut self) {
        self.deadline = Instant::now() + DEADLINE;
    }

    /// Reads one piece of output; returns `false` at the end.
    #[track_caller]
    fn listen(&mut self) -> bool {
        match self.output.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(Heard::Stdout(bytes)) => self.stdout.extend(bytes),
            Ok(Heard::Stderr(bytes)) => self.stderr.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                panic!("timed out\nstdout:\n{}\nstderr:\n{}", text(&self.stdout), text(&self.stderr))
            }
        }
        true
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The process is still running only if the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the peak memory of a process in KiB; `None` after its end.
pub(crate) fn peak(process: u32) -> Option<u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).ok();
    // Before `exec`, the new process still has the memory and the name of the test process.
    while read("comm")?.trim_end() != "starttls" {
        sleep(Duration::from_millis(1));
    }
    let status = read("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn copy(from: &mut impl Read, mut to: impl FnMut(Vec<u8>)) {
    let mut buffer = [0; 8 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        to(buffer[..len].to_vec());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
