//! TigerVNC's X server, with an empty screen.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    // Tests with many connections without a session would be blocked.
    run(setup, if setup.tls { "X509None" } else { "None" }, &["-BlacklistThreshold", "10000"])
}

/// Starts the server with these security types. It blocks an address after five connections without a session.
pub(super) fn start_with(setup: &Setup, security_types: &str) -> Result<RunningServer, Error> {
    run(setup, security_types, &[])
}

fn run(setup: &Setup, security_types: &str, more: &[&str]) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "desktop.example.test")?;
    let owner = user("nobody", "base-passwd")?;
    let endpoint = launcher.endpoint("vnc")?;
    let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
    let mut command = Command::new(program("Xvnc", "tigervnc-standalone-server")?);
    // It takes a free number for its display, and prints it.
    command.args(["-displayfd", "1", "-nolisten", "tcp", "-geometry", "64x48", "-noreset"]);
    command.args(["-interface", &ip, "-rfbport", &port, "-SecurityTypes", security_types]);
    command.args(more);
    if setup.tls {
        let (chain, key) = launcher.certificate(&owner)?;
        command.args(["-GnuTLSPriority", "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"]);
        command.arg("-X509Cert").arg(chain).arg("-X509Key").arg(key);
    }
    let xvnc = Daemon::spawn(&launcher.scratch, "Xvnc", as_user(&owner, &mut command))?;
    launcher.running("", vec![endpoint], vec![xvnc])
}
