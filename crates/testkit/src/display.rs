//! An X server without a screen, for clients that need one.

use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::process::{Daemon, Scratch, program};

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(30);

/// An X server that runs until the value is dropped.
pub struct Display {
    name: String,
    // Dropped in this order: the folder outlives its daemon.
    _server: Daemon,
    scratch: Scratch,
}

impl Display {
    /// Starts the server on a free display.
    ///
    /// # Errors
    /// Returns an error if the program is missing or does not start.
    pub fn start() -> Result<Self, Error> {
        let scratch = Scratch::new()?;
        let mut command = Command::new(program("Xvfb", "xvfb")?);
        // The server writes the number of its display, followed by a line feed.
        let mut server = Daemon::spawn(&scratch, "Xvfb", command.args(["-displayfd", "1"]))?;
        let log = scratch.path().join("Xvfb.log");
        let mut name = String::new();
        server.wait_until(START, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            let number = lines.find(|line| !line.is_empty() && line.bytes().all(|it| it.is_ascii_digit()));
            name = number.map(|number| format!(":{number}")).unwrap_or_default();
            !name.is_empty()
        })?;
        Ok(Self { name, _server: server, scratch })
    }

    /// Returns the value of the variable `DISPLAY` for clients.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a folder that is removed with the server, which clients can use as their home.
    pub fn home(&self) -> &std::path::Path {
        self.scratch.path()
    }
}
