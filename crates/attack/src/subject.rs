//! The client under test.

use std::future::Future;
use std::net::SocketAddr;
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

use crate::error::AttackError;

/// The server that a client connects to, and the credentials for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The protocol's scheme.
    pub protocol: &'static str,
    /// The host, for which the sound certificate is valid.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The file with the root certificate to trust.
    pub ca_file: PathBuf,
    /// The user to log in as.
    pub user: String,
    /// The password.
    pub password: String,
    /// The time limit for the client.
    pub timeout: Duration,
    /// The domain to deliver to, if the client is a sender that looks up its exchanger.
    pub domain: Option<TargetDomain>,
}

/// A mail domain that a sender delivers to.
#[derive(Clone, Debug)]
pub struct TargetDomain {
    /// The name.
    pub name: &'static str,
    /// The resolver to ask, which sets the AD bit.
    pub resolver: SocketAddr,
    /// The port of the policy host.
    pub policy_port: u16,
    /// A folder in which the sender can keep its policies from the first delivery to the second.
    pub state: PathBuf,
}

/// A finished run of a client.
#[derive(Clone, Debug)]
pub struct ClientRun {
    /// How the client ended.
    pub exit: ClientExit,
    /// The output of the client.
    pub output: ClientOutput,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientExit {
    /// The client reported success.
    Success,
    /// The client reported a failure with this exit code.
    Failure(i32),
    /// A signal with this number ended the client, which this program did not send.
    Signal(i32),
    /// The client exceeded its time limit and was killed.
    TimedOut,
    /// The connection ended. The client is not a process of this program, so its exit is not known.
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

/// The start of the output of a client, with the time of each piece.
#[derive(Clone, Debug, Default)]
pub struct ClientOutput {
    bytes: Vec<u8>,
    /// The end offset of each piece, and the time it was read.
    pieces: Vec<(usize, Instant)>,
    is_cut: bool,
}

/// The most octets of a client's output that are kept.
const OUTPUT: usize = 128 * 1024;

impl ClientOutput {
    /// Appends a piece that was just read, up to the size limit.
    pub fn push(&mut self, piece: &[u8]) {
        let room = OUTPUT.saturating_sub(self.bytes.len()).min(piece.len());
        self.is_cut |= room < piece.len();
        if room > 0 {
            self.bytes.extend_from_slice(&piece[..room]);
            self.pieces.push((self.bytes.len(), Instant::now()));
        }
    }

    /// Returns the output.
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

/// A future that runs a client.
pub type ClientFuture<'a> = Pin<Box<dyn Future<Output = Result<ClientRun, AttackError>> + Send + 'a>>;

/// A client under test, which can run several times at once.
pub trait Subject: Send + Sync {
    /// Runs the client once: it connects, upgrades, logs in, sends a command and ends.
    ///
    /// Dropping the future ends the client.
    ///
    /// # Errors
    /// The future returns an error if the client cannot be started.
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a>;

    /// Returns the name of the client in reports.
    fn name(&self) -> String;
}

/// A shell command as a client, with placeholders for the target: `{protocol}`, `{host}`, `{port}`, `{ca}`, `{user}` and
/// `{password}`; with a domain also `{domain}`, `{resolver}`, `{sts_port}` and `{state}`. The environment variables `STARTTLS_HOST` and so on have the same values.
#[derive(Clone, Debug)]
pub struct Shell(pub String);

/// How long the end of the output may take after the client has ended.
const LINGER: Duration = Duration::from_millis(500);

impl Shell {
    fn placeholders(target: &Target) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("protocol", target.protocol.to_owned()),
            ("host", target.host.clone()),
            ("port", target.port.to_string()),
            ("ca", target.ca_file.display().to_string()),
            ("user", target.user.clone()),
            ("password", target.password.clone()),
        ];
        if let Some(domain) = &target.domain {
            all.extend([
                ("domain", domain.name.to_owned()),
                ("resolver", domain.resolver.to_string()),
                ("sts_port", domain.policy_port.to_string()),
                ("state", domain.state.display().to_string()),
            ]);
        }
        all
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

async fn run(shell: &Shell, target: &Target) -> Result<ClientRun, AttackError> {
    let (mut script, mut command) = (shell.0.clone(), Command::new("/bin/sh"));
    for (name, value) in Shell::placeholders(target) {
        script = script.replace(&format!("{{{name}}}"), &value);
        command.env(format!("STARTTLS_{}", name.to_ascii_uppercase()), value);
    }
    // Ends all descendants of the client, even if this future is dropped.
    let mut family = ProcessTree::new();
    let (variable, id) = family.variable();
    command.env(variable, id).arg("-c").arg(script).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(AttackError::StartClient)?;
    if let Some(id) = child.id() {
        family.set_leader(id);
    }
    let output = Arc::new(Mutex::new(ClientOutput::default()));
    let mut readers = JoinSet::new();
    readers.spawn(collect(child.stdout.take(), Arc::clone(&output)));
    readers.spawn(collect(child.stderr.take(), Arc::clone(&output)));
    let exit = match timeout(target.timeout, child.wait()).await {
        Ok(Ok(status)) => {
            family.leader_was_reaped();
            ClientExit::of(status)
        }
        Ok(Err(error)) => return Err(AttackError::AwaitClient(error)),
        Err(_) => {
            family.end();
            ClientExit::TimedOut
        }
    };
    // A process that outlives the client may hold the output open.
    let _ = timeout(LINGER, async { while readers.join_next().await.is_some() {} }).await;
    let output = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(ClientRun { exit, output })
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
