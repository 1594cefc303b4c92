//! The client under test.

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use starttls_processes::ProcessTree;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Where a client is sent, and with what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The protocol's scheme.
    pub protocol: &'static str,
    /// The host, a name that the sound certificate is good for.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The root certificate to trust.
    pub ca_file: PathBuf,
    /// Who to log in as.
    pub user: String,
    /// The password.
    pub password: String,
    /// How long the client may take.
    pub timeout: Duration,
}

/// A finished run of a client.
#[derive(Clone, Debug)]
pub struct ClientRun {
    /// How it ended.
    pub ended: ClientExit,
    /// What it printed.
    pub output: ClientOutput,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientExit {
    /// It reported success.
    Success,
    /// It reported a failure, with this code.
    Failure(i32),
    /// A signal of this number ended it, which this program did not send.
    Signal(i32),
    /// Its time was over, and it was killed.
    TimedOut,
    /// Its connection ended. The client is not a process of this program.
    Unknown,
}

impl ClientExit {
    /// Reads the status of a shell: a shell reports a command that signal N ended as 128 + N (POSIX XCU 2.8.2).
    fn of(status: ExitStatus) -> Self {
        const BY_SIGNAL: i32 = 128;
        /// The signals of POSIX have the numbers below this.
        const SIGNALS: i32 = 32;
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Signal(signal),
            (None, Some(0)) => Self::Success,
            (None, Some(code)) if (BY_SIGNAL + 1..BY_SIGNAL + SIGNALS).contains(&code) => {
                Self::Signal(code - BY_SIGNAL)
            }
            (None, code) => Self::Failure(code.unwrap_or_default()),
        }
    }
}

/// The start of what a client printed, and when.
#[derive(Clone, Debug, Default)]
pub struct ClientOutput {
    bytes: Vec<u8>,
    /// For each piece: where it ends, and when it was read.
    pieces: Vec<(usize, Instant)>,
    is_cut: bool,
}

/// Octets of a client's output that are kept.
const OUTPUT: usize = 128 * 1024;

impl ClientOutput {
    /// Appends a piece that was just read, as far as there is room.
    pub fn push(&mut self, piece: &[u8]) {
        let room = OUTPUT.saturating_sub(self.bytes.len()).min(piece.len());
        self.is_cut |= room < piece.len();
        if room > 0 {
            self.bytes.extend_from_slice(&piece[..room]);
            self.pieces.push((self.bytes.len(), Instant::now()));
        }
    }

    /// Returns what was printed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether the client printed more than is kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns when the octet at this offset was read.
    pub(crate) fn read_at(&self, offset: usize) -> Option<Instant> {
        let piece = self.pieces.partition_point(|(end, _)| *end <= offset);
        self.pieces.get(piece).map(|(_, at)| *at)
    }
}

impl From<Vec<u8>> for ClientOutput {
    fn from(bytes: Vec<u8>) -> Self {
        let mut output = Self::default();
        output.push(&bytes);
        output
    }
}

/// A run under way.
pub type ClientFuture<'a> = Pin<Box<dyn Future<Output = Result<ClientRun, String>> + Send + 'a>>;

/// Something that can be run as a client, any number of times at once.
pub trait Subject: Send + Sync {
    /// Runs it once: connects, upgrades, logs in, does something, ends.
    ///
    /// An error is a client that could not be started. Dropping the future ends the client.
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a>;

    /// What reports call it.
    fn name(&self) -> String;
}

/// A command for the shell, with places for the target: `{host}`, `{port}`, `{ca}`, `{user}`, `{password}`.
#[derive(Clone, Debug)]
pub struct Shell(pub String);

/// For the end of the output when the client itself has ended.
const LINGER: Duration = Duration::from_millis(500);

impl Shell {
    fn places(target: &Target) -> [(&'static str, String); 6] {
        [
            ("protocol", target.protocol.to_owned()),
            ("host", target.host.clone()),
            ("port", target.port.to_string()),
            ("ca", target.ca_file.display().to_string()),
            ("user", target.user.clone()),
            ("password", target.password.clone()),
        ]
    }
}

impl Subject for Shell {
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a> {
        Box::pin(run(self, target))
    }

    fn name(&self) -> String {
        self.0.clone()
    }
}

async fn run(shell: &Shell, target: &Target) -> Result<ClientRun, String> {
    let (mut script, mut command) = (shell.0.clone(), Command::new("/bin/sh"));
    for (place, value) in Shell::places(target) {
        script = script.replace(&format!("{{{place}}}"), &value);
        command.env(format!("STARTTLS_{}", place.to_ascii_uppercase()), value);
    }
    // Ends with all processes that came from it, however this future ends.
    let mut family = ProcessTree::new();
    let (name, value) = family.variable();
    command.env(name, value).arg("-c").arg(script).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("the client cannot be started: {error}"))?;
    if let Some(id) = child.id() {
        family.set_leader(id);
    }
    let output = Arc::new(Mutex::new(ClientOutput::default()));
    let mut readers = JoinSet::new();
    readers.spawn(collect(child.stdout.take(), Arc::clone(&output)));
    readers.spawn(collect(child.stderr.take(), Arc::clone(&output)));
    let ended = match timeout(target.timeout, child.wait()).await {
        Ok(Ok(status)) => {
            family.leader_was_reaped();
            ClientExit::of(status)
        }
        Ok(Err(error)) => return Err(format!("the client cannot be waited for: {error}")),
        Err(_) => {
            family.end();
            ClientExit::TimedOut
        }
    };
    // A process that outlives the client may hold the output open.
    let _ = timeout(LINGER, async { while readers.join_next().await.is_some() {} }).await;
    let output = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(ClientRun { ended, output })
}

async fn collect(from: Option<impl AsyncRead + Unpin>, output: Arc<Mutex<ClientOutput>>) {
    let (Some(mut from), mut buffer) = (from, [0; 8 * 1024]) else { return };
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        output.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_bounded_and_knows_its_times() {
        let mut output = ClientOutput::default();
        output.push(b"one");
        let between = Instant::now();
        output.push(b"two");
        assert!(output.read_at(2).unwrap() <= between && output.read_at(3).unwrap() >= between);
        assert!(output.read_at(6).is_none() && !output.is_cut());
        output.push(&vec![b'x'; 2 * OUTPUT]);
        assert!(output.is_cut() && output.bytes().len() == OUTPUT);
        assert!(output.pieces.len() == 3);
    }
}
