//! nbdkit, with an export in memory.

use std::path::PathBuf;
use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "disk.example.test")?;
    let owner = user("nobody", "base-passwd")?;
    let endpoint = launcher.endpoint("nbd")?;
    let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
    let mut command = Command::new(program("nbdkit", "nbdkit")?);
    command.args(["--foreground", "--ipaddr", &ip, "--port", &port]);
    match setup.tls {
        true => {
            let folder = certificates(&launcher)?;
            command.arg("--tls=require").arg("--tls-certificates").arg(folder);
        }
        false => drop(command.arg("--tls=off")),
    }
    command.args(["memory", "1M"]);
    let nbdkit = Daemon::spawn(&launcher.scratch, "nbdkit", as_user(&owner, &mut command))?;
    launcher.running("", vec![endpoint], vec![nbdkit])
}

/// Writes the certificates under the names that nbdkit and QEMU expect, and returns their folder.
pub(super) fn certificates(launcher: &Launcher<'_>) -> Result<PathBuf, Error> {
    let owner = user("nobody", "base-passwd")?;
    let (chain, key) = launcher.certificate(&owner)?;
    let folder = launcher.scratch.dir("pki", &owner)?;
    for (file, name) in [(&chain, "server-cert.pem"), (&key, "server-key.pem")] {
        std::os::unix::fs::symlink(file, folder.join(name)).map_err(Error::at(&folder))?;
    }
    let root = folder.join("ca-cert.pem");
    std::fs::write(&root, launcher.setup.authority.root_pem()).map_err(Error::at(&root))?;
    Ok(folder)
}
