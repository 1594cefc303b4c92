//! The processes around the server under test: the backend and the clients.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Outcome;
use crate::servers::Running;

/// The core of all processes except the server under test.
const CORE: &str = "1";

/// A process of this benchmark, which ends when its input ends.
struct Helper {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Helper {
    fn start(args: &[&str]) -> Outcome<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(std::env::current_exe()?).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(child.stdout.take().ok_or("a process without an output")?);
        Ok(Self { child, says })
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn end(mut self) -> Outcome<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a client failed: {status}").into()) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The backend of all servers.
pub(crate) struct Backend {
    pub(crate) smtp: SocketAddr,
    pub(crate) directory: SocketAddr,
    _process: Helper,
}

impl Backend {
    pub(crate) fn start() -> Outcome<Self> {
        let mut process = Helper::start(&["backend"])?;
        let line = process.line()?;
        let (smtp, directory) = line.split_once(' ').ok_or("the backend did not start")?;
        Ok(Self { smtp: smtp.parse()?, directory: directory.parse()?, _process: process })
    }
}

/// The settings of the client processes.
pub(crate) struct Load {
    pub(crate) root: PathBuf,
}

/// Connections that are held open.
pub(crate) struct Holding(Helper);

impl Load {
    fn start(&self, server: &Running<'_>, what: &str, count: u64) -> Outcome<Helper> {
        let (address, front) = (server.address.to_string(), server.server.front.name());
        let root = self.root.display().to_string();
        Helper::start(&["client", what, &address, front, &root, &count.to_string()])
    }

    /// Runs a task `count` times and returns the figure that the clients report.
    pub(crate) fn run(&self, server: &Running<'_>, what: &str, count: u64) -> Outcome<f64> {
        let mut helper = self.start(server, what, count)?;
        let line = helper.line()?;
        helper.end().map_err(|e| format!("{} {what}: {e}; {}", server.server.name, server.log()))?;
        Ok(line.parse()?)
    }

    /// Opens `count` connections and keeps them open.
    pub(crate) fn hold(&self, server: &Running<'_>, count: usize) -> Outcome<Holding> {
        let mut helper = self.start(server, "hold", count as u64)?;
        match helper.line()?.as_str() {
            "held" => Ok(Holding(helper)),
            _ => {
                Err(format!("{} did not hold {count} connections; {}", server.server.name, server.log())
                    .into())
            }
        }
    }
}

impl Holding {
    /// Sends a command on every connection, then closes all.
    pub(crate) fn release(mut self) -> Outcome<()> {
        let input = self.0.child.stdin.as_mut().ok_or("the clients' input is gone")?;
        input.write_all(b"\n")?;
        self.0.end()
    }
}
