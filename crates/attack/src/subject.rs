//! The client under test.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
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

/// How a client ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether it said that all went well; nothing if it had to be killed.
    pub ended: Option<bool>,
    /// What it printed.
    pub output: Vec<u8>,
}

/// A run under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Ran, String>> + Send + 'a>>;

/// Something that can be run as a client, any number of times at once.
pub trait Subject: Send + Sync {
    /// Runs it once: connects, upgrades, logs in, does something, ends.
    ///
    /// An error is a client that could not be started.
    fn run<'a>(&'a self, target: &'a Target) -> Running<'a>;

    /// What reports call it.
    fn name(&self) -> String;
}

/// A command for the shell, with places for the target: `{host}`, `{port}`, `{ca}`, `{user}`, `{password}`.
#[derive(Clone, Debug)]
pub struct Shell(pub String);

/// What is kept of a client's output.
const OUTPUT: usize = 1 << 20;
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
    fn run<'a>(&'a self, target: &'a Target) -> Running<'a> {
        Box::pin(run(self, target))
    }

    fn name(&self) -> String {
        self.0.clone()
    }
}

async fn run(shell: &Shell, target: &Target) -> Result<Ran, String> {
    let (mut script, mut command) = (shell.0.clone(), Command::new("/bin/sh"));
    for (place, value) in Shell::places(target) {
        script = script.replace(&format!("{{{place}}}"), &value);
        command.env(format!("STARTTLS_{}", place.to_ascii_uppercase()), value);
    }
    // A group of its own, so that it ends with all that it has started.
    command.arg("-c").arg(script).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("the client cannot be started: {error}"))?;
    let group = Group(child.id());
    let output = Arc::new(Mutex::new(Vec::new()));
    let out = tokio::spawn(collect(child.stdout.take(), Arc::clone(&output)));
    let err = tokio::spawn(collect(child.stderr.take(), Arc::clone(&output)));
    let status = timeout(target.timeout, child.wait()).await;
    let ended = match status {
        Ok(Ok(status)) => Some(status.success()),
        Ok(Err(error)) => return Err(format!("the client cannot be waited for: {error}")),
        Err(_) => None,
    };
    if ended.is_none() {
        group.kill();
    }
    let collected = timeout(LINGER, async {
        let _ = out.await;
        let _ = err.await;
    });
    let _ = collected.await;
    let output = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Ran { ended, output })
}

/// A process group, killed with the value.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // A group that is gone has ended.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn collect(from: Option<impl AsyncRead + Unpin>, output: Arc<Mutex<Vec<u8>>>) {
    let (Some(mut from), mut buffer) = (from, [0; 8 * 1024]) else { return };
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT.saturating_sub(output.len()).min(read);
        output.extend_from_slice(&buffer[..room]);
    }
}
