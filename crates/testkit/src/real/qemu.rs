//! QEMU's NBD server, `qemu-nbd`, with a file of zeroes.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use super::nbdkit::certificates;
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "disk.example.test")?;
    let owner = user("nobody", "base-passwd")?;
    let endpoint = launcher.endpoint("nbd")?;
    let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
    let disk = launcher.scratch.secret("disk.raw", &"\0".repeat(1 << 20), &owner)?;
    let mut command = Command::new(program("qemu-nbd", "qemu-utils")?);
    command.args(["--bind", &ip, "--port", &port, "--format", "raw", "--persistent", "--shared", "100"]);
    if setup.tls {
        let folder = certificates(&launcher)?;
        let credentials = format!(
            "tls-creds-x509,id=tls,endpoint=server,verify-peer=no,sanity-check=no,dir={}",
            folder.display()
        );
        command.args(["--object", &credentials, "--tls-creds", "tls"]);
    }
    command.arg(disk);
    let qemu = Daemon::spawn(&launcher.scratch, "qemu-nbd", as_user(&owner, &mut command))?;
    launcher.running("", vec![endpoint], vec![qemu])
}
